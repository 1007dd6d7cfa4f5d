//! Running a test case: through the same pricing and calculation as everything else, with a book that has nothing but the
//! version and what the case says of its products and players.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::book::{Book, PlayerVersion, ProductVersion};
use super::case::{
    CasePlayer, CaseResult, Compared, Expected, ExpectedLine, Lines, Place, TestCase, amounts, expected, facts, funds,
    pseudonym,
};
use super::contract::ActiveVersion;
use super::feed::Verdict;
use super::period::Period;
use super::pricing::Pricer;
use crate::error::{Code, Problem};
use crate::ids::{SettlementId, SourceId};
use crate::money::{Asset, Minor, MoneyError, Units};
use crate::settlements::settlement::{Accrual, Clauses, Computed, Counts, PlayerSum, compute};
use crate::settlements::{Delta, DeltaKey, Deltas};
use crate::time::Timestamp;
use crate::transactions::transaction::{Fact, Kind};

/// What the case gives under a version. `assets` are the tenant's, by code.
pub fn run(case: &TestCase, version: &ActiveVersion, assets: &HashMap<String, Asset>) -> CaseResult {
    let compared = calculate(case, version, assets).and_then(|(computed, asset)| {
        let (expected, lines) = expected(case, &asset)?;
        Ok(compare(&computed, expected, lines, &asset))
    });
    let (problem, (lines, total)) = match compared {
        Ok(compared) => (None, compared),
        Err(problem) => (Some(problem), Default::default()),
    };
    CaseResult { name: case.name.clone(), problem, lines, total }
}

/// What the case gives under a version, as what it is to expect from now on.
pub fn accepted(
    case: &TestCase,
    version: &ActiveVersion,
    assets: &HashMap<String, Asset>,
) -> Result<Expected, Problem> {
    let (computed, asset) = calculate(case, version, assets)?;
    let mut lines = Vec::new();
    for ((code, rate_class, clause), amount) in with_amounts(&computed, None) {
        let amount = asset.format_minor(Minor::narrow(amount).map_err(overflow)?);
        lines.push(ExpectedLine { code: code.as_str().to_owned(), rate_class, clause, amount });
    }
    Ok(Expected { total: asset.format_minor(computed.total), lines: Some(lines) })
}

fn calculate(
    case: &TestCase,
    version: &ActiveVersion,
    assets: &HashMap<String, Asset>,
) -> Result<(Computed, Asset), Problem> {
    // A case is of the one currency that its amounts are written in.
    let alone = version.in_currency(&version.terms.currency);
    let version = alone.as_ref().unwrap_or(version);
    let terms = &version.terms;
    let asset = assets.get(&terms.currency).cloned().or_else(|| Asset::iso(&terms.currency)).ok_or_else(|| {
        Problem::new(Code::UnknownCurrency, "", MoneyError::UnknownCurrency(terms.currency.clone()).to_string())
    })?;
    let source = terms.scope.sources.first().copied().unwrap_or(SourceId::NONE);
    let facts = facts(case, source, assets)?;
    let Counted { accruals, players, period } = counts(case, &facts, version)?;
    let counts = Counts { accruals: &accruals, players: &players };
    let (carried, funds) = (amounts(case, &asset)?, funds(case, &asset)?);
    let period = period.unwrap_or_else(|| terms.cycle.period(version.valid_from));
    let versions = std::slice::from_ref(version);
    let clauses = Clauses::new(versions, &asset)?;
    let computed = compute(SettlementId::NONE, period, counts, &carried, Vec::new(), &funds, &clauses)?;
    Ok((computed, asset))
}

/// What facts add up to, and the one period that they are of.
struct Counted {
    accruals: Vec<Accrual>,
    players: Vec<PlayerSum>,
    period: Option<Period>,
}

fn counts(case: &TestCase, facts: &[Fact], version: &ActiveVersion) -> Result<Counted, Problem> {
    let book = book(case, version)?;
    let closed = closed_rounds(facts);
    let mut pricer = Pricer::new(&book);
    let (mut deltas, mut verdicts, mut period) = (Deltas::default(), Vec::new(), None);
    for (position, undone, fact) in counted(facts)? {
        if book.is_test(fact) {
            continue;
        }
        let closed_at = fact.round.as_ref().and_then(|round| closed.get(round)).copied();
        pricer.price(fact, closed_at, &mut verdicts);
        let at = |message: String| Problem::new(Code::BadInput, format!("facts.{position}"), message);
        for verdict in verdicts.drain(..) {
            match verdict {
                Verdict::Feeds(feed) if period.is_some_and(|period| period != feed.period) => {
                    let message = "belongs to another period than those before it; give each period a case of its own";
                    return Err(at(message.to_owned()));
                }
                Verdict::Feeds(feed) => {
                    period = Some(feed.period);
                    deltas.add(feed, undone, &fact.currency);
                }
                Verdict::AwaitsRound { .. } => return Err(at("its round does not close in this case".to_owned())),
                Verdict::Failed { message, .. } => return Err(at(message)),
            }
        }
    }
    let players = deltas.take_players().into_iter().map(|(key, sum)| {
        let amount = Units::narrow(sum.amount).map_err(overflow)?;
        Ok(PlayerSum { version: key.version, player: key.player, kind: key.kind, late: false, amount })
    });
    let players = players.collect::<Result<_, Problem>>()?;
    let accruals = deltas.sorted().into_iter().map(|(key, sum)| accrual_of(key, sum));
    Ok(Counted { accruals: accruals.collect::<Result<_, _>>()?, players, period })
}

