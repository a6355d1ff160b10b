//! Rules on the header of a published message that hold for messages of their own and those of
//! batches alike (spec 07a §A7.3, §A8).

use super::counter;
use super::publish_headers::{PublishHeaders, Rollup, expected_sequence, given};
use crate::api_error::{ApiError, ErrorKind};
use crate::config::{StorageType, StreamConfig};
use crate::headers;
use crate::quote::quote;
use crate::schedules::{InvalidSchedule, next_firing};
use crate::time::Timestamp;
use crate::types::MessageTtl;
use num_bigint::BigInt;
use sublist::subject::{is_valid_publish_subject, subjects_collide};

/// The longest record a file can hold.
const MAX_FILE_RECORD: u64 = 32 << 20;
/// The longest header block.
pub(super) const MAX_HEADER_LEN: usize = 0xffff;
/// The value of `Nats-Schedule-Next` that ends a schedule.
pub(super) const PURGE: &[u8] = b"purge";

/// The bytes a store accounts for a message (spec 07a §A2.2).
pub fn stored_size(storage: StorageType, subject: usize, header: usize, payload: usize) -> u64 {
    let parts = (subject as u64).saturating_add(header as u64).saturating_add(payload as u64);
    match storage {
        StorageType::Memory => parts.saturating_add(16),
        StorageType::File => parts.saturating_add(if header > 0 { 34 } else { 30 }),
    }
}

/// Whether a message does not fit into a record.
pub(super) fn is_too_large(config: &StreamConfig, size: u64) -> bool {
    config.storage == StorageType::File && size > MAX_FILE_RECORD
}

/// Whether header and payload are longer than the stream allows together.
pub(super) fn exceeds_max_msg_size(config: &StreamConfig, header: usize, payload: usize) -> bool {
    usize::try_from(config.max_msg_size)
        .is_ok_and(|max| header > max || payload > max.saturating_sub(header))
}

/// The increment of a message, if it may have one here.
pub(super) fn check_increment(
    fields: &PublishHeaders<'_>,
    payload: &[u8],
    config: &StreamConfig,
    trusted: bool,
) -> Result<Option<BigInt>, ApiError> {
    let increment = counter::increment(fields.increment)?;
    if increment.is_none() || trusted {
        return Ok(increment);
    }
    if !config.allow_msg_counter {
        return Err(ErrorKind::MessageIncrDisabled.into());
    }
    if !payload.is_empty() {
        return Err(ErrorKind::MessageIncrPayload.into());
    }
    let incompatible = [
        fields.rollup,
        fields.expected_stream,
        fields.expected_last_message_id,
        fields.expected_subject,
        fields.expected_last_sequence,
        fields.expected_last_subject_sequence,
    ];
    if incompatible.into_iter().any(|field| given(field).is_some()) {
        return Err(ErrorKind::MessageIncrInvalid.into());
    }
    Ok(increment)
}

/// That the publisher means this stream.
pub(super) fn check_expected_stream(
    fields: &PublishHeaders<'_>,
    config: &StreamConfig,
) -> Result<(), ApiError> {
    match given(fields.expected_stream) {
        Some(name) if name != config.name.as_bytes() => Err(ErrorKind::StreamNotMatch.into()),
        _ => Ok(()),
    }
}

/// The time to live a message names; an error when it cannot be read.
pub(super) fn ttl(fields: &PublishHeaders<'_>) -> Result<MessageTtl, ApiError> {
    match given(fields.ttl) {
        None => Ok(MessageTtl::Unset),
        Some(text) => MessageTtl::parse(text).map_err(|_| ErrorKind::MessageTtlInvalid.into()),
    }
}

/// What a publisher expects of the last message of a subject: the sequence and the subject.
pub(super) fn expected_last_of_subject<'a>(
    fields: &PublishHeaders<'a>,
    subject: &'a [u8],
) -> Result<Option<(u64, &'a [u8])>, ApiError> {
    match expected_sequence(fields.expected_last_subject_sequence) {
        Some(sequence) => Ok(Some((sequence, given(fields.expected_subject).unwrap_or(subject)))),
        None if given(fields.expected_subject).is_some() => {
            Err(ErrorKind::StreamExpectedLastSeqPerSubjectInvalid.into())
        }
        None => Ok(None),
    }
}

/// What a message has to do with schedules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scheduling {
    /// Nothing.
    None,
    /// It is a schedule; the stored header gets a rollup when the message came without.
    Schedule { add_rollup: bool },
}

