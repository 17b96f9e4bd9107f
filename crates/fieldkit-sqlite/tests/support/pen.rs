//! Ops with real keys, for tests.

use ed25519_dalek::SigningKey;
use fieldkit_core::author::{Author, Context, Draft};
use fieldkit_core::body::{
    Body, CashTender, CommandRefused, Fiscal, Line, OrderRefunded, Prices, RefundKind, RefundLine, Source, Tender,
};
use fieldkit_core::id::{Hash, OpId, ReplicaKey, Space, StreamId, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::money::Currency;
use fieldkit_core::op::{Actor, SealedOp};
use fieldkit_core::order::{Order, Paid, Sale};
use fieldkit_core::stamp::{ClockQuality, Stamp};
use fieldkit_sqlite::{Batch, SignedHead};

/// A replica that writes ops into its organisation's space.
#[derive(Clone)]
pub struct Pen {
    key: SigningKey,
    author: Author,
    pub ledger: Ledger,
    clock: u64,
}

/// Ops and the heads they end in.
#[derive(Clone, Debug)]
pub struct Written {
    pub ops: Vec<SealedOp>,
    pub heads: Vec<SignedHead>,
}

impl Written {
    pub fn batch(&self) -> Batch<'_> {
        Batch { ops: &self.ops, heads: &self.heads, branches: &[] }
    }
}

impl Pen {
    pub fn new(seed: u8) -> Pen {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let author = Author::new(ReplicaKey(key.verifying_key().to_bytes()), None);
        Pen { key, author, ledger: Ledger::default(), clock: 1_750_000_000_000 }
    }

    pub fn stream(&self) -> StreamId {
        self.author.stream(&Space::ORGANISATION)
    }

    /// `count` more ops with about `bytes` bytes of text each; the first call also opens the stream.
    pub fn write(&mut self, count: usize, bytes: usize) -> Written {
        let draft = |at: usize| {
            let detail = format!("{at:08}").repeat(bytes / 8);
            let body = CommandRefused { code: "test".into(), detail, next_step: String::new() };
            Draft::new(Space::ORGANISATION, Body::CommandRefused(body))
        };
        self.write_drafts((0..count).map(draft).collect())
    }

    fn write_drafts(&mut self, drafts: Vec<Draft>) -> Written {
        self.clock += 1000;
        let context =
            Context { actor: Actor::Device(Zero), wall_ms: self.clock, quality: ClockQuality::System, key: None };
        let ops = self.author.write(&mut self.ledger, drafts, &context);
        let stream = self.stream();
        let head = self.ledger.head(&stream);
        let signature = head.sign(&stream, &self.key);
        Written { ops, heads: vec![SignedHead { stream, head, signature }] }
    }
}

/// An order with one refund, the same for the same arguments.
#[allow(dead_code, reason = "each test uses its part of this file")]
pub fn order(order_id: OpId, lines: u32) -> Order {
    let line = |at: u32| Line {
        sku: format!("SKU-{at}"),
        name: "Tote bag".into(),
        quantity: 2,
        unit_price: 1500,
        discount: 0,
        discount_reason: String::new(),
        order_discount: 0,
        tax_rate: "standard".into(),
        tax_ppm: 190_000,
        tax: 479,
        owner: String::new(),
        units: vec![],
    };
    let total = i64::from(lines) * 3000;
    let sale = Sale {
        currency: Currency::from_code("EUR").expect("the euro is a currency"),
        prices: Prices::Inclusive,
        lines: (1..=lines).map(line).collect(),
        discount: 0,
        discount_reason: String::new(),
        total,
        planned: vec![],
        source: Source {
            till: "till-1".into(),
            campaign: String::new(),
            session: String::new(),
            variant: String::new(),
        },
        cart_opened_ms: None,
        business_day: 20_254,
    };
    let paid = Paid {
        by: None,
        receipt: order_id.seq,
        tenders: vec![Tender::Cash(CashTender { tendered: total + 500 })],
        change: 500,
        paid_ms: 1_750_000_000_000,
        business_day: 20_254,
        fiscal: Fiscal::NotRequired(Zero),
    };
    let stamp = Stamp { physical_ms: 1_750_000_000_000, counter: 0, quality: ClockQuality::System };
    let event = OpId { stream: StreamId([1; 16]), seq: 2 };
    let actor = Actor::Device(Zero);
    let mut order = Order {
        order_id,
        hash: Hash([2; 32]),
        event,
        actor,
        stamp,
        sale,
        paid: vec![paid],
        cancelled: vec![],
        payments: vec![],
        refunds: vec![],
        beside: vec![],
        units: vec![],
    };
    let body = OrderRefunded {
        order: order_id,
        kind: RefundKind::Refund,
        receipt: order_id.seq + 1,
        lines: vec![RefundLine { line: 1, quantity: 1, amount: 1500, tax: 240 }],
        amount: 1500,
        reason: "a seam".into(),
        restock: true,
        business_day: 20_254,
    };
    order.add_refund(OpId { stream: order_id.stream, seq: order_id.seq + 1 }, body, stamp, false);
    order
}
