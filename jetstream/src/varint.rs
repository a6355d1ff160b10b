//! Variable-length integers as the store's files use them (spec 06 §1): seven bits a byte, low
//! group first; signed values in zigzag form.

/// Most bytes a 64-bit value takes.
pub const MAX_LEN: usize = 10;

/// Appends an unsigned value.
pub fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed value.
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// How many bytes [`put_uvarint`] appends.
pub const fn uvarint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Takes an unsigned value off the front of `input`; `None`, with `input` unchanged, when it
/// breaks off or exceeds 64 bits.
pub fn take_uvarint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (index, byte) in input.iter().enumerate().take(MAX_LEN) {
        let bits = u64::from(byte & 0x7f);
        if index == MAX_LEN - 1 && *byte > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            *input = input.get(index + 1..)?;
            return Some(value);
        }
    }
    None
}

/// Takes a signed value off the front of `input`, like [`take_uvarint`].
pub fn take_varint(input: &mut &[u8]) -> Option<i64> {
    let value = take_uvarint(input)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_broken_off_or_too_long_are_refused() {
        for bytes in [&[][..], &[0x80], &[0xff; 9], &[0xff; 11]] {
            let mut input = bytes;
            assert_eq!(take_uvarint(&mut input), None);
            assert_eq!(input, bytes);
        }
        let mut most = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 7][..];
        assert_eq!(take_uvarint(&mut most), Some(u64::MAX));
        assert_eq!(most, [7]);
    }

    proptest! {
        #[test]
        fn values_read_back(unsigned in any::<u64>(), shift in 0_u32..64, signed in any::<i64>()) {
            let (unsigned, signed) = (unsigned >> shift, signed >> shift);
            let mut out = Vec::new();
            put_uvarint(&mut out, unsigned);
            prop_assert_eq!(out.len(), uvarint_len(unsigned));
            put_varint(&mut out, signed);
            let mut input = out.as_slice();
            prop_assert_eq!(take_uvarint(&mut input), Some(unsigned));
            prop_assert_eq!(take_varint(&mut input), Some(signed));
            prop_assert!(input.is_empty());
        }
    }
}
