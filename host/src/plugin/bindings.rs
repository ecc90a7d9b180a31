//! What wasmtime generates from the contract. Nothing outside `plugin` sees it.
#![allow(missing_docs, reason = "the contract in wit/ documents it")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "connector",
    exports: { default: async },
});

/// An interface that a component need not export.
pub(super) mod definitions {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package jimo:host;

            world definitions {
                export jimo:connect/definitions@1.1.0;
            }
        ",
        world: "jimo:host/definitions",
        exports: { default: async },
    });
}
