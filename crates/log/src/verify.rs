//! Is this journal what was written? Finds flipped, dropped, moved and cut-off records, and names them.
//!
//! Each record carries the hash of the one before it, so a record is known to be intact if its hash
//! stands anywhere in the journal, or is the head it should end with. From that, and from the seq that
//! each place should have, follows which record is bad; `docs/journal-format.md`, "Naming the bad record",
//! has the rules, and `docs/verify_journal.py` follows them too. Any bytes may be given.

use std::cell::Cell;

use crate::body::Checkpoint;
use crate::chain::Chain;
use crate::ids::{Head, Seq};
use crate::record::{HEADER, Kind, Record, records};

/// So many problems are listed; more add nothing.
pub const MAX_PROBLEMS: usize = 100;

/// The whole journal is searched so many times for where a bad place goes on, within bounds: a file can be made so that each
/// place wants it searched.
const SEARCHES: u64 = 256;
const LEAST_SEARCH: u64 = 64 << 20;
const MOST_SEARCH: u64 = 64 << 30;

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// Its bytes were changed.
    Flipped,
    /// It is not there.
    Dropped,
    /// It is not in its place.
    Reordered,
    /// It cannot be read as a record, or follows where the journal should end.
    Broken,
}

/// One bad record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The record.
    pub seq: Seq,
    /// What is wrong with it.
    pub what: What,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.what {
            What::Flipped => "was changed",
            What::Dropped => "is missing",
            What::Reordered => "is not in its place",
            What::Broken => "cannot be read, or does not belong there",
        };
        write!(f, "record {} {what}", self.seq)
    }
}

/// Where a journal begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Began {
    /// At the first record of its incarnation.
    Genesis,
    /// Where a checkpoint record, at this seq, says that older records were removed.
    Checkpoint(Seq),
    /// Neither: its first records are missing.
    Nowhere,
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where it begins.
    pub began: Began,
    /// The first record that should be there.
    pub first: Seq,
    /// The tip it ends with: number of the next record, and the head to compare with one kept apart.
    pub end: Chain,
    /// How many records were read.
    pub records: u64,
    /// The bad records, in the order in which they were found; at most [`MAX_PROBLEMS`].
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Checks the records of one incarnation. `end` is the tip it should end with, if that is known: without
/// it a cut-off end, or a change of the last record, cannot be seen.
pub fn verify(bytes: &[u8], end: Option<Chain>) -> Report {
    let start = first_place(bytes);
    verify_from(bytes, start, end)
}

/// The same for a journal of which it is known where it should begin.
pub fn verify_from(bytes: &[u8], start: Chain, end: Option<Chain>) -> Report {
    let budget = (bytes.len() as u64).saturating_mul(SEARCHES).clamp(LEAST_SEARCH, MOST_SEARCH);
    let (previous, problems, left) = (None, Vec::new(), Cell::new(budget));
    let mut walk = Walk { bytes, end, next: start.next, head: start.head, previous, problems, left };
    let began = if start == Chain::START {
        Began::Genesis
    } else {
        checkpoint_of(bytes, start).map_or(Began::Nowhere, Began::Checkpoint)
    };
    if began == Began::Nowhere {
        walk.problem(Seq(0), What::Dropped);
    }
    let records = walk.run();
    let lost = Problem { seq: Seq(0), what: What::Dropped };
    let began = if walk.problems.contains(&lost) { Began::Nowhere } else { began };
    let end = Chain { next: walk.next, head: walk.head };
    Report { began, first: start.next, end, records, problems: walk.problems }
}

/// Where a journal that begins like this should begin.
fn first_place(bytes: &[u8]) -> Chain {
    match records(bytes).next() {
        Some(Ok(first)) if first.seq.0 > 0 => {
            let start = Chain { next: first.seq, head: first.prev };
            checkpoint_of(bytes, start).map_or(Chain::START, |_| start)
        }
        _ => Chain::START,
    }
}

/// The checkpoint record that says that the journal begins there.
fn checkpoint_of(bytes: &[u8], start: Chain) -> Option<Seq> {
    let checkpoints = records(bytes).map_while(Result::ok).filter(|r| r.kind == Kind::Checkpoint);
    let says_so = |r: &Record<'_>| {
        Checkpoint::decode(r.body).is_ok_and(|c| c.first_kept == start.next && c.head_before == start.head)
    };
    checkpoints.filter(says_so).map(|r| r.seq).next()
}

