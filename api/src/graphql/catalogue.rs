//! Assets, products and players.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, ID, InputObject, Object, SimpleObject};
use domain::catalogue;
use domain::ids::ProductId;
use domain::time::Timestamp;
use domain::transactions::transaction;

use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::loaders::{self, PlayerVersionsOf, ProductVersionsOf};
use super::page::{self, Cursor, cost, short};
use super::scalars::{DateTime, Decimal};
use super::scoped;

/// A currency or asset with its two precisions.
#[derive(SimpleObject)]
pub struct Asset {
    /// Capital letters and digits, such as "USD".
    pub code: String,
    /// Digits of the minor unit, in which lines and payouts are kept.
    pub exponent: i32,
    /// Digits of the accounting unit, in which transactions are kept.
    pub accounting_exponent: i32,
}

impl From<domain::money::Asset> for Asset {
    fn from(asset: domain::money::Asset) -> Self {
        Self {
            code: asset.code,
            exponent: asset.exponent.into(),
            accounting_exponent: asset.accounting_exponent.into(),
        }
    }
}

/// What is played or sold.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Product {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// What records name it by.
    pub code: String,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: ProductId,
}

impl From<catalogue::Product> for Product {
    fn from(product: catalogue::Product) -> Self {
        Self { id: product.id.into(), code: product.code, created_at: product.created_at.into(), key: product.id }
    }
}

#[ComplexObject]
impl Product {
    /// What is true of it from when on, oldest first.
    #[graphql(complexity = "short(child_complexity)")]
    async fn versions(&self, ctx: &Context<'_>) -> Result<Vec<ProductVersion>, Failure> {
        let versions = loaders::one(ctx, ProductVersionsOf(self.key)).await?;
        Ok(versions.unwrap_or_default().into_iter().map(ProductVersion::from).collect())
    }
}

/// What is true of a product from a time on.
#[derive(SimpleObject)]
pub struct ProductVersion {
    /// Null: from the beginning.
    pub valid_from: Option<DateTime>,
    /// What people call it.
    pub name: String,
    /// Such as `slots`; contracts can ask for it.
    pub category: Option<String>,
    /// Who made it.
    pub studio: Option<String>,
    /// "0.965" is 96.5 %.
    pub theoretical_rtp: Option<Decimal>,
    /// Standard deviation of the payout per unit stake.
    pub volatility: Option<Decimal>,
}

impl From<catalogue::ProductVersion> for ProductVersion {
    fn from(version: catalogue::ProductVersion) -> Self {
        Self {
            valid_from: beginning(version.valid_from),
            name: version.name,
            category: version.category,
            studio: version.studio,
            theoretical_rtp: version.theoretical_rtp.map(Decimal),
            volatility: version.volatility.map(Decimal),
        }
    }
}

fn beginning(time: Timestamp) -> Option<DateTime> {
    time.in_range().then_some(DateTime(time))
}

/// A player about whom staff said something.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Player {
    /// What transactions name it by, in hexadecimal digits.
    pub pseudonym: String,
    #[graphql(skip)]
    key: transaction::Player,
}

impl From<transaction::Player> for Player {
    fn from(key: transaction::Player) -> Self {
        Self { pseudonym: hex(&key), key }
    }
}

#[ComplexObject]
impl Player {
    /// What staff said about it from when on, oldest first.
    #[graphql(complexity = "short(child_complexity)")]
    async fn versions(&self, ctx: &Context<'_>) -> Result<Vec<PlayerVersion>, Failure> {
        let versions = loaders::one(ctx, PlayerVersionsOf(self.key)).await?;
        Ok(versions.unwrap_or_default().into_iter().map(PlayerVersion::from).collect())
    }
}

/// What staff said about a player from a time on.
#[derive(SimpleObject)]
pub struct PlayerVersion {
    /// Null: from the beginning.
    pub valid_from: Option<DateTime>,
    /// The segment that contracts can ask for.
    pub segment: Option<String>,
    /// Tags that contracts can ask for.
    pub tags: Vec<String>,
    /// Transactions of test players are recorded and never settled.
    pub test: bool,
}

impl From<catalogue::PlayerVersion> for PlayerVersion {
    fn from(version: catalogue::PlayerVersion) -> Self {
        Self {
            valid_from: beginning(version.valid_from),
            segment: version.segment,
            tags: serde_json::from_str(&version.tags).unwrap_or_default(),
            test: version.test,
        }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Default)]
pub struct CatalogueQuery;

#[Object]
impl CatalogueQuery {
    /// The tenant's own assets, and the currencies whose accounting digits it set. Every other ISO currency is known.
    /// By code.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn assets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Asset>, Failure> {
        let page = scoped(ctx)?.assets(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |asset| asset.code.clone()))
    }

    /// The tenant's products, the latest added first.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Product>, Failure> {
        let page = scoped(ctx)?.products(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |product| product.id.0))
    }

    /// The players about whom staff said something, by pseudonym. One that nobody spoke of is not listed.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn players(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Player>, Failure> {
        let page = scoped(ctx)?.players(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |player| *player))
    }
}

