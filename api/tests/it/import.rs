//! `saldo import` by the real binary: in process, over a server, and over a connection that is cut.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;

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

/// Passes connections on, and cuts the first one after some bytes of the client's.
fn cutting(target: String, after: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let mut budget = Some(after);
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&target).expect("the server");
            let (mut back_from, mut back_to) =
                (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
            std::thread::spawn(move || std::io::copy(&mut back_from, &mut back_to).ok());
            let budget = budget.take();
            std::thread::spawn(move || pass(client, server, budget));
        }
    });
    address
}

fn pass(mut client: TcpStream, mut server: TcpStream, mut budget: Option<usize>) {
    let mut buffer = vec![0; 4096];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        if server.write_all(&buffer[..read]).is_err() || budget.is_some_and(|left| left <= read) {
            break;
        }
        budget = budget.map(|left| left - read);
    }
    for side in [client, server] {
        side.shutdown(std::net::Shutdown::Both).ok();
    }
}

#[tokio::test]
async fn a_cut_connection_is_taken_up_again() {
    let (folder, crash) = folder().await;
    let whole = file(6_000);
    std::fs::write(folder.join("crash.csv"), &whole).unwrap();
    let served = Served::start(&folder);
    let proxy = format!("http://{}", cutting(served.1.clone(), whole.len() / 2));
    let output = over(&folder, &proxy, &crash.key, &["--source", "crash", "--file", "crash.csv"]);
    succeeds_saying(&output, &["Records: 6000 read, 6000 emitted", "Transactions: 9000 recorded, 0 replayed"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("trying again") && told.contains("going on at byte"), "{told}");
    drop(served);
    std::fs::remove_dir_all(&folder).unwrap();
}
