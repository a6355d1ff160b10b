//! The blocks of the top level other than accounts and authorization.

use crate::support::{check_problems, load, problems};
use nats_server::config::options::compression::CompressionMode;
use nats_server::config::options::jetstream::StoreCipher;
use nats_server::config::options::listen::Port;
use nats_server::config::options::ocsp::OcspMode;
use nats_server::config::options::tls::{Curve, TlsVersion};
use nats_server::config::text::SignedDuration;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn cluster_is_read() {
    let o = load(
        "cluster { name: c, listen: 'h:1', authorization { user: u, password: p, timeout: 1 }
           routes: ['nats-route://a:b@h:2', 'nats-route://h:3'], advertise: 'x:1', no_advertise: true
           connect_retries: 2, connect_backoff: true, pool_size: 5, accounts: [A, B]
           compression: on, ping_interval: 10s, ping_max: 3, write_deadline: 4s
           permissions { import: 'a.>', export { allow: 'b', deny: 'c' } } }",
    );
    let c = &o.cluster;
    assert_eq!((c.name.as_str(), c.host.as_str(), c.port), ("c", "h", Port::new(1)));
    assert_eq!((c.username.as_str(), c.auth_timeout), ("u", SECOND));
    assert!(c.password.matches(b"p") && c.no_advertise && c.connect_backoff);
    assert_eq!((c.connect_retries, c.pool_size, c.ping_max), (2, 5, 3));
    assert_eq!(c.pinned_accounts, ["A", "B"]);
    assert_eq!(c.compression.mode, CompressionMode::S2Fast);
    assert_eq!((c.ping_interval, c.write_deadline), (10 * SECOND, 4 * SECOND));
    let permissions = c.permissions.as_ref().unwrap();
    assert_eq!(
        permissions.import.as_ref().unwrap().allow.as_deref(),
        Some(&["a.>".to_owned()][..])
    );
    assert_eq!(permissions.export.as_ref().unwrap().deny, ["c"]);
    assert_eq!(o.routes[0].user.as_ref().unwrap().name, "a");
    assert_eq!(
        load("cluster { compression: true }").cluster.compression.mode,
        CompressionMode::S2Fast
    );
    assert_eq!(
        load("cluster { compression: false }").cluster.compression.mode,
        CompressionMode::Off
    );
}

#[test]
fn cluster_errors() {
    check_problems(&[
        ("cluster: 1", ":1:0: Expected map to define cluster, got int64"),
        ("cluster { name: 'a b' }", ":1:10: cluster name cannot contain spaces"),
        (
            "cluster { authorization { users: [] } }",
            ":1:10: Cluster authorization does not allow multiple users",
        ),
        (
            "cluster { authorization { token: t } }",
            ":1:10: Cluster authorization does not support tokens",
        ),
        (
            "cluster { authorization { permissions { import: a } } }",
            ":1:10: invalid use of field \"authorization\": setting \"permissions\" within cluster authorization block is deprecated",
        ),
        (
            "cluster { permissions { import: a, allow_responses: true } }",
            ":1:10: Cluster permissions do not support dynamic responses",
        ),
        (
            "cluster { permissions { export { allow: 'a q' } } }",
            ":1:10: cluster export allow: subject \"a q\" is not a valid subject",
        ),
        ("cluster { routes: ['nats://h:x'] }", ":1:20: error parsing route url [\"nats://h:x\"]"),
        (
            "cluster { routes: ['nats://h:1', 'nats://h:1'] }",
            ":1:34: invalid use of field \"nats://h:1\": Duplicate route entry detected",
        ),
        (
            "cluster { ping_interval: '31s' }",
            ":1:10: Cluster 'ping_interval' will reset to 30s which is the max for routes",
        ),
        (
            "cluster { compression: 1 }",
            ":1:10: field \"compression\" should be a boolean or a structure, got int64",
        ),
        ("cluster { compression { foo: 1 } }", ":1:24: unknown field \"foo\""),
        ("cluster { accounts: 1 }", ":1:10: error parsing accounts: unsupported type int64"),
    ]);
}

#[test]
fn permissions_of_the_cluster_win_over_those_of_its_authorization() {
    for text in [
        "cluster { authorization { permissions { import: a } }, permissions { import: b } }",
        "cluster { permissions { import: b }, authorization { permissions { import: a } } }",
    ] {
        let mut options = nats_server::config::Options::default();
        options.load_text(&crate::support::Machine::new(), text).unwrap();
        let import = options.cluster.permissions.unwrap().import.unwrap();
        assert_eq!(import.allow.as_deref(), Some(&["b".to_owned()][..]), "{text}");
    }
}

