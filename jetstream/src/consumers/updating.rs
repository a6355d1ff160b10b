//! Changing a consumer that exists (spec 07b §B2.4, §B8).

use super::advisory::Event;
use super::config::update;
use super::{Consumer, ConsumerEffect, Mode, Turn};
use crate::api_error::{ApiError, ErrorKind};
use crate::api_level;
use crate::config::{ConsumerConfig, RetentionPolicy};
use crate::error::StoreResult;
use crate::filter::SubjectFilter;
use crate::time::{DateTime, Timestamp};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::time::Duration;

/// A changed wait is looked at so soon.
const CHANGED_WAIT_DELAY: Duration = Duration::from_millis(100);

impl Consumer {
    /// Takes over a checked configuration with its defaults.
    ///
    /// When the deliver subject or group changes, the driver listens for interest in the new one
    /// and tells of it by [`Consumer::interest_changed`].
    ///
    /// # Errors
    /// What cannot change (`10012`, `10013`, `10116`); `10012` with the text of a failed write;
    /// `10149` when the consumer is closed.
    pub fn update_config(
        &mut self,
        turn: &mut Turn<'_>,
        mut requested: ConsumerConfig,
    ) -> Result<(), ApiError> {
        if self.closed {
            return Err(ErrorKind::ConsumerDoesNotExist.into());
        }
        let deliver_subject = self.config().deliver_subject.as_bytes();
        let is_bound = self.config().deliver_subject != requested.deliver_subject
            && turn.interest.has_interest(None, deliver_subject, Duration::MAX);
        update::check(self.config(), &requested, is_bound)?;
        requested.pause_until = requested.pause_until.map(DateTime::to_utc);
        self.apply_config(turn, requested)
            .map_err(|error| ErrorKind::ConsumerCreate.with(error))?;
        self.advise_if_paused(turn.now);
        self.check_invariants();
        Ok(())
    }

    /// Rests until a moment, or goes on when it is none or past.
    ///
    /// # Errors
    /// Those of writing the configuration, as `10104`.
    pub fn pause(&mut self, turn: &mut Turn<'_>, until: Option<DateTime>) -> Result<(), ApiError> {
        let mut config = self.config().clone();
        config.pause_until = until.filter(|until| !until.is_zero()).map(DateTime::to_utc);
        let level = config.required_api_level();
        api_level::set_required(&mut config.metadata, level);
        self.apply_config(turn, config)
            .map_err(|error| ErrorKind::ConsumerStoreFailed.with(error))?;
        self.check_invariants();
        Ok(())
    }

    fn apply_config(&mut self, turn: &mut Turn<'_>, config: ConsumerConfig) -> StoreResult<()> {
        let old = self.config().clone();
        self.store.update_config(config)?;
        let new = self.config().clone();
        let now = turn.now;
        if old.deliver_subject != new.deliver_subject {
            self.change_deliver_subject(&new.deliver_subject, now);
        }
        if old.max_ack_pending != new.max_ack_pending {
            self.ready = true;
        }
        let changes_wait = old.ack_wait != new.ack_wait || old.backoff != new.backoff;
        if changes_wait && !self.progress.pending.is_empty() {
            self.pending_deadline = Some(now.saturating_add(CHANGED_WAIT_DELAY));
        }
        if old.rate_limit_bps != new.rate_limit_bps {
            self.set_rate_limit(turn);
        }
        if old.inactive_threshold != new.inactive_threshold {
            self.set_inactive_threshold();
            self.delete_deadline = None;
            if !self.is_active() {
                self.restart_inactivity(now);
            }
        }
        if pause_of(&old) != pause_of(&new) {
            self.set_pause_deadline(now);
            self.advise(Event::pause(&new, now), now);
        }
        let filters = |config: &ConsumerConfig| -> BTreeSet<String> {
            config.filters().map(str::to_owned).collect()
        };
        let changes_filters = filters(&old) != filters(&new);
        if changes_filters {
            self.filter = SubjectFilter::any(new.filters());
            self.caught_up = false;
        }
        if new.sourcing && !new.direct {
            // What a source asks for again starts behind what it has confirmed.
            let _ = self.reset_to(turn, None);
        }
        if changes_filters {
            if self.retention == RetentionPolicy::Interest {
                let from = self.progress.floor.stream;
                let from = from.max(turn.store.fast_state().first_seq);
                self.effect(ConsumerEffect::InterestChanged { from });
            }
            self.count_pending(turn);
            self.ready = true;
        }
        Ok(())
    }

    /// Sends to another subject from now on, and again what was sent to the old one.
    fn change_deliver_subject(&mut self, subject: &str, now: Timestamp) {
        if let Mode::Push(push) = &mut self.mode {
            push.subject = Bytes::copy_from_slice(subject.as_bytes());
            self.expire_all_pending(now);
        }
    }
}

fn pause_of(config: &ConsumerConfig) -> Timestamp {
    config.pause_until.map(|until| until.to_timestamp()).unwrap_or_default()
}
