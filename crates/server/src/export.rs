//! Journals out of a store: the file that replays anywhere, and the check of what is there.
//!
//! Works on a store alone, so that the command can do it where no node runs. The file has with it the blobs that the
//! records name, and the component if it is wanted.

use std::io::{self, Write};

use troupe_log::body::Genesis;
use troupe_log::export::{About, Exporter};
use troupe_log::verify::{self, Began, Report};
use troupe_log::{Chain, Digest, Head, JournalReader, Kind, NodeKey, Record, Seq, SignedHead, Store, WallTime, record};
use troupe_runtime::replay::blob_of;

use crate::wire::Verified;

/// Why a journal could not be read out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store's own error.
    #[error(transparent)]
    Log(#[from] troupe_log::Error),
    /// Where it should go takes no more.
    #[error("cannot write the journal file: {0}")]
    Write(#[from] io::Error),
    /// The first record does not say whose journal it is.
    #[error(
        "the journal has no first record that says whose it is; `troupe journal verify` says what is wrong with it"
    )]
    NoGenesis,
    /// A journal that is damaged is not signed.
    #[error("the journal is damaged and is not signed: {0}")]
    Damaged(String),
}

/// Who signs the head of an export, and when. The journal that is exported must be durable.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    /// The node's key.
    pub key: &'a NodeKey,
    /// Now.
    pub time: WallTime,
}

impl Signing<'_> {
    /// Signs the tip of a journal.
    pub fn head(&self, about: &About, tip: Chain) -> SignedHead {
        let seq = Seq(tip.next.0.saturating_sub(1));
        self.key.sign(about.actor.clone(), about.incarnation, seq, tip.head, self.time)
    }
}

/// Signs the newest head of a durable journal, once every record of it was checked.
pub fn sign(journal: JournalReader, tip: Chain, signing: Signing<'_>) -> Result<SignedHead, ExportError> {
    let bytes = journal.read_all()?;
    let before: usize =
        record::records(&bytes).map_while(Result::ok).take_while(|r| r.seq < tip.next).map(|r| r.bytes.len()).sum();
    let bytes = &bytes[..before];
    let first = record::records(bytes).next().and_then(Result::ok).ok_or(ExportError::NoGenesis)?;
    let report = verify::verify(bytes, Some(tip));
    if let Some(problem) = report.problems.first() {
        return Err(ExportError::Damaged(problem.to_string()));
    }
    Ok(signing.head(&about(&first)?, tip))
}

/// Writes a journal file. A blob that is not in the store is left out: the records name it all the same.
pub fn export(
    mut journal: JournalReader,
    store: &dyn Store,
    component: bool,
    signing: Option<Signing<'_>>,
    out: impl Write,
) -> Result<(), ExportError> {
    let mut exporter = None;
    let mut whose = None;
    let mut out = Some(out);
    let mut blobs: Vec<Digest> = Vec::new();
    let mut end: Option<Chain> = None;
    while let Some((_, part)) = journal.next_part()? {
        for record in record::records(part) {
            let record = match record {
                Ok(record) => record,
                // What is damaged is exported as it is, for who has to look at it, and not signed.
                Err(error) if signing.is_some() => return Err(ExportError::Damaged(error.to_string())),
                Err(_) => break,
            };
            let follows = end.is_none_or(|end| (record.seq, record.prev) == (end.next, end.head));
            if signing.is_some() && !follows {
                return Err(ExportError::Damaged(format!("record {} does not follow the one before it", record.seq)));
            }
            end = Some(Chain { next: record.seq.next(), head: record.head() });
            if let Some(out) = out.take() {
                let about = about(&record)?;
                if component {
                    blobs.push(about.component);
                }
                exporter = Some(match signing {
                    None => Exporter::new(out, &about)?,
                    Some(_) => Exporter::to_be_signed(out, &about)?,
                });
                whose = Some(about);
            }
            if let Some(digest) = blob_of(&record, component)
                && !blobs.contains(&digest)
            {
                blobs.push(digest);
            }
        }
        if let Some(exporter) = &mut exporter {
            exporter.records(part)?;
        }
    }
    let mut exporter = exporter.ok_or(ExportError::NoGenesis)?;
    for digest in blobs {
        match store.blob(&digest) {
            Ok(bytes) => exporter.blob(&bytes)?,
            Err(troupe_log::Error::NoBlob(_)) => {}
            Err(e) => return Err(e.into()),
        }
    }
    if let (Some(signing), Some(about)) = (signing, &whose) {
        let head = signing.head(about, exporter.tip());
        exporter.signed(&head)?;
    }
    exporter.finish()?;
    Ok(())
}

pub(crate) fn about(first: &Record<'_>) -> Result<About, ExportError> {
    if first.kind != Kind::Genesis {
        return Err(ExportError::NoGenesis);
    }
    let genesis = Genesis::decode(first.body).map_err(|_| ExportError::NoGenesis)?;
    Ok(About {
        actor: genesis.actor,
        incarnation: genesis.incarnation,
        component: genesis.component,
        start: Chain { next: first.seq, head: first.prev },
    })
}

/// Checks a journal against the tip that the store has of it: `next` is the number of the record after its last.
pub fn verify(actor: &str, bytes: &[u8], next: Seq, head: Head) -> Verified {
    told(actor, &verify::verify(bytes, Some(Chain { next, head })))
}

/// A report in words.
pub fn told(actor: &str, report: &Report) -> Verified {
    let began = match report.began {
        Began::Genesis => "genesis",
        Began::Checkpoint(_) => "checkpoint",
        Began::Nowhere => "nowhere",
    };
    Verified {
        actor: actor.to_owned(),
        good: report.is_good(),
        began: began.to_owned(),
        first: report.first.0,
        records: report.records,
        head: report.end.head.to_string(),
        problems: report.problems.iter().map(ToString::to_string).collect(),
    }
}
