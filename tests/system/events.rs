//! What is published.

use crate::support::{Server, Wire, wait_until};
use crate::{ACCOUNTS, event, id, user};
use serde_json::json;

fn listener(server: &Server, subject: &str) -> Wire {
    let mut wire = server.client(&user("sys"));
    wire.send(format!("SUB {subject} 1\r\n"));
    wire.expect_nothing();
    wire
}

#[test]
fn clients_that_come_and_go_are_told_of() {
    let server = Server::start(ACCOUNTS);
    let mut events = listener(&server, "$SYS.ACCOUNT.A.*");
    let id = id(&server);
    let mut client =
        server.client(&format!("{},\"name\":\"n\",\"lang\":\"l\",\"version\":\"v\"", user("a")));
    let (subject, connect) = event(&mut events);
    assert_eq!(subject, "$SYS.ACCOUNT.A.CONNECT");
    assert_eq!(connect["type"], "io.nats.server.advisory.v1.client_connect");
    assert_eq!(connect["id"].as_str().map(str::len), Some(22));
    assert_eq!(connect["server"]["id"], id);
    let shown = &connect["client"];
    let cid = client.info["client_id"].clone();
    let expected = json!({
        "start": shown["start"], "host": "127.0.0.1", "id": cid, "acc": "A", "user": "a",
        "name": "n", "lang": "l", "ver": "v", "name_tag": "A", "kind": "Client",
        "client_type": "nats",
    });
    assert_eq!(*shown, expected);
    client.send("SUB foo 1\r\nPUB foo 3\r\nabc\r\n");
    client.message();
    client.expect_nothing();
    drop(client);
    let (subject, gone) = event(&mut events);
    assert_eq!(subject, "$SYS.ACCOUNT.A.DISCONNECT");
    assert_eq!(gone["type"], "io.nats.server.advisory.v1.client_disconnect");
    assert_eq!(gone["sent"], json!({"msgs": 1, "bytes": 3}));
    assert_eq!(gone["received"], json!({"msgs": 1, "bytes": 3}));
    assert_eq!(gone["reason"], "Client Closed");
    assert_eq!(gone["client"]["id"], cid);
    assert!(gone["client"]["rtt"].as_u64().is_some_and(|rtt| rtt > 0));
    assert!(gone["client"]["stop"].is_string());
    let seq = |event: &serde_json::Value| event["server"]["seq"].as_u64().unwrap();
    assert!(seq(&gone) > seq(&connect));
}

#[test]
fn clients_that_are_refused_are_told_of() {
    let server = Server::start(ACCOUNTS);
    let id = id(&server);
    let mut errors = listener(&server, "$SYS.SERVER.*.CLIENT.AUTH.ERR");
    let mut global = listener(&server, "$SYS.ACCOUNT.$G.DISCONNECT");
    let mut wrong = server.connect();
    wrong.send("CONNECT {\"user\":\"a\",\"pass\":\"wrong\",\"name\":\"w\"}\r\n");
    let (subject, error) = event(&mut errors);
    assert_eq!(subject, format!("$SYS.SERVER.{id}.CLIENT.AUTH.ERR"));
    assert_eq!(error["type"], "io.nats.server.advisory.v1.client_disconnect");
    assert_eq!(error["reason"], "Authentication Failure");
    assert_eq!(error["client"]["user"], "a");
    assert_eq!(error["client"]["acc"], "$G");
    assert_eq!(error["client"]["name"], "w");
    // A connection is in the global account until it is let in; others ended there too.
    loop {
        let (_, gone) = event(&mut global);
        if gone["client"]["name"] == "w" {
            break assert_eq!(gone["reason"], "Authentication Failure");
        }
    }
}

