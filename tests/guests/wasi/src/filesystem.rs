//! wasi:filesystem, in the one directory that is granted. Each behaviour clears up what it made where another would trip over it.

use crate::Behaviour;
use crate::wasi::filesystem::preopens;
use crate::wasi::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};

pub fn root() -> Descriptor {
    preopens::get_directories().into_iter().next().expect("nothing is granted").0
}

pub fn open(path: &str, how: OpenFlags, flags: DescriptorFlags) -> Result<Descriptor, ErrorCode> {
    root().open_at(PathFlags::SYMLINK_FOLLOW, path, how, flags)
}

/// An empty file.
pub fn create(path: &str) -> Descriptor {
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    open(path, OpenFlags::CREATE | OpenFlags::TRUNCATE, flags).unwrap()
}

fn with(path: &str, content: &[u8]) -> Descriptor {
    let file = create(path);
    assert_eq!(file.write(content, 0).unwrap(), content.len() as u64);
    file
}

fn names(directory: &Descriptor) -> Vec<String> {
    let entries = directory.read_directory().unwrap();
    let mut names = Vec::new();
    while let Some(entry) = entries.read_directory_entry().unwrap() {
        names.push(entry.name);
    }
    names.sort();
    names
}

const READ: DescriptorFlags = DescriptorFlags::READ;

