//! Taking messages out of a stream: deleting one, purging many (spec 07a §A5).

use super::Stream;
use super::message::StreamEffect;
use crate::api_error::{ApiError, ErrorKind};
use crate::error::{StoreError, StoreResult};
use crate::filter::SubjectFilter;
use crate::store::{PurgeRequest, RandomSource};
use crate::time::Timestamp;
use crate::types::StreamSequence;

impl Stream {
    /// Deletes one message for a client. `erase` names the source of what overwrites its bytes;
    /// without it the message is only removed.
    ///
    /// # Errors
    /// `10109` when sealed, `10057` when deleting is denied or fails, `10043` when there is no
    /// such message.
    pub fn delete_message(
        &mut self,
        sequence: StreamSequence,
        erase: Option<&mut dyn RandomSource>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        if self.config.sealed {
            return Err(ErrorKind::StreamSealed.into());
        }
        if self.config.deny_delete {
            return Err(ErrorKind::StreamMsgDeleteFailed.with("message delete not permitted"));
        }
        let removed = match erase {
            Some(random) => self.erase(sequence, random, now),
            None => self.remove(sequence, now),
        };
        match removed {
            Ok(true) => Ok(()),
            Ok(false) => Err(ErrorKind::SequenceNotFound.with(sequence)),
            Err(StoreError::Closed) => Err(ErrorKind::StreamMsgDeleteFailed.with("stream closed")),
            Err(error) => Err(ErrorKind::StreamMsgDeleteFailed.with(error)),
        }
    }

    /// Removes one message; false when there was none.
    ///
    /// # Errors
    /// Those of the store.
    pub fn remove(&mut self, sequence: StreamSequence, now: Timestamp) -> StoreResult<bool> {
        let removed = self.store.remove(sequence);
        self.settle(now);
        removed
    }

    /// Removes one message and overwrites its bytes; false when there was none.
    ///
    /// # Errors
    /// Those of the store.
    pub fn erase(
        &mut self,
        sequence: StreamSequence,
        random: &mut dyn RandomSource,
        now: Timestamp,
    ) -> StoreResult<bool> {
        let removed = self.store.erase(sequence, random);
        self.settle(now);
        removed
    }

    /// Purges for a client; returns how many messages that removed.
    ///
    /// # Errors
    /// `10003` for a sequence and a number to keep at once, `10109` when sealed, `10110` when
    /// purging is denied, `10051` when it fails.
    pub fn purge(&mut self, request: PurgeRequest, now: Timestamp) -> Result<u64, ApiError> {
        if !request.below.is_zero() && request.keep > 0 {
            return Err(ErrorKind::BadRequest.into());
        }
        if self.config.sealed {
            return Err(ErrorKind::StreamSealed.into());
        }
        if self.config.deny_purge {
            return Err(ErrorKind::StreamPurgeFailed.with("stream purge not permitted"));
        }
        let purged = self.purge_store(request);
        self.settle(now);
        purged.map_err(|error| match error {
            StoreError::Closed => ErrorKind::StreamGeneral.with("stream closed"),
            error => ErrorKind::StreamGeneral.with(error),
        })
    }

    /// Removes everything, as when an interest stream lost its last consumer.
    ///
    /// # Errors
    /// Those of the store.
    pub fn purge_all(&mut self, now: Timestamp) -> StoreResult<u64> {
        let purged = self.purge_store(PurgeRequest {
            filter: SubjectFilter::All,
            below: StreamSequence::default(),
            keep: 0,
        });
        self.settle(now);
        purged
    }

    /// Purges, and tells consumers where they go on.
    pub(super) fn purge_store(&mut self, request: PurgeRequest) -> StoreResult<u64> {
        let purged = if request.filter.is_all() && request.below.is_zero() && request.keep == 0 {
            self.store.purge()?
        } else {
            self.store.purge_matching(&request)?
        };
        self.drain_store();
        let state = self.store.fast_state();
        // A purge up to a sequence not yet given out makes the numbering go on there.
        self.last_sequence = self.last_sequence.max(state.last_seq);
        let matching_first = if request.filter.is_all() {
            state.first_seq
        } else {
            self.store.filtered_state(state.first_seq, &request.filter)?.first
        };
        self.outbox.push(StreamEffect::Purged {
            filter: request.filter,
            stream_first: state.first_seq,
            matching_first,
            last: state.last_seq,
        });
        Ok(purged)
    }
}
