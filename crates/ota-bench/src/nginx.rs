//! nginx with `proxy_cache` in front of the gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use crate::process_guard::{End, ProcessGuard};
use crate::scenario::Outcome;

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
        let folder = folder.join(format!("nginx-{}", listen.port()));
        std::fs::create_dir_all(&folder)?;
        let at = folder.display();
        let log = match access_log {
            true => format!("{at}/access.log"),
            false => "off".to_owned(),
        };
        let config = format!(
            "daemon off; master_process on; worker_processes auto; pid {at}/pid; error_log {at}/error.log warn;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n\
               access_log {log};\n\
               client_body_temp_path {at}/body; fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
               proxy_temp_path {at}/proxy; proxy_cache_path {at}/cache keys_zone=kept:10m;\n\
               sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; open_file_cache max=100;\n\
               server {{\n\
                 listen {listen} backlog=4096;\n\
                 location / {{ proxy_pass http://{origin}; proxy_cache kept; proxy_cache_valid 200 1h; proxy_ignore_headers Cache-Control Expires Vary; }}\n\
               }}\n\
             }}\n"
        );
        let path = folder.join("nginx.conf");
        std::fs::write(&path, config)?;
        let arguments = [
            "-c".as_ref(),
            path.as_os_str(),
            "-p".as_ref(),
            folder.as_os_str(),
        ];
        let master = ProcessGuard::start("nginx", arguments, Stdio::null(), End::Terminate).await?;
        Ok(Self { master })
    }

    /// Returns the process of the master.
    pub(crate) fn process(&self) -> u32 {
        self.master.process()
    }
}
