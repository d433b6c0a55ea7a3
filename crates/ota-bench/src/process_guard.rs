//! Programs that end when the benchmark ends, however it ends.
//!
//! Between the benchmark and the program stands a shell that reads from a pipe. The pipe closes when the value here is dropped, and also when the
//! benchmark is killed; then the shell ends the program. A program with workers of its own, such as nginx, is asked to end, since workers whose master was
//! killed go on.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::scenario::Outcome;

/// The first argument is the signal, the rest is the command. `$!` is the program's process.
const SCRIPT: &str =
    "\"$@\" >/dev/null & echo $!; exec >/dev/null; read -r _; kill -\"$0\" $! 2>/dev/null; wait $!";

/// How long a program is waited for once it was asked to end.
const LONGEST_END: Duration = Duration::from_secs(10);

const LOOK: Duration = Duration::from_millis(2);

/// How a program is asked to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// By SIGKILL: it has started nothing.
    Kill,
    /// By SIGTERM: it ends what it has started.
    Terminate,
}

/// A running program. It has ended when this has been dropped.
#[derive(Debug)]
pub(crate) struct ProcessGuard {
    shell: Child,
    process: u32,
}

impl ProcessGuard {
    /// Starts a program, with its standard error to `log`.
    pub(crate) async fn start(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
        log: Stdio,
        end: End,
    ) -> Outcome<Self> {
        let signal = match end {
            End::Kill => "KILL",
            End::Terminate => "TERM",
        };
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, signal])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut process = String::new();
        let stdout = shell.stdout.take().ok_or("the shell has no output")?;
        BufReader::new(stdout).read_line(&mut process).await?;
        Ok(Self {
            process: process.trim().parse()?,
            shell,
        })
    }

    /// Returns the program's process.
    pub(crate) fn process(&self) -> u32 {
        self.process
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let mut waited = Duration::ZERO;
        while waited < LONGEST_END && matches!(self.shell.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK);
            waited += LOOK;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{End, ProcessGuard};
    use std::path::{Path, PathBuf};
    use std::process::Stdio;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt as _;

    fn runs(process: &str) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{process}/stat"));
        // One that has ended and was not waited for by its new parent is as good as gone.
        state.is_ok_and(|text| !text.contains(") Z "))
    }

    async fn until(holds: impl Fn() -> bool) {
        let wait = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait)
            .await
            .unwrap();
    }

    /// A program with a worker, whose process it writes into a file, and which it ends when it is asked to end.
    fn master(folder: &Path) -> (String, PathBuf) {
        let file = folder.join("worker");
        let script = format!(
            "trap 'kill $worker; exit' TERM; sleep 1000 & worker=$!; echo $worker > {0}.new; mv {0}.new {0}; wait",
            file.display()
        );
        (script, file)
    }

    #[tokio::test]
    async fn a_program_and_its_workers_have_ended_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let (script, file) = master(folder.path());
        let process_guard =
            ProcessGuard::start("sh", ["-c", &script], Stdio::null(), End::Terminate);
        let process_guard = process_guard.await.unwrap();
        until(|| file.exists()).await;
        let worker = std::fs::read_to_string(&file).unwrap();
        let (worker, master) = (worker.trim(), process_guard.process().to_string());
        assert!(runs(worker) && runs(&master));
        drop(process_guard);
        assert!(!runs(&master));
        until(|| !runs(worker)).await;
    }

    #[tokio::test]
    async fn a_program_ends_when_its_benchmark_is_killed() {
        // The shell that holds the pipe stands for the benchmark.
        let mut process_guard = ProcessGuard::start("sleep", ["1000"], Stdio::null(), End::Kill)
            .await
            .unwrap();
        let process = process_guard.process().to_string();
        assert!(runs(&process));
        let mut pipe = process_guard.shell.stdin.take().unwrap();
        pipe.flush().await.unwrap();
        // What the operating system does for a process that is killed.
        drop(pipe);
        until(|| !runs(&process)).await;
    }
}
