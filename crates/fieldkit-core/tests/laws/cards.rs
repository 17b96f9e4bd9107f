//! Small wishes about cards as commands, and the books that must balance when money comes by card (INV-02 to INV-04).

use crate::world::{Wish, moved, sale};
use fieldkit_core::body::*;
use fieldkit_core::codec::Canonical;
use fieldkit_core::decide::{Command, OrderRequest, TenderRequest};
use fieldkit_core::event::Event;
use fieldkit_core::id::{OpId, PoolId, Zero};
use fieldkit_core::ledger::{AnomalyKind, Ledger};
use fieldkit_core::money::Currency;
use fieldkit_core::op::{Account, SealedOp, Unit};
use fieldkit_core::order::{Discount, Order, Stage, line_total};
use fieldkit_core::payment::{Payment, PaymentState};

/// A transaction as a terminal would tell it.
pub fn record(terminal: &str, number: u32, amount: i64, currency: Currency) -> TerminalRecord {
    TerminalRecord {
        kind: RecordKind::Payment,
        terminal_id: terminal.to_owned(),
        receipt: number % 9_999 + 1,
        trace: number + 1,
        amount,
        currency,
        date: Some(1120),
        time: Some(number % 60),
        card_name: "girocard".to_owned(),
        masked_pan: "672500******0000".to_owned(),
        authorisation: "123456".to_owned(),
        result: 0,
        reversed_trace: None,
    }
}

/// The command of a wish about cards.
pub fn command(wish: &Wish, ledger: &Ledger, event: OpId) -> Command {
    let currency = ledger.events.get(&event).map(|event| event.opened.currency).expect("the event is known");
    let orders: Vec<&Order> = ledger.orders.values().map(AsRef::as_ref).collect();
    let waiting: Vec<&Order> = orders.iter().copied().filter(|order| order.stage() == Stage::Open).collect();
    // Half of the time something that waits is meant.
    let order = |number: u8| {
        let from = if number.is_multiple_of(2) && !waiting.is_empty() { &waiting } else { &orders };
        from.get(usize::from(number / 2) % from.len().max(1)).copied()
    };
    let order_id = |number: u8| order(number).map_or(event, |order| order.order_id);
    let payments: Vec<&Payment> = orders.iter().flat_map(|order| &order.payments).collect();
    let open: Vec<&Payment> = payments.iter().copied().filter(|payment| payment.state().is_open()).collect();
    let payment = |number: u8| {
        let from = if number.is_multiple_of(2) && !open.is_empty() { &open } else { &payments };
        from.get(usize::from(number / 2) % from.len().max(1)).copied()
    };
    let ids = |number: u8| payment(number).map_or((event, event), |payment| (payment.order, payment.payment_id));
    match wish {
        Wish::SellByCard { lines, cash } => {
            let request = sale(lines, 0, 0, currency);
            let cash = due(ledger, event, &request).clamp(0, 1_000_000) * i64::from(*cash) / 256;
            let code = currency.code().to_owned();
            let card = TenderRequest::Card { amount: None, device: None };
            Command::PlaceOrder(OrderRequest {
                tenders: vec![TenderRequest::Cash { minor: cash, currency: code }, card],
                ..request
            })
        }
        Wish::SellByReader { lines, share } => {
            let request = sale(lines, 0, 0, currency);
            let minor = (due(ledger, event, &request).clamp(0, 1_000_000) * i64::from(*share) / 256).max(1);
            let tenders = vec![reader(minor, currency), cash(200_000, currency)];
            Command::PlaceOrder(OrderRequest { tenders, ..request })
        }
        Wish::Begin { order: number, share } => {
            let total = order(*number).map_or(0, |order| order.sale.total.clamp(0, 1_000_000));
            let part = |share: &u8| (total * i64::from(*share) / 256, currency.code().to_owned());
            Command::BeginPayment { order: order_id(*number), amount: share.as_ref().map(part), device: None }
        }
        Wish::Settle { order: number, by_reader } => {
            let left = order(*number).map_or(0, |order| order.sale.total.saturating_sub(order.collected()));
            let tender = if *by_reader { reader(left, currency) } else { cash(left.saturating_add(5), currency) };
            Command::SettleOrder { order: order_id(*number), tenders: vec![tender] }
        }
        Wish::Cancel { order } => Command::CancelOrder { order: order_id(*order), reason: "gone".to_owned() },
        Wish::Report { payment: number, luck } => {
            let (order, id) = ids(*number);
            let step = payment(*number).map(|payment| next_step(payment, *luck));
            Command::MovePayment { order, payment: id, step: step.unwrap_or(PaymentStep::Captured(Zero)) }
        }
        Wish::Reverse { payment } => {
            let (order, payment) = ids(*payment);
            Command::ReversePayment { order, payment, reason: "amiss".to_owned() }
        }
        Wish::Close { payment, charged } => {
            let (order, payment) = ids(*payment);
            let evidence = "the terminal's journal".to_owned();
            Command::ClosePayment { order, payment, charged: *charged, evidence }
        }
        _ => of_devices(wish, ledger, event, currency),
    }
}

