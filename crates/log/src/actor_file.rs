//! The actor file: one actor on its way from one node to another, with its journal, the blobs that it names, and its rows.
//!
//! Made and read in memory, at most [`MOST`] bytes. Read from bytes that anybody may have made: everything is checked first, and
//! nothing is allocated that the bytes do not hold. Offsets are in `docs/journal-format.md`, "Actor file".

use std::collections::BTreeMap;

use crate::batch::Table;
use crate::body::actor_id;
use crate::chain::Chain;
use crate::codec::{self, Reader, put_bytes, put_str, put_u8, put_u16, put_u32, put_u64};
use crate::error::Error;
use crate::ids::{ActorId, Digest, Head, Incarnation, NodeId, NodeTime, Seq, WallTime};
use crate::verify::verify_from;

/// The first bytes of an actor file.
pub const MAGIC: [u8; 8] = *b"TROUPEAF";
/// The newest version of actor files that this program knows.
pub const VERSION: u32 = 1;
/// The most bytes of one (`max-actor-file`): it is held in memory on both nodes, and what it holds becomes one batch.
pub const MOST: u64 = 512 << 20;

/// The most rows of one: each takes more memory than bytes of the file.
pub const MOST_ROWS: u64 = 1 << 20;

const RECORDS: u8 = 1;
const BLOB: u8 = 2;
const END: u8 = 3;
const ROW: u8 = 4;

/// The name of one move: random, made when the actor leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MoveId(pub [u8; 16]);

impl std::fmt::Display for MoveId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::ids::to_hex(&self.0))
    }
}

/// Who moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The actor.
    pub actor: ActorId,
    /// Its life.
    pub incarnation: Incarnation,
    /// What it runs.
    pub component: Digest,
    /// Where its journal begins in the file.
    pub start: Chain,
    /// Where it ends.
    pub end: Chain,
    /// The node that it leaves.
    pub from: NodeId,
    /// The move.
    pub id: MoveId,
    /// Node time there: deadlines in rows count from it.
    pub node_time: NodeTime,
    /// When.
    pub wall: WallTime,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The table.
    pub table: Table,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Writes an actor file.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    records: u64,
    rows: u64,
}

impl Writer {
    /// Begins the file.
    pub fn new(about: &About) -> Writer {
        let mut out = MAGIC.to_vec();
        put_u32(&mut out, VERSION);
        put_str(&mut out, about.actor.as_str());
        put_u32(&mut out, about.incarnation.0);
        out.extend_from_slice(&about.component.0);
        for chain in [&about.start, &about.end] {
            put_u64(&mut out, chain.next.0);
            out.extend_from_slice(&chain.head.0);
        }
        out.extend_from_slice(&about.from.0);
        out.extend_from_slice(&about.id.0);
        put_u64(&mut out, about.node_time.0);
        put_u64(&mut out, about.wall.0);
        let check = *blake3::hash(&out).as_bytes();
        out.extend_from_slice(&check);
        Writer { out, records: 0, rows: 0 }
    }

    fn part(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), Error> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let whole = self.out.len() as u64 + len as u64 + 64;
        if whole > MOST {
            return Err(Error::TooLarge { what: "an actor file (max-actor-file)", len: whole, max: MOST });
        }
        put_u8(&mut self.out, kind);
        put_u32(&mut self.out, len as u32);
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
        Ok(())
    }

    /// Adds whole records that follow those before them.
    pub fn records(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.records += crate::record::records(bytes).count() as u64;
        self.part(RECORDS, &[bytes])
    }

    /// Adds bytes that records name by their digest, or a component.
    pub fn blob(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.part(BLOB, &[&Digest::of(bytes).0, bytes])
    }

    /// Adds a row.
    pub fn row(&mut self, row: &Row) -> Result<(), Error> {
        let mut head = Vec::with_capacity(row.key.len() + 10);
        put_u16(&mut head, row.table.0);
        put_bytes(&mut head, &row.key);
        put_u32(&mut head, row.value.len() as u32);
        self.rows += 1;
        if self.rows > MOST_ROWS {
            return Err(Error::TooLarge { what: "an actor file, in rows,", len: self.rows, max: MOST_ROWS });
        }
        self.part(ROW, &[&head, &row.value])
    }

    /// Ends the file.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        let mut end = Vec::with_capacity(16);
        put_u64(&mut end, self.records);
        put_u64(&mut end, self.rows);
        self.part(END, &[&end])?;
        let hash = *blake3::hash(&self.out).as_bytes();
        self.out.extend_from_slice(&hash);
        Ok(self.out)
    }
}

