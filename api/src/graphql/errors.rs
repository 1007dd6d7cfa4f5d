//! What clients learn when something goes wrong. Expected outcomes of mutations are data (`userErrors`); everything
//! else is a GraphQL error with a code. A fault shows the client a number under which the log has the details.

use std::future::Future;
use std::sync::Arc;

use async_graphql::{ErrorExtensions, Response, ServerError, SimpleObject};
use domain::{Code, Error, Fault, Problem};

/// Too much was asked for, or asked too often.
pub const RATE_LIMITED: &str = "RATE_LIMITED";

/// Every code that an error of a request may have; `docs/api.md` explains them. Those of user errors are `domain::Code`.
pub const REQUEST_CODES: [&str; 11] = [
    "UNAUTHENTICATED",
    "FORBIDDEN",
    "NOT_FOUND",
    "BAD_USER_INPUT",
    "INTERNAL",
    RATE_LIMITED,
    "PERSISTED_QUERY_NOT_FOUND",
    "QUERY_NOT_ALLOWED",
    "CURSOR_EXPIRED",
    "UNAVAILABLE",
    "TOO_SLOW",
];

/// Bytes of a message. What it repeats of a request may be as long as the request, and stand in it twenty times.
const LONGEST_MESSAGE: usize = 500;
/// Errors of a request that was not run. Whoever has so many to correct is told of the rest afterwards.
const MOST_ERRORS: usize = 50;

tokio::task_local! {
    /// The request that this task serves.
    static REQUEST: String;
}

/// Runs the work of one request, so that what goes wrong in it is logged and reported under its id.
pub async fn in_request<T>(id: String, work: impl Future<Output = T>) -> T {
    REQUEST.scope(id, work).await
}

/// Something the client should have done otherwise.
#[derive(Clone, Debug, SimpleObject)]
pub struct UserError {
    /// One of the codes in the documentation, such as `ALREADY_EXISTS`.
    pub code: String,
    /// The path of the input field at fault; empty when it is the whole.
    pub field: Vec<String>,
    /// In words, for people; codes are for programs.
    pub message: String,
}

impl From<Problem> for UserError {
    fn from(problem: Problem) -> Self {
        let field = problem.path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Self { code: problem.code.as_str().to_owned(), field, message: problem.message }
    }
}

/// Why a resolver has no answer. It is deliberately no `std::error::Error`: what `?` may turn into a client's error is
/// decided here.
#[derive(Debug)]
pub enum Failure {
    Unauthenticated,
    Core(Error),
    /// What went wrong for several fields at once, in a loader.
    Shared(Arc<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Core(problem.into())
    }
}

impl From<Failure> for async_graphql::Error {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Unauthenticated => coded("UNAUTHENTICATED", "sign in first"),
            Failure::Core(error) => told(error),
            Failure::Shared(error) => told(error),
        }
    }
}

/// Splits the outcome of a mutation into what it did and what the client should have done otherwise.
pub fn outcome<T>(result: Result<T, Failure>) -> Result<(Option<T>, Vec<UserError>), Failure> {
    match result {
        Ok(done) => Ok((Some(done), Vec::new())),
        Err(Failure::Core(Error::Invalid(problems))) => Ok((None, problems.into_iter().map(UserError::from).collect())),
        Err(Failure::Core(error @ Error::NotFound(_))) => {
            Ok((None, vec![Problem::new(Code::NotFound, "", error.to_string()).into()]))
        }
        Err(failure) => Err(failure),
    }
}

/// What is not there is null.
pub fn or_null<T>(result: domain::Result<T>) -> Result<Option<T>, Failure> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives every error of a response a code. An error that carries another one inside came past [`Failure`]: nobody has
/// decided what of it a client may read.
pub(super) fn give_codes(response: &mut Response) {
    for error in &mut response.errors {
        cut(&mut error.message);
        let coded = error.extensions.as_ref().is_some_and(|values| values.get("code").is_some());
        if coded {
            continue;
        }
        if error.source.is_some() {
            let request = request_id();
            tracing::error!(request, error = error.message, "an error came past Failure");
            let masked = internal(&request);
            *error =
                ServerError { message: masked.message, extensions: masked.extensions, source: None, ..error.clone() };
        } else {
            error.extensions.get_or_insert_default().set("code", "BAD_USER_INPUT");
        }
    }
}

