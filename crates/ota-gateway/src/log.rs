//! The log: its lines are written by a separate thread, so that a stalled reader never stops the service.
//!
//! A line is put into memory and the caller goes on. When the reader has stopped and the memory is full, lines are dropped and counted; as soon as
//! there is room again one line says how many. Nothing else of the program writes to standard error.

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

/// How much more may wait when a line is an error, such as that of a panic.
const RESERVE_BYTES: usize = 64 << 10;

/// How long the end of the process waits for lines to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// How long is waited before writing again to what takes nothing and does not block, such as a terminal that another program has set so.
const PAUSE: Duration = Duration::from_millis(10);

/// Where lines of the log go. Clones are one output.
#[derive(Clone, Debug)]
pub struct Output(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Something waits to be written, or nothing will any more.
    filled: Condvar,
    /// All that waited has been written.
    written: Condvar,
    capacity: AtomicUsize,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Dropped lines that no line has named yet.
    unnamed: u64,
    /// How many the line names that is being made.
    naming: u64,
    /// How many the lines among `bytes` name.
    named: u64,
    writing: bool,
    ended: bool,
}

/// How much a line may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Usual,
    /// An error, which may use the reserve.
    Urgent,
    /// Names dropped lines. It may use the reserve; when there is no room, it is made again later.
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

    /// Puts a line behind those that wait, or drops it. Never waits for the reader.
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

    /// Writes what waits until the output has ended and nothing waits any more.
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
                    // They count as named when the line that says so has found room.
                    Ok(()) => {
                        waiting.naming = waiting.unnamed;
                        waiting.naming
                    }
                    // The reader is gone; perhaps another one comes. It has not read what these lines name either.
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
        // A descriptor of its own: while a write to the usual one hangs, it is locked, and all who write there hang too.
        let file = io::stderr().as_fd().try_clone_to_owned()?;
        Self::start(std::fs::File::from(file))
    }

    /// Starts an output that writes here, by a thread of its own.
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

    /// Makes this output that of the log of the whole process, and of panics.
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
        debug_assert!(installed.is_ok(), "one log in one process");
        let (output, format) = (self.clone(), config.format);
        std::panic::set_hook(Box::new(move |panic| output.note_panic(format, panic)));
    }

    /// Writes a text that is not part of the log, such as why the program ends.
    pub fn print(&self, text: &str) {
        self.0.push(format!("{text}\n").as_bytes(), Kind::Urgent);
    }

    /// Returns what counts the lines that were dropped.
    #[must_use]
    pub fn dropped(&self) -> DroppedLines {
        DroppedLines(Arc::clone(&self.0))
    }

    /// Waits until all lines are written, but not longer than so long, and returns whether they are.
    pub fn flush(&self, patience: Duration) -> bool {
        let waits = |waiting: &mut Waiting| waiting.writing || !waiting.bytes.is_empty();
        let (_waiting, time_out) = self
            .0
            .written
            .wait_timeout_while(self.0.lock(), patience, waits)
            .unwrap_or_else(PoisonError::into_inner);
        !time_out.timed_out()
    }

    /// Ends the output when the returned value is dropped, after what waits has been written as far as it is read.
    #[must_use]
    pub fn ending(&self) -> Ending {
        Ending(self.clone())
    }

    /// Writes the line of a panic, in the form of the log also where a filter leaves errors out.
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

/// Ends an [`Output`] when it is dropped, also where the program panics.
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
    /// What the log loses.
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

/// Takes one event of the log.
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
