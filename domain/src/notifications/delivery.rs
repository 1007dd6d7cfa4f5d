//! The ways out: an SMTP server, or a folder of `.eml` files where there is none.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::{self, extension::ClientId};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use thiserror::Error;

use super::mail::{Letter, line};
use crate::ids::MailId;
use crate::time::Timestamp;

/// How long a server may take for one mail. RFC 5321 grants minutes; a worker that waits for them stands still.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who mail is from: `Saldo <saldo@example.com>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFrom(Mailbox);

impl MailFrom {
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// What is wrong with an SMTP URL. It never shows the URL, which has a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SmtpUrlError {
    #[error(
        "this is no address of a mail server like smtps://user:password@mail.example.com, smtp://mail.example.com:587?tls=required or smtp://localhost:25"
    )]
    Malformed,
    #[error("a password goes over TLS only: write smtps://…, or smtp://…?tls=required, unless the server is localhost")]
    PasswordInTheOpen,
}

/// Where mail goes.
pub struct MailTransport {
    from: MailFrom,
    patience: Duration,
    way: Way,
}

enum Way {
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
    Folder(PathBuf),
}

/// A mail with everything that its recipient sees.
pub(super) struct Outgoing {
    pub id: MailId,
    pub recipient: String,
    pub name: String,
    pub letter: Letter,
    pub written_at: Timestamp,
}

/// Why a mail was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub said: String,
    /// This very mail will not be taken later either.
    pub lasting: bool,
    /// The server takes no mail at all just now.
    pub down: bool,
}

impl MailTransport {
    /// To the server behind `smtp://` or `smtps://`, with user, password and `?tls=required` where it wants them.
    pub fn smtp(url: &str, from: MailFrom) -> Result<Self, SmtpUrlError> {
        if shows_password(url) {
            return Err(SmtpUrlError::PasswordInTheOpen);
        }
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| SmtpUrlError::Malformed)?;
        // The path of the URL is the name that Saldo greets with; the sender's domain where there is none.
        let path = after_authority(url).split('?').next().unwrap_or_default().trim_matches('/');
        let builder = match path {
            "" => builder.hello_name(ClientId::Domain(from.0.email.domain().to_owned())),
            _ => builder,
        };
        let smtp = builder.timeout(Some(PATIENCE)).build();
        Ok(Self { from, patience: PATIENCE, way: Way::Smtp(Box::new(smtp)) })
    }

    /// Into files of this folder, made when the first mail comes.
    pub fn folder(path: impl Into<PathBuf>, from: MailFrom) -> Self {
        Self { from, patience: PATIENCE, way: Way::Folder(path.into()) }
    }

    /// How long the server may take for one mail, instead of 20 seconds.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(super) async fn send(&self, mail: Outgoing) -> Result<(), Failure> {
        let message = self.message(&mail).map_err(|said| Failure { said, lasting: true, down: false })?;
        match &self.way {
            Way::Folder(folder) => {
                let (folder, id) = (folder.clone(), mail.id);
                let written = tokio::task::spawn_blocking(move || write(&folder, id, &message.formatted())).await;
                let written = written.map_err(std::io::Error::other).flatten();
                // A disk that is full is full for every mail.
                written.map_err(|error| Failure { said: line(&error.to_string()), lasting: false, down: true })
            }
            Way::Smtp(smtp) => match tokio::time::timeout(self.patience, smtp.send(message)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) if error.is_transient() => {
                    Err(Failure { said: line(&error.to_string()), lasting: false, down: false })
                }
                // Also a wrong password and a server that has shut its doors are refused for good, and a mail must not
                // be parked for them: what is wrong with a mail shows when the server is well without it.
                Ok(Err(error)) => {
                    let down = !self.is_up(smtp).await;
                    let lasting = !down && (error.is_permanent() || error.is_client());
                    Err(Failure { said: line(&error.to_string()), lasting, down })
                }
                Err(_) => {
                    let said = format!("no answer within {} ms", self.patience.as_millis());
                    Err(Failure { said, lasting: false, down: !self.is_up(smtp).await })
                }
            },
        }
    }

    /// Whether the server lets us in, up to the point where a mail would begin.
    async fn is_up(&self, smtp: &AsyncSmtpTransport<Tokio1Executor>) -> bool {
        matches!(tokio::time::timeout(self.patience, smtp.test_connection()).await, Ok(Ok::<_, smtp::Error>(true)))
    }

    /// The same mail is the same bytes, however often it is sent, so that a second copy can be known.
    fn message(&self, mail: &Outgoing) -> Result<Message, String> {
        let address = mail.recipient.parse().map_err(|error| format!("the address of the recipient: {error}"))?;
        let from = &self.from.0;
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let builder = Message::builder()
            .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
            .date(SystemTime::UNIX_EPOCH + Duration::from_micros(mail.written_at.0.unsigned_abs()))
            .from(from.clone())
            .to(Mailbox::new(Some(line(&mail.name)).filter(|name| !name.is_empty()), address))
            .subject(line(&mail.letter.subject))
            // So that no holiday notice answers (RFC 3834).
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        let text = SinglePart::plain(mail.letter.text.clone());
        let built = match &mail.letter.html {
            None => builder.singlepart(text),
            Some(html) => {
                let both = MultiPart::alternative().boundary(format!("={}", mail.id));
                builder.multipart(both.singlepart(text).singlepart(SinglePart::html(html.clone())))
            }
        };
        built.map_err(|error| error.to_string())
    }
}

fn after_authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find(['/', '?', '#']).map_or("", |at| &rest[at..])
}

/// Whether a password would go to another machine without TLS, or with TLS only where nobody is in the way.
fn shows_password(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("smtp://") else { return false };
    let authority = &rest[..rest.len() - after_authority(url).len()];
    let Some((_, host)) = authority.rsplit_once('@') else { return false };
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    let tls = after_authority(url).split(['?', '&', '#']).any(|part| part == "tls=required");
    !is_here && !tls
}

/// A file that is there whole or not at all, and that only its owner can read: an invitation has a token in it. The
/// same mail again is the same file.
fn write(folder: &Path, id: MailId, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    std::fs::create_dir_all(folder)?;
    let part = folder.join(format!("{id}.part"));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(part, folder.join(format!("{id}.eml")))
}

#[cfg(test)]
mod tests;
