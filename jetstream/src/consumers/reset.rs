//! Starting anew somewhere else (spec 07b §B9).

use super::info::ResetResponse;
use super::progress::Progress;
use super::{Consumer, Turn};
use crate::api_error::{ApiError, ErrorKind};
use crate::api_level;
use crate::config::{DeliverPolicy, RetentionPolicy};
use crate::gojson;
use crate::types::StreamSequence;
use parser::json_input::{self, Kind, Value};

const FIELDS: [(&str, Kind); 1] = [("seq", Kind::Integer("uint64", 0, i64::MAX))];

impl Consumer {
    /// A client asked, on the consumer's reset subject, to start anew; returns the JSON of the
    /// answer.
    pub fn answer_reset(&mut self, turn: &mut Turn<'_>, header: &[u8], body: &[u8]) -> Vec<u8> {
        let result = self.take_reset(turn, header, body);
        let response = match result {
            Ok(sequence) => {
                let mut info = self.info(turn);
                if let Some(config) = &mut info.config {
                    api_level::add_dynamic(&mut config.metadata);
                }
                ResetResponse::Done { info: Box::new(info), sequence }
            }
            Err(error) => ResetResponse::Refused(error),
        };
        // Texts and numbers always have a JSON form.
        gojson::to_vec(&response).unwrap_or_default()
    }

    fn take_reset(
        &mut self,
        turn: &mut Turn<'_>,
        header: &[u8],
        body: &[u8],
    ) -> Result<StreamSequence, ApiError> {
        if api_level::exceeds_level(header) {
            return Err(ErrorKind::RequiredApiLevel.into());
        }
        let mut sequence = 0;
        if !body.is_empty() {
            json_input::decode(body, "JSApiConsumerResetRequest", &FIELDS, &mut |_, value| {
                if let Value::Integer(number) = value {
                    sequence = u64::try_from(number).unwrap_or(0);
                }
            })
            .map_err(|error| ErrorKind::InvalidJson.with(error))?;
        }
        self.reset(turn, (sequence != 0).then_some(sequence.into()))
    }

    /// Goes back, or forward, to a message; to the one behind the last that is acknowledged when
    /// none is given. Requests that wait stay.
    ///
    /// Returns the first message that is delivered next.
    ///
    /// # Errors
    /// `10204` where the consumer's deliver policy forbids it.
    pub fn reset(
        &mut self,
        turn: &mut Turn<'_>,
        sequence: Option<StreamSequence>,
    ) -> Result<StreamSequence, ApiError> {
        let result = self.reset_to(turn, sequence);
        self.check_invariants();
        result.map_err(|reason| ErrorKind::ConsumerInvalidReset.with(reason))
    }

    pub(super) fn reset_to(
        &mut self,
        turn: &mut Turn<'_>,
        sequence: Option<StreamSequence>,
    ) -> Result<StreamSequence, &'static str> {
        let first = match sequence {
            None => self.progress.floor.stream.next(),
            Some(sequence) => {
                self.check_reset(turn, sequence)?;
                sequence
            }
        };
        let first = first.max(StreamSequence::new(1));
        self.progress = Progress::starting_at(first);
        self.redelivery.clear();
        self.skip_list = None;
        self.caught_up = false;
        self.pending_deadline = None;
        self.last_delivery = None;
        self.last_ack = None;
        self.checked_floor = StreamSequence::ZERO;
        if let Err(error) = self.store.reset(first.previous(), turn.now) {
            let text = format!(
                "JetStream consumer '{} > {} > {}' could not write its reset: {error}",
                self.context.account, self.stream, self.name
            );
            self.warn(text);
        }
        if self.retention == RetentionPolicy::Interest {
            self.review_interest(turn);
        }
        self.count_pending(turn);
        self.ready = true;
        Ok(first)
    }

    fn check_reset(
        &self,
        turn: &mut Turn<'_>,
        sequence: StreamSequence,
    ) -> Result<(), &'static str> {
        let config = self.config();
        match config.deliver_policy {
            DeliverPolicy::All => Ok(()),
            DeliverPolicy::ByStartSequence if sequence.get() < config.opt_start_seq => {
                Err("below start seq")
            }
            DeliverPolicy::ByStartSequence => Ok(()),
            DeliverPolicy::ByStartTime => {
                let time = config.opt_start_time.map(|time| time.to_timestamp());
                let first = turn.store.sequence_from_time(time.unwrap_or_default());
                if sequence < first { Err("below start time") } else { Ok(()) }
            }
            _ => Err("not allowed"),
        }
    }
}
