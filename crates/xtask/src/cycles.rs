//! Cycles of `use crate::…` and `use super::…` between the files of a crate.
//!
//! It reads text, not syntax: comments, strings and test modules are left out, and every path that begins with `crate`, `self`, `super` or the name of
//! a child is followed as far as there are files.
//!
//! A re-export is what a parent only hands on (`mod x; pub use x::Y;`). That is no use of the child: otherwise no module with re-exports could
//! have two files that share a type. In return, a file that names `Y` through the re-export uses the child's file, and a parent whose own code
//! says `Y` uses it too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The crates that still have cycles, and how many files the largest one may have. The numbers only become smaller.
const LARGEST: &[(&str, usize)] = &[];

/// The files of a crate by their module path, and its path as it is shown.
type Files = BTreeMap<Vec<String>, (String, String)>;

/// Checks the library or program in a crate's `src`.
pub(crate) fn check(name: &str, src: &Path, faults: &mut Vec<String>) -> Result<(), String> {
    let allowed = LARGEST.iter().find(|(of, _)| *of == name);
    compare(
        name,
        &cycles(src)?,
        allowed.map_or(0, |(_, most)| *most),
        faults,
    );
    Ok(())
}

fn compare(name: &str, cycles: &[Vec<String>], allowed: usize, faults: &mut Vec<String>) {
    let largest = cycles.iter().map(Vec::len).max().unwrap_or(0);
    if largest < allowed {
        faults.push(format!(
            "{name}: its largest cycle has {largest} files; lower {allowed} in crates/xtask/src/cycles.rs"
        ));
    }
    for cycle in cycles.iter().filter(|cycle| cycle.len() > allowed) {
        let files = cycle.join(", ");
        let count = cycle.len();
        faults.push(match allowed {
            0 => format!("{name}: these files use each other in a cycle: {files}"),
            _ => format!(
                "{name}: {count} files use each other in a cycle, {allowed} are allowed: {files}"
            ),
        });
    }
}

/// A file, and the files of its crate that it uses.
pub(crate) struct Use {
    /// Its module path.
    pub(crate) module: Vec<String>,
    /// Its path, as it is shown.
    pub(crate) shown: String,
    /// The module paths of the others, and their paths as they are shown.
    pub(crate) others: Vec<(Vec<String>, String)>,
}

/// Returns what the files of a crate use of each other.
pub(crate) fn uses(src: &Path) -> Result<Vec<Use>, String> {
    let mut files = Files::new();
    collect(src, &[], src, &mut files)?;
    let reexports = reexports(&files);
    let uses = files.iter().map(|(module, (shown, text))| Use {
        module: module.clone(),
        shown: shown.clone(),
        others: used(module, text, &files, &reexports)
            .into_iter()
            .map(|other| {
                let shown = files[&other].0.clone();
                (other, shown)
            })
            .collect(),
    });
    Ok(uses.collect())
}

/// Returns the files that use each other, by cycle.
fn cycles(src: &Path) -> Result<Vec<Vec<String>>, String> {
    let mut files = Files::new();
    collect(src, &[], src, &mut files)?;
    let reexports = reexports(&files);
    let uses: BTreeMap<_, _> = files
        .iter()
        .map(|(module, (_, text))| (module, used(module, text, &files, &reexports)))
        .collect();
    let reached: BTreeMap<_, _> = uses
        .keys()
        .map(|module| (*module, reach(module, &uses)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (module, others) in &reached {
        if !others.contains(*module) || !seen.insert(*module) {
            continue;
        }
        let mut cycle = vec![files[*module].0.clone()];
        for other in others {
            let back = reached
                .get(other)
                .is_some_and(|back| back.contains(*module));
            if let Some((other, _)) = reached.get_key_value(other)
                && back
                && seen.insert(other)
            {
                cycle.push(files[*other].0.clone());
            }
        }
        found.push(cycle);
    }
    Ok(found)
}

fn reach(
    from: &[String],
    uses: &BTreeMap<&Vec<String>, BTreeSet<Vec<String>>>,
) -> BTreeSet<Vec<String>> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from.to_vec()];
    while let Some(module) = next.pop() {
        for other in uses.get(&module).into_iter().flatten() {
            if reached.insert(other.clone()) {
                next.push(other.clone());
            }
        }
    }
    reached
}

