//! What the connections need of the options, in the form in which they use it.

use crate::config::options::Options;
use crate::config::options::listen::WriteTimeout;
use std::time::Duration;

/// The options as the connections use them; replaced as a whole by a reload.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Time a client has to authenticate, in milliseconds.
    pub auth_timeout_ms: u64,
    /// Longest argument of a control line in bytes.
    pub max_control_line: u32,
    /// Largest payload in bytes, negative for no limit.
    pub max_payload: i64,
    /// Bytes pending above which a client is a slow consumer.
    pub max_pending_bytes: usize,
    /// Subscriptions of a connection, negative for no limit.
    pub max_subscriptions: i64,
    /// Tokens of a subscription's subject, 0 for no limit.
    pub max_subscription_tokens: usize,
    /// Client connections; negative refuses all.
    pub max_connections: i64,
    /// Time between PINGs in milliseconds.
    pub ping_interval_ms: u64,
    /// PINGs that may be unanswered.
    pub ping_max: i64,
    /// Write deadline in milliseconds.
    pub write_deadline_ms: u64,
    /// Keep a client that exceeds the write deadline but makes progress.
    pub retry_writes: bool,
    /// Whether headers are supported.
    pub headers: bool,
    /// Never hold a producer back for a slow consumer; drop its messages instead.
    pub drop_when_gated: bool,
    /// Bytes of a payload shown in traces, 0 for all.
    pub max_traced_bytes: usize,
    /// Trace only the headers of messages.
    pub trace_headers: bool,
    /// Client connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Clients may do without TLS although it is configured.
    pub allow_non_tls: bool,
    /// Time a client has for the TLS handshake, in milliseconds.
    pub tls_timeout_ms: u64,
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX / 4)
}

impl Settings {
    /// From options whose baseline is set.
    pub fn from_options(o: &Options) -> Settings {
        Settings {
            auth_timeout_ms: millis(o.auth_timeout),
            max_control_line: u32::try_from(o.max_control_line).unwrap_or(0),
            max_payload: i64::from(o.max_payload),
            max_pending_bytes: usize::try_from(o.max_pending).unwrap_or(0),
            max_subscriptions: if o.max_subscriptions == 0 { -1 } else { o.max_subscriptions },
            max_subscription_tokens: usize::from(o.max_sub_tokens),
            max_connections: o.max_connections,
            ping_interval_ms: millis(o.ping_interval),
            ping_max: o.ping_max,
            write_deadline_ms: millis(o.write_deadline),
            retry_writes: o.write_timeout == WriteTimeout::Retry,
            headers: !o.no_header_support,
            drop_when_gated: o.no_fast_producer_stall,
            max_traced_bytes: usize::try_from(o.max_traced_msg_len).unwrap_or(0),
            trace_headers: o.trace_headers,
            proxy_protocol: o.proxy_protocol,
            allow_non_tls: o.allow_non_tls,
            tls_timeout_ms: millis(o.tls_timeout).max(1),
        }
    }
}
