//! When and from where users may be connected (spec 03 §7 and §23.3).

use super::user::UserPermissions;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use std::net::IpAddr;
use std::time::Duration;

/// A network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads `address/bits`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let plain = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
        let bits = bits.parse().ok().filter(|bits| plain && *bits <= all)?;
        Some(Network { address, bits })
    }

    /// Whether that address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

/// Whether a user may connect from there.
#[must_use]
pub fn allows_source(user: &UserPermissions, address: IpAddr) -> bool {
    let Some(sources) = user.sources.as_ref().filter(|s| !s.is_empty()) else { return true };
    for text in sources {
        // One that makes no sense ends the search, and nobody is let in.
        let Some(network) = Network::parse(text) else { return false };
        if network.contains(address) {
            return true;
        }
    }
    false
}

/// Reads `HH:MM:SS`.
pub(super) fn parse_time(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let mut next = |max: i8, two: bool| -> Option<i8> {
        let part = parts.next()?;
        let digits = part.bytes().all(|b| b.is_ascii_digit());
        let length = if two { part.len() == 2 } else { (1..=2).contains(&part.len()) };
        part.parse().ok().filter(|n| digits && length && *n <= max)
    };
    let (hour, minute, second) = (next(23, false)?, next(59, true)?, next(59, true)?);
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, 0).ok()
}

/// A time zone of the IANA's names.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    // Paths are no names.
    if name.contains("..") || name.starts_with('/') || name.contains('\\') {
        return Err("time: invalid location name".to_owned());
    }
    TimeZone::get(name).map_err(|_| format!("unknown time zone {name}"))
}

/// It is not the time for a user to be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsideTimes;

/// For how long from `now` on a user may be connected; `None` is for ever.
///
/// # Errors
/// Not now.
pub fn allows_time(
    user: &UserPermissions,
    now: Timestamp,
) -> Result<Option<Duration>, OutsideTimes> {
    let Some(ranges) = user.times.as_ref().filter(|times| !times.is_empty()) else {
        return Ok(None);
    };
    let zone = match user.times_location.as_str() {
        "" => TimeZone::system(),
        name => zone(name).map_err(|_| OutsideTimes)?,
    };
    let now = now.to_zoned(zone);
    let mut longest: Option<Duration> = None;
    for range in ranges {
        let (Some(start), Some(end)) = (parse_time(&range.start), parse_time(&range.end)) else {
            return Err(OutsideTimes);
        };
        longest = longest.max(remaining(start, end, &now));
    }
    longest.map(Some).ok_or(OutsideTimes)
}

/// How long the range of the day goes on, if it is now.
fn remaining(start: Time, end: Time, now: &Zoned) -> Option<Duration> {
    let today = |time: Time| now.with().time(time).subsec_nanosecond(0).build().ok();
    let (start, end) = (today(start)?, today(end)?);
    let until = |end: &Zoned| Duration::try_from(now.duration_until(end)).ok();
    if start > end {
        // It goes on through midnight.
        if *now < end {
            return until(&end);
        }
        if *now > start {
            return until(&end.tomorrow().ok()?);
        }
        return None;
    }
    if start < *now && *now < end { until(&end) } else { None }
}