#[test]
fn gateways_are_read() {
    let o = load(
        "gateway { name: A, listen: '127.0.0.1:4444', authorization { user: ivan, password: pwd, timeout: 2 }
           advertise: 'me:1', connect_retries: 10, connect_backoff: true, reject_unknown_cluster: true
           gateways: [ {name: B, urls: ['nats://u:p@h:5222', 'nats://h:6222']}, {name: C, url: 'nats://h:7'} ] }",
    );
    let g = &o.gateway;
    assert_eq!((g.name.as_str(), g.host.as_str(), g.port), ("A", "127.0.0.1", Port::new(4444)));
    assert_eq!((g.username.as_str(), g.auth_timeout, g.connect_retries), ("ivan", 2 * SECOND, 10));
    assert!(g.reject_unknown && g.connect_backoff);
    assert_eq!((g.remotes[0].urls.len(), g.remotes[1].urls[0].port()), (2, "7"));
    check_problems(&[
        ("gateway: x", ":1:0: Expected gateway to be a map, got string"),
        ("gateway { name: 'a b' }", ":1:10: gateway name cannot contain spaces"),
        (
            "gateway { authorization { users: [] } }",
            ":1:10: Gateway authorization does not allow multiple users",
        ),
        (
            "gateway { authorization { token: t } }",
            ":1:10: Gateway authorization does not support tokens",
        ),
        ("gateway { gateways: 1 }", "Expected gateways field to be an array, got int64"),
        ("gateway { gateways: [x] }", ":1:21: Expected gateway entry to be a map/struct, got x"),
        ("gateway { gateways: [ {\nurl: ':::' } ] }", ":2:1: error parsing gateway url [\":::\"]"),
        (
            "gateway { gateways: [ {\nurls: 'x' } ] }",
            ":2:1: interface conversion: interface {} is string, not []interface {}",
        ),
        (
            "gateway { gateways: [ {\nname: 1 } ] }",
            ":2:1: interface conversion: interface {} is int64, not string",
        ),
        ("gateway { foo: 1 }", ":1:10: unknown field \"foo\""),
    ]);
}

#[test]
fn leafnode_listener_is_read() {
    let o = load(
        "leafnodes { listen: 'h:1', authorization { user: u, password: p, account: A, timeout: 1 }
           reconnect: 3s, dial_timeout: 4s, advertise: 'x:1', no_advertise: true, min_version: 2.8.0
           compression: on, isolate: true }",
    );
    let l = &o.leafnode;
    assert_eq!((l.host.as_str(), l.port, l.account.as_str()), ("h", Port::new(1), "A"));
    assert_eq!((l.reconnect_interval, l.dial_timeout), (3 * SECOND, 4 * SECOND));
    assert!(l.no_advertise && l.isolate_interest && l.min_version == "2.8.0");
    let o = load(
        "leafnodes { authorization { users = [ {user: a, password: b, account: X}, {user: c} ] } }",
    );
    assert_eq!(o.leafnode.users[0].account.as_deref(), Some("X"));
    assert_eq!(o.leafnode.users[1].account, None);
    check_problems(&[
        ("leafnodes: 1", ":1:0: Expected map to define a leafnode, got int64"),
        (
            "leafnodes { authorization { user: u, users: [{user: a}] } }",
            ":1:12: can not have a single user/pass and a users array",
        ),
        (
            "leafnodes { authorization { users: [{user: a}, {user: a}] } }",
            ":1:12: duplicate user \"a\" detected in leafnode authorization",
        ),
        (
            "leafnodes { authorization {\nnkey: x } }",
            ":2:1: Not a valid public nkey for leafnode authorization",
        ),
        ("leafnodes { min_version: 2.7.0 }", ":1:12: the minimum version should be at least 2.8.0"),
        (
            "leafnodes { min_version: abc }",
            ":1:12: invalid leafnode's minimum version: invalid semver",
        ),
    ]);
}

