//! Limits by count and size (spec 06, section 13.1).
//!
//! Removals by limits leave no tombstone: opening the store enforces the limits again.

use super::FileStore;
use super::append::HeldBefore;
use super::remove::{LAST_BLOCK_IS_BOUND, Removal};
use crate::config::DiscardPolicy;
use crate::error::{StoreError, StoreResult};
use crate::headers;
use crate::store::{DiscardNewCheck, NewMessage, StoreEffect};
use crate::types::StreamSequence;

fn limit(configured: i64) -> Option<u64> {
    u64::try_from(configured).ok().filter(|limit| *limit > 0)
}

impl FileStore {
    /// Decides whether a stream that discards new messages takes this one. True when the oldest
    /// message of its subject has to go for it.
    pub(super) fn admit(
        &mut self,
        message: &NewMessage<'_>,
        len: u64,
        check: DiscardNewCheck,
    ) -> StoreResult<bool> {
        if self.config.discard != DiscardPolicy::New || check == DiscardNewCheck::Skip {
            return Ok(false);
        }
        let mut replacing = false;
        if let Some(max) = limit(self.config.max_msgs_per_subject)
            && !message.subject.is_empty()
        {
            let held = self.subjects.find(message.subject).map_or(0, |info| info.total);
            if held + 1 > max {
                if self.config.discard_new_per_subject
                    && !headers::has_value(message.header, headers::ROLLUP)
                {
                    return Err(StoreError::MaxMessagesPerSubject);
                }
                replacing = true;
            }
        }
        if limit(self.config.max_msgs).is_some_and(|max| self.totals.messages >= max) && !replacing
        {
            return Err(StoreError::MaxMessages);
        }
        if limit(self.config.max_bytes).is_some_and(|max| self.totals.bytes + len > max) {
            if !replacing {
                return Err(StoreError::MaxBytes);
            }
            let oldest = self.first_of_subject(message.subject, 0)?;
            let freed = match oldest {
                Some(seq) => self.record_len(seq)?,
                None => 0,
            };
            if freed < len {
                return Err(StoreError::MaxBytes);
            }
        }
        Ok(replacing)
    }

    /// Keeps the limit of a subject that just got a message.
    pub(super) fn enforce_per_subject_on(
        &mut self,
        subject: &[u8],
        before: HeldBefore,
    ) -> StoreResult<()> {
        let Some(max) = limit(self.config.max_msgs_per_subject) else { return Ok(()) };
        if before.messages < max {
            return Ok(());
        }
        // The only message of a subject is its oldest, and it is known which that is.
        if before.messages == 1 && before.last != 0 && before.last != LAST_BLOCK_IS_BOUND {
            self.remove_by_limit(before.last)?;
            return Ok(());
        }
        self.enforce_per_subject(subject)
    }

    /// Removes the oldest messages of a subject until its limit is kept.
    pub(super) fn enforce_per_subject(&mut self, subject: &[u8]) -> StoreResult<()> {
        let Some(max) = limit(self.config.max_msgs_per_subject) else { return Ok(()) };
        while self.subjects.find(subject).is_some_and(|info| info.total > max) {
            if !self.remove_oldest_of(subject)? {
                break;
            }
        }
        Ok(())
    }

    /// Removes the oldest message of a subject; false when none could be found.
    pub(super) fn remove_oldest_of(&mut self, subject: &[u8]) -> StoreResult<bool> {
        let Some(seq) = self.first_of_subject(subject, 0)? else { return Ok(false) };
        self.remove_by_limit(seq)
    }

    /// Removes one message without a tombstone and tells of it.
    pub(super) fn remove_by_limit(&mut self, seq: u64) -> StoreResult<bool> {
        let Some(removed) = self.take_out(seq, Removal::Limit)? else { return Ok(false) };
        self.effects.push_back(StoreEffect::Removed {
            sequence: StreamSequence::new(seq),
            subject: removed.subject,
            bytes: removed.bytes,
        });
        Ok(true)
    }

    /// Removes the oldest messages until `max_msgs` is kept.
    pub(super) fn enforce_max_messages(&mut self) -> StoreResult<()> {
        let Some(max) = limit(self.config.max_msgs) else { return Ok(()) };
        while self.totals.messages > max {
            let excess = self.totals.messages - max;
            if !self.remove_front(|messages, _| messages <= excess)? {
                break;
            }
        }
        Ok(())
    }

    /// Removes the oldest messages until `max_bytes` is kept.
    pub(super) fn enforce_max_bytes(&mut self) -> StoreResult<()> {
        let Some(max) = limit(self.config.max_bytes) else { return Ok(()) };
        while self.totals.bytes > max {
            let excess = self.totals.bytes - max;
            if !self.remove_front(|_, bytes| bytes <= excess)? {
                break;
            }
        }
        Ok(())
    }

    /// Removes the first block if `whole` says of its messages and bytes that all of it must go,
    /// else the first message. False when there is nothing to remove.
    fn remove_front(&mut self, whole: impl Fn(u64, u64) -> bool) -> StoreResult<bool> {
        let Some(position) = self.blocks.iter().position(|block| !block.is_empty()) else {
            return Ok(false);
        };
        let block = &self.blocks[position];
        if position + 1 < self.blocks.len() && whole(block.messages, block.bytes) {
            let (messages, bytes) = self.empty_block(position, Removal::Limit)?;
            self.effects.push_back(StoreEffect::RemovedMany { messages, bytes });
            return Ok(true);
        }
        let seq = block.first.seq;
        let before = self.totals.messages;
        // A message that turned out to be damaged is gone too.
        Ok(self.remove_by_limit(seq)? || self.totals.messages < before)
    }

    /// Enforces the limit per subject on all subjects, as after it was lowered.
    pub(super) fn enforce_per_subject_everywhere(&mut self) -> StoreResult<()> {
        let Some(max) = limit(self.config.max_msgs_per_subject) else { return Ok(()) };
        let mut over: Vec<Box<[u8]>> = Vec::new();
        self.subjects.iter_ordered(|subject, info| {
            if info.total > max {
                over.push(subject.into());
            }
            true
        });
        for subject in over {
            self.enforce_per_subject(&subject)?;
        }
        self.tidy()
    }
}
