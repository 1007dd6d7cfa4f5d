//! Connections to a server that break at the worst moment: the reply to COMMIT is eaten, or the COMMIT itself. Every
//! request has one effect, and who cannot know which one is told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use domain::clock::Clock;
use domain::db::{Db, DbLock};
use domain::page::PageRequest;
use domain::partners::NewPartner;
use domain::secrets::MasterKey;
use domain::{Domain, Error, Fault, Scoped};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::databases::on_postgres;
use crate::facts::*;
use crate::support::*;

/// What happens to the next COMMIT that passes.
const NOTHING: u8 = 0;
const COMMIT_IS_EATEN: u8 = 1;
const REPLY_IS_EATEN: u8 = 2;

/// Between a core and the server.
struct Proxy {
    port: u16,
    mood: Arc<AtomicU8>,
}

impl Proxy {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (port, mood) = (listener.local_addr().expect("an address").port(), Arc::new(AtomicU8::new(NOTHING)));
        let moods = mood.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, moods.clone()));
            }
        });
        Self { port, mood }
    }

    fn next(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }

    /// Whether what was to happen has happened.
    fn struck(&self) -> bool {
        self.mood.load(Ordering::SeqCst) == NOTHING
    }
}

/// Passes bytes both ways until one side ends, or the mood strikes: then both do.
async fn pass(mut client: TcpStream, server: u16, mood: Arc<AtomicU8>) {
    let mut server = TcpStream::connect(("127.0.0.1", server)).await.expect("the server");
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Some(length) = read.ok().filter(|length| *length > 0) else { return };
                let commits = asked[..length].windows(6).any(|word| word == b"COMMIT");
                let strikes = if commits { mood.swap(NOTHING, Ordering::SeqCst) } else { NOTHING };
                if strikes == COMMIT_IS_EATEN || server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
                if strikes == REPLY_IS_EATEN {
                    // It has happened when the server answers.
                    server.readable().await.ok();
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Some(length) = read.ok().filter(|length| *length > 0) else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A world, and the same tenant as a core sees it that is behind a proxy.
async fn behind_a_proxy() -> Option<(World, Proxy, Domain, Scoped)> {
    if !on_postgres() {
        eprintln!("SKIPPED: an embedded database has no connection to lose; e2e/with-postgres.sh starts a server");
        return None;
    }
    let world = World::new().await;
    let url = world.app.database.url.clone();
    let (_, place) = url.rsplit_once(':').expect("a port");
    let (port, _) = place.split_once('/').expect("a database");
    let proxy = Proxy::start(port.parse().expect("a number")).await;
    let url = url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port));
    let db = Db::open(DbLock::take(&url, "test").expect("a URL")).await.expect("it opens");
    let domain = Domain::new(db, Clock::clone(&world.app.clock), MasterKey::from_bytes(MASTER_KEY));
    let session = world.app.sign_in("acme", "ada@acme.test").await;
    let admin = domain.for_caller(domain.authenticate(session.access_token.expose()).await.expect("a token"));
    Some((world, proxy, domain, admin))
}

fn named(name: &str) -> NewPartner {
    NewPartner { name: name.to_owned(), reference: None }
}

#[tokio::test]
async fn what_is_recorded_is_there_once_whatever_is_eaten() {
    let Some((world, proxy, _, admin)) = behind_a_proxy().await else { return };
    let contract = world.contract("share", json!({})).await;
    for number in 0..20_u8 {
        let mood = if number.is_multiple_of(2) { COMMIT_IS_EATEN } else { REPLY_IS_EATEN };
        proxy.next(mood);
        let drafts = vec![stake(&number.to_string(), "1", "01-10")];
        let outcomes = admin.record_transactions(world.source, drafts).await.expect("an answer all the same");
        assert!(proxy.struck());
        // Done a second time, a fact that is there is a replay of itself.
        assert_eq!(all_shown(&outcomes), [if mood == COMMIT_IS_EATEN { "RECORDED" } else { "REPLAYED" }], "{number}");
    }
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 2000/20/20"]);
    world.check_books().await;
}

#[tokio::test]
async fn a_change_under_a_key_is_done_once_and_answered() {
    let Some((world, proxy, _, admin)) = behind_a_proxy().await else { return };
    for number in 0..10_u8 {
        let mood = if number.is_multiple_of(2) { COMMIT_IS_EATEN } else { REPLY_IS_EATEN };
        let name = format!("partner-{number}");
        let once = admin.once(&name, "createPartner", [number; 32]).expect("a key");
        proxy.next(mood);
        let partner = once.create_partner(named(&name)).await.expect("an answer all the same");
        assert!(proxy.struck());
        let again = once.create_partner(named(&name)).await.expect("the same");
        assert_eq!(partner.id, again.id, "{number}");
    }
    let partners = world.admin.partners(PageRequest::default()).await.expect("partners").items;
    assert_eq!(partners.len(), 11, "each once, and the world's own");
}

#[tokio::test]
async fn without_a_key_nobody_guesses() {
    let Some((world, proxy, _, admin)) = behind_a_proxy().await else { return };
    for (mood, there) in [(COMMIT_IS_EATEN, 0), (REPLY_IS_EATEN, 1)] {
        let name = format!("partner {mood}");
        proxy.next(mood);
        let answer = admin.create_partner(named(&name)).await;
        assert!(matches!(answer, Err(Error::Fault(Fault::Unanswered))), "{answer:?}");
        let all = world.admin.partners(PageRequest::default()).await.expect("partners").items;
        assert_eq!(all.iter().filter(|partner| partner.name == name).count(), there, "and not twice");
    }
}

#[tokio::test]
async fn a_connection_that_was_cut_while_nobody_used_it_is_no_ones_trouble() {
    let Some((world, _, _, admin)) = behind_a_proxy().await else { return };
    let database = world.app.rows("SELECT current_database()").await.remove(0);
    for number in 0..5_u8 {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'saldo'";
        world.app.number(&format!("{cut} AND datname = '{database}'")).await;
        admin.create_partner(named(&format!("partner {number}"))).await.expect("a new connection");
        admin.statements(&[]).await.expect("for reading as well");
    }
}
