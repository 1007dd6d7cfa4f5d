//! Everything that a caller can ask for: full selections of every root field, made from the schema, in documents that
//! the limits let through. And what was seen in the answers, by type and field.

use std::collections::{BTreeMap, BTreeSet};

use poem::Request;
use poem::http::Method;
use serde_json::{Value, json};

use crate::shape::{Shape, is_list, list, named, text};
use crate::support::TestServer;

/// Words of a document; each is a token or two, of which a document has at most 2,000.
const MOST_WORDS: usize = 800;
/// Of the cost of a document for one row of its root list, so that it can ask for ten.
const MOST_POINTS: usize = 2_000;
/// Of one field for one row; lists within lists within lists end here. They are asked for from a nearer root, too.
const HEAVIEST: usize = 1_000;
/// Less than a request may cost, because some fields cost more than one point.
const BUDGET: usize = 20_000;
/// Rows of a list with pages that is not at the root.
const NESTED_ROWS: usize = 5;
/// A week with transactions, days without, and days that were signed off.
pub const DAYS: &str = "from: \"2021-11-18\", until: \"2021-11-24\"";
const FIRST: &str = "{FIRST}";

/// A field as documents call it, and what is selected below it.
struct Branch {
    called: String,
    points: usize,
    below: Vec<Self>,
}

impl Branch {
    fn leaf(called: &str, points: usize) -> Self {
        Self { called: called.to_owned(), points, below: Vec::new() }
    }

    fn write(&self, to: &mut String) {
        to.push_str(&self.called);
        to.push(' ');
        if !self.below.is_empty() {
            to.push_str("{ ");
            self.below.iter().for_each(|branch| branch.write(to));
            to.push_str("} ");
        }
    }

    fn cost(&self) -> usize {
        self.points + self.below.iter().map(Self::cost).sum::<usize>()
    }
}

/// Things that are asked for in full from their own lists, and by their ids from here.
const ELSEWHERE: [(&str, &str); 2] = [("SettlementHold", "AnomalyCase"), ("AnomalousTransaction", "Transaction")];

/// What a field costs that leads on to nothing: one point, but for what is read from elsewhere.
fn points(name: &str) -> usize {
    if name == "rawRecord" { 100 } else { 1 }
}

/// All fields of a type and of what they lead to, until a type comes again.
fn tree(shape: &Shape, kind: &str, above: &[&str], weight: usize) -> Vec<Branch> {
    let mut branches = vec![Branch::leaf("__typename", 0)];
    for field in shape.fields(kind) {
        let (name, target) = (text(field, "name"), text(named(&field["type"]), "name"));
        if !shape.leads_on(field) {
            // What is too dear this far down is asked for from a nearer root, too.
            if weight * points(name) <= MOST_POINTS {
                branches.push(Branch::leaf(&format!("{name}{}", shape.arguments(field, "")), weight * points(name)));
            }
            continue;
        }
        let pages = target.ends_with("Connection");
        // A page's rows are counted by its connection, and days one by one.
        let rows = match () {
            () if pages && kind == "Query" => 1,
            () if pages => NESTED_ROWS,
            () if is_list(&field["type"]) && !kind.ends_with("Connection") => 10,
            () => 1,
        };
        let weight = weight * rows;
        let arguments = match () {
            () if pages && kind == "Query" => format!("(first: {FIRST})"),
            () if pages => format!("(first: {NESTED_ROWS})"),
            () if target == "SourceDay" && kind == "Source" => format!("({DAYS})"),
            () => shape.arguments(field, ""),
        };
        if weight > HEAVIEST {
            continue;
        }
        let again = above.contains(&target) || target == kind || ELSEWHERE.contains(&(kind, target));
        let below = if again || kind.ends_with("Edge") {
            let leaves = shape.leaves(target);
            let cheap = |leaf: &&str| weight * points(leaf) <= MOST_POINTS;
            let leaves = leaves.split(' ').filter(|leaf| !again || ["id", "__typename"].contains(leaf)).filter(cheap);
            leaves.map(|leaf| Branch::leaf(leaf, weight * points(leaf))).collect()
        } else {
            tree(shape, target, &[above, &[kind]].concat(), weight)
        };
        branches.push(Branch { called: format!("{name}{arguments}"), points: weight, below });
    }
    branches
}

/// Cuts a selection into documents: where it is too much, each branch has a document of its own.
/// `above` is what the fields around it cost.
fn cut(before: &str, after: &str, above: usize, branches: &[Branch], into: &mut Vec<String>) {
    let mut whole = String::new();
    branches.iter().for_each(|branch| branch.write(&mut whole));
    let cost: usize = branches.iter().map(Branch::cost).sum();
    if cost <= MOST_POINTS && whole.split_whitespace().count() <= MOST_WORDS {
        let first = (BUDGET / (above + cost).max(1)).clamp(1, 100).to_string();
        into.push(format!("{before}{whole}{after}").replace(FIRST, &first));
        return;
    }
    let (leaves, on): (Vec<&Branch>, Vec<&Branch>) = branches.iter().partition(|branch| branch.below.is_empty());
    let leaves: Vec<Branch> = leaves.into_iter().map(|leaf| Branch::leaf(&leaf.called, leaf.points)).collect();
    if on.is_empty() {
        // Each of them is light enough, so that halves end.
        let (one, other) = leaves.split_at(leaves.len() / 2);
        cut(before, after, above, one, into);
        return cut(before, after, above, other, into);
    }
    cut(before, after, above, &leaves, into);
    for branch in on {
        let before = format!("{before}{} {{ __typename ", branch.called);
        cut(&before, &format!("}} {after}"), above + branch.points, &branch.below, into);
    }
}

