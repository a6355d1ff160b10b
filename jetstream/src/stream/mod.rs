//! The stream engine (spec 07a): takes messages in, decides on them, stores them, answers.
//!
//! A [`Stream`] owns its store and everything that decides what goes into it. It opens nothing and
//! asks nobody. Its driver
//! 1. makes it over a store, with [`Stream::new`], then calls [`Stream::start`], and if
//!    [`Stream::unfinished_batch`] names a batch, [`Stream::recover_batch`];
//! 2. hands in messages with [`Stream::publish`], what its mirror and sources send with
//!    [`Stream::received`], and what clients ask of it with the methods named after that;
//! 3. calls [`Stream::tick`] once [`Stream::next_deadline`] has passed;
//! 4. syncs the store now and then, and hands the result to [`Stream::committed`]: what speaks of
//!    messages that are not durable yet is held back until then. A driver that does not wait for
//!    the disk calls it with [`Stream::last_sequence`] instead;
//! 5. takes [`Stream::poll_effect`] until it is empty after each of these.
//!
//! Publishing is made of checking ([`Stream::check`]) and applying ([`Stream::apply`]), so that a
//! replicated stream can have what was checked agreed on before it is applied.
//!
//! Consumers are no part of a stream: it says what was stored and removed, and is told of
//! interest ([`Stream::set_interest`]) and acknowledgements ([`Stream::acknowledged`]).

mod ack;
mod advisory;
mod apply;
mod batch;
mod check;
pub mod config;
pub mod context;
mod counter;
mod dedupe;
mod direct_get;
mod message;
mod outbox;
mod publish_headers;
mod removal;
mod republish;
mod retention;
mod rules;
pub mod sourcing;
#[cfg(test)]
mod tests;
mod update;

pub use advisory::Action;
pub use apply::Place;
pub use check::{Proposal, Refusal};
pub use context::StreamContext;
pub use direct_get::{DirectGet, GetRequest};
pub use message::{Inbound, Origin, Outbound, Published, StreamEffect, SubscriptionId};
pub use retention::{ConsumerView, is_unneeded};
pub use rules::stored_size;

use crate::config::StreamConfig;
use crate::error::{StoreError, StoreResult};
use crate::headers;
use crate::random::Random;
use crate::store::Store;
use crate::time::Timestamp;
use crate::types::{StreamSequence, StreamState};
use ack::AckWriter;
use apply::Member;
use batch::{AtomicBatches, FastBatches, FastReply};
use bytes::Bytes;
use dedupe::Dedupe;
use outbox::Outbox;
use publish_headers::{PublishHeaders, given};
use republish::Republish;
use retention::Interest;
use sourcing::Sourcing;
use std::collections::VecDeque;
use sublist::transform::SubjectTransform;

/// A stream of one server. See the module for how to drive it.
pub struct Stream {
    config: StreamConfig,
    created: Timestamp,
    context: StreamContext,
    store: Box<dyn Store>,
    outbox: Outbox,
    random: Random,
    ack: AckWriter,
    /// The last sequence given out. Invariant: the store's, between calls.
    last_sequence: StreamSequence,
    /// The id of the message with the last sequence; empty if it has none.
    last_message_id: Vec<u8>,
    dedupe: Dedupe,
    interest: Interest,
    transform: Option<SubjectTransform>,
    republish: Option<Republish>,
    atomic: AtomicBatches,
    fast: FastBatches,
    sourcing: Sourcing,
    /// Messages that expired, which the store left for the stream to remove.
    expired: Vec<StreamSequence>,
    /// Messages the store wants published: markers and scheduled ones.
    internal: VecDeque<Inbound>,
    /// Set by the first failed write: nothing is stored from then on.
    write_error: Option<StoreError>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("account", &self.context.account)
            .field("name", &self.config.name)
            .field("last_sequence", &self.last_sequence)
            .finish_non_exhaustive()
    }
}

