//! Values that JSON has no exact form for.

use async_graphql::{InputObject, InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value};
use chrono::NaiveDate;
use domain::time::Timestamp;

/// An exact decimal number as a string, such as "0.125". A JSON number is refused, because most readers of JSON round it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal(pub String);

/// Longer than any number that the core takes.
const MAX_DECIMAL: usize = 60;

/// An exact decimal number as a string, such as "0.125". A JSON number is refused, because most readers of JSON round it.
#[Scalar]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => {
                return Err(InputValueError::custom(format!("write \"{number}\" as a string, in quotes")));
            }
            other => return Err(InputValueError::expected_type(other)),
        };
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if text.len() <= MAX_DECIMAL && all_digits(whole) && all_digits(fraction) {
            Ok(Self(text))
        } else {
            Err(InputValueError::custom("a decimal number looks like \"-1234.56\""))
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// An instant in RFC 3339 with its offset, such as "2021-10-31T15:00:00Z", to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime(pub Timestamp);

/// An instant in RFC 3339 with its offset, such as "2021-10-31T15:00:00Z", to the microsecond.
#[Scalar]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else { return Err(InputValueError::expected_type(value)) };
        let problem = "a time looks like \"2021-10-31T15:00:00Z\", with an offset, in the years 1970 to 2199";
        Timestamp::parse_rfc3339(&text).map(Self).ok_or_else(|| InputValueError::custom(problem))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339())
    }
}

impl From<Timestamp> for DateTime {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

/// A calendar day, such as "2021-10-31".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(pub NaiveDate);

const DAY: &str = "%Y-%m-%d";

/// A calendar day, such as "2021-10-31".
#[Scalar]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else { return Err(InputValueError::expected_type(value)) };
        // The library reads "2024-2-9" and "+024-02-09" as well.
        let day = NaiveDate::parse_from_str(&text, DAY).ok().filter(|day| day.format(DAY).to_string() == text);
        day.map(Self).ok_or_else(|| InputValueError::custom("a day looks like \"2021-10-31\""))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.format(DAY).to_string())
    }
}

/// An amount in major units: "1234.56" "USD".
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject)]
pub struct Money {
    /// Such as "1234.56".
    pub amount: Decimal,
    /// An ISO 4217 code or the code of one of the tenant's assets.
    pub currency: String,
}

/// An amount in major units. More digits than the currency is kept with are refused.
#[derive(Clone, Debug, PartialEq, Eq, InputObject)]
pub struct MoneyInput {
    /// Such as "1234.56".
    pub amount: Decimal,
    /// An ISO 4217 code or the code of one of the tenant's assets.
    pub currency: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn a_decimal_is_a_string_of_digits_and_never_a_number() {
        for good in ["0", "-1", "1234.56", "0.00000001", "9007199254740993"] {
            assert_eq!(Decimal::parse(text(good)).unwrap().to_value(), text(good));
        }
        let long = "9".repeat(61);
        for bad in ["", "-", ".5", "5.", "+1", "1e3", "1,000", " 1", "1 ", "NaN", "0x1", "--1", "１", &long] {
            assert!(Decimal::parse(text(bad)).is_err(), "{bad}");
        }
        assert!(Decimal::parse(Value::from(1)).is_err());
        assert!(Decimal::parse(Value::Null).is_err());
    }

    #[test]
    fn times_have_an_offset_and_days_have_none() {
        let time = DateTime::parse(text("2021-11-01T00:00:00+09:00")).unwrap();
        assert_eq!(time.to_value(), text("2021-10-31T15:00:00Z"));
        for bad in ["2021-11-01T00:00:00", "2021-11-01", "9999-01-01T00:00:00Z", "now"] {
            assert!(DateTime::parse(text(bad)).is_err(), "{bad}");
        }
        assert_eq!(Date::parse(text("2024-02-29")).unwrap().to_value(), text("2024-02-29"));
        for bad in ["2023-02-29", "2024-2-9", "2024-02-29T00:00:00Z", "20240229", "+024-02-29"] {
            assert!(Date::parse(text(bad)).is_err(), "{bad}");
        }
    }
}
