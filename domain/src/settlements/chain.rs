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

use super::formula::{Sheet, Step, StepKind, Value, Working};
use super::settlement::{
    Accrual, Carry, Clauses, Computed, Counts, Funds, Line, LineCode, PlayerSum, overflow, shares, told,
};
use crate::contracts::Period;
use crate::contracts::contract::ActiveVersion;
use crate::error::Problem;
use crate::ids::SettlementId;
use crate::money::{Asset, Minor, MoneyError, Units};

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
    /// Likewise.
    pub players: Vec<PlayerSum>,
    /// What closing froze; `None` while it is open, and for a period that nobody settled before later ones closed.
    pub frozen: Option<Frozen>,
}

impl Account {
    fn counts(&self) -> Counts<'_> {
        Counts { accruals: &self.accruals, players: &self.players }
    }

    /// Whether late facts, or a correction, changed it after it closed.
    fn is_late(&self) -> bool {
        self.accruals.iter().any(|accrual| accrual.late) || self.players.iter().any(|sum| sum.late)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frozen {
    pub lines: Vec<Line>,
    pub carry_out: Carry,
}

/// What a chain begins with, and what was paid beforehand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beforehand {
    /// Carried into the first settlement of all: balances with which a contract moved in.
    pub opening: Carry,
    pub funds: Funds,
}

/// All settlements of one contract and currency, in the order of their periods: closed ones as they are frozen, open
/// ones calculated. `posted` are the correction lines frozen in closed settlements; `versions` the contract's active
/// ones. While no settlement is open, corrections wait for the next one to open.
pub fn chain(
    accounts: &[Account],
    posted: &[Line],
    beforehand: &Beforehand,
    versions: &[ActiveVersion],
    asset: &Asset,
) -> Result<Vec<Computed>, Problem> {
    walk(accounts, posted, beforehand, versions, asset, None).map(|walked| walked.chain)
}

/// The open settlement `of` of such a chain, with the working of each of its lines.
pub(super) fn explained(
    accounts: &[Account],
    posted: &[Line],
    beforehand: &Beforehand,
    versions: &[ActiveVersion],
    asset: &Asset,
    of: SettlementId,
) -> Result<Option<(Computed, Vec<Working>)>, Problem> {
    let Walked { chain, workings, .. } = walk(accounts, posted, beforehand, versions, asset, Some(of))?;
    Ok(chain.into_iter().find(|computed| computed.id == of).zip(workings))
}

/// What such a chain carries into the period after its last one, as of now: late facts count in it.
pub fn carried(
    accounts: &[Account],
    posted: &[Line],
    beforehand: &Beforehand,
    versions: &[ActiveVersion],
    asset: &Asset,
) -> Result<Carry, Problem> {
    walk(accounts, posted, beforehand, versions, asset, None).map(|walked| walked.carry)
}

struct Walked {
    chain: Vec<Computed>,
    carry: Carry,
    /// Of the lines of the settlement that was asked about, while it is open.
    workings: Option<Vec<Working>>,
}

fn walk(
    accounts: &[Account],
    posted: &[Line],
    beforehand: &Beforehand,
    versions: &[ActiveVersion],
    asset: &Asset,
    asked: Option<SettlementId>,
) -> Result<Walked, Problem> {
    let clauses = Clauses::new(versions, asset)?;
    let mut accounts: Vec<&Account> = accounts.iter().collect();
    accounts.sort_by_key(|account| (account.period, account.id));
    // Once touched by late facts an account stays so, whatever they add up to by now: what was frozen after it, here
    // and in later accounts, reckoned with them.
    let is_touched = |account: &&Account| {
        account.state == State::Closed
            && (account.is_late() || posted.iter().any(|line| line.corrects == Some(account.id)))
    };
    let first_late = accounts.iter().position(is_touched);
    let mut chain = Vec::with_capacity(accounts.len());
    let mut carry = beforehand.opening.clone();
    let (mut due, mut workings) = (Sheet::new(asked.is_some()), None);
    for (position, account) in accounts.into_iter().enumerate() {
        let computed = match account.state {
            State::Closed => {
                let frozen = account.frozen.clone();
                if first_late.is_some_and(|first| first <= position) {
                    let (corrections, carried) = correct(account, posted, &carry, &clauses)?;
                    due.extend(corrections);
                    carry = carried;
                } else if let Some(frozen) = &frozen {
                    carry.clone_from(&frozen.carry_out);
                }
                let frozen = frozen.unwrap_or_else(|| Frozen { lines: Vec::new(), carry_out: carry.clone() });
                // What is cash follows what was frozen.
                let Carry { amount, recouped, drawn, .. } = frozen.carry_out;
                carry = Carry { amount, recouped, drawn, ..carry };
                Computed::of(account.id, frozen.lines, frozen.carry_out, &account.accruals)?
            }
            State::Open => {
                let corrections = std::mem::replace(&mut due, Sheet::new(asked.is_some()));
                let (id, period, counts) = (account.id, account.period, account.counts());
                let (computed, told) = told(id, period, counts, &carry, corrections, &beforehand.funds, &clauses)?;
                if asked == Some(id) {
                    workings = Some(told);
                }
                carry = computed.carry_out.clone();
                computed
            }
        };
        chain.push(computed);
    }
    Ok(Walked { chain, carry, workings })
}

