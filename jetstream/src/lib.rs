//! Storage and engines of JetStream, free of sockets and threads of their own.

#![forbid(unsafe_code)]

pub mod api;
pub mod api_error;
pub mod api_level;
pub mod config;
#[cfg(test)]
mod conformance;
pub mod consumer;
pub mod consumers;
pub mod deletes;
pub mod disk;
pub mod duration;
pub mod error;
pub mod filestore;
pub mod filter;
pub mod gojson;
pub mod headers;
pub mod markers;
pub mod memstore;
pub mod message;
pub mod quote;
mod random;
pub mod schedules;
pub mod seqset;
pub mod server;
pub mod store;
pub mod stream;
pub mod time;
pub mod timewheel;
pub mod ttl;
pub mod types;
pub mod varint;
