//! How much a plugin may take, hold and answer.

use std::time::Duration;

use crate::model::Timestamp;

/// How often the clock ticks that ends passes which run too long. Ten ticks
/// are lost in the noise of a pass of seconds, and two hundred wake-ups a
/// second cost nothing measurable; none happen while no plugin runs.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// Of a text that a plugin writes for people, this many characters are shown.
pub(super) const REASON_CHARACTERS_MAX: usize = 200;

/// The longest id of a record or account, and the longest name of a property.
/// HubSpot's ids have up to 20 digits, its names up to 100 characters.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// The first moment of the year 1 in UTC.
pub(super) const MOMENT_MIN: Timestamp = Timestamp(-62_135_596_800_000);

/// The last millisecond of the year 9999 in UTC.
pub(super) const MOMENT_MAX: Timestamp = Timestamp(253_402_300_799_999);

/// What one pass of a plugin may use. The defaults are what the product runs
/// with; tests turn them down.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Linear memory of one instance. Parsing 4 MiB of elements takes some 20
    /// MiB; the rest is room for a less frugal plugin.
    pub memory_bytes_max: usize,
    /// How long one pass may take. A full one takes some 30 ms, so this is
    /// only reached by a plugin that would not end.
    pub pass_deadline: Duration,
    /// The elements of one pass, as bytes. Handing bytes over cannot be
    /// interrupted, so they are counted before.
    pub elements_bytes_max: usize,
    /// What one call may answer, as the host's own memory. A plugin can name
    /// one text a million times in a list, and each is copied.
    pub output_bytes_max: usize,
    /// How far beyond the moment of receipt the source's clock is believed.
    /// Later moments are taken for this one: a source whose clock runs fast
    /// is not the plugin's fault, yet must not win over later changes for ever.
    pub clock_skew_max: Duration,
    /// Passes that run at once, further ones wait: the size of the pool that
    /// instances come from.
    pub passes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 << 20,
            pass_deadline: Duration::from_secs(2),
            elements_bytes_max: 4 << 20,
            output_bytes_max: 64 << 20,
            clock_skew_max: Duration::from_secs(5 * 60),
            passes_max: 16,
        }
    }
}
