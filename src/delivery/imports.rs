//! Messages that cross from one account into another (spec 03 §17 and §18).
//!
//! All of it happens on the thread of the publisher, as part of the delivery of its message: a
//! subscription that stands for an import is found like any other, and delivers again in the other
//! account. [`Hop`]s remember through which services a message has come, so that imports that lead
//! back do not go round for ever.

use super::{Fanout, Kind, Message, Origin, Share};
use crate::account::responses::{Response, reply_subject};
use crate::account::{Account, Mapped, Responses, ServiceExport, ServiceImport};
use crate::client::ClientShared;
use crate::message_trace::{DESTINATION, DISABLED, Tracer};
use crate::monitor::format::Time;
use crate::subscription::{Destination, Shadow, Subscription};
use ::sublist::Subscription as _;
use bytes::Bytes;
use eventloop::Stager;
use parser::encode::Decimal;
use parser::headers;
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// The header that tells a service who asks.
const REQUEST_INFO: &[u8] = b"Nats-Request-Info";
/// Replies of this kind keep their subject, for the sake of pull consumers in other accounts.
const ACK_PREFIX: &[u8] = b"$JS.ACK.";

/// A service that the message being delivered has come through.
pub(super) struct Hop {
    export: Arc<ServiceExport>,
    share: bool,
    info: Option<RequestInfo>,
}

/// Who asks, as services are told.
#[derive(Clone, Debug, Default, Serialize)]
struct RequestInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Time>,
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    #[serde(skip_serializing_if = "is_zero")]
    id: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    acc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    svc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ver: String,
    #[serde(skip_serializing_if = "is_zero")]
    rtt: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    server: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_type: &'static str,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl RequestInfo {
    /// Of a client: its account and round-trip time, and all the rest if it is shared.
    fn of(client: &ClientShared, share: bool) -> RequestInfo {
        let mut info = RequestInfo {
            rtt: u64::try_from(client.rtt().as_nanos()).unwrap_or(u64::MAX),
            ..RequestInfo::default()
        };
        client.with_details(|d| {
            info.acc.clone_from(&d.account);
            if share {
                info.user.clone_from(&d.user);
                info.name.clone_from(&d.name);
                info.lang.clone_from(&d.lang);
                info.ver.clone_from(&d.version);
            }
        });
        if share {
            info.add_server(client);
            info.start = Some(Time::local(client.start));
            info.host = client.peer().ip().to_canonical().to_string();
            info.id = client.cid;
            info.kind = "Client";
            info.client_type = "nats";
        }
        info
    }

    fn add_server(&mut self, client: &ClientShared) {
        let info = client.server.info();
        self.server.clone_from(&info.server_name);
        self.cluster.clone_from(&info.cluster);
    }
}

/// All that services are told of a client, as JSON.
pub fn client_info(client: &ClientShared) -> serde_json::Value {
    // Serialising a plain structure into memory cannot fail.
    serde_json::to_value(RequestInfo::of(client, true)).unwrap_or_default()
}

