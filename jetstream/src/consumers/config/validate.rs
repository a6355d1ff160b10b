//! Whether a consumer's configuration makes sense for its stream (spec 07b §B2.3).

use super::{ConsumerLimits, FLOW_CONTROL_HEARTBEAT, sampling};
use crate::api_error::{ApiError, ErrorKind};
use crate::config::{
    AckPolicy, ConsumerConfig, DeliverPolicy, PriorityPolicy, RetentionPolicy, StreamConfig,
};
use crate::duration;
use sublist::gsl::GenericSublist;
use sublist::subject;

const MAX_DESCRIPTION_LEN: usize = 4 * 1024;
const MAX_METADATA_LEN: usize = 128 * 1024;
const MIN_HEARTBEAT: i64 = 100_000_000;
const MIN_MAX_EXPIRES: i64 = 1_000_000;
const MAX_GROUP_LEN: usize = 16;
/// More filters than this are compared with each other through a list instead of in pairs.
const COMPARED_IN_PAIRS: usize = 64;

/// Whether a name may be part of subjects and of paths.
pub fn is_valid_name(name: &str) -> bool {
    let forbidden =
        |c| matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0c' | '.' | '*' | '>' | '\\' | '/');
    !name.is_empty() && !name.contains(forbidden)
}

/// Whether a priority group may be called so.
pub fn is_valid_group(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'=' | b'-');
    (1..=MAX_GROUP_LEN).contains(&name.len()) && name.bytes().all(allowed)
}

fn invalid(text: &str) -> ApiError {
    ErrorKind::StreamInvalidConfig.with(text)
}

/// Fails with `$kind` when `$condition` holds.
macro_rules! refuse_if {
    ($condition:expr, $kind:ident) => {
        if $condition {
            return Err(ErrorKind::$kind.into());
        }
    };
}

/// Checks a configuration that has its defaults, in the order in which clients see the errors.
///
/// A consumer that is being recovered may have another number of replicas than its stream.
///
/// # Errors
/// The first rule of spec 07b §B2.3 that is broken.
pub fn check(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    limits: &ConsumerLimits,
    recovering: bool,
) -> Result<(), ApiError> {
    check_names_and_replicas(config, stream, recovering)?;
    check_waits(config)?;
    check_acks_by_flow_control(config)?;
    let backoffs = i64::try_from(config.backoff.len()).unwrap_or(i64::MAX);
    refuse_if!(
        backoffs > 0 && config.max_deliver != -1 && backoffs > config.max_deliver,
        ConsumerMaxDeliverBackoff
    );
    if config.description.len() > MAX_DESCRIPTION_LEN {
        return Err(ErrorKind::ConsumerDescriptionTooLong.with(MAX_DESCRIPTION_LEN));
    }
    if config.is_push() {
        check_push(config, stream)?;
    } else {
        check_pull(config, stream, limits)?;
    }
    check_limits(config, stream, limits)?;
    refuse_if!(config.direct && !config.is_push(), ConsumerDirectRequiresPush);
    refuse_if!(config.direct && config.is_durable(), ConsumerDirectRequiresEphemeral);
    check_filters(config)?;
    check_start(config)?;
    sampling(&config.sample_freq).map_err(|text| ErrorKind::ConsumerInvalidSampling.with(text))?;
    refuse_if!(
        config.flow_control && config.idle_heartbeat == 0,
        ConsumerWithFlowControlNeedsHeartbeats
    );
    refuse_if!(
        config.is_durable() && !config.name.is_empty() && config.name != config.durable_name,
        ConsumerCreateDurableAndNameMismatch
    );
    let metadata_len: usize = config.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
    if metadata_len > MAX_METADATA_LEN {
        let limit = format!("{}KB", MAX_METADATA_LEN / 1024);
        return Err(ErrorKind::ConsumerMetadataLength.with(limit));
    }
    check_priorities(config)?;
    if stream.placement.as_ref().is_some_and(|placement| !placement.preferred.is_empty()) {
        return Err(invalid("preferred server not permitted in placement"));
    }
    Ok(())
}

fn check_names_and_replicas(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    recovering: bool,
) -> Result<(), ApiError> {
    if !config.name.is_empty() && !is_valid_name(&config.name) {
        return Err(invalid(r"consumer name can not contain '.', '*', '>', '\', '/'"));
    }
    if config.is_durable() && !is_valid_name(&config.durable_name) {
        return Err(invalid(r"consumer durable name can not contain '.', '*', '>', '\', '/'"));
    }
    refuse_if!(config.num_replicas > stream.num_replicas.max(0), ConsumerReplicasExceedsStream);
    refuse_if!(config.num_replicas < 0, ReplicasCountCannotBeNegative);
    refuse_if!(
        !recovering
            && stream.retention != RetentionPolicy::Limits
            && config.num_replicas != 0
            && config.num_replicas != stream.num_replicas,
        ConsumerReplicasShouldMatchStream
    );
    Ok(())
}

