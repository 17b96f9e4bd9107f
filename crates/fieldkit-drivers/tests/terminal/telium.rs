//! Telium: the protocol cannot be asked, so doubt stays doubt; but nothing is charged twice, and nothing said is wrong.

use crate::world::{Break, Ends, Notice, Way, World, euro};
use fieldkit_drivers::telium::codec::Detail;
use fieldkit_drivers::telium::{ecr, peer};
use fieldkit_drivers::terminal::*;
use fieldkit_drivers::terminal_peer::{Event, Fault, Numbers};

fn ends(detail: Detail) -> Ends {
    let currency = euro(0).currency;
    let config = peer::Config {
        terminal_id: "TELIUM01".to_owned(),
        currency,
        numbers: Numbers::default(),
        epoch_s: 1_795_268_000,
        buyer_ms: 700,
    };
    Ends {
        driver: Box::new(move || Box::new(ecr::Ecr::new(ecr::Config { till: 1, currency, detail }))),
        terminal: Box::new(move |past| Box::new(peer::Terminal::new(config.clone(), past))),
        stream: false,
    }
}

fn world(detail: Detail) -> World {
    World::new(ends(detail), &[])
}

const PAY: fn() -> Request = || Request::Authorise { amount: euro(950) };

fn count(world: &World, event: Event) -> usize {
    world.journal.iter().filter(|entry| entry.event == event).count()
}

fn end(world: &mut World, request: Request) -> Report {
    world.ask(request).pop().expect("an end")
}

#[test]
fn a_payment_is_told_recorded_and_done() {
    for detail in [Detail::Short, Detail::Full] {
        let mut world = world(detail);
        assert_eq!(world.attach(), [Report::Attached { terminal_id: None, currency: None }]);
        let reports = world.ask(PAY());
        let [Report::Result(told), Report::Completed(Task::Authorise)] = reports.as_slice() else {
            panic!("{reports:?}")
        };
        assert_eq!((told.amount, told.kind, told.receipt), (euro(950), Kind::Payment, 0));
        assert_eq!(told.authorisation, "TX00000001");
        assert_eq!(told.masked_pan, if detail == Detail::Full { "559883******8074" } else { "" });
        assert_eq!((count(&world, Event::Approved), count(&world, Event::Committed)), (1, 1));
    }
}

#[test]
fn a_cut_at_any_byte_is_told_as_what_it_is() {
    let mut whole = world(Detail::Short);
    whole.attach();
    whole.ask(PAY());
    let mut ends = [0; 3];
    for notice in [Notice::Both, Notice::Kit, Notice::Terminal, Notice::Nobody] {
        for (way, bytes) in [(Way::ToTerminal, whole.passed[0]), (Way::ToKit, whole.passed[1])] {
            // The first two bytes each way attach.
            for at in 2..bytes {
                let mut world = world(Detail::Short);
                world.attach();
                world.plan = Some(Break::Cut(way, at, notice));
                let last = end(&mut world, PAY());
                world.run_for(20_000);
                let charged = count(&world, Event::Approved);
                assert!(charged <= 1, "{way:?} {at} {notice:?}");
                match last {
                    Report::Completed(Task::Authorise) => {
                        assert_eq!(charged, 1, "{way:?} {at} {notice:?}");
                        ends[0] += 1;
                    }
                    Report::NotSent { task: Task::Authorise, .. } => {
                        assert_eq!(charged, 0, "{way:?} {at} {notice:?}");
                        ends[1] += 1;
                    }
                    Report::Unknown { task: Task::Authorise, .. } => ends[2] += 1,
                    other => panic!("{way:?} {at} {notice:?}: {other:?}"),
                }
            }
        }
    }
    assert!(ends.iter().all(|count| *count > 2), "done, not sent, unknown: {ends:?}");
}

#[test]
fn a_kit_that_never_records_does_not_acknowledge() {
    let mut world = world(Detail::Short);
    world.attach();
    world.desk.by_hand = None;
    let sent = world.sent.len();
    let last = end(&mut world, PAY());
    assert_eq!(last, Report::Unknown { task: Task::Authorise, why: Doubt::Overtaken });
    // Call, ask, end of talk, and an acknowledgement of the terminal's call; none of its answer.
    let sent: Vec<u8> = world.sent[sent..].iter().filter(|bytes| bytes.len() == 1).map(|bytes| bytes[0]).collect();
    assert_eq!(sent, [0x05, 0x04, 0x06]);
}

