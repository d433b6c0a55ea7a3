//! The front of the platform: paths, application, token and quota.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::HeaderName;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::config::Config;
use super::errors::{
    APP_FROZEN, BAD_REQUEST, Error, INPUT_INVALID, INTERNAL, NO_APP_KEY, NO_APPLICATION,
    NO_PACKAGE, PARAMETER_MISSING, REFUSED, THROTTLED, WRONG_SECRET, bad_token,
};
use super::operation;
use super::operations::Call;
use super::rows::truth;
use super::tokens::Tokens;
use super::wire::TokenAnswer;
use crate::counters::Refusal;
use crate::exchange::{Answer, Arrival, Vendor, Verdict};
use crate::fault::FaultKind;
use crate::faults::Drawn;
use crate::fleet::{Fleet, FleetTruth};
use crate::quota::Limiter;
use crate::wire_text::{decode_segment, html_page};

const LOGIN: &str = "/iocm/app/sec/v1.1.0/login";
const REFRESH: &str = "/iocm/app/sec/v1.1.0/refreshToken";
const OPERATIONS: &str = "/iodm/northbound/v1.5.0/operations";
const CATEGORY: &str = "/iodm/northbound/v1.5.0/category";
/// Parameters that are never recorded.
const SECRET_PARAMS: [&str; 4] = ["secret", "refreshToken", "accessToken", "access_token"];

/// The simulator behind the server.
pub(super) struct Huawei {
    config: Config,
    fleet: Arc<Fleet>,
    app_key_header: HeaderName,
    state: Mutex<State>,
}

