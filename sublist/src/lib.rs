//! Subjects, the subscription trie and other subject-keyed structures.

#![forbid(unsafe_code)]

mod cache;
mod edges;
mod error;
mod interest;
mod list;
mod literals;
mod notify;
mod stats;
pub mod gsl;
pub mod stree;
pub mod subject;
mod subscription;
mod token;
mod trie;

pub use cache::{CACHE_MAX, CACHE_SWEEP};
pub use error::SublistError;
pub use list::Sublist;
pub use notify::InterestListener;
pub use stats::SublistStats;
pub use subscription::{MAX_WEIGHT_SLOTS, Matches, QueueGroup, Subscriber, Subscription};
