//! What is refused, each with its words: strangers, ops without a signature, other organisations, broken rules.

use crate::merge::heal;
use crate::stall::{Kit, Stall, organisation};
use ed25519_dalek::SigningKey;
use fieldkit_core::author::Draft;
use fieldkit_core::body::{Body, Edit, ItemDefined};
use fieldkit_core::id::{Hash, Space, StreamId, Zero};
use fieldkit_core::op::{Op, SealedOp};
use fieldkit_sync::fault::{Close, Farewell, Fault};
use fieldkit_sync::intake::Take;
use fieldkit_sync::session::{Input, Output, Session, Terms};
use fieldkit_sync::shelf::Shelf;
use fieldkit_sync::tip::{Mark, Scope, Tip};
use fieldkit_sync::wire::{self, Batch, Hello, Lack, Message};
use std::error::Error;

/// A peer that says what it likes to a session of `kit`.
struct Liar<'a> {
    kit: &'a Kit,
    session: Session,
    said: u64,
    heard: u64,
    takes: Vec<Take>,
    close: Option<Close>,
}

impl<'a> Liar<'a> {
    fn new(kit: &'a Kit, terms: Terms) -> Self {
        let session = Session::new(terms, &kit.shelf);
        Liar { kit, session, said: 0, heard: 0, takes: Vec::new(), close: None }
    }

    fn greeted(kit: &'a Kit) -> Self {
        let mut liar = Liar::new(kit, Terms::whole(kit.author.replica));
        liar.say(&hello(kit.shelf.organisation()));
        liar
    }

    /// Says something; gives back what the session answers.
    fn say(&mut self, message: &Message) -> Vec<Message> {
        let frame = wire::frame(self.said, message);
        self.said += 1;
        self.raw(frame)
    }

    fn raw(&mut self, frame: Vec<u8>) -> Vec<Message> {
        self.session.handle(Input::Frame(frame), &self.kit.shelf);
        let mut heard = Vec::new();
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Frame(bytes) => {
                    heard.push(wire::open(&bytes, self.heard).expect("a session writes frames that can be read"));
                    self.heard += 1;
                }
                Output::Take(take) => self.takes.push(take),
                Output::Closed(close) => self.close = Some(close),
                Output::Forked { .. } | Output::OwnAhead { .. } | Output::PeerHolds { .. } => {}
            }
        }
        heard
    }

    /// Tells the ends of `of`, and brings `ops` as all of it.
    fn bring(&mut self, tips: Vec<Tip>, ops: &[SealedOp]) {
        let wanted = self.say(&Message::Tips(tips));
        assert!(matches!(wanted.first(), Some(Message::Want(_))), "{wanted:?}");
        let ops = ops.iter().map(|op| op.bytes.clone()).collect();
        self.say(&Message::Ops(Batch { ops, heads: vec![], last: true }));
    }

    fn fault(&self) -> Fault {
        match &self.close {
            Some(Close::Fault(fault)) => fault.clone(),
            other => panic!("the session did not find a fault: {other:?}"),
        }
    }
}

fn hello(organisation: [u8; 32]) -> Message {
    let replica = fieldkit_core::id::ReplicaKey([3; 32]);
    Message::Hello(Hello { organisation, replica, digest: [0; 16] })
}

fn item(kit: &mut Kit, event: fieldkit_core::id::OpId, sku: &str) -> Vec<SealedOp> {
    let body = ItemDefined { sku: sku.to_owned(), edits: vec![Edit::Price(1)], import_mark: None };
    kit.write(vec![Draft::new(Space::Event(event), Body::ItemDefined(body))])
}

/// Kit 1 knows all that kit 0 knew; kit 0 has written more since, and signed it.
fn ahead() -> (Stall, Vec<SealedOp>, Vec<Tip>) {
    let mut stall = Stall::new(2);
    heal(&mut stall, 1);
    let event = stall.events[0];
    let mut ops = item(&mut stall.kits[0], event, "A");
    ops.extend(item(&mut stall.kits[0], event, "B"));
    stall.sign(0);
    let stream = ops[0].op.stream;
    let tips = stall.kits[0].shelf.tips().into_iter().filter(|tip| tip.stream() == stream).collect();
    (stall, ops, tips)
}

#[test]
fn signed_ops_of_an_admitted_author_are_taken() {
    let (stall, ops, tips) = ahead();
    let mut liar = Liar::greeted(&stall.kits[1]);
    liar.bring(tips.clone(), &ops);
    assert_eq!(liar.close, None);
    assert_eq!(liar.takes, vec![Take { ops, heads: tips, ..Take::default() }]);
}

