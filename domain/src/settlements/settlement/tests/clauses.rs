//! Deductions, units, fees, the cap, the guarantee and the tiers of a year, as worked in the notes.

use super::*;

/// The month with 31 days before FEBRUARY.
const JANUARY: Period = Period { start: Timestamp(1_609_459_200_000_000), end: FEBRUARY.start };

fn in_period(period: Period, versions: &[ActiveVersion], accruals: &[Accrual], carry: &Carry) -> Computed {
    let asset = Asset::new("BIT", 2);
    let clauses = Clauses::new(versions, &asset).expect("clauses");
    let computed = compute(SettlementId::NONE, period, accruals, carry, Vec::new(), &Funds::default(), &clauses)
        .expect("a settlement");
    assert_eq!(Minor::sum(computed.lines.iter().map(|line| line.amount)), Ok(computed.total), "lines sum to the total");
    computed
}

/// Whole major units.
fn major(kind: AccrualKind, class: &str, amount: i64) -> Accrual {
    accrual(1, class, kind, amount * 100)
}

/// "CODE clause class base amount", bases and amounts in major units.
fn steps(computed: &Computed) -> Vec<String> {
    let asset = Asset::new("BIT", 2);
    let line = |line: &Line| {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let base = line.base.map_or("-".to_owned(), |base| asset.format_units(base));
        let amount = asset.format_minor(line.amount);
        format!("{} {} {} {base} {amount}", line.code.as_str(), name(&line.clause), name(&line.rate_class))
    };
    computed.lines.iter().map(line).collect()
}

fn ngr(level: &str, rows: Value, deductions: Value) -> Vec<ActiveVersion> {
    let base = json!({ "ngr": { "bonusTreatment": "INCLUDE", "jackpots": "NONE", "deductions": deductions } });
    let negative = json!({ "mode": "CARRY", "level": level });
    vec![active(1, 1, json!({ "base": base, "negative": negative, "rateTable": { "rows": rows } }))]
}

/// What the example of the notes deducts from GGR, in its order.
fn deductions() -> Value {
    json!([
        { "code": "bonus", "take": { "costs": { "of": ["BONUS_STAKES"] } }, "cap": { "percent": "15", "of": "GGR" } },
        { "code": "payment", "take": { "amount": "2300" } },
        { "code": "tax", "take": { "percentOf": { "percent": "15", "of": "GGR" } } },
        { "code": "jackpot", "take": { "costs": { "of": ["JACKPOT_WINS"], "percent": "2" } } },
    ])
}

#[test]
fn ngr_as_worked_in_the_notes() {
    let versions = ngr("TOTAL", json!([{ "code": "all", "percent": "30" }]), deductions());
    let accruals = [
        major(AccrualKind::Stake, "all", 900_000),
        major(AccrualKind::BonusStake, "all", 6_000),
        major(AccrualKind::Win, "all", 868_000),
        major(AccrualKind::JackpotWin, "all", 500_000),
    ];
    let computed = in_period(FEBRUARY, &versions, &accruals, &Carry::default());
    let expected = [
        "GROSS - all 38000.00 0.00",
        "DEDUCTION bonus all -5700.00 0.00",
        "DEDUCTION payment all -2300.00 0.00",
        "DEDUCTION tax all -5700.00 0.00",
        "DEDUCTION jackpot all -10000.00 0.00",
        "REVENUE_SHARE - all 14300.00 4290.00",
    ];
    assert_eq!(steps(&computed), expected);
}

#[test]
fn a_negative_base_makes_no_income_of_a_cost() {
    let capped = json!([{ "code": "bonus", "take": { "costs": { "of": ["BONUS_STAKES"] } }, "cap": { "percent": "15", "of": "GGR" } },
                        { "code": "tax", "take": { "percentOf": { "percent": "15", "of": "RUNNING" } } }]);
    let versions = ngr("TOTAL", json!([{ "code": "all", "percent": "30" }]), capped);
    let accruals = [major(AccrualKind::BonusStake, "all", 500), major(AccrualKind::Win, "all", 10_500)];
    let computed = in_period(FEBRUARY, &versions, &accruals, &Carry::default());
    let expected = ["GROSS - all -10000.00 0.00", "BASE - all -10000.00 0.00", "REVENUE_SHARE - all 0.00 0.00"];
    assert_eq!(steps(&computed), expected);
    assert_eq!(computed.carry_out, carried("", -1_000_000));
}

