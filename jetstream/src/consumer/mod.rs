//! What a consumer remembers: how far it delivered, what is acknowledged, what is pending.
//!
//! Spec 06 §10. [`state`] holds the rules, [`codec`] the form of `o.dat` and of snapshots,
//! [`files`] the consumer's directory. [`ConsumerStore`] ties them together for its driver, the
//! consumer: it has no clock and no thread.
//!
//! With files, changes are written by [`ConsumerStore::tick`], which is due at
//! [`ConsumerStore::next_deadline`]: at once after the first change, then no sooner than a tenth
//! of a second after the last write. A position that was set ([`ConsumerStore::set_starting`],
//! [`ConsumerStore::reset`], [`ConsumerStore::force_update`]) is written before the call returns.

pub mod codec;
pub mod files;
pub mod state;

use crate::config::ConsumerConfig;
use crate::error::{StoreError, StoreResult};
use crate::time::{DateTime, Timestamp};
use crate::types::{ConsumerSequence, StreamSequence};
use files::{ConsumerDirectory, ConsumerFiles};
use state::ConsumerState;
use std::time::Duration;

/// Least time between two writes of the state.
const WRITE_INTERVAL: Duration = Duration::from_millis(100);

/// The store of one consumer.
#[derive(Debug)]
pub struct ConsumerStore {
    config: ConsumerConfig,
    state: ConsumerState,
    /// Where the state is kept; `None` for a consumer in memory.
    files: Option<ConsumerFiles>,
    /// Whether the state differs from what was written.
    dirty: bool,
    /// When the next write may happen.
    write_from: Timestamp,
    closed: bool,
}

impl ConsumerStore {
    /// A store in memory.
    ///
    /// # Errors
    /// [`StoreError::BadConsumerConfig`] without a name.
    pub fn in_memory(name: &str, config: ConsumerConfig) -> StoreResult<Self> {
        Self::with(name, config, |_| Ok((None, ConsumerState::default())))
    }

    /// A store in files, made or recovered.
    ///
    /// # Errors
    /// [`StoreError::BadConsumerConfig`] without a name; what keeps the directory from being
    /// made or read; [`StoreError::CorruptState`] and [`StoreError::UnsupportedVersion`] for a
    /// state that cannot be understood.
    pub fn in_files(
        directory: ConsumerDirectory,
        name: &str,
        created: DateTime,
        config: ConsumerConfig,
    ) -> StoreResult<Self> {
        Self::with(name, config, |config| {
            let (files, state) = ConsumerFiles::open(directory, name, created, config)?;
            Ok((Some(files), state))
        })
    }

    fn with(
        name: &str,
        config: ConsumerConfig,
        open: impl FnOnce(&ConsumerConfig) -> StoreResult<(Option<ConsumerFiles>, ConsumerState)>,
    ) -> StoreResult<Self> {
        if name.is_empty() {
            return Err(StoreError::BadConsumerConfig);
        }
        let (files, state) = open(&config)?;
        let write_from = Timestamp::ZERO;
        Ok(ConsumerStore { config, state, files, dirty: false, write_from, closed: false })
    }

    fn check_open(&self) -> StoreResult<()> {
        if self.closed { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Notes whether the state changed, and passes a result through.
    fn changed<T>(&mut self, changed: bool, result: T) -> T {
        self.dirty |= changed && self.files.is_some();
        result
    }

    /// The state.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn state(&self) -> StoreResult<&ConsumerState> {
        self.check_open()?;
        Ok(&self.state)
    }

    /// The configuration in force.
    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// Whether anything was ever delivered or written.
    pub fn has_state(&self) -> bool {
        self.state.has_delivered() || self.files.as_ref().is_some_and(ConsumerFiles::has_state)
    }

    /// The encoded state, for snapshots and replicas.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn encoded_state(&self, now: Timestamp) -> StoreResult<Vec<u8>> {
        self.check_open()?;
        Ok(codec::encode(&self.state, now))
    }

    /// Sets where the consumer starts, and writes it.
    ///
    /// # Errors
    /// Those of writing.
    pub fn set_starting(&mut self, sequence: StreamSequence, now: Timestamp) -> StoreResult<()> {
        self.check_open()?;
        self.state.set_starting(sequence);
        self.write(now)
    }

    /// Moves the start forward; nothing happens when it is not ahead.
    pub fn update_starting(&mut self, sequence: StreamSequence) {
        let changed = self.state.update_starting(self.config.ack_policy, sequence);
        self.changed(changed, ());
    }

    /// Forgets everything and starts anew, and writes that.
    ///
    /// # Errors
    /// Those of writing.
    pub fn reset(&mut self, sequence: StreamSequence, now: Timestamp) -> StoreResult<()> {
        self.check_open()?;
        self.state = ConsumerState::default();
        self.set_starting(sequence, now)
    }

