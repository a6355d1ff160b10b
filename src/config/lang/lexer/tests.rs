//! Tables of inputs and the items found in them: `kind "text" line:column`, errors with their
//! line.

use super::{ItemKind, Lexer};
use std::fmt::Write;

/// The items of a text, one after the other, up to its end or an error.
fn items(text: &str) -> String {
    let mut lexer = Lexer::new(text.as_bytes());
    let mut out = String::new();
    loop {
        match lexer.next_item() {
            Ok(item) if item.kind == ItemKind::End => break,
            Ok(item) => {
                let text = item.text.utf8_chunks().fold(String::new(), |mut out, chunk| {
                    out.push_str(chunk.valid());
                    for byte in chunk.invalid() {
                        let _ = write!(out, "<{byte:02x}>");
                    }
                    out
                });
                let _ = write!(out, "{:?} {text:?} {}:{}, ", item.kind, item.line, item.column);
            }
            Err(error) => {
                let _ = write!(out, "error on {}: {}, ", error.line, error.reason);
                break;
            }
        }
    }
    out.trim_end_matches(", ").to_owned()
}

fn check(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(items(text), *expected, "in {text:?}");
    }
}

#[test]
fn key_without_value_ends_the_input() {
    check(&[("foo", "Key \"foo\" 1:0")]);
}

#[test]
fn string_values_may_be_quoted_in_two_ways() {
    check(&[
        ("foo = \"bar\"", "Key \"foo\" 1:0, String \"bar\" 1:7"),
        ("foo = 'bar'", "Key \"foo\" 1:0, String \"bar\" 1:7"),
        ("foo='bar'", "Key \"foo\" 1:0, String \"bar\" 1:5"),
        ("foo='bar'\r\n", "Key \"foo\" 1:0, String \"bar\" 1:5"),
        ("foo=\t'bar'\t", "Key \"foo\" 1:0, String \"bar\" 1:6"),
    ]);
}

#[test]
fn single_quotes_keep_backslashes() {
    check(&[("foo = 'bar\\r\\n  \\t'", "Key \"foo\" 1:0, String \"bar\\\\r\\\\n  \\\\t\" 1:7")]);
}

#[test]
fn text_starting_with_a_digit_is_a_string() {
    check(&[
        ("foo = 3xyz", "Key \"foo\" 1:0, String \"3xyz\" 1:6"),
        ("foo = 3xyz,", "Key \"foo\" 1:0, String \"3xyz\" 1:6"),
        ("foo = 3xyz;", "Key \"foo\" 1:0, String \"3xyz\" 1:6"),
        ("\n    foo = 3xyz\n", "Key \"foo\" 2:5, String \"3xyz\" 2:11"),
        (
            "\n  map {\n    foo = 3xyz}\n",
            "Key \"map\" 2:3, TableStart \"\" 2:8, Key \"foo\" 3:5, String \"3xyz\" 3:11, TableEnd \"\" 3:16",
        ),
        (
            "\n  map {\n    foo = 3xyz;\n  }\n",
            "Key \"map\" 2:3, TableStart \"\" 2:8, Key \"foo\" 3:5, String \"3xyz\" 3:11, TableEnd \"\" 4:4",
        ),
        (
            "\n  map {\n    foo = 3xyz,\n    bar = 4wqs\n  }\n",
            "Key \"map\" 2:3, TableStart \"\" 2:8, Key \"foo\" 3:5, String \"3xyz\" 3:11, Key \"bar\" 4:5, String \"4wqs\" 4:11, TableEnd \"\" 5:4",
        ),
    ]);
}

#[test]
fn hexadecimal_escapes_make_single_bytes() {
    check(&[
        ("foo = \\x65", "Key \"foo\" 1:0, String \"e\" 1:9"),
        ("foo = \\xe9", "Key \"foo\" 1:0, String \"<e9>\" 1:9"),
        ("foo = \\x45\\x71", "Key \"foo\" 1:0, String \"Eq\" 1:12"),
        ("foo = start\\x45\\x71", "Key \"foo\" 1:0, String \"startEq\" 1:12"),
        ("foo = start\\x7Cend", "Key \"foo\" 1:0, String \"start|end\" 1:9"),
        ("foo = \\x3c\\x3eend", "Key \"foo\" 1:0, String \"<>end\" 1:12"),
        ("foo = \\x3cmiddle\\x3E", "Key \"foo\" 1:0, String \"<middle>\" 1:12"),
    ]);
}

