//! The till page: files built by `npm run build` and embedded by `build.rs`.
//!
//! Promises: hashed assets are cached for ever, everything else is asked for anew; an address without a file is a
//! problem document, not the page (the page keeps its views in the hash).
//! Absent on purpose: building. Without `web/dist` a stub stands here and `PAGE_IS_STUB` says so.

use crate::problem::Problem;
use crate::shop::Shop;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fieldkit_core::id::Hash;

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// One file of the page.
#[derive(Clone, Debug)]
pub struct Page {
    path: String,
    bytes: &'static [u8],
    tag: String,
}

impl Page {
    /// A file at `path` (without leading slash).
    pub fn new(path: &str, bytes: &'static [u8]) -> Self {
        Page { path: path.to_owned(), bytes, tag: format!("\"{}\"", &Hash::of(bytes).hex()[..32]) }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let cache = if self.path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        let common = [(header::CACHE_CONTROL, cache), (header::ETAG, self.tag.as_str())];
        let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        if known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == self.tag)) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        (common, [(header::CONTENT_TYPE, media_type(&self.path))], self.bytes).into_response()
    }
}

/// The embedded files.
pub fn embedded() -> Vec<Page> {
    FILES.iter().map(|(path, bytes)| Page::new(path, bytes)).collect()
}

/// Answers every address that is not of the API.
pub async fn page(State(shop): State<Shop>, request: Request) -> Result<Response, Problem> {
    let path = request.uri().path().trim_start_matches('/');
    let wanted = if path.is_empty() { "index.html" } else { path };
    let page = shop.pages.iter().find(|page| page.path == wanted).ok_or_else(Problem::not_found)?;
    match *request.method() {
        Method::GET | Method::HEAD => Ok(page.answer(request.headers())),
        _ => Err(Problem::method()),
    }
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
