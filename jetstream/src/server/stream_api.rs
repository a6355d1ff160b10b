//! Requests about streams (spec 07c §C3).

use super::api::{Answer, Outcome, Request, answer, answer_or_error};
use super::info::{Shown, filter_of, page_of_subjects};
use super::{JetStream, Outside};
use crate::api::decode::is_empty;
use crate::api::requests::{
    MessageDeleteRequest, PageRequest, PurgeRequest, StreamConfigRequest, StreamInfoRequest,
};
use crate::api::responses::{
    ConsumerNames, LIST_LIMIT, List, MessageGet, NAMES_LIMIT, Nothing, Page, PagedStreamInfo,
    Purged, SUBJECTS_LIMIT, StoredMessageJson, StreamNames, Success,
};
use crate::api::shapes;
use crate::api::subjects::{Call, StreamCall};
use crate::api_error::{ApiError, ErrorKind};
use crate::headers;
use crate::store;
use crate::stream::GetRequest;
use crate::stream::sourcing::StreamSourceInfo;
use crate::time::Timestamp;
use crate::types::StreamSequence;
use data_encoding::BASE64;
use std::collections::BTreeMap;
use sublist::subject::subjects_collide;

/// The header that asks for the answer of a creation instead.
const RESPONSE_TYPE: &str = "Nats-Response-Type";

impl JetStream {
    /// The stream of that name in the request's account.
    pub(super) fn find_stream(&self, request: &Request<'_>, name: &str) -> Result<u64, ApiError> {
        self.stream_id(request.account, name).ok_or_else(|| ErrorKind::StreamNotFound.into())
    }

    /// Ids of an account's streams that have a subject in common with the given one, by name.
    fn streams_with(&self, account: &str, subject: &str) -> Vec<(String, u64)> {
        let Some(state) = self.accounts.get(account) else { return Vec::new() };
        let wanted = |id: &u64| {
            subject.is_empty()
                || self.streams.get(id).is_some_and(|entry| {
                    let subjects = &entry.stream.config().subjects;
                    subjects.iter().any(|s| subjects_collide(s.as_bytes(), subject.as_bytes()))
                })
        };
        let all = state.streams.iter().filter(|(_, id)| wanted(id));
        all.map(|(name, id)| (name.clone(), *id)).collect()
    }

    pub(super) fn stream_names(
        &mut self,
        call: &Call<'_>,
        request: &Request<'_>,
        out: &mut dyn Outside,
    ) -> Answer {
        let outcome = self.admit(request).and_then(|()| {
            let asked: PageRequest =
                self.read_optional(request, &shapes::STREAM_NAMES_REQUEST, out)?;
            let all = self.streams_with(request.account, &asked.subject);
            let (page, part) = Page::of(&all, asked.offset, NAMES_LIMIT);
            let names: Vec<String> = part.iter().map(|(name, _)| name.clone()).collect();
            Ok(StreamNames { page, streams: (!names.is_empty()).then_some(names) })
        });
        answer(call, outcome, StreamNames::default())
    }

    pub(super) fn stream_list(
        &mut self,
        call: &Call<'_>,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Answer {
        let list = |page, streams| List {
            page,
            assets: BTreeMap::from([("streams", streams)]),
            missing: Vec::new(),
            offline: BTreeMap::new(),
        };
        let asked: Outcome<PageRequest> = self
            .admit(request)
            .and_then(|()| self.read_optional(request, &shapes::STREAM_LIST_REQUEST, out));
        let outcome = asked.map(|asked| {
            let all = self.streams_with(request.account, &asked.subject);
            let (page, part) = Page::of(&all, asked.offset, LIST_LIMIT);
            let ids: Vec<u64> = part.iter().map(|(_, id)| *id).collect();
            let shown = Shown { domain: true, ..Shown::default() };
            let infos = ids.into_iter().filter_map(|id| self.stream_info(id, shown, now));
            list(page, infos.collect())
        });
        answer(call, outcome, list(Page::default(), Vec::new()))
    }

