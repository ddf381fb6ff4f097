//! What a granted directory may take in all.
//!
//! Owns the measure. An actor's own growth is counted up and never down, so that most writes look at nothing; where the count
//! would pass the quota, everything below the directory is measured, and that decides. Others who write there are seen then.
//! A measure looks at no more than what the quota has room for.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::HostDescriptor;
use wasmtime_wasi::p2::{IoError, StreamError};

use crate::boundary::Guest;

/// What each file, directory and link takes besides its bytes.
pub(super) const ENTRY: u64 = 512;

/// Whether what lies below this descriptor's granted directory may grow by so many bytes; if so, they are counted.
pub(super) async fn grows(guest: &mut Guest, descriptor: u32, by: u64) -> bool {
    match super::wasi(guest).files.preopen_of(descriptor) {
        Some(preopen) => grows_in(guest, preopen, by).await,
        None => true,
    }
}

/// The same for a file that gets bytes up to this end.
pub(super) async fn grows_to(guest: &mut Guest, descriptor: u32, end: u64) -> bool {
    if !super::wasi(guest).files.has_quota(descriptor) {
        return true;
    }
    let file = Resource::<Descriptor>::new_borrow(descriptor);
    // What has no size says so itself when it is written to.
    let Ok(stat) = guest.filesystem().stat(file).await else { return true };
    grows(guest, descriptor, end.saturating_sub(stat.size)).await
}

/// The same for a stream that writes to a file; an error for the guest if it may not.
pub(super) async fn takes(guest: &mut Guest, stream: u32, bytes: u64) -> Result<(), StreamError> {
    let Some(preopen) = super::wasi(guest).files.preopen_of_writer(stream) else { return Ok(()) };
    match grows_in(guest, preopen, bytes).await {
        true => Ok(()),
        false => {
            let full = std::io::Error::from_raw_os_error(rustix::io::Errno::DQUOT.raw_os_error());
            Err(StreamError::LastOperationFailed(IoError::from(full)))
        }
    }
}

/// Whether an error of a stream is that of a full quota.
pub(super) fn is_full(error: &IoError) -> bool {
    let raw = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    raw == Some(rustix::io::Errno::DQUOT.raw_os_error())
}

async fn grows_in(guest: &mut Guest, preopen: usize, by: u64) -> bool {
    let files = &mut super::wasi(guest).files;
    let Some((quota, used, host)) = files.quota(preopen) else { return true };
    let fits = |used: u64| used.checked_add(by).filter(|sum| *sum <= quota);
    if let Some(sum) = used.and_then(fits) {
        files.count(preopen, sum);
        return true;
    }
    let host = host.to_owned();
    let measured = tokio::task::spawn_blocking(move || measure(&host, quota)).await.unwrap_or(u64::MAX);
    let sum = fits(measured);
    super::wasi(guest).files.count(preopen, sum.unwrap_or(measured));
    sum.is_some()
}

/// What everything below a directory takes, or more than `most`. A file of several names counts once; what cannot be read
/// counts as more than anything, but for what somebody removes meanwhile.
fn measure(folder: &Path, most: u64) -> u64 {
    let (mut sum, mut seen, mut folders) = (0u64, HashSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound && sum > 0 => continue,
            Err(_) => return u64::MAX,
        };
        for entry in entries {
            let (entry, about) = match entry.and_then(|entry| entry.metadata().map(|about| (entry, about))) {
                Ok(found) => found,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(_) => return u64::MAX,
            };
            sum = sum.saturating_add(ENTRY);
            if about.is_dir() {
                folders.push(entry.path());
            } else if about.nlink() == 1 || seen.insert((about.dev(), about.ino())) {
                sum = sum.saturating_add(about.len());
            }
            if sum > most {
                return sum;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_below_counts_once_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        std::fs::write(at("sub/a"), [0; 1000]).unwrap();
        std::fs::hard_link(at("sub/a"), at("b")).unwrap();
        std::os::unix::fs::symlink("/", at("out")).unwrap();
        assert_eq!(measure(folder.path(), u64::MAX), 4 * ENTRY + 1000 + 1);
        assert!(measure(folder.path(), ENTRY) <= 3 * ENTRY + 1001, "it looks no further than it must");
        assert_eq!(measure(&at("not there"), 0), u64::MAX);
    }
}
