//! Answers as XML: the same names as in JSON, repeated elements for lists, nothing for `null`.

use serde_json::Value;

/// Writes `<root>…</root>`.
pub(super) fn document(root: &str, content: &Value) -> String {
    let mut text = String::from("<?xml version='1.0' encoding='UTF-8'?>");
    element(&mut text, root, content);
    text
}

/// The error document of the gateway; the advice is in a CDATA section, as the vendor writes it.
pub(super) fn gateway_error(
    request_id: &str,
    host_id: &str,
    code: &str,
    message: &str,
    recommend: &str,
) -> String {
    let mut text = String::from("<?xml version='1.0' encoding='UTF-8'?><Error>");
    for (name, value) in [
        ("RequestId", request_id),
        ("HostId", host_id),
        ("Code", code),
        ("Message", message),
    ] {
        open(&mut text, name);
        escape(&mut text, value);
        close(&mut text, name);
    }
    open(&mut text, "Recommend");
    text.push_str("<![CDATA[");
    text.push_str(&recommend.replace("]]>", "]]]]><![CDATA[>"));
    text.push_str("]]>");
    close(&mut text, "Recommend");
    close(&mut text, "Error");
    text
}

fn element(text: &mut String, name: &str, value: &Value) {
    match value {
        // Documented as "may be missing or empty": here it is missing.
        Value::Null => {}
        Value::Array(items) => {
            for item in items {
                match item {
                    // It keeps its place in the list.
                    Value::Null => {
                        open(text, name);
                        close(text, name);
                    }
                    item => element(text, name, item),
                }
            }
        }
        Value::Object(fields) => {
            open(text, name);
            for (name, value) in fields {
                element(text, name, value);
            }
            close(text, name);
        }
        Value::String(value) => {
            open(text, name);
            escape(text, value);
            close(text, name);
        }
        Value::Bool(_) | Value::Number(_) => {
            open(text, name);
            text.push_str(&value.to_string());
            close(text, name);
        }
    }
}

fn open(text: &mut String, name: &str) {
    text.push('<');
    text.push_str(name);
    text.push('>');
}

fn close(text: &mut String, name: &str) {
    text.push_str("</");
    text.push_str(name);
    text.push('>');
}

/// Escapes text; characters that XML 1.0 cannot carry become the replacement character.
fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&apos;"),
            '\r' => text.push_str("&#13;"),
            '\t' | '\n' => text.push(character),
            '\u{FFFE}' | '\u{FFFF}' => text.push('\u{FFFD}'),
            _ if character < ' ' => text.push('\u{FFFD}'),
            _ => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_repeat_and_null_is_missing() {
        let content = json!({
            "Data": {"Row": [{"A": "x<&>"}, {"A": "", "B": null}]},
            "Success": true,
            "Total": 2,
        });
        assert_eq!(
            document("R", &content),
            "<?xml version='1.0' encoding='UTF-8'?><R><Data><Row><A>x&lt;&amp;&gt;</A></Row><Row><A></A></Row></Data>\
             <Success>true</Success><Total>2</Total></R>"
        );
    }
}
