//! Streams and consumers as the API shows them.

use super::{JetStream, Outside, StreamEntry};
use crate::api::responses::{ClusterInfo, StreamInfo};
use crate::api_level;
use crate::consumers::ConsumerInfo;
use crate::filter::SubjectFilter;
use crate::stream::sourcing::StreamSourceInfo;
use crate::time::Timestamp;
use crate::types::StreamState;
use std::collections::BTreeMap;

/// What is shown of a stream besides the usual.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Shown {
    /// What only responses carry in the metadata.
    pub versions: bool,
    /// The domain.
    pub domain: bool,
    /// Where it is.
    pub cluster: bool,
    /// The deleted sequences.
    pub deleted: bool,
    /// It was asked to be created.
    pub did_create: bool,
}

impl JetStream {
    /// A stream with its state.
    pub(super) fn stream_info(
        &mut self,
        id: u64,
        shown: Shown,
        now: Timestamp,
    ) -> Option<StreamInfo<StreamSourceInfo>> {
        let domain = self.settings.domain.clone().filter(|_| shown.domain);
        let cluster = shown.cluster.then(|| ClusterInfo {
            name: self.settings.cluster.clone(),
            leader: self.settings.server_name.clone(),
        });
        let consumers = self.consumer_count(id);
        let entry = self.streams.get_mut(&id)?;
        let mut config = entry.stream.config().clone();
        if shown.versions {
            api_level::add_dynamic(&mut config.metadata);
        }
        Some(StreamInfo {
            config,
            created: entry.stream.created(),
            state: state(entry, shown.deleted, consumers),
            domain,
            cluster,
            mirror: entry.stream.mirror_info(now),
            sources: entry.stream.sources_info(now),
            ts: now,
            did_create: shown.did_create,
        })
    }

    /// Consumers that are shown.
    fn consumer_count(&self, id: u64) -> u64 {
        let Some(entry) = self.streams.get(&id) else { return 0 };
        let consumers = entry.consumers.values().filter_map(|id| self.consumers.get(id));
        consumers.filter(|c| !c.consumer.config().direct).count() as u64
    }

    /// Messages of each subject that matches.
    pub(super) fn subjects(&mut self, id: u64, filter: &str) -> Vec<(String, u64)> {
        let Some(entry) = self.streams.get_mut(&id) else { return Vec::new() };
        let totals = entry.stream.store().subjects_totals(filter.as_bytes()).unwrap_or_default();
        let text = |subject: &[u8]| String::from_utf8_lossy(subject).into_owned();
        totals.iter().map(|(subject, total)| (text(subject), *total)).collect()
    }

    /// A consumer with its state.
    pub(super) fn consumer_info(
        &mut self,
        id: u64,
        versions: bool,
        now: Timestamp,
        out: &mut dyn Outside,
    ) -> Option<ConsumerInfo> {
        let mut info = self.with_consumer(id, now, out, |entry, turn| entry.consumer.info(turn))?;
        if versions && let Some(config) = &mut info.config {
            api_level::add_dynamic(&mut config.metadata);
        }
        Some(info)
    }
}

fn state(entry: &mut StreamEntry, deleted: bool, consumers: u64) -> StreamState {
    let store = entry.stream.store();
    let mut state = if deleted { store.state() } else { store.fast_state() };
    state.consumers = consumers;
    state
}

/// The subjects of a page with their totals.
pub(super) fn page_of_subjects(all: &[(String, u64)]) -> Option<BTreeMap<String, u64>> {
    (!all.is_empty()).then(|| all.iter().cloned().collect())
}

/// The filter a client gave; empty for everything.
pub(super) fn filter_of(subject: &str) -> SubjectFilter {
    if subject.is_empty() || subject == ">" {
        SubjectFilter::All
    } else {
        SubjectFilter::any([subject])
    }
}
