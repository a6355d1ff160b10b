//! From a table of values to options: what all blocks need (spec 02 §2).
//!
//! Each block of the configuration has a function that walks its table and fills its options. It
//! reports what is wrong and goes on with the next key; a value of a type that makes no sense
//! ends the block, by returning the error with `?`. Keys are visited in the order in which they
//! stand in the file, which makes every outcome deterministic.

use super::claims::ClaimsDecoder;
use super::environment::Environment;
use super::lang::{Kind, Table, Value};
use super::options::compression::{CompressionMode, CompressionOptions};
use super::options::listen::{Port, WriteTimeout};
use super::report::{Diagnostic, Report};
use super::text::{self, SignedDuration, quote};
use super::url::{Url, split_host_port};
use std::collections::HashSet;
use std::time::Duration;

/// What loading a configuration works with and produces besides options.
pub(super) struct Loader<'e> {
    pub environment: &'e dyn Environment,
    pub claims: &'e dyn ClaimsDecoder,
    pub report: Report,
}

/// The text of a string value.
pub(super) fn string(value: &Value) -> Result<String, Diagnostic> {
    value.as_text().map(Into::into).ok_or_else(|| Diagnostic::wrong_type(value, "string"))
}

/// A boolean value.
pub(super) fn boolean(value: &Value) -> Result<bool, Diagnostic> {
    match value.kind {
        Kind::Bool(on) => Ok(on),
        _ => Err(Diagnostic::wrong_type(value, "bool")),
    }
}

/// A whole number.
pub(super) fn integer(value: &Value) -> Result<i64, Diagnostic> {
    match value.kind {
        Kind::Integer(number) => Ok(number),
        _ => Err(Diagnostic::wrong_type(value, "int64")),
    }
}

/// A whole number cut to 32 bits.
pub(super) fn integer32(value: &Value) -> Result<i32, Diagnostic> {
    let number = integer(value)?;
    let cut = number.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    Ok(i32::try_from(cut).unwrap_or_default())
}

/// A port number.
pub(super) fn port(value: &Value) -> Result<Port, Diagnostic> {
    integer(value).map(Port::new)
}

/// The values of an array.
pub(super) fn array(value: &Value) -> Result<&[Value], Diagnostic> {
    value.as_array().ok_or_else(|| Diagnostic::wrong_type(value, "[]interface {}"))
}

/// A table.
pub(super) fn table(value: &Value) -> Result<&Table, Diagnostic> {
    value.as_table().ok_or_else(|| Diagnostic::wrong_type(value, "map[string]interface {}"))
}

/// A duration in its textual form only.
pub(super) fn duration_text(value: &Value) -> Result<Result<SignedDuration, String>, Diagnostic> {
    Ok(text::parse_duration(&string(value)?))
}

/// The port or address of a listener: a port, or `host:port`.
pub(super) fn listen_address(value: &Value) -> Result<(String, Port), String> {
    if let Kind::Integer(number) = value.kind {
        return Ok((String::new(), Port::new(number)));
    }
    let Some(address) = value.as_text() else {
        return Err(format!("expected port or host:port, got {}", value.type_name()));
    };
    let (host, port) = split_host_port(&address)
        .map_err(|_| format!("could not parse address string {}", quote(&address)))?;
    let number = text::parse_integer("Atoi", port)
        .map_err(|_| format!("could not parse port {}", quote(port)))?;
    Ok((host.to_owned(), Port::new(number)))
}

/// A size in bytes: a number, or a text like `4G`.
pub(super) fn storage_size(value: &Value) -> Result<i64, String> {
    if let Kind::Integer(number) = value.kind {
        return Ok(number);
    }
    let Some(size) = value.as_text() else {
        return Err("must be int64 or string".to_owned());
    };
    let Some(suffix) = size.chars().next_back() else {
        return Ok(0);
    };
    let digits = size.get(..size.len() - suffix.len_utf8()).unwrap_or_default();
    let number = text::parse_integer("ParseInt", digits)?;
    let shift = match suffix {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => return Err("sizes defined as strings must end in K, M, G, T".to_owned()),
    };
    Ok(number.wrapping_mul(1 << shift))
}

/// Seconds, as a number or a duration. The error names the problem without its block.
pub(super) fn seconds(value: &Value) -> Result<f64, String> {
    match &value.kind {
        #[expect(clippy::cast_precision_loss)]
        Kind::Integer(number) => Ok(*number as f64),
        Kind::Float(number) => Ok(*number),
        #[expect(clippy::cast_precision_loss)]
        Kind::String(_) => text::parse_duration(&value.as_text().unwrap_or_default())
            .map(|duration| duration.as_nanos() as f64 / 1e9),
        _ => Err("wrong type".to_owned()),
    }
}

