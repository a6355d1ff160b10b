//! The delivery path: from a message and its matches to bytes staged for every destination.
//!
//! One [`Fanout`] per delivering thread. It finds the matches through a cache of its own (valid
//! while the account's sublist has not changed), picks members of queue groups, and stages; no lock
//! is taken per message. Implements spec 01 §5.5–5.9 for messages of any origin, and the rules of
//! spec 05 §4 for which of them go to which kind of connection.

mod imports;

pub use imports::client_info;

use crate::account::{Account, TrafficBatch};
use crate::client::ClientShared;
use crate::message_trace::{Tracer, Undelivered};
use crate::subscription::{Destination, Subscription};
use ::sublist::{Matches, SubjectHash, Subscription as _};
use bytes::Bytes;
use eventloop::Stager;
use parser::encode::Decimal;
use smallvec::SmallVec;
use std::sync::Arc;

/// A result of matching.
pub type Matched = Arc<Matches<Arc<Subscription>>>;

/// Payloads above this are staged as slices of the read block instead of being copied.
/// Up to here one contiguous chunk makes fewer and larger writes than slices would.
pub const SHARE_ABOVE_BYTES: usize = 8 * 1024;
/// A request with a longer reply subject asks for the round-trip time of a client that has none:
/// services are measured with it (spec 01 §9.3).
const MEASURED_REPLY_BYTES: usize = 15;
/// Entries of a reactor's match cache; a power of two.
const CACHE_ENTRIES: usize = 4096;

/// What kind of connection (or part of the server) a message comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An application.
    Client,
    /// The system account's internal client.
    System,
    /// JetStream.
    JetStream,
    /// An account's internal client.
    Account,
    /// A route.
    Router,
    /// A gateway.
    Gateway,
    /// A leafnode.
    Leaf,
}

impl Kind {
    /// Whether it has a socket, from which reading can pause.
    pub fn is_connection(self) -> bool {
        match self {
            Kind::Client | Kind::Router | Kind::Gateway | Kind::Leaf => true,
            Kind::System | Kind::JetStream | Kind::Account => false,
        }
    }
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The kind of connection.
    pub kind: Kind,
    /// Its id.
    pub id: u64,
    /// Whether it wants its own messages back.
    pub echo: bool,
    /// For a leafnode: this server is the spoke on that link.
    pub spoke: bool,
    /// The leaf cluster that the message comes from, or empty.
    pub cluster: &'a [u8],
    /// The queue groups chosen by the server that sent it; only for links.
    pub queues: &'a [&'a [u8]],
    /// The client that sent it, if it was one: services of other accounts are told about it.
    pub client: Option<&'a Arc<ClientShared>>,
}

impl Origin<'_> {
    /// The origin of a client's message.
    pub fn client(id: u64, echo: bool) -> Origin<'static> {
        Origin {
            kind: Kind::Client,
            id,
            echo,
            spoke: false,
            cluster: b"",
            queues: &[],
            client: None,
        }
    }
}

/// A message on its way.
pub struct Message<'a> {
    /// Subject shown to the receivers.
    pub subject: &'a [u8],
    /// Reply subject, or empty.
    pub reply: &'a [u8],
    /// Bytes of headers at the start of the payload.
    pub header_len: usize,
    /// Digits of the header length, as written by the publisher.
    pub header_digits: &'a [u8],
    /// Digits of the total length, as written by the publisher.
    pub size_digits: &'a [u8],
    /// Headers, body, CR LF.
    pub payload_crlf: &'a [u8],
    /// `[reply ][header digits ]digits CRLF payload CRLF` in one piece, when the input has it so.
    pub tail: Option<&'a [u8]>,
}

impl Message<'_> {
    /// Bytes of headers and body.
    pub fn len(&self) -> usize {
        self.payload_crlf.len() - 2
    }

    /// Whether there are neither headers nor body.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Gives a refcounted slice of a message's payload and line end, so that it need not be copied.
pub type Share<'a> = &'a mut dyn FnMut() -> Bytes;

