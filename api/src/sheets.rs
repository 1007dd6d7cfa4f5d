//! Rate tables as spreadsheets over HTTP: `GET /v1/contracts/{id}/versions/{n}/rate-table.csv` (or `.xlsx`) gives one,
//! `PUT` puts a changed one in the place of a draft's. What is wrong with it is told by cell.

use domain::contracts::findings::{Finding, Severity};
use domain::contracts::sheet::{Format, MAX_FILE};
use domain::ids::ContractId;
use domain::{Error, Problem};
use poem::http::{StatusCode, header};
use poem::web::{Data, Json, Path};
use poem::{Body, IntoResponse, Request, Response, RouteMethod, get, handler};
use serde::Serialize;

use crate::http::App;
use crate::uploads::{Refusal, only_bytes, sender};

pub(crate) fn csv_route() -> RouteMethod {
    get(send_csv).put(take_csv)
}

pub(crate) fn xlsx_route() -> RouteMethod {
    get(send_xlsx).put(take_xlsx)
}

#[handler]
async fn send_csv(app: Data<&App>, request: &Request, Path((contract, version)): Path<(String, String)>) -> Response {
    send(&app, request, &contract, &version, Format::Csv).await.unwrap_or_else(Refused::response)
}

#[handler]
async fn send_xlsx(app: Data<&App>, request: &Request, Path((contract, version)): Path<(String, String)>) -> Response {
    send(&app, request, &contract, &version, Format::Xlsx).await.unwrap_or_else(Refused::response)
}

#[handler]
async fn take_csv(
    app: Data<&App>,
    request: &Request,
    Path((contract, version)): Path<(String, String)>,
    body: Body,
) -> Response {
    take(&app, request, &contract, &version, Format::Csv, body).await.unwrap_or_else(Refused::response)
}

#[handler]
async fn take_xlsx(
    app: Data<&App>,
    request: &Request,
    Path((contract, version)): Path<(String, String)>,
    body: Body,
) -> Response {
    take(&app, request, &contract, &version, Format::Xlsx, body).await.unwrap_or_else(Refused::response)
}

async fn send(
    app: &App,
    request: &Request,
    contract: &str,
    version: &str,
    format: Format,
) -> Result<Response, Refused> {
    let scoped = sender(app, request).await?;
    let (contract, version) = named(contract, version)?;
    let (file, revision) = scoped.export_rate_table(contract, version, format).await?;
    let (kind, ending) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
        Format::Xlsx => ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    };
    let name = format!("attachment; filename=\"rate-table-{version}.{ending}\"");
    let response = file.with_content_type(kind).with_header(header::CONTENT_DISPOSITION, name);
    let response = response.with_header(header::ETAG, format!("\"{revision}\""));
    Ok(response.with_header(header::CACHE_CONTROL, "no-store").into_response())
}

async fn take(
    app: &App,
    request: &Request,
    contract: &str,
    version: &str,
    format: Format,
    body: Body,
) -> Result<Response, Refused> {
    let scoped = sender(app, request).await?;
    only_bytes(request.headers())?;
    let (contract, version) = named(contract, version)?;
    let bytes = body.into_bytes_limit(MAX_FILE).await.map_err(|error| match error {
        poem::error::ReadBodyError::PayloadTooLarge => {
            let message = format!("the file has more than {MAX_FILE} bytes");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "BAD_INPUT", message)
        }
        _ => Refusal::malformed("the body broke off"),
    })?;
    let revision = read_at(request.headers())?;
    let imported = scoped.import_rate_table(contract, version, revision, format, bytes.into()).await?;
    let findings = imported.findings.iter().map(|(cell, finding)| FindingJson::of(cell, finding)).collect();
    let rows = imported.version.terms.rate_table.rows.len();
    Ok(Json(TakenJson { rows, findings }).with_header(header::CACHE_CONTROL, "no-store").into_response())
}

/// The revision that a changed file was read at, where its sender says so.
fn read_at(headers: &header::HeaderMap) -> Result<Option<i64>, Refused> {
    let Some(tag) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let number = tag.to_str().ok().and_then(|tag| tag.trim().trim_matches('"').parse().ok());
    let refused = || Refusal::malformed("If-Match is not the ETag of a rate table, such as \"3\"");
    number.map(Some).ok_or_else(|| refused().into())
}

fn named(contract: &str, version: &str) -> Result<(ContractId, i64), Error> {
    let version = version.parse().map_err(|_| Error::NotFound("contract version"))?;
    Ok((ContractId::parse(contract).ok_or(Error::NotFound("contract"))?, version))
}

#[derive(Serialize)]
struct TakenJson<'f> {
    /// Rate classes that the draft has now.
    rows: usize,
    findings: Vec<FindingJson<'f>>,
}

/// One thing that is wrong, or that somebody should look at.
#[derive(Serialize)]
struct FindingJson<'f> {
    severity: &'static str,
    /// `Rates!C7`, `C7` of a CSV; or the field of the terms where no cell is behind it. Empty when it is the whole file.
    cell: &'f str,
    message: &'f str,
}

impl<'f> FindingJson<'f> {
    fn of(cell: &'f str, finding: &'f Finding) -> Self {
        let severity = if finding.severity == Severity::Error { "ERROR" } else { "WARNING" };
        Self { severity, cell, message: &finding.message }
    }

    fn error(problem: &'f Problem) -> Self {
        Self { severity: "ERROR", cell: &problem.path, message: &problem.message }
    }
}

/// Problem details of RFC 9457 with each problem by itself.
#[derive(Serialize)]
struct Details<'d> {
    title: &'d str,
    status: u16,
    code: &'d str,
    detail: String,
    findings: Vec<FindingJson<'d>>,
}

enum Refused {
    Plainly(Refusal),
    /// What is wrong with the file.
    For(Vec<Problem>),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Plainly(refusal)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(problems) => Self::For(problems),
            other => Self::Plainly(other.into()),
        }
    }
}

impl Refused {
    fn response(self) -> Response {
        let problems = match self {
            Self::Plainly(refusal) => return refusal.response(),
            Self::For(problems) => problems,
        };
        let code = problems.first().map_or("BAD_INPUT", |problem| problem.code.as_str());
        let status = if code == "VERSION_ACTIVE" { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
        let title = status.canonical_reason().unwrap_or_default();
        let findings: Vec<_> = problems.iter().map(FindingJson::error).collect();
        let detail = match problems.as_slice() {
            [only] => only.to_string(),
            [first, ..] => format!("{first}; and {} more", problems.len() - 1),
            [] => String::new(),
        };
        let details = Json(Details { title, status: status.as_u16(), code, detail, findings });
        let response = details.with_status(status).with_content_type("application/problem+json");
        response.with_header(header::CACHE_CONTROL, "no-store").into_response()
    }
}
