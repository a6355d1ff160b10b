//! Values of the wrong type, unknown fields and settings that exclude each other, block by block:
//! the problems `-t` reports, with their places (spec 02 §5).

use crate::support::{check_problems, load, problems};

const USER_KEY: &str = "UBRYMDSRTC6AVJL6USKKS3FIOE466GMEU67PZDGOWYSYHWA7GSKO42VW";

#[test]
fn misuse_of_authorization_is_reported() {
    check_problems(&[
        ("authorization { foo: bar }", ":1:16: unknown field \"foo\""),
        ("authorization { user: u, foo: bar, password: p }", ":1:25: unknown field \"foo\""),
        ("authorization { users: [ {user: a,\ntoken: t} ] }", ":2:1: unknown field \"token\""),
        (
            "authorization { permissions { subscribe: a,\ninboxes: b } }",
            ":2:1: Unknown field \"inboxes\" parsing permissions",
        ),
        (
            "authorization { permissions { publish {\nallowed: a } } }",
            ":2:1: Unknown field name \"allowed\" parsing subject permissions, only 'allow' or 'deny' are permitted",
        ),
        (
            "authorization { default_permissions { subscribe: a,\nrequests: b } }",
            ":2:1: Unknown field \"requests\" parsing permissions",
        ),
        (
            "authorization { p { publish: a }\nunused: x, users: [ {user: a, permissions: $p} ] }",
            ":2:1: unknown field \"unused\"",
        ),
        (
            "authorization {\npermissions: false }",
            ":2:1: Expected permissions to be a map/struct, got false",
        ),
        (
            "authorization { permissions { publish { deny: [\ntrue, a] } } }",
            ":2:1: Subject in permissions array cannot be cast to string",
        ),
        (
            "authorization { users: [ {user: a,\nallowed_connection_types: 123} ] }",
            ":2:1: error parsing allowed connection types: unsupported type int64",
        ),
        (
            "authorization { users: [ {user: a, allowed_connection_types: [\n123\nMQTT]} ] }",
            ":2:1: error parsing allowed connection types: unsupported type in array int64",
        ),
        (
            "authorization { user: a,\nproxy_required: 1 }",
            ":2:1: interface conversion: interface {} is int64, not bool",
        ),
        (
            "authorization { users: [ {user: a,\nproxy_required: 1} ] }",
            ":2:1: interface conversion: interface {} is int64, not bool",
        ),
        (
            &format!("authorization {{ users: [ {{nkey: {USER_KEY},\nproxy_required: 1}} ] }}"),
            ":2:1: interface conversion: interface {} is int64, not bool",
        ),
        (
            "authorization { default_permissions {\nsubscribe: [1 ] } }",
            ":2:13: Subject in permissions array cannot be cast to string",
        ),
    ]);
    load("authorization {}");
    load("authorization { users: [ {user: a, password: b, permissions {} } ] }");
}

