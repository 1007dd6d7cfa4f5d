//! What terms say, clause by clause, in statements.

use std::collections::BTreeMap;

use super::Section;
use super::say::{Statement, Value, say};
use super::table;
use crate::calendars::BusinessCalendar;
use crate::contracts::contract::{
    Base, BonusTreatment, Charge, Costs, Custom, Cycle, Deduction, DeductionBase, Every, Fee, GgrBase, JackpotBasis,
    Level, NegativeMode, PartnerRole, Payment, PercentOf, Roll, Take, Terms, TiersOnChange, Weekday,
};
use crate::contracts::promotion::moment;
use crate::ids::{PartnerId, SourceId};
use crate::money::{Asset, Rate, Rounding};

/// What terms are told with: the asset of their currency, and what their sources and parties are called.
pub struct Words<'w> {
    pub asset: &'w Asset,
    pub sources: &'w BTreeMap<SourceId, String>,
    pub partners: &'w BTreeMap<PartnerId, String>,
    /// All of the tenant's, by which due dates of examples are found.
    pub calendars: &'w [BusinessCalendar],
}

impl Words<'_> {
    /// What a partner is called. One that the reader may not see has no name here, and its id would tell of it.
    pub fn partner(&self, id: PartnerId) -> String {
        self.partners.get(&id).cloned().unwrap_or_else(|| "…".to_owned())
    }

    /// An amount of the terms.
    pub fn amount(&self, text: &str) -> Value {
        let known = self.asset.parse_minor(text).map(|amount| Value::minor(self.asset, amount));
        known.unwrap_or_else(|_| Value::Money(text.to_owned(), self.asset.code.clone()))
    }
}

/// All sections that these terms have, in their order.
pub fn sections(terms: &Terms, words: &Words<'_>) -> Vec<(Section, Vec<Statement>)> {
    let all = [
        (Section::Validity, validity(terms)),
        (Section::Role, vec![say!(role(terms.role))]),
        (Section::Scope, scope(terms, words)),
        (Section::Currency, currencies(terms, words)),
        (Section::Period, period(terms)),
        (Section::Base, base(terms)),
        (Section::Deductions, deductions(terms, words)),
        (Section::Negative, negative(terms)),
        (Section::RingFence, ring_fence(terms, words)),
        (Section::Rates, table::statements(terms, words)),
        (Section::Promotions, promotions(terms)),
        (Section::Fees, terms.fees.iter().flat_map(|fee| self::fee(fee, words)).collect()),
        (Section::Cap, bound("cap", terms.cap.as_deref(), words)),
        (Section::Guarantee, bound("guarantee", terms.minimum_guarantee.as_deref(), words)),
        (Section::Prepaid, prepaid(terms, words)),
        (Section::Advance, advance(terms)),
        (Section::Rounding, vec![say!(rounding(terms.rounding))]),
        (Section::MinimumPayout, minimum_payout(terms, words)),
        (Section::Split, super::parties::statements(terms, words)),
        (Section::Payment, terms.payment.as_ref().map(payment).unwrap_or_default()),
        (Section::Changes, changes(terms)),
    ];
    all.into_iter().filter(|(_, statements)| !statements.is_empty()).collect()
}

/// A word that stands as it is, without quotation marks.
pub fn word(text: &str) -> Value {
    Value::Number(text.to_owned())
}

fn validity(terms: &Terms) -> Vec<Statement> {
    let time = terms.valid_from.and_hms_opt(u32::from(terms.cycle.cut_off_hour), 0, 0).unwrap_or_default();
    let zone = word(terms.cycle.time_zone.name());
    match terms.valid_until {
        None => vec![say!("validity", from = time, zone = zone)],
        Some(last) => vec![say!("validity.until", from = time, zone = zone, last = last)],
    }
}

const fn role(role: PartnerRole) -> &'static str {
    match role {
        PartnerRole::Provider => "role.PROVIDER",
        PartnerRole::Aggregator => "role.AGGREGATOR",
        PartnerRole::Affiliate => "role.AFFILIATE",
        PartnerRole::Agent => "role.AGENT",
        PartnerRole::Platform => "role.PLATFORM",
    }
}

