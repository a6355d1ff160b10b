//! When a schedule fires: the patterns of spec 06 §14.5.

use super::cron::Cron;
use crate::duration;
use crate::headers;
use crate::time::{DateTime, Timestamp};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::fmt;
use std::time::Duration;

const SECOND: i64 = 1_000_000_000;

/// When a schedule fires, and whether it does so again after that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Firing {
    /// Once.
    Once(Timestamp),
    /// At this time, and then again.
    Repeating(Timestamp),
}

impl Firing {
    /// The time.
    pub fn at(self) -> Timestamp {
        match self {
            Firing::Once(at) | Firing::Repeating(at) => at,
        }
    }
}

/// Why a message is no schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvalidSchedule {
    /// The pattern cannot be read or never matches.
    Pattern,
    /// The time zone is empty or unknown.
    TimeZone,
}

impl fmt::Display for InvalidSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidSchedule::Pattern => "message schedules pattern is invalid",
            InvalidSchedule::TimeZone => "message schedules time zone is invalid",
        })
    }
}

impl std::error::Error for InvalidSchedule {}

/// The zone a header block names; `None` without the field.
fn zone_of(header: &[u8]) -> Result<Option<TimeZone>, InvalidSchedule> {
    let Some(name) = headers::value(header, headers::SCHEDULE_TIME_ZONE) else { return Ok(None) };
    let name = std::str::from_utf8(name).map_err(|_| InvalidSchedule::TimeZone)?;
    match name {
        "" => Err(InvalidSchedule::TimeZone),
        "UTC" => Ok(Some(TimeZone::UTC)),
        "Local" => Ok(Some(TimeZone::system())),
        _ => {
            let zone = TimeZoneDatabase::bundled().get(name).ok();
            // Names are compared exactly, as they are where zones are files.
            let zone = zone.filter(|zone| zone.iana_name() == Some(name));
            zone.map(Some).ok_or(InvalidSchedule::TimeZone)
        }
    }
}

/// When the schedule in a header block fires next after `from`: the time of the message, or of
/// the last firing. Times missed before `now` are made up for by one firing. `Ok(None)` when the
/// block holds no schedule.
pub fn next_firing(
    header: &[u8],
    from: Timestamp,
    now: Timestamp,
) -> Result<Option<Firing>, InvalidSchedule> {
    if header.is_empty() {
        return Ok(None);
    }
    let zone = zone_of(header)?;
    let pattern = match headers::value(header, headers::SCHEDULE) {
        None | Some([]) => return Ok(None),
        Some(pattern) => std::str::from_utf8(pattern).map_err(|_| InvalidSchedule::Pattern)?,
    };
    parse(pattern, zone, from, now).map(Some).ok_or(InvalidSchedule::Pattern)
}

fn parse(pattern: &str, zone: Option<TimeZone>, from: Timestamp, now: Timestamp) -> Option<Firing> {
    if let Some(time) = pattern.strip_prefix("@at ") {
        return match zone {
            None => DateTime::parse(time).ok().map(|time| Firing::Once(time.to_timestamp())),
            Some(_) => None,
        };
    }
    if let Some(interval) = pattern.strip_prefix("@every ") {
        let nanos = duration::parse(interval.as_bytes()).filter(|nanos| *nanos >= SECOND)?;
        if zone.is_some() {
            return None;
        }
        let interval = Duration::from_nanos(u64::try_from(nanos).ok()?);
        let next = rounded(from).saturating_add(interval);
        let next = if next < now { rounded(now).saturating_add(interval) } else { next };
        return Some(Firing::Repeating(next));
    }
    let pattern = match pattern {
        "@yearly" | "@annually" => "0 0 0 1 1 *",
        "@monthly" => "0 0 0 1 * *",
        "@weekly" => "0 0 0 * * 0",
        "@daily" | "@midnight" => "0 0 0 * * *",
        "@hourly" => "0 0 * * * *",
        other => other,
    };
    let cron = Cron::parse(pattern)?;
    let zone = zone.unwrap_or(TimeZone::UTC);
    let next_after = |time: Timestamp| {
        let seconds = time.nanos().div_euclid(SECOND);
        cron.next_after(seconds, &zone).map(Timestamp::from_seconds)
    };
    let next = next_after(from)?;
    let next = if next < now { next_after(rounded(now))? } else { next };
    Some(Firing::Repeating(next))
}

