//! Taking the secrets out of a CONNECT before it is shown in a protocol trace.
//!
//! Implements the redaction of spec 01 §13.2.

use std::borrow::Cow;

const REDACTED: &[u8] = b"[REDACTED]";

/// The argument of a CONNECT with its secrets replaced by `[REDACTED]`.
///
/// Values of keys that begin with `auth_token` or `pass`, and of the keys `sig`,
/// `proxy_sig` and `nkey`. The argument need not be valid JSON, so this looks
/// for `key : value` and `key = value` wherever they stand; better one secret
/// too many than one too few.
#[must_use]
pub fn redact_connect(arg: &[u8]) -> Cow<'_, [u8]> {
    match redact(arg, next_prefixed_secret) {
        Cow::Borrowed(arg) => redact(arg, next_exact_secret),
        Cow::Owned(arg) => Cow::Owned(redact(&arg, next_exact_secret).into_owned()),
    }
}

/// Where a secret begins and ends.
type Span = (usize, usize);

/// Replaces every span that `next`, given the text and where to go on, finds.
fn redact(text: &[u8], next: impl Fn(&[u8], usize) -> Option<Span>) -> Cow<'_, [u8]> {
    let mut redacted: Option<Vec<u8>> = None;
    let mut copied = 0;
    while let Some((start, end)) = next(text, copied) {
        let out = redacted.get_or_insert_with(|| Vec::with_capacity(text.len()));
        out.extend_from_slice(text.get(copied..start).unwrap_or_default());
        out.extend_from_slice(REDACTED);
        copied = end;
    }
    match redacted {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.extend_from_slice(text.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// The value of the next key that begins with `auth_token` or `pass`.
fn next_prefixed_secret(text: &[u8], from: usize) -> Option<Span> {
    let mut at = from;
    while at < text.len() {
        let rest = text.get(at..)?;
        let Some(key_len) = [&b"auth_token"[..], b"pass"]
            .into_iter()
            .find_map(|key| rest.starts_with(key).then_some(key.len()))
        else {
            at += 1;
            continue;
        };
        at += key_len;
        // The key goes on up to the first place where it can end.
        loop {
            if let Some(span) = value_after_key(text, at) {
                return Some(span);
            }
            match text.get(at) {
                Some(byte) if !is_space(*byte) => at += 1,
                // No key that begins inside this word can end in it either.
                _ => break,
            }
        }
    }
    None
}

/// The value of the next key that is one of the exact ones.
fn next_exact_secret(text: &[u8], from: usize) -> Option<Span> {
    (from..text.len()).find_map(|at| {
        let begins_word = match at.checked_sub(1) {
            None => true,
            // The byte before must not belong to the previous secret.
            Some(before) => before >= from && !is_word(*text.get(before)?),
        };
        if !begins_word {
            return None;
        }
        let rest = text.get(at..)?;
        [&b"proxy_sig"[..], b"nkey", b"sig"]
            .into_iter()
            .filter(|key| rest.starts_with(key))
            .find_map(|key| value_after_key(text, at + key.len()))
    })
}

/// The value behind a key that ends at `at`: an optional quote, a colon or an
/// equals sign, another optional quote, all with space around, then everything
/// up to a quote, comma, line end or closing brace.
fn value_after_key(text: &[u8], at: usize) -> Option<Span> {
    let at = skip_space(text, skip_quote(text, at));
    if !matches!(text.get(at)?, b':' | b'=') {
        return None;
    }
    let start = skip_quote(text, skip_space(text, at + 1));
    let rest = text.get(start..)?;
    let len = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n' | b'}'))
        .unwrap_or(rest.len());
    Some((start, start + len))
}

fn skip_quote(text: &[u8], at: usize) -> usize {
    at + usize::from(text.get(at) == Some(&b'"'))
}

fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len())
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted_whatever_the_notation() {
        for (arg, shown) in [
            (r#"{"user":"a","pass":"b"}"#, r#"{"user":"a","pass":"[REDACTED]"}"#),
            (r#"{"pass":   "b"}"#, r#"{"pass":   "[REDACTED]"}"#),
            (r#"{"pass":""}"#, r#"{"pass":"[REDACTED]"}"#),
            (r#"{"pass":"    "}"#, r#"{"pass":"[REDACTED]"}"#),
            (r#"{"pass":    "b"     }"#, r#"{"pass":    "[REDACTED]"     }"#),
            (r#"{"pass":"with blanks in it",}"#, r#"{"pass":"[REDACTED]",}"#),
            (r#"{"password":"b"}"#, r#"{"password":"[REDACTED]"}"#),
            ("{pass:b ,   password =  c}", "{pass:[REDACTED],   password =  [REDACTED]}"),
            ("{pass:b ,   password=  c}", "{pass:[REDACTED],   password=  [REDACTED]}"),
            ("{user = a, password =  b}", "{user = a, password =  [REDACTED]}"),
            ("{pass:b\r\n", "{pass:[REDACTED]\r\n"),
            (
                r#"{"pass":"a","pass":"b","password":"c"}"#,
                r#"{"pass":"[REDACTED]","pass":"[REDACTED]","password":"[REDACTED]"}"#,
            ),
            (
                r#"{pass = "a",pass= "b",password ="c"}"#,
                r#"{pass = "[REDACTED]",pass= "[REDACTED]",password ="[REDACTED]"}"#,
            ),
            (
                r#"{"user":"s","pass":"s","tls_required":false,"name":"s"}"#,
                r#"{"user":"s","pass":"[REDACTED]","tls_required":false,"name":"s"}"#,
            ),
            (r#"{"auth_token":"t"}"#, r#"{"auth_token":"[REDACTED]"}"#),
            ("{auth_token:t ,  password =  b}", "{auth_token:[REDACTED],  password =  [REDACTED]}"),
            ("{user = a, auth_token =  t}", "{user = a, auth_token =  [REDACTED]}"),
            (
                r#"{"auth_token":"a","auth_token":"b","pass":"c"}"#,
                r#"{"auth_token":"[REDACTED]","auth_token":"[REDACTED]","pass":"[REDACTED]"}"#,
            ),
            (r#"{"sig":"s","user":"a"}"#, r#"{"sig":"[REDACTED]","user":"a"}"#),
            (r#"{"nkey":"nkey"}"#, r#"{"nkey":"[REDACTED]"}"#),
            (r#"{"proxy_sig":"p","sig":"s"}"#, r#"{"proxy_sig":"[REDACTED]","sig":"[REDACTED]"}"#),
            (
                r#"{"name":"foo sig:bar","sig":"s"}"#,
                r#"{"name":"foo sig:[REDACTED]","sig":"[REDACTED]"}"#,
            ),
            ("sig=abc", "sig=[REDACTED]"),
            (
                r#"{"name":"unterminated,"sig":"abc"}"#,
                r#"{"name":"unterminated,"sig":"[REDACTED]"}"#,
            ),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&redact_connect(arg.as_bytes())),
                shown,
                "argument {arg}"
            );
        }
    }

    #[test]
    fn what_is_not_secret_stays() {
        for arg in [
            r#"{"verbose":false,"user":"a","jwt":"ey.J","lang":"go"}"#,
            r#"{"design":"x","unsig":1,"my_sig":2,"nkeys":3}"#,
            "{pass}",
            "pass word",
            "",
        ] {
            assert!(matches!(redact_connect(arg.as_bytes()), Cow::Borrowed(_)), "{arg}");
        }
    }

    #[test]
    fn a_key_may_grow_until_its_separator() {
        let shown = redact_connect(br#"{"passphrase" : "x", "compass=y"}"#);
        assert_eq!(&*shown, &br#"{"passphrase" : "[REDACTED]", "compass=[REDACTED]"}"#[..]);
    }
}
