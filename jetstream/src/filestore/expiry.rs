//! Expiry by age and by time to live, delete markers, and message schedules (spec 06, section 14).

use std::collections::HashMap;

use bytes::Bytes;

use super::FileStore;
use crate::config::StreamConfig;
use crate::error::StoreResult;
use crate::filter::SubjectFilter;
use crate::message::StoredMessage;
use crate::schedules::{ScheduleSource, Schedules};
use crate::store::{NewMessage, StoreEffect};
use crate::time::Timestamp;
use crate::timewheel::TimeWheel;
use crate::ttl;
use crate::types::{MessageTtl, StreamSequence};

/// Expiry does not run more often than this.
const MIN_INTERVAL: i64 = 250_000_000;
/// When removals go through proposals, their outcome is looked at after this time; the same
/// sequence is proposed again no sooner.
const PROPOSAL_INTERVAL: i64 = 2_000_000_000;

#[derive(Debug, Clone, Copy)]
struct Proposal {
    at: i64,
    last_of_subject: bool,
}

/// The timers of one stream.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    pub ttls: Option<TimeWheel>,
    pub schedules: Option<Schedules>,
    deadline: Option<i64>,
    /// Removals handed to the stream and not seen to be done, with their subjects.
    proposed: HashMap<u64, (Box<[u8]>, Proposal)>,
    proposed_of_subject: HashMap<Box<[u8]>, u64>,
}

impl Expiry {
    pub fn has_ttls(&self) -> bool {
        self.ttls.as_ref().is_some_and(|wheel| !wheel.is_empty())
    }

    pub fn on_stored(
        &mut self,
        seq: u64,
        timestamp: Timestamp,
        message: &NewMessage<'_>,
        config: &StreamConfig,
        now: Timestamp,
    ) {
        if let Some(wheel) = &mut self.ttls
            && let Some(expiry) = message.ttl.expiry(timestamp)
        {
            wheel.insert(seq, expiry);
            self.arm(config, now, None);
        } else if config.max_age > 0 && self.deadline.is_none() {
            self.arm(config, now, None);
        }
        if let Some(schedules) = &mut self.schedules {
            schedules.on_stored(seq, message.subject, message.header, timestamp, now);
        }
    }

    pub fn on_removed(&mut self, seq: u64, timestamp: i64, ttl: MessageTtl) {
        if let Some(wheel) = &mut self.ttls
            && let Some(expiry) = ttl.expiry(Timestamp::from_nanos(timestamp))
        {
            wheel.remove(seq, expiry);
        }
        if let Some(schedules) = &mut self.schedules {
            schedules.remove(seq);
        }
        self.forget_proposal(seq);
    }

    fn forget_proposal(&mut self, seq: u64) {
        if let Some((subject, _)) = self.proposed.remove(&seq)
            && let Some(count) = self.proposed_of_subject.get_mut(&subject)
        {
            *count -= 1;
            if *count == 0 {
                self.proposed_of_subject.remove(&subject);
            }
        }
    }

    /// Everything is gone.
    pub fn clear(&mut self) {
        if let Some(wheel) = &mut self.ttls {
            wheel.clear();
        }
        if let Some(schedules) = &mut self.schedules {
            schedules.clear();
        }
        self.forget_proposals();
    }

    /// Everything above `seq` is gone. Entries of the wheel are found stale when they expire.
    pub fn truncate(&mut self, _seq: u64) {
        self.forget_proposals();
    }

    /// Forgets the schedule of a message that went with its block.
    pub fn unschedule(&mut self, seq: u64) {
        if let Some(schedules) = &mut self.schedules {
            schedules.remove(seq);
        }
    }

    pub fn forget_proposals(&mut self) {
        self.proposed.clear();
        self.proposed_of_subject.clear();
        if let Some(schedules) = &mut self.schedules {
            schedules.clear_in_flight();
        }
    }

    pub fn deadline(&self) -> Option<i64> {
        let schedules = self.schedules.as_ref().and_then(Schedules::next_deadline);
        [self.deadline, schedules.map(Timestamp::nanos)].into_iter().flatten().min()
    }

    /// Sets when to look again. `oldest` is the time until the oldest message expires, when that
    /// is known.
    pub fn arm(&mut self, config: &StreamConfig, now: Timestamp, oldest: Option<i64>) {
        let next_ttl = self.ttls.as_ref().and_then(TimeWheel::next_expiry);
        if config.max_age <= 0 && next_ttl.is_none() {
            self.deadline = None;
            return;
        }
        let mut wait = (config.max_age > 0).then_some(config.max_age);
        let mut sooner = |by: i64| wait = Some(wait.map_or(by, |wait| wait.min(by)));
        if let Some(next) = next_ttl {
            sooner(next.nanos().saturating_sub(now.nanos()));
        }
        if let Some(oldest) = oldest {
            sooner(oldest);
        }
        let wait = wait.unwrap_or(PROPOSAL_INTERVAL).max(MIN_INTERVAL);
        let due = now.nanos().saturating_add(wait);
        self.deadline = Some(self.deadline.map_or(due, |armed| armed.min(due)));
    }

