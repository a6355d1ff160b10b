//! Direct gets: messages read from the stream itself, without the API (spec 07a §A12).
//!
//! A request becomes a [`DirectGet`], which gives the answer message by message, so that a driver
//! can spread a large answer over time. What is read is the stream at the moment of each step.

use super::Stream;
use super::message::Outbound;
use super::republish::{open_block, put, put_bytes};
use crate::api_error::{ApiError, ErrorKind};
use crate::api_level;
use crate::error::StoreError;
use crate::filter::SubjectFilter;
use crate::headers;
use crate::message::StoredMessage;
use crate::store::Lookup;
use crate::time::DateTime;
use crate::types::StreamSequence;
use bytes::Bytes;
use serde::Deserialize;

/// Most subjects that a request for the last messages of several may match.
const MAX_SUBJECTS: usize = 1024;

const LEVEL_TOO_HIGH: &str = "412 Required Api Level";
const EMPTY: &str = "408 Empty Request";
const MALFORMED: &str = "408 Malformed Request";
const CONFLICTING: &str = "408 Bad Request";
const NOT_FOUND: &str = "404 Message Not Found";
const NO_RESULTS: &str = "404 No Results";
const TOO_MANY: &str = "413 Too Many Results";

/// The body of a request. Fields not named here are passed over.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GetRequest {
    /// The message of this sequence, or the first one from it on.
    #[serde(deserialize_with = "or_default")]
    pub seq: u64,
    /// The last message of this subject.
    #[serde(rename = "last_by_subj", deserialize_with = "or_default")]
    pub last_for: String,
    /// The next message of this subject.
    #[serde(rename = "next_by_subj", deserialize_with = "or_default")]
    pub next_for: String,
    /// Messages wanted; 0 for one without being told how many are left.
    #[serde(deserialize_with = "or_default")]
    pub batch: i64,
    /// Bytes after which the answer ends; 0 for the server's bound.
    #[serde(deserialize_with = "or_default")]
    pub max_bytes: i64,
    /// The time from which on messages are wanted.
    pub start_time: Option<DateTime>,
    /// The last message of each of these subjects.
    #[serde(rename = "multi_last", deserialize_with = "or_default")]
    pub multi_last_for: Vec<String>,
    /// No message after this sequence.
    #[serde(deserialize_with = "or_default")]
    pub up_to_seq: u64,
    /// No message from this time on.
    pub up_to_time: Option<DateTime>,
    /// Whether payloads come without any header.
    #[serde(rename = "no_hdr", deserialize_with = "or_default")]
    pub no_headers: bool,
}

fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

impl GetRequest {
    /// The request in a body.
    fn parse(body: &[u8]) -> Result<Self, &'static str> {
        serde_json::from_slice::<Option<GetRequest>>(body)
            .map(Option::unwrap_or_default)
            .map_err(|_| MALFORMED)
    }

    fn check(&self) -> Result<(), &'static str> {
        let (seq, start) = (self.seq > 0, self.start_time.is_some());
        let (last, next) = (!self.last_for.is_empty(), !self.next_for.is_empty());
        let multi = !self.multi_last_for.is_empty();
        if !(seq || last || next || multi || start) {
            return Err(EMPTY);
        }
        let batch = self.batch > 0;
        let ceilings = self.up_to_seq > 0 && self.up_to_time.is_some();
        let conflicting = [
            (seq, last),
            (seq, start),
            (start, last),
            (last, next),
            (last, batch),
            (last, multi),
            (next, multi),
        ]
        .contains(&(true, true));
        let conflicting = conflicting || ceilings;
        if conflicting { Err(CONFLICTING) } else { Ok(()) }
    }

    /// Whether the request says nothing but how the answer should look.
    fn is_blank(&self) -> bool {
        let no_headers = self.no_headers;
        let max_bytes = self.max_bytes;
        *self == GetRequest { no_headers, max_bytes, ..GetRequest::default() }
    }
}

/// An answer in the making. [`Stream::next_direct`] gives its messages until there are no more.
#[derive(Debug)]
pub struct DirectGet {
    reply: Bytes,
    no_headers: bool,
    /// Bytes still to be sent before the answer ends.
    bytes_left: u64,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// One message.
    Single(Target),
    /// Messages one after the other.
    Batch(Batch),
    /// The last messages of several subjects.
    Multi(Multi),
    /// A status ends the answer.
    Status(Vec<u8>),
    Done,
}

