//! The egress queue: everything on its way out of one connection, in order.
//!
//! Any thread hands staged chunks over ([`Egress::hand_over`]); whoever finds the queue idle writes
//! to the socket at once, without the lock held, so that a delivery normally costs one writev and
//! no wake-up. Only one thread writes at a time; what others hand over meanwhile is queued and
//! written by it, or, once the socket is full, by the owning reactor when it is writable again.
//!
//! Invariants:
//! - chunks leave in the order in which they were handed over;
//! - `pending_bytes` is the sum of what is queued and of what the writer holds;
//! - after [`Egress::close`] nothing is accepted, and the socket is released once the writer is done.
//!
//! Implements spec 01 §8: pending bytes, slow consumers, write deadline, stall gate.

use crate::Token;
use crate::mailbox::{Mailbox, Note};
use bytes::Bytes;
use mio::net::TcpStream;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// Buffers in one writev (the kernel's limit is 1,024).
const MAX_SLICES: usize = 64;
/// Bytes that one write deadline covers (spec 01 §8.1: batches of at most 64 MiB).
const DEADLINE_BATCH_BYTES: usize = 64 * 1024 * 1024;
/// A producer is held back while a destination has more than this pending ...
pub const HOLD_ABOVE_BYTES: usize = 512 * 1024;
/// ... until it has drained to this.
pub const HOLD_UNTIL_BYTES: usize = 128 * 1024;

/// Bytes on their way out.
#[derive(Debug)]
pub enum Chunk {
    /// Copied and encoded: goes back to a pool once written.
    Owned(Vec<u8>),
    /// A slice of a read block or of a stored record.
    Shared(Bytes),
}

impl Chunk {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Owned(v) => v,
            Chunk::Shared(b) => b,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Chunks staged for one destination and not handed over yet.
pub type Staged = SmallVec<[Chunk; 4]>;

/// Who writes to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WriteMode {
    /// Any thread, directly: the bytes go out as they are.
    Direct = 0,
    /// The owning reactor only: the bytes pass through a transport with state of its own.
    Owner = 1,
}

/// What became of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// Everything was written.
    Written,
    /// This much is pending now.
    Pending(usize),
    /// This much is pending, and only the owner can write it: the caller is the owner and does so
    /// at its next opportunity, or has left it a note.
    Owner(usize),
    /// The limit of pending bytes was exceeded by this hand-over: the connection is a slow consumer
    /// and has been closed to further output. Said to exactly one caller.
    SlowConsumer,
    /// The connection does not take output any more.
    Closed,
}

/// What the write deadline's timer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineCheck {
    /// Nothing is blocked any more: no timer needed.
    Clear,
    /// Look again at this tick.
    Again(u64),
    /// The deadline passed with this much pending, in this many chunks; whether any byte of the
    /// batch was written.
    Exceeded {
        /// Bytes still pending.
        bytes: usize,
        /// Chunks they are in.
        chunks: usize,
        /// Whether the batch made any progress.
        progress: bool,
    },
}

/// A write deadline had passed, and the batch that was kept went out within the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Ticks (milliseconds) from the deadline that had passed to the end of the batch.
    pub took_ms: u64,
    /// Chunks that were pending at that deadline.
    pub chunks: usize,
    /// Bytes that were pending at that deadline.
    pub bytes: usize,
}

/// A batch that was kept although its deadline passed.
#[derive(Clone, Copy)]
struct Kept {
    since: u64,
    chunks: usize,
    bytes: usize,
    /// All of it is written.
    done: bool,
}

struct Blocked {
    /// Tick at which the current batch's write deadline passes.
    deadline: u64,
    /// Bytes of the batch not written yet.
    batch_left: usize,
    progress: bool,
}

