//! Which request gets a message where clients take part in priority groups (spec 07b §B7).

use super::advisory::Event;
use super::waiting::Served;
use super::{Consumer, Mode, Turn};
use crate::config::PriorityPolicy;
use crate::time::Timestamp;
use std::time::Duration;

const PIN_ID_LEN: usize = 22;

/// The one client that gets messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pin {
    /// The id it was given.
    pub(super) id: String,
    /// Its group.
    group: String,
    /// Since when.
    pub(super) since: Timestamp,
    /// When it is given up, unless the client asks again.
    pub(super) deadline: Option<Timestamp>,
}

/// A request that takes a message.
pub(super) struct Taker {
    /// Where the message goes, and what is left of the request.
    pub(super) served: Served,
    /// The id told with the message, empty if nobody is pinned; `None` where clients are not.
    pub(super) pin_id: Option<String>,
}

/// What is to happen to the request at the front.
enum Verdict {
    Serve,
    /// It waits for another message.
    Rotate,
    /// It ends, with this status and its remaining counts.
    End(Option<&'static str>),
}

impl Consumer {
    /// The request that takes the next message of `size` bytes. Requests that cannot go on end.
    ///
    /// `min_pending` is the number of messages to be delivered, counting this one.
    pub(super) fn next_taker(
        &mut self,
        turn: &mut Turn<'_>,
        size: usize,
        min_pending: u64,
    ) -> Option<Taker> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let mut rotated = 0;
        loop {
            match self.judge_front(turn, size, min_pending)? {
                Verdict::Serve => return self.serve_front(size, turn.now),
                Verdict::Rotate => {
                    let Mode::Pull(pull) = &mut self.mode else { return None };
                    pull.waiting.rotate();
                    rotated += 1;
                    if rotated >= pull.waiting.len() {
                        return None;
                    }
                }
                Verdict::End(status) => {
                    let Mode::Pull(pull) = &mut self.mode else { return None };
                    let request = pull.waiting.remove_front()?;
                    if let Some(status) = status {
                        self.end_request(&request, status);
                    }
                }
            }
        }
    }

    /// Decides about the request at the front; `None` when there is none.
    fn judge_front(&mut self, turn: &mut Turn<'_>, size: i64, min_pending: u64) -> Option<Verdict> {
        let now = turn.now;
        let policy = self.config().priority_policy;
        let pending = i64::try_from(self.progress.pending.len()).unwrap_or(i64::MAX);
        let min_pending = i64::try_from(min_pending).unwrap_or(i64::MAX);
        let Mode::Pull(pull) = &mut self.mode else { return None };
        let request = pull.waiting.front()?;
        if request.has_expired(now) {
            return Some(Verdict::End(Some("408 Request Timeout")));
        }
        let mut pins_it = false;
        if policy == PriorityPolicy::PinnedClient || pull.pin.is_some() {
            let id = request.pin_id();
            match &pull.pin {
                None if id.is_empty() => pins_it = true,
                Some(pin) if id == pin.id => {}
                Some(_) if id.is_empty() => return Some(Verdict::Rotate),
                // An id of a pin that is over.
                _ => return Some(Verdict::End(Some("423 Nats-Wrong-Pin-Id"))),
            }
        }
        if policy == PriorityPolicy::Overflow
            && let Some(group) = &request.priority
        {
            let is_limited = group.min_pending > 0 || group.min_ack_pending > 0;
            let overflows = (group.min_pending > 0 && group.min_pending <= min_pending)
                || (group.min_ack_pending > 0 && group.min_ack_pending <= pending);
            if is_limited && !overflows {
                return Some(Verdict::Rotate);
            }
        }
        if request.bytes > 0 && size > request.bytes {
            // A client that was about to be pinned is not: it cannot take the message.
            return Some(Verdict::End(Some("409 Message Size Exceeds MaxBytes")));
        }
        let age = now.saturating_since(request.received);
        let (account, subject) = match &request.imported {
            Some(imported) => (Some(&*imported.account), &imported.subject),
            None => (None, &request.reply),
        };
        if !turn.interest.has_interest(account, subject, age) {
            let is_imported = request.imported.is_some();
            return Some(Verdict::End(is_imported.then_some("408 Interest Expired")));
        }
        if pins_it {
            self.pin_front(now);
        }
        Some(Verdict::Serve)
    }

    /// Gives the front request its message.
    fn serve_front(&mut self, size: i64, now: Timestamp) -> Option<Taker> {
        let pins = self.config().priority_policy == PriorityPolicy::PinnedClient;
        let Mode::Pull(pull) = &mut self.mode else { return None };
        let pin_id = pins.then(|| pull.pin.as_ref().map(|pin| pin.id.clone()).unwrap_or_default());
        let served = pull.waiting.serve_front(size, now)?;
        Some(Taker { served, pin_id })
    }

    /// Pins the client of the front request, if it belongs to a group.
    fn pin_front(&mut self, now: Timestamp) {
        let timeout = self.priority_timeout();
        let mut id = String::with_capacity(PIN_ID_LEN);
        self.random.append_name(PIN_ID_LEN, &mut id);
        let Mode::Pull(pull) = &mut self.mode else { return };
        let Some(request) = pull.waiting.front_mut().and_then(|front| front.priority.as_mut())
        else {
            return;
        };
        if request.group.is_empty() {
            return;
        }
        request.id.clone_from(&id);
        let group = request.group.clone();
        let deadline = Some(now.saturating_add(timeout));
        pull.pin =
            Some(Box::new(Pin { id: id.clone(), group: group.clone(), since: now, deadline }));
        let account = self.context.account.clone();
        self.advise(Event::Pinned { account, group, id }, now);
    }

    fn priority_timeout(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.config().priority_timeout).unwrap_or(0))
    }

    /// The id of the pinned client, empty if there is none.
    pub(super) fn pinned_id(&self) -> &str {
        match &self.mode {
            Mode::Pull(pull) => pull.pin.as_ref().map_or("", |pin| &pin.id),
            Mode::Push(_) => "",
        }
    }

    /// The pinned client asked again.
    pub(super) fn keep_pin(&mut self, group: &str, now: Timestamp) {
        let deadline = now.saturating_add(self.priority_timeout());
        if let Mode::Pull(pull) = &mut self.mode
            && let Some(pin) = &mut pull.pin
        {
            pin.deadline = Some(deadline);
            group.clone_into(&mut pin.group);
        }
    }

    /// The pinned client did not ask again in time.
    pub(super) fn pin_timed_out(&mut self, now: Timestamp) {
        let Mode::Pull(pull) = &mut self.mode else { return };
        let Some(pin) = pull.pin.take() else { return };
        self.advise_unpinned(pin.group, "timeout", now);
    }

    /// An operator unpins the client of a group. There need not be one.
    pub fn unpin(&mut self, group: &str, now: Timestamp) {
        if let Mode::Pull(pull) = &mut self.mode {
            pull.pin = None;
            self.advise_unpinned(group.to_owned(), "admin", now);
        }
    }

    fn advise_unpinned(&mut self, group: String, reason: &'static str, now: Timestamp) {
        let account = self.context.account.clone();
        self.advise(Event::Unpinned { account, group, reason }, now);
        self.ready = true;
    }
}
