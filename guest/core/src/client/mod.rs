//! What speaks to servers: requests of their protocols, and how they are sent and judged. (MapProxy: `client/`.)

mod arcgis;
mod fetch;
mod http;
mod session;
mod tile;
mod told;
mod wms;

pub use arcgis::ArcgisRequests;
pub use fetch::{carry_out, get_maps, send_all};
pub use http::{SourceClient, UpstreamFailure};
pub use tile::TileUrlTemplate;
pub(crate) use told::{begin, printable};
pub use wms::{Body, WmsRequests};
