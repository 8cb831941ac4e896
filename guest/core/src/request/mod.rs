//! Requests as clients send them: query parameters and the OGC messages made of them. Parsed once into types the
//! services can trust. (MapProxy: `request/`.)

mod base;
mod params;
pub mod tile;
pub mod wms;
pub mod wmts;

pub use base::{PublicAddress, encode_segment};
pub use params::{QueryParams, form_encode, percent_decode};