fn of_devices(wish: &Wish, ledger: &Ledger, event: OpId, currency: Currency) -> Command {
    match wish {
        Wish::Foreign { receipt } => {
            let device = ledger.devices.keys().next().copied().unwrap_or(event);
            Command::RecordForeign { device, record: record("52523530", u32::from(*receipt) + 500_000, 700, currency) }
        }
        Wish::SettleForeign { which } => {
            let foreign = ledger.events.get(&event).into_iter().flat_map(|event| event.foreign.values());
            let found: Vec<OpId> = foreign.flat_map(|foreign| &foreign.found).copied().collect();
            let found = found.get(usize::from(*which) % found.len().max(1)).copied().unwrap_or(event);
            Command::SettleForeign { found, note: "typed at the terminal".to_owned() }
        }
        Wish::Retire { device } => {
            let device = ledger.devices.keys().nth(usize::from(*device)).copied().unwrap_or(event);
            Command::RetireDevice { device }
        }
        _ => panic!("this wish is not about cards"),
    }
}

fn cash(minor: i64, currency: Currency) -> TenderRequest {
    TenderRequest::Cash { minor, currency: currency.code().to_owned() }
}

fn reader(minor: i64, currency: Currency) -> TenderRequest {
    let (reader, reference) = ("SumUp".to_owned(), "TAAA4X9KQ2".to_owned());
    TenderRequest::CardExternal { minor, currency: currency.code().to_owned(), reader, reference }
}

/// What a request comes to, near enough to share it out: discounts and tax on top are left aside.
fn due(ledger: &Ledger, event: OpId, request: &OrderRequest) -> i64 {
    let items = &ledger.events[&event].items;
    let line = |line: &fieldkit_core::decide::LineRequest| {
        let listed = items.get(&line.sku).and_then(|item| item.price.value().copied()).unwrap_or(0);
        let price = line.price.map_or(listed, |price| price.minor);
        let gross = price.clamp(0, 1_000_000) * line.quantity;
        match line.discount {
            Discount::Ppm(ppm) => gross - gross * i64::from(ppm) / 1_000_000,
            _ => gross,
        }
    };
    request.lines.iter().map(line).sum()
}

