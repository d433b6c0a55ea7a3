use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{GENERATED, LINES, Place, TEMPLATES, Words, inserted, run};

fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap()
}

#[test]
fn a_provider_is_registered_in_eight_lines() {
    assert!(LINES.len() <= 8);
    let words = Words::new(root(), "some-vendor").unwrap();
    for (file, line, place) in LINES {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let line = words.fill(line);
        let changed = inserted(&text, &line, *place)
            .unwrap_or_else(|| panic!("{file} has no place for `{line}`"));
        assert_eq!(changed.lines().count(), text.lines().count() + 1);
        assert!(!text.contains(&line) && changed.contains(&line));
    }
}

#[test]
fn lines_keep_their_order() {
    let text = "a\nmod b;\npub mod d;\nz\n";
    let at = |line, place| inserted(text, line, place);
    assert_eq!(
        at("pub mod c;", Place::Module).unwrap(),
        "a\nmod b;\npub mod c;\npub mod d;\nz\n"
    );
    assert_eq!(
        at("mod e;", Place::Module).unwrap(),
        "a\nmod b;\npub mod d;\nmod e;\nz\n"
    );
    assert_eq!(at("x", Place::EndOf("const A: B = &[")), None);
    let list = "const A: B = &[\n    // Here.\n    c,\n];\n";
    let longer = inserted(list, "    d,", Place::EndOf("const A: B = &[")).unwrap();
    assert_eq!(
        longer,
        "const A: B = &[\n    // Here.\n    c,\n    d,\n];\n"
    );
}

#[test]
fn a_name_is_refused_that_cannot_be_one() {
    for name in [
        "", "-a", "a-", "A", "a_b", "a--b", "1a", "type", "fleet", "rig", "a b", "../a",
    ] {
        assert!(Words::new(root(), name).is_err(), "{name}");
    }
    let words = Words::new(root(), "aws-iot").unwrap();
    assert_eq!(
        words.fill("__name__ __snake__ __Name__"),
        "aws-iot aws_iot AwsIot"
    );
}

#[test]
fn every_template_is_written() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut files = Vec::new();
    collect(&templates, &templates, &mut files);
    assert_eq!(files.len(), TEMPLATES.len());
}

/// The files below a folder, relative to it.
fn collect(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.file_name().is_some_and(|name| name == ".git") => {}
            true => collect(root, &path, found),
            false => found.push(path.strip_prefix(root).unwrap().to_owned()),
        }
    }
}

/// Removes the folders that hold nothing: one that is left over would look like a module of its name.
fn remove_empty_folders(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != ".git") {
            remove_empty_folders(&path);
            // It fails for one that holds something, which then stays.
            let _ = std::fs::remove_dir(&path);
        }
    }
}

/// A copy of the tree beside the build's output. It stays there, so that the next run compiles only what has changed.
struct Copy {
    folder: PathBuf,
    target: PathBuf,
    /// The texts of the files, as in the tree.
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Copy {
    fn new() -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let target = target.map_or_else(|| root().join("target"), PathBuf::from);
        let folder = target.join("new-provider");
        let listed = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(root())
            .output()
            .unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let names = listed.split('\0').filter(|name| !name.is_empty());
        let files = names.filter_map(|name| Some((name, std::fs::read(root().join(name)).ok()?)));
        let mut before: BTreeMap<PathBuf, Vec<u8>> = files
            .map(|(name, content)| (PathBuf::from(name), content))
            .collect();
        // Cargo tells crates apart by name and version, not by the folder of their workspace: with the same version it would take one tree's crates for the
        // other's. Crates from elsewhere are compiled once for both.
        let manifest = PathBuf::from("Cargo.toml");
        let text = String::from_utf8(before[&manifest].clone()).unwrap();
        let lines = text
            .lines()
            .map(|line| match line.starts_with("version = ") {
                true => "version = \"0.0.0-copy\"\n".to_owned(),
                false => format!("{line}\n"),
            });
        before.insert(manifest, lines.collect::<String>().into_bytes());
        let copy = Self {
            folder,
            target,
            before,
        };
        copy.write();
        copy
    }

