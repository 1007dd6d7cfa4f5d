//! Names of JSON objects. Readers differ in which of two equal names counts, so that a proxy that checked a request may
//! have read another amount than we would.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Whether no object in this JSON, however deep, has a name twice.
pub fn names(json: &[u8]) -> bool {
    serde_json::from_slice::<Unique>(json).is_ok()
}

/// Anything at all, read and dropped.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Self)
    }
}

/// A number that is kept exactly comes as a map of one name.
impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            fields.next_value::<Self>()?;
            if !seen.insert(name) {
                return Err(A::Error::custom("a name is there twice"));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_in_its_own_object() {
        for once in ["1", "-1.5e3", "null", "[true, false]", r#"{"a":{"a":[{"a":1},{"a":"a"}]},"b":9007199254740993}"#]
        {
            assert!(names(once.as_bytes()), "{once}");
        }
        for twice in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"c":2,"\u0061":null}}]"#] {
            assert!(!names(twice.as_bytes()), "{twice}");
        }
    }
}
