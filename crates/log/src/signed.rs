//! Signed heads: a node's word that a journal had this head behind this record.
//!
//! Because each record holds the hash of the one before it, one signed head vouches for every record up to its own: a journal
//! that has the head at that record was neither rewritten nor cut before it. What comes behind it is not vouched for.
//! Offsets are in `docs/journal-format.md`, "Signed head". A head is signed only once it is durable; that is the caller's part.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::body::{Genesis, actor_id};
use crate::codec::{self, Reader, put_str, put_u32, put_u64};
use crate::ids::{ActorId, Head, Incarnation, Seq, WallTime, from_hex, to_hex};
use crate::record::{Kind, records};
use crate::verify::{Began, Report};

/// The first bytes of what is signed, so that a signature made for something else is never one of a head.
pub const DOMAIN: &[u8; 22] = b"troupe signed head v1\0";

/// An ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Reads `ed25519:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text.strip_prefix("ed25519:")?).map(Self)
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ed25519:{}", to_hex(&self.0))
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// What a node signs with. Never shown.
pub struct NodeKey(SigningKey);

impl NodeKey {
    /// From 32 secret bytes.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// What its signatures are checked with.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a head, which must be durable.
    pub fn sign(&self, actor: ActorId, incarnation: Incarnation, seq: Seq, head: Head, time: WallTime) -> SignedHead {
        let mut signed = SignedHead { actor, incarnation, seq, head, time, key: self.public(), signature: [0; 64] };
        signed.signature = self.0.sign(&signed.message()).to_bytes();
        signed
    }
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKey(..)")
    }
}

/// A signed head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// Whose journal.
    pub actor: ActorId,
    /// Which life.
    pub incarnation: Incarnation,
    /// The record behind which the journal had the head.
    pub seq: Seq,
    /// The head.
    pub head: Head,
    /// When it was signed, by the signer's clock.
    pub time: WallTime,
    /// Who signed.
    pub key: PublicKey,
    /// The signature over all of the above.
    pub signature: [u8; 64],
}

/// What a signed head says against a journal, or against itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refuted {
    /// The signature is not that key's over these words.
    #[error("the signature of the head of record {seq} is not by {key}: the signed head was changed, or made up")]
    BadSignature {
        /// The record it names.
        seq: Seq,
        /// The key it names.
        key: PublicKey,
    },
    /// Another key than the one that is trusted.
    #[error("the head is signed by {found}, not by {expected}")]
    OtherKey {
        /// Whose signature was asked for.
        expected: PublicKey,
        /// Whose it is.
        found: PublicKey,
    },
    /// Of another actor, or of another life of it.
    #[error("the signed head is of another journal than this")]
    OtherJournal,
    /// The journal ends before the record.
    #[error("record {signed} was signed, and the journal ends with record {last}: it was cut")]
    Cut {
        /// The signed record.
        signed: Seq,
        /// The last there is.
        last: Seq,
    },
    /// The journal has another head there.
    #[error("behind record {0} the journal has another head than the signed one: it was rewritten")]
    Rewritten(Seq),
    /// What says that the journal may begin where it does was written behind the signed record.
    #[error(
        "record {signed} was signed, and record {says} behind it says that the journal begins at record {first}: nobody vouches for that"
    )]
    CutLater {
        /// The signed record.
        signed: Seq,
        /// The record that says where it begins.
        says: Seq,
        /// Where it begins.
        first: Seq,
    },
    /// The record is older than what is kept of the journal.
    #[error("record {signed} was signed, and the journal is kept only from record {first} on: nothing can be said")]
    Truncated {
        /// The signed record.
        signed: Seq,
        /// The first that is kept.
        first: Seq,
    },
}

impl SignedHead {
    /// The bytes that are signed.
    pub fn message(&self) -> Vec<u8> {
        let mut out = DOMAIN.to_vec();
        put_str(&mut out, self.actor.as_str());
        put_u32(&mut out, self.incarnation.0);
        put_u64(&mut out, self.seq.0);
        out.extend_from_slice(&self.head.0);
        put_u64(&mut out, self.time.0);
        out.extend_from_slice(&self.key.0);
        out
    }

