//! From the body of a request to the body of its response: what is checked before the library sees it, and what is
//! put right after.

use async_graphql::parser::types::{ExecutableDocument, Selection};
use async_graphql::{Name, Request, Response, ServerError, Value, Variables};
use domain::Domain;
use serde_json::{Map, Value as Json};

use super::errors::{Failure, give_codes, refusal};
use super::order::in_order;
use super::waves::Waves;
use super::{Schema, Session, loaders};

/// Brackets within brackets. The library's parser recurses with them, and a few thousand end the process.
const MAX_NESTING: usize = 64;
/// What one may ask without having signed in. Everything else, introspection included, is refused before it runs.
const ANONYMOUS: [&str; 5] = ["signIn", "refreshSession", "signOut", "acceptToken", "__typename"];

/// Why a body is no GraphQL request.
pub struct Malformed(pub &'static str);

/// Reads `{"query": …, "operationName": …, "variables": …}`.
pub fn parse(body: &[u8]) -> Result<Request, Malformed> {
    let body = serde_json::from_slice(body).map_err(|_| Malformed("the body is not JSON"))?;
    let Json::Object(mut body) = body else { return Err(Malformed("the body is no single GraphQL request")) };
    let Some(Json::String(query)) = body.remove("query") else { return Err(Malformed("the body has no query")) };
    if nests_too_deep(&query) {
        return Err(Malformed("the query nests too deep"));
    }
    let mut request = Request::new(query);
    request.operation_name = match body.remove("operationName") {
        None | Some(Json::Null) => None,
        Some(Json::String(name)) => Some(name),
        Some(_) => return Err(Malformed("operationName is no string")),
    };
    request.variables = match body.remove("variables") {
        None | Some(Json::Null) => Variables::default(),
        Some(Json::Object(variables)) => Variables::from_value(Value::Object(object(variables))),
        Some(_) => return Err(Malformed("variables is no object")),
    };
    Ok(request)
}

/// Runs a request as the one who sent it. The result is the body of the response.
pub async fn execute(schema: &Schema, domain: &Domain, session: Session, mut request: Request) -> Json {
    // A query that does not parse is no secret from anybody; executing it says what is wrong.
    if matches!(session, Session::Anonymous)
        && request.parsed_query().is_ok_and(|document| !asks_only_to_get_in(document))
    {
        return body(refusal("UNAUTHENTICATED", "sign in first"));
    }
    let mut waves = Waves::default();
    if let Session::Caller(scoped) = &session {
        let loaders;
        (loaders, waves) = loaders::new((**scoped).clone());
        request = request.data(loaders);
    }
    let document = request.parsed_query().ok().cloned();
    let operation = request.operation_name.clone();
    let request = request.data(session).data(domain.clone());
    let mut response = waves.drive(schema.execute(request)).await;
    if let Some(document) = document {
        response.data = in_order(response.data, &document, operation.as_deref());
    }
    body(response)
}

/// The response to a request that was not run.
pub fn refused(code: &str, message: &str) -> Json {
    body(refusal(code, message))
}

/// The response to a request whose sender could not even be looked up.
pub fn failed(failure: Failure) -> Json {
    let error = async_graphql::Error::from(failure);
    let error = ServerError { extensions: error.extensions, ..ServerError::new(error.message, None) };
    body(Response::from_errors(vec![error]))
}

fn body(mut response: Response) -> Json {
    // An error before execution has no path, and then the specification wants no `data` at all.
    let not_run = response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty());
    give_codes(&mut response);
    let mut body = Map::new();
    if !response.errors.is_empty() {
        body.insert("errors".to_owned(), serde_json::to_value(&response.errors).unwrap_or_default());
    }
    if !not_run {
        body.insert("data".to_owned(), serde_json::to_value(&response.data).unwrap_or_default());
    }
    Json::Object(body)
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

fn asks_only_to_get_in(document: &ExecutableDocument) -> bool {
    document.operations.iter().all(|(_, operation)| {
        operation.node.selection_set.node.items.iter().all(|selection| match &selection.node {
            Selection::Field(field) => ANONYMOUS.contains(&field.node.name.node.as_str()),
            Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
        })
    })
}

/// Counts brackets outside of strings and comments, before anything parses them.
fn nests_too_deep(query: &str) -> bool {
    let (mut rest, mut depth) = (query.as_bytes(), 0_usize);
    while let [first, after @ ..] = rest {
        rest = match first {
            b'(' | b'[' | b'{' => {
                depth += 1;
                after
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                after
            }
            b'#' => skip_until(after, |rest| rest[0] == b'\n' || rest[0] == b'\r', 1),
            b'"' if after.starts_with(b"\"\"") => skip_block_string(&after[2..]),
            b'"' => skip_string(after),
            _ => after,
        };
        if depth > MAX_NESTING {
            return true;
        }
    }
    false
}

fn skip_until(mut rest: &[u8], end: impl Fn(&[u8]) -> bool, length: usize) -> &[u8] {
    while !rest.is_empty() && !end(rest) {
        rest = &rest[1..];
    }
    rest.get(length..).unwrap_or_default()
}

/// A string ends at its quote, or broken at the end of its line; then the rest counts as it stands.
fn skip_string(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = match rest {
            [b'\\', _, after @ ..] => after,
            [b'"' | b'\n' | b'\r', after @ ..] => return after,
            [_, after @ ..] => after,
            [] => return rest,
        };
    }
}

