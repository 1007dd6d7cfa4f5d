//! [`Smtp`]: a mail server that does what a test wants of it, faults first.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What it says to a recipient, and to everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Takes,
    /// To the recipient, for good.
    Refuses,
    /// Greylisting.
    Later,
    /// Never answers.
    Hangs,
    /// Takes the mail, and is gone before it has said so.
    HangsUp,
    /// Whoever comes is sent away, by a code for good.
    Closed,
    /// Every password is wrong.
    KnowsNobody,
    /// Closes each connection before a word is said.
    Down,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub to: String,
    /// The message, its lines as they were before they were stuffed.
    pub data: Vec<u8>,
}

#[derive(Default)]
struct State {
    everybody: Mood,
    moods: HashMap<String, Mood>,
    greeted: usize,
    received: Vec<Received>,
    /// A line for each mail that was taken, and each recipient that waits for an answer.
    told: Option<mpsc::UnboundedSender<String>>,
}

pub struct Smtp {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    news: mpsc::UnboundedReceiver<String>,
}

impl Smtp {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (told, news) = mpsc::unbounded_channel();
        let state = Arc::new(Mutex::new(State { told: Some(told), ..State::default() }));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, shared.clone()));
            }
        });
        Self { address, state, news }
    }

    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub fn everybody(&self, mood: Mood) {
        locked(&self.state).everybody = mood;
    }

    pub fn to(&self, address: &str, mood: Mood) {
        locked(&self.state).moods.insert(address.to_owned(), mood);
    }

    /// What has been taken since the last call, by recipient.
    pub fn received(&self) -> Vec<Received> {
        let mut received = std::mem::take(&mut locked(&self.state).received);
        received.sort_by(|one, other| one.to.cmp(&other.to));
        received
    }

    /// How many connections there were.
    pub fn greeted(&self) -> usize {
        locked(&self.state).greeted
    }

    /// The next thing that happens: `took <address>` or `waits <address>`.
    pub async fn news(&mut self) -> String {
        self.news.recv().await.expect("the server is there")
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no test panicked here")
}

fn tell(state: &Mutex<State>, what: String) {
    // A test that is over listens no more.
    locked(state).told.as_ref().map(|told| told.send(what)).transpose().ok();
}

async fn talk(stream: TcpStream, state: Arc<Mutex<State>>) {
    let everybody = {
        let mut state = locked(&state);
        state.greeted += 1;
        state.everybody
    };
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).split(b'\n');
    let greeting = match everybody {
        Mood::Down => return,
        Mood::Closed => "554 no mail service here",
        _ => "220 test ESMTP",
    };
    let mut say = async |line: &str| writer.write_all(format!("{line}\r\n").as_bytes()).await.is_ok();
    say(greeting).await;
    let mut to = String::new();
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
        let mood = locked(&state).moods.get(&to).copied().unwrap_or_default();
        let alive = match verb.as_str() {
            "EHLO" if everybody == Mood::KnowsNobody => say("250-test\r\n250 AUTH PLAIN").await,
            "EHLO" => say("250-test\r\n250 8BITMIME").await,
            "AUTH" => say("535 5.7.8 wrong password").await,
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                let mood = locked(&state).moods.get(&to).copied().unwrap_or_default();
                match mood {
                    Mood::Refuses => say("550 5.1.1 no such user").await,
                    Mood::Later => say("451 4.7.1 come back later").await,
                    Mood::Hangs => {
                        tell(&state, format!("waits {to}"));
                        true
                    }
                    _ => say("250 ok").await,
                }
            }
            "DATA" => {
                say("354 go on").await;
                let mut data = Vec::new();
                while let Ok(Some(line)) = lines.next_segment().await {
                    if line == b".\r" {
                        break;
                    }
                    data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
                    data.push(b'\n');
                }
                locked(&state).received.push(Received { to: to.clone(), data });
                tell(&state, format!("took {to}"));
                mood != Mood::HangsUp && say("250 taken").await
            }
            "QUIT" => {
                say("221 bye").await;
                false
            }
            _ => say("250 ok").await,
        };
        if !alive {
            return;
        }
    }
}
