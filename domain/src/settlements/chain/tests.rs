use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::contracts::AccrualKind;
use crate::contracts::fixtures::active;
use crate::settlements::formula::check;
use crate::settlements::settlement::CarriedBase;
use crate::time::Timestamp;

/// A period of the test's own calendar: one day each from 1 February 2021.
fn period(number: usize) -> Period {
    let day = |number: usize| {
        Timestamp(1_612_137_600_000_000 + i64::try_from(number).expect("a small number") * 86_400_000_000)
    };
    Period { start: day(number), end: day(number + 1) }
}

/// One thing that is recorded: which period, version, class and kind it feeds.
#[derive(Clone, Debug)]
struct Event {
    period: usize,
    version: i64,
    class: &'static str,
    kind: AccrualKind,
    amount: i64,
}

/// The books of one contract as the store keeps them, with nothing but sums.
#[derive(Clone)]
struct Books {
    versions: Vec<ActiveVersion>,
    asset: Asset,
    accounts: Vec<Account>,
    beforehand: Beforehand,
}

const PERIODS: usize = 5;

impl Books {
    fn new(versions: Vec<ActiveVersion>) -> Self {
        let account = |number: usize| Account {
            id: SettlementId(uuid::Uuid::from_u128(u128::try_from(number).expect("a small number"))),
            period: period(number),
            state: State::Open,
            accruals: Vec::new(),
            players: Vec::new(),
            frozen: None,
        };
        Self {
            versions,
            asset: Asset::new("BIT", 2),
            accounts: (0..PERIODS).map(account).collect(),
            beforehand: Beforehand::default(),
        }
    }

    fn record(&mut self, event: &Event) {
        let account = &mut self.accounts[event.period];
        let late = account.state == State::Closed;
        let same = |accrual: &&mut Accrual| {
            (accrual.version, accrual.rate_class.as_str(), accrual.kind, accrual.late)
                == (event.version, event.class, event.kind, late)
        };
        if let Some(accrual) = account.accruals.iter_mut().find(same) {
            accrual.amount.0 += event.amount;
            accrual.units += event.kind.units();
            accrual.transactions += 1;
        } else {
            account.accruals.push(Accrual {
                version: event.version,
                rate_class: event.class.to_owned(),
                kind: event.kind,
                late,
                amount: Units(event.amount),
                units: event.kind.units(),
                transactions: 1,
            });
        }
    }

    /// Puts one version in another's place, as the store does: open settlements are counted anew, and closed ones get
    /// late rows that move everything from the one to the other.
    fn amend(&mut self, mut old: ActiveVersion, new: ActiveVersion) {
        for account in &mut self.accounts {
            let moved: Vec<Accrual> = std::mem::take(&mut account.accruals);
            for accrual in moved {
                let now = Accrual { version: new.version, late: account.state == State::Closed, ..accrual.clone() };
                account.accruals.push(now);
                if account.state == State::Closed {
                    let (amount, transactions) = (Units(-accrual.amount.0), -accrual.transactions);
                    let units = -accrual.units;
                    account.accruals.push(Accrual { late: true, amount, units, transactions, ..accrual.clone() });
                    account.accruals.push(accrual);
                }
            }
            // What counts by the day counts although nothing was moved.
            if account.state == State::Closed {
                account.accruals.push(Accrual {
                    version: new.version,
                    rate_class: new.terms.rate_table.rows[0].code.clone(),
                    kind: AccrualKind::Stake,
                    late: true,
                    amount: Units::ZERO,
                    units: 0,
                    transactions: 0,
                });
            }
        }
        old.replaced_at = Some(Timestamp(1));
        self.versions = vec![old, new];
    }

    fn posted(&self) -> Vec<Line> {
        let frozen =
            self.accounts.iter().filter_map(|account| account.frozen.as_ref()).flat_map(|frozen| &frozen.lines);
        frozen.filter(|line| line.code == LineCode::Correction).cloned().collect()
    }

    fn chain(&self) -> Vec<Computed> {
        chain(&self.accounts, &self.posted(), &self.beforehand, &self.versions, &self.asset).expect("a chain")
    }

