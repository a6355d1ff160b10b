//! The encoded state of a consumer: `o.dat`, and snapshots of replicated consumers.
//!
//! Spec 06 §10.1:
//! ```text
//! u8 22 | u8 2
//! uvarint ack floor consumer | uvarint ack floor stream | uvarint delivered consumer | uvarint delivered stream
//! uvarint pending | if any: varint base seconds, then for each
//!     uvarint stream - floor | uvarint consumer - floor | varint base - seconds
//! uvarint redelivered | for each: uvarint stream - floor | uvarint count
//! ```
//! Differences wrap, so that an entry below the floor survives. Times keep whole seconds. Version
//! 1 had no consumer sequence, added to the base, and counted delivered from the floor.

use super::state::{ConsumerState, PendingDelivery};
use crate::error::{StoreError, StoreResult};
use crate::time::Timestamp;
use crate::types::SequencePair;
use crate::varint::{put_uvarint, put_varint, take_uvarint, take_varint};

const MAGIC: u8 = 22;
const VERSION: u8 = 2;
const SECOND: i64 = 1_000_000_000;

/// The encoded state. `now` becomes the base of the times.
pub fn encode(state: &ConsumerState, now: Timestamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + state.pending.len() * 6 + state.redelivered.len() * 4);
    out.extend_from_slice(&[MAGIC, VERSION]);
    let floor = state.ack_floor;
    put_uvarint(&mut out, floor.consumer.get());
    put_uvarint(&mut out, floor.stream.get());
    put_uvarint(&mut out, state.delivered.consumer.get());
    put_uvarint(&mut out, state.delivered.stream.get());
    put_uvarint(&mut out, state.pending.len() as u64);
    if !state.pending.is_empty() {
        let base = now.nanos().saturating_add(SECOND / 2).div_euclid(SECOND);
        put_varint(&mut out, base);
        for (stream, pending) in &state.pending {
            put_uvarint(&mut out, stream.get().wrapping_sub(floor.stream.get()));
            put_uvarint(&mut out, pending.sequence.get().wrapping_sub(floor.consumer.get()));
            put_varint(&mut out, base.saturating_sub(pending.timestamp.seconds()));
        }
    }
    put_uvarint(&mut out, state.redelivered.len() as u64);
    for (stream, count) in &state.redelivered {
        put_uvarint(&mut out, stream.get().wrapping_sub(floor.stream.get()));
        put_uvarint(&mut out, *count);
    }
    out
}

/// Reads an encoded state.
///
/// # Errors
/// [`StoreError::UnsupportedVersion`]; [`StoreError::CorruptState`] for anything else that is not
/// a state. Redelivered entries that break off are left out without an error.
pub fn decode(bytes: &[u8]) -> StoreResult<ConsumerState> {
    let [MAGIC, version, input @ ..] = bytes else { return Err(StoreError::CorruptState) };
    if !(1..=VERSION).contains(version) {
        return Err(StoreError::UnsupportedVersion(*version));
    }
    decode_fields(input, *version).ok_or(StoreError::CorruptState)
}

fn decode_fields(mut input: &[u8], version: u8) -> Option<ConsumerState> {
    let input = &mut input;
    let [floor_consumer, floor_stream, mut consumer, mut stream] =
        [take_uvarint(input)?, take_uvarint(input)?, take_uvarint(input)?, take_uvarint(input)?];
    if version == 1 {
        consumer = consumer.wrapping_add(floor_consumer.saturating_sub(1));
        stream = stream.wrapping_add(floor_stream.saturating_sub(1));
    }
    if (floor_stream | stream) >> 63 != 0 {
        return None;
    }
    let mut state = ConsumerState {
        delivered: SequencePair { consumer: consumer.into(), stream: stream.into() },
        ack_floor: SequencePair { consumer: floor_consumer.into(), stream: floor_stream.into() },
        ..ConsumerState::default()
    };
    // Like the redelivered entries, a count that breaks off counts as none.
    let pending = take_uvarint(input).unwrap_or(0);
    if pending > 0 {
        let base = take_varint(input)?;
        for _ in 0..pending {
            let stream = take_uvarint(input)?.wrapping_add(floor_stream);
            let (sequence, seconds) = if version == 1 {
                (0, base.wrapping_add(take_varint(input)?))
            } else {
                let sequence = take_uvarint(input)?.wrapping_add(floor_consumer);
                (sequence, base.wrapping_sub(take_varint(input)?))
            };
            if stream == 0 {
                return None;
            }
            let timestamp = Timestamp::from_seconds(seconds);
            let delivery = PendingDelivery { sequence: sequence.into(), timestamp };
            state.pending.insert(stream.into(), delivery);
        }
    }
    let redelivered = take_uvarint(input).unwrap_or(0);
    for _ in 0..redelivered {
        let (Some(above), Some(count)) = (take_uvarint(input), take_uvarint(input)) else { break };
        if above > 0 && count > 0 {
            state.redelivered.insert(above.wrapping_add(floor_stream).into(), count);
        }
    }
    Some(state)
}
