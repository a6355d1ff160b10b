//! Accounts, what they share, and their limits.

use crate::support::{Server, Wire};
use crate::{closed, refused};

fn user(name: &str) -> String {
    format!("\"user\":\"{name}\",\"pass\":\"x\"")
}

fn subscribed(server: &Server, name: &str, subjects: &[&str]) -> Wire {
    let mut wire = server.client(&user(name));
    for (sid, subject) in subjects.iter().enumerate() {
        wire.send(format!("SUB {subject} {}\r\n", sid + 1));
    }
    wire.expect_nothing();
    wire
}

#[test]
fn users_that_moved_are_closed_and_accounts_that_stay_are_not_disturbed() {
    let server = Server::start(
        "accounts { A { users: [{user: a, password: x}, {user: m, password: x}] }
         B { users: [{user: b, password: x}] } }",
    );
    let (mut a, mut b) = (subscribed(&server, "a", &["foo"]), subscribed(&server, "b", &["foo"]));
    let mut moved = server.client(&user("m"));
    let config = "accounts { A { users: [{user: a, password: x}] }
         B { users: [{user: b, password: x}, {user: m, password: x}] }, C {} }";
    assert_eq!(server.reload(config), Ok(()));
    closed(&mut moved);
    let mut moved = server.client(&user("m"));
    moved.send("PUB foo 1\r\nm\r\n");
    assert_eq!(b.message().1, b"m");
    a.expect_nothing();
    a.send("PUB foo 1\r\na\r\n");
    assert_eq!(a.message().1, b"a");
    b.expect_nothing();
}

#[test]
fn connections_of_an_account_that_is_gone_are_closed() {
    let server = Server::start(
        "http: \"127.0.0.1:-1\"\naccounts { A { users: [{user: a, password: x}] }
         B { users: [{user: b, password: x}] } }",
    );
    let (mut a, mut b) = (server.client(&user("a")), server.client(&user("b")));
    let config = "http: \"127.0.0.1:-1\"\naccounts { A { users: [{user: a, password: x}] } }";
    assert_eq!(server.reload(config), Ok(()));
    closed(&mut b);
    a.expect_nothing();
    let names = server.monitor("/accountz")["accounts"].clone();
    assert_eq!(names, serde_json::json!(["$G", "$SYS", "A"]));
}

#[test]
fn a_system_account_alone_keeps_clients_without_credentials() {
    let config = "accounts { $SYS { users: [{user: system, password: x}] } }";
    let server = Server::start(config);
    let mut client = server.client("");
    assert_eq!(server.reload(config), Ok(()));
    client.expect_nothing();
}

#[test]
fn the_system_account_cannot_become_another() {
    let server = Server::start("accounts { S { users: [{user: s, password: x}] } }");
    let refusal =
        server.reload("system_account: S\naccounts { S { users: [{user: s, password: x}] } }");
    let text = "config reload not supported for SystemAccount: old=, new=S";
    assert_eq!(refusal, Err(text.to_owned()));
}

#[test]
fn mappings_change_for_connected_clients() {
    let config = |mappings: &str| {
        format!("accounts {{ A {{ users: [{{user: a, password: x}}], {mappings} }} }}")
    };
    let server = Server::start(&config("mappings: { foo: bar }"));
    let mut client = subscribed(&server, "a", &["foo", "bar", "baz"]);
    let mut publish = |to: &str| {
        client.send("PUB foo 1\r\nx\r\n");
        assert_eq!(client.message().0, to);
        client.expect_nothing();
    };
    publish("MSG bar 2 1");
    assert_eq!(server.reload(&config("mappings: { foo: baz }")), Ok(()));
    publish("MSG baz 3 1");
    assert_eq!(server.reload(&config("")), Ok(()));
    publish("MSG foo 1 1");
    assert_eq!(server.reload(&config("mappings: { foo: bar }")), Ok(()));
    publish("MSG bar 2 1");
}

#[test]
fn mappings_of_the_global_account_change_too() {
    let server = Server::start("mappings: { foo: bar }");
    let mut client = server.client("");
    client.send("SUB > 1\r\nPUB foo 1\r\nx\r\n");
    assert_eq!(client.message().0, "MSG bar 1 1");
    assert_eq!(server.reload(""), Ok(()));
    client.send("PUB foo 1\r\nx\r\n");
    assert_eq!(client.message().0, "MSG foo 1 1");
    assert_eq!(server.reload("mappings: { foo: baz }"), Ok(()));
    client.send("PUB foo 1\r\nx\r\n");
    assert_eq!(client.message().0, "MSG baz 1 1");
}

