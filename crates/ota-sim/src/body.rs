//! Response bodies, and the faults that damage them.

use std::io::{self, Write as _};
use std::sync::LazyLock;
use std::task::Poll;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderValue, LOCATION, RETRY_AFTER,
};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::json;

use crate::exchange::Answer;
use crate::fault::{Fault, FaultKind, Packing};
use crate::faults::Drawn;
use crate::odd;
use crate::wire_text::html_page;

/// Default of [`FaultKind::HugeBody`].
const HUGE_BODY: u64 = 100 * 1000 * 1000;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Adds the headers that faults ask for.
pub(crate) fn with_headers(mut response: Response<Body>, faults: &Drawn) -> Response<Body> {
    let said = [
        (RETRY_AFTER, faults.said(|fault| fault.retry_after.as_ref())),
        (DATE, faults.said(|fault| fault.date.as_ref())),
    ];
    for (name, value) in said {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Responses that do not come from the vendor.
pub(crate) fn foreign_answer(faults: &Drawn) -> Option<Response<Body>> {
    if faults.has(FaultKind::Html502) {
        return Some(page(StatusCode::BAD_GATEWAY));
    }
    if faults.has(FaultKind::Html200) {
        return Some(page(StatusCode::OK));
    }
    if let Some(fault) = faults.get(FaultKind::Foreign404) {
        let kong = || json!({"message": "no Route matched with those values"});
        let body = fault.value.clone().unwrap_or_else(kong).to_string();
        let mut response = Response::new(whole(body));
        *response.status_mut() = StatusCode::NOT_FOUND;
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, json);
        return Some(response);
    }
    if let Some(fault) = faults.get(FaultKind::Redirect) {
        let mut response = page(StatusCode::FOUND);
        let location = fault
            .location
            .as_deref()
            .unwrap_or("http://127.0.0.1:9/login");
        if let Ok(location) = HeaderValue::from_str(location) {
            response.headers_mut().insert(LOCATION, location);
        }
        return Some(response);
    }
    if let Some(fault) = faults.get(FaultKind::HugeBody) {
        return Some(huge_body(fault.size_bytes.unwrap_or(HUGE_BODY)));
    }
    None
}

/// A body of `size` bytes that starts like JSON, streamed, so that only one chunk is in memory.
fn huge_body(size: u64) -> Response<Body> {
    const CHUNK: usize = 64 * 1024;
    let filler = Bytes::from(vec![b' '; CHUNK]);
    let first = Bytes::from_static(b"{").slice(0..usize::from(size > 0));
    let chunks = stream::unfold(size.saturating_sub(1), move |left| {
        let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let chunk = filler.slice(0..length);
        async move { (length > 0).then_some((chunk, left - length as u64)) }
    });
    let body = stream::once(async move { first })
        .chain(chunks)
        .map(|chunk| Ok(Frame::data(chunk)));
    let mut response = Response::new(StreamBody::new(body).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Turns a vendor's answer into a response, and damages it if a fault requires it.
pub(crate) fn finish(answer: Answer, faults: &Drawn) -> Response<Body> {
    let Answer {
        status,
        content_type,
        headers,
        mut body,
        ..
    } = answer;
    let kinds: Vec<FaultKind> = faults.kinds().collect();
    body = odd::put(body, &kinds);
    let compress = faults.get(FaultKind::Compress);
    let coding = compress.map(|fault| fault.coding.as_deref().unwrap_or("gzip"));
    if let Some(fault) = compress {
        body = compressed(&body, fault);
    }
    let full_length = body.len();
    if faults.has(FaultKind::CutJson) {
        body.truncate(full_length / 2);
    }
    if faults.has(FaultKind::EmptyBody) {
        body.clear();
    }
    let cut = faults.has(FaultKind::CutBody);
    let mut response = if cut {
        body.truncate(full_length / 2);
        let mut response = Response::new(broken_body(body.into()));
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(full_length));
        response
    } else {
        Response::new(whole(body))
    };
    *response.status_mut() = status;
    let content_type = if faults.has(FaultKind::WrongContentType) {
        "text/plain"
    } else {
        content_type
    };
    if !content_type.is_empty() {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response.headers_mut().extend(headers);
    if let Some(Ok(coding)) = coding.map(HeaderValue::from_str) {
        response.headers_mut().insert(CONTENT_ENCODING, coding);
    }
    response
}

/// Compresses a body. What is not gzip only has to be something that cannot be read as it is.
fn compressed(body: &[u8], fault: &Fault) -> Vec<u8> {
    if fault
        .coding
        .as_deref()
        .is_some_and(|coding| coding != "gzip")
    {
        return body.iter().map(|byte| byte ^ 0x5a).collect();
    }
    match fault.packing {
        None => gzip(body),
        Some(Packing::Members) => {
            let third = body.len().div_ceil(3).max(1);
            body.chunks(third).flat_map(gzip).collect()
        }
        Some(Packing::Garbage) => [gzip(body), b"more".to_vec()].concat(),
        Some(Packing::Bomb) => [gzip(body), BLANKS.clone()].concat(),
    }
}

/// Blanks, which no text of an answer minds behind it, in one member of gzip.
static BLANKS: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(&vec![b' '; 9_000_000]));

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// Sends `head`, lets it reach the wire, and breaks the connection.
fn broken_body(head: Bytes) -> Body {
    let mut head = Some(head);
    let mut flushed = false;
    let frames = stream::poll_fn(move |cx| {
        if let Some(head) = head.take() {
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        if !flushed {
            // The connection flushes what it has before it asks again.
            flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("cut on request"))))
    });
    StreamBody::new(frames).boxed_unsync()
}

pub(crate) fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// An HTML page that says no more than the status.
pub(crate) fn page(status: StatusCode) -> Response<Body> {
    let title = format!(
        "{} {}",
        status.as_str(),
        status.canonical_reason().unwrap_or_default()
    );
    let mut response = Response::new(whole(html_page(&title)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}
