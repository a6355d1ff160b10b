//! Internal clients without sockets.

use super::*;
use crate::account::Account;
use crate::config::options::Options;
use crate::delivery::{Fanout, Kind, Message, Origin, SHARE_ABOVE_BYTES};
use crate::logging::Logger;
use crate::server::Server;
use bytes::Bytes;
use eventloop::{Intake, Stager};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn server() -> Arc<Server> {
    let options = Arc::new(Options { no_system_account: true, ..Options::with_defaults() });
    Server::new(options, Arc::new(Logger::new())).expect("a server")
}

fn client(server: &Arc<Server>, kind: Kind) -> Arc<Client> {
    Client::new(server, kind, server.global_account(), &Inbox::new())
}

fn outgoing<'a>(subject: &'a str, body: &'a str) -> Outgoing<'a> {
    Outgoing { subject: subject.as_bytes(), body: body.as_bytes(), ..Outgoing::default() }
}

/// Publishes as an application would, staged with others of its read batch.
fn publish(fanout: &mut Fanout, stager: &mut Stager, account: &Account, body: &Bytes) -> bool {
    let digits = (body.len() - 2).to_string();
    let message = Message {
        subject: b"orders.new",
        reply: b"answers",
        header_len: 0,
        header_digits: b"",
        size_digits: digits.as_bytes(),
        payload_crlf: body,
        tail: None,
    };
    let mut share = || body.clone();
    fanout.deliver(stager, account, &Origin::client(7, true), &message, &mut share).any
}

/// Everything that is in an inbox, as subject, reply, header, body and tag.
fn received(inbox: &Inbox) -> Vec<(String, String, String, String, u64)> {
    let mut batches = VecDeque::new();
    let mut all = Vec::new();
    if inbox.receive(&mut batches, Some(Instant::now())) == Wake::Messages {
        for batch in batches {
            for m in batch.iter() {
                let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
                all.push((text(m.subject), text(m.reply), text(m.header), text(m.body), m.tag()));
            }
            inbox.settle(batch);
        }
    }
    all
}

#[test]
fn messages_arrive_whole_and_in_order() {
    let server = server();
    let (from, to) = (client(&server, Kind::System), client(&server, Kind::JetStream));
    to.subscribe(b"orders.*", None, 3).expect("subscribes");
    let mut publisher = Publisher::new(server);
    let header = b"NATS/1.0\r\nA: b\r\n\r\n";
    let first = Outgoing { header, reply: b"inbox", ..outgoing("orders.new", "one") };
    assert!(publisher.publish(&from, &first));
    assert!(publisher.publish(&from, &outgoing("orders.old", "")));
    assert_eq!(received(to.inbox()), [], "nothing before it is handed over");
    publisher.hand_over();
    let text = |s: &str| s.to_owned();
    assert_eq!(
        received(to.inbox()),
        [
            (text("orders.new"), text("inbox"), text("NATS/1.0\r\nA: b\r\n\r\n"), text("one"), 3),
            (text("orders.old"), text(""), text(""), text(""), 3),
        ]
    );
    assert_eq!(to.inbox().pending_bytes(), 0, "what is settled counts no more");
}

#[test]
fn a_batch_is_handed_over_with_one_wake_for_the_owner() {
    let server = server();
    let to = client(&server, Kind::JetStream);
    let interest = to.subscribe(b"orders.>", None, 1).expect("subscribes");
    let (mut fanout, mut stager) = (Fanout::new(1, false), Stager::new(None));
    for _ in 0..100 {
        let body = Bytes::from_static(b"body\r\n");
        assert!(publish(&mut fanout, &mut stager, server.global_account(), &body));
    }
    stager.hand_over(0, None, |_, _| {});
    let mut batches = VecDeque::new();
    assert_eq!(to.inbox().receive(&mut batches, None), Wake::Messages);
    assert_eq!(batches.iter().map(|b| b.len()).collect::<Vec<_>>(), [100]);
    assert_eq!(interest.subscription().delivered(), 100);
}

