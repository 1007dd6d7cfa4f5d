//! Counts everything anew, from the facts: for a contract that begins before its first transaction was recorded, for
//! terms agreed late, and to prove that the running totals are what the transactions add up to.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::caller::Scoped;
use crate::contracts::{Pricer, UnpricedReason, Verdict};
use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::ids::{ContractId, TransactionId};
use crate::settlements::Deltas;
use crate::time::Timestamp;

use super::batch::{Key, RoundKey, Unpriced, round_key};
use super::context::Context;
use super::store::Stored;
use super::transaction::{Fact, Kind};
use super::{find, record, store};

/// What all facts of a tenant add up to under the versions in force.
#[derive(Default)]
pub(crate) struct Tally {
    pub deltas: Deltas,
    pub unpriced: Vec<Unpriced>,
    pub waiting: Vec<(RoundKey, ContractId, TransactionId)>,
    /// Facts that rollbacks undo: they need no price.
    undone: HashSet<TransactionId>,
    /// Transactions that are not what was recorded.
    altered: Vec<TransactionId>,
    /// How many were read.
    facts: u64,
    /// How many more were recorded: a month of them may have been taken into an archive.
    pub missing: u64,
}

/// Reads all facts back and prices them. The versions are those that `tx` sees, activated in it or before.
pub(crate) async fn tally_in(scoped: &Scoped, tx: &TenantTx) -> Result<Tally> {
    let context = Arc::new(record::load_context_in(scoped, tx).await?);
    let rounds = if context.book.needs_rounds() { store::all_rounds(tx).await? } else { HashMap::new() };
    let rounds = Arc::new(rounds);
    let (mut tally, mut after) = (Tally::default(), TransactionId::NONE);
    loop {
        let page = store::facts_after(tx, after).await?;
        let Some(last) = page.last() else {
            tally.unpriced.retain(|row| !tally.undone.contains(&row.transaction));
            tally.missing = store::count_keys(tx).await?.saturating_sub(tally.facts);
            return Ok(tally);
        };
        after = last.id;
        let undone = undone_by(tx, &page).await?;
        let (context, rounds) = (context.clone(), rounds.clone());
        tally = record::computed(move || tally.with(&page, &undone, &rounds, &context)).await?;
    }
}

/// The facts that the rollbacks of a page undo. A rollback whose fact has not come yet, or that lost to another one,
/// has none.
async fn undone_by(tx: &TenantTx, page: &[Stored]) -> Result<HashMap<TransactionId, (TransactionId, Fact)>> {
    let rollbacks = page.iter().filter(|stored| stored.fact.kind == Kind::Rollback);
    let mut undone = HashMap::new();
    for Stored { id, fact: rollback, .. } in rollbacks {
        let key: Key = (rollback.source, rollback.reverses.clone().unwrap_or_default());
        if let Some(fact) = find::matched_target(tx, *id, key).await? {
            undone.insert(*id, fact);
        }
    }
    Ok(undone)
}

impl Tally {
    fn with(
        mut self,
        page: &[Stored],
        undone: &HashMap<TransactionId, (TransactionId, Fact)>,
        rounds: &HashMap<RoundKey, Timestamp>,
        context: &Context,
    ) -> Self {
        let mut pricer = Pricer::new(&context.book);
        let mut verdicts = Vec::new();
        self.facts += page.len() as u64;
        self.undone.extend(undone.values().map(|(id, _)| *id));
        for Stored { id, fact, hash } in page {
            if fact.payload_hash() != hash.as_slice() {
                self.altered.push(*id);
            }
            let undoes = fact.kind == Kind::Rollback;
            let Some(fact) = (if undoes { undone.get(id).map(|(_, fact)| fact) } else { Some(fact) }) else { continue };
            if context.book.is_test(fact) {
                continue;
            }
            let round = round_key(fact);
            let closed_at = round.as_ref().and_then(|key| rounds.get(key)).copied();
            pricer.price(fact, closed_at, &mut verdicts);
            self.take(*id, fact, undoes, round, &mut verdicts);
        }
        self
    }

    fn take(
        &mut self,
        id: TransactionId,
        fact: &Fact,
        undoes: bool,
        round: Option<RoundKey>,
        verdicts: &mut Vec<Verdict>,
    ) {
        let unpriced =
            |contract, reason, message| Unpriced { transaction: id, contract, source: fact.source, reason, message };
        if verdicts.is_empty() && !undoes {
            self.unpriced.push(unpriced(
                ContractId::NONE,
                UnpricedReason::NoContract,
                "no contract in force covers it".into(),
            ));
        }
        for verdict in verdicts.drain(..) {
            match verdict {
                Verdict::Feeds(feed) => self.deltas.add(feed, undoes, &fact.currency),
                Verdict::AwaitsRound { contract } => self.waiting.extend(round.clone().map(|key| (key, contract, id))),
                Verdict::Failed { contract, reason, message } if !undoes => {
                    self.unpriced.push(unpriced(contract, reason, message))
                }
                Verdict::Failed { .. } => {}
            }
        }
    }
}

/// Replaces what is listed as unpriced and what waits for its round by what a tally found.
pub(crate) async fn replace_pending_in(tx: &TenantTx, tally: &Tally) -> Result<()> {
    store::replace_unpriced(tx, &tally.unpriced).await?;
    let waiting: HashSet<_> = tally.waiting.iter().cloned().collect();
    if waiting.len() != tally.waiting.len() {
        return Err(Fault::Internal("a transaction waits twice for one round".into()).into());
    }
    store::replace_waiting(tx, &tally.waiting).await?;
    Ok(())
}

/// What of a tally is not as it is stored: transactions that were altered, and lists that miss some or have too many.
pub(crate) async fn check_in(tx: &TenantTx, tally: &Tally) -> Result<Vec<String>> {
    let altered = tally.altered.iter().map(|id| format!("{id} is not what was recorded: its hash is another"));
    let unpriced = tally.unpriced.iter().map(|row| (row.transaction, row.contract, row.reason.as_str().to_owned()));
    let waiting = tally.waiting.iter().map(|((_, round, _), contract, id)| (*id, *contract, round.clone()));
    let (expected, listed) = (unpriced.chain(waiting).collect::<BTreeSet<_>>(), store::pending(tx).await?);
    let differ = expected.symmetric_difference(&listed).map(|(id, contract, what)| {
        let how = if listed.contains(&(*id, *contract, what.clone())) { "is listed" } else { "is not listed" };
        format!("{id} {how} as not counted by {contract} ({what}), which is not so")
    });
    let missing =
        (tally.missing > 0).then(|| format!("{} transactions were recorded and are not there", tally.missing));
    Ok(altered.chain(differ).chain(missing).collect())
}
