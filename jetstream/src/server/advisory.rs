//! Advisories that are about no single stream or consumer (spec 07c §C8).

use super::api::{Answer, Requester};
use super::{ClientId, Incoming, JetStream, Outgoing, Outside};
use crate::gojson;
use crate::time::Timestamp;
use serde::Serialize;

const AUDIT_SUBJECT: &str = "$JS.EVENT.ADVISORY.API";

#[derive(Serialize)]
struct Audit<'a> {
    r#type: &'static str,
    id: String,
    timestamp: Timestamp,
    server: &'a str,
    client: serde_json::Value,
    subject: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    request: &'a str,
    response: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
}

#[derive(Serialize)]
struct OutOfSpace<'a> {
    r#type: &'static str,
    id: String,
    timestamp: Timestamp,
    server: &'a str,
    server_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    stream: &'a str,
    cluster: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
}

impl JetStream {
    /// Tells who listens what was asked and answered.
    pub(super) fn audit(
        &mut self,
        account: &str,
        message: &Incoming,
        answer: &Answer,
        requester: &dyn Requester,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        if !out.has_interest(account, AUDIT_SUBJECT.as_bytes()) {
            return;
        }
        let id = self.random.id();
        let audit = Audit {
            r#type: "io.nats.jetstream.advisory.v1.api_audit",
            id,
            timestamp: now,
            server: &self.settings.server_name,
            client: requester.info(),
            subject: String::from_utf8_lossy(&message.subject).into_owned(),
            request: &String::from_utf8_lossy(&message.payload),
            response: &String::from_utf8_lossy(&answer.json),
            domain: self.settings.domain.as_deref(),
        };
        let json = gojson::to_vec(&audit).unwrap_or_default();
        out.send(account, ClientId::API, Outgoing::plain(AUDIT_SUBJECT.as_bytes(), &json));
    }

    /// Tells the system account that the disk is full.
    pub(super) fn advise_out_of_space(
        &mut self,
        stream: &str,
        now: Timestamp,
        out: &mut dyn Outside,
    ) {
        let advisory = OutOfSpace {
            r#type: "io.nats.jetstream.advisory.v1.server_out_of_space",
            id: self.random.id(),
            timestamp: now,
            server: &self.settings.server_name,
            server_id: &self.settings.server_id,
            stream,
            cluster: &self.settings.cluster,
            domain: self.settings.domain.as_deref(),
        };
        let json = gojson::to_vec(&advisory).unwrap_or_default();
        out.send_system("$JS.EVENT.ADVISORY.SERVER.OUT_OF_STORAGE", &json);
    }
}
