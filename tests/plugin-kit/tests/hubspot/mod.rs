//! What the HubSpot component makes of HubSpot's words.

mod describe;
mod imports;
mod matching;
mod refusals;
mod sources;
mod transform;
mod values;
