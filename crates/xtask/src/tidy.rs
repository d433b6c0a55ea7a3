//! The rules of the workspace that the compiler does not check.

use std::path::Path;
use std::process::Command;

use ota_gateway::vendors;
use serde_json::Value;

use crate::{cycles, guide, layers};

/// The adapters: one crate for each vendor.
const ADAPTERS: &str = "ota-provider-*";

/// Which workspace crates a crate may depend on to do its work; tests may use more. A crate that is not listed is refused, so that a
/// new one comes with its rule. `*` at the end of a name stands for all crates that begin so.
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("ota-core", &[]),
    ("ota-guard", &["ota-core"]),
    ("ota-http", &["ota-core"]),
    // Adapters do not know each other.
    (ADAPTERS, &["ota-adapter", "ota-core", "ota-http"]),
    ("ota-adapter", &["ota-core", "ota-http"]),
    // For the tests of adapters.
    ("ota-adapter-test", &["ota-core"]),
    ("ota-fleet", &["ota-core"]),
    ("ota-store", &["ota-core"]),
    ("ota-cluster", &["ota-core", "ota-store"]),
    // It knows no vendor, no HTTP and no SQL.
    (
        "ota-sync",
        &["ota-core", "ota-fleet", "ota-guard", "ota-store"],
    ),
    ("ota-api", &["ota-core", "ota-http"]),
    ("ota-auth", &["ota-core", "ota-http"]),
    ("ota-server", &["ota-api", "ota-core", "ota-http"]),
    (
        "ota-gateway",
        &[
            "ota-api",
            "ota-auth",
            "ota-cluster",
            "ota-core",
            "ota-fleet",
            "ota-guard",
            "ota-http",
            "ota-server",
            "ota-store",
            "ota-sync",
            ADAPTERS,
        ],
    ),
    // A second reading of the vendors' documents: it shares nothing with the adapters.
    ("ota-sim", &[]),
    ("ota-conformance", &["ota-core", "ota-guard", "ota-adapter"]),
    (
        "ota-sandbox",
        &["ota-auth", "ota-core", "ota-gateway", "ota-sim"],
    ),
    // It compares the gateway with an adapter alone.
    (
        "ota-bench",
        &[
            "ota-auth",
            "ota-core",
            "ota-gateway",
            "ota-http",
            ADAPTERS,
            "ota-sim",
            // It fills the database of a mirror with a million rows.
            "ota-store",
        ],
    ),
    (
        "ota-tests",
        &[
            "ota-api",
            "ota-auth",
            "ota-core",
            "ota-fleet",
            "ota-gateway",
            "ota-http",
            "ota-sandbox",
            "ota-sim",
            // The harness distinguishes a database that is away from one that is refused.
            "ota-store",
        ],
    ),
    ("xtask", &["ota-api", "ota-core", "ota-gateway"]),
];

/// Crates that even the tests of a crate may not use.
const NEVER: &[(&str, &[&str])] = &[
    ("ota-sim", &[ADAPTERS, "ota-adapter", "ota-http"]),
    ("ota-core", &["ota-sim", "ota-gateway", ADAPTERS]),
    ("ota-gateway", &["ota-sim", "ota-sandbox"]),
    (ADAPTERS, &[ADAPTERS]),
];

/// The longest Rust file.
const MAX_LINES: usize = 800;

pub(crate) fn run(root: &Path) -> Result<(), String> {
    let mut faults = Vec::new();
    for package in packages(root)? {
        dependencies(&package, &mut faults);
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        if let Some(folder) = Path::new(manifest).parent()
            && !folder.join("README.md").is_file()
        {
            faults.push(format!("{}: has no README.md", text(&package["name"])));
        }
        if let Some(src) = Path::new(manifest)
            .parent()
            .map(|folder| folder.join("src"))
            && src.is_dir()
        {
            let name = text(&package["name"]);
            cycles::check(name, &src, &mut faults)?;
            if let Some(folder) = src.parent() {
                layers::check(name, folder, &mut faults)?;
            }
        }
    }
    files(root, &mut faults)?;
    guide::check(root, &mut faults)?;
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join("\n")),
    }
}

fn packages(root: &Path) -> Result<Vec<Value>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    metadata["packages"]
        .as_array()
        .cloned()
        .ok_or_else(|| "cargo metadata names no packages".to_owned())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn dependencies(package: &Value, faults: &mut Vec<String>) {
    let name = text(&package["name"]);
    let rule = |rules: &[(&str, &'static [&'static str])]| {
        rules
            .iter()
            .find(|(of, _)| covers(of, name))
            .map(|(_, names)| *names)
    };
    let Some(allowed) = rule(MAY_DEPEND) else {
        faults.push(format!("{name}: has no rule in crates/xtask/src/tidy.rs"));
        return;
    };
    let never = rule(NEVER).unwrap_or_default();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let other = text(&dependency["name"]);
        if !MAY_DEPEND.iter().any(|(of, _)| covers(of, other)) {
            continue;
        }
        let for_tests = dependency["kind"] == "dev";
        let is_in = |names: &[&str]| names.iter().any(|of| covers(of, other));
        if is_in(never) || (!for_tests && !is_in(allowed)) {
            faults.push(format!(
                "{name}: must not depend on {other} (docs/architecture.md)"
            ));
        }
    }
}

