//! Lists as Relay connections: `edges { cursor node } nodes pageInfo`, newest first or by what tells their rows apart;
//! and what lists cost.

use async_graphql::OutputType;
use async_graphql::connection::{Connection, CursorType, Edge};
use domain::page::{DEFAULT_PAGE, MAX_PAGE, Page, PageRequest};
use domain::secrets::{base64url, from_base64url};
use domain::{Code, Problem};
use uuid::Uuid;

use super::errors::Failure;

/// A row's place in a list, opaque to clients: the bytes of its key.
pub struct Cursor(Vec<u8>);

impl CursorType for Cursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        from_base64url(text).map(Self).ok_or("this is no cursor of this list")
    }

    fn encode_cursor(&self) -> String {
        base64url(&self.0)
    }
}

/// What a list is sorted by.
pub trait Key: Sized {
    fn bytes(self) -> Vec<u8>;
    /// `None` for what is a key of another list.
    fn read(bytes: Vec<u8>) -> Option<Self>;
}

impl Key for Uuid {
    fn bytes(self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn read(bytes: Vec<u8>) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_bytes)
    }
}

/// A player's pseudonym.
impl Key for [u8; 16] {
    fn bytes(self) -> Vec<u8> {
        self.to_vec()
    }

    fn read(bytes: Vec<u8>) -> Option<Self> {
        bytes.try_into().ok()
    }
}

/// The code of an asset.
impl Key for String {
    fn bytes(self) -> Vec<u8> {
        self.into_bytes()
    }

    fn read(bytes: Vec<u8>) -> Option<Self> {
        Self::from_utf8(bytes).ok()
    }
}

/// The cursor of the row with this key.
pub fn cursor<K: Key>(key: K) -> Cursor {
    Cursor(key.bytes())
}

/// The same as clients write it.
pub fn cursor_text<K: Key>(key: K) -> String {
    cursor(key).encode_cursor()
}

/// The arguments of a list.
pub fn request<K: Key>(first: Option<i32>, after: Option<&str>) -> Result<PageRequest<K>, Failure> {
    let read = |text| K::read(Cursor::decode_cursor(text)?.0).ok_or("this is no cursor of this list");
    let after = after.map(read).transpose();
    let after = after.map_err(|message| Problem::new(Code::BadInput, "after", message))?;
    Ok(PageRequest::new(first.map(i64::from), after)?)
}

/// A page of the core's rows as a connection; `key` is what the list is sorted by.
pub fn connection<T, N, K: Key>(page: Page<T>, key: impl Fn(&T) -> K) -> Connection<Cursor, N>
where
    N: From<T> + OutputType,
{
    let mut connection = Connection::new(false, page.has_next);
    connection.edges.extend(page.items.into_iter().map(|row| Edge::new(Cursor(key(&row).bytes()), N::from(row))));
    connection
}

/// Far more than any request may cost, and so little that the library can add up all fields of a document without
/// overflowing (it adds unchecked).
const COST_CEILING: usize = 1 << 40;

/// What a list without pages costs for each of its rows' fields: most have fewer rows than that.
const SHORT: usize = 10;

/// What a list without pages counts in the cost of a request: `#[graphql(complexity = "short(child_complexity)")]`.
pub fn short(child_complexity: usize) -> usize {
    SHORT.saturating_mul(child_complexity).saturating_add(1).min(COST_CEILING)
}

/// What a list with pages counts in the cost of a request: `#[graphql(complexity = "cost(first, child_complexity)")]`.
/// It never trusts `first`, and saturates.
pub fn cost(first: Option<i32>, child_complexity: usize) -> usize {
    let rows = match first {
        None => DEFAULT_PAGE,
        Some(first) => u64::try_from(first).map_or(MAX_PAGE, |first| first.clamp(1, MAX_PAGE)),
    };
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    rows.saturating_mul(child_complexity).saturating_add(1).min(COST_CEILING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_costs_trust_nobody() {
        let cursor = Cursor(Uuid::from_u128(9).bytes()).encode_cursor();
        assert_eq!(request(None, Some(&cursor)).unwrap().after, Some(Uuid::from_u128(9)));
        let code = Cursor("BIT".to_owned().into_bytes()).encode_cursor();
        assert_eq!(request(None, Some(&code)).unwrap().after, Some("BIT".to_owned()));
        for bad in ["", "?", "AAAA"] {
            assert!(request::<Uuid>(None, Some(bad)).is_err());
            assert!(request::<[u8; 16]>(None, Some(bad)).is_err());
        }
        assert!(request::<Uuid>(Some(0), None).is_err());
        assert_eq!((short(3), short(usize::MAX)), (31, COST_CEILING));
        assert_eq!(cost(Some(10), 3), 31);
        assert_eq!(cost(Some(-1), 3), 301);
        assert_eq!(cost(Some(i32::MAX), 3), 301);
        assert_eq!((cost(None, 3), cost(None, usize::MAX)), (151, COST_CEILING));
    }
}
