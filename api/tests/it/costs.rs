//! What a request costs, before it runs: a list counts its rows.

use std::collections::BTreeMap;

use api::graphql::{Mutation, Query};
use async_graphql::EmptySubscription;
use async_graphql::extensions::Analyzer;
use serde_json::Value;

use crate::shape::{Shape, is_list, list, named, text};

/// A way from a root to a type: what stands before and after the fields of that type.
#[derive(Clone)]
struct Way {
    before: String,
    after: String,
}

impl Way {
    fn on(&self, field: &str) -> Self {
        Self { before: format!("{}{field} {{ ", self.before), after: format!(" }}{}", self.after) }
    }
}

/// The shortest way to each type that has one.
fn ways(shape: &Shape) -> BTreeMap<String, Way> {
    let mut ways = BTreeMap::new();
    let mut next = vec![];
    for (root, operation) in [("Query", "query"), ("Mutation", "mutation")] {
        next.push((root.to_owned(), Way { before: format!("{operation} {{ "), after: " }".to_owned() }));
    }
    while !next.is_empty() {
        let mut after = Vec::new();
        for (name, way) in next {
            if ways.contains_key(&name) {
                continue;
            }
            for field in shape.fields(&name).iter().filter(|field| shape.leads_on(field)) {
                let called = format!("{}{}", text(field, "name"), arguments(shape, field));
                after.push((text(named(&field["type"]), "name").to_owned(), way.on(&called)));
            }
            ways.insert(name, way);
        }
        next = after;
    }
    ways
}

const FIRST: usize = 7;

fn arguments(shape: &Shape, field: &Value) -> String {
    let pages = list(field, "args").iter().any(|arg| text(arg, "name") == "first");
    shape.arguments(field, &if pages { format!("first: {FIRST}") } else { String::new() })
}

type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// What one field more of a type adds to the cost of the request, at the end of this way.
async fn weight(shape: &Shape, schema: &Schema, name: &str, way: &Way) -> usize {
    let (mut name, mut way, mut rows) = (name, way.clone(), 1);
    let leaf = loop {
        let fields = shape.fields(name);
        if let Some(leaf) = fields.iter().find(|field| !shape.leads_on(field) && list(field, "args").is_empty()) {
            break text(leaf, "name");
        }
        // A type without plain fields: one of a field's that is no list weighs the same.
        let plain = |field: &&Value| !is_list(&field["type"]) && !has_pages(field) && list(field, "args").is_empty();
        // Or of a list's, of which each row does.
        let of_rows =
            |field: &&Value| is_list(&field["type"]) && shape.leads_on(field) && list(field, "args").is_empty();
        let field = fields.iter().find(plain).or_else(|| fields.iter().find(of_rows));
        let Some(field) = field else { return 1 };
        rows *= if is_list(&field["type"]) { 10 } else { 1 };
        way = way.on(text(field, "name"));
        name = text(named(&field["type"]), "name");
    };
    let cost = async |fields: String| {
        let query = format!("{}{fields}{}", way.before, way.after);
        // It is counted and then refused, because nobody has signed in.
        let response = schema.execute(&query).await;
        let analysis = response.extensions.get("analyzer").unwrap_or_else(|| panic!("{query}: {:?}", response.errors));
        let analysis = serde_json::to_value(analysis).expect("JSON");
        usize::try_from(analysis["complexity"].as_u64().expect("a cost")).expect("a cost")
    };
    (cost(format!("a: {leaf} b: {leaf}")).await - cost(format!("a: {leaf}")).await) / rows
}

fn has_pages(field: &Value) -> bool {
    text(named(&field["type"]), "name").ends_with("Connection")
}

#[tokio::test]
async fn every_list_counts_its_rows() {
    let shape = Shape::read().await;
    let schema = Schema::build(Query::default(), Mutation::default(), EmptySubscription).extension(Analyzer).finish();
    let ways = ways(&shape);
    let (mut uncounted, mut lists) = (Vec::new(), 0);
    for (name, way) in &ways {
        let outer =
            if ["Query", "Mutation"].contains(&name.as_str()) { 1 } else { weight(&shape, &schema, name, way).await };
        assert!(outer > 0, "{name}");
        for field in shape.fields(name).iter().filter(|field| shape.leads_on(field)) {
            let pages = has_pages(field);
            // Its connection has counted a page's rows.
            let in_page = name.ends_with("Connection");
            if !(pages || is_list(&field["type"]) && !in_page) {
                continue;
            }
            lists += 1;
            let inner = {
                let below = way.on(&format!("{}{}", text(field, "name"), arguments(&shape, field)));
                weight(&shape, &schema, text(named(&field["type"]), "name"), &below).await
            };
            let three = text(named(&field["type"]), "name") == "AnomalyReason";
            let expected = if pages { outer * FIRST } else { outer * if three { 3 } else { 10 } };
            let days = text(named(&field["type"]), "name") == "SourceDay" && name == "Source";
            if inner != expected && !days {
                uncounted.push(format!(
                    "{name}.{}: a field of its rows weighs {inner}, not {expected}",
                    text(field, "name")
                ));
            }
        }
    }
    assert!(lists > 60, "{lists} lists were found");
    assert!(uncounted.is_empty(), "\n{}", uncounted.join("\n"));
}