    /// As a part of a journal file: what is signed, without its first words, and the signature.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.message().split_off(DOMAIN.len());
        out.extend_from_slice(&self.signature);
        out
    }

    /// Reads it. The signature is not checked.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, codec::Error> {
        let mut r = Reader::new(bytes);
        let signed = Self {
            actor: actor_id(&mut r)?,
            incarnation: Incarnation(r.u32()?),
            seq: Seq(r.u64()?),
            head: Head(r.array()?),
            time: WallTime(r.u64()?),
            key: PublicKey(r.array()?),
            signature: r.array()?,
        };
        r.finish()?;
        Ok(signed)
    }

    /// Whether the signature is that of its key, and the key the one that is trusted, if one is named.
    pub fn verify(&self, trusted: Option<&PublicKey>) -> Result<(), Refuted> {
        let bad = Refuted::BadSignature { seq: self.seq, key: self.key };
        let key = VerifyingKey::from_bytes(&self.key.0).map_err(|_| bad)?;
        key.verify_strict(&self.message(), &Signature::from_bytes(&self.signature)).map_err(|_| bad)?;
        match trusted {
            Some(expected) if *expected != self.key => Err(Refuted::OtherKey { expected: *expected, found: self.key }),
            _ => Ok(()),
        }
    }

    /// Whether a journal, of which `report` found that it is good, has this head.
    pub fn vouches(&self, bytes: &[u8], report: &Report) -> Result<(), Refuted> {
        if let Some(Ok(first)) = records(bytes).next()
            && first.kind == Kind::Genesis
            && !Genesis::decode(first.body).is_ok_and(|g| g.actor == self.actor && g.incarnation == self.incarnation)
        {
            return Err(Refuted::OtherJournal);
        }
        if let Began::Checkpoint(says) = report.began
            && says > self.seq
        {
            return Err(Refuted::CutLater { signed: self.seq, says, first: report.first });
        }
        if self.seq < report.first {
            return Err(Refuted::Truncated { signed: self.seq, first: report.first });
        }
        if self.seq >= report.end.next {
            let last = Seq(report.end.next.0.saturating_sub(1));
            return Err(Refuted::Cut { signed: self.seq, last });
        }
        let there = records(bytes).map_while(Result::ok).find(|record| record.seq == self.seq);
        match there.is_some_and(|record| record.head() == self.head) {
            true => Ok(()),
            false => Err(Refuted::Rewritten(self.seq)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Checkpoint;
    use crate::chain::{Chain, Step};
    use crate::export::{About, Exporter, verify_file};
    use crate::ids::Digest;
    use crate::verify::verify;

    fn journal(actor: &str, texts: &[&str]) -> (Vec<u8>, Chain) {
        let mut step = Step::new(Chain::START);
        let genesis = Genesis {
            actor: ActorId::parse(actor).unwrap(),
            incarnation: Incarnation(0),
            component: Digest([1; 32]),
            component_name: String::new(),
            engine: String::new(),
            config: Vec::new(),
            initial: Vec::new(),
            previous: None,
            wall: WallTime(1),
        };
        step.record(Kind::Genesis, |out| genesis.encode(out));
        for text in texts {
            step.record(Kind::Call, |out| out.extend(text.as_bytes()));
        }
        (step.bytes().to_vec(), step.chain())
    }

    fn signed(actor: &str, end: Chain) -> SignedHead {
        let actor = ActorId::parse(actor).unwrap();
        NodeKey::from_secret(&[7; 32]).sign(actor, Incarnation(0), Seq(end.next.0 - 1), end.head, WallTime(5))
    }

    #[test]
    fn a_signed_head_shows_what_was_rewritten_and_what_was_cut() {
        let (bytes, end) = journal("a", &["one", "two"]);
        let head = signed("a", end);
        assert_eq!(head.verify(Some(&NodeKey::from_secret(&[7; 32]).public())), Ok(()));
        let vouches = |bytes: &[u8]| head.vouches(bytes, &verify(bytes, None));
        assert_eq!(vouches(&bytes), Ok(()));
        assert_eq!(vouches(&journal("a", &["one", "two", "three"]).0), Ok(()), "what follows is not vouched for");
        // Whole and well linked, and yet another journal: only the signature shows it.
        let rewritten = journal("a", &["one", "2", "three"]).0;
        assert!(verify(&rewritten, None).is_good());
        assert_eq!(vouches(&rewritten), Err(Refuted::Rewritten(Seq(2))));
        let cut = journal("a", &["one"]).0;
        assert!(verify(&cut, None).is_good());
        assert_eq!(vouches(&cut), Err(Refuted::Cut { signed: Seq(2), last: Seq(1) }));
        assert_eq!(vouches(&journal("b", &["one", "two"]).0), Err(Refuted::OtherJournal));
        // The front is cut, and a record that anybody can make, behind the signed one, says that it may.
        let kept = records(&bytes).map(Result::unwrap).nth(1).unwrap();
        let checkpoint = Checkpoint { first_kept: kept.seq, head_before: kept.prev, base: Seq(1) };
        let mut step = Step::new(end);
        step.record(Kind::Checkpoint, |out| checkpoint.encode(out));
        let front = [
            &bytes[bytes.len() - kept.bytes.len() - records(&bytes).last().unwrap().unwrap().bytes.len()..],
            step.bytes(),
        ]
        .concat();
        let report = verify(&front, None);
        assert!(report.is_good() && report.began == Began::Checkpoint(Seq(3)), "{report:?}");
        assert_eq!(
            head.vouches(&front, &report),
            Err(Refuted::CutLater { signed: Seq(2), says: Seq(3), first: Seq(1) })
        );
        assert_eq!(vouches(b""), Err(Refuted::Cut { signed: Seq(2), last: Seq(0) }));
    }

    /// A header is not linked, and its check can be made by anybody.
    #[test]
    fn a_file_whose_header_names_another_journal_is_not_good() {
        let (bytes, end) = journal("a", &["one"]);
        let file = |actor: &str, component: u8| {
            let actor = ActorId::parse(actor).unwrap();
            let about =
                About { actor, incarnation: Incarnation(0), component: Digest([component; 32]), start: Chain::START };
            let mut exporter = Exporter::to_be_signed(Vec::new(), &about).unwrap();
            exporter.records(&bytes).unwrap();
            exporter.signed(&signed("a", end)).unwrap();
            verify_file(&exporter.finish().unwrap()).unwrap()
        };
        assert!(file("a", 1).is_good());
        let forged = file("b", 1);
        assert!(forged.damage.is_some() && forged.refuted == Some(Refuted::OtherJournal));
        assert!(file("a", 2).damage.is_some());
    }

    #[test]
    fn any_changed_byte_of_a_signed_head_is_found() {
        let (_, end) = journal("a", &["one"]);
        let head = signed("a", end);
        let good = head.encode();
        assert_eq!(SignedHead::decode(&good).unwrap(), head);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            if let Ok(changed) = SignedHead::decode(&bad) {
                assert!(changed.verify(None).is_err(), "byte {at}");
            }
            assert!(SignedHead::decode(&good[..at]).is_err());
        }
        let other = NodeKey::from_secret(&[8; 32]).public();
        assert_eq!(head.verify(Some(&other)), Err(Refuted::OtherKey { expected: other, found: head.key }));
    }

    /// The bytes of the format's page.
    #[test]
    fn the_bytes_that_are_signed_stay() {
        let head = signed("a", Chain { next: Seq(3), head: Head([9; 32]) });
        let mut expected = b"troupe signed head v1\0\x09\0\0\0default/a\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec();
        expected.extend([9; 32]);
        expected.extend(b"\x05\0\0\0\0\0\0\0");
        expected.extend(head.key.0);
        assert_eq!(head.message(), expected);
        assert_eq!(head.key.to_string(), "ed25519:ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c");
        assert_eq!(PublicKey::parse(&head.key.to_string()), Some(head.key));
        for bad in ["", "ed25519:", "ed25519:00", &head.key.to_string().to_uppercase()] {
            assert_eq!(PublicKey::parse(bad), None);
        }
    }
}
