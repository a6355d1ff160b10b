//! Options of the top level: values, defaults and errors.

use crate::support::{Machine, check_problems, load, problems};
use nats_server::config::Options;
use nats_server::config::options::Switch;
use nats_server::config::options::listen::{Port, WriteTimeout};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn defaults_are_those_of_an_unconfigured_server() {
    let o = Options::with_defaults();
    assert_eq!(
        (o.host.as_str(), o.port, o.http_host.as_str()),
        ("0.0.0.0", Port::new(4222), "0.0.0.0")
    );
    assert_eq!((o.max_connections, o.max_payload, o.max_pending), (65_536, 1_048_576, 67_108_864));
    assert_eq!((o.max_control_line, o.max_closed_clients), (4096, 10_000));
    assert_eq!((o.ping_interval, o.ping_max), (120 * SECOND, 2));
    assert_eq!(
        (o.tls_timeout, o.auth_timeout, o.write_deadline),
        (2 * SECOND, 2 * SECOND, 10 * SECOND)
    );
    assert_eq!((o.lame_duck_duration, o.lame_duck_grace_period), (120 * SECOND, 10 * SECOND));
    assert_eq!((o.connect_error_reports, o.reconnect_error_reports), (3600, 1));
    assert_eq!(o.leafnode.reconnect_interval, SECOND);
    assert_eq!((o.jetstream.max_memory, o.jetstream.max_store), (-1, -1));
    assert_eq!(o.jetstream.sync_interval, 120 * SECOND);
    assert_eq!((o.jetstream.request_queue_limit, o.jetstream.info_queue_limit), (10_000, 10_000));
    assert_eq!(o.jetstream.max_concurrent_io, 4096);
    // Blocks that are not configured get no defaults.
    assert_eq!(o.cluster, Options::default().cluster);
    assert_eq!(o.gateway, Options::default().gateway);
    assert_eq!(o.websocket, Options::default().websocket);
    assert_eq!(o.mqtt, Options::default().mqtt);
}

#[test]
fn random_port_stays_random() {
    let mut options = load("port: -1\nhttp: 'h:-1'\n");
    options.set_baseline();
    assert!(options.port.is_random() && options.http_port.is_random());
    assert_eq!((options.port.to_bind(), options.http_host.as_str()), (Some(0), "h"));
    let options = load("listen: '10.0.1.22:-1'\nhttp: -1\nhttps: ':-1'\n");
    let ports = [options.port, options.http_port, options.https_port];
    assert!(ports.iter().all(|port| port.is_random()));
}

#[test]
fn authentication_may_take_a_second_longer_with_tls() {
    let timeout = |text: &str| {
        let mut options = load(text);
        options.set_baseline();
        options.auth_timeout
    };
    assert_eq!(timeout("debug: false"), 2 * SECOND);
    assert_eq!(timeout("authorization { timeout: 0 }"), 2 * SECOND);
    assert_eq!(timeout("authorization { timeout: 1 }"), SECOND);
    assert_eq!(timeout("tls {}"), 3 * SECOND);
    assert_eq!(timeout("tls { timeout: 0.5 }"), Duration::from_millis(1500));
    assert_eq!(timeout("tls {}\nauthorization { timeout: 7 }"), 7 * SECOND);
}

