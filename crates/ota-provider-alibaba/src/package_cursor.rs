//! The cursor of the list of all jobs, which is read package by package.

use ota_core::paging::{PageFingerprint, Position};
use ota_core::provider::Cursor;
use ota_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::wire::Firmware;

/// A package, as far as listing its jobs needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ListedPackage {
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) product: Option<String>,
}

impl From<Firmware> for ListedPackage {
    fn from(row: Firmware) -> Self {
        Self {
            id: row.firmware_id.identifier().unwrap_or_default(),
            name: row.firmware_name.text(),
            version: row.dest_version.text(),
            product: row.product_key.identifier(),
        }
    }
}

/// Where the list of all jobs goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackageCursor {
    /// Number of the package in the vendor's list, from 0.
    #[serde(rename = "i")]
    pub(crate) index: u64,
    /// The number of that package's jobs that earlier pages have passed.
    #[serde(rename = "o")]
    pub(crate) offset: u64,
    /// How the vendor's last page of those jobs began.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<PageFingerprint>,
    /// The page size in force for those jobs.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    /// Whether the vendor serves no smaller pages of those jobs.
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    least: bool,
    /// The number of rows of a short page of those jobs, which is requested again.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    short: Option<u32>,
    /// The largest total that the vendor has reported for those jobs.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// How the vendor's last page of packages began.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    packages_fingerprint: Option<PageFingerprint>,
    /// The page size in force for packages.
    #[serde(rename = "fs", default, skip_serializing_if = "Option::is_none")]
    packages_size: Option<u32>,
    /// Whether the vendor serves no smaller pages of packages.
    #[serde(rename = "fl", default, skip_serializing_if = "std::ops::Not::not")]
    packages_least: bool,
    /// The number of rows of a short page of packages, which is requested again.
    #[serde(rename = "fh", default, skip_serializing_if = "Option::is_none")]
    packages_short: Option<u32>,
    /// The largest total that the vendor has reported for packages.
    #[serde(rename = "ft", default, skip_serializing_if = "Option::is_none")]
    packages_total: Option<u64>,
    /// Where the list of packages ends, if that is known.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub(crate) packages: Option<u64>,
    /// Whether rows were skipped that the vendor counts and does not return.
    #[serde(rename = "g", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gap: bool,
    /// Whether packages were skipped whose jobs could not be read.
    #[serde(rename = "k", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) skipped: bool,
    /// The package itself, if it is known.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub(crate) package: Option<ListedPackage>,
}

impl PackageCursor {
    pub(crate) fn decode(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else {
            return Ok(Self::default());
        };
        let position: Self =
            serde_json::from_str(&cursor.0).map_err(|_| Error::invalid_cursor())?;
        // Far above every real account, and small enough that page numbers cannot overflow.
        let sane = position.index < 1 << 32 && position.offset < 1 << 32;
        if sane {
            Ok(position)
        } else {
            Err(Error::invalid_cursor())
        }
    }

    /// Where the list of the package's jobs goes on.
    pub(crate) fn jobs_position(&self) -> Position {
        Position {
            fingerprint: self.fingerprint,
            size: self.size.filter(|rows| *rows > 0),
            least: self.least,
            short: self.short.filter(|rows| *rows > 0),
            total: self.total,
            ..Position::new(0, self.offset)
        }
    }

    pub(crate) fn set_jobs_position(&mut self, jobs: Position) {
        self.offset = jobs.offset;
        self.fingerprint = jobs.fingerprint;
        self.size = jobs.size;
        self.least = jobs.least;
        self.short = jobs.short;
        self.total = jobs.total;
    }

    /// Where the list of packages goes on.
    pub(crate) fn packages_position(&self) -> Position {
        Position {
            fingerprint: self.packages_fingerprint,
            size: self.packages_size.filter(|rows| *rows > 0),
            least: self.packages_least,
            short: self.packages_short.filter(|rows| *rows > 0),
            total: self.packages_total,
            ..Position::new(0, self.index)
        }
    }

    pub(crate) fn set_packages_position(&mut self, packages: Position) {
        self.index = packages.offset;
        self.packages_fingerprint = packages.fingerprint;
        self.packages_size = packages.size;
        self.packages_least = packages.least;
        self.packages_short = packages.short;
        self.packages_total = packages.total;
    }

    /// Moves on to the next package.
    pub(crate) fn skip_package(&mut self) {
        self.index += 1;
        self.package = None;
        self.set_jobs_position(Position::default());
    }

    pub(crate) fn encode(mut self) -> Result<Cursor> {
        let write = |position: &Self| {
            serde_json::to_string(position).map_err(|error| {
                Error::new(
                    ota_core::ErrorKind::Unexpected,
                    "a cursor could not be written",
                )
                .with_source(error)
            })
        };
        let text = write(&self)?;
        if text.len() <= Cursor::MAX_LEN {
            return Ok(Cursor(text));
        }
        // For an unusually long name, the package is looked up again, which costs one more call.
        self.package = None;
        write(&self).map(Cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::{ListedPackage, PackageCursor, PageFingerprint};
    use ota_core::provider::Cursor;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back_and_stays_short(
            index in 0_u64..1 << 32, offset in 0_u64..1 << 32, packages: Option<u64>, name in ".{0,2000}",
        ) {
            let position = PackageCursor {
                index, offset, packages, fingerprint: PageFingerprint::of("job"), packages_fingerprint: PageFingerprint::of("package"),
                size: Some(u32::MAX), total: Some(u64::MAX), packages_size: Some(10), packages_total: packages, gap: true, skipped: true,
                least: true, short: Some(u32::MAX), packages_least: true, packages_short: Some(7),
                package: Some(ListedPackage { id: "p".into(), name: Some(name), version: None, product: None }),
            };
            let cursor = position.clone().encode().unwrap();
            prop_assert!(cursor.0.len() <= Cursor::MAX_LEN);
            let back = PackageCursor::decode(Some(&cursor)).unwrap();
            prop_assert_eq!((back.index, back.offset, back.packages), (index, offset, packages));
        }

        #[test]
        fn no_text_panics(text in ".{0,100}") {
            let _ = PackageCursor::decode(Some(&Cursor(text)));
        }
    }
}
