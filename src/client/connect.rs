//! The CONNECT options and their decoding (spec 01 §4.1).
//!
//! A CONNECT is decoded *into* the connection's current options: what it does not mention stays as
//! it was. Names match in any case, unknown ones are ignored, `null` changes nothing, the last of
//! several duplicates wins, and a wrong type or trailing bytes are an error.

use data_encoding::BASE64URL_NOPAD;
use parser::json_input::{self, INT, JsonError, Kind, Value};
use serde::Deserialize;

/// What a client may say in CONNECT.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Answer every operation with `+OK`.
    pub verbose: bool,
    /// Check publish subjects.
    pub pedantic: bool,
    /// Deliver the connection's own messages to it.
    pub echo: bool,
    /// Sent by clients, not used by the server.
    pub tls_required: bool,
    /// Public nkey of the user.
    pub nkey: String,
    /// User JWT.
    pub jwt: String,
    /// Signature of the nonce.
    pub sig: String,
    /// Token.
    pub auth_token: String,
    /// User name.
    pub user: String,
    /// Password.
    pub pass: String,
    /// Name of the application.
    pub name: String,
    /// Language of the client library.
    pub lang: String,
    /// Version of the client library.
    pub version: String,
    /// 1 if asynchronous INFO is understood.
    pub protocol: i64,
    /// Refused when not empty.
    pub account: String,
    /// Refused when set.
    pub new_account: bool,
    /// Headers are understood.
    pub headers: bool,
    /// Wants a status message when a request reaches nobody.
    pub no_responders: bool,
    /// A trusted proxy's signature of the nonce.
    pub proxy_sig: String,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            verbose: true,
            pedantic: true,
            echo: true,
            tls_required: false,
            nkey: String::new(),
            jwt: String::new(),
            sig: String::new(),
            auth_token: String::new(),
            user: String::new(),
            pass: String::new(),
            name: String::new(),
            lang: String::new(),
            version: String::new(),
            protocol: 0,
            account: String::new(),
            new_account: false,
            headers: false,
            no_responders: false,
            proxy_sig: String::new(),
        }
    }
}

/// The fields of a CONNECT with their types. The last three have no effect for clients, but must
/// be what they should be.
const FIELDS: [(&str, Kind); 22] = [
    ("echo", Kind::Bool),
    ("verbose", Kind::Bool),
    ("pedantic", Kind::Bool),
    ("tls_required", Kind::Bool),
    ("nkey", Kind::Text),
    ("jwt", Kind::Text),
    ("sig", Kind::Text),
    ("auth_token", Kind::Text),
    ("user", Kind::Text),
    ("pass", Kind::Text),
    ("name", Kind::Text),
    ("lang", Kind::Text),
    ("version", Kind::Text),
    ("protocol", INT),
    ("account", Kind::Text),
    ("new_account", Kind::Bool),
    ("headers", Kind::Bool),
    ("no_responders", Kind::Bool),
    ("proxy_sig", Kind::Text),
    ("import", Kind::Permission),
    ("export", Kind::Permission),
    ("remote_account", Kind::Text),
];

impl ConnectOptions {
    /// Decodes a CONNECT's JSON into the options.
    ///
    /// # Errors
    /// The JSON is not an object, has a field of the wrong type, or is followed by other bytes.
    /// The options may have changed in part.
    pub fn update(&mut self, json: &[u8]) -> Result<(), JsonError> {
        json_input::decode(json, "ClientOpts", &FIELDS, &mut |at, value| {
            let name = FIELDS.get(at).map_or("", |(name, _)| *name);
            match value {
                Value::Bool(on) => {
                    if let Some(field) = self.switch(name) {
                        *field = on;
                    }
                }
                Value::Text(text) => {
                    if let Some(field) = self.text(name) {
                        *field = text;
                    }
                }
                // There is one number.
                Value::Integer(level) => self.protocol = level,
                Value::Texts(_) => {}
            }
        })
    }