fn two() -> Value {
    json!([{ "code": "a", "when": "product == 'a'", "percent": "10" }, { "code": "b", "percent": "20" }])
}

#[test]
fn what_classes_bear_together_is_shared_out_by_what_each_has_of_it() {
    let bonus = json!([{ "code": "bonus", "take": { "costs": { "of": ["BONUS_STAKES"] } }, "cap": { "percent": "10", "of": "TURNOVER" } }]);
    let accruals = [
        major(AccrualKind::BonusStake, "a", 40_000),
        major(AccrualKind::BonusStake, "b", 20_000),
        major(AccrualKind::BonusWin, "a", 20_000),
    ];
    let computed = in_period(FEBRUARY, &ngr("TOTAL", two(), bonus.clone()), &accruals, &Carry::default());
    // 10 % of 60,000 between 40,000 and 20,000.
    assert_eq!(steps(&computed)[2..4], ["DEDUCTION bonus a -4000.00 0.00", "DEDUCTION bonus b -2000.00 0.00"]);
    // Each for itself it is the same here, but for a class without any.
    let alone = in_period(FEBRUARY, &ngr("PER_CLASS", two(), bonus), &accruals, &Carry::default());
    assert_eq!(steps(&alone), steps(&computed));
    let tax = json!([{ "code": "tax", "take": { "percentOf": { "percent": "10", "of": "GGR" } } }]);
    let mixed = [major(AccrualKind::Stake, "a", 1_000), major(AccrualKind::Win, "b", 400)];
    let deducted = |level: &str| {
        let computed = in_period(FEBRUARY, &ngr(level, two(), tax.clone()), &mixed, &Carry::default());
        steps(&computed).into_iter().filter(|step| step.starts_with("DEDUCTION")).collect::<Vec<_>>()
    };
    assert_eq!(deducted("TOTAL"), ["DEDUCTION tax a -60.00 0.00"], "10 % of what both made");
    assert_eq!(deducted("PER_CLASS"), ["DEDUCTION tax a -100.00 0.00"], "10 % of what one made");
    let fixed = json!([{ "code": "fix", "take": { "amount": "30.01" } }]);
    let equal = [major(AccrualKind::Stake, "a", 1_000), major(AccrualKind::Stake, "b", 1_000)];
    let once = in_period(FEBRUARY, &ngr("PER_CLASS", two(), fixed.clone()), &equal, &Carry::default());
    assert_eq!(steps(&once)[2..4], ["DEDUCTION fix a -15.005 0.00", "DEDUCTION fix b -15.005 0.00"], "only once");
    let loss = [major(AccrualKind::Win, "a", 1_000), major(AccrualKind::Win, "b", 1_000)];
    let first = in_period(FEBRUARY, &ngr("TOTAL", two(), fixed), &loss, &Carry::default());
    assert_eq!(steps(&first)[2], "DEDUCTION fix a -30.01 0.00", "the first bears what nobody earned");
}