/// An actor file, read and found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorFile {
    /// Who moves.
    pub about: About,
    /// Its records, in order.
    pub records: Vec<u8>,
    /// Blobs by digest.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    /// Its rows, in order.
    pub rows: Vec<Row>,
}

/// Reads an actor file. Everything is checked: the hash of the whole, each blob, each link, and that the records end where it says.
pub fn read(bytes: &[u8]) -> Result<ActorFile, Error> {
    if bytes.len() as u64 > MOST {
        return Err(Error::TooLarge { what: "an actor file (max-actor-file)", len: bytes.len() as u64, max: MOST });
    }
    let bad = |why: String| Error::format("the actor file", why);
    let file = parse(bytes).map_err(bad)?;
    let report = verify_from(&file.records, file.about.start, Some(file.about.end));
    match report.problems.first() {
        Some(problem) => Err(bad(problem.to_string())),
        None => Ok(file),
    }
}

fn parse(bytes: &[u8]) -> Result<ActorFile, String> {
    let cut = |e: codec::Error| e.to_string();
    let mut r = Reader::new(bytes);
    if r.array().map_err(cut)? != MAGIC {
        return Err("it does not begin like one; `troupe export-actor` makes one".into());
    }
    let version = r.u32().map_err(cut)?;
    if version != VERSION {
        return Err(format!("it has format version {version}, this program knows {VERSION}"));
    }
    let damaged = || "it was changed, or its end is missing".to_owned();
    let (covered, hash) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
    if *hash != *blake3::hash(covered).as_bytes() {
        return Err(damaged());
    }
    let about = about(&mut r).map_err(cut)?;
    let header = r.at();
    if r.array().map_err(cut)? != *blake3::hash(&bytes[..header]).as_bytes() {
        return Err("its header was changed".into());
    }
    let mut file = ActorFile { about, records: Vec::new(), blobs: BTreeMap::new(), rows: Vec::new() };
    let (records, rows) = loop {
        let at = r.at();
        let kind = r.u8().map_err(cut)?;
        let part = r.bytes().map_err(cut)?;
        let mut p = Reader::new(part);
        match kind {
            RECORDS => file.records.extend_from_slice(part),
            BLOB => {
                let digest = Digest(p.array().map_err(cut)?);
                if Digest::of(p.rest()) != digest {
                    return Err(format!("the blob {digest} in it was changed"));
                }
                file.blobs.insert(digest, p.rest().to_vec());
            }
            ROW => {
                if file.rows.len() as u64 >= MOST_ROWS {
                    return Err(format!("it has more than {MOST_ROWS} rows"));
                }
                let table = Table(p.u16().map_err(cut)?);
                let (key, value) = (p.bytes().map_err(cut)?.to_vec(), p.bytes().map_err(cut)?.to_vec());
                p.finish().map_err(cut)?;
                file.rows.push(Row { table, key, value });
            }
            END => {
                let counts = (p.u64().map_err(cut)?, p.u64().map_err(cut)?);
                p.finish().map_err(cut)?;
                break counts;
            }
            _ => return Err(format!("an unknown part at byte {at}")),
        }
    };
    if r.rest().len() != 32 {
        return Err("something stands behind its end".into());
    }
    let held = crate::record::records(&file.records).take_while(Result::is_ok).count() as u64;
    if held != records || file.rows.len() as u64 != rows {
        return Err("it does not hold what its end says".into());
    }
    Ok(file)
}