#[test]
fn every_top_level_option_is_read() {
    let o = load(
        "server_name: s, host: h, port: 1, client_advertise: 'a:2', proxy_protocol: true
         debug: true, trace: false, logtime: true, logtime_utc: true, max_traced_msg_len: 5
         log_file: l, log_size_limit: 6, log_max_num: 7, syslog: true, remote_syslog: r
         pid_file: p, ports_file_dir: d, prof_port: 8, prof_block_rate: 9
         connect_error_reports: 10, reconnect_error_reports: 11, max_connections: 12
         max_subscriptions: 13, max_sub_tokens: 14, max_control_line: 15, max_payload: 16
         max_pending: 17, max_closed_clients: 18, ping_interval: 19s, ping_max: 20
         write_deadline: 21s, write_timeout: retry, lame_duck_duration: 40s
         lame_duck_grace_period: 23s, no_fast_producer_stall: true, no_sublist_cache: true
         no_header_support: true, http_port: 24, https_port: 25, http_base_path: nats
         allow_non_tls: true, no_auth_user: u, system_account: S, no_system_account: true
         store_dir: /s, default_js_domain { A: D }, server_tags: [' X ', y, x]
         server_metadata { k: v }, feature_flags { f: true }",
    );
    assert_eq!((o.server_name.as_str(), o.host.as_str(), o.port), ("s", "h", Port::new(1)));
    assert_eq!((o.client_advertise.as_str(), o.proxy_protocol), ("a:2", true));
    assert!(o.debug && !o.trace && o.logtime && o.logtime_utc && o.syslog);
    assert_eq!((o.max_traced_msg_len, o.log_file.as_str()), (5, "l"));
    assert_eq!((o.log_size_limit, o.log_max_files, o.remote_syslog.as_str()), (6, 7, "r"));
    assert_eq!((o.pid_file.as_str(), o.ports_file_dir.as_str()), ("p", "d"));
    assert_eq!((o.prof_port, o.prof_block_rate), (Port::new(8), 9));
    assert_eq!((o.connect_error_reports, o.reconnect_error_reports), (10, 11));
    assert_eq!((o.max_connections, o.max_subscriptions, o.max_sub_tokens), (12, 13, 14));
    assert_eq!((o.max_control_line, o.max_payload, o.max_pending), (15, 16, 17));
    assert_eq!((o.max_closed_clients, o.ping_max), (18, 20));
    assert_eq!((o.ping_interval, o.write_deadline), (19 * SECOND, 21 * SECOND));
    assert_eq!(o.write_timeout, WriteTimeout::Retry);
    assert_eq!((o.lame_duck_duration, o.lame_duck_grace_period), (40 * SECOND, 23 * SECOND));
    assert!(o.no_fast_producer_stall && o.no_sublist_cache && o.no_header_support);
    assert_eq!((o.http_port, o.https_port), (Port::new(24), Port::new(25)));
    assert_eq!(o.normalized_http_base_path(), "/nats");
    assert!(o.allow_non_tls && o.no_system_account);
    assert_eq!((o.no_auth_user.as_str(), o.system_account.as_str()), ("u", "S"));
    assert_eq!((o.store_dir.as_str(), o.default_js_domain["A"].as_str()), ("/s", "D"));
    assert_eq!(o.server_tags, ["x", "y"]);
    assert_eq!((o.server_metadata["k"].as_str(), o.feature_flags["f"]), ("v", true));
    assert!(!o.explicit_in_file[&Switch::Trace]);
}

#[test]
fn file_leaves_options_alone_that_it_does_not_name() {
    let mut options =
        Options { debug: true, log_file: "test.log".to_owned(), ..Options::default() };
    options.load_text(&Machine::new(), "debug: false\ntrace: true").unwrap();
    assert!(!options.debug && options.trace);
    assert_eq!(options.log_file, "test.log");
}

#[test]
fn keys_may_be_written_in_any_case() {
    let options = load("PORT: 1\nMax_Payload: 2\nCLUSTER { Name: c }\n");
    assert_eq!((options.port, options.max_payload), (Port::new(1), 2));
    assert_eq!(options.cluster.name, "c");
}

