//! Checking and completing stream configurations (spec 07a §A3, §A4).
//!
//! [`validate`] turns a requested configuration into the one that is stored; [`check_update`] does
//! the same for a stream that exists. Both give the reference's errors in the reference's order.
//! Limits on what an account or server can reserve are not looked at here.

mod sourcing;
#[cfg(test)]
mod tests;
mod update;

pub use update::{check_consumer_limits, check_update, subjects_overlap};

use crate::api_error::{ApiError, ErrorKind};
use crate::config::{
    DiscardPolicy, PersistMode, Placement, RetentionPolicy, StorageType, StreamConfig,
};
use crate::duration;
use crate::quote::quote;
use std::fmt::Display;
use sublist::subject::{is_subset_match, is_valid_subject, subjects_collide};
use sublist::transform::{SubjectTransform, validate_mapping};

/// Length of the longest name.
pub const MAX_NAME_LEN: usize = 255;
/// Length of the longest description.
pub const MAX_DESCRIPTION_LEN: usize = 4 * 1024;
/// Bytes of keys and values that metadata may have together.
pub const MAX_METADATA_LEN: usize = 128 * 1024;
/// Most replicas of a stream.
pub const MAX_REPLICAS: i64 = 5;
/// For how long message ids are remembered unless the configuration says otherwise: 2 minutes.
pub const DEFAULT_DUPLICATE_WINDOW: i64 = 120_000_000_000;

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;

/// The other streams of the account, as far as this server sees them.
pub trait StreamLookup {
    /// The configuration of the stream of this name.
    fn config(&self, name: &str) -> Option<&StreamConfig>;
}

/// No streams are seen.
impl StreamLookup for () {
    fn config(&self, _name: &str) -> Option<&StreamConfig> {
        None
    }
}

/// What a configuration is checked against.
#[derive(Clone, Copy)]
pub struct ConfigContext<'a> {
    /// Whether what would be silently changed is an error instead.
    pub pedantic: bool,
    /// The server's `limits.duplicate_window` in nanoseconds; 0 for none.
    pub max_duplicate_window: i64,
    /// Whether the account wants `max_bytes` on every stream.
    pub max_bytes_required: bool,
    /// The most `max_bytes` the account allows a stream in memory; 0 or less for any.
    pub memory_max_stream_bytes: i64,
    /// The same for a stream in files.
    pub file_max_stream_bytes: i64,
    /// The account's streams.
    pub streams: &'a dyn StreamLookup,
}

impl Default for ConfigContext<'_> {
    /// Nothing limited, no other streams.
    fn default() -> Self {
        ConfigContext {
            pedantic: false,
            max_duplicate_window: 0,
            max_bytes_required: false,
            memory_max_stream_bytes: 0,
            file_max_stream_bytes: 0,
            streams: &(),
        }
    }
}

pub(super) type Checked = Result<(), ApiError>;

pub(super) fn invalid(text: impl Display) -> ApiError {
    ErrorKind::StreamInvalidConfig.with(text)
}

fn require(condition: bool, text: &str) -> Checked {
    if condition { Ok(()) } else { Err(invalid(text)) }
}

impl ConfigContext<'_> {
    /// Fails in pedantic mode.
    fn pedantic(&self, text: &str) -> Checked {
        if self.pedantic { Err(ErrorKind::Pedantic.with(text)) } else { Ok(()) }
    }
}

/// Whether a stream or consumer can have this name, but for its length.
pub fn is_valid_asset_name(name: &str) -> bool {
    !name.is_empty() && !name.contains([' ', '\t', '\r', '\n', '\x0c', '.', '*', '>', '\\', '/'])
}

