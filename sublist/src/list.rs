//! The sublist: who is interested in which subject, for one account or one permission list.
//!
//! Shared by all threads. Subscriptions to literal subjects are in a hash table, those with
//! wildcards in a trie; both under one lock that matches take for reading and changes for
//! writing. In front of them stands the shared result cache, see [`crate::cache`] for how it
//! is kept true. Callers keep caches of their own for as long as the generation stays: a
//! change raises it only after the change is visible, so a caller who reads the generation
//! *before* matching never keeps an outdated result under a current generation.
//!
//! Implements spec 01 §14; the trie's own rules are in [`crate::trie`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;
use parking_lot::RwLock;

use crate::cache::ResultCache;
use crate::error::SublistError;
use crate::interest::{Added, Interest, Removed};
use crate::literals::Literals;
use crate::notify::{InterestListener, Watches};
use crate::stats::SublistStats;
use crate::subject::{
    SubjectShape, match_literal, subject_has_wildcard, subjects_overlap, subscription_shape,
};
use crate::subscription::{Matches, Subscriber};
use crate::trie::{Trie, TrieFull};

/// The subscriptions of an account, to be matched against published subjects.
pub struct Sublist<S> {
    index: RwLock<Index<S>>,
    cache: ResultCache<S>,
    generation: AtomicU64,
    hasher: RandomState,
    empty: Arc<Matches<S>>,
}

/// The hash of a subject in one sublist; means nothing in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectHash(u64);

impl SubjectHash {
    /// As a number whose bits are evenly distributed, and unknown to peers.
    pub fn bits(self) -> u64 {
        self.0
    }
}

struct Index<S> {
    literals: Literals<S>,
    trie: Trie<S>,
    watches: Watches,
    count: u64,
    inserts: u64,
    removes: u64,
}

/// Places looked at in one go by a scan, so that changes wait for a fraction of a millisecond.
const SCAN_STEP: usize = 1024;

/// How often a scan begins anew when places changed under it.
const SCAN_ATTEMPTS: usize = 4;

/// Subscriptions removed in one go by a batch, so that matches wait for microseconds and not
/// for the whole batch.
const BATCH_STEP: usize = 256;

impl<S: Subscriber> Sublist<S> {
    /// An empty sublist with or without result cache. Without it costs no memory to speak of.
    pub fn new(cache_enabled: bool) -> Self {
        Self {
            index: RwLock::new(Index {
                literals: Literals::new(),
                trie: Trie::new(),
                watches: Watches::default(),
                count: 0,
                inserts: 0,
                removes: 0,
            }),
            cache: ResultCache::new(cache_enabled),
            generation: AtomicU64::new(0),
            hasher: RandomState::new(),
            empty: Arc::new(Matches::new()),
        }
    }

    /// An empty sublist with the result cache.
    pub fn with_cache() -> Self {
        Self::new(true)
    }

    /// An empty sublist without the result cache.
    pub fn without_cache() -> Self {
        Self::new(false)
    }

    /// Whether results are cached.
    pub fn cache_enabled(&self) -> bool {
        self.cache.enabled()
    }

    /// Switches the result cache; switching it off drops what it holds.
    pub fn set_cache_enabled(&self, enabled: bool) {
        let _index = self.index.write();
        self.cache.set_enabled(enabled);
    }

    /// Adds a subscription. Adding one that is there already changes nothing, though it is
    /// counted as an insert. Fails when the subject is invalid for subscribing.
    pub fn insert(&self, subscriber: S) -> Result<(), SublistError> {
        let shape = subscription_shape(subscriber.subject()).ok_or(SublistError::InvalidSubject)?;
        let literal = shape == SubjectShape::Literal;
        let hash = self.hash(subscriber.subject());
        let mut index = self.index.write();
        let added = if literal {
            index.literals.insert(hash, subscriber.clone())
        } else {
            match index.trie.insert(&self.hasher, subscriber.clone()) {
                Ok(added) => added,
                Err(TrieFull) => return Err(SublistError::Full),
            }
        };
        index.inserts = index.inserts.wrapping_add(1);
        if added == Added::Duplicate {
            return Ok(());
        }
        index.count = index.count.saturating_add(1);
        self.cache.add(hash, &subscriber, literal);
        self.generation.fetch_add(1, Ordering::Release);
        if literal && added == Added::First {
            index.watches.changed(subscriber.subject(), subscriber.queue(), true);
        }
        Ok(())
    }

