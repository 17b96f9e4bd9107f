//! Payments one by one: each way that a card can go, what the ledger then says, and what it refuses (PAY-01 to PAY-21).

use crate::cards::{check_money, record};
use crate::world::{Kit, Terms, World, any_move, here, sale, terminal};
use fieldkit_core::body::*;
use fieldkit_core::decide::{Command, OrderRequest, TenderRequest};
use fieldkit_core::device::Recognised;
use fieldkit_core::id::{OpId, PoolId, Zero};
use fieldkit_core::ledger::AnomalyKind;
use fieldkit_core::matching::{Match, baseline_of};
use fieldkit_core::money::{Currency, Money};
use fieldkit_core::op::{Account, Actor, Unit};
use fieldkit_core::order::{Order, OrderState};
use fieldkit_core::payment::{Payment, PaymentState};
use fieldkit_core::refusal::{PaymentRefusal, Refusal};
use fieldkit_core::snapshot;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;

fn euro() -> Currency {
    Currency::from_code("EUR").expect("EUR is in ISO 4217")
}

fn money(minor: i64) -> Money {
    Money::new(minor, euro())
}

/// A mug costs 14.50, a print 9.99.
const MUG: i64 = 1450;

fn cash(minor: i64) -> TenderRequest {
    TenderRequest::Cash { minor, currency: "EUR".to_owned() }
}

fn card() -> TenderRequest {
    TenderRequest::Card { amount: None, device: None }
}

fn part(minor: i64) -> TenderRequest {
    TenderRequest::Card { amount: Some((minor, "EUR".to_owned())), device: None }
}

fn reader(minor: i64, reference: &str) -> TenderRequest {
    let (reader, reference) = ("SumUp".to_owned(), reference.to_owned());
    TenderRequest::CardExternal { minor, currency: "EUR".to_owned(), reader, reference }
}

/// A stall with one kit, and what happens at it.
struct Stall {
    world: World,
    at: usize,
}

impl Stall {
    fn new() -> Self {
        Stall { world: World::at_work(1, Terms { currency: "EUR", prices: Prices::Inclusive }), at: 0 }
    }

    fn pair() -> Self {
        Stall { world: World::at_work(2, Terms { currency: "EUR", prices: Prices::Inclusive }), at: 0 }
    }

    fn kit(&self) -> &Kit {
        &self.world.kits[self.at]
    }

    fn give(&mut self, command: &Command) -> Result<Vec<OpId>, Refusal> {
        let (event, owner) = (self.world.event, self.world.owner);
        let kit = &mut self.world.kits[self.at];
        kit.wall_ms += 1_000;
        let ops = kit.run(command, Some(event), crate::world::actor_of(command, owner))?;
        check_money(&kit.ledger);
        Ok(ops.iter().map(|op| op.id()).collect())
    }

    #[track_caller]
    fn must(&mut self, command: &Command) {
        self.give(command).unwrap_or_else(|refusal| panic!("{command:?} was refused: {refusal}"));
    }

    #[track_caller]
    fn refused(&mut self, command: &Command) -> Refusal {
        let before = self.kit().ledger.business_bytes();
        let refusal = self.give(command).expect_err("this must be refused");
        assert_eq!(self.kit().ledger.business_bytes(), before, "INV-33: what is refused changes nothing");
        assert!(!refusal.to_string().is_empty() && !refusal.next_step().is_empty());
        refusal
    }

    /// Sells mugs for these tenders; the newest order and its last payment.
    #[track_caller]
    fn sell(&mut self, mugs: u8, tenders: Vec<TenderRequest>) -> (OpId, OpId) {
        let ops = self.give(&selling(mugs, tenders)).unwrap_or_else(|refusal| panic!("refused: {refusal}"));
        let order = self.kit().ledger.orders.get(&ops[0]).expect("the first op made the order");
        let payment = order.payments.last().map_or(ops[0], |payment| payment.payment_id);
        (ops[0], payment)
    }

    fn order(&self, id: OpId) -> &Order {
        &self.kit().ledger.orders[&id]
    }

    fn payment(&self, order: OpId, payment: OpId) -> &Payment {
        self.order(order).payment(payment).expect("the payment is the order's")
    }

    fn balance(&self, account: Account) -> i64 {
        self.kit().ledger.events[&self.world.event].balance(account, Unit::Money(euro()))
    }

    fn held(&self, sku: &str) -> i64 {
        self.kit().ledger.events[&self.world.event].held(PoolId::of(&self.world.event, sku))
    }

    #[track_caller]
    fn report(&mut self, (order, payment): (OpId, OpId), step: PaymentStep) {
        self.must(&Command::MovePayment { order, payment, step });
    }

    /// The dialogue of a card that is charged.
    #[track_caller]
    fn capture(&mut self, ids: (OpId, OpId), number: u32) {
        let amount = self.payment(ids.0, ids.1).amount;
        self.report(ids, PaymentStep::Sent(before(number)));
        self.report(ids, PaymentStep::Approved(charge(number, amount)));
        self.report(ids, PaymentStep::Captured(Zero));
    }

    #[track_caller]
    fn check(&self, (order, payment): (OpId, OpId), of_order: OrderState, of_payment: PaymentState) {
        let found = (self.order(order).state(), self.payment(order, payment).state());
        assert_eq!(found, (of_order, of_payment));
        let event = &self.kit().ledger.events[&self.world.event];
        assert_eq!(event.open_orders.contains(&order), of_order == OrderState::AwaitingPayment);
        assert_eq!(
            event.open_payments.contains_key(&payment),
            of_payment.is_open() || self.payment(order, payment).is_closed_at_terminal()
        );
    }

    fn anomalies(&self) -> Vec<AnomalyKind> {
        self.kit().ledger.anomalies.values().map(|anomaly| anomaly.kind).collect()
    }
}

fn selling(mugs: u8, tenders: Vec<TenderRequest>) -> Command {
    let request = sale(&[(0, mugs, 0)], 0, 0, euro());
    Command::PlaceOrder(OrderRequest { tenders, ..request })
}

fn charge(number: u32, amount: i64) -> TerminalRecord {
    record("52523530", number, amount, euro())
}

fn undo(number: u32, amount: i64) -> TerminalRecord {
    TerminalRecord { kind: RecordKind::Reversal, ..charge(number, amount) }
}

/// What the terminal had done before the transaction of this number.
fn before(number: u32) -> Baseline {
    baseline_of(&charge(number - 1, 1))
}

fn no() -> TerminalAnswer {
    TerminalAnswer { code: 0x6c, text: "declined 4111 1111 1111 1111".to_owned() }
}

