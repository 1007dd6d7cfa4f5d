//! The two ways that the real code goes, and the reference's, to the same settlements.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::case::Case;
use super::counted::{Counted, World};
use super::fenced::Stands;
use super::owed::{Ledger, Left, corrections};
use crate::contracts::contract::ActiveVersion;
use crate::contracts::{AccrualKind, Book, Period, Pricer, Verdict};
use crate::ids::{PartnerId, SettlementId, SourceId};
use crate::money::{Minor, Units};
use crate::replay::difference::{Side, Terms};
use crate::replay::fixtures::record;
use crate::replay::segment::{Builder, Segment};
use crate::replay::totals::{Met, Replay, Totals};
use crate::secrets::hex;
use crate::settlements::Deltas;
use crate::settlements::chain::{Account, Beforehand, Frozen, State, chain};
use crate::settlements::settlement::{Accrual, Carry, Clauses, Computed, Line, LineCode, PlayerSum, YearTiers};
use crate::time::Timestamp;
use crate::transactions::transaction::{Fact, Kind, Player};

/// A fact as it is priced: with the time at which its round closed, and taken out where a rollback names it.
#[derive(Clone)]
pub struct Priced<'f> {
    pub fact: &'f Fact,
    pub closed_at: Option<Timestamp>,
    pub undoes: bool,
}

/// As recording pairs them: a rollback counts when the fact that it names is there, and the first of several.
pub fn priced(facts: &[Fact]) -> Vec<Priced<'_>> {
    let round = |fact: &'_ Fact| -> Option<(SourceId, String, Option<[u8; 16]>)> {
        Some((fact.source, fact.round.clone()?, fact.player))
    };
    let closes = facts.iter().filter(|fact| fact.round_closed && fact.kind != Kind::Rollback);
    let closed: HashMap<_, Timestamp> =
        closes.filter_map(|fact| Some((round(fact)?, fact.settled_at.unwrap_or(fact.occurred_at)))).collect();
    let by_id: HashMap<&str, &Fact> =
        facts.iter().filter(|fact| fact.kind != Kind::Rollback).map(|fact| (fact.external_id.as_str(), fact)).collect();
    let mut undone = std::collections::BTreeSet::new();
    let mut all = Vec::new();
    for fact in facts {
        let undoes = fact.kind == Kind::Rollback;
        let target = fact.reverses.as_deref().unwrap_or_default();
        if undoes && !(by_id.contains_key(target) && undone.insert(target)) {
            continue;
        }
        let fact = if undoes { by_id[target] } else { fact };
        let closed_at = round(fact).and_then(|round| closed.get(&round)).copied();
        all.push(Priced { fact, closed_at, undoes });
    }
    all
}

type Slot = (Period, i64, String, AccrualKind);

/// Running totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// By period, version, rate class and kind: amount, units and transactions.
    pub classes: BTreeMap<Slot, (i128, i64, i64)>,
    /// By period, version, player and kind.
    players: BTreeMap<(Period, i64, Player, AccrualKind), i128>,
}

pub fn book(case: &Case, versions: &[ActiveVersion]) -> Book {
    Book::new(versions.to_vec(), case.products.clone(), case.players.clone()).expect("a book")
}

