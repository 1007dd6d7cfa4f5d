//! Two tenants that have everything, and everything that one can ask for: nothing of the one is in any byte that the
//! other receives, and nothing of a partner in any that another partner's user does.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroU32;

use api::app::Settings;
use api::rates::{self, Budget};
use serde_json::{Value, json};

use crate::crawl::{self, Seen, Shown};
use crate::habitat::{Habitat, Words, furnish, member};
use crate::shape::{Shape, named, text};
use crate::support::TestServer;

/// Whose things nobody else may see. It is made last, so that whatever shows too much shows it first.
pub const CANARY: Words = Words { tenant: "canary", partners: ["canary-jay", "canary-wren"], stakes: [43_087, 54_109] };
/// Who asks. Its second partner's things are not for its first one's user.
pub const FINCH: Words = Words { tenant: "finch", partners: ["robin-finch", "magpie-finch"], stakes: [21_043, 32_065] };

/// Fields that have nothing in them here, and why.
const EMPTY: [(&str, &str, &str); 7] = [
    ("BooksCheck", "findings", "the books balance, as invariant 9 of ARCHITECTURE.md says they always do"),
    ("SalesBase", "_", "stands in for no field at all"),
    ("Detector", "model", MODEL),
    ("DetectorModel", "createdAt", MODEL),
    ("DetectorModel", "firstOccurredAt", MODEL),
    ("DetectorModel", "lastOccurredAt", MODEL),
    ("DetectorModel", "transactionCount", MODEL),
];

const MODEL: &str = "a tenant has a model of its own after a thousand transactions; it has no text";

/// Texts that no client writes, or not freely, by the end of `Type.field`, and why.
const NOT_FREE: [(&str, &str); 25] = [
    ("AnomalyReason.code", "names of features"),
    ("AnomalyReason.text", "one sentence for each feature, with its figures"),
    ("AnomalyCase.player", "the hash of `Player.pseudonym`"),
    ("ursor", "places in lists and among events; what they are made of is read by `Foreign::absent_from`"),
    (".timeZone", "names of the IANA database"),
    ("Promotion.from", "a time"),
    ("Promotion.until", "a time"),
    ("Mapping.delimiter", "one sign"),
    ("Mapping.quote", "one sign"),
    ("Mapping.encoding", "a label of the WHATWG standard"),
    ("ContractClauseText.title", "one for each section"),
    ("ContractWarning.field", "names of fields"),
    ("UserError.code", "from the catalogue"),
    ("UserError.field", "names of fields"),
    ("RateTableFinding.field", "names of fields"),
    ("Difference.field", "names of fields"),
    ("Blocker.remedy", "one sentence for each code"),
    ("Player.pseudonym", "a keyed hash, looked for as an id"),
    ("Transaction.player", "the same hash"),
    ("RingFencedPlayer.player", "the same hash"),
    ("Viewer.eventCursor", "a place among events"),
    ("FormulaStep.of", "of the parts of settlements, which are all that lists lead to: how they are rounded"),
    ("FormulaStep.path", "names of fields"),
    ("FormulaStep.text", "one sentence for each kind, with its figures"),
    ("FormulaValue.name", "from the code"),
];

/// A server that lets a caller ask as much as it likes.
pub async fn roomy() -> TestServer {
    let most = Budget { points: NonZeroU32::MAX, seconds: NonZeroU32::MIN };
    let rates = rates::Settings { caller: most, tenant: most, ..rates::Settings::default() };
    TestServer::with(&Settings { rates, ..Settings::default() }).await
}

/// What somebody must not receive.
pub struct Foreign {
    word: &'static str,
    /// Hexadecimal digits without prefix.
    ids: BTreeSet<String>,
    figures: BTreeSet<String>,
    /// Pieces of answers that have nothing in them.
    harmless: RefCell<HashSet<Vec<u8>>>,
}

/// The hexadecimal digits of an id.
fn digits(id: &str) -> &str {
    id.split_once('_').map_or(id, |(_, digits)| digits)
}

