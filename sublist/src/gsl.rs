//! The generic subject list: values kept under subjects with wildcards, and the questions stores and
//! consumers ask of them (spec 01 §14, generic sublist; spec 06, subject tree rules).
//!
//! Unlike the subscription trie it has no queue groups, cache, statistics or notifications, and no
//! lock of its own: whoever shares a list puts it behind a lock.
//!
//! Matching follows all nodes that are possible at a token at once instead of one after the other,
//! and nodes lie in a table: neither the time nor the stack depends on how wildcards are nested,
//! although the lists are filled with filters from API requests.
//!
//! Invariant: every node but the root holds a value or leads to one that does, so that a node means
//! interest. An insert that fails leaves no trace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;

use slab::Slab;
use smallvec::SmallVec;

use crate::subject::{self, FULL_WILDCARD, PARTIAL_WILDCARD};

const FULL: &[u8] = &[FULL_WILDCARD];
const PARTIAL: &[u8] = &[PARTIAL_WILDCARD];

/// Why a subject list refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenericSublistError {
    /// The subject has an empty token, or one after `>`.
    InvalidSubject,
    /// The value is not there under that subject.
    NotFound,
}

impl fmt::Display for GenericSublistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidSubject => "gsl: invalid subject",
            Self::NotFound => "gsl: no matches found",
        })
    }
}

impl std::error::Error for GenericSublistError {}

/// A subject list that only knows whether there is interest.
pub type SimpleSublist = GenericSublist<()>;

/// Values under subjects that may have wildcards, matched by literal subjects.
#[derive(Clone, Debug)]
pub struct GenericSublist<T> {
    nodes: Slab<Node<T>>,
    root: NodeId,
    count: usize,
}

type NodeId = usize;

/// Nodes that a subject read so far has led to.
type Active = SmallVec<[NodeId; 4]>;

/// What follows a token, and the values of the subject that ends with it.
#[derive(Clone, Debug)]
struct Node<T> {
    values: BTreeSet<T>,
    /// The subject of the values; empty when there are none.
    subject: Box<[u8]>,
    literals: BTreeMap<Box<[u8]>, NodeId>,
    /// The node for `*`.
    partial: Option<NodeId>,
    /// The node for `>`.
    full: Option<NodeId>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            values: BTreeSet::new(),
            subject: Box::default(),
            literals: BTreeMap::new(),
            partial: None,
            full: None,
        }
    }
}

impl<T> Node<T> {
    fn has_values(&self) -> bool {
        !self.values.is_empty()
    }

    fn child(&self, token: &[u8]) -> Option<NodeId> {
        match token {
            FULL => self.full,
            PARTIAL => self.partial,
            _ => self.literals.get(token).copied(),
        }
    }

    /// The children that a token of a literal subject leads to. A subject's own `*` or `>` is no
    /// wildcard and finds nothing among the literals.
    fn matching(&self, token: &[u8]) -> impl Iterator<Item = NodeId> {
        self.partial.into_iter().chain(self.literals.get(token).copied())
    }

    fn fanout(&self) -> usize {
        self.literals.len() + usize::from(self.partial.is_some()) + usize::from(self.full.is_some())
    }

    /// Whether some token that starts with `start` leads on.
    fn leads_on_from(&self, start: &[u8]) -> bool {
        let from = (Bound::Included(start), Bound::Unbounded);
        self.partial.is_some()
            || self.full.is_some()
            || self
                .literals
                .range::<[u8], _>(from)
                .next()
                .is_some_and(|(t, _)| t.starts_with(start))
    }
}

impl<T> Default for GenericSublist<T> {
    fn default() -> Self {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::default());
        Self { nodes, root, count: 0 }
    }
}

impl<T: Ord> GenericSublist<T> {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Successful inserts less successful removes. A value that is inserted twice under one subject
    /// counts twice although it is kept once, as in the reference.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds `value` under `subject`.
    pub fn insert(&mut self, subject: &[u8], value: T) -> Result<(), GenericSublistError> {
        check_subject(subject)?;
        let mut at = self.root;
        for token in subject::tokens(subject) {
            at = match self.nodes[at].child(token) {
                Some(child) => child,
                None => {
                    let child = self.nodes.insert(Node::default());
                    let node = &mut self.nodes[at];
                    match token {
                        FULL => node.full = Some(child),
                        PARTIAL => node.partial = Some(child),
                        _ => {
                            node.literals.insert(token.into(), child);
                        }
                    }
                    child
                }
            };
        }
        let node = &mut self.nodes[at];
        if node.values.is_empty() {
            node.subject = subject.into();
        }
        node.values.insert(value);
        self.count += 1;
        Ok(())
    }

    /// Takes `value` away from `subject`.
    pub fn remove(&mut self, subject: &[u8], value: &T) -> Result<(), GenericSublistError> {
        check_subject(subject)?;
        let mut path: SmallVec<[(NodeId, &[u8]); 16]> = SmallVec::new();
        let mut at = self.root;
        for token in subject::tokens(subject) {
            path.push((at, token));
            at = self.nodes[at].child(token).ok_or(GenericSublistError::NotFound)?;
        }
        let node = &mut self.nodes[at];
        if !node.values.remove(value) {
            return Err(GenericSublistError::NotFound);
        }
        if node.values.is_empty() {
            node.subject = Box::default();
        }
        self.count -= 1;
        for (above, token) in path.into_iter().rev() {
            let node = &self.nodes[at];
            if node.has_values() || node.fanout() > 0 {
                break;
            }
            self.nodes.remove(at);
            let parent = &mut self.nodes[above];
            match token {
                FULL => parent.full = None,
                PARTIAL => parent.partial = None,
                _ => {
                    parent.literals.remove(token);
                }
            }
            at = above;
        }
        Ok(())
    }

