use super::*;
use crate::types::StreamSequence;
use proptest::prelude::*;

/// Messages by sequence, the last of a subject being the one with the highest.
#[derive(Default)]
struct Messages(BTreeMap<u64, StoredMessage>);

impl Messages {
    fn put(&mut self, sequence: u64, subject: &str, fields: &str, payload: &str) -> Vec<u8> {
        let header =
            if fields.is_empty() { String::new() } else { format!("NATS/1.0\r\n{fields}\r\n\r\n") };
        let message = StoredMessage::from_parts(
            subject.as_bytes(),
            header.as_bytes(),
            payload.as_bytes(),
            StreamSequence::new(sequence),
            Timestamp::ZERO,
        );
        self.0.insert(sequence, message.expect("small"));
        header.into_bytes()
    }
}

impl ScheduleSource for Messages {
    fn message(&mut self, sequence: u64) -> Option<StoredMessage> {
        self.0.get(&sequence).cloned()
    }

    fn last_message(&mut self, subject: &[u8]) -> Option<StoredMessage> {
        self.0.values().rev().find(|message| message.subject() == subject).cloned()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// Stores a message and tells the schedules of it.
fn store(
    schedules: &mut Schedules,
    messages: &mut Messages,
    now: i64,
    (sequence, subject, fields): (u64, &str, &str),
) {
    let header = messages.put(sequence, subject, fields, "payload");
    schedules.on_stored(sequence, subject.as_bytes(), &header, at(now), at(now));
    schedules.check_invariants();
}

fn header_of(message: &ScheduledMessage) -> &str {
    std::str::from_utf8(&message.header).expect("text")
}

#[test]
fn one_shot_is_published_once_and_asks_for_its_purge() {
    let (mut schedules, mut messages) = Default::default();
    let fields = "A: b\r\nNats-Schedule: @at 1970-01-01T00:01:40Z\r\nNats-Schedule-Target: out\r\nNats-Msg-Id: x\r\nNats-Expected-Stream: S\r\nNats-TTL: 5\r\nNats-Rollup: sub\r\nNats-Schedule-TTL: 1m\r\nNats-Schedule-Rollup: all";
    store(&mut schedules, &mut messages, 10, (1, "in", fields));
    assert_eq!(schedules.next_deadline(), Some(at(100)));
    assert_eq!(schedules.fire(at(99), &mut messages), []);
    let fired = schedules.fire(at(100), &mut messages);
    let [message] = fired.as_slice() else { panic!("one message, got {fired:?}") };
    assert_eq!((message.sequence, message.target.as_ref()), (1, &b"out"[..]));
    assert_eq!(message.payload.as_ref(), b"payload");
    assert_eq!(
        header_of(message),
        "NATS/1.0\r\nA: b\r\nNats-Scheduler: in\r\nNats-Schedule-Next: purge\r\nNats-TTL: 1m\r\nNats-Rollup: all\r\n\r\n"
    );
    // In flight: not handed out again, until roles change.
    assert_eq!(schedules.fire(at(101), &mut messages), []);
    assert_eq!(schedules.next_deadline(), Some(at(101).saturating_add(MIN_INTERVAL)));
    schedules.clear_in_flight();
    assert_eq!(schedules.fire(at(102), &mut messages).len(), 1);
    schedules.remove(1);
    schedules.arm(at(103));
    assert!(schedules.is_empty() && schedules.next_deadline().is_none());
}

#[test]
fn repeating_schedule_is_rearmed_by_what_it_published() {
    let (mut schedules, mut messages) = Default::default();
    store(
        &mut schedules,
        &mut messages,
        100,
        (1, "in", "Nats-Schedule: @every 10s\r\nNats-Schedule-Target: out"),
    );
    let fired = schedules.fire(at(110), &mut messages);
    assert_eq!(
        header_of(&fired[0]),
        "NATS/1.0\r\nNats-Scheduler: in\r\nNats-Schedule-Next: 1970-01-01T00:02:00Z\r\n\r\n"
    );
    store(
        &mut schedules,
        &mut messages,
        110,
        (2, "out", "Nats-Scheduler: in\r\nNats-Schedule-Next: 1970-01-01T00:02:00Z"),
    );
    assert_eq!(schedules.get(b"in"), Some((1, at(120))));
    assert_eq!(schedules.fire(at(120), &mut messages).len(), 1);
}

#[test]
fn newer_message_of_the_subject_replaces_or_removes_the_schedule() {
    let (mut schedules, mut messages) = Default::default();
    let every = "Nats-Schedule: @every 10s\r\nNats-Schedule-Target: out";
    store(&mut schedules, &mut messages, 100, (1, "in", every));
    store(&mut schedules, &mut messages, 200, (2, "in", every));
    assert_eq!((schedules.len(), schedules.get(b"in")), (1, Some((2, at(210)))));
    schedules.remove(1);
    assert_eq!(schedules.len(), 1);
    store(&mut schedules, &mut messages, 200, (3, "in", "Nats-Scheduler: in"));
    assert_eq!(schedules.len(), 1);
    store(&mut schedules, &mut messages, 200, (4, "in", ""));
    assert!(schedules.is_empty());
    store(&mut schedules, &mut messages, 200, (5, "in", every));
    store(&mut schedules, &mut messages, 200, (6, "in", "Nats-Schedule: @often"));
    assert!(schedules.is_empty());
}

#[test]
fn source_gives_the_content_and_its_absence_the_schedules_own() {
    let (mut schedules, mut messages): (Schedules, Messages) = Default::default();
    messages.put(1, "prices", "Unit: EUR\r\nNats-Msg-Id: y", "42");
    let fields = "Nats-Schedule: @at 1970-01-01T00:00:01Z\r\nNats-Schedule-Target: out\r\nNats-Schedule-Source: prices";
    store(&mut schedules, &mut messages, 0, (2, "in", fields));
    let fired = schedules.fire(at(5), &mut messages);
    assert_eq!(fired[0].payload.as_ref(), b"42");
    assert_eq!(
        header_of(&fired[0]),
        "NATS/1.0\r\nUnit: EUR\r\nNats-Scheduler: in\r\nNats-Schedule-Next: purge\r\n\r\n"
    );
    messages.0.remove(&1);
    schedules.clear_in_flight();
    assert_eq!(schedules.fire(at(6), &mut messages)[0].payload.as_ref(), b"payload");
}

#[test]
fn schedules_that_cannot_be_carried_out_are_dropped() {
    for fields in [
        "Nats-Schedule: @every 1s",
        "Nats-Schedule: @every 1s\r\nNats-Schedule-Target:",
        "Nats-Schedule: @every 1s\r\nNats-Schedule-Target: out\r\nNats-Schedule-TTL: 1ms",
    ] {
        let (mut schedules, mut messages) = Default::default();
        store(&mut schedules, &mut messages, 100, (1, "in", fields));
        assert_eq!(schedules.len(), 1, "{fields}");
        assert_eq!(schedules.fire(at(200), &mut messages), [], "{fields}");
        assert!(schedules.is_empty(), "{fields}");
    }
    // The message itself is gone.
    let (mut schedules, mut messages): (Schedules, Messages) = Default::default();
    let fields = "Nats-Schedule: @every 1s\r\nNats-Schedule-Target: out";
    store(&mut schedules, &mut messages, 100, (1, "in", fields));
    messages.0.clear();
    assert_eq!(schedules.fire(at(200), &mut messages), []);
    assert!(schedules.is_empty());
}

#[test]
fn several_schedules_fire_by_ascending_sequence() {
    let (mut schedules, mut messages) = Default::default();
    for (sequence, due) in [(1, "00:00:30"), (2, "00:00:20"), (3, "00:00:10"), (4, "00:59:00")] {
        let fields = format!("Nats-Schedule: @at 1970-01-01T{due}Z\r\nNats-Schedule-Target: out");
        store(&mut schedules, &mut messages, 0, (sequence, &format!("in.{sequence}"), &fields));
    }
    assert_eq!(schedules.next_deadline(), Some(at(10)));
    let fired = schedules.fire(at(60), &mut messages);
    assert_eq!(fired.iter().map(|message| message.sequence).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn deadline_is_no_sooner_than_a_quarter_second_and_never_moves_back() {
    let (mut schedules, mut messages) = Default::default();
    let every = "Nats-Schedule: @at 1970-01-01T00:00:00Z\r\nNats-Schedule-Target: out";
    store(&mut schedules, &mut messages, 100, (1, "in", every));
    let first = at(100).saturating_add(MIN_INTERVAL);
    assert_eq!(schedules.next_deadline(), Some(first));
    store(&mut schedules, &mut messages, 101, (2, "in", every));
    assert_eq!(schedules.next_deadline(), Some(first));
}

#[test]
fn file_reads_back_and_broken_ones_say_why() {
    let (mut schedules, mut messages) = Default::default();
    for sequence in 1..=3 {
        let subject = format!("in.{sequence}");
        let fields = "Nats-Schedule: @every 1h\r\nNats-Schedule-Target: out";
        store(&mut schedules, &mut messages, 100, (sequence, &subject, fields));
    }
    let bytes = schedules.encode(4);
    let (decoded, high) = Schedules::decode(&bytes).expect("own file");
    decoded.check_invariants();
    assert_eq!((high, decoded.len()), (4, 3));
    assert_eq!(decoded.get(b"in.2"), schedules.get(b"in.2"));
    let text = |bytes: &[u8]| Schedules::decode(bytes).expect_err("broken").to_string();
    assert_eq!(text(&bytes[..16]), "short buffer");
    for len in HEADER_LEN..bytes.len() {
        assert_eq!(text(&bytes[..len]), "unexpected EOF");
    }
    let mut other = bytes;
    other[0] = 9;
    assert_eq!(text(&other), "msg scheduling: encoded version not known");
}

proptest! {
    #[test]
    fn any_file_decodes_or_fails_cleanly(tail in prop::collection::vec(0_u8..4, 0..80)) {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[0] = 1;
        bytes[1] = 5;
        bytes.extend(tail);
        if let Ok((schedules, _)) = Schedules::decode(&bytes) {
            schedules.check_invariants();
        }
    }
}
