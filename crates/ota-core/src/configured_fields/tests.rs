use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ConfigurableField, ConfiguredFields, FieldPath, FieldUse, FieldValues, RowKind};
use crate::fields::FieldSupport;
use crate::id::ProviderName;
use crate::job::{Detail, Job, JobStatus, Package};
use crate::task::{Task, TaskStatus};
use crate::vendor::VendorDetail;

fn find(path: &str, row: &Value) -> Option<String> {
    FieldPath::parse(path).unwrap().find(row)
}

fn fields(paths: &[(ConfigurableField, &str)]) -> ConfiguredFields {
    let paths = paths.iter();
    ConfiguredFields::new(paths.map(|(field, path)| (*field, FieldPath::parse(path).unwrap())))
}

#[test]
fn a_path_leads_to_a_text_or_a_number() {
    let row = json!({
        "version": " V1.2 ",
        "number": 7,
        "fraction": 1.5,
        "extension": {"version": "V3", "中文": {"a b": "V4"}, "1": "V5"},
        "list": [{"version": "V6"}, "V7"],
        "text": "{\"version\":\"V8\",\"inner\":\"{\\\"version\\\":\\\"V9\\\"}\",\"list\":[\"V10\"]}",
        "items": "[\"V11\"]",
    });
    for (path, expected) in [
        ("version", "V1.2"),
        (" version ", "V1.2"),
        ("number", "7"),
        ("fraction", "1.5"),
        ("extension.version", "V3"),
        ("extension.中文.a b", "V4"),
        ("extension.1", "V5"),
        ("list.0.version", "V6"),
        ("list.1", "V7"),
        ("text.version", "V8"),
        ("text.inner.version", "V9"),
        ("text.list.0", "V10"),
        ("items.0", "V11"),
    ] {
        assert_eq!(find(path, &row).as_deref(), Some(expected), "{path}");
    }
}

#[test]
fn what_is_missing_or_of_another_type_is_absent() {
    let row = json!({
        "null": null, "flag": true, "empty": "", "blank": "  ", "object": {"a": 1}, "list": ["x"],
        "text": "V1", "quoted": "\"V1\"", "cut": "{\"version\":\"V1\"", "long": "字".repeat(257),
        "control": "V1\u{0}", "longest": "字".repeat(256), "Case": "x",
    });
    for path in [
        "missing",
        "null",
        "null.a",
        "flag",
        "flag.a",
        "empty",
        "blank",
        "object",
        "object.b",
        "object.a.b",
        "list",
        "list.1",
        "list.-1",
        "list.x",
        "list.99999999999999999999999",
        "text.a",
        "text.0",
        "quoted.a",
        "cut.version",
        "long",
        "control",
        "case",
    ] {
        assert_eq!(find(path, &row), None, "{path}");
    }
    assert!(find("longest", &row).is_some());
    for row in [json!(null), json!("x"), json!([]), json!(5)] {
        assert_eq!(find("a", &row), None);
    }
}

#[test]
fn a_text_that_is_too_long_is_not_read_as_json() {
    let with = |padding: usize| {
        let json = format!(
            "{{\"version\":\"V1\",\"rest\":\"{}\"}}",
            "x".repeat(padding)
        );
        find("a.version", &json!({ "a": json }))
    };
    assert_eq!(with(1000).as_deref(), Some("V1"));
    assert_eq!(with(70_000), None);
    let deep = format!("{}1{}", "[".repeat(60_000), "]".repeat(5_000));
    assert_eq!(find("a.0", &json!({ "a": deep })), None);
}

#[test]
fn a_path_that_cannot_be_read_says_what_to_write() {
    for (path, said) in [
        ("", "the path is empty"),
        ("  ", "the path is empty"),
        (".", "a name between two dots"),
        ("a.", "a name between two dots"),
        (".a", "a name between two dots"),
        ("a..b", "a name between two dots"),
        ("a. b", "a blank beside a dot"),
        ("a .b", "a blank beside a dot"),
        ("a\tb", "a control character"),
        ("a.\u{7f}", "a control character"),
        (&"a".repeat(257), "longer than 256 bytes"),
        (&["a"; 17].join("."), "more than 16 names"),
    ] {
        let error = FieldPath::parse(path).unwrap_err();
        assert!(error.contains(said), "{path}: {error}");
        assert!(error.contains("`extension.version`"), "{error}");
    }
    assert!(FieldPath::parse(&["a"; 16].join(".")).is_ok());
    assert_eq!(FieldPath::parse(" a.b ").unwrap().as_str(), "a.b");
}

