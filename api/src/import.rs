//! `saldo import`: streams a file through a source, over a running server or in process on the embedded database.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use clap::Args;
use domain::imports::run::State;
use domain::secrets::{Secret, sha256};
use domain::{Domain, Scoped, imports};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::cli::{Outcome, say};
use crate::config::Config;
use crate::progress::Progress;
use crate::send::Server;
use crate::serve;

/// What is read from the disk at once, in bytes.
const PIECE: usize = 256 * 1024;

#[derive(Args)]
pub(crate) struct Import {
    /// Name or id of the source
    #[arg(long)]
    source: String,
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Address of a running server, such as http://127.0.0.1:8080; without it, the database on this machine is used.
    /// The API key of the source is read from SALDO_API_KEY
    #[arg(long, env = "SALDO_SERVER", value_name = "URL")]
    server: Option<String>,
    /// Without a server: the tenant's short name; not needed where there is only one
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
}

/// What a run counts, as it came to its end.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    pub state: String,
    pub bytes: u64,
    pub records: i64,
    pub emitted: i64,
    pub ignored: i64,
    pub quarantined: i64,
    pub recorded: i64,
    pub replayed: i64,
    pub conflicting: i64,
    pub error: Option<String>,
}

impl Run {
    pub fn has_ended(&self) -> bool {
        self.state != State::Running.as_str()
    }
}

impl From<imports::ImportRun> for Run {
    fn from(run: imports::ImportRun) -> Self {
        Self {
            state: run.state,
            bytes: u64::try_from(run.bytes).unwrap_or_default(),
            records: run.records,
            emitted: run.emitted,
            ignored: run.ignored,
            quarantined: run.quarantined,
            recorded: run.recorded,
            replayed: run.replayed,
            conflicting: run.conflicting,
            error: run.error,
        }
    }
}

/// A file to send, and the name by which its upload is found again.
pub(crate) struct Upload {
    path: PathBuf,
    pub name: String,
    pub length: u64,
    pub key: String,
}

impl Upload {
    /// Reads the file once, so that only the same content under the same name resumes an upload.
    async fn of(path: &Path) -> Outcome<Self> {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut file = File::open(path).await.map_err(told)?;
        if file.metadata().await.map_err(told)?.is_dir() {
            return Err(format!("{} is a folder", path.display()));
        }
        let (mut context, mut length, mut buffer) = (Context::new(&SHA256), 0_u64, vec![0; PIECE]);
        loop {
            let read = file.read(&mut buffer).await.map_err(told)?;
            if read == 0 {
                break;
            }
            context.update(&buffer[..read]);
            length += u64::try_from(read).unwrap_or_default();
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let key = format!("sha256-{}-{}", hex(context.finish().as_ref()), hex(&sha256(name.as_bytes())[..8]));
        Ok(Self { path: path.to_owned(), name, length, key })
    }

    /// The file from a byte on, moving the progress along.
    pub async fn from(
        &self,
        offset: u64,
        progress: &Progress,
    ) -> Outcome<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static> {
        let told = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let mut file = File::open(&self.path).await.map_err(told)?;
        file.seek(SeekFrom::Start(offset)).await.map_err(told)?;
        progress.stands_at(offset);
        let progress = progress.clone();
        Ok(ReaderStream::with_capacity(file, PIECE).inspect(move |piece| {
            if let Ok(piece) = piece {
                progress.moved(u64::try_from(piece.len()).unwrap_or_default());
            }
        }))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) async fn import(config: &Config, import: Import) -> Outcome {
    let upload = Upload::of(&import.file).await?;
    let progress = Progress::new(upload.length);
    let run = match &import.server {
        Some(server) => over(server, &import.source, &upload, &progress).await,
        None => in_process(config, &import, &upload, &progress).await,
    };
    progress.done();
    report(&run?)
}

async fn over(server: &str, source: &str, upload: &Upload, progress: &Progress) -> Outcome<Run> {
    let key = std::env::var("SALDO_API_KEY").map_err(|_| "SALDO_API_KEY holds no API key of the source".to_owned())?;
    Server::new(server, Secret::new(key))?.send(source, upload, progress).await
}

async fn in_process(config: &Config, import: &Import, upload: &Upload, progress: &Progress) -> Outcome<Run> {
    let lock = serve::lock(config, "import")
        .map_err(|taken| format!("{taken}. A server is running? Send the file to it with --server URL"))?;
    let domain = serve::open_locked(config, lock).await?;
    let run = with_domain(&domain, import, upload, progress).await;
    domain.shut_down().await;
    run
}

async fn with_domain(domain: &Domain, import: &Import, upload: &Upload, progress: &Progress) -> Outcome<Run> {
    let scoped = operator(domain, import.tenant.as_deref()).await?;
    let source = crate::graphql::sources::named(&scoped, &import.source).await;
    let source = source.map_err(|_| format!("there is no source '{}'", import.source))?;
    let begun = scoped.begin_import(source, &upload.name, Some(&upload.key)).await;
    let begun = begun.map_err(|error| error.to_string())?;
    let offset = u64::try_from(begun.bytes).unwrap_or_default();
    let bytes = upload.from(offset, progress).await?;
    let run = scoped.import(begun.id, offset, bytes, true).await.map_err(|error| error.to_string())?;
    Ok(run.into())
}

async fn operator(domain: &Domain, slug: Option<&str>) -> Outcome<Scoped> {
    let tenants = domain.tenants().await.map_err(|error| error.to_string())?;
    let slug = match (slug, tenants.as_slice()) {
        (Some(slug), _) => slug,
        (None, [only]) => &only.slug,
        (None, []) => return Err("there is no tenant yet; run `saldo tenant create`".to_owned()),
        (None, several) => {
            let slugs: Vec<&str> = several.iter().map(|tenant| tenant.slug.as_str()).collect();
            return Err(format!("say whose file it is with --tenant: {}", slugs.join(", ")));
        }
    };
    let caller = domain.operator(slug).await.map_err(|_| format!("there is no tenant '{slug}'"))?;
    Ok(domain.for_caller(caller))
}

fn report(run: &Run) -> Outcome {
    say(&format!(
        "Records: {} read, {} emitted, {} ignored, {} quarantined.",
        run.records, run.emitted, run.ignored, run.quarantined
    ))?;
    say(&format!(
        "Transactions: {} recorded, {} replayed, {} conflicting.",
        run.recorded, run.replayed, run.conflicting
    ))?;
    if run.state != State::Completed.as_str() {
        let why = run.error.as_deref().unwrap_or("it did not come to its end");
        return Err(format!("the import is {}: {why}", run.state));
    }
    if run.records != run.emitted + run.ignored + run.quarantined {
        return Err("not every record is accounted for".to_owned());
    }
    Ok(())
}