pub const BEHAVIOURS: &[Behaviour] = &[
    ("filesystem-what-is-written-is-read", || {
        let file = with("f.txt", b"hello");
        assert_eq!(file.read(100, 0).unwrap().0, b"hello");
        assert_eq!(file.read(2, 1).unwrap().0, b"el");
        assert_eq!(file.read(0, 0).unwrap().0, b"");
        assert_eq!(file.read(1, 5).unwrap(), (Vec::new(), true));
        assert_eq!(file.read(1, 1 << 40).unwrap(), (Vec::new(), true));
    }),
    ("filesystem-a-write-beyond-the-end-leaves-zeroes", || {
        let file = with("f.txt", b"ab");
        assert_eq!(file.write(b"z", 5).unwrap(), 1);
        assert_eq!(file.read(100, 0).unwrap().0, b"ab\0\0\0z");
    }),
    ("filesystem-a-file-grows-and-shrinks", || {
        let file = with("f.txt", b"hello");
        file.set_size(2).unwrap();
        file.set_size(4).unwrap();
        assert_eq!(file.read(100, 0).unwrap().0, b"he\0\0");
        assert_eq!(file.stat().unwrap().size, 4);
    }),
    ("filesystem-a-huge-read-takes-no-huge-memory", || {
        let file = with("f.txt", b"hello");
        assert_eq!(file.read(u64::MAX, 0).unwrap().0, b"hello");
    }),
    ("filesystem-streams-and-listings-count-as-open-files", || {
        let file = with("f.txt", b"hello");
        let mut streams = Vec::new();
        let error = loop {
            match file.read_via_stream(0) {
                Ok(stream) => streams.push(stream),
                Err(error) => break error,
            }
            assert!(streams.len() < 256);
        };
        assert_eq!(error, ErrorCode::Quota);
        assert!(streams.len() > 200);
        assert_eq!(open("f.txt", OpenFlags::empty(), READ).unwrap_err(), ErrorCode::Quota);
        assert_eq!(file.append_via_stream().unwrap_err(), ErrorCode::Quota);
        assert_eq!(file.write_via_stream(0).unwrap_err(), ErrorCode::Quota);
        streams.truncate(100);
        let listings: Vec<_> = (0..100).map(|_| root().read_directory().unwrap()).collect();
        drop(streams);
        drop(file);
        drop(open("f.txt", OpenFlags::empty(), READ).unwrap());
        assert!(listings[99].read_directory_entry().unwrap().is_some());
    }),
    ("filesystem-nobody-waits-for-the-other-end-of-a-pipe", || {
        let pipe = open("pipe", OpenFlags::empty(), READ).unwrap_err();
        assert_eq!(pipe, ErrorCode::Unsupported);
        let pipe = open("pipe", OpenFlags::empty(), DescriptorFlags::WRITE).unwrap_err();
        assert_eq!(pipe, ErrorCode::Unsupported);
        let entries = root().read_directory().unwrap();
        let pipe = std::iter::from_fn(|| entries.read_directory_entry().unwrap()).find(|entry| entry.name == "pipe");
        assert_eq!(pipe.unwrap().type_, DescriptorType::Fifo);
    }),
    ("filesystem-a-path-of-dots-goes-on-after-all", || {
        drop(with("f.txt", b"hello"));
        let mut here = root();
        for _ in 0..20 {
            let dots = "./".repeat(1000);
            here = here.open_at(PathFlags::empty(), &dots, OpenFlags::DIRECTORY, READ).unwrap();
        }
        let file = here.open_at(PathFlags::empty(), "f.txt", OpenFlags::empty(), READ).unwrap();
        assert_eq!(file.read(9, 0).unwrap().0, b"hello");
    }),
    ("filesystem-exclusive-is-exclusive", || {
        drop(with("f.txt", b""));
        let made = open("f.txt", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, DescriptorFlags::WRITE);
        assert_eq!(made.unwrap_err(), ErrorCode::Exist);
    }),
    ("filesystem-what-is-not-there-is-no-entry", || {
        assert_eq!(open("none.txt", OpenFlags::empty(), READ).unwrap_err(), ErrorCode::NoEntry);
        assert_eq!(open("none/f.txt", OpenFlags::CREATE, DescriptorFlags::WRITE).unwrap_err(), ErrorCode::NoEntry);
        assert_eq!(open("", OpenFlags::empty(), READ).unwrap_err(), ErrorCode::NoEntry);
        assert_eq!(root().unlink_file_at("none.txt").unwrap_err(), ErrorCode::NoEntry);
        assert_eq!(root().stat_at(PathFlags::empty(), "none.txt").unwrap_err(), ErrorCode::NoEntry);
    }),
    ("filesystem-a-file-is-no-directory", || {
        drop(with("f.txt", b""));
        assert_eq!(open("f.txt", OpenFlags::DIRECTORY, READ).unwrap_err(), ErrorCode::NotDirectory);
        assert_eq!(open("f.txt/below", OpenFlags::empty(), READ).unwrap_err(), ErrorCode::NotDirectory);
        assert_eq!(open("f.txt/", OpenFlags::empty(), READ).unwrap_err(), ErrorCode::NotDirectory);
        assert_eq!(root().remove_directory_at("f.txt").unwrap_err(), ErrorCode::NotDirectory);
        let file = open("f.txt", OpenFlags::empty(), READ).unwrap();
        assert_eq!(file.read_directory().unwrap_err(), ErrorCode::NotDirectory);
        assert_eq!(
            file.open_at(PathFlags::empty(), "x", OpenFlags::empty(), READ).unwrap_err(),
            ErrorCode::NotDirectory
        );
    }),
    ("filesystem-a-directory-is-no-file", || {
        root().create_directory_at("d").unwrap();
        assert_eq!(root().create_directory_at("d").unwrap_err(), ErrorCode::Exist);
        assert!(root().unlink_file_at("d").is_err());
        let directory = open("d", OpenFlags::DIRECTORY, READ).unwrap();
        assert!(directory.read(1, 0).is_err());
        assert!(directory.write(b"x", 0).is_err());
        assert!(directory.set_size(1).is_err());
        assert_eq!(directory.get_type().unwrap(), DescriptorType::Directory);
        root().remove_directory_at("d").unwrap();
    }),
    ("filesystem-a-directory-with-entries-stays", || {
        root().create_directory_at("d").unwrap();
        drop(with("d/f.txt", b""));
        assert_eq!(root().remove_directory_at("d").unwrap_err(), ErrorCode::NotEmpty);
        root().unlink_file_at("d/f.txt").unwrap();
        root().remove_directory_at("d").unwrap();
    }),
    ("filesystem-a-listing-has-each-entry-once-and-no-dots", || {
        root().create_directory_at("d").unwrap();
        for name in ["b", "a", "c"] {
            drop(with(&format!("d/{name}"), b""));
        }
        let directory = open("d", OpenFlags::DIRECTORY, READ).unwrap();
        assert_eq!(names(&directory), ["a", "b", "c"]);
        assert_eq!(names(&directory), ["a", "b", "c"], "again");
        for name in ["a", "b", "c"] {
            directory.unlink_file_at(name).unwrap();
        }
        drop(directory);
        root().remove_directory_at("d").unwrap();
    }),
    ("filesystem-a-rename-moves-and-replaces", || {
        drop(with("f.txt", b"first"));
        drop(with("g.txt", b"second"));
        root().rename_at("f.txt", &root(), "g.txt").unwrap();
        assert_eq!(open("f.txt", OpenFlags::empty(), READ).unwrap_err(), ErrorCode::NoEntry);
        assert_eq!(open("g.txt", OpenFlags::empty(), READ).unwrap().read(9, 0).unwrap().0, b"first");
        root().unlink_file_at("g.txt").unwrap();
    }),
    ("filesystem-a-hard-link-is-the-same-object", || {
        let file = with("f.txt", b"linked");
        root().link_at(PathFlags::empty(), "f.txt", &root(), "g.txt").unwrap();
        let other = open("g.txt", OpenFlags::empty(), READ).unwrap();
        assert!(file.is_same_object(&other));
        assert!(!file.is_same_object(&root()));
        let (one, two) = (file.metadata_hash().unwrap(), other.metadata_hash().unwrap());
        assert_eq!((one.lower, one.upper), (two.lower, two.upper));
        assert_eq!(other.stat().unwrap().link_count, 2);
        root().unlink_file_at("g.txt").unwrap();
    }),
    ("filesystem-a-symbolic-link-is-followed-only-if-asked", || {
        drop(with("f.txt", b"target"));
        root().symlink_at("f.txt", "s").unwrap();
        assert_eq!(root().readlink_at("s").unwrap(), "f.txt");
        assert_eq!(root().stat_at(PathFlags::empty(), "s").unwrap().type_, DescriptorType::SymbolicLink);
        assert_eq!(root().stat_at(PathFlags::SYMLINK_FOLLOW, "s").unwrap().type_, DescriptorType::RegularFile);
        assert_eq!(open("s", OpenFlags::empty(), READ).unwrap().read(9, 0).unwrap().0, b"target");
        let not = root().open_at(PathFlags::empty(), "s", OpenFlags::empty(), READ);
        assert_eq!(not.unwrap_err(), ErrorCode::Loop);
        root().unlink_file_at("s").unwrap();
        assert!(root().readlink_at("f.txt").is_err());
    }),
    ("filesystem-links-in-a-circle-end", || {
        root().symlink_at("round", "round").unwrap();
        assert_eq!(open("round", OpenFlags::empty(), READ).unwrap_err(), ErrorCode::Loop);
        root().unlink_file_at("round").unwrap();
    }),
    ("filesystem-times-are-set", || {
        use crate::wasi::clocks::wall_clock::Datetime;
        let file = with("f.txt", b"");
        let then = Datetime { seconds: 1_000_000_000, nanoseconds: 5_000 };
        file.set_times(NewTimestamp::NoChange, NewTimestamp::Timestamp(then)).unwrap();
        let seen = file.stat().unwrap().data_modification_timestamp.unwrap();
        assert_eq!((seen.seconds, seen.nanoseconds), (then.seconds, then.nanoseconds));
        root().set_times_at(PathFlags::empty(), "f.txt", NewTimestamp::Now, NewTimestamp::Now).unwrap();
        assert!(file.stat().unwrap().data_modification_timestamp.unwrap().seconds > then.seconds);
    }),
    ("filesystem-what-is-opened-for-reading-is-not-written", || {
        drop(with("f.txt", b"kept"));
        let file = open("f.txt", OpenFlags::empty(), READ).unwrap();
        assert_eq!(file.get_flags().unwrap() & DescriptorFlags::WRITE, DescriptorFlags::empty());
        assert!(file.write(b"x", 0).is_err());
        assert!(file.set_size(0).is_err());
        assert_eq!(file.read(9, 0).unwrap().0, b"kept");
    }),
    ("filesystem-advice-and-syncs-change-nothing", || {
        let file = with("f.txt", b"kept");
        for advice in
            [Advice::Normal, Advice::Sequential, Advice::Random, Advice::WillNeed, Advice::DontNeed, Advice::NoReuse]
        {
            file.advise(0, 4, advice).unwrap();
        }
        file.sync_data().unwrap();
        file.sync().unwrap();
        assert_eq!(file.read(9, 0).unwrap().0, b"kept");
    }),
    ("filesystem-dots-stay-inside", || {
        root().create_directory_at("d").unwrap();
        drop(with("f.txt", b"dots"));
        for path in ["./f.txt", "d/../f.txt", "d/.././f.txt"] {
            assert_eq!(open(path, OpenFlags::empty(), READ).unwrap().read(9, 0).unwrap().0, b"dots", "{path}");
        }
        assert_eq!(open("..", OpenFlags::DIRECTORY, READ).unwrap_err(), ErrorCode::NotPermitted);
        assert_eq!(open("/f.txt", OpenFlags::empty(), READ).unwrap_err(), ErrorCode::NotPermitted);
        root().remove_directory_at("d").unwrap();
    }),
    ("filesystem-a-descriptor-outlives-its-name", || {
        let file = with("gone.txt", b"still");
        root().unlink_file_at("gone.txt").unwrap();
        assert_eq!(file.read(9, 0).unwrap().0, b"still");
    }),
    ("filesystem-the-same-directory-each-time", || {
        let (one, two) = (root(), root());
        assert!(one.is_same_object(&two));
        assert_eq!(preopens::get_directories().len(), 1);
    }),
];
