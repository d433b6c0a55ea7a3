//! Both error shapes of the vendor.
//!
//! Errors of the gateway have an HTTP status and `Code` and `Message`; errors of the product come under HTTP 200 with
//! `Success: false`, `Code` and `ErrorMessage` (IoT Platform help, "Error codes" and "Common parameters").

use http::StatusCode;

use super::config::{ThrottleStatus, ThrottleStyle};
use crate::counters::Refusal;

/// A refusal, by whom, and how it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Error {
    pub(super) source: Source,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) refusal: Refusal,
    /// `x-acs-retry-after` in milliseconds.
    pub(super) retry_after_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Gateway(StatusCode),
    Product,
}

impl Error {
    pub(super) fn gateway(
        status: StatusCode,
        code: impl Into<String>,
        message: impl Into<String>,
        refusal: Refusal,
    ) -> Self {
        Self {
            source: Source::Gateway(status),
            code: code.into(),
            message: message.into(),
            refusal,
            retry_after_ms: None,
        }
    }

    pub(super) fn product(
        code: impl Into<String>,
        message: impl Into<String>,
        refusal: Refusal,
    ) -> Self {
        Self {
            source: Source::Product,
            code: code.into(),
            message: message.into(),
            refusal,
            retry_after_ms: None,
        }
    }

    pub(super) fn unknown_action() -> Self {
        Self::gateway(
            StatusCode::NOT_FOUND,
            "InvalidAction.NotFound",
            "Specified api is not found, please check your url and method.",
            Refusal::Request,
        )
    }

    pub(super) fn unsupported_method() -> Self {
        Self::gateway(
            StatusCode::FORBIDDEN,
            "UnsupportedHTTPMethod",
            "This http method is not supported.",
            Refusal::Request,
        )
    }

    /// `Missing<Param>`
    pub(super) fn missing(param: &str, refusal: Refusal) -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            format!("Missing{param}"),
            format!("{param} is mandatory for this action."),
            refusal,
        )
    }

    /// `Invalid<Param>`
    pub(super) fn invalid(param: &str, refusal: Refusal) -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            format!("Invalid{param}"),
            format!("Specified parameter {param} is not valid."),
            refusal,
        )
    }

    pub(super) fn unknown_key() -> Self {
        Self::gateway(
            StatusCode::NOT_FOUND,
            "InvalidAccessKeyId.NotFound",
            "Specified access key is not found.",
            Refusal::Credential,
        )
    }

    pub(super) fn security_token(reason: &str) -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            format!("InvalidSecurityToken.{reason}"),
            "Specified SecurityToken is not valid.",
            Refusal::Credential,
        )
    }

    pub(super) fn malformed_time() -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            "InvalidTimeStamp.Format",
            "Specified time stamp or date value is not well formatted.",
            Refusal::Clock,
        )
    }

    pub(super) fn expired_time() -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            "InvalidTimeStamp.Expired",
            "Specified time stamp or date value is expired.",
            Refusal::Clock,
        )
    }

    pub(super) fn incomplete_signature() -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            "IncompleteSignature",
            "The request signature does not conform to Aliyun standards.",
            Refusal::Signature,
        )
    }

    /// Echoes the whole string to sign, as the vendor does: key id, security token and all parameters.
    pub(super) fn signature(string_to_sign: &str) -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            "SignatureDoesNotMatch",
            format!(
                "Specified signature is not matched with our calculation. server string to sign is:{string_to_sign}"
            ),
            Refusal::Signature,
        )
    }

    pub(super) fn nonce() -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            "SignatureNonceUsed",
            "Specified signature nonce was used already.",
            Refusal::Nonce,
        )
    }

    pub(super) fn throttled(style: ThrottleStyle) -> Self {
        let status = match style.status {
            ThrottleStatus::BadRequest => StatusCode::BAD_REQUEST,
            ThrottleStatus::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            ThrottleStatus::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self {
            retry_after_ms: style.retry_after_ms,
            ..Self::gateway(
                status,
                "Throttling.User",
                "Request was denied due to user flow control.",
                Refusal::Throttled,
            )
        }
    }

    /// What comes for a time that is hours off; the text is the vendor's, though the time was there.
    pub(super) fn illegal_timestamp() -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            "IllegalTimestamp",
            "The input parameter \"Timestamp\" that is mandatory for processing this request is not supplied.",
            Refusal::Fault,
        )
    }

    pub(super) fn service_unavailable() -> Self {
        Self::gateway(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            "The request has failed due to a temporary failure of the server.",
            Refusal::Fault,
        )
    }

    pub(super) fn system_exception() -> Self {
        Self::product(
            "iot.system.SystemException",
            "A system exception occurred.",
            Refusal::Fault,
        )
    }

    pub(super) fn instance() -> Self {
        Self::product(
            "iot.system.InstanceNotFound",
            "The specified instance does not exist.",
            Refusal::Instance,
        )
    }

    pub(super) fn page() -> Self {
        Self::product(
            "iot.common.InvalidPageParams",
            "The specified page size or page number is invalid.",
            Refusal::Parameter,
        )
    }

    pub(super) fn formatted_parameter(param: &str) -> Self {
        Self::product(
            "iot.common.InvalidFormattedParameter",
            format!("The format of the input parameter {param} is invalid."),
            Refusal::Parameter,
        )
    }

    /// As [`Error::formatted_parameter`], but without a name.
    pub(super) fn bad_argument() -> Self {
        Self::product(
            "iot.common.InvalidFormattedParameter",
            "The format of the input parameter is invalid.".to_owned(),
            Refusal::Fault,
        )
    }

    /// The format of a device name is wrong.
    pub(super) fn bad_device() -> Self {
        Self::product(
            "iot.device.InvalidFormattedDeviceName",
            "The format of the device name is invalid.",
            Refusal::Fault,
        )
    }

    /// A refusal of no document.
    pub(super) fn long(text: String) -> Self {
        Self::product("iot.ota.Refused", text, Refusal::Fault)
    }

    pub(super) fn too_many(param: &str) -> Self {
        Self::product(
            "iot.check.ParameterIsNotLessThanMax",
            format!("The number of {param} exceeds the upper limit."),
            Refusal::Parameter,
        )
    }

    pub(super) fn unknown_firmware() -> Self {
        Self::product(
            "iot.ota.FirmwareNotFound",
            "The specified firmware does not exist.",
            Refusal::NotFound,
        )
    }

    pub(super) fn unknown_product() -> Self {
        Self::product(
            "iot.prod.NotExistedProduct",
            "The specified product does not exist.",
            Refusal::NotFound,
        )
    }

    pub(super) fn unknown_device() -> Self {
        Self::product(
            "iot.device.NotExistedDevice",
            "The specified device does not exist.",
            Refusal::NotFound,
        )
    }
}