struct Queue {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that were written already.
    head: usize,
    /// A thread is writing, outside the lock.
    writing: bool,
    /// The socket became writable while a thread was writing.
    writable_hint: bool,
    blocked: Option<Blocked>,
    /// A deadline timer is armed in the owning reactor.
    deadline_armed: bool,
    flush_noted: bool,
    close_noted: bool,
    closed: bool,
    /// Connections whose reads wait for this queue to drain.
    waiters: Vec<(Arc<Mailbox>, Token)>,
    socket: Option<Arc<TcpStream>>,
    /// A write failed: the connection is broken.
    broken: Option<io::Error>,
    /// Set from a deadline that passed until the owner has heard of the recovery.
    kept: Option<Kept>,
    /// Bytes written since the start, wrapping: how far a blocked batch got.
    written: usize,
}

/// Limits of a connection's output.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Slow consumer above this many pending bytes; `usize::MAX` for links.
    pub max_pending_bytes: usize,
    /// Write deadline in milliseconds.
    pub write_deadline_ms: u64,
}

/// The output side of one connection.
pub struct Egress {
    token: Token,
    slot: u32,
    owner: Arc<Mailbox>,
    mode: AtomicU8,
    max_pending: AtomicUsize,
    write_deadline_ms: AtomicU64,
    pending: AtomicUsize,
    /// More than three quarters of the limit pending (spec 01 §8.3).
    gated: AtomicBool,
    /// Did not drain while a producer was held back: not waited for until its queue has drained.
    lagging: AtomicBool,
    closed: AtomicBool,
    /// Times a producer was held back because this queue was nearly full (spec 01 §8.3).
    stalls: AtomicI64,
    /// Messages handed over, for statistics of the connection (spec 01 §15).
    out_messages: AtomicI64,
    out_bytes: AtomicI64,
    /// When messages were last handed over, in nanoseconds of the wall clock; zero for never.
    last_delivery: AtomicU64,
    queue: Mutex<Queue>,
}

impl Egress {
    /// The output side of `socket`, owned by the reactor behind `owner`. `slot` is unique among the
    /// open connections of the process and small: threads index their staging tables with it.
    pub fn new(
        socket: Arc<TcpStream>,
        token: Token,
        slot: u32,
        owner: Arc<Mailbox>,
        limits: Limits,
    ) -> Egress {
        Egress {
            token,
            slot,
            owner,
            mode: AtomicU8::new(WriteMode::Direct as u8),
            max_pending: AtomicUsize::new(limits.max_pending_bytes),
            write_deadline_ms: AtomicU64::new(limits.write_deadline_ms),
            pending: AtomicUsize::new(0),
            gated: AtomicBool::new(false),
            lagging: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            stalls: AtomicI64::new(0),
            out_messages: AtomicI64::new(0),
            out_bytes: AtomicI64::new(0),
            last_delivery: AtomicU64::new(0),
            queue: Mutex::new(Queue {
                chunks: VecDeque::new(),
                head: 0,
                writing: false,
                writable_hint: false,
                blocked: None,
                deadline_armed: false,
                flush_noted: false,
                close_noted: false,
                closed: false,
                waiters: Vec::new(),
                socket: Some(socket),
                broken: None,
                kept: None,
                written: 0,
            }),
        }
    }

    /// The connection's token in its reactor.
    pub fn token(&self) -> Token {
        self.token
    }

    /// The owning reactor.
    pub fn owner(&self) -> &Arc<Mailbox> {
        &self.owner
    }

