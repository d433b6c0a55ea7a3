use ota_adapter::lenient::LenientScalar;
use serde::{Deserialize, Serialize};

/// The answer of login and refresh. `scope` and `tokenType` say nothing that anybody acts on: the documents print the type now
/// as `bearer`, now as `"Bearer "` with a space at its end.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TokenAnswer {
    pub(crate) access_token: LenientScalar,
    pub(crate) refresh_token: LenientScalar,
    pub(crate) expires_in: LenientScalar,
}

/// The body of a refresh.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefreshRequest<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) refresh_token: &'a str,
}