#[test]
fn misuse_of_accounts_is_reported() {
    check_problems(&[
        (
            "accounts { A { users: [ {\nnkey: SCARKS2E3KVB7YORL2DG34XLT7PUCOL2SVM7YXV6ETHLW6Z46UUJ2VZ3} ] } }",
            ":2:1: Not a valid public nkey for a user",
        ),
        ("accounts { P {\npublish: a }\nA {} }", ":2:1: unknown field \"publish\""),
        (
            "accounts { A {\nusers: [ {user: a}, {user: a} ] } }",
            ":2:1: Duplicate user \"a\" detected",
        ),
        ("accounts { A {\nimports: true } }", ":2:1: Imports should be an array, got bool"),
        ("accounts { A {\nexports: true } }", ":2:1: Exports should be an array, got bool"),
        (
            "accounts { A { imports: [\nfalse] } }",
            ":2:1: Import Items should be a map with type entry, got bool",
        ),
        (
            "accounts { A { exports: [\nfalse] } }",
            ":2:1: Export Items should be a map with type entry, got bool",
        ),
        (
            "accounts { A { exports: [ {\nstream: false} ] } }",
            ":2:1: Expected stream name to be string, got bool",
        ),
        (
            "accounts { A { imports: [ {\nstream {} } ] } }",
            ":2:1: Expect an account name and a subject",
        ),
        (
            "accounts { A { imports: [ {\nservice {} } ] } }",
            ":2:1: Expect an account name and a subject",
        ),
        (
            "accounts { A { imports: [ {\nallow_trace: true, service { account: B, subject: s } } ] }, B {} }",
            ":2:1: Detected allow_trace directive on a non-stream",
        ),
        (
            "accounts { A { exports: [ {\nallow_trace: true, stream: s } ] } }",
            ":2:1: Detected allow_trace directive on non-service",
        ),
        (
            "accounts { A { msg_trace {\ndest: 123 } } }",
            ":2:1: Field \"dest\" should be a string, got int64",
        ),
        (
            "accounts { A { msg_trace {\ndest: 'a..b' } } }",
            ":2:1: Trace destination \"a..b\" is not valid",
        ),
        ("accounts { A {\ntrace_dest: 'a..b' } }", ":2:1: Trace destination \"a..b\" is not valid"),
        (
            "accounts { A { msg_trace { dest: d,\nsampling { a: b } } } }",
            ":2:1: Trace destination sampling field \"sampling\" should be an integer or a percentage, got map[string]interface {}",
        ),
        (
            "accounts { A { msg_trace { dest: d,\nsampling: -1 } } }",
            ":2:1: Ttrace destination sampling value -1 is invalid, needs to be [1..100]",
        ),
        (
            "accounts { A { msg_trace { dest: d,\nsampling: 0 } } }",
            ":2:1: Ttrace destination sampling value 0 is invalid, needs to be [1..100]",
        ),
        (
            "accounts { A { users: [ {user: a,\nproxy_required: 1} ] } }",
            ":2:1: interface conversion: interface {} is int64, not bool",
        ),
        (
            &format!("accounts {{ A {{ users: [ {{nkey: {USER_KEY},\nproxy_required: 1}} ] }} }}"),
            ":2:1: interface conversion: interface {} is int64, not bool",
        ),
    ]);
    load("accounts { P { publish: a }, A { users: [ {user: a, permissions: $P} ] } }");
    load(
        "system_account: S\naccounts { S {}, A { exports: [ { service: s, response: singleton, latency { sampling: 100%, subject: l } } ] } }",
    );
}

#[test]
fn misuse_of_the_cluster_is_reported() {
    check_problems(&[
        ("cluster { authorization {\nfoo: bar } }", ":2:1: unknown field \"foo\""),
        ("cluster { tls {\nfoo: bar } }", ":2:1: error parsing tls config, unknown field \"foo\""),
        (
            "cluster {\nroutes: ['0.0.0.0:XXXX'] }",
            ":2:11: error parsing route url [\"0.0.0.0:XXXX\"]",
        ),
        (
            "cluster {\npool_size: abc }",
            ":2:1: interface conversion: interface {} is string, not int64",
        ),
        (
            "cluster {\nping_interval: -1 }",
            ":2:1: invalid use of field \"ping_interval\": ping_interval should be converted to a duration",
        ),
        ("cluster {\npermissions: foo }", "Expected permissions to be a map/struct, got foo"),
        (
            "cluster { permissions {\nunknown_field: foo } }",
            ":2:1: Unknown field \"unknown_field\" parsing permissions",
        ),
        (
            "cluster { permissions {\nimport: [1, 2, 3 ] } }",
            ":2:10: Subject in permissions array cannot be cast to string",
        ),
        (
            "cluster { permissions {\nexport: [1, 2, 3 ] } }",
            ":2:10: Subject in permissions array cannot be cast to string",
        ),
        (
            "cluster { permissions { import {\nunknown_field: foo } } }",
            ":2:1: Unknown field name \"unknown_field\" parsing subject permissions, only 'allow' or 'deny' are permitted",
        ),
        (
            "cluster { permissions { export {\nunknown_field: foo } } }",
            ":2:1: Unknown field name \"unknown_field\" parsing subject permissions, only 'allow' or 'deny' are permitted",
        ),
        (
            "cluster { permissions { import {\nallow { x: y } } } }",
            ":2:1: Expected subject permissions to be a subject, or array of subjects, got map[string]interface {}",
        ),
        (
            "cluster { permissions { import {\ndeny { x: y } } } }",
            ":2:1: Expected subject permissions to be a subject, or array of subjects, got map[string]interface {}",
        ),
        (
            "cluster { permissions { export {\nallow { x: y } } } }",
            ":2:1: Expected subject permissions to be a subject, or array of subjects, got map[string]interface {}",
        ),
        (
            "cluster { permissions { export {\ndeny { x: y } } } }",
            ":2:1: Expected subject permissions to be a subject, or array of subjects, got map[string]interface {}",
        ),
        (
            "cluster {\npermissions { export { deny: 'a q' } } }",
            ":2:1: cluster export deny: subject \"a q\" is not a valid subject",
        ),
        (
            "cluster { authorization {\npermissions: foo } }",
            ":2:1: Expected permissions to be a map/struct, got foo",
        ),
    ]);
    assert_eq!(
        problems("cluster { authorization { permissions { import {\ndeny { x: y } } } } }"),
        [
            ":1:10: invalid use of field \"authorization\": setting \"permissions\" within cluster authorization block is deprecated",
            ":2:1: Expected subject permissions to be a subject, or array of subjects, got map[string]interface {}"
        ]
    );
    load("cluster {}");
    load("cluster { tls {} }");
}

