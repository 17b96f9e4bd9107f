//! How the kit stands: the event that sales go to, where copies are, the clock, and what the crew should know.
//!
//! Promises: every change that a person must hear of is a notice with a next step; the wall clock never makes the
//! ledger's time go back.

use fieldkit_core::body::RollbackNoticed;
use fieldkit_core::event::EventState;
use fieldkit_core::id::OpId;
use fieldkit_core::ledger::Ledger;
use fieldkit_core::stamp::ClockQuality;
use fieldkit_http::desk::{Durability, Notice};
use fieldkit_sqlite::space::Level;
use fieldkit_sqlite::{BoxAbsence, BoxState, StartReport, Store};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// No clock is believed that reads earlier than this build's month: 2026-11-01 UTC.
const BUILD_FLOOR_MS: u64 = 1_793_491_200_000;
/// How far back a clock may step before it is doubted.
const STEP_MS_MAX: u64 = 300_000;
/// Stands where the time service of systemd has set the clock since the machine was started: a second source.
const TIME_SERVICE_MARK: &str = "/run/systemd/timesync/synchronized";
/// Holds the chosen event's id.
const EVENT_FILE: &str = "event";
/// Counts starts that never came to serve.
const STARTS_FILE: &str = "starts";
/// So many fast failures in a row lead to safe mode.
pub const FAST_FAILURES_MAX: u32 = 3;
/// An end after this long without a sale is a power cut, not a fast failure.
const FAST_FAILURE_S_MAX: u64 = 5;

/// How the kit stands.
pub struct Standing {
    /// The event that sales go to.
    pub event: Option<OpId>,
    /// Where acknowledged ops are.
    pub durability: Durability,
    /// Whether only cash sales into the black box are possible.
    pub safe_mode: bool,
    /// Why nothing can be written, if so.
    pub no_space: Option<String>,
    /// What the crew should know.
    pub notices: Vec<Notice>,
    sticky: Vec<Notice>,
    /// Set while sales go to an event that nobody chose.
    moved_on: Option<Notice>,
    box_state: BoxState,
    box_absence: Option<BoxAbsence>,
    own_medium: bool,
    level: Level,
    lists_old: bool,
    starts: Option<(PathBuf, Instant)>,
}

impl Standing {
    /// After a start.
    pub fn new(data: &Path, ledger: &Ledger, store: &Store, report: &StartReport, safe_mode: bool, up: bool) -> Self {
        let mut standing = Standing {
            event: chosen(data, ledger),
            durability: Durability::OnThisKit,
            safe_mode,
            no_space: None,
            notices: Vec::new(),
            sticky: Vec::new(),
            moved_on: None,
            box_state: store.box_state(),
            box_absence: report.box_absence.clone(),
            own_medium: store.box_on_own_medium(),
            level: Level::Ok,
            lists_old: false,
            starts: up.then(|| (data.join(STARTS_FILE), Instant::now())),
        };
        if standing.own_medium && standing.box_state == BoxState::Whole {
            standing.durability = Durability::OnTwoDevices;
        }
        standing.tell_start(report);
        standing.refresh();
        standing
    }

    fn tell_start(&mut self, report: &StartReport) {
        let mut say = |level, code, text: String, next_step: &str| {
            self.sticky.push(Notice { level, code, text, next_step: next_step.to_owned() });
        };
        if self.safe_mode {
            say(
                "error",
                "safe_mode",
                "Safe mode: cash sales go into the black box, nothing else works.".into(),
                "Sell on; then copy the data directory away and run `fieldkit verify`.",
            );
        }
        if report.adopted > 0 && !self.safe_mode {
            let text =
                format!("The journal was behind its black box; {} entries were taken over from it.", report.adopted);
            say(
                "warn",
                "journal_behind_box",
                text,
                "Nothing is lost. Check this kit's disk or card before the next event.",
            );
        }
        if let Some(fault) = &report.journal_fault {
            let text = format!(
                "The journal was damaged ({fault}) and rebuilt from the black box: {} entries.",
                report.rebuilt
            );
            say(
                "error",
                "journal_rebuilt",
                text,
                "Nothing acknowledged is lost. Replace this kit's disk or card soon.",
            );
        }
        if let Some(fault) = &report.box_fault {
            say(
                "warn",
                "box_fault",
                format!("The black box has a fault: {fault}."),
                "Selling goes on with one copy. Put in another stick, or see `fieldkit status`.",
            );
        }
    }

