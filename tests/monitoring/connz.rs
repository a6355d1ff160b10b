//! `/connz`.

use crate::{Monitored, numbers, start, start_with, strings, wait_until};
use nats_server::closed::ClosedState;
use nats_server::monitor::connz::{ConnzOptions, State, connz};
use serde_json::{Value, json};
use std::time::Duration;

fn document(m: &Monitored, options: &ConnzOptions) -> Result<Value, String> {
    connz(&m.server, options).map(|c| serde_json::to_value(c).expect("plain data"))
}

fn names(m: &Monitored, path: &str) -> Vec<String> {
    let names = m.json(path)["connections"].clone();
    strings(&names, "name").into_iter().map(str::to_owned).collect()
}

#[test]
fn no_connections_are_an_empty_list() {
    let m = start();
    let c = m.json("/connz");
    assert_eq!(c["server_id"], m.server.info().server_id);
    for (field, value) in [("num_connections", 0), ("total", 0), ("offset", 0), ("limit", 1024)] {
        assert_eq!(c[field], value, "{field}");
    }
    assert_eq!(c["connections"], json!([]));
}

#[test]
fn connections_show_traffic_address_and_times() {
    let m = start();
    let wire = m.busy_client("app");
    let c = m.json("/connz");
    assert_eq!((c["num_connections"].as_i64(), c["total"].as_i64()), (Some(1), Some(1)));
    let info = &c["connections"][0];
    assert_eq!(info["cid"], wire.info["client_id"]);
    assert_eq!(info["kind"], "Client");
    assert_eq!(info["type"], "nats");
    assert_eq!(info["ip"], "127.0.0.1");
    assert_eq!(info["port"], wire.stream.local_addr().expect("address").port());
    for (field, value) in [("in_msgs", 1), ("out_msgs", 1), ("in_bytes", 5), ("out_bytes", 5)] {
        assert_eq!(info[field], value, "{field}");
    }
    assert_eq!(info["subscriptions"], 1);
    assert!(info["last_activity"].as_str() > info["start"].as_str());
    assert!(info["uptime"].as_str().is_some_and(|s| s.ends_with('s')));
    assert!(info["idle"].as_str().is_some_and(|s| s.ends_with('s')));
    let rtt = info["rtt"].as_str().expect("a round-trip time");
    assert!(rtt != "0s" && rtt.ends_with('s'), "{rtt}");
    // The last PONG may still be on its way.
    wait_until("nothing is pending", || {
        (m.json("/connz")["connections"][0]["pending_bytes"] == 0).then_some(())
    });
    for absent in ["stop", "reason", "stalls", "subscriptions_list", "authorized_user", "account"] {
        assert!(info.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn names_languages_and_versions_are_shown() {
    let m = start();
    let _wire = m.client(r#""name":"test-client <1>","lang":"rust","version":"1.2.3""#);
    let answer = m.get("/connz");
    assert!(answer.body.contains(r#""name": "test-client \u003c1\u003e""#), "{}", answer.body);
    assert!(answer.body.contains(r#""lang": "rust""#));
    assert!(answer.body.contains(r#""version": "1.2.3""#));
}

#[test]
fn a_connection_that_says_nothing_has_no_names() {
    let m = start();
    let _wire = m.connect();
    let info = &m.json("/connz")["connections"][0];
    assert_eq!(info["rtt"], "0s");
    for absent in ["name", "lang", "version"] {
        assert!(info.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn bad_parameters_get_bad_request() {
    let m = start();
    let boolean = |name: &str| {
        format!(
            "Error decoding boolean for '{name}': strconv.ParseBool: parsing \"xxx\": invalid syntax"
        )
    };
    let int = |name: &str| {
        format!("Error decoding int for '{name}': strconv.Atoi: parsing \"xxx\": invalid syntax")
    };
    m.expect_bad_request("/connz?auth=xxx", &boolean("auth"));
    m.expect_bad_request("/connz?subs=xxx", &boolean("subs"));
    m.expect_bad_request("/connz?offset=xxx", &int("offset"));
    m.expect_bad_request("/connz?limit=xxx", &int("limit"));
    m.expect_bad_request(
        "/connz?cid=-1",
        "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax",
    );
    m.expect_bad_request("/connz?state=xxx", "Error decoding state for xxx");
    m.expect_bad_request("/connz?sort=foo", "invalid sorting option: foo");
}

#[test]
fn sorting_by_stop_or_reason_needs_closed_connections() {
    let m = start();
    for state in ["open", "all"] {
        let stop = format!("/connz?sort=stop&state={state}");
        m.expect_bad_request(&stop, "sort by stop only valid on closed connections");
        let reason = format!("/connz?sort=reason&state={state}");
        m.expect_bad_request(&reason, "sort by reason only valid on closed connections");
    }
}

#[test]
fn subscriptions_are_listed_when_asked_for() {
    let m = start();
    let mut wire = m.client("");
    wire.send("SUB hello.foo 7\r\nSUB hello.bar q 8\r\nUNSUB 8 5\r\nPUB hello.bar 2\r\nhi\r\n");
    wire.sync();
    let info = m.json("/connz?subs=1")["connections"][0].clone();
    assert_eq!(info["subscriptions_list"], json!(["hello.foo", "hello.bar"]));
    assert!(info.get("subscriptions_list_detail").is_none());
    let cid = wire.info["client_id"].clone();
    let info = m.json("/connz?subs=DETAIL")["connections"][0].clone();
    assert_eq!(
        info["subscriptions_list_detail"],
        json!([
            {"subject": "hello.foo", "sid": "7", "msgs": 0, "cid": cid},
            {"subject": "hello.bar", "qgroup": "q", "sid": "8", "msgs": 1, "max": 5, "cid": cid},
        ])
    );
    assert!(info.get("subscriptions_list").is_none());
}

#[test]
fn closed_connections_keep_their_subscriptions() {
    let m = start();
    let mut wire = m.client("");
    wire.send("SUB hello.foo 1\r\n");
    wire.sync();
    drop(wire);
    m.wait_for_closed(1);
    let detail = m.json("/connz?state=closed&subs=detail")["connections"][0].clone();
    let sub = &detail["subscriptions_list_detail"][0];
    assert_eq!((&sub["subject"], &sub["sid"]), (&json!("hello.foo"), &json!("1")));
    assert_eq!((&sub["account"], &sub["account_tag"]), (&json!("$G"), &json!("$G")));
    let list = m.json("/connz?state=closed&subs=1")["connections"][0].clone();
    assert_eq!(list["subscriptions_list"], json!(["hello.foo"]));
    // Asking for them leaves no trace in what is kept.
    let plain = m.json("/connz?state=closed")["connections"][0].clone();
    assert_eq!(plain["subscriptions"], 1);
    for absent in ["subscriptions_list", "subscriptions_list_detail"] {
        assert!(plain.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn a_connection_is_found_by_its_id() {
    let m = start();
    let mut wires: Vec<_> = (0..10).map(|_| m.client("")).collect();
    let fifth = &mut wires[4];
    fifth.send("SUB hello.foo 1\r\nSUB hello.bar 2\r\n");
    fifth.sync();
    let cid = fifth.info["client_id"].as_i64().expect("an id");
    let c = m.json(&format!("/connz?cid={cid}&user=nobody&limit=7"));
    assert_eq!((&c["num_connections"], &c["total"]), (&json!(1), &json!(10)));
    assert_eq!(c["limit"], 1, "it is a page of one");
    assert_eq!(numbers(&c["connections"], "cid"), [cid]);
    assert_eq!(numbers(&c["connections"], "subscriptions"), [2]);
    let miss = m.json("/connz?cid=100000");
    assert_eq!((&miss["num_connections"], &miss["connections"]), (&json!(0), &json!([])));
}

#[test]
fn last_activity_follows_interest_messages_and_deliveries_but_not_pings() {
    let m = start();
    let mut foo = m.client(r#""name":"foo""#);
    let mut bar = m.client(r#""name":"bar""#);
    let last = |name: &str| {
        let all = m.json("/connz")["connections"].clone();
        let info = all.as_array().and_then(|a| a.iter().find(|c| c["name"] == name)).cloned();
        info.and_then(|i| i["last_activity"].as_str().map(str::to_owned)).expect("a time")
    };
    let (foo_at, bar_at) = (last("foo"), last("bar"));
    assert!(foo_at < bar_at, "foo came first");
    foo.sync();
    assert_eq!(last("foo"), foo_at, "a PING is no activity");
    foo.send("SUB hello.world 1\r\n");
    foo.sync();
    let subscribed = last("foo");
    assert!(subscribed > foo_at, "SUB is activity");
    bar.send("PUB hello.world 5\r\nHello\r\n");
    bar.sync();
    foo.message();
    assert!(last("bar") > bar_at, "PUB is activity");
    let delivered = last("foo");
    assert!(delivered > subscribed, "a delivery is activity");
    foo.send("UNSUB 1\r\n");
    foo.sync();
    assert!(last("foo") > delivered, "UNSUB is activity");
}

#[test]
fn pages_have_offset_and_limit() {
    let m = start();
    let c = m.json("/connz?offset=1&limit=1");
    assert_eq!(c["connections"], json!([]));
    let c = m.json("/connz?offset=-1&limit=-1");
    assert_eq!((&c["offset"], &c["limit"]), (&json!(0), &json!(1024)));
    assert_eq!(c["connections"], json!([]));
    let wires = [m.client(r#""name":"one""#), m.client(r#""name":"two""#)];
    let c = m.json("/connz?offset=1&limit=1");
    assert_eq!((&c["offset"], &c["limit"]), (&json!(1), &json!(1)));
    assert_eq!((&c["num_connections"], &c["total"]), (&json!(1), &json!(2)));
    assert_eq!(strings(&c["connections"], "name"), ["two"]);
    let c = m.json("/connz?offset=2&limit=1");
    assert_eq!((&c["num_connections"], &c["total"]), (&json!(0), &json!(2)));
    let max = i64::MAX;
    for path in [format!("/connz?offset={max}&limit=1"), format!("/connz?offset={max}&limit={max}")]
    {
        assert_eq!(m.json(&path)["connections"], json!([]), "{path}");
    }
    drop(wires);
}

#[test]
fn connections_are_in_the_order_asked_for() {
    let m = start();
    let mut a = m.client(r#""name":"a""#);
    let mut b = m.client(r#""name":"b""#);
    let mut c = m.client(r#""name":"c""#);
    // a: 1 subscription; b: 3, receives 2 messages of 9 bytes; c: 2, receives 1 of 20 bytes.
    a.send("SUB none.1 1\r\n");
    b.send("SUB to.b 1\r\nSUB none.2 2\r\nSUB none.3 3\r\n");
    c.send("SUB to.c 1\r\nSUB none.4 2\r\n");
    for wire in [&mut a, &mut b, &mut c] {
        wire.sync();
    }
    a.send("PUB to.b 4\r\nabcd\r\nPUB to.b 5\r\nabcde\r\nPUB none 1\r\nx\r\n");
    a.sync();
    b.message();
    b.message();
    b.send("PUB to.c 20\r\n01234567890123456789\r\n");
    b.sync();
    c.message();
    let order = |sort: &str| names(&m, &format!("/connz?sort={sort}")).concat();
    let table = [
        ("cid", "abc"),
        ("start", "abc"),
        ("", "abc"),
        ("subs", "bca"),
        ("msgs_to", "bca"),
        ("msgs_from", "abc"),
        ("bytes_to", "cba"),
        ("bytes_from", "bac"),
        ("pending", "abc"),
        ("uptime", "cba"),
        // c was delivered to when b published; a published before that.
        ("idle", "abc"),
    ];
    for (sort, expected) in table {
        assert_eq!(order(sort), expected, "{sort:?}");
    }
    let times = m.json("/connz?sort=last")["connections"].clone();
    let times = strings(&times, "last_activity");
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
}

#[test]
fn round_trips_are_sorted_longest_first() {
    let m = start();
    let _wires: Vec<_> = (0..10).map(|_| m.client("")).collect();
    let c = m.json("/connz?sort=rtt");
    assert_eq!(c["num_connections"], 10);
    let nanos = |text: &str| {
        let (number, scale) = [("µs", 1e3), ("ms", 1e6), ("ns", 1.0), ("s", 1e9)]
            .into_iter()
            .find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))
            .expect("a duration");
        number.parse::<f64>().expect("a number") * scale
    };
    let rtts: Vec<f64> = strings(&c["connections"], "rtt").into_iter().map(nanos).collect();
    assert!(rtts.iter().all(|rtt| *rtt > 0.0), "{rtts:?}");
    assert!(rtts.is_sorted_by(|a, b| a >= b), "{rtts:?}");
}

#[test]
fn round_trips_are_measured_with_pings() {
    let m = start_with(|o| o.ping_interval = Duration::from_millis(20));
    let mut wire = m.client("");
    let rtt = || m.json("/connz")["connections"][0]["rtt"].clone();
    let at_connect = rtt();
    wait_until("a PING is answered and measured", || {
        assert_eq!(wire.line(), "PING");
        wire.send("PONG\r\n");
        wire.sync();
        (rtt() != at_connect).then_some(())
    });
}

#[test]
fn connections_with_the_most_pending_come_first() {
    let m = start();
    let _first = m.client(r#""name":"first""#);
    let mut slow = m.client(r#""name":"slow""#);
    slow.send("SUB big 1\r\n");
    slow.sync();
    let mut publisher = m.client(r#""name":"publisher""#);
    let payload = "x".repeat(512 * 1024);
    // Socket buffers take some of it and may go on taking for a while; the rest is pending until
    // somebody reads it.
    wait_until("the slow connection has the most pending", || {
        publisher.send(format!("PUB big {}\r\n{payload}\r\n", payload.len()));
        publisher.sync();
        let c = m.json("/connz?sort=pending")["connections"].clone();
        let pending = numbers(&c, "pending_bytes");
        assert!(pending.is_sorted_by(|a, b| a >= b), "{pending:?}");
        (strings(&c, "name")[0] == "slow" && pending[0] > 0).then_some(())
    });
}

#[test]
fn closed_connections_can_be_asked_for_in_two_ways_at_once() {
    let m = start();
    for _ in 0..20 {
        let mut wire = m.client("");
        wire.send("SUB foo 1\r\n");
        wire.sync();
    }
    m.wait_for_closed(20);
    std::thread::scope(|scope| {
        for (query, listed) in [("state=closed", false), ("state=closed&subs=true", true)] {
            let m = &m;
            scope.spawn(move || {
                for _ in 0..50 {
                    let c = m.json(&format!("/connz?{query}"))["connections"].clone();
                    let c = c.as_array().expect("a list");
                    assert_eq!(c.len(), 20);
                    assert!(c.iter().all(|c| c.get("subscriptions_list").is_some() == listed));
                }
            });
        }
    });
}

#[test]
fn open_and_closed_connections_are_told_apart() {
    let m = start();
    let mut open = Vec::new();
    let mut first_closed = None;
    for n in 0..5 {
        let mut gone = m.client("");
        gone.send("SUB hello.closed 1\r\n");
        gone.sync();
        first_closed.get_or_insert(gone.info["client_id"].clone());
        drop(gone);
        m.wait_for_closed(n + 1);
        open.push(m.client(""));
    }
    let (closed_cid, open_cid) = (first_closed.unwrap(), open[0].info["client_id"].clone());
    let count = |query: &str| {
        let c = m.json(&format!("/connz?{query}"));
        (c["num_connections"].as_i64(), c["total"].as_i64())
    };
    let some = |n: i64, total: i64| (Some(n), Some(total));
    assert_eq!(count("state=open"), some(5, 5));
    assert_eq!(count("state=closed"), some(5, 5));
    assert_eq!(count("state=ALL"), some(10, 10));
    assert_eq!(count("state=any&limit=7"), some(7, 10));
    // The first connection is closed, the second open.
    assert_eq!(count(&format!("cid={closed_cid}&state=open")), some(0, 5));
    assert_eq!(count(&format!("cid={closed_cid}&state=closed")), some(1, 5));
    assert_eq!(count(&format!("cid={closed_cid}&state=ALL")), some(1, 10));
    assert_eq!(count(&format!("cid={open_cid}&state=open")), some(1, 5));
    assert_eq!(count(&format!("cid={open_cid}&state=all")), some(1, 10));
    assert_eq!(count(&format!("cid={open_cid}&state=closed")), some(0, 5));
    let closed = m.json("/connz?state=closed&sort=stop")["connections"].clone();
    assert!(strings(&closed, "stop").is_sorted_by(|a, b| a >= b), "last closed first");
    assert_eq!(strings(&closed, "reason"), ["Client Closed"; 5]);
    let first = m.json(&format!("/connz?cid={closed_cid}&state=closed&subs=true"))["connections"]
        [0]
    .clone();
    assert_eq!(
        (&first["subscriptions"], &first["subscriptions_list"]),
        (&json!(1), &json!(["hello.closed"]))
    );
    let plain = m.json(&format!("/connz?cid={closed_cid}&state=closed&subs=false"))["connections"]
        [0]
    .clone();
    assert_eq!((&plain["subscriptions"], plain.get("subscriptions_list")), (&json!(1), None));
}

#[test]
fn closed_connections_are_sorted_by_reason_and_by_lifetime() {
    let m = start();
    let old = m.client(r#""name":"old""#);
    let mut bad = m.client(r#""name":"bad""#);
    bad.send("NONSENSE\r\n");
    while bad.try_line().is_some() {}
    m.wait_for_closed(1);
    let kicked = m.client(r#""name":"kicked""#);
    let client =
        m.server.client(kicked.info["client_id"].as_u64().expect("an id")).expect("connected");
    m.server.close_client(&client, ClosedState::Kicked);
    m.wait_for_closed(2);
    drop(old);
    m.wait_for_closed(3);
    drop(kicked);
    let by_reason = m.json("/connz?state=closed&sort=reason")["connections"].clone();
    assert_eq!(strings(&by_reason, "reason"), ["Client Closed", "Kicked", "Protocol Violation"]);
    assert_eq!(strings(&by_reason, "name"), ["old", "kicked", "bad"]);
    // The oldest connection lived through all of the others.
    let by_uptime = names(&m, "/connz?state=closed&sort=uptime");
    assert_eq!(by_uptime.last().map(String::as_str), Some("old"));
    let by_stop = names(&m, "/connz?state=closed&sort=stop");
    assert_eq!(by_stop, ["old", "kicked", "bad"]);
}

#[test]
fn a_connection_closed_at_once_has_sane_times() {
    let m = start();
    drop(m.connect());
    m.wait_for_closed(1);
    let info = m.json("/connz?state=closed")["connections"][0].clone();
    assert!(info["stop"].as_str() >= info["start"].as_str());
    assert_eq!(info["last_activity"], info["start"]);
    assert_eq!((&info["idle"], &info["uptime"]), (&json!("0s"), &json!("0s")));
}

#[test]
fn the_ring_of_closed_connections_forgets_the_oldest() {
    let m = start_with(|o| o.max_closed_clients = 2);
    for n in 0..3 {
        drop(m.client(&format!("\"name\":\"{n}\"")));
        wait_until("it is closed", || (m.server.client_count() == 0).then_some(()));
    }
    m.wait_for_closed(2);
    assert_eq!(names(&m, "/connz?state=closed"), ["1", "2"]);
}

#[test]
fn users_are_shown_with_auth_only_and_tokens_never() {
    let m = start_with(|o| {
        o.username = "user".into();
        o.password = "pwd".into();
    });
    let wire = m.client(r#""user":"user","pass":"pwd""#);
    assert!(m.json("/connz")["connections"][0].get("authorized_user").is_none());
    let info = m.json("/connz?auth=true")["connections"][0].clone();
    assert_eq!((&info["authorized_user"], &info["name_tag"]), (&json!("user"), &json!("$G")));
    assert!(info.get("account").is_none(), "the global account has no name here");
    assert_eq!(m.json("/connz?user=user")["num_connections"], 1);
    assert_eq!(m.json("/connz?user=other")["num_connections"], 0);
    assert_eq!(m.json("/connz?mqtt_client=other")["num_connections"], 0);
    drop(wire);
    // What failed to authenticate is remembered under the name it gave.
    let mut bad = m.connect();
    bad.send("CONNECT {\"user\":\"mallory\",\"pass\":\"x\",\"name\":\"m\"}\r\n");
    while bad.try_line().is_some() {}
    m.wait_for_closed(2);
    let info = m.json("/connz?state=closed&user=mallory&auth=1")["connections"][0].clone();
    assert_eq!((&info["authorized_user"], &info["name"]), (&json!("mallory"), &json!("m")));
    assert_eq!(info["reason"], "Authentication Failure");

    let m = start_with(|o| o.authorization = "sometoken".into());
    let _wire = m.client(r#""auth_token":"sometoken""#);
    let answer = m.get("/connz?auth=1");
    assert!(answer.body.contains(r#""authorized_user": "[REDACTED]""#), "{}", answer.body);
    assert!(!answer.body.contains("sometoken"));
}

#[test]
fn jwts_are_ignored_without_operators() {
    let m = start();
    let wire = m.client(r#""jwt":"e30.e30.c2ln","auth_token":"t""#);
    let info = m.json("/connz?auth=1")["connections"][0].clone();
    assert_eq!((info.get("jwt"), &info["authorized_user"]), (None, &json!("[REDACTED]")));
    drop(wire);
    m.wait_for_closed(1);
    assert_eq!(m.json("/connz?state=closed&auth=1")["connections"][0].get("jwt"), None);
}

#[test]
fn connections_are_filtered_by_account() {
    let m = start();
    let _wire = m.client("");
    drop(m.client(""));
    m.wait_for_closed(1);
    assert_eq!(m.json("/connz?acc=$G")["num_connections"], 1);
    assert_eq!(m.json("/connz?acc=$G")["total"], 1);
    assert_eq!(m.json("/connz?acc=$SYS")["total"], 0);
    // Closed connections of the global account are kept without its name.
    let closed = m.json("/connz?acc=$G&state=closed");
    assert_eq!((&closed["total"], &closed["connections"]), (&json!(0), &json!([])));
    let unknown = m.json("/connz?acc=nope");
    assert_eq!((&unknown["server_id"], &unknown["total"]), (&json!(""), &json!(0)));
    assert_eq!(unknown["connections"], Value::Null);
}

#[test]
fn the_subject_filter_needs_an_account_and_finds_overlapping_interest() {
    let m = start();
    let mut a = m.client(r#""name":"a""#);
    let mut b = m.client(r#""name":"b""#);
    a.send("SUB foo.* 1\r\n");
    b.send("SUB bar.> 1\r\nSUB other 2\r\n");
    a.sync();
    b.sync();
    let by = |account: &str, filter: &str| {
        let options = ConnzOptions {
            account: account.into(),
            filter_subject: filter.into(),
            ..ConnzOptions::default()
        };
        let names = document(&m, &options)?["connections"].clone();
        Ok::<_, String>(strings(&names, "name").concat())
    };
    let refusal = "filter by subject only valid with account filtering";
    assert_eq!(by("", "foo.bar"), Err(refusal.to_owned()));
    let table =
        [("foo.bar", "a"), ("*.x", "ab"), ("bar", ""), ("bar.x.y", "b"), (">", "ab"), ("", "ab")];
    for (filter, expected) in table {
        assert_eq!(by("$G", filter).as_deref(), Ok(expected), "{filter}");
    }
    assert_eq!(by("", ">").as_deref(), Ok("ab"));
    let closed = ConnzOptions { state: State::Closed, ..ConnzOptions::default() };
    assert_eq!(document(&m, &closed).map(|c| c["total"].clone()), Ok(json!(0)));
}
