//! Secrets on the command line ("spec 02, 7.3").
//!
//! The argument list is shown at `/debug/vars`, so values of flags that carry credentials are
//! replaced before the server starts.

/// What replaces a secret.
const REDACTED: &str = "[REDACTED]";

/// Returns the argument list as it may be shown.
pub fn redact_arguments(arguments: &[String]) -> Vec<String> {
    let mut shown = arguments.to_vec();
    for at in 0..shown.len() {
        let Some(argument) = shown.get(at) else { continue };
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (argument.clone(), None),
        };
        let name = flag.strip_prefix("--").or_else(|| flag.strip_prefix('-')).unwrap_or_default();
        let redact: fn(&str) -> String = match name {
            "user" | "pass" | "auth" => |_| REDACTED.to_owned(),
            "routes" => redact_url_list,
            "cluster" | "cluster_listen" => redact_userinfo,
            _ => continue,
        };
        let (target, new) = match value {
            Some(value) => (at, format!("{flag}={}", redact(&value))),
            None => match shown.get(at + 1) {
                Some(value) => (at + 1, redact(value)),
                None => continue,
            },
        };
        if let Some(slot) = shown.get_mut(target) {
            *slot = new;
        }
    }
    shown
}

/// Replaces user and password of a URL; a text without them is returned as it is.
fn redact_userinfo(url: &str) -> String {
    let trimmed = url.trim();
    match split_userinfo(trimmed) {
        Some((scheme, _, rest)) => format!("{scheme}//{REDACTED}@{rest}"),
        None => url.to_owned(),
    }
}

fn redact_url_list(urls: &str) -> String {
    urls.split(',').map(redact_userinfo).collect::<Vec<_>>().join(",")
}

/// Splits a URL into `scheme:` (maybe empty), the user information and what follows the `@`.
fn split_userinfo(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, after) = url.split_once("//")?;
    if !(scheme.is_empty() || scheme.ends_with(':')) {
        return None;
    }
    let authority_end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (authority, _) = after.split_at(authority_end);
    let at = authority.rfind('@')?;
    let (userinfo, rest) = after.split_at(at);
    Some((scheme, userinfo, rest.get(1..)?))
}

/// A URL with its password, if it has one, shown as `xxxxx`; for lists of URLs in log lines.
pub fn redact_url_password(url: &str) -> String {
    let Some((scheme, userinfo, rest)) = split_userinfo(url) else { return url.to_owned() };
    match userinfo.split_once(':') {
        Some((user, _)) => format!("{scheme}//{user}:xxxxx@{rest}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &[&str], expected: &[&str]) {
        let input: Vec<String> = input.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(redact_arguments(&input), expected);
    }

    #[test]
    fn secrets_are_replaced_in_both_forms_and_with_either_dash() {
        check(
            &[
                "nats-server",
                "-user",
                "joe",
                "--pass=s3cr3t",
                "-auth=tok",
                "--user",
                "x",
                "-p",
                "1",
            ],
            &[
                "nats-server",
                "-user",
                REDACTED,
                "--pass=[REDACTED]",
                "-auth=[REDACTED]",
                "--user",
                REDACTED,
                "-p",
                "1",
            ],
        );
    }

    #[test]
    fn urls_lose_their_userinfo_alone() {
        check(
            &["-cluster", "nats://a:b@host:-1", "--cluster_listen=nats://host:6222"],
            &["-cluster", "nats://[REDACTED]@host:-1", "--cluster_listen=nats://host:6222"],
        );
        check(
            &["--routes=nats://a:b@h1:1, nats://h2:2 , nats://c:d@h3:3 "],
            &["--routes=nats://[REDACTED]@h1:1, nats://h2:2 ,nats://[REDACTED]@h3:3"],
        );
        check(&["-routes", "nats://a:p@ss@h:1"], &["-routes", "nats://[REDACTED]@h:1"]);
    }

    #[test]
    fn other_arguments_and_a_missing_value_are_left_alone() {
        check(&["---pass", "x", "-passwd=x", "-pass"], &["---pass", "x", "-passwd=x", "-pass"]);
    }

    #[test]
    fn only_the_password_of_a_url_is_hidden_in_logs() {
        let table = [
            ("nats://foo:bar@example.org", "nats://foo:xxxxx@example.org"),
            ("nats://foo@example.org", "nats://foo@example.org"),
            ("nats://example.org", "nats://example.org"),
            ("nats://example.org/foo?bar=1", "nats://example.org/foo?bar=1"),
            ("nats://example.org/a:b@c", "nats://example.org/a:b@c"),
        ];
        for (url, expected) in table {
            assert_eq!(redact_url_password(url), expected);
        }
    }
}