#[test]
fn a_card_sale_is_paid_when_the_money_is_captured_and_not_before() {
    let mut stall = Stall::new();
    let ids = stall.sell(2, vec![card()]);
    stall.check(ids, OrderState::AwaitingPayment, PaymentState::Intended);
    assert_eq!((here(&stall.kit().ledger, stall.world.event, "MUG"), stall.held("MUG")), (8, 2));
    assert_eq!(stall.order(ids.0).receipt(), None, "a receipt is numbered when it is paid");
    stall.report(ids, PaymentStep::Sent(before(7)));
    stall.check(ids, OrderState::AwaitingPayment, PaymentState::Sent);
    stall.report(ids, PaymentStep::Approved(charge(7, 2 * MUG)));
    stall.check(ids, OrderState::AwaitingPayment, PaymentState::Approved);
    assert_eq!(stall.balance(Account::CARD), 0);
    stall.report(ids, PaymentStep::Captured(Zero));
    stall.check(ids, OrderState::Paid, PaymentState::Captured);
    assert_eq!((stall.balance(Account::CARD), stall.balance(Account::CASH)), (2 * MUG, 0));
    assert_eq!((stall.balance(Account::PREPAID), stall.held("MUG")), (0, 0));
    assert_eq!(stall.order(ids.0).receipt().map(|(_, number)| number), Some(1));
    assert_eq!(stall.payment(ids.0, ids.1).reference().as_deref(), Some("52523530-000008"));
    assert_eq!(stall.anomalies(), []);
}

#[test]
fn change_comes_from_cash_alone_and_the_drawer_counts_cash_alone() {
    let mut stall = Stall::new();
    let ids = stall.sell(2, vec![cash(2000), part(1000)]);
    stall.capture(ids, 7);
    let paid = stall.order(ids.0).paid().expect("it is paid");
    assert_eq!((paid.change, paid.tenders.len()), (100, 2));
    assert_eq!((stall.balance(Account::CASH), stall.balance(Account::CARD)), (1900, 1000));
    let event = &stall.kit().ledger.events[&stall.world.event];
    // Nobody opened the drawer, so its cash stands apart from a session's.
    assert_eq!(event.drawers.values().map(|drawer| drawer.while_closed.0).sum::<i128>(), 1900);
}

#[test]
fn amounts_for_cards_are_checked() {
    let mut stall = Stall::new();
    let left = PaymentRefusal::CardAmount { left: money(MUG) };
    for (tenders, refusal) in [
        (vec![part(MUG + 1)], left.clone().into()),
        (vec![part(0)], left.clone().into()),
        (vec![cash(MUG), card()], left.clone().into()),
        (vec![part(1000), reader(500, "A")], left.into()),
        (vec![part(-1)], Refusal::Amount { what: "a tender" }),
        (vec![card(), card()], Refusal::TooMany { what: "card tenders without an amount", found: 2, max: 1 }),
        (
            vec![part(MUG - 1)],
            Refusal::TenderMissing { missing: money(1), tendered: money(MUG - 1), total: money(MUG) },
        ),
        (
            vec![TenderRequest::Card { amount: Some((MUG, "USD".to_owned())), device: None }],
            Refusal::WrongCurrency { event: euro(), given: "USD".to_owned() },
        ),
    ] {
        assert_eq!(stall.refused(&selling(1, tenders)), refusal);
    }
}

#[test]
fn a_card_needs_a_terminal_of_this_kit() {
    let mut world = World::new(2, Terms { currency: "EUR", prices: Prices::Inclusive });
    let (event, owner) = (world.event, world.owner);
    world.kits[1].run(&Command::AcceptDevice(terminal(1)), Some(event), owner).expect("it is in order");
    world.sync_all();
    let mut stall = Stall { world, at: 0 };
    assert_eq!(stall.refused(&selling(1, vec![card()])), PaymentRefusal::NoTerminal.into());
    stall.must(&Command::AcceptDevice(terminal(0)));
    let again = stall.refused(&Command::AcceptDevice(terminal(0)));
    assert_eq!(again, PaymentRefusal::DeviceKnown("52523530".to_owned()).into());
    let ids = stall.sell(1, vec![card()]);
    let device = stall.payment(ids.0, ids.1).device.expect("a terminal is named");
    let retire = Command::RetireDevice { device };
    assert_eq!(stall.refused(&retire).code(), "terminal_held");
    stall.report(ids, PaymentStep::Cancelled(CancelledBy::Kit));
    stall.must(&retire);
    let begin = Command::BeginPayment { order: ids.0, amount: None, device: None };
    assert_eq!(stall.refused(&begin), PaymentRefusal::NoTerminal.into());
}

#[test]
fn a_second_attempt_waits_for_the_first() {
    let mut stall = Stall::new();
    let ids = stall.sell(1, vec![card()]);
    let begin = Command::BeginPayment { order: ids.0, amount: None, device: None };
    let running = |state| PaymentRefusal::Running { payment: ids.1.text(), state, amount: money(MUG) };
    let commands = [
        begin.clone(),
        Command::SettleOrder { order: ids.0, tenders: vec![cash(MUG)] },
        Command::CancelOrder { order: ids.0, reason: "gone".to_owned() },
    ];
    for step in [PaymentStep::Sent(before(7)), PaymentStep::Unknown("the cable was pulled".to_owned())] {
        let state = stall.payment(ids.0, ids.1).state().text();
        for command in &commands {
            assert_eq!(stall.refused(command), running(state).into());
        }
        assert_eq!(stall.refused(&selling(1, vec![card()])).code(), "terminal_held", "PAY-07: one terminal, one card");
        stall.report(ids, step);
    }
    for command in &commands {
        assert_eq!(
            stall.refused(command),
            PaymentRefusal::Unknown { payment: ids.1.text(), amount: money(MUG) }.into()
        );
    }
    stall.report(ids, PaymentStep::NotCharged("asked: nothing new".to_owned()));
    stall.check(ids, OrderState::AwaitingPayment, PaymentState::NotCharged);
    stall.must(&begin);
    let second = stall.order(ids.0).payments.last().expect("there are two").payment_id;
    stall.capture((ids.0, second), 8);
    stall.check((ids.0, second), OrderState::Paid, PaymentState::Captured);
    let refused = stall.refused(&begin);
    assert_eq!(refused, PaymentRefusal::OrderNotOpen("paid").into());
}

