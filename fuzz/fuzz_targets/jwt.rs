//! Any text is a token or none; claims that are signed are read or refused, and what was read is
//! written so that it is read again.
#![no_main]

use data_encoding::BASE64URL_NOPAD;
use libfuzzer_sys::fuzz_target;
use nats_server::jwt::{Claims, decode, decode_generic};
use nkeys::{KeyPair, KeyPairType};
use std::sync::LazyLock;

static KEY: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::new_from_raw(KeyPairType::Account, [7; 32]).expect("a key"));

/// A token of the key with these particular claims.
fn signed(nats: &str) -> String {
    let me = KEY.public_key();
    let header = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let claims = format!(r#"{{"iss":"{me}","sub":"{me}","nats":{nats}}}"#);
    let claims = BASE64URL_NOPAD.encode(claims.as_bytes());
    let signed = format!("{header}.{claims}");
    let signature = KEY.sign(signed.as_bytes()).expect("signs");
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let _ = decode(&text);
    let _ = decode_generic(&text);
    match decode(&signed(&text)) {
        Ok(Claims::Account(claims)) => {
            let _ = claims.validate(1);
            let token = claims.encode(&KEY, 1).expect("its subject is an account");
            let Ok(Claims::Account(again)) = decode(&token) else { panic!("not read again") };
            // Limits without tiers are written as they are; with tiers there are no others.
            assert!(again.account.signing_keys.keys().eq(claims.account.signing_keys.keys()));
            assert_eq!(again.account.limits, claims.account.limits);
        }
        Ok(Claims::User(claims)) => _ = claims.validate(1),
        Ok(Claims::Activation(claims)) => _ = claims.validate(1),
        Ok(Claims::AuthorizationResponse(claims)) => _ = claims.validate(1),
        _ => {}
    }
});
