//! `decide` answers everything that can be asked, and what it allows keeps the books (INV-07 to INV-11, PAY-19).

use crate::arbitrary;
use crate::world::{Kit, Move, NOON_MS, SKUS, Terms, Wish, World, any_move, check_books, here, new_event, terms, wish};
use fieldkit_core::author::Context;
use fieldkit_core::body::{Body, Direction, Edit, Limit, Prices};
use fieldkit_core::decide::{
    self, Command, ImportRow, LineRequest, NewEvent, NewItem, OrderRequest, Place, StockChange, TenderRequest,
};
use fieldkit_core::id::{OpId, ReplicaKey, Space};
use fieldkit_core::money::Money;
use fieldkit_core::op::{Actor, OP_BYTES_MAX};
use fieldkit_core::order::Discount;
use fieldkit_core::refusal::Refusal;
use fieldkit_core::stamp::ClockQuality;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn sku() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(&SKUS[..]).prop_map(str::to_owned), 1 => arbitrary::text()]
}

fn code() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just("EUR".to_owned()), 1 => Just("JPY".to_owned()), 1 => arbitrary::text()]
}

fn discount() -> impl Strategy<Value = Discount> {
    prop_oneof![
        4 => Just(Discount::None),
        1 => arbitrary::number().prop_map(Discount::Minor),
        1 => any::<u32>().prop_map(Discount::Ppm),
    ]
}

fn tender() -> impl Strategy<Value = TenderRequest> {
    let external = (arbitrary::number(), code(), arbitrary::text(), arbitrary::text());
    prop_oneof![
        3 => (arbitrary::number(), code()).prop_map(|(minor, currency)| TenderRequest::Cash { minor, currency }),
        1 => (option::of((arbitrary::number(), code())), option::of(arbitrary::op_id()))
            .prop_map(|(amount, device)| TenderRequest::Card { amount, device }),
        1 => external.prop_map(|(minor, currency, reader, reference)| {
            TenderRequest::CardExternal { minor, currency, reader, reference }
        }),
    ]
}

fn request() -> impl Strategy<Value = OrderRequest> {
    let price = option::of((arbitrary::number(), arbitrary::currency()).prop_map(|(minor, of)| Money::new(minor, of)));
    let line = (sku(), arbitrary::number(), price, discount(), arbitrary::text()).prop_map(
        |(sku, quantity, price, discount, discount_reason)| LineRequest {
            sku,
            quantity,
            price,
            discount,
            discount_reason,
        },
    );
    let tender = tender();
    let tail = (option::of((arbitrary::number(), code())), arbitrary::source(), option::of(any::<u64>()));
    (vec(line, 0..5), discount(), arbitrary::text(), vec(tender, 0..4), tail).prop_map(
        |(lines, discount, discount_reason, tenders, (expected_total, source, cart_opened_ms))| OrderRequest {
            lines,
            discount,
            discount_reason,
            tenders,
            expected_total,
            source,
            cart_opened_ms,
        },
    )
}

fn event() -> impl Strategy<Value = NewEvent> {
    let zone = prop_oneof![3 => Just("Europe/Berlin".to_owned()), 1 => arbitrary::text()];
    let clone = option::of(arbitrary::op_id());
    let parts = (arbitrary::text(), zone, any::<u16>(), code(), arbitrary::seller(), vec(arbitrary::tax_rate(), 0..3));
    (parts, arbitrary::prices(), any::<bool>(), clone).prop_map(
        |((name, zone, day_cutover_minutes, currency, seller, tax_rates), prices, training, clone_from)| NewEvent {
            name,
            zone,
            day_cutover_minutes,
            currency,
            seller,
            tax_rates,
            prices,
            training,
            clone_from,
        },
    )
}

fn row() -> impl Strategy<Value = ImportRow> {
    (sku(), vec(arbitrary::edit(), 0..3), option::of(arbitrary::number()), any::<[u8; 16]>())
        .prop_map(|(sku, edits, count, mark)| ImportRow { sku, edits, count, mark })
}

