//! The shared result cache: published subject to match result, negative results included.
//!
//! It is split into shards so that hits of different subjects do not meet; a hit takes one
//! shard's lock for reading. The shards also hold the match counters, for the same reason.
//!
//! The cache does not know when it is out of date. The sublist stores results only under the
//! lock of its trie, and corrects or drops entries under that lock held for writing, before
//! the change's generation is published. So a shard's lock may be taken under the trie's
//! lock; nothing is ever taken under a shard's lock.
//!
//! Implements the cache rules and statistics of spec 01 §14.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use hashbrown::HashTable;
use parking_lot::RwLock;

use crate::subject::match_literal;
use crate::subscription::{Matches, Subscriber};

/// Entries above which the cache is reduced.
pub const CACHE_MAX: usize = 1024;
/// Entries that remain after a reduction.
pub const CACHE_SWEEP: usize = 256;

const SHARDS: usize = 16;

/// A cached result wider than this that somebody still uses is dropped rather than copied
/// when a subscription is added: otherwise n subscribers to one subject cost n² copies.
const COPY_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct ResultCache<S> {
    enabled: AtomicBool,
    /// Made when the cache is first enabled: most sublists of permissions never are.
    shards: OnceLock<Box<[Shard<S>]>>,
    entries: AtomicUsize,
    reducing: AtomicBool,
    /// Matches while there are no shards.
    unsharded_misses: AtomicU64,
}

/// On cache lines of its own, lest counting in one shard slow down its neighbours.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<S> {
    table: RwLock<HashTable<Entry<S>>>,
    /// Matches answered from the cache. One counter per kind of event, so that each event
    /// counts once.
    match_hits: AtomicU64,
    /// Matches not answered from the cache, or past it.
    misses: AtomicU64,
    /// Interest queries answered from the cache.
    interest_hits: AtomicU64,
}

#[derive(Debug)]
struct Entry<S> {
    hash: u64,
    subject: Box<[u8]>,
    result: Arc<Matches<S>>,
}

/// Counters and fan-out of the cached results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheStats {
    pub(crate) entries: usize,
    pub(crate) matches: u64,
    pub(crate) hits: u64,
    pub(crate) total_fan_out: usize,
    pub(crate) max_fan_out: usize,
}

impl<S: Subscriber> ResultCache<S> {
    pub(crate) fn new(enabled: bool) -> Self {
        let cache = Self {
            enabled: AtomicBool::new(false),
            shards: OnceLock::new(),
            entries: AtomicUsize::new(0),
            reducing: AtomicBool::new(false),
            unsharded_misses: AtomicU64::new(0),
        };
        cache.set_enabled(enabled);
        cache
    }

