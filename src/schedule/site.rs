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
}

impl Experience {
    pub(crate) const NONE: Experience = Experience {
        cost: 0.0,
        short_calls: 0,
        losses: 0,
    };

    /// The same experience with units of `factor` items.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self {
            cost: (f64::from(self.cost) * factor) as f32,
            ..self
        }
    }

    pub(crate) fn cost(self) -> Option<f64> {
        (self.cost > 0.0).then_some(f64::from(self.cost))
    }

    /// Whether a call of `predicted` nanoseconds may run without any look at the clock.
    pub(crate) fn is_short(self) -> bool {
        self.short_calls >= 8
    }

    /// How much more careful than usual the next decision has to be.
    pub(crate) fn care(self) -> f64 {
        1.0 + f64::from(self.losses) * 0.5
    }

    /// Adds what a call showed.
    pub(crate) fn learn(&mut self, cost: f64, short: bool) {
        // Dearer at once, cheaper by and by: taking dear items for cheap ones costs far more than the reverse.
        let old = f64::from(self.cost);
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

    /// Layout: cost 32 bits, tag 16 bits, short calls 8, losses 8.
    fn pack(self, tag: u16) -> u64 {
        (u64::from(self.cost.to_bits()) << 32)
            | (u64::from(tag) << 16)
            | (u64::from(self.short_calls) << 8)
            | u64::from(self.losses)
    }

    fn unpack(word: u64) -> Self {
        Self {
            cost: f32::from_bits((word >> 32) as u32),
            short_calls: (word >> 8) as u8,
            losses: word as u8,
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
