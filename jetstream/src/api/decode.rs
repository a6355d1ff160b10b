//! Decoding the JSON of requests as the reference does (spec 07c §C1.4).
//!
//! A [`Shape`] tells what a request may hold. The text is checked and brought into the form that
//! the types of this crate read: names as they are spelled here, unknown fields and `null` taken
//! out, the last of several duplicates kept. Errors have the reference's words, and the first one
//! counts.

use parser::json_input::{Reader, check_next};
use parser::quote::quote;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A kind of value.
#[derive(Clone, Copy)]
pub enum Shape {
    /// A boolean.
    Bool,
    /// A string.
    Text,
    /// A whole number of the named type, within bounds.
    Integer(&'static str, i64, i64),
    /// A whole number of 64 bits without sign.
    Unsigned,
    /// A date and time of RFC 3339.
    Time,
    /// One of a few words.
    Words(&'static [&'static str], Unknown),
    /// An array.
    List(&'static Shape),
    /// An object of strings under any name.
    Map,
    /// An object.
    Object(&'static Object),
    /// The same, where the reference's type names have a star in lists.
    Pointer(&'static Object),
}

/// How a word that is none of the known ones is refused.
#[derive(Clone, Copy)]
pub enum Unknown {
    /// `can not unmarshal "\"x\""`.
    CanNotUnmarshal,
    /// The same, and known words may be written in any case.
    AnyCase,
    /// A text of its own.
    Says(&'static str),
    /// A text of its own, and what was given.
    SaysWhat(&'static str),
}

/// The fields of an object.
pub struct Object {
    /// The name of the reference's type.
    pub name: &'static str,
    /// The fields with their names.
    pub fields: &'static [(&'static str, Shape)],
    /// Fields that are part of another type, which errors name.
    pub embedded: Option<&'static Object>,
}

/// 64 bits, under the given name.
pub const fn int64(name: &'static str) -> Shape {
    Shape::Integer(name, i64::MIN, i64::MAX)
}

impl Shape {
    fn type_name(self) -> String {
        match self {
            Shape::Bool => "bool".to_owned(),
            Shape::Text | Shape::Words(..) => "string".to_owned(),
            Shape::Integer(name, ..) => name.to_owned(),
            Shape::Unsigned => "uint64".to_owned(),
            Shape::Time => "time.Time".to_owned(),
            Shape::List(Shape::Pointer(object)) => format!("[]*server.{}", object.name),
            Shape::List(of) => format!("[]{}", of.type_name()),
            Shape::Map => "map[string]string".to_owned(),
            Shape::Object(object) | Shape::Pointer(object) => format!("server.{}", object.name),
        }
    }
}

/// Decodes a request. Several values one behind the other are taken one after another.
///
/// # Errors
/// The text behind `invalid JSON: `.
pub fn decode<T: DeserializeOwned>(
    json: &[u8],
    object: &'static Object,
    strict: bool,
) -> Result<T, String> {
    let mut taken = Map::new();
    let mut at = 0;
    while json.get(at..).is_some_and(|rest| !rest.trim_ascii().is_empty()) {
        let end = check_next(json, at).map_err(|error| {
            if error.is_cut() {
                return "unexpected EOF".to_owned();
            }
            let read = error.read().map(|read| format!(" at offset {read}"));
            format!("{error}{}", read.unwrap_or_default())
        })?;
        let mut walk = Walk { strict, first: None, refused: None };
        let mut reader = Reader::new(json, at);
        match reader.peek_type() {
            "null" => {}
            "object" => walk.object(&mut reader, object, "", &mut taken),
            found => {
                let name = object.name;
                walk.note(format!(
                    "json: cannot unmarshal {found} into Go value of type server.{name}"
                ));
            }
        }
        if let Some(error) = walk.refused.or(walk.first) {
            return Err(error);
        }
        at = end;
    }
    serde_json::from_value(Value::Object(taken)).map_err(|error| error.to_string())
}

/// Whether a body looks like JSON at all; optional bodies that do not are ignored.
pub fn looks_like_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Whether a body is empty, or an empty object.
pub fn is_empty(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.is_empty()
        || (body.first() == Some(&b'{')
            && body.last() == Some(&b'}')
            && body.len() >= 2
            && body.get(1..body.len() - 1).is_some_and(|inner| inner.trim_ascii().is_empty()))
}

struct Walk {
    strict: bool,
    /// The first value of a wrong type, or unknown field.
    first: Option<String>,
    /// What ended the walk: a value that its own type refused.
    refused: Option<String>,
}

impl Walk {
    fn note(&mut self, error: String) {
        self.first.get_or_insert(error);
    }

    fn wrong(&mut self, found: &str, object: &Object, path: &str, wanted: &str) {
        let name = object.name;
        self.note(format!(
            "json: cannot unmarshal {found} into Go struct field {name}.{path} of type {wanted}"
        ));
    }

    fn object(
        &mut self,
        reader: &mut Reader<'_>,
        object: &'static Object,
        path: &str,
        into: &mut Map<String, Value>,
    ) {
        reader.members(&mut |reader, key| {
            if self.refused.is_some() {
                return reader.skip();
            }
            let Some((name, shape, within)) = find(object, key) else {
                if self.strict {
                    self.note(format!("json: unknown field {}", quote(key.as_bytes())));
                }
                return reader.skip();
            };
            let path = [path, within, name];
            let path: Vec<&str> = path.into_iter().filter(|part| !part.is_empty()).collect();
            let path = path.join(".");
            if let Some(value) = self.value(reader, shape, object, &path, into.get(name)) {
                into.insert(name.to_owned(), value);
            } else {
                // A `null` takes back what came before it only where that was a reference.
                if matches!(shape, Shape::Pointer(_) | Shape::Time | Shape::List(_) | Shape::Map) {
                    into.remove(name);
                }
            }
        });
    }

    /// Takes the value that comes next; `None` for a `null`, or a wrong one.
    fn value(
        &mut self,
        reader: &mut Reader<'_>,
        shape: Shape,
        object: &'static Object,
        path: &str,
        before: Option<&Value>,
    ) -> Option<Value> {
        let found = reader.peek_type();
        match (shape, found) {
            (Shape::Words(known, unknown), _) => return self.word(reader.raw(), known, unknown),
            (_, "null") => {
                reader.skip();
                return None;
            }
            (Shape::Bool, "bool") => return Some(Value::Bool(reader.raw() == b"true")),
            (Shape::Text, "string") => return Some(Value::String(reader.text())),
            (Shape::Time, _) => return self.time(reader, found),
            (Shape::Integer(name, min, max), "number") => {
                let digits = String::from_utf8_lossy(reader.raw()).into_owned();
                let number = digits.parse::<i64>().ok().filter(|n| (min..=max).contains(n));
                if number.is_none() {
                    self.wrong(&format!("number {digits}"), object, path, name);
                }
                return number.map(Value::from);
            }
            (Shape::Unsigned, "number") => {
                let digits = String::from_utf8_lossy(reader.raw()).into_owned();
                let number = digits.parse::<u64>().ok();
                if number.is_none() {
                    self.wrong(&format!("number {digits}"), object, path, "uint64");
                }
                return number.map(Value::from);
            }
            (Shape::List(of), "array") => {
                let mut list = Vec::new();
                reader.elements(&mut |reader| {
                    let value = self.value(reader, *of, object, path, None);
                    // A `null` is an element all the same.
                    list.push(value.unwrap_or_else(|| empty(*of)));
                });
                return Some(Value::Array(list));
            }
            (Shape::Map, "object") => {
                let mut map = Map::new();
                reader.members(&mut |reader, key| {
                    let value = self.value(reader, Shape::Text, object, path, None);
                    map.insert(key.to_owned(), value.unwrap_or_else(|| empty(Shape::Text)));
                });
                return Some(Value::Object(map));
            }
            (Shape::Object(of) | Shape::Pointer(of), "object") => {
                let mut map = before.and_then(Value::as_object).cloned().unwrap_or_default();
                self.object(reader, of, path, &mut map);
                return Some(Value::Object(map));
            }
            _ => self.wrong(found, object, path, &shape.type_name()),
        }
        reader.skip();
        None
    }

    fn word(&mut self, raw: &[u8], known: &[&str], unknown: Unknown) -> Option<Value> {
        let text = String::from_utf8_lossy(raw).into_owned();
        let given = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        let found = given.and_then(|given| {
            known.iter().find(|word| match unknown {
                Unknown::AnyCase => word.eq_ignore_ascii_case(given),
                _ => **word == given,
            })
        });
        if let Some(word) = found {
            return Some(Value::String((*word).to_owned()));
        }
        self.refused = Some(match unknown {
            Unknown::CanNotUnmarshal | Unknown::AnyCase => {
                format!("can not unmarshal {}", quote(text.as_bytes()))
            }
            Unknown::Says(what) => what.to_owned(),
            Unknown::SaysWhat(what) => format!("{what}: {text}"),
        });
        None
    }

    fn time(&mut self, reader: &mut Reader<'_>, found: &str) -> Option<Value> {
        if found != "string" {
            reader.skip();
            self.refused = Some("Time.UnmarshalJSON: input is not a JSON string".to_owned());
            return None;
        }
        let text = reader.text();
        if crate::time::DateTime::parse(&text).is_ok() {
            return Some(Value::String(text));
        }
        let quoted = quote(text.as_bytes());
        self.refused = Some(format!(
            "parsing time {quoted} as \"2006-01-02T15:04:05Z07:00\": cannot parse {quoted} as \
             \"2006\""
        ));
        None
    }
}

/// What a `null`, or a wrong value, leaves in a list.
fn empty(shape: Shape) -> Value {
    match shape {
        Shape::Bool => Value::Bool(false),
        Shape::Text | Shape::Words(..) | Shape::Time => Value::String(String::new()),
        Shape::Integer(..) | Shape::Unsigned => Value::from(0),
        Shape::List(_) => Value::Array(Vec::new()),
        Shape::Map | Shape::Object(_) | Shape::Pointer(_) => Value::Object(Map::new()),
    }
}

/// The field of that name, in any case, with the type it is embedded by.
fn find(object: &'static Object, key: &str) -> Option<(&'static str, Shape, &'static str)> {
    let within = |o: &'static Object, via: &'static str| {
        let exact = o.fields.iter().find(|(name, _)| *name == key);
        let any = exact.or_else(|| o.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(key)));
        any.map(|(name, shape)| (*name, *shape, via))
    };
    within(object, "").or_else(|| {
        let embedded = object.embedded?;
        within(embedded, embedded.name)
    })
}
