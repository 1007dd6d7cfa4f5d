//! The folder of this process where extracts are: copies of facts in columns, which may be thrown away at any time and are
//! with the process. Nobody but the user that runs Saldo may read them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::segment::{Builder, Segment};
use crate::contracts::Period;
use crate::error::{Fault, Result};
use crate::ids::{TenantId, TransactionId};
use crate::time::Timestamp;

/// Bytes of all extracts of a process. Whoever needs more makes room of those that were used longest ago.
const MOST_BYTES: u64 = 4 << 30;

/// Extracts that are ready, and their folder.
pub struct Extracts {
    folder: PathBuf,
    ready: Mutex<HashMap<Which, Arc<Extract>>>,
    number: AtomicU64,
    most_bytes: u64,
}

/// Whose extract it is, and whether it tells when rounds closed.
pub type Which = (TenantId, bool);

/// A tenant's facts with a time in a window, up to one of them.
pub struct Extract {
    pub window: Period,
    /// The last fact that was looked at; nothing after it is in here.
    pub last: TransactionId,
    /// Facts that were looked at.
    pub facts: u64,
    pub segments: Vec<Arc<File>>,
    used: AtomicU64,
}

/// One segment; dropped, it is gone.
pub struct File {
    path: PathBuf,
    pub rows: usize,
    pub bytes: u64,
    /// The earliest and the latest time in it.
    pub times: (Timestamp, Timestamp),
}

impl Drop for File {
    fn drop(&mut self) {
        // The folder may be gone before.
        fs::remove_file(&self.path).ok();
    }
}

impl File {
    pub fn read(&self) -> Result<Segment> {
        let bytes = fs::read(&self.path).map_err(|error| failed(&self.path, &error))?;
        let damaged =
            |damaged: super::segment::Damaged| Fault::Corrupt(format!("{}: {}", self.path.display(), damaged.0));
        Ok(Segment::read(&bytes).map_err(damaged)?)
    }

    /// Whether it may have a row in this time.
    pub fn meets(&self, window: Period) -> bool {
        self.times.0 < window.end && window.start <= self.times.1
    }
}

impl Extract {
    pub fn new(window: Period, last: TransactionId, facts: u64, segments: Vec<Arc<File>>) -> Self {
        Self { window, last, facts, segments, used: AtomicU64::new(0) }
    }

    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|file| file.bytes).sum()
    }

    pub fn covers(&self, window: Period) -> bool {
        self.window.start <= window.start && window.end <= self.window.end
    }
}

fn failed(path: &Path, error: &io::Error) -> Fault {
    Fault::Internal(format!("{}: {error}", path.display()))
}

impl Extracts {
    /// A folder of its own in `folder`. What a process left there when it was killed is removed.
    pub fn new(folder: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        remove_left(folder, count == 0);
        let own = folder.join(format!("{}-{count}", std::process::id()));
        Self { folder: own, ready: Mutex::default(), number: AtomicU64::new(0), most_bytes: MOST_BYTES }
    }

    pub fn ready(&self, which: Which) -> Option<Arc<Extract>> {
        let extract = self.lock().get(&which).cloned();
        if let Some(extract) = &extract {
            self.touch(extract);
        }
        extract
    }

    /// Keeps an extract in place of the tenant's former one. `None` where it alone is more than there is room for.
    pub fn keep(&self, which: Which, extract: Extract) -> Option<Arc<Extract>> {
        let mut ready = self.lock();
        ready.remove(&which);
        if extract.bytes() > self.most_bytes {
            return None;
        }
        let extract = Arc::new(extract);
        self.touch(&extract);
        ready.insert(which, extract.clone());
        while ready.values().map(|extract| extract.bytes()).sum::<u64>() > self.most_bytes {
            let oldest = ready.iter().min_by_key(|(_, extract)| extract.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|(which, _)| *which) else { break };
            ready.remove(&oldest);
        }
        Some(extract)
    }

    /// Gives up all that is ready; whoever reads one goes on.
    pub fn clear(&self) {
        self.lock().clear();
    }

