//! Stored test cases of contracts: transactions as they might come, and what a version has to make of them.

use std::collections::BTreeMap;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::contracts::case::{self, TestCase};
use domain::ids::ContractId;
use domain::settlements::settlement;
use domain::transactions::transaction::{self, Draft, Kind};
use domain::{Code, Problem};

use super::contracts::Contract;
use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::lines::LineCode;
use super::loaders;
use super::page::short;
use super::recording::{TransactionInput, named_as_input};
use super::scalars::{DateTime, Decimal, Money};
use super::transactions::{Affects, Attribute, TransactionKind};

/// What a version has to make of some transactions.
#[derive(SimpleObject)]
pub struct ContractTestCase {
    /// Once in a contract.
    pub name: String,
    /// Of one period; at most 1000.
    #[graphql(complexity = "short(child_complexity)")]
    pub facts: Vec<ContractTestFact>,
    /// Categories of products; other products have none.
    #[graphql(complexity = "short(child_complexity)")]
    pub products: Vec<ContractTestProduct>,
    /// What is said of players; of others nothing is.
    #[graphql(complexity = "short(child_complexity)")]
    pub players: Vec<ContractTestPlayer>,
    /// Negative bases that the period before carries in.
    #[graphql(complexity = "short(child_complexity)")]
    pub carried_base: Vec<ContractTestCarried>,
    /// What the period before left below the minimum payout, in major units; null where nothing is.
    pub carried_amount: Option<Decimal>,
    /// Advances that are not recouped yet, in major units; null where there are none.
    pub advanced: Option<Decimal>,
    /// Prepaid credit that is left, at its face value in major units; null where there is none.
    pub credit: Option<Decimal>,
    /// The total that it has to give, in major units of the contract's currency.
    pub expected_total: Decimal,
    /// The lines with an amount that it has to give; null where only the total counts.
    #[graphql(complexity = "short(child_complexity)")]
    pub expected_lines: Option<Vec<ContractTestLine>>,
}

/// A transaction of a test case.
#[derive(SimpleObject)]
pub struct ContractTestFact {
    /// Once in a case; rollbacks name it.
    pub external_id: String,
    /// What happened; null where it is of no kind that is known.
    pub kind: Option<TransactionKind>,
    /// Never negative but for an adjustment.
    pub amount: Money,
    /// When it happened.
    pub occurred_at: Option<DateTime>,
    /// When it was settled.
    pub settled_at: Option<DateTime>,
    /// A product's code.
    pub product: Option<String>,
    /// As the case names it.
    pub player: Option<String>,
    /// The round of the game that it belongs to.
    pub round: Option<String>,
    /// Whether the round ends with it.
    pub round_closed: bool,
    /// Where it was sold or played.
    pub channel: Option<String>,
    /// Where the player is.
    pub region: Option<String>,
    /// The external id of what a rollback undoes.
    pub reverses: Option<String>,
    /// The base that an adjustment moves.
    pub affects: Option<Affects>,
    /// Whether it is recorded only and counts nothing.
    pub test: bool,
    /// Values beside what Saldo knows, by name.
    #[graphql(complexity = "short(child_complexity)")]
    pub attributes: Vec<Attribute>,
}

/// The category of a product in a test case.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "ContractTestProductInput")]
pub struct ContractTestProduct {
    /// Its code.
    pub product: String,
    /// Its category.
    pub category: String,
}

/// What is said of a player in a test case.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "ContractTestPlayerInput")]
pub struct ContractTestPlayer {
    /// As the transactions of the case name it.
    pub player: String,
    /// What it belongs to.
    pub segment: Option<String>,
    /// Tags that conditions can ask for.
    #[graphql(default)]
    pub tags: Vec<String>,
}

/// A negative base that a test case carries in.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "ContractTestCarriedInput")]
pub struct ContractTestCarried {
    /// The code of the rate table's row; null for all of them together.
    pub rate_class: Option<String>,
    /// In major units of the contract's currency, and not positive.
    pub amount: Decimal,
}

/// A line that a test case expects.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "ContractTestLineInput")]
pub struct ContractTestLine {
    /// What kind of line it is.
    pub code: LineCode,
    /// The code of the rate table's row; null for lines that have none.
    pub rate_class: Option<String>,
    /// The code of the fee, or the clause that bounds the sum (`cap`, `minimumGuarantee`); a line without one stands for
    /// all of its code and class that are not expected with theirs.
    pub clause: Option<String>,
    /// In major units of the contract's currency.
    pub amount: Decimal,
}

