//! The journal file: one incarnation's records, with the blobs they name, to be verified and replayed
//! anywhere.
//!
//! Written as a stream. Read from bytes that anybody may have made: nothing is allocated that the bytes
//! do not hold. Offsets are in `docs/journal-format.md`, "Journal file".

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::body::{Genesis, actor_id};
use crate::chain::Chain;
use crate::codec::{self, Reader, put_str, put_u32, put_u64};
use crate::error::Error;
use crate::ids::{ActorId, Digest, Head, Incarnation, Seq};
use crate::record::{Kind, records};
use crate::signed::{Refuted, SignedHead};
use crate::verify::{Report, verify_from};

/// The first bytes of a journal file.
pub const MAGIC: [u8; 8] = *b"TROUPEJL";
/// The newest version of journal files that this program knows.
pub const VERSION: u32 = 2;
/// The version of a file without a signed head, which is written as before there were any.
const UNSIGNED: u32 = 1;

const RECORDS: u8 = 1;
const BLOB: u8 = 2;
const END: u8 = 3;
const SIGNED: u8 = 4;
const MAX_CHUNK: usize = 1 << 30;

/// Whose journal a file holds, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The actor.
    pub actor: ActorId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The component of its first turn.
    pub component: Digest,
    /// Before the first record in the file: [`Chain::START`] unless older ones were removed.
    pub start: Chain,
}

impl About {
    /// Whether a journal that begins with these records may be this one: a genesis says whose it is, a later beginning does not.
    fn is_of(&self, journal: &[u8]) -> bool {
        let first = records(journal).next().and_then(Result::ok).filter(|first| first.kind == Kind::Genesis);
        first.is_none_or(|first| {
            Genesis::decode(first.body).is_ok_and(|genesis| {
                (&genesis.actor, genesis.incarnation, genesis.component)
                    == (&self.actor, self.incarnation, self.component)
            })
        })
    }
}

/// Writes a journal file.
#[derive(Debug)]
pub struct Exporter<W: Write> {
    out: W,
    hasher: blake3::Hasher,
    records: u64,
    end: Chain,
}

impl<W: Write> Exporter<W> {
    /// Begins the file.
    pub fn new(out: W, about: &About) -> io::Result<Self> {
        Self::begin(out, about, UNSIGNED)
    }

    /// Begins a file that is to have a signed head.
    pub fn to_be_signed(out: W, about: &About) -> io::Result<Self> {
        Self::begin(out, about, VERSION)
    }

    fn begin(out: W, about: &About, version: u32) -> io::Result<Self> {
        let mut header = MAGIC.to_vec();
        put_u32(&mut header, version);
        put_str(&mut header, about.actor.as_str());
        put_u32(&mut header, about.incarnation.0);
        header.extend_from_slice(&about.component.0);
        put_u64(&mut header, about.start.next.0);
        header.extend_from_slice(&about.start.head.0);
        let check = *blake3::hash(&header).as_bytes();
        header.extend_from_slice(&check);
        let mut exporter = Self { out, hasher: blake3::Hasher::new(), records: 0, end: about.start };
        exporter.write(&header)?;
        Ok(exporter)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }

    fn chunk(&mut self, kind: u8, parts: &[&[u8]]) -> io::Result<()> {
        let len: usize = parts.iter().map(|p| p.len()).sum();
        if len > MAX_CHUNK {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a part of a journal file over 1 GiB"));
        }
        self.write(&[kind])?;
        self.write(&(len as u32).to_le_bytes())?;
        parts.iter().try_for_each(|p| self.write(p))
    }

    /// Adds whole records that follow those before them.
    pub fn records(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut last = None;
        for record in records(bytes) {
            last = Some(record.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?);
            self.records += 1;
        }
        match last {
            None => Ok(()),
            Some(last) => {
                self.end = Chain { next: last.seq.next(), head: last.head() };
                self.chunk(RECORDS, &[bytes])
            }
        }
    }

    /// Adds bytes that records name by their digest.
    pub fn blob(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.chunk(BLOB, &[&Digest::of(bytes).0, bytes])
    }

    /// The tip after the records so far.
    pub fn tip(&self) -> Chain {
        self.end
    }

    /// Adds the signed head; once, behind the records.
    pub fn signed(&mut self, head: &SignedHead) -> io::Result<()> {
        self.chunk(SIGNED, &[&head.encode()])
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<W> {
        let mut footer = Vec::new();
        put_u64(&mut footer, self.records);
        put_u64(&mut footer, self.end.next.0);
        footer.extend_from_slice(&self.end.head.0);
        let check = *blake3::hash(&footer).as_bytes();
        footer.extend_from_slice(&check);
        self.chunk(END, &[&footer])?;
        let hash = *self.hasher.finalize().as_bytes();
        self.out.write_all(&hash)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// A journal file, read and found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Whose it is.
    pub about: About,
    /// The records, in order.
    pub records: Vec<u8>,
    /// The blobs by digest.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    /// The tip after the last record.
    pub end: Chain,
    /// The signed head, if it has one; its signature is good, and the records have it.
    pub signed: Option<SignedHead>,
}

/// Reads a journal file. Everything is checked: the file's hash, each blob, each link.
pub fn read(bytes: &[u8]) -> Result<Export, Error> {
    let report = verify_file(bytes)?;
    let bad = |why: String| Err(Error::format("the journal file", why));
    if let Some(problem) = report.records.problems.first() {
        return bad(problem.to_string());
    }
    if let Some(why) = report.damage {
        return bad(why.to_owned());
    }
    if let Some(why) = report.refuted {
        return bad(why.to_string());
    }
    let parts = parse(bytes).map_err(|why| Error::format("the journal file", why))?;
    Ok(Export {
        about: parts.about,
        records: parts.records,
        blobs: parts.blobs,
        end: report.records.end,
        signed: report.signed,
    })
}

/// What a journal file holds, for a caller who has looked at what [`verify_file`] says of it.
pub fn contents(bytes: &[u8]) -> Result<Export, Error> {
    let parts = parse(bytes).map_err(|why| Error::format("the journal file", why))?;
    let end = parts.end.unwrap_or(parts.about.start);
    Ok(Export { about: parts.about, records: parts.records, blobs: parts.blobs, end, signed: parts.signed })
}

/// What [`verify_file`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Whose journal it is.
    pub about: About,
    /// About its records.
    pub records: Report,
    /// What is wrong with the file outside of its records.
    pub damage: Option<&'static str>,
    /// The signed head in the file.
    pub signed: Option<SignedHead>,
    /// What the signed head says against itself or the records.
    pub refuted: Option<Refuted>,
}

impl FileReport {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.records.is_good() && self.damage.is_none() && self.refuted.is_none()
    }
}

