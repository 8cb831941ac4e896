//! Helpers of the command line: text in, text out (behaviour section 20; MapProxy: `script/`).

mod arithmetic;
mod grids;
mod scales;

pub use grids::{GridQuery, grids};
pub use scales::{ScaleQuery, scales};
