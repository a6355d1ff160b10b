//! The fields of every request (spec 07a §A2, 07b §B1.1, 07c §C2 to §C6).

use super::decode::{Object, Shape, Unknown, int64};

const INT: Shape = int64("int");
const INT64: Shape = int64("int64");
const DURATION: Shape = int64("time.Duration");
const TEXTS: Shape = Shape::List(&Shape::Text);

const fn object(name: &'static str, fields: &'static [(&'static str, Shape)]) -> Object {
    Object { name, fields, embedded: None }
}

static PLACEMENT: Object =
    object("Placement", &[("cluster", Shape::Text), ("tags", TEXTS), ("preferred", Shape::Text)]);

static SUBJECT_TRANSFORM: Object =
    object("SubjectTransformConfig", &[("src", Shape::Text), ("dest", Shape::Text)]);

static REPUBLISH: Object = object(
    "RePublish",
    &[("src", Shape::Text), ("dest", Shape::Text), ("headers_only", Shape::Bool)],
);

static EXTERNAL: Object =
    object("ExternalStream", &[("api", Shape::Text), ("deliver", Shape::Text)]);

static CONSUMER_SOURCE: Object =
    object("StreamConsumerSource", &[("name", Shape::Text), ("deliver_subject", Shape::Text)]);

static STREAM_SOURCE: Object = object(
    "StreamSource",
    &[
        ("name", Shape::Text),
        ("opt_start_seq", Shape::Unsigned),
        ("opt_start_time", Shape::Time),
        ("filter_subject", Shape::Text),
        ("subject_transforms", Shape::List(&Shape::Object(&SUBJECT_TRANSFORM))),
        ("external", Shape::Pointer(&EXTERNAL)),
        ("consumer", Shape::Pointer(&CONSUMER_SOURCE)),
    ],
);

static CONSUMER_LIMITS: Object =
    object("StreamConsumerLimits", &[("inactive_threshold", DURATION), ("max_ack_pending", INT)]);

/// The configuration of a stream.
pub static STREAM_CONFIG: Object = object(
    "StreamConfig",
    &[
        ("name", Shape::Text),
        ("description", Shape::Text),
        ("subjects", TEXTS),
        ("retention", Shape::Words(&["limits", "interest", "workqueue"], Unknown::CanNotUnmarshal)),
        ("max_consumers", INT),
        ("max_msgs", INT64),
        ("max_bytes", INT64),
        ("max_age", DURATION),
        ("max_msgs_per_subject", INT64),
        ("max_msg_size", Shape::Integer("int32", i32::MIN as i64, i32::MAX as i64)),
        ("discard", Shape::Words(&["old", "new"], Unknown::AnyCase)),
        ("storage", Shape::Words(&["file", "memory"], Unknown::CanNotUnmarshal)),
        ("num_replicas", INT),
        ("no_ack", Shape::Bool),
        ("duplicate_window", DURATION),
        ("placement", Shape::Pointer(&PLACEMENT)),
        ("mirror", Shape::Pointer(&STREAM_SOURCE)),
        ("sources", Shape::List(&Shape::Pointer(&STREAM_SOURCE))),
        (
            "compression",
            Shape::Words(&["none", "s2"], Unknown::Says("unknown compression algorithm")),
        ),
        ("first_seq", Shape::Unsigned),
        ("subject_transform", Shape::Pointer(&SUBJECT_TRANSFORM)),
        ("republish", Shape::Pointer(&REPUBLISH)),
        ("allow_direct", Shape::Bool),
        ("mirror_direct", Shape::Bool),
        ("discard_new_per_subject", Shape::Bool),
        ("sealed", Shape::Bool),
        ("deny_delete", Shape::Bool),
        ("deny_purge", Shape::Bool),
        ("allow_rollup_hdrs", Shape::Bool),
        ("consumer_limits", Shape::Object(&CONSUMER_LIMITS)),
        ("allow_msg_ttl", Shape::Bool),
        ("subject_delete_marker_ttl", DURATION),
        ("allow_msg_counter", Shape::Bool),
        ("allow_atomic", Shape::Bool),
        ("allow_msg_schedules", Shape::Bool),
        ("persist_mode", Shape::Words(&["default", "async", ""], Unknown::CanNotUnmarshal)),
        ("allow_batched", Shape::Bool),
        ("metadata", Shape::Map),
    ],
);

/// A request to create or update a stream.
pub static STREAM_CONFIG_REQUEST: Object = Object {
    name: "StreamConfigRequest",
    fields: &[("pedantic", Shape::Bool)],
    embedded: Some(&STREAM_CONFIG),
};

static CONSUMER_CONFIG: Object = object(
    "ConsumerConfig",
    &[
        ("durable_name", Shape::Text),
        ("name", Shape::Text),
        ("description", Shape::Text),
        (
            "deliver_policy",
            Shape::Words(
                &[
                    "all",
                    "last",
                    "new",
                    "by_start_sequence",
                    "by_start_time",
                    "last_per_subject",
                    "undefined",
                ],
                Unknown::CanNotUnmarshal,
            ),
        ),
        ("opt_start_seq", Shape::Unsigned),
        ("opt_start_time", Shape::Time),
        (
            "ack_policy",
            Shape::Words(&["none", "all", "explicit", "flow_control"], Unknown::CanNotUnmarshal),
        ),
        ("ack_wait", DURATION),
        ("max_deliver", INT),
        ("backoff", Shape::List(&DURATION)),
        ("filter_subject", Shape::Text),
        ("filter_subjects", TEXTS),
        ("replay_policy", Shape::Words(&["instant", "original"], Unknown::CanNotUnmarshal)),
        ("rate_limit_bps", Shape::Unsigned),
        ("sample_freq", Shape::Text),
        ("max_waiting", INT),
        ("max_ack_pending", INT),
        ("flow_control", Shape::Bool),
        ("headers_only", Shape::Bool),
        ("max_batch", INT),
        ("max_expires", DURATION),
        ("max_bytes", INT),
        ("deliver_subject", Shape::Text),
        ("deliver_group", Shape::Text),
        ("idle_heartbeat", DURATION),
        ("inactive_threshold", DURATION),
        ("num_replicas", INT),
        ("mem_storage", Shape::Bool),
        ("direct", Shape::Bool),
        ("sourcing", Shape::Bool),
        ("metadata", Shape::Map),
        ("pause_until", Shape::Time),
        ("priority_groups", TEXTS),
        (
            "priority_policy",
            Shape::Words(
                &["none", "overflow", "pinned_client", "prioritized"],
                Unknown::CanNotUnmarshal,
            ),
        ),
        ("priority_timeout", DURATION),
    ],
);

/// A request to create or update a consumer.
pub static CREATE_CONSUMER_REQUEST: Object = object(
    "CreateConsumerRequest",
    &[
        ("stream_name", Shape::Text),
        ("config", Shape::Object(&CONSUMER_CONFIG)),
        (
            "action",
            Shape::Words(&["", "create", "update"], Unknown::SaysWhat("unknown consumer action")),
        ),
        ("pedantic", Shape::Bool),
    ],
);

/// A page of names or of streams.
pub static STREAM_NAMES_REQUEST: Object =
    object("JSApiStreamNamesRequest", &[("offset", INT), ("subject", Shape::Text)]);
/// The same for the list.
pub static STREAM_LIST_REQUEST: Object =
    object("JSApiStreamListRequest", &[("offset", INT), ("subject", Shape::Text)]);
/// What of a stream's state is asked for.
pub static STREAM_INFO_REQUEST: Object = object(
    "JSApiStreamInfoRequest",
    &[("offset", INT), ("deleted_details", Shape::Bool), ("subjects_filter", Shape::Text)],
);
/// What is purged.
pub static STREAM_PURGE_REQUEST: Object = object(
    "JSApiStreamPurgeRequest",
    &[("seq", Shape::Unsigned), ("filter", Shape::Text), ("keep", Shape::Unsigned)],
);
/// Which message is got.
pub static MSG_GET_REQUEST: Object = object(
    "JSApiMsgGetRequest",
    &[
        ("seq", Shape::Unsigned),
        ("last_by_subj", Shape::Text),
        ("next_by_subj", Shape::Text),
        ("start_time", Shape::Time),
        ("batch", INT),
        ("max_bytes", INT),
        ("multi_last", TEXTS),
        ("up_to_seq", Shape::Unsigned),
        ("up_to_time", Shape::Time),
        ("no_hdr", Shape::Bool),
    ],
);
/// Which message is deleted.
pub static MSG_DELETE_REQUEST: Object =
    object("JSApiMsgDeleteRequest", &[("seq", Shape::Unsigned), ("no_erase", Shape::Bool)]);
/// A page of consumers or their names.
pub static CONSUMERS_REQUEST: Object = object("JSApiConsumersRequest", &[("offset", INT)]);
/// Until when a consumer rests.
pub static CONSUMER_PAUSE_REQUEST: Object =
    object("JSApiConsumerPauseRequest", &[("pause_until", Shape::Time)]);
/// Which group loses its pinned client.
pub static CONSUMER_UNPIN_REQUEST: Object =
    object("JSApiConsumerUnpinRequest", &[("group", Shape::Text)]);
/// What a snapshot is to be like.
pub static SNAPSHOT_REQUEST: Object = object(
    "JSApiStreamSnapshotRequest",
    &[
        ("deliver_subject", Shape::Text),
        ("no_consumers", Shape::Bool),
        ("chunk_size", INT),
        ("window_size", INT),
        ("jsck", Shape::Bool),
    ],
);
