//! Going from match to match of a filter that few subjects match.
//!
//! A cursor holds, for every subject that matched when it was made, the first message not yet
//! passed; links lead from there to the next one of the same subject. It answers for the messages
//! there were when it was made: what was stored since may be of subjects it does not know.

use super::Slots;
use crate::filter::SubjectFilter;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Messages that are passed to get to where a search starts, before a new cursor is cheaper.
const MAX_PASSED: usize = 256;

/// The next matches of a filter.
#[derive(Debug)]
pub(super) struct MatchCursor {
    filter: SubjectFilter,
    /// Where the search began for which it was made; it knows nothing before.
    from: u64,
    /// The last sequence when it was made.
    end: u64,
    next: BinaryHeap<Reverse<u64>>,
}

impl MatchCursor {
    /// A cursor over the first messages, at or after `from`, of all subjects that match.
    pub(super) fn new(filter: &SubjectFilter, from: u64, end: u64, firsts: Vec<u64>) -> Self {
        let next = firsts.into_iter().map(Reverse).collect();
        MatchCursor { filter: filter.clone(), from, end, next }
    }

    /// The first match at or after `start`; `None` when the cursor cannot tell.
    pub(super) fn next(
        &mut self,
        slots: &Slots,
        filter: &SubjectFilter,
        start: u64,
    ) -> Option<u64> {
        if start < self.from || self.filter != *filter {
            return None;
        }
        self.from = start;
        for _ in 0..MAX_PASSED {
            let Reverse(first) = *self.next.peek()?;
            // Of a message that was removed nobody knows what followed it.
            let slot = slots.get(first)?;
            if first > self.end {
                return None;
            }
            if first >= start {
                return Some(first);
            }
            self.next.pop();
            if slot.next != 0 {
                self.next.push(Reverse(slot.next));
            }
        }
        None
    }
}