/// What batches add to running totals, as they come in.
pub fn sums(case: &Case, versions: &[ActiveVersion], batches: &[Vec<Priced<'_>>]) -> Sums {
    let book = book(case, versions);
    let mut sums = Sums::default();
    for batch in batches {
        let (mut pricer, mut verdicts, mut deltas) = (Pricer::new(&book), Vec::new(), Deltas::default());
        for Priced { fact, closed_at, undoes } in batch.iter().filter(|priced| !book.is_test(priced.fact)) {
            pricer.price(fact, *closed_at, &mut verdicts);
            for verdict in verdicts.drain(..) {
                if let Verdict::Feeds(feed) = verdict {
                    deltas.add(feed, *undoes, &fact.currency);
                }
            }
        }
        for (key, delta) in deltas.take_players() {
            let period = case.periods.iter().find(|period| period.start == key.period_start).expect("a period");
            *sums.players.entry((*period, key.version, key.player, key.kind)).or_default() += delta.amount;
        }
        for (key, delta) in deltas.sorted() {
            assert_eq!(key.period_start, delta.period.start, "a sum's period");
            let slot = (delta.period, key.version, key.class.to_string(), key.kind);
            let sum = sums.classes.entry(slot).or_default();
            *sum = (sum.0 + delta.amount, sum.1 + delta.units, sum.2 + delta.transactions);
        }
    }
    sums
}

fn stands(case: &Case) -> Stands {
    Some(case.opening.fenced).filter(|stand| *stand != 0).map(|stand| ([1; 16], stand)).into_iter().collect()
}

pub fn beforehand(case: &Case) -> Beforehand {
    let base = Some(case.opening.base).filter(|base| *base != 0).map(|base| (String::new(), Units(base)));
    let opening = Carry {
        base: base.into_iter().collect(),
        players: stands(case).into_iter().map(|(player, stand)| (hex(&player), Units(stand))).collect(),
        amount: Minor(case.opening.amount),
        recouped: Minor(case.opening.recouped),
        drawn: Units(case.opening.drawn),
        ..Carry::default()
    };
    Beforehand { opening, funds: case.funds }
}

pub fn id(place: usize) -> SettlementId {
    SettlementId(Uuid::from_u128(1 + u128::try_from(place).expect("small")))
}

/// One contract's settlements as they are stored.
pub struct Books {
    accounts: Vec<Account>,
}

fn accruals(sums: &Sums, period: Period, late: bool) -> Vec<Accrual> {
    let own = sums.classes.iter().filter(|((of, ..), _)| *of == period);
    own.map(|((_, version, class, kind), (amount, units, transactions))| Accrual {
        version: *version,
        rate_class: class.clone(),
        kind: *kind,
        late,
        amount: Units(i64::try_from(*amount).expect("an amount")),
        units: *units,
        transactions: *transactions,
    })
    .collect()
}

fn players(sums: &Sums, period: Period, late: bool) -> Vec<PlayerSum> {
    let own = sums.players.iter().filter(|((of, ..), _)| *of == period);
    let sum = |((_, version, player, kind), amount): (&(Period, i64, Player, AccrualKind), &i128)| PlayerSum {
        version: *version,
        player: *player,
        kind: *kind,
        late,
        amount: Units(i64::try_from(*amount).expect("an amount")),
    };
    own.map(sum).collect()
}

/// What closed by player: rows of its own for what is different now.
fn count_players(account: &mut Account, sums: &Sums) {
    let had = std::mem::take(&mut account.players);
    let (late, frozen): (Vec<_>, Vec<_>) = had.into_iter().partition(|sum| sum.late);
    let mut rows = players(sums, account.period, true);
    let same = |a: &PlayerSum, b: &PlayerSum| (a.version, a.player, a.kind) == (b.version, b.player, b.kind);
    for before in frozen.iter().chain(&late) {
        if !rows.iter().any(|row| same(row, before)) {
            rows.push(PlayerSum { late: true, amount: Units::ZERO, ..before.clone() });
        }
    }
    for before in &frozen {
        rows.iter_mut().find(|row| same(row, before)).expect("a row").amount.0 -= before.amount.0;
    }
    rows.retain(|row| row.amount != Units::ZERO || late.iter().any(|old| same(old, row)));
    account.players = frozen.into_iter().chain(rows).collect();
}

impl Books {
    pub fn new(periods: &[Period]) -> Self {
        let account = |(place, period): (usize, &Period)| Account {
            id: id(place),
            period: *period,
            state: State::Open,
            accruals: Vec::new(),
            players: Vec::new(),
            frozen: None,
        };
        Self { accounts: periods.iter().enumerate().map(account).collect() }
    }

    /// Brings the running totals to these: what closed gets rows of its own for what is different now, and keeps those
    /// that it has. `since` is touched by terms that count by the day, whatever its facts say.
    pub fn count(&mut self, sums: &Sums, since: Option<(Timestamp, &ActiveVersion)>) {
        for (period, ..) in sums.classes.keys() {
            assert!(self.accounts.iter().any(|account| account.period == *period), "{period:?} is among the periods");
        }
        for account in &mut self.accounts {
            if account.state == State::Open {
                account.accruals = accruals(sums, account.period, false);
                account.players = players(sums, account.period, false);
                continue;
            }
            count_players(account, sums);
            let had: Vec<Accrual> = std::mem::take(&mut account.accruals);
            let (late, frozen): (Vec<_>, Vec<_>) = had.into_iter().partition(|accrual| accrual.late);
            let mut rows = accruals(sums, account.period, true);
            let same =
                |a: &Accrual, b: &Accrual| (a.version, &a.rate_class, a.kind) == (b.version, &b.rate_class, b.kind);
            for before in frozen.iter().chain(&late) {
                if !rows.iter().any(|row| same(row, before)) {
                    rows.push(Accrual { late: true, amount: Units::ZERO, units: 0, transactions: 0, ..before.clone() });
                }
            }
            for before in &frozen {
                let row = rows.iter_mut().find(|row| same(row, before)).expect("a row");
                row.amount.0 -= before.amount.0;
                row.units -= before.units;
                row.transactions -= before.transactions;
            }
            rows.retain(|row| {
                (row.amount.0, row.units, row.transactions) != (0, 0, 0) || late.iter().any(|old| same(old, row))
            });
            if let Some((_, version)) = since.filter(|(at, _)| *at < account.period.end) {
                let kind = AccrualKind::Stake;
                let rate_class = version.terms.rate_table.rows[0].code.clone();
                let zero = Accrual {
                    version: version.version,
                    rate_class,
                    kind,
                    late: true,
                    amount: Units::ZERO,
                    units: 0,
                    transactions: 0,
                };
                if !rows.iter().any(|row| same(row, &zero)) {
                    rows.push(zero);
                }
            }
            account.accruals = frozen.into_iter().chain(rows).collect();
        }
    }

    pub fn posted(&self) -> Vec<Line> {
        let lines = self.accounts.iter().filter_map(|account| account.frozen.as_ref()).flat_map(|frozen| &frozen.lines);
        lines.filter(|line| line.code == LineCode::Correction).cloned().collect()
    }

    pub fn chain(&self, case: &Case, versions: &[ActiveVersion]) -> Vec<Computed> {
        chain(&self.accounts, &self.posted(), &beforehand(case), versions, &case.asset).expect("a chain")
    }

    /// Closes the first settlements, as many as this.
    pub fn close(&mut self, count: usize, case: &Case, versions: &[ActiveVersion]) {
        let computed = self.chain(case, versions);
        for (account, computed) in self.accounts.iter_mut().zip(computed).take(count) {
            if account.state == State::Open {
                account.state = State::Closed;
                account.frozen = Some(Frozen { lines: computed.lines, carry_out: computed.carry_out });
            }
        }
    }
}

/// What the replay adds up, over the whole time that is looked at.
pub fn replayed(case: &Case, versions: &[ActiveVersion], priced: &[Priced<'_>], cut: usize) -> Vec<Computed> {
    let book = book(case, versions);
    let window = Period {
        start: case.periods.first().expect("a period").start,
        end: case.periods.last().expect("a period").end,
    };
    let mut replay = Replay::new(window, &book, &book);
    for rows in priced.chunks(cut.max(1)) {
        let mut builder = Builder::default();
        rows.iter().for_each(|row| builder.push(record(row.fact, row.closed_at, row.undoes)));
        let segment = Segment::read(&builder.finish()).expect("a segment");
        replay.take(&segment, 0..segment.rows(), &mut Met::new());
    }
    let (settled, drafted, _): (Totals, Totals, _) = replay.finish();
    assert_eq!(settled, drafted, "two sides with the same versions");
    let terms = Terms { versions, totals: &settled, periods: case.periods.iter().copied().collect() };
    let side = Side::reckon(terms, &case.asset, &beforehand(case)).expect("a side");
    let periods: Vec<Period> = side.settlements.iter().map(|(period, _)| *period).collect();
    assert_eq!(periods, case.periods, "the periods of a replay");
    for (period, computed) in &side.settlements {
        let parts = shared_out(case, versions, *period, computed.total.0);
        let own = side.shared.get(period).into_iter().flatten().map(|part| (part.partner, part.amount.0));
        assert_eq!(own.collect::<Vec<_>>(), parts, "the parts of a replay");
    }
    side.settlements.into_iter().map(|(_, computed)| computed).collect()
}

/// The parts of what a settlement came to, as live calculates them.
pub fn shared_out(case: &Case, versions: &[ActiveVersion], period: Period, total: i64) -> Vec<(PartnerId, i64)> {
    let clauses = Clauses::new(versions, &case.asset).expect("clauses");
    let parts = clauses.parts(period, Minor(total)).expect("parts");
    parts.into_iter().map(|part| (part.partner, part.amount.0)).collect()
}

/// The same by the reference.
pub fn said_of_parts(case: &Case, versions: &[ActiveVersion], period: Period, total: i64) -> Vec<(PartnerId, i64)> {
    let world = World::new(versions, &case.products, &case.players);
    Ledger { world: &world, asset: &case.asset, funds: case.funds }.parts(period, total)
}
/// What the reference says of all settlements: lines, what is left, and how many transactions.
pub struct Reference {
    pub lines: Vec<Vec<Line>>,
    pub left: Vec<Left>,
    pub transactions: Vec<i64>,
}

/// Settlements with what closed ones came to: their lines, and the cash that they left.
pub fn reference(case: &Case, versions: &[ActiveVersion], facts: &[Fact], closed: &[(Vec<Line>, Left)]) -> Reference {
    let world = World::new(versions, &case.products, &case.players);
    let ledger = Ledger { world: &world, asset: &case.asset, funds: case.funds };
    let counted: Vec<Counted<'_>> = world.counted(facts);
    let posted: Vec<Line> =
        closed.iter().flat_map(|(lines, _)| lines).filter(|line| line.corrects.is_some()).cloned().collect();
    let mut carried = Left {
        bases: Some(case.opening.base)
            .filter(|base| *base != 0)
            .map(|base| ((false, String::new()), base))
            .into_iter()
            .collect(),
        players: stands(case),
        amount: case.opening.amount,
        recouped: case.opening.recouped,
        drawn: case.opening.drawn,
        ..Left::default()
    };
    let mut all = Reference { lines: Vec::new(), left: Vec::new(), transactions: Vec::new() };
    let mut due = Vec::new();
    for (place, period) in case.periods.iter().enumerate() {
        let own: Vec<&Counted<'_>> = counted.iter().filter(|one| one.period == *period).collect();
        all.transactions.push(own.iter().filter(|one| one.first).map(|one| 1 + i64::from(one.undone)).sum());
        let (lines, left) = match closed.get(place) {
            Some((frozen, cash)) => {
                let (now, left) = ledger.earned(*period, &counted, &carried);
                let posted: Vec<&Line> = posted.iter().filter(|line| line.corrects == Some(id(place))).collect();
                due.extend(corrections(id(place), &now, frozen, &posted));
                let left = Left { amount: cash.amount, recouped: cash.recouped, drawn: cash.drawn, ..left };
                (frozen.clone(), left)
            }
            None => ledger.settled(*period, &counted, &carried, std::mem::take(&mut due)),
        };
        carried = left.clone();
        all.lines.push(lines);
        all.left.push(left);
    }
    all
}

/// Lines in an order of their own, so that only what they say is compared.
pub fn sorted(lines: &[Line]) -> Vec<String> {
    let mut all: Vec<String> = lines.iter().map(shown).collect();
    all.sort();
    all
}

fn shown(line: &Line) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    format!(
        "{} v{} {} {} base {:?} rate {:?} amount {} {:?}",
        line.code.as_str(),
        line.version,
        text(&line.rate_class),
        text(&line.clause),
        line.base.map(|base| base.0),
        line.rate.map(|rate| rate.to_string()),
        line.amount.0,
        line.corrects.map(|id| id.0.as_u128()),
    )
}

fn player_of(digits: &str) -> Player {
    let byte = |place: usize| u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).expect("a pseudonym");
    std::array::from_fn(byte)
}

/// What the real code carries on, in the reference's terms. `versions` are the reference's.
pub fn left(carry: &Carry, world: &[&ActiveVersion]) -> Left {
    let name =
        |name: &str| name.strip_prefix("units:").map_or((false, name.to_owned()), |class| (true, class.to_owned()));
    let year = (carry.tiers != YearTiers::default()).then(|| {
        let version =
            world.iter().position(|active| active.version == carry.tiers.version).expect("a version that stands");
        let filled = carry.tiers.counted.iter().map(|(class, filled)| (class.clone(), filled.0)).collect();
        (carry.tiers.year, version, filled)
    });
    Left {
        bases: carry.base.iter().map(|(key, base)| (name(key), base.0)).collect(),
        players: carry.players.iter().map(|(player, base)| (player_of(player), base.0)).collect(),
        year,
        amount: carry.amount.0,
        recouped: carry.recouped.0,
        drawn: carry.drawn.0,
    }
}
