//! Requests to the API: from the subject to the answer (spec 07c §C1).

use super::{ClientId, Incoming, JetStream, Outgoing, Outside};
use crate::api::decode::{Object, decode, looks_like_json};
use crate::api::responses::{Nothing, Response};
use crate::api::subjects::{Call, is_direct};
use crate::api_error::{ApiError, ErrorKind};
use crate::api_level;
use crate::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Who sent a request.
pub trait Requester {
    /// What advisories say of it (spec 07c §C8).
    fn info(&self) -> serde_json::Value;

    /// The reply subject it gave, where an import replaced it, and the account it is in.
    fn imported(&self) -> Option<crate::consumers::ImportedInterest> {
        None
    }
}

/// Nobody in particular.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRequester;

impl Requester for NoRequester {
    fn info(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// The answer to a request.
pub(super) struct Answer {
    pub json: Vec<u8>,
    /// It counts as an error.
    pub is_error: bool,
    /// It counts at all, and is told to who listens.
    pub is_counted: bool,
}

/// A request with what was read of it.
pub(super) struct Request<'a> {
    pub account: &'a str,
    pub subject: &'a str,
    pub header: &'a [u8],
    pub body: &'a [u8],
}

/// What is answered; the error is beside the body because some bodies are there in any case.
pub(super) type Outcome<T> = Result<T, ApiError>;

/// The answer with that outcome; `empty` is the body beside an error.
pub(super) fn answer<T: Serialize>(call: &Call<'_>, outcome: Outcome<T>, empty: T) -> Answer {
    let (body, error) = match outcome {
        Ok(body) => (body, None),
        Err(error) => (empty, Some(error)),
    };
    let is_error = error.is_some();
    let json = Response { kind: call.response_type(), error, body }.to_json();
    Answer { json, is_error, is_counted: true }
}

/// The answer with that outcome; there is no body beside an error.
pub(super) fn answer_or_error<T: Serialize>(call: &Call<'_>, outcome: Outcome<T>) -> Answer {
    match outcome {
        Ok(body) => {
            let json = Response { kind: call.response_type(), error: None, body }.to_json();
            Answer { json, is_error: false, is_counted: true }
        }
        Err(error) => answer(call, Err(error), Nothing {}),
    }
}

impl JetStream {
    /// A request to the API.
    pub(super) fn api(
        &mut self,
        account: &str,
        message: &Incoming,
        requester: &dyn Requester,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        if is_direct(&message.subject) {
            return;
        }
        let Ok(subject) = std::str::from_utf8(&message.subject) else { return };
        let Some(call) = Call::parse(subject) else { return };
        let request = Request { account, subject, header: &message.header, body: &message.payload };
        let Some(answer) = self.answer(&call, &request, now, out) else { return };
        if answer.is_counted {
            self.count_answer(account, answer.is_error);
        }
        if !message.reply.is_empty() {
            out.send(account, ClientId::API, Outgoing::plain(&message.reply, &answer.json));
        }
        if answer.is_counted {
            self.audit(account, message, &answer, requester, now, out);
        }
    }

    fn count_answer(&mut self, account: &str, is_error: bool) {
        self.api_total += 1;
        self.api_errors += u64::from(is_error);
        if let Some(account) = self.accounts.get_mut(account) {
            account.api_total += 1;
            account.api_errors += u64::from(is_error);
        }
    }

    /// The answer; `None` for none at all.
    fn answer(
        &mut self,
        call: &Call<'_>,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Option<Answer> {
        match call {
            Call::AccountInfo => {
                let outcome = self.admit(request).and_then(|()| {
                    let info = self.account_info(request.account);
                    info.ok_or_else(|| ErrorKind::NotEnabledForAccount.into())
                });
                let is_enabled = self.is_enabled(request.account);
                let mut answer = answer_or_error(call, outcome);
                answer.is_error &= is_enabled;
                Some(answer)
            }
            // For the system account, which has no API of its own yet.
            Call::AccountPurge { .. } => None,
            Call::StreamNames => Some(self.stream_names(call, request, out)),
            Call::StreamList => Some(self.stream_list(call, request, now, out)),
            Call::Stream { stream, call: what } => {
                self.stream_call(call, stream, *what, request, now, out)
            }
            Call::ConsumerCreate { stream } | Call::ConsumerDurableCreate { stream } => {
                self.consumer_create(call, stream, request, now, out)
            }
            Call::Consumer { stream, consumer, call: what } => {
                self.consumer_call(call, stream, consumer, *what, request, now, out)
            }
        }
    }

    pub(super) fn is_enabled(&self, account: &str) -> bool {
        self.accounts.get(account).is_some_and(|account| account.enabled)
    }

    /// Whether the request asks for no more than this server has, and its account may ask.
    pub(super) fn admit(&self, request: &Request<'_>) -> Result<(), ApiError> {
        check_level(request)?;
        if self.is_enabled(request.account) {
            return Ok(());
        }
        Err(ErrorKind::NotEnabledForAccount.into())
    }

    /// Reads a request.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        request: &Request<'_>,
        shape: &'static Object,
        out: &mut dyn Outside,
    ) -> Result<T, ApiError> {
        let invalid = |text: String| ErrorKind::InvalidJson.with(text);
        match decode(request.body, shape, true) {
            Ok(value) => Ok(value),
            Err(error) if self.settings.strict => Err(invalid(error)),
            Err(error) => {
                let text = format!(
                    "Invalid JetStream request '{} > {}': {error}",
                    request.account, request.subject
                );
                out.log(super::Level::Warn, &text);
                decode(request.body, shape, false).map_err(invalid)
            }
        }
    }

    /// Reads a request whose body may be missing.
    pub(super) fn read_optional<T: DeserializeOwned + Default>(
        &self,
        request: &Request<'_>,
        shape: &'static Object,
        out: &mut dyn Outside,
    ) -> Result<T, ApiError> {
        if looks_like_json(request.body) {
            self.read(request, shape, out)
        } else {
            Ok(T::default())
        }
    }
}

/// Whether the request asks for no higher level of the API than this server has.
pub(super) fn check_level(request: &Request<'_>) -> Result<(), ApiError> {
    if api_level::exceeds_level(request.header) {
        return Err(ErrorKind::RequiredApiLevel.into());
    }
    Ok(())
}
