//! Asking an origin for a consumer, and what its answer leads to (spec 07a §A11.1, §A11.2).

use super::link::{ANSWER_TIMEOUT, Phase};
use super::names;
use super::request::{self, CreateResponse, Kind};
use crate::api_error::{ApiError, ErrorKind};
use crate::config::{AckPolicy, ConsumerConfig, DeliverPolicy};
use crate::headers;
use crate::store::PurgeRequest;
use crate::stream::Stream;
use crate::stream::message::{Outbound, StreamEffect};
use crate::time::Timestamp;
use crate::types::StreamSequence;
use bytes::Bytes;

/// The prefix of subjects for answers.
const ANSWER_PREFIX: &str = "$JSC.R";

impl Stream {
    /// Sends the request a link is due for.
    pub(super) fn ask(&mut self, number: usize, now: Timestamp) {
        if self.write_error.is_some() {
            // Nothing could be stored.
            self.disconnect(number);
            return;
        }
        let last = self.last_sequence.get();
        let Some(link) = self.sourcing.link_mut(number) else { return };
        link.asks(now);
        if link.kind == Kind::Mirror {
            link.origin_sequence = last;
        }
        if let Some(consumer) = &link.source.consumer {
            let subject = request::reset_subject(&link.source, &consumer.name);
            self.send_request(number, subject, Bytes::new(), Bytes::new(), None, now);
            return;
        }
        let requested = self.consumer_for(number);
        let mut header = Vec::new();
        headers::append(&mut header, headers::REQUIRED_API_LEVEL, "4");
        self.request_consumer(number, requested, header.into(), now);
    }

    fn request_consumer(
        &mut self,
        number: usize,
        requested: ConsumerConfig,
        header: Bytes,
        now: Timestamp,
    ) {
        let Some(link) = self.sourcing.link(number) else { return };
        let subject = request::create_subject(&link.source, &requested);
        let body = request::create_body(&link.source.name, &requested);
        self.send_request(number, subject, header, body, Some(Box::new(requested)), now);
    }

    fn send_request(
        &mut self,
        number: usize,
        subject: Bytes,
        header: Bytes,
        payload: Bytes,
        requested: Option<Box<ConsumerConfig>>,
        now: Timestamp,
    ) {
        let reply = Bytes::from(self.random.inbox(ANSWER_PREFIX));
        let answers = self.sourcing.subscription();
        self.outbox.push(StreamEffect::Subscribe { id: answers, subject: reply.clone() });
        self.send_now(Outbound { subject, reply, header, payload });
        if let Some(link) = self.sourcing.link_mut(number) {
            let until = now.saturating_add(ANSWER_TIMEOUT);
            link.phase = Phase::Asking { answers, until, requested };
        }
    }

    /// The consumer to ask for.
    fn consumer_for(&mut self, number: usize) -> ConsumerConfig {
        let state = self.store.fast_state();
        let Some(link) = self.sourcing.link(number) else { return ConsumerConfig::default() };
        let source = &link.source;
        let (stream, account) = (&self.config.name, &self.context.account);
        let domain = self.context.domain.as_deref();
        let hash = match link.kind {
            Kind::Mirror => names::mirror_hash(stream, account, domain),
            Kind::Source => {
                names::source_hash(stream, account, domain, source, &self.config.sources)
            }
        };
        let deliver_subject = request::deliver_subject(link.kind, source, &mut self.random);
        let mut config =
            request::consumer_config(link.kind, &hash, deliver_subject, stream, account, domain);
        request::set_filters(&mut config, source);
        let (mut start_sequence, mut start_time) = (0, None);
        match link.kind {
            // What was mirrored before goes on; a start that is asked for is for new mirrors.
            Kind::Mirror if state.messages > 0 || !state.first_seq.is_zero() => {
                start_sequence = state.last_seq.next().get();
            }
            Kind::Mirror if source.opt_start_seq > 0 => start_sequence = source.opt_start_seq,
            Kind::Mirror => start_time = source.opt_start_time,
            Kind::Source if link.next_sequence > 1 => start_sequence = link.next_sequence,
            Kind::Source if source.opt_start_seq > 0 => start_sequence = source.opt_start_seq,
            Kind::Source => {
                // Without knowing what was sourced, nothing older than the last message is asked
                // for again.
                let last = (!state.last_time.is_zero()).then(|| state.last_time.to_date_time());
                start_time = match (source.opt_start_time, last) {
                    (Some(start), Some(last)) if start.to_timestamp() < last.to_timestamp() => {
                        Some(last)
                    }
                    (Some(start), _) => Some(start),
                    (None, last) if state.first_seq.get() > 1 => last,
                    (None, _) => None,
                };
            }
        }
        if start_sequence > 0 {
            config.deliver_policy = DeliverPolicy::ByStartSequence;
            config.opt_start_seq = start_sequence;
        } else if start_time.is_some() {
            config.deliver_policy = DeliverPolicy::ByStartTime;
            config.opt_start_time = start_time;
        }
        config
    }