/// Reads the files below a folder. A file that is declared for tests only is left out with all below it.
fn collect(src: &Path, module: &[String], folder: &Path, files: &mut Files) -> Result<(), String> {
    let fault = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        entries.push(entry.map_err(fault)?.path());
    }
    entries.sort();
    for path in entries {
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut inner = module.to_vec();
        if path.is_dir() {
            inner.push(stem);
            collect(src, &inner, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            // A program beside a library is a crate of its own.
            let beside = stem == "main" && folder.join("lib.rs").is_file();
            let root = module.is_empty() && matches!(stem.as_str(), "lib" | "main") && !beside;
            if !root && stem != "mod" {
                inner.push(stem);
            }
            let text = std::fs::read_to_string(&path).map_err(fault)?;
            let shown = path
                .strip_prefix(src)
                .unwrap_or(&path)
                .display()
                .to_string();
            files.insert(inner, (shown, text));
        }
    }
    if module.is_empty() {
        let tests: Vec<Vec<String>> = files
            .iter()
            .flat_map(|(module, (_, text))| {
                test_files(&plain(text)).into_iter().map(|name| {
                    let mut module = module.clone();
                    module.push(name);
                    module
                })
            })
            .collect();
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    }
    Ok(())
}

/// Returns the files that a file uses, itself left out.
fn used(
    module: &[String],
    text: &str,
    files: &Files,
    reexports: &Reexports,
) -> BTreeSet<Vec<String>> {
    let text = without_tests(&plain(text));
    let words = words(&text);
    let mut used = BTreeSet::new();
    let mut add = |path: &[&str]| {
        if let Some(file) = file_of(module, path, files, reexports)
            && file != module
        {
            used.insert(file);
        }
    };
    let mut at = 0;
    while at < words.len() {
        let before = at.checked_sub(1).map(|before| words[before]);
        let child = || child(module, words[at], files);
        let begins = words.get(at + 1) == Some(&"::") && before != Some("::");
        if begins && (matches!(words[at], "crate" | "self" | "super") || child()) {
            let handed_on = child() && is_handed_on(&words, at);
            at = tree(&words, at, &[], &mut |path| {
                if !handed_on || path.last().is_some_and(|name| says(&words, name)) {
                    add(path);
                }
            });
        } else {
            at += 1;
        }
    }
    used
}

/// What the re-exports hand on: by module and name, the path to it, from the module.
type Reexports = BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>;

fn reexports(files: &Files) -> Reexports {
    let of_file = |(module, (_, text)): (&Vec<String>, &(String, String))| {
        let text = without_tests(&plain(text));
        let words = words(&text);
        let mut names = BTreeMap::new();
        for at in 0..words.len() {
            if child(module, words[at], files) && is_handed_on(&words, at) {
                tree(&words, at, &[], &mut |path| {
                    let path: Vec<String> = path.iter().map(|word| (*word).to_owned()).collect();
                    if let Some(name) = path.last() {
                        names.insert(name.clone(), path);
                    }
                });
            }
        }
        (module.clone(), names)
    };
    files.iter().map(of_file).collect()
}

/// Whether a name is that of a file directly below a module.
fn child(module: &[String], name: &str, files: &Files) -> bool {
    let mut path = module.to_vec();
    path.push(name.to_owned());
    files.contains_key(&path)
}

/// Whether a path is in a `pub use`, of any visibility.
fn is_handed_on(words: &[&str], at: usize) -> bool {
    let uses = at > 1 && words[at - 1] == "use";
    uses && (words[at - 2] == "pub" || words[at - 2] == ")")
}

/// Whether the code beside the imports says a name: a type, or a function that is called.
fn says(words: &[&str], name: &str) -> bool {
    let mut imports = false;
    words.iter().enumerate().any(|(at, word)| {
        imports = match *word {
            "use" => true,
            ";" => false,
            _ => imports,
        };
        let bare = at == 0 || !matches!(words[at - 1], "::" | "." | "mod");
        let is_type = name.starts_with(char::is_uppercase);
        let called = || matches!(words.get(at + 1), Some(&("(" | "::" | "!")));
        !imports && *word == name && bare && (is_type || called())
    })
}

