//! Durations in the textual form clients and operators use: `1h30m`, `1.5s`, `250ms`.

const UNITS: [(&[u8], u64); 8] = [
    (b"ns", 1),
    (b"us", 1_000),
    ("\u{b5}s".as_bytes(), 1_000),
    ("\u{3bc}s".as_bytes(), 1_000),
    (b"ms", 1_000_000),
    (b"s", SECOND),
    (b"m", 60 * SECOND),
    (b"h", 3600 * SECOND),
];

const SECOND: u64 = 1_000_000_000;

/// Nanoseconds of a duration such as `-1h2.5s`: signed, one or more numbers each with a unit, or
/// a bare `0`. `None` for anything else, and for what 64 bits cannot hold.
pub fn parse(text: &[u8]) -> Option<i64> {
    let (negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if rest == b"0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        total = total.checked_add(take_component(&mut rest)?).filter(|sum| *sum <= 1 << 63)?;
    }
    if negative { 0_i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() }
}

/// One number with its unit, in nanoseconds.
fn take_component(rest: &mut &[u8]) -> Option<u64> {
    let whole_len = digits(rest);
    let (whole, mut tail) = rest.split_at(whole_len);
    let mut fraction: &[u8] = b"";
    if let [b'.', after @ ..] = tail {
        (fraction, tail) = after.split_at(digits(after));
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_len = tail.iter().position(|byte| *byte == b'.' || byte.is_ascii_digit());
    let (unit, tail) = tail.split_at(unit_len.unwrap_or(tail.len()));
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let mut nanos = number(whole)?.checked_mul(*scale)?;
    // The fraction in steps of a tenth: what is below a nanosecond is dropped.
    let mut step = u128::from(*scale) << 32;
    let mut part = 0_u128;
    for digit in fraction {
        step /= 10;
        part += u128::from(digit - b'0') * step;
    }
    // Half a unit of the guard bits makes up for what the divisions lost.
    nanos = nanos.checked_add(u64::try_from((part + (1 << 16)) >> 32).ok()?)?;
    *rest = tail;
    Some(nanos)
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn number(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// The shortest text [`parse`] reads back, with hours, minutes and seconds: `1h0m0s`, `1.5s`,
/// `2ms`, `0s`.
pub fn format(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < SECOND {
        let (unit, scale) = match nanos {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("\u{b5}s", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{sign}{}{unit}", decimal(nanos, scale));
    }
    let (hours, minutes) = (nanos / (3600 * SECOND), nanos / (60 * SECOND) % 60);
    let seconds = decimal(nanos % (60 * SECOND), SECOND);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / scale` with as many decimals as it takes.
fn decimal(value: u64, scale: u64) -> String {
    let (whole, rest) = (value / scale, value % scale);
    if rest == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    let rest = format!("{rest:0width$}");
    format!("{whole}.{}", rest.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_durations_read() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0s", Some(0)),
            ("1s", Some(1_000_000_000)),
            ("+5s", Some(5_000_000_000)),
            ("-1.5h", Some(-5_400_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.000000001s", Some(1_000_000_001)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("0.1s", Some(100_000_000)),
            ("0.3h", Some(1_080_000_000_000)),
            ("3\u{b5}s", Some(3_000)),
            ("3\u{3bc}s", Some(3_000)),
            ("9223372036854775807ns", Some(i64::MAX)),
            ("-9223372036854775808ns", Some(i64::MIN)),
            ("9223372036854775808ns", None),
            ("", None),
            ("-", None),
            ("1", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("1s ", None),
            (" 1s", None),
            ("1e3s", None),
            ("99999999999h", None),
        ] {
            assert_eq!(parse(text.as_bytes()), nanos, "{text:?}");
        }
    }

    #[test]
    fn known_durations_write() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (60_000_000_000, "1m0s"),
            (3_600_000_000_000, "1h0m0s"),
            (245_001_000_000, "4m5.001s"),
            (-1_500_000_000, "-1.5s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(format(nanos), text);
        }
    }

    proptest! {
        #[test]
        fn every_duration_reads_back(nanos in any::<i64>(), shift in 0_u32..63) {
            let nanos = nanos >> shift;
            prop_assert_eq!(parse(format(nanos).as_bytes()), Some(nanos));
        }

        #[test]
        fn any_text_is_survived(text in "[-+]?[0-9.hmsnu]{0,20}") {
            let _ = parse(text.as_bytes());
        }
    }
}
