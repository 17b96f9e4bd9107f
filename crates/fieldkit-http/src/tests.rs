//! The crate over a loop of its own: the real rules in memory, nothing durable.

mod describing;
mod following;
mod guarding;
mod importing;
mod paying;
mod selling;
mod sharing;

use crate::desk::{
    Ask, Desk, DeviceShown, DeviceWish, Durability, Failure, Gain, Given, LinkState, OrderSelector, Shelf, Update,
    Verified,
};
use crate::guard::Policy;
use crate::pages::Page;
use crate::pictures::Pictures;
use crate::problem::CODES;
use crate::routes::router_with;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use ed25519_dalek::{Signer, SigningKey};
use fieldkit_core::body::{DeviceRole, Prices, ReplicaAdmitted, Seller, TaxRate};
use fieldkit_core::decide::{Command, Founding, Gate, NewEvent};
use fieldkit_core::event::EventState;
use fieldkit_core::id::{Hash, OpId, ReplicaKey, Space, StreamId, Zero};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Actor, Head};
use fieldkit_core::order::Order;
use fieldkit_core::stamp::ClockQuality;
use fieldkit_core::witness::Verdict;
use fieldkit_engine::{Answer, Asked, Engine, Input, Outcome, Output, Ticket};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use tokio::sync::broadcast;
use tower::ServiceExt;

/// 2026-11-20 12:00 in Berlin.
const NOON_MS: u64 = 1_795_172_400_000;

/// A kit in memory, and the way to it.
struct Kit {
    desk: Desk,
    router: Router,
}

/// What a request brought back.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Kit {
    fn new() -> Self {
        let (asks, inbox) = sync_channel(16);
        let (updates, _) = broadcast::channel(64);
        let desk = Desk { asks, updates: updates.clone() };
        std::thread::spawn(move || Loop::new(updates).run(&inbox));
        Kit::over(desk, Policy::loopback())
    }

    /// A kit whose loop is somebody else's.
    fn over(desk: Desk, policy: Policy) -> Self {
        let pages = vec![
            Page::new("index.html", b"<!doctype html><title>till</title>"),
            Page::new("assets/till-1a2b.js", b"export {}"),
        ];
        let router = router_with(desk.clone(), policy, Arc::new(OnePicture), pages);
        Kit { desk, router }
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.expect("a router cannot fail");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a whole body");
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let reply = Reply { status: parts.status, headers: parts.headers, text };
        reply.check_problem();
        reply
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(ask("GET", path).body(Body::empty()).expect("a request")).await
    }

    async fn write(&self, method: &str, path: &str, key: &str, body: &Value) -> Reply {
        let request = ask(method, path).header("idempotency-key", key).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).expect("a request")).await
    }

    /// A POST under a key of its own, made of its content.
    async fn post(&self, path: &str, body: &Value) -> Reply {
        let key = Hash::of(format!("{path} {body}").as_bytes()).hex()[..32].to_owned();
        self.write("POST", path, &key, body).await
    }

    /// Adds an item that costs EUR 10.00.
    async fn stock(&self, sku: &str, count: i64, more: Value) {
        let mut item = json!({"sku": sku, "name": format!("The {sku}"), "price": eur(1000), "count": count});
        merge(&mut item, more);
        let reply = self.post("/api/v1/items", &item).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    }
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn refused(&self, status: u16, code: &str) {
        let found = (self.status.as_u16(), self.json()["code"].as_str().unwrap_or_default().to_owned());
        assert_eq!(found, (status, code.to_owned()), "{}", self.text);
    }

    /// Whatever is no success is a whole problem with a code that is documented.
    fn check_problem(&self) {
        if self.status.as_u16() < 400 {
            return;
        }
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem = self.json();
        for member in ["type", "title", "code", "detail", "touched", "next_step"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {}", self.text);
        }
        assert_eq!(problem["status"], self.status.as_u16());
        let known = CODES.iter().any(|(code, status, _)| problem["code"] == *code && self.status == *status);
        assert!(known, "{}", self.text);
    }
}

fn ask(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "localhost:8080")
}

fn eur(minor: i64) -> Value {
    json!({"minor": minor, "currency": "EUR"})
}

fn merge(target: &mut Value, more: Value) {
    let (Value::Object(target), Value::Object(more)) = (target, more) else { panic!("two objects") };
    target.extend(more);
}

fn cash(lines: Value, tendered: i64) -> Value {
    json!({"lines": lines, "tenders": [{"kind": "cash", "amount": eur(tendered)}]})
}

/// One picture is at hand, another cannot be had.
struct OnePicture;

impl OnePicture {
    const BYTES: &'static [u8] = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
}

impl Pictures for OnePicture {
    fn fetch(&self, urls: Vec<String>) -> BoxFuture<'_, BTreeMap<String, Result<Hash, String>>> {
        let fetched = |url: String| {
            let good = url.ends_with("good.svg");
            let found = if good { Ok(Hash::of(OnePicture::BYTES)) } else { Err("there is no network".to_owned()) };
            (url, found)
        };
        Box::pin(std::future::ready(urls.into_iter().map(fetched).collect()))
    }
    fn open(&self, hash: Hash) -> BoxFuture<'_, Option<(Vec<u8>, &'static str)>> {
        let known = hash == Hash::of(OnePicture::BYTES);
        Box::pin(std::future::ready(known.then(|| (OnePicture::BYTES.to_vec(), "image/svg+xml"))))
    }
}

