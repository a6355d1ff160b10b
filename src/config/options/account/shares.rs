//! Reading what accounts share: `exports` and `imports` (spec 02 §5.8).
//!
//! Whether an entry is about a stream or a service may stand anywhere in it, so an entry is read
//! whole before it is judged.

use super::{
    AccountOptions, ResponseType, ServiceExport, ServiceImport, ServiceLatency, StreamExport,
    StreamImport,
};
use crate::config::lang::{Kind, Table, Value};
use crate::config::load::{Loader, array, boolean, integer, string};
use crate::config::report::Diagnostic;
use crate::config::text::{self, quote};

/// What an entry of either list is about.
enum Shared {
    Stream(String),
    Service(String),
}

/// A directive for services, and where it stands.
struct Directive<'v, T> {
    value: T,
    at: &'v Value,
}

/// Percentage of requests measured if not configured.
const DEFAULT_SAMPLING: u8 = 100;

impl Loader<'_> {
    pub(super) fn account_exports(&mut self, account: &mut AccountOptions, value: &Value) {
        let Some(items) = value.as_array() else {
            let found = value.type_name();
            self.error(value, format!("Exports should be an array, got {found}"));
            return;
        };
        for item in items {
            let result = self.export(account, item);
            self.ok(result);
        }
    }

    fn export(&mut self, account: &mut AccountOptions, item: &Value) -> Result<(), Diagnostic> {
        let Some(fields) = item.as_table() else {
            let found = item.type_name();
            let text = format!("Export Items should be a map with type entry, got {found}");
            return Err(Diagnostic::at(item, text));
        };
        let mut shared = None;
        let mut accounts: Option<Vec<String>> = None;
        let mut position = 0;
        let mut response: Option<Directive<ResponseType>> = None;
        let mut threshold: Option<Directive<Option<std::time::Duration>>> = None;
        let mut latency: Option<Directive<Option<ServiceLatency>>> = None;
        let mut trace: Option<Directive<bool>> = None;
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "stream" => self.export_name(&mut shared, true, value),
                "service" => self.export_name(&mut shared, false, value),
                "response" | "response_type" => {
                    if response.is_some() {
                        self.error(value, "Duplicate response type definition");
                        continue;
                    }
                    let kind = response_type(value);
                    let kind = self.ok(kind).unwrap_or_default();
                    response = Some(Directive { value: kind, at: value });
                }
                "threshold" | "response_threshold" | "response_max_time" | "response_time" => {
                    if threshold.is_some() {
                        self.error(value, "Duplicate response threshold detected");
                        continue;
                    }
                    let time = response_threshold(value);
                    let time = self.ok(time);
                    threshold = Some(Directive { value: time, at: value });
                }
                "accounts" => {
                    for name in array(value)? {
                        accounts.get_or_insert_default().push(string(name)?);
                    }
                }
                "latency" => {
                    let parsed = service_latency(value);
                    let parsed = self.ok(parsed);
                    latency = Some(Directive { value: parsed, at: value });
                }
                "account_token_position" => {
                    position = u64::try_from(integer(value)?).unwrap_or(u64::MAX);
                }
                "allow_trace" => {
                    trace = Some(Directive { value: boolean(value)?, at: value });
                }
                _ => self.unknown(key, value),
            }
        }
        match shared {
            None => {}
            Some(Shared::Stream(subject)) => {
                let directives = [
                    response.map(|d| (d.at, "response")),
                    threshold.map(|d| (d.at, "response")),
                    latency.map(|d| (d.at, "latency")),
                    trace.map(|d| (d.at, "allow_trace")),
                ];
                for (at, name) in directives.into_iter().flatten() {
                    self.error(at, format!("Detected {name} directive on non-service"));
                }
                account.stream_exports.push(StreamExport {
                    subject,
                    accounts,
                    account_token_position: position,
                });
            }
            Some(Shared::Service(subject)) => account.service_exports.push(ServiceExport {
                subject,
                accounts,
                account_token_position: position,
                response_type: response.map_or_else(ResponseType::default, |d| d.value),
                response_threshold: threshold.and_then(|d| d.value).filter(|t| !t.is_zero()),
                latency: latency.and_then(|d| d.value),
                allow_trace: trace.is_some_and(|d| d.value),
            }),
        }
        Ok(())
    }

    fn export_name(&mut self, shared: &mut Option<Shared>, stream: bool, value: &Value) {
        let (kind, name) = (if stream { "stream" } else { "service" }, value.quoted());
        match shared {
            Some(Shared::Service(_)) if stream => {
                self.error(value, format!("Detected stream {name} but already saw a service"));
            }
            Some(Shared::Stream(_)) if !stream => {
                self.error(value, format!("Detected service {name} but already saw a stream"));
            }
            _ => match string(value) {
                Ok(subject) if stream => *shared = Some(Shared::Stream(subject)),
                Ok(subject) => *shared = Some(Shared::Service(subject)),
                Err(_) => {
                    let found = value.type_name();
                    self.error(value, format!("Expected {kind} name to be string, got {found}"));
                }
            },
        }
    }

    pub(super) fn account_imports(&mut self, account: &mut AccountOptions, value: &Value) {
        let Some(items) = value.as_array() else {
            let found = value.type_name();
            self.error(value, format!("Imports should be an array, got {found}"));
            return;
        };
        for item in items {
            let import = self.import(item);
            let Some(import) = self.ok(import) else { continue };
            match import {
                None => {}
                Some(Import::Stream(stream)) => account.stream_imports.push(stream),
                Some(Import::Service(service)) => {
                    let same = |other: &&ServiceImport| {
                        other.to == service.to && other.account == service.account
                    };
                    match account.service_imports.iter().find(same) {
                        None => account.service_imports.push(service),
                        Some(other) => {
                            let text = format!(
                                "Duplicate service import subject {}, previously used in import for \
                                 account {}, subject {}",
                                quote(&service.to),
                                quote(&other.account),
                                quote(&other.subject)
                            );
                            self.error(item, text);
                        }
                    }
                }
            }
        }
    }

    fn import(&mut self, item: &Value) -> Result<Option<Import>, Diagnostic> {
        let Some(fields) = item.as_table() else {
            let found = item.type_name();
            let text = format!("Import Items should be a map with type entry, got {found}");
            return Err(Diagnostic::at(item, text));
        };
        let mut source: Option<(bool, String, String)> = None;
        let (mut prefix, mut share) = (String::new(), false);
        let mut to: Option<Directive<String>> = None;
        let mut trace: Option<Directive<bool>> = None;
        for (key, value) in fields.iter() {
            let name = key.to_lowercase();
            match name.as_str() {
                "stream" | "service" => {
                    let stream = name == "stream";
                    if source.as_ref().is_some_and(|(other, ..)| *other != stream) {
                        let other = if stream { "service" } else { "stream" };
                        self.error(value, format!("Detected {name} but already saw a {other}"));
                        continue;
                    }
                    let Some(entry) = value.as_table() else {
                        let kind = if stream { "Stream" } else { "Service" };
                        let found = value.type_name();
                        let text = format!("{kind} entry should be an account map, got {found}");
                        self.error(value, text);
                        continue;
                    };
                    let parsed = self.import_source(entry);
                    let Some((account, subject)) = self.ok(parsed) else { continue };
                    if account.is_empty() || subject.is_empty() {
                        self.error(value, "Expect an account name and a subject");
                        continue;
                    }
                    source = Some((stream, account, subject));
                }
                "prefix" => prefix = string(value)?,
                "to" => to = Some(Directive { value: string(value)?, at: value }),
                "share" => share = boolean(value)?,
                "allow_trace" => {
                    trace = Some(Directive { value: boolean(value)?, at: value });
                }
                _ => self.unknown(key, value),
            }
        }
        let Some((stream, account, subject)) = source else { return Ok(None) };
        if stream {
            if let Some(to) = &to
                && !prefix.is_empty()
            {
                let text = "Stream import can not have a 'prefix' and a 'to' property";
                self.error(to.at, text);
            }
            return Ok(Some(Import::Stream(StreamImport {
                account,
                subject,
                prefix,
                to: to.map(|to| to.value).unwrap_or_default(),
                allow_trace: trace.is_some_and(|trace| trace.value),
            })));
        }
        if let Some(trace) = trace {
            self.error(trace.at, "Detected allow_trace directive on a non-stream");
        }
        let to = to.map(|to| to.value).filter(|to| !to.is_empty());
        let to = to.unwrap_or_else(|| subject.clone());
        Ok(Some(Import::Service(ServiceImport { account, subject, to, share })))
    }

    /// The account and subject an import comes from.
    fn import_source(&mut self, fields: &Table) -> Result<(String, String), Diagnostic> {
        let (mut account, mut subject) = (String::new(), String::new());
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "account" => account = string(value)?,
                "subject" => subject = string(value)?,
                _ => self.unknown(key, value),
            }
        }
        Ok((account, subject))
    }
}

