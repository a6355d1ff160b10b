//! Subjects, the subscription trie and other subject-keyed structures.

#![forbid(unsafe_code)]

mod arena;
mod cache;
mod edges;
mod error;
pub mod gsl;
mod interest;
mod list;
mod literals;
mod notify;
mod stats;
pub mod stree;
pub mod subject;
mod subscription;
mod token;
pub mod transform;
mod trie;

pub use cache::{CACHE_MAX, CACHE_SWEEP};
pub use error::SublistError;
pub use list::{SubjectHash, Sublist};
pub use notify::InterestListener;
pub use stats::SublistStats;
pub use subscription::{MAX_WEIGHT_SLOTS, Matches, QueueGroup, Subscriber, Subscription};
