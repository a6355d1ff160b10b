//! Options checked against each other.

use crate::support::{Machine, check_invalid, validated};
use data_encoding::BASE64URL_NOPAD;
use nats_server::config::Options;
use nats_server::config::claims::UnverifiedClaims;
use nats_server::config::options::compression::CompressionMode;
use nats_server::config::options::operator::{AccountResolver, Operator, OperatorClaims};
use nats_server::config::options::proxies::ProxiesOptions;
use nats_server::config::validate::{
    add_internal_user, check_system_account, name_leafnode_cluster, needs_internal_user, validate,
};

#[test]
fn limits_and_names_are_checked() {
    check_invalid(&[
        (
            "lame_duck_duration: '30s'\nlame_duck_grace_period: '40s'",
            "lame duck grace period (40s) should be strictly lower than lame duck duration (30s)",
        ),
        ("max_pending: 10", "max_payload (1048576) cannot be higher than max_pending (10)"),
        ("default_sentinel: x", "default sentinel requires operators and accounts"),
    ]);
}

#[test]
fn no_auth_user_must_exist() {
    check_invalid(&[
        ("no_auth_user: u", "no_auth_user: \"u\" present, but users/nkeys are not defined"),
        (
            "no_auth_user: u\nauthorization { users [ {user: a} ] }",
            "no_auth_user: \"u\" not present as user or nkey in authorization block or account configuration",
        ),
    ]);
    assert!(validated("no_auth_user: a\nauthorization { users [ {user: a} ] }").is_ok());
    assert!(validated("no_auth_user: a\naccounts { A { users [ {user: a} ] } }").is_ok());
}

#[test]
fn gateways_and_clusters_share_a_name() {
    check_invalid(&[
        ("gateway { port: 1 }", "gateway has no name"),
        ("gateway { name: G }", "gateway \"G\" has no port specified (select -1 for random port)"),
        (
            "gateway { name: G, port: 1, gateways [ {url: 'nats://h'} ] }",
            "gateway in the list 0 has no name",
        ),
        ("gateway { name: G, port: 1, gateways [ {name: X} ] }", "gateway \"X\" has no URL"),
        (
            "cluster { name: A, port: 1 }\ngateway { name: B, port: 2 }",
            "cluster name conflicts between cluster and gateway definitions",
        ),
        (
            "cluster { port: 1, pool_size: -1, accounts: [A] }",
            "pool_size cannot be negative if pinned accounts are specified",
        ),
        (
            "cluster { port: 1, accounts: [A, A] }",
            "found duplicate account name \"A\" in pinned accounts list [\"A\" \"A\" \"$SYS\"]",
        ),
    ]);
    let options = validated("cluster { port: 1 }\ngateway { name: B, port: 2 }").unwrap();
    assert_eq!(options.cluster.name, "B");
    assert_eq!(options.cluster.pinned_accounts, ["$SYS"]);
}

