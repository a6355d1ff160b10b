//! What the process uses of processor and memory, as `/varz` and the server statistics show it.
//!
//! The driver calls [`CpuMeter::sample`] about once a second; readers take the last figure. All
//! of it comes from `/proc/self/stat`, which stays readable for hardened services.

use std::fs;
use std::time::Duration;

/// Clock ticks per second in `/proc`: fixed by the kernel's interface.
const TICKS_PER_SECOND: u64 = 100;

/// The figures of one reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessStat {
    /// Processor time used so far, user and system, in ticks.
    pub cpu_ticks: u64,
    /// When the process started, in ticks since boot.
    pub start_ticks: u64,
    /// Size of the address space in bytes.
    pub virtual_bytes: u64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
}

impl ProcessStat {
    /// Reads the figures of this process; None where `/proc` is not mounted.
    pub fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?, page_bytes())
    }

    fn parse(stat: &str, page_bytes: u64) -> Option<Self> {
        // The second field is the command in parentheses and may itself hold spaces.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(ProcessStat {
            cpu_ticks: field(11)?.saturating_add(field(12)?),
            start_ticks: field(19)?,
            virtual_bytes: field(20)?,
            resident_bytes: field(21)?.saturating_mul(page_bytes),
        })
    }
}

fn page_bytes() -> u64 {
    use nix::unistd::{SysconfVar, sysconf};
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

/// Time since the machine booted; None when the kernel does not tell.
pub fn uptime() -> Option<Duration> {
    Some(nix::sys::sysinfo::sysinfo().ok()?.uptime())
}

/// Turns successive readings into a load figure. The first covers the life of the process, each
/// further one the time since the last.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuMeter {
    last_ticks: u64,
    last_seconds: u64,
    permille: u64,
}

impl CpuMeter {
    /// Takes a reading made `uptime` after boot. Readings within the same second leave the figure
    /// as it was.
    pub fn sample(&mut self, stat: &ProcessStat, uptime: Duration) {
        let seconds = uptime.as_secs().saturating_sub(stat.start_ticks / TICKS_PER_SECOND);
        let elapsed = seconds.saturating_sub(self.last_seconds);
        let used = stat.cpu_ticks.saturating_sub(self.last_ticks);
        self.last_ticks = stat.cpu_ticks;
        self.last_seconds = seconds;
        if let Some(permille) = (used.saturating_mul(1000) / TICKS_PER_SECOND).checked_div(elapsed)
        {
            self.permille = permille;
        }
    }

    /// Load in percent of one processor, with one decimal.
    pub fn percent(&self) -> f64 {
        let permille = u32::try_from(self.permille).unwrap_or(u32::MAX);
        f64::from(permille) / 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (nats (x) server) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 \
                        1000 123456789 2048 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0";

    #[test]
    fn stat_is_read_past_a_command_with_spaces_and_parentheses() {
        let expected = ProcessStat {
            cpu_ticks: 300,
            start_ticks: 1000,
            virtual_bytes: 123_456_789,
            resident_bytes: 2048 * 4096,
        };
        assert_eq!(ProcessStat::parse(STAT, 4096), Some(expected));
        assert_eq!(ProcessStat::parse("42 (x) S 1 2", 4096), None);
        assert_eq!(ProcessStat::parse("", 4096), None);
    }

    #[test]
    fn load_covers_the_time_since_the_last_reading() {
        let mut meter = CpuMeter::default();
        let stat = |cpu_ticks| ProcessStat { cpu_ticks, start_ticks: 1000, ..Default::default() };
        // Started 10 s after boot; 3 s of processor time in the first 10 s.
        meter.sample(&stat(300), Duration::from_secs(20));
        assert_eq!(meter.percent(), 30.0);
        meter.sample(&stat(450), Duration::from_secs(21));
        assert_eq!(meter.percent(), 150.0);
        meter.sample(&stat(450), Duration::from_secs(21));
        assert_eq!(meter.percent(), 150.0, "no time has passed");
        meter.sample(&stat(450), Duration::from_secs(22));
        assert_eq!(meter.percent(), 0.0);
    }

    #[test]
    fn this_process_uses_memory_and_started_after_boot() {
        let stat = ProcessStat::read().expect("proc is mounted");
        assert!(stat.resident_bytes > 0 && stat.virtual_bytes > stat.resident_bytes);
        let uptime = uptime().expect("the kernel tells");
        assert!(uptime.as_secs() + 1 >= stat.start_ticks / TICKS_PER_SECOND);
    }
}
