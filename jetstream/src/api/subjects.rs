//! What an API subject asks for (spec 07c §C2 to §C6).

/// What all API subjects start with.
pub const PREFIX: &str = "$JS.API.";
/// What the names of response types start with.
const TYPE_PREFIX: &str = "io.nats.jetstream.api.v1.";

/// A request by its subject; the names are those of the subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call<'a> {
    /// Usage and limits of the account.
    AccountInfo,
    /// All of an account is removed; for the system account.
    AccountPurge {
        /// The account.
        account: &'a str,
    },
    /// Names of streams.
    StreamNames,
    /// Streams with their states.
    StreamList,
    /// Something about one stream.
    Stream {
        /// Its name.
        stream: &'a str,
        /// What.
        call: StreamCall,
    },
    /// A consumer is to be created or updated, in one of several forms.
    ConsumerCreate {
        /// The stream's name.
        stream: &'a str,
    },
    /// The same, in the old form for durable consumers.
    ConsumerDurableCreate {
        /// The stream's name.
        stream: &'a str,
    },
    /// Something about one consumer.
    Consumer {
        /// The stream's name.
        stream: &'a str,
        /// Its own name.
        consumer: &'a str,
        /// What.
        call: ConsumerCall,
    },
}

/// What is asked of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamCall {
    /// Create it.
    Create,
    /// Change its configuration.
    Update,
    /// Configuration and state.
    Info,
    /// Delete it.
    Delete,
    /// Remove messages.
    Purge,
    /// Get a message.
    MessageGet,
    /// Delete a message.
    MessageDelete,
    /// Send an archive.
    Snapshot,
    /// Take an archive.
    Restore,
    /// Remove a replica.
    PeerRemove,
    /// Have another replica lead.
    LeaderStepdown,
    /// Names of its consumers.
    ConsumerNames,
    /// Its consumers with their states.
    ConsumerList,
}

/// What is asked of a consumer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConsumerCall {
    /// Configuration and state.
    Info,
    /// Delete it.
    Delete,
    /// Let it rest, or wake it.
    Pause,
    /// Take a pinned client's privilege away.
    Unpin,
    /// Have another replica lead.
    LeaderStepdown,
}

impl<'a> Call<'a> {
    /// Reads a subject that starts with [`PREFIX`]; `None` for one nobody serves.
    pub fn parse(subject: &'a str) -> Option<Call<'a>> {
        let rest = subject.strip_prefix(PREFIX)?;
        let tokens: Vec<&str> = rest.split('.').collect();
        let stream = |stream, call| Some(Call::Stream { stream, call });
        let consumer = |stream, consumer, call| Some(Call::Consumer { stream, consumer, call });
        match *tokens.as_slice() {
            ["INFO"] => Some(Call::AccountInfo),
            ["ACCOUNT", "PURGE", account] => Some(Call::AccountPurge { account }),
            ["STREAM", "NAMES"] => Some(Call::StreamNames),
            ["STREAM", "LIST"] => Some(Call::StreamList),
            ["STREAM", "CREATE", name] => stream(name, StreamCall::Create),
            ["STREAM", "UPDATE", name] => stream(name, StreamCall::Update),
            ["STREAM", "INFO", name] => stream(name, StreamCall::Info),
            ["STREAM", "DELETE", name] => stream(name, StreamCall::Delete),
            ["STREAM", "PURGE", name] => stream(name, StreamCall::Purge),
            ["STREAM", "SNAPSHOT", name] => stream(name, StreamCall::Snapshot),
            ["STREAM", "RESTORE", name] => stream(name, StreamCall::Restore),
            ["STREAM", "MSG", "GET", name] => stream(name, StreamCall::MessageGet),
            ["STREAM", "MSG", "DELETE", name] => stream(name, StreamCall::MessageDelete),
            ["STREAM", "PEER", "REMOVE", name] => stream(name, StreamCall::PeerRemove),
            ["STREAM", "LEADER", "STEPDOWN", name] => stream(name, StreamCall::LeaderStepdown),
            ["CONSUMER", "NAMES", name] => stream(name, StreamCall::ConsumerNames),
            ["CONSUMER", "LIST", name] => stream(name, StreamCall::ConsumerList),
            ["CONSUMER", "DURABLE", "CREATE", name, _] => {
                Some(Call::ConsumerDurableCreate { stream: name })
            }
            ["CONSUMER", "CREATE", name, ..] => Some(Call::ConsumerCreate { stream: name }),
            ["CONSUMER", "INFO", s, c] => consumer(s, c, ConsumerCall::Info),
            ["CONSUMER", "DELETE", s, c] => consumer(s, c, ConsumerCall::Delete),
            ["CONSUMER", "PAUSE", s, c] => consumer(s, c, ConsumerCall::Pause),
            ["CONSUMER", "UNPIN", s, c] => consumer(s, c, ConsumerCall::Unpin),
            ["CONSUMER", "LEADER", "STEPDOWN", s, c] => {
                consumer(s, c, ConsumerCall::LeaderStepdown)
            }
            _ => None,
        }
    }

    /// The `type` of its answer.
    pub fn response_type(&self) -> String {
        format!("{TYPE_PREFIX}{}", self.response_suffix())
    }

    fn response_suffix(&self) -> &'static str {
        match self {
            Call::AccountInfo => "account_info_response",
            Call::AccountPurge { .. } => "account_purge_response",
            Call::StreamNames => "stream_names_response",
            Call::StreamList => "stream_list_response",
            Call::Stream { call, .. } => match call {
                StreamCall::Create => "stream_create_response",
                StreamCall::Update => "stream_update_response",
                StreamCall::Info => "stream_info_response",
                StreamCall::Delete => "stream_delete_response",
                StreamCall::Purge => "stream_purge_response",
                StreamCall::MessageGet => "stream_msg_get_response",
                StreamCall::MessageDelete => "stream_msg_delete_response",
                StreamCall::Snapshot => "stream_snapshot_response",
                StreamCall::Restore => "stream_restore_response",
                StreamCall::PeerRemove => "stream_remove_peer_response",
                StreamCall::LeaderStepdown => "stream_leader_stepdown_response",
                StreamCall::ConsumerNames => "consumer_names_response",
                StreamCall::ConsumerList => "consumer_list_response",
            },
            Call::ConsumerCreate { .. } | Call::ConsumerDurableCreate { .. } => {
                "consumer_create_response"
            }
            Call::Consumer { call, .. } => match call {
                ConsumerCall::Info => "consumer_info_response",
                ConsumerCall::Delete => "consumer_delete_response",
                ConsumerCall::Pause => "consumer_pause_response",
                ConsumerCall::Unpin => "consumer_unpin_response",
                ConsumerCall::LeaderStepdown => "consumer_leader_stepdown_response",
            },
        }
    }
}

/// Subjects that only subscriptions of a single stream or consumer serve: a request for one that
/// does not exist finds no responder.
pub fn is_direct(subject: &[u8]) -> bool {
    subject.starts_with(b"$JS.API.DIRECT.GET") || subject.starts_with(b"$JS.API.CONSUMER.MSG.NEXT.")
}