/// The configuration as it is stored: checked, and with its defaults.
///
/// # Errors
/// The first rule of spec 07a §A3 that is broken, in the order given there.
pub fn validate(
    requested: &StreamConfig,
    context: &ConfigContext<'_>,
) -> Result<StreamConfig, ApiError> {
    check_texts(requested)?;
    let mut config = requested.clone();
    if config.num_replicas == 0 {
        config.num_replicas = 1;
    }
    if config.num_replicas > MAX_REPLICAS {
        return Err(invalid(format_args!("maximum replicas is {MAX_REPLICAS}")));
    }
    if config.num_replicas < 0 {
        return Err(ErrorKind::ReplicasCountCannotBeNegative.into());
    }
    normalize_limits(&mut config, context)?;
    check_age(&config)?;
    check_duplicate_window(&mut config, context)?;
    require(
        !(config.deny_purge && config.allow_rollup_hdrs),
        "roll-ups require the purge permission",
    )?;
    check_counter(&config)?;
    check_discard_per_subject(&config)?;
    check_delete_markers(&mut config, context)?;
    check_schedules(&mut config, context)?;
    check_persist_mode(&config)?;
    sourcing::check(&mut config, context)?;
    check_subjects(&mut config)?;
    check_max_bytes(&config, context)?;
    check_transform(&config)?;
    check_republish(&mut config, context)?;
    check_placement(&mut config)?;
    Ok(config)
}

fn check_texts(config: &StreamConfig) -> Checked {
    require(
        is_valid_asset_name(&config.name),
        "stream name is required and can not contain '.', '*', '>', '\\', '/'",
    )?;
    if config.name.len() > MAX_NAME_LEN {
        return Err(invalid(format_args!(
            "stream name is too long, maximum allowed is {MAX_NAME_LEN}"
        )));
    }
    if config.description.len() > MAX_DESCRIPTION_LEN {
        return Err(invalid(format_args!(
            "stream description is too long, maximum allowed is {MAX_DESCRIPTION_LEN}"
        )));
    }
    let metadata: usize = config.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    if metadata > MAX_METADATA_LEN {
        return Err(invalid(format_args!(
            "stream metadata exceeds maximum size of {MAX_METADATA_LEN} bytes"
        )));
    }
    Ok(())
}

/// Limits that mean "none" are stored as -1.
fn normalize_limits(config: &mut StreamConfig, context: &ConfigContext<'_>) -> Checked {
    let normalize = |value: i64, field: &str| {
        if value < -1 {
            context.pedantic(&format!("{field} must be set to -1"))?;
        }
        Ok::<i64, ApiError>(if value <= 0 { -1 } else { value })
    };
    config.max_msgs = normalize(config.max_msgs, "max_msgs")?;
    config.max_msgs_per_subject = normalize(config.max_msgs_per_subject, "max_msgs_per_subject")?;
    config.max_bytes = normalize(config.max_bytes, "max_bytes")?;
    let max_msg_size = normalize(config.max_msg_size.into(), "max_msg_size")?;
    config.max_msg_size = i32::try_from(max_msg_size).unwrap_or(-1);
    config.max_consumers = normalize(config.max_consumers, "max_consumers")?;
    Ok(())
}

fn check_age(config: &StreamConfig) -> Checked {
    require(config.max_age >= 0, "max age can not be negative")?;
    require(
        config.max_age == 0 || config.max_age >= 100 * MILLISECOND,
        "max age needs to be >= 100ms",
    )
}

fn check_duplicate_window(config: &mut StreamConfig, context: &ConfigContext<'_>) -> Checked {
    let limit = context.max_duplicate_window;
    if config.duplicate_window == 0 && config.mirror.is_none() && config.sources.is_empty() {
        let mut window = DEFAULT_DUPLICATE_WINDOW;
        if limit > 0 && window > limit {
            context.pedantic("duplicate window limits are higher than current limits")?;
            window = limit;
        }
        if config.max_age != 0 && config.max_age < window {
            context.pedantic("duplicate window cannot be bigger than max age")?;
            window = config.max_age;
        }
        config.duplicate_window = window;
    }
    let window = config.duplicate_window;
    require(window >= 0, "duplicates window can not be negative")?;
    require(
        config.max_age == 0 || window <= config.max_age,
        "duplicates window can not be larger then max age",
    )?;
    if limit > 0 && window > limit {
        return Err(invalid(format_args!(
            "duplicates window can not be larger then server limit of {}",
            duration::format(limit)
        )));
    }
    require(window == 0 || window >= 100 * MILLISECOND, "duplicates window needs to be >= 100ms")
}