impl From<TestCase> for ContractTestCase {
    fn from(case: TestCase) -> Self {
        let player = |(player, said): (String, case::CasePlayer)| ContractTestPlayer {
            player,
            segment: said.segment,
            tags: said.tags,
        };
        let carried = |(class, amount): (String, String)| ContractTestCarried {
            rate_class: (!class.is_empty()).then_some(class),
            amount: Decimal(amount),
        };
        let products = case.products.into_iter();
        let lines = |lines: Vec<case::ExpectedLine>| lines.into_iter().filter_map(ContractTestLine::of).collect();
        Self {
            name: case.name,
            facts: case.facts.into_iter().map(ContractTestFact::from).collect(),
            products: products.map(|(product, category)| ContractTestProduct { product, category }).collect(),
            players: case.players.into_iter().map(player).collect(),
            carried_base: case.carried_base.into_iter().map(carried).collect(),
            carried_amount: case.carried_amount.map(Decimal),
            advanced: case.advanced.map(Decimal),
            credit: case.credit.map(Decimal),
            expected_total: Decimal(case.expected.total),
            expected_lines: case.expected.lines.map(lines),
        }
    }
}

impl ContractTestLine {
    fn of(line: case::ExpectedLine) -> Option<Self> {
        let code = settlement::LineCode::parse(&line.code)?.into();
        Some(Self { code, rate_class: line.rate_class, clause: line.clause, amount: Decimal(line.amount) })
    }
}

impl From<Draft> for ContractTestFact {
    fn from(draft: Draft) -> Self {
        let attributes = draft.attributes.into_iter();
        Self {
            external_id: draft.external_id,
            kind: Kind::parse(&draft.kind).map(TransactionKind::from),
            amount: Money { amount: Decimal(draft.amount), currency: draft.currency },
            occurred_at: draft.occurred_at.map(DateTime),
            settled_at: draft.settled_at.map(DateTime),
            product: draft.product,
            player: draft.player,
            round: draft.round,
            round_closed: draft.round_closed,
            channel: draft.channel,
            region: draft.region,
            reverses: draft.reverses,
            affects: draft.affects.as_deref().and_then(transaction::Affects::parse).map(Affects::from),
            test: draft.test,
            attributes: attributes.map(|(name, value)| Attribute { name, value }).collect(),
        }
    }
}

