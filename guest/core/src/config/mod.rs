//! The configuration: what the YAML says, checked and compiled.

pub mod compiled;
pub mod model;
mod problem;

pub use compiled::{Compiled, CompiledBuilder, CompiledError, Kind};
pub use problem::{Problem, Severity};
