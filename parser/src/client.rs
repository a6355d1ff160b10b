//! The pull parser for client connections.
//!
//! The owner of the socket hands over the bytes it has and takes commands out
//! one by one until none is complete. Commands are slices of those bytes;
//! nothing is copied and nothing is allocated, except to describe an error.
//!
//! Between reads the owner carries the bytes of the unfinished command, which
//! are bounded: the blanks behind a verb and whatever follows PING, PONG and
//! +OK up to the LF have no limit of their own, so they are consumed into the
//! parser's state. What is left to carry is at most a verb, or an argument up
//! to the control line limit with its line end, and a payload with its own.
//!
//! Errors surface with the very byte that causes them, wherever reads are cut,
//! and the outcome never depends on the cuts.
//!
//! Two fast paths, for whole publications and whole PINGs, accept only what is
//! entirely regular; everything else takes the general path, which alone
//! decides about errors.
//!
//! Implements spec 01 §2.

pub use crate::error::ParseError;

use crate::error::snippet;
use crate::line::{Args, Frame, Line, frame_payload, is_blank, parse_size, scan_line, word_end};
use crate::state::{ClientVerb, State, Walk, common_client_verb, walk_client_verb};

/// `max_payload` value that means unlimited.
pub const UNLIMITED_PAYLOAD: i64 = -1;

/// What the connection may send right now. Passed with every call because a
/// CONNECT or a reload can change it between two commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest argument of a control line in bytes.
    pub max_control_line: u32,
    /// Largest payload in bytes, headers included; -1 is unlimited.
    pub max_payload: i64,
    /// Whether headers were negotiated, which HPUB requires.
    pub headers: bool,
    /// Whether authentication is required and CONNECT was not seen yet.
    pub auth_pending: bool,
    /// Whether lines of publications are wanted before their payloads; see [`Op::PubLine`].
    pub announce: bool,
}

/// A command, borrowed from the buffer it was parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// PUB or HPUB with its payload.
    Pub(Pub<'a>),
    /// SUB.
    Sub {
        /// The subject, unchecked.
        subject: &'a [u8],
        /// The queue group, if any.
        queue: Option<&'a [u8]>,
        /// The client's subscription id.
        sid: &'a [u8],
        /// The raw argument, for traces.
        arg: &'a [u8],
    },
    /// UNSUB.
    Unsub {
        /// The client's subscription id.
        sid: &'a [u8],
        /// Deliveries after which the subscription ends. `None` when absent and
        /// -1 when invalid; both mean now.
        max: Option<i64>,
        /// The raw argument, for traces.
        arg: &'a [u8],
    },
    /// PING.
    Ping,
    /// PONG.
    Pong,
    /// +OK, to be ignored.
    Ok,
    /// -ERR with its text: log `Client Error <text>` and close.
    Err(&'a [u8]),
    /// CONNECT with its JSON, which is the raw argument.
    Connect(&'a [u8]),
    /// INFO with its JSON, which is the raw argument.
    Info(&'a [u8]),
    /// HMSG: counts as an empty message to the empty subject (spec 01 §2.8).
    EmptyHmsg,
    /// The control line of a publication whose payload is not complete or not
    /// terminated, given once and only with [`Limits::announce`]: for traces, and for
    /// pedantic clients. The subject is to be checked at this point, twice if [`PubLine::repeated`], and not again
    /// when the payload is there, where [`Pub::announced`] tells that this
    /// happened.
    PubLine(PubLine<'a>),
}

/// A complete publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pub<'a> {
    /// The subject, unchecked.
    pub subject: &'a [u8],
    /// The reply subject, unchecked; empty when there is none.
    pub reply: &'a [u8],
    /// Length of the header block in bytes; 0 when there is none.
    pub header_len: u32,
    /// Whether the verb was HPUB.
    pub is_hpub: bool,
    /// Whether an [`Op::PubLine`] came before.
    pub announced: bool,
    /// The header size as it was written, to be echoed; empty for PUB.
    pub hdr_digits: &'a [u8],
    /// The total size as it was written, to be echoed.
    pub size_digits: &'a [u8],
    /// Headers and body.
    pub payload: &'a [u8],
    /// Headers and body with the CR LF behind them.
    pub payload_crlf: &'a [u8],
    /// Offset of the payload in the buffer.
    pub payload_start: usize,
    /// The raw argument, for traces.
    pub arg: &'a [u8],
}

impl<'a> Pub<'a> {
    /// The header block, or nothing.
    pub fn header(&self) -> &'a [u8] {
        self.payload.get(..self.header_len as usize).unwrap_or_default()
    }

    /// What follows the header block.
    pub fn body(&self) -> &'a [u8] {
        self.payload.get(self.header_len as usize..).unwrap_or_default()
    }
}

/// The control line of a publication without a proper payload so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PubLine<'a> {
    /// The subject, unchecked.
    pub subject: &'a [u8],
    /// The reply subject, unchecked; empty when there is none.
    pub reply: &'a [u8],
    /// Whether the verb was HPUB.
    pub is_hpub: bool,
    /// Whether the payload is merely not complete: the reference then judges
    /// the line twice (spec 01 §2.4).
    pub repeated: bool,
    /// The raw argument, for traces.
    pub arg: &'a [u8],
}

