//! GraphQL over the core: `schema.graphql` is made from here.
//!
//! To add a type:
//!
//! 1. A file here named after its capability (`partners.rs`), with its output types as structs `From` the core's
//!    (`Partner`), one `PartnersQuery` and one `PartnersMutation` with `#[Object]`, and its inputs and payloads. Take
//!    `access.rs` as the pattern.
//! 2. `PartnersQuery` goes into [`Query`] and `PartnersMutation` into [`Mutation`] below. A type with an `id` goes into
//!    the `Node` interface in `node.rs`.
//! 3. Resolvers begin with `scoped(ctx)?` and return `Result<_, Failure>`, never `async_graphql::Result`: its `?` would
//!    show the client the text of any error.
//! 4. A mutation takes one `input` with an `idempotencyKey`, runs the service in [`idempotency::once`], and hands the
//!    outcome to [`errors::outcome`], which splits it into what changed and `userErrors`. Paths of problems are the
//!    input's own field names.
//! 5. Ids come in by [`ids::id`]; what is named by an id goes out as the thing itself, through `loaders`. Lists go out by
//!    [`page::connection`], or say in `api/tests/it/schema.rs` what bounds them; both count their rows in the request's
//!    cost by [`page::cost`] and [`page::short`]. Money goes out as `scalars::Money`.
//! 6. `cargo run -p api -- schema > schema.graphql`; a test compares.

pub mod access;
pub mod agreed;
pub mod anomalies;
pub mod api_keys;
pub mod bases;
pub mod calendars;
pub mod case_loaders;
pub mod catalogue;
pub mod clauses;
pub mod contracts;
mod cost;
pub mod cycles;
pub mod detector;
mod drafting;
pub mod errors;
pub mod execute;
pub mod explanations;
pub mod fees;
mod fences;
pub mod findings;
pub mod formulas;
pub mod funds;
pub mod idempotency;
pub mod ids;
pub mod imports;
pub mod language;
pub mod ledger;
pub mod limits;
pub mod lines;
pub mod loaders;
pub mod mappings;
pub mod money;
pub mod node;
mod order;
pub mod page;
pub mod partners;
pub mod persisted;
pub mod previews;
pub mod quarantine;
pub mod recording;
pub mod request;
pub mod scalars;
pub mod sessions;
pub mod settlements;
pub mod simulations;
pub mod sources;
pub mod splits;
pub mod subscriptions;
pub mod templates;
pub mod terms;
pub mod test_cases;
mod texts;
pub mod transactions;
pub mod version_loaders;
pub mod versions;
mod waves;

use std::net::IpAddr;
use std::sync::Arc;

use async_graphql::{Context, MergedObject, SDLExportOptions};
use domain::{Domain, Scoped};

use self::errors::Failure;
use crate::rates::{Payer, Place, Rates};

/// What can be read. Every list has pages, and shows what you may see.
#[derive(MergedObject, Default)]
pub struct Query(
    node::NodeQuery,
    access::AccessQuery,
    api_keys::ApiKeysQuery,
    partners::PartnersQuery,
    catalogue::CatalogueQuery,
    sources::SourcesQuery,
    contracts::ContractsQuery,
    calendars::CalendarsQuery,
    funds::FundsQuery,
    versions::VersionsQuery,
    templates::TemplatesQuery,
    transactions::TransactionsQuery,
    imports::ImportsQuery,
    quarantine::QuarantineQuery,
    settlements::SettlementsQuery,
    splits::SplitsQuery,
    explanations::ExplanationsQuery,
    ledger::LedgerQuery,
    anomalies::AnomaliesQuery,
    detector::DetectorQuery,
);

/// What can be done. What you should have done otherwise is told in `userErrors`.
#[derive(MergedObject, Default)]
pub struct Mutation(
    sessions::SessionsMutation,
    access::AccessMutation,
    language::LanguageMutation,
    api_keys::ApiKeysMutation,
    partners::PartnersMutation,
    catalogue::CatalogueMutation,
    sources::SourcesMutation,
    previews::PreviewsMutation,
    drafting::ContractsMutation,
    calendars::CalendarsMutation,
    funds::FundsMutation,
    versions::VersionsMutation,
    test_cases::TestCasesMutation,
    templates::TemplatesMutation,
    recording::RecordingMutation,
    imports::ImportsMutation,
    quarantine::QuarantineMutation,
    settlements::SettlementsMutation,
    anomalies::AnomaliesMutation,
    detector::DetectorMutation,
);

pub type Schema = async_graphql::Schema<Query, Mutation, subscriptions::SubscriptionRoot>;

/// Points of one request: its fields, counting each list as long as it may get. A page of 100 with 100 fields each
/// is 10,000.
const MAX_COMPLEXITY: usize = 20_000;
/// What costs a slow hash, such as a sign-in, counts as much, so that one request holds ten of them at most.
pub const SLOW_HASH_COST: usize = MAX_COMPLEXITY / 10;

/// Who sends a request.
#[derive(Clone)]
pub enum Session {
    Anonymous,
    Caller(Box<Scoped>),
}

/// What belongs to a request as a whole, whatever it asks and however it came. Resolvers find it in their context.
#[derive(Clone)]
pub struct Sender {
    pub session: Session,
    /// Where the request comes from; absent where the transport does not tell.
    pub address: Option<IpAddr>,
    /// For the one mutation that is asked for; absent where the transport has no headers.
    pub idempotency_key: Option<idempotency::HeaderKey>,
}

impl Sender {
    pub fn scoped(&self) -> Option<&Scoped> {
        match &self.session {
            Session::Anonymous => None,
            Session::Caller(scoped) => Some(scoped),
        }
    }

    /// Whose budget the request is taken from.
    pub fn payer(&self) -> Payer {
        match self.scoped() {
            Some(scoped) => Payer::of(scoped.caller()),
            None => Payer::Address(self.place()),
        }
    }

    fn place(&self) -> Place {
        self.address.into()
    }
}

pub fn schema() -> Schema {
    Schema::build(Query::default(), Mutation::default(), subscriptions::SubscriptionRoot)
        .extension(cost::Cost)
        // Ours are checked first; the library has a limit of its own, which must not be the lower one.
        .limit_recursive_depth(limits::MAX_LEVELS)
        .disable_suggestions()
        .finish()
}

/// The schema as text: the contract in `schema.graphql`.
pub fn sdl() -> String {
    schema().sdl_with_options(SDLExportOptions::new().prefer_single_line_descriptions())
}

/// The core as the sender of this request sees it.
pub fn scoped<'c>(ctx: &Context<'c>) -> Result<&'c Scoped, Failure> {
    ctx.data_opt::<Sender>().and_then(Sender::scoped).ok_or(Failure::Unauthenticated)
}

/// The core itself, for what one does before signing in.
fn domain<'c>(ctx: &Context<'c>) -> Result<&'c Domain, Failure> {
    ctx.data_opt::<Domain>().ok_or(Failure::Unauthenticated)
}

/// Where tries at signing in are counted, and under which place this request's.
fn tries<'c>(ctx: &Context<'c>) -> Result<(&'c Rates, Place), Failure> {
    match (ctx.data_opt::<Arc<Rates>>(), ctx.data_opt::<Sender>()) {
        (Some(rates), Some(sender)) => Ok((rates, sender.place())),
        _ => Err(Failure::Unauthenticated),
    }
}
