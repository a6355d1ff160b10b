//! JSON from peers, judged and decoded as the reference does: CONNECT and INFO (spec 01 §2.2, §4.1).
//!
//! The text is checked as a whole first, then its fields are taken: names match in any case,
//! unknown ones are ignored, `null` changes nothing, the last of several duplicates wins, and a
//! value of the wrong type is an error that the fields behind it do not notice. Bytes that are no
//! UTF-8 and halves of surrogate pairs become U+FFFD. Errors are worded as operators know them
//! from logs. Nothing here recurses: depth is bounded, and costs no stack.

use crate::quote::quote;
use std::fmt;

/// Levels of nesting; more is an error.
const MAX_DEPTH: usize = 10_000;

/// What a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A boolean.
    Bool,
    /// A string.
    Text,
    /// A whole number within bounds, which the name of the type tells.
    Integer(&'static str, i64, i64),
    /// An array of strings.
    Texts,
    /// An object with the arrays of strings `allow` and `deny`.
    Permission,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::Text => "string",
            Kind::Integer(name, ..) => name,
            Kind::Texts => "[]string",
            Kind::Permission => "server.SubjectPermission",
        }
    }
}

/// A kind of whole number with the bounds of 64 bits.
pub const INT: Kind = Kind::Integer("int", i64::MIN, i64::MAX);

/// A value that was taken; objects are judged only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// An array of strings.
    Texts(Vec<String>),
}

/// Why a text was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    text: String,
    at: Option<usize>,
    cut: bool,
}

impl JsonError {
    fn new(text: String) -> JsonError {
        JsonError { text, at: None, cut: false }
    }

    /// How many bytes of the text were read, with the one that is wrong; `None` when the text is
    /// JSON, but not what was asked for.
    pub fn read(&self) -> Option<usize> {
        self.at
    }

    /// Whether the text ended too early.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for JsonError {}

/// Decodes an object called `name` with these fields. A field that stands in a structure embedded
/// there has that one's name and a dot in front, which errors show. `set` gets the position of each
/// field whose value was taken.
///
/// # Errors
/// The text is no JSON: then nothing was set. Or a value has another type than its field: then the
/// first such value is named, and all others were set.
pub fn decode(
    json: &[u8],
    name: &str,
    fields: &[(&str, Kind)],
    set: &mut dyn FnMut(usize, Value),
) -> Result<(), JsonError> {
    check(json)?;
    let mut reader = Reader { json, at: 0 };
    let found = reader.peek_type();
    if found == "null" {
        return Ok(());
    }
    if found != "object" {
        return Err(JsonError::new(format!(
            "json: cannot unmarshal {found} into Go value of type server.{name}"
        )));
    }
    let mut wrong = Wrong(None);
    reader.members(&mut |reader, key| {
        let exact = fields.iter().position(|(field, _)| own_name(field) == key);
        let field = exact.or_else(|| {
            fields.iter().position(|(field, _)| own_name(field).eq_ignore_ascii_case(key))
        });
        let Some(index) = field else { return reader.skip() };
        let (field, kind) = fields[index];
        if let Some(value) = reader.value(kind, &format!("{name}.{field}"), field, &mut wrong) {
            set(index, value);
        }
    });
    wrong.0.map_or(Ok(()), Err)
}

/// The name of a field without those of the structures around it.
fn own_name(field: &str) -> &str {
    field.rsplit('.').next().unwrap_or(field)
}

/// The first value of a wrong type.
struct Wrong(Option<JsonError>);

impl Wrong {
    fn note(&mut self, found: &str, place: &str, wanted: &str) {
        self.0.get_or_insert_with(|| {
            JsonError::new(format!(
                "json: cannot unmarshal {found} into Go struct field {place} of type {wanted}"
            ))
        });
    }
}

/// Walks a text that was checked: see [`check_next`]. Each method takes what comes next.
pub struct Reader<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from `at` on.
    pub fn new(json: &'a [u8], at: usize) -> Reader<'a> {
        Reader { json, at }
    }

    /// The text of the value that comes next, which is passed over.
    pub fn raw(&mut self) -> &'a [u8] {
        self.blanks();
        let start = self.at;
        self.skip();
        self.json.get(start..self.at).unwrap_or_default()
    }

    /// Calls `each` for every element of the array that comes next; it takes the element.
    pub fn elements(&mut self, each: &mut dyn FnMut(&mut Self)) {
        self.at += 1;
        loop {
            self.blanks();
            match self.byte() {
                b']' => break,
                b',' => self.at += 1,
                _ if self.at >= self.json.len() => break,
                _ => each(self),
            }
        }
        self.at += 1;
    }

