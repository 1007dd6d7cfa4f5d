mod clauses;

use serde_json::{Value, json};

use super::*;
use crate::contracts::contract::ActiveVersion;
use crate::contracts::fixtures::active;
use crate::time::Timestamp;
use crate::transactions::transaction::Affects;

const FEBRUARY: Period = Period { start: Timestamp(1_612_137_600_000_000), end: Timestamp(1_614_556_800_000_000) };

/// Amounts in whole minor units of BIT.
fn accrual(version: i64, class: &str, kind: AccrualKind, minor: i64) -> Accrual {
    let amount = Units(minor * 10_000);
    Accrual { version, rate_class: class.to_owned(), kind, late: false, amount, units: kind.units(), transactions: 1 }
}

fn ggr(class: &str, minor: i64) -> Accrual {
    let (kind, amount) = if minor < 0 { (AccrualKind::Win, -minor) } else { (AccrualKind::Stake, minor) };
    accrual(1, class, kind, amount)
}

fn carried(class: &str, minor: i64) -> Carry {
    Carry { base: [(class.to_owned(), Units(minor * 10_000))].into(), ..Carry::default() }
}

fn settle(versions: &[ActiveVersion], accruals: &[Accrual], carry: &Carry) -> Computed {
    let asset = Asset::new("BIT", 2);
    let clauses = Clauses::new(versions, &asset).expect("clauses");
    let computed = compute(SettlementId::NONE, FEBRUARY, accruals, carry, Vec::new(), &Funds::default(), &clauses)
        .expect("a settlement");
    assert_eq!(Minor::sum(computed.lines.iter().map(|line| line.amount)), Ok(computed.total), "lines sum to the total");
    computed
}

/// Each line as "CODE class base rate amount", in minor units.
fn shown(computed: &Computed) -> Vec<String> {
    let line = |line: &Line| {
        let base = line.base.map_or("-".to_owned(), |base| (base.0 / 10_000).to_string());
        let rate = line.rate.map_or("-".to_owned(), |rate| rate.to_string());
        format!("{} {} {base} {rate} {}", line.code.as_str(), line.rate_class.as_deref().unwrap_or("-"), line.amount.0)
    };
    computed.lines.iter().map(line).collect()
}

fn negative(mode: &str, level: &str) -> Value {
    json!({ "negative": { "mode": mode, "level": level } })
}

#[test]
fn negative_results_as_worked_in_the_notes() {
    let thirty = json!([{ "code": "all", "percent": "30" }]);
    for (mode, first, second) in
        [("CARRY", 0, 150_000), ("RESET", 0, 450_000), ("PAYABLE_BY_PARTNER", -300_000, 450_000)]
    {
        let mut terms = negative(mode, "TOTAL");
        terms["rateTable"] = json!({ "rows": thirty });
        let versions = [active(1, 1, terms)];
        let january = settle(&versions, &[ggr("all", -1_000_000)], &Carry::default());
        let february = settle(&versions, &[ggr("all", 1_500_000)], &january.carry_out);
        assert_eq!((january.total.0, february.total.0), (first, second), "{mode}");
        assert_eq!(february.carry_out, Carry::default());
    }
}

#[test]
fn the_crash_game_at_8_percent() {
    let versions = |mode| [active(1, 1, negative(mode, "TOTAL"))];
    let (november, december) = ([ggr("all", -291_960_963)], [ggr("all", 63_249_136)]);
    let first = settle(&versions("CARRY"), &november, &Carry::default());
    assert_eq!((first.total, first.carry_out.clone()), (Minor::ZERO, carried("", -291_960_963)));
    assert_eq!(shown(&first), ["BASE all -291960963 - 0", "REVENUE_SHARE all 0 8 0"]);
    let second = settle(&versions("CARRY"), &december, &first.carry_out);
    assert_eq!((second.total, second.carry_out.clone()), (Minor::ZERO, carried("", -228_711_827)));
    assert_eq!(shown(&second), ["BASE all 63249136 - 0", "CARRIED_BASE - -291960963 - 0", "REVENUE_SHARE all 0 8 0"]);
    let reset = settle(&versions("RESET"), &november, &Carry::default());
    let after = settle(&versions("RESET"), &december, &reset.carry_out);
    assert_eq!((reset.total, after.total), (Minor::ZERO, Minor(5_059_931)));
    assert_eq!(shown(&after), ["REVENUE_SHARE all 63249136 8 5059931"]);
    let payable = settle(&versions("PAYABLE_BY_PARTNER"), &november, &Carry::default());
    assert_eq!((payable.total, payable.carry_out.clone()), (Minor(-23_356_877), Carry::default()));
    assert_eq!(payable.transaction_count, 1);
}