/// Commands whose numbers and texts come from anywhere, about orders that may exist.
fn command(orders: Vec<OpId>) -> BoxedStrategy<Command> {
    let order = if orders.is_empty() {
        arbitrary::op_id().boxed()
    } else {
        prop_oneof![4 => prop::sample::select(orders), 1 => arbitrary::op_id()].boxed()
    };
    let change =
        prop_oneof![arbitrary::number().prop_map(StockChange::By), arbitrary::number().prop_map(StockChange::To)];
    let parts = option::of(vec((any::<u32>().prop_map(|line| line % 5), any::<u32>()), 0..4));
    prop_oneof![
        1 => event().prop_map(Command::OpenEvent),
        1 => Just(Command::CloseEvent),
        1 => (sku(), vec(arbitrary::edit(), 0..4), option::of(arbitrary::number()))
            .prop_map(|(sku, edits, count)| Command::AddItem(NewItem { sku, edits, count })),
        1 => (sku(), vec(arbitrary::edit(), 0..4)).prop_map(|(sku, edits)| Command::ChangeItem { sku, edits }),
        1 => (sku(), change, arbitrary::reason())
            .prop_map(|(sku, change, reason)| Command::MoveStock { sku, change, reason }),
        1 => (arbitrary::text(), vec(row(), 0..4), vec((any::<u32>(), arbitrary::text()), 0..3), vec(arbitrary::text(), 0..3))
            .prop_map(|(file, rows, rejected, warnings)| Command::Import { file, rows, rejected, warnings }),
        4 => request().prop_map(Command::PlaceOrder),
        2 => (order.clone(), parts, arbitrary::text(), any::<bool>())
            .prop_map(|(order, lines, reason, restock)| Command::Refund { order, lines, reason, restock, in_cash: restock }),
        1 => (order.clone(), arbitrary::text()).prop_map(|(order, reason)| Command::Void { order, reason }),
        1 => (order.clone(), order.clone()).prop_map(|(order, refund)| Command::UndoRefund { order, refund }),
        1 => (sku(), arbitrary::number(), any::<u64>(), arbitrary::text()).prop_map(|(sku, quantity, term_ms, reason)| {
            Command::LeaseRights { sku, quantity, to: ReplicaKey([7; 32]), term_ms, reason }
        }),
        1 => order.clone().prop_map(|lease| Command::LapseLease { lease }),
        6 => about_payments(order),
        1 => arbitrary::number().prop_map(|amount| Command::OpenDrawer { amount }),
        1 => (arbitrary::direction(), arbitrary::number(), arbitrary::text())
            .prop_map(|(direction, amount, reason)| Command::MoveCash { direction, amount, reason }),
        1 => (arbitrary::number(), arbitrary::text()).prop_map(|(counted, note)| Command::CountDrawer { counted, note }),
    ]
    .boxed()
}

/// Commands about what waits for its payment; ids come from anywhere and sometimes fit.
fn about_payments(id: BoxedStrategy<OpId>) -> impl Strategy<Value = Command> {
    let amount = option::of((arbitrary::number(), code()));
    let device = option::of(id.clone());
    let closing = (id.clone(), id.clone(), arbitrary::charged(), arbitrary::text());
    prop_oneof![
        (id.clone(), amount, device).prop_map(|(order, amount, device)| Command::BeginPayment {
            order,
            amount,
            device
        }),
        (id.clone(), vec(tender(), 0..3)).prop_map(|(order, tenders)| Command::SettleOrder { order, tenders }),
        (id.clone(), arbitrary::text()).prop_map(|(order, reason)| Command::CancelOrder { order, reason }),
        (id.clone(), id.clone(), arbitrary::text()).prop_map(|(order, payment, reason)| Command::ReversePayment {
            order,
            payment,
            reason
        }),
        closing.prop_map(|(order, payment, charged, evidence)| {
            Command::ClosePayment { order, payment, charged, evidence }
        }),
        (id.clone(), id.clone(), arbitrary::step()).prop_map(|(order, payment, step)| Command::MovePayment {
            order,
            payment,
            step
        }),
        (id.clone(), arbitrary::terminal_record())
            .prop_map(|(device, record)| Command::RecordForeign { device, record }),
        (id.clone(), arbitrary::text()).prop_map(|(found, note)| Command::SettleForeign { found, note }),
        arbitrary::device().prop_map(Command::AcceptDevice),
        id.prop_map(|device| Command::RetireDevice { device }),
    ]
}

fn euro() -> World {
    World::new(1, Terms { currency: "EUR", prices: Prices::Inclusive })
}

fn sell(lines: &[(u8, u8, u32)]) -> Move {
    Move::Do(Wish::Sell { lines: lines.to_vec(), off: 0, extra: 0 })
}

