//! Pull requests waiting for messages (spec 07b §B6, §B7).
//!
//! Requests are served round robin: the one at the front gets a message and, if it wants more,
//! goes to the end; with priorities, to the end of those that rank alike. The number of requests
//! is bounded by the consumer's `max_waiting`.

use super::pull_request::PriorityRequest;
use crate::time::Timestamp;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Whose interest keeps a request alive, when that is not the account's own in the reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportedInterest {
    /// The account the request came from.
    pub account: Arc<str>,
    /// The subject that account listens on.
    pub subject: Bytes,
}

/// A request that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct WaitingRequest {
    /// Where messages go.
    pub(super) reply: Bytes,
    /// For a request through an import: whose interest counts.
    pub(super) imported: Option<Box<ImportedInterest>>,
    /// Messages still wanted.
    pub(super) remaining: i64,
    /// Messages delivered.
    pub(super) delivered: u64,
    /// Bytes still wanted; 0 for any number.
    pub(super) bytes: i64,
    /// When it ends.
    pub(super) expires: Option<Timestamp>,
    /// When it came.
    pub(super) received: Timestamp,
    /// Time between heartbeats; zero for none.
    pub(super) heartbeat: Duration,
    /// When the next heartbeat is due.
    pub(super) next_heartbeat: Option<Timestamp>,
    /// Whether it ends when there is nothing to deliver.
    pub(super) no_wait: bool,
    /// How it takes part in a priority group.
    pub(super) priority: Option<Box<PriorityRequest>>,
}

impl WaitingRequest {
    /// Where it ranks: requests without a group come last.
    fn rank(&self) -> i64 {
        self.priority.as_ref().map_or(i64::MAX, |request| request.priority)
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// The first moment at which something is due.
    fn deadline(&self) -> Option<Timestamp> {
        self.expires.into_iter().chain(self.next_heartbeat).min()
    }

    /// The id of the pin it was given, empty for none.
    pub(super) fn pin_id(&self) -> &str {
        self.priority.as_ref().map_or("", |request| &request.id)
    }
}

/// The requests of one consumer.
#[derive(Debug, Default)]
pub(super) struct WaitingQueue {
    requests: VecDeque<WaitingRequest>,
    /// How many may wait.
    max: usize,
    /// Whether they are ordered by rank.
    ranked: bool,
    /// Requests that end when there is nothing to deliver.
    no_wait: usize,
    /// Not later than the first moment at which something is due.
    deadline: Option<Timestamp>,
}

/// What is left of a request that got a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Served {
    /// Where messages go.
    pub(super) reply: Bytes,
    /// Messages still wanted; below 1 when the request is done.
    pub(super) remaining: i64,
    /// Bytes still wanted; 0 also for any number.
    pub(super) bytes: i64,
}

/// The requests are too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

impl WaitingQueue {
    pub(super) fn new(max: usize, ranked: bool) -> Self {
        WaitingQueue { max, ranked, ..WaitingQueue::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.requests.len() >= self.max
    }

    /// Whether any request ends when there is nothing to deliver.
    pub(super) fn has_no_wait(&self) -> bool {
        self.no_wait > 0
    }

    /// When something is due, if anything is. It may tell a moment too early.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    pub(super) fn add(&mut self, request: WaitingRequest) -> Result<(), Full> {
        if self.is_full() {
            return Err(Full);
        }
        self.no_wait += usize::from(request.no_wait);
        self.deadline = self.deadline.into_iter().chain(request.deadline()).min();
        self.insert(request);
        Ok(())
    }

    fn insert(&mut self, request: WaitingRequest) {
        if self.ranked {
            let rank = request.rank();
            let at = self.requests.partition_point(|other| other.rank() <= rank);
            self.requests.insert(at, request);
        } else {
            self.requests.push_back(request);
        }
    }

    pub(super) fn front(&self) -> Option<&WaitingRequest> {
        self.requests.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut WaitingRequest> {
        self.requests.front_mut()
    }

    /// Puts the front request to the end.
    pub(super) fn rotate(&mut self) {
        if !self.requests.is_empty() {
            self.requests.rotate_left(1);
        }
    }

    /// Takes the front request out.
    pub(super) fn remove_front(&mut self) -> Option<WaitingRequest> {
        let removed = self.requests.pop_front();
        self.note_removed(removed.as_ref());
        removed
    }

    fn note_removed(&mut self, removed: Option<&WaitingRequest>) {
        let no_wait = removed.is_some_and(|request| request.no_wait);
        self.no_wait = self.no_wait.saturating_sub(usize::from(no_wait));
        if self.requests.is_empty() {
            // An idle consumer holds no memory for requests.
            self.requests = VecDeque::new();
            self.deadline = None;
        }
    }

    /// Counts a message of `size` bytes for the front request, and moves it on or takes it out.
    pub(super) fn serve_front(&mut self, size: i64, now: Timestamp) -> Option<Served> {
        let request = self.requests.front_mut()?;
        if request.bytes > 0 {
            request.bytes = request.bytes.saturating_sub(size).max(0);
            if request.bytes == 0 {
                // Just this one fits.
                request.remaining = 1;
            }
        }
        request.delivered += 1;
        request.remaining -= 1;
        let served = Served {
            reply: request.reply.clone(),
            remaining: request.remaining,
            bytes: request.bytes,
        };
        if request.remaining <= 0 {
            self.remove_front();
            return Some(served);
        }
        if !request.heartbeat.is_zero() {
            request.next_heartbeat = Some(now.saturating_add(request.heartbeat));
        }
        if self.requests.len() > 1
            && let Some(request) = self.requests.pop_front()
        {
            self.insert(request);
        }
        Some(served)
    }

    /// Gives every request to `keep`, which may change it; those it does not keep are taken out.
    /// Then the deadline is exact.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut WaitingRequest) -> bool) {
        self.requests.retain_mut(&mut keep);
        self.no_wait = self.requests.iter().filter(|request| request.no_wait).count();
        self.deadline = self.requests.iter().filter_map(WaitingRequest::deadline).min();
        if self.requests.is_empty() {
            self.requests = VecDeque::new();
        }
    }