/// What `createAsset` takes.
#[derive(InputObject)]
pub struct CreateAssetInput {
    /// At most 12 capital letters and digits.
    code: String,
    /// Digits of the minor unit, in which lines and payouts are kept.
    exponent: i32,
    /// Four more than `exponent`, at most 8, when absent.
    accounting_exponent: Option<i32>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `createAsset` did.
#[derive(SimpleObject)]
pub struct CreateAssetPayload {
    /// The asset.
    asset: Option<Asset>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    user_errors: Vec<UserError>,
}

/// What a product is said to be, when it is new and when it changes.
#[derive(InputObject)]
pub struct ProductFactsInput {
    /// What people call it.
    name: String,
    /// Such as `slots`; contracts can ask for it.
    category: Option<String>,
    /// Who made it.
    studio: Option<String>,
    /// The return to player that it is built for: "0.965" is 96.5 %.
    theoretical_rtp: Option<Decimal>,
    /// Standard deviation of the payout per unit stake, as a decimal.
    volatility: Option<Decimal>,
}

impl ProductFactsInput {
    fn valid_from(self, valid_from: Option<DateTime>) -> catalogue::ProductFacts {
        catalogue::ProductFacts {
            name: self.name,
            category: self.category,
            studio: self.studio,
            theoretical_rtp: self.theoretical_rtp.map(|decimal| decimal.0),
            volatility: self.volatility.map(|decimal| decimal.0),
            valid_from: valid_from.map(|time| time.0),
        }
    }
}

/// What `createProduct` takes.
#[derive(InputObject)]
pub struct CreateProductInput {
    /// What records name it by; unique.
    code: String,
    #[graphql(flatten)]
    facts: ProductFactsInput,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `createProduct` did.
#[derive(SimpleObject)]
pub struct CreateProductPayload {
    /// The product as it is now.
    product: Option<Product>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    user_errors: Vec<UserError>,
}

/// What `changeProduct` takes.
#[derive(InputObject)]
pub struct ChangeProductInput {
    /// The product.
    product_id: ID,
    /// Now when absent. A time in the past counts what is recorded since then anew.
    valid_from: Option<DateTime>,
    #[graphql(flatten)]
    facts: ProductFactsInput,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `changeProduct` did.
#[derive(SimpleObject)]
pub struct ChangeProductPayload {
    /// The product as it is now.
    product: Option<Product>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    user_errors: Vec<UserError>,
}

/// What `setPlayer` takes.
#[derive(InputObject)]
pub struct SetPlayerInput {
    /// As its source names it; only the pseudonym is kept.
    player: String,
    /// Now when absent. A time in the past counts what is recorded since then anew.
    valid_from: Option<DateTime>,
    /// The segment that contracts can ask for.
    segment: Option<String>,
    /// Tags that contracts can ask for.
    #[graphql(default)]
    tags: Vec<String>,
    /// Transactions of test players are recorded and never settled.
    #[graphql(default)]
    test: bool,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `setPlayer` did.
#[derive(SimpleObject)]
pub struct SetPlayerPayload {
    /// The player.
    player: Option<Player>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct CatalogueMutation;

#[Object]
impl CatalogueMutation {
    /// Makes an asset of the tenant's own, or lowers the accounting digits of a currency before it is first used.
    async fn create_asset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: CreateAssetInput,
    ) -> Result<CreateAssetPayload, Failure> {
        let new = catalogue::NewAsset {
            code: input.code,
            exponent: input.exponent,
            accounting_exponent: input.accounting_exponent,
        };
        let created = once(ctx, input.idempotency_key, async |scoped| scoped.create_asset(new).await).await?;
        let (asset, user_errors) = outcome(created.map(Asset::from).map_err(Failure::from))?;
        Ok(CreateAssetPayload { asset, user_errors })
    }

    /// Adds a product, with what is true of it from the beginning on.
    async fn create_product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: CreateProductInput,
    ) -> Result<CreateProductPayload, Failure> {
        let facts = input.facts.valid_from(None);
        let created =
            once(ctx, input.idempotency_key, async |scoped| scoped.create_product(&input.code, facts).await).await?;
        let (product, user_errors) = outcome(created.map(Product::from).map_err(Failure::from))?;
        Ok(CreateProductPayload { product, user_errors })
    }

    /// Says what is true of a product from a time on.
    async fn change_product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: ChangeProductInput,
    ) -> Result<ChangeProductPayload, Failure> {
        let facts = input.facts.valid_from(input.valid_from);
        let product = id(&input.product_id, ProductId::parse);
        let changed =
            once(ctx, input.idempotency_key, async |scoped| scoped.change_product(product, facts).await).await?;
        let (product, user_errors) = outcome(changed.map(Product::from).map_err(Failure::from))?;
        Ok(ChangeProductPayload { product, user_errors })
    }

    /// Says what is true of a player from a time on.
    async fn set_player(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SetPlayerInput,
    ) -> Result<SetPlayerPayload, Failure> {
        let facts = catalogue::PlayerFacts {
            segment: input.segment,
            tags: input.tags,
            test: input.test,
            valid_from: input.valid_from.map(|time| time.0),
        };
        let set =
            once(ctx, input.idempotency_key, async |scoped| scoped.set_player(&input.player, facts).await).await?;
        let (player, user_errors) = outcome(set.map(Player::from).map_err(Failure::from))?;
        Ok(SetPlayerPayload { player, user_errors })
    }
}
