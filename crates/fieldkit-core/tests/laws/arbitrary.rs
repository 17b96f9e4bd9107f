//! Made-up values of everything that is written: every body kind, every field, numbers up to their bounds.

use fieldkit_core::body::*;
use fieldkit_core::id::{Hash, OpId, PoolId, ReplicaKey, Space, StreamId, Zero};
use fieldkit_core::money::Currency;
use fieldkit_core::op::{Account, Actor, CommandKey, Dep, Key, Op, Posting, SealedOp, Unit, Version};
use fieldkit_core::stamp::{ClockQuality, Stamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Numbers of any size, the bounds among them.
pub fn number() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -3i64..=2000, 2 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

/// Counts of any size, the bounds among them.
pub fn count() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0u64..5, 2 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..5, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

/// Short texts of any script.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect()), Just("A".to_owned())]
}

/// Real currencies.
pub fn currency() -> impl Strategy<Value = Currency> {
    prop_oneof![Just("EUR"), Just("JPY"), Just("BHD"), Just("MRU")]
        .prop_map(|code| Currency::from_code(code).expect("these codes are in ISO 4217"))
}

pub fn stream() -> impl Strategy<Value = StreamId> {
    any::<[u8; 16]>().prop_map(StreamId)
}

pub fn op_id() -> impl Strategy<Value = OpId> {
    (stream(), count()).prop_map(|(stream, seq)| OpId { stream, seq })
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn replica() -> impl Strategy<Value = ReplicaKey> {
    any::<[u8; 32]>().prop_map(ReplicaKey)
}

fn pool() -> impl Strategy<Value = PoolId> {
    any::<[u8; 16]>().prop_map(PoolId)
}

pub fn space() -> impl Strategy<Value = Space> {
    prop_oneof![Just(Space::ORGANISATION), op_id().prop_map(Space::Event), op_id().prop_map(Space::Training)]
}

fn bytes64() -> impl Strategy<Value = [u8; 64]> {
    (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(front, back)| {
        let mut all = [0; 64];
        all[..32].copy_from_slice(&front);
        all[32..].copy_from_slice(&back);
        all
    })
}

pub fn prices() -> impl Strategy<Value = Prices> {
    prop_oneof![Just(Prices::Inclusive), Just(Prices::Exclusive)]
}

pub fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![Just(Limit::Soft), Just(Limit::Hard), Just(Limit::Uncounted)]
}

pub fn reason() -> impl Strategy<Value = StockReason> {
    prop_oneof![
        Just(StockReason::Delivered),
        Just(StockReason::Counted),
        Just(StockReason::Found),
        Just(StockReason::Damaged),
        Just(StockReason::Lost),
        Just(StockReason::Imported),
    ]
}

pub fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::In), Just(Direction::Out)]
}

pub fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        text().prop_map(Edit::Name),
        number().prop_map(Edit::Price),
        text().prop_map(Edit::TaxRate),
        any::<bool>().prop_map(Edit::OpenPrice),
        text().prop_map(Edit::Barcode),
        option::of(hash()).prop_map(Edit::Image),
        text().prop_map(Edit::Product),
        vec((text(), text()), 0..3).prop_map(Edit::Options),
        limit().prop_map(Edit::Limit),
        text().prop_map(Edit::Owner),
        any::<bool>().prop_map(Edit::Offered),
    ]
}

pub fn tax_rate() -> impl Strategy<Value = TaxRate> {
    (text(), text(), small()).prop_map(|(id, name, ppm)| TaxRate { id, name, ppm })
}

pub fn seller() -> impl Strategy<Value = Seller> {
    (text(), text(), text()).prop_map(|(name, address, tax_id)| Seller { name, address, tax_id })
}

fn units() -> impl Strategy<Value = UnitRange> {
    let parts = (pool(), count(), count(), small());
    parts.prop_map(|(pool, first, count, generation)| UnitRange { pool, first, count, generation })
}

