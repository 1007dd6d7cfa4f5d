//! Contracts in plain words over HTTP: `GET /v1/contracts/{id}/versions/{n}/text?language=ko` gives a version as a page to
//! print and sign.

use domain::Error;
use domain::ids::ContractId;
use domain::notifications::Language;
use poem::http::header;
use poem::web::{Data, Html, Path, Query};
use poem::{IntoResponse, Request, Response, RouteMethod, get, handler};
use serde::Deserialize;

use crate::http::App;
use crate::uploads::{Refusal, sender};

/// The page has a style of its own and nothing else that does anything.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

pub(crate) fn route() -> RouteMethod {
    get(send)
}

#[derive(Deserialize)]
struct Asked {
    language: Option<String>,
}

#[handler]
async fn send(
    app: Data<&App>,
    request: &Request,
    Path((contract, version)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Response {
    page(&app, request, &contract, &version, asked.language.as_deref()).await.unwrap_or_else(Refusal::response)
}

async fn page(
    app: &App,
    request: &Request,
    contract: &str,
    version: &str,
    language: Option<&str>,
) -> Result<Response, Refusal> {
    let scoped = sender(app, request).await?;
    let language = match language {
        None => Language::default(),
        Some(text) => Language::parse(&text.to_ascii_uppercase())
            .ok_or_else(|| Refusal::malformed("the language is neither en nor ko"))?,
    };
    let contract = ContractId::parse(contract).ok_or(Error::NotFound("contract"))?;
    let version = version.parse().map_err(|_| Error::NotFound("contract version"))?;
    let html = scoped.contract_page(contract, version, language).await?;
    Ok(Html(html)
        .with_header(header::CONTENT_SECURITY_POLICY, POLICY)
        .with_header(header::CONTENT_LANGUAGE, language.as_str().to_ascii_lowercase())
        .with_header(header::REFERRER_POLICY, "no-referrer")
        .with_header(header::CACHE_CONTROL, "no-store")
        .into_response())
}
