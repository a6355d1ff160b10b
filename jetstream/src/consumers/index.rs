//! Which consumers of a stream get a message of a subject.
//!
//! A stream with many consumers would ask each of them for every message it stores. The index
//! finds those whose filters match in the time it takes to walk the subject.

use crate::config::ConsumerConfig;
use sublist::gsl::GenericSublist;

/// The filter of consumers without filters.
const EVERYTHING: &str = ">";

/// Consumers by their filters. Consumers are known by a value of the driver's choice.
#[derive(Clone, Debug)]
pub struct FilterIndex<T> {
    list: GenericSublist<T>,
}

impl<T: Ord> Default for FilterIndex<T> {
    fn default() -> Self {
        FilterIndex { list: GenericSublist::new() }
    }
}

fn filters(config: &ConsumerConfig) -> impl Iterator<Item = &str> {
    let unfiltered = config.filters().next().is_none().then_some(EVERYTHING);
    config.filters().chain(unfiltered)
}

impl<T: Ord + Copy> FilterIndex<T> {
    /// An index without consumers.
    pub fn new() -> Self {
        FilterIndex::default()
    }

    /// Adds a consumer with its filters.
    pub fn insert(&mut self, id: T, config: &ConsumerConfig) {
        for filter in filters(config) {
            // Configurations are checked: the list refuses none of their filters.
            let _ = self.list.insert(filter.as_bytes(), id);
        }
    }

    /// Takes a consumer out, given the configuration it was added with.
    pub fn remove(&mut self, id: T, config: &ConsumerConfig) {
        for filter in filters(config) {
            let _ = self.list.remove(filter.as_bytes(), &id);
        }
    }

    /// Calls `visit` for every consumer that gets messages of `subject`. A consumer whose filters
    /// overlap may be visited more than once.
    pub fn matching(&self, subject: &[u8], mut visit: impl FnMut(T)) {
        self.list.match_subject(subject, |id| visit(*id));
    }

    /// Whether any consumer gets messages of `subject`.
    pub fn has_interest(&self, subject: &[u8]) -> bool {
        self.list.has_interest(subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(filters: &[&str]) -> ConsumerConfig {
        let filter_subjects = filters.iter().map(|filter| (*filter).to_owned()).collect();
        ConsumerConfig { filter_subjects, ..ConsumerConfig::default() }
    }

    #[test]
    fn consumers_are_found_by_their_filters() {
        let mut index = FilterIndex::new();
        let consumers = [config(&[]), config(&["a.*", "b.c"]), config(&["a.x"])];
        for (id, config) in consumers.iter().enumerate() {
            index.insert(id, config);
        }
        let found = |index: &FilterIndex<usize>, subject: &str| {
            let mut found = Vec::new();
            index.matching(subject.as_bytes(), |id| found.push(id));
            found.sort_unstable();
            found
        };
        assert_eq!(found(&index, "a.x"), [0, 1, 2]);
        assert_eq!(found(&index, "b.c"), [0, 1]);
        assert_eq!(found(&index, "z"), [0]);
        index.remove(0, &consumers[0]);
        index.remove(1, &consumers[1]);
        assert_eq!(found(&index, "a.x"), [2]);
        assert!(index.has_interest(b"a.x") && !index.has_interest(b"a.y"));
    }
}
