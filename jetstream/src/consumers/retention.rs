//! Which messages a stream must keep for a consumer (spec 07a §A6, spec 07b §B4, §B5.5).

use super::{Consumer, Turn};
use crate::config::AckPolicy;
use crate::store::Lookup;
use crate::types::StreamSequence;

impl Consumer {
    /// Whether a message of this subject is still needed here.
    pub fn needs(&self, sequence: StreamSequence, subject: &[u8]) -> bool {
        if !self.filter.matches(subject) {
            return false;
        }
        let progress = &self.progress;
        let is_awaited = sequence > progress.floor.stream
            && match self.config().ack_policy {
                AckPolicy::None | AckPolicy::All | AckPolicy::FlowControl => true,
                AckPolicy::Explicit => {
                    sequence >= progress.next_stream || progress.pending.contains_key(&sequence)
                }
            };
        // A message past its last delivery is kept until it is deleted or acknowledged late.
        is_awaited || progress.redelivered.contains_key(&sequence)
    }

    /// Tells the stream of all messages that the consumer does not need any more, in case some of
    /// that went unheard: after a restart, or when the consumer was moved.
    ///
    /// Messages are looked at once: what was found not to be needed is not told again.
    pub fn review_interest(&mut self, turn: &mut Turn<'_>) {
        let state = turn.store.fast_state();
        let floor = self.progress.floor.stream;
        if floor > state.last_seq {
            return;
        }
        let end = if self.progress.pending.is_empty() {
            floor
        } else {
            floor.max(self.progress.delivered().stream)
        };
        let mut next = state.first_seq.max(self.checked_floor);
        while !end.is_zero() && next <= end {
            let Ok(Lookup::Found(message)) = turn.store.load_next(&self.filter, next) else {
                break;
            };
            let sequence = message.sequence();
            if sequence > end {
                break;
            }
            if sequence <= floor || !self.progress.pending.contains_key(&sequence) {
                self.release(sequence, sequence);
            }
            next = sequence.next();
        }
        self.checked_floor = self.checked_floor.max(floor.next().min(next));
    }
}
