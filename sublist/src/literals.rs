//! Subscriptions to subjects without wildcards: one hash table keyed by the whole subject.
//!
//! Most subscriptions are of this kind. Keeping them out of the trie makes matching them one
//! probe whatever the number of tokens, and spares storing the subject: an entry compares
//! with the subject of the subscription it holds.

use hashbrown::HashTable;
use std::ops::Range;

use crate::interest::{Added, Interest, Removed};
use crate::subscription::Subscriber;

/// Invariant: no two entries have the same subject, and every subject is a valid literal one.
#[derive(Debug)]
pub(crate) struct Literals<S> {
    table: HashTable<Entry<S>>,
    /// How often the entries may have changed their places.
    moves: u64,
}

#[derive(Debug)]
struct Entry<S> {
    hash: u64,
    interest: Interest<S>,
}

/// Below this capacity a table is not worth shrinking.
const SHRINK_FLOOR: usize = 1024;

impl<S: Subscriber> Literals<S> {
    pub(crate) fn new() -> Self {
        Self { table: HashTable::new(), moves: 0 }
    }

    /// `hash` is the hash of `subject` by the sublist's hasher, here and below.
    pub(crate) fn get(&self, hash: u64, subject: &[u8]) -> Option<&Interest<S>> {
        self.table
            .find(hash, |e| e.hash == hash && e.interest.subject() == subject)
            .map(|e| &e.interest)
    }

    pub(crate) fn insert(&mut self, hash: u64, subscriber: S) -> Added {
        let subject = subscriber.subject();
        match self.table.find_mut(hash, |e| e.hash == hash && e.interest.subject() == subject) {
            Some(entry) => entry.interest.add(subscriber),
            None => {
                let entry = Entry { hash, interest: Interest::One(subscriber) };
                if self.table.len() == self.table.capacity() {
                    self.moves += 1;
                }
                self.table.insert_unique(hash, entry, |e| e.hash);
                Added::First
            }
        }
    }

    pub(crate) fn remove(&mut self, hash: u64, subscriber: &S) -> Removed {
        let subject = subscriber.subject();
        let Ok(mut entry) =
            self.table.find_entry(hash, |e| e.hash == hash && e.interest.subject() == subject)
        else {
            return Removed::NotFound;
        };
        if !entry.get().interest.is_only(subscriber) {
            return entry.get_mut().interest.remove(subscriber);
        }
        entry.remove();
        let (len, capacity) = (self.table.len(), self.table.capacity());
        if capacity > SHRINK_FLOOR && len < capacity / 8 {
            self.moves += 1;
            self.table.shrink_to(len.saturating_mul(2), |e| e.hash);
        }
        Removed::Last
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Interest<S>> {
        self.table.iter().map(|e| &e.interest)
    }

    /// Changes whenever an entry may be at another place than before.
    pub(crate) fn moves(&self) -> u64 {
        self.moves
    }

    /// The number of places.
    pub(crate) fn places(&self) -> usize {
        self.table.num_buckets()
    }

    /// What is at some of the places.
    pub(crate) fn at(&self, places: Range<usize>) -> impl Iterator<Item = &Interest<S>> {
        places.filter_map(|place| self.table.get_bucket(place)).map(|e| &e.interest)
    }

    /// Panics when an invariant does not hold. For tests and fuzzing.
    pub(crate) fn check_invariants(&self, hash: impl Fn(&[u8]) -> u64) {
        for entry in &self.table {
            let subject = entry.interest.subject();
            assert!(crate::subject::is_valid_literal_subject(subject));
            assert_eq!(entry.hash, hash(subject));
            assert!(
                self.get(entry.hash, subject).is_some_and(|i| std::ptr::eq(i, &entry.interest)),
                "an entry is found under its subject"
            );
            entry.interest.check_invariants();
        }
    }
}
