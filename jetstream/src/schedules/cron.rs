//! Cron patterns of six fields: second, minute, hour, day of month, month, day of week.
//!
//! Spec 06 §14.5. A field is a comma list of `*`, `?`, `a`, `a-b`, each optionally with `/step`;
//! months and days of the week also have names. When neither day field is a star, either may
//! match; otherwise both must.

use jiff::civil;
use jiff::tz::TimeZone;

/// Years searched before a pattern counts as never matching.
const SEARCH_YEARS: i16 = 5;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The values one field allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Field {
    /// Bit n is set when value n matches; values are below 60.
    values: u64,
    /// Whether a star with step 1 was given.
    star: bool,
}

/// What values a field can have, and their names from the first value on.
struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

/// A parsed pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cron {
    second: Field,
    minute: Field,
    hour: Field,
    day_of_month: Field,
    month: Field,
    day_of_week: Field,
}

impl Field {
    fn parse(text: &str, bounds: &Bounds) -> Option<Field> {
        let mut field = Field { values: 0, star: false };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let part = Field::parse_range(part, bounds)?;
            field.values |= part.values;
            field.star |= part.star;
        }
        Some(field)
    }

    fn parse_range(text: &str, bounds: &Bounds) -> Option<Field> {
        let (range, step) = match text.split_once('/') {
            None => (text, None),
            Some((range, step)) => (range, Some(number(step)?)),
        };
        let (low, high) = match range.split_once('-') {
            None => (range, None),
            Some((low, high)) => (low, Some(high)),
        };
        let any = low == "*" || low == "?";
        let (start, mut end) = if any {
            // Like the reference, what follows a star and a hyphen is not looked at, except that
            // there must not be a second hyphen in a range of numbers.
            (bounds.min, bounds.max)
        } else {
            let start = bounds.value(low)?;
            (start, high.map_or(Some(start), |high| bounds.value(high))?)
        };
        if step.is_some() && high.is_none() {
            end = bounds.max;
        }
        let step = step.unwrap_or(1);
        if start < bounds.min || end > bounds.max || start > end || step == 0 {
            return None;
        }
        let values = (start..=end)
            .step_by(usize::try_from(step).ok()?)
            .fold(0, |values, value| values | 1 << value);
        Some(Field { values, star: any && step == 1 })
    }

    fn allows(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| value < 64 && self.values & (1 << value) != 0)
    }
}

impl Bounds {
    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        match named {
            Some(index) => Some(self.min + u32::try_from(index).ok()?),
            None => number(text),
        }
    }
}

/// A decimal number, optionally with a plus sign.
fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

impl Cron {
    /// Reads a pattern.
    pub(super) fn parse(pattern: &str) -> Option<Cron> {
        let bounds = |min, max, names| Bounds { min, max, names };
        let fields: Vec<&str> = pattern.split_whitespace().collect();
        let [second, minute, hour, day_of_month, month, day_of_week] = fields.as_slice() else {
            return None;
        };
        Some(Cron {
            second: Field::parse(second, &bounds(0, 59, &[]))?,
            minute: Field::parse(minute, &bounds(0, 59, &[]))?,
            hour: Field::parse(hour, &bounds(0, 23, &[]))?,
            day_of_month: Field::parse(day_of_month, &bounds(1, 31, &[]))?,
            month: Field::parse(month, &bounds(1, 12, &MONTHS))?,
            day_of_week: Field::parse(day_of_week, &bounds(0, 6, &WEEKDAYS))?,
        })
    }

    fn day_matches(&self, date: civil::Date) -> bool {
        let month_day = self.day_of_month.allows(date.day());
        let week_day = self.day_of_week.allows(date.weekday().to_sunday_zero_offset());
        if self.day_of_month.star || self.day_of_week.star {
            month_day && week_day
        } else {
            month_day || week_day
        }
    }

    /// The first whole second after `after` (seconds since the Unix epoch) that matches on the
    /// clocks of `zone`; `None` when there is none within five years.
    ///
    /// Clock times that a change to summer time leaves out do not match; those that a change back
    /// repeats match twice.
    pub(super) fn next_after(&self, after: i64, zone: &TimeZone) -> Option<i64> {
        let mut at = jiff::Timestamp::from_second(after.checked_add(1)?).ok()?;
        let last_year = zone.to_datetime(at).year().checked_add(SEARCH_YEARS)?;
        loop {
            let local = zone.to_datetime(at);
            if local.year() > last_year {
                return None;
            }
            at = if !self.month.allows(local.month()) {
                let next = local.date().last_of_month().tomorrow().ok()?;
                start_of_day(next, zone)?
            } else if !self.day_matches(local.date()) {
                start_of_day(local.date().tomorrow().ok()?, zone)?
            } else if !self.hour.allows(local.hour()) {
                // Offsets change at quarters of an hour, so no change can be jumped over.
                let into = i64::from(local.minute() % 15) * 60 + i64::from(local.second());
                later(at, 900 - into)?
            } else if !self.minute.allows(local.minute()) {
                later(at, 60 - i64::from(local.second()))?
            } else if !self.second.allows(local.second()) {
                later(at, 1)?
            } else {
                return Some(at.as_second());
            };
        }
    }
}

