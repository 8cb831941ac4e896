//! GetCapabilities: what the service can do and which layers it has, as documents of the four versions.
//!
//! The documents follow the OGC's DTDs (1.0.0 to 1.1.1) and schema (1.3.0). Where MapProxy's own templates leave the
//! DTD (values inside `Dimension` in 1.1.x) ours keep to it. Sizes of legends are told where the legend is stored
//! already; asking upstream servers for them would make capabilities as slow as the slowest of them.
//! (MapProxy: `service/wms.py`, `service/templates/`.)

mod document;
mod layer;
mod tile_sets;

pub(super) use document::capabilities;

#[cfg(test)]
mod tests;