#[test]
fn nobody_gets_its_own_messages() {
    let server = server();
    let to = client(&server, Kind::JetStream);
    to.subscribe(b"orders.new", None, 1).expect("subscribes");
    let mut publisher = Publisher::new(server.clone());
    assert!(!publisher.publish(&to, &outgoing("orders.new", "mine")));
    assert!(publisher.publish(&client(&server, Kind::JetStream), &outgoing("orders.new", "yours")));
    publisher.hand_over();
    assert_eq!(received(to.inbox()).len(), 1);
}

#[test]
fn one_member_of_a_queue_group_gets_the_message() {
    let server = server();
    let (a, b) = (client(&server, Kind::System), client(&server, Kind::System));
    a.subscribe(b"orders.new", Some(b"workers"), 1).expect("subscribes");
    b.subscribe(b"orders.new", Some(b"workers"), 1).expect("subscribes");
    let mut publisher = Publisher::new(server.clone());
    let from = client(&server, Kind::Account);
    for _ in 0..10 {
        assert!(publisher.publish(&from, &outgoing("orders.new", "x")));
    }
    publisher.hand_over();
    assert_eq!(received(a.inbox()).len() + received(b.inbox()).len(), 10);
}

#[test]
fn large_messages_share_the_block_they_arrived_in() {
    let server = server();
    let to = client(&server, Kind::JetStream);
    to.subscribe(b"orders.new", None, 1).expect("subscribes");
    let mut large = vec![b'x'; SHARE_ABOVE_BYTES + 1];
    large.extend_from_slice(b"\r\n");
    let large = Bytes::from(large);
    let (mut fanout, mut stager) = (Fanout::new(1, false), Stager::new(None));
    assert!(publish(&mut fanout, &mut stager, server.global_account(), &large));
    stager.hand_over(0, None, |_, _| {});
    let mut batches = VecDeque::new();
    to.inbox().receive(&mut batches, None);
    let batch = batches.pop_front().expect("a batch");
    let message = batch.iter().next().expect("a message");
    assert!(message.header_bytes().is_empty());
    let body = message.body_bytes();
    assert_eq!(message.reply_bytes(), "answers");
    assert_eq!(body, large.slice(..SHARE_ABOVE_BYTES + 1));
    assert_eq!(body.as_ptr(), large.as_ptr(), "not copied");
}

#[test]
fn a_full_inbox_says_so_and_refuses_only_what_cannot_wait() {
    let server = server();
    let to = client(&server, Kind::JetStream);
    to.subscribe(b"orders.new", None, 1).expect("subscribes");
    let inbox = to.inbox();
    // One allocation, shared by all messages.
    let large = Bytes::from(vec![0; 16 * 1024 * 1024 + 2]);
    let (mut fanout, mut stager) = (Fanout::new(1, false), Stager::new(None));
    let account = server.global_account();
    let mut publisher = Publisher::new(server.clone());
    let thread = client(&server, Kind::System);
    while inbox.pending_bytes() <= INBOX_REFUSE_BYTES {
        assert!(publisher.publish(&thread, &outgoing("orders.new", "x")));
        publisher.hand_over();
        assert!(publish(&mut fanout, &mut stager, account, &large));
        stager.hand_over(0, None, |_, _| {});
        assert!(stager.has_full_intakes());
        stager.take_full_intakes();
    }
    assert!(!publisher.publish(&thread, &outgoing("orders.new", "x")));
    assert_eq!(inbox.refused(), 1);
    assert!(publish(&mut fanout, &mut stager, account, &large), "a connection is only held back");
    received(inbox);
    assert!(publisher.publish(&thread, &outgoing("orders.new", "x")));
}

#[test]
fn an_unsubscribed_client_is_no_responder() {
    let server = server();
    let to = client(&server, Kind::System);
    let before = server.global_account().sublist.count();
    let interest = to.subscribe(b"orders.new", None, 1).expect("subscribes");
    let mut publisher = Publisher::new(server.clone());
    assert!(publisher.has_interest(server.global_account(), b"orders.new"));
    to.unsubscribe(interest);
    assert!(!publisher.has_interest(server.global_account(), b"orders.new"));
    assert!(!publisher.publish(&client(&server, Kind::System), &outgoing("orders.new", "x")));
    assert_eq!(server.global_account().sublist.count(), before);
}

