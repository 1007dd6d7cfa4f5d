//! The execution of one subscription, event by event.

use std::sync::{Mutex, PoisonError};

use async_graphql::{Context, Response, Value};
use domain::Scoped;
use domain::events::{Event, Interest};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::{mpsc, oneshot};

use crate::app::App;
use crate::graphql::errors::Failure;
use crate::graphql::execute::{Finish, Prepared, Refused};
use crate::graphql::{Sender, Session};
use crate::rates::Payer;

/// What a subscription's resolver takes out of its request: the events to turn into values.
pub struct Feed(Mutex<Option<(mpsc::Receiver<Event>, oneshot::Sender<Interest>)>>);

impl Feed {
    /// The events of this request. The resolver says with it which ones it wants, once it knows its arguments.
    pub fn open(ctx: &Context<'_>, interest: Interest) -> Result<mpsc::Receiver<Event>, Failure> {
        let feed = ctx.data_opt::<Self>();
        let taken = feed.and_then(|feed| feed.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Only a subscription that came another way than ours has no feed.
        let (events, ready) = taken.ok_or(Failure::Unauthenticated)?;
        let _ = ready.send(interest);
        Ok(events)
    }
}

/// A subscription under way: give it an event, get the body to send.
pub struct Renderer {
    feed: mpsc::Sender<Event>,
    responses: BoxStream<'static, Response>,
    finish: Finish,
    /// What it cost to begin it.
    pub cost: u32,
}

impl Renderer {
    /// Begins the subscription as its audience sees it, at the payer's expense.
    pub async fn start(
        app: &App,
        audience: Scoped,
        payer: Payer,
        prepared: Prepared,
    ) -> Result<(Self, Interest), Refused> {
        let (feed, events) = mpsc::channel(1);
        let (ready, interest) = oneshot::channel();
        let sender = Sender { session: Session::Caller(Box::new(audience)), address: None, idempotency_key: None };
        let (request, finish) = prepared.into_request(app, &sender, payer);
        let request = request.data(Feed(Mutex::new(Some((events, ready)))));
        let mut responses = app.schema.execute_stream(request);
        tokio::select! {
            biased;
            Ok(interest) = interest => {
                let cost = finish.cost();
                Ok((Self { feed, responses, finish, cost }, interest))
            }
            response = finish.drive(responses.next()) => {
                let response = response.unwrap_or_else(|| Response::new(Value::Null));
                Err(Box::new(finish.answer(response)))
            }
        }
    }

    /// What the subscription shows of this event; none when it has ended.
    pub async fn render(&mut self, event: Event) -> Option<Box<str>> {
        self.feed.send(event).await.ok()?;
        let response = self.finish.drive(self.responses.next()).await?;
        Some(self.finish.update(response).body().to_string().into())
    }
}
