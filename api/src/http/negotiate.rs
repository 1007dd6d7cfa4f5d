//! What a client sends and what it takes, read from its headers.

/// A media type that an answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/graphql-response+json`: the status says what became of the request.
    GraphqlResponse,
    /// `application/json`, for clients from before there was one of its own: a well-formed request is answered 200.
    Json,
    /// A page for a person.
    Html,
    /// Server-sent events.
    EventStream,
}

impl Media {
    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            // Events are always UTF-8, and some clients compare the type as it stands.
            Self::EventStream => "text/event-stream",
        }
    }

    const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::GraphqlResponse => ("application", "graphql-response+json"),
            Self::Json => ("application", "json"),
            Self::Html => ("text", "html"),
            Self::EventStream => ("text", "event-stream"),
        }
    }
}

/// How much a client wants something: by weight (thousandths), then by how exactly it says so.
type Wish = (u16, u8);

/// The media type that a client likes best, of those offered; among equals the first one that it names, then plain
/// JSON. `None` when it takes none of them. Without the header it takes anything.
pub fn media<'h>(accept: impl Iterator<Item = &'h str>, offered: &[Media]) -> Option<Media> {
    let mut named = elements(accept).map(str::trim).filter(|element| !element.is_empty()).peekable();
    if named.peek().is_none() {
        return Some(Media::Json);
    }
    let ranges: Vec<Range<'_>> = named.filter_map(Range::read).collect();
    let mut best: Option<(Wish, Media)> = None;
    for media in offered.iter().copied() {
        // The most exact range that covers it has the say.
        let covering = ranges.iter().filter_map(|range| Some((range.covers(media.name())?, range.weight)));
        let Some((exact, weight)) = covering.max() else { continue };
        let wish = (weight, exact);
        let is_better = best.is_none_or(|(other, held)| {
            wish > other || (wish == other && exact < EXACT && media == Media::Json && held != Media::Json)
        });
        if weight > 0 && is_better {
            best = Some((wish, media));
        }
    }
    best.map(|(_, media)| media)
}

/// Whether a client takes this media type. Without the header it takes anything.
pub fn takes<'h>(accept: impl Iterator<Item = &'h str>, wanted: Media) -> bool {
    let mut accept = accept.peekable();
    accept.peek().is_none() || media(accept, &[wanted]) == Some(wanted)
}

const EXACT: u8 = 2;

struct Range<'h> {
    kind: &'h str,
    subtype: &'h str,
    weight: u16,
}

impl<'h> Range<'h> {
    fn read(element: &'h str) -> Option<Self> {
        let (name, weight) = weighted(element)?;
        let (kind, subtype) = name.split_once('/')?;
        Some(Self { kind, subtype, weight })
    }

    fn covers(&self, (kind, subtype): (&str, &str)) -> Option<u8> {
        if self.kind == "*" && self.subtype == "*" {
            return Some(0);
        }
        let same_kind = self.kind.eq_ignore_ascii_case(kind);
        match same_kind {
            true if self.subtype == "*" => Some(1),
            true if self.subtype.eq_ignore_ascii_case(subtype) => Some(EXACT),
            _ => None,
        }
    }
}

fn elements<'h>(headers: impl Iterator<Item = &'h str>) -> impl Iterator<Item = &'h str> {
    headers.flat_map(|value| value.split(','))
}

/// An element without its parameters, and its weight in thousandths; `None` where the weight is none.
fn weighted(element: &str) -> Option<(&str, u16)> {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next()?;
    for part in parts {
        if let Some(("q" | "Q", weight)) = part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            return Some((name, thousandths(weight)?));
        }
    }
    Some((name, 1000))
}

/// `0`, `1`, or a fraction of at most three digits.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

/// Whether a request's body is JSON in UTF-8, which a form on a foreign page cannot send. `Err` says what it should
/// have been.
pub fn check_content_type(content_type: Option<&str>) -> Result<(), &'static str> {
    let content_type = content_type.unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        return Err("send application/json");
    }
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        let is_utf8 = value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8");
        if name.trim().eq_ignore_ascii_case("charset") && !is_utf8 {
            return Err("send JSON in UTF-8");
        }
    }
    Ok(())
}

