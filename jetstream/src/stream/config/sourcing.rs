//! The mirror and sources of a configuration (spec 07a §A3, rules 17 to 21).

use super::{Checked, ConfigContext, check_mapping, collide, invalid, is_valid_asset_name};
use crate::api_error::ErrorKind;
use crate::config::{ExternalStream, StreamConfig, StreamConsumerSource, StreamSource};
use crate::quote::quote;
use crate::stream::sourcing::names::{consumer_index_name, index_name};
use std::collections::{HashSet, VecDeque};
use sublist::subject::{
    is_subset_match, is_valid_publish_subject, is_valid_subject, subject_is_literal,
};

/// The prefix of the API's subjects.
const API_PREFIX: &str = "$JS.API";

/// What the rules on external prefixes need of mirror and sources.
#[derive(Default)]
struct Seen<'a> {
    origin_subjects: Vec<&'a str>,
    deliver_prefixes: Vec<String>,
    api_prefixes: Vec<String>,
}

impl Seen<'_> {
    fn external(&mut self, external: &ExternalStream) {
        let ExternalStream { api_prefix, deliver_prefix } = external;
        if !deliver_prefix.is_empty() {
            self.deliver_prefixes.push(deliver_prefix.clone());
        }
        if !api_prefix.is_empty() {
            self.api_prefixes.push(api_prefix.clone());
        }
    }
}

pub(super) fn check(config: &mut StreamConfig, context: &ConfigContext<'_>) -> Checked {
    let mut seen = Seen::default();
    check_mirror(config, context, &mut seen)?;
    if !config.sources.is_empty() && config.allow_msg_schedules {
        return Err(ErrorKind::SourceWithMsgSchedules.into());
    }
    check_sources(config, context, &mut seen)?;
    check_prefixes(&seen)?;
    check_cycles(config, context)
}

/// Whether a provided consumer cannot be used with this source.
fn is_unusable(consumer: &StreamConsumerSource, source: &StreamSource) -> bool {
    let deliver_subject = consumer.deliver_subject.as_bytes();
    !is_valid_asset_name(&consumer.name)
        || !subject_is_literal(deliver_subject)
        || !is_valid_subject(deliver_subject)
        || source.opt_start_seq != 0
        || source.opt_start_time.is_some()
        || !source.filter_subject.is_empty()
}

/// Whether an origin may hold larger messages than this stream takes.
fn is_too_small(config: &StreamConfig, origin: &StreamConfig) -> bool {
    config.max_msg_size > 0 && origin.max_msg_size > 0 && config.max_msg_size < origin.max_msg_size
}

fn check_mirror<'a>(
    config: &mut StreamConfig,
    context: &ConfigContext<'a>,
    seen: &mut Seen<'a>,
) -> Checked {
    let Some(mirror) = &config.mirror else { return Ok(()) };
    for (refused, kind) in [
        (config.first_seq > 0, ErrorKind::MirrorWithFirstSeq),
        (!config.subjects.is_empty(), ErrorKind::MirrorWithSubjects),
        (!config.sources.is_empty(), ErrorKind::MirrorWithSources),
        (config.allow_msg_counter, ErrorKind::MirrorWithCounters),
        (config.allow_atomic, ErrorKind::MirrorWithAtomicPublish),
        (config.allow_batched, ErrorKind::MirrorWithBatchPublish),
        (config.allow_msg_schedules, ErrorKind::MirrorWithMsgSchedules),
        (
            mirror.consumer.as_ref().is_some_and(|consumer| is_unusable(consumer, mirror)),
            ErrorKind::MirrorDurableConsumerCfgInvalid,
        ),
        (
            !mirror.filter_subject.is_empty() && !mirror.subject_transforms.is_empty(),
            ErrorKind::MirrorMultipleFiltersNotAllowed,
        ),
    ] {
        if refused {
            return Err(kind.into());
        }
    }
    if config.subject_delete_marker_ttl > 0 {
        // Markers would take up sequences that are the origin's to give.
        return Err(invalid("subject delete markers forbidden on mirrors"));
    }
    for (index, transform) in mirror.subject_transforms.iter().enumerate() {
        check_mapping(
            &transform.source,
            &transform.destination,
            ErrorKind::MirrorInvalidSubjectFilter,
            ErrorKind::MirrorInvalidTransformDestination,
        )?;
        let overlaps =
            mirror.subject_transforms.iter().enumerate().any(|(other, second)| {
                other != index && collide(&transform.source, &second.source)
            });
        if overlaps {
            return Err(ErrorKind::MirrorOverlappingSubjectFilters.into());
        }
    }
    if let Some(external) = &mirror.external {
        // An origin elsewhere may bear the name of a stream here: nothing is compared.
        seen.external(external);
        return Ok(());
    }
    if !is_valid_asset_name(&mirror.name) {
        return Err(ErrorKind::MirrorInvalidStreamName.into());
    }
    let Some(origin) = context.streams.config(&mirror.name) else { return Ok(()) };
    seen.origin_subjects.extend(origin.subjects.iter().map(String::as_str));
    if is_too_small(config, origin) {
        return Err(ErrorKind::MirrorMaxMessageSizeTooBig.into());
    }
    if config.mirror_direct != origin.allow_direct {
        context.pedantic("origin stream has direct get set, mirror has it disabled")?;
    }
    config.mirror_direct = origin.allow_direct;
    Ok(())
}

