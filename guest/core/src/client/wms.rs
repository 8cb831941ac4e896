//! Requests of the WMS protocol, spelled parameter by parameter as MapProxy spells them (behaviour sections 9 and 24;
//! MapProxy: `client/wms.py`, `request/wms`).
//!
//! The parameters of the configuration come first, in their spelling and order; what a request sets replaces their
//! values in place or follows.

use crate::config::model::{HttpMethod, WmsSource, WmsVersion};
use crate::http::PostBody;
use crate::image::ImageFormat;
use crate::query::{Dimensions, InfoQuery, LegendQuery};
use crate::request::QueryParams;
use crate::srs::{BBox, Srs, python_float};

/// The URL of a request, with what is posted to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub url: String,
    pub post: Option<PostBody>,
}

/// Makes the requests of one WMS source.
#[derive(Debug, Clone)]
pub struct WmsRequests {
    url: String,
    version: WmsVersion,
    template: QueryParams,
    forward: Vec<String>,
    method: HttpMethod,
}

impl WmsRequests {
    pub fn new(source: &WmsSource, method: HttpMethod) -> Self {
        let mut template = QueryParams::default();
        for (name, value) in &source.params {
            template.set(name, value.as_str());
        }
        Self {
            url: source.url.clone(),
            version: source.version,
            template,
            forward: source.forward_req_params.clone(),
            method,
        }
    }

    /// The configured layers, as in `layers=a,b`.
    pub fn layers(&self) -> &str {
        self.template.get("layers").unwrap_or_default()
    }

    /// The same source with other layers.
    #[must_use]
    pub fn with_layers(&self, layers: String) -> Self {
        let mut other = self.clone();
        other.template.set("layers", layers);
        other
    }

    /// Whether requests of both differ in their layers alone.
    pub fn combines_with(&self, other: &Self) -> bool {
        let rest = |requests: &Self| {
            let mut params = requests.template.clone();
            params.remove("layers");
            params
        };
        self.url == other.url && self.version == other.version && rest(self) == rest(other)
    }

    /// Names of request parameters that are handed on.
    pub fn forwarded(&self) -> &[String] {
        &self.forward
    }