#[test]
fn a_declined_card_leaves_cash_or_another_card_or_nothing() {
    for way in 0..3 {
        let mut stall = Stall::new();
        let ids = stall.sell(1, vec![card()]);
        stall.report(ids, PaymentStep::Sent(before(7)));
        stall.report(ids, PaymentStep::Declined(no()));
        stall.check(ids, OrderState::AwaitingPayment, PaymentState::Declined);
        match way {
            0 => {
                let short = Command::SettleOrder { order: ids.0, tenders: vec![cash(MUG - 1)] };
                assert_eq!(stall.refused(&short).code(), "tender_missing");
                let by_card = Command::SettleOrder { order: ids.0, tenders: vec![card()] };
                assert_eq!(stall.refused(&by_card).code(), "card_tender");
                stall.must(&Command::SettleOrder { order: ids.0, tenders: vec![cash(1500)] });
                stall.check(ids, OrderState::Paid, PaymentState::Declined);
                assert_eq!(stall.order(ids.0).paid().map(|paid| paid.change), Some(50));
                assert_eq!((stall.balance(Account::CASH), stall.balance(Account::CARD)), (MUG, 0));
            }
            1 => {
                stall.must(&Command::SettleOrder { order: ids.0, tenders: vec![reader(MUG, "4242")] });
                assert_eq!((stall.balance(Account::ATTESTED), stall.balance(Account::PREPAID)), (MUG, 0));
            }
            _ => {
                stall.must(&Command::CancelOrder { order: ids.0, reason: "gone".to_owned() });
                stall.check(ids, OrderState::Cancelled, PaymentState::Declined);
                assert_eq!((here(&stall.kit().ledger, stall.world.event, "MUG"), stall.held("MUG")), (10, 0));
                let again = Command::CancelOrder { order: ids.0, reason: "gone".to_owned() };
                assert_eq!(stall.refused(&again), PaymentRefusal::OrderNotOpen("cancelled").into());
                let refund = Command::Void { order: ids.0, reason: "gone".to_owned() };
                assert_eq!(stall.refused(&refund), PaymentRefusal::OrderNotPaid("cancelled").into());
            }
        }
    }
}

#[test]
fn an_order_is_split_over_two_cards_and_cash() {
    let mut stall = Stall::new();
    let ids = stall.sell(2, vec![part(1000), part(900), cash(1000)]);
    assert_eq!(stall.payment(ids.0, ids.1).amount, 1000);
    stall.capture(ids, 7);
    stall.check(ids, OrderState::AwaitingPayment, PaymentState::Captured);
    assert_eq!((stall.balance(Account::CARD), stall.balance(Account::PREPAID)), (1000, -1000));
    let cancel = Command::CancelOrder { order: ids.0, reason: "gone".to_owned() };
    assert_eq!(stall.refused(&cancel), PaymentRefusal::MoneyTaken(money(1000)).into());
    let over = Command::BeginPayment { order: ids.0, amount: Some((1901, "EUR".to_owned())), device: None };
    assert_eq!(stall.refused(&over), PaymentRefusal::CardAmount { left: money(1900) }.into());
    stall.must(&Command::BeginPayment { order: ids.0, amount: None, device: None });
    let second = stall.order(ids.0).payments.last().map(|payment| (payment.payment_id, payment.amount));
    let (second, amount) = second.expect("there are two");
    assert_eq!(amount, 900, "the next part that was planned");
    stall.capture((ids.0, second), 8);
    stall.check(ids, OrderState::Paid, PaymentState::Captured);
    assert_eq!((stall.balance(Account::CARD), stall.balance(Account::CASH)), (1900, 1000));
    assert_eq!(stall.balance(Account::PREPAID), 0);
}

#[test]
fn a_split_order_is_given_up_once_its_card_is_paid_back() {
    let mut stall = Stall::new();
    let ids = stall.sell(2, vec![part(1000), part(1900)]);
    stall.capture(ids, 7);
    stall.must(&Command::ReversePayment { order: ids.0, payment: ids.1, reason: "gone".to_owned() });
    stall.check(ids, OrderState::AwaitingPayment, PaymentState::Reversing);
    stall.report(ids, PaymentStep::ReversalSent(before(8)));
    stall.report(ids, PaymentStep::Reversed(undo(8, 1000)));
    stall.check(ids, OrderState::AwaitingPayment, PaymentState::Reversed);
    assert_eq!((stall.balance(Account::CARD), stall.balance(Account::PREPAID)), (0, 0));
    stall.must(&Command::CancelOrder { order: ids.0, reason: "gone".to_owned() });
    stall.check(ids, OrderState::Cancelled, PaymentState::Reversed);
}

#[test]
fn another_amount_is_never_booked_and_is_asked_back() {
    for charged in [2 * MUG + 1, MUG] {
        let mut stall = Stall::new();
        let ids = stall.sell(2, vec![card()]);
        stall.report(ids, PaymentStep::Sent(before(7)));
        // Also where the driver took it for an approval: the rules compare.
        stall.report(ids, PaymentStep::Approved(charge(7, charged)));
        stall.check(ids, OrderState::AwaitingPayment, PaymentState::Reversing);
        assert_eq!(stall.anomalies(), [AnomalyKind::Mismatch], "PAY-03, PAY-04: an alarm with both amounts");
        let detail = stall.kit().ledger.anomalies.values().next().map(|anomaly| anomaly.detail.clone());
        let expected = format!("the terminal charged {} where {} was asked", money(charged), money(2 * MUG));
        assert_eq!(detail, Some(expected));
        assert_eq!((stall.balance(Account::CARD), stall.balance(Account::PREPAID)), (0, 0));
        stall.report(ids, PaymentStep::Reversed(undo(8, charged)));
        stall.check(ids, OrderState::AwaitingPayment, PaymentState::Reversed);
        assert_eq!(stall.anomalies(), [], "what is undone is no alarm any more");
        stall.must(&Command::SettleOrder { order: ids.0, tenders: vec![cash(2 * MUG)] });
    }
}

#[test]
fn another_amount_that_is_not_undone_stays_until_a_person_closes_it() {
    let mut stall = Stall::new();
    let ids = stall.sell(1, vec![card()]);
    stall.report(ids, PaymentStep::Sent(before(7)));
    stall.report(ids, PaymentStep::Mismatched(charge(7, 1)));
    stall.report(ids, PaymentStep::ReversalDeclined(no()));
    stall.check(ids, OrderState::AwaitingPayment, PaymentState::Mismatched);
    let close = |charged| Command::ClosePayment {
        order: ids.0,
        payment: ids.1,
        charged,
        evidence: "undone at the terminal by hand".to_owned(),
    };
    assert_eq!(stall.refused(&close(Charged::Yes)).code(), "payment_state");
    stall.must(&close(Charged::No));
    stall.check(ids, OrderState::AwaitingPayment, PaymentState::ClosedByPerson);
    assert_eq!(stall.anomalies(), []);
}

