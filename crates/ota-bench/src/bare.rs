//! A bare axum route that returns a constant.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use bytes::Bytes;

use crate::scenario::Outcome;

/// Serves the content of a file at `/`.
pub(crate) async fn serve(listen: SocketAddr, body: &Path) -> Outcome<()> {
    let body = Bytes::from(std::fs::read(body)?);
    let route = get(move || {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    });
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().route("/", route)).await?;
    Ok(())
}
