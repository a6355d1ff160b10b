//! Typed query parameters and the texts for values that are none ("spec 04, 2").
//!
//! An absent or empty parameter is false or zero. The error text is the body of a 400 answer.

use super::request::Query;
use parser::quote::quoted;

/// Whether `subs` asks for no subscriptions, a list, or details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscriptions {
    /// Leave them out.
    No,
    /// List their subjects.
    List,
    /// Show each with all its fields.
    Detail,
}

/// A truth value.
///
/// # Errors
/// The text to answer with.
pub fn bool(query: &Query, name: &str) -> Result<bool, String> {
    match query.get(name) {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        value => Err(format!(
            "Error decoding boolean for '{name}': strconv.ParseBool: parsing {}: invalid syntax",
            quoted(value)
        )),
    }
}

/// A signed number.
///
/// # Errors
/// The text to answer with.
pub fn int(query: &Query, name: &str) -> Result<i64, String> {
    match query.get(name) {
        "" => Ok(0),
        value => value.parse().map_err(|error| number_error("int", "Atoi", name, value, &error)),
    }
}

/// An unsigned number.
///
/// # Errors
/// The text to answer with.
pub fn uint64(query: &Query, name: &str) -> Result<u64, String> {
    let value = query.get(name);
    if value.is_empty() {
        return Ok(0);
    }
    // Unlike the signed form, this one takes no sign at all.
    let parsed = if value.starts_with('+') { "+".parse() } else { value.parse() };
    parsed.map_err(|error| number_error("uint64", "ParseUint", name, value, &error))
}

/// The parameter `subs` where it knows `detail`.
///
/// # Errors
/// The text to answer with.
pub fn subscriptions(query: &Query) -> Result<Subscriptions, String> {
    if query.get("subs").eq_ignore_ascii_case("detail") {
        return Ok(Subscriptions::Detail);
    }
    Ok(if bool(query, "subs")? { Subscriptions::List } else { Subscriptions::No })
}

fn number_error(
    kind: &str,
    function: &str,
    name: &str,
    value: &str,
    error: &std::num::ParseIntError,
) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let reason = match error.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    let value = quoted(value);
    format!("Error decoding {kind} for '{name}': strconv.{function}: parsing {value}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_empty_parameters_are_zero() {
        let query = Query::parse("b=&n=&u=");
        assert_eq!(bool(&query, "b"), Ok(false));
        assert_eq!(int(&query, "n"), Ok(0));
        assert_eq!(uint64(&query, "u"), Ok(0));
        assert_eq!(bool(&query, "absent"), Ok(false));
        assert_eq!(subscriptions(&query), Ok(Subscriptions::No));
    }

    #[test]
    fn values_are_parsed() {
        let query = Query::parse("b=True&n=-5&p=%2B5&u=18446744073709551615&subs=DeTail");
        assert_eq!(bool(&query, "b"), Ok(true));
        assert_eq!(int(&query, "n"), Ok(-5));
        assert_eq!(int(&query, "p"), Ok(5));
        assert_eq!(uint64(&query, "u"), Ok(u64::MAX));
        assert_eq!(subscriptions(&query), Ok(Subscriptions::Detail));
        assert_eq!(subscriptions(&Query::parse("subs=1")), Ok(Subscriptions::List));
    }

    #[test]
    fn bad_values_are_answered_with_the_reference_text() {
        let query = Query::parse("b=yes&n=x&big=99999999999999999999&u=-1&plus=%2B1&subs=some");
        let boolean = |name: &str, value: &str| {
            Err(format!(
                "Error decoding boolean for '{name}': strconv.ParseBool: \
                 parsing \"{value}\": invalid syntax"
            ))
        };
        assert_eq!(bool(&query, "b"), boolean("b", "yes"));
        assert_eq!(subscriptions(&query), boolean("subs", "some").map(|_: bool| Subscriptions::No));
        let errors = [
            int(&query, "n").map(drop),
            int(&query, "big").map(drop),
            uint64(&query, "u").map(drop),
            uint64(&query, "plus").map(drop),
        ];
        let expected = [
            "Error decoding int for 'n': strconv.Atoi: parsing \"x\": invalid syntax",
            "Error decoding int for 'big': strconv.Atoi: parsing \"99999999999999999999\": \
             value out of range",
            "Error decoding uint64 for 'u': strconv.ParseUint: parsing \"-1\": invalid syntax",
            "Error decoding uint64 for 'plus': strconv.ParseUint: parsing \"+1\": invalid syntax",
        ];
        for (error, expected) in errors.into_iter().zip(expected) {
            assert_eq!(error, Err(expected.to_owned()));
        }
    }
}