    /// Calls `visit` for every value whose subject matches the literal `subject`. A subject with an
    /// empty token matches nothing.
    pub fn match_subject(&self, subject: &[u8], mut visit: impl FnMut(&T)) {
        self.match_until(subject, |node| {
            node.values.iter().for_each(&mut visit);
            true
        });
    }

    /// Whether any value's subject matches the literal `subject`.
    pub fn has_interest(&self, subject: &[u8]) -> bool {
        !self.match_until(subject, |_| false)
    }

    /// How many values [`match_subject`](Self::match_subject) would visit. The reference stops at
    /// the first `>` and so counts fewer where subjects overlap.
    pub fn num_interest(&self, subject: &[u8]) -> usize {
        let mut found = 0;
        self.match_until(subject, |node| {
            found += node.values.len();
            true
        });
        found
    }

    /// Whether there is interest in `>`.
    pub fn matches_full_wildcard(&self) -> bool {
        self.nodes[self.root].full.is_some()
    }

    /// The subject all values are under, when there is exactly one.
    pub fn matches_single_filter(&self) -> Option<&[u8]> {
        let mut node = &self.nodes[self.root];
        while node.values.is_empty() {
            if node.fanout() != 1 {
                return None;
            }
            let child = node.partial.or(node.full).or(node.literals.values().next().copied())?;
            node = &self.nodes[child];
        }
        (node.fanout() == 0).then_some(&*node.subject)
    }

    /// Whether a subject that starts with the tokens of `prefix` may find interest: with the prefix
    /// itself, or further down.
    pub fn has_interest_starting_in(&self, prefix: &[u8]) -> bool {
        let mut interest = Interest::start(self);
        subject::tokens(prefix).all(|token| interest.read_token(self, token))
    }

    /// Calls `visit` for every node with values whose subject matches, until it returns false;
    /// returns whether it was never so.
    fn match_until(&self, subject: &[u8], mut visit: impl FnMut(&Node<T>) -> bool) -> bool {
        if subject::tokens(subject).any(<[u8]>::is_empty) {
            return true;
        }
        let mut active: Active = SmallVec::from_slice(&[self.root]);
        let mut next = Active::new();
        let mut tokens = subject::tokens(subject).peekable();
        while let Some(token) = tokens.next() {
            let is_last = tokens.peek().is_none();
            for &at in &active {
                let node = &self.nodes[at];
                if node.full.is_some_and(|full| !visit(&self.nodes[full])) {
                    return false;
                }
                for child in node.matching(token) {
                    if !is_last {
                        next.push(child);
                    } else if self.nodes[child].has_values() && !visit(&self.nodes[child]) {
                        return false;
                    }
                }
            }
            std::mem::swap(&mut active, &mut next);
            next.clear();
            if active.is_empty() {
                break;
            }
        }
        true
    }

    /// Checks what the structure relies on.
    ///
    /// # Panics
    ///
    /// Panics where an invariant does not hold, which would be a defect of this module.
    pub fn check_invariants(&self) {
        let mut reached = 0;
        let mut pending = vec![self.root];
        while let Some(at) = pending.pop() {
            reached += 1;
            let node = &self.nodes[at];
            assert!(
                at == self.root || node.has_values() || node.fanout() > 0,
                "every node means interest"
            );
            assert_eq!(node.has_values(), !node.subject.is_empty());
            pending.extend(node.literals.values().copied().chain(node.partial).chain(node.full));
        }
        assert_eq!(reached, self.nodes.len(), "no node is lost");
    }
}

/// How far the tokens read so far lead into a list; for walking a subject tree beside it.
#[derive(Clone, Debug)]
pub(crate) struct Interest {
    active: Active,
    /// A `>` covers everything from here on.
    covered: bool,
}

impl Interest {
    pub(crate) fn start<T>(list: &GenericSublist<T>) -> Self {
        Self { active: SmallVec::from_slice(&[list.root]), covered: false }
    }

    /// Reads a whole token that need not be the last one; returns whether interest is possible.
    pub(crate) fn read_token<T>(&mut self, list: &GenericSublist<T>, token: &[u8]) -> bool {
        if self.covered {
            return true;
        }
        let mut next = Active::new();
        for &at in &self.active {
            let node = &list.nodes[at];
            self.covered |= node.full.is_some();
            next.extend(node.matching(token));
        }
        self.active = next;
        self.covered || !self.active.is_empty()
    }

    /// Whether interest is possible if the next token starts with `start`.
    pub(crate) fn leads_on_from<T>(&self, list: &GenericSublist<T>, start: &[u8]) -> bool {
        self.covered || self.active.iter().any(|&at| list.nodes[at].leads_on_from(start))
    }

    /// Whether there is interest in the subject that ends with `token`.
    pub(crate) fn ends_with<T>(&self, list: &GenericSublist<T>, token: &[u8]) -> bool {
        self.covered
            || self.active.iter().any(|&at| {
                let node = &list.nodes[at];
                node.full.is_some()
                    || node.matching(token).any(|child| list.nodes[child].has_values())
            })
    }
}

fn check_subject(subject: &[u8]) -> Result<(), GenericSublistError> {
    match subject::subscription_shape(subject) {
        Some(_) => Ok(()),
        None => Err(GenericSublistError::InvalidSubject),
    }
}

#[cfg(test)]
mod tests;
