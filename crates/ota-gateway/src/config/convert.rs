//! The text of a variable as the value that its key holds.

use toml::{Table, Value};

/// Makes of a variable's text what its key holds, which is said by the error that the text caused: `invalid type: string "5", expected u64`.
///
/// Lists have commas between their parts, and maps `name=value` pairs. Returns `None` when the error is about something else, and what was expected
/// when the text is not that.
pub(super) fn convert(text: &str, error: &str) -> Option<Result<Value, &'static str>> {
    let (_, expected) = error
        .strip_prefix("invalid type: string ")?
        .rsplit_once("expected ")?;
    let text = text.trim();
    let parts = || {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
    };
    Some(match expected {
        "a boolean" => text
            .parse()
            .map(Value::Boolean)
            .map_err(|_| "`true` or `false`"),
        "f32" | "f64" => text.parse().map(Value::Float).map_err(|_| "a number"),
        "a sequence" => Ok(Value::Array(
            parts().map(|part| Value::String(part.to_owned())).collect(),
        )),
        "a map" => parts()
            .map(|part| {
                let (name, value) = part.split_once('=')?;
                let value = Value::String(value.trim().to_owned());
                Some((name.trim().to_owned(), value))
            })
            .collect::<Option<Table>>()
            .map(Value::Table)
            .ok_or("a list such as `name=value,other=value`"),
        number if number.starts_with(['u', 'i']) => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| "a whole number"),
        _ => return None,
    })
}