#[derive(Debug)]
enum Target {
    Sequence(StreamSequence),
    Last(SubjectFilter),
    Next(SubjectFilter, StreamSequence),
}

#[derive(Debug)]
struct Batch {
    filter: SubjectFilter,
    next: StreamSequence,
    /// Messages wanted.
    left: u64,
    is_first: bool,
    pending: u64,
    /// Up to where `pending` counts.
    valid_through: StreamSequence,
    last: StreamSequence,
}

#[derive(Debug)]
struct Multi {
    sequences: std::vec::IntoIter<StreamSequence>,
    /// Messages wanted, if bounded.
    left: Option<u64>,
    pending: u64,
    up_to: StreamSequence,
    last: StreamSequence,
}

fn status(text: &str) -> Vec<u8> {
    format!("NATS/1.0 {text}\r\n\r\n").into_bytes()
}

impl DirectGet {
    fn ended_by(reply: Bytes, text: &str) -> Self {
        DirectGet { reply, no_headers: false, bytes_left: 0, step: Step::Status(status(text)) }
    }
}

impl Stream {
    /// Takes in a request sent to `$JS.API.DIRECT.GET.<stream>`. `None` when there is nobody to
    /// answer.
    pub fn direct_get(&mut self, reply: Bytes, header: &[u8], body: &[u8]) -> Option<DirectGet> {
        if reply.is_empty() {
            return None;
        }
        let request = if api_level::exceeds_level(header) {
            Err(LEVEL_TOO_HIGH)
        } else if body.is_empty() {
            Err(EMPTY)
        } else {
            GetRequest::parse(body).and_then(|request| request.check().map(|()| request))
        };
        Some(match request {
            Ok(request) => self.start_direct(&request, reply),
            Err(text) => DirectGet::ended_by(reply, text),
        })
    }

    /// Takes in a request sent to `$JS.API.DIRECT.GET.<stream>.<subject>`, for the last message
    /// of that subject.
    pub fn direct_get_last(
        &mut self,
        subject: &[u8],
        reply: Bytes,
        header: &[u8],
        body: &[u8],
    ) -> Option<DirectGet> {
        if reply.is_empty() {
            return None;
        }
        let request = if api_level::exceeds_level(header) {
            Err(LEVEL_TOO_HIGH)
        } else if body.is_empty() {
            Ok(GetRequest::default())
        } else {
            GetRequest::parse(body)
        };
        let request = request.and_then(|request| {
            if subject.is_empty() || !request.is_blank() { Err(CONFLICTING) } else { Ok(request) }
        });
        Some(match request {
            Ok(request) => DirectGet {
                reply,
                no_headers: request.no_headers,
                bytes_left: u64::MAX,
                step: Step::Single(Target::Last(SubjectFilter::new(subject))),
            },
            Err(text) => DirectGet::ended_by(reply, text),
        })
    }

    /// Starts the answer to a request without contradictions.
    fn start_direct(&mut self, request: &GetRequest, reply: Bytes) -> DirectGet {
        let bytes_left = match u64::try_from(request.max_bytes) {
            Ok(0) => self.context.max_pending,
            Ok(bytes) => bytes,
            Err(_) => 0,
        };
        let mut get =
            DirectGet { reply, no_headers: request.no_headers, bytes_left, step: Step::Done };
        get.step = if request.multi_last_for.is_empty() {
            self.start_sequential(request)
        } else {
            self.start_multi(request).map_or_else(Step::Status, Step::Multi)
        };
        get
    }

    fn start_sequential(&mut self, request: &GetRequest) -> Step {
        let start = match request.start_time {
            Some(time) => self.store.sequence_from_time(time.to_timestamp()),
            None => StreamSequence::new(request.seq),
        };
        let filter = SubjectFilter::new(&request.next_for);
        let left = match u64::try_from(request.batch) {
            Ok(0) => {
                return Step::Single(if !request.next_for.is_empty() {
                    Target::Next(filter, start)
                } else if start.is_zero() {
                    Target::Last(SubjectFilter::new(&request.last_for))
                } else {
                    Target::Sequence(start)
                });
            }
            Ok(left) => left,
            // A negative number of messages is answered by none.
            Err(_) => 0,
        };
        match self.store.num_pending(start, &filter, false) {
            Ok(pending) => Step::Batch(Batch {
                filter,
                next: start,
                left,
                is_first: true,
                pending: pending.total,
                valid_through: pending.valid_through,
                last: StreamSequence::default(),
            }),
            Err(_) => Step::Done,
        }
    }