#[test]
fn leafnode_remotes_are_read() {
    let o = load(
        "leafnodes { remotes = [
           { url: 'nats-leaf://127.0.0.1:2222', account: f, credentials: './my.creds', hub: true
             deny_imports: [a, 'b.*'], deny_exports: c, no_randomize: true, first_info_timeout: 3s
             jetstream_cluster_migrate { leader_migrate_delay: 2s }, compression: best, disabled: true }
           { urls: ['wss://a:1', 'wss://b:2'], tls {}, ws_compression: true, ws_no_masking: true
             proxy { url: 'http://p:1', username: u, password: w, timeout: 5s } }
         ] }",
    );
    let [a, b] = o.leafnode.remotes.as_slice() else { panic!() };
    assert_eq!((a.local_account.as_str(), a.credentials.as_str()), ("f", "./my.creds"));
    assert_eq!((a.deny_imports.len(), a.deny_exports.len(), a.urls.len()), (2, 1, 1));
    assert!(a.hub && a.no_randomize && a.disabled && a.jetstream_cluster_migrate);
    assert_eq!(a.jetstream_cluster_migrate_delay, 2 * SECOND);
    assert_eq!((a.first_info_timeout, a.tls_timeout), (3 * SECOND, Duration::ZERO));
    assert!(b.websocket_compression && b.websocket_no_masking);
    assert_eq!((b.tls_timeout, b.proxy.timeout), (2 * SECOND, SignedDuration::from_secs(5)));
    let remote = |inner: &str| problems(&format!("leafnodes {{ remotes [\n{{\n{inner} }} ] }}"));
    for (inner, error) in [
        ("url: 1", ":3:1: Expected remote leafnode url to be an array or string, got 1"),
        ("url: ':::'", ":3:1: error parsing leafnode url [\":::\"]"),
        ("seed: x", ":3:1: Remote leafnode nkey is not a valid seed: \"x\""),
        ("deny_imports: 'a q'", ":3:1: subject \"a q\" is not a valid subject"),
        ("proxy: 1", ":3:1: Expected proxy to be a map, got int64"),
        ("proxy { url: 'ftp://h' }", ":3:1: proxy URL scheme must be http or https, got: ftp"),
        ("proxy { url: 'http://' }", ":3:1: proxy URL must specify a host"),
        ("proxy { url: 'http://h', timeout: '-1s' }", ":3:1: proxy timeout must be >= 0"),
        (
            "proxy { url: 'http://h', username: u }",
            ":3:1: proxy username and password must both be specified or both be empty",
        ),
        (
            "jetstream_cluster_migrate: 1",
            "Expected boolean or map for jetstream_cluster_migrate, got int64",
        ),
    ] {
        assert_eq!(remote(inner), [error], "{inner}");
    }
    let proxied = |url: &str| remote(&format!("url: '{url}', proxy {{ url: 'http://h:1' }}"));
    assert!(proxied("ws://h:1").is_empty());
    assert!(proxied("nats://h:1")[0].contains("proxy configuration will be ignored"));
    assert!(proxied("wss://h:1")[0].contains("requires TLS and no TLS configuration is provided"));
    assert_eq!(
        problems("leafnodes { remotes [ {url: 'nats://u:p@h:1'}, {url: 'nats://u:p@h:1'} ] }"),
        [":1:48: duplicate remote urls=[\"nats://u:xxxxx@h:1\"], account=\"$G\""]
    );
    check_problems(&[
        ("leafnodes { remotes: 1 }", ":1:12: Expected remotes field to be an array, got int64"),
        (
            "leafnodes { remotes: [x] }",
            ":1:22: Expected remote leafnode entry to be a map/struct, got x",
        ),
    ]);
}

#[test]
fn websocket_is_read() {
    let o = load(
        "websocket { listen: 'h:1', no_tls: true, same_origin: true, origins: [a, b], handshake_timeout: 5
           compress: true, ping_interval: '30s', authentication { user: u, password: p, timeout: 2 }
           headers { X: y }, jwt_cookie: j, user_cookie: k, pass_cookie: l, token_cookie: m }",
    );
    let w = &o.websocket;
    assert_eq!(
        (w.port, w.handshake_timeout, w.ping_interval),
        (Port::new(1), 5 * SECOND, 30 * SECOND)
    );
    assert_eq!(
        (w.allowed_origins.len(), w.headers["X"].as_str(), w.auth_timeout),
        (2, "y", 2 * SECOND)
    );
    assert!(w.no_tls && w.same_origin && w.compression);
    check_problems(&[
        ("websocket: 1", ":1:0: Expected websocket to be a map, got int64"),
        ("ws { handshake_timeout: x }", ":1:5: time: invalid duration \"x\""),
        ("ws { headers: 1 }", ":1:5: error parsing headers: unsupported type int64"),
        ("ws { headers {\na: 1 } }", ":2:1: error parsing header key a: unsupported type int64"),
        (
            "ws { ping_interval: x }",
            ":1:5: error parsing ping_interval: time: invalid duration \"x\"",
        ),
        (
            "ws { ping_interval: 3 }",
            ":1:5: invalid use of field \"ping_interval\": ping_interval should be converted to a duration",
        ),
    ]);
    let mut options = nats_server::config::Options::default();
    options.load_text(&crate::support::Machine::new(), "ws { ping_interval: 45 }").unwrap();
    assert_eq!(options.websocket.ping_interval, 45 * SECOND);
    assert_eq!(load("ws { port: 1 }").websocket.ping_interval, Duration::ZERO);
}

