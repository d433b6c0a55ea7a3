//! Content codings of answers (RFC 9110, section 8.4).
//!
//! `gzip` is requested and read; anything else is named in the error, so that an operator can find the proxy that does it.

use std::io::Read as _;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

/// The value of `Accept-Encoding`: without one a server may choose any coding.
pub(crate) const ACCEPTED: &str = "gzip";

/// What every gzip member begins with (RFC 1952, section 2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// More codings on top of each other than any server uses: its own, and that of a proxy.
const MAX_CODINGS: usize = 2;

/// The most gzip members that are read of one body, over all of its codings. Servers write one. Each costs a fresh decoder even when nothing
/// is in it, so a small body of empty members would cost minutes.
const MAX_MEMBERS: usize = 16;

/// Why a body cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// It has a coding that was not requested and cannot be decoded.
    Unknown(String),
    /// It is larger than allowed after decoding.
    TooLarge,
    /// It ends too early, or does not have the declared coding.
    Damaged,
}

/// Decodes a body and removes its codings from the headers. At most `max_bytes` are decoded.
pub(crate) fn unpack(
    headers: &mut HeaderMap,
    mut body: Bytes,
    max_bytes: usize,
) -> Result<Bytes, DecodeError> {
    let codings = codings(headers);
    if codings.is_empty() {
        return Ok(body);
    }
    if codings.len() > MAX_CODINGS {
        return Err(DecodeError::Unknown(codings.join(", ")));
    }
    let mut members = 0;
    // The last one was put on last.
    for coding in codings.iter().rev() {
        body = match coding.as_str() {
            // A proxy that has unpacked an answer may have left the header standing.
            "gzip" | "x-gzip" if !body.starts_with(GZIP_MAGIC) => body,
            _ if body.is_empty() => body,
            "gzip" | "x-gzip" => gunzip(&body, max_bytes, &mut members)?,
            _ => return Err(DecodeError::Unknown(coding.clone())),
        };
    }
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(body)
}

/// Returns the codings in the order in which they were applied, in lower case and fit to be shown.
fn codings(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|coding| {
            let shown = coding.trim_ascii().iter().take(32).map(|byte| match byte {
                byte if byte.is_ascii_graphic() => char::from(*byte),
                _ => '?',
            });
            shown.collect::<String>().to_ascii_lowercase()
        })
        .filter(|coding| !matches!(coding.as_str(), "" | "identity"))
        .take(MAX_CODINGS + 1)
        .collect()
}

