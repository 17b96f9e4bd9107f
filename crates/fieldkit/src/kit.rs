//! Opening a kit: storage, state, engine, loop — from files to a desk that takes asks.
//!
//! Promises: the state on disk is used only where it belongs to this journal; anything else is folded anew. A kit that
//! failed to start three times in a row starts in safe mode.

use crate::cli::Common;
use crate::client::Client;
use crate::config;
use crate::devices::Device;
use crate::identity::Identity;
use crate::people::Owner;
use crate::pictures::Pictures;
use crate::projector::{Past, Projector, Waiting};
use crate::say;
use crate::shop::{Attach, Pace, Shop, Terminals};
use crate::standing::{Standing, count_start, uncount_start};
use anyhow::{Context, Result, bail};
use axum::Router;
use fieldkit_core::body::{Prices, Seller, TaxRate};
use fieldkit_core::decide::{Founding, NewEvent};
use fieldkit_core::id::{Hash, OpId, ReplicaKey, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Actor, SealedOp};
use fieldkit_core::snapshot;
use fieldkit_engine::{Engine, Input, Output, Policy as Sharing, Succession};
use fieldkit_http::Policy;
use fieldkit_http::desk::{Ask, DESK_QUEUE_MAX, Desk};
use fieldkit_sqlite::state::{StateReader, StateWriter};
use fieldkit_sqlite::views::{ViewsReader, ViewsWriter};
use fieldkit_sqlite::{BLACK_BOX, Batch, BlackBoxPlace, Options, SignedHead, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Ops folded between two writes of the state while it is rebuilt.
const FOLD_OPS: u64 = 4_096;
/// Changes that an open page may lag behind before it must look anew.
const UPDATES_MAX: usize = 1_024;

/// How long a command waits for another one that holds the directory. One command holds it for some 20 ms.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often it looks; the system's lock knows no wait with a deadline.
const LOCK_POLL: Duration = Duration::from_millis(10);

/// Where and how to open a kit.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory.
    pub data: PathBuf,
    /// The second copy, by flag or environment.
    black_box: Option<String>,
    /// Whether failed starts are counted.
    watched: bool,
    /// Devices to open, one per role.
    pub devices: Vec<Device>,
}

impl Settings {
    /// A directory, with everything else as the environment says or as it is built in.
    pub fn at(data: &Path) -> Self {
        Settings {
            data: data.to_owned(),
            black_box: std::env::var("FIELDKIT_BLACK_BOX").ok(),
            watched: false,
            devices: Vec::new(),
        }
    }

    /// From the command line.
    pub fn new(common: &Common, data: PathBuf) -> Self {
        Settings { data, black_box: common.black_box.clone(), watched: false, devices: Vec::new() }
    }

    /// The same for a daemon: failed starts are counted.
    pub fn watched(&self) -> Self {
        Settings { watched: true, ..self.clone() }
    }

    pub(crate) fn options(&self) -> Result<Options> {
        let config = config::load(&self.data)?;
        let place = match self.black_box.as_deref().or(config.black_box.as_deref()) {
            None => BlackBoxPlace::InData,
            Some("off") => BlackBoxPlace::Off,
            Some(dir) => BlackBoxPlace::At(Path::new(dir).join(BLACK_BOX)),
        };
        Ok(Options::new(&self.data, place))
    }
}

/// A kit that runs in this process.
pub struct Running {
    /// Where asks go.
    pub desk: Desk,
    pictures: Arc<Pictures>,
    replica: ReplicaKey,
    groups: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
    /// Turns true where the loop ends to begin anew.
    pub ended: tokio::sync::watch::Receiver<bool>,
    thread: JoinHandle<()>,
}

/// What a kit shows right after it was founded.
pub struct Founded {
    /// Its key.
    pub replica: ReplicaKey,
    /// Its event.
    pub event: Option<OpId>,
}

