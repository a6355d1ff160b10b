//! The client parser, command by command, cut in every possible way.
//!
//! Every case runs whole, cut in two anywhere, and byte by byte, and must come
//! to the same commands, to the same error and to it at the same byte.

use parser::client::{Limits, Op, ParseError, Parser, UNLIMITED_PAYLOAD};

const LIMITS: Limits = Limits {
    max_control_line: 4096,
    max_payload: 1024 * 1024,
    headers: true,
    auth_pending: false,
    announce: false,
};

/// Longest verb with the blank behind it: what may be carried besides arguments
/// and payloads.
const MAX_VERB_LEN: usize = 8;

/// What a script came to.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    /// The commands, as text.
    ops: Vec<String>,
    error: Option<Failure>,
}

/// An error, without what depends on where reads were cut.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    /// The line for the log, for an unexpected byte without the index and
    /// snippet.
    log: String,
    wire: Option<&'static str>,
}

fn lossy(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn describe(op: &Op<'_>) -> String {
    match op {
        Op::Pub(publication) => {
            assert_eq!(publication.payload_crlf.strip_suffix(b"\r\n"), Some(publication.payload));
            let verb = if publication.is_hpub { "HPUB" } else { "PUB" };
            let mut text = format!("{verb} {}", lossy(publication.subject));
            if !publication.reply.is_empty() {
                text += &format!(" reply={}", lossy(publication.reply));
            }
            if publication.is_hpub {
                text +=
                    &format!(" hdr={}/{}", publication.header_len, lossy(publication.hdr_digits));
            }
            text + &format!(
                " size={} [{}]",
                lossy(publication.size_digits),
                lossy(publication.payload)
            )
        }
        Op::Sub { subject, queue, sid, .. } => match queue {
            None => format!("SUB {} sid={}", lossy(subject), lossy(sid)),
            Some(queue) => {
                format!("SUB {} queue={} sid={}", lossy(subject), lossy(queue), lossy(sid))
            }
        },
        Op::Unsub { sid, max, .. } => format!("UNSUB {} max={max:?}", lossy(sid)),
        Op::Ping => "PING".to_owned(),
        Op::Pong => "PONG".to_owned(),
        Op::Ok => "+OK".to_owned(),
        Op::Err(text) => format!("-ERR [{}]", lossy(text)),
        Op::Connect(json) => format!("CONNECT [{}]", lossy(json)),
        Op::Info(json) => format!("INFO [{}]", lossy(json)),
        Op::EmptyHmsg => "HMSG".to_owned(),
        Op::PubLine(line) => format!("line of PUB {}", lossy(line.subject)),
    }
}

fn failure(error: &ParseError) -> Failure {
    let log = match error {
        ParseError::UnexpectedByte { state, .. } => format!("unexpected in {}", state.number()),
        _ => error.log_text(),
    };
    Failure { log, wire: error.wire_error() }
}

/// Feeds a parser the way a connection does and checks its promises. Gives the
/// run, and at which byte of the input an error came up.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> (Run, Option<usize>) {
    let mut parser = Parser::new();
    let mut carry: Vec<u8> = Vec::new();
    let mut run = Run { ops: Vec::new(), error: None };
    let mut fed = 0;
    for piece in pieces {
        let read_start = fed;
        fed += piece.len();
        carry.extend_from_slice(piece);
        let worth_it = carry.len() >= parser.wanted();
        let mut pos = 0;
        loop {
            let before = pos;
            match parser.next(&carry, &mut pos, limits) {
                Ok(Some(op)) => {
                    assert!(worth_it, "nothing is missed by waiting for what is wanted");
                    assert!(pos > before || matches!(op, Op::PubLine(_)), "commands have length");
                    run.ops.push(describe(&op));
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(worth_it, "no error is missed by waiting for what is wanted");
                    let at = match &error {
                        ParseError::UnexpectedByte { index, .. } => read_start + index,
                        _ => fed,
                    };
                    run.error = Some(failure(&error));
                    return (run, Some(at));
                }
            }
        }
        carry.drain(..pos);
        assert!(parser.wanted() > carry.len(), "more is wanted than there is");
    }
    (run, None)
}

