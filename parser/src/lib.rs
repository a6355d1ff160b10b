//! Zero-copy parsing and encoding of the wire protocols: bytes in, events out.
//!
//! Nothing here opens, waits or allocates on the way of a message. A parser is
//! a small resumable struct; the owner of the socket owns the bytes.
//!
//! - [`client`]: the commands of a client connection.
//! - [`line`]: control lines and payload frames, shared by all kinds of links.
//! - [`encode`]: what the server sends.
//! - [`quote`]: quoting of bytes for logs and error texts.

#![forbid(unsafe_code)]

pub mod client;
pub mod encode;
pub mod error;
pub mod line;
mod printable;
pub mod quote;
pub mod state;
