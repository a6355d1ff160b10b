//! What a consumer tells about itself (spec 07b §B1.3).

use super::{Consumer, Mode, Turn};
use crate::api_error::ApiError;
use crate::config::ConsumerConfig;
use crate::time::{DateTime, Timestamp};
use crate::types::{SequencePair, StreamSequence};
use serde::{Serialize, Serializer};

const RESET_TYPE: &str = "io.nats.jetstream.api.v1.consumer_reset_response";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The state of a consumer, in the form of the API.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConsumerInfo {
    /// Its stream.
    pub stream_name: String,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: DateTime,
    /// Its configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ConsumerConfig>,
    /// The last delivery.
    pub delivered: SequenceInfo,
    /// Everything up to here is acknowledged.
    pub ack_floor: SequenceInfo,
    /// Messages delivered and not acknowledged.
    pub num_ack_pending: usize,
    /// Messages delivered more than once.
    pub num_redelivered: usize,
    /// Pull requests that wait.
    pub num_waiting: usize,
    /// Messages to be delivered.
    pub num_pending: u64,
    /// Whether anybody listens on its deliver subject.
    #[serde(skip_serializing_if = "is_false")]
    pub push_bound: bool,
    /// Whether it rests.
    #[serde(skip_serializing_if = "is_false")]
    pub paused: bool,
    /// For how long, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_remaining: Option<u64>,
    /// When this was told.
    #[serde(rename = "ts")]
    pub timestamp: Timestamp,
    /// Its first priority group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority_groups: Vec<PriorityGroupInfo>,
}

/// A position, and when it was last reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct SequenceInfo {
    /// The position.
    #[serde(flatten)]
    pub sequence: SequencePair,
    /// When something last happened to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active: Option<Timestamp>,
}

/// A priority group.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PriorityGroupInfo {
    /// Its name.
    pub group: String,
    /// The client that is pinned, empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pinned_client_id: String,
    /// Since when.
    pub pinned_ts: Timestamp,
}

/// The answer to a request to start anew.
pub(super) enum ResetResponse {
    /// It starts at `sequence`.
    Done { info: Box<ConsumerInfo>, sequence: StreamSequence },
    /// It does not.
    Refused(ApiError),
}

impl Serialize for ResetResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            r#type: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<&'a ApiError>,
            #[serde(flatten)]
            info: Option<&'a ConsumerInfo>,
            reset_seq: StreamSequence,
        }
        let (error, info, reset_seq) = match self {
            ResetResponse::Done { info, sequence } => (None, Some(&**info), *sequence),
            ResetResponse::Refused(error) => (Some(error), None, StreamSequence::ZERO),
        };
        Flat { r#type: RESET_TYPE, error, info, reset_seq }.serialize(serializer)
    }
}

impl Consumer {
    /// What the consumer tells about itself now. Requests that are over end on the way, and a
    /// count of pending messages that cannot be is set right.
    pub fn info(&mut self, turn: &mut Turn<'_>) -> ConsumerInfo {
        self.limit_num_pending(turn);
        self.check_waiting(turn.interest, turn.now, false);
        let config = self.config();
        let delivered = self.progress.delivered();
        let (mut delivered, mut ack_floor) = (delivered, self.progress.floor);
        if let Ok(state) = self.store.state() {
            // What is recorded counts: the next message may be far behind the last delivery.
            if self.store.has_state() {
                delivered = state.delivered;
            }
            ack_floor = state.ack_floor;
        }
        let remaining = self.pause_remaining(turn.now);
        let is_redelivered = |count: &&i64| **count > 0;
        // Where nothing is delivered again, the count would only tell what was given up.
        let num_redelivered = if config.max_deliver == 1 {
            0
        } else {
            self.progress.redelivered.values().filter(is_redelivered).count()
        };
        ConsumerInfo {
            stream_name: self.stream.to_string(),
            name: self.name.to_string(),
            created: self.created,
            config: Some(config.clone()),
            delivered: SequenceInfo { sequence: delivered, last_active: self.last_delivery },
            ack_floor: SequenceInfo { sequence: ack_floor, last_active: self.last_ack },
            num_ack_pending: self.progress.pending.len(),
            num_redelivered,
            num_waiting: match &self.mode {
                Mode::Pull(pull) => pull.waiting.len(),
                Mode::Push(_) => 0,
            },
            num_pending: self.num_pending(),
            push_bound: self.is_active(),
            paused: remaining.is_some(),
            pause_remaining: remaining
                .map(|remaining| u64::try_from(remaining.as_nanos()).unwrap_or(u64::MAX)),
            timestamp: turn.now,
            priority_groups: self.priority_groups(),
        }
    }

    fn priority_groups(&self) -> Vec<PriorityGroupInfo> {
        let pin = match &self.mode {
            Mode::Pull(pull) => pull.pin.as_ref(),
            Mode::Push(_) => None,
        };
        let describe = |group: &String| PriorityGroupInfo {
            group: group.clone(),
            pinned_client_id: pin.map(|pin| pin.id.clone()).unwrap_or_default(),
            pinned_ts: pin.map(|pin| pin.since).unwrap_or_default(),
        };
        self.config().priority_groups.first().map(describe).into_iter().collect()
    }

    /// There cannot be more to deliver than there is.
    fn limit_num_pending(&mut self, turn: &Turn<'_>) {
        let state = turn.store.fast_state();
        let next = self.progress.next_stream;
        if next > state.last_seq {
            self.num_pending = 0;
        } else if self.num_pending > 0 {
            let ahead = state.last_seq.get().saturating_sub(next.get()).saturating_add(1);
            let most = i64::try_from(state.messages.min(ahead)).unwrap_or(i64::MAX);
            self.num_pending = self.num_pending.min(most);
        }
    }
}