/// A resumable parser; one per connection, without a buffer of its own.
///
/// Call [`Parser::next`] until it gives `None`, then read more. Pass the bytes
/// from `*pos` on again, followed by the new ones. After an error other than
/// [`ParseError::AuthRequired`] the connection is to be closed.
#[derive(Debug, Clone)]
pub struct Parser {
    phase: Phase,
    /// Bytes carried when the last call asked for more. Saturating: only used
    /// to tell the log where in the read an error was.
    carried: u32,
    /// Offset in the current buffer where its new bytes begin.
    read_start: u32,
    /// Whether the next call comes with a new buffer.
    rebased: bool,
    /// Whether the publication at hand was given as [`Op::PubLine`].
    announced: bool,
}

const _: () = assert!(size_of::<Parser>() <= 32, "one per idle connection");

/// Where between two commands' ends the parser is. Offsets count from `*pos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// At the first byte of a command; a cut verb is walked again.
    Start,
    /// Behind a verb that discards everything up to the LF.
    Discard(ClientVerb),
    /// Behind a verb, before its argument.
    Blanks(ClientVerb),
    /// At the first byte of an argument, `scanned` bytes of which were searched.
    Arg { verb: ClientVerb, scanned: u32 },
    /// At the first byte of a publication's argument, whose line is complete.
    Payload { verb: ClientVerb, arg_len: u32, line_len: u32, size: u32 },
}

