//! nginx in front of a gateway with `proxy_cache`, or in front of two as operators are advised.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use crate::process_guard::{End, ProcessGuard};
use crate::scenario::Outcome;

/// The example for operators.
const EXAMPLE: &str = include_str!("../../../deploy/nginx/ota-gateway.conf");

/// A running nginx; it has ended, with its workers, when this has been dropped.
#[derive(Debug)]
pub(crate) struct Nginx {
    master: ProcessGuard,
}

impl Nginx {
    /// Starts it in `folder`, with as many workers as there are cores and all settings for fast cached files.
    pub(crate) async fn start(
        folder: &Path,
        listen: SocketAddr,
        origin: SocketAddr,
        access_log: bool,
    ) -> Outcome<Self> {
        let at = folder_of(folder, listen)?;
        let log = match access_log {
            true => format!("{at}/access.log"),
            false => "off".to_owned(),
        };
        let server = format!(
            "access_log {log};\n\
             proxy_cache_path {at}/cache keys_zone=kept:10m;\n\
             sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; open_file_cache max=100;\n\
             server {{\n\
               listen {listen} backlog=4096;\n\
               location / {{ proxy_pass http://{origin}; proxy_cache kept; proxy_cache_valid 200 1h; proxy_ignore_headers Cache-Control Expires Vary; }}\n\
             }}\n"
        );
        Self::serve(&at, &server).await
    }

    /// Starts it in `folder` with the example for two gateways, in front of these.
    pub(crate) async fn before_two(
        folder: &Path,
        listen: SocketAddr,
        gateways: [SocketAddr; 2],
    ) -> Outcome<Self> {
        let at = folder_of(folder, listen)?;
        let server = EXAMPLE
            .replace("gateway-a:8080", &gateways[0].to_string())
            .replace("gateway-b:8080", &gateways[1].to_string())
            .replace("listen 8080;", &format!("listen {listen};"));
        Self::serve(&at, &format!("access_log off;\n{server}")).await
    }

    /// Starts it in a folder of its own with what `http` has beside the folders of temporary files.
    async fn serve(at: &str, http: &str) -> Outcome<Self> {
        let config = format!(
            "daemon off; master_process on; worker_processes auto; pid {at}/pid; error_log {at}/error.log warn;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n\
               client_body_temp_path {at}/body; fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
               proxy_temp_path {at}/proxy;\n\
               {http}\n\
             }}\n"
        );
        let path = Path::new(at).join("nginx.conf");
        std::fs::write(&path, config)?;
        let arguments = ["-c".as_ref(), path.as_os_str(), "-p".as_ref(), at.as_ref()];
        let master = ProcessGuard::start("nginx", arguments, Stdio::null(), End::Terminate).await?;
        Ok(Self { master })
    }

    /// Returns the process of the master.
    pub(crate) fn process(&self) -> u32 {
        self.master.process()
    }
}

/// Makes the folder of a server; returns its path.
fn folder_of(folder: &Path, listen: SocketAddr) -> Outcome<String> {
    let folder = folder.join(format!("nginx-{}", listen.port()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder.display().to_string())
}
