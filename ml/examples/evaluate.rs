//! Trains and tests the detector on CSV files: `evaluate [--splits DIR] FILE…`.
//!
//! A file has a header, numeric features and the label (0 or 1) in its last column; one that ends in `.gz` is
//! decompressed. Each file is split five times, 60 % to train and 40 % to test, with the same part of labels in both;
//! the training part keeps its anomalies, unnamed. With `--splits` the test parts are read instead: `name.seed.txt` has
//! the numbers of their rows, from 0. One line a file: `name rows features positives auroc ap fit_ms us_per_row`, the
//! figures averaged over the five.

// A statistic is no money, and an example says what it found.
#![allow(clippy::float_arithmetic, clippy::print_stdout)]

mod table;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ml::{Detecting, Detector, Scratch};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use table::{Table, auroc, average_precision};

const SEEDS: u64 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    let splits = arguments.next_if(|argument| argument == "--splits").and_then(|_| arguments.next()).map(PathBuf::from);
    let files: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    if files.is_empty() {
        return Err("usage: evaluate [--splits DIR] FILE…".into());
    }
    println!("name rows features positives auroc ap fit_ms us_per_row");
    let mut sums = [0.0; 2];
    for file in &files {
        let figures = evaluate(file, splits.as_deref()).map_err(|error| format!("{}: {error}", file.display()))?;
        sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
    }
    if files.len() > 1 {
        println!("mean - - - {:.4} {:.4} - -", sums[0] / files.len() as f64, sums[1] / files.len() as f64);
    }
    Ok(())
}

fn evaluate(file: &Path, splits: Option<&Path>) -> Result<[f64; 2], Box<dyn Error>> {
    let table = Table::read(file)?;
    let name = table.name.clone();
    let mut sums = [0.0; 4];
    for seed in 0..SEEDS {
        let (train, test) = match splits {
            Some(folder) => read_split(&folder.join(format!("{name}.{seed}.txt")), table.labels.len())?,
            None => split(&table.labels, seed),
        };
        let rows: Vec<Vec<f64>> = train.iter().map(|row| table.rows[*row].clone()).collect();
        let begun = Instant::now();
        let detector = Detector::fit(&rows, Detecting { seed, ..Detecting::default() })?;
        let fit = begun.elapsed();
        let mut scratch = Scratch::new(detector.width());
        let begun = Instant::now();
        let scores: Vec<f64> = test.iter().map(|row| detector.score(&table.rows[*row], &mut scratch).sum).collect();
        let scoring = begun.elapsed();
        let labels: Vec<bool> = test.iter().map(|row| table.labels[*row]).collect();
        let figures = [
            auroc(&scores, &labels),
            average_precision(&scores, &labels),
            fit.as_secs_f64() * 1e3,
            scoring.as_secs_f64() * 1e6 / test.len() as f64,
        ];
        sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure / SEEDS as f64);
    }
    let [auroc, ap, fit, score] = sums;
    let positives = table.labels.iter().filter(|label| **label).count();
    let features = table.rows.first().map_or(0, Vec::len);
    println!("{name} {} {features} {positives} {auroc:.4} {ap:.4} {fit:.0} {score:.2}", table.labels.len());
    Ok([auroc, ap])
}

/// The same part of each label in both.
fn split(labels: &[bool], seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for wanted in [false, true] {
        let mut rows: Vec<usize> = (0..labels.len()).filter(|row| labels[*row] == wanted).collect();
        rows.shuffle(&mut rng);
        let (one, other) = rows.split_at(rows.len() * 6 / 10);
        train.extend(one);
        test.extend(other);
    }
    train.shuffle(&mut rng);
    (train, test)
}

fn read_split(file: &Path, rows: usize) -> Result<(Vec<usize>, Vec<usize>), Box<dyn Error>> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let test: Vec<usize> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let mut tested = vec![false; rows];
    for row in &test {
        *tested.get_mut(*row).ok_or_else(|| format!("{}: there is no row {row}", file.display()))? = true;
    }
    let mut train: Vec<usize> = (0..rows).filter(|row| !tested[*row]).collect();
    // The files are sorted by label; the detector holds out its last rows.
    train.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(0));
    Ok((train, test))
}