#[test]
fn ops_behind_the_signed_end_are_not_taken() {
    let (mut stall, mut ops, tips) = ahead();
    let event = stall.events[0];
    let signed = ops.clone();
    ops.extend(item(&mut stall.kits[0], event, "C"));
    let mut liar = Liar::greeted(&stall.kits[1]);
    liar.bring(tips, &ops);
    // What is signed goes; what is not keeps the talk from ending well.
    assert_eq!(liar.takes.iter().flat_map(|take| take.ops.clone()).collect::<Vec<_>>(), signed);
    let mut kit = stall.kits[1].clone();
    kit.take(&liar.takes[0], true);
    liar.session.handle(Input::Stored, &kit.shelf);
    let outputs: Vec<Output> = std::iter::from_fn(|| liar.session.poll_output()).collect();
    assert!(outputs.contains(&Output::Closed(Close::Fault(Fault::Unsigned(1)))), "{outputs:?}");
}

#[test]
fn a_changed_op_is_not_taken() {
    let (stall, ops, tips) = ahead();
    for at in 0..ops.len() {
        let mut changed = ops.clone();
        let op = Op { kind: 60_000, ..changed[at].op.clone() };
        changed[at] = SealedOp::seal(op);
        let mut liar = Liar::greeted(&stall.kits[1]);
        liar.bring(tips.clone(), &changed);
        assert!(matches!(liar.fault(), Fault::Gap(_) | Fault::Unsigned(_) | Fault::Unbound(_)), "{:?}", liar.fault());
        assert!(liar.takes.is_empty());
    }
}

#[test]
fn ends_that_are_not_signed_by_their_author_are_refused() {
    let (stall, _, mut tips) = ahead();
    tips[0].signature = tips[0].head.sign(&tips[0].stream(), &stall.kits[1].key);
    let mut liar = Liar::greeted(&stall.kits[1]);
    liar.say(&Message::Tips(tips));
    assert!(matches!(liar.fault(), Fault::Signature { .. }));
    // Nor is an end before the first op.
    let (_, _, mut tips) = ahead();
    tips[0].head = fieldkit_core::op::Head::default();
    tips[0].signature = tips[0].head.sign(&tips[0].stream(), &stall.kits[0].key);
    let mut liar = Liar::greeted(&stall.kits[1]);
    liar.say(&Message::Tips(tips));
    assert!(matches!(liar.fault(), Fault::Signature { seq: 0, .. }));
}

/// A kit that nobody admitted, with all that kit 0 knows.
fn stranger(stall: &Stall) -> (Kit, Vec<SealedOp>, Vec<Tip>) {
    let mut stranger = Kit::new(77, &organisation());
    let log = stall.kits[0].shelf.ops().to_vec();
    stranger.take(&Take { ops: log, heads: stall.kits[0].shelf.tips(), ..Take::default() }, true);
    let ops = item(&mut stranger, stall.events[0], "X");
    stranger.sign();
    let replica = stranger.author.replica;
    let tips = stranger.shelf.tips().into_iter().filter(|tip| tip.replica == replica).collect();
    (stranger, ops, tips)
}

#[test]
fn strangers_ops_are_not_taken() {
    let mut stall = Stall::new(2);
    heal(&mut stall, 1);
    let (stranger, ops, tips) = stranger(&stall);
    let mut liar = Liar::greeted(&stall.kits[1]);
    liar.bring(tips, &ops);
    assert_eq!(liar.fault(), Fault::Stranger(stranger.author.replica));
    assert!(liar.takes.is_empty());
}

#[test]
fn a_stranger_cannot_admit_itself() {
    let mut stall = Stall::new(2);
    heal(&mut stall, 1);
    let (mut stranger, mut ops, _) = stranger(&stall);
    let admission = stranger.admission(stranger.author.replica, "me");
    ops.extend(stranger.write(vec![admission]));
    stranger.sign();
    let replica = stranger.author.replica;
    let tips = stranger.shelf.tips().into_iter().filter(|tip| tip.replica == replica).collect();
    let mut liar = Liar::greeted(&stall.kits[1]);
    liar.bring(tips, &ops);
    assert_eq!(liar.fault(), Fault::Stranger(replica));
    assert!(liar.takes.is_empty());
}

