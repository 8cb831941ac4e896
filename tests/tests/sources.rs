//! Sources that are down, slow, or answer nonsense: the client gets a clear answer, and nothing wrong is kept.

use std::net::TcpListener;

use anyhow::Result;
use bytes::Bytes;
use hyper::Request;
use image::Rgba;
use mapproxy_tests::answers::{header, media_type, text};
use mapproxy_tests::images::decode;
use mapproxy_tests::sample::{Answer, Fault};
use mapproxy_tests::server::send;
use mapproxy_tests::site::Site;

const CONFIGURATION: &str = "
services:
  wms: {srs: ['EPSG:3857', 'EPSG:4326'], image_formats: ['image/png']}
  tms: {use_grid_names: true}
layers:
  - {name: cached, title: Cached, sources: [map_cache]}
  - {name: direct, title: Direct, sources: [map]}
  - {name: forgiving, title: Forgiving, sources: [forgiving_cache]}
  - {name: two, title: Two, sources: [land, lines]}
  - {name: nobody, title: Nobody, sources: [nobody]}
caches:
  map_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [map]}
  forgiving_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [forgiving]}
sources:
  map: {type: wms, http: {client_timeout: 2}, req: {url: SAMPLE/service, layers: map}}
  land: {type: wms, req: {url: SAMPLE/service, layers: land}}
  lines: {type: wms, req: {url: SAMPLE/service, layers: borders, transparent: true}}
  nobody: {type: wms, req: {url: 'http://127.0.0.1:NOBODY/service', layers: map}}
  forgiving:
    type: wms
    req: {url: SAMPLE/service, layers: map}
    on_error:
      404: {response: '#ff0000', cache: false}
      500: {response: [0, 0, 255], cache: true}
";

const MAP: &str = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&STYLES=&SRS=EPSG:3857&BBOX=0,5009377.085697311,2504688.542848655,7514065.628545966&WIDTH=256&HEIGHT=256&FORMAT=image/png";
const TILE: &str = "/tiles/cached/GLOBAL_WEBMERCATOR/3/4/5.png";

/// `NOBODY` becomes a port that nobody listens on.
fn site() -> Result<Site> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    Site::new(&CONFIGURATION.replace("NOBODY", &port.to_string()))
}

#[tokio::test]
async fn nonsense_from_a_source_is_an_exception_and_is_not_kept() -> Result<()> {
    let site = site()?;
    let server = site.start().await?;
    let broken = [
        Fault {
            status: Some(500),
            ..Fault::default()
        },
        Fault {
            status: Some(404),
            ..Fault::default()
        },
        Fault {
            answer: Some(Answer::Html),
            ..Fault::default()
        },
        Fault {
            answer: Some(Answer::Exception),
            ..Fault::default()
        },
        Fault {
            answer: Some(Answer::Empty),
            ..Fault::default()
        },
        Fault {
            answer: Some(Answer::Garbage),
            ..Fault::default()
        },
        Fault {
            answer: Some(Answer::HugeImage),
            ..Fault::default()
        },
        Fault {
            cut_after: Some(500),
            ..Fault::default()
        },
        Fault {
            content_type: Some("text/plain".to_owned()),
            ..Fault::default()
        },
    ];
    for fault in broken {
        site.sample.reset();
        site.sample.fault(fault.clone());
        for layer in ["direct", "cached"] {
            let answer = server.get(&format!("{MAP}&LAYERS={layer}")).await?;
            let mime = media_type(&answer);
            assert_eq!(
                mime,
                "application/vnd.ogc.se_xml",
                "{layer} with {fault:?}: {}",
                text(&answer)
            );
        }
        let answer = server.get(TILE).await?;
        assert_eq!(answer.status(), 500, "{fault:?}: {}", text(&answer));
        assert!(header(&answer, "cache-control").contains("no-store"), "{fault:?}");
        let kept = site.cached_files();
        assert!(
            !kept.iter().any(|path| path.extension().is_some_and(|e| e == "png")),
            "{fault:?}: {kept:?}"
        );
    }
    site.sample.reset();
    let answer = server.get(TILE).await?;
    assert_eq!(
        media_type(&answer),
        "image/png",
        "the source is well again: {}",
        text(&answer)
    );
    Ok(())
}