fn line() -> impl Strategy<Value = Line> {
    let texts = (text(), text(), text(), text(), text());
    let numbers = (small(), number(), number(), number(), small(), number());
    (texts, numbers, vec(units(), 0..3)).prop_map(|(texts, numbers, units)| {
        let (sku, name, discount_reason, tax_rate, owner) = texts;
        let (quantity, unit_price, discount, order_discount, tax_ppm, tax) = numbers;
        Line {
            sku,
            name,
            quantity,
            unit_price,
            discount,
            discount_reason,
            order_discount,
            tax_rate,
            tax_ppm,
            tax,
            owner,
            units,
        }
    })
}

pub fn source() -> impl Strategy<Value = Source> {
    let parts = (text(), text(), text(), text());
    parts.prop_map(|(till, campaign, session, variant)| Source { till, campaign, session, variant })
}

fn fiscal() -> impl Strategy<Value = Fiscal> {
    prop_oneof![
        Just(Fiscal::NotRequired(Zero)),
        Just(Fiscal::Pending(Zero)),
        text().prop_map(Fiscal::Failed),
        vec(any::<u8>(), 0..9).prop_map(Fiscal::Signed),
    ]
}

fn cash(tendered: i64) -> Tender {
    Tender::Cash(CashTender { tendered })
}

fn tender(known: BoxedStrategy<OpId>) -> impl Strategy<Value = Tender> {
    let card = (known, number()).prop_map(|(payment, amount)| CardTender { payment, amount }).boxed();
    prop_oneof![number().prop_map(cash), card.clone().prop_map(Tender::Card), card.prop_map(Tender::CardExternal)]
}

fn plan() -> impl Strategy<Value = Plan> {
    prop_oneof![
        number().prop_map(|tendered| Plan::Cash(CashTender { tendered })),
        number().prop_map(Plan::Card),
        number().prop_map(Plan::CardExternal),
    ]
}

/// Records of a few terminals, so that some speak of one transaction.
pub fn terminal_record() -> impl Strategy<Value = TerminalRecord> {
    let kind = prop_oneof![
        Just(RecordKind::Payment),
        Just(RecordKind::Reversal),
        Just(RecordKind::Refund),
        Just(RecordKind::Unstated)
    ];
    let counters = (text(), small(), small());
    let moment = (option::of(any::<u16>()), option::of(any::<u32>()), option::of(small()));
    (kind, counters, (number(), currency()), moment, (text(), text(), text()), any::<u8>()).prop_map(
        |(kind, (terminal_id, receipt, trace), (amount, currency), (date, time, reversed_trace), texts, result)| {
            let (card_name, masked_pan, authorisation) = texts;
            TerminalRecord {
                kind,
                terminal_id,
                receipt,
                trace,
                amount,
                currency,
                date,
                time,
                card_name,
                masked_pan,
                authorisation,
                result,
                reversed_trace,
            }
        },
    )
}

fn baseline() -> impl Strategy<Value = Baseline> {
    let parts = (option::of(text()), option::of(small()), option::of(small()));
    (parts, option::of(any::<u16>()), option::of(any::<u32>())).prop_map(|(parts, last_date, last_time)| {
        let (terminal_id, last_receipt, last_trace) = parts;
        Baseline { terminal_id, last_receipt, last_trace, last_date, last_time }
    })
}

pub fn charged() -> impl Strategy<Value = Charged> {
    prop_oneof![Just(Charged::No), Just(Charged::Yes)]
}

