//! The driver byte by byte, over a stream: what it says, what it leaves unsaid, and when it gives up.

use super::*;
use crate::terminal::{BrandTotal, Totals};

/// A driver and what it put out.
struct Bench {
    driver: Ecr,
    now_ms: u64,
}

fn euro(minor: i64) -> Money {
    Money::new(minor, Currency::from_code("EUR").expect("EUR is in ISO 4217"))
}

fn config() -> Config {
    let currency = euro(0).currency;
    Config { framing: Framing::Tcp, password: 0, currency, profile: Profile::default(), message_ids: false }
}

fn bytes(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

const YES: &str = "80 00 00";
const RESULT: &str = "04 0F 18 27 00 04 00 00 00 00 09 50 49 09 78 87 02 31 0B 00 09 75 29 52 52 35 35";
const DONE: &str = "06 0F 00";

impl Bench {
    fn new(config: Config) -> Self {
        let mut bench = Bench { driver: Ecr::new(config), now_ms: 0 };
        bench.input(Input::LinkUp);
        bench
    }
    /// A driver that has attached to a terminal which answers each step as usual.
    fn attached(config: Config) -> Self {
        let mut bench = Bench::new(config);
        bench.request(Request::Attach);
        bench.hear(YES);
        bench.hear("06 0F 01 00");
        bench.hear(YES);
        bench.hear("06 0F 0A 19 00 29 52 52 35 35 49 09 78");
        bench
    }
    /// A driver in the middle of a payment over 9.50.
    fn paying() -> Self {
        let mut bench = Bench::attached(config());
        bench.request(Request::Authorise { amount: euro(950) });
        bench.hear(YES);
        bench
    }
    fn input(&mut self, input: Input) -> Vec<Output> {
        self.driver.handle(self.now_ms, input);
        std::iter::from_fn(|| self.driver.poll_output()).collect()
    }
    fn request(&mut self, request: Request) -> Vec<String> {
        told(self.input(Input::Request(request)))
    }
    fn hear(&mut self, text: &str) -> Vec<String> {
        told(self.input(Input::Bytes(bytes(text))))
    }
    fn at(&mut self, now_ms: u64) -> Vec<String> {
        self.now_ms = now_ms;
        told(self.input(Input::Tick))
    }
}

/// Bytes as hexadecimal, reports as their name.
fn told(outputs: Vec<Output>) -> Vec<String> {
    let tell = |output| match output {
        Output::Send(bytes) => hex(&bytes),
        Output::CloseLink => "close".to_owned(),
        Output::Report(report) => format!("{report:?}"),
    };
    outputs.into_iter().map(tell).collect()
}

#[track_caller]
fn ends_with(told: &[String], wanted: &str) {
    assert!(told.last().is_some_and(|last| last.starts_with(wanted)), "{told:?} does not end with {wanted}");
}

#[test]
fn commands_are_the_worked_ones() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.request(Request::Attach), ["05 01 00"]);
    assert_eq!(bench.hear(YES), Vec::<String>::new());
    assert_eq!(bench.hear("06 0F 0B F0 F0 F7 32 2E 31 34 2E 31 35 00"), [YES, "06 00 06 00 00 00 1E 09 78"]);
    bench.hear(YES);
    ends_with(&bench.hear("06 0F 0A 19 10 29 52 52 35 35 49 09 78"), "Attached { terminal_id: Some(\"52523535\")");
    let mut check = |request, wanted: &str| {
        assert_eq!(bench.request(request), [wanted]);
        ends_with(
            &bench.hear("84 83 00"),
            if wanted.starts_with("06 20") { "LastTransactionUnavailable" } else { "Aborted" },
        );
    };
    check(Request::Authorise { amount: euro(950) }, "06 01 0A 04 00 00 00 00 09 50 49 09 78");
    check(Request::Authorise { amount: euro(1010) }, "06 01 0A 04 00 00 00 00 10 10 49 09 78");
    let reverse = Request::Reverse { receipt: 231, amount: euro(950) };
    check(reverse, "06 30 10 00 00 00 87 02 31 04 00 00 00 00 09 50 49 09 78");
    check(Request::Refund { amount: euro(950) }, "06 31 0D 00 00 00 04 00 00 00 00 09 50 49 09 78");
    check(Request::LastTransaction, "06 20 05 00 00 00 03 03");
    check(Request::EndOfDay, "06 50 03 00 00 00");
    check(Request::Diagnose, "06 70 00");
    assert_eq!(bench.request(Request::LogOff), ["06 02 00"]);
    assert_eq!(bench.hear(YES), ["Completed(LogOff)"]);
}

