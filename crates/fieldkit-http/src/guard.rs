//! Who may ask: host names, origins, and the headers that keep pages apart.
//!
//! Promises: a browser that was sent to another name (DNS rebinding) gets nothing; a page of another origin cannot
//! write; no page of ours can be framed or made to load code from elsewhere.
//! Absent on purpose: persons and their roles, which the loop knows by the way that the ask came.

use crate::hear;
use crate::problem::Problem;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// How the asks arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Over TCP, where browsers are: host and origin are checked.
    Browser {
        /// Names that the kit answers to, without port: `localhost`, `127.0.0.1`, `[::1]`.
        hosts: Vec<String>,
    },
    /// Over a UNIX socket or within the process: the file's permissions are the check.
    Socket,
}

impl Policy {
    /// The names of this machine itself.
    pub fn loopback() -> Self {
        Policy::Browser { hosts: ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec() }
    }
}

const CONTENT_POLICY: &str = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; \
                              form-action 'self'";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Headers of every answer to a browser, unless the answer brings its own.
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Checks a request before it is routed, and dresses the answer.
pub async fn guard(State(policy): State<Arc<Policy>>, request: Request, next: Next) -> Response {
    let api = is_api(&request);
    let request = hear::to_its_end(request);
    let mut response = match check(&policy, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    if let Policy::Browser { .. } = *policy {
        for (name, value) in SECURITY_HEADERS {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
    }
    if api {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

fn check(policy: &Policy, request: &Request) -> Result<(), Problem> {
    let Policy::Browser { hosts } = policy else { return Ok(()) };
    let host = host(hosts, request).ok_or_else(wrong_host)?;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    // Reads of other pages are lost on them, but a check of the whole journal costs the till its time.
    let foreign = request.headers().get_all(SEC_FETCH_SITE).iter().any(|site| site.as_bytes() == b"cross-site");
    let allowed = if reads { !(foreign && is_api(request)) } else { same_origin(request.headers(), host) };
    if allowed { Ok(()) } else { Err(cross_site()) }
}

fn is_api(request: &Request) -> bool {
    request.uri().path().starts_with("/api/")
}

/// The one host that the request names, where the kit answers to it.
fn host<'a>(hosts: &[String], request: &'a Request) -> Option<&'a str> {
    let named = request.headers().get_all(header::HOST).iter().map(|value| value.to_str().ok());
    let target = request.uri().authority().map(|authority| Some(authority.as_str()));
    let mut found = None;
    for name in named.chain(target) {
        let name = name?;
        let bare = without_port(name)?;
        let known = hosts.iter().any(|host| host.eq_ignore_ascii_case(bare));
        if !known || found.is_some_and(|other: &str| !other.eq_ignore_ascii_case(name)) {
            return None;
        }
        found = Some(name);
    }
    found
}

/// The name of `name:port`; `None` where the port is no number.
fn without_port(name: &str) -> Option<&str> {
    let split = match name.rfind(']') {
        Some(end) => end + 1,
        None => name.find(':').unwrap_or(name.len()),
    };
    let (bare, port) = name.split_at_checked(split)?;
    let digits = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    (port.is_empty() || port.strip_prefix(':').is_some_and(digits)).then_some(bare)
}

/// Whether a write comes from a page of this kit or from no page at all.
fn same_origin(headers: &HeaderMap, host: &str) -> bool {
    let site = headers.get_all(SEC_FETCH_SITE).iter().all(|site| site.as_bytes() == b"same-origin");
    let ours = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        let named = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        named.is_some_and(|named| named.eq_ignore_ascii_case(host))
    };
    site && headers.get_all(header::ORIGIN).iter().all(ours)
}

fn wrong_host() -> Problem {
    Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "wrong_host",
        "The request names a host that this kit does not answer to.",
        "Open the kit's page at http://localhost with its port.",
    )
}

fn cross_site() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "cross_site",
        "A page of another origin tried to use this kit.",
        "Use the kit's own page; leave out `Origin` and `Sec-Fetch-Site` in programs.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_taken_off() {
        assert_eq!(without_port("localhost:8080"), Some("localhost"));
        assert_eq!(without_port("[::1]:8080"), Some("[::1]"));
        assert_eq!(without_port("[::1]"), Some("[::1]"));
        assert_eq!(without_port("localhost:80@evil.example"), None);
        assert_eq!(without_port("localhost:99999"), None);
        assert_eq!(without_port("[::1]evil"), None);
    }
}
