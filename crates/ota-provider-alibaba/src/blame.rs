//! Whether the caller or the gateway caused a refused argument.
//!
//! The vendor's codes say that an argument is invalid or that something does not exist. The caller caused it only if the caller sent the
//! argument: page numbers, status values and package identifiers that were found in a list come from the gateway.

use ota_adapter::error::{code, not_the_callers};
use ota_core::{Error, ErrorKind};

use crate::params::Params;

/// The product's codes that name a parameter by another name (vendor notes, section 5.1), in lower case.
const NAMED: &[(&str, &str)] = &[
    ("iot.common.invalidpageparams", "PageSize"),
    ("iot.device.nonedevicenameelement", "DeviceName"),
];

/// The product's codes for any parameter, in lower case.
const FOR_ANY: &[&str] = &[
    "iot.check.invalidformattedparameter",
    "iot.common.invalidformattedparameter",
    "iot.check.parameterisnotlessthanmax",
    "iot.system.illegalrequest",
];

/// The parameters of this adapter's calls. Those of one group are named together by the vendor.
const PARAMETERS: &[&[&str]] = &[
    &["CurrentPage", "PageSize"],
    &["TaskStatus"],
    &["IotInstanceId"],
    &["IotId"],
    &["DeviceName", "DeviceNames"],
    &["ProductKey"],
    &["FirmwareId"],
    &["JobId"],
];

/// The resources that the product's codes say do not exist, in lower case, and the parameter that names each. Only the code of a package is documented; the
/// code of a job or a task is not, so it is accepted in every form that similar codes have.
const RESOURCES: &[(&str, &str)] = &[
    ("job", "JobId"),
    ("otajob", "JobId"),
    ("task", "JobId"),
    ("otatask", "JobId"),
    ("firmware", "FirmwareId"),
    ("otafirmware", "FirmwareId"),
    ("product", "ProductKey"),
    ("device", "DeviceName"),
];

/// What the API gateway's codes `Invalid…` and `Missing…` name if they name no parameter.
const UNNAMED: &[&str] = &[
    "",
    "parameter",
    "parameters",
    "param",
    "argument",
    "input",
    "request",
];

/// Reports a refused argument that the caller did not send as a refusal by the vendor. `callers` names the parameters among `params`
/// whose values the caller sent; `DeviceNames` stands for all of `DeviceNames.N`.
pub(crate) fn blame(error: Error, params: &Params, callers: &[&str]) -> Error {
    if !matches!(
        error.kind(),
        ErrorKind::InvalidArgument | ErrorKind::NotFound
    ) {
        return error;
    }
    let text = error.vendor().and_then(|vendor| vendor.message.as_deref());
    match caused_by_caller(code(&error), text.unwrap_or_default(), params, callers) {
        true => error,
        false => not_the_callers(error),
    }
}

/// Returns the parameters that a code in lower case names. The code is documented, or has exactly the form of a documented one: a code that contains a
/// parameter's name beside other words (`InvalidJobQuota`) is not about that parameter.
fn subject(code: &str) -> Option<&'static [&'static str]> {
    let named = |name: &str| {
        let with = |names: &&&'static [&'static str]| {
            names.iter().any(|one| one.eq_ignore_ascii_case(name))
        };
        PARAMETERS.iter().find(with).copied()
    };
    if let Some((_, name)) = NAMED.iter().find(|(known, _)| *known == code) {
        return named(name);
    }
    // `Invalid<Param>` and `Missing<Param>` of the API gateway, which may have one more part (`InvalidJobId.NotFound`).
    let Some(product) = code.strip_prefix("iot.") else {
        let rest = argument_of(code)?;
        return named(rest.split('.').next().unwrap_or_default());
    };
    let last = product.rsplit('.').next().unwrap_or_default();
    let argument = ["invalidformatted", "invalid", "null"]
        .iter()
        .find_map(|prefix| last.strip_prefix(prefix));
    let absent = ["notexisted", "nosuch"]
        .iter()
        .find_map(|prefix| last.strip_prefix(prefix))
        .or_else(|| {
            ["notfound", "notexisted", "notexist", "nonexist"]
                .iter()
                .find_map(|suffix| last.strip_suffix(suffix))
        });
    let name = argument.or(absent)?;
    let resource = RESOURCES.iter().find(|(resource, _)| *resource == name);
    named(
        resource
            .filter(|_| absent.is_some())
            .map_or(name, |(_, name)| name),
    )
}