fn accrual_of(key: DeltaKey, sum: Delta) -> Result<Accrual, Problem> {
    Ok(Accrual {
        version: key.version,
        rate_class: key.class.to_string(),
        kind: key.kind,
        late: false,
        amount: Units::narrow(sum.amount).map_err(overflow)?,
        units: sum.units,
        transactions: sum.transactions,
    })
}

/// Each fact that is to be priced: itself, or the one that a rollback undoes.
fn counted(facts: &[Fact]) -> Result<Vec<(usize, bool, &Fact)>, Problem> {
    let mut named: BTreeMap<&str, &Fact> = BTreeMap::new();
    for (position, fact) in facts.iter().enumerate() {
        if named.insert(&fact.external_id, fact).is_some() {
            let message = format!("'{}' is there twice", fact.external_id);
            return Err(Problem::new(Code::AlreadyExists, format!("facts.{position}.externalId"), message));
        }
    }
    let mut undone = BTreeSet::new();
    let one = |(position, fact): (usize, &'_ Fact)| -> Result<(usize, bool, &Fact), Problem> {
        if fact.kind != Kind::Rollback {
            return Ok((position, false, named[fact.external_id.as_str()]));
        }
        let target = fact.reverses.as_deref().unwrap_or_default();
        match named.get(target).filter(|found| found.kind != Kind::Rollback) {
            Some(found) if undone.insert(target.to_owned()) => Ok((position, true, *found)),
            _ => {
                let message = format!("there is no '{target}' in this case that it could undo");
                Err(Problem::new(Code::BadRollback, format!("facts.{position}.reverses"), message))
            }
        }
    };
    facts.iter().enumerate().map(one).collect()
}

/// When rounds close: as the first fact that closes one says.
fn closed_rounds(facts: &[Fact]) -> BTreeMap<&String, Timestamp> {
    let mut closed = BTreeMap::new();
    for fact in facts.iter().filter(|fact| fact.round_closed) {
        if let Some(round) = &fact.round {
            closed.entry(round).or_insert(fact.settled_at.unwrap_or(fact.occurred_at));
        }
    }
    closed
}

fn book(case: &TestCase, version: &ActiveVersion) -> Result<Book, Problem> {
    let always = Timestamp(i64::MIN);
    let category = |(code, category): (&String, &String)| ProductVersion {
        code: code.clone(),
        valid_from: always,
        category: Some(category.clone()),
    };
    let player = |(name, player): (&String, &CasePlayer)| PlayerVersion {
        player: pseudonym(case, name),
        valid_from: always,
        segment: player.segment.clone(),
        tags: player.tags.clone(),
        test: false,
    };
    let versions = vec![ActiveVersion { replaced_at: None, ..version.clone() }];
    Book::new(versions, case.products.iter().map(category).collect(), case.players.iter().map(player).collect())
}

/// The lines that have an amount, added up by code, class and clause; but those whose clause is not `wanted`, where that
/// is said, without it.
fn with_amounts(computed: &Computed, wanted: Option<&Lines>) -> Lines {
    let mut lines = Lines::new();
    for line in computed.lines.iter().filter(|line| line.amount != Minor::ZERO) {
        let own = (line.code, line.rate_class.clone(), line.clause.clone());
        let common = (line.code, line.rate_class.clone(), None);
        let merged = wanted.is_some_and(|wanted| !wanted.contains_key(&own) && wanted.contains_key(&common));
        *lines.entry(if merged { common } else { own }).or_default() += i128::from(line.amount.0);
    }
    lines
}

fn compare(computed: &Computed, total: Minor, wanted: Option<Lines>, asset: &Asset) -> (Vec<Compared>, Compared) {
    let shown = |amount: i128| Minor::narrow(amount).map_or_else(|_| amount.to_string(), |it| asset.format_minor(it));
    let got = with_amounts(computed, wanted.as_ref());
    let places: BTreeSet<&Place> = got.keys().chain(wanted.iter().flat_map(BTreeMap::keys)).collect();
    let line = |place: &Place| {
        let (there, expected) =
            (got.get(place).copied(), wanted.as_ref().and_then(|wanted| wanted.get(place)).copied());
        Compared {
            code: place.0.as_str().to_owned(),
            rate_class: place.1.clone(),
            clause: place.2.clone(),
            expected: expected.map(shown),
            got: there.map(shown),
            // A line of nothing and no line are the same.
            matches: wanted.is_none() || there.unwrap_or_default() == expected.unwrap_or_default(),
        }
    };
    let total = Compared {
        code: "TOTAL".to_owned(),
        rate_class: None,
        clause: None,
        expected: Some(asset.format_minor(total)),
        got: Some(asset.format_minor(computed.total)),
        matches: total == computed.total,
    };
    (places.into_iter().map(line).collect(), total)
}

fn overflow(error: MoneyError) -> Problem {
    Problem::new(Code::Overflow, "", error.to_string())
}

#[cfg(test)]
mod tests;
