//! Numbers from a seed, which a failing test prints.

use std::hash::{BuildHasher, RandomState};

/// The same numbers from the same seed (xorshift64*).
pub struct Random(u64);

impl Random {
    /// From the seed in an environment variable, else from a fresh one. Says
    /// which, so that a failing run can be made again.
    pub fn seeded_by(variable: &str) -> Self {
        let seed = std::env::var(variable).map_or_else(
            |_| RandomState::new().hash_one(()),
            |seed| seed.parse().unwrap(),
        );
        // Zero would stay zero.
        let seed = seed.max(1);
        println!("{variable}={seed}");
        Self(seed)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    /// A number of its own, to seed others by.
    pub fn next_seed(&mut self) -> Self {
        Self((self.below(1 << 31) << 31 | self.below(1 << 31)).max(1))
    }
}