/// What one step of the general path came to.
enum Step<'a> {
    /// The phase changed; go on.
    Again,
    /// More bytes are needed.
    Wait,
    /// A command is complete.
    Done(Op<'a>),
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// A parser at the beginning of a connection.
    #[must_use]
    pub const fn new() -> Self {
        Self { phase: Phase::Start, carried: 0, read_start: 0, rebased: true, announced: false }
    }

    /// Takes the next command from `buf`, which holds the bytes carried over
    /// (those from `*pos` on when the last call gave `None`) followed by new
    /// ones, and moves `*pos` behind what was consumed.
    ///
    /// `None` asks for more bytes: carry `buf[*pos..]`, and see
    /// [`Parser::wanted`].
    ///
    /// # Errors
    /// See [`ParseError`].
    #[inline]
    pub fn next<'a>(
        &mut self,
        buf: &'a [u8],
        pos: &mut usize,
        limits: &Limits,
    ) -> Result<Option<Op<'a>>, ParseError> {
        if self.rebased {
            self.rebased = false;
            self.read_start = saturate(*pos).saturating_add(self.carried);
        }
        if matches!(self.phase, Phase::Start)
            && !limits.auth_pending
            && let Some((op, end)) = whole_publication(buf, *pos, limits)
        {
            *pos = end;
            return Ok(Some(Op::Pub(op)));
        }
        self.next_general(buf, pos, limits)
    }

    /// How many bytes, counted from `*pos`, the buffer must hold before the
    /// next call can do anything; a lower bound, at least 1.
    #[must_use]
    pub fn wanted(&self) -> usize {
        match self.phase {
            Phase::Payload { line_len, size, .. } => {
                // The first terminator is judged as soon as it is there.
                let to_cr = line_len as usize + size as usize + 1;
                to_cr.max(self.carried as usize + 1)
            }
            Phase::Start | Phase::Discard(_) | Phase::Blanks(_) | Phase::Arg { .. } => {
                self.carried as usize + 1
            }
        }
    }

    fn next_general<'a>(
        &mut self,
        buf: &'a [u8],
        pos: &mut usize,
        limits: &Limits,
    ) -> Result<Option<Op<'a>>, ParseError> {
        loop {
            let step = match self.phase {
                Phase::Start => self.start(buf, pos, limits)?,
                Phase::Discard(verb) => self.discard(verb, buf, pos),
                Phase::Blanks(verb) => self.blanks(verb, buf, pos),
                Phase::Arg { verb, scanned } => self.arg(verb, scanned, buf, pos, limits)?,
                Phase::Payload { verb, arg_len, line_len, size } => {
                    self.payload(verb, arg_len, line_len, size, buf, pos)?
                }
            };
            match step {
                Step::Again => {}
                Step::Done(op) => return Ok(Some(op)),
                Step::Wait => {
                    self.carried = saturate(buf.len().saturating_sub(*pos));
                    self.rebased = true;
                    return Ok(None);
                }
            }
        }
    }

    fn start<'a>(
        &mut self,
        buf: &'a [u8],
        pos: &mut usize,
        limits: &Limits,
    ) -> Result<Step<'a>, ParseError> {
        let rest = buf.get(*pos..).unwrap_or_default();
        let Some(first) = rest.first() else { return Ok(Step::Wait) };
        if limits.auth_pending && !first.eq_ignore_ascii_case(&b'c') {
            return Err(ParseError::AuthRequired);
        }
        let walk = match common_client_verb(rest) {
            Some((verb, len)) => Walk::Verb(verb, len),
            None => walk_client_verb(rest),
        };
        match walk {
            Walk::Partial => Ok(Step::Wait),
            Walk::Unexpected { state, index } => Err(self.unexpected(state, *pos + index, buf)),
            Walk::Verb(verb, len) => {
                *pos += len;
                self.phase = match verb {
                    ClientVerb::Ping | ClientVerb::Pong | ClientVerb::Ok => Phase::Discard(verb),
                    _ => Phase::Blanks(verb),
                };
                Ok(Step::Again)
            }
        }
    }

    fn discard<'a>(&mut self, verb: ClientVerb, buf: &'a [u8], pos: &mut usize) -> Step<'a> {
        let rest = buf.get(*pos..).unwrap_or_default();
        let Some(line_end) = memchr::memchr(b'\n', rest) else {
            *pos += rest.len();
            return Step::Wait;
        };
        *pos += line_end + 1;
        self.phase = Phase::Start;
        Step::Done(match verb {
            ClientVerb::Ping => Op::Ping,
            ClientVerb::Pong => Op::Pong,
            _ => Op::Ok,
        })
    }

    fn blanks<'a>(&mut self, verb: ClientVerb, buf: &'a [u8], pos: &mut usize) -> Step<'a> {
        let rest = buf.get(*pos..).unwrap_or_default();
        let Some(blanks) = rest.iter().position(|byte| !is_blank(*byte)) else {
            *pos += rest.len();
            return Step::Wait;
        };
        *pos += blanks;
        self.phase = Phase::Arg { verb, scanned: 0 };
        Step::Again
    }

    fn arg<'a>(
        &mut self,
        verb: ClientVerb,
        scanned: u32,
        buf: &'a [u8],
        pos: &mut usize,
        limits: &Limits,
    ) -> Result<Step<'a>, ParseError> {
        let limit = u64::from(limits.max_control_line);
        let line = scan_line(buf, *pos, scanned as usize, limit)
            .map_err(|_| ParseError::MaxControlLine)?;
        let (arg, end) = match line {
            Line::Complete { arg, end } => (arg, end),
            Line::Incomplete { scanned } => {
                self.phase = Phase::Arg { verb, scanned: saturate(scanned) };
                return Ok(Step::Wait);
            }
        };
        let op = match verb {
            ClientVerb::Pub | ClientVerb::Hpub | ClientVerb::Hmsg => {
                return self.publication(verb, arg, end, buf, pos, limits);
            }
            ClientVerb::Sub => subscribe(arg)?,
            ClientVerb::Unsub => unsubscribe(arg)?,
            ClientVerb::Connect => Op::Connect(arg),
            ClientVerb::Info => Op::Info(arg),
            ClientVerb::Err => Op::Err(arg),
            // These never get here: they have no argument.
            ClientVerb::Ping => Op::Ping,
            ClientVerb::Pong => Op::Pong,
            ClientVerb::Ok => Op::Ok,
        };
        *pos = end;
        self.phase = Phase::Start;
        Ok(Step::Done(op))
    }

    /// Judges the complete line of a publication and enters its payload.
    fn publication<'a>(
        &mut self,
        verb: ClientVerb,
        arg: &'a [u8],
        line_end: usize,
        buf: &'a [u8],
        pos: &mut usize,
        limits: &Limits,
    ) -> Result<Step<'a>, ParseError> {
        let is_hpub = verb == ClientVerb::Hpub;
        let args = match verb {
            ClientVerb::Hmsg => PubArgs::NONE,
            ClientVerb::Hpub if !limits.headers => {
                return Err(ParseError::HeadersNotSupported { arg: arg.into() });
            }
            _ => PubArgs::parse(arg, is_hpub)?,
        };
        if verb != ClientVerb::Hmsg && over_payload_limit(args.size, limits.max_payload) {
            return Err(ParseError::MaxPayload {
                arg: arg.into(),
                is_hpub,
                size: args.size,
                limit: limits.max_payload,
                header_len: args.header_len,
                payload_start: line_end,
            });
        }
        self.announced = false;
        let repeated = match frame_payload(buf, line_end, args.size) {
            Frame::Complete { payload, payload_crlf, end } => {
                *pos = end;
                self.phase = Phase::Start;
                let framed = Framed { payload, payload_crlf, payload_start: line_end };
                return Ok(Step::Done(args.into_op(verb, arg, framed, false)));
            }
            Frame::Incomplete { .. } => true,
            Frame::Unterminated { .. } => false,
        };
        self.phase = Phase::Payload {
            verb,
            arg_len: saturate(arg.len()),
            line_len: saturate(line_end - *pos),
            size: args.size,
        };
        if !limits.announce || verb == ClientVerb::Hmsg {
            return Ok(Step::Again);
        }
        self.announced = true;
        let PubArgs { subject, reply, .. } = args;
        Ok(Step::Done(Op::PubLine(PubLine { subject, reply, is_hpub, repeated, arg })))
    }

    /// Completes a publication whose line was judged before. Its arguments are
    /// split again, because only offsets outlast a read.
    fn payload<'a>(
        &mut self,
        verb: ClientVerb,
        arg_len: u32,
        line_len: u32,
        size: u32,
        buf: &'a [u8],
        pos: &mut usize,
    ) -> Result<Step<'a>, ParseError> {
        let payload_start = pos.saturating_add(line_len as usize);
        let (framed, end) = match frame_payload(buf, payload_start, size) {
            Frame::Complete { payload, payload_crlf, end } => {
                (Framed { payload, payload_crlf, payload_start }, end)
            }
            Frame::Incomplete { .. } => return Ok(Step::Wait),
            Frame::Unterminated { state, index } => return Err(self.unexpected(state, index, buf)),
        };
        let rest = buf.get(*pos..).unwrap_or_default();
        let arg = rest.get(..arg_len as usize).unwrap_or_default();
        let args = match verb {
            ClientVerb::Hmsg => PubArgs::NONE,
            _ => PubArgs::parse(arg, verb == ClientVerb::Hpub)?,
        };
        *pos = end;
        self.phase = Phase::Start;
        Ok(Step::Done(args.into_op(verb, arg, framed, self.announced)))
    }

    #[cold]
    fn unexpected(&self, state: State, at: usize, buf: &[u8]) -> ParseError {
        ParseError::UnexpectedByte {
            state,
            index: at.saturating_sub(self.read_start as usize),
            snippet: snippet(buf, at).into(),
        }
    }
}