#[test]
fn mqtt_is_read() {
    let o = load(
        "mqtt { port: 1, ack_wait: 5s, js_api_timeout: 6s, max_ack_pending: 65535, stream_replicas: 3
           consumer_memory_storage: true, consumer_inactive_threshold: 7s, reject_qos2_publish: true
           downgrade_qos2_subscribe: true, js_domain: d }",
    );
    let m = &o.mqtt;
    assert_eq!(
        (m.ack_wait, m.max_ack_pending, m.stream_replicas),
        (SignedDuration::from_secs(5), 65_535, 3)
    );
    assert_eq!((m.consumer_inactive_threshold, m.js_domain.as_str()), (7 * SECOND, "d"));
    assert!(m.consumer_memory_storage && m.reject_qos2_publish && m.downgrade_qos2_subscribe);
    check_problems(&[
        (
            "mqtt { max_ack_pending: 65536 }",
            ":1:7: invalid value 65536, should in [0..65535] range",
        ),
        ("mqtt { max_ack_pending: -1 }", ":1:7: invalid value -1, should in [0..65535] range"),
        (
            "mqtt { consumer_replicas: 1 }",
            ":1:7: invalid use of field \"consumer_replicas\": consumer replicas setting ignored in this server version",
        ),
        ("mqtt: 1", ":1:0: Expected mqtt to be a map, got int64"),
    ]);
}

#[test]
fn jetstream_is_switched_or_configured() {
    for (text, enabled) in [
        ("jetstream: true", true),
        ("jetstream: enabled", true),
        ("jetstream: DISABLE", false),
        ("jetstream {}", true),
        ("jetstream { enabled: false }", false),
    ] {
        assert_eq!(load(text).jetstream.enabled, enabled, "{text}");
    }
    let o = load(
        "jetstream { strict: false, max_mem: 1GB, max_file: '4G', domain: d, key: k, cipher: AES
           sync: always, unique_tag: ' AZ: ', max_outstanding_catchup: 32MB, max_concurrent_io: 4
           limits { max_ack_pending: 1, max_ha_assets: 2, max_request_batch: 3, duplicate_window: 4s
                    batch { max_inflight_per_stream: 5, max_inflight_total: 6, max_msgs: 7, timeout: 8s } } }",
    );
    let j = &o.jetstream;
    assert_eq!((j.max_memory, j.max_store), (1 << 30, 4 << 30));
    assert!(j.no_strict && j.sync_always && j.cipher == StoreCipher::Aes && j.unique_tag == "az:");
    assert_eq!((j.limits.max_request_batch, j.limits.duplicate_window), (3, 4 * SECOND));
    assert_eq!((j.limits.max_batch_messages, j.limits.max_batch_timeout), (7, 8 * SECOND));
    check_problems(&[
        (
            "jetstream: maybe",
            ":1:0: Expected 'enabled' or 'disabled' for string value, got 'maybe'",
        ),
        ("jetstream: 1", ":1:0: Expected map, bool or string to define JetStream, got int64"),
        ("jetstream { cipher: x }", ":1:12: Unknown cipher type: \"x\""),
        (
            "jetstream { max_concurrent_io: 3 }",
            ":1:12: Expected an absolute size for \"max_concurrent_io\" between 4 and 8192, got 3",
        ),
        (
            "jetstream { meta_compact: -1 }",
            ":1:12: Expected an absolute size for \"meta_compact\", got -1",
        ),
        ("jetstream { limits: 1 }", ":1:12: Expected a map to define JetStreamLimits, got int64"),
        ("jetstream { limits { duplicate_window: x } }", "time: invalid duration \"x\""),
        (
            "jetstream { domain: 1 }",
            ":1:0: interface conversion: interface {} is int64, not string",
        ),
    ]);
}

