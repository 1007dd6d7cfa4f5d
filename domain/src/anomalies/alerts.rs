//! Mails about new cases to the tenant's risk staff, posted in the transaction that marks the cases as told.

use super::alert::{Plan, plan};
use super::case::CaseKind;
use super::{Case, read_reasons, reason, store};
use crate::caller::{Role, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::notifications::mail::{CaseMail, case_mail, digest_mail};
use crate::notifications::{self, Language, NewMail};
use crate::sources;
use crate::transactions::transaction::shown_player;

/// A digest has no more; the others come with the next one.
const MOST_AT_ONCE: u64 = 200;

impl Scoped {
    /// Tells risk staff of cases that nobody was told of yet, when it is time.
    pub(crate) async fn tell_of_cases(&self) -> Result<()> {
        let now = self.clock().now();
        let tx = self.read().await?;
        let (untold, last) = (store::untold(&tx, MOST_AT_ONCE).await?, store::last_told(&tx).await?);
        drop(tx);
        if plan(untold.len(), last, now) == Plan::Wait {
            return Ok(());
        }
        let tenant_name = self.tenant_name().await?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let (untold, last) = (store::untold(tx, MOST_AT_ONCE).await?, store::last_told(tx).await?);
            let plan = plan(untold.len(), last, writer.clock().now());
            if plan == Plan::Wait {
                return Ok(());
            }
            let names = sources::names_in(tx).await?;
            let shown = |case: &Case, language: Language| -> Result<CaseMail> {
                let kind = CaseKind::parse(&case.kind).ok_or_else(|| Fault::Corrupt(format!("{}: kind", case.id)))?;
                let (product, player) = (case.product.clone(), case.player.as_deref().map(shown_player));
                let reasons = read_reasons(&case.reasons).iter().map(|reason| reason.text(language)).collect();
                Ok(CaseMail {
                    tenant_name: tenant_name.clone(),
                    title: reason::title(kind, product.as_deref(), player.as_deref(), case.transactions, language),
                    source: names.get(&case.source_id).cloned().unwrap_or_default(),
                    product,
                    player,
                    window: (case.window_start, case.window_end),
                    transactions: u64::try_from(case.transactions).unwrap_or_default(),
                    reasons,
                    link: writer.public_url().map(|url| format!("{url}/#{}", case.id)),
                })
            };
            let mut mails = Vec::new();
            for to in notifications::recipients_in(tx, Role::Risk).await? {
                let cases: Vec<CaseMail> = untold.iter().map(|case| shown(case, to.language)).collect::<Result<_>>()?;
                if plan == Plan::Digest {
                    mails.push(NewMail { letter: digest_mail(&cases, to.language)?, to });
                } else {
                    for case in &cases {
                        mails.push(NewMail { letter: case_mail(case, to.language)?, to: to.clone() });
                    }
                }
            }
            notifications::post_in(tx, writer, mails).await?;
            let ids: Vec<_> = untold.iter().map(|case| case.id).collect();
            Ok(store::told(tx, &ids, writer.clock().now()).await?)
        })
        .await
    }
}
