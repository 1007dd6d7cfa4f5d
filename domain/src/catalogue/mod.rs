//! What is played and paid in: products, players and assets, each with what was true of it from when on.

mod store;

use std::collections::{BTreeSet, HashMap};

use sea_orm::Set;

use crate::caller::{Permission, Scoped, Writer};
use crate::contracts as pricing;
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::ProductId;
use crate::money::{Asset, MAX_ACCOUNTING_EXPONENT};
use crate::page::{Page, PageRequest};
use crate::partners::text;
use crate::settlements;
use crate::time::Timestamp;
use crate::transactions;
use crate::transactions::transaction::Player;

pub use store::asset::Model as AssetRow;
pub use store::player_version::Model as PlayerVersion;
pub use store::product::Model as Product;
pub use store::product_version::Model as ProductVersion;

pub struct NewAsset {
    pub code: String,
    pub exponent: i32,
    /// Digits of the accounting unit; four more than `exponent`, at most 8, when absent.
    pub accounting_exponent: Option<i32>,
}

/// What is true of a product from `valid_from` on.
pub struct ProductFacts {
    pub name: String,
    pub category: Option<String>,
    pub studio: Option<String>,
    /// 0.965 is 96.5 %.
    pub theoretical_rtp: Option<String>,
    /// Standard deviation of the payout per unit stake.
    pub volatility: Option<String>,
    /// For a new product from the beginning, for a change from now on when absent.
    pub valid_from: Option<Timestamp>,
}

/// What is true of a player from `valid_from` on.
pub struct PlayerFacts {
    pub segment: Option<String>,
    pub tags: Vec<String>,
    /// Transactions of test players are recorded and never settled.
    pub test: bool,
    /// Now when absent.
    pub valid_from: Option<Timestamp>,
}

/// Valid from before every fact.
const ALWAYS: Timestamp = Timestamp(i64::MIN);