/// The nearest whole second, halves up.
fn rounded(time: Timestamp) -> Timestamp {
    Timestamp::from_seconds(time.nanos().saturating_add(SECOND / 2).div_euclid(SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        DateTime::parse(text).expect(text).to_timestamp()
    }

    fn firing(fields: &str, from: &str, now: &str) -> Result<Option<Firing>, InvalidSchedule> {
        let header = format!("NATS/1.0\r\n{fields}\r\n\r\n");
        next_firing(header.as_bytes(), at(from), at(now))
    }

    #[test]
    fn at_fires_once_even_in_the_past() {
        let now = "2024-01-01T00:00:00Z";
        assert_eq!(
            firing("Nats-Schedule: @at 2023-05-06T07:08:09Z", now, now),
            Ok(Some(Firing::Once(at("2023-05-06T07:08:09Z"))))
        );
        assert_eq!(firing("Nats-Schedule: @at tomorrow", now, now), Err(InvalidSchedule::Pattern));
    }

    #[test]
    fn every_starts_from_the_rounded_time_and_skips_what_was_missed() {
        let every = "Nats-Schedule: @every 10s";
        for (from, now, next) in [
            ("2024-01-01T00:00:00.4Z", "2024-01-01T00:00:00.4Z", "2024-01-01T00:00:10Z"),
            ("2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00.5Z", "2024-01-01T00:00:11Z"),
            ("2024-01-01T00:00:00Z", "2024-01-01T00:00:10Z", "2024-01-01T00:00:10Z"),
            ("2024-01-01T00:00:00Z", "2024-01-01T01:00:00.7Z", "2024-01-01T01:00:11Z"),
        ] {
            assert_eq!(firing(every, from, now), Ok(Some(Firing::Repeating(at(next)))), "{from}");
        }
        let now = "2024-01-01T00:00:00Z";
        for bad in ["@every 999ms", "@every 0s", "@every -1m", "@every soon", "@every ", "@often"] {
            let fields = format!("Nats-Schedule: {bad}");
            assert_eq!(firing(&fields, now, now), Err(InvalidSchedule::Pattern), "{bad}");
        }
    }

    #[test]
    fn names_stand_for_cron_patterns() {
        let now = "2024-03-05T06:07:08Z";
        for (name, next) in [
            ("@yearly", "2025-01-01T00:00:00Z"),
            ("@annually", "2025-01-01T00:00:00Z"),
            ("@monthly", "2024-04-01T00:00:00Z"),
            ("@weekly", "2024-03-10T00:00:00Z"),
            ("@daily", "2024-03-06T00:00:00Z"),
            ("@midnight", "2024-03-06T00:00:00Z"),
            ("@hourly", "2024-03-05T07:00:00Z"),
            ("30 * * * * *", "2024-03-05T06:07:30Z"),
        ] {
            let fields = format!("Nats-Schedule: {name}");
            assert_eq!(firing(&fields, now, now), Ok(Some(Firing::Repeating(at(next)))), "{name}");
        }
    }

    #[test]
    fn missed_cron_times_fire_once() {
        let fields = "Nats-Schedule: 0 * * * * *";
        assert_eq!(
            firing(fields, "2024-01-01T00:00:00Z", "2024-01-01T05:30:30Z"),
            Ok(Some(Firing::Repeating(at("2024-01-01T05:31:00Z"))))
        );
    }

    #[test]
    fn zones_apply_to_cron_patterns_only() {
        let now = "2024-07-15T00:00:00Z";
        let with = |pattern: &str, zone: &str| {
            firing(
                &format!("Nats-Schedule: {pattern}\r\nNats-Schedule-Time-Zone: {zone}"),
                now,
                now,
            )
        };
        assert_eq!(
            with("0 0 9 * * *", "America/New_York"),
            Ok(Some(Firing::Repeating(at("2024-07-15T13:00:00Z"))))
        );
        assert_eq!(with("@every 10s", "UTC"), Err(InvalidSchedule::Pattern));
        assert_eq!(with("@at 2030-01-01T00:00:00Z", "UTC"), Err(InvalidSchedule::Pattern));
        assert_eq!(with("0 0 9 * * *", "Mars/Olympus"), Err(InvalidSchedule::TimeZone));
        assert_eq!(with("0 0 9 * * *", "america/new_york"), Err(InvalidSchedule::TimeZone));
        assert_eq!(with("0 0 9 * * *", ""), Err(InvalidSchedule::TimeZone));
    }

    #[test]
    fn blocks_without_a_pattern_are_no_schedule() {
        let now = "2024-01-01T00:00:00Z";
        assert_eq!(next_firing(b"", at(now), at(now)), Ok(None));
        assert_eq!(firing("A: b", now, now), Ok(None));
        assert_eq!(firing("Nats-Schedule:", now, now), Ok(None));
    }
}