    fn byte(&self) -> u8 {
        self.json.get(self.at).copied().unwrap_or(0)
    }

    fn blanks(&mut self) {
        while matches!(self.byte(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    /// The type of the value that comes next, by the reference's name.
    pub fn peek_type(&mut self) -> &'static str {
        self.blanks();
        match self.byte() {
            b'{' => "object",
            b'[' => "array",
            b'"' => "string",
            b't' | b'f' => "bool",
            b'n' => "null",
            _ => "number",
        }
    }

    /// Gives every member of the object that comes next to `each`, which takes the value.
    pub fn members(&mut self, each: &mut dyn FnMut(&mut Self, &str)) {
        self.at += 1;
        loop {
            self.blanks();
            match self.byte() {
                b'"' => {
                    let key = self.text();
                    self.blanks();
                    // The colon.
                    self.at += 1;
                    each(self, &key);
                }
                b',' => self.at += 1,
                _ => break,
            }
        }
        self.at += 1;
    }

    fn value(&mut self, kind: Kind, place: &str, field: &str, wrong: &mut Wrong) -> Option<Value> {
        let found = self.peek_type();
        match (kind, found) {
            (Kind::Bool, "bool") => {
                let value = self.byte() == b't';
                self.skip();
                return Some(Value::Bool(value));
            }
            (Kind::Text, "string") => return Some(Value::Text(self.text())),
            (Kind::Integer(name, min, max), "number") => {
                let start = self.at;
                self.skip();
                let digits = self.json.get(start..self.at).unwrap_or_default();
                let digits = String::from_utf8_lossy(digits).into_owned();
                match digits.parse::<i64>() {
                    Ok(n) if (min..=max).contains(&n) => return Some(Value::Integer(n)),
                    _ => wrong.note(&format!("number {digits}"), place, name),
                }
            }
            (Kind::Texts, "array") => return Some(Value::Texts(self.texts(place, wrong))),
            (Kind::Permission, "object") => {
                let mut inner: Option<JsonError> = None;
                self.members(&mut |reader, key| {
                    let list = ["allow", "deny"].into_iter().find(|l| l.eq_ignore_ascii_case(key));
                    let Some(list) = list else { return reader.skip() };
                    let place = format!("SubjectPermission.{field}.{list}");
                    let mut found = Wrong(inner.take());
                    reader.value(Kind::Texts, &place, list, &mut found);
                    inner = found.0;
                });
                if let Some(error) = inner {
                    wrong.0.get_or_insert(error);
                }
            }
            (_, "null") => self.skip(),
            _ => {
                wrong.note(found, place, kind.name());
                self.skip();
            }
        }
        None
    }

    /// An array whose elements must be strings.
    fn texts(&mut self, place: &str, wrong: &mut Wrong) -> Vec<String> {
        let mut texts = Vec::new();
        self.at += 1;
        loop {
            self.blanks();
            match self.byte() {
                b']' => break,
                b',' => self.at += 1,
                _ => {
                    let found = self.peek_type();
                    if found == "string" {
                        texts.push(self.text());
                        continue;
                    }
                    if found == "null" {
                        texts.push(String::new());
                    } else {
                        wrong.note(found, place, "string");
                    }
                    self.skip();
                }
            }
        }
        self.at += 1;
        texts
    }

    /// Passes over the value that comes next.
    pub fn skip(&mut self) {
        self.blanks();
        let mut depth = 0usize;
        loop {
            match self.byte() {
                b'"' => self.pass_string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                _ if depth == 0 => {
                    let ends =
                        |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
                    let rest = self.json.get(self.at..).unwrap_or_default();
                    self.at += rest.iter().position(ends).unwrap_or(rest.len());
                }
                _ => self.at += 1,
            }
            if depth == 0 || self.at >= self.json.len() {
                return;
            }
        }
    }

    fn pass_string(&mut self) {
        self.at += 1;
        while self.at < self.json.len() && self.byte() != b'"' {
            self.at += if self.byte() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
    }

    /// The string that comes next.
    pub fn text(&mut self) -> String {
        let start = self.at + 1;
        self.pass_string();
        let raw = self.json.get(start..self.at - 1).unwrap_or_default();
        let mut out: Vec<u8> = Vec::with_capacity(raw.len());
        let mut units: Vec<u16> = Vec::new();
        let mut at = 0;
        while let Some(&b) = raw.get(at) {
            if b == b'\\' && raw.get(at + 1) == Some(&b'u') {
                let digits = raw.get(at + 2..at + 6).unwrap_or_default();
                let digits = std::str::from_utf8(digits).unwrap_or_default();
                units.push(u16::from_str_radix(digits, 16).unwrap_or(0xfffd));
                at += 6;
                continue;
            }
            flush_units(&mut units, &mut out);
            if b == b'\\' {
                out.push(match raw.get(at + 1) {
                    Some(b'b') => 8,
                    Some(b'f') => 12,
                    Some(b'n') => b'\n',
                    Some(b'r') => b'\r',
                    Some(b't') => b'\t',
                    Some(&other) => other,
                    None => b'\\',
                });
                at += 2;
            } else {
                out.push(b);
                at += 1;
            }
        }
        flush_units(&mut units, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

fn flush_units(units: &mut Vec<u16>, out: &mut Vec<u8>) {
    for c in char::decode_utf16(units.drain(..)) {
        let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// What may come next while a text is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrArrayEnd,
    Key,
    KeyOrObjectEnd,
    Colon,
    AfterValue,
}

fn unexpected(json: &[u8], at: usize, context: &str) -> JsonError {
    let text = match json.get(at) {
        None => "unexpected end of JSON input".to_owned(),
        Some(b'\'') => format!(r"invalid character '\'' {context}"),
        Some(b'"') => format!("invalid character '\"' {context}"),
        Some(&byte) => {
            let quoted = quote(char::from(byte).encode_utf8(&mut [0; 4]).as_bytes());
            let shown = quoted.trim_matches('"');
            format!("invalid character '{shown}' {context}")
        }
    };
    JsonError { text, at: Some(at + 1), cut: at >= json.len() }
}

/// In the middle of a literal, a number or an escape. A text that ends there is judged as if a blank
/// followed.
fn unexpected_inside(json: &[u8], at: usize, context: &str) -> JsonError {
    match json.get(at) {
        None => {
            let text = format!("invalid character ' ' {context}");
            JsonError { text, at: Some(at + 1), cut: true }
        }
        Some(_) => unexpected(json, at, context),
    }
}

/// Checks that the text is one JSON value.
fn check(json: &[u8]) -> Result<(), JsonError> {
    let end = check_next(json, 0)?;
    let rest = json.get(end..).unwrap_or_default();
    match rest.iter().position(|byte| !is_blank(*byte)) {
        None => Ok(()),
        Some(at) => Err(unexpected(json, end + at, "after top-level value")),
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Checks the JSON value that comes next from `at` on; gives the position behind it.
///
/// # Errors
/// Where the text is no JSON, with the words of the reference.
pub fn check_next(json: &[u8], mut at: usize) -> Result<usize, JsonError> {
    // Whether each open level is an object.
    let mut open: Vec<bool> = Vec::new();
    let mut expect = Expect::Value;
    loop {
        if expect == Expect::AfterValue && open.is_empty() {
            return Ok(at);
        }
        while json.get(at).copied().is_some_and(is_blank) {
            at += 1;
        }
        let next = json.get(at).copied();
        match (expect, next) {
            (Expect::ValueOrArrayEnd, Some(b']')) | (Expect::KeyOrObjectEnd, Some(b'}')) => {
                open.pop();
                expect = Expect::AfterValue;
                at += 1;
            }
            (Expect::Value | Expect::ValueOrArrayEnd, Some(bracket @ (b'{' | b'['))) => {
                if open.len() >= MAX_DEPTH {
                    return Err(unexpected(json, at, "exceeded max depth"));
                }
                let object = bracket == b'{';
                open.push(object);
                expect = if object { Expect::KeyOrObjectEnd } else { Expect::ValueOrArrayEnd };
                at += 1;
            }
            (Expect::Value | Expect::ValueOrArrayEnd, _) => {
                at = scalar(json, at)?;
                expect = Expect::AfterValue;
            }
            (Expect::Key | Expect::KeyOrObjectEnd, Some(b'"')) => {
                at = string(json, at)?;
                expect = Expect::Colon;
            }
            (Expect::Key | Expect::KeyOrObjectEnd, _) => {
                return Err(unexpected(json, at, "looking for beginning of object key string"));
            }
            (Expect::Colon, Some(b':')) => {
                expect = Expect::Value;
                at += 1;
            }
            (Expect::Colon, _) => return Err(unexpected(json, at, "after object key")),
            (Expect::AfterValue, _) => {
                let context = match (open.last(), next) {
                    (Some(true), Some(b',')) => {
                        expect = Expect::Key;
                        None
                    }
                    (Some(false), Some(b',')) => {
                        expect = Expect::Value;
                        None
                    }
                    (Some(true), Some(b'}')) | (Some(false), Some(b']')) => {
                        open.pop();
                        None
                    }
                    (Some(true), _) => Some("after object key:value pair"),
                    (Some(false), _) => Some("after array element"),
                    // A complete value was returned above.
                    (None, _) => None,
                };
                if let Some(context) = context {
                    return Err(unexpected(json, at, context));
                }
                at += 1;
            }
        }
    }
}

/// Passes over a string, number or literal; gives the position behind it.
fn scalar(json: &[u8], at: usize) -> Result<usize, JsonError> {
    match json.get(at) {
        Some(b'"') => string(json, at),
        Some(b'-' | b'0'..=b'9') => number(json, at),
        Some(b't') => literal(json, at, "true"),
        Some(b'f') => literal(json, at, "false"),
        Some(b'n') => literal(json, at, "null"),
        _ => Err(unexpected(json, at, "looking for beginning of value")),
    }
}

fn literal(json: &[u8], start: usize, word: &str) -> Result<usize, JsonError> {
    for (n, letter) in word.bytes().enumerate() {
        if json.get(start + n) != Some(&letter) {
            let context = format!("in literal {word} (expecting '{}')", char::from(letter));
            return Err(unexpected_inside(json, start + n, &context));
        }
    }
    Ok(start + word.len())
}

fn string(json: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut at = start + 1;
    loop {
        match json.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => match json.get(at + 1) {
                Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => at += 2,
                Some(b'u') => {
                    at += 2;
                    for _ in 0..4 {
                        if !json.get(at).is_some_and(u8::is_ascii_hexdigit) {
                            let context = r"in \u hexadecimal character escape";
                            return Err(unexpected_inside(json, at, context));
                        }
                        at += 1;
                    }
                }
                _ => return Err(unexpected_inside(json, at + 1, "in string escape code")),
            },
            Some(0x20..) => at += 1,
            _ => return Err(unexpected(json, at, "in string literal")),
        }
    }
}

fn digits(json: &[u8], at: usize) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn number(json: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut at = start;
    if json.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match json.get(at) {
        Some(b'0') => at + 1,
        Some(b'1'..=b'9') => digits(json, at),
        _ => return Err(unexpected_inside(json, at, "in numeric literal")),
    };
    if json.get(at) == Some(&b'.') {
        let end = digits(json, at + 1);
        if end == at + 1 {
            return Err(unexpected_inside(json, end, "after decimal point in numeric literal"));
        }
        at = end;
    }
    if matches!(json.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(json.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        let end = digits(json, at);
        if end == at {
            return Err(unexpected_inside(json, at, "in exponent of numeric literal"));
        }
        at = end;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [(&str, Kind); 5] = [
        ("user", Kind::Text),
        ("verbose", Kind::Bool),
        ("protocol", INT),
        ("import", Kind::Permission),
        ("urls", Kind::Texts),
    ];

    fn decoded(json: impl AsRef<[u8]>) -> (Result<(), String>, Vec<(usize, Value)>) {
        let mut values = Vec::new();
        let result = decode(json.as_ref(), "ClientOpts", &FIELDS, &mut |at, v| {
            values.push((at, v));
        });
        (result.map_err(|e| e.to_string()), values)
    }

    fn text(s: &str) -> Value {
        Value::Text(s.to_owned())
    }

    #[test]
    fn fields_are_taken_in_any_case_and_order() {
        let json = r#" {"USER" : "joe", "what":[{"user":"x"},"]"], "protocol":-1,"user":"ann",
            "Verbose":true,"import":{"allow":["a"],"DENY":null,"x":5},"urls":["a",null]} "#;
        let values = vec![
            (0, text("joe")),
            (2, Value::Integer(-1)),
            (0, text("ann")),
            (1, Value::Bool(true)),
            (4, Value::Texts(vec!["a".to_owned(), String::new()])),
        ];
        assert_eq!(decoded(json), (Ok(()), values));
        assert_eq!(decoded("null"), (Ok(()), vec![]));
        assert_eq!(decoded(r#"{"user":null,"verbose":null}"#), (Ok(()), vec![]));
        assert_eq!(decoded("{}").0, Ok(()));
    }

    #[test]
    fn strings_are_unescaped_and_what_is_no_text_is_replaced() {
        let cases: [(&[u8], &str); 6] = [
            (br#"a\"b\\\/\b\f\n\r\t"#, "a\"b\\/\u{8}\u{c}\n\r\t"),
            (br"\u00e9\u0041", "\u{e9}A"),
            (br"\ud83d\ude00", "\u{1f600}"),
            (br"a\ud800b", "a\u{fffd}b"),
            (br"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (b"\xc3\xa9\xff", "\u{e9}\u{fffd}"),
        ];
        for (escaped, plain) in cases {
            let json = [b"{\"user\":\"", escaped, b"\"}"].concat();
            assert_eq!(decoded(json), (Ok(()), vec![(0, text(plain))]));
        }
    }

    #[test]
    fn what_is_no_json_is_named_with_its_place() {
        for (json, error) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            (r#"{"a"#, "unexpected end of JSON input"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{} x", "invalid character 'x' after top-level value"),
            (r#"{"a":}"#, "invalid character '}' looking for beginning of value"),
            (r#"{"a":[1,]}"#, "invalid character ']' looking for beginning of value"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":1 2}"#, "invalid character '2' after object key:value pair"),
            (r#"{"a":01}"#, "invalid character '1' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            (r#"{"a":tru}"#, "invalid character '}' in literal true (expecting 'e')"),
            ("nul", "invalid character ' ' in literal null (expecting 'l')"),
            (r#"{"a":t"#, "invalid character ' ' in literal true (expecting 'r')"),
            ("-", "invalid character ' ' in numeric literal"),
            ("1.", "invalid character ' ' after decimal point in numeric literal"),
            ("1e", "invalid character ' ' in exponent of numeric literal"),
            ("\"\\", "invalid character ' ' in string escape code"),
            ("\"\\u1", "invalid character ' ' in \\u hexadecimal character escape"),
            (r#"{"a":"x\q"}"#, "invalid character 'q' in string escape code"),
            (r#"{"a":"\u12g4"}"#, r"invalid character 'g' in \u hexadecimal character escape"),
            ("{\"a\":\"\u{1}\"}", r"invalid character '\x01' in string literal"),
            ("{\"a\":-}", "invalid character '}' in numeric literal"),
            ("{\"a\":1.}", "invalid character '}' after decimal point in numeric literal"),
            ("{\"a\":1e}", "invalid character '}' in exponent of numeric literal"),
            ("'", r"invalid character '\'' looking for beginning of value"),
        ] {
            assert_eq!(decoded(json), (Err(error.to_owned()), vec![]), "{json}");
        }
    }

    #[test]
    fn values_of_a_wrong_type_are_named_and_the_others_taken() {
        for (json, error) in [
            ("[]", "array into Go value of type server.ClientOpts"),
            ("5", "number into Go value of type server.ClientOpts"),
            (r#""a""#, "string into Go value of type server.ClientOpts"),
            ("true", "bool into Go value of type server.ClientOpts"),
            (r#"{"user":1}"#, "number into Go struct field ClientOpts.user of type string"),
            (r#"{"User":[]}"#, "array into Go struct field ClientOpts.user of type string"),
            (r#"{"verbose":"x"}"#, "string into Go struct field ClientOpts.verbose of type bool"),
            (
                r#"{"protocol":1.5}"#,
                "number 1.5 into Go struct field ClientOpts.protocol of type int",
            ),
            (
                r#"{"protocol":1e0}"#,
                "number 1e0 into Go struct field ClientOpts.protocol of type int",
            ),
            (r#"{"protocol":true}"#, "bool into Go struct field ClientOpts.protocol of type int"),
            (
                r#"{"import":5}"#,
                "number into Go struct field ClientOpts.import of type server.SubjectPermission",
            ),
            (
                r#"{"import":{"allow":5}}"#,
                "number into Go struct field SubjectPermission.import.allow of type []string",
            ),
        ] {
            let error = format!("json: cannot unmarshal {error}");
            assert_eq!(decoded(json), (Err(error), vec![]), "{json}");
        }
        // The elements that are strings are taken.
        let (result, values) = decoded(r#"{"urls":[1,"a"]}"#);
        let error =
            "json: cannot unmarshal number into Go struct field ClientOpts.urls of type string";
        assert_eq!(result, Err(error.to_owned()));
        assert_eq!(values, [(4, Value::Texts(vec!["a".to_owned()]))]);
        let (result, values) = decoded(r#"{"user":1,"verbose":2,"protocol":3}"#);
        assert!(result.unwrap_err().contains("ClientOpts.user"));
        assert_eq!(values, [(2, Value::Integer(3))]);
    }

    #[test]
    fn depth_is_bounded_and_costs_no_stack() {
        let nested = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(decoded(nested(MAX_DEPTH - 1)).0, Ok(()));
        let error = "invalid character '[' exceeded max depth";
        assert_eq!(decoded(nested(MAX_DEPTH)).0, Err(error.to_owned()));
        assert!(decoded("[".repeat(1_000_000)).0.is_err());
    }
}
