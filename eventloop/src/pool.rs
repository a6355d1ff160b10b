//! Pooled buffers: refcounted read blocks and staging buffers, one pool per thread.
//!
//! A *read block* is shared by all connections of a reactor: it is filled, walked and normally free
//! again before the next read. Where a delivery keeps a slice of it, the block stays alive until
//! that slice is written, and the pool hands out another one meanwhile.

use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes that one read can take in: large enough that a busy publisher costs one read(2) and one
/// write(2) per thousand small messages, small enough to stay in a core's second-level cache.
pub const BLOCK_BYTES: usize = 64 * 1024;
/// Blocks a pool keeps while they wait for their slices to be written. Past it they are simply
/// dropped, and freed by whoever drops the last slice.
const BLOCKS_KEPT: usize = 16;
/// Staging buffers start at this capacity.
const STAGING_BYTES: usize = 4 * 1024;
/// Staging buffers a pool keeps; a wide fan-out needs one a destination.
const STAGING_KEPT: usize = 256;
/// Bytes of capacity the kept staging buffers may add up to.
const STAGING_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// A refcounted block of initialised bytes, writable while it is not shared.
pub struct Block(Arc<[u8]>);

struct SharedBlock(Arc<[u8]>);

impl AsRef<[u8]> for SharedBlock {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Block {
    fn new() -> Block {
        Block(Arc::from(vec![0u8; BLOCK_BYTES]))
    }

    /// The whole block for writing, unless a slice of it is still alive.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        Arc::get_mut(&mut self.0)
    }

    /// The whole block.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A handle from which slices are taken; while one lives the block is not written to.
    pub fn share(&self) -> Bytes {
        Bytes::from_owner(SharedBlock(self.0.clone()))
    }
}

/// A thread's free buffers.
#[derive(Default)]
pub struct Pool {
    blocks: VecDeque<Block>,
    staging: Vec<Vec<u8>>,
    staging_bytes: usize,
}

impl Pool {
    /// An empty pool.
    pub fn new() -> Pool {
        Pool::default()
    }

    /// A block that nobody else refers to.
    pub fn block(&mut self) -> Block {
        for _ in 0..self.blocks.len() {
            let Some(mut block) = self.blocks.pop_front() else { break };
            if block.bytes_mut().is_some() {
                return block;
            }
            self.blocks.push_back(block);
        }
        Block::new()
    }

    /// Takes a block back, shared or not.
    pub fn put_block(&mut self, block: Block) {
        if self.blocks.len() < BLOCKS_KEPT {
            self.blocks.push_back(block);
        }
    }

    /// An empty staging buffer.
    pub fn staging(&mut self) -> Vec<u8> {
        match self.staging.pop() {
            Some(b) => {
                self.staging_bytes -= b.capacity();
                b
            }
            None => Vec::with_capacity(STAGING_BYTES),
        }
    }

    /// Takes a staging buffer back.
    pub fn put_staging(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity == 0
            || self.staging.len() >= STAGING_KEPT
            || self.staging_bytes + capacity > STAGING_KEPT_BYTES
        {
            return;
        }
        buffer.clear();
        self.staging_bytes += capacity;
        self.staging.push(buffer);
    }

    /// Frees everything: called when the thread has been idle for a while.
    pub fn trim(&mut self) {
        self.blocks.clear();
        self.staging.clear();
        self.staging_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_with_a_living_slice_is_not_handed_out_again() {
        let mut pool = Pool::new();
        let mut block = pool.block();
        block.bytes_mut().unwrap()[..3].copy_from_slice(b"abc");
        let slice = block.share().slice(0..3);
        pool.put_block(block);
        let mut other = pool.block();
        other.bytes_mut().unwrap()[..3].copy_from_slice(b"xyz");
        assert_eq!(&slice[..], b"abc");
        drop(slice);
        pool.put_block(other);
        // Both are free now, and the first one comes back first.
        assert_eq!(&pool.block().bytes()[..3], b"abc");
    }

    #[test]
    fn staging_buffers_are_reused_empty_and_bounded() {
        let mut pool = Pool::new();
        let mut b = pool.staging();
        b.extend_from_slice(&[1; 10_000]);
        let capacity = b.capacity();
        pool.put_staging(b);
        let b = pool.staging();
        assert!(b.is_empty());
        assert_eq!(b.capacity(), capacity);
        pool.put_staging(Vec::with_capacity(STAGING_KEPT_BYTES + 1));
        assert!(pool.staging.is_empty());
    }
}
