//! Odd transactions: cases, what people say of them, and the detector that raises them.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::anomalies::{self, case, read_reasons, reason};
use domain::ids::{CaseId, SourceId, TransactionId};

use super::access::{self, Member};
use super::case_loaders::CaseTransactionsOf;
use super::catalogue::{Product, hex};
use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::language::Language;
use super::loaders::{self, ProductCode};
use super::money::word;
use super::page::{self, Cursor, cost, short};
use super::scalars::{DateTime, Decimal};
use super::scoped;
use super::sources::{self, Source};
use super::transactions::Transaction;

/// What is odd.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "AnomalyKind", remote = "case::CaseKind")]
pub enum AnomalyKind {
    /// Transactions that are unlike those before.
    Transactions,
    /// A source that sends otherwise than it did before; about no product or player.
    Source,
    /// A product that returns another part of its stakes than it used to.
    Returns,
}

/// Where a case stands.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "case::CaseState")]
pub enum AnomalyCaseState {
    /// Waits for a person.
    Open,
    /// Something is wrong: the settlement lines that its transactions feed are held.
    Confirmed,
    /// Nothing is wrong.
    FalseAlarm,
    /// Nobody can tell.
    Unsure,
}

/// What a person finds of a case.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "AnomalyVerdict", remote = "case::Verdict")]
pub enum AnomalyVerdict {
    /// Something is wrong: holds the settlement lines that its transactions feed.
    Confirmed,
    /// Nothing is wrong: releases what the case held.
    FalseAlarm,
    /// Nobody can tell: releases what the case held.
    Unsure,
}

/// Why something is odd.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct AnomalyReason {
    /// The feature that is unusual, such as `AMOUNT_OF_PLAYER`; docs/detector.md has them all.
    pub code: String,
    /// Its value here, in the unit that the text names; null where there is none.
    pub observed: Option<Decimal>,
    /// What half of all values lie below; null where there is none.
    pub usual: Option<Decimal>,
    #[graphql(skip)]
    reason: reason::Reason,
}

impl From<reason::Reason> for AnomalyReason {
    fn from(reason: reason::Reason) -> Self {
        let decimal = |text: &Option<String>| text.clone().map(Decimal);
        Self { code: reason.code.clone(), observed: decimal(&reason.observed), usual: decimal(&reason.usual), reason }
    }
}

#[ComplexObject]
impl AnomalyReason {
    /// The reason in words.
    async fn text(
        &self,
        #[graphql(desc = "In which language.", default_with = "Language::En")] language: Language,
    ) -> String {
        self.reason.text(language.into())
    }
}

/// Of one thing.
const MOST_REASONS: usize = 3;

fn reasons_of(text: &str) -> Vec<AnomalyReason> {
    read_reasons(text).into_iter().map(AnomalyReason::from).collect()
}

/// A score, from thousandths.
pub fn score_of(thousandths: i64) -> Decimal {
    let sign = if thousandths < 0 { "-" } else { "" };
    Decimal(format!("{sign}{}.{:03}", thousandths.unsigned_abs() / 1_000, thousandths.unsigned_abs() % 1_000))
}

/// What risk staff review: odd transactions of one player or product, at one source, on one day.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct AnomalyCase {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// The player's pseudonym, in hexadecimal digits; null where it is not about one.
    pub player: Option<String>,
    /// When the day (UTC) of its transactions begins; this instant included.
    pub window_start: DateTime,
    /// When it ends; this instant not included.
    pub window_end: DateTime,
    /// When it was raised.
    pub raised_at: DateTime,
    /// When it last changed.
    pub updated_at: DateTime,
    /// How many odd transactions are in it.
    pub transaction_count: i64,
    /// How odd the oddest one is: −ln of how often one like it comes by chance, so that 6.9 is one in a thousand.
    pub score: Decimal,
    /// When the last verdict was given; null while it is open.
    pub reviewed_at: Option<DateTime>,
    /// What the reviewer wrote.
    pub review_note: Option<String>,
    #[graphql(skip)]
    row: anomalies::Case,
}

impl From<anomalies::Case> for AnomalyCase {
    fn from(row: anomalies::Case) -> Self {
        Self {
            id: row.id.into(),
            player: row.player.as_deref().map(hex),
            window_start: row.window_start.into(),
            window_end: row.window_end.into(),
            raised_at: row.raised_at.into(),
            updated_at: row.updated_at.into(),
            transaction_count: row.transactions,
            score: score_of(row.score),
            reviewed_at: row.reviewed_at.map(DateTime),
            review_note: row.note.clone(),
            row,
        }
    }
}

#[ComplexObject]
impl AnomalyCase {
    /// What is odd.
    async fn kind(&self) -> Result<AnomalyKind, Failure> {
        Ok(word("anomaly kind", &self.row.kind, case::CaseKind::parse)?.into())
    }

    /// Where it stands.
    async fn state(&self) -> Result<AnomalyCaseState, Failure> {
        Ok(word("anomaly case state", &self.row.state, case::CaseState::parse)?.into())
    }

