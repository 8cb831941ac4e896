//! The checked configuration, as requests use it: names resolved, defaults filled in, grids and coverages built.
//!
//! The compiler (`config::compile`) makes these from the YAML once; `config::compiled` stores each as a segment of
//! its own, and a request reads only the segments it touches. Paths are absolute. Nothing here can be wrong any more:
//! a layer whose source is not supported yet carries [`SourceKind::Unsupported`] and answers with that message.

use serde::{Deserialize, Serialize};

pub use crate::coverage::MapExtent;

use crate::coverage::Coverage;
use crate::image::{ImageFormat, ImageOptions};
use crate::srs::{BBox, PreferredSrs, Srs};

/// `globals` and what the dispatcher needs: one small segment, read by every request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Application {
    /// `globals.http.access_control_allow_origin`; `None` switches the header off
    pub cors_origin: Option<String>,
    /// `globals.tiles.expires_hours` in seconds
    pub tile_expires_s: u64,
    pub services: EnabledServices,
    /// `globals.cache.base_dir`
    pub base_dir: String,
    /// `globals.cache.lock_dir`
    pub lock_dir: String,
    pub preferred_src: PreferredSrs,
    /// `globals.background.url`, the demo page's background map
    pub background_url: Option<String>,
    /// Limits on answers of upstream servers
    pub max_upstream_bytes: u64,
    pub max_upstream_pixels: u64,
    /// Largest number of tiles one map may need (`globals.cache.max_tile_limit`)
    pub max_tile_limit: u64,
}

/// Which services the configuration switches on.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "one per service, as in the YAML")]
pub struct EnabledServices {
    pub wms: bool,
    pub wmts: bool,
    pub tms: bool,
    pub kml: bool,
    pub demo: bool,
    pub ogcapi: bool,
}

/// `services.wms`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WmsService {
    /// ascending
    pub versions: Vec<WmsVersion>,
    /// codes as configured, upper case, in order
    pub srs: Vec<Srs>,
    pub bbox_srs: Vec<BBoxSrs>,
    /// in order of the configuration; the first is the default
    pub image_formats: Vec<ServiceFormat>,
    /// `text`, `html`, `xml`, `json`, in order
    pub featureinfo_types: Vec<String>,
    /// `featureinfo_xslt`: type to text of the style sheet
    pub featureinfo_xslt: Vec<(String, String)>,
    pub on_source_errors: OnSourceErrors,
    pub max_output_pixels: u64,
    /// `concurrent_layer_renderer`: how many layers of a map are asked for at a time, at least 1
    pub concurrent_layer_renderer: u32,
    pub strict: bool,
    pub attribution: Option<String>,
    /// `globals.http`: how the servers of static legends are asked
    pub http: SourceHttp,
    pub md: ServiceMetadata,
    pub inspire_md: Option<InspireMetadata>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WmsVersion {
    V100,
    V110,
    V111,
    V130,
}

/// An entry of `bbox_srs`: with a box it limits what may be asked in that SRS.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BBoxSrs {
    pub srs: Srs,
    pub bbox: Option<BBox>,
}

/// A format a service offers: what clients call it and how it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceFormat {
    /// `image/png`, or a custom name from `globals.image.formats`
    pub mime: String,
    pub options: ImageOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnSourceErrors {
    /// the first error is the answer
    Raise,
    /// errors are written into the map as long as one source answered
    Notify,
}

