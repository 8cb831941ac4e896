//! The protocols towards clients: each service parses its requests, asks layers and tile managers, and answers.
//! (MapProxy: `service/`.)

pub mod cache_headers;
mod context;
pub mod demo;
mod document;
pub mod index;
pub mod kml;
pub mod ows;
mod printable;
pub mod tile;
pub mod wms;
pub mod wmts;

pub use context::Context;
use printable::printable;
