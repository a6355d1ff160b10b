//! What becomes of connections while their claims, and those of others, go on (spec 03 §16, §23
//! and §25).

use super::{Credentials, Realm, Tenant, now};
use crate::support::{Server, Wire, wait_until};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nats_server::jwt::shares::{Export, Import};
use nats_server::jwt::user::TimeRange;
use nats_server::jwt::{ActivationClaims, Share, UserClaims};
use std::time::{Duration, Instant};

fn service(subject: &str) -> Export {
    Export { subject: subject.to_owned(), share: Share::Service, ..Export::default() }
}

fn stream(subject: &str) -> Export {
    Export { subject: subject.to_owned(), share: Share::Stream, ..Export::default() }
}

fn import(of: &Tenant, export: &Export) -> Import {
    let Export { subject, share, .. } = export.clone();
    Import { account: of.id(), subject, share, ..Import::default() }
}

/// From `start` to `end` seconds from now, on the clocks of that place.
fn range(place: &str, start: i64, end: i64) -> TimeRange {
    let zone = match place {
        "" => TimeZone::system(),
        name => TimeZone::get(name).expect("a time zone"),
    };
    let at = |seconds: i64| {
        let time = Timestamp::now() + SignedDuration::from_secs(seconds);
        time.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
    };
    TimeRange { start: at(start), end: at(end) }
}

/// Whether these credentials are accepted now.
fn is_accepted(user: &Credentials, server: &Server) -> bool {
    user.login(server).line() == "PONG"
}

#[test]
fn connections_end_with_the_times_of_their_users() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let at_times = |place: &str, times: Vec<TimeRange>, expires: i64| {
        a.user_with(|claims| {
            claims.base.expires = expires;
            claims.user.times = Some(times);
            claims.user.times_location = place.to_owned();
        })
    };
    let later = now() + 10_000;
    let mut wires: Vec<Wire> = ["", "Europe/Berlin", "America/New_York"]
        .iter()
        .map(|place| at_times(place, vec![range(place, -1, 3)], later).accepted(&server))
        .collect();
    // The token itself may end earlier.
    wires.push(at_times("UTC", vec![range("UTC", -1, 3600)], now() + 3).accepted(&server));
    let twice = at_times("UTC", vec![range("UTC", -1, 3), range("UTC", 5, 3600)], later);
    wires.push(twice.accepted(&server));
    for mut wire in wires {
        wire.expect_error("User Authentication Expired");
        wire.expect_close();
    }
    wait_until("the second range", || is_accepted(&twice, &server).then_some(()));
}

#[test]
fn users_are_let_in_from_where_and_when_their_tokens_say() {
    const HOUR: i64 = 3600;
    let realm = Realm::new();
    let a = Tenant::new("A");
    let server = realm.server(&[&a]);
    a.user().accepted(&server);
    for (sources, let_in) in [
        (&["8.8.8.8/8"][..], false),
        (&["8.8.8.8/0"], true),
        (&["127.0.0.1/8"], true),
        (&["8.8.8.8/8", "127.0.0.1/8"], true),
        (&["8.8.8.8/8", "9.9.9.9/8"], false),
    ] {
        let sources = sources.iter().map(|&s| s.to_owned()).collect();
        let user = a.user_with(|claims| claims.user.sources = Some(sources));
        assert_eq!(is_accepted(&user, &server), let_in, "{}", user.jwt);
    }
    // In seconds from now.
    for (times, let_in) in [
        (&[(-1, HOUR)][..], true),
        (&[(HOUR, 2 * HOUR)], false),
        (&[(HOUR, 2 * HOUR), (-1, HOUR)], true),
        (&[(HOUR, 2 * HOUR), (2 * HOUR, 3 * HOUR)], false),
        (&[(HOUR, 4 * HOUR), (2 * HOUR, 4 * HOUR)], false),
        (&[(HOUR, 4 * HOUR), (2 * HOUR, 3 * HOUR)], false),
        // They go on over midnight.
        (&[(-1, 25 * HOUR)], true),
        (&[(-1, -HOUR)], true),
    ] {
        let ranges = times.iter().map(|&(start, end)| range("", start, end)).collect();
        let user = a.user_with(|claims| claims.user.times = Some(ranges));
        assert_eq!(is_accepted(&user, &server), let_in, "{times:?}");
    }
}

