//! The detector: tails, isolation forest and Gaussian over the same features, added up, and calibrated on rows that
//! none of them was fitted to.

use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::FitError;
use crate::calibration::Calibration;
use crate::forest::{Forest, ForestParams, rounded_down};
use crate::gaussian::Gaussian;
use crate::scale::{Scaler, middle_and_spread};
use crate::tails::Tails;

/// Fewer rows than this say too little.
pub const LEAST_ROWS: usize = 20;
/// The part of the rows, the last ones, that is held out for calibration.
const HELD_OUT: f64 = 0.2;
/// How much tails, forest and Gaussian each count. The Gaussian ranks worse than the others on its own, and still sees
/// what they cannot: half a vote.
const VOTES: [f64; 3] = [1.0, 1.0, 0.5];
/// How far one channel may pull the sum.
const CHANNEL_LIMIT: f64 = 12.0;

/// How a detector is fitted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detecting<'a> {
    pub seed: u64,
    /// Features of which an extreme value is enough by itself, whatever the others are.
    pub alone: &'a [usize],
    /// Features of which only large values are odd: a small one counts as one in the middle.
    pub rising: &'a [usize],
    /// Features of which only small ones are.
    pub falling: &'a [usize],
}

/// A fitted detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    scaler: Scaler,
    tails: Tails,
    forest: Forest,
    /// None where the features leave no room for one.
    gaussian: Option<Gaussian>,
    /// Middle and spread of each channel's score: tails, forest, Gaussian.
    channels: [(f64, f64); 3],
    alone: Vec<u16>,
    /// Features of which one side alone is odd: whether it is the large values.
    one_sided: Vec<(u16, bool)>,
    sums: Calibration,
    /// Of the greatest surprise among the features that count alone.
    extremes: Calibration,
}

/// What a row comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The sum of the channels' robust z-scores: larger is odder.
    pub sum: f64,
    /// How often a row as odd as this comes by chance, of 0 to 1: from the rows held out, never 0.
    pub p: f64,
    /// −ln of it, and more beyond the oddest row held out.
    pub surprise: f64,
}

/// Room to score in, so that scoring allocates nothing. After a row was scored, it knows why.
#[derive(Clone, Debug)]
pub struct Scratch {
    /// The row as it counts.
    row: Vec<f64>,
    scaled: Vec<f64>,
    /// The same, as the forest compares it.
    narrow: Vec<f32>,
    chances: Vec<f64>,
    whitened: Vec<f64>,
    terms: Vec<f64>,
}

impl Scratch {
    pub fn new(width: usize) -> Self {
        let room = vec![0.0; width];
        let narrow = vec![0.0; width];
        Self {
            row: room.clone(),
            scaled: room.clone(),
            narrow,
            chances: room.clone(),
            whitened: room.clone(),
            terms: room,
        }
    }
}

/// Why a row is odd, as far as one feature goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    pub feature: u16,
    /// How much of the oddness is its: natural logarithms of how rare it is, and its share of the Gaussian's vote.
    pub weight: f64,
    pub observed: f64,
    /// Nine of ten values lie between these, and half of them below the one in the middle.
    pub usual: (f64, f64, f64),
}

