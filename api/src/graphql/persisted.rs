//! Documents that are sent once and then named by their hash (Apollo's automatic persisted queries), and the list of
//! those that may run at all, where the operator has set one.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use domain::ids::TenantId;
use domain::secrets;
use moka::sync::Cache;
use serde_json::{Map, Value as Json};

use super::request::Incoming;

/// What the cache of documents holds, in bytes of their text.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// What an entry takes beside its text.
const ENTRY_BYTES: usize = 128;

type Hash = [u8; 32];

const NO_QUERY: Missing = Missing::Malformed("the request has no query");

/// Why a request's document cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// `extensions.persistedQuery` is not what it should be; says how.
    Malformed(&'static str),
    /// Nobody of this tenant has sent a document of this hash, or it was forgotten: send it with its text.
    Unknown,
    /// There is a list of allowed documents, and this one is not on it.
    NotAllowed,
}

/// The documents that this process knows.
pub struct Documents {
    /// By tenant, so that nobody learns what another tenant asks.
    sent: Cache<(Option<TenantId>, Hash), Arc<str>>,
    allowed: Option<HashMap<Hash, Arc<str>>>,
}

/// A document and, where its sender wants it kept, the hash to keep it under.
#[derive(Debug)]
pub struct Document {
    pub text: Arc<str>,
    keep: Option<Hash>,
}

impl Documents {
    /// `allowed` is the list of documents that may run; without it, any may.
    pub fn new(allowed: Option<AllowList>) -> Self {
        let weigh =
            |_: &(Option<TenantId>, Hash), text: &Arc<str>| u32::try_from(text.len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        let sent = Cache::builder().weigher(weigh).max_capacity(CACHE_BYTES).build();
        Self { sent, allowed: allowed.map(|list| list.0) }
    }

    /// The document that a request asks for.
    pub fn find(&self, tenant: Option<TenantId>, incoming: &Incoming) -> Result<Document, Missing> {
        let named = hash_of(&incoming.extensions)?;
        if let (Some(named), Some(text)) = (named, &incoming.query)
            && named != sha256(text)
        {
            return Err(Missing::Malformed("persistedQuery.sha256Hash is not the hash of query"));
        }
        if let Some(allowed) = &self.allowed {
            let hash = named.or_else(|| incoming.query.as_deref().map(sha256)).ok_or(NO_QUERY)?;
            let text = allowed.get(&hash).cloned().ok_or(Missing::NotAllowed)?;
            return Ok(Document { text, keep: None });
        }
        match (&incoming.query, named) {
            (Some(text), keep) => Ok(Document { text: text.as_str().into(), keep }),
            (None, Some(hash)) => {
                let text = self.sent.get(&(tenant, hash)).ok_or(Missing::Unknown)?;
                Ok(Document { text, keep: None })
            }
            (None, None) => Err(NO_QUERY),
        }
    }

    /// Keeps a document that its sender will name by its hash from now on. Only what was found to be within the
    /// limits is kept.
    pub fn keep(&self, tenant: Option<TenantId>, document: &Document) {
        if let Some(hash) = document.keep {
            self.sent.insert((tenant, hash), document.text.clone());
        }
    }
}

fn sha256(text: &str) -> Hash {
    secrets::sha256(text.as_bytes())
}

/// `{"persistedQuery": {"version": 1, "sha256Hash": "…"}}`.
fn hash_of(extensions: &Map<String, Json>) -> Result<Option<Hash>, Missing> {
    let Some(persisted) = extensions.get("persistedQuery").filter(|value| !value.is_null()) else { return Ok(None) };
    if persisted.get("version").and_then(Json::as_i64) != Some(1) {
        return Err(Missing::Malformed("persistedQuery.version is not 1"));
    }
    let hash = persisted.get("sha256Hash").and_then(Json::as_str).and_then(from_hex);
    hash.map(Some).ok_or(Missing::Malformed("persistedQuery.sha256Hash is no SHA-256 in hexadecimal"))
}

fn from_hex(text: &str) -> Option<Hash> {
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// The documents that may run, by their hash.
#[derive(Debug)]
pub struct AllowList(HashMap<Hash, Arc<str>>);

impl AllowList {
    /// Reads a file; the error says what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |error: &dyn std::fmt::Display| format!("SALDO_ALLOWED_QUERIES: {}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
        Self::parse(&text).map_err(|error| named(&error))
    }

    /// Reads a JSON object of hashes and documents, or a manifest as Apollo's tools write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| format!("it is not JSON ({error})"))?;
        let documents = if json.get("format").and_then(Json::as_str) == Some("apollo-persisted-query-manifest") {
            manifest(&json)?
        } else {
            let object = json.as_object().ok_or("it is neither a JSON object nor a persisted-query manifest")?;
            let pair = |(hash, text): (&String, &Json)| match text.as_str() {
                Some(text) => Ok((hash.clone(), text.to_owned())),
                None => Err(format!("the document of {hash} is no string")),
            };
            object.iter().map(pair).collect::<Result<_, String>>()?
        };
        let mut allowed = HashMap::with_capacity(documents.len());
        for (name, text) in documents {
            let hash = from_hex(&name).ok_or_else(|| format!("'{name}' is no SHA-256 in hexadecimal"))?;
            if hash != sha256(&text) {
                return Err(format!("{name} is not the SHA-256 of its document"));
            }
            super::execute::parse(&text).map_err(|error| format!("the document of {name}: {}", error.message))?;
            allowed.insert(hash, Arc::from(text));
        }
        Ok(Self(allowed))
    }
}

