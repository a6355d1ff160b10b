//! Tests of the stream as a whole, on stores in memory and on simulated disks.

mod direct_getting;
mod durable;
mod publishing;
mod removing;
mod retaining;
mod rolling_up;
mod scheduling;
mod updating;

use super::config::{ConfigContext, check_update, validate};
use super::*;
use crate::api_error::ApiError;
use crate::config::StorageType;
use crate::filter::SubjectFilter;
use crate::memstore::MemoryStore;
use crate::message::StoredMessage;
use std::time::Duration;

/// The moment at which tests start.
pub(super) const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

pub(super) fn sequence(number: u64) -> StreamSequence {
    StreamSequence::new(number)
}

pub(super) fn config(subjects: &[&str]) -> StreamConfig {
    StreamConfig {
        name: "S".to_owned(),
        subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        storage: StorageType::Memory,
        ..StreamConfig::default()
    }
}

/// A header block of these fields.
pub(super) fn header(fields: &[(&str, &str)]) -> Bytes {
    if fields.is_empty() {
        return Bytes::new();
    }
    let mut block = "NATS/1.0\r\n".to_owned();
    for (name, value) in fields {
        block.push_str(&format!("{name}: {value}\r\n"));
    }
    block.push_str("\r\n");
    block.into()
}

/// A stream with a clock, whose store is always durable, and all that came out of it.
pub(super) struct Bench {
    pub(super) stream: Stream,
    pub(super) now: Timestamp,
}

impl Bench {
    pub(super) fn new(config: StreamConfig) -> Self {
        Self::with(config, StreamContext::default())
    }

    pub(super) fn with(requested: StreamConfig, context: StreamContext) -> Self {
        let config = validate(&requested, &ConfigContext::default()).expect("valid");
        let store = Box::new(MemoryStore::new(config.clone()).expect("memory storage"));
        let mut stream = Stream::new(config, START, store, context);
        stream.start(START);
        Bench { stream, now: START }
    }

    /// The answers and other effects since the last time.
    pub(super) fn effects(&mut self) -> Vec<StreamEffect> {
        let last = self.stream.last_sequence();
        self.stream.committed(last);
        std::iter::from_fn(|| self.stream.poll_effect()).collect()
    }

    pub(super) fn sent(&mut self) -> Vec<Outbound> {
        let effects = self.effects().into_iter();
        effects
            .filter_map(|effect| match effect {
                StreamEffect::Send(message) => Some(message),
                _ => None,
            })
            .collect()
    }

    /// Publishes with a reply, and gives what became of the message and what was sent.
    pub(super) fn publish_all(
        &mut self,
        subject: &str,
        fields: &[(&str, &str)],
        payload: &str,
        reply: &str,
    ) -> (Published, Vec<Outbound>) {
        let message = Inbound {
            subject: Bytes::copy_from_slice(subject.as_bytes()),
            reply: Bytes::copy_from_slice(reply.as_bytes()),
            header: header(fields),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            from: Origin::Client,
        };
        let published = self.stream.publish(message, self.now);
        (published, self.sent())
    }

    /// Publishes and gives the text of the one answer; empty when there is none.
    pub(super) fn ack(&mut self, subject: &str, fields: &[(&str, &str)], payload: &str) -> String {
        let (_, sent) = self.publish_all(subject, fields, payload, "reply");
        let mut answers = sent.into_iter().filter(|message| message.subject == "reply");
        let answer = answers.next().map(|message| message.payload).unwrap_or_default();
        assert_eq!(answers.next(), None, "one answer");
        String::from_utf8(answer.to_vec()).expect("text")
    }

    /// Publishes a message that must be stored.
    pub(super) fn put_with(
        &mut self,
        subject: &str,
        fields: &[(&str, &str)],
        payload: &str,
    ) -> u64 {
        match self.publish_all(subject, fields, payload, "").0 {
            Published::Stored(sequence) => sequence.get(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn put(&mut self, subject: &str) -> u64 {
        self.put_with(subject, &[], "")
    }

    /// Publishes a message that must be refused.
    pub(super) fn error(
        &mut self,
        subject: &str,
        fields: &[(&str, &str)],
        payload: &str,
    ) -> ApiError {
        let before = self.stream.state();
        let (published, sent) = self.publish_all(subject, fields, payload, "reply");
        let Published::Refused(error) = published else { panic!("{published:?}") };
        let json = crate::gojson::to_vec(&error).expect("plain value");
        let json = String::from_utf8(json).expect("text");
        let expected = format!(r#"{{"error":{json},"stream":"S","seq":0}}"#);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].payload, expected);
        assert_eq!(self.stream.state(), before, "nothing is stored");
        error
    }

    pub(super) fn code(&mut self, subject: &str, fields: &[(&str, &str)]) -> u16 {
        self.error(subject, fields, "").err_code
    }

    pub(super) fn load(&mut self, number: u64) -> StoredMessage {
        self.stream.store().load(sequence(number)).expect("stored")
    }

    pub(super) fn header_of(&mut self, number: u64) -> String {
        String::from_utf8(self.load(number).header().to_vec()).expect("text")
    }

    pub(super) fn payload_of(&mut self, number: u64) -> String {
        String::from_utf8(self.load(number).payload().to_vec()).expect("text")
    }

    /// The sequences held.
    pub(super) fn held(&mut self) -> Vec<u64> {
        let state = self.stream.store().state();
        (state.first_seq.get().max(1)..=state.last_seq.get())
            .filter(|number| !state.deleted.contains(number))
            .collect()
    }

    /// Lets time pass, doing what falls due at the moment it does.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now.saturating_add(time);
        while let Some(deadline) = self.stream.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.stream.tick(self.now);
            assert!(
                self.stream.next_deadline().is_none_or(|next| next > self.now),
                "what is due is done"
            );
        }
        self.now = end;
    }

    pub(super) fn update(&mut self, config: StreamConfig) -> Result<(), ApiError> {
        let new = check_update(self.stream.config(), &config, &ConfigContext::default())?;
        self.stream.update_config(new, self.now).expect("open");
        Ok(())
    }

    pub(super) fn interested_in(&mut self, filters: &[&str]) {
        let filters = filters.iter().map(|filter| filter.as_bytes());
        let consumers = filters.len() as u64;
        self.stream.set_interest(filters, consumers);
    }
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn filter(subject: &str) -> SubjectFilter {
    SubjectFilter::new(subject)
}
