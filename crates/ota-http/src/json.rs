//! JSON as vendors send it, read so that one value's trouble never costs the values beside it.
//!
//! What can be cut into values is read: bytes that are not UTF-8 and halves of surrogate pairs are replaced by `U+FFFD`, a number that no type
//! holds stays as the text that was sent, so does what nests too deep, and a name that comes twice loses neither value. Each such place is
//! noted with the name of its field, for the drift observer. What cannot be cut (an end in the middle, a bracket without its partner) is refused.
//!
//! An answer is bounded by what is built of it and not only by its length: `{}` takes two bytes on the wire and many times that in memory.

use serde_json::{Map, Number, Value};

/// Lists and objects nest no deeper than this; what is deeper stays as its text. No documented answer has more than five levels.
const MAX_DEPTH: usize = 64;

/// The longest token that is neither text nor number, in bytes: `NaN`, `Infinity`, `None`.
const MAX_TOKEN: usize = 32;

/// The most places that are noted of one document; further ones are of no use.
const MAX_ODD: usize = 100;

/// The most characters of a field's name that are noted.
const MAX_NAME: usize = 64;

/// The name under which a second value of a name is found.
const SECOND: &str = " (second)";

/// How much may be built of one answer. It counts bytes of memory, roughly and never too few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    left: usize,
    spent: usize,
}

impl Budget {
    /// The most that is built of one answer: an answer of the largest size with rows of the usual kind takes half of it.
    pub const MAX_BYTES: usize = 32 * 1024 * 1024;

    /// The most rows of one answer that are turned into rows of ours. The largest page that is asked for has some hundred; a vendor that ignores
    /// paging may send a whole list.
    pub const MAX_ROWS: usize = 10_000;

    /// What one value takes in a list or an object.
    const VALUE: usize = 64;
    /// What the first member of an object takes, and each further one.
    const FIRST_MEMBER: usize = 640;
    const NEXT_MEMBER: usize = 112;

    /// Takes from the budget.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn spend(&mut self, bytes: usize) -> Result<(), Unreadable> {
        self.spent = self.spent.saturating_add(bytes);
        self.left = self.left.checked_sub(bytes).ok_or(Unreadable::TooMuch)?;
        Ok(())
    }

    /// Takes what one value costs.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn value(&mut self) -> Result<(), Unreadable> {
        self.spend(Self::VALUE)
    }

    /// Takes what a name costs in an object that has `known` members.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn member(&mut self, known: usize, name: &str) -> Result<(), Unreadable> {
        let place = match known {
            0 => Self::FIRST_MEMBER,
            _ => Self::NEXT_MEMBER,
        };
        self.spend(place + name.len())
    }

    /// Returns what was taken, a refused part included.
    #[must_use]
    pub fn spent(&self) -> usize {
        self.spent
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: Self::MAX_BYTES,
            spent: 0,
        }
    }
}

/// Why a document cannot be read; the text holds nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is empty.
    Empty,
    /// It cannot be cut into values from this byte on.
    Syntax {
        /// Counted from 0.
        at: usize,
    },
    /// It ends in the middle.
    Cut,
    /// More would have to be built of it than is allowed.
    TooMuch,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("the answer is empty"),
            Self::Syntax { at } => write!(f, "it cannot be read from byte {at} on"),
            Self::Cut => f.write_str("it ends in the middle"),
            Self::TooMuch => write!(
                f,
                "it has more rows and fields than are read of one answer ({} MiB in memory)",
                Budget::MAX_BYTES >> 20
            ),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The fields in which something was not as it should be, each with its name; noted once for each place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Odd(Vec<String>);

impl Odd {
    /// Notes a place.
    pub fn note(&mut self, field: &str) {
        if self.0.len() < MAX_ODD {
            let end = field.char_indices().nth(MAX_NAME);
            let name = end.map_or(field, |(end, _)| &field[..end]);
            self.0.push(crate::redact::urls(name));
        }
    }

    /// Returns the names.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// A document that was read.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it holds.
    pub value: Value,
    /// What was not as it should be.
    pub odd: Odd,
    /// What was built.
    pub budget: Budget,
}

