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

    /// The part of it within `limit`, in its own system; `None` if there is none.
    #[must_use]
    pub fn within(&self, limit: &Self) -> Option<Self> {
        let bbox = limit.bbox_in(&self.srs).ok()?.intersection(&self.bbox)?;
        Some(Self::new(bbox, self.srs.clone()))
    }
}
