//! What changes, as it changes: server-sent events.
//!
//! Promises: a page that follows sees the status first and then every change, at the latest after `INTERVAL_MS`; many
//! changes of one item become one; a page that fell behind is told to read again.
//! Absent on purpose: history. What a page missed it reads from the API.

use crate::desk::{Ask, Closed, Desk, PageId, Shelf, Update};
use crate::extract::Asked;
use crate::problem::Problem;
use crate::shop::{Shop, Watchers};
use crate::{render, wire};
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use fieldkit_core::body::PaymentTender;
use fieldkit_core::id::{OpId, StreamId};
use fieldkit_core::order::Order;
use futures_util::stream::{self, Stream};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::Instant;

/// Between two looks for one page.
const INTERVAL_MS: u64 = 50;
/// Between two comments that keep the connection alive.
const KEEP_ALIVE_SECONDS: u64 = 15;

/// Follow changes
///
/// Server-sent events: `status` (as `GET /status`, first and on each change), `head`, `stock` (`StockUpdate`), `order`
/// (`OrderUpdate`), `device` (`Device`), `remember` (`Remember`), `catalog` and `drawer` (read again). After a reconnect read items, drawer and status again.
#[utoipa::path(get, path = "/api/v1/updates", operation_id = "updates", tag = "kit", params(wire::FollowQuery),
    responses((status = 200, description = "A stream of server-sent events", content_type = "text/event-stream",
        body = String), Problem))]
