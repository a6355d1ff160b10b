//! Points in time as the stores and the JSON of JetStream know them.
//!
//! [`Timestamp`] is what message records carry: signed nanoseconds since the Unix epoch (spec 06,
//! conventions). [`DateTime`] is what an operator or client wrote in RFC 3339 form: it reaches
//! further than 64-bit nanoseconds do and remembers its zone offset, so that a configuration is
//! written back as it was read. Neither type reads a clock.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::time::Duration;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// Seconds from 0001-01-01 to 1970-01-01, negated: the zero time of the JSON forms.
const ZERO_TIME_SECONDS: i64 = -62_135_596_800;

/// Nanoseconds since the Unix epoch; how messages are dated.
///
/// [`Timestamp::ZERO`] stands for "no time", written `0001-01-01T00:00:00Z` in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// No time at all. The value is the year 1 in nanoseconds, wrapped to 64 bits, because that
    /// is what purge tombstones of never-used stores carry on disk (spec 06 §13.6).
    pub const ZERO: Timestamp = Timestamp(-6_795_364_578_871_345_152);

    /// The time `nanos` nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Timestamp(nanos)
    }

    /// The time `seconds` after the Unix epoch, or the farthest whole second nanoseconds can tell.
    pub const fn from_seconds(seconds: i64) -> Self {
        const MAX: i64 = i64::MAX / NANOS_PER_SECOND;
        let seconds = if seconds > MAX {
            MAX
        } else if seconds < -MAX {
            -MAX
        } else {
            seconds
        };
        Timestamp(seconds * NANOS_PER_SECOND)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded toward zero.
    pub const fn seconds(self) -> i64 {
        self.0 / NANOS_PER_SECOND
    }

    /// Whether this is [`Timestamp::ZERO`].
    pub const fn is_zero(self) -> bool {
        self.0 == Self::ZERO.0
    }

    /// This time moved forward, saturating.
    pub fn saturating_add(self, by: Duration) -> Self {
        Timestamp(self.0.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This time moved backward, saturating.
    pub fn saturating_sub(self, by: Duration) -> Self {
        Timestamp(self.0.saturating_sub(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this time is; zero when it is not.
    pub fn saturating_since(self, earlier: Timestamp) -> Duration {
        let nanos = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }

    /// The same moment as a [`DateTime`] in UTC.
    pub fn to_date_time(self) -> DateTime {
        if self.is_zero() {
            return DateTime::ZERO;
        }
        DateTime {
            seconds: self.0.div_euclid(NANOS_PER_SECOND),
            nanos: u32::try_from(self.0.rem_euclid(NANOS_PER_SECOND)).unwrap_or(0),
            offset_minutes: 0,
        }
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Timestamp::ZERO
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_date_time().fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({})", self.0)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(DateTime::deserialize(deserializer)?.to_timestamp())
    }
}

/// A moment with its zone offset, as RFC 3339 writes it; years 0 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DateTime {
    seconds: i64,
    nanos: u32,
    offset_minutes: i16,
}

/// A text that is not a date and time of RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidDateTime;

impl fmt::Display for InvalidDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a date and time of RFC 3339")
    }
}

impl std::error::Error for InvalidDateTime {}

/// The fields of a moment on the calendar, read at one zone offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    /// Year, astronomical.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Day of the week, Sunday is 0.
    pub weekday: u8,
}

impl Civil {
    /// The calendar fields `seconds` after the Unix epoch, with no zone offset applied.
    pub fn from_seconds(seconds: i64) -> Civil {
        let days = seconds.div_euclid(SECONDS_PER_DAY);
        let rest = seconds.rem_euclid(SECONDS_PER_DAY);
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            hour: small(rest / 3600),
            minute: small(rest / 60 % 60),
            second: small(rest % 60),
            weekday: small((days + 4).rem_euclid(7)),
        }
    }

    /// Seconds since the Unix epoch of these fields, with no zone offset applied; the weekday is
    /// not looked at.
    pub fn to_seconds(self) -> i64 {
        days_from_civil(self.year, i64::from(self.month), i64::from(self.day)) * SECONDS_PER_DAY
            + i64::from(self.hour) * 3600
            + i64::from(self.minute) * 60
            + i64::from(self.second)
    }
}

/// The number of days of a month.
pub fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

impl DateTime {
    /// The zero time, `0001-01-01T00:00:00Z`.
    pub const ZERO: DateTime = DateTime { seconds: ZERO_TIME_SECONDS, nanos: 0, offset_minutes: 0 };

    /// Whether this is the zero time.
    pub fn is_zero(self) -> bool {
        self.seconds == ZERO_TIME_SECONDS && self.nanos == 0
    }

    /// The same moment without a zone offset.
    pub fn to_utc(self) -> DateTime {
        DateTime { offset_minutes: 0, ..self }
    }

    /// Seconds since the Unix epoch.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// The same moment in nanoseconds, saturating at the ends of their range.
    pub fn to_timestamp(self) -> Timestamp {
        if self.is_zero() {
            return Timestamp::ZERO;
        }
        let nanos =
            i128::from(self.seconds) * i128::from(NANOS_PER_SECOND) + i128::from(self.nanos);
        let clamped = nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Timestamp(i64::try_from(clamped).unwrap_or(i64::MAX))
    }

