//! Behind nginx, lighttpd and Apache, with the configurations of `etc/`: each of the real programs, mounted where it is
//! documented, at the root and deep down, asked what clients ask.

mod webservers {
    pub(crate) mod backend;
    pub(crate) mod checks;
}

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use mapproxy_tests::server::{binary, component, hostile_component};
use mapproxy_tests::webserver::{Program, Snippet, WebServer, etc, open_folder};

use webservers::backend::{Backend, Backends, Endpoint};
use webservers::checks::Clients;

/// What the configurations of `etc/` have in place of the socket of a server.
const SOCKET: &str = "/path/to/mymapproxy/var/fcgi-socket";
const HTTP: &str = "127.0.0.1:8080";

/// Asks servers behind `program`, configured by `file`, with `/proxy` in it replaced by `prefix` (empty at the root).
/// `arguments` are those of `mapproxy serve`.
async fn behind(program: Program, file: &str, prefix: &str, arguments: &str) -> Result<()> {
    let endpoint = if file.ends_with("/http.conf") {
        Endpoint::free_http
    } else {
        Endpoint::socket_in
    };
    let mut backends = Backends::start(endpoint, arguments).await?;
    let path = if prefix.is_empty() { "/" } else { prefix };
    let start = |backend: &Backend, folder: &str| -> Result<(Clients, WebServer)> {
        let (what, with) = match &backend.endpoint {
            Endpoint::Socket(socket) => (SOCKET, socket.display().to_string()),
            Endpoint::Http(address) => (HTTP, address.to_string()),
        };
        // The one file without a mount point in it is for the root.
        let location = format!("location {path} {{");
        let replacements = [("/proxy", path), ("location / {", &location), (what, with.as_str())];
        let snippet = Snippet::read(file, &replacements)?;
        let server = WebServer::start(program, &snippet, &backends.folder().join(folder))?;
        Ok((Clients::new(snippet.address, prefix), server))
    };
    let (mut maps, _maps_server) = start(&backends.maps, "web-maps")?;
    if file.ends_with("/fastcgi-by-hand.conf") && port_is_left_out()? {
        maps = maps.without_port();
    }
    let (hostile, hostile_server) = start(&backends.hostile, "web-hostile")?;
    maps.ask_for_maps().await?;
    hostile.misbehave().await.with_context(|| hostile_server.log())?;

    // The backend goes and comes again, while the web server runs.
    backends.hostile.stop().await?;
    let status = hostile.get("/hello").await?.status().as_u16();
    assert!((500..=504).contains(&status), "{status}");
    backends.hostile.start_again().await?;
    hostile.wait_until_served().await?;
    hostile.get_at_once("/hello", 64).await
}

/// Whether nginx as it is installed tells us the host without its port; the old document knows nothing of that.
fn port_is_left_out() -> Result<bool> {
    let params = std::fs::read_to_string("/etc/nginx/fastcgi_params")?;
    Ok(params
        .lines()
        .any(|line| line.split_whitespace().eq(["fastcgi_param", "HTTP_HOST", "$host;"])))
}

