//! XML answers as the JSON that they stand for.
//!
//! In XML a list of one cannot be told from a single value and every scalar is text; the lenient types behind the wire structs
//! take both, so this only turns elements into members.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

/// No documented answer nests deeper than five elements.
const MAX_DEPTH: usize = 32;

/// Reads a document and returns its root element's content: an object when it has child elements, else its text.
///
/// Repeated child elements become an array. Attributes, comments and processing instructions are passed over. A document type
/// is refused, so no entity but the five predefined ones exists.
///
/// # Errors
/// Returns what is wrong; the text holds nothing of the answer.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text);
    let mut open: Vec<(String, Element)> = Vec::new();
    let mut root: Option<Value> = None;
    loop {
        let event = reader
            .read_event()
            .map_err(|_| format!("it is not XML: error at byte {}", reader.error_position()))?;
        match event {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err(format!("its elements nest deeper than {MAX_DEPTH}"));
                }
                if open.is_empty() && root.is_some() {
                    return Err("it has two root elements".to_owned());
                }
                open.push((local_name(start.local_name().as_ref())?, Element::default()));
            }
            Event::Empty(start) => {
                let name = local_name(start.local_name().as_ref())?;
                close(&mut open, &mut root, name, Value::String(String::new()))?;
            }
            Event::End(_) => {
                let (name, element) = open.pop().ok_or("it closes an element that is not open")?;
                close(&mut open, &mut root, name, element.into_value())?;
            }
            Event::Text(text) => add_text(&mut open, &text.xml10_content()),
            Event::CData(text) => add_text(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref() {
                    Ok(Some(character)) => character.to_string(),
                    _ => quick_xml::escape::resolve_predefined_entity(&reference.xml10_content())
                        .ok_or("it has an entity that is not predefined")?
                        .to_owned(),
                };
                add_text(&mut open, &character);
            }
            Event::DocType(_) => return Err("it has a document type".to_owned()),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    match root {
        Some(root) if open.is_empty() => Ok(root),
        _ => Err("it ends inside an element".to_owned()),
    }
}

#[derive(Default)]
struct Element {
    text: String,
    children: Map<String, Value>,
}

impl Element {
    fn into_value(self) -> Value {
        if !self.children.is_empty() {
            return Value::Object(self.children);
        }
        // A list of nothing that was printed prettily has a line feed inside.
        match self.text.trim().is_empty() {
            true => Value::String(String::new()),
            false => Value::String(self.text),
        }
    }
}

fn local_name(name: impl AsRef<str>) -> Result<String, String> {
    Ok(name.as_ref().to_owned())
}

fn add_text(open: &mut [(String, Element)], text: &str) {
    if let Some((_, element)) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn close(
    open: &mut [(String, Element)],
    root: &mut Option<Value>,
    name: String,
    value: Value,
) -> Result<(), String> {
    let Some((_, parent)) = open.last_mut() else {
        return match root.replace(value) {
            None => Ok(()),
            Some(_) => Err("it has two root elements".to_owned()),
        };
    };
    match parent.children.get_mut(&name) {
        None => {
            parent.children.insert(name, value);
        }
        Some(Value::Array(items)) => items.push(value),
        Some(first) => {
            let first_value = first.take();
            *first = Value::Array(vec![first_value, value]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::decode;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(xml: &str, expected: Value) {
        assert_eq!(decode(xml.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn elements_become_members() {
        check(
            "<?xml version='1.0'?><R><A>1</A><B/><C> x &amp;&#60;y </C><D><E>1</E><E>2</E><E>3</E></D></R>",
            json!({"A": "1", "B": "", "C": " x &<y ", "D": {"E": ["1", "2", "3"]}}),
        );
        check("<R><![CDATA[a<b]]>&gt;</R>", json!("a<b>"));
        check("<R><Data>\n  </Data></R>", json!({"Data": ""}));
    }

    #[test]
    fn what_is_not_one_whole_document_is_refused() {
        for xml in [
            "",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a><b></a></b>",
            "<a>&x;</a>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "text",
            "<a",
        ] {
            assert!(decode(xml.as_bytes()).is_err(), "{xml}");
        }
        assert!(decode("<a>".repeat(100).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_input_panics(text in ".{0,200}", tags in "[<>/a&;!\\[\\]?\"= -]{0,80}") {
            let _ = decode(text.as_bytes());
            let _ = decode(tags.as_bytes());
        }
    }
}
