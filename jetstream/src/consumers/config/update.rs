//! What may change of a consumer that exists (spec 07b §B2.4).

use crate::api_error::{ApiError, ErrorKind};
use crate::api_level;
use crate::config::ConsumerConfig;

/// Whether a requested configuration, with its defaults, is the stored one.
///
/// What only tells the versions of servers is not compared; the request takes it over from the
/// stored configuration.
pub fn is_same(requested: &mut ConsumerConfig, stored: &ConsumerConfig) -> bool {
    api_level::copy_required(&stored.metadata, &mut requested.metadata);
    requested == stored
}

/// Checks a change. `is_bound` tells whether somebody listens on the current deliver subject.
///
/// # Errors
/// `10012` with the name of what cannot change, `10013` for a deliver subject that is in use,
/// `10116` for more backoff values than deliveries.
pub fn check(
    current: &ConsumerConfig,
    requested: &ConsumerConfig,
    is_bound: bool,
) -> Result<(), ApiError> {
    if current == requested {
        return Ok(());
    }
    let fixed = |text: &str| Err(ErrorKind::ConsumerCreate.with(text));
    if current.deliver_policy != requested.deliver_policy {
        return fixed("deliver policy can not be updated");
    }
    if current.mem_storage != requested.mem_storage {
        return fixed("storage type can not be updated");
    }
    if current.opt_start_seq != requested.opt_start_seq {
        return fixed("start sequence can not be updated");
    }
    let start_time = |config: &ConsumerConfig| config.opt_start_time.map(|t| t.to_timestamp());
    if start_time(current) != start_time(requested) {
        return fixed("start time can not be updated");
    }
    if current.ack_policy != requested.ack_policy {
        return fixed("ack policy can not be updated");
    }
    if current.replay_policy != requested.replay_policy {
        return fixed("replay policy can not be updated");
    }
    if current.idle_heartbeat != requested.idle_heartbeat {
        return fixed("heart beats can not be updated");
    }
    if current.flow_control != requested.flow_control {
        return fixed("flow control can not be updated");
    }
    if current.deliver_subject != requested.deliver_subject {
        if !current.is_push() {
            return fixed("can not update pull consumer to push based");
        }
        if !requested.is_push() {
            return fixed("can not update push consumer to pull based");
        }
        if is_bound {
            return Err(ErrorKind::ConsumerNameExist.into());
        }
    }
    if current.max_waiting != requested.max_waiting {
        return fixed("max waiting can not be updated");
    }
    let backoffs = i64::try_from(requested.backoff.len()).unwrap_or(i64::MAX);
    if backoffs > 0 && requested.max_deliver != -1 && backoffs > requested.max_deliver {
        return Err(ErrorKind::ConsumerMaxDeliverBackoff.into());
    }
    Ok(())
}
