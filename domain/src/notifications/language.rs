//! The languages that Saldo writes to people in.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Language {
    #[default]
    En,
    Ko,
}

impl Language {
    pub const ALL: [Self; 2] = [Self::En, Self::Ko];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "EN",
            Self::Ko => "KO",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_read_back_as_they_are_written() {
        for language in Language::ALL {
            assert_eq!(Language::parse(language.as_str()), Some(language));
            let json = serde_json::to_string(&language).unwrap();
            assert_eq!(json, format!("\"{}\"", language.as_str()), "kept outcomes have the same word");
        }
        assert_eq!(Language::parse("en"), None);
    }
}
