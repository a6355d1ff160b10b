//! What the claims of accounts mean for their users, over their life (spec 03 §16 and §25).

use crate::realm::{Credentials, Realm, Tenant, now};
use crate::support::{Server, Wire, wait_until};
use nats_server::jwt::account::WeightedMapping;
use nats_server::jwt::shares::{Export, Import};
use nats_server::jwt::{ActivationClaims, Share, UserClaims};
use nkeys::KeyPair;

fn import(of: &Tenant, subject: &str, share: Share) -> Import {
    Import { account: of.id(), subject: subject.to_owned(), share, ..Import::default() }
}

fn export(subject: &str, share: Share) -> Export {
    Export { subject: subject.to_owned(), share, ..Export::default() }
}

/// The permission for `importer`, signed by `key`.
fn activation(
    importer: &Tenant,
    subject: &str,
    share: Share,
    key: &KeyPair,
    edit: impl FnOnce(&mut ActivationClaims),
) -> String {
    let mut claims =
        ActivationClaims { subject: subject.to_owned(), share, ..ActivationClaims::default() };
    claims.base.subject = importer.id();
    edit(&mut claims);
    claims.encode(key, now()).expect("claims")
}

/// Publishes, and returns what the other one got.
fn passes(from: &mut Wire, to: &mut Wire, publish: &str) -> Vec<String> {
    from.send(format!("PUB {publish} 2\r\nhi\r\n"));
    from.sync();
    to.sync()
}

#[test]
fn an_activation_counts_only_for_what_it_was_issued_for() {
    let realm = Realm::new();
    let (mut a, other) = (Tenant::new("A"), Tenant::new("other"));
    a.claims.account.exports = ["events.>", "foo"]
        .map(|s| Export { token_required: true, ..export(s, Share::Stream) })
        .to_vec();
    // Issued for somebody else, for another subject, and for one that nobody exports.
    for (misuse, subject) in [(true, "events.>"), (false, "foo"), (false, "nothing")] {
        let mut b = Tenant::new("B");
        let whom = if misuse { &other } else { &b };
        let token = activation(whom, subject, Share::Stream, &a.key, |_| {});
        b.claims.account.imports = vec![Import { token, ..import(&a, "events.>", Share::Stream) }];
        let server = realm.server(&[&a, &b]);
        b.user().refused(&server);
        a.user().accepted(&server);
    }
}

#[test]
fn activations_of_a_signing_key_count_as_long_as_the_key_does() {
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    let signer = KeyPair::new_account();
    a.claims.account.signing_keys.insert(signer.public_key(), None);
    a.claims.account.exports = vec![
        Export { token_required: true, ..export("ask", Share::Service) },
        Export { token_required: true, ..export("news", Share::Stream) },
    ];
    let token = |subject: &str, share: Share| {
        activation(&b, subject, share, &signer, |claims| claims.issuer_account = a.id())
    };
    let (ask, news) = (token("ask", Share::Service), token("news", Share::Stream));
    b.claims.account.imports = vec![
        Import { token: ask, ..import(&a, "ask", Share::Service) },
        Import { token: news, ..import(&a, "news", Share::Stream) },
    ];
    let server = realm.server(&[&a, &b]);
    let (mut importer, mut exporter) = (b.user().accepted(&server), a.user().accepted(&server));
    exporter.send("SUB ask 1\r\n");
    exporter.expect_nothing();
    importer.send("SUB news 1\r\n");
    importer.expect_nothing();
    assert_eq!(passes(&mut exporter, &mut importer, "news"), ["MSG news 1 2", "hi"]);
    assert!(passes(&mut importer, &mut exporter, "ask")[0].starts_with("HMSG ask 1 "));
    a.claims.account.signing_keys.clear();
    realm.admin(&server).push(&realm, &a);
    wait_until("the stream is gone", || {
        passes(&mut exporter, &mut importer, "news").is_empty().then_some(())
    });
    assert!(passes(&mut importer, &mut exporter, "ask").is_empty());
}