impl Stream {
    /// A stream over a store, which is new or recovered. The configuration must be one that
    /// [`config::validate`] gave.
    pub fn new(
        config: StreamConfig,
        created: Timestamp,
        store: Box<dyn Store>,
        context: StreamContext,
    ) -> Self {
        let state = store.fast_state();
        let durable = store.durable_sequence().max(state.last_seq);
        Stream {
            created,
            outbox: Outbox::new(durable),
            random: Random::new(context.seed),
            ack: AckWriter::new(&config.name, context.domain.as_deref()),
            last_sequence: state.last_seq,
            last_message_id: Vec::new(),
            dedupe: Dedupe::new(config.duplicate_window),
            interest: Interest::default(),
            transform: update::transform_of(&config),
            republish: Republish::of(&config),
            atomic: AtomicBatches::new(context.batch_count.clone()),
            fast: FastBatches::new(context.batch_count.clone()),
            sourcing: Sourcing::default(),
            expired: Vec::new(),
            internal: VecDeque::new(),
            write_error: None,
            config,
            context,
            store,
        }
    }

    /// Starts work: remembers the ids of recent messages, and sets up mirror and sources. A
    /// replicated stream does so when it becomes leader.
    pub fn start(&mut self, now: Timestamp) {
        self.recover_ids(now);
        self.start_sourcing(now);
        self.settle(now);
    }

    /// Rebuilds what is known of message ids from the messages of the window (spec 07a §A7.4).
    fn recover_ids(&mut self, now: Timestamp) {
        self.dedupe = Dedupe::new(self.config.duplicate_window);
        if let Ok(last) = self.store.load(self.last_sequence) {
            let id = headers::value(last.header(), headers::MESSAGE_ID);
            self.last_message_id = id.unwrap_or_default().to_vec();
        }
        let Ok(window) = u64::try_from(self.config.duplicate_window) else { return };
        if window == 0 {
            return;
        }
        let since = now.saturating_sub(std::time::Duration::from_nanos(window));
        let mut next = self.store.sequence_from_time(since);
        while next <= self.last_sequence {
            let found = self.store.load_next(&crate::filter::SubjectFilter::All, next);
            let Ok(crate::store::Lookup::Found(message)) = found else { break };
            if let Some(id) = headers::value(message.header(), headers::MESSAGE_ID)
                && !id.is_empty()
            {
                self.dedupe.insert(id, message.sequence(), message.timestamp());
            }
            next = message.sequence().next();
        }
        self.dedupe.expire(now);
    }

    /// Takes in a message published on one of the stream's subjects.
    pub fn publish(&mut self, mut message: Inbound, now: Timestamp) -> Published {
        if let Some(header) = headers::without_status(&message.header) {
            message.header = header.into();
        }
        let published = if let Some(fast) = FastReply::of(&message.reply, &message.header) {
            self.publish_fast(message, fast, now)
        } else if let Some(id) = batch_id(&message.header) {
            self.publish_atomic(message, id, now)
        } else {
            self.publish_single(message, now)
        };
        self.settle(now);
        published
    }

    /// Takes in a message that is in no batch.
    fn publish_single(&mut self, message: Inbound, now: Timestamp) -> Published {
        let reply = message.reply.clone();
        match self.check(message, now) {
            Ok(proposal) => self.apply_as(&proposal, Place::Next, Member::No, now),
            Err(Refusal::Error(error)) => self.refuse(&reply, error),
            Err(Refusal::Duplicate(sequence)) => {
                if self.answers(&reply) {
                    let ack = self.ack.ack(sequence, ack::Tail::Duplicate);
                    self.send_held(Outbound::plain(reply, ack));
                }
                Published::Duplicate(sequence)
            }
        }
    }

    /// Answers a message that was dropped because more came in than the stream's queue holds
    /// (spec 07a §A7.10). Streams that acknowledge nothing answer too.
    pub fn dropped(&mut self, reply: &Bytes) {
        if reply.is_empty() {
            return;
        }
        let message = Outbound {
            subject: reply.clone(),
            reply: Bytes::new(),
            header: Bytes::from_static(b"NATS/1.0 429 Too Many Requests\r\n\r\n"),
            payload: self.ack.too_many_requests(),
        };
        self.outbox.push(StreamEffect::Send(message));
    }

    /// Everything up to `durable` survives a power loss: what was held back for that may leave.
    pub fn committed(&mut self, durable: StreamSequence) {
        self.outbox.committed(durable);
        self.atomic.durable(durable);
    }