/// The arguments of PUB or HPUB.
struct PubArgs<'a> {
    subject: &'a [u8],
    reply: &'a [u8],
    hdr_digits: &'a [u8],
    size_digits: &'a [u8],
    header_len: u32,
    size: u32,
}

/// A payload where it stands in the buffer.
struct Framed<'a> {
    payload: &'a [u8],
    payload_crlf: &'a [u8],
    payload_start: usize,
}

impl<'a> PubArgs<'a> {
    /// What stands in for the arguments of a client's HMSG, which are ignored.
    const NONE: Self = Self {
        subject: &[],
        reply: &[],
        hdr_digits: &[],
        size_digits: &[],
        header_len: 0,
        size: 0,
    };

    fn into_op(
        self,
        verb: ClientVerb,
        arg: &'a [u8],
        framed: Framed<'a>,
        announced: bool,
    ) -> Op<'a> {
        if verb == ClientVerb::Hmsg {
            return Op::EmptyHmsg;
        }
        Op::Pub(Pub {
            subject: self.subject,
            reply: self.reply,
            header_len: self.header_len,
            is_hpub: verb == ClientVerb::Hpub,
            announced,
            hdr_digits: self.hdr_digits,
            size_digits: self.size_digits,
            payload: framed.payload,
            payload_crlf: framed.payload_crlf,
            payload_start: framed.payload_start,
            arg,
        })
    }

    fn parse(arg: &'a [u8], is_hpub: bool) -> Result<Self, ParseError> {
        if is_hpub { Self::parse_hpub(arg) } else { Self::parse_pub(arg) }
    }

    fn parse_pub(arg: &'a [u8]) -> Result<Self, ParseError> {
        let args = Args::<3>::split_blanks(arg);
        let (subject, reply, size_digits): (_, &[u8], _) = match args.get() {
            Some(&[subject, size]) => (subject, &[], size),
            Some(&[subject, reply, size]) => (subject, reply, size),
            _ => return Err(ParseError::PubArgs(arg.into())),
        };
        let size = parse_size(size_digits).ok_or_else(|| ParseError::PubSize(arg.into()))?;
        Ok(Self { subject, reply, hdr_digits: &[], size_digits, header_len: 0, size })
    }

    fn parse_hpub(arg: &'a [u8]) -> Result<Self, ParseError> {
        let args = Args::<4>::split_blanks(arg);
        let (subject, reply, hdr_digits, size_digits): (_, &[u8], _, _) = match args.get() {
            Some(&[subject, hdr, size]) => (subject, &[], hdr, size),
            Some(&[subject, reply, hdr, size]) => (subject, reply, hdr, size),
            _ => return Err(ParseError::HpubArgs(arg.into())),
        };
        let header_len =
            parse_size(hdr_digits).ok_or_else(|| ParseError::HpubHeaderSize(arg.into()))?;
        let size = parse_size(size_digits).ok_or_else(|| ParseError::HpubTotalSize(arg.into()))?;
        if header_len > size {
            return Err(ParseError::HpubHeaderOverTotal(arg.into()));
        }
        Ok(Self { subject, reply, hdr_digits, size_digits, header_len, size })
    }
}