#[test]
fn listen_takes_a_port_or_an_address() {
    for (text, host, port) in [
        ("listen: 4242", "", 4242),
        ("listen: ':4242'", "", 4242),
        ("listen: 10.0.1.22:4422", "10.0.1.22", 4422),
        ("listen: 'localhost:-1'", "localhost", -1),
        ("listen: '[::1]:5'", "::1", 5),
        ("net: h\nport: 7", "h", 7),
    ] {
        let options = load(text);
        assert_eq!((options.host.as_str(), options.port.configured()), (host, port), "{text}");
    }
    check_problems(&[
        ("listen: '10.0.1.22:bad'", ":1:0: could not parse port \"bad\""),
        ("listen: '10.0.1.22'", ":1:0: could not parse address string \"10.0.1.22\""),
        ("listen: '::1:4'", ":1:0: could not parse address string \"::1:4\""),
        ("listen: true", ":1:0: expected port or host:port, got bool"),
        ("cluster { listen: '10.0.1.22:bad' }", ":1:10: could not parse port \"bad\""),
    ]);
}

#[test]
fn monitoring_listens_where_clients_do() {
    let mut options = load("host: '10.0.1.22'\nhttp_port: 1");
    options.set_baseline();
    assert_eq!(options.http_host, "10.0.1.22");
    let mut options = load("host: '10.0.1.22'\nhttp: '127.0.0.1:1'");
    options.set_baseline();
    assert_eq!(options.http_host, "127.0.0.1");
}

#[test]
fn limits_are_bounded() {
    assert_eq!(load("max_connections: 0").max_connections, -1);
    check_problems(&[
        ("max_payload: 3GB", ":1:0: max_payload value is too big"),
        ("max_control_line: 3GB", ":1:0: max_control_line value is too big"),
        ("Max_Control_Line: 2147483648", ":1:0: Max_Control_Line value is too big"),
        ("max_sub_tokens: 256", ":1:0: max_sub_tokens value is too big"),
        ("max_sub_tokens: 0", ":1:0: max_sub_tokens value can not be negative"),
        ("max_subscription_tokens: -1", ":1:0: max_subscription_tokens value can not be negative"),
    ]);
    assert_eq!(load("max_payload: 2147483647").max_payload, i32::MAX);
}

#[test]
fn durations_may_be_numbers_with_a_warning() {
    check_problems(&[
        (
            "ping_interval: 5",
            ":1:0: invalid use of field \"ping_interval\": ping_interval should be converted to a duration",
        ),
        (
            "write_deadline: 5",
            ":1:0: invalid use of field \"write_deadline\": write_deadline should be converted to a duration",
        ),
        (
            "ping_interval: '5x'",
            ":1:0: error parsing ping_interval: time: unknown unit \"x\" in duration \"5x\"",
        ),
        (
            "lame_duck_duration: 'x'",
            ":1:0: error parsing lame_duck_duration: time: invalid duration \"x\"",
        ),
        (
            "lame_duck_grace_period: abc",
            ":1:0: error parsing lame_duck_grace_period: time: invalid duration \"abc\"",
        ),
        (
            "write_deadline: '1x'",
            ":1:0: error parsing write_deadline: time: unknown unit \"x\" in duration \"1x\"",
        ),
        (
            "lame_duck_duration: '29s'",
            ":1:0: invalid lame_duck_duration of 29s, minimum is 30 seconds",
        ),
        ("lame_duck_duration: 40", ":1:0: interface conversion: interface {} is int64, not string"),
        (
            "lame_duck_grace_period: '-1s'",
            ":1:0: invalid lame_duck_grace_period, needs to be positive",
        ),
    ]);
    let mut options = Options::default();
    options.load_text(&Machine::new(), "ping_interval: 5\nwrite_deadline: 6").unwrap();
    assert_eq!((options.ping_interval, options.write_deadline), (5 * SECOND, 6 * SECOND));
    let options = load("ping_interval: '5m'\nwrite_deadline: 1h");
    assert_eq!((options.ping_interval, options.write_deadline), (300 * SECOND, 3600 * SECOND));
}

