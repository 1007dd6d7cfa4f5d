//! Contracts in plain words, and what somebody should know before they are signed.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use async_graphql::{Enum, Object, SimpleObject};
use domain::Error;
use domain::contracts::{text, warnings};
use domain::ids::ContractId;
use domain::notifications;

use super::language::Language;
use super::loaders::Rows;
use super::page::short;

/// A part of a contract's text.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "text::Section")]
pub enum ContractTextSection {
    /// From when on it counts.
    Validity,
    /// The part that the partner plays.
    Role,
    /// Which transactions count.
    Scope,
    /// In which currency.
    Currency,
    /// How time is cut into settlements.
    Period,
    /// What rates apply to.
    Base,
    /// From GGR to NGR.
    Deductions,
    /// What becomes of a negative base.
    Negative,
    /// Players who win much, and are set off against themselves alone.
    RingFence,
    /// The rate table.
    Rates,
    /// Stretches of time that the rate table asks for.
    Promotions,
    /// What is owed beside the shares.
    Fees,
    /// The most that a period comes to.
    Cap,
    /// The least that a period comes to.
    Guarantee,
    /// Credit that play draws down.
    Prepaid,
    /// Advances and how they are recouped.
    Advance,
    /// How lines become whole minor units.
    Rounding,
    /// Below what nothing is paid.
    MinimumPayout,
    /// Who gets which part of the total.
    Split,
    /// When what is owed is due.
    Payment,
    /// What happens where terms change or facts come late.
    Changes,
    /// A settlement from beginning to end, as an example.
    Whole,
}

/// One section of what a version says.
#[derive(SimpleObject)]
pub struct ContractClauseText {
    /// Which one.
    pub section: ContractTextSection,
    /// Its title.
    pub title: String,
    /// What it says, one sentence or row after the other.
    #[graphql(complexity = "short(child_complexity)")]
    pub sentences: Vec<String>,
    /// What it makes of round sums, by the calculation that settlements go through; of rate classes the first 20. Empty where
    /// there is nothing to calculate.
    #[graphql(complexity = "short(child_complexity)")]
    pub example: Vec<String>,
}

impl From<text::ClauseText> for ContractClauseText {
    fn from(clause: text::ClauseText) -> Self {
        Self {
            section: clause.section.into(),
            title: clause.title,
            sentences: clause.sentences,
            example: clause.example,
        }
    }
}

/// What a warning is about.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "warnings::WarningCode")]
pub enum ContractWarningCode {
    /// A step by volume above which less is paid than below.
    TierCliff,
    /// What several contracts, or several rows that collect, take of the same is more than all of it.
    RatesAboveWhole,
    /// A row that no transaction of the last month was in.
    RowUnreached,
    /// Another contract counts some of the same, and both are paid.
    ScopeOverlap,
    /// A pool of advances that no other contract names.
    PoolAlone,
    /// A deduction goes by turnover, and the contract pays for revenue.
    TaxBaseDiffers,
    /// The contract's partner is none of the parties that the total is split between.
    PartnerNotParty,
    /// Due dates go by a calendar in which nobody entered holidays of their year.
    CalendarWithoutHolidays,
}

pub struct ContractWarning(pub warnings::Warning);

/// Something about the money of a version that somebody should know before it is signed. It refuses nothing.
#[Object]
impl ContractWarning {
    /// What it is about.
    async fn code(&self) -> ContractWarningCode {
        self.0.code.into()
    }

    /// The field of the terms, such as `["rateTable", "rows", "3"]`.
    #[graphql(complexity = "short(child_complexity)")]
    async fn field(&self) -> Vec<String> {
        self.0.path.split('.').map(str::to_owned).collect()
    }

    /// In words.
    async fn message(&self, #[graphql(desc = "English when absent.")] language: Option<Language>) -> String {
        self.0.message(language.map(notifications::Language::from).unwrap_or_default())
    }
}

/// What a version says in a language.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextOf(pub ContractId, pub i64, pub notifications::Language);

impl Loader<TextOf> for Rows {
    type Value = Vec<text::ClauseText>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[TextOf]) -> Result<HashMap<TextOf, Self::Value>, Self::Error> {
        let mut texts = HashMap::new();
        for language in notifications::Language::ALL {
            let own = keys.iter().filter(|key| key.2 == language);
            let versions: Vec<_> = own.map(|key| (key.0, key.1)).collect();
            if versions.is_empty() {
                continue;
            }
            let said = self.0.contract_texts(&versions, language).await.map_err(Arc::new)?;
            texts.extend(
                said.into_iter().map(|((contract, version), text)| (TextOf(contract, version, language), text)),
            );
        }
        Ok(texts)
    }
}

/// What somebody should know about a version.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct WarningsOf(pub ContractId, pub i64);

impl Loader<WarningsOf> for Rows {
    type Value = Vec<warnings::Warning>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[WarningsOf]) -> Result<HashMap<WarningsOf, Self::Value>, Self::Error> {
        let versions: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let found = self.0.contract_warnings(&versions).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|((contract, version), found)| (WarningsOf(contract, version), found)).collect())
    }
}
