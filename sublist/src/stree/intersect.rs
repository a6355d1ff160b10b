//! Subjects of a tree that are in another tree, or that a subject list has interest in (spec 06,
//! subject tree rules).

use super::SubjectTree;
use super::walk::{Filter, NextByte};
use crate::gsl::{GenericSublist, Interest};
use crate::subject::TOKEN_SEPARATOR;

/// Calls `visit` for every subject that is in both trees, once each, in bytewise order, with its
/// values in the first and in the second tree.
pub fn lazy_intersect<A, B>(
    left: &SubjectTree<A>,
    right: &SubjectTree<B>,
    mut visit: impl FnMut(&[u8], &A, &B),
) {
    // Each subject of the smaller tree is looked up in the larger one.
    if left.len() <= right.len() {
        left.iter_ordered(|subject, a| {
            if let Some(b) = right.find(subject) {
                visit(subject, a, b);
            }
            true
        });
    } else {
        right.iter_ordered(|subject, b| {
            if let Some(a) = left.find(subject) {
                visit(subject, a, b);
            }
            true
        });
    }
}

/// Calls `visit` for every subject of the tree that the list has interest in, once each however many
/// of its subjects match, in bytewise order, until it returns false; returns whether it was never so.
pub fn intersect_gsl<V, T: Ord>(
    tree: &SubjectTree<V>,
    list: &GenericSublist<T>,
    visit: impl FnMut(&[u8], &V) -> bool,
) -> bool {
    tree.walk_until(Interested { list }, visit)
}

/// As [`intersect_gsl`], with the values to be changed.
pub fn intersect_gsl_mut<V, T: Ord>(
    tree: &mut SubjectTree<V>,
    list: &GenericSublist<T>,
    visit: impl FnMut(&[u8], &mut V) -> bool,
) -> bool {
    tree.walk_until_mut(Interested { list }, visit)
}

/// The filter that lets through what a list has interest in. It follows the list token by token, so
/// a part of the tree without interest is left at its first byte that rules interest out.
struct Interested<'a, T> {
    list: &'a GenericSublist<T>,
}

#[derive(Clone)]
struct Progress {
    /// After the whole tokens read so far.
    interest: Interest,
    /// Where the token begins that is being read.
    token_start: usize,
}

impl<T> Filter for Interested<'_, T> {
    type State = Progress;

    fn start(&self) -> Progress {
        Progress { interest: Interest::start(self.list), token_start: 0 }
    }

    fn advance(&self, state: &Progress, key: &[u8], from: usize) -> Option<Progress> {
        let mut state = state.clone();
        for end in memchr::memchr_iter(TOKEN_SEPARATOR, &key[from..]) {
            let end = from + end;
            let token = &key[state.token_start..end];
            // No list has interest in a subject with an empty token.
            if token.is_empty() || !state.interest.read_token(self.list, token) {
                return None;
            }
            state.token_start = end + 1;
        }
        let begun = &key[state.token_start..];
        state.interest.leads_on_from(self.list, begun).then_some(state)
    }

    fn accepts(&self, state: &Progress, key: &[u8]) -> bool {
        let last = &key[state.token_start..];
        !last.is_empty() && state.interest.ends_with(self.list, last)
    }

    fn next(&self, _state: &Progress) -> NextByte {
        NextByte::Any
    }
}
