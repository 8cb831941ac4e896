//! Helpers of the command line: questions and answers in plain values (behaviour section 20; MapProxy: `script/`).
//!
//! Pure functions. What a question needs from outside, files by absolute path and documents by URL, is asked for in
//! [`Answer::Need`] and given with the next call.

mod arithmetic;
mod autoconfig;
mod capabilities;
mod export;
mod grids;
mod matrix_sets;
mod overwrite;
mod scales;
mod wms_capabilities;

use std::collections::BTreeMap;

pub use autoconfig::{AutoconfigQuery, autoconfig};
pub use capabilities::{Capabilities, CapabilitiesError, OfferedLayer, capabilities_url};
pub use export::{ExportQuery, export};
pub use grids::{GridQuery, grids};
pub use matrix_sets::grids_of_matrix_sets;
pub use scales::{ScaleQuery, scales};
pub use wms_capabilities::wms_capabilities;

use crate::config::Problem;

/// What was asked for so far, by path or URL: its content, or why there is none.
pub type Files = BTreeMap<String, Result<Vec<u8>, String>>;

/// What came of a question.
#[derive(Debug, Clone)]
pub enum Answer {
    Output(Output),
    /// Ask again with these added to what was given so far.
    Need(Vec<String>),
    /// what is wrong with the configuration
    Problems(Vec<Problem>),
    /// what is wrong with the question
    Refused(String),
}

/// What is printed and written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// for standard output
    pub text: String,
    /// for standard error, a line each
    pub notes: Vec<String>,
    /// by name
    pub documents: Vec<(String, String)>,
}

impl Output {
    fn of_text(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}
