//! Sending a file to a server, and going on where a cut left it.

use std::time::Duration;

use domain::secrets::Secret;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use crate::cli::Outcome;
use crate::import::{Run, Upload};
use crate::progress::Progress;

/// Tries without the server having taken anything in between.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const CONNECTING: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    client: Client,
    address: Url,
    key: Secret,
}

/// Why an upload does not go on.
enum Stop {
    /// The connection or the server; another try may do.
    Cut(String),
    /// An answer that another try would get again.
    Refused(String),
}

#[derive(Deserialize)]
struct Details {
    code: String,
    detail: String,
}

impl From<reqwest::Error> for Stop {
    fn from(error: reqwest::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        Self::Cut(text)
    }
}

impl Server {
    pub fn new(address: &str, key: Secret) -> Outcome<Self> {
        let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let address = url.ok_or_else(|| format!("'{address}' is no address like http://127.0.0.1:8080"))?;
        let client = Client::builder().connect_timeout(CONNECTING).build();
        Ok(Self { client: client.map_err(|error| format!("the HTTP client: {error}"))?, address, key })
    }

    /// Sends a file to its end; a few tries where the connection is cut.
    pub async fn send(&self, source: &str, upload: &Upload, progress: &Progress) -> Outcome<Run> {
        let (mut tries, mut furthest, mut run_at) = (0, 0, None);
        loop {
            let cut = match self.go_on(source, upload, progress, &mut run_at, &mut furthest, &mut tries).await {
                Ok(run) => return Ok(run),
                Err(Stop::Refused(why)) => return Err(why),
                Err(Stop::Cut(why)) => why,
            };
            tries += 1;
            if tries == TRIES {
                return Err(format!("gave up after {TRIES} tries: {cut}. Run the command again to go on from there"));
            }
            progress.note(&format!("{cut}; trying again"));
            pause(FIRST_PAUSE * 2_u32.pow(tries - 1)).await;
        }
    }

    async fn go_on(
        &self,
        source: &str,
        upload: &Upload,
        progress: &Progress,
        run_at: &mut Option<Url>,
        furthest: &mut u64,
        tries: &mut u32,
    ) -> Result<Run, Stop> {
        let (place, run) = match run_at {
            Some(place) => (place.clone(), self.stands(place.clone()).await?),
            None => self.begin(source, upload).await?,
        };
        *run_at = Some(place.clone());
        if run.has_ended() {
            return Ok(run);
        }
        if run.bytes > *furthest {
            (*furthest, *tries) = (run.bytes, 0);
        }
        let rest = upload.from(run.bytes, progress).await.map_err(Stop::Refused)?;
        let request = self.client.patch(place).header("upload-offset", run.bytes).header("upload-complete", "?1");
        let response = self.signed(request).body(Body::wrap_stream(rest)).send().await?;
        if response.status() == StatusCode::CONFLICT {
            return Err(Stop::Cut("the server stands elsewhere in the file".to_owned()));
        }
        Ok(understood(response).await?.json().await?)
    }

    /// Begins an upload, or finds the unfinished one of the same content and name.
    async fn begin(&self, source: &str, upload: &Upload) -> Result<(Url, Run), Stop> {
        let mut url = self.address.clone();
        match url.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().extend(["v1", "sources", source, "files"]),
            Err(()) => return Err(Stop::Refused(format!("{} is no address of a server", self.address))),
        };
        url.query_pairs_mut().append_pair("name", &upload.name);
        let request = self.client.post(url.clone()).header("upload-key", &upload.key).header("upload-complete", "?0");
        let response = understood(self.signed(request).send().await?).await?;
        let place = place(&url, response.headers());
        let place = place.ok_or_else(|| Stop::Refused(format!("{} is no Saldo server", self.address)))?;
        Ok((place, response.json().await?))
    }

    async fn stands(&self, place: Url) -> Result<Run, Stop> {
        Ok(understood(self.signed(self.client.get(place)).send().await?).await?.json().await?)
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(self.key.expose())
    }
}

fn place(url: &Url, headers: &HeaderMap) -> Option<Url> {
    url.join(headers.get(LOCATION)?.to_str().ok()?).ok()
}

async fn understood(response: Response) -> Result<Response, Stop> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let told = match response.json::<Details>().await {
        Ok(Details { code, detail }) => format!("{code}: {detail}"),
        Err(_) => format!("the server answered {status}"),
    };
    Err(if status.is_server_error() { Stop::Cut(told) } else { Stop::Refused(told) })
}

#[expect(clippy::disallowed_methods, reason = "no event to wait for: a server in trouble is to be left alone a while")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
