//! Empire Draws: lottery tickets and bets in dollars, in the time of New York, sent transaction by transaction through
//! `recordTransactions` as they happen. Its shops close at night.
//!
//! Tickets of the daily draw are sold and given back; what they win is the state's affair. Scratch cards pay at once.
//! Bets are on the next point of a tennis match, some of them with a free bet.

use chrono_tz::Tz;
use domain::time::{MICROS_PER_SECOND, Timestamp};
use domain::transactions::transaction::Draft;

use super::agreements::Product;
use super::chance::{Chance, Day, MICROS_PER_MINUTE, Table, is_awake};
use super::faults::Fault;
use super::window::{Provider, Window};

pub(super) const ZONE: Tz = chrono_tz::America::New_York;

const STUDIO: &str = "Empire Draws";
pub(super) const DRAW: Product = Product {
    code: "daily-draw",
    name: "Daily Draw",
    category: "lottery",
    studio: STUDIO,
    rtp: None,
    volatility: None,
};
pub(super) const SCRATCH: Product = Product {
    code: "scratch-gold",
    name: "Scratch Gold",
    category: "lottery",
    studio: STUDIO,
    rtp: Some("0.65"),
    volatility: Some("1.79"),
};
pub(super) const TENNIS: Product = Product {
    code: "tennis-live",
    name: "Tennis, next point",
    category: "sports",
    studio: STUDIO,
    rtp: Some("0.94"),
    volatility: Some("1.13"),
};
pub(super) const PRODUCTS: [Product; 3] = [DRAW, SCRATCH, TENNIS];

/// What a scratch card pays in hundredths, and how many of 1,000 do.
const SCRATCH_WINS: &Table = &[(100, 150), (200, 80), (500, 40), (1_000, 9), (2_500, 2)];
/// Odds in hundredths and, of 10,000 bets, how many are won at them: whatever the odds, 94 % is paid.
const TENNIS_WINS: &Table = &[(160, 2_350), (200, 1_410), (320, 705), (470, 120)];
/// In cents.
const STAKES: [(u64, u64); 6] = [(500, 25), (1_000, 30), (2_000, 25), (5_000, 13), (10_000, 5), (20_000, 2)];
const JACKPOTS: [(u64, u64); 2] = [(500_000, 90), (10_000_000, 10)];
const BUSY: Day = [6, 2, 0, 0, 0, 0, 8, 20, 30, 34, 38, 46, 56, 50, 42, 42, 50, 60, 68, 66, 56, 44, 30, 14];
const BUYERS: u64 = 600;
const BETWEEN_SALES: i64 = MICROS_PER_SECOND / 2;
/// In what is told of the past.
const SPARSE: i64 = MICROS_PER_MINUTE;
/// What the better whose stakes double begins with.
const DOUBLES_FROM: u64 = 200;
const BETWEEN_DOUBLES: i64 = 3 * MICROS_PER_SECOND;

/// What happened in a stretch of time, in the order in which it is sent.
pub(super) fn transactions(provider: &Provider, window: Window) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for at in window.moments(BETWEEN_SALES, SPARSE) {
        happen(provider, &mut drafts, at, window.is_full());
        if let Some(doubles) = Fault::StakesDouble.at(at).filter(|_| window.is_live()) {
            let since = at.0 - doubles.began.0;
            if since % BETWEEN_DOUBLES == 0 {
                let stake = DOUBLES_FROM << (since / BETWEEN_DOUBLES);
                let sale = Sale { at, told: at, product: TENNIS, buyer: doubles.doubling_player(), channel: "WEB" };
                drafts.push(sale.draft("STAKE", "doubled", stake));
            }
        }
    }
    drafts
}

/// The moment at which a transaction was sent, out of its id: where the provider goes on from.
pub(super) fn sent_at(external_id: &str) -> Option<Timestamp> {
    let (moment, _) = external_id.split_once('-')?;
    i64::from_str_radix(moment, 16).ok().and_then(|millis| millis.checked_mul(1_000)).map(Timestamp)
}

/// What the transactions of one sale or bet have in common.
struct Sale {
    at: Timestamp,
    /// When it says it happened.
    told: Timestamp,
    product: Product,
    buyer: String,
    channel: &'static str,
}

