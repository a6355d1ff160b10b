//! Operator mode: accounts and users that come as signed claims (spec 03 §7 and §22 to §25).

use crate::login;
use crate::realm::{Credentials, Realm, Tenant, now, reaches};
use crate::support::{Server, Wire, wait_until};
use data_encoding::BASE64URL_NOPAD;
use nats_server::jwt::account::{Scope, Trace};
use nats_server::jwt::shares::{Export, Import};
use nats_server::jwt::user::{Responses, TimeRange};
use nats_server::jwt::{ActivationClaims, Share, UserClaims, UserPermissions};
use nkeys::KeyPair;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;

#[test]
fn users_with_a_token_of_their_account_are_let_in() {
    let realm = Realm::new();
    let (a, b) = (Tenant::new("A"), Tenant::new("B"));
    let server = realm.server(&[&a, &b]);
    server.wait_for_log("Trusted Operators");
    server.wait_for_log("  Operator: \"op\"");
    let user = a.user();
    let (mut one, mut two) = (user.accepted(&server), a.user().accepted(&server));
    let mut other = b.user().accepted(&server);
    assert!(reaches(&mut one, &mut two, "foo"));
    assert!(!reaches(&mut one, &mut other, "foo"));
    assert_eq!(one.info["remote_account"], a.id());
    assert_eq!(server.connect().info["auth_required"], true);
    // Its name is behind the key of the account in the log.
    server.wait_for_log(&format!("Authenticated JWT: Client \"{}\"", user.id()));
}

