//! What the server does, seen from its sockets.

#[path = "../support/mod.rs"]
mod support;

mod auto_unsubscribe;
mod bad_input;
mod client_protocol;
mod connect;
mod connections;
mod delivery;
mod headers;
mod info;
mod lame_duck;
mod limits;
mod load;
mod logging_trace;
mod message_trace;
mod passwords;
mod ping;
mod ports_and_pid;
mod proxy_protocol;
mod queue_groups;
mod shutdown;
mod slow_consumers;
mod subscriptions;