impl Sale {
    fn id(&self, what: &str) -> String {
        format!("{:x}-{what}", self.at.0 / 1_000)
    }

    fn draft(&self, kind: &str, what: &str, cents: u64) -> Draft {
        Draft {
            external_id: self.id(what),
            kind: kind.to_owned(),
            amount: format!("{}.{:02}", cents / 100, cents % 100),
            currency: "USD".to_owned(),
            occurred_at: Some(self.told),
            product: Some(self.product.code.to_owned()),
            player: Some(self.buyer.clone()),
            round: Some(self.id("slip")),
            channel: Some(self.channel.to_owned()),
            region: Some("US-NY".to_owned()),
            ..Draft::default()
        }
    }
}

fn happen(provider: &Provider, drafts: &mut Vec<Draft>, at: Timestamp, full: bool) {
    let mut chance = Chance::new(provider.seed, at);
    if !is_awake(&mut chance, at, ZONE, &BUSY) {
        return;
    }
    let told = at.plus(-chance.lateness()).max(provider.opened);
    let buyer = format!("ny-{:04}", chance.player(BUYERS));
    let sale = |product, channel| Sale { at, told, product, buyer, channel };
    let first = drafts.len();
    match chance.below(10) {
        0..4 => draw(&mut chance, &sale(DRAW, "RETAIL"), drafts),
        4..6 => scratch(&mut chance, &sale(SCRATCH, "RETAIL"), drafts),
        _ => tennis(&mut chance, &sale(TENNIS, "WEB"), drafts),
    }
    if chance.happens(1, 150)
        && let Some(twice) = drafts.get(first).cloned()
    {
        // Sent again because the answer was lost.
        drafts.push(twice);
    }
    if chance.happens(1, if full { 1_000 } else { 20_000 })
        && let Some(broken) = drafts.get(first).cloned()
    {
        // A till that counts in millionths of a cent.
        let amount = format!("{}000001", broken.amount);
        drafts.push(Draft { external_id: format!("{}-till", broken.external_id), amount, ..broken });
    }
}

fn draw(chance: &mut Chance, sale: &Sale, drafts: &mut Vec<Draft>) {
    let cents = 200 * (1 + chance.below(5));
    drafts.push(sale.draft("SALE", "ticket", cents));
    drafts.push(sale.draft("JACKPOT_CONTRIBUTION", "pot", cents / 50));
    if chance.happens(1, 60) {
        drafts.push(sale.draft("REFUND", "refund", cents));
    }
    if chance.happens(1, 8_000) {
        drafts.push(sale.draft("JACKPOT_WIN", "jackpot", chance.pick(&JACKPOTS, 100).unwrap_or_default()));
    }
}

fn scratch(chance: &mut Chance, sale: &Sale, drafts: &mut Vec<Draft>) {
    drafts.push(sale.draft("SALE", "card", 500));
    if let Some(hundredths) = chance.pick(SCRATCH_WINS, 1_000) {
        drafts.push(sale.draft("WIN", "prize", 5 * hundredths));
    }
}

fn tennis(chance: &mut Chance, sale: &Sale, drafts: &mut Vec<Draft>) {
    let stake = chance.pick(&STAKES, 100).unwrap_or(500);
    let free = chance.happens(6, 100);
    let (staked, won) = if free { ("BONUS_STAKE", "BONUS_WIN") } else { ("STAKE", "WIN") };
    drafts.push(sale.draft(staked, "bet", stake));
    if let Some(hundredths) = chance.pick(TENNIS_WINS, 10_000) {
        drafts.push(sale.draft(won, "paid", stake * hundredths / 100));
    } else if !free && chance.happens(1, 120) {
        // The point was not played.
        let reverses = Some(sale.id("bet"));
        drafts.push(Draft { reverses, ..sale.draft("ROLLBACK", "void", stake) });
    }
}

#[cfg(test)]
mod tests {
    use super::super::chance::tests::assert_pays;
    use super::super::faults::Occurrence;
    use super::super::window::tests::{PROVIDER, days, window};
    use super::*;
    use domain::time::{MICROS_PER_DAY, MICROS_PER_HOUR};

    fn sent(window: Window) -> Vec<Draft> {
        transactions(&PROVIDER, window)
    }

