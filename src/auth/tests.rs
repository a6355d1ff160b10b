//! The decision table of authentication.

use super::*;
use crate::config::options::auth::{NkeyUser, User as ConfiguredUser};
use crate::config::options::proxies::ProxiesOptions;

const NONCE: &str = "abcdefghijklmno";
const HASH: &str = "$2a$04$cgtUiPBTHBAgzQgQ.mq6GuW0K0WDjvCtmzNd8bCqkO/wdQ7QmnSwK";

fn key() -> KeyPair {
    KeyPair::new_user()
}

fn account() -> Arc<Account> {
    Arc::new(Account::new("A", crate::account::AccountLimits::default(), false))
}

fn authenticator(o: &Options) -> Authenticator {
    let account = account();
    Authenticator::new(o, |_| account.clone(), None)
}

fn user(name: &str, password: &str) -> ConfiguredUser {
    ConfiguredUser { username: name.into(), password: password.into(), ..Default::default() }
}

fn nkey_user(nkey: &str) -> NkeyUser {
    NkeyUser { nkey: nkey.into(), ..Default::default() }
}

fn connect(json: &str) -> ConnectOptions {
    let mut o = ConnectOptions::default();
    o.update(json.as_bytes()).unwrap();
    o
}

fn attempt(options: &mut ConnectOptions, kind: ConnectionType) -> Attempt<'_> {
    Attempt {
        options,
        nonce: NONCE,
        kind,
        peer: None,
        warning: None,
        proxy: None,
        debug: None,
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        now: jiff::Timestamp::UNIX_EPOCH,
        find: &|_| None,
        subjected: None,
        fetched: None,
    }
}

/// The outcome in short: `ok` and the user's name, `hash`, or the closed state and debug text.
fn outcome_as(a: &Authenticator, options: &mut ConnectOptions, kind: ConnectionType) -> String {
    match a.decide(&mut attempt(options, kind)) {
        Decision::Fetch(account) => format!("fetch {account}"),
        Decision::Granted(None) => "ok".to_owned(),
        Decision::Granted(Some(user)) => format!("ok {}", user.name),
        Decision::Pending(..) => "hash".to_owned(),
        Decision::Denied(d) => match d.debug {
            Some(debug) => format!("{}: {debug}", d.reason.text()),
            None => d.reason.text().to_owned(),
        },
    }
}

fn outcome(a: &Authenticator, json: &str) -> String {
    outcome_as(a, &mut connect(json), ConnectionType::Standard)
}

fn check(a: &Authenticator, table: &[(&str, &str)]) {
    for (json, expected) in table {
        assert_eq!(outcome(a, json), *expected, "{json}");
    }
}

const FAIL: &str = "Authentication Failure";

