//! Swagger UI at `/docs/`: the library's files with our page and our settings.
//!
//! All addresses are relative, so that it works under any path prefix that a proxy strips.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, Path};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ota_api::problem::{Code, Failure};
use ota_server::security_headers::PAGES_POLICY;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::shared_bodies::PagePath;

const PAGE: &str = include_str!("swagger_ui/index.html");
const SCRIPT: &str = include_str!("swagger_ui/initializer.js");

/// The files of the library that the page loads, by their paths here.
const LIBRARY: &[&str] = &[
    "/docs/favicon-16x16.png",
    "/docs/favicon-32x32.png",
    "/docs/swagger-ui-bundle.js",
    "/docs/swagger-ui.css",
];

/// A file below `/docs/`.
#[derive(Clone, Debug)]
struct File {
    name: &'static str,
    path: PagePath,
    content_type: String,
    bytes: Bytes,
}

/// Builds the routes. `open` states that the API requires no token.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(open: bool) -> Router<S> {
    let files: Arc<[File]> = files(open).into();
    let page = Arc::clone(&files);
    Router::new()
        .route("/", get(async || to_page()))
        .route("/docs", get(async || to_page()))
        .route("/docs/", get(async move || answer(&page, "index.html")))
        .route(
            "/docs/{*file}",
            get(async move |Path(name): Path<String>| answer(&files, &name)),
        )
        .layer(SetResponseHeaderLayer::overriding(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(PAGES_POLICY),
        ))
}

/// Redirects to the page by a relative address, which is the same from `/` and from `/docs`.
fn to_page() -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "docs/")]).into_response()
}

fn answer(files: &[File], name: &str) -> Response {
    match files.iter().find(|file| file.name == name) {
        Some(file) => {
            let content_type = [(CONTENT_TYPE, file.content_type.clone())];
            (Extension(file.path), content_type, file.bytes.clone()).into_response()
        }
        None => Failure::new(Code::NotFound, "no such path; see /docs").into_response(),
    }
}

fn files(open: bool) -> Vec<File> {
    let script = SCRIPT.replace("OPEN_WITHOUT_TOKEN", if open { "true" } else { "false" });
    let mut files = vec![
        File {
            name: "index.html",
            path: PagePath("/docs/"),
            content_type: "text/html; charset=utf-8".to_owned(),
            bytes: Bytes::from_static(PAGE.as_bytes()),
        },
        File {
            name: "initializer.js",
            path: PagePath("/docs/initializer.js"),
            content_type: "text/javascript; charset=utf-8".to_owned(),
            bytes: script.into(),
        },
    ];
    let config = Arc::new(utoipa_swagger_ui::Config::default());
    for path in LIBRARY {
        let name = path.trim_start_matches("/docs/");
        if let Ok(Some(file)) = utoipa_swagger_ui::serve(name, Arc::clone(&config)) {
            files.push(File {
                name,
                path: PagePath(path),
                content_type: file.content_type,
                bytes: match file.bytes {
                    Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                    Cow::Owned(bytes) => bytes.into(),
                },
            });
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::{LIBRARY, PAGE, SCRIPT, files};

    #[test]
    fn every_file_that_the_page_names_is_there() {
        let files = files(false);
        assert_eq!(files.len(), LIBRARY.len() + 2);
        for attribute in ["src=\"./", "href=\"./"] {
            for part in PAGE.split(attribute).skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(files.iter().any(|file| file.name == name), "{name}");
            }
        }
    }

    #[test]
    fn the_script_asks_without_a_token_only_where_none_is_needed() {
        assert_eq!(SCRIPT.matches("OPEN_WITHOUT_TOKEN").count(), 1);
        for open in [true, false] {
            let files = files(open);
            let script = files.iter().find(|file| file.name == "initializer.js");
            let text = std::str::from_utf8(&script.unwrap().bytes).unwrap();
            assert!(
                text.contains(&format!("const needsNoToken = {open};")),
                "{text}"
            );
        }
    }
}
