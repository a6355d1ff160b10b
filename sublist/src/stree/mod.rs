//! The subject tree: a radix tree from literal subjects to values (spec 06, subject tree rules).
//!
//! Stores use it to index which subjects they hold, and to find the entries that match a filter
//! with wildcards without looking at the others. The tree owns its values and is a plain structure:
//! it takes no locks, reads no clock, and iterates in bytewise order of subjects.
//!
//! Subjects are bytes. Nothing is assumed about UTF-8 or about tokens being non-empty; only a
//! subject that holds the byte 127 is refused, because the reference keeps such subjects out of its
//! indexes and their visibility in stream state follows from it.
//!
//! Memory: inner nodes are records in a byte arena, exactly as large as their contents, and link to
//! each other with 32-bit references; entries cost eight bytes over the value plus what remains of
//! a long subject. See `node` and `leaves` for the layouts.

mod arena;
mod intersect;
mod leaves;
mod node;
mod pattern;
#[cfg(test)]
mod tests;
mod walk;

use smallvec::SmallVec;

pub use intersect::{intersect_gsl, intersect_gsl_mut, lazy_intersect};

use arena::{Arena, BlockRef};
use leaves::{LeafId, Leaves};
use node::{Draft, Link, Node};
use pattern::Pattern;
use walk::{Everything, Filter, Walk};

/// Subjects that hold this byte are never indexed.
const REFUSED_BYTE: u8 = 127;

/// A map from literal subjects to values that can be searched with wildcard filters.
///
/// Call [`insert`](Self::insert) or [`entry_or_insert_with`](Self::entry_or_insert_with) to add,
/// [`find`](Self::find) for one subject, and [`match_filter`](Self::match_filter) for all subjects
/// a filter matches. Callbacks get the subject in a buffer that is only valid during the call.
#[derive(Debug)]
pub struct SubjectTree<V> {
    root: Option<Link>,
    arena: Arena,
    leaves: Leaves<V>,
}

/// Where a link to a node or an entry is written down.
#[derive(Clone, Copy)]
enum Place {
    Root,
    LinkOf(BlockRef, usize),
}

/// Which of a node's entries is meant.
#[derive(Clone, Copy)]
enum Member {
    Terminal,
    Link(usize),
}

impl<V> Default for SubjectTree<V> {
    fn default() -> Self {
        Self { root: None, arena: Arena::default(), leaves: Leaves::default() }
    }
}

impl<V> SubjectTree<V> {
    /// An empty tree, which holds no heap memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of subjects.
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Whether there is no subject.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Removes all subjects and gives their memory back.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Whether a tree accepts `subject` as a key: it must not hold the byte 127, nor be longer than
    /// 32 bits can count.
    pub fn is_indexable(subject: &[u8]) -> bool {
        memchr::memchr(REFUSED_BYTE, subject).is_none() && u32::try_from(subject.len()).is_ok()
    }

    /// Sets the value of a literal subject and returns the one it had. A subject that is not
    /// [indexable](Self::is_indexable) is left out, and `None` is returned as for a new one.
    pub fn insert(&mut self, subject: &[u8], value: V) -> Option<V> {
        let mut value = Some(value);
        let (place, _) = self.entry_or_insert_with(subject, || {
            value.take().expect("the value is asked for at most once")
        })?;
        value.map(|value| std::mem::replace(place, value))
    }

    /// The value of a literal subject, made with `make` if there is none yet; the flag tells whether
    /// it was made. `None` if the subject is not [indexable](Self::is_indexable).
    pub fn entry_or_insert_with(
        &mut self,
        subject: &[u8],
        make: impl FnOnce() -> V,
    ) -> Option<(&mut V, bool)> {
        if !Self::is_indexable(subject) || self.leaves.is_full() {
            return None;
        }
        let before = self.leaves.len();
        let id = self.locate_or_insert(subject, make);
        let inserted = self.leaves.len() != before;
        Some((self.leaves.value_mut(id), inserted))
    }

    /// The value of a literal subject.
    pub fn find(&self, subject: &[u8]) -> Option<&V> {
        self.locate(subject).map(|id| self.leaves.value(id))
    }

    /// The value of a literal subject, to be changed.
    pub fn find_mut(&mut self, subject: &[u8]) -> Option<&mut V> {
        self.locate(subject).map(|id| self.leaves.value_mut(id))
    }