fn scope(terms: &Terms, words: &Words<'_>) -> Vec<Statement> {
    let scope = &terms.scope;
    // One that the reader may not see has no name here, and its id would tell of it.
    let name = |source: &SourceId| words.sources.get(source).cloned().unwrap_or_else(|| "…".to_owned());
    let sources: Vec<String> = scope.sources.iter().map(name).collect();
    let lists = [
        ("scope.sources", &sources),
        ("scope.products", &scope.products),
        ("scope.categories", &scope.categories),
        ("scope.segments", &scope.segments),
        ("scope.tags", &scope.tags),
        ("scope.regions", &scope.regions),
        ("scope.channels", &scope.channels),
    ];
    let lists: Vec<_> = lists.into_iter().filter(|(_, list)| !list.is_empty()).collect();
    let mut said = vec![say!(if lists.is_empty() { "scope.all" } else { "scope.some" })];
    said.extend(lists.into_iter().map(|(key, list)| say!(key, names = list.iter().collect::<Vec<_>>())));
    said.push(say!("scope.test"));
    said
}

fn period(terms: &Terms) -> Vec<Statement> {
    let cycle = &terms.cycle;
    let every = every(cycle);
    let time = format!("{:02}:00", cycle.cut_off_hour);
    let day = say!("period.day", time = word(&time), zone = word(cycle.time_zone.name()));
    let attribution = match terms.attribution {
        crate::contracts::contract::Attribution::Occurred => "attribution.OCCURRED",
        crate::contracts::contract::Attribution::Settled => "attribution.SETTLED",
        crate::contracts::contract::Attribution::RoundClosed => "attribution.ROUND_CLOSED",
    };
    let window = terms.late_window.filter(|window| window.days > 0);
    let window = window.map(|window| say!("period.late", days = i64::from(window.days)));
    [every, day, say!(attribution)].into_iter().chain(window).collect()
}

fn every(cycle: &Cycle) -> Statement {
    match cycle.every {
        Every::Day => say!("period.DAY"),
        Every::Week => say!("period.WEEK", day = weekday(cycle.starts_on.unwrap_or(Weekday::Monday))),
        Every::HalfMonth => say!("period.HALF_MONTH"),
        Every::Month => say!("period.MONTH"),
        Every::Custom => cycle.custom.as_ref().map_or_else(|| say!("period.DAY"), custom),
    }
}

/// One currency, or several that are settled each by itself.
fn currencies(terms: &Terms, words: &Words<'_>) -> Vec<Statement> {
    let main = word(&words.asset.code);
    if terms.also_in.is_empty() {
        return vec![say!("currency", currency = main)];
    }
    let mut said = vec![say!("currency.also", currency = main)];
    for also in &terms.also_in {
        let (currency, least) = (also.currency.clone(), also.minimum_payout.clone());
        said.push(match least.bytes().all(|digit| matches!(digit, b'0' | b'.')) {
            true => say!("currency.of.all", currency = word(&currency)),
            false => say!("currency.of", currency = word(&currency), least = Value::Money(least, currency)),
        });
        said.extend(also.cycle.is_some().then(|| every(&also.cycle_of(&terms.cycle))));
    }
    said
}

fn custom(custom: &Custom) -> Statement {
    let lengths: Vec<Value> = custom.lengths.iter().map(|length| i64::from(*length).into()).collect();
    let key = format!("period.CUSTOM.{}", custom.unit.as_str());
    say!(key, lengths = Value::List(lengths), from = custom.from)
}

pub fn weekday(day: Weekday) -> Statement {
    say!(format!("weekday.{}", day.as_str()))
}

