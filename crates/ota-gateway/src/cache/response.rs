//! Cached responses: serialized once, and compressed once per requested encoding.

use std::io::Write as _;
use std::ops::Range;
use std::sync::OnceLock;

use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, ETAG, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use ota_core::context::Moment;
use serde::Serialize;
use sha2::{Digest, Sha256};

use ota_api::own_timestamp;
use ota_api::problem::{Code, Failure};
use ota_server::security_headers;

/// The time of the data.
pub const OTA_AS_OF: HeaderName = HeaderName::from_static("ota-as-of");

/// Whether it is older than requested because the vendor did not answer.
pub const OTA_STALE: HeaderName = HeaderName::from_static("ota-stale");

/// A client may store the response and must revalidate it.
const PRIVATE_NO_CACHE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The encoding of the body depends on this request header.
const BY_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Shorter bodies are not compressed: it would save little.
const MIN_COMPRESSED_SIZE: usize = 200;

/// The compression levels. A response is compressed once for all its readers, so some effort is worth it; above these levels a few percent take many times
/// as long.
const GZIP_LEVEL: u32 = 6;
const BROTLI_QUALITY: u32 = 5;
const BROTLI_WINDOW: u32 = 20;

/// The content coding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// Uncompressed.
    Identity,
    /// With gzip.
    Gzip,
    /// With Brotli.
    Brotli,
}

impl ContentCoding {
    /// Chooses the coding that the client prefers (RFC 9110, section 12.5.3); among equals, the one with the shortest body.
    ///
    /// # Errors
    /// `not_acceptable` if the client accepts none of them.
    pub fn choose(headers: &HeaderMap) -> Result<Self, Failure> {
        let (mut gzip, mut brotli, mut identity, mut others) = (None, None, None, None);
        let values = headers
            .get_all(ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok());
        for item in values.flat_map(|value| value.split(',')) {
            let mut parts = item.split(';');
            let name = parts.next().unwrap_or_default().trim();
            let quality = parts.find_map(|part| part.trim().strip_prefix("q="));
            let quality = quality.map_or(Some(1.0), |text| {
                text.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))
            });
            let Some(quality) = quality else { continue };
            let slot = match name.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => &mut gzip,
                "br" => &mut brotli,
                "identity" => &mut identity,
                "*" => &mut others,
                _ => continue,
            };
            *slot = Some(quality);
        }
        // A coding that is not named is not accepted, except for the uncompressed body, unless it is excluded.
        let wish = |named: Option<f32>, otherwise: f32| named.or(others).unwrap_or(otherwise);
        let mut best = (Self::Identity, wish(identity, f32::MIN_POSITIVE));
        for (coding, quality) in [
            (Self::Gzip, wish(gzip, 0.0)),
            (Self::Brotli, wish(brotli, 0.0)),
        ] {
            if quality > 0.0 && quality >= best.1 {
                best = (coding, quality);
            }
        }
        match best {
            (Self::Identity, quality) if quality <= 0.0 => Err(Failure::new(
                Code::NotAcceptable,
                "`Accept-Encoding` excludes every encoding of the response: identity, gzip and br",
            )),
            (coding, _) => Ok(coding),
        }
    }

    /// Returns the value of `Content-Encoding`.
    pub(crate) fn header(self) -> Option<HeaderValue> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some(HeaderValue::from_static("gzip")),
            Self::Brotli => Some(HeaderValue::from_static("br")),
        }
    }
}

/// A body with its validator, in every encoding that has been requested.
#[derive(Debug)]
pub struct EncodedBody {
    etag: HeaderValue,
    /// The headers of every response with this body.
    headers: HeaderMap,
    plain: Bytes,
    gzip: OnceLock<Bytes>,
    brotli: OnceLock<Bytes>,
}

impl EncodedBody {
    fn new(etag: HeaderValue, as_of: &HeaderValue, stale: bool, plain: Bytes) -> Self {
        let mut headers = HeaderMap::with_capacity(24);
        headers.insert(VARY, BY_ENCODING);
        if !as_of.is_empty() {
            headers.insert(OTA_AS_OF, as_of.clone());
        }
        let stale = if stale { "true" } else { "false" };
        headers.insert(OTA_STALE, HeaderValue::from_static(stale));
        headers.insert(ETAG, etag.clone());
        headers.insert(CACHE_CONTROL, PRIVATE_NO_CACHE);
        // Serialized once and not per response.
        security_headers::secure(&mut headers, false);
        Self {
            etag,
            headers,
            plain,
            gzip: OnceLock::new(),
            brotli: OnceLock::new(),
        }
    }

