//! A labelled table, and how well scores find its labels.

// Each example takes what it needs.
#![allow(dead_code)]

use std::error::Error;
use std::io::Read;
use std::path::Path;

pub struct Table {
    pub name: String,
    pub rows: Vec<Vec<f64>>,
    pub labels: Vec<bool>,
}

impl Table {
    pub fn read(file: &Path) -> Result<Self, Box<dyn Error>> {
        let text = read(file)?;
        let mut lines = text.lines();
        let header = lines.next().ok_or("the file is empty")?;
        let width = header.split(',').count();
        let (mut rows, mut labels) = (Vec::new(), Vec::new());
        for (number, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let at = |what: String| format!("line {}: {what}", number + 2);
            let values: Vec<f64> = line
                .split(',')
                .map(|field| match field.trim() {
                    "" | "NA" => Ok(f64::NAN),
                    field => field.parse().map_err(|_| at(format!("'{field}' is no number"))),
                })
                .collect::<Result<_, _>>()?;
            if values.len() != width {
                return Err(at(format!("{} fields instead of {width}", values.len())).into());
            }
            let (label, features) = values.split_last().ok_or("no columns")?;
            labels.push(match label {
                0.0 => false,
                1.0 => true,
                other => return Err(at(format!("the label is {other}, neither 0 nor 1")).into()),
            });
            rows.push(features.to_vec());
        }
        let name = file.file_name().and_then(|name| name.to_str()).ok_or("the file has no name")?;
        let name = name.trim_end_matches(".gz").trim_end_matches(".csv").to_owned();
        Ok(Self { name, rows, labels })
    }
}

/// The text of a file, decompressed where its name ends in `.gz`. Bytes that are no UTF-8 are replaced.
pub fn read(file: &Path) -> Result<String, Box<dyn Error>> {
    let bytes = std::fs::read(file)?;
    let bytes = if file.extension().is_some_and(|end| end == "gz") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain)?;
        plain
    } else {
        bytes
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Indices from the highest score to the lowest, in groups of equal scores: how many of each group are labelled, and
/// how many there are.
fn groups(scores: &[f64], labels: &[bool]) -> Vec<(f64, f64)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
    let groups = order.chunk_by(|one, other| scores[*one] == scores[*other]);
    groups.map(|group| (group.iter().filter(|row| labels[**row]).count() as f64, group.len() as f64)).collect()
}

/// The chance that something labelled scores higher than something that is not; equal scores count half.
pub fn auroc(scores: &[f64], labels: &[bool]) -> f64 {
    let groups = groups(scores, labels);
    let positives: f64 = groups.iter().map(|(positives, _)| positives).sum();
    let negatives = scores.len() as f64 - positives;
    let (mut above, mut area) = (0.0, 0.0);
    for (found, all) in groups {
        area += (all - found) * (above + found / 2.0);
        above += found;
    }
    area / (positives * negatives)
}

/// The precision at each labelled row from the top, averaged: as scikit-learn defines it.
pub fn average_precision(scores: &[f64], labels: &[bool]) -> f64 {
    let groups = groups(scores, labels);
    let positives: f64 = groups.iter().map(|(positives, _)| positives).sum();
    let (mut found, mut seen, mut sum) = (0.0, 0.0, 0.0);
    for (more, all) in groups {
        found += more;
        seen += all;
        sum += more / positives * found / seen;
    }
    sum
}
