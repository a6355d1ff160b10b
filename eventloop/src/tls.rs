//! TLS on a connection: what the owning reactor does between its socket and its state machine.
//!
//! Only the owner touches a session, so a connection with TLS is in
//! [`WriteMode::Owner`](crate::WriteMode::Owner). The working memory for encrypted bytes
//! ([`TlsBuffers`]) belongs to the reactor and is used by one connection at a time: what a
//! connection keeps between two events is a cut record, plaintext that found no room, and encrypted
//! bytes that the socket did not take; an idle one keeps none of them.
//!
//! Invariants:
//! - the session holds no plaintext between two calls, and every whole record has been processed;
//! - the session is always shown the bytes it has not released, from their beginning: it keeps places
//!   in them, and one that failed is not shown any at all;
//! - plaintext leaves the egress queue only while nothing encrypted waits for the socket, so that
//!   what waits encrypted is bounded by [`ENCRYPT_BYTES`] and the queue's own limits apply;
//! - `unsettled` counts the plaintext behind the encrypted bytes that are not written yet.

use crate::Chunk;
use crate::egress::{Egress, Staged};
use mio::net::TcpStream;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error, InvalidMessage};
use std::io::{self, Read, Write};

/// Bytes of the peer that are looked at together. More than a handshake message may have (64 KiB),
/// and room for a block's worth of records behind a cut one.
const INCOMING_BYTES: usize = 160 * 1024;
/// Plaintext that is encrypted before it is written.
const ENCRYPT_BYTES: usize = 128 * 1024;
/// Shorter chunks are copied together, so that they share records.
const GATHER_BELOW_BYTES: usize = 4 * 1024;
/// Plaintext in one record.
const RECORD_BYTES: usize = 16 * 1024;
/// More than a record's header, nonce, padding and tag.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// A TLS session that has not begun yet.
// The variants differ in size, but each lives in a box of its own soon after.
#[allow(clippy::large_enum_variant)]
pub enum TlsSession {
    /// The peer connected to this side.
    Server(UnbufferedServerConnection),
    /// This side connected to the peer.
    Client(UnbufferedClientConnection),
}

impl From<UnbufferedServerConnection> for TlsSession {
    fn from(session: UnbufferedServerConnection) -> TlsSession {
        TlsSession::Server(session)
    }
}

impl From<UnbufferedClientConnection> for TlsSession {
    fn from(session: UnbufferedClientConnection) -> TlsSession {
        TlsSession::Client(session)
    }
}

/// A side of TLS: both have the same states, of different types.
trait Side {
    type Data;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Whether something of its own waits to be encoded.
    fn has_to_say(&self) -> bool;
}

impl Side for UnbufferedServerConnection {
    type Data = rustls::server::ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn has_to_say(&self) -> bool {
        self.wants_write()
    }
}

impl Side for UnbufferedClientConnection {
    type Data = rustls::client::ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn has_to_say(&self) -> bool {
        self.wants_write()
    }
}

/// Bytes on their way to the socket. The memory is initialised once and kept at its length.
#[derive(Default)]
struct Outgoing {
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl Outgoing {
    /// Room for `n` more bytes.
    fn room(&mut self, n: usize) -> &mut [u8] {
        let needed = self.end + n;
        if self.memory.len() < needed {
            self.memory.resize(needed, 0);
        }
        &mut self.memory[self.end..]
    }
}

/// A reactor's working memory for TLS.
#[derive(Default)]
pub(crate) struct TlsBuffers {
    incoming: Vec<u8>,
    gathered: Vec<u8>,
    outgoing: Outgoing,
}

impl TlsBuffers {
    /// Frees the memory: called when the thread has been idle for a while.
    pub(crate) fn trim(&mut self) {
        *self = TlsBuffers::default();
    }
}

/// Plaintext that was decrypted: into the place given, and what did not fit behind it.
struct Decrypted<'a> {
    into: &'a mut [u8],
    filled: usize,
    rest: &'a mut Vec<u8>,
}

impl Decrypted<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let fits =
            if self.rest.is_empty() { bytes.len().min(self.into.len() - self.filled) } else { 0 };
        self.into[self.filled..self.filled + fits].copy_from_slice(&bytes[..fits]);
        self.filled += fits;
        self.rest.extend_from_slice(&bytes[fits..]);
    }
}

/// What processing the peer's bytes came to.
struct Processed {
    /// Bytes that are done with.
    used: usize,
    /// The peer has ended its side.
    ended: bool,
    result: Result<(), Error>,
}