#[test]
fn integers_may_be_negative() {
    check(&[
        ("foo = 123", "Key \"foo\" 1:0, Integer \"123\" 1:6"),
        ("foo=123", "Key \"foo\" 1:0, Integer \"123\" 1:4"),
        ("foo=123\r\n", "Key \"foo\" 1:0, Integer \"123\" 1:4"),
        ("foo = -123", "Key \"foo\" 1:0, Integer \"-123\" 1:6"),
        ("foo=-123", "Key \"foo\" 1:0, Integer \"-123\" 1:4"),
        ("foo=-123\r\n", "Key \"foo\" 1:0, Integer \"-123\" 1:4"),
    ]);
}

#[test]
fn size_suffixes_belong_to_the_number() {
    check(&[
        ("foo = 1k", "Key \"foo\" 1:0, Integer \"1k\" 1:6"),
        ("foo = 1K", "Key \"foo\" 1:0, Integer \"1K\" 1:6"),
        ("foo = 1m", "Key \"foo\" 1:0, Integer \"1m\" 1:6"),
        ("foo = 1M", "Key \"foo\" 1:0, Integer \"1M\" 1:6"),
        ("foo = 1g", "Key \"foo\" 1:0, Integer \"1g\" 1:6"),
        ("foo = 1G", "Key \"foo\" 1:0, Integer \"1G\" 1:6"),
        ("foo = 1MB", "Key \"foo\" 1:0, Integer \"1MB\" 1:6"),
        ("foo = 1Gb", "Key \"foo\" 1:0, Integer \"1Gb\" 1:6"),
        ("foo = -1m", "Key \"foo\" 1:0, Integer \"-1m\" 1:6"),
        ("foo = -1GB ", "Key \"foo\" 1:0, Integer \"-1GB\" 1:6"),
        ("foo = 1Ghz", "Key \"foo\" 1:0, String \"1Ghz\" 1:6"),
        ("foo = 2Pie", "Key \"foo\" 1:0, String \"2Pie\" 1:6"),
        ("foo = 3Mbs,", "Key \"foo\" 1:0, String \"3Mbs\" 1:6"),
        (
            "foo = 4Gb, bar = 5Gø",
            "Key \"foo\" 1:0, Integer \"4Gb\" 1:6, Key \"bar\" 1:11, String \"5Gø\" 1:17",
        ),
    ]);
}

#[test]
fn floats_have_digits_on_both_sides() {
    check(&[
        ("foo = 22.2", "Key \"foo\" 1:0, Float \"22.2\" 1:6"),
        ("foo=22.2", "Key \"foo\" 1:0, Float \"22.2\" 1:4"),
        ("foo=22.2\r\n", "Key \"foo\" 1:0, Float \"22.2\" 1:4"),
        ("foo = .2", "Key \"foo\" 1:0, error on 1: Floats must start with a digit"),
        (
            "foo = 2.",
            "Key \"foo\" 1:0, error on 1: Floats must have a digit after the '.', but got '\0' instead.",
        ),
        ("foo = -.2", "Key \"foo\" 1:0, error on 1: Floats must start with a digit, not '.'."),
        ("foo = -x", "Key \"foo\" 1:0, error on 1: Expected a digit but got 'x'."),
    ]);
}

#[test]
fn incomplete_hexadecimal_escapes_are_refused() {
    check(&[
        (
            "foo = xyz\\x\n",
            "Key \"foo\" 1:0, error on 2: Expected two hexadecimal digits after '\\x', but hit end of line",
        ),
        (
            "foo = xyz\\xF\n",
            "Key \"foo\" 1:0, error on 2: Expected two hexadecimal digits after '\\x', but hit end of line",
        ),
        (
            "foo = \"[\\x]\"",
            "Key \"foo\" 1:0, error on 1: Expected two hexadecimal digits after '\\x', but got ']\"'",
        ),
        (
            "foo = \"[\\xe]\"",
            "Key \"foo\" 1:0, error on 1: Expected two hexadecimal digits after '\\x', but got 'e]'",
        ),
    ]);
}