#[test]
fn a_vendor_lacks_what_it_does_not_report_in_every_row() {
    let lacks = |job_row, job, task| {
        let reported = FieldSupport {
            job_row,
            job,
            task,
            ..FieldSupport::default()
        };
        let fields = ConfigurableField::missing_from(reported);
        fields.map(ConfigurableField::as_str).collect::<Vec<_>>()
    };
    const NAME: &[&str] = &["package.name"];
    const VERSION: &[&str] = &["package.name", "package.version"];
    assert_eq!(
        lacks(&[], &[], &[]),
        ["package_name", "package_version", "device_name"]
    );
    assert_eq!(
        lacks(NAME, VERSION, &["device.name"]),
        ["package_version"],
        "the version is in the detail only"
    );
    assert!(lacks(VERSION, VERSION, &["device.name"]).is_empty());
}

#[test]
fn only_what_the_vendor_left_out_is_filled() {
    let provider = ProviderName::parse("p").unwrap();
    let job = |package| {
        let vendor = VendorDetail::default();
        let status = JobStatus::Pending;
        let mut job = Job::new(
            provider.clone(),
            "j".to_owned().into(),
            status,
            Detail::Full,
            vendor,
        );
        job.package = package;
        job
    };
    let values = FieldValues {
        package_name: None,
        package_version: Some("V2".to_owned()),
        device_name: Some("d2".to_owned()),
    };
    let mut without = job(None);
    values.clone().fill_job(&mut without);
    let package = without.package.unwrap();
    assert_eq!((package.name, package.version), (None, Some("V2".into())));
    let mut with = job(Some(Package {
        version: Some("V1".to_owned()),
        ..Package::default()
    }));
    values.clone().fill_job(&mut with);
    assert_eq!(with.package.unwrap().version.as_deref(), Some("V1"));
    let mut untouched = job(None);
    FieldValues::default().fill_job(&mut untouched);
    assert_eq!(untouched.package, None, "a package without a field");

    let mut task = Task::new(
        provider.clone(),
        "j".to_owned().into(),
        "t".to_owned().into(),
        TaskStatus::Pending,
        VendorDetail::default(),
    );
    values.clone().fill_task(&mut task);
    assert_eq!(task.device.name.as_ref().unwrap().as_str(), "d2");
    task.device.name = Some("d1".to_owned().into());
    values.fill_task(&mut task);
    assert_eq!(task.device.name.unwrap().as_str(), "d1");
}

#[test]
fn what_is_never_found_is_named_once() {
    let fields = fields(&[
        (ConfigurableField::PackageVersion, "a.version"),
        (ConfigurableField::DeviceName, "a.name"),
        (ConfigurableField::PackageName, "a.title"),
    ]);
    assert!(fields.take_never_found().is_empty(), "nothing was read yet");
    let values = fields.read(RowKind::Job, &json!({"a": {"title": "x", "name": "y"}}));
    assert_eq!(
        values,
        FieldValues {
            package_name: Some("x".to_owned()),
            ..FieldValues::default()
        },
        "a row of a job has no device"
    );
    let uses = |field, path: &str, rows, found| FieldUse {
        field,
        path: path.to_owned(),
        rows,
        found,
    };
    let version = uses(ConfigurableField::PackageVersion, "a.version", 1, 0);
    assert_eq!(fields.take_never_found(), std::slice::from_ref(&version));
    assert!(fields.take_never_found().is_empty());
    let _absent = fields.read(RowKind::Task, &json!({"a": {}}));
    let name = uses(ConfigurableField::DeviceName, "a.name", 1, 0);
    assert_eq!(fields.take_never_found(), std::slice::from_ref(&name));
    let title = uses(ConfigurableField::PackageName, "a.title", 1, 1);
    assert_eq!(fields.uses(), [version, name, title]);
}

/// JSON of any shape, with texts that may hold JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c0-2]", inner.clone(), 0..4)
                .prop_map(|members| members.into_iter().collect()),
            inner.prop_map(|value| Value::from(value.to_string())),
        ]
    })
}

proptest! {
    #[test]
    fn no_path_and_no_row_breaks_anything(
        path in prop_oneof![any::<String>(), "[a-c0-2.]{1,9}"],
        row in any_json(),
    ) {
        let Ok(path) = FieldPath::parse(&path) else { return Ok(()) };
        let again = FieldPath::parse(path.as_str());
        prop_assert_eq!(again.as_ref(), Ok(&path));
        if let Some(value) = path.find(&row) {
            prop_assert!(!value.is_empty() && value.trim() == value);
            prop_assert!(value.chars().count() <= 256);
        }
    }

    #[test]
    fn what_stands_at_a_path_is_found_there(names in prop::collection::vec("[a-z]{1,5}", 1..6), as_text in any::<bool>()) {
        let row = names.iter().rev().fold(json!("V1"), |inner, name| {
            let outer = json!({ name.as_str(): inner });
            if as_text { outer.to_string().into() } else { outer }
        });
        prop_assert_eq!(find(&names.join("."), &row), Some("V1".to_owned()));
    }
}