    /// Removes a literal subject and returns its value.
    pub fn delete(&mut self, subject: &[u8]) -> Option<V> {
        let mut place = Place::Root;
        let mut link = self.root?;
        let mut rest = subject;
        // The node that holds the entry, the place that leads to it, and the entry within it.
        let mut parent: Option<(Place, BlockRef, Member)> = None;
        let id = loop {
            let at = match link {
                Link::Leaf(id) if self.leaves.suffix(&self.arena, id) == rest => break id,
                Link::Leaf(_) => return None,
                Link::Node(at) => at,
            };
            let node = Node::read(&self.arena, at);
            rest = rest.strip_prefix(node.prefix)?;
            let Some((&key, after)) = rest.split_first() else {
                parent = Some((place, at, Member::Terminal));
                break node.terminal?;
            };
            let index = node.find(key)?;
            parent = Some((place, at, Member::Link(index)));
            place = Place::LinkOf(at, index);
            link = node.link(index);
            rest = after;
        };
        let value = self.leaves.remove(&mut self.arena, id);
        match parent {
            // The last subject is gone: start over, so that nothing of the old arena stays behind.
            None => self.clear(),
            Some((place, at, member)) => self.remove_member(place, at, member),
        }
        Some(value)
    }

    /// Calls `visit` for every subject that `filter` matches, in bytewise order. An empty filter
    /// matches nothing.
    pub fn match_filter(&self, filter: &[u8], mut visit: impl FnMut(&[u8], &V)) {
        self.match_until(filter, |subject, value| {
            visit(subject, value);
            true
        });
    }

    /// As [`match_filter`](Self::match_filter), with the values to be changed.
    pub fn match_filter_mut(&mut self, filter: &[u8], mut visit: impl FnMut(&[u8], &mut V)) {
        self.match_until_mut(filter, |subject, value| {
            visit(subject, value);
            true
        });
    }

    /// As [`match_filter`](Self::match_filter), but stops when `visit` returns false; returns
    /// whether it was never so.
    pub fn match_until(&self, filter: &[u8], visit: impl FnMut(&[u8], &V) -> bool) -> bool {
        filter.is_empty() || self.walk_until(Pattern::new(filter), visit)
    }

    /// As [`match_until`](Self::match_until), with the values to be changed.
    pub fn match_until_mut(
        &mut self,
        filter: &[u8],
        visit: impl FnMut(&[u8], &mut V) -> bool,
    ) -> bool {
        filter.is_empty() || self.walk_until_mut(Pattern::new(filter), visit)
    }

    /// Calls `visit` for every subject in bytewise order until it returns false; returns whether it
    /// was never so.
    pub fn iter_ordered(&self, visit: impl FnMut(&[u8], &V) -> bool) -> bool {
        self.walk_until(Everything, visit)
    }

    /// As [`iter_ordered`](Self::iter_ordered), with the values to be changed.
    pub fn iter_ordered_mut(&mut self, visit: impl FnMut(&[u8], &mut V) -> bool) -> bool {
        self.walk_until_mut(Everything, visit)
    }

    /// Calls `visit` for every subject, in no order to rely on, until it returns false; returns
    /// whether it was never so.
    pub fn iter_unordered(&self, visit: impl FnMut(&[u8], &V) -> bool) -> bool {
        // Links are kept sorted, so the order costs nothing.
        self.iter_ordered(visit)
    }

    /// As [`iter_unordered`](Self::iter_unordered), with the values to be changed.
    pub fn iter_unordered_mut(&mut self, visit: impl FnMut(&[u8], &mut V) -> bool) -> bool {
        self.iter_ordered_mut(visit)
    }