    const EVENING: &str = "2026-11-22T23:00:00Z";

    #[test]
    fn games_pay_what_they_state() {
        assert_pays(SCRATCH_WINS, 1_000, SCRATCH.rtp.unwrap(), SCRATCH.volatility.unwrap());
        assert_pays(TENNIS_WINS, 10_000, TENNIS.rtp.unwrap(), TENNIS.volatility.unwrap());
        for table in [&STAKES[..], &JACKPOTS] {
            assert_eq!(table.iter().map(|(_, part)| part).sum::<u64>(), 100);
        }
    }

    #[test]
    fn the_same_time_gives_the_same_transactions_and_cut_anywhere_nothing_is_lost() {
        let minute = window(EVENING, MICROS_PER_MINUTE);
        assert_eq!(sent(minute), sent(minute));
        assert_ne!(sent(minute), transactions(&Provider { seed: 8, ..PROVIDER }, minute));
        let seconds = (0..59).flat_map(|second| {
            let start = minute.start.plus(second * MICROS_PER_SECOND);
            sent(Window { start, end: start.plus(MICROS_PER_SECOND) })
        });
        assert_eq!(seconds.collect::<Vec<_>>(), sent(window(EVENING, 59 * MICROS_PER_SECOND)));
        for draft in sent(minute) {
            let at = sent_at(&draft.external_id).expect("the moment it was sent");
            assert!(minute.start <= at && at < minute.end, "{}", draft.external_id);
        }
        assert_eq!(sent_at("ticket"), None);
        assert_eq!(sent_at("7fffffffffffffff-ticket"), None);
    }

    #[test]
    fn the_past_has_everything_in_it_and_nights_are_quiet() {
        let months: Vec<Draft> = days("2026-10-01T04:00:00Z", 60).flat_map(sent).collect();
        let count = |kind: &str| months.iter().filter(|draft| draft.kind == kind).count();
        for (kind, least) in [
            ("SALE", 10_000),
            ("REFUND", 80),
            ("BONUS_STAKE", 500),
            ("BONUS_WIN", 200),
            ("JACKPOT_CONTRIBUTION", 8_000),
            ("JACKPOT_WIN", 1),
            ("ROLLBACK", 40),
        ] {
            assert!(count(kind) >= least, "{kind}: {}", count(kind));
        }
        assert!((600..1_200).contains(&(months.len() / 60)), "{}", months.len() / 60);
        let ids: std::collections::BTreeSet<&str> = months.iter().map(|draft| &*draft.external_id).collect();
        assert!(months.len() - ids.len() > 100, "some are sent twice");
        assert!(ids.iter().any(|id| id.ends_with("-till")), "some are broken");
        let night = sent(window("2026-11-22T07:00:00Z", 3 * MICROS_PER_HOUR));
        assert_eq!(night, [], "from two to five in New York");
        let evening = window(EVENING, MICROS_PER_DAY);
        let is_late = |draft: &Draft| draft.occurred_at < Some(evening.start);
        assert!(sent(evening).iter().any(is_late));
        assert!(!transactions(&Provider { opened: evening.start, ..PROVIDER }, evening).iter().any(is_late));
    }

    #[test]
    fn a_betters_stakes_double_ten_times_in_a_row() {
        let mut next = Occurrence::after(window(EVENING, 0).start);
        while next.fault != Fault::StakesDouble {
            next = Occurrence::after(next.began);
        }
        let seconds = (0..60).flat_map(|second| {
            let start = next.began.plus(second * MICROS_PER_SECOND);
            sent(Window { start, end: start.plus(MICROS_PER_SECOND) })
        });
        let stakes: Vec<String> =
            seconds.filter(|draft| draft.player == Some(next.doubling_player())).map(|draft| draft.amount).collect();
        assert_eq!(stakes.len(), 11);
        assert_eq!((&*stakes[0], &*stakes[1], &*stakes[10]), ("2.00", "4.00", "2048.00"));
        let sparse = Window { start: next.began, end: next.began.plus(2 * MICROS_PER_MINUTE) };
        assert!(sent(sparse).iter().all(|draft| draft.player != Some(next.doubling_player())), "only while it is live");
    }
}
