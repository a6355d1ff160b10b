//! Zero-copy parsing and encoding of the wire protocols: bytes in, events out.
//!
//! Nothing here opens, waits or allocates on the way of a message. A parser is
//! a small resumable struct; the owner of the socket owns the bytes.
//!
//! - [`client`]: the commands of a client connection.
//! - [`line`](mod@line): control lines and payload frames, shared by all kinds
//!   of links.
//! - [`headers`]: header blocks of messages.
//! - [`encode`]: what the server sends.
//! - [`proxy`]: the PROXY protocol header before a client's bytes.
//! - [`trace`]: texts of protocol trace lines.
//! - [`json_input`]: JSON from peers, judged as the reference does.
//! - [`quote`]: quoting of bytes for logs and error texts.

#![forbid(unsafe_code)]

pub mod client;
pub mod encode;
pub mod error;
pub mod headers;
pub mod json_input;
pub mod line;
mod printable;
pub mod proxy;
pub mod quote;
pub mod redact;
pub mod state;
