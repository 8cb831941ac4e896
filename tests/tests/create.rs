//! `mapproxy create`: what it writes works as it is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::Result;
use mapproxy_tests::images::decode;
use mapproxy_tests::sample::SampleWms;
use mapproxy_tests::server::{Server, binary, component};

fn mapproxy(arguments: &[&str], directory: &Path) -> Result<Output> {
    Ok(Command::new(binary()?)
        .env("MAPPROXY_COMPONENT", component()?)
        .args(arguments)
        .arg(directory)
        .output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const MAP: &str = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=world&STYLES=&SRS=EPSG:4326\
    &BBOX=-180,-90,180,90&WIDTH=400&HEIGHT=200&FORMAT=image/png";

#[tokio::test]
async fn a_new_directory_serves_a_map() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let directory = folder.path().join("mymapproxy");
    let created = mapproxy(&["create"], &directory)?;
    assert!(created.status.success(), "{}", text(&created.stderr));
    assert!(text(&created.stdout).contains("serve"), "{}", text(&created.stdout));

    // All that is put in: where the sample WMS listens, and free ports.
    let sample = SampleWms::start()?;
    let adapt = |name: &str, from: &str, to: &str| -> Result<()> {
        let file = directory.join("etc").join(name);
        let content = fs::read_to_string(&file)?;
        assert!(content.contains(from), "{from}");
        Ok(fs::write(&file, content.replace(from, to))?)
    };
    adapt("mapproxy.yaml", "http://127.0.0.1:8090", sample.url())?;
    adapt("develop.ini", "port = 8080", "port = 0")?;
    adapt("develop.ini", "host = 0.0.0.0", "host = 127.0.0.1")?;

    for name in ["develop.ini", "config.ini", "mapproxy.yaml"] {
        let checked = mapproxy(&["check"], &directory.join("etc").join(name))?;
        assert!(checked.status.success(), "{name}: {}", text(&checked.stdout));
        assert!(
            text(&checked.stdout).contains("0 errors, 0 warnings"),
            "{name}: {}",
            text(&checked.stdout)
        );
    }

    let server = || Server::builder().map(|builder| builder.without_http().component(component().unwrap_or_default()));
    let develop = server()?.arg(directory.join("etc/develop.ini")).start().await?;
    let map = develop.get(MAP).await?;
    assert_eq!(map.status(), 200);
    assert_eq!(decode(map.body())?.dimensions(), (400, 200));
    assert!(
        directory.join("var/cache_data").is_dir(),
        "tiles are kept beside the configuration, not within"
    );
    drop(develop);

    let _config = server()?.arg(directory.join("etc/config.ini")).start().await?;
    let socket = directory.join("var/fcgi-socket");
    let map = mapproxy_tests::fastcgi::get(&socket, MAP).await?;
    assert_eq!(decode(map.body())?.dimensions(), (400, 200));
    Ok(())
}

#[test]
fn files_are_replaced_only_by_force() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("etc/mapproxy.yaml");
    fs::create_dir(folder.path().join("etc"))?;
    fs::write(&file, "mine")?;
    let refused = mapproxy(&["create"], folder.path())?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("etc/mapproxy.yaml"),
        "{}",
        text(&refused.stderr)
    );
    assert!(text(&refused.stderr).contains("--force"), "{}", text(&refused.stderr));
    assert_eq!(fs::read_to_string(&file)?, "mine");
    assert!(
        !folder.path().join("etc/develop.ini").exists(),
        "nothing is written by halves"
    );

    assert!(mapproxy(&["create", "--force"], folder.path())?.status.success());
    assert!(fs::read_to_string(&file)?.contains("services:"));
    let mode = fs::metadata(folder.path().join("etc/apache/mapproxy.fcgi"))?
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111);
    Ok(())
}

/// As far as systemd's own tool can tell without running them.
#[test]
fn units_are_valid() -> Result<()> {
    let folder = tempfile::tempdir()?;
    assert!(mapproxy(&["create"], folder.path())?.status.success());
    let units = folder.path().join("etc/systemd");
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .args([units.join("mapproxy.service"), units.join("mapproxy.socket")])
        .output();
    let verified = match verified {
        Ok(output) => output,
        // A machine without systemd has no use for units.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let said = text(&verified.stderr);
    // The user comes with the package.
    let about_us: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("mapproxy.") && !line.contains("Failed to resolve") && !line.contains("man "))
        .collect();
    assert!(about_us.is_empty(), "{said}");
    Ok(())
}