#[test]
fn separator_before_a_key_is_refused() {
    check(&[(" :foo = 22", "error on 1: Unexpected key separator ':'")]);
}

#[test]
fn booleans_are_words() {
    check(&[
        ("foo = true", "Key \"foo\" 1:0, Bool \"true\" 1:6"),
        ("foo=true", "Key \"foo\" 1:0, Bool \"true\" 1:4"),
        ("foo=true\r\n", "Key \"foo\" 1:0, Bool \"true\" 1:4"),
        ("foo = OFF", "Key \"foo\" 1:0, Bool \"OFF\" 1:6"),
    ]);
}

#[test]
fn quoted_words_are_no_booleans() {
    check(&[
        ("foo = \"true\"", "Key \"foo\" 1:0, String \"true\" 1:7"),
        ("foo = 'on'", "Key \"foo\" 1:0, String \"on\" 1:7"),
        ("foo = \\\\true", "Key \"foo\" 1:0, String \"\\\\true\" 1:7"),
    ]);
}

#[test]
fn comments_run_to_the_end_of_the_line() {
    check(&[
        ("# One", ""),
        ("// Two", ""),
        ("// Two\r\n", ""),
        (" # Three\nfoo = 1 # Four\n// Five\n", "Key \"foo\" 2:1, Integer \"1\" 2:7"),
    ]);
}

#[test]
fn comments_may_follow_top_level_values() {
    check(&[
        ("foo = 123 // c\r\n", "Key \"foo\" 1:0, Integer \"123\" 1:6"),
        ("foo=123    # c\n", "Key \"foo\" 1:0, Integer \"123\" 1:4"),
    ]);
}

#[test]
fn arrays_hold_values_between_commas() {
    check(&[
        (
            "foo = [1, 2, 3, 'bar' ]",
            "Key \"foo\" 1:0, ArrayStart \"\" 1:7, Integer \"1\" 1:7, Integer \"2\" 1:10, Integer \"3\" 1:13, String \"bar\" 1:17, ArrayEnd \"\" 1:23",
        ),
        (
            "foo = [1,2,3,'bar']",
            "Key \"foo\" 1:0, ArrayStart \"\" 1:7, Integer \"1\" 1:7, Integer \"2\" 1:9, Integer \"3\" 1:11, String \"bar\" 1:14, ArrayEnd \"\" 1:19",
        ),
        (
            "foo = [1, 2,3,'bar',]",
            "Key \"foo\" 1:0, ArrayStart \"\" 1:7, Integer \"1\" 1:7, Integer \"2\" 1:10, Integer \"3\" 1:12, String \"bar\" 1:15, ArrayEnd \"\" 1:21",
        ),
    ]);
}

#[test]
fn array_elements_may_stand_on_lines() {
    check(&[
        (
            "foo = [\n 1,\n 2 # c\n\t\"bar\",\n]\n",
            "Key \"foo\" 1:0, ArrayStart \"\" 1:7, Integer \"1\" 2:2, Integer \"2\" 3:2, String \"bar\" 4:3, ArrayEnd \"\" 5:2",
        ),
        (
            "foo = [\n 1\n 2\n \"bar\"\n]\n",
            "Key \"foo\" 1:0, ArrayStart \"\" 1:7, Integer \"1\" 2:2, Integer \"2\" 3:2, String \"bar\" 4:3, ArrayEnd \"\" 5:2",
        ),
    ]);
}

#[test]
fn maps_hold_keys_and_values() {
    check(&[
        (
            "foo = {ip='127.0.0.1', port = 4242}",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, Key \"ip\" 1:7, String \"127.0.0.1\" 1:11, Key \"port\" 1:23, Integer \"4242\" 1:30, TableEnd \"\" 1:35",
        ),
        (
            "foo = {\n  ip = '127.0.0.1' # c\n\tport= 4242 // c\n}\n",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, Key \"ip\" 2:3, String \"127.0.0.1\" 2:9, Key \"port\" 3:2, Integer \"4242\" 3:8, TableEnd \"\" 4:2",
        ),
    ]);
}