    fn start_multi(&mut self, request: &GetRequest) -> Result<Multi, Vec<u8>> {
        let mut up_to = StreamSequence::new(request.up_to_seq);
        if let Some(time) = request.up_to_time {
            let ceiling = self.store.sequence_from_time(time.to_timestamp());
            if ceiling <= self.store.fast_state().first_seq {
                return Err(status(NO_RESULTS));
            }
            up_to = ceiling.previous();
        }
        if up_to.is_zero() {
            up_to = self.store.fast_state().last_seq;
        }
        let filters: Vec<SubjectFilter> =
            request.multi_last_for.iter().map(SubjectFilter::new).collect();
        let sequences = match self.store.multi_last_sequences(&filters, up_to, MAX_SUBJECTS) {
            Ok(sequences) => sequences,
            Err(StoreError::TooManyResults) => return Err(status(TOO_MANY)),
            Err(error) => return Err(status(&format!("500 {error}"))),
        };
        if sequences.is_empty() {
            return Err(status(NO_RESULTS));
        }
        let wanted: Vec<StreamSequence> =
            sequences.into_iter().filter(|sequence| sequence.get() >= request.seq).collect();
        Ok(Multi {
            left: u64::try_from(request.batch).ok().filter(|batch| *batch > 0),
            pending: wanted.len() as u64,
            sequences: wanted.into_iter(),
            up_to,
            last: StreamSequence::default(),
        })
    }

    /// The next message of an answer; `None` when it is complete.
    pub fn next_direct(&mut self, get: &mut DirectGet) -> Option<Outbound> {
        match std::mem::replace(&mut get.step, Step::Done) {
            Step::Done => None,
            Step::Status(header) => Some(Outbound::status(get.reply.clone(), header)),
            Step::Single(target) => Some(self.single(get, target)),
            Step::Batch(batch) => self.next_of_batch(get, batch),
            Step::Multi(multi) => Some(self.next_of_multi(get, multi)),
        }
    }

    fn single(&mut self, get: &DirectGet, target: Target) -> Outbound {
        let message = match target {
            Target::Sequence(sequence) => self.store.load(sequence).ok(),
            Target::Last(filter) => self.store.load_last(&filter).ok(),
            Target::Next(filter, start) => {
                self.store.load_next(&filter, start).ok().and_then(Lookup::found)
            }
        };
        match message {
            Some(message) => self.answer(get, &message, None),
            None => Outbound::status(get.reply.clone(), status(NOT_FOUND)),
        }
    }

    fn next_of_batch(&mut self, get: &mut DirectGet, mut batch: Batch) -> Option<Outbound> {
        let message = if batch.left == 0 {
            None
        } else {
            self.store.load_next(&batch.filter, batch.next).ok().and_then(Lookup::found)
        };
        let Some(message) = message else {
            if batch.is_first && batch.left > 0 {
                return Some(Outbound::status(get.reply.clone(), status(NOT_FOUND)));
            }
            // Messages stored meanwhile are pending too.
            if self.last_sequence > batch.valid_through {
                let pending = self.store.num_pending(batch.next, &batch.filter, false).ok()?;
                batch.pending = pending.total;
            }
            let end = end_of_batch(batch.pending, batch.last, None);
            return Some(Outbound::status(get.reply.clone(), end));
        };
        if !get.no_headers {
            batch.pending = batch.pending.saturating_sub(1);
        }
        let answer = self.answer(get, &message, Some((batch.pending, batch.last)));
        batch.is_first = false;
        batch.last = message.sequence();
        batch.next = message.sequence().next();
        batch.left -= 1;
        if !get.spend(&message) {
            batch.left = 0;
        }
        get.step = Step::Batch(batch);
        Some(answer)
    }

