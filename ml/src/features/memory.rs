//! [`Memory`]: everything that is remembered of one tenant's transactions, and a row of features from it.

use serde::{Deserialize, Serialize};

use crate::combine;

use super::observation::{Keys, Kind, Observation};
use super::returns::ReturnAlarm;
use super::state::{DAY, HOUR, Pair, Player, Product, Round, Seen, Stream, TEN_MINUTES, WEEK};
use super::store::{Store, Written};
use super::{COUNT, Compared, Feature, Row, VERSION};

/// Standard deviations of logarithms are no smaller than this: nobody is odd for one per cent more than always.
const LEAST_DEVIATION: f64 = 0.15;
/// Of a player of whom little is known.
const USUAL_DEVIATION: f64 = 1.0;
const LEAST_GAP_DEVIATION: f64 = 0.5;
/// Older is old, and more often is often: without these every row would be farther out than all before it.
const OLD: f64 = DAY;
const OFTEN: u32 = 100;
const MICROS: f64 = 1e6;

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Players of one generation; up to twice as many are known.
    pub players: usize,
    pub pairs: usize,
    pub products: usize,
    pub streams: usize,
    /// Facts and sequences that are known again.
    pub seen: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { players: 20_000, pairs: 60_000, products: 5_000, streams: 500, seen: 1 << 16 }
    }
}

/// What is remembered of one tenant's transactions. Rows are observed one after the other; what a batch changed stands
/// with [`Self::keep`] and is undone by [`Self::take_back`].
#[derive(Clone, Debug)]
pub struct Memory {
    players: Store<Player>,
    pairs: Store<Pair>,
    products: Store<Product>,
    streams: Store<Stream>,
    seen: Seen,
}

/// What is said of one transaction.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    pub row: Row,
    pub compared: Compared,
    /// Where it shows that its product returns more or less than it used to.
    pub returns: Option<ReturnAlarm>,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct WrittenMemory {
    version: u32,
    players: Written<Player>,
    pairs: Written<Pair>,
    products: Written<Product>,
    streams: Written<Stream>,
    seen: Seen,
}

impl Memory {
    pub fn new(room: Room) -> Self {
        Self {
            players: Store::new(room.players),
            pairs: Store::new(room.pairs),
            products: Store::new(room.products),
            streams: Store::new(room.streams),
            seen: Seen::new(room.seen),
        }
    }

    /// The features of a transaction, against all before it; then it is one of those.
    pub fn observe(&mut self, seen: &Observation<'_>) -> Observed {
        let keys = seen.keys();
        let now = Now::of(seen);
        let (mut row, mut compared) = ([f64::NAN; COUNT], Compared::default());
        let mut stream = self.streams.get(keys.stream).copied().unwrap_or_default();
        let mut product = self.products.get(keys.product).copied().unwrap_or_default();
        let (mut payout, mut alarm) = (f64::NAN, None);
        if let Some(key) = keys.player {
            let mut player = self.players.get(key).copied().unwrap_or_else(|| Player {
                first: seen.at,
                last: seen.at,
                ..Player::default()
            });
            of_player(&mut row, &mut compared, &player, &product, &stream, &now);
            if seen.kind == Kind::Stake {
                stream.shift_by(player.amounts[now.side].apart(now.amount, USUAL_DEVIATION));
            }
            let (pays, returned) = player.follow(&keys, &now);
            payout = pays;
            alarm = returned.and_then(|returned| product.returns.add(returned));
            compared.put(Feature::PayoutOfPlayer, payout, player.payouts.mean());
            player.add(&now, payout, &mut row);
            self.players.set(key, player);
        }
        if let Some(key) = keys.pair {
            let mut pair = self.pairs.get(key).copied().unwrap_or_default();
            row[Feature::PairCount as usize] = f64::from(pair.count).ln_1p();
            pair.count = pair.count.saturating_add(1).min(OFTEN);
            self.pairs.set(key, pair);
        }
        row[Feature::AmountOfProduct as usize] = product.amounts[now.side].z(now.amount, LEAST_DEVIATION);
        row[Feature::PayoutOfProduct as usize] = product.payouts.z(payout, LEAST_DEVIATION);
        compared.put(Feature::AmountOfProduct, now.amount, product.amounts[now.side].mean());
        compared.put(Feature::PayoutOfProduct, payout, product.payouts.mean());
        compared.put(Feature::AmountOfSource, now.amount, stream.amounts[now.side].mean());
        product.amounts[now.side].add(now.amount);
        product.payouts.add(payout);
        self.products.set(keys.product, product);
        self.of_stream(&mut row, &mut stream, &keys, &now);
        self.streams.set(keys.stream, stream);
        row[Feature::Missing as usize] = row.iter().filter(|value| value.is_nan()).count() as f64 - 1.0;
        Observed { row, compared, returns: alarm }
    }

