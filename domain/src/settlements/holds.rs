//! Holds: lines of settlements that a confirmed case sets aside. They keep nothing from closing; what is held of a
//! closed settlement stands in the ledger's account for it instead of in what is payable.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::caller::{Permission, Scoped};
use crate::clock::Clock;
use crate::contracts::Feed;
use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::events;
use crate::ids::{CaseId, PartnerId, SettlementId};
use crate::ledger::{self, Posted};
use crate::money::Minor;

use super::statement::{Statement, statements_in};
use super::{Settlement, hold, parts, store};

pub use store::hold::Model as Hold;

impl Scoped {
    /// The holds on some settlements that nobody has released.
    pub async fn holds(&self, ids: &[SettlementId]) -> Result<HashMap<SettlementId, Vec<Hold>>> {
        self.require(Permission::Read)?;
        let mut holds: HashMap<SettlementId, Vec<Hold>> = HashMap::new();
        for row in store::holds_on(&self.read().await?, ids).await? {
            holds.entry(row.settlement_id).or_default().push(row);
        }
        Ok(holds)
    }
}

/// What is held of a statement under these holds.
pub fn held_of(statement: &Statement, holds: &[Hold]) -> Result<Minor> {
    let classes: BTreeSet<String> = holds.iter().map(|hold| hold.rate_class.clone()).collect();
    let held = hold::held(&statement.lines, statement.total, &classes);
    Ok(held.map_err(|error| Fault::Internal(error.to_string()))?)
}

/// Sets aside the lines that these feeds add to. Those that a case holds already it holds on.
pub(crate) async fn hold_in(tx: &TenantTx, clock: &Clock, case: CaseId, feeds: &[Feed]) -> Result<()> {
    let contracts: BTreeSet<_> = feeds.iter().map(|feed| feed.contract).collect();
    let contracts: Vec<_> = contracts.into_iter().collect();
    let mut places: HashMap<_, Vec<&Settlement>> = HashMap::new();
    let settlements = store::of_contracts(tx, &contracts).await?;
    for row in &settlements {
        places.entry((row.contract_id, row.period_start)).or_default().push(row);
    }
    let mut touched: BTreeMap<SettlementId, &Settlement> = BTreeMap::new();
    for feed in feeds {
        for row in places.get(&(feed.contract, feed.period.start)).into_iter().flatten() {
            store::place_hold(tx, row.id, &feed.class, case, clock.now()).await?;
            touched.insert(row.id, row);
        }
    }
    settle_in(tx, clock, &touched.into_values().collect::<Vec<_>>()).await
}

/// Releases whatever a case holds.
pub(crate) async fn release_in(tx: &TenantTx, clock: &Clock, case: CaseId) -> Result<()> {
    let released = store::holds_of(tx, case).await?;
    store::release_holds(tx, case, clock.now()).await?;
    let ids: BTreeSet<SettlementId> = released.iter().map(|hold| hold.settlement_id).collect();
    let settlements = store::by_ids(tx, &ids.into_iter().collect::<Vec<_>>()).await?;
    settle_in(tx, clock, &settlements.iter().collect::<Vec<_>>()).await
}

/// Brings the ledger of those that are closed up to what is held now, and tells of all.
async fn settle_in(tx: &TenantTx, clock: &Clock, settlements: &[&Settlement]) -> Result<()> {
    let closed: Vec<Settlement> = settlements.iter().filter(|row| !row.is_open()).map(|row| (*row).clone()).collect();
    let statements = statements_in(tx, &closed).await?;
    for row in &closed {
        let Some(statement) = statements.get(&row.id) else { continue };
        post_in(tx, clock, row, statement).await?;
    }
    events::announce_settlements(tx, settlements.iter().copied());
    Ok(())
}

/// Posts what is held of a closed settlement, as far as it differs from what was posted before.
pub(super) async fn post_in(tx: &TenantTx, clock: &Clock, row: &Settlement, statement: &Statement) -> Result<()> {
    let holds = store::holds_on(tx, &[row.id]).await?;
    let book = ledger::Book { settlement: row.id, partner: row.partner_id, currency: &row.currency };
    ledger::hold_in(tx, clock, &book, &held_by(row, statement, &holds)?).await
}

/// What is held, by whom it is owed to: of each party in proportion to its part.
fn held_by(row: &Settlement, statement: &Statement, holds: &[Hold]) -> Result<BTreeMap<PartnerId, Minor>> {
    let held = held_of(statement, holds)?;
    if statement.parts.is_empty() {
        return Ok(BTreeMap::from([(row.partner_id, held)]));
    }
    let partners = statement.parts.iter().map(|part| part.partner);
    Ok(partners.zip(parts::held(&statement.parts, held)).collect())
}

/// Closed settlements of which somebody is owed another amount in the ledger than they say, or another one is held.
pub(super) async fn check_in(tx: &TenantTx, closed: &[Settlement]) -> Result<Vec<String>> {
    let ids: Vec<SettlementId> = closed.iter().map(|row| row.id).collect();
    let mut holds: HashMap<SettlementId, Vec<Hold>> = HashMap::new();
    for hold in store::holds_on(tx, &ids).await? {
        holds.entry(hold.settlement_id).or_default().push(hold);
    }
    let (statements, posted) = (statements_in(tx, closed).await?, ledger::posted_in(tx).await?);
    let mut expected: BTreeMap<(SettlementId, PartnerId), Posted> = BTreeMap::new();
    let mut findings = Vec::new();
    for row in closed {
        let Some(statement) = statements.get(&row.id) else { continue };
        for (partner, held) in held_by(row, statement, holds.get(&row.id).map(Vec::as_slice).unwrap_or_default())? {
            expected.entry((row.id, partner)).or_default().held = held.0.into();
        }
        let shared = statement.parts.iter().map(|part| (part.partner, part.amount));
        let whole = statement.parts.is_empty().then_some((row.partner_id, statement.total));
        let mut sum = 0;
        for (partner, due) in shared.chain(whole) {
            expected.entry((row.id, partner)).or_default().due = due.0.into();
            sum += i128::from(due.0);
        }
        if sum != i128::from(statement.total.0) {
            findings.push(format!("{} has the total {} and its parts sum to {sum}", row.id, statement.total.0));
        }
    }
    let places: BTreeSet<_> = posted.keys().chain(expected.keys()).copied().collect();
    for (settlement, partner) in places {
        let of = |all: &BTreeMap<_, Posted>| all.get(&(settlement, partner)).copied().unwrap_or_default();
        let (posted, expected) = (of(&posted), of(&expected));
        for (what, posted, expected) in [("due", posted.due, expected.due), ("held", posted.held, expected.held)] {
            if posted != expected {
                findings.push(format!("{settlement} should have {expected} {what} for {partner} and has {posted}"));
            }
        }
    }
    Ok(findings)
}
