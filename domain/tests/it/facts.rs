//! What the tests of facts and settlements start from: [`World`], a tenant with a source, two products and facts of
//! January to March 2024 in EUR, and the figures that must agree whatever way the facts came.

// Each module takes what it needs.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Scoped;
use domain::contracts::NewContract;
use domain::contracts::contract::Terms;
use domain::ids::{ContractId, PartnerId, SettlementId, SourceId};
use domain::page::PageRequest;
use domain::partners::NewPartner;
use domain::settlements::settlement::{CarriedBase, Line, LineCode};
use domain::settlements::{Settlement, SettlementFilter, Statement};
use domain::sources::NewSource;
use domain::sources::mapping::Mapping;
use domain::time::Timestamp;
use domain::transactions::transaction::Draft;
use domain::transactions::{RecordOutcome, What};
use serde_json::{Value, json};

use crate::support::*;

/// The mapping of a source whose files are `id,kind,amount,at,product`.
pub const CSV: &str = r#"{
  "format": "csv", "encoding": "utf-8", "timeZone": "UTC",
  "emit": [{ "when": "kind != 'SKIP'", "kind": "kind", "externalId": "id", "amount": "amount", "currency": "'EUR'",
             "occurredAt": "at", "product": "product" }]
}"#;

pub struct World {
    pub app: Arc<TestApp>,
    pub tenant: TestTenant,
    pub admin: Scoped,
    pub partner: PartnerId,
    pub source: SourceId,
}

impl World {
    pub async fn new() -> Self {
        Self::in_app(Arc::new(TestApp::new().await), "acme").await
    }

    /// One more tenant with things of the same names.
    pub async fn in_app(app: Arc<TestApp>, slug: &str) -> Self {
        let tenant = app.tenant(slug).await;
        let admin = tenant.admin.clone();
        for (code, category) in [("dice", "table"), ("slots", "slot")] {
            let mut facts = domain_product(code);
            facts.category = Some(category.to_owned());
            admin.create_product(code, facts).await.expect("a product");
        }
        let partner = partner(&admin, "Studio").await;
        let source = source(&admin, partner, "feed").await;
        Self { app, tenant, admin, partner, source }
    }

    /// The same again, empty.
    pub async fn twin(&self, slug: &str) -> Self {
        Self::in_app(self.app.clone(), slug).await
    }

    /// A contract in force, 10 % of GGR by month in UTC from 2024 on; `change` replaces top-level fields.
    pub async fn contract(&self, name: &str, change: Value) -> ContractId {
        self.contract_with(self.partner, name, change).await
    }

    pub async fn contract_with(&self, partner: PartnerId, name: &str, change: Value) -> ContractId {
        let new = NewContract { partner, name: name.to_owned(), terms: terms(change) };
        let id = self.admin.create_contract(new).await.expect("a contract").0.id;
        self.admin.activate_contract_version(id, 1).await.expect("it is in force");
        id
    }

    /// Puts another version in force.
    pub async fn amend(&self, contract: ContractId, change: Value) {
        let draft = self.admin.draft_contract_version(contract, terms(change)).await.expect("a draft");
        self.admin.activate_contract_version(contract, draft.version).await.expect("it is in force");
    }

    pub async fn record(&self, drafts: &[Draft]) -> Vec<RecordOutcome> {
        self.admin.record_transactions(self.source, drafts.to_vec()).await.expect("outcomes")
    }

    /// Records what must all be new.
    pub async fn recorded(&self, drafts: &[Draft]) {
        for outcome in self.record(drafts).await {
            assert_eq!(shown(&outcome), "RECORDED");
        }
    }

    /// In the order of their periods.
    pub async fn settlements(&self, contract: ContractId) -> Vec<Settlement> {
        let filter = SettlementFilter { contract: Some(contract), ..SettlementFilter::default() };
        let mut rows = self
            .admin
            .settlements(&filter, PageRequest { first: 10_000, after: None })
            .await
            .expect("settlements")
            .items;
        rows.sort_by_key(|row| row.period_start);
        rows
    }

    pub async fn statement(&self, id: SettlementId) -> Statement {
        self.admin.statements(&[id]).await.expect("a statement").remove(&id).expect("of this settlement")
    }

