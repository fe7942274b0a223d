//! Python's `random.Random`, for filters that are given a seed: the same numbers come out.
//!
//! Source: Matsumoto and Nishimura, "Mersenne Twister"; Python's `random` on what is made of its output.

use sha2::Digest as _;

use crate::playbook::jinja::value::Value;

const SIZE: usize = 624;
const SHIFT: usize = 397;

/// A generator in the state that a seed gives it.
#[derive(Debug)]
pub struct Mersenne {
    state: [u32; SIZE],
    next: usize,
}

impl Mersenne {
    /// Seeds a generator with text or a whole number.
    ///
    /// # Errors
    ///
    /// The seed is neither.
    pub fn seeded(seed: &Value) -> Result<Self, String> {
        let words = if let Value::Str(text) = seed {
            let digest = sha2::Sha512::digest(text.as_bytes());
            let bytes = [text.as_bytes(), &digest[..]].concat();
            // One large number, its least significant word first.
            let words: Vec<u32> = bytes
                .rchunks(4)
                .map(|word| word.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
                .collect();
            let used = words.iter().rposition(|word| *word != 0).map_or(1, |last| last + 1);
            words[..used].to_vec()
        } else {
            let number =
                seed.as_int().ok_or_else(|| format!("needs text or a number as its seed, got {}", seed.kind()))?;
            let number = number.unsigned_abs();
            let (low, high) = (low_word(number), low_word(number >> 32));
            if high == 0 { vec![low] } else { vec![low, high] }
        };
        Ok(Self::of_words(&words))
    }

    fn of_words(key: &[u32]) -> Self {
        let mut state = [0; SIZE];
        state[0] = 19_650_218;
        let mix = |word: u32| word ^ (word >> 30);
        for index in 1..SIZE {
            state[index] = 1_812_433_253_u32.wrapping_mul(mix(state[index - 1])).wrapping_add(small(index));
        }
        let (mut at, mut of_key) = (1, 0);
        for _ in 0..SIZE.max(key.len()) {
            let mixed = state[at] ^ mix(state[at - 1]).wrapping_mul(1_664_525);
            state[at] = mixed.wrapping_add(key[of_key]).wrapping_add(small(of_key));
            at += 1;
            if at == SIZE {
                state[0] = state[SIZE - 1];
                at = 1;
            }
            of_key = (of_key + 1) % key.len();
        }
        for _ in 1..SIZE {
            state[at] = (state[at] ^ mix(state[at - 1]).wrapping_mul(1_566_083_941)).wrapping_sub(small(at));
            at += 1;
            if at == SIZE {
                state[0] = state[SIZE - 1];
                at = 1;
            }
        }
        state[0] = 0x8000_0000;
        Self { state, next: SIZE }
    }

    fn twist(&mut self) {
        for at in 0..SIZE {
            let joined = (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % SIZE] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + SHIFT) % SIZE] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == SIZE {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn bits(&mut self, count: u32) -> u64 {
        match count {
            0 => 0,
            1..=32 => u64::from(self.word() >> (32 - count)),
            _ => {
                let low = u64::from(self.word());
                low | u64::from(self.word() >> (64 - count.min(64))) << 32
            }
        }
    }

    /// A number from 0 up to, not including, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 {
            return 0;
        }
        let count = 64 - end.leading_zeros();
        loop {
            let number = self.bits(count);
            if number < end {
                return number;
            }
        }
    }

    /// Puts items in another order.
    pub fn shuffle(&mut self, items: &mut [Value]) {
        for at in (1..items.len()).rev() {
            let other = usize::try_from(self.below(at as u64 + 1)).unwrap_or(0);
            items.swap(at, other);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
fn low_word(number: u64) -> u32 {
    number as u32
}

/// An index as a word; none is large.
fn small(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(0)
}
