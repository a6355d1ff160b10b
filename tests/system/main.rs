//! The system account: what the server tells there and answers (spec 04 §4 to §6).

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod events;
mod services;

use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{Server, Wire};

/// A system account with a user `sys`, and an account `A` with a user `a`; all have password `x`.
const ACCOUNTS: &str = "accounts {
    $SYS { users: [{user: sys, password: x}] },
    A { users: [{user: a, password: x}] }
}";

fn user(name: &str) -> String {
    format!("\"user\":\"{name}\",\"pass\":\"x\",\"headers\":true,\"no_responders\":true")
}

/// A connection that asks.
struct Asker {
    wire: Wire,
}

/// An answer: its header, and its body as it is.
struct Answer {
    header: Vec<u8>,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// Checks that these keys stand in the text in that order.
    fn has_in_order(&self, keys: &[&str]) {
        let text = String::from_utf8_lossy(&self.body);
        let mut at = 0;
        for key in keys {
            let found = text[at..].find(&format!("\"{key}\":"));
            at += found.unwrap_or_else(|| panic!("{key} is missing or out of order in {text}"));
        }
    }
}

impl Asker {
    fn new(server: &Server, name: &str) -> Asker {
        Asker { wire: server.client(&user(name)) }
    }

    fn send(&mut self, subject: &str, header: &str, body: &str) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let sid = 1000 + NUMBER.fetch_add(1, Ordering::Relaxed);
        let inbox = format!("_INBOX.{sid}");
        self.wire.send(format!("SUB {inbox} {sid}\r\nUNSUB {sid} 1\r\n"));
        let (header_len, len) = (header.len(), header.len() + body.len());
        if header.is_empty() {
            self.wire.send(format!("PUB {subject} {inbox} {len}\r\n{body}\r\n"));
        } else {
            let line = format!("HPUB {subject} {inbox} {header_len} {len}\r\n");
            self.wire.send(format!("{line}{header}{body}\r\n"));
        }
    }

    fn answer_with(&mut self, subject: &str, header: &str, body: &str) -> Answer {
        self.send(subject, header, body);
        self.next_answer()
    }

    fn next_answer(&mut self) -> Answer {
        let (line, payload) = self.wire.message();
        let words: Vec<&str> = line.split(' ').collect();
        let header_len = match words[0] {
            "HMSG" => words[words.len() - 2].parse().unwrap(),
            _ => 0,
        };
        let (header, body) = payload.split_at(header_len);
        Answer { header: header.to_vec(), body: body.to_vec() }
    }

    fn answer(&mut self, subject: &str, body: &str) -> Answer {
        self.answer_with(subject, "", body)
    }

    fn ask(&mut self, subject: &str, body: &str) -> Value {
        self.answer(subject, body).json()
    }

    /// Checks that a request is not answered: another that comes behind it is.
    fn is_ignored(&mut self, subject: &str, body: &str) {
        self.wire.send("SUB _INBOX.none 78\r\n");
        self.wire.send(format!("PUB {subject} _INBOX.none {}\r\n{body}\r\n", body.len()));
        let id = self.wire.info["server_id"].clone();
        assert_eq!(self.ask("$SYS.REQ.SERVER.PING.IDZ", "")["id"], id, "{subject} {body}");
        self.wire.send("UNSUB 78\r\n");
    }
}

fn id(server: &Server) -> String {
    server.connect().info["server_id"].as_str().expect("an id").to_owned()
}

/// The next message on a connection with JSON in it: its subject, and that.
fn event(wire: &mut Wire) -> (String, Value) {
    let (line, payload) = wire.message();
    let subject = line.split(' ').nth(1).unwrap().to_owned();
    (subject, serde_json::from_slice(&payload).expect("JSON"))
}
