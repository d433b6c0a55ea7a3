//! Clients that sign by the documents and talk HTTP by hand, so that broken answers can be looked at.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use ota_sim::{Clock, Server, alibaba, huawei};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha2::Digest;
use time::OffsetDateTime;
use time::macros::datetime;

pub(crate) const START: OffsetDateTime = datetime!(2024-05-06 07:08:09 UTC);

/// An answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(one, _)| one == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns whether the body is as long as the head announced.
    pub(crate) fn is_complete(&self) -> bool {
        self.header("content-length")
            .and_then(|text| text.parse().ok())
            == Some(self.body.len())
    }
}

/// Sends one request; `None` when the connection ends without an answer.
pub(crate) fn send(
    addr: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Raw> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head += &format!("host: {addr}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("content-length: {}\r\n", body.len());
    }
    head += "\r\n";
    let mut request = head.into_bytes();
    request.extend_from_slice(body);
    exchange(addr, &request)
}

pub(crate) fn exchange(addr: SocketAddr, request: &[u8]) -> Option<Raw> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // The server may hang up before it has read everything.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut chunk = [0; 65536];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    parse(&answer)
}

pub(crate) fn parse(answer: &[u8]) -> Option<Raw> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Some(Raw {
        status,
        headers,
        body: answer[end + 4..].to_vec(),
    })
}

pub(crate) fn encode(text: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}

