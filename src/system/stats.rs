//! The server's own statistics, `STATSZ` (spec 04 §5.3), and when they are sent (§4.3, §4.4).

use super::events::{Data, ServerInfo};
use crate::monitor::format::{Time, is_default};
use crate::monitor::varz::{ByKind, totals};
use crate::server::Server;
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The first statistics are sent that long after the start.
const FIRST: Duration = Duration::from_millis(250);
/// The interval doubles up to this.
const INTERVAL: Duration = Duration::from_secs(10);
/// Broadcasts are at least that far apart.
const LIMIT: Duration = Duration::from_secs(1);

/// The message.
#[derive(Clone, Debug, Serialize)]
pub struct StatszMessage {
    server: ServerInfo,
    statsz: Statsz,
}

#[derive(Clone, Debug, Serialize)]
struct Statsz {
    start: Time,
    mem: u64,
    cores: usize,
    cpu: f64,
    connections: usize,
    total_connections: u64,
    active_accounts: usize,
    subscriptions: u32,
    sent: Data,
    sent_to_clients: Data,
    received: Data,
    received_from_clients: Data,
    slow_consumers: u64,
    #[serde(skip_serializing_if = "is_default")]
    slow_consumer_stats: ByKind,
    #[serde(skip_serializing_if = "is_default")]
    stale_connections: u64,
    #[serde(skip_serializing_if = "is_default")]
    stale_connection_stats: ByKind,
    #[serde(skip_serializing_if = "is_default")]
    stalled_clients: i64,
    active_servers: usize,
    gomaxprocs: usize,
}

impl StatszMessage {
    /// The statistics now.
    pub fn of(server: &Server, stamp: ServerInfo) -> StatszMessage {
        let stats = &server.stats;
        let used = server.monitor.usage.look(Instant::now());
        let (slow, stale) =
            (ByKind::of(&stats.slow_consumers), ByKind::of(&stats.stale_connections));
        let (all, clients) = totals(server);
        let received = |t: [i64; 4]| Data { msgs: t[0], bytes: t[1] };
        let sent = |t: [i64; 4]| Data { msgs: t[2], bytes: t[3] };
        let accounts = server.accounts();
        let subscriptions = accounts.iter().fold(0_u64, |n, a| n.saturating_add(a.sublist.count()));
        let statsz = Statsz {
            start: Time::local(server.start),
            mem: used.resident_bytes,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: used.cpu_percent,
            connections: server.client_count(),
            total_connections: stats.total_connections.load(Ordering::Relaxed),
            active_accounts: accounts.iter().filter(|a| a.client_count() > 0).count(),
            subscriptions: u32::try_from(subscriptions).unwrap_or(u32::MAX),
            sent: sent(all),
            sent_to_clients: sent(clients),
            received: received(all),
            received_from_clients: received(clients),
            slow_consumers: slow.sum(),
            slow_consumer_stats: slow,
            stale_connections: stale.sum(),
            stale_connection_stats: stale,
            stalled_clients: stats.stalled.load(Ordering::Relaxed),
            // This one; others are known once there is a way to them.
            active_servers: 1,
            gomaxprocs: server.reactors(),
        };
        StatszMessage { server: stamp, statsz }
    }
}

/// When broadcasts are due.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    interval: Duration,
    next: Instant,
    sent: Option<Instant>,
}

impl Schedule {
    /// For a server that starts now.
    pub fn new(now: Instant) -> Schedule {
        Schedule { interval: FIRST, next: now + FIRST, sent: None }
    }

    /// When to look again.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// The time has come: the interval grows.
    pub fn beat(&mut self, now: Instant) {
        self.interval = (self.interval * 2).min(INTERVAL);
        self.next = now + self.interval;
    }

    /// Whether a broadcast may be sent now. One that may not is due when it may.
    pub fn admits(&mut self, now: Instant) -> bool {
        let apart = LIMIT.min(self.interval);
        if let Some(sent) = self.sent {
            let since = now.saturating_duration_since(sent);
            if since < apart {
                self.next = now + (apart - since);
                return false;
            }
        }
        self.sent = Some(now);
        true
    }

    /// Whoever asked for the next broadcast need not wait for it.
    pub fn forget_last(&mut self) {
        self.sent = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_doubles_up_to_ten_seconds() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        let mut at = start;
        let mut intervals = Vec::new();
        for _ in 0..8 {
            intervals.push((schedule.next() - at).as_millis());
            at = schedule.next();
            schedule.beat(at);
        }
        assert_eq!(intervals, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    }

    #[test]
    fn broadcasts_are_a_second_apart_unless_asked_for() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut schedule = Schedule::new(start);
        (0..6).for_each(|_| schedule.beat(start));
        assert!(schedule.admits(at(0)));
        assert!(!schedule.admits(at(400)));
        assert_eq!(schedule.next(), at(1000), "the one that was held back");
        schedule.forget_last();
        assert!(schedule.admits(at(500)));
        assert!(!schedule.admits(at(1400)));
        assert!(schedule.admits(at(1500)));
    }
}
