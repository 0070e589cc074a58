//! What is known of a call site: the cost of its items and how its wake-ups went.

use std::sync::atomic::{AtomicU64, Ordering};

/// What earlier calls from one place showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Experience {
    /// Nanoseconds per unit of work; 0 where unknown.
    pub(crate) cost: f32,
    /// Calls in a row, up to 63, that were too short to be worth a clock reading.
    pub(crate) short_calls: u8,
    /// Wake-ups, less successes, that made a call slower than alone; up to 15.
    pub(crate) losses: u8,
    /// Above 0 where calls have cost now little and now much: what the last ones cost says nothing
    /// of the next one. Up to 63.
    pub(crate) erratic: u8,
}

/// A call that costs so many times more per item than those before it makes a site erratic.
const LEAP: f64 = 16.0;

impl Experience {
    pub(crate) const NONE: Experience = Experience {
        cost: 0.0,
        short_calls: 0,
        losses: 0,
        erratic: 0,
    };

    /// The same experience with units of `factor` items.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self {
            cost: (f64::from(self.cost) * factor) as f32,
            ..self
        }
    }

    /// Nanoseconds per unit, as far as earlier calls tell it.
    pub(crate) fn cost(self) -> Option<f64> {
        (self.cost > 0.0 && !self.is_erratic()).then_some(f64::from(self.cost))
    }

    /// Whether calls are known to be short, so that most need no look at the clock.
    pub(crate) fn is_short(self) -> bool {
        self.short_calls >= 8
    }

    /// Whether each call has to be looked at as if it were the first.
    pub(crate) fn is_erratic(self) -> bool {
        self.erratic > 0
    }

    /// Forgets a little of what has made the site erratic.
    pub(crate) fn calm(&mut self) {
        self.erratic = self.erratic.saturating_sub(1);
    }

    /// How much more careful than usual the next decision has to be.
    pub(crate) fn care(self) -> f64 {
        1.0 + f64::from(self.losses) * 0.5
    }

    /// Adds what a call showed.
    pub(crate) fn learn(&mut self, cost: f64, short: bool) {
        // Dearer at once, cheaper by and by: taking dear items for cheap ones costs far more than the reverse.
        let old = f64::from(self.cost);
        if old > 0.0 && cost > LEAP * old {
            self.erratic = 63;
        }
        self.cost = if cost >= old {
            cost
        } else {
            0.75 * old + 0.25 * cost
        } as f32;
        self.short_calls = if short {
            (self.short_calls + 1).min(63)
        } else {
            0
        };
    }

    /// Adds whether waking helpers paid.
    pub(crate) fn judge(&mut self, paid: bool) {
        self.losses = if paid {
            self.losses.saturating_sub(1)
        } else {
            (self.losses + 1).min(15)
        };
    }

    /// Layout: cost 32 bits, tag 16 bits, short calls 6, erratic 6, losses 4.
    fn pack(self, tag: u16) -> u64 {
        (u64::from(self.cost.to_bits()) << 32)
            | (u64::from(tag) << 16)
            | (u64::from(self.short_calls) << 10)
            | (u64::from(self.erratic) << 4)
            | u64::from(self.losses)
    }

    fn unpack(word: u64) -> Self {
        Self {
            cost: f32::from_bits((word >> 32) as u32),
            short_calls: (word >> 10) as u8 & 63,
            erratic: (word >> 4) as u8 & 63,
            losses: word as u8 & 15,
        }
    }
}

const SITES: usize = 256;

/// A pool's memory of its call sites. A site is the address of a function compiled for one closure
/// type; two sites that collide forget each other, which costs a probe and nothing else.
#[derive(Debug)]
pub(crate) struct Sites([AtomicU64; SITES]);

/// A place in the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    slot: usize,
    tag: u16,
}

impl Sites {
    pub(crate) fn new() -> Self {
        Self([const { AtomicU64::new(0) }; SITES])
    }

    #[inline]
    pub(crate) fn key(address: usize) -> Key {
        // Fibonacci hashing: the high bits of the product depend on all bits of the address.
        let hash = (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Key {
            slot: (hash >> 56) as usize,
            tag: (hash >> 40) as u16 | 1,
        }
    }

    #[inline]
    pub(crate) fn recall(&self, key: Key) -> Experience {
        let word = self.0[key.slot % SITES].load(Ordering::Relaxed);
        if (word >> 16) as u16 == key.tag {
            Experience::unpack(word)
        } else {
            Experience::NONE
        }
    }

    #[inline]
    pub(crate) fn note(&self, key: Key, experience: Experience) {
        self.0[key.slot % SITES].store(experience.pack(key.tag), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_experience_comes_back_as_it_was() {
        let sites = Sites::new();
        let key = Sites::key(0x1234_5678);
        assert_eq!(sites.recall(key), Experience::NONE);
        for (short_calls, losses, erratic) in [(0, 0, 63), (63, 0, 0), (0, 15, 0), (41, 9, 22)] {
            let experience = Experience {
                cost: 17.5,
                short_calls,
                losses,
                erratic,
            };
            sites.note(key, experience);
            assert_eq!(sites.recall(key), experience);
        }
    }

    #[test]
    fn a_site_is_erratic_for_a_while_after_a_leap() {
        let mut site = Experience::NONE;
        site.learn(1.0, true);
        site.learn(LEAP, true);
        assert!(!site.is_erratic());
        site.learn(LEAP * LEAP + 1.0, false);
        assert!(site.is_erratic());
        assert_eq!(site.cost(), None);
        for _ in 0..63 {
            site.calm();
        }
        assert!(site.cost().is_some());
    }
}