    pub(crate) fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    /// To be called under the trie's lock held for writing, as all methods that say "change".
    pub(crate) fn set_enabled(&self, enabled: bool) {
        if enabled {
            self.shards.get_or_init(|| (0..SHARDS).map(|_| Shard::new()).collect());
        }
        self.enabled.store(enabled, Ordering::Release);
        if !enabled {
            self.clear();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Counts a match that the cache did not answer.
    pub(crate) fn count_miss(&self, hash: u64) {
        let counter = self.shard(hash).map_or(&self.unsharded_misses, |shard| &shard.misses);
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The cached result of a match, counted as a match and a hit.
    pub(crate) fn get(&self, hash: u64, subject: &[u8]) -> Option<Arc<Matches<S>>> {
        self.look_up(hash, subject, |shard| &shard.match_hits, Arc::clone)
    }

    /// Looks at a cached result to answer an interest query, counted as a hit only.
    pub(crate) fn peek<R>(
        &self,
        hash: u64,
        subject: &[u8],
        look: impl FnOnce(&Arc<Matches<S>>) -> R,
    ) -> Option<R> {
        self.look_up(hash, subject, |shard| &shard.interest_hits, look)
    }

    fn look_up<R>(
        &self,
        hash: u64,
        subject: &[u8],
        counter: impl FnOnce(&Shard<S>) -> &AtomicU64,
        look: impl FnOnce(&Arc<Matches<S>>) -> R,
    ) -> Option<R> {
        if !self.enabled() {
            return None;
        }
        let shard = self.shard(hash)?;
        let table = shard.table.read();
        let entry = table.find(hash, |e| e.hash == hash && *e.subject == *subject)?;
        let seen = look(&entry.result);
        drop(table);
        counter(shard).fetch_add(1, Ordering::Relaxed);
        Some(seen)
    }

    /// Stores a result that was found under the trie's lock, which must still be held. Tells
    /// whether the cache ought to be reduced, which does not need that lock.
    pub(crate) fn store(&self, hash: u64, subject: &[u8], result: &Arc<Matches<S>>) -> bool {
        if !self.enabled() {
            return false;
        }
        let Some(shard) = self.shard(hash) else { return false };
        let mut table = shard.table.write();
        // Another thread may have stored the same result meanwhile.
        if table.find(hash, |e| e.hash == hash && *e.subject == *subject).is_none() {
            let entry = Entry { hash, subject: subject.into(), result: Arc::clone(result) };
            table.insert_unique(hash, entry, |e| e.hash);
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
        self.len() > CACHE_MAX
    }

    /// Drops entries, whichever the tables' order offers first, down to the lower mark.
    pub(crate) fn reduce(&self) {
        if self.reducing.swap(true, Ordering::Acquire) {
            return;
        }
        let shards = self.shards();
        for shard in shards {
            let mut keep = CACHE_SWEEP.div_ceil(SHARDS);
            self.retain(shard, |_| {
                let kept = keep > 0;
                keep = keep.saturating_sub(1);
                kept
            });
        }
        self.reducing.store(false, Ordering::Release);
    }

    /// Change: a subscription was added. Entries it matches get it appended.
    pub(crate) fn add(&self, hash: u64, subscriber: &S, literal: bool) {
        self.for_affected(hash, subscriber.subject(), literal, |entry| {
            if entry.result.slots() > COPY_MAX && Arc::get_mut(&mut entry.result).is_none() {
                return false;
            }
            Arc::make_mut(&mut entry.result).push(subscriber);
            true
        });
    }

    /// Change: a subscription to this subject was removed or changed its weight.
    pub(crate) fn invalidate(&self, hash: u64, subject: &[u8], literal: bool) {
        self.for_affected(hash, subject, literal, |_| false);
    }

    /// Change: anything may have happened.
    pub(crate) fn clear(&self) {
        if self.len() == 0 {
            return;
        }
        for shard in self.shards() {
            self.retain(shard, |_| false);
        }
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let mut stats = CacheStats {
            matches: self.unsharded_misses.load(Ordering::Relaxed),
            ..CacheStats::default()
        };
        for shard in self.shards() {
            let hits = shard.match_hits.load(Ordering::Relaxed);
            let misses = shard.misses.load(Ordering::Relaxed);
            let interest = shard.interest_hits.load(Ordering::Relaxed);
            stats.matches = stats.matches.wrapping_add(hits).wrapping_add(misses);
            stats.hits = stats.hits.wrapping_add(hits).wrapping_add(interest);
            for entry in shard.table.read().iter() {
                let fan_out = entry.result.fan_out();
                stats.entries = stats.entries.saturating_add(1);
                stats.total_fan_out = stats.total_fan_out.saturating_add(fan_out);
                stats.max_fan_out = stats.max_fan_out.max(fan_out);
            }
        }
        stats
    }

    /// Calls `visit` with every cached subject and its result. For tests and fuzzing.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&[u8], &Matches<S>)) {
        for shard in self.shards() {
            shard.table.read().iter().for_each(|e| visit(&e.subject, &e.result));
        }
    }

    /// Lets `keep` change the entries whose subject the filter matches, or drop them.
    fn for_affected(
        &self,
        hash: u64,
        filter: &[u8],
        literal: bool,
        mut keep: impl FnMut(&mut Entry<S>) -> bool,
    ) {
        if self.len() == 0 {
            return;
        }
        if !literal {
            let prefix = literal_prefix(filter);
            for shard in self.shards() {
                self.retain(shard, |entry| {
                    let affected =
                        entry.subject.starts_with(prefix) && match_literal(&entry.subject, filter);
                    !affected || keep(entry)
                });
            }
            return;
        }
        let Some(shard) = self.shard(hash) else { return };
        let mut table = shard.table.write();
        let is_it = |e: &Entry<S>| e.hash == hash && *e.subject == *filter;
        if let Ok(mut entry) = table.find_entry(hash, is_it)
            && !keep(entry.get_mut())
        {
            entry.remove();
            self.entries.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn retain(&self, shard: &Shard<S>, keep: impl FnMut(&mut Entry<S>) -> bool) {
        let mut table = shard.table.write();
        let before = table.len();
        table.retain(keep);
        self.entries.fetch_sub(before.saturating_sub(table.len()), Ordering::Relaxed);
    }

    fn shards(&self) -> &[Shard<S>] {
        self.shards.get().map_or(&[], |shards| shards)
    }

    fn shard(&self, hash: u64) -> Option<&Shard<S>> {
        // The tables use the lowest and the highest bits; these are neither.
        self.shards().get((hash >> 40) as usize % SHARDS)
    }
}

impl<S> Shard<S> {
    fn new() -> Self {
        Self {
            table: RwLock::new(HashTable::new()),
            match_hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            interest_hits: AtomicU64::new(0),
        }
    }
}

/// The bytes of a filter before its first `*` or `>`: what it matches starts with them.
fn literal_prefix(filter: &[u8]) -> &[u8] {
    filter.split(|b| matches!(b, b'*' | b'>')).next().unwrap_or_default()
}
