//! Ordered traversal of a subject tree, restricted by a filter.
//!
//! The walk keeps its own stack, so that the depth of the tree, which publishers control through the
//! subjects they choose, never becomes depth of the thread's stack.

use smallvec::SmallVec;

use super::arena::{Arena, BlockRef};
use super::leaves::{LeafId, Leaves};
use super::node::{Link, Node};

/// What a walk visits. A state stands for the part of a subject read so far.
pub(super) trait Filter {
    type State: Clone;

    /// The state before the first byte of a subject.
    fn start(&self) -> Self::State;

    /// The state after `key[from..]` has been read, or `None` if no subject that starts with `key`
    /// can match.
    fn advance(&self, state: &Self::State, key: &[u8], from: usize) -> Option<Self::State>;

    /// Whether the subject `key`, which has been read to its end, matches.
    fn accepts(&self, state: &Self::State, key: &[u8]) -> bool;

    /// Which bytes may come next.
    fn next(&self, state: &Self::State) -> NextByte;
}

/// The bytes that can follow a state.
pub(super) enum NextByte {
    None,
    Only(u8),
    Any,
}

/// The filter of a walk over everything.
pub(super) struct Everything;

impl Filter for Everything {
    type State = ();

    fn start(&self) {}

    fn advance(&self, (): &(), _key: &[u8], _from: usize) -> Option<()> {
        Some(())
    }

    fn accepts(&self, (): &(), _key: &[u8]) -> bool {
        true
    }

    fn next(&self, (): &()) -> NextByte {
        NextByte::Any
    }
}

struct Frame<S> {
    node: BlockRef,
    /// Length of the key up to and including the node's prefix.
    key_len: usize,
    state: S,
    step: Step,
}

enum Step {
    Terminal,
    Link(usize),
    Done,
}

/// A walk in bytewise order of subjects. It borrows nothing, so the values may be changed between
/// two calls of [`Walk::next`]; the tree must stay as it is.
pub(super) struct Walk<F: Filter> {
    filter: F,
    /// The link to look at first.
    root: Option<Link>,
    stack: SmallVec<[Frame<F::State>; 16]>,
    key: SmallVec<[u8; 128]>,
}

impl<F: Filter> Walk<F> {
    pub(super) fn new(root: Option<Link>, filter: F) -> Self {
        Self { filter, root, stack: SmallVec::new(), key: SmallVec::new() }
    }

    /// The subject of the entry that [`Walk::next`] returned last.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The next entry that matches.
    pub(super) fn next<V>(&mut self, arena: &Arena, leaves: &Leaves<V>) -> Option<LeafId> {
        if let Some(root) = self.root.take() {
            let start = self.filter.start();
            if let Some(id) = self.visit(arena, leaves, root, &start, 0) {
                return Some(id);
            }
        }
        while let Some(frame) = self.stack.last_mut() {
            let node = Node::read(arena, frame.node);
            let index = match frame.step {
                Step::Terminal => {
                    frame.step = Step::Link(0);
                    self.key.truncate(frame.key_len);
                    match node.terminal {
                        Some(id) if self.filter.accepts(&frame.state, &self.key) => {
                            return Some(id);
                        }
                        _ => continue,
                    }
                }
                Step::Link(index) => match self.filter.next(&frame.state) {
                    NextByte::Any if index < node.keys.len() => {
                        frame.step = Step::Link(index + 1);
                        Some(index)
                    }
                    NextByte::Only(byte) => {
                        frame.step = Step::Done;
                        node.find(byte)
                    }
                    NextByte::Any | NextByte::None => None,
                },
                Step::Done => None,
            };
            let Some(index) = index else {
                self.stack.pop();
                continue;
            };
            let state = frame.state.clone();
            let key_len = frame.key_len;
            self.key.truncate(key_len);
            self.key.push(node.keys[index]);
            if let Some(id) = self.visit(arena, leaves, node.link(index), &state, key_len) {
                return Some(id);
            }
        }
        None
    }

    /// Follows a link: returns a matching entry, or leaves a frame for a node that may hold one.
    /// `state` is the one before `key[from..]`.
    fn visit<V>(
        &mut self,
        arena: &Arena,
        leaves: &Leaves<V>,
        link: Link,
        state: &F::State,
        from: usize,
    ) -> Option<LeafId> {
        match link {
            Link::Leaf(id) => {
                self.key.extend_from_slice(leaves.suffix(arena, id));
                let state = self.filter.advance(state, &self.key, from)?;
                self.filter.accepts(&state, &self.key).then_some(id)
            }
            Link::Node(at) => {
                self.key.extend_from_slice(Node::read(arena, at).prefix);
                let state = self.filter.advance(state, &self.key, from)?;
                let key_len = self.key.len();
                self.stack.push(Frame { node: at, key_len, state, step: Step::Terminal });
                None
            }
        }
    }
}