impl Detector {
    /// Fits to rows in the order of their time, all of one width; a value that is no number is missing.
    pub fn fit(rows: &[Vec<f64>], how: Detecting<'_>) -> Result<Self, FitError> {
        let width = rows.first().map_or(0, Vec::len);
        if rows.len() < LEAST_ROWS {
            return Err(FitError::TooFew(rows.len()));
        }
        if width == 0 || width >= usize::from(u16::MAX) || rows.iter().any(|row| row.len() != width) {
            return Err(FitError::TooWide(width));
        }
        let held_out = ((rows.len() as f64 * HELD_OUT) as usize).max(1);
        let (seen, held_out) = rows.split_at(rows.len() - held_out);
        let places = |features: &[usize]| -> Vec<u16> {
            features.iter().filter(|feature| **feature < width).map(|feature| *feature as u16).collect()
        };
        let alone = places(how.alone);
        let sides = [(how.rising, true), (how.falling, false)];
        let one_sided: Vec<(u16, bool)> = sides
            .iter()
            .flat_map(|(features, large)| places(features).into_iter().map(|feature| (feature, *large)))
            .collect();
        let mut columns: Vec<Vec<f64>> =
            (0..width).map(|feature| seen.iter().map(|row| row[feature]).collect()).collect();
        let scaler = Scaler::fit(&columns);
        for (feature, large) in one_sided.iter().map(|(feature, large)| (usize::from(*feature), *large)) {
            let middle = scaler.middle(feature);
            columns[feature].iter_mut().for_each(|value| *value = counted(*value, middle, large));
        }
        let scaled =
            Array2::from_shape_fn((seen.len(), width), |(row, feature)| scaler.z(feature, columns[feature][row]));
        let forest = ForestParams { seed: how.seed, ..ForestParams::default() };
        let gaussian = Gaussian::fit(&scaled, how.seed).ok();
        let mut detector = Self {
            tails: Tails::fit(&columns),
            forest: forest.fit(&DatasetBase::from(scaled))?,
            scaler,
            gaussian,
            channels: [(0.0, 1.0); 3],
            alone,
            one_sided,
            sums: Calibration::default(),
            extremes: Calibration::default(),
        };
        detector.channels = detector.spreads(seen);
        let mut scratch = Scratch::new(width);
        let scores: Vec<(f64, f64)> = held_out.iter().map(|row| detector.raw(row, &mut scratch)).collect();
        detector.sums = Calibration::of(&scores.iter().map(|(sum, _)| *sum).collect::<Vec<_>>());
        detector.extremes = Calibration::of(&scores.iter().map(|(_, extreme)| *extreme).collect::<Vec<_>>());
        Ok(detector)
    }