    fn close_next(&mut self) {
        let computed = self.chain();
        let Some(position) = self.accounts.iter().position(|account| account.state == State::Open) else { return };
        let Computed { lines, carry_out, .. } = computed[position].clone();
        self.accounts[position].state = State::Closed;
        self.accounts[position].frozen = Some(Frozen { lines, carry_out });
    }

    /// Per settlement, version, class and clause: its own lines plus all corrections of it, wherever they stand.
    fn earned(&self) -> BTreeMap<(SettlementId, i64, String), i64> {
        let mut earned = BTreeMap::new();
        for computed in self.chain() {
            for line in computed.lines {
                let settlement = match line.code {
                    LineCode::Correction => line.corrects.expect("a correction names its settlement"),
                    code if code.is_computed() => computed.id,
                    _ => continue,
                };
                let (version, class, clause) = line.slot();
                *earned.entry((settlement, version, format!("{class}/{clause}"))).or_default() += line.amount.0;
            }
        }
        earned.retain(|_, amount| *amount != 0);
        earned
    }
}

fn event(period: usize, kind: AccrualKind, minor: i64) -> Event {
    Event { period, version: 1, class: "all", kind, amount: minor * 10_000 }
}

fn plain(mode: &str) -> Books {
    Books::new(vec![active(1, 1, json!({ "negative": { "mode": mode } }))])
}

#[test]
fn a_late_fact_becomes_a_correction_in_the_open_settlement_once() {
    let mut books = plain("RESET");
    books.record(&event(0, AccrualKind::Stake, 1_000));
    books.close_next();
    books.record(&event(0, AccrualKind::Win, 500));
    let computed = books.chain();
    assert_eq!((computed[0].total.0, computed[0].transaction_count), (80, 1), "what is closed stands");
    let [line] = &computed[1].lines[..] else { panic!("{:?}", computed[1].lines) };
    assert_eq!(
        (line.code, line.corrects, line.amount, line.base),
        (LineCode::Correction, Some(computed[0].id), Minor(-40), Some(Units(-5_000_000)))
    );
    assert_eq!((computed[1].total.0, computed[1].earned.0), (-40, -40));
    // It is posted with the settlement that shows it, and not again.
    books.close_next();
    assert!(books.chain()[2].lines.is_empty());
    books.record(&event(0, AccrualKind::Win, 500));
    assert_eq!(books.chain()[2].total.0, -40, "only what is new is corrected");
}

#[test]
fn a_late_fact_is_followed_through_the_carry_of_later_closed_settlements() {
    let mut books = plain("CARRY");
    books.record(&event(0, AccrualKind::Win, 1_000));
    books.record(&event(1, AccrualKind::Stake, 3_000));
    books.close_next();
    books.close_next();
    assert_eq!(books.chain()[1].total.0, 160);
    // The first settlement owes nothing either way; the second should have had less to net.
    books.record(&event(0, AccrualKind::Stake, 1_500));
    let computed = books.chain();
    let corrections: Vec<_> = computed[2].lines.iter().map(|line| (line.corrects, line.amount.0)).collect();
    assert_eq!(corrections, [(Some(computed[0].id), 40), (Some(computed[1].id), 80)]);
    // A win so high that both owe nothing and the rest is carried into the open one.
    books.record(&event(0, AccrualKind::Win, 5_000));
    let computed = books.chain();
    let corrections: Vec<_> = computed[2].lines.iter().map(|line| (line.code, line.corrects, line.amount.0)).collect();
    assert_eq!(corrections, [(LineCode::Correction, Some(computed[1].id), -160)]);
    assert_eq!(computed[2].carry_out.base, [(String::new(), Units(-15_000_000))].into());
    assert_eq!(computed[1].carry_out.base, CarriedBase::new(), "the frozen carry is shown as it was");
}

