//! Proxies and certificates in the environment. The libraries silently ignore values that they cannot use, so those are
//! checked here.

use std::ffi::OsString;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::file::{self, FileError};

/// The largest file of certificates that is looked at, in bytes; those of systems have some 200,000.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The variables that name a proxy, as the library below reads them: of each pair the first that is set counts.
const PROXIES: [[&str; 2]; 3] = [
    ["ALL_PROXY", "all_proxy"],
    ["HTTPS_PROXY", "https_proxy"],
    ["HTTP_PROXY", "http_proxy"],
];

/// Reads a variable of this process.
pub(crate) fn of_process(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Returns what is wrong with the variables of this process that say how vendors are reached, each with its name and what to do. Passwords are not
/// shown.
#[must_use]
pub fn warnings() -> Vec<String> {
    warnings_in(&of_process)
}

fn warnings_in(variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<String> {
    let proxies = PROXIES.iter().filter_map(|names| {
        let (name, value) = names
            .iter()
            .find_map(|name| Some((*name, variable(name)?.into_string().ok())))?;
        let what = match value {
            Some(value) => wrong_proxy(&value)?,
            None => "is not UTF-8, so it is not used".to_owned(),
        };
        Some(format!("the environment variable {name} {what}"))
    });
    let mut warnings: Vec<String> = proxies.collect();
    warnings.extend(certificate_file(variable));
    warnings
}

/// Says what is wrong with the address of a proxy, without its user name and password.
fn wrong_proxy(value: &str) -> Option<String> {
    const FORM: &str = "write http://host:port or https://host:port, with user:password@ before the host where the proxy asks for them";
    if value.is_empty() {
        return None;
    }
    let scheme = value.split_once("://").map(|(scheme, _)| scheme);
    let known = |scheme: &str| ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str());
    match scheme {
        Some(scheme) if scheme.to_ascii_lowercase().starts_with("socks") => Some(format!(
            "names a SOCKS proxy, which the gateway cannot use, so calls that go through it fail; {FORM}"
        )),
        Some(scheme) if !known(scheme) => Some(format!(
            "names a proxy of a kind that is not known, so it is not used; {FORM}"
        )),
        _ => {
            let url: Option<http::Uri> = value.parse().ok();
            let host = url.as_ref().and_then(http::Uri::host).unwrap_or_default();
            host.is_empty()
                .then(|| format!("is not the address of a proxy, so it is not used; {FORM}"))
        }
    }
}

/// Says what is wrong with the file that `SSL_CERT_FILE` names.
pub(crate) fn certificate_file(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<String> {
    let value = variable("SSL_CERT_FILE")?;
    let what = match value.is_empty() {
        true => "is empty; remove it to use the system's certificates".to_owned(),
        false => {
            let path = Path::new(&value);
            let error = match file::read(path, MAX_BYTES) {
                Ok(pem) if CertificateDer::pem_slice_iter(&pem).any(|found| found.is_ok()) => {
                    return None;
                }
                Ok(_) => FileError::new(path, "holds no certificate (BEGIN CERTIFICATE)"),
                Err(error) => error,
            };
            format!("names a file that gives no certificate: {error}")
        }
    };
    Some(format!("the environment variable SSL_CERT_FILE {what}"))
}

#[cfg(test)]
mod tests {
    use super::warnings_in;
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    fn warned(variables: &[(&str, &str)]) -> Vec<String> {
        let variables: BTreeMap<String, OsString> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        warnings_in(&|name| variables.get(name).cloned())
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
        for (name, value, words) in [
            (
                "HTTPS_PROXY",
                "http://proxy example:3128",
                "is not the address of a proxy",
            ),
            (
                "HTTPS_PROXY",
                "http://ops:s3cret@",
                "is not the address of a proxy",
            ),
            (
                "https_proxy",
                "notaurl://ops:s3cret@proxy",
                "a kind that is not known",
            ),
            ("ALL_PROXY", "socks5://ops:s3cret@proxy:1080", "SOCKS"),
            ("all_proxy", "socks5h://proxy:1080", "SOCKS"),
            ("HTTP_PROXY", "http://", "is not the address of a proxy"),
        ] {
            let found = warned(&[(name, value)]);
            let [warning] = &found[..] else {
                panic!("{value}: {found:?}")
            };
            assert!(warning.contains(words), "{value}: {warning}");
            assert!(warning.contains(&format!("variable {name} ")), "{warning}");
            assert!(!warning.contains("s3cret"), "{warning}");
        }
    }

    #[test]
    fn a_proxy_that_can_be_used_is_no_reason_for_a_warning() {
        for value in [
            "",
            "http://proxy.example:3128",
            "http://ops:s3cret@proxy.example:3128/",
            "https://10.0.0.1:443",
            "HTTP://[::1]:3128",
            "proxy.example:3128",
        ] {
            assert_eq!(warned(&[("HTTPS_PROXY", value)]), [""; 0], "{value}");
        }
        // The one in capitals counts.
        let both = [
            ("HTTPS_PROXY", "http://proxy:1"),
            ("https_proxy", "nonsense://x"),
        ];
        assert_eq!(warned(&both), [""; 0]);
        assert_eq!(warned(&[]), [""; 0]);
    }

    #[test]
    fn a_certificate_file_that_gives_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("none.pem"), "nothing\n").unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["ca.example".to_owned()]).unwrap();
        std::fs::write(path("good.pem"), made.cert.pem()).unwrap();
        for value in [path("missing.pem"), path(""), path("none.pem")] {
            let found = warned(&[("SSL_CERT_FILE", &value)]);
            assert_eq!(found.len(), 1, "{value}: {found:?}");
            assert!(found[0].contains("SSL_CERT_FILE names"), "{found:?}");
            assert!(found[0].contains(&value), "{found:?}");
        }
        assert!(warned(&[("SSL_CERT_FILE", "")])[0].contains("is empty"));
        assert_eq!(warned(&[("SSL_CERT_FILE", &path("good.pem"))]), [""; 0]);
    }
}
