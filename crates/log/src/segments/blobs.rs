//! Bytes out of line: one file per blob, named by its digest, durable before it is named.

use crate::disk::{Disk, is_full};
use crate::error::Error;
use crate::ids::{ByteCount, Digest, to_hex};
use crate::segments::Shared;

/// The folder of blobs.
pub const DIR: &str = "blobs";

fn name(digest: &Digest) -> String {
    format!("{DIR}/{}", to_hex(&digest.0))
}

pub fn put(shared: &Shared, bytes: &[u8]) -> Result<Digest, Error> {
    if let Some(stopped) = shared.waiters.stopped() {
        return Err(stopped);
    }
    let disk = &*shared.disk;
    let digest = Digest::of(bytes);
    let name = name(&digest);
    let sync_dir = || disk.sync_dir(DIR).map_err(Error::io("sync", disk.path(DIR)));
    // The name appears after its bytes are durable; the name itself may not be durable yet.
    if disk.open(&name).is_ok() {
        return sync_dir().map(|()| digest);
    }
    // Two callers may store the same bytes at once: each has its own temporary file.
    static UNIQUE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let n = UNIQUE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let tmp = format!("{name}.{n}.tmp");
    let write = || {
        let file = disk.create(&tmp)?;
        file.write_at(0, bytes)?;
        file.sync_data()?;
        disk.rename(&tmp, &name)
    };
    write().map_err(|e| {
        let _ = disk.remove(&tmp);
        match is_full(&e) {
            true => Error::DiskFull { path: disk.path(""), needed: ByteCount(bytes.len() as u64) },
            false => Error::io("store", disk.path(&name))(e),
        }
    })?;
    sync_dir().map(|()| digest)
}

pub fn get(disk: &dyn Disk, digest: &Digest) -> Result<Vec<u8>, Error> {
    let name = name(digest);
    let path = disk.path(&name);
    let file = match disk.open(&name) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::NoBlob(*digest)),
        other => other.map_err(Error::io("open", &path))?,
    };
    let len = file.len().map_err(Error::io("read", &path))?;
    let mut bytes = vec![0; len as usize];
    let read = file.read_at(0, &mut bytes).map_err(Error::io("read", &path))?;
    bytes.truncate(read);
    if Digest::of(&bytes) != *digest {
        return Err(Error::Corrupt { path, offset: 0, why: "its bytes have another digest".into() });
    }
    Ok(bytes)
}