#[test]
fn sizes_are_numbers_or_texts_with_a_unit() {
    let size =
        |value: &str| load(&format!("jetstream {{ max_mem: {value} }}")).jetstream.max_memory;
    for (value, bytes) in [
        ("1", 1),
        ("'1K'", 1 << 10),
        ("'2M'", 2 << 20),
        ("'3G'", 3 << 30),
        ("'4T'", 4 << 40),
        ("''", 0),
    ] {
        assert_eq!(size(value), bytes, "{value}");
    }
    check_problems(&[
        (
            "jetstream { max_mem: '1L' }",
            ":1:12: max_mem_store sizes defined as strings must end in K, M, G, T",
        ),
        (
            "jetstream { max_file: 'TT' }",
            ":1:12: max_file_store strconv.ParseInt: parsing \"T\": invalid syntax",
        ),
        ("jetstream { max_file: true }", ":1:12: max_file_store must be int64 or string"),
        ("jetstream { max_mem: 12.2 }", ":1:12: max_mem_store must be int64 or string"),
    ]);
}

#[test]
fn tls_settings_are_read() {
    let pin = "A".repeat(64);
    let o = load(&format!(
        "tls {{ verify_and_map: true, timeout: 1.5, connection_rate_limit: 5, min_version: '1.3'
            pinned_certs: ['{pin}'], handshake_first: '250ms', curve_preferences: [CurveP256, X25519]
            cipher_suites: [TLS_AES_128_GCM_SHA256] }}"
    ));
    let tls = o.tls.unwrap();
    assert!(tls.verify && tls.verify_and_map && tls.handshake_first);
    assert_eq!(
        (tls.timeout, o.tls_timeout),
        (Duration::from_millis(1500), Duration::from_millis(1500))
    );
    assert_eq!(
        (tls.min_version, tls.handshake_first_fallback),
        (TlsVersion::Tls13, Duration::from_millis(250))
    );
    assert_eq!(tls.curve_preferences, [Curve::P256, Curve::X25519]);
    assert_eq!(tls.cipher_suites.len(), 1);
    assert!(tls.pinned_certs.contains(&"a".repeat(64)));
    assert!(
        load("cluster { tls { verify_cert_and_check_known_urls: true } }")
            .cluster
            .tls
            .unwrap()
            .verify
    );
    assert!(
        load("gateway { tls {} }").gateway.tls.unwrap().verify,
        "peers always verify each other"
    );
    assert_eq!(load("tls {}").tls.unwrap().cipher_suites.len(), 13);
    assert_eq!(load("tls {}").tls.unwrap().min_version, TlsVersion::Tls12);
    let insecure =
        "tls { cipher_suites: [TLS_RSA_WITH_RC4_128_SHA], allow_insecure_cipher_suites: true }";
    assert_eq!(load(insecure).tls.unwrap().cipher_suites.len(), 1);
}

#[test]
fn certificates_may_be_pinned_in_every_block() {
    let pins = format!("tls {{ pinned_certs: ['{}', '{}'] }}", "a".repeat(64), "b".repeat(64));
    let o = load(&format!(
        "{pins}\ncluster {{ {pins} }}\nleafnodes {{ {pins} }}\ngateway {{ {pins} }}\n\
         websocket {{ {pins} }}\nmqtt {{ {pins} }}\n"
    ));
    for tls in [o.tls, o.cluster.tls, o.leafnode.tls, o.gateway.tls, o.websocket.tls, o.mqtt.tls] {
        assert_eq!(tls.unwrap().pinned_certs.len(), 2);
    }
}