    /// Returns the weak validator.
    #[must_use]
    pub fn etag(&self) -> &HeaderValue {
        &self.etag
    }

    /// Returns the headers of every response with this body, also of a 304: validator, time, staleness.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn slot(&self, coding: ContentCoding) -> Option<&OnceLock<Bytes>> {
        match coding {
            _ if self.plain.len() < MIN_COMPRESSED_SIZE => None,
            ContentCoding::Identity => None,
            ContentCoding::Gzip => Some(&self.gzip),
            ContentCoding::Brotli => Some(&self.brotli),
        }
    }

    /// Whether the body exists in an encoding, so that nothing has to be compressed.
    #[must_use]
    pub fn has(&self, coding: ContentCoding) -> bool {
        self.slot(coding).is_none_or(|slot| slot.get().is_some())
    }

    /// Returns the body in an encoding and the name of the encoding; the uncompressed body if it has not been compressed.
    #[must_use]
    pub fn body(&self, coding: ContentCoding) -> (Bytes, Option<HeaderValue>) {
        match self.slot(coding).and_then(OnceLock::get) {
            // Compressing into memory does not fail; if it did, the uncompressed body is served.
            Some(compressed) if !compressed.is_empty() => (compressed.clone(), coding.header()),
            _ => (self.plain.clone(), None),
        }
    }

    /// Compresses the body if that encoding does not exist yet, and returns the size of the new one. It takes milliseconds of processor time, so it must not
    /// run on a thread that serves connections.
    pub fn compress(&self, coding: ContentCoding) -> usize {
        let mut made = 0;
        if let Some(slot) = self.slot(coding) {
            slot.get_or_init(|| {
                let compressed = compress(&self.plain, coding).unwrap_or_default();
                made = compressed.len();
                compressed
            });
        }
        made
    }
}

/// Compresses a body.
pub(crate) fn compress(plain: &[u8], coding: ContentCoding) -> Option<Bytes> {
    match coding {
        ContentCoding::Identity => None,
        ContentCoding::Gzip => gzip(plain).map(Bytes::from),
        ContentCoding::Brotli => brotli(plain).map(Bytes::from),
    }
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let out = Vec::with_capacity(plain.len() / 4);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

fn brotli(plain: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(plain.len() / 4);
    let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, BROTLI_QUALITY, BROTLI_WINDOW);
    encoder.write_all(plain).ok()?;
    encoder.flush().ok()?;
    drop(encoder);
    Some(out)
}

/// A serialized response in the cache.
#[derive(Debug)]
pub struct CachedResponse {
    as_of: HeaderValue,
    fresh: EncodedBody,
    /// Whether the body itself states its time and whether it is stale.
    dated: bool,
    stale: OnceLock<EncodedBody>,
}

/// What cannot be written is a fault of the gateway.
fn unwritable() -> ota_core::Error {
    ota_core::Error::new(
        ota_core::ErrorKind::Unexpected,
        "the answer could not be written",
    )
}

const NOT_STALE: &[u8] = b"\"stale\":false";
const STALE: &[u8] = b"\"stale\":true";

impl CachedResponse {
    /// Serializes a body that does not state its time.
    ///
    /// # Errors
    /// `unexpected` if it cannot be serialized.
    pub fn undated<T: Serialize>(as_of: Moment, body: &T) -> ota_core::Result<Self> {
        let text = own_timestamp(as_of.wall).unwrap_or_default();
        Self::new(&text, body, false)
    }

    /// Serializes a body that states its time. `body` creates it for a time; it is a structure in which `as_of` and then `stale` (false) come after
    /// everything that is from a vendor.
    ///
    /// # Errors
    /// As [`CachedResponse::undated`].
    pub fn dated<T: Serialize>(
        as_of: Moment,
        body: impl FnOnce(Option<String>) -> T,
    ) -> ota_core::Result<Self> {
        let text = own_timestamp(as_of.wall);
        let body = body(text.clone());
        Self::new(&text.unwrap_or_default(), &body, true)
    }

    fn new<T: Serialize>(as_of: &str, body: &T, dated: bool) -> ota_core::Result<Self> {
        let plain = Bytes::from(serde_json::to_vec(body).map_err(|_| unwritable())?);
        let as_of = HeaderValue::try_from(as_of).map_err(|_| unwritable())?;
        Ok(Self::of(plain, as_of, dated))
    }

