//! The version this server is compatible with, and comparison of versions.

/// What clients, peers and tools are told; they gate features on it ("ecosystem, version gates").
pub const VERSION: &str = "2.14.5";

/// Whether `version`, a strict semantic version, is at least the given one. A pre-release counts
/// as its release; what cannot be parsed is never at least anything.
pub fn version_at_least(version: &str, major: u64, minor: u64, patch: u64) -> bool {
    components(version).is_some_and(|components| components >= (major, minor, patch))
}

fn components(version: &str) -> Option<(u64, u64, u64)> {
    let (version, build) = match version.split_once('+') {
        Some((version, build)) => (version, Some(build)),
        None => (version, None),
    };
    let (core, pre_release) = match version.split_once('-') {
        Some((core, pre_release)) => (core, Some(pre_release)),
        None => (version, None),
    };
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let pre_release_word = |part: &str| {
        let numeric = part.bytes().all(|b| b.is_ascii_digit());
        word(part) && (!numeric || number(part).is_some())
    };
    let labels_are_valid = build.is_none_or(|build| build.split('.').all(word))
        && pre_release.is_none_or(|label| label.split('.').all(pre_release_word));
    if !labels_are_valid {
        return None;
    }
    let mut parts = core.split('.');
    let major = parse(parts.next()?)?;
    let minor = parse(parts.next()?)?;
    let patch = parse(parts.next()?)?;
    parts.next().is_none().then_some((major, minor, patch))
}

/// Digits without a leading zero.
fn number(part: &str) -> Option<&str> {
    let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (digits && (part == "0" || !part.starts_with('0'))).then_some(part)
}

fn parse(part: &str) -> Option<u64> {
    number(part)?.parse().ok().filter(|number| i64::try_from(*number).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_part_by_part() {
        let table = [
            ("2.0.0-beta", (1, 9, 9), true),
            ("2.0.0", (1, 99, 9), true),
            ("2.2.0", (2, 1, 9), true),
            ("2.2.2", (2, 2, 2), true),
            ("2.2.2", (2, 2, 3), false),
            ("2.2.2", (2, 3, 2), false),
            ("2.2.2", (3, 2, 2), false),
            ("2.22.2", (3, 0, 0), false),
            ("2.2.22", (2, 3, 0), false),
            ("bad.version", (1, 2, 3), false),
            ("2.2.2+build.7-x", (2, 2, 2), true),
        ];
        for (version, (major, minor, patch), expected) in table {
            assert_eq!(version_at_least(version, major, minor, patch), expected, "{version}");
        }
    }

    #[test]
    fn what_is_not_strictly_semantic_is_never_at_least() {
        let bad = [
            "",
            "v2.2.2",
            "2.2",
            "2.2.2.2",
            "02.2.2",
            "2.2.2-",
            "2.2.2-01",
            "2.2.2+",
            "2.2.2-a..b",
            "99999999999999999999.0.0",
            "2.2.2 ",
        ];
        for version in bad {
            assert!(!version_at_least(version, 0, 0, 0), "{version}");
        }
    }
}