fn run_with(input: &[u8], limits: &Limits) -> Run {
    let (whole, whole_at) = feed([input], limits);
    for cut in 0..=input.len() {
        let (head, tail) = input.split_at(cut);
        let (run, at) = feed([head, tail], limits);
        assert_eq!(run, whole, "{} cut at {cut}", lossy(input));
        if whole.error.as_ref().is_some_and(|error| error.log.starts_with("unexpected")) {
            assert_eq!(at, whole_at, "{} cut at {cut}", lossy(input));
        }
    }
    let (run, at) = feed(input.chunks(1), limits);
    assert_eq!(run, whole, "{} byte by byte", lossy(input));
    // Byte by byte, an error must come up with the first byte that allows it:
    // without that byte the input is fine.
    if let Some(at) = at {
        let enough = if whole_at.is_some_and(|whole_at| whole_at < input.len()) {
            input.get(..at)
        } else {
            input.get(..at.saturating_sub(1))
        };
        let (shorter, _) = feed([enough.expect("part of the input")], limits);
        assert_eq!(shorter.error, None, "{} without its last byte", lossy(input));
    }
    whole
}

fn ops(input: &[u8]) -> Vec<String> {
    let run = run_with(input, &LIMITS);
    assert_eq!(run.error, None, "{}", lossy(input));
    run.ops
}

fn error_with(input: &[u8], limits: &Limits) -> (String, Option<&'static str>) {
    let run = run_with(input, limits);
    let error = run.error.unwrap_or_else(|| panic!("{} was accepted", lossy(input)));
    (error.log, error.wire)
}

fn error_log(input: &[u8]) -> String {
    let (log, wire) = error_with(input, &LIMITS);
    assert_eq!(wire, None, "closed without -ERR: {}", lossy(input));
    log
}

#[track_caller]
fn assert_unexpected(input: &[u8], state: u8, at: usize) {
    let (log, wire) = error_with(input, &LIMITS);
    assert_eq!(log, format!("unexpected in {state}"), "{}", lossy(input));
    assert_eq!(wire, Some("Unknown Protocol Operation"));
    let (_, found) = feed([input], &LIMITS);
    assert_eq!(found, Some(at), "{}", lossy(input));
}

#[test]
fn commands_are_recognised_in_every_notation() {
    for (input, expected) in [
        ("PING\r\n", "PING"),
        ("PING\n", "PING"),
        ("pInG\r\n", "PING"),
        ("PING  \r  \n", "PING"),
        ("PINGxyz\n", "PING"),
        ("PONG\r\n", "PONG"),
        ("pong  \r  \n", "PONG"),
        ("+OK\r\n", "+OK"),
        ("+ok whatever\n", "+OK"),
        ("-ERR Too Long\r\n", "-ERR [Too Long]"),
        ("-err\t x \n", "-ERR [x ]"),
        ("CONNECT {\"verbose\":false}\r\n", "CONNECT [{\\\"verbose\\\":false}]"),
        ("CONNECT{}\n", "CONNECT [{}]"),
        ("connect \t {} \r\n", "CONNECT [{} ]"),
        ("INFO {\"a\":1} \r\n", "INFO [{\\\"a\\\":1} ]"),
        ("info{}\r\n", "INFO [{}]"),
        ("SUB foo 1\r\n", "SUB foo sid=1"),
        ("sub\tfoo\t\tbar \t 1 \n", "SUB foo queue=bar sid=1"),
        ("SUB a.*.> q.* x-1\r\n", "SUB a.*.> queue=q.* sid=x-1"),
        ("UNSUB 1\r\n", "UNSUB 1 max=None"),
        ("unsub abc 5\n", "UNSUB abc max=Some(5)"),
        ("UNSUB 1 0\r\n", "UNSUB 1 max=Some(0)"),
        ("UNSUB 1 five\r\n", "UNSUB 1 max=Some(-1)"),
        ("UNSUB 1 1234567890\r\n", "UNSUB 1 max=Some(-1)"),
        ("PUB foo 5\r\nhello\r\n", "PUB foo size=5 [hello]"),
        ("PUB foo 5\nhello\r\n", "PUB foo size=5 [hello]"),
        ("pUb\tfoo\t5\r\nhello\r\n", "PUB foo size=5 [hello]"),
        ("PUB foo 0\r\n\r\n", "PUB foo size=0 []"),
        ("PUB foo 005\r\nhello\r\n", "PUB foo size=005 [hello]"),
        ("PUB foo bar 2\r\nok\r\n", "PUB foo reply=bar size=2 [ok]"),
        ("PUB foo 4\r\n\r\n\r\n\r\n", "PUB foo size=4 [\\r\\n\\r\\n]"),
        (
            "PUB foo.bar INBOX.22 11\r\nhello world\r\n",
            "PUB foo.bar reply=INBOX.22 size=11 [hello world]",
        ),
        (
            "HPUB foo 12 17\r\nname:derek\r\nHELLO\r\n",
            "HPUB foo hdr=12/12 size=17 [name:derek\\r\\nHELLO]",
        ),
        ("HPUB foo INBOX.22 0 5\r\nHELLO\r\n", "HPUB foo reply=INBOX.22 hdr=0/0 size=5 [HELLO]"),
        ("hpub  foo  r  03  0005 \nabcde\r\n", "HPUB foo reply=r hdr=3/03 size=0005 [abcde]"),
        ("HPUB foo 5 5\r\nabcde\r\n", "HPUB foo hdr=5/5 size=5 [abcde]"),
        ("HMSG whatever\r\n\r\n", "HMSG"),
        ("hmsg\tfoo 1 10 8\n\r\n", "HMSG"),
    ] {
        assert_eq!(ops(input.as_bytes()), [expected], "{input:?}");
    }
}

