//! The trie of subscriptions whose subject has wildcards.
//!
//! A node stands for a sequence of tokens. Its `*` child is a field, its literal children are
//! edges in one table shared by all nodes, found by the hash of the whole path, and what is
//! subscribed to with a `>` right below it is a second interest of the node itself: `a.*.>`
//! takes two nodes. Nodes live in an arena and refer to each other by number.
//!
//! A match visits the nodes that fit the published tokens, with an explicit stack: its depth
//! is chosen by peers. Implements the matching of spec 01 §6.4.

use ahash::RandomState;
use smallvec::SmallVec;
use std::ops::Range;

use crate::arena::Arena;
use crate::edges::Edges;
use crate::interest::{Added, Interest, Removed};
use crate::subject::{FULL_WILDCARD, PARTIAL_WILDCARD, Tokens, tokens};
use crate::subscription::Subscriber;
use crate::token::NodeToken;

/// The number of a node in the arena. Zero is the root, which is nobody's child, so that zero
/// in a child field means that there is none.
type NodeId = u32;
const ROOT: NodeId = 0;
const NO_CHILD: NodeId = 0;

/// Invariants: every node but the root has an interest or a child; `literal_children` counts
/// the edges from that node.
#[derive(Debug)]
pub(crate) struct Trie<S> {
    nodes: Arena<Node<S>>,
    free: Vec<NodeId>,
    edges: Edges,
}

/// With handles of one word it fills a cache line, which is all that a match reads of it.
#[derive(Debug)]
#[repr(align(64))]
struct Node<S> {
    /// Subscriptions that end here.
    exact: Option<Interest<S>>,
    /// Subscriptions that end in a `>` right below this node.
    full: Option<Interest<S>>,
    token: NodeToken,
    parent: NodeId,
    edge_hash: u32,
    partial_child: NodeId,
    literal_children: u32,
}

/// The arena is full: more nodes than a [`NodeId`] can number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TrieFull;

const _: () = assert!(std::mem::size_of::<Node<std::sync::Arc<u8>>>() == 64);

/// Where a subscription is kept.
#[derive(Clone, Copy)]
struct Place {
    node: NodeId,
    /// In the node's `full` interest, not in `exact`.
    full: bool,
}

impl<S: Subscriber> Trie<S> {
    pub(crate) fn new() -> Self {
        Self { nodes: Arena::new(), free: Vec::new(), edges: Edges::new() }
    }

