//! Loaders of anomaly cases and of what they hold; `loaders.rs` has the others.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use domain::ids::{CaseId, SettlementId};
use domain::page::{Page, PageRequest};
use domain::{Error, anomalies, settlements};

use super::loaders::{Rows, by, grouped};

impl Loader<CaseId> for Rows {
    type Value = anomalies::Case;
    type Error = Arc<Error>;

    async fn load(&self, ids: &[CaseId]) -> Result<HashMap<CaseId, Self::Value>, Self::Error> {
        by(self.0.anomaly_cases_by_ids(ids).await, |case| case.id)
    }
}

/// A page of the odd transactions of a case, the latest recorded first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CaseTransactionsOf(pub CaseId, pub PageRequest);

impl Loader<CaseTransactionsOf> for Rows {
    type Value = Page<anomalies::CaseTransaction>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[CaseTransactionsOf]) -> Result<HashMap<CaseTransactionsOf, Self::Value>, Self::Error> {
        let mut pages = HashMap::new();
        for (page, ids) in grouped(keys.iter().map(|key| (key.1, key.0))) {
            let found = self.0.case_transactions(&ids, page).await.map_err(Arc::new)?;
            pages.extend(found.into_iter().map(|(id, of_one)| (CaseTransactionsOf(id, page), of_one)));
        }
        Ok(pages)
    }
}

/// What is held of a settlement.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HoldsOf(pub SettlementId);

impl Loader<HoldsOf> for Rows {
    type Value = Vec<settlements::Hold>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[HoldsOf]) -> Result<HashMap<HoldsOf, Self::Value>, Self::Error> {
        let ids: Vec<SettlementId> = keys.iter().map(|key| key.0).collect();
        let found = self.0.holds(&ids).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, holds)| (HoldsOf(id), holds)).collect())
    }
}
