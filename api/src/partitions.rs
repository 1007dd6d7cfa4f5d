//! `saldo partitions`: the months of `transactions` on PostgreSQL. They belong to the role that owns the tables, so this
//! needs its URL, and the server does without.

use clap::Args;
use domain::secrets::Secret;
use migrations::partitions::{self, Partition};

use crate::cli::{Outcome, say};
use crate::config::Config;

/// How many months `saldo migrate` and `saldo partitions --ahead` make, this one included.
pub const AHEAD: u32 = 24;

#[derive(Args)]
#[group(multiple = false)]
pub struct Partitions {
    /// Make the partitions of so many months from this one on, where they are not there
    #[arg(long, value_name = "MONTHS", num_args = 0..=1, default_missing_value = "24", value_parser = clap::value_parser!(u32).range(1..=120))]
    ahead: Option<u32>,
    /// Take a month (2026-11) out of the table and into the schema `archive`
    ///
    /// Refused while a settlement is open that its transactions may count in.
    #[arg(long, value_name = "MONTH")]
    detach: Option<String>,
    /// Put a month back that was taken out
    #[arg(long, value_name = "MONTH")]
    attach: Option<String>,
}

pub async fn run(config: &Config, arguments: Partitions) -> Outcome {
    let owner = config.owner_database_url.as_ref().map(Secret::expose);
    let url = owner.ok_or(
        "transactions have partitions on PostgreSQL; SALDO_OWNER_DATABASE_URL names the database as the role that owns its tables",
    )?;
    let url = domain::db::at_primary(url).await.map_err(|error| error.to_string())?;
    let url = url.as_str();
    let told = |error| format!("the database: {error}");
    match arguments {
        Partitions { ahead: Some(ahead), .. } => {
            let made = partitions::make_ahead(url, ahead).await.map_err(told)?;
            say(&format!("{} new partitions.", made.len()))
        }
        Partitions { detach: Some(month), .. } => {
            let name = partitions::detach(url, &month).await.map_err(told)?;
            say(&format!("{month} is no part of the table any more; its rows are in {name}."))
        }
        Partitions { attach: Some(month), .. } => {
            partitions::attach(url, &month).await.map_err(told)?;
            say(&format!("{month} is a part of the table again."))
        }
        Partitions { .. } => {
            for partition in partitions::list(url).await.map_err(told)? {
                say(&line(&partition))?;
            }
            Ok(())
        }
    }
}

fn line(Partition { month, bytes, rows, .. }: &Partition) -> String {
    let month = month.as_deref().unwrap_or("other");
    format!("{month:<8} {rows:>14} rows {:>10} kB", bytes / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_a_partition_holds() {
        let month = Partition { name: String::new(), month: Some("2026-11".into()), bytes: 2_500_000, rows: 12_000 };
        assert_eq!(line(&month), "2026-11           12000 rows       2500 kB");
        assert_eq!(line(&Partition { month: None, ..month }), "other             12000 rows       2500 kB");
    }
}
