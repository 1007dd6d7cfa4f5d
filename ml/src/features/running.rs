//! Statistics that are kept up to date one value at a time, in a few bytes.

use serde::{Deserialize, Serialize};

/// Fewer values than this have no usual one.
const LEAST: f32 = 5.0;
/// After so many values an old one counts for less and less.
const MEMORY: f32 = 500.0;
/// A value counts as no farther out than this many standard deviations, so that nobody widens what is usual for them
/// by what is unusual.
const WINSOR: f32 = 3.0;

/// Mean and variance of what came lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Running {
    count: f32,
    mean: f32,
    variance: f32,
}

impl Running {
    /// Standard deviations from the mean, the deviation at least `least`; not a number while too little is known.
    pub fn z(&self, value: f64, least: f64) -> f64 {
        if self.count < LEAST || value.is_nan() {
            return f64::NAN;
        }
        (value - f64::from(self.mean)) / f64::from(self.variance).sqrt().max(least)
    }

    /// How far a value lies from the mean, as soon as there is any, in standard deviations; of these, `prior` is a
    /// guess that counts as one value does.
    pub fn apart(&self, value: f64, prior: f64) -> f64 {
        if self.count < 1.0 {
            return f64::NAN;
        }
        let (count, variance) = (f64::from(self.count), f64::from(self.variance));
        let variance = (count * variance + prior * prior) / (count + 1.0) * (1.0 + 1.0 / count);
        (value - f64::from(self.mean)) / variance.sqrt().max(1e-9)
    }

    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let mut value = value as f32;
        if self.count >= LEAST {
            let reach = WINSOR * self.variance.sqrt().max(0.05);
            value = value.clamp(self.mean - reach, self.mean + reach);
        }
        self.count = (self.count + 1.0).min(MEMORY);
        let part = 1.0 / self.count;
        let apart = value - self.mean;
        self.mean += part * apart;
        self.variance += part * (apart * (value - self.mean) - self.variance);
    }

    /// What is usual; not a number while too little is known.
    pub fn mean(&self) -> f64 {
        if self.count < LEAST { f64::NAN } else { f64::from(self.mean) }
    }
}

/// How often something happens in each hour of the day (UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hours([u16; 24]);

impl Hours {
    const FULL: u16 = 4_096;

    /// The part of all that happens in this hour, before `prior` gives its part of one more.
    pub fn part(&self, hour: usize, prior: f64) -> f64 {
        let total: f64 = self.0.iter().map(|count| f64::from(*count)).sum();
        (f64::from(self.0[hour]) + prior) / (total + 1.0)
    }

    pub fn add(&mut self, hour: usize) {
        self.0[hour] += 1;
        if self.0[hour] >= Self::FULL {
            self.0.iter_mut().for_each(|count| *count /= 2);
        }
    }
}

/// A sum that fades: after `span` seconds of nothing, a third of it is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fading(f32);

impl Fading {
    pub fn now(&self, seconds: f64, span: f64) -> f64 {
        f64::from(self.0) * (-seconds / span).exp()
    }

    pub fn add(&mut self, value: f64, seconds: f64, span: f64) {
        let sum = self.now(seconds, span) + value;
        self.0 = if sum.is_finite() { sum.clamp(-1e30, 1e30) as f32 } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_found_and_not_widened() {
        let mut running = Running::default();
        assert!(running.z(1.0, 0.1).is_nan());
        for turn in 0..400 {
            running.add(f64::from(turn % 5) - 2.0);
        }
        assert!(running.mean().abs() < 0.05);
        assert!((running.z(2.0_f64.sqrt() * 3.0, 0.1) - 3.0).abs() < 0.2);
        for _ in 0..5 {
            running.add(1e9);
        }
        assert!(running.z(1e9, 0.1) > 1e6, "five wild values make none of them usual");
        running.add(f64::NAN);
        running.add(f64::INFINITY);
        assert!(running.mean().is_finite());
    }

    #[test]
    fn hours_learn_and_forget() {
        let mut hours = Hours::default();
        assert!((hours.part(3, 1.0 / 24.0) - 1.0 / 24.0).abs() < 1e-9);
        for _ in 0..20_000 {
            hours.add(3);
        }
        assert!(hours.part(3, 1.0 / 24.0) > 0.99);
        assert!(hours.part(4, 1.0 / 24.0) < 0.001);
    }

    #[test]
    fn sums_fade() {
        let mut sum = Fading::default();
        sum.add(10.0, 0.0, 60.0);
        assert!((sum.now(60.0, 60.0) - 10.0 / std::f64::consts::E).abs() < 1e-5);
        sum.add(f64::NAN, 0.0, 60.0);
        assert_eq!(sum.now(0.0, 60.0), 0.0);
    }
}