    /// Makes the copy equal to the tree. What is equal already keeps its time, so that it is not compiled again.
    fn write(&self) {
        std::fs::create_dir_all(&self.folder).unwrap();
        for name in self.files().keys() {
            if !self.before.contains_key(name) {
                std::fs::remove_file(self.folder.join(name)).unwrap();
            }
        }
        remove_empty_folders(&self.folder);
        let present = self.files();
        for (name, content) in &self.before {
            if present.get(name) != Some(content) {
                let path = self.folder.join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
        }
        // `tidy` asks git for the files of the tree.
        let init = Command::new("git")
            .args(["init", "--quiet"])
            .current_dir(&self.folder)
            .status();
        assert!(init.unwrap().success());
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut names = Vec::new();
        collect(&self.folder, &self.folder, &mut names);
        let read = |name: PathBuf| {
            let content = std::fs::read(self.folder.join(&name)).unwrap();
            (name, content)
        };
        names.into_iter().map(read).collect()
    }

    /// The names of the files that are not as in the tree, and how many lines are.
    fn changed(&self) -> BTreeMap<PathBuf, usize> {
        let mut changed = BTreeMap::new();
        for (name, content) in self.files() {
            let before = self.before.get(&name).map(Vec::as_slice);
            if before != Some(&*content) {
                let lines = different_lines(before.unwrap_or_default(), &content);
                changed.insert(name, lines);
            }
        }
        changed
    }

    fn cargo(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command
            .args(arguments.split(' '))
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_NET_OFFLINE", "true");
        command
    }

    #[track_caller]
    fn succeeds(&self, arguments: &str) {
        let output = self.cargo(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {arguments}\n{said}");
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap()
    }

    /// What the sandbox says about itself when it starts.
    fn sandbox(&self) -> String {
        self.succeeds("build --quiet --package ota-sandbox");
        let mut sandbox = Command::new(self.target.join("debug/ota-sandbox"))
            .args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(sandbox.stdout.take().unwrap()).lines();
        // Everything before the token, which is not for the output of a test.
        let lines = lines.map_while(Result::ok);
        let said: Vec<String> = lines
            .take_while(|line| !line.starts_with("TOKEN="))
            .collect();
        sandbox.kill().unwrap();
        sandbox.wait().unwrap();
        said.join("\n")
    }
}

/// How many lines one text has and the other has not, in both directions.
fn different_lines(one: &[u8], other: &[u8]) -> usize {
    let mut counts: BTreeMap<&[u8], isize> = BTreeMap::new();
    for line in one.split(|byte| *byte == b'\n') {
        *counts.entry(line).or_default() += 1;
    }
    for line in other.split(|byte| *byte == b'\n') {
        *counts.entry(line).or_default() -= 1;
    }
    counts.values().map(|count| count.unsigned_abs()).sum()
}

#[test]
fn different_lines_are_counted() {
    assert_eq!(different_lines(b"a\nb\n", b"a\nb\n"), 0);
    assert_eq!(different_lines(b"a\nb\n", b"a\nc\nb\n"), 1);
    assert_eq!(different_lines(b"a\nb\n", b"a\nc\n"), 2);
}

#[test]
#[ignore = "compiles a copy of the workspace, which takes minutes; `.ci/run` runs it"]
fn a_new_provider_compiles_keeps_the_rules_and_is_told_what_is_missing() {
    const NAME: &str = "scratch";
    let copy = Copy::new();
    assert_eq!(copy.changed(), BTreeMap::new());
    println!("{}", run(&copy.folder, NAME).unwrap());

    // At most eight lines outside of its own files.
    let own = |path: &Path| {
        TEMPLATES.iter().any(|(template, _)| {
            Path::new(
                &template
                    .replace("__name__", NAME)
                    .replace("__snake__", NAME),
            ) == path
        })
    };
    let mut changed = copy.changed();
    changed.retain(|path, _| !own(path));
    let lines: usize = changed.values().sum();
    assert!(lines <= 8, "{lines} lines: {changed:?}");

    // It compiles without a warning, and its own tests pass.
    copy.succeeds("clippy --quiet --package ota-provider-scratch --package ota-sim --package ota-conformance --all-targets -- -D warnings");
    copy.succeeds("test --quiet --package ota-provider-scratch");
    copy.succeeds("fmt --all --check");

    // What is generated knows it, and the rules of the workspace hold.
    for command in ["config", "capabilities", "openapi", "tidy"] {
        copy.succeeds(&format!("run --quiet --package xtask -- {command}"));
    }
    assert!(
        copy.text("config.example.toml")
            .contains("\n[providers.scratch]\nvendor = \"scratch\"\n")
    );
    assert!(
        copy.text("config.example.toml")
            .contains("\n[providers.scratch.limits]\n")
    );
    assert!(
        copy.text("docs/capabilities.md")
            .contains("\n| `scratch` | ")
    );
    let generated: BTreeSet<PathBuf> = GENERATED
        .iter()
        .flat_map(|(_, files)| files.iter())
        .map(|file| PathBuf::from(file.replace("__name__", NAME)))
        .collect();
    let by_hand: BTreeSet<PathBuf> = changed.into_keys().collect();
    let known = |path: &Path| own(path) || by_hand.contains(path) || generated.contains(path);
    let others: Vec<PathBuf> = copy
        .changed()
        .into_keys()
        .filter(|path| !known(path))
        .collect();
    assert_eq!(others, [] as [PathBuf; 0], "changed, and named nowhere");

    let said = copy.sandbox();
    assert!(
        said.contains("\n  scratch      simulates Scratch"),
        "{said}"
    );

    // The suite runs against it, and names what is to be written next.
    let suite = copy
        .cargo("test --quiet --package ota-conformance --test all -- --subject scratch")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&suite.stdout).into_owned();
    let errors = String::from_utf8_lossy(&suite.stderr);
    assert!(!suite.status.success(), "{said}");
    let (_, to_do) = said
        .split_once("to do for `scratch")
        .unwrap_or_else(|| panic!("{said}\n{errors}"));
    let place = |text: &str| {
        let place = to_do.find(text);
        place.unwrap_or_else(|| panic!("`{text}` is missing: {to_do}"))
    };
    let steps = [
        place("lists and pages:"),
        place("`list_jobs` of this adapter is not written yet"),
        place("lookups:"),
        place("`get_job` of this adapter is not written yet"),
        place("mapping of rows:"),
        place("statistics:"),
    ];
    assert!(steps.is_sorted(), "{to_do}");
    // What is written is found to be right.
    for step in ["settings, identity", "signature and client"] {
        assert!(!to_do.contains(step), "{to_do}");
    }
    for passed in ["C01 passed", "C03 passed", "C04 passed", "C91 passed"] {
        assert!(said.contains(passed), "{passed}: {said}");
    }
    // The case about dropped fields has fields to leave out, and waits only for the list that it reads.
    let about_fields = "C57 FAILED  every_documented_field_arrives: ";
    let reason = said
        .split_once(about_fields)
        .and_then(|(_, reason)| reason.lines().next());
    assert!(
        reason.is_some_and(|reason| reason.contains("`list_jobs` of this adapter is not written")),
        "{reason:?}: {said}"
    );
}
