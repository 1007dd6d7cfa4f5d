//! What others ask of recorded facts: to read them in order, to know which lines they feed, to keep their scores.

use std::collections::BTreeSet;

use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select};

use crate::caller::Scoped;
use crate::contracts::{Feed, Pricer, Verdict};
use crate::db::TenantTx;
use crate::error::Result;
use crate::ids::{ModelId, TransactionId};

use super::batch::round_key;
use super::tables::{Column, Entity, round};
use super::transaction::{Fact, Kind};
use super::{find, record, store};

/// Facts in the order they were recorded, from after `after` on, some thousands at a time.
pub(crate) async fn facts_after_in(tx: &TenantTx, after: TransactionId) -> Result<Vec<(TransactionId, Fact)>> {
    let stored = store::facts_after(tx, after).await?;
    Ok(stored.into_iter().map(|stored| (stored.id, stored.fact)).collect())
}

/// After which transaction the latest `count` begin; the first of all where there are not more.
pub(crate) async fn before_latest_in(tx: &TenantTx, count: u64) -> Result<TransactionId> {
    #[derive(FromQueryResult)]
    struct Row {
        id: TransactionId,
    }
    let narrow = |q: Select<Entity>| q.select_only().column(Column::Id).order_by_desc(Column::Id);
    let rows = tx.rows::<Entity, Row>(|q| narrow(q).offset(count).limit(1)).await?;
    Ok(rows.first().map_or(TransactionId::NONE, |row| row.id))
}

/// The transaction that was recorded last; [`TransactionId::NONE`] where there is none.
pub(crate) async fn newest_in(tx: &TenantTx) -> Result<TransactionId> {
    before_latest_in(tx, 0).await
}

/// These facts in the order they were recorded.
pub(crate) async fn facts_by_ids_in(tx: &TenantTx, ids: &[TransactionId]) -> Result<Vec<(TransactionId, Fact)>> {
    let mut facts = Vec::with_capacity(ids.len());
    for row in store::by_ids(tx, ids).await? {
        facts.push((row.id, row.fact()?));
    }
    facts.sort_by_key(|(id, _)| *id);
    Ok(facts)
}

/// Keeps the scores of what was recorded without one. The facts themselves never change.
pub(crate) async fn set_scores_in(tx: &TenantTx, scores: &[(TransactionId, i64)], model: ModelId) -> Result<()> {
    for (id, score) in scores {
        tx.update::<Entity>(|q| {
            q.col_expr(Column::Score, (*score).into())
                .col_expr(Column::ModelId, Expr::value(model))
                .filter(Column::Id.eq(*id))
                .filter(Column::Score.is_null())
        })
        .await?;
    }
    Ok(())
}

/// Where these transactions count, as of now: every contract's period and rate class once. A rollback counts where
/// what it undoes does.
pub(crate) async fn feeds_of_in(scoped: &Scoped, tx: &TenantTx, ids: &[TransactionId]) -> Result<Vec<Feed>> {
    let context = record::load_context_in(scoped, tx).await?;
    let (mut feeds, mut seen) = (Vec::new(), BTreeSet::new());
    for (id, fact) in facts_by_ids_in(tx, ids).await? {
        let fact = if fact.kind == Kind::Rollback {
            let key = (fact.source, fact.reverses.clone().unwrap_or_default());
            let Some((_, undone)) = find::matched_target(tx, id, key).await? else { continue };
            undone
        } else {
            fact
        };
        let closed_at = match round_key(&fact).filter(|_| context.book.needs_rounds()) {
            Some((source, name, player)) => {
                let round = tx.one::<round::Entity>(|q| {
                    q.filter(round::Column::SourceId.eq(source))
                        .filter(round::Column::Round.eq(name))
                        .filter(round::Column::Player.eq(player.to_vec()))
                });
                round.await?.map(|row| row.closed_at)
            }
            None => None,
        };
        let mut verdicts = Vec::new();
        // A pricer is not kept across a wait.
        Pricer::new(&context.book).price(&fact, closed_at, &mut verdicts);
        for verdict in verdicts {
            if let Verdict::Feeds(feed) = verdict
                && seen.insert((feed.contract, feed.period.start, feed.class.clone()))
            {
                feeds.push(feed);
            }
        }
    }
    Ok(feeds)
}