#[test]
fn misuse_of_compression_is_reported_wherever_it_stands() {
    check_problems(&[
        (
            "cluster {\ncompression: 123 }",
            ":2:1: field \"compression\" should be a boolean or a structure, got int64",
        ),
        (
            "cluster { compression {\nmode: 123 } }",
            ":2:1: interface conversion: interface {} is int64, not string",
        ),
        (
            "cluster { compression { mode: s2_auto,\nrtt_thresholds: 123 } }",
            ":2:1: interface conversion: interface {} is int64, not []interface {}",
        ),
        (
            "cluster { compression { mode: s2_auto,\nrtt_thresholds: [abc] } }",
            ":2:1: time: invalid duration \"abc\"",
        ),
        (
            "leafnodes {\ncompression: 123 }",
            ":2:1: field \"compression\" should be a boolean or a structure, got int64",
        ),
        (
            "leafnodes { compression {\nmode: 123 } }",
            ":2:1: interface conversion: interface {} is int64, not string",
        ),
        (
            "leafnodes { compression { mode: s2_auto,\nrtt_thresholds: 123 } }",
            ":2:1: interface conversion: interface {} is int64, not []interface {}",
        ),
        (
            "leafnodes { compression { mode: s2_auto,\nrtt_thresholds: [abc] } }",
            ":2:1: time: invalid duration \"abc\"",
        ),
        (
            "leafnodes { remotes: [ { url: 'nats://h:1',\ncompression: 123 } ] }",
            ":2:1: field \"compression\" should be a boolean or a structure, got int64",
        ),
        (
            "leafnodes { remotes: [ { url: 'nats://h:1', compression {\nmode: 123 } } ] }",
            ":2:1: interface conversion: interface {} is int64, not string",
        ),
        (
            "leafnodes { remotes: [ { url: 'nats://h:1', compression { mode: s2_auto,\nrtt_thresholds: 123 } } ] }",
            ":2:1: interface conversion: interface {} is int64, not []interface {}",
        ),
        (
            "leafnodes { remotes: [ { url: 'nats://h:1', compression { mode: s2_auto,\nrtt_thresholds: [abc] } } ] }",
            ":2:1: time: invalid duration \"abc\"",
        ),
    ]);
}

#[test]
fn misuse_of_the_gateway_is_reported() {
    check_problems(&[
        (
            "gateway {\nlisten: 'bad::address' }",
            ":2:1: could not parse address string \"bad::address\"",
        ),
        (
            "gateway { authorization {\nusers {} } }",
            ":2:1: Expected users field to be an array, got map[]",
        ),
        (
            "gateway { tls {\ncert_file: 123 } }",
            ":2:1: error parsing tls config, expected 'cert_file' to be filename",
        ),
        (
            "gateway {\ntls { cert_file: missing.pem, key_file: key.pem } }",
            ":2:1: error parsing X509 certificate/key pair: open missing.pem: no such file or directory",
        ),
        (
            "gateway {\ntls { cert_file: cert.pem } }",
            ":2:1: missing 'key_file' in TLS configuration",
        ),
        (
            "gateway {\ntls { key_file: key.pem } }",
            ":2:1: missing 'cert_file' in TLS configuration",
        ),
        (
            "gateway {\ngateways { name: B } }",
            "Expected gateways field to be an array, got map[string]interface {}",
        ),
        (
            "gateway { gateways: [ { name: B,\nurl: 'nats://wrong url' } ] }",
            ":2:1: error parsing gateway url [\"nats://wrong url\"]",
        ),
        (
            "gateway { gateways: [ { name: B, urls: [\n'nats://wrong url', 'nats://h:1'] } ] }",
            ":2:2: error parsing gateway url [\"nats://wrong url\"]",
        ),
        (
            "gateway { gateways: [ { name: B, tls {\ncert_file: 123 } } ] }",
            ":2:1: error parsing tls config, expected 'cert_file' to be filename",
        ),
        (
            "gateway { gateways: [ { name: B,\nunknown_field: 1 } ] }",
            ":2:1: unknown field \"unknown_field\"",
        ),
    ]);
    assert_eq!(
        problems("gateway { gateways: [\ng1, g2] }"),
        [
            ":2:1: Expected gateway entry to be a map/struct, got g1",
            ":2:5: Expected gateway entry to be a map/struct, got g2"
        ]
    );
}

