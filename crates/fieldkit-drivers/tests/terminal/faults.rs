//! Each fault of the simulated terminal, seen from the desk; requests by hand; terminals that depart from the paper.

use crate::cuts::{SERIAL, Setting, TCP, ends, terminal_config, world};
use crate::desk::State;
use crate::world::{World, euro};
use fieldkit_drivers::terminal::*;
use fieldkit_drivers::terminal_peer::{Event, Fault, Peer, PeerInput, PeerOutput};
use fieldkit_drivers::zvt::ecr::MESSAGES_MAX;
use fieldkit_drivers::zvt::peer::Terminal;

/// A run with a fault at the first payment; both journals agree at the end.
#[track_caller]
fn with(setting: Setting, fault: Fault) -> World {
    let mut world = world(setting);
    world.armed = Some((1, fault));
    world.run();
    world.check(None);
    world
}

fn count(world: &World, event: Event) -> usize {
    world.journal.iter().filter(|entry| entry.event == event).count()
}

fn said(world: &World, wanted: impl Fn(&Report) -> bool) -> usize {
    world.desk.reports.iter().filter(|report| wanted(report)).count()
}

fn results(world: &World) -> usize {
    said(world, |report| matches!(report, Report::Result(_)))
}

#[test]
fn a_declined_card_is_told_and_not_charged() {
    for setting in [TCP, SERIAL] {
        let world = with(setting, Fault::Decline(0x51));
        let text = "the issuer says no (51)".to_owned();
        let end = Report::Declined { task: Task::Authorise, code: 0x51, text };
        assert_eq!(said(&world, |report| *report == end), 1, "{:?}", world.desk.reports);
        assert_eq!((world.desk.tries.len(), count(&world, Event::Declined)), (3, 1));
    }
}

#[test]
fn a_buyer_may_stop() {
    let world = with(TCP, Fault::Abort);
    let stopped = |report: &Report| matches!(report, Report::Aborted { task: Task::Authorise, code: 0x6c, .. });
    assert_eq!((said(&world, stopped), count(&world, Event::Aborted)), (1, 1));
}

#[test]
fn another_amount_or_currency_is_refused_and_taken_back() {
    for setting in [TCP, SERIAL] {
        for fault in [Fault::WrongAmount(951), Fault::Partial(700), Fault::WrongCurrency(840)] {
            let world = with(setting, fault);
            let told = world.desk.reports.iter().find_map(|report| match report {
                Report::Result(transaction) => Some(transaction.amount),
                _ => None,
            });
            assert_ne!(told, Some(euro(950)), "what the terminal charged is told as it is");
            let back = said(&world, |report| *report == Report::TakenBack(Task::Authorise));
            assert_eq!((back, count(&world, Event::AutoReversed)), (1, 1), "{fault:?}");
        }
    }
}

#[test]
fn a_result_told_twice_is_one_result() {
    for setting in [TCP, SERIAL] {
        let world = with(setting, Fault::RepeatApproval);
        assert_eq!((results(&world), count(&world, Event::Committed)), (2, 2), "two sales");
    }
}

#[test]
fn a_line_that_garbles_is_survived() {
    for fault in [Fault::BadChecksum(1), Fault::BadChecksum(2), Fault::Nak(1), Fault::Nak(2), Fault::Garbage(500)] {
        let world = with(SERIAL, fault);
        assert_eq!(world.desk.tries.len(), 2, "{fault:?}: {:?}", world.desk.reports);
    }
    let noise = |report: &Report| matches!(report, Report::Alarm(Alarm::Noise { .. }));
    assert_eq!(said(&with(SERIAL, Fault::Garbage(500)), noise), 1);
    // Three refusals, or three bad blocks, and it is in doubt; asked, and tried again.
    for fault in [Fault::BadChecksum(3), Fault::Nak(3)] {
        let world = with(SERIAL, fault);
        let doubt = |report: &Report| matches!(report, Report::Unknown { task: Task::Authorise, .. });
        assert_eq!((said(&world, doubt), world.desk.tries.len()), (1, 3), "{fault:?}");
    }
    // A stream has no way back.
    let world = with(TCP, Fault::Garbage(500));
    let doubt = Report::Unknown { task: Task::Authorise, why: Doubt::Unreadable };
    assert_eq!((said(&world, |report| *report == doubt), said(&world, noise)), (1, 1));
}

