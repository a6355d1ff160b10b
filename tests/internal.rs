//! Parts of the server as subscribers and publishers, with a server of this process and sockets.

mod support;

use nats_server::account::Account;
use nats_server::config::Options;
use nats_server::config::claims::UnverifiedClaims;
use nats_server::config::environment::Environment;
use nats_server::config::validate::validate;
use nats_server::delivery::Kind;
use nats_server::internal::{self, Client, INBOX_HOLD_BYTES, Inbox, Mail, Outgoing, Wake};
use nats_server::logging::Logger;
use nats_server::server::Server;
use std::io;
use std::sync::Arc;
use support::{Wire, wait_until};

struct Configuration(String);

impl Environment for Configuration {
    fn read_file(&self, _: &str) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }

    fn variable(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn is_writable_directory(&self, _: &str) -> Option<bool> {
        None
    }

    fn create_directory(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A server, shut down when dropped.
struct Running(Arc<Server>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

impl Running {
    fn start(config: &str) -> Running {
        let mut options = Options { no_system_account: true, ..Options::default() };
        let file = Configuration(format!("listen: \"127.0.0.1:-1\"\n{config}\n"));
        options.load_file(&file, &UnverifiedClaims, "server.conf").expect("a configuration");
        options.set_baseline();
        validate(&mut options, &UnverifiedClaims).expect("a valid configuration");
        let server = Server::new(Arc::new(options), Arc::new(Logger::new())).expect("a server");
        server.start().expect("it starts");
        Running(server)
    }

    fn connect(&self, options: &str) -> Wire {
        let mut wire = Wire::open(self.0.address().expect("it listens"));
        wire.send(format!("CONNECT {{\"verbose\":false,{options}}}\r\n"));
        wire.sync();
        wire
    }

    fn account(&self, name: &str) -> Arc<Account> {
        self.0.account(name).expect("the account")
    }

    /// Starts a service that answers with what it was asked, behind what it knows of who asks.
    fn echo(&self, account: &Arc<Account>, subject: &str) {
        let inbox = Inbox::new();
        let client = Client::new(&self.0, Kind::System, account, &inbox);
        client.subscribe(subject.as_bytes(), None, 1).expect("subscribes");
        let run = move |mut context: internal::Context| {
            while context.wait(None) != Wake::Closed {
                while let Some(batch) = context.next_batch() {
                    for request in batch.iter() {
                        let info = request.request_info().unwrap_or_default();
                        let body = [info, request.body].concat();
                        let answer =
                            Outgoing { subject: request.reply, body: &body, ..Outgoing::default() };
                        context.publisher.publish(&client, &answer);
                    }
                    context.settle(batch);
                }
            }
        };
        internal::spawn(&self.0, "echo", inbox, run).expect("a thread");
    }
}

#[test]
fn an_internal_service_answers_requests_of_clients() {
    let server = Running::start("");
    server.echo(server.0.global_account(), "echo.*");
    let mut wire = server.connect(r#""headers":true,"no_responders":true"#);
    wire.send("SUB inbox 1\r\nPUB echo.a inbox 5\r\nhello\r\nPUB echo.b inbox 0\r\n\r\n");
    wire.expect("MSG inbox 1 5\r\nhello\r\nMSG inbox 1 0\r\n\r\n");
    wire.send("PUB echo inbox 1\r\nx\r\n");
    wire.expect("HMSG inbox 1 ");
}

#[test]
fn a_service_import_into_the_system_account_tells_who_asks() {
    let server = Running::start(
        "system_account: SYS, accounts { \
         SYS { exports = [ {service: \"$SYS.ECHO\"} ] }, \
         A { imports = [ {service: {account: SYS, subject: \"$SYS.ECHO\"}, to: ask} ], \
             users = [ {user: a, password: p} ] } }",
    );
    server.echo(&server.account("SYS"), "$SYS.ECHO");
    let mut wire = server.connect(r#""user":"a","pass":"p""#);
    wire.send("SUB inbox 1\r\nPUB ask inbox 2\r\nhi\r\n");
    let (_, answer) = wire.message();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let info = answer.strip_suffix("hi").expect("what was asked");
    let info: serde_json::Value = serde_json::from_str(info).expect("JSON");
    assert_eq!(info["acc"], "A");
}

#[test]
fn an_imported_stream_reaches_internal_subscribers() {
    let server = Running::start(
        "accounts { A { exports = [ {stream: \"news.>\"} ], users = [ {user: a, password: p} ] }, \
         B { imports = [ {stream: {account: A, subject: \"news.>\"}, prefix: a} ], \
             users = [ {user: b, password: p} ] } }",
    );
    let account = server.account("B");
    let inbox = Inbox::new();
    let client = Client::new(&server.0, Kind::JetStream, &account, &inbox);
    let before = server.account("A").sublist.count();
    let interest = client.subscribe(b"a.news.>", None, 1).expect("subscribes");
    let mut wire = server.connect(r#""user":"a","pass":"p""#);
    wire.send("PUB news.today 2\r\nhi\r\nPUB other 2\r\nno\r\n");
    wire.sync();
    let mut batches = std::collections::VecDeque::new();
    assert_eq!(inbox.receive(&mut batches, None), Wake::Messages);
    let subjects: Vec<_> = batches.iter().flat_map(|b| b.iter().map(|m| m.subject)).collect();
    assert_eq!(subjects, [b"a.news.today"]);
    client.unsubscribe(interest);
    assert_eq!(server.account("A").sublist.count(), before, "the shadow is gone as well");
}

#[test]
fn a_full_inbox_holds_its_publishers_and_loses_nothing() {
    const MESSAGES: usize = 60_000;
    const SIZE: usize = 1024;
    let server = Running::start("");
    let inbox = Inbox::new();
    let account = server.0.global_account();
    let client = Client::new(&server.0, Kind::JetStream, account, &inbox);
    client.subscribe(b"in", None, 1).expect("subscribes");
    let mail = Arc::new(Mail::new(inbox.clone()));
    let (started, total) = (mail.clone(), Arc::new(std::sync::Mutex::new((0, 0))));
    let counted = total.clone();
    let run = move |mut context: internal::Context| {
        // Takes nothing before it is told to.
        while started.take().is_empty() {
            std::thread::park();
        }
        while context.wait(None) != Wake::Closed {
            while let Some(batch) = context.next_batch() {
                let mut counted = counted.lock().expect("not poisoned");
                counted.1 = counted.1.max(context.inbox().pending_bytes());
                for message in batch.iter() {
                    let expected = counted.0.to_string();
                    assert!(message.body.starts_with(expected.as_bytes()), "in order");
                    counted.0 += 1;
                }
                drop(counted);
                context.settle(batch);
            }
        }
    };
    // The test's own thread handle, so that it can be unparked.
    let (send, receive) = std::sync::mpsc::channel();
    internal::spawn(&server.0, "slow", inbox.clone(), move |context| {
        send.send(std::thread::current()).expect("the test waits");
        run(context);
    })
    .expect("a thread");
    let slow = receive.recv().expect("it runs");
    let mut wire = server.connect("\"name\":\"publisher\"");
    let publisher = std::thread::spawn(move || {
        for n in 0..MESSAGES {
            let mut body = format!("{n} ");
            body.extend(std::iter::repeat_n('x', SIZE - body.len()));
            wire.send(format!("PUB in {SIZE}\r\n{body}\r\n"));
        }
        wire.sync();
    });
    wait_until("the inbox is full", || (inbox.pending_bytes() > INBOX_HOLD_BYTES).then_some(()));
    // Another connection is not held: it has nothing to do with it.
    server.connect("\"name\":\"bystander\"").sync();
    assert!(mail.send(()).is_ok());
    slow.unpark();
    publisher.join().expect("everything is published");
    wait_until("everything arrived", || {
        (total.lock().expect("not poisoned").0 == MESSAGES).then_some(())
    });
    let most = total.lock().expect("not poisoned").1;
    assert!(most < 2 * INBOX_HOLD_BYTES, "{most} bytes pending");
}

#[test]
fn traced_requests_leave_no_response_expected() {
    let server = Running::start(
        "system_account: SYS, accounts { SYS {}, \
         A { exports = [ {service: bar, allow_trace: true} ], \
         users = [ {user: a, password: p} ] }, \
         D { imports = [ {service: {account: A, subject: bar}} ], \
         users = [ {user: d, password: p} ] } }",
    );
    let mut service = server.connect(r#""user":"a","pass":"p""#);
    service.answer_pings();
    service.send("SUB bar 1\r\n");
    service.sync();
    let mut asks = server.connect(r#""user":"d","pass":"p","headers":true"#);
    asks.answer_pings();
    asks.send("SUB trace.to 1\r\nSUB inbox 2\r\n");
    for only in ["Nats-Trace-Only: true\r\n", ""] {
        let header = format!("NATS/1.0\r\nNats-Trace-Dest: trace.to\r\n{only}\r\n");
        asks.send(format!("HPUB bar inbox {} {}\r\n{header}?\r\n", header.len(), header.len() + 1));
        let (line, trace) = asks.message();
        assert!(line.starts_with("MSG trace.to 1 "), "{line}");
        let trace: serde_json::Value = serde_json::from_slice(&trace).expect("a trace");
        let kinds = trace["events"].as_array().expect("events").iter().map(|e| &e["type"]);
        assert_eq!(kinds.collect::<Vec<_>>(), ["in", "si", "eg"]);
        if only.is_empty() {
            let (line, _) = service.message();
            let reply = line.split(' ').nth(3).expect("a reply").to_owned();
            service.send(format!("PUB {reply} 2\r\nok\r\n"));
            assert_eq!(asks.message().0, "MSG inbox 2 2");
        }
        service.sync();
        for account in server.0.accounts() {
            let empty = account.existing_responses().is_none_or(|responses| responses.is_empty());
            assert!(empty, "{}", account.name);
        }
    }
}

#[test]
fn statistics_count_slow_and_stale_connections_by_kind() {
    use std::sync::atomic::Ordering;
    let server = Running::start(
        "system_account: SYS, accounts { SYS { users = [ {user: s, password: p} ] } }",
    );
    let mut wire = server.connect(r#""user":"s","pass":"p""#);
    wire.answer_pings();
    wire.send("SUB inbox 1\r\n");
    let id = wire.info["server_id"].as_str().expect("an id").to_owned();
    let subjects = [
        "$SYS.REQ.SERVER.PING".to_owned(),
        "$SYS.REQ.SERVER.PING.STATSZ".to_owned(),
        format!("$SYS.REQ.SERVER.{id}.STATSZ"),
    ];
    let mut ask = |subject: &str| {
        wire.send(format!("PUB {subject} inbox 0\r\n\r\n"));
        let answer: serde_json::Value = serde_json::from_slice(&wire.message().1).expect("JSON");
        answer["statsz"].clone()
    };
    let keys = ["slow_consumer_stats", "stale_connection_stats"];
    for subject in &subjects {
        let stats = ask(subject);
        assert!(keys.iter().all(|key| stats.get(key).is_none()), "{stats}");
    }
    let stats = &server.0.stats;
    for counters in [&stats.slow_consumers, &stats.stale_connections] {
        let all = [&counters.clients, &counters.routes, &counters.gateways, &counters.leafs];
        for (counter, value) in all.into_iter().zip(1..) {
            counter.store(value, Ordering::Relaxed);
        }
    }
    let expected = serde_json::json!({"clients": 1, "routes": 2, "gateways": 3, "leafs": 4});
    for subject in &subjects {
        let stats = ask(subject);
        assert!(keys.iter().all(|key| stats[key] == expected), "{stats}");
        assert_eq!(
            (&stats["stale_connections"], &stats["slow_consumers"]),
            (&10.into(), &10.into())
        );
    }
}
