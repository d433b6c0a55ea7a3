//! W3C Trace Context: which trace a request belongs to.
//!
//! Source: <https://www.w3.org/TR/trace-context/> (Recommendation of 23 November 2021).

use crate::random::{NoRandomness, Random};

/// The place of a request in a trace, as in the header `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace: never all zero.
    pub trace_id: [u8; 16],
    /// The span that a receiver is called from: never all zero.
    pub span_id: [u8; 8],
    /// Whether the caller records the trace.
    pub sampled: bool,
}

impl TraceParent {
    /// Starts a trace.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn start(random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut trace_id = [0; 16];
        random.fill(&mut trace_id)?;
        trace_id[0] |= 1;
        let root = Self {
            trace_id,
            span_id: [0; 8],
            sampled: false,
        };
        root.child(random)
    }

    /// Returns the same trace from a new span.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn child(self, random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut span_id = [0; 8];
        random.fill(&mut span_id)?;
        span_id[0] |= 1;
        Ok(Self { span_id, ..self })
    }

    /// Reads a header. Later versions may have more behind what is known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let version = hex::<1>(bytes.get(..2)?)?[0];
        let rest = bytes.get(55..)?;
        let whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let dashes = [2, 35, 52].iter().all(|at| bytes[*at] == b'-');
        if !whole || !dashes {
            return None;
        }
        let parent = Self {
            trace_id: hex(&bytes[3..35])?,
            span_id: hex(&bytes[36..52])?,
            sampled: hex::<1>(&bytes[53..55])?[0] & 1 == 1,
        };
        (parent.trace_id != [0; 16] && parent.span_id != [0; 8]).then_some(parent)
    }

    /// Returns the trace as logs and tracing tools show it.
    #[must_use]
    pub fn trace_text(&self) -> String {
        text(&self.trace_id)
    }
}

/// Writes the header.
impl std::fmt::Display for TraceParent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (trace, span) = (text(&self.trace_id), text(&self.span_id));
        write!(f, "00-{trace}-{span}-0{}", u8::from(self.sampled))
    }
}

/// Reads lower-case hexadecimal digits, the only ones that are allowed.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(*pair.get(1)?)?;
    }
    Some(bytes)
}

fn text(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::TraceParent;
    use crate::random::SequenceRandom;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_recommendation_is_read_and_written() {
        let parent = TraceParent::parse(EXAMPLE).unwrap();
        assert!(parent.sampled);
        assert_eq!(parent.to_string(), EXAMPLE);
        assert_eq!(parent.trace_text(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let later = format!("01{}-more", &EXAMPLE[2..]);
        assert_eq!(TraceParent::parse(&later), Some(parent));
    }

    #[test]
    fn what_the_recommendation_forbids_is_not_read() {
        for text in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0é47-00f067aa0ba902b7-01..",
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_child_stays_in_its_trace() {
        let random = SequenceRandom::new(1);
        let parent = TraceParent::start(&random).unwrap();
        let child = parent.child(&random).unwrap();
        assert_eq!(child.trace_id, parent.trace_id);
        assert_ne!(child.span_id, parent.span_id);
        assert_eq!(TraceParent::parse(&child.to_string()), Some(child));
    }
}
