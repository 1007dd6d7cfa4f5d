//! What one process of several does: `saldo serve --roles api,worker`.

use std::str::FromStr;

/// Whatever needs more machines gets more processes; every process answers the probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// The page, GraphQL and what is followed.
    pub api: bool,
    /// Files of records.
    pub ingest: bool,
    /// Jobs, mail, the ledger, late scores.
    pub worker: bool,
}

impl Default for Roles {
    fn default() -> Self {
        Self { api: true, ingest: true, worker: true }
    }
}

impl FromStr for Roles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut roles = Self { api: false, ingest: false, worker: false };
        for role in text.split(',').map(str::trim) {
            match role {
                "api" => roles.api = true,
                "ingest" => roles.ingest = true,
                "worker" => roles.worker = true,
                _ => return Err(format!("'{role}' is no role; there are api, ingest and worker, with commas between")),
            }
        }
        Ok(roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_named() {
        assert_eq!("api,ingest,worker".parse(), Ok(Roles::default()));
        assert_eq!("worker".parse(), Ok(Roles { api: false, ingest: false, worker: true }));
        assert_eq!("api, worker".parse(), Ok(Roles { ingest: false, ..Roles::default() }));
        for bad in ["", "api,", "everything", "API"] {
            assert!(bad.parse::<Roles>().unwrap_err().contains("is no role"), "{bad}");
        }
    }
}
