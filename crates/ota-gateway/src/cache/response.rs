//! Answers as they are kept: written once, and packed once for each form that someone asks for.

use std::io::Write as _;
use std::ops::Range;
use std::sync::OnceLock;

use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, ETAG, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use ota_core::context::Moment;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::api::own_timestamp;
use crate::problem::{Code, Failure};
use crate::server::security_headers;

/// When the answer was true.
pub const OTA_AS_OF: HeaderName = HeaderName::from_static("ota-as-of");

/// Whether it is older than asked for because the vendor did not answer.
pub const OTA_STALE: HeaderName = HeaderName::from_static("ota-stale");

/// A client keeps the answer but asks each time whether it changed.
const KEEP_AND_ASK: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The form of the body depends on this header of the request.
const BY_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Bodies shorter than this are not packed: they would hardly become shorter.
const LEAST_PACKED: usize = 200;

/// How hard packing tries. An answer is packed once for all its readers, so it may try a little; beyond these levels a few percent cost
/// many times the time.
const GZIP_LEVEL: u32 = 6;
const BROTLI_QUALITY: u32 = 5;
const BROTLI_WINDOW: u32 = 20;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// Not at all.
    Identity,
    /// With gzip.
    Gzip,
    /// With Brotli.
    Brotli,
}

impl ContentCoding {
    /// Chooses what the caller likes best (RFC 9110, section 12.5.3), the shortest form among what he likes equally.
    ///
    /// # Errors
    /// `not_acceptable` when he takes none of them.
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
        // What is not named is refused, but for the plain form, which is the last resort unless it is forbidden.
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

/// A body with its validator, in every form that was asked for so far.
#[derive(Debug)]
pub struct EncodedBody {
    etag: HeaderValue,
    /// What every response with it says, put together once.
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
        headers.insert(CACHE_CONTROL, KEEP_AND_ASK);
        // Written here once and not with each answer.
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

    /// Returns what every response with it says, a 304 too: validator, time, staleness.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn slot(&self, coding: ContentCoding) -> Option<&OnceLock<Bytes>> {
        match coding {
            _ if self.plain.len() < LEAST_PACKED => None,
            ContentCoding::Identity => None,
            ContentCoding::Gzip => Some(&self.gzip),
            ContentCoding::Brotli => Some(&self.brotli),
        }
    }

    /// Whether the body is there in a form, so that nothing has to be packed for it.
    #[must_use]
    pub fn has(&self, coding: ContentCoding) -> bool {
        self.slot(coding).is_none_or(|slot| slot.get().is_some())
    }

    /// Returns the body in a form and the name of that form; the plain body where it has not been packed.
    #[must_use]
    pub fn body(&self, coding: ContentCoding) -> (Bytes, Option<HeaderValue>) {
        match self.slot(coding).and_then(OnceLock::get) {
            // Packing into memory does not fail; if it did, the plain form is as good.
            Some(packed) if !packed.is_empty() => (packed.clone(), coding.header()),
            _ => (self.plain.clone(), None),
        }
    }

    /// Packs the body if that form is not there yet, and returns how many bytes had to be made. It takes milliseconds of a processor, so it has no
    /// place on a thread that serves connections.
    pub fn pack(&self, coding: ContentCoding) -> usize {
        let mut made = 0;
        if let Some(slot) = self.slot(coding) {
            slot.get_or_init(|| {
                let packed = pack(&self.plain, coding).unwrap_or_default();
                made = packed.len();
                packed
            });
        }
        made
    }
}

/// Packs a body.
pub(crate) fn pack(plain: &[u8], coding: ContentCoding) -> Option<Bytes> {
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

/// An answer, written.
#[derive(Debug)]
pub struct Rendered {
    as_of: HeaderValue,
    fresh: EncodedBody,
    /// Whether the body itself tells its time and whether it is stale.
    dated: bool,
    stale: OnceLock<EncodedBody>,
}

const NOT_STALE: &[u8] = b"\"stale\":false";
const STALE: &[u8] = b"\"stale\":true";

impl Rendered {
    /// Writes a body that does not tell its time.
    ///
    /// # Errors
    /// `unexpected` when it cannot be written.
    pub fn undated<T: Serialize>(as_of: Moment, body: &T) -> ota_core::Result<Self> {
        let text = own_timestamp(as_of.wall).unwrap_or_default();
        Self::new(&text, body, false)
    }

    /// Writes a body that tells its time. `body` makes it for one, and is a structure in which `as_of` and then `stale` (false) stand behind
    /// everything that comes from a vendor.
    ///
    /// # Errors
    /// As [`Rendered::undated`].
    pub fn dated<T: Serialize>(
        as_of: Moment,
        body: impl FnOnce(Option<String>) -> T,
    ) -> ota_core::Result<Self> {
        let text = own_timestamp(as_of.wall);
        let body = body(text.clone());
        Self::new(&text.unwrap_or_default(), &body, true)
    }

    fn new<T: Serialize>(as_of: &str, body: &T, dated: bool) -> ota_core::Result<Self> {
        let failed = || {
            ota_core::Error::new(
                ota_core::ErrorKind::Unexpected,
                "the answer could not be written",
            )
        };
        let plain = Bytes::from(serde_json::to_vec(body).map_err(|_| failed())?);
        let as_of = HeaderValue::try_from(as_of).map_err(|_| failed())?;
        Ok(Self {
            fresh: EncodedBody::new(
                etag(&plain, dated.then_some(&as_of), false),
                &as_of,
                false,
                plain,
            ),
            as_of,
            dated,
            stale: OnceLock::new(),
        })
    }

    /// Returns what it weighs, in bytes.
    #[must_use]
    pub fn weight(&self) -> u32 {
        u32::try_from(self.fresh.plain.len()).unwrap_or(u32::MAX)
    }

    /// Returns it as it is, or as one that is older than asked for, with how many bytes had to be made for that.
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

/// A weak validator over the content without its time, and over whether it is stale.
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
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    let text = format!("W/\"{:032x}\"", u128::from_be_bytes(short));
    HeaderValue::try_from(text).expect("hexadecimal digits can stand in a header")
}

#[cfg(test)]
mod tests;
