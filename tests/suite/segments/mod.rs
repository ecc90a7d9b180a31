//! Segments: conditions on users.

mod chance;
