//! The table of edges of the trie: which node hangs below a parent under a literal token.
//!
//! Open addressing with linear probing over eight-byte slots: a probe, found or not, mostly
//! touches one cache line, which is what a match over many subscriptions pays for. Parent and
//! token are not kept here; the caller compares them in the node whose edge hash is equal.

/// Invariants: the number of slots is a power of two or zero, at most three quarters are
/// taken, and between an edge's home slot and its slot none is free.
#[derive(Debug)]
pub(crate) struct Edges {
    slots: Vec<Slot>,
    len: usize,
}

/// Node zero is the root, which nothing leads to: it marks a free slot.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u32,
    node: u32,
}

const SMALLEST: usize = 8;

/// Below this size a table is not worth shrinking.
const SHRINK_FLOOR: usize = 2048;

impl Edges {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first edge of that hash whose node is the right one.
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.probe(hash)
            .find(|(_, slot)| slot.hash == hash && is_it(slot.node))
            .map(|(_, s)| s.node)
    }

    /// Adds an edge to a node, which is not zero and has no edge yet.
    pub(crate) fn insert(&mut self, hash: u32, node: u32) {
        debug_assert_ne!(node, 0, "the root hangs below nothing");
        if self.len >= self.slots.len() / 4 * 3 {
            self.resize(self.slots.len().saturating_mul(2).max(SMALLEST));
        }
        self.place(Slot { hash, node });
        self.len = self.len.saturating_add(1);
    }

    /// Removes the edge to a node; false when there is none.
    pub(crate) fn remove(&mut self, hash: u32, node: u32) -> bool {
        let Some((mut hole, _)) = self.probe(hash).find(|(_, slot)| slot.node == node) else {
            return false;
        };
        self.len = self.len.saturating_sub(1);
        // Whatever follows without a gap and may stand in the hole moves there, so that no
        // probe ends early.
        let mask = self.mask();
        let mut at = hole;
        loop {
            at = at.wrapping_add(1) & mask;
            let Some(&slot) = self.slots.get(at) else { break };
            if slot.node == 0 {
                break;
            }
            let home = slot.hash as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.set(hole, slot);
                hole = at;
            }
        }
        self.set(hole, Slot::default());
        if self.slots.len() > SHRINK_FLOOR && self.len < self.slots.len() / 8 {
            self.resize(self.slots.len() / 4);
        }
        true
    }

    /// All edges, as hash and node.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.slots.iter().filter(|slot| slot.node != 0).map(|slot| (slot.hash, slot.node))
    }

    /// Panics when an invariant does not hold. For tests and fuzzing.
    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.iter().count(), self.len);
        assert!(self.slots.is_empty() || self.slots.len().is_power_of_two());
        assert!(self.len <= self.slots.len() / 4 * 3);
        for (hash, node) in self.iter() {
            assert_eq!(self.find(hash, |n| n == node), Some(node), "an edge is reachable");
        }
    }

    /// The taken slots from the home of a hash on, up to the next free one. A free slot
    /// always comes: a quarter of them is.
    fn probe(&self, hash: u32) -> impl Iterator<Item = (usize, Slot)> {
        let mask = self.mask();
        let home = hash as usize & mask;
        (0..self.slots.len()).map_while(move |step| {
            let at = home.wrapping_add(step) & mask;
            self.slots.get(at).filter(|slot| slot.node != 0).map(|slot| (at, *slot))
        })
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.mask();
        let mut at = slot.hash as usize & mask;
        while self.slots.get(at).is_some_and(|taken| taken.node != 0) {
            at = at.wrapping_add(1) & mask;
        }
        self.set(at, slot);
    }

    fn set(&mut self, at: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(at) {
            *place = slot;
        }
    }

    fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }

    fn resize(&mut self, slots: usize) {
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); slots]);
        for slot in old.into_iter().filter(|slot| slot.node != 0) {
            self.place(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_survive_colliding_neighbours_coming_and_going() {
        let mut edges = Edges::new();
        // Few different hashes, near the end of the table as well, so that runs wrap around.
        let hash = |node: u32| [0, 1, 6, 7, u32::MAX, u32::MAX - 8][node as usize % 6];
        let mut present = std::collections::BTreeSet::new();
        for step in 1..4000_u32 {
            let node = step.wrapping_mul(2_654_435_761) % 97 + 1;
            if present.remove(&node) {
                assert!(edges.remove(hash(node), node));
                assert!(!edges.remove(hash(node), node));
            } else {
                present.insert(node);
                edges.insert(hash(node), node);
            }
            edges.check_invariants();
            assert_eq!(edges.len(), present.len());
            for node in 1..=97 {
                let found = edges.find(hash(node), |n| n == node).is_some();
                assert_eq!(found, present.contains(&node));
            }
        }
    }

    #[test]
    fn table_grows_and_shrinks_with_its_edges() {
        let mut edges = Edges::new();
        assert_eq!(edges.find(7, |_| true), None);
        let hash = |node: u32| node.wrapping_mul(2_654_435_761);
        (1..=50_000).for_each(|node| edges.insert(hash(node), node));
        edges.check_invariants();
        let large = edges.slots.len();
        (1..=49_990).for_each(|node| assert!(edges.remove(hash(node), node)));
        edges.check_invariants();
        assert!(edges.slots.len() <= SHRINK_FLOOR && large >= 50_000);
        assert_eq!(edges.iter().count(), 10);
    }
}
