//! The configuration language beyond single items: variables, includes, digests, limits.

use crate::support::Machine;
use nats_server::config::lang::{Kind, Table, Value, digest, parse_file, parse_text};

/// A table as text, keys in the order of the file.
fn shown(table: &Table) -> String {
    let parts: Vec<String> =
        table.iter().map(|(key, value)| format!("{key}={}", shown_value(value))).collect();
    format!("{{{}}}", parts.join(" "))
}

fn shown_value(value: &Value) -> String {
    match &value.kind {
        Kind::String(_) => format!("{:?}", value.as_text().unwrap()),
        Kind::Array(array) => {
            let items: Vec<String> = array.items().iter().map(shown_value).collect();
            format!("[{}]", items.join(" "))
        }
        Kind::Table(table) => shown(table),
        _ => value.to_string(),
    }
}

fn parse_on(machine: &Machine, text: &str) -> Result<String, String> {
    parse_text(machine, text.as_bytes()).map(|t| shown(&t)).map_err(|e| e.to_string())
}

fn parse(text: &str) -> String {
    parse_on(&Machine::new(), text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn error(text: &str) -> String {
    parse_on(&Machine::new(), text).expect_err(text)
}

#[test]
fn top_level_values_have_their_types() {
    for (text, table) in [
        ("foo='1'; bar=2.2; baz=true; boo=22", r#"{foo="1" bar=2.2 baz=true boo=22}"#),
        (
            "a=true,b=YES\nc=On\nd=false,e=no,f=OFF",
            "{a=true b=true c=true d=false e=false f=false}",
        ),
        ("a: 2016-05-04T18:53:41Z", "{a=2016-05-04 18:53:41 +0000 UTC}"),
        ("a = 1\na = 2", "{a=2}"),
        ("listen: 127.0.0.1:4222", r#"{listen="127.0.0.1:4222"}"#),
        (
            "cluster {\n  port: 4244\n  auth { user: r }\n}",
            r#"{cluster={port=4244 auth={user="r"}}}"#,
        ),
        (
            "foo  {\n  expr = '(true == \"false\")'\n  text = 'This is a multi-line\ntext block.'\n}",
            r#"{foo={expr="(true == \"false\")" text="This is a multi-line\ntext block."}}"#,
        ),
        (
            "foo  {\n  host {\n    ip   = '127.0.0.1'\n    port = 4242\n  }\n  servers = [ \"a.com\", \"b.com\", \"c.com\"]\n}\n",
            r#"{foo={host={ip="127.0.0.1" port=4242} servers=["a.com" "b.com" "c.com"]}}"#,
        ),
        (
            "cluster {\n  port: 4244\n\n  # One.\n\n  // Two.\n\n  routes = [\n    nats-route://foo:bar@h:4245\n    nats-route://foo:bar@h:4246\n  ]\n}\n",
            r#"{cluster={port=4244 routes=["nats-route://foo:bar@h:4245" "nats-route://foo:bar@h:4246"]}}"#,
        ),
        ("array [\n  { abc: 123 }\n  { xyz: \"word\" }\n]", r#"{array=[{abc=123} {xyz="word"}]}"#),
        ("sub_array [{ a: 1 }, { b: 2 }]", "{sub_array=[{a=1} {b=2}]}"),
        ("foo 5.5", "{foo=5.5}"),
        ("a = ''", r#"{a=""}"#),
        ("a = ", r#"{a=""}"#),
    ] {
        assert_eq!(parse(text), table, "{text}");
    }
}

#[test]
fn size_suffixes_multiply() {
    for (text, number) in [
        ("8k", 8_000),
        ("1kb", 1_024),
        ("1ki", 1_024),
        ("4K", 4_000),
        ("1kIB", 1_024),
        ("1m", 1_000_000),
        ("1MB", 1_048_576),
        ("-1mi", -1_048_576),
        ("2g", 2_000_000_000),
        ("22GB", 22 * 1_073_741_824),
        ("22TB", 22 * 1_099_511_627_776),
        ("22pb", 22 * 1_125_899_906_842_624),
        ("4kib", 4_096),
        ("2Mi", 2_097_152),
        ("64MiB", 67_108_864),
        ("22Gi", 22 * 1_073_741_824),
        ("22GiB", 22 * 1_073_741_824),
        ("22Ti", 22 * 1_099_511_627_776),
        ("22TiB", 22 * 1_099_511_627_776),
        ("22Pi", 22 * 1_125_899_906_842_624),
        ("22PiB", 22 * 1_125_899_906_842_624),
        ("2e", 2_000_000_000_000_000_000),
        ("8eb", i64::MIN),
    ] {
        assert_eq!(parse(&format!("a = {text} ")), format!("{{a={number}}}"), "{text}");
    }
    assert_eq!(
        error("a = 9223372036854775808"),
        "integer '9223372036854775808' is out of the range"
    );
    assert_eq!(
        error("a = 2016-13-04T18:53:41Z"),
        "expected Zulu formatted DateTime, but got '2016-13-04T18:53:41Z'"
    );
    assert_eq!(error("a = ٣"), "expected integer, but got '٣'");
}

#[test]
fn number_with_an_unknown_suffix_is_dropped_and_its_key_names_the_map() {
    assert_eq!(parse("a = 1kbb\nb = 2"), "{b=2}");
    assert_eq!(parse("m { a = 1kbb\n }"), "{a={}}");
    assert_eq!(parse("m { a = }"), "{a={}}");
}

#[test]
fn integer_swallows_a_bracket_that_follows_it() {
    assert_eq!(parse("a = [1, 2 ]"), "{a=[1 2]}");
    assert_eq!(parse("a = [-1]"), "{a=[-1]}");
    assert_eq!(parse("a = [1.5]"), "{a=[1.5]}");
    assert_eq!(parse("a = [8k]"), "{a=[\"8k\"]}");
    assert!(error("a = [1, 2]").starts_with("Parse error on line 1: 'Expected an array value"));
}

#[test]
fn variables_come_from_enclosing_maps_and_keep_their_type() {
    for (text, table) in [
        ("index = 22\nfoo = $index", "{index=22 foo=22}"),
        (
            "index = 22\nnest {\n  index = 11\n  foo = $index\n}\nbar = $index",
            "{index=22 nest={index=11 foo=11} bar=22}",
        ),
        ("a = [x, y]\nb = $a", r#"{a=["x" "y"] b=["x" "y"]}"#),
        ("m = {k: 1}\nn { o = $m }", "{m={k=1} n={o={k=1}}}"),
        ("v = 1\na = [$v, { b = $v }]", "{v=1 a=[1 {b=1}]}"),
    ] {
        assert_eq!(parse(text), table, "{text}");
    }
}

#[test]
fn missing_variables_name_themselves_and_their_line() {
    assert_eq!(
        error("a = 1\nfoo=$index"),
        "variable reference for 'index' on line 2 can not be found"
    );
    assert_eq!(error("A: $A"), "variable reference for 'A' on line 1 can not be found");
    assert_eq!(error("foo = $%s"), "variable reference for '%s' on line 1 can not be found");
    assert_eq!(
        error("n { x = 1 }\na = $x"),
        "variable reference for 'x' on line 2 can not be found"
    );
}

#[test]
fn environment_variables_are_parsed_as_values() {
    for (value, table) in [
        ("22", "{a=22}"),
        ("xyz", r#"{a="xyz"}"#),
        ("3xyz", r#"{a="3xyz"}"#),
        ("3Gyz", r#"{a="3Gyz"}"#),
        ("'3xyz'", r#"{a="3xyz"}"#),
        ("'22'", r#"{a="22"}"#),
        ("[a, b]", r#"{a=["a" "b"]}"#),
        ("{c: 1}", "{a={c=1}}"),
        ("", r#"{a=""}"#),
        ("true", "{a=true}"),
    ] {
        let machine = Machine::new().variable("UNDER_TEST", value);
        assert_eq!(parse_on(&machine, "a = $UNDER_TEST").as_deref(), Ok(table), "{value}");
    }
}

#[test]
fn environment_variables_refer_to_each_other_but_not_in_cycles() {
    let machine = Machine::new().variable("A", "$B").variable("B", "7");
    assert_eq!(parse_on(&machine, "a = $A").as_deref(), Ok("{a=7}"));
    // Keys of the configuration are not seen from the environment.
    let machine = Machine::new().variable("A", "$key");
    assert_eq!(
        parse_on(&machine, "key = 1\na = $A"),
        Err("variable reference for 'A' on line 2 could not be parsed: variable reference for \
             'key' on line 1 can not be found"
            .to_owned())
    );
    let machine = Machine::new().variable("A", "$A");
    assert_eq!(
        parse_on(&machine, "a = $A"),
        Err(
            "variable reference for 'A' on line 1 could not be parsed: variable reference for 'A' \
             on line 1 could not be parsed: variable reference cycle for 'A'"
                .to_owned()
        )
    );
    let machine = Machine::new().variable("A", "$B").variable("B", "$A");
    assert!(parse_on(&machine, "a = $A").unwrap_err().ends_with("reference cycle for 'A'"));
    // Files are included by configurations, not by variables.
    let machine = Machine::new().variable("A", "include x");
    assert_eq!(
        parse_on(&machine, "port = 4222\na = $A"),
        Err("variable reference for 'A' on line 2 could not be parsed: Parse error on line 1: \
             'Expected a top-level value to end with a new line, comment or EOF, but got 'x' \
             instead.'"
            .to_owned())
    );
    // A key that is defined wins over a variable of that name.
    let machine = Machine::new().variable("A", "7");
    assert_eq!(parse_on(&machine, "A = 1\nb = $A").as_deref(), Ok("{A=1 b=1}"));
}

#[test]
fn bcrypt_hash_needs_no_quotes() {
    let hash = "$2a$11$ooo";
    assert_eq!(parse(&format!("password: {hash}")), format!("{{password={hash:?}}}"));
    assert!(error("password: $2b$11$ooo").starts_with("variable reference for '2b$11$ooo'"));
}

#[test]
fn json_is_a_subset() {
    for (text, table) in [
        (
            r#"{"http_port": 8227, "cluster": {"port": 6222}}"#,
            "{http_port=8227 cluster={port=6222}}",
        ),
        (r#"{"a": [{"b": true}, "c"], "d": {}}"#, r#"{a=[{b=true} "c"] d={}}"#),
        ("{ { a: 1 } }", "{a=1}"),
        ("{\n  a: 1,\n  b: 2\n}\n", "{a=1 b=2}"),
        (r#"{"nested": {"deep": {"deeper": [ {} ]}}}"#, "{nested={deep={deeper=[{}]}}}"),
        (
            "\n{\n  \"http_port\": 8227,\n  \"write_deadline\": \"1h\",\n  \"cluster\": {\n    \"routes\": [\n      \"nats://h:1\",\n      \"nats://h:2\"\n    ]\n  }\n}\n",
            r#"{http_port=8227 write_deadline="1h" cluster={routes=["nats://h:1" "nats://h:2"]}}"#,
        ),
        (
            "{\n  \"jetstream\": {\n    \"store_dir\": \"/tmp/nats\"\n    \"max_mem\": 1000000,\n  },\n  \"port\": 4222,\n  \"server_name\": \"nats1\"\n}\n",
            r#"{jetstream={store_dir="/tmp/nats" max_mem=1000000} port=4222 server_name="nats1"}"#,
        ),
    ] {
        assert_eq!(parse(text), table, "{text}");
    }
}

#[test]
fn json_may_be_included_in_maps() {
    let machine = Machine::new()
        .file(
            "a.conf",
            "accounts {\n  foo  { include 'foo.json'  }\n  quux { include 'quux.json' }\n}\n",
        )
        .file("foo.json", "{\n  \"users\": [ {\"user\": \"foo\"} ]\n}")
        .file("quux.json", "{}");
    let (table, _) = parse_file(&machine, "a.conf").unwrap();
    assert_eq!(shown(&table), r#"{accounts={foo={users=[{user="foo"}]} quux={}}}"#);
}

#[test]
fn blocks_without_a_name_belong_to_the_top_level() {
    for (text, table) in [
        ("{ listen: 0.0.0.0:4222 }", r#"{listen="0.0.0.0:4222"}"#),
        ("{\n  listen: 0.0.0.0:4222\n }", r#"{listen="0.0.0.0:4222"}"#),
        ("\n{\n  listen: 0.0.0.0:4222\n}\n# c\n", r#"{listen="0.0.0.0:4222"}"#),
        (
            "\n{\n  {\n    listen: 0.0.0.0:4222 // c\n  }\n  # d\n}\n# e\n",
            r#"{listen="0.0.0.0:4222"}"#,
        ),
        (
            "\n{\n  \"debug\": False\n  \"prof_port\": 8221\n  \"server_name\": \"a-1\"\n}\n",
            r#"{debug=false prof_port=8221 server_name="a-1"}"#,
        ),
        (
            "\n{\n  \"debug\": False\n  \"server_name\": \"a-1\"\n\n  # c\n  \"prof_port\": 8221\n}\n",
            r#"{debug=false server_name="a-1" prof_port=8221}"#,
        ),
    ] {
        assert_eq!(parse(text), table, "{text}");
    }
}

#[test]
fn keys_without_values_are_refused_but_for_a_closing_brace() {
    for (text, message) in [
        ("foo", "config is invalid (:1:3)"),
        ("\naaa\n", "config is invalid (:3:1)"),
        ("listen = \"", "config is invalid (:1:10)"),
        ("http: 8222\n\nlisten", "config is invalid (:3:7)"),
        ("# c\nfoo ", "config is invalid (:2:5)"),
        ("\n a,a,a\n ", "config is invalid (:3:2)"),
    ] {
        assert_eq!(error(text), message, "{text}");
    }
    for text in ["a = 1\n}", "a = 1\n}\n", "a = 1 }", "cluster { a = 1 }\n}\n\n"] {
        assert!(parse(text).contains("a=1"), "{text}");
    }
    assert_eq!(error("a = 1\n}}"), "config is invalid (:2:3)");
}

#[test]
fn texts_without_values_are_empty_tables() {
    for text in ["", "# just comments", "# a\n\n// b\n", "\n\n", "{}", "{\n}\n"] {
        assert_eq!(parse(text), "{}", "{text}");
    }
}

#[test]
fn unfinished_texts_end_instead_of_looping() {
    for text in
        ["A@@Føøøø?˛ø:{øøøø˙˙", "include \"9/�`", "{,\"", "[", "a = [", "a = {", "a = (", "$"]
    {
        assert!(parse_on(&Machine::new(), text).is_err(), "{text}");
    }
    for text in ["A@@Føøøø?˛ø:{øøøø˙˙", "include \"9/�`"] {
        assert!(error(text).contains("Unexpected EOF"), "{text}");
    }
    // A quote that is opened by the last character ends the text quietly, as it always has.
    assert_eq!(parse("a = 1\nb = [ \""), "{a=1}");
}

#[test]
fn includes_are_merged_and_relative_to_their_file() {
    let machine = Machine::new()
        .file(
            "etc/main.conf",
            "listen: 127.0.0.1:4222\nauthorization { include 'sub/users.conf' }\ntimeout: 5\n",
        )
        .file(
            "etc/sub/users.conf",
            "include \"pass.conf\"\nusers = [{user: alice, password: $PASS}]\n",
        )
        .file("etc/sub/pass.conf", "PASS: 'x'\n");
    let (table, _) = parse_file(&machine, "etc/main.conf").unwrap();
    assert_eq!(
        shown(&table),
        r#"{listen="127.0.0.1:4222" authorization={PASS="x" users=[{user="alice" password="x"}]} timeout=5}"#
    );
    let authorization = table.get("authorization").and_then(Value::as_table).unwrap();
    let position =
        |key: &str| authorization.get(key).unwrap().position.clone().unwrap().to_string();
    assert_eq!(position("PASS"), "etc/sub/pass.conf:1:0");
    assert_eq!(position("users"), "etc/sub/users.conf:2:1");
    assert!(authorization.get("PASS").unwrap().used_as_variable);
    assert!(!authorization.get("users").unwrap().used_as_variable);
}

#[test]
fn included_files_do_not_see_variables_of_the_includer() {
    let machine =
        Machine::new().file("a.conf", "X = 1\ninclude b.conf\n").file("b.conf", "y = $X\n");
    assert_eq!(
        parse_file(&machine, "a.conf").unwrap_err().to_string(),
        "error parsing include file 'b.conf', variable reference for 'X' on line 1 can not be found"
    );
    let machine = machine.variable("X", "2");
    assert_eq!(shown(&parse_file(&machine, "a.conf").unwrap().0), "{X=1 y=2}");
}

#[test]
fn broken_includes_name_the_file() {
    let machine = Machine::new()
        .file("a.conf", "include ./missing.conf\n")
        .file("b.conf", "include 'bad.conf'\n")
        .file("bad.conf", "\nfoo\n")
        .file("d.conf", "a { include empty.conf }\nb { include comments.conf }\n")
        .file("empty.conf", "")
        .file("comments.conf", "\n# just comments\n");
    assert_eq!(shown(&parse_file(&machine, "d.conf").unwrap().0), "{a={} b={}}");
    assert_eq!(
        parse_file(&machine, "a.conf").unwrap_err().to_string(),
        "error parsing include file './missing.conf', open missing.conf: no such file or directory"
    );
    assert_eq!(
        parse_file(&machine, "b.conf").unwrap_err().to_string(),
        "error parsing include file 'bad.conf', config is invalid (bad.conf:3:1)"
    );
    assert_eq!(
        parse_file(&machine, "c.conf").unwrap_err().to_string(),
        "open c.conf: no such file or directory"
    );
}

#[test]
fn file_that_includes_itself_is_refused() {
    let machine = Machine::new().file("a.conf", "include a.conf\n");
    let error = parse_file(&machine, "a.conf").unwrap_err().to_string();
    assert!(error.ends_with("includes are nested too deeply"), "{error}");
}

#[test]
fn files_that_include_each_other_twice_are_refused_in_the_end() {
    // Without a limit on files these 40 would be read 2^40 times.
    let mut machine = Machine::new();
    for i in 0..40 {
        let next = i + 1;
        let text = format!("include f{next}.conf\ninclude f{next}.conf\n");
        machine = machine.file(&format!("f{i}.conf"), text);
    }
    let machine = machine.file("f40.conf", "a = 1\n");
    let error = parse_file(&machine, "f0.conf").unwrap_err().to_string();
    assert!(error.ends_with("too many included files"));
}

#[test]
fn values_that_expand_without_end_are_refused() {
    let mut text = "a0 = [0123456789 , 0123456789 ]\n".to_owned();
    for i in 1..64 {
        let before = i - 1;
        text.push_str(&format!("a{i} = [$a{before}, $a{before}, $a{before}, $a{before}]\n"));
    }
    assert!(error(&text).ends_with("'Values expand to too much data.'"));
    let nested = "a = ".to_owned() + &"[".repeat(100_000);
    assert_eq!(error(&nested), "Parse error on line 1: 'Arrays and maps are nested too deeply.'");
    let mut machine = Machine::new();
    for i in 0..40 {
        let next = i + 1;
        machine = machine.variable(&format!("V{i}"), &format!("[$V{next}, $V{next}]"));
    }
    let machine = machine.variable("V40", "1");
    assert!(parse_on(&machine, "a = $V0").unwrap_err().ends_with("too many variables"));
}

#[test]
fn digest_depends_on_content_alone() {
    let of = |text: &str| digest::of(&parse_text(&Machine::new(), text.as_bytes()).unwrap());
    assert_eq!(
        of("foo = bar"),
        "sha256:226e49e13d16e5e8aa0d62e58cd63361bf097d3e2b2444aa3044334628a2e8de"
    );
    for same in
        ["foo: bar", "# c\nfoo bar", "'foo'=\"bar\" # c", "{ foo = bar }", "foo = baz\nfoo = bar"]
    {
        assert_eq!(of(same), of("foo = bar"), "{same}");
    }
    assert_eq!(
        of("a = 1\nb = 1.5\nc = [x, true]\nd { e: 2016-05-04T18:53:41Z }\nf = \"<&>\\x01\\xff\""),
        of("{ f: \"<&>\\x01\\xff\", d: {e: 2016-05-04T18:53:41Z}, c: [x, yes], b: 1.5, a: 1 }")
    );
    // Variables are content where they are defined and where they are used.
    for (text, digest) in [
        (
            "BAR_USERS = { users = [ {user = \"bar\"} ]}\nhello = 'world'\naccounts {\n  QUUX_USERS = [ { user: quux }]\n  bar = $BAR_USERS\n  quux = { users = $QUUX_USERS }\n}\nvery { nested { env { VAR = 'NESTED', quux = $VAR }}}\n",
            "sha256:bddb282343249c26d3edcef9bfaa9d2711505fc67210380e871405ba394a9186",
        ),
        (
            "hello = 'world'\naccounts {\n  bar  = { users = [ { user = \"bar\" } ]}\n  quux = { users = [ { user: quux   } ]}\n}\nvery { nested { env { quux = 'NESTED' }}}\n",
            "sha256:34f8faf3f269fe7509edc4742f20c8c4a7ad51fe21f8b361764314b533ac3ab5",
        ),
        (
            "BAR_USERS = { users = [ {user = \"foo\"} ]}\nbar = $BAR_USERS\naccounts {\n  users = $BAR_USERS\n}\n",
            "sha256:b0e2ba0b8ec2cb75681b5c5d61789cda0c9942c2f9fe16cdb7f6703364485360",
        ),
        (
            "bar = { users = [ {user = \"foo\"} ]}\naccounts {\n  users = { users = [ {user = \"foo\"} ]}\n}\n",
            "sha256:f5d943b4ed22b80c6199203f8a7eaa8eb68ef7b2d46ef6b1b26f05e21f8beb13",
        ),
    ] {
        assert_eq!(of(text), digest, "{text}");
    }
    assert_ne!(of("foo = bar"), of("foo = Bar"));
    // Definitions of variables are content, too.
    assert_ne!(of("x = bar\nfoo = $x"), of("foo = bar"));
}

#[test]
fn digest_inlines_includes_and_variables() {
    let machine = Machine::new()
        .file("a.conf", "include b.conf\nfoo = $V\n")
        .file("b.conf", "bar = [ 1 , 2 ]\n")
        .file("c.conf", "bar: [1, 2 ]; foo: 22")
        .variable("V", "22");
    assert_eq!(
        parse_file(&machine, "a.conf").unwrap().1,
        parse_file(&machine, "c.conf").unwrap().1
    );
    let machine = Machine::new()
        .file(
            "main.conf",
            "accounts {\n  foo { include 'foo.conf'}\n  bar { users = [{user = \"bar\"}] }\n  quux { include 'quux.conf'}\n}\n",
        )
        .file("foo.conf", " users = [{user = \"foo\"}]")
        .file("quux.conf", " users = [{user = \"quux\"}]");
    assert_eq!(
        parse_file(&machine, "main.conf").unwrap().1,
        "sha256:e72d70c91b64b0f880f86decb95ec2600cbdcf8bdcd2355fce5ebc54a84a77e9"
    );
}

#[test]
fn key_that_is_a_variable_and_an_option_stays_an_option() {
    let machine = Machine::new().file(
        "a.conf",
        "monitoring_port = 8222\nhttp_port = $monitoring_port\nhttp = $http_port\n",
    );
    let options = machine.load("a.conf").unwrap();
    assert_eq!(options.http_port.configured(), 8222);
    assert!(options.config_digest.starts_with("sha256:"));
}