/// Returns what a code of the API gateway, in lower case, says is invalid or missing.
fn argument_of(code: &str) -> Option<&str> {
    ["invalid", "missing"]
        .iter()
        .find_map(|prefix| code.strip_prefix(prefix))
}

/// Whether a code, in lower case, is used for any parameter, so that only its text can say which.
fn is_for_any(code: &str) -> bool {
    let unnamed = |rest: &str| UNNAMED.contains(&rest.split('.').next().unwrap_or_default());
    FOR_ANY.contains(&code) || argument_of(code).is_some_and(unnamed)
}

/// Whether a refusal is about a device.
pub(crate) fn is_about_device(error: &Error) -> bool {
    subject(&code(error).to_ascii_lowercase()).is_some_and(|names| names.contains(&"DeviceName"))
}

/// Whether a refusal can mean the value of this parameter: its code names the parameter, or is used for any parameter and its text names no other.
pub(crate) fn can_mean(error: &Error, parameter: &str) -> bool {
    let refused = [
        ErrorKind::InvalidArgument,
        ErrorKind::NotFound,
        ErrorKind::Rejected,
    ];
    if !refused.contains(&error.kind()) {
        return false;
    }
    let code = code(error).to_ascii_lowercase();
    if let Some(names) = subject(&code) {
        return names.contains(&parameter);
    }
    // This does not decide who caused it, so a code that only contains the name counts too.
    if code.contains(&parameter.to_ascii_lowercase()) {
        return true;
    }
    let text = error.vendor().and_then(|vendor| vendor.message.as_deref());
    let text = text.unwrap_or_default().to_ascii_lowercase();
    let mentions = |name: &str| text.contains(&name.to_ascii_lowercase());
    let for_any = ["param", "argument", "illegalrequest", "invalidinput"];
    for_any.iter().any(|part| code.contains(part))
        && (mentions(parameter)
            || !["CurrentPage", "PageSize", "JobId", "IotInstanceId"]
                .iter()
                .any(|name| mentions(name)))
}

fn caused_by_caller(code: &str, text: &str, params: &Params, callers: &[&str]) -> bool {
    let code = code.to_ascii_lowercase();
    if let Some(names) = subject(&code) {
        return names.iter().any(|name| callers.contains(name));
    }
    if !is_for_any(&code) {
        return false;
    }
    // The code is used for any parameter: the text may say which.
    let text = text.to_ascii_lowercase();
    let mentions = |name: &str| text.contains(&name.to_ascii_lowercase());
    if callers.iter().any(|name| mentions(name)) {
        return true;
    }
    let mut gateways = params
        .iter()
        .filter(|(name, _)| !callers.contains(&name.as_str()) && !name.starts_with("DeviceNames."));
    !callers.is_empty() && !gateways.any(|(name, _)| mentions(name))
}

#[cfg(test)]
mod tests {
    use super::{blame, can_mean, is_about_device};
    use ota_core::error::VendorError;
    use ota_core::{Error, ErrorKind};

    const LIST: &[&str] = &["JobId", "CurrentPage", "PageSize", "TaskStatus"];

    #[track_caller]
    fn check(code: &str, text: &str, sent: &[&str], callers: &[&str], callers_fault: bool) {
        for kind in [ErrorKind::InvalidArgument, ErrorKind::NotFound] {
            let error = Error::new(kind, "refused").with_vendor(VendorError {
                code: Some(code.to_owned()),
                message: Some(text.to_owned()),
                ..VendorError::default()
            });
            let params = sent.iter().map(|name| ((*name).to_owned(), "x".to_owned()));
            let error = blame(error, &params.collect(), callers);
            let expected = if callers_fault {
                kind
            } else {
                ErrorKind::Rejected
            };
            assert_eq!(error.kind(), expected, "{code} {text}");
            assert_eq!(error.vendor().unwrap().code.as_deref(), Some(code));
        }
    }

