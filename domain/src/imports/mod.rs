//! Imports: a file streams through its source's mapping into the record pipeline, as a run that can be resumed.
//!
//! A run moves forward only in the transaction that records the records it moves past, so its `bytes` is always true:
//! everything before it is recorded, quarantined or ignored, and nothing after it is. A run keeps the mapping version
//! it began with. While one piece commits, the next one is read and mapped.

pub mod run;
mod store;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, pin_mut};
use tokio::task::JoinHandle;

use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{ImportRunId, SourceId};
use crate::page::{Page, PageRequest};
use crate::partners::text;
use crate::sources::framing::{Chunk, Framer, Limits, Position};
use crate::sources::mapping::CompiledMapping;
use crate::time::Timestamp;
use crate::transactions::submission::Form;
use crate::transactions::{Incoming, RecordOutcome, Submission};

use run::{Counts, State};

pub use store::Model as ImportRun;

/// How much of a file goes into one transaction and one raw block.
const PIECE: Limits = Limits { records: 4_096, bytes: 1 << 20 };

/// Where a piece of a file begins and ends.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    pub run: ImportRunId,
    pub begins: u64,
    pub ends: u64,
}

impl Scoped {
    /// Begins a run, or finds the unfinished one with the same upload key: then its `bytes` says where to go on.
    pub async fn begin_import(&self, source: SourceId, file_name: &str, upload_key: Option<&str>) -> Result<ImportRun> {
        self.require(Permission::Record(source))?;
        let file_name = text("fileName", file_name, 200)?;
        let upload_key = upload_key.map(|key| text("uploadKey", key, 200)).transpose()?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            if let Some(key) = &upload_key
                && let Some(run) = store::unfinished(tx, source, key).await?
            {
                return Ok(run);
            }
            let mapping_version =
                crate::sources::mapping_version_in(tx, source).await?.ok_or(Error::NotFound("source"))?;
            let run = ImportRun::new(tx, writer.clock(), source, mapping_version, file_name, upload_key);
            store::insert(tx, run.clone()).await?;
            Ok(run)
        })
        .await
    }

    /// Takes bytes of a run's file from `offset` on, which must be where the run stands. `complete`: the file ends
    /// with them. When the stream breaks off, what was whole is recorded and the run stays open to be resumed; an
    /// answer other than [`State::Running`] is final.
    pub async fn import<S>(&self, id: ImportRunId, offset: u64, bytes: S, complete: bool) -> Result<ImportRun>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let run = self.import_run(id).await?.ok_or(Error::NotFound("import run"))?;
        self.require(Permission::Record(run.source_id))?;
        at_offset(&run, offset)?;
        let mapping = self.mapping(run.source_id, run.mapping_version).await?;
        let mut feeder = Feeder::new(self.clone(), &run, mapping);
        let fed = feeder.feed(bytes, complete).await;
        let settled = feeder.settle().await;
        match (fed, settled) {
            (Err(Fed::File(problem)), Ok(())) => {
                self.end_run(id, Some(feeder.stands_at), State::Failed, Some(problem.to_string())).await
            }
            (Err(Fed::Stream(error)), Ok(())) => {
                Err(Problem::new(Code::Unavailable, "", format!("the upload broke off: {error}")).into())
            }
            (Err(Fed::Error(error)), _) | (_, Err(error)) => Err(error),
            (Ok(()), Ok(())) if complete => self.end_run(id, Some(feeder.stands_at), State::Completed, None).await,
            (Ok(()), Ok(())) => self.import_run(id).await?.ok_or(Error::NotFound("import run")),
        }
    }

    /// Gives an unfinished run up; what it recorded stays.
    pub async fn abandon_import(&self, id: ImportRunId) -> Result<ImportRun> {
        let run = self.import_run(id).await?.ok_or(Error::NotFound("import run"))?;
        self.require(Permission::Record(run.source_id))?;
        self.end_run(id, None, State::Failed, Some("given up by its sender".into())).await
    }

    /// Ends a run, if it stands where its sender believes (`at`): another one may have moved it on meanwhile.
    async fn end_run(
        &self,
        id: ImportRunId,
        at: Option<u64>,
        state: State,
        error: Option<String>,
    ) -> Result<ImportRun> {
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let run = store::by_id(tx, id).await?.ok_or(Error::NotFound("import run"))?;
            if let Some(at) = at {
                at_offset(&run, at)?;
            }
            let ended = store::end(tx, id, state, error, writer.clock().now()).await?;
            let run = store::by_id(tx, id).await?.ok_or(Error::NotFound("import run"))?;
            if !ended {
                return Err(Problem::new(Code::WrongState, "", format!("the run is {} already", run.state)).into());
            }
            Ok(run)
        })
        .await
    }

    /// Also for the API key of its source.
    pub async fn import_run(&self, id: ImportRunId) -> Result<Option<ImportRun>> {
        let run = store::by_id(&self.read().await?, id).await?;
        Ok(run
            .filter(|run| self.caller().may(Permission::Read) || self.caller().may(Permission::Record(run.source_id))))
    }

    pub async fn import_runs_by_ids(&self, ids: &[ImportRunId]) -> Result<Vec<ImportRun>> {
        self.require(Permission::Read)?;
        Ok(store::by_ids(&self.read().await?, ids).await?)
    }

    pub async fn import_runs(&self, source: Option<SourceId>, page: PageRequest) -> Result<Page<ImportRun>> {
        self.require(Permission::Read)?;
        Ok(Page::cut(store::page(&self.read_elsewhere().await?, source, page).await?, &page))
    }
}

