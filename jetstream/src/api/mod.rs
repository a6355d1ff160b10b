//! The JetStream API as bytes: subjects, requests, answers (spec 07c).
//!
//! Nothing here acts: [`subjects`] tells what is asked for, [`decode`] and [`shapes`] read
//! requests, [`requests`] and [`responses`] are their types. Who acts is [`crate::server`].

pub mod decode;
pub mod requests;
pub mod responses;
pub mod shapes;
pub mod subjects;

#[cfg(test)]
mod tests;