#[test]
fn commands_follow_each_other() {
    let input = b"CONNECT {}\r\nPING\r\nSUB foo 1\r\nPUB foo 2\r\nok\r\nHPUB foo 1 2\r\nok\r\n\
        UNSUB 1\r\nPONG\r\n+OK\r\nHMSG x\r\n\r\nPUB x 0\r\n\r\n";
    let expected = [
        "CONNECT [{}]",
        "PING",
        "SUB foo sid=1",
        "PUB foo size=2 [ok]",
        "HPUB foo hdr=1/1 size=2 [ok]",
        "UNSUB 1 max=None",
        "PONG",
        "+OK",
        "HMSG",
        "PUB x size=0 []",
    ];
    assert_eq!(ops(input), expected);
}

#[test]
fn pub_arguments_are_split_on_any_run_of_blanks() {
    let both: Vec<(&str, &str, &str, &str)> = vec![
        ("a 2", "a", "", "2"),
        (" foo 22 ", "foo", "", "22"),
        ("foo   22", "foo", "", "22"),
        ("foo bar 22", "foo", "bar", "22"),
        ("  foo   bar  2222  ", "foo", "bar", "2222"),
        ("a\t222", "a", "", "222"),
        ("\tfoo\t\t\t22\t", "foo", "", "22"),
        ("foo\t\tbar\t\t22", "foo", "bar", "22"),
        ("\t \tfoo\t \t \tbar\t \t22\t \t", "foo", "bar", "22"),
        ("\t \tfoo\t \t \t\t\t2222\t \t", "foo", "", "2222"),
    ];
    for (arg, subject, reply, digits) in both {
        let payload = "x".repeat(digits.parse().expect("a size"));
        let reply = if reply.is_empty() { String::new() } else { format!(" reply={reply}") };
        let input = format!("PUB {arg}\r\n{payload}\r\n");
        let (run, _) = feed([input.as_bytes()], &LIMITS);
        assert_eq!(run.ops, [format!("PUB {subject}{reply} size={digits} [{payload}]")], "{arg:?}");
        // The same with a header size before the total.
        let split = arg.rfind(digits).expect("ends with its size");
        let (head, tail) = arg.split_at(split);
        let input = format!("HPUB {head}1\t {tail}\r\n{payload}\r\n");
        let (run, _) = feed([input.as_bytes()], &LIMITS);
        let expected = format!("HPUB {subject}{reply} hdr=1/1 size={digits} [{payload}]");
        assert_eq!(run.ops, [expected], "{arg:?}");
    }
}

