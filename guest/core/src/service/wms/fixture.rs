//! A service with a rich layer tree, and layers that draw one colour: for tests.

use std::cell::RefCell;
use std::rc::Rc;

use crate::assemble::WmsLayer;
use crate::config::model::{
    Attribution, AttributionLogo, BBoxSrs, Contact, Dimension, KeywordList, Layer, LayerMetadata, LayerNode,
    LayerSource, LayerTree, LayerUrl, MapExtent, OnSourceErrors, ResRange, ServiceFormat, ServiceMetadata, WmsService,
    WmsVersion,
};
use crate::image::{ImageFormat, ImageOptions, MapImage, filled};
use crate::layer::{FeatureInfo, LayerError, MapLayer};
use crate::query::{InfoQuery, MapQuery};
use crate::srs::{BBox, Srs};

pub(super) fn srs(code: &str) -> Srs {
    Srs::new(code).unwrap()
}

fn format(mime: &str, name: &str) -> ServiceFormat {
    let options = ImageOptions {
        format: Some(ImageFormat::new(name)),
        paletted: false,
        ..ImageOptions::default()
    };
    ServiceFormat {
        mime: mime.to_owned(),
        options,
    }
}

pub(super) fn keyword_lists() -> Vec<KeywordList> {
    let list = |vocabulary: Option<&str>, keywords: &[&str]| KeywordList {
        vocabulary: vocabulary.map(str::to_owned),
        keywords: keywords.iter().map(|keyword| (*keyword).to_owned()).collect(),
    };
    vec![
        list(Some("GEMET"), &["Orthoimagery", "Land & use"]),
        list(None, &["free"]),
    ]
}

pub(super) fn service() -> WmsService {
    WmsService {
        versions: vec![WmsVersion::V100, WmsVersion::V110, WmsVersion::V111, WmsVersion::V130],
        srs: ["EPSG:4326", "CRS:84", "EPSG:900913", "EPSG:3857", "EPSG:25832"]
            .map(srs)
            .to_vec(),
        bbox_srs: vec![
            BBoxSrs {
                srs: srs("EPSG:3857"),
                bbox: None,
            },
            BBoxSrs {
                srs: srs("EPSG:4326"),
                bbox: Some(BBox::new(-180.0, -70.0, 180.0, 90.0)),
            },
        ],
        image_formats: vec![
            format("image/png", "image/png"),
            format("image/jpeg", "image/jpeg"),
            format("image/png; mode=8bit", "image/png"),
            format("image/tiff", "image/tiff"),
        ],
        featureinfo_types: ["text", "html", "xml", "json"].map(str::to_owned).to_vec(),
        featureinfo_xslt: Vec::new(),
        on_source_errors: OnSourceErrors::Notify,
        max_output_pixels: 4000 * 4000,
        concurrent_layer_renderer: 1,
        strict: false,
        attribution: None,
        http: crate::config::model::SourceHttp {
            timeout_s: 60.0,
            method: crate::config::model::HttpMethod::Auto,
            headers: Vec::new(),
            credentials: None,
            hide_error_details: false,
            manage_cookies: false,
        },
        md: ServiceMetadata {
            title: "Maps <of> \"everything\" & more ☃".to_owned(),
            abstract_text: Some("All of it.".to_owned()),
            online_resource: Some("http://example.org/".to_owned()),
            contact: Some(Contact {
                person: Some("Jane Doe".to_owned()),
                position: Some("Cartographer".to_owned()),
                city: Some("Oldenburg".to_owned()),
                phone: Some("0123456789".to_owned()),
                email: Some("jane@example.org".to_owned()),
                ..Contact::default()
            }),
            fees: None,
            access_constraints: Some("Here be dragons.".to_owned()),
            keyword_list: keyword_lists(),
        },
        inspire_md: None,
    }
}

pub(super) fn layer(name: Option<&str>, title: &str) -> Layer {
    Layer {
        name: name.map(str::to_owned),
        title: title.to_owned(),
        sources: vec![LayerSource::Source("source".to_owned())],
        children: Vec::new(),
        tile_sources: Vec::new(),
        res_range: None,
        extent: MapExtent::new(BBox::new(-180.0, -90.0, 180.0, 90.0), srs("EPSG:4326")),
        queryable: false,
        has_legend: false,
        legendurl: None,
        wmts_kvp_legendurl: None,
        wmts_rest_legendurl: None,
        dimensions: Vec::new(),
        md: None,
    }
}

