//! Everything that pricing needs to know of a tenant, compiled once and shared between threads: active contract
//! versions, and what is true of products and players from when on.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::condition::{Needs, Var};
use super::contract::{ActiveVersion, Attribution, Cycle, Scope};
use super::promotion::Promotions;
use super::resolution;
use super::table::Table;
use crate::error::{Code, Problem};
use crate::ids::{ContractId, PartnerId, SourceId};
use crate::time::Timestamp;
use crate::transactions::Seen;
use crate::transactions::transaction::{Fact, Player};

/// What is true of a product from an instant on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductVersion {
    pub code: String,
    pub valid_from: Timestamp,
    pub category: Option<String>,
}

/// What staff said about a player from an instant on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayerVersion {
    pub player: Player,
    pub valid_from: Timestamp,
    pub segment: Option<String>,
    pub tags: Vec<String>,
    pub test: bool,
}

#[derive(Debug)]
pub struct Book {
    /// By contract.
    pub(super) contracts: Vec<Contract>,
    /// Contracts with a version that names this source, and those that name none.
    by_source: FxHashMap<SourceId, Vec<usize>>,
    any_source: Vec<usize>,
    products: FxHashMap<String, Vec<(Timestamp, Name)>>,
    players: FxHashMap<Player, Vec<(Timestamp, PlayerState)>>,
    names: Names,
    needs_rounds: bool,
}

#[derive(Debug)]
pub(super) struct Contract {
    pub id: ContractId,
    pub partner: PartnerId,
    /// By the instant from which they count.
    pub versions: Vec<Version>,
}

#[derive(Debug)]
pub(super) struct Version {
    /// Its place among all versions of the book.
    pub index: usize,
    pub active: ActiveVersion,
    /// Behind its last day it counts nothing.
    pub ends: Timestamp,
    /// Its further currencies, each with its cycle.
    pub also: Vec<(String, Cycle)>,
    pub table: Table,
    pub promotions: Promotions,
    /// What the scope and the rate table read: equal values of these have equal outcomes.
    pub needs: Needs,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PlayerState {
    pub segment: Name,
    pub tags: TagSet,
    test: bool,
}

/// A category or segment by number; zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Name(pub u32);

/// A set of tags by number; zero is the empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct TagSet(pub u32);

/// Texts by number, so that they compare and hash in a nanosecond.
#[derive(Debug, Default)]
struct Names {
    numbers: FxHashMap<String, u32>,
    texts: Vec<String>,
    sets: FxHashMap<BTreeSet<String>, u32>,
    tags: Vec<Vec<String>>,
}

impl Names {
    fn name(&mut self, text: Option<String>) -> Name {
        let Some(text) = text else { return Name::default() };
        let texts = &mut self.texts;
        Name(*self.numbers.entry(text).or_insert_with_key(|text| {
            texts.push(text.clone());
            number(texts.len())
        }))
    }

    fn tag_set(&mut self, tags: Vec<String>) -> TagSet {
        let set: BTreeSet<String> = tags.into_iter().collect();
        if set.is_empty() {
            return TagSet::default();
        }
        let tags = &mut self.tags;
        TagSet(*self.sets.entry(set).or_insert_with_key(|set| {
            tags.push(set.iter().cloned().collect());
            number(tags.len())
        }))
    }
}

/// Memory ends long before four billion distinct texts.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Book {
    /// Refuses what would leave a choice open (two versions of one contract, product or player from the same instant
    /// on) and conditions that do not compile.
    pub fn new(
        versions: Vec<ActiveVersion>,
        products: Vec<ProductVersion>,
        players: Vec<PlayerVersion>,
    ) -> Result<Self, Problem> {
        let mut names = Names::default();
        let products =
            products.into_iter().map(|product| (product.code, product.valid_from, names.name(product.category)));
        let products = history(products.collect::<Vec<_>>(), |code| format!("product '{code}'"))?;
        let players = players.into_iter().map(|player| {
            let state = PlayerState {
                segment: names.name(player.segment),
                tags: names.tag_set(player.tags),
                test: player.test,
            };
            (player.player, player.valid_from, state)
        });
        let players = history(players.collect::<Vec<_>>(), |_| "a player".to_owned())?;
        let contracts = compile(versions)?;
        let needs_rounds = contracts
            .iter()
            .flat_map(|contract| &contract.versions)
            .any(|version| version.active.terms.attribution == Attribution::RoundClosed);
        let (by_source, any_source) = candidates(&contracts);
        Ok(Self { contracts, by_source, any_source, products, players, names, needs_rounds })
    }

    /// Whether some contract counts by the closing of rounds, so that the caller must know of them.
    pub fn needs_rounds(&self) -> bool {
        self.needs_rounds
    }

    pub fn product_exists(&self, code: &str) -> bool {
        self.products.contains_key(code)
    }

    /// Whether a transaction is recorded only and feeds nothing: it says so itself, or its player was a test player
    /// when it occurred. [`super::pricing::Pricer::price`] leaves this question to its caller.
    pub fn is_test(&self, fact: &Fact) -> bool {
        self.is_test_seen(&fact.seen())
    }

    /// The same for what is no fact of its own.
    pub fn is_test_seen(&self, fact: &Seen<'_>) -> bool {
        fact.test || self.player_state(fact.player, fact.occurred_at).test
    }

    /// Contracts, by position, of which some version takes transactions of a source.
    pub(super) fn candidates(&self, source: SourceId) -> &[usize] {
        self.by_source.get(&source).unwrap_or(&self.any_source)
    }

