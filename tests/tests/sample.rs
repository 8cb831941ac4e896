//! The sample WMS itself: what the other tests stand on must hold.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use hyper::{Request, Response};
use mapproxy_tests::answers::header;
use mapproxy_tests::images::{Tolerance, assert_alike, decode};
use mapproxy_tests::sample::{Answer, Fault, SampleWms};
use mapproxy_tests::schemas::{Document, assert_valid_xml};
use mapproxy_tests::server::send;

const MAP: &str = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=map&STYLES=&SRS=EPSG:4326&BBOX=0,40,20,60&WIDTH=200&HEIGHT=200&FORMAT=image/png";

async fn get(address: SocketAddr, path: &str) -> Result<Response<Bytes>> {
    send(address, Request::get(path).body(Bytes::new())?).await
}

fn content_type(response: &Response<Bytes>) -> String {
    header(response, "content-type")
}

#[tokio::test]
async fn capabilities_of_all_versions_are_valid() -> Result<()> {
    let sample = SampleWms::start()?;
    for (version, kind) in [
        ("1.0.0", Document::Wms100),
        ("1.1.0", Document::Wms110),
        ("1.1.1", Document::Wms111),
        ("1.3.0", Document::Wms130),
    ] {
        let path = format!("/service?SERVICE=WMS&VERSION={version}&REQUEST=GetCapabilities");
        let answer = get(sample.address(), &path).await?;
        assert_valid_xml(kind, answer.body());
    }
    Ok(())
}

#[tokio::test]
async fn axis_order_follows_the_version() -> Result<()> {
    let sample = SampleWms::start()?;
    let old = get(sample.address(), MAP).await?;
    let new = MAP
        .replace("1.1.1", "1.3.0")
        .replace("SRS=", "CRS=")
        .replace("0,40,20,60", "40,0,60,20");
    let new = get(sample.address(), &new).await?;
    assert_eq!(old.body(), new.body());
    Ok(())
}

#[tokio::test]
async fn the_same_request_gets_the_same_bytes() -> Result<()> {
    let (one, two) = (SampleWms::start()?, SampleWms::start()?);
    for path in [
        MAP.to_owned(),
        MAP.replace("LAYERS=map", "LAYERS=photo")
            .replace("image/png", "image/jpeg"),
    ] {
        let first = get(one.address(), &path).await?;
        assert_eq!(first.body(), get(two.address(), &path).await?.body());
    }
    Ok(())
}

#[tokio::test]
async fn tiles_and_get_map_show_the_same_map() -> Result<()> {
    let sample = SampleWms::start()?;
    let map = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=map&STYLES=&SRS=EPSG:3857&WIDTH=256&HEIGHT=256&FORMAT=image/png&BBOX=0,0,20037508.342789244,20037508.342789244";
    let map = get(sample.address(), map).await?;
    let tile = get(sample.address(), "/tiles/1/1/0.png").await?;
    assert_alike(
        "tile and GetMap",
        &decode(map.body())?,
        &decode(tile.body())?,
        Tolerance::EXACT,
    );
    Ok(())
}

#[tokio::test]
async fn feature_info_knows_the_country_in_all_formats() -> Result<()> {
    let sample = SampleWms::start()?;
    for format in ["text/plain", "text/html", "application/vnd.ogc.gml", "application/json"] {
        let path = MAP.replace("GetMap", "GetFeatureInfo") + "&QUERY_LAYERS=map&X=85&Y=80&INFO_FORMAT=" + format;
        let answer = get(sample.address(), &path).await?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(text.contains("Germany"), "{format}: {text}");
        assert!(content_type(&answer).starts_with(format));
    }
    Ok(())
}

#[tokio::test]
async fn mistakes_get_exceptions() -> Result<()> {
    let sample = SampleWms::start()?;
    for (from, to, code) in [
        ("LAYERS=map", "LAYERS=nothing", "LayerNotDefined"),
        ("EPSG:4326", "EPSG:31467", "InvalidSRS"),
        ("image/png", "image/webp", "InvalidFormat"),
    ] {
        let answer = get(sample.address(), &MAP.replace(from, to)).await?;
        assert_eq!(content_type(&answer), "application/vnd.ogc.se_xml");
        assert_valid_xml(Document::Wms111Exception, answer.body());
        assert!(String::from_utf8_lossy(answer.body()).contains(code));
    }
    Ok(())
}

#[tokio::test]
async fn it_misbehaves_when_told() -> Result<()> {
    let sample = SampleWms::start()?;
    let once = Fault {
        times: Some(1),
        ..Fault::matching("GetMap")
    };

    sample.fault(Fault {
        status: Some(503),
        ..once.clone()
    });
    assert_eq!(get(sample.address(), MAP).await?.status(), 503);
    assert_eq!(get(sample.address(), MAP).await?.status(), 200);

    sample.fault(Fault {
        answer: Some(Answer::Html),
        ..once.clone()
    });
    assert!(content_type(&get(sample.address(), MAP).await?).starts_with("text/html"));

    sample.fault(Fault {
        cut_after: Some(100),
        ..once.clone()
    });
    assert!(
        get(sample.address(), MAP).await.is_err(),
        "half an answer must not look whole"
    );

    sample.fault(Fault {
        latency_ms: 200,
        ..once.clone()
    });
    let start = Instant::now();
    get(sample.address(), MAP).await?;
    assert!(start.elapsed() >= Duration::from_millis(200));

    let control = "/ctl?matching=GetMap&times=1&content_type=text/plain";
    assert_eq!(get(sample.address(), control).await?.status(), 200);
    assert_eq!(content_type(&get(sample.address(), MAP).await?), "text/plain");
    assert_eq!(sample.requests_of("GetMap").len(), 6);
    sample.reset();
    assert!(sample.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn held_requests_wait_for_their_release() -> Result<()> {
    let sample = SampleWms::start()?;
    sample.fault(Fault {
        hold: true,
        ..Fault::matching("GetMap")
    });
    let address = sample.address();
    let answer = tokio::spawn(async move { get(address, MAP).await.map(|answer| answer.status()) });
    sample.requested(1, Duration::from_mins(1)).await?;
    assert!(!answer.is_finished());
    sample.release();
    assert_eq!(answer.await??, 200);
    Ok(())
}