#[test]
fn whoever_cannot_show_that_he_is_the_user_is_refused() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let stranger = Tenant::new("stranger");
    let server = realm.server(&[&a]);
    let refused_for = |credentials: &Credentials, text: &str| {
        credentials.refused(&server);
        server.wait_for_log(text);
    };
    crate::refused(&server, "");
    server.wait_for_log("Authentication requires a user JWT");
    crate::refused(&server, r#""user":"a","pass":"b""#);
    crate::refused(&server, r#""jwt":"nonsense""#);
    let good = a.user();
    let jwt = &good.jwt;
    crate::refused(&server, &format!(r#""jwt":"{jwt}""#));
    server.wait_for_log("Signature missing");
    crate::refused(&server, &format!(r#""jwt":"{jwt}","sig":"?""#));
    server.wait_for_log("Signature not valid base64");
    refused_for(
        &Credentials { key: KeyPair::new_user(), jwt: good.jwt.clone() },
        "Signature not verified",
    );
    refused_for(&stranger.user(), "Account JWT lookup error: account missing");
    refused_for(
        &a.user_with(|claims| claims.base.expires = now() - 10),
        "User JWT no longer valid: &{Issues:[claim is expired]}",
    );
    refused_for(
        &a.user_with(|claims| claims.base.not_before = now() + 1000),
        "User JWT no longer valid: &{Issues:[claim is not yet valid]}",
    );
    let other_issuer = |issuer_account: &str| {
        let key = KeyPair::new_user();
        let mut claims = UserClaims::new(&key.public_key());
        claims.issuer_account = issuer_account.to_owned();
        let jwt = claims.encode(&stranger.key, now()).expect("claims");
        Credentials { key, jwt }
    };
    refused_for(&other_issuer(&a.id()), "User JWT issuer is not known");
    let only = |kinds: &[&str]| {
        let kinds = Some(kinds.iter().map(|&k| k.to_owned()).collect());
        a.user_with(|claims| claims.user.allowed_connection_types = kinds)
    };
    refused_for(&only(&["WEBSOCKET"]), "Connection type not allowed");
    refused_for(&only(&["TELEPATHY"]), "invalid connection types [\"TELEPATHY\"]");
    only(&["TELEPATHY", "standard"]).accepted(&server);
    let from = |network: &str| {
        let sources = Some(vec![network.to_owned()]);
        a.user_with(|claims| claims.user.sources = sources)
    };
    refused_for(&from("192.0.2.0/24"), "Bad src Ip 127.0.0.1");
    from("127.0.0.0/8").accepted(&server);
    let never = TimeRange { start: "00:00:00".to_owned(), end: "00:00:00".to_owned() };
    let never = a.user_with(|claims| claims.user.times = Some(vec![never]));
    refused_for(&never, "Outside connect times");
    good.accepted(&server);
}

#[test]
fn accounts_that_no_trusted_operator_signed_do_not_count() {
    let (realm, other) = (Realm::new(), Realm::new());
    let (mut late, a) = (Tenant::new("late"), Tenant::new("A"));
    late.claims.base.expires = now() - 10;
    let head = format!("{}resolver: MEMORY\n", realm.head());
    let tokens = [
        (realm.system.id(), realm.token(&realm.system)),
        (a.id(), other.token(&a)),
        (late.id(), realm.token(&late)),
    ];
    let lines: Vec<String> = tokens.iter().map(|(id, token)| format!("{id}: {token}")).collect();
    let server = Server::start(&format!("{head}resolver_preload: {{ {} }}\n", lines.join("\n")));
    a.user().refused(&server);
    server.wait_for_log("Account JWT lookup error: account validation failed");
    late.user().refused(&server);
    realm.system.user().accepted(&server);
}

#[test]
fn a_system_account_that_is_not_there_ends_the_start() {
    let realm = Realm::new();
    let config = format!("port: -1\n{}resolver: MEMORY\n", realm.head());
    let mut server = Server::launch(Some(&config), &[]);
    let (code, output) = server.wait_for_exit();
    assert_eq!(code, Some(1));
    assert!(output.contains("error resolving system account: account missing"), "{output}");
}

#[test]
fn an_operator_whose_signature_is_wrong_ends_the_start() {
    let realm = Realm::new();
    let mut jwt = realm.claims.encode(&realm.operator, now()).expect("claims");
    let last = if jwt.ends_with('A') { "B" } else { "A" };
    jwt.replace_range(jwt.len() - 5..jwt.len() - 4, last);
    let config = format!("port: -1\noperator: {jwt}\nresolver: MEMORY\n");
    let (code, output) = Server::launch(Some(&config), &[]).wait_for_exit();
    assert_eq!(code, Some(1));
    assert!(output.contains("claim failed V2 signature verification"), "{output}");
}

#[test]
fn permissions_and_limits_of_the_token_hold() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    a.claims.account.limits.payload = 100;
    let server = realm.server(&[&a]);
    let mut wire = a
        .user_with(|claims| {
            let p = &mut claims.user.permissions;
            p.publish.allow = Some(vec!["ok.>".to_owned()]);
            p.subscribe.deny = Some(vec!["secret".to_owned()]);
            p.responses = Some(Responses { max: 1, ttl: 0 });
            claims.user.max_subscriptions = 2;
        })
        .accepted(&server);
    wire.send("PUB no 0\r\n\r\nSUB secret 1\r\nSUB a 2\r\nSUB b 3\r\nSUB c 4\r\n");
    assert_eq!(
        wire.sync(),
        [
            "-ERR 'Permissions Violation for Publish to \"no\"'",
            "-ERR 'Permissions Violation for Subscription to \"secret\"'",
            "-ERR 'maximum subscriptions exceeded'",
        ]
    );
    assert_eq!(wire.info["max_payload"], 100);
    let mut asker = a.user().accepted(&server);
    asker.send("SUB inbox 1\r\nPUB a inbox 0\r\n\r\n");
    asker.sync();
    let (line, _) = wire.message();
    assert!(line.starts_with("MSG a 2 inbox"), "{line}");
    wire.send("PUB inbox 1\r\nx\r\nPUB inbox 1\r\ny\r\n");
    assert_eq!(wire.sync(), ["-ERR 'Permissions Violation for Publish to \"inbox\"'"]);
    wire.send(format!("PUB ok.x 101\r\n{}\r\n", "x".repeat(101)));
    wire.expect_error("Maximum Payload Violation");
    wire.expect_close();
}

#[test]
fn a_user_whose_token_allows_no_subscription_is_told_and_closed() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let user = a.user_with(|claims| claims.user.max_subscriptions = 0);
    let mut wire = user.login(&server);
    wire.expect_error("maximum subscriptions exceeded");
    assert_eq!(wire.line(), "PONG");
    while wire.try_line().is_some() {}
}

#[test]
fn an_account_has_no_more_connections_than_it_may() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    a.claims.account.limits.connections = 2;
    let server = realm.server(&[&a]);
    let (_one, mut two) = (a.user().accepted(&server), a.user().accepted(&server));
    let mut third = a.user().login(&server);
    third.expect_error("maximum account active connections exceeded");
    third.expect_close();
    // The newest has to go when the limit is lowered.
    a.claims.account.limits.connections = 1;
    realm.admin(&server).push(&realm, &a);
    two.expect_error("maximum account active connections exceeded");
    two.expect_close();
}

#[test]
fn the_time_of_a_user_ends_his_connection() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let mut wire = a.user_with(|claims| claims.base.expires = now() + 2).accepted(&server);
    wire.expect_error("User Authentication Expired");
    wire.expect_close();
}

#[test]
fn the_time_of_an_account_ends_its_connections_until_there_are_new_claims() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    a.claims.base.expires = now() + 3;
    let server = realm.server(&[&a]);
    let mut wire = a.user().accepted(&server);
    wire.expect_error("Account Authentication Expired");
    wire.expect_close();
    a.user().refused(&server);
    a.claims.base.expires = now() + 1000;
    realm.admin(&server).push(&realm, &a);
    a.user().accepted(&server);
}

