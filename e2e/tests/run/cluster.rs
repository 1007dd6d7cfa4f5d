//! [`Cluster`]: two PostgreSQL servers on loopback, of which the second follows the first.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::postgres::{as_server, free_port, hand_over, newest_bin};

pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    servers: [Server; 2],
}

struct Server {
    port: u16,
    data: PathBuf,
}

impl Cluster {
    /// `None`, and a word about it, where PostgreSQL is not installed. Where it is `synchronous`, each commit waits until
    /// the second server has it.
    pub fn start(name: &str, synchronous: bool) -> Option<Self> {
        let programs = newest_bin()?;
        let folder = std::env::temp_dir().join(format!("saldo-cluster-{}-{name}", std::process::id()));
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).expect("a folder");
        hand_over(&folder);
        let servers = ["one", "two"].map(|name| Server { port: free_port(), data: folder.join(name) });
        let cluster = Self { folder, programs, servers };
        let [one, two] = &cluster.servers;
        let data = |server: &Server| server.data.display().to_string();
        cluster.done(
            "initdb",
            &["--pgdata", &data(one), "--username=postgres", "--auth=trust", "--no-sync", "--locale=C"],
        );
        cluster.run(0, if synchronous { "-c synchronous_standby_names=*" } else { "" });
        let sql = "CREATE ROLE saldo_owner LOGIN; CREATE ROLE saldo_server LOGIN";
        cluster.sql_at(0, "postgres", sql);
        cluster.sql_at(0, "postgres", "CREATE DATABASE saldo OWNER saldo_owner");
        let from = format!("host=127.0.0.1 port={} user=postgres", one.port);
        cluster.done(
            "pg_basebackup",
            &["--pgdata", &data(two), "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--dbname", &from],
        );
        cluster.run(1, "-c log_statement=all");
        Some(cluster)
    }

    /// As this role, with both servers in it.
    pub fn url(&self, role: &str) -> String {
        let [one, two] = &self.servers;
        format!("postgres://{role}@127.0.0.1:{},127.0.0.1:{}/saldo", one.port, two.port)
    }

    /// The standby alone.
    pub fn standby_url(&self, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/saldo", self.servers[1].port)
    }

    /// What the standby was asked.
    pub fn standby_log(&self) -> String {
        let log = format!("{}.log", self.servers[1].data.display());
        String::from_utf8_lossy(&std::fs::read(log).expect("its log")).into_owned()
    }

    /// `SIGKILL`, `SIGSTOP` or `SIGCONT` to all processes of a server at once.
    pub fn signal(&self, server: usize, signal: &str) {
        let file = self.servers[server].data.join("postmaster.pid");
        let pid = std::fs::read_to_string(file).expect("it runs");
        let pid = pid.lines().next().expect("a process").to_owned();
        // Its children first would be started anew; the kernel stops or ends them with one call each, in no time.
        let Ok(children) = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) else { return };
        let processes = std::iter::once(pid.as_str()).chain(children.split_whitespace());
        let told = Command::new("kill").arg(format!("-{signal}")).args(processes).stderr(Stdio::null()).status();
        // A child may be gone by now.
        told.expect("kill");
    }

    /// The standby takes the writes from here on.
    pub fn promote(&self) {
        let data = self.servers[1].data.display().to_string();
        self.done("pg_ctl", &["--pgdata", &data, "--wait", "--silent", "promote"]);
    }

    /// The lines that a query gives at one server, of whichever tenant.
    pub fn sql(&self, server: usize, sql: &str) -> Vec<String> {
        self.sql_at(server, "saldo", sql)
    }

    fn sql_at(&self, server: usize, database: &str, sql: &str) -> Vec<String> {
        let port = self.servers[server].port.to_string();
        let arguments = [
            "--host=127.0.0.1",
            "--port",
            &port,
            "--username=postgres",
            "-qtAX",
            "--set=ON_ERROR_STOP=1",
            "-c",
            sql,
            database,
        ];
        let output = self.done("psql", &arguments);
        String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
    }

    fn run(&self, server: usize, more: &str) {
        let Server { port, data } = &self.servers[server];
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=100 \
             -c wal_sender_timeout=5s {more}"
        );
        let (data, log) = (data.display().to_string(), format!("{}.log", data.display()));
        self.done("pg_ctl", &["--pgdata", &data, "--log", &log, "--wait", "--silent", "--options", &options, "start"]);
    }

    /// Runs one of the server's programs as its user, since it refuses to be root.
    fn done(&self, program: &str, arguments: &[&str]) -> Output {
        let program = self.programs.join(program);
        let mut command = as_server(&program, &self.folder);
        // What these write waits for no standby: at first there is none.
        command.env("PGOPTIONS", "-c synchronous_commit=local");
        let output = command.args(arguments).stderr(Stdio::piped());
        // pg_ctl leaves a server behind that keeps what it was given.
        let output =
            if program.ends_with("pg_ctl") { output.stdout(Stdio::null()).stderr(Stdio::null()) } else { output };
        let output = output.output().expect("it starts");
        assert!(
            output.status.success(),
            "{} {arguments:?}: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in 0..self.servers.len() {
            if self.servers[server].data.join("postmaster.pid").exists() {
                self.signal(server, "KILL");
            }
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
