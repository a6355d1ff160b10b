//! Accounts: isolation, limits, the system account (spec 03 §2.3, §13 and §14).

use crate::support::{Server, wait_until};
use crate::{accepted, login, refused};

const TWO: &str = "accounts { A { users = [ {user: a, password: p} ] }, \
                   B { users = [ {user: b, password: p} ] } }";

const A: &str = r#""user":"a","pass":"p""#;
const B: &str = r#""user":"b","pass":"p""#;

#[test]
fn accounts_are_isolated() {
    let server = Server::start(TWO);
    let (mut a1, mut a2) = (accepted(&server, A), accepted(&server, A));
    let mut b = accepted(&server, B);
    a1.send("SUB > 1\r\n");
    a1.expect_nothing();
    b.send("SUB > 1\r\n");
    b.expect_nothing();
    a2.send("PUB foo 1\r\na\r\n");
    a2.expect_nothing();
    a1.expect("MSG foo 1 1\r\na\r\n");
    b.expect_nothing();
    b.send("PUB bar 1\r\nb\r\n");
    b.expect("MSG bar 1 1\r\nb\r\n");
    a1.expect_nothing();
}

#[test]
fn queue_groups_of_one_name_are_one_per_account() {
    let server = Server::start(TWO);
    let (mut a, mut b) = (accepted(&server, A), accepted(&server, B));
    a.send("SUB foo q 1\r\n");
    a.expect_nothing();
    b.send("SUB foo q 1\r\nPUB foo 0\r\n\r\n");
    b.expect("MSG foo 1 0\r\n\r\n");
    a.expect_nothing();
}

#[test]
fn connect_info_tells_the_account() {
    let server = Server::start(&format!("{TWO}\nsystem_account: B"));
    for (members, account, system) in [(A, "A", false), (B, "B", true)] {
        let wire = accepted(&server, &format!("{members},\"protocol\":1"));
        assert_eq!(wire.info["remote_account"], account);
        assert_eq!(wire.info.get("acc_is_sys").is_some(), system);
    }
}

#[test]
fn connections_of_an_account_are_limited() {
    let server = Server::start(
        "accounts { A { limits { max_connections: 2 }, users = [ {user: a, password: p} ] }, \
         B { users = [ {user: b, password: p} ] } }",
    );
    let first = accepted(&server, A);
    let _second = accepted(&server, A);
    let mut third = login(&server, A);
    third.expect_error("maximum account active connections exceeded");
    third.expect_close();
    accepted(&server, B);
    // A place that becomes free can be taken.
    drop(first);
    wait_until("a place becomes free", || {
        let mut wire = login(&server, A);
        (wire.line() == "PONG").then_some(())
    });
}

#[test]
fn payloads_of_an_account_are_limited() {
    let server = Server::start(
        "max_payload: 1000\naccounts { \
         A { limits { max_payload: 8 }, users = [ {user: a, password: p} ] }, \
         B { limits { max_payload: 5000 }, users = [ {user: b, password: p} ] } }",
    );
    let mut a = accepted(&server, &format!("{A},\"protocol\":1"));
    assert_eq!(a.info["max_payload"], 8);
    a.send("PUB foo 8\r\n12345678\r\n");
    a.expect_nothing();
    a.send("PUB foo 9\r\n123456789\r\n");
    a.expect_error("Maximum Payload Violation");
    a.expect_close();
    let b = accepted(&server, &format!("{B},\"protocol\":1"));
    assert_eq!(b.info["max_payload"], 1000);
}

#[test]
fn subscriptions_of_a_connection_are_limited() {
    let server = Server::start(
        "accounts { A { limits { max_subscriptions: 2 }, users = [ {user: a, password: p} ] }, \
         B { limits { max_subscriptions: 0 }, users = [ {user: b, password: p} ] } }",
    );
    for _ in 0..2 {
        let mut a = accepted(&server, A);
        a.send("SUB x 1\r\nSUB y 2\r\nSUB z 3\r\n");
        assert_eq!(a.sync(), ["-ERR 'maximum subscriptions exceeded'"]);
    }
    // Where none is allowed the connection is of no use.
    let mut b = server.connect();
    b.send(format!("CONNECT {{\"verbose\":false,{B}}}\r\n"));
    b.expect_error("maximum subscriptions exceeded");
    b.expect_close();
}

#[test]
fn default_permissions_of_an_account_apply_to_its_users() {
    let server = Server::start(
        "accounts { A { default_permissions { publish: {deny: foo} }, \
         users = [ {user: a, password: p} ] }, B { users = [ {user: b, password: p} ] } }",
    );
    let mut a = accepted(&server, A);
    a.send("PUB foo 0\r\n\r\n");
    assert_eq!(a.sync(), ["-ERR 'Permissions Violation for Publish to \"foo\"'"]);
    let mut b = accepted(&server, B);
    b.send("PUB foo 0\r\n\r\n");
    b.expect_nothing();
}