/// Processes what the peer sent, as far as it goes; replies are appended to `outgoing`.
fn process<S: Side>(
    side: &mut S,
    incoming: &mut [u8],
    plaintext: &mut Decrypted<'_>,
    outgoing: &mut Outgoing,
) -> Processed {
    let mut done = Processed { used: 0, ended: false, result: Ok(()) };
    loop {
        let UnbufferedStatus { discard, state } = side.process(&mut incoming[done.used..]);
        let more = match state {
            Ok(ConnectionState::ReadTraffic(mut records)) => {
                while let Some(record) = records.next_record() {
                    match record {
                        Ok(record) => {
                            done.used += record.discard;
                            plaintext.put(record.payload);
                        }
                        Err(e) => done.result = Err(e),
                    }
                }
                true
            }
            Ok(ConnectionState::EncodeTlsData(data)) => {
                encode(data, outgoing);
                true
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // It is in `outgoing`, which is written before anything else.
                data.done();
                true
            }
            Ok(ConnectionState::PeerClosed) => {
                done.ended = true;
                true
            }
            Ok(ConnectionState::Closed) => {
                done.ended = true;
                false
            }
            Ok(_) => false,
            Err(e) => {
                done.result = Err(e);
                false
            }
        };
        done.used += discard;
        // A session that failed is asked for the alert that tells the peer, and for nothing else:
        // while it has something to say it does not look at the bytes it failed on.
        let more = if done.result.is_err() { side.has_to_say() } else { more };
        if !more {
            return done;
        }
    }
}

/// Puts what the session has to say by itself into `outgoing`, then lets `write` use its state for
/// writing. `None` if the session does not write, or not any more. The session has to see what it
/// holds of the peer's bytes each time: it knows messages in them by their places.
fn with_traffic<S: Side, R>(
    side: &mut S,
    incoming: &mut Vec<u8>,
    outgoing: &mut Outgoing,
    write: impl FnOnce(&mut WriteTraffic<'_, S::Data>, &mut Outgoing) -> R,
) -> Option<R> {
    loop {
        let UnbufferedStatus { discard, state } = side.process(incoming);
        match state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let result = write(&mut traffic, outgoing);
                incoming.drain(..discard);
                return Some(result);
            }
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, outgoing),
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            // Said once; whoever reads has been told.
            Ok(ConnectionState::PeerClosed) => {}
            _ => return None,
        }
        incoming.drain(..discard);
    }
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, outgoing: &mut Outgoing) {
    let mut n = data.encode(outgoing.room(0));
    if let Err(EncodeError::InsufficientSize(e)) = &n {
        n = data.encode(outgoing.room(e.required_size));
    }
    outgoing.end += n.unwrap_or(0);
}

/// Encrypts `plaintext` behind what is in `outgoing`. `false` if the session cannot.
fn encrypt<S: Side>(
    side: &mut S,
    incoming: &mut Vec<u8>,
    plaintext: &[u8],
    outgoing: &mut Outgoing,
) -> bool {
    let records = plaintext.len() / RECORD_BYTES + 1;
    let needed = plaintext.len() + records * RECORD_OVERHEAD_BYTES;
    let written = with_traffic(side, incoming, outgoing, |traffic, outgoing| {
        let mut n = traffic.encrypt(plaintext, outgoing.room(needed));
        if let Err(EncryptError::InsufficientSize(e)) = &n {
            n = traffic.encrypt(plaintext, outgoing.room(e.required_size));
        }
        outgoing.end += n.as_ref().map_or(0, |n| *n);
        n.is_ok()
    });
    written == Some(true)
}

fn close_notify<S: Side>(side: &mut S, incoming: &mut Vec<u8>, outgoing: &mut Outgoing) {
    // A goodbye that cannot be said is no loss: the socket is closed all the same.
    let _ = with_traffic(side, incoming, outgoing, |traffic, outgoing| {
        let n = traffic.queue_close_notify(outgoing.room(RECORD_OVERHEAD_BYTES));
        outgoing.end += n.unwrap_or(0);
    });
}

/// A TLS session over a connection's socket.
pub(crate) struct Tls {
    session: TlsSession,
    /// Bytes of the peer that make no whole record yet, or were read before the session began.
    incoming: Vec<u8>,
    /// Bytes were read before the session began, and may be a whole record.
    replay: bool,
    /// Plaintext that found no room, from `taken` on.
    plaintext: Vec<u8>,
    taken: usize,
    /// Encrypted bytes that the socket did not take.
    outgoing: Outgoing,
    /// Plaintext taken from the egress queue and not encrypted yet.
    staged: Staged,
    /// Bytes of the first of them that are encrypted already.
    head: usize,
    /// Plaintext bytes encrypted but not all written.
    unsettled: usize,
    /// The socket was full the last time.
    blocked: bool,
    /// The handshake's end was announced.
    established: bool,
    /// The peer has ended its side.
    ended: bool,
    /// The session's error, still to be reported.
    failed: Option<Error>,
    /// The session has failed: it is not used any more.
    dead: bool,
}