fn check_waits(config: &ConsumerConfig) -> Result<(), ApiError> {
    refuse_if!(config.backoff.iter().any(|wait| *wait < 0), ConsumerBackOffNegative);
    refuse_if!(config.ack_wait < 0, ConsumerAckWaitNegative);
    Ok(())
}

fn check_acks_by_flow_control(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.ack_policy != AckPolicy::FlowControl {
        return Ok(());
    }
    refuse_if!(!config.is_push(), ConsumerAckFlowControlRequiresPush);
    refuse_if!(!config.flow_control, ConsumerAckFlowControlRequiresFlowControl);
    if config.idle_heartbeat != FLOW_CONTROL_HEARTBEAT {
        return Err(invalid("flow control ack policy heartbeat needs to be 1s"));
    }
    refuse_if!(config.max_ack_pending <= 0, ConsumerAckFlowControlRequiresMaxAckPending);
    refuse_if!(
        config.ack_wait != 0 || !config.backoff.is_empty(),
        ConsumerAckFlowControlRequiresNoAckWait
    );
    refuse_if!(config.max_deliver > 0, ConsumerAckFlowControlRequiresNoMaxDeliver);
    Ok(())
}

fn check_push(config: &ConsumerConfig, stream: &StreamConfig) -> Result<(), ApiError> {
    let deliver = config.deliver_subject.as_bytes();
    refuse_if!(!subject::subject_is_literal(deliver), ConsumerDeliverToWildcards);
    refuse_if!(!subject::is_valid_subject(deliver), ConsumerInvalidDeliverSubject);
    let returns = |stored: &String| subject::is_subset_match(deliver, stored.as_bytes());
    refuse_if!(stream.subjects.iter().any(returns), ConsumerDeliverCycle);
    refuse_if!(config.max_waiting != 0, ConsumerPushMaxWaiting);
    refuse_if!(
        config.max_ack_pending > 0 && config.ack_policy == AckPolicy::None,
        ConsumerMaxPendingAckPolicyRequired
    );
    refuse_if!(
        config.idle_heartbeat > 0 && config.idle_heartbeat < MIN_HEARTBEAT,
        ConsumerSmallHeartbeat
    );
    Ok(())
}

fn check_pull(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    limits: &ConsumerLimits,
) -> Result<(), ApiError> {
    refuse_if!(
        config.ack_policy == AckPolicy::None && stream.retention == RetentionPolicy::WorkQueue,
        ConsumerPullRequiresAck
    );
    refuse_if!(config.rate_limit_bps > 0, ConsumerPullWithRateLimit);
    refuse_if!(config.max_waiting < 0, ConsumerMaxWaitingNegative);
    refuse_if!(config.idle_heartbeat > 0, ConsumerHeartbeatRequiresPush);
    refuse_if!(config.flow_control, ConsumerFlowControlRequiresPush);
    refuse_if!(config.max_batch < 0, ConsumerMaxRequestBatchNegative);
    refuse_if!(
        config.max_expires != 0 && config.max_expires < MIN_MAX_EXPIRES,
        ConsumerMaxRequestExpiresTooSmall
    );
    let max_batch = limits.server_max_request_batch;
    if max_batch > 0 && config.max_batch > max_batch {
        return Err(ErrorKind::ConsumerMaxRequestBatchExceeded.with(max_batch));
    }
    Ok(())
}

fn check_limits(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    limits: &ConsumerLimits,
) -> Result<(), ApiError> {
    let of_stream = stream.consumer_limits;
    for limit in
        [limits.server_max_ack_pending, limits.account_max_ack_pending, of_stream.max_ack_pending]
    {
        if limit > 0 && config.max_ack_pending > limit {
            return Err(ErrorKind::ConsumerMaxPendingAckExcess.with(limit));
        }
    }
    let threshold = of_stream.inactive_threshold;
    if threshold > 0 && config.inactive_threshold > threshold {
        let threshold = duration::format(threshold);
        return Err(ErrorKind::ConsumerInactiveThresholdExcess.with(threshold));
    }
    Ok(())
}