/// Steps of any kind.
pub fn step() -> impl Strategy<Value = PaymentStep> {
    let answer = (small(), text()).prop_map(|(code, text)| TerminalAnswer { code, text }).boxed();
    let by = prop_oneof![
        Just(CancelledBy::Buyer),
        Just(CancelledBy::Crew),
        Just(CancelledBy::Terminal),
        Just(CancelledBy::Kit)
    ];
    prop_oneof![
        baseline().prop_map(PaymentStep::Sent),
        terminal_record().prop_map(PaymentStep::Approved),
        Just(PaymentStep::Captured(Zero)),
        answer.clone().prop_map(PaymentStep::Declined),
        by.prop_map(PaymentStep::Cancelled),
        text().prop_map(PaymentStep::Unknown),
        text().prop_map(PaymentStep::NotCharged),
        terminal_record().prop_map(PaymentStep::AtRisk),
        terminal_record().prop_map(PaymentStep::Mismatched),
        text().prop_map(PaymentStep::ReversalIntended),
        baseline().prop_map(PaymentStep::ReversalSent),
        terminal_record().prop_map(PaymentStep::Reversed),
        answer.prop_map(PaymentStep::ReversalDeclined),
        text().prop_map(PaymentStep::ReversalUnknown),
        (charged(), text()).prop_map(|(charged, evidence)| PaymentStep::ClosedByPerson(Closing { charged, evidence })),
    ]
}

fn opened_order() -> impl Strategy<Value = Body> {
    let head = (currency(), prices(), vec(line(), 0..4));
    let money = (number(), text(), number(), vec(plan(), 0..3));
    let tail = (source(), option::of(count()), number());
    (head, money, tail).prop_map(|(head, money, tail)| {
        let (currency, prices, lines) = head;
        let (discount, discount_reason, total, planned) = money;
        let (source, cart_opened_ms, business_day) = tail;
        Body::OrderOpened(OrderOpened {
            currency,
            prices,
            lines,
            discount,
            discount_reason,
            total,
            planned,
            source,
            cart_opened_ms,
            business_day,
        })
    })
}

fn paid_order(known: BoxedStrategy<OpId>) -> impl Strategy<Value = Body> {
    let tenders = vec(tender(known.clone()), 0..3);
    (known, count(), tenders, number(), count(), number(), fiscal()).prop_map(
        |(order, receipt, tenders, change, paid_ms, business_day, fiscal)| {
            Body::OrderPaid(OrderPaid { order, receipt, tenders, change, paid_ms, business_day, fiscal })
        },
    )
}

fn payment_body(known: BoxedStrategy<OpId>) -> impl Strategy<Value = Body> {
    let way = prop_oneof![Just(PaymentTender::Card), Just(PaymentTender::CardExternal)];
    let intended = (known.clone(), way, number(), currency(), option::of(known.clone()), text());
    let attested = (known.clone(), number(), currency(), text(), text());
    prop_oneof![
        intended.prop_map(|(order, tender, amount, currency, device, label)| {
            Body::PaymentIntended(PaymentIntended { order, tender, amount, currency, device, label })
        }),
        (known.clone(), known.clone(), step()).prop_map(|(order, payment, step)| Body::PaymentMoved(PaymentMoved {
            order,
            payment,
            step
        })),
        attested.prop_map(|(order, amount, currency, reader, reference)| {
            Body::PaymentAttested(PaymentAttested { order, amount, currency, reader, reference })
        }),
        (option::of(known.clone()), terminal_record())
            .prop_map(|(device, record)| Body::ForeignPaymentFound(ForeignPaymentFound { device, record })),
        (known, text()).prop_map(|(found, note)| Body::ForeignPaymentSettled(ForeignPaymentSettled { found, note })),
    ]
}

