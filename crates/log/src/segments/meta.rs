//! The small file that says what a data folder is: format version, node id, epoch, segment size.
//!
//! Text, one `key = value` a line, checksum last; replaced as a whole at each opening.

use crate::disk::Disk;
use crate::error::Error;
use crate::ids::{Epoch, from_hex, to_hex};
use crate::segments::frame::Layout;

/// The file's name in the data folder.
pub const NAME: &str = "troupe.meta";
/// The newest format of a data folder that this version knows.
pub const VERSION: u32 = 1;
const TITLE: &str = "Troupe data folder";

/// What the file says.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    pub layout: Layout,
    pub epoch: Epoch,
}

impl Meta {
    fn text(&self) -> String {
        let body = format!(
            "{TITLE}\nversion = {VERSION}\nnode = {}\nsalt = {}\nsegment = {}\nepoch = {}\n",
            to_hex(&self.layout.node),
            to_hex(&self.layout.salt),
            self.layout.segment,
            self.epoch
        );
        let crc = crc32fast::hash(body.as_bytes());
        format!("{body}check = {crc:08x}\n")
    }

    fn parse(text: &str, path: &str) -> Result<Self, Error> {
        let corrupt = |why: &str| Error::Corrupt { path: path.into(), offset: 0, why: why.into() };
        let field = |key: &str| {
            let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(" = "));
            line.ok_or_else(|| corrupt(&format!("no line `{key} = ...`")))
        };
        if text.lines().next() != Some(TITLE) {
            return Err(corrupt("it does not begin like the description of a data folder"));
        }
        let version: u32 = field("version")?.parse().map_err(|_| corrupt("bad version"))?;
        if version > VERSION {
            return Err(Error::NewerVersion { what: path.into(), found: version, known: VERSION });
        }
        let meta = Meta {
            layout: Layout {
                node: from_hex(field("node")?).ok_or_else(|| corrupt("bad node id"))?,
                salt: from_hex(field("salt")?).ok_or_else(|| corrupt("bad salt"))?,
                segment: field("segment")?.parse().map_err(|_| corrupt("bad segment size"))?,
            },
            epoch: Epoch(field("epoch")?.parse().map_err(|_| corrupt("bad epoch"))?),
        };
        if meta.text() != text {
            return Err(corrupt("its checksum is wrong"));
        }
        Ok(meta)
    }

    /// Reads the file; `None` if there is none.
    pub fn read(disk: &dyn Disk) -> Result<Option<Self>, Error> {
        let path = disk.path(NAME);
        let file = match disk.open(NAME) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(Error::io("open", &path))?,
        };
        let mut bytes = vec![0; 1024];
        let read = file.read_at(0, &mut bytes).map_err(Error::io("read", &path))?;
        bytes.truncate(read);
        let text = String::from_utf8_lossy(&bytes);
        Self::parse(&text, &path).map(Some)
    }

    /// Replaces the file, durably.
    pub fn write(&self, disk: &dyn Disk) -> Result<(), Error> {
        replace(disk, "", NAME, self.text().as_bytes())
    }
}

/// Writes a whole file so that after a crash the old or the new one is there, durably the new one
/// when this returns.
pub fn replace(disk: &dyn Disk, dir: &str, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let tmp = format!("{name}.tmp");
    let path = disk.path(&tmp);
    let file = disk.create(&tmp).map_err(Error::io("create", &path))?;
    file.write_at(0, bytes).map_err(Error::io("write", &path))?;
    file.sync_data().map_err(Error::io("sync", &path))?;
    disk.rename(&tmp, name).map_err(Error::io("rename", &path))?;
    disk.sync_dir(dir).map_err(Error::io("sync the folder of", disk.path(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    fn sample() -> Meta {
        Meta { layout: Layout { node: [1; 16], salt: [2; 16], segment: 1 << 20 }, epoch: Epoch(4) }
    }

    #[test]
    fn it_reads_back_and_any_changed_byte_is_found() {
        let disk = SimDisk::new();
        assert!(Meta::read(&disk).unwrap().is_none());
        sample().write(&disk).unwrap();
        disk.crash();
        let read = Meta::read(&disk).unwrap().unwrap();
        assert_eq!((read.epoch, read.layout.node), (Epoch(4), [1; 16]));
        let text = sample().text();
        for i in 0..text.len() {
            let mut bad = text.clone().into_bytes();
            bad[i] ^= 1;
            let bad = String::from_utf8(bad).unwrap();
            assert!(Meta::parse(&bad, "p").is_err(), "byte {i}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let text = sample().text().replace("version = 1", "version = 2");
        assert!(matches!(Meta::parse(&text, "p"), Err(Error::NewerVersion { found: 2, known: 1, .. })));
    }
}
