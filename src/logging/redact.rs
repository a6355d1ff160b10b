//! Removal of secrets from a CONNECT before it is traced ("spec 01, 13.2" and "spec 02, 10.6").
//!
//! The text need not be JSON, nor even close: whatever follows a key that names a secret, up to
//! the next quote, comma, brace or line end, is replaced. Keys beginning with `auth_token` or
//! `pass` count with any ending, `proxy_sig`, `nkey` and `sig` only whole. Two passes, each a
//! linear scan with the same meaning as the regular expressions given in the spec.

use std::borrow::Cow;

/// What replaces a secret.
const REDACTED: &[u8] = b"[REDACTED]";

/// Returns the argument with every secret replaced; borrowed when there is none.
pub fn redact_connect(argument: &[u8]) -> Cow<'_, [u8]> {
    match replace_values(argument, prefixed_key) {
        Cow::Borrowed(unchanged) => replace_values(unchanged, exact_key),
        Cow::Owned(once) => {
            let twice = match replace_values(&once, exact_key) {
                Cow::Borrowed(_) => None,
                Cow::Owned(twice) => Some(twice),
            };
            Cow::Owned(twice.unwrap_or(once))
        }
    }
}

/// Looks for a key at a position: `Ok` is where its value begins, `Err` where to look next.
type KeyMatcher = fn(&[u8], usize) -> Result<usize, usize>;

fn replace_values(text: &[u8], key: KeyMatcher) -> Cow<'_, [u8]> {
    let mut out: Option<Vec<u8>> = None;
    let mut copied = 0;
    let mut at = 0;
    while at < text.len() {
        match key(text, at) {
            Err(next) => at = next,
            Ok(value) => {
                let out = out.get_or_insert_default();
                out.extend_from_slice(text.get(copied..value).unwrap_or_default());
                out.extend_from_slice(REDACTED);
                let in_value = |b| !matches!(b, b'"' | b',' | b'\r' | b'\n' | b'}');
                copied = skip_while(text, value, in_value);
                at = copied;
            }
        }
    }
    let Some(mut out) = out else { return Cow::Borrowed(text) };
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

fn skip_while(text: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().position(|&b| !wanted(b)).unwrap_or(rest.len())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')
}

fn starts_with_at(text: &[u8], at: usize, word: &[u8]) -> bool {
    text.get(at..).is_some_and(|rest| rest.starts_with(word))
}

/// After a key: an optional quote, `:` or `=` between optional spaces, an optional quote.
fn after_separator(text: &[u8], at: usize) -> Option<usize> {
    let with_quote = text.get(at) == Some(&b'"');
    let at = skip_while(text, if with_quote { at + 1 } else { at }, is_space);
    if !matches!(text.get(at), Some(b':' | b'=')) {
        return None;
    }
    let at = skip_while(text, at + 1, is_space);
    Some(if text.get(at) == Some(&b'"') { at + 1 } else { at })
}

/// `auth_token…` or `pass…`: the shortest run without spaces that a separator follows.
fn prefixed_key(text: &[u8], at: usize) -> Result<usize, usize> {
    let words: [&[u8]; 2] = [b"auth_token", b"pass"];
    let Some(word) = words.into_iter().find(|word| starts_with_at(text, at, word)) else {
        return Err(at + 1);
    };
    let mut at = at + word.len();
    loop {
        if let Some(value) = after_separator(text, at) {
            return Ok(value);
        }
        match text.get(at) {
            Some(&byte) if !is_space(byte) => at += 1,
            // No separator follows anywhere in this run, so a key further on in the same run
            // cannot match either; skipping it keeps the scan linear.
            _ => return Err(at + 1),
        }
    }
}

