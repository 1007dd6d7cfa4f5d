//! Finds where a record ends, byte by byte, and where its fields lie. It keeps all its state between calls, so that
//! the cuts of the stream it is fed with make no difference.
//!
//! Own code rather than `csv-core`: records are kept by their exact offsets, fields are read where they lie, and a
//! quote that never closes or text after a closing quote must be told instead of being read somehow. A property test
//! holds it to what `csv-core` reads wherever neither is the case.

/// A field's bytes inside its record, without the quotes around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u32,
    pub end: u32,
    /// Quotes inside of it are doubled.
    pub doubled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Csv { delimiter: u8, quote: Option<u8> },
    JsonLines,
}

impl Syntax {
    /// What may stand between records: ends of lines (a `\n` after `\r` too), and in JSON Lines blanks.
    pub fn is_filler(self, byte: u8) -> bool {
        match self {
            Self::Csv { .. } => matches!(byte, b'\r' | b'\n'),
            Self::JsonLines => byte.is_ascii_whitespace(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote inside a quoted field: its end, or the first half of a doubled quote.
    QuoteInQuoted,
}

#[derive(Debug)]
pub(super) struct Scanner {
    syntax: Syntax,
    state: State,
    /// Bytes of the record so far.
    length: u64,
    field_start: u64,
    /// Where the closing quote of the present field stood.
    closed_at: Option<u64>,
    doubled: bool,
    last: u8,
    /// Spans are kept for this many fields; more are only counted.
    pub keep: usize,
    pub spans: Vec<Span>,
    pub fields: usize,
    /// Where the quote opened that the scanner is inside of.
    quote_at: Option<u64>,
    /// The number, from 1, of the first field that goes on after its closing quote.
    pub trailing: Option<usize>,
}

impl Scanner {
    pub fn new(syntax: Syntax) -> Self {
        Self {
            syntax,
            state: State::FieldStart,
            length: 0,
            field_start: 0,
            closed_at: None,
            doubled: false,
            last: 0,
            keep: 0,
            spans: Vec::new(),
            fields: 0,
            quote_at: None,
            trailing: None,
        }
    }

    /// Ready for the next record.
    pub fn restart(&mut self) {
        let (keep, mut spans) = (self.keep, std::mem::take(&mut self.spans));
        spans.clear();
        *self = Self { keep, spans, ..Self::new(self.syntax) };
    }

    /// Bytes of the record so far.
    pub fn scanned(&self) -> u64 {
        self.length
    }

    /// Bytes of the record so far, without the end of its line.
    pub fn length(&self) -> u64 {
        match self.syntax {
            Syntax::JsonLines if self.last == b'\r' => self.length - 1,
            _ => self.length,
        }
    }

    /// Where the quote opened that has not closed yet.
    pub fn open_quote(&self) -> Option<u64> {
        self.quote_at.filter(|_| self.state == State::Quoted)
    }

    /// Reads on; where the record's line ends, how many of these bytes belong to it, its end included.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.syntax {
            Syntax::JsonLines => self.feed_line(bytes),
            Syntax::Csv { delimiter, quote } => self.feed_csv(bytes, delimiter, quote),
        }
    }

    fn feed_line(&mut self, bytes: &[u8]) -> Option<usize> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let read = &bytes[..end.unwrap_or(bytes.len())];
        self.length += read.len() as u64;
        self.last = read.last().copied().unwrap_or(self.last);
        end.map(|end| end + 1)
    }

    fn feed_csv(&mut self, bytes: &[u8], delimiter: u8, quote: Option<u8>) -> Option<usize> {
        for (index, byte) in bytes.iter().copied().enumerate() {
            match self.state {
                State::Quoted => {
                    if Some(byte) == quote {
                        self.state = State::QuoteInQuoted;
                    }
                }
                State::FieldStart if Some(byte) == quote => {
                    self.state = State::Quoted;
                    self.quote_at = Some(self.length);
                    self.field_start = self.length + 1;
                }
                State::QuoteInQuoted if Some(byte) == quote => {
                    self.doubled = true;
                    self.state = State::Quoted;
                }
                state => {
                    if state == State::QuoteInQuoted {
                        self.closed_at = Some(self.length - 1);
                    }
                    if byte == delimiter {
                        self.end_field();
                    } else if byte == b'\n' || byte == b'\r' {
                        self.end_field();
                        return Some(index + 1);
                    } else {
                        if state == State::QuoteInQuoted {
                            self.trailing.get_or_insert(self.fields + 1);
                        }
                        self.state = State::Unquoted;
                    }
                }
            }
            self.length += 1;
        }
        None
    }

    /// The input is over; the record ends here.
    pub fn finish(&mut self) {
        if let Syntax::Csv { .. } = self.syntax {
            if self.state == State::QuoteInQuoted {
                self.closed_at = Some(self.length - 1);
            }
            let state = self.state;
            self.end_field();
            self.state = state;
        }
    }

    fn end_field(&mut self) {
        if self.spans.len() < self.keep {
            let end = self.closed_at.unwrap_or(self.length);
            // A record that is kept is far shorter than 4 GiB; the spans of a longer one are not used.
            let narrow = |offset: u64| u32::try_from(offset).unwrap_or(u32::MAX);
            self.spans.push(Span { start: narrow(self.field_start), end: narrow(end), doubled: self.doubled });
        }
        self.fields += 1;
        self.state = State::FieldStart;
        self.field_start = self.length + 1;
        self.closed_at = None;
        self.doubled = false;
    }
}
