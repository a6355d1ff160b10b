//! What an operator's configuration must be, at the start and at a reload (spec 03 §22).

use super::{Realm, Tenant, now};
use crate::support::Server;
use nats_server::jwt::account::Scope;
use nats_server::jwt::{UserClaims, UserPermissions};
use nkeys::KeyPair;

/// The start with this configuration fails, and says so.
fn fails(config: &str, text: &str) {
    let config = format!("port: -1\n{config}\n");
    let (code, output) = Server::launch(Some(&config), &[]).wait_for_exit();
    assert_eq!(code, Some(1), "{text}");
    assert!(output.contains(text), "{text}: {output}");
}

#[test]
fn operators_go_with_nothing_that_is_configured_directly() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let good = realm.memory(&[&a]);
    a.user().accepted(&Server::start(&good));
    let (user, issuer) = (KeyPair::new_user().public_key(), a.id());
    for (more, text) in [
        (
            format!("authorization {{ auth_callout {{ issuer: {issuer}, auth_users: [auth] }} }}"),
            "operators do not allow authorization callouts to be configured directly",
        ),
        (
            format!("trusted: {}", KeyPair::new_operator().public_key()),
            "conflicting options for 'TrustedKeys' and 'TrustedOperators'",
        ),
        (
            "accounts { TEST {} }".to_owned(),
            "operators do not allow Accounts to be configured directly",
        ),
        (
            "authorization { users: [{user: TEST, password: x}] }".to_owned(),
            "operators do not allow users to be configured directly",
        ),
        (
            format!("authorization {{ users: [{{nkey: {user}}}] }}"),
            "operators do not allow users to be configured directly",
        ),
    ] {
        fails(&format!("{good}{more}"), text);
    }
    // Without a resolver the one that the operator names is asked, and this one names none.
    fails(&realm.head(), "could not fetch <\"/accounts/\">");
}

#[test]
fn every_key_of_an_operator_counts_wherever_its_token_stands() {
    let mut realm = Realm::new();
    let signers = [(); 3].map(|()| KeyPair::new_operator());
    realm.claims.signing_keys = signers.iter().map(KeyPair::public_key).collect();
    let tenants = [(); 4].map(|()| Tenant::new("T"));
    let stranger = Tenant::new("stranger");
    let keys = signers.iter().chain([&realm.operator]);
    let mut preload: Vec<String> = keys
        .zip(&tenants)
        .map(|(key, tenant)| {
            format!("{}: {}", tenant.id(), tenant.claims.encode(key, now()).expect("claims"))
        })
        .collect();
    preload.push(format!("{}: {}", stranger.id(), Realm::new().token(&stranger)));
    // The system account is one that a signing key has issued.
    let system = tenants[0].id();
    let rest = format!(
        "system_account: {system}\nresolver: MEMORY\nresolver_preload: {{ {} }}\n",
        preload.join("\n")
    );
    let jwt = realm.claims.encode(&realm.operator, now()).expect("claims");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("op.jwt");
    std::fs::write(&file, &jwt).expect("writes");
    for operator in [format!("{jwt:?}"), format!("{:?}", file.display().to_string())] {
        let server = Server::start(&format!("operator: {operator}\nhttp: 127.0.0.1:-1\n{rest}"));
        for tenant in &tenants {
            let wire = tenant.user().accepted(&server);
            assert_eq!(wire.info["remote_account"], tenant.id());
        }
        stranger.user().refused(&server);
        assert_eq!(server.monitor("/varz")["system_account"], system);
        assert_eq!(server.monitor("/accountz")["system_account"], system);
    }
}

#[test]
fn a_system_account_of_another_operator_ends_the_start() {
    let realm = Realm::new();
    let preload = format!("{}: {}", realm.system.id(), Realm::new().token(&realm.system));
    let config = format!("{}resolver: MEMORY\nresolver_preload: {{ {preload} }}\n", realm.head());
    fails(&config, "error resolving system account: account validation failed");
}

#[test]
fn a_directory_of_claims_needs_a_system_account() {
    let realm = Realm::new();
    let jwt = realm.claims.encode(&realm.operator, now()).expect("claims");
    for kind in ["full", "cache"] {
        fails(
            &format!("operator: {jwt}\nresolver: {{ type: {kind}, dir: \"./jwt\" }}"),
            "the system account needs to be specified in configuration or the operator jwt",
        );
    }
}

#[test]
fn trusted_keys_stand_for_operators() {
    let keys = [(); 2].map(|()| KeyPair::new_operator());
    let tenants = [(); 2].map(|()| Tenant::new("T"));
    let preload: Vec<String> = keys
        .iter()
        .zip(&tenants)
        .map(|(key, tenant)| {
            format!("{}: {}", tenant.id(), tenant.claims.encode(key, now()).expect("claims"))
        })
        .collect();
    let rest = format!("resolver: MEMORY\nresolver_preload: {{ {} }}\n", preload.join("\n"));
    let [one, other] = keys.each_ref().map(KeyPair::public_key);
    let server = Server::start(&format!("trusted: {one}\n{rest}"));
    tenants[0].user().accepted(&server);
    tenants[1].user().refused(&server);
    let server = Server::start(&format!("trusted: [{one}, {other}]\n{rest}"));
    for tenant in &tenants {
        tenant.user().accepted(&server);
    }
    fails(
        &format!("trusted: [{one}, bad]\n{rest}"),
        "trust key \"bad\" required to be a valid public operator nkey",
    );
}

