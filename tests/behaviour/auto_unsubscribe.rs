//! UNSUB with a maximum (spec 01 §5.8).

use crate::support::{Server, Wire};

fn publish(client: &mut Wire, times: usize) {
    client.send("PUB foo 2\r\nok\r\n".repeat(times));
}

fn expect(client: &mut Wire, times: usize) {
    client.expect("MSG foo 1 2\r\nok\r\n".repeat(times));
    client.expect_nothing();
}

#[test]
fn at_most_max_messages_are_delivered() {
    let server =
        Server::start("debug: true\ntrace: true\nhttp: \"127.0.0.1:-1\"\nno_system_account: true");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nUNSUB 1 3\r\n");
    publish(&mut client, 10);
    expect(&mut client, 3);
    server.wait_for_log("Auto-unsubscribe limit of 3 reached for sid '1'");
    server.wait_for_log("<-> [DELSUB 1]");
    // It ends behind its last message.
    let lines = server.log_lines();
    let last = lines.iter().rposition(|l| l.contains("->> [MSG foo 1 2]")).expect("a message");
    let end = lines.iter().position(|l| l.contains("[DELSUB 1]")).expect("its end");
    assert!(last < end, "{lines:#?}");
    assert_eq!(server.monitor("/subsz")["num_subscriptions"], 0);
    // The id can be used again.
    client.send("SUB foo 1\r\n");
    publish(&mut client, 2);
    expect(&mut client, 2);
}

#[test]
fn a_subscription_ends_with_its_last_message_or_an_unsub() {
    let server = Server::start("http: \"127.0.0.1:-1\"\nno_system_account: true");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nUNSUB 1 1\r\nPUB foo bar 2\r\nok\r\n");
    client.expect("MSG foo 1 bar 2\r\nok\r\n");
    client.expect_nothing();
    assert_eq!(server.monitor("/subsz")["num_subscriptions"], 0);
    client.send("SUB foo 1\r\nUNSUB 1 1\r\nUNSUB 1\r\n");
    client.expect_nothing();
    let subs = server.monitor("/subsz");
    assert_eq!((&subs["num_subscriptions"], &subs["num_inserts"]), (&0.into(), &2.into()));
}

#[test]
fn messages_from_another_connection_count_the_same() {
    let server = Server::start("");
    let mut sub = server.client("");
    sub.send("SUB foo 1\r\nUNSUB 1 5\r\n");
    sub.expect_nothing();
    let mut publishers: Vec<Wire> = (0..4).map(|_| server.client("")).collect();
    for publisher in &mut publishers {
        publish(publisher, 50);
    }
    for publisher in &mut publishers {
        publisher.expect_nothing();
    }
    expect(&mut sub, 5);
}

#[test]
fn the_limit_counts_from_sub_on() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo 1\r\n");
    publish(&mut client, 3);
    expect(&mut client, 3);
    client.send("UNSUB 1 5\r\n");
    publish(&mut client, 10);
    expect(&mut client, 2);
}

#[test]
fn a_limit_that_is_reached_already_unsubscribes_at_once() {
    let server = Server::start("");
    for max in [2, 3] {
        let mut client = server.client("");
        client.send("SUB foo 1\r\n");
        publish(&mut client, 3);
        expect(&mut client, 3);
        client.send(format!("UNSUB 1 {max}\r\n"));
        publish(&mut client, 3);
        client.expect_nothing();
    }
}

#[test]
fn zero_and_what_is_no_number_unsubscribe_at_once() {
    let server = Server::start("");
    for max in ["0", "x", "-1", "1234567890"] {
        let mut client = server.client("");
        client.send(format!("SUB foo 1\r\nUNSUB 1 {max}\r\n"));
        publish(&mut client, 1);
        client.expect_nothing();
    }
}

#[test]
fn unsub_without_a_maximum_overrides_the_limit() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nUNSUB 1 5\r\n");
    publish(&mut client, 1);
    expect(&mut client, 1);
    client.send("UNSUB 1\r\n");
    publish(&mut client, 4);
    client.expect_nothing();
}

#[test]
fn a_later_limit_replaces_the_earlier_one() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo 1\r\nUNSUB 1 2\r\nUNSUB 1 4\r\n");
    publish(&mut client, 10);
    expect(&mut client, 4);
}

#[test]
fn queue_members_leave_their_group_at_the_limit() {
    let server = Server::start("");
    let mut client = server.client("");
    client.send("SUB foo q 1\r\nUNSUB 1 3\r\nSUB foo q 2\r\n");
    publish(&mut client, 200);
    let mut counts = [0; 2];
    for line in client.sync() {
        match line.strip_prefix("MSG foo ") {
            Some("1 2") => counts[0] += 1,
            Some("2 2") => counts[1] += 1,
            _ => assert_eq!(line, "ok"),
        }
    }
    // The other member gets what the first one may not take.
    assert_eq!(counts, [3, 197]);
}

#[test]
fn subscriptions_that_end_under_fire_disturb_nobody() {
    let server = Server::start("");
    let mut publisher = server.client("");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                publish(&mut publisher, 100);
                publisher.expect_nothing();
            }
        });
        let mut sub = server.client("");
        for n in 0..200 {
            sub.send(format!("SUB foo {n}\r\nUNSUB {n} 2\r\nSUB foo x{n}\r\nUNSUB x{n}\r\n"));
        }
        // All of them end: every limited one after two messages.
        let mut counts = vec![0; 200];
        while counts.iter().any(|c| *c < 2) {
            let (line, payload) = sub.message();
            assert_eq!(payload, b"ok");
            let sid = line.split(' ').nth(2).unwrap();
            if let Ok(n) = sid.parse::<usize>() {
                counts[n] += 1;
                assert!(counts[n] <= 2, "{line}");
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