pub(crate) fn query(params: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = params
        .iter()
        .map(|(name, value)| (name, format!("{}={}", encode(name), encode(value))))
        .collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(_, pair)| pair).collect();
    pairs.join("&")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn timestamp(time: OffsetDateTime) -> String {
    format!(
        "{}T{:02}:{:02}:{:02}Z",
        time.date(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

pub(crate) fn nonce() -> String {
    static NONCES: AtomicU64 = AtomicU64::new(0);
    format!("nonce-{}", NONCES.fetch_add(1, Ordering::Relaxed))
}

/// A running Alibaba simulator with a client for it.
pub(crate) struct Alibaba {
    pub(crate) server: Server,
    pub(crate) clock: Clock,
    pub(crate) secret: String,
}

impl Alibaba {
    pub(crate) async fn start(change: impl FnOnce(&mut alibaba::Config)) -> Self {
        let clock = Clock::manual(START);
        let mut config = alibaba::Config {
            clock: clock.clone(),
            quota: None,
            ..alibaba::Config::default()
        };
        change(&mut config);
        Self {
            secret: config.access_key_secret.clone(),
            server: alibaba::start(config).await.unwrap(),
            clock,
        }
    }

    /// The parameters of an RPC call that the server accepts, without its signature.
    pub(crate) fn params(&self, action: &str, own: &[(&str, &str)]) -> Vec<(String, String)> {
        let time = timestamp(self.clock.now());
        let nonce = nonce();
        [
            ("Action", action),
            ("Version", "2018-01-20"),
            ("Format", "JSON"),
            ("AccessKeyId", alibaba::DEMO_ACCESS_KEY_ID),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", nonce.as_str()),
            ("Timestamp", time.as_str()),
        ]
        .iter()
        .chain(own)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
    }

    pub(crate) fn signed(&self, method: &str, mut params: Vec<(String, String)>) -> String {
        let string = format!("{method}&%2F&{}", encode(&query(&params)));
        let key = format!("{}&", self.secret);
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(string.as_bytes());
        let signature =
            base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        params.push(("Signature".to_owned(), signature));
        query(&params)
    }

    pub(crate) fn get(&self, query: &str) -> Raw {
        send(self.server.addr(), "GET", &format!("/?{query}"), &[], b"").unwrap()
    }

    /// Sends a signed RPC call as it is.
    pub(crate) fn send(&self, action: &str, own: &[(&str, &str)]) -> Raw {
        self.get(&self.signed("GET", self.params(action, own)))
    }

    /// Sends a signed RPC call and expects success.
    pub(crate) fn ok(&self, action: &str, own: &[(&str, &str)]) -> Value {
        let answer = self.send(action, own);
        let content = answer.json();
        assert_eq!(answer.status, 200, "{content}");
        assert_eq!(content["Success"], true, "{content}");
        content
    }

    /// Sends a V3 call; `spoil` changes headers after they are signed.
    pub(crate) fn acs3(
        &self,
        method: &str,
        action: &str,
        own: &[(&str, &str)],
        more: &[(&str, &str)],
        form: bool,
        spoil: impl FnOnce(&mut Vec<(String, String)>),
    ) -> Raw {
        let own: Vec<(String, String)> = own
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let (target_query, body) = if form {
            (String::new(), query(&own))
        } else {
            (query(&own), String::new())
        };
        let hash = hex(&sha2::Sha256::digest(body.as_bytes()));
        let mut headers: Vec<(String, String)> = [
            ("host", self.server.addr().to_string().as_str()),
            ("x-acs-action", action),
            ("x-acs-version", "2018-01-20"),
            ("x-acs-date", &timestamp(self.clock.now())),
            ("x-acs-signature-nonce", &nonce()),
            ("x-acs-content-sha256", &hash),
        ]
        .iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        if form {
            headers.push((
                "content-type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            ));
        }
        headers.sort();
        let block: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let canonical = format!("{method}\n/\n{target_query}\n{block}\n{names}\n{hash}");
        let string = format!(
            "ACS3-HMAC-SHA256\n{}",
            hex(&sha2::Sha256::digest(canonical.as_bytes()))
        );
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(string.as_bytes());
        let signature = hex(&mac.finalize().into_bytes());
        headers.push((
            "authorization".to_owned(),
            format!(
                "ACS3-HMAC-SHA256 Credential={},SignedHeaders={names},Signature={signature}",
                alibaba::DEMO_ACCESS_KEY_ID
            ),
        ));
        spoil(&mut headers);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let target = if target_query.is_empty() {
            "/".to_owned()
        } else {
            // As the official client writes it.
            format!("/?{}", target_query.replace("%20", "+"))
        };
        send(
            self.server.addr(),
            method,
            &target,
            &headers,
            body.as_bytes(),
        )
        .unwrap()
    }

    /// The first job of the fleet with at least this many tasks.
    pub(crate) fn some_job(&self) -> String {
        let fleet = self.server.fleet();
        let job = fleet.jobs.iter().find(|job| job.total >= 100).unwrap();
        job.id.clone()
    }
}

/// A running Huawei simulator with a client for it.
pub(crate) struct Huawei {
    pub(crate) server: Server,
    pub(crate) clock: Clock,
}

pub(crate) const LOGIN: &str = "/iocm/app/sec/v1.1.0/login";
pub(crate) const REFRESH: &str = "/iocm/app/sec/v1.1.0/refreshToken";
pub(crate) const OPERATIONS: &str = "/iodm/northbound/v1.5.0/operations";

impl Huawei {
    pub(crate) async fn start(change: impl FnOnce(&mut huawei::Config)) -> Self {
        let clock = Clock::manual(START);
        let mut config = huawei::Config {
            clock: clock.clone(),
            quota: None,
            ..huawei::Config::default()
        };
        change(&mut config);
        Self {
            server: huawei::start(config).await.unwrap(),
            clock,
        }
    }

    pub(crate) fn post(&self, path: &str, content_type: &str, body: &str) -> Raw {
        let headers = [("content-type", content_type)];
        send(self.server.addr(), "POST", path, &headers, body.as_bytes()).unwrap()
    }

    pub(crate) fn try_login(&self) -> Raw {
        let body = format!(
            "appId={}&secret={}",
            huawei::DEMO_APP_ID,
            huawei::DEMO_SECRET
        );
        self.post(LOGIN, "application/x-www-form-urlencoded", &body)
    }

    /// Logs in and returns access and refresh token.
    pub(crate) fn login(&self) -> (String, String) {
        let answer = self.try_login();
        assert_eq!(answer.status, 200, "{answer:?}");
        tokens(&answer)
    }

    pub(crate) fn refresh(&self, token: &str) -> Raw {
        let body = serde_json::json!({
            "appId": huawei::DEMO_APP_ID,
            "secret": huawei::DEMO_SECRET,
            "refreshToken": token,
        });
        self.post(REFRESH, "application/json", &body.to_string())
    }

    pub(crate) fn get(&self, token: &str, target: &str) -> Raw {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("app_key", huawei::DEMO_APP_ID),
            ("authorization", bearer.as_str()),
        ];
        send(self.server.addr(), "GET", target, &headers, b"").unwrap()
    }

    pub(crate) fn ok(&self, token: &str, target: &str) -> Value {
        let answer = self.get(token, target);
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        answer.json()
    }
}

pub(crate) fn tokens(answer: &Raw) -> (String, String) {
    let content = answer.json();
    let text = |name: &str| content[name].as_str().unwrap().to_owned();
    (text("accessToken"), text("refreshToken"))
}
