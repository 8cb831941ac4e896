//! The layer tree as capabilities tell it: boxes, scales, legends and metadata worked out for one version.

use super::document::Number;
use crate::config::model::{
    BBoxSrs, Dimension, KeywordList, LayerMetadata, LayerNode, LayerTree, LayerUrl, ResRange, WmsService, WmsVersion,
};
use crate::coverage::MapExtent;
use crate::request::form_encode;
use crate::request::wms::version_code;
use crate::srs::{BBox, PIXEL_SIZE_METERS, Srs};

/// Some clients fail at the poles themselves.
const LATITUDE_LIMIT: f64 = 89.999_999;

/// A keyword with the vocabulary it is from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyword<'a> {
    pub(super) text: &'a str,
    pub(super) vocabulary: Option<&'a str>,
}

pub(super) fn keywords(lists: &[KeywordList]) -> Vec<Keyword<'_>> {
    let mut found = Vec::new();
    for KeywordList { vocabulary, keywords } in lists {
        found.extend(keywords.iter().map(|text| Keyword {
            text,
            vocabulary: vocabulary.as_deref(),
        }));
    }
    found
}

/// Edges of a box, ready to be printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edges {
    pub(super) minx: Number,
    pub(super) miny: Number,
    pub(super) maxx: Number,
    pub(super) maxy: Number,
}

impl From<BBox> for Edges {
    fn from(bbox: BBox) -> Self {
        Self::new(bbox, Number::Calculated)
    }
}

impl Edges {
    fn new(bbox: BBox, number: impl Fn(f64) -> Number) -> Self {
        let [minx, miny, maxx, maxy] = bbox.edges().map(number);
        Self { minx, miny, maxx, maxy }
    }

    /// Numbers of the configuration, or calculated ones except those that are edges of a limit.
    fn limited(bbox: BBox, is_configured: bool, limit: Option<BBox>) -> Self {
        let of_limit =
            |edge: f64| limit.is_some_and(|limit| limit.edges().iter().any(|other| edge.to_bits() == other.to_bits()));
        Self::new(bbox, |edge| {
            if is_configured || of_limit(edge) {
                Number::Configured(edge)
            } else {
                Number::Calculated(edge)
            }
        })
    }

    const fn swapped(self) -> Self {
        Self {
            minx: self.miny,
            miny: self.minx,
            maxx: self.maxy,
            maxy: self.maxx,
        }
    }
}

/// A box in one of the announced reference systems, in the axis order of the version.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BoxView {
    pub(super) srs: String,
    pub(super) edges: Edges,
}

/// Where the legend is, and its size in pixels if it is known.
#[derive(Debug)]
pub(super) struct LegendView {
    pub(super) url: String,
    pub(super) size: Option<(u32, u32)>,
}

impl LegendView {
    /// The DTDs of 1.1.x want a size; one pixel stands for an unknown one, as MapProxy has it.
    pub(super) fn size_or_one(&self) -> (u32, u32) {
        self.size.unwrap_or((1, 1))
    }
}

/// A layer with everything below it.
#[derive(Debug)]
pub(super) struct LayerView<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) title: &'a str,
    pub(super) is_root: bool,
    pub(super) queryable: bool,
    pub(super) keywords: Vec<Keyword<'a>>,
    /// what the root (in 1.0.0 each layer) announces
    pub(super) srs_codes: Vec<&'a str>,
    /// longitude and latitude
    pub(super) geographic: Edges,
    pub(super) bboxes: Vec<BoxView>,
    pub(super) dimensions: &'a [Dimension],
    pub(super) md: Option<&'a LayerMetadata>,
    pub(super) legend: Option<LegendView>,
    pub(super) style_name: &'static str,
    pub(super) children: Vec<Self>,
    res_range: Option<ResRange>,
}

/// What all layers of a document have in common.
struct Frame<'a, 'f> {
    service: &'a WmsService,
    version: WmsVersion,
    service_url: &'f str,
    srs_codes: Vec<&'a str>,
    legend_size: &'f dyn Fn(&str) -> Option<(u32, u32)>,
}

impl<'a> LayerView<'a> {
    /// The root layer: the only top layer, or an unnamed one around all of them. `legend_size` tells the size of a
    /// layer's legend if it is known.
    pub(super) fn tree(
        tree: &'a LayerTree,
        service: &'a WmsService,
        version: WmsVersion,
        service_url: &str,
        legend_size: &dyn Fn(&str) -> Option<(u32, u32)>,
    ) -> Self {
        let srs_codes = service.srs.iter().map(Srs::code).collect();
        let frame = Frame {
            service,
            version,
            service_url,
            srs_codes,
            legend_size,
        };
        match tree.roots.as_slice() {
            [root] => Self::new(root, &frame, true),
            roots => Self::around(roots, &frame),
        }
    }