    pub(super) fn player_state(&self, player: Option<&Player>, at: Timestamp) -> PlayerState {
        let versions = player.and_then(|player| self.players.get(player));
        versions.and_then(|versions| in_force(versions, at)).copied().unwrap_or_default()
    }

    pub(super) fn category(&self, product: Option<&str>, at: Timestamp) -> Name {
        let versions = product.and_then(|product| self.products.get(product));
        versions.and_then(|versions| in_force(versions, at)).copied().unwrap_or_default()
    }

    pub(super) fn text(&self, name: Name) -> Option<&str> {
        let position = usize::try_from(name.0).ok()?.checked_sub(1)?;
        self.names.texts.get(position).map(String::as_str)
    }

    pub(super) fn tags(&self, set: TagSet) -> &[String] {
        let position = usize::try_from(set.0).ok().and_then(|number| number.checked_sub(1));
        position.and_then(|position| self.names.tags.get(position)).map_or(&[], Vec::as_slice)
    }
}

/// The one in force at an instant: the last that began by then.
fn in_force<T>(versions: &[(Timestamp, T)], at: Timestamp) -> Option<&T> {
    let began = versions.partition_point(|(valid_from, _)| *valid_from <= at);
    versions[..began].last().map(|(_, value)| value)
}

type History<K, T> = FxHashMap<K, Vec<(Timestamp, T)>>;

fn history<K: Ord + Clone + std::hash::Hash, T>(
    mut rows: Vec<(K, Timestamp, T)>,
    called: impl Fn(&K) -> String,
) -> Result<History<K, T>, Problem> {
    rows.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let mut histories = History::default();
    for (key, valid_from, value) in rows {
        let versions: &mut Vec<(Timestamp, T)> = histories.entry(key.clone()).or_default();
        if versions.last().is_some_and(|(last, _)| *last == valid_from) {
            return Err(doubled(&called(&key), valid_from));
        }
        versions.push((valid_from, value));
    }
    Ok(histories)
}

fn doubled(what: &str, valid_from: Timestamp) -> Problem {
    Problem::new(Code::AlreadyExists, "validFrom", format!("{what} has two versions that count from {valid_from}"))
}

fn compile(versions: Vec<ActiveVersion>) -> Result<Vec<Contract>, Problem> {
    let mut by_contract: BTreeMap<ContractId, Vec<ActiveVersion>> = BTreeMap::new();
    for version in versions {
        by_contract.entry(version.contract).or_default().push(version);
    }
    let mut index = 0..;
    let mut contracts = Vec::with_capacity(by_contract.len());
    for (id, versions) in by_contract {
        let versions = resolution::succession(versions)?;
        let Some(partner) = versions.first().map(|version| version.partner) else { continue };
        let compiled = versions.into_iter().zip(&mut index).map(|(active, index)| compile_version(active, index));
        contracts.push(Contract { id, partner, versions: compiled.collect::<Result<_, _>>()? });
    }
    Ok(contracts)
}

fn compile_version(active: ActiveVersion, index: usize) -> Result<Version, Problem> {
    let terms = &active.terms;
    let table = Table::new(&terms.rate_table)
        .map_err(|problem| problem.under(&format!("{}.{}", active.contract, active.version)))?;
    let promotions = Promotions::new(&terms.promotions, &terms.cycle);
    let mut needs = scope_needs(&terms.scope);
    needs.merge(&table.needs);
    let ends = terms.ends().unwrap_or(Timestamp(i64::MAX));
    let also = terms.also_in.iter().map(|also| (also.currency.clone(), also.cycle_of(&terms.cycle))).collect();
    Ok(Version { index, active, ends, also, table, promotions, needs })
}

impl Version {
    /// The place of a currency among its own, that of the terms first; none for one that it does not count.
    pub fn currency(&self, code: &str) -> Option<usize> {
        if self.active.terms.currency == code {
            return Some(0);
        }
        self.also.iter().position(|(own, _)| own == code).map(|place| place + 1)
    }

    /// The cycle of a currency, by its place.
    pub fn cycle(&self, currency: usize) -> &Cycle {
        let also = currency.checked_sub(1).and_then(|place| self.also.get(place));
        also.map_or(&self.active.terms.cycle, |(_, cycle)| cycle)
    }
}

/// What deciding the scope reads, beyond source and currency.
fn scope_needs(scope: &Scope) -> Needs {
    let mut needs = Needs::default();
    let lists = [
        (&scope.products, Var::Product),
        (&scope.categories, Var::Category),
        (&scope.segments, Var::Segment),
        (&scope.tags, Var::Tags),
        (&scope.regions, Var::Region),
        (&scope.channels, Var::Channel),
    ];
    for (list, var) in lists {
        if !list.is_empty() {
            needs.add(var);
        }
    }
    needs
}

fn candidates(contracts: &[Contract]) -> (FxHashMap<SourceId, Vec<usize>>, Vec<usize>) {
    let sources = |contract: &Contract| -> Vec<SourceId> {
        contract.versions.iter().flat_map(|version| version.active.terms.scope.sources.clone()).collect()
    };
    let takes_any =
        |contract: &Contract| contract.versions.iter().any(|version| version.active.terms.scope.sources.is_empty());
    let any: Vec<usize> = (0..contracts.len()).filter(|position| takes_any(&contracts[*position])).collect();
    let mut by_source: FxHashMap<SourceId, Vec<usize>> = FxHashMap::default();
    for (position, contract) in contracts.iter().enumerate() {
        for source in sources(contract) {
            by_source.entry(source).or_default().push(position);
        }
    }
    for positions in by_source.values_mut() {
        positions.extend(&any);
        positions.sort_unstable();
        positions.dedup();
    }
    (by_source, any)
}
