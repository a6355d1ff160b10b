//! The consumer engine: which message goes to whom, and what became of it (spec 07b).
//!
//! A [`Consumer`] is a plain struct beside the [`Store`] of its stream. It has no clock, no thread
//! and no connection: it is told what happens, and gives back [`ConsumerEffect`]s. Its driver
//!
//! 1. creates it with [`Consumer::new`] from a checked configuration ([`config`]) and a
//!    [`ConsumerStore`], and tells it of every message its stream stores ([`Consumer::stored`],
//!    for consumers whose filters match: [`FilterIndex`] finds them) and removes
//!    ([`Consumer::removed`], [`Consumer::removed_many`], [`Consumer::purged`]);
//! 2. hands it what clients send: [`Consumer::ack`], [`Consumer::pull`],
//!    [`Consumer::flow_control_reply`], [`Consumer::reset`], and the changes operators ask for;
//! 3. calls [`Consumer::deliver`] while [`Consumer::is_ready`], giving each consumer of a stream a
//!    budget in turn;
//! 4. calls [`Consumer::tick`] once [`Consumer::next_deadline`] has passed;
//! 5. drains [`Consumer::poll_effect`] after every one of these calls.
//!
//! What depends on the outside comes in a [`Turn`]: the stream's store, the time, and who listens.
//!
//! An idle consumer costs no time, and little memory: what only some consumers need is made when
//! they need it, and queues that have become empty give their memory back.
//!
//! Every change that must survive, or reach replicas, goes through [`Consumer::record_delivered`]
//! and [`Consumer::record_acked`]. On one server these write to the consumer's store at once.

pub mod advisory;
pub mod config;
pub mod effect;
pub mod index;
pub mod info;
pub mod pull_request;
pub mod subjects;

mod acks;
mod delivering;
mod flow_control;
mod lifetime;
mod pacing;
mod pending;
mod priority;
mod progress;
mod pulling;
mod pushing;
mod redelivery;
mod reset;
mod retention;
mod start;
mod stream_changes;
mod updating;
mod waiting;

#[cfg(test)]
mod tests;

use crate::config::{ConsumerConfig, PriorityPolicy, ReplayPolicy, RetentionPolicy, StreamConfig};
use crate::consumer::ConsumerStore;
use crate::consumer::state::PendingDelivery;
use crate::error::{StoreError, StoreResult};
use crate::filter::SubjectFilter;
use crate::random::Random;
use crate::store::Store;
use crate::time::{DateTime, Timestamp};
use crate::types::{ConsumerSequence, StreamSequence};
use advisory::{Advisory, Event};
use bytes::Bytes;
use flow_control::FlowControl;
use pacing::Pacing;
use progress::Progress;
use redelivery::RedeliveryQueue;
use start::SkipList;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use waiting::WaitingQueue;

pub use delivering::{Budget, Delivered};
pub use effect::{ConsumerEffect, Delivery};
pub use index::FilterIndex;
pub use info::ConsumerInfo;
pub use subjects::{AckFormat, ConsumerContext};
pub use waiting::ImportedInterest;

/// Whether anybody listens where messages would be sent.
pub trait ReplyInterest {
    /// Whether `subject` has interest in `account`, or in the consumer's own account when that is
    /// `None`. A server with links to others, where interest may still be on its way, also says
    /// yes while a request is young (`age`).
    fn has_interest(&self, account: Option<&str>, subject: &[u8], age: Duration) -> bool;
}

/// Somebody always listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AlwaysInterested;

impl ReplyInterest for AlwaysInterested {
    fn has_interest(&self, _: Option<&str>, _: &[u8], _: Duration) -> bool {
        true
    }
}

/// What a consumer needs from outside to act.
pub struct Turn<'a> {
    /// The messages of the stream.
    pub store: &'a mut dyn Store,
    /// Who listens.
    pub interest: &'a dyn ReplyInterest,
    /// What time it is.
    pub now: Timestamp,
}

/// What a consumer is made of.
pub struct NewConsumer {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: DateTime,
    /// Its store, with the checked configuration. Consumers of mirrors and sources have one in
    /// memory.
    pub store: ConsumerStore,
    /// What the consumers of its account share.
    pub context: Arc<ConsumerContext>,
    /// Bits that are different for each consumer.
    pub seed: u64,
    /// Whether somebody listens on its deliver subject.
    pub active: bool,
    /// Whether it existed before the server started.
    pub recovering: bool,
}

/// A consumer of a stream.
///
/// The module tells how it is driven.
pub struct Consumer {
    name: Box<str>,
    stream: Box<str>,
    created: DateTime,
    context: Arc<ConsumerContext>,
    /// What the reply subjects of its messages start with.
    ack_prefix: Box<str>,
    store: ConsumerStore,
    filter: SubjectFilter,
    retention: RetentionPolicy,
    random: Random,

