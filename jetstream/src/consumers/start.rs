//! Where a new consumer starts (spec 07b §B2.7).

use super::progress::Progress;
use super::{Consumer, Turn};
use crate::config::DeliverPolicy;
use crate::error::StoreResult;
use crate::filter::SubjectFilter;
use crate::types::StreamSequence;
use std::collections::VecDeque;

/// The last message of each subject, as it was when the consumer was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SkipList {
    /// The stream's last message at that time: delivery goes on behind it.
    pub(super) resume: StreamSequence,
    /// The messages still to be delivered, ascending.
    pub(super) sequences: VecDeque<StreamSequence>,
}

impl Consumer {
    /// Finds the first message, and remembers it.
    pub(super) fn select_start(&mut self, turn: &mut Turn<'_>) -> StoreResult<()> {
        let state = turn.store.fast_state();
        let chosen = self.chosen_start(turn)?;
        let config = self.config();
        // Mirrors and sources are not to wait for what the stream has not reached.
        let may_be_ahead = config.opt_start_seq > 0 && !config.direct;
        let first = if state.first_seq.is_zero() && !may_be_ahead {
            StreamSequence::new(1)
        } else if chosen > state.last_seq && !may_be_ahead {
            state.last_seq.next()
        } else {
            chosen.max(state.first_seq)
        };
        let first = first.max(StreamSequence::new(1));
        let is_alone = config.replicas(turn.store.config()) <= 1;
        self.progress = Progress::starting_at(first);
        if is_alone {
            self.store.set_starting(first.previous(), turn.now)?;
        }
        Ok(())
    }

    fn chosen_start(&mut self, turn: &mut Turn<'_>) -> StoreResult<StreamSequence> {
        let state = turn.store.fast_state();
        let config = self.config();
        if config.opt_start_seq > 0 {
            return Ok(config.opt_start_seq.into());
        }
        Ok(match config.deliver_policy {
            DeliverPolicy::All => state.first_seq,
            DeliverPolicy::Last if self.filter.is_all() => state.last_seq,
            DeliverPolicy::Last => {
                let first = StreamSequence::new(1);
                turn.store.filtered_state(first, &self.filter)?.last
            }
            DeliverPolicy::LastPerSubject if turn.store.config().max_msgs_per_subject == 1 => {
                state.first_seq
            }
            DeliverPolicy::LastPerSubject => {
                let filters: Vec<SubjectFilter> =
                    self.filter.parts().into_iter().cloned().collect();
                let last = turn.store.multi_last_sequences(&filters, StreamSequence::ZERO, 0)?;
                let sequences: VecDeque<StreamSequence> = last.into();
                let first = sequences.front().copied();
                if first.is_some() {
                    let resume = state.last_seq;
                    self.skip_list = Some(Box::new(SkipList { resume, sequences }));
                }
                first.unwrap_or(state.last_seq)
            }
            DeliverPolicy::ByStartTime => {
                let time = config.opt_start_time.map(|time| time.to_timestamp());
                let from = turn.store.sequence_from_time(time.unwrap_or_default());
                if self.filter.is_all() {
                    return Ok(from);
                }
                // Where all messages of the filters are younger, those before them need not be
                // walked over.
                let mut first = state.last_seq;
                for part in self.filter.parts() {
                    let of_part = turn.store.filtered_state(state.first_seq, part)?.first;
                    if of_part >= from && of_part < first {
                        first = of_part;
                    }
                }
                if first > from && first < state.last_seq { first } else { from }
            }
            DeliverPolicy::New | DeliverPolicy::ByStartSequence => state.last_seq.next(),
        })
    }
}