    /// Index into staging tables.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Bytes not written yet.
    pub fn pending_bytes(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Whether more than three quarters of the pending limit is used (spec 01 §8.3).
    pub fn is_gated(&self) -> bool {
        self.gated.load(Ordering::Relaxed)
    }

    /// Counts a producer that is held back because this queue is nearly full.
    pub(crate) fn count_stall(&self) {
        self.stalls.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a producer was held back because this queue was nearly full.
    pub fn stalls(&self) -> i64 {
        self.stalls.load(Ordering::Relaxed)
    }

    /// Whether output is refused.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Messages and bytes delivered so far.
    pub fn delivered(&self) -> (i64, i64) {
        (self.out_messages.load(Ordering::Relaxed), self.out_bytes.load(Ordering::Relaxed))
    }

    /// When messages were last handed over, in nanoseconds since the epoch; zero for never.
    pub fn last_delivery(&self) -> u64 {
        self.last_delivery.load(Ordering::Relaxed)
    }

    /// Adds to the delivery statistics. `at` is the time, in nanoseconds since the epoch.
    pub fn count_delivered(&self, messages: i64, bytes: i64, at: u64) {
        if messages != 0 {
            // Threads may get here in another order than their passes began.
            if at > self.last_delivery.load(Ordering::Relaxed) {
                self.last_delivery.store(at, Ordering::Relaxed);
            }
            self.out_messages.fetch_add(messages, Ordering::Relaxed);
            self.out_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Changes the limits (configuration reload, account limits).
    pub fn set_limits(&self, limits: Limits) {
        self.max_pending.store(limits.max_pending_bytes, Ordering::Relaxed);
        self.write_deadline_ms.store(limits.write_deadline_ms, Ordering::Relaxed);
    }

    /// From now on only the owning reactor writes, or any thread again.
    pub fn set_mode(&self, mode: WriteMode) {
        self.mode.store(mode as u8, Ordering::Release);
    }

    fn mode(&self) -> WriteMode {
        if self.mode.load(Ordering::Acquire) == WriteMode::Direct as u8 {
            WriteMode::Direct
        } else {
            WriteMode::Owner
        }
    }

    fn gate_above(max_pending: usize) -> usize {
        if max_pending == usize::MAX { usize::MAX } else { max_pending / 4 * 3 }
    }

    /// Takes over `staged` (left empty) of `bytes` bytes, and writes if nobody else is at it and
    /// `write` is set. Otherwise the owner is to do it: `owned` says that the caller is the owner, so
    /// that no note is needed. Written buffers go to `recycle`.
    pub fn hand_over(
        &self,
        staged: &mut Staged,
        bytes: usize,
        write: bool,
        owned: bool,
        now: u64,
        recycle: &mut dyn FnMut(Vec<u8>),
    ) -> HandOver {
        let direct = write && self.mode() == WriteMode::Direct;
        let mut q = self.queue.lock();
        if q.closed {
            drop(q);
            recycle_all(staged, recycle);
            return HandOver::Closed;
        }
        let idle = !q.writing && q.blocked.is_none() && q.chunks.is_empty();
        if idle && direct {
            q.writing = true;
            let socket = q.socket.clone();
            self.pending.fetch_add(bytes, Ordering::Relaxed);
            drop(q);
            // The common case: the chunks go straight from the stage into the socket.
            let (written, result) = match &socket {
                Some(s) => write_chunks(s, staged, 0),
                None => (0, WriteResult::Broken(io::ErrorKind::NotConnected.into())),
            };
            let mut q = self.queue.lock();
            self.pending.fetch_sub(written, Ordering::Relaxed);
            q.written = q.written.wrapping_add(written);
            let rest = bytes - written;
            if rest == 0 {
                recycle_all(staged, recycle);
            } else {
                // What was not written goes in front of what others queued meanwhile.
                let mut skip = written;
                let mut keep: Staged = SmallVec::new();
                for c in staged.drain(..) {
                    if skip >= c.len() {
                        skip -= c.len();
                        if let Chunk::Owned(v) = c {
                            recycle(v);
                        }
                    } else {
                        keep.push(c);
                        if keep.len() == 1 {
                            q.head = skip;
                        }
                        skip = 0;
                    }
                }
                for c in keep.into_iter().rev() {
                    q.chunks.push_front(c);
                }
            }
            return self.finish_write(q, result, now, recycle);
        }
        let before = self.pending.fetch_add(bytes, Ordering::Relaxed);
        q.chunks.extend(staged.drain(..));
        let outcome = self.check_limit(&mut q, before + bytes);
        if outcome == HandOver::SlowConsumer {
            return outcome;
        }
        if idle && !q.flush_noted {
            q.flush_noted = true;
            drop(q);
            if owned {
                return HandOver::Owner(before + bytes);
            }
            self.owner.note(Note::Flush(self.token));
        }
        outcome
    }

    fn check_limit(&self, q: &mut Queue, pending: usize) -> HandOver {
        let max = self.max_pending.load(Ordering::Relaxed);
        if pending > max {
            self.refuse(q);
            if !q.close_noted {
                q.close_noted = true;
                self.owner.note(Note::Close(self.token));
            }
            return HandOver::SlowConsumer;
        }
        if pending > Self::gate_above(max) {
            self.gated.store(true, Ordering::Relaxed);
        }
        HandOver::Pending(pending)
    }

    /// After a write without the lock: go on with what was queued meanwhile, or settle.
    fn finish_write<'a>(
        &'a self,
        mut q: parking_lot::MutexGuard<'a, Queue>,
        mut result: WriteResult,
        now: u64,
        recycle: &mut dyn FnMut(Vec<u8>),
    ) -> HandOver {
        debug_assert!(q.writing);
        loop {
            if q.closed {
                q.writing = false;
                self.drop_queue(&mut q);
                return HandOver::Closed;
            }
            match result {
                WriteResult::Broken(error) => {
                    q.writing = false;
                    q.broken = Some(error);
                    self.refuse(&mut q);
                    if !q.close_noted {
                        q.close_noted = true;
                        self.owner.note(Note::Close(self.token));
                    }
                    return HandOver::Closed;
                }
                WriteResult::Full if !q.writable_hint => {
                    q.writing = false;
                    let pending = self.pending.load(Ordering::Relaxed);
                    q.blocked = Some(Blocked {
                        deadline: now + self.write_deadline_ms.load(Ordering::Relaxed),
                        batch_left: pending.min(DEADLINE_BATCH_BYTES),
                        progress: false,
                    });
                    self.wake_waiters(&mut q, pending);
                    if !q.deadline_armed {
                        q.deadline_armed = true;
                        self.owner.note(Note::Blocked(self.token));
                    }
                    return self.check_limit(&mut q, pending);
                }
                WriteResult::Full | WriteResult::Done => q.writable_hint = false,
            }
            if q.chunks.is_empty() {
                q.writing = false;
                debug_assert_eq!(self.pending.load(Ordering::Relaxed), 0);
                self.gated.store(false, Ordering::Relaxed);
                self.wake_waiters(&mut q, 0);
                return HandOver::Written;
            }
            // Take the queue out, write without the lock, put back what is left.
            let mut chunks = std::mem::take(&mut q.chunks);
            let head = std::mem::take(&mut q.head);
            let socket = q.socket.clone();
            drop(q);
            let (written, r) = match &socket {
                Some(s) => write_deque(s, &mut chunks, head, recycle),
                None => {
                    let gone = io::ErrorKind::NotConnected.into();
                    (Written { bytes: 0, head }, WriteResult::Broken(gone))
                }
            };
            result = r;
            q = self.queue.lock();
            let pending = self.pending.fetch_sub(written.bytes, Ordering::Relaxed) - written.bytes;
            q.head = written.head;
            q.written = q.written.wrapping_add(written.bytes);
            if q.chunks.is_empty() {
                q.chunks = chunks;
            } else if !chunks.is_empty() {
                chunks.append(&mut q.chunks);
                q.chunks = chunks;
            }
            if q.chunks.is_empty() && q.chunks.capacity() > 256 {
                q.chunks = VecDeque::new();
            }
            if pending <= Self::gate_above(self.max_pending.load(Ordering::Relaxed)) {
                self.gated.store(false, Ordering::Relaxed);
            }
            self.wake_waiters(&mut q, pending);
        }
    }

    fn wake_waiters(&self, q: &mut Queue, pending: usize) {
        if pending <= HOLD_UNTIL_BYTES {
            self.lagging.store(false, Ordering::Relaxed);
            for (mailbox, token) in q.waiters.drain(..) {
                mailbox.note(Note::Resume(token));
            }
        }
    }

    /// The owner's part: writes what is queued (after a writable event or a flush note). `wrote` is
    /// told how much of a blocked batch went out.
    pub fn flush(&self, now: u64, recycle: &mut dyn FnMut(Vec<u8>)) -> HandOver {
        let mut q = self.queue.lock();
        q.flush_noted = false;
        if q.closed {
            return HandOver::Closed;
        }
        if q.writing {
            q.writable_hint = true;
            return HandOver::Pending(self.pending.load(Ordering::Relaxed));
        }
        let batch = q.blocked.take();
        if q.chunks.is_empty() {
            return HandOver::Written;
        }
        q.writing = true;
        let before = q.written;
        let outcome = self.finish_write(q, WriteResult::Done, now, recycle);
        // A batch that is still not out keeps its deadline.
        if let Some(batch) = batch {
            let mut q = self.queue.lock();
            let written = q.written.wrapping_sub(before);
            if let Some(b) = &mut q.blocked
                && batch.batch_left > written
            {
                b.deadline = batch.deadline;
                b.batch_left = batch.batch_left - written;
                b.progress = batch.progress || written > 0;
            } else {
                self.recover(&mut q);
            }
        }
        outcome
    }

    /// Takes everything queued, for a transport that encodes it; the owner calls this in
    /// [`WriteMode::Owner`]. The bytes stay pending until [`Egress::settle`].
    pub fn take(&self, into: &mut Staged) -> usize {
        let mut q = self.queue.lock();
        q.flush_noted = false;
        if q.writing {
            // A direct write was under way when the mode changed: its end leaves a note.
            return 0;
        }
        let head = std::mem::take(&mut q.head);
        let mut bytes = 0;
        for (n, chunk) in q.chunks.drain(..).enumerate() {
            let chunk = if n == 0 && head > 0 {
                match chunk {
                    Chunk::Owned(mut v) => {
                        v.drain(..head.min(v.len()));
                        Chunk::Owned(v)
                    }
                    Chunk::Shared(b) => Chunk::Shared(b.slice(head.min(b.len())..)),
                }
            } else {
                chunk
            };
            bytes += chunk.len();
            into.push(chunk);
        }
        bytes
    }

    /// The transport has written `bytes` of what [`Egress::take`] gave it.
    pub fn settle(&self, bytes: usize) {
        let mut q = self.queue.lock();
        let pending = self.pending.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        if pending <= Self::gate_above(self.max_pending.load(Ordering::Relaxed)) {
            self.gated.store(false, Ordering::Relaxed);
        }
        if let Some(b) = &mut q.blocked {
            b.progress |= bytes > 0;
            b.batch_left = b.batch_left.saturating_sub(bytes);
            if b.batch_left == 0 || pending == 0 {
                q.blocked = None;
                self.recover(&mut q);
            }
        }
        self.wake_waiters(&mut q, pending);
    }

    /// The transport could not write everything: the write deadline runs from now, unless it runs
    /// already.
    pub fn mark_blocked(&self, now: u64) {
        let mut q = self.queue.lock();
        if q.blocked.is_none() && !q.closed {
            q.blocked = Some(Blocked {
                deadline: now + self.write_deadline_ms.load(Ordering::Relaxed),
                batch_left: self.pending.load(Ordering::Relaxed).min(DEADLINE_BATCH_BYTES),
                progress: false,
            });
        }
        if !q.deadline_armed {
            q.deadline_armed = true;
            self.owner.note(Note::Blocked(self.token));
        }
    }

    /// The tick at which the deadline's timer is to be armed, after [`Note::Blocked`].
    pub fn deadline(&self) -> Option<u64> {
        let mut q = self.queue.lock();
        match &q.blocked {
            Some(b) => Some(b.deadline),
            None => {
                q.deadline_armed = false;
                None
            }
        }
    }

    /// The deadline's timer fired.
    pub fn check_deadline(&self, now: u64) -> DeadlineCheck {
        let mut q = self.queue.lock();
        let Some(b) = &q.blocked else {
            q.deadline_armed = false;
            return DeadlineCheck::Clear;
        };
        if b.deadline > now {
            return DeadlineCheck::Again(b.deadline);
        }
        let progress = b.progress;
        q.deadline_armed = false;
        DeadlineCheck::Exceeded {
            bytes: self.pending.load(Ordering::Relaxed),
            chunks: q.chunks.len().max(1),
            progress,
        }
    }

    /// The batch under way is written; tells the owner if it had been kept past its deadline.
    fn recover(&self, q: &mut Queue) {
        if let Some(kept) = &mut q.kept
            && !q.closed
            && !kept.done
        {
            kept.done = true;
            self.owner.note(Note::Recovered(self.token));
        }
    }

    /// How the connection caught up, after [`Note::Recovered`].
    pub fn take_recovery(&self, now: u64) -> Option<Recovery> {
        let mut q = self.queue.lock();
        let kept = q.kept.take_if(|kept| kept.done)?;
        let took_ms = now.saturating_sub(kept.since);
        Some(Recovery { took_ms, chunks: kept.chunks, bytes: kept.bytes })
    }

    /// The deadline was exceeded but the connection is kept (write timeout policy `retry`): a new
    /// batch begins. Returns its deadline.
    pub fn restart_deadline(&self, now: u64) -> u64 {
        let mut q = self.queue.lock();
        let deadline = now + self.write_deadline_ms.load(Ordering::Relaxed);
        q.kept = Some(Kept {
            since: now,
            chunks: q.chunks.len().max(1),
            bytes: self.pending.load(Ordering::Relaxed),
            done: false,
        });
        if let Some(b) = &mut q.blocked {
            b.deadline = deadline;
            b.batch_left = self.pending.load(Ordering::Relaxed).min(DEADLINE_BATCH_BYTES);
            b.progress = false;
        }
        q.deadline_armed = true;
        deadline
    }

    /// Asks for a [`Note::Resume`] to `waiter` once this queue has drained. `false` if there is
    /// nothing to wait for, or no use in it.
    pub fn wait_for_drain(&self, waiter: &Arc<Mailbox>, token: Token) -> bool {
        if self.lagging.load(Ordering::Relaxed) && !self.is_gated() {
            return false;
        }
        let mut q = self.queue.lock();
        if q.closed || self.pending.load(Ordering::Relaxed) <= HOLD_UNTIL_BYTES {
            return false;
        }
        if !q.waiters.iter().any(|(m, t)| *t == token && Arc::ptr_eq(m, waiter)) {
            q.waiters.push((waiter.clone(), token));
        }
        true
    }

    /// A producer was held back for this connection and it drained less than expected: nobody is
    /// held back for it again until its queue has drained, or is so full that going on at full
    /// speed would cost the connection (spec 01 §8.3). A client that merely got no processor for a
    /// moment would otherwise be closed as a slow consumer.
    pub fn mark_lagging(&self) {
        self.lagging.store(true, Ordering::Relaxed);
    }

    /// A transport's write failed: the connection is broken.
    pub(crate) fn mark_broken(&self, error: io::Error) {
        let mut q = self.queue.lock();
        q.broken = Some(error);
        self.refuse(&mut q);
        if !q.close_noted {
            q.close_noted = true;
            self.owner.note(Note::Close(self.token));
        }
    }

    /// Why a write failed, if one did; said once.
    pub fn take_write_error(&self) -> Option<io::Error> {
        self.queue.lock().broken.take()
    }

    /// Refuses further output, drops what is queued and tells the waiters.
    pub fn close(&self) {
        let mut q = self.queue.lock();
        self.refuse(&mut q);
        q.close_noted = true;
        if !q.writing {
            self.drop_queue(&mut q);
        }
    }

    fn refuse(&self, q: &mut Queue) {
        q.closed = true;
        self.closed.store(true, Ordering::Relaxed);
        q.blocked = None;
        q.socket = None;
        for (mailbox, token) in q.waiters.drain(..) {
            mailbox.note(Note::Resume(token));
        }
        if !q.writing {
            self.drop_queue(q);
        }
    }

    fn drop_queue(&self, q: &mut Queue) {
        q.chunks = VecDeque::new();
        q.head = 0;
    }
}

fn recycle_all(staged: &mut Staged, recycle: &mut dyn FnMut(Vec<u8>)) {
    for c in staged.drain(..) {
        if let Chunk::Owned(v) = c {
            recycle(v);
        }
    }
}

enum WriteResult {
    /// Everything offered was written.
    Done,
    /// The socket's buffer is full.
    Full,
    /// The connection is gone.
    Broken(io::Error),
}

impl WriteResult {
    /// A socket that takes nothing although it is offered something is as good as closed.
    fn nothing_taken() -> WriteResult {
        WriteResult::Broken(io::ErrorKind::WriteZero.into())
    }
}

fn write_once(mut socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        let r = if let [one] = slices { socket.write(one) } else { socket.write_vectored(slices) };
        match r {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            r => return r,
        }
    }
}

/// Writes `chunks` without changing them; returns the bytes written.
fn write_chunks(socket: &TcpStream, chunks: &[Chunk], skip: usize) -> (usize, WriteResult) {
    let mut written = 0;
    let mut first = 0;
    let mut head = skip;
    while first < chunks.len() {
        let mut slices: SmallVec<[IoSlice<'_>; MAX_SLICES]> = SmallVec::new();
        let mut offered = 0;
        for (n, c) in chunks[first..].iter().take(MAX_SLICES).enumerate() {
            let b = &c.bytes()[if n == 0 { head } else { 0 }..];
            offered += b.len();
            slices.push(IoSlice::new(b));
        }
        match write_once(socket, &slices) {
            Ok(0) if offered > 0 => return (written, WriteResult::nothing_taken()),
            Ok(n) => {
                written += n;
                if n < offered {
                    // A stream socket takes less than it is offered only when it is full.
                    return (written, WriteResult::Full);
                }
                first += slices.len();
                head = 0;
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return (written, WriteResult::Full),
            Err(e) => return (written, WriteResult::Broken(e)),
        }
    }
    (written, WriteResult::Done)
}

struct Written {
    bytes: usize,
    /// Offset into the first chunk that is left.
    head: usize,
}

/// Writes from the front of `chunks`, removing what is done.
fn write_deque(
    socket: &TcpStream,
    chunks: &mut VecDeque<Chunk>,
    mut head: usize,
    recycle: &mut dyn FnMut(Vec<u8>),
) -> (Written, WriteResult) {
    let mut bytes = 0;
    while !chunks.is_empty() {
        let mut slices: SmallVec<[IoSlice<'_>; MAX_SLICES]> = SmallVec::new();
        let mut offered = 0;
        for (n, c) in chunks.iter().take(MAX_SLICES).enumerate() {
            let b = &c.bytes()[if n == 0 { head } else { 0 }..];
            offered += b.len();
            slices.push(IoSlice::new(b));
        }
        let r = write_once(socket, &slices);
        drop(slices);
        let n = match r {
            Ok(0) if offered > 0 => {
                return (Written { bytes, head }, WriteResult::nothing_taken());
            }
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                return (Written { bytes, head }, WriteResult::Full);
            }
            Err(e) => return (Written { bytes, head }, WriteResult::Broken(e)),
        };
        bytes += n;
        let mut left = n;
        while let Some(c) = chunks.front() {
            let here = c.len() - head;
            if left < here {
                head += left;
                break;
            }
            left -= here;
            head = 0;
            if let Some(Chunk::Owned(v)) = chunks.pop_front() {
                recycle(v);
            }
            if left == 0 {
                break;
            }
        }
        if n < offered {
            return (Written { bytes, head }, WriteResult::Full);
        }
    }
    (Written { bytes, head: 0 }, WriteResult::Done)
}
