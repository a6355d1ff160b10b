//! TLS on a connection: what the owning reactor does between its socket and its state machine.
//!
//! The socket is read into the session, plaintext comes out into a read block; staged chunks are
//! encrypted straight from their slices. Only the owner touches a session, so a connection with TLS
//! is in [`WriteMode::Owner`](crate::WriteMode::Owner).

use crate::egress::{Egress, Staged};
use mio::net::TcpStream;
use rustls::{Connection, Writer};
use std::io::{self, Read, Write};

/// Encrypted bytes that may wait for the socket before no more plaintext is taken.
const SENDABLE_BYTES: usize = 256 * 1024;

/// A TLS session over a connection's socket.
pub(crate) struct Tls {
    session: Connection,
    /// Plaintext taken from the egress queue and not encrypted yet.
    staged: Staged,
    /// Bytes of the first of them that are encrypted already.
    head: usize,
    /// Plaintext bytes encrypted but not all written.
    unsettled: usize,
    /// The handshake's end was announced.
    established: bool,
    /// Bytes read before the session began.
    replay: Vec<u8>,
}

/// What writing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsWrite {
    /// Everything is written.
    Done,
    /// The socket is full.
    Full,
    /// The connection is gone.
    Broken,
}

impl Tls {
    pub(crate) fn new(mut session: Connection) -> Tls {
        session.set_buffer_limit(Some(SENDABLE_BYTES));
        Tls {
            session,
            staged: Staged::new(),
            head: 0,
            unsettled: 0,
            established: false,
            replay: Vec::new(),
        }
    }

    /// Bytes of the peer that were read before the session began.
    pub(crate) fn replay(&mut self, bytes: Vec<u8>) {
        self.replay = bytes;
    }

    pub(crate) fn session(&self) -> &Connection {
        &self.session
    }

    /// Whether the handshake has just ended; says so once.
    pub(crate) fn just_established(&mut self) -> bool {
        let now = !self.established && !self.session.is_handshaking();
        self.established |= now;
        now
    }

    /// Whether plaintext waits to be read.
    pub(crate) fn has_plaintext(&mut self) -> bool {
        // Looking without new packets cannot fail: errors were reported when they came in.
        self.session.process_new_packets().is_ok_and(|s| s.plaintext_bytes_to_read() > 0)
    }

    /// Takes records off the socket once. `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    /// The socket's, or `InvalidData` around the [`rustls::Error`] if the peer breaks the protocol.
    pub(crate) fn pull(&mut self, mut socket: &TcpStream) -> io::Result<usize> {
        let n = if self.replay.is_empty() {
            self.session.read_tls(&mut socket)?
        } else {
            let mut rest = self.replay.as_slice();
            let n = self.session.read_tls(&mut rest)?;
            self.replay = rest.to_vec();
            n
        };
        self.session
            .process_new_packets()
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        Ok(n)
    }

    /// Whether bytes from before the session are still to be pulled.
    pub(crate) fn has_replay(&self) -> bool {
        !self.replay.is_empty()
    }

    /// Plaintext for the state machine; `Ok(0)` if the peer has ended its side.
    ///
    /// # Errors
    /// `WouldBlock` if there is none yet; `UnexpectedEof` if the stream was cut.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.session.reader().read(into)
    }

    /// Says goodbye: what is written after this is the end.
    pub(crate) fn close_notify(&mut self) {
        self.session.send_close_notify();
    }

    /// Encrypts what the egress queue holds, and writes.
    pub(crate) fn flush(
        &mut self,
        egress: &Egress,
        mut socket: &TcpStream,
        recycle: &mut dyn FnMut(Vec<u8>),
    ) -> TlsWrite {
        loop {
            while self.session.wants_write() {
                match self.session.write_tls(&mut socket) {
                    Ok(0) => return TlsWrite::Broken,
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return TlsWrite::Full,
                    Err(_) => return TlsWrite::Broken,
                }
            }
            if self.unsettled > 0 {
                egress.settle(std::mem::take(&mut self.unsettled));
            }
            if self.session.is_handshaking() {
                // Plaintext waits in the egress queue until it can be encrypted.
                return TlsWrite::Done;
            }
            if self.staged.is_empty() {
                egress.take(&mut self.staged);
                if self.staged.is_empty() {
                    return TlsWrite::Done;
                }
            }
            self.encrypt(recycle);
        }
    }

    fn encrypt(&mut self, recycle: &mut dyn FnMut(Vec<u8>)) {
        let mut done = 0;
        let mut writer: Writer<'_> = self.session.writer();
        for chunk in &self.staged {
            let bytes = &chunk.bytes()[self.head..];
            // Writing into the session's buffer fails for no reason of the socket's; it takes less
            // than it is given when the buffer is full.
            let n = writer.write(bytes).unwrap_or(0);
            self.unsettled += n;
            if n < bytes.len() {
                self.head += n;
                break;
            }
            self.head = 0;
            done += 1;
        }
        for chunk in self.staged.drain(..done) {
            if let crate::Chunk::Owned(v) = chunk {
                recycle(v);
            }
        }
    }
}
