//! A terminal in small, a kit that follows the rules of recovery, and a crew: whatever gets lost between them, the
//! terminal's own journal and the ledger agree payment by payment (promise 2, INV-02 to INV-05).

use crate::cards::record;
use crate::world::{Kit, Terms, World, actor_of, check_books, sale};
use fieldkit_core::body::*;
use fieldkit_core::decide::{Command, OrderRequest, TenderRequest};
use fieldkit_core::device::Recognised;
use fieldkit_core::id::{OpId, Zero};
use fieldkit_core::matching::{Match, baseline_of};
use fieldkit_core::money::Currency;
use fieldkit_core::op::{Account, Actor, Unit};
use fieldkit_core::payment::{Payment, PaymentState};
use proptest::collection::vec;
use proptest::prelude::*;

fn euro() -> Currency {
    Currency::from_code("EUR").expect("EUR is in ISO 4217")
}

/// A charge in the terminal's own journal.
struct Charge {
    record: TerminalRecord,
    /// The payment that it was made for; `None` for one that somebody typed at the terminal.
    of: Option<OpId>,
    undone: bool,
}

#[derive(Default)]
struct Terminal {
    number: u32,
    journal: Vec<Charge>,
    last: Option<TerminalRecord>,
}

impl Terminal {
    fn next(&mut self, amount: i64) -> TerminalRecord {
        self.number += 1;
        let record = record("52523530", self.number, amount, euro());
        self.last = Some(record.clone());
        record
    }

    fn charge(&mut self, amount: i64, of: Option<OpId>) -> TerminalRecord {
        let record = self.next(amount);
        self.journal.push(Charge { record: record.clone(), of, undone: false });
        record
    }

    /// Undoes the charge of a payment.
    fn undo(&mut self, of: OpId) -> Option<TerminalRecord> {
        let charge = self.journal.iter_mut().rev().find(|charge| charge.of == Some(of) && !charge.undone)?;
        charge.undone = true;
        let amount = charge.record.amount;
        let record = TerminalRecord { kind: RecordKind::Reversal, ..self.next(amount) };
        self.last = Some(record.clone());
        Some(record)
    }

    fn charged(&self, of: OpId) -> bool {
        self.journal.iter().any(|charge| charge.of == Some(of) && !charge.undone)
    }

    fn baseline(&self) -> Baseline {
        let fresh = Baseline { terminal_id: Some("52523530".to_owned()), ..Baseline::default() };
        self.last.as_ref().map_or(fresh, baseline_of)
    }
}

struct Stall {
    world: World,
    terminal: Terminal,
    device: OpId,
}

impl Stall {
    fn new() -> Self {
        let world = World::at_work(1, Terms { currency: "EUR", prices: Prices::Inclusive });
        let device = world.kits[0].ledger.devices.keys().next().copied().expect("a terminal is accepted");
        Stall { world, terminal: Terminal::default(), device }
    }

    fn kit(&mut self) -> &mut Kit {
        &mut self.world.kits[0]
    }

    /// A refusal is a fine answer.
    fn give(&mut self, command: &Command) -> bool {
        let (event, owner) = (self.world.event, self.world.owner);
        self.kit().wall_ms += 1_000;
        self.kit().run(command, Some(event), actor_of(command, owner)).is_ok()
    }

    #[track_caller]
    fn report(&mut self, payment: &Payment, step: PaymentStep) {
        let command = Command::MovePayment { order: payment.order, payment: payment.payment_id, step };
        let (event, device) = (self.world.event, Actor::Device(Zero));
        let done = self.kit().run(&command, Some(event), device);
        done.map(|_| ()).unwrap_or_else(|refusal| panic!("{command:?} was refused: {refusal}"));
    }

    /// What the kit may act on: the payment that the terminal is at, else those that wait for it.
    fn open_payments(&self) -> Vec<Payment> {
        let open = self.world.kits[0].ledger.events[&self.world.event].open_payments.values();
        // What a person closed is kept for what a terminal may tell of it; nothing is done about it.
        let open = open.filter(|payment| payment.state().is_open());
        let (asked, others): (Vec<_>, Vec<_>) = open.cloned().partition(|payment| payment.standing().is_asked());
        assert!(asked.len() <= 1, "one payment at a time is at the terminal");
        if asked.is_empty() { others } else { asked }
    }