    /// Removes a subscription. Fails when the subject is invalid or the subscription unknown.
    pub fn remove(&self, subscriber: &S) -> Result<(), SublistError> {
        let subject = subscriber.subject();
        let shape = subscription_shape(subject).ok_or(SublistError::InvalidSubject)?;
        let literal = shape == SubjectShape::Literal;
        let hash = self.hash(subject);
        let mut index = self.index.write();
        let removed = self.remove_from_index(&mut index, hash, subscriber, literal)?;
        self.cache.invalidate(hash, subject, literal);
        self.generation.fetch_add(1, Ordering::Release);
        index.tell_removed(subscriber, literal, removed);
        Ok(())
    }

    /// Removes many subscriptions, as when a connection closes, and clears the result cache.
    /// Removes all that can be removed and returns the first error.
    pub fn remove_batch<'a>(
        &self,
        subscribers: impl IntoIterator<Item = &'a S>,
    ) -> Result<(), SublistError> {
        let mut subscribers = subscribers.into_iter().peekable();
        let mut outcome = Ok(());
        while subscribers.peek().is_some() {
            let mut index = self.index.write();
            for subscriber in subscribers.by_ref().take(BATCH_STEP) {
                let removed = match subscription_shape(subscriber.subject()) {
                    None => Err(SublistError::InvalidSubject),
                    Some(shape) => {
                        let literal = shape == SubjectShape::Literal;
                        let hash = self.hash(subscriber.subject());
                        self.remove_from_index(&mut index, hash, subscriber, literal)
                            .map(|removed| index.tell_removed(subscriber, literal, removed))
                    }
                };
                outcome = outcome.and(removed);
            }
            self.cache.clear();
            self.generation.fetch_add(1, Ordering::Release);
        }
        outcome
    }

    /// To be called after the weight of a remote queue subscription changed, so that results
    /// are built anew with it.
    pub fn update_remote_queue_sub(&self, subscriber: &S) {
        let subject = subscriber.subject();
        let literal = !subject_has_wildcard(subject);
        let _index = self.index.write();
        self.cache.invalidate(self.hash(subject), subject, literal);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The subscriptions that match a published subject, through the result cache. Every token
    /// of the subject stands for itself; a subject with an empty token matches nothing.
    pub fn match_subject(&self, subject: &[u8]) -> Arc<Matches<S>> {
        self.match_hashed(self.subject_hash(subject), subject)
    }

    /// The hash of a subject in this sublist, for callers who keep a cache of their own and would
    /// hash the subject again.
    pub fn subject_hash(&self, subject: &[u8]) -> SubjectHash {
        SubjectHash(self.hash(subject))
    }

    /// [`Sublist::match_subject`] of a subject whose hash is known.
    pub fn match_hashed(&self, hash: SubjectHash, subject: &[u8]) -> Arc<Matches<S>> {
        let SubjectHash(hash) = hash;
        debug_assert_eq!(hash, self.hash(subject));
        if let Some(cached) = self.cache.get(hash, subject) {
            return cached;
        }
        self.cache.count_miss(hash);
        // Also what such a subject would cost: the cache must not fill with invalid ones.
        if !has_no_empty_token(subject) {
            return Arc::clone(&self.empty);
        }
        let index = self.index.read();
        let mut matches = Matches::new();
        index.collect(&self.hasher, hash, subject, &mut matches);
        let result = if matches.is_empty() { Arc::clone(&self.empty) } else { Arc::new(matches) };
        let too_many = self.cache.store(hash, subject, &result);
        drop(index);
        if too_many {
            self.cache.reduce();
        }
        result
    }

    /// Like [`Sublist::match_subject`], into a buffer of the caller and past the result cache:
    /// for callers who keep a cache of their own. Allocates nothing once the buffer has grown.
    pub fn match_into(&self, subject: &[u8], matches: &mut Matches<S>) {
        self.match_hashed_into(self.subject_hash(subject), subject, matches);
    }

    /// [`Sublist::match_into`] of a subject whose hash is known.
    pub fn match_hashed_into(&self, hash: SubjectHash, subject: &[u8], matches: &mut Matches<S>) {
        let SubjectHash(hash) = hash;
        debug_assert_eq!(hash, self.hash(subject));
        matches.clear();
        self.cache.count_miss(hash);
        self.index.read().collect(&self.hasher, hash, subject, matches);
    }

    /// Whether a published subject matches any subscription.
    pub fn has_interest(&self, subject: &[u8]) -> bool {
        let hash = self.hash(subject);
        if let Some(interest) = self.cache.peek(hash, subject, |cached| !cached.is_empty()) {
            return interest;
        }
        let index = self.index.read();
        let mut found = false;
        index.visit(&self.hasher, hash, subject, |_| {
            found = true;
            false
        });
        found
    }

    /// How many plain and how many queue subscriptions match a published subject. A cached
    /// result counts a remote queue subscription as often as its weight, otherwise it counts
    /// once; zero is zero either way.
    pub fn num_interest(&self, subject: &[u8]) -> (usize, usize) {
        let hash = self.hash(subject);
        let cached = self.cache.peek(hash, subject, |cached| {
            let plain = cached.plain().len();
            (plain, cached.slots().saturating_sub(plain))
        });
        if let Some(counts) = cached {
            return counts;
        }
        let mut counts = (0_usize, 0_usize);
        self.index.read().visit(&self.hasher, hash, subject, |interest| {
            let (plain, queue) = interest.count();
            counts = (counts.0.saturating_add(plain), counts.1.saturating_add(queue));
            true
        });
        counts
    }

    /// The subscriptions whose subject has a literal subject in common with the given one,
    /// which may hold wildcards: all it covers, and wildcard ones that reach into it.
    ///
    /// Looks at every subscription when the subject has wildcards: for small sublists, such
    /// as those of permissions.
    pub fn reverse_match(&self, subject: &[u8]) -> Matches<S> {
        let mut matches = Matches::new();
        let index = self.index.read();
        if subject_has_wildcard(subject) {
            for interest in index.literals.iter() {
                if match_literal(interest.subject(), subject) {
                    interest.collect(&mut matches);
                }
            }
            for interest in index.trie.iter() {
                if subjects_overlap(interest.subject(), subject) {
                    interest.collect(&mut matches);
                }
            }
        } else {
            index.collect(&self.hasher, self.hash(subject), subject, &mut matches);
        }
        matches
    }

    /// A number that grows with every change, after the change is visible. Read it before a
    /// match; the result is valid as long as the number stays the same.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How many subscriptions there are.
    pub fn count(&self) -> u64 {
        self.index.read().count
    }

    /// How many results are cached.
    pub fn cache_count(&self) -> usize {
        self.cache.len()
    }

    /// Statistics for monitoring.
    pub fn stats(&self) -> SublistStats {
        let (count, inserts, removes) = {
            let index = self.index.read();
            (index.count, index.inserts, index.removes)
        };
        SublistStats::new(count, inserts, removes, self.cache.stats())
    }

    /// All subscriptions, in no particular order.
    pub fn all(&self) -> Vec<S> {
        self.filtered(|_| true)
    }

    /// The subscriptions that `select` accepts, in no particular order. `select` is called
    /// with the sublist held: it must not call it.
    pub fn filtered(&self, mut select: impl FnMut(&S) -> bool) -> Vec<S> {
        let mut selected = Vec::new();
        let index = self.index.read();
        for interest in index.literals.iter().chain(index.trie.iter()) {
            interest.for_each(&mut |subscriber| {
                if select(subscriber) {
                    selected.push(subscriber.clone());
                }
            });
        }
        selected
    }

    /// Shows every subscription to `see`, in no particular order, and returns what it gathered in
    /// the state that `begin` made. The sublist is held for a short time only, again and again:
    /// what comes or goes meanwhile may be seen or not, all else is seen exactly once. When the
    /// sublist is rebuilt meanwhile, all begins anew, and `see` must not call the sublist.
    pub fn scan<T>(&self, begin: impl Fn() -> T, mut see: impl FnMut(&mut T, &S)) -> T {
        for _ in 0..SCAN_ATTEMPTS {
            if let Some(gathered) = self.scan_in_steps(begin(), &mut see) {
                return gathered;
            }
        }
        let mut gathered = begin();
        let index = self.index.read();
        for interest in index.literals.iter().chain(index.trie.iter()) {
            interest.for_each(&mut |subscriber| see(&mut gathered, subscriber));
        }
        gathered
    }

    fn scan_in_steps<T>(&self, mut gathered: T, see: &mut impl FnMut(&mut T, &S)) -> Option<T> {
        let moves = self.index.read().literals.moves();
        let mut at = 0;
        loop {
            let index = self.index.read();
            if index.literals.moves() != moves {
                return None;
            }
            let places = index.literals.places();
            let end = places.min(at + SCAN_STEP);
            for interest in index.literals.at(at..end) {
                interest.for_each(&mut |subscriber| see(&mut gathered, subscriber));
            }
            at = end;
            if at == places {
                break;
            }
        }
        let mut at = 0;
        loop {
            let index = self.index.read();
            for interest in index.trie.at(at..at + SCAN_STEP) {
                interest.for_each(&mut |subscriber| see(&mut gathered, subscriber));
            }
            at += SCAN_STEP;
            if at >= index.trie.places() {
                return Some(gathered);
            }
        }
    }

    /// Tells the listener whether there is a plain subscription to exactly this subject, now
    /// and at every change. Fails on a subject with wildcards and when the listener is
    /// registered for it already.
    pub fn register_notification(
        &self,
        subject: &[u8],
        listener: Arc<dyn InterestListener>,
    ) -> Result<(), SublistError> {
        self.register(subject, None, listener)
    }

    /// Like [`Sublist::register_notification`], for subscriptions of one queue group.
    pub fn register_queue_notification(
        &self,
        subject: &[u8],
        queue: &[u8],
        listener: Arc<dyn InterestListener>,
    ) -> Result<(), SublistError> {
        self.register(subject, Some(queue), listener)
    }

    /// Ends a notification; false when there was none.
    pub fn clear_notification(&self, subject: &[u8], listener: &Arc<dyn InterestListener>) -> bool {
        self.index.write().watches.clear(subject, None, listener)
    }

    /// Ends a notification for a queue group; false when there was none.
    pub fn clear_queue_notification(
        &self,
        subject: &[u8],
        queue: &[u8],
        listener: &Arc<dyn InterestListener>,
    ) -> bool {
        self.index.write().watches.clear(subject, Some(queue), listener)
    }

    /// Panics when an invariant does not hold: for tests, simulation and fuzzing.
    pub fn check_invariants(&self) {
        let index = self.index.read();
        index.literals.check_invariants(|subject| self.hash(subject));
        index.trie.check_invariants(&self.hasher);
        let mut held = 0_u64;
        for interest in index.literals.iter().chain(index.trie.iter()) {
            interest.for_each(&mut |_| held = held.saturating_add(1));
        }
        assert_eq!(held, index.count, "the count is that of the subscriptions held");
        let mut cached = 0;
        self.cache.for_each(|subject, result| {
            cached += 1;
            let mut expected = Matches::new();
            index.collect(&self.hasher, self.hash(subject), subject, &mut expected);
            assert_eq!(slot_identities(result), slot_identities(&expected), "a cached result");
        });
        assert_eq!(cached, self.cache.len());
    }

    fn hash(&self, subject: &[u8]) -> u64 {
        self.hasher.hash_one(subject)
    }

    fn remove_from_index(
        &self,
        index: &mut Index<S>,
        hash: u64,
        subscriber: &S,
        literal: bool,
    ) -> Result<Removed, SublistError> {
        let removed = if literal {
            index.literals.remove(hash, subscriber)
        } else {
            index.trie.remove(&self.hasher, subscriber)
        };
        if removed == Removed::NotFound {
            return Err(SublistError::NotFound);
        }
        index.count = index.count.saturating_sub(1);
        index.removes = index.removes.wrapping_add(1);
        Ok(removed)
    }

    fn register(
        &self,
        subject: &[u8],
        queue: Option<&[u8]>,
        listener: Arc<dyn InterestListener>,
    ) -> Result<(), SublistError> {
        if subject_has_wildcard(subject) {
            return Err(SublistError::InvalidSubject);
        }
        let mut index = self.index.write();
        let has_interest = index
            .literals
            .get(self.hash(subject), subject)
            .is_some_and(|interest| interest.has(queue));
        index.watches.register(subject, queue, listener, has_interest)
    }
}

