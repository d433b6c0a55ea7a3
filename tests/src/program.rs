//! The gateway's program, run as an operator runs it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use tokio::process::Command;

/// Returns the path of the program, built if it is missing or older than its sources.
///
/// `OTA_GATEWAY_BIN` names another one, for instance of a release. Cargo tells the path of a program only to tests of its own
/// package, so the folder is taken from where this test lies: `target/PROFILE/deps`.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn path() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> PathBuf {
    if let Some(path) = std::env::var_os("OTA_GATEWAY_BIN") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("a test knows where it lies");
    let profile = test
        .ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "deps"))
        .and_then(Path::parent)
        .expect("a test lies in target/PROFILE/deps");
    let program = profile.join(format!("ota-gateway{}", std::env::consts::EXE_SUFFIX));
    let target = profile.parent().expect("a profile lies in a target folder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = std::process::Command::new(cargo);
    build
        .current_dir(crate::contract::root())
        // The features of the whole workspace, so that what the tests were built from serves again.
        .args(["build", "--quiet", "--workspace", "--bin", "ota-gateway"])
        .arg("--target-dir")
        .arg(target)
        .stdin(Stdio::null());
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(name) => {
            build.args(["--profile", name]);
        }
    }
    let built = build.output();
    let success = built.as_ref().is_ok_and(|output| output.status.success());
    assert!(
        success || program.exists(),
        "the program cannot be built: {built:?}"
    );
    program
}

/// Returns a command for the program, without anything of the environment that would change its configuration.
#[must_use]
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(path());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTA_GATEWAY") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        // A test that needs the mirror gives it a database in a folder of its own.
        .env("OTA_GATEWAY__MIRROR__ENABLED", "false")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs the program to its end.
///
/// # Panics
/// When it does not end in time.
pub async fn run(arguments: &[&str]) -> Output {
    run_command(command(arguments)).await
}

/// Runs a command to its end.
///
/// # Panics
/// When it does not end in time.
pub async fn run_command(mut command: Command) -> Output {
    tokio::time::timeout(crate::wire::PATIENCE, command.output())
        .await
        .expect("program ends in time")
        .expect("program can be run")
}

/// Returns what a program wrote to its standard output.
#[must_use]
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns what a program wrote to its standard error.
#[must_use]
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