#[test]
fn write_timeout_is_one_of_three_words_in_every_block() {
    for (word, policy) in [
        ("default", WriteTimeout::Default),
        ("close", WriteTimeout::Close),
        ("retry", WriteTimeout::Retry),
    ] {
        let o = load(&format!(
            "write_timeout: {word}\ncluster {{ write_timeout: {word} }}\n\
             gateway {{ write_timeout: {word} }}\nleafnodes {{ write_timeout: {word} }}\n"
        ));
        assert_eq!(o.write_timeout, policy);
        assert_eq!(o.cluster.write_timeout, policy);
        assert_eq!(o.gateway.write_timeout, policy);
        assert_eq!(o.leafnode.write_timeout, policy);
    }
    for text in ["write_timeout: nope", "cluster { write_timeout: Close }"] {
        let problems = problems(text);
        assert!(problems[0].ends_with(": write_timeout must be 'default', 'close' or 'retry'"));
    }
}

#[test]
fn write_deadline_may_differ_by_block() {
    let o = load(
        "write_deadline: 8s\ncluster { write_deadline: 7s }\ngateway { write_deadline: 6s }\n\
         leafnodes { write_deadline: 5s }\n",
    );
    assert_eq!((o.write_deadline, o.cluster.write_deadline), (8 * SECOND, 7 * SECOND));
    assert_eq!((o.gateway.write_deadline, o.leafnode.write_deadline), (6 * SECOND, 5 * SECOND));
}

#[test]
fn wrong_types_name_what_they_are_and_should_be() {
    check_problems(&[
        ("port: 'x'", ":1:0: interface conversion: interface {} is string, not int64"),
        ("debug: 1", ":1:0: interface conversion: interface {} is int64, not bool"),
        ("host: [a]", ":1:0: interface conversion: interface {} is []interface {}, not string"),
        (
            "host: {}",
            ":1:0: interface conversion: interface {} is map[string]interface {}, not string",
        ),
        ("max_pending: 1.5", ":1:0: interface conversion: interface {} is float64, not int64"),
        (
            "pid_file: 2016-05-04T18:53:41Z",
            ":1:0: interface conversion: interface {} is time.Time, not string",
        ),
        (
            "authorization: 1",
            ":1:0: interface conversion: interface {} is int64, not map[string]interface {}",
        ),
        ("write_timeout: 1", ":1:0: interface conversion: interface {} is int64, not string"),
    ]);
}

#[test]
fn wrong_type_ends_its_block_only() {
    assert_eq!(
        problems("cluster {\n  name: 1\n  unknown: 2\n}\nport: x\n"),
        [
            ":2:3: interface conversion: interface {} is int64, not string",
            ":5:1: interface conversion: interface {} is string, not int64",
        ]
    );
}

#[test]
fn unknown_fields_are_errors_unless_they_are_variables() {
    check_problems(&[
        ("monitor_ports: 1", ":1:0: unknown field \"monitor_ports\""),
        ("cluster { foo: 1 }", ":1:10: unknown field \"foo\""),
        ("\n  Foo {}\n", ":2:3: unknown field \"Foo\""),
        ("leafnodes { remotes [ { x: 1 } ] }", ":1:24: unknown field \"x\""),
    ]);
    assert!(load("p: 4222\nport: $p").port.is_set());
    assert!(load("cluster { p: 4222\nport: $p }").cluster.port.is_set());
    assert_eq!(problems("p: 1\ncluster { p: 2\nport: $p }"), [":1:0: unknown field \"p\""]);
}

#[test]
fn all_errors_and_warnings_are_reported_together() {
    assert_eq!(
        problems("monitor: 8222\ncluster { ping_interval: 5\n name: 'a b' }\nserver_name: 'a b'\n"),
        [
            ":2:11: invalid use of field \"ping_interval\": ping_interval should be converted to a duration",
            ":1:0: unknown field \"monitor\"",
            ":3:2: cluster name cannot contain spaces",
            ":4:1: server name cannot contain spaces",
        ]
    );
}

