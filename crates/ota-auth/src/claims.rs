//! The claims of a token, in the forms that identity providers use.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ota_core::escape::shortened;
use serde_json::{Map, Value};

use super::error::TokenError;
use super::scope::{KNOWN_SCOPES, READ};

/// The claims that are read, by name. A dot leads into an object: `realm_access.roles`. A claim whose own name has dots, such as
/// `https://example.com/roles`, is found as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// Claims that hold scopes.
    pub scopes: Vec<String>,
    /// The claim that holds the providers that the caller may see.
    pub providers: String,
    /// The claim that is compared with the audience.
    pub audience: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            scopes: vec!["scope".to_owned(), "scp".to_owned()],
            providers: "providers".to_owned(),
            audience: "aud".to_owned(),
        }
    }
}

/// The required claims of tokens, and the names of these claims.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The accepted values of `iss`; any value if empty.
    pub issuers: Vec<String>,
    /// The accepted audiences; any audience if empty.
    pub audiences: Vec<String>,
    /// Whether a token without audience is refused.
    pub requires_audience: bool,
    /// The claims that are read.
    pub names: ClaimNames,
    /// Scopes by the name that the identity provider gives them.
    pub scope_map: BTreeMap<String, Vec<String>>,
    /// Whether a token without the claim of providers is refused; otherwise it grants access to all providers.
    pub requires_providers: bool,
    /// The maximum size of a token, in bytes.
    pub max_token_bytes: usize,
}

/// The content of a token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// The subject.
    pub sub: Option<String>,
    /// When it expires, in seconds since 1970. RFC 7519 allows fractions.
    pub exp: f64,
    /// When it becomes valid.
    pub nbf: Option<f64>,
    /// Its scopes that this service knows.
    pub scopes: Vec<String>,
    /// The providers that the caller may see; all when absent.
    pub providers: Option<Vec<String>>,
    /// A claim that may be a misspelled claim of providers, where that is absent.
    pub(super) near_providers: Option<String>,
}

impl Claims {
    /// Reads the claims of a token whose signature is valid.
    ///
    /// # Errors
    /// Names the claim that is missing, has a wrong type, or does not match.
    pub(super) fn read(claims: &Map<String, Value>, rules: &Rules) -> Result<Self, TokenError> {
        let exp = seconds(claims, "exp")?.ok_or_else(|| lacks("exp"))?;
        let nbf = seconds(claims, "nbf")?;
        let sub = text(claims, "sub")?;
        let foreign = |detail: &'static str, name: &str, value: &Value| TokenError::Foreign {
            detail,
            came: format!("`{name}` is {}", shortened(&value.to_string(), SHOWN)),
        };
        if !rules.issuers.is_empty() {
            let issuer = text(claims, "iss")?.ok_or_else(|| lacks("iss"))?;
            if !rules.issuers.contains(&issuer) {
                let detail = "the token's issuer (`iss`) is not accepted by this gateway";
                return Err(foreign(detail, "iss", &claims["iss"]));
            }
        }
        audience(claims, rules, &foreign)?;
        let providers = providers(claims, &rules.names.providers)?;
        let near_providers = match providers {
            Some(_) => None,
            None => near(claims, rules),
        };
        if providers.is_none() && rules.requires_providers {
            let name = &rules.names.providers;
            let near = near_providers.map_or_else(String::new, |near| {
                format!("; it has `{}`", shortened(&near, SHOWN))
            });
            return Err(TokenError::invalid(format!(
                "the token lacks the claim `{name}`, which this gateway requires{near}"
            )));
        }
        Ok(Self {
            sub,
            exp,
            nbf,
            scopes: scopes(claims, rules)?,
            providers,
            near_providers,
        })
    }
}

/// How much of a claim is shown, in characters.
const SHOWN: usize = 200;

fn lacks(name: &str) -> TokenError {
    TokenError::invalid(format!("the token lacks the claim `{name}`"))
}

fn wrong_type(name: &str, expected: &str, value: &Value) -> TokenError {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    TokenError::invalid(format!(
        "the token's claim `{name}` has the wrong type: {kind}, expected {expected}"
    ))
}

fn text(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, TokenError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(wrong_type(name, "a text", other)),
    }
}