#[test]
fn units_are_priced_and_promotional_ones_reduced() {
    let terms = |promotional: &str| {
        let rows = json!([{ "code": "all", "tiers": { "mode": "MARGINAL", "steps": [
            { "upTo": "1000", "perUnit": "0.05" }, { "perUnit": "0.04" },
        ] } }]);
        let base = json!({ "units": { "promotional": promotional } });
        [active(1, 1, json!({ "base": base, "rateTable": { "rows": rows } }))]
    };
    let count = |kind, units| Accrual { units, ..accrual(1, "all", kind, 12_345) };
    let accruals = [count(AccrualKind::Stake, 1_100), count(AccrualKind::BonusStake, 200)];
    let paid = |promotional: &str| in_period(FEBRUARY, &terms(promotional), &accruals, &Carry::default());
    assert_eq!(steps(&paid("0")), ["PER_UNIT - all 1100.00 54.00"]);
    assert_eq!(steps(&paid("50")), ["PER_UNIT - all 1200.00 58.00"]);
    // More refunds than sales are carried as units, and money that was carried waits beside them.
    let refunds = [count(AccrualKind::Refund, -30)];
    let first = in_period(JANUARY, &terms("0"), &refunds, &carried("", -7));
    assert_eq!(steps(&first), ["UNITS - all -30.00 0.00", "PER_UNIT - all 0.00 0.00"]);
    let carried: Vec<(&str, i64)> =
        first.carry_out.base.iter().map(|(name, base)| (name.as_str(), base.0 / 10_000)).collect();
    assert_eq!(carried, [("", -7), ("units:", -3_000)]);
    assert_eq!(first.carry_out.total_base(), Ok(Units(-70_000)), "units are no money");
    let second = in_period(FEBRUARY, &terms("0"), &[count(AccrualKind::Stake, 100)], &first.carry_out);
    let expected = ["UNITS - all 100.00 0.00", "CARRIED_UNITS - - -30.00 0.00", "PER_UNIT - all 70.00 3.50"];
    assert_eq!(steps(&second), expected);
}

#[test]
fn fees_come_after_the_shares_and_by_the_days_of_a_part() {
    let with = |from: &str, version: i64, fees: Value| active(1, version, json!({ "validFrom": from, "fees": fees }));
    let setup = |amount: &str| json!([{ "code": "licence", "charge": { "amount": amount } }]);
    let idle = in_period(FEBRUARY, &[with("2021-01-01", 1, setup("280"))], &[], &Carry::default());
    assert_eq!(steps(&idle), ["FEE licence - - 280.00"], "owed although nothing happened");
    // From the 22nd on: 7 of 28 days; and a change on the 15th.
    let part = in_period(FEBRUARY, &[with("2021-02-22", 1, setup("280"))], &[], &Carry::default());
    assert_eq!(steps(&part), ["FEE licence - - 70.00"]);
    let changed = [with("2021-01-01", 1, setup("280")), with("2021-02-15", 2, setup("-56"))];
    let both = in_period(FEBRUARY, &changed, &[], &Carry::default());
    assert_eq!(steps(&both), ["FEE licence - - 140.00", "FEE licence - - -28.00"]);
    assert_eq!(both.earned, Minor(11_200));
    // A version in another currency ends the one before it.
    let euros = active(1, 2, json!({ "validFrom": "2021-02-15", "currency": "EUR" }));
    let ended = in_period(FEBRUARY, &[with("2021-01-01", 1, setup("280")), euros], &[], &Carry::default());
    assert_eq!(steps(&ended), ["FEE licence - - 140.00"]);
    let spins = json!([{ "code": "spins", "charge": { "perUnit": { "price": "0.1", "promotional": "25" } } }]);
    let counted = [
        Accrual { units: 10, ..major(AccrualKind::Stake, "all", 1_000) },
        Accrual { units: 4, ..major(AccrualKind::BonusStake, "all", 0) },
    ];
    let per_unit = in_period(FEBRUARY, &[with("2021-01-01", 1, spins)], &counted, &Carry::default());
    assert_eq!(steps(&per_unit), ["REVENUE_SHARE - all 1000.00 80.00", "FEE spins - 11.00 1.10"]);
}

fn bounded(version: i64, from: &str, change: Value) -> ActiveVersion {
    let mut terms = json!({ "validFrom": from, "rateTable": { "rows": [{ "code": "all", "percent": "10" }] } });
    for (name, value) in change.as_object().expect("changes") {
        terms[name] = value.clone();
    }
    active(1, version, terms)
}

