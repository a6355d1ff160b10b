//! What the server does, seen from its sockets.

#[path = "../support/mod.rs"]
mod support;

mod client_protocol;
