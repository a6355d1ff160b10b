//! The parts of this server that take and send messages themselves: system services, JetStream, the
//! account resolver (spec 01 §5, spec 04 §4).
//!
//! Each such part is a thread with one [`Inbox`]. It subscribes as an internal [`Client`] in any
//! number of accounts, with a tag of its own for each subscription; what matches is copied into a
//! [`Batch`] by the delivering thread and arrives in its inbox with the rest of that read batch:
//! one lock and at most one wake-up. It publishes through its [`Publisher`], a delivery context like
//! a reactor's: everything is staged, and handed over before the thread waits again.
//!
//! Nothing here grows without bound. A full inbox holds back the connections that filled it until
//! its owner has caught up ([`INBOX_HOLD_BYTES`]). Publishing threads of the server cannot wait,
//! since they might wait for each other: what they send to an inbox is taken up to
//! [`INBOX_REFUSE_BYTES`], and beyond that it reaches nobody, as if there were no subscription. The
//! protocols between them repeat what was not answered.
//!
//! Invariants: messages of one publisher arrive in the order in which it sent them; what was taken
//! before [`Inbox::close`] can still be received; an inbox's lock is never held while another is
//! taken.

mod batch;
mod client;
mod inbox;
mod publisher;
mod service;

pub use batch::{Batch, Received};
pub use client::{Client, Endpoint, Interest};
pub use inbox::{INBOX_HOLD_BYTES, INBOX_REFUSE_BYTES, Inbox, Wake, Watch};
pub use publisher::{Outgoing, Publisher};
pub use service::{Context, Mail, spawn};

#[cfg(test)]
mod tests;