/// What writing came to.
#[derive(Debug)]
pub(crate) enum TlsWrite {
    /// Everything is written.
    Done,
    /// The socket is full.
    Full,
    /// The connection is gone.
    Broken(io::Error),
}

/// What a read brought.
pub(crate) struct TlsRead {
    /// Bytes of plaintext, none for the end of the stream, or why there are none.
    pub plaintext: io::Result<usize>,
    /// Another read may bring more without another event.
    pub more: bool,
}

impl Tls {
    pub(crate) fn new(session: TlsSession) -> Tls {
        Tls {
            session,
            replay: false,
            incoming: Vec::new(),
            plaintext: Vec::new(),
            taken: 0,
            outgoing: Outgoing::default(),
            staged: Staged::new(),
            head: 0,
            unsettled: 0,
            blocked: false,
            established: false,
            ended: false,
            failed: None,
            dead: false,
        }
    }

    /// Bytes that were read before the session began.
    pub(crate) fn replay(&mut self, bytes: Vec<u8>) {
        self.replay = !bytes.is_empty();
        self.incoming = bytes;
    }

    /// What is known of the session.
    pub(crate) fn session(&self) -> &CommonState {
        match &self.session {
            TlsSession::Server(s) => s,
            TlsSession::Client(c) => c,
        }
    }

    /// Whether the handshake has just ended; says so once.
    pub(crate) fn just_established(&mut self) -> bool {
        let now = !self.established && !self.session().is_handshaking();
        self.established |= now;
        now
    }

    /// Reads the socket once, and puts the plaintext of what came into `into`.
    pub(crate) fn read(
        &mut self,
        socket: &TcpStream,
        into: &mut [u8],
        buffers: &mut TlsBuffers,
    ) -> TlsRead {
        if self.taken < self.plaintext.len() {
            let n = into.len().min(self.plaintext.len() - self.taken);
            into[..n].copy_from_slice(&self.plaintext[self.taken..self.taken + n]);
            self.taken += n;
            if self.taken == self.plaintext.len() {
                self.plaintext = Vec::new();
                self.taken = 0;
            }
            return TlsRead { plaintext: Ok(n), more: true };
        }
        if let Some(e) = self.failed.take() {
            return TlsRead { plaintext: Err(broken(e)), more: false };
        }
        if self.ended {
            return TlsRead { plaintext: Ok(0), more: false };
        }
        self.receive(socket, into, buffers)
    }

