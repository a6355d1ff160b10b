//! The binary form of a sequence set (spec 06 §9.1).
//!
//! ```text
//! u8 22 | u8 version | u32 nodes | u32 elements
//! per node, in pre-order: u64 base | bitmap | u16 height
//! ```
//! All numbers are little endian. Version 2 has 32 words of bitmap per node, version 1 had 64 and
//! is only read. Readers of version 2 rebuild the tree from the order of the nodes and trust the
//! heights, so what is written here is always a balanced tree.

use super::chunk::{Bitmap, Chunk, SPAN, WORDS};
use super::{SequenceSet, split};
use std::fmt;

/// First byte of an encoded set.
pub(crate) const MAGIC: u8 = 22;
const VERSION: u8 = 2;
const HEADER_LEN: usize = 10;
const NODE_LEN: usize = 8 + WORDS * 8 + 2;
const WORDS_V1: usize = 64;
const NODE_LEN_V1: usize = 8 + WORDS_V1 * 8 + 2;

/// Why bytes are not an encoded set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SequenceSetError {
    /// Too short, not starting like one, or impossible.
    BadEncoding,
    /// Of an unknown version.
    BadVersion,
}

impl fmt::Display for SequenceSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SequenceSetError::BadEncoding => "ss: bad encoding",
            SequenceSetError::BadVersion => "ss: bad version",
        })
    }
}

impl std::error::Error for SequenceSetError {}

impl SequenceSet {
    /// How many bytes [`SequenceSet::encode_into`] appends.
    pub fn encoded_len(&self) -> usize {
        HEADER_LEN + self.nodes() * NODE_LEN
    }

    /// Appends the encoding of the set, version 2.
    ///
    /// The count is 32 bits wide in this format and saturates.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        out.extend_from_slice(&[MAGIC, VERSION]);
        out.extend_from_slice(&saturating_u32(self.nodes() as u64).to_le_bytes());
        out.extend_from_slice(&saturating_u32(self.len).to_le_bytes());
        let nodes: Vec<(u64, &Chunk)> =
            self.chunks.iter().map(|(key, chunk)| (key * SPAN, chunk)).collect();
        encode_subtree(&nodes, out);
    }

    /// Reads a set from the front of `bytes`; also returns how many bytes it took.
    pub fn decode(bytes: &[u8]) -> Result<(SequenceSet, usize), SequenceSetError> {
        let (header, rest) =
            bytes.split_first_chunk::<HEADER_LEN>().ok_or(SequenceSetError::BadEncoding)?;
        let [magic, version, n0, n1, n2, n3, c0, c1, c2, c3] = *header;
        if magic != MAGIC {
            return Err(SequenceSetError::BadEncoding);
        }
        let nodes = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
        let count = u32::from_le_bytes([c0, c1, c2, c3]);
        match version {
            1 => {
                let set = decode_nodes::<WORDS_V1>(rest, nodes)?;
                if set.len != u64::from(count) {
                    return Err(SequenceSetError::BadEncoding);
                }
                Ok((set, HEADER_LEN + nodes * NODE_LEN_V1))
            }
            2 => Ok((decode_nodes::<WORDS>(rest, nodes)?, HEADER_LEN + nodes * NODE_LEN)),
            _ => Err(SequenceSetError::BadVersion),
        }
    }
}

fn saturating_u32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The height of the tree [`encode_subtree`] makes of so many nodes: halving leaves both sides
/// within one node of each other.
fn height(nodes: usize) -> u16 {
    (usize::BITS - nodes.leading_zeros()) as u16
}

/// Writes the middle node, then the halves before and after it. The depth of the recursion is the
/// height of the tree.
fn encode_subtree(nodes: &[(u64, &Chunk)], out: &mut Vec<u8>) {
    let (left, rest) = nodes.split_at(nodes.len() / 2);
    let Some(((base, chunk), right)) = rest.split_first() else { return };
    out.extend_from_slice(&base.to_le_bytes());
    for word in chunk.to_bits() {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&height(nodes.len()).to_le_bytes());
    encode_subtree(left, out);
    encode_subtree(right, out);
}

/// Reads `nodes` nodes of `N` words of bitmap each.
fn decode_nodes<const N: usize>(
    bytes: &[u8],
    nodes: usize,
) -> Result<SequenceSet, SequenceSetError> {
    let node_len = 8 + N * 8 + 2;
    if nodes > bytes.len() / node_len {
        return Err(SequenceSetError::BadEncoding);
    }
    let mut set = SequenceSet::new();
    for node in bytes.chunks_exact(node_len).take(nodes) {
        let mut words = node
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
        let base = words.next().unwrap_or(0);
        for part in 0..(N / WORDS) as u64 {
            let mut bits: Bitmap = [0; WORDS];
            bits.iter_mut().zip(words.by_ref()).for_each(|(bit, word)| *bit = word);
            let base = base.checked_add(part * SPAN).ok_or(SequenceSetError::BadEncoding)?;
            set.add_node(base, &bits)?;
        }
    }
    Ok(set)
}

impl SequenceSet {
    /// Adds a decoded bitmap that starts at any base.
    fn add_node(&mut self, base: u64, bits: &Bitmap) -> Result<(), SequenceSetError> {
        let chunk = Chunk::from_bits(bits);
        let (Some(_), Some(last)) = (chunk.first(), chunk.last()) else { return Ok(()) };
        base.checked_add(u64::from(last)).ok_or(SequenceSetError::BadEncoding)?;
        let (key, shift) = split(base);
        if shift == 0 && !self.chunks.contains_key(&key) {
            self.len += u64::from(chunk.count());
            self.chunks.insert(key, chunk);
            return Ok(());
        }
        for offset in chunk.iter() {
            self.insert(base + u64::from(offset));
        }
        Ok(())
    }
}
