//! The proxy core: protocols, grids, caches, sources and images. It knows neither WASI nor sockets; see `platform`.
#![forbid(unsafe_code)]

pub mod app;
pub mod assemble;
pub mod cache;
pub mod client;
pub mod config;
pub mod coverage;
pub mod grid;
pub mod http;
pub mod image;
pub mod layer;
pub mod lock;
pub mod platform;
pub mod query;
pub mod request;
pub mod seed;
pub mod service;
pub mod source;
pub mod srs;
pub mod tools;
pub mod xslt;
