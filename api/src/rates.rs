//! How much one may ask for: budgets of points per caller and per tenant that a request's cost is taken from, and
//! tries at signing in per account and per address. Counted in this process and forgotten with it; where there is Redis,
//! counted there for all processes as well. What both have, is to be had.

use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::ids::{ApiKeyId, MemberId, TenantId};
use domain::redis::Bucket;
use domain::{Actor, Caller, Domain, secrets};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

/// After so many checks, keys whose budget is full again are forgotten. Until then each takes some fifty bytes.
const CHECKS_BETWEEN_SWEEPS: u32 = 4_096;
/// Tries of one account for each of its address: a household or an office signs in through one.
const ACCOUNTS_PER_ADDRESS: u32 = 6;

/// Points that may be spent at once, and the seconds in which all of them come back. As text: `600/60`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub points: NonZeroU32,
    pub seconds: NonZeroU32,
}

impl Budget {
    /// Points that come back in a second, rounded down.
    pub fn restored_per_second(&self) -> u32 {
        self.points.get() / self.seconds.get()
    }

    fn quota(&self) -> Quota {
        let nanos = u64::from(self.seconds.get()).saturating_mul(1_000_000_000) / u64::from(self.points.get());
        let each = Duration::from_nanos(nanos.max(1));
        // The period is not zero, so this is never the other quota.
        Quota::with_period(each).unwrap_or(Quota::per_second(self.points)).allow_burst(self.points)
    }
}

impl FromStr for Budget {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (points, seconds) = text.split_once('/').ok_or(())?;
        let number = |text: &str| text.trim().parse().map_err(drop);
        Ok(Self { points: number(points)?, seconds: number(seconds)? })
    }
}

/// The budgets of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For each member, API key and, of those who have not signed in, address.
    pub caller: Budget,
    /// For all callers of a tenant together.
    pub tenant: Budget,
    /// Tries at an account's password. An address has six times as many for its accounts and one-time codes.
    pub sign_in: Budget,
}

const fn budget(points: u32, seconds: u32) -> Budget {
    match (NonZeroU32::new(points), NonZeroU32::new(seconds)) {
        (Some(points), Some(seconds)) => Budget { points, seconds },
        _ => Budget { points: NonZeroU32::MIN, seconds: NonZeroU32::MIN },
    }
}

impl Settings {
    fn address(&self) -> Budget {
        let points = self.sign_in.points.saturating_mul(NonZeroU32::MIN.saturating_add(ACCOUNTS_PER_ADDRESS - 1));
        Budget { points, ..self.sign_in }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { caller: budget(5_000_000, 10), tenant: budget(20_000_000, 10), sign_in: budget(10, 60) }
    }
}

/// Whose budget a request is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payer {
    Member(TenantId, MemberId),
    ApiKey(TenantId, ApiKeyId),
    Operator(TenantId),
    /// Somebody who has not signed in.
    Address(Place),
}

impl Payer {
    /// Its budget's name for all processes.
    fn key(&self) -> String {
        match self {
            Self::Member(tenant, id) => format!("{}{id}", prefix(*tenant)),
            Self::ApiKey(tenant, id) => format!("{}{id}", prefix(*tenant)),
            Self::Operator(tenant) => format!("{}operator", prefix(*tenant)),
            Self::Address(place) => format!("budget:{place}"),
        }
    }

    pub fn of(caller: &Caller) -> Self {
        match caller.actor() {
            Actor::Member { id, .. } => Self::Member(caller.tenant(), *id),
            Actor::ApiKey { id, .. } => Self::ApiKey(caller.tenant(), *id),
            Actor::Operator => Self::Operator(caller.tenant()),
        }
    }

    fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Member(tenant, _) | Self::ApiKey(tenant, _) | Self::Operator(tenant) => Some(*tenant),
            Self::Address(_) => None,
        }
    }
}

/// An address as one counts them: of IPv6 the network, of which a customer has all the addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place(Option<IpAddr>);

impl From<Option<IpAddr>> for Place {
    fn from(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("nowhere"),
        }
    }
}

/// What was taken, and what is left of the payer's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    pub requested: u32,
    pub maximum: u32,
    pub remaining: u32,
    pub restored_per_second: u32,
}

/// The budget does not have it. Nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Seconds until it has, rounded up.
    pub retry_after: u64,
}