#[test]
fn users_of_the_authorization_block_are_in_the_global_account() {
    let server = Server::start(
        "authorization { users = [ {user: g, password: p} ] }\n\
         accounts { A { users = [ {user: a, password: p} ] } }",
    );
    let g = accepted(&server, r#""user":"g","pass":"p","protocol":1"#);
    assert_eq!(g.info["remote_account"], "$G");
    let a = accepted(&server, &format!("{A},\"protocol\":1"));
    assert_eq!(a.info["remote_account"], "A");
}

#[test]
fn clients_need_no_credentials_beside_a_lone_system_account() {
    let server = Server::start("accounts { $SYS { users = [ {user: sys, password: p} ] } }");
    assert_eq!(server.connect().info["auth_required"], true);
    let client = accepted(&server, "\"protocol\":1");
    assert_eq!(client.info["remote_account"], "$G");
    let sys = accepted(&server, r#""user":"sys","pass":"p","protocol":1"#);
    assert_eq!(sys.info["remote_account"], "$SYS");
    assert_eq!(sys.info["acc_is_sys"], true);
}

#[test]
fn users_beside_a_system_account_need_their_credentials() {
    let server = Server::start(
        "authorization { users = [ {user: u, password: p} ] }\n\
         accounts { $SYS { users = [ {user: admin, password: q} ] } }",
    );
    accepted(&server, r#""user":"u","pass":"p""#);
    refused(&server, "");
}

#[test]
fn monitoring_tells_accounts_apart() {
    let server = Server::start(&format!("http: \"127.0.0.1:-1\"\nno_system_account: true\n{TWO}"));
    let (mut a, mut b) = (accepted(&server, A), accepted(&server, B));
    for wire in [&mut a, &mut b] {
        wire.send("SUB foo.* 1\r\nSUB foo.bar 2\r\nSUB foo.foo 3\r\n");
        wire.expect_nothing();
    }
    let all = server.monitor("/subsz?subs=1");
    let list = all["subscriptions_list"].as_array().unwrap();
    let own = |s: &&serde_json::Value| s["subject"].as_str().unwrap().starts_with("foo.");
    for account in ["A", "B"] {
        let of_account = list.iter().filter(|s| s["account"] == account);
        assert_eq!(of_account.filter(own).count(), 3, "{all}");
    }
    let one = server.monitor("/subsz?subs=1&acc=A");
    let list = one["subscriptions_list"].as_array().unwrap();
    assert!(list.iter().all(|s| s["account"] == "A"), "{one}");
    assert_eq!(list.iter().filter(own).count(), 3, "{one}");
    assert_eq!(one["total"], list.len());
    let by = ["acc=A", "user=a"].map(|by| format!("/connz?auth=1&{by}"));
    for path in &by {
        let connz = server.monitor(path);
        assert_eq!(connz["num_connections"], 1);
        let shown = &connz["connections"][0];
        assert_eq!(shown["authorized_user"], "a");
        assert_eq!(shown["account"], "A");
        assert_eq!(shown["name_tag"], "A");
    }
    drop((a, b));
    server.wait_for_monitor("/connz?state=closed", |v| v["num_connections"] == 2);
    for path in &by {
        let connz = server.monitor(&format!("{path}&state=closed"));
        assert_eq!(connz["num_connections"], 1);
        assert_eq!(connz["connections"][0]["authorized_user"], "a");
        assert_eq!(connz["connections"][0]["account"], "A");
    }
}

#[test]
fn only_the_system_account_may_publish_raft_subjects() {
    let server = Server::start(&format!("{TWO}\nsystem_account: B"));
    let (mut a, mut b) = (accepted(&server, A), accepted(&server, B));
    a.send("PUB $NRG.x 0\r\n\r\n");
    assert_eq!(a.sync(), ["-ERR 'Permissions Violation for Publish to \"$NRG.x\"'"]);
    b.send("PUB $NRG.x 0\r\n\r\n");
    b.expect_nothing();
}

#[test]
fn accounts_that_are_only_named_exist() {
    let server = Server::start("accounts = [A, B]");
    let mut client = accepted(&server, "\"protocol\":1");
    assert_eq!(client.info["remote_account"], "$G");
    client.expect_nothing();
}

#[test]
fn accounts_that_make_no_sense_stop_the_start() {
    for (config, error) in [
        ("accounts { $G {} }", "\"$G\" is a Reserved Account"),
        ("accounts = [A, A]", "Duplicate Account Entry: A"),
        (
            "accounts { A { users = [ {user: u, password: p} ] }, B { users = [ {user: u, password: q} ] } }",
            "Duplicate user \"u\" detected",
        ),
        ("accounts { A { nkey: UA } }", "Not a valid public nkey for an account: \"UA\""),
        ("accounts { A {} }\nsystem_account: B", "error resolving system account: account missing"),
    ] {
        let mut server =
            Server::launch(Some(&format!("listen: \"127.0.0.1:-1\"\n{config}\n")), &[]);
        let (code, output) = server.wait_for_exit();
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains(error), "{output}");
    }
}

#[test]
fn connections_of_a_limited_account_end_quietly_with_the_server() {
    let mut server = Server::start(
        "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"0s\"\nno_auth_user: user\n\
         accounts { TEST { users: [{user: user, password: user}], limits { max_connections: 3 } } }",
    );
    let wires = [(); 3].map(|()| server.client(r#""user":"user","pass":"user""#));
    server.signal("USR2");
    for mut wire in wires {
        // Not a word about limits.
        wire.expect_close();
    }
    assert_eq!(server.wait_for_exit().0, Some(0));
}
