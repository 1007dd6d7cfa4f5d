//! Puts the fields of an answer in the order in which the query asks for them, as the specification wants it. The
//! library lists them in the order in which they happen to be done.

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Name, Value};

use super::limits;

/// Response keys in the order of their first mention, each with its own below.
#[derive(Default)]
struct Shape(IndexMap<Name, Shape>);

/// The data of an executed operation, in the operation's order.
pub(super) fn in_order(data: Value, document: &ExecutableDocument, operation: Option<&str>) -> Value {
    let selected = limits::operation(document, operation).ok();
    let Some(operation) = selected.filter(|_| data != Value::Null) else { return data };
    let mut shape = Shape::default();
    // It was executed, so its fragments are neither circular nor more than the limits allow.
    shape.take(&operation.node.selection_set.node, document);
    shape.put(data)
}

impl Shape {
    fn take(&mut self, set: &SelectionSet, document: &ExecutableDocument) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let below = self.0.entry(field.node.response_key().node.clone()).or_default();
                    below.take(&field.node.selection_set.node, document);
                }
                Selection::InlineFragment(fragment) => self.take(&fragment.node.selection_set.node, document),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                        self.take(&fragment.node.selection_set.node, document);
                    }
                }
            }
        }
    }

    fn put(&self, value: Value) -> Value {
        match value {
            Value::List(items) => Value::List(items.into_iter().map(|item| self.put(item)).collect()),
            Value::Object(mut fields) => {
                let mut ordered = IndexMap::with_capacity(fields.len());
                for (key, below) in &self.0 {
                    if let Some(field) = fields.swap_remove(key) {
                        ordered.insert(key.clone(), below.put(field));
                    }
                }
                ordered.extend(fields);
                Value::Object(ordered)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{Request, value};

    use super::*;

    fn ordered(query: &str, operation: Option<&str>, data: Value) -> String {
        let mut request = Request::new(query);
        let document = request.parsed_query().expect("it parses");
        serde_json::to_string(&in_order(data, document, operation)).expect("JSON")
    }

    #[test]
    fn fields_come_in_the_order_of_the_query() {
        let data = value!({ "b": [{ "y": 1, "x": 2 }, null], "c": "z", "a": null });
        assert_eq!(ordered("{ a b { x y } c }", None, data.clone()), r#"{"a":null,"b":[{"x":2,"y":1},null],"c":"z"}"#);
        let fragments = "query Q { ...F c ... on T { b { y } } } query R { a } fragment F on T { b { x } a: other }";
        assert_eq!(ordered(fragments, Some("Q"), data.clone()), r#"{"b":[{"x":2,"y":1},null],"a":null,"c":"z"}"#);
        assert_eq!(ordered("{ c }", None, value!(null)), "null");
        assert_eq!(ordered("query Q { c a }", None, value!({ "a": 1, "c": 2 })), r#"{"c":2,"a":1}"#, "the only one");
    }
}