/// The same with a web server that starts the servers itself.
async fn started_by(program: Program, file: &str, prefix: &str) -> Result<()> {
    let backends = Backends::stopped()?;
    let path = if prefix.is_empty() { "/" } else { prefix };
    let start = |config: &Path, component: &Path, name: &str| -> Result<(Clients, WebServer, PathBuf)> {
        let folder = backends.folder().join(name);
        open_folder(&folder)?;
        open_folder(&folder.join("etc/apache"))?;
        let program_file = folder.join("mapproxy");
        // With the component inside: the web server gives it no environment, and perhaps no home.
        let status = std::process::Command::new(binary()?)
            .arg("embed")
            .arg("--component")
            .arg(component)
            .arg("--output")
            .arg(&program_file)
            .status()?;
        ensure!(status.success(), "failed to make `{}`", program_file.display());
        let (binary, config) = (program_file.display().to_string(), config.display().to_string());
        let socket = folder.join("fcgi-socket").display().to_string();
        let scripts = folder.join("etc").display().to_string();
        let programs = [
            ("/usr/bin/mapproxy", binary.as_str()),
            ("/path/to/mymapproxy/etc/mapproxy.yaml", config.as_str()),
        ];
        let mut script = std::fs::read_to_string(etc("apache/mapproxy.fcgi"))?;
        for (from, to) in programs {
            script = script.replace(from, to);
        }
        let script_file = folder.join("etc/apache/mapproxy.fcgi");
        std::fs::write(&script_file, script)?;
        std::fs::set_permissions(&script_file, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;

        let places = [("/proxy", path), (SOCKET, socket.as_str())];
        let replacements = [
            &places[..],
            &programs[..],
            &[("/path/to/mymapproxy/etc", scripts.as_str())],
        ]
        .concat();
        let snippet = Snippet::read(file, &replacements)?;
        let server = WebServer::start(program, &snippet, &folder)?;
        Ok((Clients::new(snippet.address, prefix), server, program_file))
    };
    let (maps, maps_server, _) = start(&backends.maps_config(), &component()?, "web-maps")?;
    let (hostile, hostile_server, started) = start(&backends.hostile_config(), &hostile_component()?, "web-hostile")?;
    maps.ask_for_maps().await.with_context(|| maps_server.log())?;
    hostile.misbehave().await.with_context(|| hostile_server.log())?;

    let before = hostile_server.processes_of(&started);
    assert!(!before.is_empty(), "{}", hostile_server.log());
    for pid in &before {
        rustix::process::kill_process(*pid, rustix::process::Signal::KILL)?;
    }
    hostile.wait_until_served().await?;
    assert!(
        hostile_server
            .processes_of(&binary()?)
            .iter()
            .all(|pid| !before.contains(pid))
    );
    drop(hostile_server);
    for pid in before {
        assert!(
            rustix::process::test_kill_process(pid).is_err(),
            "a server outlives its web server"
        );
    }
    Ok(())
}

/// What is documented is what is tested.
#[test]
fn the_guide_shows_these_configurations() -> Result<()> {
    let guide = std::fs::read_to_string(etc("../docs/guides/deployment.md"))?;
    for folder in ["nginx", "lighttpd", "apache"] {
        for entry in std::fs::read_dir(etc(folder))? {
            let path = entry?.path();
            let text = std::fs::read_to_string(&path)?;
            assert!(
                guide.contains(&text),
                "`{}` is not in the guide as it is",
                path.display()
            );
        }
    }
    Ok(())
}

const DEEP: &str = "/maps/of/the/world";

#[tokio::test(flavor = "multi_thread")]
async fn nginx_that_splits_the_path() -> Result<()> {
    behind(Program::Nginx, "nginx/fastcgi.conf", "/proxy", "").await?;
    behind(Program::Nginx, "nginx/fastcgi.conf", DEEP, "--workers 2").await
}

/// A real browser: what the page's script makes of its own address is where it looks for maps.
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_page_shows_maps() -> Result<()> {
    let backends = Backends::start(Endpoint::socket_in, "").await?;
    let Endpoint::Socket(socket) = &backends.maps.endpoint else {
        bail!("served on a socket")
    };
    let socket = socket.display().to_string();
    let snippet = Snippet::read("nginx/fastcgi.conf", &[("/proxy", DEEP), (SOCKET, &socket)])?;
    let _nginx = WebServer::start(Program::Nginx, &snippet, &backends.folder().join("web"))?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/shot.mjs");
    let picture = backends.folder().join("page.png");
    let status = tokio::process::Command::new("node")
        .arg(script)
        .arg(format!(
            "http://{}{DEEP}/demo/#layer=cached&view=2/10/50",
            snippet.address
        ))
        .arg(&picture)
        .args(["800", "600"])
        .kill_on_drop(true)
        .status()
        .await
        .context("failed to start node; `make tools` installs it")?;
    ensure!(status.success(), "the page was not drawn");
    let log = backends.maps.log();
    let drawn = log
        .lines()
        .filter(|line| line.contains("HeadlessChrome") && line.contains(".png") && line.contains("\" 200 "))
        .count();
    assert!(drawn > 0, "no map was asked for:\n{log}");
    for line in log.lines().filter(|line| line.contains("HeadlessChrome")) {
        let fine = line.contains(&format!("\"GET {DEEP}/")) && line.contains("\" 200 ");
        assert!(fine || line.contains("favicon"), "{line}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_the_path_split_by_hand() -> Result<()> {
    behind(Program::Nginx, "nginx/fastcgi-by-hand.conf", "/proxy", "").await?;
    behind(Program::Nginx, "nginx/fastcgi-by-hand.conf", "/tms", "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_that_keeps_connections() -> Result<()> {
    behind(Program::Nginx, "nginx/fastcgi-keepalive.conf", "/proxy", "").await?;
    behind(Program::Nginx, "nginx/fastcgi-keepalive.conf", DEEP, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_that_does_not_split_the_path() -> Result<()> {
    behind(Program::Nginx, "nginx/fastcgi-plain.conf", "", "").await?;
    behind(
        Program::Nginx,
        "nginx/fastcgi-plain.conf",
        "/proxy",
        "--script-name /proxy",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_over_http() -> Result<()> {
    behind(Program::Nginx, "nginx/http.conf", "/proxy", "").await?;
    behind(Program::Nginx, "nginx/http.conf", "", "").await?;
    behind(Program::Nginx, "nginx/http.conf", DEEP, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn lighttpd_with_a_socket() -> Result<()> {
    behind(Program::Lighttpd, "lighttpd/fastcgi.conf", "/proxy", "").await?;
    behind(Program::Lighttpd, "lighttpd/fastcgi.conf", "", "").await?;
    behind(Program::Lighttpd, "lighttpd/fastcgi.conf", DEEP, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn lighttpd_that_starts_the_server() -> Result<()> {
    started_by(Program::Lighttpd, "lighttpd/bin-path.conf", "/proxy").await?;
    started_by(Program::Lighttpd, "lighttpd/bin-path.conf", "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_with_proxy_fcgi() -> Result<()> {
    behind(Program::Apache, "apache/proxy-fcgi.conf", "/proxy", "").await?;
    behind(Program::Apache, "apache/proxy-fcgi.conf", "", "").await?;
    behind(Program::Apache, "apache/proxy-fcgi.conf", DEEP, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_with_nothing_but_proxy_pass() -> Result<()> {
    behind(
        Program::Apache,
        "apache/proxy-fcgi-plain.conf",
        "/proxy",
        "--script-name /proxy",
    )
    .await?;
    behind(Program::Apache, "apache/proxy-fcgi-plain.conf", "", "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_that_starts_the_server() -> Result<()> {
    started_by(Program::Apache, "apache/fcgid.conf", "/proxy").await?;
    started_by(Program::Apache, "apache/fcgid.conf", DEEP).await
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_over_http() -> Result<()> {
    behind(Program::Apache, "apache/http.conf", "/proxy", "").await?;
    behind(Program::Apache, "apache/http.conf", DEEP, "").await
}