#[test]
fn the_password_goes_where_it_is_wanted() {
    let mut bench = Bench::attached(Config { password: 123_456, ..config() });
    assert_eq!(bench.request(Request::EndOfDay), ["06 50 03 12 34 56"]);
    let mut bench = Bench::new(Config { password: 123_456, ..config() });
    bench.request(Request::Attach);
    assert_eq!(bench.hear("84 83 00"), ["06 00 06 12 34 56 1E 09 78"], "a terminal without status enquiry");
}

#[test]
fn a_result_is_answered_once_it_is_recorded() {
    let mut bench = Bench::paying();
    let told = bench.hear(RESULT);
    assert!(
        told[0].starts_with("Result(Transaction { kind: Payment, terminal_id: \"52523535\", receipt: 231, trace: 975")
    );
    assert_eq!(told.len(), 1, "no byte before it is recorded");
    assert_eq!(bench.hear(RESULT), Vec::<String>::new(), "nor when it is repeated");
    assert_eq!(bench.driver.poll_timeout(), Some(RECORD_MS));
    assert_eq!(bench.input(Input::Recorded), [Output::Send(bytes(YES))]);
    assert_eq!(bench.input(Input::Recorded), [], "an answer is given once");
    assert_eq!(bench.hear(RESULT), [YES], "and again to the same result");
    assert_eq!(bench.hear(&RESULT.replace("87 02 31", "87 02 32")), Vec::<String>::new(), "but not to another");
    assert_eq!(bench.hear(DONE), [YES, "Completed(Authorise)"]);
}

#[test]
fn an_unrecorded_result_stays_unanswered() {
    let mut bench = Bench::paying();
    bench.hear(RESULT);
    assert_eq!(bench.at(RECORD_MS - 1), Vec::<String>::new());
    assert_eq!(bench.at(RECORD_MS), ["Unknown { task: Authorise, why: Overtaken }", "close"]);
    assert_eq!(bench.input(Input::Recorded), [], "too late");
    // And when the terminal goes on by itself.
    for message in ["04 FF 01 05", "06 1E 01 6C", DONE, "06 D1 02 00 41", "05 01 00"] {
        let mut bench = Bench::paying();
        bench.hear(RESULT);
        assert_eq!(bench.hear(message), ["Unknown { task: Authorise, why: Overtaken }"], "{message}: not a byte");
    }
}

#[test]
fn a_refused_result_is_taken_back() {
    let mut bench = Bench::paying();
    bench.hear(RESULT);
    assert_eq!(bench.input(Input::Refuse), [Output::Send(bytes("84 66 00"))]);
    assert_eq!(bench.hear("06 1E 01 66"), [YES, "TakenBack(Authorise)"]);
    let mut bench = Bench::paying();
    bench.hear(RESULT);
    bench.input(Input::Refuse);
    assert_eq!(bench.hear(DONE), [YES, "Unknown { task: Authorise, why: NoResult }"], "or is it?");
}

#[test]
fn ends_without_a_clear_word_are_doubt() {
    let end = |messages: &[&str]| {
        let mut bench = Bench::paying();
        let mut last = Vec::new();
        for message in messages {
            last = bench.hear(message);
            if last.iter().any(|told| told.starts_with("Result")) {
                bench.input(Input::Recorded);
            }
        }
        last.pop().expect("an end")
    };
    assert_eq!(end(&[DONE]), "Unknown { task: Authorise, why: NoResult }");
    assert_eq!(end(&[RESULT, "06 1E 01 6C"]), "Unknown { task: Authorise, why: AbortedLate }");
    assert!(end(&["06 1E 01 6C"]).starts_with("Aborted { task: Authorise, code: 108"));
    assert!(end(&["06 1E 01 05"]).starts_with("Declined { task: Authorise, code: 5"));
    assert!(end(&["04 0F 02 27 05", DONE]).starts_with("Declined { task: Authorise, code: 5"));
    assert!(end(&["04 0F 02 27 05", "06 1E 01 6C"]).starts_with("Declined { task: Authorise, code: 5"));
}

