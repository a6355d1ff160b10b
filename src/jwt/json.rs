//! Reading JSON objects as the reference does: names match in any case, `null` counts as missing,
//! and a value of another type than asked for is an error.

use super::DecodeError;
use serde_json::{Map, Value};

/// An object, or a missing one, which has no members.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    map: Option<&'a Map<String, Value>>,
    /// What it is called in errors.
    name: &'a str,
}

fn type_name(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(n) => format!("number {n}"),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

impl<'a> Object<'a> {
    /// A value that has to be an object.
    pub fn of(value: &'a Value, name: &'a str) -> Result<Object<'a>, DecodeError> {
        match value {
            Value::Null => Ok(Object { map: None, name }),
            Value::Object(map) => Ok(Object { map: Some(map), name }),
            _ => Err(DecodeError::other(format!(
                "json: cannot unmarshal {} into Go value of type jwt.{name}",
                type_name(value)
            ))),
        }
    }

    fn wrong(&self, field: &str, value: &Value, wanted: &str) -> DecodeError {
        let (found, name) = (type_name(value), self.name);
        DecodeError::other(format!(
            "json: cannot unmarshal {found} into Go struct field {name}.{field} of type {wanted}"
        ))
    }

    /// The members, if it is there.
    pub fn members(&self) -> Option<&'a Map<String, Value>> {
        self.map
    }

    /// A member that is there and not `null`.
    pub fn value(&self, field: &str) -> Option<&'a Value> {
        let map = self.map?;
        let found = map.get(field).or_else(|| {
            map.iter().find(|(key, _)| key.eq_ignore_ascii_case(field)).map(|(_, value)| value)
        });
        found.filter(|value| !value.is_null())
    }

    pub fn text(&self, field: &str) -> Result<String, DecodeError> {
        match self.value(field) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(self.wrong(field, other, "string")),
        }
    }

    pub fn integer(&self, field: &str) -> Result<i64, DecodeError> {
        self.integer_or(field, 0)
    }

    pub fn integer_or(&self, field: &str, default: i64) -> Result<i64, DecodeError> {
        match self.value(field) {
            None => Ok(default),
            Some(value) => value.as_i64().ok_or_else(|| self.wrong(field, value, "int64")),
        }
    }

    pub fn boolean(&self, field: &str) -> Result<bool, DecodeError> {
        match self.value(field) {
            None => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(other) => Err(self.wrong(field, other, "bool")),
        }
    }

    /// The member of that name as an object; one without members if it is missing.
    pub fn object(&self, field: &'a str) -> Result<Object<'a>, DecodeError> {
        match self.value(field) {
            None => Ok(Object { map: None, name: field }),
            Some(value) => Object::of(value, field),
        }
    }

    /// An array; `None` if it is missing.
    pub fn array(&self, field: &str) -> Result<Option<&'a [Value]>, DecodeError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.wrong(field, other, "[]interface {}")),
        }
    }

    /// An array of strings; `None` if it is missing.
    pub fn texts(&self, field: &str) -> Result<Option<Vec<String>>, DecodeError> {
        let Some(items) = self.array(field)? else { return Ok(None) };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::String(text) => texts.push(text.clone()),
                Value::Null => texts.push(String::new()),
                other => return Err(self.wrong(field, other, "string")),
            }
        }
        Ok(Some(texts))
    }

    /// The members of a member, whose values are whole numbers.
    pub fn numbers(
        &self,
        field: &'a str,
    ) -> Result<std::collections::BTreeMap<String, i64>, DecodeError> {
        let object = self.object(field)?;
        let mut numbers = std::collections::BTreeMap::new();
        for (key, value) in object.map.into_iter().flatten() {
            let number = value.as_i64().ok_or_else(|| object.wrong(key, value, "int64"))?;
            numbers.insert(key.clone(), number);
        }
        Ok(numbers)
    }
}
