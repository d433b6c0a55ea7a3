//! Whose fault a refused argument is.
//!
//! The vendor's codes say that an argument is bad or that something does not exist. That is the caller's mistake only if the caller gave
//! the argument: page numbers, status words and package identifiers that a walk found are the gateway's.

use ota_core::{Error, ErrorKind};

use crate::client::Params;

const OURS: &str =
    "the vendor refused something that the gateway sent on its own; `vendor` says what";

/// Parts of codes, and the parameters that they speak of. The first that fits counts.
const SUBJECTS: &[(&str, &[&str])] = &[
    ("page", &["CurrentPage", "PageSize"]),
    ("taskstatus", &["TaskStatus"]),
    ("instance", &["IotInstanceId"]),
    ("iotid", &["IotId"]),
    ("device", &["DeviceName", "DeviceNames"]),
    ("product", &["ProductKey"]),
    ("firmware", &["FirmwareId"]),
    ("job", &["JobId"]),
    ("task", &["JobId"]),
];

/// What the gateway's codes `Invalid…` and `Missing…` name when they name no parameter.
const UNNAMED: &[&str] = &[
    "",
    "parameter",
    "parameters",
    "param",
    "argument",
    "input",
    "request",
];

/// Turns a refused argument that the caller did not send into a refusal of the vendor's. `callers` names the parameters among `params`
/// whose values the caller gave; `DeviceNames` stands for all of `DeviceNames.N`.
pub(crate) fn blame(error: Error, params: &Params, callers: &[&str]) -> Error {
    if !matches!(
        error.kind(),
        ErrorKind::InvalidArgument | ErrorKind::NotFound
    ) {
        return error;
    }
    let vendor = error.vendor();
    let code = vendor.and_then(|vendor| vendor.code.as_deref());
    let text = vendor.and_then(|vendor| vendor.message.as_deref());
    match is_callers(
        code.unwrap_or_default(),
        text.unwrap_or_default(),
        params,
        callers,
    ) {
        true => error,
        false => error.as_kind(ErrorKind::Rejected, OURS),
    }
}

fn is_callers(code: &str, text: &str, params: &Params, callers: &[&str]) -> bool {
    let code = code.to_ascii_lowercase();
    let subject = SUBJECTS.iter().find(|(mark, _)| code.contains(mark));
    if let Some((_, names)) = subject {
        return names.iter().any(|name| callers.contains(name));
    }
    let named = ["invalid", "missing"]
        .iter()
        .find_map(|prefix| code.strip_prefix(prefix))
        .map(|rest| rest.split('.').next().unwrap_or_default());
    if named.is_some_and(|named| !UNNAMED.contains(&named)) {
        return false;
    }
    // A code for any parameter: the text may say which.
    let text = text.to_ascii_lowercase();
    let mentions = |name: &str| text.contains(&name.to_ascii_lowercase());
    if callers.iter().any(|name| mentions(name)) {
        return true;
    }
    let mut ours = params
        .iter()
        .filter(|(name, _)| !callers.contains(&name.as_str()) && !name.starts_with("DeviceNames."));
    !callers.is_empty() && !ours.any(|(name, _)| mentions(name))
}

#[cfg(test)]
mod tests {
    use super::blame;
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
