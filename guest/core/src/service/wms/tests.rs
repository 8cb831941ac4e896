//! The GetMap pipeline and its companions over fake sources.

use std::rc::Rc;

use super::error::WmsError;
use super::exceptions;
use super::featureinfo::ask;
use super::fixture::{Fake, Log, layer, service};
use super::formats::find_format;
use super::layers::named;
use super::map::{Checked, draw};
use crate::assemble::WmsLayer;
use crate::config::model::{Layer, OnSourceErrors, ResRange, WmsService, WmsVersion};
use crate::image::{MapImage, Pixels};
use crate::layer::{FeatureInfo, InfoKind, LayerError};
use crate::platform::Platform;
use crate::platform::memory::MemoryPlatform;
use crate::request::QueryParams;
use crate::request::wms::{ExceptionStyle, GetFeatureInfo, GetMap, Strictness, WmsRequest, parse};
use crate::srs::BBox;

const RED: [u8; 4] = [255, 0, 0, 255];
const BLUE: [u8; 4] = [0, 0, 255, 255];
const QUERY: &str =
    "version=1.1.1&request=GetMap&styles=&srs=EPSG:4326&bbox=0,0,40,20&width=40&height=20&format=image/png";

struct Scene {
    service: WmsService,
    layers: Vec<Rc<WmsLayer>>,
    log: Log,
}

