//! The entries of a directory, read as they are asked for.
//!
//! wasmtime-wasi reads a directory whole into memory; one that others fill can have any number of entries.

use std::fs::File;

use rustix::fs::{AtFlags, Dir, FileType};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

/// An open directory, and how far it was read.
pub(super) struct Listing(Dir);

impl Listing {
    /// From the first entry on.
    pub(super) fn of(directory: &File) -> Result<Listing, ErrorCode> {
        Dir::read_from(directory).map(Listing).map_err(|error| std::io::Error::from(error).into())
    }

    fn entry(&self, entry: &rustix::fs::DirEntry) -> FsResult<DirectoryEntry> {
        let mut is = entry.file_type();
        if is == FileType::Unknown {
            let about = self.0.fd().and_then(|fd| rustix::fs::statat(fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW));
            is = FileType::from_raw_mode(about.map_err(std::io::Error::from)?.st_mode);
        }
        let name = entry.file_name().to_str().map_err(|_| ErrorCode::IllegalByteSequence)?.to_owned();
        Ok(DirectoryEntry { type_: known(is), name })
    }
}

impl Iterator for Listing {
    type Item = FsResult<DirectoryEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.0.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(std::io::Error::from(error).into())),
            };
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                return Some(self.entry(&entry));
            }
        }
    }
}

fn known(is: FileType) -> DescriptorType {
    match is {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Unknown,
    }
}
