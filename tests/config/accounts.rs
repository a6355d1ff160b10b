//! Users, permissions, accounts and what accounts share.

use crate::support::{check_problems, load, problems};
use nats_server::config::options::account::{ResponseType, ServiceLatency};
use nats_server::config::options::auth::{ConnectionType, ResponsePermission};
use std::time::Duration;

const USER_KEY: &str = "UBRYMDSRTC6AVJL6USKKS3FIOE466GMEU67PZDGOWYSYHWA7GSKO42VW";
const OTHER_USER_KEY: &str = "UCNGL4W5QX66CFX6A6DCBVDH5VOHMI7B2UZZU7TXAUQQSI2JPHULCKBR";
const ACCOUNT_KEY: &str = "AB5UKNPVHDWBP5WODG742274I3OGY5FM3CBIFCYI4OFEH7Y23GNZPXFE";

#[test]
fn users_and_their_permissions_are_read() {
    let options = load(
        "authorization {
           P { publish: 'req.foo', subscribe: '_INBOX.>' }
           users = [
             {user: alice, password: foo, permissions: $P}
             {user: bob, password: bar, permissions: { pub: [a, b], sub: { allow: x, deny: [y, 'z q'] } }}
             {user: susan, password: baz}
           ]
           timeout: 0.5
         }",
    );
    let [alice, bob, susan] = options.users.as_slice() else { panic!() };
    let permissions = alice.permissions.as_ref().unwrap();
    let allow = |p: &Option<nats_server::config::options::auth::SubjectPermission>| {
        p.as_ref().and_then(|p| p.allow.clone()).unwrap_or_default()
    };
    assert_eq!(allow(&permissions.publish), ["req.foo"]);
    assert_eq!(allow(&permissions.subscribe), ["_INBOX.>"]);
    let permissions = bob.permissions.as_ref().unwrap();
    assert_eq!(allow(&permissions.publish), ["a", "b"]);
    assert_eq!(permissions.subscribe.as_ref().unwrap().deny, ["y", "z q"]);
    assert!(susan.permissions.is_none());
    assert!(bob.password.matches(b"bar") && susan.account.is_none());
    assert_eq!(options.auth_timeout, Duration::from_millis(500));
}

#[test]
fn default_permissions_apply_to_users_without_their_own() {
    let options = load(&format!(
        "authorization {{
           users = [ {{user: a}}, {{user: b, permissions: {{ publish: own }} }}, {{nkey: {USER_KEY}}} ]
           default_permissions = {{ publish: default }}
         }}"
    ));
    let publish = |p: &Option<std::sync::Arc<nats_server::config::options::auth::Permissions>>| {
        p.as_ref().unwrap().publish.as_ref().unwrap().allow.clone().unwrap()
    };
    assert_eq!(publish(&options.users[0].permissions), ["default"]);
    assert_eq!(publish(&options.users[1].permissions), ["own"]);
    assert_eq!(publish(&options.nkeys[0].permissions), ["default"]);
    let options = load(&format!(
        "accounts {{ A {{
           default_permissions = {{ publish: default }}
           users = [ {{user: a}}, {{user: b, permissions: {{ subscribe: own }} }}, {{nkey: {USER_KEY}}} ]
         }} }}"
    ));
    assert_eq!(publish(&options.users[0].permissions), ["default"]);
    assert_eq!(publish(&options.nkeys[0].permissions), ["default"]);
    let own = options.users[1].permissions.as_ref().unwrap();
    assert!(own.publish.is_none() && own.subscribe.is_some());
}