#[test]
fn an_activation_whose_issuer_is_not_the_exporter_makes_the_account_invalid() {
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    let signer = KeyPair::new_account();
    a.claims.account.signing_keys.insert(signer.public_key(), None);
    a.claims.account.exports =
        vec![Export { token_required: true, ..export("news", Share::Stream) }];
    let own = b.id();
    let token =
        activation(&b, "news", Share::Stream, &signer, |claims| claims.issuer_account = own);
    b.claims.account.imports = vec![Import { token, ..import(&a, "news", Share::Stream) }];
    let server = realm.server(&[&a, &b]);
    b.user().refused(&server);
}

#[test]
fn a_signing_key_without_scope_signs_as_the_account_does() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let signer = KeyPair::new_account();
    let by_signer = || {
        let key = KeyPair::new_user();
        let mut claims = UserClaims::new(&key.public_key());
        claims.issuer_account = a.id();
        let jwt = claims.encode(&signer, now()).expect("claims");
        Credentials { key, jwt }
    };
    let (early, late) = (by_signer(), by_signer());
    early.refused(&server);
    let own = a.user();
    let mut stays = own.accepted(&server);
    let mut admin = realm.admin(&server);
    a.claims.account.signing_keys.insert(signer.public_key(), None);
    admin.push(&realm, &a);
    let mut wire = late.accepted(&server);
    a.claims.account.signing_keys.clear();
    admin.push(&realm, &a);
    // Without a word.
    wire.expect_close();
    stays.expect_nothing();
}

#[test]
fn an_export_with_the_importers_name_in_it_is_for_that_account() {
    let realm = Realm::new();
    let (mut a, mut b, mut c) = (Tenant::new("A"), Tenant::new("B"), Tenant::new("C"));
    let exports = |position| {
        [("ask.*", Share::Service), ("news.*", Share::Stream)]
            .map(|(s, share)| Export { account_token_position: position, ..export(s, share) })
            .to_vec()
    };
    a.claims.account.exports = exports(2);
    for tenant in [&mut b, &mut c] {
        // Both want what is B's.
        tenant.claims.account.imports = Vec::new();
    }
    let (ask, news) = (format!("ask.{}", b.id()), format!("news.{}", b.id()));
    for tenant in [&mut b, &mut c] {
        tenant.claims.account.imports =
            vec![import(&a, &ask, Share::Service), import(&a, &news, Share::Stream)];
    }
    let server = realm.server(&[&a, &b, &c]);
    let mut exporter = a.user().accepted(&server);
    exporter.send("SUB ask.* 1\r\n");
    exporter.expect_nothing();
    let (mut right, mut wrong) = (b.user().accepted(&server), c.user().accepted(&server));
    for wire in [&mut right, &mut wrong] {
        wire.send(format!("SUB {news} 1\r\n"));
        wire.expect_nothing();
    }
    assert!(passes(&mut right, &mut exporter, &ask)[0].starts_with("HMSG ask."));
    assert!(passes(&mut wrong, &mut exporter, &ask).is_empty());
    assert!(!passes(&mut exporter, &mut right, &news).is_empty());
    wrong.expect_nothing();
    // Without the position it is for everybody, and with it again it is not.
    let mut admin = realm.admin(&server);
    a.claims.account.exports = exports(0);
    admin.push(&realm, &a);
    wait_until("open to all", || {
        (!passes(&mut exporter, &mut wrong, &news).is_empty()).then_some(())
    });
    assert!(!passes(&mut wrong, &mut exporter, &ask).is_empty());
    a.claims.account.exports = exports(2);
    admin.push(&realm, &a);
    wait_until("closed again", || {
        passes(&mut exporter, &mut wrong, &news).is_empty().then_some(())
    });
    assert!(passes(&mut wrong, &mut exporter, &ask).is_empty());
}

