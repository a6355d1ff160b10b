//! Times, durations and rules of omission in monitoring documents (spec 04 §1).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// A point in time with up to nine digits of a second, in UTC or in the machine's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    at: SystemTime,
    local: bool,
}

impl Time {
    /// Shown in UTC.
    pub fn utc(at: SystemTime) -> Time {
        Time { at, local: false }
    }

    /// Shown in the machine's time zone.
    pub fn local(at: SystemTime) -> Time {
        Time { at, local: true }
    }

    fn text(&self, zone: &TimeZone) -> String {
        let at = Timestamp::try_from(self.at).unwrap_or(Timestamp::UNIX_EPOCH);
        let offset = zone.to_offset(at);
        let shown = offset.to_datetime(at);
        let mut out = shown.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let nanos = shown.subsec_nanosecond();
        if nanos != 0 {
            let digits = format!("{nanos:09}");
            out.push('.');
            out.push_str(digits.trim_end_matches('0'));
        }
        let minutes = offset.seconds() / 60;
        if minutes == 0 {
            out.push('Z');
        } else {
            let sign = if minutes < 0 { '-' } else { '+' };
            let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
            let written = write!(out, "{sign}{hours:02}:{rest:02}");
            debug_assert!(written.is_ok(), "a string accepts every write");
        }
        out
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let zone = if self.local { TimeZone::system() } else { TimeZone::UTC };
        serializer.serialize_str(&self.text(&zone))
    }
}

/// Time passed, in whole seconds and the units above them: `4h0m2s`, `0s`. A year has 365 days.
pub fn uptime(passed: Duration) -> String {
    let seconds = passed.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let (s, m, h) = (seconds % 60, minutes % 60, hours % 24);
    match (days / 365, days, hours, minutes) {
        (0, 0, 0, 0) => format!("{s}s"),
        (0, 0, 0, _) => format!("{m}m{s}s"),
        (0, 0, ..) => format!("{h}h{m}m{s}s"),
        (0, ..) => format!("{days}d{h}h{m}m{s}s"),
        (years, ..) => format!("{years}y{}d{h}h{m}m{s}s", days % 365),
    }
}

/// The time from `from` to `to`, zero if the clock went back.
pub fn since(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

/// A duration as a number of nanoseconds.
pub fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// For fields that are left out when they say nothing.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn times_have_the_digits_they_need() {
        let at = |nanos: u64| Time::utc(UNIX_EPOCH + Duration::from_nanos(nanos));
        let second = 1_763_739_504_000_000_000;
        let table = [
            (second, "2025-11-21T15:38:24Z"),
            (second + 389_333_174, "2025-11-21T15:38:24.389333174Z"),
            (second + 500_000_000, "2025-11-21T15:38:24.5Z"),
            (second + 1_000, "2025-11-21T15:38:24.000001Z"),
        ];
        for (nanos, text) in table {
            assert_eq!(at(nanos).text(&TimeZone::UTC), text);
        }
    }

    #[test]
    fn local_times_carry_their_offset() {
        let zone = |name: &str| TimeZone::posix(name).expect("a valid rule");
        let at = Time::local(UNIX_EPOCH + Duration::from_secs(1_763_739_504));
        assert_eq!(at.text(&zone("IST-5:30")), "2025-11-21T21:08:24+05:30");
        assert_eq!(at.text(&zone("EST5")), "2025-11-21T10:38:24-05:00");
        assert_eq!(at.text(&zone("GMT0")), "2025-11-21T15:38:24Z");
    }

    #[test]
    fn uptime_drops_leading_units_and_keeps_inner_ones() {
        let table = [
            (0, "0s"),
            (22, "22s"),
            (4 * 60 + 22, "4m22s"),
            (4 * 3600 + 2, "4h0m2s"),
            (4 * 3600 + 4 * 60 + 22, "4h4m22s"),
            (32 * 86_400 + 4 * 3600 + 4 * 60 + 22, "32d4h4m22s"),
            (22 * 365 * 86_400 + 32 * 86_400 + 4 * 3600 + 4 * 60 + 22, "22y32d4h4m22s"),
        ];
        for (seconds, text) in table {
            assert_eq!(uptime(Duration::from_secs(seconds)), text);
        }
        assert_eq!(uptime(Duration::from_millis(999)), "0s");
    }
}
