//! What is read, and what is documented.

use ota_core::filter::TaskFilter;
use ota_core::id::{DeviceId, DeviceName};
use ota_core::job::{JobOutcome, JobStatus};
use ota_core::task::TaskStatus;
use serde_json::json;

use super::{
    Enumeration, IN_A_LIST, MAX_NAMES, Paging, Query, QueryParameter, QueryParameters, list_of,
};
use crate::problem::Failure;
use crate::query::{QueryPairs, VALUE_PATTERN};

query_parameters! {
    /// One of each kind.
    #[derive(Debug)]
    struct Wanted {
        /// Any text.
        name: Option<String>,
        /// A description
        /// of two lines.
        status: Vec<JobStatus>,
    }
}

query_parameters! {
    /// A struct that exists, with one field that is called otherwise.
    #[derive(Debug)]
    struct Devices(TaskFilter) {
        /// Statuses.
        status: Vec<TaskStatus>,
        /// Names.
        device_names as "device_name": Vec<DeviceName>,
        /// An identifier.
        device_id: Option<DeviceId>;
        ..TaskFilter::default()
    }
}

fn page_size(query: &str, most: u32) -> Result<u32, Failure> {
    let Query(paging) = Query::<Paging>::parse(Some(query))?;
    paging.page_size.up_to(most)
}

#[test]
fn page_sizes_end_at_the_largest_of_the_provider() {
    assert_eq!(page_size("", 20).ok(), Some(20));
    assert_eq!(page_size("page_size=20", 20).ok(), Some(20));
    let failure = page_size("page_size=21", 20).unwrap_err();
    assert_eq!(failure.field.as_deref(), Some("page_size"));
    assert!(page_size("page_size=0", 20).is_err());
}

#[test]
fn page_sizes_are_1_to_100() {
    for (query, size) in [("", 50), ("page_size=1", 1), ("page_size=100", 100)] {
        assert_eq!(page_size(query, 100).ok(), Some(size));
    }
    for query in [
        "page_size=0",
        "page_size=101",
        "page_size=x",
        "page_size=",
        "page_size=-1",
        "page_size=1.0",
        "page_size=%2B5",
        "page_size=05",
        "page_size=5&page_size=5",
        "page_size=99999999999",
    ] {
        assert!(page_size(query, 100).is_err(), "{query}");
    }
}

#[test]
fn a_struct_reads_its_fields_and_nothing_else() {
    let Query(wanted) = Query::<Wanted>::parse(Some("status=paused,pending&name=a%20b")).unwrap();
    assert_eq!(wanted.name.as_deref(), Some("a b"));
    assert_eq!(wanted.status, [JobStatus::Pending, JobStatus::Paused]);
    let failure = Query::<Wanted>::parse(Some("nam=a")).unwrap_err();
    assert!(
        failure.detail.contains("did you mean `name`"),
        "{}",
        failure.detail
    );
    let failure = Query::<()>::parse(Some("name=a")).unwrap_err();
    assert!(failure.detail.contains("has none"), "{}", failure.detail);
}

#[test]
fn a_struct_describes_its_fields() {
    let described = json!(Wanted::describe());
    let expected = json!([
        {"name": "name", "in": "query", "required": false, "description": "Any text.",
         "schema": {"type": "string", "minLength": 1, "maxLength": 512, "pattern": VALUE_PATTERN}},
        {"name": "status", "in": "query", "required": false, "description": "A description of two lines.",
         "schema": json!(Vec::<JobStatus>::schema())},
    ]);
    assert_eq!(described, expected);
    assert_eq!(
        <(Devices, Paging)>::names(),
        ["status", "device_name", "device_id", "page_size", "cursor"]
    );
}

/// Holds what the document promises of a list of values against what is read.
#[track_caller]
fn check_list<T: Enumeration>() {
    let schema = json!(Vec::<T>::schema());
    let ways = &schema["items"]["anyOf"];
    let all: Vec<String> = T::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(ways[0]["enum"], json!(all));
    assert_eq!(ways[1]["pattern"], list_of(&all));
    // As many as are documented, in the longest lists.
    let list = vec![all[0].clone(); IN_A_LIST].join(",%20");
    let values = usize::try_from(schema["maxItems"].as_u64().unwrap()).unwrap();
    let query = vec![format!("list={list}"); values].join("&");
    let query = QueryPairs::parse(Some(&query), &["list"]).unwrap();
    let read = Vec::<T>::read(&query, "list").unwrap();
    assert_eq!(read.len(), 1, "all of them are the same value");
}

#[test]
fn lists_of_values_are_documented_as_they_are_read() {
    check_list::<JobStatus>();
    check_list::<JobOutcome>();
    check_list::<TaskStatus>();
}

#[test]
fn names_are_documented_as_they_are_read() {
    let schema = json!(Vec::<DeviceName>::schema());
    assert_eq!(schema["maxItems"], MAX_NAMES);
    let read = |names: usize| {
        let query = vec!["device_name=a,b"; names].join("&");
        Query::<Devices>::parse(Some(&query))
    };
    let Query(Devices(filter)) = read(MAX_NAMES).unwrap();
    assert_eq!(filter.device_names, [DeviceName::from("a,b")]);
    assert!(read(MAX_NAMES + 1).is_err());
}
