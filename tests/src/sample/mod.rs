//! The sample WMS: a small map server that draws Natural Earth 1:110m.
//!
//! It is what `make run` shows, and the upstream of the end-to-end tests, which tell it to be slow or broken
//! ([`Fault`]) and read what it was asked ([`LoggedRequest`]). The same request always gets the same bytes.

mod capabilities;
mod fault;
mod projection;
mod render;
mod request;
mod server;
mod text;
mod topography;
mod wms;
mod world;

pub use fault::{Answer, Fault, LoggedRequest};
pub use projection::Projection;
pub use server::SampleWms;