/// Reads a document.
///
/// # Errors
/// When it cannot be cut into values, or when too much would have to be built.
pub fn read(body: &[u8]) -> Result<Document, Unreadable> {
    let mut reader = Reader {
        bytes: without_mark(body),
        at: 0,
        odd: Odd::default(),
        budget: Budget::default(),
        field: Vec::new(),
    };
    reader.space();
    if reader.at == reader.bytes.len() {
        return Err(Unreadable::Empty);
    }
    let value = reader.value(0)?;
    // Some C programs send the end of their text along.
    while matches!(reader.peek(), Some(0 | b' ' | b'\t' | b'\n' | b'\r')) {
        reader.at += 1;
    }
    if reader.at < reader.bytes.len() {
        return Err(reader.syntax());
    }
    Ok(Document {
        value,
        odd: reader.odd,
        budget: reader.budget,
    })
}

/// Cuts white space and byte order marks off the beginning.
#[must_use]
pub fn without_mark(body: &[u8]) -> &[u8] {
    let mut body = body.trim_ascii_start();
    while let Some(rest) = body.strip_prefix(b"\xef\xbb\xbf") {
        body = rest.trim_ascii_start();
    }
    body
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    odd: Odd,
    budget: Budget,
    /// The names of the open objects, the innermost last.
    field: Vec<String>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn syntax(&self) -> Unreadable {
        match self.at < self.bytes.len() {
            true => Unreadable::Syntax { at: self.at },
            false => Unreadable::Cut,
        }
    }

    fn note(&mut self) {
        self.odd.note(self.field.last().map_or("", String::as_str));
    }

    fn value(&mut self, depth: usize) -> Result<Value, Unreadable> {
        self.budget.value()?;
        match self.peek() {
            Some(b'"') => self.text().map(Value::String),
            Some(b'{' | b'[') if depth >= MAX_DEPTH => self.raw(),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            _ => self.token(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Unreadable> {
        self.at += 1;
        let mut members = Map::new();
        loop {
            self.space();
            match self.peek() {
                Some(b'}') => break,
                Some(b'"') => {}
                _ => return Err(self.syntax()),
            }
            let name = self.text()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.syntax());
            }
            self.at += 1;
            self.space();
            self.budget.member(members.len(), &name)?;
            self.field.push(name);
            let value = self.value(depth + 1)?;
            let name = self.field.pop().unwrap_or_default();
            if join(&mut members, &name, value) {
                self.odd.note(&name);
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.syntax()),
            }
        }
        self.at += 1;
        Ok(Value::Object(members))
    }

    fn list(&mut self, depth: usize) -> Result<Value, Unreadable> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.peek() == Some(b']') {
                break;
            }
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.syntax()),
            }
        }
        self.at += 1;
        Ok(Value::Array(items))
    }

    /// Reads a text from its opening quotation mark to behind its closing one.
    fn text(&mut self) -> Result<String, Unreadable> {
        self.at += 1;
        let mut text = String::new();
        let mut odd = false;
        loop {
            let start = self.at;
            let plain = |byte: &u8| !matches!(byte, b'"' | b'\\');
            let rest = &self.bytes[start..];
            let length = rest.iter().take_while(|byte| plain(byte)).count();
            let run = &rest[..length];
            self.at += length;
            // A control character should have been escaped; it is what it is all the same.
            odd |= run.iter().any(|byte| *byte < 0x20);
            match std::str::from_utf8(run) {
                Ok(run) => text.push_str(run),
                Err(_) => {
                    odd = true;
                    text.push_str(&String::from_utf8_lossy(run));
                }
            }
            match self.peek() {
                None => return Err(Unreadable::Cut),
                Some(b'"') => break,
                Some(_) => odd |= !self.escape(&mut text)?,
            }
        }
        self.at += 1;
        self.budget.spend(text.len())?;
        if odd {
            self.note();
        }
        Ok(text)
    }

    /// Reads what a backslash begins; returns whether it is an escape of JSON.
    fn escape(&mut self, text: &mut String) -> Result<bool, Unreadable> {
        let escaped = *self.bytes.get(self.at + 1).ok_or(Unreadable::Cut)?;
        let plain = match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return Ok(self.unicode(text)),
            _ => {
                // What was escaped is read next; the backslash was meant as one.
                text.push('\\');
                self.at += 1;
                return Ok(false);
            }
        };
        text.push(plain);
        self.at += 2;
        Ok(true)
    }

    /// Reads `\uXXXX`, or two of them that make one character.
    fn unicode(&mut self, text: &mut String) -> bool {
        let Some(first) = self.hex(self.at) else {
            text.push('\\');
            self.at += 1;
            return false;
        };
        self.at += 6;
        if let Some(character) = char::from_u32(first) {
            text.push(character);
            return true;
        }
        let second = self.hex(self.at).filter(|second| {
            (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(second)
        });
        let pair = second.and_then(|second| {
            char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
        });
        if pair.is_some() {
            self.at += 6;
        }
        text.push(pair.unwrap_or(char::REPLACEMENT_CHARACTER));
        pair.is_some()
    }

    /// Returns the number of `\uXXXX` at `at`.
    fn hex(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |number, digit| {
            Some(number * 16 + char::from(*digit).to_digit(16)?)
        })
    }

    /// Reads a number, `true`, `false`, `null` or a word that is in their place, such as `NaN`.
    fn token(&mut self) -> Result<Value, Unreadable> {
        let rest = &self.bytes[self.at..];
        let of_token =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_');
        let length = rest.iter().take_while(|byte| of_token(byte)).count();
        let token = std::str::from_utf8(&rest[..length]).unwrap_or_default();
        let value = match token {
            "" => return Err(self.syntax()),
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            token => match number(token) {
                Some(number) => Value::Number(number),
                None => {
                    // A document that ends here may have been cut in the middle of the word.
                    if length == rest.len() {
                        return Err(Unreadable::Cut);
                    }
                    if !is_number(token) {
                        if length > MAX_TOKEN {
                            return Err(self.syntax());
                        }
                        self.note();
                    }
                    self.budget.spend(length)?;
                    Value::String(token.to_owned())
                }
            },
        };
        self.at += length;
        Ok(value)
    }

    /// Reads a list or an object as its text.
    fn raw(&mut self) -> Result<Value, Unreadable> {
        let start = self.at;
        let mut open = 0_usize;
        let mut quoted = false;
        loop {
            let byte = self.peek().ok_or(Unreadable::Cut)?;
            self.at += 1;
            match byte {
                b'\\' if quoted => self.at += 1,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => open += 1,
                b'}' | b']' if !quoted => {
                    open -= 1;
                    if open == 0 {
                        break;
                    }
                }
                _ => {}
            }
        }
        let raw = &self.bytes[start..self.at];
        self.budget.spend(raw.len())?;
        self.note();
        Ok(Value::String(String::from_utf8_lossy(raw).into_owned()))
    }
}

