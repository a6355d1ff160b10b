//! The members of one range of 2048 sequences.

/// How many sequences a chunk covers.
pub(super) const SPAN: u64 = 2048;
/// Words of a bitmap.
pub(super) const WORDS: usize = 32;
/// Offsets held without a bitmap; with the count they fill the 16 bytes of a chunk.
const FEW: usize = 6;

/// A bitmap of one range.
pub(super) type Bitmap = [u64; WORDS];

const _: () = assert!(SPAN == WORDS as u64 * 64);

/// Members of one range, as offsets below 2048.
#[derive(Clone)]
pub(super) enum Chunk {
    /// The first `len` of these, ascending.
    Few { len: u8, offsets: [u16; FEW] },
    /// One bit for each; `count` of them set.
    Bits { count: u16, bits: Box<Bitmap> },
    /// All of them.
    Full,
}

impl Default for Chunk {
    fn default() -> Self {
        Chunk::Few { len: 0, offsets: [0; FEW] }
    }
}

fn place(offset: u16) -> (usize, u64) {
    (usize::from(offset / 64), 1 << (offset % 64))
}

/// The bits of word `word` whose offsets lie in `from..=to`.
fn mask(word: usize, from: u16, to: u16) -> u64 {
    let start = word as u16 * 64;
    if to < start || from >= start + 64 {
        return 0;
    }
    let low = from.saturating_sub(start);
    let high = (to - start).min(63);
    (u64::MAX << low) & (u64::MAX >> (63 - high))
}

impl Chunk {
    /// The chunk of a bitmap, in its smallest form.
    pub(super) fn from_bits(bits: &Bitmap) -> Chunk {
        let count: u32 = bits.iter().map(|word| word.count_ones()).sum();
        if count as usize <= FEW {
            let mut chunk = Chunk::default();
            for offset in bit_offsets(bits) {
                chunk.insert(offset);
            }
            chunk
        } else if u64::from(count) == SPAN {
            Chunk::Full
        } else {
            Chunk::Bits { count: count as u16, bits: Box::new(*bits) }
        }
    }

    /// The members as a bitmap.
    pub(super) fn to_bits(&self) -> Bitmap {
        match self {
            Chunk::Few { len, offsets } => {
                let mut bits = [0; WORDS];
                for offset in &offsets[..usize::from(*len)] {
                    let (word, bit) = place(*offset);
                    bits[word] |= bit;
                }
                bits
            }
            Chunk::Bits { bits, .. } => **bits,
            Chunk::Full => [u64::MAX; WORDS],
        }
    }

