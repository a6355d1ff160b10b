//! nats-server: configuration, accounts, connection kinds, delivery and monitoring.

pub mod advertise;
pub mod identity;
pub mod json;
pub mod logging;
pub mod monitor;
pub mod process;