    /// The time for the next op, and how far to believe it: never before the newest op known.
    pub fn time(&self, floor_ms: u64) -> (u64, ClockQuality) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let wall_ms = u64::try_from(wall).unwrap_or(0);
        (wall_ms.max(floor_ms), believed(wall_ms, floor_ms, Path::new(TIME_SERVICE_MARK).exists()))
    }

    /// What a person at the command line must hear before anything else: notices about the second copy.
    pub fn box_warnings(&self) -> impl Iterator<Item = &Notice> {
        self.notices
            .iter()
            .filter(|notice| matches!(notice.code, "box_missing" | "box_not_named" | "box_new" | "box_fault"))
    }

    /// Notes how the box stands after the storage was looked after: one that was missing may be back.
    pub fn looked_after(&mut self, store: &Store, box_state: BoxState) -> bool {
        let returned = !self.own_medium && store.box_on_own_medium();
        self.own_medium |= returned;
        self.saw(self.durability, box_state) || returned
    }

    /// Notes where the last ops went; says whether anything changed.
    pub fn saw(&mut self, durability: Durability, box_state: BoxState) -> bool {
        let durability = match box_state {
            BoxState::Whole if self.own_medium => Durability::OnTwoDevices,
            BoxState::Whole => durability,
            BoxState::Off | BoxState::Behind => Durability::OnThisKit,
        };
        let changed = self.durability != durability || self.box_state != box_state;
        (self.durability, self.box_state) = (durability, box_state);
        if box_state == BoxState::Whole && matches!(self.box_absence, Some(BoxAbsence::NotThere(_))) {
            // It came back; from here on it can fall behind like any other.
            self.box_absence = None;
        }
        if changed {
            self.refresh();
        }
        changed
    }

    /// Looks at the disk's free space and at the lists; says whether anything changed.
    pub fn look_at_space(&mut self, store: &mut Store, lists_old: bool) -> bool {
        let level = store.space().map_or(Level::Ok, |space| space.level);
        let changed = level != self.level || lists_old != self.lists_old;
        (self.level, self.lists_old) = (level, lists_old);
        if changed {
            let critical = level == Level::Critical;
            self.no_space = critical.then(|| "there is no space to record a sale on this kit's disk".to_owned());
            self.refresh();
        }
        changed
    }

    /// Notes a roll-back.
    pub fn rolled_back(&mut self, noticed: &RollbackNoticed) {
        let RollbackNoticed { witness, seen, found, .. } = noticed;
        let text = match witness.as_str() {
            "journal" => "This kit's key is older than its journal, as after an old image was put back. \
                          It goes on as a new replica with a new receipt series."
                .to_owned(),
            _ => format!(
                "This kit went back in time: a {witness} had seen entry {seen}, this kit holds {found}. \
                 It goes on as a new replica with a new receipt series."
            ),
        };
        let next_step = "Sales that are missing here may be on the black box or on slips; keep them.".to_owned();
        self.sticky.push(Notice { level: "error", code: "rolled_back", text, next_step });
        self.refresh();
    }

    /// Lets sales go to `event` if it is open. If it was just closed they stay where they were, or go to the newest open
    /// one, and a notice says so.
    pub fn choose(&mut self, ledger: &Ledger, event: OpId, data: &Path) {
        let open = |id: &OpId| ledger.events.get(id).is_some_and(|event| event.state() == EventState::Open);
        let chosen = Some(event).filter(open);
        let kept = chosen.or(self.event.filter(open));
        if chosen.is_some() || kept.is_none() {
            self.moved_on = None;
        }
        self.event = kept.or_else(|| newest_open(ledger));
        if let (None, Some(next)) = (kept, self.event) {
            self.moved_on = moved_on(ledger, event, next);
        }
        self.refresh();
        remember(data, self.event);
    }

    /// The kit serves: the count of failed starts ends.
    pub fn started(&mut self) {
        if let Some((path, _)) = self.starts.take() {
            remove_quietly(&path);
        }
    }

    /// Nothing happens: a start that has lasted this long did not fail, though nobody bought anything.
    pub fn idle(&mut self) {
        let lasted = |(_, begun): &(PathBuf, Instant)| begun.elapsed() >= Duration::from_secs(FAST_FAILURE_S_MAX);
        if self.starts.as_ref().is_some_and(lasted) {
            self.started();
        }
    }

    /// `healthy`, `behind`, `missing` or `off`.
    pub fn box_word(&self) -> &'static str {
        match self.box_state {
            BoxState::Off => "off",
            BoxState::Whole => "healthy",
            BoxState::Behind if matches!(self.box_absence, Some(BoxAbsence::NotThere(_))) => "missing",
            BoxState::Behind => "behind",
        }
    }

    /// Whether the box lies on the kit's own medium.
    pub fn box_same_medium(&self) -> bool {
        !self.own_medium
    }

    fn refresh(&mut self) {
        let mut notices = self.sticky.clone();
        notices.extend(self.moved_on.clone());
        let mut say = |level, code, text: &str, next_step: &str| {
            notices.push(Notice { level, code, text: text.to_owned(), next_step: next_step.to_owned() });
        };
        match (&self.box_absence, self.box_state) {
            (Some(BoxAbsence::NotThere(dir)), BoxState::Behind) => say(
                "warn",
                "box_missing",
                &format!("There is no second copy: the black box is not in {}{}.", dir.display(), where_it_was(dir)),
                "Put the stick in and mount it; the box catches up by itself. For another place start with --black-box DIR.",
            ),
            (Some(BoxAbsence::NotNamed(dir)), _) => say(
                "warn",
                "box_not_named",
                &format!("The second copy was in {}, and this start was not told so.", dir.display()),
                &format!(
                    "Start with --black-box {dir}, or write black_box = {dir:?} into kit.toml. To keep it here, name the data directory.",
                    dir = dir.display()
                ),
            ),
            (Some(BoxAbsence::BegunAnew(dir)), BoxState::Whole | BoxState::Behind) => say(
                "warn",
                "box_new",
                &format!("There was no black box of this kit in {}; a new one was begun.", dir.display()),
                "It holds everything again. Keep the old stick, if it is somewhere: it is another copy, up to when it was used.",
            ),
            _ => {}
        }
        match self.box_state {
            BoxState::Behind if matches!(self.box_absence, Some(BoxAbsence::NotThere(_))) => {}
            BoxState::Behind => say(
                "warn",
                "box_behind",
                "There is no second copy now: the black box is missing, full or slow.",
                "Selling goes on. Put the stick back; it catches up by itself.",
            ),
            BoxState::Whole if !self.own_medium => say(
                "info",
                "box_same_medium",
                "The second copy lies on the same disk: it survives a damaged file, not a lost disk.",
                "Start with --black-box DIR on a stick.",
            ),
            BoxState::Whole | BoxState::Off => {}
        }
        match self.level {
            Level::Ok => {}
            Level::Low => say("warn", "space_low", "The disk is nearly full.", "Free space within the next hours."),
            Level::Critical => say(
                "error",
                "no_space",
                "The disk is full: new sales are refused before they start.",
                "Free space on this disk; the till goes on by itself.",
            ),
        }
        if self.lists_old {
            say(
                "warn",
                "lists_old",
                "Lists and reports cannot be written; they may be old. Sales are safe.",
                "Restart the kit; they are rebuilt.",
            );
        }
        self.notices = notices;
    }
}

