//! nats-server: configuration, accounts, connection kinds, delivery and monitoring.

pub mod config;
pub mod nkey;
