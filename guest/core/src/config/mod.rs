//! The configuration: what the YAML says, checked and compiled.

pub mod model;