    /// The sum of the messages still wanted.
    pub(super) fn wanted(&self) -> i64 {
        self.requests.iter().fold(0, |sum, request| sum.saturating_add(request.remaining))
    }

    /// Gives a request back a message that reached nobody.
    pub(super) fn credit(&mut self, reply: &[u8]) {
        if let Some(request) = self.requests.iter_mut().find(|request| request.reply == reply) {
            request.remaining = request.remaining.saturating_add(1);
            request.delivered = request.delivered.saturating_sub(1);
        }
    }

    pub(super) fn drain(&mut self) -> VecDeque<WaitingRequest> {
        self.no_wait = 0;
        self.deadline = None;
        std::mem::take(&mut self.requests)
    }

    /// Checks what the structure relies on.
    pub(super) fn check_invariants(&self) {
        assert!(self.requests.len() <= self.max.max(1));
        assert_eq!(self.no_wait, self.requests.iter().filter(|r| r.no_wait).count());
        assert!(!self.ranked || self.requests.iter().is_sorted_by_key(WaitingRequest::rank));
        let due = self.requests.iter().filter_map(WaitingRequest::deadline).min();
        assert!(due.is_none_or(|due| self.deadline.is_some_and(|deadline| deadline <= due)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(reply: &'static str, remaining: i64, priority: Option<i64>) -> WaitingRequest {
        WaitingRequest {
            reply: Bytes::from_static(reply.as_bytes()),
            imported: None,
            remaining,
            delivered: 0,
            bytes: 0,
            expires: None,
            received: Timestamp::from_nanos(0),
            heartbeat: Duration::ZERO,
            next_heartbeat: None,
            no_wait: false,
            priority: priority.map(|priority| {
                Box::new(PriorityRequest { priority, ..PriorityRequest::default() })
            }),
        }
    }

    fn served(queue: &mut WaitingQueue, count: usize) -> Vec<Bytes> {
        let mut replies = Vec::new();
        for _ in 0..count {
            let Some(front) = queue.front() else { break };
            replies.push(front.reply.clone());
            queue.serve_front(0, Timestamp::from_nanos(1)).expect("a request");
            queue.check_invariants();
        }
        replies
    }

    #[test]
    fn requests_are_served_round_robin() {
        let mut queue = WaitingQueue::new(8, false);
        for (reply, batch) in [("a", 2), ("b", 1), ("c", 3)] {
            queue.add(request(reply, batch, None)).expect("room");
        }
        assert_eq!(queue.wanted(), 6);
        assert_eq!(served(&mut queue, 9), ["a", "b", "c", "a", "c", "c"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn requests_of_higher_rank_are_served_first_and_plain_ones_last() {
        let mut queue = WaitingQueue::new(8, true);
        for (reply, priority) in
            [("plain", None), ("b", Some(2)), ("a", Some(0)), ("c", Some(2)), ("z", Some(9))]
        {
            queue.add(request(reply, 2, priority)).expect("room");
        }
        let order = ["a", "a", "b", "c", "b", "c", "z", "z", "plain", "plain"];
        assert_eq!(served(&mut queue, 20), order);
    }

    #[test]
    fn queue_has_a_bound() {
        let mut queue = WaitingQueue::new(1, false);
        assert_eq!(queue.add(request("a", 1, None)), Ok(()));
        assert_eq!(queue.add(request("b", 1, None)), Err(Full));
    }

    #[test]
    fn deadline_is_never_late() {
        let mut queue = WaitingQueue::new(8, false);
        let at = Timestamp::from_nanos;
        queue.add(WaitingRequest { expires: Some(at(50)), ..request("a", 2, None) }).expect("room");
        queue
            .add(WaitingRequest {
                next_heartbeat: Some(at(20)),
                expires: Some(at(90)),
                heartbeat: Duration::from_nanos(20),
                ..request("b", 2, None)
            })
            .expect("room");
        assert_eq!(queue.deadline(), Some(at(20)));
        served(&mut queue, 2);
        assert!(queue.deadline() <= Some(at(21)));
        queue.retain(|request| request.reply != "a");
        assert_eq!(queue.deadline(), Some(at(21)));
    }
}