#[test]
fn links_that_the_terminal_breaks_lose_and_double_nothing() {
    for setting in [TCP, SERIAL] {
        for bytes in 0..200 {
            with(setting, Fault::CutAfter(bytes));
            with(setting, Fault::CutAfterReceived(bytes));
        }
    }
}

#[test]
fn a_late_answer_is_not_taken_for_the_next() {
    for setting in [TCP, SERIAL] {
        for late_ms in [100, 4_900, 5_100, 7_000, 12_000, 30_000] {
            let world = with(setting, Fault::Late(late_ms));
            let tries = if late_ms < 5_000 { 2 } else { 3 };
            assert_eq!(world.desk.tries.len(), tries, "{setting:?} {late_ms}: {:?}", world.journal);
        }
    }
}

#[test]
fn a_mute_terminal_ends_in_doubt_and_its_charge_is_taken_back() {
    for setting in [TCP, SERIAL] {
        let mut world = world(setting);
        world.attach();
        world.desk.attached = true;
        world.desk.running = Some(Task::Authorise);
        world.say(Input::Request(Request::Authorise { amount: euro(950) }));
        world.run_for(100);
        world.fault(Fault::Mute);
        world.run_for(200_000);
        let unknown = world.desk.reports.iter().find(|report| matches!(report, Report::Unknown { .. }));
        // On a line the request to stop is not even acknowledged.
        assert!(unknown.is_some(), "{setting:?}: {:?}", world.desk.reports);
        assert_eq!((count(&world, Event::Approved), count(&world, Event::AutoReversed)), (1, 1), "{setting:?}");
        world.fault(Fault::Speak);
        world.desk.forget();
        world.run();
        world.check(None);
    }
}

#[test]
fn a_flood_is_told_once_and_dropped() {
    for setting in [TCP, SERIAL] {
        let mut world = world(setting);
        world.attach();
        let sent = world.sent.len();
        world.fault(Fault::Flood(5_000));
        let flood = |report: &Report| *report == Report::Alarm(Alarm::Flood);
        let answers = world.sent[sent..].iter().filter(|bytes| bytes.len() > 1).count();
        assert!(answers <= MESSAGES_MAX as usize, "{setting:?}: {answers} answers");
        assert_eq!(said(&world, flood), 1);
        world.run_for(2_000);
        world.desk.forget();
        world.run();
        world.check(None);
    }
}

#[test]
fn card_data_in_texts_is_masked_and_told() {
    for setting in [TCP, SERIAL] {
        let world = with(setting, Fault::PanInText);
        assert!(said(&world, |report| *report == Report::Alarm(Alarm::PanSeen)) > 0);
        let all = format!("{:?}", world.desk.reports);
        for secret in ["4111111111111111", "4111 1111 1111 1111", "5555555555554444", "29121010", "A\\u{11}"] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
        let lines = |wanted: &str| said(&world, |report| *report == Report::PrintLine(wanted.to_owned()));
        assert_eq!(lines("CARD 4111 11** **** 1111"), 1, "{all}");
        assert_eq!(lines(";555555******4444*******************"), 1, "{all}");
        assert_eq!(lines("********"), 1, "{all}");
    }
}

#[test]
fn a_yes_without_the_issuer_is_marked() {
    let world = with(TCP, Fault::Offline);
    let offline: Vec<bool> =
        world.desk.tries.iter().filter_map(|found| found.result.as_ref()).map(|t| t.offline).collect();
    assert_eq!(offline, [true, false]);
    assert!(world.journal[0].offline);
}