    fn switch(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "verbose" => &mut self.verbose,
            "pedantic" => &mut self.pedantic,
            "echo" => &mut self.echo,
            "tls_required" => &mut self.tls_required,
            "new_account" => &mut self.new_account,
            "headers" => &mut self.headers,
            "no_responders" => &mut self.no_responders,
            _ => return None,
        })
    }

    fn text(&mut self, name: &str) -> Option<&mut String> {
        Some(match name {
            "nkey" => &mut self.nkey,
            "jwt" => &mut self.jwt,
            "sig" => &mut self.sig,
            "auth_token" => &mut self.auth_token,
            "user" => &mut self.user,
            "pass" => &mut self.pass,
            "name" => &mut self.name,
            "lang" => &mut self.lang,
            "version" => &mut self.version,
            "account" => &mut self.account,
            "proxy_sig" => &mut self.proxy_sig,
            _ => return None,
        })
    }

    /// The user JWT as monitoring may show it: one that is good for anyone who bears it is a
    /// secret, and hidden.
    pub fn shown_jwt(&self) -> &str {
        if is_bearer(&self.jwt) { "" } else { &self.jwt }
    }
}

/// Whether a user JWT says that its bearer need not sign anything. What is no JWT does not.
fn is_bearer(jwt: &str) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Claims {
        nats: User,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct User {
        bearer_token: bool,
    }
    let payload = jwt.split('.').nth(1).unwrap_or_default();
    let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap_or_default();
    serde_json::from_slice::<Claims>(&payload).is_ok_and(|claims| claims.nats.bearer_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(json: &str) -> Result<ConnectOptions, String> {
        let mut o = ConnectOptions::default();
        o.update(json.as_bytes()).map(|()| o).map_err(|e| e.to_string())
    }

    #[test]
    fn absent_fields_keep_their_value() {
        let mut o = ConnectOptions::default();
        assert!(o.verbose && o.pedantic && o.echo && !o.headers);
        o.update(br#"{"verbose":false,"user":"derek","protocol":1}"#).unwrap();
        o.update(br#"{"headers":true}"#).unwrap();
        assert!(!o.verbose && o.headers);
        assert_eq!((o.user.as_str(), o.protocol), ("derek", 1));
    }

    #[test]
    fn names_match_in_any_case_and_the_last_duplicate_wins() {
        let o = decoded(r#"{"VERBOSE":false,"Name":"a","name":"b","what":[1,{"x":2}]}"#).unwrap();
        assert!(!o.verbose);
        assert_eq!(o.name, "b");
    }

    #[test]
    fn bearer_tokens_are_hidden_from_monitoring() {
        let jwt =
            |payload: &str| format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(payload.as_bytes()));
        let shown = |jwt: &str| {
            let o = ConnectOptions { jwt: jwt.to_owned(), ..ConnectOptions::default() };
            o.shown_jwt().to_owned()
        };
        assert_eq!(shown(&jwt(r#"{"nats":{"bearer_token":true}}"#)), "");
        for open in [jwt(r#"{"nats":{"bearer_token":false}}"#), jwt("{}"), "no jwt".to_owned()] {
            assert_eq!(shown(&open), open);
        }
    }

    #[test]
    fn null_changes_nothing() {
        let o = decoded(r#"{"verbose":null,"name":null}"#).unwrap();
        assert!(o.verbose && o.name.is_empty());
        assert!(decoded("null").is_ok());
    }

    #[test]
    fn wrong_types_and_trailing_bytes_are_errors() {
        for bad in
            [r#"{"verbose":1}"#, r#"{"user":5}"#, "{} x", "{", "[]", "", "5", r#"{"protocol":"1"}"#]
        {
            assert!(decoded(bad).is_err(), "{bad}");
        }
        assert!(decoded(" {} \t").is_ok());
    }
}
