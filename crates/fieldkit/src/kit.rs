//! Opening a kit: storage, state, engine, loop — from files to a desk that takes asks.
//!
//! Promises: the state on disk is used only where it belongs to this journal; anything else is folded anew. A kit that
//! failed to start three times in a row starts in safe mode.

use crate::cli::Common;
use crate::config;
use crate::identity::Identity;
use crate::people::Owner;
use crate::pictures::Pictures;
use crate::projector::{Past, Projector, Rows};
use crate::say;
use crate::shop::{Pace, Shop};
use crate::standing::{Standing, count_start};
use anyhow::{Context, Result, bail};
use axum::Router;
use fieldkit_core::decide::Founding;
use fieldkit_core::id::{OpId, ReplicaKey, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Actor, SealedOp};
use fieldkit_core::snapshot;
use fieldkit_engine::{Engine, Input, Output};
use fieldkit_http::Policy;
use fieldkit_http::desk::{DESK_QUEUE_MAX, Desk};
use fieldkit_sqlite::state::{Projection, StateReader, StateWriter};
use fieldkit_sqlite::views::Views;
use fieldkit_sqlite::{Batch, BlackBoxPlace, Options, SignedHead, Store, StoreError};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ops folded between two writes of the state while it is rebuilt.
const FOLD_OPS: u64 = 4_096;
/// Changes that an open page may lag behind before it must look anew.
const UPDATES_MAX: usize = 1_024;

/// Where and how to open a kit.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory.
    pub data: PathBuf,
    /// The second copy, by flag or environment.
    black_box: Option<String>,
    /// Whether failed starts are counted.
    watched: bool,
}

impl Settings {
    /// From the command line.
    pub fn new(common: &Common, data: PathBuf) -> Self {
        Settings { data, black_box: common.black_box.clone(), watched: false }
    }

    /// The same for a daemon: failed starts are counted.
    pub fn watched(&self) -> Self {
        Settings { watched: true, ..self.clone() }
    }

    fn options(&self) -> Result<Options> {
        let config = config::load(&self.data)?;
        let place = match self.black_box.as_deref().or(config.black_box.as_deref()) {
            None => BlackBoxPlace::InData,
            Some("off") => BlackBoxPlace::Off,
            Some(dir) => BlackBoxPlace::At(PathBuf::from(dir)),
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
        let identity = Identity::load(&settings.data)
            .with_context(|| "nothing was opened; make a kit with `fieldkit init --name NAME`, or try `fieldkit demo`")?;
        let safe_mode = settings.watched && count_start(&settings.data);
        let options = settings.options()?;
        let opened = if safe_mode { Store::open_black_box_only(&options) } else { Store::open(&options) };
        let (mut store, report) = opened.map_err(with_hint)?;
        if report.adopted > 0 || report.rebuilt > 0 {
            say::talk(&format!(
                "the journal was behind its black box: {} entries were taken over; nothing is lost",
                report.adopted.max(report.rebuilt)
            ));
        }
        let replica = identity.replica();
        let folded = fold(&mut store, identity, settings, safe_mode)?;
        let ledger = folded.engine.ledger();
        let standing = Standing::new(&settings.data, ledger, &store, &report, safe_mode, settings.watched);
        let actor = ledger.persons.keys().next().map_or(Actor::Device(Zero), |person| Actor::Person(*person));
        let projector = Projector::start(folded.writer, folded.past)?;
        let (asks, receiver) = sync_channel(DESK_QUEUE_MAX);
        let (updates, _) = tokio::sync::broadcast::channel(UPDATES_MAX);
        let shop = Shop {
            engine: folded.engine,
            store,
            state: folded.state,
            projector,
            updates: updates.clone(),
            standing,
            data: settings.data.clone(),
            label: folded.label,
            actor,
            pace: Pace::default(),
        };
        let thread = std::thread::Builder::new().name("shop".into()).spawn(move || shop.run(&receiver))?;
        let pictures = Arc::new(Pictures::new(&settings.data));
        Ok(Running { desk: Desk { asks, updates }, pictures, replica, thread })
    }

    /// Pages and API for this kit.
    pub fn router(&self, policy: Policy) -> Router {
        fieldkit_http::router(self.desk.clone(), policy, self.pictures.clone())
    }

    /// What it shows right after it was founded.
    pub fn founded(&self) -> Result<Founded> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let look = fieldkit_http::desk::Ask::Look(Box::new(move |shelf| drop(sender.send(shelf.event))));
        if self.desk.ask(look).is_err() {
            bail!("the kit ended");
        }
        Ok(Founded { replica: self.replica, event: receiver.recv()? })
    }

    /// Finishes what was begun and closes the journal. All other desks must be gone.
    pub fn stop(self) {
        drop(self.desk);
        if self.thread.join().is_err() {
            say::talk("error: the loop ended badly; started again, the kit checks everything first");
        }
    }
}

/// Everything folded.
struct Folded {
    engine: Engine,
    writer: StateWriter,
    state: StateReader,
    past: Past,
    label: String,
}

