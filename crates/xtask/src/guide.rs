//! `docs/adding-a-provider.md` against the tree: the files that it names, its snippets, and the order of its steps.

use std::path::Path;

use crate::new_provider::{GENERATED, LINES, TEMPLATES};

const GUIDE: &str = "docs/adding-a-provider.md";

/// The name of the vendor in the guide.
const NAME: &str = "acme";

/// What paths of the tree begin with.
const FOLDERS: &[&str] = &["crates/", "deploy/", "docs/", "fuzz/", "openapi/", "tests/"];

/// Where the steps of writing an adapter stand, in their order.
const STEPS: &str = "crates/ota-conformance/src/step.rs";

/// Checks the guide.
pub(crate) fn check(root: &Path, faults: &mut Vec<String>) -> Result<(), String> {
    let read = |file: &str| {
        std::fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))
    };
    let guide = read(GUIDE)?;
    let mut found = named(&guide, |path| root.join(path).exists());
    found.extend(snippets(&guide, |file| read(file).ok()));
    found.extend(steps(&guide, &read(STEPS)?));
    faults.extend(found.into_iter().map(|fault| format!("{GUIDE}: {fault}")));
    Ok(())
}

/// The files of a new provider and those that change with it, by their names in the guide.
fn of_provider() -> Vec<String> {
    let templates = TEMPLATES.iter().map(|(path, _)| *path);
    let lines = LINES.iter().map(|(path, ..)| *path);
    let generated = GENERATED
        .iter()
        .flat_map(|(_, files)| files.iter().copied());
    let all = templates.chain(lines).chain(generated);
    all.map(|path| path.replace("__name__", NAME).replace("__snake__", NAME))
        .collect()
}

/// Every file of a new provider is named, and every file that is named exists.
fn named(guide: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let own = of_provider();
    let mut faults: Vec<String> = own
        .iter()
        .filter(|path| !guide.contains(&format!("`{path}`")))
        .map(|path| {
            format!("does not name `{path}`, which `cargo xtask new-provider` writes or changes")
        })
        .collect();
    let quoted = guide.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|text| FOLDERS.iter().any(|folder| text.starts_with(folder)));
    for path in paths {
        let of_vendor = own.iter().any(|own| own == path) || path == "docs/vendors/acme.md";
        if !of_vendor && !exists(path) && !path.contains(' ') {
            faults.push(format!("names `{path}`, which does not exist"));
        }
    }
    faults
}

/// Each snippet in Rust names the file that it is from, and its parts stand there. `// …` leaves something out.
fn snippets(guide: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut parts = guide.split("```rust\n");
    let mut before = parts.next().unwrap_or_default();
    for part in parts {
        let (snippet, after) = part.split_once("```").unwrap_or((part, ""));
        let first = snippet.lines().next().unwrap_or_default().trim().to_owned();
        let mark = before.trim_end().lines().last().unwrap_or_default();
        let file = mark
            .strip_prefix("<!-- from ")
            .and_then(|mark| mark.strip_suffix(" -->"));
        match file.map(|file| (file, read(file))) {
            None => faults.push(format!(
                "the snippet `{first}` does not say which file it is from"
            )),
            Some((file, None)) => {
                faults.push(format!("a snippet is from `{file}`, which cannot be read"))
            }
            Some((file, Some(text))) => {
                for run in runs(snippet) {
                    if !text.contains(&run) {
                        faults.push(format!("the snippet `{first}` is not in {file}: {run}"));
                    }
                }
            }
        }
        before = after;
    }
    faults
}

/// The parts of a snippet between the lines that leave something out.
fn runs(snippet: &str) -> Vec<String> {
    let mut runs = vec![String::new()];
    for line in snippet.lines() {
        match line.trim() {
            "// …" => runs.push(String::new()),
            _ => {
                if let Some(last) = runs.last_mut() {
                    last.push_str(line);
                    last.push('\n');
                }
            }
        }
    }
    runs.retain(|run| !run.trim().is_empty());
    runs
}

/// The steps of the conformance suite are in the guide, in their order.
fn steps(guide: &str, source: &str) -> Vec<String> {
    let titles = source.lines().filter_map(|line| {
        let line = line.trim().strip_prefix("title: \"")?;
        line.strip_suffix("\",")
    });
    let mut faults = Vec::new();
    let mut rest = guide;
    for title in titles {
        match rest.split_once(&format!("**{title}.**")) {
            Some((_, after)) => rest = after,
            None => faults.push(format!(
                "has no step `{title}`, or not in the order of {STEPS}"
            )),
        }
    }
    if rest.len() == guide.len() {
        faults.push(format!("{STEPS} names no steps"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::{named, of_provider, snippets, steps};

    #[test]
    fn a_file_that_is_missing_or_not_named_is_a_fault() {
        let all: Vec<String> = of_provider()
            .iter()
            .map(|path| format!("`{path}`"))
            .collect();
        let guide = all.join(" ");
        assert_eq!(named(&guide, |_| false), [] as [String; 0]);
        let faults = named(&all[1..].join(" "), |_| true);
        assert!(faults[0].contains("Cargo.toml"), "{faults:?}");
        let other = format!("{guide} `crates/ota-core/src/no.rs`");
        let faults = named(&other, |_| false);
        assert!(faults[0].contains("no.rs"), "{faults:?}");
    }

    #[test]
    fn a_snippet_that_is_nowhere_is_a_fault() {
        let file = "fn one() {\n    two();\n    three();\n}\n";
        let read = |name: &str| (name == "a.rs").then(|| file.to_owned());
        let guide =
            |from: &str, code: &str| format!("Text.\n\n{from}\n```rust\n{code}```\n\nMore.\n");
        let from = "<!-- from a.rs -->";
        let good = guide(from, "fn one() {\n    // …\n    three();\n}\n");
        assert_eq!(snippets(&good, read), [] as [String; 0]);
        for bad in [
            guide(from, "fn one() {\n    three();\n"),
            guide("", "fn one() {\n"),
            guide("<!-- from b.rs -->", "fn one() {\n"),
        ] {
            assert_eq!(snippets(&bad, read).len(), 1, "{bad}");
        }
    }

    #[test]
    fn a_step_that_is_missing_or_out_of_order_is_a_fault() {
        let source = "        title: \"one\",\n        title: \"two\",\n";
        assert_eq!(steps("**one.** x **two.** y", source), [] as [String; 0]);
        assert_eq!(steps("**two.** x **one.** y", source).len(), 1);
        assert_eq!(steps("**one.** x", source).len(), 1);
        assert_eq!(steps("**one.** x", "").len(), 1);
    }
}
