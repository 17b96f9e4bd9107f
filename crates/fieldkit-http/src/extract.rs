//! What comes in: keyed bodies, queries and path segments.
//!
//! Promises: whatever cannot be read is a problem that names the field; unknown fields are refused; a body has a limit
//! and a time.
//! Absent on purpose: business rules.

use crate::key;
use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use fieldkit_core::op::CommandKey;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longest JSON body, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Longest catalogue file, in bytes.
pub const FILE_BYTES_MAX: usize = 16 << 20;
/// Longest bundle of another kit, in bytes.
pub const BUNDLE_BYTES_MAX: usize = 256 << 20;
/// How long a body may take to arrive.
const BODY_SECONDS_MAX: u64 = 30;

/// A keyed write with a JSON body.
pub struct Write<T> {
    /// Its key.
    pub key: CommandKey,
    /// Its body.
    pub body: T,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Write<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let key = key::key(request.headers())?;
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (content, body) = json(request, state).await?;
        Ok(Write { key: key::command_key(key, &method, &uri, &content), body })
    }
}

/// A JSON body that changes nothing and needs no key.
pub struct Told<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Told<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Ok(Told(json(request, state).await?.1))
    }
}

/// A keyed catalogue file.
pub struct WriteFile {
    /// Its key.
    pub key: CommandKey,
    /// Its bytes.
    pub bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for WriteFile {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let key = key::key(request.headers())?;
        want_media(request.headers(), "text/csv")?;
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let bytes = bytes(request, state).await?;
        Ok(WriteFile { key: key::command_key(key, &method, &uri, &bytes), bytes })
    }
}

/// A bundle of another kit. Taken again it changes nothing, so it needs no key.
pub struct TakenFile(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for TakenFile {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        want_media(request.headers(), "application/octet-stream")?;
        Ok(TakenFile(bytes(request, state).await?))
    }
}

/// Path segments, decoded.
pub struct At<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(segments) = Path::<T>::from_request_parts(parts, state).await.map_err(|_| {
            let detail = "The address cannot be read; its segments must be percent-encoded UTF-8.";
            Problem::new(StatusCode::BAD_REQUEST, "path", detail, "Correct the address.")
        })?;
        Ok(At(segments))
    }
}

/// Parameters of the query.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Query::<T>::from_request_parts(parts, state).await;
        let Query(parameters) = found.map_err(|error| Problem::field(format!("The query: {}.", error.body_text())))?;
        Ok(Asked(parameters))
    }
}

/// The body, canonical and read. An empty one stands for `{}`.
async fn json<T: DeserializeOwned, S: Send + Sync>(request: Request, state: &S) -> Result<(Vec<u8>, T), Problem> {
    let headers = request.headers().clone();
    let bytes = bytes(request, state).await?;
    let bytes = if bytes.is_empty() {
        Bytes::from_static(b"{}")
    } else {
        want_media(&headers, "application/json")?;
        bytes
    };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| {
        let detail = format!("The body is not JSON: {error}.");
        Problem::new(StatusCode::BAD_REQUEST, "json", detail, "Correct the body.")
    })?;
    let mut reader = serde_json::Deserializer::from_slice(&bytes);
    let body = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let text = error.into_inner().to_string();
        // serde_json adds the position; the field's name says it better.
        let text = text.split(" at line ").next().unwrap_or(&text);
        Problem::field(if path == "." { format!("The body: {text}.") } else { format!("{path}: {text}.") })
    })?;
    Ok((key::canonical(&value), body))
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let arriving = Bytes::from_request(request, state);
    let arrived = tokio::time::timeout(Duration::from_secs(BODY_SECONDS_MAX), arriving).await.map_err(|_| {
        let detail = format!("The body took more than {BODY_SECONDS_MAX} seconds to arrive.");
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body_slow", detail, "Send it again.")
    })?;
    arrived.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail =
                "The body is longer than this address takes: 1 MiB, 16 MiB for a catalogue file, 256 MiB for a bundle.";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail, "Send less at a time.")
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "body", "The body broke off.", "Send it again.")
        }
    })
}

fn want_media(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let plain = given.split(';').next().unwrap_or_default().trim();
    if plain.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let detail = format!("This address takes a body of the media type {wanted}.");
    let next = format!("Send the header `Content-Type: {wanted}`.");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", detail, next))
}