fn base(terms: &Terms) -> Vec<Statement> {
    let mut said = match &terms.base {
        Base::Ggr(ggr) => gaming("base.ggr", ggr),
        Base::Ngr(ngr) => gaming("base.ngr", &ngr.gross()),
        Base::Turnover(turnover) => {
            let counted = match turnover.bonus_treatment {
                BonusTreatment::Exclude => "bonus.turnover.out",
                BonusTreatment::Include | BonusTreatment::StakeOnly => "bonus.turnover.in",
            };
            vec![say!("base.turnover"), say!(counted)]
        }
        Base::Sales(_) => vec![say!("base.sales")],
        Base::Units(units) => vec![say!("base.units"), promotional(units.promotional)],
    };
    said.push(say!("base.rollback"));
    said
}

fn gaming(key: &str, ggr: &GgrBase) -> Vec<Statement> {
    let bonus = match ggr.bonus_treatment {
        BonusTreatment::Include => "bonus.INCLUDE",
        BonusTreatment::StakeOnly => "bonus.STAKE_ONLY",
        BonusTreatment::Exclude => "bonus.EXCLUDE",
    };
    let jackpots = match ggr.jackpots {
        JackpotBasis::Accrual => "jackpots.ACCRUAL",
        JackpotBasis::Payout => "jackpots.PAYOUT",
        JackpotBasis::None => "jackpots.NONE",
    };
    vec![say!(key), say!(bonus), say!(jackpots)]
}

fn promotional(percent: Rate) -> Statement {
    if percent == Rate::default() { say!("base.promotional.free") } else { say!("base.promotional", percent = percent) }
}

fn deductions(terms: &Terms, words: &Words<'_>) -> Vec<Statement> {
    let Base::Ngr(ngr) = &terms.base else { return Vec::new() };
    let mut said = vec![say!("deductions")];
    for (position, deduction) in ngr.deductions.iter().enumerate() {
        said.push(taken(position + 1, deduction, words));
        if let Some(cap) = &deduction.cap {
            said.push(say!("deduction.cap", code = &deduction.code, percent = cap.percent, of = share_of(*cap)));
        }
    }
    said
}

fn taken(place: usize, deduction: &Deduction, words: &Words<'_>) -> Statement {
    let code = &deduction.code;
    match &deduction.take {
        Take::PercentOf(take) => {
            say!("deduction.percentOf", place = place, code = code, percent = take.percent, of = share_of(*take))
        }
        Take::Costs(Costs { of, percent }) => {
            let costs: Vec<_> = of.iter().map(|cost| say!(format!("cost.{}", cost.as_str()))).collect();
            match *percent == Rate::HUNDRED {
                true => say!("deduction.costs.whole", place = place, code = code, costs = costs),
                false => say!("deduction.costs", place = place, code = code, costs = costs, percent = *percent),
            }
        }
        Take::Amount(amount) => {
            say!("deduction.amount", place = place, code = code, amount = words.amount(amount))
        }
    }
}

pub fn share_of(take: PercentOf) -> Statement {
    match take.of {
        DeductionBase::Ggr => say!("of.GGR"),
        DeductionBase::Running => say!("of.RUNNING"),
        DeductionBase::Turnover => say!("of.TURNOVER"),
    }
}

fn negative(terms: &Terms) -> Vec<Statement> {
    let level = match terms.negative.level {
        Level::Total => "level.TOTAL",
        Level::PerClass => "level.PER_CLASS",
    };
    let mode = match terms.negative.mode {
        NegativeMode::Reset => "negative.RESET",
        NegativeMode::Carry => "negative.CARRY",
        NegativeMode::PayableByPartner => "negative.PAYABLE_BY_PARTNER",
    };
    vec![say!(level), say!(mode)]
}

fn ring_fence(terms: &Terms, words: &Words<'_>) -> Vec<Statement> {
    let Some(fence) = &terms.ring_fence else { return Vec::new() };
    let units = words.asset.parse_units(&fence.threshold).map(|units| Value::units(words.asset, units));
    let threshold = units.unwrap_or_else(|_| words.amount(&fence.threshold));
    let mut said = vec![say!("ringFence", threshold = threshold)];
    said.push(say!(if matches!(terms.base, Base::Ngr(_)) { "ringFence.base.ngr" } else { "ringFence.base" }));
    said.push(say!("ringFence.offset"));
    said
}

