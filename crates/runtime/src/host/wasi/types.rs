//! The records, variants, enums and flags of WASI as they stand in journals, cases and fields in the order of the WIT; and
//! the two conversions from wasmtime-wasi's errors to the guest's error or a trap.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, MetadataHashValue,
    NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::bindings::io::streams;
use wasmtime_wasi::p2::{FsResult, IoError, StreamError, StreamResult};

use crate::boundary::Guest;
use crate::{recordable_enum, recordable_flags, recordable_record, recordable_variant};

recordable_record!(Datetime { seconds, nanoseconds });
recordable_variant!(streams::StreamError [true] { LastOperationFailed(error), Closed });
recordable_enum!(DescriptorType {
    Unknown,
    BlockDevice,
    CharacterDevice,
    Directory,
    Fifo,
    SymbolicLink,
    RegularFile,
    Socket,
});
recordable_flags!(DescriptorFlags {
    READ,
    WRITE,
    FILE_INTEGRITY_SYNC,
    DATA_INTEGRITY_SYNC,
    REQUESTED_WRITE_SYNC,
    MUTATE_DIRECTORY,
});
recordable_flags!(PathFlags { SYMLINK_FOLLOW });
recordable_flags!(OpenFlags { CREATE, DIRECTORY, EXCLUSIVE, TRUNCATE });
recordable_record!(DescriptorStat {
    type_,
    link_count,
    size,
    data_access_timestamp,
    data_modification_timestamp,
    status_change_timestamp,
});
recordable_variant!(NewTimestamp { NoChange, Now, Timestamp(time) });
recordable_record!(DirectoryEntry { type_, name });
recordable_enum!(ErrorCode {
    Access,
    WouldBlock,
    Already,
    BadDescriptor,
    Busy,
    Deadlock,
    Quota,
    Exist,
    FileTooLarge,
    IllegalByteSequence,
    InProgress,
    Interrupted,
    Invalid,
    Io,
    IsDirectory,
    Loop,
    TooManyLinks,
    MessageSize,
    NameTooLong,
    NoDevice,
    NoEntry,
    NoLock,
    InsufficientMemory,
    InsufficientSpace,
    NotDirectory,
    NotEmpty,
    NotRecoverable,
    Unsupported,
    NoTty,
    NoSuchDevice,
    Overflow,
    NotPermitted,
    Pipe,
    ReadOnly,
    InvalidSeek,
    TextFileBusy,
    CrossDevice,
});
recordable_enum!(Advice { Normal, Sequential, Random, WillNeed, DontNeed, NoReuse });
recordable_record!(MetadataHashValue { lower, upper });

/// A stream's error for the guest, or a trap.
pub(super) fn stream<T>(
    guest: &mut Guest,
    result: StreamResult<T>,
) -> wasmtime::Result<Result<T, streams::StreamError>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(StreamError::Closed) => Ok(Err(streams::StreamError::Closed)),
        Err(StreamError::LastOperationFailed(error)) => {
            let error: Resource<IoError> = guest.table.push(error)?;
            Ok(Err(streams::StreamError::LastOperationFailed(error)))
        }
        Err(StreamError::Trap(error)) => Err(error),
    }
}

/// A filesystem error for the guest, or a trap.
pub(super) fn fs<T>(result: FsResult<T>) -> wasmtime::Result<Result<T, ErrorCode>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

/// The answer of a stream that did not survive recovery, or of a write whose outcome a crash hid. Not `closed`: on a stream
/// that is read that would be an orderly end.
pub(super) fn broken<T>(guest: &mut Guest, why: &'static str) -> wasmtime::Result<(Result<T, streams::StreamError>,)> {
    let error = IoError::from(std::io::Error::other(why));
    Ok((stream(guest, Err(StreamError::LastOperationFailed(error)))?,))
}