fn two_classes(mode: &str, level: &str) -> Vec<ActiveVersion> {
    let mut terms = negative(mode, level);
    terms["rateTable"] = json!({ "rows": [{ "code": "slots", "when": "category == 'slots'", "percent": "10" }, { "code": "rest", "percent": "20" }] });
    vec![active(1, 1, terms)]
}

#[test]
fn classes_net_together_or_stand_alone() {
    let accruals = [ggr("rest", -400), ggr("slots", 1_000)];
    let total = settle(&two_classes("CARRY", "TOTAL"), &accruals, &carried("", -100));
    let expected = [
        "BASE slots 1000 - 0",
        "BASE rest -400 - 0",
        "CARRIED_BASE - -100 - 0",
        "REVENUE_SHARE slots 500 10 50",
        "REVENUE_SHARE rest 0 20 0",
    ];
    assert_eq!(shown(&total), expected, "in the order of the rate table");
    let alone = settle(&two_classes("CARRY", "PER_CLASS"), &accruals, &carried("slots", -100));
    assert_eq!((alone.total.0, alone.carry_out), (90, carried("rest", -400)));
    let reset = settle(&two_classes("RESET", "PER_CLASS"), &accruals, &Carry::default());
    assert_eq!((reset.total.0, reset.carry_out), (100, Carry::default()));
    let payable = settle(&two_classes("PAYABLE_BY_PARTNER", "PER_CLASS"), &accruals, &Carry::default());
    assert_eq!(payable.total.0, 100 - 80);
}

#[test]
fn a_carried_base_survives_a_change_of_level_and_an_idle_period() {
    let per_class = Carry {
        base: [("rest".into(), Units(-1_000_000)), ("slots".into(), Units(-2_000_000))].into(),
        ..Carry::default()
    };
    let idle = settle(&two_classes("RESET", "TOTAL"), &[], &per_class);
    assert_eq!((idle.lines.len(), idle.carry_out), (0, per_class.clone()));
    let summed = settle(&two_classes("CARRY", "TOTAL"), &[ggr("rest", 100)], &per_class);
    assert_eq!((summed.total.0, summed.carry_out), (0, carried("", -200)));
    let spread = settle(&two_classes("CARRY", "PER_CLASS"), &[ggr("rest", 100), ggr("slots", 300)], &carried("", -200));
    assert_eq!((spread.total.0, spread.carry_out), (15 + 10, Carry::default()));
}

#[test]
fn a_total_below_the_minimum_payout_is_carried_as_money() {
    let versions = [active(
        1,
        1,
        json!({ "minimumPayout": "1.00", "rateTable": { "rows": [{ "code": "all", "percent": "100" }] } }),
    )];
    let first = settle(&versions, &[ggr("all", 80)], &Carry::default());
    assert_eq!((first.total.0, first.earned.0, first.carry_out.amount.0), (0, 80, 80));
    assert_eq!(shown(&first), ["REVENUE_SHARE all 80 100 80", "CARRIED_OUT - - - -80"]);
    let second = settle(&versions, &[ggr("all", 50)], &first.carry_out);
    assert_eq!((second.total.0, second.earned.0, second.carry_out.amount.0), (130, 50, 0));
    assert_eq!(shown(&second), ["REVENUE_SHARE all 50 100 50", "CARRIED_IN - - - 80"]);
    assert_eq!(settle(&versions, &[ggr("all", 100)], &Carry::default()).total.0, 100, "the minimum itself is paid");
    assert_eq!(settle(&versions, &[ggr("all", 0)], &Carry::default()).lines.len(), 1, "zero carries nothing");
    let mut payable = versions.clone();
    payable[0].terms.negative.mode = crate::contracts::contract::NegativeMode::PayableByPartner;
    assert_eq!(settle(&payable, &[ggr("all", -80)], &Carry::default()).total.0, -80, "nor does a negative total");
    let idle = settle(&versions, &[], &first.carry_out);
    assert_eq!((idle.total.0, idle.carry_out.amount.0), (0, 80));
}

