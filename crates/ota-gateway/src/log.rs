//! The log: its lines are written by a separate thread, so that a stalled reader never stops the service.
//!
//! A line is put into memory and the caller continues. When the reader has stopped and the memory is full, lines are dropped and counted; as soon as
//! there is room again, one line reports how many. No other part of the program writes to standard error.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ota_core::escape::escaped;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{BUFFER_BYTES, LogConfig, LogFormat};
use crate::escape::OneLine;
use crate::instrument::{self, NO_LABELS, instruments};

/// Additional buffer space, in bytes, reserved for error lines, such as that of a panic.
const RESERVE_BYTES: usize = 64 << 10;

/// How long shutdown waits for lines to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The delay before a retry when the output is non-blocking and full, such as a terminal that another program set to non-blocking mode.
const PAUSE: Duration = Duration::from_millis(10);

/// The output of the log. Clones share one output.
#[derive(Clone, Debug)]
pub struct Output(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Notified when there is something to write, or when the output has ended.
    filled: Condvar,
    /// Notified when all buffered lines have been written.
    written: Condvar,
    capacity: AtomicUsize,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// The number of dropped lines that are not yet reported in the log.
    unnamed: u64,
    /// The number of dropped lines that the line being created reports.
    naming: u64,
    /// The number of dropped lines that the lines in `bytes` report.
    named: u64,
    writing: bool,
    ended: bool,
}

/// How much of the buffer a line may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Usual,
    /// An error, which may use the reserve.
    Urgent,
    /// Reports dropped lines. It may use the reserve; if there is no room, it is created again later.
    Notice,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_dropped(&self, waiting: &mut Waiting, lines: u64) {
        waiting.unnamed = waiting.unnamed.saturating_add(lines);
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// Appends a line to the buffer, or drops it if there is no room. Never waits for the reader.
    fn push(&self, line: &[u8], kind: Kind) {
        let reserve = match kind {
            Kind::Usual => 0,
            Kind::Urgent | Kind::Notice => RESERVE_BYTES,
        };
        let most = self.capacity.load(Ordering::Relaxed) + reserve;
        let mut waiting = self.lock();
        if waiting.bytes.len() + line.len() > most {
            if kind != Kind::Notice {
                self.count_dropped(&mut waiting, 1);
            }
            return;
        }
        if kind == Kind::Notice {
            let naming = std::mem::take(&mut waiting.naming);
            waiting.unnamed = waiting.unnamed.saturating_sub(naming);
            waiting.named = waiting.named.saturating_add(naming);
        }
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Writes the buffered lines until the output has ended and the buffer is empty.
    fn run(&self, mut to: impl Write) {
        let mut lines = Vec::new();
        loop {
            let named = {
                let mut waiting = self.lock();
                waiting.writing = false;
                self.written.notify_all();
                while waiting.bytes.is_empty() {
                    if waiting.ended {
                        return;
                    }
                    waiting = self
                        .filled
                        .wait(waiting)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                std::mem::swap(&mut waiting.bytes, &mut lines);
                waiting.writing = true;
                std::mem::take(&mut waiting.named)
            };
            let result = write_all(&mut to, &lines);
            let dropped = {
                let mut waiting = self.lock();
                match result {
                    // They count as reported once the line that reports them is in the buffer.
                    Ok(()) => {
                        waiting.naming = waiting.unnamed;
                        waiting.naming
                    }
                    // The reader has disconnected; another may connect. The dropped lines that these lines report must be reported again.
                    Err(_) => {
                        let lost = lines.iter().filter(|byte| **byte == b'\n').count();
                        self.count_dropped(&mut waiting, lost as u64);
                        waiting.unnamed = waiting.unnamed.saturating_add(named);
                        0
                    }
                }
            };
            lines.clear();
            if dropped > 0 {
                tracing::warn!(
                    log.dropped = dropped,
                    "{dropped} lines of the log were dropped: they were not read in time"
                );
            }
        }
    }
}

fn write_all(to: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Output {
    /// Starts the output to standard error.
    ///
    /// # Errors
    /// When there is no standard error or the thread cannot be started.
    pub fn to_stderr() -> io::Result<Self> {
        // A separate descriptor: while a write to the standard one blocks, its lock is held, and all other writers block too.
        let file = io::stderr().as_fd().try_clone_to_owned()?;
        Self::start(std::fs::File::from(file))
    }

    /// Starts an output that writes to this writer on its own thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(to: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
            capacity: AtomicUsize::new(BUFFER_BYTES),
            dropped: AtomicU64::new(0),
        });
        let running = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || running.run(to))?;
        Ok(Self(shared))
    }

    /// Installs this output for the log of the whole process, and for panics.
    pub fn install(&self, config: &LogConfig) {
        self.0
            .capacity
            .store(config.buffer_bytes, Ordering::Relaxed);
        let layer = match config.format {
            LogFormat::Text => fmt::layer()
                .fmt_fields(OneLine)
                .with_ansi(io::stderr().is_terminal())
                .log_internal_errors(false)
                .with_writer(self.clone())
                .boxed(),
            LogFormat::Json => fmt::layer()
                .json()
                .flatten_event(true)
                .log_internal_errors(false)
                .with_writer(self.clone())
                .boxed(),
        };
        let installed = tracing_subscriber::registry()
            .with(layer.with_filter(config.filter.clone()))
            .try_init();
        debug_assert!(installed.is_ok(), "log is installed once");
        let (output, format) = (self.clone(), config.format);
        std::panic::set_hook(Box::new(move |panic| output.note_panic(format, panic)));
    }

    /// Writes a text that is not part of the log, such as why the program ends.
    pub fn print(&self, text: &str) {
        self.0.push(format!("{text}\n").as_bytes(), Kind::Urgent);
    }

    /// Returns the counter of dropped lines.
    #[must_use]
    pub fn dropped(&self) -> DroppedLines {
        DroppedLines(Arc::clone(&self.0))
    }

    /// Waits until all lines are written or the time limit is reached, and returns whether all are written.
    pub fn flush(&self, patience: Duration) -> bool {
        let waits = |waiting: &mut Waiting| waiting.writing || !waiting.bytes.is_empty();
        let (_waiting, time_out) = self
            .0
            .written
            .wait_timeout_while(self.0.lock(), patience, waits)
            .unwrap_or_else(PoisonError::into_inner);
        !time_out.timed_out()
    }

    /// Ends the output when the returned value is dropped; buffered lines are written first, as far as the reader reads them.
    #[must_use]
    pub fn ending(&self) -> Ending {
        Ending(self.clone())
    }

    /// Writes the line of a panic in the format of the log, even if a filter excludes errors.
    fn note_panic(&self, format: LogFormat, panic: &PanicHookInfo<'_>) {
        let text = text_of(panic.payload());
        let place = panic.location().map(ToString::to_string);
        let place = place.as_deref().unwrap_or("an unknown place");
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("(no name)");
        let backtrace = Backtrace::capture();
        let backtrace =
            (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        if tracing::enabled!(Level::ERROR) {
            tracing::error!(
                panic.place = place,
                panic.thread = thread,
                panic.backtrace = backtrace,
                "the program panicked: {text}"
            );
            return;
        }
        let line = match format {
            LogFormat::Json => serde_json::json!({
                "level": "ERROR", "message": format!("the program panicked: {text}"), "target": module_path!(),
                "panic.place": place, "panic.thread": thread, "panic.backtrace": backtrace,
            })
            .to_string(),
            LogFormat::Text => escaped(&format!(
                "ERROR the program panicked: {text} panic.place=\"{place}\" panic.thread=\"{thread}\""
            ))
            .into_owned(),
        };
        self.print(&line);
    }
}