#[test]
fn a_busy_terminal_is_waited_for_or_told() {
    let mut world = world(TCP);
    world.fault(Fault::Busy(3));
    world.run();
    world.check(None);
    let busy = |report: &Report| matches!(report, Report::Status { code: 0x9c, .. });
    assert_eq!(said(&world, busy), 3);
    // A payment is not tried again by the driver.
    let world = with(TCP, Fault::Busy(1));
    let end = |report: &Report| matches!(report, Report::Aborted { task: Task::Authorise, code: 0x9c, .. });
    assert_eq!((said(&world, end), world.desk.tries.len()), (1, 3));
    // Patience ends.
    let mut world = crate::cuts::world(TCP);
    world.fault(Fault::Busy(1_000));
    let end = world.attach().pop();
    assert_eq!(end, Some(Report::Failed { task: Task::Attach, why: Doubt::Busy }));
}

#[test]
fn a_forgotten_card_is_told() {
    let mut world = world(TCP);
    world.fault(Fault::CardInserted(2));
    let reports = world.attach();
    let told = |report: &&Report| matches!(report, Report::Status { code: 0xdc, .. });
    assert_eq!(reports.iter().filter(told).count(), 2, "{reports:?}");
    assert!(matches!(reports.last(), Some(Report::Attached { .. })));
}

#[test]
fn power_cycles_at_any_moment_lose_and_double_nothing() {
    for setting in [TCP, SERIAL] {
        for ms in (0..2_000).step_by(50) {
            let mut world = world(setting);
            world.attach();
            world.desk.attached = true;
            world.desk.running = None;
            world.armed = None;
            let wish = world.desk.wish();
            assert_eq!(wish, Some(Request::LastTransaction));
            world.ask(Request::LastTransaction);
            let pay = world.desk.wish().expect("a sale waits");
            world.say(Input::Request(pay));
            world.run_for(ms);
            world.fault(Fault::PowerCycle);
            world.run();
            world.check(None);
        }
    }
}

#[test]
fn what_somebody_charged_by_hand_is_the_last_transaction() {
    let mut world = world(TCP);
    world.attach();
    world.fault(Fault::Foreign(1_234));
    let end = world.ask(Request::LastTransaction).pop();
    let Some(Report::LastTransaction(Some(last))) = end else { panic!("{end:?}") };
    assert_eq!((last.amount, last.receipt, last.kind), (euro(1_234), 9_999, Kind::Unstated));
    assert_eq!((last.terminal_id.as_str(), last.masked_pan.as_str()), ("52523535", "559883******8074"));
    assert_eq!(last.date, Some(Date { month: 11, day: 21 }));
    assert_eq!(last.time, Some(Time { hour: 13, minute: 33, second: 21 }));
    assert_eq!((last.card_name.as_str(), last.authorisation.as_str()), ("Mastercard", "999993"));
    assert_eq!(count(&world, Event::Foreign), 1);
}

/// A payment by hand; its receipt number.
fn pay(world: &mut World, minor: i64) -> u32 {
    let reports = world.ask(Request::Authorise { amount: euro(minor) });
    assert_eq!(reports.last(), Some(&Report::Completed(Task::Authorise)), "{reports:?}");
    let result = reports.iter().find_map(|report| match report {
        Report::Result(transaction) => Some(transaction.receipt),
        _ => None,
    });
    result.expect("a result before the end")
}

fn end(world: &mut World, request: Request) -> Report {
    world.ask(request).pop().expect("an end")
}

