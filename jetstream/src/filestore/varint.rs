//! Variable-length integers as the store's files hold them (spec 06, section 1).

/// Appends an unsigned LEB128 number.
pub fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number in zigzag form.
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Takes an unsigned number off the front; `None` when it is cut or longer than 64 bits.
pub fn take_uvarint(data: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (position, &byte) in data.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if position == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * position);
        if byte & 0x80 == 0 {
            *data = data.get(position + 1..)?;
            return Some(value);
        }
    }
    None
}

/// Takes a signed number off the front; `None` as for [`take_uvarint`].
pub fn take_varint(data: &mut &[u8]) -> Option<i64> {
    let raw = take_uvarint(data)?;
    Some(((raw >> 1) as i64) ^ -((raw & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_cut_or_overlong_ones_are_refused() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_uvarint(&mut out, value);
            let mut rest = &out[..];
            assert_eq!(take_uvarint(&mut rest), Some(value));
            assert!(rest.is_empty());
            assert_eq!(take_uvarint(&mut &out[..out.len() - 1]), None);
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(take_varint(&mut &out[..]), Some(value));
        }
        assert_eq!(take_uvarint(&mut &[0xff; 11][..]), None);
        assert_eq!(take_uvarint(&mut &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"[..]), None);
    }
}
