//! What the configuration reads from JWTs (spec 02 §5.9).
//!
//! The options need a few claims of operators, and to know whether a preloaded account JWT is
//! one. [`ClaimsDecoder`] is where full JWT support plugs in; [`UnverifiedClaims`] reads the
//! claims without checking signatures, which is enough for checking a configuration: operator
//! JWTs are trusted because the operator of the machine configured them, and account and user
//! JWTs are verified again when they are used.

use super::options::operator::OperatorClaims;
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

/// The longest JWT that is decoded, in bytes.
const MAX_TOKEN_BYTES: usize = 1024 * 1024;

/// The claims of a user JWT the configuration depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserClaims {
    /// `bearer_token`: the JWT alone authenticates.
    pub bearer_token: bool,
    /// `issuer_account`, set when a signing key issued the JWT.
    pub issuer_account: String,
    /// Whether the JWT sets no permissions and limits, leaving them to its signing key.
    pub has_empty_permissions: bool,
}

/// Decodes JWTs.
pub trait ClaimsDecoder {
    /// Decodes an operator JWT.
    ///
    /// # Errors
    /// The reason, as text.
    fn operator(&self, token: &str) -> Result<OperatorClaims, String>;

    /// Checks that the token is an account JWT.
    ///
    /// # Errors
    /// The reason, as text.
    fn account(&self, token: &str) -> Result<(), String>;

    /// Decodes a user JWT.
    ///
    /// # Errors
    /// The reason, as text.
    fn user(&self, token: &str) -> Result<UserClaims, String>;
}

/// Reads claims without verifying signatures.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnverifiedClaims;

impl ClaimsDecoder for UnverifiedClaims {
    fn operator(&self, token: &str) -> Result<OperatorClaims, String> {
        let claims = decode(token, "operator")?;
        let nats = claims.get("nats");
        Ok(OperatorClaims {
            subject: string(Some(&claims), "sub"),
            account_server_url: string(nats, "account_server_url"),
            system_account: string(nats, "system_account"),
            signing_keys: nats
                .and_then(|nats| nats.get("signing_keys")?.as_array())
                .map(|keys| keys.iter().filter_map(|k| k.as_str().map(str::to_owned)).collect())
                .unwrap_or_default(),
            assert_server_version: string(nats, "assert_server_version"),
            strict_signing_key_usage: boolean(nats, "strict_signing_key_usage"),
        })
    }

    fn account(&self, token: &str) -> Result<(), String> {
        decode(token, "account").map(|_| ())
    }

    fn user(&self, token: &str) -> Result<UserClaims, String> {
        let claims = decode(token, "user")?;
        let nats = claims.get("nats");
        // Everything beside these fields is a permission or a limit; the zero value of each is
        // the same as leaving it out.
        const NOT_PERMISSIONS: [&str; 4] = ["issuer_account", "tags", "type", "version"];
        let is_zero = |value: &Value| match value {
            Value::Null => true,
            Value::Bool(on) => !on,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
        };
        let has_empty_permissions = nats.and_then(Value::as_object).is_none_or(|fields| {
            fields
                .iter()
                .all(|(name, value)| NOT_PERMISSIONS.contains(&name.as_str()) || is_zero(value))
        });
        Ok(UserClaims {
            bearer_token: boolean(nats, "bearer_token"),
            issuer_account: string(nats, "issuer_account"),
            has_empty_permissions,
        })
    }
}

fn string(object: Option<&Value>, field: &str) -> String {
    object.and_then(|object| object.get(field)?.as_str()).unwrap_or_default().to_owned()
}

fn boolean(object: Option<&Value>, field: &str) -> bool {
    object.and_then(|object| object.get(field)?.as_bool()).unwrap_or_default()
}

/// The claims of a token of the given kind.
fn decode(token: &str, kind: &str) -> Result<Value, String> {
    if token.len() > MAX_TOKEN_BYTES {
        let length = token.len();
        return Err(format!(
            "token size {length} exceeds maximum of {MAX_TOKEN_BYTES} bytes: token too large"
        ));
    }
    let chunks: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = chunks.as_slice() else {
        return Err("expected 3 chunks".to_owned());
    };
    let header = decode_json(header)?;
    let kind_of_token = string(Some(&header), "typ");
    if !kind_of_token.eq_ignore_ascii_case("jwt") {
        return Err(format!("not supported type {}", super::text::quote(&kind_of_token)));
    }
    let algorithm = string(Some(&header), "alg");
    if !matches!(algorithm.to_ascii_lowercase().as_str(), "ed25519" | "ed25519-nkey") {
        return Err(format!("unexpected {} algorithm", super::text::quote(&algorithm)));
    }
    let claims = decode_json(payload)?;
    decode_base64(signature)?;
    // The first version of the format had the type beside the claims.
    let nats = claims.get("nats");
    let claimed = match string(nats, "type") {
        inner if inner.is_empty() => string(Some(&claims), "type"),
        inner => inner,
    };
    if claimed != kind {
        return Err(format!("not {kind} claim"));
    }
    Ok(claims)
}