#[test]
fn response_permissions_turn_off_everything_else() {
    let responses = |value: &str| {
        let options = load(&format!(
            "authorization {{ users [ {{ user: a, permissions {{ {value} }} }} ] }}"
        ));
        options.users[0].permissions.as_deref().cloned().unwrap()
    };
    let permissions = responses("allow_responses: true");
    let default = ResponsePermission { max_messages: 1, expires: Some(Duration::from_secs(120)) };
    assert_eq!(permissions.responses, Some(default));
    assert_eq!(permissions.publish.unwrap().allow, Some(Vec::new()));
    assert_eq!(responses("allow_responses {}").responses, Some(default));
    let ten = ResponsePermission { max_messages: 10, ..default };
    assert_eq!(responses("allow_responses { max: 10 }").responses, Some(ten));
    let brief = ResponsePermission { expires: Some(Duration::from_secs(5)), ..default };
    assert_eq!(responses("allow_responses { ttl: '5s' }").responses, Some(brief));
    // An allow list stays, wherever it stands.
    for text in ["allow_responses: true, publish: x", "publish: x, allow_responses: true"] {
        assert_eq!(responses(text).publish.unwrap().allow, Some(vec!["x".to_owned()]));
    }
    let permissions = responses("publish_allow_responses { max: 5, ttl: '10s' }");
    let custom = ResponsePermission { max_messages: 5, expires: Some(Duration::from_secs(10)) };
    assert_eq!(permissions.responses, Some(custom));
    let permissions = responses("allow_responses { max_msgs: 0, expires: '0s' }");
    assert_eq!(permissions.responses, Some(default));
    let permissions = responses("allow_responses { max_responses: -1, expiration: '-1s' }");
    let unlimited = ResponsePermission { max_messages: -1, expires: None };
    assert_eq!(permissions.responses, Some(unlimited));
    assert_eq!(responses("allow_responses: false").responses, None);
    let user = |inner: &str| {
        problems(&format!(
            "authorization {{ users [ {{\nuser: a, permissions {{\n{inner} }} }} ] }}"
        ))
    };
    assert_eq!(
        user("allow_responses: 1"),
        [":3:1: error parsing response permissions, expected a boolean or a map"]
    );
    assert_eq!(
        user("allow_responses {\nttl: 5 }"),
        [":4:1: error parsing expires, not a duration string"]
    );
    assert_eq!(
        user("allow_responses {\nttl: x }"),
        [":4:1: error parsing expires: time: invalid duration \"x\""]
    );
    assert_eq!(
        user("allow_responses {\nfoo: x }"),
        [":4:1: Unknown field \"foo\" parsing permissions"]
    );
}

#[test]
fn permission_subjects_are_checked_where_they_stand() {
    let user = |inner: &str| {
        problems(&format!(
            "authorization {{ users [ {{\nuser: a, permissions {{\n{inner} }} }} ] }}"
        ))
    };
    assert_eq!(user("pub {\nallow: 'a..b' }"), [":4:1: subject \"a..b\" is not a valid subject"]);
    // Queues belong to subscriptions only.
    assert_eq!(user("pub {\nallow: 'a q' }"), [":4:1: subject \"a q\" is not a valid subject"]);
    assert_eq!(user("pub {\ndeny: 'a q' }"), [":4:1: subject \"a q\" is not a valid subject"]);
    assert!(user("sub { allow: ['a q', 'b.* q.>'], deny: 'c' }").is_empty());
    assert!(user("sub { deny: ['a q'] }").is_empty());
    assert_eq!(user("sub {\nallow: 'a q r' }"), [":4:1: subject \"a q r\" is not a valid subject"]);
    assert_eq!(user("sub {\nallow: 'a q..r' }"), [":4:1: queue \"q..r\" is not a valid queue"]);
    assert_eq!(
        user("sub {\nallow: [\n5 ] }"),
        [":5:1: Subject in permissions array cannot be cast to string"]
    );
    assert_eq!(
        user("sub {\nfoo: a }"),
        [
            ":4:1: Unknown field name \"foo\" parsing subject permissions, only 'allow' or 'deny' are permitted"
        ]
    );
    assert_eq!(
        user("sub {\nallow: 1 }"),
        [":4:1: Expected subject permissions to be a subject, or array of subjects, got int64"]
    );
    assert_eq!(user("foo: x"), [":3:1: Unknown field \"foo\" parsing permissions"]);
}

#[test]
fn nkey_users_are_checked() {
    let options = load(&format!(
        "authorization {{ users [ {{nkey: {USER_KEY}, permissions {{ publish: a }} }}, {{nkey: {OTHER_USER_KEY}}} ] }}"
    ));
    assert_eq!(options.nkeys.len(), 2);
    assert_eq!(options.nkeys[0].nkey, USER_KEY);
    assert!(options.nkeys[0].permissions.is_some() && options.users.is_empty());
    check_problems(&[
        ("authorization { users [ {\nnkey: UBAD } ] }", ":2:1: Not a valid public nkey for a user"),
        (
            &format!("authorization {{ users [ {{\nnkey: {USER_KEY}, pass: x }} ] }}"),
            ":2:65: Nkey users do not take usernames or passwords",
        ),
        (
            &format!("authorization {{ users [ {{nkey: {USER_KEY}}}, {{nkey: {USER_KEY}}} ] }}"),
            &format!(":1:0: Duplicate nkey \"{USER_KEY}\" detected"),
        ),
        ("authorization { users [ {\npass: x } ] }", ":2:1: User entry requires a user"),
        ("authorization {\nusers: 1 }", ":2:1: Expected users field to be an array, got 1"),
        ("authorization { users [\n1 ] }", ":2:1: Expected user entry to be a map/struct, got 1"),
    ]);
}