    fn of_stream(&mut self, row: &mut Row, stream: &mut Stream, keys: &Keys, now: &Now) {
        let seconds = now.seconds_since(stream.last);
        row[Feature::AmountOfSource as usize] = stream.amounts[now.side].z(now.amount, LEAST_DEVIATION);
        row[Feature::HourOfSource as usize] = -stream.hours.part(now.hour, 1.0 / 24.0).ln();
        let (minutes, week) = (stream.minutes.now(seconds, TEN_MINUTES), stream.week.now(seconds, WEEK));
        row[Feature::SourceRate as usize] = ((minutes + 1.0) / (week * TEN_MINUTES / WEEK + 1.0)).ln();
        let [before, between] = stream.steps;
        let sequence = combine(&[before, between, keys.step]);
        // A source's first steps are no sequence yet.
        let came_before = self.seen.seen(sequence) && before != 0;
        stream.repeat(came_before);
        row[Feature::RepeatedSequence as usize] = or_nothing(f64::from(stream.repeated), 0.01);
        row[Feature::RepeatedFact as usize] = if self.seen.seen(keys.fact) { 1.0 } else { 0.0 };
        row[Feature::SourceShift as usize] = f64::from(stream.shift);
        stream.steps = [between, keys.step];
        stream.amounts[now.side].add(now.amount);
        stream.hours.add(now.hour);
        stream.minutes.add(1.0, seconds, TEN_MINUTES);
        stream.week.add(1.0, seconds, WEEK);
        stream.last = stream.last.max(now.at);
    }

    /// What was observed since the last time stands.
    pub fn keep(&mut self) {
        self.players.keep();
        self.pairs.keep();
        self.products.keep();
        self.streams.keep();
        self.seen.keep();
    }

    /// What was observed since the last time never was.
    pub fn take_back(&mut self) {
        self.players.take_back();
        self.pairs.take_back();
        self.products.take_back();
        self.streams.take_back();
        self.seen.take_back();
    }

    /// How many players are known.
    pub fn players(&self) -> usize {
        self.players.len()
    }

    /// All of it as bytes, for [`Self::read`]. What is not kept yet is in it.
    pub fn written(&self) -> Vec<u8> {
        let written = WrittenMemory {
            version: VERSION,
            players: self.players.written(),
            pairs: self.pairs.written(),
            products: self.products.written(),
            streams: self.streams.written(),
            seen: self.seen.clone(),
        };
        // Writing into memory fails only for maps of unknown length, of which there is none.
        postcard::to_stdvec(&written).unwrap_or_default()
    }

    /// What was written by this version of the features; `None` of anything else.
    pub fn read(bytes: &[u8], room: Room) -> Option<Self> {
        let written: WrittenMemory = postcard::from_bytes(bytes).ok()?;
        (written.version == VERSION && written.seen.is_sound()).then(|| Self {
            players: Store::read(written.players, room.players),
            pairs: Store::read(written.pairs, room.pairs),
            products: Store::read(written.products, room.products),
            streams: Store::read(written.streams, room.streams),
            seen: written.seen,
        })
    }
}

/// The parts of an observation that the features calculate with.
struct Now {
    at: i64,
    side: usize,
    /// ln of the amount; not a number for nothing.
    amount: f64,
    plain: f64,
    hour: usize,
}

impl Now {
    fn of(seen: &Observation<'_>) -> Self {
        let plain = seen.amount.abs().min(f64::from(f32::MAX));
        Self {
            at: seen.at,
            side: seen.kind as usize,
            amount: if plain > 0.0 { plain.ln() } else { f64::NAN },
            plain: if plain.is_nan() { 0.0 } else { plain },
            hour: (seen.at.div_euclid(3_600_000_000).rem_euclid(24)) as usize,
        }
    }

    /// What comes late is of now.
    fn seconds_since(&self, before: i64) -> f64 {
        (self.at.saturating_sub(before).max(0)) as f64 / MICROS
    }
}

