//! The suite.

mod plugin;
