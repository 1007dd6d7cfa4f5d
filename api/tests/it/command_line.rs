//! The binary: what it says, and how it exits.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::support::{PASSWORD, new_folder};

pub fn saldo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_saldo"));
    command.args(arguments).env_clear().current_dir(folder).env("SALDO_LISTEN", "127.0.0.1:0");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = saldo(folder, arguments).spawn().expect("saldo starts");
    // One that has failed already reads nothing.
    child.stdin.take().expect("its input").write_all(input.as_bytes()).ok();
    child.wait_with_output().expect("saldo ends")
}

pub fn fails_saying(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(words), "{said}");
}

/// A running server and the address it is at; it is killed when dropped.
pub struct Served(pub Child, pub String);

impl Served {
    pub fn start(folder: &Path) -> Self {
        let mut child = saldo(folder, &["serve"]).spawn().expect("saldo starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let address = line.trim().rsplit_once("http://").expect("it says where it is").1.to_owned();
        Self(child, address)
    }

    fn get(&self, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(&self.1).expect("a connection");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: saldo\r\nconnection: close\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn from_an_empty_folder_to_a_server_and_one_process_at_a_time() {
    let folder = new_folder();
    std::fs::create_dir_all(&folder).unwrap();
    fails_saying(&run(&folder, &["serve"], ""), "run `saldo migrate`");
    assert!(!folder.join("var/saldo.db").exists(), "refusing makes no database");
    assert!(run(&folder, &["migrate"], "").status.success());
    let create = ["tenant", "create", "--slug", "acme", "--name", "Acme", "--admin-email", "ada@acme.test"];
    let with_password = [&create[..], &["--admin-password-stdin"]].concat();
    fails_saying(&run(&folder, &with_password, "short\n"), "adminPassword");
    assert!(run(&folder, &with_password, &format!("{PASSWORD}\n")).status.success());
    fails_saying(&run(&folder, &with_password, &format!("{PASSWORD}\n")), "slug");
    let invited = ["tenant", "create", "--slug", "bolt", "--name", "Bolt", "--admin-email", "bob@bolt.test"];
    let invited = run(&folder, &invited, "");
    assert!(String::from_utf8_lossy(&invited.stdout).contains("saldo_once_"));

    let mut served = Served::start(&folder);
    assert!(served.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(served.get("/readyz").starts_with("HTTP/1.1 200"));
    for second in [&["serve"][..], &["migrate"], &with_password] {
        fails_saying(&run(&folder, second, PASSWORD), "is in use by another Saldo");
    }
    let id = served.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(served.0.wait().unwrap().success(), "SIGTERM ends it in order");
    assert!(!folder.join("var/saldo.db-wal").exists(), "the database was closed");
    drop(Served::start(&folder));
    std::fs::write(folder.join("var/saldo.key"), "damaged").unwrap();
    fails_saying(&run(&folder, &["serve"], ""), "var/saldo.key");
    std::fs::remove_file(folder.join("var/saldo.key")).unwrap();
    fails_saying(&run(&folder, &["serve"], ""), "does not open with this master key");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn settings_that_are_wrong_are_named() {
    let folder = new_folder();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("saldo.toml"), "listne = 'x'").unwrap();
    fails_saying(&run(&folder, &["serve", "--config", "saldo.toml"], ""), "listne");
    std::fs::write(folder.join("saldo.toml"), "database_url = 'mysql://x'").unwrap();
    fails_saying(&run(&folder, &["migrate", "--config", "saldo.toml"], ""), "no database URL");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_embedded_database_is_not_distributed() {
    fails_saying(&run(Path::new("."), &["migrate", "--distribute"], ""), "Citus distributes PostgreSQL");
}

#[test]
fn schema_prints_the_contract() {
    let output = run(Path::new("."), &["schema"], "");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), include_str!("../../../schema.graphql"));
}

#[test]
fn who_is_locked_out_gets_a_token_on_the_machine_itself() {
    let folder = new_folder();
    std::fs::create_dir_all(&folder).unwrap();
    assert!(run(&folder, &["migrate"], "").status.success());
    let create = ["tenant", "create", "--slug", "acme", "--name", "Acme", "--admin-email", "ada@acme.test"];
    assert!(run(&folder, &create, "").status.success());
    for command in [
        vec!["member", "reset-password", "--tenant", "acme", "--email", "Ada@acme.test"],
        vec!["member", "invite", "--tenant", "acme", "--email", "bo@acme.test", "--name", "Bo", "--role", "RISK"],
    ] {
        let output = run(&folder, &command, "");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && said.contains("@acme.test chooses a password with this token"),
            "{output:?}"
        );
    }
    let absent = run(&folder, &["member", "reset-password", "--tenant", "acme", "--email", "eve@acme.test"], "");
    fails_saying(&absent, "the tenant has no member 'eve@acme.test'");
    fails_saying(
        &run(&folder, &["member", "reset-password", "--tenant", "b", "--email", "e"], ""),
        "there is no such tenant",
    );
    std::fs::remove_dir_all(&folder).ok();
}

#[test]
fn a_tenant_moves_by_file_to_a_machine_with_the_same_key() {
    let (old, new) = (new_folder(), new_folder());
    for folder in [&old, &new] {
        std::fs::create_dir_all(folder).unwrap();
        assert!(run(folder, &["migrate"], "").status.success());
    }
    let create = ["tenant", "create", "--slug", "acme", "--name", "Acme", "--admin-email", "ada@acme.test"];
    assert!(run(&old, &create, "").status.success());
    let file = new.join("acme.saldo").display().to_string();
    let export = ["tenant", "export", "--tenant", "acme", "--file", &file];
    let import = ["tenant", "import", "--file", &file];
    fails_saying(&run(&new, &import, ""), "acme.saldo: No such file");
    fails_saying(&run(&old, &["tenant", "export", "--tenant", "b", "--file", &file], ""), "there is no such tenant");
    assert!(!Path::new(&file).exists(), "what failed leaves no file");
    let exported = run(&old, &export, "");
    assert!(exported.status.success(), "{exported:?}");
    let told = String::from_utf8(exported.stdout).unwrap();
    assert!(told.starts_with("Tenant acme (Acme): 3 rows in 3 tables.\n\ntable "), "{told}");
    assert!(told.contains("members                              1  "), "{told}");
    fails_saying(&run(&old, &export, ""), "acme.saldo: File exists");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    fails_saying(&run(&new, &import, ""), "there is no master key file var/saldo.key");
    assert!(!new.join("var/saldo.key").exists(), "refusing makes no key, with which the right one could not be used");
    std::fs::copy(old.join("var/saldo.key"), new.join("var/saldo.key")).unwrap();
    let imported = run(&new, &import, "");
    assert!(imported.status.success(), "{imported:?}");
    let moved = String::from_utf8(imported.stdout).unwrap();
    let figures = |told: &str| told.lines().take_while(|line| !line.contains("acme.saldo")).count();
    assert_eq!(
        told.lines().take(figures(&told) - 1).collect::<Vec<_>>(),
        moved.lines().take(figures(&told) - 1).collect::<Vec<_>>()
    );
    assert!(moved.contains("hashed anew in sqlite://var/saldo.db: every table is equal"), "{moved}");
    fails_saying(&run(&new, &import, ""), "the tenant 'acme' (ten_");
    std::fs::write(&file, "nothing").unwrap();
    fails_saying(&run(&new, &import, ""), "is no export of a tenant");

    let other = new_folder();
    std::fs::create_dir_all(&other).unwrap();
    assert!(run(&other, &["migrate"], "").status.success());
    assert!(run(&other, &create, "").status.success());
    std::fs::remove_file(&file).unwrap();
    assert!(run(&old, &export, "").status.success());
    fails_saying(&run(&other, &import, ""), "another master key");
    for folder in [old, new, other] {
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
