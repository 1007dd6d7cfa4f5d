//! The one rule for late facts: a contract's settlements as a chain, from the first closed one that late facts
//! changed to the open ones.
//!
//! A closed settlement keeps its lines. It is calculated again from all its accruals, late ones included, with the
//! base that its predecessor now carries; what comes out differently, per version and rate class and less the
//! corrections already posted for it, becomes correction lines of the earliest open settlement. The recomputed base
//! is what open settlements go on with. The carried *amount* is cash that was or was not paid, so it follows what
//! was frozen.
//!
//! Nothing here remembers: the same accruals, frozen lines and posted corrections give the same chain, so a
//! correction appears once, in the open settlement until that closes, and in none after.

use std::collections::BTreeMap;

use super::settlement::{Accrual, CarriedBase, Carry, Clauses, Computed, Line, LineCode, compute, overflow, shares};
use crate::contracts::Period;
use crate::contracts::contract::ActiveVersion;
use crate::error::Problem;
use crate::ids::SettlementId;
use crate::money::{Asset, Minor, Units};

pub use super::State;

/// One settlement of the chain as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: SettlementId,
    pub period: Period,
    pub state: State,
    /// Both those from before it closed and late ones. A late row stays when it comes to nothing: it tells that later
    /// settlements may have been frozen while it came to something.
    pub accruals: Vec<Accrual>,
    /// What closing froze; `None` while it is open, and for a period that nobody settled before later ones closed.
    pub frozen: Option<Frozen>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frozen {
    pub lines: Vec<Line>,
    pub carry_out: Carry,
}

/// All settlements of one contract and currency, in the order of their periods: closed ones as they are frozen, open
/// ones calculated. `posted` are the correction lines frozen in closed settlements; `versions` the contract's active
/// ones. While no settlement is open, corrections wait for the next one to open.
pub fn chain(
    accounts: &[Account],
    posted: &[Line],
    versions: &[ActiveVersion],
    asset: &Asset,
) -> Result<Vec<Computed>, Problem> {
    let clauses = Clauses::new(versions, asset)?;
    let mut accounts: Vec<&Account> = accounts.iter().collect();
    accounts.sort_by_key(|account| (account.period, account.id));
    // Once touched by late facts an account stays so, whatever they add up to by now: what was frozen after it, here
    // and in later accounts, reckoned with them.
    let is_touched = |account: &&Account| {
        account.state == State::Closed
            && (account.accruals.iter().any(|accrual| accrual.late)
                || posted.iter().any(|line| line.corrects == Some(account.id)))
    };
    let first_late = accounts.iter().position(is_touched);
    let mut chain = Vec::with_capacity(accounts.len());
    let mut carry = Carry::default();
    let mut due = Vec::new();
    for (position, account) in accounts.into_iter().enumerate() {
        let computed = match account.state {
            State::Closed => {
                let frozen = account.frozen.clone();
                if first_late.is_some_and(|first| first <= position) {
                    let (corrections, carried) = correct(account, posted, &carry.base, &clauses)?;
                    due.extend(corrections);
                    carry.base = carried;
                } else if let Some(frozen) = &frozen {
                    carry.base.clone_from(&frozen.carry_out.base);
                }
                let frozen = frozen.unwrap_or_else(|| Frozen { lines: Vec::new(), carry_out: carry.clone() });
                carry.amount = frozen.carry_out.amount;
                Computed::of(account.id, frozen.lines, frozen.carry_out, &account.accruals)?
            }
            State::Open => {
                let corrections = std::mem::take(&mut due);
                let computed = compute(account.id, account.period, &account.accruals, &carry, corrections, &clauses)?;
                carry = computed.carry_out.clone();
                computed
            }
        };
        chain.push(computed);
    }
    Ok(chain)
}

/// What a closed settlement would owe now, less what it owed and what was corrected since; and the base that it would
/// carry on.
fn correct(
    account: &Account,
    posted: &[Line],
    carried_in: &CarriedBase,
    clauses: &Clauses<'_>,
) -> Result<(Vec<Line>, CarriedBase), Problem> {
    let now = shares(clauses, &account.accruals, carried_in)?;
    let mut changes: BTreeMap<(i64, &str), (i128, i128)> = BTreeMap::new();
    let is_share = |line: &&Line| line.code == LineCode::RevenueShare;
    let frozen = account.frozen.iter().flat_map(|frozen| &frozen.lines).filter(is_share);
    let corrected = posted.iter().filter(|line| line.code == LineCode::Correction && line.corrects == Some(account.id));
    let present = now.lines.iter().filter(is_share).map(|line| (line, 1));
    for (line, sign) in present.chain(frozen.chain(corrected).map(|line| (line, -1))) {
        let (base, amount) = changes.entry((line.version, class_of(line))).or_default();
        *base += sign * i128::from(line.base.unwrap_or_default().0);
        *amount += sign * i128::from(line.amount.0);
    }
    let mut lines = Vec::new();
    for ((version, class), (base, amount)) in changes.into_iter().filter(|(_, (_, amount))| *amount != 0) {
        let named = |error| overflow(error, &format!("the correction of version {version}, rate class '{class}'"));
        lines.push(Line {
            code: LineCode::Correction,
            version,
            rate_class: (!class.is_empty()).then(|| class.to_owned()),
            base: Some(Units::narrow(base).map_err(named)?),
            rate: None,
            amount: Minor::narrow(amount).map_err(named)?,
            corrects: Some(account.id),
        });
    }
    lines.sort_by_cached_key(|line| {
        (clauses.place(line.version, class_of(line)), line.version, class_of(line).to_owned())
    });
    Ok((lines, now.carried))
}

fn class_of(line: &Line) -> &str {
    line.rate_class.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests;