fn subscribe(arg: &[u8]) -> Result<Op<'_>, ParseError> {
    let args = Args::<3>::split_separators(arg);
    match args.get() {
        Some(&[subject, sid]) => Ok(Op::Sub { subject, queue: None, sid, arg }),
        Some(&[subject, queue, sid]) => Ok(Op::Sub { subject, queue: Some(queue), sid, arg }),
        _ => Err(ParseError::SubArgs(arg.into())),
    }
}

fn unsubscribe(arg: &[u8]) -> Result<Op<'_>, ParseError> {
    let args = Args::<2>::split_separators(arg);
    match args.get() {
        Some(&[sid]) => Ok(Op::Unsub { sid, max: None, arg }),
        Some(&[sid, max]) => {
            let max = Some(parse_size(max).map_or(-1, i64::from));
            Ok(Op::Unsub { sid, max, arg })
        }
        _ => Err(ParseError::UnsubArgs(arg.into())),
    }
}

/// Takes a publication that is all there and entirely regular: upper or lower
/// case verb, single blanks, `CR LF`, within all limits. Anything else is `None`
/// and left to the general path. Gives the offset behind the publication too.
#[inline(always)]
fn whole_publication<'a>(buf: &'a [u8], pos: usize, limits: &Limits) -> Option<(Pub<'a>, usize)> {
    const PUB: u32 = u32::from_le_bytes(*b"pub ");
    const HPUB: u32 = u32::from_le_bytes(*b"hpub");
    // Setting this bit lowers letters and maps no other byte to one.
    const LOWER: u32 = 0x2020_2020;

    let rest = buf.get(pos..)?;
    let (head, tail) = rest.split_first_chunk::<4>()?;
    let word = u32::from_le_bytes(*head) | LOWER;
    if word == PUB && head[3] == b' ' {
        return whole_pub(buf, pos + 4, limits);
    }
    if word == HPUB && tail.first() == Some(&b' ') && limits.headers {
        return whole_hpub(buf, pos + 5, limits);
    }
    None
}

