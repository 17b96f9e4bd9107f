//! The dialogue broken at every byte and every step, over both carriers: nothing lost, doubled or left in doubt.

use crate::desk::{Habit, State};
use crate::world::{Break, Disk, Ends, Notice, Way, World, euro};
use fieldkit_drivers::terminal::{Profile, Report, Task, Unanswered};
use fieldkit_drivers::terminal_peer::{Event, Numbers};
use fieldkit_drivers::zvt::carrier::Framing;
use fieldkit_drivers::zvt::{ecr, peer};

/// Two sales of the same amount: the second must not be taken for the first.
pub const SALES: &[i64] = &[950, 950];

#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub framing: Framing,
    pub profile: Profile,
    /// Whether the terminal counts its results and numbers its messages.
    pub marks: bool,
}

pub const TCP: Setting = Setting { framing: Framing::Tcp, profile: STANDARD, marks: false };
pub const SERIAL: Setting = Setting { framing: Framing::Serial, ..TCP };
const STANDARD: Profile = Profile {
    unanswered: Unanswered::Reversed,
    repeat: fieldkit_drivers::terminal::Repeat::Told,
    reversal: fieldkit_drivers::terminal::ReversalReach::Numbered,
};

pub fn terminal_config(setting: Setting) -> peer::Config {
    peer::Config {
        framing: setting.framing,
        terminal_id: "52523535".to_owned(),
        currency: euro(0).currency,
        profile: setting.profile,
        numbers: Numbers { receipt: 9_998, trace: 999_998 },
        epoch_s: 1_795_268_000,
        buyer_ms: 700,
        counts: setting.marks,
        message_ids: setting.marks,
        numbers_restart: false,
    }
}

pub fn ends(setting: Setting) -> Ends {
    let config = ecr::Config {
        framing: setting.framing,
        password: 0,
        currency: euro(0).currency,
        profile: setting.profile,
        message_ids: setting.marks,
    };
    Ends {
        driver: Box::new(move || Box::new(ecr::Ecr::new(config))),
        terminal: Box::new(move |past| Box::new(peer::Terminal::new(terminal_config(setting), past))),
        stream: setting.framing == Framing::Tcp,
    }
}

pub fn world(setting: Setting) -> World {
    World::new(ends(setting), SALES)
}

/// One run with one break; both journals agree at the end.
#[track_caller]
fn run(setting: Setting, plan: Break) -> World {
    let mut world = world(setting);
    world.plan = Some(plan);
    world.run();
    world.check(Some(plan));
    world
}

/// A run without a break: bytes each way, outputs of each side.
fn measure(setting: Setting) -> ([u64; 2], [u64; 2]) {
    let mut world = world(setting);
    world.run();
    world.check(None);
    assert_eq!(world.desk.tries.len(), 2, "each sale in one try");
    (world.passed, world.outputs)
}

fn settings() -> Vec<Setting> {
    let declined = Profile { unanswered: Unanswered::Declined, ..STANDARD };
    let framings = [TCP, SERIAL];
    let all =
        |setting: Setting| [setting, Setting { marks: true, ..setting }, Setting { profile: declined, ..setting }];
    framings.into_iter().flat_map(all).collect()
}

#[test]
fn a_cut_at_any_byte_loses_and_doubles_nothing() {
    let (mut runs, mut booked, mut not_booked) = (0, 0, 0);
    for setting in settings() {
        let (bytes, _) = measure(setting);
        for notice in [Notice::Both, Notice::Kit, Notice::Terminal, Notice::Nobody] {
            for (way, bytes) in [(Way::ToTerminal, bytes[0]), (Way::ToKit, bytes[1])] {
                for at in 0..bytes {
                    let world = run(setting, Break::Cut(way, at, notice));
                    runs += 1;
                    let doubt = |report: &&Report| matches!(report, Report::Unknown { task: Task::Authorise, .. });
                    let first = world.desk.reports.iter().position(|report| doubt(&report));
                    let tries = world.desk.tries.len();
                    booked += usize::from(first.is_some() && tries == SALES.len());
                    not_booked += usize::from(first.is_some() && tries > SALES.len());
                }
            }
        }
    }
    // Both ways out of doubt were taken, many times.
    assert!(runs > 5_000 && booked > 100 && not_booked > 100, "{runs} cuts, doubt: {booked} booked, {not_booked} not");
    println!("{runs} cuts; doubts: {booked} booked, {not_booked} not booked");
}

#[test]
fn a_byte_lost_or_changed_on_a_line_loses_and_doubles_nothing() {
    let (bytes, _) = measure(SERIAL);
    for (way, bytes) in [(Way::ToTerminal, bytes[0]), (Way::ToKit, bytes[1])] {
        for at in 0..bytes {
            run(SERIAL, Break::Lost(way, at));
            // One flipped bit, all bits, and the change that turns an acknowledgement into its opposite.
            for by in [0x01, 0x10, 0x13, 0xff] {
                run(SERIAL, Break::Changed(way, at, by));
            }
        }
    }
}

#[test]
fn a_kit_that_dies_at_any_step_loses_and_doubles_nothing() {
    for setting in settings() {
        let (_, outputs) = measure(setting);
        for at in 0..outputs[0] {
            run(setting, Break::KitDies(at));
        }
    }
}

#[test]
fn a_terminal_that_loses_power_at_any_step_loses_and_doubles_nothing() {
    for setting in settings() {
        let (_, outputs) = measure(setting);
        for at in 0..outputs[1] {
            for disk in [Disk::Written, Disk::NotWritten] {
                run(setting, Break::TerminalDies(at, disk));
            }
        }
    }
}

#[test]
fn a_result_that_is_never_recorded_is_taken_back() {
    for setting in settings() {
        let mut world = world(setting);
        (world.desk.habit, world.desk.tries_max) = (Habit::NeverRecords, 2);
        world.run();
        assert!(world.standing().is_empty(), "{setting:?}: {:?}", world.journal);
        let count = |event| world.journal.iter().filter(|entry| entry.event == event).count();
        let back =
            if setting.profile.unanswered == Unanswered::Declined { Event::Declined } else { Event::AutoReversed };
        assert_eq!((count(Event::Approved), count(back), count(Event::Committed)), (4, 4, 0), "{setting:?}");
        assert!(world.desk.tries.iter().all(|found| found.state == State::NotCharged), "{:?}", world.desk.tries);
    }
}

#[test]
fn receipt_numbers_come_round() {
    let mut world = World::new(ends(TCP), &[100, 200, 300]);
    world.run();
    world.check(None);
    let references: Vec<_> = world.standing().into_iter().collect();
    assert_eq!(references, [(1, 1), (2, 2), (9_999, 999_999)]);
}

#[test]
fn a_payment_command_leaves_once_a_try() {
    // However the line is broken: the frames of payments that leave are as many as the tries, or as a refused block asks for.
    let (bytes, _) = measure(SERIAL);
    for at in 0..bytes[0] {
        let world = run(SERIAL, Break::Lost(Way::ToTerminal, at));
        let payments = world.sent.iter().filter(|sent| sent.starts_with(&[0x10, 0x02, 0x06, 0x01])).count();
        let refused = usize::from(payments > world.desk.tries.len());
        assert_eq!(payments, world.desk.tries.len() + refused, "byte {at}");
        let charges = world.journal.iter().filter(|entry| entry.event == Event::Approved).count();
        assert!(charges <= world.desk.tries.len(), "byte {at}: {:?}", world.journal);
    }
}
