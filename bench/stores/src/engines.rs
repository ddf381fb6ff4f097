//! One file's worth of each engine: open, apply a batch atomically without a sync, sync, open again.

use std::path::Path;
use std::sync::{Arc, Mutex};

use troupe_log::{
    ActorId, Batch, Chain, Incarnation, Kind, NodeTime, Options, Position, RealDisk, Step, Store, Table, WallTime,
};

/// The contents of one batch.
pub struct Item {
    pub n: u64,
    pub record: [u8; 200],
    pub key: [u8; 16],
    pub value: [u8; 40],
    pub removed: [u8; 16],
}

impl Item {
    /// Bytes of its keys and values.
    pub const BYTES: u64 = 8 + 245 + 16 + 40 + 16;
    /// Inbox entries that are left.
    pub const LIVE: usize = 1000;

    pub fn new(n: u64) -> Self {
        let key = |n: u64| {
            let mut key = *b"actor-17........";
            key[8..].copy_from_slice(&n.to_be_bytes());
            key
        };
        let mut record = [0; 200];
        for (i, b) in record.iter_mut().enumerate() {
            *b = (n.wrapping_mul(31).wrapping_add(i as u64 * 7) >> (i % 5)) as u8;
        }
        Self { n, record, key: key(n), value: [7; 40], removed: key(n.wrapping_sub(Self::LIVE as u64)) }
    }

    /// The record with its header, as an engine would store it.
    fn stored(&self) -> Vec<u8> {
        [&[9; 45][..], &self.record].concat()
    }
}

pub trait Engine: Sync {
    const NAME: &'static str;
    type Writer;
    fn open(dir: &Path) -> Self;
    fn writer(&self) -> Self::Writer;
    fn apply(&self, writer: &mut Self::Writer, item: &Item);
    fn sync(&self, writer: &mut Self::Writer);
    /// Opens what is there and reads the rows of the inbox; how many there are.
    fn reopen(dir: &Path) -> usize;
}

pub struct Own(pub Arc<dyn Store>);

pub struct OwnWriter {
    pub batch: Batch,
    step: Step,
    pub actor: ActorId,
    pub last: Option<Position>,
}

impl OwnWriter {
    pub fn new(name: &str) -> Self {
        let actor = ActorId::parse(name).expect("an id");
        Self { batch: Batch::new(), step: Step::new(Chain::START), actor, last: None }
    }

    pub fn fill(&mut self, item: &Item) {
        self.step.record(Kind::Call, |b| b.extend_from_slice(&item.record));
        self.batch.clear();
        self.batch.records(&self.actor, Incarnation(0), self.last, &self.step);
        self.batch.put(Table::INBOX, &item.key, &item.value);
        self.batch.delete(Table::INBOX, &item.removed);
        self.batch.stamp(NodeTime(item.n), WallTime(item.n));
        self.step.clear();
    }
}

impl Engine for Own {
    const NAME: &'static str = "own segments";
    type Writer = OwnWriter;

    fn open(dir: &Path) -> Self {
        let opened = troupe_log::open(Arc::new(RealDisk::new(dir)), &Options::new([1; 32])).expect("opens");
        Own(opened.store)
    }

    fn writer(&self) -> OwnWriter {
        static N: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let n = N.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        OwnWriter::new(&format!("actor-{n}"))
    }

    fn apply(&self, writer: &mut OwnWriter, item: &Item) {
        writer.fill(item);
        writer.last = Some(self.0.append(&writer.batch).expect("appends"));
    }

    fn sync(&self, writer: &mut OwnWriter) {
        self.0.sync_blocking(writer.last.expect("a batch")).expect("syncs");
    }

    fn reopen(dir: &Path) -> usize {
        let opened = troupe_log::open(Arc::new(RealDisk::new(dir)), &Options::new([1; 32])).expect("opens");
        opened.tables[&Table::INBOX].len()
    }
}

pub struct Fjall {
    db: fjall::Database,
    log: fjall::Keyspace,
    inbox: fjall::Keyspace,
}

impl Engine for Fjall {
    const NAME: &'static str = "fjall 3.1";
    type Writer = ();

    fn open(dir: &Path) -> Self {
        let db = fjall::Database::builder(dir).open().expect("opens");
        let log = db.keyspace("log", fjall::KeyspaceCreateOptions::default).expect("a keyspace");
        let inbox = db.keyspace("inbox", fjall::KeyspaceCreateOptions::default).expect("a keyspace");
        Fjall { db, log, inbox }
    }