#[test]
fn limits_of_a_user_hold_for_subscriptions_and_payloads() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let mut wire = a.user_with(|claims| claims.user.max_subscriptions = 1).accepted(&server);
    wire.send("SUB foo 1\r\nSUB bar 2\r\n");
    assert_eq!(wire.sync(), ["-ERR 'maximum subscriptions exceeded'"]);
    let mut wire = a.user_with(|claims| claims.user.max_payload = 5).accepted(&server);
    assert_eq!(wire.info["max_payload"], 5);
    wire.send("PUB foo 5\r\nworld\r\n");
    wire.expect_nothing();
    wire.send("PUB foo 6\r\nworldX\r\n");
    wire.expect_error("Maximum Payload Violation");
}

#[test]
fn an_answer_that_comes_after_the_threshold_of_the_service_is_lost() {
    const THRESHOLD: Duration = Duration::from_millis(300);
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    let export = Export {
        response_threshold: i64::try_from(THRESHOLD.as_nanos()).expect("it fits"),
        ..service("ask")
    };
    b.claims.account.imports = vec![import(&a, &export)];
    a.claims.account.exports = vec![export];
    let server = realm.server(&[&a, &b]);
    let (mut exporter, mut importer) = (a.user().accepted(&server), b.user().accepted(&server));
    exporter.send("SUB ask 1\r\n");
    exporter.expect_nothing();
    importer.send("SUB inbox 2\r\n");
    importer.expect_nothing();
    let mut is_answered = |wait: Duration| {
        importer.send("PUB ask inbox 0\r\n\r\n");
        importer.expect_nothing();
        let (line, _) = exporter.message();
        let reply = line.split(' ').nth(3).expect("a reply").to_owned();
        let asked = Instant::now();
        wait_until("time passes", || (asked.elapsed() >= wait).then_some(()));
        exporter.send(format!("PUB {reply} 4\r\nyes!\r\n"));
        exporter.sync();
        importer.sync() == ["MSG inbox 2 4", "yes!"]
    };
    // A machine that is busy may be too slow once.
    wait_until("an answer in time", || is_answered(Duration::ZERO).then_some(()));
    assert!(!is_answered(2 * THRESHOLD));
}

#[test]
fn a_user_whose_token_has_ended_comes_back_with_another() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let server = realm.server(&[&a]);
    let user = a.user_with(|claims| claims.base.expires = now() + 2);
    let mut wire = user.accepted(&server);
    wire.expect_error("User Authentication Expired");
    wire.expect_close();
    // A token counts to the end of its last second.
    wait_until("it counts no more", || (!is_accepted(&user, &server)).then_some(()));
    let mut claims = UserClaims::new(&user.id());
    claims.base.expires = now() + 30;
    let jwt = claims.encode(&a.key, now()).expect("claims");
    Credentials { jwt, ..user }.accepted(&server).expect_nothing();
}

#[test]
fn queue_groups_are_part_of_what_a_token_allows_and_denies() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let server = realm.server(&[&a]);
    for (allows, queue, denied) in [
        (true, "queue.dev", false),
        (true, "", true),
        (true, "bad", true),
        (false, "", false),
        (false, "queue.dev", true),
    ] {
        let list = Some(vec!["foo.> *.dev".to_owned()]);
        let mut wire = a
            .user_with(|claims| {
                let lists = &mut claims.user.permissions.subscribe;
                *(if allows { &mut lists.allow } else { &mut lists.deny }) = list;
            })
            .accepted(&server);
        wire.send(format!("SUB foo.bar {queue} 1\r\n"));
        let got = wire.sync();
        let text = "Permissions Violation for Subscription to \"foo.bar\"";
        let is_denied = got.first().is_some_and(|line| line.contains(text));
        assert_eq!(is_denied, denied, "{allows} {queue:?}: {got:?}");
        assert_eq!(got.len(), usize::from(denied));
    }
}

#[test]
fn a_service_ends_with_its_activation_and_what_needs_none_stays() {
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    let mut ask = service("ask");
    ask.token_required = true;
    let free = stream("free");
    a.claims.account.exports = vec![ask.clone(), free.clone()];
    let mut activation = ActivationClaims {
        subject: "ask".to_owned(),
        share: Share::Service,
        ..ActivationClaims::default()
    };
    activation.base.subject = b.id();
    activation.base.expires = now() + 3;
    let token = activation.encode(&a.key, now()).expect("claims");
    b.claims.account.imports = vec![Import { token, ..import(&a, &ask) }, import(&a, &free)];
    let server = realm.server(&[&a, &b]);
    let (mut importer, mut exporter) = (b.user().accepted(&server), a.user().accepted(&server));
    exporter.send("SUB ask 1\r\n");
    exporter.expect_nothing();
    importer.send("SUB free 2\r\n");
    importer.expect_nothing();
    let mut asks = |exporter: &mut Wire| {
        importer.send("PUB ask 2\r\nhi\r\n");
        importer.expect_nothing();
        !exporter.sync().is_empty()
    };
    assert!(asks(&mut exporter));
    wait_until("the activation ends", || (!asks(&mut exporter)).then_some(()));
    exporter.send("PUB free 0\r\n\r\n");
    exporter.expect_nothing();
    assert_eq!(importer.message().0, "MSG free 2 0");
}