    /// Takes in the answer to a request.
    pub(super) fn answered(&mut self, number: usize, payload: &[u8], now: Timestamp) {
        let Some(link) = self.sourcing.link_mut(number) else { return };
        let Phase::Asking { answers, requested, .. } = &mut link.phase else { return };
        let Ok(response) = serde_json::from_slice::<CreateResponse>(payload) else {
            // Another answer may come; the request times out if it does not.
            if link.kind == Kind::Mirror {
                link.error = Some(ErrorKind::InvalidJson.into());
            }
            let kind = match link.kind {
                Kind::Mirror => "mirror",
                Kind::Source => "source",
            };
            let text = String::from_utf8_lossy(payload);
            let text = crate::quote::quote(&text);
            self.warn(format!("JetStream bad {kind} consumer create response: {text}"));
            return;
        };
        let (answers, requested) = (*answers, requested.take());
        link.phase = Phase::Idle;
        self.outbox.push(StreamEffect::Unsubscribe { id: answers });
        match (response.error, response.config) {
            (None, Some(config)) => {
                self.connect(number, &config, &response.name, response.delivered.stream_seq, now);
            }
            (error, _) => self.refused(number, requested, error, now),
        }
    }

    /// The origin does not give us a consumer: one that does not know sourcing consumers is asked
    /// for a plain one, others are asked again later.
    fn refused(
        &mut self,
        number: usize,
        requested: Option<Box<ConsumerConfig>>,
        error: Option<ApiError>,
        now: Timestamp,
    ) {
        if let Some(mut requested) = requested.filter(|requested| requested.sourcing)
            && error.as_ref().is_some_and(|error| {
                error.is(ErrorKind::RequiredApiLevel) || error.is(ErrorKind::InvalidJson)
            })
        {
            requested.sourcing = false;
            // Such a server does not know that the consumer is the same again.
            requested.name.push('_');
            requested.name.push_str(&request::unique_suffix(&mut self.random));
            self.request_consumer(number, *requested, Bytes::new(), now);
            return;
        }
        let Some(link) = self.sourcing.link_mut(number) else { return };
        let (kind, origin) = (link.kind, link.source.name.clone());
        let error = error.unwrap_or_else(|| {
            let kind = match kind {
                Kind::Mirror => ErrorKind::MirrorConsumerSetupFailed,
                Kind::Source => ErrorKind::SourceConsumerSetupFailed,
            };
            kind.with("invalid consumer create response")
        });
        self.warn(match kind {
            Kind::Mirror => {
                format!("JetStream error response for create mirror consumer: {error}")
            }
            Kind::Source => format!(
                "JetStream error response for stream {} create source consumer {origin}: {error}",
                self.config.name
            ),
        });
        self.fail(number, error, now);
    }

    fn fail(&mut self, number: usize, error: ApiError, now: Timestamp) {
        if let Some(link) = self.sourcing.link_mut(number) {
            link.failed(Some(error));
        }
        self.retry(number, now);
    }

    /// A consumer is there: its deliveries are taken from now on.
    fn connect(
        &mut self,
        number: usize,
        config: &ConsumerConfig,
        name: &str,
        delivered: u64,
        now: Timestamp,
    ) {
        let Some(link) = self.sourcing.link(number) else { return };
        let kind = link.kind;
        let deliver_subject = match &link.source.consumer {
            Some(_) if config.ack_policy != AckPolicy::FlowControl => {
                let kind = match kind {
                    Kind::Mirror => ErrorKind::MirrorConsumerRequiresAckFlowControl,
                    Kind::Source => ErrorKind::SourceConsumerRequiresAckFlowControl,
                };
                return self.fail(number, kind.into(), now);
            }
            Some(consumer) => consumer.deliver_subject.clone(),
            None => config.deliver_subject.clone(),
        };
        let last = self.last_sequence.get();
        if kind == Kind::Mirror
            && let Err(error) = self.start_mirror_at(delivered, now)
        {
            return self.fail(number, ErrorKind::MirrorConsumerSetupFailed.with(error), now);
        }
        let deliveries = self.sourcing.subscription();
        let subject = Bytes::from(deliver_subject);
        self.outbox.push(StreamEffect::Subscribe { id: deliveries, subject });
        let Some(link) = self.sourcing.link_mut(number) else { return };
        link.connected(deliveries, name, now);
        link.origin_sequence = match kind {
            Kind::Mirror => delivered.max(last),
            Kind::Source => delivered.max(link.origin_sequence),
        };
    }

    /// Has a mirror start where its consumer does: what the origin delivered before, or no longer
    /// has, takes up sequences without messages.
    fn start_mirror_at(&mut self, delivered: u64, now: Timestamp) -> crate::error::StoreResult<()> {
        let state = self.store.fast_state();
        let last = state.last_seq.get();
        if delivered <= last {
            return Ok(());
        }
        if state.messages == 0 {
            self.purge_store(PurgeRequest {
                filter: crate::filter::SubjectFilter::All,
                below: StreamSequence::new(delivered).next(),
                keep: 0,
            })?;
            return Ok(());
        }
        self.skip_to(StreamSequence::new(delivered), now)
    }
}