/// The step that a device would report next; where `luck` is high, another one.
fn next_step(payment: &Payment, luck: u8) -> PaymentStep {
    let standing = payment.standing();
    let number =
        (payment.payment_id.seq % 1000 * 7 + u64::from(payment.payment_id.stream.0[0]) * 1000) as u32 % 400_000;
    let charge = |amount: i64| record(&payment.label, number, amount, payment.currency);
    let undo = || TerminalRecord { kind: RecordKind::Reversal, trace: number + 2, ..charge(payment.amount) };
    let baseline = || Baseline { terminal_id: Some(payment.label.clone()), ..Baseline::default() };
    let no = || TerminalAnswer { code: 0x6c, text: "no".to_owned() };
    let pick = |steps: Vec<PaymentStep>| steps[usize::from(luck) % steps.len()].clone();
    if luck > 235 {
        return pick(vec![
            PaymentStep::Sent(baseline()),
            PaymentStep::Approved(charge(payment.amount)),
            PaymentStep::Approved(record(&payment.label, number + 40, payment.amount, payment.currency)),
            PaymentStep::Captured(Zero),
            PaymentStep::Declined(no()),
            PaymentStep::Cancelled(CancelledBy::Crew),
            PaymentStep::NotCharged("asked".to_owned()),
            PaymentStep::Unknown("cable".to_owned()),
            PaymentStep::Reversed(undo()),
            PaymentStep::ReversalIntended("amiss".to_owned()),
            PaymentStep::ReversalUnknown("cable".to_owned()),
            PaymentStep::ReversalDeclined(no()),
        ]);
    }
    match standing.state {
        PaymentState::Intended => PaymentStep::Sent(baseline()),
        PaymentState::Sent if luck < 150 => PaymentStep::Approved(charge(payment.amount)),
        PaymentState::Sent => pick(vec![
            PaymentStep::Declined(no()),
            PaymentStep::Cancelled(CancelledBy::Buyer),
            PaymentStep::Unknown("cable".to_owned()),
            PaymentStep::AtRisk(charge(payment.amount)),
            PaymentStep::Approved(charge(payment.amount.saturating_add(1))),
            PaymentStep::Mismatched(charge(payment.amount.saturating_sub(1))),
        ]),
        PaymentState::Unknown => pick(vec![
            PaymentStep::Approved(charge(payment.amount)),
            PaymentStep::NotCharged("asked".to_owned()),
            PaymentStep::Unknown("still nothing".to_owned()),
        ]),
        PaymentState::Approved | PaymentState::AtRisk => pick(vec![
            PaymentStep::Captured(Zero),
            PaymentStep::Captured(Zero),
            PaymentStep::NotCharged("taken back".to_owned()),
        ]),
        PaymentState::Reversing if luck < 60 => PaymentStep::ReversalSent(baseline()),
        PaymentState::Reversing | PaymentState::ReversalUnknown => pick(vec![
            PaymentStep::Reversed(undo()),
            PaymentStep::Reversed(undo()),
            PaymentStep::ReversalDeclined(no()),
            PaymentStep::ReversalUnknown("cable".to_owned()),
            PaymentStep::NotCharged("taken back".to_owned()),
        ]),
        _ => PaymentStep::Approved(charge(payment.amount)),
    }
}

/// INV-06, INV-08 of one order paid: its tenders cover the total, change is cash, and each payment has its money.
pub fn check_paid(ledger: &Ledger, op: &SealedOp, paid: &OrderPaid) {
    let order = ledger.orders.get(&paid.order).expect("the order is at hand");
    let unit = Unit::Money(order.sale.currency);
    let (mut cash, mut cards) = (0, 0);
    for tender in &paid.tenders {
        match tender {
            Tender::Cash(tender) => cash += tender.tendered,
            Tender::Card(card) | Tender::CardExternal(card) => {
                let payment = order.payment(card.payment).expect("a tender names a payment of the order");
                assert_eq!(payment.collected(), card.amount, "INV-06: a tender's money is there");
                cards += card.amount;
            }
        }
    }
    assert_eq!(cash + cards - paid.change, order.sale.total, "INV-08: tenders less change are the total");
    assert!(paid.change >= 0 && paid.change <= cash, "change is cash");
    assert_eq!(moved(op, Account::CASH, unit), order.sale.total - cards);
    assert_eq!(moved(op, Account::PREPAID, unit), cards);
    let tax: i64 = order.sale.lines.iter().map(|line| line.tax).sum();
    assert_eq!(moved(op, Account::TAX, unit), -tax, "the tax posted is the tax on the receipt");
}