#[test]
fn results_that_nobody_waits_for_are_not_answered() {
    let mut bench = Bench::attached(config());
    assert_eq!(bench.hear(RESULT), Vec::<String>::new());
    assert_eq!(bench.hear("04 FF 01 0A"), [YES], "what moves nothing is");
    assert_eq!(bench.hear("0F A1 00"), ["84 83 00"]);
    // Before the terminal has accepted the payment, a result is from an older one.
    bench.request(Request::Authorise { amount: euro(950) });
    assert_eq!(bench.hear(RESULT), Vec::<String>::new());
    bench.hear(YES);
    ends_with(&bench.hear(RESULT), "Result");
    // Unreadable ones are not either.
    let mut bench = Bench::paying();
    assert_eq!(bench.hear("04 0F 07 04 00 00 00 00 09 50"), Vec::<String>::new());
}

#[test]
fn silence_has_its_limits() {
    let mut bench = Bench::attached(config());
    bench.request(Request::Authorise { amount: euro(950) });
    assert_eq!(bench.at(T3_MS - 1), Vec::<String>::new());
    assert_eq!(bench.at(T3_MS), ["Unknown { task: Authorise, why: NoAnswer }", "close"]);
    assert_eq!(bench.request(Request::LastTransaction), ["NotSent { task: LastTransaction, why: NoLink }"]);

    let mut bench = Bench::paying();
    bench.at(100_000);
    bench.hear("04 FF 02 0A 00");
    assert_eq!(bench.at(100_000 + T4_MS - 1), Vec::<String>::new(), "started again by the message");
    assert_eq!(bench.at(100_000 + T4_MS), ["06 B0 00"], "asked to stop");
    assert_eq!(bench.at(100_000 + T4_MS + STOP_MS - 1), Vec::<String>::new());
    assert_eq!(bench.at(100_000 + T4_MS + STOP_MS), ["Unknown { task: Authorise, why: Silent }", "close"]);

    let mut bench = Bench::paying();
    bench.hear("04 FF 02 0A 05");
    assert_eq!(bench.at(300_000 - 1), Vec::<String>::new(), "the terminal asked for five minutes");
    assert_eq!(bench.at(300_000), ["06 B0 00"]);
    assert_eq!(bench.hear(YES), Vec::<String>::new());
    ends_with(&bench.hear("06 1E 01 6C"), "Aborted");

    let mut bench = Bench::paying();
    for minute in 1..=15 {
        bench.hear("04 FF 02 0A 05");
        let told = bench.at(minute * 60_000);
        assert_eq!(told, if minute < 15 { vec![] } else { vec!["06 B0 00".to_owned()] }, "minute {minute}");
    }
    assert_eq!(DIALOGUE_MS, 15 * 60_000);
}

#[test]
fn what_was_not_polled_was_not_sent() {
    let mut bench = Bench::attached(config());
    bench.driver.handle(0, Input::Request(Request::Authorise { amount: euro(950) }));
    assert_eq!(told(bench.input(Input::LinkDown)), ["NotSent { task: Authorise, why: NoLink }"]);
    let mut bench = Bench::attached(config());
    bench.request(Request::Authorise { amount: euro(950) });
    assert_eq!(told(bench.input(Input::LinkDown)), ["Unknown { task: Authorise, why: LinkLost }"]);
}

#[test]
fn requests_that_cannot_begin_say_why() {
    let mut bench = Bench::new(config());
    let pay = |minor| Request::Authorise { amount: euro(minor) };
    assert_eq!(bench.request(pay(1)), ["NotSent { task: Authorise, why: NotAttached }"]);
    let mut bench = Bench::paying();
    assert_eq!(bench.request(pay(1)), ["NotSent { task: Authorise, why: Busy }"]);
    ends_with(&bench.hear(RESULT), "Result");
    let mut bench = Bench::attached(config());
    for minor in [0, -950, AMOUNT_MAX + 1] {
        assert_eq!(bench.request(pay(minor)), ["NotSent { task: Authorise, why: Amount }"]);
    }
    let yen = Money::new(950, Currency::from_code("JPY").expect("JPY is in ISO 4217"));
    assert_eq!(bench.request(Request::Refund { amount: yen }), ["NotSent { task: Refund, why: Amount }"]);
    for receipt in [0, 10_000] {
        let told = bench.request(Request::Reverse { receipt, amount: euro(950) });
        assert_eq!(told, ["NotSent { task: Reverse, why: Amount }"]);
    }
    assert_eq!(bench.request(pay(AMOUNT_MAX)), ["06 01 0A 04 99 99 99 99 99 99 49 09 78"]);
}

