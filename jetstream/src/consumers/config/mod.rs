//! The configuration of a consumer: defaults, checks, and what may change (spec 07b §B2).
//!
//! A request goes through [`request::check`], [`defaults::apply`] and [`validate::check`]; then
//! [`admission::check_new`] or, when a consumer of that name exists, [`update::check`].

pub mod admission;
pub mod defaults;
pub mod request;
pub mod update;
pub mod validate;

#[cfg(test)]
mod tests;

use crate::config::{AckPolicy, ConsumerConfig, PriorityPolicy, RetentionPolicy, StreamConfig};

/// Heartbeats of consumers that are acknowledged by flow control, in nanoseconds.
pub const FLOW_CONTROL_HEARTBEAT: i64 = 1_000_000_000;

/// What server and account allow their consumers. Zero or less is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConsumerLimits {
    /// Messages delivered and not acknowledged, by the server's configuration.
    pub server_max_ack_pending: i64,
    /// Messages of one pull request, by the server's configuration.
    pub server_max_request_batch: i64,
    /// Messages delivered and not acknowledged, by the account's limits.
    pub account_max_ack_pending: i64,
    /// Consumers of one stream, by the account's limits.
    pub account_max_consumers: i64,
}

impl ConsumerConfig {
    /// Whether messages are sent to a subject of its own rather than to requests.
    pub fn is_push(&self) -> bool {
        !self.deliver_subject.is_empty()
    }

    /// Whether it survives its clients by default.
    pub fn is_durable(&self) -> bool {
        !self.durable_name.is_empty()
    }

    /// Whether acknowledgements are published to the reply subjects of its messages.
    pub fn takes_acks(&self) -> bool {
        matches!(self.ack_policy, AckPolicy::Explicit | AckPolicy::All)
    }

    /// The filters, in either of the two forms.
    pub fn filters(&self) -> impl Iterator<Item = &str> + Clone {
        let single = Some(self.filter_subject.as_str()).filter(|filter| !filter.is_empty());
        self.filter_subjects.iter().map(String::as_str).chain(single)
    }

    /// The name it is created under; empty when one must be made up.
    pub fn given_name(&self) -> &str {
        if self.is_durable() { &self.durable_name } else { &self.name }
    }

    /// Servers that hold a copy of its state.
    pub fn replicas(&self, stream: &StreamConfig) -> i64 {
        if self.num_replicas == 0 || self.num_replicas > stream.num_replicas {
            let is_plain_ephemeral = !self.is_durable()
                && stream.retention == RetentionPolicy::Limits
                && self.num_replicas == 0;
            return if is_plain_ephemeral { 1 } else { stream.num_replicas };
        }
        self.num_replicas
    }

    /// Whether it counts toward limits and is shown in listings.
    pub fn is_internal(&self) -> bool {
        self.direct || self.sourcing
    }

    /// The API level it needs, as it was requested (spec 07a §A1.7).
    pub fn required_api_level(&self) -> u32 {
        let pauses = self.pause_until.is_some_and(|until| !until.is_zero());
        let has_priorities = self.priority_policy != PriorityPolicy::None
            || self.priority_timeout != 0
            || !self.priority_groups.is_empty();
        if self.ack_policy == AckPolicy::FlowControl {
            4
        } else {
            u32::from(pauses || has_priorities)
        }
    }

    /// The share of acknowledgements to sample in percent; 0 when none.
    pub fn sample_percent(&self) -> u64 {
        sampling(&self.sample_freq).unwrap_or(0)
    }
}

/// Reads a sampling frequency: a whole number, with or without `%`. The error is the one shown to
/// clients.
fn sampling(frequency: &str) -> Result<u64, String> {
    if frequency.is_empty() {
        return Ok(0);
    }
    let digits = frequency.strip_suffix('%').unwrap_or(frequency);
    let parsed: Result<i64, _> = digits.parse();
    match parsed {
        Ok(percent) => u64::try_from(percent).map_err(|_| "<nil>".to_owned()),
        Err(error) => {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let reason = match error.kind() {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            let quoted = parser::quote::quote(digits.as_bytes());
            Err(format!("strconv.Atoi: parsing {quoted}: {reason}"))
        }
    }
}
