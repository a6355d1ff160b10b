//! The answers that an account's services still owe to other accounts (spec 03 §18).
//!
//! A request that crosses into the account gets a reply subject `_R_.<6>.<6>`, of which the first
//! part is the account's own: one subscription takes all answers. Here stands where each of them
//! goes. Threads of all reactors use the table; nothing else is locked under its lock.

use super::expiry::Expiry;
use super::shares::ServiceExport;
use super::{Account, DIGITS};
use crate::config::options::account::ResponseType;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Random characters of each part of a reply subject.
const PART_LEN: usize = 6;
/// What all reply subjects begin with.
pub const REPLY_PREFIX: &[u8] = b"_R_.";
/// Answers that one account may owe at a time. Requests beyond that are not delivered: without a
/// bound, requests that nobody answers would pile up until their time is over.
const MAX_RESPONSES: usize = 1 << 20;

/// Where an answer goes.
#[derive(Clone)]
pub struct Response {
    /// The account of the request.
    pub requestor: Arc<Account>,
    /// The account that answers.
    pub responder: Arc<Account>,
    /// Its reply subject.
    pub reply: Arc<[u8]>,
    /// The service.
    pub export: Arc<ServiceExport>,
    since: Instant,
}

impl Response {
    /// An answer that is waited for from `now` on.
    pub fn new(
        requestor: &Arc<Account>,
        responder: &Arc<Account>,
        reply: &[u8],
        export: &Arc<ServiceExport>,
        now: Instant,
    ) -> Response {
        Response {
            requestor: requestor.clone(),
            responder: responder.clone(),
            reply: reply.into(),
            export: export.clone(),
            since: now,
        }
    }

    fn deadline(&self) -> Instant {
        self.since + self.export.response_threshold
    }
}

/// The answers that are waited for.
pub struct Responses {
    prefix: Vec<u8>,
    expiry: Arc<Expiry>,
    waiting: Mutex<HashMap<Box<[u8]>, Response>>,
}

/// A subject of the form of replies that no answer is waited for under.
pub fn reply_subject(own: u64, random: u64) -> Vec<u8> {
    let mut subject = REPLY_PREFIX.to_vec();
    push_digits(&mut subject, own);
    subject.push(b'.');
    push_digits(&mut subject, random);
    subject
}

fn push_digits(out: &mut Vec<u8>, mut random: u64) {
    for _ in 0..PART_LEN {
        out.push(DIGITS[(random % 62) as usize]);
        random /= 62;
    }
}

impl Responses {
    /// An empty table; `random` makes the account's part of the reply subjects.
    pub fn new(random: u64, expiry: Arc<Expiry>) -> Responses {
        let mut prefix = REPLY_PREFIX.to_vec();
        push_digits(&mut prefix, random);
        prefix.push(b'.');
        Responses { prefix, expiry, waiting: Mutex::default() }
    }

    /// The subject that all answers match.
    pub fn subject(&self) -> Vec<u8> {
        [self.prefix.as_slice(), b">"].concat()
    }

    /// Notes a request. Returns its reply subject, or nothing if too many answers are owed.
    pub fn expect(&self, response: Response, random: u64) -> Option<Vec<u8>> {
        let mut subject = self.prefix.clone();
        push_digits(&mut subject, random);
        let deadline = response.deadline();
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= MAX_RESPONSES {
                return None;
            }
            waiting.insert(subject.as_slice().into(), response);
        }
        self.expiry.wake_by(deadline);
        Some(subject)
    }

    /// Where an answer goes; one that is the only one is not waited for any longer.
    pub fn take(&self, subject: &[u8]) -> Option<Response> {
        let mut waiting = self.waiting.lock();
        let response = waiting.get(subject)?;
        match response.export.response_type {
            ResponseType::Singleton => waiting.remove(subject),
            ResponseType::Streamed | ResponseType::Chunked => Some(response.clone()),
        }
    }

    /// Another part of the answer may come: its time begins anew.
    pub fn renew(&self, subject: &[u8], now: Instant) {
        if let Some(response) = self.waiting.lock().get_mut(subject) {
            response.since = now;
        }
    }

    /// No answer is waited for any longer.
    pub fn forget(&self, subject: &[u8]) {
        self.waiting.lock().remove(subject);
    }

    /// Forgets the answers that took too long. Returns when the next of the others will have.
    pub fn expire(&self, now: Instant) -> Option<Instant> {
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, r| now < r.deadline());
        if waiting.is_empty() {
            waiting.shrink_to(0);
        }
        waiting.values().map(Response::deadline).min()
    }

    /// How many answers are waited for.
    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AccountLimits;
    use std::time::Duration;

    fn export(response_type: ResponseType) -> Arc<ServiceExport> {
        Arc::new(ServiceExport {
            subject: "req".to_owned(),
            response_type,
            response_threshold: Duration::from_secs(10),
            latency: None,
            allow_trace: false,
            terms: crate::account::shares::Terms::default(),
        })
    }

    fn account() -> Arc<Account> {
        Arc::new(Account::new("A", AccountLimits::default(), false))
    }

    fn table() -> Responses {
        Responses::new(12345, Arc::default())
    }

    fn expect(table: &Responses, kind: ResponseType, random: u64, now: Instant) -> Vec<u8> {
        let response = Response::new(&account(), &account(), b"r", &export(kind), now);
        table.expect(response, random).expect("room")
    }

    #[test]
    fn reply_subjects_have_two_random_parts() {
        let table = table();
        let now = Instant::now();
        let one = expect(&table, ResponseType::Singleton, 1, now);
        let two = expect(&table, ResponseType::Singleton, 2, now);
        assert_ne!(one, two);
        for subject in [one, two] {
            assert_eq!(subject.len(), 17);
            assert!(subject.starts_with(b"_R_.") && subject[10] == b'.');
            assert!(::sublist::subject::match_literal(&subject, &table.subject()));
        }
    }

    #[test]
    fn a_single_answer_is_taken_once_and_a_stream_of_them_until_its_end() {
        let table = table();
        let now = Instant::now();
        let one = expect(&table, ResponseType::Singleton, 1, now);
        assert_eq!(&*table.take(&one).unwrap().reply, b"r");
        assert!(table.take(&one).is_none());
        for kind in [ResponseType::Streamed, ResponseType::Chunked] {
            let many = expect(&table, kind, 2, now);
            for _ in 0..3 {
                assert!(table.take(&many).is_some());
            }
            table.forget(&many);
            assert!(table.take(&many).is_none());
        }
        assert!(table.is_empty());
    }

    #[test]
    fn answers_that_take_too_long_are_forgotten_and_each_part_renews_the_time() {
        let table = table();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let one = expect(&table, ResponseType::Streamed, 1, at(0));
        let two = expect(&table, ResponseType::Streamed, 2, at(4));
        assert_eq!(table.expire(at(5)), Some(at(10)));
        table.renew(&one, at(9));
        assert_eq!(table.expire(at(13)), Some(at(14)));
        assert_eq!(table.expire(at(14)), Some(at(19)));
        assert!(table.take(&two).is_none() && table.take(&one).is_some());
        assert_eq!(table.expire(at(19)), None);
        assert!(table.is_empty());
    }
}