fn skip_block_string(mut rest: &[u8]) -> &[u8] {
    loop {
        if let Some(after) = rest.strip_prefix(b"\\\"\"\"") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix(b"\"\"\"") {
            return after;
        } else if let [_, after @ ..] = rest {
            rest = after;
        } else {
            return rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_counted_outside_of_strings_and_comments() {
        let open = "[".repeat(64);
        let brackets = "[".repeat(100);
        for fine in [
            open.clone(),
            "[]".repeat(1000),
            format!("{{ f(a: \"{brackets}\") }}"),
            format!("{{ f(a: \"\\\"{brackets}\") }}"),
            format!("{{ f(a: \"\"\"{brackets} \" \"\" \\\"\"\" {brackets}\"\"\") }}"),
            format!("# {brackets}\n{{ f }}"),
            format!("{{ f(a: \"\") }} # {brackets}"),
        ] {
            assert!(!nests_too_deep(&fine), "{fine}");
        }
        for deep in [
            format!("{open}["),
            "[".repeat(2000),
            "{".repeat(100_000),
            format!("\"\" {brackets}"),
            format!("\"broken\n{brackets}"),
            format!("# comment\r{brackets}"),
            format!("\"\"\"a\"\"\" {brackets}"),
            format!("\"\\\\\" {brackets}"),
        ] {
            assert!(nests_too_deep(&deep), "{deep}");
        }
    }

    #[test]
    fn a_body_is_one_request_and_its_numbers_stay_numbers() {
        let request = parse(br#"{"query": "{ a }", "variables": {"n": 10, "d": 9007199254740993, "l": [{"x": 1.5}]}}"#);
        let variables = request.map_err(|malformed| malformed.0).unwrap().variables;
        let json = serde_json::to_string(&variables).unwrap();
        assert_eq!(json, r#"{"d":9007199254740993,"l":[{"x":1.5}],"n":10}"#);
        assert!(matches!(variables.get("n"), Some(Value::Number(number)) if number.as_i64() == Some(10)));
        for bad in [&b"[]"[..], b"", b"{}", b"\xff", br#"[{"query":"{ a }"}]"#, br#"{"query":1}"#] {
            assert!(parse(bad).is_err());
        }
        assert!(parse(br#"{"query":"{ a }","variables":[1]}"#).is_err());
        assert!(parse(br#"{"query":"{ a }","operationName":1}"#).is_err());
        assert!(parse(format!(r#"{{"query":"{}"}}"#, "[".repeat(2000)).as_bytes()).is_err());
    }
}
