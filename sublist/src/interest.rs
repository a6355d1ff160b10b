//! All subscriptions of one subject: plain ones and queue groups.
//!
//! Most subjects have one subscription, which is kept inline; a second one moves both into a
//! boxed set, and the last but one to leave moves the survivor back. Every operation is
//! O(1) in the number of subscriptions, except building a result.

use ahash::RandomState;
use hashbrown::HashTable;

use crate::subscription::{Matches, Subscriber};

/// The subscriptions of one subject. Never empty.
#[derive(Debug)]
pub(crate) enum Interest<S> {
    One(S),
    Many(Box<Many<S>>),
}

/// Invariant: holds at least two subscriptions, and no queue group is empty.
#[derive(Debug)]
pub(crate) struct Many<S> {
    plain: Roster<S>,
    queues: Vec<Roster<S>>,
    /// Positions in `queues` by hash of the group's name, once there are many groups.
    queues_by_name: Option<Box<Positions>>,
}

/// Subscriptions of the same subject and queue group (or none), each at most once.
#[derive(Debug)]
struct Roster<S> {
    subscribers: Vec<S>,
    /// Positions in `subscribers` by hash of the identity, once there are many.
    by_identity: Option<Box<Positions>>,
}

/// Positions in a vector by hash.
#[derive(Debug)]
struct Positions {
    hasher: RandomState,
    table: HashTable<(u64, usize)>,
}

/// Vectors up to this length are searched one by one, longer ones through an index.
const LENGTH_WITHOUT_INDEX: usize = 32;

/// What adding a subscription did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// The first plain subscription, or the first of its queue group.
    First,
    /// One more beside others.
    Further,
    /// It was there already; nothing changed.
    Duplicate,
}

/// What removing a subscription did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It was the last plain subscription, or the last of its queue group.
    Last,
    /// Others like it remain.
    OthersRemain,
    /// It was not there; nothing changed.
    NotFound,
}

impl<S: Subscriber> Interest<S> {
    /// The subject that all these subscriptions share.
    pub(crate) fn subject(&self) -> &[u8] {
        match self {
            Interest::One(subscriber) => subscriber.subject(),
            Interest::Many(many) => many.iter().next().map(Subscriber::subject).unwrap_or_default(),
        }
    }

    pub(crate) fn add(&mut self, subscriber: S) -> Added {
        match self {
            Interest::Many(many) => many.add(subscriber),
            Interest::One(present) => {
                if present.identity() == subscriber.identity() {
                    return Added::Duplicate;
                }
                let mut many =
                    Many { plain: Roster::new(), queues: Vec::new(), queues_by_name: None };
                many.add(present.clone());
                let added = many.add(subscriber);
                *self = Interest::Many(Box::new(many));
                added
            }
        }
    }

    /// Removes a subscription other than the only one, which the owner of this interest
    /// removes with the interest itself: see [`Interest::is_only`].
    pub(crate) fn remove(&mut self, subscriber: &S) -> Removed {
        let Interest::Many(many) = self else { return Removed::NotFound };
        let removed = many.remove(subscriber);
        if let Some(survivor) = many.only() {
            *self = Interest::One(survivor);
        }
        removed
    }

    /// Whether this is the only subscription.
    pub(crate) fn is_only(&self, subscriber: &S) -> bool {
        match self {
            Interest::One(present) => present.identity() == subscriber.identity(),
            Interest::Many(_) => false,
        }
    }

    pub(crate) fn collect(&self, matches: &mut Matches<S>) {
        match self {
            Interest::One(subscriber) => matches.push(subscriber),
            Interest::Many(many) => {
                matches.extend_plain(&many.plain.subscribers);
                let new_names = matches.queues().is_empty();
                for group in &many.queues {
                    matches.push_queue(group.queue(), &group.subscribers, new_names);
                }
            }
        }
    }