/// Returns the text that a panic was raised with.
#[must_use]
pub fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("(no text)")
}

/// Ends an [`Output`] when it is dropped, even if the program panics.
#[derive(Debug)]
pub struct Ending(Output);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
        self.0.0.lock().ended = true;
        self.0.0.filled.notify_one();
    }
}

/// Counts the lines that an output has dropped.
#[derive(Clone, Debug)]
pub struct DroppedLines(Arc<Shared>);

instruments! {
    /// Log lines that are lost.
    pub(crate) struct LogMetrics {
        /// Lines of the log that were dropped because they were not read in time; see log.buffer_bytes.
        dropped: Counter "ota_log_lines_dropped_total" [],
    }
}

impl LogMetrics {
    /// Records how many lines have been dropped.
    pub(crate) fn dropped(&self, lines: u64) {
        instrument::raise(&self.dropped, &NO_LABELS, lines);
    }
}

impl DroppedLines {
    /// Returns how many lines have been dropped.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

/// The writer for one event of the log.
#[derive(Debug)]
pub struct Line<'a> {
    shared: &'a Shared,
    kind: Kind,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.push(line, self.kind);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            shared: &self.0,
            kind: Kind::Usual,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line {
            shared: &self.0,
            kind: match *metadata.level() {
                Level::ERROR => Kind::Urgent,
                // This module has one event at this level.
                Level::WARN if metadata.module_path() == Some(module_path!()) => Kind::Notice,
                _ => Kind::Usual,
            },
        }
    }
}

#[cfg(test)]
mod tests;