/// A connection to another server. It gets every message at most once, whatever the number of its
/// subscriptions that match, with the queue groups chosen for it.
pub trait Link: Send + Sync {
    /// `Router`, `Gateway` or `Leaf`.
    fn kind(&self) -> Kind;
    /// The connection's id.
    fn id(&self) -> u64;
    /// For a leafnode: whether this server is the hub on that link.
    fn is_hub(&self) -> bool;
    /// For a leafnode: the remote cluster's name, or empty.
    fn cluster(&self) -> &[u8];
    /// How many members a queue subscription of this link stands for.
    fn queue_weight(&self, subscription: &Subscription) -> u32;
    /// The leaf cluster that a routed subscription acts for, or empty.
    fn leaf_origin(&self, subscription: &Subscription) -> Vec<u8>;
    /// Stages the message in the link's own protocol. `queues` are the groups chosen.
    fn send(
        &self,
        stager: &mut Stager,
        origin: &Origin<'_>,
        message: &Message<'_>,
        queues: &[&[u8]],
    ) -> bool;
}

/// Whether a plain subscription of a link gets a message of that origin (spec 05 §4.1).
pub fn link_takes(origin: &Origin<'_>, link: &dyn Link, subject: &[u8]) -> bool {
    match link.kind() {
        Kind::Router => origin.kind != Kind::Router && !(origin.kind == Kind::Leaf && origin.spoke),
        Kind::Leaf => {
            let other = !(origin.kind == Kind::Leaf && origin.id == link.id());
            let hop = origin.kind != Kind::Router || link.is_hub() || subject.starts_with(b"_R_.");
            let loops = !origin.cluster.is_empty() && origin.cluster == link.cluster();
            other && hop && !loops
        }
        // Gateways have an interest model of their own and are not served from here.
        _ => false,
    }
}

/// What came of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Whether anyone got it.
    pub any: bool,
}

/// Who holds a place of the match cache, looked at before anything else of it: a miss, which is what
/// scattered subjects have, touches nothing larger. Tags are bits of the subject's hash; zero is none.
#[derive(Clone, Copy, Default)]
struct Place {
    cached: u32,
    /// The last one that found the place taken: a subject displaces another one only when it comes
    /// twice, so that scattered subjects do not pay for storing results.
    knocked: u32,
}

struct CacheEntry {
    account: u32,
    generation: u64,
    subject: Box<[u8]>,
    matched: Matched,
}

struct LinkTarget {
    link: Arc<dyn Link>,
    queues: SmallVec<[Arc<Subscription>; 2]>,
}

/// A thread's delivery context.
pub struct Fanout {
    places: Vec<Place>,
    cache: Vec<Option<CacheEntry>>,
    random: u64,
    scratch: Matches<Arc<Subscription>>,
    links: Vec<LinkTarget>,
    /// The services of other accounts that the message has come through.
    hops: Vec<imports::Hop>,
    /// Drop messages for destinations that are nearly full, instead of holding the publisher back.
    pub drop_when_gated: bool,
    /// Trace what is delivered; set for each read batch.
    pub trace: bool,
    /// The trace of the message being delivered, if it is traced.
    pub tracer: Option<Box<Tracer>>,
    /// Delivered by this thread since it was last taken.
    pub traffic: TrafficBatch,
}

impl Fanout {
    /// A context; `seed` starts its choice of queue members.
    pub fn new(seed: u64, drop_when_gated: bool) -> Fanout {
        Fanout {
            places: vec![Place::default(); CACHE_ENTRIES],
            cache: std::iter::repeat_with(|| None).take(CACHE_ENTRIES).collect(),
            random: seed | 1,
            scratch: Matches::new(),
            links: Vec::new(),
            hops: Vec::new(),
            drop_when_gated,
            trace: false,
            tracer: None,
            traffic: TrafficBatch::default(),
        }
    }