impl Running {
    /// Opens the kit and starts its loop.
    pub fn start(settings: &Settings) -> Result<Running> {
        if !Identity::exists(&settings.data) {
            return Err(crate::known::no_kit(&settings.data));
        }
        let identity = Identity::load(&settings.data).context("nothing was opened or changed")?;
        let safe_mode = settings.watched && count_start(&settings.data);
        let options = settings.options()?;
        let opened = if safe_mode { Store::open_black_box_only(&options) } else { Store::open(&options) };
        if settings.watched && matches!(opened, Err(StoreError::Locked { .. })) {
            uncount_start(&settings.data);
        }
        let (mut store, report) = opened.map_err(with_hint)?;
        if !safe_mode && (report.adopted > 0 || report.rebuilt > 0) {
            say::talk(&format!(
                "the journal was behind its black box: {} entries were taken over; nothing is lost",
                report.adopted.max(report.rebuilt)
            ));
        }
        let replica = identity.replica();
        let mut folded = fold(&mut store, identity, settings, safe_mode)?;
        if settings.watched {
            // A command that runs alone ends before anybody could put the kit back under it.
            folded.engine.guard(crate::identity::random()?, Sharing::default());
        }
        let ledger = folded.engine.ledger();
        let standing = Standing::new(&settings.data, ledger, &store, &report, safe_mode, settings.watched);
        for notice in standing.box_warnings() {
            say::talk(&format!("warning: {} {}", notice.text, notice.next_step));
        }
        let actor = ledger.persons.keys().next().map_or(Actor::Device(Zero), |person| Actor::Person(*person));
        let projector = Projector::start(folded.state_writer, folded.views_writer, folded.past)?;
        let groups = Arc::new(AtomicU64::new(0));
        let (asks, receiver) = sync_channel(DESK_QUEUE_MAX);
        let (updates, _) = tokio::sync::broadcast::channel(UPDATES_MAX);
        let attach = attach(settings, &asks)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let shop = Shop {
            asks: receiver,
            engine: folded.engine,
            store,
            state: folded.state,
            projector,
            updates: updates.clone(),
            standing,
            data: settings.data.clone(),
            label: folded.label,
            succession: folded.succession,
            actor,
            terminals: Terminals::none(),
            pages: BTreeSet::new(),
            boxed: None,
            attach,
            stopping: stopping.clone(),
            pace: Pace::new(folded.newest, groups.clone()),
        };
        let (end, ended) = tokio::sync::watch::channel(false);
        let thread = std::thread::Builder::new().name("shop".into()).spawn(move || {
            // Whoever serves may be gone already.
            let _ = end.send(shop.run());
        })?;
        let pictures = Arc::new(Pictures::new(&settings.data));
        Ok(Running { desk: Desk { asks, updates }, pictures, replica, groups, stopping, ended, thread })
    }

    /// Opens the kit once no other command holds it; a daemon that serves is not waited for.
    pub async fn start_when_free(settings: &Settings) -> Result<Running> {
        let settings = settings.clone();
        when_free(&settings.data.clone(), move || Running::start(&settings)).await
    }

    /// Pages and API for this kit.
    pub fn router(&self, policy: Policy) -> Router {
        fieldkit_http::router(self.desk.clone(), policy, self.pictures.clone())
    }

    /// Group commits so far.
    pub fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    /// What it shows right after it was founded.
    pub fn founded(&self) -> Result<Founded> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let look = Ask::Look(Box::new(move |shelf| {
            // The asker waits below.
            let _ = sender.send(shelf.event);
        }));
        if self.desk.ask(look).is_err() {
            bail!("the kit ended");
        }
        Ok(Founded { replica: self.replica, event: receiver.recv()? })
    }

    /// Finishes what was begun and closes the journal. All other desks must be gone.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        drop(self.desk);
        if self.thread.join().is_err() {
            say::talk("error: the loop ended badly; started again, the kit checks everything first");
        }
    }
}

/// What the loop needs for its devices; nothing where there are none.
fn attach(settings: &Settings, asks: &SyncSender<Ask>) -> Result<Option<Attach>> {
    if !settings.watched {
        return Ok(None);
    }
    let runtime = Handle::try_current().context("devices need a runtime")?;
    Ok(Some(Attach { devices: settings.devices.clone(), runtime, asks: asks.clone() }))
}

/// Does `open` once no other command holds `data`; a daemon that serves is not waited for.
pub async fn when_free<T, F>(data: &Path, open: F) -> Result<T>
where
    T: Send + 'static,
    F: Fn() -> Result<T> + Clone + Send + 'static,
{
    let begun = Instant::now();
    loop {
        let opened = tokio::task::spawn_blocking(open.clone()).await?;
        match opened {
            Err(error) if is_locked(&error) && begun.elapsed() < LOCK_WAIT && Client::daemon(data).await.is_none() => {
                tokio::time::sleep(LOCK_POLL).await;
            }
            other => return other,
        }
    }
}

/// Whether another process holds the directory.
pub fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<StoreError>(), Some(StoreError::Locked { .. }))
}

