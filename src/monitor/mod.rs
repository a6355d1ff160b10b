//! The monitoring endpoints.
//!
//! * [`http`]: the HTTP/1.1 connection engine: bytes in, requests out;
//! * [`response`]: what is sent back, byte for byte;
//! * [`request`]: a parsed request, its path and its query;
//! * [`parameters`]: the typed query parameters and their error texts.

pub mod http;
pub mod parameters;
pub mod request;
pub mod response;