#[test]
fn connection_types_are_known_words_in_any_case() {
    let options = load(
        "authorization { users [ {user: a, allowed_connection_types: [standard, WebSocket]},
           {user: b, connection_types: MQTT}, {user: c} ] }",
    );
    let types = |i: usize| options.users[i].allowed_connection_types;
    assert!(
        types(0).allows(ConnectionType::Standard) && types(0).allows(ConnectionType::Websocket)
    );
    assert!(!types(0).allows(ConnectionType::Mqtt) && types(1).allows(ConnectionType::Mqtt));
    assert!(types(2).is_empty() && types(2).allows(ConnectionType::InProcess));
    check_problems(&[(
        "authorization { users [ {user: a,\nclients: [STANDARD, foo]} ] }",
        ":2:1: invalid connection types [\"FOO\"]",
    )]);
}

#[test]
fn single_credentials_do_not_mix() {
    check_problems(&[
        ("authorization { user: u, token: t }", ":1:0: Cannot have a user/pass and token"),
        ("authorization { pass: p, token: t }", ":1:0: Cannot have a user/pass and token"),
        (
            "authorization { user: u, users: [] }",
            ":1:0: Can not have a single user/pass and a users array",
        ),
        ("authorization { token: t, users: [] }", ":1:0: Can not have a token and a users array"),
        ("authorization { users: [{user: a}, {user: a}] }", ":1:0: Duplicate user \"a\" detected"),
        (
            "authorization { user: u }\naccounts { A { users: [{user: a}] } }",
            ":2:16: Can not have a single user/pass and accounts",
        ),
        (
            "accounts { A { users: [{user: a}] } }\nauthorization { token: t }",
            ":1:15: Can not have a token and accounts",
        ),
        (
            "authorization { users: [{user: a}] }\naccounts { A { users: [{user: a}] } }",
            ":2:16: Duplicate user \"a\" detected",
        ),
        (
            "accounts { A { users: [{user: a}] }\nB { users: [{user: a}] } }",
            ":2:5: Duplicate user \"a\" detected",
        ),
    ]);
    let nkeys = format!(
        "authorization {{ users: [{{nkey: {USER_KEY}}}] }}\n\
         accounts {{ A {{ users: [{{nkey: {USER_KEY}}}] }} }}"
    );
    assert_eq!(problems(&nkeys), [format!(":2:16: Duplicate nkey \"{USER_KEY}\" detected")]);
    load("authorization { user: u }\naccounts { A {} }");
    load("authorization { users: [{user: a}] }\naccounts { A { users: [{user: b}] } }");
}

#[test]
fn long_authorization_timeouts_get_a_warning() {
    check_problems(&[
        (
            "authorization { timeout: 61 }",
            ":1:16: invalid use of field \"timeout\": timeout of 61 (61.000000 seconds) is high, consider \
             keeping it under 60 seconds. possibly caused by unquoted duration; use '1m' instead of 1m, \
             for example",
        ),
        (
            "leafnodes { authorization {\ntimeout: 1m } }",
            ":2:1: invalid use of field \"timeout\": timeout of 1000000 (1000000.000000 seconds) is high, \
             consider keeping it under 60 seconds. possibly caused by unquoted duration; use '1m' instead \
             of 1m, for example",
        ),
        (
            "authorization { timeout: 'x' }",
            ":1:16: error parsing authorization config, 'timeout' time: invalid duration \"x\"",
        ),
        (
            "authorization { timeout: true }",
            ":1:16: error parsing authorization config, 'timeout' wrong type",
        ),
        (
            "leafnodes { authorization {\ntimeout: [] } }",
            ":2:1: error parsing leafnode authorization config, 'timeout' wrong type",
        ),
    ]);
    let timeout = |value: &str| load(&format!("authorization {{ timeout: {value} }}")).auth_timeout;
    assert_eq!(timeout("'1m'"), Duration::from_secs(60));
    assert_eq!(timeout("0.091"), Duration::from_millis(91));
    assert_eq!(timeout("5"), Duration::from_secs(5));
    let options = load("leafnodes { authorization { timeout: '500ms' } }");
    assert_eq!(options.leafnode.auth_timeout, Duration::from_millis(500));
    assert_eq!(timeout("10s"), Duration::from_secs(10));
    let leafnode = |value: &str| {
        load(&format!("leafnodes {{ authorization {{ timeout: {value} }} }}")).leafnode.auth_timeout
    };
    assert_eq!((leafnode("0"), leafnode("1")), (Duration::ZERO, Duration::from_secs(1)));
    assert_eq!(
        (leafnode("10s"), leafnode("'1m'")),
        (Duration::from_secs(10), Duration::from_secs(60))
    );
    assert_eq!(leafnode("0.091"), Duration::from_millis(91));
    // Long ones are taken all the same.
    let mut options = nats_server::config::Options::default();
    let text = "authorization { timeout: '10m5s' }\nleafnodes { authorization { timeout: 1m } }";
    options.load_text(&crate::support::Machine::new(), text).unwrap();
    assert_eq!(options.auth_timeout, Duration::from_secs(605));
    assert_eq!(options.leafnode.auth_timeout, Duration::from_secs(1_000_000));
}

