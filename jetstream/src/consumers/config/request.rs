//! A request to create or update a consumer, against the subject it came on (spec 07b §B1, §B2.1).

use crate::api_error::{ApiError, ErrorKind};
use crate::config::{AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig};

/// How the subjects start.
const CREATE: [&str; 4] = ["$JS", "API", "CONSUMER", "CREATE"];
const DURABLE_CREATE: [&str; 5] = ["$JS", "API", "CONSUMER", "DURABLE", "CREATE"];

/// How a consumer is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// Without a name in the subject.
    Ephemeral,
    /// With a name, and possibly a filter.
    Named,
    /// The old way for durables.
    Durable,
}

/// Checks that subject and request agree, and puts the name of the subject into the
/// configuration. `stream_name` is the one the request gives.
///
/// # Errors
/// The first rule of spec 07b §B2.1 that is broken, from the number of tokens to replicas; `None`
/// for a subject that is not one of these at all, which gets no answer.
pub fn check(
    subject: &str,
    stream_name: &str,
    config: &mut ConsumerConfig,
) -> Result<(), Option<ApiError>> {
    let tokens: Vec<&str> = subject.split('.').collect();
    let (form, rest) = if let Some(rest) = tokens.strip_prefix(&DURABLE_CREATE) {
        if rest.len() != 2 {
            return Err(Some(ErrorKind::ConsumerDurableNameNotInSubject.into()));
        }
        (Form::Durable, rest)
    } else if let Some(rest) = tokens.strip_prefix(&CREATE) {
        (if rest.len() == 1 { Form::Ephemeral } else { Form::Named }, rest)
    } else {
        return Err(None);
    };
    let [stream, rest @ ..] = rest else { return Err(None) };
    check_parts(form, stream, rest, stream_name, config).map_err(Some)
}

fn check_parts(
    form: Form,
    stream: &str,
    rest: &[&str],
    stream_name: &str,
    config: &mut ConsumerConfig,
) -> Result<(), ApiError> {
    if stream != stream_name {
        return Err(ErrorKind::StreamMismatch.into());
    }
    let (name, filter) = match rest {
        [] => (config.name.clone(), String::new()),
        [name, filter @ ..] => ((*name).to_owned(), filter.join(".")),
    };
    if name.contains(['/', '\\']) {
        return Err(ErrorKind::ConsumerNameContainsPathSeparators.into());
    }
    match form {
        Form::Durable if !config.is_durable() => {
            return Err(ErrorKind::ConsumerDurableNameNotSet.into());
        }
        Form::Durable | Form::Named if config.is_durable() && config.durable_name != name => {
            return Err(ErrorKind::ConsumerDurableNameNotMatchSubject.into());
        }
        Form::Ephemeral if config.is_durable() => {
            return Err(ErrorKind::ConsumerEphemeralWithDurableName.into());
        }
        Form::Durable | Form::Named => config.name = name,
        Form::Ephemeral => {}
    }
    if !filter.is_empty() {
        if !config.filter_subjects.is_empty() {
            return Err(ErrorKind::ConsumerMultipleFiltersNotAllowed.into());
        }
        if filter != config.filter_subject {
            return Err(ErrorKind::ConsumerCreateFilterSubjectMismatch.into());
        }
    }
    if config.num_replicas > 1 {
        return Err(ErrorKind::StreamReplicasNotSupported.into());
    }
    Ok(())
}

/// Turns the request of a source or mirror into what its origin creates (spec 07b §B2.6).
///
/// `random_name` keeps consumers apart that are asked for under the same name again.
pub fn prepare_sourcing(config: &mut ConsumerConfig, stream: &StreamConfig, random_name: &str) {
    if !config.direct || !config.sourcing || config.name.is_empty() {
        return;
    }
    if stream.retention == RetentionPolicy::Limits {
        config.name = format!("{}-{random_name}", config.name);
    } else {
        config.direct = false;
        config.durable_name.clone_from(&config.name);
        config.ack_policy = AckPolicy::FlowControl;
        config.ack_wait = 0;
        config.max_deliver = 0;
        config.inactive_threshold = 0;
    }
}

/// Keeps what a request cannot change of the consumer it names: how long it is paused, and where a
/// durable source started.
pub fn keep_unchangeable(config: &mut ConsumerConfig, current: &ConsumerConfig) {
    config.pause_until = current.pause_until;
    if config.sourcing && config.is_durable() {
        config.deliver_policy = current.deliver_policy;
        config.opt_start_seq = current.opt_start_seq;
        config.opt_start_time = current.opt_start_time;
    }
}
