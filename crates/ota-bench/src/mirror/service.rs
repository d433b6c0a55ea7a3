//! A small FastAPI and SQLAlchemy service over the same file.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::gateway;
use crate::process_guard::{End, ProcessGuard};
use crate::scenario::{Outcome, Setting};

const REQUIREMENTS: &str = include_str!("../../service/requirements.txt");
const PROGRAM: &str = include_str!("../../service/fleet.py");

/// How long its first answer is waited for.
const START: Duration = Duration::from_secs(30);

/// A running service; ends when dropped.
pub(crate) struct Service {
    _program: ProcessGuard,
    /// Where it answers.
    pub(crate) url: String,
}

impl Service {
    /// Installs what it needs beside the gateway's program, once, and starts it.
    pub(crate) async fn start(setting: &Setting, database: &Path) -> Outcome<Self> {
        let beside = setting.gateway.parent().unwrap_or(Path::new("."));
        let python = environment(&std::path::absolute(beside)?.join("bench-python")).await?;
        let program = database.with_file_name("fleet.py");
        std::fs::write(&program, PROGRAM)?;
        let port = gateway::free_address()?.port();
        let arguments = [
            program.as_os_str().to_owned(),
            database.as_os_str().to_owned(),
            port.to_string().into(),
        ];
        let log = std::fs::File::create(database.with_file_name("fleet.log"))?;
        let process_guard = ProcessGuard::start(python, arguments, log.into(), End::Kill).await?;
        let url = format!("http://127.0.0.1:{port}");
        let client = gateway::client()?;
        let ready = async {
            while client.get(format!("{url}/v1/jobs")).send().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ready = tokio::time::timeout(START, ready).await;
        ready.map_err(|_| "the service does not start")?;
        Ok(Self {
            _program: process_guard,
            url,
        })
    }
}

/// Returns the Python of an environment of its own that has what is needed.
async fn environment(folder: &Path) -> Outcome<PathBuf> {
    let python = folder.join("bin/python");
    let installed = folder.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(python);
    }
    let made = ["-m", "venv", "--clear"];
    execute(Command::new("python3").args(made).arg(folder)).await?;
    let requirements = folder.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS)?;
    let install = ["-m", "pip", "install", "--quiet", "-r"];
    execute(Command::new(&python).args(install).arg(&requirements)).await?;
    std::fs::write(&installed, REQUIREMENTS)?;
    Ok(python)
}

async fn execute(command: &mut Command) -> Outcome<()> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.kill_on_drop(true).output().await?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr)
            .lines()
            .last()
            .unwrap_or("it cannot be installed")
            .to_owned()
            .into()),
    }
}
