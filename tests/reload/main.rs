//! A configuration that changes while the server runs, seen from its sockets (spec 02 §11).

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod files;
mod options;
mod users;

use support::{Server, Wire};

/// Waits for the connection to be closed without another line.
fn closed(wire: &mut Wire) {
    assert_eq!(wire.try_line(), None);
}

/// Checks that the connection is refused for its credentials.
fn refused(wire: &mut Wire) {
    wire.expect_error("Authorization Violation");
    closed(wire);
}

/// Lines of the log that say what was reloaded, from the last reload.
fn told(server: &Server) -> Vec<String> {
    let mut lines: Vec<String> = server.log_lines();
    let is_end = |l: &String| l.contains("Reloaded server configuration");
    let end = lines.iter().rposition(is_end).expect("a reload");
    lines.truncate(end);
    let begin = lines.iter().rposition(|l| l.contains("Trapped \"hangup\" signal")).expect("HUP");
    let text = |l: &String| l.split_once("[INF] ").map(|(_, text)| text.to_owned());
    lines[begin + 1..].iter().filter_map(text).collect()
}
