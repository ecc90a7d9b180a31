//! Segments: conditions on users.

mod api;
mod chance;
mod live;
