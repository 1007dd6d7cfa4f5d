//! Isolation forest (Liu, Ting, Zhou 2008): what few random cuts set apart is odd.
//!
//! linfa has none, so this is our own, behind linfa's traits: [`ForestParams`] fits, [`Forest`] predicts.

use linfa::dataset::DatasetBase;
use linfa::traits::{Fit, PredictInplace};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::seq::index::sample;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::FitError;

const LEAF: u16 = u16::MAX;
/// Cuts from a root to a leaf, at most.
const DEPTH: u32 = 8;
/// Nodes of a tree so deep, from 1; and its leaves.
const SIZE: usize = 1 << DEPTH;
/// Trees of a forest.
const MOST_TREES: usize = 1_000;
/// Trees that are walked at the same time.
const ABREAST: usize = 10;

/// How a forest is grown.
#[derive(Clone, Copy, Debug)]
pub struct ForestParams {
    /// At most 1,000.
    pub trees: usize,
    /// Rows that each tree sees, drawn anew; at most 256.
    pub rows: usize,
    pub seed: u64,
}

impl Default for ForestParams {
    fn default() -> Self {
        Self { trees: 100, rows: SIZE, seed: 0 }
    }
}

/// Trees that were grown, ready to be walked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Grown", into = "Grown")]
pub struct Forest {
    grown: Grown,
    /// The same to be walked: the children of node n are 2·n and 2·n + 1, whether it is there or not.
    trees: Vec<[Step; SIZE]>,
    /// The length of the path, by where a walk of [`DEPTH`] steps ends.
    paths: Vec<[f32; SIZE]>,
}

/// Trees one after the other, the nodes of each in the order in which they are reached: a left child comes next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Grown {
    nodes: Vec<Node>,
    roots: Vec<u32>,
    width: u16,
}

/// Less than `value` goes to the first child, all else to the second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    value: f32,
    feature: u16,
}

/// Nothing is less than this: a walk that has reached a leaf goes on to the right.
const STAY: Step = Step { value: f32::NEG_INFINITY, feature: 0 };

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Node {
    /// [`LEAF`] for none.
    feature: u16,
    /// Where the right child is, counted from here.
    right: u16,
    /// What goes left is less; of a leaf, the length of the path to it.
    value: f32,
}

impl<T> Fit<Array2<f64>, T, FitError> for ForestParams {
    type Object = Forest;

    fn fit(&self, dataset: &DatasetBase<Array2<f64>, T>) -> Result<Forest, FitError> {
        let records = dataset.records();
        let (count, width) = records.dim();
        let narrow = u16::try_from(width).ok().filter(|width| *width < LEAF).ok_or(FitError::TooWide(width))?;
        if count < 2 {
            return Err(FitError::TooFew(count));
        }
        let rows = self.rows.clamp(2, count).min(SIZE);
        let deepest = rows.next_power_of_two().ilog2();
        let mut forest = Grown { nodes: Vec::new(), roots: Vec::with_capacity(self.trees), width: narrow };
        for tree in 0..self.trees.min(MOST_TREES) as u64 {
            let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(tree);
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let mut chosen: Vec<usize> = sample(&mut rng, count, rows).into_vec();
            forest.roots.push(u32::try_from(forest.nodes.len()).map_err(|_| FitError::TooWide(width))?);
            forest.grow(records.view(), &mut chosen, 0, deepest, &mut rng);
        }
        // The average path of a sample of this size is the unit of all paths.
        let unit = average_path(rows) as f32;
        forest.nodes.iter_mut().filter(|node| node.feature == LEAF).for_each(|node| node.value /= unit);
        Ok(forest.into())
    }
}

impl Grown {
    fn grow(
        &mut self,
        records: ArrayView2<f64>,
        rows: &mut [usize],
        depth: u32,
        deepest: u32,
        rng: &mut Xoshiro256PlusPlus,
    ) {
        let here = self.nodes.len();
        let cut = if depth < deepest { cut(records, rows, rng) } else { None };
        let Some((feature, value)) = cut else {
            let path = f64::from(depth) + average_path(rows.len());
            self.nodes.push(Node { feature: LEAF, right: 0, value: path as f32 });
            return;
        };
        self.nodes.push(Node { feature: feature as u16, right: 0, value });
        let mut left = 0;
        for index in 0..rows.len() {
            if records[(rows[index], feature)] < f64::from(value) {
                rows.swap(left, index);
                left += 1;
            }
        }
        let (less, rest) = rows.split_at_mut(left);
        self.grow(records, less, depth + 1, deepest, rng);
        // A tree of so few rows has fewer nodes than a u16 counts.
        self.nodes[here].right = (self.nodes.len() - here) as u16;
        self.grow(records, rest, depth + 1, deepest, rng);
    }

