//! Runs the tests of this binary.
//!
//! The usual harness refuses arguments that it does not know, and `--subject NAME` is one. This one takes what `cargo test` and editors pass (filters,
//! `--exact`, `--skip`, `--list`) and that argument.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use ota_core::BoxFuture;

/// One test.
#[derive(Clone, Copy)]
pub(crate) struct Test {
    /// Its module and its name.
    pub(crate) name: &'static str,
    /// Panics if something does not hold.
    pub(crate) run: fn() -> BoxFuture<'static, ()>,
}

/// Lists tests: `tests!(module::name, …)`. One that is not listed is dead code, which the compiler reports.
macro_rules! tests {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        &[$($crate::harness::Test {
            name: concat!(stringify!($module), "::", stringify!($name)),
            run: || Box::pin($module::$name()),
        }),+]
    };
}
pub(crate) use tests;

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Subjects to run alone.
    pub(crate) subjects: Vec<String>,
    filters: Vec<String>,
    skipped: Vec<String>,
    exact: bool,
    list: bool,
    /// No test is marked to be ignored, so none is run if only those are asked for.
    ignored_only: bool,
    threads: Option<usize>,
}

/// How the runner is called.
const USAGE: &str = "\
usage: cargo test -p ota-conformance --test all -- [--subject NAME]... [FILTER]...
  --subject NAME    runs every case for the subjects whose names begin with NAME, and nothing else
  FILTER            runs the tests whose names contain FILTER
  --exact, --skip FILTER, --list, --test-threads N: as in other tests";

impl Arguments {
    /// Reads the arguments behind the program's name.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut rest = arguments.into_iter();
        while let Some(argument) = rest.next() {
            let (name, given) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            let mut value = || {
                let value = given.clone().or_else(|| rest.next());
                value.ok_or_else(|| format!("`{name}` needs a value\n{USAGE}"))
            };
            match name {
                "--subject" => parsed.subjects.push(value()?),
                "--skip" => parsed.skipped.push(value()?),
                "--test-threads" => {
                    let number = value()?.parse().ok().filter(|number| *number > 0);
                    let number = number.ok_or("`--test-threads` needs a number")?;
                    parsed.threads = Some(number);
                }
                "--exact" => parsed.exact = true,
                "--list" => parsed.list = true,
                "--ignored" => parsed.ignored_only = true,
                // How other tests are shown; here it makes no difference.
                "--color" | "--format" | "-Z" => drop(value()?),
                "--include-ignored" | "--nocapture" | "--no-capture" | "--show-output"
                | "--quiet" | "-q" => {}
                name if name.starts_with('-') => {
                    return Err(format!("there is no argument `{name}`\n{USAGE}"));
                }
                _ => parsed.filters.push(argument),
            }
        }
        Ok(parsed)
    }

    fn wants(&self, test: &Test) -> bool {
        let is = |filter: &String| match self.exact {
            true => test.name == filter,
            false => test.name.contains(filter.as_str()),
        };
        !self.ignored_only
            && (self.filters.is_empty() || self.filters.iter().any(is))
            && !self.skipped.iter().any(is)
    }
}

/// Runs the tests that are asked for, each on a thread and a runtime of its own.
pub(crate) fn run(arguments: &Arguments, tests: &[Test]) -> ExitCode {
    let wanted: Vec<&Test> = tests.iter().filter(|test| arguments.wants(test)).collect();
    if arguments.list {
        for test in &wanted {
            println!("{}: test", test.name);
        }
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", wanted.len());
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or_else(available);
    let (waiting, failed) = (
        Mutex::new(wanted.iter().copied().collect::<VecDeque<&Test>>()),
        Mutex::new(Vec::new()),
    );
    std::thread::scope(|scope| {
        for _ in 0..threads.min(wanted.len()) {
            scope.spawn(|| {
                loop {
                    let next = locked(&waiting).pop_front();
                    let Some(test) = next else { return };
                    let passed = std::thread::spawn(test.block()).join().is_ok();
                    let verdict = if passed { "ok" } else { "FAILED" };
                    println!("test {} ... {verdict}", test.name);
                    if !passed {
                        locked(&failed).push(test.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty() {
        println!("\nfailures:");
        failed.iter().for_each(|name| println!("    {name}"));
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out\n",
        wanted.len() - failed.len(),
        failed.len(),
        tests.len() - wanted.len(),
    );
    match failed.is_empty() {
        true => ExitCode::SUCCESS,
        // What the usual harness ends with.
        false => ExitCode::from(101),
    }
}

impl Test {
    fn block(self) -> impl FnOnce() + Send + 'static {
        move || runtime().block_on((self.run)())
    }
}

/// A runtime with threads of its own.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) async fn arguments_are_read() {
    let parse = |text: &str| Arguments::parse(text.split_whitespace().map(str::to_owned));
    let subjects =
        |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let one = parse("--subject scratch --nocapture").unwrap();
    assert_eq!(one.subjects, subjects(&["scratch"]));
    let two = parse("--subject=memory --subject scratch").unwrap();
    assert_eq!(
        two.subjects,
        subjects(&["memory", "scratch"]) as Vec<String>
    );
    for wrong in ["--subject", "--subjects x", "--test-threads 0"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    let test = Test {
        name: "listing::all",
        run: || Box::pin(async {}),
    };
    for (text, wanted) in [
        ("", true),
        ("listing", true),
        ("--exact listing", false),
        ("--exact listing::all", true),
        ("--skip listing", false),
        ("flaws --test-threads 2", false),
        ("--ignored", false),
    ] {
        assert_eq!(parse(text).unwrap().wants(&test), wanted, "{text}");
    }
}
