//! What is to be said about the rate table of a contract's version.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use async_graphql::{Enum, SimpleObject};
use domain::Error;
use domain::contracts::findings;
use domain::ids::ContractId;

use super::loaders::Rows;
use super::page::short;

/// How much a finding weighs.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "FindingSeverity", remote = "findings::Severity")]
pub enum Severity {
    /// Terms with it are refused.
    Error,
    /// Somebody should look.
    Warning,
}

/// What a finding is about.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "FindingKind", remote = "findings::FindingKind")]
pub enum Kind {
    /// A cell, column, condition or promotion that cannot be read.
    Syntax,
    /// A name that there is not.
    UnknownName,
    /// Transactions that no row takes.
    Gap,
    /// Rows, or promotions, that take the same.
    Overlap,
    /// A row that takes nothing.
    Unreachable,
    /// A condition that gives no answer on some values.
    MayFail,
    /// It was too much to look at everything.
    NotProven,
}

/// Something about a rate table that somebody should know before it is signed.
#[derive(SimpleObject)]
pub struct RateTableFinding {
    /// How much it weighs.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// The field of the terms, such as `["rateTable", "rows", "3", "cells", "1"]`.
    #[graphql(complexity = "short(child_complexity)")]
    pub field: Vec<String>,
    /// The place of the row in the table, from 0; null where it is about no single row.
    pub row: Option<i32>,
    /// The place of the column in the table, from 0; null where it is about no single cell.
    pub column: Option<i32>,
    /// In words.
    pub message: String,
}

impl From<findings::Finding> for RateTableFinding {
    fn from(finding: findings::Finding) -> Self {
        let place = |place: Option<usize>| place.and_then(|place| i32::try_from(place).ok());
        Self {
            severity: finding.severity.into(),
            kind: finding.kind.into(),
            field: finding.path.split('.').map(str::to_owned).collect(),
            row: place(finding.row),
            column: place(finding.column),
            message: finding.message,
        }
    }
}

/// What is to be said about a version's table.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FindingsOf(pub ContractId, pub i64);

impl Loader<FindingsOf> for Rows {
    type Value = Vec<findings::Finding>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[FindingsOf]) -> Result<HashMap<FindingsOf, Self::Value>, Self::Error> {
        let versions: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let found = self.0.findings_of(&versions).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|((contract, version), found)| (FindingsOf(contract, version), found)).collect())
    }
}