#[test]
fn an_admission_that_comes_along_lets_its_replica_in() {
    let mut stall = Stall::new(2);
    heal(&mut stall, 1);
    let (stranger, theirs, mut tips) = stranger(&stall);
    let admission = stall.kits[0].admission(stranger.author.replica, "late");
    let admitted = stall.kits[0].write(vec![admission]);
    stall.sign(0);
    let stream = admitted[0].op.stream;
    tips.extend(stall.kits[0].shelf.tips().into_iter().filter(|tip| tip.stream() == stream));
    let mut liar = Liar::greeted(&stall.kits[1]);
    liar.bring(tips, &[admitted, theirs].concat());
    assert_eq!(liar.close, None);
    assert_eq!(liar.takes.iter().map(|take| take.ops.len()).sum::<usize>(), 3);
}

#[test]
fn another_organisation_is_refused() {
    let stall = Stall::new(1);
    let other = SigningKey::from_bytes(&[98; 32]).verifying_key().to_bytes();
    let mut liar = Liar::new(&stall.kits[0], Terms::whole(stall.kits[0].author.replica));
    let heard = liar.say(&hello(other));
    assert_eq!(liar.fault(), Fault::Organisation);
    assert_eq!(heard.last(), Some(&Message::Bye(Farewell::Organisation)));
    let text = Close::Fault(Fault::Organisation);
    let cause = text.source().expect("a fault has its cause").to_string();
    assert_eq!(
        (text.to_string(), cause.as_str()),
        ("the exchange was given up".to_owned(), "the other side belongs to another organisation")
    );
    assert_eq!(
        Close::Peer(Farewell::Organisation).to_string(),
        "the other side ended the exchange: it belongs to another organisation"
    );
}

#[test]
fn frames_that_have_no_place_are_refused() {
    let (stall, ops, tips) = ahead();
    let kit = &stall.kits[1];
    let lack = |mark: Mark| Lack { stream: tips[0].stream(), tips: vec![mark], have: vec![] };
    let batch = |ops: Vec<Vec<u8>>, last| Message::Ops(Batch { ops, heads: vec![], last });
    for message in [
        hello(kit.shelf.organisation()),
        batch(vec![], true),
        Message::More(Zero),
        Message::Want(vec![lack(Mark { seq: 1, half: [0; 16] })]),
        Message::Seen(vec![u32::MAX]),
        Message::Seen(vec![1, 0]),
    ] {
        let mut liar = Liar::greeted(kit);
        liar.say(&message);
        assert!(matches!(liar.fault(), Fault::Unasked(_)), "{message:?}: {:?}", liar.close);
    }
    // Before the hello nothing has a place.
    let mut liar = Liar::new(kit, Terms::whole(kit.author.replica));
    liar.say(&Message::Alive(true));
    assert!(matches!(liar.fault(), Fault::Unasked(_)));
    // Two tellings at once, an empty batch that is not the last, and ops of streams that were not wanted.
    for after in [
        Message::Tips(tips.clone()),
        batch(vec![], false),
        batch(vec![stall.kits[0].shelf.ops()[0].bytes.clone()], true),
    ] {
        let mut liar = Liar::greeted(kit);
        liar.say(&Message::Tips(tips.clone()));
        liar.say(&after);
        assert!(matches!(liar.fault(), Fault::Unasked(_)), "{after:?}: {:?}", liar.close);
    }
    let mut liar = Liar::greeted(kit);
    liar.say(&Message::Tips(tips.clone()));
    liar.say(&batch(vec![vec![1, 2, 3]], true));
    assert!(matches!(liar.fault(), Fault::Op(_)));
    let mut liar = Liar::greeted(kit);
    liar.bring(tips.clone(), &[]);
    assert!(matches!(liar.fault(), Fault::NotBrought(_)));
    let mut liar = Liar::greeted(kit);
    liar.bring(tips, &ops[1..]);
    assert!(matches!(liar.fault(), Fault::Gap(_)));
}

#[test]
fn bad_frames_are_refused() {
    let stall = Stall::new(1);
    let kit = &stall.kits[0];
    let check = |frame: Vec<u8>, expected: Fault| {
        let mut liar = Liar::new(kit, Terms::whole(kit.author.replica));
        liar.raw(frame);
        assert_eq!(liar.fault(), expected);
        assert!(liar.session.is_closed());
    };
    let good = wire::frame(0, &hello(kit.shelf.organisation()));
    check(Vec::new(), Fault::Damaged);
    check(vec![wire::EXCHANGE_VERSION], Fault::Damaged);
    check(good[..good.len() - 1].to_vec(), Fault::Damaged);
    check([&[2], &good[1..]].concat(), Fault::Version(2));
    check(wire::frame(1, &hello(kit.shelf.organisation())), Fault::Sequence { expected: 0, found: 1 });
    check(vec![1; wire::FRAME_BYTES_MAX + 1], Fault::TooLong(wire::FRAME_BYTES_MAX + 1));
    let mut longer = wire::frame(0, &Message::Alive(false));
    longer.truncate(longer.len() - 8);
    longer.push(0);
    let sum = Hash::derived("fieldkit 2026-11 exchange frame", &longer);
    longer.extend(&sum.0[..8]);
    let mut liar = Liar::new(kit, Terms::whole(kit.author.replica));
    liar.raw(longer);
    assert!(matches!(liar.fault(), Fault::Malformed(_)));
}

