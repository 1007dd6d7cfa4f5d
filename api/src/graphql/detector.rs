//! The detector of a tenant: its model, and how many alerts are wanted of it.

use async_graphql::{Context, InputObject, Object, SimpleObject};
use domain::anomalies;

use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::page::short;
use super::scalars::{DateTime, Decimal};
use super::scoped;

/// A tenant's detector: what it was fitted to, and how many alerts are wanted of it.
#[derive(SimpleObject)]
pub struct Detector {
    /// The model in force; null while the tenant has the one that everybody starts with.
    pub model: Option<DetectorModel>,
    /// Of all transactions, the part that is wanted to alert: 0.005 is one in two hundred.
    pub alert_rate: Decimal,
    /// How many may alert on one day (UTC), at most.
    pub most_alerts_a_day: i64,
    /// Transactions that were recorded and have no score yet; they keep their settlements from closing.
    pub unscored_count: i64,
    /// Whether a training is asked for or under way.
    pub training: bool,
}

/// What a model of the detector was fitted to.
#[derive(SimpleObject)]
pub struct DetectorModel {
    /// When it was fitted.
    pub created_at: DateTime,
    /// Transactions that it was fitted to.
    pub transaction_count: i64,
    /// When the first of these happened.
    pub first_occurred_at: DateTime,
    /// When the last of these happened.
    pub last_occurred_at: DateTime,
}

impl From<anomalies::Detector> for Detector {
    fn from(detector: anomalies::Detector) -> Self {
        let anomalies::Detector { settings, fitted, unscored, training } = detector;
        let rate = rust_decimal::Decimal::new(settings.alerts_per_million, 6).normalize();
        Self {
            model: fitted.map(|fitted| DetectorModel {
                created_at: fitted.created_at.into(),
                transaction_count: fitted.rows,
                first_occurred_at: fitted.rows_from.into(),
                last_occurred_at: fitted.rows_until.into(),
            }),
            alert_rate: Decimal(rate.to_string()),
            most_alerts_a_day: settings.most_alerts_a_day,
            unscored_count: i64::try_from(unscored).unwrap_or(i64::MAX),
            training,
        }
    }
}

#[derive(Default)]
pub struct DetectorQuery;

#[Object]
impl DetectorQuery {
    /// The tenant's detector as of now.
    async fn detector(&self, ctx: &Context<'_>) -> Result<Detector, Failure> {
        Ok(scoped(ctx)?.detector().await?.into())
    }
}

/// What `setAlertRate` takes.
#[derive(InputObject)]
pub struct SetAlertRateInput {
    /// Of all transactions, the part that is wanted to alert, from 0.000001 to 0.2.
    alert_rate: Decimal,
    /// How many may alert on one day (UTC), at most.
    most_alerts_a_day: i32,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `setAlertRate` did.
#[derive(SimpleObject)]
pub struct SetAlertRatePayload {
    /// The detector as it is now.
    pub detector: Option<Detector>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

/// What `trainDetector` takes.
#[derive(InputObject)]
pub struct TrainDetectorInput {
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `trainDetector` did.
#[derive(SimpleObject)]
pub struct TrainDetectorPayload {
    /// The detector as it is now; its model comes into force when the training is done.
    pub detector: Option<Detector>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct DetectorMutation;

#[Object]
impl DetectorMutation {
    /// Sets how many transactions are wanted to alert.
    async fn set_alert_rate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SetAlertRateInput,
    ) -> Result<SetAlertRatePayload, Failure> {
        let per_million = millionths(&input.alert_rate);
        let most_a_day = i64::from(input.most_alerts_a_day);
        let set = once(ctx, input.idempotency_key, async |scoped| scoped.set_alert_rate(per_million, most_a_day).await);
        let (detector, user_errors) = outcome(set.await?.map_err(Failure::from))?;
        Ok(SetAlertRatePayload { detector: detector.map(Detector::from), user_errors })
    }

    /// Asks for the detector to be fitted to what is recorded by now. It happens by itself once a day.
    async fn train_detector(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: TrainDetectorInput,
    ) -> Result<TrainDetectorPayload, Failure> {
        let asked = once(ctx, input.idempotency_key, async |scoped| scoped.train_detector().await).await?;
        let (detector, user_errors) = outcome(asked.map_err(Failure::from))?;
        Ok(TrainDetectorPayload { detector: detector.map(Detector::from), user_errors })
    }
}

/// A part in millionths; what is none, or finer, is one that the core refuses.
fn millionths(part: &Decimal) -> i64 {
    let million = rust_decimal::Decimal::from(1_000_000);
    let part: Option<rust_decimal::Decimal> = part.0.parse().ok();
    let whole = part.and_then(|part| part.checked_mul(million)).filter(|whole| whole.fract().is_zero());
    whole.and_then(|whole| i64::try_from(whole).ok()).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_millionths() {
        let of = |text: &str| millionths(&Decimal(text.to_owned()));
        assert_eq!((of("0.005"), of("0.000001"), of("0.2")), (5_000, 1, 200_000));
        assert_eq!((of("0.0000001"), of("-0.5"), of("99999999999999999999999")), (-1, -500_000, -1));
    }
}
