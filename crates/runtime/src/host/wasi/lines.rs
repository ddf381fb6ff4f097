//! A guest's standard output and error: captured by line into the node's log.
//!
//! Logs are no output in the sense of docs/semantics.md, so lines are shown at once, even of a step that is undone later.
//! A line is cut at [`MAX_LINE`]; one that is not ended is shown when the instance goes.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use troupe_log::ActorId;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::boundary::{Level, Secrets, Services};

/// Bytes of a line that are shown in one piece.
const MAX_LINE: usize = 8 << 10;
/// Bytes that may be written at once.
const PERMIT: usize = 64 << 10;

/// What is written to one of the two, from all its streams.
pub(super) struct Lines {
    node: Arc<dyn Services>,
    actor: ActorId,
    level: Level,
    secrets: Arc<Secrets>,
    open: Mutex<Vec<u8>>,
}

impl Lines {
    pub(super) fn new(node: Arc<dyn Services>, actor: ActorId, level: Level, secrets: Arc<Secrets>) -> Lines {
        Lines { node, actor, level, secrets, open: Mutex::default() }
    }

    fn write(&self, bytes: &[u8]) {
        // Before it is cut into lines: a value may have more than one. What is written in pieces is looked at again as a line.
        let masked = self.secrets.masked(bytes);
        let mut bytes = &*masked;
        let mut open = self.open.lock();
        while !bytes.is_empty() {
            let room = MAX_LINE - open.len();
            let piece = &bytes[..bytes.len().min(room)];
            match piece.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    open.extend_from_slice(&piece[..end]);
                    bytes = &bytes[end + 1..];
                    self.show(&mut open);
                }
                None => {
                    open.extend_from_slice(piece);
                    bytes = &bytes[piece.len()..];
                    if open.len() == MAX_LINE {
                        self.show(&mut open);
                    }
                }
            }
        }
    }

    fn show(&self, line: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(line);
        let text = self.secrets.masked_text(text.strip_suffix('\r').unwrap_or(&text));
        self.node.log(&self.actor, self.level, &text);
        line.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let mut open = std::mem::take(self.open.get_mut());
        if !open.is_empty() {
            self.show(&mut open);
        }
    }
}

/// One stream of them.
pub(super) struct LineStream(pub(super) Arc<Lines>);

#[wasmtime_wasi::async_trait]
impl Pollable for LineStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LineStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > PERMIT {
            return Err(StreamError::trap("more is written than check-write permits"));
        }
        self.0.write(&bytes);
        Ok(())
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[cfg(test)]
mod tests {
    use troupe_log::{NodeTime, Store, WallTime};

    use tokio::sync::oneshot;

    use super::*;
    use crate::actor::keys::Name;
    use crate::actor::message::{Answer, Asker, CallError, Message, MessageId, ReplyTo};
    use crate::boundary::{Claim, Reserved, TimerChange};
    use crate::service::timers::Timers;
    use crate::service::waits::Waits;
    use crate::service::{Party, Shared};

    /// A node of which only the log is there.
    #[derive(Default)]
    struct Logged(Mutex<Vec<String>>);

    impl Services for Logged {
        fn log(&self, actor: &ActorId, level: Level, message: &str) {
            self.0.lock().push(format!("{level} {actor}: {message}"));
        }
        fn node_time(&self) -> NodeTime {
            unreachable!()
        }
        fn wall_time(&self) -> WallTime {
            unreachable!()
        }
        fn entropy(&self, _: &mut [u8]) {
            unreachable!()
        }
        fn store(&self) -> &Arc<dyn Store> {
            unreachable!()
        }
        fn waits(&self) -> &Waits {
            unreachable!()
        }
        fn timer(&self, _: TimerChange) {
            unreachable!()
        }
        fn message_id(&self) -> MessageId {
            unreachable!()
        }
        fn party(&self) -> &dyn Party {
            unreachable!()
        }
        fn shared(&self) -> &Shared {
            unreachable!()
        }
        fn timers(&self) -> &Timers {
            unreachable!()
        }
        fn claim_key(&self, _: &ActorId, _: &Message, _: ReplyTo) -> Result<Option<Claim>, CallError> {
            unreachable!()
        }
        fn follow(&self, _: Asker, _: oneshot::Receiver<Answer>) {
            unreachable!()
        }
        fn ask_again(&self, _: &ActorId, _: Option<Name>, _: Asker) {
            unreachable!()
        }
        fn reserve(&self, _: &ActorId, _: usize, _: bool) -> Result<Box<dyn Reserved>, CallError> {
            unreachable!()
        }
    }

    #[test]
    fn output_is_logged_by_line_and_the_rest_when_the_instance_goes() {
        let node = Arc::new(Logged::default());
        let lines = Arc::new(Lines::new(node.clone(), ActorId::parse("a").unwrap(), Level::WARN, Arc::default()));
        let (mut one, mut other) = (LineStream(lines.clone()), LineStream(lines));
        one.write(Bytes::from_static(b"first\nsec")).unwrap();
        other.write(Bytes::from_static(b"ond\r\n\nlast \xff")).unwrap();
        assert_eq!(*node.0.lock(), ["WARN default/a: first", "WARN default/a: second", "WARN default/a: "]);
        drop((one, other));
        assert_eq!(node.0.lock()[3..], ["WARN default/a: last \u{fffd}"]);
    }

    #[test]
    fn a_secret_of_several_lines_is_shown_in_none_of_them_nor_one_that_is_written_in_pieces() {
        use crate::manifest::{Grants, SecretSource};

        let source = |name: &str| (name.to_owned(), SecretSource::Env(name.to_owned()));
        let grants = Grants { secrets: ["KEY", "TOKEN"].map(source).into(), ..Grants::default() };
        let given = [("KEY", "first half\nsecond half"), ("TOKEN", "hunter22")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let secrets = Arc::new(Secrets::given(&grants, &given, None));
        let node = Arc::new(Logged::default());
        let lines = Arc::new(Lines::new(node.clone(), ActorId::parse("a").unwrap(), Level::INFO, secrets));
        let mut stream = LineStream(lines.clone());
        stream.write(Bytes::from_static(b"a key: first half\nsecond half.\nand hun")).unwrap();
        stream.write(Bytes::from_static(b"ter22, too\n")).unwrap();
        let said = ["a key: **********************.", "and ********, too"];
        assert_eq!(*node.0.lock(), said.map(|line| format!("INFO default/a: {line}")));
    }

    #[test]
    fn a_line_without_end_is_cut_and_takes_no_more_memory_than_one_piece() {
        let node = Arc::new(Logged::default());
        let lines = Arc::new(Lines::new(node.clone(), ActorId::parse("a").unwrap(), Level::INFO, Arc::default()));
        let mut stream = LineStream(lines.clone());
        for _ in 0..100 {
            stream.write(Bytes::from(vec![b'x'; 1000])).unwrap();
        }
        let shown = node.0.lock().len();
        assert_eq!(shown, 100_000 / MAX_LINE);
        assert!(node.0.lock().iter().all(|line| line.len() == "INFO default/a: ".len() + MAX_LINE));
        assert!(lines.open.lock().capacity() <= 2 * MAX_LINE);
    }
}