#[test]
fn reversals_name_their_payment_and_happen_once() {
    for setting in [TCP, SERIAL] {
        let mut world = world(setting);
        world.attach();
        let (first, second) = (pay(&mut world, 100), pay(&mut world, 200));
        let reverse = |receipt, minor| Request::Reverse { receipt, amount: euro(minor) };
        let refused =
            |code| move |report: Report| matches!(report, Report::Aborted { code: found, .. } if found == code);
        assert!(refused(0xb5)(end(&mut world, reverse(first, 101))), "another amount");
        assert_eq!(end(&mut world, reverse(first, 100)), Report::Completed(Task::Reverse));
        assert!(refused(0xb4)(end(&mut world, reverse(first, 100))), "already reversed");
        assert!(refused(0xb5)(end(&mut world, reverse(77, 100))), "no such receipt");
        let reversal = world.journal.iter().find(|entry| entry.event == Event::Reversed).expect("reversed");
        assert_eq!((reversal.receipt, reversal.own.map(|own| own.receipt)), (first, Some(2)));
        assert_eq!(world.standing().into_iter().map(|(receipt, _)| receipt).collect::<Vec<_>>(), [second]);
        // The last transaction is the reversal, and says so.
        let Report::LastTransaction(Some(last)) = end(&mut world, Request::LastTransaction) else { panic!("told") };
        assert_eq!((last.kind, last.receipt, last.reversed_trace), (Kind::Reversal, 2, Some(999_999)));
    }
}

#[test]
fn an_unrecorded_reversal_has_not_happened() {
    let mut world = world(TCP);
    world.attach();
    let receipt = pay(&mut world, 100);
    world.desk.by_hand = None;
    let end = world.ask(Request::Reverse { receipt, amount: euro(100) }).pop();
    assert_eq!(end, Some(Report::Unknown { task: Task::Reverse, why: Doubt::Overtaken }));
    world.run_for(20_000);
    assert_eq!((count(&world, Event::Reversed), world.standing().len()), (0, 1));
}

#[test]
fn refunds_totals_and_the_rest_of_the_day() {
    for setting in [TCP, SERIAL] {
        let mut world = world(setting);
        let attached = world.attach().pop();
        let ours = Report::Attached { terminal_id: Some("52523535".to_owned()), currency: Some(euro(0).currency) };
        assert_eq!(attached, Some(ours));
        pay(&mut world, 1_250);
        let gone = pay(&mut world, 500);
        end(&mut world, Request::Reverse { receipt: gone, amount: euro(500) });
        assert_eq!(end(&mut world, Request::Refund { amount: euro(250) }), Report::Completed(Task::Refund));
        assert_eq!(end(&mut world, Request::Diagnose), Report::Completed(Task::Diagnose));
        let reports = world.ask(Request::EndOfDay);
        let brand = BrandTotal { brand: "Mastercard", count: 1, amount: 1_000 };
        let totals =
            Totals { amount: Some(1_000), receipt_first: Some(9_999), receipt_last: Some(3), brands: vec![brand] };
        assert_eq!(reports, [Report::EndOfDay(totals), Report::Completed(Task::EndOfDay)]);
        assert_eq!(world.journal.last().map(|entry| (entry.event, entry.amount)), Some((Event::EndOfDay, euro(1_000))));
        assert_eq!(end(&mut world, Request::LogOff), Report::Completed(Task::LogOff));
        let not_sent = |why| Report::NotSent { task: Task::Diagnose, why };
        assert_eq!(end(&mut world, Request::Diagnose), not_sent(NotSent::NotAttached));
    }
}

#[test]
fn the_till_may_stop_until_the_card_is_charged() {
    for setting in [TCP, SERIAL] {
        let mut world = world(setting);
        world.attach();
        world.desk.running = Some(Task::Authorise);
        world.say(Input::Request(Request::Authorise { amount: euro(950) }));
        world.run_for(200);
        world.say(Input::Request(Request::Abort));
        world.run_for(200);
        let last = world.desk.reports.last().cloned();
        assert!(matches!(last, Some(Report::Aborted { task: Task::Authorise, code: 0x6c, .. })), "{last:?}");
        assert_eq!((world.standing().len(), count(&world, Event::Aborted)), (0, 1));
        // Too late: the result is with the desk, which may refuse it.
        world.desk.by_hand = None;
        world.desk.running = Some(Task::Authorise);
        world.say(Input::Request(Request::Authorise { amount: euro(950) }));
        world.run_for(1_000);
        world.say(Input::Request(Request::Abort));
        assert_eq!(world.desk.reports.last(), Some(&Report::AbortRefused));
        world.say(Input::Refuse);
        assert_eq!(world.desk.reports.last(), Some(&Report::TakenBack(Task::Authorise)));
        assert_eq!((world.standing().len(), count(&world, Event::AutoReversed)), (0, 1));
        let nothing = Report::NotSent { task: Task::Abort, why: NotSent::NothingRuns };
        world.say(Input::Request(Request::Abort));
        assert_eq!(world.desk.reports.last(), Some(&nothing));
    }
}