    /// One step of the kit for a payment, with what the world makes of it.
    fn drive(&mut self, payment: &Payment, luck: u8) {
        match payment.state() {
            PaymentState::Intended => {
                let baseline = self.terminal.baseline();
                self.report(payment, PaymentStep::Sent(baseline));
                self.authorise(payment, luck);
            }
            PaymentState::Sent => self.report(payment, PaymentStep::Unknown("the kit went down".to_owned())),
            PaymentState::Unknown | PaymentState::ReversalUnknown => self.ask(payment, luck),
            PaymentState::Approved => self.confirm(payment, luck),
            PaymentState::Reversing => self.reverse(payment, luck),
            PaymentState::Mismatched => self.close(payment),
            PaymentState::AtRisk if luck < 40 => {
                // PAY-12: the buyer was never charged.
                let id = payment.payment_id;
                self.terminal.journal.iter_mut().filter(|charge| charge.of == Some(id)).for_each(|c| c.undone = true);
                let no = TerminalAnswer { code: 1, text: "declined when it was sent".to_owned() };
                self.report(payment, PaymentStep::Declined(no));
            }
            PaymentState::AtRisk => self.report(payment, PaymentStep::Captured(Zero)),
            state => panic!("{state:?} is not open"),
        }
    }

    fn authorise(&mut self, payment: &Payment, luck: u8) {
        let (id, amount) = (payment.payment_id, payment.amount);
        let no = || TerminalAnswer { code: 0x6c, text: "no".to_owned() };
        match luck % 12 {
            0 => self.report(payment, PaymentStep::Declined(no())),
            1 => self.report(payment, PaymentStep::Cancelled(CancelledBy::Buyer)),
            // The kit goes down before the terminal hears of it.
            2 => {}
            // The terminal says no, and nobody hears it.
            3 => {
                let refused = TerminalRecord { result: 0x6c, ..self.terminal.next(amount) };
                self.terminal.last = Some(refused);
            }
            // PAY-01: the card is charged, and nobody hears it.
            4 | 5 => drop(self.terminal.charge(amount, Some(id))),
            // PAY-04: less is charged than was asked.
            6 if amount > 1 => {
                let record = self.terminal.charge(amount - 1, Some(id));
                self.report(payment, PaymentStep::Approved(record));
            }
            7 => {
                let record = self.terminal.charge(amount, Some(id));
                self.report(payment, PaymentStep::AtRisk(record));
            }
            // PAY-09: stopped at the till while the card is charged; the answer comes after the stop.
            8 => {
                self.report(payment, PaymentStep::Cancelled(CancelledBy::Crew));
                let record = self.terminal.charge(amount, Some(id));
                self.report(payment, PaymentStep::Approved(record));
            }
            _ => {
                let record = self.terminal.charge(amount, Some(id));
                self.report(payment, PaymentStep::Approved(record));
            }
        }
    }

    /// The kit answers an approval; where that gets lost, the terminal takes the charge back.
    fn confirm(&mut self, payment: &Payment, luck: u8) {
        if luck.is_multiple_of(5) {
            let undone = self.terminal.undo(payment.payment_id).expect("what is approved was charged");
            return self.report(payment, PaymentStep::Reversed(undone));
        }
        self.report(payment, PaymentStep::Captured(Zero));
    }

    fn reverse(&mut self, payment: &Payment, luck: u8) {
        let baseline = self.terminal.baseline();
        self.report(payment, PaymentStep::ReversalSent(baseline));
        let lost = || PaymentStep::ReversalUnknown("the cable was pulled".to_owned());
        let undo = |stall: &mut Stall| stall.terminal.undo(payment.payment_id).expect("it was charged");
        match luck % 6 {
            0 => {
                let no = TerminalAnswer { code: 0xb5, text: "not possible".to_owned() };
                self.report(payment, PaymentStep::ReversalDeclined(no));
            }
            1 => self.report(payment, lost()),
            2 => {
                let _ = undo(self);
                self.report(payment, lost());
            }
            _ => {
                let record = undo(self);
                self.report(payment, PaymentStep::Reversed(record));
                // The last card of a void lets go of what readers took, too.
                self.pay_back_by_hand(payment.order);
            }
        }
    }

