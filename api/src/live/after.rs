//! Takes `after` out of a subscription: those who resume from different places still ask the same.

use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, Value, Variables};
use async_graphql_value::Value as Given;

use crate::graphql::execute::Prepared;
use crate::graphql::limits;

/// The cursor that a subscription resumes from. Where a variable gives it and nothing else, its value is taken out.
pub fn take(prepared: &mut Prepared) -> Option<String> {
    let incoming = prepared.incoming();
    let asked = Asked {
        document: prepared.document(),
        operation: incoming.operation_name.as_deref(),
        text: prepared.text(),
        variables: &incoming.variables,
    };
    let (after, variable) = find(&asked)?;
    if let Some(name) = variable {
        prepared.set_variable(name, Value::String(String::new()));
    }
    Some(after)
}

/// The name of the one field that a subscription asks for.
pub fn root(prepared: &Prepared) -> Option<&str> {
    let document = prepared.document();
    let operation = &limits::operation(document, prepared.incoming().operation_name.as_deref()).ok()?.node;
    Some(root_field(&operation.selection_set.node, document, 0)?.name.node.as_str())
}

struct Asked<'a> {
    document: &'a ExecutableDocument,
    operation: Option<&'a str>,
    text: &'a str,
    variables: &'a Variables,
}

/// The cursor, and the variable that has it where it means nothing else.
fn find(asked: &Asked<'_>) -> Option<(String, Option<Name>)> {
    let operation = &limits::operation(asked.document, asked.operation).ok()?.node;
    let field = root_field(&operation.selection_set.node, asked.document, 0)?;
    let (_, value) = field.arguments.iter().find(|(name, _)| name.node == "after")?;
    match &value.node {
        Given::String(text) => Some((text.clone(), None)),
        Given::Variable(name) => {
            let text = given(asked.variables, operation, name)?;
            let used_once = asked.text.matches(&format!("${name}")).count() == 2;
            Some((text, used_once.then(|| name.clone())))
        }
        _ => None,
    }
}

fn given(variables: &Variables, operation: &OperationDefinition, name: &Name) -> Option<String> {
    let defined = operation.variable_definitions.iter().find(|defined| defined.node.name.node == *name)?;
    let default = || defined.node.default_value.as_ref().map(|default| &default.node);
    match variables.get(name).or_else(default)? {
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// The one field of a subscription, also behind fragments; a document that was admitted nests few of those.
fn root_field<'d>(set: &'d SelectionSet, document: &'d ExecutableDocument, depth: usize) -> Option<&'d Field> {
    if depth > 20 {
        return None;
    }
    set.items.iter().find_map(|selection| match &selection.node {
        Selection::Field(field) => Some(&field.node),
        Selection::InlineFragment(inline) => root_field(&inline.node.selection_set.node, document, depth + 1),
        Selection::FragmentSpread(spread) => {
            let fragment = document.fragments.get(&spread.node.fragment_name.node)?;
            root_field(&fragment.node.selection_set.node, document, depth + 1)
        }
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    /// The variables that are left, and the cursor.
    fn taken(query: &str, variables: serde_json::Value) -> (String, Option<String>) {
        let document = parse_query(query).expect("it parses");
        let mut variables = Variables::from_json(variables);
        let asked = Asked { document: &document, operation: None, text: query, variables: &variables };
        let Some((after, variable)) = find(&asked) else { return (String::new(), None) };
        if let Some(name) = variable {
            variables.insert(name, Value::String(String::new()));
        }
        (serde_json::to_string(&variables).expect("JSON"), Some(after))
    }

    #[test]
    fn who_resumes_from_different_places_asks_the_same() {
        let query = "subscription($c: String, $p: ID) { settlementUpdated(after: $c, partnerId: $p) { cursor } }";
        let one = taken(query, json!({ "c": "a", "p": "x" }));
        let other = taken(query, json!({ "c": "b", "p": "x" }));
        assert_eq!((one.1.as_deref(), other.1.as_deref()), (Some("a"), Some("b")));
        assert_eq!(one.0, other.0);
        assert_ne!(one.0, taken(query, json!({ "c": "a", "p": "y" })).0);
    }

    #[test]
    fn the_place_is_found_wherever_it_is_written() {
        let literal = taken(r#"subscription { settlementUpdated(after: "a") { cursor } }"#, json!({}));
        assert_eq!(literal.1.as_deref(), Some("a"));
        let spread = "subscription S($c: String = \"d\") { ...F } fragment F on Subscription { settlementUpdated(after: $c) { cursor } }";
        assert_eq!(taken(spread, json!({})).1.as_deref(), Some("d"));
        assert_eq!(taken(spread, json!({ "c": null })).1, None);
        let circle = "subscription { ...F } fragment F on Subscription { ...F }";
        assert_eq!(taken(circle, json!({})).1, None);
        let twice = "subscription($c: String) { settlementUpdated(after: $c, settlementId: $c) { cursor } }";
        assert_eq!(taken(twice, json!({ "c": "a" })), (r#"{"c":"a"}"#.to_owned(), Some("a".to_owned())));
    }
}
