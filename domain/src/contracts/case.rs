//! A stored test case: transactions as they might come, and what a version has to make of them. `trial.rs` runs it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Problem};
use crate::ids::SourceId;
use crate::money::{Asset, Minor, MoneyError, Units};
use crate::settlements::settlement::{Carry, Funds, LineCode};
use crate::transactions::transaction::{Draft, Fact, Known, Player};

/// Cases of one contract.
pub const MOST_CASES: usize = 200;
/// Transactions of one case.
pub const MOST_FACTS: usize = 1_000;
/// Lines that one case expects, and products and players that it describes.
const MOST_ENTRIES: usize = 1_000;

/// Amounts are texts in major units of the version's currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TestCase {
    /// Once in a contract.
    pub name: String,
    /// Of one period; each is from a source in the version's scope.
    pub facts: Vec<Draft>,
    /// Categories by product; other products have none.
    pub products: BTreeMap<String, String>,
    /// By the names that the facts have.
    pub players: BTreeMap<String, CasePlayer>,
    /// Negative bases that the period before carries in, by rate class or under the empty name for all together.
    pub carried_base: BTreeMap<String, String>,
    /// What the period before left below the minimum payout.
    pub carried_amount: Option<String>,
    /// Advances that are not recouped yet.
    pub advanced: Option<String>,
    /// Prepaid credit that is left, at its face value.
    pub credit: Option<String>,
    pub expected: Expected,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CasePlayer {
    pub segment: Option<String>,
    pub tags: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Expected {
    pub total: String,
    /// All lines that have an amount; where absent, only the total is compared.
    pub lines: Option<Vec<ExpectedLine>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedLine {
    /// As lines have it: `REVENUE_SHARE`.
    pub code: String,
    pub rate_class: Option<String>,
    /// Of a fee or a bound, which one; a line without stands for all of its code and class that are not expected with
    /// theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    pub amount: String,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseResult {
    pub name: String,
    /// Why it could not be calculated at all.
    pub problem: Option<Problem>,
    /// Each line with an amount, expected or there.
    pub lines: Vec<Compared>,
    pub total: Compared,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    pub code: String,
    pub rate_class: Option<String>,
    #[serde(default)]
    pub clause: Option<String>,
    /// Major units; absent where the case does not expect such a line, or does not say.
    pub expected: Option<String>,
    /// Absent where there is no such line.
    pub got: Option<String>,
    pub matches: bool,
}

impl CaseResult {
    pub fn passed(&self) -> bool {
        self.problem.is_none() && self.total.matches && self.lines.iter().all(|line| line.matches)
    }

    /// What is not as expected, in one sentence.
    pub fn told(&self) -> String {
        if let Some(problem) = &self.problem {
            return format!("'{}' cannot be calculated: {problem}", self.name);
        }
        let shown = |amount: &Option<String>| amount.clone().unwrap_or_else(|| "no such line".to_owned());
        let differs = self.lines.iter().filter(|line| !line.matches).map(|line| {
            let of: String =
                [&line.rate_class, &line.clause].into_iter().flatten().map(|of| format!(" {of}")).collect();
            format!("{}{of}: expected {}, got {}", line.code, shown(&line.expected), shown(&line.got))
        });
        let total = (!self.total.matches)
            .then(|| format!("total: expected {}, got {}", shown(&self.total.expected), shown(&self.total.got)));
        let all: Vec<String> = differs.chain(total).collect();
        format!("'{}': {}", self.name, all.join("; "))
    }
}

/// What of a case is wrong whatever version it runs under; paths are relative to it.
pub fn check(case: &TestCase, asset: &Asset, assets: &HashMap<String, Asset>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut bad = |path: String, message: String| problems.push(Problem::new(Code::BadInput, path, message));
    for (path, length, most) in [
        ("facts", case.facts.len(), MOST_FACTS),
        ("products", case.products.len(), MOST_ENTRIES),
        ("players", case.players.len(), MOST_ENTRIES),
        ("carriedBase", case.carried_base.len(), MOST_ENTRIES),
        ("expected.lines", case.expected.lines.as_ref().map_or(0, Vec::len), MOST_ENTRIES),
    ] {
        if length > most {
            bad(path.to_owned(), format!("has {length} entries; {most} are allowed"));
        }
    }
    for (position, line) in case.expected.lines.iter().flatten().enumerate() {
        if LineCode::parse(&line.code).is_none() {
            bad(format!("expected.lines.{position}.code"), format!("'{}' is no code of a line", line.code));
        }
    }
    if !problems.is_empty() {
        return problems;
    }
    problems.extend(amounts(case, asset).err());
    problems.extend(facts(case, SourceId::NONE, assets).err());
    problems
}

/// A player by its place among those that the case describes. All others are one, of whom nothing is said.
pub(super) fn pseudonym(case: &TestCase, name: &str) -> Player {
    let place = case.players.keys().position(|known| known == name);
    place.map_or(u128::MAX, |place| place as u128).to_be_bytes()
}

struct OfCase<'c> {
    case: &'c TestCase,
    assets: &'c HashMap<String, Asset>,
}

impl Known for OfCase<'_> {
    fn asset(&self, code: &str) -> Option<Asset> {
        self.assets.get(code).cloned().or_else(|| Asset::iso(code))
    }

    fn has_product(&self, _: &str) -> bool {
        true
    }

    fn player(&self, name: &str) -> Player {
        pseudonym(self.case, name)
    }
}

