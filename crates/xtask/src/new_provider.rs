//! `cargo xtask new-provider NAME`: the beginning of an adapter, with its simulator, its conformance subject and the lines that register them.
//!
//! What it writes compiles, keeps the rules of the workspace, and fails the conformance cases in the order in which `docs/adding-a-provider.md` makes them
//! pass. The files come from `templates/`, where `__name__` stands for the name as it is given, `__snake__` for its form in Rust paths, `__Name__` for its
//! form in types, and `__port__` for the port of the simulator.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file that is written: its path and its text.
type Template = (&'static str, &'static str);

/// The files of a new provider. The crate's own tests are in its modules.
pub(crate) const TEMPLATES: &[Template] = &[
    (
        "crates/ota-provider-__name__/Cargo.toml",
        include_str!("../templates/adapter/Cargo.toml.template"),
    ),
    (
        "crates/ota-provider-__name__/README.md",
        include_str!("../templates/adapter/README.md"),
    ),
    (
        "crates/ota-provider-__name__/config.toml",
        include_str!("../templates/adapter/config.toml"),
    ),
    (
        "crates/ota-provider-__name__/src/lib.rs",
        include_str!("../templates/adapter/src/lib.rs"),
    ),
    (
        "crates/ota-provider-__name__/src/adapter.rs",
        include_str!("../templates/adapter/src/adapter.rs"),
    ),
    (
        "crates/ota-provider-__name__/src/config.rs",
        include_str!("../templates/adapter/src/config.rs"),
    ),
    (
        "crates/ota-provider-__name__/src/client.rs",
        include_str!("../templates/adapter/src/client.rs"),
    ),
    (
        "crates/ota-provider-__name__/src/error.rs",
        include_str!("../templates/adapter/src/error.rs"),
    ),
    (
        "crates/ota-provider-__name__/src/provider.rs",
        include_str!("../templates/adapter/src/provider.rs"),
    ),
    (
        "crates/ota-sim/src/__snake__/mod.rs",
        include_str!("../templates/simulator/mod.rs"),
    ),
    (
        "crates/ota-sim/src/__snake__/config.rs",
        include_str!("../templates/simulator/config.rs"),
    ),
    (
        "crates/ota-sim/src/__snake__/front.rs",
        include_str!("../templates/simulator/front.rs"),
    ),
    (
        "crates/ota-sim/src/__snake__/vocabulary.rs",
        include_str!("../templates/simulator/vocabulary.rs"),
    ),
    (
        "crates/ota-conformance/tests/all/__snake__.rs",
        include_str!("../templates/subject/subject.rs"),
    ),
];

/// Where a line goes.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// Among the lines that begin with this text, in their order.
    Among(&'static str),
    /// Among the declarations of modules, in the order of their names.
    Module,
    /// At the end of the list that begins with this line.
    EndOf(&'static str),
}

/// The lines that register a new provider: file, line and place. Nothing else outside of its own files is written by hand.
pub(crate) const LINES: &[(&str, &str, Place)] = &[
    (
        "Cargo.toml",
        "ota-provider-__name__ = { path = \"crates/ota-provider-__name__\" }",
        Place::Among("ota-provider-"),
    ),
    (
        "crates/ota-gateway/Cargo.toml",
        "ota-provider-__name__.workspace = true",
        Place::Among("ota-provider-"),
    ),
    (
        "crates/ota-gateway/src/vendors.rs",
        "    &ota_provider___snake__::__Name__Adapter,",
        Place::EndOf("pub const ADAPTERS: &[&dyn Vendor] = &["),
    ),
    (
        "crates/ota-sim/src/lib.rs",
        "pub mod __snake__;",
        Place::Module,
    ),
    (
        "crates/ota-sim/src/registry.rs",
        "    &crate::__snake__::SIMULATOR,",
        Place::EndOf("pub static SIMULATORS: &[&Simulator] = &["),
    ),
    (
        "crates/ota-conformance/Cargo.toml",
        "ota-provider-__name__.workspace = true",
        Place::Among("ota-provider-"),
    ),
    (
        "crates/ota-conformance/tests/all/main.rs",
        "mod __snake__;",
        Place::Module,
    ),
    (
        "crates/ota-conformance/tests/all/main.rs",
        "    __snake__::VENDOR,",
        Place::EndOf("const VENDORS: &[Vendor] = &["),
    ),
];

/// What is generated and changes with a new provider: the command, and the files that it writes.
pub(crate) const GENERATED: &[(&str, &[&str])] = &[
    ("cargo xtask config", &["config.example.toml"]),
    ("cargo xtask capabilities", &["docs/capabilities.md"]),
    ("cargo xtask openapi", &["openapi/gateway.v1.json"]),
    (
        "UPDATE=1 cargo test -p ota-sandbox compose",
        &[
            "docker-compose.yml",
            "deploy/compose/gateway.toml",
            "deploy/compose/secrets/__name__",
        ],
    ),
    (
        "UPDATE=1 cargo test -p ota-conformance --test all listing",
        &["crates/ota-conformance/CASES/__name__.txt"],
    ),
    (
        "cargo metadata --manifest-path fuzz/Cargo.toml --format-version 1 >/dev/null",
        &["Cargo.lock", "fuzz/Cargo.lock"],
    ),
];

/// Writes a new provider, and returns what to do next.
///
/// # Errors
/// When the name cannot be one, or is taken; nothing has been written then.
pub(crate) fn run(root: &Path, name: &str) -> Result<String, String> {
    let words = Words::new(root, name)?;
    let files: Vec<(PathBuf, String)> = TEMPLATES
        .iter()
        .map(|(path, text)| (root.join(words.fill(path)), words.fill(text)))
        .collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(format!("{} is there already", path.display()));
    }
    let mut changed: Vec<(PathBuf, String)> = Vec::new();
    let mut by_hand = String::new();
    for (file, line, place) in LINES {
        let (path, line) = (root.join(file), words.fill(line));
        let text = match changed.iter().find(|(known, _)| *known == path) {
            Some((_, text)) => text.clone(),
            None => read(&path)?,
        };
        match inserted(&text, &line, *place) {
            Some(text) => {
                changed.retain(|(known, _)| *known != path);
                changed.push((path, text));
            }
            None => by_hand.push_str(&format!("  {file}: {}\n", line.trim())),
        }
    }
    for (path, text) in files.iter().chain(&changed) {
        write(path, text)?;
    }
    format(root)?;
    Ok(report(&words, &files, &changed, &by_hand, root))
}

