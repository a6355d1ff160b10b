//! The server's log: what a line looks like, where it goes, and what is held back.
//!
//! A [`Logger`] is a value shared as `Arc<Logger>` by every thread; there is no global one.
//! A line is formatted by the calling thread, then prefixed and written with one `write(2)`
//! under the sink's lock. Errors of a destination never reach the caller: a log that cannot be
//! written must not stop a server that can still serve.
//!
//! * [`logger`]: the shared handle, level switches, configuration and re-opening;
//! * [`line`]: the text of a line ("spec 02, 10.2");
//! * [`file`]: the rotating file ("spec 02, 10.3");
//! * [`syslog`]: local and remote syslog ("spec 02, 10.4");
//! * [`label`]: how a connection is named in a line ("spec 01, 13.1");
//! * [`trace`]: protocol and payload trace texts ("spec 01, 13.2");
//! * [`rate_limit`]: suppression of repeated statements ("spec 02, 10.7").

pub mod file;
pub mod label;
pub mod line;
pub mod logger;
pub mod rate_limit;
pub mod syslog;
pub mod trace;

pub use label::{ConnectIdentity, ConnectionKind, ConnectionLabel};
pub use line::Level;
pub use logger::{AfterFatal, LogError, LogOptions, Logger, OpenedLog};
pub use rate_limit::StatementLimiter;
