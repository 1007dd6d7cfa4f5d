//! Statements: what is said, apart from the language it is said in. A statement is a key with typed values; each
//! language has one sentence for it (`english.txt`, `korean.txt`), and writes numbers, dates and money its own way.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

use crate::money::{Asset, Minor, Price, Rate, Units};
use crate::notifications::Language;

/// A value of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Major units as a plain decimal, and the currency.
    Money(String, String),
    Number(String),
    Percent(Rate),
    Date(NaiveDate),
    Moment(NaiveDateTime),
    /// Something that somebody named: a code, a product.
    Name(String),
    Said(Statement),
    /// One after the other, with commas.
    List(Vec<Value>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub key: String,
    pub values: Vec<(&'static str, Value)>,
}

/// `say!("key", name = value, …)`.
macro_rules! say {
    ($key:expr $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::contracts::text::say::Statement {
            key: $key.to_string(),
            values: vec![$((stringify!($name), $crate::contracts::text::say::Value::from($value))),*],
        }
    };
}
pub(in crate::contracts) use say;

impl From<Statement> for Value {
    fn from(statement: Statement) -> Self {
        Self::Said(statement)
    }
}

impl From<Rate> for Value {
    fn from(rate: Rate) -> Self {
        Self::Percent(rate)
    }
}

impl From<NaiveDate> for Value {
    fn from(date: NaiveDate) -> Self {
        Self::Date(date)
    }
}

impl From<NaiveDateTime> for Value {
    fn from(moment: NaiveDateTime) -> Self {
        Self::Moment(moment)
    }
}

impl From<&str> for Value {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<&String> for Value {
    fn from(name: &String) -> Self {
        Self::Name(name.clone())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number.to_string())
    }
}

impl<V: Into<Value>> From<Vec<V>> for Value {
    fn from(list: Vec<V>) -> Self {
        Self::List(list.into_iter().map(Into::into).collect())
    }
}

impl Value {
    pub fn minor(asset: &Asset, amount: Minor) -> Self {
        Self::Money(asset.format_minor(amount), asset.code.clone())
    }

    pub fn units(asset: &Asset, amount: Units) -> Self {
        Self::Money(asset.format_units(amount), asset.code.clone())
    }

    pub fn price(asset: &Asset, price: Price) -> Self {
        Self::Money(price.to_string(), asset.code.clone())
    }

    /// Counted units, which have the scale of amounts.
    pub fn count(asset: &Asset, units: Units) -> Self {
        let text = asset.format_units(units);
        let whole = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'));
        Self::Number(whole.map_or(text.as_str(), |(whole, _)| whole).to_owned())
    }
}

type Sentences = BTreeMap<&'static str, &'static str>;

static ENGLISH: LazyLock<Sentences> = LazyLock::new(|| sentences(include_str!("english.txt")));
static KOREAN: LazyLock<Sentences> = LazyLock::new(|| sentences(include_str!("korean.txt")));

/// Lines `key = sentence`; what begins with `#` is for whoever translates.
fn sentences(text: &'static str) -> Sentences {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(key, sentence)| (key.trim(), sentence.trim())).collect()
}

pub(super) fn all(language: Language) -> &'static Sentences {
    match language {
        Language::En => &ENGLISH,
        Language::Ko => &KOREAN,
    }
}

impl Statement {
    pub fn in_language(&self, language: Language) -> String {
        // A test says that each language has each statement.
        let Some(mut rest) = all(language).get(self.key.as_str()).copied() else { return self.key.clone() };
        let mut text = String::new();
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            rest = after;
            match name.split_once('/') {
                Some((closed, open)) => text.push_str(&particle(&text, closed, open)),
                None => {
                    let value = self.values.iter().find(|(own, _)| *own == name);
                    text.push_str(&value.map(|(_, value)| value.in_language(language)).unwrap_or_default());
                }
            }
        }
        text.push_str(rest);
        text
    }
}

