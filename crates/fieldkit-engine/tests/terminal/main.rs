//! Card payments through engine, driver and terminal, broken at every byte and every step: the terminal's own journal and
//! the ledger agree payment by payment, and nothing stays in doubt once the terminal was asked.

#[path = "../support/mod.rs"]
mod support;
mod world;

use fieldkit_core::money::Currency;
use fieldkit_core::payment::PaymentState;
use fieldkit_drivers::terminal::Profile;
use fieldkit_drivers::terminal_peer::Numbers;
use fieldkit_drivers::zvt::carrier::Framing;
use fieldkit_drivers::zvt::{ecr, peer};
use world::{Break, Ends, Plan, Way, World};

fn euro() -> Currency {
    Currency::from_code("EUR").expect("EUR is in ISO 4217")
}

fn ends(framing: Framing) -> Ends {
    let driver =
        ecr::Config { framing, password: 0, currency: euro(), profile: Profile::default(), message_ids: false };
    let terminal = peer::Config {
        framing,
        terminal_id: "52523535".to_owned(),
        currency: euro(),
        profile: Profile::default(),
        // The receipt numbers come round within a run.
        numbers: Numbers { receipt: 9_998, trace: 999_998 },
        epoch_s: 1_795_000_000,
        buyer_ms: 700,
        counts: false,
        message_ids: false,
        numbers_restart: false,
    };
    Ends {
        driver: Box::new(move || Box::new(ecr::Ecr::new(driver))),
        terminal: Box::new(move |past| Box::new(peer::Terminal::new(terminal.clone(), past))),
    }
}

/// Two sales of the same amount, and a third that is voided.
fn day(framing: Framing, plan: Option<Break>) -> World {
    day_with(framing, plan, false)
}

/// The same, with a charge by hand at the terminal before each sale.
fn day_with(framing: Framing, plan: Option<Break>, by_hand: bool) -> World {
    let mut world = World::new(ends(framing));
    world.run();
    world.plan = plan;
    for plan in [Plan::Pay, Plan::Pay, Plan::PayAndVoid] {
        if by_hand {
            world.charge_by_hand();
        }
        world.sell(plan);
        world.run();
    }
    world.check(plan);
    world
}

#[test]
fn a_day_without_trouble_is_paid() {
    for framing in [Framing::Tcp, Framing::Serial] {
        let world = day(framing, None);
        assert_eq!(world.paid(), 2, "{framing:?}: {:?}", world.entries);
        assert_eq!(world.payments().len(), 3, "{framing:?}");
    }
}

#[test]
fn a_cut_at_any_byte_loses_and_doubles_nothing() {
    let mut cuts = 0;
    for framing in [Framing::Tcp, Framing::Serial] {
        let passed = day(framing, None).passed;
        for (way, bytes) in [(Way::ToTerminal, passed[0]), (Way::ToKit, passed[1])] {
            for at in 0..bytes {
                assert_eq!(day(framing, Some(Break::Cut(way, at))).paid(), 2, "{way:?} {at}");
                cuts += 1;
            }
        }
    }
    println!("{cuts} cuts: 0 lost, 0 doubled, 0 in doubt");
}

#[test]
fn a_charge_by_hand_is_never_taken_for_a_sale() {
    for framing in [Framing::Tcp, Framing::Serial] {
        let passed = day_with(framing, None, true).passed;
        for (way, bytes) in [(Way::ToTerminal, passed[0]), (Way::ToKit, passed[1])] {
            for at in 0..bytes {
                assert_eq!(day_with(framing, Some(Break::Cut(way, at)), true).paid(), 2, "{way:?} {at}");
            }
        }
    }
}

#[test]
fn a_kit_that_dies_at_any_step_loses_and_doubles_nothing() {
    for framing in [Framing::Tcp, Framing::Serial] {
        let outputs = day(framing, None).outputs;
        for at in 0..outputs[0] {
            assert_eq!(day(framing, Some(Break::KitDies(at))).paid(), 2, "{at}");
        }
        println!("{} deaths of the kit", outputs[0]);
    }
}

#[test]
fn a_terminal_that_loses_power_at_any_step_loses_and_doubles_nothing() {
    for framing in [Framing::Tcp, Framing::Serial] {
        let outputs = day(framing, None).outputs;
        for at in 0..outputs[1] {
            assert_eq!(day(framing, Some(Break::TerminalDies(at))).paid(), 2, "{at}");
        }
        println!("{} deaths of the terminal", outputs[1]);
    }
}

#[test]
fn no_moment_that_is_over_is_waited_for_while_the_disk_is_slow() {
    let mut world = World::new(ends(Framing::Tcp));
    world.sell(Plan::Pay);
    let waits = world.wait(0).expect("the payment waits for the link");
    assert!(waits > world.now_ms);
    world.write_slowly();
    let named = world.wait(waits + 1 - world.now_ms);
    assert!(named.is_none_or(|at_ms| at_ms > world.now_ms), "{named:?} at {} ms", world.now_ms);
    world.sync();
    let states: Vec<_> = world.payments().iter().map(|payment| payment.state()).collect();
    assert_eq!(states, [PaymentState::Cancelled], "what was due is done once it may be");
    let named = world.wait(0);
    assert!(named.is_none_or(|at_ms| at_ms > world.now_ms), "{named:?} at {} ms", world.now_ms);
}
