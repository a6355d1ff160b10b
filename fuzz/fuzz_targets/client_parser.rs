//! Client bytes cut anywhere give what they give whole; every slice handed out
//! lies in the buffer, and what has to be carried is bounded.
//!
//! The first byte chooses the limits, the second the cuts, the rest is the
//! client's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use parser::client::{Limits, Op, ParseError, Parser, UNLIMITED_PAYLOAD};

const MAX_VERB_LEN: usize = 8;

#[derive(Debug, PartialEq)]
enum Event {
    Op(String),
    Error(String, Option<&'static str>),
}

fuzz_target!(|data: &[u8]| {
    let [options, seed, stream @ ..] = data else { return };
    let limits = Limits {
        max_control_line: if options & 1 == 0 { 4096 } else { 24 },
        max_payload: if options & 2 == 0 { UNLIMITED_PAYLOAD } else { 16 },
        headers: options & 4 == 0,
        auth_pending: options & 8 != 0,
        announce: options & 16 != 0,
    };
    let whole = run([stream], &limits);
    let single = run(stream.chunks(1), &limits);
    assert_eq!(whole, single, "byte by byte");
    let cut = run(Pieces { rest: stream, seed: u64::from(*seed) + 1 }, &limits);
    assert_eq!(whole, cut, "cut by seed {seed}");
});

fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Vec<Event> {
    let mut parser = Parser::new();
    let mut carry = Vec::new();
    let mut events = Vec::new();
    // CONNECT ends the wait for authentication, as it does on a connection.
    let mut limits = *limits;
    for piece in pieces {
        carry.extend_from_slice(piece);
        let worth_it = carry.len() >= parser.wanted();
        let mut pos = 0;
        loop {
            let before = pos;
            match parser.next(&carry, &mut pos, &limits) {
                Ok(None) => break,
                Ok(Some(op)) => {
                    assert!(worth_it && pos >= before && pos <= carry.len());
                    check_slices(&op, &carry);
                    match op {
                        // Whether a line is announced depends on the cuts.
                        Op::PubLine(_) => continue,
                        Op::Pub(mut publication) => {
                            assert!(publication.header_len as usize <= publication.payload.len());
                            assert_eq!(
                                carry.get(publication.payload_start..).map(<[u8]>::as_ptr),
                                Some(publication.payload.as_ptr())
                            );
                            publication.announced = false;
                            publication.payload_start = 0;
                            events.push(Event::Op(format!("{publication:?}")));
                        }
                        op => {
                            if matches!(op, Op::Connect(_)) {
                                limits.auth_pending = false;
                            }
                            events.push(Event::Op(format!("{op:?}")));
                        }
                    }
                }
                Err(error) => {
                    assert!(worth_it);
                    let text = match &error {
                        ParseError::UnexpectedByte { state, .. } => format!("{state:?}"),
                        _ => error.log_text(),
                    };
                    events.push(Event::Error(text, error.wire_error()));
                    return events;
                }
            }
        }
        carry.drain(..pos);
        assert!(parser.wanted() > carry.len());
        if limits.max_payload != UNLIMITED_PAYLOAD {
            let line = MAX_VERB_LEN + limits.max_control_line as usize + 2;
            assert!(carry.len() <= line + limits.max_payload as usize + 2, "carry is bounded");
        }
    }
    events
}

fn check_slices(op: &Op<'_>, buf: &[u8]) {
    let inside = |slice: &[u8]| slice.is_empty() || buf.as_ptr_range().contains(&slice.as_ptr());
    let slices: Vec<&[u8]> = match op {
        Op::Pub(p) => {
            assert_eq!(p.payload_crlf.strip_suffix(b"\r\n"), Some(p.payload));
            vec![p.subject, p.reply, p.hdr_digits, p.size_digits, p.payload, p.payload_crlf, p.arg]
        }
        Op::PubLine(line) => vec![line.subject, line.reply, line.arg],
        Op::Sub { subject, queue, sid, arg } => {
            vec![subject, queue.unwrap_or_default(), sid, arg]
        }
        Op::Unsub { sid, arg, .. } => vec![sid, arg],
        Op::Err(arg) | Op::Connect(arg) | Op::Info(arg) => vec![arg],
        Op::Ping | Op::Pong | Op::Ok | Op::EmptyHmsg => Vec::new(),
    };
    assert!(slices.into_iter().all(inside));
}

/// Cuts of 1 to 17 bytes, determined by the seed.
struct Pieces<'a> {
    rest: &'a [u8],
    seed: u64,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let len = (self.seed % 17 + 1).min(self.rest.len() as u64) as usize;
        let (piece, rest) = self.rest.split_at(len);
        self.rest = rest;
        Some(piece)
    }
}