struct Walk<'a> {
    bytes: &'a [u8],
    /// Bytes that may still be searched.
    left: Cell<u64>,
    end: Option<Chain>,
    /// The seq that the record at the current place should have, and the head before it.
    next: Seq,
    head: Head,
    /// Where the record before it begins.
    previous: Option<usize>,
    problems: Vec<Problem>,
}

impl<'a> Walk<'a> {
    fn problem(&mut self, seq: Seq, what: What) {
        let known = self.problems.iter().any(|p| p.seq == seq);
        if !known && self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { seq, what });
        }
    }

    fn run(&mut self) -> u64 {
        let mut at = 0;
        let mut n = 0;
        while at < self.bytes.len() && self.problems.len() < MAX_PROBLEMS && self.left.get() > 0 {
            let read = Record::read(&self.bytes[at..]).ok();
            match read.filter(|r| r.prev == self.head && r.seq == self.next) {
                Some(r) => {
                    n += 1;
                    self.head = r.head();
                    self.next = self.next.next();
                    self.previous = Some(at);
                    at += r.bytes.len();
                }
                None => match self.bad_place(at, read) {
                    Some(on) => at = on,
                    None => return n,
                },
            }
        }
        if self.left.get() == 0 {
            // Nobody can say more of it in reasonable time.
            self.problem(self.next, What::Broken);
            return n;
        }
        if let Some(end) = self.end {
            match self.next.cmp(&end.next) {
                std::cmp::Ordering::Less => self.missing(self.next, end.next),
                std::cmp::Ordering::Greater => self.problem(end.next, What::Broken),
                std::cmp::Ordering::Equal if self.head != end.head => self.flipped_before(),
                std::cmp::Ordering::Equal => (),
            }
        }
        n
    }

    /// The record before this place was changed.
    fn flipped_before(&mut self) {
        match self.previous {
            Some(_) => self.problem(Seq(self.next.0.wrapping_sub(1)), What::Flipped),
            // None was read: where it should begin is wrong.
            None => self.problem(self.next, What::Broken),
        }
    }

    fn missing(&mut self, from: Seq, to: Seq) {
        let room = (MAX_PROBLEMS - self.problems.len()) as u64;
        for seq in from.0..to.0.min(from.0.saturating_add(room)) {
            self.problem(Seq(seq), What::Dropped);
        }
    }

    /// What is at `at` is not the record that should be there: names the bad one, and says where to
    /// go on, if anywhere.
    fn bad_place(&mut self, at: usize, read: Option<Record<'a>>) -> Option<usize> {
        let header = self.bytes[at..].first_chunk::<HEADER>();
        let prev = header.is_some_and(|h| h[..32] == self.head.0);
        let seq = header.is_some_and(|h| h[32..40] == self.next.0.to_le_bytes());
        let sound = read.as_ref().is_some_and(|r| self.is_sound(r, at));
        match (prev, seq, read) {
            // It follows the record before it, so it is the right one, changed.
            (true, _, Some(r)) => {
                self.problem(self.next, What::Flipped);
                Some(self.adopt(at, &r))
            }
            (true, _, None) => {
                self.problem(self.next, What::Broken);
                self.resume(at, self.next.next())
            }
            // It is the right one and intact, or nothing shows that it is not, so the hash of the record before it was another one once.
            (false, true, Some(r)) if sound || !self.has_follower(at + r.bytes.len()) => {
                self.flipped_before();
                self.head = r.prev;
                Some(at)
            }
            (false, true, Some(r)) => {
                self.problem(self.next, What::Flipped);
                Some(self.adopt(at, &r))
            }
            // One too many before the right one.
            (false, _, Some(r)) if sound && r.seq < self.next && self.is_expected(at + r.bytes.len()) => {
                self.problem(r.seq, What::Reordered);
                Some(at + r.bytes.len())
            }
            (false, _, read) => {
                if let Some(here) = self.elsewhere(self.head, self.next) {
                    self.problem(self.next, What::Reordered);
                    self.head = here.head();
                    self.next = self.next.next();
                    return read.map(|r| at + r.bytes.len());
                }
                match read.filter(|_| sound) {
                    Some(r) if r.seq > self.next => {
                        self.missing(self.next, r.seq);
                        self.next = r.seq;
                        self.head = r.prev;
                        Some(at)
                    }
                    Some(r) => {
                        self.problem(r.seq, What::Reordered);
                        Some(at + r.bytes.len())
                    }
                    // No record begins here: the length of the one before it was changed.
                    None => {
                        self.flipped_before();
                        self.resume(self.previous?, self.next)
                    }
                }
            }
        }
    }

    /// Where `what` stands in the journal, as far as there is time to look.
    fn occurrences<'b>(&'b self, what: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
        let first = what.first().copied().unwrap_or(0);
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let rest = self.bytes.get(at..)?;
                let found = rest.iter().position(|b| *b == first);
                let looked = found.map_or(rest.len(), |found| found + 1);
                self.left.set(self.left.get().saturating_sub(looked as u64));
                let i = at + found.filter(|_| self.left.get() > 0)?;
                at = i + 1;
                if self.bytes[i..].starts_with(what) {
                    return Some(i);
                }
            }
        })
    }

    /// Takes a changed record for the one that should be here.
    fn adopt(&mut self, at: usize, r: &Record<'_>) -> usize {
        self.head = r.head();
        self.next = self.next.next();
        self.previous = Some(at);
        // The length may be what was changed; then the next place is looked for.
        at + r.bytes.len()
    }

    /// Whether the bytes of a record are those that were written: something names its hash.
    fn is_sound(&self, r: &Record<'_>, at: usize) -> bool {
        let head = r.head();
        match self.end {
            Some(end) if end.head == head => true,
            None if at + r.bytes.len() == self.bytes.len() => true,
            _ => self.occurrences(&head.0).next().is_some(),
        }
    }

    /// Whether at `at` is what follows the record that should be at the current place: it would name
    /// that one's hash, if that one were intact.
    fn has_follower(&self, at: usize) -> bool {
        let seq = self.next.next();
        match self.bytes[at..].first_chunk::<HEADER>() {
            Some(header) => header[32..40] == seq.0.to_le_bytes(),
            None => self.end.is_some_and(|end| end.next == seq),
        }
    }

    /// Whether the record that should be at the current place is at `at`.
    fn is_expected(&self, at: usize) -> bool {
        let header = self.bytes[at..].first_chunk::<HEADER>();
        header.is_some_and(|h| h[..32] == self.head.0 && h[32..40] == self.next.0.to_le_bytes())
    }

    /// The record with this seq that follows this head, intact, anywhere.
    fn elsewhere(&self, head: Head, seq: Seq) -> Option<Record<'a>> {
        self.occurrences(&head.0)
            .filter_map(|at| Some((at, Record::read(&self.bytes[at..]).ok()?)))
            .find(|(at, r)| r.seq == seq && self.is_sound(r, *at))
            .map(|(_, r)| r)
    }

    /// The next place after the header of the record at `from` where an intact record `seq` begins.
    fn resume(&mut self, from: usize, seq: Seq) -> Option<usize> {
        let seq_bytes = seq.0.to_le_bytes();
        let found =
            self.occurrences(&seq_bytes).filter_map(|i| i.checked_sub(32)).filter(|at| *at >= from + HEADER).find_map(
                |at| {
                    let r = Record::read(&self.bytes[at..]).ok()?;
                    self.is_sound(&r, at).then_some((at, r))
                },
            );
        let (at, r) = found?;
        self.previous = None;
        self.next = seq;
        self.head = r.prev;
        Some(at)
    }
}