impl Scene {
    fn new(layers: impl FnOnce(&Log) -> Vec<Rc<WmsLayer>>) -> Self {
        let log = Log::default();
        Self {
            service: service(),
            layers: layers(&log),
            log,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the signature of a lookup")]
    fn find(&self, name: &str) -> Result<Option<Rc<WmsLayer>>, LayerError> {
        Ok(self
            .layers
            .iter()
            .find(|layer| layer.conf.name.as_deref() == Some(name))
            .cloned())
    }

    fn map(&self, more: &str) -> Result<MapImage, WmsError> {
        let platform: Rc<dyn Platform> = MemoryPlatform::new();
        let find = |name: &str| self.find(name);
        let checked = Checked::new(&self.service, &find, get_map(&format!("{QUERY}&{more}")))?;
        draw(&platform, &self.service, &find, &checked)
    }

    /// Names of the sources that were asked, in order.
    fn asked(&self) -> Vec<String> {
        self.log.take().into_iter().map(|(name, _)| name).collect()
    }
}

fn get_map(query: &str) -> GetMap {
    match parse(&QueryParams::parse(query), WmsVersion::V111, Strictness::Lenient) {
        Ok(WmsRequest::Map(map)) => map,
        other => panic!("{query}: {other:?}"),
    }
}

fn pixel(map: MapImage, x: usize, y: usize) -> Vec<u8> {
    let raster = map.into_raster().unwrap();
    let width = raster.width() as usize;
    let index = y * width + x;
    match raster.pixels() {
        Pixels::Indexed { indices, palette } => palette[usize::from(indices[index])].to_vec(),
        Pixels::Gray(values) => vec![values[index]],
        Pixels::Rgb(values) => values[index * 3..index * 3 + 3].to_vec(),
        Pixels::Rgba(values) => values[index * 4..index * 4 + 4].to_vec(),
    }
}

#[test]
fn layers_lie_over_each_other_in_the_order_of_the_request() {
    let scene = Scene::new(|log| {
        vec![
            Fake::new("a", RED, log).layer(),
            Fake {
                opaque: false,
                ..Fake::new("b", BLUE, log)
            }
            .layer(),
        ]
    });
    assert_eq!(pixel(scene.map("layers=a,b").unwrap(), 3, 3)[..3], BLUE[..3]);
    assert_eq!(scene.asked(), ["a", "b"]);
    assert_eq!(pixel(scene.map("layers=b,a").unwrap(), 3, 3)[..3], RED[..3]);
    assert_eq!(scene.asked(), ["b", "a"]);
    // each once
    scene.map("layers=a,b,a").unwrap();
    assert_eq!(scene.asked(), ["a", "b"]);
}

#[test]
fn what_an_opaque_layer_covers_is_not_asked_for() {
    let scene = Scene::new(|log| {
        let opaque = Fake {
            opaque: true,
            ..Fake::new("b", BLUE, log)
        };
        vec![
            Fake::new("a", RED, log).layer(),
            opaque.layer(),
            Fake::new("c", RED, log).layer(),
        ]
    });
    scene.map("layers=a,b,c").unwrap();
    assert_eq!(scene.asked(), ["b", "c"]);
}

#[test]
fn groups_stand_for_their_children_unless_they_have_sources() {
    let scene = Scene::new(|log| {
        let group = |name: &str, sources| {
            let conf = Layer {
                children: vec!["a".to_owned(), "b".to_owned()],
                ..layer(Some(name), name)
            };
            Rc::new(WmsLayer {
                conf: Layer { sources, ..conf },
                sources: Vec::new(),
            })
        };
        let own = vec![crate::config::model::LayerSource::Source("x".to_owned())];
        vec![
            Fake::new("a", RED, log).layer(),
            Fake::new("b", BLUE, log).layer(),
            group("group", Vec::new()),
            group("own", own),
        ]
    });
    scene.map("layers=group,a").unwrap();
    assert_eq!(scene.asked(), ["a", "b"]);
    let map = scene.map("layers=own").unwrap();
    assert_eq!(scene.asked(), Vec::<String>::new());
    assert_eq!(pixel(map, 0, 0)[..3], [255; 3]);
}

#[test]
fn layers_are_drawn_within_their_resolutions() {
    let check = |range: ResRange, expect: bool| {
        let scene = Scene::new(|log| {
            let fake = Fake::new("a", RED, log);
            let conf = Layer {
                res_range: Some(range),
                ..layer(Some("a"), "a")
            };
            vec![Rc::new(WmsLayer {
                conf,
                sources: vec![Rc::new(fake)],
            })]
        });
        scene.map("layers=a").unwrap();
        assert_eq!(!scene.asked().is_empty(), expect, "{range:?}");
    };
    // one degree per pixel
    let res = 111_319.490_793_273_6;
    check(
        ResRange {
            min_res: Some(res * 1.01),
            max_res: Some(res * 0.99),
        },
        true,
    );
    check(
        ResRange {
            min_res: Some(res),
            max_res: None,
        },
        true,
    );
    check(
        ResRange {
            min_res: Some(res - 1e-3),
            max_res: None,
        },
        false,
    );
    check(
        ResRange {
            min_res: None,
            max_res: Some(res * 1.01),
        },
        false,
    );
}

#[test]
fn neighbours_on_one_server_are_asked_together() {
    let scene = Scene::new(|log| {
        let fake = |name: &str, server| {
            Fake {
                server: Some(server),
                ..Fake::new(name, RED, log)
            }
            .layer()
        };
        vec![fake("a", "one"), fake("b", "one"), fake("c", "two"), fake("d", "one")]
    });
    scene.map("layers=a,b,c,d").unwrap();
    assert_eq!(scene.asked(), ["a,b", "c", "d"]);
    scene.map("layers=a,b,d,c").unwrap();
    assert_eq!(scene.asked(), ["a,b,d", "c"]);
}

#[test]
fn parameters_are_forwarded_to_those_who_want_them() {
    let scene = Scene::new(|log| {
        let forwarded = vec!["time".to_owned(), "VENDOR".to_owned(), "absent".to_owned()];
        vec![
            Fake {
                forwarded,
                ..Fake::new("a", RED, log)
            }
            .layer(),
        ]
    });
    scene.map("layers=a&TIME=2020&vendor=x&other=1&dim_x=y").unwrap();
    let dimensions = scene.log.borrow()[0].1.dimensions.clone();
    let expect = [("TIME", "2020"), ("dim_x", "y"), ("vendor", "x")];
    assert_eq!(
        dimensions,
        expect.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn errors_of_sources_are_shown_or_raised() {
    let scene = |on_source_errors| {
        let mut scene = Scene::new(|log| {
            let broken = |name: &str| {
                Fake {
                    error: Some("no response"),
                    ..Fake::new(name, RED, log)
                }
                .layer()
            };
            let strict = Fake {
                refuses_box: true,
                ..Fake::new("strict", RED, log)
            }
            .layer();
            let nothing = Fake {
                color: None,
                ..Fake::new("nothing", RED, log)
            }
            .layer();
            vec![
                Fake::new("good", BLUE, log).layer(),
                broken("bad"),
                broken("worse"),
                strict,
                nothing,
            ]
        });
        scene.service.on_source_errors = on_source_errors;
        scene
    };
    let notify = scene(OnSourceErrors::Notify);
    let map = notify.map("layers=good,bad").unwrap();
    assert!(!map.cacheability.cacheable);
    assert_eq!(pixel(map, 39, 19)[..3], BLUE[..3]);
    assert!(!notify.map("layers=nothing,bad").unwrap().cacheability.cacheable);
    let check = |scene: &Scene, names: &str, expect: &str| {
        assert_eq!(
            scene.map(&format!("layers={names}")).unwrap_err().to_string(),
            expect,
            "{names}"
        );
    };
    check(
        &notify,
        "bad,worse",
        "Could not get any sources:\nno response\nno response",
    );
    check(
        &notify,
        "good,strict",
        "Request too large or invalid BBOX. (too many tiles)",
    );
    notify.asked();
    let raise = scene(OnSourceErrors::Raise);
    check(&raise, "good,bad,worse", "no response");
    assert_eq!(raise.asked(), ["good", "bad"]);
}

#[test]
fn maps_end_where_the_service_ends() {
    // `bbox_srs` has EPSG:4326 from 70 degrees south on
    let scene = Scene::new(|log| vec![Fake::new("a", RED, log).layer()]);
    let map = scene.map("layers=a").unwrap();
    assert_eq!(pixel(map, 0, 0)[..3], RED[..3]);

    let part = scene.map("layers=a&time=2020").map(|_| scene.log.take()).unwrap();
    assert_eq!(part[0].1.size, (40, 20));

    let outside = QUERY.replace("bbox=0,0,40,20", "bbox=0,-90,40,-70");
    let platform: Rc<dyn Platform> = MemoryPlatform::new();
    let find = |name: &str| scene.find(name);
    let ask = |query: &str| {
        let checked = Checked::new(&scene.service, &find, get_map(query)).unwrap();
        draw(&platform, &scene.service, &find, &checked).unwrap()
    };
    let map = ask(&format!("{outside}&layers=a&bgcolor=0x00ff00"));
    assert_eq!(pixel(map, 0, 0)[..3], [0, 255, 0]);
    assert!(scene.asked().is_empty());

    let across = QUERY.replace("bbox=0,0,40,20", "bbox=0,-80,40,-60");
    let map = ask(&format!("{across}&layers=a&TIME=2020"));
    let asked = scene.log.take();
    assert_eq!(asked[0].1.bbox, BBox::new(0.0, -70.0, 40.0, -60.0));
    assert_eq!(asked[0].1.size, (40, 10));
    assert_eq!(asked[0].1.dimensions, [("TIME".to_owned(), "2020".to_owned())]);
    assert_eq!(pixel(map.clone(), 0, 0), RED);
    assert_eq!(pixel(map, 0, 19)[3], 0);
}

#[test]
fn requests_are_checked_in_a_fixed_order() {
    let scene = Scene::new(|log| vec![Fake::new("a", RED, log).layer()]);
    let find = |name: &str| scene.find(name);
    let check = |query: &str, expect: &str, code: Option<&str>| {
        let error = Checked::new(&scene.service, &find, get_map(query)).err().unwrap();
        assert_eq!((error.to_string().as_str(), error.code()), (expect, code), "{query}");
    };
    let large = format!("{QUERY}&layers=x")
        .replace("width=40", "width=4001")
        .replace("height=20", "height=4000");
    check(&large.replace("4326", "1"), "image size too large", None);
    let unknown = format!("{QUERY}&layers=a,x")
        .replace("4326", "1")
        .replace("image/png", "image/ascii");
    check(&unknown, "unknown layer: x", Some("LayerNotDefined"));
    let format = format!("{QUERY}&layers=a")
        .replace("4326", "1")
        .replace("image/png", "image/ascii");
    check(&format, "unsupported image format: image/ascii", Some("InvalidFormat"));
    check(
        &format!("{QUERY}&layers=a").replace("4326", "1"),
        "unsupported srs: EPSG:1",
        Some("InvalidSRS"),
    );
}

#[test]
fn formats_are_the_same_by_extension() {
    let service = service();
    let check = |asked: &str, version, expect: Option<&str>| {
        let found = find_format(&service, asked, version).map(|format| format.mime.as_str());
        assert_eq!(found, expect, "{asked}");
    };
    check("image/png", WmsVersion::V111, Some("image/png"));
    check("png", WmsVersion::V111, Some("image/png"));
    check("image/png; mode=8bit", WmsVersion::V111, Some("image/png; mode=8bit"));
    check("image/png; mode=12bit", WmsVersion::V111, Some("image/png"));
    check("PNG", WmsVersion::V100, Some("image/png"));
    check("PNG", WmsVersion::V111, None);
    check("image/ascii", WmsVersion::V111, None);
    check("", WmsVersion::V111, None);
}

#[test]
fn feature_information_comes_from_queryable_layers() {
    let scene = Scene::new(|log| {
        let info = |text: &str| {
            Some(FeatureInfo {
                kind: InfoKind::Text,
                content: text.as_bytes().to_vec(),
            })
        };
        vec![
            Fake {
                info: info("one"),
                ..Fake::new("a", RED, log)
            }
            .layer(),
            Fake {
                info: info("two"),
                ..Fake::new("b", RED, log)
            }
            .layer(),
            Fake::new("mute", RED, log).layer(),
        ]
    });
    let query = QUERY.replace("GetMap", "GetFeatureInfo");
    let request = |more: &str| -> GetFeatureInfo {
        let query = format!("{query}&x=1&y=1&{more}");
        match parse(&QueryParams::parse(&query), WmsVersion::V111, Strictness::Lenient) {
            Ok(WmsRequest::FeatureInfo(request)) => request,
            other => panic!("{query}: {other:?}"),
        }
    };
    let find = |name: &str| scene.find(name);
    let infos = ask(&scene.service, &find, request("layers=a&query_layers=a,b,a")).unwrap();
    let texts: Vec<Vec<u8>> = infos.into_iter().map(|info| info.content).collect();
    assert_eq!(texts, [b"one", b"two"]);
    let check = |more: &str, expect: &str| {
        assert_eq!(
            ask(&scene.service, &find, request(more)).unwrap_err().to_string(),
            expect,
            "{more}"
        );
    };
    check("layers=a&query_layers=mute", "layer mute is not queryable");
    check("layers=a&query_layers=x", "unknown layer: x");
    check("layers=x&query_layers=a", "unknown layer: x");
}

#[test]
fn exceptions_are_documents_or_pictures() {
    let service = service();
    let find = |_: &str| Ok(None);
    let error = named(&find, &["<&\u{1}>".to_owned()]).unwrap_err();
    let answer = |query: &str, version| {
        exceptions::answer(
            &error,
            &ExceptionStyle::of(&QueryParams::parse(query), version),
            &service,
        )
    };
    let check = |query: &str, version, status: u16, media_type: &str| {
        let response = answer(query, version);
        assert_eq!(
            (response.status, response.headers.get("content-type")),
            (status, Some(media_type)),
            "{query}"
        );
        assert_eq!(
            response.headers.get("cache-control"),
            Some("no-cache, no-store"),
            "{query}"
        );
        response
    };
    check("", WmsVersion::V100, 500, "text/xml");
    check("", WmsVersion::V110, 500, "application/vnd.ogc.se_xml");
    let report = check("", WmsVersion::V111, 500, "application/vnd.ogc.se_xml");
    insta::assert_snapshot!(String::from_utf8(report.body).unwrap(), @r#"
    <?xml version="1.0"?>
    <!DOCTYPE ServiceExceptionReport SYSTEM "http://schemas.opengis.net/wms/1.1.1/exception_1_1_1.dtd">
    <ServiceExceptionReport version="1.1.1">
    <ServiceException code="LayerNotDefined">unknown layer: &#60;&#38;�&#62;</ServiceException>
    </ServiceExceptionReport>
    "#);
    check("", WmsVersion::V130, 500, "text/xml");
    let in_image = "exceptions=inimage&width=50&height=40&bgcolor=0xff0000&format=image/png";
    let picture = check(in_image, WmsVersion::V111, 200, "image/png");
    assert_eq!(crate::image::peek_size(&picture.body).unwrap(), (50, 40));
    check(
        "exceptions=blank&format=image/jpeg",
        WmsVersion::V111,
        200,
        "image/jpeg",
    );
    check(
        "exceptions=blank&format=image/ascii",
        WmsVersion::V111,
        200,
        "image/png",
    );
    // a picture of that size is what must not be made
    check(
        "exceptions=blank&width=5000&height=5000",
        WmsVersion::V111,
        500,
        "application/vnd.ogc.se_xml",
    );
}