/// The types that `node` finds.
pub fn node_types(shape: &Shape) -> Vec<&str> {
    let has_id = |kind: &&Value| list(kind, "fields").iter().any(|field| text(field, "name") == "id");
    let objects = shape.types.values().filter(|kind| text(kind, "kind") == "OBJECT");
    objects.filter(has_id).map(|kind| text(kind, "name")).collect()
}

/// Root fields that name one thing: `matrix.rs` looks at what they say of another's.
const NAMED: [&str; 3] = ["node", "settlementLineExplanation", "transactionExplanation"];

/// Documents that ask for all of the root fields of `Query` but those.
pub fn queries(shape: &Shape) -> Vec<String> {
    let mut documents = Vec::new();
    let roots = tree(shape, "Query", &[], 1);
    let is_named = |root: &Branch| NAMED.iter().any(|name| root.called.starts_with(&format!("{name}(")));
    for root in roots.iter().filter(|root| !root.below.is_empty() && !is_named(root)) {
        cut(&format!("{{ {} {{ __typename ", root.called), "} }", 1, &root.below, &mut documents);
    }
    documents
}

/// Documents that ask for all of what has an id of this type.
pub fn of_node(shape: &Shape, kind: &str) -> Vec<String> {
    let mut documents = Vec::new();
    let before = format!("query($id: ID!) {{ node(id: $id) {{ __typename id ... on {kind} {{ ");
    cut(&before, "} } }", 2, &tree(shape, kind, &[], 1), &mut documents);
    documents
}

/// Selections of all that a payload or an event can show.
pub fn of_kind(shape: &Shape, kind: &str) -> Vec<String> {
    let mut selections = Vec::new();
    cut("", "", 0, &tree(shape, kind, &[], 1), &mut selections);
    selections
}

/// The types and fields that a query can reach.
pub fn reachable(shape: &Shape) -> BTreeSet<(String, String)> {
    let (mut found, mut next) = (BTreeSet::new(), vec!["Query"]);
    next.extend(node_types(shape));
    let mut kinds = BTreeSet::new();
    while let Some(kind) = next.pop() {
        if !kinds.insert(kind) || kind == "Node" {
            continue;
        }
        for field in shape.fields(kind) {
            if kind != "Query" {
                found.insert((kind.to_owned(), text(field, "name").to_owned()));
            }
            if shape.leads_on(field) && !(kind == "Query" && NAMED.contains(&text(field, "name"))) {
                next.push(text(named(&field["type"]), "name"));
            }
        }
    }
    found
}

/// Best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    Empty,
    Something,
    /// The word of whoever it is of is in it.
    Marked,
}

/// What was in answers.
#[derive(Default)]
pub struct Seen {
    pub fields: BTreeMap<(String, String), Shown>,
    /// By type, the ids of things.
    pub ids: BTreeMap<String, BTreeSet<String>>,
    pub amounts: BTreeSet<String>,
}

impl Seen {
    pub fn add(&mut self, value: &Value, word: &str) {
        match value {
            Value::Object(fields) => {
                if let Some(kind) = fields.get("__typename").and_then(Value::as_str) {
                    self.add_fields(kind, fields, word);
                }
                fields.values().for_each(|field| self.add(field, word));
            }
            Value::Array(items) => items.iter().for_each(|item| self.add(item, word)),
            _ => {}
        }
    }

    fn add_fields(&mut self, kind: &str, fields: &serde_json::Map<String, Value>, word: &str) {
        for (name, value) in fields {
            let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            let marked = !value.is_object() && value.to_string().to_lowercase().contains(word);
            let shown = match (empty, marked) {
                (true, _) => Shown::Empty,
                (_, true) => Shown::Marked,
                _ => Shown::Something,
            };
            let best = self.fields.entry((kind.to_owned(), name.clone())).or_insert(shown);
            *best = shown.max(*best);
        }
        for id in ["id", "pseudonym"].iter().filter_map(|name| fields.get(*name)?.as_str()) {
            self.ids.entry(kind.to_owned()).or_default().insert(id.to_owned());
        }
        if let Some(amount) = fields.get("amount").and_then(Value::as_str).filter(|_| kind == "Money") {
            self.amounts.insert(amount.to_owned());
        }
    }
}

impl TestServer {
    /// All that comes back for a request, headers and body, in the order of the wire; and the body alone.
    pub async fn bytes(&self, request: Request) -> (String, String) {
        let response = self.send(request).await;
        let mut all = format!("{}\n", response.status());
        for (name, value) in response.headers() {
            all += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
        let body = response.into_body().into_bytes().await.expect("a body");
        let body = String::from_utf8_lossy(&body).into_owned();
        (format!("{all}\n{body}"), body)
    }

    /// The same for a GraphQL request.
    pub async fn graphql_bytes(&self, token: &str, query: &str, variables: &Value) -> (String, Value) {
        let request = Request::builder().method(Method::POST).uri_str("/graphql").content_type("application/json");
        let request = request.header("authorization", format!("Bearer {token}"));
        let body = json!({ "query": query, "variables": variables }).to_string();
        let (all, body) = self.bytes(request.body(body)).await;
        let body = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{query}: {all}"));
        (all, body)
    }
}
