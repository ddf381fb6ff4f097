//! Signed heads as JSON, and the node's key in its data folder.
//!
//! The key file `node.key` is made when something is first signed: 64 hexadecimal digits and a line break, readable by its owner
//! only. It is not part of the log: a copy of the data folder without it can be run, and signs as another.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use troupe_log::{ActorId, Head, Incarnation, NodeKey, PublicKey, Seq, SignedHead, WallTime};
use troupe_runtime::env::Entropy;

/// The name of the key's file in the data folder.
pub const FILE: &str = "node.key";
/// A key file has so many bytes and no more.
const SIZE: u64 = 65;
/// The version of the JSON.
const VERSION: u32 = 1;

/// A signed head as it stands in a file or in an answer; docs/journal-format.md, "Signed head", has its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedText {
    /// 1.
    pub troupe_signed_head: u32,
    /// Whose journal.
    pub actor: String,
    /// Which life.
    pub incarnation: u32,
    /// The record behind which the journal has the head.
    pub seq: u64,
    /// The head, in hexadecimal.
    pub head: String,
    /// Microseconds since 1970, by the signer's clock.
    pub time: u64,
    /// `ed25519:` and the key in hexadecimal.
    pub key: String,
    /// In hexadecimal.
    pub signature: String,
}

impl From<SignedHead> for SignedText {
    fn from(signed: SignedHead) -> Self {
        Self {
            troupe_signed_head: VERSION,
            actor: signed.actor.to_string(),
            incarnation: signed.incarnation.0,
            seq: signed.seq.0,
            head: signed.head.to_string(),
            time: signed.time.0,
            key: signed.key.to_string(),
            signature: hex::encode(signed.signature),
        }
    }
}

impl SignedText {
    /// The signed head; its signature is not checked.
    pub fn read(&self) -> Result<SignedHead, String> {
        if self.troupe_signed_head != VERSION {
            return Err(format!("a signed head of version {}, this program knows {VERSION}", self.troupe_signed_head));
        }
        let (mut head, mut signature) = (Head::ZERO, [0; 64]);
        let hexadecimal = |text: &str, out: &mut [u8]| {
            hex::decode_to_slice(text, out).map_err(|e| format!("a signed head with {text:?}: {e}"))
        };
        hexadecimal(&self.head, &mut head.0)?;
        hexadecimal(&self.signature, &mut signature)?;
        Ok(SignedHead {
            actor: ActorId::reserved(&self.actor).map_err(|e| e.to_string())?,
            incarnation: Incarnation(self.incarnation),
            seq: Seq(self.seq),
            head,
            time: WallTime(self.time),
            key: PublicKey::parse(&self.key).ok_or_else(|| format!("{:?} is no key", self.key))?,
            signature,
        })
    }
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read, or made.
    #[error("the key file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read it, so anybody may sign.
    #[error("others than its owner may read or change the key file {}; `chmod 600` it, and ask who had it", .0.display())]
    Open(PathBuf),
    /// The file holds something else.
    #[error("{} holds no key: 64 hexadecimal digits and a line break", .0.display())]
    NoKey(PathBuf),
}

/// The key of a data folder; made if there is none.
pub fn key(data: &Path, entropy: &dyn Entropy) -> Result<NodeKey, KeyError> {
    let path = data.join(FILE);
    if let Some(key) = existing(&path)? {
        return Ok(key);
    }
    let failed = |source| KeyError::Io { path: path.clone(), source };
    let mut secret = [0; 32];
    entropy.fill(&mut secret);
    let mut suffix = [0; 8];
    entropy.fill(&mut suffix);
    // Whole or not there; of two that make it at once one is kept.
    let temporary = data.join(format!("{FILE}.{}.tmp", hex::encode(suffix)));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).and_then(|mut file| {
        file.write_all(format!("{}\n", hex::encode(secret)).as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&temporary, &path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => fs::File::open(data)?.sync_all(),
        }
    });
    let removed = fs::remove_file(&temporary);
    made.and(removed).map_err(failed)?;
    existing(&path)?.ok_or_else(|| failed(io::Error::from(io::ErrorKind::NotFound)))
}

/// Removes what a crash has left while a key was made. Only who holds the folder's lock may.
pub(crate) fn clear(data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name();
        let left = name.to_str().and_then(|name| name.strip_prefix(FILE)?.strip_prefix('.')?.strip_suffix(".tmp"));
        if left.is_some_and(|middle| middle.len() == 16 && middle.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn existing(path: &Path) -> Result<Option<NodeKey>, KeyError> {
    let failed = |source| KeyError::Io { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(KeyError::Open(path.to_owned()));
    }
    let mut text = Vec::new();
    file.take(SIZE + 1).read_to_end(&mut text).map_err(failed)?;
    let mut secret = [0; 32];
    match text.strip_suffix(b"\n").map(|digits| hex::decode_to_slice(digits, &mut secret)) {
        Some(Ok(())) => Ok(Some(NodeKey::from_secret(&secret))),
        _ => Err(KeyError::NoKey(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use troupe_runtime::env::SystemEntropy;

    #[test]
    fn the_key_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let made = key(dir.path(), &SystemEntropy).unwrap().public();
        assert_eq!(key(dir.path(), &SystemEntropy).unwrap().public(), made);
        let path = dir.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&path).unwrap().len(), SIZE);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(key(dir.path(), &SystemEntropy), Err(KeyError::Open(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in [&b""[..], &[b'0'; 64], &[b'0'; 66], &[b'x'; 65], &[b'\n'; 1 << 20]] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(key(dir.path(), &SystemEntropy), Err(KeyError::NoKey(_))));
        }
    }

    #[test]
    fn what_a_crash_left_of_a_key_in_the_making_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        key(dir.path(), &SystemEntropy).unwrap();
        for name in ["node.key.0123456789abcdef.tmp", "node.key.mine.tmp", "other.0123456789abcdef.tmp"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        clear(dir.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["node.key", "node.key.mine.tmp", "other.0123456789abcdef.tmp"]);
    }

    #[test]
    fn a_signed_head_is_the_same_as_json() {
        let key = NodeKey::from_secret(&[1; 32]);
        let actor = ActorId::parse("a").unwrap();
        let signed = key.sign(actor, Incarnation(2), Seq(3), Head([4; 32]), WallTime(5));
        let text = SignedText::from(signed.clone());
        assert_eq!(text.read().unwrap(), signed);
        let json = serde_json::to_string(&text).unwrap();
        assert_eq!(serde_json::from_str::<SignedText>(&json).unwrap(), text);
        for change in [
            |t: &mut SignedText| t.troupe_signed_head = 2,
            |t: &mut SignedText| t.actor.clear(),
            |t: &mut SignedText| t.head.push('0'),
            |t: &mut SignedText| t.key = "x".to_owned(),
            |t: &mut SignedText| t.signature.clear(),
        ] {
            let mut bad = text.clone();
            change(&mut bad);
            assert!(bad.read().is_err(), "{bad:?}");
        }
    }
}