    /// Plain subscriptions and queue subscriptions, each member counted once.
    pub(crate) fn count(&self) -> (usize, usize) {
        match self {
            Interest::One(subscriber) if subscriber.queue().is_none() => (1, 0),
            Interest::One(_) => (0, 1),
            Interest::Many(many) => (
                many.plain.subscribers.len(),
                many.queues.iter().map(|group| group.subscribers.len()).sum(),
            ),
        }
    }

    /// Whether there is a plain subscription, or one of the given queue group.
    pub(crate) fn has(&self, queue: Option<&[u8]>) -> bool {
        match (self, queue) {
            (Interest::One(subscriber), _) => subscriber.queue() == queue,
            (Interest::Many(many), None) => !many.plain.subscribers.is_empty(),
            (Interest::Many(many), Some(name)) => many.group(name).is_some(),
        }
    }

    pub(crate) fn for_each(&self, visit: &mut impl FnMut(&S)) {
        match self {
            Interest::One(subscriber) => visit(subscriber),
            Interest::Many(many) => many.iter().for_each(visit),
        }
    }

    /// Panics when an invariant does not hold. For tests and fuzzing.
    pub(crate) fn check_invariants(&self) {
        let Interest::Many(many) = self else { return };
        assert!(many.iter().count() >= 2, "a single subscription is kept inline");
        let subject = self.subject();
        assert!(many.iter().all(|s| s.subject() == subject), "one subject per interest");
        assert!(many.plain.subscribers.iter().all(|s| s.queue().is_none()));
        many.plain.check_invariants();
        for (at, group) in many.queues.iter().enumerate() {
            assert!(!group.subscribers.is_empty(), "a queue group without members is dropped");
            let name = group.subscribers.first().and_then(Subscriber::queue);
            assert!(name.is_some() && group.subscribers.iter().all(|s| s.queue() == name));
            assert_eq!(many.group(group.queue()), Some(at), "every group is found by its name");
            group.check_invariants();
        }
        if let Some(index) = &many.queues_by_name {
            assert_eq!(index.table.len(), many.queues.len());
        }
    }
}

impl<S: Subscriber> Many<S> {
    fn iter(&self) -> impl Iterator<Item = &S> {
        let queues = self.queues.iter().flat_map(|group| &group.subscribers);
        self.plain.subscribers.iter().chain(queues)
    }

    fn add(&mut self, subscriber: S) -> Added {
        let Some(name) = subscriber.queue() else { return self.plain.add(subscriber) };
        if let Some(group) = self.group(name).and_then(|at| self.queues.get_mut(at)) {
            return group.add(subscriber);
        }
        let at = self.queues.len();
        if at >= LENGTH_WITHOUT_INDEX {
            let queues = &self.queues;
            let index = self
                .queues_by_name
                .get_or_insert_with(|| Positions::over(queues.iter().map(Roster::queue)));
            index.insert(name, at);
        }
        let mut group = Roster::new();
        let added = group.add(subscriber);
        self.queues.push(group);
        added
    }

    fn remove(&mut self, subscriber: &S) -> Removed {
        let Some(name) = subscriber.queue() else { return self.plain.remove(subscriber) };
        let Some(at) = self.group(name) else { return Removed::NotFound };
        let Some(group) = self.queues.get_mut(at) else { return Removed::NotFound };
        let removed = group.remove(subscriber);
        if removed == Removed::Last {
            let last = self.queues.len().saturating_sub(1);
            if let Some(index) = &mut self.queues_by_name {
                index.remove(name, at);
                if at != last
                    && let Some(moved) = self.queues.get(last)
                {
                    index.relocate(moved.queue(), last, at);
                }
            }
            self.queues.swap_remove(at);
            if self.queues.len() <= LENGTH_WITHOUT_INDEX / 2 {
                self.queues_by_name = None;
            }
        }
        removed
    }

    /// The subscription that is left alone, if so.
    fn only(&self) -> Option<S> {
        let mut all = self.iter();
        let first = all.next()?;
        if all.next().is_some() { None } else { Some(first.clone()) }
    }