/// `{"format": …, "version": 1, "operations": [{"id": …, "body": …}]}`.
fn manifest(json: &Json) -> Result<Vec<(String, String)>, String> {
    if json.get("version").and_then(Json::as_i64) != Some(1) {
        return Err("the manifest's version is not 1".to_owned());
    }
    let operations = json.get("operations").and_then(Json::as_array).ok_or("the manifest has no operations")?;
    let text = |operation: &Json, field: &str| {
        let text = operation.get(field).and_then(Json::as_str).map(str::to_owned);
        text.ok_or_else(|| format!("an operation of the manifest has no {field}"))
    };
    operations.iter().map(|operation| Ok((text(operation, "id")?, text(operation, "body")?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hex(text: &str) -> String {
        sha256(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn incoming(query: Option<&str>, persisted: Json) -> Incoming {
        let Json::Object(extensions) = json!({ "persistedQuery": persisted }) else { unreachable!("an object") };
        Incoming { query: query.map(str::to_owned), extensions, ..Incoming::default() }
    }

    fn by_hash(query: Option<&str>, text: &str) -> Incoming {
        incoming(query, json!({ "version": 1, "sha256Hash": hex(text) }))
    }

    #[test]
    fn a_document_is_sent_once_and_then_named() {
        let (documents, acme, bolt) =
            (Documents::new(None), TenantId(uuid::Uuid::from_u128(1)), TenantId(uuid::Uuid::from_u128(2)));
        let found = |tenant, incoming: &Incoming| documents.find(tenant, incoming).map(|found| found.text.to_string());
        assert_eq!(found(Some(acme), &by_hash(None, "{ a }")), Err(Missing::Unknown));
        let sent = documents.find(Some(acme), &by_hash(Some("{ a }"), "{ a }")).expect("it is there");
        assert_eq!(found(Some(acme), &by_hash(None, "{ a }")), Err(Missing::Unknown), "kept only when it was good");
        documents.keep(Some(acme), &sent);
        assert_eq!(found(Some(acme), &by_hash(None, "{ a }")), Ok("{ a }".to_owned()));
        assert_eq!(found(Some(bolt), &by_hash(None, "{ a }")), Err(Missing::Unknown), "each tenant has its own");
        assert_eq!(found(None, &by_hash(None, "{ a }")), Err(Missing::Unknown));
        assert!(matches!(found(None, &by_hash(Some("{ b }"), "{ a }")), Err(Missing::Malformed(_))));
        for bad in [
            json!({}),
            json!(1),
            json!({ "version": 2, "sha256Hash": hex("a") }),
            json!({ "version": 1, "sha256Hash": "+f".repeat(32) }),
        ] {
            assert!(matches!(found(None, &incoming(Some("{ a }"), bad)), Err(Missing::Malformed(_))));
        }
        // One that its sender does not want kept is not.
        let plain = documents.find(None, &Incoming { query: Some("{ c }".to_owned()), ..Incoming::default() });
        documents.keep(None, &plain.expect("its text"));
        assert_eq!(found(None, &by_hash(None, "{ c }")), Err(Missing::Unknown));
    }

    #[test]
    fn the_cache_is_bounded_by_bytes() {
        let documents = Documents::new(None);
        for n in 0..40 {
            let text = format!("{{ a }} # {n} {}", "x".repeat(1024 * 1024));
            let document = documents.find(None, &by_hash(Some(&text), &text)).expect("its text");
            documents.keep(None, &document);
        }
        documents.sent.run_pending_tasks();
        assert!(documents.sent.weighted_size() <= CACHE_BYTES, "{}", documents.sent.weighted_size());
        assert!(documents.sent.entry_count() > 0);
    }

    #[test]
    fn only_what_is_on_the_list_runs() {
        let list = json!({ hex("{ a }"): "{ a }" }).to_string();
        let documents = Documents::new(Some(AllowList::parse(&list).expect("a list")));
        let find = |incoming: &Incoming| documents.find(None, incoming).map(|found| found.text.to_string());
        let text = |text: &str| Incoming { query: Some(text.to_owned()), ..Incoming::default() };
        assert_eq!(find(&by_hash(None, "{ a }")), Ok("{ a }".to_owned()));
        assert_eq!(find(&text("{ a }")), Ok("{ a }".to_owned()));
        assert_eq!(find(&text("{ a b }")), Err(Missing::NotAllowed));
        assert_eq!(find(&by_hash(Some("{ b }"), "{ b }")), Err(Missing::NotAllowed));
    }

    #[test]
    fn a_list_is_checked_when_it_is_read() {
        let manifest = |id: &str, body: &str| json!({ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [{ "id": id, "body": body, "name": "Q", "type": "query" }] });
        assert_eq!(AllowList::parse(&manifest(&hex("{ a }"), "{ a }").to_string()).expect("a list").0.len(), 1);
        for (bad, why) in [
            ("{".to_owned(), "not JSON"),
            ("[]".to_owned(), "neither"),
            (json!({ "00": "{ a }" }).to_string(), "no SHA-256"),
            (json!({ hex("{ a }"): "{ b }" }).to_string(), "not the SHA-256 of its document"),
            (json!({ hex("{ a }"): 1 }).to_string(), "no string"),
            (json!({ hex("{"): "{" }).to_string(), "syntax error"),
            (json!({ hex("[".repeat(100).as_str()): "[".repeat(100) }).to_string(), "nest"),
            (manifest("00", "{ a }").to_string(), "no SHA-256"),
            (json!({ "format": "apollo-persisted-query-manifest", "version": 2 }).to_string(), "version"),
            (json!({ "format": "apollo-persisted-query-manifest", "version": 1 }).to_string(), "operations"),
        ] {
            assert!(AllowList::parse(&bad).expect_err(why).contains(why), "{bad}");
        }
        let missing = std::env::temp_dir().join("saldo-no-such-list.json");
        assert!(AllowList::read(&missing).expect_err("no file").starts_with("SALDO_ALLOWED_QUERIES"));
    }
}