/// Checks a journal file. An error if it is none, or so damaged that its records cannot be told from the
/// rest of it.
pub fn verify_file(bytes: &[u8]) -> Result<FileReport, Error> {
    let parts = parse(bytes).map_err(|why| Error::format("the journal file", why))?;
    let end = parts.end.filter(|_| parts.footer_good);
    // A damaged header says nothing about where the journal begins.
    let records = match parts.header_good {
        true => verify_from(&parts.records, parts.about.start, end),
        false => crate::verify::verify(&parts.records, end),
    };
    let damage = if !parts.header_good {
        Some("its header was changed")
    } else if records.is_good() && !parts.about.is_of(&parts.records) {
        Some("its header names another journal than its first record")
    } else if !parts.blobs_good {
        Some("a blob in it was changed")
    } else if !parts.footer_good {
        Some("its footer was changed")
    } else if !parts.hash_good || parts.count != records.records && records.is_good() {
        Some("it was changed outside of its records")
    } else {
        None
    };
    let refuted = parts.signed.as_ref().and_then(|signed| signed.verify(None).err());
    let refuted = refuted.or_else(|| {
        let signed = parts.signed.as_ref().filter(|_| records.is_good())?;
        if (&signed.actor, signed.incarnation) != (&parts.about.actor, parts.about.incarnation) {
            return Some(Refuted::OtherJournal);
        }
        signed.vouches(&parts.records, &records).err()
    });
    Ok(FileReport { about: parts.about, records, damage, signed: parts.signed, refuted })
}

struct Parts {
    about: About,
    records: Vec<u8>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    count: u64,
    end: Option<Chain>,
    signed: Option<SignedHead>,
    header_good: bool,
    blobs_good: bool,
    footer_good: bool,
    hash_good: bool,
}

fn parse(bytes: &[u8]) -> Result<Parts, String> {
    let mut r = Reader::new(bytes);
    let cut = |e: codec::Error| e.to_string();
    if r.array().map_err(cut)? != MAGIC {
        return Err("it does not begin like one; `troupe journal export` makes one".into());
    }
    let version = r.u32().map_err(cut)?;
    if !(UNSIGNED..=VERSION).contains(&version) {
        return Err(format!("it has format version {version}, this program knows up to {VERSION}"));
    }
    let about = about(&mut r).map_err(cut)?;
    let covered = r.at();
    let check: [u8; 32] = r.array().map_err(cut)?;
    let mut parts = Parts {
        about,
        records: Vec::new(),
        blobs: BTreeMap::new(),
        count: 0,
        end: None,
        signed: None,
        header_good: check == *blake3::hash(&bytes[..covered]).as_bytes(),
        blobs_good: true,
        footer_good: false,
        hash_good: false,
    };
    while parts.end.is_none() {
        let at = r.at();
        let kind = r.u8().map_err(cut)?;
        let chunk = r.bytes().map_err(cut)?;
        let mut c = Reader::new(chunk);
        match kind {
            RECORDS => parts.records.extend_from_slice(chunk),
            BLOB => {
                let digest = Digest(c.array().map_err(cut)?);
                parts.blobs_good &= Digest::of(c.rest()) == digest;
                parts.blobs.insert(digest, c.rest().to_vec());
            }
            SIGNED if version >= 2 && parts.signed.is_none() => {
                parts.signed = Some(SignedHead::decode(chunk).map_err(cut)?);
            }
            END => {
                parts.count = c.u64().map_err(cut)?;
                parts.end = Some(Chain { next: Seq(c.u64().map_err(cut)?), head: Head(c.array().map_err(cut)?) });
                let covered = &chunk[..c.at()];
                let check: [u8; 32] = c.array().map_err(cut)?;
                c.finish().map_err(cut)?;
                parts.footer_good = check == *blake3::hash(covered).as_bytes();
            }
            _ => return Err(format!("an unknown part at byte {at}")),
        }
    }
    let covered = r.at();
    let hash: [u8; 32] = r.array().map_err(cut)?;
    r.finish().map_err(cut)?;
    parts.hash_good = hash == *blake3::hash(&bytes[..covered]).as_bytes();
    Ok(parts)
}

fn about(r: &mut Reader<'_>) -> Result<About, codec::Error> {
    Ok(About {
        actor: actor_id(r)?,
        incarnation: Incarnation(r.u32()?),
        component: Digest(r.array()?),
        start: Chain { next: Seq(r.u64()?), head: Head(r.array()?) },
    })
}
