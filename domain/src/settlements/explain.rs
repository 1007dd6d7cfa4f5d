//! How the lines of a settlement came about.
//!
//! Lines of an open settlement are calculated again as they are whenever somebody looks. Those of a closed one are what
//! was known when it closed: the accruals from before, the versions and what was paid beforehand as they were then, and
//! what the lines themselves say was carried in. Either way [`formula::check`] adds the steps up, and what does not lead
//! to the line is told and never shown.

use std::collections::HashMap;

use crate::caller::{Permission, Scoped};
use crate::contracts::contract::{ActiveVersion, Base, Terms};
use crate::contracts::{self, Period};
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::SettlementId;
use crate::money::{Asset, Units};

use super::chain::{self, Change};
use super::formula::{self, Sheet, Working};
use super::fund::FundKind;
use super::settlement::{
    Accrual, CarriedPlayers, Carry, Clauses, Counts, Funds, Line, LineCode, PlayerSum, YearTiers, counted_name, told,
};
use super::statement::{self, accrual_of, carry_of, line_of};
use super::{Settlement, State, funds, players, store, tables};

/// One line of a settlement, and how it came about.
#[derive(Clone, Debug)]
pub struct LineExplanation {
    pub settlement: Settlement,
    /// Counted from 1, in the order of the settlement's lines.
    pub position: i64,
    pub line: Line,
    pub asset: Asset,
    /// The clause in the terms of the line's version, such as `rateTable.rows.0`; nothing where none makes the line.
    pub path: Option<String>,
    pub steps: Working,
}

/// All that the lines of a settlement come from.
pub(super) struct Explained {
    pub asset: Asset,
    pub lines: Vec<Line>,
    /// Of each line, where it can still be told.
    pub workings: Vec<Option<Working>>,
    /// As they were known when it closed, or are now.
    pub versions: Vec<ActiveVersion>,
}

impl Scoped {
    /// How one line of a settlement came about; `position` counts from 1 in the order of its lines. Refused where the
    /// steps that are known do not lead to the line.
    pub async fn explain_line(&self, settlement: SettlementId, position: i64) -> Result<LineExplanation> {
        let mut all = self.explain_lines(settlement).await?;
        let place = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
        match place.filter(|place| *place < all.len()) {
            Some(place) => all.swap_remove(place),
            None => Err(Error::NotFound("settlement line")),
        }
    }

    /// How each line of a settlement came about, or why that cannot be told.
    pub async fn explain_lines(&self, settlement: SettlementId) -> Result<Vec<Result<LineExplanation>>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let row = store::by_id(&tx, settlement).await?.ok_or(Error::NotFound("settlement"))?;
        let Explained { asset, lines, workings, versions } = Box::pin(explained_in(&tx, &row)).await?;
        let explained = (1..).zip(lines.into_iter().zip(workings)).map(|(position, (line, steps))| {
            let steps = checked(&line, steps, &asset)?;
            let terms = versions.iter().find(|version| version.version == line.version).map(|version| &version.terms);
            let path = terms.and_then(|terms| path_of(&line, terms));
            Ok(LineExplanation { settlement: row.clone(), position, line, asset: asset.clone(), path, steps })
        });
        Ok(explained.collect())
    }
}

fn checked(line: &Line, working: Option<Working>, asset: &Asset) -> Result<Working, Problem> {
    let lost = "what it was made of when the settlement closed cannot be told any more".to_owned();
    let working = working.ok_or(lost);
    let working = working.and_then(|steps| formula::check(line, &steps, asset).map(|()| steps));
    working.map_err(|why| {
        Problem::new(
            Code::WrongState,
            "position",
            format!("the line {} cannot be explained: {why}", line.code.as_str()),
        )
    })
}

