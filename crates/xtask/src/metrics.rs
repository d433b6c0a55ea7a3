//! The table of metrics in `docs/operations.md`, written from the declarations that make them.

use std::fmt::Write as _;
use std::path::Path;

use ota_gateway::metrics::catalog;

/// The page with the table.
pub(crate) const FILE: &str = "docs/operations.md";

const BEGIN: &str = "<!-- metrics: written by `cargo xtask metrics` -->\n";
const END: &str = "<!-- end of metrics -->\n";

/// Returns the page with the table as the code has it.
pub(crate) fn page(root: &Path) -> Result<String, String> {
    let path = root.join(FILE);
    let page =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lost = || format!("{FILE}: the marks around the table are lost");
    let (before, rest) = page.split_once(BEGIN).ok_or_else(lost)?;
    let (_, after) = rest.split_once(END).ok_or_else(lost)?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", table()))
}

fn table() -> String {
    let mut text = "| metric | kind | labels | what it counts |\n|---|---|---|---|\n".to_owned();
    for metric in catalog() {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{}`", label.name))
            .collect();
        let _infallible = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind.as_str(),
            labels.join(", "),
            metric.help
        );
    }
    text
}
