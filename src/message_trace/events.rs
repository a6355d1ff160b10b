//! What a trace tells (spec 04 §10.3). Field order is that of the JSON.

use super::HeaderMap;
use crate::monitor::format::{Time, is_default};
use crate::system::events::ServerInfo;
use serde::Serialize;
use std::time::SystemTime;

/// A trace of one server.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// Who tells it.
    pub server: ServerInfo,
    /// The message.
    pub request: Request,
    /// Servers it was forwarded to.
    #[serde(skip_serializing_if = "is_default")]
    pub hops: u32,
    /// What became of it, in order.
    pub events: Vec<Event>,
}

/// The message that is traced.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// Its headers.
    #[serde(skip_serializing_if = "HeaderMap::is_empty")]
    pub header: HeaderMap,
    /// Bytes of headers and body.
    #[serde(skip_serializing_if = "is_default")]
    pub msgsize: usize,
}

/// One thing that happened to a message.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    #[serde(rename = "type")]
    kind: &'static str,
    ts: Time,
    /// What it was.
    #[serde(flatten)]
    pub detail: Detail,
}

/// What can happen to a message.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "fields are those of the protocol")]
pub enum Detail {
    /// It came in.
    Ingress {
        kind: u8,
        cid: u64,
        #[serde(skip_serializing_if = "String::is_empty")]
        name: String,
        acc: String,
        subj: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        error: String,
    },
    /// Its subject was mapped.
    SubjectMapping { to: String },
    /// It crossed into an account that imports a stream.
    StreamExport { acc: String, to: String },
    /// It crossed into an account that has a service.
    ServiceImport { acc: String, from: String, to: String },
    /// It went out, or did not.
    Egress {
        kind: u8,
        cid: u64,
        #[serde(skip_serializing_if = "String::is_empty")]
        name: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        acc: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        sub: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        queue: String,
        #[serde(skip_serializing_if = "str::is_empty")]
        error: &'static str,
    },
}

impl Detail {
    fn kind(&self) -> &'static str {
        match self {
            Detail::Ingress { .. } => "in",
            Detail::SubjectMapping { .. } => "sm",
            Detail::StreamExport { .. } => "se",
            Detail::ServiceImport { .. } => "si",
            Detail::Egress { .. } => "eg",
        }
    }
}

impl Event {
    /// It happens now.
    pub fn now(detail: Detail) -> Event {
        Event { kind: detail.kind(), ts: Time::local(SystemTime::now()), detail }
    }
}