/// The clause that makes a line.
fn path_of(line: &Line, terms: &Terms) -> Option<String> {
    let of_class = || {
        let class = line.rate_class.as_ref()?;
        let row = terms.rate_table.rows.iter().position(|row| row.code == *class)?;
        Some(format!("rateTable.rows.{row}"))
    };
    let of_clause = || {
        let clause = line.clause.as_ref()?;
        let fee = terms.fees.iter().position(|fee| fee.code == *clause);
        fee.map(|fee| format!("fees.{fee}")).or_else(|| Some(clause.clone()))
    };
    match line.code {
        LineCode::Gross => Some("base".to_owned()),
        LineCode::Deduction => {
            let Base::Ngr(ngr) = &terms.base else { return None };
            let position = ngr.deductions.iter().position(|own| Some(&own.code) == line.clause.as_ref())?;
            Some(format!("base.ngr.deductions.{position}"))
        }
        LineCode::Base | LineCode::CarriedBase | LineCode::Units | LineCode::CarriedUnits => {
            Some("negative".to_owned())
        }
        LineCode::RingFenceOffset | LineCode::RingFenced => Some("ringFence".to_owned()),
        LineCode::RevenueShare | LineCode::PerUnit => of_class(),
        LineCode::Fee | LineCode::Cap | LineCode::Guarantee => of_clause(),
        LineCode::Correction => of_class().or_else(of_clause),
        LineCode::Drawn => Some("prepaid".to_owned()),
        LineCode::Recouped => Some("advance".to_owned()),
        LineCode::CarriedIn | LineCode::CarriedOut => Some("minimumPayout".to_owned()),
    }
}

pub(super) async fn explained_in(tx: &TenantTx, row: &Settlement) -> Result<Explained> {
    if row.state == State::Open.as_str() { open_in(tx, row).await } else { closed_in(tx, row).await }
}

async fn open_in(tx: &TenantTx, row: &Settlement) -> Result<Explained> {
    for own in statement::loaded_in(tx, &[row.contract_id]).await? {
        let statement::Chain { accounts, posted, beforehand, versions, asset } = own;
        if let Some((computed, workings)) =
            chain::explained(&accounts, &posted, &beforehand, &versions, &asset, row.id)?
        {
            let workings = workings.into_iter().map(Some).collect();
            return Ok(Explained { asset, lines: computed.lines, workings, versions });
        }
    }
    Err(Error::NotFound("settlement"))
}

async fn closed_in(tx: &TenantTx, row: &Settlement) -> Result<Explained> {
    let asset = statement::asset_of(&statement::assets_in(tx, std::iter::once(row)).await?, &row.currency)?;
    let lines = lines_in(tx, row.id).await?;
    let versions = versions_at_close_in(tx, row).await?;
    let accruals = store::accruals(tx, &[row.id]).await?.into_iter().filter(|accrual| !accrual.late);
    let accruals: Vec<Accrual> = accruals.map(accrual_of).collect::<Result<_, _>>()?;
    let ids = [row.id];
    let players = players::sums_in(tx, &ids, versions.iter()).await?.remove(&row.id).unwrap_or_default();
    let players: Vec<PlayerSum> = players.into_iter().filter(|sum| !sum.late).collect();
    let counts = Counts { accruals: &accruals, players: &players };
    let period = Period { start: row.period_start, end: row.period_end };
    let mut workings = vec![None; lines.len()];
    if !lines.is_empty() {
        let clauses = Clauses::new(&versions, &asset)?;
        let frozen = carry_of(row)?;
        let carried = Carry { players: players_in(row)?, ..carried_in(&lines, &frozen) };
        let tiers = tiers_before_in(tx, row, &frozen).await?;
        let funds = funds_at_close_in(tx, row, &versions).await?;
        let corrections = corrections_in(tx, row, &lines).await?;
        for (tiers, funds) in tiers.iter().flat_map(|tiers| funds.iter().map(move |funds| (tiers, funds))) {
            let carried = Carry { tiers: tiers.clone(), ..carried.clone() };
            let mut sheet = Sheet::new(true);
            for (line, working) in &corrections {
                sheet.push(line.clone(), || working.clone());
            }
            let Ok((computed, told)) = told(row.id, period, counts, &carried, sheet, funds, &clauses) else {
                continue;
            };
            take(&lines, &mut workings, &computed.lines, told);
            if workings.iter().all(Option::is_some) {
                break;
            }
        }
    }
    Ok(Explained { asset, lines, workings, versions })
}

