//! Which expired messages are being replaced by delete markers or removed by proposal.
//!
//! Spec 06 §14.4. With `subject_delete_marker_ttl`, a store does not remove what expires: the
//! stream publishes a marker, or proposes the removal, and the store learns of the outcome when it
//! is applied. Until then the message must not be proposed over and over, and must not count when
//! asking whether another one is the last of its subject.

use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// The same message is proposed again only after this time.
const PROPOSAL_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Proposal {
    /// Whether the message was the last of its subject.
    last: bool,
    at: Timestamp,
}

/// Messages whose end was proposed. Holds at most the messages that have expired.
#[derive(Clone, Debug, Default)]
pub struct MarkerProposals {
    by_sequence: BTreeMap<u64, Proposal>,
    /// How many of them each subject has.
    by_subject: BTreeMap<Box<[u8]>, u64>,
}

impl MarkerProposals {
    /// No proposals.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides on an expired message of a subject that holds `held` messages. `None`: it was
    /// proposed just now. Otherwise whether it is the last of its subject, and a marker should
    /// take its place.
    pub fn propose(
        &mut self,
        sequence: u64,
        subject: &[u8],
        held: u64,
        now: Timestamp,
    ) -> Option<bool> {
        let proposed = self.by_subject.get(subject).copied().unwrap_or(0);
        let others = held.saturating_sub(proposed);
        if let Some(proposal) = self.by_sequence.get_mut(&sequence) {
            if now.saturating_since(proposal.at) < PROPOSAL_INTERVAL {
                return None;
            }
            // Messages may have come since: then this is no longer the last.
            proposal.last &= others == 0;
            proposal.at = now;
            return Some(proposal.last);
        }
        if held == 0 {
            return Some(false);
        }
        let last = others == 1;
        self.by_sequence.insert(sequence, Proposal { last, at: now });
        *self.by_subject.entry(subject.into()).or_default() += 1;
        Some(last)
    }

    /// The message is gone.
    pub fn remove(&mut self, sequence: u64, subject: &[u8]) {
        if self.by_sequence.remove(&sequence).is_none() {
            return;
        }
        if let Some(count) = self.by_subject.get_mut(subject) {
            *count -= 1;
            if *count == 0 {
                self.by_subject.remove(subject);
            }
        }
    }

    /// Forgets every proposal.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_sequence.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn only_the_last_message_of_a_subject_gets_a_marker() {
        let mut proposals = MarkerProposals::new();
        assert_eq!(proposals.propose(1, b"a", 3, at(0)), Some(false));
        assert_eq!(proposals.propose(2, b"a", 3, at(0)), Some(false));
        assert_eq!(proposals.propose(3, b"a", 3, at(0)), Some(true));
        assert_eq!(proposals.propose(4, b"b", 1, at(0)), Some(true));
    }

    #[test]
    fn the_same_message_is_proposed_again_after_two_seconds() {
        let mut proposals = MarkerProposals::new();
        assert_eq!(proposals.propose(1, b"a", 1, at(10)), Some(true));
        assert_eq!(proposals.propose(1, b"a", 1, at(11)), None);
        assert_eq!(proposals.propose(1, b"a", 1, at(12)), Some(true));
        // A newer message arrived in the meantime.
        assert_eq!(proposals.propose(1, b"a", 2, at(14)), Some(false));
        assert_eq!(proposals.propose(1, b"a", 1, at(16)), Some(false));
    }

    #[test]
    fn removed_messages_no_longer_count() {
        let mut proposals = MarkerProposals::new();
        assert_eq!(proposals.propose(1, b"a", 2, at(0)), Some(false));
        proposals.remove(1, b"a");
        proposals.remove(1, b"a");
        assert!(proposals.is_empty());
        assert_eq!(proposals.propose(2, b"a", 1, at(0)), Some(true));
        assert_eq!(proposals.propose(9, b"gone", 0, at(0)), Some(false));
    }
}