/// Leaves of the errors of a request that was not run as many as somebody reads. Where it was run, each belongs to a
/// null in the data.
pub(super) fn leave_some(response: &mut Response) {
    response.errors.truncate(MOST_ERRORS);
}

fn cut(message: &mut String) {
    if message.len() > LONGEST_MESSAGE {
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        message.push('…');
    }
}

/// An error of a request that was not executed.
pub(super) fn coded_error(code: &str, message: &str) -> ServerError {
    let error = coded(code, message);
    ServerError { extensions: error.extensions, ..ServerError::new(error.message, None) }
}

fn internal(request: &str) -> async_graphql::Error {
    coded("INTERNAL", &format!("internal error; the log has the details under {request}"))
        .extend_with(|_, values| values.set("requestId", request))
}

fn coded(code: &str, message: &str) -> async_graphql::Error {
    debug_assert!(REQUEST_CODES.contains(&code), "{code} is in no catalogue");
    async_graphql::Error::new(message).extend_with(|_, values| values.set("code", code))
}

fn told(error: &Error) -> async_graphql::Error {
    match error {
        Error::Denied(_) => coded("FORBIDDEN", &error.to_string()),
        Error::NotFound(_) => coded("NOT_FOUND", &error.to_string()),
        Error::Invalid(problems) => {
            // What a client does about this one is to begin anew, and not to correct its request.
            let expired = problems.iter().any(|problem| problem.code == Code::CursorExpired);
            coded(if expired { Code::CursorExpired.as_str() } else { "BAD_USER_INPUT" }, &error.to_string())
        }
        Error::Fault(fault) => {
            let request = logged(fault);
            match fault.passes() {
                Some(advice) => {
                    coded("UNAVAILABLE", advice).extend_with(|_, values| values.set("requestId", request.as_str()))
                }
                None => internal(&request),
            }
        }
    }
}

/// Writes a fault into the log and gives the number under which it is found there.
pub(crate) fn logged(fault: &Fault) -> String {
    let request = request_id();
    tracing::error!(request, error = %fault, "a request failed");
    request
}

/// The id of the request that this task serves.
pub fn request_id() -> String {
    REQUEST.try_with(String::clone).unwrap_or_else(|_| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(error: async_graphql::Error) -> Response {
        Response::from_errors(vec![error.into_server_error(async_graphql::Pos::default())])
    }

    fn first(response: &Response) -> String {
        serde_json::to_string(&response.errors[0]).unwrap()
    }

    #[tokio::test]
    async fn an_error_that_nobody_has_looked_at_is_masked() {
        in_request("4711".to_owned(), async {
            let mut leaking = response(std::io::Error::other("/secret/path").into());
            give_codes(&mut leaking);
            assert!(!first(&leaking).contains("secret"));
            assert!(first(&leaking).contains("INTERNAL") && first(&leaking).contains("4711"));
            let mut known = response(Failure::from(Error::NotFound("member")).into());
            give_codes(&mut known);
            assert!(first(&known).contains("there is no such member") && first(&known).contains("NOT_FOUND"));
        })
        .await;
    }

    #[test]
    fn a_message_does_not_repeat_a_long_request() {
        let mut long = response(async_graphql::Error::new(format!("x{}", "\u{ac00}".repeat(LONGEST_MESSAGE))));
        give_codes(&mut long);
        let message = &long.errors[0].message;
        assert!(message.ends_with("\u{ac00}…") && (LONGEST_MESSAGE..LONGEST_MESSAGE + 3).contains(&message.len()));
        let mut short = response(async_graphql::Error::new("x".repeat(LONGEST_MESSAGE)));
        give_codes(&mut short);
        assert_eq!(short.errors[0].message.len(), LONGEST_MESSAGE);
    }

    #[test]
    fn problems_become_data_with_their_path() {
        let problem = Problem::new(Code::BadInput, "terms.rows.0", "wrong");
        let (done, errors) = outcome::<()>(Err(problem.into())).unwrap();
        assert!(done.is_none());
        assert_eq!(
            (errors[0].code.as_str(), errors[0].field.as_slice()),
            ("BAD_INPUT", &["terms", "rows", "0"].map(str::to_owned)[..])
        );
        assert!(outcome::<()>(Err(Error::Denied("more").into())).is_err());
        assert!(or_null::<()>(Err(Error::NotFound("x"))).unwrap().is_none());
    }
}