impl Scoped {
    pub async fn create_asset(&self, new: NewAsset) -> Result<Asset> {
        self.require(Permission::Configure)?;
        let asset = checked_asset(&new)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            if store::asset_by_code(tx, &asset.code).await?.is_some() {
                let message = format!("the asset '{}' is there already", asset.code);
                return Err(Problem::new(Code::AlreadyExists, "code", message).into());
            }
            if transactions::any_in_currency(tx, &asset.code).await? {
                let message =
                    format!("there are transactions in {} already, whose digits cannot change any more", asset.code);
                return Err(Problem::new(Code::WrongState, "code", message).into());
            }
            tx.insert(store::asset::ActiveModel {
                code: Set(asset.code.clone()),
                exponent: Set(asset.exponent.into()),
                accounting_exponent: Set(asset.accounting_exponent.into()),
                created_at: Set(writer.clock().now()),
                ..Default::default()
            })
            .await?;
            tx.bump_epoch(writer.clock()).await?;
            Ok(asset)
        })
        .await
    }

    /// The tenant's own assets, by code.
    pub async fn assets(&self, page: PageRequest<String>) -> Result<Page<Asset>> {
        self.require(Permission::Read)?;
        let rows = Page::cut(store::assets_page(&self.read().await?, page.clone()).await?, &page);
        let items = rows.items.into_iter().map(asset_of).collect::<Result<_, _>>()?;
        Ok(Page { items, has_next: rows.has_next })
    }

    /// The assets behind codes: the tenant's own, or ISO currencies.
    pub async fn assets_by_codes(&self, codes: &[String]) -> Result<HashMap<String, Asset>> {
        assets_by_codes_in(&self.read().await?, codes.iter().map(String::as_str)).await
    }

    pub async fn create_product(&self, code: &str, facts: ProductFacts) -> Result<Product> {
        self.require(Permission::Configure)?;
        let code = text("code", code, 100)?;
        let version = checked_product(facts)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            if store::product_by_code(tx, &code).await?.is_some() {
                let message = format!("the product '{code}' is there already");
                return Err(Problem::new(Code::AlreadyExists, "code", message).into());
            }
            let now = writer.clock().now();
            let product = Product { tenant_id: tx.tenant(), id: writer.clock().id(), code, created_at: now };
            tx.insert(store::product::ActiveModel::from(product.clone())).await?;
            let version = store::product_version::Model {
                tenant_id: tx.tenant(),
                product_id: product.id,
                created_at: now,
                ..version
            };
            tx.insert(store::product_version::ActiveModel::from(version.clone())).await?;
            tx.bump_epoch(writer.clock()).await?;
            Ok(product)
        })
        .await
    }

    /// Adds what is true of a product from a date on. What held before stays as it was.
    pub async fn change_product(&self, id: ProductId, mut facts: ProductFacts) -> Result<Product> {
        self.require(Permission::Configure)?;
        facts.valid_from.get_or_insert_with(|| self.clock().now());
        let version = checked_product(facts)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let product = store::product_by_id(tx, id).await?.ok_or(Error::NotFound("product"))?;
            let version = store::product_version::Model {
                tenant_id: tx.tenant(),
                product_id: id,
                created_at: writer.clock().now(),
                ..version
            };
            store::put_product_version(tx, version).await?;
            tx.bump_epoch(writer.clock()).await?;
            settlements::reprice_in(writer, tx, None).await?;
            Ok(product)
        })
        .await
    }

    pub async fn products(&self, page: PageRequest) -> Result<Page<Product>> {
        self.require(Permission::Read)?;
        Ok(Page::cut(store::products(&self.read().await?, page).await?, &page))
    }

    pub async fn product(&self, id: ProductId) -> Result<Option<Product>> {
        self.require(Permission::Read)?;
        Ok(store::product_by_id(&self.read().await?, id).await?)
    }

    pub async fn products_by_codes(&self, codes: &[String]) -> Result<Vec<Product>> {
        self.require(Permission::Read)?;
        Ok(store::products_by_codes(&self.read().await?, codes).await?)
    }

    /// Every version of these products, oldest first.
    pub async fn product_versions(&self, ids: &[ProductId]) -> Result<Vec<ProductVersion>> {
        self.require(Permission::Read)?;
        Ok(store::product_versions(&self.read().await?, ids).await?)
    }

    /// Says what is true of a player, named as its source names it, from a date on.
    pub async fn set_player(&self, name: &str, facts: PlayerFacts) -> Result<Player> {
        self.require(Permission::Configure)?;
        let player = self.pseudonyms().await?.player(&text("player", name, 200)?);
        let segment = facts.segment.as_deref().map(|segment| text("segment", segment, 100)).transpose()?;
        let mut tags = facts.tags.iter().map(|tag| text("tags", tag, 100)).collect::<Result<Vec<_>, _>>()?;
        tags.sort_unstable();
        tags.dedup();
        let tags = serde_json::to_string(&tags).map_err(|error| Fault::Internal(error.to_string()))?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let version = PlayerVersion {
                tenant_id: tx.tenant(),
                player: player.to_vec(),
                valid_from: facts.valid_from.unwrap_or_else(|| writer.clock().now()),
                segment,
                tags,
                test: facts.test,
                created_at: writer.clock().now(),
            };
            store::put_player_version(tx, version).await?;
            tx.bump_epoch(writer.clock()).await?;
            settlements::reprice_in(writer, tx, None).await?;
            Ok(player)
        })
        .await
    }

    /// The players about whom staff said something, by pseudonym.
    pub async fn players(&self, page: PageRequest<Player>) -> Result<Page<Player>> {
        self.require(Permission::Read)?;
        let after = page.after.map(|player| player.to_vec());
        let rows = store::players(&self.read().await?, PageRequest { first: page.first, after }).await?;
        let corrupt = |_| Fault::Corrupt("player_versions: a pseudonym does not read back".into());
        let players = rows.into_iter().map(|player| Player::try_from(player).map_err(corrupt));
        Ok(Page::cut(players.collect::<Result<_, _>>()?, &page))
    }

    /// What staff said about these players, oldest first.
    pub async fn player_versions(&self, players: &[Player]) -> Result<Vec<PlayerVersion>> {
        self.require(Permission::Read)?;
        Ok(store::player_versions_of(&self.read().await?, players).await?)
    }
}

fn checked_asset(new: &NewAsset) -> Result<Asset, Problem> {
    let code = text("code", &new.code, 12)?;
    if !code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
        return Err(Problem::new(Code::BadInput, "code", "takes capital letters A to Z and digits"));
    }
    let digits = |field: &str, value: i32, least: u8| {
        u8::try_from(value).ok().filter(|digits| (least..=MAX_ACCOUNTING_EXPONENT).contains(digits)).ok_or_else(|| {
            Problem::new(
                Code::BadInput,
                field,
                format!("{value} is not a number of digits from {least} to {MAX_ACCOUNTING_EXPONENT}"),
            )
        })
    };
    let exponent = digits("exponent", new.exponent, 0)?;
    let mut asset = Asset::new(&code, exponent);
    if let Some(iso) = Asset::iso(&code)
        && iso.exponent != exponent
    {
        let message = format!("{code} is an ISO 4217 currency with {} digits", iso.exponent);
        return Err(Problem::new(Code::BadInput, "exponent", message));
    }
    if let Some(accounting) = new.accounting_exponent {
        asset.accounting_exponent = digits("accountingExponent", accounting, exponent)?;
    }
    Ok(asset)
}