fn at_offset(run: &ImportRun, offset: u64) -> Result<(), Problem> {
    if run.state != State::Running.as_str() {
        return Err(Problem::new(Code::WrongState, "", format!("the run is {} already", run.state)));
    }
    if u64::try_from(run.bytes) != Ok(offset) {
        let message = format!("the run stands at byte {}, not {offset}; go on from there", run.bytes);
        return Err(Problem::new(Code::WrongOffset, "uploadOffset", message));
    }
    Ok(())
}

enum Fed {
    /// The file cannot be read at all.
    File(Problem),
    /// The sender went away.
    Stream(io::Error),
    Error(Error),
}

impl From<Error> for Fed {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Moves one file along: cuts, maps, and hands pieces over in order, one ahead of the one that commits.
struct Feeder {
    scoped: Scoped,
    run: ImportRunId,
    source: SourceId,
    mapping: Arc<CompiledMapping>,
    framer: Framer,
    header: Option<Arc<Vec<String>>>,
    stands_at: u64,
    under_way: Option<JoinHandle<Result<()>>>,
}

impl Feeder {
    fn new(scoped: Scoped, run: &ImportRun, mapping: Arc<CompiledMapping>) -> Self {
        let header: Option<Vec<String>> = run.header.as_deref().and_then(|json| serde_json::from_str(json).ok());
        let bytes = u64::try_from(run.bytes).unwrap_or_default();
        let position =
            Position { bytes, records: u64::try_from(run.records).unwrap_or_default(), header: header.clone() };
        Self {
            scoped,
            run: run.id,
            source: run.source_id,
            framer: Framer::new(mapping.framing(), position),
            mapping,
            header: header.map(Arc::new),
            stands_at: bytes,
            under_way: None,
        }
    }

    async fn feed(&mut self, bytes: impl Stream<Item = io::Result<Bytes>> + Send, complete: bool) -> Result<(), Fed> {
        pin_mut!(bytes);
        while let Some(next) = bytes.next().await {
            match next {
                Ok(next) => self.framer.push(&next),
                Err(error) => {
                    self.rest(false).await?;
                    return Err(Fed::Stream(error));
                }
            }
            while let Some(chunk) = self.framer.next_chunk(false, PIECE).map_err(Fed::File)? {
                self.hand_over(chunk).await?;
            }
        }
        self.rest(complete).await
    }

    /// What is whole of the rest; at the file's end also what is not.
    async fn rest(&mut self, end_of_file: bool) -> Result<(), Fed> {
        while let Some(chunk) = self.framer.next_chunk(end_of_file, PIECE).map_err(Fed::File)? {
            self.hand_over(chunk).await?;
        }
        match self.framer.take_ready() {
            Some(chunk) => self.hand_over(chunk).await,
            None => self.check_header(),
        }
    }

    fn check_header(&mut self) -> Result<(), Fed> {
        if self.header.is_none()
            && let Some(header) = &self.framer.position().header
        {
            self.mapping.check_header(header).map_err(Fed::File)?;
            self.header = Some(Arc::new(header.clone()));
        }
        Ok(())
    }

    async fn hand_over(&mut self, chunk: Chunk) -> Result<(), Fed> {
        self.check_header()?;
        let piece = Piece { run: self.run, begins: self.stands_at, ends: chunk.end.bytes };
        self.stands_at = chunk.end.bytes;
        let (mapping, header, source) = (self.mapping.clone(), self.header.clone(), self.source);
        let mapped = tokio::task::spawn_blocking(move || submission(chunk, &mapping, header, source, piece)).await;
        let submission = mapped.map_err(|error| Error::from(Fault::Internal(error.to_string())))?;
        self.settle().await?;
        let scoped = self.scoped.clone();
        self.under_way = Some(self.scoped.tracker().spawn(async move { scoped.submit(submission).await.map(drop) }));
        Ok(())
    }

    /// Waits for the piece that is being committed.
    async fn settle(&mut self) -> Result<()> {
        match self.under_way.take() {
            Some(task) => task.await.map_err(|error| Fault::Internal(error.to_string()))?,
            None => Ok(()),
        }
    }
}

fn submission(
    chunk: Chunk,
    mapping: &CompiledMapping,
    header: Option<Arc<Vec<String>>>,
    source: SourceId,
    piece: Piece,
) -> Submission {
    let mapped = mapping.map_chunk(&chunk, header.as_ref().map(|header| header.as_slice()));
    let records = chunk.records.iter().zip(mapped).map(|(framed, content)| Incoming {
        number: framed.number,
        offset: framed.offset,
        length: framed.length,
        hash: content.is_err().then(|| chunk.hash_of(framed)),
        content,
    });
    let records = Arc::new(records.collect());
    Submission {
        source,
        file_offset: chunk.file_offset,
        raw: Arc::new(chunk.raw),
        form: Form::Record,
        header,
        records,
        piece: Some(piece),
        resolves: None,
        once: None,
    }
}

/// Moves a run past a piece, in the transaction that records it.
pub(crate) async fn advance_in(
    tx: &TenantTx,
    piece: Piece,
    submission: &Submission,
    outcomes: &[RecordOutcome],
    now: Timestamp,
) -> Result<()> {
    let header = submission.header.as_ref().map(|header| serde_json::to_string(&**header).unwrap_or_default());
    if store::advance(tx, piece, header, Counts::of(outcomes), now).await? {
        return Ok(());
    }
    let message = "somebody else moved this run on meanwhile; ask where it stands and go on from there";
    Err(Problem::new(Code::WrongOffset, "uploadOffset", message).into())
}

/// Unfinished runs by source.
pub(crate) async fn running_in(tx: &TenantTx) -> Result<Vec<ImportRun>> {
    Ok(store::running(tx).await?)
}