#[test]
fn authorization_callout_needs_issuer_and_users() {
    let callout = |inner: &str| format!("authorization {{ auth_callout {{ {inner} }} }}");
    let options = load(&callout(&format!("issuer: {ACCOUNT_KEY}, auth_users: [a]")));
    let callout_options = options.auth_callout.unwrap();
    assert_eq!(
        (callout_options.issuer.as_str(), callout_options.account.as_str()),
        (ACCOUNT_KEY, "$G")
    );
    check_problems(&[
        (
            &callout("issuer: X"),
            ":1:31: Expected callout user to be a valid public account nkey, got \"X\"",
        ),
        (&callout("users: [a]"), ":1:31: Authorization callouts require an issuer to be specified"),
        (
            &callout(&format!("issuer: {ACCOUNT_KEY}")),
            ":1:31: Authorization callouts require authorized users to be specified",
        ),
        (&callout("xkey: X"), ":1:31: Expected callout xkey to be a valid public xkey, got \"X\""),
        (&callout("users: a"), ":1:31: Expected auth_users field to be an array, got *conf.token"),
        (
            &callout("allowed_accounts: a"),
            ":1:31: Expected allowed accounts field to be an array, got *conf.token",
        ),
        (
            &callout(&format!("issuer: {ACCOUNT_KEY}, users: [a], allowed_accounts: [X]")),
            "auth_callout allowed account \"X\" not found in configured accounts",
        ),
    ]);
}

#[test]
fn accounts_are_names_or_maps() {
    let options = load("accounts = [synadia, nats.io, cncf]");
    let names: Vec<&str> = options.accounts.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["synadia", "nats.io", "cncf"]);
    check_problems(&[
        ("accounts = [a, \"$G\"]", ":1:16: \"$G\" is a Reserved Account"),
        ("accounts = [a, a]", ":1:15: Duplicate Account Entry: a"),
        ("accounts { A: 1 }", ":1:11: Expected map entries for accounts"),
        ("accounts { '$G' {} }", ":1:12: \"$G\" is a Reserved Account"),
        ("accounts { A { nkey: x } }", ":1:15: Not a valid public nkey for an account: \"x\""),
    ]);
}

#[test]
fn users_of_accounts_belong_to_them() {
    let options = load(&format!(
        "accounts {{
           A {{ nkey: {ACCOUNT_KEY}, users = [ {{user: alice, password: foo}}, {{nkey: {USER_KEY}}} ] }}
           B {{ users = [ {{user: bob, password: bar}} ] }}
         }}"
    ));
    assert_eq!(options.accounts[0].nkey, ACCOUNT_KEY);
    assert_eq!(options.users[0].account.as_deref(), Some("A"));
    assert_eq!(options.users[1].account.as_deref(), Some("B"));
    assert_eq!(options.nkeys[0].account.as_deref(), Some("A"));
}

#[test]
fn users_of_authorization_and_of_accounts_are_all_kept() {
    let authorization = format!("authorization {{ users: [ {{user: a}}, {{nkey: {USER_KEY}}} ] }}");
    let accounts =
        format!("accounts {{ A {{ users: [ {{user: b}}, {{nkey: {OTHER_USER_KEY}}} ] }} }}");
    for text in [format!("{authorization}\n{accounts}\n"), format!("{accounts}\n{authorization}\n")]
    {
        let options = load(&text);
        assert_eq!((options.users.len(), options.nkeys.len()), (2, 2), "{text}");
    }
}