#[test]
fn a_closed_inbox_gives_what_it_has_and_then_ends() {
    let server = server();
    let to = client(&server, Kind::System);
    to.subscribe(b"orders.new", None, 1).expect("subscribes");
    let mut publisher = Publisher::new(server.clone());
    let from = client(&server, Kind::System);
    publisher.publish(&from, &outgoing("orders.new", "x"));
    publisher.hand_over();
    to.inbox().close();
    assert!(!publisher.publish(&from, &outgoing("orders.new", "late")));
    let mut batches = VecDeque::new();
    assert_eq!(to.inbox().receive(&mut batches, None), Wake::Messages);
    batches.clear();
    assert_eq!(to.inbox().receive(&mut batches, None), Wake::Closed);
}

#[test]
fn waits_end_with_the_deadline_and_with_mail() {
    let inbox = Inbox::new();
    let mail = Mail::new(inbox.clone());
    let mut batches = VecDeque::new();
    assert_eq!(inbox.receive(&mut batches, Some(Instant::now())), Wake::Deadline);
    mail.send(17).expect("is taken");
    assert_eq!(inbox.receive(&mut batches, None), Wake::Woken);
    assert_eq!(mail.take(), [17]);
    let later = Some(Instant::now() + Duration::from_millis(1));
    assert_eq!(inbox.receive(&mut batches, later), Wake::Deadline, "one wake for one order");
    inbox.close();
    assert_eq!(mail.send(18), Err(18));
}

#[test]
fn the_latest_interest_in_a_watched_subject_is_told() {
    let server = server();
    let account = server.global_account();
    let (watcher, other) = (client(&server, Kind::JetStream), client(&server, Kind::System));
    let inbox = watcher.inbox();
    let changed = |inbox: &Inbox| {
        let mut changed = Vec::new();
        inbox.take_changed(&mut changed);
        changed
    };
    let watch = inbox.watch(account, b"deliver.here", 9).expect("a literal subject");
    assert_eq!(changed(inbox), [(9, false)]);
    let interest = other.subscribe(b"deliver.here", None, 1).expect("subscribes");
    assert_eq!(inbox.receive(&mut VecDeque::new(), None), Wake::Woken);
    assert_eq!(changed(inbox), [(9, true)]);
    other.unsubscribe(interest);
    let interest = other.subscribe(b"deliver.here", None, 1).expect("subscribes");
    other.unsubscribe(interest);
    assert_eq!(changed(inbox), [(9, false)], "several changes are told as one");
    inbox.unwatch(account, &watch);
    other.subscribe(b"deliver.here", None, 1).expect("subscribes");
    assert_eq!(changed(inbox), []);
    assert!(inbox.watch(account, b"deliver.*", 9).is_err());
}

#[test]
fn what_internal_clients_send_each_other_is_no_traffic() {
    let server = server();
    let to = client(&server, Kind::System);
    to.subscribe(b"orders.new", None, 1).expect("subscribes");
    let mut publisher = Publisher::new(server.clone());
    publisher.publish(&client(&server, Kind::System), &outgoing("orders.new", "four"));
    publisher.hand_over();
    let counted = |traffic: &crate::account::Traffic| {
        let load = |n: &std::sync::atomic::AtomicI64| n.load(std::sync::atomic::Ordering::Relaxed);
        [
            load(&traffic.in_messages),
            load(&traffic.in_bytes),
            load(&traffic.out_messages),
            load(&traffic.out_bytes),
        ]
    };
    assert_eq!(counted(&server.global_account().traffic), [0; 4]);
    assert_eq!(counted(&server.stats.client_traffic), [0; 4]);
}

#[test]
fn a_parcel_of_another_kind_is_not_taken() {
    let inbox = Inbox::new();
    assert!(!inbox.hand_over(Box::new(1)));
    assert_eq!(inbox.receive(&mut VecDeque::new(), Some(Instant::now())), Wake::Deadline);
}
