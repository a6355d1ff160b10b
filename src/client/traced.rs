//! Publishing a message that asks to be traced (spec 04 §10).

use super::{Client, Refused};
use crate::account::TrafficBatch;
use crate::delivery::{Fanout, Kind, Message, Origin};
use crate::message_trace::trigger::may_ask;
use crate::message_trace::{Begun, DESTINATION, DISABLED, Tracer};
use crate::system::events::ServerInfo;
use bytes::Bytes;
use eventloop::{Input, Io};
use parser::client::{ParseError, Pub};
use parser::encode::Decimal;
use parser::headers;
use parser::quote::quote;

/// A message with a payload of its own.
struct Owned {
    payload_crlf: Bytes,
    header_len: usize,
    header_digits: Decimal,
    size_digits: Decimal,
}

impl Owned {
    fn new(header: &[u8], body: &[u8]) -> Owned {
        let payload_crlf = Bytes::from([header, body, b"\r\n"].concat());
        Owned {
            header_len: header.len(),
            header_digits: Decimal::new(header.len() as u64),
            size_digits: Decimal::new((header.len() + body.len()) as u64),
            payload_crlf,
        }
    }

    fn message<'a>(&'a self, subject: &'a [u8], reply: &'a [u8]) -> Message<'a> {
        Message {
            subject,
            reply,
            header_len: self.header_len,
            header_digits: self.header_digits.as_bytes(),
            size_digits: self.size_digits.as_bytes(),
            payload_crlf: &self.payload_crlf,
            tail: None,
        }
    }
}

impl Client {
    /// Publishes a message with headers that may ask for a trace. `original` is its subject before
    /// the account's mappings.
    #[expect(clippy::too_many_arguments)] // Those of `publish`, and the subject.
    #[cold]
    pub(super) fn publish_traced(
        &mut self,
        original: &[u8],
        fanout: &mut Fanout,
        own: &mut TrafficBatch,
        io: &mut Io<'_>,
        input: &mut Input<'_>,
        p: &Pub<'_>,
        trace: bool,
    ) {
        let server = self.shared.server.clone();
        if server.system().is_none() {
            // There is nobody to send a trace.
            return self.publish_untraced(fanout, own, io, input, p, trace);
        }
        let random = server.random_below(100);
        let begun = {
            let (shared, account) = (self.shared.clone(), self.account.clone());
            let may_publish = |to: &str| self.may_publish_trace(to.as_bytes());
            let header = p.header();
            Tracer::begin(&shared, &account, header, original, p.payload.len(), may_publish, random)
        };
        let mut tracer = match begun {
            Begun::Untraced => return self.publish_untraced(fanout, own, io, input, p, trace),
            Begun::Disabled => {
                if self.admit(own, io, p, trace).is_ok() {
                    let destination = DESTINATION.as_bytes();
                    let header = headers::set(p.header(), destination, DISABLED.as_bytes());
                    self.deliver_owned(fanout, io, p, &Owned::new(&header, p.body()));
                }
                return;
            }
            Begun::Dropped => {
                own.in_messages += 1;
                own.in_bytes += p.payload.len() as i64;
                return;
            }
            Begun::Forbidden(destination) => {
                own.in_messages += 1;
                own.in_bytes += p.payload.len() as i64;
                return self.publish_violation(io, destination.as_bytes());
            }
            Begun::Traced(tracer) => tracer,
        };
        if original != p.subject {
            tracer.mapped(p.subject);
        }
        match self.admit(own, io, p, trace) {
            Ok(()) => {
                fanout.tracer = Some(tracer);
                self.deliver_owned(fanout, io, p, &Owned::new(p.header(), p.body()));
                let Some(back) = fanout.tracer.take() else { return };
                tracer = back;
            }
            Err(Refused::Subject) => {
                let subject = quote(p.subject);
                tracer.refused(&format!("Permissions Violation for Publish to {subject}"));
            }
            Err(Refused::Reply) => {
                let reply = quote(p.reply);
                tracer.refused(&format!("Permissions Violation for Publish with Reply of {reply}"));
            }
        }
        self.send_trace(fanout, io, *tracer);
    }

    /// Tells of a message that is larger than the limit, as far as its headers are there.
    #[cold]
    pub(super) fn trace_oversized(
        &mut self,
        fanout: &mut Fanout,
        io: &mut Io<'_>,
        bytes: &[u8],
        error: &ParseError,
    ) {
        let ParseError::MaxPayload { arg, size, header_len, payload_start, .. } = error else {
            return;
        };
        let server = self.shared.server.clone();
        let rest = bytes.get(*payload_start..).unwrap_or_default();
        let header = rest.get(..*header_len as usize).unwrap_or(rest);
        if server.system().is_none() || !may_ask(header) {
            return;
        }
        let subject = arg.split(u8::is_ascii_whitespace).find(|word| !word.is_empty());
        let subject = subject.unwrap_or_default();
        let (shared, account) = (self.shared.clone(), self.account.clone());
        let may_publish = |to: &str| self.may_publish_trace(to.as_bytes());
        let (size, random) = (*size as usize, server.random_below(100));
        match Tracer::begin(&shared, &account, header, subject, size, may_publish, random) {
            Begun::Traced(mut tracer) => {
                tracer.refused("maximum payload exceeded");
                self.send_trace(fanout, io, *tracer);
            }
            Begun::Forbidden(destination) => self.publish_violation(io, destination.as_bytes()),
            Begun::Untraced | Begun::Disabled | Begun::Dropped => {}
        }
    }

    fn deliver_owned(&mut self, fanout: &mut Fanout, io: &mut Io<'_>, p: &Pub<'_>, owned: &Owned) {
        let message = owned.message(p.subject, p.reply);
        let origin = Origin {
            client: Some(&self.shared),
            ..Origin::client(self.shared.cid, self.options.echo)
        };
        let mut share = || owned.payload_crlf.clone();
        let delivered = fanout.deliver(io.stager, &self.account, &origin, &message, &mut share);
        if !delivered.any && !p.reply.is_empty() && self.options.no_responders {
            self.no_responders(io, p);
        }
    }

    /// Whether the user may publish a trace to that subject.
    fn may_publish_trace(&mut self, to: &[u8]) -> bool {
        if to.starts_with(b"_GR_.") || to.starts_with(b"$GR.") {
            return false;
        }
        let server = &self.shared.server;
        if to.starts_with(b"$NRG.") && !server.is_system_account(&self.account) {
            return false;
        }
        self.permissions.as_mut().is_none_or(|check| check.allows(&self.shared, to))
    }

    /// Publishes a trace, as the account's own client.
    fn send_trace(&self, fanout: &mut Fanout, io: &mut Io<'_>, tracer: Tracer) {
        let server = &self.shared.server;
        let Some(system) = server.system() else { return };
        let account = tracer.account().clone();
        let destination = tracer.destination().to_owned();
        let (header, body) = tracer.finish(ServerInfo::stamp(server, system.next_seq()));
        let owned = Owned::new(&header, &body);
        let message = owned.message(destination.as_bytes(), b"");
        let origin = Origin { kind: Kind::Account, ..Origin::client(0, false) };
        let mut share = || owned.payload_crlf.clone();
        fanout.deliver(io.stager, &account, &origin, &message, &mut share);
    }
}