fn decode_base64(text: &str) -> Result<Vec<u8>, String> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|error| format!("illegal base64 data at input byte {}", error.position))
}

fn decode_json(text: &str) -> Result<Value, String> {
    serde_json::from_slice(&decode_base64(text)?).map_err(|error| error.to_string())
}

/// The JWT in a credentials file: the first block between two lines of dashes, or all of the
/// content if there is no such block (spec 03 §1.5).
#[must_use]
pub fn undecorate(content: &str) -> &str {
    let is_rule = |line: &str| {
        let dashes = |text: &str| text.bytes().take_while(|&b| b == b'-').count() >= 3;
        let line = line.trim();
        dashes(line) && line.ends_with("---")
    };
    let is_token = |line: &&str| {
        !line.is_empty()
            && line.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '='))
            && !is_rule(line)
    };
    let lines: Vec<&str> = content.lines().collect();
    let block = lines.windows(3).find(|window| match window {
        [before, token, after] => is_rule(before) && is_token(token) && is_rule(after),
        _ => false,
    });
    match block {
        Some([_, token, _]) => token,
        _ => content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        format!("{}.{}.{}", encode(header), encode(claims), encode("signature"))
    }

    const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

    #[test]
    fn operator_claims_are_read() {
        let claims = UnverifiedClaims
            .operator(&token(
                HEADER,
                r#"{"sub":"OABC","nats":{"type":"operator","system_account":"ASYS",
                    "signing_keys":["O1","O2"],"account_server_url":"http://h/jwt/v1",
                    "assert_server_version":"2.10.0","strict_signing_key_usage":true}}"#,
            ))
            .unwrap();
        assert_eq!(claims.subject, "OABC");
        assert_eq!(claims.system_account, "ASYS");
        assert_eq!(claims.signing_keys, ["O1", "O2"]);
        assert_eq!(claims.account_server_url, "http://h/jwt/v1");
        assert_eq!(claims.assert_server_version, "2.10.0");
        assert!(claims.strict_signing_key_usage);
    }

    #[test]
    fn tokens_of_another_kind_or_form_are_refused() {
        let account = token(HEADER, r#"{"sub":"A","nats":{"type":"account"}}"#);
        assert_eq!(UnverifiedClaims.account(&account), Ok(()));
        for (token, error) in [
            (account.as_str(), "not operator claim"),
            ("a.b", "expected 3 chunks"),
            (&token(r#"{"typ":"x","alg":"ed25519"}"#, "{}"), "not supported type \"x\""),
            (&token(r#"{"typ":"jwt","alg":"none"}"#, "{}"), "unexpected \"none\" algorithm"),
        ] {
            assert_eq!(UnverifiedClaims.operator(token), Err(error.to_owned()));
        }
        assert!(UnverifiedClaims.operator(&"x".repeat(MAX_TOKEN_BYTES + 1)).is_err());
    }

    #[test]
    fn user_without_limits_is_recognised_as_scoped() {
        let scoped = r#"{"nats":{"type":"user","issuer_account":"A","version":2,"subs":0}}"#;
        let claims = UnverifiedClaims.user(&token(HEADER, scoped)).unwrap();
        assert!(claims.has_empty_permissions && !claims.bearer_token);
        assert_eq!(claims.issuer_account, "A");
        let limited = r#"{"nats":{"type":"user","subs":-1,"bearer_token":true}}"#;
        let claims = UnverifiedClaims.user(&token(HEADER, limited)).unwrap();
        assert!(!claims.has_empty_permissions && claims.bearer_token);
    }

    #[test]
    fn jwt_is_taken_out_of_its_decoration() {
        let decorated = "\n-----BEGIN NATS USER JWT-----\r\neyJ0.a-_.b=\n------END NATS USER JWT\
                         ------\n\n----SEED----\nSUABC\n----END----\n";
        assert_eq!(undecorate(decorated), "eyJ0.a-_.b=");
        assert_eq!(undecorate("eyJ0.a.b"), "eyJ0.a.b");
        assert_eq!(undecorate("---\n---\n---"), "---\n---\n---");
    }
}
