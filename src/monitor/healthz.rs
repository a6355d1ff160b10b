//! `/healthz` (spec 04 §3.10).

use super::jetstream::running;
use super::response::Status;
use crate::server::Server;
use jetstream::server::Unhealthy;
use serde::Serialize;

/// What is asked of `/healthz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthzOptions {
    /// Stop when JetStream is found enabled.
    pub js_enabled_only: bool,
    /// Stop when the server itself is found healthy.
    pub js_server_only: bool,
    /// Stop after the JetStream cluster's meta layer.
    pub js_meta_only: bool,
    /// Check this account only.
    pub account: String,
    /// Check this stream only.
    pub stream: String,
    /// Check this consumer only.
    pub consumer: String,
    /// List all errors instead of telling the first.
    pub details: bool,
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorType {
    /// A listener.
    Connection,
    /// The request.
    BadRequest,
    /// JetStream as a whole.
    #[serde(rename = "JETSTREAM")]
    JetStream,
}

/// One of the errors found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthError {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: ErrorType,
    /// What is wrong.
    pub error: String,
}

/// The document at `/healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Healthz {
    /// `ok`, `error` or `unavailable`.
    pub status: &'static str,
    /// The code of the answer, which HTTP has elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// The first error.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// All errors, if details were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<HealthError>,
}

impl Healthz {
    /// The same with the code of the answer.
    #[must_use]
    pub fn with_code(self, status: Status) -> Healthz {
        Healthz { status_code: Some(status.code()), ..self }
    }
}

/// Checks the server's health.
pub fn healthz(server: &Server, options: &HealthzOptions) -> (Status, Healthz) {
    match check(server, options) {
        Ok(()) => (
            Status::Ok,
            Healthz { status: "ok", status_code: None, error: String::new(), errors: Vec::new() },
        ),
        Err(Failure { code, status, kind, error }) => {
            let document = if options.details {
                Healthz {
                    status: "error",
                    status_code: None,
                    error: String::new(),
                    errors: vec![HealthError { kind, error }],
                }
            } else {
                Healthz { status, status_code: None, error, errors: Vec::new() }
            };
            (code, document)
        }
    }
}

struct Failure {
    code: Status,
    status: &'static str,
    kind: ErrorType,
    error: String,
}

fn check(server: &Server, options: &HealthzOptions) -> Result<(), Failure> {
    let bad_request = |error: &str| Failure {
        code: Status::BadRequest,
        status: "error",
        kind: ErrorType::BadRequest,
        error: error.to_owned(),
    };
    if options.account.is_empty() && !options.stream.is_empty() {
        return Err(bad_request("\"account\" must not be empty when checking stream health"));
    }
    if options.stream.is_empty() && !options.consumer.is_empty() {
        return Err(bad_request("\"stream\" must not be empty when checking consumer health"));
    }
    if !server.is_ready() {
        return Err(Failure {
            code: Status::InternalServerError,
            status: "error",
            kind: ErrorType::Connection,
            error: "failed to be ready for connections after 1ms: server".to_owned(),
        });
    }
    if options.js_server_only || !server.options().jetstream.enabled {
        return Ok(());
    }
    let unavailable = |error: String| Failure {
        code: Status::ServiceUnavailable,
        status: "unavailable",
        kind: ErrorType::JetStream,
        error,
    };
    let Some(handle) = running(server) else {
        return Err(unavailable("JetStream not enabled (10076)".to_owned()));
    };
    if options.js_enabled_only || options.js_meta_only {
        return Ok(());
    }
    let (account, stream, consumer) =
        (options.account.clone(), options.stream.clone(), options.consumer.clone());
    let health = handle.ask(move |engine, _, _| engine.check_health(&account, &stream, &consumer));
    let Some(health) = health else {
        return Err(unavailable("JetStream does not answer".to_owned()));
    };
    match health.err().and_then(|wrong| wrong.into_iter().next()) {
        None => Ok(()),
        Some(Unhealthy::Broken(text)) => Err(unavailable(text)),
        Some(Unhealthy::Missing(text)) => {
            Err(Failure { code: Status::NotFound, ..unavailable(text) })
        }
    }
}
