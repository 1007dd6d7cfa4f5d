//! Scores real sales reports without their labels, and tells how well the scores find what inspectors called fraud:
//! `sales sales-inspections.csv.gz`.
//!
//! The detector is fitted to all reports, as they are: whoever looks for fraud has no clean ones either. Labels are
//! only read to count, on the reports that were inspected (a biased sample).

// A statistic is no money, and an example says what it found.
#![allow(clippy::float_arithmetic, clippy::print_stdout)]

mod table;

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use ml::{Detecting, Detector, Scratch};
use table::{auroc, average_precision};

const NAMES: [&str; 12] = [
    "ln of the value",
    "ln of the quantity",
    "ln of the unit price",
    "unit price against the product's",
    "the same without its sign",
    "quantity against the product's",
    "value against the salesperson's",
    "ln of the reports of the product",
    "ln of the reports of the salesperson",
    "ln of the reports of both",
    "the salesperson's median difference of prices",
    "what is missing",
];
/// Logarithms differ by so much without any meaning.
const LEAST_DEVIATION: f64 = 0.1;
/// The usual deviation of groups counts as much as so many reports of one's own.
const FEW: f64 = 20.0;
/// More than so many reports are many.
const OFTEN: f64 = 100.0;
/// A median absolute deviation of normal values times this is their standard deviation.
const NORMAL_MAD: f64 = 1.4826;

#[derive(Default)]
struct Reports {
    people: Vec<usize>,
    products: Vec<usize>,
    quantities: Vec<f64>,
    values: Vec<f64>,
    /// Whether it was called fraud, of what was inspected.
    fraud: Vec<Option<bool>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("usage: sales sales-inspections.csv.gz")?;
    let reports = read(Path::new(&file))?;
    let rows = features(&reports);
    let inspected: Vec<usize> = (0..rows.len()).filter(|row| reports.fraud[*row].is_some()).collect();
    let labels: Vec<bool> = inspected.iter().filter_map(|row| reports.fraud[*row]).collect();
    let fraud = labels.iter().filter(|fraud| **fraud).count();
    println!("{} reports, {} inspected, {fraud} fraud\n", rows.len(), labels.len());
    println!("| seed | AUROC | average precision | fit s |\n| --- | --- | --- | --- |");
    let mut sums = [0.0; 2];
    let seeds = 0..5;
    for seed in seeds.clone() {
        let begun = Instant::now();
        let detector = Detector::fit(&rows, Detecting { seed, ..Detecting::default() })?;
        let fit = begun.elapsed().as_secs_f64();
        let mut scratch = Scratch::new(detector.width());
        let scores: Vec<f64> = inspected.iter().map(|row| detector.score(&rows[*row], &mut scratch).sum).collect();
        let (area, precision) = (auroc(&scores, &labels), average_precision(&scores, &labels));
        println!("| {seed} | {area:.4} | {precision:.4} | {fit:.1} |");
        sums = [sums[0] + area, sums[1] + precision];
    }
    let [area, precision] = sums.map(|sum| sum / seeds.end as f64);
    println!("| **mean** | **{area:.4}** | **{precision:.4}** | |\n");
    println!("| feature alone, larger is odder | AUROC | average precision |\n| --- | --- | --- |");
    for (feature, name) in NAMES.iter().enumerate() {
        let known = inspected.iter().map(|row| rows[*row][feature]);
        let scores: Vec<f64> = known.map(|value| if value.is_nan() { 0.0 } else { value }).collect();
        println!("| {name} | {:.3} | {:.3} |", auroc(&scores, &labels), average_precision(&scores, &labels));
    }
    Ok(())
}

