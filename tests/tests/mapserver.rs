//! Sources of type `mapserver`: the host runs the program that `--mapserver-binary` names, with the map file of the
//! configuration and nothing that a client could choose.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use image::{ImageFormat, Rgba, RgbaImage};
use mapproxy_tests::answers::{media_type, text};
use mapproxy_tests::images::decode;
use mapproxy_tests::site::Site;

const CONFIGURATION: &str = "
services:
  wms: {srs: ['EPSG:3857'], image_formats: ['image/png']}
layers:
  - {name: maps, title: Maps, sources: [ms]}
sources:
  ms: {type: mapserver, forward_req_params: [map, time], req: {map: maps/a+b c.map, layers: base}}
";

const MAP: &str = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=maps&STYLES=&SRS=EPSG:3857&BBOX=0,0,1000000,1000000&WIDTH=20&HEIGHT=20&FORMAT=image/png";

/// A folder with a map file, and a CGI program that runs `script`.
fn site(script: &str) -> Result<(Site, PathBuf)> {
    let site = Site::new(CONFIGURATION)?;
    let folder = site.folder().join("maps");
    fs::create_dir(&folder)?;
    fs::write(folder.join("a+b c.map"), "MAP END")?;
    RgbaImage::from_pixel(20, 20, Rgba([200, 30, 40, 255]))
        .save_with_format(folder.join("red.png"), ImageFormat::Png)?;
    let program = site.folder().join("mapserv");
    fs::write(&program, format!("#!/bin/sh\n{script}\n"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok((site, program))
}

#[tokio::test]
async fn the_program_draws_the_map_file_of_the_configuration() -> Result<()> {
    // it runs beside its map file
    let (site, program) = site("env > env; printf 'Content-Type: image/png\\n\\n'; cat red.png")?;
    let server = site.server()?.arg("--mapserver-binary").arg(&program);
    // a client's header must not be taken for the setting of a proxy, nor what the server itself has
    let server = server
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("SECRET", "x")
        .start()
        .await?;
    let answer = server.get(&format!("{MAP}&MAP=/etc/passwd&TIME=2020")).await?;
    assert_eq!(media_type(&answer), "image/png", "{}\n{}", text(&answer), server.log());
    assert_eq!(decode(answer.body())?.get_pixel(5, 5), &Rgba([200, 30, 40, 255]));
    let environment = fs::read_to_string(site.folder().join("maps/env"))?;
    let query = environment
        .lines()
        .find_map(|line| line.strip_prefix("QUERY_STRING="))
        .unwrap_or_default();
    assert!(
        query.starts_with("map=/")
            && query
                .split('&')
                .next()
                .is_some_and(|map| map.ends_with("/maps/a%2Bb%20c.map")),
        "{query}"
    );
    assert!(query.contains("layers=base") && query.contains("TIME=2020"), "{query}");
    assert!(!query.contains("passwd"), "{query}");
    for hidden in ["HTTP_", "SECRET", "MAPPROXY"] {
        assert!(
            !environment.lines().any(|line| line.starts_with(hidden)),
            "{environment}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_program_that_fails_is_an_upstream_that_fails() -> Result<()> {
    for script in [
        "echo 'msLoadMap(): no' >&2; exit 1",
        "echo 'no head'",
        "printf 'Status: 500 No\\nContent-Type: text/html\\n\\nno'",
        "printf 'Content-Type: image/png\\n\\n'; head -c 3000000 /dev/zero",
        "exec sleep 60",
    ] {
        let (site, program) = site(script)?;
        let server = site.server()?.arg("--mapserver-binary").arg(&program);
        let server = server
            .args("--upstream-timeout 2s --max-upstream-body 1MiB")
            .start()
            .await?;
        let answer = server.get(MAP).await?;
        assert_eq!(
            media_type(&answer),
            "application/vnd.ogc.se_xml",
            "{script}: {}",
            text(&answer)
        );
        assert!(!text(&answer).contains("msLoadMap"), "{script}: {}", text(&answer));
    }
    Ok(())
}

#[tokio::test]
async fn what_the_program_started_ends_with_it() -> Result<()> {
    let (site, program) = site("sleep 600 & echo $! > started; wait")?;
    let server = site.server()?.arg("--mapserver-binary").arg(&program);
    let server = server.args("--upstream-timeout 1s").start().await?;
    let answer = server.get(MAP).await?;
    assert_eq!(media_type(&answer), "application/vnd.ogc.se_xml", "{}", text(&answer));
    let started = fs::read_to_string(site.folder().join("maps/started"))?;
    // of a process that has ended, or is only waited for, no command line is left
    let command_line = format!("/proc/{}/cmdline", started.trim());
    let end = Instant::now() + Duration::from_mins(1);
    while fs::read(&command_line).is_ok_and(|line| !line.is_empty()) {
        assert!(Instant::now() < end, "it still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test]
async fn without_the_program_nothing_runs() -> Result<()> {
    let (site, _program) = site("touch ran; exit 1")?;
    let server = site.start().await?;
    let answer = server.get(MAP).await?;
    assert_eq!(media_type(&answer), "application/vnd.ogc.se_xml", "{}", text(&answer));
    assert!(server.log().contains("--mapserver-binary"), "{}", server.log());
    Ok(())
}