#[test]
fn the_number_of_an_accounts_connections_is_told_on_two_subjects() {
    let server = Server::start(ACCOUNTS);
    let mut events = listener(&server, "$SYS.ACCOUNT.A.SERVER.CONNS");
    let mut old = listener(&server, "$SYS.SERVER.ACCOUNT.A.CONNS");
    let one = server.client(&user("a"));
    let two = server.client(&user("a"));
    for expected in [1, 2] {
        for wire in [&mut events, &mut old] {
            let (_, stat) = event(wire);
            assert_eq!(stat["type"], "io.nats.server.advisory.v1.account_connections");
            assert_eq!((&stat["acc"], &stat["name"]), (&json!("A"), &json!("A")));
            assert_eq!(
                (&stat["conns"], &stat["total_conns"]),
                (&json!(expected), &json!(expected))
            );
            assert_eq!(stat["leafnodes"], 0);
        }
    }
    drop((one, two));
    // The count is the one at the time it is told, so the same may be told twice.
    let count = |wire: &mut Wire| event(wire).1["conns"].as_u64().unwrap();
    let counts = [count(&mut events), count(&mut events)];
    assert!(counts[0] <= 1 && counts[1] == 0, "{counts:?}");
}

#[test]
fn statistics_are_sent_soon_after_the_start_and_when_asked_for() {
    let server = Server::start(ACCOUNTS);
    let mut events = listener(&server, "$SYS.SERVER.*.STATSZ");
    let (subject, first) = event(&mut events);
    assert_eq!(subject, format!("$SYS.SERVER.{}.STATSZ", first["server"]["id"].as_str().unwrap()));
    assert_eq!(first["statsz"]["connections"], 1);
    assert!(first["statsz"]["mem"].as_u64().is_some_and(|mem| mem > 0));
    // Without a reply subject the answer goes to everybody, however short ago the last one was.
    let before = first["server"]["seq"].as_u64().unwrap();
    events.send("PUB $SYS.REQ.SERVER.PING 0\r\n\r\n");
    let (_, asked) = event(&mut events);
    assert!(asked["server"]["seq"].as_u64().is_some_and(|seq| seq > before));
}

#[test]
fn tags_that_change_are_sent_with_the_statistics() {
    let server = Server::start(ACCOUNTS);
    let mut events = listener(&server, "$SYS.SERVER.*.STATSZ");
    event(&mut events);
    assert_eq!(server.reload(&format!("{ACCOUNTS}\nserver_tags: [\"new\"]")), Ok(()));
    loop {
        let (_, stats) = event(&mut events);
        if stats["server"]["tags"] == json!(["new"]) {
            break;
        }
    }
}

#[test]
fn a_reload_tells_of_connected_clients_again() {
    let server = Server::start(ACCOUNTS);
    let mut client = server.client(&user("a"));
    let mut events = listener(&server, "$SYS.ACCOUNT.A.CONNECT");
    assert_eq!(server.reload(ACCOUNTS), Ok(()));
    assert_eq!(event(&mut events).1["client"]["id"], client.info["client_id"]);
    client.expect_nothing();
}

#[test]
fn the_shutdown_is_the_last_thing_that_is_told() {
    let mut server = Server::start(ACCOUNTS);
    let mut events = listener(&server, "$SYS.SERVER.*.SHUTDOWN");
    let mut connections = listener(&server, "$SYS.ACCOUNT.>");
    let _client = server.client(&user("a"));
    server.signal("INT");
    let (_, info) = event(&mut events);
    assert_eq!(info["id"], events.info["server_id"]);
    assert!(info["seq"].is_u64() && info["time"].is_string());
    server.wait_for_exit();
    let mut told = String::new();
    while let Some(line) = connections.try_line() {
        told.push_str(&line);
    }
    assert!(!told.contains(".DISCONNECT"), "{told}");
}

