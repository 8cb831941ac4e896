//! The sample WMS, and what the end-to-end tests stand on.

pub mod sample;
pub mod server;
