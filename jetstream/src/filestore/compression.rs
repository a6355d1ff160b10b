//! S2 streams and the compressed form of message blocks (spec 06, section 5.6).
//!
//! A stream is an identifier and chunks of at most 1 MiB uncompressed, each with a masked CRC-32C
//! of its content. Compressed blocks put `cmp`, the algorithm and the original length before such
//! a stream, and the original's last eight bytes verbatim behind it, so that a file always ends
//! with the checksum of its last record.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use crate::varint::{put_uvarint, take_uvarint};

const STREAM_IDENTIFIER: &[u8; 10] = b"\xff\x06\x00\x00S2sTwO";
const SNAPPY_IDENTIFIER: &[u8; 6] = b"sNaPpY";
const S2_IDENTIFIER: &[u8; 6] = b"S2sTwO";
/// Uncompressed bytes per chunk when writing.
const CHUNK: usize = 1 << 20;
/// Uncompressed bytes per chunk that are accepted when reading.
const MAX_CHUNK: usize = 4 << 20;
const MAX_SNAPPY_CHUNK: usize = 64 << 10;
/// A compressed chunk may be a little longer than what it holds.
const MAX_CHUNK_BODY: usize = MAX_CHUNK + MAX_CHUNK / 6 + 32 + 4;

const BLOCK_MAGIC: &[u8; 3] = b"cmp";
const ALGORITHM_NONE: u8 = 0;
const ALGORITHM_S2: u8 = 1;
const TRAILER: usize = 8;

/// Why data could not be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionError {
    /// The original length is missing or overlong.
    MetadataIncomplete,
    /// An algorithm byte other than none and S2.
    UnknownAlgorithm,
    /// Fewer than eight bytes to compress.
    UncompressedTooShort,
    /// Fewer than eight bytes to decompress.
    CompressedTooShort,
    /// The stream's framing or content is damaged.
    Corrupt,
    /// The content is not as long as it was said to be.
    LengthMismatch,
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CompressionError::MetadataIncomplete => "metadata incomplete",
            CompressionError::UnknownAlgorithm => "compression algorithm not known",
            CompressionError::UncompressedTooShort => "uncompressed buffer is too short",
            CompressionError::CompressedTooShort => "compressed buffer is too short",
            CompressionError::Corrupt => "s2: corrupt input",
            CompressionError::LengthMismatch => "s2: unexpected length",
        })
    }
}

impl std::error::Error for CompressionError {}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Writes an S2 stream piece by piece.
#[derive(Debug, Default)]
pub struct StreamEncoder {
    started: bool,
    pending: Vec<u8>,
}

impl StreamEncoder {
    /// Adds content; what is ready is appended to `out`.
    pub fn write(&mut self, mut data: &[u8], out: &mut Vec<u8>) {
        while !data.is_empty() {
            let room = CHUNK - self.pending.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.pending.extend_from_slice(now);
            data = later;
            if self.pending.len() == CHUNK {
                self.flush(out);
            }
        }
    }

    /// Ends the stream.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            out.extend_from_slice(STREAM_IDENTIFIER);
        }
        if self.pending.is_empty() {
            return;
        }
        let crc = masked_crc(&self.pending);
        let compressed = minlz::encode(&self.pending);
        // A chunk that shrinks by less than an eighth is kept raw: reading it is then free.
        let worth = compressed.len() + self.pending.len() / 8 < self.pending.len();
        let (kind, body) = if worth { (0u8, &compressed) } else { (1u8, &self.pending) };
        let len = (body.len() + 4) as u32;
        let [a, b, c, _] = len.to_le_bytes();
        out.extend_from_slice(&[kind, a, b, c]);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(body);
        self.pending.clear();
    }
}

/// Reads an S2 or Snappy stream that arrives in pieces.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    input: BytesMut,
    identified: bool,
    snappy: bool,
}

impl StreamDecoder {
    /// Adds input; [`StreamDecoder::next_chunk`] is to be called until it has nothing more.
    pub fn feed(&mut self, data: &[u8]) {
        self.input.extend_from_slice(data);
    }