    /// Whether every way through it ends at a leaf and reads features that there are: one that was read from bytes may
    /// be anything.
    fn is_sound(&self) -> bool {
        let inner = self.nodes.iter().enumerate().filter(|(_, node)| node.feature != LEAF);
        let mut inner = inner.map(|(at, node)| {
            let right = at + usize::from(node.right);
            node.feature < self.width && node.right > 1 && right < self.nodes.len()
        });
        let begins = self.roots.iter().all(|root| (*root as usize) < self.nodes.len());
        // Children come after their parents, so the last node is a leaf or reads past the end.
        let ends = self.nodes.last().is_some_and(|node| node.feature == LEAF);
        inner.all(|sound| sound) && begins && ends && (1..=MOST_TREES).contains(&self.roots.len())
    }

    /// Lays the tree below a node out, as its place says.
    fn lay_out(&self, node: usize, place: usize, steps: &mut [Step; SIZE], paths: &mut [f32; SIZE]) {
        let Node { feature, right, value } = self.nodes[node];
        if feature == LEAF {
            // Where a walk ends that goes on to the right.
            let mut end = place;
            while end < SIZE {
                end = 2 * end + 1;
            }
            paths[end % SIZE] = value;
        } else if place < SIZE {
            steps[place] = Step { value, feature };
            self.lay_out(node + 1, 2 * place, steps, paths);
            self.lay_out(node + usize::from(right), 2 * place + 1, steps, paths);
        }
    }
}

impl From<Grown> for Forest {
    fn from(grown: Grown) -> Self {
        let mut forest = Self { trees: Vec::new(), paths: Vec::new(), grown };
        // What was read from bytes may be anything; it is refused, and until then harmless.
        if forest.grown.is_sound() {
            for root in &forest.grown.roots {
                let (mut steps, mut paths) = ([STAY; SIZE], [0.0; SIZE]);
                forest.grown.lay_out(*root as usize, 1, &mut steps, &mut paths);
                forest.trees.push(steps);
                forest.paths.push(paths);
            }
        }
        forest
    }
}

impl From<Forest> for Grown {
    fn from(forest: Forest) -> Self {
        forest.grown
    }
}

impl Forest {
    /// How short the way to this row is, in average paths, negated: larger is odder; the classic score is 2 to its
    /// power. Between −2 and 0 for all practical rows.
    pub fn oddness(&self, row: &[f64]) -> f64 {
        self.oddness_of(&row.iter().map(|value| rounded_down(*value)).collect::<Vec<_>>())
    }

    /// The same of values that [`rounded_down`] made narrow, without a copy.
    pub fn oddness_of(&self, row: &[f32]) -> f64 {
        // Several trees abreast, and no branch for where one ends: the steps of one do not wait for each other's.
        let (abreast, rest) = self.trees.as_chunks::<ABREAST>();
        let (paths, of_rest) = self.paths.as_chunks::<ABREAST>();
        let many: f64 = abreast.iter().zip(paths).map(|(trees, paths)| walk(row, trees, paths)).sum();
        let rest: f64 = rest.iter().zip(of_rest).map(|(tree, paths)| walk(row, &[*tree], &[*paths])).sum();
        -(many + rest) / self.trees.len().max(1) as f64
    }

    /// How many features it expects.
    pub fn width(&self) -> usize {
        usize::from(self.grown.width)
    }

    /// Whether it can be walked: one that was read from bytes may be anything.
    pub fn is_sound(&self) -> bool {
        self.grown.is_sound()
    }
}

/// The lengths of the paths of a row through some trees, together.
#[inline]
fn walk<const TREES: usize>(row: &[f32], trees: &[[Step; SIZE]; TREES], paths: &[[f32; SIZE]; TREES]) -> f64 {
    let mut at = [1; TREES];
    for _ in 0..DEPTH {
        // A loop and not `map`, which is a call for every step. The remainder changes nothing and spares a check.
        for (at, tree) in at.iter_mut().zip(trees) {
            let step = tree[*at % SIZE];
            *at = 2 * *at + 1 - usize::from(row[usize::from(step.feature)] < step.value);
        }
    }
    at.iter().zip(paths).map(|(at, paths)| f64::from(paths[*at % SIZE])).sum()
}

impl PredictInplace<Array2<f64>, Array1<f64>> for Forest {
    fn predict_inplace(&self, records: &Array2<f64>, oddness: &mut Array1<f64>) {
        for (row, oddness) in records.axis_iter(Axis(0)).zip(oddness) {
            *oddness = self.oddness(&row.to_vec());
        }
    }

    fn default_target(&self, records: &Array2<f64>) -> Array1<f64> {
        Array1::zeros(records.nrows())
    }
}