    /// The terminal's last transaction is asked for; where it does not tell, a person looks into its journal.
    fn ask(&mut self, payment: &Payment, luck: u8) {
        if luck.is_multiple_of(7) {
            // Somebody typed an amount at the terminal meanwhile.
            let _ = self.terminal.charge(77, None);
        }
        let reversing = payment.state() == PaymentState::ReversalUnknown;
        let Some(last) = self.terminal.last.clone() else { return self.close(payment) };
        let recognised = match self.world.kits[0].ledger.recognise(self.device, &last) {
            Recognised::Tells(told, found) => {
                assert_eq!(
                    told.payment_id, payment.payment_id,
                    "what is told is told of the payment that was asked about: {found:?} {told:#?} {last:?}"
                );
                Some(found)
            }
            Recognised::Known | Recognised::Foreign => None,
        };
        match recognised {
            Some(Match::Booked) if reversing => self.report(payment, PaymentStep::Reversed(last)),
            Some(Match::Booked) => self.report(payment, PaymentStep::Approved(last)),
            Some(Match::Older) if reversing => self.reverse(payment, luck / 7),
            Some(Match::Older) => self.report(payment, PaymentStep::NotCharged("asked: nothing new".to_owned())),
            Some(Match::Declined) => {
                let no = TerminalAnswer { code: u32::from(last.result), text: "asked: declined".to_owned() };
                self.report(payment, PaymentStep::Declined(no));
            }
            _ => {
                let device = self.device;
                self.give(&Command::RecordForeign { device, record: last });
                self.close(payment);
            }
        }
    }

    /// A person looks into the terminal's journal. A charge of another amount is undone by hand first.
    #[track_caller]
    fn close(&mut self, payment: &Payment) {
        let standing = payment.standing();
        if standing.state == PaymentState::Mismatched || standing.before == PaymentState::Mismatched {
            let _ = self.terminal.undo(payment.payment_id);
        }
        let charged = if self.terminal.charged(payment.payment_id) { Charged::Yes } else { Charged::No };
        let (order, payment) = (payment.order, payment.payment_id);
        let evidence = "the terminal's journal".to_owned();
        assert!(self.give(&Command::ClosePayment { order, payment, charged, evidence }));
    }

    /// What the crew does; refusals are fine.
    fn crew(&mut self, deed: &Deed) {
        let orders: Vec<OpId> = self.world.kits[0].ledger.orders.keys().copied().collect();
        let order = |number: u8| orders.get(usize::from(number) % orders.len().max(1)).copied();
        let cash = |minor: i64| TenderRequest::Cash { minor, currency: "EUR".to_owned() };
        match deed {
            Deed::Sell { mugs, cash: minor } => {
                let tenders = vec![cash(i64::from(*minor)), TenderRequest::Card { amount: None, device: None }];
                let request = OrderRequest { tenders, ..sale(&[(0, *mugs, 0)], 0, 0, euro()) };
                self.give(&Command::PlaceOrder(request));
            }
            Deed::Begin { order: number, part } => {
                let Some(order) = order(*number) else { return };
                let amount = part.map(|part| (i64::from(part), "EUR".to_owned()));
                self.give(&Command::BeginPayment { order, amount, device: None });
            }
            Deed::Settle { order: number } => {
                let Some(order) = order(*number) else { return };
                self.give(&Command::SettleOrder { order, tenders: vec![cash(20_000)] });
            }
            Deed::Cancel { order: number } => {
                let Some(order) = order(*number) else { return };
                self.give(&Command::CancelOrder { order, reason: "gone".to_owned() });
            }
            Deed::Void { order: number } => {
                let Some(order) = order(*number) else { return };
                self.give(&Command::Void { order, reason: "mistyped".to_owned() });
                self.pay_back_by_hand(order);
            }
            Deed::Drive { payment, luck } => {
                let open = self.open_payments();
                let Some(payment) = open.get(usize::from(*payment) % open.len().max(1)) else { return };
                self.drive(payment, *luck);
            }
        }
    }