fn check_filters(config: &ConsumerConfig) -> Result<(), ApiError> {
    let single = &config.filter_subject;
    refuse_if!(
        !single.is_empty() && !config.filter_subjects.is_empty(),
        ConsumerDuplicateFilterSubjects
    );
    let bad_subject = || invalid("invalid subject");
    if !single.is_empty() && !subject::is_valid_subject(single.as_bytes()) {
        return Err(bad_subject());
    }
    refuse_if!(config.filter_subjects.iter().any(String::is_empty), ConsumerEmptyFilter);
    let filters: Vec<&[u8]> = config.filters().map(str::as_bytes).collect();
    let overlaps = Overlaps::new(&filters);
    for (at, filter) in filters.iter().enumerate() {
        if !subject::is_valid_subject(filter) {
            return Err(bad_subject());
        }
        refuse_if!(overlaps.contain(at, filter), ConsumerOverlappingSubjectFilters);
    }
    Ok(())
}

/// Finds filters that are part of another one.
struct Overlaps<'a> {
    filters: &'a [&'a [u8]],
    /// The filters by their place, when there are too many to compare each with all others.
    list: Option<GenericSublist<usize>>,
}

impl<'a> Overlaps<'a> {
    fn new(filters: &'a [&'a [u8]]) -> Self {
        let list = (filters.len() > COMPARED_IN_PAIRS).then(|| {
            let mut list = GenericSublist::new();
            for (at, filter) in filters.iter().enumerate() {
                // An invalid filter is reported before it could overlap another.
                let _ = list.insert(filter, at);
            }
            list
        });
        Overlaps { filters, list }
    }

    /// Whether another filter covers all that the one at `place` does.
    fn contain(&self, place: usize, filter: &[u8]) -> bool {
        match &self.list {
            // To the list `*` is a token that only `*` and `>` match, but so would `>` be.
            Some(list) if !filter.ends_with(b">") => {
                let mut covered = false;
                list.match_subject(filter, |at| covered |= *at != place);
                covered
            }
            _ => self
                .filters
                .iter()
                .enumerate()
                .any(|(at, other)| at != place && subject::is_subset_match(filter, other)),
        }
    }
}

fn check_start(config: &ConsumerConfig) -> Result<(), ApiError> {
    let (has_sequence, has_time) = (config.opt_start_seq > 0, config.opt_start_time.is_some());
    let also_set = |policy: &str, start: &str| {
        Err(ErrorKind::ConsumerInvalidPolicy.with(format!(
            "consumer delivery policy is deliver {policy}, but optional start {start} is also set"
        )))
    };
    let not_set = |policy: &str, what: &str| {
        Err(ErrorKind::ConsumerInvalidPolicy.with(format!(
            "consumer delivery policy is deliver {policy}, but optional {what} is not set"
        )))
    };
    let policy = match config.deliver_policy {
        DeliverPolicy::ByStartSequence if !has_sequence => {
            return not_set("by start sequence", "start sequence");
        }
        DeliverPolicy::ByStartSequence if has_time => return also_set("by start sequence", "time"),
        DeliverPolicy::ByStartTime if !has_time => {
            return not_set("by start time", "start time");
        }
        // The reference says "start" twice here.
        DeliverPolicy::ByStartTime if has_sequence => {
            return also_set("by start time", "start sequence");
        }
        DeliverPolicy::ByStartSequence | DeliverPolicy::ByStartTime => return Ok(()),
        DeliverPolicy::All => "all",
        DeliverPolicy::Last => "last",
        DeliverPolicy::LastPerSubject => "last per subject",
        DeliverPolicy::New => "new",
    };
    if has_sequence {
        return also_set(policy, "sequence");
    }
    if has_time {
        return also_set(policy, "time");
    }
    let is_filtered = config.filters().next().is_some();
    if config.deliver_policy == DeliverPolicy::LastPerSubject && !is_filtered {
        return not_set(policy, "filter subject");
    }
    Ok(())
}

fn check_priorities(config: &ConsumerConfig) -> Result<(), ApiError> {
    if config.priority_policy == PriorityPolicy::None {
        refuse_if!(!config.priority_groups.is_empty(), ConsumerPriorityGroupWithPolicyNone);
        refuse_if!(config.priority_timeout > 0, ConsumerPinnedTtlWithoutPriorityPolicyNone);
        return Ok(());
    }
    refuse_if!(config.is_push(), ConsumerPushWithPriorityGroup);
    refuse_if!(config.priority_groups.is_empty(), ConsumerPriorityPolicyWithoutGroup);
    for group in &config.priority_groups {
        refuse_if!(group.is_empty(), ConsumerEmptyGroupName);
        refuse_if!(!is_valid_group(group), ConsumerInvalidGroupName);
    }
    Ok(())
}
