//! Odd transactions: every one is scored as it is recorded, odd ones become cases, and people say what they are.
//!
//! - `judge.rs`: a tenant's detector at work; `reason.rs`: why, in words; `case.rs`: what belongs together.
//! - `scoring.rs`: the detectors of this process, asked by each batch of `transactions`.
//! - `alert.rs`, `alerts.rs`: when and how risk staff are told of new cases.
//! - `training.rs`: models fitted to the tenant's own history, and rows that are scored late.
//! - `review.rs`: verdicts, and the holds that follow from them.
//!
//! A detector that fails holds up no record: what it did not score is listed in `unscored`, blocks the close of its
//! settlement, and is scored by the worker.

mod alert;
mod alerts;
pub mod case;
mod judge;
pub mod reason;
mod review;
mod scoring;
mod store;
mod training;

use std::collections::{BTreeMap, HashMap};

use ml::alerts::Wanted;
use serde::{Deserialize, Serialize};

use crate::caller::{Permission, Scoped, Writer};
use crate::clock::Clock;
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::events::event::News;
use crate::ids::{CaseId, ModelId, SourceId, TransactionId};
use crate::page::{Page, PageRequest};
use crate::time::Timestamp;

use case::{CaseKind, CaseState};
use reason::Reason;

pub(crate) use judge::Judged;
pub(crate) use scoring::{Detectors, Lease, prepare_in};
pub use store::Model as Case;
pub use store::case_transaction::Model as CaseTransaction;

/// One transaction in two hundred, until somebody says otherwise.
const ALERTS_PER_MILLION: i64 = 5_000;
const MOST_ALERTS_A_DAY: i64 = 200;
const PARTS_PER_MILLION: u32 = 1_000_000;

#[derive(Clone, Copy, Debug, Default)]
pub struct CaseFilter {
    pub state: Option<CaseState>,
    pub source: Option<SourceId>,
}

/// How a tenant's detector is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub model: ModelId,
    pub alerts_per_million: i64,
    pub most_alerts_a_day: i64,
}

impl Settings {
    async fn read_in(tx: &TenantTx) -> Result<Self> {
        let row = store::detector(tx).await?;
        Ok(row.map_or(
            Self { model: ModelId::NONE, alerts_per_million: ALERTS_PER_MILLION, most_alerts_a_day: MOST_ALERTS_A_DAY },
            |row| Self {
                model: row.model_id,
                alerts_per_million: row.alerts_per_million,
                most_alerts_a_day: row.most_alerts_a_day,
            },
        ))
    }

    async fn write_in(self, tx: &TenantTx, clock: &Clock) -> Result<()> {
        let row = store::detector::Model {
            tenant_id: tx.tenant(),
            model_id: self.model,
            alerts_per_million: self.alerts_per_million,
            most_alerts_a_day: self.most_alerts_a_day,
        };
        store::set_detector(tx, row).await?;
        // Whoever has the detector in memory sees by the epoch that it is set anew.
        Ok(tx.bump_epoch(clock).await?)
    }

    #[expect(clippy::float_arithmetic, reason = "a rate of alerts is no money")]
    fn wanted(self) -> Wanted {
        let per_million = u32::try_from(self.alerts_per_million).unwrap_or_default();
        let most_a_day = u32::try_from(self.most_alerts_a_day).unwrap_or_default();
        Wanted { rate: f64::from(per_million) / f64::from(PARTS_PER_MILLION), most_a_day }
    }
}

/// A tenant's detector as of now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detector {
    pub settings: Settings,
    /// The model in force; none while the tenant has what everybody starts with.
    pub fitted: Option<Fitted>,
    pub unscored: u64,
    /// A training is asked for or under way.
    pub training: bool,
}

/// What a model was fitted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fitted {
    pub id: ModelId,
    pub rows: i64,
    pub rows_from: Timestamp,
    pub rows_until: Timestamp,
    pub created_at: Timestamp,
}

impl crate::Domain {
    /// Fits the model that everybody starts with, so that the first batch of a process need not wait for it.
    pub async fn warm_up(&self) {
        if let Err(error) = scoring::prior().await {
            tracing::error!(%error, "the first model cannot be fitted");
        }
    }
}

impl Scoped {
    /// Cases, the latest raised first.
    pub async fn anomaly_cases(&self, filter: CaseFilter, page: PageRequest) -> Result<Page<Case>> {
        self.require(Permission::Read)?;
        Ok(Page::cut(store::page(&self.read_elsewhere().await?, &filter, page).await?, &page))
    }

    pub async fn anomaly_cases_by_ids(&self, ids: &[CaseId]) -> Result<Vec<Case>> {
        self.require(Permission::Read)?;
        Ok(store::by_ids(&self.read().await?, ids).await?)
    }

    /// The same page of the transactions of each of some cases, the latest recorded first.
    pub async fn case_transactions(
        &self,
        cases: &[CaseId],
        page: PageRequest,
    ) -> Result<HashMap<CaseId, Page<CaseTransaction>>> {
        self.require(Permission::Read)?;
        let mut of_case: HashMap<CaseId, Vec<CaseTransaction>> = HashMap::new();
        for row in store::transactions_page(&self.read().await?, cases, page).await? {
            of_case.entry(row.case_id).or_default().push(row);
        }
        Ok(of_case.into_iter().map(|(case, rows)| (case, Page::cut(rows, &page))).collect())
    }

    pub async fn detector(&self) -> Result<Detector> {
        self.require(Permission::Read)?;
        detector_in(&self.read().await?).await
    }