/// Everything folded.
struct Folded {
    engine: Engine,
    state_writer: StateWriter,
    views_writer: ViewsWriter,
    state: StateReader,
    past: Past,
    label: String,
    succession: Option<Succession>,
    newest: (u64, Hash),
}

/// Folds the journal: from the state on disk where it fits, else from the start.
fn fold(store: &mut Store, identity: Identity, settings: &Settings, safe_mode: bool) -> Result<Folded> {
    let data = &settings.data;
    // In safe mode the derived files may be what fails: others are made beside them.
    let scratch = safe_mode.then(|| data.join("safe-mode"));
    let dir = scratch.as_ref().unwrap_or(data);
    if let Some(scratch) = &scratch {
        std::fs::create_dir_all(scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    }
    let forked = store.has_branches();
    let (mut state, mut views) = writers(store, dir, forked).map_err(with_hint)?;
    let reader = StateReader::open(dir).map_err(with_hint)?;
    // Views that lag behind the state are filled by folding again from where they stand: from the start, that is.
    let snapshot = match reader.snapshot() {
        Ok(found) => found.filter(|found| found.row <= views.row()),
        Err(error) => {
            tracing::warn!("{error}; the journal is folded anew");
            None
        }
    };
    let snapshot = snapshot.and_then(|found| Some((found.row, snapshot::read(&found.bytes).ok()?)));
    let (row, ledger) = snapshot.unwrap_or_default();
    if row == 0 && views.row() > 0 {
        views = ViewsWriter::begin_anew(dir).map_err(with_hint)?;
    }
    let (label, succession) = (identity.label, identity.succession);
    let mut engine = Engine::new(ledger, identity.key, identity.follows);
    let mut folder =
        Folder { state: &mut state, views: &mut views, reader: &reader, rows: BTreeMap::new(), pending: 0 };
    if forked {
        folder.all(&mut engine, store).map_err(with_hint)?;
    }
    let row = if forked { store.last_row() } else { row };
    let total = store.last_row();
    let mut newest = (row, store.row_hash(row).map_err(with_hint)?.unwrap_or_default());
    let mut told = Instant::now();
    let walked = store.replay(row, &mut |at, op: SealedOp| {
        newest = (at, op.hash);
        folder.fold(&mut engine, newest, &op)?;
        if told.elapsed() > Duration::from_secs(2) {
            told = Instant::now();
            say::talk(&format!("folding the journal: {at} of {total} entries"));
        }
        Ok::<(), StoreError>(())
    });
    walked.map_err(with_hint)?;
    if folder.pending > 0 {
        folder.flush(&mut engine, newest, newest.0).map_err(with_hint)?;
    }
    let signed = store.signed_heads().map_err(with_hint)?;
    engine.signed(&signed.into_iter().map(|signed| (signed.stream, signed.head)).collect());
    let past = Past { state: reader, views: ViewsReader::open(dir).map_err(with_hint)? };
    let state_reader = StateReader::open(dir).map_err(with_hint)?;
    Ok(Folded {
        engine,
        state_writer: state,
        views_writer: views,
        state: state_reader,
        past,
        label,
        succession,
        newest,
    })
}

/// The files to fold into: as they are, or begun anew where a fork changes what stands in them.
fn writers(store: &Store, dir: &Path, forked: bool) -> Result<(StateWriter, ViewsWriter), StoreError> {
    if forked {
        return Ok((StateWriter::begin_anew(dir)?, ViewsWriter::begin_anew(dir)?));
    }
    let state = StateWriter::open(dir, &mut |row| store.row_hash(row))?;
    Ok((state, ViewsWriter::open(dir, &mut |row| store.row_hash(row))?))
}

/// Folds ops and writes the state now and then, so that memory stays bounded.
struct Folder<'a> {
    state: &'a mut StateWriter,
    views: &'a mut ViewsWriter,
    reader: &'a StateReader,
    rows: BTreeMap<OpId, u64>,
    pending: u64,
}

