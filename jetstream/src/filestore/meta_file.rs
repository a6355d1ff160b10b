//! Reading `meta.inf` of streams and consumers (spec 06, section 3).
//!
//! A file is read strictly first: a field that is not known may be a promise this server would
//! break, made by a newer one. Such an asset is known and left alone ("offline") rather than run
//! or skipped. What a file must have besides (its checksum, its key) is the caller's to look at.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::config::{ConsumerMeta, StreamMeta};

/// The level of the JetStream API this server has; assets that require a higher one stay offline.
pub const API_LEVEL: u32 = 4;
/// The key of an asset's metadata that names the level it requires.
const REQUIRED_LEVEL: &str = "_nats.req.level";

/// A meta file that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetaFile<T> {
    /// Everything in it is known.
    Supported(T),
    /// It asks for more than this server can do; the asset is to be registered and not run.
    Unsupported {
        /// What could be read of it.
        meta: T,
        /// Why, as clients are told.
        reason: String,
    },
}

/// A meta file that could not be read; the text is what clients are told of the asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaError(pub String);

impl fmt::Display for MetaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MetaError {}

/// Reads a stream's `meta.inf`, in the clear.
///
/// # Errors
/// [`MetaError`] when it is not the JSON of a stream.
pub fn read_stream_meta(content: &[u8]) -> Result<MetaFile<StreamMeta>, MetaError> {
    read(content, STREAM_META, |meta: &StreamMeta| &meta.config.metadata)
}

/// Reads a consumer's `meta.inf`, in the clear.
///
/// # Errors
/// [`MetaError`] when it is not the JSON of a consumer.
pub fn read_consumer_meta(content: &[u8]) -> Result<MetaFile<ConsumerMeta>, MetaError> {
    read(content, CONSUMER_META, |meta: &ConsumerMeta| &meta.config.metadata)
}

fn read<T: for<'de> Deserialize<'de>>(
    content: &[u8],
    shape: Shape,
    metadata: impl Fn(&T) -> &BTreeMap<String, String>,
) -> Result<MetaFile<T>, MetaError> {
    let meta: T = serde_json::from_slice(content)
        .map_err(|error| MetaError(format!("decoding error: {error}")))?;
    let strict = Known(shape).deserialize(&mut serde_json::Deserializer::from_slice(content));
    if let Err(error) = strict {
        // The position serde adds is not part of the text.
        let text = error.to_string();
        let text = text.rfind(" at line ").map_or(text.as_str(), |at| &text[..at]);
        let reason = format!("unsupported - config error: {text}");
        return Ok(MetaFile::Unsupported { meta, reason });
    }
    match metadata(&meta).get(REQUIRED_LEVEL) {
        Some(level) if !level.parse::<i64>().is_ok_and(|level| level <= i64::from(API_LEVEL)) => {
            let reason = format!(
                "unsupported - required API level: {level}, current API level: {API_LEVEL}"
            );
            Ok(MetaFile::Unsupported { meta, reason })
        }
        _ => Ok(MetaFile::Supported(meta)),
    }
}

/// The fields an object may have; below those that are not listed here anything goes.
#[derive(Clone, Copy)]
struct Shape {
    fields: &'static [&'static str],
    objects: &'static [(&'static str, Shape)],
}

const fn plain(fields: &'static [&'static str]) -> Shape {
    Shape { fields, objects: &[] }
}

