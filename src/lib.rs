//! nats-server: configuration, accounts, connection kinds, delivery and monitoring.

pub mod account;
pub mod advertise;
pub mod auth;
pub mod client;
pub mod closed;
pub mod config;
pub mod delivery;
pub mod identity;
pub mod info;
pub mod internal;
pub mod jetstream;
pub mod json;
pub mod jwt;
pub mod logging;
pub mod message_trace;
pub mod monitor;
pub mod nkey;
pub mod operator;
pub mod process;
pub mod reload;
pub mod server;
pub mod startup;
pub mod subscription;
pub mod system;
pub mod tls;
pub mod worker;