#[test]
fn unexpected_bytes_fail_at_once_with_their_state() {
    for (input, state, at) in [
        ("xxx", 0, 0),
        (" PING", 0, 0),
        ("\r\n", 0, 0),
        ("\n", 0, 0),
        ("GET / HTTP/1.1", 0, 0),
        ("M", 0, 0),
        ("MSG foo 1 2\r\n", 0, 0),
        ("RMSG", 0, 0),
        ("LS+ foo", 0, 0),
        ("A+ foo", 0, 0),
        ("PING\r\n\r\n", 0, 6),
        ("PUB foo 2\r\nok\r\n\r\n", 0, 15),
        ("+x", 1, 1),
        ("+Ox", 2, 2),
        ("-x", 4, 1),
        ("-Ex", 5, 2),
        ("-ERx", 6, 3),
        ("-ERRx", 7, 4),
        ("-ERR\r\n", 7, 4),
        ("Cx", 10, 1),
        ("COx", 11, 2),
        ("CONx", 12, 3),
        ("CONNx", 13, 4),
        ("CONNEx", 14, 5),
        ("CONNECx", 15, 6),
        ("Hx", 18, 1),
        ("HPx", 19, 2),
        ("HPUx", 20, 3),
        ("HPUBx", 21, 4),
        ("HPUB\r\n", 21, 4),
        ("HMx", 24, 2),
        ("HMSx", 25, 3),
        ("HMSGx", 26, 4),
        ("Px", 29, 1),
        ("PUx", 30, 2),
        ("PUBX", 31, 3),
        ("PUB\r\n", 31, 3),
        ("PUBS foo 2", 31, 3),
        ("PIx", 34, 2),
        ("PINx", 35, 3),
        ("POx", 37, 2),
        ("PONx", 38, 3),
        ("Sx", 43, 1),
        ("SUx", 44, 2),
        ("SUBx", 45, 3),
        ("SUB\r\n", 45, 3),
        ("Ux", 59, 1),
        ("UNx", 60, 2),
        ("UNSx", 61, 3),
        ("UNSUx", 62, 4),
        ("UNSUBUNSUB 1\r\n", 63, 5),
        ("UNSUB_2\r\n", 63, 5),
        ("UNSUB_\t2\r\n", 63, 5),
        ("UNSUB\r\n", 63, 5),
        ("Ix", 71, 1),
        ("INx", 72, 2),
        ("INFx", 73, 3),
        ("PUB foo 2\r\nok \r\n", 41, 13),
        ("PUB foo 2\r\nokX", 41, 13),
        ("PUB foo 2\r\nok\n", 41, 13),
        ("PUB foo 2\r\nok\r \n", 42, 14),
        ("PUB foo 0\r\nx", 41, 11),
        ("PUB foo.bar 11\r\nhello world hello world\r", 41, 27),
        ("HPUB foo 1 2\r\nokX", 41, 16),
        ("HMSG foo 10 8\r\nXXXhello\r", 41, 15),
    ] {
        assert_unexpected(input.as_bytes(), state, at);
    }
    // Bytes that differ from a letter only in the bit that tells its case.
    for input in [&b"\x10UB foo 1\r\nx\r\n"[..], b"PUB\x00foo 1\r\nx\r\n", b"\x0bOK\r\n"] {
        let (_, wire) = error_with(input, &LIMITS);
        assert_eq!(wire, Some("Unknown Protocol Operation"), "{}", lossy(input));
    }
}