#[test]
fn a_sentinel_must_need_no_signature() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    let signer = KeyPair::new_account();
    let mut template = UserPermissions { bearer_token: true, ..UserPermissions::default() };
    template.permissions.publish.deny = Some(vec![">".to_owned()]);
    template.permissions.subscribe.deny = Some(vec![">".to_owned()]);
    let scope = Scope {
        key: signer.public_key(),
        role: "sentinel".to_owned(),
        template,
        description: String::new(),
    };
    a.claims.account.signing_keys.insert(signer.public_key(), Some(scope));
    let config = realm.memory(&[&a]);
    let with = |jwt: &str| format!("{config}default_sentinel: {jwt}\n");
    crate::refused(&Server::start(&config), "");
    fails(&with(&a.user().jwt), "default sentinel must be a bearer token");
    fails(&with("nonsense"), "default sentinel JWT not valid");
    let bearer = a.user_with(|claims| claims.user.bearer_token = true);
    let wire = crate::accepted(&Server::start(&with(&bearer.jwt)), r#""protocol":1"#);
    assert_eq!(wire.info["remote_account"], a.id());
    // The scope of its signing key says so, too.
    let mut claims = UserClaims::default();
    claims.base.subject = KeyPair::new_user().public_key();
    claims.issuer_account = a.id();
    let jwt = claims.encode(&signer, now()).expect("claims");
    let server = Server::start(&with(&jwt));
    let mut wire = crate::accepted(&server, r#""protocol":1"#);
    wire.send("PUB foo 0\r\n\r\n");
    wire.expect_error("Permissions Violation for Publish to \"foo\"");
}

#[test]
fn a_reload_keeps_nonces_and_refuses_claims_that_are_none() {
    let realm = Realm::new();
    let (mut late, a) = (Tenant::new("late"), Tenant::new("A"));
    late.claims.base.expires = now() - 2;
    let head = format!("{}resolver: MEMORY\n", realm.head());
    let config = format!("{head}{}", realm.preload(&[&realm.system, &late]));
    let server = Server::start(&config);
    assert!(server.connect().info["nonce"].is_string());
    assert_eq!(server.reload(&config), Ok(()));
    assert!(server.connect().info["nonce"].is_string());
    let bad = format!(
        "{head}resolver_preload: {{ {}: {}, foo: bar }}\n",
        realm.system.id(),
        realm.token(&realm.system)
    );
    let refusal = server.reload(&bad).expect_err("a refusal");
    assert!(refusal.contains("invalid account JWT"), "{refusal}");
    let good = format!("{head}{}", realm.preload(&[&realm.system, &a]));
    assert_eq!(server.reload(&good), Ok(()));
    a.user().accepted(&server);
    assert!(server.connect().info["nonce"].is_string());
}

#[test]
fn pinned_accounts_change_with_a_reload() {
    let realm = Realm::new();
    let tenants = [(); 3].map(|()| Tenant::new("T"));
    let common = format!("http: 127.0.0.1:-1\n{}", realm.memory(&tenants.each_ref()));
    let pinning = |which: [usize; 2]| {
        let [one, other] = which.map(|n| tenants[n].id());
        format!("{common}resolver_pinned_accounts: [{one}, {other}]\n")
    };
    let server = Server::start(&pinning([0, 1]));
    let mut failures = 0;
    let mut check = |pinned: &[usize]| {
        realm.system.user().accepted(&server);
        for (n, tenant) in tenants.iter().enumerate() {
            if pinned.contains(&n) {
                tenant.user().accepted(&server);
            } else {
                tenant.user().refused(&server);
                failures += 1;
            }
            assert_eq!(server.monitor("/varz")["pinned_account_fails"].as_i64(), {
                (failures > 0).then_some(failures)
            });
        }
    };
    check(&[0, 1]);
    assert_eq!(server.reload(&pinning([1, 2])), Ok(()));
    check(&[1, 2]);
    assert_eq!(server.reload(&common), Ok(()));
    check(&[0, 1, 2]);
    assert_eq!(server.reload(&pinning([1, 2])), Ok(()));
    check(&[1, 2]);
}

#[test]
fn tokens_mean_nothing_without_operators() {
    let a = Tenant::new("A");
    for (config, members) in [
        ("http: 127.0.0.1:-1", String::new()),
        (
            "http: 127.0.0.1:-1\nauthorization { user: u, password: pwd }",
            r#","user":"u","pass":"pwd""#.to_owned(),
        ),
    ] {
        let server = Server::start(config);
        let user = a.user();
        let jwt = &user.jwt;
        let _wire = crate::accepted(&server, &format!(r#""jwt":"{jwt}","sig":"x"{members}"#));
        let connections = server.monitor("/connz?auth=1");
        assert_eq!(connections["num_connections"], 1);
        assert!(connections["connections"][0].get("jwt").is_none(), "{connections}");
    }
}
