//! Processor and memory use as monitoring shows them, measured when asked for.

use crate::process::usage::{CpuMeter, ProcessStat, uptime};
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Readings closer than this to the last one do not change the load.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// One look at what the process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    /// Percent of one processor, in tenths, since the look before (the first: since the start).
    pub cpu_percent: f64,
    /// Resident memory; 0 where the system does not tell.
    pub resident_bytes: u64,
}

/// The meter behind `cpu` and `mem`.
///
/// The reference samples every second in the background. Here a sample is taken when somebody
/// looks, at most once a second, so that an idle server stays asleep.
#[derive(Default)]
pub struct Usage(Mutex<Meter>);

#[derive(Default)]
struct Meter {
    cpu: CpuMeter,
    sampled: Option<Instant>,
}

impl Usage {
    /// Looks at what the process uses.
    pub fn look(&self, now: Instant) -> Used {
        let Some(stat) = ProcessStat::read() else { return Used::default() };
        let mut meter = self.0.lock();
        let due = meter.sampled.is_none_or(|at| now.duration_since(at) >= SAMPLE_INTERVAL);
        if due && let Some(uptime) = uptime() {
            meter.cpu.sample(&stat, uptime);
            meter.sampled = Some(now);
        }
        Used { cpu_percent: meter.cpu.percent(), resident_bytes: stat.resident_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_stays_the_same_within_a_second() {
        let usage = Usage::default();
        let now = Instant::now();
        let first = usage.look(now);
        assert!(first.resident_bytes > 0);
        let second = usage.look(now + Duration::from_millis(999));
        assert_eq!(first.cpu_percent, second.cpu_percent);
    }
}