struct State {
    tokens: Tokens,
    limiter: Limiter,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Route {
    Login,
    Refresh,
    Operations,
    Operation(String),
    SubOperations(String),
    Packages,
    Package(String),
    WrongMethod,
    Nowhere,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefreshRequest {
    app_id: Option<String>,
    secret: Option<String>,
    refresh_token: Option<String>,
}

impl Huawei {
    pub(super) fn new(config: Config, fleet: Arc<Fleet>) -> io::Result<Self> {
        let app_key_header = HeaderName::from_bytes(config.app_key_header.as_bytes())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Self {
            state: Mutex::new(State {
                tokens: Tokens::new(config.seed),
                limiter: Limiter::new(config.quota),
            }),
            app_key_header,
            config,
            fleet,
        })
    }

    /// Login takes a form and nothing else; what it cannot read is not there.
    fn login(&self, arrival: &Arrival) -> Result<Value, Error> {
        let form = arrival.form();
        let field = |name: &str| {
            form.iter()
                .find(|(one, _)| one == name)
                .map(|(_, value)| value.as_str())
                .filter(|value| !value.is_empty())
        };
        let (Some(app_id), Some(secret)) = (field("appId"), field("secret")) else {
            return Err(PARAMETER_MISSING);
        };
        self.check_secret(app_id, secret)?;
        Ok(self.issue(arrival))
    }

    /// Refresh takes JSON and nothing else.
    fn refresh(&self, arrival: &Arrival) -> Result<Value, Error> {
        if !arrival.is("application/json") {
            return Err(INPUT_INVALID);
        }
        let request: RefreshRequest =
            serde_json::from_slice(&arrival.body).map_err(|_| INPUT_INVALID)?;
        let given = |field: Option<String>| field.filter(|text| !text.is_empty());
        let (Some(app_id), Some(secret), Some(token)) = (
            given(request.app_id),
            given(request.secret),
            given(request.refresh_token),
        ) else {
            return Err(PARAMETER_MISSING);
        };
        self.check_secret(&app_id, &secret)?;
        let life = self.config.refresh_expires_in;
        if !self
            .state()
            .tokens
            .refresh_is_valid(&token, arrival.at, life)
        {
            return Err(WRONG_SECRET);
        }
        Ok(self.issue(arrival))
    }

    fn check_secret(&self, app_id: &str, secret: &str) -> Result<(), Error> {
        let renewed = self.config.renewed_secret.get();
        let wanted = renewed.as_ref().unwrap_or(&self.config.secret);
        if app_id != self.config.app_id || secret != wanted {
            return Err(WRONG_SECRET);
        }
        if self.config.app_frozen {
            return Err(APP_FROZEN);
        }
        Ok(())
    }

    fn issue(&self, arrival: &Arrival) -> Value {
        let pair = self.state().tokens.issue(arrival.at);
        let seconds = self.config.expires_in.as_secs();
        let answer = TokenAnswer {
            scope: "default",
            token_type: self.config.token_type.clone(),
            expires_in: if self.config.expires_in_as_string {
                json!(seconds.to_string())
            } else {
                json!(seconds)
            },
            access_token: pair.access,
            refresh_token: pair.refresh,
        };
        serde_json::to_value(answer).unwrap_or(Value::Null)
    }

    /// Checks application, token and quota of every call but login and refresh.
    fn admit(&self, arrival: &Arrival) -> Result<(), Error> {
        let app_id = arrival
            .headers
            .get(&self.app_key_header)
            .and_then(|value| value.to_str().ok())
            .filter(|value| !value.is_empty())
            .ok_or(NO_APP_KEY)?;
        let token = arrival
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        let mut state = self.state();
        let life = self.config.expires_in;
        if app_id != self.config.app_id || !state.tokens.access_is_valid(token, arrival.at, life) {
            return Err(bad_token(self.config.bad_token));
        }
        state
            .limiter
            .admit(app_id, arrival.at)
            .map_err(|_| THROTTLED)
    }

    fn serve(&self, route: &Route, arrival: &Arrival, faults: &Drawn) -> Result<Value, Error> {
        match route {
            Route::Login => return self.login(arrival),
            Route::Refresh => return self.refresh(arrival),
            _ => self.admit(arrival)?,
        }
        let call = Call {
            query: &arrival.query,
            config: &self.config,
            fleet: &self.fleet,
            age: self.fleet.age(arrival.at),
            faults,
        };
        match route {
            Route::Operations => call.list_operations(),
            Route::Operation(id) => call.get_operation(id),
            Route::SubOperations(id) => call.list_sub_operations(id),
            Route::Packages => call.list_packages(),
            Route::Package(id) => call.get_package(id),
            Route::Login | Route::Refresh | Route::WrongMethod | Route::Nowhere => Err(INTERNAL),
        }
    }

    /// An error that a fault asks for instead of the normal answer.
    fn injected(&self, faults: &Drawn) -> Option<Error> {
        if faults.has(FaultKind::Throttle) {
            Some(THROTTLED)
        } else if faults.has(FaultKind::TokenExpired) {
            Some(bad_token(self.config.bad_token))
        } else if faults.has(FaultKind::GatewayError) {
            Some(INTERNAL)
        } else if faults.has(FaultKind::ProductError) {
            Some(NO_APPLICATION)
        } else if faults.has(FaultKind::BadArgument) {
            Some(BAD_REQUEST)
        } else if faults.has(FaultKind::BadDevice) {
            Some(NO_PACKAGE)
        } else if faults.has(FaultKind::LongRefusal) || faults.has(FaultKind::EchoRequest) {
            Some(REFUSED)
        } else {
            None
        }
    }

    /// Words an error. `code` goes in the place of the documented one.
    fn refusal(&self, error: Error, code: Option<&str>) -> Answer {
        let status = if self.config.errors_with_200 || error.with_200 {
            StatusCode::OK
        } else {
            error.status
        };
        let body = json!({ "error_code": code.unwrap_or(error.code), "error_desc": error.text });
        json_answer(status, &body, Verdict::Refused(error.refusal))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vendor for Huawei {
    fn operation(&self, arrival: &Arrival) -> &'static str {
        match route(arrival) {
            Route::Login => operation::LOGIN,
            Route::Refresh => operation::REFRESH_TOKEN,
            Route::Operations => operation::LIST_OPERATIONS,
            Route::Operation(_) => operation::GET_OPERATION,
            Route::SubOperations(_) => operation::LIST_SUB_OPERATIONS,
            Route::Packages => operation::LIST_PACKAGES,
            Route::Package(_) => operation::GET_PACKAGE,
            Route::WrongMethod | Route::Nowhere => "unknown",
        }
    }

    fn secret_params(&self) -> &'static [&'static str] {
        &SECRET_PARAMS
    }

    fn serves(&self, kind: FaultKind) -> bool {
        !matches!(kind, FaultKind::EchoSignature | FaultKind::IllegalTimestamp)
    }

    fn answer(&self, arrival: &Arrival, faults: &Drawn) -> Answer {
        if faults.has(FaultKind::Xml4xx) {
            return xml_refusal();
        }
        if let Some(error) = self.injected(faults) {
            let code = faults
                .get(FaultKind::Throttle)
                .and_then(|fault| fault.code.as_deref());
            let mut answer = self.refusal(error, code);
            if let Some(text) = arrival.refusal_text(faults) {
                let body = json!({ "error_code": error.code, "error_desc": text });
                answer.body = body.to_string().into_bytes();
            }
            return answer;
        }
        let route = route(arrival);
        match route {
            Route::Nowhere => return html_refusal(StatusCode::NOT_FOUND),
            Route::WrongMethod => return html_refusal(StatusCode::METHOD_NOT_ALLOWED),
            _ => {}
        }
        match self.serve(&route, arrival, faults) {
            Ok(mut content) => {
                if self.config.null_error_code_on_success {
                    content["error_code"] = Value::Null;
                    content["error_desc"] = Value::Null;
                }
                let verdict = match route {
                    Route::Login => Verdict::LoggedIn,
                    Route::Refresh => Verdict::Refreshed,
                    _ => Verdict::Answered,
                };
                json_answer(StatusCode::OK, &content, verdict)
            }
            Err(error) => self.refusal(error, None),
        }
    }

    fn fleet(&self, now: OffsetDateTime) -> FleetTruth {
        truth(&self.config, &self.fleet, self.fleet.age(now))
    }
}

fn route(arrival: &Arrival) -> Route {
    let (route, method) = match arrival.path.as_str() {
        LOGIN => (Route::Login, Method::POST),
        REFRESH => (Route::Refresh, Method::POST),
        OPERATIONS => (Route::Operations, Method::GET),
        CATEGORY => (Route::Packages, Method::GET),
        path => (resource(path), Method::GET),
    };
    if route != Route::Nowhere && arrival.method != method {
        return Route::WrongMethod;
    }
    route
}

/// Routes with an id in the path.
fn resource(path: &str) -> Route {
    let below = |base: &str| path.strip_prefix(base)?.strip_prefix('/');
    if let Some(rest) = below(OPERATIONS) {
        let segments: Vec<&str> = rest.split('/').collect();
        return match segments[..] {
            [id] if !id.is_empty() => Route::Operation(decode_segment(id)),
            [id, "subOperations"] if !id.is_empty() => Route::SubOperations(decode_segment(id)),
            _ => Route::Nowhere,
        };
    }
    match below(CATEGORY) {
        Some(id) if !id.is_empty() && !id.contains('/') => Route::Package(decode_segment(id)),
        _ => Route::Nowhere,
    }
}

fn json_answer(status: StatusCode, content: &Value, verdict: Verdict) -> Answer {
    Answer {
        status,
        content_type: "application/json;charset=UTF-8",
        headers: Vec::new(),
        body: content.to_string().into_bytes(),
        verdict,
    }
}

/// What a web server in front says to a path or a method that leads nowhere.
fn html_refusal(status: StatusCode) -> Answer {
    let title = format!(
        "{} {}",
        status.as_str(),
        status.canonical_reason().unwrap_or_default()
    );
    Answer {
        status,
        content_type: "text/html",
        headers: Vec::new(),
        body: html_page(&title).into_bytes(),
        verdict: Verdict::Refused(Refusal::Request),
    }
}

fn xml_refusal() -> Answer {
    Answer {
        status: StatusCode::BAD_REQUEST,
        content_type: "text/xml;charset=utf-8",
        headers: Vec::new(),
        body: b"<?xml version='1.0' encoding='UTF-8'?><error><error_code>120015</error_code>\
                <error_desc>Bad request error.</error_desc></error>"
            .to_vec(),
        verdict: Verdict::Refused(Refusal::Fault),
    }
}
