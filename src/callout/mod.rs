//! The authorization callout: a service decides who a connection is (spec 03 §26).
//!
//! * [`policy`]: which connections are delegated to a service;
//! * [`request`]: what the service is told;
//! * [`response`]: what its answer means;
//! * [`thread`]: the thread that asks, waits and tells the connection's reactor.
//!
//! The connection is paused from the question to the answer, or to the end of the time that a login
//! may take.

pub mod policy;
pub mod request;
pub mod response;
pub mod thread;

pub use policy::{Policy, Subjected};
pub use thread::{Ask, Order};

/// Where requests are published.
pub const SUBJECT: &str = "$SYS.REQ.USER.AUTH";
/// The header with the key that an answer may be sealed for.
pub const XKEY_HEADER: &str = "Nats-Server-Xkey";

use crate::auth::User;
use crate::closed::ClosedState;
use std::sync::Arc;

/// What came of asking.
pub enum Outcome {
    /// It may connect, as that user; the name, if there is one, is what it is called from now on.
    Granted(Arc<User>, String),
    /// It may not, for the reason in the log.
    Refused(ClosedState),
}
