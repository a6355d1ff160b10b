//! The entries of a subject tree: a value and the rest of its subject.
//!
//! Entries live in chunks of slots and are addressed by number, so that nodes can link to them with
//! four bytes. The rest of the subject is kept inside the slot while it is short, which it is for
//! most subjects once the tree has branched, and in the tree's arena otherwise.

use super::arena::{Arena, BlockRef, read_u32};

/// Bytes of a suffix that fit into the slot.
const INLINE: usize = 6;
/// Slots per chunk; only the first chunk grows up to this, later ones are made whole.
const CHUNK: usize = 1 << 10;
/// Slot numbers share 32 bits with the tag of a link.
const MAX_SLOTS: usize = 1 << 31;
const END_OF_LIST: u32 = u32::MAX;
const LEN_FIELD: usize = 4;

/// The number of an entry's slot. The top bit is always clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeafId(pub(super) u32);

#[derive(Debug)]
enum Suffix {
    Inline {
        len: u8,
        bytes: [u8; INLINE],
    },
    /// A block of a 32-bit length and as many bytes.
    Block(BlockRef),
}

#[derive(Debug)]
enum Slot<V> {
    Used { suffix: Suffix, value: V },
    Free { next: u32 },
}

#[derive(Debug)]
pub(super) struct Leaves<V> {
    chunks: Vec<Vec<Slot<V>>>,
    free: u32,
    len: usize,
}

impl<V> Default for Leaves<V> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: END_OF_LIST, len: 0 }
    }
}

impl<V> Leaves<V> {
    /// Entries in use.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether every slot number is taken.
    pub(super) fn is_full(&self) -> bool {
        self.len == MAX_SLOTS
    }

    pub(super) fn insert(&mut self, arena: &mut Arena, suffix: &[u8], value: V) -> LeafId {
        let slot = Slot::Used { suffix: Suffix::store(arena, suffix), value };
        self.len += 1;
        if self.free != END_OF_LIST {
            let id = LeafId(self.free);
            let place = self.slot_mut(id);
            let Slot::Free { next } = *place else {
                unreachable!("the free list holds free slots")
            };
            *place = slot;
            self.free = next;
            return id;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        let number = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("a chunk with room was just made sure of");
        let number = number + chunk.len();
        debug_assert!(number < MAX_SLOTS);
        chunk.push(slot);
        LeafId(number as u32)
    }

    pub(super) fn remove(&mut self, arena: &mut Arena, id: LeafId) -> V {
        let next = self.free;
        let slot = std::mem::replace(self.slot_mut(id), Slot::Free { next });
        let Slot::Used { suffix, value } = slot else { unreachable!("links lead to used slots") };
        suffix.release(arena);
        self.free = id.0;
        self.len -= 1;
        value
    }

    pub(super) fn value(&self, id: LeafId) -> &V {
        match self.slot(id) {
            Slot::Used { value, .. } => value,
            Slot::Free { .. } => unreachable!("links lead to used slots"),
        }
    }

    pub(super) fn value_mut(&mut self, id: LeafId) -> &mut V {
        match self.slot_mut(id) {
            Slot::Used { value, .. } => value,
            Slot::Free { .. } => unreachable!("links lead to used slots"),
        }
    }

    pub(super) fn suffix<'a>(&'a self, arena: &'a Arena, id: LeafId) -> &'a [u8] {
        match self.slot(id) {
            Slot::Used { suffix, .. } => suffix.bytes(arena),
            Slot::Free { .. } => unreachable!("links lead to used slots"),
        }
    }

    pub(super) fn set_suffix(&mut self, arena: &mut Arena, id: LeafId, bytes: &[u8]) {
        match self.slot_mut(id) {
            Slot::Used { suffix, .. } => {
                let old = std::mem::replace(suffix, Suffix::EMPTY);
                old.release(arena);
                *suffix = Suffix::store(arena, bytes);
            }
            Slot::Free { .. } => unreachable!("links lead to used slots"),
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.chunks.iter().flatten().filter_map(|slot| match slot {
            Slot::Used { value, .. } => Some(value),
            Slot::Free { .. } => None,
        })
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.chunks.iter_mut().flatten().filter_map(|slot| match slot {
            Slot::Used { value, .. } => Some(value),
            Slot::Free { .. } => None,
        })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum::<usize>() * size_of::<Slot<V>>()
            + self.chunks.capacity() * size_of::<Vec<Slot<V>>>()
    }

    fn slot(&self, id: LeafId) -> &Slot<V> {
        &self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK]
    }

    fn slot_mut(&mut self, id: LeafId) -> &mut Slot<V> {
        &mut self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK]
    }
}

impl Suffix {
    const EMPTY: Self = Self::Inline { len: 0, bytes: [0; INLINE] };

    fn store(arena: &mut Arena, suffix: &[u8]) -> Self {
        if suffix.len() <= INLINE {
            let mut bytes = [0; INLINE];
            bytes[..suffix.len()].copy_from_slice(suffix);
            return Self::Inline { len: suffix.len() as u8, bytes };
        }
        let mut record = smallvec::SmallVec::<[u8; 256]>::with_capacity(LEN_FIELD + suffix.len());
        record.extend_from_slice(&(suffix.len() as u32).to_le_bytes());
        record.extend_from_slice(suffix);
        Self::Block(arena.store(&record))
    }

    fn bytes<'a>(&'a self, arena: &'a Arena) -> &'a [u8] {
        match self {
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Self::Block(at) => {
                let block = arena.bytes(*at);
                &block[LEN_FIELD..LEN_FIELD + read_u32(block) as usize]
            }
        }
    }

    fn release(self, arena: &mut Arena) {
        if let Self::Block(at) = self {
            let len = LEN_FIELD + read_u32(arena.bytes(at)) as usize;
            arena.release(at, len);
        }
    }
}

/// Bytes of arena that a suffix takes up.
pub(super) fn suffix_block_len(suffix: &[u8]) -> usize {
    if suffix.len() <= INLINE { 0 } else { Arena::block_len(LEN_FIELD + suffix.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_costs_eight_bytes_over_its_value() {
        assert_eq!(size_of::<Slot<u64>>(), 16);
        assert_eq!(size_of::<Slot<[u64; 2]>>(), 24);
        assert_eq!(size_of::<Slot<()>>(), 8);
    }

    #[test]
    fn suffixes_survive_the_change_between_slot_and_arena() {
        let mut arena = Arena::default();
        let mut leaves = Leaves::default();
        let id = leaves.insert(&mut arena, b"123456", 1u64);
        assert_eq!(leaves.suffix(&arena, id), b"123456");
        assert_eq!(arena.live_bytes(), 0);
        leaves.set_suffix(&mut arena, id, b"1234567");
        assert_eq!(leaves.suffix(&arena, id), b"1234567");
        assert!(arena.live_bytes() > 0);
        assert_eq!(leaves.remove(&mut arena, id), 1);
        assert_eq!(arena.live_bytes(), 0);
        assert_eq!(leaves.insert(&mut arena, b"", 2), id);
    }
}