    #[test]
    fn only_what_the_caller_sent_can_be_the_callers_fault() {
        check("iot.ota.JobNotFound", "", LIST, &["JobId"], true);
        check("InvalidJobId.NotFound", "", LIST, &["JobId"], true);
        check("iot.ota.JobNotFound", "", LIST, &[], false);
        check("iot.common.InvalidPageParams", "", LIST, &["JobId"], false);
        check("InvalidPageSize", "", LIST, &["JobId"], false);
        check("MissingCurrentPage", "", LIST, &["JobId"], false);
        check("InvalidTaskStatus", "", LIST, &["JobId"], false);
        check("InvalidJobSomething", "", LIST, &["JobId"], false);
        check("InvalidJobIdSomething", "", LIST, &["JobId"], false);
        check("iot.ota.JobLockNotFound", "", LIST, &["JobId"], false);
        check("iot.ota.SomethingNew", "JobId", LIST, &["JobId"], false);
        check("iot.ota.NotExistedJob", "", LIST, &["JobId"], true);
        check("iot.ota.InvalidJobId", "", LIST, &["JobId"], true);
        check("iot.ota.InvalidJob", "", LIST, &["JobId"], false);
        check("InvalidRegionId", "", LIST, &["JobId"], false);
        check("MissingTimestamp", "", LIST, &["JobId"], false);
        check("iot.ota.FirmwareNotFound", "", &["FirmwareId"], &[], false);
        check(
            "iot.ota.FirmwareNotFound",
            "",
            &["FirmwareId"],
            &["FirmwareId"],
            true,
        );
        check(
            "iot.prod.InvalidFormattedProductKey",
            "",
            &["ProductKey", "CurrentPage"],
            &["ProductKey"],
            true,
        );
        check(
            "iot.device.InvalidFormattedDeviceName",
            "",
            &["JobId", "DeviceNames.1"],
            &["JobId", "DeviceNames"],
            true,
        );
        check(
            "iot.device.InvalidFormattedDeviceName",
            "",
            LIST,
            &["JobId"],
            false,
        );
    }

    #[test]
    fn a_refusal_means_a_parameter_only_if_it_can() {
        let error = |code: &str, text: &str| {
            Error::new(ErrorKind::Rejected, "refused").with_vendor(VendorError {
                code: Some(code.to_owned()),
                message: Some(text.to_owned()),
                ..VendorError::default()
            })
        };
        for (code, text, expected) in [
            ("iot.ota.InvalidTaskStatus", "", true),
            ("iot.check.InvalidFormattedParameter", "x", true),
            ("InvalidParameter", "The value of TaskStatus", true),
            ("InvalidParameter", "The value of pageSize", false),
            ("iot.system.IllegalRequest", "", true),
            ("iot.system.SomethingOdd", "please come again", false),
            ("iot.common.InvalidPageParams", "", false),
            ("iot.ota.JobNotFound", "", false),
            ("", "", false),
        ] {
            let error = error(code, text);
            assert_eq!(can_mean(&error, "TaskStatus"), expected, "{code} {text}");
        }
        let other = Error::new(ErrorKind::Unavailable, "").with_vendor(VendorError {
            code: Some("InvalidTaskStatus".to_owned()),
            ..VendorError::default()
        });
        assert!(!can_mean(&other, "TaskStatus"));
        assert!(is_about_device(&error("iot.device.NotExistedDevice", "")));
        assert!(!is_about_device(&error("iot.ota.JobNotFound", "")));
    }

    #[test]
    fn a_code_for_any_parameter_is_read_with_its_text() {
        for code in [
            "iot.check.InvalidFormattedParameter",
            "InvalidParameter",
            "InvalidParameter.Format",
            "iot.system.IllegalRequest",
        ] {
            check(code, "", LIST, &["JobId"], true);
            check(code, "", LIST, &[], false);
            check(
                code,
                "The value of JobId is invalid.",
                LIST,
                &["JobId"],
                true,
            );
            check(
                code,
                "The specified parameter \"pageSize\" is not valid.",
                LIST,
                &["JobId"],
                false,
            );
            check(code, "TaskStatus is wrong", LIST, &["JobId"], false);
        }
    }
}
