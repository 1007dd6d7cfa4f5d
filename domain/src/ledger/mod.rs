//! The ledger: double entry per tenant and currency, append-only. Transactions and accruals are its sub-ledger.
//!
//! A settlement has a *book*: what has been posted for it so far, and whether it is closed. A closed book refuses
//! every further entry, here and not in the callers, so that a closed period cannot be changed from behind.

pub mod posting;
mod store;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::caller::{Permission, Scoped};
use crate::clock::Clock;
use crate::db::TenantTx;
use crate::error::{Code, Fault, Problem, Result};
use crate::ids::{AccountId, EntryId, PartnerId, SettlementId};
use crate::money::{Minor, MoneyError};
use crate::page::{Page, PageRequest};

use posting::{AccountCode, Closing, Leg, Reason};

pub use store::account::Model as Account;
pub use store::entry::Model as Entry;
pub use store::leg::Model as EntryLeg;

/// Whose book an entry belongs to.
pub(crate) struct Book<'a> {
    pub settlement: SettlementId,
    pub partner: PartnerId,
    pub currency: &'a str,
}

impl Scoped {
    /// Accounts with their balances, the latest opened first.
    pub async fn accounts(&self, page: PageRequest) -> Result<Page<Account>> {
        self.require(Permission::Read)?;
        Ok(Page::cut(store::accounts_page(&self.read().await?, page).await?, &page))
    }

    pub async fn accounts_by_ids(&self, ids: &[AccountId]) -> Result<Vec<Account>> {
        self.require(Permission::Read)?;
        Ok(store::accounts_by_ids(&self.read().await?, ids).await?)
    }

    /// One posting with its legs.
    pub async fn entry(&self, id: EntryId) -> Result<Option<(Entry, Vec<EntryLeg>)>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let Some(entry) = store::entry_by_id(&tx, id).await? else { return Ok(None) };
        let legs = store::legs_of(&tx, std::iter::once(id)).await?;
        Ok(Some((entry, legs)))
    }

    /// What was posted for each of some settlements, latest first, each entry with its legs: the same page of each.
    pub async fn entries(
        &self,
        settlements: &[SettlementId],
        page: PageRequest,
    ) -> Result<HashMap<SettlementId, Page<(Entry, Vec<EntryLeg>)>>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let entries = store::entries_of(&tx, settlements, page).await?;
        let mut legs: BTreeMap<EntryId, Vec<EntryLeg>> = BTreeMap::new();
        for leg in store::legs_of(&tx, entries.iter().map(|entry| entry.id)).await? {
            legs.entry(leg.entry_id).or_default().push(leg);
        }
        let mut by_settlement: HashMap<SettlementId, Vec<(Entry, Vec<EntryLeg>)>> = HashMap::new();
        for entry in entries {
            let legs = legs.remove(&entry.id).unwrap_or_default();
            by_settlement.entry(entry.settlement_id).or_default().push((entry, legs));
        }
        Ok(by_settlement.into_iter().map(|(id, entries)| (id, Page::cut(entries, &page))).collect())
    }
}

/// Posts the difference between what is posted for an open settlement and what it has earned.
pub(crate) async fn true_up_in(tx: &TenantTx, clock: &Clock, book: &Book<'_>, earned: Minor) -> Result<()> {
    let posted = open_book(tx, book).await?;
    post(tx, clock, book, Reason::TrueUp, posting::true_up(posted, earned).map_err(overflow)?).await?;
    store::set_posted(tx, book.settlement, earned).await?;
    Ok(())
}

/// Trues up and closes a settlement's book for good. What is due is shared out between these, where there are any.
pub(crate) async fn close_in(
    tx: &TenantTx,
    clock: &Clock,
    book: &Book<'_>,
    closing: Closing,
    parts: &[(PartnerId, Minor)],
) -> Result<()> {
    true_up_in(tx, clock, book, closing.earned).await?;
    if parts.is_empty() {
        post(tx, clock, book, Reason::Close, posting::close(closing).map_err(overflow)?).await?;
    } else {
        let legs = posting::close_shared(book.partner, closing, parts).map_err(overflow)?;
        post_each(tx, clock, book, Reason::Close, legs).await?;
    }
    store::close_book(tx, book.settlement).await?;
    Ok(())
}

