//! Bindings of our own interface, `wit/mapproxy.wit`.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "full",
    exports: { default: async },
    require_store_data_send: true,
});

pub(crate) use exports::mapproxy::proxy::configuration::{Access, Compiled, File, Outcome, Problem, Severity};

/// The parts of the interface, looked up one by one: what serves does not need what seeds.
pub(crate) mod configuration {
    pub(crate) use super::exports::mapproxy::proxy::configuration::{Guest, GuestIndices};
}

pub(crate) mod seeding {
    pub(crate) use super::exports::mapproxy::proxy::seeding::{
        Batch, Cell, Estimate, Failure, Guest, GuestIndices, LevelCount, Options, Picture, Report, Task, TaskKind,
    };
}

pub(crate) mod tools {
    pub(crate) use super::exports::mapproxy::proxy::tools::{
        Answer, AutoconfigQuestion, CapabilitiesQuestion, ExportQuestion, GridQuestion, Guest, GuestIndices, Output,
        Question, ScaleQuestion,
    };
}
