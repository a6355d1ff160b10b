//! A byte arena for the variable-sized records of one subject tree.
//!
//! Blocks are runs of [`GRANULE`]-byte granules in chunks of [`CHUNK_BYTES`]. A freed block goes to
//! the free list of its size and is handed out again for that size only, so the arena never moves a
//! block on its own. A reference is 31 bits wide: the top bit is left to the caller as a tag.
//!
//! Invariants: every block lies within one chunk; a block on a free list holds the reference of the
//! next free block of its size in its first four bytes; a block larger than a chunk has a chunk of
//! its own, whose number is recycled when the block is freed.

/// Block sizes are multiples of this many bytes, which is also what a free-list link needs.
const GRANULE: usize = 4;
/// Bits of a reference that number the granule within its chunk.
const OFFSET_BITS: u32 = 15;
const CHUNK_GRANULES: usize = 1 << OFFSET_BITS;
/// Only the first chunk starts smaller than this, so that a tree of a few subjects stays small.
const CHUNK_BYTES: usize = CHUNK_GRANULES * GRANULE;
/// Chunks addressable by a 31-bit reference (8 GiB of blocks).
const MAX_CHUNKS: usize = 1 << (31 - OFFSET_BITS);
const END_OF_LIST: u32 = u32::MAX;

/// The address of a block. The top bit is always clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockRef(pub(super) u32);

impl BlockRef {
    fn new(chunk: usize, granule: usize) -> Self {
        debug_assert!(chunk < MAX_CHUNKS && granule < CHUNK_GRANULES);
        Self((chunk as u32) << OFFSET_BITS | granule as u32)
    }

    fn chunk(self) -> usize {
        (self.0 >> OFFSET_BITS) as usize
    }

    fn byte(self) -> usize {
        (self.0 as usize & (CHUNK_GRANULES - 1)) * GRANULE
    }
}

#[derive(Debug, Default)]
pub(super) struct Arena {
    chunks: Vec<Vec<u8>>,
    /// The chunk that new blocks are cut from, once there is one.
    current: Option<usize>,
    /// Heads of the free lists, by block size in granules.
    free: Vec<u32>,
    /// Numbers of chunks whose single oversized block was freed.
    vacant: Vec<usize>,
    /// Bytes of the blocks in use, rounded up to granules.
    live_bytes: usize,
}

impl Arena {
    /// The block at `at` and whatever follows it in its chunk; the record knows its own length.
    pub(super) fn bytes(&self, at: BlockRef) -> &[u8] {
        &self.chunks[at.chunk()][at.byte()..]
    }

    pub(super) fn bytes_mut(&mut self, at: BlockRef) -> &mut [u8] {
        &mut self.chunks[at.chunk()][at.byte()..]
    }

    /// Stores a copy of `record` in a new block.
    pub(super) fn store(&mut self, record: &[u8]) -> BlockRef {
        let at = self.allocate(record.len());
        self.bytes_mut(at)[..record.len()].copy_from_slice(record);
        at
    }

    /// Replaces the record of `old_len` bytes at `at`, keeping its place where the size allows it.
    pub(super) fn replace(&mut self, at: BlockRef, old_len: usize, record: &[u8]) -> BlockRef {
        if granules(old_len) == granules(record.len()) {
            self.bytes_mut(at)[..record.len()].copy_from_slice(record);
            return at;
        }
        self.release(at, old_len);
        self.store(record)
    }

    /// Frees the block at `at`, which was made for a record of `len` bytes.
    pub(super) fn release(&mut self, at: BlockRef, len: usize) {
        let size = granules(len);
        self.live_bytes -= size * GRANULE;
        if size > CHUNK_GRANULES {
            self.chunks[at.chunk()] = Vec::new();
            self.vacant.push(at.chunk());
        } else {
            self.push_free(at, size);
        }
    }

    /// The size of the block for a record of `len` bytes.
    pub(super) fn block_len(len: usize) -> usize {
        granules(len) * GRANULE
    }

    /// Bytes of the blocks in use.
    pub(super) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Bytes of heap memory held, whether in use or free.
    pub(super) fn heap_bytes(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum::<usize>()
            + self.chunks.capacity() * size_of::<Vec<u8>>()
            + self.free.capacity() * size_of::<u32>()
            + self.vacant.capacity() * size_of::<usize>()
    }