    /// What the ledger says the crew paid back by hand is undone at the terminal, by hand.
    fn pay_back_by_hand(&mut self, order: OpId) {
        let payments = self.world.kits[0].ledger.orders.get(&order).map(|order| order.payments.clone());
        for payment in payments.into_iter().flatten() {
            let standing = payment.standing();
            if standing.state == PaymentState::ClosedByPerson && standing.booked.is_none() {
                let _ = self.terminal.undo(payment.payment_id);
            }
        }
    }

    fn check(&self) {
        let kit = &self.world.kits[0];
        check_books(&kit.ledger, &kit.log);
        let event = &kit.ledger.events[&self.world.event];
        let balance = |account| event.balance(account, Unit::Money(euro()));
        let live = || self.terminal.journal.iter().filter(|charge| !charge.undone);
        let own: i64 = live().filter(|charge| charge.of.is_some()).map(|charge| charge.record.amount).sum();
        let booked = [Account::CARD, Account::AT_RISK, Account::ATTESTED].map(balance).iter().sum::<i64>();
        assert_eq!(own, booked, "INV-02: what the terminal charged for orders is what the ledger has");
        let typed = live().filter(|charge| charge.of.is_none()).count();
        // What the crew undid by hand is told by the terminal, too, and is listed as well.
        let listed = event.foreign.values().filter(|foreign| foreign.body.record.kind == RecordKind::Payment).count();
        assert_eq!(listed, typed, "what somebody typed is listed as a payment without order");
        for order in kit.ledger.orders.values() {
            let of_order = |charge: &&Charge| charge.of.is_some_and(|of| order.payment(of).is_some());
            let charged: i64 = live().filter(of_order).map(|charge| charge.record.amount).sum();
            // Where the terminal would not undo a charge that came after a no, the ledger names it.
            let named = order.payments.iter().any(|payment| !payment.standing().against.is_empty());
            assert!(charged <= order.sale.total || named, "INV-03: no order is charged twice");
        }
        for payment in kit.ledger.orders.values().flat_map(|order| &order.payments) {
            let charges = live().filter(|charge| charge.of == Some(payment.payment_id)).count();
            assert!(charges <= 1, "INV-03: no payment is charged twice");
            let taken = payment.standing().booked.is_some();
            assert_eq!(taken, charges == 1, "INV-04: what is taken was charged once: {payment:?}");
        }
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Sell { mugs: u8, cash: u16 },
    Begin { order: u8, part: Option<u16> },
    Settle { order: u8 },
    Cancel { order: u8 },
    Void { order: u8 },
    Drive { payment: u8, luck: u8 },
}

fn deed() -> impl Strategy<Value = Deed> {
    let cash = prop_oneof![2 => Just(0u16), 1 => 0u16..2000];
    let part = prop_oneof![2 => Just(None), 1 => (1u16..3000).prop_map(Some)];
    prop_oneof![
        3 => (1u8..3, cash).prop_map(|(mugs, cash)| Deed::Sell { mugs, cash }),
        3 => (any::<u8>(), part).prop_map(|(order, part)| Deed::Begin { order, part }),
        1 => any::<u8>().prop_map(|order| Deed::Settle { order }),
        1 => any::<u8>().prop_map(|order| Deed::Cancel { order }),
        2 => any::<u8>().prop_map(|order| Deed::Void { order }),
        10 => (any::<u8>(), any::<u8>()).prop_map(|(payment, luck)| Deed::Drive { payment, luck }),
    ]
}

proptest! {
    #[test]
    fn terminal_and_ledger_agree_payment_by_payment(
        deeds in vec(deed(), 1..50),
        rest in vec(any::<u8>(), 8),
    ) {
        let mut stall = Stall::new();
        for deed in &deeds {
            stall.crew(deed);
        }
        // INV-05: with the terminal at hand every doubt ends.
        for turn in 0..64 {
            let open = stall.open_payments();
            let Some(payment) = open.iter().find(|payment| payment.state() != PaymentState::AtRisk) else { break };
            // Later turns meet no more mishaps.
            let luck = if turn < rest.len() { rest[turn] } else { 11 };
            stall.drive(payment, luck);
        }
        let left = stall.open_payments().iter().filter(|payment| payment.state().holds_order()).count();
        prop_assert_eq!(left, 0, "a doubt did not end");
        stall.check();
    }
}