#[test]
fn compression_modes_are_normalized() {
    let mode = |text: &str| {
        validated(&format!("cluster {{ port: 1, compression: {text} }}"))
            .map(|o| o.cluster.compression)
    };
    for (text, expected) in [
        ("on", CompressionMode::S2Fast),
        ("Enabled", CompressionMode::S2Fast),
        ("disabled", CompressionMode::Off),
        ("not_supported", CompressionMode::NotSupported),
        ("accept", CompressionMode::Accept),
        ("BETTER", CompressionMode::S2Better),
        ("s2_best", CompressionMode::S2Best),
        ("auto", CompressionMode::S2Auto),
        ("''", CompressionMode::Accept),
    ] {
        assert_eq!(mode(text).unwrap().mode, expected, "{text}");
    }
    let thresholds = |list: &str| {
        mode(&format!("{{ mode: auto, rtt_thresholds: {list} }}"))
            .map(|c| c.rtt_thresholds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(mode("auto").unwrap().rtt_thresholds.len(), 3);
    // Equal once they are complete, however they were written.
    let auto = |list: &str| mode(&format!("{{ mode: s2_auto, rtt_thresholds: {list} }}"));
    assert_eq!(mode("auto"), auto("['10ms', '50ms', '100ms']"));
    assert_eq!(auto("['5ms', '10ms']"), auto("['5ms', '10ms']"));
    assert_ne!(auto("['5ms', '10ms']"), auto("['15ms', '30ms']"));
    assert_ne!(mode("auto"), auto("['15ms', '30ms']"));
    assert_ne!(mode("s2_fast"), mode("s2_best"));
    for (list, result) in [
        ("['5ms', '10ms', '0s', '0s']", Ok("5ms 10ms")),
        ("['0s', '10ms', '20ms']", Ok("0s 10ms 20ms")),
        ("['-1s', '10ms']", Ok("0s 10ms")),
        ("['10ms', '5ms']", Err("RTT threshold values [10ms 5ms] should be in ascending order")),
        ("['0s']", Err("compression mode \"auto\" requires at least one RTT threshold")),
        (
            "['1ms', '2ms', '3ms', '4ms', '5ms']",
            Err(
                "compression mode \"auto\" should have no more than 4 RTT thresholds: [1ms 2ms 3ms 4ms 5ms]",
            ),
        ),
    ] {
        let result = result.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(thresholds(list), result, "{list}");
    }
    check_invalid(&[
        ("cluster { port: 1, compression: x }", "unsupported compression mode \"x\""),
        ("leafnodes { port: 1, compression: x }", "unsupported compression mode \"x\""),
    ]);
}

#[test]
fn leafnodes_refer_to_accounts_that_exist() {
    check_invalid(&[
        (
            "leafnodes { remotes [ {url: 'nats://h', account: X} ] }",
            "cannot find local account \"X\" specified in leafnode remote",
        ),
        (
            "leafnodes { port: 1, authorization { account: X } }",
            "cannot find local account \"X\" specified in leafnode authorization",
        ),
        (
            "leafnodes { port: 1, authorization { users [ {user: a, account: X} ] } }",
            "cannot find local account \"X\" specified in leafnode authorization",
        ),
        (
            "leafnodes { remotes [ {urls: ['ws://h:1', 'nats://h:2']} ] }",
            "remote leaf node configuration cannot have a mix of websocket and non-websocket urls: \
             [\"ws://h:1\" \"nats://h:2\"]",
        ),
        (
            "leafnodes { port: 1 }\ngateway { name: G, port: 2 }",
            "leaf nodes and gateways (both being defined) require a system account to also be configured",
        ),
    ]);
    let options = validated(
        "leafnodes { remotes [ {url: 'nats://h'}, {url: 'nats://h', account: '$SYS'} ] }",
    );
    let remote = &options.unwrap().leafnode.remotes[0];
    assert_eq!((remote.urls[0].host.as_str(), remote.local_account.as_str()), ("h:7422", "$G"));
}

#[test]
fn websocket_and_mqtt_requirements_are_checked_with_a_port_only() {
    check_invalid(&[
        ("websocket { port: 1 }", "websocket requires TLS configuration"),
        (
            "websocket { port: 1, no_tls: true, origins: [h] }",
            "unable to parse allowed origin: parse \"h\": invalid URI for request",
        ),
        (
            "websocket { port: 1, no_tls: true, origins: ['ftp://h'] }",
            "unable to parse allowed origin \"ftp://h\": allowed origins must be absolute URLs with http or https scheme",
        ),
        (
            "websocket { port: 1, no_tls: true, origins: ['http://'] }",
            "unable to parse allowed origin \"http://\": host is required",
        ),
        (
            "websocket { port: 1, no_tls: true, jwt_cookie: c }",
            "trusted operators or trusted keys configuration is required for JWT authentication via cookie \"c\"",
        ),
        (
            "websocket { port: 1, no_tls: true, headers { Upgrade: x } }",
            "websocket: invalid header \"Upgrade\" not allowed",
        ),
        (
            "websocket { port: 1, no_tls: true, headers { Sec-WebSocket-X: x } }",
            "websocket: invalid header \"Sec-WebSocket-X\", \"Sec-WebSocket-\" prefix not allowed",
        ),
        ("mqtt { port: 1 }", "mqtt requires JetStream to be enabled if running in standalone mode"),
        ("mqtt { port: 1 }\ncluster { port: 2 }", "mqtt requires server name to be explicitly set"),
        ("mqtt { port: 1, ack_wait: '-1s' }\njetstream: true", "ack wait must be a positive value"),
        (
            "mqtt { port: 1, authorization { token: t } }\nauthorization { users [ {user: a} ] }",
            "mqtt authentication token not compatible with presence of users/nkeys",
        ),
    ]);
    assert!(validated("websocket { origins: [h] }\nmqtt { ack_wait: '-1s' }").is_ok());
}

#[test]
fn jetstream_requirements_are_checked() {
    check_invalid(&[
        (
            "jetstream: true\ncluster { port: 1 }",
            "jetstream cluster requires `server_name` to be set",
        ),
        (
            "jetstream: true\nserver_name: s\ncluster { port: 1 }",
            "jetstream cluster requires `cluster.name` to be set",
        ),
        (
            "jetstream { domain: 'a b' }",
            "invalid domain name: derived \"$JS.a b.API.>\" is not a valid subject",
        ),
        ("jetstream { domain: 'a.b' }", "invalid domain name: may not contain ., * or >"),
        (
            "jetstream { extension_hint: x }\nserver_name: s\ncluster { port: 1, name: c }",
            "expected 'no_extend' for string value, got 'x'",
        ),
        (
            "default_js_domain { A: d }",
            "in non operator mode, `default_js_domain` references non existing account \"A\"",
        ),
        (
            "default_js_domain { A: d }\naccounts { A { jetstream: true } }",
            "default_js_domain contains account name \"A\" with enabled JetStream",
        ),
        (
            "default_js_domain { S: d }\naccounts { S {} }\nsystem_account: S",
            "system account \"S\" can not be in default_js_domain",
        ),
    ]);
}

#[test]
fn system_account_must_exist() {
    let check = |text: &str| check_system_account(&validated(text).unwrap());
    assert_eq!(
        check("system_account: S"),
        Err("error resolving system account: account missing".to_owned())
    );
    assert_eq!(check("system_account: S\naccounts { S {} }"), Ok(()));
    assert_eq!(check("accounts { S {} }"), Ok(()));
}

const SYSTEM_KEY: &str = "AB5UKNPVHDWBP5WODG742274I3OGY5FM3CBIFCYI4OFEH7Y23GNZPXFE";

#[test]
fn operators_bring_their_system_account_and_resolver() {
    let operator = |name: &str, system: &str| {
        let header = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;
        let claims = format!(
            r#"{{"sub":"{name}","nats":{{"type":"operator","system_account":"{system}",
                "account_server_url":"http://localhost:8000/jwt/v1"}}}}"#
        );
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        format!("{}.{}.{}", encode(header), encode(&claims), encode("signature"))
    };
    let options = Machine::new()
        .file("a.conf", format!("operator: '{}'\n", operator("OA", "ASYS")))
        .load("a.conf")
        .unwrap();
    assert_eq!(options.system_account, "ASYS");
    let url = "http://localhost:8000/jwt/v1/accounts/".to_owned();
    assert_eq!(options.account_resolver, Some(AccountResolver::Url(url)));
    // What is configured goes before what operators say.
    let (one, other) = (operator("OA", "ASYS"), operator("OB", "ASYS2"));
    let options = Machine::new()
        .file("a.conf", format!("system_account = SYSACC\noperator: ['{one}', '{other}']\n"))
        .load("a.conf")
        .unwrap();
    let claims = options.operators.iter().map(|o| (&*o.claims.subject, &*o.claims.system_account));
    assert_eq!(claims.collect::<Vec<_>>(), [("OA", "ASYS"), ("OB", "ASYS2")]);
    assert_eq!(options.system_account, "SYSACC");
}