/// `proxy_sig`, `nkey` or `sig`, not as the tail of a longer word.
fn exact_key(text: &[u8], at: usize) -> Result<usize, usize> {
    let words: [&[u8]; 3] = [b"proxy_sig", b"nkey", b"sig"];
    let Some(word) = words.into_iter().find(|word| starts_with_at(text, at, word)) else {
        return Err(at + 1);
    };
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    if before.is_some_and(|&b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(at + 1);
    }
    after_separator(text, at + word.len()).ok_or(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(table: &[(&str, &str)]) {
        for (input, expected) in table {
            let output = redact_connect(input.as_bytes());
            assert_eq!(String::from_utf8_lossy(&output), *expected, "for {input}");
        }
    }

    /// The same shapes of CONNECT with either key.
    fn check_key(key: &str) {
        let shapes = [
            (r#"{"user":"derek","KEY":"s3cr3t"}"#, r#"{"user":"derek","KEY":"*"}"#),
            (r#"{"user":"derek","KEY":  "s3cr3t"}"#, r#"{"user":"derek","KEY":  "*"}"#),
            (r#"{"user":"derek","KEY":""}"#, r#"{"user":"derek","KEY":"*"}"#),
            (r#"{"user":"derek","KEY":"      "}"#, r#"{"user":"derek","KEY":"*"}"#),
            (r#"{"user":"d","KEY":    "s3cr3t"     }"#, r#"{"user":"d","KEY":    "*"     }"#),
            (r#"{"KEY":"s3cr3t",}"#, r#"{"KEY":"*",}"#),
            ("{KEY:s3cr3t ,   password =  s3cr3t}", "{KEY:*,   password =  *}"),
            ("{KEY:s3cr3t ,   password=  s3cr3t}", "{KEY:*,   password=  *}"),
            (r#"{"KEY":"s3cr3t4", "password": "s3cr3t4"}"#, r#"{"KEY":"*", "password": "*"}"#),
            ("{user = hello, KEY =  s3cr3t}", "{user = hello, KEY =  *}"),
            ("{KEY:s3cr3t\r\n", "{KEY:*\r\n"),
            (r#"{"KEY":"secret value which is long",}"#, r#"{"KEY":"*",}"#),
            (
                r#"{"KEY":"AAAA","KEY":"BBBB","pass":"CCCC","password":"DDDD"}"#,
                r#"{"KEY":"*","KEY":"*","pass":"*","password":"*"}"#,
            ),
            (
                r#"{KEY = "AAAA",pass= "BBBB",password ="CCCC"}"#,
                r#"{KEY = "*",pass= "*",password ="*"}"#,
            ),
            (
                r#"{"echo":true,"user":"s3cr3t","KEY":"s3cr3t","tls_required":false,"name":"s3cr3t"}"#,
                r#"{"echo":true,"user":"s3cr3t","KEY":"*","tls_required":false,"name":"s3cr3t"}"#,
            ),
        ];
        for (input, expected) in shapes {
            for head in ["CONNECT ", "CONNECT \t  "] {
                for tail in ["", "\r\n"] {
                    let input = format!("{head}{}{tail}", input.replace("KEY", key));
                    let expected = expected.replace("KEY", key).replace('*', "[REDACTED]");
                    check(&[(&input, &format!("{head}{expected}{tail}"))]);
                }
            }
        }
    }

    #[test]
    fn passwords_are_replaced_whatever_the_key_ends_with() {
        check_key("pass");
        check_key("password");
    }

    #[test]
    fn auth_tokens_are_replaced() {
        check_key("auth_token");
    }

    #[test]
    fn signatures_and_nkeys_are_replaced_only_for_whole_keys() {
        check(&[
            (
                r#"CONNECT {"sig":"signature","user":"foo"}"#,
                r#"CONNECT {"sig":"[REDACTED]","user":"foo"}"#,
            ),
            (
                r#"CONNECT {"nkey":"nkey","user":"foo"}"#,
                r#"CONNECT {"nkey":"[REDACTED]","user":"foo"}"#,
            ),
            (
                r#"CONNECT {"proxy_sig":"p","sig":"s","user":"foo"}"#,
                r#"CONNECT {"proxy_sig":"[REDACTED]","sig":"[REDACTED]","user":"foo"}"#,
            ),
            (
                r#"CONNECT {"sig":"s","proxy_sig":"p","user":"foo"}"#,
                r#"CONNECT {"sig":"[REDACTED]","proxy_sig":"[REDACTED]","user":"foo"}"#,
            ),
            (
                r#"CONNECT {"name":"foo sig:bar","sig":"REAL","user":"foo"}"#,
                r#"CONNECT {"name":"foo sig:[REDACTED]","sig":"[REDACTED]","user":"foo"}"#,
            ),
            ("CONNECT sig=abc\r\n", "CONNECT sig=[REDACTED]\r\n"),
            (
                r#"CONNECT {"name":"unterminated,"sig":"abc"}"#,
                r#"CONNECT {"name":"unterminated,"sig":"[REDACTED]"}"#,
            ),
            (r#"CONNECT {"design":"x","my_sig":"y"}"#, r#"CONNECT {"design":"x","my_sig":"y"}"#),
        ]);
    }

    #[test]
    fn users_and_jwts_stay_readable() {
        check(&[(
            r#"CONNECT {"user":"derek","jwt":"eyJ0"}"#,
            r#"CONNECT {"user":"derek","jwt":"eyJ0"}"#,
        )]);
        assert!(matches!(redact_connect(b"CONNECT {}"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_long_run_without_separator_is_scanned_once() {
        let run = b"pass".repeat(1 << 18);
        assert!(matches!(redact_connect(&run), Cow::Borrowed(_)));
    }
}
