//! The states of the text protocol's grammar, one per byte of every verb.
//!
//! The numbers appear in the log line of a parse error, so they are part of the
//! observable behaviour (spec 01 §2.5). Verbs are walked letter by letter here
//! only when a parser's fast dispatch did not recognise them, which keeps two
//! things exact: an error is found at the very byte that causes it, and mixed
//! case and cut verbs are accepted.

/// A state of the grammar, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State(u8);

impl State {
    /// Before the first byte of a command.
    pub const START: Self = Self(0);
    /// In a payload.
    pub const PAYLOAD: Self = Self(40);
    /// Behind a payload, where a CR belongs.
    pub const PAYLOAD_CR: Self = Self(41);
    /// Behind a payload's CR, where a LF belongs.
    pub const PAYLOAD_LF: Self = Self(42);

    /// The number written to the log.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// The verbs a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientVerb {
    Connect,
    Info,
    Pub,
    Hpub,
    Hmsg,
    Sub,
    Unsub,
    Err,
    Ping,
    Pong,
    Ok,
}

/// Where walking the bytes of a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// All bytes fit, but the verb is not complete.
    Partial,
    /// A verb, with the number of bytes it took, including the blank behind it
    /// where the verb requires one.
    Verb(ClientVerb, usize),
    /// The byte at `index` fits nowhere from `state`.
    Unexpected { state: State, index: usize },
}

/// Recognises a verb by its first four bytes at once, where a walk could only
/// come to the same; `None` leaves it to the walk.
#[inline]
pub(crate) fn common_client_verb(bytes: &[u8]) -> Option<(ClientVerb, usize)> {
    // Setting this bit lowers letters and maps no other byte to one; blanks are
    // compared as they are.
    const LOWER: u32 = 0x2020_2020;
    const PUB: u32 = u32::from_le_bytes(*b"pub ");
    const SUB: u32 = u32::from_le_bytes(*b"sub ");
    const HPUB: u32 = u32::from_le_bytes(*b"hpub");
    const UNSU: u32 = u32::from_le_bytes(*b"unsu");
    const PING: u32 = u32::from_le_bytes(*b"ping");
    const PONG: u32 = u32::from_le_bytes(*b"pong");

    let (head, tail) = bytes.split_first_chunk::<4>()?;
    let blank = head[3] == b' ';
    match (u32::from_le_bytes(*head) | LOWER, tail) {
        (PUB, _) if blank => Some((ClientVerb::Pub, 4)),
        (SUB, _) if blank => Some((ClientVerb::Sub, 4)),
        (HPUB, [b' ', ..]) => Some((ClientVerb::Hpub, 5)),
        (UNSU, [b'B' | b'b', b' ', ..]) => Some((ClientVerb::Unsub, 6)),
        (PING, _) => Some((ClientVerb::Ping, 4)),
        (PONG, _) => Some((ClientVerb::Pong, 4)),
        _ => None,
    }
}

/// Walks a client's verb from the first byte of `bytes`.
pub(crate) fn walk_client_verb(bytes: &[u8]) -> Walk {
    let mut state = State::START;
    for (index, byte) in bytes.iter().enumerate() {
        match step_client(state, *byte) {
            Some(Step::To(next)) => state = next,
            Some(Step::Done(verb)) => return Walk::Verb(verb, index + 1),
            None => return Walk::Unexpected { state, index },
        }
    }
    Walk::Partial
}

enum Step {
    To(State),
    Done(ClientVerb),
}

/// One byte of the client grammar's verbs; `None` where it does not fit.
fn step_client(state: State, byte: u8) -> Option<Step> {
    use ClientVerb::*;
    use Step::*;
    let to = |number| Some(To(State(number)));
    match (state.0, byte.to_ascii_lowercase()) {
        (0, b'+') => to(1),
        (1, b'o') => to(2),
        (2, b'k') => Some(Done(Ok)),

        (0, b'-') => to(4),
        (4, b'e') => to(5),
        (5, b'r') => to(6),
        (6, b'r') => to(7),
        (7, b' ' | b'\t') => Some(Done(Err)),

        (0, b'c') => to(10),
        (10, b'o') => to(11),
        (11, b'n') => to(12),
        (12, b'n') => to(13),
        (13, b'e') => to(14),
        (14, b'c') => to(15),
        (15, b't') => Some(Done(Connect)),

        (0, b'h') => to(18),
        (18, b'p') => to(19),
        (19, b'u') => to(20),
        (20, b'b') => to(21),
        (21, b' ' | b'\t') => Some(Done(Hpub)),
        (18, b'm') => to(24),
        (24, b's') => to(25),
        (25, b'g') => to(26),
        (26, b' ' | b'\t') => Some(Done(Hmsg)),

        (0, b'p') => to(29),
        (29, b'u') => to(30),
        (30, b'b') => to(31),
        (31, b' ' | b'\t') => Some(Done(Pub)),
        (29, b'i') => to(34),
        (34, b'n') => to(35),
        (35, b'g') => Some(Done(Ping)),
        (29, b'o') => to(37),
        (37, b'n') => to(38),
        (38, b'g') => Some(Done(Pong)),

        (0, b's') => to(43),
        (43, b'u') => to(44),
        (44, b'b') => to(45),
        (45, b' ' | b'\t') => Some(Done(Sub)),

        (0, b'u') => to(59),
        (59, b'n') => to(60),
        (60, b's') => to(61),
        (61, b'u') => to(62),
        (62, b'b') => to(63),
        (63, b' ' | b'\t') => Some(Done(Unsub)),

        (0, b'i') => to(71),
        (71, b'n') => to(72),
        (72, b'f') => to(73),
        (73, b'o') => Some(Done(Info)),

        _ => None,
    }
}