    /// The values without their subjects, in no order to rely on. Cheaper than a walk.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.leaves.values()
    }

    /// As [`values`](Self::values), with the values to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.leaves.values_mut()
    }

    /// Rebuilds the tree in as little memory as it needs, after many subjects were deleted. Takes
    /// as long as inserting all remaining subjects.
    pub fn shrink_to_fit(&mut self) {
        let mut old = std::mem::take(self);
        let mut walk = Walk::new(old.root, Everything);
        while let Some(id) = walk.next(&old.arena, &old.leaves) {
            // Taking the value leaves the links as they are, and the walk does not come back.
            let value = old.leaves.remove(&mut old.arena, id);
            self.insert(walk.key(), value);
        }
    }

    /// Bytes of heap memory the tree holds, without what the values own themselves.
    pub fn heap_bytes(&self) -> usize {
        self.arena.heap_bytes() + self.leaves.heap_bytes()
    }

    /// Checks what the structure relies on.
    ///
    /// # Panics
    ///
    /// Panics where an invariant does not hold, which would be a defect of this module.
    pub fn check_invariants(&self) {
        let mut pending: Vec<Link> = self.root.into_iter().collect();
        let mut entries = 0;
        let mut arena_bytes = 0;
        while let Some(link) = pending.pop() {
            match link {
                Link::Leaf(id) => {
                    entries += 1;
                    let suffix = self.leaves.suffix(&self.arena, id);
                    assert!(Self::is_indexable(suffix));
                    arena_bytes += leaves::suffix_block_len(suffix);
                }
                Link::Node(at) => {
                    let node = Node::read(&self.arena, at);
                    assert!(node.fanout() >= 2, "every node separates subjects");
                    assert!(node.keys.is_sorted_by(|a, b| a < b), "keys are sorted and distinct");
                    arena_bytes += Arena::block_len(node.record_len());
                    entries += usize::from(node.terminal.is_some());
                    if let Some(id) = node.terminal {
                        assert!(self.leaves.suffix(&self.arena, id).is_empty());
                    }
                    pending.extend(node.links());
                }
            }
        }
        assert_eq!(entries, self.leaves.len(), "every entry is linked once");
        assert_eq!(arena_bytes, self.arena.live_bytes(), "no block is lost or shared");
    }

    fn walk_until<F: Filter>(&self, filter: F, mut visit: impl FnMut(&[u8], &V) -> bool) -> bool {
        let mut walk = Walk::new(self.root, filter);
        while let Some(id) = walk.next(&self.arena, &self.leaves) {
            if !visit(walk.key(), self.leaves.value(id)) {
                return false;
            }
        }
        true
    }

    fn walk_until_mut<F: Filter>(
        &mut self,
        filter: F,
        mut visit: impl FnMut(&[u8], &mut V) -> bool,
    ) -> bool {
        let mut walk = Walk::new(self.root, filter);
        while let Some(id) = walk.next(&self.arena, &self.leaves) {
            if !visit(walk.key(), self.leaves.value_mut(id)) {
                return false;
            }
        }
        true
    }

    fn locate(&self, subject: &[u8]) -> Option<LeafId> {
        let mut link = self.root?;
        let mut rest = subject;
        loop {
            let at = match link {
                Link::Leaf(id) => {
                    return (self.leaves.suffix(&self.arena, id) == rest).then_some(id);
                }
                Link::Node(at) => at,
            };
            let node = Node::read(&self.arena, at);
            rest = rest.strip_prefix(node.prefix)?;
            let Some((&key, after)) = rest.split_first() else {
                return node.terminal;
            };
            link = node.link(node.find(key)?);
            rest = after;
        }
    }

    fn locate_or_insert(&mut self, subject: &[u8], make: impl FnOnce() -> V) -> LeafId {
        let Some(mut link) = self.root else {
            let id = self.leaves.insert(&mut self.arena, subject, make());
            self.root = Some(Link::Leaf(id));
            return id;
        };
        let mut place = Place::Root;
        let mut rest = subject;
        loop {
            let at = match link {
                Link::Leaf(id) if self.leaves.suffix(&self.arena, id) == rest => return id,
                Link::Leaf(id) => return self.split_leaf(place, id, rest, make()),
                Link::Node(at) => at,
            };
            let node = Node::read(&self.arena, at);
            let Some(below) = rest.strip_prefix(node.prefix) else {
                return self.split_node(place, at, rest, make());
            };
            rest = below;
            let found = match rest.split_first() {
                None => match node.terminal {
                    Some(id) => return id,
                    None => None,
                },
                Some((&key, after)) => node.find(key).map(|index| (index, after)),
            };
            let Some((index, after)) = found else {
                // The node has no member for this subject yet.
                let mut draft = node.to_draft();
                let old_len = node.record_len();
                let id = self.add_leaf(&mut draft, rest, make());
                let moved = draft.replace(&mut self.arena, at, old_len);
                if moved != at {
                    self.set_link(place, Link::Node(moved));
                }
                return id;
            };
            place = Place::LinkOf(at, index);
            link = node.link(index);
            rest = after;
        }
    }

    /// Puts a node in the place of an entry whose suffix differs from `rest`, above it and a new
    /// entry.
    fn split_leaf(&mut self, place: Place, old: LeafId, rest: &[u8], value: V) -> LeafId {
        let suffix: SmallVec<[u8; 64]> = SmallVec::from_slice(self.leaves.suffix(&self.arena, old));
        let shared = common_prefix_len(&suffix, rest);
        let mut draft = Draft::with_prefix(&rest[..shared]);
        match suffix[shared..].split_first() {
            None => {
                self.leaves.set_suffix(&mut self.arena, old, &[]);
                draft.terminal = Some(old);
            }
            Some((&key, after)) => {
                self.leaves.set_suffix(&mut self.arena, old, after);
                draft.add(key, Link::Leaf(old));
            }
        }
        let id = self.add_leaf(&mut draft, &rest[shared..], value);
        let above = draft.store(&mut self.arena);
        self.set_link(place, Link::Node(above));
        id
    }

    /// Puts a node in the place of one whose prefix does not start `rest`, above it and a new entry.
    fn split_node(&mut self, place: Place, at: BlockRef, rest: &[u8], value: V) -> LeafId {
        let node = Node::read(&self.arena, at);
        let old_len = node.record_len();
        let mut lower = node.to_draft();
        let shared = common_prefix_len(&lower.prefix, rest);
        let key = lower.prefix[shared];
        lower.prefix.drain(..=shared);
        let below = lower.replace(&mut self.arena, at, old_len);
        let mut upper = Draft::with_prefix(&rest[..shared]);
        upper.add(key, Link::Node(below));
        let id = self.add_leaf(&mut upper, &rest[shared..], value);
        let above = upper.store(&mut self.arena);
        self.set_link(place, Link::Node(above));
        id
    }

    /// Makes an entry for `rest`, which begins right after the prefix of `draft`.
    fn add_leaf(&mut self, draft: &mut Draft, rest: &[u8], value: V) -> LeafId {
        match rest.split_first() {
            None => {
                let id = self.leaves.insert(&mut self.arena, &[], value);
                draft.terminal = Some(id);
                id
            }
            Some((&key, after)) => {
                let id = self.leaves.insert(&mut self.arena, after, value);
                draft.add(key, Link::Leaf(id));
                id
            }
        }
    }

    /// Takes a removed entry out of its node, which gives way to its other member if it had but two.
    fn remove_member(&mut self, place: Place, at: BlockRef, member: Member) {
        let node = Node::read(&self.arena, at);
        let old_len = node.record_len();
        if node.fanout() > 2 {
            let mut draft = node.to_draft();
            match member {
                Member::Terminal => draft.terminal = None,
                Member::Link(index) => draft.remove(index),
            }
            let moved = draft.replace(&mut self.arena, at, old_len);
            if moved != at {
                self.set_link(place, Link::Node(moved));
            }
            return;
        }
        let mut path: SmallVec<[u8; 64]> = SmallVec::from_slice(node.prefix);
        let survivor = match (member, node.terminal) {
            (Member::Link(_), Some(id)) => Link::Leaf(id),
            (Member::Link(removed), None) => {
                let other = 1 - removed;
                path.push(node.keys[other]);
                node.link(other)
            }
            (Member::Terminal, _) => {
                path.push(node.keys[0]);
                node.link(0)
            }
        };
        self.arena.release(at, old_len);
        let survivor = self.prepend(path, survivor);
        self.set_link(place, survivor);
    }

    /// Lengthens the suffix or prefix of what `link` leads to by `path` in front.
    fn prepend(&mut self, mut path: SmallVec<[u8; 64]>, link: Link) -> Link {
        match link {
            Link::Leaf(id) => {
                path.extend_from_slice(self.leaves.suffix(&self.arena, id));
                self.leaves.set_suffix(&mut self.arena, id, &path);
                link
            }
            Link::Node(at) => {
                let node = Node::read(&self.arena, at);
                let old_len = node.record_len();
                let mut draft = node.to_draft();
                draft.prefix.insert_from_slice(0, &path);
                Link::Node(draft.replace(&mut self.arena, at, old_len))
            }
        }
    }

    fn set_link(&mut self, place: Place, link: Link) {
        match place {
            Place::Root => self.root = Some(link),
            Place::LinkOf(at, index) => node::set_link(&mut self.arena, at, index, link),
        }
    }
}

fn common_prefix_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
