//! A small cache of yes and no, by subject: what a connection may publish, what it must not get.

use ahash::RandomState;
use hashbrown::HashTable;

/// Entries dropped at once when the cache is over its bound.
const DROPPED_AT_ONCE: usize = 33;

struct Entry {
    hash: u64,
    subject_len: usize,
    /// Subject and queue group, one behind the other.
    key: Box<[u8]>,
    verdict: bool,
}

/// Verdicts by subject and queue group (empty for none). Holds at most its bound.
pub struct Verdicts {
    table: HashTable<Entry>,
    hasher: RandomState,
    bound: usize,
}

impl Verdicts {
    /// An empty cache for `bound` entries. Allocates nothing yet.
    pub fn new(bound: usize) -> Verdicts {
        Verdicts { table: HashTable::new(), hasher: RandomState::new(), bound }
    }

    /// The verdict on a subject and queue group: a known one, or what `judge` says.
    #[inline]
    pub fn get(&mut self, subject: &[u8], queue: &[u8], judge: impl FnOnce() -> bool) -> bool {
        let hash = if queue.is_empty() {
            self.hasher.hash_one(subject)
        } else {
            self.hasher.hash_one((subject, queue))
        };
        let known = self.table.find(hash, |e| {
            e.hash == hash
                && e.key.get(..e.subject_len) == Some(subject)
                && e.key.get(e.subject_len..) == Some(queue)
        });
        match known {
            Some(entry) => entry.verdict,
            None => self.learn(hash, subject, queue, judge()),
        }
    }

    #[cold]
    fn learn(&mut self, hash: u64, subject: &[u8], queue: &[u8], verdict: bool) -> bool {
        let key = [subject, queue].concat().into_boxed_slice();
        let entry = Entry { hash, subject_len: subject.len(), key, verdict };
        self.table.insert_unique(hash, entry, |e| e.hash);
        if self.table.len() > self.bound {
            let mut dropped = 0;
            // The hashes are keyed at random, so the first ones of the table are arbitrary ones.
            self.table.retain(|e| {
                let drop = dropped < DROPPED_AT_ONCE && e.hash != hash;
                dropped += usize::from(drop);
                !drop
            });
        }
        verdict
    }

    /// How many verdicts are known.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_judged_once() {
        let mut verdicts = Verdicts::new(8);
        for (subject, queue, verdict) in [
            ("a.b", "", true),
            ("a", "", false),
            ("a", "b", true),
            ("ab", "", false),
            ("", "", true),
        ] {
            let (s, q) = (subject.as_bytes(), queue.as_bytes());
            assert_eq!(verdicts.get(s, q, || verdict), verdict);
            assert_eq!(verdicts.get(s, q, || panic!("judged again")), verdict, "{subject} {queue}");
        }
    }

    #[test]
    fn the_bound_is_kept_and_the_latest_verdict_stays() {
        let mut verdicts = Verdicts::new(128);
        for n in 0..10_000_u32 {
            let subject = format!("subject.{n}");
            verdicts.get(subject.as_bytes(), b"", || n % 2 == 0);
            assert!(verdicts.len() <= 128);
            let known = verdicts.get(subject.as_bytes(), b"", || panic!("judged again"));
            assert_eq!(known, n % 2 == 0);
        }
        assert!(verdicts.len() > 128 - DROPPED_AT_ONCE - 1);
    }
}