#[test]
fn refusals_of_a_result_leave_it_standing() {
    let mut world = world(Detail::Short);
    world.attach();
    world.fault(Fault::WrongAmount(951));
    world.desk.by_hand = Some(Input::Refuse);
    let reports = world.ask(PAY());
    assert!(matches!(&reports[0], Report::Result(told) if told.amount == euro(951)));
    assert_eq!(reports.last(), Some(&Report::Stands(Task::Authorise)));
}

#[test]
fn faults_of_the_terminal_end_as_they_should() {
    let unknown = |why| Report::Unknown { task: Task::Authorise, why };
    let done = Report::Completed(Task::Authorise);
    let declined = Report::Declined { task: Task::Authorise, code: 7, text: "the terminal says no".to_owned() };
    let check = |fault: Fault, expected: Report, charged: usize| {
        let mut world = world(Detail::Short);
        world.attach();
        world.fault(fault);
        assert_eq!(end(&mut world, PAY()), expected, "{fault:?}");
        assert_eq!(count(&world, Event::Approved), charged, "{fault:?}");
    };
    check(Fault::Decline(5), declined.clone(), 0);
    check(Fault::Abort, declined, 0);
    check(Fault::Nak(1), done.clone(), 1);
    check(Fault::Nak(2), done.clone(), 1);
    check(Fault::Nak(3), unknown(Doubt::NotAcknowledged), 0);
    check(Fault::BadChecksum(1), done.clone(), 1);
    check(Fault::BadChecksum(2), done.clone(), 1);
    check(Fault::Garbage(300), done.clone(), 1);
    check(Fault::Late(170_000), done.clone(), 1);
    check(Fault::Late(181_000), unknown(Doubt::Silent), 0);
    check(Fault::RepeatApproval, done, 1);
    check(Fault::Mute, Report::NotSent { task: Task::Authorise, why: NotSent::Silent }, 0);
    check(Fault::PowerCycle, Report::NotSent { task: Task::Authorise, why: NotSent::NoLink }, 0);
    check(Fault::Busy(9), Report::NotSent { task: Task::Authorise, why: NotSent::Silent }, 0);
}

#[test]
fn what_is_late_is_not_taken_for_the_next() {
    let mut world = world(Detail::Short);
    world.attach();
    world.fault(Fault::Late(179_500));
    // The buyer takes longer than the till waits, and the answer comes into the next request.
    let last = end(&mut world, PAY());
    assert_eq!(last, Report::Unknown { task: Task::Authorise, why: Doubt::Silent });
    let attach = end(&mut world, Request::Attach);
    assert_eq!(attach, Report::Failed { task: Task::Attach, why: Doubt::Busy }, "it has something to tell first");
    assert_eq!(count(&world, Event::Approved), 1);
}

#[test]
fn card_data_in_the_report_is_masked_and_told() {
    let mut world = world(Detail::Full);
    world.attach();
    world.fault(Fault::PanInText);
    let reports = world.ask(PAY());
    assert_eq!(reports[0], Report::Alarm(Alarm::PanSeen));
    let all = format!("{reports:?}");
    assert!(all.contains("411111******1111") && !all.contains("4111111111111111"), "{all}");
}

#[test]
fn what_the_protocol_lacks_is_said() {
    let mut world = world(Detail::Short);
    let not_sent = |task, why| Report::NotSent { task, why };
    assert_eq!(end(&mut world, PAY()), not_sent(Task::Authorise, NotSent::NoLink));
    world.attach();
    let unavailable = Report::LastTransactionUnavailable(Unavailable::Unsupported);
    assert_eq!(end(&mut world, Request::LastTransaction), unavailable);
    assert_eq!(end(&mut world, Request::EndOfDay), not_sent(Task::EndOfDay, NotSent::Unsupported));
    let reverse = Request::Reverse { receipt: 1, amount: euro(1) };
    assert_eq!(end(&mut world, reverse), not_sent(Task::Reverse, NotSent::Unsupported));
    let large = Request::Authorise { amount: euro(100_000_000) };
    assert_eq!(end(&mut world, large), not_sent(Task::Authorise, NotSent::Amount));
    let refund = Request::Refund { amount: euro(5) };
    assert_eq!(end(&mut world, refund), Report::Completed(Task::Refund));
    assert_eq!(count(&world, Event::Refunded), 1);
}
