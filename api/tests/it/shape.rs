//! [`Shape`]: the schema as its own introspection tells it, for tests that go through all of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const TYPE: &str = "kind name ofType { kind name ofType { kind name ofType { kind name } } }";

pub struct Shape {
    pub types: BTreeMap<String, Value>,
}

/// The named type at the end of lists and non-nulls.
pub fn named(kind: &Value) -> &Value {
    if kind["ofType"].is_null() { kind } else { named(&kind["ofType"]) }
}

pub fn is_list(kind: &Value) -> bool {
    kind["kind"] == "LIST" || (kind["kind"] == "NON_NULL" && is_list(&kind["ofType"]))
}

pub fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

pub fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

impl Shape {
    pub async fn read() -> Self {
        let query = format!(
            "{{ __schema {{ types {{ name kind description enumValues {{ name description }}
               inputFields {{ name description defaultValue type {{ {TYPE} }} }}
               fields {{ name description type {{ {TYPE} }}
               args {{ name description defaultValue type {{ {TYPE} }} }} }} }} }} }}"
        );
        let response = api::graphql::schema().execute(query).await;
        let data = serde_json::to_value(&response).expect("JSON")["data"]["__schema"].take();
        let types = list(&data, "types").iter().filter(|kind| !text(kind, "name").starts_with("__"));
        Self { types: types.map(|kind| (text(kind, "name").to_owned(), kind.clone())).collect() }
    }

    pub fn fields(&self, name: &str) -> &[Value] {
        list(&self.types[name], "fields")
    }

    /// Whether a field leads to fields of its own.
    pub fn leads_on(&self, field: &Value) -> bool {
        matches!(text(named(&field["type"]), "kind"), "OBJECT" | "INTERFACE")
    }

    /// The arguments of a field that it needs, written out, with `more` among them.
    pub fn arguments(&self, field: &Value, more: &str) -> String {
        let needed = list(field, "args").iter().filter(|arg| needs_value(arg));
        let written = needed.map(|arg| format!("{}: {}", text(arg, "name"), self.value(&arg["type"])));
        let all: Vec<String> = written.chain((!more.is_empty()).then(|| more.to_owned())).collect();
        if all.is_empty() { String::new() } else { format!("({})", all.join(", ")) }
    }

    /// A literal of an input type.
    fn value(&self, kind: &Value) -> String {
        match text(kind, "kind") {
            "NON_NULL" => self.value(&kind["ofType"]),
            "LIST" => format!("[{}]", self.value(&kind["ofType"])),
            "ENUM" => text(&list(&self.types[text(kind, "name")], "enumValues")[0], "name").to_owned(),
            "INPUT_OBJECT" => {
                let fields = list(&self.types[text(kind, "name")], "inputFields");
                let mut needed: Vec<&Value> = fields.iter().filter(|field| needs_value(field)).collect();
                // One of its fields is to be set, and none of them by itself.
                if needed.is_empty() && text(kind, "name") == "BaseInput" {
                    needed.extend(fields.first());
                }
                let written =
                    needed.iter().map(|field| format!("{}: {}", text(field, "name"), self.value(&field["type"])));
                format!("{{ {} }}", written.collect::<Vec<_>>().join(", "))
            }
            _ => match text(kind, "name") {
                "Int" => "1".to_owned(),
                "Boolean" => "false".to_owned(),
                "Decimal" => "\"1\"".to_owned(),
                "Date" => "\"2021-11-20\"".to_owned(),
                "DateTime" => "\"2021-11-20T00:00:00Z\"".to_owned(),
                _ => "\"x\"".to_owned(),
            },
        }
    }

    /// All fields of a type that lead no further and need no arguments.
    pub fn leaves(&self, name: &str) -> String {
        let leaves = self.fields(name).iter().filter(|field| !self.leads_on(field));
        let names = leaves.filter(|field| !list(field, "args").iter().any(needs_value));
        names.map(|field| text(field, "name")).chain(["__typename"]).collect::<Vec<_>>().join(" ")
    }
}

fn needs_value(arg: &Value) -> bool {
    arg["type"]["kind"] == "NON_NULL" && arg["defaultValue"].is_null()
}

/// What a query has no value for.
pub fn nothing() -> Value {
    json!(Map::new())
}