    /// The next chunk of content, if it has arrived whole.
    ///
    /// # Errors
    /// [`CompressionError::Corrupt`]; the decoder is of no further use then.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, CompressionError> {
        loop {
            let Some(&[kind, a, b, c]) = self.input.first_chunk::<4>() else { return Ok(None) };
            let len = u32::from_le_bytes([a, b, c, 0]) as usize;
            if !self.identified && kind != 0xff {
                return Err(CompressionError::Corrupt);
            }
            match kind {
                0xff if len != 6 => return Err(CompressionError::Corrupt),
                0x00 | 0x01 if !(4..=MAX_CHUNK_BODY).contains(&len) => {
                    return Err(CompressionError::Corrupt);
                }
                0x02..=0x7f => return Err(CompressionError::Corrupt),
                _ => {}
            }
            let Some(body) = self.input.get(4..4 + len) else { return Ok(None) };
            let chunk = match kind {
                0xff => {
                    self.snappy = body == SNAPPY_IDENTIFIER;
                    if !self.snappy && body != S2_IDENTIFIER {
                        return Err(CompressionError::Corrupt);
                    }
                    self.identified = true;
                    None
                }
                0x00 | 0x01 => Some(self.decode_chunk(kind == 0, body)?),
                _ => None,
            };
            self.input.advance(4 + len);
            if let Some(chunk) = chunk.filter(|chunk| !chunk.is_empty()) {
                return Ok(Some(chunk));
            }
        }
    }

    fn decode_chunk(&self, compressed: bool, body: &[u8]) -> Result<Bytes, CompressionError> {
        let limit = if self.snappy { MAX_SNAPPY_CHUNK } else { MAX_CHUNK };
        let (crc, body) = body.split_first_chunk::<4>().ok_or(CompressionError::Corrupt)?;
        let content = if compressed {
            let (len, _) = minlz::decode_len(body).map_err(|_| CompressionError::Corrupt)?;
            if len > limit {
                return Err(CompressionError::Corrupt);
            }
            let mut content = vec![0; len];
            let got =
                minlz::decode_into(&mut content, body).map_err(|_| CompressionError::Corrupt)?;
            if got != len {
                return Err(CompressionError::Corrupt);
            }
            content
        } else if body.len() > limit {
            return Err(CompressionError::Corrupt);
        } else {
            body.to_vec()
        };
        if masked_crc(&content) != u32::from_le_bytes(*crc) {
            return Err(CompressionError::Corrupt);
        }
        Ok(Bytes::from(content))
    }

    /// Whether all input has been used: an end here is an end between chunks.
    pub fn is_at_boundary(&self) -> bool {
        self.input.is_empty()
    }
}

/// Whether a block's bytes are in the compressed form.
pub fn is_compressed(data: &[u8]) -> bool {
    data.len() >= 5 && data.starts_with(BLOCK_MAGIC)
}

/// The compressed form of a block.
///
/// # Errors
/// [`CompressionError::UncompressedTooShort`].
pub fn compress_block(data: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let (body, trailer) =
        data.split_last_chunk::<TRAILER>().ok_or(CompressionError::UncompressedTooShort)?;
    let mut out = Vec::with_capacity(data.len() / 2 + 64);
    out.extend_from_slice(BLOCK_MAGIC);
    out.push(ALGORITHM_S2);
    put_uvarint(&mut out, data.len() as u64);
    let mut encoder = StreamEncoder::default();
    encoder.write(body, &mut out);
    encoder.finish(&mut out);
    out.extend_from_slice(trailer);
    Ok(out)
}

/// What a damaged compressed block still yields.
#[derive(Debug)]
pub struct Salvaged {
    /// Content up to the damage.
    pub data: Vec<u8>,
    /// What was wrong; `None` when the block is whole.
    pub damage: Option<CompressionError>,
    /// The length the content should have by what the block says, 0 when that is not readable.
    pub stated: u64,
}

/// The original bytes of a block in compressed form, as far as they can be had: chunks before
/// damage are kept. `max_len` bounds what is made of lying lengths.
pub fn decompress_block(data: &[u8], max_len: usize) -> Salvaged {
    let mut rest = data.get(BLOCK_MAGIC.len() + 1..).unwrap_or_default();
    let stated = take_uvarint(&mut rest).unwrap_or(0);
    let mut salvaged = Salvaged { data: Vec::new(), damage: None, stated };
    salvaged.damage = decompress_into(data, max_len, &mut salvaged.data).err();
    salvaged
}

