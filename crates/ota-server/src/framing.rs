//! Finds where requests begin and end on a connection, with stricter rules than those of the HTTP library.
//!
//! Two programs that disagree about where a request ends can be made to see different requests in the same bytes (request smuggling). So every
//! form that some proxy or server reads differently is rejected, before the library sees it: two lengths, a length beside a transfer coding, a
//! coding other than `chunked`, folded lines, lines that end in a bare line feed, no `Host` or more than one. The scanner stores only the
//! beginning of one line.

use ota_api::problem::Code;

/// The longest method. Those that are registered with IANA have at most 17 letters.
const MAX_METHOD: usize = 32;

/// How many bytes of a line are stored when it arrives in parts. The headers that are checked must be shorter.
const MAX_STORED_LINE: usize = 1024;

/// The longest end of a request line that is checked: a space, the version, the line end.
const VERSION: &[u8] = b" HTTP/1.1\r\n";

/// Why a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The code of the problem.
    pub(super) code: Code,
    /// What is wrong, if the code does not say it.
    pub(super) detail: Option<&'static str>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, detail: None }
    }
}

const fn malformed(detail: &'static str) -> Refusal {
    Refusal {
        code: Code::InvalidArgument,
        detail: Some(detail),
    }
}

/// The error when the connection ends in the middle of a head.
pub(super) fn ended_early() -> Refusal {
    malformed("the connection ended before the head of the request was complete")
}

/// A request that is rejected, in bytes that were just read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// How many of the bytes belong to the requests before it.
    pub(super) before: usize,
    /// The reason.
    pub(super) why: Refusal,
}

/// What is expected next on the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// A request, whose first byte has not arrived.
    #[default]
    Between,
    /// The rest of the head of a request.
    Head,
    /// This many bytes of a body.
    Body(u64),
    /// A chunked body. No other request follows it on the connection, so its end is not searched for.
    Chunks,
}

/// Scans the bytes of one connection.
#[derive(Debug)]
pub(super) struct Scanner {
    max_head: usize,
    part: Part,
    head: Head,
    longest: usize,
}

/// What is known of a head so far.
#[derive(Debug, Default)]
struct Head {
    /// Its length so far.
    bytes: usize,
    /// Whether its first line has arrived.
    has_first: bool,
    /// The beginning of the current line, if the line arrives in parts.
    line: Vec<u8>,
    /// The length of the current line so far.
    line_bytes: usize,
    /// The last bytes of the current line so far.
    tail: Vec<u8>,
    is_http_1_1: bool,
    /// The host of a request line that names one.
    authority: Option<Vec<u8>>,
    hosts: u32,
    length: Option<u64>,
    is_chunked: bool,
}

impl Scanner {
    pub(super) fn new(max_head: usize) -> Self {
        Self {
            max_head,
            part: Part::Between,
            head: Head::default(),
            longest: 0,
        }
    }

    /// Returns the length of the current head so far, or that of the last one.
    pub(super) fn head_bytes(&self) -> usize {
        self.head.bytes
    }

    /// Returns the length of the longest head so far.
    pub(super) fn longest_head(&self) -> usize {
        self.longest
    }

    /// Whether the connection is in the middle of a head.
    pub(super) fn in_head(&self) -> bool {
        self.part == Part::Head
    }

    /// Whether a part of a body has not arrived yet; unknown for a chunked body.
    pub(super) fn in_body(&self) -> bool {
        matches!(self.part, Part::Body(_))
    }

    /// Whether a chunked body has begun.
    pub(super) fn in_chunks(&self) -> bool {
        self.part == Part::Chunks
    }

    /// Scans bytes that were read.
    ///
    /// # Errors
    /// The first request that is rejected; nothing after it on the connection can be read.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let mut at = 0;
        // Where the request of the current head begins in these bytes.
        let mut begin = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.part {
                Part::Chunks => return Ok(()),
                Part::Body(left) => {
                    let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    at += taken;
                    let left = left - taken as u64;
                    self.part = match left {
                        0 => Part::Between,
                        _ => Part::Body(left),
                    };
                }
                // Empty lines before a request are ignored (RFC 9112, section 2.2).
                Part::Between if matches!(rest, [b'\r' | b'\n', ..]) => at += 1,
                Part::Between => {
                    begin = at;
                    self.head = Head::default();
                    self.part = Part::Head;
                }
                Part::Head => {
                    let (taken, end) = self.head.take(rest, self.max_head);
                    at += taken;
                    self.longest = self.longest.max(self.head.bytes);
                    match end {
                        Ok(None) => {}
                        Ok(Some(next)) => self.part = next,
                        Err(why) => return Err(Refused { before: begin, why }),
                    }
                }
            }
        }
        Ok(())
    }
}

impl Head {
    /// Scans the rest of a line. Returns its length and, if it was the last line of the head, what follows the head.
    fn take(&mut self, rest: &[u8], max_head: usize) -> (usize, Result<Option<Part>, Refusal>) {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let segment = rest.get(..end.map_or(rest.len(), |end| end + 1));
        let segment = segment.unwrap_or_default();
        self.bytes = self.bytes.saturating_add(segment.len());
        let result = if self.bytes > max_head {
            Err(Refusal::from(match self.has_first {
                true => Code::HeadersTooLarge,
                false => Code::UriTooLong,
            }))
        } else if end.is_none() {
            self.keep(segment);
            self.judge_start_of(&self.line).map(|()| None)
        } else if self.line_bytes == 0 {
            self.judge(segment, segment, segment.len())
        } else {
            self.keep(segment);
            let (line, tail) = (
                std::mem::take(&mut self.line),
                std::mem::take(&mut self.tail),
            );
            let length = std::mem::take(&mut self.line_bytes);
            self.judge(&line, &tail, length)
        };
        (segment.len(), result)
    }