fn check_counter(config: &StreamConfig) -> Checked {
    if !config.allow_msg_counter {
        return Ok(());
    }
    require(config.discard != DiscardPolicy::New, "counter stream cannot use discard new")?;
    require(!config.allow_msg_ttl, "counter stream cannot use message TTLs")?;
    require(!config.allow_msg_schedules, "counter stream cannot use message schedules")?;
    require(
        config.retention == RetentionPolicy::Limits,
        "counter stream can only use limits retention",
    )
}

fn check_discard_per_subject(config: &StreamConfig) -> Checked {
    if !config.discard_new_per_subject {
        return Ok(());
    }
    require(
        config.discard == DiscardPolicy::New,
        "discard new per subject requires discard new policy to be set",
    )?;
    require(
        config.max_msgs_per_subject > 0,
        "discard new per subject requires max msgs per subject > 0",
    )
}

/// What needs roll-ups allows them.
fn allow_rollup(config: &mut StreamConfig, context: &ConfigContext<'_>, refusal: &str) -> Checked {
    if !config.allow_rollup_hdrs {
        require(!context.pedantic, refusal)?;
        config.allow_rollup_hdrs = true;
        config.deny_purge = false;
    }
    Ok(())
}

fn check_delete_markers(config: &mut StreamConfig, context: &ConfigContext<'_>) -> Checked {
    let ttl = config.subject_delete_marker_ttl;
    require(ttl >= 0, "subject delete marker TTL must not be negative")?;
    if ttl == 0 {
        return Ok(());
    }
    require(ttl >= SECOND, "subject delete marker TTL must be at least 1 second")?;
    if !config.allow_msg_ttl {
        require(
            !context.pedantic,
            "subject delete marker cannot be set if message TTLs are disabled",
        )?;
        config.allow_msg_ttl = true;
    }
    allow_rollup(config, context, "subject delete marker cannot be set if roll-ups are disabled")
}

fn check_schedules(config: &mut StreamConfig, context: &ConfigContext<'_>) -> Checked {
    if !config.allow_msg_schedules {
        return Ok(());
    }
    require(config.discard != DiscardPolicy::New, "message scheduling cannot use discard new")?;
    allow_rollup(config, context, "message scheduling cannot be set if roll-ups are disabled")
}

fn check_persist_mode(config: &StreamConfig) -> Checked {
    if config.persist_mode != PersistMode::Async {
        return Ok(());
    }
    require(
        config.storage == StorageType::File,
        "async persist mode is only supported on file storage",
    )?;
    require(config.num_replicas <= 1, "async persist mode is not supported on replicated streams")?;
    require(!config.allow_atomic, "async persist mode is not supported with atomic batch publish")
}

pub(super) fn collide(a: &str, b: &str) -> bool {
    subjects_collide(a.as_bytes(), b.as_bytes())
}

fn check_subjects(config: &mut StreamConfig) -> Checked {
    if config.subjects.is_empty() {
        if config.mirror.is_none() && config.sources.is_empty() {
            config.subjects.push(config.name.clone());
        }
        return Ok(());
    }
    for (index, subject) in config.subjects.iter().enumerate() {
        let (earlier, later) = (&config.subjects[..index], &config.subjects[index + 1..]);
        require(is_valid_subject(subject.as_bytes()), "invalid subject")?;
        require(!earlier.contains(subject), "duplicate subjects detected")?;
        if subject == ">" {
            require(config.no_ack, "capturing all subjects requires no-ack to be true")?;
            require(config.num_replicas == 1, "capturing all subjects requires replicas of 1")?;
        }
        if !config.no_ack {
            check_reserved(subject)?;
        }
        if let Some(other) = later.iter().find(|other| collide(other, subject)) {
            return Err(invalid(format_args!(
                "subject {} overlaps with {}",
                quote(subject),
                quote(other)
            )));
        }
    }
    Ok(())
}