impl Fanout {
    /// A subscription that leads into another account. Returns whether anyone got the message.
    #[cold]
    pub(super) fn serve_import(
        &mut self,
        stager: &mut Stager,
        sub: &Subscription,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> bool {
        match &sub.to {
            Destination::Shadow(shadow) => {
                self.serve_shadow(stager, sub, shadow, origin, message, share)
            }
            Destination::Service(import) => {
                self.serve_request(stager, import, origin, message, share)
            }
            Destination::Responses(responses) => {
                self.serve_response(stager, responses, origin, message, share)
            }
            Destination::Client(_) | Destination::Internal(_) | Destination::Link(_) => false,
        }
    }

    /// A message of a stream that another account imports.
    fn serve_shadow(
        &mut self,
        stager: &mut Stager,
        sub: &Subscription,
        shadow: &Shadow,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> bool {
        // What came through a service import is not exported again.
        if !self.hops.is_empty() {
            return false;
        }
        let subject = shadow.import.delivered_subject(message.subject);
        let message = Message { subject: &subject, ..*message };
        let (importer, parent) = (&shadow.importer, &shadow.parent);
        let mut untraced = None;
        if let Some(tracer) = &mut self.tracer {
            tracer.exported(&importer.name, &subject, sub.subject());
            if !shadow.import.wanted.allow_trace {
                if tracer.only {
                    tracer.left_export();
                    // As far as the publisher may know, somebody got it.
                    return true;
                }
                untraced = self.tracer.take();
            }
        }
        let taken = match &parent.to {
            Destination::Client(client) => {
                self.serve_client(stager, importer, parent, client, origin, &message, share)
            }
            Destination::Internal(endpoint) => {
                endpoint.serve(stager, parent, origin, &message, share)
            }
            Destination::Link(_)
            | Destination::Shadow(_)
            | Destination::Service(_)
            | Destination::Responses(_) => false,
        };
        if untraced.is_some() {
            self.tracer = untraced;
        }
        if let Some(tracer) = &mut self.tracer {
            tracer.left_export();
        }
        taken
    }

    /// A request to a service of another account. Returns whether anyone got it.
    fn serve_request(
        &mut self,
        stager: &mut Stager,
        import: &ServiceImport,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> bool {
        let original = message;
        // The server that a request came in at does the import.
        if matches!(origin.kind, Kind::Router | Kind::Gateway) || self.went_through(&import.export)
        {
            return false;
        }
        let Some(importer) = import.importer() else { return false };
        let exporter = &import.exporter;
        let keeps_reply = message.reply.is_empty() || message.reply.starts_with(ACK_PREFIX);
        let expected = if keeps_reply {
            None
        } else {
            let reply = self.expect(exporter, &importer, message.reply, &import.export);
            if reply.is_none() {
                return false;
            }
            reply
        };
        let mut subject = import.target(message.subject);
        if let Some(mappings) = exporter.mappings() {
            let mut mapped = Vec::new();
            match mappings.map_into(&subject, || self.random_bits(), &mut mapped) {
                Mapped::Unchanged => {}
                // Without a subject it reaches nobody.
                Mapped::Changed | Mapped::Dropped => subject = mapped,
            }
        }
        let (message, untraced) = match self.trace_request(import, message, &subject) {
            Traced::Not => (None, None),
            Traced::Stops => {
                if let Some(reply) = expected {
                    exporter.responses(0).forget(&reply);
                }
                return true;
            }
            Traced::Goes { owned, untraced } => (Some(owned), untraced),
        };
        let replaced = message;
        let message = original;
        let traced_message;
        let mut own_share;
        let (message, share): (&Message<'_>, Share<'_>) = match &replaced {
            None => (message, share),
            Some(owned) => {
                traced_message = owned.message(message.subject, message.reply);
                own_share = || owned.payload.clone();
                (&traced_message, &mut own_share)
            }
        };
        let info = self.request_info(import, origin);
        let hop = Hop {
            export: import.export.clone(),
            share: self.hops.first().map_or(import.share, |first| first.share),
            info: info.clone(),
        };
        let reply = expected.as_deref().unwrap_or(message.reply);
        let any = match info {
            Some(info) => {
                let owned = WithInfo::new(message, &info);
                let message = owned.message(&subject, reply);
                self.cross(stager, exporter, hop, origin, &message, &mut || owned.payload.clone())
            }
            None => {
                let message = Message { subject: &subject, reply, tail: None, ..*message };
                self.cross(stager, exporter, hop, origin, &message, share)
            }
        };
        if untraced.is_some() {
            self.tracer = untraced;
        }
        // Nobody has a message that is only traced, so nobody will answer it.
        let unheard = !any || self.tracer.as_ref().is_some_and(|tracer| tracer.only);
        if unheard && let Some(reply) = expected {
            exporter.responses(0).forget(&reply);
        }
        any
    }

    /// What a trace of the message makes of a request to another account.
    fn trace_request(
        &mut self,
        import: &ServiceImport,
        message: &Message<'_>,
        to: &[u8],
    ) -> Traced {
        let Some(tracer) = &mut self.tracer else { return Traced::Not };
        tracer.requested(&import.exporter.name, message.subject, to);
        let destination = if import.export.allow_trace {
            // Servers behind this one would answer there; on this one nobody does.
            let (own, random) = (self.random_number(), self.random_number());
            reply_subject(own, random)
        } else if tracer.only {
            return Traced::Stops;
        } else {
            DISABLED.as_bytes().to_vec()
        };
        let untraced = if import.export.allow_trace { None } else { self.tracer.take() };
        let (header, rest) = message.payload_crlf.split_at(message.header_len);
        let header = headers::set(header, DESTINATION.as_bytes(), &destination);
        Traced::Goes { owned: WithInfo::of(&header, rest), untraced }
    }

    /// An answer of a service to a request from another account.
    fn serve_response(
        &mut self,
        stager: &mut Stager,
        responses: &Responses,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> bool {
        let Some(response) = responses.take(message.subject) else { return false };
        let Response { requestor, responder, reply, export, .. } = &response;
        if self.went_through(export) {
            return false;
        }
        // The answer may itself ask for one, which then goes the other way.
        let keeps_reply = message.reply.is_empty() || message.reply.starts_with(ACK_PREFIX);
        let expected = if keeps_reply {
            None
        } else {
            self.expect(requestor, responder, message.reply, export)
        };
        let answer = Message {
            subject: reply,
            reply: expected.as_deref().unwrap_or(if keeps_reply { message.reply } else { b"" }),
            tail: if message.reply.is_empty() { message.tail } else { None },
            ..*message
        };
        let hop = Hop { export: export.clone(), share: false, info: None };
        let any = self.cross(stager, requestor, hop, origin, &answer, share);
        if !any && let Some(reply) = expected {
            requestor.responses(0).forget(&reply);
        }
        if !any || message.is_empty() {
            responses.forget(message.subject);
        } else {
            responses.renew(message.subject, Instant::now());
        }
        any
    }

    fn went_through(&self, export: &Arc<ServiceExport>) -> bool {
        self.hops.iter().any(|hop| Arc::ptr_eq(&hop.export, export))
    }

    /// Makes the reply subject under which `account` answers a request of `requestor`.
    fn expect(
        &mut self,
        account: &Arc<Account>,
        requestor: &Arc<Account>,
        reply: &[u8],
        export: &Arc<ServiceExport>,
    ) -> Option<Vec<u8>> {
        let (own, random) = (self.random_number(), self.random_number());
        let response = Response::new(requestor, account, reply, export, Instant::now());
        account.responses(own).expect(response, random)
    }

    /// Delivers in another account.
    fn cross(
        &mut self,
        stager: &mut Stager,
        account: &Account,
        hop: Hop,
        origin: &Origin<'_>,
        message: &Message<'_>,
        share: Share<'_>,
    ) -> bool {
        // The links collected so far get the message as it was before.
        let links = std::mem::take(&mut self.links);
        self.hops.push(hop);
        let delivered = self.deliver(stager, account, origin, message, share);
        self.hops.pop();
        self.links = links;
        delivered.any
    }

    /// What the service is told of who asks: in a chain of imports, of the first one to ask.
    fn request_info(&self, import: &ServiceImport, origin: &Origin<'_>) -> Option<RequestInfo> {
        let client = origin.client?;
        let to_system = client.server.is_system_account(&import.exporter);
        let Some(last) = self.hops.last() else {
            let mut info = RequestInfo::of(client, import.share);
            if !import.share && to_system {
                info.add_server(client);
            }
            return Some(info);
        };
        let mut info = last.info.clone().unwrap_or_else(|| RequestInfo::of(client, last.share));
        info.svc.clone_from(&import.importer_name);
        if !last.share && (import.share || to_system) {
            info.add_server(client);
        }
        Some(info)
    }
}

/// What becomes of a request to another account that may be traced.
enum Traced {
    /// It is not traced.
    Not,
    /// It is traced up to here, and not delivered.
    Stops,
    /// It goes on with another header; the trace that ends here is put aside.
    Goes { owned: WithInfo, untraced: Option<Box<Tracer>> },
}

/// A message with a header of ours.
struct WithInfo {
    payload: Bytes,
    header_len: usize,
    header_digits: Decimal,
    size_digits: Decimal,
}

impl WithInfo {
    fn new(message: &Message<'_>, info: &RequestInfo) -> WithInfo {
        // Serialising a plain structure into memory cannot fail.
        let json = crate::json::to_vec(info).unwrap_or_default();
        let (header, rest) = message.payload_crlf.split_at(message.header_len);
        let header = headers::replace(header, REQUEST_INFO, &json);
        WithInfo::of(&header, rest)
    }

    /// A message with these headers; `rest` is what follows them, the line end included.
    fn of(header: &[u8], rest: &[u8]) -> WithInfo {
        let payload = Bytes::from([header, rest].concat());
        WithInfo {
            header_len: header.len(),
            header_digits: Decimal::new(header.len() as u64),
            size_digits: Decimal::new((payload.len() - 2) as u64),
            payload,
        }
    }

    fn message<'a>(&'a self, subject: &'a [u8], reply: &'a [u8]) -> Message<'a> {
        Message {
            subject,
            reply,
            header_len: self.header_len,
            header_digits: self.header_digits.as_bytes(),
            size_digits: self.size_digits.as_bytes(),
            payload_crlf: &self.payload,
            tail: None,
        }
    }
}
