//! A contract in plain words, for both sides to sign: what its terms say, clause by clause, each with an example that is
//! calculated as a settlement is. Both languages say the same statements (`say.rs`).

mod bench;
mod clauses;
mod example;
mod fences;
mod page;
mod parties;
pub(super) mod say;
mod table;
mod times;
mod working;

use super::contract::Terms;
use crate::notifications::Language;
use bench::Bench;
pub use clauses::Words;
pub use page::{Heading, page};
use say::say;

pub(super) use example::{Cliff, cliffs};
pub use say::Statement;
pub use working::step;

/// A part of the text, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    Validity,
    Role,
    Scope,
    Currency,
    Period,
    Base,
    Deductions,
    Negative,
    RingFence,
    Rates,
    Promotions,
    Fees,
    Cap,
    Guarantee,
    Prepaid,
    Advance,
    Rounding,
    MinimumPayout,
    Split,
    Payment,
    Changes,
    /// An example of a whole settlement.
    Whole,
}

impl Section {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validity => "VALIDITY",
            Self::Role => "ROLE",
            Self::Scope => "SCOPE",
            Self::Currency => "CURRENCY",
            Self::Period => "PERIOD",
            Self::Base => "BASE",
            Self::Deductions => "DEDUCTIONS",
            Self::Negative => "NEGATIVE",
            Self::RingFence => "RING_FENCE",
            Self::Rates => "RATES",
            Self::Promotions => "PROMOTIONS",
            Self::Fees => "FEES",
            Self::Cap => "CAP",
            Self::Guarantee => "GUARANTEE",
            Self::Prepaid => "PREPAID",
            Self::Advance => "ADVANCE",
            Self::Rounding => "ROUNDING",
            Self::MinimumPayout => "MINIMUM_PAYOUT",
            Self::Split => "SPLIT",
            Self::Payment => "PAYMENT",
            Self::Changes => "CHANGES",
            Self::Whole => "WHOLE",
        }
    }
}

/// One section in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClauseText {
    pub section: Section,
    pub title: String,
    pub sentences: Vec<String>,
    /// What it makes of round sums; empty where there is nothing to calculate.
    pub example: Vec<String>,
}

/// A section in no language yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub section: Section,
    pub sentences: Vec<Statement>,
    pub example: Vec<Statement>,
}

/// All that terms say. `words.asset` is the one of their currency.
pub fn told(terms: &Terms, words: &Words<'_>) -> Vec<Told> {
    let bench = Bench::new(terms, words);
    let told = |(section, sentences)| Told { section, sentences, example: example::of(section, &bench) };
    let mut all: Vec<Told> = clauses::sections(terms, words).into_iter().map(told).collect();
    let whole = example::of(Section::Whole, &bench);
    if !whole.is_empty() {
        all.push(Told { section: Section::Whole, sentences: Vec::new(), example: whole });
    }
    all
}

pub fn text(terms: &Terms, words: &Words<'_>, language: Language) -> Vec<ClauseText> {
    let said = |statements: &[Statement]| statements.iter().map(|one| one.in_language(language)).collect();
    let one = |told: Told| ClauseText {
        section: told.section,
        title: say!(format!("section.{}", told.section.as_str())).in_language(language),
        sentences: said(&told.sentences),
        example: said(&told.example),
    };
    told(terms, words).into_iter().map(one).collect()
}

#[cfg(test)]
mod tests;
