//! The detector's place.
