//! What a period owes, from its facts and the words of `docs/contracts.md`: one step after the other, with fractions.

use std::collections::{BTreeMap, BTreeSet};

use super::calendar;
use super::counted::{Counted, World, rate};
use super::exact::{Exact, shared};
use super::fenced::{Stands, fence};
use crate::contracts::Period;
use crate::contracts::contract::{
    ActiveVersion, Base, BonusTreatment, Charge, Cost, DeductionBase, JackpotBasis, Level, NegativeMode, NgrBase,
    PercentOf, RateRow, Split, Take, Terms, TierMode, TierPeriod, TierReads, Tiers, TiersOnChange,
};
use crate::ids::{PartnerId, SettlementId};
use crate::money::{Asset, Minor, Rate, Rounding, Units};
use crate::settlements::settlement::{Funds, Line, LineCode};
use crate::time::Timestamp;
use crate::transactions::transaction::{Affects, Fact, Kind};

/// What one period leaves to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Whether units are counted, the rate class or nothing, and the base: not positive.
    pub bases: BTreeMap<(bool, String), i64>,
    /// Against players alone.
    pub players: Stands,
    /// The year, the version that counted last, and what filled the tiers of each class.
    pub year: Option<(i32, usize, BTreeMap<String, i64>)>,
    pub amount: i64,
    pub recouped: i64,
    pub drawn: i64,
}

/// One rate class of one version in a period.
struct Class<'a> {
    version: usize,
    row: &'a RateRow,
    facts: Vec<&'a Counted<'a>>,
    base: i64,
    netted: i64,
}

pub struct Ledger<'w> {
    pub world: &'w World<'w>,
    pub asset: &'w Asset,
    pub funds: Funds,
}

