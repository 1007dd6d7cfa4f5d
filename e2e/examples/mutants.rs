//! `make mutants`: would the tests notice if the code forgot the tenant? A copy of the sources gets a switch at each
//! place that keeps tenants or partners apart; then the tests that should notice run with one switch after the other.
//! One build is enough, and the tree itself is never touched. Fails where nobody notices.

#![expect(clippy::print_stdout, reason = "it reports on standard output")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A place, and what it is like with the switch on.
struct Mutant {
    what: &'static str,
    file: &'static str,
    /// A text that is there once, and what stands in its place. `MUTANT` is whether the switch is on.
    from: &'static str,
    to: &'static str,
    /// Tests that should notice; any of them is enough.
    tests: &'static [&'static str],
    on_postgres: bool,
}

const TENANT_TX: &str = "domain/src/db/tenant_tx.rs";
const BULK: &str = "domain/src/db/bulk.rs";

const MUTANTS: [Mutant; 9] = [
    Mutant {
        what: "a query does not filter by tenant",
        file: TENANT_TX,
        from: "let select = E::find().filter(E::TENANT.eq(self.tenant));",
        to: "let select = if MUTANT { E::find() } else { E::find().filter(E::TENANT.eq(self.tenant)) };",
        tests: &["access::", "apart::"],
        on_postgres: false,
    },
    Mutant {
        what: "an update does not filter by tenant",
        file: TENANT_TX,
        from: "let update = E::update_many().filter(E::TENANT.eq(self.tenant));",
        to: "let update = if MUTANT { E::update_many() } else { E::update_many().filter(E::TENANT.eq(self.tenant)) };",
        tests: &["apart::"],
        on_postgres: false,
    },
    Mutant {
        what: "a removal does not filter by tenant",
        file: TENANT_TX,
        from: "let delete = E::delete_many().filter(E::TENANT.eq(self.tenant));",
        to: "let delete = if MUTANT { E::delete_many() } else { E::delete_many().filter(E::TENANT.eq(self.tenant)) };",
        tests: &["apart::"],
        on_postgres: false,
    },
    Mutant {
        what: "a new row is not stamped with its tenant",
        file: TENANT_TX,
        from: "row.set(<A::Entity as TenantOwned>::TENANT, self.tenant.into());",
        to: "if !MUTANT { row.set(<A::Entity as TenantOwned>::TENANT, self.tenant.into()); }",
        tests: &["recording::a_fact_is_recorded"],
        on_postgres: false,
    },
    Mutant {
        what: "a partner's user sees what its tenant sees",
        file: TENANT_TX,
        from: "let Some(partner) = self.partner else { return select };",
        to: "let Some(partner) = self.partner.filter(|_| !MUTANT) else { return select };",
        tests: &["access::", "events::", "recording::"],
        on_postgres: false,
    },
    Mutant {
        what: "a look-up of many texts does not filter by tenant",
        file: BULK,
        from: "let statement = Statement::from_sql_and_values(backend, lookup.sql(backend), values);",
        to: "let sql = lookup.sql(backend);
             let sql = if MUTANT { sql.replace(\"tenant_id = ?\", \"(tenant_id = ? OR 1 = 1)\") } else { sql };
             let statement = Statement::from_sql_and_values(backend, sql, values);",
        tests: &["apart::"],
        on_postgres: false,
    },
    Mutant {
        what: "followers of any tenant share what is in memory",
        file: "domain/src/events/follow.rs",
        from: "locked(&self.hubs).get(&tenant).and_then(Weak::upgrade)",
        to: "let hubs = locked(&self.hubs);
             hubs.get(&tenant).or_else(|| hubs.values().next().filter(|_| MUTANT)).and_then(Weak::upgrade)",
        tests: &["apart::"],
        on_postgres: false,
    },
    Mutant {
        what: "a copy in Redis is kept without its tenant",
        file: "domain/src/redis.rs",
        from: "redis.name, tenant.0.simple());",
        to: "redis.name, if MUTANT { Uuid::nil().simple() } else { tenant.0.simple() });",
        tests: &["redis::"],
        on_postgres: false,
    },
    Mutant {
        what: "a transaction does not bind its tenant",
        file: "domain/src/db/postgres.rs",
        from: "format!(\"SET LOCAL app.tenant = '{}'\", tenant.0)",
        to: "if MUTANT { \"SELECT 1\".to_owned() } else { format!(\"SET LOCAL app.tenant = '{}'\", tenant.0) }",
        tests: &["access::one_address_in_two_tenants_is_two_people"],
        on_postgres: true,
    },
];

/// The switch, in the copy's core.
const SWITCH: &str = "
pub(crate) fn is_mutant(number: usize) -> bool {
    static ON: std::sync::LazyLock<Option<usize>> =
        std::sync::LazyLock::new(|| std::env::var(\"SALDO_MUTANT\").ok()?.parse().ok());
    *ON == Some(number)
}
";

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    // Cargo takes the copy's crates for the tree's own: they must not be built in one place.
    let (copy, target) = (target.join("mutants/tree"), target.join("mutants/target"));
    copy_sources(root, &copy);
    plant(&copy);
    let tests = build(&copy, &target);
    let is_there = Command::new(copy.join("e2e/with-postgres.sh")).arg("--there").output().is_ok_and(is_well);
    let mut survivors = 0;
    println!("| what the code forgets | noticed by |\n| --- | --- |");
    for (number, mutant) in MUTANTS.iter().enumerate() {
        if mutant.on_postgres && !is_there {
            println!("| {} | not tried: there is no PostgreSQL |", mutant.what);
            continue;
        }
        let untouched = run(&copy, &tests, mutant, MUTANTS.len());
        assert!(untouched.status.success(), "without it they pass:\n{}", text(&untouched));
        let output = run(&copy, &tests, mutant, number);
        let said = text(&output);
        let failed: Vec<&str> =
            said.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED")).collect();
        survivors += usize::from(output.status.success());
        let noticed = match failed[..] {
            _ if output.status.success() => "**nobody**".to_owned(),
            // A test that waits for what never comes.
            [] => "a test that did not end".to_owned(),
            [first] => format!("`{first}`"),
            [first, ..] => format!("`{first}` and {} more", failed.len() - 1),
        };
        println!("| {} | {noticed} |", mutant.what);
    }
    assert_eq!(survivors, 0, "these would not be noticed");
}

/// What git knows and what it would take in; files that are as they were keep their time, so that little is built anew.
fn copy_sources(root: &Path, copy: &Path) {
    let listed = Command::new("git").args(["ls-files", "-co", "--exclude-standard", "-z"]).current_dir(root).output();
    let listed = listed.expect("git");
    for name in String::from_utf8(listed.stdout).expect("names").split_terminator('\0') {
        let (from, to) = (root.join(name), copy.join(name));
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        let is_planted = MUTANTS.iter().any(|mutant| mutant.file == name) || name == "domain/src/lib.rs";
        if from.exists() && !is_planted && std::fs::read(&from).ok() != std::fs::read(&to).ok() {
            std::fs::copy(from, to).expect("a copy");
        } else if is_planted {
            // Written by `plant`, beside which this is what it begins with.
            std::fs::copy(from, to.with_added_extension("orig")).expect("a copy");
        }
    }
}

fn plant(copy: &Path) {
    let write = |file: &Path, text: String| {
        if std::fs::read_to_string(file).ok().as_ref() != Some(&text) {
            std::fs::write(file, text).expect("written");
        }
    };
    let original = |file: &Path| std::fs::read_to_string(file.with_added_extension("orig")).expect("a source");
    for file in MUTANTS.iter().map(|mutant| mutant.file) {
        let mut source = original(&copy.join(file));
        for (number, mutant) in MUTANTS.iter().enumerate().filter(|(_, mutant)| mutant.file == file) {
            assert_eq!(source.matches(mutant.from).count(), 1, "{file} has '{}' once", mutant.from);
            source = source.replace(mutant.from, &mutant.to.replace("MUTANT", &format!("crate::is_mutant({number})")));
        }
        write(&copy.join(file), source);
    }
    let library = copy.join("domain/src/lib.rs");
    write(&library, original(&library) + SWITCH);
}

/// The tests of the core.
fn build(copy: &Path, target: &Path) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["test", "--package", "domain", "--test", "it", "--no-run"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .expect("cargo");
    let said = text(&built);
    assert!(built.status.success(), "{said}");
    let (_, name) = said.split_once("Executable tests/it/main.rs (").expect("where the tests are");
    let (name, _) = name.split_once(')').expect("where the tests are");
    copy.join(name)
}

/// Runs the tests that should notice with one switch on.
fn run(copy: &Path, tests: &Path, mutant: &Mutant, number: usize) -> Output {
    let mut command = Command::new("timeout");
    command.arg("300");
    if mutant.on_postgres {
        command.arg(copy.join("e2e/with-postgres.sh"));
    }
    command.arg(tests).args(mutant.tests).current_dir(copy.join("domain"));
    command.env("SALDO_MUTANT", number.to_string()).env_remove("SALDO_TEST_POSTGRES");
    command.output().expect("the tests run")
}

fn is_well(output: Output) -> bool {
    output.status.success()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