/// `md` of a service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ServiceMetadata {
    pub title: String,
    pub abstract_text: Option<String>,
    pub online_resource: Option<String>,
    pub contact: Option<Contact>,
    pub fees: Option<String>,
    pub access_constraints: Option<String>,
    pub keyword_list: Vec<KeywordList>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Contact {
    pub person: Option<String>,
    pub position: Option<String>,
    pub organization: Option<String>,
    pub address: Option<String>,
    pub address_type: Option<String>,
    pub city: Option<String>,
    pub state: Option<String>,
    pub postcode: Option<String>,
    pub country: Option<String>,
    pub phone: Option<String>,
    pub fax: Option<String>,
    pub email: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct KeywordList {
    pub vocabulary: Option<String>,
    pub keywords: Vec<String>,
}

/// `inspire_md`, linked or embedded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum InspireMetadata {
    Linked {
        metadata_url: MetadataUrl,
        languages: Languages,
    },
    Embedded(Box<InspireEmbedded>),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Languages {
    pub default: String,
    pub others: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MetadataUrl {
    pub url: String,
    pub media_type: Option<String>,
    /// `type` of layer metadata: `TC211`, `FGDC`, …
    pub kind: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct InspireEmbedded {
    pub resource_locators: Vec<MetadataUrl>,
    pub temporal_reference: Option<InspireTemporal>,
    pub conformities: Vec<InspireConformity>,
    /// organisation name, e-mail
    pub metadata_points_of_contact: Vec<(String, String)>,
    pub mandatory_keywords: Vec<String>,
    pub keywords: Vec<InspireKeywords>,
    pub metadata_date: Option<String>,
    pub metadata_url: Option<MetadataUrl>,
    pub languages: Languages,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct InspireTemporal {
    pub date_of_publication: Option<String>,
    pub date_of_creation: Option<String>,
    pub date_of_last_revision: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct InspireConformity {
    pub title: String,
    pub uris: Vec<String>,
    pub date_of_publication: Option<String>,
    pub date_of_creation: Option<String>,
    pub date_of_last_revision: Option<String>,
    pub resource_locators: Vec<MetadataUrl>,
    pub degree: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct InspireKeywords {
    pub title: String,
    pub date_of_publication: Option<String>,
    pub date_of_creation: Option<String>,
    pub date_of_last_revision: Option<String>,
    pub uris: Vec<String>,
    pub resource_locators: Vec<MetadataUrl>,
    pub keyword_value: String,
}

/// `services.wmts`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WmtsService {
    pub kvp: bool,
    pub restful: bool,
    pub restful_template: String,
    pub restful_featureinfo_template: String,
    /// media type, suffix
    pub featureinfo_formats: Vec<(String, String)>,
    pub md: ServiceMetadata,
}

/// `services.tms`, and what `/tiles` takes from it
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TmsService {
    pub use_grid_names: bool,
    /// `tms.origin` for `/tiles`; unset: the grid's own
    pub origin: Option<crate::grid::Origin>,
    /// `md`, filled up from `services.wms.md`: title, abstract, keywords and contact of the capabilities
    pub md: ServiceMetadata,
}

/// `services.kml`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KmlService {
    pub use_grid_names: bool,
}

/// The layer tree as capabilities show it; map requests do not read it.
#[derive(Debug, Clone, Default)]
pub struct LayerTree {
    /// top layers in order; with more than one, capabilities wrap them in an unnamed layer with the service's title
    pub roots: Vec<LayerNode>,
}

#[derive(Debug, Clone)]
pub struct LayerNode {
    pub layer: Layer,
    pub children: Vec<Self>,
}

/// A named layer (or an unnamed group, in the tree alone).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Layer {
    pub name: Option<String>,
    pub title: String,
    /// What draws it, bottom first; a WMS with `map: false` is among them for its feature information and legend, but
    /// draws nothing. Empty for a group without `sources`, which stands for its children.
    pub sources: Vec<LayerSource>,
    /// Names of the layers below it in drawing order, all depths flattened to those that draw (used when `sources` is empty)
    pub children: Vec<String>,
    /// Caches behind `tile_sources`, for the tile services alone
    pub tile_sources: Vec<String>,
    pub res_range: Option<ResRange>,
    pub extent: MapExtent,
    /// At least one source answers GetFeatureInfo
    pub queryable: bool,
    /// At least one source has a legend, or `legendurl` is set
    pub has_legend: bool,
    pub legendurl: Option<String>,
    pub wmts_kvp_legendurl: Option<String>,
    pub wmts_rest_legendurl: Option<String>,
    pub dimensions: Vec<Dimension>,
    pub md: Option<LayerMetadata>,
}

/// What a layer or cache names as a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerSource {
    /// key of a `cache` segment
    Cache(String),
    /// key of a `source` segment; `name:layer1,layer2` has a segment of its own
    Source(String),
}

/// Resolutions in metres per pixel between which something is drawn: `min_res` is the coarsest (largest number).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ResRange {
    pub min_res: Option<f64>,
    pub max_res: Option<f64>,
}

/// A dimension with its values written out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimension {
    /// as configured: `time`, `elevation`, `dim_level`
    pub name: String,
    pub values: Vec<String>,
    pub default: String,
}

