//! The shop as handlers see it: the desk, the pictures, and the waits with their deadlines.
//!
//! Promises: every wait has a deadline; a write that was not answered is never called refused.
//! Absent on purpose: retries. Whoever asks knows whether asking again is worth it.

use crate::desk::{Ask, Desk, Given, OrderSelector, PageId, Shelf};
use crate::pages::Page;
use crate::pictures::Pictures;
use crate::problem::{Problem, REPLAYED};
use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use fieldkit_core::decide::Command;
use fieldkit_core::id::OpId;
use fieldkit_core::op::CommandKey;
use fieldkit_core::order::Order;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// How long a command or a question may take.
pub const ANSWER_SECONDS_MAX: u64 = 10;
/// How long an import may take.
pub const IMPORT_SECONDS_MAX: u64 = 60;
/// How long a check of everything may take.
pub const VERIFY_SECONDS_MAX: u64 = 300;

/// What every handler holds.
#[derive(Clone)]
pub struct Shop {
    /// The way to the loop.
    pub desk: Desk,
    /// Pictures of items.
    pub pictures: Arc<dyn Pictures>,
    /// Whether a catalogue file may name pictures in this machine's files: over the socket only.
    pub local_files: bool,
    /// Files of the till page.
    pub pages: Arc<Vec<Page>>,
    /// Pages that may follow the updates.
    pub followers: Arc<Semaphore>,
    /// Pages that watch, and in how many tabs.
    pub watchers: Watchers,
}

/// Pages that watch, and in how many tabs: those of one browser share what they remember and are one page.
#[derive(Clone, Default)]
pub struct Watchers(Arc<Mutex<BTreeMap<PageId, u32>>>);

impl Watchers {
    /// A tab begins to follow.
    pub fn begin(&self, page: PageId) {
        *self.tabs().entry(page).or_default() += 1;
    }

    /// A tab is gone; whether it was the last of its page.
    pub fn end(&self, page: PageId) -> bool {
        let mut tabs = self.tabs();
        let left = tabs.get(&page).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            tabs.remove(&page)
        } else {
            tabs.insert(page, left)
        };
        left == 0
    }

    fn tabs(&self) -> MutexGuard<'_, BTreeMap<PageId, u32>> {
        // A count is whole whatever happened beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a command was answered before, and where its ops are.
#[derive(Clone, Copy)]
pub struct Done {
    /// Whether the key was answered before.
    pub repeated: bool,
    /// Where the ops are.
    pub durability: crate::desk::Durability,
}

impl Shop {
    /// Gives a command and waits until it is durable.
    pub async fn give(
        &self,
        command: Command,
        event: Option<OpId>,
        key: CommandKey,
        seconds_max: u64,
    ) -> Result<(crate::desk::Gain, Done), Problem> {
        let (reply, answer) = oneshot::channel();
        self.desk.ask(Ask::Give { command, event, key, reply }).map_err(Problem::closed)?;
        let answered = tokio::time::timeout(Duration::from_secs(seconds_max), answer).await;
        let Ok(Ok(Given { result, repeated, durability })) = answered else { return Err(Problem::outcome_unknown()) };
        match result {
            Ok(gain) => Ok((gain, Done { repeated, durability })),
            Err(failure) => Err(Problem::failed(&failure).replayed(repeated)),
        }
    }

    /// Looks at the durable state.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shelf<'_>) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        match tokio::time::timeout(Duration::from_secs(ANSWER_SECONDS_MAX), self.desk.look(look)).await {
            Ok(seen) => seen.map_err(Problem::closed),
            Err(_) => Err(Problem::too_slow()),
        }
    }

    /// Looks at what a write that was recorded has made.
    pub async fn show<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shelf<'_>) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.look(look).await.map_err(|_| Problem::shown_later())
    }

    /// Asks a question that has an answer channel of its own.
    pub async fn ask<T>(&self, seconds_max: u64, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.desk.ask(ask(reply)).map_err(Problem::closed)?;
        match tokio::time::timeout(Duration::from_secs(seconds_max), answer).await {
            Ok(Ok(answer)) => Ok(answer),
            // An answer that was dropped: the kit has stopped, or lives and could not read what was asked for.
            Ok(Err(_)) => Err(self.look(|_| ()).await.err().unwrap_or_else(Problem::not_readable)),
            Err(_) => Err(Problem::too_slow()),
        }
    }

    /// One order.
    pub async fn order(&self, selector: OrderSelector) -> Result<Option<Order>, Problem> {
        self.ask(ANSWER_SECONDS_MAX, |reply| Ask::Order { selector, reply }).await
    }
}

/// The answer to a write.
pub struct Answer<T> {
    /// 200 or 201.
    pub status: StatusCode,
    /// What was achieved.
    pub body: T,
    /// Whether the key was answered before.
    pub repeated: bool,
}

impl<T: Serialize> Answer<T> {
    /// Something new stands there.
    pub fn created(body: T, done: Done) -> Self {
        Answer { status: StatusCode::CREATED, body, repeated: done.repeated }
    }
    /// Something is as it was asked to be.
    pub fn done(body: T, done: Done) -> Self {
        Answer { status: StatusCode::OK, body, repeated: done.repeated }
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.repeated {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
