//! Reference systems: codes, axis order, transformations and bounding boxes.
//!
//! Answers to MapProxy's `srs.py`. Everything here works in traditional GIS order, x is always east;
//! the axis order of a protocol message is undone where it is parsed, with [`Srs::is_axis_order_ne`].

mod bbox;
mod definition;
mod error;
#[cfg(test)]
mod golden;
mod preferred;
mod python_float;
mod reference;
mod scale;
mod transformer;

pub use bbox::BBox;
pub use error::SrsError;
pub use preferred::{PreferredSrs, best_srs};
pub use python_float::python_float;
pub use reference::Srs;
pub use scale::{METERS_PER_DEGREE, PIXEL_SIZE_METERS, res_to_scale, scale_to_res};
pub use transformer::{AxisMappings, Transformer, separable};
