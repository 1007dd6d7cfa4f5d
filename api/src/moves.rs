//! `saldo tenant export` and `import`: a tenant's way to another database, with figures to compare.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use clap::Args;
use domain::moves::{Figures, Incoming, Moved};
use domain::secrets::MasterKey;

use crate::cli::{Outcome, say};
use crate::config::Config;
use crate::serve;

#[derive(Args)]
pub(crate) struct Export {
    /// Slug of the tenant
    #[arg(long)]
    tenant: String,
    /// The file to write; it must not be there yet
    #[arg(long)]
    file: PathBuf,
}

#[derive(Args)]
pub(crate) struct Import {
    /// What `saldo tenant export` wrote
    #[arg(long)]
    file: PathBuf,
}

pub(crate) async fn export(config: &Config, arguments: Export) -> Outcome {
    let Export { tenant, file: path } = arguments;
    let domain = serve::open(config, "tenant export").await?;
    let written = match create(&path) {
        Err(error) => Err(error),
        Ok(file) => {
            let exported = domain.export_tenant(&tenant, BufWriter::new(file)).await.map_err(|error| error.to_string());
            let written = exported.and_then(|(file, moved)| stored(file, &path).map(|()| moved));
            if written.is_err() {
                // A part of a tenant is of no use; what went wrong is worth more than that it stays.
                std::fs::remove_file(&path).ok();
            }
            written
        }
    };
    domain.shut_down().await;
    say(&shown(&written?))?;
    say(&format!("All of it is in {}, which holds secrets: keep it as you keep the database.", path.display()))
}

pub(crate) async fn import(config: &Config, arguments: Import) -> Outcome {
    let path = arguments.file;
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(&path).map_err(|error| named(&error))?;
    let incoming = Incoming::open(BufReader::new(file)).map_err(|error| named(&error))?;
    // Before the database is opened, which would make a key where there is none and seal with it.
    let key = MasterKey::load(&config.master_key_file).map_err(|error| error.to_string())?;
    let key = key.ok_or_else(|| {
        format!(
            "there is no master key file {}: copy the one of the Saldo that the tenant comes from, whose secrets nothing \
             else opens",
            config.master_key_file.display()
        )
    })?;
    incoming.check_key(&key).map_err(|error| named(&error))?;
    let domain = serve::open(config, "tenant import").await?;
    let moved = domain.import_tenant(incoming).await;
    domain.shut_down().await;
    say(&shown(&moved.map_err(|error| named(&error))?))?;
    let database = domain::db::shown(config.database_url.expose());
    say(&format!("Counted, summed and hashed anew in {database}: every table is equal to the file's."))
}

/// A new file that only its owner can read.
fn create(path: &Path) -> Outcome<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn stored(file: BufWriter<File>, path: &Path) -> Outcome {
    let file = file.into_inner().map_err(|error| error.into_error());
    file.and_then(|file| file.sync_all()).map_err(|error| format!("{}: {error}", path.display()))
}

/// The figures as people compare them, table by table.
fn shown(moved: &Moved) -> String {
    let (full, empty): (Vec<_>, Vec<_>) = moved.tables.iter().partition(|(_, figures)| figures.rows > 0);
    let rows: u64 = full.iter().map(|(_, figures)| figures.rows).sum();
    let mut lines = vec![
        format!(
            "Tenant {} ({}): {} rows in {} tables.",
            moved.tenant.slug,
            moved.tenant.name,
            grouped(rows),
            full.len()
        ),
        String::new(),
        format!("{:<26}{:>12}  {:<18}{}", "table", "rows", "hash", "sums of money"),
    ];
    lines.extend(full.iter().map(|(name, figures)| {
        let line = format!("{name:<26}{:>12}  {:<18}{}", grouped(figures.rows), &figures.sha256[..16], money(figures));
        line.trim_end().to_owned()
    }));
    let empty: Vec<&str> = empty.iter().map(|(name, _)| name.as_str()).collect();
    if !empty.is_empty() {
        lines.push(format!("\nNo rows in: {}.", empty.join(", ")));
    }
    lines.push(
        "Sums are over all currencies in smallest units (accounting units in transactions and accruals, minor units \
         elsewhere): they are there to be compared."
            .to_owned(),
    );
    lines.join("\n")
}

fn money(figures: &Figures) -> String {
    figures.money().map(|(name, sum)| format!("{name} {}", grouped(sum))).collect::<Vec<_>>().join(", ")
}

/// A whole number with a comma before every three digits.
fn grouped(number: impl ToString) -> String {
    let text = number.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let mut grouped = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_threes() {
        for (number, expected) in [(0, "0"), (999, "999"), (-1000, "-1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), expected);
        }
    }
}