    pub fn disarm(&mut self) {
        self.deadline = None;
    }
}

struct StoreSource<'a>(&'a mut FileStore);

impl ScheduleSource for StoreSource<'_> {
    fn message(&mut self, sequence: u64) -> Option<StoredMessage> {
        self.0.load_message(sequence).ok()
    }

    fn last_message(&mut self, subject: &[u8]) -> Option<StoredMessage> {
        self.0.last_message(&SubjectFilter::new(subject)).ok()
    }
}

impl FileStore {
    /// Does what has fallen due by `now`.
    pub(super) fn run_timers(&mut self, now: Timestamp) -> StoreResult<()> {
        if self.expiry.deadline.is_some_and(|due| due <= now.nanos()) {
            self.expire(now)?;
        }
        let fires = self.expiry.schedules.as_ref().and_then(Schedules::next_deadline);
        if fires.is_some_and(|due| due <= now) {
            self.fire_schedules(now);
        }
        Ok(())
    }

    fn fire_schedules(&mut self, now: Timestamp) {
        let Some(mut schedules) = self.expiry.schedules.take() else { return };
        let messages = schedules.fire(now, &mut StoreSource(self));
        self.expiry.schedules = Some(schedules);
        for message in messages {
            self.effects.push_back(StoreEffect::Publish {
                subject: message.target,
                header: message.header,
                payload: message.payload,
            });
        }
    }

    /// Removes, or proposes to remove, what is older than `max_age`. Gives the time until the
    /// next message is, and whether anything was proposed.
    pub(super) fn expire_by_age(&mut self, now: Timestamp) -> StoreResult<(Option<i64>, bool)> {
        let markers = self.config.subject_delete_marker_ttl > 0;
        let mut waiting = false;
        if self.config.max_age <= 0 {
            return Ok((None, false));
        }
        let cutoff = now.nanos().saturating_sub(self.config.max_age);
        let mut start = 0;
        while let Some((seq, position)) = self.find_next(&SubjectFilter::All, start)? {
            start = seq + 1;
            let first = self.blocks[position].first;
            if seq == first.seq && first.timestamp != 0 && first.timestamp > cutoff {
                return Ok((Some(first.timestamp - cutoff), waiting));
            }
            // A damaged one is lost and accounted for by reading it.
            let Ok(message) = self.read_message(seq, position) else { continue };
            let age_left = message.timestamp().nanos().saturating_sub(cutoff);
            if age_left > 0 {
                return Ok((Some(age_left), waiting));
            }
            if !message.header().is_empty()
                && MessageTtl::of_header(message.header()) == Ok(MessageTtl::Never)
            {
                continue;
            }
            if markers {
                waiting = true;
                self.propose_removal(&message, now);
            } else {
                self.remove_by_limit(seq)?;
            }
        }
        Ok((None, waiting))
    }

    /// The age and time-to-live pass.
    pub(super) fn expire(&mut self, now: Timestamp) -> StoreResult<()> {
        self.expiry.disarm();
        let markers = self.config.subject_delete_marker_ttl > 0;
        let (mut oldest, mut waiting) = self.expire_by_age(now)?;
        let mut due: Vec<(u64, Timestamp)> = match &self.expiry.ttls {
            Some(wheel) => wheel.expired(now).collect(),
            None => Vec::new(),
        };
        due.sort_unstable();
        for (seq, expiry) in due {
            let Some(position) = self.position_of(seq) else {
                if let Some(wheel) = &mut self.expiry.ttls {
                    wheel.remove(seq, expiry);
                }
                continue;
            };
            if !markers {
                if let Some(wheel) = &mut self.expiry.ttls {
                    wheel.remove(seq, expiry);
                }
                self.remove_message(seq)?;
                continue;
            }
            if let Ok(message) = self.read_message(seq, position) {
                waiting = true;
                self.propose_removal(&message, now);
            }
        }
        self.tidy()?;
        if self.totals.messages == 0 && !self.expiry.has_ttls() {
            self.expiry.disarm();
            return Ok(());
        }
        if waiting {
            oldest = Some(oldest.map_or(PROPOSAL_INTERVAL, |o| o.min(PROPOSAL_INTERVAL)));
        }
        let config = std::mem::take(&mut self.config);
        self.expiry.arm(&config, now, oldest);
        self.config = config;
        Ok(())
    }

