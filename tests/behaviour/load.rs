//! Much at once: nothing is lost, and memory stays within its bounds.

use crate::support::{Server, Wire};

const MIB: u64 = 1024 * 1024;

#[test]
fn many_publishers_and_subscribers_lose_nothing() {
    let server = Server::start("");
    let (publishers, subscribers, each) = (8, 8, 2000);
    let mut subs: Vec<Wire> = (0..subscribers).map(|_| server.client("")).collect();
    for sub in &mut subs {
        sub.send("SUB load.* 1\r\n");
        sub.expect_nothing();
    }
    let senders: Vec<Wire> = (0..publishers).map(|_| server.client("")).collect();
    std::thread::scope(|scope| {
        for (p, mut sender) in senders.into_iter().enumerate() {
            scope.spawn(move || {
                for chunk in (0..each).collect::<Vec<_>>().chunks(50) {
                    let script: String =
                        chunk.iter().map(|n| format!("PUB load.{p} 6\r\n{n:06}\r\n")).collect();
                    sender.send(script);
                }
                sender.expect_nothing();
            });
        }
        for mut sub in subs {
            scope.spawn(move || {
                // Of each publisher, all in order.
                let mut next = vec![0; publishers];
                for _ in 0..publishers * each {
                    let (line, payload) = sub.message();
                    let p: usize = line[9..].split(' ').next().unwrap().parse().unwrap();
                    assert_eq!(payload, format!("{:06}", next[p]).as_bytes());
                    next[p] += 1;
                }
                sub.expect_nothing();
            });
        }
    });
}

#[test]
fn requests_and_replies_cross_many_connections() {
    let server = Server::start("");
    let mut services: Vec<Wire> = (0..4).map(|_| server.client("")).collect();
    for service in &mut services {
        service.send("SUB service q 1\r\n");
        service.expect_nothing();
    }
    std::thread::scope(|scope| {
        let sockets: Vec<_> = services.iter().map(|s| s.stream.try_clone().unwrap()).collect();
        for mut service in services {
            scope.spawn(move || {
                while let Some(line) = service.try_line() {
                    let reply = line.split(' ').nth(3).expect("a reply").to_owned();
                    let payload = service.bytes(6);
                    service.send(format!("PUB {reply} 4\r\n"));
                    service.send(payload);
                }
            });
        }
        let requesters: Vec<_> = (0..8)
            .map(|r| {
                let mut client = server.client("");
                scope.spawn(move || {
                    client.send(format!("SUB inbox.{r}.* 1\r\n"));
                    for n in 0..200 {
                        client.send(format!("PUB service inbox.{r}.{n} 4\r\n{n:04}\r\n"));
                        client.expect(format!("MSG inbox.{r}.{n} 1 4\r\n{n:04}\r\n"));
                    }
                })
            })
            .collect();
        for requester in requesters {
            requester.join().unwrap();
        }
        for socket in sockets {
            socket.shutdown(std::net::Shutdown::Both).unwrap();
        }
    });
}

#[test]
fn a_publisher_that_is_faster_than_its_readers_fills_no_memory() {
    let server = Server::start("");
    let before = server.resident_bytes();
    let mut sub = server.client("");
    sub.send("SUB foo 1\r\n");
    sub.expect_nothing();
    let mut publisher = server.client("");
    let block = "PUB foo 1000\r\n".to_owned() + &"x".repeat(1000) + "\r\n";
    let script = block.repeat(200);
    let rounds = 300;
    let peak = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut peak = 0;
            for n in 0..rounds {
                publisher.send(&script);
                if n % 20 == 0 {
                    peak = peak.max(server.resident_bytes());
                }
            }
            publisher.expect_nothing();
            peak
        });
        let one = "MSG foo 1 1000\r\n".to_owned() + &"x".repeat(1000) + "\r\n";
        let mut left = rounds * 200;
        while left > 0 {
            assert_eq!(sub.bytes(one.len()), one.as_bytes());
            left -= 1;
        }
        writer.join().unwrap()
    });
    // The limit of pending bytes is 64 MiB; a reader that reads stays far below.
    assert!(peak < before + 48 * MIB, "{}", peak - before);
}

#[test]
fn many_subscriptions_come_and_go() {
    let server = Server::start("http: \"127.0.0.1:-1\"\nno_system_account: true");
    let mut client = server.client("");
    let total = 20_000;
    let mut script = String::new();
    for n in 0..total {
        script += &format!("SUB a.{}.b.{n} {n}\r\n", n % 100);
    }
    std::thread::scope(|scope| {
        let mut copy = Wire::over(client.stream.try_clone().unwrap());
        scope.spawn(move || copy.send(script));
    });
    client.expect_nothing();
    assert_eq!(server.monitor("/subsz")["num_subscriptions"], total);
    for n in [0, 1, 99, 12_345, total - 1] {
        client.send(format!("PUB a.{}.b.{n} 2\r\nok\r\n", n % 100));
        client.expect(format!("MSG a.{}.b.{n} {n} 2\r\nok\r\n", n % 100));
    }
    let unsub: String = (0..total).map(|n| format!("UNSUB {n}\r\n")).collect();
    client.send(unsub);
    client.expect_nothing();
    assert_eq!(server.monitor("/subsz")["num_subscriptions"], 0);
}
