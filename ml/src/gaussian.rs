//! One normal distribution over all features: what the values of a row say about each other.
//!
//! linfa's mixture model, of one component, does the fitting. Its own `predict` is not used: it has no log-sum-exp and
//! answers rows far out with infinity.

use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::GaussianMixtureModel;
use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use serde::{Deserialize, Serialize};

use crate::FitError;

/// Added to every variance of robust z-scores, so that features which determine each other can be inverted.
const RIDGE: f64 = 1e-3;
/// The worst rows of the first fit, that the second is made without.
const TRIMMED: f64 = 0.05;

/// The mean, and the triangle L of the inverse covariance L·Lᵀ, row by row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gaussian {
    mean: Vec<f32>,
    triangle: Vec<f32>,
}

impl Gaussian {
    /// Fits to scaled rows, twice: the worst of the first time are left out the second time.
    pub fn fit(rows: &Array2<f64>, seed: u64) -> Result<Self, FitError> {
        let first = Self::fit_all(rows.view(), seed)?;
        let mut distances: Vec<(f64, usize)> = rows
            .axis_iter(Axis(0))
            .enumerate()
            .map(|(index, row)| (first.distance(&row.to_vec(), &mut vec![0.0; row.len()]), index))
            .collect();
        distances.sort_by(|one, other| one.0.total_cmp(&other.0));
        let kept = distances.len() - (distances.len() as f64 * TRIMMED) as usize;
        let kept: Vec<usize> = distances[..kept].iter().map(|(_, index)| *index).collect();
        if kept.len() < 2 {
            return Ok(first);
        }
        Self::fit_all(rows.select(Axis(0), &kept).view(), seed)
    }

    fn fit_all(rows: ArrayView2<f64>, seed: u64) -> Result<Self, FitError> {
        let (count, width) = rows.dim();
        if count < 2 {
            return Err(FitError::TooFew(count));
        }
        let mixture = GaussianMixtureModel::params_with_rng(1, Xoshiro256Plus::seed_from_u64(seed))
            .reg_covariance(RIDGE)
            .fit(&DatasetBase::from(rows.to_owned()));
        let (mean, precision) = match mixture {
            Ok(mixture) => (mixture.means().row(0).to_vec(), mixture.precisions().index_axis(Axis(0), 0).to_owned()),
            // Its densities vanish where a row lies far out, and it gives up; the moments are still what they are.
            Err(_) => moments(rows).ok_or(FitError::Singular)?,
        };
        let triangle = cholesky(&precision).ok_or(FitError::Singular)?;
        let narrow = |value: &f64| *value as f32;
        let mut flat = Vec::with_capacity(width * (width + 1) / 2);
        for row in 0..width {
            flat.extend((0..=row).map(|column| narrow(&triangle[(row, column)])));
        }
        let found = Self { mean: mean.iter().map(narrow).collect(), triangle: flat };
        let sound = found.mean.iter().chain(&found.triangle).all(|value| value.is_finite());
        if sound { Ok(found) } else { Err(FitError::Singular) }
    }

    pub fn width(&self) -> usize {
        self.mean.len()
    }

    pub fn is_sound(&self) -> bool {
        self.triangle.len() == self.width() * (self.width() + 1) / 2
            && self.mean.iter().chain(&self.triangle).all(|value| value.is_finite())
    }

    /// The squared distance of Mahalanobis from the mean. `whitened` is room to work in, as wide as the row.
    pub fn distance(&self, row: &[f64], whitened: &mut [f64]) -> f64 {
        // Lᵀ(x − μ), down the rows of L as they lie in memory.
        whitened.fill(0.0);
        let mut flat = self.triangle.iter();
        for (place, (value, mean)) in row.iter().zip(&self.mean).enumerate() {
            let apart = value - f64::from(*mean);
            for (weight, out) in flat.by_ref().take(place + 1).zip(whitened.iter_mut()) {
                *out += f64::from(*weight) * apart;
            }
        }
        whitened.iter().map(|value| value * value).sum()
    }

    /// The natural logarithm of the density.
    pub fn log_density(&self, row: &[f64], whitened: &mut [f64]) -> f64 {
        let constant = row.len() as f64 * std::f64::consts::TAU.ln();
        let mut diagonal = 0;
        let mut determinant = 0.0;
        for place in 0..self.width() {
            determinant += f64::from(self.triangle[diagonal]).ln();
            diagonal += place + 2;
        }
        determinant - 0.5 * (constant + self.distance(row, whitened))
    }

