//! URLs of databases: what they name, and how they are shown.

use super::OpenError;
use super::primary::Servers;

/// The role as which a URL connects to PostgreSQL.
pub fn role_of(url: &str) -> Result<String, OpenError> {
    Servers::parse(url).map(|servers| servers.user())
}

/// The same URL with the one host that takes writes now, where it names several.
pub async fn at_primary(url: &str) -> Result<String, OpenError> {
    if url.starts_with("sqlite") {
        return Ok(url.to_owned());
    }
    let servers = Servers::parse(url)?;
    if !servers.are_several() {
        return Ok(url.to_owned());
    }
    Ok(servers.url(servers.primary(0).await?).to_owned())
}

/// A URL as it may be shown: without the password in it.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@') {
        Some((user, place)) => format!("{scheme}://{}@{place}", user.split(':').next().unwrap_or_default()),
        None => url.to_owned(),
    }
}

/// A URL for each host of one that may name several with commas between.
pub(super) fn each_host(url: &str) -> Option<Vec<String>> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    let one = |host: &str| (!host.is_empty()).then(|| format!("{scheme}://{user}{host}{path}"));
    if hosts.is_empty() { Some(vec![url.to_owned()]) } else { hosts.split(',').map(one).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_host_or_several() {
        let each = |url: &str| each_host(url).unwrap();
        assert_eq!(each("postgres://saldo@db/saldo"), ["postgres://saldo@db/saldo"]);
        assert_eq!(
            each("postgres://saldo:p@ss@one:5432,two.example,[::1]:6000/saldo?sslmode=require"),
            [
                "postgres://saldo:p@ss@one:5432/saldo?sslmode=require",
                "postgres://saldo:p@ss@two.example/saldo?sslmode=require",
                "postgres://saldo:p@ss@[::1]:6000/saldo?sslmode=require",
            ]
        );
        assert_eq!(each("postgres:///saldo?host=/run/postgresql"), ["postgres:///saldo?host=/run/postgresql"]);
        assert_eq!(each_host("postgres://one,,two/saldo"), None);
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, expected) in [
            ("postgres://saldo:s3cr@t@db.test:5432/saldo", "postgres://saldo@db.test:5432/saldo"),
            ("postgres://saldo@db.test/saldo", "postgres://saldo@db.test/saldo"),
            ("postgres://db.test/saldo", "postgres://db.test/saldo"),
            ("sqlite://var/saldo.db", "sqlite://var/saldo.db"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
