//! Runs any Jimo Connect component in isolation: wasmtime and the contract, no host, network or store.
//!
//! What it shows is what a component does by itself: [`Kit`] loads one, [`Instance`] calls it, [`body`] cuts bodies as a
//! component describes them, and [`show`] writes what it answers for people to read. Its tests run the HubSpot component,
//! or the one that the variable `PLUGIN` names a file of.

pub mod body;
pub mod kit;
pub mod locate;
pub mod settings;
pub mod show;

/// The contract's types and calls, generated from `wit/`.
#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated code")]
pub mod contract {
    wasmtime::component::bindgen!({ path: "../../wit", world: "connector", additional_derives: [PartialEq] });
}

/// The interface that a component need not export, by itself.
#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated code")]
pub mod definitions {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package jimo:kit;

            world definitions {
                export jimo:connect/definitions@1.1.0;
            }
        ",
        world: "jimo:kit/definitions",
        additional_derives: [PartialEq],
    });
}

pub use kit::{Instance, Kit, Pass};