    /// Nodes in use, the root not counted.
    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len().saturating_sub(self.free.len()).saturating_sub(1)
    }

    /// Adds a subscription whose subject is valid. `hasher` is the same in every call.
    pub(crate) fn insert(
        &mut self,
        hasher: &RandomState,
        subscriber: S,
    ) -> Result<Added, TrieFull> {
        if self.nodes.is_empty() {
            self.nodes.push(Node::new(&[], ROOT, 0));
        }
        let mut place = Place { node: ROOT, full: false };
        let mut path = PathHash::ROOT;
        for token in tokens(subscriber.subject()) {
            let child = match token {
                [FULL_WILDCARD] => {
                    place.full = true;
                    continue;
                }
                [PARTIAL_WILDCARD] => {
                    path = path.partial();
                    self.partial_child_or_new(place.node)
                }
                _ => {
                    path = path.literal(hasher, token);
                    self.literal_child_or_new(place.node, token, path)
                }
            };
            match child {
                Ok(child) => place.node = child,
                Err(full) => {
                    self.prune(place.node);
                    return Err(full);
                }
            }
        }
        let interest = self.node_mut(place.node).interest_mut(place.full);
        Ok(match interest {
            Some(interest) => interest.add(subscriber),
            None => {
                *interest = Some(Interest::One(subscriber));
                Added::First
            }
        })
    }

    pub(crate) fn remove(&mut self, hasher: &RandomState, subscriber: &S) -> Removed {
        let Some(place) = self.find(hasher, subscriber.subject()) else { return Removed::NotFound };
        let slot = self.node_mut(place.node).interest_mut(place.full);
        let Some(interest) = slot else { return Removed::NotFound };
        if !interest.is_only(subscriber) {
            return interest.remove(subscriber);
        }
        *slot = None;
        self.prune(place.node);
        Removed::Last
    }

    /// Calls `visit` with every interest that matches a published subject, until it returns
    /// false. A subject with an empty token matches nothing.
    pub(crate) fn visit<'a>(
        &'a self,
        hasher: &RandomState,
        subject: &[u8],
        mut visit: impl FnMut(&'a Interest<S>) -> bool,
    ) {
        if self.nodes.is_empty() || tokens(subject).any(<[u8]>::is_empty) {
            return;
        }
        // Branches still to be followed: a node, its path and the tokens below it.
        let mut branches: SmallVec<[(NodeId, PathHash, Tokens<'_>); 8]> = SmallVec::new();
        let mut at = (ROOT, PathHash::ROOT, tokens(subject));
        loop {
            let (id, path, mut rest) = at;
            let node = self.node(id);
            let mut next = None;
            if let Some(token) = rest.next() {
                if let Some(full) = &node.full
                    && !visit(full)
                {
                    return;
                }
                if node.literal_children > 0 {
                    let path = path.literal(hasher, token);
                    next = self.literal_child(id, token, path).map(|child| (child, path));
                }
                if node.partial_child != NO_CHILD {
                    let partial = (node.partial_child, path.partial());
                    match next {
                        None => next = Some(partial),
                        Some(_) => branches.push((partial.0, partial.1, rest.clone())),
                    }
                }
            } else if let Some(exact) = &node.exact
                && !visit(exact)
            {
                return;
            }
            at = match next {
                Some((child, path)) => (child, path, rest),
                None => match branches.pop() {
                    Some(branch) => branch,
                    None => return,
                },
            };
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Interest<S>> {
        self.nodes.iter().flat_map(|node| node.exact.iter().chain(&node.full))
    }

    /// The number of places; a node keeps its place for life.
    pub(crate) fn places(&self) -> usize {
        self.nodes.len()
    }

    /// What is at some of the places, as far as there are so many.
    pub(crate) fn at(&self, places: Range<usize>) -> impl Iterator<Item = &Interest<S>> {
        let places = places.start..places.end.min(self.nodes.len());
        places
            .map(|place| self.node(place as NodeId))
            .flat_map(|node| node.exact.iter().chain(&node.full))
    }

    /// Panics when an invariant does not hold. For tests and fuzzing.
    pub(crate) fn check_invariants(&self, hasher: &RandomState) {
        if self.nodes.is_empty() {
            assert!(self.free.is_empty() && self.edges.len() == 0);
            return;
        }
        let mut literal_children = vec![0_u32; self.nodes.len()];
        for (hash, child) in self.edges.iter() {
            let node = self.node(child);
            assert_eq!(node.edge_hash, hash);
            assert_eq!(self.path_hash(hasher, child).edge(), hash);
            literal_children[node.parent as usize] += 1;
        }
        self.edges.check_invariants();
        let free: std::collections::HashSet<NodeId> = self.free.iter().copied().collect();
        assert_eq!(free.len(), self.free.len(), "a node is freed once");
        let mut in_use = 0;
        for (id, node) in self.nodes.iter().enumerate() {
            let is_free = free.contains(&(id as NodeId));
            assert!(!is_free || node.is_bare(), "a free node holds nothing");
            assert!(is_free || id == 0 || !node.is_bare(), "a node without purpose is freed");
            assert_eq!(node.literal_children, literal_children[id]);
            if node.partial_child != NO_CHILD {
                assert_eq!(self.node(node.partial_child).parent as usize, id);
            }
            in_use += usize::from(!is_free);
            for (interest, full) in [(&node.exact, false), (&node.full, true)] {
                let Some(interest) = interest else { continue };
                interest.check_invariants();
                let place = self.find(hasher, interest.subject());
                assert!(place.is_some_and(|p| p.node as usize == id && p.full == full));
            }
        }
        let partial = self.nodes.iter().filter(|n| n.partial_child != NO_CHILD).count();
        assert_eq!(self.edges.len() + partial + 1, in_use, "every node has one parent");
        assert!(in_use > 1 || self.node(ROOT).full.is_some(), "an empty trie keeps no arena");
    }

    fn node(&self, id: NodeId) -> &Node<S> {
        // Ids come from the arena itself and a node is freed only when nothing refers to it.
        &self.nodes[id]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<S> {
        &mut self.nodes[id]
    }

    fn literal_child(&self, parent: NodeId, token: &[u8], path: PathHash) -> Option<NodeId> {
        self.edges.find(path.edge(), |child| {
            let node = self.node(child);
            node.parent == parent && node.token.as_bytes() == token
        })
    }

    /// The hash of a node's path, found through its ancestors. For checks only.
    fn path_hash(&self, hasher: &RandomState, id: NodeId) -> PathHash {
        let mut ancestry = Vec::new();
        let mut at = id;
        while at != ROOT {
            ancestry.push(at);
            at = self.node(at).parent;
        }
        ancestry.iter().rev().fold(PathHash::ROOT, |path, &id| {
            let node = self.node(id);
            match self.node(node.parent).partial_child == id {
                true => path.partial(),
                false => path.literal(hasher, node.token.as_bytes()),
            }
        })
    }

    fn find(&self, hasher: &RandomState, subject: &[u8]) -> Option<Place> {
        if self.nodes.is_empty() {
            return None;
        }
        let mut place = Place { node: ROOT, full: false };
        let mut path = PathHash::ROOT;
        for token in tokens(subject) {
            match token {
                [FULL_WILDCARD] => place.full = true,
                [PARTIAL_WILDCARD] => {
                    path = path.partial();
                    match self.node(place.node).partial_child {
                        NO_CHILD => return None,
                        child => place.node = child,
                    }
                }
                _ => {
                    path = path.literal(hasher, token);
                    place.node = self.literal_child(place.node, token, path)?;
                }
            }
        }
        Some(place)
    }

    fn partial_child_or_new(&mut self, parent: NodeId) -> Result<NodeId, TrieFull> {
        let present = self.node(parent).partial_child;
        if present != NO_CHILD {
            return Ok(present);
        }
        let child = self.allocate(&[PARTIAL_WILDCARD], parent, 0)?;
        self.node_mut(parent).partial_child = child;
        Ok(child)
    }

    fn literal_child_or_new(
        &mut self,
        parent: NodeId,
        token: &[u8],
        path: PathHash,
    ) -> Result<NodeId, TrieFull> {
        if let Some(present) = self.literal_child(parent, token, path) {
            return Ok(present);
        }
        let child = self.allocate(token, parent, path.edge())?;
        self.edges.insert(path.edge(), child);
        let node = self.node_mut(parent);
        node.literal_children = node.literal_children.saturating_add(1);
        Ok(child)
    }

    fn allocate(&mut self, token: &[u8], parent: NodeId, hash: u32) -> Result<NodeId, TrieFull> {
        let node = Node::new(token, parent, hash);
        if let Some(id) = self.free.pop() {
            *self.node_mut(id) = node;
            return Ok(id);
        }
        let id = NodeId::try_from(self.nodes.len()).map_err(|_| TrieFull)?;
        self.nodes.push(node);
        Ok(id)
    }

    /// Frees a node that lost its purpose, and its ancestors as far as they lose theirs.
    fn prune(&mut self, mut id: NodeId) {
        while id != ROOT && self.node(id).is_bare() {
            let (parent, hash) = (self.node(id).parent, self.node(id).edge_hash);
            if self.node(parent).partial_child == id {
                self.node_mut(parent).partial_child = NO_CHILD;
            } else if self.edges.remove(hash, id) {
                let node = self.node_mut(parent);
                node.literal_children = node.literal_children.saturating_sub(1);
            }
            self.node_mut(id).token = NodeToken::new(&[]);
            self.free.push(id);
            id = parent;
        }
        self.release_memory();
    }

    /// Gives all memory back when nothing is left. Before that the arena keeps its numbers,
    /// hence its size; freed nodes are used again.
    fn release_memory(&mut self) {
        if self.node_count() == 0 && self.node(ROOT).full.is_none() {
            *self = Self::new();
        }
    }
}

impl<S> Node<S> {
    fn new(token: &[u8], parent: NodeId, edge_hash: u32) -> Self {
        Self {
            exact: None,
            full: None,
            token: NodeToken::new(token),
            parent,
            edge_hash,
            partial_child: NO_CHILD,
            literal_children: 0,
        }
    }

    fn interest_mut(&mut self, full: bool) -> &mut Option<Interest<S>> {
        if full { &mut self.full } else { &mut self.exact }
    }

    fn is_bare(&self) -> bool {
        self.exact.is_none()
            && self.full.is_none()
            && self.partial_child == NO_CHILD
            && self.literal_children == 0
    }
}

/// The hash of the tokens that lead to a node.
///
/// An edge is found by the hash of its whole path and not by the number of its parent: so the
/// addresses to look at follow from the subject alone, and the processor fetches the next
/// level while it waits for this one. Tokens' hashes are keyed, hence unknown to peers.
#[derive(Clone, Copy, Debug)]
struct PathHash(u64);

impl PathHash {
    const ROOT: Self = Self(0);

    fn literal(self, hasher: &RandomState, token: &[u8]) -> Self {
        self.then(hasher.hash_one(token))
    }

    /// A literal `*` cannot be below a node, so any fixed number will do for the wildcard.
    fn partial(self) -> Self {
        self.then(0x9E37_79B9_7F4A_7C15)
    }

    fn then(self, step: u64) -> Self {
        let mixed = (self.0.rotate_left(23) ^ step).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Self(mixed ^ (mixed >> 32))
    }

    fn edge(self) -> u32 {
        (self.0 >> 32) as u32
    }
}