/// Reads a path, with all that is in its braces, and returns where it ends.
fn tree<'a>(
    words: &[&'a str],
    mut at: usize,
    before: &[&'a str],
    found: &mut dyn FnMut(&[&str]),
) -> usize {
    let mut path = before.to_vec();
    loop {
        match words.get(at) {
            Some(&"{") => {
                at += 1;
                while !matches!(words.get(at), Some(&"}") | None) {
                    at = match words[at] {
                        "," => at + 1,
                        _ => tree(words, at, &path, found).max(at + 1),
                    };
                }
                return at + 1;
            }
            Some(word) if is_name(word) => path.push(word),
            // A glob, or what no path has.
            _ => {
                found(&path);
                return at + 1;
            }
        }
        at += 1;
        if words.get(at) != Some(&"::") {
            found(&path);
            if words.get(at) == Some(&"as") && !before.is_empty() {
                return at + 2;
            }
            return at;
        }
        at += 1;
    }
}

/// Returns the file that a path leads into: the deepest one on its way.
fn file_of(
    module: &[String],
    path: &[&str],
    files: &Files,
    reexports: &Reexports,
) -> Option<Vec<String>> {
    let mut at = Vec::new();
    for (index, word) in path.iter().enumerate() {
        match (*word, index) {
            ("crate", _) => at.clear(),
            ("self", 0) => at = module.to_vec(),
            ("self", _) => {}
            ("super", 0) => {
                at = module.to_vec();
                at.pop()?;
            }
            ("super", _) => {
                at.pop()?;
            }
            (name, _) => {
                if index == 0 {
                    at = module.to_vec();
                }
                if child(&at, name, files) {
                    at.push(name.to_owned());
                    continue;
                }
                // What a re-export hands on is where it comes from.
                if let Some(behind) = reexports.get(&at).and_then(|names| names.get(name)) {
                    let behind: Vec<&str> = behind.iter().map(String::as_str).collect();
                    return file_of(&at, &behind, files, reexports);
                }
                break;
            }
        }
    }
    files.contains_key(&at).then_some(at)
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// Splits text into names, `::` and single signs.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("::") {
            2
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_')
                .unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// Leaves out comments, and what is in strings and characters.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hashes = rest
            .strip_prefix('r')
            .map(|raw| raw.len() - raw.trim_start_matches('#').len());
        let raw = hashes.filter(|hashes| {
            rest[1 + hashes..].starts_with('"')
                && !plain.ends_with(|last: char| last.is_alphanumeric() && last != 'b')
        });
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = hashes + 2;
            rest[begin..]
                .find(&end)
                .map_or(rest.len(), |at| begin + at + end.len())
        } else if first == '"' {
            string(rest)
        } else if let Some(length) = character(rest) {
            length
        } else {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        // What was left out still separates what stands beside it.
        plain.push(' ');
        rest = &rest[skip..];
    }
    plain
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns how long a character in quotes is; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let first = inner.chars().next()?;
    if first == '\\' {
        return inner.get(2..)?.find('\'').map(|end| end + 4);
    }
    inner[first.len_utf8()..]
        .starts_with('\'')
        .then(|| first.len_utf8() + 2)
}

const FOR_TESTS: &str = "#[cfg(test)]";

/// Returns the modules that are declared for tests only and are in files.
fn test_files(text: &str) -> Vec<String> {
    let declared = text.split(FOR_TESTS).skip(1).filter_map(|after| {
        let head = after.split([';', '{']).next()?;
        let declared = after[head.len()..].starts_with(';');
        let name = head.trim().split_once("mod ")?.1.trim();
        declared.then(|| name.to_owned())
    });
    declared.collect()
}