    /// A random number, not fit for secrets.
    fn random_number(&mut self) -> u64 {
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 32 random bits, not fit for secrets.
    pub fn random_bits(&mut self) -> u32 {
        (self.random_number() >> 32) as u32
    }

    /// A number below `n`, evenly distributed.
    fn pick(&mut self, n: usize) -> usize {
        // Multiplying instead of dividing.
        ((u64::from(self.random_bits()) * n as u64) >> 32) as usize
    }

    /// The cached matches of a subject, or its hash if it is not worth caching yet.
    #[inline]
    pub fn matches(&mut self, account: &Account, subject: &[u8]) -> Result<Matched, SubjectHash> {
        // Sublists hash by keys of their own, so a subject has another place for every account.
        let hash = account.sublist.subject_hash(subject);
        let at = hash.bits() as usize & (CACHE_ENTRIES - 1);
        let tag = (hash.bits() >> 32) as u32 | 1;
        let place = &mut self.places[at];
        if place.cached != tag && place.cached != 0 && place.knocked != tag {
            place.knocked = tag;
            return Err(hash);
        }
        Ok(self.matches_at(at, tag, account, hash, subject))
    }

    fn matches_at(
        &mut self,
        at: usize,
        tag: u32,
        account: &Account,
        hash: SubjectHash,
        subject: &[u8],
    ) -> Matched {
        // Read before matching: a change that comes after makes the entry stale, never wrong.
        let generation = account.sublist.generation();
        if let Some(e) = &self.cache[at]
            && e.generation == generation
            && e.account == account.id
            && *e.subject == *subject
        {
            return e.matched.clone();
        }
        let matched = account.sublist.match_hashed(hash, subject);
        self.places[at] = Place { cached: tag, knocked: tag };
        self.cache[at] = Some(CacheEntry {
            account: account.id,
            generation,
            subject: subject.into(),
            matched: matched.clone(),
        });
        matched
    }

    /// Delivers to everyone who matches in the account.
    pub fn deliver(
        &mut self,
        stager: &mut Stager,
        account: &Account,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> Delivered {
        match self.matches(account, message.subject) {
            Ok(matched) => self.deliver_to(stager, account, &matched, origin, message, share),
            Err(hash) => self.deliver_uncached(stager, account, hash, origin, message, share),
        }
    }

    /// Delivers to everyone who would get a message of the subject `route`, under the message's own
    /// subject: what consumers of streams send.
    pub fn deliver_by(
        &mut self,
        stager: &mut Stager,
        account: &Account,
        origin: &Origin<'_>,
        route: &[u8],
        message: &Message<'_>,
        share: Share<'_>,
    ) -> Delivered {
        if let Ok(matched) = self.matches(account, route) {
            return self.deliver_to(stager, account, &matched, origin, message, share);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        account.sublist.match_into(route, &mut scratch);
        let delivered = self.deliver_to(stager, account, &scratch, origin, message, share);
        scratch.clear();
        self.scratch = scratch;
        delivered
    }

    /// Delivers to everyone who matches in the account, past the caches: for a subject that
    /// [`Fanout::matches`] did not find worth caching.
    pub fn deliver_uncached(
        &mut self,
        stager: &mut Stager,
        account: &Account,
        hash: SubjectHash,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> Delivered {
        let mut scratch = std::mem::take(&mut self.scratch);
        account.sublist.match_hashed_into(hash, message.subject, &mut scratch);
        let delivered = self.deliver_to(stager, account, &scratch, origin, message, share);
        // Clearing also lets go of subscriptions that may end meanwhile.
        scratch.clear();
        self.scratch = scratch;
        delivered
    }

    /// Delivers to the given matches.
    pub fn deliver_to(
        &mut self,
        stager: &mut Stager,
        account: &Account,
        matched: &Matches<Arc<Subscription>>,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> Delivered {
        let mut any = false;
        for sub in matched.plain() {
            match &sub.to {
                Destination::Client(client) => {
                    any |= self.serve_client(
                        stager,
                        account,
                        sub,
                        client,
                        origin,
                        message,
                        &mut *share,
                    );
                }
                Destination::Internal(endpoint) => {
                    any |= endpoint.serve(stager, sub, origin, message, &mut *share);
                }
                Destination::Link(link) => {
                    if link_takes(origin, &**link, message.subject) {
                        self.add_link(link, None);
                    }
                }
                Destination::Shadow(_) | Destination::Service(_) | Destination::Responses(_) => {
                    any |= self.serve_import(stager, sub, origin, message, &mut *share);
                }
            }
        }
        for group in matched.queues() {
            any |= self.serve_queue_group(stager, account, group, origin, message, &mut *share);
        }
        if !self.links.is_empty() {
            for target in std::mem::take(&mut self.links) {
                let queues: SmallVec<[&[u8]; 4]> =
                    target.queues.iter().filter_map(|s| s.queue()).collect();
                any |= target.link.send(stager, origin, message, &queues);
            }
        }
        Delivered { any }
    }

    fn add_link(&mut self, link: &Arc<dyn Link>, queue: Option<&Arc<Subscription>>) {
        let at = match self.links.iter().position(|t| Arc::ptr_eq(&t.link, link)) {
            Some(at) => at,
            None => {
                self.links.push(LinkTarget { link: link.clone(), queues: SmallVec::new() });
                self.links.len() - 1
            }
        };
        self.links[at].queues.extend(queue.cloned());
    }

    /// One member of the group gets the message (spec 01 §5.9, spec 05 §4.2).
    fn serve_queue_group(
        &mut self,
        stager: &mut Stager,
        account: &Account,
        group: &::sublist::QueueGroup<Arc<Subscription>>,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> bool {
        let from_link = matches!(origin.kind, Kind::Router | Kind::Gateway | Kind::Leaf);
        if from_link && !origin.queues.contains(&group.name()) {
            return false;
        }
        let members = group.members();
        let start = self.pick(members.len());
        let mut fallback: Option<&Arc<Subscription>> = None;
        let mut fallback_is_leaf = false;
        for n in 0..members.len() {
            let at = if start + n < members.len() { start + n } else { start + n - members.len() };
            let sub = &members[at];
            match &sub.to {
                Destination::Client(client) => {
                    let sent = self.serve_client(
                        stager,
                        account,
                        sub,
                        client,
                        origin,
                        message,
                        &mut *share,
                    );
                    if sent {
                        return true;
                    }
                }
                Destination::Internal(endpoint) => {
                    if endpoint.serve(stager, sub, origin, message, &mut *share) {
                        return true;
                    }
                }
                Destination::Shadow(_) | Destination::Service(_) | Destination::Responses(_) => {
                    if self.serve_import(stager, sub, origin, message, &mut *share) {
                        return true;
                    }
                }
                Destination::Link(link) => {
                    let leaf = link.kind() == Kind::Leaf;
                    let acts_for =
                        if leaf { link.cluster().to_vec() } else { link.leaf_origin(sub) };
                    let loops = !origin.cluster.is_empty() && *acts_for == *origin.cluster;
                    if origin.kind == Kind::Router {
                        // The sending server chose this one: local members come first, then a
                        // leafnode, then another route. The random start makes it any of several.
                        if !loops && (fallback.is_none() || (leaf && !fallback_is_leaf)) {
                            fallback = Some(sub);
                            fallback_is_leaf = leaf;
                        }
                    } else if !leaf && origin.kind == Kind::Leaf && origin.spoke {
                        // A spoke does not forward to routes.
                    } else if leaf && matches!(origin.kind, Kind::Client | Kind::Leaf) {
                        if fallback.is_none() && !(origin.kind == Kind::Leaf && loops) {
                            fallback = Some(sub);
                        }
                    } else if !acts_for.is_empty() && !leaf {
                        if !loops && fallback.is_none() {
                            fallback = Some(sub);
                        }
                    } else {
                        self.add_link(link, Some(sub));
                        // Whether it goes out is known when the links are served; a link that is
                        // in the sublist takes messages.
                        return true;
                    }
                }
            }
        }
        if let Some(sub) = fallback
            && let Destination::Link(link) = &sub.to
        {
            self.add_link(link, Some(sub));
            return true;
        }
        false
    }

    /// Stages the message for a client, unless the subscription does not take it.
    #[allow(clippy::too_many_arguments)] // One hot function: a struct would only be taken apart.
    #[inline]
    fn serve_client(
        &mut self,
        stager: &mut Stager,
        account: &Account,
        sub: &Arc<Subscription>,
        client: &Arc<ClientShared>,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> bool {
        if self.tracer.is_some() {
            return self.serve_client_traced(stager, account, sub, client, origin, message, share);
        }
        if sub.is_closed() || (!origin.echo && client.cid == origin.id) {
            return false;
        }
        if self.drop_when_gated && client.egress.is_gated() {
            return false;
        }
        let traits = client.traits();
        if traits.holds_denied()
            && !client.passes_screen(message.subject, sub.queue().unwrap_or_default())
        {
            return false;
        }
        let count = sub.count();
        let max = sub.max();
        let last = max > 0 && count >= max;
        if last {
            client.reached_max(sub, count > max);
            if count > max {
                self.end_subscription(account, sub, client);
                return false;
            }
        }
        let headers = traits.takes_headers();
        let size = if message.header_len > 0 && !headers {
            message.len() - message.header_len
        } else {
            message.len()
        };
        let (stage, pool) = stager.stage(&client.egress);
        stage.count(size);
        let out = stage.buffer();
        if !traits.knows_rtt() && message.reply.len() > MEASURED_REPLY_BYTES {
            client.ping_for_rtt(out);
        }
        let before = out.len();
        let framed_sid = sub.framed_sid();
        out.reserve(
            message.subject.len() + framed_sid.len() + message.reply.len() + size.min(4096) + 64,
        );
        let with_headers = message.header_len > 0 && headers;
        out.extend_from_slice(if with_headers { b"HMSG " } else { b"MSG " });
        out.extend_from_slice(message.subject);
        out.extend_from_slice(framed_sid);
        let large = message.payload_crlf.len() > SHARE_ABOVE_BYTES;
        if let Some(tail) = message.tail
            && !large
            && (headers || message.header_len == 0)
        {
            out.extend_from_slice(tail);
            let staged = out.len() - before;
            stager.account(staged);
        } else {
            if !message.reply.is_empty() {
                out.extend_from_slice(message.reply);
                out.push(b' ');
            }
            let skip = if with_headers {
                out.extend_from_slice(message.header_digits);
                out.push(b' ');
                out.extend_from_slice(message.size_digits);
                0
            } else if message.header_len > 0 {
                out.extend_from_slice(Decimal::new(size as u64).as_bytes());
                message.header_len
            } else {
                out.extend_from_slice(message.size_digits);
                0
            };
            out.extend_from_slice(b"\r\n");
            if large {
                stage.append_shared(share().slice(skip..), pool);
            } else {
                out.extend_from_slice(&message.payload_crlf[skip..]);
            }
            stager.account(framed_sid.len() + message.payload_crlf.len());
        }
        self.traffic.out_messages += 1;
        self.traffic.out_bytes += size as i64;
        if traits.tracks_replies() && !message.reply.is_empty() {
            client.delivered_reply(message.reply);
        }
        if self.trace {
            client.trace_delivery(sub, message);
        }
        if last {
            self.end_subscription(account, sub, client);
        }
        true
    }

    /// The same for a message that is traced: notes what comes of it, and stages nothing if it is
    /// only traced.
    #[allow(clippy::too_many_arguments)] // Those of the function it stands for.
    #[cold]
    fn serve_client_traced(
        &mut self,
        stager: &mut Stager,
        account: &Account,
        sub: &Arc<Subscription>,
        client: &Arc<ClientShared>,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> bool {
        let Some(mut tracer) = self.tracer.take() else { return false };
        let queue = sub.queue().unwrap_or_default();
        let undelivered = if !origin.echo && client.cid == origin.id {
            Some(Undelivered::NoEcho)
        } else if client.traits().holds_denied() && !client.passes_screen(message.subject, queue) {
            Some(Undelivered::Denied)
        } else if sub.is_closed() {
            Some(Undelivered::Closed)
        } else if tracer.only {
            None
        } else if self.serve_client(stager, account, sub, client, origin, message, share) {
            client.egress.is_closed().then_some(Undelivered::ClientClosed)
        } else if self.drop_when_gated && client.egress.is_gated() {
            Some(Undelivered::Slow)
        } else {
            Some(Undelivered::AutoUnsubscribe)
        };
        tracer.reached(client, account, sub, undelivered);
        self.tracer = Some(tracer);
        undelivered.is_none()
    }

    /// Removes a subscription that has had all its messages.
    #[cold]
    fn end_subscription(&self, account: &Account, sub: &Arc<Subscription>, client: &ClientShared) {
        if sub.close() {
            if self.trace {
                client.trace_removal(sub);
            }
            // It may have been removed by the client's own UNSUB at the same time.
            let _ = account.sublist.remove(sub);
            client.forget(sub);
        }
    }

    /// Publishes the counters gathered since the last call.
    pub fn take_traffic(&mut self) -> TrafficBatch {
        std::mem::take(&mut self.traffic)
    }
}