fn refund(line: u8, quantity: u8) -> Move {
    Move::Do(Wish::Refund { order: 0, lines: Some(vec![(line, quantity)]), restock: true })
}

proptest! {
    #[test]
    fn every_command_is_answered(
        (world, commands) in vec(wish(), 0..6).prop_map(|wishes| {
            let mut world = World::at_work(1, Terms { currency: "EUR", prices: Prices::Inclusive });
            for wish in &wishes {
                let _ = world.step(0, &Move::Do(wish.clone()));
            }
            std::rc::Rc::new(world)
        })
        .prop_flat_map(|world| {
            let ledger = &world.kits[0].ledger;
            let payments = ledger.orders.values().flat_map(|order| &order.payments);
            let mut known: Vec<OpId> = payments.map(|payment| payment.payment_id).collect();
            known.extend(ledger.orders.keys().chain(ledger.devices.keys()));
            (Just(world.clone()), vec((command(known), arbitrary::count()), 1..6))
        }),
        chosen: bool,
    ) {
        let kit = &world.kits[0];
        let (mut ledger, mut author) = (kit.ledger.clone(), kit.author.clone());
        let event = chosen.then_some(world.event);
        for (command, wall_ms) in commands {
            let place = Place::at(author.replica, event);
            let actor = crate::world::actor_of(&command, world.owner);
            let context = Context { actor, wall_ms, quality: ClockQuality::System, key: None };
            let drafts = match decide::decide(&ledger, &command, &place, &context) {
                Ok(drafts) => drafts,
                Err(refusal) => {
                    prop_assert!(!refusal.to_string().is_empty() && !refusal.next_step().is_empty());
                    prop_assert!((400..500).contains(&refusal.status()));
                    vec![decide::record_refusal(&ledger, &refusal, &place)]
                }
            };
            prop_assert!(drafts.iter().any(|draft| draft.answers), "the command's key is remembered");
            for op in author.write(&mut ledger, drafts, &context) {
                crate::world::check_op(&ledger, &op);
            }
        }
    }

    #[test]
    fn the_books_balance_after_every_move(terms in terms(), moves in vec(any_move(), 1..50)) {
        let mut world = World::at_work(1, terms);
        for step in &moves {
            let _ = world.step(0, step);
            let kit = &world.kits[0];
            check_books(&kit.ledger, &kit.log);
        }
    }

    #[test]
    fn refunds_sum_to_the_order(
        terms in terms(),
        lines in vec((0u8..4, 1u8..9, 0u32..=1_000_000), 1..4),
        off in 0u32..=1_000_000,
        steps in vec((any::<bool>(), 1u8..4, 1u8..4, any::<u8>()), 0..24),
    ) {
        let mut world = World::new(1, terms);
        // Enough of the limited goods for any order of this case.
        let _ = world.step(0, &Move::Do(Wish::Stock { sku: 2, change: StockChange::By(100), reason: fieldkit_core::body::StockReason::Found }));
        world.step(0, &Move::Do(Wish::Sell { lines, off, extra: 0 })).expect("the order is in order");
        for (undo, line, quantity, which) in steps {
            let step = if undo { Move::Do(Wish::Undo { order: 0, refund: which }) } else { refund(line, quantity) };
            let _ = world.step(0, &step);
            check_books(&world.kits[0].ledger, &world.kits[0].log);
        }
        let _ = world.step(0, &Move::Do(Wish::Refund { order: 0, lines: None, restock: false }));
        let order = world.kits[0].ledger.orders.values().next().expect("one order was placed");
        let back: i64 = order.standing_refunds().map(|refund| refund.body.amount).sum();
        let tax: i64 = order.standing_refunds().flat_map(|refund| &refund.body.lines).map(|part| part.tax).sum();
        prop_assert_eq!(back, order.sale.total);
        prop_assert_eq!(tax, order.sale.lines.iter().map(|line| line.tax).sum::<i64>());
    }

    #[test]
    fn limited_goods_never_go_below_zero_at_one_kit(steps in vec(wish(), 1..40)) {
        let mut world = euro();
        let counted = |wish: &Wish| matches!(wish, Wish::Stock { .. } | Wish::Change { .. } | Wish::Import { .. });
        for wish in steps.iter().filter(|wish| !counted(wish)) {
            let _ = world.step(0, &Move::Do(wish.clone()));
            prop_assert!(here(&world.kits[0].ledger, world.event, "PRINT") >= 0);
        }
    }
}

