//! What a request costs, and taking it from its sender's budget: after validation has worked the cost out, and before
//! anything runs.

use std::sync::Arc;

use async_graphql::async_trait::async_trait;
use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation};
use async_graphql::{Response, ServerError, ValidationResult, Value, value};
use tokio::sync::OnceCell;

use super::MAX_COMPLEXITY;
use super::errors::{RATE_LIMITED, coded_error};
use crate::rates::{Over, Payer, Rates, Spent};

/// Where the cost of one request goes. Part of the request's data.
pub struct Charge {
    rates: Arc<Rates>,
    payer: Payer,
    taken: OnceCell<Result<Spent, Over>>,
}

impl Charge {
    pub fn new(rates: Arc<Rates>, payer: Payer) -> Arc<Self> {
        Arc::new(Self { rates, payer, taken: OnceCell::new() })
    }

    /// Seconds to wait, where the budget did not have it.
    pub fn refused(&self) -> Option<u64> {
        self.taken.get().and_then(|taken| taken.err()).map(|over| over.retry_after)
    }

    /// What was taken.
    pub fn points(&self) -> u32 {
        self.taken.get().and_then(|taken| taken.ok()).map_or(0, |spent| spent.requested)
    }

    /// Tells the cost in an executed operation's answer.
    pub fn tell(&self, response: &mut Response) {
        if let Some(Ok(spent)) = self.taken.get() {
            response.extensions.insert("cost".to_owned(), told(spent));
        }
    }

    async fn take(&self, cost: usize) -> Result<(), ServerError> {
        let points = u32::try_from(cost).ok().filter(|_| cost <= MAX_COMPLEXITY);
        let Some(points) = points else {
            let message = format!("the document costs {cost} points; a request costs at most {MAX_COMPLEXITY}");
            return Err(coded_error("BAD_USER_INPUT", &message));
        };
        match self.taken.get_or_init(|| self.rates.spend(self.payer, points)).await {
            Ok(_) => Ok(()),
            Err(over) => Err(over_budget(points, *over)),
        }
    }
}

fn told(spent: &Spent) -> Value {
    value!({
        "requested": spent.requested,
        "maximum": spent.maximum,
        "remaining": spent.remaining,
        "restoredPerSecond": spent.restored_per_second,
    })
}

pub fn over_budget(points: u32, over: Over) -> ServerError {
    let seconds = over.retry_after;
    let message = format!("the budget has no {points} points left for this request; try again in {seconds} s");
    let mut error = coded_error(RATE_LIMITED, &message);
    error.extensions.get_or_insert_default().set("retryAfter", seconds);
    error
}

/// Charges every request that brings a [`Charge`].
pub struct Cost;

impl ExtensionFactory for Cost {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Extension for Cost {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let valid = next.run(ctx).await?;
        if let Some(charge) = ctx.data_opt::<Arc<Charge>>() {
            charge.take(valid.complexity).await.map_err(|error| vec![error])?;
        }
        Ok(valid)
    }
}