#[test]
fn attaching_does_what_the_terminal_needs() {
    let mut bench = Bench::new(config());
    bench.request(Request::Attach);
    bench.hear(YES);
    ends_with(&bench.hear("06 0F 01 9C"), "Status { code: 156, text: \"the terminal is busy\" }");
    assert_eq!(bench.at(PAUSE_MS), ["05 01 00"], "asked again");
    bench.hear(YES);
    assert_eq!(bench.hear("06 0F 01 C2"), [YES, "06 00 06 00 00 00 1E 09 78"]);
    bench.hear(YES);
    assert_eq!(bench.hear("06 0F 02 19 01"), [YES, "06 93 03 00 00 00"], "initialisation");
    bench.hear(YES);
    assert_eq!(bench.hear(DONE), [YES, "06 70 00"], "diagnosis");
    assert_eq!(bench.hear("84 83 00"), ["Attached { terminal_id: None, currency: None }"], "whatever comes of it");

    let mut bench = Bench::new(config());
    bench.request(Request::Attach);
    bench.hear("84 83 00");
    assert_eq!(bench.hear("84 85 00"), ["Failed { task: Attach, why: Refused(133) }"], "registration must work");
    let mut bench = Bench::new(config());
    bench.request(Request::Attach);
    assert_eq!(bench.at(T3_MS), ["Failed { task: Attach, why: NoAnswer }", "close"]);
}

#[test]
fn the_count_of_results_is_given_back_as_seen() {
    let result =
        "04 0F 1F 27 00 04 00 00 00 00 09 50 49 09 78 87 02 31 0B 00 09 75 29 52 52 35 35 06 05 1F 1F 02 00 07";
    let pay = Request::Authorise { amount: euro(950) };
    let with = "06 01 11 04 00 00 00 00 09 50 49 09 78 06 05 1F 1F 02 00 07";
    let without = "06 01 0A 04 00 00 00 00 09 50 49 09 78";
    let mut bench = Bench::paying();
    bench.hear(result);
    bench.input(Input::Recorded);
    bench.hear(DONE);
    assert_eq!(bench.request(pay), [with]);
    // A refused result does not count.
    let mut bench = Bench::paying();
    bench.hear(result);
    bench.input(Input::Refuse);
    bench.hear("06 1E 01 66");
    assert_eq!(bench.request(pay), [without]);
    // What the terminal repeats counts, what an earlier session saw does not.
    let mut bench = Bench::attached(config());
    bench.request(Request::LastTransaction);
    bench.hear(YES);
    bench.hear(result);
    bench.hear(DONE);
    assert_eq!(bench.request(pay), [with]);
    bench.hear("84 83 00");
    bench.request(Request::Attach);
    bench.hear("84 83 00");
    bench.hear(YES);
    bench.hear(DONE);
    assert_eq!(bench.request(pay), [without]);
}

#[test]
fn messages_are_numbered_where_the_terminal_does() {
    let mut bench = Bench::new(Config { message_ids: true, ..config() });
    bench.request(Request::Attach);
    assert_eq!(bench.hear("84 83 00"), ["06 00 0E 00 00 00 1E 09 78 06 06 1F 73 03 00 00 00"]);
    bench.hear(YES);
    bench.hear("06 0F 08 06 06 1F 73 03 00 00 00");
    for id in ["01", "02"] {
        let told = bench.request(Request::EndOfDay);
        assert_eq!(told, [format!("06 50 0B 00 00 00 06 06 1F 73 03 00 00 {id}")]);
        bench.hear("84 83 00");
    }
}

