//! Storage and engines of JetStream, free of sockets and threads of their own.

#![forbid(unsafe_code)]

pub mod config;
pub mod deletes;
pub mod disk;
pub mod error;
pub mod filestore;
pub mod filter;
pub mod message;
pub mod seqset;
pub mod store;
pub mod time;
pub mod types;
mod varint;
