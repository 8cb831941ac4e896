//! Documents made of templates. (`askama` escapes every value for HTML and XML by itself.)

use askama::Template;

use crate::srs::{BBox, python_float};

/// The document as text.
pub(super) fn render(template: &impl Template) -> String {
    template
        .render()
        .expect("a template fails only if a value's Display does, and those of strings and numbers do not")
}

/// Edges of a box as text, written as MapProxy writes numbers.
pub(super) struct BoxText {
    pub minx: String,
    pub miny: String,
    pub maxx: String,
    pub maxy: String,
}

impl From<BBox> for BoxText {
    fn from(bbox: BBox) -> Self {
        let [minx, miny, maxx, maxy] = bbox.edges().map(python_float);
        Self { minx, miny, maxx, maxy }
    }
}
