//! [`Coverage`]: a box or polygons in a reference system.

use serde::{Deserialize, Serialize};

use super::{CoverageError, MapExtent, Polygon};
use crate::srs::{BBox, Srs, Transformer};

/// An area that limits where something is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    srs: Srs,
    /// The box itself, or the box around the polygons.
    bbox: BBox,
    shape: Shape,
    /// Whether maps are cut along the edge (`clip: true`), not only left out where they do not touch it.
    pub clip: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    BBox,
    /// Not overlapping, at least one.
    Polygons(Vec<Polygon>),
}

impl Coverage {
    /// A box.
    pub const fn from_bbox(bbox: BBox, srs: Srs) -> Self {
        Self {
            srs,
            bbox,
            shape: Shape::BBox,
            clip: false,
        }
    }

    /// Polygons that do not overlap.
    pub(super) fn from_disjoint_polygons(polygons: Vec<Polygon>, srs: Srs) -> Result<Self, CoverageError> {
        let bbox = polygons
            .iter()
            .filter_map(Polygon::bbox)
            .reduce(|a, b| a.union(&b))
            .ok_or(CoverageError::NoPolygons)?;
        Ok(Self {
            srs,
            bbox,
            shape: Shape::Polygons(polygons),
            clip: false,
        })
    }

    /// The same area, cutting maps along its edge or not.
    #[must_use]
    pub const fn with_clip(mut self, clip: bool) -> Self {
        self.clip = clip;
        self
    }

    /// The system of the area's coordinates.
    pub fn srs(&self) -> &Srs {
        &self.srs
    }

    /// The box around the area.
    pub fn extent(&self) -> MapExtent {
        MapExtent::new(self.bbox, self.srs.clone())
    }

    /// The polygons; `None` if the area is a box.
    pub fn polygons(&self) -> Option<&[Polygon]> {
        match &self.shape {
            Shape::BBox => None,
            Shape::Polygons(polygons) => Some(polygons),
        }
    }

    /// Whether a map of `bbox` shows anything of the area. A box that cannot be transformed does not.
    pub fn intersects(&self, bbox: BBox, srs: &Srs) -> bool {
        let Ok(bbox) = srs.transform_bbox(&self.srs, bbox) else {
            return false;
        };
        match &self.shape {
            Shape::BBox => self.bbox.intersects(&bbox),
            Shape::Polygons(polygons) => {
                touches(&self.bbox, &bbox)
                    && polygons.iter().any(|polygon| {
                        // the box around a single polygon is the area's
                        (polygons.len() == 1 || polygon.bbox().is_some_and(|around| touches(&around, &bbox)))
                            && polygon.intersects(&bbox)
                    })
            }
        }
    }

    /// Whether a map of `bbox` shows nothing but the area.
    pub fn contains(&self, bbox: BBox, srs: &Srs) -> bool {
        let Ok(bbox) = srs.transform_bbox(&self.srs, bbox) else {
            return false;
        };
        match &self.shape {
            Shape::BBox => self.bbox.contains(&bbox),
            Shape::Polygons(polygons) => {
                self.bbox.contains(&bbox)
                    && polygons.iter().any(|polygon| {
                        (polygons.len() == 1 || polygon.bbox().is_some_and(|around| around.contains(&bbox)))
                            && polygon.contains(&bbox)
                    })
            }
        }
    }

    /// The area in another system. A box stays a box, the one around 16 points of its edge; of polygons every corner
    /// is transformed, and corners without an image are left out.
    pub fn transform_to(&self, srs: &Srs) -> Result<Self, CoverageError> {
        if *srs == self.srs {
            return Ok(Self {
                srs: srs.clone(),
                ..self.clone()
            });
        }
        match &self.shape {
            Shape::BBox => {
                let bbox = self.srs.transform_bbox(srs, self.bbox)?;
                Ok(Self::from_bbox(bbox, srs.clone()).with_clip(self.clip))
            }
            Shape::Polygons(polygons) => {
                let transformer = Transformer::new(&self.srs, srs)?;
                let polygons = polygons
                    .iter()
                    .filter_map(|polygon| polygon.transform(&transformer))
                    .collect();
                Ok(Self::from_disjoint_polygons(polygons, srs.clone())?.with_clip(self.clip))
            }
        }
    }
}

pub(super) fn touches(a: &BBox, b: &BBox) -> bool {
    a.minx <= b.maxx && a.maxx >= b.minx && a.miny <= b.maxy && a.maxy >= b.miny
}