#[test]
fn misuse_of_leafnodes_is_reported() {
    check_problems(&[
        (
            "leafnodes {\nremotes { url: 'nats://h:1' } }",
            ":2:1: Expected remotes field to be an array, got map[string]interface {}",
        ),
        (
            "leafnodes { remotes: [ { url: 'tls://h:1', tls { timeout: 0.01,\nverify_cert_and_check_known_urls: true } } ] }",
            ":2:1: verify_cert_and_check_known_urls not supported in this context",
        ),
        (
            "leafnodes {\nmin_version: 123 }",
            ":2:1: interface conversion: interface {} is int64, not string",
        ),
        (
            "leafnodes { remotes: [ { url: 'nats://h:1',\nfirst_info_timeout: abc } ] }",
            ":2:1: error parsing first_info_timeout: time: invalid duration \"abc\"",
        ),
        (
            "leafnodes { remotes: [ { url: 'nats://h:1',\ndeny_exports: 'a q' } ] }",
            ":2:1: subject \"a q\" is not a valid subject",
        ),
        (
            "leafnodes { remotes: [ { url: 'ws://h:1',\nproxy { url: 'http://p:1', password: w } } ] }",
            ":2:1: proxy username and password must both be specified or both be empty",
        ),
        (
            "leafnodes { authorization { user: a,\nproxy_required: 1 } }",
            ":2:1: interface conversion: interface {} is int64, not bool",
        ),
        (
            &format!("leafnodes {{ authorization {{ nkey: {USER_KEY},\nproxy_required: 1 }} }}"),
            ":2:1: interface conversion: interface {} is int64, not bool",
        ),
        (
            "leafnodes { authorization { users: [ { user: a,\nproxy_required: 1 } ] } }",
            ":2:1: interface conversion: interface {} is int64, not bool",
        ),
    ]);
    load("leafnodes { remotes: [ { url: 'tls://h:1', tls { timeout: 0.01 } } ] }");
}

#[test]
fn misuse_of_mqtt_websocket_and_proxies_is_reported() {
    check_problems(&[
        ("mqtt: [wrong]", ":1:0: Expected mqtt to be a map, got []interface {}"),
        ("mqtt {\nlisten: xxxxxxxx }", ":2:1: could not parse address string \"xxxxxxxx\""),
        ("mqtt {\nhost: 1234 }", ":2:1: interface conversion: interface {} is int64, not string"),
        ("mqtt {\nport: abc }", ":2:1: interface conversion: interface {} is string, not int64"),
        ("mqtt {\ntls { cert_file: cert.pem } }", ":2:1: missing 'key_file' in TLS configuration"),
        ("websocket { authorization {\nunknown: field } }", ":2:1: unknown field \"unknown\""),
        (
            "websocket {\ntls { cert_file: cert.pem } }",
            ":2:1: missing 'key_file' in TLS configuration",
        ),
        (
            "websocket { tls {\nverify_cert_and_check_known_urls: true } }",
            ":2:1: verify_cert_and_check_known_urls not supported in this context",
        ),
        ("proxies {\nfield1: 123 }", ":2:1: unknown field \"field1\""),
        (
            &format!("proxies {{ trusted: [ {{ key: {USER_KEY},\nfield1: 123 }} ] }}"),
            ":2:1: unknown field \"field1\"",
        ),
        (
            "proxies { trusted: [\nabc] }",
            ":2:1: expected proxies' trusted entry to be a map/struct, got string",
        ),
    ]);
}

#[test]
fn misuse_of_several_certificates_is_reported() {
    check_problems(&[
        (
            "tls { certs: [ { cert_file: a.pem,\nkey_file: 123 } ] }",
            ":2:1: error parsing certificates config: unsupported type int64",
        ),
        (
            "tls { certs: [\n{ cert_file: a.pem } ] }",
            ":2:3: error parsing certificates config: both 'cert_file' and 'cert_key' options are required",
        ),
        (
            "tls { cert_file: a.pem, key_file: b.pem, certs: [ { cert_file: a.pem, key_file: b.pem } ] }",
            ":1:0: error parsing tls config, cannot combine 'cert_file' option with 'certs' option",
        ),
        (
            "tls { certs: [ { cert_file: a.pem, key_file: b.pem }, { cert_file: c.pem, key_file: d.pem } ] }",
            ":1:0: error parsing X509 certificate/key pair 1/2: open a.pem: no such file or directory",
        ),
    ]);
}