    /// Asks the stream to remove an expired message, or to publish a marker in its place when it
    /// is the last of its subject.
    fn propose_removal(&mut self, message: &StoredMessage, now: Timestamp) {
        let seq = message.sequence().get();
        let subject = message.subject();
        let held = self.subjects.find(subject).map_or(0, |info| info.total);
        let pending = self.expiry.proposed_of_subject.get(subject).copied().unwrap_or(0);
        let last = match self.expiry.proposed.get_mut(&seq) {
            Some((_, proposal)) => {
                if now.nanos() - proposal.at < PROPOSAL_INTERVAL {
                    return;
                }
                if proposal.last_of_subject && held > pending {
                    proposal.last_of_subject = false;
                }
                proposal.at = now.nanos();
                proposal.last_of_subject
            }
            None => {
                let last = held.saturating_sub(pending) == 1;
                let proposal = Proposal { at: now.nanos(), last_of_subject: last };
                self.expiry.proposed.insert(seq, (subject.into(), proposal));
                *self.expiry.proposed_of_subject.entry(subject.into()).or_default() += 1;
                last
            }
        };
        if last && !ttl::is_delete_marker(message.header()) {
            self.effects.push_back(StoreEffect::Publish {
                subject: message.subject_bytes(),
                header: Bytes::from(ttl::max_age_marker(self.config.subject_delete_marker_ttl)),
                payload: Bytes::new(),
            });
        } else {
            self.effects
                .push_back(StoreEffect::ProposeRemoval { sequence: StreamSequence::new(seq) });
        }
    }

    /// Takes up or drops the timers as the configuration asks.
    pub(super) fn adopt_timers(&mut self, now: Timestamp) -> StoreResult<()> {
        if !self.config.allow_msg_ttl {
            self.expiry.ttls = None;
        } else if self.expiry.ttls.is_none() {
            self.expiry.ttls = Some(TimeWheel::new());
            self.rescan_ttls(0)?;
        }
        if !self.config.allow_msg_schedules {
            self.expiry.schedules = None;
        } else if self.expiry.schedules.is_none() {
            self.expiry.schedules = Some(Schedules::new());
            self.rescan_schedules(0, now)?;
        }
        Ok(())
    }

    /// Reads the times to live of all messages from `from` on.
    pub(super) fn rescan_ttls(&mut self, from: u64) -> StoreResult<()> {
        let mut found = Vec::new();
        self.scan_headers(
            from,
            |block| block.ttls > 0,
            |seq, time, _, header| {
                if let Ok(ttl) = MessageTtl::of_header(header)
                    && let Some(expiry) = ttl.expiry(time)
                {
                    found.push((seq, expiry));
                }
            },
        )?;
        if let Some(wheel) = &mut self.expiry.ttls {
            for (seq, expiry) in found {
                wheel.insert(seq, expiry);
            }
        }
        Ok(())
    }

    /// Reads the schedules of all messages from `from` on.
    pub(super) fn rescan_schedules(&mut self, from: u64, now: Timestamp) -> StoreResult<()> {
        let Some(mut schedules) = self.expiry.schedules.take() else { return Ok(()) };
        let result = self.scan_headers(
            from,
            |block| block.schedules > 0,
            |seq, time, s, header| {
                schedules.recover(seq, s, header, time, now);
            },
        );
        schedules.arm(now);
        self.expiry.schedules = Some(schedules);
        result
    }

    fn scan_headers(
        &mut self,
        from: u64,
        wanted: impl Fn(&super::block::Block) -> bool,
        mut visit: impl FnMut(u64, Timestamp, &[u8], &[u8]),
    ) -> StoreResult<()> {
        for position in 0..self.blocks.len() {
            let Some(block) = self.blocks.get(position) else { break };
            if block.is_empty() || block.last.seq < from || !wanted(block) {
                continue;
            }
            self.load_block(position)?;
            let mut seq = from;
            while let Some(live) = self.blocks.get(position).and_then(|b| b.next_live(seq)) {
                seq = live + 1;
                let Some(block) = self.blocks.get_mut(position) else { break };
                let Ok(raw) = block.verified(live) else { continue };
                if raw.header.is_empty() {
                    continue;
                }
                let Some(bytes) = block.record_bytes(live) else { continue };
                if let (Some(subject), Some(header)) =
                    (bytes.get(raw.subject.clone()), bytes.get(raw.header.clone()))
                {
                    visit(live, Timestamp::from_nanos(raw.timestamp), subject, header);
                }
            }
        }
        Ok(())
    }

    /// How long a message may still stay, for the first look after opening.
    pub(super) fn arm_after_open(&mut self, now: Timestamp) {
        let oldest = (self.config.max_age > 0 && self.totals.messages > 0).then(|| {
            let age = now.nanos().saturating_sub(self.totals.first.timestamp);
            self.config.max_age.saturating_sub(age).max(0)
        });
        let config = std::mem::take(&mut self.config);
        self.expiry.disarm();
        self.expiry.arm(&config, now, oldest);
        self.config = config;
    }
}
