//! Requests of ArcGIS REST services: `export` and `identify` (behaviour section 9; MapProxy: `client/arcgis.py`,
//! `request/arcgis.py`).

use crate::config::model::ArcgisSource;
use crate::image::ImageFormat;
use crate::query::{Dimensions, InfoQuery};
use crate::request::QueryParams;
use crate::srs::{BBox, Srs, python_float};

/// Makes the requests of one ArcGIS source.
#[derive(Debug, Clone)]
pub struct ArcgisRequests {
    url: String,
    template: QueryParams,
    tolerance: u32,
    return_geometries: bool,
}

impl ArcgisRequests {
    pub fn new(source: &ArcgisSource) -> Self {
        let mut template = QueryParams::default();
        for (name, value) in &source.params {
            template.set(name, value.as_str());
        }
        Self {
            url: source.url.clone(),
            template,
            tolerance: source.featureinfo_tolerance,
            return_geometries: source.featureinfo_return_geometries,
        }
    }

    /// Names of parameters whose values a request may replace.
    pub fn dimension_names(&self) -> Vec<String> {
        let names = ["time", "elevation"].iter().filter(|name| self.template.contains(name));
        names.map(|name| (*name).to_owned()).collect()
    }

    /// `export` of a box, size in pixels.
    pub fn map(
        &self,
        bbox: BBox,
        size: (u32, u32),
        srs: &Srs,
        format: &ImageFormat,
        dimensions: &Dimensions,
    ) -> String {
        let mut params = self.template.clone();
        params.set("bbox", corners(bbox));
        params.set("size", format!("{},{}", size.0, size.1));
        let srs = number(srs);
        params.set("bboxSR", srs.as_str());
        params.set("imageSR", srs);
        params.set("format", format.ext());
        for (name, value) in dimensions {
            if params.contains(name) {
                params.set(name, value.as_str());
            }
        }
        params.set("f", "image");
        format!("{}?{}", self.url, params.to_query())
    }

    /// `identify` at a point.
    pub fn info(&self, query: &InfoQuery) -> String {
        let mut params = QueryParams::default();
        for name in ["layers", "time"] {
            if let Some(value) = self.template.get(name) {
                params.set(name, value);
            }
        }
        let (width, height) = query.size;
        let x = query.bbox.minx + query.pos.0 * query.bbox.width() / f64::from(width);
        let y = query.bbox.maxy - query.pos.1 * query.bbox.height() / f64::from(height);
        params.set("geometry", format!("{x:.6},{y:.6}"));
        params.set("geometryType", "esriGeometryPoint");
        params.set("imageDisplay", format!("{width},{height},96"));
        params.set("mapExtent", corners(query.bbox));
        params.set("sr", number(&query.srs));
        params.set("tolerance", self.tolerance.to_string());
        params.set("returnGeometry", if self.return_geometries { "true" } else { "false" });
        let html = query
            .info_format
            .as_deref()
            .is_some_and(|format| format.starts_with("text/html"));
        params.set("f", if html { "html" } else { "json" });
        let base = self.url.trim_end_matches("/exportImage").trim_end_matches("/export");
        format!("{base}/identify?{}", params.to_query())
    }
}

fn corners(bbox: BBox) -> String {
    [bbox.minx, bbox.miny, bbox.maxx, bbox.maxy].map(python_float).join(",")
}

/// What the service calls a reference system: its number alone.
fn number(srs: &Srs) -> String {
    let code = srs.code();
    code.rsplit_once(':').map_or(code, |(_, number)| number).to_owned()
}
