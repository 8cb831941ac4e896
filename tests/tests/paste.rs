//! Paste Deploy files: served as `paster serve` served them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use mapproxy_tests::fastcgi;
use mapproxy_tests::server::{Builder, Server, binary, hostile_component};

/// A folder as `paster create` laid it out: `etc` with the files, `var` beside it.
struct Layout {
    folder: tempfile::TempDir,
}

impl Layout {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in ["etc", "var"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let layout = Self { folder };
        layout.put("mapproxy.yaml", "")?;
        Ok(layout)
    }

    fn put(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.folder.path().join("etc").join(name);
        fs::write(&path, content)?;
        Ok(path)
    }

    /// A server that listens where the file says.
    fn serve(&self, name: &str) -> Result<Builder> {
        Ok(Server::builder()?
            .without_http()
            .component(hostile_component()?)
            .arg(self.folder.path().join("etc").join(name)))
    }
}

const APP: &str = "[app:main]\nuse = egg:MapProxy#app\nmapproxy_conf = %(here)s/mapproxy.yaml\n";
const HTTP: &str = "[server:main]\nuse = egg:Paste#http\nhost = 127.0.0.1\nport = 0\n";

#[tokio::test]
async fn a_development_file_serves_http() -> Result<()> {
    let layout = Layout::new()?;
    layout.put("develop.ini", &format!("{APP}{HTTP}"))?;
    let server = layout.serve("develop.ini")?.start().await?;
    server.check("/hello", 200, "hello").await
}

#[tokio::test]
async fn a_production_file_serves_fastcgi_on_a_socket_file() -> Result<()> {
    let layout = Layout::new()?;
    let text = "[server:main]\nuse = egg:Flup#fcgi_fork\nsocket = %(here)s/../var/fcgi-socket\numask = 007\n";
    layout.put("config.ini", &format!("{APP}{text}"))?;
    let mut server = layout.serve("config.ini")?.start().await?;
    let socket = layout.folder.path().join("etc/../var/fcgi-socket");
    let answer = fastcgi::get(&socket, "/hello").await?;
    assert_eq!(answer.body(), "hello");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&socket)?) & 0o777;
    assert_eq!(mode, 0o770);
    server.terminate()?;
    assert!(server.wait().await?.success());
    assert!(!socket.exists());
    Ok(())
}

#[tokio::test]
async fn applications_are_mapped_to_paths() -> Result<()> {
    let layout = Layout::new()?;
    fs::create_dir(layout.folder.path().join("etc/projects"))?;
    layout.put("projects/rivers.yaml", "")?;
    layout.put(
        "maps.ini",
        &format!(
            "[composite:main]\nuse = egg:Paste#urlmap\n/roads = roads\n/more = several\n\
             [app:roads]\nuse = egg:MapProxy#app\nmapproxy_conf = %(here)s/mapproxy.yaml\n\
             [app:several]\nuse = egg:MapProxy#multiapp\nconfig_dir = %(here)s/projects\nallow_listing = true\n{HTTP}"
        ),
    )?;
    for workers in ["1", "2"] {
        let server = layout.serve("maps.ini")?.arg("--workers").arg(workers).start().await?;
        server.check("/roads/hello", 200, "hello").await?;
        server.check("/roads/echo", 200, "x-script-name: /roads\n").await?;
        server
            .check("/more/rivers/echo", 200, "x-script-name: /more/rivers\n")
            .await?;
        server.check("/more/", 200, "href=\"/more/rivers/\"").await?;
        server.check("/more", 200, "href=\"/more/rivers/\"").await?;
        for path in ["/", "/roadsx/hello", "/hello", "/more/roads/hello"] {
            server.check(path, 404, "").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn names_choose_application_and_server() -> Result<()> {
    let layout = Layout::new()?;
    layout.put("broken.yaml", "error not this one\n")?;
    layout.put(
        "two.ini",
        &format!(
            "{}{APP}{HTTP}[server:other]\nuse = egg:Nothing#serves\n",
            APP.replace("main", "second").replace("mapproxy.yaml", "broken.yaml")
        ),
    )?;
    layout.serve("two.ini")?.start().await?;
    let refused = |arguments: &'static str| layout.serve("two.ini").map(|server| server.args(arguments));
    let error = refused("-n second")?.start().await.expect_err("a broken configuration");
    assert!(format!("{error:#}").contains("not this one"), "{error:#}");
    let error = refused("--server-name other")?
        .start()
        .await
        .expect_err("an unknown server");
    assert!(
        format!("{error:#}").contains("unknown server `egg:Nothing#serves`"),
        "{error:#}"
    );
    let error = refused("-n third")?.start().await.expect_err("an unknown application");
    assert!(
        format!("{error:#}").contains("there is no application `third`"),
        "{error:#}"
    );
    Ok(())
}

#[tokio::test]
async fn levels_and_limits_of_the_file_apply_and_the_command_line_goes_over_them() -> Result<()> {
    let layout = Layout::new()?;
    layout.put("mapproxy.yaml", "warning of the configuration\n")?;
    let quiet = "[loggers]\nkeys = root\n[logger_root]\nlevel = DEBUG\n";
    layout.put("quiet.ini", &format!("{APP}{HTTP}workers = 3\n{quiet}"))?;
    let server = layout.serve("quiet.ini")?.start().await?;
    server.check("/hello", 200, "hello").await?;
    server.wait_for_log("answered").await?;
    assert_eq!(server.workers()?.len(), 3);

    let server = layout
        .serve("quiet.ini")?
        .args("--workers 2 --log warn --listen 127.0.0.1:0")
        .start()
        .await?;
    server.check("/hello", 200, "hello").await?;
    assert_eq!(server.workers()?.len(), 2);
    assert!(!server.log().contains("answered"));
    Ok(())
}

#[test]
fn check_reads_all_that_a_file_names() -> Result<()> {
    let layout = Layout::new()?;
    layout.put("mapproxy.yaml", "error in the configuration\n")?;
    let file = layout.put("develop.ini", &format!("{APP}mapproxy_confg = 1\n{HTTP}"))?;
    let output = Command::new(binary()?)
        .env("MAPPROXY_COMPONENT", hostile_component()?)
        .arg("check")
        .arg(&file)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    for expected in [
        "in the configuration",
        "develop.ini:4:1",
        "4 | mapproxy_confg = 1",
        "did you mean `mapproxy_conf`?",
        "1 error, 1 warning",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    Ok(())
}