#[test]
fn a_refund_after_an_undone_one_gives_back_no_cent_too_many() {
    // 1.00 over three units: 33, 34, 33. Undoing the first and giving one back again once gave 34 and 101 in all.
    let mut world = euro();
    let steps = [
        Move::Do(Wish::Change { sku: 0, edit: Edit::Price(50) }),
        Move::Do(Wish::Sell { lines: vec![(0, 3, 333_333)], off: 0, extra: 0 }),
        refund(1, 1),
        refund(1, 1),
        Move::Do(Wish::Undo { order: 0, refund: 0 }),
        refund(1, 1),
        refund(1, 1),
    ];
    for step in &steps {
        world.step(0, step).expect("each step is in order");
    }
    let order = world.kits[0].ledger.orders.values().next().expect("one order was placed");
    let back: i64 = order.standing_refunds().map(|refund| refund.body.amount).sum();
    assert_eq!((order.sale.total, back), (100, 100));
}

#[test]
fn undoing_a_refund_of_limited_goods_sold_since_is_refused() {
    let mut world = euro();
    for step in [sell(&[(2, 9, 0)]), refund(1, 1), sell(&[(2, 2, 0)])] {
        world.step(0, &step).expect("each step is in order");
    }
    let refunded = world.kits[0].ledger.orders.values().find(|order| !order.refunds.is_empty());
    let (order, refund) = refunded.map(|order| (order.order_id, order.refunds[0].refund_id)).expect("one was refunded");
    let undo = Command::UndoRefund { order, refund };
    let (event, owner) = (world.event, world.owner);
    let refused = world.kits[0].run(&undo, Some(event), owner).map(|_| ());
    assert_eq!(refused, Err(Refusal::SoldOut { sku: "PRINT".to_owned(), here: 0, wanted: 1, elsewhere: vec![] }));
}

#[test]
fn a_cloned_catalogue_reaches_the_event_of_a_kit_that_never_wrote_before() {
    let mut world = World::new(2, Terms { currency: "EUR", prices: Prices::Inclusive });
    let ops = world.step(1, &Move::Do(Wish::OpenEvent { clone: true })).expect("an owner may open an event");
    let opened = ops.iter().find(|op| op.op.kind == 6).expect("the event was opened").id();
    let ledger = &world.kits[1].ledger;
    assert_eq!(ledger.events.get(&opened).map(|event| event.items.len()), Some(4));
    assert_eq!(ledger.anomalies.values().count(), 0);
    assert!(ops.iter().any(|op| op.op.stream == world.kits[1].author.stream(&Space::Event(opened))));
}

#[test]
fn a_cloned_item_is_taxed_by_a_rate_of_its_new_event() {
    let mut world = euro();
    let mut event =
        NewEvent { clone_from: Some(world.event), ..new_event(Terms { currency: "EUR", prices: Prices::Inclusive }) };
    event.tax_rates.remove(1);
    let (old, owner) = (world.event, world.owner);
    let ops = world.kits[0].run(&Command::OpenEvent(event), Some(old), owner).expect("the event is in order");
    let opened = ops.iter().find(|op| op.op.kind == 6).expect("the event was opened").id();
    let ledger = &world.kits[0].ledger;
    let event = ledger.events.get(&opened).expect("the event is known");
    let rate = |sku: &str| event.items[sku].tax_rate.value().and_then(|id| event.tax_ppm(id));
    assert_eq!((rate("MUG"), rate("TEE")), (Some(190_000), Some(190_000)), "a rate that is not there is the default's");
}

#[test]
fn a_catalogue_in_another_currency_is_not_cloned() {
    let mut world = euro();
    let yen = Terms { currency: "JPY", prices: Prices::Inclusive };
    let event = NewEvent { clone_from: Some(world.event), ..new_event(yen) };
    let (old, owner) = (world.event, world.owner);
    let refused = world.kits[0].run(&Command::OpenEvent(event), Some(old), owner).map(|_| ());
    assert!(matches!(refused, Err(Refusal::WrongCurrency { .. })), "{refused:?}");
}