#[test]
fn an_approval_after_a_no_is_undone() {
    let cancelled = || PaymentStep::Cancelled(CancelledBy::Crew);
    for no in [cancelled(), PaymentStep::Declined(no()), PaymentStep::NotCharged("asked".to_owned())] {
        let mut stall = Stall::new();
        let ids = stall.sell(1, vec![card()]);
        stall.report(ids, PaymentStep::Sent(before(7)));
        stall.report(ids, no);
        stall.must(&Command::SettleOrder { order: ids.0, tenders: vec![cash(MUG)] });
        stall.report(ids, PaymentStep::Approved(charge(7, MUG)));
        stall.check(ids, OrderState::Paid, PaymentState::Reversing);
        assert_eq!(stall.anomalies(), [AnomalyKind::Payment], "PAY-09: money found after all");
        stall.report(ids, PaymentStep::Reversed(undo(8, MUG)));
        stall.check(ids, OrderState::Paid, PaymentState::Reversed);
        assert_eq!((stall.balance(Account::CARD), stall.balance(Account::CASH)), (0, MUG));
    }
}

#[test]
fn an_unknown_payment_is_closed_by_a_person_with_evidence() {
    let close = |ids: (OpId, OpId), charged, evidence: &str| Command::ClosePayment {
        order: ids.0,
        payment: ids.1,
        charged,
        evidence: evidence.to_owned(),
    };
    for charged in [Charged::Yes, Charged::No] {
        let mut stall = Stall::new();
        let ids = stall.sell(1, vec![card()]);
        stall.report(ids, PaymentStep::Sent(before(7)));
        assert_eq!(stall.refused(&close(ids, charged, "I saw it")).code(), "payment_state", "only the unknown");
        stall.report(ids, PaymentStep::Unknown("the cable was pulled".to_owned()));
        assert_eq!(stall.refused(&close(ids, charged, "")).code(), "text");
        let number = close(ids, charged, "slip of 4111-1111-1111-1111");
        assert_eq!(stall.refused(&number).code(), "card_number");
        stall.must(&close(ids, charged, "slip 231 of the terminal"));
        if charged == Charged::Yes {
            stall.check(ids, OrderState::Paid, PaymentState::ClosedByPerson);
            assert_eq!((stall.balance(Account::ATTESTED), stall.balance(Account::CARD)), (MUG, 0));
            // The terminal confirms it later: nothing moves, nothing is wrong.
            stall.report(ids, PaymentStep::Approved(charge(7, MUG)));
            stall.check(ids, OrderState::Paid, PaymentState::ClosedByPerson);
            assert_eq!(stall.anomalies(), []);
        } else {
            stall.check(ids, OrderState::AwaitingPayment, PaymentState::ClosedByPerson);
            stall.report(ids, PaymentStep::Approved(charge(7, MUG)));
            stall.check(ids, OrderState::AwaitingPayment, PaymentState::Reversing);
            assert_eq!(stall.anomalies(), [AnomalyKind::Payment], "the terminal outweighs the person");
        }
    }
}

#[test]
fn what_is_told_twice_is_booked_once() {
    let mut stall = Stall::new();
    let ids = stall.sell(1, vec![card()]);
    stall.report(ids, PaymentStep::Sent(before(7)));
    let approved = PaymentStep::Approved(charge(7, MUG));
    let key = stall.payment(ids.0, ids.1).command_key(&approved);
    stall.report(ids, approved.clone());
    assert_eq!(stall.payment(ids.0, ids.1).command_key(&approved), key, "PAY-05: a repeated report has its first key");
    stall.report(ids, PaymentStep::Captured(Zero));
    assert_eq!(stall.payment(ids.0, ids.1).command_key(&approved), key);
    let again = Command::MovePayment { order: ids.0, payment: ids.1, step: approved.clone() };
    assert_eq!(stall.refused(&again).code(), "payment_state", "and under another key it says nothing new");
    let other = PaymentStep::Approved(charge(9, MUG));
    assert_ne!(stall.payment(ids.0, ids.1).command_key(&other), key);
    // Another charge under the same payment is a contradiction for a person, and no money of this order.
    stall.report(ids, other);
    stall.check(ids, OrderState::Paid, PaymentState::Captured);
    assert_eq!(stall.anomalies(), [AnomalyKind::Payment]);
    assert_eq!(stall.balance(Account::CARD), MUG);
}

#[test]
fn a_reversal_that_is_asked_for_again_is_written_again() {
    let mut stall = Stall::new();
    let ids = stall.sell(1, vec![card()]);
    stall.capture(ids, 7);
    stall.must(&Command::Void { order: ids.0, reason: "mistyped".to_owned() });
    let sent = PaymentStep::ReversalSent(before(8));
    let first = stall.payment(ids.0, ids.1).command_key(&sent);
    stall.report(ids, sent.clone());
    stall.report(ids, PaymentStep::ReversalUnknown("the cable was pulled".to_owned()));
    stall.check(ids, OrderState::Paid, PaymentState::ReversalUnknown);
    assert_ne!(stall.payment(ids.0, ids.1).command_key(&sent), first);
    stall.report(ids, sent);
    stall.check(ids, OrderState::Paid, PaymentState::Reversing);
}

#[test]
fn money_at_risk_pays_and_its_loss_is_named() {
    let mut stall = Stall::new();
    let ids = stall.sell(1, vec![card()]);
    stall.report(ids, PaymentStep::Sent(before(7)));
    stall.report(ids, PaymentStep::AtRisk(charge(7, MUG)));
    stall.check(ids, OrderState::Paid, PaymentState::AtRisk);
    assert_eq!((stall.balance(Account::AT_RISK), stall.balance(Account::CARD)), (MUG, 0));
    // The terminal is free for others meanwhile.
    let other = stall.sell(1, vec![card()]);
    stall.capture(other, 8);
    stall.report(other, PaymentStep::Sent(before(8)));
    stall.report(ids, PaymentStep::Declined(no()));
    stall.check(ids, OrderState::Paid, PaymentState::Declined);
    assert_eq!((stall.balance(Account::AT_RISK), stall.balance(Account::LOST)), (0, MUG));
    assert!(stall.anomalies().contains(&AnomalyKind::Lost), "PAY-12: a named loss, not a silent change");
    let void = Command::Void { order: ids.0, reason: "lost".to_owned() };
    assert_eq!(stall.refused(&void).code(), "payment_state");
    let refund = Command::Refund { order: ids.0, lines: None, reason: "lost".to_owned(), restock: true, in_cash: true };
    assert_eq!(stall.refused(&refund).code(), "refund_amount", "money that never came does not go back");
}

