//! What clients may answer, and what follows (spec 07b §B4).

use super::*;
use crate::consumers::advisory::AboutDelivery;

fn explicit() -> Fixture {
    Fixture::new(push(|_| {}))
}

fn about(consumer_seq: u64, stream_seq: u64, deliveries: u64) -> AboutDelivery {
    AboutDelivery { consumer_seq, stream_seq, deliveries }
}

#[test]
fn every_form_of_acknowledgement_counts() {
    for payload in ["", "+ACK", "+OK"] {
        let mut fixture = explicit();
        fixture.publish_many(1);
        let got = fixture.last_of(1);
        fixture.answer_with_reply(&got.reply, "inbox", payload);
        assert_eq!(fixture.info().num_ack_pending, 0, "{payload:?}");
        assert_eq!(fixture.take_statuses(), [("inbox".to_owned(), String::new())]);
        assert_eq!(fixture.positions(), ((1, 1), (1, 1)));
    }
}

#[test]
fn acknowledging_out_of_order_moves_the_floor_when_the_gap_closes() {
    let mut fixture = explicit();
    fixture.publish_many(4);
    fixture.ack(3);
    fixture.ack(2);
    assert_eq!(fixture.positions().1, (0, 0));
    fixture.ack(1);
    assert_eq!(fixture.positions().1, (3, 3));
    fixture.ack(4);
    assert_eq!(fixture.positions().1, (4, 4));
    assert_eq!(fixture.info().num_ack_pending, 0);
}

#[test]
fn acknowledging_all_takes_everything_up_to_the_message() {
    let mut fixture = Fixture::new(pull(|config| config.ack_policy = AckPolicy::All));
    fixture.publish_many(5);
    fixture.pull("one", "3");
    fixture.pull("other", "2");
    fixture.ack(4);
    assert_eq!(fixture.info().num_ack_pending, 1);
    assert_eq!(fixture.positions().1, (4, 4));
    // Below the floor there is nothing left to do.
    let got = fixture.last_of(2);
    fixture.answer_with_reply(&got.reply, "inbox", "");
    assert_eq!(fixture.take_statuses(), [("inbox".to_owned(), String::new())]);
    assert_eq!(fixture.positions().1, (4, 4));
}

#[test]
fn second_acknowledgement_is_confirmed_and_changes_nothing() {
    let mut fixture = explicit();
    fixture.publish_many(2);
    fixture.ack(1);
    let before = fixture.positions();
    let got = fixture.last_of(1);
    for payload in ["+ACK", "-NAK", "+WPI", "+TERM", "whatever"] {
        fixture.answer_with_reply(&got.reply, "inbox", payload);
        assert_eq!(fixture.take_statuses(), [("inbox".to_owned(), String::new())], "{payload}");
        assert_eq!(fixture.positions(), before);
    }
    assert_eq!(fixture.take_got().len(), 2);
}

#[test]
fn message_not_yet_delivered_cannot_be_acknowledged() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish("foo", "");
    fixture.answer_with_reply("$JS.ACK.S.C.1.1.1.0.0", "inbox", "+ACK");
    assert!(fixture.take_statuses().is_empty());
    assert!(fixture.others.is_empty());
    fixture.answer_with_reply("$JS.ACK.S.C.1.99.1.0.0", "inbox", "+ACK");
    assert!(fixture.take_statuses().is_empty());
    let text = "JetStream consumer '$G > S > C' ACK sequence 99 past last stream sequence of 1";
    assert_eq!(fixture.others, [ConsumerEffect::Warn(text.to_owned())]);
    assert_eq!(fixture.positions(), ((0, 0), (0, 0)));
}

#[test]
fn malformed_ack_subjects_are_ignored() {
    let mut fixture = explicit();
    fixture.publish_many(2);
    for subject in ["", "$JS.ACK.S.C.1.1", "$JS.ACK.S.C.x.y.z.0.0", "$JS.ACK.S.C.1.0.0.0.0"] {
        for payload in ["", "-NAK", "+TERM", "+WPI"] {
            fixture.answer_with_reply(subject, "", payload);
        }
    }
    assert_eq!(fixture.info().num_ack_pending, 2);
    assert_eq!(fixture.take_got().len(), 2);
}

#[test]
fn forged_consumer_sequence_does_not_move_the_floor_past_deliveries() {
    let mut fixture = Fixture::new(push(|config| config.ack_policy = AckPolicy::All));
    fixture.publish_many(3);
    fixture.answer_with_reply("$JS.ACK.S.C.1.2.999.0.0", "", "");
    assert_eq!(fixture.info().num_ack_pending, 1);
    fixture.publish_many(1);
    fixture.ack(4);
    assert_eq!(fixture.info().num_ack_pending, 0);
}

