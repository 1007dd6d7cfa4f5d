//! Lists in pages: newest first, by the time-ordered id of their rows, or by what else tells their rows apart.

use uuid::Uuid;

use crate::error::{Code, Problem};

/// The longest page; a longer wish is cut to it.
pub const MAX_PAGE: u64 = 100;
pub const DEFAULT_PAGE: u64 = 50;

/// A wish for one page. `K` is what the list is sorted by, and tells each of its rows from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageRequest<K = Uuid> {
    pub first: u64,
    /// The key of the last row of the page before.
    pub after: Option<K>,
}

impl<K> Default for PageRequest<K> {
    fn default() -> Self {
        Self { first: DEFAULT_PAGE, after: None }
    }
}

impl<K> PageRequest<K> {
    pub fn new(first: Option<i64>, after: Option<K>) -> Result<Self, Problem> {
        let first = match first {
            None => DEFAULT_PAGE,
            Some(first) => {
                u64::try_from(first).ok().filter(|first| *first > 0).map(|first| first.min(MAX_PAGE)).ok_or_else(
                    || {
                        Problem::new(
                            Code::BadInput,
                            "first",
                            format!("{first} is not a number of rows from 1 to {MAX_PAGE}"),
                        )
                    },
                )?
            }
        };
        Ok(Self { first, after })
    }
}

#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub has_next: bool,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), has_next: false }
    }
}

impl<T> Page<T> {
    /// From rows that were read one past the page's end.
    pub fn cut<K>(mut items: Vec<T>, request: &PageRequest<K>) -> Self {
        let first = usize::try_from(request.first).unwrap_or(usize::MAX);
        let has_next = items.len() > first;
        items.truncate(first);
        Self { items, has_next }
    }

    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), has_next: self.has_next }
    }
}

/// Narrows a select to one page and one row more: from the highest key down, or `ascending`.
#[macro_export]
macro_rules! paged {
    ($select:expr, $key:expr, $request:expr, ascending) => {{
        use sea_orm::{ColumnTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
        let select = $select.order_by_asc($key).limit($request.first + 1);
        match $request.after {
            Some(after) => select.filter($key.gt(after)),
            None => select,
        }
    }};
    ($select:expr, $id:expr, $request:expr) => {{
        use sea_orm::{ColumnTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
        let select = $select.order_by_desc($id).limit($request.first + 1);
        match $request.after {
            Some(after) => select.filter($id.lt(after)),
            None => select,
        }
    }};
}