#[test]
fn revoking_tells_the_system_account_who_was_closed() {
    let realm = Realm::new();
    for all in [false, true] {
        let mut a = Tenant::new("A");
        let server = realm.server(&[&a]);
        let user = a.user();
        let mut wire = user.accepted(&server);
        let mut events = realm.system.user().accepted(&server);
        events.send(format!("SUB $SYS.ACCOUNT.{}.DISCONNECT 1\r\n", a.id()));
        events.expect_nothing();
        let whom = if all { "*".to_owned() } else { user.id() };
        a.claims.account.revocations.insert(whom, now());
        realm.admin(&server).push(&realm, &a);
        wire.expect_error("User Authentication Revoked");
        wire.expect_close();
        let event: serde_json::Value =
            serde_json::from_slice(&events.message().1).expect("an event");
        assert_eq!(event["client"]["acc"], a.id(), "{event}");
        assert_eq!(event["client"]["jwt"], user.jwt);
        assert_eq!(event["reason"], "Credentials Revoked");
        user.refused(&server);
        let claims = UserClaims::new(&user.id());
        let jwt = claims.encode(&a.key, now() + 2).expect("claims");
        Credentials { jwt, ..user }.accepted(&server);
    }
}

#[test]
fn a_user_revoked_before_it_ever_came_is_refused() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    let (user, other) = (a.user(), a.user());
    a.claims.account.revocations.insert(user.id(), now());
    let server = realm.server(&[&a]);
    user.refused(&server);
    other.accepted(&server);
}

#[test]
fn imports_that_were_revoked_before_they_were_made_bring_nothing() {
    let realm = Realm::new();
    for importer_first in [true, false] {
        let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
        let mut activation = ActivationClaims {
            subject: "private".to_owned(),
            share: Share::Stream,
            ..ActivationClaims::default()
        };
        activation.base.subject = b.id();
        let token = activation.encode(&a.key, now()).expect("claims");
        let mut export = Export { token_required: true, ..stream("private") };
        export.revocations.insert(b.id(), now() + 1);
        b.claims.account.imports = vec![Import { token, ..import(&a, &export) }];
        a.claims.account.exports = vec![export, stream("public")];
        let server = realm.server(&[&a, &b]);
        let (mut to, mut from) = if importer_first {
            let to = b.user().accepted(&server);
            (to, a.user().accepted(&server))
        } else {
            let from = a.user().accepted(&server);
            (b.user().accepted(&server), from)
        };
        to.send("SUB private 1\r\n");
        to.expect_nothing();
        from.send("PUB private 0\r\n\r\n");
        from.expect_nothing();
        to.expect_nothing();
    }
}

#[test]
fn services_and_streams_need_what_their_exports_ask_for() {
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    let closed = |export: Export| Export { token_required: true, ..export };
    let (open, private, echo) = (stream("foo"), closed(stream("private")), closed(service("echo")));
    a.claims.account.exports = vec![open.clone(), private.clone(), echo.clone()];
    let renamed = |import: Import, to: &str| Import { local_subject: to.to_owned(), ..import };
    let activated = |import: Import| {
        let mut claims = ActivationClaims {
            subject: import.subject.clone(),
            share: import.share,
            ..ActivationClaims::default()
        };
        claims.base.subject = b.id();
        let token = claims.encode(&a.key, now()).expect("claims");
        Import { token, ..import }
    };
    let streams = [renamed(import(&a, &open), "in.foo"), renamed(import(&a, &private), "in.p")];
    let steps = [
        (vec![streams[0].clone(), streams[1].clone(), import(&a, &echo)], [true, false, false]),
        (vec![activated(import(&a, &echo))], [false, false, true]),
        (vec![activated(streams[1].clone())], [false, true, false]),
    ];
    let server = realm.server(&[&a, &b]);
    let (mut to, mut from) = (b.user().accepted(&server), a.user().accepted(&server));
    to.send("SUB in.> 1\r\n");
    to.expect_nothing();
    from.send("SUB echo 1\r\n");
    from.expect_nothing();
    let mut admin = realm.admin(&server);
    for (n, (imports, expected)) in steps.into_iter().enumerate() {
        b.claims.account.imports = imports;
        b.claims.base.name = format!("step {n}");
        admin.push(&realm, &b);
        wait_until("subscriptions follow the claims", || {
            let mut arrives = |subject: &str| {
                from.send(format!("PUB {subject} 0\r\n\r\n"));
                from.sync();
                !to.sync().is_empty()
            };
            let (foo, private) = (arrives("foo"), arrives("private"));
            to.send("PUB echo 0\r\n\r\n");
            to.expect_nothing();
            let echo = !from.sync().is_empty();
            ([foo, private, echo] == expected).then_some(())
        });
    }
}