    progress: Progress,
    redelivery: RedeliveryQueue,
    /// The last messages of each subject that are still to be delivered.
    skip_list: Option<Box<SkipList>>,
    /// Messages to be delivered; below 0 while counting lags behind.
    num_pending: i64,
    /// Messages up to here are counted.
    counted_through: StreamSequence,
    /// Messages below are known to be needed by nobody for this consumer's sake.
    checked_floor: StreamSequence,
    last_delivery: Option<Timestamp>,
    last_ack: Option<Timestamp>,

    mode: Mode,
    pacing: Option<Box<Pacing>>,
    /// Whether there may be something to deliver.
    ready: bool,
    /// Whether nothing the stream holds from the next message on is to be delivered. Then the next
    /// matching message that is stored is the next one, and need not be looked for.
    caught_up: bool,
    /// When pending messages are looked at next.
    pending_deadline: Option<Timestamp>,
    /// How long it survives without use, with jitter; zero for ever.
    inactive_threshold: Duration,
    /// When to look whether it is still in use.
    delete_deadline: Option<Timestamp>,
    /// When it goes on after a rest.
    pause_deadline: Option<Timestamp>,
    effects: VecDeque<ConsumerEffect>,
    closed: bool,
}

/// How messages reach clients.
enum Mode {
    Push(Push),
    Pull(Pull),
}

/// A consumer that sends to a subject of its own.
struct Push {
    /// The deliver subject.
    subject: Bytes,
    /// Whether anybody listens there.
    active: bool,
    /// When a heartbeat is due.
    heartbeat: Option<Timestamp>,
    flow: Option<Box<FlowControl>>,
}

/// A consumer that sends to those who ask.
struct Pull {
    waiting: WaitingQueue,
    /// When it was last used.
    last_used: Timestamp,
    /// When requests were last looked through.
    last_checked: Timestamp,
    pin: Option<Box<priority::Pin>>,
}

impl Consumer {
    /// Makes a consumer, or brings one back after a restart.
    ///
    /// # Errors
    /// Those of reading messages to find its start, and of writing its first state.
    pub fn new(turn: &mut Turn<'_>, new: NewConsumer) -> StoreResult<Consumer> {
        let config = new.store.config();
        let stream = turn.store.config();
        let mode = if config.is_push() {
            let flow = config.flow_control.then(|| Box::new(FlowControl::new()));
            let subject = Bytes::copy_from_slice(config.deliver_subject.as_bytes());
            Mode::Push(Push { subject, active: false, heartbeat: None, flow })
        } else {
            let max = usize::try_from(config.max_waiting).unwrap_or(0);
            let ranked = config.priority_policy == PriorityPolicy::Prioritized;
            Mode::Pull(Pull {
                waiting: WaitingQueue::new(max, ranked),
                last_used: turn.now,
                last_checked: turn.now,
                pin: None,
            })
        };
        let mut consumer = Consumer {
            ack_prefix: new.context.ack_prefix(&stream.name, &new.name).into(),
            name: new.name.into(),
            stream: stream.name.as_str().into(),
            created: new.created,
            context: new.context,
            filter: SubjectFilter::any(config.filters()),
            retention: stream.retention,
            random: Random::new(new.seed),
            progress: Progress::default(),
            redelivery: RedeliveryQueue::default(),
            skip_list: None,
            num_pending: 0,
            counted_through: StreamSequence::ZERO,
            checked_floor: StreamSequence::ZERO,
            last_delivery: None,
            last_ack: None,
            mode,
            pacing: None,
            ready: true,
            caught_up: false,
            pending_deadline: None,
            inactive_threshold: Duration::ZERO,
            delete_deadline: None,
            pause_deadline: None,
            effects: VecDeque::new(),
            closed: false,
            store: new.store,
        };
        consumer.find_place(turn, new.recovering)?;
        consumer.set_inactive_threshold();
        if consumer.config().sourcing && !consumer.config().direct {
            consumer.reset_to(turn, None).map_err(|error| StoreError::Other(error.to_string()))?;
        }
        consumer.start(turn, new.active);
        if !new.recovering {
            consumer.advise(Event::Created, turn.now);
            consumer.advise_if_paused(turn.now);
        }
        consumer.check_invariants();
        Ok(consumer)
    }