/// Whether a name of a rule, with or without `*` at its end, stands for this crate.
fn covers(rule: &str, name: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => rule == name,
    }
}

fn files(root: &Path, faults: &mut Vec<String>) -> Result<(), String> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git ls-files: {error}"))?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let home = format!("/{}/", "root");
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let Ok(content) = std::fs::read_to_string(root.join(name)) else {
            continue;
        };
        if name.ends_with(".rs") && content.lines().count() > MAX_LINES {
            faults.push(format!(
                "{name}: is longer than {MAX_LINES} lines; split it by responsibility"
            ));
        }
        if let Some(vendor) = vendor_in(name, &content) {
            faults.push(format!(
                "{name}: names the vendor `{vendor}`; what is known of a vendor comes from its adapter's descriptor"
            ));
        }
        if name != "Cargo.lock" && content.contains(&home) {
            faults.push(format!("{name}: has a path of one machine ({home})"));
        }
    }
    Ok(())
}

/// Crates whose sources may name vendors: each adapter its own, and those that start, measure or compare what one vendor has.
const MAY_NAME_VENDORS: &[&str] = &[
    ADAPTERS,
    "ota-bench",
    "ota-conformance",
    "ota-sandbox",
    "ota-sim",
];

/// The list of adapters.
const REGISTRY: &str = "crates/ota-gateway/src/vendors.rs";

/// The list of the adapters' fuzz targets, and the folder of what they do.
const FUZZ_REGISTRY: &str = "fuzz/src/adapters";

/// Returns the vendor that a source file names although it should work for every vendor. Tests may name vendors.
///
/// A name is that of the adapter's crate, or that of its provider in examples.
fn vendor_in(file: &str, text: &str) -> Option<&'static str> {
    let (name, path) = match file.strip_prefix("fuzz/src/") {
        // `fuzz_targets` and the manifest have a file and a section for each target, because cargo-fuzz knows no list.
        Some(path) if !file.starts_with(FUZZ_REGISTRY) => ("ota-fuzz", path),
        Some(_) => return None,
        None => file.strip_prefix("crates/")?.split_once("/src/")?,
    };
    let for_tests = path.split(['/', '.']).any(|part| part == "tests");
    let free = MAY_NAME_VENDORS.iter().any(|of| covers(of, name));
    if free || for_tests || file == REGISTRY || !path.ends_with(".rs") {
        return None;
    }
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let text = text.to_ascii_lowercase();
    let prefix = ADAPTERS.trim_end_matches('*');
    let mut vendors = vendors::descriptors().flat_map(|one| {
        let of_crate = one.crate_name.strip_prefix(prefix);
        of_crate.into_iter().chain([one.provider])
    });
    vendors.find(|vendor| text.contains(vendor))
}

#[cfg(test)]
mod tests {
    use super::{REGISTRY, dependencies, vendor_in};
    use serde_json::json;

    #[track_caller]
    fn check(name: &str, dependency: &str, kind: Option<&str>, refused: bool) {
        let package = json!({"name": name, "dependencies": [{"name": dependency, "kind": kind}]});
        let mut faults = Vec::new();
        dependencies(&package, &mut faults);
        assert_eq!(
            !faults.is_empty(),
            refused,
            "{name} on {dependency}: {faults:?}"
        );
    }

    #[test]
    fn adapters_know_the_core_and_the_http_base_and_no_other_adapter() {
        for name in ["ota-provider-one", "ota-provider-another"] {
            check(name, "ota-core", None, false);
            check(name, "ota-http", None, false);
            check(name, "serde", None, false);
            check(name, "ota-guard", None, true);
            check(name, "ota-gateway", None, true);
            check(name, "ota-provider-third", None, true);
            check(name, "ota-provider-third", Some("dev"), true);
            check("ota-gateway", name, None, false);
            check("ota-fleet", name, None, true);
            check("ota-sim", name, Some("dev"), true);
            check("ota-core", name, Some("dev"), true);
        }
    }

    #[test]
    fn a_vendor_is_named_by_its_own_files_only() {
        for vendor in ota_gateway::vendors::descriptors() {
            let word = vendor.crate_name.strip_prefix("ota-provider-").unwrap();
            let text = format!("// As {} does.", word.to_uppercase());
            for file in [
                "crates/ota-core/src/job.rs",
                "crates/xtask/src/new.rs",
                "fuzz/src/lib.rs",
            ] {
                assert_eq!(vendor_in(file, &text), Some(word));
                let provider = format!("/// As {}/sdk has it.", vendor.provider);
                assert!(vendor_in(file, &provider).is_some(), "{provider}");
            }
            for file in [
                REGISTRY,
                "fuzz/src/adapters.rs",
                "fuzz/src/adapters/one.rs",
                "crates/ota-core/src/paging/tests.rs",
                "crates/ota-core/README.md",
                "crates/ota-sim/src/main.rs",
                &format!("crates/{}/src/lib.rs", vendor.crate_name),
            ] {
                assert_eq!(vendor_in(file, &text), None, "{file}");
            }
            let in_tests = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{ {text} }}");
            assert_eq!(vendor_in("crates/ota-core/src/job.rs", &in_tests), None);
        }
    }

    #[test]
    fn a_crate_without_a_rule_is_refused() {
        check("ota-new", "serde", None, true);
    }
}