    fn writer(&self) {}

    fn apply(&self, _: &mut (), item: &Item) {
        let mut batch = self.db.batch();
        batch.insert(&self.log, item.n.to_be_bytes(), item.stored());
        batch.insert(&self.inbox, item.key, item.value);
        batch.remove(&self.inbox, item.removed);
        batch.commit().expect("commits");
    }

    fn sync(&self, _: &mut ()) {
        self.db.persist(fjall::PersistMode::SyncData).expect("syncs");
    }

    fn reopen(dir: &Path) -> usize {
        Self::open(dir).inbox.iter().filter_map(|row| row.into_inner().ok()).count()
    }
}

pub struct Redb(redb::Database);

const LOG: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("log");
const INBOX: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("inbox");

impl Redb {
    fn commit(&self, item: Option<&Item>, durability: redb::Durability) {
        let mut txn = self.0.begin_write().expect("begins");
        txn.set_durability(durability).expect("sets");
        if let Some(item) = item {
            let mut log = txn.open_table(LOG).expect("a table");
            log.insert(item.n, &item.stored()[..]).expect("inserts");
            let mut inbox = txn.open_table(INBOX).expect("a table");
            inbox.insert(&item.key[..], &item.value[..]).expect("inserts");
            inbox.remove(&item.removed[..]).expect("removes");
        }
        txn.commit().expect("commits");
    }
}

impl Engine for Redb {
    const NAME: &'static str = "redb 4.4";
    type Writer = ();

    fn open(dir: &Path) -> Self {
        Redb(redb::Database::create(dir.join("redb")).expect("opens"))
    }

    fn writer(&self) {}

    fn apply(&self, _: &mut (), item: &Item) {
        self.commit(Some(item), redb::Durability::None);
    }

    fn sync(&self, _: &mut ()) {
        self.commit(None, redb::Durability::Immediate);
    }

    fn reopen(dir: &Path) -> usize {
        use redb::ReadableDatabase as _;
        use redb::ReadableTable as _;
        let db = redb::Database::open(dir.join("redb")).expect("opens");
        let txn = db.begin_read().expect("begins");
        txn.open_table(INBOX).expect("a table").iter().expect("rows").count()
    }
}

pub struct Sqlite(Mutex<rusqlite::Connection>);

impl Sqlite {
    fn commit(&self, item: Option<&Item>) {
        let db = self.0.lock().expect("a connection");
        let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
            db.prepare_cached(sql).and_then(|mut s| s.execute(params)).expect("executes");
        };
        run("begin immediate", &[]);
        match item {
            Some(item) => {
                let (n, key) = (item.n as i64, &item.key[..]);
                run("insert into log values (?, ?)", &[&n, &item.stored()]);
                run("insert into inbox values (?, ?)", &[&key, &&item.value[..]]);
                run("delete from inbox where k = ?", &[&&item.removed[..]]);
            }
            None => run("update mark set n = n + 1", &[]),
        }
        run("commit", &[]);
    }
}

impl Engine for Sqlite {
    const NAME: &'static str = "SQLite (rusqlite 0.41, WAL)";
    type Writer = ();

    fn open(dir: &Path) -> Self {
        let db = rusqlite::Connection::open(dir.join("sqlite")).expect("opens");
        db.execute_batch(
            "pragma journal_mode = wal; pragma synchronous = off;
             create table if not exists log (n integer primary key, r blob);
             create table if not exists inbox (k blob primary key, v blob) without rowid;
             create table if not exists mark (n integer); insert into mark values (0);",
        )
        .expect("sets up");
        Sqlite(Mutex::new(db))
    }

    fn writer(&self) {}

    fn apply(&self, _: &mut (), item: &Item) {
        self.commit(Some(item));
    }

    /// One more transaction, which syncs the write-ahead log and so all before it.
    fn sync(&self, _: &mut ()) {
        let set = |mode: &str| self.0.lock().expect("a connection").execute_batch(mode).expect("sets");
        set("pragma synchronous = full");
        self.commit(None);
        set("pragma synchronous = off");
    }

    fn reopen(dir: &Path) -> usize {
        let db = rusqlite::Connection::open(dir.join("sqlite")).expect("opens");
        let mut all = db.prepare("select k, v from inbox").expect("a query");
        all.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("rows").filter(Result::is_ok).count()
    }
}
