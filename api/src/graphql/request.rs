//! A request as it comes over the wire, whatever the transport, and every way in which it can be malformed.

use async_graphql::{Name, Value, Variables};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::limits::MAX_BATCH;

pub mod checked;

/// One request for one operation, not looked into yet.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// The document; absent where `extensions.persistedQuery` stands for it.
    pub query: Option<String>,
    /// Which operation of the document runs.
    pub operation_name: Option<String>,
    pub variables: Variables,
    pub extensions: Map<String, Json>,
}

/// What a body holds.
#[derive(Debug)]
pub enum Body {
    One(Box<Incoming>),
    /// At least one and at most [`MAX_BATCH`].
    Batch(Vec<Incoming>),
}

/// Parameters of a URL, as text.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Parameters {
    pub query: Option<String>,
    pub operation_name: Option<String>,
    pub variables: Option<String>,
    pub extensions: Option<String>,
}

/// Why something is no GraphQL request, in words for its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Reads a JSON body: one request, or an array of them.
pub fn from_body(body: &[u8]) -> Result<Body, Malformed> {
    if body.is_empty() {
        return Err(Malformed("the body is missing"));
    }
    match checked::read(body)? {
        Json::Array(requests) if requests.is_empty() => Err(Malformed("the batch is empty")),
        Json::Array(requests) if requests.len() > MAX_BATCH => Err(Malformed("a batch has at most 5 requests")),
        Json::Array(requests) => requests.into_iter().map(from_json).collect::<Result<_, _>>().map(Body::Batch),
        request => from_json(request).map(|request| Body::One(Box::new(request))),
    }
}

/// Reads `{"query": …, "operationName": …, "variables": …, "extensions": …}`. Other members are ignored, as the
/// specification wants it.
pub fn from_json(request: Json) -> Result<Incoming, Malformed> {
    let Json::Object(mut request) = request else { return Err(Malformed("a request is a JSON object")) };
    let mut incoming = Incoming {
        query: match request.remove("query") {
            None | Some(Json::Null) => None,
            Some(Json::String(query)) => Some(query),
            Some(_) => return Err(Malformed("query is no string")),
        },
        ..Incoming::default()
    };
    incoming.operation_name = match request.remove("operationName") {
        None | Some(Json::Null) => None,
        Some(Json::String(name)) => Some(name),
        Some(_) => return Err(Malformed("operationName is no string")),
    };
    incoming.variables = match request.remove("variables") {
        None | Some(Json::Null) => Variables::default(),
        Some(Json::Object(variables)) => Variables::from_value(Value::Object(object(variables))),
        Some(_) => return Err(Malformed("variables is no object")),
    };
    incoming.extensions = match request.remove("extensions") {
        None | Some(Json::Null) => Map::new(),
        Some(Json::Object(extensions)) => extensions,
        Some(_) => return Err(Malformed("extensions is no object")),
    };
    named(incoming)
}

/// Reads the parameters of a URL. An empty one is the same as none.
pub fn from_parameters(parameters: Parameters) -> Result<Incoming, Malformed> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let read = |text: String| checked::read(text.as_bytes()).ok();
    let map = |text: Option<String>, wrong| match given(text).map(read) {
        None | Some(Some(Json::Null)) => Ok(Map::new()),
        Some(Some(Json::Object(map))) => Ok(map),
        Some(_) => Err(Malformed(wrong)),
    };
    named(Incoming {
        query: given(parameters.query),
        operation_name: given(parameters.operation_name),
        variables: Variables::from_value(Value::Object(object(map(
            parameters.variables,
            "the parameter variables is no JSON object",
        )?))),
        extensions: map(parameters.extensions, "the parameter extensions is no JSON object")?,
    })
}

/// A request says what it asks for: by its text, or by the hash of a text that was sent before.
fn named(incoming: Incoming) -> Result<Incoming, Malformed> {
    if incoming.query.is_none() && !incoming.extensions.contains_key("persistedQuery") {
        return Err(Malformed("the request has no query"));
    }
    Ok(incoming)
}