    fn new(node: &'a LayerNode, frame: &Frame<'a, '_>, is_root: bool) -> Self {
        let layer = &node.layer;
        let children: Vec<Self> = node
            .children
            .iter()
            .map(|child| Self::new(child, frame, false))
            .collect();
        let legend = layer
            .name
            .as_deref()
            .filter(|_| layer.has_legend)
            .map(|name| LegendView {
                url: legend_url(frame, name),
                size: (frame.legend_size)(name),
            });
        let md = layer.md.as_ref();
        Self {
            name: layer.name.as_deref(),
            title: &layer.title,
            is_root,
            queryable: layer.queryable || children.iter().any(|child| child.queryable),
            keywords: md.map(|md| keywords(&md.keyword_list)).unwrap_or_default(),
            srs_codes: frame.srs_codes.clone(),
            geographic: geographic(&layer.extent, &frame.service.bbox_srs),
            bboxes: boxes(&layer.extent, frame),
            dimensions: &layer.dimensions,
            md,
            legend,
            style_name: style_name(frame.service),
            children,
            res_range: layer.res_range,
        }
    }

    fn around(roots: &'a [LayerNode], frame: &Frame<'a, '_>) -> Self {
        let children: Vec<Self> = roots.iter().map(|root| Self::new(root, frame, false)).collect();
        let extent = union(roots.iter().map(|root| &root.layer.extent)).unwrap_or_else(world);
        Self {
            name: None,
            title: &frame.service.md.title,
            is_root: true,
            queryable: children.iter().any(|child| child.queryable),
            keywords: Vec::new(),
            srs_codes: frame.srs_codes.clone(),
            geographic: geographic(&extent, &frame.service.bbox_srs),
            bboxes: boxes(&extent, frame),
            dimensions: &[],
            md: None,
            legend: None,
            style_name: style_name(frame.service),
            res_range: union_of_ranges(children.iter().map(|child| child.res_range)),
            children,
        }
    }

    pub(super) fn abstract_text(&self) -> Option<&'a str> {
        self.md.and_then(|md| md.abstract_text.as_deref())
    }

    pub(super) fn tells_legend(&self) -> bool {
        self.legend.is_some() || self.children.iter().any(Self::tells_legend)
    }

    /// Diagonal of a pixel in metres between which the layer is meant to be shown, finest first (OGC 01-068r3, 7.1.4.5.16).
    pub(super) fn scale_hint(&self) -> Option<(Number, Number)> {
        let range = self
            .res_range
            .filter(|range| range.min_res.is_some() || range.max_res.is_some())?;
        let diagonal = |res: f64| Number::Calculated((2.0 * res * res).sqrt());
        Some((
            range.max_res.map_or(Number::Configured(0.0), diagonal),
            // "no limit" has no notation of its own; nobody draws a pixel of this size
            range.min_res.map_or(Number::Configured(1e10), diagonal),
        ))
    }

    pub(super) fn min_scale_denominator(&self) -> Option<Number> {
        self.res_range?
            .max_res
            .map(|res| Number::Calculated(res / PIXEL_SIZE_METERS))
    }

    pub(super) fn max_scale_denominator(&self) -> Option<Number> {
        self.res_range?
            .min_res
            .map(|res| Number::Calculated(res / PIXEL_SIZE_METERS))
    }

    /// Links to metadata with the two types that 1.1.x knows; others cannot be told there.
    pub(super) fn metadata_urls_11x(&self) -> Vec<(&'static str, &'a LayerUrl)> {
        let links = self.md.map(|md| md.metadata.as_slice()).unwrap_or_default();
        let typed = |link: &'a LayerUrl| match link.kind.as_deref() {
            Some("TC211" | "ISO19115:2003") => Some(("TC211", link)),
            Some("FGDC" | "FGDC:1998") => Some(("FGDC", link)),
            _ => None,
        };
        links.iter().filter_map(typed).collect()
    }
}

fn style_name(service: &WmsService) -> &'static str {
    if service.inspire_md.is_some() {
        "inspire_common:DEFAULT"
    } else {
        "default"
    }
}