#[test]
fn maps_nest() {
    check(&[
        (
            "foo = {\n host = {\n ip = '127.0.0.1'\n port= 4242\n }\n}\n",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, Key \"host\" 2:2, TableStart \"\" 2:10, Key \"ip\" 3:2, String \"127.0.0.1\" 3:8, Key \"port\" 4:2, Integer \"4242\" 4:8, TableEnd \"\" 5:3, TableEnd \"\" 6:2",
        ),
        (
            "foo {\n  host {\n    ip = '1'\n  }\n\n  bar {}\n}\n",
            "Key \"foo\" 1:0, TableStart \"\" 1:5, Key \"host\" 2:3, TableStart \"\" 2:9, Key \"ip\" 3:5, String \"1\" 3:11, TableEnd \"\" 4:4, Key \"bar\" 6:3, TableStart \"\" 6:8, TableEnd \"\" 6:9, TableEnd \"\" 7:2",
        ),
    ]);
}

#[test]
fn keys_may_be_quoted() {
    check(&[
        ("foo : 123", "Key \"foo\" 1:0, Integer \"123\" 1:6"),
        ("'foo' : 123", "Key \"foo\" 1:1, Integer \"123\" 1:8"),
        ("\"foo\" : 123", "Key \"foo\" 1:1, Integer \"123\" 1:8"),
        ("' foo' : 123", "Key \" foo\" 1:1, Integer \"123\" 1:9"),
        ("\" foo\" : 123", "Key \" foo\" 1:1, Integer \"123\" 1:9"),
        (
            "'foo'{a:1}",
            "Key \"foo\" 1:1, TableStart \"\" 1:6, Key \"a\" 1:6, Integer \"1\" 1:8, TableEnd \"\" 1:10",
        ),
    ]);
}

#[test]
fn map_keys_may_be_quoted() {
    check(&[
        (
            "foo = {'bar' = 4242}",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, Key \"bar\" 1:8, Integer \"4242\" 1:15, TableEnd \"\" 1:20",
        ),
        (
            "foo = {\"bar\" = 4242}",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, Key \"bar\" 1:8, Integer \"4242\" 1:15, TableEnd \"\" 1:20",
        ),
        (
            "foo = {'bar-1.2.3' = { port:4242 }}",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, Key \"bar-1.2.3\" 1:8, TableStart \"\" 1:22, Key \"port\" 1:23, Integer \"4242\" 1:28, TableEnd \"\" 1:34, TableEnd \"\" 1:35",
        ),
        (
            "foo = {\"bar-1.2.3\" = { port:4242 }}",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, Key \"bar-1.2.3\" 1:8, TableStart \"\" 1:22, Key \"port\" 1:23, Integer \"4242\" 1:28, TableEnd \"\" 1:34, TableEnd \"\" 1:35",
        ),
    ]);
}

#[test]
fn separators_may_be_equals_colon_or_space() {
    check(&[
        ("foo : 123", "Key \"foo\" 1:0, Integer \"123\" 1:6"),
        ("foo:123", "Key \"foo\" 1:0, Integer \"123\" 1:4"),
        ("foo: 123", "Key \"foo\" 1:0, Integer \"123\" 1:5"),
        ("foo:  123\r\n", "Key \"foo\" 1:0, Integer \"123\" 1:6"),
        ("foo 123", "Key \"foo\" 1:0, Integer \"123\" 1:4"),
        ("foo\t123", "Key \"foo\" 1:0, Integer \"123\" 1:4"),
        ("foo\t\t123\r\n", "Key \"foo\" 1:0, Integer \"123\" 1:5"),
        ("foo\n 123", "Key \"foo\" 1:0, Integer \"123\" 2:2"),
    ]);
}

