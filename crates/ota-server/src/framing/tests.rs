use ota_api::problem::Code;

use super::{Refused, Scanner};

const MAX: usize = 8192;

/// Scans bytes that arrive in parts of this size.
fn scan(bytes: &[u8], size: usize) -> Result<Scanner, Refused> {
    let mut scanner = Scanner::new(MAX);
    let mut done = 0;
    for part in bytes.chunks(size) {
        scanner.scan(part).map_err(|refused| Refused {
            before: done + refused.before,
            ..refused
        })?;
        done += part.len();
    }
    Ok(scanner)
}

/// The same in parts of every size.
#[track_caller]
fn check(text: &str, expected: Result<(), &str>) {
    for size in 1..=text.len() {
        let result = scan(text.as_bytes(), size).map(|_| ());
        match (result, expected) {
            (Ok(()), Ok(())) => {}
            (Err(refused), Err(word)) => {
                let detail = refused.why.detail.unwrap_or_default();
                assert!(detail.contains(word), "{text:?} by {size}: {detail}");
            }
            (result, _) => panic!("{text:?} by {size}: {result:?}"),
        }
    }
}

#[test]
fn ordinary_requests_pass() {
    for text in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nhost: a:80\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET http://a.example:80/x?y HTTP/1.1\r\nHost: A.example:80\r\n\r\n",
        "GET http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\nGETGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\n\r\nno request any more",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n",
    ] {
        check(text, Ok(()));
    }
}

#[test]
fn what_two_programs_may_read_differently_is_refused() {
    let with = |rest: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}\r\n\r\n");
    for (rest, word) in [
        ("Host: a", "more than once"),
        ("Content-Length: 1\r\nContent-Length: 1", "more than once"),
        ("Content-Length: 1, 1", "not a number"),
        ("Content-Length: +1", "not a number"),
        ("Content-Length:", "not a number"),
        ("Content-Length: 99999999999999999999", "not a number"),
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "contradict",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 1",
            "contradict",
        ),
        ("Transfer-Encoding: chunked, chunked", "once"),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "once",
        ),
        ("Transfer-Encoding: gzip, chunked", "once"),
        ("Transfer-Encoding: identity", "once"),
        ("Transfer-Encoding: \u{b}chunked", "once"),
        ("Content-Length : 1", "white space"),
        ("Transfer-Encoding\t: chunked", "white space"),
        ("X: a\r\n b", "folded"),
        ("X: a\nY: b", "line feed"),
        ("X: a\n\nGET /smuggled HTTP/1.1", "line feed"),
    ] {
        check(&with(rest), Err(word));
    }
    for (text, word) in [
        ("GET / HTTP/1.1\r\n\r\n", "missing"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "not a host name"),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "not a host name"),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "not a host name"),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", "line feed"),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "another host"),
        ("GET http://a/ HTTP/1.1\r\n\r\n", "missing"),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.0",
        ),
    ] {
        check(text, Err(word));
    }
}

#[test]
fn a_long_line_is_judged_alike_however_it_is_cut() {
    let long = |begin: &str, end: &str| {
        let fill = " ".repeat(1100 - begin.len());
        format!("POST / HTTP/1.1\r\nX: y\r\n{begin}{fill}{end}\r\n")
    };
    let zeros = "0".repeat(1008);
    for (text, word) in [
        (long("Host: a", " evil"), "longer"),
        (long("Host:", "a"), "longer"),
        (long("Transfer-Encoding: chunked", ", chunked"), "longer"),
        (long("transfer-encoding:", "chunked"), "longer"),
        (long("Transfer-Encoding", ": chunked"), "name of a header"),
        (
            format!("POST / HTTP/1.1\r\nContent-Length: {zeros}40\r\n"),
            "longer",
        ),
    ] {
        check(&text, Err(word));
    }
    check(&long("X-Other: a", "b"), Ok(()));
    // The longest line that is checked as a whole.
    let begin = "POST / HTTP/1.1\r\n";
    for (length, expected) in [(1024, Ok(())), (1025, Err("longer"))] {
        let name = "h".repeat(length - "Host: \r\n".len());
        check(&format!("{begin}Host: {name}\r\n\r\n"), expected);
    }
}

#[test]
fn a_long_method_is_refused_as_soon_as_it_is_long() {
    check(&"G".repeat(40), Err("method"));
    check(
        &format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "G".repeat(33)),
        Err("method"),
    );
    check(
        &format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "G".repeat(32)),
        Ok(()),
    );
}

#[test]
fn a_refused_request_takes_nothing_from_those_before_it() {
    let good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let text = format!("{good}GET /second HTTP/1.1\r\n\r\n{good}");
    let refused = Scanner::new(MAX).scan(text.as_bytes()).unwrap_err();
    assert_eq!(refused.before, good.len());
}

#[test]
fn a_head_that_is_too_large_is_refused_by_where_it_is() {
    for size in [1, 7, 4096, 100_000] {
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(MAX));
        let why = scan(long.as_bytes(), size).unwrap_err().why;
        assert_eq!(why.code, Code::UriTooLong, "{size}");
        let long = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(MAX)
        );
        let why = scan(long.as_bytes(), size).unwrap_err().why;
        assert_eq!(why.code, Code::HeadersTooLarge, "{size}");
    }
}

#[test]
fn little_is_kept_of_a_long_line() {
    let mut scanner = Scanner::new(1 << 20);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(100_000));
    for part in head.as_bytes().chunks(100) {
        scanner.scan(part).unwrap();
    }
    assert!(scanner.head.line.capacity() <= 2 * super::MAX_STORED_LINE);
    assert!(scanner.in_head());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), size in 1..50_usize) {
        let whole = scan(&bytes, bytes.len().max(1)).map(|_| ());
        let parts = scan(&bytes, size).map(|_| ());
        proptest::prop_assert_eq!(whole.map_err(|refused| refused.why), parts.map_err(|refused| refused.why));
    }
}