pub struct Rates {
    settings: Settings,
    /// With the count of all processes.
    domain: Option<Domain>,
    caller: Keyed<Payer>,
    tenant: Keyed<TenantId>,
    account: Keyed<[u8; 32]>,
    address: Keyed<Place>,
}

impl Rates {
    pub fn new(settings: &Settings, domain: Option<Domain>) -> Self {
        Self {
            settings: *settings,
            domain,
            caller: Keyed::new(settings.caller),
            tenant: Keyed::new(settings.tenant),
            account: Keyed::new(settings.sign_in),
            address: Keyed::new(settings.address()),
        }
    }

    /// Takes a request's cost. The caller's budget first: a caller that is over its own takes nothing from the
    /// tenant's.
    pub async fn spend(&self, payer: Payer, points: u32) -> Result<Spent, Over> {
        let here = self.caller.take(&payer, points)?;
        let mut buckets = vec![bucket(payer.key(), self.settings.caller)];
        if let Some(tenant) = payer.tenant() {
            self.tenant.take(&tenant, points)?;
            buckets.push(bucket(format!("{}all", prefix(tenant)), self.settings.tenant));
        }
        let remaining = self.everywhere(&buckets, points).await?.map_or(here, |left| left.min(here));
        let budget = self.caller.budget;
        let (maximum, restored_per_second) = (budget.points.get(), budget.restored_per_second());
        Ok(Spent { requested: points, maximum, remaining, restored_per_second })
    }

    /// Counts a try at an account's password, whether there is such an account or not.
    pub async fn try_account(&self, place: Place, tenant: &str, email: &str) -> Result<(), Over> {
        self.try_code(place).await?;
        // Hashed, so that a key is small however long the text is, and tells nobody the address.
        let account = format!("{}\n{}", tenant.trim().to_lowercase(), email.trim().to_lowercase());
        let account = secrets::sha256(account.as_bytes());
        self.account.take(&account, 1)?;
        let bucket = bucket(format!("account:{}", secrets::base64url(&account)), self.settings.sign_in);
        self.everywhere(&[bucket], 1).await.map(drop)
    }

    /// Counts a try at a refresh token or a one-time code.
    pub async fn try_code(&self, place: Place) -> Result<(), Over> {
        self.address.take(&place, 1)?;
        self.everywhere(&[bucket(format!("tries:{place}"), self.settings.address())], 1).await.map(drop)
    }

    /// Takes points of what all processes have together; what is left of the first budget. None without Redis: then this
    /// process's own count is all there is.
    async fn everywhere(&self, buckets: &[Bucket], points: u32) -> Result<Option<u32>, Over> {
        let Some(redis) = self.domain.as_ref().and_then(Domain::redis) else { return Ok(None) };
        match redis.take(buckets, points.max(1)).await {
            Some(Err(wait)) => Err(Over { retry_after: wait.as_secs() + u64::from(wait.subsec_nanos() > 0) }),
            Some(Ok(left)) => Ok(Some(left)),
            None => Ok(None),
        }
    }
}

/// What the budgets of one tenant begin with.
fn prefix(tenant: TenantId) -> String {
    format!("{{{}}}:budget:", tenant.0.simple())
}

fn bucket(key: String, Budget { points, seconds }: Budget) -> Bucket {
    Bucket { key, points: points.get(), seconds: seconds.get() }
}

type Limiter<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// One budget for each key.
struct Keyed<K: Hash + Eq + Clone> {
    limiter: Limiter<K>,
    budget: Budget,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(budget: Budget) -> Self {
        let limiter = RateLimiter::dashmap(budget.quota()).with_middleware();
        Self { limiter, budget, checks: AtomicU32::new(0) }
    }

