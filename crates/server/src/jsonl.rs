//! A journal as lines of JSON: a header, a line a record, an end; for programs that read no binary file.
//!
//! Each line has the record's body in hexadecimal, with the hash before and after it, so that the chain can be verified from
//! the lines alone; and the record in words, which no hash covers. Blobs and components are not in it: what replays is the
//! journal file. Fields are in docs/journal-format.md, "Journal as lines". Read from bytes that anybody may have made: nothing
//! is allocated that the bytes do not hold.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use troupe_log::body::Genesis;
use troupe_log::export::About;
use troupe_log::record::{HEADER, MAX_BODY, Record};
use troupe_log::verify::{Report, verify_from};
use troupe_log::{ActorId, Chain, Digest, Head, Incarnation, JournalReader, Kind, Seq, SignedHead, record};
use troupe_runtime::boundary::Registry;

use crate::export::{ExportError, Signing, about};
use crate::records::{Shown, Teller};
use crate::signed::SignedText;

/// The version of the lines.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    troupe_journal: u32,
    actor: String,
    incarnation: u32,
    component: String,
    /// The first record there is, and the head before it.
    first: u64,
    before: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    prev: String,
    body: String,
    #[serde(flatten)]
    shown: Shown,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    records: u64,
    next: u64,
    head: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed: Option<SignedText>,
}

/// Whether a file is one of these, by its first byte.
pub fn is_jsonl(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{')
}

fn line(out: &mut impl Write, value: &impl Serialize) -> Result<(), ExportError> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// Writes a journal as lines.
pub fn export(
    mut journal: JournalReader,
    registry: &Registry,
    signing: Option<Signing<'_>>,
    mut out: impl Write,
) -> Result<(), ExportError> {
    let mut teller = Teller::new(registry);
    let (mut whose, mut records, mut end) = (None, 0, Chain::START);
    while let Some((_, part)) = journal.next_part()? {
        for record in record::records(part) {
            let record = record.map_err(|error| ExportError::Damaged(error.to_string()))?;
            if whose.is_some() && (record.seq, record.prev) != (end.next, end.head) {
                return Err(ExportError::Damaged(format!("record {} does not follow the one before it", record.seq)));
            }
            if whose.is_none() {
                let about = about(&record)?;
                let first = First {
                    troupe_journal: VERSION,
                    actor: about.actor.to_string(),
                    incarnation: about.incarnation.0,
                    component: about.component.to_string(),
                    first: about.start.next.0,
                    before: about.start.head.to_string(),
                };
                line(&mut out, &first)?;
                whose = Some(about);
            }
            let shown = teller.tell(&record);
            line(&mut out, &Line { prev: record.prev.to_string(), body: hex::encode(record.body), shown })?;
            records += 1;
            end = Chain { next: record.seq.next(), head: record.head() };
        }
    }
    let about = whose.ok_or(ExportError::NoGenesis)?;
    let signed = signing.map(|signing| signing.head(&about, end).into());
    line(&mut out, &Last { records, next: end.next.0, head: end.head.to_string(), signed })?;
    Ok(out.flush()?)
}

/// A journal of lines, read.
#[derive(Debug)]
pub struct Lines {
    /// Whose it is, and where it begins.
    pub about: About,
    /// The records, made again from their bodies.
    pub records: Vec<u8>,
    /// About them.
    pub report: Report,
    /// What is wrong with the lines apart from the records.
    pub damage: Option<String>,
    /// The signed head at its end, not checked.
    pub signed: Option<SignedHead>,
}

/// Reads and checks. An error says which line is none.
pub fn read(bytes: &[u8]) -> Result<Lines, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("it is not UTF-8: {e}"))?;
    let mut lines = text.lines().enumerate();
    let (_, first) = lines.next().ok_or("it is empty")?;
    let about = header(first).map_err(|e| format!("line 1: {e}"))?;
    let (mut records, mut damage, mut last) = (Vec::new(), None, None);
    for (n, text) in lines {
        let bad = |e: String| format!("line {}: {e}", n + 1);
        if last.is_some() {
            return Err(bad("it follows the end".to_owned()));
        }
        let line: Line = match serde_json::from_str(text) {
            Ok(line) => line,
            Err(e) => {
                last = Some(serde_json::from_str::<Last>(text).map_err(|_| bad(e.to_string()))?);
                continue;
            }
        };
        let at = records.len();
        put(&mut records, &line).map_err(bad)?;
        let made = Record::read(&records[at..]).map_err(|e| bad(e.to_string()))?;
        if made.head().to_string() != line.shown.head {
            damage.get_or_insert(format!("line {}: the hash in it is not that of its record", n + 1));
        }
    }
    let last = last.ok_or("its end is missing: it was cut")?;
    let end = Chain { next: Seq(last.next), head: head(&last.head)? };
    let report = verify_from(&records, about.start, Some(end));
    if report.is_good() {
        let genesis = record::records(&records).next().and_then(Result::ok).filter(|r| r.kind == Kind::Genesis);
        let says = genesis.and_then(|r| Genesis::decode(r.body).ok());
        if says.is_some_and(|g| {
            (&g.actor, g.incarnation, g.component) != (&about.actor, about.incarnation, about.component)
        }) {
            damage.get_or_insert("line 1: it is not of the actor of the first record".to_owned());
        }
        if last.records != report.records {
            damage.get_or_insert("its last line counts other records".to_owned());
        }
    }
    let signed = last.signed.map(|signed| signed.read()).transpose()?;
    Ok(Lines { about, records, report, damage, signed })
}

