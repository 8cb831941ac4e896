//! Stopping: SIGTERM or SIGINT stops accepting and lets what runs come to its end; a second one ends at once.

use std::time::Duration;

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

/// The side of those who are asked to stop. Whoever holds one is waited for.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    stopping: watch::Receiver<bool>,
    _alive: mpsc::Sender<()>,
}

/// The side of the one who asks.
#[derive(Debug)]
pub(crate) struct Stopper {
    stopping: watch::Sender<bool>,
    alive: mpsc::Receiver<()>,
}

pub(crate) fn channel() -> (Stopper, Stop) {
    let (stopping_sender, stopping) = watch::channel(false);
    let (alive_sender, alive) = mpsc::channel(1);
    (
        Stopper {
            stopping: stopping_sender,
            alive,
        },
        Stop {
            stopping,
            _alive: alive_sender,
        },
    )
}

impl Stop {
    /// Returns when it is time to stop.
    pub(crate) async fn requested(&mut self) {
        // An error means that the asking side is gone: time to stop as well.
        let _ = self.stopping.wait_for(|stopping| *stopping).await;
    }
}

impl Stopper {
    /// Asks everyone to stop and waits until all [`Stop`]s are dropped, at most `limit`. Returns whether they were.
    pub(crate) async fn drain(mut self, limit: Duration) -> bool {
        // Fails when nobody listens: then there is nobody to wait for.
        let _ = self.stopping.send(true);
        tokio::time::timeout(limit, self.alive.recv()).await.is_ok()
    }
}

/// SIGTERM and SIGINT, caught from now on.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) terminate: Signal,
    pub(crate) interrupt: Signal,
}

impl Signals {
    pub(crate) fn catch() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// Waits for the first signal, drains, and watches for the second meanwhile.
///
/// `begin` is called in between.
pub(crate) async fn on_signal(signals: Signals, stopper: Stopper, limit: Duration, begin: impl FnOnce()) {
    let Signals {
        mut terminate,
        mut interrupt,
    } = signals;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    begin();
    info!("stopping: waiting for the requests in flight");
    tokio::select! {
        drained = stopper.drain(limit) => {
            if !drained {
                warn!(?limit, "stopping although requests are in flight");
            }
        }
        _ = terminate.recv() => warn!("stopping at once"),
        _ = interrupt.recv() => warn!("stopping at once"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn draining_waits_for_the_last_one() {
        let (stopper, stop) = channel();
        let mut other = stop.clone();
        drop(stop);
        let worker = tokio::spawn(async move { other.requested().await });
        assert!(stopper.drain(Duration::from_mins(1)).await);
        worker.await.unwrap();
    }

    #[tokio::test]
    async fn draining_is_bounded() {
        let (stopper, _stop) = channel();
        assert!(!stopper.drain(Duration::from_millis(1)).await);
    }
}
