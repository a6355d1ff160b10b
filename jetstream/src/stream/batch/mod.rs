//! Batches: atomic ones, stored as a whole or not at all (spec 07a §A9), and fast ones, stored
//! message by message with flow control instead of acknowledgements (spec 07a §A10).

mod atomic;
mod fast;
mod reply;
mod staged;
#[cfg(test)]
mod tests;

pub(super) use atomic::{Abandoned, AtomicBatches};
pub(super) use fast::FastBatches;
pub(super) use reply::FastReply;

/// The longest id of a batch.
const MAX_ID_LEN: usize = 64;