fn metadata() -> LayerMetadata {
    let link = |url: &str, kind: Option<&str>, format: &str| LayerUrl {
        url: url.to_owned(),
        kind: kind.map(str::to_owned),
        format: format.to_owned(),
    };
    LayerMetadata {
        abstract_text: Some("Some abstract".to_owned()),
        keyword_list: keyword_lists(),
        attribution: Some(Attribution {
            title: Some("My attribution".to_owned()),
            url: Some("http://example.org/?a=1&b=2".to_owned()),
            logo: Some(AttributionLogo {
                url: "http://example.org/logo.jpg".to_owned(),
                width: 100,
                height: 50,
                format: "image/jpeg".to_owned(),
            }),
        }),
        identifier: vec![(
            "http://example.org/".to_owned(),
            "HKU1234".to_owned(),
            "Some value".to_owned(),
        )],
        metadata: vec![
            link("http://example.org/inspire", Some("INSPIRE"), "application/xml"),
            link("http://example.org/iso", Some("ISO19115:2003"), "application/xml"),
        ],
        data: vec![link("http://example.org/a.gml", None, "text/xml; subtype=gml/3.2.1")],
        feature_list: vec![link("http://example.org/a.pdf", None, "application/pdf")],
    }
}

/// Two top layers: a group with a layer that has everything and one in Mercator, and a layer with scale limits.
pub(super) fn tree() -> LayerTree {
    let rich = Layer {
        queryable: true,
        has_legend: true,
        dimensions: vec![Dimension {
            name: "time".to_owned(),
            values: vec!["2020-01-01".to_owned(), "2020-01-02".to_owned()],
            default: "2020-01-02".to_owned(),
        }],
        md: Some(metadata()),
        ..layer(Some("rich"), "Layer with everything")
    };
    let world = 20_037_508.342_789_244;
    let mercator = Layer {
        extent: MapExtent::new(BBox::new(-world, -world, world, world), srs("EPSG:900913")),
        ..layer(Some("mercator"), "Mercator")
    };
    let group = Layer {
        sources: Vec::new(),
        children: vec!["rich".to_owned(), "mercator".to_owned()],
        ..layer(None, "Group without name")
    };
    let scaled = Layer {
        res_range: Some(ResRange {
            min_res: Some(10_000.0),
            max_res: Some(10.0),
        }),
        ..layer(Some("scaled"), "Within scales")
    };
    let leaf = |layer| LayerNode {
        layer,
        children: Vec::new(),
    };
    LayerTree {
        roots: vec![
            LayerNode {
                layer: group,
                children: vec![leaf(rich), leaf(mercator)],
            },
            leaf(scaled),
        ],
    }
}

/// What a fake source was asked, in order: its name and the box.
pub(super) type Log = Rc<RefCell<Vec<(String, MapQuery)>>>;

/// A source that draws one colour, or fails.
#[derive(Debug, Clone)]
pub(super) struct Fake {
    pub(super) name: String,
    pub(super) color: Option<[u8; 4]>,
    pub(super) error: Option<&'static str>,
    pub(super) refuses_box: bool,
    pub(super) opaque: bool,
    /// fakes of the same server draw together
    pub(super) server: Option<&'static str>,
    pub(super) forwarded: Vec<String>,
    pub(super) info: Option<FeatureInfo>,
    pub(super) log: Log,
}

impl Fake {
    pub(super) fn new(name: &str, color: [u8; 4], log: &Log) -> Self {
        Self {
            name: name.to_owned(),
            color: Some(color),
            error: None,
            refuses_box: false,
            opaque: false,
            server: None,
            forwarded: Vec::new(),
            info: None,
            log: Rc::clone(log),
        }
    }

    /// The layer of this one source, named like it.
    pub(super) fn layer(self) -> Rc<WmsLayer> {
        let conf = Layer {
            queryable: self.info.is_some(),
            ..layer(Some(&self.name), &self.name)
        };
        Rc::new(WmsLayer {
            conf,
            sources: vec![Rc::new(self)],
        })
    }
}

impl MapLayer for Fake {
    fn get_map(&self, query: &MapQuery) -> Result<Option<MapImage>, LayerError> {
        self.log.borrow_mut().push((self.name.clone(), query.clone()));
        if let Some(message) = self.error {
            return Err(LayerError::Source {
                message: message.to_owned(),
                status: None,
                detail: None,
            });
        }
        if self.refuses_box {
            return Err(LayerError::InvalidBBox {
                message: "too many tiles".to_owned(),
            });
        }
        let (width, height) = query.size;
        Ok(self.color.map(|color| {
            let options = ImageOptions {
                transparent: Some(color[3] < 255),
                ..ImageOptions::new(ImageFormat::PNG)
            };
            MapImage::from_raster(filled(width, height, color).unwrap(), options)
        }))
    }

    fn get_info(&self, _query: &InfoQuery) -> Result<Option<FeatureInfo>, LayerError> {
        Ok(self.info.clone())
    }

    fn forwarded_params(&self) -> &[String] {
        &self.forwarded
    }

    fn is_opaque(&self, _query: &MapQuery) -> bool {
        self.opaque
    }

    fn combine(&self, above: &dyn MapLayer, _query: &MapQuery) -> Option<Box<dyn MapLayer>> {
        let above: &Self = above.as_any().downcast_ref()?;
        let server = self.server?;
        (above.server == Some(server)).then(|| -> Box<dyn MapLayer> {
            Box::new(Self {
                name: format!("{},{}", self.name, above.name),
                ..self.clone()
            })
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
