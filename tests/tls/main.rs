//! TLS for clients and monitoring, seen from the sockets (spec 01 §10, spec 03 §5 and §9).

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod certificates;
mod client_certificates;
mod handshake;
mod load;
mod monitoring;
mod opening;
mod reload;
mod start;
mod wire;
