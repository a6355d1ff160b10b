//! One option that has changed, and what the log says of it (spec 02 §11.5).

use crate::config::options::{LogFormat, Options};
use crate::config::text::{duration, float, quote_list};
use crate::process::text::friendly_bytes;

/// A change that a running server takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named as its option")]
pub enum Change {
    ClientAdvertise,
    Trace,
    Debug,
    TraceVerbose,
    TraceHeaders,
    Logtime,
    LogtimeUtc,
    LogFormat,
    MaxConnections,
    Nkeys,
    Users,
    Accounts,
    DefaultSentinel,
    Username,
    Password,
    Token,
    PingInterval,
    PingMax,
    AuthTimeout,
    MaxControlLine,
    MaxPayload,
    NoFastProducerStall,
    Cluster,
    JetStream(bool),
    JetStreamMaxMemory,
    JetStreamMaxStore,
    Mqtt,
    ProfBlockRate,
    PidFile,
    PortsFileDir,
    LogFile,
    Syslog,
    RemoteSyslog,
    Routes,
    TlsTimeout,
    Tls,
    TlsPinnedCerts,
    TlsHandshakeFirst,
    TlsHandshakeFirstFallback,
    WriteDeadline,
    MaxTracedMsgLen,
    ConnectErrorReports,
    ReconnectErrorReports,
    Tags,
    Metadata,
    Ocsp,
    Proxies { removed: Vec<String>, added: Vec<String> },
    OcspCache,
}

impl Change {
    /// Whether the log has to be made anew.
    pub fn concerns_log(&self) -> bool {
        matches!(
            self,
            Change::Trace
                | Change::Debug
                | Change::TraceVerbose
                | Change::TraceHeaders
                | Change::Logtime
                | Change::LogtimeUtc
                | Change::LogFormat
                | Change::LogFile
                | Change::Syslog
                | Change::RemoteSyslog
        )
    }

    /// The lines of the log, made from the new options.
    pub fn lines(&self, o: &Options) -> Vec<String> {
        let setting =
            |key: &str, value: &dyn std::fmt::Display| format!("Reloaded: {key} = {value}");
        let tls = o.tls.as_ref();
        let line = match self {
            Change::ClientAdvertise => {
                format!("Reload: client_advertise = {}", o.client_advertise)
            }
            Change::Trace => setting("trace", &o.trace),
            Change::Debug => setting("debug", &o.debug),
            Change::TraceVerbose => setting("trace_verbose", &o.trace_verbose),
            Change::TraceHeaders => setting("trace_headers", &o.trace_headers),
            Change::Logtime => setting("logtime", &o.logtime),
            Change::LogtimeUtc => setting("logtime_utc", &o.logtime_utc),
            Change::LogFormat => {
                let json = o.log_format == LogFormat::Json;
                setting("log_format", &if json { "json" } else { "text" })
            }
            Change::MaxConnections => setting("max_connections", &o.max_connections),
            Change::Nkeys => "Reloaded: authorization nkey users".to_owned(),
            Change::Users => "Reloaded: authorization users".to_owned(),
            Change::Accounts => "Reloaded: accounts".to_owned(),
            Change::DefaultSentinel => setting("default_sentinel", &o.default_sentinel),
            Change::Username => "Reloaded: authorization username".to_owned(),
            Change::Password => "Reloaded: authorization password".to_owned(),
            Change::Token => "Reloaded: authorization token".to_owned(),
            Change::PingInterval => setting("ping_interval", &duration(o.ping_interval)),
            Change::PingMax => setting("ping_max", &o.ping_max),
            Change::AuthTimeout => {
                setting("authorization timeout", &float(o.auth_timeout.as_secs_f64()))
            }
            Change::MaxControlLine => setting("max_control_line", &o.max_control_line),
            Change::MaxPayload => setting("max_payload", &o.max_payload),
            Change::NoFastProducerStall => {
                let not = if o.no_fast_producer_stall { "not " } else { "" };
                format!("Reloaded: fast producers will {not}be stalled")
            }
            Change::Cluster => "Reloaded: cluster".to_owned(),
            Change::Mqtt => {
                let m = &o.mqtt;
                let all: [(&str, &dyn std::fmt::Display); 6] = [
                    ("MQTT ack_wait", &m.ack_wait),
                    ("MQTT max_ack_pending", &m.max_ack_pending),
                    ("MQTT stream_replicas", &m.stream_replicas),
                    ("MQTT consumer_replicas", &0),
                    ("MQTT consumer_memory_storage", &m.consumer_memory_storage),
                    ("MQTT consumer_inactive_threshold", &duration(m.consumer_inactive_threshold)),
                ];
                return all.into_iter().map(|(key, value)| setting(key, value)).collect();
            }
            Change::JetStream(_) => "Reloaded: JetStream".to_owned(),
            Change::JetStreamMaxMemory => {
                setting("JetStream max_mem_store", &friendly_bytes(o.jetstream.max_memory))
            }
            Change::JetStreamMaxStore => {
                setting("JetStream max_file_store", &friendly_bytes(o.jetstream.max_store))
            }
            Change::ProfBlockRate => setting("prof_block_rate", &o.prof_block_rate),
            Change::PidFile if o.pid_file.is_empty() => return Vec::new(),
            Change::PidFile => setting("pid_file", &o.pid_file),
            Change::PortsFileDir => setting("ports_file_dir", &o.ports_file_dir),
            Change::LogFile => setting("log_file", &o.log_file),
            Change::Syslog => setting("syslog", &o.syslog),
            Change::RemoteSyslog => setting("remote_syslog", &o.remote_syslog),
            Change::Routes => "Reloaded: cluster routes".to_owned(),
            Change::TlsTimeout => setting("tls timeout", &float(o.tls_timeout.as_secs_f64())),
            Change::Tls => setting("tls", &if tls.is_some() { "enabled" } else { "disabled" }),
            Change::TlsPinnedCerts => {
                format!("Reloaded: {} pinned_certs", tls.map_or(0, |t| t.pinned_certs.len()))
            }
            Change::TlsHandshakeFirst => format!(
                "Reloaded: Client TLS handshake first: {}",
                tls.is_some_and(|t| t.handshake_first)
            ),
            Change::TlsHandshakeFirstFallback => format!(
                "Reloaded: Client TLS handshake first fallback delay: {}",
                duration(tls.map(|t| t.handshake_first_fallback).unwrap_or_default())
            ),
            Change::WriteDeadline => setting("write_deadline", &duration(o.write_deadline)),
            Change::MaxTracedMsgLen => setting("max_traced_msg_len", &o.max_traced_msg_len),
            Change::ConnectErrorReports => {
                setting("connect_error_reports", &o.connect_error_reports)
            }
            Change::ReconnectErrorReports => {
                setting("reconnect_error_reports", &o.reconnect_error_reports)
            }
            Change::Tags => "Reloaded: tags".to_owned(),
            Change::Metadata => "Reloaded: metadata".to_owned(),
            Change::Ocsp => "Reloaded: OCSP".to_owned(),
            Change::OcspCache => "Reloaded OCSP peer cache".to_owned(),
            Change::Proxies { removed, added } => {
                let line = |keys: &[String], what: &str| {
                    (!keys.is_empty()).then(|| {
                        let keys = quote_list(keys);
                        format!("Reloaded: proxies trusted keys {keys} were {what}")
                    })
                };
                let lines = [line(removed, "removed"), line(added, "added")];
                return lines.into_iter().flatten().collect();
            }
        };
        vec![line]
    }
}
