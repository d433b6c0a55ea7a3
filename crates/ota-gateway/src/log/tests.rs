use super::{Kind, Output, RESERVE_BYTES};
use crate::config::{LogConfig, LogFormat};
use ota_core::clock::{Clock as _, SystemClock};
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// A reader that accepts one write for each permit.
struct Reader {
    permits: Receiver<()>,
    read: Arc<Mutex<Vec<u8>>>,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let closed = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.permits.recv().map_err(closed)?;
        self.read.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn output(capacity: usize) -> (Output, SyncSender<()>, Arc<Mutex<Vec<u8>>>) {
    let (permit, permits) = sync_channel(100);
    let read = Arc::<Mutex<Vec<u8>>>::default();
    let reader = Reader {
        permits,
        read: Arc::clone(&read),
    };
    let output = Output::start(reader).unwrap();
    output.0.capacity.store(capacity, Ordering::Relaxed);
    (output, permit, read)
}

/// Waits until the thread has taken the buffered lines and is blocked in writing them.
fn until_taken(output: &Output) {
    let end = SystemClock.monotonic() + PATIENCE;
    while !(output.0.lock().bytes.is_empty() && output.0.lock().writing) {
        assert!(SystemClock.monotonic() < end, "the thread takes the lines");
        std::thread::yield_now();
    }
}

#[test]
fn what_finds_no_room_is_dropped_and_counted_and_memory_stays_bounded() {
    let (output, permit, read) = output(100);
    output.0.push(b"first\n", Kind::Usual);
    until_taken(&output);
    for _ in 0..1000 {
        output.0.push(b"0123456789\n", Kind::Usual);
    }
    // 9 lines of 11 bytes fit into 100.
    assert_eq!(output.dropped().count(), 991);
    assert_eq!(output.0.lock().bytes.len(), 99);
    // An error line has room when other lines do not, but the reserve is limited.
    output.print("why it ends");
    assert!(output.0.lock().bytes.ends_with(b"why it ends\n"));
    for _ in 0..RESERVE_BYTES {
        output.print("again");
    }
    assert!(output.0.lock().bytes.len() <= 100 + RESERVE_BYTES);
    // Nothing waits for a blocked reader, not even the end of the process.
    assert!(!output.flush(Duration::from_millis(1)));
    permit.send(()).unwrap();
    permit.send(()).unwrap();
    assert!(output.flush(PATIENCE));
    let read = String::from_utf8(read.lock().unwrap().clone()).unwrap();
    assert!(read.starts_with("first\n0123456789\n"), "{read}");
    assert_eq!(read.matches("0123456789\n").count(), 9);
}

#[test]
fn dropped_lines_count_as_named_when_the_line_that_names_them_has_found_room() {
    let (output, permit, _) = output(100);
    output.0.push(b"first\n", Kind::Usual);
    until_taken(&output);
    for _ in 0..1000 {
        output.0.push(b"0123456789\n", Kind::Usual);
    }
    let name = |number: u64| {
        output.0.lock().naming = number;
        output.0.push(b"some were dropped\n", Kind::Notice);
        let waiting = output.0.lock();
        (waiting.unnamed, waiting.named)
    };
    // The memory for usual lines is full, but this line has room.
    assert_eq!(name(991), (0, 991));
    output.0.push(b"0123456789\n", Kind::Usual);
    for _ in 0..RESERVE_BYTES {
        output.print("again");
    }
    let before = output.dropped().count();
    // There is no room: the dropped lines remain to be reported, and the report line itself is not counted among them.
    assert_eq!(name(before - 991), (before - 991, 991));
    assert_eq!(output.dropped().count(), before);
    // The reader disconnects without reading the report.
    drop(permit);
    assert!(output.flush(PATIENCE));
    assert_eq!(output.0.lock().unnamed, output.dropped().count());
}

#[test]
fn a_reader_that_is_gone_costs_lines_and_nothing_else() {
    let (output, permit, _) = output(1000);
    drop(permit);
    output.0.push(b"one\n", Kind::Usual);
    output.0.push(b"two\n", Kind::Usual);
    assert!(output.flush(PATIENCE));
    assert_eq!(output.dropped().count(), 2);
}

const CHILD: &str = "OTA_TEST_OF_PANICS";

/// What a process writes to standard error whose log is of this form and filter, and which panics twice.
fn panicking(name: &str, format: &str, filter: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("log::tests::{name}"), "--nocapture"])
        .env(CHILD, format!("{format} {filter}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// In the process that [`panicking`] starts: panics and returns true.
fn is_child() -> bool {
    let Ok(form) = std::env::var(CHILD) else {
        return false;
    };
    let (format, filter) = form.split_once(' ').unwrap();
    let output = Output::to_stderr().unwrap();
    let _ending = output.ending();
    output.install(&LogConfig {
        warnings: Vec::new(),
        format: match format {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        },
        filter: filter.parse().unwrap(),
        buffer_bytes: 1 << 20,
    });
    for text in ["line one\nERROR forged \u{1b}[31m", "second"] {
        let panic = std::thread::Builder::new()
            .name("worker".to_owned())
            .spawn(move || panic!("{text}"));
        assert!(panic.unwrap().join().is_err());
    }
    true
}

#[test]
fn a_panic_is_a_line_of_the_log_in_its_form() {
    if is_child() {
        return;
    }
    for filter in ["info", "off"] {
        let name = "a_panic_is_a_line_of_the_log_in_its_form";
        let json = panicking(name, "json", filter);
        let lines: Vec<serde_json::Value> = json
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line} in {json}")))
            .collect();
        assert_eq!(lines.len(), 2, "{json}");
        assert_eq!(lines[0]["level"], "ERROR");
        assert_eq!(
            lines[0]["message"],
            "the program panicked: line one\nERROR forged \u{1b}[31m"
        );
        assert_eq!(lines[0]["panic.thread"], "worker");
        assert!(
            lines[0]["panic.place"]
                .as_str()
                .unwrap()
                .contains("tests.rs:")
        );
        let text = panicking(name, "text", filter);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.contains("the program panicked: line one\\nERROR forged \\u{1b}[31m"),
            "{text}"
        );
    }
}
