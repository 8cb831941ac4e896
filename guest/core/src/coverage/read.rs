//! Areas from files and texts.

use super::operations::merge_overlapping;
use super::{Coverage, CoverageError, Polygon, expire_tiles, geojson, geopackage, shapefile, wkt};
use crate::srs::Srs;

/// First bytes of a `.shp` file: 9994, big endian.
const SHAPEFILE_MAGIC: [u8; 4] = [0, 0, 0x27, 0x0a];

impl Coverage {
    /// Reads a coverage file: a shapefile's `.shp`, a GeoPackage, GeoJSON, or WKT polygons, one per line. What it is shows in its
    /// first bytes, as in MapProxy, not in its name.
    pub fn from_file(content: &[u8], srs: Srs) -> Result<Self, CoverageError> {
        if content.starts_with(&SHAPEFILE_MAGIC) {
            return Self::from_shapefile(content, srs);
        }
        if content.starts_with(geopackage::MAGIC) {
            return Self::from_polygons(geopackage::read(content)?, srs);
        }
        let text = std::str::from_utf8(content).map_err(|error| CoverageError::Syntax {
            format: "coverage file",
            place: format!("byte {}", error.valid_up_to()),
            problem:
                "neither UTF-8 text nor a shapefile: expected WKT polygons, GeoJSON, a `.shp` file or a GeoPackage"
                    .to_owned(),
        })?;
        let text = text.trim_start_matches('\u{feff}');
        if text.trim_start().starts_with('{') {
            Self::from_geojson(text, srs)
        } else {
            Self::from_wkt(text, srs)
        }
    }

    /// Reads `POLYGON` and `MULTIPOLYGON` texts, one per line; other geometries are left out.
    pub fn from_wkt(text: &str, srs: Srs) -> Result<Self, CoverageError> {
        Self::from_polygons(wkt::read(text)?, srs)
    }

    /// Reads the polygons of a GeoJSON geometry, feature or collection; other geometries are left out.
    pub fn from_geojson(text: &str, srs: Srs) -> Result<Self, CoverageError> {
        Self::from_polygons(geojson::read(text)?, srs)
    }

    /// Reads the polygons of a shapefile's `.shp` part.
    pub fn from_shapefile(content: &[u8], srs: Srs) -> Result<Self, CoverageError> {
        Self::from_polygons(shapefile::read(content)?, srs)
    }

    /// Reads lists of expired tiles: the name (for messages) and the text of each file, with `z/x/y` lines, rows
    /// counted from the north. The area is that of the tiles in `EPSG:3857`.
    pub fn from_expire_tiles<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, CoverageError> {
        Self::from_polygons(expire_tiles::read(files)?, Srs::web_mercator())
    }

    /// Any polygons; those that overlap are merged.
    pub fn from_polygons(polygons: Vec<Polygon>, srs: Srs) -> Result<Self, CoverageError> {
        Self::from_disjoint_polygons(merge_overlapping(polygons), srs)
    }
}
