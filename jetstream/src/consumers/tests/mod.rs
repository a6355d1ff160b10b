//! The engine against a memory store, without sockets and with time that only tests move.

mod acks;
mod changes;
mod delivery;
mod files;
mod lifetime;
mod model;
mod priorities;
mod pull;
mod push;
mod redelivery;
mod retention;
mod start;

use super::advisory::{Advisory, Event};
use super::config::{ConsumerLimits, defaults, validate};
use super::*;
use crate::config::{AckPolicy, StorageType};
use crate::memstore::MemoryStore;
use crate::store::{NewMessage, StoreEffect};
use crate::types::MessageTtl;
use std::cell::RefCell;
use std::collections::BTreeSet;

pub(super) const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
pub(super) const STREAM: &str = "S";
pub(super) const NAME: &str = "C";

/// Who listens: everybody, except on these subjects.
#[derive(Default)]
pub(super) struct Deaf(RefCell<BTreeSet<Vec<u8>>>);

impl ReplyInterest for Deaf {
    fn has_interest(&self, _: Option<&str>, subject: &[u8], _: Duration) -> bool {
        !self.0.borrow().contains(subject)
    }
}

/// A message as a client sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Got {
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) reply: String,
    pub(super) header: String,
    pub(super) payload: String,
}

impl Got {
    /// Stream sequence, consumer sequence, deliveries, pending.
    pub(super) fn numbers(&self) -> (u64, u64, u64, u64) {
        let info = subjects::AckInfo::parse(self.reply.as_bytes()).expect("an ack subject");
        (info.stream, info.consumer, info.deliveries, info.pending)
    }

    pub(super) fn sequence(&self) -> u64 {
        self.numbers().0
    }
}

/// A status as a client sees it: where it was sent, its header, its reply.
pub(super) type Status = (String, String, String);

/// One stream with one consumer.
pub(super) struct Fixture {
    pub(super) store: Box<dyn Store>,
    pub(super) consumer: Consumer,
    pub(super) deaf: Deaf,
    pub(super) now: Timestamp,
    pub(super) got: Vec<Got>,
    pub(super) statuses: Vec<Status>,
    pub(super) events: Vec<Event>,
    pub(super) others: Vec<ConsumerEffect>,
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn stream(change: impl FnOnce(&mut StreamConfig)) -> StreamConfig {
    let mut config = StreamConfig {
        name: STREAM.to_owned(),
        subjects: vec!["foo".to_owned()],
        storage: StorageType::Memory,
        num_replicas: 1,
        ..StreamConfig::default()
    };
    change(&mut config);
    config
}

pub(super) fn memory(config: StreamConfig) -> Box<dyn Store> {
    Box::new(MemoryStore::new(config).expect("memory storage"))
}

/// A durable pull consumer with explicit acknowledgements.
pub(super) fn pull(change: impl FnOnce(&mut ConsumerConfig)) -> ConsumerConfig {
    let mut config = ConsumerConfig {
        durable_name: NAME.to_owned(),
        name: NAME.to_owned(),
        ack_policy: AckPolicy::Explicit,
        ..ConsumerConfig::default()
    };
    change(&mut config);
    config
}

/// A durable push consumer with explicit acknowledgements.
pub(super) fn push(change: impl FnOnce(&mut ConsumerConfig)) -> ConsumerConfig {
    let mut config = pull(|_| {});
    config.deliver_subject = "deliver".to_owned();
    change(&mut config);
    config
}

pub(super) fn context() -> Arc<ConsumerContext> {
    Arc::new(ConsumerContext {
        account: "$G".to_owned(),
        domain: None,
        ack_format: AckFormat::V1,
        max_payload: 0,
    })
}

/// Gives a configuration its defaults and checks it.
pub(super) fn checked(mut config: ConsumerConfig, stream: &StreamConfig) -> ConsumerConfig {
    let limits = ConsumerLimits::default();
    defaults::apply(&mut config, stream, &limits, false).expect("defaults");
    validate::check(&config, stream, &limits, false).expect("a valid configuration");
    config
}

pub(super) fn new_consumer(config: ConsumerConfig) -> NewConsumer {
    NewConsumer {
        name: NAME.to_owned(),
        created: START.to_date_time(),
        store: ConsumerStore::in_memory(NAME, config).expect("a name"),
        context: context(),
        seed: 1,
        active: true,
        recovering: false,
    }
}

impl Fixture {
    pub(super) fn new(config: ConsumerConfig) -> Fixture {
        Fixture::on(memory(stream(|_| {})), config)
    }

