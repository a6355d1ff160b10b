//! Counts of measurements by size, without a lock: one thread measures, any thread reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// Classes of a histogram, besides the one for everything larger.
pub const CLASSES: usize = 12;

/// Counts values in classes of which each reaches four times as far as the one before.
#[derive(Debug)]
pub struct Histogram {
    first: u64,
    counts: [AtomicU64; CLASSES + 1],
    sum: AtomicU64,
}

/// What a histogram held at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The upper end of each class, and how many values were not above it.
    pub classes: Vec<(u64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl Histogram {
    /// An empty histogram whose first class ends at `first`.
    pub const fn new(first: u64) -> Histogram {
        Histogram {
            first,
            counts: [const { AtomicU64::new(0) }; CLASSES + 1],
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a value.
    pub fn note(&self, value: u64) {
        let mut class = 0;
        let mut end = self.first;
        while class < CLASSES && value > end {
            end = end.saturating_mul(4);
            class += 1;
        }
        if let Some(count) = self.counts.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What it holds now.
    pub fn snapshot(&self) -> Snapshot {
        let mut classes = Vec::with_capacity(CLASSES);
        let (mut end, mut count) = (self.first, 0_u64);
        for (at, n) in self.counts.iter().enumerate() {
            count = count.saturating_add(n.load(Ordering::Relaxed));
            if at < CLASSES {
                classes.push((end, count));
                end = end.saturating_mul(4);
            }
        }
        Snapshot { classes, count, sum: self.sum.load(Ordering::Relaxed) }
    }
}

impl Snapshot {
    /// Both together; they have the same classes.
    pub fn add(&mut self, other: &Snapshot) {
        for ((_, count), (_, more)) in self.classes.iter_mut().zip(&other.classes) {
            *count = count.saturating_add(*more);
        }
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_count_in_their_class_and_all_above() {
        let histogram = Histogram::new(10);
        for value in [0, 10, 11, 40, 41, u64::MAX / 8] {
            histogram.note(value);
        }
        let mut snapshot = histogram.snapshot();
        assert_eq!(snapshot.classes[..4], [(10, 2), (40, 4), (160, 5), (640, 5)]);
        assert_eq!(snapshot.classes.len(), CLASSES);
        assert_eq!(snapshot.count, 6);
        let other = snapshot.clone();
        snapshot.add(&other);
        assert_eq!((snapshot.classes[1], snapshot.count), ((40, 8), 12));
    }
}