#[test]
fn errors_in_included_files_name_those_files() {
    let machine = Machine::new()
        .file("main.conf", "port: 4222\nauthorization {\n  include users.conf\n}\n")
        .file("users.conf", "user: u\n\nnope: 1\n");
    assert_eq!(machine.load("main.conf").unwrap_err(), ["users.conf:3:1: unknown field \"nope\""]);
}

#[test]
fn empty_file_is_a_warning() {
    let machine = Machine::new().file("a.conf", "# nothing\n");
    assert_eq!(machine.load("a.conf").unwrap_err(), ["a.conf: config has no values or is empty"]);
}

#[test]
fn feature_flags_are_booleans_of_any_name() {
    let options = load("feature_flags { js_ack_fc_v2: true, made_up: false }");
    assert_eq!(options.feature_flags.len(), 2);
    check_problems(&[
        (
            "feature_flags { a: 1 }",
            ":1:16: error parsing feature flag \"a\": expected bool, got int64",
        ),
        ("feature_flags: 1", ":1:0: error parsing feature flags: unsupported type int64"),
        ("server_metadata: 1", ":1:0: error parsing metadata: unsupported type int64"),
        (
            "server_metadata { a: 1 }",
            ":1:18: interface conversion: interface {} is int64, not string",
        ),
        ("server_tags: 1", ":1:0: error parsing tags: unsupported type int64"),
        (
            "server_tags: [1 ]",
            ":1:0: error parsing tags: unsupported type *conf.token where string is expected",
        ),
        ("default_js_domain: 1", ":1:0: error default_js_domain config: unsupported type int64"),
    ]);
}

#[test]
fn store_directory_is_set_once() {
    assert_eq!(load("jetstream { store_dir: a }").store_dir, "a");
    check_problems(&[
        ("store_dir: a\njetstream { store_dir: b }", ":2:13: Duplicate 'store_dir' configuration"),
        ("store_dir: a\nstoredir: b", ":2:1: Duplicate 'store_dir' configuration"),
    ]);
}

#[test]
fn environment_reaches_options() {
    let machine = Machine::new()
        .file("a.conf", "port: $PORT\ninclude b.conf\n")
        .file("b.conf", "max_payload: $SIZE\n")
        .file("chain.conf", "A: $PORT\nB: $A\nC: $B\nport: $C\n")
        .variable("PORT", "8000")
        .variable("SIZE", "4MB");
    let options = machine.load("a.conf").unwrap();
    assert_eq!((options.port, options.max_payload), (Port::new(8000), 4_194_304));
    assert_eq!(machine.load("chain.conf").unwrap().port, Port::new(8000));
}

#[test]
fn secrets_do_not_appear_in_debug_output() {
    let options = load(
        "authorization { user: u, password: s3cr3t1 }
         cluster { authorization { user: r, password: s3cr3t2 }, routes: ['nats://a:s3cr3t3@h:1'] }
         jetstream { key: s3cr3t4, prev_key: s3cr3t5 }
         leafnodes { remotes [ { url: 'ws://x:s3cr3t6@h', proxy { url: 'http://q:s3cr3t7@h' } } ] }
         websocket { authorization { token: s3cr3t8 } }",
    );
    assert!(!format!("{options:?}").contains("s3cr3t"));
}

