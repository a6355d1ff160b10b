//! A hierarchical timer wheel: arming is O(1), the next deadline is found from bitmaps.
//!
//! Owned by one reactor. Entries are never cancelled: whoever is woken looks at its own state and
//! decides whether the deadline still holds (and arms again if it moved). The reactor keeps at most
//! one live entry per connection and timer kind, so the wheel is bounded by the connections.
//!
//! Ticks are milliseconds since the reactor started. Level `n` has 64 slots of `64^n` ticks; a
//! deadline further away than the top level covers is parked in its last slot and re-sorted when
//! that slot comes up.

const LEVELS: usize = 7;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Ticks that the whole wheel spans: 139 years of milliseconds.
const SPAN: u64 = 1 << (SLOT_BITS as u64 * LEVELS as u64);

struct Level<T> {
    occupied: u64,
    slots: [Vec<(u64, T)>; SLOTS],
}

/// A timer wheel over entries of type `T`.
pub struct TimerWheel<T> {
    /// Everything at or before this tick has been expired.
    elapsed: u64,
    levels: [Level<T>; LEVELS],
    len: usize,
}

impl<T> Default for TimerWheel<T> {
    fn default() -> Self {
        TimerWheel::new()
    }
}

impl<T> TimerWheel<T> {
    /// An empty wheel at tick zero.
    pub fn new() -> TimerWheel<T> {
        TimerWheel {
            elapsed: 0,
            levels: std::array::from_fn(|_| Level {
                occupied: 0,
                slots: std::array::from_fn(|_| Vec::new()),
            }),
            len: 0,
        }
    }

    /// Entries armed.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Arms `entry` for `tick`; a tick that has passed comes due at the next one.
    pub fn arm(&mut self, tick: u64, entry: T) {
        self.len += 1;
        self.place(tick.max(self.elapsed + 1), entry);
    }

    fn place(&mut self, tick: u64, entry: T) {
        debug_assert!(tick > self.elapsed);
        // The level is the highest group of six bits in which the tick differs from now: all
        // higher groups agree, so within that level the slot lies ahead.
        let reachable = tick.min(self.elapsed | (SPAN - 1));
        let differs = (reachable ^ self.elapsed) | 1;
        let level = ((63 - differs.leading_zeros()) / SLOT_BITS) as usize;
        let level = level.min(LEVELS - 1);
        let slot = (reachable >> (level as u32 * SLOT_BITS)) as usize & (SLOTS - 1);
        let l = &mut self.levels[level];
        l.occupied |= 1 << slot;
        l.slots[slot].push((tick, entry));
    }

    /// The tick at which [`TimerWheel::expire`] next has work, or nothing if none is armed.
    pub fn next_tick(&self) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        for (n, level) in self.levels.iter().enumerate() {
            let shift = n as u32 * SLOT_BITS;
            let at = (self.elapsed >> shift) as u32 & (SLOTS as u32 - 1);
            // The slots ahead of the current one; the current slot of a level above the lowest was
            // emptied when it was entered.
            let ahead = level.occupied & !((2u64 << at).wrapping_sub(1));
            if ahead != 0 {
                let slot = u64::from(ahead.trailing_zeros());
                let base = (self.elapsed >> shift) & !(SLOTS as u64 - 1);
                return Some((base | slot) << shift);
            }
        }
        // Only entries beyond the span are left: they wait in the wheel's last slot.
        Some((self.elapsed | (SPAN - 1)) + 1)
    }

    /// Moves to `now` and hands every entry that has come due to `due`, in the order of ticks.
    pub fn expire(&mut self, now: u64, mut due: impl FnMut(T)) {
        while let Some(next) = self.next_tick() {
            if next > now {
                break;
            }
            self.elapsed = next;
            // From the top down: a slot that is entered spills into the levels below.
            for n in (0..LEVELS).rev() {
                let shift = n as u32 * SLOT_BITS;
                if n > 0 && next & ((1 << shift) - 1) != 0 {
                    continue;
                }
                let slot = (next >> shift) as usize & (SLOTS - 1);
                let l = &mut self.levels[n];
                if l.occupied & (1 << slot) == 0 {
                    continue;
                }
                l.occupied &= !(1 << slot);
                for (tick, entry) in std::mem::take(&mut l.slots[slot]) {
                    if tick <= next {
                        self.len -= 1;
                        due(entry);
                    } else {
                        self.place(tick, entry);
                    }
                }
            }
        }
        self.elapsed = self.elapsed.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(w: &mut TimerWheel<u64>, now: u64) -> Vec<u64> {
        let mut v = Vec::new();
        w.expire(now, |t| v.push(t));
        v
    }

    #[test]
    fn entries_come_due_at_their_tick_and_not_before() {
        let mut w = TimerWheel::new();
        for t in [1, 5, 63, 64, 65, 4095, 4096, 5000, 300_000, 20_000_000] {
            w.arm(t, t);
        }
        assert_eq!(w.next_tick(), Some(1));
        assert_eq!(drain(&mut w, 4), [1]);
        assert_eq!(drain(&mut w, 62), [5]);
        assert_eq!(drain(&mut w, 64), [63, 64]);
        assert_eq!(drain(&mut w, 4095), [65, 4095]);
        assert_eq!(drain(&mut w, 299_999), [4096, 5000]);
        assert_eq!(drain(&mut w, 300_000), [300_000]);
        assert_eq!(drain(&mut w, 19_999_999), [0u64; 0]);
        assert_eq!(drain(&mut w, 20_000_000), [20_000_000]);
        assert!(w.is_empty());
        assert_eq!(w.next_tick(), None);
    }

    #[test]
    fn past_ticks_come_due_at_the_next_one() {
        let mut w = TimerWheel::new();
        assert_eq!(drain(&mut w, 1000), [0u64; 0]);
        w.arm(3, 3);
        assert_eq!(w.next_tick(), Some(1001));
        assert_eq!(drain(&mut w, 1001), [3]);
    }

    #[test]
    fn matches_a_sorted_list_under_random_operations() {
        // A multiplicative generator: the run is the same every time.
        let mut x = 0x9e37_79b9_7f4a_7c15u64;
        let mut rnd = |n: u64| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (x >> 33) % n
        };
        let mut w = TimerWheel::new();
        let mut model: Vec<u64> = Vec::new();
        let mut now = 0;
        for _ in 0..20_000 {
            match rnd(3) {
                0 | 1 => {
                    let spread = [10, 100, 10_000, 1_000_000, 1 << 37][rnd(5) as usize];
                    let t = now + 1 + rnd(spread);
                    w.arm(t, t);
                    model.push(t);
                }
                _ => {
                    let step = [3, 70, 5_000, 600_000][rnd(4) as usize];
                    now += rnd(step);
                    let mut got = drain(&mut w, now);
                    got.sort_unstable();
                    model.sort_unstable();
                    let n = model.partition_point(|t| *t <= now);
                    let want: Vec<u64> = model.drain(..n).collect();
                    assert_eq!(got, want);
                }
            }
            assert_eq!(w.len(), model.len());
            if let (Some(next), Some(first)) = (w.next_tick(), model.iter().min()) {
                assert!(next <= *first && next > now);
            }
        }
    }
}
