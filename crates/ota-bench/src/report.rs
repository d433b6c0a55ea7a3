//! Rows of figures.

/// What a figure is measured against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Nothing: it is reported beside the others.
    None,
}

/// Prints each figure as it comes.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Whether figures are held against their goals; those of a quick run say too little.
    judges: bool,
    reached: u32,
    missed: u32,
}

impl Report {
    pub(crate) fn new(judges: bool) -> Self {
        Self {
            judges,
            ..Self::default()
        }
    }

    /// Prints the head of the table.
    pub(crate) fn begin(&self) {
        println!("| scenario | figure | measured | goal | |");
        println!("|---|---|---|---|---|");
    }

    /// Prints a figure.
    pub(crate) fn row(&mut self, scenario: &str, figure: &str, value: f64, unit: &str, goal: Goal) {
        let (reached, goal) = match goal {
            Goal::AtLeast(least) => (Some(value >= least), format!("≥ {}", number(least))),
            Goal::AtMost(most) => (Some(value <= most), format!("≤ {}", number(most))),
            Goal::None => (None, String::new()),
        };
        let mark = match reached.filter(|_| self.judges) {
            Some(true) => {
                self.reached += 1;
                "reached"
            }
            Some(false) => {
                self.missed += 1;
                "**missed**"
            }
            None => "",
        };
        println!(
            "| {scenario} | {figure} | {}{unit} | {goal} | {mark} |",
            number(value)
        );
    }

    /// Prints something that is no figure.
    pub(crate) fn note(&self, scenario: &str, text: &str) {
        println!("| {scenario} | {text} | | | |");
    }

    /// Returns the last line.
    pub(crate) fn closing(&self) -> String {
        if !self.judges {
            return "\na quick run: figures are not held against their goals".to_owned();
        }
        format!("\n{} figures reached, {} missed", self.reached, self.missed)
    }
}

fn number(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Returns the value below which a share of the values lie, 0 to 1.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}

/// Returns the median.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}