/// Acknowledging what the API itself publishes would make it answer itself.
fn check_reserved(subject: &str) -> Checked {
    let within = |space: &str| is_subset_match(subject.as_bytes(), space.as_bytes());
    require(
        !["$JS.>", "$JSC.>", "$NRG.>"].iter().any(|space| collide(subject, space))
            || within("$JS.EVENT.>"),
        "subjects that overlap with jetstream api require no-ack to be true",
    )?;
    require(
        !collide(subject, "$SYS.>") || within("$SYS.ACCOUNT.>"),
        "subjects that overlap with system api require no-ack to be true",
    )
}

fn check_max_bytes(config: &StreamConfig, context: &ConfigContext<'_>) -> Checked {
    let limit = match config.storage {
        StorageType::Memory => context.memory_max_stream_bytes,
        StorageType::File => context.file_max_stream_bytes,
    };
    if context.max_bytes_required && config.max_bytes <= 0 {
        Err(ErrorKind::StreamMaxBytesRequired.into())
    } else if limit > 0 && config.max_bytes > limit {
        Err(ErrorKind::StreamMaxStreamBytesExceeded.into())
    } else {
        Ok(())
    }
}

/// Checks one transform; the kinds name the errors for its source and its destination.
pub(super) fn check_mapping(
    source: &str,
    destination: &str,
    bad_source: ErrorKind,
    bad_destination: ErrorKind,
) -> Checked {
    if !source.is_empty() && !is_valid_subject(source.as_bytes()) {
        return Err(bad_source.with(format_args!("invalid subject {source}")));
    }
    validate_mapping(source.as_bytes(), destination.as_bytes())
        .map_err(|error| bad_destination.with(error))
}

fn check_transform(config: &StreamConfig) -> Checked {
    let Some(transform) = &config.subject_transform else { return Ok(()) };
    check_mapping(
        &transform.source,
        &transform.destination,
        ErrorKind::StreamTransformInvalidSource,
        ErrorKind::StreamTransformInvalidDestination,
    )
}

fn check_republish(config: &mut StreamConfig, context: &ConfigContext<'_>) -> Checked {
    let Some(republish) = &mut config.republish else { return Ok(()) };
    if republish.source.is_empty() {
        context.pedantic("republish source can not be empty")?;
        ">".clone_into(&mut republish.source);
    }
    if let Some(transform) = &config.subject_transform
        && republish.source == ">"
        && republish.destination == ">"
        && matches!(config.subjects.as_slice(), [subject] if *subject == transform.source)
    {
        context.pedantic("implicit republish based on subject transform")?;
        republish.source.clone_from(&transform.destination);
        republish.destination.clone_from(&transform.destination);
    }
    require(
        !config.subjects.iter().any(|subject| collide(&republish.destination, subject)),
        "stream configuration for republish destination forms a cycle",
    )?;
    let (source, destination) = (&republish.source, &republish.destination);
    if SubjectTransform::new(source.as_bytes(), destination.as_bytes()).is_err() {
        return Err(invalid(format_args!(
            "stream configuration for republish with transform from '{source}' to '{destination}' \
             not valid"
        )));
    }
    Ok(())
}

fn check_placement(config: &mut StreamConfig) -> Checked {
    if config.placement.as_ref() == Some(&Placement::default()) {
        config.placement = None;
    }
    require(
        config.placement.as_ref().is_none_or(|placement| placement.preferred.is_empty()),
        "preferred server not permitted in placement",
    )
}
