//! What may change about a stream that exists (spec 07a §A4).

use super::{ConfigContext, require, validate};
use crate::api_error::{ApiError, ErrorKind};
use crate::config::{DiscardPolicy, RetentionPolicy, StreamConfig};

/// The configuration `requested` for a stream that has `old`, as it is stored. The request
/// replaces the old configuration as a whole.
///
/// # Errors
/// What [`validate`] finds, then the first change of spec 07a §A4 that is not allowed. Whether the
/// account and server have room for the change is for the caller to ask.
pub fn check_update(
    old: &StreamConfig,
    requested: &StreamConfig,
    context: &ConfigContext<'_>,
) -> Result<StreamConfig, ApiError> {
    let mut new = validate(requested, context)?;
    require(new.name == old.name, "stream configuration name must match original")?;
    require(new.storage == old.storage, "stream configuration update can not change storage type")?;
    require(
        new.retention == old.retention
            || ![new.retention, old.retention].contains(&RetentionPolicy::WorkQueue),
        "stream configuration update can not change retention policy to/from workqueue",
    )?;
    require(
        new.sealed || !old.sealed,
        "stream configuration update can not unseal a sealed stream",
    )?;
    require(
        new.deny_delete || !old.deny_delete,
        "stream configuration update can not cancel deny message deletes",
    )?;
    require(
        new.deny_purge || !old.deny_purge,
        "stream configuration update can not cancel deny purge",
    )?;
    // Without its mirror a stream becomes one of its own.
    if new.mirror.is_some() && new.mirror != old.mirror {
        return Err(ErrorKind::StreamMirrorNotUpdatable.into());
    }
    require(new.allow_msg_ttl || !old.allow_msg_ttl, "message TTL status can not be disabled")?;
    require(
        new.allow_msg_counter == old.allow_msg_counter,
        "stream configuration update can not change message counter setting",
    )?;
    require(
        new.allow_msg_schedules || !old.allow_msg_schedules,
        "message schedules can not be disabled",
    )?;
    require(
        new.persist_mode == old.persist_mode,
        "stream configuration update can not change persist mode",
    )?;
    if new.sealed {
        new.max_age = 0;
        new.discard = DiscardPolicy::New;
        new.deny_delete = true;
        new.deny_purge = true;
        new.allow_rollup_hdrs = false;
    }
    Ok(new)
}

/// Refuses limits for consumers that existing ones exceed. `consumers` gives names, inactive
/// thresholds in nanoseconds, and `max_ack_pending`.
///
/// # Errors
/// The text of the failed update, naming the consumers in the order given.
pub fn check_consumer_limits<'a>(
    old: &StreamConfig,
    new: &StreamConfig,
    consumers: impl IntoIterator<Item = (&'a str, i64, i64)>,
) -> Result<(), ApiError> {
    let (before, after) = (old.consumer_limits, new.consumer_limits);
    let lowered = |before: i64, after: i64| after > 0 && before != after;
    if !lowered(before.inactive_threshold, after.inactive_threshold)
        && !lowered(before.max_ack_pending, after.max_ack_pending)
    {
        return Ok(());
    }
    let exceeds = |value: i64, limit: i64| limit > 0 && value > limit;
    let violated: Vec<&str> = consumers
        .into_iter()
        .filter(|(_, threshold, pending)| {
            exceeds(*threshold, after.inactive_threshold)
                || exceeds(*pending, after.max_ack_pending)
        })
        .map(|(name, ..)| name)
        .collect();
    if violated.is_empty() {
        return Ok(());
    }
    Err(ErrorKind::StreamUpdate
        .with(format_args!("change to limits violates consumers: {}", violated.join(", "))))
}

/// Whether two lists of subjects of streams of one account have any subject in common.
pub fn subjects_overlap(a: &[String], b: &[String]) -> bool {
    a.iter().any(|one| b.iter().any(|other| super::collide(one, other)))
}