#[test]
fn trusted_keys_and_operators_are_checked() {
    check_problems(&[
        ("trusted: 1", ":1:0: error parsing trusted: unsupported type int64"),
        ("trusted: [1 ]", ":1:10: error parsing trusted: unsupported type in array int64"),
        ("trusted: OABC", ":1:0: trust key \"OABC\" required to be a valid public operator nkey"),
        ("operator: 1", ":1:0: error parsing operators: unsupported type int64"),
        (
            "operator: x.jwt",
            ":1:0: error parsing operator JWT: open x.jwt: no such file or directory",
        ),
        ("operator: 'eyJabc'", ":1:0: error parsing operator JWT: expected 3 chunks"),
        ("resolver_preload: 1", ":1:0: preload should be a map of account_public_key:account_jwt"),
        ("resolver_preload { A: 1 }", ":1:19: preload map value should be a string JWT"),
        ("resolver_preload { A: x }", ":1:19: invalid account JWT"),
        (
            "resolver_pinned_accounts: 1",
            ":1:0: error parsing resolver_pinned_accounts: unsupported type int64",
        ),
        (
            "resolver_pinned_accounts: [1, x ]",
            ":1:27: error parsing resolver_pinned_accounts: unsupported type in array int64",
        ),
        ("resolver: 1", ":1:0: error parsing operator resolver, wrong type int64"),
        (
            "resolver: x",
            ":1:0: error parsing account resolver, should be MEM or  URL(\"url\") or a map containing dir and type state=[FULL|CACHE])",
        ),
        ("system_account: 1", ":1:0: system account name must be a string"),
    ]);
    let dir = |inner: &str| problems(&format!("resolver {{ dir: jwt, {inner} }}"));
    assert_eq!(dir("type: cache, interval: '1s'"), [":1:0: CACHE does not accept sync"]);
    assert_eq!(
        dir("type: cache, allow_delete: true"),
        [":1:0: CACHE does not accept allow_delete"]
    );
    assert_eq!(dir("type: cache, hard_delete: true"), [":1:0: CACHE does not accept hard_delete"]);
    assert_eq!(dir("type: full, ttl: '1s'"), [":1:0: FULL does not accept ttl"]);
    assert_eq!(
        dir("type: full, hard_delete: true"),
        [":1:0: hard_delete has no effect without delete"]
    );
    assert_eq!(dir("type: full, timeout: '0s'"), [":1:0: Fetch timeout 0s is too smal"]);
    assert_eq!(dir("type: full, timeout: 'x'"), [":1:0: time: invalid duration \"x\""]);
}

#[test]
fn what_kubernetes_charts_write_is_read() {
    let main = r#"{
  "accounts": {
    "$SYS": {
      "users": [{"user": "admin", "password": $SYS_PASSWORD}]
    }
  },
  "cluster": {
    "listen": "0.0.0.0:6222",
    "name": "nats",
    "no_advertise": true,
    "routes": [
      "nats://nats-0.nats-headless:6222",
      "nats://nats-1.nats-headless:6222"
    ]
  },
  include ./extra.conf;
  "http_port": 8222,
  "jetstream": {
    "max_file_store": 10Gi,
    "max_memory_store": 1GB,
    "store_dir": "/data"
  },
  "lame_duck_duration": "30s",
  "lame_duck_grace_period": "10s",
  "max_payload": 2MB,
  "pid_file": "/var/run/nats/nats.pid",
  "port": 4222,
  "server_name": $SERVER_NAME
}
"#;
    let machine = Machine::new()
        .file("nats.conf", main)
        .file("extra.conf", "{\n  \"max_connections\": 64K,\n  \"ping_interval\": \"1m\"\n}\n")
        .variable("SERVER_NAME", "nats-0")
        .variable("SYS_PASSWORD", "'s3cr3t'");
    let o = machine.load("nats.conf").expect("no errors and no warnings");
    assert_eq!(
        (o.server_name.as_str(), o.port, o.http_port),
        ("nats-0", Port::new(4222), Port::new(8222))
    );
    assert_eq!((o.jetstream.max_store, o.jetstream.max_memory), (10 << 30, 1 << 30));
    assert_eq!((o.max_payload, o.max_connections, o.ping_interval), (2 << 20, 64_000, 60 * SECOND));
    assert_eq!((o.lame_duck_duration, o.lame_duck_grace_period), (30 * SECOND, 10 * SECOND));
    assert_eq!((o.cluster.name.as_str(), o.routes.len()), ("nats", 2));
    assert_eq!(o.pid_file, "/var/run/nats/nats.pid");
    let system = o.accounts.iter().find(|a| a.name == "$SYS").expect("the system account");
    assert_eq!(o.users[0].account.as_deref(), Some(system.name.as_str()));
}
