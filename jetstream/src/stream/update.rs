//! Changing the configuration of a stream that exists (spec 07a §A4, effects).

use super::Stream;
use super::advisory::Action;
use super::republish::Republish;
use crate::config::StreamConfig;
use crate::error::StoreResult;
use crate::time::Timestamp;
use sublist::transform::SubjectTransform;

/// The transform of incoming subjects a valid configuration asks for.
pub(super) fn transform_of(config: &StreamConfig) -> Option<SubjectTransform> {
    let transform = config.subject_transform.as_ref()?;
    let (source, destination) = (transform.source.as_bytes(), transform.destination.as_bytes());
    SubjectTransform::new(source, destination).ok()?
}

impl Stream {
    /// Takes over a configuration that [`check_update`](super::config::check_update) made of the
    /// old one, enforces it, and tells who listens. Subscriptions for the stream's subjects, the
    /// reservation with the account, and consumers are the driver's to adapt; it also calls
    /// [`remove_unneeded`](Stream::remove_unneeded) when the stream becomes one by interest.
    ///
    /// # Errors
    /// Those of the store, which enforces the new limits. The configuration is in force then too.
    pub fn update_config(&mut self, config: StreamConfig, now: Timestamp) -> StoreResult<()> {
        let old = std::mem::replace(&mut self.config, config);
        self.transform = transform_of(&self.config);
        self.republish = Republish::of(&self.config);
        if self.config.duplicate_window != old.duplicate_window {
            self.dedupe.set_window(self.config.duplicate_window, now);
        }
        if !self.config.allow_atomic {
            self.atomic.clear();
        }
        if !self.config.allow_batched {
            self.fast.clear();
        }
        self.update_sourcing(&old, now);
        self.advise(Action::Modify, now);
        let updated = self.store.update_config(self.config.clone(), now);
        self.settle(now);
        updated
    }
}