#[test]
fn proxies_may_be_required_of_all_or_of_single_users() {
    let options = load("authorization { user: u, password: p, proxy_required: true }");
    assert!(options.proxy_required && options.username == "u");
    assert!(options.password.matches(b"p"));
    let users = format!(
        "users: [ {{user: a}}, {{user: b, proxy_required: true}}, {{user: c, proxy_required: false}},
           {{nkey: {USER_KEY}, proxy_required: true}}, {{nkey: {OTHER_USER_KEY}, proxy_required: false}} ]"
    );
    for text in [format!("authorization {{ {users} }}"), format!("accounts {{ A {{ {users} }} }}")]
    {
        let options = load(&text);
        let required: Vec<bool> = options.users.iter().map(|user| user.proxy_required).collect();
        assert_eq!(required, [false, true, false], "{text}");
        let required: Vec<bool> = options.nkeys.iter().map(|user| user.proxy_required).collect();
        assert_eq!(required, [true, false], "{text}");
    }
    let leafnode = |authorization: &str| {
        load(&format!("leafnodes {{ authorization {{ {authorization} }} }}")).leafnode
    };
    assert!(leafnode("user: u, password: p, proxy_required: true").proxy_required);
    let nkey = leafnode(&format!("nkey: {USER_KEY}, proxy_required: true"));
    assert!(nkey.proxy_required && nkey.nkey == USER_KEY);
    let users = leafnode("users: [ {user: a}, {user: b, proxy_required: true} ]").users;
    assert!(!users[0].proxy_required && users[1].proxy_required);
}

#[test]
fn limits_and_jetstream_of_accounts_default_to_none() {
    let options = load(
        "accounts {
           A { limits { max_conn: 1, max_subs: 2, max_pay: 3, max_leafs: 4 }, jetstream: enabled }
           B { jetstream { mem: 5, disk: 6, streams: 7, consumers: 8, max_bytes_required: true,
                           cluster_traffic: owner } }
           C { jetstream: false }
         }",
    );
    let [a, b, c] = options.accounts.as_slice() else { panic!() };
    assert_eq!((a.limits.max_connections, a.limits.max_leafnodes), (1, 4));
    assert_eq!((a.limits.max_subscriptions, a.limits.max_payload), (2, 3));
    assert_eq!(b.limits.max_payload, -1);
    assert_eq!(a.jetstream.unwrap().max_memory, -1);
    let limits = b.jetstream.unwrap();
    assert_eq!((limits.max_memory, limits.max_store, limits.max_streams), (5, 6, 7));
    assert!(limits.max_bytes_required && b.owns_cluster_traffic && !a.owns_cluster_traffic);
    assert!(c.jetstream.is_none());
}

#[test]
fn service_exports_are_read_in_any_order() {
    let options = load(
        "accounts { A { exports [
           { service: s.a, response: stream, threshold: '2s', accounts: [B], allow_trace: true }
           { latency: { sampling: '50%', subject: lat }, service: s.b }
           { service: s.c, latency: lat2 }
           { service: s.d, latency: { sampling: headers, subject: lat3 } }
           { stream: 'st.*', account_token_position: 2 }
         ] }, B {} }",
    );
    let account = &options.accounts[0];
    let [a, b, c, d] = account.service_exports.as_slice() else { panic!() };
    assert_eq!(a.response_type, ResponseType::Streamed);
    assert_eq!(a.response_threshold, Some(Duration::from_secs(2)));
    assert_eq!((a.accounts.as_deref(), a.allow_trace), (Some(&["B".to_owned()][..]), true));
    let latency =
        |sampling, subject: &str| Some(ServiceLatency { sampling, subject: subject.to_owned() });
    assert_eq!(b.latency, latency(50, "lat"));
    assert_eq!(c.latency, latency(100, "lat2"));
    assert_eq!(d.latency, latency(0, "lat3"));
    let options = load(
        "accounts { A { exports [ { service: s, latency: { sampling: 87, subject: l } } ] } }",
    );
    assert_eq!(options.accounts[0].service_exports[0].latency, latency(87, "l"));
    assert_eq!(account.stream_exports[0].account_token_position, 2);
}

