//! Lists as Relay connections: `edges { cursor node } nodes pageInfo`, newest first.

use async_graphql::OutputType;
use async_graphql::connection::{Connection, CursorType, Edge};
use domain::page::{MAX_PAGE, Page, PageRequest};
use domain::secrets::{base64url, from_base64url};
use domain::{Code, Problem};
use uuid::Uuid;

use super::errors::Failure;

/// A row's place in a list, opaque to clients.
pub struct Cursor(Uuid);

impl CursorType for Cursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let bytes = from_base64url(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| Self(Uuid::from_bytes(bytes))).ok_or("this is no cursor of this list")
    }

    fn encode_cursor(&self) -> String {
        base64url(self.0.as_bytes())
    }
}

/// The arguments of a list.
pub fn request(first: Option<i32>, after: Option<&str>) -> Result<PageRequest, Failure> {
    let after = after.map(Cursor::decode_cursor).transpose();
    let after = after.map_err(|message| Problem::new(Code::BadInput, "after", message))?;
    Ok(PageRequest::new(first.map(i64::from), after.map(|cursor| cursor.0))?)
}

/// A page of the core's rows as a connection; `id` is what the list is sorted by.
pub fn connection<T, N>(page: Page<T>, id: impl Fn(&T) -> Uuid) -> Connection<Cursor, N>
where
    N: From<T> + OutputType,
{
    let mut connection = Connection::new(false, page.has_next);
    connection.edges.extend(page.items.into_iter().map(|row| Edge::new(Cursor(id(&row)), N::from(row))));
    connection
}

/// Far more than any request may cost, and so little that the library can add up all fields of a document without
/// overflowing (it adds unchecked).
const COST_CEILING: usize = 1 << 40;

/// What a list counts in the cost of a request: `#[graphql(complexity = "cost(first, child_complexity)")]`. It never
/// trusts `first`, and saturates.
pub fn cost(first: Option<i32>, child_complexity: usize) -> usize {
    let most = usize::try_from(MAX_PAGE).unwrap_or(usize::MAX);
    let rows = first.and_then(|first| usize::try_from(first).ok()).map_or(most, |first| first.clamp(1, most));
    rows.saturating_mul(child_complexity).saturating_add(1).min(COST_CEILING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_costs_trust_nobody() {
        let cursor = Cursor(Uuid::from_u128(9));
        assert_eq!(request(None, Some(&cursor.encode_cursor())).unwrap().after, Some(Uuid::from_u128(9)));
        for bad in ["", "?", "AAAA"] {
            assert!(request(None, Some(bad)).is_err());
        }
        assert!(request(Some(0), None).is_err());
        assert_eq!(cost(Some(10), 3), 31);
        assert_eq!(cost(Some(-1), 3), 301);
        assert_eq!(cost(Some(i32::MAX), 3), 301);
        assert_eq!(cost(None, usize::MAX), COST_CEILING);
    }
}