const PLACEMENT: Shape = plain(&["cluster", "tags", "preferred"]);
const TRANSFORM: Shape = plain(&["src", "dest"]);
const SOURCE: Shape = Shape {
    fields: &["name", "opt_start_seq", "opt_start_time", "filter_subject"],
    objects: &[
        ("subject_transforms", TRANSFORM),
        ("external", plain(&["api", "deliver"])),
        ("consumer", plain(&["name", "deliver_subject"])),
    ],
};
const STREAM_META: Shape = Shape {
    fields: &[
        "Created",
        "name",
        "description",
        "subjects",
        "retention",
        "max_consumers",
        "max_msgs",
        "max_bytes",
        "max_age",
        "max_msgs_per_subject",
        "max_msg_size",
        "discard",
        "storage",
        "num_replicas",
        "no_ack",
        "duplicate_window",
        "compression",
        "first_seq",
        "allow_direct",
        "mirror_direct",
        "discard_new_per_subject",
        "sealed",
        "deny_delete",
        "deny_purge",
        "allow_rollup_hdrs",
        "allow_msg_ttl",
        "subject_delete_marker_ttl",
        "allow_msg_counter",
        "allow_atomic",
        "allow_msg_schedules",
        "persist_mode",
        "allow_batched",
        "metadata",
    ],
    objects: &[
        ("placement", PLACEMENT),
        ("mirror", SOURCE),
        ("sources", SOURCE),
        ("subject_transform", TRANSFORM),
        ("republish", plain(&["src", "dest", "headers_only"])),
        ("consumer_limits", plain(&["inactive_threshold", "max_ack_pending"])),
    ],
};
const CONSUMER_META: Shape = plain(&[
    "Created",
    "Name",
    "durable_name",
    "name",
    "description",
    "deliver_policy",
    "opt_start_seq",
    "opt_start_time",
    "ack_policy",
    "ack_wait",
    "max_deliver",
    "backoff",
    "filter_subject",
    "filter_subjects",
    "replay_policy",
    "rate_limit_bps",
    "sample_freq",
    "max_waiting",
    "max_ack_pending",
    "flow_control",
    "headers_only",
    "max_batch",
    "max_expires",
    "max_bytes",
    "deliver_subject",
    "deliver_group",
    "idle_heartbeat",
    "inactive_threshold",
    "num_replicas",
    "mem_storage",
    "direct",
    "sourcing",
    "metadata",
    "pause_until",
    "priority_groups",
    "priority_policy",
    "priority_timeout",
]);

/// Walks a value and fails at the first field, in the order of the text, that its shape lacks.
/// Values that are no objects are left to the typed reading.
struct Known(Shape);

impl<'de> DeserializeSeed<'de> for Known {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Known {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let is = |name: &&str| name.eq_ignore_ascii_case(&key);
            if let Some((_, shape)) = self.0.objects.iter().find(|(name, _)| is(name)) {
                map.next_value_seed(Known(*shape))?;
            } else if self.0.fields.iter().any(is) {
                map.next_value::<IgnoredAny>()?;
            } else {
                return Err(A::Error::custom(format_args!("unknown field {key:?}")));
            }
        }
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Known(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConsumerConfig, StreamConfig};
    use crate::time::DateTime;

    const STREAM: &str = r#"{"Created":"2024-01-01T00:00:00Z","name":"S","subjects":["a"],"retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"discard":"old","storage":"file","num_replicas":1,"compression":"none","allow_direct":false,"mirror_direct":false,"sealed":false,"deny_delete":false,"deny_purge":false,"allow_rollup_hdrs":false,"consumer_limits":{},"allow_msg_ttl":false}"#;

    fn reason(content: &str) -> Option<String> {
        match read_stream_meta(content.as_bytes()).expect("readable") {
            MetaFile::Supported(_) => None,
            MetaFile::Unsupported { meta, reason } => {
                assert_eq!(meta.config.name, "S");
                Some(reason)
            }
        }
    }

    #[test]
    fn known_fields_are_supported() {
        assert_eq!(reason(STREAM), None);
        // The reference finds fields whatever the case of their letters.
        assert_eq!(reason(&STREAM.replacen("\"sealed\"", "\"Sealed\"", 1)), None);
        assert_eq!(reason(&STREAM.replacen("{}", "null", 1)), None);
    }