#[tokio::test]
async fn a_source_that_is_down_is_an_exception() -> Result<()> {
    let site = site()?;
    let server = site.start().await?;
    let answer = server.get(&format!("{MAP}&LAYERS=nobody")).await?;
    assert_eq!(media_type(&answer), "application/vnd.ogc.se_xml", "{}", text(&answer));
    Ok(())
}

#[tokio::test]
async fn a_slow_source_is_given_up() -> Result<()> {
    let site = site()?;
    let server = site.start().await?;
    site.sample.fault(Fault {
        hold: true,
        ..Fault::default()
    });
    let answer = server.get(&format!("{MAP}&LAYERS=direct")).await?;
    assert_eq!(media_type(&answer), "application/vnd.ogc.se_xml", "{}", text(&answer));
    Ok(())
}

#[tokio::test]
async fn on_error_replaces_the_answer() -> Result<()> {
    let site = site()?;
    let server = site.start().await?;
    let path = "/tiles/forgiving/GLOBAL_WEBMERCATOR/3/4/5.png";
    site.sample.fault(Fault {
        status: Some(404),
        times: Some(1),
        ..Fault::default()
    });
    let red = server.get(path).await?;
    assert_eq!(decode(red.body())?.get_pixel(9, 9), &Rgba([255, 0, 0, 255]));
    site.sample.fault(Fault {
        status: Some(500),
        times: Some(1),
        ..Fault::default()
    });
    for _ in 0..2 {
        let blue = server.get(path).await?;
        assert_eq!(decode(blue.body())?.get_pixel(9, 9), &Rgba([0, 0, 255, 255]));
    }
    assert_eq!(
        site.sample.requests_of("GetMap").len(),
        2,
        "the first was not to be kept, the second was"
    );
    Ok(())
}

#[tokio::test]
async fn the_limit_of_a_source_holds_across_processes() -> Result<()> {
    let limited = CONFIGURATION.replace(
        "  map: {type: wms, http: {client_timeout: 2},",
        "  map: {type: wms, concurrent_requests: 2,",
    );
    let site = Site::new(&limited.replace("NOBODY", "9"))?;
    let servers = [site.start().await?, site.start().await?, site.start().await?];
    site.sample.fault(Fault {
        latency_ms: 30,
        ..Fault::default()
    });
    let mut answers = Vec::new();
    for step in 0..4 {
        let bbox = format!("BBOX={},5009377,2504688,7514065&", step * 1000);
        let path = format!("{MAP}&LAYERS=direct")
            .replace("BBOX=0,5009377.085697311,2504688.542848655,7514065.628545966&", &bbox);
        for server in &servers {
            let (address, request) = (server.address(), Request::get(&path).body(Bytes::new())?);
            answers.push(tokio::spawn(async move { send(address, request).await }));
        }
    }
    for answer in answers {
        let answer = answer.await??;
        assert_eq!(media_type(&answer), "image/png", "{}", text(&answer));
    }
    assert_eq!(site.sample.requests().len(), 12);
    assert_eq!(site.sample.busiest(), 2);
    Ok(())
}

#[tokio::test]
async fn one_of_two_sources_is_shown_with_a_message() -> Result<()> {
    let site = site()?;
    let server = site.start().await?;
    site.sample.fault(Fault {
        status: Some(500),
        ..Fault::matching("borders")
    });
    let answer = server.get(&format!("{MAP}&LAYERS=two")).await?;
    assert_eq!(media_type(&answer), "image/png", "{}", text(&answer));
    assert!(header(&answer, "cache-control").contains("no-store"));
    Ok(())
}

#[tokio::test]
async fn the_source_is_asked_as_its_configuration_says() -> Result<()> {
    let site = site()?;
    let server = site.start().await?;
    server.get(&format!("{MAP}&LAYERS=direct")).await?;
    let requests = site.sample.requests();
    assert_eq!(requests.len(), 1);
    let asked = &requests[0];
    for (name, value) in [
        ("service", "WMS"),
        ("version", "1.1.1"),
        ("request", "GetMap"),
        ("layers", "map"),
        ("srs", "EPSG:3857"),
        ("width", "256"),
        ("height", "256"),
        ("format", "image/png"),
        ("styles", ""),
    ] {
        assert_eq!(asked.param(name), value, "{name}");
    }
    assert_eq!(asked.bbox().len(), 4);
    Ok(())
}
