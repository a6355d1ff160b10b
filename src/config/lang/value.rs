//! Values of a configuration, each with the place it was read from.

use crate::config::text;
use indexmap::IndexMap;
use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;

/// A place in a configuration file, printed as `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file as it was named on the command line or in the include; empty for a text.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: usize,
    /// Distance in bytes from the preceding newline: counted from 1, but from 0 on line 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// In a table the position of the key; in an array that of the value. Absent inside values
    /// from environment variables.
    pub position: Option<Position>,
    /// Whether the key was referenced as a variable; unknown fields are allowed for such keys.
    pub used_as_variable: bool,
}

/// The types of values.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Text; possibly not UTF-8, since escapes can make any byte.
    String(Arc<[u8]>),
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// A whole number, its size suffix applied.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// A point in time.
    Datetime(Datetime),
    /// A list.
    Array(Arc<Array>),
    /// A map.
    Table(Arc<Table>),
}

/// A UTC time with the precision of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datetime {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
}

impl Datetime {
    /// Parses `YYYY-MM-DDTHH:MM:SSZ`; `None` if that is no time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Datetime> {
        let part = |from: usize, to: usize| text.get(from..to)?.parse::<u8>().ok();
        let time = Datetime {
            year: text.get(0..4)?.parse().ok()?,
            month: part(5, 7)?,
            day: part(8, 10)?,
            hour: part(11, 13)?,
            minute: part(14, 16)?,
            second: part(17, 19)?,
        };
        let leap = time.year.is_multiple_of(4)
            && (!time.year.is_multiple_of(100) || time.year.is_multiple_of(400));
        let days = match time.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let valid = (1..=days).contains(&time.day)
            && time.hour < 24
            && time.minute < 60
            && time.second < 60;
        valid.then_some(time)
    }
}

impl fmt::Display for Datetime {
    /// RFC 3339.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Datetime { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// How large a value is with all its references expanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Levels of nesting, 0 for a scalar.
    pub depth: usize,
    /// About the bytes of its textual form.
    pub bytes: u64,
}

impl Extent {
    fn add(&mut self, key: usize, value: &Value) {
        let inner = value.extent();
        self.depth = self.depth.max(inner.depth.saturating_add(1));
        // Quotes, colon and comma.
        let key = u64::try_from(key).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(inner.bytes).saturating_add(key).saturating_add(4);
    }
}

/// A list of values.
#[derive(Clone, Debug, Default)]
pub struct Array {
    items: Vec<Value>,
    extent: Extent,
}

impl Array {
    pub(super) fn push(&mut self, value: Value) {
        self.extent.add(0, &value);
        self.items.push(value);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.extent.bytes
    }

    /// The values in order.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        &self.items
    }
}

/// A map from keys to values, in the order in which the keys first appeared.
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: IndexMap<String, Value, ahash::RandomState>,
    extent: Extent,
}

impl Table {
    /// Sets a key; the last value of a key wins.
    pub(super) fn insert(&mut self, key: String, value: Value) {
        self.extent.add(key.len(), &value);
        self.entries.insert(key, value);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.extent.bytes
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.entries.get_mut(key)
    }

    /// The value of a key, compared as it was written.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Value {
    pub(super) fn extent(&self) -> Extent {
        match &self.kind {
            Kind::String(text) => {
                Extent { depth: 0, bytes: u64::try_from(text.len()).unwrap_or(u64::MAX) }
            }
            Kind::Array(array) => array.extent,
            Kind::Table(table) => table.extent,
            _ => Extent { depth: 0, bytes: 8 },
        }
    }