    fn spreads(&self, rows: &[Vec<f64>]) -> [(f64, f64); 3] {
        let mut scratch = Scratch::new(self.width());
        let mut channels: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::with_capacity(rows.len()));
        for row in rows {
            let scores = self.channels(row, &mut scratch);
            channels.iter_mut().zip(scores).for_each(|(channel, score)| channel.push(score));
        }
        channels.map(|scores| {
            let (middle, spread) = middle_and_spread(&scores);
            (middle, if spread > 0.0 { spread } else { 1.0 })
        })
    }

    /// The logarithms of the three detectors' scores.
    fn channels(&self, row: &[f64], scratch: &mut Scratch) -> [f64; 3] {
        scratch.row.copy_from_slice(row);
        for (feature, large) in self.one_sided.iter().map(|(feature, large)| (usize::from(*feature), *large)) {
            scratch.row[feature] = counted(row[feature], self.scaler.middle(feature), large);
        }
        self.scaler.apply(&scratch.row, &mut scratch.scaled);
        scratch.narrow.iter_mut().zip(&scratch.scaled).for_each(|(narrow, value)| *narrow = rounded_down(*value));
        let tails = self.tails.surprise(&scratch.row, &mut scratch.chances);
        let distance = match &self.gaussian {
            Some(gaussian) => gaussian.distance(&scratch.scaled, &mut scratch.whitened),
            None => 0.0,
        };
        // The forest's score is a power already.
        [(1.0 + tails).ln(), self.forest.oddness_of(&scratch.narrow), (1.0 + distance).ln()]
    }

    /// The sum of all channels, and the greatest surprise among the features that count alone.
    fn raw(&self, row: &[f64], scratch: &mut Scratch) -> (f64, f64) {
        let channels = self.channels(row, scratch);
        let sum = channels
            .into_iter()
            .zip(self.channels)
            .map(|(score, (middle, spread))| ((score - middle) / spread).clamp(-CHANNEL_LIMIT, CHANNEL_LIMIT))
            .zip(VOTES)
            .map(|(z, votes)| z * votes)
            .sum();
        let (mut least, mut extreme) = (1.0_f64, 0.0_f64);
        for feature in self.alone.iter().map(|feature| usize::from(*feature)) {
            let chance = scratch.chances[feature];
            least = least.min(chance);
            // What was never seen is more than rare, and the farther the more.
            let beyond = self.tails.beyond(feature, scratch.row[feature], chance);
            if beyond > 0.0 {
                extreme = extreme.max(beyond - chance.ln());
            }
        }
        (sum, extreme.max(-least.ln()))
    }

    pub fn score(&self, row: &[f64], scratch: &mut Scratch) -> Score {
        let (sum, extreme) = self.raw(row, scratch);
        let (p, surprise) = (self.sums.chance(sum), self.sums.surprise(sum));
        if self.alone.is_empty() {
            return Score { sum, p, surprise };
        }
        // The rarer of the two, and twice as often, because there are two.
        let p = (2.0 * p.min(self.extremes.chance(extreme))).min(1.0);
        let surprise = surprise.max(self.extremes.surprise(extreme)) - std::f64::consts::LN_2;
        Score { sum, p, surprise: surprise.max(0.0) }
    }

    /// Why the row that was scored last with this scratch is odd: at most three features, the heaviest first.
    pub fn reasons(&self, row: &[f64], scratch: &mut Scratch) -> impl Iterator<Item = Reason> {
        let shared = self.share_gaussian(scratch);
        let mut top: [Option<Reason>; 3] = [None; 3];
        for (feature, observed) in row.iter().enumerate() {
            let chance = scratch.chances[feature];
            let rare = -chance.ln() + self.tails.beyond(feature, scratch.row[feature], chance);
            let weight = rare + shared * scratch.terms[feature].max(0.0);
            let place = top.iter().position(|reason| reason.is_none_or(|reason| reason.weight < weight));
            if let Some(place) = place.filter(|_| weight > 0.0) {
                let (low, high) = self.tails.usual(feature).unwrap_or_default();
                let usual = (low, self.scaler.middle(feature), high);
                top[place..].rotate_right(1);
                top[place] = Some(Reason { feature: feature as u16, weight, observed: *observed, usual });
            }
        }
        top.into_iter().flatten()
    }

    /// What each feature adds to the Gaussian's distance goes to the scratch; and what a unit of it weighs. All of it
    /// together weighs what the Gaussian counts in the sum: the distance itself, of values that lie far out, is
    /// thousands, and puts the blame on whatever usually goes with them.
    fn share_gaussian(&self, scratch: &mut Scratch) -> f64 {
        let Some(gaussian) = &self.gaussian else {
            scratch.terms.fill(0.0);
            return 0.0;
        };
        gaussian.terms(&scratch.scaled, &scratch.whitened, &mut scratch.terms);
        let (distance, [_, _, (middle, spread)]) = (scratch.whitened.iter().map(|value| value * value), self.channels);
        let z = ((1.0 + distance.sum::<f64>()).ln() - middle) / spread;
        let all: f64 = scratch.terms.iter().map(|term| term.max(0.0)).sum();
        if all > 0.0 { VOTES[2] * z.clamp(0.0, CHANNEL_LIMIT) / all } else { 0.0 }
    }

    pub fn width(&self) -> usize {
        self.scaler.width()
    }

    /// Whether its parts fit together: one that was read from bytes may be anything.
    pub fn is_sound(&self) -> bool {
        let width = self.width();
        let gaussian = self.gaussian.as_ref();
        self.tails.width() == width
            && self.forest.width() == width
            && gaussian.is_none_or(|gaussian| gaussian.width() == width && gaussian.is_sound())
            && self.alone.iter().all(|feature| usize::from(*feature) < width)
            && self.one_sided.iter().all(|(feature, _)| usize::from(*feature) < width)
            && self.channels.iter().all(|(middle, spread)| middle.is_finite() && *spread > 0.0)
            && self.tails.is_sound()
            && self.forest.is_sound()
            && self.sums.is_sound()
            && self.extremes.is_sound()
    }
}

/// A value on the side that is never odd counts as one in the middle. What is missing stays missing.
fn counted(value: f64, middle: f64, large: bool) -> f64 {
    if (large && value < middle) || (!large && value > middle) { middle } else { value }
}