#[test]
fn nak_delivers_again_at_once() {
    let mut fixture = explicit();
    fixture.publish_many(2);
    let first = fixture.last_of(1);
    fixture.take_got();
    fixture.take_events();
    fixture.answer_with_reply(&first.reply, "inbox", "-NAK");
    assert_eq!(fixture.take_statuses(), [("inbox".to_owned(), String::new())]);
    assert_eq!(fixture.take_events(), [Event::Nak(about(1, 1, 1))]);
    let again = fixture.take_got();
    assert_eq!(again.iter().map(Got::numbers).collect::<Vec<_>>(), [(1, 3, 2, 0)]);
    assert_eq!(fixture.info().num_redelivered, 1);
}

#[test]
fn nak_with_a_delay_waits() {
    for (payload, millis) in [
        (r#"-NAK {"delay":200000000}"#, 200),
        ("-NAK 250ms", 250),
        ("-NAK  1s ", 1_000),
        (r#"-NAK {"other":1}"#, 0),
    ] {
        let mut fixture = Fixture::new(push(|config| config.ack_wait = 10_000_000_000));
        fixture.publish_many(1);
        let first = fixture.take_got().remove(0);
        fixture.answer(&first, payload);
        assert!(fixture.take_got().is_empty(), "{payload}");
        if millis > 0 {
            fixture.advance_millis(millis - 1);
            assert!(fixture.take_got().is_empty(), "{payload}");
        }
        fixture.advance_millis(3);
        assert_eq!(fixture.take_sequences(), [1], "{payload}");
    }
}

#[test]
fn nak_delay_may_exceed_the_ack_wait() {
    let mut fixture = Fixture::new(push(|config| config.ack_wait = 100_000_000));
    fixture.publish_many(1);
    let first = fixture.take_got().remove(0);
    fixture.answer(&first, "-NAK 1s");
    fixture.advance_millis(999);
    assert!(fixture.take_got().is_empty());
    fixture.advance_millis(3);
    assert_eq!(fixture.take_sequences(), [1]);
}

#[test]
fn nak_delay_takes_a_message_off_the_redelivery_queue() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(1);
    fixture.pull("r", "1");
    let first = fixture.take_got().remove(0);
    fixture.answer(&first, "-NAK");
    fixture.answer(&first, "-NAK 10s");
    fixture.pull("r", "1");
    assert!(fixture.take_got().is_empty());
    fixture.advance_millis(10_010);
    assert_eq!(fixture.take_sequences(), [1]);
}

#[test]
fn nak_with_an_unreadable_delay_is_a_plain_one() {
    let mut fixture = explicit();
    fixture.publish_many(1);
    let first = fixture.take_got().remove(0);
    fixture.answer(&first, "-NAK soon");
    assert_eq!(fixture.take_sequences(), [1]);
    let text = r#"JetStream consumer '$G > S > C' bad NAK delay value: "soon""#;
    assert_eq!(fixture.others, [ConsumerEffect::Warn(text.to_owned())]);
}

#[test]
fn nak_is_ignored_outside_of_what_is_pending() {
    let mut fixture = explicit();
    fixture.publish_many(2);
    fixture.ack(1);
    fixture.take_got();
    fixture.take_events();
    for subject in ["$JS.ACK.S.C.1.1.1.0.0", "$JS.ACK.S.C.1.2.9.0.0", "$JS.ACK.S.C.1.7.2.0.0"] {
        fixture.answer_with_reply(subject, "", "-NAK");
    }
    assert!(fixture.take_events().is_empty());
    assert!(fixture.take_got().is_empty());
}

#[test]
fn nak_twice_delivers_again_once() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(1);
    fixture.pull("r", "1");
    let first = fixture.take_got().remove(0);
    fixture.answer(&first, "-NAK");
    fixture.answer(&first, "-NAK");
    fixture.pull("r", "5");
    assert_eq!(fixture.take_sequences(), [1]);
}

#[test]
fn progress_restarts_the_wait() {
    let mut fixture = Fixture::new(push(|config| config.ack_wait = 1_000_000_000));
    fixture.publish_many(1);
    let first = fixture.take_got().remove(0);
    for _ in 0..5 {
        fixture.advance_millis(900);
        fixture.answer_with_reply(&first.reply, "inbox", "+WPI");
    }
    assert!(fixture.take_got().is_empty());
    assert_eq!(fixture.take_statuses().len(), 5);
    fixture.advance_millis(1_010);
    assert_eq!(fixture.take_sequences(), [1]);
}