    /// Takes points; what is left. At least one is taken.
    fn take(&self, key: &K, points: u32) -> Result<u32, Over> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_BETWEEN_SWEEPS == CHECKS_BETWEEN_SWEEPS - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let points = NonZeroU32::new(points).unwrap_or(NonZeroU32::MIN);
        match self.limiter.check_key_n(key, points) {
            Ok(Ok(state)) => Ok(state.remaining_burst_capacity()),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(self.limiter.clock().now());
                Err(Over { retry_after: wait.as_secs() + u64::from(wait.subsec_nanos() > 0) })
            }
            // More than the budget ever holds: waiting for all of it is as good an answer as any.
            Err(_) => Err(Over { retry_after: u64::from(self.budget.seconds.get()) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const DAY: u32 = 86_400;

    fn rates(caller: u32, tenant: u32, sign_in: u32) -> Rates {
        let (caller, tenant, sign_in) = (budget(caller, DAY), budget(tenant, DAY), budget(sign_in, DAY));
        Rates::new(&Settings { caller, tenant, sign_in }, None)
    }

    fn member(tenant: u128, member: u128) -> Payer {
        Payer::Member(TenantId(Uuid::from_u128(tenant)), MemberId(Uuid::from_u128(member)))
    }

    #[test]
    fn a_budget_reads_as_points_in_seconds() {
        assert_eq!("600/60".parse(), Ok(budget(600, 60)));
        for bad in ["", "600", "0/60", "600/0", "-1/60", "a/b", "600/60/1", "5000000000/1"] {
            assert!(bad.parse::<Budget>().is_err(), "{bad}");
        }
        assert_eq!(budget(600, 60).restored_per_second(), 10);
    }

    #[tokio::test]
    async fn a_caller_and_a_tenant_have_budgets() {
        let rates = rates(10, 15, 1);
        assert_eq!(rates.spend(member(1, 1), 4).await.map(|spent| spent.remaining), Ok(6));
        assert_eq!(rates.spend(member(1, 1), 6).await.map(|spent| spent.remaining), Ok(0));
        let over = rates.spend(member(1, 1), 1).await.expect_err("spent");
        assert!((1..=u64::from(DAY) / 10).contains(&over.retry_after), "{over:?}");
        assert!(rates.spend(member(1, 2), 6).await.is_err(), "the tenant has five left");
        assert!(rates.spend(member(1, 3), 5).await.is_ok());
        assert!(rates.spend(member(2, 1), 10).await.is_ok(), "another tenant");
        assert_eq!(
            rates.spend(member(2, 2), 11).await,
            Err(Over { retry_after: u64::from(DAY) }),
            "more than there ever is"
        );
        let key = Payer::ApiKey(TenantId(Uuid::from_u128(2)), ApiKeyId(Uuid::from_u128(1)));
        assert!(rates.spend(key, 0).await.is_ok(), "nothing is free");
        assert!(rates.spend(key, 4).await.is_ok(), "the tenant had fifteen");
        assert!(rates.spend(key, 1).await.is_err());
    }

    #[tokio::test]
    async fn tries_are_counted_by_account_and_by_address() {
        let rates = rates(1, 1, 2);
        let place = |last: u8| Place::from(Some(IpAddr::from([192, 0, 2, last])));
        assert!(rates.try_account(place(1), "acme", "ada@acme.test").await.is_ok());
        assert!(rates.try_account(place(2), " ACME", "Ada@acme.test ").await.is_ok());
        assert!(rates.try_account(place(3), "acme", "ada@acme.test").await.is_err(), "from wherever");
        assert!(rates.try_account(place(3), "acme", "bob@acme.test").await.is_ok());
        for n in 0..10 {
            assert!(rates.try_account(place(3), "acme", &format!("{n}@acme.test")).await.is_ok(), "{n}");
        }
        assert!(
            rates.try_code(place(3)).await.is_err() && rates.try_account(place(3), "bolt", "x").await.is_err(),
            "twelve tries"
        );
        assert!(rates.try_code(place(4)).await.is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_place() {
        let place = |text: &str| Place::from(Some(text.parse::<IpAddr>().expect("an address")));
        assert_eq!(place("2001:db8:1:2::1"), place("2001:db8:1:2:ffff::"));
        assert_ne!(place("2001:db8:1:2::1"), place("2001:db8:1:3::1"));
        assert_eq!(place("::ffff:192.0.2.1"), place("192.0.2.1"));
    }

    #[tokio::test]
    async fn keys_whose_budget_is_full_are_forgotten() {
        let second = budget(1_000_000, 1);
        let rates = Rates::new(&Settings { caller: second, tenant: second, sign_in: second }, None);
        for n in 0..u128::from(CHECKS_BETWEEN_SWEEPS) * 4 {
            assert!(rates.spend(member(n, n), 1).await.is_ok());
        }
        let kept = rates.caller.limiter.len();
        assert!(kept <= 2 * CHECKS_BETWEEN_SWEEPS as usize, "{kept} of them");
    }
}