/// The rules on schedules, for a message to `subject`. `ends` tells of a subject whether its last
/// message is something other than a schedule, which a message must not end.
pub(super) fn check_schedule(
    fields: &PublishHeaders<'_>,
    header: &[u8],
    subject: &[u8],
    config: &StreamConfig,
    now: Timestamp,
    is_other: impl FnOnce(&[u8]) -> bool,
) -> Result<Scheduling, ApiError> {
    let scheduling = if fields.schedule.is_none() && fields.schedule_time_zone.is_none() {
        Scheduling::None
    } else {
        check_pattern(fields, header, subject, config, now)?
    };
    check_schedule_end(fields, subject, config, is_other)?;
    Ok(scheduling)
}

fn check_pattern(
    fields: &PublishHeaders<'_>,
    header: &[u8],
    subject: &[u8],
    config: &StreamConfig,
    now: Timestamp,
) -> Result<Scheduling, ApiError> {
    let firing = next_firing(header, now, now);
    if !config.allow_msg_schedules && !matches!(firing, Ok(None)) {
        return Err(ErrorKind::MessageSchedulesDisabled.into());
    }
    match firing {
        Ok(None) => return Ok(Scheduling::None),
        Ok(Some(_)) => {}
        Err(InvalidSchedule::TimeZone) => {
            return Err(ErrorKind::MessageSchedulesTimeZoneInvalid.into());
        }
        Err(InvalidSchedule::Pattern) => {
            return Err(ErrorKind::MessageSchedulesPatternInvalid.into());
        }
    }
    let schedule_ttl = given(fields.schedule_ttl);
    if schedule_ttl.is_some_and(|ttl| MessageTtl::parse(ttl).is_err()) {
        return Err(ErrorKind::MessageSchedulesTtlInvalid.into());
    }
    if given(fields.schedule_rollup).is_some_and(|rollup| rollup != b"sub") {
        return Err(ErrorKind::MessageSchedulesRollupInvalid.into());
    }
    if schedule_ttl.is_some() && !config.allow_msg_ttl {
        return Err(ErrorKind::MessageTtlDisabled.into());
    }
    let target = fields.schedule_target.unwrap_or_default();
    if !is_valid_publish_subject(target) || target == subject {
        return Err(ErrorKind::MessageSchedulesTargetInvalid.into());
    }
    let source = given(fields.schedule_source);
    if source.is_some_and(|source| {
        source == target || source == subject || !is_valid_publish_subject(source)
    }) {
        return Err(ErrorKind::MessageSchedulesSourceInvalid.into());
    }
    let covered = |subject: &[u8]| {
        config.subjects.iter().any(|own| subjects_collide(own.as_bytes(), subject))
    };
    if !covered(target) {
        return Err(ErrorKind::MessageSchedulesTargetInvalid.into());
    }
    if source.is_some_and(|source| !covered(source)) {
        return Err(ErrorKind::MessageSchedulesSourceInvalid.into());
    }
    match given(fields.rollup).map(Rollup::parse) {
        None => Ok(Scheduling::Schedule { add_rollup: true }),
        Some(Ok(Rollup::Subject)) => Ok(Scheduling::Schedule { add_rollup: false }),
        Some(_) => Err(ErrorKind::MessageSchedulesRollupInvalid.into()),
    }
}

/// Clients may say that a schedule ends, and nothing else of the fields that schedules write.
fn check_schedule_end(
    fields: &PublishHeaders<'_>,
    subject: &[u8],
    config: &StreamConfig,
    is_other: impl FnOnce(&[u8]) -> bool,
) -> Result<(), ApiError> {
    let invalid = || Err(ErrorKind::MessageSchedulesSchedulerInvalid.into());
    let scheduler = given(fields.scheduler);
    let Some(next) = given(fields.schedule_next) else {
        return if scheduler.is_some() { invalid() } else { Ok(()) };
    };
    let scheduler = match scheduler {
        Some(scheduler) if next == PURGE => scheduler,
        _ => return invalid(),
    };
    if scheduler == subject || !is_valid_publish_subject(scheduler) {
        return invalid();
    }
    if !config.allow_msg_schedules {
        return Err(ErrorKind::MessageSchedulesDisabled.into());
    }
    if is_other(scheduler) { invalid() } else { Ok(()) }
}

/// The header of a schedule as it is stored.
pub(super) fn with_rollup(header: &[u8]) -> Vec<u8> {
    let mut header = header.to_vec();
    headers::append(&mut header, headers::ROLLUP, "sub");
    header
}

/// What a message rolls up, if it may.
pub(super) fn check_rollup(
    fields: &PublishHeaders<'_>,
    config: &StreamConfig,
    trusted: bool,
) -> Result<Option<Rollup>, ApiError> {
    let Some(value) = given(fields.rollup) else { return Ok(None) };
    if !trusted && (!config.allow_rollup_hdrs || config.deny_purge) {
        return Err(ErrorKind::StreamRollupFailed.with("rollup not permitted"));
    }
    Rollup::parse(value).map(Some).map_err(|text| {
        ErrorKind::StreamRollupFailed.with(format_args!("rollup value invalid: {}", quote(&text)))
    })
}
