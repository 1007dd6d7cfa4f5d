//! What says that two tables are the same: how many rows they have, what their integers sum to, and a hash of all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::db::{Cell, Holds, Table};
use crate::secrets::{Hasher, hex};

/// Columns of money, whose sums people compare: transactions and accruals in accounting units, the rest in minor units.
const MONEY: [&str; 6] = ["amount", "balance", "base", "carried_amount", "posted", "total"];

/// Of one table of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub rows: u64,
    /// Of each column of integers, by its name; as text, because it may be larger than any number that JSON keeps.
    #[serde(with = "as_text")]
    pub sums: BTreeMap<String, i128>,
    /// SHA-256 in hexadecimal of the rows as a file has them, in the order of their key.
    pub sha256: String,
}

impl Figures {
    /// What the columns of money come to, which is what a controller compares.
    pub fn money(&self) -> impl Iterator<Item = (&str, i128)> {
        self.sums.iter().filter(|(name, _)| MONEY.contains(&name.as_str())).map(|(name, sum)| (name.as_str(), *sum))
    }

    /// How these figures differ from those that were expected.
    pub(super) fn differences(&self, table: &str, expected: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.rows != expected.rows {
            found.push(format!("{table}: {} rows instead of {}", self.rows, expected.rows));
        }
        for name in self.sums.keys().chain(expected.sums.keys().filter(|name| !self.sums.contains_key(*name))) {
            let sum = |figures: &Self| figures.sums.get(name).copied();
            if let (Some(own), Some(other)) = (sum(self), sum(expected)) {
                if own != other {
                    found.push(format!("{table}: the sum of {name} is {own} instead of {other}"));
                }
            } else {
                found.push(format!("{table}: the column {name} is summed on one side only"));
            }
        }
        if self.sha256 != expected.sha256 {
            found.push(format!("{table}: the hash of its rows is {} instead of {}", self.sha256, expected.sha256));
        }
        found
    }
}

/// Counts, sums and hashes as rows go by.
pub(super) struct Tally {
    rows: u64,
    /// Index of each column of integers, its name and its sum. No table has so many rows that 128 bits overflow.
    sums: Vec<(usize, String, i128)>,
    hasher: Hasher,
}

impl Tally {
    pub(super) fn new(table: &Table) -> Self {
        let integers = table.columns().enumerate().filter(|(_, (_, holds))| *holds == Holds::Integer);
        let sums = integers.map(|(index, (name, _))| (index, name.to_owned(), 0)).collect();
        Self { rows: 0, sums, hasher: Hasher::default() }
    }

    /// `line` is the row as a file has it.
    pub(super) fn add(&mut self, row: &[Cell], line: &str) {
        self.rows += 1;
        for (index, _, sum) in &mut self.sums {
            if let Some(Cell::Integer(number)) = row.get(*index) {
                *sum += i128::from(*number);
            }
        }
        self.hasher.update(line.as_bytes());
        self.hasher.update(b"\n");
    }

    pub(super) fn figures(self) -> Figures {
        let sums = self.sums.into_iter().map(|(_, name, sum)| (name, sum)).collect();
        Figures { rows: self.rows, sums, sha256: hex(&self.hasher.finish()) }
    }
}

mod as_text {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(sums: &BTreeMap<String, i128>, serializer: S) -> Result<S::Ok, S::Error> {
        sums.iter().map(|(name, sum)| (name, sum.to_string())).collect::<BTreeMap<_, _>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, i128>, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let sums = texts.into_iter().map(|(name, sum)| Ok((name, sum.parse().map_err(D::Error::custom)?)));
        sums.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_has_a_name() {
        let figures = Figures { rows: 2, sums: [("amount".to_owned(), 5)].into(), sha256: "aa".to_owned() };
        assert!(figures.differences("legs", &figures).is_empty());
        let other = Figures { rows: 3, sums: [("amount".to_owned(), 6)].into(), sha256: "bb".to_owned() };
        assert_eq!(
            figures.differences("legs", &other),
            [
                "legs: 2 rows instead of 3",
                "legs: the sum of amount is 5 instead of 6",
                "legs: the hash of its rows is aa instead of bb"
            ]
        );
        let without = Figures { sums: BTreeMap::new(), ..figures.clone() };
        assert_eq!(without.differences("legs", &figures), ["legs: the column amount is summed on one side only"]);
        assert_eq!(figures.differences("legs", &without), ["legs: the column amount is summed on one side only"]);
    }

    #[test]
    fn sums_are_exact_beyond_what_a_column_holds() {
        let sum = i128::from(i64::MAX) * 3;
        let figures = Figures { rows: 3, sums: [("amount".to_owned(), sum)].into(), sha256: String::new() };
        let json = serde_json::to_string(&figures).expect("JSON");
        assert!(json.contains("\"amount\":\"27670116110564327421\""), "{json}");
        assert_eq!(serde_json::from_str::<Figures>(&json).expect("read back"), figures);
    }
}
