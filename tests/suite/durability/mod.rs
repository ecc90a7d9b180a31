//! What survives: kills, power cuts, a full or failing disk, damaged files, and
//! backups that do not belong together. A delivery that got 204 is never lost.

mod bindings;
mod changes;
mod damage;
mod image;
mod kills;
mod power;
pub mod random;
mod room;
mod senders;
mod small_disk;
mod trace;
mod traced;
mod unreadable;

pub use image::Disk;
pub use senders::send;
pub use trace::Event;
pub use traced::{Root, Step, files, made, serve};