    /// What each feature adds to the distance: (x − μ)·(Σ⁻¹(x − μ)), which sum to it. After [`Self::distance`], whose
    /// `whitened` this takes.
    pub fn terms(&self, row: &[f64], whitened: &[f64], out: &mut [f64]) {
        let mut flat = self.triangle.iter();
        for (place, ((value, mean), out)) in row.iter().zip(&self.mean).zip(out).enumerate() {
            let weights = flat.by_ref().take(place + 1);
            let inner: f64 = weights.zip(whitened).map(|(weight, whitened)| f64::from(*weight) * whitened).sum();
            *out = (value - f64::from(*mean)) * inner;
        }
    }
}

/// Mean and inverse covariance, as linfa's model estimates them.
fn moments(rows: ArrayView2<f64>) -> Option<(Vec<f64>, Array2<f64>)> {
    let mean = rows.mean_axis(Axis(0))?;
    let apart = &rows - &mean;
    let mut covariance = apart.t().dot(&apart) / rows.nrows() as f64;
    covariance.diag_mut().mapv_inplace(|variance| variance + RIDGE);
    let triangle = cholesky(&covariance)?;
    let width = covariance.nrows();
    // L⁻¹ by forward substitution; the inverse is (L⁻¹)ᵀ·L⁻¹.
    let mut inverse = Array2::<f64>::zeros((width, width));
    for column in 0..width {
        for row in column..width {
            let unit = if row == column { 1.0 } else { 0.0 };
            let known: f64 = (column..row).map(|inner| triangle[(row, inner)] * inverse[(inner, column)]).sum();
            inverse[(row, column)] = (unit - known) / triangle[(row, row)];
        }
    }
    Some((mean.to_vec(), inverse.t().dot(&inverse)))
}

/// The lower triangle L with L·Lᵀ = `matrix`, if there is one.
fn cholesky(matrix: &Array2<f64>) -> Option<Array2<f64>> {
    let width = matrix.nrows();
    let mut lower = Array2::<f64>::zeros((width, width));
    for row in 0..width {
        for column in 0..=row {
            let known: f64 = (0..column).map(|inner| lower[(row, inner)] * lower[(column, inner)]).sum();
            let rest = matrix[(row, column)] - known;
            lower[(row, column)] = if row == column {
                if rest.is_nan() || rest <= 0.0 {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / lower[(column, column)]
            };
        }
    }
    Some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two features that rise together, on a grid.
    fn together() -> Array2<f64> {
        Array2::from_shape_fn((1_000, 2), |(row, column)| {
            let (along, across) = ((row % 100) as f64 / 25.0 - 2.0, (row / 100) as f64 / 50.0 - 0.1);
            if column == 0 { along + across } else { along - across }
        })
    }

    #[test]
    fn what_breaks_the_pattern_is_far() {
        let gaussian = Gaussian::fit(&together(), 1).expect("a fit");
        let mut room = [0.0; 2];
        let (with, against) = (gaussian.distance(&[1.5, 1.5], &mut room), gaussian.distance(&[1.5, -1.5], &mut room));
        assert!(against > 50.0 * with, "{with} {against}");
        let mut terms = [0.0; 2];
        gaussian.terms(&[1.5, -1.5], &room, &mut terms);
        assert!((terms.iter().sum::<f64>() - against).abs() < 1e-6 * against);
    }

    #[test]
    fn the_fallback_is_what_linfa_finds() {
        let rows = together();
        let by_linfa = Gaussian::fit_all(rows.view(), 1).expect("a fit");
        let (mean, precision) = moments(rows.view()).expect("moments");
        let triangle = cholesky(&precision).expect("a triangle");
        for (one, other) in by_linfa.mean.iter().zip(&mean) {
            assert!((f64::from(*one) - other).abs() < 1e-5);
        }
        for (one, other) in by_linfa.triangle.iter().zip([triangle[(0, 0)], triangle[(1, 0)], triangle[(1, 1)]]) {
            assert!((f64::from(*one) - other).abs() < 1e-4 * other.abs());
        }
    }

    #[test]
    fn the_density_of_the_standard_normal_distribution() {
        let unit = Gaussian { mean: vec![0.0; 2], triangle: vec![1.0, 0.0, 1.0] };
        let density = unit.log_density(&[1.0, 2.0], &mut [0.0; 2]);
        assert!((density - (-std::f64::consts::TAU.ln() - 2.5)).abs() < 1e-12);
        // Where linfa says infinity.
        assert!(unit.log_density(&[1e6, 0.0], &mut [0.0; 2]).is_finite());
    }
}