#[test]
fn operators_must_agree_with_the_rest_of_the_configuration() {
    let check = |version: &str, system_account: &str, pinned: &[&str]| {
        let claims = OperatorClaims {
            subject: "OCY6DE2ETSN3UODFTYEXBZLQLI7X4GSXR54NZC4BBLI6QCTZUT65OIVN".to_owned(),
            system_account: SYSTEM_KEY.to_owned(),
            assert_server_version: version.to_owned(),
            ..OperatorClaims::default()
        };
        let mut options = Options {
            operators: vec![Operator { claims, ..Operator::default() }],
            account_resolver: Some(AccountResolver::Memory),
            system_account: system_account.to_owned(),
            resolver_pinned_accounts: pinned.iter().map(|&key| key.to_owned()).collect(),
            ..Options::with_defaults()
        };
        validate(&mut options, &UnverifiedClaims)
    };
    assert_eq!(check("", SYSTEM_KEY, &[]), Ok(()));
    assert_eq!(
        check("", "ADXJJCDCSRSMCOV25FXQW7R4QOG7R763TVEXBNWJHLBMBGWOJYG5XZBG", &[]),
        Err("system_account in config and operator JWT must be identical".to_owned())
    );
    assert_eq!(check("1.2.3", SYSTEM_KEY, &[]), Ok(()));
    let error = check("10.20.30", SYSTEM_KEY, &[]).unwrap_err();
    assert!(error.contains("expected major version 10 > server major version"), "{error}");
    assert_eq!(check("", SYSTEM_KEY, &[SYSTEM_KEY]), Ok(()));
    let error = check("", SYSTEM_KEY, &["f"]).unwrap_err();
    assert!(error.ends_with(" is not a valid public account nkey"), "{error}");
}

