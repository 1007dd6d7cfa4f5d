//! Why a settlement cannot close yet, each with what to do about it.

use chrono::NaiveDate;

use crate::contracts::Period;
use crate::ids::{ImportRunId, SourceId};
use crate::time::Timestamp;

/// A source by id and by the name that staff know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSource {
    pub id: SourceId,
    pub name: String,
}

/// All that decides whether a settlement may close.
#[derive(Clone, Debug)]
pub struct Situation {
    pub now: Timestamp,
    pub period: Period,
    /// Until when facts of the period are awaited by its contract, where they are.
    pub awaits_until: Option<Timestamp>,
    /// The earliest open period of the same contract and currency before this one.
    pub earlier_open: Option<Period>,
    /// Records waiting in quarantine, by source in the contract's scope.
    pub quarantined: Vec<(NamedSource, u64)>,
    /// Days of the period that a source should have delivered and did not.
    pub missing: Vec<(NamedSource, Vec<NaiveDate>)>,
    pub running: Vec<(NamedSource, ImportRunId)>,
    /// Transactions that the contract covers and could not count.
    pub unpriced: u64,
    /// Transactions of the period that the detector has not looked at yet.
    pub unscored: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    PeriodNotEnded { ends: Timestamp },
    LateWindowOpen { until: Timestamp },
    EarlierPeriodOpen { period: Period },
    ImportRunning { source: NamedSource, run: ImportRunId },
    QuarantinedRecords { source: NamedSource, count: u64 },
    MissingDays { source: NamedSource, days: Vec<NaiveDate> },
    UnpricedTransactions { count: u64 },
    UnscoredTransactions { count: u64 },
}

/// What stands in the way; nothing does when it is empty.
pub fn blockers(situation: Situation) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    if situation.now < situation.period.end {
        blockers.push(Blocker::PeriodNotEnded { ends: situation.period.end });
    }
    // While the period runs there is nothing late yet.
    let waits = |until: &Timestamp| situation.period.end <= situation.now && situation.now < *until;
    blockers.extend(situation.awaits_until.filter(waits).map(|until| Blocker::LateWindowOpen { until }));
    blockers.extend(situation.earlier_open.map(|period| Blocker::EarlierPeriodOpen { period }));
    let running = situation.running.into_iter();
    blockers.extend(running.map(|(source, run)| Blocker::ImportRunning { source, run }));
    let quarantined = situation.quarantined.into_iter().filter(|(_, count)| *count > 0);
    blockers.extend(quarantined.map(|(source, count)| Blocker::QuarantinedRecords { source, count }));
    let missing = situation.missing.into_iter().filter(|(_, days)| !days.is_empty());
    blockers.extend(missing.map(|(source, days)| Blocker::MissingDays { source, days }));
    if situation.unpriced > 0 {
        blockers.push(Blocker::UnpricedTransactions { count: situation.unpriced });
    }
    if situation.unscored > 0 {
        blockers.push(Blocker::UnscoredTransactions { count: situation.unscored });
    }
    blockers
}

/// Days that a message lists before it only counts.
const LISTED_DAYS: usize = 5;

