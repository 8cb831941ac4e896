//! `coverage`: boxes, polygons from files, and combinations of them (behaviour section 16).

use super::{Resolver, bbox, flag};
use crate::config::yaml::{At, Node};
use crate::coverage::{Coverage, CoverageError};
use crate::srs::Srs;

/// A coverage, or why there is none. What it limits must not be served without limits then.
pub(super) type Limit = Result<Option<Coverage>, String>;

impl Resolver<'_, '_> {
    /// The `coverage` of a source or cache. Mistakes are errors; data that is not there is a warning and makes the thing
    /// it limits unusable, for which the text in `Err` is the reason.
    pub(super) fn coverage(&mut self, owner: &Node) -> Limit {
        match owner.get("coverage") {
            Some(node) if node.is_map() => self
                .area(node)
                .map(|area| area.map(|area| area.with_clip(flag(node, "clip").unwrap_or(false)))),
            _ => Ok(None),
        }
    }

    /// An area of a seed configuration. `None`: it is read, and holds no polygon.
    pub(super) fn seed_area(&mut self, node: &Node) -> Limit {
        self.empty_areas = true;
        let area = self.area(node);
        self.empty_areas = false;
        area
    }

    fn area(&mut self, node: &Node) -> Limit {
        type Combine = fn(&[Coverage]) -> Result<Coverage, CoverageError>;
        let combinations: [(&str, Combine); 3] = [
            ("union", Coverage::union),
            ("intersection", Coverage::common),
            ("difference", Coverage::difference),
        ];
        for (key, combine) in combinations {
            if let Some(list) = node.get(key) {
                let mut parts = Vec::new();
                for part in list.items() {
                    parts.extend(self.area(part)?);
                }
                if parts.len() < list.items().len() {
                    return Err("its coverage is not complete".to_owned());
                }
                return combine(&parts)
                    .map(Some)
                    .map_err(|error| self.unusable(node.at, format!("the {key} cannot be made: {error}")));
            }
        }
        if let Some(area) = node.get("bbox") {
            let srs = self.area_srs(node, &["srs", "bbox_srs"])?;
            let Some(bbox) = bbox(area) else {
                return Err("its coverage is wrong".to_owned());
            };
            if bbox.is_empty() {
                self.findings
                    .error(area.at, "the box is empty")
                    .expect("expected `[minx, miny, maxx, maxy]` with minx < maxx and miny < maxy");
                return Err("its coverage is empty".to_owned());
            }
            return Ok(Some(Coverage::from_bbox(bbox, srs)));
        }
        if let Some(file) = node.get("expire_tiles") {
            return self.expire_tiles(file);
        }
        for (key, srs_key, filter) in [
            ("datasource", "srs", "where"),
            ("polygons", "polygons_srs", ""),
            ("ogr_datasource", "ogr_srs", "ogr_where"),
        ] {
            if let Some(file) = node.get(key) {
                let srs = self.area_srs(node, &[srs_key, "srs"])?;
                if let Some(filter) = node.get(filter) {
                    return Err(self.unusable(filter.at, "not supported yet: a filter of a data source".to_owned()));
                }
                return self.polygons(file, srs);
            }
        }
        self.findings
            .error(node.at, "the coverage has no area")
            .expect("expected one of `bbox`, `datasource`, `union`, `intersection`, `difference`");
        Err("its coverage has no area".to_owned())
    }

    fn area_srs(&mut self, node: &Node, keys: &[&str]) -> Result<Srs, String> {
        let Some(srs) = keys.iter().find_map(|key| node.get(key)) else {
            self.findings
                .error(node.at, "`srs` is missing")
                .expect("expected the reference system of the coverage");
            return Err("its coverage has no reference system".to_owned());
        };
        self.srs(srs)
            .ok_or_else(|| "its coverage has an unknown reference system".to_owned())
    }

    fn polygons(&mut self, file: &Node, srs: Srs) -> Limit {
        let Some(name) = file.as_text() else {
            // a list of numbers is a box
            return match bbox(file) {
                Some(bbox) => Ok(Some(Coverage::from_bbox(bbox, srs))),
                None => Err(self.unusable(file.at, "the data source is neither a file nor a box".to_owned())),
            };
        };
        if name.contains("://")
            || name
                .split_once(':')
                .is_some_and(|(driver, _)| driver.len() > 1 && driver.chars().all(|c| c.is_ascii_alphabetic()))
        {
            return Err(self.unusable(file.at, format!("not supported yet: the data source `{name}`; files of WKT polygons, GeoJSON, shapefiles (`.shp`) and GeoPackages work")));
        }
        let path = self.path(&name);
        match self.read(&path) {
            Ok(Some(content)) => match Coverage::from_file(&content, srs) {
                Ok(area) => Ok(Some(area)),
                Err(CoverageError::NoPolygons) if self.empty_areas => Ok(None),
                Err(error) => Err(self.unusable(file.at, format!("cannot read the coverage `{name}`: {error}"))),
            },
            Ok(None) => Err("its coverage is not read yet".to_owned()),
            Err(reason) => Err(self.unusable(file.at, format!("cannot read the coverage `{name}`: {reason}"))),
        }
    }

    fn expire_tiles(&mut self, file: &Node) -> Limit {
        let name = file.as_text().unwrap_or_default();
        let path = self.path(&name);
        match self.read(&path) {
            Ok(Some(content)) => {
                let text = String::from_utf8_lossy(&content);
                Coverage::from_expire_tiles([(name.as_str(), &*text)])
                    .map(Some)
                    .map_err(|error| self.unusable(file.at, format!("cannot read the coverage `{name}`: {error}")))
            }
            Ok(None) => Err("its coverage is not read yet".to_owned()),
            Err(reason) => Err(self.unusable(file.at, format!("cannot read the coverage `{name}`: {reason}"))),
        }
    }

    /// Warns, and returns the text for whoever asks for what the coverage limits.
    fn unusable(&mut self, at: At, message: String) -> String {
        self.findings
            .warn(at, message.clone())
            .expect("what it limits is not served");
        message
    }
}

/// Path of a `file://` URL.
pub(super) fn file_url(url: &str) -> Option<&str> {
    url.strip_prefix("file://")
}