    /// A consumer of a stream that may hold messages.
    pub(super) fn on(store: Box<dyn Store>, config: ConsumerConfig) -> Fixture {
        let config = checked(config, store.config());
        Fixture::with(store, new_consumer(config))
    }

    pub(super) fn with(store: Box<dyn Store>, new: NewConsumer) -> Fixture {
        Fixture::with_at(store, new, START)
    }

    pub(super) fn with_at(mut store: Box<dyn Store>, new: NewConsumer, now: Timestamp) -> Fixture {
        let deaf = Deaf::default();
        let mut turn = Turn { store: &mut *store, interest: &deaf, now };
        let consumer = Consumer::new(&mut turn, new).expect("a consumer");
        let mut fixture = Fixture {
            store,
            consumer,
            deaf,
            now,
            got: Vec::new(),
            statuses: Vec::new(),
            events: Vec::new(),
            others: Vec::new(),
        };
        fixture.collect();
        fixture
    }

    /// Calls the consumer with a turn, and collects what it wants.
    pub(super) fn turn<T>(&mut self, call: impl FnOnce(&mut Consumer, &mut Turn<'_>) -> T) -> T {
        let mut turn = Turn { store: &mut *self.store, interest: &self.deaf, now: self.now };
        let result = call(&mut self.consumer, &mut turn);
        self.collect();
        result
    }

    pub(super) fn collect(&mut self) {
        while let Some(effect) = self.consumer.poll_effect() {
            match effect {
                ConsumerEffect::Deliver(delivery) => self.got.push(Got {
                    to: text(&delivery.to),
                    subject: text(delivery.subject()),
                    reply: text(&delivery.reply),
                    header: text(delivery.header()),
                    payload: text(delivery.payload()),
                }),
                ConsumerEffect::Send { subject, reply, header } => {
                    self.statuses.push((text(&subject), text(&header), text(&reply)));
                }
                ConsumerEffect::Advisory(advisory) => {
                    let Advisory { stream, consumer, event, .. } = *advisory;
                    assert_eq!((stream.as_str(), consumer.as_str()), (STREAM, NAME));
                    self.events.push(event);
                }
                other => self.others.push(other),
            }
        }
    }

    /// Stores a message and tells the consumer of all that follows.
    pub(super) fn publish(&mut self, subject: &str, payload: &str) -> u64 {
        self.publish_with(subject, b"", payload)
    }

    pub(super) fn publish_with(&mut self, subject: &str, header: &[u8], payload: &str) -> u64 {
        let message = NewMessage {
            subject: subject.as_bytes(),
            header,
            payload: payload.as_bytes(),
            ttl: MessageTtl::Unset,
        };
        let stored = self.store.store_message(message, self.now).expect("no limit refuses");
        self.pass_on(Some(subject));
        stored.sequence.get()
    }

    /// Stores `count` messages and lets the consumer deliver.
    pub(super) fn publish_many(&mut self, count: usize) {
        for n in 0..count {
            self.publish("foo", &format!("m{n}"));
        }
        self.deliver();
    }

    /// Passes the store's effects on as the driver does.
    pub(super) fn pass_on(&mut self, published: Option<&str>) {
        while let Some(effect) = self.store.poll_effect() {
            match effect {
                StoreEffect::Added { sequence, .. } => {
                    let subject = published.expect("a published message").as_bytes();
                    self.consumer.stored(sequence, subject);
                }
                StoreEffect::Removed { sequence, subject, .. } => {
                    self.turn(|consumer, turn| consumer.removed(turn, sequence, &subject));
                }
                StoreEffect::RemovedMany { .. } => {
                    self.turn(|consumer, turn| consumer.removed_many(turn));
                }
                _ => {}
            }
        }
    }

    pub(super) fn remove(&mut self, sequence: u64) {
        assert_eq!(self.store.remove(sequence.into()), Ok(true));
        self.pass_on(None);
    }

    /// Delivers all that can be delivered.
    pub(super) fn deliver(&mut self) {
        while self.consumer.is_ready() {
            let budget = Budget { messages: 3, bytes: 1 << 20 };
            self.turn(|consumer, turn| consumer.deliver(turn, budget));
        }
    }

    /// Asks for messages and lets the consumer deliver.
    pub(super) fn pull(&mut self, reply: &str, body: &str) {
        self.turn(|consumer, turn| {
            consumer.pull(turn, reply.as_bytes(), b"", body.as_bytes(), None);
        });
        self.deliver();
    }

    /// Answers a message and lets the consumer deliver.
    pub(super) fn answer(&mut self, got: &Got, payload: &str) {
        self.answer_with_reply(&got.reply.clone(), "", payload);
    }

    pub(super) fn answer_with_reply(&mut self, subject: &str, reply: &str, payload: &str) {
        self.turn(|consumer, turn| {
            let (subject, reply) = (subject.as_bytes(), reply.as_bytes());
            consumer.ack(turn, subject, reply, payload.as_bytes(), None);
        });
        self.deliver();
    }

    /// Acknowledges the message with this sequence as it was delivered last.
    pub(super) fn ack(&mut self, sequence: u64) {
        let got = self.last_of(sequence);
        self.answer(&got, "+ACK");
    }

    /// Acknowledges a message that may have been delivered before this was last asked.
    pub(super) fn ack_again(&mut self, sequence: u64) {
        self.answer_with_reply(&format!("$JS.ACK.S.C.1.{sequence}.{sequence}.0.0"), "", "");
    }

    pub(super) fn last_of(&self, sequence: u64) -> Got {
        let mut delivered = self.got.iter().rev();
        delivered.find(|got| got.sequence() == sequence).cloned().expect("a delivered message")
    }

    /// Moves time forward, stopping at every deadline on the way.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now.saturating_add(by);
        for _ in 0..100_000 {
            let Some(deadline) = self.consumer.next_deadline().filter(|at| *at <= end) else {
                self.now = end;
                self.deliver();
                return;
            };
            self.now = self.now.max(deadline);
            self.turn(|consumer, turn| consumer.tick(turn));
            self.deliver();
        }
        panic!("deadlines without end");
    }

