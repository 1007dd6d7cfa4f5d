//! `saldo member`: lets somebody in who cannot ask an administrator, because that is who is locked out.

use clap::{Args, Subcommand};
use domain::page::{MAX_PAGE, PageRequest};
use domain::tenants::{Invitation, Member};
use domain::{Role, Scoped};

use crate::cli::{Outcome, say};
use crate::config::Config;
use crate::serve;

#[derive(Subcommand)]
pub(crate) enum MemberCommand {
    /// Invite somebody; prints the token with which they choose a password
    Invite(Invite),
    /// Print a token with which a member chooses a new password
    ResetPassword(Who),
}

#[derive(Args)]
pub(crate) struct Who {
    /// Slug of the tenant
    #[arg(long)]
    tenant: String,
    #[arg(long)]
    email: String,
}

#[derive(Args)]
pub(crate) struct Invite {
    #[command(flatten)]
    who: Who,
    #[arg(long)]
    name: String,
    /// ADMIN, SETTLEMENT, RISK or READ_ONLY
    #[arg(long, value_parser = role)]
    role: Role,
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "one of ADMIN, SETTLEMENT, RISK and READ_ONLY".to_owned())
}

pub(crate) async fn member(config: &Config, command: MemberCommand) -> Outcome {
    let domain = serve::open(config, "member").await?;
    let (MemberCommand::Invite(Invite { who, .. }) | MemberCommand::ResetPassword(who)) = &command;
    let operator = domain.operator(&who.tenant).await.map(|caller| domain.for_caller(caller));
    let done = match operator {
        Ok(operator) => token(&operator, &command).await,
        Err(error) => Err(error.to_string()),
    };
    domain.shut_down().await;
    let Invitation { member, token } = done?;
    say(&format!(
        "{} chooses a password with this token until {}:\n{}",
        member.email,
        token.expires_at,
        token.token.expose()
    ))
}

async fn token(operator: &Scoped, command: &MemberCommand) -> Outcome<Invitation> {
    let invitation = match command {
        MemberCommand::Invite(Invite { who, name, role }) => {
            operator.invite_member(&who.email, name, *role, None).await
        }
        MemberCommand::ResetPassword(who) => {
            let member = by_email(operator, &who.email).await?;
            operator.reset_password(member.id).await
        }
    };
    invitation.map_err(|error| error.to_string())
}

async fn by_email(operator: &Scoped, email: &str) -> Outcome<Member> {
    let mut request = PageRequest { first: MAX_PAGE, after: None };
    loop {
        let page = operator.members(request).await.map_err(|error| error.to_string())?;
        request.after = page.items.last().map(|member| member.id.0);
        if let Some(member) = page.items.into_iter().find(|member| member.email.eq_ignore_ascii_case(email.trim())) {
            return Ok(member);
        }
        if !page.has_next {
            return Err(format!("the tenant has no member '{email}'"));
        }
    }
}
