use proptest::prelude::*;

use super::*;

fn csv() -> Framing {
    Framing { syntax: Syntax::Csv { delimiter: b',', quote: Some(b'"') }, encoding: UTF_8 }
}

fn json_lines() -> Framing {
    Framing { syntax: Syntax::JsonLines, encoding: UTF_8 }
}

const ALL: Limits = Limits { records: usize::MAX, bytes: usize::MAX };

/// A record as a test sees it: number, place in the file, text, code and message of its problem, hash.
type Seen = (u64, u64, Vec<u8>, Option<(Code, String)>, [u8; 32]);

fn see(chunk: &Chunk) -> Vec<Seen> {
    let seen = chunk.records.iter().map(|record| {
        let problem = record.problem.as_ref().map(|problem| (problem.code, problem.message.clone()));
        (record.number, chunk.file_offset_of(record), chunk.bytes_of(record).to_vec(), problem, chunk.hash_of(record))
    });
    seen.collect()
}

/// Reads pieces of a file to its end; resumes from the position after each chunk if told to.
fn read(framing: Framing, pieces: &[&[u8]], limits: Limits) -> Result<(Vec<Seen>, Position), Problem> {
    let mut framer = Framer::new(framing, Position::default());
    let mut seen = Vec::new();
    for piece in pieces {
        framer.push(piece);
        while let Some(chunk) = framer.next_chunk(false, limits)? {
            seen.extend(see(&chunk));
        }
    }
    while let Some(chunk) = framer.next_chunk(true, limits)? {
        assert_eq!(framer.position(), &chunk.end);
        seen.extend(see(&chunk));
    }
    Ok((seen, framer.position().clone()))
}

fn texts(framing: Framing, file: &[u8]) -> Vec<String> {
    let (seen, _) = read(framing, &[file], ALL).expect("a file");
    seen.into_iter()
        .map(|(_, _, raw, problem, _)| {
            problem.map_or_else(
                || String::from_utf8_lossy(&raw).into_owned(),
                |(code, text)| format!("{}: {text}", code.as_str()),
            )
        })
        .collect()
}

fn refused(framing: Framing, file: &[u8]) -> String {
    let problem = read(framing, &[file], ALL).expect_err("a bad file");
    assert_eq!(problem.code, Code::BadFile);
    problem.message
}

