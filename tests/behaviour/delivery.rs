//! Order of what is delivered, and counters (spec 01 §5.5, §5.6, §15).

use crate::support::{Server, Wire};

#[test]
fn messages_of_one_connection_arrive_in_order_at_every_subscriber() {
    let server = Server::start("");
    let mut subs: Vec<Wire> = (0..50).map(|_| server.client("")).collect();
    for sub in &mut subs {
        sub.send("SUB foo 1\r\n");
        sub.expect_nothing();
    }
    let mut publisher = server.client("");
    let mut script = String::new();
    for n in 0..2000 {
        script += &format!("PUB foo 8\r\n{n:08}\r\n");
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            publisher.send(&script);
            publisher.expect_nothing();
        });
        for sub in &mut subs {
            for n in 0..2000 {
                sub.expect(format!("MSG foo 1 8\r\n{n:08}\r\n"));
            }
        }
    });
}

#[test]
fn order_holds_for_payloads_of_all_sizes() {
    let server = Server::start("");
    let mut sub = server.client("");
    sub.send("SUB foo 1\r\n");
    sub.expect_nothing();
    let mut publisher = server.client("");
    let sizes = [0, 1, 100, 8190, 8192, 8193, 65_535, 65_536, 65_537, 300_000, 3, 1_048_576, 7];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (n, size) in sizes.iter().cycle().take(100).enumerate() {
                let fill = (b'a' + (n % 26) as u8) as char;
                publisher.send(format!("PUB foo {size}\r\n"));
                publisher.send(fill.to_string().repeat(*size));
                publisher.send("\r\n");
            }
            publisher.expect_nothing();
        });
        for (n, size) in sizes.iter().cycle().take(100).enumerate() {
            let (line, payload) = sub.message();
            assert_eq!(line, format!("MSG foo 1 {size}"));
            let fill = b'a' + (n % 26) as u8;
            assert!(payload.len() == *size && payload.iter().all(|b| *b == fill), "message {n}");
        }
    });
}

#[test]
fn pong_comes_behind_the_deliveries_of_earlier_publications() {
    let server = Server::start("");
    let mut sub = server.client("");
    sub.send("SUB foo 1\r\n");
    sub.expect_nothing();
    let mut publisher = server.client("");
    for _ in 0..100 {
        publisher.send("PUB foo 2\r\nok\r\n");
        publisher.expect_nothing();
        // The publisher had its PONG: this PING is behind the message.
        sub.send("PING\r\n");
        sub.expect("MSG foo 1 2\r\nok\r\nPONG\r\n");
    }
}

/// PONG was written before the deliveries of the same read when another PING stood in front of them.
#[test]
fn pong_says_that_everything_before_it_can_be_read() {
    let server = Server::start("");
    const MESSAGE: &[u8] = b"MSG foo 1 2\r\nok\r\n";
    // As many destinations as are written to directly; more of them wait for their own thread.
    let mut subs: Vec<Wire> = (0..30).map(|_| server.client("")).collect();
    for sub in &mut subs {
        sub.send("SUB foo 1\r\n");
        sub.expect_nothing();
    }
    let mut publisher = server.client("");
    for round in 0..100 {
        publisher.send("PING\r\nPUB foo 2\r\nok\r\nPING\r\n");
        publisher.expect("PONG\r\nPONG\r\n");
        let late: Vec<usize> = (0..subs.len())
            .filter(|&at| {
                let stream = &subs[at].stream;
                stream.set_nonblocking(true).expect("a flag");
                let mut bytes = [0; MESSAGE.len()];
                let there = stream.peek(&mut bytes).is_ok_and(|n| bytes[..n] == *MESSAGE);
                stream.set_nonblocking(false).expect("a flag");
                !there
            })
            .collect();
        // Only the server's own PING may be in the way, which it sends once for the round-trip time:
        // while its owner writes that one, a connection takes messages behind it.
        for at in late {
            let mut first = [0; 1];
            subs[at].stream.peek(&mut first).expect("a byte");
            assert_eq!(&first, b"P", "a message cannot be read yet in round {round}");
        }
        for sub in &mut subs {
            sub.expect(MESSAGE);
        }
    }
}

#[test]
fn ok_comes_before_an_own_message() {
    let server = Server::start("");
    let mut client = server.connect();
    client.send("SUB foo 1\r\nPUB foo 2\r\nok\r\n");
    client.expect("+OK\r\n+OK\r\nMSG foo 1 2\r\nok\r\n");
}

#[test]
fn messages_and_bytes_are_counted() {
    let server = Server::start("http: \"127.0.0.1:-1\"");
    let mut sub = server.client("\"headers\":false");
    sub.send("SUB foo 1\r\nSUB foo 2\r\n");
    sub.expect_nothing();
    let mut publisher = server.client("\"headers\":true");
    publisher
        .send("PUB foo 5\r\nhello\r\nHPUB foo 12 14\r\nNATS/1.0\r\n\r\nok\r\nPUB x 3\r\nxxx\r\n");
    publisher.send("PUB _GR_.x 4\r\nxxxx\r\n");
    publisher.sync();
    sub.sync();
    // Received: without line ends, with headers, what is refused too. Delivered: what was sent,
    // which is without headers here.
    let v = server.wait_for_monitor("/varz", |v| v["in_msgs"] == 4 && v["out_msgs"] == 4);
    assert_eq!(v["in_bytes"], 5 + 14 + 3 + 4);
    assert_eq!(v["out_bytes"], 2 * (5 + 2));
}