#[test]
fn tls_errors() {
    let tls = |inner: &str| problems(&format!("tls {{\n{inner} }}"));
    const PIN: &str = "hex-encoded sha256 of DER encoded SubjectPublicKeyInfo";
    for (inner, error) in [
        ("cert_file: 1", ":2:1: error parsing tls config, expected 'cert_file' to be filename".to_owned()),
        ("verify: 1", ":2:1: error parsing tls config, expected 'verify' to be a boolean".to_owned()),
        ("cipher_suites: []", ":2:1: error parsing tls config, 'cipher_suites' cannot be empty".to_owned()),
        ("cipher_suites: [X]", ":2:17: unrecognized cipher X".to_owned()),
        ("curve_preferences: []", ":2:1: error parsing tls config, 'curve_preferences' cannot be empty".to_owned()),
        ("curve_preferences: [X]", ":2:21: unrecognized curve preference X".to_owned()),
        (
            "cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]",
            ":1:0: insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: TLS_RSA_WITH_RC4_128_SHA".to_owned(),
        ),
        ("pinned_certs: [x]", format!(":2:16: error parsing tls config, 'pinned_certs' key x does not look like {PIN}")),
        ("pinned_certs: x", format!(":2:1: error parsing tls config, expected 'pinned_certs' to be a list of {PIN}")),
        ("timeout: x", ":2:1: error parsing tls config, 'timeout' time: invalid duration \"x\"".to_owned()),
        ("timeout: []", ":2:1: error parsing tls config, 'timeout' wrong type".to_owned()),
        ("first: x", ":2:1: field \"first\"'s value \"x\" is invalid".to_owned()),
        ("first: 1", ":2:1: field \"first\" should be a boolean or a string, got int64".to_owned()),
        ("min_version: '1.1'", ":2:1: error parsing tls config: unsupported TLS version: TLS 1.1".to_owned()),
        ("min_version: 1.2", ":2:1: error parsing tls config: 'min_version' wrong type: 1.2".to_owned()),
        ("min_version: '2'", ":2:1: error parsing tls config: unknown version: 2".to_owned()),
        ("foo: 1", ":2:1: error parsing tls config, unknown field \"foo\"".to_owned()),
        ("verify_cert_and_check_known_urls: true", ":2:1: verify_cert_and_check_known_urls not supported in this context".to_owned()),
        ("cert_store: WindowsCurrentUser", ":2:1: cert_store not compatible with current operating system".to_owned()),
        ("cert_file: a", ":1:0: missing 'key_file' in TLS configuration".to_owned()),
        ("key_file: a", ":1:0: missing 'cert_file' in TLS configuration".to_owned()),
        ("cert_file: a, key_file: b", ":1:0: error parsing X509 certificate/key pair: open a: no such file or directory".to_owned()),
        ("ca_file: a", ":1:0: open a: no such file or directory".to_owned()),
        ("ocsp_peer: 1", ":2:1: error parsing ocsp peer config: unsupported type map[string]interface {}".to_owned()),
        ("ocsp_peer { foo: 1 }", ":2:1: :2:13: error parsing tls peer config, unknown field [\"foo\"]".to_owned()),
    ] {
        assert_eq!(tls(inner), [error], "{inner}");
    }
}

#[test]
fn ocsp_and_proxies_are_read() {
    assert_eq!(load("ocsp: true").ocsp.unwrap().mode, OcspMode::Auto);
    assert_eq!(load("ocsp: false").ocsp.unwrap().mode, OcspMode::Never);
    let ocsp = load("ocsp { mode: Must, url: 'http://x' }").ocsp.unwrap();
    assert_eq!(
        (ocsp.mode, ocsp.override_urls.as_slice()),
        (OcspMode::Must, &["http://x".to_owned()][..])
    );
    let cache = load("ocsp_cache { type: none, save_interval: 0.5 }").ocsp_cache.unwrap();
    assert_eq!((cache.local, cache.save_interval), (false, SECOND));
    let key = "UBRYMDSRTC6AVJL6USKKS3FIOE466GMEU67PZDGOWYSYHWA7GSKO42VW";
    assert_eq!(
        load(&format!("proxies {{ trusted [ {{ key: {key} }} ] }}")).proxies.unwrap().trusted,
        [key]
    );
    check_problems(&[
        ("ocsp: 1", ":1:0: error parsing ocsp config: unsupported type int64"),
        ("ocsp {\nmode: x }", ":2:1: error parsing ocsp config: unsupported ocsp mode string"),
        ("ocsp {\nfoo: x }", ":2:1: error parsing ocsp config: unsupported field string"),
        ("ocsp_cache {\ntype: x }", ":2:1: error parsing OCSP peer cache config, unknown type [x]"),
        ("proxies: 1", ":1:0: expected proxies to be a map/struct, got int64"),
        (
            "proxies {\ntrusted: 1 }",
            ":2:1: expected proxies' trusted field to be an array, got int64",
        ),
        (
            "proxies { trusted [\n1 ] }",
            ":2:1: expected proxies' trusted entry to be a map/struct, got int64",
        ),
        ("proxies { trusted [ {\nkey: x } ] }", ":2:1: invalid proxy key \"x\""),
    ]);
}