/// Gives each line that has no working yet the one of the same line.
fn take(lines: &[Line], workings: &mut [Option<Working>], computed: &[Line], told: Vec<Working>) {
    let mut told: Vec<(&Line, Option<Working>)> = computed.iter().zip(told.into_iter().map(Some)).collect();
    for (line, working) in lines.iter().zip(workings).filter(|(_, working)| working.is_none()) {
        let same = told.iter_mut().find(|(other, left)| *other == line && left.is_some());
        *working = same.and_then(|(_, working)| working.take());
    }
}

async fn lines_in(tx: &TenantTx, id: SettlementId) -> Result<Vec<Line>> {
    Ok(store::lines(tx, &[id]).await?.into_iter().map(line_of).collect::<Result<_, _>>()?)
}

/// The versions that were ever activated, as they were known when a settlement closed, or are now.
pub(super) async fn versions_at_close_in(tx: &TenantTx, row: &Settlement) -> Result<Vec<ActiveVersion>> {
    let Some(closed_at) = row.closed_at else {
        let versions = contracts::versions_ever_active_of_in(tx, &[row.contract_id]).await?;
        return Ok(contracts::for_currency(versions, &row.currency));
    };
    let versions = contracts::versions_in(tx, &[row.contract_id], closed_at).await?.into_iter();
    let known = versions.filter(|version| version.activated_at.is_some_and(|activated| activated <= closed_at));
    let as_known = known.map(|version| {
        let version = version.active(row.partner_id);
        ActiveVersion { replaced_at: version.replaced_at.filter(|replaced| *replaced <= closed_at), ..version }
    });
    Ok(contracts::for_currency(as_known.collect(), &row.currency))
}

/// What the lines say was carried in, and what was carried on less what was added.
fn carried_in(lines: &[Line], frozen: &Carry) -> Carry {
    let mut carry = Carry { recouped: frozen.recouped, drawn: frozen.drawn, ..Carry::default() };
    for line in lines {
        let class = line.rate_class.clone().unwrap_or_default();
        match line.code {
            LineCode::CarriedBase => *carry.base.entry(class).or_default() = line.base.unwrap_or_default(),
            LineCode::CarriedUnits => {
                *carry.base.entry(counted_name(&class)).or_default() = line.base.unwrap_or_default();
            }
            LineCode::CarriedIn => carry.amount = line.amount,
            // Its amount is negative: what was recouped before is less.
            LineCode::Recouped => carry.recouped.0 = carry.recouped.0.saturating_add(line.amount.0),
            LineCode::Drawn => carry.drawn.0 = carry.drawn.0.saturating_sub(line.base.unwrap_or_default().0),
            _ => {}
        }
    }
    carry
}

/// What stood against players when it was calculated.
fn players_in(row: &Settlement) -> Result<CarriedPlayers> {
    let stood = statement::fenced_of(row)?.into_iter().map(|own| (own.player, own.carried_in));
    Ok(stood.filter(|(_, base)| *base != Units::ZERO).collect())
}

/// What may have filled the tiers of the year before: what the settlement before left, as it was frozen or as it is by
/// now, or nothing.
async fn tiers_before_in(tx: &TenantTx, row: &Settlement, frozen: &Carry) -> Result<Vec<YearTiers>> {
    let mut tiers = vec![YearTiers::default()];
    if frozen.tiers == YearTiers::default() {
        return Ok(tiers);
    }
    let rows = store::of_contracts(tx, &[row.contract_id]).await?;
    let before = rows.iter().rfind(|own| own.currency == row.currency && own.period_start < row.period_start);
    if let Some(before) = before {
        tiers.insert(0, carry_of(before)?.tiers);
    }
    let asset = statement::asset_of(&statement::assets_in(tx, std::iter::once(row)).await?, &row.currency)?;
    let versions = contracts::versions_ever_active_of_in(tx, &[row.contract_id]).await?;
    let window = Period { start: row.period_start, end: row.period_end };
    let (beforehand, _) = statement::standing_at_in(tx, row.contract_id, &versions, &asset, window).await?;
    tiers.push(beforehand.opening.tiers);
    Ok(tiers)
}

