//! What one can follow while it changes.

use async_graphql::{ComplexObject, Context, ID, SimpleObject, Subscription};
use domain::events::{Cursor, Event};
use domain::ids::{CaseId, PartnerId, SettlementId, TenantId};
use futures_util::stream::poll_fn;
use futures_util::{Stream, StreamExt};

use super::anomalies::AnomalyCase;
use super::errors::Failure;
use super::ids::id;
use super::scalars::DateTime;
use super::settlements::Settlement;
use super::simulations::{self, SimulateContractVersionInput, SimulateContractVersionPayload};
use super::{loaders, scoped};
use crate::live::render::Feed;

/// Something new about a settlement.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct SettlementEvent {
    /// Its place: subscribe again `after` it to go on from here.
    pub cursor: String,
    /// When the change was made.
    pub changed_at: DateTime,
    #[graphql(skip)]
    settlement: SettlementId,
}

impl SettlementEvent {
    fn of(event: &Event, tenant: TenantId) -> Self {
        Self {
            cursor: Cursor(event.sequence).text(tenant),
            changed_at: event.at.into(),
            settlement: SettlementId(event.news.subject),
        }
    }
}

#[ComplexObject]
impl SettlementEvent {
    /// As it is now, which may be later than the change.
    async fn settlement(&self, ctx: &Context<'_>) -> Result<Settlement, Failure> {
        Ok(loaders::required(ctx, self.settlement, "settlement").await?.into())
    }
}

/// A case more for risk staff.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct AnomalyEvent {
    /// Its place: subscribe again `after` it to go on from here.
    pub cursor: String,
    /// When it was raised.
    pub raised_at: DateTime,
    #[graphql(skip)]
    case: CaseId,
}

#[ComplexObject]
impl AnomalyEvent {
    /// As it is now, which may be later than when it was raised.
    #[graphql(name = "case")]
    async fn anomaly_case(&self, ctx: &Context<'_>) -> Result<AnomalyCase, Failure> {
        Ok(loaders::required(ctx, self.case, "anomaly case").await?.into())
    }
}

#[derive(Default)]
pub struct SubscriptionRoot;

/// What can be followed while it changes.
#[Subscription(name = "Subscription")]
impl SubscriptionRoot {
    /// A settlement's lines, totals or state have changed; a partner's user hears of its own. Changes of one settlement
    /// within a tenth of a second are told once, with its latest state. Begins now, or `after` a cursor: with the
    /// newest state of each settlement that changed since, in the order of their last changes, and without a gap.
    async fn settlement_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this settlement.")] settlement_id: Option<ID>,
        #[graphql(desc = "Only settlements of this partner.")] partner_id: Option<ID>,
        #[graphql(desc = "The cursor of the last event that was seen, or `Viewer.eventCursor`.")] after: Option<String>,
    ) -> Result<impl Stream<Item = SettlementEvent> + use<>, Failure> {
        // Whoever runs the subscription has taken it out: who resumes from different places shares an execution.
        drop(after);
        let scoped = scoped(ctx)?;
        let settlement = settlement_id.map(|text| id(&text, SettlementId::parse));
        let partner = partner_id.map(|text| id(&text, PartnerId::parse));
        let interest = scoped.settlement_interest(settlement, partner).await?;
        let (mut events, tenant) = (Feed::open(ctx, interest)?, scoped.tenant());
        Ok(poll_fn(move |cx| events.poll_recv(cx)).map(move |event| SettlementEvent::of(&event, tenant)))
    }

    /// A case was raised; not for a partner's users. Begins now, or `after` a cursor, without a gap.
    async fn anomaly_raised(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cursor of the last event that was seen, or `Viewer.eventCursor`.")] after: Option<String>,
    ) -> Result<impl Stream<Item = AnomalyEvent> + use<>, Failure> {
        drop(after);
        let scoped = scoped(ctx)?;
        let (mut events, tenant) = (Feed::open(ctx, scoped.anomaly_interest()?)?, scoped.tenant());
        Ok(poll_fn(move |cx| events.poll_recv(cx)).map(move |event| AnomalyEvent {
            cursor: Cursor(event.sequence).text(tenant),
            raised_at: event.at.into(),
            case: CaseId(event.news.subject),
        }))
    }

    /// Replays a version of a contract over a time that is past: how far it is, and at last what it would have paid
    /// beside what was settled. It changes nothing, ends by itself, and stops when the client ends it. Not for a
    /// partner's users.
    async fn simulate_contract_version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SimulateContractVersionInput,
    ) -> Result<impl Stream<Item = Result<SimulateContractVersionPayload, async_graphql::Error>> + use<>, Failure> {
        simulations::simulate(scoped(ctx)?, input).await
    }
}