    pub(super) fn stream_call(
        &mut self,
        call: &Call<'_>,
        name: &str,
        what: StreamCall,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Option<Answer> {
        Some(match what {
            StreamCall::Create => {
                let outcome = self.create_request(name, request, now, out);
                answer_or_error(call, outcome)
            }
            StreamCall::Update => {
                let outcome = self.update_request(name, request, now, out);
                answer_or_error(call, outcome)
            }
            StreamCall::Info => {
                let outcome = self.info_request(name, request, now, out);
                let create = headers::value(request.header, RESPONSE_TYPE) == Some(b"create");
                let empty = PagedStreamInfo { page: Page::default(), info: None };
                if create {
                    let call = Call::Stream { stream: name, call: StreamCall::Create };
                    answer(&call, outcome, empty)
                } else {
                    answer(call, outcome, empty)
                }
            }
            StreamCall::Delete => {
                let outcome = self.delete_request(name, request, now, out);
                answer(call, outcome, Success::default())
            }
            StreamCall::Purge => {
                let executed = self.purge_request(name, request, now, out);
                let (outcome, late) = late_failure(executed);
                let mut answer = answer(call, outcome, Purged::default());
                answer.is_error &= !late;
                answer
            }
            StreamCall::MessageGet => {
                let outcome = self.message_get(name, request, out);
                let is_counted = outcome.is_err();
                let mut answer = answer_or_error(call, outcome);
                answer.is_counted = is_counted;
                answer
            }
            StreamCall::MessageDelete => {
                let executed = self.message_delete(name, request, now, out);
                let (outcome, late) = late_failure(executed);
                let mut answer = answer(call, outcome, Success::default());
                answer.is_error &= !late;
                answer
            }
            StreamCall::PeerRemove | StreamCall::LeaderStepdown => {
                answer(call, Err(ErrorKind::ClusterRequired.into()), Nothing {})
            }
            StreamCall::Snapshot | StreamCall::Restore => {
                let text = "snapshots are not supported by this build";
                answer(call, Err(ErrorKind::StreamGeneral.with(text)), Nothing {})
            }
            StreamCall::ConsumerNames => self.consumer_names(call, name, request, out),
            StreamCall::ConsumerList => self.consumer_list(call, name, request, now, out),
        })
    }

    fn create_request(
        &mut self,
        name: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Outcome<impl serde::Serialize + use<>> {
        self.admit(request)?;
        let asked: StreamConfigRequest = self.read(request, &shapes::STREAM_CONFIG_REQUEST, out)?;
        if asked.config.name != name {
            return Err(ErrorKind::StreamMismatch.into());
        }
        if name.contains(['/', '\\']) {
            return Err(ErrorKind::StreamNameContainsPathSeparators.into());
        }
        let id = self.create_stream(request.account, &asked.config, asked.pedantic, now, out)?;
        let shown = Shown { versions: true, did_create: true, ..Shown::default() };
        self.stream_info(id, shown, now).ok_or_else(|| ErrorKind::StreamNotFound.into())
    }

    fn update_request(
        &mut self,
        name: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Outcome<impl serde::Serialize + use<>> {
        self.admit(request)?;
        let asked: StreamConfigRequest = self.read(request, &shapes::STREAM_CONFIG_REQUEST, out)?;
        if asked.config.name != name {
            return Err(ErrorKind::StreamMismatch.into());
        }
        let id = self.update_stream(request.account, &asked.config, asked.pedantic, now, out)?;
        let shown = Shown { versions: true, domain: true, ..Shown::default() };
        self.stream_info(id, shown, now).ok_or_else(|| ErrorKind::StreamNotFound.into())
    }

    fn info_request(
        &mut self,
        name: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Outcome<PagedStreamInfo<StreamSourceInfo>> {
        self.admit(request)?;
        let asked: StreamInfoRequest =
            self.read_optional(request, &shapes::STREAM_INFO_REQUEST, out)?;
        let id = self.find_stream(request, name)?;
        let shown = Shown {
            versions: true,
            domain: true,
            cluster: true,
            deleted: asked.deleted_details,
            ..Shown::default()
        };
        let Some(mut info) = self.stream_info(id, shown, now) else {
            return Err(ErrorKind::StreamNotFound.into());
        };
        let mut page = Page::default();
        if !asked.subjects_filter.is_empty() {
            let all = self.subjects(id, &asked.subjects_filter);
            let part;
            (page, part) = Page::of(&all, asked.offset, SUBJECTS_LIMIT);
            info.state.subjects = page_of_subjects(part);
        }
        Ok(PagedStreamInfo { page, info: Some(info) })
    }

    fn delete_request(
        &mut self,
        name: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Outcome<Success> {
        self.admit(request)?;
        if !is_empty(request.body) {
            return Err(ErrorKind::NotEmptyRequest.into());
        }
        let id = self.find_stream(request, name)?;
        self.delete_stream(id, now, out)?;
        Ok(Success { success: true })
    }

    fn purge_request(
        &mut self,
        name: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Result<Purged, Failure> {
        self.admit(request)?;
        let asked: PurgeRequest =
            self.read_optional(request, &shapes::STREAM_PURGE_REQUEST, out)?;
        if asked.sequence > 0 && asked.keep > 0 {
            return Err(Failure::Early(ErrorKind::BadRequest.into()));
        }
        let id = self.find_stream(request, name)?;
        let Some(entry) = self.streams.get_mut(&id) else {
            return Err(Failure::Early(ErrorKind::StreamNotFound.into()));
        };
        let config = entry.stream.config();
        let denied = config.sealed || config.deny_purge;
        let purge = store::PurgeRequest {
            filter: filter_of(&asked.filter),
            below: StreamSequence::new(asked.sequence),
            keep: asked.keep,
        };
        let purged = entry.stream.purge(purge, now);
        self.mark_dirty(id);
        self.pump_stream(id, now, out);
        match purged {
            Ok(purged) => Ok(Purged { success: true, purged }),
            Err(error) if denied => Err(Failure::Early(error)),
            Err(error) => Err(Failure::Late(error)),
        }
    }

    fn message_get(
        &mut self,
        name: &str,
        request: &Request<'_>,
        out: &mut dyn Outside,
    ) -> Outcome<MessageGet> {
        self.admit(request)?;
        if is_empty(request.body) {
            return Err(ErrorKind::BadRequest.into());
        }
        let asked: GetRequest = self.read(request, &shapes::MSG_GET_REQUEST, out)?;
        let id = self.find_stream(request, name)?;
        let Some(entry) = self.streams.get_mut(&id) else {
            return Err(ErrorKind::StreamNotFound.into());
        };
        let found = entry.stream.get_message(&asked)?;
        let hdrs = if asked.no_headers { String::new() } else { BASE64.encode(found.header()) };
        Ok(MessageGet {
            message: Some(StoredMessageJson {
                subject: String::from_utf8_lossy(found.subject()).into_owned(),
                seq: found.sequence().get(),
                hdrs,
                data: BASE64.encode(found.payload()),
                time: found.timestamp(),
            }),
        })
    }

    fn message_delete(
        &mut self,
        name: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Result<Success, Failure> {
        self.admit(request)?;
        if is_empty(request.body) {
            return Err(Failure::Early(ErrorKind::BadRequest.into()));
        }
        let asked: MessageDeleteRequest = self.read(request, &shapes::MSG_DELETE_REQUEST, out)?;
        let id = self.find_stream(request, name)?;
        let mut random = (self.secrets)();
        let Some(entry) = self.streams.get_mut(&id) else {
            return Err(Failure::Early(ErrorKind::StreamNotFound.into()));
        };
        let config = entry.stream.config();
        let denied = config.sealed || config.deny_delete;
        let sequence = StreamSequence::new(asked.sequence);
        let erase: Option<&mut dyn store::RandomSource> =
            if asked.no_erase { None } else { Some(&mut *random) };
        let deleted = entry.stream.delete_message(sequence, erase, now);
        self.mark_dirty(id);
        self.pump_stream(id, now, out);
        match deleted {
            Ok(()) => Ok(Success { success: true }),
            Err(error) if denied => Err(Failure::Early(error)),
            Err(error) => Err(Failure::Late(error)),
        }
    }

    fn consumer_names(
        &mut self,
        call: &Call<'_>,
        name: &str,
        request: &Request<'_>,
        out: &mut dyn Outside,
    ) -> Answer {
        let outcome = self.page_of_consumers(name, request, NAMES_LIMIT, out);
        let outcome = outcome.map(|(page, part)| ConsumerNames {
            page,
            consumers: part.into_iter().map(|(name, _)| name).collect(),
        });
        answer(call, outcome, ConsumerNames::default())
    }

    fn consumer_list(
        &mut self,
        call: &Call<'_>,
        name: &str,
        request: &Request<'_>,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Answer {
        let list = |page, consumers| List {
            page,
            assets: BTreeMap::from([("consumers", consumers)]),
            missing: Vec::new(),
            offline: BTreeMap::new(),
        };
        let outcome = self.page_of_consumers(name, request, LIST_LIMIT, out);
        let outcome = outcome.map(|(page, part)| {
            let infos =
                part.into_iter().filter_map(|(_, id)| self.consumer_info(id, false, now, out));
            list(page, infos.collect())
        });
        answer(call, outcome, list(Page::default(), Vec::new()))
    }

    /// The consumers of a page, by name, without those of mirrors and sources.
    fn page_of_consumers(
        &mut self,
        name: &str,
        request: &Request<'_>,
        limit: usize,
        out: &mut dyn Outside,
    ) -> Outcome<(Page, Vec<(String, u64)>)> {
        self.admit(request)?;
        let asked: PageRequest = self.read_optional(request, &shapes::CONSUMERS_REQUEST, out)?;
        let id = self.find_stream(request, name)?;
        let Some(entry) = self.streams.get(&id) else {
            return Err(ErrorKind::StreamNotFound.into());
        };
        let is_shown =
            |id: &u64| self.consumers.get(id).is_some_and(|entry| !entry.consumer.config().direct);
        let all: Vec<(String, u64)> = entry
            .consumers
            .iter()
            .filter(|(_, id)| is_shown(id))
            .map(|(name, id)| (name.clone(), *id))
            .collect();
        let (page, part) = Page::of(&all, asked.offset, limit);
        Ok((page, part.to_vec()))
    }
}

/// An error before something was tried, or one of the trial; the latter does not count as one.
enum Failure {
    Early(ApiError),
    Late(ApiError),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        Failure::Early(error)
    }
}

fn late_failure<T>(executed: Result<T, Failure>) -> (Outcome<T>, bool) {
    match executed {
        Ok(done) => (Ok(done), false),
        Err(Failure::Early(error)) => (Err(error), false),
        Err(Failure::Late(error)) => (Err(error), true),
    }
}