fn check_sources<'a>(
    config: &StreamConfig,
    context: &ConfigContext<'a>,
    seen: &mut Seen<'a>,
) -> Checked {
    let (mut names, mut consumers) = (HashSet::new(), HashSet::new());
    for source in &config.sources {
        if !is_valid_asset_name(&source.name) {
            return Err(ErrorKind::SourceInvalidStreamName.into());
        }
        if !names.insert(index_name(source)) {
            return Err(ErrorKind::SourceDuplicateDetected.into());
        }
        let transforms = &source.subject_transforms;
        if !source.filter_subject.is_empty() && !transforms.is_empty() {
            return Err(ErrorKind::SourceMultipleFiltersNotAllowed.into());
        }
        for transform in transforms {
            check_mapping(
                &transform.source,
                &transform.destination,
                ErrorKind::SourceInvalidSubjectFilter,
                ErrorKind::SourceInvalidTransformDestination,
            )?;
        }
        for (index, transform) in transforms.iter().enumerate() {
            let overlaps = transforms.iter().enumerate().any(|(other, second)| {
                other != index
                    && is_subset_match(transform.source.as_bytes(), second.source.as_bytes())
            });
            if overlaps {
                return Err(ErrorKind::SourceOverlappingSubjectFilters.into());
            }
        }
        if let Some(consumer) = &source.consumer {
            if is_unusable(consumer, source) {
                return Err(ErrorKind::SourceDurableConsumerCfgInvalid.into());
            }
            if !consumers.insert(consumer_index_name(source)) {
                return Err(ErrorKind::SourceDurableConsumerDuplicateDetected.into());
            }
        }
        if let Some(external) = &source.external {
            seen.external(external);
        } else if let Some(origin) = context.streams.config(&source.name) {
            seen.origin_subjects.extend(origin.subjects.iter().map(String::as_str));
            if is_too_small(config, origin) {
                return Err(ErrorKind::SourceMaxMessageSizeTooBig.into());
            }
        }
    }
    Ok(())
}

fn check_prefixes(seen: &Seen<'_>) -> Checked {
    for prefix in &seen.deliver_prefixes {
        if !is_valid_publish_subject(prefix.as_bytes()) {
            return Err(ErrorKind::StreamInvalidExternalDeliverySubj.with(prefix));
        }
        for subject in &seen.origin_subjects {
            if collide(subject, &format!("{prefix}.{subject}")) {
                return Err(ErrorKind::StreamExternalDelPrefixOverlaps.with_all(&[prefix, subject]));
            }
        }
    }
    for prefix in &seen.api_prefixes {
        if !is_valid_publish_subject(prefix.as_bytes()) {
            return Err(invalid(format_args!(
                "stream external api prefix {} must be a valid subject without wildcards",
                quote(prefix)
            )));
        }
        if collide(prefix, API_PREFIX) {
            return Err(ErrorKind::StreamExternalApiOverlap.with_all(&[prefix, &API_PREFIX]));
        }
    }
    Ok(())
}

/// Follows sources and mirrors that are seen here back to this stream.
fn check_cycles(config: &StreamConfig, context: &ConfigContext<'_>) -> Checked {
    let mut visited = HashSet::new();
    let mut to_visit = VecDeque::from([config]);
    // An origin that several streams share is looked at once: there are finitely many streams.
    while let Some(stream) = to_visit.pop_front() {
        visited.insert(stream.name.as_str());
        for source in stream.sources.iter().filter(|source| source.external.is_none()) {
            if visited.contains(source.name.as_str()) {
                let filter = &source.filter_subject;
                if filter.is_empty() || stream.subjects.iter().any(|own| collide(own, filter)) {
                    return Err(invalid("detected cycle"));
                }
            } else if let Some(origin) = context.streams.config(&source.name) {
                to_visit.push_back(origin);
            }
        }
        if let Some(mirror) = stream.mirror.as_ref().filter(|mirror| mirror.external.is_none()) {
            if visited.contains(mirror.name.as_str()) {
                return Err(invalid("detected cycle"));
            }
            if let Some(origin) = context.streams.config(&mirror.name) {
                to_visit.push_back(origin);
            }
        }
    }
    Ok(())
}