#[test]
fn imports_have_their_wildcards_in_the_places_that_the_claims_say() {
    let realm = Realm::new();
    // The old form, the new one, and one that changes the order: local and remote subjects.
    for (old, ask, asked, news, delivered) in [
        (true, "my.1.2.bar", "ask.1.in.2.bar", "prefix", "prefix.news.1.in.2.bar"),
        (false, "my.1.2.bar", "ask.1.in.2.bar", "got.*.*.>", "got.1.2.bar"),
        (false, "my.1.2.bar", "ask.2.in.1.bar", "got.$2.$1.>", "got.2.1.bar"),
    ] {
        let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
        a.claims.account.exports =
            vec![export("ask.*.in.*.>", Share::Service), export("news.*.in.*.>", Share::Stream)];
        let mut service = import(&a, "ask.*.in.*.>", Share::Service);
        let mut stream = import(&a, "news.*.in.*.>", Share::Stream);
        if old {
            service.to = std::mem::replace(&mut service.subject, "my.*.*.>".to_owned());
            stream.to = news.to_owned();
        } else {
            let turned = asked.starts_with("ask.2");
            let local = if turned { "my.$2.$1.>" } else { "my.*.*.>" };
            service.local_subject = local.to_owned();
            stream.local_subject = news.to_owned();
        }
        b.claims.account.imports = vec![service, stream];
        let server = realm.server(&[&a, &b]);
        let (mut exporter, mut importer) = (a.user().accepted(&server), b.user().accepted(&server));
        exporter.send(format!("SUB {asked} 1\r\n"));
        exporter.expect_nothing();
        let got = passes(&mut importer, &mut exporter, ask);
        assert!(got[0].starts_with(&format!("HMSG {asked} 1 ")), "{got:?}");
        importer.send(format!("SUB {delivered} 2\r\n"));
        importer.expect_nothing();
        let got = passes(&mut exporter, &mut importer, "news.1.in.2.bar");
        assert_eq!(got, [format!("MSG {delivered} 2 2"), "hi".to_owned()]);
    }
}

#[test]
fn accounts_that_need_each_other_are_loaded_together() {
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    a.claims.account.exports = vec![export("of.a", Share::Service)];
    b.claims.account.exports = vec![export("of.b", Share::Service)];
    a.claims.account.imports = vec![import(&b, "of.b", Share::Service)];
    b.claims.account.imports = vec![import(&a, "of.a", Share::Service)];
    let server = realm.server(&[&a, &b]);
    let (mut one, mut two) = (a.user().accepted(&server), b.user().accepted(&server));
    for (wire, subject) in [(&mut one, "of.a"), (&mut two, "of.b")] {
        wire.send(format!("SUB {subject} 1\r\n"));
        wire.expect_nothing();
    }
    assert!(!passes(&mut one, &mut two, "of.b").is_empty());
    assert!(!passes(&mut two, &mut one, "of.a").is_empty());
}

#[test]
fn an_account_works_without_the_one_it_imports_from_and_gets_it_when_it_comes() {
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    a.claims.account.exports = vec![export("news", Share::Stream)];
    b.claims.account.imports = vec![import(&a, "news", Share::Stream)];
    let server = Server::start(&format!(
        "{}resolver: {{ type: full, dir: \"./jwt\" }}\n{}",
        realm.head(),
        realm.preload(&[&realm.system, &b])
    ));
    let mut importer = b.user().accepted(&server);
    importer.send("SUB news 1\r\n");
    importer.expect_nothing();
    server.wait_for_log(&format!("Can't locate account [{}] for import of [news] stream", a.id()));
    realm.admin(&server).push(&realm, &a);
    let mut exporter = a.user().accepted(&server);
    wait_until("the import is made", || {
        (!passes(&mut exporter, &mut importer, "news").is_empty()).then_some(())
    });
}

#[test]
fn mappings_of_claims_come_and_go() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let mut admin = realm.admin(&server);
    let mut wire = a.user().accepted(&server);
    wire.send("SUB bar1 1\r\nSUB bar2 2\r\n");
    wire.expect_nothing();
    let mut map = |a: &mut Tenant, source: &str, to: &str| {
        a.claims.account.mappings.clear();
        if !source.is_empty() {
            let to = WeightedMapping { subject: to.to_owned(), ..WeightedMapping::default() };
            a.claims.account.mappings.insert(source.to_owned(), vec![to]);
        }
        a.claims.base.name = format!("with {source}");
        admin.push(&realm, a);
    };
    let mut gets = |subject: &str| {
        wire.send(format!("PUB {subject} 0\r\n\r\n"));
        wire.sync().first().cloned().unwrap_or_default()
    };
    map(&mut a, "foo1", "bar1");
    assert_eq!(gets("foo1"), "MSG bar1 1 0");
    map(&mut a, "foo2", "bar2");
    assert_eq!((gets("foo1"), gets("foo2")), (String::new(), "MSG bar2 2 0".to_owned()));
    map(&mut a, "", "");
    assert_eq!(gets("foo2"), "");
}

