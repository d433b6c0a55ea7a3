//! The layering that a crate declares in its `layers.txt`: the highest layer first, one a line, as `name: modules`.

use std::path::Path;

use crate::cycles::{self, Use};

/// A layer and its modules, such as `cache` or `cache::metrics`.
struct Layer {
    name: String,
    modules: Vec<String>,
}

/// Checks a crate that declares a layering; a crate without one is not checked.
pub(crate) fn check(name: &str, folder: &Path, faults: &mut Vec<String>) -> Result<(), String> {
    let declaration = folder.join("layers.txt");
    if !declaration.is_file() {
        return Ok(());
    }
    let text = std::fs::read_to_string(&declaration)
        .map_err(|error| format!("{}: {error}", declaration.display()))?;
    let uses = cycles::uses(&folder.join("src"))?;
    for fault in compare(&parse(&text)?, &uses) {
        faults.push(format!("{name}: {fault}"));
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Layer>, String> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, modules) = line
                .split_once(':')
                .ok_or_else(|| format!("layers.txt: `{line}` is not `name: modules`"))?;
            Ok(Layer {
                name: name.to_owned(),
                modules: modules.split_whitespace().map(str::to_owned).collect(),
            })
        })
        .collect()
}

/// Returns the layer of a module: that of the longest declared path that it begins with.
fn layer_of(layers: &[Layer], module: &[String]) -> Option<usize> {
    (1..=module.len()).rev().find_map(|length| {
        let path = module[..length].join("::");
        layers
            .iter()
            .position(|layer| layer.modules.contains(&path))
    })
}

fn compare(layers: &[Layer], uses: &[Use]) -> Vec<String> {
    let mut faults = Vec::new();
    // The root of a library only names its modules.
    let inner = uses.iter().filter(|file| !file.module.is_empty());
    for file in inner {
        let Some(own) = layer_of(layers, &file.module) else {
            faults.push(format!("{} stands in no layer of layers.txt", file.shown));
            continue;
        };
        for (other, shown) in &file.others {
            match layer_of(layers, other) {
                Some(above) if above < own => faults.push(format!(
                    "{} ({}) uses {shown} ({}), which is in a layer above it; see layers.txt",
                    file.shown, layers[own].name, layers[above].name
                )),
                _ => {}
            }
        }
    }
    for layer in layers {
        for module in &layer.modules {
            let path: Vec<&str> = module.split("::").collect();
            if module != "main" && !uses.iter().any(|file| file.module == path) {
                faults.push(format!("layers.txt names `{module}`, which is no file"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::{compare, parse};
    use crate::cycles::tests::with_files;
    use crate::cycles::uses;

    fn check(files: &[(&str, &str)], layers: &str) -> Vec<String> {
        with_files(files, |src| {
            compare(&parse(layers).expect("layers"), &uses(src).expect("files"))
        })
    }

    const LAYERS: &str =
        "# the highest first\ntop: routes\n\nmiddle: cache\nbottom: text cache::size\n";

    #[test]
    fn a_use_of_what_is_below_is_no_fault() {
        let files = [
            (
                "lib.rs",
                "mod cache;\nmod routes;\nmod text;\npub use routes::R;",
            ),
            ("routes.rs", "use crate::cache::C;\nuse crate::text::T;"),
            ("cache.rs", "pub mod size;\npub mod key;"),
            ("cache/key.rs", "use super::size::S;\nuse crate::text::T;"),
            ("cache/size.rs", "use crate::text::T;"),
            ("text.rs", "pub struct T;"),
        ];
        assert_eq!(check(&files, LAYERS), [""; 0]);
    }

    #[test]
    fn a_planted_use_of_what_is_above_is_found() {
        let files = [
            ("cache.rs", "pub mod size;\nuse crate::routes::R;"),
            ("cache/size.rs", "use crate::cache::C;"),
            ("routes.rs", ""),
            (
                "text.rs",
                "#[cfg(test)]\nmod tests { use crate::routes::R; }",
            ),
        ];
        assert_eq!(
            check(&files, LAYERS),
            [
                "cache.rs (middle) uses routes.rs (top), which is in a layer above it; see layers.txt",
                "cache/size.rs (bottom) uses cache.rs (middle), which is in a layer above it; see layers.txt",
            ]
        );
    }

    #[test]
    fn every_file_has_a_layer_and_every_name_a_file() {
        let files = [
            ("routes.rs", ""),
            ("new.rs", ""),
            ("cache.rs", ""),
            ("text.rs", ""),
        ];
        assert_eq!(
            check(&files, LAYERS),
            [
                "new.rs stands in no layer of layers.txt",
                "layers.txt names `cache::size`, which is no file",
            ]
        );
    }
}
