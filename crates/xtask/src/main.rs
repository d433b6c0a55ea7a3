#![doc = include_str!("../README.md")]

mod bench;
mod capabilities;
mod cycles;
mod guide;
mod layers;
mod metrics;
mod new_provider;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["openapi"] => write(&openapi_file(), &ota_gateway::commands::openapi::run()),
        ["openapi", "--check"] => compare(
            &openapi_file(),
            &ota_gateway::commands::openapi::run(),
            "openapi",
        ),
        ["capabilities"] => write(&capabilities_file(), &capabilities::text()),
        ["capabilities", "--check"] => compare(
            &capabilities_file(),
            &capabilities::text(),
            "capabilities",
        ),
        ["config"] => write(&config_file(), &ota_gateway::config::example()),
        ["config", "--check"] => {
            compare(&config_file(), &ota_gateway::config::example(), "config")
        }
        ["metrics"] => metrics::page(&root()).and_then(|text| write(&metrics_file(), &text)),
        ["metrics", "--check"] => {
            metrics::page(&root()).and_then(|text| compare(&metrics_file(), &text, "metrics"))
        }
        ["tidy"] => tidy::run(&root()),
        ["new-provider", name] => made(&root(), name),
        ["new-provider", name, "--in", folder] => made(Path::new(folder), name),
        ["bench", rest @ ..] => bench::run(&root(), rest),
        _ => Err("usage: cargo xtask openapi|capabilities|config|metrics [--check], cargo xtask tidy, cargo xtask new-provider NAME [--in FOLDER], cargo xtask bench [--only SCENARIO] [--quick]".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a new provider into the tree in a folder, and says what to do next.
fn made(root: &Path, name: &str) -> Result<(), String> {
    println!("{}", new_provider::run(root, name)?);
    Ok(())
}

/// Returns the folder of the workspace: two above this crate's.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

fn openapi_file() -> PathBuf {
    root().join("openapi/gateway.v1.json")
}

fn capabilities_file() -> PathBuf {
    root().join("docs/capabilities.md")
}

fn config_file() -> PathBuf {
    root().join("config.example.toml")
}

fn metrics_file() -> PathBuf {
    root().join(metrics::FILE)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn compare(path: &Path, text: &str, command: &str) -> Result<(), String> {
    let file =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if file == text {
        return Ok(());
    }
    let line = file
        .lines()
        .zip(text.lines())
        .position(|(file, text)| file != text);
    let line = line.unwrap_or_else(|| file.lines().count().min(text.lines().count())) + 1;
    Err(format!(
        "{}:{line}: is not what the code generates; run `cargo xtask {command}` and commit the result",
        path.display()
    ))
}