/// Brings what is held of a closed settlement to this, by whom it is owed to. What it earned stays as it is: only where
/// it stands moves.
pub(crate) async fn hold_in(
    tx: &TenantTx,
    clock: &Clock,
    book: &Book<'_>,
    held: &BTreeMap<PartnerId, Minor>,
) -> Result<()> {
    let before = store::held(tx, book.settlement).await?;
    let whole = |held: &BTreeMap<PartnerId, Minor>| Minor::sum(held.values().copied()).map_err(overflow);
    let reason = if whole(held)? > whole(&before)? { Reason::Hold } else { Reason::Release };
    let partners: BTreeSet<PartnerId> = before.keys().chain(held.keys()).copied().collect();
    let mut legs = Vec::new();
    for partner in partners {
        let of = |held: &BTreeMap<PartnerId, Minor>| held.get(&partner).copied().unwrap_or_default();
        let own = posting::hold(of(&before), of(held)).map_err(overflow)?;
        legs.extend(own.into_iter().map(|leg| (partner, leg)));
    }
    post_each(tx, clock, book, reason, legs).await
}

/// Posts something beside what a settlement earns, in its book, which has to be open.
pub(crate) async fn post_in(
    tx: &TenantTx,
    clock: &Clock,
    book: &Book<'_>,
    reason: Reason,
    legs: Result<Vec<Leg>, MoneyError>,
) -> Result<()> {
    open_book(tx, book).await?;
    post(tx, clock, book, reason, legs.map_err(overflow)?).await
}

/// Balances of accounts by code, partner and currency.
pub(crate) async fn balances_in(tx: &TenantTx) -> Result<HashMap<(String, PartnerId, String), Minor>> {
    let accounts = store::accounts(tx).await?.into_iter();
    Ok(accounts.map(|account| ((account.code, account.partner_id, account.currency), account.balance)).collect())
}

/// What was made of each closed settlement, by whom it is owed to, or owed by where it is negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Posted {
    /// Payable, receivable and held together.
    pub due: i128,
    pub held: i128,
}

/// The same of all settlements, by the legs of their closing and of their holds.
pub(crate) async fn posted_in(tx: &TenantTx) -> Result<BTreeMap<(SettlementId, PartnerId), Posted>> {
    let codes = [AccountCode::Payable, AccountCode::Receivable, AccountCode::Held].map(AccountCode::as_str);
    let accounts = store::accounts(tx).await?.into_iter().filter(|account| codes.contains(&account.code.as_str()));
    let accounts: HashMap<AccountId, Account> = accounts.map(|account| (account.id, account)).collect();
    let reasons = [Reason::Close, Reason::Hold, Reason::Release].map(Reason::as_str);
    let entries = store::all_entries(tx).await?.into_iter().filter(|entry| reasons.contains(&entry.reason.as_str()));
    let entries: HashMap<EntryId, SettlementId> = entries.map(|entry| (entry.id, entry.settlement_id)).collect();
    let mut sums: BTreeMap<(SettlementId, PartnerId), Posted> = BTreeMap::new();
    for leg in store::all_legs(tx).await? {
        let place = entries.get(&leg.entry_id).zip(accounts.get(&leg.account_id));
        let Some((settlement, account)) = place else { continue };
        let posted = sums.entry((*settlement, account.partner_id)).or_default();
        posted.due -= i128::from(leg.amount.0);
        if account.code == AccountCode::Held.as_str() {
            posted.held -= i128::from(leg.amount.0);
        }
    }
    Ok(sums)
}