fn later(at: jiff::Timestamp, seconds: i64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(at.as_second().checked_add(seconds)?).ok()
}

/// The first moment of a day: midnight, or the end of the gap that swallowed it.
fn start_of_day(date: civil::Date, zone: &TimeZone) -> Option<jiff::Timestamp> {
    zone.to_timestamp(date.to_datetime(civil::Time::midnight())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DateTime;

    fn seconds(text: &str) -> i64 {
        DateTime::parse(text).expect(text).seconds()
    }

    fn next(pattern: &str, after: &str, zone: &TimeZone) -> Option<i64> {
        Cron::parse(pattern).expect(pattern).next_after(seconds(after), zone)
    }

    #[test]
    fn next_times_in_utc() {
        for (pattern, after, expected) in [
            ("* * * * * *", "2024-01-01T00:00:00Z", "2024-01-01T00:00:01Z"),
            ("0 * * * * *", "2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z"),
            ("0 0 * * * *", "2024-01-01T00:30:00Z", "2024-01-01T01:00:00Z"),
            ("0 0 0 * * *", "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"),
            ("0 0 0 1 * *", "2024-01-31T10:00:00Z", "2024-02-01T00:00:00Z"),
            ("0 0 0 1 1 *", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
            ("0 0 0 * * 0", "2024-01-01T00:00:00Z", "2024-01-07T00:00:00Z"),
            ("0 0 0 * * sun", "2024-01-01T00:00:00Z", "2024-01-07T00:00:00Z"),
            ("0 0 0 29 feb *", "2024-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0/15 * * * * *", "2024-01-01T00:00:15Z", "2024-01-01T00:00:30Z"),
            ("5-20/5 * * * * ?", "2024-01-01T00:00:20Z", "2024-01-01T00:01:05Z"),
            ("0 0 9-17 * * MON-FRI", "2024-01-05T17:00:00Z", "2024-01-08T09:00:00Z"),
            ("0 0 0 13 * fri", "2024-01-01T00:00:00Z", "2024-01-05T00:00:00Z"),
            ("0 0 0 13 * *", "2024-01-13T00:00:00Z", "2024-02-13T00:00:00Z"),
            ("0 0 0 */2 * fri", "2024-01-01T00:00:00Z", "2024-01-03T00:00:00Z"),
            ("59 59 23 31 dec *", "2024-12-31T23:59:58Z", "2024-12-31T23:59:59Z"),
        ] {
            assert_eq!(
                next(pattern, after, &TimeZone::UTC),
                Some(seconds(expected)),
                "{pattern} after {after}"
            );
        }
    }

    #[test]
    fn a_day_that_never_comes_ends_the_search() {
        assert_eq!(next("0 0 0 30 feb *", "2024-01-01T00:00:00Z", &TimeZone::UTC), None);
        // A field of nothing but commas allows nothing.
        assert_eq!(next(", 0 0 * * *", "2024-01-01T00:00:00Z", &TimeZone::UTC), None);
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in [
            "",
            "* * * * *",
            "* * * * * * *",
            "60 * * * * *",
            "* 60 * * * *",
            "* * 24 * * *",
            "* * * 0 * *",
            "* * * 32 * *",
            "* * * * 0 *",
            "* * * * 13 *",
            "* * * * * 7",
            "* * * * * xyz",
            "*/0 * * * * *",
            "5-1 * * * * *",
            "1-2-3 * * * * *",
            "1/2/3 * * * * *",
            "-1 * * * * *",
            "a * * * * *",
            "1- * * * * *",
            "99999999999 * * * * *",
        ] {
            assert_eq!(Cron::parse(pattern), None, "{pattern:?}");
        }
    }

    #[test]
    fn clocks_of_the_zone_decide() {
        let zone = TimeZone::get("America/New_York").expect("bundled");
        for (pattern, after, expected) in [
            ("0 0 9 * * *", "2024-01-15T00:00:00Z", "2024-01-15T14:00:00Z"),
            ("0 0 9 * * *", "2024-07-15T00:00:00Z", "2024-07-15T13:00:00Z"),
            // Clocks go from 02:00 to 03:00 on 10 March: 02:30 comes the day after.
            ("0 30 2 * * *", "2024-03-10T05:00:00Z", "2024-03-11T06:30:00Z"),
            // They go back from 02:00 to 01:00 on 3 November: 01:30 comes twice.
            ("0 30 1 * * *", "2024-11-03T04:00:00Z", "2024-11-03T05:30:00Z"),
            ("0 30 1 * * *", "2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z"),
        ] {
            assert_eq!(next(pattern, after, &zone), Some(seconds(expected)), "{pattern} {after}");
        }
    }
}