    pub(super) fn advance_millis(&mut self, millis: u64) {
        self.advance(Duration::from_millis(millis));
    }

    /// The messages got since this was last asked.
    pub(super) fn take_got(&mut self) -> Vec<Got> {
        std::mem::take(&mut self.got)
    }

    /// Their stream sequences.
    pub(super) fn take_sequences(&mut self) -> Vec<u64> {
        self.take_got().iter().map(Got::sequence).collect()
    }

    /// The first lines of the statuses since this was last asked, with their receivers.
    pub(super) fn take_statuses(&mut self) -> Vec<(String, String)> {
        let first_line = |(to, header, _): Status| {
            let line = header.lines().next().unwrap_or_default();
            (to, line.trim_start_matches("NATS/1.0 ").to_owned())
        };
        std::mem::take(&mut self.statuses).into_iter().map(first_line).collect()
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn info(&mut self) -> ConsumerInfo {
        self.turn(|consumer, turn| consumer.info(turn))
    }

    /// Delivered and acknowledged positions as they are told: consumer, stream.
    pub(super) fn positions(&mut self) -> ((u64, u64), (u64, u64)) {
        let info = self.info();
        let pair =
            |info: info::SequenceInfo| (info.sequence.consumer.get(), info.sequence.stream.get());
        (pair(info.delivered), pair(info.ack_floor))
    }
}
