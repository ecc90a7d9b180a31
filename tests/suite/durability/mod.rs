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
mod unreadable;

pub use senders::send;