    /// Restores the state, or finds where to start.
    fn find_place(&mut self, turn: &mut Turn<'_>, recovering: bool) -> StoreResult<()> {
        if !self.store.has_state() {
            return self.select_start(turn);
        }
        self.progress = Progress::restored(self.store.state()?);
        let last = turn.store.fast_state().last_seq;
        let delivered = self.progress.delivered().stream;
        if recovering && self.config().replicas(turn.store.config()) <= 1 && last < delivered {
            self.warn(format!(
                "JetStream consumer '{} > {} > {}' delivered sequence {delivered} past last stream sequence of {last}",
                self.context.account, self.stream, self.name
            ));
            self.progress.reconcile(last);
            self.store.force_update(self.progress.to_state(), turn.now)?;
        }
        Ok(())
    }

    /// Starts what runs while the consumer lives.
    fn start(&mut self, turn: &mut Turn<'_>, active: bool) {
        self.forget_removed_redeliveries(turn);
        self.count_pending(turn);
        self.check_floor(turn);
        if !self.progress.pending.is_empty() {
            // Sooner than usual, in case clients are gone that had messages.
            let jitter = Duration::from_millis(500 + self.random.below(1_000));
            let delay = self.ack_wait().map_or(Duration::ZERO, |wait| wait.min(jitter));
            self.pending_deadline = Some(turn.now.saturating_add(delay));
        }
        self.set_rate_limit(turn);
        if self.config().replay_policy == ReplayPolicy::Original {
            let last = turn.store.fast_state().last_seq;
            self.pacing.get_or_insert_default().replay_until(last);
        }
        self.set_pause_deadline(turn.now);
        if self.config().is_push() {
            self.set_active(active, turn.now);
        } else {
            self.restart_inactivity(turn.now);
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &ConsumerConfig {
        self.store.config()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// When it was created.
    pub fn created(&self) -> DateTime {
        self.created
    }

    /// The messages it delivers.
    pub fn filter(&self) -> &SubjectFilter {
        &self.filter
    }

    /// What it remembers, for snapshots of its stream.
    pub fn store(&self) -> &ConsumerStore {
        &self.store
    }

    /// Whether [`Consumer::deliver`] may have something to do.
    pub fn is_ready(&self) -> bool {
        self.ready && !self.closed
    }

    /// The effect that is next, if any.
    pub fn poll_effect(&mut self) -> Option<ConsumerEffect> {
        let effect = self.effects.pop_front();
        if effect.is_none() && self.effects.capacity() > 0 {
            self.effects = VecDeque::new();
        }
        effect
    }

    /// When [`Consumer::tick`] has something to do, if ever.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.closed {
            return None;
        }
        let of_mode = match &self.mode {
            Mode::Push(push) => [push.heartbeat, None],
            Mode::Pull(pull) => {
                [pull.waiting.deadline(), pull.pin.as_ref().and_then(|pin| pin.deadline)]
            }
        };
        [
            self.pending_deadline,
            self.delete_deadline,
            self.pause_deadline,
            self.pacing.as_ref().and_then(|pacing| pacing.deadline()),
            self.store.next_deadline(),
        ]
        .into_iter()
        .chain(of_mode)
        .flatten()
        .min()
    }

    /// Does what has fallen due.
    pub fn tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        let is_due = |deadline: Option<Timestamp>| deadline.is_some_and(|at| at <= now);
        if self.closed {
            return;
        }
        if is_due(self.pause_deadline) {
            self.pause_deadline = None;
            self.advise(Event::pause(self.config(), now), now);
            self.ready = true;
        }
        if is_due(self.pacing.as_ref().and_then(|pacing| pacing.deadline())) {
            self.ready = true;
        }
        if is_due(self.pending_deadline) {
            self.check_pending(turn);
        }
        match &self.mode {
            Mode::Push(push) if is_due(push.heartbeat) => self.send_push_heartbeat(now),
            Mode::Push(_) => {}
            Mode::Pull(pull) => {
                let (pin, waiting) =
                    (pull.pin.as_ref().and_then(|pin| pin.deadline), pull.waiting.deadline());
                if is_due(pin) {
                    self.pin_timed_out(now);
                }
                if is_due(waiting) {
                    self.check_waiting(turn.interest, now, true);
                }
            }
        }
        if is_due(self.delete_deadline) {
            self.check_inactivity(turn);
        }
        if let Err(error) = self.store.tick(now) {
            self.warn(format!(
                "JetStream consumer '{} > {} > {}' state could not be written: {error}",
                self.context.account, self.stream, self.name
            ));
        }
        self.check_invariants();
    }

    /// Notes a delivery so that it survives: the `count`th of its message.
    fn record_delivered(
        &mut self,
        consumer: ConsumerSequence,
        stream: StreamSequence,
        count: u64,
        timestamp: Timestamp,
        now: Timestamp,
    ) {
        // The store refuses only what it need not know.
        let _ = self.store.update_delivered(consumer, stream, count, timestamp);
        self.last_delivery = Some(now);
    }

