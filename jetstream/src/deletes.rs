//! The binary stream state that replicas exchange, and the delete blocks in it.
//!
//! Spec 06 §9.2:
//! ```text
//! u8 42 | u8 1 | uvarint msgs | uvarint bytes | uvarint first | uvarint last | uvarint failed
//!     | uvarint deleted | delete blocks, to the end, if deleted > 0
//! delete block: 22 ... an encoded sequence set, or 33 | uvarint first | uvarint count
//! ```

use crate::error::{StoreError, StoreResult};
use crate::seqset::SequenceSet;
use crate::types::StreamSequence;
use crate::varint::{put_uvarint, take_uvarint};

const STATE_MAGIC: u8 = 42;
const STATE_VERSION: u8 = 1;
const RUN_MAGIC: u8 = 33;

/// Some sequences that hold no message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeleteBlock {
    /// Any sequences.
    Set(SequenceSet),
    /// `count` sequences from `first`.
    Range {
        /// The first of them.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Sequences as the older JSON form lists them, ascending.
    List(Vec<u64>),
}

impl DeleteBlock {
    /// First and last sequence and their count. Zeros when a set or list is empty.
    pub fn state(&self) -> (u64, u64, u64) {
        match self {
            DeleteBlock::Set(set) => set.state(),
            DeleteBlock::Range { first, count } => {
                (*first, first.saturating_add(count.saturating_sub(1)), *count)
            }
            DeleteBlock::List(list) => match (list.first(), list.last()) {
                (Some(first), Some(last)) => (*first, *last, list.len() as u64),
                _ => (0, 0, 0),
            },
        }
    }

    /// The sequences. A range may be as long as its sender claims: bound it before walking it.
    pub fn iter(&self) -> Box<dyn Iterator<Item = u64> + '_> {
        match self {
            DeleteBlock::Set(set) => Box::new(set.iter()),
            DeleteBlock::Range { first, count } => Box::new(*first..first.saturating_add(*count)),
            DeleteBlock::List(list) => Box::new(list.iter().copied()),
        }
    }

    /// Appends the block's encoding. A list is written as the set of its members.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            DeleteBlock::Set(set) => set.encode_into(out),
            DeleteBlock::Range { first, count } => {
                out.push(RUN_MAGIC);
                put_uvarint(out, *first);
                put_uvarint(out, *count);
            }
            DeleteBlock::List(list) => {
                list.iter().copied().collect::<SequenceSet>().encode_into(out);
            }
        }
    }

    fn take(input: &mut &[u8]) -> Option<DeleteBlock> {
        match input.first()? {
            &RUN_MAGIC => {
                *input = input.get(1..)?;
                let first = take_uvarint(input)?;
                Some(DeleteBlock::Range { first, count: take_uvarint(input)? })
            }
            _ => {
                let (set, len) = SequenceSet::decode(input).ok()?;
                *input = input.get(len..)?;
                Some(DeleteBlock::Set(set))
            }
        }
    }
}

/// How many sequences `blocks` delete altogether, saturating.
pub fn count_deleted(blocks: &[DeleteBlock]) -> u64 {
    blocks.iter().fold(0, |total, block| total.saturating_add(block.state().2))
}

/// The state of a stream as a snapshot of its RAFT group carries it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplicatedState {
    /// Messages held.
    pub messages: u64,
    /// Bytes held.
    pub bytes: u64,
    /// First sequence.
    pub first: StreamSequence,
    /// Last sequence.
    pub last: StreamSequence,
    /// Proposals the stream refused.
    pub failed: u64,
    /// What is deleted between first and last.
    pub deleted: Vec<DeleteBlock>,
}

impl ReplicatedState {
    /// Whether `bytes` start like a binary stream state, as opposed to the JSON form.
    pub fn is_encoded(bytes: &[u8]) -> bool {
        bytes.starts_with(&[STATE_MAGIC, STATE_VERSION])
    }