/// By hand, because our `serde_json` keeps numbers exactly: reading them the library's way makes objects of them.
fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Boolean(flag),
        Json::Number(number) => Value::Number(number),
        Json::String(text) => Value::String(text),
        Json::Array(items) => Value::List(items.into_iter().map(value).collect()),
        Json::Object(fields) => Value::Object(object(fields)),
    }
}

fn object(fields: Map<String, Json>) -> async_graphql::indexmap::IndexMap<Name, Value> {
    fields.into_iter().map(|(name, field)| (Name::new(name), value(field))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(body: &[u8]) -> Incoming {
        let Ok(Body::One(one)) = from_body(body) else { panic!("{}", String::from_utf8_lossy(body)) };
        *one
    }

    #[test]
    fn numbers_stay_numbers() {
        let incoming = one(br#"{"query": "{ a }", "variables": {"n": 10, "d": 9007199254740993, "l": [{"x": 1.5}]}}"#);
        let json = serde_json::to_string(&incoming.variables).unwrap();
        assert_eq!(json, r#"{"d":9007199254740993,"l":[{"x":1.5}],"n":10}"#);
        assert!(matches!(incoming.variables.get("n"), Some(Value::Number(number)) if number.as_i64() == Some(10)));
        let parameters = Parameters {
            query: Some("{a}".into()),
            variables: Some(r#"{"d":9007199254740993}"#.into()),
            ..Parameters::default()
        };
        let json = serde_json::to_string(&from_parameters(parameters).unwrap().variables).unwrap();
        assert_eq!(json, r#"{"d":9007199254740993}"#);
    }

    #[test]
    fn every_malformation_has_its_name() {
        let deep = format!(r#"{{"query":"{{a}}","variables":{}}}"#, "[".repeat(100_000));
        for (body, why) in [
            (&b""[..], "the body is missing"),
            (b"{", "the body is not JSON in UTF-8"),
            (b"\xff", "the body is not JSON in UTF-8"),
            (b"{\"query\":\"\xc3\x28\"}", "the body is not JSON in UTF-8"),
            (deep.as_bytes(), "the body is not JSON in UTF-8"),
            (br#"{"query":"{a}","query":"{b}"}"#, "the body has an object with the same name twice"),
            (b"1", "a request is a JSON object"),
            (b"[1]", "a request is a JSON object"),
            (b"[]", "the batch is empty"),
            (b"{}", "the request has no query"),
            (br#"{"query":null}"#, "the request has no query"),
            (br#"{"query":1}"#, "query is no string"),
            (br#"{"query":"{a}","operationName":["a"]}"#, "operationName is no string"),
            (br#"{"query":"{a}","variables":[1]}"#, "variables is no object"),
            (br#"{"query":"{a}","extensions":"x"}"#, "extensions is no object"),
        ] {
            let Err(malformed) = from_body(body) else { panic!("{why}") };
            assert_eq!(malformed.0, why);
        }
        let parameters = |variables: &str| Parameters {
            query: Some("{a}".to_owned()),
            variables: Some(variables.to_owned()),
            ..Parameters::default()
        };
        for bad in ["[1]", "{", "1", "\"{}\""] {
            assert!(from_parameters(parameters(bad)).is_err(), "{bad}");
        }
        assert!(from_parameters(parameters("")).is_ok(), "empty is the same as none");
        assert!(from_parameters(Parameters { query: Some(String::new()), ..Parameters::default() }).is_err());
    }

    #[test]
    fn what_is_optional_may_be_null_and_what_is_unknown_is_ignored() {
        let incoming = one(br#"{"query":"{a}","operationName":null,"variables":null,"extensions":null,"more":1}"#);
        assert!(incoming.operation_name.is_none() && incoming.extensions.is_empty());
        let by_hash = one(br#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"00"}}}"#);
        assert!(by_hash.query.is_none());
    }

    #[test]
    fn a_batch_is_small() {
        let batch = |length: usize| format!("[{}]", vec![r#"{"query":"{a}"}"#; length].join(","));
        assert!(matches!(from_body(batch(MAX_BATCH).as_bytes()), Ok(Body::Batch(all)) if all.len() == MAX_BATCH));
        assert!(from_body(batch(MAX_BATCH + 1).as_bytes()).is_err());
        assert!(from_body(br#"[{"query":"{a}"},{}]"#).is_err(), "each of them is whole");
    }
}
