//! The parts of settlements that several parties share: kept when one closes, and listed for the party that has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use crate::caller::{Permission, Scoped};
use crate::contracts;
use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::ids::{ContractId, PartnerId, SettlementId};
use crate::money::{Asset, Minor, Rate};
use crate::page::{Page, PageRequest};

use super::formula::Step;
use super::holds::{Hold, held_of};
use super::parts::{self, Part};
use super::statement::{Statement, statements_in};
use super::tables::{self, party};
use super::{Settlement, State, store};

/// What a list of parts is sorted by: the settlement, the latest opened first, and the place of the part in it.
pub type PartKey = (Uuid, u8);

#[derive(Clone, Debug, Default)]
pub struct PartFilter {
    pub partner: Option<PartnerId>,
    pub contract: Option<ContractId>,
    pub state: Option<State>,
    pub currency: Option<String>,
}

/// What one party has of one settlement.
#[derive(Clone, Debug)]
pub struct PartOf {
    pub settlement: Settlement,
    pub asset: Asset,
    /// What all parties have together.
    pub total: Minor,
    pub part: Part,
    /// What of it is set aside.
    pub held: Minor,
    /// How it comes about.
    pub working: Step,
    /// Its place among the parties, from 0.
    pub position: u8,
}

impl PartOf {
    pub const fn key(&self) -> PartKey {
        (self.settlement.id.0, self.position)
    }

    /// All parts of a settlement, in the order of its parties.
    pub fn all(settlement: &Settlement, statement: &Statement, holds: &[Hold]) -> Result<Vec<Self>> {
        let held = parts::held(&statement.parts, held_of(statement, holds)?);
        let workings = parts::working(&statement.parts, statement.total);
        let parts = (0..).zip(&statement.parts).zip(held).zip(workings);
        let one = |(((position, part), held), working): (((u8, &Part), Minor), Step)| Self {
            settlement: settlement.clone(),
            asset: statement.asset.clone(),
            total: statement.total,
            part: part.clone(),
            held,
            working,
            position,
        };
        Ok(parts.map(one).collect())
    }
}

impl Scoped {
    /// Parts of settlements, the latest opened settlement first, and what the contract of each is called. A partner's
    /// user sees the parts of its partner, whoever's contract it is.
    pub async fn settlement_parts(
        &self,
        filter: &PartFilter,
        page: PageRequest<PartKey>,
    ) -> Result<Page<(PartOf, String)>> {
        self.require(Permission::Read)?;
        let mut filter = filter.clone();
        if let Some(own) = self.caller().partner() {
            if filter.partner.is_some_and(|asked| asked != own) {
                return Ok(Page::default());
            }
            filter.partner = Some(own);
        }
        let tx = self.read_for_parts().await?;
        let mut found = Vec::new();
        if filter.state != Some(State::Open) {
            let rows = tables::parties_page(&tx, &filter, &page).await?;
            let ids: BTreeSet<SettlementId> = rows.iter().map(|row| row.settlement_id).collect();
            found.extend(store::by_ids(&tx, &ids.into_iter().collect::<Vec<_>>()).await?);
        }
        if filter.state != Some(State::Closed) {
            found.extend(open_in(&tx, &filter).await?);
        }
        let statements = statements_in(&tx, &found).await?;
        let mut holds: HashMap<SettlementId, Vec<Hold>> = HashMap::new();
        for hold in store::holds_on(&tx, &found.iter().map(|row| row.id).collect::<Vec<_>>()).await? {
            holds.entry(hold.settlement_id).or_default().push(hold);
        }
        let mut all = Vec::new();
        for row in &found {
            let Some(statement) = statements.get(&row.id) else { continue };
            all.extend(PartOf::all(row, statement, holds.get(&row.id).map(Vec::as_slice).unwrap_or_default())?);
        }
        all.retain(|part| filter.partner.is_none_or(|partner| partner == part.part.partner));
        let order = |(settlement, position): PartKey| (std::cmp::Reverse(settlement), position);
        all.retain(|part| page.after.is_none_or(|after| order(after) < order(part.key())));
        all.sort_by_key(|part| order(part.key()));
        let page = Page::cut(all, &page);
        let contracts: BTreeSet<ContractId> = page.items.iter().map(|part| part.settlement.contract_id).collect();
        let names = contracts::names_in(&tx, &contracts.into_iter().collect::<Vec<_>>()).await?;
        Ok(page.map(|part| {
            let name = names.get(&part.settlement.contract_id).cloned().unwrap_or_default();
            (part, name)
        }))
    }
}

/// Open settlements of contracts that share out what they come to.
async fn open_in(tx: &TenantTx, filter: &PartFilter) -> Result<Vec<Settlement>> {
    let contracts = contracts::shared_out_in(tx, filter.contract).await?;
    let mut rows = store::of_contracts(tx, &contracts).await?;
    rows.retain(|row| row.is_open() && filter.currency.as_ref().is_none_or(|currency| *currency == row.currency));
    Ok(rows)
}

/// Keeps the parts of a settlement that closes.
pub(super) async fn freeze_in(tx: &TenantTx, row: &Settlement, parts: &[Part]) -> Result<()> {
    let rows = (0..).zip(parts).map(|(position, part)| party::Model {
        tenant_id: tx.tenant(),
        settlement_id: row.id,
        position,
        partner_id: part.partner,
        contract_id: row.contract_id,
        currency: row.currency.clone(),
        percent: part.percent.to_string(),
        weight: part.weight.to_string(),
        amount: part.amount,
    });
    Ok(tables::insert_parties(tx, rows.collect()).await?)
}

/// The parts that closed settlements have kept.
pub(super) async fn frozen_in(
    tx: &TenantTx,
    settlements: &[SettlementId],
) -> Result<BTreeMap<SettlementId, Vec<Part>>> {
    let mut parts: BTreeMap<SettlementId, Vec<Part>> = BTreeMap::new();
    for row in tables::parties(tx, settlements).await? {
        let rate = |text: &str| {
            Rate::parse(text).map_err(|_| Fault::Corrupt(format!("part {} of {}", row.position, row.settlement_id)))
        };
        let part = Part {
            partner: row.partner_id,
            percent: rate(&row.percent)?,
            weight: rate(&row.weight)?,
            amount: row.amount,
        };
        parts.entry(row.settlement_id).or_default().push(part);
    }
    Ok(parts)
}
