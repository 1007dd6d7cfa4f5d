//! JSON as strangers send it, held against what it may be before anything is made of it. Names of an object are there
//! once: readers differ in which of two counts, so that a proxy that checked a request may have read another amount than
//! we would. And there are only so many values, each of which takes many times its bytes.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::Malformed;

/// Values of a request, those within others counted. A thousand transactions may have a hundred each.
pub const MAX_VALUES: usize = 100_000;
/// How our `serde_json`, which keeps numbers exactly, shows one: as a map of this name.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads what was checked.
pub fn read(json: &[u8]) -> Result<Json, Malformed> {
    let wrong = Cell::new(Malformed("the body is not JSON in UTF-8"));
    let left = Cell::new(MAX_VALUES);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let checked = Checked { left: &left, wrong: &wrong }.deserialize(&mut reader);
    checked.and_then(|()| reader.end()).and_then(|()| serde_json::from_slice(json)).map_err(|_| wrong.get())
}

/// Anything at all, counted and dropped.
#[derive(Clone, Copy)]
struct Checked<'c> {
    left: &'c Cell<usize>,
    wrong: &'c Cell<Malformed>,
}

impl Checked<'_> {
    fn refuse<E: Error>(&self, why: &'static str) -> E {
        self.wrong.set(Malformed(why));
        E::custom(why)
    }
}

impl<'de> DeserializeSeed<'de> for Checked<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return Err(self.refuse("a request has at most 100000 values")),
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = ();

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            if name == NUMBER {
                // Counted as the one value that it is.
                self.left.set(self.left.get().saturating_add(1));
            }
            fields.next_value_seed(self)?;
            if !seen.insert(name) {
                return Err(self.refuse("the body has an object with the same name twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_in_its_own_object() {
        for once in ["1", "-1.5e3", "null", "[true, false]", r#"{"a":{"a":[{"a":1},{"a":"a"}]},"b":9007199254740993}"#]
        {
            assert!(read(once.as_bytes()).is_ok(), "{once}");
        }
        for twice in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"c":2,"\u0061":null}}]"#] {
            let refused = read(twice.as_bytes());
            assert_eq!(refused, Err(Malformed("the body has an object with the same name twice")), "{twice}");
        }
    }

    #[test]
    fn there_are_so_many_values_and_no_more() {
        for value in ["0", "1.5", "{}", "\"a\"", "null", "[]"] {
            let list = |count: usize| format!("[{}]", vec![value; count].join(","));
            assert!(read(list(MAX_VALUES - 1).as_bytes()).is_ok(), "with the list itself");
            let refused = read(list(MAX_VALUES).as_bytes());
            assert_eq!(refused, Err(Malformed("a request has at most 100000 values")), "{value}");
        }
    }

    #[test]
    fn what_follows_the_json_is_none() {
        for bad in ["{} {}", "1,", "", "{\"a\":1}x"] {
            assert_eq!(read(bad.as_bytes()), Err(Malformed("the body is not JSON in UTF-8")), "{bad}");
        }
    }
}