/// INV-02, INV-04 and promise 8 of a ledger in which no two kits contradict each other: what each account of cards
/// holds is what its payments say, and what was tendered is captured, attested and cash, less change and refunds.
pub fn check_money(ledger: &Ledger) {
    let disturbs = |kind: AnomalyKind| {
        use AnomalyKind::{Lost, Mismatch};
        !matches!(kind, Lost | Mismatch)
    };
    if ledger.anomalies.values().any(|anomaly| disturbs(anomaly.kind)) {
        return;
    }
    for (id, event) in &ledger.events {
        let orders: Vec<&Order> =
            ledger.orders.values().map(AsRef::as_ref).filter(|order| order.event == *id).collect();
        check_accounts(event, &orders);
        check_held(*id, event, &orders);
        let open: Vec<OpId> = orders.iter().filter(|order| order.stage() == Stage::Open).map(|o| o.order_id).collect();
        assert_eq!(event.open_orders.iter().copied().collect::<Vec<_>>(), open);
    }
}

fn check_accounts(event: &Event, orders: &[&Order]) {
    let unit = Unit::Money(event.opened.currency);
    let balance = |account| event.balance(account, unit);
    let booked = |account| {
        let of_order = |order: &&Order| {
            let found = order.payments.iter().filter(|payment| order.booked(payment) == Some(account));
            found.map(|payment| payment.amount).sum::<i64>()
        };
        orders.iter().map(of_order).sum::<i64>()
    };
    for account in [Account::CARD, Account::AT_RISK, Account::ATTESTED, Account::LOST] {
        assert_eq!(balance(account), booked(account), "INV-02: {account:?} holds what its payments say");
    }
    let (mut tendered, mut change, mut refunds, mut loose) = (0, 0, 0, 0);
    for order in orders {
        let all: i64 = order.payments.iter().filter(|p| order.booked(p).is_some()).map(|p| p.amount).sum();
        let Some(paid) = order.paid() else {
            loose += all;
            continue;
        };
        let cards: i64 = paid.payments().map(|card| card.amount).sum();
        let cash = |tender: &Tender| if let Tender::Cash(cash) = tender { cash.tendered } else { 0 };
        tendered += paid.tenders.iter().map(cash).sum::<i64>() + cards;
        change += paid.change;
        refunds += order.standing_refunds().map(|refund| refund.body.amount).sum::<i64>();
        let voided = order.standing_refunds().any(|refund| refund.body.kind == RefundKind::Void);
        loose += all - if voided { 0 } else { cards };
    }
    assert_eq!(balance(Account::PREPAID), -loose, "money of orders that are not paid, or no longer, is owed");
    let cash = balance(Account::CASH) + balance(Account::CASH_MOVED) + balance(Account::CASH_VARIANCE);
    let taken = [Account::CARD, Account::AT_RISK, Account::ATTESTED, Account::LOST, Account::PREPAID];
    let taken: i64 = taken.into_iter().map(balance).sum();
    assert_eq!(tendered - change - refunds, taken + cash, "promise 8: money balances");
    for order in orders {
        let lines: i64 = order.sale.lines.iter().map(|line| line_total(line, order.sale.prices)).sum();
        assert_eq!(lines, order.sale.total);
    }
}

fn check_held(id: OpId, event: &Event, orders: &[&Order]) {
    for sku in event.items.keys() {
        let open = orders.iter().filter(|order| order.stage() == Stage::Open);
        let lines = open.flat_map(|order| &order.sale.lines).filter(|line| line.sku == *sku);
        let wanted: i64 = lines.map(|line| i64::from(line.quantity)).sum();
        assert_eq!(event.held(PoolId::of(&id, sku)), wanted, "{sku}: what is held waits for its payment");
    }
    for payment in event.open_payments.values() {
        let order = orders.iter().find(|order| order.order_id == payment.order);
        let kept = order.and_then(|order| order.payment(payment.payment_id));
        assert_eq!(kept.map(Canonical::to_bytes), Some(payment.to_bytes()), "what is kept at hand is the payment");
    }
}
