//! Why something is odd, in numbers that a person knows and in words.

// Statistics of the detector are no money.
#![allow(clippy::float_arithmetic)]

use std::borrow::Cow;

use ml::features::Feature;
use serde::{Deserialize, Serialize};

use super::case::CaseKind;
use crate::money::{Asset, Minor};
use crate::notifications::Language;

/// What a product returns; the detector's features have the other codes.
pub const RETURNS: &str = "RETURNS";

/// One reason. Numbers are decimal texts, as people see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// What half of all lie below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<String>,
    /// Rounds that a statement about returns is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u32>,
    /// Of amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

impl Reason {
    /// Of a feature's value and what is usual of it: low, middle, high.
    pub fn of(feature: Feature, observed: f64, (_, middle, _): (f64, f64, f64)) -> Self {
        let told = |value: f64| shown(natural(feature, value));
        Self { code: feature.as_str().to_owned(), observed: told(observed), usual: told(middle), ..Self::default() }
    }

    /// Of a feature whose value is compared with one of its own kind: amounts in units of their asset, payouts of 1
    /// staked, seconds.
    pub fn compared(feature: Feature, observed: f64, usual: f64, asset: Option<&Asset>) -> Self {
        let amounts = [Feature::AmountOfPlayer, Feature::AmountOfProduct, Feature::AmountOfSource].contains(&feature);
        let asset = asset.filter(|_| amounts);
        let told = |value: f64| match asset {
            Some(asset) => in_minor_units(value, asset),
            None => shown(value),
        };
        let currency = asset.map(|asset| asset.code.clone());
        Self { code: feature.as_str().to_owned(), observed: told(observed), usual: told(usual), rounds: None, currency }
    }

    pub fn returns(observed: f64, usual: f64, rounds: u32) -> Self {
        let percent = |part: f64| shown(part * 100.0);
        Self {
            code: RETURNS.to_owned(),
            observed: percent(observed),
            usual: percent(usual),
            rounds: Some(rounds),
            currency: None,
        }
    }

    pub fn text(&self, language: Language) -> String {
        let (observed, usual) = (self.told(&self.observed, language), self.told(&self.usual, language));
        let (observed, usual) = (observed.as_ref(), usual.as_ref());
        let below = observed.starts_with('-');
        let far = observed.trim_start_matches('-');
        let rounds = self.rounds.unwrap_or_default();
        match language {
            Language::En => english(&self.code, (observed, usual, far), below, rounds),
            Language::Ko => korean(&self.code, (observed, usual, far), below, rounds),
        }
    }
}

impl Reason {
    /// A number with its unit, where the unit is not in the words around it.
    fn told<'r>(&'r self, number: &'r Option<String>, language: Language) -> Cow<'r, str> {
        let Some(number) = number else { return "?".into() };
        match (&self.currency, number.parse()) {
            (Some(currency), _) => format!("{number} {currency}").into(),
            (None, Ok(seconds)) if self.code == Feature::Gap.as_str() => duration(seconds, language).into(),
            (None, Ok(hours)) if self.code == Feature::PlayerAge.as_str() => duration(3_600.0 * hours, language).into(),
            _ => number.into(),
        }
    }
}

fn duration(seconds: f64, language: Language) -> String {
    let (size, english, korean) = match seconds {
        ..120.0 => (1.0, "seconds", "초"),
        ..7_200.0 => (60.0, "minutes", "분"),
        ..172_800.0 => (3_600.0, "hours", "시간"),
        _ => (86_400.0, "days", "일"),
    };
    let number = shown(seconds / size).unwrap_or_default();
    match language {
        Language::En => format!("{number} {english}"),
        Language::Ko => format!("{number}{korean}"),
    }
}

/// A case in one line: whom or what it is about, and how much there is.
pub fn title(
    kind: CaseKind,
    product: Option<&str>,
    player: Option<&str>,
    transactions: i64,
    language: Language,
) -> String {
    // As much of a pseudonym as tells it apart to the eye.
    let player = player.map(|player| player.chars().take(8).collect::<String>());
    match (language, kind, product, player) {
        (Language::En, CaseKind::Returns, product, _) => {
            format!("{} returns another part of the stakes than it used to", product.unwrap_or("Play"))
        }
        (Language::En, CaseKind::Source, ..) => {
            let odd = if transactions == 1 { "odd transaction" } else { "odd transactions" };
            format!("The source sends otherwise than before: {transactions} {odd}")
        }
        (Language::En, CaseKind::Transactions, product, player) => {
            let odd = if transactions == 1 { "odd transaction" } else { "odd transactions" };
            let player = player.map_or_else(String::new, |player| format!(" of player {player}"));
            let product = product.map_or_else(String::new, |product| format!(" on {product}"));
            format!("{transactions} {odd}{player}{product}")
        }
        (Language::Ko, CaseKind::Returns, product, _) => {
            format!("{}: 환급률이 평소와 다름", product.unwrap_or("게임"))
        }
        (Language::Ko, CaseKind::Source, ..) => format!("연동이 보내는 거래가 이전과 다름: 이상 거래 {transactions}건"),
        (Language::Ko, CaseKind::Transactions, product, player) => {
            let player = player.map_or_else(String::new, |player| format!("이용자 {player}, "));
            let product = product.map_or_else(String::new, |product| format!("{product}: "));
            format!("{player}{product}이상 거래 {transactions}건")
        }
    }
}