#[test]
fn malformed_exports_are_refused() {
    let export =
        |inner: &str| problems(&format!("accounts {{ A {{ exports [ {{\n{inner} }} ] }} }}"));
    for (inner, error) in [
        ("stream: a\nresponse: single", ":3:1: Detected response directive on non-service"),
        ("response: single\nstream: a", ":2:1: Detected response directive on non-service"),
        ("stream: a\nlatency: l", ":3:1: Detected latency directive on non-service"),
        ("stream: a\nallow_trace: true", ":3:1: Detected allow_trace directive on non-service"),
        ("stream: a\nservice: b", ":3:1: Detected service \"b\" but already saw a stream"),
        ("service: a\nstream: b", ":3:1: Detected stream \"b\" but already saw a service"),
        ("service: a\nresponse: x", ":3:1: Unknown response type: \"x\""),
        ("service: 1", ":2:1: Expected service name to be string, got int64"),
        (
            "service: a\nthreshold: x",
            ":3:1: Expected response threshold to be a parseable time duration, got \"x\"",
        ),
        (
            "service: a\nlatency {\nsampling: 0, subject: l }",
            ":4:1: bad sampling percentage, should be 1-100",
        ),
        (
            "service: a\nlatency {\nsampling: '101%', subject: l }",
            ":4:1: bad sampling percentage, should be 1-100",
        ),
        (
            "service: a\nlatency {\nsampling: 'foo', subject: l }",
            ":4:1: Failed to parse latency sample: strconv.Atoi: parsing \"foo\": invalid syntax",
        ),
        (
            "service: a\nlatency {\nsampling: true, subject: l }",
            ":4:1: Expected latency sample to be a string or map/struct, got bool",
        ),
        ("service: a\nlatency { sampling: 5 }", ":3:1: Latency subject required, but missing"),
        (
            "service: a\nlatency: 5",
            ":3:1: Expected latency entry to be a map/struct or string, got int64",
        ),
        ("foo: a", ":2:1: unknown field \"foo\""),
    ] {
        assert_eq!(export(inner), [error], "{inner}");
    }
}

#[test]
fn malformed_imports_are_refused() {
    let import =
        |inner: &str| problems(&format!("accounts {{ A {{ imports [ {{\n{inner} }} ] }} }}"));
    for (inner, error) in [
        ("stream: a", ":2:1: Stream entry should be an account map, got string"),
        ("service { account: B }", ":2:1: Expect an account name and a subject"),
        (
            "stream { account: B, subject: x }\nservice { account: B, subject: x }",
            ":3:1: Detected service but already saw a stream",
        ),
        (
            "stream { account: B, subject: x }\nprefix: p\nto: t",
            ":4:1: Stream import can not have a 'prefix' and a 'to' property",
        ),
        (
            "service { account: B, subject: x }\nallow_trace: true",
            ":3:1: Detected allow_trace directive on a non-stream",
        ),
    ] {
        assert_eq!(import(inner), [error], "{inner}");
    }
    assert_eq!(
        problems(
            "accounts { A { imports [\n{ service { account: B, subject: x }, to: l }\n\
             { service { account: B, subject: y }, to: l } ] }, B {} }"
        ),
        [
            ":3:46: Duplicate service import subject \"l\", previously used in import for account \"B\", subject \"x\""
        ]
    );
}

#[test]
fn the_search_for_cycles_gives_up_at_a_depth() {
    for (kind, export) in [("service", "*"), ("stream", "foo")] {
        let account = |n: usize| {
            let imports = match n {
                1 => String::new(),
                _ => format!("imports [ {{{kind} {{account: A{}, subject: foo}}}} ], ", n - 1),
            };
            format!("A{n} {{ {imports}exports [ {{{kind}: '{export}'}} ] }}\n")
        };
        let chain = |accounts: usize| {
            let accounts: String = (1..=accounts).map(account).collect();
            problems(&format!("accounts {{\n{accounts}}}"))
        };
        assert!(chain(1024).is_empty());
        let error =
            format!(":1:0: Error adding {kind} import \"foo\": search cycle depth exhausted");
        assert_eq!(chain(1025), [error]);
    }
}

