//! The query parameters of the fleet: orders, groups, times, texts.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::openapi::Required;
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};

use crate::parameters::{
    CursorText, Enumeration, PageSize, QueryParameter, QueryValue, one_of, string,
};
use crate::problem::Failure;
use crate::query::{MAX_LIST, QueryPairs};
use crate::query_parameters;

/// The largest page of the fleet.
pub const MAX_FLEET_PAGE: u32 = 500;

ota_core::open_enum!(
    /// The order of a list of jobs.
    JobSort {
        /// Newest first.
        CreatedDescending = "-created_at",
        /// Oldest first.
        Created = "created_at",
        /// Changed last first.
        ChangedDescending = "-changed_at",
        /// Changed longest ago first.
        Changed = "changed_at",
        /// Most failed tasks first.
        FailedDescending = "-failed",
    }
);

ota_core::open_enum!(
    /// The order of a list of tasks.
    TaskSort {
        /// Changed last first.
        ChangedDescending = "-changed_at",
        /// Changed longest ago first.
        Changed = "changed_at",
        /// Newest first.
        CreatedDescending = "-created_at",
        /// Oldest first.
        Created = "created_at",
        /// By the name of the device.
        DeviceName = "device_name",
    }
);

ota_core::open_enum!(
    /// What jobs are counted by.
    JobKey {
        /// The configured provider.
        Provider = "provider",
        /// The vendor.
        Vendor = "vendor",
        /// The status.
        Status = "status",
        /// The outcome.
        Outcome = "outcome",
        /// What is installed.
        Kind = "kind",
        /// The product.
        ProductId = "product_id",
        /// The package.
        PackageId = "package_id",
        /// The version of the package.
        PackageVersion = "package_version",
    }
);

ota_core::open_enum!(
    /// What tasks are counted by.
    TaskKey {
        /// The configured provider.
        Provider = "provider",
        /// The vendor.
        Vendor = "vendor",
        /// The status.
        Status = "status",
        /// The step within the status.
        Stage = "stage",
        /// The reason of the failure.
        Failure = "failure",
        /// The job.
        JobId = "job_id",
        /// The product of the device.
        ProductId = "product_id",
        /// The version before.
        FromVersion = "from_version",
        /// The version afterwards.
        ToVersion = "to_version",
    }
);

macro_rules! enumerations {
    ($($kind:ty),+) => {$(
        impl Enumeration for $kind {
            const ALL: &'static [Self] = <$kind>::ALL;
        }

        impl QueryValue for $kind {
            fn from_value(name: &'static str, value: &str) -> Result<Self, Failure> {
                crate::query::word(name, value, Self::ALL)
            }

            fn schema() -> ObjectBuilder {
                let words: Vec<String> = Self::ALL.iter().map(ToString::to_string).collect();
                one_of(&words)
            }
        }
    )+};
}

enumerations!(JobSort, TaskSort, JobKey, TaskKey);

query_parameters! {
    /// Which page of a list of the fleet is asked for.
    #[derive(Debug)]
    pub struct FleetPaging {
        /// Maximum number of rows in the page.
        page_size: PageSize<MAX_FLEET_PAGE>,
        /// The `next_cursor` of the previous page; filters, `sort` and page size must be the same.
        cursor: CursorText,
    }
}

query_parameters! {
    /// Which jobs are looked for, and how they are sorted.
    #[derive(Clone, Debug)]
    pub struct JobSearch {
        /// Jobs with this text in identifier, name, description, package name or package version, in any case.
        q: Option<SearchText>,
        /// The order. Jobs without the value come last. Default: `-created_at`.
        sort: Option<JobSort>,
    }
}

query_parameters! {
    /// Which tasks are looked for, and how they are sorted.
    #[derive(Clone, Debug)]
    pub struct TaskSearch {
        /// Tasks with this text in device name, device identifier or message, in any case.
        q: Option<SearchText>,
        /// The order. Tasks without the value come last. Default: `-changed_at`.
        sort: Option<TaskSort>,
    }
}

query_parameters! {
    /// What jobs are counted by.
    #[derive(Clone, Debug)]
    pub struct JobGrouping {
        /// One to three keys; repeat the parameter or separate values by commas.
        group_by: GroupBy<JobKey>,
    }
}

query_parameters! {
    /// What tasks are counted by.
    #[derive(Clone, Debug)]
    pub struct TaskGrouping {
        /// One to three keys; repeat the parameter or separate values by commas.
        group_by: GroupBy<TaskKey>,
    }
}

/// Names of providers; the operation decides which the caller may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl QueryParameter for Names {
    fn read(query: &QueryPairs, name: &'static str) -> Result<Self, Failure> {
        let mut names: Vec<String> = query.list(name)?.into_iter().map(str::to_owned).collect();
        names.sort_unstable();
        Ok(Self(names))
    }

    fn schema() -> Schema {
        let name = string().min_length(Some(1)).max_length(Some(63));
        let name = name.pattern(Some("^[a-z0-9-]+$"));
        ArrayBuilder::new()
            .items(name)
            .max_items(Some(MAX_LIST))
            .build()
            .into()
    }
}