#[test]
fn a_result_can_be_held_while_a_door_opens() {
    for (decision, standing) in [(Input::Recorded, 1), (Input::Refuse, 0)] {
        for setting in [TCP, SERIAL] {
            let mut world = world(setting);
            world.attach();
            world.desk.by_hand = Some(Input::Hold);
            world.desk.running = Some(Task::Authorise);
            world.say(Input::Request(Request::Authorise { amount: euro(950) }));
            // Longer than a desk has without holding; the terminal asks again every two seconds.
            world.run_for(12_000);
            assert_eq!(results(&world), 1, "told once, however often the terminal asks");
            world.say(decision.clone());
            world.run_for(3_000);
            let end = world.desk.reports.last().and_then(Report::end);
            assert_eq!((end, world.standing().len()), (Some(Task::Authorise), standing), "{:?}", world.desk.reports);
        }
    }
    // Held for ever: the terminal gives up, and nothing stands.
    let mut world = world(TCP);
    world.attach();
    world.desk.by_hand = Some(Input::Hold);
    let end = world.ask(Request::Authorise { amount: euro(950) }).pop();
    assert_eq!(end, Some(Report::Unknown { task: Task::Authorise, why: Doubt::Overtaken }));
    assert_eq!(world.standing().len(), 0);
}

#[test]
fn a_terminal_that_tells_nothing_needs_a_person() {
    let bare = Profile { repeat: Repeat::Bare, ..Profile::default() };
    // The driver knows: it does not even ask.
    let mut world = world(Setting { profile: bare, ..TCP });
    world.attach();
    let sent = world.sent.len();
    let none = Report::LastTransactionUnavailable(Unavailable::Unsupported);
    assert_eq!(end(&mut world, Request::LastTransaction), none);
    assert_eq!(world.sent.len(), sent);
    // The driver does not know: it hears it.
    let mut world = World::new(ends(TCP), &[]);
    let config = terminal_config(Setting { profile: bare, ..TCP });
    world.terminal = Box::new(Terminal::new(config, &[]));
    world.attach();
    let none = Report::LastTransactionUnavailable(Unavailable::NoResult);
    assert_eq!(end(&mut world, Request::LastTransaction), none);
}

#[test]
fn a_terminal_that_reverses_its_last_is_asked_for_its_last_alone() {
    let last_only = Profile { reversal: ReversalReach::LastOnly, ..Profile::default() };
    let mut world = world(Setting { profile: last_only, ..TCP });
    world.attach();
    let (first, second) = (pay(&mut world, 100), pay(&mut world, 100));
    let reverse = |receipt| Request::Reverse { receipt, amount: euro(100) };
    let not_last = Report::NotSent { task: Task::Reverse, why: NotSent::NotTheLast };
    assert_eq!(end(&mut world, reverse(first)), not_last);
    assert_eq!(end(&mut world, reverse(second)), Report::Completed(Task::Reverse));
    // After a new start the last one is not known before it was asked for.
    world.attach();
    assert_eq!(end(&mut world, reverse(first)), not_last);
}

