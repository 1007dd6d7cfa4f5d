//! Idempotency keys: a mutation that comes with one is done once. What that means is the core's matter
//! ([`domain::idempotency`]); here are read the key, and what is asked under it.

use async_graphql::Context;
use async_graphql::parser::types::{Selection, SelectionSet};
use domain::{Code, Fault, Problem, Scoped, secrets};
use poem::http::HeaderMap;
use serde_json::Value;

use super::errors::Failure;
use super::{Sender, scoped};

const HEADER: &str = "idempotency-key";
const FIELD: &str = "idempotencyKey";

/// The key in a request's header, for its one mutation.
#[derive(Clone)]
pub struct HeaderKey(String);

impl HeaderKey {
    /// Quotes around the header are no part of the key.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        // Two headers make one text with a space in it, which is no key.
        let values = headers.get_all(HEADER).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let text = values.reduce(|all, one| format!("{all}, {one}").into())?;
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&text);
        Some(Self(bare.to_owned()))
    }
}

/// Does the `work` of a mutation as the sender of the request: once, where the request has a key in its header or this
/// mutation in its input. Every mutation that changes something goes through here.
pub async fn once<T>(
    ctx: &Context<'_>,
    field: Option<String>,
    work: impl AsyncFnOnce(Scoped) -> domain::Result<T>,
) -> Result<domain::Result<T>, Failure> {
    let scoped = scoped(ctx)?;
    let keyed = match key(ctx, field) {
        Ok(None) => Ok(scoped.clone()),
        Ok(Some(key)) => scoped.once(&key, ctx.field().name(), asked(ctx)?),
        Err(problem) => Err(problem.into()),
    };
    Ok(match keyed {
        Ok(scoped) => work(scoped).await,
        Err(error) => Err(error),
    })
}

fn key(ctx: &Context<'_>, field: Option<String>) -> Result<Option<String>, Problem> {
    let header = ctx.data_opt::<Sender>().and_then(|sender| sender.idempotency_key.as_ref()).map(|key| key.0.clone());
    let refuse = |message: &str| Err(Problem::new(Code::BadInput, FIELD, message));
    match (header, field) {
        (Some(_), _) if mutations(ctx, &ctx.query_env.operation.node.selection_set.node) > 1 => {
            refuse("the header Idempotency-Key is for one mutation; give each of several a key in its input")
        }
        (Some(header), Some(field)) if header != field => {
            refuse("the header Idempotency-Key has another key; give one of them, or twice the same")
        }
        (header, field) => Ok(header.or(field)),
    }
}

/// The mutations that a request asks for, also those that a directive may leave out.
fn mutations(ctx: &Context<'_>, set: &SelectionSet) -> usize {
    let counts = set.items.iter().map(|selection| match &selection.node {
        Selection::Field(field) => usize::from(field.node.name.node != "__typename"),
        Selection::InlineFragment(fragment) => mutations(ctx, &fragment.node.selection_set.node),
        Selection::FragmentSpread(spread) => {
            let fragment = ctx.query_env.fragments.get(&spread.node.fragment_name.node);
            fragment.map_or(0, |fragment| mutations(ctx, &fragment.node.selection_set.node))
        }
    });
    counts.sum()
}

/// The hash of what a mutation asks for: its name and its arguments, whether written out or in variables, in whatever
/// order, without the key itself.
fn asked(ctx: &Context<'_>) -> Result<[u8; 32], Failure> {
    let field = ctx.field();
    let fault = |text: String| Failure::from(domain::Error::from(Fault::Internal(text)));
    let mut arguments = serde_json::Map::new();
    for (name, value) in field.arguments().map_err(|error| fault(error.message))? {
        let mut value = serde_json::to_value(value).map_err(|error| fault(error.to_string()))?;
        if let Value::Object(input) = &mut value {
            input.remove(FIELD);
        }
        arguments.insert(name.to_string(), value);
    }
    let mut arguments = Value::Object(arguments);
    arguments.sort_all_objects();
    Ok(secrets::sha256(format!("{} {arguments}", field.name()).as_bytes()))
}