    fn allocate(&mut self, len: usize) -> BlockRef {
        let size = granules(len);
        self.live_bytes += size * GRANULE;
        if size > CHUNK_GRANULES {
            let chunk = self.vacant.pop().unwrap_or_else(|| self.add_chunk(0));
            self.chunks[chunk] = vec![0; size * GRANULE];
            return BlockRef::new(chunk, 0);
        }
        match self.free.get(size) {
            Some(&head) if head != END_OF_LIST => {
                let at = BlockRef(head);
                let next = read_u32(self.bytes(at));
                self.free[size] = next;
                at
            }
            _ => self.cut(size),
        }
    }

    /// Cuts a block off the end of the current chunk, or of a new one when it does not fit there.
    fn cut(&mut self, size: usize) -> BlockRef {
        let chunk = match self.current {
            Some(chunk) if self.chunks[chunk].len() + size * GRANULE <= CHUNK_BYTES => chunk,
            Some(full) => {
                self.recycle_tail(full);
                self.start_chunk(CHUNK_BYTES)
            }
            None => self.start_chunk(0),
        };
        let bytes = &mut self.chunks[chunk];
        let start = bytes.len();
        let end = start + size * GRANULE;
        if end > bytes.capacity() {
            let wanted = (bytes.capacity() * 2).clamp(end, CHUNK_BYTES.max(end));
            bytes.reserve_exact(wanted - start);
        }
        bytes.resize(end, 0);
        BlockRef::new(chunk, start / GRANULE)
    }

    fn start_chunk(&mut self, capacity: usize) -> usize {
        let chunk = self.add_chunk(capacity);
        self.current = Some(chunk);
        chunk
    }

    fn add_chunk(&mut self, capacity: usize) -> usize {
        assert!(self.chunks.len() < MAX_CHUNKS, "a subject tree is limited to 8 GiB of nodes");
        self.chunks.push(Vec::with_capacity(capacity));
        self.chunks.len() - 1
    }

    /// Makes the unused end of a chunk that is left behind available to smaller blocks.
    fn recycle_tail(&mut self, chunk: usize) {
        let start = self.chunks[chunk].len();
        let size = (CHUNK_BYTES - start) / GRANULE;
        if size > 0 {
            self.chunks[chunk].resize(CHUNK_BYTES, 0);
            self.push_free(BlockRef::new(chunk, start / GRANULE), size);
        }
    }

    fn push_free(&mut self, at: BlockRef, size: usize) {
        if self.free.len() <= size {
            self.free.resize(size + 1, END_OF_LIST);
        }
        let next = std::mem::replace(&mut self.free[size], at.0);
        self.bytes_mut(at)[..GRANULE].copy_from_slice(&next.to_le_bytes());
    }
}

fn granules(len: usize) -> usize {
    len.div_ceil(GRANULE).max(1)
}

/// Reads the little-endian number at the start of `bytes`, which must hold at least four.
pub(super) fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_blocks_are_reused_for_the_same_size() {
        let mut arena = Arena::default();
        let first = arena.store(b"12345");
        let second = arena.store(b"1234567");
        arena.release(first, 5);
        assert_eq!(arena.live_bytes(), 8);
        let third = arena.store(b"abcdefgh");
        assert_eq!(third, first);
        assert_eq!(&arena.bytes(third)[..8], b"abcdefgh");
        assert_eq!(&arena.bytes(second)[..7], b"1234567");
    }

    #[test]
    fn replacing_within_a_granule_keeps_the_place() {
        let mut arena = Arena::default();
        let at = arena.store(b"12345");
        assert_eq!(arena.replace(at, 5, b"1234567"), at);
        let moved = arena.replace(at, 7, b"123456789");
        assert_ne!(moved, at);
        assert_eq!(&arena.bytes(moved)[..9], b"123456789");
    }

    #[test]
    fn blocks_larger_than_a_chunk_get_and_return_their_own() {
        let mut arena = Arena::default();
        let small = arena.store(b"small");
        let record = vec![7u8; CHUNK_BYTES + 1];
        let large = arena.store(&record);
        assert_eq!(&arena.bytes(large)[..record.len()], &record[..]);
        arena.release(large, record.len());
        assert!(arena.heap_bytes() < CHUNK_BYTES);
        assert_eq!(arena.store(&record), large);
        assert_eq!(&arena.bytes(small)[..5], b"small");
    }

    #[test]
    fn the_tail_of_a_full_chunk_is_not_lost() {
        let mut arena = Arena::default();
        let record = vec![1u8; CHUNK_BYTES - 8];
        arena.store(&record);
        let next = arena.store(&record);
        assert_eq!(next.chunk(), 1);
        let tail = arena.store(b"12345678");
        assert_eq!(tail.chunk(), 0);
        assert_eq!(&arena.bytes(tail)[..8], b"12345678");
    }
}