#[test]
fn an_unanswered_payment_is_told_as_declined_where_the_terminal_keeps_it() {
    let declined = Profile { unanswered: Unanswered::Declined, ..Profile::default() };
    let mut world = world(Setting { profile: declined, ..TCP });
    world.attach();
    world.desk.by_hand = None;
    world.ask(Request::Authorise { amount: euro(950) });
    world.attach();
    let Report::LastTransaction(Some(last)) = end(&mut world, Request::LastTransaction) else { panic!("told") };
    assert_eq!((last.result, last.receipt, last.amount), (0x6c, 9_999, euro(950)));
}

#[test]
fn lines_that_the_terminal_prints_bind_too() {
    // A till of another make, which leaves receipts to the terminal: registered with bit 7, over bare bytes.
    let mut terminal = Terminal::new(terminal_config(TCP), &[]);
    let mut out = Vec::new();
    let mut say = |terminal: &mut Terminal, now_ms: u64, input: PeerInput| {
        terminal.handle(now_ms, input);
        while let Some(output) = terminal.poll_output() {
            match output {
                PeerOutput::Journal(entry) => {
                    out.push(format!("{:?}", entry.event));
                    terminal.handle(now_ms, PeerInput::Journalled);
                }
                PeerOutput::Send(bytes) => out.push(format!("{:02X}{:02X}", bytes[0], bytes[1])),
                PeerOutput::CloseLink => out.push("closed".to_owned()),
            }
        }
    };
    let bytes = |bytes: &[u8]| PeerInput::Bytes(bytes.to_vec());
    let yes = || bytes(&[0x80, 0, 0]);
    say(&mut terminal, 0, PeerInput::LinkUp);
    say(&mut terminal, 0, bytes(&[6, 0, 6, 0, 0, 0, 0x80, 0x09, 0x78]));
    say(&mut terminal, 0, yes());
    say(&mut terminal, 0, bytes(&[6, 1, 0x0a, 4, 0, 0, 0, 0, 0x09, 0x50, 0x49, 0x09, 0x78]));
    say(&mut terminal, 700, PeerInput::Tick);
    say(&mut terminal, 700, yes());
    say(&mut terminal, 700, yes());
    say(&mut terminal, 700, PeerInput::LinkDown);
    let expected = ["8000", "060F", "8000", "Approved", "040F", "06D1", "06D1", "AutoReversed"];
    assert_eq!(out, expected);
}

#[test]
fn a_till_that_missed_the_last_result_has_it_taken_back() {
    let setting = Setting { marks: true, ..TCP };
    let mut world = world(setting);
    world.attach();
    pay(&mut world, 100);
    // A till that gives back the count before: one that never saw the result.
    let behind = [6, 1, 0x10, 4, 0, 0, 0, 0, 0x09, 0x50, 0x49, 0x09, 0x78, 6, 5, 0x1f, 0x1f, 2, 0, 0];
    assert_eq!(world.standing().len(), 1);
    let bytes: Vec<u8> = behind.to_vec();
    let bytes = [&bytes[..2], &[bytes.len() as u8 - 3], &bytes[3..]].concat();
    world.terminal.handle(world.now_ms, PeerInput::Bytes(bytes));
    world.settle();
    assert_eq!((world.standing().len(), count(&world, Event::AutoReversed)), (0, 1));
}

#[test]
fn doubt_that_nobody_can_end_stays_doubt() {
    // A terminal that tells nothing, and a cut: the desk asks, hears nothing, and does not charge again.
    let bare = Profile { repeat: Repeat::Bare, ..Profile::default() };
    let mut world = World::new(ends(TCP), &[950]);
    let config = terminal_config(Setting { profile: bare, ..TCP });
    world.terminal = Box::new(Terminal::new(config, &[]));
    world.attach();
    world.desk.attached = true;
    world.desk.tries.push(crate::desk::Try {
        sale: 0,
        amount: euro(950),
        baseline: (0, 0),
        result: None,
        state: State::Open,
    });
    assert_eq!(world.desk.wish(), Some(Request::LastTransaction));
    world.ask(Request::LastTransaction);
    assert_eq!(world.desk.tries[0].state, State::Open);
    assert_eq!(world.desk.tries.len(), 1);
}