#[test]
fn money_at_risk_that_arrives_is_captured() {
    let mut stall = Stall::new();
    let ids = stall.sell(1, vec![card()]);
    stall.report(ids, PaymentStep::Sent(before(7)));
    stall.report(ids, PaymentStep::AtRisk(charge(7, MUG)));
    stall.report(ids, PaymentStep::Captured(Zero));
    stall.check(ids, OrderState::Paid, PaymentState::Captured);
    assert_eq!((stall.balance(Account::AT_RISK), stall.balance(Account::CARD)), (0, MUG));
    assert_eq!(stall.order(ids.0).paid.len(), 1, "an order is paid once");
}

#[test]
fn a_void_pays_the_card_back_before_it_is_an_entry() {
    let mut stall = Stall::new();
    let ids = stall.sell(2, vec![cash(1000), card()]);
    stall.capture(ids, 7);
    let void = Command::Void { order: ids.0, reason: "mistyped".to_owned() };
    stall.must(&void);
    stall.check(ids, OrderState::Paid, PaymentState::Reversing);
    assert_eq!(stall.refused(&void).code(), "payment_running");
    stall.report(ids, PaymentStep::ReversalSent(before(8)));
    stall.report(ids, PaymentStep::ReversalDeclined(no()));
    stall.check(ids, OrderState::Paid, PaymentState::Captured);
    assert_eq!(stall.balance(Account::CARD), 2 * MUG - 1000, "what is not undone is still taken");
    stall.must(&void);
    stall.report(ids, PaymentStep::ReversalSent(before(9)));
    stall.report(ids, PaymentStep::Reversed(undo(9, 2 * MUG - 1000)));
    stall.check(ids, OrderState::Voided, PaymentState::Reversed);
    for account in [Account::CARD, Account::CASH, Account::PREPAID, Account::SALES, Account::TAX] {
        assert_eq!(stall.balance(account), 0, "{account:?}");
    }
    assert_eq!(here(&stall.kit().ledger, stall.world.event, "MUG"), 10);
    let refund = &stall.order(ids.0).refunds[0];
    assert_eq!((refund.body.reason.as_str(), refund.body.amount), ("mistyped", 2 * MUG));
    let undo = Command::UndoRefund { order: ids.0, refund: refund.refund_id };
    assert_eq!(stall.refused(&undo), PaymentRefusal::UndoCard.into());
}

#[test]
fn a_void_of_two_cards_waits_for_both() {
    let mut stall = Stall::new();
    let ids = stall.sell(2, vec![part(1000), part(1900)]);
    stall.capture(ids, 7);
    stall.must(&Command::BeginPayment { order: ids.0, amount: None, device: None });
    let second = (ids.0, stall.order(ids.0).payments.last().expect("there are two").payment_id);
    stall.capture(second, 8);
    stall.must(&Command::Void { order: ids.0, reason: "mistyped".to_owned() });
    stall.report(ids, PaymentStep::Reversed(undo(9, 1000)));
    stall.check(ids, OrderState::Paid, PaymentState::Reversed);
    assert_eq!((stall.balance(Account::CARD), stall.balance(Account::PREPAID)), (1900, 1000));
    stall.report(second, PaymentStep::ReversalDeclined(no()));
    // One reversal at a time: the terminal tells of its last transaction alone.
    stall.must(&Command::Void { order: ids.0, reason: "mistyped".to_owned() });
    stall.report(second, PaymentStep::ReversalSent(before(10)));
    stall.report(second, PaymentStep::ReversalDeclined(no()));
    // Half of it is paid back: the rest can go back in cash, no cent more.
    let refund =
        |lines| Command::Refund { order: ids.0, lines, reason: "broken".to_owned(), restock: true, in_cash: true };
    let most = PaymentRefusal::RefundAmount { left: money(1900), wanted: money(2 * MUG) };
    assert_eq!(stall.refused(&refund(None)), most.into());
    stall.must(&Command::Void { order: ids.0, reason: "mistyped".to_owned() });
    stall.report(second, PaymentStep::Reversed(undo(10, 1900)));
    stall.check(second, OrderState::Voided, PaymentState::Reversed);
    assert_eq!((stall.balance(Account::CARD), stall.balance(Account::PREPAID)), (0, 0));
}

#[test]
fn a_card_order_is_refunded_in_cash_only_where_that_is_asked_for() {
    let mut stall = Stall::new();
    let ids = stall.sell(2, vec![card()]);
    stall.capture(ids, 7);
    let refund = |in_cash| Command::Refund {
        order: ids.0,
        lines: Some(vec![(1, 1)]),
        reason: "broken".to_owned(),
        restock: false,
        in_cash,
    };
    assert_eq!(stall.refused(&refund(false)), PaymentRefusal::CardRefund(money(2 * MUG)).into());
    stall.must(&refund(true));
    stall.check(ids, OrderState::PartRefunded, PaymentState::Captured);
    assert_eq!((stall.balance(Account::CARD), stall.balance(Account::CASH)), (2 * MUG, -MUG));
    let void = Command::Void { order: ids.0, reason: "mistyped".to_owned() };
    assert_eq!(stall.refused(&void), Refusal::VoidTooLate);
    stall.must(&refund(true));
    assert_eq!(stall.refused(&refund(true)).code(), "refund_quantity", "INV-09: no more than was paid");
}

#[test]
fn a_sale_by_the_crews_own_reader_is_attested_and_paid_at_once() {
    let mut stall = Stall::new();
    let ids = stall.sell(2, vec![reader(1000, "TAAA4X9KQ2"), cash(2000)]);
    stall.check(ids, OrderState::Paid, PaymentState::Attested);
    assert_eq!((stall.balance(Account::ATTESTED), stall.balance(Account::CASH)), (1000, 1900));
    assert_eq!(stall.order(ids.0).paid().map(|paid| paid.change), Some(100));
    assert_eq!(stall.payment(ids.0, ids.1).reference().as_deref(), Some("TAAA4X9KQ2"));
    for (reference, code) in [
        ("4111111111111111", "card_number"),
        ("4111 1111 1111 1111", "card_number"),
        ("", "text"),
        (&"9".repeat(65), "text"),
    ] {
        assert_eq!(stall.refused(&selling(1, vec![reader(MUG, reference)])).code(), code, "{reference}");
    }
    stall.sell(1, vec![reader(MUG, "4242")]);
    stall.must(&Command::Void { order: ids.0, reason: "mistyped".to_owned() });
    stall.check(ids, OrderState::Voided, PaymentState::ClosedByPerson);
    assert_eq!((stall.balance(Account::ATTESTED), stall.balance(Account::CASH)), (MUG, 0));
    assert_eq!(stall.anomalies(), []);
}