fn rights_body(known: BoxedStrategy<OpId>) -> impl Strategy<Value = Body> {
    let ranges = || vec(units(), 0..3);
    prop_oneof![
        (text(), replica(), ranges(), text(), option::of(known.clone())).prop_map(
            |(sku, to, ranges, reason, answers)| Body::RightsGranted(RightsGranted {
                sku,
                to,
                ranges,
                reason,
                answers
            })
        ),
        (known.clone(), replica(), ranges()).prop_map(|(order, to, ranges)| Body::RightsReturned(RightsReturned {
            order,
            to,
            ranges
        })),
        (known.clone(), ranges()).prop_map(|(order, ranges)| Body::RightsUsed(RightsUsed { order, ranges })),
        (text(), replica(), ranges(), any::<u64>(), option::of(any::<u64>()), text()).prop_map(
            |(sku, to, ranges, term_ms, confirmed_ms, reason)| {
                Body::RightsLeased(RightsLeased { sku, to, ranges, term_ms, confirmed_ms, reason })
            }
        ),
        (text(), known, replica(), ranges())
            .prop_map(|(sku, lease, holder, ranges)| { Body::LeaseLapsed(LeaseLapsed { sku, lease, holder, ranges }) }),
        (text(), ranges(), reason()).prop_map(|(sku, ranges, reason)| Body::RightsWrittenOff(RightsWrittenOff {
            sku,
            ranges,
            reason
        })),
        (text(), replica(), ranges(), text()).prop_map(|(sku, holder, ranges, risk)| {
            Body::HolderDeclaredLost(HolderDeclaredLost { sku, holder, ranges, risk })
        }),
        (vec(any::<[u8; 16]>(), 0..3), vec(any::<[u8; 16]>(), 0..3), any::<u64>(), any::<[u8; 16]>())
            .prop_map(|(witnesses, lost, at_risk, nonce)| Body::WatchSet(WatchSet { witnesses, lost, at_risk, nonce })),
        (any::<u64>(), vec(units(), 0..3), any::<[u8; 16]>()).prop_map(|(seen, ranges, nonce)| {
            let pools = ranges.iter().map(|range| range.pool).collect();
            Body::HoldingAdmitted(HoldingAdmitted { how: Admission::Slip, seen, pools, ranges, nonce })
        }),
        text().prop_map(|label| Body::KeeperVowed(KeeperVowed { label })),
        (text(), replica(), any::<u32>()).prop_map(|(sku, of, quantity)| Body::RightsAsked(RightsAsked {
            sku,
            of,
            quantity
        })),
        (replica(), replica(), 0u64..40)
            .prop_map(|(holder, on_behalf, seen)| { Body::HolderAnswered(HolderAnswered { holder, on_behalf, seen }) }),
    ]
}

fn device_role() -> impl Strategy<Value = DeviceRole> {
    prop_oneof![
        Just(DeviceRole::Terminal),
        Just(DeviceRole::Ups),
        Just(DeviceRole::Locker),
        Just(DeviceRole::Relay),
        Just(DeviceRole::Scanner),
        Just(DeviceRole::Printer),
    ]
}

fn placed() -> impl Strategy<Value = Body> {
    let head = (count(), currency(), prices(), vec(line(), 0..4));
    let money = (number(), text(), number(), vec(number(), 0..3), number());
    let tail = (source(), option::of(count()), count(), number(), fiscal());
    (head, money, tail).prop_map(|(head, money, tail)| {
        let (receipt, currency, prices, lines) = head;
        let (discount, discount_reason, total, tendered, change) = money;
        let (source, cart_opened_ms, paid_ms, business_day, fiscal) = tail;
        let tenders = tendered.into_iter().map(cash).collect();
        Body::OrderPlaced(OrderPlaced {
            receipt,
            currency,
            prices,
            lines,
            discount,
            discount_reason,
            total,
            tenders,
            change,
            source,
            cart_opened_ms,
            paid_ms,
            business_day,
            fiscal,
        })
    })
}

fn refunded(order: BoxedStrategy<OpId>) -> impl Strategy<Value = Body> {
    let line = (small(), small(), number(), number()).prop_map(|(line, quantity, amount, tax)| RefundLine {
        line,
        quantity,
        amount,
        tax,
    });
    let kind = prop_oneof![Just(RefundKind::Refund), Just(RefundKind::Void)];
    let parts = (order, kind, count(), vec(line, 0..4), number(), text(), any::<bool>(), number());
    parts.prop_map(|(order, kind, receipt, lines, amount, reason, restock, business_day)| {
        Body::OrderRefunded(OrderRefunded { order, kind, receipt, lines, amount, reason, restock, business_day })
    })
}

