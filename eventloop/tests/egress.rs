//! The egress queue over real sockets: order, back-pressure, limits and deadlines.

use eventloop::{
    Cause, Chunk, Core, DeadlineAction, DeadlineCheck, Egress, HandOver, Input, Io, Limits,
    ListenerId, Reactor, Recovery, Service, Slots, Staged, Taken, TcpStream, Token, WriteMode,
};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream as StdStream};
use std::sync::Arc;
use std::time::Duration;

const LIMITS: Limits = Limits { max_pending_bytes: 64 << 20, write_deadline_ms: 10_000 };

/// A service that does nothing: the tests only need its reactor's mailbox.
struct Idle;

impl Service for Idle {
    type Conn = ();
    type Message = ();
    fn accepted(&mut self, _: &mut Core<Self>, _: ListenerId, _: TcpStream, _: SocketAddr) {}
    fn accept_failed(&mut self, _: ListenerId, _: &io::Error, _: Duration) {}
    fn input(&mut self, (): &mut (), _: &mut Io<'_>, input: &mut Input<'_>) -> Taken {
        Taken { used: input.bytes().len(), wanted: 1, more: false, secure: false }
    }
    fn secured(&mut self, (): &mut (), _: &mut Io<'_>, _: &eventloop::rustls::CommonState) {}
    fn timer(&mut self, (): &mut (), _: &mut Io<'_>, _: u8) {}
    fn write_deadline(&mut self, (): &mut (), _: usize, _: usize, _: bool) -> DeadlineAction {
        DeadlineAction::Close
    }
    fn stalled(&mut self, (): &mut (), _: &Arc<Egress>) {}
    fn holds_producers(&self) -> bool {
        true
    }
    fn closed(&mut self, (): (), _: &mut Io<'_>, _: Cause) {}
    fn message(&mut self, _: &mut Core<Self>, (): ()) {}
    fn pass_ended(&mut self, _took: Duration) {}
}

fn pair() -> (StdStream, StdStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let a = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    let (b, _) = listener.accept().unwrap();
    (a, b)
}

/// An egress queue, and the peer's socket.
fn egress(limits: Limits) -> (Egress, StdStream) {
    let (ours, peer) = pair();
    ours.set_nonblocking(true).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reactor = Reactor::<Idle>::new(Arc::new(Slots::default())).unwrap();
    let mailbox = reactor.core().mailbox().clone();
    let socket = Arc::new(TcpStream::from_std(ours));
    let token = Token { key: 1, generation: 1 };
    (Egress::new(socket, token, 0, mailbox, limits), peer)
}

fn give(egress: &Egress, bytes: Vec<u8>, now: u64) -> HandOver {
    let n = bytes.len();
    let mut staged: Staged = [Chunk::Owned(bytes)].into_iter().collect();
    egress.hand_over(&mut staged, n, true, false, now, &mut |_| {})
}

/// Fills the socket until it takes no more.
fn fill(egress: &Egress, now: u64) -> usize {
    let mut total = 0;
    loop {
        total += 100_000;
        match give(egress, vec![b'x'; 100_000], now) {
            HandOver::Written => {}
            HandOver::Pending(_) => return total,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_idle_queue_writes_at_once_and_gives_the_buffer_back() {
    let (egress, mut peer) = egress(LIMITS);
    let mut staged: Staged =
        [Chunk::Owned(b"one ".to_vec()), Chunk::Shared("two".into())].into_iter().collect();
    let mut recycled = Vec::new();
    let outcome = egress.hand_over(&mut staged, 7, true, false, 0, &mut |v| recycled.push(v));
    assert_eq!(outcome, HandOver::Written);
    assert_eq!(recycled, [b"one ".to_vec()]);
    assert!(staged.is_empty());
    let mut got = [0; 7];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"one two");
    assert_eq!(egress.pending_bytes(), 0);
}

#[test]
fn what_does_not_fit_is_written_by_the_owner_in_order() {
    let (egress, mut peer) = egress(LIMITS);
    let mut sent = fill(&egress, 0);
    let HandOver::Pending(before) = give(&egress, b"last".to_vec(), 0) else { panic!() };
    sent += 4;
    assert_eq!(egress.pending_bytes(), before);
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; sent];
        peer.read_exact(&mut got).unwrap();
        got
    });
    while egress.flush(0, &mut |_| {}) != HandOver::Written {
        std::thread::yield_now();
    }
    let got = reader.join().unwrap();
    assert!(got[..sent - 4].iter().all(|b| *b == b'x'));
    assert_eq!(&got[sent - 4..], b"last");
}

#[test]
fn threads_that_hand_over_at_once_do_not_mix_or_reorder() {
    let (egress, mut peer) = egress(LIMITS);
    const THREADS: u8 = 4;
    const EACH: usize = 3_000;
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        let mut record = [0; 5];
        for _ in 0..THREADS as usize * EACH {
            peer.read_exact(&mut record).unwrap();
            got.push((record[0], u32::from_le_bytes(record[1..].try_into().unwrap())));
        }
        got
    });
    std::thread::scope(|s| {
        for t in 0..THREADS {
            let egress = &egress;
            s.spawn(move || {
                for n in 0..EACH as u32 {
                    let mut record = vec![t];
                    record.extend_from_slice(&n.to_le_bytes());
                    give(egress, record, 0);
                }
            });
        }
        s.spawn(|| {
            // The owner's part, as long as something is left to write.
            while !reader.is_finished() {
                egress.flush(0, &mut |_| {});
                std::thread::yield_now();
            }
        });
    });
    let mut next = [0u32; THREADS as usize];
    for (t, n) in reader.join().unwrap() {
        assert_eq!(n, next[t as usize]);
        next[t as usize] += 1;
    }
    assert_eq!(next, [EACH as u32; THREADS as usize]);
    assert_eq!(egress.pending_bytes(), 0);
}