fn decompress_into(data: &[u8], max_len: usize, out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let rest = data.strip_prefix(BLOCK_MAGIC).ok_or(CompressionError::MetadataIncomplete)?;
    let (&algorithm, mut rest) = rest.split_first().ok_or(CompressionError::MetadataIncomplete)?;
    let len = take_uvarint(&mut rest).ok_or(CompressionError::MetadataIncomplete)?;
    let len = usize::try_from(len).map_err(|_| CompressionError::MetadataIncomplete)?;
    match algorithm {
        ALGORITHM_NONE => {
            out.extend_from_slice(rest);
            return if rest.len() == len { Ok(()) } else { Err(CompressionError::LengthMismatch) };
        }
        ALGORITHM_S2 => {}
        _ => return Err(CompressionError::UnknownAlgorithm),
    }
    let (body, trailer) =
        rest.split_last_chunk::<TRAILER>().ok_or(CompressionError::CompressedTooShort)?;
    out.reserve(len.min(max_len).min(data.len().saturating_mul(64)));
    let mut decoder = StreamDecoder::default();
    decoder.feed(body);
    while let Some(chunk) = decoder.next_chunk()? {
        if out.len() + chunk.len() + TRAILER > max_len {
            return Err(CompressionError::LengthMismatch);
        }
        out.extend_from_slice(&chunk);
    }
    if !decoder.is_at_boundary() {
        return Err(CompressionError::Corrupt);
    }
    out.extend_from_slice(trailer);
    if out.len() == len { Ok(()) } else { Err(CompressionError::LengthMismatch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(len: usize) -> Vec<u8> {
        (0..len).map(|i| b"the quick brown fox "[i % 20]).collect()
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut x = 7u64;
        (0..len)
            .map(|_| {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (x >> 56) as u8
            })
            .collect()
    }

    #[test]
    fn blocks_survive_compression() {
        for data in [text(8), text(9), text(3 << 20), noise(70_000), noise(2 << 20)] {
            let packed = compress_block(&data).unwrap();
            assert!(is_compressed(&packed));
            assert_eq!(packed[packed.len() - 8..], data[data.len() - 8..]);
            let unpacked = decompress_block(&packed, data.len());
            assert_eq!(unpacked.damage, None);
            assert_eq!(unpacked.data, data);
        }
        assert_eq!(compress_block(b"1234567"), Err(CompressionError::UncompressedTooShort));
    }

    #[test]
    fn any_flipped_bit_in_a_stream_is_noticed_or_harmless() {
        let data = text(3000);
        let packed = compress_block(&data).unwrap();
        for bit in 0..packed.len() * 8 {
            let mut bad = packed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if !is_compressed(&bad) {
                continue;
            }
            let result = decompress_block(&bad, 1 << 20);
            let in_trailer = bit / 8 >= packed.len() - 8;
            assert!(result.damage.is_some() || in_trailer || result.data == data, "bit {bit}");
        }
        for cut in 5..packed.len() {
            assert!(decompress_block(&packed[..cut], 1 << 20).damage.is_some(), "cut {cut}");
        }
    }

    #[test]
    fn chunks_before_damage_are_kept() {
        let data = noise((1 << 20) + 500);
        let mut packed = compress_block(&data).unwrap();
        let near_end = packed.len() - 100;
        packed[near_end] ^= 1;
        let result = decompress_block(&packed, 2 << 20);
        assert_eq!(result.damage, Some(CompressionError::Corrupt));
        assert_eq!(result.data, data[..1 << 20]);
    }

    #[test]
    fn stream_may_arrive_in_any_pieces() {
        let data = [text(70_000), noise(70_000)].concat();
        let mut packed = Vec::new();
        let mut encoder = StreamEncoder::default();
        for piece in data.chunks(777) {
            encoder.write(piece, &mut packed);
        }
        encoder.finish(&mut packed);
        for size in [1, 3, 1000, packed.len()] {
            let mut decoder = StreamDecoder::default();
            let mut out = Vec::new();
            for piece in packed.chunks(size) {
                decoder.feed(piece);
                while let Some(chunk) = decoder.next_chunk().unwrap() {
                    out.extend_from_slice(&chunk);
                }
            }
            assert!(decoder.is_at_boundary());
            assert_eq!(out, data);
        }
    }

    #[test]
    fn reserved_chunks_are_refused_and_skippable_ones_skipped() {
        let mut stream = STREAM_IDENTIFIER.to_vec();
        stream.extend_from_slice(&[0xfe, 2, 0, 0, 9, 9]);
        let mut raw = vec![1, 7, 0, 0];
        raw.extend_from_slice(&masked_crc(b"abc").to_le_bytes());
        raw.extend_from_slice(b"abc");
        stream.extend_from_slice(&raw);
        let mut decoder = StreamDecoder::default();
        decoder.feed(&stream);
        assert_eq!(decoder.next_chunk().unwrap().as_deref(), Some(&b"abc"[..]));
        decoder.feed(&[0x02, 0, 0, 0]);
        assert_eq!(decoder.next_chunk(), Err(CompressionError::Corrupt));
        let mut unidentified = StreamDecoder::default();
        unidentified.feed(&raw);
        assert_eq!(unidentified.next_chunk(), Err(CompressionError::Corrupt));
    }

    #[test]
    fn metadata_errors_have_their_texts() {
        let overlong = b"cmp\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
        let damage = decompress_block(overlong, 100).damage.unwrap();
        assert_eq!(damage.to_string(), "metadata incomplete");
        let damage = decompress_block(b"cmp\x02\x05rest", 100).damage.unwrap();
        assert_eq!(damage.to_string(), "compression algorithm not known");
        let damage = decompress_block(b"cmp\x01\x05rest", 100).damage.unwrap();
        assert_eq!(damage.to_string(), "compressed buffer is too short");
    }
}