#[test]
fn maps_in_maps_may_do_without_commas() {
    check(&[(
        "foo  {\n  host  {\n    ip = '127.0.0.1'\n    port= 4242\n  }\n}\n",
        "Key \"foo\" 1:0, TableStart \"\" 1:6, Key \"host\" 2:3, TableStart \"\" 2:10, Key \"ip\" 3:5, String \"127.0.0.1\" 3:11, Key \"port\" 4:5, Integer \"4242\" 4:11, TableEnd \"\" 5:4, TableEnd \"\" 6:2",
    )]);
}

#[test]
fn semicolons_end_values() {
    check(&[
        ("foo = 123;\n", "Key \"foo\" 1:0, Integer \"123\" 1:6"),
        (
            "foo = {\n ip = '1';\n port = 2;\n}\n",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, Key \"ip\" 2:2, String \"1\" 2:8, Key \"port\" 3:2, Integer \"2\" 3:9, TableEnd \"\" 4:2",
        ),
        (
            "foo='1'; bar=2",
            "Key \"foo\" 1:0, String \"1\" 1:5, Key \"bar\" 1:9, Integer \"2\" 1:13",
        ),
        (
            "foo='1'; bar=2.2; baz=true;",
            "Key \"foo\" 1:0, String \"1\" 1:5, Key \"bar\" 1:9, Float \"2.2\" 1:13, Key \"baz\" 1:18, Bool \"true\" 1:22",
        ),
    ]);
}

#[test]
fn unquoted_text_is_a_string() {
    check(&[
        ("foo=123foo", "Key \"foo\" 1:0, String \"123foo\" 1:4"),
        ("foo=https://a.b:1/x", "Key \"foo\" 1:0, String \"https://a.b:1/x\" 1:4"),
        ("pass=Pass123!", "Key \"pass\" 1:0, String \"Pass123!\" 1:5"),
        ("mail = a@b.c # x", "Key \"mail\" 1:0, String \"a@b.c\" 1:7"),
        ("foo = bar", "Key \"foo\" 1:0, String \"bar\" 1:6"),
        ("foo = bar' ", "Key \"foo\" 1:0, String \"bar\" 1:6"),
        ("tkey = two", "Key \"tkey\" 1:0, String \"two\" 1:7"),
        ("fkey = five # x", "Key \"fkey\" 1:0, String \"five\" 1:7"),
        ("t true", "Key \"t\" 1:0, Bool \"true\" 1:2"),
    ]);
}

#[test]
fn dates_are_in_zulu_form() {
    check(&[
        ("foo = 2016-05-04T18:53:41Z", "Key \"foo\" 1:0, Datetime \"2016-05-04T18:53:41Z\" 1:6"),
        (
            "foo = 2016-05-04 x",
            "Key \"foo\" 1:0, error on 1: Expected 'T' in ISO8601 datetime, but found ' ' instead.",
        ),
        ("foo = 20-1", "Key \"foo\" 1:0, error on 1: All ISO8601 dates must be in full Zulu form."),
        (
            "foo = 2016-05-04T18-",
            "Key \"foo\" 1:0, error on 1: Expected ':' in ISO8601 datetime, but found '-' instead.",
        ),
    ]);
}

#[test]
fn variables_begin_with_a_dollar_sign() {
    check(&[
        ("foo = $bar", "Key \"foo\" 1:0, Variable \"bar\" 1:7"),
        ("foo =$bar,", "Key \"foo\" 1:0, Variable \"bar\" 1:6"),
        ("foo $bar", "Key \"foo\" 1:0, Variable \"bar\" 1:5"),
        ("foo = '$bar'", "Key \"foo\" 1:0, String \"$bar\" 1:7"),
        ("foo = \"$bar\"", "Key \"foo\" 1:0, String \"$bar\" 1:7"),
        ("foo = \\\\$var", "Key \"foo\" 1:0, String \"\\\\$var\" 1:7"),
        (
            "foo = \\$bar",
            "Key \"foo\" 1:0, error on 1: Invalid escape character '$'. Only the following escape characters are allowed: \\xXX, \\t, \\n, \\r, \\\", \\\\.",
        ),
    ]);
}