#[test]
fn a_reader_and_a_card_are_both_given_back() {
    let mut stall = Stall::new();
    let ids = stall.sell(2, vec![reader(1000, "4242"), card()]);
    assert_eq!((stall.balance(Account::ATTESTED), stall.balance(Account::PREPAID)), (1000, -1000));
    stall.capture(ids, 7);
    assert_eq!((stall.balance(Account::CARD), stall.balance(Account::PREPAID)), (1900, 0));
    stall.must(&Command::Void { order: ids.0, reason: "mistyped".to_owned() });
    stall.report(ids, PaymentStep::Reversed(undo(8, 1900)));
    stall.check(ids, OrderState::Voided, PaymentState::Reversed);
    let by_hand = stall.order(ids.0).payments.iter().map(Payment::state).collect::<Vec<_>>();
    assert_eq!(by_hand, [PaymentState::ClosedByPerson, PaymentState::Reversed]);
    for account in [Account::CARD, Account::CASH, Account::PREPAID, Account::ATTESTED] {
        assert_eq!(stall.balance(account), 0, "{account:?}");
    }
}

#[test]
fn no_person_reports_for_a_terminal_and_no_device_closes_a_payment() {
    let mut stall = Stall::new();
    let ids = stall.sell(1, vec![card()]);
    let (event, owner) = (stall.world.event, stall.world.owner);
    let report = Command::MovePayment { order: ids.0, payment: ids.1, step: PaymentStep::Captured(Zero) };
    let found = Command::RecordForeign { device: ids.0, record: charge(7, 1) };
    for command in [report, found] {
        let refused = stall.world.kits[0].run(&command, Some(event), owner).map(|_| ());
        assert!(matches!(refused, Err(Refusal::NotAllowed { .. })));
    }
    let closing = Closing { charged: Charged::Yes, evidence: "x".to_owned() };
    let step = PaymentStep::ClosedByPerson(closing);
    let refused = stall.refused(&Command::MovePayment { order: ids.0, payment: ids.1, step });
    assert!(matches!(refused, Refusal::NotAllowed { .. }));
    let device = Actor::Device(Zero);
    let cancel = Command::CancelOrder { order: ids.0, reason: "gone".to_owned() };
    let refused = stall.world.kits[0].run(&cancel, Some(event), device).map(|_| ());
    assert!(matches!(refused, Err(Refusal::NotAllowed { .. })), "devices do nothing else");
}

#[test]
fn another_kit_neither_moves_nor_undoes_a_payment() {
    let mut stall = Stall::pair();
    let ids = stall.sell(1, vec![card()]);
    stall.capture(ids, 7);
    stall.world.sync_all();
    stall.at = 1;
    let report = Command::MovePayment { order: ids.0, payment: ids.1, step: PaymentStep::Unknown("x".to_owned()) };
    assert_eq!(stall.refused(&report), PaymentRefusal::Elsewhere.into());
    let void = Command::Void { order: ids.0, reason: "mistyped".to_owned() };
    assert_eq!(stall.refused(&void), PaymentRefusal::Elsewhere.into());
}

#[test]
fn what_a_lost_kit_left_open_is_closed_by_a_person_at_another() {
    for step in [None, Some(PaymentStep::Approved(charge(7, MUG)))] {
        let mut stall = Stall::pair();
        let ids = stall.sell(1, vec![card()]);
        stall.report(ids, PaymentStep::Sent(before(7)));
        if let Some(step) = step {
            stall.report(ids, step);
        }
        let close = |charged| Command::ClosePayment {
            order: ids.0,
            payment: ids.1,
            charged,
            evidence: "the terminal's journal".to_owned(),
        };
        assert_eq!(stall.refused(&close(Charged::Yes)).code(), "payment_state", "its own terminal can still tell");
        stall.world.sync_all();
        stall.at = 1;
        stall.must(&close(Charged::Yes));
        stall.check(ids, OrderState::Paid, PaymentState::ClosedByPerson);
        assert_eq!(
            stall.order(ids.0).receipt(),
            Some((stall.order(ids.0).mark().0.stream, 1)),
            "a receipt of this kit"
        );
        assert_ne!(stall.order(ids.0).mark().0.stream, ids.0.stream);
    }
}