/// Counts this start; `true` where too many in a row failed fast.
pub fn count_start(data: &Path) -> bool {
    let path = data.join(STARTS_FILE);
    let failed: u32 = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    if let Err(error) = std::fs::write(&path, format!("{}\n", failed.saturating_add(1))) {
        tracing::warn!("starts cannot be counted: {error}");
    }
    failed >= FAST_FAILURES_MAX
}

/// Takes a start back that was none: another daemon holds the directory.
pub fn uncount_start(data: &Path) {
    let path = data.join(STARTS_FILE);
    let counted: u32 = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    match counted.saturating_sub(1) {
        0 => remove_quietly(&path),
        before => {
            if let Err(error) = std::fs::write(&path, format!("{before}\n")) {
                tracing::warn!("starts cannot be counted: {error}");
            }
        }
    }
}

/// The event to which sales go. It stays, whatever another kit opens later, until it is closed or somebody chooses.
fn chosen(data: &Path, ledger: &Ledger) -> Option<OpId> {
    let text = std::fs::read_to_string(data.join(EVENT_FILE)).ok();
    let id = text.and_then(|text| OpId::from_text(text.trim()));
    let open = |id: &OpId| ledger.events.get(id).is_some_and(|event| event.state() == EventState::Open);
    id.filter(open).or_else(|| {
        let newest = newest_open(ledger);
        newest.inspect(|event| remember(data, Some(*event)))
    })
}

fn remember(data: &Path, event: Option<OpId>) {
    let text = event.map(|id| id.text()).unwrap_or_default();
    if let Err(error) = std::fs::write(data.join(EVENT_FILE), text) {
        tracing::warn!("the chosen event cannot be remembered: {error}");
    }
}

/// How far a wall clock is to be believed; `confirmed` by a time service, which no newer op may contradict.
fn believed(wall_ms: u64, floor_ms: u64, confirmed: bool) -> ClockQuality {
    let floor_ms = floor_ms.max(BUILD_FLOOR_MS);
    if wall_ms.saturating_add(STEP_MS_MAX) < floor_ms {
        ClockQuality::Unverified
    } else if confirmed && wall_ms >= floor_ms {
        ClockQuality::Confirmed
    } else {
        ClockQuality::System
    }
}

