//! The order in which the author of an adapter makes the cases pass.

/// A step of writing an adapter, with the rules that hold after it. `docs/adding-a-provider.md` goes through the same steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is written in this step.
    pub title: &'static str,
    /// The rules.
    pub rules: &'static [&'static str],
}

/// Every step, in order. Each rule that has a case is in one of them.
pub const STEPS: &[Step] = &[
    Step {
        title: "settings, identity and capability",
        rules: &["C01", "C03", "C91"],
    },
    Step {
        title: "signature and client: one call that is accepted",
        rules: &["C04"],
    },
    Step {
        title: "lists and pages",
        rules: &[
            "C02", "C20", "C21", "C22", "C23", "C24", "C26", "C27", "C28",
        ],
    },
    Step {
        title: "calls: gate, deadlines and requests that are dropped",
        rules: &["C80", "C81", "C82", "C83", "C86"],
    },
    Step {
        title: "lookups",
        rules: &["C30", "C31", "C32"],
    },
    Step {
        title: "mapping of rows",
        rules: &[
            "C50", "C51", "C52", "C53", "C54", "C55", "C56", "C57", "C58", "C59",
        ],
    },
    Step {
        title: "statistics",
        rules: &["C60", "C61", "C62", "C63"],
    },
    Step {
        title: "cursors and filters",
        rules: &[
            "C10", "C11", "C12", "C13", "C14", "C15", "C40", "C41", "C42", "C43", "C44", "C45",
            "C46", "C47", "C48", "C64",
        ],
    },
    Step {
        title: "errors of the vendor",
        rules: &[
            "C16", "C17", "C33", "C70", "C71", "C72", "C74", "C75", "C76", "C77", "C78", "C79",
            "C87",
        ],
    },
    Step {
        title: "pages that contradict each other",
        rules: &["C29", "C89"],
    },
    Step {
        title: "credentials and secrets",
        rules: &["C73", "C88", "C90", "C93"],
    },
];

#[cfg(test)]
mod tests {
    use super::STEPS;
    use crate::case::CASES;

    #[test]
    fn every_case_stands_in_one_step() {
        for case in CASES {
            let steps = STEPS.iter().filter(|step| step.rules.contains(&case.rule));
            assert_eq!(steps.count(), 1, "{case:?}");
        }
    }
}