    /// Sets how many transactions of a million are wanted to alert, and how many a day may at most.
    pub async fn set_alert_rate(&self, alerts_per_million: i64, most_alerts_a_day: i64) -> Result<Detector> {
        self.require(Permission::Review)?;
        let mut problems = Vec::new();
        if !(1..=200_000).contains(&alerts_per_million) {
            let message = "is no part of all transactions from 0.000001 to 0.2";
            problems.push(Problem::new(Code::BadInput, "alertRate", message));
        }
        if !(0..=1_000_000).contains(&most_alerts_a_day) {
            let message = "is no number of alerts from 0 to 1000000";
            problems.push(Problem::new(Code::BadInput, "mostAlertsADay", message));
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let settings = Settings { alerts_per_million, most_alerts_a_day, ..Settings::read_in(tx).await? };
            settings.write_in(tx, writer.clock()).await?;
            detector_in(tx).await
        })
        .await
    }

    /// For benchmarks: nothing is scored, and nothing is said to wait for a score.
    #[doc(hidden)]
    pub async fn turn_detector_off(&self) {
        self.detectors().lease(self.tenant()).await.turn_off();
    }

    /// For tests: a detector that panics whenever it is asked.
    #[doc(hidden)]
    pub async fn break_detector(&self, broken: bool) {
        self.detectors().lease(self.tenant()).await.break_on_purpose(broken);
    }
}

async fn detector_in(tx: &TenantTx) -> Result<Detector> {
    let settings = Settings::read_in(tx).await?;
    let fitted = match settings.model {
        ModelId::NONE => None,
        id => store::model(tx, id).await?,
    };
    let fitted = fitted.map(|row| Fitted {
        id: row.id,
        rows: row.rows,
        rows_from: row.rows_from,
        rows_until: row.rows_until,
        created_at: row.created_at,
    });
    let unscored = store::count_unscored(tx).await?;
    Ok(Detector { settings, fitted, unscored, training: training::is_wanted_in(tx).await? })
}

/// Writes what was said of new facts, in the transaction that records them: what is left to score, and cases.
pub(crate) async fn write_in(
    tx: &TenantTx,
    clock: &Clock,
    facts: impl Iterator<Item = (TransactionId, SourceId, bool)>,
    judged: &Judged,
) -> Result<()> {
    let scores = judged.scores.iter();
    let unscored = facts.zip(scores).filter(|((_, _, test), score)| score.is_none() && !test);
    store::insert_unscored(tx, unscored.map(|((id, source, _), _)| (id, source))).await?;
    raise_in(tx, clock, judged).await
}

/// Adds findings to the open cases that they belong to, or raises new ones.
async fn raise_in(tx: &TenantTx, clock: &Clock, judged: &Judged) -> Result<()> {
    if judged.findings.is_empty() {
        return Ok(());
    }
    let cases = case::gather(&judged.findings);
    let keys: Vec<_> = cases.keys().copied().collect();
    let mut open = store::open(tx, &keys).await?;
    let (now, mut rows) = (clock.now(), BTreeMap::new());
    for (key, (findings, oddest)) in cases {
        let reasons = written(&oddest.reasons)?;
        let more = i64::try_from(findings.len()).unwrap_or(i64::MAX);
        let case = match open.remove(key) {
            Some(mut case) => {
                case.transactions = case.transactions.saturating_add(more);
                case.updated_at = now;
                if oddest.score > case.score {
                    (case.score, case.reasons, case.model_id) = (oddest.score, reasons, judged.model);
                }
                store::update(tx, &case).await?;
                case.id
            }
            None => {
                let id = clock.id();
                store::insert(
                    tx,
                    Case {
                        tenant_id: tx.tenant(),
                        id,
                        kind: key.kind.as_str().to_owned(),
                        state: CaseState::Open.as_str().to_owned(),
                        source_id: key.source,
                        product: key.product.clone(),
                        player: key.player.map(|player| player.to_vec()),
                        window_start: key.day,
                        window_end: key.ends(),
                        transactions: more,
                        score: oddest.score,
                        reasons,
                        model_id: judged.model,
                        raised_at: now,
                        updated_at: now,
                        mailed_at: None,
                        reviewed_at: None,
                        reviewed_by: None,
                        note: None,
                    },
                )
                .await?;
                tx.announce(News::anomaly(id));
                id
            }
        };
        for finding in findings {
            rows.insert((case, finding.transaction), (finding.score, written(&finding.reasons)?));
        }
    }
    let rows = rows.into_iter().map(|((case, transaction), (score, reasons))| (case, transaction, score, reasons));
    Ok(store::insert_transactions(tx, rows).await?)
}

fn written(reasons: &[Reason]) -> Result<String, Fault> {
    serde_json::to_string(reasons).map_err(|error| Fault::Internal(error.to_string()))
}

/// Reasons as they were written; what cannot be read is none.
pub fn read_reasons(text: &str) -> Vec<Reason> {
    serde_json::from_str(text).unwrap_or_default()
}

impl Case {
    /// What its findings have in common; `None` if the row is not what was written.
    fn key(&self) -> Option<case::CaseKey> {
        let player = self.player.as_deref().map(<[u8; 16]>::try_from).transpose().ok()?;
        let (kind, product) = (CaseKind::parse(&self.kind)?, self.product.clone());
        Some(case::CaseKey { kind, source: self.source_id, product, player, day: self.window_start })
    }
}

/// Of each source and end of a period, the transactions from before it that have no score yet.
pub(crate) async fn unscored_counts_in(
    tx: &TenantTx,
    ends: &[Timestamp],
) -> Result<HashMap<(SourceId, Timestamp), u64>> {
    Ok(store::unscored_counts(tx, ends).await?)
}