#[test]
fn without_configuration_everybody_is_let_in() {
    let a = authenticator(&Options::default());
    assert!(!a.required() && !a.announced() && !a.needs_nonce());
    check(&a, &[("{}", "ok"), (r#"{"user":"x","pass":"y","auth_token":"z"}"#, "ok")]);
    // A password without a user is no credential.
    let lone = authenticator(&Options { password: "p".into(), ..Options::default() });
    assert!(!lone.required());
}

#[test]
fn a_token_is_compared_alone() {
    let a = authenticator(&Options { authorization: "t0k".into(), ..Options::default() });
    assert!(a.required() && a.announced());
    check(
        &a,
        &[
            (r#"{"auth_token":"t0k"}"#, "ok"),
            (r#"{"auth_token":"t0k","user":"x"}"#, "ok"),
            (r#"{"auth_token":"other"}"#, FAIL),
            (r#"{"pass":"t0k"}"#, FAIL),
            ("{}", FAIL),
        ],
    );
}

#[test]
fn a_single_user_needs_name_and_password() {
    let o = Options { username: "u".into(), password: "p".into(), ..Options::default() };
    check(
        &authenticator(&o),
        &[
            (r#"{"user":"u","pass":"p"}"#, "ok"),
            (r#"{"user":"u","pass":"x"}"#, FAIL),
            (r#"{"user":"x","pass":"p"}"#, FAIL),
            (r#"{"user":"u"}"#, FAIL),
            (r#"{"pass":"p"}"#, FAIL),
            ("{}", FAIL),
        ],
    );
}

#[test]
fn hashed_secrets_are_left_to_the_pool() {
    let token = authenticator(&Options { authorization: HASH.into(), ..Options::default() });
    check(&token, &[(r#"{"auth_token":"x"}"#, "hash")]);
    let single = Options { username: "u".into(), password: HASH.into(), ..Options::default() };
    check(
        &authenticator(&single),
        &[(r#"{"user":"u","pass":"x"}"#, "hash"), (r#"{"user":"v","pass":"x"}"#, FAIL)],
    );
    let users = Options { users: vec![user("u", HASH)], ..Options::default() };
    check(&authenticator(&users), &[(r#"{"user":"u","pass":"x"}"#, "hash")]);
}

#[test]
fn users_are_found_by_name() {
    let o = Options {
        users: vec![user("a", "1"), user("b", "2"), user("empty", "")],
        ..Options::default()
    };
    let a = authenticator(&o);
    assert!(a.required() && a.announced() && !a.needs_nonce());
    check(
        &a,
        &[
            (r#"{"user":"a","pass":"1"}"#, "ok a"),
            (r#"{"user":"b","pass":"2"}"#, "ok b"),
            (r#"{"user":"a","pass":"2"}"#, FAIL),
            (r#"{"user":"c","pass":"1"}"#, FAIL),
            (r#"{"user":"A","pass":"1"}"#, FAIL),
            // A user without a password logs in with an empty one.
            (r#"{"user":"empty"}"#, "ok empty"),
            (r#"{"user":"empty","pass":"x"}"#, FAIL),
            // An nkey is not looked at when there are only users.
            (r#"{"nkey":"UX","user":"a","pass":"1"}"#, "ok a"),
            ("{}", FAIL),
        ],
    );
}

#[test]
fn nkeys_sign_the_nonce() {
    let (known, other) = (key(), key());
    let o = Options {
        users: vec![user("u", "p")],
        nkeys: vec![nkey_user(&known.public_key())],
        ..Options::default()
    };
    let a = authenticator(&o);
    assert!(a.required() && a.needs_nonce());
    let good = known.sign(NONCE.as_bytes()).unwrap();
    let foreign = other.sign(NONCE.as_bytes()).unwrap();
    let stale = known.sign(b"another nonce..").unwrap();
    let json =
        |key: &KeyPair, sig: &str| format!(r#"{{"nkey":"{}","sig":"{sig}"}}"#, key.public_key());
    let url = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let ok = format!("ok {}", known.public_key());
    let bad = |text: &str| format!("{FAIL}: {text}");
    for (json, expected) in [
        (json(&known, &url(&good)), ok.clone()),
        (json(&known, &BASE64.encode(&good)), ok),
        (json(&known, ""), bad("Signature missing")),
        (json(&known, "!!"), bad("Signature not valid base64")),
        (json(&known, &url(&foreign)), bad("Signature not verified")),
        (json(&known, &url(&stale)), bad("Signature not verified")),
        (json(&known, &url(&good[..63])), bad("Signature not verified")),
        (json(&other, &url(&foreign)), FAIL.to_owned()),
        // With an nkey in CONNECT, user and password do not count.
        (r#"{"nkey":"UNKNOWN","user":"u","pass":"p"}"#.to_owned(), FAIL.to_owned()),
        (r#"{"user":"u","pass":"p"}"#.to_owned(), "ok u".to_owned()),
        ("{}".to_owned(), FAIL.to_owned()),
    ] {
        assert_eq!(outcome(&a, &json), expected, "{json}");
    }
}

#[test]
fn a_signature_without_a_nonce_proves_nothing() {
    let key = key();
    let signature = BASE64URL_NOPAD.encode(&key.sign(b"").unwrap());
    assert!(verify_signature(&key.public_key(), "", &signature).is_err());
}

#[test]
fn keys_of_other_types_and_curve_keys_do_not_verify() {
    let curve = nkeys::XKey::new().public_key();
    let signature = BASE64URL_NOPAD.encode(&[0; 64]);
    for key in [curve.as_str(), "", "U", "not a key"] {
        let error = verify_signature(key, NONCE, &signature).unwrap_err();
        assert_eq!(error, "User nkey not valid: nkeys: invalid public key");
    }
}

#[test]
fn clients_without_credentials_become_the_user_for_them() {
    let o = Options {
        users: vec![user("a", "1"), user("guest", "g")],
        no_auth_user: "guest".into(),
        ..Options::default()
    };
    let a = authenticator(&o);
    assert!(a.required() && !a.announced());
    assert!(a.may_skip_connect(ConnectionType::Standard));
    check(
        &a,
        &[
            ("{}", "ok guest"),
            (r#"{"name":"app"}"#, "ok guest"),
            (r#"{"user":"a","pass":"1"}"#, "ok a"),
            // Any credential at all is judged.
            (r#"{"user":"guest"}"#, FAIL),
            (r#"{"user":"guest","pass":"g"}"#, "ok guest"),
            (r#"{"user":"a"}"#, FAIL),
            (r#"{"pass":"g"}"#, FAIL),
            (r#"{"auth_token":"t"}"#, FAIL),
        ],
    );
    let mut options = connect("{}");
    outcome_as(&a, &mut options, ConnectionType::Standard);
    assert_eq!(options.user, "guest", "shown as that user");
}

#[test]
fn the_user_for_clients_without_credentials_must_not_have_a_hashed_password() {
    let o = Options {
        users: vec![user("guest", HASH)],
        no_auth_user: "guest".into(),
        ..Options::default()
    };
    let a = authenticator(&o);
    let mut options = connect("{}");
    let mut attempt = attempt(&mut options, ConnectionType::Standard);
    let Decision::Pending(_, hashed) = a.decide(&mut attempt) else { panic!("not hashed") };
    assert!(!hashed.verify(), "the hash itself is presented as the password");
}

#[test]
fn clients_without_credentials_may_become_an_nkey_user() {
    let key = key().public_key();
    let o = Options {
        nkeys: vec![nkey_user(&key)],
        users: vec![user("u", "p")],
        no_auth_user: key.clone(),
        ..Options::default()
    };
    let a = authenticator(&o);
    assert!(!a.may_skip_connect(ConnectionType::Standard), "only users may skip CONNECT");
    assert_eq!(outcome(&a, "{}"), format!("ok {key}"));
    assert_eq!(outcome(&a, r#"{"user":"u","pass":"p"}"#), "ok u");
    // Named explicitly, no signature is asked for either.
    assert_eq!(outcome(&a, &format!(r#"{{"nkey":"{key}"}}"#)), format!("ok {key}"));
}

#[test]
fn users_may_be_restricted_to_kinds_of_connections() {
    let mut only_mqtt = ConnectionTypes::default();
    only_mqtt.insert(ConnectionType::Mqtt);
    let key = key();
    let o = Options {
        users: vec![ConfiguredUser { allowed_connection_types: only_mqtt, ..user("m", "p") }],
        nkeys: vec![NkeyUser {
            allowed_connection_types: only_mqtt,
            ..nkey_user(&key.public_key())
        }],
        no_auth_user: "m".into(),
        ..Options::default()
    };
    let a = authenticator(&o);
    let signature = BASE64URL_NOPAD.encode(&key.sign(NONCE.as_bytes()).unwrap());
    let signed = format!(r#"{{"nkey":"{}","sig":"{signature}"}}"#, key.public_key());
    for kind in ConnectionType::ALL {
        let mqtt = kind == ConnectionType::Mqtt;
        for json in [r#"{"user":"m","pass":"p"}"#, "{}", &signed] {
            let got = outcome_as(&a, &mut connect(json), kind);
            assert_eq!(got != FAIL, mqtt, "{json} over {}", kind.name());
        }
        assert_eq!(a.may_skip_connect(kind), mqtt);
    }
}

#[test]
fn users_may_be_restricted_to_trusted_proxies() {
    let (proxy, other, nkey) = (KeyPair::new_server(), KeyPair::new_server(), key());
    let proxies = Some(ProxiesOptions { trusted: vec![proxy.public_key()] });
    let sign = |key: &KeyPair| BASE64URL_NOPAD.encode(&key.sign(NONCE.as_bytes()).unwrap());
    let o = Options {
        users: vec![ConfiguredUser { proxy_required: true, ..user("u", "p") }, user("v", "q")],
        nkeys: vec![NkeyUser { proxy_required: true, ..nkey_user(&nkey.public_key()) }],
        proxies: proxies.clone(),
        no_auth_user: "u".into(),
        ..Options::default()
    };
    let a = authenticator(&o);
    assert!(a.needs_nonce());
    assert!(!a.may_skip_connect(ConnectionType::Standard));
    let required = "Proxy Required: proxy connection required";
    let (trusted, untrusted) = (sign(&proxy), sign(&other));
    let nkey_json = format!(r#""nkey":"{}","sig":"{}""#, nkey.public_key(), sign(&nkey));
    let u = r#""user":"u","pass":"p""#;
    let v = r#""user":"v","pass":"q""#;
    for (json, expected) in [
        (format!("{{{u}}}"), required.to_owned()),
        (format!("{{{u},\"proxy_sig\":\"{trusted}\"}}"), "ok u".to_owned()),
        (format!("{{{v}}}"), "ok v".to_owned()),
        (format!("{{{v},\"proxy_sig\":\"{trusted}\"}}"), "ok v".to_owned()),
        (
            format!("{{{v},\"proxy_sig\":\"{untrusted}\"}}"),
            "Proxy Not Trusted: proxy is not trusted".to_owned(),
        ),
        (
            format!("{{{v},\"proxy_sig\":\"!\"}}"),
            "Proxy Not Trusted: Proxy signature not valid base64".to_owned(),
        ),
        (format!("{{{nkey_json}}}"), required.to_owned()),
        (
            format!("{{{nkey_json},\"proxy_sig\":\"{trusted}\"}}"),
            format!("ok {}", nkey.public_key()),
        ),
        ("{}".to_owned(), required.to_owned()),
    ] {
        assert_eq!(outcome(&a, &json), expected, "{json}");
    }
    let single = Options {
        username: "s".into(),
        password: "p".into(),
        proxy_required: true,
        proxies,
        ..Options::default()
    };
    let a = authenticator(&single);
    assert_eq!(outcome(&a, r#"{"user":"s","pass":"p"}"#), required);
    let signed = format!(r#"{{"user":"s","pass":"p","proxy_sig":"{trusted}"}}"#);
    assert_eq!(outcome(&a, &signed), "ok");
    // A signature counts for nothing where no proxy is trusted.
    let none = authenticator(&Options { users: vec![user("v", "q")], ..Options::default() });
    assert_eq!(outcome(&none, &format!("{{{v},\"proxy_sig\":\"{trusted}\"}}")), "ok v");
}

#[test]
fn the_user_added_for_a_lone_system_account_is_not_announced() {
    let system = Options { users: vec![user("sys", "p")], ..Options::default() };
    let account = account();
    let a = Authenticator::new(&system, |_| account.clone(), Some("nats-ABCDEFGH"));
    assert!(a.required() && a.announced());
    check(
        &a,
        &[
            ("{}", "ok nats-ABCDEFGH"),
            (r#"{"user":"nats-ABCDEFGH","pass":"BCDEFGH"}"#, "ok nats-ABCDEFGH"),
            (r#"{"user":"nats-ABCDEFGH"}"#, FAIL),
            (r#"{"user":"sys","pass":"p"}"#, "ok sys"),
        ],
    );
}

#[test]
fn who_failed_is_named_without_secrets() {
    for (json, name) in [
        (r#"{"nkey":"UA","user":"u"}"#, r#" - Nkey "UA""#),
        (r#"{"user":"u\"v","auth_token":"t"}"#, r#" - User "u\"v""#),
        (r#"{"auth_token":"t"}"#, r#" - Token "[REDACTED]""#),
        ("{}", ""),
    ] {
        assert_eq!(who(&connect(json), ""), name);
    }
}

#[test]
fn certificates_name_users_where_they_are_mapped() {
    use crate::config::options::tls::TlsOptions;
    let o = Options {
        users: vec![
            user("me@example.com", ""),
            user("host.example.com", "p"),
            user("CN=www,OU=b,OU=a,O=nats", ""),
            user("guest", ""),
        ],
        no_auth_user: "guest".into(),
        tls: Some(TlsOptions { verify_and_map: true, ..TlsOptions::default() }),
        ..Options::default()
    };
    let a = authenticator(&o);
    let texts = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
    let email = Peer { emails: texts(&["x@y.z", "me@example.com"]), ..Peer::default() };
    let dns = Peer { dns_names: texts(&["host.example.com"]), ..Peer::default() };
    let subject = Peer { subject: "guest".to_owned(), ..Peer::default() };
    let named = |name: &str| Peer {
        name: DistinguishedName::parse(name),
        subject: "nobody".to_owned(),
        ..Peer::default()
    };
    let same = named("CN=www,OU=b,OU=a,O=nats");
    let reordered = named("O=nats,OU=a,OU=b,CN=www");
    let unknown = named("CN=other,O=nats");
    // peer, CONNECT, outcome, warned
    let table: &[(Option<&Peer>, &str, &str, bool)] = &[
        (Some(&email), "{}", "ok me@example.com", false),
        (Some(&email), r#"{"user":"other"}"#, "ok me@example.com", true),
        // A user with a password needs it all the same.
        (Some(&dns), "{}", FAIL, false),
        (Some(&dns), r#"{"pass":"p"}"#, "ok host.example.com", false),
        (Some(&subject), "{}", "ok guest", false),
        (Some(&same), "{}", "ok CN=www,OU=b,OU=a,O=nats", false),
        (Some(&reordered), "{}", "ok CN=www,OU=b,OU=a,O=nats", false),
        (Some(&unknown), "{}", FAIL, false),
        // Without a name in a certificate there is no user, not even the one without credentials.
        (Some(&Peer::default()), "{}", FAIL, false),
        (None, "{}", FAIL, false),
        (None, r#"{"user":"guest"}"#, FAIL, false),
    ];
    for &(peer, json, expected, warned) in table {
        let mut options = connect(json);
        let mut attempt = attempt(&mut options, ConnectionType::Standard);
        attempt.peer = peer;
        let got = match a.decide(&mut attempt) {
            Decision::Granted(Some(user)) => format!("ok {}", user.name),
            Decision::Denied(denial) => denial.reason.text().to_owned(),
            _ => "other".to_owned(),
        };
        assert_eq!(got, expected, "{json} {peer:?}");
        assert_eq!(attempt.warning.is_some(), warned, "{json} {peer:?}");
    }
}
