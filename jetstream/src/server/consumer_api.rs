//! Requests about consumers (spec 07c §C4).

use super::api::{Answer, Outcome, Request, answer, answer_or_error, check_level};
use super::{JetStream, Outside};
use crate::api::decode::is_empty;
use crate::api::requests::{CreateConsumerRequest, PauseRequest, UnpinRequest};
use crate::api::responses::{Nothing, Paused, Success};
use crate::api::shapes;
use crate::api::subjects::{Call, ConsumerCall};
use crate::api_error::{ApiError, ErrorKind};
use crate::consumers::ConsumerInfo;
use crate::consumers::config::request;
use crate::consumers::config::validate::is_valid_group;
use crate::time::{DateTime, Timestamp};

impl JetStream {
    /// The consumer of that name.
    fn find_consumer(
        &self,
        request: &Request<'_>,
        stream: &str,
        consumer: &str,
    ) -> Result<u64, ApiError> {
        let stream = self.find_stream(request, stream)?;
        let found = self.streams.get(&stream).and_then(|entry| entry.consumers.get(consumer));
        found.copied().ok_or_else(|| ErrorKind::ConsumerNotFound.into())
    }

    pub(super) fn consumer_create(
        &mut self,
        call: &Call<'_>,
        stream: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Option<Answer> {
        match self.create_consumer_request(stream, request, now, out) {
            Ok(info) => Some(answer_or_error(call, Ok(info))),
            Err(error) => Some(answer(call, Err(error?), Nothing {})),
        }
    }

    fn create_consumer_request(
        &mut self,
        stream: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Result<ConsumerInfo, Option<ApiError>> {
        let mut asked: CreateConsumerRequest =
            self.read(request, &shapes::CREATE_CONSUMER_REQUEST, out)?;
        self.admit(request)?;
        request::check(request.subject, &asked.stream_name, &mut asked.config)?;
        let id = self.find_stream(request, stream)?;
        let (id, _) =
            self.create_consumer(id, asked.config, asked.action, asked.pedantic, now, out)?;
        let info = self.consumer_info(id, true, now, out);
        info.ok_or_else(|| Some(ErrorKind::ConsumerNotFound.into()))
    }

    #[expect(clippy::too_many_arguments)] // The call is taken apart already.
    pub(super) fn consumer_call(
        &mut self,
        call: &Call<'_>,
        stream: &str,
        consumer: &str,
        what: ConsumerCall,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Option<Answer> {
        Some(match what {
            ConsumerCall::Info => {
                let outcome = self.consumer_info_request(stream, consumer, request, now, out);
                answer_or_error(call, outcome)
            }
            ConsumerCall::Delete => {
                let outcome = self.delete_consumer_request(stream, consumer, request, now, out);
                answer(call, outcome, Success::default())
            }
            ConsumerCall::Pause => {
                let outcome = self.pause_request(stream, consumer, request, now, out);
                let empty =
                    Paused { paused: false, pause_until: DateTime::ZERO, pause_remaining: 0 };
                answer(call, outcome, empty)
            }
            ConsumerCall::Unpin => {
                let outcome = self.unpin_request(stream, consumer, request, now, out);
                answer(call, outcome, Nothing {})
            }
            ConsumerCall::LeaderStepdown => {
                answer(call, Err(ErrorKind::ClusterRequired.into()), Nothing {})
            }
        })
    }

    fn consumer_info_request(
        &mut self,
        stream: &str,
        consumer: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Outcome<ConsumerInfo> {
        if !is_empty(request.body) {
            return Err(ErrorKind::NotEmptyRequest.into());
        }
        self.admit(request)?;
        let id = self.find_consumer(request, stream, consumer)?;
        let info = self.consumer_info(id, true, now, out);
        info.ok_or_else(|| ErrorKind::ConsumerNotFound.into())
    }

    fn delete_consumer_request(
        &mut self,
        stream: &str,
        consumer: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Outcome<Success> {
        self.admit(request)?;
        if !is_empty(request.body) {
            return Err(ErrorKind::NotEmptyRequest.into());
        }
        let id = self.find_consumer(request, stream, consumer)?;
        self.remove_consumer(id, now, out);
        Ok(Success { success: true })
    }

    fn pause_request(
        &mut self,
        stream: &str,
        consumer: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Outcome<Paused> {
        let asked: PauseRequest =
            self.read_optional(request, &shapes::CONSUMER_PAUSE_REQUEST, out)?;
        check_level(request)?;
        self.admit(request)?;
        let id = self.find_consumer(request, stream, consumer)?;
        let paused = self.with_consumer(id, now, out, |entry, turn| {
            entry.consumer.pause(turn, asked.pause_until)?;
            let remaining = entry.consumer.pause_remaining(turn.now);
            let until = entry.consumer.config().pause_until;
            Ok(Paused {
                paused: remaining.is_some(),
                pause_until: until.unwrap_or(DateTime::ZERO),
                pause_remaining: remaining
                    .map_or(0, |left| i64::try_from(left.as_nanos()).unwrap_or(i64::MAX)),
            })
        });
        paused.unwrap_or_else(|| Err(ErrorKind::ConsumerNotFound.into()))
    }

    fn unpin_request(
        &mut self,
        stream: &str,
        consumer: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Outcome<Nothing> {
        check_level(request)?;
        if request.body.trim_ascii().is_empty() {
            return Err(ErrorKind::InvalidJson.with("unexpected end of JSON input"));
        }
        let asked: UnpinRequest =
            crate::api::decode::decode(request.body, &shapes::CONSUMER_UNPIN_REQUEST, false)
                .map_err(|error| ErrorKind::InvalidJson.with(error))?;
        if asked.group.is_empty() {
            return Err(ErrorKind::InvalidJson.with("consumer group not specified"));
        }
        if !is_valid_group(&asked.group) {
            return Err(ErrorKind::ConsumerInvalidGroupName.into());
        }
        self.admit(request)?;
        let id = self.find_consumer(request, stream, consumer)?;
        let unpinned = self.with_consumer(id, now, out, |entry, turn| {
            if !entry.consumer.config().priority_groups.contains(&asked.group) {
                return Err(ErrorKind::ConsumerInvalidPriorityGroup.into());
            }
            entry.consumer.unpin(&asked.group, turn.now);
            Ok(Nothing {})
        });
        unpinned.unwrap_or_else(|| Err(ErrorKind::ConsumerNotFound.into()))
    }
}