fn legend_url(frame: &Frame<'_, '_>, layer: &str) -> String {
    format!(
        "{}service=WMS&request=GetLegendGraphic&version={}&format=image%2Fpng&layer={}&sld_version=1.1.0",
        frame.service_url,
        version_code(frame.version),
        form_encode(layer),
    )
}

fn world() -> MapExtent {
    MapExtent::new(BBox::new(-180.0, -90.0, 180.0, 90.0), Srs::wgs84())
}

/// In longitude and latitude, inside what the service allows for `EPSG:4326` and short of the poles.
fn geographic(extent: &MapExtent, limits: &[BBoxSrs]) -> Edges {
    let wgs84 = Srs::wgs84();
    let mut limit = BBox::new(-180.0, -LATITUDE_LIMIT, 180.0, LATITUDE_LIMIT);
    let configured = limits
        .iter()
        .find(|entry| entry.srs == wgs84)
        .and_then(|entry| entry.bbox);
    if let Some(both) = configured.and_then(|configured| limit.intersection(&configured)) {
        limit = both;
    }
    let bbox = extent.bbox_in(&wgs84).ok().filter(BBox::is_finite);
    let bbox = bbox.and_then(|bbox| bbox.intersection(&limit)).unwrap_or(limit);
    Edges::limited(bbox, extent.srs == wgs84, Some(limit))
}

/// A box for each entry of `bbox_srs`, and one in the layer's own SRS if that is announced.
fn boxes(extent: &MapExtent, frame: &Frame<'_, '_>) -> Vec<BoxView> {
    let entries = &frame.service.bbox_srs;
    let listed = entries
        .iter()
        .filter_map(|entry| Some((&entry.srs, limited(extent, entry)?)));
    let own_code = extent.srs.code();
    let own_is_announced = frame.srs_codes.contains(&own_code) && entries.iter().all(|e| e.srs.code() != own_code);
    let own = own_is_announced.then(|| (&extent.srs, Edges::limited(extent.bbox, true, None)));
    let north_first = |srs: &Srs| frame.version == WmsVersion::V130 && srs.is_axis_order_ne();
    listed
        .chain(own)
        .map(|(srs, edges)| BoxView {
            srs: srs.code().to_owned(),
            edges: if north_first(srs) { edges.swapped() } else { edges },
        })
        .collect()
}

/// The part of the extent that may be asked for in an SRS, if there is any and it has an image there.
fn limited(extent: &MapExtent, entry: &BBoxSrs) -> Option<Edges> {
    let is_own = extent.srs == entry.srs;
    let bbox = match entry.bbox {
        None if is_own => extent.bbox,
        None => extent.bbox_in(&entry.srs).ok()?,
        // what has no extent of its own is everywhere where one may ask
        Some(limit) if *extent == world() => limit,
        Some(limit) if is_own => extent.bbox.intersection(&limit)?,
        Some(limit) => {
            let wgs84 = Srs::wgs84();
            let limit = MapExtent::new(limit, entry.srs.clone()).bbox_in(&wgs84).ok()?;
            let part = extent.bbox_in(&wgs84).ok()?.intersection(&limit)?;
            MapExtent::new(part, wgs84).bbox_in(&entry.srs).ok()?
        }
    };
    bbox.is_finite().then(|| Edges::limited(bbox, is_own, entry.bbox))
}

/// One extent around all: in their SRS if they share one, in longitude and latitude otherwise.
fn union<'e>(extents: impl Iterator<Item = &'e MapExtent>) -> Option<MapExtent> {
    extents.cloned().reduce(|all, next| {
        if all.srs == next.srs {
            return MapExtent::new(all.bbox.union(&next.bbox), all.srs);
        }
        let wgs84 = Srs::wgs84();
        match (all.bbox_in(&wgs84), next.bbox_in(&wgs84)) {
            (Ok(first), Ok(second)) => MapExtent::new(first.union(&second), wgs84),
            _ => world(),
        }
    })
}

/// The range in which at least one of them is shown; none if one of them is always shown.
fn union_of_ranges(ranges: impl Iterator<Item = Option<ResRange>>) -> Option<ResRange> {
    let ranges: Vec<ResRange> = ranges.collect::<Option<_>>()?;
    ranges.into_iter().reduce(|all, next| ResRange {
        min_res: all.min_res.zip(next.min_res).map(|(first, second)| first.max(second)),
        max_res: all.max_res.zip(next.max_res).map(|(first, second)| first.min(second)),
    })
}
