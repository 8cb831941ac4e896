//! [`MapExtent`]: a box together with its reference system.

use serde::{Deserialize, Serialize};

use crate::srs::{BBox, Srs, SrsError};

/// A bounding box with its reference system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapExtent {
    /// The box, x east.
    pub bbox: BBox,
    /// What its numbers mean.
    pub srs: Srs,
}

impl MapExtent {
    /// A box in a system.
    pub const fn new(bbox: BBox, srs: Srs) -> Self {
        Self { bbox, srs }
    }

    /// The box in another system.
    pub fn bbox_in(&self, srs: &Srs) -> Result<BBox, SrsError> {
        self.srs.transform_bbox(srs, self.bbox)
    }
}