/// The first record whose line reads otherwise than this program tells it: by a change of the words, or by another version.
pub fn told_otherwise(bytes: &[u8], registry: &Registry) -> Option<Seq> {
    let mut teller = Teller::new(registry);
    let lines = bytes.split(|byte| *byte == b'\n').skip(1);
    let mut record = Vec::new();
    for line in lines.map_while(|line| serde_json::from_slice::<Line>(line).ok()) {
        record.clear();
        put(&mut record, &line).ok()?;
        if teller.tell(&Record::read(&record).ok()?) != line.shown {
            return Some(Seq(line.shown.seq));
        }
    }
    None
}

fn header(text: &str) -> Result<About, String> {
    let first: First = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if first.troupe_journal != VERSION {
        return Err(format!("it has format version {}, this program knows {VERSION}", first.troupe_journal));
    }
    Ok(About {
        actor: ActorId::reserved(&first.actor).map_err(|e| e.to_string())?,
        incarnation: Incarnation(first.incarnation),
        component: first.component.parse::<Digest>().map_err(|e| e.to_string())?,
        start: Chain { next: Seq(first.first), head: head(&first.before)? },
    })
}

fn head(text: &str) -> Result<Head, String> {
    let mut head = Head::ZERO;
    hex::decode_to_slice(text, &mut head.0).map_err(|e| format!("{text:?} is no head: {e}"))?;
    Ok(head)
}

/// The record's own bytes.
fn put(out: &mut Vec<u8>, line: &Line) -> Result<(), String> {
    let kind = kind(&line.shown.kind).ok_or_else(|| format!("{:?} is no kind of record", line.shown.kind))?;
    let len = line.body.len() / 2;
    if len > MAX_BODY {
        return Err("a record over 1 GiB".to_owned());
    }
    let at = out.len();
    out.extend_from_slice(&head(&line.prev)?.0);
    out.extend_from_slice(&line.shown.seq.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.resize(at + HEADER + len, 0);
    hex::decode_to_slice(&line.body, &mut out[at + HEADER..]).map_err(|e| format!("its body: {e}"))
}

fn kind(name: &str) -> Option<u8> {
    if let Some(number) = name.strip_prefix("kind-") {
        return number.parse().ok();
    }
    Kind::ALL.iter().find(|kind| kind.name() == name).map(|kind| *kind as u8)
}
