//! Errors of the JetStream API: the one table of their numbers and texts (spec 07c §C9).
//!
//! Every error that reaches a client is an [`ApiError`] made from an [`ErrorKind`] of the table.
//! An error received from another server is an [`ApiError`] too, whether or not the table has it.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// An error as the API reports it: `{"code":400,"err_code":10003,"description":"bad request"}`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiError {
    /// The class, by the numbers of HTTP.
    pub code: u16,
    /// The number that tells this error from all others.
    #[serde(skip_serializing_if = "is_zero")]
    pub err_code: u16,
    /// What a person should read.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub description: Cow<'static, str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl ApiError {
    /// Whether this is an error of the given kind.
    pub fn is(&self, kind: ErrorKind) -> bool {
        self.err_code == kind.err_code()
    }

    /// The entry of the table it was made from, if there is one.
    pub fn kind(&self) -> Option<ErrorKind> {
        ErrorKind::ALL.iter().copied().find(|kind| self.is(*kind))
    }
}

/// The text used outside of JSON: the description and the number.
impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.description, self.err_code)
    }
}

impl std::error::Error for ApiError {}

impl From<ErrorKind> for ApiError {
    /// The error with its description as the table has it: for kinds without placeholders.
    fn from(kind: ErrorKind) -> Self {
        ApiError {
            code: kind.code(),
            err_code: kind.err_code(),
            description: Cow::Borrowed(kind.description()),
        }
    }
}

impl ErrorKind {
    /// The error, with `value` in place of the first placeholder of its description.
    pub fn with(self, value: impl fmt::Display) -> ApiError {
        self.with_all(&[&value])
    }

    /// The error, with `values` in place of the placeholders of its description, in their order.
    pub fn with_all(self, values: &[&dyn fmt::Display]) -> ApiError {
        let mut description = String::new();
        let mut rest = self.description();
        for value in values {
            let Some((before, (_, after))) = rest
                .split_once('{')
                .and_then(|(before, tail)| Some((before, tail.split_once('}')?)))
            else {
                break;
            };
            description.push_str(before);
            description.push_str(&value.to_string());
            rest = after;
        }
        description.push_str(rest);
        ApiError {
            code: self.code(),
            err_code: self.err_code(),
            description: Cow::Owned(description),
        }
    }
}

