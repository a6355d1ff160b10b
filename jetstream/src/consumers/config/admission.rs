//! Whether a stream takes another consumer (spec 07b §B2.4, §B2.5).

use super::ConsumerLimits;
use crate::api_error::{ApiError, ErrorKind};
use crate::config::{AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy, StreamConfig};
use crate::random::Random;
use sublist::subject;

const MAX_NAME_LEN: usize = 255;
/// The length of a name made up for a consumer without one.
const GENERATED_NAME_LEN: usize = 8;

/// Checks a new consumer against the others of its stream, given by name and configuration.
///
/// # Errors
/// `10026` when there are too many; on work queues `10098`, `10101`, `10099` and `10100`; `10102`
/// for a name that is too long.
pub fn check_new<'a>(
    config: &ConsumerConfig,
    stream: &StreamConfig,
    limits: &ConsumerLimits,
    others: impl Iterator<Item = (&'a str, &'a ConsumerConfig)> + Clone,
) -> Result<(), ApiError> {
    let of_account = limits.account_max_consumers;
    let mut allowed = stream.max_consumers;
    if allowed <= 0 || (of_account > 0 && of_account < allowed) {
        allowed = of_account;
    }
    let counted = others.clone().filter(|(_, other)| !other.is_internal()).count();
    if allowed > 0 && i64::try_from(counted).unwrap_or(i64::MAX) >= allowed {
        return Err(ErrorKind::MaximumConsumersLimit.into());
    }
    if stream.retention == RetentionPolicy::WorkQueue && !config.is_internal() {
        if !matches!(config.ack_policy, AckPolicy::Explicit | AckPolicy::FlowControl) {
            return Err(ErrorKind::ConsumerWorkQueueRequiresExplicitAck.into());
        }
        if config.deliver_policy != DeliverPolicy::All {
            return Err(ErrorKind::ConsumerWorkQueueConsumerNotDeliverAll.into());
        }
        if counted > 0 {
            if config.filters().next().is_none() {
                return Err(ErrorKind::ConsumerWorkQueueMultipleUnfiltered.into());
            }
            check_partition(config, others)?;
        }
    }
    if config.is_durable() && config.durable_name.len() > MAX_NAME_LEN {
        return Err(ErrorKind::ConsumerNameTooLong.with(MAX_NAME_LEN));
    }
    Ok(())
}

/// Checks that no other consumer of a work queue gets a message this one would get.
///
/// # Errors
/// `10100`.
pub fn check_partition<'a>(
    config: &ConsumerConfig,
    others: impl Iterator<Item = (&'a str, &'a ConsumerConfig)> + Clone,
) -> Result<(), ApiError> {
    let name = config.given_name();
    let takes_part = |other: &(&str, &ConsumerConfig)| other.0 != name && !other.1.is_internal();
    for filter in config.filters() {
        for (_, other) in others.clone().filter(takes_part) {
            let collides =
                |of_other: &str| subject::subjects_collide(filter.as_bytes(), of_other.as_bytes());
            if other.filters().next().is_none() || other.filters().any(collides) {
                return Err(ErrorKind::ConsumerWorkQueueConsumerNotUnique.into());
            }
        }
    }
    Ok(())
}

/// A name for a consumer that was given none; `random` is different each time.
pub fn generated_name(random: u64) -> String {
    let mut name = String::with_capacity(GENERATED_NAME_LEN);
    Random::new(random).append_name(GENERATED_NAME_LEN, &mut name);
    name
}