enum Import {
    Stream(StreamImport),
    Service(ServiceImport),
}

fn response_type(value: &Value) -> Result<ResponseType, Diagnostic> {
    let Ok(name) = string(value) else {
        let found = value.type_name();
        let text = format!("Expected response type to be string, got {found}");
        return Err(Diagnostic::at(value, text));
    };
    match name.to_lowercase().as_str() {
        "single" | "singleton" => Ok(ResponseType::Singleton),
        "stream" => Ok(ResponseType::Streamed),
        "chunk" | "chunked" => Ok(ResponseType::Chunked),
        _ => Err(Diagnostic::at(value, format!("Unknown response type: {}", quote(&name)))),
    }
}

fn response_threshold(value: &Value) -> Result<std::time::Duration, Diagnostic> {
    let fail = |got: String| {
        let text =
            format!("Expected response threshold to be a parseable time duration, got {got}");
        Diagnostic::at(value, text)
    };
    let written = string(value).map_err(|_| fail(value.type_name().to_owned()))?;
    let time = text::parse_duration(&written).map_err(|_| fail(quote(&written)))?;
    Ok(time.clamp_to_zero())
}

/// A subject, or `{sampling, subject}`.
fn service_latency(block: &Value) -> Result<ServiceLatency, Diagnostic> {
    let fields = match &block.kind {
        Kind::String(_) => {
            return Ok(ServiceLatency { sampling: DEFAULT_SAMPLING, subject: string(block)? });
        }
        Kind::Table(fields) => fields,
        _ => {
            let found = block.type_name();
            let text = format!("Expected latency entry to be a map/struct or string, got {found}");
            return Err(Diagnostic::at(block, text));
        }
    };
    let sampling = match fields.get("sampling") {
        Some(value) => latency_sampling(value)?,
        None => DEFAULT_SAMPLING,
    };
    let Some(value) = fields.get("subject") else {
        return Err(Diagnostic::at(block, "Latency subject required, but missing"));
    };
    let subject = string(value).map_err(|_| {
        // The reference prints the type of the variable it failed to fill.
        Diagnostic::at(value, "Expected latency subject to be a string, got string")
    })?;
    Ok(ServiceLatency { sampling, subject })
}

fn latency_sampling(value: &Value) -> Result<u8, Diagnostic> {
    let number = match &value.kind {
        Kind::Integer(number) => *number,
        Kind::String(_) => {
            let written = string(value)?;
            if written.trim().eq_ignore_ascii_case("headers") {
                return Ok(0);
            }
            let digits = written.strip_suffix('%').unwrap_or(&written);
            text::parse_integer("Atoi", digits).map_err(|error| {
                Diagnostic::at(value, format!("Failed to parse latency sample: {error}"))
            })?
        }
        _ => {
            let found = value.type_name();
            let text = format!("Expected latency sample to be a string or map/struct, got {found}");
            return Err(Diagnostic::at(value, text));
        }
    };
    match u8::try_from(number) {
        Ok(sampling @ 1..=100) => Ok(sampling),
        _ => Err(Diagnostic::at(value, "bad sampling percentage, should be 1-100")),
    }
}