    /// A message was delivered: `count` times by now, the last time at `timestamp`.
    ///
    /// # Errors
    /// [`StoreError::NoAckPolicy`] for a redelivery by a consumer without acknowledgements.
    pub fn update_delivered(
        &mut self,
        consumer: ConsumerSequence,
        stream: StreamSequence,
        count: u64,
        timestamp: Timestamp,
    ) -> StoreResult<()> {
        self.check_open()?;
        let changed =
            self.state.update_delivered(&self.config, consumer, stream, count, timestamp)?;
        self.changed(changed, Ok(()))
    }

    /// A message was acknowledged.
    ///
    /// # Errors
    /// [`StoreError::NoAckPolicy`], and [`StoreError::MessageNotFound`] when it was not pending;
    /// then its count of redeliveries is forgotten all the same.
    pub fn update_acks(
        &mut self,
        consumer: ConsumerSequence,
        stream: StreamSequence,
    ) -> StoreResult<()> {
        self.check_open()?;
        let (changed, result) = self.state.update_acks(self.config.ack_policy, consumer, stream);
        self.changed(changed, result)
    }

    /// Forgets the redeliveries of messages below `sequence`; 0 forgets none.
    pub fn remove_redelivered_below(&mut self, sequence: StreamSequence) {
        let changed = self.state.remove_redelivered_below(sequence);
        self.changed(changed, ());
    }

    /// Takes over a state that is not older.
    ///
    /// # Errors
    /// What is wrong with the state, and [`StoreError::OldUpdate`].
    pub fn update(&mut self, state: ConsumerState) -> StoreResult<()> {
        self.check_open()?;
        state.check()?;
        if state.is_older_than(&self.state) {
            return Err(StoreError::OldUpdate);
        }
        self.state = state;
        self.changed(true, Ok(()))
    }

    /// Takes over a state, even an older one, and writes it.
    ///
    /// # Errors
    /// What is wrong with the state, and those of writing.
    pub fn force_update(&mut self, state: ConsumerState, now: Timestamp) -> StoreResult<()> {
        self.check_open()?;
        state.check()?;
        self.state = state;
        self.write(now)
    }

    /// Takes over a configuration, and writes it.
    ///
    /// # Errors
    /// Those of writing; the configuration is in force all the same.
    pub fn update_config(&mut self, config: ConsumerConfig) -> StoreResult<()> {
        self.check_open()?;
        self.config = config;
        match &mut self.files {
            Some(files) => files.write_meta(&self.config),
            None => Ok(()),
        }
    }

    /// Changes the configuration in force without writing it: for what the consumer shows, but
    /// finds out anew each time it is opened.
    pub fn amend_config(&mut self, change: impl FnOnce(&mut ConsumerConfig)) {
        change(&mut self.config);
    }

    /// When [`ConsumerStore::tick`] has something to write, if it has.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        (self.dirty && !self.closed).then_some(self.write_from)
    }

    /// Writes the state if it is due.
    ///
    /// # Errors
    /// Those of writing; the state stays to be written.
    pub fn tick(&mut self, now: Timestamp) -> StoreResult<()> {
        self.check_open()?;
        match self.next_deadline() {
            Some(deadline) if deadline <= now => self.write(now),
            _ => Ok(()),
        }
    }

    /// Writes the state now.
    fn write(&mut self, now: Timestamp) -> StoreResult<()> {
        let Some(files) = &mut self.files else { return Ok(()) };
        self.dirty = true;
        self.write_from = now.saturating_add(WRITE_INTERVAL);
        files.write_state(&codec::encode(&self.state, now))?;
        self.dirty = false;
        Ok(())
    }

    /// Writes what is not yet written, and closes the store. Doing so again does nothing.
    ///
    /// # Errors
    /// Those of writing; the store is closed all the same.
    pub fn stop(&mut self, now: Timestamp) -> StoreResult<()> {
        if self.closed {
            return Ok(());
        }
        let written = if self.dirty { self.write(now) } else { Ok(()) };
        self.closed = true;
        written
    }

    /// Closes the store and removes its directory.
    ///
    /// # Errors
    /// Those of removing.
    pub fn delete(&mut self) -> StoreResult<()> {
        if self.closed {
            return Ok(());
        }
        self.closed = true;
        self.files.as_mut().map_or(Ok(()), ConsumerFiles::remove)
    }

    /// Closes the store of a stream that is being deleted with everything in it.
    pub fn stream_deleted(&mut self) {
        self.closed = true;
    }
}

#[cfg(test)]
mod tests;
