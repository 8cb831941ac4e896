//! The configuration: what the YAML says, checked and compiled.

pub mod compiled;
mod findings;
pub mod model;
mod problem;
mod spec;
mod yaml;

pub use compiled::{Compiled, CompiledBuilder, CompiledError, Kind};
pub use problem::{Problem, Severity};
