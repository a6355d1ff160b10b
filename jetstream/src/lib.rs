//! Storage and engines of JetStream, free of sockets and threads of their own.

pub mod disk;
pub mod filestore;