#[test]
fn the_carried_amount_is_cash_and_follows_what_was_frozen() {
    let mut books = Books::new(vec![active(1, 1, json!({ "minimumPayout": "1" }))]);
    books.record(&event(0, AccrualKind::Stake, 1_000));
    books.close_next();
    // 80 were carried. A late stake makes it 160, which would have been paid then; it is paid now.
    books.record(&event(0, AccrualKind::Stake, 1_000));
    let computed = books.chain();
    let lines: Vec<_> = computed[1].lines.iter().map(|line| (line.code, line.amount.0)).collect();
    assert_eq!(lines, [(LineCode::Correction, 80), (LineCode::CarriedIn, 80)]);
    assert_eq!((computed[1].total.0, computed[1].earned.0), (160, 80));
}

#[test]
fn a_period_that_nobody_settled_passes_the_carry_on_and_is_corrected_from_nothing() {
    let mut books = plain("CARRY");
    books.record(&event(0, AccrualKind::Win, 1_000));
    books.close_next();
    books.accounts[1].state = State::Closed;
    books.record(&event(2, AccrualKind::Stake, 1_500));
    assert_eq!(books.chain()[2].total.0, 40);
    books.record(&event(1, AccrualKind::Stake, 1_500));
    let computed = books.chain();
    assert_eq!(computed[2].total.0, 40 + 120, "500 remain of the late 1,500, and the carry is used up");
}

#[test]
fn moving_facts_to_another_version_corrects_both() {
    let second = json!({ "validFrom": "2021-02-01", "rateTable": { "rows": [{ "code": "new", "percent": "10" }] } });
    let mut books = Books::new(vec![active(1, 1, json!({})), active(1, 2, second)]);
    books.record(&event(0, AccrualKind::Stake, 1_000));
    books.close_next();
    books.record(&event(0, AccrualKind::Stake, -1_000));
    books.accounts[0].accruals[1].transactions = -1;
    books.record(&Event { version: 2, class: "new", ..event(0, AccrualKind::Stake, 1_000) });
    let lines: Vec<_> =
        books.chain()[1].lines.iter().map(|line| (line.version, line.rate_class.clone(), line.amount.0)).collect();
    assert_eq!(lines, [(1, Some("all".into()), -80), (2, Some("new".into()), 100)]);
}

#[test]
fn late_facts_that_are_taken_back_leave_no_trace() {
    let mut books = plain("CARRY");
    books.record(&event(0, AccrualKind::Win, 1_000));
    books.close_next();
    books.record(&event(0, AccrualKind::Win, 500));
    books.record(&event(1, AccrualKind::Stake, 1_600));
    books.close_next();
    assert_eq!(books.chain()[1].total.0, 8, "1,600 less 1,500");
    // The late row is replaced by one that comes to nothing, as when terms change back.
    let late = books.accounts[0].accruals.last_mut().expect("a late row");
    (late.amount, late.transactions) = (Units::ZERO, 0);
    let corrections: Vec<_> = books.chain()[2].lines.iter().map(|line| (line.corrects, line.amount.0)).collect();
    assert_eq!(corrections, [(Some(books.accounts[1].id), 40)]);
    // What was corrected is corrected back, even if no late row is left at all.
    let mut books = plain("RESET");
    books.record(&event(0, AccrualKind::Stake, 1_000));
    books.close_next();
    books.record(&event(0, AccrualKind::Stake, 500));
    books.close_next();
    books.accounts[0].accruals.pop();
    assert_eq!(books.chain()[2].total.0, -40);
}

