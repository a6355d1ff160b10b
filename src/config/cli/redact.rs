//! Taking secrets out of the command line before it is shown anywhere (spec 02 §7.3).

use crate::config::url::{Url, UserInfo};

/// What stands in for a secret.
const REDACTED: &str = "[REDACTED]";
/// A stand-in that needs no escaping in a URL.
const PLACEHOLDER: &str = "_REDACTED_";

/// Replaces passwords, tokens and the credentials in URLs by `[REDACTED]`.
pub fn redact_arguments(arguments: &mut [String]) {
    for index in 0..arguments.len() {
        let Some(argument) = arguments.get(index) else { return };
        let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let redact: fn(&str) -> String = match name {
            "user" | "pass" | "auth" => |_| REDACTED.to_owned(),
            "routes" => |list| list.split(',').map(redact_url).collect::<Vec<_>>().join(","),
            "cluster" | "cluster_listen" => redact_url,
            _ => continue,
        };
        if let Some(value) = value {
            let end = argument.len() - value.len();
            let redacted = format!("{}{}", argument.get(..end).unwrap_or(""), redact(value));
            if let Some(argument) = arguments.get_mut(index) {
                *argument = redacted;
            }
        } else if let Some(value) = arguments.get_mut(index + 1) {
            *value = redact(value);
        }
    }
}

fn redact_url(text: &str) -> String {
    if !text.contains('@') {
        return text.to_owned();
    }
    // A random port is no port a URL can have.
    let trimmed = text.trim();
    let (parsed, random) = match trimmed.strip_suffix(":-1") {
        Some(host) => (format!("{host}:0"), true),
        None => (trimmed.to_owned(), false),
    };
    let Ok(mut url) = Url::parse(&parsed) else {
        return text.to_owned();
    };
    if url.user.is_none() {
        return text.to_owned();
    }
    url.user = Some(UserInfo { name: PLACEHOLDER.to_owned(), password: None });
    if random {
        url.host = format!("{}:-1", url.host.strip_suffix(":0").unwrap_or(&url.host));
    }
    url.to_string().replacen(&format!("{PLACEHOLDER}@"), &format!("{REDACTED}@"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted_in_every_form() {
        for (line, redacted) in [
            ("--pass secret -p 1", "--pass [REDACTED] -p 1"),
            ("-user=me -auth=tok", "-user=[REDACTED] -auth=[REDACTED]"),
            ("--routes=nats://a:b@h:1,nats://h:2", "--routes=nats://[REDACTED]@h:1,nats://h:2"),
            ("-cluster nats://a:b@0.0.0.0:-1", "-cluster nats://[REDACTED]@0.0.0.0:-1"),
            ("--cluster=nats://a,b:c@h:1", "--cluster=nats://[REDACTED]@h:1"),
            ("-cluster_listen nats://a,b:c@h:1", "-cluster_listen nats://[REDACTED]@h:1"),
            ("--cluster_listen=nats://a:b@h:-1", "--cluster_listen=nats://[REDACTED]@h:-1"),
            ("-routes nats://h:1", "-routes nats://h:1"),
            ("-cluster_listen nats://h:1", "-cluster_listen nats://h:1"),
            ("-routes a@b:c", "-routes a@b:c"),
            ("---pass x", "---pass x"),
            ("-pass", "-pass"),
            ("--username x", "--username x"),
        ] {
            let mut arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            redact_arguments(&mut arguments);
            assert_eq!(arguments.join(" "), redacted);
        }
    }

    #[test]
    fn entries_with_credentials_lose_their_blanks() {
        let mut arguments = vec!["-routes".to_owned(), "nats://u@h:1, nats://u:p@h:2".to_owned()];
        redact_arguments(&mut arguments);
        assert_eq!(
            arguments.last().map(String::as_str),
            Some("nats://[REDACTED]@h:1,nats://[REDACTED]@h:2")
        );
    }
}