/// The loop: what the binary's does, without a disk.
struct Loop {
    engine: Engine,
    owner: OpId,
    updates: broadcast::Sender<Update>,
    asked: u64,
    devices: Vec<DeviceShown>,
}

impl Loop {
    fn new(updates: broadcast::Sender<Update>) -> Self {
        let key = SigningKey::from_bytes(&[7; 32]);
        let organisation = SigningKey::from_bytes(&[8; 32]);
        let replica = ReplicaKey(key.verifying_key().to_bytes());
        let rate = |id: &str, name: &str, ppm| TaxRate { id: id.into(), name: name.into(), ppm };
        let founding = Founding {
            name: "Stall".into(),
            organisation_key: organisation.verifying_key().to_bytes(),
            label: "kit-1".into(),
            proof: organisation.sign(&ReplicaAdmitted::signed_bytes(&replica, "kit-1")).to_bytes(),
            owner: Hash::of(b"owner"),
            event: NewEvent {
                name: "Market <b>day</b>".into(),
                zone: "Europe/Berlin".into(),
                day_cutover_minutes: 240,
                currency: "EUR".into(),
                seller: Seller { name: "Ada".into(), address: "Quay 1".into(), tax_id: String::new() },
                tax_rates: vec![rate("standard", "VAT 19 %", 190_000), rate("zero", "VAT 0 %", 0)],
                prices: Prices::Inclusive,
                training: false,
                clone_from: None,
            },
        };
        let mut engine = Engine::new(Ledger::default(), key, None);
        engine.found(&founding, NOON_MS, ClockQuality::System).expect("a good founding");
        engine.handle(Input::EndOfBatch);
        let owner = OpId { stream: StreamId::of(&replica, &Space::ORGANISATION), seq: 4 };
        let mut this = Loop { engine, owner, updates, asked: 0, devices: Vec::new() };
        this.pump();
        this
    }