/// What was asked is answered by ops that can be read again, however long its texts.
#[track_caller]
fn check_short(world: &mut World, command: &Command) {
    let (event, owner) = (world.event, world.owner);
    let kit: &mut Kit = &mut world.kits[0];
    let place = Place::at(kit.author.replica, Some(event));
    let ops = match kit.run(command, Some(event), owner) {
        Ok(ops) => ops,
        Err(refusal) => {
            let draft = decide::record_refusal(&kit.ledger, &refusal, &place);
            let Body::CommandRefused(body) = &draft.body else { panic!("a refusal is recorded as one") };
            assert_eq!(body.detail, refusal.to_string(), "the record says what was answered");
            kit.write(vec![draft], owner)
        }
    };
    assert!(ops.iter().all(|op| op.bytes.len() <= OP_BYTES_MAX), "an op is too long to be read again");
}

#[test]
fn no_command_writes_an_op_too_long_to_read() {
    let long = "x".repeat(OP_BYTES_MAX);
    let rejected: Vec<(u32, String)> = (0..20_000).map(|line| (line, "y".repeat(100))).collect();
    let mut world = euro();
    let import = |rejected: Vec<(u32, String)>, warnings: Vec<String>| Command::Import {
        file: "shop.csv".to_owned(),
        rows: vec![],
        rejected,
        warnings,
    };
    let request = |tenders: usize, sku: &str| {
        let euro = fieldkit_core::money::Currency::from_code("EUR").expect("EUR is in ISO 4217");
        let mut request = crate::world::sale(&[(0, 1, 0)], 0, 0, euro);
        request.lines[0].sku = sku.to_owned();
        request.tenders = vec![TenderRequest::Cash { minor: 5000, currency: "EUR".to_owned() }; tenders];
        Command::PlaceOrder(request)
    };
    let many = vec![("a".to_owned(), long.clone()), ("b".to_owned(), long.clone())];
    for command in [
        import(rejected, vec![]),
        import(vec![], vec![long.clone(), long.clone()]),
        request(300_000, "MUG"),
        request(1, &long),
        Command::ChangeItem { sku: "MUG".to_owned(), edits: vec![Edit::Options(many)] },
        Command::ChangeItem { sku: "MUG".to_owned(), edits: vec![Edit::Name("n".to_owned()); 600_000] },
        Command::ChangeItem { sku: "MUG".to_owned(), edits: vec![Edit::TaxRate(long.clone())] },
        Command::ChangeItem { sku: long.clone(), edits: vec![] },
        Command::OpenEvent(NewEvent {
            zone: long.clone(),
            ..new_event(Terms { currency: "EUR", prices: Prices::Inclusive })
        }),
        Command::Import {
            file: "a".to_owned(),
            rows: vec![ImportRow { sku: long.clone(), edits: vec![], count: None, mark: [0; 16] }],
            rejected: vec![],
            warnings: vec![],
        },
    ] {
        check_short(&mut world, &command);
    }
}

#[test]
fn an_item_is_not_added_with_less_than_nothing() {
    let mut world = euro();
    let edits = vec![Edit::Name("Cup".to_owned()), Edit::Price(100), Edit::Limit(Limit::Hard)];
    let command = Command::AddItem(NewItem { sku: "CUP".to_owned(), edits, count: Some(-5) });
    let (event, owner) = (world.event, world.owner);
    let refused = world.kits[0].run(&command, Some(event), owner).map(|_| ());
    assert_eq!(refused, Err(Refusal::StockChange("CUP".to_owned())));
}

#[test]
fn the_day_of_any_moment_is_known() {
    let world = euro();
    let event = world.kits[0].ledger.events.values().next().expect("the world has an event");
    // The last millisecond that the calendar library can name, one more, and the bounds.
    for at_ms in [0, NOON_MS, 8_210_266_876_799_999, 8_210_266_876_800_000, i64::MAX as u64, u64::MAX] {
        let _ = decide::business_day(event, at_ms);
    }
}

#[test]
fn nobody_without_a_role_sells() {
    let mut world = euro();
    let command = Command::MoveCash { direction: Direction::In, amount: 1, reason: "x".to_owned() };
    let event = world.event;
    let stranger = Actor::Person(OpId { stream: world.event.stream, seq: 999 });
    for actor in [stranger, Actor::Device(fieldkit_core::id::Zero)] {
        let refused = world.kits[0].run(&command, Some(event), actor).map(|_| ());
        assert!(matches!(refused, Err(Refusal::NotAllowed { .. })));
    }
}
