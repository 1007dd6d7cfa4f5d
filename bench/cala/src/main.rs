//! What cala-ledger does in the place of recording: transactions of four legs, each between the house and one of
//! nine hundred players (a batch may touch a thousand accounts), into the database that a URL names.
//!
//!   cala URL single TASKS COUNT    # post_transaction, COUNT in all, so many at a time
//!   cala URL batch SIZE COUNT      # post_transactions, one batch after the other
//!
//! Prints one line: transactions, and microseconds of wall time, of this process and of the server's processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use cala_ledger::account::NewAccount;
use cala_ledger::journal::NewJournal;
use cala_ledger::posting::PostingInput;
use cala_ledger::tx_template::{
    NewParamDefinition, NewTxTemplate, NewTxTemplateEntry, NewTxTemplateTransaction, ParamDataType, Params,
};
use cala_ledger::{AccountId, CalaLedger, CalaLedgerConfig, JournalId, TransactionId};
use job::{JobSvcConfig, Jobs};
use uuid::Uuid;

#[path = "../../../domain/benches/postgres/measure.rs"]
mod measure;

const PLAYERS: usize = 900;
const TEMPLATE: &str = "STAKE";
const CONNECTIONS: u32 = 90;

struct Ledger {
    cala: CalaLedger,
    journal: JournalId,
    /// The house's stakes, its gross revenue, and what it owes the provider.
    house: [AccountId; 3],
    players: Vec<AccountId>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, how, many, count] = arguments.as_slice() else { anyhow::bail!("cala URL single|batch NUMBER COUNT") };
    let (many, count): (usize, usize) = (many.parse()?, count.parse()?);
    let ledger = Arc::new(Ledger::new(url).await?);
    // Templates, accounts and statements are known before the measured part.
    ledger.cala.post_transactions((0..10).map(|number| ledger.posting(number)).collect()).await?;
    let ((), cost) = measure::measured(async {
        match how.as_str() {
            "single" => ledger.clone().singly(many, count).await.expect("posted"),
            _ => ledger.in_batches(many, count).await.expect("posted"),
        }
    })
    .await;
    println!("{count} {} {} {}", cost.wall.as_micros(), cost.client.as_micros(), cost.server.as_micros());
    Ok(())
}

impl Ledger {
    async fn new(url: &str) -> Result<Self> {
        let options = sqlx::postgres::PgPoolOptions::new().max_connections(CONNECTIONS);
        let pool = options.connect(url).await?;
        // Nothing polls them; the rollup of sets stays dormant.
        let config = JobSvcConfig::builder().pool(pool.clone()).build().map_err(anyhow::Error::msg)?;
        let mut jobs = Jobs::init(config).await?;
        let config = CalaLedgerConfig::builder().pool(pool).exec_migrations(true).build()?;
        let cala = CalaLedger::init(config, &mut jobs).await?;
        let journal = cala.journals().create(NewJournal::builder().id(JournalId::new()).name("bench").build()?).await?;
        cala.tx_templates().create(template()?).await?;
        let mut accounts = Vec::with_capacity(PLAYERS + 3);
        for number in 0..PLAYERS + 3 {
            let name = format!("a{number}");
            let new = NewAccount::builder().id(Uuid::now_v7()).name(&name).code(&name).build()?;
            accounts.push(cala.accounts().create(new).await?.id());
        }
        let house = accounts.split_off(PLAYERS).try_into().ok().context("three accounts")?;
        Ok(Self { cala, journal: journal.id(), house, players: accounts })
    }

    fn posting(&self, number: usize) -> PostingInput {
        PostingInput::new(TransactionId::new(), TEMPLATE, self.parameters(number))
    }

    fn parameters(&self, number: usize) -> Params {
        let mut parameters = Params::new();
        parameters.insert("journal", self.journal);
        parameters.insert("player", self.players[number % PLAYERS]);
        for (name, account) in ["stakes", "revenue", "owed"].into_iter().zip(self.house) {
            parameters.insert(name, account);
        }
        parameters
    }

    async fn singly(self: Arc<Self>, tasks: usize, count: usize) -> Result<()> {
        let next = Arc::new(AtomicUsize::new(0));
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let (ledger, next) = (self.clone(), next.clone());
                tokio::spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return anyhow::Ok(());
                        }
                        let parameters = ledger.parameters(number);
                        ledger.cala.post_transaction(TransactionId::new(), TEMPLATE, parameters).await?;
                    }
                })
            })
            .collect();
        for task in running {
            task.await??;
        }
        Ok(())
    }

    async fn in_batches(&self, size: usize, count: usize) -> Result<()> {
        ensure!(count % size == 0, "the count is a number of whole batches");
        for batch in 0..count / size {
            let postings = (0..size).map(|number| self.posting(batch * size + number));
            self.cala.post_transactions(postings.collect()).await?;
        }
        Ok(())
    }
}

/// A stake: from the player to the house, and the provider's share of it from revenue to what is owed.
fn template() -> Result<NewTxTemplate> {
    let mut parameters = Vec::new();
    for name in ["journal", "player", "stakes", "revenue", "owed"] {
        parameters.push(NewParamDefinition::builder().name(name).r#type(ParamDataType::Uuid).build()?);
    }
    let mut entries = Vec::new();
    for (kind, account, direction, amount) in [
        ("'PLAYER'", "params.player", "DEBIT", "decimal('100')"),
        ("'STAKES'", "params.stakes", "CREDIT", "decimal('100')"),
        ("'REVENUE'", "params.revenue", "DEBIT", "decimal('8')"),
        ("'OWED'", "params.owed", "CREDIT", "decimal('8')"),
    ] {
        let mut entry = NewTxTemplateEntry::builder();
        entry.entry_type(kind).account_id(account).layer("SETTLED").direction(direction);
        entries.push(entry.units(amount).currency("'USD'").build()?);
    }
    let transaction =
        NewTxTemplateTransaction::builder().effective("date()").journal_id("params.journal").build()?;
    let mut template = NewTxTemplate::builder();
    template.id(Uuid::now_v7()).code(TEMPLATE).params(parameters).transaction(transaction).entries(entries);
    Ok(template.build()?)
}