async fn open_book(tx: &TenantTx, book: &Book<'_>) -> Result<Minor> {
    match store::book(tx, book.settlement).await? {
        Some(book) if book.closed => Err(Problem::new(
            Code::WrongState,
            "",
            "the books of this settlement are closed; what comes late is a correction",
        )
        .into()),
        Some(book) => Ok(book.posted),
        None => {
            store::new_book(tx, book.settlement).await?;
            Ok(Minor::ZERO)
        }
    }
}

async fn post(tx: &TenantTx, clock: &Clock, book: &Book<'_>, reason: Reason, legs: Vec<Leg>) -> Result<()> {
    post_each(tx, clock, book, reason, legs.into_iter().map(|leg| (book.partner, leg)).collect()).await
}

/// The same with legs in accounts of several partners.
async fn post_each(
    tx: &TenantTx,
    clock: &Clock,
    book: &Book<'_>,
    reason: Reason,
    legs: Vec<(PartnerId, Leg)>,
) -> Result<()> {
    if legs.is_empty() {
        return Ok(());
    }
    if !posting::is_balanced(&legs.iter().map(|(_, leg)| *leg).collect::<Vec<_>>()) {
        return Err(Fault::Internal(format!("an entry for {} does not balance", book.settlement)).into());
    }
    let entry = clock.id();
    store::insert_entry(tx, entry, book.settlement, reason.as_str(), clock.now()).await?;
    for (position, (partner, (code, amount))) in (0..).zip(legs) {
        let partner = if code.is_tenants() { PartnerId::NONE } else { partner };
        let account = store::account(tx, clock, code, partner, book.currency).await?;
        store::add_to(tx, account, amount).await?;
        store::insert_leg(tx, entry, position, account, amount).await?;
    }
    Ok(())
}

fn overflow(error: MoneyError) -> Problem {
    Problem::new(Code::Overflow, "", error.to_string())
}

/// Reads everything back: entries that do not balance, balances that are not the sum of their legs, closed books
/// whose accruals are not zero. Nothing found means that the books balance.
pub(crate) async fn check_in(tx: &TenantTx) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let accounts = store::accounts(tx).await?;
    let codes: BTreeMap<_, _> = accounts.iter().map(|account| (account.id, account)).collect();
    let (mut by_entry, mut by_account) = (BTreeMap::<EntryId, i128>::new(), BTreeMap::<_, i128>::new());
    let mut accrued = BTreeMap::<SettlementId, i128>::new();
    let entries: BTreeMap<EntryId, Entry> =
        store::all_entries(tx).await?.into_iter().map(|entry| (entry.id, entry)).collect();
    for leg in store::all_legs(tx).await? {
        let amount = i128::from(leg.amount.0);
        *by_entry.entry(leg.entry_id).or_default() += amount;
        *by_account.entry(leg.account_id).or_default() += amount;
        match (codes.get(&leg.account_id), entries.get(&leg.entry_id)) {
            (Some(account), Some(entry)) if account.code == AccountCode::Accrued.as_str() => {
                *accrued.entry(entry.settlement_id).or_default() -= amount;
            }
            (Some(_), Some(_)) => {}
            _ => findings.push(format!("{} has a leg without its entry or account", leg.entry_id)),
        }
    }
    for (entry, sum) in by_entry.iter().filter(|(_, sum)| **sum != 0) {
        findings.push(format!("{entry} does not balance: its legs sum to {sum}"));
    }
    for account in &accounts {
        let sum = by_account.get(&account.id).copied().unwrap_or_default();
        if sum != i128::from(account.balance.0) {
            findings.push(format!("{} shows {} and its legs sum to {sum}", account.id, account.balance.0));
        }
    }
    for book in store::all_books(tx).await? {
        let posted = if book.closed { 0 } else { i128::from(book.posted.0) };
        let sum = accrued.get(&book.settlement_id).copied().unwrap_or_default();
        if sum != posted {
            findings.push(format!("{} should have {posted} accrued and has {sum}", book.settlement_id));
        }
    }
    Ok(findings)
}