    pub fn write(&self, builder: Builder) -> Result<Arc<File>> {
        let (rows, times) = (builder.rows(), builder.times());
        let bytes = builder.finish();
        make_private(&self.folder).map_err(|error| failed(&self.folder, &error))?;
        let path = self.folder.join(format!("{}.seg", self.number.fetch_add(1, Ordering::Relaxed)));
        let file = File { path, rows, bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX), times };
        fs::write(&file.path, &bytes).map_err(|error| failed(&file.path, &error))?;
        Ok(Arc::new(file))
    }

    /// More bytes than an extract may have.
    pub fn is_too_much(&self, segments: &[Arc<File>]) -> bool {
        segments.iter().map(|file| file.bytes).sum::<u64>() > self.most_bytes
    }

    fn touch(&self, extract: &Extract) {
        extract.used.store(self.number.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Which, Arc<Extract>>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Extracts {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
        // The last process takes the folder away.
        if let Some(folder) = self.folder.parent() {
            fs::remove_dir(folder).ok();
        }
    }
}

/// Removes the folders of processes that are gone; at first also that of one which had this one's number.
fn remove_left(folder: &Path, first: bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let processes = Path::new("/proc");
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.split('-').next().unwrap_or_default();
        let own = process == std::process::id().to_string();
        let gone = processes.is_dir() && !processes.join(process).is_dir();
        if (own && first) || gone {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::SourceId;
    use crate::money::Units;
    use crate::transactions::Record;
    use crate::transactions::transaction::Kind;

    fn builder(rows: i64) -> Builder {
        let mut builder = Builder::default();
        for row in 0..rows {
            builder.push(Record {
                source: SourceId::NONE,
                kind: Kind::Stake,
                affects: None,
                amount: Units(row),
                currency: "BIT".into(),
                occurred_at: Timestamp(row),
                settled_at: None,
                closed_at: None,
                product: None,
                player: None,
                has_round: false,
                round_closed: false,
                channel: None,
                region: None,
                test: false,
                attributes: None,
                undoes: false,
            });
        }
        builder
    }

    fn window(start: i64, end: i64) -> Period {
        Period { start: Timestamp(start), end: Timestamp(end) }
    }

    fn extract(of: &Extracts, rows: i64) -> Extract {
        let file = of.write(builder(rows)).expect("it is written");
        Extract::new(window(0, rows), TransactionId::NONE, 0, vec![file])
    }

    fn files(folder: &Path) -> usize {
        let entries = |folder: &Path| fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>());
        let own = entries(folder).unwrap_or_default();
        own.iter().map(|entry| entries(&entry.path()).map_or(0, |files| files.len())).sum()
    }

    #[test]
    fn extracts_have_a_folder_of_their_own_and_room_for_so_much() {
        let folder = std::env::temp_dir().join(format!("saldo-replay-{}", std::process::id()));
        fs::create_dir_all(folder.join("4294967295-0")).expect("a folder");
        fs::write(folder.join("4294967295-0/1.seg"), "left by a process that was killed").expect("a file");
        let mut all = Extracts::new(&folder);
        assert_eq!(files(&folder), 0, "what was left is gone");
        let which = |tenant| (TenantId(Uuid::from_u128(tenant)), false);
        let first = all.keep(which(1), extract(&all, 1_000)).expect("there is room");
        assert!(first.covers(window(10, 20)) && !first.covers(window(10, 1_001)));
        assert!(first.segments[0].meets(window(999, 2_000)) && !first.segments[0].meets(window(1_000, 2_000)));
        assert_eq!(first.segments[0].read().expect("a segment").rows(), 1_000);
        // Room for two: of three, the one that was used longest ago goes.
        all.most_bytes = 2 * first.bytes() + 100;
        all.keep(which(2), extract(&all, 1_000)).expect("there is room");
        assert!(all.ready(which(1)).is_some(), "used now");
        all.keep(which(3), extract(&all, 1_000)).expect("there is room");
        let there = [1, 2, 3].map(|tenant| all.ready(which(tenant)).is_some());
        assert_eq!((there, files(&folder)), ([true, false, true], 2));
        assert!(all.keep(which(3), extract(&all, 9_000)).is_none(), "too much for itself");
        assert_eq!(files(&folder), 1);
        // A file that was changed is not read as another one.
        let path = &first.segments[0].path;
        let mut bytes = fs::read(path).expect("bytes");
        bytes[100] ^= 1;
        fs::write(path, &bytes).expect("it is written");
        assert!(matches!(first.segments[0].read(), Err(crate::Error::Fault(Fault::Corrupt(_)))));
        drop(first);
        drop(all);
        assert!(!folder.exists());
    }
}