#[test]
fn an_end_of_day_as_recorded_is_told() {
    let mut bench = Bench::attached(config());
    bench.request(Request::EndOfDay);
    bench.hear(YES);
    let mut totals =
        "04 0F 4D 27 00 04 00 00 00 00 09 58 0B 00 09 82 0D 04 06 0C 08 17 06 60 F0 F5 F3 02 33 02 34".to_owned();
    totals.push_str(&" 00".repeat(14));
    totals.push_str(" 02 00 00 00 00 09 58");
    totals.push_str(&" 00".repeat(28));
    let outputs = bench.input(Input::Bytes(bytes(&totals)));
    let brand = BrandTotal { brand: "Mastercard", count: 2, amount: 958 };
    let expected = Totals { amount: Some(958), receipt_first: Some(233), receipt_last: Some(234), brands: vec![brand] };
    assert_eq!(outputs, [Output::Report(Report::EndOfDay(expected))]);
    assert_eq!(bench.input(Input::Refuse), [], "there is nothing to refuse");
    assert_eq!(bench.input(Input::Recorded), [Output::Send(bytes(YES))]);
    assert_eq!(bench.hear(DONE), [YES, "Completed(EndOfDay)"]);
}

#[test]
fn the_last_transaction_is_told_or_not() {
    let ask = |messages: &[&str]| {
        let mut bench = Bench::attached(config());
        bench.request(Request::LastTransaction);
        let told = messages.iter().fold(Vec::new(), |_, message| bench.hear(message));
        told.last().cloned().expect("an end")
    };
    assert!(ask(&[YES, RESULT, DONE]).starts_with("LastTransaction(Some(Transaction { kind: Unstated"));
    let none = "04 0F 0C 27 00 04 00 00 00 00 00 00 87 00 00";
    assert_eq!(ask(&[YES, none, DONE]), "LastTransaction(None)");
    assert_eq!(ask(&[YES, DONE]), "LastTransactionUnavailable(NoResult)");
    assert_eq!(ask(&[YES, "06 1E 01 83"]), "LastTransactionUnavailable(Refused(131))");
    assert_eq!(ask(&["84 83 00"]), "LastTransactionUnavailable(Refused(131))");
    assert_eq!(ask(&[YES, "04 0F 02 27 66", DONE]), "LastTransactionUnavailable(Refused(102))");
    // What was told is good, even if the end does not come.
    let mut bench = Bench::attached(config());
    bench.request(Request::LastTransaction);
    bench.hear(YES);
    bench.hear(RESULT);
    ends_with(&told(bench.input(Input::LinkDown)), "LastTransaction(Some");
}

#[test]
fn the_till_stops_what_the_terminal_lets_it() {
    let mut bench = Bench::attached(config());
    bench.request(Request::Authorise { amount: euro(950) });
    assert_eq!(bench.request(Request::Abort), Vec::<String>::new(), "not before the command is answered");
    assert_eq!(bench.hear(YES), ["06 B0 00"]);
    assert_eq!(bench.hear("84 83 00"), ["AbortRefused"]);
    assert_eq!(bench.request(Request::Abort), ["06 B0 00"], "it may be asked again");
    ends_with(&bench.hear(RESULT), "Result");
    assert_eq!(bench.request(Request::Abort), ["AbortRefused"]);
    bench.input(Input::Recorded);
    assert_eq!(bench.request(Request::Abort), ["AbortRefused"]);
    ends_with(&bench.hear(DONE), "Completed");
}

#[test]
fn garbage_never_panics_and_holds_little() {
    for framing in [Framing::Tcp, Framing::Serial] {
        let mut bench = Bench::new(Config { framing, ..config() });
        let (mut state, mut most) = (11u64, 0);
        for at in 0..100_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let byte = match state >> 62 {
                0 => [0x10, 0x02, 0x03, 0x06][(state >> 40) as usize % 4],
                1 => [0x04, 0x0f, 0x80, 0x00][(state >> 40) as usize % 4],
                _ => (state >> 33) as u8,
            };
            bench.now_ms = at * 3;
            let outputs = bench.input(Input::Bytes(vec![byte]));
            most = most.max(outputs.len());
            if at % 97 == 0 {
                bench.input(Input::LinkUp);
                bench.request(if at % 2 == 0 { Request::Attach } else { Request::LastTransaction });
            }
        }
        assert!(most < 20, "{most} outputs for one byte");
        // The next link works.
        bench.input(Input::LinkUp);
        bench.request(Request::Attach);
    }
}
