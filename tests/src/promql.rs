//! Reads expressions of Prometheus, as far as dashboards and alarms of this project use them, and holds them against the metrics that are there.
//!
//! What it does not know it refuses, so that nothing goes unread: an unknown function, an `@`, a metric without a name.

use std::collections::{BTreeMap, BTreeSet};

/// Names of labels.
pub type Labels = BTreeSet<String>;

/// What comes out of a check: the labels of the result, or none where it is a plain number.
pub type Checked = Result<Option<Labels>, String>;

/// Labels that the scraper adds to every sample.
const SCRAPED: [&str; 2] = ["instance", "job"];

/// Functions that keep the labels of their last argument.
const KEEPING: [&str; 3] = ["changes", "increase", "rate"];

/// What merges samples.
const AGGREGATIONS: [&str; 5] = ["avg", "count", "max", "min", "sum"];

/// Operators by how strongly they bind.
const OPERATORS: [&[&str]; 5] = [
    &["or"],
    &["and", "unless"],
    &["==", "!=", "<=", ">=", "<", ">"],
    &["+", "-"],
    &["*", "/", "%"],
];

/// The metrics that there are.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Labels by the name of the sample: `_bucket`, `_sum` and `_count` of a histogram, not its bare name.
    pub samples: BTreeMap<String, Labels>,
    /// All values of labels whose values are known.
    pub values: BTreeMap<String, BTreeSet<String>>,
}

