//! The configuration: what the YAML says, checked and compiled.

pub mod compiled;
// pub mod model; -- as soon as `image`, `grid` and `coverage` are here
mod problem;

pub use compiled::{Compiled, CompiledBuilder, CompiledError, Kind};
pub use problem::{Problem, Severity};
