//! A detector of transactions as it is kept: the bytes of an artefact, which say what they were made from, and prove on
//! loading that they still score as they did.

use serde::{Deserialize, Serialize};

use crate::detector::{Detecting, Detector, Reason, Score, Scratch};
use crate::features::{self, COUNT, Feature, Row};
use crate::{FitError, hash};

const MAGIC: &[u8; 8] = b"SALDOML1";
/// The version of linfa that fits; an artefact says which one did.
const LINFA: &str = "0.8.1";
/// Logarithms differ in their last digits between machines.
const TOLERANCE: f64 = 1e-6;

/// What a model was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    pub rows: u32,
    /// When the first and the last row happened, in microseconds since 1970.
    pub from: i64,
    pub until: i64,
    pub seed: u64,
}

/// A detector of transactions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    schema: u64,
    linfa: String,
    training: Training,
    detector: Detector,
    /// A row and what it scored when the model was made.
    golden: (Vec<f64>, f64),
}

/// Why bytes are no model that scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("these bytes are no model of the detector, or not all of one")]
    NoModel,
    #[error("the bytes of the model are not those that were written")]
    Damaged,
    #[error("the model was made for another list of features")]
    OtherFeatures,
    #[error("the model does not score its own example as it did")]
    OtherScores,
}

impl Model {
    /// Fits to rows in the order of their time.
    pub fn fit(rows: &[Row], (from, until): (i64, i64), seed: u64) -> Result<Self, FitError> {
        let [alone, rising, falling] =
            [Feature::is_enough, Feature::is_rising, Feature::is_falling].map(features::places);
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.to_vec()).collect();
        let detector = Detector::fit(&rows, Detecting { seed, alone: &alone, rising: &rising, falling: &falling })?;
        // Something between usual and odd, of every feature.
        let example: Vec<f64> = rows[rows.len() / 2].iter().map(|value| value + 1.5).collect();
        let golden = detector.score(&example, &mut Scratch::new(COUNT)).sum;
        let training = Training { rows: u32::try_from(rows.len()).unwrap_or(u32::MAX), from, until, seed };
        let linfa = LINFA.to_owned();
        Ok(Self { schema: features::schema_hash(), linfa, training, detector, golden: (example, golden) })
    }

    pub fn training(&self) -> &Training {
        &self.training
    }

    pub fn score(&self, row: &Row, scratch: &mut Scratch) -> Score {
        self.detector.score(row, scratch)
    }

    /// Why the row that was scored last with this scratch is odd: at most three features, the heaviest first.
    pub fn reasons(&self, row: &Row, scratch: &mut Scratch) -> impl Iterator<Item = (Feature, Reason)> {
        let reasons = self.detector.reasons(row, scratch);
        reasons.filter_map(|reason| Some((*Feature::ALL.get(usize::from(reason.feature))?, reason)))
    }

    /// The artefact.
    pub fn written(&self) -> Vec<u8> {
        // Writing into memory fails only for what has no known length.
        let body = postcard::to_stdvec(self).unwrap_or_default();
        [&MAGIC[..], &hash(&[&body]).to_le_bytes(), &body].concat()
    }

    pub fn read(bytes: &[u8]) -> Result<Self, Unusable> {
        let rest = bytes.strip_prefix(&MAGIC[..]).ok_or(Unusable::NoModel)?;
        let (checksum, body) = rest.split_at_checked(8).ok_or(Unusable::NoModel)?;
        if checksum != hash(&[body]).to_le_bytes() {
            return Err(Unusable::Damaged);
        }
        let model: Self = postcard::from_bytes(body).map_err(|_| Unusable::NoModel)?;
        if model.schema != features::schema_hash() {
            return Err(Unusable::OtherFeatures);
        }
        if !model.detector.is_sound() || model.detector.width() != COUNT || model.golden.0.len() != COUNT {
            return Err(Unusable::NoModel);
        }
        let score = model.detector.score(&model.golden.0, &mut Scratch::new(COUNT)).sum;
        let same = (score - model.golden.1).abs() <= TOLERANCE * (1.0 + model.golden.1.abs());
        if same { Ok(model) } else { Err(Unusable::OtherScores) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |number: usize| -> Row {
            std::array::from_fn(|place| {
                let draw = hash(&[&number.to_le_bytes(), &place.to_le_bytes()]);
                if place == 5 && number.is_multiple_of(3) { f64::NAN } else { (draw % 1_000) as f64 / 500.0 - 1.0 }
            })
        };
        (0..2_000).map(row).collect()
    }

    #[test]
    fn what_was_written_scores_the_same_and_is_small() {
        let model = Model::fit(&rows(), (0, 1), 7).expect("a model");
        let bytes = model.written();
        assert!(bytes.len() <= 300_000, "{}", bytes.len());
        assert_eq!(Model::read(&bytes).as_ref(), Ok(&model));
        assert_eq!(Model::fit(&rows(), (0, 1), 7).expect("a model").written(), bytes, "a seed is a model");
    }

    #[test]
    fn no_byte_may_change() {
        let bytes = Model::fit(&rows(), (0, 1), 7).expect("a model").written();
        for place in (0..bytes.len()).step_by(997).chain([0, 8, 15, 16, bytes.len() - 1]) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert!(Model::read(&damaged).is_err(), "byte {place}");
        }
        assert_eq!(Model::read(&bytes[..5]), Err(Unusable::NoModel));
        assert_eq!(Model::read(&bytes[..bytes.len() - 1]), Err(Unusable::Damaged));
    }

    /// What has the right checksum and is wrong all the same is refused, and nothing panics.
    #[test]
    fn another_model_is_no_model() {
        let model = Model::fit(&rows(), (0, 1), 7).expect("a model");
        let written = |change: fn(&mut Model)| {
            let mut model = model.clone();
            change(&mut model);
            Model::read(&model.written())
        };
        assert_eq!(written(|model| model.schema += 1), Err(Unusable::OtherFeatures));
        assert_eq!(written(|model| model.golden.1 += 0.1), Err(Unusable::OtherScores));
        assert_eq!(written(|model| model.golden.0.truncate(3)), Err(Unusable::NoModel));
        let body = &model.written()[16..];
        for place in (0..body.len()).step_by(101) {
            let mut other = body.to_vec();
            other[place] = other[place].wrapping_add(77);
            let bytes = [&MAGIC[..], &hash(&[&other]).to_le_bytes(), &other].concat();
            // Read or refused; what is read scores without a panic.
            if let Ok(model) = Model::read(&bytes) {
                model.score(&rows()[3], &mut Scratch::new(COUNT));
            }
        }
    }
}