#[test]
fn the_servers_own_limits_hold_beside_those_of_the_claims() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    a.claims.account.limits.subs = 10;
    a.claims.account.limits.payload = 8;
    let server =
        Server::start(&format!("max_subscriptions: 2\nmax_payload: 4\n{}", realm.memory(&[&a])));
    let mut wire = a.user().accepted(&server);
    wire.send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n");
    assert_eq!(wire.sync(), ["-ERR 'maximum subscriptions exceeded'"]);
    wire.send("PUB x 6\r\n");
    wire.expect_error("Maximum Payload Violation");
}

#[test]
fn who_has_more_subscriptions_than_are_left_is_told_and_closed() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    a.claims.account.limits.subs = 10;
    let server = realm.server(&[&a]);
    let mut wire = a.user().accepted(&server);
    for n in 0..10 {
        wire.send(format!("SUB foo {n}\r\n"));
    }
    wire.expect_nothing();
    wire.send("SUB foo 22\r\n");
    assert_eq!(wire.sync(), ["-ERR 'maximum subscriptions exceeded'"]);
    a.claims.account.limits.subs = 5;
    realm.admin(&server).push(&realm, &a);
    wire.expect_error("maximum subscriptions exceeded");
    wire.expect_close();
}

#[test]
fn a_service_switches_between_all_and_those_with_an_activation() {
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    a.claims.account.exports = vec![export("usage.*", Share::Service)];
    b.claims.account.imports =
        vec![Import { to: "usage.B".to_owned(), ..import(&a, "usage", Share::Service) }];
    let server = realm.server(&[&a, &b]);
    let (mut importer, mut exporter) = (b.user().accepted(&server), a.user().accepted(&server));
    exporter.send("SUB usage.* 1\r\n");
    exporter.expect_nothing();
    let mut admin = realm.admin(&server);
    let mut asks = || passes(&mut importer, &mut exporter, "usage").first().cloned();
    assert!(asks().is_some_and(|line| line.starts_with("HMSG usage.B 1 ")));
    a.claims.account.exports[0].token_required = true;
    admin.push(&realm, &a);
    assert_eq!(asks(), None);
    a.claims.account.exports[0].token_required = false;
    a.claims.base.name = "open".to_owned();
    admin.push(&realm, &a);
    assert!(asks().is_some());
}

#[test]
fn claims_in_messages_with_headers_are_taken() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let server = Server::start(&format!(
        "{}resolver: {{ type: full, dir: \"./jwt\", allow_delete: true }}\n{}",
        realm.head(),
        realm.preload(&[&realm.system])
    ));
    let mut admin = realm.admin(&server);
    let header = "NATS/1.0\r\nkey: value\r\n\r\n";
    let mut ask = |subject: &str, body: &str| {
        let (h, all) = (header.len(), header.len() + body.len());
        admin.wire.send(format!("HPUB {subject} answers.1 {h} {all}\r\n{header}{body}\r\n"));
        let answer: serde_json::Value =
            serde_json::from_slice(&admin.wire.message().1).expect("JSON");
        answer["data"]["message"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    assert_eq!(ask("$SYS.REQ.CLAIMS.UPDATE", &realm.token(&a)), "jwt updated");
    let base = nats_server::jwt::Base {
        subject: realm.operator.public_key(),
        ..nats_server::jwt::Base::default()
    };
    let body = serde_json::json!({"accounts": [a.id()]});
    let token = nats_server::jwt::encode(&base, &body, &realm.operator, now()).expect("claims");
    assert_eq!(ask("$SYS.REQ.CLAIMS.DELETE", &token), "deleted 1 accounts");
}

#[test]
fn a_reload_brings_the_preloaded_claims_of_a_memory_resolver() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let user = a.user();
    let (mut stays, mut revoked) = (a.user().accepted(&server), user.accepted(&server));
    a.claims.account.revocations.insert(user.id(), now());
    server.rewrite_config(&realm.memory(&[&a]));
    server.signal("HUP");
    revoked.expect_error("User Authentication Revoked");
    stays.expect_nothing();
    // What is not changed by it is not closed by it.
    server.wait_for_log("Reloaded server configuration");
    a.user().accepted(&server);
}