impl Blocker {
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PeriodNotEnded { .. } => "PERIOD_NOT_ENDED",
            Self::LateWindowOpen { .. } => "LATE_WINDOW_OPEN",
            Self::EarlierPeriodOpen { .. } => "EARLIER_PERIOD_OPEN",
            Self::ImportRunning { .. } => "IMPORT_RUNNING",
            Self::QuarantinedRecords { .. } => "QUARANTINED_RECORDS",
            Self::MissingDays { .. } => "MISSING_DAYS",
            Self::UnpricedTransactions { .. } => "UNPRICED_TRANSACTIONS",
            Self::UnscoredTransactions { .. } => "UNSCORED_TRANSACTIONS",
        }
    }

    pub fn message(&self) -> String {
        match self {
            Self::PeriodNotEnded { ends } => format!("The period ends at {ends}."),
            Self::LateWindowOpen { until } => format!("What comes late for the period is awaited until {until}."),
            Self::EarlierPeriodOpen { period } => {
                format!("The period from {} to {} is still open.", period.start, period.end)
            }
            Self::ImportRunning { source, run } => format!("Import {run} of source '{}' is running.", source.name),
            Self::QuarantinedRecords { source, count } => {
                format!("Source '{}' has {} in quarantine.", source.name, counted(*count, "record", "records"))
            }
            Self::MissingDays { source, days } => {
                let listed: Vec<String> = days.iter().take(LISTED_DAYS).map(ToString::to_string).collect();
                let more = if days.len() > LISTED_DAYS {
                    format!(" and {} more", days.len() - LISTED_DAYS)
                } else {
                    String::new()
                };
                format!("Source '{}' delivered nothing for {}{more}.", source.name, listed.join(", "))
            }
            Self::UnpricedTransactions { count } => {
                format!("{} could not be priced.", counted(*count, "transaction", "transactions"))
            }
            Self::UnscoredTransactions { count } => {
                format!(
                    "{} not looked at by the detector yet.",
                    counted(*count, "transaction was", "transactions were")
                )
            }
        }
    }

    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::PeriodNotEnded { .. } => "Wait for the period to end.",
            Self::LateWindowOpen { .. } => "Wait until then: what comes later is a correction in the next settlement.",
            Self::EarlierPeriodOpen { .. } => "Close that period first: it may carry into this one.",
            Self::ImportRunning { .. } => "Let the import finish, or resume it if it was cut off.",
            Self::QuarantinedRecords { .. } => "Correct and retry the records, or dismiss them with a reason.",
            Self::MissingDays { .. } => "Import the missing days, or sign them off with a note if nothing happened.",
            Self::UnpricedTransactions { .. } => {
                "See why each could not be priced, and activate a contract version that can, or have the source supply what is missing."
            }
            Self::UnscoredTransactions { .. } => "Wait: they are scored in the background, within a minute or two.",
        }
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation() -> Situation {
        let period = Period { start: Timestamp(0), end: Timestamp(1_000_000) };
        Situation {
            now: period.end,
            period,
            awaits_until: None,
            earlier_open: None,
            quarantined: Vec::new(),
            missing: Vec::new(),
            running: Vec::new(),
            unpriced: 0,
            unscored: 0,
        }
    }

    #[test]
    fn a_settlement_closes_when_nothing_stands_in_the_way() {
        let source = NamedSource { id: SourceId::NONE, name: "crash".to_owned() };
        let nothing =
            Situation { quarantined: vec![(source.clone(), 0)], missing: vec![(source, Vec::new())], ..situation() };
        assert_eq!(blockers(nothing), []);
    }

    #[test]
    fn late_facts_are_awaited_after_the_period_and_no_longer() {
        let at = |now: i64| {
            let waiting = Situation { now: Timestamp(now), awaits_until: Some(Timestamp(3_000_000)), ..situation() };
            blockers(waiting).iter().map(Blocker::code).collect::<Vec<_>>()
        };
        assert_eq!(at(999_999), ["PERIOD_NOT_ENDED"]);
        assert_eq!((at(1_000_000), at(2_999_999)), (vec!["LATE_WINDOW_OPEN"], vec!["LATE_WINDOW_OPEN"]));
        assert_eq!(at(3_000_000), [""; 0]);
        let blocker = Blocker::LateWindowOpen { until: Timestamp(3_000_000) };
        assert_eq!(blocker.message(), "What comes late for the period is awaited until 1970-01-01T00:00:03Z.");
        assert!(blocker.remedy().ends_with('.'));
    }

    #[test]
    fn each_reason_is_told_with_what_to_do() {
        let source = NamedSource { id: SourceId::NONE, name: "crash".to_owned() };
        let days: Vec<NaiveDate> = (11..=31).filter_map(|day| NaiveDate::from_ymd_opt(2021, 12, day)).collect();
        let all = blockers(Situation {
            now: Timestamp(999_999),
            earlier_open: Some(Period { start: Timestamp(-1_000_000), end: Timestamp(0) }),
            quarantined: vec![(source.clone(), 2)],
            missing: vec![(source.clone(), days)],
            running: vec![(source, ImportRunId::NONE)],
            unpriced: 1,
            unscored: 2,
            ..situation()
        });
        let codes: Vec<&str> = all.iter().map(Blocker::code).collect();
        let expected = [
            "PERIOD_NOT_ENDED",
            "EARLIER_PERIOD_OPEN",
            "IMPORT_RUNNING",
            "QUARANTINED_RECORDS",
            "MISSING_DAYS",
            "UNPRICED_TRANSACTIONS",
            "UNSCORED_TRANSACTIONS",
        ];
        assert_eq!(codes, expected);
        assert_eq!(all[3].message(), "Source 'crash' has 2 records in quarantine.");
        assert_eq!(
            all[4].message(),
            "Source 'crash' delivered nothing for 2021-12-11, 2021-12-12, 2021-12-13, 2021-12-14, 2021-12-15 and 16 more."
        );
        assert_eq!(all[5].message(), "1 transaction could not be priced.");
        assert_eq!(all[6].message(), "2 transactions were not looked at by the detector yet.");
        assert!(all.iter().all(|blocker| blocker.remedy().ends_with('.')));
    }
}