/// The keys that rows are counted by, in the order asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupBy<T>(pub Vec<T>);

/// The most keys that rows are counted by.
const MAX_KEYS: usize = 3;

impl<T: Enumeration> QueryParameter for GroupBy<T> {
    const REQUIRED: Required = Required::True;

    fn read(query: &QueryPairs, name: &'static str) -> Result<Self, Failure> {
        let keys = query.words(name, T::ALL)?;
        if keys.len() < query.list_len(name) {
            return Err(Failure::invalid(
                name,
                format!("`{name}` has a key twice; give each once"),
            ));
        }
        if (1..=MAX_KEYS).contains(&keys.len()) {
            return Ok(Self(keys));
        }
        let words: Vec<String> = T::ALL.iter().map(ToString::to_string).collect();
        Err(Failure::invalid(
            name,
            format!("`{name}` takes one to {MAX_KEYS} of {}", words.join(", ")),
        ))
    }

    fn schema() -> Schema {
        let words: Vec<String> = T::ALL.iter().map(ToString::to_string).collect();
        ArrayBuilder::new()
            .items(one_of(&words))
            .min_items(Some(1))
            .max_items(Some(MAX_KEYS))
            .unique_items(true)
            .build()
            .into()
    }
}

/// A time with its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant(pub OffsetDateTime);

impl QueryValue for Instant {
    fn from_value(name: &'static str, value: &str) -> Result<Self, Failure> {
        let time = OffsetDateTime::parse(value, &Rfc3339);
        time.map(Self).map_err(|_| {
            // The plus of a zone is a space in a query, unless it is encoded.
            let plus = match value.rsplit_once(' ') {
                Some((time, zone)) if OffsetDateTime::parse(&format!("{time}+{zone}"), &Rfc3339).is_ok() => {
                    "; write the `+` of the zone as `%2B`"
                }
                _ => "",
            };
            Failure::invalid(
                name,
                format!("`{name}` is a time with its zone (RFC 3339), such as 2026-11-23T08:15:30Z{plus}"),
            )
        })
    }

    fn schema() -> ObjectBuilder {
        string().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
    }
}

/// The longest time that can be asked for, in seconds: ten years.
const MAX_SECONDS: u32 = 315_360_000;

/// A number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub u32);

impl QueryValue for Seconds {
    fn from_value(name: &'static str, value: &str) -> Result<Self, Failure> {
        let number = value.parse().ok();
        let number = number.filter(|number: &u32| number.to_string() == value);
        match number.filter(|seconds| *seconds <= MAX_SECONDS) {
            Some(seconds) => Ok(Self(seconds)),
            None => Err(Failure::invalid(
                name,
                format!("`{name}` is a whole number of seconds from 0 to {MAX_SECONDS}"),
            )),
        }
    }

    fn schema() -> ObjectBuilder {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .minimum(Some(0))
            .maximum(Some(MAX_SECONDS))
    }
}

impl QueryValue for bool {
    fn from_value(name: &'static str, value: &str) -> Result<Self, Failure> {
        value
            .parse()
            .map_err(|_| Failure::invalid(name, format!("`{name}` is `true` or `false`")))
    }

    fn schema() -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::Boolean)
    }
}

/// A text that is looked for. Any character is one, `%` and control characters too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchText(pub String);

/// The shortest and the longest text that is looked for, in characters.
const SEARCH_CHARS: std::ops::RangeInclusive<usize> = 2..=100;

impl QueryParameter for Option<SearchText> {
    fn read(query: &QueryPairs, name: &'static str) -> Result<Self, Failure> {
        let Some(text) = query.unchecked(name)? else {
            return Ok(None);
        };
        match SEARCH_CHARS.contains(&text.chars().count()) {
            true => Ok(Some(SearchText(text.to_owned()))),
            false => Err(Failure::invalid(
                name,
                format!(
                    "`{name}` is a text of {} to {} characters",
                    SEARCH_CHARS.start(),
                    SEARCH_CHARS.end()
                ),
            )),
        }
    }

    fn schema() -> Schema {
        string()
            .min_length(Some(*SEARCH_CHARS.start()))
            .max_length(Some(*SEARCH_CHARS.end()))
            .build()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::TaskGrouping;
    use crate::parameters::QueryParameters;
    use crate::query::QueryPairs;

    #[test]
    fn a_key_of_groups_is_given_once() {
        let read = |query: &str| {
            let query = QueryPairs::parse(Some(query), &["group_by"]).unwrap();
            TaskGrouping::read(&query)
        };
        assert_eq!(read("group_by=status,failure").unwrap().group_by.0.len(), 2);
        for twice in [
            "group_by=status,status",
            "group_by=status&group_by=status",
            "group_by=status,failure, status",
        ] {
            let failure = read(twice).unwrap_err();
            assert_eq!(failure.field.as_deref(), Some("group_by"), "{twice}");
            assert!(failure.detail.contains("twice"), "{}", failure.detail);
        }
    }
}
