//! Query parameters as fields: one struct of an operation is its parser, its part of the document, and what it passes on.
//!
//! `query_parameters!` lists the fields once, each with its description. The type of a field says how it is
//! read and what the document promises of it. A handler takes the struct through [`Query`], and its `#[utoipa::path]` names the same type.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use ota_core::filter::TaskFilter;
use ota_core::id::{DeviceId, DeviceName, PackageId, ProductId};
use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::task::{Failure as TaskFailure, TaskStage, TaskStatus};
use serde_json::Value as Json;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};

use crate::cursor;
use crate::problem::Failure;
use crate::query::{
    DEFAULT_PAGE_SIZE, MAX_LIST, MAX_PAGE_SIZE, MAX_VALUE_CHARS, QueryPairs, VALUE_PATTERN,
};

/// Parameters that are read together.
pub trait QueryParameters: Sized {
    /// Returns their names, in the order of the document.
    fn names() -> Vec<&'static str>;

    /// Reads them from a query that has known names only.
    ///
    /// # Errors
    /// `invalid_argument`, naming the parameter.
    fn read(query: &QueryPairs) -> Result<Self, Failure>;

    /// Describes them for the document.
    fn describe() -> Vec<Parameter>;
}

/// Lists the query parameters of an operation, each with its description and the type that says how it is read.
///
/// `struct Name { … }` declares a struct of the parameters; `struct Name(Inner) { … }` declares a wrapper of a struct that exists, all of whose fields must be
/// named, or follow from `; ..rest`. A parameter is called like its field, or as `field as "name"` says.
#[macro_export]
macro_rules! query_parameters {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident {
        $($(#[doc = $doc:literal])+ $field:ident: $kind:ty),+ $(,)?
    }) => {
        $(#[$meta])*
        $visibility struct $name { $($(#[doc = $doc])+ $visibility $field: $kind),+ }

        $crate::query_parameters! { @impl $name, |given| given, $name { $($(#[doc = $doc])+ $field: $kind),+ } }
    };
    ($(#[$meta:meta])* $visibility:vis struct $name:ident($inner:ident) {
        $($(#[doc = $doc:literal])+ $field:ident $(as $given:literal)?: $kind:ty),+ $(,)? $(; ..$rest:expr)?
    }) => {
        $(#[$meta])*
        $visibility struct $name($visibility $inner);

        $crate::query_parameters! {
            @impl $name, $name, $inner { $($(#[doc = $doc])+ $field $(as $given)?: $kind),+ $(; ..$rest)? }
        }
    };
    (@impl $name:ident, $wrap:expr, $inner:ident {
        $($(#[doc = $doc:literal])+ $field:ident $(as $given:literal)?: $kind:ty),+ $(; ..$rest:expr)?
    }) => {
        impl $crate::parameters::QueryParameters for $name {
            fn names() -> Vec<&'static str> {
                vec![$($crate::query_parameters!(@name $field $($given)?)),+]
            }

            fn read(query: &$crate::query::QueryPairs) -> Result<Self, $crate::problem::Failure> {
                let given = $inner {
                    $($field: <$kind as $crate::parameters::QueryParameter>::read(
                        query,
                        $crate::query_parameters!(@name $field $($given)?),
                    )?,)+
                    $(..$rest)?
                };
                Ok(($wrap)(given))
            }

            fn describe() -> Vec<utoipa::openapi::path::Parameter> {
                vec![$($crate::parameters::described::<$kind>(
                    $crate::query_parameters!(@name $field $($given)?),
                    concat!($($doc),+),
                )),+]
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $given:literal) => { $given };
}

/// No parameters.
impl QueryParameters for () {
    fn names() -> Vec<&'static str> {
        Vec::new()
    }

    fn read(_query: &QueryPairs) -> Result<Self, Failure> {
        Ok(())
    }

    fn describe() -> Vec<Parameter> {
        Vec::new()
    }
}

impl<A: QueryParameters, B: QueryParameters> QueryParameters for (A, B) {
    fn names() -> Vec<&'static str> {
        let mut names = A::names();
        names.extend(B::names());
        names
    }

    fn read(query: &QueryPairs) -> Result<Self, Failure> {
        Ok((A::read(query)?, B::read(query)?))
    }

    fn describe() -> Vec<Parameter> {
        let mut all = A::describe();
        all.extend(B::describe());
        all
    }
}

/// The query of a request, read as the parameters of its operation. `Query<()>` is for an operation that takes none.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: QueryParameters> Query<T> {
    /// Reads the text behind the question mark.
    ///
    /// # Errors
    /// `invalid_argument`, naming the parameter.
    pub fn parse(text: Option<&str>) -> Result<Self, Failure> {
        let pairs = QueryPairs::parse(text, &T::names())?;
        T::read(&pairs).map(Self)
    }
}

impl<T: QueryParameters, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        Self::parse(parts.uri.query())
    }
}

impl<T: QueryParameters> IntoParams for Query<T> {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        T::describe()
    }
}

/// Describes one parameter.
pub fn described<T: QueryParameter>(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .description(Some(description.trim()))
        .required(T::REQUIRED)
        .schema(Some(T::schema()))
        .build()
}

/// A type that a parameter can have.
pub trait QueryParameter: Sized {
    /// Whether a request must have it.
    const REQUIRED: Required = Required::False;

    /// Reads it.
    ///
    /// # Errors
    /// `invalid_argument`, naming the parameter.
    fn read(query: &QueryPairs, name: &'static str) -> Result<Self, Failure>;

    /// Returns what the document promises of it.
    fn schema() -> Schema;
}

/// An optional value that may be given once.
impl<T: QueryValue> QueryParameter for Option<T> {
    fn read(query: &QueryPairs, name: &'static str) -> Result<Self, Failure> {
        query
            .one(name)?
            .map(|value| T::from_value(name, value))
            .transpose()
    }

    fn schema() -> Schema {
        T::schema().build().into()
    }
}

/// Values of an enumeration, repeated or as comma lists. They are in the order of the enumeration, so that equivalent requests are equal.
impl<T: Enumeration> QueryParameter for Vec<T> {
    fn read(query: &QueryPairs, name: &'static str) -> Result<Self, Failure> {
        let mut values = query.words(name, T::ALL)?;
        values.sort_unstable();
        Ok(values)
    }

    fn schema() -> Schema {
        let words: Vec<String> = T::ALL.iter().map(ToString::to_string).collect();
        let list = string().pattern(Some(list_of(&words)));
        // Each element is a value, or a comma list itself.
        let item = AnyOfBuilder::new().item(one_of(&words)).item(list);
        let values = ArrayBuilder::new().items(item);
        // The parser accepts the longest comma list in each of them.
        values.max_items(Some(MAX_LIST / IN_A_LIST)).build().into()
    }
}

/// The most names in one request.
const MAX_NAMES: usize = TaskFilter::MAX_DEVICE_NAMES as usize;

/// Names, of which each may hold commas, so that they can be repeated only.
impl QueryParameter for Vec<DeviceName> {
    fn read(query: &QueryPairs, name: &'static str) -> Result<Self, Failure> {
        let names = query.repeated(name, MAX_NAMES)?;
        Ok(names.into_iter().map(DeviceName::from).collect())
    }

    fn schema() -> Schema {
        let names = ArrayBuilder::new().items(DeviceName::schema());
        names.max_items(Some(MAX_NAMES)).build().into()
    }
}

/// A single value.
pub trait QueryValue: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// `invalid_argument`, naming the parameter.
    fn from_value(name: &'static str, value: &str) -> Result<Self, Failure>;

    /// Returns what the document promises of it.
    fn schema() -> ObjectBuilder;
}

/// A closed set of values, as far as requests go.
pub trait Enumeration: Copy + Ord + Display + FromStr + 'static {
    /// Every value.
    const ALL: &'static [Self];
}

macro_rules! texts {
    ($($kind:ty),+) => {$(
        impl QueryValue for $kind {
            fn from_value(_name: &'static str, value: &str) -> Result<Self, Failure> {
                Ok(Self::from(value))
            }

            fn schema() -> ObjectBuilder {
                let text = string().min_length(Some(1)).max_length(Some(MAX_VALUE_CHARS));
                text.pattern(Some(VALUE_PATTERN))
            }
        }
    )+};
}

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

texts!(String, PackageId, ProductId, DeviceId, DeviceName);
enumerations!(
    JobStatus,
    JobOutcome,
    JobKind,
    TaskStatus,
    TaskStage,
    TaskFailure
);

query_parameters! {
    /// The requested page of a list.
    #[derive(Debug)]
    pub struct Paging {
        /// Maximum number of rows in the page.
        page_size: PageSize,
        /// The `next_cursor` of the previous page; filters and page size must be the same.
        cursor: CursorText,
    }
}

/// The most rows of a page, of `MOST` that the document allows; none where the request leaves it to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize<const MOST: u32 = MAX_PAGE_SIZE>(Option<u32>);

impl<const MOST: u32> PageSize<MOST> {
    /// Returns the rows that are asked for, or the usual ones.
    #[must_use]
    pub fn rows(self) -> u32 {
        self.0.unwrap_or(DEFAULT_PAGE_SIZE)
    }

    /// Returns the rows of a page of a provider whose pages have at most `most`.
    ///
    /// # Errors
    /// `invalid_argument` if more are requested.
    pub fn up_to(self, most: u32) -> Result<u32, Failure> {
        match self.0 {
            None => Ok(DEFAULT_PAGE_SIZE.min(most)),
            Some(size) if size <= most => Ok(size),
            Some(size) => Err(Failure::invalid(
                "page_size",
                format!("`page_size` is {size}; this provider allows at most {most}"),
            )),
        }
    }
}

impl<const MOST: u32> QueryParameter for PageSize<MOST> {
    fn read(query: &QueryPairs, name: &'static str) -> Result<Self, Failure> {
        let Some(text) = query.one(name)? else {
            return Ok(Self(None));
        };
        // One way of writing each size: `+5` and `005` are mistakes.
        let number = text.parse().ok();
        let number = number.filter(|number: &u32| number.to_string() == text);
        match number.filter(|size| (1..=MOST).contains(size)) {
            Some(size) => Ok(Self(Some(size))),
            None => Err(Failure::invalid(
                name,
                format!("`{name}` is a whole number from 1 to {MOST}"),
            )),
        }
    }

    fn schema() -> Schema {
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        number
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .minimum(Some(1))
            .maximum(Some(MOST))
            .default(Some(Json::from(DEFAULT_PAGE_SIZE)))
            .build()
            .into()
    }
}

/// A cursor as it was sent. Any text is one until the list that it belongs to is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorText(pub Option<String>);

impl QueryParameter for CursorText {
    fn read(query: &QueryPairs, name: &'static str) -> Result<Self, Failure> {
        Ok(Self(query.unchecked(name)?.map(str::to_owned)))
    }

    fn schema() -> Schema {
        string().max_length(Some(cursor::MAX_CHARS)).build().into()
    }
}

pub(crate) fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(crate) fn one_of(words: &[String]) -> ObjectBuilder {
    string().enum_values(Some(words.iter().map(String::as_str)))
}

/// Maximum number of values in one comma list, as documented.
const IN_A_LIST: usize = 10;

/// Returns the pattern of a comma list of two or more of these values. The parser also accepts more spaces, and longer lists if the parameter is repeated less often.
fn list_of(words: &[String]) -> String {
    let (word, more) = (words.join("|"), IN_A_LIST - 1);
    format!("^({word})(, ?({word})){{1,{more}}}$")
}

#[cfg(test)]
mod tests;