#[test]
fn trusted_keys_of_proxies_are_checked() {
    const KEY: &str = "UBRYMDSRTC6AVJL6USKKS3FIOE466GMEU67PZDGOWYSYHWA7GSKO42VW";
    let check = |keys: &[&str]| {
        let trusted = keys.iter().map(|&key| key.to_owned()).collect();
        let proxies = Some(ProxiesOptions { trusted });
        let mut options = Options { proxies, ..Options::with_defaults() };
        validate(&mut options, &UnverifiedClaims)
    };
    assert_eq!(
        check(&[KEY, "bad1", "bad2"]),
        Err("proxy trusted key \"bad1\" is invalid".to_owned())
    );
    assert_eq!(check(&[KEY]), Ok(()));
}

#[test]
fn hidden_user_is_needed_with_nothing_but_a_system_account() {
    let needs = |text: &str| needs_internal_user(&validated(text).unwrap());
    let system = "accounts { $SYS { users [ {user: admin, password: s} ] } }";
    assert!(needs(system));
    assert!(needs("system_account: S\naccounts { S { users [ {user: admin} ] } }"));
    assert!(!needs("port: 1"));
    assert!(!needs(&format!("{system}\nno_auth_user: admin")));
    assert!(!needs(&format!("{system}\nauthorization {{}}")));
    assert!(!needs("accounts { $SYS {}, A {} }"));
    let mut options = validated(system).unwrap();
    add_internal_user(&mut options, "nats-12345678");
    assert_eq!(options.no_auth_user, "nats-12345678");
    let user = options.users.last().unwrap();
    assert!(user.password.matches(b"2345678") && user.account.as_deref() == Some("$G"));
}

#[test]
fn leafnode_servers_without_a_cluster_are_named_after_themselves() {
    let mut options =
        validated("server_name: s\nleafnodes { remotes [ {url: 'nats://h'} ] }").unwrap();
    assert!(name_leafnode_cluster(&mut options));
    assert_eq!(options.cluster.name, "s");
    let mut options = validated("server_name: s").unwrap();
    assert!(!name_leafnode_cluster(&mut options));
}