#[test]
fn what_the_system_account_exports_can_be_widened_but_not_narrowed() {
    let answers = |wire: &mut Wire, subject: &str| {
        wire.send(format!("PUB {subject} inbox 0\r\n\r\n"));
        let (_, body) = wire.message();
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        answer["data"].is_object() && answer.get("error").is_none()
    };
    let asking = |realm: &Realm, a: &Tenant| {
        let server = realm.server(&[a]);
        let mut wire = a.user().accepted(&server);
        wire.send("SUB inbox 1\r\n");
        wire.expect_nothing();
        (server, wire)
    };
    let from_system = |realm: &Realm, subject: String, local: &str| Import {
        account: realm.system.id(),
        subject,
        local_subject: local.to_owned(),
        share: Share::Service,
        ..Import::default()
    };
    // What is told about every account.
    let mut realm = Realm::new();
    let mut a = Tenant::new("A");
    realm.system.claims.account.exports = vec![service("$SYS.REQ.ACCOUNT.*.>")];
    let connz = |of: &str| format!("$SYS.REQ.ACCOUNT.{of}.CONNZ");
    a.claims.account.imports = vec![
        from_system(&realm, connz(&realm.system.id()), "one"),
        from_system(&realm, connz(&a.id()), "two"),
        from_system(&realm, connz("*"), "three.*"),
    ];
    let (_server, mut wire) = asking(&realm, &a);
    for subject in ["one", "two", &format!("three.{}", a.id()), "three.PING"] {
        assert!(answers(&mut wire, subject), "{subject}");
    }
    assert!(answers(&mut wire, &format!("three.{}", realm.system.id())));
    // Of one kind.
    let mut realm = Realm::new();
    let mut a = Tenant::new("A");
    realm.system.claims.account.exports = vec![service("$SYS.REQ.ACCOUNT.*.INFO")];
    let info = "$SYS.REQ.ACCOUNT.*.INFO".to_owned();
    a.claims.account.imports = vec![from_system(&realm, info, "info.*")];
    let (_server, mut wire) = asking(&realm, &a);
    assert!(answers(&mut wire, &format!("info.{}", realm.system.id())));
    // Imports that every account has need no activation.
    let mut realm = Realm::new();
    let a = Tenant::new("A");
    realm.system.claims.account.exports =
        vec![Export { token_required: true, ..service("$SYS.REQ.>") }];
    let (_server, mut wire) = asking(&realm, &a);
    assert!(answers(&mut wire, "$SYS.REQ.ACCOUNT.PING.CONNZ"));
}

#[test]
fn requests_about_oneself_are_answered_after_claims_change() {
    let realm = Realm::new();
    let (mut a, mut system) = (Tenant::new("A"), Tenant::new("SYS"));
    system.key = nkeys::KeyPair::from_seed(&realm.system.key.seed().expect("a seed")).expect("key");
    system.claims = realm.system.claims.clone();
    let server = realm.server(&[&a]);
    let mut wire = a.user().accepted(&server);
    wire.send("SUB inbox 1\r\n");
    wire.expect_nothing();
    let mut asks = || {
        wire.send("PUB $SYS.REQ.SERVER.PING.CONNZ inbox 0\r\n\r\n");
        let (_, body) = wire.message();
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        assert!(answer["data"].is_object(), "{answer}");
    };
    asks();
    let mut admin = realm.admin(&server);
    for tenant in [&mut a, &mut system] {
        let to = nats_server::jwt::account::WeightedMapping {
            subject: "foo.baz".to_owned(),
            weight: 100,
            ..Default::default()
        };
        tenant.claims.account.mappings.insert("foo.bar".to_owned(), vec![to]);
        admin.push(&realm, tenant);
        asks();
    }
}

