//! The thread that keeps the leases.

use std::io;
use std::time::Duration;

use ota_store::{OpenSettings, Store};
use tokio::sync::oneshot;

use crate::cluster::Cluster;

/// The pause between two attempts to open a database that is away, or whose schema another gateway is still making.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

/// How long the end of the thread is waited for.
const LONGEST_END: Duration = Duration::from_secs(5);

/// The thread. When it is dropped, the leases are given back too, but nothing waits for it.
#[derive(Debug)]
pub struct Keeper {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Keeper {
    /// Starts the thread, which opens the database for itself: `settings` are those of the gateway, whose schema it does not touch.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(cluster: Cluster, settings: &OpenSettings) -> io::Result<Self> {
        let settings = OpenSettings {
            url: settings.url.clone(),
            exclusive: false,
            create: false,
        };
        let (stop, stopped) = oneshot::channel();
        let (tell, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("leases".to_owned())
            .spawn(move || {
                runtime.block_on(keep(&cluster, &settings, stopped));
                // Nobody may wait for it.
                let _ = tell.send(());
            })?;
        Ok(Self { stop, ended })
    }

    /// Gives the leases back and ends the thread. The gateway has to have made its last call.
    pub async fn stop(self) {
        // A thread that has ended needs no sign.
        let _ = self.stop.send(());
        if tokio::time::timeout(LONGEST_END, self.ended).await.is_err() {
            tracing::warn!(
                "the leases of the vendor accounts were not given back in time; they run out"
            );
        }
    }
}

async fn keep(cluster: &Cluster, settings: &OpenSettings, mut stopped: oneshot::Receiver<()>) {
    let store = tokio::select! {
        store = open(settings) => store,
        _ = &mut stopped => return,
    };
    tokio::select! {
        () = cluster.keep(&store) => {}
        _ = &mut stopped => {}
    }
    cluster.give_back(&store).await;
}

async fn open(settings: &OpenSettings) -> Store {
    loop {
        match Store::open(settings).await {
            Ok(store) => return store,
            // The gateway says what is wrong when it opens the database itself.
            Err(error) => tracing::debug!("the table of leases cannot be opened: {error}"),
        }
        tokio::time::sleep(OPEN_AGAIN).await;
    }
}