#[test]
fn arrays_hold_maps() {
    check(&[(
        "authorization {\n    users = [\n      {user: alice, password: foo}\n      {user: bob,   password: bar}\n    ]\n}\n",
        "Key \"authorization\" 1:0, TableStart \"\" 1:15, Key \"users\" 2:5, ArrayStart \"\" 2:14, TableStart \"\" 3:8, Key \"user\" 3:8, String \"alice\" 3:14, Key \"password\" 3:21, String \"foo\" 3:31, TableEnd \"\" 3:35, TableStart \"\" 4:8, Key \"user\" 4:8, String \"bob\" 4:14, Key \"password\" 4:21, String \"bar\" 4:31, TableEnd \"\" 4:35, ArrayEnd \"\" 5:6, TableEnd \"\" 6:2",
    )]);
}

#[test]
fn includes_name_a_file() {
    check(&[
        ("include users.conf", "Include \"users.conf\" 1:8"),
        ("include 'users.conf' \n", "Include \"users.conf\" 1:9"),
        ("include \"users.conf\"\n", "Include \"users.conf\" 1:9"),
        ("INCLUDE users.conf", "Include \"users.conf\" 1:8"),
        (
            "include ./users.conf;\nx = 1",
            "Include \"./users.conf\" 1:8, Key \"x\" 2:1, Integer \"1\" 2:5",
        ),
        (
            "foo { include users.conf }",
            "Key \"foo\" 1:0, TableStart \"\" 1:5, Include \"users.conf\" 1:14, TableEnd \"\" 1:26",
        ),
        (
            "foo {include 'users.conf'}",
            "Key \"foo\" 1:0, TableStart \"\" 1:5, Include \"users.conf\" 1:14, TableEnd \"\" 1:26",
        ),
        (
            "foo { include \"users.conf\"}",
            "Key \"foo\" 1:0, TableStart \"\" 1:5, Include \"users.conf\" 1:15, TableEnd \"\" 1:27",
        ),
        ("include: x", "Key \"include\" 1:0, String \"x\" 1:9"),
    ]);
}

#[test]
fn includes_of_anything_else_are_refused() {
    check(&[
        ("include [a]", "error on 1: Expected include value but found start of an array"),
        ("include {a}", "error on 1: Expected include value but found start of a map"),
        ("include (a)", "error on 1: Expected include value but found start of a block"),
        ("include 1", "error on 1: Expected include value but found start of a number"),
        ("include \\a", "error on 1: Expected include value but found escape sequence"),
        ("include \n", "error on 2: Expected include value but found new line"),
        ("include \"a", "error on 1: Unexpected EOF in double quoted include"),
        ("include 'a", "error on 1: Unexpected EOF in quoted include"),
    ]);
}

#[test]
fn addresses_are_strings() {
    check(&[
        ("listen: 127.0.0.1:4222", "Key \"listen\" 1:0, String \"127.0.0.1:4222\" 1:8"),
        ("listen: 127.0.0.1:-1", "Key \"listen\" 1:0, String \"127.0.0.1:-1\" 1:8"),
        ("listen: 2.8.0", "Key \"listen\" 1:0, String \"2.8.0\" 1:8"),
        ("listen: 127.0.0.1", "Key \"listen\" 1:0, String \"127.0.0.1\" 1:8"),
        ("listen: nats.io:-1", "Key \"listen\" 1:0, String \"nats.io:-1\" 1:8"),
        ("listen: -1", "Key \"listen\" 1:0, Integer \"-1\" 1:8"),
        ("listen: :-1", "Key \"listen\" 1:0, String \":-1\" 1:8"),
        ("listen = :80", "Key \"listen\" 1:0, String \":80\" 1:9"),
        (
            "listen = [localhost:4222, localhost:4333]",
            "Key \"listen\" 1:0, ArrayStart \"\" 1:10, String \"localhost:4222\" 1:10, String \"localhost:4333\" 1:26, ArrayEnd \"\" 1:41",
        ),
    ]);
}