macro_rules! error_table {
    ($($(#[$doc:meta])* $name:ident = $err_code:literal, $code:literal, $description:literal;)+) => {
        /// The errors there are. `{…}` in a description is a placeholder.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u16)]
        pub enum ErrorKind {
            $($(#[$doc])* $name = $err_code),+
        }

        impl ErrorKind {
            /// All of them, by number.
            pub const ALL: &[ErrorKind] = &[$(ErrorKind::$name),+];

            /// The number that tells this error from all others.
            pub const fn err_code(self) -> u16 {
                self as u16
            }

            /// The class, by the numbers of HTTP.
            pub const fn code(self) -> u16 {
                match self { $(ErrorKind::$name => $code),+ }
            }

            /// The description, with its placeholders.
            pub const fn description(self) -> &'static str {
                match self { $(ErrorKind::$name => $description),+ }
            }
        }
    };
}

error_table! {
    /// `resource limits exceeded for account`
    AccountResourcesExceeded = 10002, 400, "resource limits exceeded for account";
    /// `bad request`
    BadRequest = 10003, 400, "bad request";
    /// `incomplete results`
    ClusterIncomplete = 10004, 503, "incomplete results";
    /// `{err}`
    ClusterNoPeers = 10005, 400, "{err}";
    /// `JetStream not in clustered mode`
    ClusterNotActive = 10006, 500, "JetStream not in clustered mode";
    /// `JetStream cluster not assigned to this server`
    ClusterNotAssigned = 10007, 500, "JetStream cluster not assigned to this server";
    /// `JetStream system temporarily unavailable`
    ClusterNotAvail = 10008, 503, "JetStream system temporarily unavailable";
    /// `JetStream cluster can not handle request`
    ClusterNotLeader = 10009, 500, "JetStream cluster can not handle request";
    /// `JetStream clustering support required`
    ClusterRequired = 10010, 503, "JetStream clustering support required";
    /// `tags placement not supported for operation`
    ClusterTags = 10011, 400, "tags placement not supported for operation";
    /// `{err}`
    ConsumerCreate = 10012, 500, "{err}";
    /// `consumer name already in use`
    ConsumerNameExist = 10013, 400, "consumer name already in use";
    /// `consumer not found`
    ConsumerNotFound = 10014, 404, "consumer not found";
    /// `deliver subject not valid`
    SnapshotDeliverSubjectInvalid = 10015, 400, "deliver subject not valid";
    /// `consumer expected to be durable but no durable name set in subject`
    ConsumerDurableNameNotInSubject = 10016, 400, "consumer expected to be durable but no durable name set in subject";
    /// `consumer name in subject does not match durable name in request`
    ConsumerDurableNameNotMatchSubject = 10017, 400, "consumer name in subject does not match durable name in request";
    /// `consumer expected to be durable but a durable name was not set`
    ConsumerDurableNameNotSet = 10018, 400, "consumer expected to be durable but a durable name was not set";
    /// `consumer expected to be ephemeral but detected a durable name set in subject`
    ConsumerEphemeralWithDurableInSubject = 10019, 400, "consumer expected to be ephemeral but detected a durable name set in subject";
    /// `consumer expected to be ephemeral but a durable name was set in request`
    ConsumerEphemeralWithDurableName = 10020, 400, "consumer expected to be ephemeral but a durable name was set in request";
    /// `stream external api prefix {prefix} must not overlap with {subject}`
    StreamExternalApiOverlap = 10021, 400, "stream external api prefix {prefix} must not overlap with {subject}";
    /// `stream external delivery prefix {prefix} overlaps with stream subject {subject}`
    StreamExternalDelPrefixOverlaps = 10022, 400, "stream external delivery prefix {prefix} overlaps with stream subject {subject}";
    /// `insufficient resources`
    InsufficientResources = 10023, 503, "insufficient resources";
    /// `stream external delivery prefix {prefix} must not contain wildcards`
    StreamInvalidExternalDeliverySubj = 10024, 400, "stream external delivery prefix {prefix} must not contain wildcards";
    /// `invalid JSON: {err}`
    InvalidJson = 10025, 400, "invalid JSON: {err}";
    /// `maximum consumers limit reached`
    MaximumConsumersLimit = 10026, 400, "maximum consumers limit reached";
    /// `maximum number of streams reached`
    MaximumStreamsLimit = 10027, 400, "maximum number of streams reached";
    /// `insufficient memory resources available`
    MemoryResourcesExceeded = 10028, 500, "insufficient memory resources available";
    /// `{err}`
    MirrorConsumerSetupFailed = 10029, 500, "{err}";
    /// `stream mirror must have max message size >= source`
    MirrorMaxMessageSizeTooBig = 10030, 400, "stream mirror must have max message size >= source";
    /// `stream mirrors can not also contain other sources`
    MirrorWithSources = 10031, 400, "stream mirrors can not also contain other sources";
    /// `stream mirrors can not have both start seq and start time configured`
    MirrorWithStartSeqAndTime = 10032, 400, "stream mirrors can not have both start seq and start time configured";
    /// `stream mirrors can not contain filtered subjects`
    MirrorWithSubjectFilters = 10033, 400, "stream mirrors can not contain filtered subjects";
    /// `stream mirrors can not contain subjects`
    MirrorWithSubjects = 10034, 400, "stream mirrors can not contain subjects";
    /// `account not found`
    NoAccount = 10035, 503, "account not found";
    /// `not currently supported in clustered mode`
    ClusterUnSupportFeature = 10036, 503, "not currently supported in clustered mode";
    /// `no message found`
    NoMessageFound = 10037, 404, "no message found";
    /// `expected an empty request payload`
    NotEmptyRequest = 10038, 400, "expected an empty request payload";
    /// `JetStream not enabled for account`
    NotEnabledForAccount = 10039, 503, "JetStream not enabled for account";
    /// `peer not a member`
    ClusterPeerNotMember = 10040, 400, "peer not a member";
    /// `{err}`
    RaftGeneral = 10041, 500, "{err}";
    /// `JetStream unable to subscribe to restore snapshot {subject}: {err}`
    RestoreSubscribeFailed = 10042, 500, "JetStream unable to subscribe to restore snapshot {subject}: {err}";
    /// `sequence {seq} not found`
    SequenceNotFound = 10043, 400, "sequence {seq} not found";
    /// `server is not a member of the cluster`
    ClusterServerNotMember = 10044, 400, "server is not a member of the cluster";
    /// `{err}`
    SourceConsumerSetupFailed = 10045, 500, "{err}";
    /// `stream source must have max message size >= target`
    SourceMaxMessageSizeTooBig = 10046, 400, "stream source must have max message size >= target";
    /// `insufficient storage resources available`
    StorageResourcesExceeded = 10047, 500, "insufficient storage resources available";
    /// `{err}`
    StreamAssignment = 10048, 500, "{err}";
    /// `{err}`
    StreamCreate = 10049, 500, "{err}";
    /// `{err}`
    StreamDelete = 10050, 500, "{err}";
    /// `{err}`
    StreamGeneral = 10051, 500, "{err}";
    /// `{err}`
    StreamInvalidConfig = 10052, 500, "{err}";
    /// `{err}`
    StreamLimits = 10053, 500, "{err}";
    /// `message size exceeds maximum allowed`
    StreamMessageExceedsMaximum = 10054, 400, "message size exceeds maximum allowed";
    /// `stream mirror configuration can not be updated`
    StreamMirrorNotUpdatable = 10055, 400, "stream mirror configuration can not be updated";
    /// `stream name in subject does not match request`
    StreamMismatch = 10056, 400, "stream name in subject does not match request";
    /// `{err}`
    StreamMsgDeleteFailed = 10057, 500, "{err}";
    /// `stream name already in use with a different configuration`
    StreamNameExist = 10058, 400, "stream name already in use with a different configuration";
    /// `stream not found`
    StreamNotFound = 10059, 404, "stream not found";
    /// `expected stream does not match`
    StreamNotMatch = 10060, 400, "expected stream does not match";
    /// `Replicas configuration can not be updated`
    StreamReplicasNotUpdatable = 10061, 400, "Replicas configuration can not be updated";
    /// `restore failed: {err}`
    StreamRestore = 10062, 500, "restore failed: {err}";
    /// `expected stream sequence does not match`
    StreamSequenceNotMatch = 10063, 503, "expected stream sequence does not match";
    /// `snapshot failed: {err}`
    StreamSnapshot = 10064, 500, "snapshot failed: {err}";
    /// `subjects overlap with an existing stream`
    StreamSubjectOverlap = 10065, 400, "subjects overlap with an existing stream";
    /// `{err}`
    StreamTemplateCreate = 10066, 500, "{err}";
    /// `{err}`
    StreamTemplateDelete = 10067, 500, "{err}";
    /// `template not found`
    StreamTemplateNotFound = 10068, 404, "template not found";
    /// `{err}`
    StreamUpdate = 10069, 500, "{err}";
    /// `wrong last msg ID: {id}`
    StreamWrongLastMsgId = 10070, 400, "wrong last msg ID: {id}";
    /// `wrong last sequence: {seq}`
    StreamWrongLastSequence = 10071, 400, "wrong last sequence: {seq}";
    /// `JetStream unable to open temp storage for restore`
    TempStorageFailed = 10072, 500, "JetStream unable to open temp storage for restore";
    /// `template name in subject does not match request`
    TemplateNameNotMatchSubject = 10073, 400, "template name in subject does not match request";
    /// `replicas > 1 not supported in non-clustered mode`
    StreamReplicasNotSupported = 10074, 500, "replicas > 1 not supported in non-clustered mode";
    /// `peer remap failed`
    PeerRemap = 10075, 503, "peer remap failed";
    /// `JetStream not enabled`
    NotEnabled = 10076, 503, "JetStream not enabled";
    /// `{err}`
    StreamStoreFailed = 10077, 503, "{err}";
    /// `consumer config required`
    ConsumerConfigRequired = 10078, 400, "consumer config required";
    /// `consumer deliver subject has wildcards`
    ConsumerDeliverToWildcards = 10079, 400, "consumer deliver subject has wildcards";
    /// `consumer in push mode can not set max waiting`
    ConsumerPushMaxWaiting = 10080, 400, "consumer in push mode can not set max waiting";
    /// `consumer deliver subject forms a cycle`
    ConsumerDeliverCycle = 10081, 400, "consumer deliver subject forms a cycle";
    /// `consumer requires ack policy for max ack pending`
    ConsumerMaxPendingAckPolicyRequired = 10082, 400, "consumer requires ack policy for max ack pending";
    /// `consumer idle heartbeat needs to be >= 100ms`
    ConsumerSmallHeartbeat = 10083, 400, "consumer idle heartbeat needs to be >= 100ms";
    /// `consumer in pull mode requires explicit ack policy on workqueue stream`
    ConsumerPullRequiresAck = 10084, 400, "consumer in pull mode requires explicit ack policy on workqueue stream";
    /// `consumer in pull mode requires a durable name`
    ConsumerPullNotDurable = 10085, 400, "consumer in pull mode requires a durable name";
    /// `consumer in pull mode can not have rate limit set`
    ConsumerPullWithRateLimit = 10086, 400, "consumer in pull mode can not have rate limit set";
    /// `consumer max waiting needs to be positive`
    ConsumerMaxWaitingNegative = 10087, 400, "consumer max waiting needs to be positive";
    /// `consumer idle heartbeat requires a push based consumer`
    ConsumerHeartbeatRequiresPush = 10088, 400, "consumer idle heartbeat requires a push based consumer";
    /// `consumer flow control requires a push based consumer`
    ConsumerFlowControlRequiresPush = 10089, 400, "consumer flow control requires a push based consumer";
    /// `consumer direct requires a push based consumer`
    ConsumerDirectRequiresPush = 10090, 400, "consumer direct requires a push based consumer";
    /// `consumer direct requires an ephemeral consumer`
    ConsumerDirectRequiresEphemeral = 10091, 400, "consumer direct requires an ephemeral consumer";
    /// `consumer direct on a mapped consumer`
    ConsumerOnMapped = 10092, 400, "consumer direct on a mapped consumer";
    /// `consumer filter subject is not a valid subset of the interest subjects`
    ConsumerFilterNotSubset = 10093, 400, "consumer filter subject is not a valid subset of the interest subjects";
    /// `{err}`
    ConsumerInvalidPolicy = 10094, 400, "{err}";
    /// `failed to parse consumer sampling configuration: {err}`
    ConsumerInvalidSampling = 10095, 400, "failed to parse consumer sampling configuration: {err}";
    /// `stream not valid`
    StreamInvalid = 10096, 500, "stream not valid";
    /// `header size exceeds maximum allowed of 64k`
    StreamHeaderExceedsMaximum = 10097, 400, "header size exceeds maximum allowed of 64k";
    /// `workqueue stream requires explicit ack`
    ConsumerWorkQueueRequiresExplicitAck = 10098, 400, "workqueue stream requires explicit ack";
    /// `multiple non-filtered consumers not allowed on workqueue stream`
    ConsumerWorkQueueMultipleUnfiltered = 10099, 400, "multiple non-filtered consumers not allowed on workqueue stream";
    /// `filtered consumer not unique on workqueue stream`
    ConsumerWorkQueueConsumerNotUnique = 10100, 400, "filtered consumer not unique on workqueue stream";
    /// `consumer must be deliver all on workqueue stream`
    ConsumerWorkQueueConsumerNotDeliverAll = 10101, 400, "consumer must be deliver all on workqueue stream";
    /// `consumer name is too long, maximum allowed is {max}`
    ConsumerNameTooLong = 10102, 400, "consumer name is too long, maximum allowed is {max}";
    /// `durable name can not contain '.', '*', '>'`
    ConsumerBadDurableName = 10103, 400, "durable name can not contain '.', '*', '>'";
    /// `error creating store for consumer: {err}`
    ConsumerStoreFailed = 10104, 500, "error creating store for consumer: {err}";
    /// `consumer already exists and is still active`
    ConsumerExistingActive = 10105, 400, "consumer already exists and is still active";
    /// `consumer replacement durable config not the same`
    ConsumerReplacementWithDifferentName = 10106, 400, "consumer replacement durable config not the same";
    /// `consumer description is too long, maximum allowed is {max}`
    ConsumerDescriptionTooLong = 10107, 400, "consumer description is too long, maximum allowed is {max}";
    /// `consumer with flow control also needs heartbeats`
    ConsumerWithFlowControlNeedsHeartbeats = 10108, 400, "consumer with flow control also needs heartbeats";
    /// `invalid operation on sealed stream`
    StreamSealed = 10109, 400, "invalid operation on sealed stream";
    /// `{err}`
    StreamPurgeFailed = 10110, 500, "{err}";
    /// `{err}`
    StreamRollupFailed = 10111, 500, "{err}";
    /// `invalid push consumer deliver subject`
    ConsumerInvalidDeliverSubject = 10112, 400, "invalid push consumer deliver subject";
    /// `account requires a stream config to have max bytes set`
    StreamMaxBytesRequired = 10113, 400, "account requires a stream config to have max bytes set";
    /// `consumer max request batch needs to be > 0`
    ConsumerMaxRequestBatchNegative = 10114, 400, "consumer max request batch needs to be > 0";
    /// `consumer max request expires needs to be >= 1ms`
    ConsumerMaxRequestExpiresTooSmall = 10115, 400, "consumer max request expires needs to be >= 1ms";
    /// `max deliver is required to be > length of backoff values`
    ConsumerMaxDeliverBackoff = 10116, 400, "max deliver is required to be > length of backoff values";
    /// `subject details would exceed maximum allowed`
    StreamInfoMaxSubjects = 10117, 500, "subject details would exceed maximum allowed";
    /// `stream is offline`
    StreamOffline = 10118, 500, "stream is offline";
    /// `consumer is offline`
    ConsumerOffline = 10119, 500, "consumer is offline";
    /// `no JetStream default or applicable tiered limit present`
    NoLimits = 10120, 400, "no JetStream default or applicable tiered limit present";
    /// `consumer max ack pending exceeds system limit of {limit}`
    ConsumerMaxPendingAckExcess = 10121, 400, "consumer max ack pending exceeds system limit of {limit}";
    /// `stream max bytes exceeds account limit max stream bytes`
    StreamMaxStreamBytesExceeded = 10122, 400, "stream max bytes exceeds account limit max stream bytes";
    /// `can not move and scale a stream in a single update`
    StreamMoveAndScale = 10123, 400, "can not move and scale a stream in a single update";
    /// `stream move already in progress: {msg}`
    StreamMoveInProgress = 10124, 400, "stream move already in progress: {msg}";
    /// `consumer max request batch exceeds server limit of {limit}`
    ConsumerMaxRequestBatchExceeded = 10125, 400, "consumer max request batch exceeds server limit of {limit}";
    /// `consumer config replica count exceeds parent stream`
    ConsumerReplicasExceedsStream = 10126, 400, "consumer config replica count exceeds parent stream";
    /// `Consumer name can not contain path separators`
    ConsumerNameContainsPathSeparators = 10127, 400, "Consumer name can not contain path separators";
    /// `Stream name can not contain path separators`
    StreamNameContainsPathSeparators = 10128, 400, "Stream name can not contain path separators";
    /// `stream move not in progress`
    StreamMoveNotInProgress = 10129, 400, "stream move not in progress";
    /// `stream name already in use, cannot restore`
    StreamNameExistRestoreFailed = 10130, 400, "stream name already in use, cannot restore";
    /// `Consumer create request did not match filtered subject from create subject`
    ConsumerCreateFilterSubjectMismatch = 10131, 400, "Consumer create request did not match filtered subject from create subject";
    /// `Consumer Durable and Name have to be equal if both are provided`
    ConsumerCreateDurableAndNameMismatch = 10132, 400, "Consumer Durable and Name have to be equal if both are provided";
    /// `replicas count cannot be negative`
    ReplicasCountCannotBeNegative = 10133, 400, "replicas count cannot be negative";
    /// `consumer config replicas must match interest retention stream's replicas`
    ConsumerReplicasShouldMatchStream = 10134, 400, "consumer config replicas must match interest retention stream's replicas";
    /// `consumer metadata exceeds maximum size of {limit}`
    ConsumerMetadataLength = 10135, 400, "consumer metadata exceeds maximum size of {limit}";
    /// `consumer cannot have both FilterSubject and FilterSubjects specified`
    ConsumerDuplicateFilterSubjects = 10136, 400, "consumer cannot have both FilterSubject and FilterSubjects specified";
    /// `consumer with multiple subject filters cannot use subject based API`
    ConsumerMultipleFiltersNotAllowed = 10137, 400, "consumer with multiple subject filters cannot use subject based API";
    /// `consumer subject filters cannot overlap`
    ConsumerOverlappingSubjectFilters = 10138, 400, "consumer subject filters cannot overlap";
    /// `consumer filter in FilterSubjects cannot be empty`
    ConsumerEmptyFilter = 10139, 400, "consumer filter in FilterSubjects cannot be empty";
    /// `duplicate source configuration detected`
    SourceDuplicateDetected = 10140, 400, "duplicate source configuration detected";
    /// `sourced stream name is invalid`
    SourceInvalidStreamName = 10141, 400, "sourced stream name is invalid";
    /// `mirrored stream name is invalid`
    MirrorInvalidStreamName = 10142, 400, "mirrored stream name is invalid";
    /// `stream mirrors can not have first sequence configured`
    MirrorWithFirstSeq = 10143, 400, "stream mirrors can not have first sequence configured";
    /// `source with multiple subject transforms cannot also have a single subject filter`
    SourceMultipleFiltersNotAllowed = 10144, 400, "source with multiple subject transforms cannot also have a single subject filter";
    /// `source transform source: {err}`
    SourceInvalidSubjectFilter = 10145, 400, "source transform source: {err}";
    /// `source transform: {err}`
    SourceInvalidTransformDestination = 10146, 400, "source transform: {err}";
    /// `source filters can not overlap`
    SourceOverlappingSubjectFilters = 10147, 400, "source filters can not overlap";
    /// `consumer already exists`
    ConsumerAlreadyExists = 10148, 400, "consumer already exists";
    /// `consumer does not exist`
    ConsumerDoesNotExist = 10149, 400, "consumer does not exist";
    /// `mirror with multiple subject transforms cannot also have a single subject filter`
    MirrorMultipleFiltersNotAllowed = 10150, 400, "mirror with multiple subject transforms cannot also have a single subject filter";
    /// `mirror transform source: {err}`
    MirrorInvalidSubjectFilter = 10151, 400, "mirror transform source: {err}";
    /// `mirror subject filters can not overlap`
    MirrorOverlappingSubjectFilters = 10152, 400, "mirror subject filters can not overlap";
    /// `consumer inactive threshold exceeds system limit of {limit}`
    ConsumerInactiveThresholdExcess = 10153, 400, "consumer inactive threshold exceeds system limit of {limit}";
    /// `mirror transform: {err}`
    MirrorInvalidTransformDestination = 10154, 400, "mirror transform: {err}";
    /// `stream transform source: {err}`
    StreamTransformInvalidSource = 10155, 400, "stream transform source: {err}";
    /// `stream transform: {err}`
    StreamTransformInvalidDestination = 10156, 400, "stream transform: {err}";
    /// `pedantic mode: {err}`
    Pedantic = 10157, 400, "pedantic mode: {err}";
    /// `duplicate message id is in process`
    StreamDuplicateMessageConflict = 10158, 409, "duplicate message id is in process";
    /// `Setting PriorityPolicy requires at least one PriorityGroup to be set`
    ConsumerPriorityPolicyWithoutGroup = 10159, 400, "Setting PriorityPolicy requires at least one PriorityGroup to be set";
    /// `Provided priority group does not exist for this consumer`
    ConsumerInvalidPriorityGroup = 10160, 400, "Provided priority group does not exist for this consumer";
    /// `Group name cannot be an empty string`
    ConsumerEmptyGroupName = 10161, 400, "Group name cannot be an empty string";
    /// `Valid priority group name must match A-Z, a-z, 0-9, -_/=)+ and may not exceed 16 characters`
    ConsumerInvalidGroupName = 10162, 400, "Valid priority group name must match A-Z, a-z, 0-9, -_/=)+ and may not exceed 16 characters";
    /// `expected last sequence per subject temporarily unavailable`
    StreamExpectedLastSeqPerSubjectNotReady = 10163, 503, "expected last sequence per subject temporarily unavailable";
    /// `wrong last sequence`
    StreamWrongLastSequenceConstant = 10164, 400, "wrong last sequence";
    /// `invalid per-message TTL`
    MessageTtlInvalid = 10165, 400, "invalid per-message TTL";
    /// `per-message TTL is disabled`
    MessageTtlDisabled = 10166, 400, "per-message TTL is disabled";
    /// `too many requests`
    StreamTooManyRequests = 10167, 429, "too many requests";
    /// `message counters is disabled`
    MessageIncrDisabled = 10168, 400, "message counters is disabled";
    /// `message counter increment is missing`
    MessageIncrMissing = 10169, 400, "message counter increment is missing";
    /// `message counter has payload`
    MessageIncrPayload = 10170, 400, "message counter has payload";
    /// `message counter increment is invalid`
    MessageIncrInvalid = 10171, 400, "message counter increment is invalid";
    /// `message counter is broken`
    MessageCounterBroken = 10172, 400, "message counter is broken";
    /// `stream mirrors can not also calculate counters`
    MirrorWithCounters = 10173, 400, "stream mirrors can not also calculate counters";
    /// `atomic publish is disabled`
    AtomicPublishDisabled = 10174, 400, "atomic publish is disabled";
    /// `atomic publish sequence is missing`
    AtomicPublishMissingSeq = 10175, 400, "atomic publish sequence is missing";
    /// `atomic publish batch is incomplete`
    AtomicPublishIncompleteBatch = 10176, 400, "atomic publish batch is incomplete";
    /// `atomic publish unsupported header used: {header}`
    AtomicPublishUnsupportedHeaderBatch = 10177, 400, "atomic publish unsupported header used: {header}";
    /// `priority groups can not be used with push consumers`
    ConsumerPushWithPriorityGroup = 10178, 400, "priority groups can not be used with push consumers";
    /// `atomic publish batch ID is invalid`
    AtomicPublishInvalidBatchId = 10179, 400, "atomic publish batch ID is invalid";
    /// `min last sequence`
    StreamMinLastSeq = 10180, 412, "min last sequence";
    /// `consumer ack policy invalid`
    ConsumerAckPolicyInvalid = 10181, 400, "consumer ack policy invalid";
    /// `consumer replay policy invalid`
    ConsumerReplayPolicyInvalid = 10182, 400, "consumer replay policy invalid";
    /// `consumer ack wait needs to be positive`
    ConsumerAckWaitNegative = 10183, 400, "consumer ack wait needs to be positive";
    /// `consumer backoff needs to be positive`
    ConsumerBackOffNegative = 10184, 400, "consumer backoff needs to be positive";
    /// `JetStream minimum api level required`
    RequiredApiLevel = 10185, 412, "JetStream minimum api level required";
    /// `stream mirrors can not also schedule messages`
    MirrorWithMsgSchedules = 10186, 400, "stream mirrors can not also schedule messages";
    /// `stream source can not also schedule messages`
    SourceWithMsgSchedules = 10187, 400, "stream source can not also schedule messages";
    /// `message schedules is disabled`
    MessageSchedulesDisabled = 10188, 400, "message schedules is disabled";
    /// `message schedules pattern is invalid`
    MessageSchedulesPatternInvalid = 10189, 400, "message schedules pattern is invalid";
    /// `message schedules target is invalid`
    MessageSchedulesTargetInvalid = 10190, 400, "message schedules target is invalid";
    /// `message schedules invalid per-message TTL`
    MessageSchedulesTtlInvalid = 10191, 400, "message schedules invalid per-message TTL";
    /// `message schedules invalid rollup`
    MessageSchedulesRollupInvalid = 10192, 400, "message schedules invalid rollup";
    /// `missing sequence for expected last sequence per subject`
    StreamExpectedLastSeqPerSubjectInvalid = 10193, 400, "missing sequence for expected last sequence per subject";
    /// `stream is offline: {err}`
    StreamOfflineReason = 10194, 500, "stream is offline: {err}";
    /// `consumer is offline: {err}`
    ConsumerOfflineReason = 10195, 500, "consumer is offline: {err}";
    /// `consumer can not have priority groups when policy is none`
    ConsumerPriorityGroupWithPolicyNone = 10196, 400, "consumer can not have priority groups when policy is none";
    /// `PinnedTTL cannot be set when PriorityPolicy is none`
    ConsumerPinnedTtlWithoutPriorityPolicyNone = 10197, 400, "PinnedTTL cannot be set when PriorityPolicy is none";
    /// `stream mirrors can not also use atomic publishing`
    MirrorWithAtomicPublish = 10198, 400, "stream mirrors can not also use atomic publishing";
    /// `atomic publish batch is too large: {size}`
    AtomicPublishTooLargeBatch = 10199, 400, "atomic publish batch is too large: {size}";
    /// `atomic publish batch commit is invalid`
    AtomicPublishInvalidBatchCommit = 10200, 400, "atomic publish batch commit is invalid";
    /// `atomic publish batch contains duplicate message id`
    AtomicPublishContainsDuplicateMessage = 10201, 400, "atomic publish batch contains duplicate message id";
    /// `cluster member change is in progress`
    ClusterServerMemberChangeInflight = 10202, 400, "cluster member change is in progress";
    /// `message schedules source is invalid`
    MessageSchedulesSourceInvalid = 10203, 400, "message schedules source is invalid";
    /// `invalid reset: {err}`
    ConsumerInvalidReset = 10204, 400, "invalid reset: {err}";
    /// `batch publish is disabled`
    BatchPublishDisabled = 10205, 400, "batch publish is disabled";
    /// `batch publish pattern is invalid`
    BatchPublishInvalidPattern = 10206, 400, "batch publish pattern is invalid";
    /// `batch publish ID is invalid`
    BatchPublishInvalidBatchId = 10207, 400, "batch publish ID is invalid";
    /// `batch publish ID unknown`
    BatchPublishUnknownBatchId = 10208, 400, "batch publish ID unknown";
    /// `stream mirrors can not also use batch publishing`
    MirrorWithBatchPublish = 10209, 400, "stream mirrors can not also use batch publishing";
    /// `atomic publish too many inflight`
    AtomicPublishTooManyInflight = 10210, 429, "atomic publish too many inflight";
    /// `batch publish too many inflight`
    BatchPublishTooManyInflight = 10211, 429, "batch publish too many inflight";
    /// `message schedules invalid scheduler`
    MessageSchedulesSchedulerInvalid = 10212, 400, "message schedules invalid scheduler";
    /// `stream mirror consumer config is invalid`
    MirrorDurableConsumerCfgInvalid = 10213, 400, "stream mirror consumer config is invalid";
    /// `stream mirror consumer requires flow control ack policy`
    MirrorConsumerRequiresAckFlowControl = 10214, 400, "stream mirror consumer requires flow control ack policy";
    /// `stream source consumer config is invalid`
    SourceDurableConsumerCfgInvalid = 10215, 400, "stream source consumer config is invalid";
    /// `duplicate stream source consumer detected`
    SourceDurableConsumerDuplicateDetected = 10216, 400, "duplicate stream source consumer detected";
    /// `stream source consumer requires flow control ack policy`
    SourceConsumerRequiresAckFlowControl = 10217, 400, "stream source consumer requires flow control ack policy";
    /// `flow control ack policy requires a push based consumer`
    ConsumerAckFlowControlRequiresPush = 10218, 400, "flow control ack policy requires a push based consumer";
    /// `flow control ack policy requires flow control`
    ConsumerAckFlowControlRequiresFlowControl = 10219, 400, "flow control ack policy requires flow control";
    /// `flow control ack policy requires max ack pending`
    ConsumerAckFlowControlRequiresMaxAckPending = 10220, 400, "flow control ack policy requires max ack pending";
    /// `flow control ack policy requires unset ack wait`
    ConsumerAckFlowControlRequiresNoAckWait = 10221, 400, "flow control ack policy requires unset ack wait";
    /// `flow control ack policy requires unset max deliver`
    ConsumerAckFlowControlRequiresNoMaxDeliver = 10222, 400, "flow control ack policy requires unset max deliver";
    /// `message schedules time zone is invalid`
    MessageSchedulesTimeZoneInvalid = 10223, 400, "message schedules time zone is invalid";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gojson;

    #[test]
    fn json_has_code_number_and_description() {
        let error = ErrorKind::StreamWrongLastSequence.with(5);
        assert_eq!(
            gojson::to_vec(&error).expect("plain value"),
            br#"{"code":400,"err_code":10071,"description":"wrong last sequence: 5"}"#
        );
        assert_eq!(error.to_string(), "wrong last sequence: 5 (10071)");
    }

    #[test]
    fn placeholders_are_filled_in_their_order() {
        assert_eq!(
            ErrorKind::StreamExternalApiOverlap.with_all(&[&"a.b", &"{c}"]).description,
            "stream external api prefix a.b must not overlap with {c}"
        );
        assert_eq!(ApiError::from(ErrorKind::BadRequest).description, "bad request");
        assert_eq!(ErrorKind::BadRequest.with("x").description, "bad request");
    }

    #[test]
    fn numbers_are_without_gaps_and_lead_back_to_their_kind() {
        for (kind, number) in ErrorKind::ALL.iter().zip(10_002..) {
            assert_eq!(kind.err_code(), number);
            assert_eq!(ApiError::from(*kind).kind(), Some(*kind));
        }
        assert_eq!(ErrorKind::ALL.last(), Some(&ErrorKind::MessageSchedulesTimeZoneInvalid));
    }

    #[test]
    fn error_of_another_server_reads_back() {
        let error: ApiError =
            serde_json::from_str(r#"{"code":500,"err_code":20000,"description":"x","more":1}"#)
                .expect("readable");
        assert_eq!((error.code, error.err_code, error.kind()), (500, 20_000, None));
        assert_eq!(error.description, "x");
    }
}
