//! The credential of an ECS instance with a RAM role, from the metadata service.
//!
//! Source: "Use instance RAM roles" and "Instance metadata" of the ECS help; the requests are those of the vendor's own library
//! (github.com/aliyun/credentials-go, `ecs_ram_role.go`, read 2026-11-27). The token of the hardened mode is always requested.

use http::{HeaderName, Method};
use ota_core::context::Context;
use ota_core::{Error, ErrorKind, Result};
use ota_http::encode::percent_encode;
use ota_http::{Client, Request, Response, Secret};
use zeroize::Zeroize as _;

use super::cell::{Fetch, Fetched};
use super::document::{CredentialDocument, unreadable, with_cause};

const ROLES: &str = "/latest/meta-data/ram/security-credentials/";
const TOKEN_LIFETIME: HeaderName =
    HeaderName::from_static("x-aliyun-ecs-metadata-token-ttl-seconds");
const TOKEN: HeaderName = HeaderName::from_static("x-aliyun-ecs-metadata-token");

/// The lifetime of the service's token that each renewal requests, in seconds.
const TOKEN_LIFETIME_S: &str = "60";

const ADVICE: &str = "`credentials = \"ecs-ram-role\"` works on an ECS instance with a RAM role only: attach a role to the instance, and check that `curl http://100.100.100.200/latest/meta-data/ram/security-credentials/` names it (in a container the address must be reachable, and `ecs_metadata_endpoint` be that address)";

/// Fetches credentials from the metadata service.
#[derive(Debug)]
pub(super) struct EcsRamRole {
    http: Client,
    endpoint: String,
    role: Option<String>,
}

impl EcsRamRole {
    pub(super) fn new(http: Client, endpoint: &str, role: Option<String>) -> Self {
        Self {
            http,
            endpoint: endpoint.to_owned(),
            role,
        }
    }

    async fn send(
        &self,
        cx: &Context,
        method: Method,
        path: &str,
        header: Option<(HeaderName, &str)>,
    ) -> Result<Response> {
        let mut request = Request::new(method, format!("{}{path}", self.endpoint));
        if let Some((name, value)) = header {
            let secret = name == TOKEN;
            request.header(name, value, secret)?;
        }
        // The caller's trace is not passed on to this service.
        let cx = Context {
            trace: None,
            ..cx.clone()
        };
        self.http.send(&cx, request).await.map_err(|error| {
            let failed = Error::new(
                error.kind(),
                "the metadata service of the instance does not answer, so there is no credential",
            );
            with_cause(failed.with_advice(ADVICE), &error)
        })
    }

    async fn text(&self, cx: &Context, path: &str, token: Option<&Secret>) -> Result<Response> {
        let header = token.map(|token| (TOKEN, token.expose_secret()));
        let response = self.send(cx, Method::GET, path, header).await?;
        match response.status {
            200 => Ok(response),
            404 => Err(Error::new(
                ErrorKind::Misconfigured,
                "the instance has no RAM role of this name, so there is no credential",
            )
            .with_advice(match self.role {
                Some(_) => {
                    "correct `ecs_ram_role`, or leave it out: the instance's role is then asked for"
                }
                None => ADVICE,
            })),
            status => Err(Error::new(
                ErrorKind::Unavailable,
                "the metadata service of the instance is out of order, so there is no credential",
            )
            .with_context("status", status.to_string())),
        }
    }
}

#[async_trait::async_trait]
impl Fetch for EcsRamRole {
    async fn fetch(&self, cx: &Context) -> Result<Fetched> {
        let life = Some((TOKEN_LIFETIME, TOKEN_LIFETIME_S));
        let answer = self
            .send(cx, Method::PUT, "/latest/api/token", life)
            .await?;
        // A service without the hardened mode does not know the path; then no token is needed.
        let token = match (answer.status, str::from_utf8(&answer.body)) {
            (200, Ok(token)) if !token.trim().is_empty() => Some(Secret::from(token.trim())),
            _ => None,
        };
        let role = match &self.role {
            Some(role) => role.clone(),
            None => {
                let answer = self.text(cx, ROLES, token.as_ref()).await?;
                let text = String::from_utf8_lossy(&answer.body);
                match text.lines().map(str::trim).find(|line| !line.is_empty()) {
                    Some(role) => role.to_owned(),
                    None => return Err(unreadable("it names no role").with_advice(ADVICE)),
                }
            }
        };
        let path = format!("{ROLES}{}", percent_encode(&role));
        let answer = self.text(cx, &path, token.as_ref()).await?;
        let read = CredentialDocument::parse(&answer.body);
        clear(answer);
        let read = read?;
        match read.code.as_deref() {
            None | Some("Success") => read.into_fetched(true),
            Some(_) => Err(unreadable("its `Code` is not `Success`").with_advice(ADVICE)),
        }
    }
}

/// Clears an answer that holds a credential.
pub(super) fn clear(response: Response) {
    if let Ok(mut body) = response.body.try_into_mut() {
        body.as_mut().zeroize();
    }
}
