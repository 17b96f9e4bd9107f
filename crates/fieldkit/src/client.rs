//! One way to ask a kit, whether its daemon runs or not.
//!
//! Promises: where a daemon holds the data directory, requests go to it over its UNIX socket; else the same router is
//! asked in this process. A connection that breaks after a write was sent is an unknown outcome, never a failure.
//! Absent on purpose: retries with a new key.

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::{Method, Request, StatusCode};
use serde_json::Value;
use std::path::Path;
use tower::ServiceExt;

/// The socket's name in the data directory.
pub const SOCKET: &str = "fieldkit.sock";
/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 30;

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
        write!(f, "the kit stopped answering; it is not known whether this was recorded")
    }
}

impl std::error::Error for OutcomeUnknown {}

impl Client {
    /// The daemon's socket in `data`, where one listens.
    pub fn daemon(data: &Path) -> Option<Self> {
        let path = data.join(SOCKET);
        std::os::unix::net::UnixStream::connect(&path).ok().map(|_| Client::Socket(path))
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        let request = Request::builder().method(Method::GET).uri(path).header("host", "localhost");
        self.send(request.body(Body::empty())?).await
    }

    /// Writes JSON under `key`.
    pub async fn write(&self, method: Method, path: &str, key: &str, body: &Value) -> Result<Reply> {
        let bytes = serde_json::to_vec(body)?;
        self.write_bytes(method, path, key, "application/json", bytes).await
    }

    /// Writes bytes under `key`.
    pub async fn write_bytes(
        &self,
        method: Method,
        path: &str,
        key: &str,
        kind: &str,
        bytes: Vec<u8>,
    ) -> Result<Reply> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", kind)
            .header("content-length", bytes.len())
            .header("idempotency-key", key);
        let request = request.body(Body::from(bytes))?;
        self.send(request).await.map_err(|error| match error.downcast_ref::<Unsent>() {
            Some(_) => error,
            None => error.context(OutcomeUnknown { key: key.to_owned() }),
        })
    }

    async fn send(&self, request: Request<Body>) -> Result<Reply> {
        let (status, bytes) = match self {
            Client::Here(router) => {
                let answer = router.as_ref().clone().oneshot(request).await?;
                (answer.status(), axum::body::to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await?)
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
                (status, answer.into_body().collect().await.context("the answer broke off")?.to_bytes())
            }
        };
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        Ok(Reply { status, body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()) })
    }
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