impl<'w> Ledger<'w> {
    fn terms(&self, version: usize) -> &'w Terms {
        &self.world.versions[version].terms
    }

    fn line(&self, code: LineCode, version: usize, amount: i64) -> Line {
        Line {
            code,
            version: self.world.versions[version].version,
            rate_class: None,
            clause: None,
            base: None,
            rate: None,
            amount: Minor(amount),
            corrects: None,
        }
    }

    fn class_line(&self, code: LineCode, class: &Class<'_>, base: i64) -> Line {
        Line { rate_class: Some(class.row.code.clone()), base: Some(Units(base)), ..self.line(code, class.version, 0) }
    }

    /// Accounting units of a major unit, and of a minor one.
    fn major(&self) -> Exact {
        Exact::whole(10_i128.pow(self.asset.accounting_exponent.into()))
    }

    fn minor(&self) -> Exact {
        Exact::whole(10_i128.pow((self.asset.accounting_exponent - self.asset.exponent).into()))
    }

    /// Days of a period that a version governs, of so many.
    fn days(&self, version: usize, period: Period) -> (i64, i64) {
        let cycle = &self.terms(version).cycle;
        let from = period.start.max(self.world.versions[version].valid_from);
        let until = self.until(version).map_or(period.end, |until| until.min(period.end));
        (
            if from < until { calendar::days(cycle, from, until) } else { 0 },
            calendar::days(cycle, period.start, period.end),
        )
    }

    /// The next version begins, or the day after the last one of this.
    fn until(&self, version: usize) -> Option<Timestamp> {
        let terms = self.terms(version);
        let day_after = terms.valid_until.map(|last| calendar::begins(&terms.cycle, last + chrono::Days::new(1)));
        let next = self.world.versions.get(version + 1).map(|next| next.valid_from);
        next.into_iter().chain(day_after).min()
    }

    /// Of what is agreed for a period, the part of a version.
    fn part(&self, amount: Exact, version: usize, period: Period) -> i64 {
        let (days, of) = self.days(version, period);
        (amount * Exact::new(days.into(), of.into())).round(self.terms(version).rounding)
    }

    /// Steps 1 to 6: lines, and what is carried but for money.
    pub fn earned(&self, period: Period, counted: &[Counted<'_>], carried: &Left) -> (Vec<Line>, Left) {
        let mut lines = Vec::new();
        let mut left = carried.clone();
        let mut classes = self.classes(period, counted);
        for class in &mut classes {
            class.base = self.base(class);
        }
        for version in 0..self.world.versions.len() {
            if let Base::Ngr(ngr) = &self.terms(version).base {
                let mut own: Vec<&mut Class<'_>> =
                    classes.iter_mut().filter(|class| class.version == version).collect();
                self.deduct(period, version, ngr, &mut own, &mut lines);
            }
        }
        self.net(&mut classes, &mut left, &mut lines);
        self.rates(period, &classes, &mut left, &mut lines);
        self.fees(period, &classes, &mut lines);
        self.bounds(period, &mut lines);
        (lines, left)
    }

    /// All steps, with corrections that fall to this settlement.
    pub fn settled(
        &self,
        period: Period,
        counted: &[Counted<'_>],
        carried: &Left,
        corrections: Vec<Line>,
    ) -> (Vec<Line>, Left) {
        let (mut lines, mut left) = self.earned(period, counted, carried);
        lines.extend(corrections);
        let begun = |version: &usize| self.world.versions[*version].valid_from < period.end;
        let Some(last) = (0..self.world.versions.len()).rev().find(begun) else { return (lines, left) };
        let terms = self.terms(last);
        if terms.prepaid.is_some() {
            self.draw(last, &mut lines, &mut left);
        }
        if carried.amount != 0 {
            lines.push(self.line(LineCode::CarriedIn, last, carried.amount));
        }
        if let Some(advance) = &terms.advance {
            let due = Exact::whole(sum(&lines).max(0));
            let most = (due * rate(&advance.percent)).over(Exact::whole(100)).floor();
            let recouped = most.min((self.funds.advanced.0 - left.recouped).max(0).into());
            let recouped = i64::try_from(recouped).expect("an amount");
            left.recouped += recouped;
            if recouped != 0 {
                lines.push(self.line(LineCode::Recouped, last, -recouped));
            }
        }
        let due = sum(&lines);
        let minimum = (Exact::read(&terms.minimum_payout) * self.major()).over(self.minor());
        left.amount = 0;
        // With the last period of a contract everything is paid.
        let goes_on = (0..self.world.versions.len()).any(|one| self.until(one).is_none_or(|until| period.end < until));
        if goes_on && due > 0 && Exact::whole(due) < minimum {
            left.amount = due;
            lines.push(self.line(LineCode::CarriedOut, last, -due));
        }
        (lines, left)
    }

    /// Who gets what of what a period came to, by the last version that has begun.
    pub fn parts(&self, period: Period, total: i64) -> Vec<(PartnerId, i64)> {
        let begun = |active: &&&ActiveVersion| active.valid_from < period.end;
        let Some(split) = self.world.versions.iter().rev().find(begun).and_then(|last| last.terms.split.as_ref())
        else {
            return Vec::new();
        };
        let (Split::Parallel(of) | Split::Differential(of)) = split;
        let mut weights: Vec<Exact> = of.parties.iter().map(|party| rate(&party.percent)).collect();
        if let Split::Differential(_) = split {
            for above in (1..weights.len()).rev() {
                weights[above] = weights[above] - weights[above - 1];
            }
        }
        // Percentages have at most eight decimals.
        let whole = |weight: Exact| i64::try_from((weight * Exact::whole(100_000_000)).floor()).expect("a weight");
        let weights: Vec<i64> = weights.into_iter().map(whole).collect();
        of.parties.iter().map(|party| party.partner).zip(shared(total, &weights)).collect()
    }

    /// Rate classes that counted something, in the order of versions and of their rows; and the first of a version that
    /// governs some of the period and counted nothing, where an amount is to be deducted from it all the same.
    fn classes<'a>(&'a self, period: Period, counted: &'a [Counted<'a>]) -> Vec<Class<'a>> {
        let mut classes = Vec::new();
        for (version, active) in self.world.versions.iter().enumerate() {
            let class_of = |(place, row): (usize, &'a RateRow)| {
                let own = |one: &&Counted<'_>| (one.version, one.row, one.period) == (version, place, period);
                Class { version, row, facts: counted.iter().filter(own).collect(), base: 0, netted: 0 }
            };
            let mut own: Vec<Class<'_>> = active.terms.rate_table.rows.iter().enumerate().map(class_of).collect();
            if let Base::Ngr(ngr) = &active.terms.base
                && ngr.deductions.iter().any(|deduction| matches!(deduction.take, Take::Amount(_)))
                && self.days(version, period).0 > 0
                && !own.iter().any(Class::counts)
            {
                own.truncate(1);
            } else {
                own.retain(Class::counts);
            }
            classes.extend(own);
        }
        classes
    }

    fn base(&self, class: &Class<'_>) -> i64 {
        match &self.terms(class.version).base {
            Base::Ggr(ggr) => class.total(|fact| in_ggr(ggr.bonus_treatment, ggr.jackpots, fact)),
            Base::Ngr(ngr) => class.total(|fact| in_ggr(ngr.bonus_treatment, ngr.jackpots, fact)),
            Base::Turnover(turnover) => class.turnover(turnover.bonus_treatment),
            Base::Sales(_) => class.total(|fact| match (fact.kind, fact.affects) {
                (Kind::Sale, _) | (Kind::Adjustment, Some(Affects::Sales)) => 1,
                (Kind::Refund, _) => -1,
                _ => 0,
            }),
            Base::Units(units) => self.units(class, &units.promotional),
        }
    }

    /// Stakes and sales less refunds, and of bonus stakes a percentage; one is a major unit.
    fn units(&self, class: &Class<'_>, promotional: &Rate) -> i64 {
        let mut whole = 0_i64;
        let mut bonus = 0_i64;
        for one in class.facts.iter().filter(|one| !one.undone) {
            match one.fact.kind {
                Kind::Stake | Kind::Sale => whole += 1,
                Kind::Refund => whole -= 1,
                Kind::BonusStake => bonus += 1,
                _ => {}
            }
        }
        let bonus = (Exact::whole(bonus) * self.major() * rate(promotional)).over(Exact::whole(100));
        (Exact::whole(whole) * self.major()).round(Rounding::HalfEven) + bonus.round(Rounding::HalfEven)
    }

    fn deduct(
        &self,
        period: Period,
        version: usize,
        ngr: &NgrBase,
        classes: &mut [&mut Class<'_>],
        lines: &mut Vec<Line>,
    ) {
        if classes.is_empty() {
            return;
        }
        let gross: Vec<i64> = classes.iter().map(|class| class.base).collect();
        lines.extend(classes.iter().map(|class| self.class_line(LineCode::Gross, class, class.base)));
        let per_class = self.terms(version).negative.level == Level::PerClass;
        for deduction in &ngr.deductions {
            let running: Vec<i64> = classes.iter().map(|class| class.base).collect();
            // Groups of classes that it is computed for.
            let fixed = matches!(deduction.take, Take::Amount(_));
            let groups: Vec<Vec<usize>> = if per_class && !fixed {
                (0..classes.len()).map(|place| vec![place]).collect()
            } else {
                vec![(0..classes.len()).collect()]
            };
            for group in groups {
                let bases = |of: DeductionBase| -> Vec<i64> {
                    let one = |place: &usize| match of {
                        DeductionBase::Ggr => gross[*place],
                        DeductionBase::Running => running[*place],
                        DeductionBase::Turnover => classes[*place].turnover(ngr.bonus_treatment),
                    };
                    group.iter().map(one).collect()
                };
                let rounding = self.terms(version).rounding;
                let percent = |of: &PercentOf| {
                    let base = Exact::whole(bases(of.of).iter().sum::<i64>().max(0));
                    (base * rate(&of.percent)).over(Exact::whole(100)).round(rounding)
                };
                let (mut taken, weights) = match &deduction.take {
                    Take::PercentOf(of) => (percent(of), bases(of.of)),
                    Take::Amount(amount) => {
                        let whole = Exact::read(amount) * self.major();
                        (self.part(whole, version, period), bases(DeductionBase::Running))
                    }
                    Take::Costs(costs) => {
                        let kinds: Vec<Kind> = costs.of.iter().map(|cost| kind_of(*cost)).collect();
                        let cost = |place: &usize| classes[*place].total(|fact| i64::from(kinds.contains(&fact.kind)));
                        let each: Vec<i64> = group.iter().map(cost).collect();
                        let all = Exact::whole(each.iter().sum::<i64>().max(0));
                        ((all * rate(&costs.percent)).over(Exact::whole(100)).round(rounding), each)
                    }
                };
                if let Some(cap) = &deduction.cap {
                    taken = taken.min(percent(cap));
                }
                let mut weights: Vec<i64> = weights.into_iter().map(|weight| weight.max(0)).collect();
                if weights.iter().all(|weight| *weight == 0) {
                    weights[0] = 1;
                }
                for (place, part) in group.iter().zip(shared(taken, &weights)) {
                    if part != 0 {
                        let line = self.class_line(LineCode::Deduction, classes[*place], -part);
                        lines.push(Line { clause: Some(deduction.code.clone()), ..line });
                    }
                    classes[*place].base -= part;
                }
            }
        }
    }

    /// By the terms of the newest version that counted something.
    fn net(&self, classes: &mut [Class<'_>], left: &mut Left, lines: &mut Vec<Line>) {
        for class in classes.iter_mut() {
            class.netted = class.base;
        }
        let Some(last) = classes.last().map(|class| class.version) else { return };
        let counts = matches!(self.terms(last).base, Base::Units(_));
        let carried: BTreeMap<String, i64> = left
            .bases
            .iter()
            .filter(|((units, _), _)| *units == counts)
            .map(|((_, name), base)| (name.clone(), *base))
            .collect();
        left.bases.retain(|(units, _), _| *units != counts);
        let negative = self.terms(last).negative;
        let mut now = carried.clone();
        let (back, out) = self.fence(last, classes, left);
        if negative.level == Level::Total {
            let mut all: Vec<&mut Class<'_>> = classes.iter_mut().collect();
            let rest = netted(&mut all, carried.values().sum(), negative.mode);
            now = BTreeMap::from([(String::new(), rest)]);
        } else {
            let codes: BTreeSet<String> = classes.iter().map(|class| class.row.code.clone()).collect();
            for code in codes {
                let mut own: Vec<&mut Class<'_>> = classes.iter_mut().filter(|class| class.row.code == code).collect();
                let rest = netted(&mut own, carried.get(&code).copied().unwrap_or_default(), negative.mode);
                now.insert(code, rest);
            }
            // What was carried for all classes together takes what each has left.
            if let Some(common) = carried.get("") {
                let mut all: Vec<&mut Class<'_>> = classes.iter_mut().collect();
                let rest = -common - smaller(&mut all, -common, 1);
                now.insert(String::new(), if negative.mode == NegativeMode::Reset { 0 } else { -rest });
            }
        }
        left.bases.extend(now.into_iter().filter(|(_, base)| *base != 0).map(|(name, base)| ((counts, name), base)));
        let (before, into) =
            if counts { (LineCode::Units, LineCode::CarriedUnits) } else { (LineCode::Base, LineCode::CarriedBase) };
        let changed = classes.iter().filter(|class| class.netted != class.base);
        lines.extend(changed.map(|class| self.class_line(before, class, class.base)));
        for (code, base) in [(LineCode::RingFenceOffset, -back), (LineCode::RingFenced, out)] {
            lines.extend((base != 0).then(|| Line { base: Some(Units(base)), ..self.line(code, last, 0) }));
        }
        for (name, base) in carried {
            let rate_class = (!name.is_empty()).then_some(name);
            lines.push(Line { rate_class, base: Some(Units(base)), ..self.line(into, last, 0) });
        }
    }

    /// Players are set off, and taken out, where the last version says so; the classes then come to that much less or more.
    fn fence(&self, last: usize, classes: &mut [Class<'_>], left: &mut Left) -> (i64, i64) {
        let Some(clause) = &self.terms(last).ring_fence else { return (0, 0) };
        let mut bases = BTreeMap::new();
        for one in classes.iter().flat_map(|class| &class.facts).filter(|one| !one.undone) {
            let terms = self.terms(one.version);
            let sign = match &terms.base {
                _ if terms.ring_fence.is_none() => continue,
                Base::Ggr(ggr) => in_ggr(ggr.bonus_treatment, ggr.jackpots, one.fact),
                Base::Ngr(ngr) => in_ggr(ngr.bonus_treatment, ngr.jackpots, one.fact),
                _ => panic!("a ring-fence goes with GGR and NGR"),
            };
            if let Some(player) = one.fact.player {
                *bases.entry(player).or_default() += sign * one.fact.amount.0;
            }
        }
        let total = classes.iter().map(|class| class.netted).sum();
        let threshold = (Exact::read(&clause.threshold) * self.major()).round(Rounding::HalfEven);
        let (back, out) = fence(total, &bases, &mut left.players, threshold);
        let mut all: Vec<&mut Class<'_>> = classes.iter_mut().collect();
        if out > back {
            smaller(&mut all, out - back, -1);
        } else {
            let rest = back - out - smaller(&mut all, back - out, 1);
            let mut weights: Vec<i64> = all.iter().map(|class| -class.netted.min(0)).collect();
            if weights.iter().all(|weight| *weight == 0) {
                weights[0] = 1;
            }
            all.iter_mut().zip(shared(rest, &weights)).for_each(|(class, part)| class.netted -= part);
        }
        (back, out)
    }

    fn rates(&self, period: Period, classes: &[Class<'_>], left: &mut Left, lines: &mut Vec<Line>) {
        // What went through the tiers of a class in this period, and the version that counted last.
        let mut here: BTreeMap<&str, i64> = BTreeMap::new();
        let mut last = None;
        for class in classes {
            let terms = self.terms(class.version);
            let anew = terms.tiers_on_change == TiersOnChange::Restart;
            if last != Some(class.version) && anew {
                here.clear();
            }
            last = Some(class.version);
            let year = chrono::Datelike::year(&calendar::date_of(&terms.cycle, period.start));
            let same = |(of, version, _): &(i32, usize, _)| *of == year && (*version == class.version || !anew);
            let filled = left.year.take().filter(same).map(|(_, _, filled)| filled).unwrap_or_default();
            let (_, _, filled) = left.year.insert((year, class.version, filled));
            let Some(tiers) = &class.row.tiers else {
                let pay = self.pay(class.row.percent, class.row.per_unit.map(|price| price.digits()));
                self.share(
                    class,
                    pay * Exact::whole(class.netted),
                    pay_digits(class.row.percent, class.row.per_unit),
                    lines,
                );
                *here.entry(&class.row.code).or_default() += class.netted;
                continue;
            };
            let read = if tiers.reads == TierReads::BeforeCarry { class.base } else { class.netted };
            let before = match tiers.period {
                TierPeriod::Year => filled.entry(class.row.code.clone()).or_default(),
                TierPeriod::Settlement => here.entry(&class.row.code).or_default(),
            };
            let end = *before + read;
            *before = end;
            let steps = self.steps(tiers);
            match tiers.mode {
                TierMode::Volume => {
                    let size = Exact::whole(end).abs();
                    let reached = steps.iter().find(|(_, high, ..)| high.is_none_or(|high| size <= high));
                    let (_, _, pay, digits) = reached.expect("the last step is open");
                    self.share(class, *pay * Exact::whole(class.netted), *digits, lines);
                }
                TierMode::Marginal => {
                    // Of a number, what lies in a step, with its sign.
                    let within = |number: i64, low: Exact, high: Option<Exact>| {
                        let size = Exact::whole(number).abs();
                        let slice = (high.map_or(size, |high| size.min(high)) - low).max(Exact::ZERO);
                        if number < 0 { -slice } else { slice }
                    };
                    let mut amount = Exact::ZERO;
                    let mut used = Vec::new();
                    for (low, high, pay, digits) in steps {
                        let slice = within(end, low, high) - within(end - class.netted, low, high);
                        amount = amount + slice * pay;
                        used.extend((slice != Exact::ZERO).then_some(digits));
                    }
                    self.share(class, amount, if used.len() == 1 { used[0] } else { None }, lines);
                }
            }
        }
        if left.year.as_ref().is_some_and(|(_, _, filled)| filled.is_empty()) {
            left.year = None;
        }
    }

    /// Each step by its edges, upwards from zero; losses go down the same steps below it.
    fn steps(&self, tiers: &Tiers) -> Vec<(Exact, Option<Exact>, Exact, Option<Rate>)> {
        let mut low = Exact::ZERO;
        let mut steps = Vec::new();
        for step in &tiers.steps {
            let high = step.up_to.as_deref().map(|edge| Exact::read(edge) * self.major());
            let pay = self.pay(step.percent, step.per_unit.map(|price| price.digits()));
            steps.push((low, high, pay, pay_digits(step.percent, step.per_unit)));
            low = high.unwrap_or(low);
        }
        steps
    }

    /// Accounting units of money for one accounting unit of a base.
    fn pay(&self, percent: Option<Rate>, price: Option<Rate>) -> Exact {
        match (percent, price) {
            (Some(percent), None) => rate(&percent).over(Exact::whole(100)),
            (None, Some(price)) => rate(&price),
            _ => panic!("a rate"),
        }
    }

    fn share(&self, class: &Class<'_>, amount: Exact, rate: Option<Rate>, lines: &mut Vec<Line>) {
        let terms = self.terms(class.version);
        let code = if let Base::Units(_) = terms.base { LineCode::PerUnit } else { LineCode::RevenueShare };
        let amount = Minor(amount.over(self.minor()).round(terms.rounding));
        lines.push(Line { rate, amount, ..self.class_line(code, class, class.netted) });
    }

    fn fees(&self, period: Period, classes: &[Class<'_>], lines: &mut Vec<Line>) {
        for version in 0..self.world.versions.len() {
            for fee in &self.terms(version).fees {
                let line = match &fee.charge {
                    Charge::Amount(amount) => {
                        let whole = (Exact::read(amount) * self.major()).over(self.minor());
                        self.line(LineCode::Fee, version, self.part(whole, version, period))
                    }
                    Charge::PerUnit(unit) => {
                        let own = classes.iter().filter(|class| class.version == version);
                        let count: i64 = own.map(|class| self.units(class, &unit.promotional)).sum();
                        let amount = Exact::whole(count) * rate(&unit.price);
                        let amount = amount.over(self.minor()).round(self.terms(version).rounding);
                        let line = self.line(LineCode::Fee, version, amount);
                        Line { base: Some(Units(count)), rate: Some(unit.price.digits()), ..line }
                    }
                };
                if line.amount != Minor::ZERO {
                    lines.push(Line { clause: Some(fee.code.clone()), ..line });
                }
            }
        }
    }

    /// The cap, and then the guarantee: of each version that has one its days' part, held against what these versions
    /// come to together.
    fn bounds(&self, period: Period, lines: &mut Vec<Line>) {
        for (code, clause) in [(LineCode::Cap, "cap"), (LineCode::Guarantee, "minimumGuarantee")] {
            let mut bound = 0;
            let mut own = Vec::new();
            for version in 0..self.world.versions.len() {
                let terms = self.terms(version);
                let amount = if code == LineCode::Cap { &terms.cap } else { &terms.minimum_guarantee };
                if let (Some(amount), true) = (amount, self.days(version, period).0 > 0) {
                    bound += self.part((Exact::read(amount) * self.major()).over(self.minor()), version, period);
                    own.push(version);
                }
            }
            let Some(last) = own.last().copied() else { continue };
            let numbers: Vec<i64> = own.iter().map(|version| self.world.versions[*version].version).collect();
            let come_to: i64 =
                lines.iter().filter(|line| numbers.contains(&line.version)).map(|line| line.amount.0).sum();
            let missing = bound - come_to;
            if (code == LineCode::Cap && missing < 0) || (code == LineCode::Guarantee && missing > 0) {
                lines.push(Line { clause: Some(clause.to_owned()), ..self.line(code, last, missing) });
            }
        }
    }

    /// Pays what was played with credit, as far as it goes; what was lost again goes back to it.
    fn draw(&self, last: usize, lines: &mut Vec<Line>, left: &mut Left) {
        let played = |line: &&Line| match line.code {
            LineCode::RevenueShare => true,
            LineCode::Correction => line.rate_class.is_some(),
            _ => false,
        };
        let base: i64 = lines.iter().filter(played).map(|line| line.base.map_or(0, |base| base.0)).sum();
        let owed: i64 = lines.iter().filter(played).map(|line| line.amount.0).sum();
        let credit = (Exact::whole(self.funds.credit.0) * self.minor()).floor();
        let credit = i64::try_from(credit).expect("an amount") - left.drawn;
        let drawn = if base >= 0 { base.min(credit.max(0)) } else { -(-base).min(left.drawn.max(0)) };
        if drawn != 0 {
            let paid = (Exact::whole(owed) * Exact::new(drawn.into(), base.into())).round(Rounding::HalfEven);
            let line = self.line(LineCode::Drawn, last, -paid);
            lines.push(Line { base: Some(Units(drawn)), ..line });
            left.drawn += drawn;
        }
    }
}

fn pay_digits(percent: Option<Rate>, price: Option<crate::money::Price>) -> Option<Rate> {
    percent.or(price.map(|price| price.digits()))
}

pub fn sum(lines: &[Line]) -> i64 {
    lines.iter().map(|line| line.amount.0).sum()
}

const fn kind_of(cost: Cost) -> Kind {
    match cost {
        Cost::BonusStakes => Kind::BonusStake,
        Cost::BonusWins => Kind::BonusWin,
        Cost::Fees => Kind::Fee,
        Cost::JackpotContributions => Kind::JackpotContribution,
        Cost::JackpotWins => Kind::JackpotWin,
    }
}

fn in_ggr(bonus: BonusTreatment, jackpots: JackpotBasis, fact: &Fact) -> i64 {
    match (fact.kind, fact.affects) {
        (Kind::Stake, _) | (Kind::Adjustment, Some(Affects::Ggr)) => 1,
        (Kind::Win, _) => -1,
        (Kind::BonusStake, _) if bonus != BonusTreatment::Exclude => 1,
        (Kind::BonusWin, _) if bonus == BonusTreatment::Include => -1,
        (Kind::JackpotContribution, _) if jackpots == JackpotBasis::Accrual => -1,
        (Kind::JackpotWin, _) if jackpots == JackpotBasis::Payout => -1,
        _ => 0,
    }
}

impl Class<'_> {
    /// Facts times what each does.
    fn total(&self, sign: impl Fn(&Fact) -> i64) -> i64 {
        self.facts.iter().filter(|one| !one.undone).map(|one| sign(one.fact) * one.fact.amount.0).sum()
    }

    fn turnover(&self, bonus: BonusTreatment) -> i64 {
        self.total(|fact| match (fact.kind, fact.affects) {
            (Kind::Stake, _) | (Kind::Adjustment, Some(Affects::Turnover)) => 1,
            (Kind::BonusStake, _) => i64::from(bonus != BonusTreatment::Exclude),
            _ => 0,
        })
    }

    /// Whether it has a line: a transaction was counted in it, or, where another class has the transaction, something
    /// of it is left in the sums of its kinds.
    fn counts(&self) -> bool {
        let mut sums: BTreeMap<(Kind, Option<Affects>), (i64, i64)> = BTreeMap::new();
        for one in self.facts.iter().filter(|one| !one.undone) {
            let sum = sums.entry((one.fact.kind, one.fact.affects)).or_default();
            let unit = matches!(one.fact.kind, Kind::Stake | Kind::BonusStake | Kind::Sale | Kind::Refund);
            (sum.0, sum.1) = (sum.0 + one.fact.amount.0, sum.1 + i64::from(unit));
        }
        self.facts.iter().any(|one| one.first) || sums.values().any(|sum| *sum != (0, 0))
    }
}

/// Nets classes against each other and what is carried in (not positive); what is carried on.
fn netted(classes: &mut [&mut Class<'_>], carried: i64, mode: NegativeMode) -> i64 {
    let positive: i64 = classes.iter().map(|class| class.netted.max(0)).sum();
    let losses: i64 = classes.iter().map(|class| (-class.netted).max(0)).sum();
    let rest = losses - carried - smaller(classes, losses - carried, 1);
    if mode == NegativeMode::PayableByPartner {
        // Losses are smaller by what they took; what was carried before them is never owed.
        smaller(classes, positive.min(losses), -1);
        return -rest.min(-carried);
    }
    for class in classes.iter_mut() {
        class.netted = class.netted.max(0);
    }
    if mode == NegativeMode::Carry { -rest } else { 0 }
}

/// Brings the bases of one sign closer to zero by an amount, in proportion to their size, as far as they go; by how much.
fn smaller(classes: &mut [&mut Class<'_>], amount: i64, sign: i64) -> i64 {
    let weights: Vec<i64> = classes.iter().map(|class| (sign * class.netted).max(0)).collect();
    let taken = amount.min(weights.iter().sum());
    if taken > 0 {
        for (class, part) in classes.iter_mut().zip(shared(taken, &weights)) {
            class.netted -= sign * part;
        }
    }
    taken
}

/// Corrections of a closed settlement: by version, rate class and clause, what it would have come to, less what it came
/// to, less what was corrected before.
pub fn corrections(id: SettlementId, now: &[Line], frozen: &[Line], posted: &[&Line]) -> Vec<Line> {
    let owes = |line: &&Line| {
        use LineCode::{Cap, Fee, Guarantee, PerUnit, RevenueShare};
        matches!(line.code, RevenueShare | PerUnit | Fee | Cap | Guarantee)
    };
    let now = now.iter().filter(owes).map(|line| (line, 1));
    let before = frozen.iter().filter(owes).chain(posted.iter().copied()).map(|line| (line, -1));
    /// Version, rate class and clause.
    type Slot = (i64, Option<String>, Option<String>);
    let mut changes: BTreeMap<Slot, (i64, i64)> = BTreeMap::new();
    for (line, sign) in now.chain(before) {
        let change = changes.entry((line.version, line.rate_class.clone(), line.clause.clone())).or_default();
        *change = (change.0 + sign * line.base.map_or(0, |base| base.0), change.1 + sign * line.amount.0);
    }
    changes.retain(|_, (_, amount)| *amount != 0);
    let line = |((version, rate_class, clause), (base, amount))| Line {
        code: LineCode::Correction,
        version,
        rate_class,
        clause,
        base: Some(Units(base)),
        rate: None,
        amount: Minor(amount),
        corrects: Some(id),
    };
    changes.into_iter().map(line).collect()
}