/// The first record in which two journals differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference<'a> {
    /// Its number.
    pub seq: Seq,
    /// The record on the left; `None` if that journal has ended.
    pub left: Option<Record<'a>>,
    /// The record on the right; `None` if that journal has ended.
    pub right: Option<Record<'a>>,
}

/// The first record whose kind or body differs, from the first seq that both journals have. Bytes that
/// hold no record end a journal: [`verify`] first.
pub fn diff<'a>(left: &'a [u8], right: &'a [u8]) -> Option<Difference<'a>> {
    let mut left = records(left).map_while(Result::ok).peekable();
    let mut right = records(right).map_while(Result::ok).peekable();
    let first = |record: Option<&Record<'_>>| record.map(|record| record.seq);
    let start = first(left.peek()).max(first(right.peek()))?;
    let mut left = left.skip_while(|r| r.seq < start);
    let mut right = right.skip_while(|r| r.seq < start);
    loop {
        let (l, r) = (left.next(), right.next());
        let seq = l.or(r)?.seq;
        let same = |a: &Record<'_>, b: &Record<'_>| a.seq == b.seq && a.kind == b.kind && a.body == b.body;
        if !l.as_ref().zip(r.as_ref()).is_some_and(|(l, r)| same(l, r)) {
            return Some(Difference { seq, left: l, right: r });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Step;

    fn journal(n: u64) -> (Vec<Vec<u8>>, Chain) {
        let mut step = Step::new(Chain::START);
        let mut parts = Vec::new();
        for i in 0..n {
            let kind = if i == 0 { Kind::Genesis } else { Kind::Call };
            // Bodies of zeroes look like records: the hardest to find one's way in.
            let body = vec![if i % 2 == 0 { 0 } else { i as u8 }; (i * 37 % 200) as usize];
            step.record(kind, |b| b.extend(body));
            parts.push(step.bytes().to_vec());
            step.clear();
        }
        (parts, step.chain())
    }

    fn first(parts: &[Vec<u8>], end: Chain) -> Option<Problem> {
        let report = verify(&parts.concat(), Some(end));
        assert_eq!(report.is_good(), report.problems.is_empty());
        report.problems.first().copied()
    }

    /// Each place of such a file wants the whole of it searched: the copies of one record, each of which the last record vouches for;
    /// and places that begin as the wanted record does.
    #[test]
    fn a_file_made_to_be_searched_without_end_is_given_up() {
        let mut step = Step::new(Chain::START);
        step.record(Kind::Genesis, |b| b.extend(b"g"));
        let mut copied = Step::new(Chain { next: Seq(7), head: Head([3; 32]) });
        copied.record(Kind::Call, |_| ());
        let copies = copied.bytes().repeat(40_000);
        let mut file = [step.bytes(), &copies].concat();
        file.extend(copied.chain().head.0);
        assert!(!verify(&file, None).is_good());
        let mut planted = Step::new(Chain { next: Seq(9), head: step.chain().head });
        planted.record(Kind::Call, |_| ());
        let file = [step.bytes(), copied.bytes(), &planted.bytes().repeat(40_000)].concat();
        assert!(!verify(&file, Some(Chain { next: Seq(9), head: Head([1; 32]) })).is_good());
    }

    #[test]
    fn a_journal_differs_from_one_without_records() {
        let (parts, _) = journal(3);
        let whole = parts.concat();
        let found = diff(&whole, b"").unwrap();
        assert!(found.seq == Seq(0) && found.left.is_some() && found.right.is_none());
        assert!(diff(b"", &whole).unwrap().left.is_none());
        assert_eq!(diff(b"", b""), None);
    }

    #[test]
    fn a_good_journal_is_good_and_says_where_it_begins_and_ends() {
        let (parts, end) = journal(9);
        let report = verify(&parts.concat(), Some(end));
        assert_eq!(report, verify(&parts.concat(), None));
        let good = Report { began: Began::Genesis, first: Seq(0), end, records: 9, problems: vec![] };
        assert_eq!(report, good);
        assert!(verify(&[], None).is_good());
    }

    #[test]
    fn any_flipped_bit_is_found_and_named() {
        let (parts, end) = journal(9);
        let whole = parts.concat();
        let mut offset = 0;
        for (seq, part) in parts.iter().enumerate() {
            for i in 0..part.len() {
                for bit in [0, 3, 7] {
                    let mut bad = whole.clone();
                    bad[offset + i] ^= 1 << bit;
                    let report = verify(&bad, Some(end));
                    let seqs: Vec<_> = report.problems.iter().map(|p| p.seq.0).collect();
                    assert_eq!(seqs, [seq as u64], "byte {i} bit {bit} of record {seq}: {:?}", report.problems);
                    assert!(matches!(report.problems[0].what, What::Flipped | What::Broken));
                }
            }
            offset += part.len();
        }
    }

    #[test]
    fn any_dropped_record_is_found_and_named() {
        let (parts, end) = journal(9);
        for seq in 0..9 {
            for n in 1..=(9 - seq).min(3) {
                let mut bad = parts.clone();
                bad.drain(seq..seq + n);
                let report = verify(&bad.concat(), Some(end));
                let dropped = |i| Problem { seq: Seq(i), what: What::Dropped };
                let expected: Vec<_> = (seq..seq + n).map(|i| dropped(i as u64)).collect();
                assert_eq!(report.problems, expected);
            }
        }
        let cut = verify(&parts[..7].concat(), None);
        assert!(cut.is_good(), "a cut end shows only against a head kept apart");
        assert_ne!(cut.end, end);
    }

    #[test]
    fn any_two_swapped_records_are_found_and_named() {
        let (parts, end) = journal(9);
        for x in 0..9 {
            for y in x + 1..9 {
                let mut bad = parts.clone();
                bad.swap(x, y);
                let report = verify(&bad.concat(), Some(end));
                let moved = |i| Problem { seq: Seq(i as u64), what: What::Reordered };
                assert_eq!(report.problems, [moved(x), moved(y)]);
            }
        }
    }

    #[test]
    fn a_repeated_record_and_one_too_many_are_found() {
        let (parts, end) = journal(6);
        let mut bad = parts.clone();
        bad.insert(4, parts[2].clone());
        assert_eq!(first(&bad, end), Some(Problem { seq: Seq(2), what: What::Reordered }));
        let (longer, _) = journal(7);
        assert_eq!(first(&longer, end), Some(Problem { seq: Seq(6), what: What::Broken }));
    }

    #[test]
    fn several_bad_records_are_all_named() {
        let (mut parts, end) = journal(9);
        parts[2][60] ^= 1;
        parts[5][50] ^= 1;
        parts.remove(7);
        let report = verify(&parts.concat(), Some(end));
        let found: Vec<_> = report.problems.iter().map(|p| (p.seq.0, p.what)).collect();
        assert_eq!(found, [(2, What::Flipped), (5, What::Flipped), (7, What::Dropped)]);
    }

    #[test]
    fn a_journal_may_begin_at_a_checkpoint_that_it_holds_and_nowhere_else() {
        let (parts, end) = journal(5);
        let mut step = Step::new(end);
        let head_before = records(&parts[3]).next().unwrap().unwrap().prev;
        let checkpoint = Checkpoint { first_kept: Seq(3), head_before, base: Seq(3) };
        step.record(Kind::Checkpoint, |b| checkpoint.encode(b));
        let kept = [parts[3..].concat(), step.bytes().to_vec()].concat();
        let report = verify(&kept, Some(step.chain()));
        assert!(report.is_good());
        assert_eq!((report.began, report.first, report.records), (Began::Checkpoint(Seq(5)), Seq(3), 3));
        let without = verify(&parts[3..].concat(), Some(end));
        let missing: Vec<_> = without.problems.iter().map(|p| p.seq.0).collect();
        assert_eq!(missing, [0, 1, 2]);
    }

    #[test]
    fn unknown_kinds_are_skipped_and_no_bytes_panic() {
        let (mut parts, _) = journal(2);
        let mut step = Step::new(Chain::START);
        step.record(Kind::Genesis, |_| ());
        let mut unknown = parts[1].clone();
        unknown[40] = 200;
        unknown[..32].copy_from_slice(&step.chain().head.0);
        parts = vec![step.bytes().to_vec(), unknown];
        assert!(verify(&parts.concat(), None).is_good());
        let mut x = 88172645463325252u64;
        for n in 0..300 {
            let mut bytes = Vec::new();
            for _ in 0..n {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                bytes.push(if x & 3 == 0 { 0 } else { x as u8 });
            }
            let report = verify(&bytes, None);
            assert_eq!(report.is_good(), n == 0);
        }
    }

    #[test]
    fn diff_names_the_first_record_that_differs() {
        let (parts, _) = journal(5);
        let left = parts.concat();
        assert_eq!(diff(&left, &left), None);
        let shorter = parts[..4].concat();
        let d = diff(&left, &shorter).unwrap();
        assert_eq!((d.seq, d.left.is_some(), d.right), (Seq(4), true, None));
        let mut step = Step::new(Chain::START);
        for (i, r) in records(&left).map(Result::unwrap).enumerate() {
            let body: &[u8] = if i == 2 { b"other" } else { r.body };
            step.record(r.kind.known().unwrap(), |b| b.extend(body));
        }
        assert_eq!(diff(&left, step.bytes()).unwrap().seq, Seq(2));
        assert_eq!(diff(&parts[3..].concat(), &left), None);
    }
}
