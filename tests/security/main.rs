//! Who may connect and what they may do, seen from the server's sockets (spec 03).

#[path = "../tls/certificates.rs"]
#[allow(dead_code)] // Each test binary uses its part.
mod certificates;
#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod authentication;
mod callout;
mod claims;
mod mappings;
mod operator;
mod permissions;
mod realm;
mod sharing;

use support::{Server, Wire};

/// Sends a CONNECT with these JSON members, and a PING.
fn login(server: &Server, members: &str) -> Wire {
    let mut wire = server.connect();
    wire.send(connect_line(members));
    wire
}

fn connect_line(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!("CONNECT {{\"verbose\":false,\"pedantic\":false{comma}{members}}}\r\nPING\r\n")
}

/// A client that is let in.
fn accepted(server: &Server, members: &str) -> Wire {
    let mut wire = login(server, members);
    let lines = wire.until_pong();
    assert_eq!(lines, Vec::<String>::new(), "{members}");
    wire
}

/// A client that is refused for its credentials.
fn refused(server: &Server, members: &str) {
    let mut wire = login(server, members);
    wire.expect_error("Authorization Violation");
    wire.expect_close();
}