fn of_player(row: &mut Row, compared: &mut Compared, player: &Player, product: &Product, stream: &Stream, now: &Now) {
    let seconds = now.seconds_since(player.last);
    compared.put(Feature::AmountOfPlayer, now.amount, player.amounts[now.side].mean());
    row[Feature::AmountOfPlayer as usize] = player.amounts[now.side].z(now.amount, LEAST_DEVIATION);
    let former = f64::from(player.former[now.side]);
    row[Feature::AmountStep as usize] = if former > 0.0 { now.amount - former.ln() } else { f64::NAN };
    let (hour, day, week) =
        (player.hour.now(seconds, HOUR), player.day.now(seconds, DAY), player.week.now(seconds, WEEK));
    row[Feature::CountHour as usize] = hour.ln_1p();
    row[Feature::CountDay as usize] = day.ln_1p();
    row[Feature::CountBurst as usize] = ((hour + 1.0) / (week * HOUR / WEEK + 1.0)).ln();
    let usual = product.amounts[0].mean().exp();
    row[Feature::SumHour as usize] = (player.sum_hour.now(seconds, HOUR) / usual).ln_1p();
    row[Feature::SumDay as usize] = (player.sum_day.now(seconds, DAY) / usual).ln_1p();
    // The win of a round is not a step in time.
    row[Feature::Gap as usize] = if now.side == Kind::Win as usize || day == 0.0 {
        f64::NAN
    } else {
        compared.put(Feature::Gap, seconds.max(0.01).ln(), player.gaps.mean());
        player.gaps.z(seconds.max(0.01).ln(), LEAST_GAP_DEVIATION)
    };
    row[Feature::PlayerAge as usize] = (now.seconds_since(player.first).min(OLD) / HOUR).ln_1p();
    row[Feature::HourOfPlayer as usize] = -player.hours.part(now.hour, stream.hours.part(now.hour, 1.0 / 24.0)).ln();
}

/// What has faded so far is nothing: how little is left of long ago says nothing, and would look like a difference where
/// most have none at all.
fn or_nothing(fading: f64, least: f64) -> f64 {
    if fading < least { 0.0 } else { fading }
}

impl Player {
    /// Follows the round. At a win, ln of what the round pays so far over what was staked; at the first stake of the
    /// next one of the same product, what the round before returned of its stake.
    fn follow(&mut self, keys: &Keys, now: &Now) -> (f64, Option<f64>) {
        let Some(id) = keys.round else { return (f64::NAN, None) };
        let plain = now.plain as f32;
        if now.side == Kind::Stake as usize {
            if self.round.id == id {
                self.round.staked += plain;
                return (f64::NAN, None);
            }
            let next = Round { id, product: keys.product, staked: plain, won: 0.0 };
            let ended = std::mem::replace(&mut self.round, next);
            if ended.id != 0 && ended.won == 0.0 {
                self.luck.lost();
            }
            let same = ended.product == keys.product && ended.staked > 0.0;
            return (f64::NAN, same.then(|| f64::from(ended.won) / f64::from(ended.staked)));
        }
        if now.side != Kind::Win as usize || self.round.id != id || self.round.staked <= 0.0 || plain <= 0.0 {
            return (f64::NAN, None);
        }
        let first = self.round.won == 0.0;
        self.round.won += plain;
        let payout = f64::from(self.round.won) / f64::from(self.round.staked);
        if first {
            self.luck.won(payout);
        }
        (payout.ln(), None)
    }

    fn add(&mut self, now: &Now, payout: f64, row: &mut Row) {
        let seconds = now.seconds_since(self.last);
        row[Feature::PayoutOfPlayer as usize] = self.payouts.z(payout, LEAST_DEVIATION);
        row[Feature::Luck as usize] = self.luck.z();
        if now.side == Kind::Stake as usize {
            let doubled = row[Feature::AmountStep as usize] > 0.6 && row[Feature::AmountStep as usize] < 0.8;
            self.doubled.add(if doubled { 1.0 } else { 0.0 }, seconds, HOUR);
            self.gaps.add(if self.day.now(0.0, DAY) == 0.0 { f64::NAN } else { seconds.max(0.01).ln() });
            self.sum_hour.add(now.plain, seconds, HOUR);
            self.sum_day.add(now.plain, seconds, DAY);
            self.staked_day.add(now.plain, seconds, DAY);
        } else {
            self.sum_hour.add(0.0, seconds, HOUR);
            self.sum_day.add(0.0, seconds, DAY);
            self.staked_day.add(0.0, seconds, DAY);
            self.doubled.add(0.0, seconds, HOUR);
        }
        let won = if now.side == Kind::Win as usize { now.plain } else { 0.0 };
        self.won_day.add(won, seconds, DAY);
        row[Feature::Doubled as usize] = or_nothing(self.doubled.now(0.0, HOUR), 0.05).ln_1p();
        let (won, staked) = (self.won_day.now(0.0, DAY), self.staked_day.now(0.0, DAY));
        row[Feature::ReturnDay as usize] = if staked > 0.0 { ((won + 0.1 * staked) / staked).ln() } else { f64::NAN };
        self.hour.add(1.0, seconds, HOUR);
        self.day.add(1.0, seconds, DAY);
        self.week.add(1.0, seconds, WEEK);
        self.payouts.add(payout);
        self.amounts[now.side].add(now.amount);
        self.former[now.side] = now.plain as f32;
        self.hours.add(now.hour);
        self.last = self.last.max(now.at);
    }
}
