//! One way to ask a kit, whether its daemon runs or not.
//!
//! Promises: where a daemon holds the data directory, requests go to it over its UNIX socket; else the same router is
//! asked in this process. Every wait has a deadline. A write whose answer did not come is an unknown outcome, never a
//! failure; a question that was not answered changed nothing.
//! Absent on purpose: retries with a new key.

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::{Method, Request, StatusCode};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tower::ServiceExt;

/// The socket's name in the data directory.
pub const SOCKET: &str = "fieldkit.sock";
/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// How long an answer is waited for: longer than the kit itself waits, so that its own words arrive.
pub const ANSWER_SECONDS_MAX: u64 = fieldkit_http::ANSWER_SECONDS_MAX + 5;
/// The same for a catalogue file.
pub const IMPORT_SECONDS_MAX: u64 = fieldkit_http::IMPORT_SECONDS_MAX + 5;
/// The same for a check of everything.
pub const VERIFY_SECONDS_MAX: u64 = fieldkit_http::VERIFY_SECONDS_MAX + 5;

/// A kit that can be asked.
pub enum Client {
    /// Over the daemon's socket.
    Socket(std::path::PathBuf),
    /// In this process.
    Here(Box<Router>),
}

/// The answer of a kit.
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// The document; text where it was no JSON.
    pub body: Value,
}

/// A write whose outcome is not known.
#[derive(Debug)]
pub struct OutcomeUnknown {
    /// The key to ask again with.
    pub key: String,
}

impl std::fmt::Display for OutcomeUnknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the kit stopped answering; it is not known whether this was recorded")
    }
}

impl std::error::Error for OutcomeUnknown {}

/// A kit that did not answer in time.
#[derive(Debug)]
pub struct NoAnswer {
    seconds: u64,
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the kit did not answer within {} s", self.seconds)
    }
}

impl std::error::Error for NoAnswer {}

impl Client {
    /// The daemon's socket in `data`, where one listens, answering or not.
    pub async fn daemon(data: &Path) -> Option<Self> {
        let path = data.join(SOCKET);
        match tokio::net::UnixStream::connect(&path).await {
            Ok(_) => Some(Client::Socket(path)),
            // Somebody listens, and so many wait already that the system lets nobody else in.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Some(Client::Socket(path)),
            Err(_) => None,
        }
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.get_within(path, ANSWER_SECONDS_MAX).await
    }

    /// Reads what may take longer.
    pub async fn get_within(&self, path: &str, seconds: u64) -> Result<Reply> {
        let request = Request::builder().method(Method::GET).uri(path).header("host", "localhost");
        self.send(request.body(Body::empty())?, seconds).await
    }

    /// Says what was seen: a question with a body, which needs no key.
    pub async fn tell(&self, path: &str, body: &Value) -> Result<Reply> {
        let request = Request::builder().method(Method::POST).uri(path).header("host", "localhost");
        let request = request.header("content-type", "application/json").body(Body::from(serde_json::to_vec(body)?))?;
        self.send(request, ANSWER_SECONDS_MAX).await
    }

    /// Writes JSON under `key`.
    pub async fn write(&self, method: Method, path: &str, key: &str, body: &Value) -> Result<Reply> {
        let bytes = serde_json::to_vec(body)?;
        let request = keyed(method, path, key, "application/json", bytes)?;
        self.send_keyed(request, key, ANSWER_SECONDS_MAX).await
    }

    /// Writes a catalogue file under `key`.
    pub async fn write_csv(&self, path: &str, key: &str, bytes: Vec<u8>) -> Result<Reply> {
        let request = keyed(Method::POST, path, key, "text/csv", bytes)?;
        self.send_keyed(request, key, IMPORT_SECONDS_MAX).await
    }

    /// Reads a file.
    pub async fn get_file(&self, path: &str, seconds: u64) -> Result<(StatusCode, axum::body::Bytes)> {
        let request = Request::builder().method(Method::GET).uri(path).header("host", "localhost");
        self.send_for_bytes(request.body(Body::empty())?, seconds).await
    }

