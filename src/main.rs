//! The `nats-server` command.

fn main() {}
