//! Storage and engines of JetStream, free of sockets and threads of their own.

#![forbid(unsafe_code)]

pub mod config;
#[cfg(test)]
mod conformance;
pub mod deletes;
pub mod duration;
pub mod error;
pub mod filter;
pub mod headers;
pub mod markers;
pub mod memstore;
pub mod message;
pub mod schedules;
pub mod seqset;
pub mod store;
pub mod time;
pub mod timewheel;
pub mod ttl;
pub mod types;
pub mod varint;