fn features(reports: &Reports) -> Vec<Vec<f64>> {
    let logarithms = |values: &[f64]| -> Vec<f64> {
        values.iter().map(|value| if *value > 0.0 { value.ln() } else { f64::NAN }).collect()
    };
    let (values, quantities) = (logarithms(&reports.values), logarithms(&reports.quantities));
    let prices: Vec<f64> = values.iter().zip(&quantities).map(|(value, quantity)| value - quantity).collect();
    let price = against(&reports.products, &prices);
    let quantity = against(&reports.products, &quantities);
    let value = against(&reports.people, &values);
    // What lies within one deviation is usual, and nearer to the middle is no odder.
    let apart: Vec<f64> = price.iter().map(|z| z.abs().max(1.0)).collect();
    let habit: HashMap<usize, f64> =
        grouped(&reports.people, &apart).into_iter().map(|(person, mut apart)| (person, median(&mut apart))).collect();
    let pairs: Vec<usize> =
        reports.people.iter().zip(&reports.products).map(|(person, product)| person << 32 | product).collect();
    let counts = [&reports.products, &reports.people, &pairs].map(|groups| counted(groups));
    let row = |row: usize| {
        vec![
            values[row],
            quantities[row],
            prices[row],
            price[row],
            apart[row],
            quantity[row],
            value[row],
            counts[0][row],
            counts[1][row],
            counts[2][row],
            habit.get(&reports.people[row]).copied().unwrap_or(f64::NAN),
            [values[row], quantities[row]].iter().filter(|value| value.is_nan()).count() as f64,
        ]
    };
    (0..values.len()).map(row).collect()
}

/// Robust z-scores within each group; the deviation of a small group is mostly that of a usual one.
fn against(groups: &[usize], values: &[f64]) -> Vec<f64> {
    let usual: HashMap<usize, (f64, f64, f64)> = grouped(groups, values)
        .into_iter()
        .map(|(group, mut values)| {
            let (count, middle) = (values.len() as f64, median(&mut values));
            values.iter_mut().for_each(|value| *value = (*value - middle).abs());
            (group, (middle, NORMAL_MAD * median(&mut values), count))
        })
        .collect();
    let general = median(&mut usual.values().map(|(_, deviation, _)| *deviation).collect::<Vec<_>>());
    let z = |(group, value): (&usize, &f64)| {
        let Some((middle, deviation, count)) = usual.get(group) else { return f64::NAN };
        (value - middle) / ((count * deviation + FEW * general) / (count + FEW)).max(LEAST_DEVIATION)
    };
    groups.iter().zip(values).map(z).collect()
}

/// What is a number, by group.
fn grouped(groups: &[usize], values: &[f64]) -> HashMap<usize, Vec<f64>> {
    let mut found: HashMap<usize, Vec<f64>> = HashMap::new();
    for (group, value) in groups.iter().zip(values).filter(|(_, value)| !value.is_nan()) {
        found.entry(*group).or_default().push(*value);
    }
    found
}

/// ln of how many are in the group of each: few are odd, and many are not.
fn counted(groups: &[usize]) -> Vec<f64> {
    let mut counts: HashMap<usize, f64> = HashMap::new();
    groups.iter().for_each(|group| *counts.entry(*group).or_default() += 1.0);
    groups.iter().map(|group| counts[group].min(OFTEN).ln()).collect()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

fn read(file: &Path) -> Result<Reports, Box<dyn Error>> {
    let text = table::read(file)?;
    let (mut reports, mut people, mut products) = (Reports::default(), HashMap::new(), HashMap::new());
    for (number, line) in text.lines().enumerate().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let &[person, product, quantity, value, inspection] = &fields[..] else {
            return Err(format!("line {}: {} fields", number + 1, fields.len()).into());
        };
        let amount = |field: &str| match field {
            "" | "NA" => Ok(f64::NAN),
            field => field.parse::<f64>(),
        };
        let next = people.len();
        reports.people.push(*people.entry(person).or_insert(next));
        let next = products.len();
        reports.products.push(*products.entry(product).or_insert(next));
        reports.quantities.push(amount(quantity)?);
        reports.values.push(amount(value)?);
        reports.fraud.push(match inspection {
            "ok" => Some(false),
            "fraud" => Some(true),
            _ => None,
        });
    }
    Ok(reports)
}
