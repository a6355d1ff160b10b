//! The API level of this server, and what assets and requests need of it (spec 07a §A1.7).

use crate::config::{PersistMode, StreamConfig};
use crate::headers;
use std::collections::BTreeMap;

/// The level this server offers.
pub const API_LEVEL: u32 = 4;
/// The version of the reference this server stands in for, as its clients see it.
pub const SERVER_VERSION: &str = "2.14.5";

/// Metadata: the level an asset needs; stored.
pub const REQUIRED_LEVEL: &str = "_nats.req.level";
/// Metadata: the server's version; only in responses.
pub const VERSION: &str = "_nats.ver";
/// Metadata: the server's level; only in responses.
pub const LEVEL: &str = "_nats.level";

/// Whether a request's header asks for more than [`API_LEVEL`], or for something unreadable.
pub fn exceeds_level(header: &[u8]) -> bool {
    match headers::value(header, headers::REQUIRED_API_LEVEL) {
        None | Some([]) => false,
        Some(level) => !is_supported(level),
    }
}

/// Whether an asset with this metadata works here; false when its level cannot be read.
pub fn supports(metadata: &BTreeMap<String, String>) -> bool {
    metadata
        .get(REQUIRED_LEVEL)
        .is_none_or(|level| level.is_empty() || is_supported(level.as_bytes()))
}

fn is_supported(level: &[u8]) -> bool {
    let level = std::str::from_utf8(level).ok();
    level.and_then(|level| level.parse::<i64>().ok()).is_some_and(|level| level <= API_LEVEL.into())
}

/// The level a stream of this configuration, as it was requested, needs.
pub fn required_by_stream(config: &StreamConfig) -> u32 {
    if config.allow_batched {
        4
    } else if config.allow_msg_counter
        || config.allow_atomic
        || config.allow_msg_schedules
        || config.persist_mode == PersistMode::Async
    {
        2
    } else {
        u32::from(config.allow_msg_ttl || config.subject_delete_marker_ttl > 0)
    }
}

/// Puts the metadata of a requested asset into the form in which it is stored: with the level it
/// needs, and without what only responses carry.
pub fn set_required(metadata: &mut BTreeMap<String, String>, level: u32) {
    remove_dynamic(metadata);
    metadata.insert(REQUIRED_LEVEL.to_owned(), level.to_string());
}

/// Takes out what only responses carry.
pub fn remove_dynamic(metadata: &mut BTreeMap<String, String>) {
    metadata.remove(VERSION);
    metadata.remove(LEVEL);
}

/// Adds what responses carry.
pub fn add_dynamic(metadata: &mut BTreeMap<String, String>) {
    metadata.insert(VERSION.to_owned(), SERVER_VERSION.to_owned());
    metadata.insert(LEVEL.to_owned(), API_LEVEL.to_string());
}

/// Takes the level over from the asset that exists, so that a request which only differs in it
/// counts as the same.
pub fn copy_required(from: &BTreeMap<String, String>, to: &mut BTreeMap<String, String>) {
    remove_dynamic(to);
    match from.get(REQUIRED_LEVEL) {
        Some(level) => to.insert(REQUIRED_LEVEL.to_owned(), level.clone()),
        None => to.remove(REQUIRED_LEVEL),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn stream_needs_the_level_of_its_newest_feature() {
        let plain = StreamConfig::default();
        for (config, level) in [
            (plain.clone(), 0),
            (StreamConfig { allow_msg_ttl: true, ..plain.clone() }, 1),
            (StreamConfig { subject_delete_marker_ttl: 1, ..plain.clone() }, 1),
            (StreamConfig { allow_msg_counter: true, ..plain.clone() }, 2),
            (StreamConfig { allow_atomic: true, allow_msg_ttl: true, ..plain.clone() }, 2),
            (StreamConfig { allow_msg_schedules: true, ..plain.clone() }, 2),
            (StreamConfig { persist_mode: PersistMode::Async, ..plain.clone() }, 2),
            (StreamConfig { allow_batched: true, allow_atomic: true, ..plain }, 4),
        ] {
            assert_eq!(required_by_stream(&config), level);
        }
    }

    #[test]
    fn level_is_overwritten_and_dynamic_keys_are_not_stored() {
        let mut metadata = map(&[(REQUIRED_LEVEL, "9"), (VERSION, "x"), (LEVEL, "y"), ("a", "b")]);
        set_required(&mut metadata, 2);
        assert_eq!(metadata, map(&[(REQUIRED_LEVEL, "2"), ("a", "b")]));
        add_dynamic(&mut metadata);
        assert_eq!(
            metadata,
            map(&[(REQUIRED_LEVEL, "2"), (VERSION, "2.14.5"), (LEVEL, "4"), ("a", "b")])
        );
        remove_dynamic(&mut metadata);
        assert_eq!(metadata, map(&[(REQUIRED_LEVEL, "2"), ("a", "b")]));
    }

    #[test]
    fn stored_level_is_taken_over_before_comparing() {
        let mut metadata = map(&[(REQUIRED_LEVEL, "2"), (VERSION, "x")]);
        copy_required(&map(&[(REQUIRED_LEVEL, "1")]), &mut metadata);
        assert_eq!(metadata, map(&[(REQUIRED_LEVEL, "1")]));
        copy_required(&map(&[]), &mut metadata);
        assert_eq!(metadata, map(&[]));
    }

    #[test]
    fn unreadable_and_higher_levels_are_unsupported() {
        for (level, supported) in
            [("0", true), ("4", true), ("-1", true), ("5", false), ("x", false), ("", true)]
        {
            assert_eq!(supports(&map(&[(REQUIRED_LEVEL, level)])), supported, "{level}");
            let header = format!("NATS/1.0\r\nNats-Required-Api-Level: {level}\r\n\r\n");
            assert_eq!(exceeds_level(header.as_bytes()), !supported, "{level}");
        }
        assert!(supports(&map(&[])));
        assert!(!exceeds_level(b""));
    }
}
