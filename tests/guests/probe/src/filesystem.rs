//! wasi:filesystem, under the first preopened folder. The argument is a path, or a path and more, parted by `|`.

use crate::Probe;
use crate::cli::said;
use crate::wasi::filesystem::preopens;
use crate::wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use crate::wasi::io::streams::StreamError;

pub const PROBES: &[Probe] = &[
    ("preopens#get-directories", |_| {
        preopens::get_directories().into_iter().map(|(_, path)| path).collect::<Vec<_>>().join("\n")
    }),
    ("types#descriptor.write", |argument| {
        let (path, text) = halves(argument);
        within(|root| {
            let file = create(root, path)?;
            let written = file.write(text.as_bytes(), 0)?;
            file.sync_data()?;
            Ok(written.to_string())
        })
    }),
    ("types#descriptor.read", |path| {
        within(|root| {
            let file = open(root, path, OpenFlags::empty(), DescriptorFlags::READ)?;
            let mut bytes = Vec::new();
            loop {
                let (more, ended) = file.read(65_536, bytes.len() as u64)?;
                bytes.extend(&more);
                if ended || more.is_empty() {
                    break;
                }
            }
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        })
    }),
    ("types#descriptor.write-via-stream", |argument| {
        let (path, text) = halves(argument);
        within(|root| Ok(said(create(root, path)?.write_via_stream(0)?.blocking_write_and_flush(text.as_bytes()))))
    }),
    ("types#descriptor.append-via-stream", |argument| {
        let (path, text) = halves(argument);
        within(|root| {
            let file = open(root, path, OpenFlags::CREATE, DescriptorFlags::WRITE)?;
            Ok(said(file.append_via_stream()?.blocking_write_and_flush(text.as_bytes())))
        })
    }),
    ("types#descriptor.read-via-stream", |path| {
        within(|root| {
            let file = open(root, path, OpenFlags::empty(), DescriptorFlags::READ)?;
            let bytes = file.read_via_stream(0)?.blocking_read(65_536);
            Ok(said(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())))
        })
    }),
    ("types#descriptor.set-size", |argument| {
        let (path, size) = halves(argument);
        within(|root| {
            open(root, path, OpenFlags::empty(), DescriptorFlags::WRITE)?.set_size(crate::number(size, 0))?;
            done()
        })
    }),
    ("types#descriptor.stat-at", |path| {
        within(|root| {
            let stat = root.stat_at(PathFlags::empty(), path)?;
            Ok(format!("{:?} {}", stat.type_, stat.size))
        })
    }),
    ("types#descriptor.metadata-hash-at", |path| {
        within(|root| {
            let hash = root.metadata_hash_at(PathFlags::empty(), path)?;
            Ok(format!("{:x}{:016x}", hash.upper, hash.lower))
        })
    }),
    ("types#descriptor.rename-at", |argument| {
        let (from, to) = halves(argument);
        within(|root| root.rename_at(from, root, to).and_then(|()| done()))
    }),
    ("types#descriptor.link-at", |argument| {
        let (from, to) = halves(argument);
        within(|root| root.link_at(PathFlags::empty(), from, root, to).and_then(|()| done()))
    }),
    ("types#descriptor.symlink-at", |argument| {
        let (from, to) = halves(argument);
        within(|root| root.symlink_at(from, to).and_then(|()| done()))
    }),
    ("types#descriptor.readlink-at", |path| within(|root| root.readlink_at(path))),
    ("types#descriptor.unlink-file-at", |path| within(|root| root.unlink_file_at(path).and_then(|()| done()))),
    ("types#descriptor.create-directory-at", |path| {
        within(|root| root.create_directory_at(path).and_then(|()| done()))
    }),
    ("types#descriptor.remove-directory-at", |path| {
        within(|root| root.remove_directory_at(path).and_then(|()| done()))
    }),
    // Sorted: the interface promises no order.
    ("types#descriptor.read-directory", |path| {
        within(|root| {
            let folder;
            let folder = if path.is_empty() {
                root
            } else {
                folder = open(root, path, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
                &folder
            };
            let entries = folder.read_directory()?;
            let mut names = Vec::new();
            while let Some(entry) = entries.read_directory_entry()? {
                names.push(entry.name);
            }
            names.sort();
            Ok(names.join("\n"))
        })
    }),
    // Byte by byte through one stream in and another out, with the folder's descriptor gone by then.
    ("streams#output-stream.in-pieces", |argument| {
        let (path, text) = halves(argument);
        within(|root| {
            let out = create(root, path)?.write_via_stream(0)?;
            for byte in text.as_bytes() {
                if let Err(error) = out.blocking_write_and_flush(&[*byte]) {
                    return Ok(said(Err::<(), _>(error)));
                }
            }
            let file = open(root, path, OpenFlags::empty(), DescriptorFlags::READ)?;
            let stream = file.read_via_stream(0)?;
            drop(file);
            let mut read = Vec::new();
            loop {
                match stream.blocking_read(1) {
                    Ok(byte) => read.extend(byte),
                    Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&read).into_owned()),
                    Err(error) => return Ok(said(Err::<(), _>(error))),
                }
            }
        })
    }),
    // All but the first byte of one file into another, two bytes at a time.
    ("streams#output-stream.blocking-splice", |argument| {
        let (from, to) = halves(argument);
        within(|root| {
            let source = open(root, from, OpenFlags::empty(), DescriptorFlags::READ)?.read_via_stream(0)?;
            let out = create(root, to)?.write_via_stream(0)?;
            if let Err(error) = source.blocking_skip(1) {
                return Ok(said(Err::<(), _>(error)));
            }
            let mut moved = 0;
            loop {
                match out.blocking_splice(&source, 2) {
                    Ok(bytes) => moved += bytes,
                    Err(StreamError::Closed) => return Ok(moved.to_string()),
                    Err(error) => return Ok(said(Err::<(), _>(error))),
                }
            }
        })
    }),
    ("types#descriptor.get-flags", |_| within(|root| Ok(format!("{:?}", root.get_flags()?)))),
    ("types#descriptor.get-type", |_| within(|root| Ok(format!("{:?}", root.get_type()?)))),
];

fn within(work: impl FnOnce(&Descriptor) -> Result<String, ErrorCode>) -> String {
    match preopens::get_directories().into_iter().next() {
        None => "err: nothing is preopened".to_string(),
        Some((root, _)) => work(&root).unwrap_or_else(|code| format!("err: {}", code.name())),
    }
}

fn open(root: &Descriptor, path: &str, how: OpenFlags, flags: DescriptorFlags) -> Result<Descriptor, ErrorCode> {
    root.open_at(PathFlags::SYMLINK_FOLLOW, path, how, flags)
}

fn create(root: &Descriptor, path: &str) -> Result<Descriptor, ErrorCode> {
    open(root, path, OpenFlags::CREATE | OpenFlags::TRUNCATE, DescriptorFlags::WRITE)
}

fn done() -> Result<String, ErrorCode> {
    Ok("done".to_string())
}

fn halves(argument: &str) -> (&str, &str) {
    argument.split_once('|').unwrap_or((argument, ""))
}
