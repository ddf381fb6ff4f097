//! What an exported journal is evidence of: whether its chain is whole, and whether a signed head vouches for it. Needs no node.
//!
//! Takes the journal file and the journal as lines alike.

use std::collections::BTreeMap;
use std::path::Path;

use troupe_log::export::{self as files, About};
use troupe_log::signed::Refuted;
use troupe_log::verify::Report;
use troupe_log::{Digest, PublicKey, SignedHead};
use troupe_server::export;
use troupe_server::jsonl;
use troupe_server::signed::SignedText;
use troupe_server::wire::Verified;

use crate::failure::{Exit, Failure, Result};

/// The most that the file of a signed head may have.
const MAX_SIGNED: u64 = 64 << 10;

/// An exported journal, read as far as it can be.
pub struct Evidence {
    /// Whose it is.
    pub about: About,
    /// Its records.
    pub records: Vec<u8>,
    /// What they name by digest; a journal as lines has none.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    /// About its chain.
    pub report: Report,
    /// What else is wrong.
    pub damage: Option<String>,
    /// The signed head that it carries.
    pub signed: Option<SignedHead>,
}

impl Evidence {
    /// Reads either form. `name` is what errors call it.
    pub fn read(bytes: &[u8], name: &str) -> Result<Self> {
        if jsonl::is_jsonl(bytes) {
            let lines = jsonl::read(bytes).map_err(|e| not_a_journal(name, e))?;
            let jsonl::Lines { about, records, report, damage, signed } = lines;
            return Ok(Self { about, records, blobs: BTreeMap::new(), report, damage, signed });
        }
        let found = files::verify_file(bytes).map_err(|e| not_a_journal(name, e))?;
        let files::FileReport { about, records: report, damage, signed, .. } = found;
        let damage = damage.map(str::to_owned);
        let (mut records, mut blobs) = (Vec::new(), BTreeMap::new());
        if report.is_good() && damage.is_none() {
            let file = files::contents(bytes).map_err(|e| not_a_journal(name, e))?;
            (records, blobs) = (file.records, file.blobs);
        }
        Ok(Self { about, records, blobs, report, damage, signed })
    }

    /// The chain's report in words.
    pub fn told(&self) -> Verified {
        let mut told = export::told(self.about.actor.as_str(), &self.report);
        told.problems.extend(self.damage.clone());
        if told.records == 0 && told.problems.is_empty() {
            told.problems.push("it has no records".to_owned());
        }
        told.good = told.problems.is_empty();
        told
    }

    /// Checks the signed head: one that was kept apart, which `trusted` must have signed, or else its own. Where there are two the
    /// other must hold too, whoever signed it.
    pub fn vouched(&self, apart: Option<SignedHead>, trusted: Option<&PublicKey>) -> Result<Option<SignedHead>> {
        let heads = [apart, self.signed.clone()];
        for (n, head) in heads.iter().flatten().enumerate() {
            let trusted = trusted.filter(|_| n == 0);
            // Records that begin behind a checkpoint do not say whose they are.
            if (&head.actor, head.incarnation) != (&self.about.actor, self.about.incarnation) {
                return Err(refuted(Refuted::OtherJournal));
            }
            let holds = head.verify(trusted).and_then(|()| head.vouches(&self.records, &self.report));
            holds.map_err(refuted)?;
        }
        let found = heads.into_iter().flatten().next();
        if found.is_none() && trusted.is_some() {
            return Err(Failure::failed(
                "not-signed",
                "there is no signed head to check with the key",
                "name one with --signed FILE (`troupe journal sign` makes it), or export with --sign",
            ));
        }
        Ok(found)
    }
}

fn refuted(why: Refuted) -> Failure {
    let help = match &why {
        Refuted::OtherKey { .. } => "`troupe key show` shows a node's own key",
        Refuted::BadSignature { .. } | Refuted::OtherJournal | Refuted::Truncated { .. } => {
            "ask for the signed head of this journal"
        }
        Refuted::Cut { .. } | Refuted::CutLater { .. } | Refuted::Rewritten(_) => {
            "do not trust this journal; compare it with another copy of it"
        }
    };
    Failure::failed("refuted", why, help)
}

fn not_a_journal(name: &str, why: impl std::fmt::Display) -> Failure {
    let help = "`troupe journal export ACTOR` makes a journal file; an actor of that name is meant by NAMESPACE/NAME";
    Failure::failed("not-a-journal", format!("{name}: {why}"), help)
}

/// Reads the file that `troupe journal sign` wrote.
pub fn signed_head(path: &Path) -> Result<SignedHead> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| Failure::read(path, &e))?;
    file.take(MAX_SIGNED).read_to_end(&mut bytes).map_err(|e| Failure::read(path, &e))?;
    let text: std::result::Result<SignedText, _> = serde_json::from_slice(&bytes);
    let head = text.map_err(|e| e.to_string()).and_then(|text| text.read());
    head.map_err(|e| {
        Failure::failed("not-signed", format!("{}: {e}", path.display()), "`troupe journal sign ACTOR` makes one")
    })
}

/// A public key that was named.
pub fn public_key(text: &str) -> Result<PublicKey> {
    PublicKey::parse(text).ok_or_else(|| Failure {
        exit: Exit::Usage,
        ..Failure::usage(
            format!("{text:?} is no key"),
            "a key is `ed25519:` and 64 digits; `troupe key show` prints it",
        )
    })
}