    /// Hands a file over that may be handed over again.
    pub async fn tell_file(&self, path: &str, bytes: Vec<u8>, seconds: u64) -> Result<Reply> {
        let request = Request::builder().method(Method::POST).uri(path).header("host", "localhost");
        let request = request.header("content-type", "application/octet-stream").body(Body::from(bytes))?;
        self.send(request, seconds).await
    }

    async fn send_keyed(&self, request: Request<Body>, key: &str, seconds: u64) -> Result<Reply> {
        self.send(request, seconds).await.map_err(|error| match error.downcast_ref::<Unsent>() {
            Some(_) => error,
            None => error.context(OutcomeUnknown { key: key.to_owned() }),
        })
    }

    async fn send(&self, request: Request<Body>, seconds: u64) -> Result<Reply> {
        let (status, bytes) = self.send_for_bytes(request, seconds).await?;
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        Ok(Reply { status, body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()) })
    }

    async fn send_for_bytes(&self, request: Request<Body>, seconds: u64) -> Result<(StatusCode, axum::body::Bytes)> {
        let sent = tokio::time::timeout(Duration::from_secs(seconds), self.exchange(request)).await;
        sent.unwrap_or_else(|_| Err(NoAnswer { seconds }.into()))
    }

    async fn exchange(&self, request: Request<Body>) -> Result<(StatusCode, axum::body::Bytes)> {
        match self {
            Client::Here(router) => {
                let answer = router.as_ref().clone().oneshot(request).await?;
                Ok((answer.status(), axum::body::to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await?))
            }
            Client::Socket(path) => {
                let stream = tokio::net::UnixStream::connect(path).await.map_err(|error| {
                    anyhow::Error::new(Unsent).context(format!("cannot reach the kit at {}: {error}", path.display()))
                })?;
                let io = hyper_util::rt::TokioIo::new(stream);
                let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
                tokio::spawn(connection);
                let answer = sender.send_request(request).await.context("the kit did not answer")?;
                let status = answer.status();
                Ok((status, answer.into_body().collect().await.context("the answer broke off")?.to_bytes()))
            }
        }
    }
}

fn keyed(method: Method, path: &str, key: &str, kind: &str, bytes: Vec<u8>) -> Result<Request<Body>> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", kind)
        .header("content-length", bytes.len())
        .header("idempotency-key", key);
    Ok(request.body(Body::from(bytes))?)
}

/// Nothing of the request left this process.
#[derive(Debug)]
struct Unsent;

impl std::fmt::Display for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nothing was sent")
    }
}

impl std::error::Error for Unsent {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kit_that_never_answers_leaves_a_write_unknown_and_a_question_unanswered() {
        let home = tempfile::tempdir().expect("a directory");
        assert!(Client::daemon(home.path()).await.is_none(), "nobody listens");
        // Connections are taken by the system, and nobody reads from them: so a stopped process looks.
        let _listener = tokio::net::UnixListener::bind(home.path().join(SOCKET)).expect("a socket");
        let client = Client::daemon(home.path()).await.expect("somebody listens");
        let asked = client.get_within("/api/v1/status", 0).await.err().expect("no answer");
        assert_eq!(asked.to_string(), "the kit did not answer within 0 s");
        let request = keyed(Method::POST, "/api/v1/orders", "k1", "application/json", vec![]).expect("a request");
        let written = client.send_keyed(request, "k1", 0).await.err().expect("no answer");
        let unknown = written.downcast_ref::<OutcomeUnknown>().expect("it may have been recorded");
        assert_eq!(unknown.key, "k1");
        assert!(written.downcast_ref::<NoAnswer>().is_some(), "{written:?}");
    }

    #[tokio::test]
    async fn a_kit_that_nobody_can_reach_was_sent_nothing() {
        let home = tempfile::tempdir().expect("a directory");
        let client = Client::Socket(home.path().join(SOCKET));
        let written = client.write(Method::POST, "/api/v1/orders", "k1", &Value::Null).await.err().expect("no kit");
        assert!(written.downcast_ref::<OutcomeUnknown>().is_none(), "{written:?}");
    }
}