    /// Those of a query's dimensions that are handed on.
    pub fn forwarded_of<'d>(&self, dimensions: &'d Dimensions) -> Vec<(&'d str, &'d str)> {
        let is_forwarded = |name: &str| {
            self.forward
                .iter()
                .any(|forwarded| forwarded.eq_ignore_ascii_case(name))
        };
        let pairs = dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(|(name, _)| is_forwarded(name)).collect()
    }

    /// GetMap of a box, size in pixels.
    pub fn map(&self, bbox: BBox, size: (u32, u32), srs: &Srs, format: &ImageFormat, dimensions: &Dimensions) -> Body {
        self.map_within(None, bbox, size, srs, format, dimensions)
    }

    /// GetMap of a box that was cut to `limit`, a box of the configuration: MapProxy sends the edges they share as they
    /// are (nearly always) written there, `10` and not `10.0`.
    pub fn map_within(
        &self,
        limit: Option<BBox>,
        bbox: BBox,
        size: (u32, u32),
        srs: &Srs,
        format: &ImageFormat,
        dimensions: &Dimensions,
    ) -> Body {
        let mut params = self.template.clone();
        if self.version == WmsVersion::V100 {
            params.set("request", "map");
        }
        self.set_box(&mut params, limit, bbox, size, srs);
        params.set("format", self.format_name(format));
        for (name, value) in self.forwarded_of(dimensions) {
            params.set(name, value);
        }
        if self.version != WmsVersion::V100 {
            params.set("request", "GetMap");
        }
        self.set_version(&mut params);
        self.set_srs(&mut params, srs);
        self.body(&params)
    }

    /// GetFeatureInfo; `query_layers` instead of the map's layers.
    pub fn info(&self, query: &InfoQuery, query_layers: Option<&str>, info_format: Option<&str>) -> Body {
        let mut params = self.template.clone();
        params.remove("transparent");
        let layers = query_layers.map_or_else(|| self.layers().to_owned(), str::to_owned);
        params.set("query_layers", layers);
        self.set_box(&mut params, None, query.bbox, query.size, &query.srs);
        let (x, y) = if self.version == WmsVersion::V130 {
            ("i", "j")
        } else {
            ("x", "y")
        };
        params.set(x, position(query.pos.0));
        params.set(y, position(query.pos.1));
        if let Some(count) = query.feature_count {
            params.set("feature_count", count.to_string());
        }
        if let Some(format) = info_format.or(query.info_format.as_deref()) {
            params.set("info_format", format);
        }
        if !params.contains("format") {
            params.set("format", query.format.as_str());
        }
        for (name, value) in self.forwarded_of(&query.dimensions) {
            params.set(name, value);
        }
        let request = if self.version == WmsVersion::V100 {
            "feature_info"
        } else {
            "GetFeatureInfo"
        };
        params.set("request", request);
        self.set_version(&mut params);
        self.set_srs(&mut params, &query.srs);
        self.body(&params)
    }

    /// GetLegendGraphic, one for each layer: the protocol knows no legend of several.
    pub fn legends(&self, query: &LegendQuery) -> Vec<Body> {
        let mut params = self.template.clone();
        params.remove("layers");
        params.remove("transparent");
        params.set("format", query.format.as_str());
        if let Some(scale) = query.scale {
            params.set("scale", python_float(scale));
        }
        params.set("request", "GetLegendGraphic");
        params.set("service", "WMS");
        params.set("sld_version", "1.1.0");
        params.set(
            "version",
            if self.version == WmsVersion::V130 {
                "1.3.0"
            } else {
                "1.1.1"
            },
        );
        let one = |layer: &str| {
            let mut params = params.clone();
            params.set("layer", layer);
            Body {
                url: with_query(&self.url, &params.to_query()),
                post: None,
            }
        };
        self.layers().split(',').map(one).collect()
    }

    fn set_box(&self, params: &mut QueryParams, limit: Option<BBox>, bbox: BBox, size: (u32, u32), srs: &Srs) {
        let is_limit =
            |edge: f64| limit.is_some_and(|limit| limit.edges().iter().any(|own| own.to_bits() == edge.to_bits()));
        let number = |edge: f64| {
            if is_limit(edge) {
                position(edge)
            } else {
                python_float(edge)
            }
        };
        let north_first = self.version == WmsVersion::V130 && srs.is_axis_order_ne();
        let bbox = if north_first { bbox.swapped() } else { bbox };
        params.set("bbox", bbox.edges().map(number).join(","));
        params.set("width", size.0.to_string());
        params.set("height", size.1.to_string());
        if self.version != WmsVersion::V130 {
            params.set("srs", srs.code());
        }
    }

    fn set_version(&self, params: &mut QueryParams) {
        let (name, version) = match self.version {
            WmsVersion::V100 => ("wmtver", "1.0.0"),
            WmsVersion::V110 => ("version", "1.1.0"),
            WmsVersion::V111 => ("version", "1.1.1"),
            WmsVersion::V130 => ("version", "1.3.0"),
        };
        params.set(name, version);
        if self.version != WmsVersion::V100 {
            params.set("service", "WMS");
        }
        if !params.contains("styles") {
            params.set("styles", "");
        }
    }

    fn set_srs(&self, params: &mut QueryParams, srs: &Srs) {
        if self.version == WmsVersion::V130 {
            params.remove("srs");
            params.set("crs", srs.code());
        }
    }

    fn format_name(&self, format: &ImageFormat) -> String {
        if self.version == WmsVersion::V100 {
            format.ext().to_uppercase()
        } else {
            format.mime_type().into_owned()
        }
    }

    fn body(&self, params: &QueryParams) -> Body {
        let post = match self.method {
            HttpMethod::Post => true,
            HttpMethod::Get => false,
            HttpMethod::Auto => self.template.contains("sld_body"),
        };
        let query = params.to_query();
        if !post {
            return Body {
                url: with_query(&self.url, &query),
                post: None,
            };
        }
        let content_type = "application/x-www-form-urlencoded".to_owned();
        let post = PostBody {
            content_type,
            data: query.into_bytes(),
        };
        Body {
            url: self.url.trim_end_matches('?').to_owned(),
            post: Some(post),
        }
    }
}