#[test]
fn what_waits_for_a_signed_end_is_bounded() {
    let (stall, ops, tips) = ahead();
    let kit = &stall.kits[1];
    let bytes: usize = ops.iter().map(|op| op.bytes.len()).sum();
    for (bound, fits) in [(bytes, true), (bytes - 1, false)] {
        let terms = Terms { unproven_bytes_max: bound, ..Terms::whole(kit.author.replica) };
        let mut liar = Liar::new(kit, terms);
        liar.say(&hello(kit.shelf.organisation()));
        liar.bring(tips.clone(), &ops);
        match fits {
            true => assert_eq!(liar.close, None),
            false => assert_eq!(liar.fault(), Fault::Unproven(bytes)),
        }
    }
}

#[test]
fn earlier_signed_ends_let_ops_go_before_the_last_came() {
    let (stall, ops, tips) = ahead();
    let kit = &stall.kits[1];
    let author = &stall.kits[0];
    let first = &ops[0];
    let head = fieldkit_core::op::Head { seq: first.op.seq, hash: first.hash };
    let milestone = Tip { head, signature: head.sign(&first.op.stream, &author.key), ..tips[0].clone() };
    let mut liar = Liar::greeted(kit);
    liar.say(&Message::Tips(tips.clone()));
    let batch = Batch { ops: vec![first.bytes.clone()], heads: vec![milestone.clone()], last: false };
    assert_eq!(liar.say(&Message::Ops(batch.clone())), vec![], "the next batch waits until this one is durable");
    assert_eq!(liar.takes, vec![Take { ops: vec![first.clone()], heads: vec![milestone], ..Take::default() }]);
    // An end that the author did not sign is refused here as well.
    let mut liar = Liar::greeted(kit);
    liar.say(&Message::Tips(tips));
    let mut batch = batch;
    batch.heads[0].signature = [0; 64];
    liar.say(&Message::Ops(batch));
    assert!(matches!(liar.fault(), Fault::Signature { .. }));
}

#[test]
fn causes_that_come_after_what_they_caused_are_refused() {
    let mut stall = Stall::new(3);
    heal(&mut stall, 1);
    let event = stall.events[0];
    let before = stall.kits[2].clone();
    let first = item(&mut stall.kits[0], event, "A");
    stall.sign(0);
    heal(&mut stall, 2);
    let second = item(&mut stall.kits[1], event, "B");
    stall.sign(1);
    assert!(second.last().is_some_and(|op| op.op.deps.is_empty() || op.op.seq > 1));
    let stream: Vec<StreamId> = vec![first[0].op.stream, second[0].op.stream];
    let tips: Vec<Tip> = stall.kits[1].shelf.tips().into_iter().filter(|tip| stream.contains(&tip.stream())).collect();
    let mut liar = Liar::greeted(&before);
    liar.bring(tips.clone(), &[first.clone(), second.clone()].concat());
    assert_eq!(liar.close, None);
    let mut liar = Liar::greeted(&before);
    liar.bring(tips, &[second, first].concat());
    assert!(matches!(liar.fault(), Fault::Causes(_)), "{:?}", liar.close);
}

