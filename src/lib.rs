//! nats-server: configuration, accounts, connection kinds, delivery and monitoring.

pub mod identity;
pub mod logging;
pub mod process;
pub mod config;
pub mod nkey;