/// `md` of a layer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LayerMetadata {
    pub abstract_text: Option<String>,
    pub keyword_list: Vec<KeywordList>,
    pub attribution: Option<Attribution>,
    /// url, name of the authority
    pub identifier: Vec<(String, String, String)>,
    pub metadata: Vec<LayerUrl>,
    pub data: Vec<LayerUrl>,
    pub feature_list: Vec<LayerUrl>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Attribution {
    pub title: Option<String>,
    pub url: Option<String>,
    pub logo: Option<AttributionLogo>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AttributionLogo {
    pub url: String,
    pub width: u32,
    pub height: u32,
    pub format: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LayerUrl {
    pub url: String,
    /// `TC211`, `FGDC`, …
    pub kind: Option<String>,
    pub format: String,
}

/// A layer as the tile services see it: one layer, one cache, one grid.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TileLayer {
    /// name of the layer
    pub name: String,
    pub title: String,
    /// key of the `cache` segment
    pub cache: String,
    /// key of the `grid` segment
    pub grid: String,
    /// `EPSG900913`: SRS code without colon, for addresses like `name_EPSG900913`
    pub srs_path: String,
    /// what the URL ends in: `png`, `jpeg`
    pub format: String,
    /// what capabilities say: `image/png`
    pub mime: String,
    pub extent: MapExtent,
    pub dimensions: Vec<Dimension>,
    pub md: Option<LayerMetadata>,
    /// Its sources answer GetFeatureInfo; the layer's map sources to ask
    pub info_sources: Vec<LayerSource>,
    pub legendurl: Option<String>,
    pub wmts_kvp_legendurl: Option<String>,
    pub wmts_rest_legendurl: Option<String>,
    pub has_legend: bool,
}

/// A cache of `caches`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "switches of the YAML")]
pub struct Cache {
    pub name: String,
    /// keys of `grid` segments, at least one
    pub grids: Vec<String>,
    pub sources: CacheSources,
    pub backend: CacheBackend,
    /// how tiles are stored
    pub image: ImageOptions,
    /// format of `image` or `mixed`
    pub format: ImageFormat,
    /// what sources are asked for
    pub request_format: ImageFormat,
    pub meta_size: (u32, u32),
    pub meta_buffer: u32,
    pub bulk_meta_tiles: bool,
    pub minimize_meta_requests: bool,
    pub concurrent_tile_creators: u32,
    pub disable_storage: bool,
    pub use_direct_from: Option<DirectFrom>,
    pub link_single_color_images: SingleColorLinks,
    pub upscale_tiles: u32,
    pub downscale_tiles: u32,
    pub cache_rescaled_tiles: bool,
    pub refresh_before: Option<RefreshBefore>,
    pub watermark: Option<Watermark>,
    /// `cache.coverage`: limits which tiles exist
    pub coverage: Option<Coverage>,
    /// directory of the tile locks
    pub tile_lock_dir: String,
    /// seconds a tile lock is waited for (`globals.http.client_timeout`)
    pub lock_timeout_s: f64,
    /// what the map of all sources can cover of each grid, in their order; all of it where there is none
    pub extents: Vec<Option<MapExtent>>,
    /// map requests that need at least this many tiles are refused
    pub max_tile_limit: u64,
    /// a message if a part of it is not supported yet: requests that need it answer this
    pub unsupported: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum CacheSources {
    /// bottom first
    Layers(Vec<LayerSource>),
    Bands(BandMerge),
}

/// `sources: {r: [...], g: …}`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BandMerge {
    /// target band (`r g b a l`), what is added up in it
    pub bands: Vec<(char, Vec<BandSource>)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BandSource {
    pub source: LayerSource,
    pub band: u8,
    pub factor: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum DirectFrom {
    Level(u32),
    /// units of the grid's SRS per pixel
    Res(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SingleColorLinks {
    Off,
    Symlink,
    Hardlink,
}

/// When a stored tile is too old.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RefreshBefore {
    /// seconds before now
    Age(f64),
    /// seconds since 1970
    Time(f64),
    /// modification time of this file
    FileTime(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watermark {
    pub text: String,
    pub font_size: u32,
    pub color: [u8; 3],
    /// 0 to 255
    pub opacity: u8,
    pub wide: bool,
}

/// Where tiles are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheBackend {
    File(FileCache),
    /// a type that later work brings: its name in the YAML
    Unsupported {
        kind: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCache {
    /// absolute directory of the tiles of each grid, in the order of `Cache::grids`
    pub directories: Vec<String>,
    pub layout: DirectoryLayout,
    /// extension of tile files: `png`, `jpeg`, `mixed`
    pub extension: String,
    /// where single colour tiles are: `<cache_dir>/single_color_tiles`
    pub directory_permissions: Option<u32>,
    pub file_permissions: Option<u32>,
}

/// MapProxy's directory layouts for tile x=3, y=4, z=2, extension png.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryLayout {
    /// `02/000/000/003/000/000/004.png`
    Tc,
    /// `02/0000/0003/0000/0004.png`
    Mp,
    /// `2/3/4.png`
    Tms,
    /// `4/3/2.png`
    ReverseTms,
    /// `11.png`
    Quadkey,
    /// `L02/R00000004/C00000003.png`
    Arcgis,
}

/// A source of `sources`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Source {
    /// key of the segment: the name, with `:layers` where they are named in the reference
    pub name: String,
    pub kind: SourceKind,
    pub coverage: Option<Coverage>,
    /// only seeding asks it
    pub seed_only: bool,
    pub res_range: Option<ResRange>,
    pub image: ImageOptions,
    pub opacity: Option<f64>,
    pub transparent_color: Option<[u8; 3]>,
    pub transparent_color_tolerance: u8,
    pub http: SourceHttp,
    pub on_error: Vec<OnErrorRule>,
    /// 0: as many as come
    pub concurrent_requests: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum SourceKind {
    Wms(Box<WmsSource>),
    Tile(TileSource),
    Debug,
    Arcgis(Box<ArcgisSource>),
    /// `mapserver`, `mapnik`, `ogcapitiles`, `ogcapimaps`: the type and what to tell whoever asks
    Unsupported {
        kind: String,
        message: String,
    },
}

/// `type: wms`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "switches of the YAML")]
pub struct WmsSource {
    /// absolute URL, may have a query part; credentials are in `SourceHttp`
    pub url: String,
    pub version: WmsVersion,
    /// `req` without `url`: names as spelled in the YAML, values as strings, in order; `layers` joined by `,`
    pub params: Vec<(String, String)>,
    pub transparent: bool,
    /// empty: all
    pub supported_srs: Vec<Srs>,
    /// empty: all
    pub supported_formats: Vec<ImageFormat>,
    pub forward_req_params: Vec<String>,
    pub map: bool,
    pub featureinfo: bool,
    pub featureinfo_format: Option<String>,
    /// text of the style sheet
    pub featureinfo_xslt: Option<String>,
    pub featureinfo_out_format: Option<String>,
    pub query_layers: Option<String>,
    pub legendgraphic: bool,
    /// static legend
    pub legendurl: Option<String>,
}

/// `type: tile`. `%(format)s` in its URL is the `request_format` of the cache, as in MapProxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TileSource {
    /// with `%(z)s` and the like
    pub url: String,
    /// key of the `grid` segment
    pub grid: String,
    pub transparent: bool,
}

/// `type: arcgis`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "switches of the YAML")]
pub struct ArcgisSource {
    /// completed to `…/MapServer/export` or `…/ImageServer/exportImage`
    pub url: String,
    pub params: Vec<(String, String)>,
    pub transparent: bool,
    pub supported_srs: Vec<Srs>,
    pub map: bool,
    pub featureinfo: bool,
    pub featureinfo_tolerance: u32,
    pub featureinfo_return_geometries: bool,
}

/// How a source's server is asked (`http` of the source over `globals.http`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceHttp {
    pub timeout_s: f64,
    pub method: HttpMethod,
    pub headers: Vec<(String, String)>,
    /// from `http://user:password@host/`
    pub credentials: Option<(String, String)>,
    pub hide_error_details: bool,
    pub manage_cookies: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpMethod {
    Auto,
    Get,
    Post,
}

/// An entry of `on_error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnErrorRule {
    /// `None`: `other`
    pub status: Option<u16>,
    /// colour of the answer (RGBA); `None`: `transparent`
    pub response: Option<[u8; 4]>,
    pub cache: bool,
    pub authorize_stale: bool,
}

/// How a tile layer can be addressed: the pieces beside the layer's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TileLayerKey {
    /// name of the grid, as in the segment's name `<layer>/<grid>`
    pub grid: String,
    /// `EPSG900913`
    pub srs_path: String,
}

/// A task of `seed.yaml` on one grid of one cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeedTask {
    pub kind: SeedKind,
    /// key in `seeds` or `cleanups`
    pub name: String,
    /// key of the `cache` segment
    pub cache: String,
    /// key of the `grid` segment
    pub grid: String,
    /// ascending, of the grid, at least one
    pub levels: Vec<u32>,
    /// tiles that touch any of these; empty: the whole grid
    pub coverages: Vec<Coverage>,
    pub coverage_names: Vec<String>,
    /// `refresh_before` or `remove_before`
    pub before: Option<RefreshBefore>,
    pub remove_all: bool,
    /// why it cannot be run
    pub unusable: Option<String>,
    /// its coverages have no area: there is nothing to do
    pub empty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeedKind {
    Seed,
    Cleanup,
}
