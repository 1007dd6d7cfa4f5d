//! A dry run: what the first records of a file would become. Nothing is recorded.

use std::sync::Arc;

use crate::caller::{Permission, Scoped};
use crate::error::{Fault, Problem, Result};
use crate::ids::SourceId;

use super::framing::{Chunk, Framer, Limits, Position};
use super::mapping::{CompiledMapping, Mapping};
use super::{Mapped, under};

/// How many records are shown.
pub const SHOWN_RECORDS: usize = 20;
/// How much of a record is shown, in characters.
const SHOWN_TEXT: usize = 2_000;

/// The mapping that is tried.
pub enum Trial {
    /// The present one of a source.
    Source(SourceId),
    /// One that need not be kept anywhere yet.
    Mapping(Box<Mapping>),
}

#[derive(Clone, Debug)]
pub struct DryRun {
    /// The column names, for CSV.
    pub header: Option<Vec<String>>,
    pub records: Vec<DryRunRecord>,
    /// Why the file cannot be read at all.
    pub problem: Option<Problem>,
}

#[derive(Clone, Debug)]
pub struct DryRunRecord {
    /// 1 is the first record.
    pub number: u64,
    /// The record, as far as it can be shown.
    pub text: String,
    pub outcome: Mapped,
}

impl Scoped {
    /// Shows what the first records of a file would become. `sample` is the file's beginning, `complete` says that it
    /// is all of it; otherwise a record that `sample` cuts off is left out.
    pub async fn dry_run(&self, trial: Trial, sample: Vec<u8>, complete: bool) -> Result<DryRun> {
        self.require(Permission::Configure)?;
        let mapping = match trial {
            Trial::Source(id) => self.current_mapping(id).await?,
            Trial::Mapping(mapping) => {
                Arc::new(CompiledMapping::compile(&mapping).map_err(|problems| under("mapping", problems))?)
            }
        };
        let work = tokio::task::spawn_blocking(move || run(&mapping, &sample, complete));
        work.await.map_err(|error| Fault::Internal(error.to_string()).into())
    }
}

fn run(mapping: &CompiledMapping, sample: &[u8], complete: bool) -> DryRun {
    let mut framer = Framer::new(mapping.framing(), Position::default());
    framer.push(sample);
    let mut records = Vec::new();
    let problem = read(mapping, &mut framer, complete, &mut records).err();
    DryRun { header: framer.position().header.clone(), records, problem }
}

fn read(
    mapping: &CompiledMapping,
    framer: &mut Framer,
    complete: bool,
    records: &mut Vec<DryRunRecord>,
) -> Result<(), Problem> {
    let mut checked = false;
    while records.len() < SHOWN_RECORDS {
        let limits = Limits { records: SHOWN_RECORDS - records.len(), bytes: usize::MAX };
        let chunk = framer.next_chunk(complete, limits)?.or_else(|| framer.take_ready());
        if let (false, Some(header)) = (checked, &framer.position().header) {
            mapping.check_header(header)?;
            checked = true;
        }
        let Some(chunk) = chunk else { break };
        records.extend(shown(mapping, &chunk));
    }
    Ok(())
}

fn shown(mapping: &CompiledMapping, chunk: &Chunk) -> Vec<DryRunRecord> {
    let outcomes = mapping.map_chunk(chunk, chunk.end.header.as_deref());
    let records = chunk.records.iter().zip(outcomes).map(|(framed, outcome)| {
        let (text, _) = mapping.framing().encoding.decode_without_bom_handling(chunk.bytes_of(framed));
        DryRunRecord { number: framed.number, text: text.chars().take(SHOWN_TEXT).collect(), outcome }
    });
    records.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn mapping() -> CompiledMapping {
        let json = r#"{ "format": "csv", "emit": [{ "kind": "STAKE", "externalId": "Id", "amount": "number(Bet)", "currency": "'EUR'", "occurredAt": "At" }] }"#;
        CompiledMapping::compile(&Mapping::parse(json).expect("a mapping")).expect("a good mapping")
    }

    #[test]
    fn the_first_records_are_shown_and_a_cut_off_one_is_not() {
        let sample = b"Id,Bet,At\n1,5,2021-11-20T19:44:19Z\n2,x,2021-11-20T19:44:19Z\n3,5,2021-11";
        let shown = run(&mapping(), sample, false);
        assert_eq!(shown.problem, None);
        assert_eq!(shown.records.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(shown.records[0].outcome.as_ref().expect("a draft")[0].amount, "5");
        let wrong = &shown.records[1];
        assert_eq!(wrong.text, "2,x,2021-11-20T19:44:19Z");
        assert_eq!(wrong.outcome.as_ref().expect_err("no number").path, "emit.0.amount");
        assert_eq!(run(&mapping(), sample, true).records.len(), 3);
    }

    #[test]
    fn no_more_than_twenty_and_a_bad_file_is_told() {
        let long = format!("Id,Bet,At\n{}", "1,5,2021-11-20T19:44:19Z\n".repeat(50));
        assert_eq!(run(&mapping(), long.as_bytes(), true).records.len(), SHOWN_RECORDS);
        for file in ["", "Id,Bet\n1,5\n", "Id,Bet,At,At\n"] {
            let shown = run(&mapping(), file.as_bytes(), true);
            assert_eq!(shown.problem.map(|problem| problem.code), Some(Code::BadFile), "{file:?}");
            assert!(shown.records.is_empty());
        }
    }
}