    /// Notes an acknowledgement so that it survives.
    fn record_acked(&mut self, consumer: ConsumerSequence, stream: StreamSequence, now: Timestamp) {
        // That a message was not pending is no error here.
        let _ = self.store.update_acks(consumer, stream);
        self.last_ack = Some(now);
    }

    /// Writes positions and pending messages as they are now; `occasion` says why.
    fn record_state(&mut self, occasion: &str) {
        if let Err(error) = self.store.update(self.progress.to_state()) {
            self.warn(format!(
                "Consumer '{} > {} > {}' error on write store state from {occasion}: {error}",
                self.context.account, self.stream, self.name
            ));
        }
    }

    fn effect(&mut self, effect: ConsumerEffect) {
        self.effects.push_back(effect);
    }

    fn warn(&mut self, text: String) {
        self.effect(ConsumerEffect::Warn(text));
    }

    fn advise(&mut self, event: Event, now: Timestamp) {
        let (stream, consumer) = (self.stream.to_string(), self.name.to_string());
        let advisory = Advisory { time: now, stream, consumer, event };
        self.effect(ConsumerEffect::Advisory(Box::new(advisory)));
    }

    /// Sends a header without a message.
    fn send_status(&mut self, subject: Bytes, header: String) {
        let header = Bytes::from(header);
        self.effect(ConsumerEffect::Send { subject, reply: Bytes::new(), header });
    }

    /// Confirms an acknowledgement, if that was asked for.
    fn confirm(&mut self, reply: &[u8]) {
        if !reply.is_empty() {
            let subject = Bytes::copy_from_slice(reply);
            let (reply, header) = (Bytes::new(), Bytes::new());
            self.effect(ConsumerEffect::Send { subject, reply, header });
        }
    }

    /// Tells a stream that keeps only what is needed that messages are acknowledged.
    fn release(&mut self, first: StreamSequence, last: StreamSequence) {
        if self.retention != RetentionPolicy::Limits && !last.is_zero() {
            self.effect(ConsumerEffect::Acked { first, last });
        }
    }

    /// As [`Consumer::release`], for all messages that were pending, and the one that was named.
    fn release_all(
        &mut self,
        acknowledged: BTreeMap<StreamSequence, PendingDelivery>,
        named: StreamSequence,
    ) {
        if self.retention == RetentionPolicy::Limits {
            return;
        }
        let mut run: Option<(StreamSequence, StreamSequence)> = None;
        for stream in acknowledged.into_keys().filter(|stream| *stream != named).chain([named]) {
            run = match run {
                Some((first, last)) if last.next() == stream => Some((first, stream)),
                Some((first, last)) => {
                    self.release(first, last);
                    Some((stream, stream))
                }
                None => Some((stream, stream)),
            };
        }
        if let Some((first, last)) = run {
            self.release(first, last);
        }
    }

    /// How long to wait for an acknowledgement; `None` for ever.
    fn ack_wait(&self) -> Option<Duration> {
        u64::try_from(self.config().ack_wait)
            .ok()
            .filter(|nanos| *nanos > 0)
            .map(Duration::from_nanos)
    }

    /// How many messages may be pending; `None` for any number.
    fn max_ack_pending(&self) -> Option<usize> {
        usize::try_from(self.config().max_ack_pending).ok().filter(|max| *max > 0)
    }

    fn is_at_max_ack_pending(&self) -> bool {
        self.max_ack_pending().is_some_and(|max| self.progress.pending.len() >= max)
    }

    fn set_rate_limit(&mut self, turn: &Turn<'_>) {
        let bits = self.config().rate_limit_bps;
        if bits > 0 || self.pacing.is_some() {
            let burst = burst(turn.store.config(), &self.context);
            self.pacing.get_or_insert_default().set_rate(bits, burst, turn.now);
        }
        self.drop_idle_pacing();
    }

    fn drop_idle_pacing(&mut self) {
        if self.pacing.as_ref().is_some_and(|pacing| pacing.is_done()) {
            self.pacing = None;
        }
    }

    /// Checks what the engine relies on; in debug builds after every public entry.
    fn check_invariants(&self) {
        if cfg!(debug_assertions) && !self.closed {
            self.progress.check_invariants();
            self.redelivery.check_invariants();
            if let Mode::Pull(pull) = &self.mode {
                pull.waiting.check_invariants();
            }
        }
    }
}

/// Bytes that a rate limit lets through at once.
fn burst(stream: &StreamConfig, context: &ConsumerContext) -> u64 {
    const DEFAULT_MAX_PAYLOAD: u64 = 1 << 20;
    match u64::try_from(stream.max_msg_size) {
        Ok(max) if max > 0 => max,
        _ if context.max_payload > 0 => context.max_payload,
        _ => DEFAULT_MAX_PAYLOAD,
    }
}
