//! Everything that has a global id, found by it.

use async_graphql::{Context, ID, Interface, Object};
use domain::ids::{ApiKeyId, MemberId};
use domain::{Error, Scoped};

use super::access::{ApiKey, Member};
use super::errors::{Failure, or_null};
use super::scoped;

// Its types are `SimpleObject`s with a field `id`; a field that takes a query is in a `ComplexObject` beside it.
/// Something with a global id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "&ID"))]
pub enum Node {
    Member(Member),
    ApiKey(ApiKey),
}

#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// Whatever has this id; null when nothing has, or nothing that you may see.
    async fn node(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Node>, Failure> {
        match or_null(find(scoped(ctx)?, &id).await) {
            // Who may not see such things learns no more than of things that are not there.
            Err(Failure::Core(Error::Denied(_))) => Ok(None),
            found => found,
        }
    }
}

/// One arm for each type of [`Node`]; a text that no type knows is nothing.
async fn find(scoped: &Scoped, text: &str) -> domain::Result<Node> {
    if let Some(id) = MemberId::parse(text) {
        return Ok(Node::Member(scoped.member(id).await?.into()));
    }
    if let Some(id) = ApiKeyId::parse(text) {
        return Ok(Node::ApiKey(scoped.api_key(id).await?.into()));
    }
    Err(Error::NotFound("node"))
}