    /// Whether answers wait for [`committed`](Stream::committed).
    pub fn is_holding_answers(&self) -> bool {
        self.outbox.is_holding()
    }

    /// The oldest effect not yet taken that may leave.
    pub fn poll_effect(&mut self) -> Option<StreamEffect> {
        self.outbox.poll()
    }

    /// When [`tick`](Stream::tick) has work, if ever.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        [
            self.store.next_deadline(),
            self.dedupe.next_deadline(),
            self.atomic.next_deadline(),
            self.fast.next_deadline(),
            self.sourcing.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what has fallen due.
    pub fn tick(&mut self, now: Timestamp) {
        let due = |deadline: Option<Timestamp>| deadline.is_some_and(|deadline| deadline <= now);
        if due(self.store.next_deadline())
            && let Err(error) = self.store.tick(now)
        {
            self.store_failed(error);
        }
        if due(self.dedupe.next_deadline()) {
            self.dedupe.expire(now);
        }
        self.expire_atomic(now);
        self.fast.expire(now);
        if due(self.sourcing.next_deadline()) {
            self.tick_sourcing(now);
        }
        self.settle(now);
    }

    /// The configuration in force.
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// When the stream was created.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The last sequence given out.
    pub fn last_sequence(&self) -> StreamSequence {
        self.last_sequence
    }

    /// The state, without lists.
    pub fn state(&self) -> StreamState {
        self.store.fast_state()
    }

    /// The store, for consumers to read and the driver to sync. Changes go through the stream.
    pub fn store(&mut self) -> &mut dyn Store {
        &mut *self.store
    }

    /// Makes everything stored so far durable, and lets go what waited for that.
    ///
    /// # Errors
    /// Those of the store, after which nothing is stored any more.
    pub fn sync(&mut self) -> StoreResult<StreamSequence> {
        match self.store.sync() {
            Ok(durable) => {
                self.committed(durable);
                Ok(durable)
            }
            Err(error) => {
                self.store_failed(error.clone());
                Err(error)
            }
        }
    }

    /// The binary state for replication (spec 06 §9.2).
    ///
    /// # Errors
    /// Those of the store.
    pub fn encoded_state(&mut self, failed: u64) -> StoreResult<Vec<u8>> {
        self.store.encoded_state(failed)
    }

    /// Why nothing is stored any more, if a write failed.
    pub fn write_error(&self) -> Option<&StoreError> {
        self.write_error.as_ref()
    }

    /// How many message ids are remembered.
    pub fn message_ids(&self) -> usize {
        self.dedupe.len()
    }

    /// How many atomic and fast batches are open.
    pub fn open_batches(&self) -> (usize, usize) {
        (self.atomic.len(), self.fast.len())
    }

    /// Ends work and closes the store. Open batches are dropped.
    ///
    /// # Errors
    /// Those of the store.
    pub fn stop(&mut self, now: Timestamp) -> StoreResult<()> {
        self.atomic.clear();
        self.fast.clear();
        self.stop_sourcing();
        let stopped = self.store.stop(now);
        self.drain_store();
        stopped
    }

    /// Ends work and removes all that is stored. Who listens is told, and so are the origins of
    /// mirror and sources, which need not keep their consumers.
    ///
    /// # Errors
    /// Those of the store.
    pub fn delete(&mut self, now: Timestamp) -> StoreResult<()> {
        self.advise(Action::Delete, now);
        self.atomic.clear();
        self.fast.clear();
        self.delete_sourcing_consumers();
        self.stop_sourcing();
        let deleted = self.store.delete();
        self.drain_store();
        deleted
    }

    /// Panics when an invariant of the type does not hold.
    pub fn check_invariants(&self) {
        let state = self.store.fast_state();
        assert!(
            self.write_error.is_some() || self.last_sequence == state.last_seq,
            "last sequence {} but the store's is {}",
            self.last_sequence,
            state.last_seq
        );
        assert!(self.expired.is_empty() && self.internal.is_empty());
        self.sourcing.check_invariants();
    }
}

/// The batch a header names.
fn batch_id(header: &Bytes) -> Option<Bytes> {
    if header.is_empty() {
        return None;
    }
    let id = given(PublishHeaders::parse(header).batch_id)?;
    Some(header.slice_ref(id))
}