impl Foreign {
    /// What its owner has seen of it, but for what all partners of a tenant share.
    pub fn of(seen: &Seen, word: &'static str, shared: &[&str]) -> Self {
        let of_its_own = seen.ids.iter().filter(|(kind, _)| !shared.contains(&kind.as_str()));
        let ids: BTreeSet<String> = of_its_own.flat_map(|(_, ids)| ids).map(|id| digits(id).to_owned()).collect();
        let figures = seen.amounts.iter().map(|amount| figure(amount)).filter(|figure| is_figure(figure));
        let figures: BTreeSet<String> = figures.collect();
        assert!(ids.len() >= 20 && figures.len() >= 10, "{ids:?} {figures:?} of {word} prove little");
        Self { word, ids, figures, harmless: RefCell::default() }
    }

    /// Its word, its ids and its figures are not in these bytes, written out or in base64.
    pub fn absent_from(&self, bytes: &str, what: &str) {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || byte > 0x7f;
        for piece in bytes.as_bytes().split(|byte| !is_word(*byte)).filter(|piece| piece.len() >= 4) {
            // Most pieces come again and again.
            if self.harmless.borrow().contains(piece) {
                continue;
            }
            let text = String::from_utf8_lossy(piece);
            if let Some(found) = self.found_in(&text) {
                panic!("{what} shows {found} of {} in {text}: {bytes}", self.word);
            }
            self.harmless.borrow_mut().insert(piece.to_vec());
        }
    }

    fn found_in(&self, piece: &str) -> Option<String> {
        let decoded = domain::secrets::from_base64url(piece).unwrap_or_default();
        let hex: String = decoded.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = String::from_utf8_lossy(&decoded).into_owned();
        [piece, &hex, &text].into_iter().find_map(|form| self.written_in(&form.to_lowercase()))
    }

    fn written_in(&self, lower: &str) -> Option<String> {
        if lower.contains(self.word) {
            return Some(lower.to_owned());
        }
        // Ids are written with and without dashes.
        for run in lower.split(|c: char| !c.is_ascii_hexdigit() && c != '-') {
            let run: String = run.chars().filter(|c| *c != '-').collect();
            let ids = (0..(run.len() + 1).saturating_sub(32)).map(|at| &run[at..at + 32]);
            if let Some(id) = ids.into_iter().find(|id| self.ids.contains(*id)) {
                return Some(id.to_owned());
            }
        }
        // Some id, whoever's, has any digits in it.
        let is_id = |token: &str| {
            token.chars().filter(char::is_ascii_hexdigit).count() >= 32
                && token.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
        };
        let tokens = lower.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-');
        let tokens = tokens.filter(|token| !is_id(token));
        let mut numbers = tokens.flat_map(|token| token.split(|c: char| !c.is_ascii_digit() && c != '.')).map(figure);
        numbers.find(|number| self.figures.contains(number))
    }
}

/// A number without zeros at its end.
fn figure(number: &str) -> String {
    let number = number.trim_start_matches('-');
    let bare = if number.contains('.') { number.trim_end_matches('0') } else { number };
    bare.trim_matches('.').to_owned()
}

/// Long enough that nothing else looks like it.
fn is_figure(number: &str) -> bool {
    number.split('.').next().is_some_and(|whole| whole.len() >= 4)
}

/// All that somebody sees of what it may, which has this word.
pub async fn seen_by(server: &TestServer, shape: &Shape, token: &str, word: &str) -> Seen {
    let mut seen = Seen::default();
    for document in crawl::queries(shape) {
        let (_, answer) = server.graphql_bytes(token, &document, &json!({})).await;
        let refused = |error: &Value| error["extensions"]["code"] == "FORBIDDEN";
        let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(errors.iter().all(refused), "{document}: {answer}");
        seen.add(&answer["data"], word);
    }
    seen
}

