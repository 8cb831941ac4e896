//! Requests as clients send them: query parameters and the OGC messages made of them. Parsed once into types the
//! services can trust. (MapProxy: `request/`.)

mod params;

pub use params::{QueryParams, form_encode, percent_decode};