#[test]
fn accounts_that_share_with_each_other_can_change_all_at_once() {
    const COUNT: usize = 6;
    let realm = Realm::new();
    for share in [Share::Stream, Share::Service] {
        let mut tenants: Vec<Tenant> = (0..COUNT).map(|n| Tenant::new(&format!("T{n}"))).collect();
        let server = realm.server(&tenants.iter().collect::<Vec<_>>());
        let mut wires: Vec<Wire> = tenants.iter().map(|t| t.user().accepted(&server)).collect();
        let mut admins: Vec<_> = (0..3).map(|_| realm.admin(&server)).collect();
        let ids: Vec<String> = tenants.iter().map(Tenant::id).collect();
        for round in 0..5 {
            for tenant in &mut tenants {
                let me = tenant.id();
                let subject = |id: &String| format!("{id}.{round}");
                let export = Export { subject: subject(&me), share, ..Export::default() };
                tenant.claims.account.exports.push(export);
                for other in ids.iter().filter(|id| **id != me) {
                    tenant.claims.account.imports.push(Import {
                        account: other.clone(),
                        subject: subject(other),
                        share,
                        ..Import::default()
                    });
                }
            }
            // All updates are under way before the first answer is read.
            for (n, tenant) in tenants.iter().enumerate() {
                let (id, token) = (tenant.id(), realm.token(tenant));
                let size = token.len();
                admins[n % 3].wire.send(format!(
                    "PUB $SYS.REQ.ACCOUNT.{id}.CLAIMS.UPDATE answers.1 {size}\r\n{token}\r\n"
                ));
            }
            // Each of them gets the answers to all.
            for admin in &mut admins {
                for _ in 0..COUNT {
                    let (_, body) = admin.wire.message();
                    assert!(String::from_utf8_lossy(&body).contains("\"jwt updated\""));
                }
            }
        }
        // Everybody has got what the last one shares.
        let (last, others) = wires.split_last_mut().expect("some");
        let id = ids.last().expect("some");
        if share == Share::Stream {
            for wire in &mut *others {
                wire.send(format!("SUB {id}.* 1\r\n"));
                wire.expect_nothing();
            }
            last.send(format!("PUB {id}.4 0\r\n\r\n"));
            last.expect_nothing();
            for wire in others {
                assert_eq!(wire.message().0, format!("MSG {id}.4 1 0"));
            }
        } else {
            last.send(format!("SUB {id}.* 1\r\n"));
            last.expect_nothing();
            for wire in others {
                wire.send(format!("PUB {id}.4 0\r\n\r\n"));
                wire.expect_nothing();
                assert!(last.message().0.contains(&format!("MSG {id}.4 1 ")));
            }
        }
    }
}

#[test]
fn imports_are_there_for_everybody_who_comes_at_once_after_a_start() {
    const COUNT: usize = 40;
    let realm = Realm::new();
    let mut main = Tenant::new("main");
    main.claims.account.exports = vec![stream("city.>")];
    let mut all: Vec<Tenant> = (0..COUNT).map(|n| Tenant::new(&format!("T{n}"))).collect();
    for (n, tenant) in all.iter_mut().enumerate() {
        let export = stream("internal.*");
        let from_main = Import {
            subject: format!("city.{n}-1.*"),
            ..import(&main, &main.claims.account.exports[0])
        };
        let from_here = Import { subject: format!("internal.{n}"), ..import(tenant, &export) };
        tenant.claims.account.exports = vec![export];
        tenant.claims.account.imports = vec![from_main];
        main.claims.account.imports.push(from_here);
    }
    let users: Vec<Credentials> = all.iter().map(Tenant::user).collect();
    let publisher = main.user();
    let mut tenants: Vec<&Tenant> = all.iter().collect();
    tenants.push(&main);
    // All of these claims are verified before the first of them is let in.
    let config = format!("authorization {{ timeout: 30 }}\n{}", realm.memory(&tenants));
    for _ in 0..2 {
        let server = Server::start(&config);
        let subscribe = |user: &Credentials| {
            let mut wire = user.accepted(&server);
            wire.send("SUB city.> 1\r\n");
            wire.expect_nothing();
            wire
        };
        let mut wires: Vec<Wire> = std::thread::scope(|scope| {
            let come: Vec<_> = users.iter().map(|u| scope.spawn(|| subscribe(u))).collect();
            come.into_iter().map(|wire| wire.join().expect("connects")).collect()
        });
        let mut publisher = publisher.accepted(&server);
        for n in 0..COUNT {
            publisher.send(format!("PUB city.{n}-1.x 0\r\n\r\n"));
        }
        publisher.expect_nothing();
        for (n, wire) in wires.iter_mut().enumerate() {
            assert_eq!(wire.message().0, format!("MSG city.{n}-1.x 1 0"));
            wire.expect_nothing();
        }
    }
}
