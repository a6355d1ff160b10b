//! The advisories of streams (spec 07c §C8).

use super::Stream;
use super::batch::Abandoned;
use super::message::StreamEffect;
use crate::gojson;
use crate::time::Timestamp;
use serde::Serialize;

/// What was done with a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It was created.
    Create,
    /// Its configuration was changed.
    Modify,
    /// It was deleted.
    Delete,
}

#[derive(Serialize)]
struct StreamAction<'a> {
    r#type: &'static str,
    id: String,
    timestamp: Timestamp,
    stream: &'a str,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
}

#[derive(Serialize)]
struct BatchAbandoned<'a> {
    r#type: &'static str,
    id: String,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    stream: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    batch: &'a str,
    reason: &'static str,
}

impl Stream {
    /// Tells who listens what was done with the stream.
    pub fn advise(&mut self, action: Action, now: Timestamp) {
        let (word, kind) = match action {
            Action::Create => ("create", "CREATED"),
            Action::Modify => ("modify", "UPDATED"),
            Action::Delete => ("delete", "DELETED"),
        };
        let advisory = StreamAction {
            r#type: "io.nats.jetstream.advisory.v1.stream_action",
            id: self.random.id(),
            timestamp: now,
            stream: &self.config.name,
            action: word,
            domain: self.context.domain.as_deref(),
        };
        let json = gojson::to_vec(&advisory).unwrap_or_default();
        let subject = format!("$JS.EVENT.ADVISORY.STREAM.{kind}.{}", self.config.name);
        self.outbox.push(StreamEffect::Advisory { subject, json });
    }

    /// Tells who listens that a batch was given up.
    pub(super) fn advise_batch_abandoned(&mut self, id: &[u8], reason: Abandoned, now: Timestamp) {
        let batch = String::from_utf8_lossy(id);
        let mut advisory = BatchAbandoned {
            r#type: "io.nats.jetstream.advisory.v1.stream_batch_abandoned",
            id: self.random.id(),
            timestamp: now,
            account: None,
            stream: &self.config.name,
            domain: self.context.domain.as_deref(),
            batch: &batch,
            reason: reason.as_str(),
        };
        let json = gojson::to_vec(&advisory).unwrap_or_default();
        advisory.account = Some(&self.context.account);
        let system_json = gojson::to_vec(&advisory).unwrap_or_default();
        let name = &self.config.name;
        let subject = format!("$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.{name}");
        self.outbox.push(StreamEffect::Advisory { subject: subject.clone(), json });
        self.outbox.push(StreamEffect::SystemAdvisory { subject, json: system_json });
    }
}