/// Leaves out what is for tests only.
fn without_tests(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(FOR_TESTS) {
        kept.push_str(before);
        let mut depth = 0_usize;
        let end = after.char_indices().find(|(_, sign)| {
            match sign {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && matches!(sign, '}' | ';')
        });
        rest = end.map_or("", |(at, _)| &after[at + 1..]);
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{compare, cycles};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A folder that is removed when the test is over.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Writes files into a folder of its own for as long as they are looked at.
    pub(crate) fn with_files<T>(files: &[(&str, &str)], look: impl FnOnce(&Path) -> T) -> T {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("xtask-cycles-{}-{number}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        for (file, text) in files {
            let path = folder.0.join(file);
            std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        look(&folder.0)
    }

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        with_files(files, |src| cycles(src).expect("it is read"))
    }

    #[test]
    fn a_planted_cycle_is_found() {
        for (name, text, inner) in [
            ("plain", "use crate::b::B;", ""),
            (
                "braces",
                "use crate::{\n    c::{D, E},\n    b::{\n        B,\n    },\n};",
                "",
            ),
            ("inline", "fn f() -> crate::b::B { crate::b::B }", ""),
            ("super", "use super::{self as up, b as other};", ""),
            ("glob", "use crate::b::*;", ""),
            (
                "behind",
                "const Q: char = '\"'; use crate::b::B; const R: &str = \"\";",
                "",
            ),
            (
                "after",
                "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::b::B;",
                "",
            ),
            ("way", "use crate::c::D;", "use crate::b::B;"),
        ] {
            let files = [
                ("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;"),
                ("a.rs", text),
                ("b/mod.rs", "use crate::a::A;"),
                ("c.rs", inner),
            ];
            let cycles = found(&files);
            let own = match name {
                "way" => vec!["a.rs", "b/mod.rs", "c.rs"],
                _ => vec!["a.rs", "b/mod.rs"],
            };
            assert_eq!(cycles, [own], "{name}");
        }
    }

    #[test]
    fn a_parent_and_its_child_can_be_a_cycle() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a.rs", "mod child;\nuse self::child::C;\npub struct A;"),
            ("a/child.rs", "use super::A;"),
        ];
        assert_eq!(found(&files), [["a.rs", "a/child.rs"]]);
    }

    #[test]
    fn a_child_can_be_named_without_a_path_to_it() {
        for (name, text) in [
            ("import", "mod child;\nuse child::C;\npub struct A;"),
            ("code", "mod child;\npub struct A;\nfn f() { child::f() }"),
            ("type", "mod child;\npub struct A(child::C);"),
            (
                "re-export",
                "mod child;\npub use child::C;\npub struct A(C);",
            ),
            (
                "called",
                "mod child;\npub(crate) use child::{C, f};\npub struct A;\nfn g() { f() }",
            ),
        ] {
            let files = [
                ("lib.rs", "mod a;"),
                ("a/mod.rs", text),
                ("a/child.rs", "use super::A;"),
            ];
            assert_eq!(found(&files), [["a/mod.rs", "a/child.rs"]], "{name}");
        }
    }

    #[test]
    fn a_reexport_is_no_cycle_and_hides_none() {
        let parent = "mod b;\nmod c;\npub use b::B;\npub(crate) use c::{C, f};";
        let beside = |b, c| {
            let files = [
                ("lib.rs", "mod a;\npub use a::B;"),
                ("a.rs", parent),
                ("a/b.rs", b),
                ("a/c.rs", c),
            ];
            found(&files)
        };
        let none = Vec::<Vec<String>>::new();
        assert_eq!(beside("use super::C;", ""), none);
        assert_eq!(
            beside("use crate::a::f;", "use super::super::other::D;"),
            none
        );
        let cycle = [["a/b.rs", "a/c.rs"]];
        assert_eq!(beside("use super::C;", "use super::B;"), cycle);
        assert_eq!(beside("fn g() { super::f() }", "use crate::B;"), cycle);
    }

    #[test]
    fn a_program_is_not_part_of_the_library_beside_it() {
        let files = [
            ("lib.rs", "pub mod a;\npub struct A;"),
            ("main.rs", "use some::a;\nfn main() { a::f() }"),
            ("a.rs", "use crate::A;"),
        ];
        assert_eq!(found(&files), Vec::<Vec<String>>::new());
    }

    #[test]
    fn tests_comments_and_texts_are_no_cycle() {
        for (name, text) in [
            (
                "tests",
                "#[cfg(test)]\nmod tests { use crate::b::B; fn f() { {} } }",
            ),
            (
                "comment",
                "// crate::b::B\n/// [`crate::b::B`]\n/* crate::b::B */ struct A;",
            ),
            (
                "text",
                "const A: &str = \"\\\" crate::b::B\"; const C: &str = r#\"crate::b\"B\"#;",
            ),
            ("file", "#[cfg(test)]\nmod b;"),
        ] {
            let files = [
                ("lib.rs", "mod a;\nmod b;"),
                ("a.rs", text),
                ("b.rs", "use crate::a::A;"),
                ("a/b.rs", "use super::A; use crate::b::B;"),
            ];
            let files = match name {
                "file" => &files[..],
                _ => &files[..3],
            };
            assert_eq!(found(files), Vec::<Vec<String>>::new(), "{name}");
        }
    }

    #[test]
    fn the_allowed_size_of_a_cycle_only_becomes_smaller() {
        let cycle = vec![vec![
            "a.rs".to_owned(),
            "b.rs".to_owned(),
            "c.rs".to_owned(),
        ]];
        let faults = |allowed| {
            let mut faults = Vec::new();
            compare("some", &cycle, allowed, &mut faults);
            faults.join("\n")
        };
        assert_eq!(faults(3), "");
        assert!(
            faults(0).contains("in a cycle: a.rs, b.rs, c.rs"),
            "{}",
            faults(0)
        );
        assert!(faults(2).contains("3 files"), "{}", faults(2));
        assert!(faults(4).contains("lower 4"), "{}", faults(4));
    }
}