    /// Reads `YYYY-MM-DDTHH:MM:SS[.fraction](Z|+hh:mm|-hh:mm)`; digits of the fraction past the
    /// ninth are dropped.
    pub fn parse(text: &str) -> Result<DateTime, InvalidDateTime> {
        let mut input = Digits { rest: text.as_bytes() };
        let year = input.number(4)?;
        input.expect(b'-')?;
        let month = input.ranged(1, 12)?;
        input.expect(b'-')?;
        let day = input.ranged(1, i64::from(days_in_month(year, small(month))))?;
        input.expect(b'T')?;
        let hour = input.ranged(0, 23)?;
        input.expect(b':')?;
        let minute = input.ranged(0, 59)?;
        input.expect(b':')?;
        let second = input.ranged(0, 59)?;
        let nanos = input.fraction()?;
        let offset_minutes = input.offset()?;
        let local = days_from_civil(year, month, day) * SECONDS_PER_DAY
            + hour * 3600
            + minute * 60
            + second;
        Ok(DateTime { seconds: local - i64::from(offset_minutes) * 60, nanos, offset_minutes })
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = Civil::from_seconds(self.seconds + i64::from(self.offset_minutes) * 60);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second
        )?;
        if self.nanos != 0 {
            let digits = format!("{:09}", self.nanos);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        if self.offset_minutes == 0 {
            return f.write_str("Z");
        }
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let minutes = self.offset_minutes.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        DateTime::parse(&text).map_err(de::Error::custom)
    }
}

/// A cursor over the text of a date.
struct Digits<'a> {
    rest: &'a [u8],
}

impl Digits<'_> {
    fn expect(&mut self, byte: u8) -> Result<(), InvalidDateTime> {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(InvalidDateTime),
        }
    }

    fn number(&mut self, width: usize) -> Result<i64, InvalidDateTime> {
        let (digits, rest) = self.rest.split_at_checked(width).ok_or(InvalidDateTime)?;
        self.rest = rest;
        digits
            .iter()
            .try_fold(0_i64, |value, digit| {
                digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
            })
            .ok_or(InvalidDateTime)
    }

    fn ranged(&mut self, low: i64, high: i64) -> Result<i64, InvalidDateTime> {
        let value = self.number(2)?;
        if (low..=high).contains(&value) { Ok(value) } else { Err(InvalidDateTime) }
    }

    fn fraction(&mut self) -> Result<u32, InvalidDateTime> {
        if self.rest.first() != Some(&b'.') {
            return Ok(0);
        }
        self.expect(b'.')?;
        let (mut nanos, mut scale, mut seen) = (0_u32, 100_000_000_u32, false);
        while let Some((digit, rest)) = self.rest.split_first() {
            if !digit.is_ascii_digit() {
                break;
            }
            nanos += u32::from(digit - b'0') * scale;
            scale /= 10;
            seen = true;
            self.rest = rest;
        }
        if seen { Ok(nanos) } else { Err(InvalidDateTime) }
    }

    fn offset(&mut self) -> Result<i16, InvalidDateTime> {
        let sign = match self.rest.split_first() {
            Some((b'Z', [])) => return Ok(0),
            Some((b'+', rest)) => {
                self.rest = rest;
                1
            }
            Some((b'-', rest)) => {
                self.rest = rest;
                -1
            }
            _ => return Err(InvalidDateTime),
        };
        let hours = self.ranged(0, 23)?;
        self.expect(b':')?;
        let minutes = self.ranged(0, 59)?;
        if !self.rest.is_empty() {
            return Err(InvalidDateTime);
        }
        i16::try_from(sign * (hours * 60 + minutes)).map_err(|_| InvalidDateTime)
    }
}

/// A calendar field as a byte; fields are below 60 by construction.
fn small(value: i64) -> u8 {
    u8::try_from(value).unwrap_or(0)
}

/// Days since the Unix epoch of a date of the proleptic Gregorian calendar, counted in eras of
/// 400 years that start on the first of March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, small(month), small(day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments_read_and_write_alike() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2022-03-07T23:59:11.834611Z", 1_646_697_551),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("0001-01-01T00:00:00Z", ZERO_TIME_SECONDS),
            ("9999-12-31T23:59:59.999999999Z", 253_402_300_799),
            ("2024-05-01T10:00:00+02:00", 1_714_550_400),
            ("2024-05-01T10:00:00.5-08:30", 1_714_588_200),
        ] {
            let parsed = DateTime::parse(text).expect(text);
            assert_eq!(parsed.seconds(), seconds, "{text}");
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn malformed_dates_are_refused() {
        for text in [
            "",
            "2024",
            "2024-13-01T00:00:00Z",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-01-01t00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00z",
            "2024-01-01T00:00:00Z ",
            "2024-01-01T00:00:00+0200",
            "2024-01-01T00:00:00+24:00",
        ] {
            assert_eq!(DateTime::parse(text), Err(InvalidDateTime), "{text}");
        }
    }

    #[test]
    fn zero_time_survives_both_forms() {
        assert_eq!(Timestamp::ZERO.to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(DateTime::ZERO.to_timestamp(), Timestamp::ZERO);
        assert!(Timestamp::default().is_zero());
    }

    #[test]
    fn weekday_of_the_epoch_is_thursday() {
        assert_eq!(Civil::from_seconds(0).weekday, 4);
        assert_eq!(Civil::from_seconds(-1).weekday, 3);
    }

    proptest! {
        #[test]
        fn every_timestamp_survives_its_text(nanos in any::<i64>()) {
            let timestamp = Timestamp::from_nanos(nanos);
            let parsed = DateTime::parse(&timestamp.to_string()).expect("own output");
            prop_assert_eq!(parsed.to_timestamp(), timestamp);
        }

        #[test]
        fn civil_fields_invert(seconds in -62_135_596_800_i64..253_402_300_799) {
            prop_assert_eq!(Civil::from_seconds(seconds).to_seconds(), seconds);
        }
    }
}