#[test]
fn bearer_tokens_need_no_signature_unless_the_account_forbids_them() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let bearer = a.user_with(|claims| claims.user.bearer_token = true);
    let members = format!(r#""jwt":"{}""#, bearer.jwt);
    let mut wire = crate::accepted(&server, &members);
    let issued_for = |account: &str| {
        let claims = a.user_with(|claims| {
            claims.user.bearer_token = true;
            claims.issuer_account = account.to_owned();
        });
        format!(r#""jwt":"{}""#, claims.jwt)
    };
    crate::accepted(&server, &issued_for(&a.id()));
    crate::refused(&server, &issued_for(&Tenant::new("other").id()));
    a.claims.account.limits.disallow_bearer = true;
    realm.admin(&server).push(&realm, &a);
    wire.expect_error("Authorization Violation");
    wire.expect_close();
    crate::refused(&server, &members);
    server.wait_for_log("Account does not allow bearer tokens");
}

#[test]
fn revoked_users_are_closed_and_come_back_with_newer_tokens() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let (user, other) = (a.user(), a.user());
    let (mut wire, mut stays) = (user.accepted(&server), other.accepted(&server));
    a.claims.account.revocations = BTreeMap::from([(user.id(), now())]);
    let mut admin = realm.admin(&server);
    admin.push(&realm, &a);
    wire.expect_error("User Authentication Revoked");
    wire.expect_close();
    stays.expect_nothing();
    user.refused(&server);
    server.wait_for_log("User authentication revoked");
    let mut claims = UserClaims::new(&user.id());
    claims.base.name = "again".to_owned();
    let jwt = claims.encode(&a.key, now() + 2).expect("claims");
    Credentials { jwt, ..user }.accepted(&server);
    a.claims.account.revocations = BTreeMap::from([("*".to_owned(), now() + 1)]);
    admin.push(&realm, &a);
    stays.expect_error("User Authentication Revoked");
    stays.expect_close();
}

#[test]
fn a_signing_key_decides_what_its_users_may_do() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    let signer = KeyPair::new_account();
    let mut template = UserPermissions::unlimited();
    template.permissions.publish.allow = Some(vec!["to.{{name()}}.{{tag(dept)}}".to_owned()]);
    let scope = |template: &UserPermissions| Scope {
        key: signer.public_key(),
        role: "r".to_owned(),
        template: template.clone(),
        description: String::new(),
    };
    a.claims.account.signing_keys.insert(signer.public_key(), Some(scope(&template)));
    let server = realm.server(&[&a]);
    let scoped = |edit: fn(&mut UserClaims)| {
        let key = KeyPair::new_user();
        let mut claims = UserClaims::default();
        claims.base.subject = key.public_key();
        claims.base.name = "bob".to_owned();
        claims.tags = vec!["dept:x".to_owned(), "dept:y".to_owned()];
        claims.issuer_account = a.id();
        edit(&mut claims);
        let jwt = claims.encode(&signer, now()).expect("claims");
        Credentials { key, jwt }
    };
    let mut wire = scoped(|_| {}).accepted(&server);
    wire.send("PUB to.bob.x 0\r\n\r\nPUB to.bob.y 0\r\n\r\nPUB to.bob.z 0\r\n\r\nSUB any 1\r\n");
    assert_eq!(wire.sync(), ["-ERR 'Permissions Violation for Publish to \"to.bob.z\"'"]);
    scoped(|claims| claims.user.max_subscriptions = -1).refused(&server);
    server.wait_for_log("scoped users require no permissions or limits set");
    // The connection has to come again when its scope has changed.
    let mut changed = Tenant { key: KeyPair::new_account(), claims: a.claims.clone() };
    template.max_subscriptions = 1;
    changed.claims.account.signing_keys.insert(signer.public_key(), Some(scope(&template)));
    let mut admin = realm.admin(&server);
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", a.id());
    admin.ask(&subject, &changed.claims.encode(&realm.operator, now()).expect("claims"));
    wire.expect_close();
    let mut wire = scoped(|_| {}).accepted(&server);
    wire.send("SUB one 1\r\nSUB two 2\r\n");
    assert_eq!(wire.sync(), ["-ERR 'maximum subscriptions exceeded'"]);
    // And when the key signs no more.
    changed.claims.account.signing_keys.clear();
    admin.ask(&subject, &changed.claims.encode(&realm.operator, now()).expect("claims"));
    wire.expect_close();
    scoped(|_| {}).refused(&server);
}