    fn receive(
        &mut self,
        mut socket: &TcpStream,
        into: &mut [u8],
        buffers: &mut TlsBuffers,
    ) -> TlsRead {
        let incoming = &mut buffers.incoming;
        incoming.resize(INCOMING_BYTES, 0);
        let before = self.incoming.len();
        if before >= INCOMING_BYTES {
            // No message of the protocol is that long.
            let e = Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge);
            return TlsRead { plaintext: Err(broken(e)), more: false };
        }
        incoming[..before].copy_from_slice(&self.incoming);
        let replay = std::mem::take(&mut self.replay);
        let mut more = replay;
        let mut read = 0;
        if !replay {
            // Records are longer than their plaintext: this much never overflows a block by much.
            let room = into.len().max(RECORD_BYTES).min(INCOMING_BYTES - before);
            match socket.read(&mut incoming[before..before + room]) {
                Ok(0) => return TlsRead { plaintext: Ok(0), more: false },
                Ok(n) => {
                    read = n;
                    more = n == room;
                }
                Err(e) => {
                    let more = e.kind() == io::ErrorKind::Interrupted;
                    return TlsRead { plaintext: Err(e), more };
                }
            }
        }
        let filled = before + read;
        let mut plaintext = Decrypted { into, filled: 0, rest: &mut self.plaintext };
        let done = {
            let incoming = &mut incoming[..filled];
            match &mut self.session {
                TlsSession::Server(s) => process(s, incoming, &mut plaintext, &mut self.outgoing),
                TlsSession::Client(c) => process(c, incoming, &mut plaintext, &mut self.outgoing),
            }
        };
        let n = plaintext.filled;
        let rest = incoming.get(done.used..filled).unwrap_or_default();
        self.incoming = rest.to_vec();
        self.ended = done.ended;
        if let Err(e) = done.result {
            self.dead = true;
            self.failed = Some(e);
        }
        let more = more || !self.plaintext.is_empty() || self.failed.is_some() || self.ended;
        if n == 0 {
            if let Some(e) = self.failed.take() {
                return TlsRead { plaintext: Err(broken(e)), more: false };
            }
            if self.ended {
                return TlsRead { plaintext: Ok(0), more: false };
            }
            // Bytes came, if no plaintext: the end of the stream may stand right behind them.
            let more = more || read > 0;
            return TlsRead { plaintext: Err(io::ErrorKind::WouldBlock.into()), more };
        }
        TlsRead { plaintext: Ok(n), more }
    }

    /// Says goodbye: what is written after this is the end.
    pub(crate) fn close_notify(&mut self) {
        if self.dead || self.session().is_handshaking() {
            return;
        }
        match &mut self.session {
            TlsSession::Server(s) => close_notify(s, &mut self.incoming, &mut self.outgoing),
            TlsSession::Client(c) => close_notify(c, &mut self.incoming, &mut self.outgoing),
        }
    }

    /// Writes what is encrypted, then encrypts what the egress queue holds, and writes that.
    pub(crate) fn flush(
        &mut self,
        egress: &Egress,
        socket: &TcpStream,
        buffers: &mut TlsBuffers,
        recycle: &mut dyn FnMut(Vec<u8>),
    ) -> TlsWrite {
        loop {
            let before = self.outgoing.start;
            let result = self.write(socket);
            if matches!(result, TlsWrite::Full) {
                // The write deadline looks at progress, so what went out counts at once.
                let written = (self.outgoing.start - before).min(self.unsettled);
                self.unsettled -= written;
                self.blocked = true;
                if written > 0 {
                    egress.settle(written);
                }
            }
            if !matches!(result, TlsWrite::Done) {
                return result;
            }
            if std::mem::take(&mut self.blocked) || self.unsettled > 0 {
                egress.settle(std::mem::take(&mut self.unsettled));
            }
            // The memory goes back to the reactor; a connection keeps it only while it is needed.
            let memory = std::mem::take(&mut self.outgoing.memory);
            if memory.len() > buffers.outgoing.memory.len() {
                buffers.outgoing.memory = memory;
            }
            if self.dead {
                // Nothing can be encrypted any more; whoever reads reports why.
                return TlsWrite::Done;
            }
            if self.session().is_handshaking() {
                // Plaintext waits in the egress queue until it can be encrypted.
                return TlsWrite::Done;
            }
            if self.staged.is_empty() {
                egress.take(&mut self.staged);
                if self.staged.is_empty() {
                    return TlsWrite::Done;
                }
            }
            self.outgoing.memory = std::mem::take(&mut buffers.outgoing.memory);
            if !self.encrypt_staged(&mut buffers.gathered, recycle) {
                return TlsWrite::Broken(io::Error::other("the TLS session cannot encrypt"));
            }
        }
    }

    /// Writes what is encrypted.
    fn write(&mut self, mut socket: &TcpStream) -> TlsWrite {
        let out = &mut self.outgoing;
        while out.start < out.end {
            match socket.write(&out.memory[out.start..out.end]) {
                Ok(0) => return TlsWrite::Broken(io::ErrorKind::WriteZero.into()),
                Ok(n) => out.start += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return TlsWrite::Full,
                Err(e) => return TlsWrite::Broken(e),
            }
        }
        out.start = 0;
        out.end = 0;
        TlsWrite::Done
    }

    /// Encrypts staged chunks, up to about [`ENCRYPT_BYTES`].
    fn encrypt_staged(&mut self, gathered: &mut Vec<u8>, recycle: &mut dyn FnMut(Vec<u8>)) -> bool {
        gathered.clear();
        let mut budget = ENCRYPT_BYTES;
        let mut done = 0;
        let mut good = true;
        let chunks = self.staged.len();
        while good && budget > 0 && done < chunks {
            let bytes = self.staged.get(done).map_or(&[][..], |c| c.bytes());
            let rest = bytes.get(self.head..).unwrap_or_default();
            let piece = &rest[..rest.len().min(budget)];
            let alone = chunks == 1 || piece.len() >= GATHER_BELOW_BYTES;
            if !alone {
                gathered.extend_from_slice(piece);
            }
            budget -= piece.len();
            self.unsettled += piece.len();
            if piece.len() == rest.len() {
                self.head = 0;
                done += 1;
            } else {
                self.head += piece.len();
            }
            let last = budget == 0 || done == chunks;
            if !gathered.is_empty() && (alone || last || gathered.len() >= RECORD_BYTES) {
                good &= encrypt_with(
                    &mut self.session,
                    &mut self.incoming,
                    gathered,
                    &mut self.outgoing,
                );
                gathered.clear();
            }
            if alone {
                good &=
                    encrypt_with(&mut self.session, &mut self.incoming, piece, &mut self.outgoing);
            }
        }
        for chunk in self.staged.drain(..done) {
            if let Chunk::Owned(v) = chunk {
                recycle(v);
            }
        }
        good
    }
}

fn encrypt_with(
    session: &mut TlsSession,
    incoming: &mut Vec<u8>,
    bytes: &[u8],
    outgoing: &mut Outgoing,
) -> bool {
    match session {
        TlsSession::Server(s) => encrypt(s, incoming, bytes, outgoing),
        TlsSession::Client(c) => encrypt(c, incoming, bytes, outgoing),
    }
}

fn broken(e: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e)
}
