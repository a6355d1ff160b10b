//! Where sources go on after a restart (spec 07a §A11.4).

use super::delivery::{StoredFrom, read_source_header};
use super::names::old_origin_name;
use crate::config::StreamSource;
use crate::filter::SubjectFilter;
use crate::headers;
use crate::store::Lookup;
use crate::stream::Stream;
use sublist::transform::transform_untokenize;

/// The subjects under which messages of a source may be stored.
fn stored_subjects(source: &StreamSource) -> Vec<Vec<u8>> {
    if source.subject_transforms.is_empty() {
        return vec![source.filter_subject.clone().into_bytes()];
    }
    let subjects = source.subject_transforms.iter().map(|transform| {
        if transform.destination.is_empty() {
            transform.source.clone().into_bytes()
        } else {
            // What is filled in can be anything.
            transform_untokenize(transform.destination.as_bytes()).0
        }
    });
    subjects.collect()
}

impl Stream {
    /// Finds, for each of the links of these numbers, the newest message of its source, and has it
    /// go on after that. Looks at messages from the last one backwards until all are found.
    pub(super) fn recover_positions(&mut self, mut wanted: Vec<usize>) {
        let mut next = self.last_sequence;
        let mut filter = self.filter_for(&wanted);
        while !wanted.is_empty() && !next.is_zero() {
            let Ok(Lookup::Found(message)) = self.store.load_previous(&filter, next) else { break };
            next = message.sequence().previous();
            let Some((from, sequence)) = headers::value(message.header(), headers::STREAM_SOURCE)
                .and_then(read_source_header)
            else {
                continue;
            };
            let before = wanted.len();
            wanted.retain(|number| {
                let Some(link) = self.sourcing.link_mut(*number) else { return false };
                let is_from = match &from {
                    StoredFrom::Source(name) => *name == link.index_name,
                    StoredFrom::Origin(name) => {
                        *name == link.source.name || *name == old_origin_name(&link.source)
                    }
                };
                if is_from {
                    link.origin_sequence = sequence;
                    link.next_sequence = sequence.saturating_add(1);
                }
                !is_from
            });
            if wanted.len() != before {
                filter = self.filter_for(&wanted);
            }
        }
    }

    fn filter_for(&self, wanted: &[usize]) -> SubjectFilter {
        // A transform of the whole stream may have put messages anywhere.
        if self.config.subject_transform.is_some() {
            return SubjectFilter::All;
        }
        let links = wanted.iter().filter_map(|number| self.sourcing.link(*number));
        SubjectFilter::any(links.flat_map(|link| stored_subjects(&link.source)))
    }
}
