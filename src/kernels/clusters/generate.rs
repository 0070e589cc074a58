//! Random clusters, the same ones as a well-known notebook's.

use super::{Clusters, PointsError};

/// Makes `n` random clusters of 1 to `max_size` - 1 points in three dimensions.
///
/// Each cluster has three means, whole numbers from 1 to 9, three standard deviations, 1 or 2, and normally
/// distributed points. The stream of numbers is that of NumPy's `RandomState(seed)` (MT19937, `randint` by
/// masks, normals by the polar method) as the notebook "Accelerating Python for Scientific Computing" (2018)
/// draws it, so clusters are those of the notebook.
///
/// | data | left | right | points |
/// |---|---|---|---|
/// | small | `generate(50, 35, 1)` | `generate(30, 23, 2)` | 1,090 |
/// | big | `generate(400, 200, 1)` | `generate(200, 450, 2)` | 83,219 |
///
/// # Examples
///
/// ```
/// use scipar::kernels::clusters::generate;
///
/// let (left, right) = (generate(400, 200, 1)?, generate(200, 450, 2)?);
/// assert_eq!(left.num_points() + right.num_points(), 83_219);
/// # Ok::<(), scipar::kernels::clusters::PointsError>(())
/// ```
///
/// # Ordering and determinism
///
/// Exact: the same numbers on every call. `ln` is the system's, so another platform may differ in the last
/// bits of a coordinate.
///
/// # Errors
///
/// [`PointsError::Generator`] for no clusters, or a `max_size` below 2, which leaves no size.
pub fn generate(n: usize, max_size: u32, seed: u32) -> Result<Clusters, PointsError> {
    let refused = |name, found, expected| {
        Err(PointsError::Generator {
            name,
            found,
            expected,
        })
    };
    if n == 0 {
        return refused("n", 0, "at least 1 cluster");
    }
    if max_size < 2 {
        return refused(
            "max_size",
            max_size.into(),
            "at least 2: sizes are below it",
        );
    }
    let mut random = Random::new(seed);
    // All sizes are drawn before the first point.
    let mut offsets = vec![0];
    for cluster in 0..n {
        offsets.push(offsets[cluster] + random.below(1, max_size) as usize);
    }
    let mut points = Vec::with_capacity(3 * offsets[n]);
    for ends in offsets.windows(2) {
        let mean: [u32; 3] = std::array::from_fn(|_| random.below(1, 10));
        let deviation: [u32; 3] = std::array::from_fn(|_| random.below(1, 3));
        for _ in ends[0]..ends[1] {
            for (mean, deviation) in mean.into_iter().zip(deviation) {
                points.push(f64::from(mean) + f64::from(deviation) * random.normal());
            }
        }
    }
    Clusters::checked("generated".to_owned(), points, 3, offsets)
}

const WORDS: usize = 624;
/// Words between one that is renewed and the one mixed into it.
const SHIFT: usize = 397;

/// Mersenne Twister MT19937 (Matsumoto, Nishimura 1998), seeded by a single word, with NumPy's ways of making
/// whole and normal numbers of it.
struct Random {
    state: [u32; WORDS],
    /// The next word; `WORDS` when all have been used.
    next: usize,
    /// The second of a pair of normal numbers.
    spare: Option<f64>,
}

impl Random {
    fn new(seed: u32) -> Self {
        let mut state = [seed; WORDS];
        for i in 1..WORDS {
            let before = state[i - 1];
            let mixed = (before ^ (before >> 30)).wrapping_mul(1_812_433_253);
            state[i] = mixed.wrapping_add(i as u32);
        }
        Random {
            state,
            next: WORDS,
            spare: None,
        }
    }

    fn renew(&mut self) {
        for i in 0..WORDS {
            let joined =
                (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % WORDS] & 0x7fff_ffff);
            let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + SHIFT) % WORDS] ^ (joined >> 1) ^ twist;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.renew();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A whole number from `low` to `high` - 1; draws nothing where there is one only.
    fn below(&mut self, low: u32, high: u32) -> u32 {
        let most = high - low - 1;
        if most == 0 {
            return low;
        }
        let mask = u32::MAX >> most.leading_zeros();
        loop {
            let value = self.word() & mask;
            if value <= most {
                return low + value;
            }
        }
    }

    /// Uniform in [0, 1), with 53 bits.
    fn uniform(&mut self) -> f64 {
        let (high, low) = (self.word() >> 5, self.word() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// A standard normal number: Marsaglia's polar method, the second of a pair first.
    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let x1 = 2.0 * self.uniform() - 1.0;
            let x2 = 2.0 * self.uniform() - 1.0;
            let r2 = x1 * x1 + x2 * x2;
            if r2 < 1.0 && r2 != 0.0 {
                let f = (-2.0 * r2.ln() / r2).sqrt();
                self.spare = Some(f * x1);
                return f * x2;
            }
        }
    }
}