#[test]
fn the_first_ops_of_a_kit_at_an_event_name_each_other() {
    let mut stall = Stall::pair();
    stall.at = 1;
    let ops = stall.give(&selling(1, vec![reader(500, "4242"), card()])).expect("it is in order");
    // The first op opens the stream; the order comes second.
    assert_eq!(ops.iter().map(|op| op.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let order = stall.order(ops[1]);
    assert_eq!(order.payments.iter().map(|payment| payment.payment_id).collect::<Vec<_>>(), [ops[2], ops[3]]);
    stall.report((ops[1], ops[3]), PaymentStep::Cancelled(CancelledBy::Buyer));
    let mut other = Stall::pair();
    other.at = 1;
    let ops = other.give(&selling(1, vec![reader(MUG, "4242")])).expect("it is in order");
    assert_eq!(other.order(ops[1]).state(), OrderState::Paid);
    assert_eq!(other.anomalies(), []);
}

#[test]
fn an_order_paid_by_two_kits_is_named_and_the_later_card_is_undone() {
    let mut stall = Stall::pair();
    let ids = stall.sell(1, vec![card()]);
    stall.report(ids, PaymentStep::Sent(before(7)));
    stall.report(ids, PaymentStep::Declined(no()));
    stall.world.sync_all();
    // The other kit takes cash while this one charges a card, and neither knows of the other.
    stall.at = 1;
    stall.must(&Command::SettleOrder { order: ids.0, tenders: vec![cash(MUG)] });
    stall.at = 0;
    stall.must(&Command::BeginPayment { order: ids.0, amount: None, device: None });
    let second = (ids.0, stall.order(ids.0).payments.last().expect("there are two").payment_id);
    stall.report(second, PaymentStep::Sent(before(8)));
    stall.world.sync(1, 0);
    stall.report(second, PaymentStep::Approved(charge(8, MUG)));
    stall.check(second, OrderState::Paid, PaymentState::Reversing);
    stall.report(second, PaymentStep::Reversed(undo(9, MUG)));
    assert_eq!((stall.balance(Account::CARD), stall.balance(Account::CASH)), (0, MUG));
    stall.world.sync_all();
    assert_eq!(stall.world.kits[0].digest(), stall.world.kits[1].digest());
    // And where both have taken the money before they met, the order says so.
    let mut stall = Stall::pair();
    let ids = stall.sell(1, vec![card()]);
    stall.report(ids, PaymentStep::Sent(before(7)));
    stall.report(ids, PaymentStep::Declined(no()));
    stall.world.sync_all();
    stall.must(&Command::SettleOrder { order: ids.0, tenders: vec![cash(MUG)] });
    stall.at = 1;
    stall.must(&Command::CancelOrder { order: ids.0, reason: "gone".to_owned() });
    stall.world.sync_all();
    assert_eq!(stall.order(ids.0).state(), OrderState::Paid, "money outweighs a cancellation");
    assert_eq!(stall.anomalies(), [AnomalyKind::PaidCancelled]);
}

#[test]
fn a_kit_that_goes_on_for_another_keeps_its_terminal_and_its_payments() {
    let mut stall = Stall::new();
    let ids = stall.sell(1, vec![card()]);
    stall.report(ids, PaymentStep::Sent(before(7)));
    let old = stall.world.kits[0].author.replica;
    let mut heir = Kit::new(40);
    heir.author.follows = Some(old);
    heir.take(&stall.world.kits[0].log);
    heir.admit(old, "its first op opens its stream, and says whom it follows");
    stall.world.kits.push(heir);
    stall.at = 1;
    stall.report(ids, PaymentStep::Unknown("this kit went back".to_owned()));
    stall.report(ids, PaymentStep::NotCharged("asked".to_owned()));
    stall.must(&Command::BeginPayment { order: ids.0, amount: None, device: None });
}

#[test]
fn texts_of_a_terminal_are_kept_without_card_numbers() {
    let mut stall = Stall::new();
    let ids = stall.sell(1, vec![card()]);
    stall.report(ids, PaymentStep::Sent(before(7)));
    let told = TerminalRecord {
        card_name: "VISA\n4111111111111111".to_owned(),
        masked_pan: "4111 1111 1111 1111".to_owned(),
        authorisation: "x".repeat(10_000),
        ..charge(7, MUG)
    };
    stall.report(ids, PaymentStep::Approved(told));
    let payment = stall.payment(ids.0, ids.1);
    let record = payment.standing().record.expect("it is charged");
    assert_eq!(record.card_name, "VISA 411111******1111", "PAY-21");
    assert_eq!(record.masked_pan, "4111 11** **** 1111");
    assert_eq!(record.authorisation.len(), 200);
    let digits = "4111111111111111";
    let flat = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace([' ', '-'], "");
    assert!(stall.kit().log.iter().all(|op| !flat(&op.bytes).contains(digits)), "INV-34");
}

#[test]
fn what_is_open_is_known_after_a_start_from_a_snapshot() {
    let mut stall = Stall::new();
    let waiting = stall.sell(1, vec![card()]);
    stall.report(waiting, PaymentStep::Sent(before(7)));
    let found = charge(5_000, 700);
    let device = stall.kit().ledger.devices.keys().next().copied().expect("a terminal is accepted");
    stall.report(waiting, PaymentStep::Unknown("power".to_owned()));
    let bytes = stall.kit().ledger.state_bytes();
    let read = snapshot::read(&bytes).expect("a snapshot reads back");
    let event = &read.events[&stall.world.event];
    assert!(event.open_orders.contains(&waiting.0));
    let kept = event.open_payments.get(&waiting.1).expect("it is at hand without its order");
    assert_eq!((kept.state(), kept.device), (PaymentState::Unknown, Some(device)));
    // The terminal is asked, and its last transaction is compared without loading the order.
    assert_eq!(read.recognise(device, &charge(7, MUG)), Recognised::Tells(kept, Match::Booked));
    assert_eq!(read.recognise(device, &charge(6, 1)), Recognised::Tells(kept, Match::Older));
    assert_eq!(read.recognise(device, &found), Recognised::Foreign);
    let mut old = bytes.clone();
    old[0] -= 1;
    assert!(snapshot::read(&old).is_err(), "a snapshot of another form leads to a refold");
}

#[test]
fn a_payment_without_order_is_listed_once_and_cleared_up_once() {
    let mut stall = Stall::pair();
    let device = stall.kit().ledger.devices_of(stall.kit().author.replica, DeviceRole::Terminal).next();
    let device = device.map(|(id, _)| id).expect("a terminal is accepted");
    let found = |number| Command::RecordForeign { device, record: charge(number, 700) };
    let id = stall.give(&found(50)).expect("it is news")[0];
    assert_eq!(stall.refused(&found(50)), PaymentRefusal::TransactionKnown.into());
    // Another kit finds the same transaction on its own: it is one, whoever is first.
    stall.at = 1;
    let own = stall.kit().ledger.devices_of(stall.kit().author.replica, DeviceRole::Terminal).next();
    let own = own.map(|(id, _)| id).expect("a terminal is accepted");
    assert_eq!(stall.refused(&found(50)).code(), "unknown_device", "a terminal of another kit");
    stall.must(&Command::RecordForeign { device: own, record: charge(50, 700) });
    stall.world.sync_all();
    let event = &stall.kit().ledger.events[&stall.world.event];
    assert_eq!(event.foreign.len(), 1);
    assert_eq!(event.foreign.values().map(|foreign| foreign.found.len()).sum::<usize>(), 2);
    let settle = |found| Command::SettleForeign { found, note: "typed at the terminal".to_owned() };
    assert_eq!(stall.refused(&settle(device)).code(), "unknown_foreign");
    stall.must(&settle(id));
    assert_eq!(stall.refused(&settle(id)), PaymentRefusal::ForeignSettled.into());
    let again = Command::RecordForeign { device: own, record: charge(50, 700) };
    assert_eq!(stall.refused(&again), PaymentRefusal::TransactionKnown.into(), "also after it was cleared up");
    // The terminal's own payments are no foreign ones.
    stall.at = 0;
    let ids = stall.sell(1, vec![card()]);
    stall.capture(ids, 60);
    let last = Command::RecordForeign { device, record: charge(60, MUG) };
    assert_eq!(stall.refused(&last), PaymentRefusal::TransactionKnown.into());
}

#[test]
fn an_event_is_closed_when_nothing_waits() {
    let mut stall = Stall::new();
    let ids = stall.sell(1, vec![card()]);
    let open = |orders, payments| PaymentRefusal::StillOpen { orders, payments };
    assert_eq!(stall.refused(&Command::CloseEvent), open(1, 1).into());
    stall.report(ids, PaymentStep::Cancelled(CancelledBy::Buyer));
    assert_eq!(stall.refused(&Command::CloseEvent), open(1, 0).into());
    stall.must(&Command::CancelOrder { order: ids.0, reason: "gone".to_owned() });
    stall.must(&Command::CloseEvent);
}

#[test]
fn an_answer_is_repeated_as_it_was_given() {
    let mut stall = Stall::new();
    let ops = stall.give(&selling(1, vec![card()])).expect("it is in order");
    let (order, payment) = (ops[0], ops[1]);
    stall.capture((order, payment), 7);
    let then = stall.order(order).as_of(payment);
    assert_eq!((then.state(), then.payments[0].state()), (OrderState::AwaitingPayment, PaymentState::Intended));
    let paid = stall.order(order).paid().and_then(|paid| paid.by.clone()).expect("it is paid");
    assert_eq!(stall.order(order).as_of(paid.op), *stall.order(order));
}

/// Every state and every contradiction is reached by the small moves of the laws: a law that never meets a state says
/// nothing about it.
#[test]
fn the_moves_of_the_laws_reach_every_state() {
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec((0usize..2, any_move()), 60..61);
    let (mut states, mut kinds, mut orders) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..300 {
        let moves = strategy.new_tree(&mut runner).expect("moves can be made").current();
        let mut world = World::at_work(2, Terms { currency: "EUR", prices: Prices::Inclusive });
        for (at, step) in &moves {
            let _ = world.step(*at, step);
            let ledger = &world.kits[at % 2].ledger;
            for order in ledger.orders.values() {
                orders.insert(order.state().text());
                states.extend(order.payments.iter().map(|payment| payment.state().text()));
            }
            kinds.extend(ledger.anomalies.values().map(|anomaly| anomaly.kind.text()));
        }
        world.sync_all();
        kinds.extend(world.kits[0].ledger.anomalies.values().map(|anomaly| anomaly.kind.text()));
    }
    assert_eq!(states.len(), 15, "{states:?}");
    assert_eq!(orders.len(), 6, "{orders:?}");
    for kind in ["payment", "lost", "mismatch", "paid_twice", "paid_cancelled"] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
}

#[test]
fn a_terminal_that_took_a_charge_back_tells_of_a_sale_that_is_known() {
    let mut stall = Stall::new();
    let paid = stall.sell(1, vec![card()]);
    stall.capture(paid, 7);
    let amiss = stall.sell(1, vec![card()]);
    stall.report(amiss, PaymentStep::Sent(before(8)));
    stall.report(amiss, PaymentStep::Mismatched(charge(8, MUG + 1)));
    stall.report(amiss, PaymentStep::Reversed(undo(8, MUG + 1)));
    let device = stall.kit().ledger.devices.keys().next().copied().expect("a terminal is accepted");
    assert_eq!(stall.kit().ledger.recognise(device, &charge(7, MUG)), Recognised::Known);
    assert_eq!(stall.kit().ledger.recognise(device, &charge(9, MUG)), Recognised::Foreign);
}

#[test]
fn what_comes_after_another_transaction_is_not_the_payment_that_was_sent_before_it() {
    let mut stall = Stall::new();
    let device = stall.kit().ledger.devices.keys().next().copied().expect("a terminal is accepted");
    let ids = stall.sell(1, vec![card()]);
    stall.report(ids, PaymentStep::Sent(before(7)));
    let told = |stall: &Stall, record| match stall.kit().ledger.recognise(device, &record) {
        Recognised::Known => "known",
        Recognised::Tells(payment, Match::Booked) if payment.payment_id == ids.1 => "booked",
        Recognised::Tells(..) => "another",
        Recognised::Foreign => "foreign",
    };
    assert_eq!(told(&stall, charge(8, MUG)), "booked", "numbers may be left out");
    // Somebody charged another amount by hand meanwhile: the terminal was done with the payment then.
    stall.must(&Command::RecordForeign { device, record: charge(8, 700) });
    stall.report(ids, PaymentStep::Unknown("another transaction came after it".to_owned()));
    assert_eq!(told(&stall, charge(8, 700)), "known");
    assert_eq!(told(&stall, charge(9, MUG)), "foreign", "it only costs as much");
    assert_eq!(told(&stall, charge(7, MUG)), "booked", "it came before");
    let close = |charged| {
        let evidence = "its journal".to_owned();
        Command::ClosePayment { order: ids.0, payment: ids.1, charged, evidence }
    };
    stall.must(&close(Charged::No));
    assert_eq!(told(&stall, charge(9, MUG)), "foreign", "nor does it speak against a person");
}

#[test]
fn a_terminal_that_tells_otherwise_is_believed_over_a_person() {
    let close = |ids: (OpId, OpId), charged| Command::ClosePayment {
        order: ids.0,
        payment: ids.1,
        charged,
        evidence: "its journal".to_owned(),
    };
    for known in [true, false] {
        let mut stall = Stall::new();
        let device = stall.kit().ledger.devices.keys().next().copied().expect("a terminal is accepted");
        let ids = stall.sell(1, vec![card()]);
        stall.report(ids, PaymentStep::Sent(before(7)));
        if known {
            stall.report(ids, PaymentStep::Approved(charge(7, MUG)));
        }
        stall.report(ids, PaymentStep::Unknown("power".to_owned()));
        stall.give(&close(ids, Charged::No)).expect("a person may close it");
        let told = stall.kit().ledger.recognise(device, &charge(7, MUG));
        assert!(matches!(told, Recognised::Tells(payment, Match::Booked) if payment.payment_id == ids.1), "{told:?}");
        assert!(!matches!(stall.kit().ledger.recognise(device, &charge(6, 1)), Recognised::Tells(..)));
        stall.report(ids, PaymentStep::Approved(charge(7, MUG)));
        stall.check(ids, OrderState::AwaitingPayment, PaymentState::Reversing);
        assert!(!stall.anomalies().is_empty(), "it is named");
    }
    let mut stall = Stall::new();
    let device = stall.kit().ledger.devices.keys().next().copied().expect("a terminal is accepted");
    let ids = stall.sell(1, vec![card()]);
    stall.report(ids, PaymentStep::Sent(before(7)));
    stall.report(ids, PaymentStep::Unknown("power".to_owned()));
    stall.give(&close(ids, Charged::Yes)).expect("a person may close it");
    let told = stall.kit().ledger.recognise(device, &charge(6, 1));
    assert!(matches!(told, Recognised::Tells(payment, Match::Older) if payment.payment_id == ids.1), "{told:?}");
    stall.report(ids, PaymentStep::NotCharged("the last is receipt 6".to_owned()));
    assert!(!stall.anomalies().is_empty(), "the money that is missing is named");
    assert!(!matches!(stall.kit().ledger.recognise(device, &charge(6, 1)), Recognised::Tells(..)), "it is told once");
}
