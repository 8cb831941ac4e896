//! Worker processes: one that ends costs what it was doing, and is replaced.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use mapproxy_tests::server::{Server, eventually, metric, send};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;

fn configuration(text: &str) -> Result<(tempfile::TempDir, std::path::PathBuf)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("config");
    std::fs::write(&path, text)?;
    Ok((folder, path))
}

fn kill(pid: i32) -> Result<()> {
    kill_process(Pid::from_raw(pid).context("a process id is not 0")?, Signal::KILL)?;
    Ok(())
}

/// Clients that ask for `/hello` all the time, each over connections of its own.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    clients: JoinSet<BTreeSet<String>>,
}

impl Load {
    fn start(server: &Arc<Server>, clients: usize) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            answered: Arc::default(),
            failed: Arc::default(),
            clients: JoinSet::new(),
        };
        for _ in 0..clients {
            let server = Arc::clone(server);
            let (stop, answered, failed) = (
                Arc::clone(&load.stop),
                Arc::clone(&load.answered),
                Arc::clone(&load.failed),
            );
            load.clients.spawn(async move {
                let mut errors = BTreeSet::new();
                while !stop.load(Ordering::Relaxed) {
                    match server.get("/hello").await {
                        Ok(answer) if answer.status() == 200 => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Ok(answer) => drop(errors.insert(answer.status().to_string())),
                        Err(error) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            errors.insert(format!("{error:#}"));
                        }
                    }
                }
                errors
            });
        }
        load
    }

    async fn stop(mut self) -> Result<BTreeSet<String>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut errors = BTreeSet::new();
        while let Some(more) = self.clients.join_next().await {
            errors.extend(more?);
        }
        Ok(errors)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_cost_only_what_they_were_doing() -> Result<()> {
    const CLIENTS: usize = 16;
    const KILLS: usize = 100;
    let (_folder, config) = configuration("")?;
    let server = Server::hostile(&config)?
        .args("--workers 3 --access-log off --admin 127.0.0.1:0")
        .start()
        .await?;
    let server = Arc::new(server);
    let admin = server.admin().await?;
    let load = Load::start(&server, CLIENTS);
    for number in 0..KILLS {
        let workers = server.workers()?;
        kill(*workers.get(number % workers.len()).context("there are workers")?)?;
        let replaced = "mapproxy_workers_replaced_total";
        eventually(replaced, async || Ok(metric(admin, replaced).await? > number as u64)).await?;
        // Requests go on meanwhile.
        let before = load.answered.load(Ordering::Relaxed);
        eventually("requests are answered", async || {
            Ok(load.answered.load(Ordering::Relaxed) > before && !server.workers()?.is_empty())
        })
        .await?;
    }
    let failed = load.failed.load(Ordering::Relaxed);
    load.stop().await?;
    assert!(
        failed <= KILLS * CLIENTS / 3 + KILLS,
        "{failed} requests failed for {KILLS} workers"
    );
    // Nobody is missing afterwards.
    eventually("three workers", async || {
        Ok(server.workers()?.len() == 3 && metric(admin, "mapproxy_workers").await? == 3)
    })
    .await?;
    for _ in 0..20 {
        assert_eq!(server.get("/hello").await?.status(), 200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_have_done_their_share_are_replaced_without_loss() -> Result<()> {
    let (_folder, config) = configuration("")?;
    let server = Server::hostile(&config)?
        .args("--workers 2 --max-requests-per-worker 50 --access-log off --admin 127.0.0.1:0")
        .start()
        .await?;
    let server = Arc::new(server);
    let admin = server.admin().await?;
    let load = Load::start(&server, 8);
    let replaced = "mapproxy_workers_replaced_total";
    eventually(replaced, async || Ok(metric(admin, replaced).await? >= 10)).await?;
    let errors = load.stop().await?;
    ensure!(errors.is_empty(), "{errors:?}");
    assert!(!server.log().contains("ended unexpectedly"));
    Ok(())
}

#[tokio::test]
async fn a_replaced_worker_serves_what_the_others_serve() -> Result<()> {
    let (_folder, config) = configuration("")?;
    let server = Server::hostile(&config)?.args("--workers 2").start().await?;
    // What is on disk is broken by now.
    std::fs::write(&config, "error broken\n")?;
    let before = server.workers()?;
    for pid in &before {
        kill(*pid)?;
    }
    eventually("two other workers", async || {
        let now = server.workers()?;
        Ok(now.len() == 2 && !now.iter().any(|pid| before.contains(pid)))
    })
    .await?;
    for _ in 0..10 {
        assert_eq!(server.get("/hello").await?.status(), 200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_request_does_not_block_its_worker() -> Result<()> {
    let (_folder, config) = configuration("")?;
    let server = Server::hostile(&config)?
        .args("--workers 2 --request-timeout 60s --shutdown-timeout 1s")
        .start()
        .await?;
    let server = Arc::new(server);
    let mut long = JoinSet::new();
    for _ in 0..6 {
        let server = Arc::clone(&server);
        long.spawn(async move { server.get("/loop").await });
    }
    for _ in 0..50 {
        assert_eq!(server.get("/hello").await?.status(), 200);
    }
    assert!(long.try_join_next().is_none(), "the long ones are still at it");
    Ok(())
}

#[tokio::test]
async fn health_and_metrics_have_a_listener_of_their_own() -> Result<()> {
    let (_folder, config) = configuration("")?;
    for arguments in ["--workers 1", "--workers 2"] {
        let mut server = Server::hostile(&config)?
            .args("--admin 127.0.0.1:0")
            .args(arguments)
            .start()
            .await?;
        let admin = server.admin().await?;
        let ask = async |path: &str| {
            let request = hyper::Request::get(path).body(bytes::Bytes::new())?;
            let answer = send(admin, request).await?;
            anyhow::Ok((
                answer.status().as_u16(),
                String::from_utf8_lossy(answer.body()).into_owned(),
            ))
        };
        assert_eq!(ask("/healthz").await?, (200, "ready\n".to_owned()));
        assert_eq!(ask("/hello").await?.0, 404);
        assert_eq!(
            server.get("/healthz").await?.status(),
            404,
            "it is the component's path then"
        );
        for _ in 0..7 {
            server.get("/hello").await?;
        }
        let answered = "mapproxy_requests_total{status=\"2xx\"}";
        eventually(answered, async || Ok(metric(admin, answered).await? == 7)).await?;
        // Draining is seen while a request is on its way.
        let slow = hyper::Request::get("/sleep?1500").body(bytes::Bytes::new())?;
        let slow = tokio::spawn(send(server.address(), slow));
        let in_flight = "mapproxy_requests_in_flight";
        eventually(in_flight, async || Ok(metric(admin, in_flight).await? == 1)).await?;
        server.terminate()?;
        eventually("draining", async || {
            Ok(ask("/healthz").await? == (503, "draining\n".to_owned()))
        })
        .await?;
        assert_eq!(slow.await??.status(), 200);
        assert!(server.wait().await?.success());
    }
    Ok(())
}

#[tokio::test]
async fn health_is_told_where_the_maps_are_without_a_listener_of_its_own() -> Result<()> {
    let (_folder, config) = configuration("")?;
    for arguments in ["--workers 1", "--workers 2"] {
        let server = Server::hostile(&config)?.args(arguments).start().await?;
        let answer = server.get("/healthz").await?;
        assert_eq!(
            (answer.status().as_u16(), answer.body().as_ref()),
            (200, &b"ready\n"[..])
        );
    }
    Ok(())
}