    fn run(mut self, inbox: &Receiver<Ask>) {
        while let Ok(ask) = inbox.recv() {
            self.answer(ask);
        }
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Give { command, event, key, reply } => {
                self.asked += 1;
                // What terminals tell is the replica's own word; all else is the owner's.
                let told = matches!(command, Command::MovePayment { .. } | Command::RecordForeign { .. });
                let asked = Asked {
                    command,
                    event: event.or(self.open_event()),
                    actor: if told { Actor::Device(Zero) } else { Actor::Person(self.owner) },
                    key,
                    wall_ms: NOON_MS + self.asked,
                    quality: ClockQuality::System,
                };
                self.engine.handle(Input::Command(Ticket(self.asked), Box::new(asked)));
                let answer = self.pump().expect("every command is answered");
                if let Ok(Outcome::Device(_)) = &answer.result {
                    self.attach();
                }
                let _ = reply.send(given(answer));
            }
            Ask::Look(look) => look(&self.shelf()),
            Ask::Order { selector, reply } => {
                let _ = reply.send(self.order(&selector));
            }
            Ask::Orders { limit, before, reply } => {
                let older = |order: &&Arc<Order>| before.is_none_or(|before| order.order_id < before);
                let orders = self.engine.ledger().orders.values().rev().filter(older).take(limit as usize);
                let _ = reply.send(orders.map(|order| Order::clone(order)).collect());
            }
            Ask::Payments { limit, before, reply } => {
                let orders = self.engine.ledger().orders.values().rev();
                let ids = |order: &Arc<Order>| {
                    let listed = fieldkit_core::listing::listed(order).into_iter().rev();
                    listed.map(|payment| (payment.payment_id, Order::clone(order))).collect::<Vec<_>>()
                };
                let all: Vec<(String, Order)> = orders.flat_map(ids).collect();
                let from = match before {
                    None => Some(0),
                    Some(before) => all.iter().position(|(id, _)| *id == before).map(|at| at + 1),
                };
                let _ = reply.send(from.map(|from| all.into_iter().skip(from).take(limit as usize).collect()));
            }
            Ask::OrderOfRefund { refund, reply } => {
                let mut orders = self.engine.ledger().orders.values();
                let found = orders.find(|order| order.refunds.iter().any(|known| known.refund_id == refund));
                let _ = reply.send(found.map(|order| order.order_id));
            }
            Ask::Choose { event, reply } => {
                let _ = reply.send(self.open_event() == Some(event));
            }
            Ask::Export { .. } | Ask::Import { .. } | Ask::PageLeft { .. } => {}
            Ask::Witness { sighting: None, reply, .. } => drop(reply.send(Verdict::Agrees)),
            Ask::Witness { sighting: Some(sighting), reply, .. } => {
                let ledger = self.engine.ledger();
                let hash_at = |id: OpId| Some(ledger.head(&id.stream)).filter(|head| head.seq == id.seq);
                let (_, _, verdict) = self.engine.judge(&sighting, |id| hash_at(id).map(|head| head.hash));
                let _ = reply.send(verdict);
            }
            Ask::Device { device, wish, reply } => {
                let _ = reply.send(self.wish(device, wish));
            }
            Ask::Wake => {}
            Ask::Verify { reply } => {
                let heads: Vec<(StreamId, Head)> =
                    self.engine.ledger().streams.iter().map(|(id, stream)| (*id, stream.head)).collect();
                let ops = heads.iter().map(|(_, head)| head.seq).sum();
                let _ = reply.send(Verified { ops, heads, first_bad: None, digest: Some(Hash::of(b"state")) });
            }
        }
    }

    /// A device shows the wish that it was told last.
    fn wish(&mut self, device: OpId, wish: DeviceWish) -> bool {
        let Some(shown) = self.devices.iter_mut().find(|shown| shown.device == device) else { return false };
        let text = match wish {
            DeviceWish::Stop => "Stopped",
            DeviceWish::AskAgain => "Asked",
        };
        shown.text = Some(text.to_owned());
        // Nobody may be following.
        let _ = self.updates.send(Update::Device(device));
        true
    }

    /// Attaches the terminals that were accepted.
    fn attach(&mut self) {
        let accepted = self.engine.ledger().devices_of(self.engine.replica(), DeviceRole::Terminal);
        let shown = |(device, known): (OpId, &fieldkit_core::device::Device)| DeviceShown {
            device,
            role: "terminal",
            label: known.body.label.clone(),
            url: "zvt+tcp://127.0.0.1:20007".to_owned(),
            link: LinkState::Ready,
            trouble: None,
            payment: None,
            text: None,
        };
        self.devices = accepted.map(shown).collect();
    }

    /// Runs the engine until it rests.
    fn pump(&mut self) -> Option<Answer> {
        let mut answered = None;
        self.engine.handle(Input::EndOfBatch);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Load(load) => {
                    self.engine.handle(Input::Loaded { ticket: load.ticket, answered: None, orders: Vec::new() });
                    self.engine.handle(Input::EndOfBatch);
                }
                Output::Append(_) => self.engine.handle(Input::Synced),
                Output::Reply(_, answer) => answered = Some(*answer),
                Output::Payments(_) | Output::Device(..) | Output::Decide(..) | Output::Tell(..) | Output::Refold => {}
                Output::Project(projection) => {
                    let stock = projection.items.into_iter().map(|(event, sku)| Update::Stock { event, sku });
                    let orders = projection.orders.into_iter().map(Update::Order);
                    for update in stock.chain(orders) {
                        // Nobody may be following.
                        let _ = self.updates.send(update);
                    }
                }
            }
        }
        answered
    }

    fn open_event(&self) -> Option<OpId> {
        let mut events = self.engine.ledger().events.iter().rev();
        events.find(|(_, event)| event.state() == EventState::Open).map(|(id, _)| *id)
    }

    fn shelf(&self) -> Shelf<'_> {
        Shelf {
            ledger: self.engine.ledger(),
            replica: self.engine.replica(),
            kit: "kit-1",
            event: self.open_event(),
            stream: self.engine.newest_stream(),
            durability: Durability::OnThisKit,
            gate: Gate::Open,
            leases: self.open_event().map(|event| self.engine.leases(event)).unwrap_or_default(),
            black_box: "off",
            box_same_medium: false,
            safe_mode: false,
            clock_quality: "system",
            now_ms: NOON_MS,
            notices: &[],
            devices: &self.devices,
            receipt_token: &|order| order.receipt().map(|(_, number)| format!("TOKEN {number}")),
        }
    }

    fn order(&self, selector: &OrderSelector) -> Option<Order> {
        let orders = &self.engine.ledger().orders;
        match selector {
            OrderSelector::Id(id) => orders.get(id).map(|order| Order::clone(order)),
            OrderSelector::Receipt { series, number } => {
                let own = self.engine.newest_stream().series();
                let series = series.as_ref().unwrap_or(&own);
                let named = |order: &&Arc<Order>| {
                    order.receipt().is_some_and(|(stream, found)| (stream.series(), found) == (series.clone(), *number))
                };
                orders.values().find(named).map(|order| Order::clone(order))
            }
        }
    }
}

fn given(answer: Answer) -> Given {
    let result = match answer.result {
        Ok(Outcome::Order(order)) => Ok(Gain::Order(order)),
        Ok(Outcome::Item(sku)) => Ok(Gain::Item(sku)),
        Ok(Outcome::Imported(done)) => Ok(Gain::Imported(done)),
        Ok(Outcome::Drawer) => Ok(Gain::Drawer),
        Ok(Outcome::Event(id)) => Ok(Gain::Event(id)),
        Ok(Outcome::Device(id)) => Ok(Gain::Device(id)),
        Ok(Outcome::Foreign(id)) => Ok(Gain::Foreign(id)),
        Ok(Outcome::Rights) => Ok(Gain::Rights),
        Err(refusal) => Err(Failure::Refused(refusal)),
    };
    Given { result, repeated: answer.repeated, durability: Durability::OnThisKit }
}