    fn next_of_multi(&mut self, get: &mut DirectGet, mut multi: Multi) -> Outbound {
        let sequence = if multi.left == Some(0) { None } else { multi.sequences.next() };
        let Some(sequence) = sequence else {
            let end = end_of_batch(multi.pending, multi.last, Some(multi.up_to));
            return Outbound::status(get.reply.clone(), end);
        };
        let Ok(message) = self.store.load(sequence) else {
            return Outbound::status(get.reply.clone(), status(NOT_FOUND));
        };
        multi.pending = multi.pending.saturating_sub(1);
        let no_headers = std::mem::replace(&mut get.no_headers, false);
        let answer = self.answer(get, &message, Some((multi.pending, multi.last)));
        get.no_headers = no_headers;
        multi.last = message.sequence();
        multi.left = multi.left.map(|left| left - 1);
        if !get.spend(&message) {
            multi.left = Some(0);
        }
        get.step = Step::Multi(multi);
        answer
    }

    /// The message as an answer; `follows` tells what is pending and the sequence before it.
    fn answer(
        &self,
        get: &DirectGet,
        message: &StoredMessage,
        follows: Option<(u64, StreamSequence)>,
    ) -> Outbound {
        let subject = get.reply.clone();
        let payload = message.payload_bytes();
        if get.no_headers {
            return Outbound::plain(subject, payload);
        }
        let mut header = open_block(message.header(), 160 + message.subject().len());
        put(&mut header, headers::STREAM, &self.config.name);
        put_bytes(&mut header, headers::SUBJECT, message.subject());
        put(&mut header, headers::SEQUENCE, message.sequence());
        put(&mut header, headers::TIME_STAMP, message.timestamp());
        if let Some((pending, last)) = follows {
            put(&mut header, headers::NUM_PENDING, pending);
            put(&mut header, headers::LAST_SEQUENCE, last);
        }
        header.extend_from_slice(b"\r\n");
        Outbound { subject, reply: Bytes::new(), header: header.into(), payload }
    }
}

impl DirectGet {
    /// Counts a message as sent; false when it used up the bytes.
    fn spend(&mut self, message: &StoredMessage) -> bool {
        let len = message.subject().len() + message.header().len() + message.payload().len();
        self.bytes_left = self.bytes_left.saturating_sub(len as u64);
        self.bytes_left > 0
    }
}

fn end_of_batch(pending: u64, last: StreamSequence, up_to: Option<StreamSequence>) -> Vec<u8> {
    let mut header = b"NATS/1.0 204 EOB\r\n".to_vec();
    put(&mut header, headers::NUM_PENDING, pending);
    put(&mut header, headers::LAST_SEQUENCE, last);
    if let Some(up_to) = up_to {
        put(&mut header, "Nats-UpTo-Sequence", up_to);
    }
    header.extend_from_slice(b"\r\n");
    header
}

impl Stream {
    /// The message a request to `$JS.API.STREAM.MSG.GET.<stream>` asks for (spec 07c §C3.3).
    ///
    /// # Errors
    /// `10003` when the request contradicts itself or asks for more than one message, `10037` when
    /// there is no such message.
    pub fn get_message(&mut self, request: &GetRequest) -> Result<StoredMessage, ApiError> {
        let (seq, start) = (request.seq > 0, request.start_time);
        let (last, next) = (!request.last_for.is_empty(), !request.next_for.is_empty());
        if request.batch > 0
            || request.max_bytes > 0
            || (seq && last)
            || !(seq || last || next || start.is_some())
            || (seq && start.is_some())
            || (start.is_some() && last)
            || (last && next)
        {
            return Err(ErrorKind::BadRequest.into());
        }
        let sequence = match start {
            Some(time) => self.store.sequence_from_time(time.to_timestamp()),
            None => StreamSequence::new(request.seq),
        };
        let message = if next {
            let filter = SubjectFilter::new(&request.next_for);
            self.store.load_next(&filter, sequence).ok().and_then(Lookup::found)
        } else if last {
            self.store.load_last(&SubjectFilter::new(&request.last_for)).ok()
        } else {
            self.store.load(sequence).ok()
        };
        message.ok_or_else(|| ErrorKind::NoMessageFound.into())
    }
}