/// Each field of each type that a query can reach was seen with something in it, and each free text with the word.
fn assert_complete(shape: &Shape, seen: &Seen) {
    let excused = |kind: &str, field: &str| EMPTY.iter().any(|(of, name, _)| (*of, *name) == (kind, field));
    let fixed = |place: &str| NOT_FREE.iter().any(|(end, _)| place.ends_with(end));
    let mut lacking = Vec::new();
    for (kind, field) in crawl::reachable(shape) {
        let shown = seen.fields.get(&(kind.clone(), field.clone()));
        let of = shape.fields(&kind).iter().find(|of| text(of, "name") == field).expect("a field");
        let place = format!("{kind}.{field}");
        let least = match () {
            () if text(named(&of["type"]), "name") == "String" && !fixed(&place) => Shown::Marked,
            () => Shown::Something,
        };
        let excused = excused(&kind, &field);
        if !excused && shown.is_none_or(|shown| *shown < least) {
            lacking.push(format!("{place} is {least:?} nowhere, but {shown:?}"));
        }
        assert!(!excused || shown.is_none_or(|shown| *shown == Shown::Empty), "{place} needs no excuse");
    }
    assert!(lacking.is_empty(), "{lacking:#?}");
}

/// Everybody of the tenant who asks, by name and token.
pub async fn askers(server: &TestServer, own: &Habitat) -> Vec<(&'static str, String)> {
    let slug = FINCH.tenant;
    vec![
        ("the administrator", own.ada.clone()),
        ("risk", member(server, &own.ada, slug, "risk", "RISK", Value::Null).await),
        ("a reader", member(server, &own.ada, slug, "reader", "READ_ONLY", Value::Null).await),
        ("the partner's user", own.partners[0].user.clone()),
        ("the source's key", own.partners[0].key.clone()),
    ]
}

/// Asks for everything, and for each thing by its id: what it has itself, and what it has not.
async fn asks_for_everything(
    server: &TestServer,
    shape: &Shape,
    who: &str,
    token: &str,
    own: &Seen,
    foreign: &Foreign,
    not: &Seen,
) {
    for document in crawl::queries(shape) {
        let (bytes, _) = server.graphql_bytes(token, &document, &json!({})).await;
        foreign.absent_from(&bytes, &format!("{who}, {document}"));
    }
    for kind in crawl::node_types(shape) {
        let documents = crawl::of_node(shape, kind);
        let first = |seen: &Seen| seen.ids.get(kind).and_then(|ids| ids.first().cloned());
        for document in first(own).is_some().then_some(&documents).into_iter().flatten() {
            let (bytes, _) = server.graphql_bytes(token, document, &json!({ "id": first(own) })).await;
            foreign.absent_from(&bytes, &format!("{who}, {document}"));
        }
        let Some(id) = first(not).filter(|id| foreign.ids.contains(digits(id))) else { continue };
        let (bytes, answer) = server.graphql_bytes(token, &documents[0], &json!({ "id": id })).await;
        assert_eq!(answer["data"], json!({ "node": null }), "{who}, {kind}");
        foreign.absent_from(&bytes, &format!("{who}, {kind}"));
    }
}

#[tokio::test]
async fn nothing_of_a_tenant_is_in_what_another_asks_for() {
    let (server, shape) = (roomy().await, Shape::read().await);
    let own = furnish(&server, &FINCH).await;
    let other = furnish(&server, &CANARY).await;
    let not = seen_by(&server, &shape, &other.ada, CANARY.tenant).await;
    assert_complete(&shape, &not);
    let foreign = Foreign::of(&not, CANARY.tenant, &[]);
    let seen = seen_by(&server, &shape, &own.ada, FINCH.tenant).await;
    assert_complete(&shape, &seen);
    for (who, token) in askers(&server, &own).await {
        asks_for_everything(&server, &shape, who, &token, &seen, &foreign, &not).await;
    }
}

#[tokio::test]
async fn nothing_of_a_partner_is_in_what_another_ones_user_asks_for() {
    let (server, shape) = (roomy().await, Shape::read().await);
    let own = furnish(&server, &FINCH).await;
    for (mine, other) in [(0, 1), (1, 0)] {
        let word = FINCH.partners[other].split('-').next().expect("a word");
        let not = seen_by(&server, &shape, &own.partners[other].user, word).await;
        // Products are everybody's.
        let foreign = Foreign::of(&not, word, &["Product"]);
        let seen = seen_by(&server, &shape, &own.partners[mine].user, FINCH.partners[mine]).await;
        for (who, token) in [("the user", &own.partners[mine].user), ("the key", &own.partners[mine].key)] {
            let who = format!("{who} of {}", FINCH.partners[mine]);
            asks_for_everything(&server, &shape, &who, token, &seen, &foreign, &not).await;
        }
    }
}
