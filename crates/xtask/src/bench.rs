//! `cargo xtask bench`: builds with optimization what is measured, and measures.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = [
        "build",
        "--release",
        "--quiet",
        "--package",
        "ota-gateway",
        "--package",
        "ota-bench",
    ];
    succeed(Command::new(cargo).args(build).current_dir(root))?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let programs = target.join("release");
    let mut bench = Command::new(programs.join("ota-bench"));
    bench
        .arg("--gateway")
        .arg(programs.join("ota-gateway"))
        .args(arguments)
        .current_dir(root);
    // In place of this process, so that a signal that ends it ends the benchmark and all that it has started.
    let error = bench.exec();
    Err(format!("ota-bench: {error}"))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program}: {status}")),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
