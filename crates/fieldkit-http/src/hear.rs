//! Hears a request out: what of its body no handler wanted is still read and thrown away, for a while.
//!
//! A sender that is answered in the middle of its body and then cut off sees a broken connection in place of the
//! answer (RFC 9112, 9.6). Nothing is kept of what is thrown away.

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use futures_util::{Stream, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;

/// For how long the rest of a body is read after its answer.
const REST_SECONDS_MAX: u64 = 5;

/// `request`, with a body whose rest is read when it is dropped. A sender that waits for leave to send
/// (`Expect: 100-continue`) has sent nothing yet and needs none of this.
pub fn to_its_end(request: Request) -> Request {
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return request;
    }
    request.map(|body| Body::from_stream(Heard { rest: Some(body.into_data_stream()) }))
}

struct Heard {
    /// `None` once it ended.
    rest: Option<BodyDataStream>,
}

impl Stream for Heard {
    type Item = Result<Bytes, axum::Error>;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let next = rest.poll_next_unpin(context);
        if !matches!(next, Poll::Pending | Poll::Ready(Some(Ok(_)))) {
            self.rest = None;
        }
        next
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        if let (Some(mut rest), Ok(runtime)) = (self.rest.take(), Handle::try_current()) {
            runtime.spawn(async move {
                let read = async { while let Some(Ok(_)) = rest.next().await {} };
                // What comes later finds the connection closed.
                let _ = tokio::time::timeout(Duration::from_secs(REST_SECONDS_MAX), read).await;
            });
        }
    }
}