impl Folder<'_> {
    fn fold(&mut self, engine: &mut Engine, newest: (u64, Hash), op: &SealedOp) -> Result<(), StoreError> {
        let wanted = Ledger::wants(op).filter(|id| !engine.ledger().orders.contains_key(id));
        let order = wanted.map_or(Ok(None), |id| self.reader.order(&id))?;
        engine.fold(op, order);
        self.rows.insert(op.id(), newest.0);
        self.pending += 1;
        if self.pending >= FOLD_OPS { self.flush(engine, newest, newest.0) } else { Ok(()) }
    }

    /// Folds everything at once, branches of forked streams too: which of them is the stream is known at the end only.
    fn all(&mut self, engine: &mut Engine, store: &mut Store) -> Result<(), StoreError> {
        say::talk("two histories of one kit came together; everything is counted anew");
        let mut ops = Vec::new();
        let mut newest = (0, Hash::default());
        store.replay(0, &mut |at, op: SealedOp| {
            newest = (at, op.hash);
            ops.push(op);
            Ok::<(), StoreError>(())
        })?;
        // Where two ops have one name, either place will do: only one of them is folded.
        self.rows.extend(ops.iter().zip(1..).map(|(op, row)| (op.id(), store.place_of_row(row))));
        for (position, op) in store.branches()? {
            self.rows.entry(op.id()).or_insert(position.0);
            ops.push(op);
        }
        engine.fold_all(&ops);
        self.flush(engine, newest, store.place_of_row(newest.0))
    }

    fn flush(&mut self, engine: &mut Engine, newest: (u64, Hash), newest_place: u64) -> Result<(), StoreError> {
        let projection = engine.take_folded();
        let turn = projection.turn;
        let mut waiting = Waiting::default();
        waiting.add(projection, newest_place, &self.rows);
        let mut rows = waiting.rows(engine.ledger(), newest);
        rows.snapshot = Some(engine.ledger().state_bytes());
        rows.write(self.state, self.views)?;
        engine.handle(Input::Projected(turn));
        self.rows.clear();
        self.pending = 0;
        Ok(())
    }
}

/// Founds an organisation: the key first, then the ops, durable before this returns.
pub fn open_new(settings: &Settings, identity: &Identity, founding: &Founding, owner: &Owner) -> Result<()> {
    let data = &settings.data;
    if Identity::exists(data) {
        let (store, _) = Store::open(&settings.options()?).map_err(with_hint)?;
        if store.last_row() > 0 {
            bail!("there is a kit in {} already; nothing was changed", data.display());
        }
    }
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    let (mut store, _) = Store::open(&settings.options()?).map_err(with_hint)?;
    if store.last_row() > 0 {
        bail!("there is a journal in {} already; nothing was changed", data.display());
    }
    identity.save(data)?;
    let mut engine = Engine::new(Ledger::default(), identity.key.clone(), None);
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let wall_ms = u64::try_from(wall).unwrap_or(0);
    engine
        .found(founding, wall_ms, fieldkit_core::stamp::ClockQuality::System)
        .map_err(|refusal| anyhow::anyhow!("{refusal}. {}", refusal.next_step()))?;
    let person = engine.ledger().persons.keys().next().copied();
    engine.handle(Input::SignDue);
    engine.handle(Input::EndOfBatch);
    while let Some(output) = engine.poll_output() {
        if let Output::Append(turn) = output {
            let signed = |(stream, head, signature): &(_, _, _)| SignedHead {
                stream: *stream,
                head: *head,
                signature: *signature,
            };
            let heads: Vec<SignedHead> = turn.heads.iter().map(signed).collect();
            store.commit(Batch { ops: &turn.ops, heads: &heads, branches: &turn.branches }).map_err(with_hint)?;
            engine.handle(Input::Synced);
        }
    }
    store.close().map_err(with_hint)?;
    if let Some(person) = person {
        owner.seal(data, person)?;
    }
    Ok(())
}

/// A storage error with its next step.
pub(crate) fn with_hint(error: StoreError) -> anyhow::Error {
    let hint = error.hint();
    anyhow::Error::new(error).context(format!("the kit's storage was not opened. Next: {hint}"))
}

/// A stall to be founded by programs: the bench and tests.
pub struct Stall {
    name: &'static str,
    event: NewEvent,
}

impl Stall {
    /// One event in euros, prices with 19 % tax inside.
    pub fn bench() -> Self {
        let seller = Seller { name: "Bench".to_owned(), address: String::new(), tax_id: String::new() };
        let rate = TaxRate { id: "standard".to_owned(), name: "VAT 19 %".to_owned(), ppm: 190_000 };
        let event = NewEvent {
            name: "Bench".to_owned(),
            zone: "Europe/Berlin".to_owned(),
            day_cutover_minutes: 240,
            currency: "EUR".to_owned(),
            seller,
            tax_rates: vec![rate],
            prices: Prices::Inclusive,
            training: false,
            clone_from: None,
        };
        Stall { name: "Bench", event }
    }

    /// Founds it; returns the recovery words.
    pub fn found(self, settings: &Settings) -> Result<String> {
        crate::commands::setup_found(settings, self.name, "bench kit", self.event)
    }
}
