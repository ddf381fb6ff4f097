//! Journals out of a store: the file that replays anywhere, and the check of what is there.
//!
//! Works on a store alone, so that the command can do it where no node runs. The file has with it the blobs that the
//! records name, and the component if it is wanted.

use std::io::{self, Write};

use troupe_log::body::Genesis;
use troupe_log::export::{About, Exporter};
use troupe_log::verify::{self, Began, Report};
use troupe_log::{Chain, Digest, Head, JournalReader, Kind, Record, Seq, Store, record};
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
}

/// Writes a journal file. A blob that is not in the store is left out: the records name it all the same.
pub fn export(
    mut journal: JournalReader,
    store: &dyn Store,
    component: bool,
    out: impl Write,
) -> Result<(), ExportError> {
    let mut exporter = None;
    let mut out = Some(out);
    let mut blobs: Vec<Digest> = Vec::new();
    while let Some((_, part)) = journal.next_part()? {
        for record in record::records(part).map_while(Result::ok) {
            if let Some(out) = out.take() {
                let about = about(&record)?;
                if component {
                    blobs.push(about.component);
                }
                exporter = Some(Exporter::new(out, &about)?);
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
    exporter.finish()?;
    Ok(())
}

fn about(first: &Record<'_>) -> Result<About, ExportError> {
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