fn promotions(terms: &Terms) -> Vec<Statement> {
    let zone = terms.cycle.time_zone;
    let time = |text: &str| moment(text, zone).map_or_else(|| word(text), |at| Value::from(at.local(zone)));
    let window = |promotion: &crate::contracts::contract::Promotion| {
        let (code, from, until) = (&promotion.code, time(&promotion.from), time(&promotion.until));
        match promotion.products.as_slice() {
            [] => say!("promotion.all", code = code, from = from, until = until),
            own => {
                let names: Vec<_> = own.iter().collect();
                say!("promotion.some", code = code, from = from, until = until, names = names)
            }
        }
    };
    terms.promotions.iter().map(window).collect()
}

fn fee(fee: &Fee, words: &Words<'_>) -> Vec<Statement> {
    let code = &fee.code;
    match &fee.charge {
        Charge::Amount(amount) => {
            let (key, amount) = match amount.strip_prefix('-') {
                Some(owed) => ("fee.partner", owed),
                None => ("fee.amount", amount.as_str()),
            };
            vec![say!(key, code = code, amount = words.amount(amount))]
        }
        Charge::PerUnit(per) => {
            let price = Value::price(words.asset, per.price);
            let promotional = match per.promotional == Rate::default() {
                true => say!("fee.promotional.free"),
                false => say!("fee.promotional", percent = per.promotional),
            };
            vec![say!("fee.perUnit", code = code, price = price), promotional]
        }
    }
}

fn bound(key: &str, amount: Option<&str>, words: &Words<'_>) -> Vec<Statement> {
    amount.map(|amount| say!(key, amount = words.amount(amount))).into_iter().collect()
}

fn prepaid(terms: &Terms, words: &Words<'_>) -> Vec<Statement> {
    let Some(prepaid) = &terms.prepaid else { return Vec::new() };
    let low = prepaid.low_balance.as_deref();
    let mut said = vec![say!("prepaid")];
    said.extend(low.map(|low| say!("prepaid.low", amount = words.amount(low))));
    said
}

fn advance(terms: &Terms) -> Vec<Statement> {
    let Some(advance) = &terms.advance else { return Vec::new() };
    let mut said = vec![say!("advance", percent = advance.percent)];
    said.extend(advance.pool.as_ref().map(|pool| say!("advance.pool", pool = pool)));
    said
}

const fn rounding(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::HalfEven => "rounding.HALF_EVEN",
        Rounding::HalfUp => "rounding.HALF_UP",
        Rounding::Down => "rounding.DOWN",
        Rounding::Up => "rounding.UP",
    }
}

fn minimum_payout(terms: &Terms, words: &Words<'_>) -> Vec<Statement> {
    match words.asset.parse_minor(&terms.minimum_payout) {
        Ok(amount) if amount.0 == 0 => vec![say!("minimumPayout.none")],
        _ => {
            let ends = terms.valid_until.map(|_| say!("minimumPayout.ends"));
            let amount = words.amount(&terms.minimum_payout);
            [say!("minimumPayout", amount = amount)].into_iter().chain(ends).collect()
        }
    }
}

fn payment(payment: &Payment) -> Vec<Statement> {
    let key = format!("payment.{}.{}", payment.count.as_str(), payment.from.as_str());
    let mut said = vec![say!(key, days = i64::from(payment.days))];
    if payment.roll != Roll::None {
        said.push(say!(format!("payment.roll.{}", payment.roll.as_str())));
    }
    if !payment.calendars.is_empty() {
        said.push(say!("payment.calendars", codes = payment.calendars.iter().collect::<Vec<_>>()));
    }
    said
}

fn changes(terms: &Terms) -> Vec<Statement> {
    let mut said = vec![say!("changes.parts")];
    if terms.rate_table.rows.iter().any(|row| row.tiers.is_some()) {
        said.push(match terms.tiers_on_change {
            TiersOnChange::Continue => say!("changes.CONTINUE"),
            TiersOnChange::Restart => say!("changes.RESTART"),
        });
    }
    if terms.goes_by_days() {
        said.push(say!("changes.days"));
    }
    said.push(say!("changes.late"));
    said
}