    /// Through which its transactions came.
    async fn source(&self, ctx: &Context<'_>) -> Result<Source, Failure> {
        sources::of(ctx, self.row.source_id).await
    }

    /// What was played or sold; null where its transactions name none.
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<Product>, Failure> {
        let Some(code) = self.row.product.clone() else { return Ok(None) };
        Ok(loaders::one(ctx, ProductCode(code)).await?.map(Product::from))
    }

    /// The case in one line.
    async fn title(
        &self,
        #[graphql(desc = "In which language.", default_with = "Language::En")] language: Language,
    ) -> Result<String, Failure> {
        let kind = word("anomaly kind", &self.row.kind, case::CaseKind::parse)?;
        let (product, player) = (self.row.product.as_deref(), self.player.as_deref());
        Ok(reason::title(kind, product, player, self.row.transactions, language.into()))
    }

    /// Why the oddest transaction is odd, at most three, the heaviest first.
    #[graphql(complexity = "MOST_REASONS * child_complexity + 1")]
    async fn reasons(&self) -> Vec<AnomalyReason> {
        reasons_of(&self.row.reasons)
    }

    /// The member who gave the last verdict; null for whoever may not see that member.
    async fn reviewed_by(&self, ctx: &Context<'_>) -> Result<Option<Member>, Failure> {
        access::member(ctx, self.row.reviewed_by).await
    }

    /// The odd transactions in it, the latest recorded first.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn transactions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, AnomalousTransaction>, Failure> {
        let key = CaseTransactionsOf(self.row.id, page::request(first, after.as_deref())?);
        let page = loaders::one(ctx, key).await?.unwrap_or_default();
        Ok(page::connection(page, |row| row.transaction_id.0))
    }
}

/// One odd transaction of a case.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct AnomalousTransaction {
    /// How odd it is: −ln of how often one like it comes by chance.
    pub score: Decimal,
    /// Why, at most three, the heaviest first.
    #[graphql(complexity = "MOST_REASONS * child_complexity + 1")]
    pub reasons: Vec<AnomalyReason>,
    #[graphql(skip)]
    transaction: TransactionId,
}

impl From<anomalies::CaseTransaction> for AnomalousTransaction {
    fn from(row: anomalies::CaseTransaction) -> Self {
        Self { score: score_of(row.score), reasons: reasons_of(&row.reasons), transaction: row.transaction_id }
    }
}

#[ComplexObject]
impl AnomalousTransaction {
    /// The transaction itself.
    async fn transaction(&self, ctx: &Context<'_>) -> Result<Transaction, Failure> {
        Ok(loaders::required(ctx, self.transaction, "transaction").await?.into())
    }
}

/// Cases for which all of it is so.
#[derive(Default, InputObject)]
pub struct AnomalyCaseFilter {
    /// Cases that stand there.
    state: Option<AnomalyCaseState>,
    /// Cases of this source.
    source_id: Option<ID>,
}

#[derive(Default)]
pub struct AnomaliesQuery;

#[Object]
impl AnomaliesQuery {
    /// What risk staff review, the latest raised first. A partner's user sees none.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn anomaly_cases(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which rows; all when absent.")] filter: Option<AnomalyCaseFilter>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, AnomalyCase>, Failure> {
        let filter = filter.unwrap_or_default();
        let filter = anomalies::CaseFilter {
            state: filter.state.map(case::CaseState::from),
            source: filter.source_id.map(|source| id(&source, SourceId::parse)),
        };
        let page = scoped(ctx)?.anomaly_cases(filter, page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |case| case.id.0))
    }
}

/// What `reviewAnomalyCase` takes.
#[derive(InputObject)]
pub struct ReviewAnomalyCaseInput {
    /// The case.
    case_id: ID,
    /// What you find.
    verdict: AnomalyVerdict,
    /// Why, for whoever asks later.
    note: Option<String>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `reviewAnomalyCase` did.
#[derive(SimpleObject)]
pub struct ReviewAnomalyCasePayload {
    /// The case as it is now.
    #[graphql(name = "case")]
    pub anomaly_case: Option<AnomalyCase>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct AnomaliesMutation;

#[Object]
impl AnomaliesMutation {
    /// Says what a case is. A confirmed one holds the settlement lines that its transactions feed; another verdict
    /// releases them. It may be changed at any time, and every verdict is kept.
    async fn review_anomaly_case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: ReviewAnomalyCaseInput,
    ) -> Result<ReviewAnomalyCasePayload, Failure> {
        let case = id(&input.case_id, CaseId::parse);
        let (verdict, note) = (input.verdict.into(), input.note);
        let reviewed =
            once(ctx, input.idempotency_key, async |scoped| scoped.review_anomaly_case(case, verdict, note).await);
        let (reviewed, user_errors) = outcome(reviewed.await?.map_err(Failure::from))?;
        Ok(ReviewAnomalyCasePayload { anomaly_case: reviewed.map(AnomalyCase::from), user_errors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_three_digits() {
        assert_eq!(score_of(6_905).0, "6.905");
        assert_eq!(score_of(12).0, "0.012");
        assert_eq!(score_of(-12).0, "-0.012");
    }
}