impl Value {
    pub fn in_language(&self, language: Language) -> String {
        match (self, language) {
            (Self::Money(amount, code), Language::Ko) if code == "KRW" => format!("{}원", grouped(amount)),
            (Self::Money(amount, code), _) => format!("{} {code}", grouped(amount)),
            (Self::Number(number), _) => grouped(number),
            (Self::Percent(rate), Language::En) => format!("{} %", grouped(&rate.to_string())),
            (Self::Percent(rate), Language::Ko) => format!("{}%", grouped(&rate.to_string())),
            (Self::Date(date), _) => day(*date, language),
            (Self::Moment(moment), _) => {
                let seconds = if moment.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
                format!("{} {}", day(moment.date(), language), moment.format(seconds))
            }
            (Self::Name(name), _) => format!("‘{name}’"),
            (Self::Said(statement), _) => statement.in_language(language),
            (Self::List(values), _) => {
                let values: Vec<String> = values.iter().map(|value| value.in_language(language)).collect();
                values.join(", ")
            }
        }
    }
}

fn day(date: NaiveDate, language: Language) -> String {
    match language {
        Language::En => date.format("%-d %B %Y").to_string(),
        Language::Ko => format!("{}년 {}월 {}일", date.year(), date.month(), date.day()),
    }
}

/// `-1234567.50` as `−1,234,567.50`.
fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("−", digits));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    if !whole.bytes().all(|digit| digit.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut text = sign.to_owned();
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// A Korean particle has one form after a closed syllable and another after an open one. Where a word in Latin letters
/// does not tell how it is read, both stand there, as is usual in contracts.
fn particle(before: &str, closed: &str, open: &str) -> String {
    // What a syllable ends in: nothing, ㄹ, or something else.
    let digit_ends = [Some('ㅇ'), Some('ㄹ'), None, Some('ㅁ'), None, None, Some('ㄱ'), Some('ㄹ'), Some('ㄹ'), None];
    let last = before.chars().rev().find(|letter| letter.is_alphanumeric() || *letter == '%');
    let end = match last {
        Some(syllable @ '가'..='힣') => match (u32::from(syllable) - u32::from('가')) % 28 {
            0 => None,
            8 => Some('ㄹ'),
            _ => Some('ㅇ'),
        },
        Some('%') => None,
        Some(digit @ '0'..='9') => usize::try_from(u32::from(digit) - 48).ok().and_then(|digit| digit_ends[digit]),
        _ => return if closed == "으로" { "(으)로".to_owned() } else { format!("{closed}({open})") },
    };
    match end {
        None => open.to_owned(),
        Some('ㄹ') if closed == "으로" => open.to_owned(),
        Some(_) => closed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn placeholders(sentence: &str) -> BTreeSet<&str> {
        let named = sentence.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
        named.filter(|name| !name.contains('/')).collect()
    }

    #[test]
    fn both_languages_say_the_same_with_the_same_values() {
        let (english, korean) = (all(Language::En), all(Language::Ko));
        assert_eq!(english.keys().collect::<Vec<_>>(), korean.keys().collect::<Vec<_>>());
        for (key, sentence) in english {
            assert_eq!(placeholders(sentence), placeholders(korean[key]), "{key}");
            assert!(!sentence.is_empty() && !korean[key].is_empty(), "{key}");
        }
        let lines = include_str!("english.txt").lines().filter(|line| line.contains(" = ")).count();
        assert_eq!(lines, english.len(), "no key stands twice");
    }

    #[test]
    fn numbers_dates_and_money_as_each_language_writes_them() {
        let krw = Value::Money("-1000000".to_owned(), "KRW".to_owned());
        assert_eq!(krw.in_language(Language::En), "−1,000,000 KRW");
        assert_eq!(krw.in_language(Language::Ko), "−1,000,000원");
        let day = Value::from(NaiveDate::from_ymd_opt(2021, 10, 1).expect("a day"));
        assert_eq!(day.in_language(Language::En), "1 October 2021");
        assert_eq!(day.in_language(Language::Ko), "2021년 10월 1일");
        for (number, shown) in [("0", "0"), ("999", "999"), ("1000", "1,000"), ("123456.789", "123,456.789")] {
            assert_eq!(grouped(number), shown);
        }
    }

    #[test]
    fn a_particle_follows_what_is_heard_before_it() {
        let after = |word: &str| particle(word, "을", "를");
        assert_eq!(
            (after("순매출"), after("총계"), after("5%"), after("1,000원")),
            ("을".into(), "를".into(), "를".into(), "을".into())
        );
        assert_eq!((after("‘3’"), after("‘2’"), after("‘crash’")), ("을".into(), "를".into(), "을(를)".into()));
        let by = |word: &str| particle(word, "으로", "로");
        assert_eq!(
            (by("순매출"), by("통화"), by("지급"), by("USD")),
            ("로".into(), "로".into(), "으로".into(), "(으)로".into())
        );
    }
}