fn opened_event() -> impl Strategy<Value = Body> {
    let head = (text(), text(), any::<u16>(), currency(), seller(), vec(tax_rate(), 0..3));
    (head, prices(), any::<bool>(), small(), option::of(op_id())).prop_map(
        |((name, zone, day_cutover_minutes, currency, seller, tax_rates), prices, training, fold_version, from)| {
            Body::EventOpened(EventOpened {
                name,
                zone,
                day_cutover_minutes,
                currency,
                seller,
                tax_rates,
                prices,
                training,
                fold_version,
                cloned_from: from,
            })
        },
    )
}

fn organisation_body(known: BoxedStrategy<OpId>) -> impl Strategy<Value = Body> {
    let role = prop_oneof![Just(Role::Owner), Just(Role::Seller), Just(Role::Auditor)];
    let retired = known.clone();
    prop_oneof![
        (replica(), space(), option::of(replica()))
            .prop_map(|(replica, space, follows)| Body::StreamOpened(StreamOpened { replica, space, follows })),
        (text(), any::<[u8; 32]>())
            .prop_map(|(name, key)| Body::OrganisationFounded(OrganisationFounded { name, key })),
        (replica(), text(), any::<[u8; 32]>(), bytes64()).prop_map(|(replica, label, admitted_by, proof)| {
            Body::ReplicaAdmitted(ReplicaAdmitted { replica, label, admitted_by, proof })
        }),
        hash().prop_map(|commitment| Body::PersonAdded(PersonAdded { commitment })),
        (known.clone(), role).prop_map(|(person, role)| Body::RoleGranted(RoleGranted { person, role })),
        opened_event(),
        known.clone().prop_map(|event| Body::EventClosed(EventClosed { event })),
        (known, small()).prop_map(|(event, fold_version)| Body::FoldRaised(FoldRaised { event, fold_version })),
        (text(), stream(), count(), count()).prop_map(|(witness, stream, seen, found)| {
            Body::RollbackNoticed(RollbackNoticed { witness, stream, seen, found })
        }),
        (text(), text(), text()).prop_map(|(code, detail, next_step)| Body::CommandRefused(CommandRefused {
            code,
            detail,
            next_step
        })),
        device().prop_map(Body::DeviceAccepted),
        retired.prop_map(|device| Body::DeviceRetired(DeviceRetired { device })),
    ]
}

/// Devices of any kind.
pub fn device() -> impl Strategy<Value = DeviceAccepted> {
    (device_role(), text(), text(), text()).prop_map(|(role, driver, identity, label)| DeviceAccepted {
        role,
        driver,
        identity,
        label,
    })
}

fn event_body(known: BoxedStrategy<OpId>) -> impl Strategy<Value = Body> {
    let imported = (text(), small(), small(), small(), vec((small(), text()), 0..3), vec(text(), 0..3));
    prop_oneof![
        (text(), vec(edit(), 0..4), option::of(any::<[u8; 16]>()))
            .prop_map(|(sku, edits, import_mark)| { Body::ItemDefined(ItemDefined { sku, edits, import_mark }) }),
        (text(), number(), reason()).prop_map(|(sku, change, reason)| Body::StockMoved(StockMoved {
            sku,
            change,
            reason
        })),
        imported.prop_map(|(file, created, changed, unchanged, rejected, warnings)| {
            Body::CatalogueImported(CatalogueImported { file, created, changed, unchanged, rejected, warnings })
        }),
        placed(),
        opened_order(),
        paid_order(known.clone()),
        (known.clone(), text()).prop_map(|(order, reason)| Body::OrderCancelled(OrderCancelled { order, reason })),
        payment_body(known.clone()),
        rights_body(known.clone()),
        refunded(known.clone()),
        (known.clone(), known, count(), number()).prop_map(|(order, refund, receipt, business_day)| {
            Body::RefundUndone(RefundUndone { order, refund, receipt, business_day })
        }),
        number().prop_map(|amount| Body::DrawerOpened(DrawerOpened { amount })),
        (direction(), number(), text()).prop_map(|(direction, amount, reason)| Body::CashMoved(CashMoved {
            direction,
            amount,
            reason
        })),
        (number(), number(), text()).prop_map(|(counted, expected, note)| Body::DrawerCounted(DrawerCounted {
            counted,
            expected,
            note
        })),
    ]
}