#[test]
fn more_pending_than_allowed_makes_a_slow_consumer_once() {
    let (egress, _peer) = egress(Limits { max_pending_bytes: 400_000, ..LIMITS });
    let mut outcomes = Vec::new();
    loop {
        let outcome = give(&egress, vec![0; 100_000], 0);
        if outcome == HandOver::Closed {
            break;
        }
        outcomes.push(outcome);
    }
    let slow = outcomes.iter().filter(|o| **o == HandOver::SlowConsumer).count();
    assert_eq!(slow, 1);
    assert_eq!(outcomes.last(), Some(&HandOver::SlowConsumer));
    assert!(egress.is_closed());
    assert!(egress.take_write_error().is_none());
}

#[test]
fn the_gate_closes_above_three_quarters_of_the_limit_and_opens_when_drained() {
    let limits = Limits { max_pending_bytes: 4_000_000, ..LIMITS };
    let (egress, mut peer) = egress(limits);
    let mut sent = fill(&egress, 0);
    while !egress.is_gated() {
        assert!(egress.pending_bytes() <= 3_100_000);
        let outcome = give(&egress, vec![0; 100_000], 0);
        assert!(matches!(outcome, HandOver::Pending(_)), "{outcome:?}");
        sent += 100_000;
    }
    assert!(egress.pending_bytes() > 3_000_000);
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; sent];
        peer.read_exact(&mut got).unwrap();
    });
    while egress.flush(0, &mut |_| {}) != HandOver::Written {
        std::thread::yield_now();
    }
    reader.join().unwrap();
    assert!(!egress.is_gated());
}