fn about(r: &mut Reader<'_>) -> Result<About, codec::Error> {
    Ok(About {
        actor: actor_id(r)?,
        incarnation: Incarnation(r.u32()?),
        component: Digest(r.array()?),
        start: Chain { next: Seq(r.u64()?), head: Head(r.array()?) },
        end: Chain { next: Seq(r.u64()?), head: Head(r.array()?) },
        from: NodeId(r.array()?),
        id: MoveId(r.array()?),
        node_time: NodeTime(r.u64()?),
        wall: WallTime(r.u64()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Step;
    use crate::record::Kind;

    /// The file that the fixture of this version is.
    fn example() -> (ActorFile, Vec<u8>) {
        let mut step = Step::new(Chain::START);
        step.record(Kind::Genesis, |body| body.extend(b"who"));
        step.record(Kind::Stop, |body| body.extend(b"why"));
        let about = About {
            actor: ActorId::parse("bank/acct-1").unwrap(),
            incarnation: Incarnation(3),
            component: Digest::of(b"c"),
            start: Chain::START,
            end: step.chain(),
            from: NodeId([7; 16]),
            id: MoveId([8; 16]),
            node_time: NodeTime(9),
            wall: WallTime(10),
        };
        let rows = vec![
            Row { table: Table::ACTORS, key: b"k".to_vec(), value: b"v".to_vec() },
            Row { table: Table::INBOX, key: b"l".to_vec(), value: Vec::new() },
        ];
        let mut writer = Writer::new(&about);
        writer.records(step.bytes()).unwrap();
        writer.blob(b"blob").unwrap();
        rows.iter().for_each(|row| writer.row(row).unwrap());
        let blobs = BTreeMap::from([(Digest::of(b"blob"), b"blob".to_vec())]);
        (ActorFile { about, records: step.bytes().to_vec(), blobs, rows }, writer.finish().unwrap())
    }

    #[test]
    fn an_actor_file_reads_back_and_no_byte_of_it_can_change() {
        let (file, bytes) = example();
        assert_eq!(read(&bytes).unwrap(), file);
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(read(&other).is_err(), "byte {at}");
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(read(&longer).is_err());
    }

    #[test]
    fn the_file_of_version_1_is_read() {
        let fixture = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/v1.actor")).unwrap();
        let (file, bytes) = example();
        assert_eq!(read(&fixture).unwrap(), file);
        assert_eq!(fixture, bytes, "this version writes it as it did");
    }

    #[test]
    fn a_whole_that_lies_about_its_parts_is_refused() {
        let sealed = |mut bytes: Vec<u8>| {
            let hash = *blake3::hash(&bytes).as_bytes();
            bytes.extend_from_slice(&hash);
            read(&bytes).unwrap_err().to_string()
        };
        let (file, bytes) = example();
        let body = &bytes[..bytes.len() - 32];
        // The end says two rows and two records.
        let end = body.len() - 16;
        for (at, say) in [(end, "does not hold"), (end + 8, "does not hold"), (end - 5, "unknown part")] {
            let mut other = body.to_vec();
            other[at] = 9;
            assert!(sealed(other).contains(say));
        }
        let mut missing = Writer::new(&file.about);
        missing.row(&file.rows[0]).unwrap();
        let error = read(&missing.finish().unwrap()).unwrap_err().to_string();
        assert!(error.contains("the actor file"), "{error}");
        let mut other = file.about.clone();
        other.end.next = Seq(3);
        let mut writer = Writer::new(&other);
        writer.records(&file.records).unwrap();
        assert!(read(&writer.finish().unwrap()).is_err(), "its records end elsewhere");
    }
}