/// Reads a time; some issuers write the number as text.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, TokenError> {
    let value = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let text = text.trim();
            let digits = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            text.parse().ok().filter(|_| digits)
        }
        _ => None,
    };
    match number.filter(|number: &f64| number.is_finite()) {
        Some(number) => Ok(Some(number)),
        None => Err(wrong_type(name, "a number of seconds since 1970", value)),
    }
}

/// The value at a path.
enum Found<'a> {
    Nothing,
    Value(&'a Value),
    /// A part of the path is a value that cannot contain others.
    Blocked(&'a Value, String),
}

/// Finds a claim by its whole name, or else by following dots into objects, the longest names first.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Found<'a> {
    if let Some(value) = claims.get(path) {
        return Found::Value(value);
    }
    let mut blocked = Found::Nothing;
    for (dot, _) in path.rmatch_indices('.') {
        let (name, rest) = (&path[..dot], &path[dot + 1..]);
        match claims.get(name) {
            None => {}
            Some(Value::Object(inner)) => match find(inner, rest) {
                Found::Nothing => {}
                Found::Value(value) => return Found::Value(value),
                Found::Blocked(value, inside) => {
                    blocked = Found::Blocked(value, format!("{name}.{inside}"));
                }
            },
            Some(other) => blocked = Found::Blocked(other, name.to_owned()),
        }
    }
    blocked
}

/// A claim with several values: a string with spaces, or a list of strings.
fn several<'a>(name: &str, value: &'a Value) -> Result<Vec<&'a str>, TokenError> {
    let wrong = || wrong_type(name, "a text or a list of texts", value);
    match value {
        Value::String(text) => Ok(text.split_whitespace().collect()),
        Value::Array(items) => {
            let texts = items.iter().map(Value::as_str);
            texts.collect::<Option<_>>().ok_or_else(|| {
                TokenError::invalid(format!(
                    "the token's claim `{name}` has the wrong type: a list of other things, expected a text or a list of texts"
                ))
            })
        }
        _ => Err(wrong()),
    }
}

/// Collects the scopes of the token that this service knows. Other names are ignored: they belong to other services.
fn scopes(claims: &Map<String, Value>, rules: &Rules) -> Result<Vec<String>, TokenError> {
    let mut scopes: Vec<String> = Vec::new();
    let mut take = |scope: &str| {
        if KNOWN_SCOPES.contains(&scope) && !scopes.iter().any(|has| has == scope) {
            scopes.push(scope.to_owned());
        }
    };
    for name in &rules.names.scopes {
        let value = match find(claims, name) {
            Found::Nothing | Found::Value(Value::Null) | Found::Blocked(Value::Null, _) => continue,
            Found::Value(value) => value,
            Found::Blocked(value, part) => return Err(wrong_type(&part, "an object", value)),
        };
        let mut names = several(name, value)?;
        // The name of a role can contain spaces if it is the only value.
        names.extend(value.as_str());
        for name in names {
            take(name);
            for scope in rules.scope_map.get(name).into_iter().flatten() {
                take(scope);
            }
        }
    }
    Ok(scopes)
}