#[test]
fn default_permissions_are_for_users_without_any_and_follow_the_account() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    a.claims.account.default_permissions.publish.deny = Some(vec!["x".to_owned()]);
    let server = realm.server(&[&a]);
    let mut plain = a.user().accepted(&server);
    let own = |claims: &mut UserClaims| {
        claims.user.permissions.publish.deny = Some(vec!["y".to_owned()]);
    };
    let mut special = a.user_with(own).accepted(&server);
    for (wire, denied) in [(&mut plain, "x"), (&mut special, "y")] {
        wire.send("PUB x 0\r\n\r\nPUB y 0\r\n\r\n");
        let error = format!("-ERR 'Permissions Violation for Publish to \"{denied}\"'");
        assert_eq!(wire.sync(), [error]);
    }
    plain.send("SUB gone 9\r\n");
    a.claims.account.default_permissions.publish.deny = None;
    a.claims.account.default_permissions.subscribe.deny = Some(vec!["gone".to_owned()]);
    realm.admin(&server).push(&realm, &a);
    plain.expect_error("Permissions Violation for Subscription to \"gone\" (sid \"9\")");
    plain.send("PUB x 0\r\n\r\n");
    plain.expect_nothing();
    // Who has permissions of its own keeps them.
    special.send("PUB x 0\r\n\r\nPUB y 0\r\n\r\nSUB gone 1\r\n");
    assert_eq!(special.sync(), ["-ERR 'Permissions Violation for Publish to \"y\"'"]);
}

fn stream(of: &Tenant, subject: &str) -> Import {
    Import {
        account: of.id(),
        subject: subject.to_owned(),
        share: Share::Stream,
        ..Import::default()
    }
}

fn export(subject: &str, share: Share) -> Export {
    Export { subject: subject.to_owned(), share, ..Export::default() }
}

#[test]
fn imports_follow_the_claims_of_both_accounts() {
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    a.claims.account.exports =
        vec![export("news.>", Share::Stream), export("ask.*", Share::Service)];
    b.claims.account.imports = vec![
        Import { local_subject: "from.a.>".to_owned(), ..stream(&a, "news.>") },
        Import {
            local_subject: "local.$1".to_owned(),
            share: Share::Service,
            ..stream(&a, "ask.*")
        },
    ];
    let server = realm.server(&[&a, &b]);
    // The importing account comes first: what it imports from is fetched with it.
    let (mut importer, mut exporter) = (b.user().accepted(&server), a.user().accepted(&server));
    importer.send("SUB from.a.> 1\r\n");
    importer.expect_nothing();
    let mut published = |importer: &mut Wire| {
        exporter.send("PUB news.x 2\r\nhi\r\n");
        exporter.sync();
        importer.sync()
    };
    assert_eq!(published(&mut importer), ["MSG from.a.x 1 2", "hi"]);
    let mut service = a.user().accepted(&server);
    service.send("SUB ask.* 1\r\n");
    service.expect_nothing();
    importer.send("SUB inbox 2\r\nPUB local.y inbox 0\r\n\r\n");
    importer.sync();
    let (line, _) = service.message();
    assert!(line.starts_with("HMSG ask.y 1 _R_."), "{line}");
    let reply = line.split(' ').nth(3).expect("a reply").to_owned();
    service.send(format!("PUB {reply} 2\r\nok\r\n"));
    assert_eq!(importer.message().1, b"ok");
    // The export goes, and comes back.
    let exports = std::mem::take(&mut a.claims.account.exports);
    let mut admin = realm.admin(&server);
    admin.push(&realm, &a);
    wait_until("the shadow is gone", || published(&mut importer).is_empty().then_some(()));
    importer.send("PUB local.y inbox 0\r\n\r\n");
    assert!(importer.sync()[0].starts_with("HMSG inbox 2 "), "no responders");
    a.claims.account.exports = exports;
    // Claims of the same second count as new where their id differs.
    a.claims.base.name = "A2".to_owned();
    admin.push(&realm, &a);
    wait_until("the shadow is back", || {
        let got = published(&mut importer);
        (got == ["MSG from.a.x 1 2", "hi"]).then_some(())
    });
}