/// Folds the journal: from the state on disk where it fits, else from the start.
fn fold(store: &mut Store, identity: Identity, settings: &Settings, safe_mode: bool) -> Result<Folded> {
    let data = &settings.data;
    // In safe mode the derived files may be what fails: everything is folded in memory.
    let scratch = safe_mode.then(|| data.join("safe-mode"));
    let dir = scratch.as_ref().unwrap_or(data);
    if safe_mode {
        std::fs::create_dir_all(dir)?;
    }
    let (mut writer, mut reader) = open_state(dir)?;
    let mut views = Views::open(dir).map_err(with_hint)?;
    let fitting = fitting_snapshot(store, &reader, &views)?;
    let (row, ledger) = match fitting {
        Some(found) => found,
        None => {
            drop((writer, reader, views));
            StateWriter::delete(dir).map_err(with_hint)?;
            Views::delete(dir).map_err(with_hint)?;
            (writer, reader) = open_state(dir)?;
            views = Views::open(dir).map_err(with_hint)?;
            (0, Ledger::default())
        }
    };
    let label = identity.label.clone();
    let mut engine = Engine::new(ledger, identity.key, identity.follows);
    let mut folder = Folder { writer: &mut writer, reader: &reader, views: &mut views, last: row, pending: 0 };
    let total = store.last_row();
    let begun = Instant::now();
    let mut told = Instant::now();
    store.replay(row, &mut |at, op: SealedOp| {
        folder.fold(&mut engine, at, &op)?;
        if told.elapsed() > Duration::from_secs(2) {
            told = Instant::now();
            say::talk(&format!("folding the journal: {at} of {total}"));
        }
        Ok::<(), StoreError>(())
    })
    .map_err(with_hint)?;
    if folder.pending > 0 {
        folder.flush(&mut engine).map_err(with_hint)?;
    }
    tracing::debug!("folded {} ops in {:?}", total.saturating_sub(row), begun.elapsed());
    let state = StateReader::open(dir).map_err(with_hint)?;
    Ok(Folded { engine, writer, state, past: Past { state: reader, views }, label })
}

fn open_state(dir: &std::path::Path) -> Result<(StateWriter, StateReader)> {
    let writer = StateWriter::open(dir).map_err(with_hint)?;
    let reader = StateReader::open(dir).map_err(with_hint)?;
    Ok((writer, reader))
}

/// The state on disk, if its heads are heads of this journal and the views have kept up with it.
fn fitting_snapshot(store: &mut Store, reader: &StateReader, views: &Views) -> Result<Option<(u64, Ledger)>> {
    let Ok(Some(found)) = reader.snapshot() else { return Ok(None) };
    if found.row > store.last_row() || views.row().map_err(with_hint)? < found.row {
        return Ok(None);
    }
    let Ok(ledger) = snapshot::read(&found.ledger) else { return Ok(None) };
    for (stream, known) in &ledger.streams {
        let op = store.op(OpId { stream: *stream, seq: known.head.seq }).map_err(with_hint)?;
        if op.is_none_or(|op| op.hash != known.head.hash) {
            tracing::warn!("the state on disk belongs to another journal; it is folded anew");
            return Ok(None);
        }
    }
    Ok(Some((found.row, ledger)))
}

/// Folds ops and writes the state now and then, so that memory stays bounded.
struct Folder<'a> {
    writer: &'a mut StateWriter,
    reader: &'a StateReader,
    views: &'a mut Views,
    last: u64,
    pending: u64,
}

impl Folder<'_> {
    fn fold(&mut self, engine: &mut Engine, row: u64, op: &SealedOp) -> Result<(), StoreError> {
        let wanted = Ledger::wants(op).filter(|id| !engine.ledger().orders.contains_key(id));
        let order = match wanted {
            Some(id) => self.reader.order(id)?,
            None => None,
        };
        engine.fold(op, order);
        self.last = row;
        self.pending += 1;
        if self.pending >= FOLD_OPS { self.flush(engine) } else { Ok(()) }
    }

    fn flush(&mut self, engine: &mut Engine) -> Result<(), StoreError> {
        let projection = engine.take_folded();
        let mut rows = Rows::default();
        rows.views.collect(engine.ledger(), &projection.items, &projection.events);
        let commands: Vec<_> =
            projection.commands.into_iter().map(|(key, known)| (key, known.fingerprint, known.op)).collect();
        let bytes = engine.ledger().state_bytes();
        let state = Projection {
            row: self.last,
            orders: &projection.orders,
            commands: &commands,
            snapshot: Some(&bytes),
        };
        self.writer.put(&state)?;
        self.views.put(self.last, &projection.orders, &rows.views)?;
        engine.handle(Input::Projected(projection.turn));
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
    engine.handle(Input::EndOfBatch);
    while let Some(output) = engine.poll_output() {
        if let Output::Append(turn) = output {
            let signed = |(stream, head, signature): &(_, _, _)| SignedHead {
                stream: *stream,
                head: *head,
                signature: *signature,
            };
            let heads: Vec<SignedHead> = turn.heads.iter().map(signed).collect();
            store.commit(Batch { ops: &turn.ops, heads: &heads }).map_err(with_hint)?;
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
fn with_hint(error: StoreError) -> anyhow::Error {
    let hint = error.hint();
    anyhow::Error::new(error).context(format!("the kit's storage was not opened. Next: {hint}"))
}
