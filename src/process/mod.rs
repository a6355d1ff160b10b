//! The server as a process of its operating system.

pub mod errno;
pub mod host;