/// The greatest value of f32 that is no more than this one: where it is less than another f32, so is this one, and where
/// it is not, neither is this one. Comparing is exact, and of half the size.
pub fn rounded_down(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) > value { near.next_down() } else { near }
}

/// A feature of those in which the rows differ, and a value between its least and greatest.
fn cut(records: ArrayView2<f64>, rows: &[usize], rng: &mut Xoshiro256PlusPlus) -> Option<(usize, f32)> {
    if rows.len() < 2 {
        return None;
    }
    // Drawn without replacement until one differs, as an even draw among those that do.
    for feature in sample(rng, records.ncols(), records.ncols()) {
        let column = rows.iter().map(|row| records[(*row, feature)]);
        let (least, greatest) =
            column.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if least < greatest {
            let value = (least + (greatest - least) * rng.gen_range(0.0..1.0)) as f32;
            // Rounding must not leave a side empty.
            let value = if f64::from(value) <= least { greatest as f32 } else { value };
            return (f64::from(value) > least && f64::from(value) <= greatest).then_some((feature, value));
        }
    }
    None
}

/// The average path of a search that fails in a binary tree of so many rows.
fn average_path(rows: usize) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let less = (rows - 1) as f64;
            2.0 * (less.ln() + EULER) - 2.0 * less / rows as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use linfa::traits::Predict;

    use super::*;

    fn grid() -> Array2<f64> {
        Array2::from_shape_fn((400, 2), |(row, column)| if column == 0 { row % 20 } else { row / 20 } as f64 / 10.0)
    }

    #[test]
    fn what_lies_apart_is_odd() {
        let forest = ForestParams::default().fit(&DatasetBase::from(grid())).expect("a forest");
        assert!(forest.is_sound());
        assert!(forest.oddness(&[8.0, -8.0]) > forest.oddness(&[1.0, 1.0]) + 0.2);
        let rows = Array2::from_shape_vec((1, 2), vec![8.0, -8.0]).expect("a row");
        assert_eq!(forest.predict(&rows)[0], forest.oddness(&[8.0, -8.0]));
    }

    /// The way to a leaf as the tree was grown, cut by cut.
    fn path(grown: &Grown, mut node: usize, row: &[f64]) -> f64 {
        while grown.nodes[node].feature != LEAF {
            let Node { feature, right, value } = grown.nodes[node];
            node += if row[usize::from(feature)] < f64::from(value) { 1 } else { usize::from(right) };
        }
        f64::from(grown.nodes[node].value)
    }

    #[test]
    fn trees_laid_out_are_those_that_were_grown() {
        // Trees of few rows end early, and 23 are not a multiple of those that are walked abreast.
        for (trees, rows) in [(100, 256), (23, 256), (7, 9), (1, 2)] {
            let params = ForestParams { trees, rows, seed: 5 };
            let forest = params.fit(&DatasetBase::from(grid())).expect("a forest");
            for row in grid().rows().into_iter().map(|row| row.to_vec()).chain([vec![9.0, -9.0], vec![0.3, 1.7]]) {
                let sum: f64 = forest.grown.roots.iter().map(|root| path(&forest.grown, *root as usize, &row)).sum();
                assert!((forest.oddness(&row) + sum / trees as f64).abs() < 1e-12, "{row:?}");
            }
        }
    }

    #[test]
    fn narrow_values_compare_as_the_wide_ones() {
        let cuts = [-16.0_f32, -0.3, 0.0, 0.1, 1.0 / 3.0, 7.7];
        let around = |cut: f32| {
            let cut = f64::from(cut);
            [cut, cut.next_up(), cut.next_down(), cut + 1e-9, cut - 1e-9, f64::INFINITY, f64::NEG_INFINITY]
        };
        for cut in cuts {
            for value in cuts.into_iter().flat_map(around) {
                assert_eq!(rounded_down(value) < cut, value < f64::from(cut), "{value} {cut}");
            }
        }
    }

    #[test]
    fn a_seed_is_a_forest() {
        let data = DatasetBase::from(grid());
        let fit = |seed| ForestParams { seed, ..ForestParams::default() }.fit(&data).expect("a forest");
        assert_eq!(fit(1), fit(1));
        assert_ne!(fit(1), fit(2));
    }

    #[test]
    fn rows_that_are_all_alike_are_all_as_odd() {
        let same = DatasetBase::from(Array2::from_elem((50, 3), 1.0));
        let forest = ForestParams::default().fit(&same).expect("a forest");
        assert_eq!(forest.oddness(&[1.0; 3]), forest.oddness(&[5.0; 3]));
        let none = DatasetBase::from(Array2::<f64>::zeros((0, 3)));
        assert_eq!(ForestParams::default().fit(&none), Err(FitError::TooFew(0)));
    }
}
