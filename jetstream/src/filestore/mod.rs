//! The file store: a stream's messages in message blocks (spec 06).

pub mod compression;
pub mod encryption;
pub mod record;