/// What stands in the place of a box that is not there.
fn where_it_was(dir: &Path) -> &'static str {
    if dir.is_dir() {
        ", which is on this kit's own disk now: no stick is mounted there"
    } else {
        ", which does not exist now"
    }
}

/// Sales that go to another event unasked must not surprise anyone.
fn moved_on(ledger: &Ledger, from: OpId, to: OpId) -> Option<Notice> {
    let name = |id: &OpId| ledger.events.get(id).map(|event| event.opened.name.as_str());
    let text = format!("{} is closed; sales go to {} now.", name(&from)?, name(&to)?);
    let next_step = "To sell elsewhere, choose another event or make one on the Event page.".to_owned();
    Some(Notice { level: "warn", code: "event_moved_on", text, next_step })
}

fn newest_open(ledger: &Ledger) -> Option<OpId> {
    let open = ledger.events.iter().filter(|(_, event)| event.state() == EventState::Open);
    open.max_by_key(|(id, event)| (event.opened_ms, **id)).map(|(id, _)| *id)
}

fn remove_quietly(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => tracing::warn!("{}: {error}", path.display()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fieldkit_core::body::{EventOpened, Prices, Seller};
    use fieldkit_core::event::Event;
    use fieldkit_core::id::StreamId;
    use fieldkit_core::money::Currency;

    fn id(seq: u64) -> OpId {
        OpId { stream: StreamId([1; 16]), seq }
    }

    /// Three open events, called 1 to 3, the last one the newest.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for seq in 1..=3 {
            let opened = EventOpened {
                name: seq.to_string(),
                zone: "UTC".to_owned(),
                day_cutover_minutes: 0,
                currency: Currency::from_code("EUR").expect("EUR is in ISO 4217"),
                seller: Seller { name: String::new(), address: String::new(), tax_id: String::new() },
                tax_rates: vec![],
                prices: Prices::Inclusive,
                training: false,
                fold_version: 1,
                cloned_from: None,
            };
            ledger.events.insert(id(seq), Event::new(opened, seq));
        }
        ledger
    }

    fn standing() -> Standing {
        Standing {
            event: Some(id(2)),
            durability: Durability::OnThisKit,
            safe_mode: false,
            no_space: None,
            notices: vec![],
            sticky: vec![],
            moved_on: None,
            box_state: BoxState::Off,
            box_absence: None,
            own_medium: false,
            level: Level::Ok,
            lists_old: false,
            starts: None,
        }
    }

    #[test]
    fn a_clock_is_confirmed_by_a_time_service_and_not_against_newer_ops() {
        let floor_ms = BUILD_FLOOR_MS + 1_000_000;
        let of = |wall_ms| [false, true].map(|confirmed| believed(wall_ms, floor_ms, confirmed));
        assert_eq!(of(floor_ms), [ClockQuality::System, ClockQuality::Confirmed]);
        assert_eq!(of(floor_ms - 1), [ClockQuality::System; 2]);
        assert_eq!(of(floor_ms - STEP_MS_MAX), [ClockQuality::System; 2]);
        assert_eq!(of(floor_ms - STEP_MS_MAX - 1), [ClockQuality::Unverified; 2]);
        assert_eq!(believed(BUILD_FLOOR_MS - 1, 0, true), ClockQuality::System);
    }

    #[test]
    fn sales_go_elsewhere_only_when_they_must_and_a_notice_says_so() {
        let home = tempfile::tempdir().expect("a directory");
        let (mut ledger, mut standing) = (ledger(), standing());
        let close = |ledger: &mut Ledger, seq| {
            ledger.events.get_mut(&id(seq)).expect("it is known").closed_ms = Some(9);
        };
        let texts = |standing: &Standing| standing.notices.iter().map(|one| one.text.clone()).collect::<Vec<_>>();
        close(&mut ledger, 1);
        standing.choose(&ledger, id(1), home.path());
        assert_eq!((standing.event, texts(&standing)), (Some(id(2)), vec![]), "another event was closed");
        close(&mut ledger, 2);
        standing.choose(&ledger, id(2), home.path());
        let said = "2 is closed; sales go to 3 now.".to_owned();
        assert_eq!((standing.event, texts(&standing)), (Some(id(3)), vec![said]));
        standing.choose(&ledger, id(3), home.path());
        assert_eq!(texts(&standing), Vec::<String>::new(), "chosen by a person, it is no news any more");
        close(&mut ledger, 3);
        standing.choose(&ledger, id(3), home.path());
        assert_eq!((standing.event, texts(&standing)), (None, vec![]), "nothing is open");
    }
}
