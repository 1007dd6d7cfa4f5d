//! What is paid beforehand under a contract: kinds, and whether one may be recorded.

use serde::{Deserialize, Serialize};

use super::recoup::Lot;
use crate::contracts::contract::Terms;
use crate::error::{Code, Problem};
use crate::money::{Asset, Minor, Rate, Units};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FundKind {
    /// Paid to the partner, and recouped from what becomes due.
    Advance,
    /// Credit that was bought; its amount is its face value.
    Credit,
    /// What the supplier says is left of the credit.
    SupplierBalance,
}

impl FundKind {
    pub const ALL: [Self; 3] = [Self::Advance, Self::Credit, Self::SupplierBalance];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Advance => "ADVANCE",
            Self::Credit => "CREDIT",
            Self::SupplierBalance => "SUPPLIER_BALANCE",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a fund comes to in the books: its amount and what it costs.
pub fn check(
    kind: FundKind,
    amount: &str,
    percent: Option<Rate>,
    terms: &Terms,
    asset: &Asset,
) -> Result<(Minor, Minor), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut bad = |code, path: &str, message: String| problems.push(Problem::new(code, path, message));
    let lacks = match kind {
        FundKind::Advance => terms.advance.is_none().then_some("advance"),
        FundKind::Credit | FundKind::SupplierBalance => terms.prepaid.is_none().then_some("prepaid"),
    };
    if let Some(clause) = lacks {
        bad(Code::WrongState, "contractId", format!("its version in force has no clause '{clause}'"));
    }
    let amount = asset.parse_minor(amount);
    match &amount {
        Err(error) => bad(Code::BadAmount, "amount", error.to_string()),
        Ok(Minor::ZERO) if kind != FundKind::SupplierBalance => bad(Code::BadInput, "amount", "is nothing".to_owned()),
        Ok(amount) if *amount < Minor::ZERO && kind != FundKind::Advance => {
            bad(Code::NegativeAmount, "amount", "is negative".to_owned());
        }
        Ok(_) => {}
    }
    let cost = match (kind, percent) {
        (FundKind::Credit, None) => {
            bad(
                Code::BadInput,
                "percent",
                "is missing: what the credit costs, in per cent of its face value".to_owned(),
            );
            None
        }
        (FundKind::Credit, Some(percent)) if percent.is_negative() => {
            bad(Code::NegativeAmount, "percent", "is negative".to_owned());
            None
        }
        (FundKind::Credit, Some(percent)) => amount.as_ref().ok().and_then(|face| cost_of(*face, percent, asset)),
        (_, Some(_)) => {
            bad(Code::BadInput, "percent", "is the price of credit, and this is none".to_owned());
            None
        }
        (FundKind::Advance, None) => amount.as_ref().ok().copied(),
        (FundKind::SupplierBalance, None) => Some(Minor::ZERO),
    };
    match (amount, cost) {
        (Ok(amount), Some(cost)) if problems.is_empty() => Ok((amount, cost)),
        (Ok(_), None) if problems.is_empty() => Err(vec![Problem::new(Code::Overflow, "amount", "is too large")]),
        _ => Err(problems),
    }
}

fn cost_of(face: Minor, percent: Rate, asset: &Asset) -> Option<Minor> {
    let units = face.0.checked_mul(asset.units_per_minor()).map(Units)?;
    percent.of(units).round(asset, crate::money::Rounding::HalfEven).ok()
}

/// How a balance of prepaid credit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CreditState {
    Enough,
    Low,
    Empty,
}

impl CreditState {
    pub const ALL: [Self; 3] = [Self::Enough, Self::Low, Self::Empty];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enough => "ENOUGH",
            Self::Low => "LOW",
            Self::Empty => "EMPTY",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

pub fn credit_state(left: Units, low: Option<Minor>, asset: &Asset) -> CreditState {
    let low = low.map_or(0, |low| i128::from(low.0) * i128::from(asset.units_per_minor()));
    match i128::from(left.0) {
        left if left <= 0 => CreditState::Empty,
        left if left < low => CreditState::Low,
        _ => CreditState::Enough,
    }
}

/// Credit in the order in which it was bought.
pub fn lots<'a>(funds: impl IntoIterator<Item = &'a super::FundEntry>) -> Vec<Lot> {
    let credit = funds.into_iter().filter(|fund| fund.kind == FundKind::Credit.as_str());
    credit.map(|fund| Lot { face: fund.amount, cost: fund.cost }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contracts::fixtures::terms;

    fn checked(kind: FundKind, amount: &str, percent: Option<&str>) -> Result<(i64, i64), Vec<String>> {
        let clause = if kind == FundKind::Advance { json!({ "advance": {} }) } else { json!({ "prepaid": {} }) };
        let percent = percent.map(|percent| Rate::parse(percent).expect("a rate"));
        let checked = check(kind, amount, percent, &terms(clause), &Asset::new("BIT", 2));
        checked
            .map(|(amount, cost)| (amount.0, cost.0))
            .map_err(|problems| problems.into_iter().map(|problem| problem.path).collect())
    }

    #[test]
    fn credit_has_a_price_and_nothing_else_does() {
        assert_eq!(checked(FundKind::Credit, "100000", Some("12")), Ok((10_000_000, 1_200_000)));
        assert_eq!(checked(FundKind::Advance, "20000", None), Ok((2_000_000, 2_000_000)));
        assert_eq!(checked(FundKind::Advance, "-5", None), Ok((-500, -500)), "paid back");
        assert_eq!(checked(FundKind::SupplierBalance, "0", None), Ok((0, 0)));
        assert_eq!(checked(FundKind::Credit, "1", None), Err(vec!["percent".to_owned()]));
        assert_eq!(checked(FundKind::Credit, "-1", Some("-1")), Err(vec!["amount".to_owned(), "percent".to_owned()]));
        assert_eq!(checked(FundKind::Advance, "0", Some("1")), Err(vec!["amount".to_owned(), "percent".to_owned()]));
        let without = check(FundKind::Advance, "1", None, &terms(json!({})), &Asset::new("BIT", 2));
        assert_eq!(without.map_err(|problems| problems[0].path.clone()), Err("contractId".to_owned()));
    }

    #[test]
    fn a_balance_is_low_below_its_mark_and_empty_at_nothing() {
        let asset = Asset::new("BIT", 2);
        let state = |left: i64| credit_state(Units(left * 10_000), Some(Minor(100)), &asset);
        assert_eq!(
            (state(100), state(99), state(0), state(-5)),
            (CreditState::Enough, CreditState::Low, CreditState::Empty, CreditState::Empty)
        );
        assert_eq!(credit_state(Units(1), None, &asset), CreditState::Enough);
    }
}