/// What `saveContractTestCase` takes.
#[derive(InputObject)]
pub struct SaveContractTestCaseInput {
    /// The contract.
    contract_id: ID,
    /// Once in a contract: a case that has it is written over.
    name: String,
    /// Of one period; at most 1000. Each comes from a source in the version's scope.
    facts: Vec<TransactionInput>,
    /// Categories of products; other products have none.
    #[graphql(default)]
    products: Vec<ContractTestProduct>,
    /// What is said of players; of others nothing is.
    #[graphql(default)]
    players: Vec<ContractTestPlayer>,
    /// Negative bases that the period before carries in.
    #[graphql(default)]
    carried_base: Vec<ContractTestCarried>,
    /// What the period before left below the minimum payout, in major units.
    carried_amount: Option<Decimal>,
    /// Advances that are not recouped yet, in major units.
    advanced: Option<Decimal>,
    /// Prepaid credit that is left, at its face value in major units.
    credit: Option<Decimal>,
    /// The total that it has to give, in major units; or else `acceptVersion`.
    expected_total: Option<Decimal>,
    /// The lines with an amount that it has to give; only the total counts when absent.
    expected_lines: Option<Vec<ContractTestLine>>,
    /// It has to give from now on what it gives under the version of this number; or else `expectedTotal`.
    accept_version: Option<i64>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

impl SaveContractTestCaseInput {
    fn core(self) -> Result<TestCase, Problem> {
        let wrong = |path: &str, message: &str| Err(Problem::new(Code::BadInput, path, message));
        let total = match (self.expected_total, self.accept_version) {
            (Some(_), Some(_)) => return wrong("acceptVersion", "give this or expectedTotal, and not both"),
            (None, None) => return wrong("expectedTotal", "is missing; give this or acceptVersion"),
            (total, _) => total.map_or_else(|| "0".to_owned(), |total| total.0),
        };
        let facts = self.facts.into_iter().enumerate();
        let facts = facts.map(|(n, fact)| fact.draft().map_err(|problem| problem.under(&format!("facts.{n}"))));
        let line = |line: ContractTestLine| case::ExpectedLine {
            code: settlement::LineCode::from(line.code).as_str().to_owned(),
            rate_class: line.rate_class,
            clause: line.clause,
            amount: line.amount.0,
        };
        let products = self.products.into_iter().map(|of| (of.product, of.category));
        let players = self.players.into_iter();
        let players = players.map(|of| (of.player, case::CasePlayer { segment: of.segment, tags: of.tags }));
        let carried = self.carried_base.into_iter().map(|of| (of.rate_class.unwrap_or_default(), of.amount.0));
        Ok(TestCase {
            name: self.name,
            facts: facts.collect::<Result<_, _>>()?,
            products: once_each(products, "products")?,
            players: once_each(players, "players")?,
            carried_base: once_each(carried, "carriedBase")?,
            carried_amount: self.carried_amount.map(|amount| amount.0),
            advanced: self.advanced.map(|amount| amount.0),
            credit: self.credit.map(|amount| amount.0),
            expected: case::Expected {
                total,
                lines: self.expected_lines.map(|lines| lines.into_iter().map(line).collect()),
            },
        })
    }
}

fn once_each<T>(entries: impl Iterator<Item = (String, T)>, path: &str) -> Result<BTreeMap<String, T>, Problem> {
    let mut all = BTreeMap::new();
    for (position, (name, entry)) in entries.enumerate() {
        let message = format!("'{name}' is there twice");
        if all.insert(name, entry).is_some() {
            return Err(Problem::new(Code::BadInput, format!("{path}.{position}"), message));
        }
    }
    Ok(all)
}

/// The path of a problem as the input has it.
fn in_input(problem: Problem) -> Problem {
    let Some((number, field)) = problem.path.strip_prefix("facts.").and_then(|rest| rest.split_once('.')) else {
        let path = problem.path.replace("expected.total", "expectedTotal").replace("expected.lines", "expectedLines");
        return Problem { path, ..problem };
    };
    let (prefix, path) = (format!("facts.{number}"), field.to_owned());
    named_as_input(Problem { path, ..problem }).under(&prefix)
}

/// What `deleteContractTestCase` takes.
#[derive(InputObject)]
pub struct DeleteContractTestCaseInput {
    /// The contract.
    contract_id: ID,
    /// The name of the case.
    name: String,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `saveContractTestCase` did.
#[derive(SimpleObject)]
pub struct SaveContractTestCasePayload {
    /// As it was saved.
    pub test_case: Option<ContractTestCase>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

/// What `deleteContractTestCase` did.
#[derive(SimpleObject)]
pub struct DeleteContractTestCasePayload {
    /// The contract as it is now.
    pub contract: Option<Contract>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct TestCasesMutation;

#[Object]
impl TestCasesMutation {
    /// Saves a test case of a contract: what its versions have to make of some transactions. A version in which one
    /// fails cannot be put in force.
    async fn save_contract_test_case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] mut input: SaveContractTestCaseInput,
    ) -> Result<SaveContractTestCasePayload, Failure> {
        let (contract, accept) = (id(&input.contract_id, ContractId::parse), input.accept_version);
        let key = input.idempotency_key.take();
        let saved = once(ctx, key, async |scoped| {
            scoped.require(domain::Permission::Configure)?;
            scoped.save_contract_test_case(contract, input.core()?, accept).await
        });
        let saved = saved.await?.map_err(|error| match error {
            domain::Error::Invalid(problems) => domain::Error::Invalid(problems.into_iter().map(in_input).collect()),
            error => error,
        });
        let (case, user_errors) = outcome(saved.map_err(Failure::from))?;
        Ok(SaveContractTestCasePayload { test_case: case.map(ContractTestCase::from), user_errors })
    }

    /// Deletes a test case of a contract.
    async fn delete_contract_test_case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: DeleteContractTestCaseInput,
    ) -> Result<DeleteContractTestCasePayload, Failure> {
        let contract = id(&input.contract_id, ContractId::parse);
        let deleted = once(ctx, input.idempotency_key, async |scoped| {
            scoped.delete_contract_test_case(contract, &input.name).await
        });
        let (of, user_errors) = outcome(deleted.await?.map_err(Failure::from))?;
        let contract = match of {
            Some(id) => loaders::one(ctx, id).await?.map(Contract::from),
            None => None,
        };
        Ok(DeleteContractTestCasePayload { contract, user_errors })
    }
}
