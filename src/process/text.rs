//! Numbers as people read them.

/// The units above the byte, each 1024 of the one before.
const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];

/// A size in bytes as log lines show it: `512 B`, `8.00 MB`. Units are powers of 1024.
pub fn friendly_bytes(bytes: i64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Floating point, as values just below a unit are expected to round up to it.
    let value = bytes as f64;
    let exponent = ((value.ln() / 1024f64.ln()) as usize).clamp(1, UNITS.len());
    let unit = UNITS.get(exponent - 1).copied().unwrap_or('E');
    let mut scaled = value;
    for _ in 0..exponent {
        scaled /= 1024.0;
    }
    format!("{scaled:.2} {unit}B")
}

/// A number with commas between groups of three digits.
pub fn comma(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        out.push('-');
    }
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_table() {
        let table = [
            (0, "0 B"),
            (-1, "-1 B"),
            (1023, "1023 B"),
            (1024, "1.00 KB"),
            (1536, "1.50 KB"),
            (8 * 1024 * 1024, "8.00 MB"),
            (1024 * 1024 * 1024, "1.00 GB"),
            (5_368_709_120, "5.00 GB"),
            (1 << 40, "1.00 TB"),
            (1 << 50, "1.00 PB"),
            (1 << 60, "1.00 EB"),
            (i64::MAX, "8.00 EB"),
        ];
        for (bytes, expected) in table {
            assert_eq!(friendly_bytes(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn commas_follow_the_table() {
        let table = [
            (0, "0"),
            (10, "10"),
            (100, "100"),
            (1000, "1,000"),
            (100_000, "100,000"),
            (10_000_000, "10,000,000"),
            (10_100_000, "10,100,000"),
            (10_010_000, "10,010,000"),
            (10_001_000, "10,001,000"),
            (123_456_789, "123,456,789"),
            (9_223_372_000_000_000_000, "9,223,372,000,000,000,000"),
            (i64::MAX, "9,223,372,036,854,775,807"),
            (i64::MIN, "-9,223,372,036,854,775,808"),
            (-123_456_789, "-123,456,789"),
            (-10_001_000, "-10,001,000"),
            (-100_000, "-100,000"),
            (-1000, "-1,000"),
            (-100, "-100"),
            (-10, "-10"),
        ];
        for (number, expected) in table {
            assert_eq!(comma(number), expected);
        }
    }
}
