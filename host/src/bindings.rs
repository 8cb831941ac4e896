//! Bindings of our own interface, `wit/mapproxy.wit`.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "mapproxy",
    exports: { default: async },
    require_store_data_send: true,
});

pub(crate) use exports::mapproxy::proxy::configuration::{Access, Compiled, File, Outcome, Problem, Severity};