impl Served {
    /// Reads an answer in the text format of Prometheus.
    ///
    /// # Panics
    /// When a line cannot be read.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut served = Self::default();
        served.add("up", []);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let end = line.find(['{', ' ']).expect("a sample has a value");
            let (name, mut rest) = line.split_at(end);
            let mut labels = Vec::new();
            while rest.starts_with(['{', ',']) && !rest.starts_with("{}") {
                let (label, after) = rest[1..].split_once("=\"").expect("a label has a value");
                labels.push(label.to_owned());
                let mut escaped = false;
                let quote = after.char_indices().find(|(_, symbol)| {
                    let ends = *symbol == '"' && !escaped;
                    escaped = *symbol == '\\' && !escaped;
                    ends
                });
                rest = &after[quote.expect("a value of a label ends").0 + 1..];
            }
            served.add(name, labels);
        }
        served
    }

    fn add(&mut self, name: &str, labels: impl IntoIterator<Item = String>) {
        let scraped = SCRAPED.iter().map(|label| (*label).to_owned());
        let known = self.samples.entry(name.to_owned()).or_default();
        known.extend(labels.into_iter().chain(scraped));
    }

    /// Returns the labels of a sample.
    ///
    /// # Errors
    /// When there is no such sample.
    pub fn labels(&self, name: &str) -> Result<&Labels, String> {
        let labels = self.samples.get(name);
        labels.ok_or_else(|| format!("there is no metric `{name}`"))
    }

    /// Checks an expression: every metric, label and known value is there, and the sides of an operator have the same labels, without which
    /// Prometheus finds no pairs. Returns the labels of the result; `used` gets the names of the samples.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self, expression: &str, used: &mut BTreeSet<String>) -> Checked {
        let mut reader = Reader {
            served: self,
            tokens: tokens(expression)?,
            at: 0,
            used,
        };
        let result = reader
            .binary(0)
            .and_then(|labels| match reader.tokens.get(reader.at) {
                None => Ok(labels),
                Some(token) => Err(format!("{token:?} is left over")),
            });
        result.map_err(|error| format!("{error}, in `{expression}`"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A name, keywords and operators of letters among them.
    Word(String),
    /// A text in quotes.
    Text(String),
    /// A number.
    Number,
    /// A duration with its brackets, `[5m]`, or bare behind `offset`.
    Duration,
    /// A bracket, a comma or an operator.
    Sign(&'static str),
}

/// Longer ones first.
const SIGNS: [&str; 19] = [
    "=~", "!~", "==", "!=", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", "{", "}",
    ",",
];

fn tokens(expression: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = |of: fn(char) -> bool| rest.find(|symbol| !of(symbol)).unwrap_or(rest.len());
        let (token, length) = match first {
            'a'..='z' | 'A'..='Z' | '_' => {
                let length =
                    length(|symbol| symbol.is_ascii_alphanumeric() || "_:".contains(symbol));
                (Token::Word(rest[..length].to_owned()), length)
            }
            '0'..='9' => {
                let length = length(|symbol| symbol.is_ascii_alphanumeric() || symbol == '.');
                match rest[..length].parse::<f64>() {
                    Ok(_) => (Token::Number, length),
                    Err(_) => {
                        duration(&rest[..length])?;
                        (Token::Duration, length)
                    }
                }
            }
            '"' => {
                let inner = rest[1..].find('"').ok_or("a text does not end")?;
                let text = &rest[1..=inner];
                if text.contains('\\') {
                    return Err("escapes are not understood".to_owned());
                }
                (Token::Text(text.to_owned()), inner + 2)
            }
            '[' => {
                let end = rest.find(']').ok_or("a range does not end")?;
                duration(&rest[1..end])?;
                (Token::Duration, end + 1)
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = *sign.ok_or_else(|| format!("`{first}` is not understood"))?;
                (Token::Sign(sign), sign.len())
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// A number with its unit, or one of Grafana's.
fn duration(text: &str) -> Result<(), String> {
    let number = text.trim_end_matches(['s', 'm', 'h', 'd', 'w']);
    let plain = number.parse::<u32>().is_ok() && text.len() == number.len() + 1;
    match plain || ["$__rate_interval", "$__range"].contains(&text) {
        true => Ok(()),
        false => Err(format!("`{text}` is no duration")),
    }
}

/// Reads by recursive descent and checks as it goes.
struct Reader<'a> {
    served: &'a Served,
    tokens: Vec<Token>,
    at: usize,
    used: &'a mut BTreeSet<String>,
}

impl Reader<'_> {
    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Sign(other)) if *other == sign);
        self.at += usize::from(found);
        found
    }

    fn must(&mut self, sign: &str) -> Result<(), String> {
        match self.sign(sign) {
            true => Ok(()),
            false => Err(format!(
                "`{sign}` is missing before {:?}",
                self.tokens.get(self.at)
            )),
        }
    }

    fn word(&mut self, words: &[&str]) -> Option<String> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) if words.is_empty() || words.contains(&word.as_str()) => {
                self.at += 1;
                Some(word.clone())
            }
            _ => None,
        }
    }

    fn binary(&mut self, level: usize) -> Checked {
        let Some(operators) = OPERATORS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        loop {
            let signed = operators.iter().find(|sign| self.sign(sign));
            let operator = signed.map(|sign| (*sign).to_owned());
            let Some(operator) = operator.or_else(|| self.word(operators)) else {
                return Ok(left);
            };
            if self.word(&["on", "ignoring", "bool"]).is_some() {
                return Err("`on`, `ignoring` and `bool` are not understood".to_owned());
            }
            let right = self.binary(level + 1)?;
            left = match (left, right) {
                // `or` takes what the left side lacks, whatever its labels.
                (Some(left), Some(right)) if operator == "or" => {
                    Some(left.intersection(&right).cloned().collect())
                }
                (Some(left), Some(right)) if left != right => {
                    return Err(format!(
                        "the sides of `{operator}` have other labels: {left:?} and {right:?}"
                    ));
                }
                (left, right) => left.or(right),
            };
        }
    }

    fn unary(&mut self) -> Checked {
        if self.sign("(") {
            let labels = self.binary(0)?;
            self.must(")")?;
            return Ok(labels);
        }
        if self.tokens.get(self.at) == Some(&Token::Number) {
            self.at += 1;
            return Ok(None);
        }
        let Some(name) = self.word(&[]) else {
            return Err(format!("{:?} is not understood", self.tokens.get(self.at)));
        };
        if AGGREGATIONS.contains(&name.as_str()) {
            return self.aggregation();
        }
        match self.sign("(") {
            true => self.call(&name),
            false => self.selector(&name),
        }
    }

    fn aggregation(&mut self) -> Checked {
        let mut by = self.grouping()?;
        self.must("(")?;
        let of = self.binary(0)?.ok_or("a number cannot be merged")?;
        self.must(")")?;
        if by.is_none() {
            by = self.grouping()?;
        }
        let by = by.unwrap_or_default();
        match by.iter().find(|label| !of.contains(*label)) {
            None => Ok(Some(by)),
            Some(label) => Err(format!("there is no label `{label}` to group by")),
        }
    }

    fn grouping(&mut self) -> Result<Option<Labels>, String> {
        if self.word(&["without"]).is_some() {
            return Err("`without` is not understood".to_owned());
        }
        if self.word(&["by"]).is_none() {
            return Ok(None);
        }
        self.must("(")?;
        let mut labels = Labels::new();
        while let Some(label) = self.word(&[]) {
            labels.insert(label);
            if !self.sign(",") {
                break;
            }
        }
        self.must(")")?;
        Ok(Some(labels))
    }

    fn call(&mut self, name: &str) -> Checked {
        let mut arguments = Vec::new();
        while !self.sign(")") {
            arguments.push(self.binary(0)?);
            if !self.sign(",") {
                self.must(")")?;
                break;
            }
        }
        match (name, arguments.as_slice()) {
            ("time", []) => Ok(None),
            // Its labels are those that the selector asks for by equality; only the scraper's own are asked for here.
            ("absent", [Some(_)]) => Ok(Some(SCRAPED.map(str::to_owned).into())),
            ("histogram_quantile", [None, Some(of)]) => {
                let mut of = of.clone();
                match of.remove("le") {
                    true => Ok(Some(of)),
                    false => Err("a quantile needs the label `le`".to_owned()),
                }
            }
            ("vector", [None]) => Ok(Some(Labels::new())),
            (keeping, [Some(of)]) if KEEPING.contains(&keeping) => Ok(Some(of.clone())),
            _ => Err(format!("`{name}` with these arguments is not understood")),
        }
    }

    fn selector(&mut self, name: &str) -> Checked {
        let labels = self.served.labels(name)?.clone();
        self.used.insert(name.to_owned());
        if self.sign("{") {
            while let Some(label) = self.word(&[]) {
                if !labels.contains(&label) {
                    return Err(format!("`{name}` has no label `{label}`"));
                }
                self.matcher(&label)?;
                if !self.sign(",") {
                    break;
                }
            }
            self.must("}")?;
        }
        let ranged = self.tokens.get(self.at) == Some(&Token::Duration);
        self.at += usize::from(ranged);
        if self.word(&["offset"]).is_some() {
            match self.tokens.get(self.at) {
                Some(Token::Duration) => self.at += 1,
                other => return Err(format!("{other:?} is no offset")),
            }
        }
        Ok(Some(labels))
    }

    fn matcher(&mut self, label: &str) -> Result<(), String> {
        let signs = ["=~", "!~", "!=", "="];
        let sign = signs.into_iter().find(|sign| self.sign(sign));
        let sign = sign.ok_or_else(|| format!("`{label}` is compared with nothing"))?;
        let Some(Token::Text(text)) = self.tokens.get(self.at) else {
            return Err(format!("`{label}` is compared with no text"));
        };
        self.at += 1;
        let Some(known) = self.served.values.get(label) else {
            return Ok(());
        };
        let alternatives = sign.ends_with('~');
        for value in text.split(|symbol| alternatives && symbol == '|') {
            if !known.contains(value) && !value.starts_with('$') {
                return Err(format!("`{label}` is never `{value}`"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Served;
    use std::collections::BTreeSet;

    fn served() -> Served {
        let mut served = Served::read(
            "# HELP a_total Counts.\n\
             a_total{outcome=\"ok\",provider=\"x\"} 1\n\
             b_seconds_bucket{provider=\"a\\\"},b\",le=\"+Inf\"} 1\n\
             b_seconds_count{provider=\"x\"} 1\n\
             c 1e-5\n",
        );
        let words = ["ok", "quota"].map(str::to_owned).into();
        served.values.insert("outcome".to_owned(), words);
        served
    }

    fn check(expression: &str, labels: &[&str]) {
        let result = served().check(expression, &mut BTreeSet::new()).unwrap();
        let result: Vec<String> = result.into_iter().flatten().collect();
        assert_eq!(result, labels, "{expression}");
    }

    fn refuse(expression: &str, why: &str) {
        let error = served()
            .check(expression, &mut BTreeSet::new())
            .unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn results_have_the_labels_that_are_left() {
        check("a_total", &["instance", "job", "outcome", "provider"]);
        check("c", &["instance", "job"]);
        check("sum(rate(a_total{outcome=~\"ok|quota\"}[5m]))", &[]);
        check(
            "sum by (provider) (increase(a_total[1d])) > 0",
            &["provider"],
        );
        check(
            "sum(a_total) by (provider, outcome)",
            &["outcome", "provider"],
        );
        check(
            "histogram_quantile(0.9, sum by (le, provider) (rate(b_seconds_bucket[$__rate_interval])))",
            &["provider"],
        );
        check("2 * (1 - c) + time() - c offset 5m", &["instance", "job"]);
        check(
            "sum by (provider) (a_total unless a_total offset 1h) / sum by (provider) (a_total)",
            &["provider"],
        );
        check("absent(up{job=\"x\"}) or vector(0)", &[]);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        refuse("sum(rate(a_totals[5m]))", "no metric `a_totals`");
        refuse("b_seconds", "no metric `b_seconds`");
        refuse("a_total{result=\"ok\"}", "no label `result`");
        refuse("a_total{outcome=\"okay\"}", "never `okay`");
        refuse("a_total{outcome!~\"ok|quotas\"}", "never `quotas`");
        refuse("sum by (route) (a_total)", "no label `route`");
        refuse(
            "sum(sum by (provider) (a_total)) by (outcome)",
            "no label `outcome`",
        );
        refuse("a_total / c", "other labels");
        refuse("histogram_quantile(0.9, a_total)", "`le`");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for expression in [
            "",
            "rates(a_total[5m])",
            "a_total[5x]",
            "a_total @ 5",
            "a_total c",
            "(a_total",
            "a_total{outcome=}",
            "sum without (outcome) (a_total)",
            "a_total / on (provider) a_total",
            "{outcome=\"ok\"}",
        ] {
            refuse(expression, "");
        }
    }
}
