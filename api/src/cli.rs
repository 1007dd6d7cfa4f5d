//! The command line. Each command is a line in [`Command`] and an arm in [`dispatch`]; what it does lives in a module
//! of its own (`serve.rs`) unless it is a few lines.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use domain::secrets::Secret;
use domain::tenants::NewTenant;
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::import::{self, Import};
use crate::members::{self, MemberCommand};
use crate::moves::{self, Export};
use crate::partitions::{self, Partitions};
use crate::roles::Roles;
use crate::{demo, graphql, serve};

/// What went wrong, in words for the person at the terminal.
pub(crate) type Outcome<T = ()> = Result<T, String>;

#[derive(Parser)]
#[command(name = "saldo", version, about = "Settles revenue shares: from a provider's records to a closed statement")]
struct Cli {
    /// Settings file (TOML). The environment wins over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve GraphQL over HTTP until told to stop
    Serve(Serve),
    /// Bring the database up to date, making it where it is missing
    Migrate {
        /// Change nothing: print the statements that distribute a PostgreSQL database by tenant with Citus
        #[arg(long)]
        distribute: bool,
    },
    /// The months of transactions on PostgreSQL: list them, make some ahead, take one out
    Partitions(Partitions),
    /// Tenants of this installation
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Let somebody in, on the machine that has the database
    #[command(subcommand)]
    Member(MemberCommand),
    /// Print the GraphQL schema
    Schema,
    /// Stream a file through a source
    ///
    /// Cut off, it goes on where it was when it is run again. Exit code 0 when every record is accounted for.
    Import(Import),
    /// Serve a demo tenant whose simulated providers send records
    Demo,
}

#[derive(Args)]
struct Serve {
    /// What this process does, of `api`, `ingest` and `worker` with commas between [default: all, or SALDO_ROLES]
    #[arg(long)]
    roles: Option<Roles>,
}

#[derive(Subcommand)]
enum TenantCommand {
    /// Create a tenant with its first administrator
    Create(CreateTenant),
    /// Write all of a tenant into a file, to move it to another database
    Export(Export),
    /// Make a tenant of such a file: equal in every count, sum and hash, or not at all
    Import(moves::Import),
}

#[derive(Args)]
struct CreateTenant {
    /// Short name that people type when they sign in
    #[arg(long)]
    slug: String,
    #[arg(long)]
    name: String,
    #[arg(long)]
    admin_email: String,
    #[arg(long)]
    admin_name: Option<String>,
    /// Read the administrator's password from standard input; without it, an invitation token is printed
    #[arg(long)]
    admin_password_stdin: bool,
}

/// Runs the command that the process was started with. Exit code 0 done, 1 failed, 2 misused.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the async runtime does not start: {error}"))
        .and_then(|runtime| runtime.block_on(dispatch(cli)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // A closed stderr leaves nobody to tell.
            writeln!(std::io::stderr(), "saldo: {message}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli) -> Outcome {
    if matches!(cli.command, Command::Schema) {
        return say(graphql::sdl().trim_end());
    }
    let mut config = Config::load(cli.config.as_deref(), |name| std::env::var(name).ok())?;
    log_to_stderr(&config.log)?;
    match cli.command {
        Command::Serve(Serve { roles }) => {
            config.requests.roles = roles.unwrap_or(config.requests.roles);
            serve::serve(&config).await
        }
        Command::Demo => demo::run(&config).await,
        Command::Migrate { distribute: true } => serve::distribution(&config).await.and_then(|sql| say(sql.trim_end())),
        Command::Migrate { distribute: false } => migrate(&config).await,
        Command::Partitions(arguments) => partitions::run(&config, arguments).await,
        Command::Tenant(TenantCommand::Create(arguments)) => create_tenant(&config, arguments).await,
        Command::Tenant(TenantCommand::Export(arguments)) => moves::export(&config, arguments).await,
        Command::Tenant(TenantCommand::Import(arguments)) => moves::import(&config, arguments).await,
        Command::Member(command) => members::member(&config, command).await,
        Command::Import(arguments) => import::import(&config, arguments).await,
        Command::Schema => Ok(()),
    }
}

async fn migrate(config: &Config) -> Outcome {
    let _lock = serve::lock(config, "migrate")?;
    let done = serve::bring_up(config).await?;
    say(&match done {
        0 => "The database is up to date.".to_owned(),
        1 => "The database is up to date: 1 change.".to_owned(),
        changes => format!("The database is up to date: {changes} changes."),
    })
}

async fn create_tenant(config: &Config, arguments: CreateTenant) -> Outcome {
    let CreateTenant { slug, name, admin_email, admin_name, admin_password_stdin } = arguments;
    let admin_password = if admin_password_stdin { Some(password_from_stdin()?) } else { None };
    let domain = serve::open(config, "tenant create").await?;
    let created = domain.create_tenant(NewTenant { slug, name, admin_email, admin_name, admin_password }).await;
    domain.shut_down().await;
    let created = created.map_err(|error| error.to_string())?;
    say(&format!("Tenant {} ({}), administrator {}.", created.tenant.slug, created.tenant.name, created.admin.email))?;
    match created.invitation {
        None => Ok(()),
        Some(once) => say(&format!(
            "The administrator chooses a password with this token until {}:\n{}",
            once.expires_at,
            once.token.expose()
        )),
    }
}

fn password_from_stdin() -> Outcome<Secret> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
    Ok(Secret::new(line.trim_end_matches(['\n', '\r'])))
}

/// A line for whoever reads the output; a reader that has gone is no failure.
pub(crate) fn say(line: &str) -> Outcome {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

fn log_to_stderr(filter: &str) -> Outcome {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("SALDO_LOG: {error}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
