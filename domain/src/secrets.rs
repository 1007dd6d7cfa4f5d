//! Secrets.
pub struct MasterKey {}
