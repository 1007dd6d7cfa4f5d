//! `saldo import` by the real binary: in process, over a server, and over a connection that is cut.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::command_line::{Served, fails_saying, run, saldo};
use crate::support::{Crash, TestServer, file, new_folder};

/// A folder with a database in which `acme` is ready for files of the crash game.
async fn folder() -> (PathBuf, Crash) {
    let folder = new_folder();
    std::fs::create_dir_all(folder.join("var")).expect("a folder");
    let server = TestServer::for_the_binary(&folder).await;
    let crash = server.crash("acme").await;
    server.domain.shut_down().await;
    (folder, crash)
}

fn over(folder: &Path, server: &str, key: &str, arguments: &[&str]) -> Output {
    let child = saldo(folder, &[&["import", "--server", server], arguments].concat()).env("SALDO_API_KEY", key).spawn();
    child.expect("saldo starts").wait_with_output().expect("saldo ends")
}

fn succeeds_saying(output: &Output, words: &[&str]) {
    let (told, said) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{told}");
    for words in words {
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn a_file_in_process_and_over_a_server() {
    let (folder, crash) = folder().await;
    let mut broken = file(20);
    broken += "20,2,alice,x,NA,0,2021-11-20T19:44:19Z\n";
    std::fs::write(folder.join("crash.csv"), broken).unwrap();
    std::fs::write(folder.join("wrong.csv"), "Id,Bet\n1,2\n").unwrap();
    let arguments = ["--source", "crash", "--file", "crash.csv"];
    let import = [&["import"], &arguments[..]].concat();
    succeeds_saying(
        &run(&folder, &import, ""),
        &[
            "Records: 21 read, 20 emitted, 0 ignored, 1 quarantined.",
            "Transactions: 30 recorded, 0 replayed, 0 conflicting.",
        ],
    );
    succeeds_saying(&run(&folder, &import, ""), &["Transactions: 0 recorded, 30 replayed, 0 conflicting."]);
    for (arguments, words) in [
        (["--source", "crash", "--file", "wrong.csv"], "PlayDate"),
        (["--source", "crash", "--file", "missing.csv"], "missing.csv"),
        (["--source", "other", "--file", "crash.csv"], "there is no source 'other'"),
    ] {
        fails_saying(&run(&folder, &[&["import"], &arguments[..]].concat(), ""), words);
    }
    fails_saying(&run(&folder, &[&import[..], &["--tenant", "bolt"]].concat(), ""), "there is no tenant 'bolt'");
    let second = ["tenant", "create", "--slug", "bolt", "--name", "Bolt", "--admin-email", "bob@bolt.test"];
    assert!(run(&folder, &second, "").status.success());
    fails_saying(&run(&folder, &import, ""), "--tenant");
    assert!(run(&folder, &[&import[..], &["--tenant", "acme"]].concat(), "").status.success());

    let served = Served::start(&folder);
    let server = format!("http://{}", served.1);
    fails_saying(&run(&folder, &import, ""), "--server");
    let output = over(&folder, &server, &crash.key, &arguments);
    succeeds_saying(&output, &["Records: 21 read, 20 emitted", "1 quarantined.", "30 replayed"]);
    let wrong = ["--source", "crash", "--file", "wrong.csv"];
    fails_saying(&over(&folder, &server, &crash.key, &wrong), "PlayDate");
    fails_saying(&over(&folder, &server, "saldo_key_AAAA", &arguments), "UNAUTHENTICATED");
    fails_saying(&over(&folder, &server, &crash.key, &["--source", "other", "--file", "crash.csv"]), "NOT_FOUND");
    fails_saying(&over(&folder, "nowhere", &crash.key, &arguments), "is no address");
    drop(served);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Passes connections on, and cuts the first one on which the client sends so many bytes, once the server has recorded a
/// part of them.
fn cutting(target: String, after: usize, key: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let budget = Arc::new(Mutex::new(Some(after)));
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&target).expect("the server");
            let (mut back_from, mut back_to) =
                (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
            std::thread::spawn(move || std::io::copy(&mut back_from, &mut back_to).ok());
            let (budget, key) = (budget.clone(), key.clone());
            std::thread::spawn(move || pass(client, server, &budget, &key));
        }
    });
    address
}

fn pass(mut client: TcpStream, mut server: TcpStream, budget: &Mutex<Option<usize>>, key: &str) {
    let (mut buffer, mut sent) = (vec![0; 4096], Vec::new());
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        if server.write_all(&buffer[..read]).is_err() {
            break;
        }
        sent.extend(&buffer[..read]);
        if budget.lock().expect("whole").take_if(|after| sent.len() >= *after).is_some() {
            until_some_is_recorded(server.peer_addr().expect("an address"), &sent, key);
            break;
        }
    }
    for side in [client, server] {
        side.shutdown(std::net::Shutdown::Both).ok();
    }
}

/// Until the upload that goes on in what was sent stands beyond its beginning: its client is to find it there.
fn until_some_is_recorded(server: SocketAddr, sent: &[u8], key: &str) {
    let sent = String::from_utf8_lossy(sent);
    let (_, place) = sent.split_once("PATCH ").expect("an upload that goes on");
    let (place, _) = place.split_once(' ').expect("its place");
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let mut stream = TcpStream::connect(server).expect("the server");
        let head = format!("GET {place} HTTP/1.1\r\nHost: saldo\r\nAuthorization: Bearer {key}\r\nConnection: close");
        stream.write_all(format!("{head}\r\n\r\n").as_bytes()).expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, bytes) = answer.split_once("\"bytes\":").expect("where it stands");
        if !bytes.trim_start().starts_with('0') {
            return;
        }
    }
    panic!("nothing was recorded");
}

#[tokio::test]
async fn a_cut_connection_is_taken_up_again() {
    let (folder, crash) = folder().await;
    // Three quarters are more than one transaction takes.
    let whole = file(12_000);
    std::fs::write(folder.join("crash.csv"), &whole).unwrap();
    let served = Served::start(&folder);
    let proxy = format!("http://{}", cutting(served.1.clone(), whole.len() * 3 / 4, crash.key.clone()));
    let output = over(&folder, &proxy, &crash.key, &["--source", "crash", "--file", "crash.csv"]);
    succeeds_saying(&output, &["Records: 12000 read, 12000 emitted", "Transactions: 18000 recorded, 0 replayed"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("trying again") && told.contains("going on at byte"), "{told}");
    drop(served);
    std::fs::remove_dir_all(&folder).unwrap();
}