    /// Closes the earliest open settlement.
    pub async fn close_next(&self, contract: ContractId) -> Settlement {
        let rows = self.settlements(contract).await;
        let open = rows.iter().find(|row| row.state == "OPEN").expect("an open settlement");
        self.admin.close_settlement(open.id).await.expect("it closes")
    }

    /// The lines of the settlement whose period has this begin, each as `code version class amount`.
    pub async fn lines(&self, contract: ContractId, month: &str) -> Vec<String> {
        let begin = month_begin(month);
        let rows = self.settlements(contract).await;
        let row = rows.iter().find(|row| row.period_start == begin).expect("a settlement of this month");
        self.statement(row.id).await.lines.iter().map(line).collect()
    }

    /// Runs all of it at once while nobody can write, so that what it writes gathers into few batches. Reads that
    /// begin after those of `all` are done after them; then writing goes on.
    pub async fn gathered<T>(&self, all: Vec<impl Future<Output = T>>) -> Vec<T> {
        self.app.database.stop_writing().await;
        let reads = 10 + all.len();
        let release = async {
            for _ in 0..reads {
                self.admin.products(PageRequest::default()).await.expect("a read");
            }
            self.app.execute("ROLLBACK").await;
        };
        let (done, ()) = futures_util::future::join(futures_util::future::join_all(all), release).await;
        done
    }

    /// What a contract comes to: see [`Figures`].
    pub async fn figures(&self, contract: ContractId) -> Figures {
        let rows = self.settlements(contract).await;
        let ids: Vec<SettlementId> = rows.iter().map(|row| row.id).collect();
        let statements = self.admin.statements(&ids).await.expect("statements");
        let begins: BTreeMap<SettlementId, Timestamp> = rows.iter().map(|row| (row.id, row.period_start)).collect();
        let mut figures = Figures::default();
        for row in &rows {
            let statement = &statements[&row.id];
            let sum: i64 = statement.lines.iter().map(|line| line.amount.0).sum();
            assert_eq!(sum, statement.total.0, "the lines add up to the total");
            figures.due += statement.total.0;
            for line in &statement.lines {
                let period = match line.code {
                    LineCode::Correction => begins[&line.corrects.expect("what it corrects")],
                    code if code.is_computed() => row.period_start,
                    _ => continue,
                };
                let class = line.rate_class.clone().or(line.clause.clone()).unwrap_or_default();
                *figures.earned.entry((period, line.version, class)).or_default() += line.amount.0;
            }
        }
        figures.earned.retain(|_, amount| *amount != 0);
        if let Some(last) = rows.last() {
            let carried = &statements[&last.id].carry_out;
            figures.due += carried.amount.0;
            figures.carried = carried.base.clone();
        }
        figures
    }

    /// No finding in the books.
    pub async fn check_books(&self) {
        let check = self.admin.check_books().await.expect("a check");
        assert_eq!(check.findings, Vec::<String>::new());
    }

    pub async fn quarantined(&self) -> Vec<domain::transactions::QuarantinedRecord> {
        let page = PageRequest { first: 10_000, after: None };
        self.admin.quarantine(Default::default(), page).await.expect("records").items
    }

    /// Why each transaction is not counted, as `externalId REASON`.
    pub async fn unpriced(&self) -> Vec<String> {
        let filter = domain::transactions::TransactionFilter { unpriced: true, ..Default::default() };
        let rows =
            self.admin.transactions(&filter, PageRequest { first: 10_000, after: None }).await.expect("rows").items;
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let reasons = self.admin.unpriced(&ids).await.expect("reasons");
        let mut all: Vec<String> = rows
            .iter()
            .flat_map(|row| reasons[&row.id].iter().map(move |why| format!("{} {}", row.external_id, why.reason)))
            .collect();
        all.sort();
        all
    }