#[test]
fn block_strings_span_lines() {
    check(&[
        ("foo = (\n bar\n)\n", "Key \"foo\" 1:0, String \"\\n bar\\n\" 3:7"),
        ("foo (\n bar\n)\n", "Key \"foo\" 1:0, String \"\\n bar\\n\" 3:5"),
        ("foo (\n bar\n\t( a )\n)\n", "Key \"foo\" 1:0, String \"\\n bar\\n\\t( a )\\n\" 4:5"),
        ("foo (\n bar\n)", "Key \"foo\" 1:0, String \"\\n bar\\n)\" 3:5"),
        ("foo (\n bar\n)\0", "Key \"foo\" 1:0, String \"\\n bar\\n\" 3:5"),
        (
            "\nfoo (\n  12(34)56\n  (\n    7890\n  )\n)\n",
            "Key \"foo\" 2:1, String \"\\n  12(34)56\\n  (\\n    7890\\n  )\\n\" 7:6",
        ),
        (
            "\nport = 4222\n\nquote = (\n\n  foo = bar\n\n",
            "Key \"port\" 2:1, Integer \"4222\" 2:8, Key \"quote\" 4:1, error on 8: Unexpected EOF processing block.",
        ),
        ("foo (\n bar)", "Key \"foo\" 1:0, error on 2: Unexpected EOF processing block."),
    ]);
}

#[test]
fn json_is_understood() {
    check(&[
        (
            "{\"a\": 1, \"b\": [true, null], \"c\": {\"d\": \"e\"}}",
            "Key \"a\" 1:2, Integer \"1\" 1:6, Key \"b\" 1:10, ArrayStart \"\" 1:15, Bool \"true\" 1:15, String \"null\" 1:21, ArrayEnd \"\" 1:26, Key \"c\" 1:29, TableStart \"\" 1:34, Key \"d\" 1:35, String \"e\" 1:40, TableEnd \"\" 1:43",
        ),
        (
            "{\n a = 1\n{ b = 2 }\n}",
            "Key \"a\" 2:2, Integer \"1\" 2:6, Key \"b\" 3:3, Integer \"2\" 3:7",
        ),
        (
            "{ a = 1 // c\n, b = 2 }",
            "Key \"a\" 1:2, Integer \"1\" 1:6, Key \",\" 2:1, String \"b\" 2:3, error on 2: Expected a block-level value to end with a new line, comment or EOF, but got '=' instead.",
        ),
    ]);
}

#[test]
fn escapes_are_decoded_where_they_stand() {
    check(&[
        ("foo  = \"\\t\\\"\\\\\\r\\n\"", "Key \"foo\" 1:0, String \"\\t\\\"\\\\\\r\\n\" 1:13"),
        (
            "\nfoo  = \\t\nq    = \\\"\nbs   = \\\\\n",
            "Key \"foo\" 2:1, String \"\\t\" 2:9, Key \"q\" 3:1, String \"\\\"\" 3:9, Key \"bs\" 4:1, String \"\\\\\" 4:9",
        ),
        ("foo = \"a\\tb\"", "Key \"foo\" 1:0, String \"a\\tb\" 1:8"),
        ("foo = \"\\ta\"", "Key \"foo\" 1:0, String \"\\ta\" 1:8"),
        ("foo = \"a\\t\"", "Key \"foo\" 1:0, String \"a\\t\" 1:8"),
        ("foo = \"\\t\\n\"", "Key \"foo\" 1:0, String \"\\t\\n\" 1:9"),
        ("foo = \"\\t\\nb\"", "Key \"foo\" 1:0, String \"\\t\\nb\" 1:9"),
        ("foo = \"\\ta\\n\"", "Key \"foo\" 1:0, String \"\\ta\\n\" 1:9"),
        ("foo = \"a\\tb\\n\"", "Key \"foo\" 1:0, String \"a\\tb\\n\" 1:9"),
        ("foo = \\x41b", "Key \"foo\" 1:0, String \"Ab\" 1:9"),
        ("foo = \"\\ta\\nb\"", "Key \"foo\" 1:0, String \"\\ta\\nb\" 1:9"),
    ]);
}

#[test]
fn unknown_escapes_are_refused() {
    check(&[
        (
            "foo = \"\\q\"",
            "Key \"foo\" 1:0, error on 1: Invalid escape character 'q'. Only the following escape characters are allowed: \\xXX, \\t, \\n, \\r, \\\", \\\\.",
        ),
        (
            "foo = \\:",
            "Key \"foo\" 1:0, error on 1: Invalid escape character ':'. Only the following escape characters are allowed: \\xXX, \\t, \\n, \\r, \\\", \\\\.",
        ),
    ]);
}