/// Reads the claim of providers. One that is `null` is a mistake of the issuer and must not mean "all".
fn providers(claims: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, TokenError> {
    match find(claims, name) {
        Found::Nothing => Ok(None),
        Found::Value(value) => {
            let names = several(name, value)?;
            Ok(Some(names.into_iter().map(str::to_owned).collect()))
        }
        Found::Blocked(value, part) => Err(wrong_type(&part, "an object", value)),
    }
}

/// Compares the audience. A token with an `aud` for others is refused whatever claim is compared (RFC 7519, section 4.1.3).
fn audience(
    claims: &Map<String, Value>,
    rules: &Rules,
    foreign: &impl Fn(&'static str, &str, &Value) -> TokenError,
) -> Result<(), TokenError> {
    if rules.audiences.is_empty() {
        return Ok(());
    }
    let configured = rules.names.audience.as_str();
    let mut names = vec![configured];
    if configured != "aud" {
        names.push("aud");
    }
    for name in names {
        let value = match find(claims, name) {
            Found::Value(value) if !value.is_null() => value,
            Found::Blocked(value, part) => return Err(wrong_type(&part, "an object", value)),
            Found::Nothing | Found::Value(_) => {
                match name == configured && rules.requires_audience {
                    true => return Err(lacks(name)),
                    false => continue,
                }
            }
        };
        // Unlike scopes, an audience is one string, including its spaces.
        let given: Vec<Cow<'_, str>> = match value {
            Value::String(text) => vec![Cow::Borrowed(text)],
            other => several(name, other)?
                .into_iter()
                .map(Cow::Borrowed)
                .collect(),
        };
        if !given
            .iter()
            .any(|of| rules.audiences.iter().any(|own| own == of))
        {
            let detail = match name {
                "aud" => "the token's audience (`aud`) is not this gateway",
                _ => {
                    "the claim that this gateway compares with its audience names another audience"
                }
            };
            return Err(foreign(detail, name, value));
        }
    }
    Ok(())
}

/// Claims that have a meaning of their own.
const REGISTERED: &[&str] = &["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// Finds a claim that may be meant for the claim of providers: one letter or two away, or the same word in another place.
fn near(claims: &Map<String, Value>, rules: &Rules) -> Option<String> {
    let wanted = word(&rules.names.providers);
    if wanted.is_empty() {
        return None;
    }
    let candidates = claims
        .keys()
        .take(MAX_COMPARED)
        .filter(|name| !REGISTERED.contains(&name.as_str()) && !rules.names.scopes.contains(name));
    let near = |name: &&String| {
        let word = word(name);
        let distance = strsim::damerau_levenshtein(&word, &wanted);
        (distance <= 2 && distance * 3 <= wanted.len()) || word.contains(&wanted)
    };
    candidates.into_iter().find(near).cloned()
}

/// The maximum number of claims that are compared.
const MAX_COMPARED: usize = 100;

/// The last word of a claim's name, in letters and digits of lower case.
fn word(name: &str) -> String {
    let last = name.rsplit(['/', '.', ':']).next().unwrap_or(name);
    let letters = last.chars().filter(char::is_ascii_alphanumeric);
    letters.take(60).collect::<String>().to_ascii_lowercase()
}

/// The refusal of a token that is too long; names its largest claims. Its signature has not been verified.
pub(super) fn too_long(token: &str, most: usize) -> TokenError {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload = token.split('.').nth(1).unwrap_or_default();
    let claims: Option<Map<String, Value>> = URL_SAFE_NO_PAD
        .decode(payload)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok());
    let mut sizes: Vec<(usize, &String)> = claims
        .iter()
        .flatten()
        .map(|(name, value)| (value.to_string().len(), name))
        .filter(|(size, _)| size * 10 >= most)
        .collect();
    sizes.sort_by(|one, two| two.cmp(one));
    let large: Vec<String> = sizes
        .iter()
        .take(3)
        .map(|(size, name)| format!("`{}` ({size} bytes)", shortened(name, 60)))
        .collect();
    let large = match large.is_empty() {
        true => String::new(),
        false => format!(
            "; large in it: {}; let the identity provider leave them out",
            large.join(", ")
        ),
    };
    TokenError::invalid(format!(
        "the token is too long: it has {} bytes, and this gateway accepts {most}{large}",
        token.len()
    ))
}

/// Writes a claim to the place where [`find`] reads it.
pub(super) fn put(claims: &mut Map<String, Value>, path: &str, value: Value) {
    // A name that is a URL is not split.
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) if !path.contains(['/', ':']) => (name, rest),
        _ => {
            claims.insert(path.to_owned(), value);
            return;
        }
    };
    let inner = claims
        .entry(name)
        .or_insert_with(|| Value::Object(Map::new()));
    match inner {
        Value::Object(inner) => put(inner, rest, value),
        _ => {
            claims.insert(path.to_owned(), value);
        }
    }
}

/// Lists the known scopes, and those that may be meant.
#[must_use]
pub fn unknown_scope(scope: &str) -> String {
    let meant = match ota_core::nearest::nearest(scope, KNOWN_SCOPES) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    format!(
        "unknown scope `{}`; this version has {} ({READ} for every GET){meant}",
        shortened(scope, SHOWN),
        KNOWN_SCOPES.join(" and ")
    )
}
