//! What wasmtime generates from the contract. Nothing outside `plugin` sees it.
#![allow(missing_docs, reason = "the contract in wit/ documents it")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "connector",
    exports: { default: async },
});