/// A body of any kind; the ids in it are sometimes of `known`.
pub fn body_about(known: BoxedStrategy<OpId>) -> BoxedStrategy<Body> {
    prop_oneof![1 => organisation_body(known.clone()), 1 => event_body(known)].boxed()
}

/// A body of any kind.
pub fn body() -> BoxedStrategy<Body> {
    body_about(op_id().boxed())
}

fn unit() -> impl Strategy<Value = Unit> {
    prop_oneof![currency().prop_map(Unit::Money), pool().prop_map(Unit::Pool)]
}

/// Postings that balance.
pub fn postings() -> impl Strategy<Value = Vec<Posting>> {
    let amount = prop_oneof![-2000i64..2000, Just(i64::MAX), Just(-i64::MAX)];
    vec((any::<u16>(), any::<u16>(), unit(), amount), 0..4).prop_map(|legs| {
        let both = |(from, to, unit, amount): (u16, u16, Unit, i64)| {
            [
                Posting { account: Account(from % 24), unit, amount },
                Posting { account: Account(to % 24), unit, amount: -amount },
            ]
        };
        legs.into_iter().flat_map(both).collect()
    })
}

pub fn stamp() -> impl Strategy<Value = Stamp> {
    let quality =
        prop_oneof![Just(ClockQuality::Unverified), Just(ClockQuality::System), Just(ClockQuality::Confirmed)];
    (count(), small(), quality).prop_map(|(physical_ms, counter, quality)| Stamp { physical_ms, counter, quality })
}

fn key() -> impl Strategy<Value = CommandKey> {
    (vec(any::<u8>(), 1..65), any::<[u8; 16]>()).prop_map(|(key, fingerprint)| CommandKey {
        key: Key::new(&key).expect("1 to 64 bytes are a key"),
        fingerprint,
    })
}

pub fn actor() -> impl Strategy<Value = Actor> {
    prop_oneof![Just(Actor::Device(Zero)), op_id().prop_map(Actor::Person)]
}

/// An op that `SealedOp::open` accepts, of a kind known or not.
pub fn op() -> impl Strategy<Value = SealedOp> {
    let deps = vec((op_id(), hash()), 0..4);
    let body = prop_oneof![
        6 => body().prop_map(|body| (body.kind(), body.bytes())),
        1 => (any::<u16>(), vec(any::<u8>(), 0..20)),
    ];
    let envelope = (stream(), 1u64..9, hash(), count(), stamp(), deps);
    let content = (actor(), option::of(key()), postings(), body);
    (envelope, content).prop_map(|((stream, seq, prev, lamport, stamp, deps), content)| {
        let (actor, key, postings, (kind, body)) = content;
        let mut deps: Vec<Dep> = deps.into_iter().map(|(op, hash)| Dep { op, hash }).collect();
        deps.sort_by_key(|dep| dep.op.stream);
        deps.dedup_by_key(|dep| dep.op.stream);
        deps.retain(|dep| dep.op.stream != stream);
        SealedOp::seal(Op {
            version: Version,
            stream,
            seq,
            prev,
            lamport,
            stamp,
            deps,
            actor,
            key,
            postings,
            kind,
            body,
        })
    })
}
