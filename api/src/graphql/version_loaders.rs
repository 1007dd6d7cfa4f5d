//! What belongs to the versions of contracts, read together for all of a request.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use domain::ids::ContractId;
use domain::{Error, contracts};

use super::loaders::Rows;

/// What was done to a contract's versions, the latest first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StepsOf(pub ContractId);

impl Loader<StepsOf> for Rows {
    type Value = Vec<contracts::Step>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[StepsOf]) -> Result<HashMap<StepsOf, Self::Value>, Self::Error> {
        let ids: Vec<ContractId> = keys.iter().map(|key| key.0).collect();
        let mut steps: HashMap<StepsOf, Self::Value> = HashMap::new();
        for step in self.0.contract_steps(&ids).await.map_err(Arc::new)? {
            steps.entry(StepsOf(step.contract)).or_default().push(step);
        }
        Ok(steps)
    }
}

/// The test cases of a contract, by name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CasesOf(pub ContractId);

impl Loader<CasesOf> for Rows {
    type Value = Vec<contracts::case::TestCase>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[CasesOf]) -> Result<HashMap<CasesOf, Self::Value>, Self::Error> {
        let ids: Vec<ContractId> = keys.iter().map(|key| key.0).collect();
        let mut cases: HashMap<CasesOf, Self::Value> = HashMap::new();
        for (contract, case) in self.0.contract_test_cases(&ids).await.map_err(Arc::new)? {
            cases.entry(CasesOf(contract)).or_default().push(case);
        }
        Ok(cases)
    }
}
