//! A configuration that changes while it is served: nobody notices but by the new maps.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use mapproxy_tests::server::{Server, eventually, metric};
use tokio::task::JoinSet;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn put(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.0.path().join(name);
        // As editors do it: never half a file.
        fs::write(path.with_extension("new"), content)?;
        fs::rename(path.with_extension("new"), &path)?;
        Ok(path)
    }
}

/// A configuration that lets instances read the file `data` of the directory `name`.
fn reads(folder: &Folder, name: &str) -> Result<String> {
    let directory = folder.0.path().join(name);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("data"), name)?;
    Ok(format!("read {}\n", directory.display()))
}

async fn status(server: &Server, path: &str) -> Result<u16> {
    Ok(server.get(path).await?.status().as_u16())
}

/// Asks until the answer has this status.
async fn until(server: &Server, path: &str, expect: u16) -> Result<()> {
    eventually(path, async || Ok(status(server, path).await? == expect)).await
}

#[tokio::test]
async fn a_changed_configuration_is_served_with_its_directories() -> Result<()> {
    for arguments in ["--workers 1", "--workers 2"] {
        let folder = Folder::new()?;
        let config = folder.put("config", &reads(&folder, "one")?)?;
        let server = Server::hostile(&config)?
            .args("--reload")
            .args(arguments)
            .start()
            .await?;
        let data = |name: &str| format!("/read{}", folder.0.path().join(name).join("data").display());
        assert_eq!(status(&server, &data("one")).await?, 200);
        assert_eq!(status(&server, &data("two")).await?, 404);
        folder.put("config", &reads(&folder, "two")?)?;
        until(&server, &data("two"), 200).await?;
        server.wait_for_log("loaded the changed configuration").await?;
        // Each worker has its turn; none of them shows the old directory once it shows the new one.
        until(&server, &data("one"), 404).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_configuration_is_reported_in_full_once() -> Result<()> {
    let folder = Folder::new()?;
    let config = folder.put("config", "")?;
    let server = Server::hostile(&config)?.args("--reload --workers 2").start().await?;
    folder.put("config", "\nerror first of two\nerror second of two\n")?;
    server.wait_for_log("second of two").await?;
    assert_eq!(status(&server, "/hello").await?, 200);
    let log = server.log();
    for expected in [
        "the old one is served: 2 errors",
        "config:2:1",
        "2 | error first of two",
        "config:3:1",
    ] {
        assert!(log.contains(expected), "{expected}\n{log}");
    }
    assert_eq!(log.matches("error: first of two").count(), 1, "{log}");
    // What compiles but cannot be used is no better.
    folder.put("config", "refuse\n")?;
    server.wait_for_log("refused, as asked").await?;
    assert_eq!(status(&server, "/hello").await?, 200);
    Ok(())
}

#[tokio::test]
async fn parts_of_a_configuration_and_links_to_it_are_watched() -> Result<()> {
    let folder = Folder::new()?;
    let part = folder.put("part", "")?;
    // The way Kubernetes mounts a ConfigMap: the file is a link into a directory that is replaced as a whole.
    let (first, second) = (folder.0.path().join("first"), folder.0.path().join("second"));
    for (directory, more) in [(&first, ""), (&second, "warning from the second\n")] {
        fs::create_dir(directory)?;
        fs::write(directory.join("config"), format!("need {}\n{more}", part.display()))?;
    }
    let current = folder.0.path().join("current");
    std::os::unix::fs::symlink(&first, &current)?;
    let config = folder.0.path().join("config");
    std::os::unix::fs::symlink(Path::new("current/config"), &config)?;
    let server = Server::hostile(&config)?.args("--reload --workers 1").start().await?;
    folder.put("part", "changed")?;
    server.wait_for_log("loaded the changed configuration").await?;
    let link = folder.0.path().join("link");
    std::os::unix::fs::symlink(&second, &link)?;
    fs::rename(&link, &current)?;
    server.wait_for_log("from the second").await?;
    Ok(())
}

#[tokio::test]
async fn sighup_loads_anew_without_watching() -> Result<()> {
    for arguments in ["--workers 1", "--workers 2"] {
        let folder = Folder::new()?;
        let config = folder.put("config", "")?;
        let log = folder.0.path().join("access.log");
        let server = Server::hostile(&config)?
            .args(arguments)
            .arg("--access-log-file")
            .arg(&log)
            .start()
            .await?;
        folder.put("config", "warning said after the signal\n")?;
        fs::rename(&log, folder.0.path().join("moved.log"))?;
        server.hang_up()?;
        server.wait_for_log("said after the signal").await?;
        eventually("the access log is opened again", async || Ok(log.exists())).await?;
        folder.put("config", "error broken\n")?;
        server.hang_up()?;
        server.wait_for_log("the old one is served").await?;
        assert_eq!(status(&server, "/hello").await?, 200);
    }
    Ok(())
}

#[tokio::test]
async fn an_ini_file_is_reloaded_with_all_it_names() -> Result<()> {
    let folder = Folder::new()?;
    folder.put("a.yaml", "")?;
    let map = |lines: &str| {
        format!(
            "[composite:main]\nuse = egg:Paste#urlmap\n{lines}[app:a]\nuse = egg:MapProxy#app\n\
             mapproxy_conf = %(here)s/a.yaml\n"
        )
    };
    let ini = folder.put("test.ini", &map("/one = a\n"))?;
    let server = Server::hostile(&ini)?.args("--reload --workers 2").start().await?;
    assert_eq!(status(&server, "/one/hello").await?, 200);
    folder.put("test.ini", &map("/two = a\n"))?;
    until(&server, "/two/hello", 200).await?;
    until(&server, "/one/hello", 404).await?;
    folder.put("test.ini", &map("/two = b\n"))?;
    server.wait_for_log("there is no application `b`").await?;
    assert_eq!(status(&server, "/two/hello").await?, 200);
    Ok(())
}

/// Under load, with good and broken configurations in turn: no request fails, and all of them are counted.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_in_many_reloads() -> Result<()> {
    const CLIENTS: usize = 64;
    const RELOADS: usize = 200;
    for arguments in ["--workers 1", "--workers 3"] {
        let folder = Folder::new()?;
        let config = folder.put("config", "")?;
        let server = Server::hostile(&config)?
            .args("--reload --access-log off --admin 127.0.0.1:0")
            .args(arguments)
            .start()
            .await?;
        let server = Arc::new(server);
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (server, stop, asked) = (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&asked));
            clients.spawn(async move {
                let mut failed = BTreeSet::new();
                while !stop.load(Ordering::Relaxed) {
                    match server.get("/hello").await {
                        Ok(answer) if answer.status() == 200 && answer.body() == "hello" => {}
                        Ok(answer) => drop(failed.insert(format!("{answer:?}"))),
                        Err(error) => drop(failed.insert(format!("{error:#}"))),
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                failed
            });
        }
        let admin = server.admin().await?;
        let (mut good, mut broken) = (0, 0);
        for number in 0..RELOADS {
            let (name, seen) = if number % 2 == 0 {
                folder.put("config", &format!("error number {number}\n"))?;
                ("mapproxy_reloads_total{result=\"broken\"}", &mut broken)
            } else {
                folder.put("config", &format!("comment {number}\n"))?;
                ("mapproxy_reloads_total{result=\"good\"}", &mut good)
            };
            // The next change comes when this one was noticed; what is written in between is read as one.
            eventually(name, async || Ok(metric(admin, name).await? > *seen)).await?;
            *seen = metric(admin, name).await?;
        }
        stop.store(true, Ordering::Relaxed);
        while let Some(failed) = clients.join_next().await {
            let failed = failed?;
            ensure!(failed.is_empty(), "{arguments}: {failed:?}");
        }
        assert_eq!((good, broken), (RELOADS as u64 / 2, RELOADS as u64 / 2), "{arguments}");
        assert!(
            asked.load(Ordering::Relaxed) > CLIENTS,
            "{arguments}: the clients hardly asked"
        );
    }
    Ok(())
}