/// How an answer may be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Brotli,
    Gzip,
}

/// The coding that a client likes best; Brotli among equals. `None`: as it is.
pub fn coding<'h>(accept_encoding: impl Iterator<Item = &'h str>) -> Option<Coding> {
    let (mut brotli, mut gzip, mut any) = (None, None, None);
    for (name, weight) in elements(accept_encoding).filter_map(weighted) {
        match name.to_ascii_lowercase().as_str() {
            "br" => brotli = Some(weight),
            "gzip" | "x-gzip" => gzip = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    let (brotli, gzip) = (brotli.or(any).unwrap_or_default(), gzip.or(any).unwrap_or_default());
    match (brotli, gzip) {
        (0, 0) => None,
        _ if brotli >= gzip => Some(Coding::Brotli),
        _ => Some(Coding::Gzip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(accept: &str) -> Option<Media> {
        media([accept].into_iter(), &[Media::GraphqlResponse, Media::Json])
    }

    fn get(accept: &str) -> Option<Media> {
        media([accept].into_iter(), &[Media::GraphqlResponse, Media::Json, Media::Html])
    }

    #[test]
    fn a_client_gets_what_it_likes_best() {
        for (accept, media) in [
            ("application/graphql-response+json", Some(Media::GraphqlResponse)),
            ("application/json", Some(Media::Json)),
            ("APPLICATION/JSON", Some(Media::Json)),
            ("", Some(Media::Json)),
            ("*/*", Some(Media::Json)),
            ("application/*", Some(Media::Json)),
            ("application/json, application/graphql-response+json", Some(Media::GraphqlResponse)),
            ("application/graphql-response+json, application/json;q=0.9", Some(Media::GraphqlResponse)),
            ("application/graphql-response+json;q=0.8, application/json;q=0.9", Some(Media::Json)),
            ("application/graphql-response+json; charset=utf-8, */*", Some(Media::GraphqlResponse)),
            ("application/json;q=0.5, */*;q=0.9", Some(Media::GraphqlResponse)),
            ("application/json;q=0, */*", Some(Media::GraphqlResponse)),
            ("application/json; q = 0.250", Some(Media::Json)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("*/*;q=0", None),
            ("application/json;q=2", None),
            ("nonsense", None),
        ] {
            assert_eq!(post(accept), media, "{accept}");
        }
        let lines = ["text/html", "application/json"];
        assert_eq!(super::media(lines.into_iter(), &[Media::GraphqlResponse, Media::Json]), Some(Media::Json));
        assert_eq!(super::media([].into_iter(), &[Media::GraphqlResponse, Media::Json]), Some(Media::Json));
    }

    #[test]
    fn a_browser_gets_a_page() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        assert_eq!(get(browser), Some(Media::Html));
        assert_eq!(get("*/*"), Some(Media::Json));
        assert_eq!(get("application/graphql-response+json, text/html;q=0.1"), Some(Media::GraphqlResponse));
        assert_eq!(get("text/html, application/json"), Some(Media::Json), "a program that takes pages as well");
        assert_eq!(get("text/*"), Some(Media::Html));
    }

    #[test]
    fn a_body_is_json_in_utf8() {
        for fine in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; charset=utf8; profile=x",
        ] {
            assert_eq!(check_content_type(Some(fine)), Ok(()), "{fine}");
        }
        for bad in [
            "",
            "text/plain",
            "application/jsonp",
            "application/x-www-form-urlencoded",
            "application/json; charset=iso-8859-1",
            "application/json; charset=utf-16",
        ] {
            assert!(check_content_type(Some(bad)).is_err(), "{bad}");
        }
        assert!(check_content_type(None).is_err());
    }

    #[test]
    fn an_answer_is_compressed_as_the_client_likes() {
        for (accept, expected) in [
            ("gzip, deflate, br", Some(Coding::Brotli)),
            ("gzip", Some(Coding::Gzip)),
            ("gzip;q=1.0, br;q=0.3", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("*", Some(Coding::Brotli)),
            ("br;q=0, *;q=0.5", Some(Coding::Gzip)),
            ("identity", None),
            ("zstd", None),
            ("", None),
        ] {
            assert_eq!(coding([accept].into_iter()), expected, "{accept}");
        }
    }
}