/// A feature's value in the unit that a person thinks in.
fn natural(feature: Feature, value: f64) -> f64 {
    match feature {
        // Logarithms of one and a count, which fades and is told as a whole number.
        Feature::CountHour | Feature::CountDay | Feature::PairCount | Feature::Doubled => value.exp_m1().round(),
        // Logarithms of one and a sum or time.
        Feature::SumHour | Feature::SumDay | Feature::PlayerAge => value.exp_m1(),
        // Logarithms of a ratio.
        Feature::AmountStep | Feature::CountBurst | Feature::SourceRate | Feature::ReturnDay => value.exp(),
        // Logarithms of a share, and shares: in per cent.
        Feature::HourOfPlayer | Feature::HourOfSource => 100.0 * (-value).exp(),
        Feature::RepeatedSequence => 100.0 * value,
        Feature::AmountOfPlayer
        | Feature::AmountOfProduct
        | Feature::AmountOfSource
        | Feature::PayoutOfProduct
        | Feature::PayoutOfPlayer
        | Feature::Gap
        | Feature::Luck
        | Feature::SourceShift
        | Feature::RepeatedFact
        | Feature::Missing => value,
    }
}

/// With as many digits as say something; none of what is no number.
fn shown(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{:.digits$}", value.clamp(-1e15, 1e15));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    Some(if text == "-0" { "0".to_owned() } else { text.to_owned() })
}

/// An amount as people write it, of as many units of the asset; what is usual is not told in parts of a cent.
fn in_minor_units(units: f64, asset: &Asset) -> Option<String> {
    let minor = (units / asset.units_per_minor() as f64).round();
    (minor.abs() < 1e15).then(|| asset.format_minor(Minor(minor as i64)))
}

type Numbers<'a> = (&'a str, &'a str, &'a str);

fn english(code: &str, (observed, usual, far): Numbers<'_>, below: bool, rounds: u32) -> String {
    let side = if below { "below" } else { "above" };
    match code {
        "AMOUNT_OF_PLAYER" => format!("The amount is {observed}; this player's usual one is {usual}."),
        "AMOUNT_OF_PRODUCT" => format!("The amount is {observed}; usual for the product is {usual}."),
        "AMOUNT_OF_SOURCE" => format!("The amount is {observed}; usual for the source is {usual}."),
        "AMOUNT_STEP" => format!("The amount is {observed} times this player's last one."),
        "PAYOUT_OF_PRODUCT" => format!("The round pays {observed} times its stake; the product usually pays {usual}."),
        "PAYOUT_OF_PLAYER" => format!("The round pays {observed} times its stake; this player usually gets {usual}."),
        "COUNT_HOUR" => format!("The player has {observed} transactions within the hour; usual are {usual}."),
        "COUNT_DAY" => format!("The player has {observed} transactions within the day; usual are {usual}."),
        "COUNT_BURST" => format!("The player is {observed} times as active as in an average hour of the week."),
        "SUM_HOUR" => format!("The player staked {observed} usual stakes within the hour; usual are {usual}."),
        "SUM_DAY" => format!("The player staked {observed} usual stakes within the day; usual are {usual}."),
        "GAP" => format!("The player's last transaction was {observed} before; usual are {usual}."),
        "PAIR_COUNT" => format!("The player had this product {observed} times before; usual are {usual}."),
        "PLAYER_AGE" => format!("The player was first seen {observed} before; usual are {usual} or more."),
        "HOUR_OF_PLAYER" => format!("Only {observed} % of the player's transactions fall into this hour of the day."),
        "HOUR_OF_SOURCE" => format!("Only {observed} % of the source's transactions fall into this hour of the day."),
        "LUCK" => format!(
            "The player wins {far} standard deviations {} often than the payouts make likely.",
            if below { "less" } else { "more" }
        ),
        "DOUBLED" => format!("The player doubled the stake {observed} times within the hour."),
        "SOURCE_SHIFT" => format!(
            "The source's latest stakes lie {far} standard deviations {side} those of the same players, on average."
        ),
        "REPEATED_SEQUENCE" => {
            format!("{observed} % of the source's latest transactions repeat a sequence that it sent before.")
        }
        "REPEATED_FACT" => "The same player, product, amount and time came before under another id.".to_owned(),
        "SOURCE_RATE" => format!("The source sends {observed} times as much as in an average ten minutes of the week."),
        "RETURN_DAY" => format!("The player won {observed} times what was staked within the day; usual is {usual}."),
        "MISSING" => format!("{observed} of the features are unknown; usual are {usual}."),
        RETURNS => {
            format!("The product returned {observed} % of the stakes over {rounds} rounds; usual are {usual} %.")
        }
        _ => format!("{code}: {observed}; usual is {usual}."),
    }
}

