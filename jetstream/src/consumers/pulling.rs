//! Clients asking for messages (spec 07b §B6).

use super::pull_request::PullRequest;
use super::waiting::{ImportedInterest, Served, WaitingRequest};
use super::{Consumer, Mode, Pull, ReplyInterest, Turn};
use crate::config::PriorityPolicy;
use crate::duration;
use crate::headers;
use crate::time::Timestamp;
use bytes::Bytes;
use std::time::Duration;

/// A full queue is not searched for requests that are over more often than this.
const MIN_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The highest rank number of a request.
const MAX_PRIORITY: i64 = 9;

/// What a request that is not answered with messages gets.
type Refusal = String;

impl Consumer {
    /// A client asks for messages, or sent `+NXT`: `reply` is where they go. A request without
    /// one is ignored. `imported` tells whose interest counts when the request came through an
    /// import of another account.
    pub fn pull(
        &mut self,
        turn: &mut Turn<'_>,
        reply: &[u8],
        header: &[u8],
        body: &[u8],
        imported: Option<ImportedInterest>,
    ) {
        if reply.is_empty() || self.closed {
            return;
        }
        if let Err(refusal) = self.take_request(turn, reply, header, body, imported) {
            let header = format!("NATS/1.0 {refusal}\r\n\r\n");
            self.send_status(Bytes::copy_from_slice(reply), header);
        }
        self.check_invariants();
    }

    fn take_request(
        &mut self,
        turn: &mut Turn<'_>,
        reply: &[u8],
        header: &[u8],
        body: &[u8],
        imported: Option<ImportedInterest>,
    ) -> Result<(), Refusal> {
        if self.config().is_push() {
            return Err("409 Consumer is push based".to_owned());
        }
        if crate::api_level::exceeds_level(header) {
            return Err("412 Required Api Level".to_owned());
        }
        let request =
            PullRequest::parse(body).map_err(|error| format!("400 Bad Request - {error}"))?;
        self.check_request(&request)?;
        self.check_group(&request, turn.now)?;
        self.make_room(turn);
        if request.no_wait {
            self.check_no_wait(turn, &request)?;
        }
        let now = turn.now;
        let next_heartbeat =
            (!request.heartbeat.is_zero()).then(|| now.saturating_add(request.heartbeat));
        let waiting = WaitingRequest {
            reply: Bytes::copy_from_slice(reply),
            imported: imported.map(Box::new),
            remaining: request.batch,
            delivered: 0,
            bytes: request.max_bytes.max(0),
            expires: request.deadline(now),
            received: now,
            heartbeat: request.heartbeat,
            next_heartbeat,
            no_wait: request.no_wait,
            priority: request.priority,
        };
        let Some(pull) = self.as_pull() else { return Ok(()) };
        if pull.waiting.add(waiting).is_err() {
            // A client that watches for heartbeats finds out, and is not to ask again at once.
            let is_told = request.heartbeat.is_zero();
            return if is_told { Err("409 Exceeded MaxWaiting".to_owned()) } else { Ok(()) };
        }
        pull.last_used = now;
        self.ready = true;
        Ok(())
    }

    fn as_pull(&mut self) -> Option<&mut Pull> {
        match &mut self.mode {
            Mode::Pull(pull) => Some(pull),
            Mode::Push(_) => None,
        }
    }

    /// Checks a request against the consumer's limits.
    fn check_request(&self, request: &PullRequest) -> Result<(), Refusal> {
        let config = self.config();
        if config.max_batch > 0 && request.batch > config.max_batch {
            return Err(format!("409 Exceeded MaxRequestBatch of {}", config.max_batch));
        }
        if config.max_expires > 0
            && request.expires.is_some_and(|expires| expires > config.max_expires)
        {
            let limit = duration::format(config.max_expires);
            return Err(format!("409 Exceeded MaxRequestExpires of {limit}"));
        }
        if config.max_bytes > 0 && request.max_bytes > config.max_bytes {
            return Err(format!("409 Exceeded MaxRequestMaxBytes of {}", config.max_bytes));
        }
        Ok(())
    }

    /// Checks how a request takes part in a priority group, and keeps a pin alive.
    fn check_group(&mut self, request: &PullRequest, now: Timestamp) -> Result<(), Refusal> {
        let Some(group) = &request.priority else { return Ok(()) };
        let policy = self.config().priority_policy;
        let bad = |text: &str| Err(format!("400 Bad Request - {text}"));
        let has_minimum = group.min_pending != 0 || group.min_ack_pending != 0;
        if has_minimum && policy != PriorityPolicy::Overflow {
            return bad("Not a Overflow Priority consumer");
        }
        if !group.id.is_empty() && policy != PriorityPolicy::PinnedClient {
            return bad("Not a Pinned Client Priority consumer");
        }
        if !(0..=MAX_PRIORITY).contains(&group.priority) {
            return bad("Priority must be between 0 and 9");
        }
        if policy == PriorityPolicy::None {
            return Ok(());
        }
        if group.group.is_empty() {
            return bad("Priority Group missing");
        }
        if !self.config().priority_groups.contains(&group.group) {
            return bad("Invalid Priority Group");
        }
        let pinned = self.pinned_id();
        if pinned.is_empty() || group.id.is_empty() {
            return Ok(());
        }
        if group.id != pinned {
            return Err("423 Nats-Pin-Id mismatch".to_owned());
        }
        self.keep_pin(&group.group, now);
        Ok(())
    }