/// A pixel position: whole numbers without a decimal point.
fn position(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        python_float(value)
    }
}

/// The URL with a query behind the one it may have.
fn with_query(url: &str, query: &str) -> String {
    let glue = if url.ends_with('?') {
        ""
    } else if url.contains('?') {
        "&"
    } else {
        "?"
    };
    format!("{url}{glue}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(version: WmsVersion, url: &str, params: &[(&str, &str)]) -> WmsRequests {
        let mut template = QueryParams::default();
        for (name, value) in params {
            template.set(name, *value);
        }
        let forward = vec!["time".to_owned(), "foo".to_owned()];
        WmsRequests {
            url: url.to_owned(),
            version,
            template,
            forward,
            method: HttpMethod::Auto,
        }
    }

    #[track_caller]
    fn check_map(requests: &WmsRequests, bbox: [f64; 4], srs: &str, format: &'static str, expect: &str) {
        let [minx, miny, maxx, maxy] = bbox;
        let dimensions = [("TIME", "2020"), ("foo", "b r"), ("elevation", "1")];
        let dimensions: Dimensions = dimensions
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let bbox = BBox { minx, miny, maxx, maxy };
        let srs = Srs::new(srs).unwrap();
        let body = requests.map(bbox, (256, 256), &srs, &ImageFormat::new(format), &dimensions);
        assert_eq!(
            body,
            Body {
                url: expect.to_owned(),
                post: None
            }
        );
    }

    const WORLD: [f64; 4] = [-180.0, -90.0, 180.0, 90.0];

    /// What MapProxy 7.0.0 asks for with these configurations.
    #[test]
    fn maps_are_asked_for_as_mapproxy_asks() {
        let params = [
            ("layers", "a,b"),
            ("transparent", "True"),
            ("LAYERX", "é &"),
            ("styles", "st"),
        ];
        check_map(
            &requests(WmsVersion::V100, "http://h/s?map=x", &params),
            WORLD,
            "EPSG:4326",
            "image/png",
            "http://h/s?map=x&layers=a,b&transparent=True&LAYERX=%C3%A9%20%26&styles=st&request=map\
             &bbox=-180.0,-90.0,180.0,90.0&width=256&height=256&srs=EPSG%3A4326&format=PNG&TIME=2020&foo=b%20r\
             &wmtver=1.0.0",
        );
        check_map(
            &requests(
                WmsVersion::V111,
                "http://h/s",
                &[("layers", "a"), ("format", "image/png"), ("Map", "y")],
            ),
            [1e-7, 2.0, 3e16, 4.5],
            "EPSG:900913",
            "jpeg",
            "http://h/s?layers=a&format=image%2Fjpeg&Map=y&bbox=1e-07,2.0,3e%2B16,4.5&width=256&height=256\
             &srs=EPSG%3A900913&TIME=2020&foo=b%20r&request=GetMap&version=1.1.1&service=WMS&styles=",
        );
        check_map(
            &requests(
                WmsVersion::V130,
                "http://h/s?SERVICE=WMS&",
                &[("layers", "a"), ("time", "t")],
            ),
            WORLD,
            "EPSG:4326",
            "png",
            "http://h/s?SERVICE=WMS&&layers=a&time=2020&bbox=-90.0,-180.0,90.0,180.0&width=256&height=256\
             &format=image%2Fpng&foo=b%20r&request=GetMap&version=1.3.0&service=WMS&styles=&crs=EPSG%3A4326",
        );
        check_map(
            &requests(WmsVersion::V130, "http://h/s?", &[]),
            [5.0, 6.0, 7.0, 8.0],
            "EPSG:3857",
            "png",
            "http://h/s?bbox=5.0,6.0,7.0,8.0&width=256&height=256&format=image%2Fpng&TIME=2020&foo=b%20r\
             &request=GetMap&version=1.3.0&service=WMS&styles=&crs=EPSG%3A3857",
        );
    }

    #[test]
    fn a_style_document_is_posted() {
        let requests = requests(WmsVersion::V111, "http://h/s?", &[("sld_body", "<a>"), ("layers", "a")]);
        let [minx, miny, maxx, maxy] = WORLD;
        let body = requests.map(
            BBox { minx, miny, maxx, maxy },
            (1, 2),
            &Srs::new("EPSG:4326").unwrap(),
            &ImageFormat::PNG,
            &Vec::new(),
        );
        assert_eq!(body.url, "http://h/s");
        let post = body.post.unwrap();
        assert_eq!(post.content_type, "application/x-www-form-urlencoded");
        assert!(post.data.starts_with(b"sld_body=%3Ca%3E&layers=a&bbox=-180.0,"));
    }

    #[test]
    fn feature_info_has_the_names_of_its_version() {
        let query = InfoQuery {
            bbox: BBox {
                minx: -1.5,
                miny: 2.0,
                maxx: 3.0,
                maxy: 4.0,
            },
            size: (10, 20),
            srs: Srs::new("EPSG:4326").unwrap(),
            pos: (3.0, 4.5),
            info_format: Some("text/plain".to_owned()),
            format: "image/png".to_owned(),
            feature_count: Some(5),
            dimensions: Vec::new(),
        };
        let check = |version, expect: &str| {
            let requests = requests(version, "http://h/s", &[("layers", "a"), ("transparent", "True")]);
            assert_eq!(requests.info(&query, Some("q"), None).url, expect);
        };
        check(
            WmsVersion::V100,
            "http://h/s?layers=a&query_layers=q&bbox=-1.5,2.0,3.0,4.0&width=10&height=20&srs=EPSG%3A4326&x=3&y=4.5\
             &feature_count=5&info_format=text%2Fplain&format=image%2Fpng&request=feature_info&wmtver=1.0.0&styles=",
        );
        check(
            WmsVersion::V130,
            "http://h/s?layers=a&query_layers=q&bbox=2.0,-1.5,4.0,3.0&width=10&height=20&i=3&j=4.5\
             &feature_count=5&info_format=text%2Fplain&format=image%2Fpng&request=GetFeatureInfo&version=1.3.0\
             &service=WMS&styles=&crs=EPSG%3A4326",
        );
    }

    #[test]
    fn each_layer_has_a_legend() {
        let requests = requests(
            WmsVersion::V111,
            "http://h/s",
            &[("layers", "a,b"), ("transparent", "True")],
        );
        let query = LegendQuery {
            format: "image/png".to_owned(),
            scale: Some(5.0),
        };
        let urls: Vec<String> = requests.legends(&query).into_iter().map(|body| body.url).collect();
        let rest = "format=image%2Fpng&scale=5.0&request=GetLegendGraphic&service=WMS&sld_version=1.1.0&version=1.1.1";
        assert_eq!(
            urls,
            [
                format!("http://h/s?{rest}&layer=a"),
                format!("http://h/s?{rest}&layer=b")
            ]
        );
    }

    #[test]
    fn requests_combine_if_only_the_layers_differ() {
        let one = |url: &str, params: &[(&str, &str)]| requests(WmsVersion::V111, url, params);
        let base = one("http://h/s", &[("layers", "a"), ("transparent", "True")]);
        assert!(base.combines_with(&one("http://h/s", &[("layers", "b"), ("transparent", "True")])));
        assert!(!base.combines_with(&one("http://h/s", &[("layers", "b")])));
        assert!(!base.combines_with(&one("http://h/other", &[("layers", "b"), ("transparent", "True")])));
    }
}
