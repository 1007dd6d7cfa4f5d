//! Prepaid credit: what drawn credit cost becomes expense, and alarms. Settlement staff are told once when it gets low, and once when it is used up. Buying
//! more of it ends an alarm, so that the next one is told again.

use std::collections::{BTreeSet, HashMap};

use crate::caller::{Role, Scoped, Writer};
use crate::clock::Clock;
use crate::contracts;
use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::ids::ContractId;
use crate::ledger::{self, posting, posting::Reason};
use crate::money::{MoneyError, Units};
use crate::notifications::mail::{CreditMail, credit_mail};
use crate::notifications::{self, NewMail};

use super::fund::{self, CreditState, FundKind};
use super::funds::{FundsOf, funds_in};
use super::settlement::LineCode;
use super::statement::Statement;
use super::{recoup, tables};

impl Scoped {
    /// Tells of credit that stands worse than when anybody was told last.
    pub(crate) async fn tell_of_credit(&self) -> Result<()> {
        if moved_in(&self.read().await?).await?.is_empty() {
            return Ok(());
        }
        let tenant_name = self.tenant_name().await?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let moved = moved_in(tx).await?;
            let contracts: Vec<ContractId> = moved.iter().map(|moved| moved.contract).collect();
            let names = contracts::names_in(tx, &contracts).await?;
            let mut worse = Vec::new();
            for Moved { contract, funds, before, now } in moved {
                let row = tables::credit::Model {
                    tenant_id: tx.tenant(),
                    contract_id: contract,
                    currency: funds.asset.code.clone(),
                    state: now.as_str().to_owned(),
                    changed_at: writer.clock().now(),
                };
                tables::replace_credit_state(tx, row).await?;
                if now > before {
                    worse.push(mail(&tenant_name, names.get(&contract), &funds, now));
                }
            }
            let mut mails = Vec::new();
            if !worse.is_empty() {
                for to in notifications::recipients_in(tx, Role::Settlement).await? {
                    for mail in &worse {
                        mails.push(NewMail { letter: credit_mail(mail, to.language)?, to: to.clone() });
                    }
                }
            }
            notifications::post_in(tx, writer, mails).await
        })
        .await
    }
}

/// Credit that stands otherwise than when it was looked at last.
struct Moved {
    contract: ContractId,
    funds: FundsOf,
    before: CreditState,
    now: CreditState,
}

async fn moved_in(tx: &TenantTx) -> Result<Vec<Moved>> {
    let bought = tables::all_funds(tx).await?.into_iter().filter(|row| row.kind == FundKind::Credit.as_str());
    let contracts: BTreeSet<ContractId> = bought.map(|row| row.contract_id).collect();
    if contracts.is_empty() {
        return Ok(Vec::new());
    }
    let contracts: Vec<ContractId> = contracts.into_iter().collect();
    let mut told = HashMap::new();
    for row in tables::credit_states(tx).await? {
        let state = CreditState::parse(&row.state);
        let state = state.ok_or_else(|| Fault::Corrupt(format!("credit of {}: '{}'", row.contract_id, row.state)))?;
        told.insert((row.contract_id, row.currency), state);
    }
    let mut funds = funds_in(tx, &contracts).await?;
    let mut moved = Vec::new();
    for contract in contracts {
        for funds in funds.remove(&contract).unwrap_or_default() {
            let before = told.get(&(contract, funds.asset.code.clone())).copied().unwrap_or(CreditState::Enough);
            if let Some(now) = funds.credit.filter(|now| *now != before) {
                moved.push(Moved { contract, funds, before, now });
            }
        }
    }
    Ok(moved)
}

fn mail(tenant: &str, contract: Option<&String>, funds: &FundsOf, now: CreditState) -> CreditMail {
    CreditMail {
        tenant_name: tenant.to_owned(),
        contract: contract.cloned().unwrap_or_default(),
        currency: funds.asset.code.clone(),
        empty: now == CreditState::Empty,
        left: funds.left().map(|left| funds.asset.format_units(left)).unwrap_or_default(),
        low: funds.low.map(|low| funds.asset.format_minor(low)),
        bought: funds.asset.format_minor(funds.bought),
    }
}

/// Makes expense of what the credit cost that a settlement drew.
pub(super) async fn draw_in(
    tx: &TenantTx,
    clock: &Clock,
    book: &ledger::Book<'_>,
    contract: ContractId,
    statement: &Statement,
) -> Result<()> {
    let drawn = statement.lines.iter().filter(|line| line.code == LineCode::Drawn);
    let drawn: i64 = drawn.filter_map(|line| line.base).map(|base| base.0).sum();
    if drawn == 0 {
        return Ok(());
    }
    let mut entries = tables::funds(tx, &[contract]).await?;
    entries.retain(|row| row.currency == book.currency);
    let (lots, after) = (fund::lots(&entries), statement.carry_out.drawn);
    let corrupt = |error: MoneyError| Fault::Corrupt(error.to_string());
    let before = after.checked_sub(Units(drawn)).map_err(corrupt)?;
    let cost = |drawn: Units| recoup::cost_of(&statement.asset, &lots, drawn).map_err(corrupt);
    let cost = cost(after)?.checked_sub(cost(before)?).map_err(corrupt)?;
    ledger::post_in(tx, clock, book, Reason::Draw, posting::draw(cost)).await
}