#[inline(always)]
fn whole_pub<'a>(buf: &'a [u8], arg_start: usize, limits: &Limits) -> Option<(Pub<'a>, usize)> {
    let subject_end = word_end(buf, arg_start)?;
    let subject = buf.get(arg_start..subject_end)?;
    let second_end = argument_end(buf, subject_end)?;
    let second = buf.get(subject_end + 1..second_end)?;
    let (reply, size_digits, arg_end): (&[u8], _, _) = match buf.get(second_end)? {
        b'\r' => (&[], second, second_end),
        _ => {
            let third_end = argument_end(buf, second_end)?;
            (second, buf.get(second_end + 1..third_end)?, third_end)
        }
    };
    if subject.is_empty() || second.is_empty() {
        return None;
    }
    let line = RegularLine { subject, reply, hdr_digits: &[], size_digits, arg_start, arg_end };
    line.with_payload(buf, 0, false, limits)
}

#[inline(always)]
fn whole_hpub<'a>(buf: &'a [u8], arg_start: usize, limits: &Limits) -> Option<(Pub<'a>, usize)> {
    let subject_end = word_end(buf, arg_start)?;
    let subject = buf.get(arg_start..subject_end)?;
    let second_end = argument_end(buf, subject_end)?;
    let second = buf.get(subject_end + 1..second_end)?;
    let third_end = argument_end(buf, second_end)?;
    let third = buf.get(second_end + 1..third_end)?;
    let (reply, hdr_digits, size_digits, arg_end): (&[u8], _, _, _) = match buf.get(third_end)? {
        b'\r' => (&[], second, third, third_end),
        _ => {
            let fourth_end = argument_end(buf, third_end)?;
            (second, third, buf.get(third_end + 1..fourth_end)?, fourth_end)
        }
    };
    if subject.is_empty() || second.is_empty() || third.is_empty() {
        return None;
    }
    let header_len = parse_size(hdr_digits)?;
    let line = RegularLine { subject, reply, hdr_digits, size_digits, arg_start, arg_end };
    line.with_payload(buf, header_len, true, limits)
}

/// The end of the argument behind the single space at `blank`.
#[inline(always)]
fn argument_end(buf: &[u8], blank: usize) -> Option<usize> {
    match buf.get(blank)? {
        b' ' => word_end(buf, blank + 1),
        _ => None,
    }
}

/// A publication's line as the fast path saw it, up to where its CR LF belongs.
struct RegularLine<'a> {
    subject: &'a [u8],
    reply: &'a [u8],
    hdr_digits: &'a [u8],
    size_digits: &'a [u8],
    arg_start: usize,
    arg_end: usize,
}

impl<'a> RegularLine<'a> {
    #[inline(always)]
    fn with_payload(
        self,
        buf: &'a [u8],
        header_len: u32,
        is_hpub: bool,
        limits: &Limits,
    ) -> Option<(Pub<'a>, usize)> {
        let size = parse_size(self.size_digits)?;
        let arg = buf.get(self.arg_start..self.arg_end)?;
        let payload_start = self.arg_end + 2;
        let regular = buf.get(self.arg_end..payload_start)? == b"\r\n"
            && arg.len() as u64 <= u64::from(limits.max_control_line)
            && !over_payload_limit(size, limits.max_payload)
            && header_len <= size;
        if !regular {
            return None;
        }
        let end = payload_start + size as usize + 2;
        let payload_crlf = buf.get(payload_start..end)?;
        let payload = payload_crlf.strip_suffix(b"\r\n")?;
        let op = Pub {
            subject: self.subject,
            reply: self.reply,
            header_len,
            is_hpub,
            announced: false,
            hdr_digits: self.hdr_digits,
            size_digits: self.size_digits,
            payload,
            payload_crlf,
            payload_start,
            arg,
        };
        Some((op, end))
    }
}

#[inline]
fn over_payload_limit(size: u32, limit: i64) -> bool {
    limit != UNLIMITED_PAYLOAD && i64::from(size) > limit
}

/// Offsets kept in the parser are bounded by the control line limit and the
/// largest size; saturating is out of reach and harmless in diagnostics.
#[inline]
fn saturate(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