#[test]
fn argument_errors_close_without_an_error_line() {
    for (input, log) in [
        ("PUB foo\r\n", r#"processPub Parse Error: "foo""#),
        ("PUB a b c 1\r\n", r#"processPub Parse Error: "a b c 1""#),
        ("PUB a b c d e 1\r\n", r#"processPub Parse Error: "a b c d e 1""#),
        ("PUB  \r\n", r#"processPub Parse Error: "\r""#),
        ("PUB foo bar       \r\n", r#"processPub Bad or Missing Size: "foo bar       ""#),
        (
            "PUB foo 2222222222222222\r\n",
            r#"processPub Bad or Missing Size: "foo 2222222222222222""#,
        ),
        ("PUB foo 1234567890\r\n", r#"processPub Bad or Missing Size: "foo 1234567890""#),
        ("PUB foo -1\r\n", r#"processPub Bad or Missing Size: "foo -1""#),
        ("PUB foo 1x\r\n", r#"processPub Bad or Missing Size: "foo 1x""#),
        ("PUB foo \x01\r\n", r#"processPub Bad or Missing Size: "foo \x01""#),
        ("HPUB foo 1\r\n", r#"processHeaderPub Parse Error: "foo 1""#),
        ("HPUB a b 1 2 3\r\n", r#"processHeaderPub Parse Error: "a b 1 2 3""#),
        ("HPUB foo x 5\r\n", r#"processHeaderPub Bad or Missing Header Size: "foo x 5""#),
        ("HPUB foo 5 x\r\n", r#"processHeaderPub Bad or Missing Total Size: "foo 5 x""#),
        ("HPUB foo 5 4\r\n", r#"processHeaderPub Header Size larger then TotalSize: "foo 5 4""#),
        ("SUB foo\r\n", r#"processSub Parse Error: "foo""#),
        ("SUB  \r\n", r#"processSub Parse Error: "\r""#),
        ("SUB foo bar baz 22\r\n", r#"processSub Parse Error: "foo bar baz 22""#),
        ("UNSUB \r\n", r#"processUnsub Parse Error: "\r""#),
        ("UNSUB          \t       \r\n", r#"processUnsub Parse Error: "\r""#),
        ("UNSUB 1 2 3\r\n", r#"processUnsub Parse Error: "1 2 3""#),
    ] {
        assert_eq!(error_log(input.as_bytes()), log, "{input:?}");
    }
}

#[test]
fn first_byte_of_an_argument_belongs_to_it_whatever_it_is() {
    // A LF there does not end the line, and a CR there is not dropped.
    assert_eq!(error_log(b"PUB \n\n"), r#"processPub Parse Error: "\n""#);
    assert_eq!(ops(b"PUB \nfoo 1\r\nx\r\n"), ["PUB \\nfoo size=1 [x]"]);
    assert_eq!(ops(b"SUB \nfoo 1\r\n"), ["SUB foo sid=1"]);
    assert_eq!(ops(b"CONNECT \r\n"), ["CONNECT [\\r]"]);
    assert_eq!(ops(b"CONNECT\n{}\r\n"), ["CONNECT [\\n{}]"]);
    assert_eq!(ops(b"INFO  \r\n"), ["INFO [\\r]"]);
}

#[test]
fn any_cr_in_an_argument_drops_its_last_byte() {
    assert_eq!(ops(b"SUB a\rb 12\n"), ["SUB a queue=b sid=1"]);
    assert_eq!(ops(b"SUB a\rb 12\r\n"), ["SUB a queue=b sid=12"]);
    assert_eq!(ops(b"PUB a\rb 12\nx\r\n"), ["PUB a\\rb size=1 [x]"]);
    assert_eq!(ops(b"-ERR a\r\r\n"), ["-ERR [a\\r]"]);
}

#[test]
fn control_line_limit_counts_the_argument_only() {
    let limits = Limits { max_control_line: 16, ..LIMITS };
    for (verb, rest) in [
        ("PUB ", "subject.abcde 1"),
        ("HPUB  ", "subject.abc 1 1"),
        ("SUB \t ", "subject.abcde 1"),
        ("UNSUB ", "sid-abcdefghi 1"),
        ("CONNECT ", "{\"user\":\"abcdef\""),
        ("INFO", "{\"user\":\"abcdef\""),
        ("-ERR ", "a text of this l"),
        ("HMSG ", "a text of this l"),
    ] {
        // Padded to 17 bytes, one too many, whatever the line end.
        let long = format!("{rest:<17}");
        for end in ["\r\n", "\n", ""] {
            let input = format!("{verb}{long}{end}");
            let (log, wire) = error_with(input.as_bytes(), &limits);
            assert_eq!(log, "maximum control line exceeded", "{input:?}");
            assert_eq!(wire, Some("maximum control line exceeded"));
        }
        let fits = format!("{rest:<16}");
        for end in ["\r\n", "\n"] {
            let input = format!("{verb}{fits}{end}");
            let (run, _) = feed([input.as_bytes()], &limits);
            assert_eq!(run.error, None, "{input:?}");
        }
        let (run, _) = feed([format!("{verb}{fits}").as_bytes()], &limits);
        assert_eq!(run.error, None, "the limit itself is fine without its end");
        let (run, _) = feed([format!("{verb}{fits}\r").as_bytes()], &limits);
        assert_eq!(run.error, None, "a CR that will drop does not count");
    }
}

#[test]
fn control_line_limit_spares_discarded_bytes_and_blanks() {
    let limits = Limits { max_control_line: 8, ..LIMITS };
    let blanks = " \t".repeat(50);
    for (input, expected) in [
        (format!("PING{blanks}\r\n"), "PING"),
        (format!("PONG {blanks}xyz\r\n"), "PONG"),
        (format!("+OK{blanks}\n"), "+OK"),
        (format!("SUB{blanks}foo 1\r\n"), "SUB foo sid=1"),
        (format!("PUB{blanks}foo 1\r\nx\r\n"), "PUB foo size=1 [x]"),
    ] {
        assert_eq!(run_with(input.as_bytes(), &limits).ops, [expected], "{input:?}");
    }
}

#[test]
fn endless_blanks_and_discarded_bytes_are_not_carried() {
    for start in ["PING", "PONG ", "+OK", "PUB ", "SUB\t", "CONNECT", "UNSUB "] {
        let mut parser = Parser::new();
        let mut carry = start.as_bytes().to_vec();
        for _ in 0..100 {
            carry.extend_from_slice(&b" \t".repeat(100));
            let mut pos = 0;
            assert_eq!(parser.next(&carry, &mut pos, &LIMITS), Ok(None));
            carry.drain(..pos);
            assert!(carry.is_empty(), "{start:?}");
            assert_eq!(parser.wanted(), 1);
        }
    }
}

#[test]
fn payload_limit_is_judged_with_the_line() {
    let limits = Limits { max_payload: 10, ..LIMITS };
    for (input, size) in [
        ("PUB foo 11\r\n", 11),
        ("PUB foo 11\r\nhello world\r\n", 11),
        ("HPUB foo 4 17\r\n", 17),
        ("PUB foo 999999999\r\n", 999_999_999),
    ] {
        let (log, wire) = error_with(input.as_bytes(), &limits);
        assert_eq!(log, format!("maximum payload exceeded: {size} vs 10"), "{input:?}");
        assert_eq!(wire, Some("Maximum Payload Violation"));
    }
    assert_eq!(run_with(b"PUB foo 10\r\n0123456789\r\n", &limits).error, None);
    let none = Limits { max_payload: 0, ..LIMITS };
    assert_eq!(run_with(b"PUB foo 0\r\n\r\n", &none).ops, ["PUB foo size=0 []"]);
    let unlimited = Limits { max_payload: UNLIMITED_PAYLOAD, ..LIMITS };
    let (run, _) = feed([&b"PUB foo 999999999\r\nx"[..]], &unlimited);
    assert_eq!(run.error, None);
}

#[test]
fn payload_limit_error_tells_where_the_headers_are() {
    let limits = Limits { max_payload: 10, ..LIMITS };
    let input = b"PING\r\nHPUB foo 12 17\r\nNATS/1.0\r\n\r\nhello\r\n";
    let mut parser = Parser::new();
    let mut pos = 0;
    assert_eq!(parser.next(input, &mut pos, &limits), Ok(Some(Op::Ping)));
    let error = parser.next(input, &mut pos, &limits).expect_err("too large");
    assert_eq!(error.traced_op(), Some(("HPUB", &b"foo 12 17"[..])));
    let ParseError::MaxPayload { is_hpub: true, header_len: 12, payload_start, .. } = error else {
        panic!("another error: {error}");
    };
    assert!(input[payload_start..].starts_with(b"NATS/1.0"));
}

#[test]
fn line_errors_come_in_the_order_of_the_reference() {
    // The control line limit, then headers support, then the arguments, then
    // the payload limit.
    let strict = Limits { max_control_line: 8, max_payload: 1, headers: false, ..LIMITS };
    let log = |input: &[u8]| error_with(input, &strict).0;
    assert_eq!(log(b"HPUB foo 1 12345\r\n"), "maximum control line exceeded");
    assert_eq!(log(b"HPUB a b c\r\n"), "message headers not supported");
    assert_eq!(log(b"PUB a b c 9\r\n"), r#"processPub Parse Error: "a b c 9""#);
    let with_headers = Limits { headers: true, ..strict };
    let log = |input: &[u8]| error_with(input, &with_headers).0;
    assert_eq!(log(b"HPUB a x y\r\n"), r#"processHeaderPub Bad or Missing Header Size: "a x y""#);
    assert_eq!(
        log(b"HPUB a 9 3\r\n"),
        r#"processHeaderPub Header Size larger then TotalSize: "a 9 3""#
    );
    assert_eq!(log(b"HPUB a 2 3\r\n"), "maximum payload exceeded: 3 vs 1");
}

#[test]
fn hpub_needs_negotiated_headers_and_hmsg_does_not() {
    let limits = Limits { headers: false, ..LIMITS };
    let (log, wire) = error_with(b"HPUB foo 1 2\r\nok\r\n", &limits);
    assert_eq!(log, "message headers not supported");
    assert_eq!(wire, None);
    assert_eq!(run_with(b"HMSG foo\r\n\r\n", &limits).ops, ["HMSG"]);
}

#[test]
fn pending_authentication_lets_only_connect_begin() {
    let limits = Limits { auth_pending: true, ..LIMITS };
    for input in ["PING\r\n", "P", "xyz", "\r\n", "pub foo 1\r\nx\r\n", "INFO {}\r\n", "HPUB"] {
        let (log, wire) = error_with(input.as_bytes(), &limits);
        assert_eq!(log, "authentication error", "{input:?}");
        assert_eq!(wire, Some("Authorization Violation"));
    }
    assert_eq!(run_with(b"connect {}\r\n", &limits).ops, ["CONNECT [{}]"]);
    // Only the first byte is judged before the verb.
    assert_eq!(error_with(b"Cx", &limits).1, Some("Unknown Protocol Operation"));
}

#[test]
fn refused_command_can_be_parsed_after_implicit_authentication() {
    let limits = Limits { auth_pending: true, ..LIMITS };
    let mut parser = Parser::new();
    let mut pos = 0;
    let refused = parser.next(b"PING\r\n", &mut pos, &limits);
    assert_eq!(refused, Err(ParseError::AuthRequired));
    assert_eq!(pos, 0);
    assert_eq!(parser.next(b"PING\r\n", &mut pos, &LIMITS), Ok(Some(Op::Ping)));
}

#[test]
fn connect_in_the_same_read_can_change_the_limits() {
    let input = b"CONNECT {}\r\nHPUB foo 1 2\r\nok\r\n";
    let before = Limits { auth_pending: true, headers: false, ..LIMITS };
    let mut parser = Parser::new();
    let mut pos = 0;
    assert_eq!(parser.next(input, &mut pos, &before), Ok(Some(Op::Connect(b"{}"))));
    assert!(matches!(parser.next(input, &mut pos, &LIMITS), Ok(Some(Op::Pub(_)))));
}

#[test]
fn publication_is_announced_when_its_payload_is_not_complete() {
    let limits = Limits { announce: true, ..LIMITS };
    let input = b"PUB foo. 5\r\nhello\r\n";
    for cut in 0..input.len() {
        let (head, tail) = input.split_at(cut);
        let (run, _) = feed([head, tail], &limits);
        let complete = "PUB foo. size=5 [hello]".to_owned();
        let announced = cut >= b"PUB foo. 5\r\n".len();
        let expected = match announced {
            true => vec!["line of PUB foo.".to_owned(), complete],
            false => vec![complete],
        };
        assert_eq!(run.ops, expected, "cut at {cut}");
    }
    let (run, _) = feed(input.chunks(1), &limits);
    assert_eq!(run.ops.len(), 2, "announced once: {:?}", run.ops);
    let (run, _) = feed(input.chunks(1), &LIMITS);
    assert_eq!(run.ops.len(), 1, "only where it is wanted");
}

#[test]
fn publication_is_announced_before_its_terminator_fails() {
    let limits = Limits { announce: true, ..LIMITS };
    let input = b"PUB foo. 1\r\nx.\r\n";
    let mut parser = Parser::new();
    let mut pos = 0;
    let line = parser.next(input, &mut pos, &limits);
    assert!(matches!(line, Ok(Some(Op::PubLine(line))) if !line.repeated));
    let error = parser.next(input, &mut pos, &limits).expect_err("not terminated");
    assert_eq!(error.wire_error(), Some("Unknown Protocol Operation"));
}

#[test]
fn announced_publication_says_so() {
    let limits = Limits { announce: true, ..LIMITS };
    let mut parser = Parser::new();
    let mut pos = 0;
    let announced = |op| match op {
        Ok(Some(Op::Pub(publication))) => Some(publication.announced),
        _ => None,
    };
    let line = parser.next(b"PUB a 2\r\no", &mut pos, &limits);
    assert!(matches!(line, Ok(Some(Op::PubLine(line))) if line.subject == b"a" && line.repeated));
    assert_eq!(parser.next(b"PUB a 2\r\no", &mut pos, &limits), Ok(None));
    // The verb was consumed, the argument is carried.
    pos = 0;
    assert_eq!(parser.wanted(), b"a 2\r\nok\r".len());
    let input = b"a 2\r\nok\r\nPUB b 2\r\nok\r\n";
    assert_eq!(announced(parser.next(input, &mut pos, &limits)), Some(true));
    assert_eq!(announced(parser.next(input, &mut pos, &limits)), Some(false));
}

#[test]
fn error_index_and_snippet_are_those_of_the_current_read() {
    let mut parser = Parser::new();
    let mut pos = 0;
    assert_eq!(parser.next(b"PING\r\nPU", &mut pos, &LIMITS), Ok(Some(Op::Ping)));
    assert_eq!(parser.next(b"PING\r\nPU", &mut pos, &LIMITS), Ok(None));
    assert_eq!(pos, 6);
    pos = 0;
    let error = parser.next(b"PUB a 0\r\n\r\nPIXabc", &mut pos, &LIMITS);
    assert!(matches!(error, Ok(Some(Op::Pub(_)))));
    let error = parser.next(b"PUB a 0\r\n\r\nPIXabc", &mut pos, &LIMITS).expect_err("no verb");
    assert_eq!(
        error.log_text(),
        r#"Client parser ERROR, state=34, i=11: proto='"Xab"...'"#,
        "two bytes of the buffer came with the read before"
    );
}

#[test]
fn snippet_shows_32_bytes_and_leaves_out_the_last() {
    let sample = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for start in 0..55 {
        let stop = if start + 32 > sample.len() { sample.len() - 1 } else { start + 32 };
        let shown = sample.get(start..stop).unwrap_or_default();
        let expected = format!("\"{}\"", String::from_utf8_lossy(shown));
        assert_eq!(parser::error::snippet(sample, start), expected, "from {start}");
    }
    assert_eq!(parser::error::snippet(sample, 20), "\"uvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\"");
    assert_eq!(parser::error::snippet(sample, 21), "\"vwxyzABCDEFGHIJKLMNOPQRSTUVWXY\"");
    assert_eq!(parser::error::snippet(sample, 50), "\"Y\"");
    assert_eq!(parser::error::snippet(sample, 51), "\"\"");
    assert_eq!(parser::error::snippet(b"", 0), "\"\"");
}

#[test]
fn raw_arguments_are_given_for_traces() {
    let arg_of = |input: &[u8]| {
        let mut pos = 0;
        match Parser::new().next(input, &mut pos, &LIMITS) {
            Ok(Some(Op::Pub(publication))) => lossy(publication.arg),
            Ok(Some(Op::Sub { arg, .. } | Op::Unsub { arg, .. } | Op::Connect(arg))) => lossy(arg),
            other => panic!("unexpected: {other:?}"),
        }
    };
    assert_eq!(arg_of(b"PUB  foo  5\r\nhello\r\n"), "foo  5");
    assert_eq!(arg_of(b"PUB foo 5 \r\nhello\r\n"), "foo 5 ");
    assert_eq!(arg_of(b"HPUB foo bar 1 5\r\nhello\r\n"), "foo bar 1 5");
    assert_eq!(arg_of(b"SUB foo\tbar 1\r\n"), "foo\\tbar 1");
    assert_eq!(arg_of(b"UNSUB 1  5\r\n"), "1  5");
    assert_eq!(arg_of(b"CONNECT {} \r\n"), "{} ");
}

#[test]
fn payload_offset_points_into_the_buffer() {
    let input = b"PING\r\nPUB foo 5\r\nhello\r\npub foo  5\r\nworld\r\n";
    let mut parser = Parser::new();
    let mut pos = 0;
    let mut found = Vec::new();
    while let Ok(Some(op)) = parser.next(input, &mut pos, &LIMITS) {
        if let Op::Pub(publication) = op {
            let start = publication.payload_start;
            assert_eq!(&input[start..start + 5], publication.payload);
            found.push(start);
        }
    }
    assert_eq!(found, [17, 36]);
    assert_eq!(pos, input.len());
}

#[test]
fn carry_is_bounded_by_line_and_payload() {
    let limits = Limits { max_control_line: 64, max_payload: 32, ..LIMITS };
    let bound = MAX_VERB_LEN + 64 + 2 + 32 + 2;
    let inputs: [&[u8]; 4] = [
        &[b"PUB foo   32\r\n".to_vec(), vec![b'x'; 32], b"\r\n".to_vec()].concat(),
        &[b"SUB ".to_vec(), vec![b'x'; 61], b" 1\r\n".to_vec()].concat(),
        &[b"PING".to_vec(), vec![b'x'; 500], b"\r\n".to_vec()].concat(),
        &[b"HPUB ".to_vec(), vec![b' '; 500], b"a 1 32\r\n".to_vec()].concat(),
    ];
    for input in inputs {
        let mut parser = Parser::new();
        let mut carry = Vec::new();
        for byte in input {
            carry.push(*byte);
            let mut pos = 0;
            while parser.next(&carry, &mut pos, &limits).expect("within limits").is_some() {}
            carry.drain(..pos);
            assert!(carry.len() <= bound, "{} carried of {}", carry.len(), lossy(input));
        }
    }
}
