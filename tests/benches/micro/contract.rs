//! The contract's types by the names that the plugin's sources have for them.

pub use plugin_kit::contract::{
    exports::jimo::connect::{parse, transform},
    jimo::connect::types,
};