#[test]
fn imports_must_be_exported_authorized_and_free_of_cycles() {
    let accounts =
        |a: &str, b: &str| problems(&format!("accounts {{\nA {{ {a} }}\nB {{ {b} }}\nC {{}}\n}}"));
    let ok: [(&str, &str); 5] = [
        ("exports [ {stream: 's.>'} ]", "imports [ {stream {account: A, subject: 's.x'}} ]"),
        (
            "exports [ {service: 's.*', accounts: [B]} ]",
            "imports [ {service {account: A, subject: 's.x'}, to: l} ]",
        ),
        (
            "exports [ {service: 's.*'} ]",
            "imports [ {service {account: A, subject: 's.*'}, to: 'l.*'} ]",
        ),
        (
            "exports [ {stream: 's.*.y', account_token_position: 2} ]",
            "imports [ {stream {account: A, subject: 's.B.y'}} ]",
        ),
        ("exports [ {stream: s} ]", "imports [ {stream {account: A, subject: s}, prefix: p} ]"),
    ];
    for (a, b) in ok {
        assert!(accounts(a, b).is_empty(), "{a} {b}: {:?}", accounts(a, b));
    }
    for (a, b, error) in [
        (
            "",
            "imports [ {stream {account: A, subject: s}} ]",
            ":1:0: Error adding stream import \"s\": stream import not authorized",
        ),
        (
            "",
            "imports [ {service {account: A, subject: s}} ]",
            ":1:0: Error adding service import \"s\": service import not authorized",
        ),
        (
            "exports [ {service: s, accounts: [C]} ]",
            "imports [ {service {account: A, subject: s}} ]",
            ":1:0: Error adding service import \"s\": service import not authorized",
        ),
        (
            "exports [ {stream: s, accounts: [X]} ]",
            "",
            ":1:0: \"X\" account not defined for stream export",
        ),
        (
            "",
            "imports [ {stream {account: X, subject: s}} ]",
            ":1:0: \"X\" account not defined for stream import",
        ),
        (
            "",
            "imports [ {service {account: X, subject: s}} ]",
            ":1:0: \"X\" account not defined for service import",
        ),
        (
            "exports [ {stream: s.x, account_token_position: 2} ]",
            "",
            ":1:0: Error adding stream export \"s.x\": sublist: invalid subject",
        ),
        (
            "exports [ {stream: s} ]",
            "imports [ {stream {account: A, subject: s}, prefix: 'p.*'} ]",
            ":1:0: Error adding stream import \"s\": stream import prefix can not contain wildcard tokens",
        ),
        (
            "exports [ {service: s, latency: 'l.*'} ]",
            "",
            ":1:0: Error adding service latency sampling for \"s\" on subject \"l.*\": invalid publish subject",
        ),
        (
            "exports [ {service: s, response: stream, latency: l} ]",
            "",
            ":1:0: Error adding service latency sampling for \"s\" on subject \"l\": bad service response type",
        ),
        (
            "exports [ {service: s} ], imports [ {service {account: B, subject: t}, to: s} ]",
            "exports [ {service: t} ], imports [ {service {account: A, subject: s}, to: t} ]",
            ":1:0: Error adding service import \"s\": import forms a cycle",
        ),
        (
            "exports [ {stream: s} ], imports [ {stream {account: B, subject: t}, to: s} ]",
            "exports [ {stream: t} ], imports [ {stream {account: A, subject: s}, to: t} ]",
            ":1:0: Error adding stream import \"s\": import forms a cycle",
        ),
    ] {
        assert_eq!(accounts(a, b), [error], "{a} {b}");
    }
    // Nothing is connected while anything else is wrong.
    assert_eq!(
        problems("accounts { A { imports [ {stream {account: X, subject: s}} ] } }\nfoo: 1"),
        [":2:1: unknown field \"foo\""]
    );
}

#[test]
fn mappings_are_weighted() {
    let options = load(
        "mappings { foo: bar, 'a.*': [ {dest: 'b.$1', weight: '50%'}, {destination: 'c.$1', weight: 50, cluster: X} ]
                    one: {dest: d, weight: 10} }",
    );
    assert_eq!(options.accounts[0].name, "$G");
    let [foo, a, one] = options.accounts[0].mappings.as_slice() else { panic!() };
    assert_eq!((foo.destinations[0].subject.as_str(), foo.destinations[0].weight), ("bar", 100));
    assert_eq!((a.destinations[1].cluster.as_str(), a.destinations[0].weight), ("X", 50));
    assert_eq!(one.destinations[0].weight, 10);
    let mapping = |value: &str| problems(&format!("mappings {{\nfoo: {value} }}"));
    for (value, error) in [
        (
            "'b..c'",
            ":2:1: Error adding mapping for \"foo\" to \"b..c\" : invalid mapping destination: invalid transform",
        ),
        ("{dest: b}", ":2:7: Missing weight for mapping destination \"b\""),
        ("{dest: b, weight: 101}", ":2:16: Invalid weight 101 for mapping destination"),
        ("{dest: b, weight: x}", ":2:16: Invalid weight \"x\" for mapping destination"),
        ("{dest: b, weight: 1, foo: 2}", ":2:27: Unknown field \"foo\" for mapping destination"),
        ("1", ":2:1: Expected an entry for the mapping destination"),
        (
            "[{dest: b, weight: 60}, {dest: c, weight: 60}]",
            ":2:1: Error adding mapping for \"foo\" : total weight needs to be <= 100",
        ),
        (
            "[{dest: b, weight: 10}, {dest: b, weight: 60}]",
            ":2:1: Error adding mapping for \"foo\" : duplicate entry for \"b\"",
        ),
    ] {
        let expected: Vec<&str> = vec![error];
        let got = mapping(value);
        assert_eq!(
            got.first().map(|s| s.split_once(": ").unwrap().1),
            expected.first().map(|s| s.split_once(": ").unwrap().1),
            "{value}"
        );
    }
    assert_eq!(problems("mappings { 'a b': c }"), [":1:0: Subject \"a b\" is not a valid subject"]);
}

