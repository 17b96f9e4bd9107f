//! Golden bytes: the format, frozen. Each op in `tests/golden/op` encodes to its file and decodes from it.
//!
//! Promises: needs this crate alone, so that it also runs on aarch64 (`scripts/golden-aarch64`). New files come from
//! `FIELDKIT_GOLDEN=write`, which never changes a file that is there; `FIELDKIT_GOLDEN=overwrite` does, and is a
//! decision record, not a detail. The same files are read by `tests/golden/decode.py`, which shares no code.

#![expect(clippy::disallowed_methods, reason = "golden files are files, and a variable says whether to write them")]

use ed25519_dalek::{Signer, SigningKey};
use fieldkit_core::body::*;
use fieldkit_core::chain::ChainCheck;
use fieldkit_core::codec::Canonical;
use fieldkit_core::id::{Hash, OpId, PoolId, ReplicaKey, Space, StreamId, Zero};
use fieldkit_core::money::Currency;
use fieldkit_core::op::{Account, Actor, CommandKey, Dep, Head, Key, Op, Posting, SealedOp, Unit, Version};
use fieldkit_core::proof::{GrantProof, Link, Proven};
use fieldkit_core::stamp::{ClockQuality, Stamp};
use std::collections::BTreeSet;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/op"))
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn replica() -> ReplicaKey {
    ReplicaKey(key().verifying_key().to_bytes())
}