/// What may have been paid beforehand when a settlement closed: what was entered by then, or what is there by now.
async fn funds_at_close_in(tx: &TenantTx, row: &Settlement, versions: &[ActiveVersion]) -> Result<Vec<Funds>> {
    let own = versions.iter().any(|version| version.terms.advance.is_some() || version.terms.prepaid.is_some());
    if !own {
        return Ok(vec![Funds::default()]);
    }
    let then = entered_by_in(tx, row).await?;
    let own = HashMap::from([(row.contract_id, versions.to_vec())]);
    let now = funds::beforehand_in(tx, &[row.contract_id], &own).await?;
    let now = now.get(&(row.contract_id, row.currency.clone())).map(|beforehand| beforehand.funds);
    Ok(std::iter::once(then).chain(now).collect())
}

/// What was paid beforehand under a contract by the time that a settlement of it closed.
async fn entered_by_in(tx: &TenantTx, settlement: &Settlement) -> Result<Funds> {
    let mut funds = Funds::default();
    let closed_at = settlement.closed_at;
    for row in tables::funds(tx, &[settlement.contract_id]).await? {
        if row.currency != settlement.currency || closed_at.is_some_and(|closed_at| row.created_at > closed_at) {
            continue;
        }
        let sum = match FundKind::parse(&row.kind) {
            Some(FundKind::Advance) => &mut funds.advanced,
            Some(FundKind::Credit) => &mut funds.credit,
            _ => continue,
        };
        *sum = sum.checked_add(row.amount).map_err(|error| Fault::Corrupt(error.to_string()))?;
    }
    Ok(funds)
}

/// The corrections that a closed settlement posted, each with what was corrected and how.
async fn corrections_in(tx: &TenantTx, row: &Settlement, lines: &[Line]) -> Result<Vec<(Line, Working)>> {
    let of = |line: &&Line| line.code == LineCode::Correction;
    let corrected: Vec<SettlementId> = lines.iter().filter(of).filter_map(|line| line.corrects).collect();
    if corrected.is_empty() {
        return Ok(Vec::new());
    }
    let rows = store::of_contracts(tx, &[row.contract_id]).await?;
    let earlier = |id: SettlementId| rows.iter().any(|own| own.id == id && own.period_start < row.period_start);
    let mut frozen: HashMap<SettlementId, Vec<Line>> = HashMap::new();
    for line in store::lines(tx, &corrected).await? {
        frozen.entry(line.settlement_id).or_default().push(line_of(line)?);
    }
    let mut posted = Vec::new();
    for line in store::corrections_of(tx, &corrected).await?.into_iter().filter(|line| earlier(line.settlement_id)) {
        posted.push(line_of(line)?);
    }
    let mut all = Vec::new();
    for line in lines.iter().filter(of) {
        let mut change = Change::default();
        let then = line.corrects.and_then(|id| frozen.get(&id)).into_iter().flatten();
        for own in then.filter(|own| own.code.is_computed() && own.slot() == line.slot()) {
            change.then.add(own);
            change.now.add(own);
        }
        for own in posted.iter().filter(|own| own.corrects == line.corrects && own.slot() == line.slot()) {
            change.corrected.add(own);
            change.now.add(own);
        }
        change.now.add(line);
        let step = change.working(line.amount);
        let step = step.map_err(|error| Problem::new(Code::Overflow, "", error.to_string()))?;
        all.push((line.clone(), vec![step]));
    }
    Ok(all)
}
