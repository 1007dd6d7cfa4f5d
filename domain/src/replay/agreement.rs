//! That what comes in live, what a replay makes of it and what the documents say are the same: over random contracts and
//! streams, and over the worked examples.

mod calendar;
mod case;
mod counted;
mod currencies;
mod exact;
mod examples;
mod fenced;
mod owed;
mod paths;
mod properties;