/// Contracts with two versions and three classes, in every mode and level, flat and tiered, with every clause.
fn contracts() -> impl Strategy<Value = Vec<ActiveVersion>> {
    let modes = prop::sample::select(vec!["CARRY", "RESET", "PAYABLE_BY_PARTNER"]);
    let levels = prop::sample::select(vec!["TOTAL", "PER_CLASS"]);
    let tiers = (
        prop::sample::select(vec!["MARGINAL", "VOLUME"]),
        prop::sample::select(vec!["SETTLEMENT", "YEAR"]),
        prop::sample::select(vec!["AFTER_CARRY", "BEFORE_CARRY"]),
    );
    let change = prop::sample::select(vec!["CONTINUE", "RESTART"]);
    let minimum = prop::sample::select(vec!["0", "50.00"]);
    let beside =
        (any::<bool>(), prop::option::of(0_i64..400), prop::option::of(0_i64..200), prop::option::of(-50_i64..50));
    let terms = (modes, levels, tiers, change, minimum, beside).prop_map(
        |(mode, level, (tiers, period, reads), change, minimum, (ngr, cap, guarantee, fee))| {
            let steps = json!([{ "upTo": "100", "percent": "15" }, { "upTo": "300.5", "percent": "12" }, { "percent": "7.77" }]);
            let mut terms = json!({
                "negative": { "mode": mode, "level": level }, "tiersOnChange": change, "minimumPayout": minimum,
                "rateTable": { "rows": [
                    { "code": "a", "when": "kind == 'WIN'", "percent": "8.125" },
                    { "code": "b", "when": "kind == 'STAKE'",
                      "tiers": { "mode": tiers, "period": period, "reads": reads, "steps": steps } },
                    { "code": "c", "percent": "33.33" },
                ] },
            });
            if ngr {
                terms["base"] = json!({ "ngr": { "bonusTreatment": "INCLUDE", "deductions": [
                    { "code": "bonus", "take": { "costs": { "of": ["BONUS_WINS", "FEES"], "percent": "33.3" } },
                      "cap": { "percent": "15", "of": "GGR" } },
                    { "code": "fix", "take": { "amount": "7.01" } },
                    { "code": "tax", "take": { "percentOf": { "percent": "9.9", "of": "RUNNING" } } },
                ] } });
            }
            if let Some(cap) = cap {
                terms["cap"] = json!((cap + 200).to_string());
            }
            if let Some(guarantee) = guarantee {
                terms["minimumGuarantee"] = json!(guarantee.to_string());
            }
            if let Some(fee) = fee {
                terms["fees"] = json!([
                    { "code": "fix", "charge": { "amount": fee.to_string() } },
                    { "code": "unit", "charge": { "perUnit": { "price": "0.013", "promotional": "50" } } },
                ]);
            }
            terms
        },
    );
    (terms.clone(), terms).prop_map(|(first, mut second)| {
        second["validFrom"] = json!("2021-02-03");
        vec![active(1, 1, first), active(1, 2, second)]
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let class = prop::sample::select(vec!["a", "b", "c"]);
    let kind =
        prop::sample::select(vec![AccrualKind::Stake, AccrualKind::Win, AccrualKind::Fee, AccrualKind::BonusWin]);
    let event = (0..PERIODS, 1_i64..=2, class, kind, 0_i64..500_000_000)
        .prop_map(|(period, version, class, kind, amount)| Event { period, version, class, kind, amount });
    prop::collection::vec(event, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Closed totals and corrections together are what a full recomputation gives, wherever the closes fall, and the
    /// open settlement goes on with the base of a full recomputation.
    #[test]
    fn late_facts_end_where_a_full_recomputation_does(
        versions in contracts(),
        events in events(),
        closes in prop::collection::vec(0_usize..60, 0..PERIODS),
    ) {
        let (mut live, mut full) = (Books::new(versions.clone()), Books::new(versions));
        for (number, event) in events.iter().enumerate() {
            closes.iter().filter(|close| **close == number).for_each(|_| live.close_next());
            live.record(event);
            full.record(event);
        }
        prop_assert_eq!(live.earned(), full.earned());
        let (live_chain, full_chain) = (live.chain(), full.chain());
        let (live_carry, full_carry) = (&live_chain[PERIODS - 1].carry_out, &full_chain[PERIODS - 1].carry_out);
        prop_assert_eq!(&live_carry.base, &full_carry.base);
        prop_assert_eq!(&live_carry.tiers, &full_carry.tiers);
        // Money is neither lost nor made: what is paid or still carried is what was earned.
        for chain in [&live_chain, &full_chain] {
            let paid: i64 = chain.iter().map(|computed| computed.total.0).sum();
            let earned: i64 = chain.iter().map(|computed| computed.earned.0).sum();
            prop_assert_eq!(paid + chain[PERIODS - 1].carry_out.amount.0, earned);
            let mut carried = 0;
            for computed in chain {
                prop_assert_eq!(computed.total.0, computed.earned.0 + carried - computed.carry_out.amount.0);
                carried = computed.carry_out.amount.0;
            }
        }
    }

    /// Every line of every open settlement is explained by steps that lead to it, and telling them changes nothing.
    #[test]
    fn lines_are_explained_by_what_they_come_from(
        versions in contracts(),
        events in events(),
        closes in prop::collection::vec(0_usize..60, 0..PERIODS),
    ) {
        let mut books = Books::new(versions);
        for (number, event) in events.iter().enumerate() {
            closes.iter().filter(|close| **close == number).for_each(|_| books.close_next());
            books.record(event);
        }
        let posted = books.posted();
        for computed in books.chain() {
            let told = explained(&books.accounts, &posted, &books.beforehand, &books.versions, &books.asset, computed.id);
            let Some((same, workings)) = told.expect("it is calculated") else { continue };
            prop_assert_eq!(&same, &computed);
            prop_assert_eq!(same.lines.len(), workings.len());
            for (line, working) in same.lines.iter().zip(&workings) {
                let checked = check(line, working, &books.asset);
                prop_assert!(checked.is_ok(), "{:?}: {:?} {:?}", checked, line, working);
                let mut other = line.clone();
                if line.code.is_memo() {
                    other.base = other.base.map(|base| Units(base.0 + 1));
                } else {
                    other.amount.0 += 1;
                }
                prop_assert!(check(&other, working, &books.asset).is_err(), "another amount is found out");
            }
        }
    }

    /// A version whose place another one took, agreed whenever: what was paid and all corrections together are what
    /// would have been paid, had the other been there from the start.
    #[test]
    fn a_late_amendment_pays_what_would_have_been_paid_less_what_was(
        versions in contracts(),
        events in events(),
        closes in 0..PERIODS,
        late in 0_usize..10,
    ) {
        let (wrong, mut right) = (versions[0].clone(), versions[1].clone());
        // With a smaller number, too, it stands in the other's place.
        (right.valid_from, right.version) = (wrong.valid_from, 2 * i64::from(late % 2 == 0));
        let of = |event: &Event, version| Event { version, ..event.clone() };
        let (mut live, mut full) = (Books::new(vec![wrong.clone()]), Books::new(vec![right.clone()]));
        let (before, after) = events.split_at(events.len().saturating_sub(late));
        before.iter().for_each(|event| live.record(&of(event, 1)));
        (0..closes).for_each(|_| live.close_next());
        live.amend(wrong, right.clone());
        after.iter().for_each(|event| live.record(&of(event, right.version)));
        events.iter().for_each(|event| full.record(&of(event, right.version)));
        let by_class = |books: &Books| {
            let mut sums: BTreeMap<(SettlementId, String), i64> = BTreeMap::new();
            for ((settlement, _, class), amount) in books.earned() {
                *sums.entry((settlement, class)).or_default() += amount;
            }
            sums.retain(|_, amount| *amount != 0);
            sums
        };
        prop_assert_eq!(by_class(&live), by_class(&full));
        let (live, full) = (live.chain(), full.chain());
        prop_assert_eq!(&live[PERIODS - 1].carry_out.base, &full[PERIODS - 1].carry_out.base);
        if closes == 0 {
            prop_assert_eq!(live, full, "nothing tells that it was otherwise once");
        }
    }

    /// The order in which facts arrive between two closes, and how their sums are split into rows, never matter.
    #[test]
    fn order_and_batching_never_matter(versions in contracts(), events in events(), shuffled in any::<prop::sample::Index>()) {
        let mut books = Books::new(versions.clone());
        events.iter().for_each(|event| books.record(event));
        let mut turned = events.clone();
        if !turned.is_empty() {
            let by = shuffled.index(turned.len());
            turned.rotate_left(by);
            turned.reverse();
        }
        let mut other = Books::new(versions);
        for event in &turned {
            // Each event in a row of its own.
            let mut one = Books::new(other.versions.clone());
            one.record(event);
            let row = one.accounts[event.period].accruals.pop();
            other.accounts[event.period].accruals.extend(row);
        }
        other.accounts.reverse();
        prop_assert_eq!(books.chain(), other.chain());
    }
}
