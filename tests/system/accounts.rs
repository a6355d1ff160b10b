//! What is answered about accounts, and what accounts may ask.

use crate::support::Server;
use crate::{ACCOUNTS, Asker, user};
use serde_json::json;

#[test]
fn accounts_are_described_to_the_system_account() {
    let server = Server::start(ACCOUNTS);
    let mut asker = Asker::new(&server, "sys");
    let mut client = server.client(&user("a"));
    client.send("SUB foo 1\r\n");
    client.expect_nothing();
    let of = |what: &str| format!("$SYS.REQ.ACCOUNT.A.{what}");
    let info = asker.ask(&of("INFO"), "")["data"].clone();
    assert_eq!(info["account_name"], "A");
    assert_eq!((&info["client_connections"], &info["complete"]), (&json!(1), &json!(true)));
    // One of the client, four of what every account has of the system account.
    assert_eq!(info["subscriptions"], 5);
    assert_eq!(info["imports"].as_array().map(Vec::len), Some(4));
    let subsz = asker.ask(&of("SUBSZ"), "")["data"].clone();
    assert_eq!(subsz["total"], 5);
    let connz = asker.ask(&of("CONNZ"), r#"{"acc":"other"}"#)["data"].clone();
    assert_eq!(
        (&connz["total"], &connz["connections"][0]["cid"]),
        (&json!(1), &client.info["client_id"])
    );
    assert_eq!(asker.ask(&of("LEAFZ"), "")["data"]["leafs"], json!([]));
    let jsz = asker.ask(&of("JSZ"), "");
    assert_eq!(jsz["error"], json!({"code": 500, "description": "jetstream not enabled"}));
    let statz = asker.ask(&of("STATZ"), "")["data"].clone();
    assert_eq!(statz["account_statz"][0]["conns"], 1);
    let conns = asker.answer(&of("CONNS"), "");
    conns.has_in_order(&[
        "type",
        "id",
        "timestamp",
        "server",
        "acc",
        "name",
        "conns",
        "total_conns",
    ]);
    assert_eq!(conns.json()["acc"], "A");
    asker.is_ignored(&of("CONNS"), r#"{"acc":"B"}"#);
    server.wait_for_log("SYSTEM - Error unmarshalled account does not match subject");
}

#[test]
fn accounts_without_connections_are_described_on_request_only() {
    let server = Server::start(ACCOUNTS);
    let mut asker = Asker::new(&server, "sys");
    let statz = "$SYS.REQ.ACCOUNT.A.STATZ";
    asker.is_ignored(statz, "");
    asker.is_ignored("$SYS.REQ.ACCOUNT.A.CONNS", "");
    let unused = asker.ask(statz, r#"{"include_unused":true}"#);
    assert_eq!(unused["data"]["account_statz"][0]["acc"], "A");
    let ping = "$SYS.REQ.ACCOUNT.PING.STATZ";
    let names = |answer: serde_json::Value| {
        let all = answer["data"]["account_statz"].as_array().unwrap().clone();
        all.iter().map(|a| a["acc"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(asker.ask(ping, "")), ["$SYS"]);
    assert_eq!(names(asker.ask(ping, r#"{"include_unused":true}"#)), ["$G", "$SYS", "A"]);
    assert_eq!(names(asker.ask(ping, r#"{"accounts":["$SYS","A"]}"#)), ["$SYS"]);
    asker.is_ignored(ping, r#"{"accounts":["NO"]}"#);
}

#[test]
fn unknown_accounts_are_described_as_the_reference_does() {
    let server = Server::start(ACCOUNTS);
    let mut asker = Asker::new(&server, "sys");
    let of = |what: &str| format!("$SYS.REQ.ACCOUNT.NO.{what}");
    let connz = asker.ask(&of("CONNZ"), "")["data"].clone();
    assert_eq!(connz["server_id"], "");
    assert!(connz["connections"].is_null());
    assert_eq!(asker.ask(&of("SUBSZ"), "")["data"]["num_subscriptions"], 0);
    let info = asker.ask(&of("INFO"), "");
    assert_eq!(info["error"], json!({"code": 500, "description": "Account NO does not exist"}));
    asker.is_ignored(&of("STATZ"), "");
}

#[test]
fn an_account_sees_its_own_connections_and_nothing_else() {
    let server = Server::start(ACCOUNTS);
    let mut asker = Asker::new(&server, "a");
    let _other = server.client(&user("sys"));
    for subject in ["$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"] {
        let connz = asker.ask(subject, r#"{"acc":"$SYS","auth":true}"#)["data"].clone();
        assert_eq!(connz["total"], 1, "{subject}");
        assert_eq!(connz["connections"][0]["account"], "A");
    }
    let statz = asker.ask("$SYS.REQ.ACCOUNT.PING.STATZ", "")["data"].clone();
    assert_eq!(statz["account_statz"][0]["acc"], "A");
    for subject in ["$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.A.INFO"]
    {
        let answer = asker.answer(subject, "");
        assert!(answer.header.starts_with(b"NATS/1.0 503"), "{subject}");
    }
}

#[test]
fn an_account_is_shown_with_what_it_shares_and_maps() {
    let server = Server::start(
        "http: \"127.0.0.1:-1\"
        accounts {
            A { users: [{user: a, password: x}],
                exports: [{stream: \"pub.>\"}, {stream: \"private\", accounts: [B]},
                    {service: \"svc\", response_type: stream}],
                mappings: { foo: bar, \"one.*\": [{destination: \"two.$1\", weight: 20%}] } },
            B { users: [{user: b, password: x}],
                imports: [{stream: {account: A, subject: \"pub.>\"}, prefix: p},
                    {service: {account: A, subject: svc}, to: ask}] }
        }",
    );
    let a = server.monitor("/accountz?acc=A")["account_detail"].clone();
    let export = |subject: &str| {
        let all = a["exports"].as_array().unwrap();
        all.iter().find(|e| e["subject"] == subject).unwrap().clone()
    };
    assert_eq!(export("pub.>"), json!({"subject": "pub.>", "type": "stream"}));
    assert_eq!(
        export("private"),
        json!({"subject": "private", "type": "stream", "approved_accounts": ["B"]})
    );
    assert_eq!(
        export("svc"),
        json!({
            "subject": "svc", "type": "service", "response_type": "Streamed",
        })
    );
    assert_eq!(
        a["mappings"],
        json!({
            "foo": [{"subject": "bar", "weight": 100}],
            "one.*": [{"subject": "two.$1", "weight": 20}, {"subject": "one.$1", "weight": 100}],
        })
    );
    let b = server.monitor("/accountz?acc=B")["account_detail"].clone();
    let import = |subject: &str| {
        let all = b["imports"].as_array().unwrap();
        all.iter().find(|e| e["subject"] == subject).unwrap().clone()
    };
    assert_eq!(
        import("pub.>"),
        json!({
            "subject": "pub.>", "account": "A", "local_subject": "p.pub.>", "type": "stream",
            "invalid": false, "share": false, "tracking": false,
        })
    );
    assert_eq!(
        import("svc"),
        json!({
            "subject": "svc", "account": "A", "to": "ask", "local_subject": "ask",
            "type": "service", "invalid": false, "share": false, "tracking": false,
        })
    );
}

#[test]
fn subscriptions_of_an_account_are_paged_and_tested() {
    let server = Server::start(ACCOUNTS);
    let mut client = server.client(&user("a"));
    for n in 0..100 {
        client.send(format!("SUB foo.{n} {n}\r\n"));
    }
    client.expect_nothing();
    let mut asker = Asker::new(&server, "sys");
    let subsz = "$SYS.REQ.ACCOUNT.A.SUBSZ";
    let page = asker.ask(subsz, r#"{"subscriptions":true,"limit":10}"#)["data"].clone();
    assert_eq!(page["subscriptions_list"].as_array().map(Vec::len), Some(10));
    assert_eq!(page["total"], 104, "its own and four imports");
    for n in 0..10 {
        client.send(format!("SUB bar.* b{n}\r\n"));
    }
    client.expect_nothing();
    let body = r#"{"subscriptions":true,"limit":5,"test":"bar.A"}"#;
    let tested = asker.ask(subsz, body)["data"].clone();
    assert_eq!(tested["subscriptions_list"].as_array().map(Vec::len), Some(5));
    assert_eq!(tested["total"], 10);
}

#[test]
fn without_credentials_means_the_global_account_where_only_the_system_account_has_users() {
    let server = Server::start("accounts { $SYS { users: [{user: admin, password: pwd}] } }");
    for (members, account) in [
        (r#""user":"admin","pass":"pwd""#, Some("$SYS")),
        (r#""user":"admin","pass":"wrong""#, None),
        (r#""auth_token":"sometoken""#, None),
        (r#""auth_token":"admin""#, None),
        (r#""user":"admin","pass":"""#, None),
        (r#""name":"nobody""#, Some("$G")),
    ] {
        let mut wire = server.connect();
        wire.send(format!("CONNECT {{\"verbose\":false,\"protocol\":1,{members}}}\r\nPING\r\n"));
        match account {
            Some(account) => {
                assert_eq!(wire.line(), "PONG", "{members}");
                assert_eq!(wire.next_info()["remote_account"], account, "{members}");
            }
            None => wire.expect_error("Authorization Violation"),
        }
    }
}

#[test]
fn a_reload_leaves_what_the_server_serves_as_it_is() {
    let server = Server::start(
        "http: \"127.0.0.1:-1\"\nsystem_account: sys\naccounts {
            A { users: [{user: a, password: x}] }, B { users: [{user: b, password: x}] }
            C { users: [{user: c, password: x}] }, sys { users: [{user: s, password: x}] }
        }",
    );
    let mut asker = Asker::new(&server, "a");
    for _ in 0..3 {
        for subject in ["$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"] {
            assert_eq!(asker.ask(subject, "")["data"]["num_connections"], 1, "{subject}");
        }
        let statz = asker.ask("$SYS.REQ.ACCOUNT.PING.STATZ", "");
        assert_eq!(statz["data"]["account_statz"][0]["conns"], 1);
        let before = server.monitor("/varz")["subscriptions"].clone();
        assert_eq!(server.reload_file(), Ok(()));
        assert_eq!(server.monitor("/varz")["subscriptions"], before);
    }
}

#[test]
fn the_default_system_account_outlasts_a_reload() {
    let config = "http: \"127.0.0.1:-1\"\naccounts { A { users: [{user: a, password: x}] } }";
    let server = Server::start(config);
    let of_system = || {
        let detail = server.monitor("/accountz?acc=$SYS")["account_detail"].clone();
        assert_eq!(detail["is_system"], true);
        detail["subscriptions"].as_u64().expect("a number")
    };
    let before = of_system();
    assert!(before > 20);
    assert_eq!(server.reload_file(), Ok(()));
    assert_eq!(of_system(), before);
    assert_eq!(server.monitor("/accountz")["accounts"], serde_json::json!(["$G", "$SYS", "A"]));
}