    /// Looks for requests that are over when there is no room for another one.
    fn make_room(&mut self, turn: &Turn<'_>) {
        let now = turn.now;
        let Some(pull) = self.as_pull() else { return };
        let is_due = now.saturating_since(pull.last_checked) > MIN_CHECK_INTERVAL;
        if pull.waiting.is_full() && is_due {
            self.check_waiting(turn.interest, now, false);
        }
    }

    /// Whether a request that does not wait has something to wait for.
    fn check_no_wait(&mut self, turn: &Turn<'_>, request: &PullRequest) -> Result<(), Refusal> {
        let queued = u64::try_from(self.redelivery.len()).unwrap_or(u64::MAX);
        let available = self.num_pending().saturating_add(queued);
        let refusal = if available == 0 {
            request.expires.is_none().then_some("404 No Messages")
        } else {
            let wanted = self.check_waiting(turn.interest, turn.now, false);
            let is_short = i64::try_from(available).is_ok_and(|available| available < wanted);
            is_short.then_some("408 Requests Pending")
        };
        let Some(refusal) = refusal else { return Ok(()) };
        if let Some(pull) = self.as_pull() {
            pull.last_used = turn.now;
        }
        Err(refusal.to_owned())
    }

    /// Ends requests that are over and those nobody listens for, and sends heartbeats. With
    /// `at_end`, there is nothing to deliver: requests that do not wait end too. Returns how many
    /// messages the others want.
    pub(super) fn check_waiting(
        &mut self,
        interest: &dyn ReplyInterest,
        now: Timestamp,
        at_end: bool,
    ) -> i64 {
        let heartbeat = self.heartbeat_header();
        let Mode::Pull(pull) = &mut self.mode else { return 0 };
        pull.last_checked = now;
        let effects = &mut self.effects;
        let mut send = |request: &WaitingRequest, header: String| {
            effects.push_back(status(request.reply.clone(), header));
        };
        pull.waiting.retain(|request| {
            if request.has_expired(now) {
                send(request, ended(request, "408 Request Timeout"));
                return false;
            }
            if at_end && request.no_wait && (request.expires.is_none() || request.delivered > 0) {
                send(request, "NATS/1.0 404 No Messages\r\n\r\n".to_owned());
                return false;
            }
            if !has_interest(interest, request, now) {
                return false;
            }
            if let Some(due) = request.next_heartbeat
                && due <= now
            {
                send(request, heartbeat.clone());
                request.next_heartbeat = Some(now.saturating_add(request.heartbeat));
            }
            true
        });
        pull.waiting.wanted()
    }

    /// Nobody listens on `reply` any more: its requests end without a word.
    pub fn reply_interest_lost(&mut self, reply: &[u8]) {
        if let Mode::Pull(pull) = &mut self.mode {
            pull.waiting.retain(|request| match &request.imported {
                Some(imported) => imported.subject != reply,
                None => request.reply != reply,
            });
        }
    }

    /// Tells the client how a request ended, and what was left of it.
    pub(super) fn end_request(&mut self, request: &WaitingRequest, reason: &str) {
        self.send_status(request.reply.clone(), ended(request, reason));
    }

    /// A request got a message: if that was the last and more bytes were asked for, says so.
    pub(super) fn finish_request(&mut self, served: Served) {
        if served.remaining <= 0 && served.bytes > 0 {
            let header = counts("409 Batch Completed", served.remaining, served.bytes);
            self.send_status(served.reply, header);
        }
    }

    /// A message sent for a request reached nobody: the request gets it back.
    pub(super) fn credit_request(&mut self, reply: &[u8]) {
        if let Mode::Pull(pull) = &mut self.mode {
            pull.waiting.credit(reply);
        }
    }

    /// The header of a heartbeat: where the consumer is.
    pub(super) fn heartbeat_header(&self) -> String {
        let delivered = self.progress.delivered();
        format!(
            "NATS/1.0 100 Idle Heartbeat\r\n{}: {}\r\n{}: {}\r\n\r\n",
            headers::LAST_CONSUMER,
            delivered.consumer,
            headers::LAST_STREAM,
            delivered.stream
        )
    }

    /// Ends all requests because the server stops.
    pub(super) fn end_all_requests(&mut self, header: impl Fn(&WaitingRequest) -> String) {
        let Mode::Pull(pull) = &mut self.mode else { return };
        for request in pull.waiting.drain() {
            let header = header(&request);
            self.effects.push_back(status(request.reply, header));
        }
    }
}

fn status(subject: Bytes, header: String) -> super::ConsumerEffect {
    super::ConsumerEffect::Send { subject, reply: Bytes::new(), header: Bytes::from(header) }
}

fn counts(reason: &str, remaining: i64, bytes: i64) -> String {
    format!(
        "NATS/1.0 {reason}\r\nNats-Pending-Messages: {remaining}\r\nNats-Pending-Bytes: {bytes}\r\n\r\n"
    )
}

/// The header that tells how a request ended.
pub(super) fn ended(request: &WaitingRequest, reason: &str) -> String {
    counts(reason, request.remaining, request.bytes)
}

fn has_interest(interest: &dyn ReplyInterest, request: &WaitingRequest, now: Timestamp) -> bool {
    let age = now.saturating_since(request.received);
    match &request.imported {
        Some(imported) => interest.has_interest(Some(&imported.account), &imported.subject, age),
        None => interest.has_interest(None, &request.reply, age),
    }
}