    fn group(&self, name: &[u8]) -> Option<usize> {
        match &self.queues_by_name {
            Some(index) => {
                index.find(name, |at| self.queues.get(at).is_some_and(|g| g.queue() == name))
            }
            None => self.queues.iter().position(|group| group.queue() == name),
        }
    }
}

impl<S: Subscriber> Roster<S> {
    fn new() -> Self {
        Self { subscribers: Vec::new(), by_identity: None }
    }

    fn queue(&self) -> &[u8] {
        self.subscribers.first().and_then(Subscriber::queue).unwrap_or_default()
    }

    fn position(&self, subscriber: &S) -> Option<usize> {
        let identity = subscriber.identity();
        let is_it = |at: usize| self.subscribers.get(at).is_some_and(|s| s.identity() == identity);
        match &self.by_identity {
            Some(index) => index.find(&identity.to_ne_bytes(), is_it),
            None => (0..self.subscribers.len()).find(|&at| is_it(at)),
        }
    }

    fn add(&mut self, subscriber: S) -> Added {
        if self.position(&subscriber).is_some() {
            return Added::Duplicate;
        }
        let at = self.subscribers.len();
        if at >= LENGTH_WITHOUT_INDEX {
            let present = &self.subscribers;
            let index = self.by_identity.get_or_insert_with(|| {
                Positions::over(present.iter().map(|s| s.identity().to_ne_bytes()))
            });
            index.insert(&subscriber.identity().to_ne_bytes(), at);
        }
        self.subscribers.push(subscriber);
        if at == 0 { Added::First } else { Added::Further }
    }

    fn remove(&mut self, subscriber: &S) -> Removed {
        let Some(at) = self.position(subscriber) else { return Removed::NotFound };
        let last = self.subscribers.len().saturating_sub(1);
        if let Some(index) = &mut self.by_identity {
            index.remove(&subscriber.identity().to_ne_bytes(), at);
            if at != last
                && let Some(moved) = self.subscribers.get(last)
            {
                index.relocate(&moved.identity().to_ne_bytes(), last, at);
            }
        }
        self.subscribers.swap_remove(at);
        if last <= LENGTH_WITHOUT_INDEX / 2 {
            self.by_identity = None;
        }
        if last < self.subscribers.capacity() / 4 {
            self.subscribers.shrink_to(last.saturating_mul(2));
        }
        if last == 0 { Removed::Last } else { Removed::OthersRemain }
    }

    fn check_invariants(&self) {
        for (at, subscriber) in self.subscribers.iter().enumerate() {
            assert_eq!(self.position(subscriber), Some(at), "every member is found, once");
        }
        if let Some(index) = &self.by_identity {
            assert_eq!(index.table.len(), self.subscribers.len());
        }
    }
}

impl Positions {
    fn over<K: AsRef<[u8]>>(keys: impl Iterator<Item = K>) -> Box<Self> {
        let mut index = Self { hasher: RandomState::new(), table: HashTable::new() };
        for (at, key) in keys.enumerate() {
            index.insert(key.as_ref(), at);
        }
        Box::new(index)
    }

    fn find(&self, key: &[u8], is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        self.table.find(hash, |&(h, at)| h == hash && is_it(at)).map(|&(_, at)| at)
    }

    fn insert(&mut self, key: &[u8], at: usize) {
        let hash = self.hasher.hash_one(key);
        self.table.insert_unique(hash, (hash, at), |&(h, _)| h);
    }

    fn remove(&mut self, key: &[u8], at: usize) {
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.table.find_entry(hash, |&(_, position)| position == at) {
            entry.remove();
        }
    }

    fn relocate(&mut self, key: &[u8], from: usize, to: usize) {
        let hash = self.hasher.hash_one(key);
        if let Some(entry) = self.table.find_mut(hash, |&(_, position)| position == from) {
            entry.1 = to;
        }
    }
}