#[test]
fn the_write_deadline_covers_a_batch_and_starts_anew_with_the_next() {
    let (egress, mut peer) = egress(LIMITS);
    const BATCH: usize = 40_000_000;
    let HandOver::Pending(pending) = give(&egress, vec![0; BATCH], 1_000) else {
        panic!("a socket took {BATCH} bytes");
    };
    assert_eq!(egress.deadline(), Some(11_000));
    assert_eq!(egress.check_deadline(10_999), DeadlineCheck::Again(11_000));
    // A writable socket that takes only part of the batch does not move its deadline.
    let mut some = vec![0; BATCH - pending];
    peer.read_exact(&mut some).unwrap();
    let HandOver::Pending(left) = egress.flush(5_000, &mut |_| {}) else { panic!() };
    assert!(left < pending);
    assert_eq!(egress.deadline(), Some(11_000));
    let exceeded = DeadlineCheck::Exceeded { bytes: left, chunks: 1, progress: true };
    assert_eq!(egress.check_deadline(11_000), exceeded);
    // Kept by policy, it has the same time again for what is left.
    assert_eq!(egress.restart_deadline(11_000), 21_000);
    assert_eq!(egress.check_deadline(20_999), DeadlineCheck::Again(21_000));
    let exceeded = DeadlineCheck::Exceeded { bytes: left, chunks: 1, progress: false };
    assert_eq!(egress.check_deadline(21_000), exceeded);
    // Caught up within a deadline, it says how long that took since the last one that passed.
    assert_eq!(egress.restart_deadline(21_000), 31_000);
    assert_eq!(egress.take_recovery(22_000), None);
    let reader = std::thread::spawn(move || peer.read_exact(&mut vec![0; pending]).unwrap());
    while egress.flush(22_000, &mut |_| {}) != HandOver::Written {
        assert_eq!(egress.take_recovery(22_000), None);
        std::thread::yield_now();
    }
    reader.join().unwrap();
    let recovery = Recovery { took_ms: 2_500, chunks: 1, bytes: left };
    assert_eq!(egress.take_recovery(23_500), Some(recovery));
    assert_eq!(egress.take_recovery(23_500), None);
}

#[test]
fn an_unblocked_queue_needs_no_deadline() {
    let (egress, _peer) = egress(LIMITS);
    give(&egress, b"x".to_vec(), 0);
    assert_eq!(egress.deadline(), None);
    assert_eq!(egress.check_deadline(99_999), DeadlineCheck::Clear);
}

#[test]
fn a_broken_connection_refuses_and_says_so() {
    let (egress, peer) = egress(LIMITS);
    drop(peer);
    // The first write may still be taken by the socket; the reset shows at a later one.
    let mut last = HandOver::Written;
    for _ in 0..10_000 {
        last = give(&egress, vec![0; 10_000], 0);
        if last == HandOver::Closed {
            break;
        }
        std::thread::yield_now();
    }
    assert_eq!(last, HandOver::Closed);
    let error = egress.take_write_error().expect("the reason");
    let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    assert!(gone.contains(&error.kind()), "{error}");
}

#[test]
fn only_the_owner_writes_in_owner_mode() {
    let (egress, mut peer) = egress(LIMITS);
    egress.set_mode(WriteMode::Owner);
    assert_eq!(give(&egress, b"abc".to_vec(), 0), HandOver::Pending(3));
    assert_eq!(give(&egress, b"def".to_vec(), 0), HandOver::Pending(6));
    let mut taken = Staged::new();
    assert_eq!(egress.take(&mut taken), 6);
    let bytes: Vec<u8> = taken.iter().flat_map(|c| c.bytes().to_vec()).collect();
    assert_eq!(bytes, b"abcdef");
    assert_eq!(egress.pending_bytes(), 6);
    egress.settle(6);
    assert_eq!(egress.pending_bytes(), 0);
    peer.set_nonblocking(true).unwrap();
    assert_eq!(peer.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn waiting_for_a_drain_is_refused_where_it_would_be_in_vain() {
    let (egress, _peer) = egress(LIMITS);
    let mailbox = egress.owner().clone();
    let token = Token { key: 9, generation: 9 };
    assert!(!egress.wait_for_drain(&mailbox, token), "nothing is pending");
    fill(&egress, 0);
    give(&egress, vec![0; 1 << 20], 0);
    assert!(egress.wait_for_drain(&mailbox, token));
    egress.mark_lagging();
    assert!(!egress.wait_for_drain(&mailbox, token), "it lags");
    while !egress.is_gated() {
        give(&egress, vec![0; 1 << 16], 0);
    }
    assert!(egress.wait_for_drain(&mailbox, token), "it is nearly full");
    egress.close();
    assert!(!egress.wait_for_drain(&mailbox, token), "it is closed");
}