#[test]
fn the_guarantee_tops_up_and_the_cap_holds_back() {
    let guaranteed = [bounded(1, "2021-01-01", json!({ "minimumGuarantee": "5000" }))];
    let earned = [major(AccrualKind::Stake, "all", 38_000)];
    let computed = in_period(FEBRUARY, &guaranteed, &earned, &Carry::default());
    let expected = ["REVENUE_SHARE - all 38000.00 3800.00", "GUARANTEE minimumGuarantee - - 1200.00"];
    assert_eq!(steps(&computed), expected, "as worked in the notes");
    let idle = in_period(FEBRUARY, &guaranteed, &[], &Carry::default());
    assert_eq!(idle.total, Minor(500_000));
    // From the 22nd on, a quarter of it.
    let part = [bounded(1, "2021-02-22", json!({ "minimumGuarantee": "5000" }))];
    assert_eq!(in_period(FEBRUARY, &part, &[], &Carry::default()).total, Minor(125_000));
    // A version that changes something else leaves one guarantee for the period, not two halves.
    let amended =
        [guaranteed[0].clone(), bounded(2, "2021-02-15", json!({ "minimumGuarantee": "5000", "minimumPayout": "1" }))];
    let uneven = [accrual(1, "all", AccrualKind::Stake, 3_800_000)];
    assert_eq!(in_period(FEBRUARY, &amended, &uneven, &Carry::default()).total, Minor(500_000));
    let capped = [bounded(
        1,
        "2021-01-01",
        json!({ "cap": "3000", "fees": [{ "code": "fix", "charge": { "amount": "100" } }] }),
    )];
    let expected = ["REVENUE_SHARE - all 38000.00 3800.00", "FEE fix - - 100.00", "CAP cap - - -900.00"];
    assert_eq!(steps(&in_period(FEBRUARY, &capped, &earned, &Carry::default())), expected);
    assert_eq!(in_period(FEBRUARY, &capped, &[], &Carry::default()).total, Minor(10_000));
}

fn yearly(mode: &str, change: Value) -> ActiveVersion {
    let steps =
        json!([{ "upTo": "10000", "percent": "15" }, { "upTo": "50000", "percent": "12" }, { "percent": "10" }]);
    let mut terms = json!({ "rateTable": { "rows": [
        { "code": "all", "tiers": { "mode": mode, "period": "YEAR", "steps": steps } },
    ] } });
    for (name, value) in change.as_object().expect("changes") {
        terms[name] = value.clone();
    }
    active(1, 1, terms)
}

#[test]
fn tiers_of_a_year_go_on_from_month_to_month_and_begin_anew() {
    let december = Period { start: Timestamp(1_606_780_800_000_000), end: JANUARY.start };
    let earned = [major(AccrualKind::Stake, "all", 32_500)];
    for (mode, amounts) in [("MARGINAL", [420_000, 420_000, 360_000]), ("VOLUME", [390_000, 390_000, 325_000])] {
        let versions = [yearly(mode, json!({ "validFrom": "2020-01-01" }))];
        let first = in_period(december, &versions, &earned, &Carry::default());
        let second = in_period(JANUARY, &versions, &earned, &first.carry_out);
        let third = in_period(FEBRUARY, &versions, &earned, &second.carry_out);
        assert_eq!([first.total.0, second.total.0, third.total.0], amounts, "{mode}");
        let tiers = &third.carry_out.tiers;
        assert_eq!((tiers.year, tiers.counted["all"]), (2021, Units(65_000_000_000)));
        let idle = in_period(FEBRUARY, &versions, &[], &second.carry_out);
        assert_eq!(idle.carry_out.tiers, second.carry_out.tiers, "an idle month keeps the year");
    }
    // In all 7,800 for 65,000, as worked in the notes, in whatever months they came.
    assert_eq!(420_000 + 360_000, 780_000);
    let restarted = [
        yearly("MARGINAL", json!({ "validFrom": "2021-01-01" })),
        ActiveVersion {
            version: 2,
            ..yearly("MARGINAL", json!({ "validFrom": "2021-02-01", "tiersOnChange": "RESTART" }))
        },
    ];
    let january = in_period(JANUARY, &restarted, &earned, &Carry::default());
    let february = [accrual(2, "all", AccrualKind::Stake, 3_250_000)];
    assert_eq!(in_period(FEBRUARY, &restarted, &february, &january.carry_out).total.0, 420_000, "from the first step");
}