#[test]
fn what_is_not_for_everybody_needs_an_activation() {
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    a.claims.account.exports =
        vec![Export { token_required: true, ..export("news.>", Share::Stream) }];
    let activation = |expires: i64| {
        let mut claims = ActivationClaims {
            subject: "news.>".to_owned(),
            share: Share::Stream,
            ..ActivationClaims::default()
        };
        claims.base.subject = b.id();
        claims.base.expires = expires;
        claims.encode(&a.key, now()).expect("claims")
    };
    let (short, long) = (activation(now() + 3), activation(0));
    b.claims.account.imports = vec![stream(&a, "news.>")];
    let server = realm.server(&[&a, &b]);
    let (mut importer, mut exporter) = (b.user().accepted(&server), a.user().accepted(&server));
    importer.send("SUB news.> 1\r\n");
    importer.expect_nothing();
    let mut gets = |importer: &mut Wire| {
        exporter.send("PUB news.x 0\r\n\r\n");
        exporter.sync();
        !importer.sync().is_empty()
    };
    assert!(!gets(&mut importer), "without activation");
    let mut admin = realm.admin(&server);
    b.claims.account.imports[0].token = long.clone();
    admin.push(&realm, &b);
    wait_until("activated", || gets(&mut importer).then_some(()));
    b.claims.account.imports[0].token = short;
    admin.push(&realm, &b);
    wait_until("it ends", || (!gets(&mut importer)).then_some(()));
    b.claims.account.imports[0].token = long;
    admin.push(&realm, &b);
    wait_until("activated again", || gets(&mut importer).then_some(()));
    a.claims.account.exports[0].revocations = BTreeMap::from([(b.id(), now())]);
    admin.push(&realm, &a);
    wait_until("revoked", || (!gets(&mut importer)).then_some(()));
    a.claims.account.exports[0].revocations.clear();
    admin.push(&realm, &a);
    wait_until("no longer revoked", || gets(&mut importer).then_some(()));
    a.claims.account.exports[0].revocations = BTreeMap::from([("*".to_owned(), now())]);
    admin.push(&realm, &a);
    wait_until("all revoked", || (!gets(&mut importer)).then_some(()));
}