    pub(super) fn count(&self) -> u32 {
        match self {
            Chunk::Few { len, .. } => u32::from(*len),
            Chunk::Bits { count, .. } => u32::from(*count),
            Chunk::Full => SPAN as u32,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        if matches!(self, Chunk::Bits { .. }) { size_of::<Bitmap>() } else { 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    pub(super) fn contains(&self, offset: u16) -> bool {
        match self {
            Chunk::Few { len, offsets } => offsets[..usize::from(*len)].contains(&offset),
            Chunk::Bits { bits, .. } => {
                let (word, bit) = place(offset);
                bits[word] & bit != 0
            }
            Chunk::Full => true,
        }
    }

    pub(super) fn insert(&mut self, offset: u16) -> bool {
        match self {
            Chunk::Few { len, offsets } => {
                let used = usize::from(*len);
                let at = offsets[..used].partition_point(|other| *other < offset);
                if at < used && offsets[at] == offset {
                    return false;
                }
                if used < FEW {
                    offsets.copy_within(at..used, at + 1);
                    offsets[at] = offset;
                    *len += 1;
                } else {
                    let mut bits = Box::new(self.to_bits());
                    let (word, bit) = place(offset);
                    bits[word] |= bit;
                    *self = Chunk::Bits { count: FEW as u16 + 1, bits };
                }
                true
            }
            Chunk::Bits { count, bits } => {
                let (word, bit) = place(offset);
                if bits[word] & bit != 0 {
                    return false;
                }
                bits[word] |= bit;
                *count += 1;
                if u64::from(*count) == SPAN {
                    *self = Chunk::Full;
                }
                true
            }
            Chunk::Full => false,
        }
    }

    /// Adds `from..=to`; returns how many were new.
    pub(super) fn insert_range(&mut self, from: u16, to: u16) -> u32 {
        let before = self.count();
        if from == 0 && u64::from(to) == SPAN - 1 {
            *self = Chunk::Full;
        } else if !matches!(self, Chunk::Full) {
            let mut bits = self.to_bits();
            for (word, value) in bits.iter_mut().enumerate() {
                *value |= mask(word, from, to);
            }
            *self = Chunk::from_bits(&bits);
        }
        self.count() - before
    }

    pub(super) fn remove(&mut self, offset: u16) -> bool {
        match self {
            Chunk::Few { len, offsets } => {
                let used = usize::from(*len);
                let Some(at) = offsets[..used].iter().position(|other| *other == offset) else {
                    return false;
                };
                offsets.copy_within(at + 1..used, at);
                *len -= 1;
                true
            }
            Chunk::Bits { count, bits } => {
                let (word, bit) = place(offset);
                if bits[word] & bit == 0 {
                    return false;
                }
                bits[word] &= !bit;
                *count -= 1;
                // Well below what fits, so that a set at the border does not flip to and fro.
                if usize::from(*count) <= FEW / 2 {
                    *self = Chunk::from_bits(&self.to_bits());
                }
                true
            }
            Chunk::Full => {
                let mut bits = Box::new([u64::MAX; WORDS]);
                let (word, bit) = place(offset);
                bits[word] &= !bit;
                *self = Chunk::Bits { count: (SPAN - 1) as u16, bits };
                true
            }
        }
    }

    /// Keeps only `from..=to`; returns how many went away.
    pub(super) fn retain(&mut self, from: u16, to: u16) -> u32 {
        let before = self.count();
        if from != 0 || u64::from(to) != SPAN - 1 {
            let mut bits = self.to_bits();
            for (word, value) in bits.iter_mut().enumerate() {
                *value &= mask(word, from, to);
            }
            *self = Chunk::from_bits(&bits);
        }
        before - self.count()
    }

    pub(super) fn union_with(&mut self, other: &Chunk) {
        match (&mut *self, other) {
            (Chunk::Full, _) => {}
            (_, Chunk::Full) => *self = Chunk::Full,
            (_, Chunk::Few { len, offsets }) => {
                for offset in &offsets[..usize::from(*len)] {
                    self.insert(*offset);
                }
            }
            (_, Chunk::Bits { bits: others, .. }) => {
                let mut bits = self.to_bits();
                for (word, other) in bits.iter_mut().zip(others.iter()) {
                    *word |= other;
                }
                *self = Chunk::from_bits(&bits);
            }
        }
    }

    pub(super) fn same_members(&self, other: &Chunk) -> bool {
        self.count() == other.count()
            && match (self, other) {
                (Chunk::Bits { bits, .. }, Chunk::Bits { bits: others, .. }) => bits == others,
                (Chunk::Full, Chunk::Full) => true,
                _ => self.iter().eq(other.iter()),
            }
    }

    pub(super) fn first(&self) -> Option<u16> {
        match self {
            Chunk::Few { len, offsets } => offsets[..usize::from(*len)].first().copied(),
            Chunk::Bits { bits, .. } => {
                let word = bits.iter().position(|word| *word != 0)?;
                Some(word as u16 * 64 + bits[word].trailing_zeros() as u16)
            }
            Chunk::Full => Some(0),
        }
    }

    pub(super) fn last(&self) -> Option<u16> {
        match self {
            Chunk::Few { len, offsets } => offsets[..usize::from(*len)].last().copied(),
            Chunk::Bits { bits, .. } => {
                let word = bits.iter().rposition(|word| *word != 0)?;
                Some(word as u16 * 64 + 63 - bits[word].leading_zeros() as u16)
            }
            Chunk::Full => Some((SPAN - 1) as u16),
        }
    }

    /// The first offset at or after `offset` that is no member.
    pub(super) fn next_absent(&self, offset: u16) -> Option<u16> {
        match self {
            Chunk::Few { .. } => (offset..SPAN as u16).find(|offset| !self.contains(*offset)),
            Chunk::Bits { bits, .. } => {
                let first = usize::from(offset / 64);
                (first..WORDS).find_map(|word| {
                    let absent = !bits[word] & mask(word, offset, (SPAN - 1) as u16);
                    (absent != 0).then(|| word as u16 * 64 + absent.trailing_zeros() as u16)
                })
            }
            Chunk::Full => None,
        }
    }

    /// The members, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let (few, bits, full): (&[u16], Option<&Bitmap>, u16) = match self {
            Chunk::Few { len, offsets } => (&offsets[..usize::from(*len)], None, 0),
            Chunk::Bits { bits, .. } => (&[], Some(bits), 0),
            Chunk::Full => (&[], None, SPAN as u16),
        };
        few.iter().copied().chain(bits.into_iter().flat_map(bit_offsets)).chain(0..full)
    }

    pub(super) fn check_invariants(&self) {
        match self {
            Chunk::Few { len, offsets } => {
                let used = &offsets[..usize::from(*len)];
                assert!(used.windows(2).all(|pair| pair[0] < pair[1]), "offsets ascend");
                assert!(used.iter().all(|offset| u64::from(*offset) < SPAN), "offsets in range");
            }
            Chunk::Bits { count, bits } => {
                let set: u32 = bits.iter().map(|word| word.count_ones()).sum();
                assert_eq!(set, u32::from(*count), "the count is that of the bits");
                assert!(u64::from(set) < SPAN, "a full bitmap is Full");
            }
            Chunk::Full => {}
        }
    }
}

/// The offsets of the bits set in a bitmap, ascending.
fn bit_offsets(bits: &Bitmap) -> impl Iterator<Item = u16> + '_ {
    bits.iter().enumerate().flat_map(|(index, word)| {
        let mut rest = *word;
        std::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let offset = index as u16 * 64 + rest.trailing_zeros() as u16;
            rest &= rest - 1;
            Some(offset)
        })
    })
}