fn report(
    words: &Words,
    files: &[(PathBuf, String)],
    changed: &[(PathBuf, String)],
    by_hand: &str,
    root: &Path,
) -> String {
    let list = |files: &[(PathBuf, String)]| -> String {
        let shown = files
            .iter()
            .map(|(path, _)| path.strip_prefix(root).unwrap_or(path));
        shown
            .map(|path| format!("  {}\n", path.display()))
            .collect()
    };
    let mut text = format!("written:\n{}registered in:\n{}", list(files), list(changed));
    if !by_hand.is_empty() {
        text.push_str(&format!(
            "to be registered by hand, the place was not found:\n{by_hand}"
        ));
    }
    text.push_str("write what is generated anew:\n");
    for (command, _) in GENERATED {
        text.push_str(&format!("  {command}\n"));
    }
    text.push_str(&format!(
        "then see what is missing, and go on with docs/adding-a-provider.md:\n  cargo test -p ota-conformance --test all -- --subject {}",
        words.name
    ));
    text
}

/// The forms of a name.
struct Words {
    name: String,
    snake: String,
    camel: String,
    port: u16,
}

impl Words {
    fn new(root: &Path, name: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-');
        if !ends || !name.chars().all(fits) || name.contains("--") || name.len() > 40 {
            return Err(format!(
                "`{name}` is no name of a vendor: a-z, 0-9 and - between them, at most 40 characters; it is what `vendor` has in a configuration"
            ));
        }
        let snake = name.replace('-', "_");
        for taken in ["crates/ota-sim/src", "crates/ota-conformance/tests/all"] {
            let folder = root.join(taken);
            if folder.join(&snake).exists() || folder.join(format!("{snake}.rs")).exists() {
                return Err(format!("`{snake}` is the name of a module in {taken}"));
            }
        }
        if KEYWORDS.contains(&snake.as_str()) {
            return Err(format!(
                "`{snake}` is a word of Rust, so no module can have this name"
            ));
        }
        let camel = name.split('-').map(|part| {
            let (first, rest) = part.split_at(1);
            format!("{}{rest}", first.to_ascii_uppercase())
        });
        Ok(Self {
            name: name.to_owned(),
            camel: camel.collect(),
            snake,
            port: free_port(root)?,
        })
    }

    fn fill(&self, text: &str) -> String {
        text.replace("__name__", &self.name)
            .replace("__snake__", &self.snake)
            .replace("__Name__", &self.camel)
            .replace("__port__", &self.port.to_string())
    }
}

/// Words of Rust that fit the form of a name.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Returns the port after those of the simulators that there are.
fn free_port(root: &Path) -> Result<u16, String> {
    let folder = root.join("crates/ota-sim/src");
    let entries =
        std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let modules = entries.flatten().map(|entry| entry.path().join("mod.rs"));
    let texts = modules.filter_map(|path| std::fs::read_to_string(path).ok());
    let port = |text: String| -> Option<u16> {
        let mut lines = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("port: "));
        lines.next()?.strip_suffix(',')?.parse().ok()
    };
    let highest = texts.filter_map(port).max().unwrap_or(9000);
    Ok(highest.saturating_add(1))
}

/// Puts a line where it belongs; `None` where that place is not found.
fn inserted(text: &str, line: &str, place: Place) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let at = match place {
        Place::Among(begin) => among(&lines, line, |other| {
            other.starts_with(begin).then_some(other)
        })?,
        Place::Module => among(&lines, module(line)?, module)?,
        Place::EndOf(begin) => {
            let begin = lines.iter().position(|other| *other == begin)?;
            begin + lines[begin..].iter().position(|other| *other == "];")?
        }
    };
    let mut all = lines;
    all.insert(at, line);
    Some(all.join("\n") + "\n")
}

/// Returns the place of what has this key among the lines that have one: before the first one with a greater key, else behind the last one.
fn among<'a>(
    lines: &[&'a str],
    key: &str,
    key_of: impl Fn(&'a str) -> Option<&'a str>,
) -> Option<usize> {
    let keyed = || {
        lines
            .iter()
            .enumerate()
            .filter_map(|(at, line)| Some((at, key_of(line)?)))
    };
    let after = keyed().find(|(_, other)| *other > key).map(|(at, _)| at);
    after.or_else(|| keyed().last().map(|(at, _)| at + 1))
}

/// Returns the name of the module that a line declares.
fn module(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    line.strip_prefix("mod ")?.strip_suffix(';')
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let fault = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    std::fs::write(path, text).map_err(fault)
}

/// Formats the workspace: names of other lengths than the placeholders break lines elsewhere.
fn format(root: &Path) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["fmt", "--all"])
        .current_dir(root)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo fmt: {status}")),
        Err(error) => Err(format!("cargo fmt: {error}")),
    }
}

#[cfg(test)]
mod tests;
