//! XML answers as the JSON that they stand for.
//!
//! In XML a list of one cannot be distinguished from a single value and every scalar is text; the lenient types behind the wire structs
//! take both, so this only turns elements into members.

use std::borrow::Cow;

use ota_http::json::{Budget, Document, Odd};
use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};
use serde_json::{Map, Value};

use super::undecodable::Undecodable;

/// Elements nest no deeper than this; what is deeper stays as its text. No documented answer has more than five levels.
const MAX_DEPTH: usize = 32;

/// The name of a text beside elements.
const BESIDE: &str = "#text";

/// Reads a document and returns its root element's content: an object when it has child elements, else its text.
///
/// Repeated child elements become an array. Attributes, comments and processing instructions are ignored. A document type
/// is refused, so no entity but the five predefined ones exists. What can be cut into elements is read: bytes that are not UTF-8 and references
/// to characters that do not exist are replaced by `U+FFFD`, references to unknown entities stay as they are, so does a lone `&`.
///
/// # Errors
/// Returns what is wrong; the text holds nothing of the answer.
pub fn decode(body: &[u8]) -> Result<Document, Undecodable> {
    let text = String::from_utf8_lossy(body);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().allow_dangling_amp = true;
    let mut tree = Tree {
        replaced: matches!(text, Cow::Owned(_)),
        ..Tree::default()
    };
    loop {
        let event = reader
            .read_event()
            .map_err(|_| format!("it is not XML: error at byte {}", reader.error_position()))?;
        match event {
            Event::Start(start) => {
                let name = start.local_name().as_ref().to_owned();
                if tree.open.is_empty() && tree.root.is_some() {
                    return Err("it has two root elements".into());
                }
                if tree.open.len() < MAX_DEPTH {
                    tree.open.push((name, Element::default()));
                    continue;
                }
                let raw = reader
                    .read_text(start.name())
                    .map_err(|_| "it ends inside an element")?;
                tree.odd.note(&name);
                let element = Element {
                    text: raw.xml10_content().into_owned(),
                    ..Element::default()
                };
                tree.close(name, element)?;
            }
            Event::Empty(start) => {
                let name = start.local_name().as_ref().to_owned();
                tree.close(name, Element::default())?;
            }
            Event::End(_) => {
                let (name, element) = tree
                    .open
                    .pop()
                    .ok_or("it closes an element that is not open")?;
                tree.close(name, element)?;
            }
            Event::Text(text) => {
                let text = text.xml10_content();
                // A reference would have come as one; this is a lone ampersand.
                tree.text(&text, text.contains('&'));
            }
            Event::CData(text) => tree.text(&text.xml10_content(), false),
            Event::GeneralRef(reference) => {
                let (text, odd) = resolved(&reference);
                tree.text(&text, odd);
            }
            Event::DocType(_) => return Err("it has a document type".into()),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    match tree.root {
        Some(value) if tree.open.is_empty() => Ok(Document {
            value,
            odd: tree.odd,
            budget: tree.budget,
        }),
        _ => Err("it ends inside an element".into()),
    }
}

/// Returns what a reference stands for, and whether it is malformed.
fn resolved(reference: &BytesRef<'_>) -> (String, bool) {
    let name = reference.xml10_content();
    match reference.resolve_char_ref() {
        Ok(Some(character)) => (character.to_string(), false),
        // There is no such character.
        Err(_) => (char::REPLACEMENT_CHARACTER.to_string(), true),
        Ok(None) => match quick_xml::escape::resolve_predefined_entity(&name) {
            Some(text) => (text.to_owned(), false),
            None => (format!("&{name};"), true),
        },
    }
}

/// What was read so far.
#[derive(Default)]
struct Tree {
    open: Vec<(String, Element)>,
    root: Option<Value>,
    odd: Odd,
    budget: Budget,
    /// Whether bytes were replaced somewhere.
    replaced: bool,
}

#[derive(Default)]
struct Element {
    text: String,
    children: Map<String, Value>,
}

impl Tree {
    fn text(&mut self, text: &str, odd: bool) {
        if let Some((name, element)) = self.open.last_mut() {
            element.text.push_str(text);
            if odd {
                self.odd.note(name);
            }
        }
    }

    fn close(&mut self, name: String, element: Element) -> Result<(), Undecodable> {
        self.budget.value()?;
        self.budget.spend(element.text.len())?;
        if self.replaced && element.text.contains(char::REPLACEMENT_CHARACTER) {
            self.odd.note(&name);
        }
        let Element { text, mut children } = element;
        // An empty list that was formatted with indentation contains a line feed.
        let text = match text.trim().is_empty() {
            true => String::new(),
            false => text,
        };
        let value = match (children.is_empty(), text.is_empty()) {
            (true, _) => Value::String(text),
            (false, true) => Value::Object(children),
            (false, false) => {
                self.odd.note(&name);
                children.insert(BESIDE.to_owned(), Value::String(text));
                Value::Object(children)
            }
        };
        let Some((_, parent)) = self.open.last_mut() else {
            return match self.root.replace(value) {
                None => Ok(()),
                Some(_) => Err("it has two root elements".into()),
            };
        };
        match parent.children.get_mut(&name) {
            None => {
                let known = parent.children.len();
                self.budget.member(known, &name)?;
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
}

#[cfg(test)]
mod tests {
    use super::{Undecodable, decode};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(xml: &str, expected: Value) {
        check_odd(xml.as_bytes(), expected, &[]);
    }

    #[track_caller]
    fn check_odd(xml: &[u8], expected: Value, odd: &[&str]) {
        let document = decode(xml).unwrap();
        assert_eq!(document.value, expected);
        assert_eq!(document.odd.fields().collect::<Vec<_>>(), odd);
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
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "text",
            "<a",
        ] {
            assert!(decode(xml.as_bytes()).is_err(), "{xml}");
        }
        for depth in [31, 32, 33, 100] {
            assert!(decode("<a>".repeat(depth).as_bytes()).is_err());
        }
    }

    #[test]
    fn what_can_be_cut_into_elements_is_read() {
        check_odd(
            b"<R><A>x\xff\xe4</A><B>y</B></R>",
            json!({"A": "x\u{fffd}\u{fffd}", "B": "y"}),
            &["A"],
        );
        check_odd(
            b"<R><A>&#xd800;&#0;</A><B>&x; & y</B><C>a&#1;b</C></R>",
            json!({"A": "\u{fffd}\u{fffd}", "B": "&x; & y", "C": "a\u{1}b"}),
            &["A", "A", "B", "B"],
        );
        check_odd(
            b"<R><A>lost<B>1</B></A></R>",
            json!({"A": {"#text": "lost", "B": "1"}}),
            &["A"],
        );
        check("<R><A>\u{fffd}</A></R>", json!({"A": "\u{fffd}"}));
        check_odd(b"<R>1</R>\0\0", json!("1"), &[]);
    }

    #[test]
    fn what_nests_too_deep_stays_as_its_text() {
        let deep = format!("{}x{}", "<a>".repeat(5000), "</a>".repeat(5000));
        let document = decode(format!("<R>{deep}<b>1</b></R>").as_bytes()).unwrap();
        assert_eq!(document.value["b"], "1");
        let mut value = &document.value;
        let mut depth = 0;
        while let Some(inner) = value.get("a") {
            value = inner;
            depth += 1;
        }
        assert_eq!(depth, super::MAX_DEPTH);
        assert!(
            value
                .as_str()
                .is_some_and(|text| text.starts_with("<a><a>"))
        );
    }

    #[test]
    fn what_is_built_of_an_answer_is_bounded() {
        for part in [
            "<a/>",
            "<a></a>",
            "<a>1</a>",
            "<a><b/></a>",
            "<a><b/><c/></a>",
        ] {
            let rows = part.repeat(7_800_000 / part.len());
            let error = decode(format!("<R><Data>{rows}</Data></R>").as_bytes()).unwrap_err();
            assert_eq!(error, Undecodable::TooMuch, "{part}");
        }
        let names: String = (0..700_000).map(|n| format!("<a{n}/>")).collect();
        assert!(decode(format!("<R>{names}</R>").as_bytes()).is_err());
        let text = format!("<R>{}</R>", "字 &amp; ".repeat(700_000));
        assert!(decode(text.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn no_input_panics(text in ".{0,200}", tags in "[<>/a&;!\\[\\]?\"= -]{0,80}") {
            let _ = decode(text.as_bytes());
            let _ = decode(tags.as_bytes());
        }
    }
}
