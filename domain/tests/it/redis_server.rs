//! A Redis server of a test's own, with the few commands that tests send to it past the core.

// Each suite takes what it needs.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct RedisServer {
    process: Child,
    port: u16,
}

impl RedisServer {
    /// One on a free port, empty; `None`, and a word about it, where `redis-server` is not installed.
    pub fn start() -> Option<Self> {
        loop {
            let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
            let mut server = Self { process: spawn(port)?, port };
            if server.begins() {
                return Some(server);
            }
            // Somebody else took the port.
        }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ended");
    }

    /// Another one in its place, empty.
    pub fn start_again(&mut self) {
        self.process = spawn(self.port).expect("it was there before");
        assert!(self.begins(), "its port is free");
    }

    fn begins(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return self.process.try_wait().expect("a process").is_none();
            }
            if self.process.try_wait().expect("a process").is_some() {
                return false;
            }
            std::thread::yield_now();
        }
        panic!("redis-server does not answer");
    }

    pub fn keys(&self) -> Vec<String> {
        self.ask(&[b"KEYS", b"*"]).into_iter().map(|key| String::from_utf8_lossy(&key).into_owned()).collect()
    }

    pub fn get(&self, key: &str) -> Vec<u8> {
        self.ask(&[b"GET", key.as_bytes()]).concat()
    }

    pub fn set(&self, key: &str, value: &[u8]) {
        self.ask(&[b"SET", key.as_bytes(), value]);
    }

    pub fn flush(&self) {
        self.ask(&[b"FLUSHALL"]);
    }

    /// One command; its answer as the texts in it.
    fn ask(&self, words: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server");
        let mut command = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            command.extend(format!("${}\r\n", word.len()).into_bytes());
            command.extend(*word);
            command.extend(b"\r\n");
        }
        stream.write_all(&command).expect("sent");
        read(&mut BufReader::new(stream))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn spawn(port: u16) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(process) => Some(process),
        Err(_) => {
            eprintln!("SKIPPED: redis-server is not installed (on Debian: apt-get install redis-server)");
            None
        }
    }
}

fn read(stream: &mut impl BufRead) -> Vec<Vec<u8>> {
    let mut line = String::new();
    stream.read_line(&mut line).expect("an answer");
    let (kind, rest) = line.trim_end().split_at(1);
    let count: i64 = rest.parse().unwrap_or_default();
    match kind {
        "*" => (0..count).flat_map(|_| read(stream)).collect(),
        "$" if count >= 0 => {
            let mut text = vec![0; usize::try_from(count).expect("a length") + 2];
            stream.read_exact(&mut text).expect("a text");
            text.truncate(text.len() - 2);
            vec![text]
        }
        "-" => panic!("{line}"),
        _ => Vec::new(),
    }
}