#[test]
fn records_are_cut_at_their_lines() {
    let file = b"\xef\xbb\xbfa,b\r\n1,\"x\r\ny\"\r\n\r\n2,\"say \"\"hi\"\"\"\n3,last";
    assert_eq!(texts(csv(), file), ["1,\"x\r\ny\"", "2,\"say \"\"hi\"\"\"", "3,last"]);
    let (seen, end) = read(csv(), &[file], ALL).expect("a file");
    for (_, offset, raw, ..) in seen {
        assert_eq!(&file[offset as usize..offset as usize + raw.len()], raw);
    }
    let header = Some(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(end, Position { bytes: file.len() as u64, records: 3, header });
    assert_eq!(texts(json_lines(), b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n {\"a\":2}"), ["{\"a\":1}", "{\"a\":2}"]);
}

#[test]
fn what_is_no_record_says_why_and_leaves_its_neighbours_alone() {
    let file = b"a,b,c\n1,2,3\n1,2\n1,2,3,4\n\"1\"x,2,3\n4,5,6\n7,8";
    let expected = [
        "1,2,3",
        "MALFORMED_RECORD: the record has 2 of 3 fields",
        "MALFORMED_RECORD: the record has 4 of 3 fields",
        "MALFORMED_RECORD: field 1 goes on after its closing quote",
        "4,5,6",
        "MALFORMED_RECORD: the record has 2 of 3 fields; the file ends inside this record",
    ];
    assert_eq!(texts(csv(), file), expected);
    let open = "MALFORMED_RECORD: the quote that opens at byte 2 of the record is still open where the file ends";
    assert_eq!(texts(csv(), b"a,b\n1,2\n1,\"2\n3,4\n"), ["1,2", open]);
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    for (framing, file) in
        [(csv(), &b""[..]), (csv(), b"\xef\xbb\xbf"), (csv(), b"\n\n"), (json_lines(), b""), (json_lines(), b" \n\n")]
    {
        assert_eq!(refused(framing, file), "the file is empty", "{file:?}");
    }
    for mark in [b"\xff\xfea\0", b"\xfe\xff\0a"] {
        assert!(refused(csv(), mark).contains("UTF-16"));
        assert!(refused(json_lines(), mark).contains("UTF-16"));
    }
    let latin = Framing { encoding: encoding_rs::WINDOWS_1252, ..csv() };
    assert!(refused(latin, b"\xef\xbb\xbfa,b\n").contains("windows-1252"));
    assert!(refused(csv(), b"a,\"b\n1,2\n").contains("never closes"));
    assert!(refused(csv(), b"a,\xd4b\n1,2\n").contains("column 2: byte 2 of the record (0xD4) is not UTF-8"));
    assert!(refused(csv(), &[b'a'; MAX_HEADER as usize + 1]).contains("longer than 65536 bytes"));
    // Column names alone are a file without records, not an empty one.
    assert!(texts(csv(), b"a,b\n").is_empty());
}

#[test]
fn an_oversized_record_is_hashed_whole_and_kept_in_part() {
    let long = vec![b'x'; MAX_RECORD as usize + 1];
    let fits = vec![b'y'; MAX_RECORD as usize];
    let mut file = b"a\n1\n".to_vec();
    for line in [&long, &fits] {
        file.extend_from_slice(line);
        file.extend_from_slice(b"\r\n");
    }
    file.extend_from_slice(b"2");
    for piece in [1_000_003, 4_096, file.len()] {
        let pieces: Vec<&[u8]> = file.chunks(piece).collect();
        let (seen, end) = read(csv(), &pieces, ALL).expect("a file");
        let [one, cut, whole, two] = seen.as_slice() else { panic!("{} records", seen.len()) };
        assert_eq!((&one.2[..], &two.2[..]), (&b"1"[..], &b"2"[..]));
        assert_eq!((cut.1, cut.2.len()), (4, KEPT_OF_LONG));
        let (code, text) = cut.3.as_ref().expect("a problem");
        assert_eq!(*code, Code::RecordTooLong);
        assert!(text.starts_with("the record is 1048577 bytes long"), "{text}");
        assert_eq!(cut.4, digest::digest(&digest::SHA256, &long).as_ref());
        assert_eq!((&whole.2, &whole.3), (&fits, &None));
        assert_eq!((end.bytes, end.records), (file.len() as u64, 4));
    }
}

#[test]
fn a_line_without_end_takes_no_memory() {
    let mut framer = Framer::new(json_lines(), Position::default());
    let piece = vec![b' '; 256 << 10];
    framer.push(b"{");
    for _ in 0..400 {
        framer.push(&piece);
        assert!(framer.next_chunk(false, ALL).expect("no problem").is_none());
        assert!(framer.buffer.capacity() < 4 << 20);
    }
    framer.push(b"}\r\n{}\n");
    let chunk = framer.next_chunk(true, ALL).expect("no problem").expect("a chunk");
    assert_eq!(chunk.records[0].problem.as_ref().map(|problem| problem.code), Some(Code::RecordTooLong));
    assert_eq!(chunk.end.bytes, 400 * (256 << 10) + 4);
    let next = framer.next_chunk(true, ALL).expect("no problem").expect("a chunk");
    assert_eq!((next.bytes_of(&next.records[0]), next.records[0].number), (&b"{}"[..], 2));
}

#[test]
fn an_oversized_record_with_an_open_quote_says_so() {
    let mut file = b"a,b\n1,\"".to_vec();
    file.resize(MAX_RECORD as usize + 100, b'\n');
    let (seen, _) = read(csv(), &[&file], ALL).expect("a file");
    let (_, text) = seen[0].3.as_ref().expect("a problem");
    assert!(seen.len() == 1 && text.contains("the quote that opens at byte 2 of it is still open"), "{text}");
}

#[test]
fn what_is_whole_can_be_had_before_the_chunk_is_full() {
    let mut framer = Framer::new(csv(), Position::default());
    framer.push(b"a,b\n1,2\n3,4\n5,");
    assert!(framer.next_chunk(false, ALL).expect("no problem").is_none());
    let ready = framer.take_ready().expect("two records");
    assert_eq!((ready.records.len(), ready.end.bytes), (2, 12));
    framer.push(b"6\n");
    let last = framer.next_chunk(true, ALL).expect("no problem").expect("the third");
    assert_eq!((last.bytes_of(&last.records[0]), last.records[0].number), (&b"5,6"[..], 3));
}

/// Files made of what matters to the format, wild and tame.
fn files() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        "a",
        "bc",
        ",",
        ",",
        "\"",
        "\"\"",
        "\n",
        "\n",
        "\r\n",
        "\r",
        " ",
        "{",
        "}",
        "\u{e9}",
        "1,2\n",
        "\"x\ny\",",
    ]);
    prop::collection::vec(token, 0..60).prop_map(|tokens| format!("x,y\n{}", tokens.concat()).into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However the stream is cut into pieces and chunks, and resumed after any chunk, the records are the same.
    #[test]
    fn cuts_make_no_difference(file in files(), cuts in prop::collection::vec(0_usize..200, 0..8), records in 1_usize..4, lines in any::<bool>()) {
        let framing = if lines { json_lines() } else { csv() };
        let whole = read(framing, &[&file], ALL);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(file.len())).collect();
        cuts.extend([0, file.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &file[cut[0]..cut[1]]).collect();
        let limits = Limits { records, bytes: usize::MAX };
        prop_assert_eq!(&whole, &read(framing, &pieces, limits));
        let bytewise: Vec<&[u8]> = file.chunks(1).collect();
        prop_assert_eq!(&whole, &read(framing, &bytewise, ALL));

        let (seen, end) = whole.expect("these files have a header");
        let mut resumed = Vec::new();
        let mut position = Position::default();
        loop {
            let mut framer = Framer::new(framing, position.clone());
            framer.push(&file[position.bytes as usize..]);
            match framer.next_chunk(true, limits).expect("no problem") {
                Some(chunk) => resumed.extend(see(&chunk)),
                None => {
                    prop_assert_eq!(framer.position(), &end);
                    break;
                }
            }
            position = framer.position().clone();
        }
        prop_assert_eq!(seen, resumed);
    }

    /// Where no quote is left open and nothing follows a closing one, `csv-core` reads the same fields.
    #[test]
    fn fields_are_those_of_csv_core(file in files()) {
        let mut framer = Framer::new(csv(), Position::default());
        framer.push(&file);
        let mut ours: Vec<Option<Vec<String>>> = Vec::new();
        while let Some(chunk) = framer.next_chunk(true, ALL).expect("no problem") {
            for record in &chunk.records {
                let fields = chunk.spans_of(record).iter().map(|span| decode(csv(), chunk.bytes_of(record), *span).expect("UTF-8").into_owned());
                ours.push(record.problem.is_none().then(|| fields.collect()));
            }
        }
        let theirs = csv_core_reads(&file);
        prop_assert_eq!(ours.len() + 1, theirs.len());
        for (ours, theirs) in ours.into_iter().zip(&theirs[1..]) {
            if let Some(ours) = ours {
                prop_assert_eq!(&ours, theirs);
            }
        }
    }
}

fn csv_core_reads(mut file: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv_core::Reader::new();
    let mut rows = Vec::new();
    let (mut output, mut ends) = ([0_u8; 1024], [0_usize; 256]);
    let (mut written, mut ended) = (0, 0);
    loop {
        let (result, read, wrote, more) = reader.read_record(file, &mut output[written..], &mut ends[ended..]);
        file = &file[read..];
        written += wrote;
        ended += more;
        match result {
            csv_core::ReadRecordResult::Record => {
                let starts = std::iter::once(0).chain(ends[..ended].iter().copied());
                let fields = starts
                    .zip(&ends[..ended])
                    .map(|(start, end)| String::from_utf8_lossy(&output[start..*end]).into_owned());
                rows.push(fields.collect());
                (written, ended) = (0, 0);
            }
            csv_core::ReadRecordResult::End => return rows,
            _ => {}
        }
    }
}