/// Reads a number if a type holds it whole.
fn number(token: &str) -> Option<Number> {
    if !is_number(token) {
        return None;
    }
    if let Ok(number) = token.parse::<u64>() {
        return Some(number.into());
    }
    if let Ok(number) = token.parse::<i64>() {
        return Some(number.into());
    }
    // A whole number of so many digits is an identifier, and a double would change it.
    if !token.contains(['.', 'e', 'E']) {
        return None;
    }
    let number: f64 = token.parse().ok()?;
    let mantissa = token.split(['e', 'E']).next().unwrap_or_default();
    let lost = number == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    Number::from_f64(number).filter(|_| !lost)
}

/// Returns whether `token` is a number by the grammar of JSON.
fn is_number(token: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let unsigned = token.strip_prefix('-').unwrap_or(token);
    let whole = digits(unsigned);
    if whole == 0 || (whole > 1 && unsigned.starts_with('0')) {
        return false;
    }
    let mut rest = &unsigned[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let length = digits(exponent);
        if length == 0 {
            return false;
        }
        rest = &exponent[length..];
    }
    rest.is_empty()
}

/// Puts a value under its name; returns whether the name was there already.
///
/// JSON leaves open what a name means that comes twice. Most readers take the last value, so does this one, but nothing may be lost: two lists
/// become one, two objects as well, what is empty gives way, and of two different values the first stays under a name of its own.
fn join(members: &mut Map<String, Value>, name: &str, value: Value) -> bool {
    let Some(known) = members.get_mut(name) else {
        members.insert(name.to_owned(), value);
        return false;
    };
    match (known, value) {
        (known, value) if *known == value || is_empty(&value) => {}
        (known, value) if is_empty(known) => *known = value,
        (Value::Array(known), Value::Array(mut value)) => known.append(&mut value),
        (Value::Object(known), Value::Object(value)) => {
            for (name, value) in value {
                join(known, &name, value);
            }
        }
        (known, value) => {
            let first = std::mem::replace(known, value);
            let second = members
                .entry(format!("{name}{SECOND}"))
                .or_insert(Value::Null);
            match second {
                Value::Array(values) => values.push(first),
                other if other.is_null() => *other = first,
                other => *other = Value::Array(vec![other.take(), first]),
            }
        }
    }
    true
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests;