    /// Takes a body in its fresh variant.
    fn of(plain: Bytes, as_of: HeaderValue, dated: bool) -> Self {
        let etag = etag(&plain, dated.then_some(&as_of), false);
        Self {
            fresh: EncodedBody::new(etag, &as_of, false, plain),
            as_of,
            dated,
            stale: OnceLock::new(),
        }
    }

    /// Takes a body that was written already, with the digest of what its validator depends on, and whether it is stale. There is no other variant of it.
    ///
    /// # Errors
    /// As [`CachedResponse::undated`].
    pub fn written(
        as_of: &str,
        body: Vec<u8>,
        content: Sha256,
        stale: bool,
    ) -> ota_core::Result<Self> {
        let as_of = HeaderValue::try_from(as_of).map_err(|_| unwritable())?;
        let mut content = content;
        content.update([u8::from(stale)]);
        Ok(Self {
            fresh: EncodedBody::new(tag(content), &as_of, stale, Bytes::from(body)),
            as_of,
            dated: false,
            stale: OnceLock::new(),
        })
    }

    /// Takes a body that another gateway has serialized, in its fresh or its stale variant; both variants can be made of it, with the validators that they
    /// have there. `dated` is whether the body states its time, as in [`CachedResponse::dated`].
    ///
    /// # Errors
    /// `protocol` if the time or the body is not one of a gateway.
    pub fn received(as_of: &str, body: Bytes, dated: bool, stale: bool) -> ota_core::Result<Self> {
        let unreadable = || {
            ota_core::Error::new(
                ota_core::ErrorKind::Protocol,
                "the answer of the gateway that holds the vendor account cannot be read",
            )
        };
        let as_of = HeaderValue::try_from(as_of).map_err(|_| unreadable())?;
        let plain = match dated && stale {
            false => body,
            true => {
                let at = last(&body, STALE).ok_or_else(unreadable)?;
                Bytes::from([&body[..at.start], NOT_STALE, &body[at.end..]].concat())
            }
        };
        Ok(Self::of(plain, as_of, dated))
    }

    /// Returns its size in bytes.
    #[must_use]
    pub fn weight(&self) -> u32 {
        u32::try_from(self.fresh.plain.len()).unwrap_or(u32::MAX)
    }

    /// Returns the fresh or the stale variant, and the number of bytes that had to be added for it.
    #[must_use]
    pub fn form(&self, stale: bool) -> (&EncodedBody, usize) {
        if !stale {
            return (&self.fresh, 0);
        }
        let mut made = 0;
        let form = self.stale.get_or_init(|| {
            let fresh = &self.fresh.plain;
            let at = match self.dated {
                true => last(fresh, NOT_STALE),
                false => None,
            };
            let plain = match at {
                None => fresh.clone(),
                Some(at) => {
                    let plain = [&fresh[..at.start], STALE, &fresh[at.end..]].concat();
                    made = plain.len();
                    Bytes::from(plain)
                }
            };
            let without = self.dated.then_some(&self.as_of);
            EncodedBody::new(etag(&plain, without, true), &self.as_of, true, plain)
        });
        (form, made)
    }
}

fn last(text: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let mut windows = text.windows(part.len());
    let start = windows.rposition(|window| window == part)?;
    Some(start..start + part.len())
}

/// A weak validator of the content without its time, and of whether it is stale.
fn etag(content: &[u8], without_time: Option<&HeaderValue>, stale: bool) -> HeaderValue {
    let mut hash = Sha256::new();
    hash.update([u8::from(stale)]);
    let time = without_time.and_then(|time| {
        last(
            content,
            &[b",\"as_of\":\"", time.as_bytes(), b"\""].concat(),
        )
    });
    match time {
        None => hash.update(content),
        Some(time) => {
            hash.update(&content[..time.start]);
            hash.update(&content[time.end..]);
        }
    }
    tag(hash)
}

/// Writes a digest as a weak validator.
fn tag(content: Sha256) -> HeaderValue {
    let mut short = [0; 16];
    short.copy_from_slice(&content.finalize()[..16]);
    let text = format!("W/\"{:032x}\"", u128::from_be_bytes(short));
    HeaderValue::try_from(text).expect("hexadecimal digits are valid in a header")
}

#[cfg(test)]
mod tests;
