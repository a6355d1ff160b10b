//! What the sublist asks of a subscription, and the result of a match.
//!
//! Implements the result layout and the weights of spec 01 §14 and spec 05 §4.2.

use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

/// The data of one subscription, to be shared as an [`Arc`].
pub trait Subscription: Send + Sync + 'static {
    /// The subject subscribed to. It must not change while the subscription is in a sublist.
    fn subject(&self) -> &[u8];

    /// The queue group, `None` for a plain subscription. It must not change either.
    fn queue(&self) -> Option<&[u8]>;

    /// How many members of the queue group this subscription stands for: the remote weight of
    /// a route's or leafnode's queue subscription, one for everything local. Zero takes no
    /// slot. It may change; [`crate::Sublist::update_remote_queue_sub`] makes it seen.
    fn weight(&self) -> u32 {
        1
    }
}

/// A cheap handle of a subscription, which the sublist stores and hands out.
///
/// The server's handle is an `Arc` of its subscription, for which this is implemented.
pub trait Subscriber: Clone + Send + Sync + 'static {
    /// See [`Subscription::subject`].
    fn subject(&self) -> &[u8];

    /// See [`Subscription::queue`].
    fn queue(&self) -> Option<&[u8]>;

    /// See [`Subscription::weight`].
    fn weight(&self) -> u32;

    /// A number that two handles share exactly when they stand for the same subscription.
    fn identity(&self) -> usize;
}

impl<T: Subscription> Subscriber for Arc<T> {
    fn subject(&self) -> &[u8] {
        T::subject(self)
    }

    fn queue(&self) -> Option<&[u8]> {
        T::queue(self)
    }

    fn weight(&self) -> u32 {
        T::weight(self)
    }

    fn identity(&self) -> usize {
        Arc::as_ptr(self).addr()
    }
}

/// The members of one queue group that match a subject.
#[derive(Clone, Debug)]
pub struct QueueGroup<S> {
    members: Vec<S>,
}

impl<S: Subscriber> QueueGroup<S> {
    /// The name of the queue group.
    pub fn name(&self) -> &[u8] {
        self.members.first().and_then(Subscriber::queue).unwrap_or_default()
    }

    /// The slots of the group, never empty. A remote member takes as many slots as its weight,
    /// next to each other, so that a uniform choice of a slot is a fair choice of a member.
    pub fn members(&self) -> &[S] {
        &self.members
    }
}

/// The subscriptions that match a subject: the plain ones, and one list per queue group.
///
/// Also the reusable buffer of [`crate::Sublist::match_into`]: clearing keeps the memory.
#[derive(Clone, Debug)]
pub struct Matches<S> {
    plain: SmallVec<[S; 2]>,
    queues: Vec<QueueGroup<S>>,
    /// Emptied member lists, kept for the next use of this buffer.
    spare: Vec<Vec<S>>,
    /// Finds a group by its name once there are too many to look at one by one.
    by_name: Option<Box<GroupIndex>>,
    extra_slots: usize,
}

#[derive(Clone, Debug)]
struct GroupIndex {
    hasher: RandomState,
    /// Hash of the group's name and its position in `queues`.
    positions: HashTable<(u64, usize)>,
}

/// Slots that weights may add to one result beyond one per member. Weights are numbers sent
/// by peers; without a bound one line could ask for gigabytes. Real weights count the members
/// behind one link, so the bound is far away: two MiB of handles.
pub const MAX_WEIGHT_SLOTS: usize = 1 << 18;

/// Up to here the groups of a result are compared one by one, beyond that through an index,
/// so that many groups on overlapping subjects cost no quadratic time.
const GROUPS_WITHOUT_INDEX: usize = 32;

/// Emptied member lists kept by a buffer: enough for the usual number of groups.
const SPARE_LISTS: usize = 16;

/// Handles a kept buffer may hold room for: a rare wide match must not pin its memory.
const KEPT_CAPACITY: usize = 4096;

impl<S> Default for Matches<S> {
    fn default() -> Self {
        Self {
            plain: SmallVec::new(),
            queues: Vec::new(),
            spare: Vec::new(),
            by_name: None,
            extra_slots: 0,
        }
    }
}

impl<S: Subscriber> Matches<S> {
    /// An empty result.
    pub fn new() -> Self {
        Self::default()
    }

