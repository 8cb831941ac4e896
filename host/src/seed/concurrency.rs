//! How many pieces run at once.
//!
//! `auto` begins with one and adds one for each round of pieces that went well, as long as a round does not take much
//! longer for it; when requests fail or the source slows down to half its best speed, it goes back by a third. That is
//! how TCP finds the speed of a line.

use std::str::FromStr;
use std::time::Duration;

/// `-c N` or `-c auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concurrency {
    Fixed(usize),
    Auto,
}

/// More at once help no source.
const MOST: usize = 64;

impl FromStr for Concurrency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        match text.parse() {
            Ok(number) if number > 0 => Ok(Self::Fixed(number)),
            _ => Err("expected a number from 1 on, or `auto`".to_owned()),
        }
    }
}

impl Concurrency {
    /// Instances that have to exist for it.
    pub(crate) fn most(self) -> usize {
        match self {
            Self::Fixed(number) => number,
            Self::Auto => MOST,
        }
    }
}

/// The number as it is now.
#[derive(Debug)]
pub(super) struct Window {
    rule: Concurrency,
    size: usize,
    /// pieces of this round: how many, their time, whether one failed
    round: (u32, Duration, bool),
    /// shortest mean time of a piece so far
    best: Option<Duration>,
}

impl Window {
    pub(super) fn new(rule: Concurrency) -> Self {
        let size = match rule {
            Concurrency::Fixed(number) => number,
            Concurrency::Auto => 1,
        };
        Self {
            rule,
            size,
            round: (0, Duration::ZERO, false),
            best: None,
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// A piece that asked its source has ended. Pieces that found everything stored tell nothing about the source.
    pub(super) fn ended(&mut self, elapsed: Duration, failed: bool) {
        if self.rule != Concurrency::Auto {
            return;
        }
        self.round.0 += 1;
        self.round.1 += elapsed;
        self.round.2 |= failed;
        // a round: two pieces for each place, so that the mean means something
        if (self.round.0 as usize) < 2 * self.size && !failed {
            return;
        }
        let (count, total, any_failed) = std::mem::replace(&mut self.round, (0, Duration::ZERO, false));
        let mean = total / count.max(1);
        if any_failed {
            self.size = (self.size / 2).max(1);
            return;
        }
        let best = self.best.map_or(mean, |best| best.min(mean));
        self.best = Some(best);
        if mean > best * 2 {
            self.size = (self.size * 2 / 3).max(1);
        } else {
            self.size = (self.size + 1).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_auto_are_understood() {
        let check = |text: &str, expect: Option<Concurrency>| assert_eq!(text.parse().ok(), expect, "{text}");
        check("1", Some(Concurrency::Fixed(1)));
        check("auto", Some(Concurrency::Auto));
        check("0", None);
        check("-1", None);
        check("many", None);
    }

    /// A source with so many workers, of 100 ms each: more pieces at once only wait.
    fn settle(workers: usize) -> usize {
        let mut window = Window::new(Concurrency::Auto);
        let mut sizes = Vec::new();
        for _ in 0..5000 {
            let waiting = window.size().div_ceil(workers).max(1);
            window.ended(Duration::from_millis(100) * waiting as u32, false);
            sizes.push(window.size());
        }
        sizes[4000..].iter().sum::<usize>() / 1000
    }

    #[test]
    fn a_source_is_used_but_not_flooded() {
        for workers in [1, 4, 16] {
            let size = settle(workers);
            assert!(
                (workers..=3 * workers).contains(&size),
                "{workers} workers: {size} at once"
            );
        }
    }

    #[test]
    fn failures_halve_it() {
        let mut window = Window::new(Concurrency::Auto);
        for _ in 0..500 {
            window.ended(Duration::from_millis(10), false);
        }
        let before = window.size();
        window.ended(Duration::from_millis(10), true);
        assert_eq!(window.size(), before / 2);
        for _ in 0..20 {
            window.ended(Duration::from_millis(10), true);
        }
        assert_eq!(window.size(), 1);
    }

    #[test]
    fn a_fixed_number_stays() {
        let mut window = Window::new(Concurrency::Fixed(3));
        for _ in 0..50 {
            window.ended(Duration::from_secs(1), true);
        }
        assert_eq!(window.size(), 3);
    }
}