impl<S: Subscriber> Index<S> {
    fn collect(&self, hasher: &RandomState, hash: u64, subject: &[u8], matches: &mut Matches<S>) {
        self.visit(hasher, hash, subject, |interest| {
            interest.collect(matches);
            true
        });
    }

    fn visit<'a>(
        &'a self,
        hasher: &RandomState,
        hash: u64,
        subject: &[u8],
        mut visit: impl FnMut(&'a Interest<S>) -> bool,
    ) {
        if let Some(interest) = self.literals.get(hash, subject)
            && !visit(interest)
        {
            return;
        }
        self.trie.visit(hasher, subject, visit);
    }

    fn tell_removed(&mut self, subscriber: &S, literal: bool, removed: Removed) {
        if literal && removed == Removed::Last {
            self.watches.changed(subscriber.subject(), subscriber.queue(), false);
        }
    }
}

fn has_no_empty_token(subject: &[u8]) -> bool {
    crate::subject::tokens(subject).all(|token| !token.is_empty())
}

fn slot_identities<S: Subscriber>(matches: &Matches<S>) -> Vec<(Option<&[u8]>, usize)> {
    let plain = matches.plain().iter().map(|s| (None, s.identity()));
    let queues = matches.queues().iter();
    let queues = queues.flat_map(|g| g.members().iter().map(|s| (Some(g.name()), s.identity())));
    let mut slots: Vec<_> = plain.chain(queues).collect();
    slots.sort_unstable();
    slots
}

#[cfg(test)]
mod tests;