#[test]
fn lame_duck_mode_is_told_before_clients_are() {
    let server = Server::start(ACCOUNTS);
    let mut events = listener(&server, "$SYS.SERVER.*.LAMEDUCK");
    server.signal("USR2");
    // The client itself is told too.
    let line = loop {
        let line = events.line();
        if line.starts_with("MSG ") {
            break line;
        }
        assert!(line.starts_with("INFO "), "{line}");
    };
    assert!(line.contains(".LAMEDUCK 1 "), "{line}");
}

#[test]
fn without_a_system_account_nothing_is_served() {
    let server = Server::start("no_system_account: true");
    let mut client = server.client("\"headers\":true,\"no_responders\":true");
    client.send("SUB in 1\r\nPUB $SYS.REQ.SERVER.PING in 0\r\n\r\n");
    assert!(client.line().starts_with("HMSG in 1 "), "no responders");
}

#[test]
fn clients_without_credentials_come_and_go_in_the_global_account() {
    let server = Server::start("accounts { $SYS { users: [{user: sys, password: x}] } }");
    let mut came = listener(&server, "$SYS.ACCOUNT.$G.CONNECT");
    let mut went = listener(&server, "$SYS.ACCOUNT.$G.DISCONNECT");
    let client = server.client("\"name\":\"nobody\"");
    assert_eq!(event(&mut came).1["client"]["id"], client.info["client_id"]);
    drop(client);
    let (subject, gone) = event(&mut went);
    assert_eq!(subject, "$SYS.ACCOUNT.$G.DISCONNECT");
    assert_eq!(gone["client"]["name"], "nobody");
}

#[test]
fn a_queue_group_hears_of_everything_once() {
    let server = Server::start(ACCOUNTS);
    let mut group: Vec<Wire> = (0..2)
        .map(|_| {
            let mut wire = server.client(&user("sys"));
            wire.send("SUB $SYS.SERVER.*.CLIENT.AUTH.ERR group 1\r\n");
            wire.expect_nothing();
            wire
        })
        .collect();
    let mut everything = listener(&server, "$SYS.SERVER.*.CLIENT.AUTH.ERR");
    let times = 10;
    for _ in 0..times {
        let mut wrong = server.connect();
        wrong.send("CONNECT {\"name\":\"w\"}\r\n");
        assert_eq!(event(&mut everything).1["reason"], "Authentication Failure");
    }
    let mut heard = 0;
    let mut hear = || {
        for wire in &mut group {
            heard += wire.sync().iter().filter(|line| line.starts_with("MSG ")).count();
        }
        (heard >= times).then_some(heard)
    };
    assert_eq!(wait_until("all of them", &mut hear), times);
}

#[test]
fn events_come_once_after_a_reload_that_removed_an_account() {
    let gone = |name: &str| format!("{name} {{ users: [{{user: {name}, password: x}}] }}");
    let accounts = |more: &str| {
        format!(
            "system_account: S\naccounts {{
                S {{ users: [{{user: sys, password: x}}] }}, {}\n{more}\n}}",
            gone("A").replace("user: A", "user: a")
        )
    };
    let server = Server::start(&accounts(&gone("B")));
    let mut listeners = vec![listener(&server, "$SYS.ACCOUNT.A.*")];
    let comes_and_goes = |listeners: &mut [Wire], name: &str| {
        drop(server.client(&format!("{},\"name\":\"{name}\"", user("a"))));
        for wire in listeners {
            for kind in ["CONNECT", "DISCONNECT"] {
                let (subject, told) = event(wire);
                assert_eq!(subject, format!("$SYS.ACCOUNT.A.{kind}"));
                assert_eq!(told["client"]["name"], name);
            }
            wire.expect_nothing();
        }
    };
    comes_and_goes(&mut listeners, "before one");
    comes_and_goes(&mut listeners, "before two");
    assert_eq!(server.reload(&accounts("")), Ok(()));
    listeners.push(listener(&server, "$SYS.ACCOUNT.A.*"));
    comes_and_goes(&mut listeners, "after one");
    comes_and_goes(&mut listeners, "after two");
}