#[test]
fn streams_are_imported_and_no_longer_by_subscriptions_that_are_there() {
    let config = |import: &str| {
        format!(
            "accounts {{
                A {{ users: [{{user: a, password: x}}], exports: [{{stream: \"pub.>\"}}, {{stream: \"more\"}}] }}
                B {{ users: [{{user: b, password: x}}], {import} }} }}"
        )
    };
    let all = "imports: [{stream: {account: A, subject: \"pub.>\"}}]";
    let server = Server::start(&config(""));
    let mut b = subscribed(&server, "b", &["pub.*", "more"]);
    let mut a = server.client(&user("a"));
    let mut publish = |subject: &str, b: &mut Wire, expected: &[&str]| {
        a.send(format!("PUB {subject} 1\r\nx\r\n"));
        a.expect_nothing();
        let lines: Vec<String> = b.sync().into_iter().filter(|l| l.starts_with("MSG")).collect();
        assert_eq!(lines, expected);
    };
    publish("pub.one", &mut b, &[]);
    assert_eq!(server.reload(&config(all)), Ok(()));
    publish("pub.one", &mut b, &["MSG pub.one 1 1"]);
    let other = "imports: [{stream: {account: A, subject: \"more\"}}]";
    assert_eq!(server.reload(&config(other)), Ok(()));
    publish("pub.one", &mut b, &[]);
    publish("more", &mut b, &["MSG more 2 1"]);
    assert_eq!(server.reload(&config(all)), Ok(()));
    publish("pub.one", &mut b, &["MSG pub.one 1 1"]);
    publish("more", &mut b, &[]);
}

#[test]
fn an_imported_stream_follows_its_prefix_and_what_the_user_may_subscribe_to() {
    let config = |export: &str, deny: &str, import: &str, prefix: &str| {
        format!(
            "no_system_account: true\nhttp: \"127.0.0.1:-1\"\naccounts {{
                A {{ users: [{{user: a, password: x}}],
                     exports: [{{stream: \"private.>\", accounts: [B]}}, {{stream: {export:?}}}] }}
                B {{ users: [{{user: b, password: x, permissions: {{subscribe: {{deny: {deny}}}}}}}],
                     imports: [{{stream: {{account: A, subject: {import:?}}}}}
                               {{stream: {{account: A, subject: \"private.b.*\"}}, prefix: {prefix}}}]
                }} }}"
        )
    };
    let server = Server::start(&config("foo.*", "none", "foo.*", "one"));
    let mut b =
        subscribed(&server, "b", &["foo.bar", "foo.baz", "foo.bat", "one.private.b.*", "own"]);
    let mut a = subscribed(&server, "a", &["own"]);
    let subjects = ["foo.bar", "foo.baz", "foo.bat", "private.b.foo"];
    let mut deliveries = |b: &mut Wire| {
        for subject in subjects {
            a.send(format!("PUB {subject} 1\r\nx\r\n"));
        }
        a.expect_nothing();
        let lines = b.sync();
        for wire in [&mut a, &mut *b] {
            wire.send("PUB own 1\r\nx\r\n");
            assert!(wire.message().0.starts_with("MSG own "));
        }
        lines
            .iter()
            .filter_map(|l| l.strip_prefix("MSG ")?.split(' ').next().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    // How many subscriptions of account A would get a message: those of the imports.
    let imported = || {
        subjects.map(|s| server.monitor(&format!("/subsz?subs=1&acc=A&test={s}"))["total"].as_u64())
    };
    assert_eq!(deliveries(&mut b), ["foo.bar", "foo.baz", "foo.bat", "one.private.b.foo"]);
    assert_eq!(imported(), [Some(1); 4]);
    assert_eq!(server.reload(&config("foo.*", "foo.bat", "foo.baz", "two")), Ok(()));
    b.expect_error("Permissions Violation for Subscription to \"foo.bat\" (sid \"3\")");
    assert_eq!(deliveries(&mut b), ["foo.baz"]);
    assert_eq!(imported(), [Some(0), Some(1), Some(0), Some(0)]);
    assert_eq!(server.reload(&config("other", "foo.bat", "other", "one")), Ok(()));
    assert_eq!(deliveries(&mut b), ["one.private.b.foo"]);
    assert_eq!(imported(), [Some(0), Some(0), Some(0), Some(1)]);
}

#[test]
fn services_are_imported_and_no_longer() {
    let config = |exports: &str, imports: &str| {
        format!(
            "accounts {{
                A {{ users: [{{user: a, password: x}}], exports: [{exports}] }}
                B {{ users: [{{user: b, password: x}}], imports: [{imports}] }} }}"
        )
    };
    let (export, import) =
        ("{service: \"req.>\"}", "{service: {account: A, subject: \"req.one\"}, to: \"ask\"}");
    let server = Server::start(&config(export, import));
    let mut service = subscribed(&server, "a", &["req.*"]);
    let mut b = subscribed(&server, "b", &["answer"]);
    let ask = |b: &mut Wire| {
        b.send("PUB ask answer 1\r\n?\r\n");
        b.expect_nothing();
    };
    ask(&mut b);
    let (line, _) = service.message();
    let reply = line.split(' ').nth(3).unwrap().to_owned();
    service.send(format!("PUB {reply} 1\r\n!\r\n"));
    assert_eq!(b.message().1, b"!");
    assert_eq!(server.reload(&config(export, "")), Ok(()));
    ask(&mut b);
    service.expect_nothing();
    assert_eq!(server.reload(&config(export, import)), Ok(()));
    ask(&mut b);
    assert!(service.message().0.starts_with("MSG req.one 1 "));
    // Importing what is not exported is an error of the file, and nothing changes.
    assert!(server.reload(&config("", import)).is_err());
    ask(&mut b);
    assert!(service.message().0.starts_with("MSG req.one 1 "));
}

#[test]
fn limits_of_an_account_change_for_its_connections() {
    let config = |limit: &str| {
        format!("accounts {{ A {{ users: [{{user: a, password: x}}], limits: {{ {limit} }} }} }}")
    };
    let server = Server::start(&config("max_conn: 2"));
    let (mut one, mut two) = (server.client(&user("a")), server.client(&user("a")));
    let mut third = server.connect();
    let connect = format!("CONNECT {{\"verbose\":false,{}}}\r\nPING\r\n", user("a"));
    third.send(&connect);
    third.expect_error("maximum account active connections exceeded");
    assert_eq!(server.reload(&config("max_conn: 3, max_payload: 2")), Ok(()));
    server.client(&user("a")).expect_nothing();
    one.send("PUB foo 3\r\nxyz\r\n");
    one.expect_error("Maximum Payload Violation");
    two.expect_nothing();
    let mut wrong = server.connect();
    wrong.send("CONNECT {\"verbose\":false}\r\nPING\r\n");
    refused(&mut wrong);
}

#[test]
fn requests_to_another_account_are_all_answered_through_reloads() {
    let server = Server::start(
        "accounts {
            A { users: [{user: a, password: x}], exports: [{service: HELP}] }
            B { users: [{user: b, password: x}], imports: [{service: {account: A, subject: HELP}}] }
            $SYS { users: [{user: admin, password: s}] } }",
    );
    let mut service = subscribed(&server, "a", &["HELP"]);
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut client = subscribed(&server, "b", &["answers"]);
    let (requests, answers) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Some(line) = service.try_line() {
                let Some(reply) = line.strip_prefix("MSG HELP 1 ") else { continue };
                let reply = reply.split(' ').next().unwrap_or_default();
                if !service.try_send(format!("PUB {reply} 2\r\nOK\r\n")) {
                    break;
                }
            }
        });
        let asking = scope.spawn(|| {
            let (mut requests, mut answers) = (0, 0);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                client.send("PUB HELP answers 4\r\nHELP\r\n");
                requests += 1;
                answers += usize::from(client.message().1 == b"OK");
            }
            (requests, answers)
        });
        for _ in 0..30 {
            assert_eq!(server.reload_file(), Ok(()));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let counted = asking.join().expect("it asks");
        server.signal("TERM");
        counted
    });
    assert!(requests > 0);
    assert_eq!(answers, requests);
}
