//! Storage and engines of JetStream, free of sockets and threads of their own.

#![forbid(unsafe_code)]

pub mod config;
pub mod deletes;
pub mod disk;
pub mod duration;
pub mod error;
pub mod filestore;
pub mod filter;
pub mod headers;
pub mod message;
pub mod schedules;
pub mod seqset;
pub mod store;
pub mod time;
pub mod timewheel;
pub mod ttl;
pub mod types;
mod varint;
