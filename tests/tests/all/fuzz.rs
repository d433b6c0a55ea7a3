//! The fuzz targets over their seeds, so that they are built and keep passing while no one fuzzes.

#[path = "../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a library where it is fuzzed")]
mod targets;

use std::collections::BTreeSet;
use std::path::PathBuf;

use ota_tests::contract;

fn folder(name: &str) -> PathBuf {
    contract::root().join("fuzz").join(name)
}

/// Names of the files in a folder of the fuzz package, without their endings.
fn names(of: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder(of)).unwrap();
    let stem = |file: PathBuf| file.file_stem().unwrap().to_string_lossy().into_owned();
    files.map(|file| stem(file.unwrap().path())).collect()
}

#[test]
fn every_seed_passes_its_target() {
    for (name, target) in targets::targets() {
        let mut seeds = 0;
        for file in std::fs::read_dir(folder("corpus").join(name)).unwrap() {
            target(&std::fs::read(file.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds >= 3, "{name}");
    }
}

#[test]
fn every_target_is_a_program_with_seeds_and_is_run() {
    let named: BTreeSet<String> = targets::targets()
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(names("fuzz_targets"), named);
    assert_eq!(names("corpus"), named);
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in named {
        let program = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&program), "{name}");
        let text = std::fs::read_to_string(folder(&format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(text.contains("|data: &[u8]| ota_fuzz::"), "{name}");
        assert!(text.contains(&format!("::{name}(data)")), "{name}");
    }
}