    #[test]
    fn first_unknown_field_is_named() {
        let unknown =
            |name: &str| Some(format!("unsupported - config error: unknown field {name:?}"));
        let content =
            STREAM.replacen("\"sealed\"", "\"zeta\":[1,{\"a\":2}],\"alpha\":1,\"sealed\"", 1);
        assert_eq!(reason(&content), unknown("zeta"));
        let content = STREAM.replacen("{}", r#"{"max_ack_pending":5,"more":1}"#, 1);
        assert_eq!(reason(&content), unknown("more"));
        let sources =
            r#""sources":[{"name":"A"},{"name":"B","external":{"api":"x","who":1}}],"sealed""#;
        assert_eq!(reason(&STREAM.replacen("\"sealed\"", sources, 1)), unknown("who"));
        // What a user calls things is nobody's business.
        let metadata = r#""metadata":{"anything":"goes"},"sealed""#;
        assert_eq!(reason(&STREAM.replacen("\"sealed\"", metadata, 1)), None);
    }

    #[test]
    fn required_api_level_is_compared() {
        for (level, supported) in [("0", true), ("4", true), ("5", false), ("x", false)] {
            let metadata = format!(r#""metadata":{{"_nats.req.level":"{level}"}},"sealed""#);
            let found = reason(&STREAM.replacen("\"sealed\"", &metadata, 1));
            let text = format!(
                "unsupported - required API level: {level}, current API level: {API_LEVEL}"
            );
            assert_eq!(found, (!supported).then_some(text));
        }
    }

    #[test]
    fn what_is_no_configuration_is_an_error() {
        for content in ["", "[]", "{\"Created\":1}", &STREAM.replacen("\"file\"", "\"tape\"", 1)] {
            let error = read_stream_meta(content.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with("decoding error: "), "{error}");
        }
    }

    #[test]
    fn every_field_that_is_written_is_known() {
        let created = DateTime::parse("2024-01-01T00:00:00Z").unwrap();
        let stream = StreamMeta { created, config: StreamConfig::default() };
        let json = serde_json::to_vec(&stream).unwrap();
        assert!(matches!(read_stream_meta(&json), Ok(MetaFile::Supported(_))));
        let config = ConsumerConfig::default();
        let consumer = ConsumerMeta { created, name: "c".into(), config };
        let json = serde_json::to_vec(&consumer).unwrap();
        assert!(matches!(read_consumer_meta(&json), Ok(MetaFile::Supported(_))));
        // A file with every field has every field again when written.
        let every = |shape: &Shape| {
            let mut names: Vec<_> = shape.fields.to_vec();
            names.extend(shape.objects.iter().map(|(name, _)| *name));
            names
        };
        let source = r#"{"name":"A","opt_start_seq":1,"opt_start_time":"2024-01-01T00:00:00Z","filter_subject":"f","subject_transforms":[{"src":"a","dest":"b"}],"external":{"api":"a","deliver":"d"},"consumer":{"name":"n","deliver_subject":"d"}}"#;
        let full = STREAM.replacen(
            "\"sealed\"",
            &format!(
                r#""description":"d","max_msg_size":1,"no_ack":true,"duplicate_window":1,"placement":{{"cluster":"c","tags":["t"],"preferred":"p"}},"mirror":{source},"sources":[{source}],"first_seq":2,"subject_transform":{{"src":"a","dest":"b"}},"republish":{{"src":"a","dest":"b","headers_only":true}},"discard_new_per_subject":true,"subject_delete_marker_ttl":1,"allow_msg_counter":true,"allow_atomic":true,"allow_msg_schedules":true,"persist_mode":"async","allow_batched":true,"metadata":{{"a":"b"}},"sealed""#
            ),
            1,
        );
        let Ok(MetaFile::Supported(meta)) = read_stream_meta(full.as_bytes()) else {
            panic!("{:?}", read_stream_meta(full.as_bytes()));
        };
        let written = serde_json::to_value(&meta).unwrap();
        let written: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = every(&STREAM_META);
        known.sort_unstable();
        assert_eq!(written, known);
    }
}