#[test]
fn nothing_goes_without_a_signed_end_of_its_own() {
    let mut stall = Stall::new(3);
    heal(&mut stall, 1);
    let event = stall.events[0];
    let before = stall.kits[2].clone();
    let mut theirs = item(&mut stall.kits[1], event, "A");
    let others = item(&mut stall.kits[0], event, "B");
    stall.sign(0);
    let known = stall.kits[0].shelf.tips();
    stall.kits[1].take(&Take { ops: others.clone(), heads: known, ..Take::default() }, true);
    theirs.extend(item(&mut stall.kits[1], event, "C"));
    stall.sign(1);
    assert!(!theirs[2].op.deps.is_empty(), "the third op was caused by the other kit's");
    let last = item(&mut stall.kits[0], event, "D");
    stall.sign(0);
    let of = |kit: usize| stall.kits[kit].shelf.tips().into_iter().filter(move |tip| tip.space != Space::ORGANISATION);
    let tips: Vec<Tip> = of(0).chain(of(1)).filter(|tip| tip.head.hash != others[1].hash).collect();
    assert_eq!(tips.len(), 2);
    let mut liar = Liar::greeted(&before);
    liar.say(&Message::Tips(tips));
    // One signed end came, but its op was caused by one whose signed end is still to come.
    let bytes = |ops: &[SealedOp]| ops.iter().map(|op| op.bytes.clone()).collect::<Vec<_>>();
    let ops = [bytes(&theirs[..2]), bytes(&others), bytes(&theirs[2..])].concat();
    liar.say(&Message::Ops(Batch { ops, heads: vec![], last: false }));
    assert!(liar.takes.is_empty(), "{:?}", liar.takes);
    liar.say(&Message::Ops(Batch { ops: bytes(&last), heads: vec![], last: true }));
    assert_eq!((liar.close.as_ref(), liar.takes.len()), (None, 1));
    assert_eq!((liar.takes[0].ops.len(), liar.takes[0].heads.len()), (6, 2));
}

#[test]
fn a_peer_of_one_event_gets_that_event_and_the_organisation() {
    let mut stall = Stall::new(2);
    heal(&mut stall, 1);
    let (one, two) = (stall.events[0], fieldkit_core::id::OpId { seq: 999, ..stall.events[0] });
    item(&mut stall.kits[0], one, "A");
    item(&mut stall.kits[0], two, "B");
    item(&mut stall.kits[0], one, "C");
    stall.sign(0);
    let scope = Scope::Spaces([Space::Event(one)].into());
    let terms = |kit: usize| Terms { scope: scope.clone(), ..Terms::whole(stall.kits[kit].author.replica) };
    let mut harm = |_| crate::line::Harm::None;
    let line = crate::line::Line::with(&stall, [0, 1], [terms(0), terms(1)], 3, &mut harm);
    let talk = line.play(&mut stall);
    assert!(talk.closes.is_empty(), "{talk:?}");
    let spaces =
        |kit: &Kit| kit.shelf.tips().iter().map(|tip| tip.space.clone()).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(spaces(&stall.kits[0]), [Space::ORGANISATION, Space::Event(one), Space::Event(two)].into());
    assert_eq!(spaces(&stall.kits[1]), [Space::ORGANISATION, Space::Event(one)].into());
    // Who does not accept a space does not want it, though the peer tells it.
    let whole = Terms::whole(stall.kits[0].author.replica);
    let mut harm = |_| crate::line::Harm::None;
    let narrow = Terms { scope: scope.clone(), ..Terms::whole(stall.kits[1].author.replica) };
    let talk = crate::line::Line::with(&stall, [0, 1], [whole, narrow], 3, &mut harm).play(&mut stall);
    assert!(talk.closes.is_empty() && talk.takes == 0, "{talk:?}");
}

#[test]
fn a_peer_that_is_silent_is_given_up() {
    let stall = Stall::new(1);
    let kit = &stall.kits[0];
    let mut session = Session::new(Terms::whole(kit.author.replica), &kit.shelf);
    session.handle(Input::Idle, &kit.shelf);
    assert!(!session.is_closed());
    session.handle(Input::Idle, &kit.shelf);
    let outputs: Vec<Output> = std::iter::from_fn(|| session.poll_output()).collect();
    assert_eq!(outputs.last(), Some(&Output::Closed(Close::Fault(Fault::Silent))));
    // After the end nothing leaves any more.
    session.handle(Input::Grew, &kit.shelf);
    session.handle(Input::Close, &kit.shelf);
    assert_eq!(session.poll_output(), None);
}

#[test]
fn whoever_asks_for_an_end_says_goodbye() {
    let stall = Stall::new(1);
    let kit = &stall.kits[0];
    let mut liar = Liar::greeted(kit);
    liar.session.handle(Input::Close, &kit.shelf);
    let heard = liar.raw(Vec::new());
    assert_eq!(heard.last(), Some(&Message::Bye(Farewell::Done)));
    assert_eq!(liar.close, Some(Close::Asked));
    let mut liar = Liar::greeted(kit);
    liar.say(&Message::Bye(Farewell::Done));
    assert_eq!(liar.close, Some(Close::Peer(Farewell::Done)));
}