fn tiered(version: i64, valid_from: &str, mode: &str, percents: [&str; 2], change: &str) -> ActiveVersion {
    let steps = json!([{ "upTo": "10", "percent": percents[0] }, { "percent": percents[1] }]);
    active(
        1,
        version,
        json!({
            "validFrom": valid_from, "tiersOnChange": change, "negative": { "mode": "CARRY" },
            "rateTable": { "rows": [{ "code": "all", "tiers": { "mode": mode, "steps": steps } }] },
        }),
    )
}

#[test]
fn versions_price_their_own_part_and_tiers_continue_unless_they_restart() {
    let accruals = [accrual(2, "all", AccrualKind::Stake, 1_000), accrual(1, "all", AccrualKind::Stake, 600)];
    let settled = |mode: &str, change: &str| {
        let versions = [
            tiered(2, "2021-02-15", mode, ["50", "30"], change),
            tiered(1, "2021-01-01", mode, ["20", "10"], "CONTINUE"),
        ];
        shown(&settle(&versions, &accruals, &Carry::default()))
    };
    // 600 of version 1 are below the edge; of version 2, 400 are below and 600 above it.
    assert_eq!(settled("MARGINAL", "CONTINUE"), ["REVENUE_SHARE all 600 20 120", "REVENUE_SHARE all 1000 - 380"]);
    assert_eq!(settled("MARGINAL", "RESTART"), ["REVENUE_SHARE all 600 20 120", "REVENUE_SHARE all 1000 50 500"]);
    assert_eq!(settled("VOLUME", "CONTINUE"), ["REVENUE_SHARE all 600 20 120", "REVENUE_SHARE all 1000 30 300"]);
    assert_eq!(settled("VOLUME", "RESTART"), ["REVENUE_SHARE all 600 20 120", "REVENUE_SHARE all 1000 50 500"]);
    // Netting runs over both versions before any tier.
    let versions = [
        tiered(1, "2021-01-01", "MARGINAL", ["20", "10"], "CONTINUE"),
        tiered(2, "2021-02-15", "MARGINAL", ["50", "30"], "CONTINUE"),
    ];
    let netted = settle(
        &versions,
        &[accrual(1, "all", AccrualKind::Win, 600), accrual(2, "all", AccrualKind::Stake, 1_000)],
        &Carry::default(),
    );
    assert_eq!(netted.total.0, 200);
}

#[test]
fn what_cancels_out_leaves_no_line_and_what_only_nets_to_zero_does() {
    let versions = [active(1, 1, json!({}))];
    let moved = Accrual { amount: Units(-50_000), units: -1, transactions: -1, ..ggr("all", 5) };
    assert_eq!(settle(&versions, &[ggr("all", 5), moved], &Carry::default()).lines, []);
    let undone = Accrual { amount: Units(-50_000), units: -1, ..ggr("all", 5) };
    assert_eq!(shown(&settle(&versions, &[ggr("all", 5), undone], &Carry::default())), ["REVENUE_SHARE all 0 8 0"]);
    let fee = accrual(1, "all", AccrualKind::Fee, 5);
    assert_eq!(
        shown(&settle(&versions, &[fee], &Carry::default())),
        ["REVENUE_SHARE all 0 8 0"],
        "it moves no base, but it is there"
    );
}

#[test]
fn an_overflow_names_the_class() {
    let versions = [active(1, 1, json!({}))];
    let asset = Asset::new("BIT", 2);
    let clauses = Clauses::new(&versions, &asset).expect("clauses");
    let huge = Accrual { amount: Units(i64::MAX), ..ggr("all", 1) };
    let result = compute(
        SettlementId::NONE,
        FEBRUARY,
        &[huge.clone(), Accrual { kind: AccrualKind::Adjustment(Affects::Ggr), ..huge }],
        &Carry::default(),
        Vec::new(),
        &Funds::default(),
        &clauses,
    );
    let problem = result.expect_err("an overflow");
    assert_eq!(problem.code, Code::Overflow);
    assert!(problem.message.contains("version 1, rate class 'all'"), "{problem}");
    let unknown = compute(
        SettlementId::NONE,
        FEBRUARY,
        &[ggr("gone", 1)],
        &Carry::default(),
        Vec::new(),
        &Funds::default(),
        &clauses,
    );
    assert_eq!(unknown.map_err(|problem| problem.code), Err(Code::NotFound));
}
