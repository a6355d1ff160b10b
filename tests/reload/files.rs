//! Logs, pid file and ports file.

use crate::support::{Server, wait_until};
use std::fs;
use std::path::Path;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn wait_for(path: &Path, text: &str) -> String {
    wait_until(text, || Some(read(path)).filter(|all| all.contains(text)))
}

#[test]
fn the_log_moves_to_another_file_with_other_levels() {
    let server = Server::start("");
    let (one, two) = (server.path("one.log"), server.path("two.log"));
    server.rewrite_config("log_file: \"one.log\"");
    server.signal("HUP");
    server.wait_for_log("Reloaded: log_file = one.log");
    wait_for(&one, "Reloaded server configuration");
    server.client("").expect_nothing();
    server.rewrite_config("log_file: \"two.log\", debug: true, trace: true, logtime: false");
    server.signal("HUP");
    wait_for(&two, "Reloaded server configuration");
    let told = read(&one);
    for line in ["debug = true", "trace = true", "logtime = false", "log_file = two.log"] {
        assert!(told.contains(&format!("[INF] Reloaded: {line}")), "{told}");
    }
    assert!(!told.contains("[TRC]") && !told.contains("[DBG]"));
    server.client("").send("PUB foo 2\r\nhi\r\n");
    let all = wait_for(&two, "MSG_PAYLOAD");
    assert!(all.contains("[DBG]") && all.contains("[TRC]"));
    let line = all.lines().next().unwrap();
    assert!(line.starts_with(&format!("[{}] [INF] ", server.pid())), "no time: {line}");
    // The old file belongs to nobody any more.
    fs::rename(&one, server.path("old.log")).unwrap();
    server.rewrite_config("log_file: \"three.log\"");
    server.signal("HUP");
    let three = server.path("three.log");
    wait_for(&three, "Reloaded server configuration");
    server.client("").send("PUB foo 2\r\nhi\r\n");
    server.client("").expect_nothing();
    assert!(!read(&three).contains("[TRC]"));
}

#[test]
fn traces_of_connected_clients_are_switched() {
    let server = Server::start("");
    let mut client = server.client("");
    assert_eq!(server.reload("trace: true"), Ok(()));
    client.send("PUB foo 5\r\nshown\r\n");
    server.wait_for_log("MSG_PAYLOAD: [\"shown\"]");
    assert_eq!(server.reload("trace: true, max_traced_msg_len: 2"), Ok(()));
    client.send("PUB foo 5\r\nother\r\n");
    server.wait_for_log("MSG_PAYLOAD: [\"ot...\"]");
    assert_eq!(server.reload("trace: true, trace_headers: true"), Ok(()));
    client.send("PUB foo 5\r\nthird\r\n");
    assert_eq!(server.reload(""), Ok(()));
    client.send("PUB foo 5\r\nhides\r\n");
    client.expect_nothing();
    let lines = server.log_lines().join("\n");
    assert!(!lines.contains("third") && !lines.contains("hides"));
}

#[test]
fn a_new_pid_file_is_written_and_the_old_one_left() {
    let server = Server::start("pid_file: \"a.pid\"");
    assert_eq!(server.reload("pid_file: \"b.pid\""), Ok(()));
    server.wait_for_log("Reloaded: pid_file = b.pid");
    let pid = server.pid().to_string();
    assert_eq!(read(&server.path("a.pid")), pid);
    assert_eq!(read(&server.path("b.pid")), pid);
    assert_eq!(server.reload("pid_file: \"/nonexistent/c.pid\""), Ok(()));
    server.wait_for_log("Failed to write pidfile: open /nonexistent/c.pid: no such file");
    assert_eq!(server.reload(""), Ok(()));
    assert!(!server.log_lines().iter().any(|l| l.ends_with("pid_file = ")));
}

#[test]
fn the_ports_file_moves() {
    let server = Server::start("ports_file_dir: \".\"");
    fs::create_dir(server.path("other")).unwrap();
    let ports = |dir: &str| -> Vec<String> {
        let files = fs::read_dir(server.path(dir)).unwrap();
        let names = files.map(|f| f.unwrap().file_name().into_string().unwrap());
        names.filter(|n| n.ends_with(".ports")).collect()
    };
    let before = wait_until("a ports file", || Some(ports(".")).filter(|f| f.len() == 1));
    assert_eq!(server.reload("ports_file_dir: \"other\""), Ok(()));
    assert_eq!((ports("."), ports("other")), (vec![], before));
    server.wait_for_log("Reloaded: ports_file_dir = other");
    let text = read(&server.path("other").join(&ports("other")[0]));
    assert!(text.contains(&server.port().to_string()), "{text}");
}