/// Decodes one coding; `members` counts the gzip members of the whole body.
fn gunzip(compressed: &[u8], max_bytes: usize, members: &mut usize) -> Result<Bytes, DecodeError> {
    let mut out = Vec::new();
    let mut rest = compressed;
    // Several members may follow each other; zero bytes behind the last one are padding.
    while rest.starts_with(GZIP_MAGIC) {
        *members += 1;
        if *members > MAX_MEMBERS {
            return Err(DecodeError::Damaged);
        }
        let left = max_bytes.saturating_sub(out.len());
        let limit = u64::try_from(left).unwrap_or(u64::MAX).saturating_add(1);
        let mut member = GzDecoder::new(rest).take(limit);
        member
            .read_to_end(&mut out)
            .map_err(|_| DecodeError::Damaged)?;
        if out.len() > max_bytes {
            return Err(DecodeError::TooLarge);
        }
        rest = member.into_inner().into_inner();
    }
    match rest.iter().all(|byte| *byte == 0) {
        true => Ok(out.into()),
        false => Err(DecodeError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::{DecodeError, unpack};
    use bytes::Bytes;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::{HeaderMap, HeaderValue, header};
    use proptest::prelude::*;
    use std::io::Write as _;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(coding: &[&str], body: Vec<u8>, max: usize) -> Result<Vec<u8>, DecodeError> {
        let mut headers = HeaderMap::new();
        for coding in coding {
            let value = HeaderValue::from_bytes(coding.as_bytes()).unwrap();
            headers.append(header::CONTENT_ENCODING, value);
        }
        let result = unpack(&mut headers, Bytes::from(body), max);
        assert!(
            result.is_err() || coding.is_empty() || headers.is_empty() || coding == ["identity"]
        );
        result.map(Vec::from)
    }

    #[test]
    fn gzip_is_read_in_every_form_of_its_header() {
        let body = b"{\"data\":[]}".to_vec();
        for coding in [
            &["gzip"][..],
            &["GZIP"],
            &["x-gzip"],
            &["identity, gzip"],
            &["identity", "gzip"],
        ] {
            assert_eq!(
                unpacked(coding, gzip(&body), 100),
                Ok(body.clone()),
                "{coding:?}"
            );
        }
        assert_eq!(
            unpacked(&["gzip, gzip"], gzip(&gzip(&body)), 100),
            Ok(body.clone())
        );
        assert_eq!(unpacked(&[], body.clone(), 100), Ok(body.clone()));
        assert_eq!(unpacked(&["identity"], body.clone(), 100), Ok(body.clone()));
        // Unpacked on the way already.
        assert_eq!(unpacked(&["gzip"], body.clone(), 100), Ok(body.clone()));
        let parts = [gzip(&body), gzip(b" "), vec![0; 9]].concat();
        assert_eq!(
            unpacked(&["gzip"], parts, 100),
            Ok([body, b" ".to_vec()].concat())
        );
        assert_eq!(unpacked(&["gzip"], Vec::new(), 100), Ok(Vec::new()));
    }

    #[test]
    fn the_limit_holds_after_unpacking() {
        let bomb = gzip(&vec![b' '; 1 << 20]);
        assert!(bomb.len() < 10_000);
        assert_eq!(
            unpacked(&["gzip"], bomb.clone(), 65_536),
            Err(DecodeError::TooLarge)
        );
        let twice = [gzip(&[b' '; 60]), gzip(&[b' '; 60])].concat();
        assert_eq!(
            unpacked(&["gzip"], twice.clone(), 100),
            Err(DecodeError::TooLarge)
        );
        assert_eq!(
            unpacked(&["gzip"], twice, 120).map(|body| body.len()),
            Ok(120)
        );
        // A bomb in a bomb unpacks no further than its outer one may.
        assert_eq!(
            unpacked(&["gzip, gzip"], gzip(&bomb), 65_536),
            Err(DecodeError::TooLarge)
        );
    }

    #[test]
    fn another_coding_is_named_and_a_damaged_body_is_one() {
        let unknown = |name: &str| Err(DecodeError::Unknown(name.to_owned()));
        assert_eq!(unpacked(&["br"], vec![1], 100), unknown("br"));
        assert_eq!(unpacked(&["gzip, ZSTD"], vec![1], 100), unknown("zstd"));
        assert_eq!(unpacked(&["b\tr\u{e9}"], vec![1], 100), unknown("b?r??"));
        let mut cut = gzip(b"some words");
        cut.truncate(15);
        assert_eq!(unpacked(&["gzip"], cut, 100), Err(DecodeError::Damaged));
        let mut followed = gzip(b"some words");
        followed.extend_from_slice(b"more");
        assert_eq!(
            unpacked(&["gzip"], followed, 100),
            Err(DecodeError::Damaged)
        );
    }

    #[test]
    fn the_number_of_members_and_codings_is_bounded() {
        let members = |count: usize| gzip(b"x").repeat(count);
        let body = |count: usize| Ok(b"x".repeat(count));
        assert_eq!(unpacked(&["gzip"], members(16), 100), body(16));
        assert_eq!(
            unpacked(&["gzip"], members(17), 100),
            Err(DecodeError::Damaged)
        );
        let empty = gzip(b"").repeat(200_000);
        assert_eq!(
            unpacked(&["gzip"], empty.clone(), 8 << 20),
            Err(DecodeError::Damaged)
        );
        assert_eq!(
            unpacked(&["gzip, gzip"], gzip(&empty), 8 << 20),
            Err(DecodeError::Damaged)
        );
        // One of the outer coding and 15 of the inner one.
        assert_eq!(
            unpacked(&["gzip, gzip"], gzip(&members(15)), 1000),
            body(15)
        );
        assert_eq!(
            unpacked(&["gzip, gzip"], gzip(&members(16)), 1000),
            Err(DecodeError::Damaged)
        );
        assert_eq!(
            unpacked(&["gzip, gzip, gzip"], members(1), 100),
            Err(DecodeError::Unknown("gzip, gzip, gzip".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn no_body_panics(mut body: Vec<u8>, as_gzip: bool) {
            if as_gzip {
                body.splice(0..0, [0x1f, 0x8b, 8]);
            }
            if let Ok(out) = unpacked(&["gzip"], body, 1000) {
                prop_assert!(out.len() <= 1000);
            }
        }
    }
}