    /// The name of the value's type in error texts.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.kind.type_name()
    }

    /// The text of a string, bytes that are not UTF-8 replaced.
    #[must_use]
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match &self.kind {
            Kind::String(text) => Some(String::from_utf8_lossy(text)),
            _ => None,
        }
    }

    /// The values of an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value]> {
        match &self.kind {
            Kind::Array(array) => Some(array.items()),
            _ => None,
        }
    }

    /// The table.
    #[must_use]
    pub fn as_table(&self) -> Option<&Table> {
        match &self.kind {
            Kind::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The form in which an error text shows a value where it expects text.
    #[must_use]
    pub fn as_verb_s(&self) -> String {
        match &self.kind {
            Kind::Integer(_) | Kind::Bool(_) | Kind::Float(_) => {
                format!("%!s({}={self})", self.type_name())
            }
            _ => self.to_string(),
        }
    }

    /// The form in which an error text quotes a value whatever its type.
    #[must_use]
    pub fn quoted(&self) -> String {
        match &self.kind {
            Kind::String(bytes) => text::quote(&String::from_utf8_lossy(bytes)),
            Kind::Integer(code) => {
                let c = u32::try_from(*code).ok().and_then(char::from_u32);
                text::quote_char(c.unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            Kind::Bool(_) | Kind::Float(_) => format!("%!q({}={self})", self.type_name()),
            _ => self.to_string(),
        }
    }
}

impl Kind {
    /// The name of the type in error texts.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Kind::String(_) => "string",
            Kind::Bool(_) => "bool",
            Kind::Integer(_) => "int64",
            Kind::Float(_) => "float64",
            Kind::Datetime(_) => "time.Time",
            Kind::Array(_) => "[]interface {}",
            Kind::Table(_) => "map[string]interface {}",
        }
    }
}

/// The most bytes of nested values that are printed into an error text.
const PRINTED_LIMIT: u64 = 4096;

impl fmt::Display for Value {
    /// The plain form of error texts: `[a b]`, `map[k:v]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::String(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Kind::Bool(on) => on.fmt(f),
            Kind::Integer(number) => number.fmt(f),
            Kind::Float(number) => f.write_str(&text::float(*number)),
            Kind::Datetime(time) => {
                let text = time.to_string();
                let (day, clock) = text.split_once('T').unwrap_or((&text, ""));
                write!(f, "{day} {} +0000 UTC", clock.trim_end_matches('Z'))
            }
            Kind::Array(_) if self.extent().bytes > PRINTED_LIMIT => f.write_str("[...]"),
            Kind::Table(_) if self.extent().bytes > PRINTED_LIMIT => f.write_str("map[...]"),
            Kind::Array(array) => {
                f.write_char('[')?;
                for (i, item) in array.items().iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { " " })?;
                }
                f.write_char(']')
            }
            Kind::Table(table) => {
                f.write_str("map[")?;
                for (i, (key, value)) in table.iter().enumerate() {
                    write!(f, "{}{key}:{value}", if i == 0 { "" } else { " " })?;
                }
                f.write_char(']')
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_times_are_datetimes() {
        let time = Datetime::parse("2024-02-29T23:59:58Z").unwrap();
        assert_eq!(time.to_string(), "2024-02-29T23:59:58Z");
        for text in [
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-04-31T00:00:00Z",
            "2024-04-00T00:00:00Z",
            "2024-04-01T24:00:00Z",
            "2024-04-01T00:60:00Z",
            "2024-04-01T00:00:60Z",
            "1900-02-29T00:00:00Z",
            "",
        ] {
            assert_eq!(Datetime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn values_print_as_in_error_texts() {
        let value = |kind| Value { kind, position: None, used_as_variable: false };
        let mut array = Array::default();
        array.push(value(Kind::Integer(1)));
        array.push(value(Kind::Bool(true)));
        let mut table = Table::default();
        table.insert("a".to_owned(), value(Kind::Array(Arc::new(array))));
        table.insert("b".to_owned(), value(Kind::Float(1.5)));
        let table = value(Kind::Table(Arc::new(table)));
        assert_eq!(table.to_string(), "map[a:[1 true] b:1.5]");
        assert_eq!(table.extent().depth, 2);
        let time = Datetime::parse("2016-05-04T18:53:41Z").unwrap();
        assert_eq!(value(Kind::Datetime(time)).to_string(), "2016-05-04 18:53:41 +0000 UTC");
        assert_eq!(value(Kind::Bool(true)).quoted(), "%!q(bool=true)");
        assert_eq!(value(Kind::Integer(65)).quoted(), "'A'");
        assert_eq!(value(Kind::String(b"a\"".as_slice().into())).quoted(), r#""a\"""#);
    }
}