fn checked_product(facts: ProductFacts) -> Result<store::product_version::Model, Problem> {
    let optional =
        |field: &str, value: &Option<String>| value.as_deref().map(|value| text(field, value, 100)).transpose();
    Ok(store::product_version::Model {
        tenant_id: crate::ids::TenantId::NONE,
        product_id: ProductId::NONE,
        valid_from: facts.valid_from.unwrap_or(ALWAYS),
        name: text("name", &facts.name, 200)?,
        category: optional("category", &facts.category)?,
        studio: optional("studio", &facts.studio)?,
        theoretical_rtp: positive_decimal("theoreticalRtp", facts.theoretical_rtp)?,
        volatility: positive_decimal("volatility", facts.volatility)?,
        created_at: Timestamp(0),
    })
}

fn positive_decimal(field: &str, value: Option<String>) -> Result<Option<String>, Problem> {
    let Some(value) = value else { return Ok(None) };
    match rust_decimal::Decimal::from_str_exact(&value) {
        Ok(decimal) if !decimal.is_sign_negative() => Ok(Some(decimal.normalize().to_string())),
        _ => Err(Problem::new(Code::BadInput, field, format!("'{value}' is not a decimal number from 0 up"))),
    }
}

/// Codes asked for in one query, well below what a statement takes.
const CODES_AT_ONCE: usize = 5_000;

/// The assets behind codes, those of the tenant and ISO currencies, in one query. What is neither is left out.
pub(crate) async fn assets_by_codes_in<'c>(
    tx: &TenantTx,
    codes: impl Iterator<Item = &'c str> + Clone,
) -> Result<HashMap<String, Asset>> {
    let own = store::assets_by_codes(tx, codes.clone()).await?;
    let iso = codes.filter_map(|code| Some((code.to_owned(), Asset::iso(code)?)));
    let mut assets: HashMap<String, Asset> = iso.collect();
    for row in own {
        assets.insert(row.code.clone(), asset_of(row)?);
    }
    Ok(assets)
}

pub(crate) async fn asset_in(tx: &TenantTx, code: &str) -> Result<Option<Asset>> {
    let own = store::asset_by_code(tx, code).await?;
    Ok(own.map(asset_of).transpose()?.or_else(|| Asset::iso(code)))
}

/// The tenant's own assets by code. Other codes are ISO currencies or unknown.
pub(crate) async fn assets_in(tx: &TenantTx) -> Result<HashMap<String, Asset>> {
    let rows = store::assets(tx).await?;
    rows.into_iter().map(|row| Ok((row.code.clone(), asset_of(row)?))).collect()
}

/// Of these codes, those that products have.
pub(crate) async fn products_in(tx: &TenantTx, codes: &[String]) -> Result<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    for codes in codes.chunks(CODES_AT_ONCE) {
        known.extend(store::products_by_codes(tx, codes).await?.into_iter().map(|product| product.code));
    }
    Ok(known)
}

/// Every category of a product, and every segment and tag of a player, whenever it was so.
pub(crate) struct Words {
    pub categories: BTreeSet<String>,
    pub segments: BTreeSet<String>,
    pub tags: BTreeSet<String>,
}

pub(crate) async fn words_in(tx: &TenantTx) -> Result<Words> {
    let mut tags = BTreeSet::new();
    for list in store::tag_lists(tx).await? {
        let list: Vec<String> = serde_json::from_str(&list)
            .map_err(|_| Fault::Corrupt("player_versions: a row does not read back".into()))?;
        tags.extend(list);
    }
    let (categories, segments) = (store::categories(tx).await?, store::segments(tx).await?);
    Ok(Words { categories: categories.into_iter().collect(), segments: segments.into_iter().collect(), tags })
}

/// Products and players as pricing reads them.
pub(crate) async fn for_pricing_in(
    tx: &TenantTx,
) -> Result<(Vec<pricing::ProductVersion>, Vec<pricing::PlayerVersion>)> {
    let codes: HashMap<ProductId, String> =
        store::all_products(tx).await?.into_iter().map(|product| (product.id, product.code)).collect();
    let products = store::all_product_versions(tx).await?.into_iter().filter_map(|version| {
        let code = codes.get(&version.product_id)?.clone();
        Some(pricing::ProductVersion { code, valid_from: version.valid_from, category: version.category })
    });
    let players = store::player_versions(tx).await?.into_iter().map(|version| {
        let player = Player::try_from(version.player.as_slice());
        let tags = serde_json::from_str(&version.tags);
        match (player, tags) {
            (Ok(player), Ok(tags)) => Ok(pricing::PlayerVersion {
                player,
                valid_from: version.valid_from,
                segment: version.segment,
                tags,
                test: version.test,
            }),
            _ => Err(Fault::Corrupt("player_versions: a row does not read back".into())),
        }
    });
    Ok((products.collect(), players.collect::<Result<_, Fault>>()?))
}

fn asset_of(row: AssetRow) -> Result<Asset, Fault> {
    match (u8::try_from(row.exponent), u8::try_from(row.accounting_exponent)) {
        (Ok(exponent), Ok(accounting_exponent)) => Ok(Asset { code: row.code, exponent, accounting_exponent }),
        _ => Err(Fault::Corrupt(format!("asset {}: digits out of range", row.code))),
    }
}