#[test]
fn progress_must_be_spelled_exactly() {
    let mut fixture = Fixture::new(push(|config| config.ack_wait = 1_000_000_000));
    fixture.publish_many(1);
    let first = fixture.take_got().remove(0);
    fixture.advance_millis(900);
    fixture.answer(&first, "+WPI ");
    fixture.advance_millis(200);
    assert_eq!(fixture.take_sequences(), [1]);
}

#[test]
fn term_stops_redelivery_and_tells_why() {
    for (payload, reason) in [("+TERM", ""), ("+TERM  poison pill ", "poison pill")] {
        let mut fixture = Fixture::new(push(|config| config.ack_wait = 100_000_000));
        fixture.publish_many(1);
        let first = fixture.take_got().remove(0);
        fixture.take_events();
        fixture.answer_with_reply(&first.reply, "inbox", payload);
        let delivery = about(1, 1, 1);
        let expected = Event::Terminated { delivery, reason: reason.to_owned() };
        assert_eq!(fixture.take_events(), [expected]);
        assert_eq!(fixture.take_statuses(), [("inbox".to_owned(), String::new())]);
        fixture.advance_millis(500);
        assert!(fixture.take_got().is_empty());
        assert_eq!(fixture.positions().1, (1, 1));
    }
}

#[test]
fn next_acknowledges_and_asks_for_more() {
    let mut fixture = Fixture::new(pull(|_| {}));
    fixture.publish_many(5);
    fixture.pull("r", "1");
    let first = fixture.take_got().remove(0);
    fixture.answer_with_reply(&first.reply, "r", "+NXT");
    assert_eq!(fixture.take_sequences(), [2]);
    assert_eq!(fixture.info().num_ack_pending, 1);
    let second = "$JS.ACK.S.C.1.2.2.0.0";
    fixture.answer_with_reply(second, "r", "+NXT 2");
    assert_eq!(fixture.take_sequences(), [3, 4]);
    fixture.answer_with_reply("$JS.ACK.S.C.1.3.3.0.0", "r", r#"+NXT {"batch":1,"no_wait":true}"#);
    assert_eq!(fixture.take_sequences(), [5]);
    assert!(fixture.take_statuses().is_empty());
}

#[test]
fn next_to_a_push_consumer_is_refused() {
    let mut fixture = explicit();
    fixture.publish_many(1);
    let first = fixture.take_got().remove(0);
    fixture.answer_with_reply(&first.reply, "r", "+NXT");
    let refusal = ("r".to_owned(), "409 Consumer is push based".to_owned());
    assert_eq!(fixture.take_statuses(), [refusal]);
}

#[test]
fn late_acknowledgement_takes_a_message_off_the_redelivery_queue() {
    let mut fixture = Fixture::new(pull(|config| config.ack_wait = 100_000_000));
    fixture.publish_many(3);
    fixture.pull("r", "3");
    fixture.advance_millis(200);
    fixture.ack(2);
    fixture.take_got();
    fixture.pull("r", "5");
    assert_eq!(fixture.take_sequences(), [1, 3]);
}

#[test]
fn samples_tell_how_long_acknowledging_took() {
    let mut fixture = Fixture::new(push(|config| config.sample_freq = "100%".to_owned()));
    fixture.publish_many(2);
    fixture.take_events();
    fixture.advance_millis(5);
    fixture.ack(1);
    let expected = Event::Acked { delivery: about(1, 1, 1), ack_time: 5_000_000 };
    assert_eq!(fixture.take_events(), [expected]);
    // What was acknowledged already is not sampled again.
    fixture.ack(1);
    assert!(fixture.take_events().is_empty());
}

#[test]
fn samples_are_about_as_many_as_asked_for() {
    let mut fixture = Fixture::new(push(|config| {
        config.sample_freq = "50".to_owned();
        config.max_ack_pending = -1;
    }));
    fixture.publish_many(1_000);
    fixture.take_events();
    for sequence in 1..=1_000 {
        fixture.ack_again(sequence);
    }
    let samples = fixture.take_events().len();
    assert!((400..600).contains(&samples), "{samples}");
}

#[test]
fn no_samples_unless_asked_for() {
    let mut fixture = explicit();
    fixture.publish_many(1);
    fixture.take_events();
    fixture.ack(1);
    assert!(fixture.take_events().is_empty());
}

#[test]
fn last_activity_is_told() {
    let mut fixture = explicit();
    let info = fixture.info();
    assert_eq!((info.delivered.last_active, info.ack_floor.last_active), (None, None));
    fixture.advance_millis(10);
    fixture.publish_many(1);
    let delivered = fixture.now;
    fixture.advance_millis(10);
    fixture.ack(1);
    let info = fixture.info();
    assert_eq!(info.delivered.last_active, Some(delivered));
    assert_eq!(info.ack_floor.last_active, Some(fixture.now));
}