fn funded(terms: Value, accruals: &[Accrual], carry: &Carry, funds: Funds) -> Computed {
    let (versions, asset) = ([active(1, 1, terms)], Asset::new("BIT", 2));
    let clauses = Clauses::new(&versions, &asset).expect("clauses");
    compute(SettlementId::NONE, FEBRUARY, accruals, carry, Vec::new(), &funds, &clauses).expect("a settlement")
}

#[test]
fn an_advance_is_recouped_before_anything_is_paid() {
    let terms = |percent: &str| {
        json!({ "advance": { "percent": percent }, "minimumPayout": "10",
                "rateTable": { "rows": [{ "code": "all", "percent": "10" }] } })
    };
    let funds = Funds { advanced: Minor(2_000_000), ..Funds::default() };
    let earned = [major(AccrualKind::Stake, "all", 38_000)];
    let first = funded(terms("100"), &earned, &Carry::default(), funds);
    assert_eq!(steps(&first), ["REVENUE_SHARE - all 38000.00 3800.00", "RECOUPED - - - -3800.00"]);
    assert_eq!((first.total, first.earned, first.carry_out.recouped), (Minor::ZERO, Minor(380_000), Minor(380_000)));
    let nearly = Carry { recouped: Minor(1_900_000), ..Carry::default() };
    assert_eq!(funded(terms("100"), &earned, &nearly, funds).total, Minor(280_000), "the rest is paid");
    assert_eq!(funded(terms("100"), &earned, &nearly, Funds::default()).total, Minor(380_000), "never less than none");
    assert_eq!(funded(terms("50"), &earned, &Carry::default(), funds).total, Minor(190_000), "half of what is due");
    assert_eq!(funded(json!({}), &earned, &Carry::default(), funds).total, Minor(304_000), "without the clause");
    // What is left below the minimum payout is carried as money.
    let most = Carry { recouped: Minor(1_620_500), ..Carry::default() };
    let rest = funded(terms("100"), &earned, &most, funds);
    assert_eq!((rest.total, rest.carry_out.amount), (Minor::ZERO, Minor(500)));
}

#[test]
fn play_draws_prepaid_credit_at_its_face_value() {
    let terms = json!({ "prepaid": {}, "rateTable": { "rows": [{ "code": "all", "percent": "12" }] } });
    let funds = Funds { credit: Minor(10_000_000), ..Funds::default() };
    let played =
        |amount: i64, carry: &Carry| funded(terms.clone(), &[major(AccrualKind::Stake, "all", amount)], carry, funds);
    let first = played(30_000, &Carry::default());
    assert_eq!(steps(&first), ["REVENUE_SHARE - all 30000.00 3600.00", "DRAWN - - 30000.00 -3600.00"]);
    assert_eq!((first.total, first.earned, first.carry_out.drawn), (Minor::ZERO, Minor::ZERO, Units(30_000_000_000)));
    // 70,000 are left; what goes beyond is owed.
    let beyond = played(80_000, &first.carry_out);
    assert_eq!((beyond.total, beyond.carry_out.drawn), (Minor(120_000), Units(100_000_000_000)));
    // A rollback of play gives credit back, and no more than was drawn.
    let back = funded(terms.clone(), &[major(AccrualKind::Win, "all", 5_000)], &first.carry_out, funds);
    assert_eq!(back.carry_out.drawn, first.carry_out.drawn, "a negative base is carried, not given back");
    let payable = json!({ "prepaid": {}, "negative": { "mode": "PAYABLE_BY_PARTNER" },
                          "rateTable": { "rows": [{ "code": "all", "percent": "12" }] } });
    let back = funded(payable, &[major(AccrualKind::Win, "all", 5_000)], &first.carry_out, funds);
    assert_eq!((back.total, back.carry_out.drawn), (Minor::ZERO, Units(25_000_000_000)));
}
