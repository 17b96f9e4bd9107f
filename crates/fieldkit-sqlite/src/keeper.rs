//! The keeper: the thread that writes the black box while the journal commits.
//!
//! Promises: the writer waits for the box at most as long as it says; a box that fails, hangs or is pulled out is let
//! go of and tried again, and never holds or fails a commit; a failed sync is never repeated on the same bytes — after
//! it everything behind the last confirmed record is written again.
//! Absent on purpose: what to do about a box that is behind (`store`).

use crate::black_box::{BoxFile, End};
use crate::error::StoreError;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Commits that may wait for the box.
const QUEUE: usize = 64;
/// How long a closing store waits for a box that hangs.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

enum Job {
    Write { payload: Vec<u8>, row: u64 },
    Reopen,
    Close,
}

/// What the box has confirmed.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// The box holds all rows up to here.
    pub row: u64,
    /// Where it ends.
    pub end: End,
    /// Why it takes nothing now.
    pub failed: Option<String>,
    closed: bool,
}

struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        // A panic elsewhere leaves whole values behind: every change is one assignment.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Keeper {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
    pub path: PathBuf,
    pub id: [u8; 16],
    pub device: u64,
    /// The newest row handed over.
    pub handed: u64,
}

impl Keeper {
    /// Starts the thread. The box holds all rows up to `row`.
    pub fn start(file: BoxFile, row: u64) -> Result<Keeper, StoreError> {
        let (jobs, queue) = sync_channel(QUEUE);
        let progress = Progress { row, end: file.end, failed: None, closed: false };
        let shared = Arc::new(Shared { progress: Mutex::new(progress), changed: Condvar::new() });
        let (path, id, device) = (file.path().to_owned(), file.id, file.device);
        let mut worker = Worker { shared: shared.clone(), path: path.clone(), id, file: Some(file) };
        std::thread::Builder::new()
            .name("black-box".into())
            .spawn(move || worker.run(&queue))
            .map_err(StoreError::io("start a thread for", &path))?;
        Ok(Keeper { jobs, shared, path, id, device, handed: row })
    }

    /// Hands a commit over; `false` where the queue is full.
    pub fn hand(&mut self, payload: Vec<u8>, row: u64) -> bool {
        let taken = self.jobs.try_send(Job::Write { payload, row }).is_ok();
        if taken {
            self.handed = row;
        }
        taken
    }

    pub fn progress(&self) -> Progress {
        self.shared.progress().clone()
    }

    /// Waits until the box holds `row`; `false` after the deadline or a failure.
    pub fn wait(&self, row: u64, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut progress = self.shared.progress();
        while progress.row < row && progress.failed.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            progress = match self.shared.changed.wait_timeout(progress, left) {
                Ok((progress, _)) => progress,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        progress.row >= row
    }

    /// Tries a failed box again; what was queued behind the failure is forgotten.
    pub fn reopen(&mut self) {
        if !matches!(self.jobs.try_send(Job::Reopen), Err(TrySendError::Full(_))) {
            self.handed = self.progress().row;
        }
    }

    /// Lets the thread finish what it has; a thread that hangs is left behind.
    pub fn close(self) {
        if self.jobs.try_send(Job::Close).is_err() {
            return;
        }
        let deadline = Instant::now() + CLOSE_WAIT;
        let mut progress = self.shared.progress();
        while !progress.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::warn!(path = %self.path.display(), "the black box does not answer and is left behind");
                return;
            }
            progress = match self.shared.changed.wait_timeout(progress, left) {
                Ok((progress, _)) => progress,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    path: PathBuf,
    id: [u8; 16],
    file: Option<BoxFile>,
}

impl Worker {
    fn run(&mut self, queue: &Receiver<Job>) {
        let mut payloads = Vec::new();
        while let Ok(first) = queue.recv() {
            let mut row = None;
            let mut next = Some(first);
            let mut after = None;
            while let Some(job) = next.take() {
                match job {
                    Job::Write { payload, row: at } => {
                        payloads.push(payload);
                        row = Some(at);
                        next = queue.try_recv().ok();
                    }
                    other => after = Some(other),
                }
            }
            if let Some(row) = row {
                self.write(&payloads, row);
                payloads.clear();
            }
            match after {
                Some(Job::Close) => break,
                Some(Job::Reopen) => self.reopen(),
                Some(Job::Write { .. }) | None => {}
            }
        }
        self.file = None;
        self.shared.progress().closed = true;
        self.shared.changed.notify_all();
    }

    fn write(&mut self, payloads: &[Vec<u8>], row: u64) {
        let Some(file) = &mut self.file else { return };
        let written = file.append(payloads);
        let end = file.end;
        if let Err(error) = written {
            return self.fail(error.to_string());
        }
        let mut progress = self.shared.progress();
        (progress.row, progress.end) = (row, end);
        drop(progress);
        self.shared.changed.notify_all();
        if let Some(Err(error)) = self.file.as_mut().map(BoxFile::grow_ahead) {
            self.fail(error.to_string());
        }
    }

    fn fail(&mut self, why: String) {
        tracing::error!(path = %self.path.display(), why, "the black box takes no more; sales go on without it");
        self.file = None;
        self.shared.progress().failed = Some(why);
        self.shared.changed.notify_all();
    }

    fn reopen(&mut self) {
        if self.file.is_some() {
            return;
        }
        let end = self.shared.progress().end;
        // Only a file that is there: making a new one in an empty mount point would hide the old box.
        let opened = if self.path.exists() { BoxFile::open(&self.path).map(Some) } else { Ok(None) };
        match opened {
            Ok(None) => {}
            Ok(Some(mut file)) if file.id == self.id && file.ends_at(end).unwrap_or(false) => {
                // What lies behind the last confirmed record was never promised; it is written again.
                match file.cut(end) {
                    Ok(()) => {
                        self.file = Some(file);
                        self.shared.progress().failed = None;
                    }
                    Err(error) => self.shared.progress().failed = Some(error.to_string()),
                }
            }
            Ok(Some(_)) => {
                let why = "another file is in its place; it is examined at the next start";
                self.shared.progress().failed = Some(why.into());
            }
            Err(error) => self.shared.progress().failed = Some(error.to_string()),
        }
    }
}
