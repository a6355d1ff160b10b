//! What a consumer's configuration becomes before it is checked (spec 07b §B2.2).

use super::{ConsumerLimits, FLOW_CONTROL_HEARTBEAT};
use crate::api_error::{ApiError, ErrorKind};
use crate::config::{AckPolicy, ConsumerConfig, PriorityPolicy, StreamConfig};

const MAX_WAITING: i64 = 512;
const MAX_ACK_PENDING: i64 = 1_000;
const ACK_WAIT: i64 = 30_000_000_000;
const PINNED_TIMEOUT: i64 = 120_000_000_000;

fn refuse(text: &str) -> ApiError {
    ErrorKind::Pedantic.with(text)
}

/// Puts `value` in place of `field`, which a pedantic client must have done itself.
fn adjust(field: &mut i64, value: i64, pedantic: bool, text: &str) -> Result<(), ApiError> {
    if pedantic {
        return Err(refuse(text));
    }
    *field = value;
    Ok(())
}

/// Fills in what was left out and brings what is out of range back into it.
///
/// # Errors
/// In pedantic mode, `10157` for the first field that would have been changed against what the
/// client or the stream's limits say.
pub fn apply(
    config: &mut ConsumerConfig,
    stream: &StreamConfig,
    limits: &ConsumerLimits,
    pedantic: bool,
) -> Result<(), ApiError> {
    if config.max_deliver < -1 {
        adjust(&mut config.max_deliver, -1, pedantic, "max_deliver must be set to -1")?;
    }
    if config.max_deliver == 0 {
        config.max_deliver = -1;
    }
    if config.max_waiting < 0 {
        adjust(&mut config.max_waiting, 0, pedantic, "max_waiting must not be negative")?;
    }
    if config.max_ack_pending < -1 {
        adjust(&mut config.max_ack_pending, -1, pedantic, "max_ack_pending must be set to -1")?;
    }
    for (field, text) in [
        (&mut config.max_batch, "max_batch must not be negative"),
        (&mut config.max_expires, "max_expires must not be negative"),
        (&mut config.max_bytes, "max_bytes must not be negative"),
        (&mut config.idle_heartbeat, "idle_heartbeat must not be negative"),
        (&mut config.inactive_threshold, "inactive_threshold must not be negative"),
        (&mut config.priority_timeout, "priority_timeout must not be negative"),
    ] {
        if *field < 0 {
            adjust(field, 0, pedantic, text)?;
        }
    }
    apply_waits(config, pedantic)?;
    apply_limits(config, stream, limits, pedantic)?;
    if config.priority_policy == PriorityPolicy::PinnedClient && config.priority_timeout == 0 {
        config.priority_timeout = PINNED_TIMEOUT;
    }
    if config.ack_policy == AckPolicy::FlowControl && !pedantic {
        config.flow_control = true;
        config.idle_heartbeat = FLOW_CONTROL_HEARTBEAT;
    }
    Ok(())
}

fn apply_waits(config: &mut ConsumerConfig, pedantic: bool) -> Result<(), ApiError> {
    if !config.is_push() && config.max_waiting == 0 {
        config.max_waiting = MAX_WAITING;
    }
    if config.ack_wait == 0 && config.takes_acks() {
        config.ack_wait = ACK_WAIT;
    }
    if let Some(first) = config.backoff.first().copied()
        && config.ack_wait != first
    {
        let text = "first backoff value has to equal batch AckWait";
        adjust(&mut config.ack_wait, first, pedantic, text)?;
    }
    Ok(())
}

fn apply_limits(
    config: &mut ConsumerConfig,
    stream: &StreamConfig,
    limits: &ConsumerLimits,
    pedantic: bool,
) -> Result<(), ApiError> {
    let of_stream = stream.consumer_limits;
    if config.max_ack_pending == 0 {
        if pedantic && of_stream.max_ack_pending > 0 {
            let text = "max_ack_pending must be set if it's configured in stream limits";
            return Err(refuse(text));
        }
        config.max_ack_pending = of_stream.max_ack_pending;
    }
    if config.inactive_threshold == 0 {
        if pedantic && of_stream.inactive_threshold > 0 {
            let text = "inactive_threshold must be set if it's configured in stream limits";
            return Err(refuse(text));
        }
        config.inactive_threshold = of_stream.inactive_threshold;
    }
    if config.max_ack_pending == 0 && config.ack_policy != AckPolicy::None {
        config.max_ack_pending = [limits.server_max_ack_pending, limits.account_max_ack_pending]
            .into_iter()
            .filter(|limit| *limit > 0)
            .fold(MAX_ACK_PENDING, i64::min);
    }
    if !config.is_push() && config.max_batch == 0 && limits.server_max_request_batch > 0 {
        let text = "max_request_batch must be set if it's JetStream limits are set";
        adjust(&mut config.max_batch, limits.server_max_request_batch, pedantic, text)?;
    }
    Ok(())
}
