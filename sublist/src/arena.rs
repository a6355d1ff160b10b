//! Numbered slots in chunks: growing moves nothing but the list of chunks, so that adding one
//! to millions costs no more than adding one to few, and wastes at most one chunk.

/// Things by number, from zero on. Numbers are given out once and never taken back.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    chunks: Vec<Vec<T>>,
}

/// Items per chunk; a power of two, so that finding one is a shift and a mask.
const CHUNK: usize = 1 << 12;

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        match self.chunks.split_last() {
            Some((last, full)) => full.len().saturating_mul(CHUNK).saturating_add(last.len()),
            None => 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Adds an item; its number is the length before.
    pub(crate) fn push(&mut self, item: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(item),
            // The first chunk grows as it fills: most arenas stay small.
            None => self.chunks.push(vec![item]),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(item);
                self.chunks.push(chunk);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }
}

impl<T> std::ops::Index<u32> for Arena<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        let number = number as usize;
        &self.chunks[number / CHUNK][number % CHUNK]
    }
}

impl<T> std::ops::IndexMut<u32> for Arena<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        let number = number as usize;
        &mut self.chunks[number / CHUNK][number % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_numbers_across_chunks() {
        let mut arena = Arena::new();
        assert!(arena.is_empty());
        for number in 0..10_000_u32 {
            assert_eq!(arena.len(), number as usize);
            arena.push(number);
        }
        arena[CHUNK as u32] += 1;
        for (number, item) in arena.iter().enumerate() {
            assert_eq!(*item as usize, number + usize::from(number == CHUNK));
            assert_eq!(arena[number as u32], *item);
        }
    }
}