#[test]
fn an_account_that_is_configured_no_more_loses_its_users_at_a_reload() {
    let realm = Realm::new();
    let (a, b) = (Tenant::new("A"), Tenant::new("B"));
    let server = realm.server(&[&a]);
    let mut wire = a.user().accepted(&server);
    server.rewrite_config(&realm.memory(&[&b]));
    server.signal("HUP");
    wire.expect_error("Authorization Violation");
    wire.expect_close();
    server.wait_for_log(&format!("Reloaded: deleting account [removed]: \"{}\"", a.id()));
    b.user().accepted(&server);
    a.user().refused(&server);
}

#[test]
fn limits_beyond_32_bits_are_as_good_as_none() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let more = i64::from(i32::MAX) + 1;
    let mut wire = a
        .user_with(|claims| {
            claims.user.max_subscriptions = more;
            claims.user.max_payload = more;
        })
        .accepted(&server);
    wire.send("SUB foo 1\r\nPUB foo 5\r\nhello\r\n");
    assert_eq!(wire.sync(), ["MSG foo 1 5", "hello"]);
}

#[test]
fn the_system_account_is_asked_about_ones_own_account_only() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    let import_as = |subject: String, local: &str| Import {
        local_subject: local.to_owned(),
        ..import(&realm.system, &subject, Share::Service)
    };
    a.claims.account.imports = vec![
        import_as(format!("$SYS.REQ.ACCOUNT.{}.CONNZ", realm.system.id()), "other"),
        import_as("$SYS.REQ.ACCOUNT.*.CONNZ".to_owned(), "any.*"),
        import_as(format!("$SYS.REQ.ACCOUNT.{}.CONNZ", a.id()), "own"),
    ];
    let server = realm.server(&[&a]);
    let mut wire = a.user().accepted(&server);
    wire.send("SUB inbox 1\r\n");
    wire.expect_nothing();
    let mut admin = realm.admin(&server);
    let mut asks = |subject: &str| {
        wire.send(format!("PUB {subject} inbox 0\r\n\r\n"));
        let (_, body) = wire.message();
        !String::from_utf8_lossy(&body).contains("503") && !body.is_empty()
    };
    assert!(asks("own") && asks("$SYS.REQ.ACCOUNT.PING.CONNZ"));
    assert!(!asks("other") && !asks(&format!("any.{}", a.id())));
    // It stays so when the claims change.
    a.claims.base.name = "changed".to_owned();
    admin.push(&realm, &a);
    assert!(asks("$SYS.REQ.SERVER.PING.CONNZ") && !asks("other"));
}

#[test]
fn users_are_told_about_themselves() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let user = a.user_with(|claims| {
        claims.base.name = "joe".to_owned();
        claims.base.expires = now() + 60;
        claims.user.permissions.publish.deny = Some(vec!["x".to_owned()]);
    });
    let mut wire = user.accepted(&server);
    wire.send("SUB inbox 1\r\nPUB $SYS.REQ.USER.INFO inbox 0\r\n\r\n");
    let answer: serde_json::Value = serde_json::from_slice(&wire.message().1).expect("JSON");
    let data = &answer["data"];
    assert_eq!(data["user"], user.id());
    assert_eq!((&data["account"], &data["account_name"]), (&a.id().into(), &"A".into()));
    assert_eq!(data["user_name"], "joe");
    assert_eq!(
        data["permissions"],
        serde_json::json!({"publish": {"deny": ["x"]}, "subscribe": {}})
    );
    let expires = data["expires"].as_i64().expect("a time") / 1_000_000_000;
    assert!((50..=60).contains(&expires), "{answer}");
}
