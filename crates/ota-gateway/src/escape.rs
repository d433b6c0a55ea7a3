//! Writes each event of the text log on one line, even if it contains text from clients or vendors.

use std::fmt::{self, Write as _};

use ota_core::escape::Escaping;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes the fields of an event for the text log as the library does, with every message and value on one line.
///
/// The library escapes colours in messages only: a line end in an identifier, a vendor's message or a key's `kid` would start a line that looks like
/// one written by the gateway.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneLine;

impl<'writer> FormatFields<'writer> for OneLine {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = FieldWriter {
            writer,
            first: true,
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct FieldWriter<'writer> {
    writer: Writer<'writer>,
    first: bool,
    result: fmt::Result,
}

impl FieldWriter<'_> {
    fn write(&mut self, name: &str, value: &dyn fmt::Debug) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.writer.write_char(' ')?;
        }
        if name != "message" {
            match self.writer.has_ansi_escapes() {
                // As the library has it: names in italics, the sign dimmed.
                true => write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m")?,
                false => write!(self.writer, "{name}=")?,
            }
        }
        write!(Escaping(&mut self.writer), "{value:?}")
    }
}

impl Visit for FieldWriter<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.result.is_ok() {
            let name = field.name();
            self.result = self.write(name.strip_prefix("r#").unwrap_or(name), value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OneLine;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Book(Arc<Mutex<Vec<u8>>>);

    impl Write for Book {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Book {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_its_fields() {
        let forged = "x\n2026-01-01T00:00:00Z  INFO ota_gateway: all is well\u{1b}[0m\u{2028}";
        for ansi in [false, true] {
            let book = Book::default();
            let subscriber = tracing_subscriber::fmt()
                .fmt_fields(OneLine)
                .with_ansi(ansi)
                .with_writer(book.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                let error = std::io::Error::other(forged);
                tracing::warn!(
                    text = forged,
                    shown = %forged,
                    debug = ?[forged],
                    error = &error as &dyn std::error::Error,
                    number = 5,
                    "a message with {forged}"
                );
            });
            let text = String::from_utf8(book.0.lock().unwrap().clone()).unwrap();
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(text.ends_with('\n') && !text.contains('\u{2028}'), "{text}");
            assert!(!text.contains("well\u{1b}[0m"), "{text}");
            assert!(text.contains("a message with x\\n2026"), "{text}");
            match ansi {
                false => assert!(text.contains(" number=5"), "{text}"),
                true => assert!(text.contains("\u{1b}[3mnumber\u{1b}[0m"), "{text}"),
            }
        }
    }
}
