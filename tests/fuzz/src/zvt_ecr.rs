//! A driver in the middle of anything, with bytes, decisions and time in any order: each request has one end, a payment leaves
//! once, and the answer to a result never leaves before it was recorded.
#![no_main]

use fieldkit_core::money::{Currency, Money};
use fieldkit_drivers::terminal::{Driver, Input, NotSent, Output, Profile, Report, Request, Task};
use fieldkit_drivers::zvt::carrier::Framing;
use fieldkit_drivers::zvt::ecr::{Config, Ecr};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let currency = Currency::from_code("EUR").expect("EUR is in ISO 4217");
    let profile = Profile::default();
    let config = Config { framing: Framing::Tcp, password: 0, currency, profile, message_ids: true };
    let mut world = World { driver: Ecr::new(config), now_ms: 0, running: None, pending: false, payments: 0, tries: 0 };
    world.input(Input::LinkUp);
    world.request(Request::Attach);
    // A terminal that attaches, so that most of the input is spent behind that.
    for bytes in [&[0x80, 0, 0][..], &[6, 0x0f, 0], &[0x80, 0, 0], &[6, 0x0f, 0]] {
        world.input(Input::Bytes(bytes.to_vec()));
    }
    let mut rest = data;
    while let [what, more @ ..] = rest {
        let amount = Money::new(950, currency);
        rest = more;
        match what {
            0xf0 => world.request(Request::Authorise { amount }),
            0xf1 => world.request(Request::LastTransaction),
            0xf2 => world.request(Request::EndOfDay),
            0xf3 => world.input(Input::Request(Request::Abort)),
            0xf4 => world.decide(Input::Recorded),
            0xf5 => world.decide(Input::Refuse),
            0xf6 => world.decide(Input::Hold),
            0xf7 => world.now_ms += 1_000,
            0xf8 => world.now_ms += 200_000,
            0xf9 => world.input(Input::LinkDown),
            0xfa => {
                world.input(Input::LinkUp);
                world.request(Request::Attach);
            }
            0xfb => world.request(Request::Reverse { receipt: 1, amount }),
            length => {
                let (bytes, after) = rest.split_at(usize::from(*length).min(rest.len()));
                rest = after;
                world.input(Input::Bytes(bytes.to_vec()));
            }
        }
        world.input(Input::Tick);
    }
});

struct World {
    driver: Ecr,
    now_ms: u64,
    running: Option<Task>,
    /// A result was told and not decided.
    pending: bool,
    payments: u32,
    tries: u32,
}

impl World {
    fn request(&mut self, request: Request) {
        self.tries += u32::from(matches!(request, Request::Authorise { .. }));
        self.running = self.running.or(Some(request.task()));
        self.input(Input::Request(request));
    }
    fn decide(&mut self, input: Input) {
        self.pending = false;
        self.input(input);
    }
    fn input(&mut self, input: Input) {
        self.driver.handle(self.now_ms, input);
        while let Some(output) = self.driver.poll_output() {
            match output {
                Output::Send(bytes) => {
                    self.payments += u32::from(bytes.starts_with(&[6, 1]));
                    assert!(self.payments <= self.tries, "a payment leaves once a try");
                    assert!(!self.pending, "nothing leaves while a result waits: {bytes:?}");
                }
                Output::CloseLink => {}
                Output::Report(report) => self.told(&report),
            }
        }
    }
    fn told(&mut self, report: &Report) {
        if report.binds() {
            assert!(!self.pending, "one result at a time");
            self.pending = true;
        }
        // A newcomer was turned away, or there is nothing to stop: what runs goes on.
        let aside = matches!(report, Report::NotSent { why: NotSent::Busy | NotSent::NothingRuns, .. });
        if let Some(task) = report.end().filter(|_| !aside) {
            assert_eq!(self.running.take(), Some(task), "an end without a beginning");
            self.pending = false;
        }
    }
}