#[test]
fn a_strict_operator_wants_signing_keys() {
    let mut realm = Realm::new();
    let signer = KeyPair::new_operator();
    realm.claims.signing_keys = vec![signer.public_key()];
    realm.claims.strict_signing_key_usage = true;
    let (a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    let user_signer = KeyPair::new_account();
    b.claims.account.signing_keys.insert(user_signer.public_key(), None);
    let by = |key: &KeyPair, tenant: &Tenant| {
        format!("{}: {}\n", tenant.id(), tenant.claims.encode(key, now()).expect("claims"))
    };
    let config = format!(
        "{}resolver: MEMORY\nresolver_preload: {{ {}{}{} }}\n",
        realm.head(),
        by(&signer, &realm.system),
        by(&realm.operator, &a),
        by(&signer, &b)
    );
    let server = Server::start(&config);
    a.user().refused(&server);
    b.user().refused(&server);
    let key = KeyPair::new_user();
    let mut claims = UserClaims::new(&key.public_key());
    claims.issuer_account = b.id();
    let jwt = claims.encode(&user_signer, now()).expect("claims");
    Credentials { key, jwt }.accepted(&server);
    // A directory takes nothing that the operator's own key signed.
    let mut system = Tenant::new("SYS");
    system.claims.account.signing_keys.insert(user_signer.public_key(), None);
    realm.system = system;
    let config = format!(
        "{}resolver: {{ type: full, dir: \"./jwt\" }}\nresolver_preload: {{ {} }}\n",
        realm.head(),
        by(&signer, &realm.system)
    );
    let server = Server::start(&config);
    let key = KeyPair::new_user();
    let mut claims = UserClaims::new(&key.public_key());
    claims.issuer_account = realm.system.id();
    let jwt = claims.encode(&user_signer, now()).expect("claims");
    let mut wire = Credentials { key, jwt }.accepted(&server);
    wire.send("SUB answers.> 1\r\n");
    let token = realm.token(&a);
    let (id, size) = (a.id(), token.len());
    wire.send(format!("PUB $SYS.REQ.ACCOUNT.{id}.CLAIMS.UPDATE answers.1 {size}\r\n{token}\r\n"));
    let answer: serde_json::Value = serde_json::from_slice(&wire.message().1).expect("JSON");
    assert_eq!(
        answer["error"]["description"],
        "jwt update resulted in error - operator requires issuer to be a signing key"
    );
}

#[test]
fn only_pinned_accounts_and_the_system_account_are_let_in() {
    let realm = Realm::new();
    let (a, b) = (Tenant::new("A"), Tenant::new("B"));
    let config = format!(
        "http: 127.0.0.1:-1\n{}resolver_pinned_accounts: [{}]\n",
        realm.memory(&[&a, &b]),
        a.id()
    );
    let server = Server::start(&config);
    a.user().accepted(&server);
    realm.system.user().accepted(&server);
    b.user().refused(&server);
    let text = format!("Account {} not listed as operator pinned account", b.id());
    server.wait_for_log(&text);
    assert_eq!(server.monitor("/varz")["pinned_account_fails"], 1);
}

#[test]
fn a_default_sentinel_stands_in_for_connections_without_a_token() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let sentinel = a.user_with(|claims| claims.user.bearer_token = true);
    let config = format!("{}default_sentinel: {}\n", realm.memory(&[&a]), sentinel.jwt);
    let server = Server::start(&config);
    let wire = crate::accepted(&server, r#""protocol":1"#);
    assert_eq!(wire.info["remote_account"], a.id());
    crate::accepted(&server, r#""jwt":"some other token""#);
}

#[test]
fn updates_that_cannot_be_are_answered_with_the_reason() {
    let realm = Realm::new();
    let (a, b) = (Tenant::new("A"), Tenant::new("B"));
    let server = realm.server(&[&a, &b]);
    let _user = a.user().accepted(&server);
    let mut admin = realm.admin(&server);
    let mut failed = |account: &str, body: &str| {
        let subject = format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.UPDATE");
        let answer = admin.ask_json(&subject, body);
        assert_eq!(answer["server"]["id"], answer["server"]["name"], "{answer}");
        match answer["error"]["code"].as_i64() {
            Some(code) => {
                assert_eq!((code, &answer["error"]["account"]), (500, &account.into()));
                answer["error"]["description"].as_str().expect("text").to_owned()
            }
            None => answer["data"]["message"].as_str().expect("text").to_owned(),
        }
    };
    assert_eq!(failed(&a.id(), ""), "jwt update error - request body is empty");
    assert_eq!(failed(&a.id(), "x"), "jwt update resulted in error - expected 3 chunks");
    let other = realm.token(&b);
    assert_eq!(
        failed(&a.id(), &other),
        "jwt update resulted in error - subject does not match jwt content"
    );
    assert_eq!(failed(&b.id(), &other), "jwt update skipped");
    let untrusted = Realm::new().token(&a);
    assert_eq!(
        failed(&a.id(), &untrusted),
        "jwt update resulted in error - account validation failed"
    );
}

fn full(realm: &Realm, more: &str) -> String {
    format!("{}resolver: {{ type: full, dir: \"./jwt\", {more} }}\n", realm.head())
}

#[test]
fn a_directory_takes_keeps_and_gives_claims() {
    let realm = Realm::new();
    let (a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    let server = Server::start(&full(&realm, "allow_delete: true"));
    server.wait_for_log("Using bootstrapping system account");
    server.wait_for_log("Managing all jwt in exclusive directory /");
    let mut admin = realm.admin(&server);
    a.user().refused(&server);
    admin.push(&realm, &realm.system);
    server.wait_for_log("System account fetched and updated");
    admin.push(&realm, &a);
    let answer = admin.ask_json("$SYS.REQ.CLAIMS.UPDATE", &realm.token(&b));
    assert_eq!(answer["data"]["message"], "jwt updated");
    assert_eq!(answer["data"]["account"], b.id());
    let (mut user, _b) = (a.user().accepted(&server), b.user().accepted(&server));
    let file = |tenant: &Tenant| server.path(format!("jwt/{}.jwt", tenant.id()));
    let stored = std::fs::read_to_string(file(&a)).expect("a file");
    let lookup = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.LOOKUP", a.id());
    assert_eq!(admin.ask(&lookup, ""), stored.as_bytes());
    let nobody = KeyPair::new_account().public_key();
    assert_eq!(admin.ask(&format!("$SYS.REQ.ACCOUNT.{nobody}.CLAIMS.LOOKUP"), ""), b"");
    let list = admin.ask_json("$SYS.REQ.CLAIMS.LIST", "");
    let mut ids = vec![realm.system.id(), a.id(), b.id()];
    ids.sort_unstable();
    assert_eq!(list["data"], serde_json::json!(ids));
    // Everything, and an end; then nothing but the end for who has it all.
    let line = admin.ask("$SYS.REQ.CLAIMS.PACK", "x");
    assert!(String::from_utf8_lossy(&line).contains('|'));
    for _ in 0..2 {
        assert!(!admin.wire.message().1.is_empty());
    }
    assert_eq!(admin.wire.message().1, b"");
    // Whoever sends claims means them, however old they are.
    b.claims.base.name = "old".to_owned();
    let old = b.claims.encode(&realm.operator, now() - 100).expect("claims");
    let of_b = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", b.id());
    assert_eq!(admin.ask_json(&of_b, &old)["data"]["message"], "jwt updated");
    assert_eq!(std::fs::read_to_string(file(&b)).expect("a file"), old);
    let wrong = admin.ask_json(&of_b, &stored);
    assert_eq!(
        wrong["error"]["description"],
        "jwt update resulted in error - subject does not match jwt content"
    );
    assert_eq!(admin.ask_json(&of_b, "x")["error"]["account"], "n/a");
    // Deleting needs the operator's word.
    let mut delete = |key: &KeyPair, accounts: &[String]| {
        let me = key.public_key();
        let claims = nats_server::jwt::Base { subject: me, ..Default::default() };
        let body = serde_json::json!({"accounts": accounts});
        let token = nats_server::jwt::encode(&claims, &body, key, now()).expect("claims");
        let answer = admin.ask_json("$SYS.REQ.CLAIMS.DELETE", &token);
        let text = answer["data"]["message"].as_str().or(answer["error"]["description"].as_str());
        text.expect("text").to_owned()
    };
    assert!(delete(&KeyPair::new_operator(), &[a.id()]).ends_with("failed - not trusted"));
    assert!(
        delete(&realm.operator, &[realm.system.id()])
            .ends_with("not allowed to delete system account")
    );
    assert!(delete(&realm.operator, &["x".to_owned()]).ends_with("malformed request"));
    assert_eq!(delete(&realm.operator, &[a.id()]), "deleted 1 accounts");
    user.expect_error("Account Authentication Expired");
    user.expect_close();
    assert!(!file(&a).exists() && server.path(format!("jwt/{}.jwt.deleted", a.id())).exists());
    a.user().refused(&server);
}

#[test]
fn a_cache_takes_only_what_is_in_use() {
    let realm = Realm::new();
    let (mut a, b) = (Tenant::new("A"), Tenant::new("B"));
    let config = format!(
        "{}resolver: {{ type: cache, dir: \"./jwt\" }}\n{}",
        realm.head(),
        realm.preload(&[&realm.system, &a])
    );
    let server = Server::start(&config);
    server.wait_for_log("Managing some jwt in exclusive directory /");
    let _user = a.user().accepted(&server);
    let mut admin = realm.admin(&server);
    let mut message = |tenant: &Tenant| {
        let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", tenant.id());
        let answer = admin.ask_json(&subject, &realm.token(tenant));
        answer["data"]["message"].as_str().expect("text").to_owned()
    };
    a.claims.base.name = "new".to_owned();
    assert_eq!(message(&a), "jwt updated cache");
    assert_eq!(message(&b), "jwt update cache skipped");
    b.user().refused(&server);
    server.wait_for_log("Account JWT lookup error: ");
}

#[test]
fn claims_missing_in_a_directory_are_asked_for() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let config = format!("{}{}", full(&realm, "interval: \"1s\""), realm.preload(&[&realm.system]));
    let server = Server::start(&config);
    // Stands for another server that has them.
    let mut other = realm.system.user().accepted(&server);
    other.send("SUB $SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP 1\r\nSUB $SYS.REQ.CLAIMS.PACK 2\r\n");
    other.sync();
    let mut user = a.user().login(&server);
    let (reply, token) = loop {
        let (line, body) = other.message();
        let fields: Vec<&str> = line.split(' ').collect();
        let reply = fields[3].to_owned();
        if fields[2] == "1" {
            break (reply, realm.token(&a));
        }
        assert_eq!(body.len(), 32, "a hash");
        assert!(reply.starts_with("$SYS._INBOX."), "{reply}");
    };
    other.send(format!("PUB {reply} {}\r\n{token}\r\n", token.len()));
    assert_eq!(user.until_pong(), Vec::<String>::new());
    assert!(server.path(format!("jwt/{}.jwt", a.id())).exists());
    // What synchronisation brings is kept, too.
    let b = Tenant::new("B");
    let inbox = loop {
        let (line, _) = other.message();
        let fields: Vec<&str> = line.split(' ').collect();
        if fields[2] == "2" {
            break fields[3].to_owned();
        }
    };
    let line = format!("{}|{}", b.id(), realm.token(&b));
    other.send(format!("PUB {inbox} {}\r\n{line}\r\nPUB {inbox} 0\r\n\r\n", line.len()));
    let file = server.path(format!("jwt/{}.jwt", b.id()));
    wait_until("the merged claims", || file.exists().then_some(()));
}

#[test]
fn claims_come_from_a_url() {
    let realm = Realm::new();
    let (a, strangers) = (Tenant::new("A"), Tenant::new("strangers"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/jwt/v1/accounts/", listener.local_addr().expect("address"));
    let answers: BTreeMap<String, String> = [
        (String::new(), "hello".to_owned()),
        (a.id(), realm.token(&a)),
        (realm.system.id(), realm.token(&realm.system)),
        (strangers.id(), Realm::new().token(&strangers)),
    ]
    .into();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            let mut request = Vec::new();
            let mut chunk = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut chunk) {
                    Ok(n) if n > 0 => request.extend_from_slice(&chunk[..n]),
                    _ => break,
                }
            }
            let text = String::from_utf8_lossy(&request);
            let path = text.split(' ').nth(1).unwrap_or_default();
            let key = path.strip_prefix("/jwt/v1/accounts/").unwrap_or("?");
            let answer = match answers.get(key) {
                Some(body) => {
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                }
                None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let server = Server::start(&format!("{}resolver: URL(\"{url}\")\n", realm.head()));
    a.user().accepted(&server);
    realm.admin(&server);
    let b = Tenant::new("B");
    b.user().refused(&server);
    strangers.user().refused(&server);
    server.wait_for_log("Account JWT lookup error: account validation failed");
    server.wait_for_log(&format!("could not fetch <\"{url}{}\">: 404 Not Found", b.id()));
}

#[test]
fn malformed_tokens_harm_nobody_else() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    a.claims.account.trace = Some(Trace { destination: "t".to_owned(), sampling: 5 });
    let server = realm.server(&[&a]);
    let mut other = a.user().accepted(&server);
    let good = a.user();
    let parts: Vec<&str> = good.jwt.split('.').collect();
    for jwt in [
        "a.b.c".to_owned(),
        "..".to_owned(),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}.{}", parts[0], BASE64URL_NOPAD.encode(b"[[[[[["), parts[2]),
        format!("{}.{}.{}", parts[0], BASE64URL_NOPAD.encode(&[0xff; 40]), parts[2]),
        good.jwt.replace('a', "b"),
    ] {
        let mut wire = login(&server, &format!(r#""jwt":"{jwt}""#));
        wire.expect_error("Authorization Violation");
        wire.expect_close();
    }
    other.expect_nothing();
    good.accepted(&server);
}

mod lives;
mod sources;
mod starts;