fn korean(code: &str, (observed, usual, far): Numbers<'_>, below: bool, rounds: u32) -> String {
    let side = if below { "낮습니다" } else { "높습니다" };
    match code {
        "AMOUNT_OF_PLAYER" => format!("금액이 {observed}입니다(이 이용자는 평소 {usual})."),
        "AMOUNT_OF_PRODUCT" => format!("금액이 {observed}입니다(이 상품은 평소 {usual})."),
        "AMOUNT_OF_SOURCE" => format!("금액이 {observed}입니다(이 연동은 평소 {usual})."),
        "AMOUNT_STEP" => format!("금액이 이 이용자의 직전 금액의 {observed}배입니다."),
        "PAYOUT_OF_PRODUCT" => format!("당첨금이 베팅의 {observed}배입니다(이 상품은 평소 {usual}배)."),
        "PAYOUT_OF_PLAYER" => format!("당첨금이 베팅의 {observed}배입니다(이 이용자는 평소 {usual}배)."),
        "COUNT_HOUR" => format!("이용자의 한 시간 내 거래가 {observed}건입니다(평소 {usual}건)."),
        "COUNT_DAY" => format!("이용자의 하루 내 거래가 {observed}건입니다(평소 {usual}건)."),
        "COUNT_BURST" => format!("이용자의 거래가 주간 시간당 평균의 {observed}배입니다."),
        "SUM_HOUR" => format!("이용자의 한 시간 내 베팅이 평소 베팅의 {observed}배입니다(평소 {usual}배)."),
        "SUM_DAY" => format!("이용자의 하루 내 베팅이 평소 베팅의 {observed}배입니다(평소 {usual}배)."),
        "GAP" => format!("이용자의 직전 거래가 {observed} 전입니다(평소 {usual})."),
        "PAIR_COUNT" => format!("이용자가 이 상품을 이용한 횟수가 {observed}회입니다(평소 {usual}회)."),
        "PLAYER_AGE" => format!("이용자가 처음 나타난 지 {observed} 되었습니다(평소 {usual} 이상)."),
        "HOUR_OF_PLAYER" => format!("이 시간대의 거래는 이용자 거래의 {observed}%뿐입니다."),
        "HOUR_OF_SOURCE" => format!("이 시간대의 거래는 연동 거래의 {observed}%뿐입니다."),
        "LUCK" => {
            let side = if below { "적게" } else { "많이" };
            format!("이용자가 배당에 비해 표준편차 {far}배만큼 {side} 이겼습니다.")
        }
        "DOUBLED" => format!("이용자가 한 시간 내에 베팅을 {observed}회 두 배로 올렸습니다."),
        "SOURCE_SHIFT" => format!("이 연동의 최근 베팅이 같은 이용자들의 평소보다 평균 표준편차 {far}배만큼 {side}."),
        "REPEATED_SEQUENCE" => format!("이 연동의 최근 거래 중 {observed}%가 이전에 보낸 순서를 되풀이합니다."),
        "REPEATED_FACT" => "같은 이용자, 상품, 금액, 시각의 거래가 다른 ID로 이미 있었습니다.".to_owned(),
        "SOURCE_RATE" => format!("이 연동이 주간 10분 평균의 {observed}배를 보내고 있습니다."),
        "RETURN_DAY" => format!("이용자가 하루 내 베팅의 {observed}배를 당첨받았습니다(평소 {usual}배)."),
        "MISSING" => format!("알 수 없는 항목이 {observed}개입니다(평소 {usual}개)."),
        RETURNS => format!("상품이 {rounds}라운드 동안 베팅의 {observed}%를 돌려주었습니다(평소 {usual}%)."),
        _ => format!("{code}: {observed} (평소 {usual})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_has_words_of_its_own_in_both_languages() {
        let mut all = std::collections::BTreeSet::new();
        for feature in Feature::ALL {
            let reason = Reason::compared(feature, 1.5, 0.5, Asset::iso("EUR").as_ref());
            for language in [Language::En, Language::Ko] {
                let text = reason.text(language);
                assert!(!text.contains(feature.as_str()) && text.ends_with('.'), "{text}");
                assert!(all.insert(text));
            }
        }
        let returns = Reason::returns(1.153, 0.9612, 812);
        assert_eq!(
            returns.text(Language::En),
            "The product returned 115 % of the stakes over 812 rounds; usual are 96.1 %."
        );
        assert_eq!(returns.text(Language::Ko), "상품이 812라운드 동안 베팅의 115%를 돌려주었습니다(평소 96.1%).");
    }

    #[test]
    fn a_title_says_whom_it_is_about() {
        let of = |kind, product, player, count, language| title(kind, product, player, count, language);
        let player = Some("3f2a90bc77aa55ee");
        for (kind, product, player, count, english, korean) in [
            (
                CaseKind::Transactions,
                Some("dice"),
                player,
                3,
                "3 odd transactions of player 3f2a90bc on dice",
                "이용자 3f2a90bc, dice: 이상 거래 3건",
            ),
            (
                CaseKind::Source,
                None,
                None,
                12,
                "The source sends otherwise than before: 12 odd transactions",
                "연동이 보내는 거래가 이전과 다름: 이상 거래 12건",
            ),
            (CaseKind::Transactions, None, None, 1, "1 odd transaction", "이상 거래 1건"),
            (
                CaseKind::Returns,
                Some("dice"),
                None,
                1,
                "dice returns another part of the stakes than it used to",
                "dice: 환급률이 평소와 다름",
            ),
        ] {
            assert_eq!(of(kind, product, player, count, Language::En), english);
            assert_eq!(of(kind, product, player, count, Language::Ko), korean);
        }
    }

    #[test]
    fn numbers_are_those_that_a_person_knows() {
        let told = |feature, value| Reason::of(feature, value, (0.0, 0.0, 0.0)).observed;
        assert_eq!(told(Feature::CountHour, 41.0_f64.ln_1p()).as_deref(), Some("41"));
        assert_eq!(told(Feature::HourOfPlayer, -(0.013_f64.ln())).as_deref(), Some("1.3"));
        assert_eq!(told(Feature::Luck, -3.256).as_deref(), Some("-3.26"));
        assert_eq!(told(Feature::Luck, -0.001).as_deref(), Some("0"));
        assert_eq!(told(Feature::Luck, f64::NAN), None);
        assert_eq!(told(Feature::SourceRate, 1e300), None);
        let below = Reason::of(Feature::Luck, -4.0, (0.0, 0.0, 0.0));
        assert_eq!(
            below.text(Language::En),
            "The player wins 4 standard deviations less often than the payouts make likely."
        );
    }

    #[test]
    fn amounts_payouts_and_times_are_told_beside_the_usual_ones() {
        let asset = |code| Asset::iso(code).expect("a currency");
        let text = |feature, observed, usual, code, language| {
            Reason::compared(feature, observed, usual, Some(&asset(code))).text(language)
        };
        let units = |minor: f64, code| minor * asset(code).units_per_minor() as f64;
        assert_eq!(
            text(Feature::AmountOfPlayer, units(250_000.0, "EUR"), units(310.4, "EUR"), "EUR", Language::En),
            "The amount is 2500.00 EUR; this player's usual one is 3.10 EUR."
        );
        assert_eq!(
            text(Feature::AmountOfProduct, units(20_000.0, "KRW"), units(1_500.0, "KRW"), "KRW", Language::Ko),
            "금액이 20000 KRW입니다(이 상품은 평소 1500 KRW)."
        );
        assert_eq!(
            text(Feature::PayoutOfPlayer, 50.0, 1.94, "EUR", Language::En),
            "The round pays 50 times its stake; this player usually gets 1.94."
        );
        for (seconds, usual, english, korean) in [
            (0.5, 119.0, "0.5 seconds before; usual are 119 seconds.", "0.5초 전입니다(평소 119초)."),
            (600.0, 9_000.0, "10 minutes before; usual are 2.5 hours.", "10분 전입니다(평소 2.5시간)."),
            (864_000.0, 1e6, "10 days before; usual are 11.6 days.", "10일 전입니다(평소 11.6일)."),
        ] {
            let [en, ko] =
                [Language::En, Language::Ko].map(|language| text(Feature::Gap, seconds, usual, "EUR", language));
            assert!(en.ends_with(english) && ko.ends_with(korean), "{en} {ko}");
        }
    }
}