    /// The binary form. The count of deleted sequences is 0, and blocks are left out, unless the
    /// last sequence is above the first.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![STATE_MAGIC, STATE_VERSION];
        let deleted = if self.last > self.first { count_deleted(&self.deleted) } else { 0 };
        for value in
            [self.messages, self.bytes, self.first.get(), self.last.get(), self.failed, deleted]
        {
            put_uvarint(&mut out, value);
        }
        if deleted > 0 {
            self.deleted.iter().for_each(|block| block.encode_into(&mut out));
        }
        out
    }

    /// Reads the binary form. [`StoreError::BadStreamStateEncoding`] when it starts like something
    /// else, [`StoreError::CorruptStreamState`] when it breaks off or holds an unknown block.
    pub fn decode(bytes: &[u8]) -> StoreResult<ReplicatedState> {
        if !Self::is_encoded(bytes) {
            return Err(StoreError::BadStreamStateEncoding);
        }
        let mut input = bytes.get(2..).unwrap_or_default();
        Self::take_fields(&mut input).ok_or(StoreError::CorruptStreamState)
    }

    fn take_fields(input: &mut &[u8]) -> Option<ReplicatedState> {
        let mut state = ReplicatedState {
            messages: take_uvarint(input)?,
            bytes: take_uvarint(input)?,
            first: take_uvarint(input)?.into(),
            last: take_uvarint(input)?.into(),
            failed: take_uvarint(input)?,
            deleted: Vec::new(),
        };
        // A count that breaks off counts as none: that is how far the reference reads.
        if take_uvarint(input).unwrap_or(0) > 0 {
            while !input.is_empty() {
                state.deleted.push(DeleteBlock::take(input)?);
            }
        }
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> ReplicatedState {
        ReplicatedState {
            messages: 10,
            bytes: 400,
            first: StreamSequence::new(22),
            last: StreamSequence::new(3000),
            failed: 7,
            deleted: vec![
                DeleteBlock::Range { first: 23, count: 100 },
                DeleteBlock::Set((200..2900).step_by(3).collect()),
            ],
        }
    }

    #[test]
    fn state_without_deletes_is_a_few_varints() {
        let state = ReplicatedState { deleted: Vec::new(), ..sample() };
        assert_eq!(state.encode(), [42, 1, 10, 0x90, 3, 22, 0xb8, 0x17, 7, 0]);
        assert_eq!(ReplicatedState::decode(&state.encode()), Ok(state));
    }

    #[test]
    fn state_with_deletes_reads_back() {
        let state = sample();
        assert_eq!(count_deleted(&state.deleted), 1000);
        assert_eq!(ReplicatedState::decode(&state.encode()), Ok(state));
    }

    #[test]
    fn deletes_do_not_count_unless_last_is_above_first() {
        let state = ReplicatedState { last: StreamSequence::new(22), ..sample() };
        let decoded = ReplicatedState::decode(&state.encode()).expect("valid");
        assert!(decoded.deleted.is_empty());
    }

    #[test]
    fn foreign_and_broken_states_are_told_apart() {
        let foreign = Err(StoreError::BadStreamStateEncoding);
        assert_eq!(ReplicatedState::decode(b""), foreign);
        assert_eq!(ReplicatedState::decode(b"{\"messages\":1}"), foreign);
        assert_eq!(ReplicatedState::decode(&[42, 2, 0, 0, 0, 0, 0, 0]), foreign);
        let corrupt = Err(StoreError::CorruptStreamState);
        assert_eq!(ReplicatedState::decode(&[42, 1, 0, 0, 0, 0]), corrupt);
        assert_eq!(ReplicatedState::decode(&[42, 1, 0, 0, 0, 0, 0, 1, 99]), corrupt);
        assert_eq!(ReplicatedState::decode(&[42, 1, 0, 0, 0, 0, 0, 1, 33, 5]), corrupt);
        let mut cut = sample().encode();
        cut.pop();
        assert_eq!(ReplicatedState::decode(&cut), corrupt);
    }

    #[test]
    fn runs_and_lists_tell_their_ends_and_members() {
        for (block, state) in [
            (DeleteBlock::Range { first: 2, count: 1 }, (2, 2, 1)),
            (DeleteBlock::List(vec![2]), (2, 2, 1)),
            (DeleteBlock::List(vec![2, 5]), (2, 5, 2)),
            (DeleteBlock::Range { first: 2, count: 4 }, (2, 5, 4)),
            (DeleteBlock::List(Vec::new()), (0, 0, 0)),
            (DeleteBlock::Set(SequenceSet::new()), (0, 0, 0)),
        ] {
            assert_eq!(block.state(), state);
            let members: Vec<u64> = block.iter().collect();
            assert_eq!(members.len() as u64, state.2);
            assert!(members.first().is_none_or(|first| *first == state.0));
            assert!(members.last().is_none_or(|last| *last == state.1));
        }
    }

    #[test]
    fn runs_at_the_end_of_the_numbers_do_not_overflow() {
        let run = DeleteBlock::Range { first: u64::MAX, count: u64::MAX };
        assert_eq!(run.state(), (u64::MAX, u64::MAX, u64::MAX));
        assert_eq!(run.iter().count(), 0);
        assert_eq!(count_deleted(&[run.clone(), run]), u64::MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail_cleanly(tail in prop::collection::vec(any::<u8>(), 0..400)) {
            let bytes = [&[42, 1, 1, 1, 1, 1, 1, 1][..], &tail].concat();
            if let Ok(state) = ReplicatedState::decode(&bytes) {
                prop_assert_eq!(state.messages, 1);
            }
        }
    }
}