pub async fn updates(
    State(shop): State<Shop>,
    Asked(query): Asked<wire::FollowQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + Send>, Problem> {
    let page = super::checks::page_id(query.page.as_deref())?;
    let permit = shop.followers.clone().try_acquire_owned().map_err(|_| Problem::closed(Closed::Busy))?;
    let follower = Follower {
        updates: shop.desk.updates.subscribe(),
        watching: page.map(|page| Watching::begin(page, &shop)),
        shop,
        news: News { status: true, ..News::default() },
        events: VecDeque::new(),
        head: None,
        next_look: Instant::now(),
        _permit: permit,
    };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    let alive = KeepAlive::new().interval(Duration::from_secs(KEEP_ALIVE_SECONDS));
    Ok(Sse::new(events).keep_alive(alive))
}

/// A page that watches; once it is gone the kit hears of it.
struct Watching {
    page: PageId,
    desk: Desk,
    all: Watchers,
}

impl Watching {
    fn begin(page: PageId, shop: &Shop) -> Self {
        shop.watchers.begin(page);
        Watching { page, desk: shop.desk.clone(), all: shop.watchers.clone() }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if self.all.end(self.page) {
            // A kit that is too busy to hear it finds out when the page does not answer.
            let _ = self.desk.ask(Ask::PageLeft { page: self.page });
        }
    }
}

/// One page that follows.
struct Follower {
    shop: Shop,
    updates: broadcast::Receiver<Update>,
    watching: Option<Watching>,
    news: News,
    events: VecDeque<Event>,
    /// The head sent last.
    head: Option<wire::Head>,
    next_look: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next event; `None` when the kit stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.news.is_empty() {
                match self.updates.recv().await {
                    Ok(update) => self.hear(update),
                    Err(RecvError::Lagged(_)) => self.news.everything(),
                    Err(RecvError::Closed) => return None,
                }
            }
            // The pace of one page: however many sales there are, it looks twenty times a second at most.
            tokio::time::sleep_until(self.next_look).await;
            self.drain();
            if self.news.stopping {
                return None;
            }
            self.look().await?;
        }
    }

    /// Takes an update in; what another page is to remember is none of this one's.
    fn hear(&mut self, update: Update) {
        match update {
            Update::Remember { page, .. } if self.watching.as_ref().is_none_or(|own| own.page != page) => {}
            update => self.news.add(update),
        }
    }

    /// Takes all that waits, so that one look serves it.
    fn drain(&mut self) {
        loop {
            match self.updates.try_recv() {
                Ok(update) => self.hear(update),
                Err(TryRecvError::Lagged(_)) => self.news.everything(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Turns the news into events. A busy loop is asked again later; the news stay.
    async fn look(&mut self) -> Option<()> {
        let news = self.news.clone();
        let seen = self.shop.desk.look(move |shelf| news.seen(shelf));
        match seen.await {
            Ok(seen) => {
                self.news = News::default();
                self.tell(seen);
            }
            Err(Closed::Busy) => {}
            Err(Closed::Ended) => return None,
        }
        self.next_look = Instant::now() + Duration::from_millis(INTERVAL_MS);
        Some(())
    }

    fn tell(&mut self, seen: Sights) {
        let said = |name: &str, text: String| Event::default().event(name).data(text);
        self.events.extend(seen.events.into_iter().map(|(name, text)| said(name, text)));
        if self.head.as_ref() != Some(&seen.head) {
            self.events.push_back(said("head", json(&seen.head)));
            self.head = Some(seen.head);
        }
    }
}

/// What changed since the last look.
#[derive(Clone, Default)]
struct News {
    stock: BTreeSet<(OpId, String)>,
    orders: BTreeMap<OpId, Arc<Order>>,
    devices: BTreeSet<OpId>,
    remember: BTreeMap<StreamId, wire::Remember>,
    catalogue: bool,
    drawer: bool,
    status: bool,
    stopping: bool,
}

impl News {
    fn add(&mut self, update: Update) {
        match update {
            Update::Stock { event, sku } => {
                self.stock.insert((event, sku));
            }
            Update::Order(order) => {
                // What is not known about a card is among the notices.
                self.status |= order.payments.iter().any(|payment| payment.tender == PaymentTender::Card);
                self.orders.insert(order.order_id, order);
            }
            Update::Remember { page, stream, from, to } => {
                let remember = wire::Remember {
                    page: page.text(),
                    stream: stream.text(),
                    from_seq: from.seq,
                    from_hash: from.hash.hex(),
                    seq: to.seq,
                    hash: to.hash.hex(),
                };
                self.remember.insert(stream, remember);
            }
            Update::Device(device) => {
                self.devices.insert(device);
            }
            Update::Catalogue => self.catalogue = true,
            Update::Drawer => self.drawer = true,
            Update::Status => self.status = true,
            Update::Stopping => self.stopping = true,
        }
    }

    /// Some updates were lost: the page must read everything again.
    fn everything(&mut self) {
        self.stock.clear();
        (self.catalogue, self.drawer, self.status) = (true, true, true);
    }

    fn is_empty(&self) -> bool {
        let News { stock, orders, devices, remember, catalogue, drawer, status, stopping } = self;
        let none = stock.is_empty() && orders.is_empty() && devices.is_empty() && remember.is_empty();
        none && !(*catalogue || *drawer || *status || *stopping)
    }

    /// What the page is told.
    fn seen(&self, shelf: &Shelf<'_>) -> Sights {
        // First, because a buyer waits for it.
        let mut events: Vec<_> = self.remember.values().map(|remember| ("remember", json(remember))).collect();
        if self.status {
            events.push(("status", json(&render::status(shelf))));
        }
        if self.catalogue {
            events.push(("catalog", "{}".to_owned()));
        }
        for (_, sku) in self.stock.iter().filter(|(event, _)| Some(*event) == shelf.event) {
            events.extend(render::stock(shelf, sku).map(|stock| ("stock", json(&stock))));
        }
        if self.drawer {
            events.push(("drawer", "{}".to_owned()));
        }
        for device in shelf.devices.iter().filter(|shown| self.devices.contains(&shown.device)) {
            events.push(("device", json(&render::device(device))));
        }
        for order in self.orders.values() {
            events.push(("order", json(&render::order_update(order))));
        }
        Sights { events, head: render::head(shelf) }
    }
}

/// What one look brought.
struct Sights {
    events: Vec<(&'static str, String)>,
    head: wire::Head,
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned())
}