    fn keep(&mut self, segment: &[u8]) {
        let room = MAX_STORED_LINE.saturating_sub(self.line.len());
        self.line
            .extend_from_slice(&segment[..segment.len().min(room)]);
        self.line_bytes += segment.len();
        let end = segment.len().saturating_sub(VERSION.len());
        self.tail.extend_from_slice(&segment[end..]);
        let over = self.tail.len().saturating_sub(VERSION.len());
        self.tail.drain(..over);
    }

    /// Rejects a method as soon as it is too long.
    fn judge_start_of(&self, line: &[u8]) -> Result<(), Refusal> {
        match self.has_first {
            true => Ok(()),
            false => method(line).map(|_| ()),
        }
    }

    /// Checks a whole line of this length. If it arrived in parts, `line` may hold only its beginning; `tail` holds its end.
    fn judge(&mut self, line: &[u8], tail: &[u8], length: usize) -> Result<Option<Part>, Refusal> {
        // Checked first, as for a line that has not arrived completely.
        self.judge_start_of(line)?;
        if !tail.ends_with(b"\r\n") {
            return Err(malformed(
                "a line of the request ends in a line feed without a carriage return",
            ));
        }
        if !self.has_first {
            self.has_first = true;
            self.is_http_1_1 = tail.ends_with(VERSION);
            self.authority = authority(line)?;
            return Ok(None);
        }
        match line {
            b"\r\n" => return self.end().map(Some),
            [b' ' | b'\t', ..] => {
                return Err(malformed(
                    "a header is folded over several lines, which HTTP no longer allows",
                ));
            }
            _ => {}
        }
        // The result must not depend on how the bytes were split into segments: the rest of a longer line may not have been stored.
        let is_long = length > MAX_STORED_LINE;
        let Some(colon) = line
            .iter()
            .take(MAX_STORED_LINE)
            .position(|byte| *byte == b':')
        else {
            return match is_long {
                true => Err(malformed("the name of a header is longer than 1024 bytes")),
                // It is not a header; the library rejects it.
                false => Ok(None),
            };
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.last().is_some_and(u8::is_ascii_whitespace) {
            return Err(malformed(
                "there is white space between the name of a header and its colon",
            ));
        }
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is_long
            && ["host", "content-length", "transfer-encoding"]
                .into_iter()
                .any(is)
        {
            return Err(malformed(
                "a line with `Host`, `Content-Length` or `Transfer-Encoding` is longer than 1024 bytes",
            ));
        }
        if is("host") {
            self.host(value)?;
        } else if is("content-length") {
            self.content_length(value)?;
        } else if is("transfer-encoding") {
            if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(malformed(
                    "the only accepted transfer coding is `chunked`, once",
                ));
            }
            self.is_chunked = true;
        }
        Ok(None)
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.hosts += 1;
        if self.hosts > 1 {
            return Err(malformed("the header `Host` is given more than once"));
        }
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=:%[]".contains(byte);
        if !value.iter().all(good) {
            return Err(malformed("the header `Host` is not a host name"));
        }
        let other = self.authority.as_ref();
        if other.is_some_and(|other| !other.eq_ignore_ascii_case(value)) {
            return Err(Refusal {
                code: Code::MisdirectedRequest,
                detail: Some("the header `Host` names another host than the request line"),
            });
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(malformed(
                "the header `Content-Length` is given more than once",
            ));
        }
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(value).ok().filter(|_| digits);
        let length = length.and_then(|text| text.parse().ok());
        let length = length.ok_or(malformed("the header `Content-Length` is not a number"))?;
        self.length = Some(length);
        Ok(())
    }

    /// Checks the whole head, and returns what follows it.
    fn end(&self) -> Result<Part, Refusal> {
        if self.is_http_1_1 && self.hosts == 0 {
            return Err(malformed(
                "the header `Host` is missing, which HTTP/1.1 requires",
            ));
        }
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(malformed(
                "`Content-Length` and `Transfer-Encoding` contradict each other; send one of them",
            )),
            (true, None) if !self.is_http_1_1 => Err(malformed(
                "HTTP/1.0 has no transfer codings; send `Content-Length`",
            )),
            (true, None) => Ok(Part::Chunks),
            (false, None | Some(0)) => Ok(Part::Between),
            (false, Some(length)) => Ok(Part::Body(length)),
        }
    }
}

/// Returns the method of a request line, or the part of it that has arrived.
fn method(line: &[u8]) -> Result<&[u8], Refusal> {
    let end = line
        .iter()
        .take(MAX_METHOD + 1)
        .position(|byte| *byte == b' ');
    match end {
        Some(end) => Ok(&line[..end]),
        None if line.len() <= MAX_METHOD => Ok(line),
        None => Err(malformed("the method is longer than any known one")),
    }
}

/// Returns the host that a request line names, when its target is a whole URL (RFC 9112, section 3.2.2).
fn authority(line: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let method = method(line)?;
    let target = line.get(method.len() + 1..).unwrap_or_default();
    let end = target.iter().position(|byte| *byte == b' ');
    let target = &target[..end.unwrap_or(target.len())];
    if matches!(target, [] | [b'/' | b'*', ..]) || method == b"CONNECT" {
        return Ok(None);
    }
    let Some(scheme) = target.windows(3).position(|part| part == b"://") else {
        // Not a valid request target; the library rejects it.
        return Ok(None);
    };
    let host = &target[scheme + 3..];
    match host
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
    {
        Some(end) => Ok(Some(host[..end].to_vec())),
        None if end.is_some() => Ok(Some(host.to_vec())),
        None => Err(malformed("the host in the request line is too long")),
    }
}

#[cfg(test)]
mod tests;
