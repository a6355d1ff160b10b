//! The nodes of a subject tree: one variable-sized record per inner node.
//!
//! A node holds the bytes all its subjects share from where it begins (the prefix), the entry whose
//! subject ends right there (the terminal entry), and one link per following byte. The following
//! byte is not repeated in what the link leads to.
//!
//! ```text
//! 0      2          6            6+4t     6+4t+p     6+4t+p+n          6+4t+p+5n
//! | shape | prefix   | terminal   | prefix | n keys   | n links          |
//! | u16   | length   | entry      | bytes  | u8,      | u32 each,        |
//! |       | p: u32   | u32, if t  |        | sorted   | in order of keys |
//! ```
//!
//! The low bits of the shape are the number of links (0 to 256), its top bit is `t`. Keeping every
//! record exactly as large as it needs to be takes the place of a fixed set of node sizes: a vector
//! search over at most 256 sorted bytes is as fast as a table, and ordered iteration is free.
//!
//! Invariant: a node has at least two of (terminal entry, links), so every node separates subjects.

use smallvec::SmallVec;

use super::arena::{Arena, BlockRef, read_u32};
use super::leaves::LeafId;

const HEADER: usize = 6;
const TERMINAL_FLAG: u16 = 1 << 15;
const LEAF_TAG: u32 = 1 << 31;

/// Where a link leads: to an entry or to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Leaf(LeafId),
    Node(BlockRef),
}

impl Link {
    fn encode(self) -> u32 {
        match self {
            Self::Leaf(id) => id.0 | LEAF_TAG,
            Self::Node(at) => at.0,
        }
    }

    fn decode(raw: u32) -> Self {
        if raw & LEAF_TAG != 0 {
            Self::Leaf(LeafId(raw & !LEAF_TAG))
        } else {
            Self::Node(BlockRef(raw))
        }
    }
}

/// A node as it lies in the arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) terminal: Option<LeafId>,
    pub(super) prefix: &'a [u8],
    pub(super) keys: &'a [u8],
    links: &'a [u8],
}

impl<'a> Node<'a> {
    pub(super) fn read(arena: &'a Arena, at: BlockRef) -> Self {
        let bytes = arena.bytes(at);
        let (header, mut rest) = bytes.split_at(HEADER);
        let shape = u16::from_le_bytes([header[0], header[1]]);
        let prefix_len = read_u32(&header[2..]) as usize;
        let terminal = (shape & TERMINAL_FLAG != 0).then(|| {
            let id = LeafId(read_u32(rest));
            rest = &rest[4..];
            id
        });
        let count = usize::from(shape & !TERMINAL_FLAG);
        let (prefix, rest) = rest.split_at(prefix_len);
        let (keys, rest) = rest.split_at(count);
        Self { terminal, prefix, keys, links: &rest[..count * 4] }
    }

    /// The index of the link for `key`.
    pub(super) fn find(&self, key: u8) -> Option<usize> {
        if self.keys.len() <= 8 {
            self.keys.iter().position(|&k| k == key)
        } else {
            memchr::memchr(key, self.keys)
        }
    }

    /// The link at `index`, which must be below the number of keys.
    pub(super) fn link(&self, index: usize) -> Link {
        Link::decode(read_u32(&self.links[index * 4..]))
    }

    pub(super) fn links(&self) -> impl Iterator<Item = Link> + use<'a> {
        self.links.chunks_exact(4).map(|raw| Link::decode(read_u32(raw)))
    }

    /// How many entries and nodes hang directly below.
    pub(super) fn fanout(&self) -> usize {
        self.keys.len() + usize::from(self.terminal.is_some())
    }

    pub(super) fn record_len(&self) -> usize {
        HEADER + 4 * usize::from(self.terminal.is_some()) + self.prefix.len() + 5 * self.keys.len()
    }

    /// A copy that outlives the arena borrow, for changing the node.
    pub(super) fn to_draft(self) -> Draft {
        Draft {
            terminal: self.terminal,
            prefix: SmallVec::from_slice(self.prefix),
            keys: SmallVec::from_slice(self.keys),
            links: SmallVec::from_slice(self.links),
        }
    }
}

/// A node being built or changed.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) terminal: Option<LeafId>,
    pub(super) prefix: SmallVec<[u8; 64]>,
    keys: SmallVec<[u8; 16]>,
    links: SmallVec<[u8; 64]>,
}

impl Draft {
    pub(super) fn with_prefix(prefix: &[u8]) -> Self {
        Self {
            terminal: None,
            prefix: SmallVec::from_slice(prefix),
            keys: SmallVec::new(),
            links: SmallVec::new(),
        }
    }

    /// Adds a link for a key that has none yet.
    pub(super) fn add(&mut self, key: u8, link: Link) {
        let index = self.keys.partition_point(|&k| k < key);
        debug_assert_ne!(self.keys.get(index), Some(&key));
        self.keys.insert(index, key);
        self.links.insert_from_slice(index * 4, &link.encode().to_le_bytes());
    }

    pub(super) fn remove(&mut self, index: usize) {
        self.keys.remove(index);
        self.links.drain(index * 4..index * 4 + 4);
    }

    /// Stores the node in a new block.
    pub(super) fn store(&self, arena: &mut Arena) -> BlockRef {
        arena.store(&self.encode())
    }

    /// Stores the node over the record of `old_len` bytes at `at`; it may have to move.
    pub(super) fn replace(&self, arena: &mut Arena, at: BlockRef, old_len: usize) -> BlockRef {
        arena.replace(at, old_len, &self.encode())
    }

    fn encode(&self) -> SmallVec<[u8; 256]> {
        let terminal_flag = if self.terminal.is_some() { TERMINAL_FLAG } else { 0 };
        // There are at most 256 keys, and prefixes are parts of subjects whose length was checked
        // to fit 32 bits on insert.
        let shape = self.keys.len() as u16 | terminal_flag;
        let prefix_len = self.prefix.len() as u32;
        let mut record = SmallVec::new();
        record.extend_from_slice(&shape.to_le_bytes());
        record.extend_from_slice(&prefix_len.to_le_bytes());
        if let Some(id) = self.terminal {
            record.extend_from_slice(&id.0.to_le_bytes());
        }
        record.extend_from_slice(&self.prefix);
        record.extend_from_slice(&self.keys);
        record.extend_from_slice(&self.links);
        record
    }
}

/// Points the link at `index` of the node at `at` elsewhere; the record keeps its size and place.
pub(super) fn set_link(arena: &mut Arena, at: BlockRef, index: usize, link: Link) {
    let node = Node::read(arena, at);
    let offset = node.record_len() - node.links.len() + index * 4;
    arena.bytes_mut(at)[offset..offset + 4].copy_from_slice(&link.encode().to_le_bytes());
}