    /// The matching subscriptions without queue group.
    pub fn plain(&self) -> &[S] {
        &self.plain
    }

    /// The matching queue groups, each name once, none of them empty.
    pub fn queues(&self) -> &[QueueGroup<S>] {
        &self.queues
    }

    /// The matching queue group of that name.
    pub fn queue(&self, name: &[u8]) -> Option<&QueueGroup<S>> {
        self.queues.iter().find(|group| group.name() == name)
    }

    /// True when nothing matches.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty()
    }

    /// Plain subscriptions plus queue groups: how many deliveries a message causes.
    pub fn fan_out(&self) -> usize {
        self.plain.len().saturating_add(self.queues.len())
    }

    /// Plain subscriptions plus slots of all queue groups.
    pub fn slots(&self) -> usize {
        self.queues.iter().fold(self.plain.len(), |n, g| n.saturating_add(g.members.len()))
    }

    /// Empties the result and keeps a bounded part of its memory for the next one.
    pub fn clear(&mut self) {
        self.plain.clear();
        if self.plain.capacity() > KEPT_CAPACITY {
            self.plain = SmallVec::new();
        }
        for mut group in self.queues.drain(..) {
            group.members.clear();
            if self.spare.len() < SPARE_LISTS && group.members.capacity() <= KEPT_CAPACITY {
                self.spare.push(group.members);
            }
        }
        if self.queues.capacity() > KEPT_CAPACITY {
            self.queues = Vec::new();
        }
        self.by_name = None;
        self.extra_slots = 0;
    }

    /// Adds one subscription, to the plain ones or to its queue group.
    pub(crate) fn push(&mut self, subscriber: &S) {
        match subscriber.queue() {
            None => self.plain.push(subscriber.clone()),
            Some(name) => self.push_queue(name, std::slice::from_ref(subscriber), false),
        }
    }

    pub(crate) fn extend_plain(&mut self, subscribers: &[S]) {
        self.plain.extend(subscribers.iter().cloned());
    }

    /// Adds members of the queue group `name`. `new_name` tells that the caller knows this
    /// result to hold no group of that name, which saves looking for it.
    pub(crate) fn push_queue(&mut self, name: &[u8], subscribers: &[S], new_name: bool) {
        let found = if new_name { None } else { self.position(name) };
        // A group is added only once it has a slot: members of weight zero have none.
        let mut position = found;
        for subscriber in subscribers {
            let Some(more) =
                usize::try_from(subscriber.weight()).unwrap_or(usize::MAX).checked_sub(1)
            else {
                continue;
            };
            let more = more.min(MAX_WEIGHT_SLOTS.saturating_sub(self.extra_slots));
            self.extra_slots = self.extra_slots.saturating_add(more);
            let at = match position {
                Some(at) => at,
                None => {
                    let members = self.spare.pop().unwrap_or_default();
                    self.queues.push(QueueGroup { members });
                    let at = self.queues.len().saturating_sub(1);
                    if let Some(index) = &mut self.by_name {
                        index.add(name, at);
                    }
                    position = Some(at);
                    at
                }
            };
            if let Some(group) = self.queues.get_mut(at) {
                group
                    .members
                    .extend(std::iter::repeat_n(subscriber, more.saturating_add(1)).cloned());
            }
        }
    }

    fn position(&mut self, name: &[u8]) -> Option<usize> {
        if self.queues.len() <= GROUPS_WITHOUT_INDEX {
            return self.queues.iter().position(|group| group.name() == name);
        }
        let queues = &self.queues;
        let index = self.by_name.get_or_insert_with(|| {
            let mut index = GroupIndex { hasher: RandomState::new(), positions: HashTable::new() };
            for (at, group) in queues.iter().enumerate() {
                index.add(group.name(), at);
            }
            Box::new(index)
        });
        let hash = index.hasher.hash_one(name);
        index
            .positions
            .find(hash, |&(h, at)| h == hash && queues.get(at).is_some_and(|g| g.name() == name))
            .map(|&(_, at)| at)
    }
}

impl GroupIndex {
    fn add(&mut self, name: &[u8], at: usize) {
        let hash = self.hasher.hash_one(name);
        self.positions.insert_unique(hash, (hash, at), |&(h, _)| h);
    }
}