    /// The sums that a contract's settlements keep, late ones added in, without those that come to nothing:
    /// `month version class kind amount/units/transactions`, amounts in cents.
    pub async fn sums(&self, contract: ContractId) -> Vec<String> {
        let sql = format!(
            "SELECT strftime('%Y-%m', s.period_start / 1000000, 'unixepoch') || ' ' || version || ' ' || rate_class || ' ' || kind || ' ' \
             || (CAST(sum(amount) AS BIGINT) / 10000) || '/' || sum(units) || '/' || sum(transactions) \
             FROM accruals a JOIN settlements s ON s.tenant_id = a.tenant_id AND s.id = a.settlement_id \
             WHERE s.contract_id = {} GROUP BY s.period_start, version, rate_class, kind HAVING sum(transactions) <> 0 \
             ORDER BY s.period_start, version, rate_class, kind",
            hex(contract.0)
        );
        self.app.rows(&sql).await
    }
}

/// What must be the same whatever way facts came: shares and corrections by the period they belong to, version and
/// rate class; all totals and what is carried of money; the base that is carried.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub earned: BTreeMap<(Timestamp, i64, String), i64>,
    pub due: i64,
    pub carried: CarriedBase,
}

pub fn terms(change: Value) -> Terms {
    let mut terms = json!({
        "validFrom": "2024-01-01", "role": "PROVIDER", "currency": "EUR", "attribution": "OCCURRED",
        "cycle": { "every": "MONTH", "timeZone": "UTC" },
        "base": { "ggr": { "bonusTreatment": "INCLUDE" } },
        "negative": { "mode": "CARRY" },
        "rateTable": { "rows": [{ "code": "all", "percent": "10" }] },
        "minimumPayout": "0",
    });
    for (name, value) in change.as_object().expect("an object of changes") {
        terms[name] = value.clone();
    }
    serde_json::from_value(terms).expect("readable terms")
}

fn domain_product(name: &str) -> domain::catalogue::ProductFacts {
    crate::support::product(name)
}

pub async fn partner(admin: &Scoped, name: &str) -> PartnerId {
    admin.create_partner(NewPartner { name: name.to_owned(), reference: None }).await.expect("a partner").id
}

pub async fn source(admin: &Scoped, partner: PartnerId, name: &str) -> SourceId {
    let mapping = Mapping::parse(CSV).expect("a mapping");
    let new = NewSource { partner, name: name.to_owned(), mapping, calendar: None };
    admin.create_source(new).await.expect("a source").id
}

/// A fact in EUR at noon of a day (`01-15` is 15 January 2024) or at an instant.
pub fn fact(id: &str, kind: &str, amount: &str, when: &str) -> Draft {
    Draft {
        external_id: id.to_owned(),
        kind: kind.to_owned(),
        amount: amount.to_owned(),
        currency: "EUR".to_owned(),
        occurred_at: Some(if when.len() == 5 { at(&format!("2024-{when}T12:00:00Z")) } else { at(when) }),
        product: Some("dice".to_owned()),
        ..Draft::default()
    }
}

pub fn stake(id: &str, amount: &str, when: &str) -> Draft {
    fact(id, "STAKE", amount, when)
}

pub fn win(id: &str, amount: &str, when: &str) -> Draft {
    fact(id, "WIN", amount, when)
}

/// What undoes the fact `reverses`, with another time and no product: only the name of the fact counts.
pub fn rollback(id: &str, reverses: &str, when: &str) -> Draft {
    Draft { reverses: Some(reverses.to_owned()), product: None, ..fact(id, "ROLLBACK", "0", when) }
}

/// An outcome as one word, or the code and field of its problem.
pub fn shown(outcome: &RecordOutcome) -> String {
    let what = |what| match what {
        What::Recorded => "RECORDED",
        What::Replayed => "REPLAYED",
        What::Conflict => "CONFLICT",
    };
    match outcome {
        RecordOutcome::Ignored => "IGNORED".to_owned(),
        RecordOutcome::Quarantined { problem, .. } => format!("{} {}", problem.code.as_str(), problem.path),
        RecordOutcome::Taken(all) => all.iter().map(|one| what(one.what)).collect::<Vec<_>>().join("+"),
    }
}

pub fn all_shown(outcomes: &[RecordOutcome]) -> Vec<String> {
    outcomes.iter().map(shown).collect()
}

fn line(line: &Line) -> String {
    let class = line.rate_class.as_deref().unwrap_or("-");
    format!("{} {} {class} {}", line.code.as_str(), line.version, line.amount.0)
}

pub fn month_begin(month: &str) -> Timestamp {
    at(&format!("{month}-01T00:00:00Z"))
}