#[test]
fn strings_may_be_empty() {
    check(&[
        ("foo = \"\"", "Key \"foo\" 1:0, String \"\" 1:7"),
        ("foo = ''", "Key \"foo\" 1:0, String \"\" 1:7"),
    ]);
}

#[test]
fn unfinished_quotes_are_refused() {
    check(&[
        ("foo = \"bar", "Key \"foo\" 1:0, error on 1: Unexpected EOF."),
        ("foo = 'bar", "Key \"foo\" 1:0, error on 1: Unexpected EOF."),
        ("\nlisten: \"h:1\n\nhttp: h:2\n", "Key \"listen\" 2:1, error on 5: Unexpected EOF."),
        (
            "\nfoo = \"\nlisten: \"\n\nhttp: h:2\n\n\"\n",
            "Key \"foo\" 2:1, String \"\\nlisten: \" 3:8, Key \"http\" 5:1, String \"h:2\" 5:7, error on 8: Unexpected EOF.",
        ),
        (
            "\nfoo = '\nlisten: '\n\nhttp: h:2\n\n'\n",
            "Key \"foo\" 2:1, String \"\\nlisten: \" 3:8, Key \"http\" 5:1, String \"h:2\" 5:7, error on 8: Unexpected EOF.",
        ),
        ("\"foo = 1", "error on 1: Unexpected EOF."),
        ("'foo = 1", "error on 1: Unexpected EOF."),
        (
            "foo = {'a",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, error on 1: Unexpected EOF processing quoted map key.",
        ),
        (
            "foo = {\"a",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, error on 1: Unexpected EOF processing double quoted map key.",
        ),
        (
            "foo = {a",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, error on 1: Unexpected EOF processing map key.",
        ),
        (
            "foo = {",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, error on 1: Unexpected EOF processing map.",
        ),
        (
            "\ncluster = {\n\n  foo = bar\n\n",
            "Key \"cluster\" 2:1, TableStart \"\" 2:12, Key \"foo\" 4:3, String \"bar\" 4:9, error on 6: Unexpected EOF processing map.",
        ),
    ]);
}

#[test]
fn brackets_in_wrong_places_are_refused() {
    check(&[
        (
            "foo = {\n]\n",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, error on 2: Unexpected array end ']' processing map.",
        ),
        (
            "foo = [a,,b]",
            "Key \"foo\" 1:0, ArrayStart \"\" 1:7, String \"a\" 1:7, error on 1: Unexpected array value terminator ','.",
        ),
        (
            "foo = [a;b]",
            "Key \"foo\" 1:0, ArrayStart \"\" 1:7, String \"a\" 1:7, error on 1: Expected an array value terminator \",\" or an array terminator \"]\", but got ';' instead.",
        ),
        (
            "foo = {a 1 2}",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, Key \"a\" 1:7, Integer \"1\" 1:9, error on 1: Expected a map value terminator \",\" or a map terminator \"}\", but got '2' instead.",
        ),
        (
            "foo = 1 2",
            "Key \"foo\" 1:0, Integer \"1\" 1:6, error on 1: Expected a top-level value to end with a new line, comment or EOF, but got '2' instead.",
        ),
        (
            "{ a = 1 2 }",
            "Key \"a\" 1:2, Integer \"1\" 1:6, error on 1: Expected a block-level value to end with a new line, comment or EOF, but got '2' instead.",
        ),
        (
            "{ { a = 1 } x }",
            "Key \"a\" 1:4, Integer \"1\" 1:8, error on 1: Expected a block-level to end with a '}', but got 'x' instead.",
        ),
        (
            "foo = {:",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, error on 1: Unexpected key separator ':'.",
        ),
        (
            "foo = {a = ,}",
            "Key \"foo\" 1:0, TableStart \"\" 1:7, Key \"a\" 1:7, error on 1: Unexpected map value terminator \",\".",
        ),
    ]);
}