#[test]
fn message_traces_have_destination_and_sampling() {
    let options = load(
        "accounts { A { msg_trace: 'dest' }, B { trace_dest { dest: d, sampling: '20%' } }, C {} }",
    );
    let traces: Vec<(&str, u8)> =
        options.accounts.iter().map(|a| (a.trace_destination.as_str(), a.trace_sampling)).collect();
    assert_eq!(traces, [("dest", 100), ("d", 20), ("", 0)]);
    let trace = |value: &str| problems(&format!("accounts {{ A {{\nmsg_trace: {value} }} }}"));
    for (value, error) in [
        ("'a.*'", ":2:1: Trace destination \"a.*\" is not valid"),
        (
            "{\ndest: d, sampling: 101 }",
            ":3:10: Ttrace destination sampling value 101 is invalid, needs to be [1..100]",
        ),
        ("{\ndest: d, sampling: 'x%' }", ":3:10: Invalid trace destination sampling value \"x%\""),
        (
            "{\nsampling: 50 }",
            ":2:1: Trace destination sampling ignored since no destination was set",
        ),
        (
            "5",
            ":2:1: Expected account message trace \"msg_trace\" to be a string or a map/struct, got int64",
        ),
        (
            "{\nfoo: d }",
            ":3:1: Unknown field \"foo\" parsing account message trace map/struct \"msg_trace\"",
        ),
    ] {
        assert_eq!(trace(value), [error], "{value}");
    }
}

#[test]
fn accounts_with_everything_they_share_are_read() {
    let other = "ADMHMDX2LEUJRZQHGVSVRWZEJ2CPNHYO6TB4ZCZ37LXAX5SYNEW252GF";
    let options = load(&format!(
        "accounts {{
           maker {{
             nkey: {other}
             users = [ {{nkey: {OTHER_USER_KEY}}} ]
             exports = [
               {{stream: 'public.>'}}
               {{stream: 'private.>', accounts: [third, taker.io]}}
               {{service: 'pub.request'}}
               {{service: 'special.request', accounts: [taker.io]}}
             ]
             imports = [ {{service: {{account: 'taker.io', subject: time}}}} ]
           }}
           taker.io {{
             nkey: {ACCOUNT_KEY}
             users = [ {{nkey: {USER_KEY}}} ]
             imports = [
               {{stream: {{account: maker, subject: 'public.x'}}, prefix: 'from.maker', allow_trace: true}}
               {{stream: {{account: maker, subject: 'private.*'}}}}
               {{service: {{account: maker, subject: 'special.request'}}, to: 'maker.request'}}
             ]
             exports = [
               {{service: time, response: stream, allow_trace: true}}
               {{service: photo, response: chunked}}
               {{service: add, response: singleton, accounts: [third], allow_trace: true}}
               {{service: sub}}
             ]
           }}
           third {{}}
         }}"
    ));
    assert!(options.users.is_empty());
    let owners: Vec<_> = options.nkeys.iter().map(|u| (&*u.nkey, u.account.as_deref())).collect();
    assert_eq!(owners, [(OTHER_USER_KEY, Some("maker")), (USER_KEY, Some("taker.io"))]);
    let account = |name: &str| options.accounts.iter().find(|a| a.name == name).unwrap();
    assert_eq!(options.accounts.len(), 3);
    let (maker, taker) = (account("maker"), account("taker.io"));
    assert_eq!((&*maker.nkey, &*taker.nkey), (other, ACCOUNT_KEY));
    assert_eq!((maker.stream_exports.len(), maker.service_exports.len()), (2, 2));
    assert_eq!((maker.stream_imports.len(), maker.service_imports.len()), (0, 1));
    assert_eq!((taker.stream_exports.len(), taker.service_exports.len()), (0, 4));
    let exports: Vec<_> = taker
        .service_exports
        .iter()
        .map(|e| (&*e.subject, e.response_type, e.allow_trace))
        .collect();
    assert_eq!(
        exports,
        [
            ("time", ResponseType::Streamed, true),
            ("photo", ResponseType::Chunked, false),
            ("add", ResponseType::Singleton, true),
            ("sub", ResponseType::Singleton, false),
        ]
    );
    let streams: Vec<_> =
        taker.stream_imports.iter().map(|i| (&*i.subject, &*i.prefix, i.allow_trace)).collect();
    assert_eq!(streams, [("public.x", "from.maker", true), ("private.*", "", false)]);
    let service = &taker.service_imports[0];
    assert_eq!((&*service.subject, &*service.to), ("special.request", "maker.request"));
    assert_eq!(taker.service_imports.len(), 1);
}