pub(super) fn facts(case: &TestCase, source: SourceId, assets: &HashMap<String, Asset>) -> Result<Vec<Fact>, Problem> {
    let known = OfCase { case, assets };
    let fact = |(position, draft): (usize, &Draft)| {
        draft.check(source, &known).map_err(|problem| problem.under(&format!("facts.{position}")))
    };
    case.facts.iter().enumerate().map(fact).collect()
}

/// What is carried in.
pub(super) fn amounts(case: &TestCase, asset: &Asset) -> Result<Carry, Problem> {
    let named = |path: String, error: MoneyError| Problem::new(Code::BadAmount, path, error.to_string());
    let mut carry = Carry::default();
    for (class, base) in &case.carried_base {
        let base = asset.parse_units(base).map_err(|error| named("carriedBase".to_owned(), error))?;
        if base > Units::ZERO {
            let message = format!("what '{class}' carries is not negative, and only what is negative is carried");
            return Err(Problem::new(Code::BadInput, "carriedBase", message));
        }
        carry.base.insert(class.clone(), base);
    }
    if let Some(amount) = &case.carried_amount {
        carry.amount = asset.parse_minor(amount).map_err(|error| named("carriedAmount".to_owned(), error))?;
    }
    expected(case, asset)?;
    funds(case, asset)?;
    Ok(carry)
}

/// What was paid beforehand.
pub(super) fn funds(case: &TestCase, asset: &Asset) -> Result<Funds, Problem> {
    let amount = |path: &str, text: &Option<String>| {
        let amount = asset.parse_minor(text.as_deref().unwrap_or("0"));
        match amount.map_err(|error| Problem::new(Code::BadAmount, path, error.to_string()))? {
            amount if amount < Minor::ZERO => Err(Problem::new(Code::NegativeAmount, path, "is negative")),
            amount => Ok(amount),
        }
    };
    Ok(Funds { advanced: amount("advanced", &case.advanced)?, credit: amount("credit", &case.credit)? })
}

/// Where a line's amount belongs: its code, class and clause.
pub(super) type Place = (LineCode, Option<String>, Option<String>);
pub(super) type Lines = BTreeMap<Place, i128>;

pub(super) fn expected(case: &TestCase, asset: &Asset) -> Result<(Minor, Option<Lines>), Problem> {
    let named = |path: String, error: MoneyError| Problem::new(Code::BadAmount, path, error.to_string());
    let total = asset.parse_minor(&case.expected.total);
    let total = total.map_err(|error| named("expected.total".to_owned(), error))?;
    let Some(all) = &case.expected.lines else { return Ok((total, None)) };
    let mut lines = Lines::new();
    for (position, line) in all.iter().enumerate() {
        let path = format!("expected.lines.{position}.amount");
        let amount = asset.parse_minor(&line.amount).map_err(|error| named(path, error))?;
        if let Some(code) = LineCode::parse(&line.code) {
            *lines.entry((code, line.rate_class.clone(), line.clause.clone())).or_default() += i128::from(amount.0);
        }
    }
    Ok((total, Some(lines)))
}