/// What a closed settlement would owe now, less what it owed and what was corrected since; and what it would carry on
/// but for money.
fn correct(
    account: &Account,
    posted: &[Line],
    carried_in: &Carry,
    clauses: &Clauses<'_>,
) -> Result<(Sheet, Carry), Problem> {
    let now = shares(clauses, account.period, account.counts(), carried_in, false)?;
    let mut changes: BTreeMap<(i64, &str, &str), Change> = BTreeMap::new();
    let is_computed = |line: &&Line| line.code.is_computed();
    let frozen = account.frozen.iter().flat_map(|frozen| &frozen.lines).filter(is_computed);
    let corrected = posted.iter().filter(|line| line.code == LineCode::Correction && line.corrects == Some(account.id));
    for line in now.sheet.lines.iter().filter(is_computed) {
        changes.entry(line.slot()).or_default().now.add(line);
    }
    for line in frozen {
        changes.entry(line.slot()).or_default().then.add(line);
    }
    for line in corrected {
        changes.entry(line.slot()).or_default().corrected.add(line);
    }
    let mut lines = Vec::new();
    for ((version, class, clause), change) in changes.into_iter().filter(|(_, change)| change.amount() != 0) {
        let named = |error| overflow(error, &format!("the correction of version {version}, '{class}{clause}'"));
        let line = Line::plain(LineCode::Correction, version, Minor::narrow(change.amount()).map_err(named)?);
        let line = Line {
            rate_class: (!class.is_empty()).then(|| class.to_owned()),
            clause: (!clause.is_empty()).then(|| clause.to_owned()),
            base: Some(Units::narrow(change.base()).map_err(named)?),
            corrects: Some(account.id),
            ..line
        };
        lines.push((line, change));
    }
    lines.sort_by_cached_key(|(line, _)| {
        let (version, class, clause) = line.slot();
        (clauses.place(version, class), version, class.to_owned(), clause.to_owned())
    });
    let mut sheet = Sheet::new(true);
    for (line, change) in lines {
        let working = vec![change.working(line.amount).map_err(|error| overflow(error, "a correction"))?];
        sheet.push(line, || working);
    }
    Ok((sheet, Carry { base: now.base, players: now.players, tiers: now.tiers, ..carried_in.clone() }))
}

/// What a line of a closed settlement comes to: now, when it closed, and what was corrected since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Change {
    pub now: Amounts,
    pub then: Amounts,
    pub corrected: Amounts,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amounts {
    base: i128,
    amount: i128,
}

impl Amounts {
    pub fn add(&mut self, line: &Line) {
        self.base += i128::from(line.base.unwrap_or_default().0);
        self.amount += i128::from(line.amount.0);
    }
}

impl Change {
    const fn amount(&self) -> i128 {
        self.now.amount - self.then.amount - self.corrected.amount
    }

    const fn base(&self) -> i128 {
        self.now.base - self.then.base - self.corrected.base
    }

    /// How a correction of this amount comes about.
    pub fn working(&self, amount: Minor) -> Result<Step, MoneyError> {
        let minor = |amounts: Amounts| Minor::narrow(amounts.amount).map(Value::Minor);
        let mut values =
            vec![("now", minor(self.now)?), ("then", minor(self.then)?), ("corrected", minor(self.corrected)?)];
        let bases = [("baseNow", self.now), ("baseThen", self.then), ("baseCorrected", self.corrected)];
        for (name, amounts) in bases {
            values.push((name, Value::Units(Units::narrow(amounts.base)?)));
        }
        Ok(Step::new(StepKind::Corrected, values, Value::Minor(amount)))
    }
}

#[cfg(test)]
mod tests;