impl Loader<'_> {
    pub(super) fn error(&mut self, value: &Value, text: impl Into<String>) {
        self.report.errors.push(Diagnostic::at(value, text));
    }

    pub(super) fn warning(&mut self, value: &Value, text: impl Into<String>) {
        self.report.warnings.push(Diagnostic::at(value, text));
    }

    /// Warns about the use of a field.
    pub(super) fn questionable(&mut self, field: &str, value: &Value, reason: &str) {
        self.report.warnings.push(Diagnostic::questionable_field(field, value, reason));
    }

    /// Reports a key nobody knows, unless it defines a variable that is in use.
    pub(super) fn unknown(&mut self, key: &str, value: &Value) {
        if !value.used_as_variable {
            self.report.errors.push(Diagnostic::unknown_field(key, value));
        }
    }

    /// The same for blocks that word it in their own way.
    pub(super) fn unknown_as(&mut self, value: &Value, text: String) {
        if !value.used_as_variable {
            self.error(value, text);
        }
    }

    /// The value, or `None` after reporting the error.
    pub(super) fn ok<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.report.errors.push(error);
                None
            }
        }
    }

    /// The value, or `None` after reporting the error at `value`.
    pub(super) fn ok_at<T>(&mut self, value: &Value, result: Result<T, String>) -> Option<T> {
        self.ok(result.map_err(|text| Diagnostic::at(value, text)))
    }

    /// Sets host and port from a listener's address.
    pub(super) fn listen(&mut self, value: &Value, host: &mut String, port: &mut Port) {
        if let Some((new_host, new_port)) = self.ok_at(value, listen_address(value)) {
            (*host, *port) = (new_host, new_port);
        }
    }

    /// A duration; a bare number counts seconds and gets a warning.
    pub(super) fn signed_duration(
        &mut self,
        field: &str,
        value: &Value,
    ) -> Result<SignedDuration, Diagnostic> {
        if let Some(text) = value.as_text() {
            let parsed = text::parse_duration(&text)
                .map_err(|error| format!("error parsing {field}: {error}"));
            return Ok(self.ok_at(value, parsed).unwrap_or_default());
        }
        self.questionable(field, value, &format!("{field} should be converted to a duration"));
        integer(value).map(SignedDuration::from_secs)
    }

    /// The same where less than nothing means nothing.
    pub(super) fn duration(&mut self, field: &str, value: &Value) -> Result<Duration, Diagnostic> {
        self.signed_duration(field, value).map(SignedDuration::clamp_to_zero)
    }

    pub(super) fn write_timeout(&mut self, value: &Value) -> Result<WriteTimeout, Diagnostic> {
        Ok(match string(value)?.as_str() {
            "default" => WriteTimeout::Default,
            "close" => WriteTimeout::Close,
            "retry" => WriteTimeout::Retry,
            _ => {
                self.error(value, "write_timeout must be 'default', 'close' or 'retry'");
                WriteTimeout::Default
            }
        })
    }

    /// One text or an array of texts. `None` if it is neither, which is reported.
    pub(super) fn string_array(&mut self, field: &str, value: &Value) -> Option<Vec<String>> {
        if let Some(text) = value.as_text() {
            return Some(vec![text.into()]);
        }
        let Some(items) = value.as_array() else {
            let found = value.type_name();
            self.error(value, format!("error parsing {field}: unsupported type {found}"));
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.as_text() {
                Some(text) => texts.push(text.into()),
                None => self.error(
                    item,
                    format!(
                        "error parsing {field}: unsupported type in array {}",
                        item.type_name()
                    ),
                ),
            }
        }
        Some(texts)
    }

    /// A list of URLs without duplicates. `None` if any was refused.
    pub(super) fn urls(&mut self, kind: &str, items: &[Value]) -> Option<Vec<Url>> {
        let mut urls = Vec::with_capacity(items.len());
        let mut seen = HashSet::new();
        let mut complete = true;
        for item in items {
            let text = self.ok(string(item))?;
            if !seen.insert(text.clone()) {
                self.questionable(&text, item, &format!("Duplicate {kind} entry detected"));
                continue;
            }
            match self.ok_at(item, url(kind, &text)) {
                Some(url) => urls.push(url),
                None => complete = false,
            }
        }
        complete.then_some(urls)
    }

    /// `compression`. `on` is the mode that plain approval stands for.
    pub(super) fn compression(
        &mut self,
        options: &mut CompressionOptions,
        on: CompressionMode,
        key: &str,
        value: &Value,
    ) -> Result<(), Diagnostic> {
        match &value.kind {
            Kind::String(_) => options.mode = CompressionMode::Named(string(value)?),
            Kind::Bool(true) => options.mode = on,
            Kind::Bool(false) => options.mode = CompressionMode::Off,
            Kind::Table(fields) => {
                for (key, value) in fields.iter() {
                    match key.to_lowercase().as_str() {
                        "mode" => options.mode = CompressionMode::Named(string(value)?),
                        "rtt_thresholds" | "thresholds" | "rtts" | "rtt" => {
                            for item in array(value)? {
                                let threshold = duration_text(item)?
                                    .map_err(|error| Diagnostic::at(value, error))?;
                                options.rtt_thresholds.push(threshold);
                            }
                        }
                        _ if value.used_as_variable => {}
                        _ => {
                            let text = format!("unknown field {}", quote(key));
                            return Err(Diagnostic::at(value, text));
                        }
                    }
                }
            }
            _ => {
                let (key, found) = (quote(key), value.type_name());
                return Err(Diagnostic::at(
                    value,
                    format!("field {key} should be a boolean or a structure, got {found}"),
                ));
            }
        }
        Ok(())
    }

    /// `timeout` of an authorization block, with a warning if it looks like a slip.
    pub(super) fn auth_timeout(
        &mut self,
        block: &str,
        key: &str,
        value: &Value,
    ) -> Result<Duration, Diagnostic> {
        let timeout = seconds(value).map_err(|error| {
            Diagnostic::at(value, format!("error parsing {block} config, 'timeout' {error}"))
        })?;
        if timeout > 60.0 {
            self.questionable(
                key,
                value,
                &format!(
                    "timeout of {value} ({timeout:.6} seconds) is high, consider keeping it under \
                     60 seconds. possibly caused by unquoted duration; use '1m' instead of 1m, \
                     for example"
                ),
            );
        }
        Ok(text::seconds(timeout))
    }
}

/// A URL of a list of that kind.
pub(super) fn url(kind: &str, text: &str) -> Result<Url, String> {
    let text = text.trim();
    Url::parse(text).map_err(|_| format!("error parsing {kind} url [{}]", quote(text)))
}