fn id(seq: u64) -> OpId {
    OpId { stream: StreamId(*b"fieldkit-golden!"), seq }
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn euro() -> Currency {
    Currency::from_code("EUR").expect("EUR is in ISO 4217")
}

fn line(sku: &str) -> Line {
    let pool = PoolId::of(&id(6), sku);
    Line {
        sku: text(sku),
        name: text("Tête-à-tête mug, 350 ml"),
        quantity: 3,
        unit_price: 1450,
        discount: 50,
        discount_reason: text("chipped"),
        order_discount: 100,
        tax_rate: text("standard"),
        tax_ppm: 190_000,
        tax: 671,
        owner: text("Quay"),
        units: vec![UnitRange { pool, first: 300, count: 3, generation: 1 }],
    }
}

fn event() -> EventOpened {
    EventOpened {
        name: text("Harbour market"),
        zone: text("Europe/Berlin"),
        day_cutover_minutes: 240,
        currency: euro(),
        seller: Seller { name: text("Quay"), address: text("Pier 1, Hamburg"), tax_id: text("DE 123") },
        tax_rates: vec![
            TaxRate { id: text("standard"), name: text("VAT 19 %"), ppm: 190_000 },
            TaxRate { id: text("none"), name: text("no tax"), ppm: 0 },
        ],
        prices: Prices::Exclusive,
        training: true,
        fold_version: 1,
        cloned_from: Some(id(129)),
    }
}

fn placed() -> OrderPlaced {
    OrderPlaced {
        receipt: 128,
        currency: euro(),
        prices: Prices::Inclusive,
        lines: vec![line("MUG-1"), line("")],
        discount: 200,
        discount_reason: text("late"),
        total: 8400,
        tenders: vec![Tender::Cash(CashTender { tendered: 10_000 })],
        change: 1600,
        source: Source { till: text("a"), campaign: text("b"), session: text("c"), variant: text("d") },
        cart_opened_ms: Some(1_795_000_000_000),
        paid_ms: 1_795_000_060_000,
        business_day: 20_775,
        fiscal: Fiscal::Signed(vec![0, 1, 254, 255]),
    }
}

fn edits() -> Vec<Edit> {
    vec![
        Edit::Name(text("Mug")),
        Edit::Price(-1),
        Edit::TaxRate(text("standard")),
        Edit::OpenPrice(true),
        Edit::Barcode(text("4006381333931")),
        Edit::Image(Some(Hash([5; 32]))),
        Edit::Image(None),
        Edit::Product(text("mug")),
        Edit::Options(vec![(text("Size"), text("L"))]),
        Edit::Limit(Limit::Hard),
        Edit::Owner(text("Quay")),
        Edit::Offered(false),
    ]
}

fn admitted() -> ReplicaAdmitted {
    let proof = key().sign(&ReplicaAdmitted::signed_bytes(&replica(), "kit 2")).to_bytes();
    ReplicaAdmitted { replica: replica(), label: text("kit 2"), admitted_by: replica().0, proof }
}

/// One body of each kind, with every field in use.
fn bodies() -> Vec<Body> {
    [of_the_organisation(), of_the_shop(), of_payments(), of_rights()].concat()
}

fn of_the_organisation() -> Vec<Body> {
    vec![
        Body::StreamOpened(StreamOpened {
            replica: replica(),
            space: Space::Training(id(6)),
            follows: Some(replica()),
        }),
        Body::OrganisationFounded(OrganisationFounded { name: text("Quay"), key: [9; 32] }),
        Body::ReplicaAdmitted(admitted()),
        Body::PersonAdded(PersonAdded { commitment: Hash([4; 32]) }),
        Body::RoleGranted(RoleGranted { person: id(4), role: Role::Auditor }),
        Body::EventOpened(event()),
        Body::EventClosed(EventClosed { event: id(6) }),
        Body::FoldRaised(FoldRaised { event: id(6), fold_version: 2 }),
        Body::RollbackNoticed(RollbackNoticed { witness: text("slip"), stream: id(1).stream, seen: 300, found: 127 }),
        Body::CommandRefused(CommandRefused {
            code: text("sold_out"),
            detail: text("0 of \"MUG\" can be sold here"),
            next_step: text("Lower the quantity."),
        }),
        Body::DeviceAccepted(DeviceAccepted {
            role: DeviceRole::Terminal,
            driver: text("zvt"),
            identity: text("52523535"),
            label: text("terminal"),
        }),
        Body::DeviceRetired(DeviceRetired { device: id(11) }),
    ]
}

fn of_the_shop() -> Vec<Body> {
    let refund = RefundLine { line: 1, quantity: 2, amount: 2801, tax: 447 };
    vec![
        Body::ItemDefined(ItemDefined { sku: text("MUG"), edits: edits(), import_mark: Some([3; 16]) }),
        Body::StockMoved(StockMoved { sku: text("MUG"), change: -2, reason: StockReason::Damaged }),
        Body::CatalogueImported(CatalogueImported {
            file: text("shop.csv"),
            created: 1,
            changed: 200,
            unchanged: 70_000,
            rejected: vec![(7, text("no price"))],
            warnings: vec![text("no picture")],
        }),
        Body::OrderPlaced(placed()),
        Body::OrderRefunded(OrderRefunded {
            order: id(200),
            kind: RefundKind::Void,
            receipt: 129,
            lines: vec![refund],
            amount: 2801,
            reason: text("broken"),
            restock: true,
            business_day: -1,
        }),
        Body::RefundUndone(RefundUndone { order: id(200), refund: id(201), receipt: 130, business_day: 20_775 }),
        Body::DrawerOpened(DrawerOpened { amount: 15_000 }),
        Body::CashMoved(CashMoved { direction: Direction::Out, amount: 5_000, reason: text("bank") }),
        Body::DrawerCounted(DrawerCounted { counted: 9_999, expected: 10_000, note: text("one cent") }),
    ]
}

fn of_payments() -> Vec<Body> {
    vec![
        Body::OrderOpened(opened()),
        Body::OrderPaid(OrderPaid {
            order: id(200),
            receipt: 131,
            tenders: vec![
                Tender::Cash(CashTender { tendered: 3_000 }),
                Tender::Card(CardTender { payment: id(202), amount: 5_000 }),
                Tender::CardExternal(CardTender { payment: id(203), amount: 1_000 }),
            ],
            change: 600,
            paid_ms: 1_795_000_120_000,
            business_day: 20_775,
            fiscal: Fiscal::Pending(Zero),
        }),
        Body::OrderCancelled(OrderCancelled { order: id(200), reason: text("gone") }),
        Body::PaymentIntended(PaymentIntended {
            order: id(200),
            tender: PaymentTender::Card,
            amount: 5_000,
            currency: euro(),
            device: Some(id(11)),
            label: text("terminal"),
        }),
        moved(PaymentStep::Approved(record(RecordKind::Payment))),
        Body::PaymentAttested(PaymentAttested {
            order: id(200),
            amount: 1_000,
            currency: euro(),
            reader: text("SumUp"),
            reference: text("TAAA4X9KQ2"),
        }),
        Body::ForeignPaymentFound(ForeignPaymentFound { device: None, record: record(RecordKind::Unstated) }),
        Body::ForeignPaymentSettled(ForeignPaymentSettled { found: id(204), note: text("typed by hand") }),
    ]
}

fn of_rights() -> Vec<Body> {
    let range = |first, generation| UnitRange { pool: PoolId::of(&id(6), "MUG-1"), first, count: 128, generation };
    let ranges = vec![range(0, 0), range((1 << 63) - 128, 300)];
    vec![
        Body::RightsGranted(RightsGranted {
            sku: text("MUG-1"),
            to: replica(),
            ranges: ranges.clone(),
            reason: text("asked"),
            answers: Some(id(300)),
        }),
        Body::RightsReturned(RightsReturned { order: id(200), to: replica(), ranges: ranges.clone() }),
        Body::RightsUsed(RightsUsed { order: id(200), ranges: ranges.clone() }),
        Body::RightsWrittenOff(RightsWrittenOff {
            sku: text("MUG-1"),
            ranges: ranges.clone(),
            reason: StockReason::Damaged,
        }),
        Body::HolderDeclaredLost(HolderDeclaredLost {
            sku: text("MUG-1"),
            holder: replica(),
            ranges: ranges.clone(),
            risk: text("what kit 2 sold of these 2 before it was lost is sold twice"),
        }),
        Body::WatchSet(WatchSet {
            witnesses: vec![[1; 16], [2; 16]],
            lost: vec![[3; 16]],
            at_risk: 128,
            nonce: [9; 16],
        }),
        Body::HoldingAdmitted(HoldingAdmitted {
            how: Admission::Slip,
            seen: 300,
            pools: vec![PoolId::of(&id(6), "MUG-1")],
            ranges: ranges.clone(),
            nonce: [9; 16],
        }),
        Body::KeeperVowed(KeeperVowed { label: text("hub") }),
        Body::RightsAsked(RightsAsked { sku: text("MUG-1"), of: replica(), quantity: 2 }),
        Body::HolderAnswered(HolderAnswered { holder: replica(), on_behalf: ReplicaKey([4; 32]), seen: 300 }),
        Body::RightsLeased(RightsLeased {
            sku: text("MUG-1"),
            to: replica(),
            ranges: ranges.clone(),
            term_ms: 7_200_000,
            confirmed_ms: Some(1_795_000_060_000),
            reason: text("the other hall"),
        }),
        Body::LeaseLapsed(LeaseLapsed { sku: text("MUG-1"), lease: id(301), holder: replica(), ranges }),
    ]
}

fn opened() -> OrderOpened {
    OrderOpened {
        currency: euro(),
        prices: Prices::Exclusive,
        lines: vec![line("MUG-1")],
        discount: 200,
        discount_reason: text("late"),
        total: 8400,
        planned: vec![Plan::Cash(CashTender { tendered: 3_000 }), Plan::Card(5_000), Plan::CardExternal(1_000)],
        source: Source { till: text("a"), campaign: text("b"), session: text("c"), variant: text("d") },
        cart_opened_ms: None,
        business_day: 20_775,
    }
}

fn record(kind: RecordKind) -> TerminalRecord {
    TerminalRecord {
        kind,
        terminal_id: text("52523535"),
        receipt: 231,
        trace: 975,
        amount: 5_000,
        currency: euro(),
        date: Some(1120),
        time: Some(225_558),
        card_name: text("MasterCard"),
        masked_pan: text("559883******8074"),
        authorisation: text("123456"),
        result: 0x6f,
        reversed_trace: Some(974),
    }
}

fn moved(step: PaymentStep) -> Body {
    Body::PaymentMoved(PaymentMoved { order: id(200), payment: id(202), step })
}

/// One step of each kind, with every field in use.
fn steps() -> Vec<PaymentStep> {
    let baseline = Baseline {
        terminal_id: Some(text("52523535")),
        last_receipt: Some(230),
        last_trace: Some(974),
        last_date: Some(1120),
        last_time: Some(225_500),
    };
    let no = TerminalAnswer { code: 0x6c, text: text("abort") };
    vec![
        PaymentStep::Sent(baseline),
        PaymentStep::Approved(record(RecordKind::Payment)),
        PaymentStep::Captured(Zero),
        PaymentStep::Declined(no.clone()),
        PaymentStep::Cancelled(CancelledBy::Kit),
        PaymentStep::Unknown(text("the cable was pulled")),
        PaymentStep::NotCharged(text("asked")),
        PaymentStep::AtRisk(record(RecordKind::Payment)),
        PaymentStep::Mismatched(record(RecordKind::Refund)),
        PaymentStep::ReversalIntended(text("amiss")),
        PaymentStep::ReversalSent(Baseline::default()),
        PaymentStep::Reversed(record(RecordKind::Reversal)),
        PaymentStep::ReversalDeclined(no),
        PaymentStep::ReversalUnknown(text("no answer")),
        PaymentStep::ClosedByPerson(Closing { charged: Charged::Yes, evidence: text("its journal") }),
    ]
}

/// An envelope with every field in use around a body.
fn enveloped(kind: u16, body: Vec<u8>) -> SealedOp {
    let other = |byte| StreamId([byte; 16]);
    let posting = |account, unit, amount| Posting { account, unit, amount };
    let (money, pool) = (Unit::Money(euro()), Unit::Pool(PoolId::of(&id(6), "MUG")));
    SealedOp::seal(Op {
        version: Version,
        stream: id(1).stream,
        seq: 300,
        prev: Hash([1; 32]),
        lamport: 16_384,
        stamp: Stamp { physical_ms: 1_795_000_060_000, counter: 2, quality: ClockQuality::Confirmed },
        deps: [2, 3].map(|byte| Dep { op: OpId { stream: other(byte), seq: 127 }, hash: Hash([byte; 32]) }).to_vec(),
        actor: Actor::Person(id(4)),
        key: Some(CommandKey { key: Key::new(b"till-a:42").expect("9 bytes are a key"), fingerprint: [8; 16] }),
        postings: vec![
            posting(Account::CASH, money, 8400),
            posting(Account::SALES, money, -7058),
            posting(Account::TAX, money, -1342),
            posting(Account::STOCK, pool, -6),
            posting(Account::SOLD, pool, 6),
        ],
        kind,
        body,
    })
}

/// A stream of five ops, and its head after each.
fn chain() -> (Vec<SealedOp>, Vec<Head>) {
    let space = Space::Event(id(6));
    let stream = StreamId::of(&replica(), &space);
    let bodies = vec![
        Body::StreamOpened(StreamOpened { replica: replica(), space, follows: None }),
        Body::ItemDefined(ItemDefined { sku: text("MUG"), edits: vec![Edit::Price(1450)], import_mark: None }),
        Body::StockMoved(StockMoved { sku: text("MUG"), change: 10, reason: StockReason::Delivered }),
        Body::DrawerOpened(DrawerOpened { amount: 0 }),
        Body::CashMoved(CashMoved { direction: Direction::In, amount: 1, reason: text("found") }),
    ];
    let (mut ops, mut heads) = (Vec::new(), Vec::new());
    let mut head = Head::default();
    for body in bodies {
        let op = SealedOp::seal(Op {
            version: Version,
            stream,
            seq: head.seq + 1,
            prev: head.hash,
            lamport: head.seq + 1,
            stamp: Stamp { physical_ms: 1_795_000_000_000 + head.seq, counter: 0, quality: ClockQuality::System },
            deps: vec![],
            actor: Actor::Device(Zero),
            key: None,
            postings: vec![],
            kind: body.kind(),
            body: body.bytes(),
        });
        head = Head { seq: op.op.seq, hash: op.hash };
        ops.push(op);
        heads.push(head);
    }
    (ops, heads)
}

/// Compares `bytes` with the file of `name`, or writes it where that was asked for.
fn check_file(name: &str, bytes: &[u8]) {
    let path = folder().join(format!("{name}.hex"));
    let lines: Vec<String> = bytes.chunks(32).map(|part| data_encoding::HEXLOWER.encode(part)).collect();
    let wanted = lines.join("\n") + "\n";
    let found = std::fs::read_to_string(&path).ok();
    let asked = std::env::var("FIELDKIT_GOLDEN").unwrap_or_default();
    match (found, asked.as_str()) {
        (Some(found), _) if found == wanted => {}
        (None, "write" | "overwrite") | (Some(_), "overwrite") => {
            std::fs::write(&path, wanted).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        (Some(found), _) => assert_eq!(found, wanted, "{name}: the format is frozen, and these bytes changed"),
        (None, _) => panic!("{} is missing; FIELDKIT_GOLDEN=write makes it", path.display()),
    }
}

fn read_file(name: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    data_encoding::HEXLOWER.decode(text.replace('\n', "").as_bytes()).expect("golden files are hexadecimal")
}

#[test]
fn every_kind_has_its_golden_bytes() {
    let bodies = bodies();
    let kinds: BTreeSet<u16> = bodies.iter().map(Body::kind).collect();
    assert_eq!(kinds, Body::KINDS.iter().map(|(kind, _)| *kind).collect(), "each kind stands here once");
    for body in bodies {
        let name = format!("{:02}-{}", body.kind(), Body::name(body.kind()));
        let op = enveloped(body.kind(), body.bytes());
        check_file(&name, &op.bytes);
        let opened = SealedOp::open(&read_file(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(opened, op, "{name}");
        assert_eq!(Body::open(opened.op.kind, &opened.op.body), Ok(body), "{name}");
    }
}

#[test]
fn every_step_of_a_payment_has_its_golden_bytes() {
    for (tag, step) in steps().into_iter().enumerate() {
        let body = moved(step);
        let bytes = body.bytes();
        let order_and_payment = id(200).to_bytes().len() + id(202).to_bytes().len();
        assert_eq!(usize::from(bytes[order_and_payment]), tag, "each step stands here once, in the order of its tag");
        let name = format!("65-PaymentMoved-{tag:02}");
        let op = enveloped(body.kind(), bytes);
        check_file(&name, &op.bytes);
        let opened = SealedOp::open(&read_file(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(Body::open(opened.op.kind, &opened.op.body), Ok(body), "{name}");
    }
}

#[test]
fn a_kind_of_a_later_version_has_golden_bytes() {
    let op = enveloped(60_000, vec![1, 2, 3]);
    check_file("60000-later", &op.bytes);
    let opened = SealedOp::open(&read_file("60000-later")).expect("an unknown kind is kept whole");
    assert_eq!(opened, op);
    assert_eq!(Body::open(opened.op.kind, &opened.op.body), Err(BodyError::Unknown(60_000)));
}

#[test]
fn a_chain_of_five_has_golden_bytes_and_signed_heads() {
    let (ops, heads) = chain();
    let mut check = ChainCheck::default();
    for (op, head) in ops.iter().zip(&heads) {
        let name = format!("chain-{}", op.op.seq);
        check_file(&name, &op.bytes);
        let opened = check.next(op.op.stream, op.op.seq, &read_file(&name));
        assert_eq!(opened.as_ref(), Ok(op), "{name}");
        let mut signed = head.to_bytes();
        signed.extend(head.sign(&op.op.stream, &key()));
        let name = format!("head-{}", op.op.seq);
        check_file(&name, &signed);
        let file = read_file(&name);
        let (front, back) = file.split_at(file.len() - 64);
        let signature: [u8; 64] = back.try_into().expect("a signature has 64 bytes");
        assert_eq!(Head::from_bytes(front), Ok(*head));
        assert_eq!(check.signed_head(op.op.stream, *head, Some(op.hash), &signature), Ok(()), "{name}");
    }
}

#[test]
fn a_grant_that_proves_itself_has_golden_bytes() {
    let space = Space::Event(id(6));
    let stream = StreamId::of(&replica(), &space);
    let op = |seq, body: Body| {
        let (prev, stamp) =
            (Hash([1; 32]), Stamp { physical_ms: 1_795_000_000_000, counter: 0, quality: ClockQuality::System });
        let (actor, deps, postings) = (Actor::Device(Zero), vec![], vec![]);
        let (kind, body) = (body.kind(), body.bytes());
        SealedOp::seal(Op {
            version: Version,
            stream,
            seq,
            prev,
            lamport: seq,
            stamp,
            deps,
            actor,
            key: None,
            postings,
            kind,
            body,
        })
    };
    let came = StockMoved { sku: text("MUG"), change: 10, reason: StockReason::Delivered };
    let came = op(300, Body::StockMoved(came));
    let whole = UnitRange::issued(PoolId::of(&id(6), "MUG"), &came.hash, 10).expect("ten units are not too many");
    let ranges = vec![UnitRange { first: whole.first + 6, count: 4, ..whole }];
    let to = ReplicaKey([9; 32]);
    let (sku, reason) = (text("MUG"), text("asked"));
    let grant = RightsGranted { sku, to, ranges: ranges.clone(), reason, answers: None };
    let links = [came, op(301, Body::RightsGranted(grant))].iter().map(|op| Link::sign(op, &key())).collect();
    let proof = GrantProof { space, links };
    check_file("grant-proof", &proof.to_bytes());
    let opened = GrantProof::open(&read_file("grant-proof"), |known| *known == replica());
    assert_eq!(opened, Ok((proof, Proven { from: replica(), to, ranges })));
}
