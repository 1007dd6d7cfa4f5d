//! Sources: the connections to providers, their mappings and days.

use async_graphql::{Context, ID, Object, SimpleObject};
use domain::ids::SourceId;
use domain::{Error, Scoped, sources};

use super::errors::Failure;
use super::loaders;

/// A connection to a provider through which records arrive.
#[derive(SimpleObject)]
pub struct Source {
    pub id: ID,
}

impl From<sources::Source> for Source {
    fn from(source: sources::Source) -> Self {
        Self { id: source.id.into() }
    }
}

/// The source of a row that has one.
pub async fn of(ctx: &Context<'_>, id: SourceId) -> Result<Source, Failure> {
    Ok(loaders::required(ctx, id, "source").await?.into())
}

/// The source behind an id or a name.
pub async fn named(_scoped: &Scoped, text: &str) -> Result<SourceId, Error> {
    SourceId::parse(text).ok_or(Error::NotFound("source"))
}

#[derive(Default)]
pub struct SourcesQuery;
#[Object]
impl SourcesQuery {
    async fn x1(&self) -> bool { true }
}
#[derive(Default)]
pub struct SourcesMutation;
#[Object]
impl SourcesMutation {
    async fn x2(&self) -> bool { true }
}
