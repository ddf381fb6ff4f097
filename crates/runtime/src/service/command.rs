//! A command's run: what it is given and what it leaves, as bytes in its message and its answer, and while it runs.

use parking_lot::Mutex;
use troupe_log::codec::{self, Reader, put_bytes, put_str, put_u8, put_u32};

use super::http::Budget;
use super::http::body::{Of, Read, Reading, Writing, Written};

const VERSION: u8 = 1;

/// The type of the message that runs a command.
pub const RUN: &str = "troupe:run";

/// What a command is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Its arguments; the first is its name.
    pub arguments: Vec<String>,
    /// Its standard input, whole.
    pub input: Vec<u8>,
}

/// What it leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// 0 where it succeeded.
    pub code: i32,
    /// What it wrote to its standard output.
    pub output: Vec<u8>,
    /// And to its standard error.
    pub errors: Vec<u8>,
}

impl Command {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.input.len() + 256);
        put_u8(&mut out, VERSION);
        put_u32(&mut out, self.arguments.len() as u32);
        for argument in &self.arguments {
            put_str(&mut out, argument);
        }
        put_bytes(&mut out, &self.input);
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Command, codec::Error> {
        let mut input = Reader::new(bytes);
        version(&mut input)?;
        let count = input.len(4)?;
        let mut arguments = Vec::with_capacity(count);
        for _ in 0..count {
            arguments.push(input.str()?.to_owned());
        }
        let given = input.bytes()?.to_vec();
        input.finish()?;
        Ok(Command { arguments, input: given })
    }
}

impl Finished {
    /// The answer.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.output.len() + self.errors.len() + 16);
        put_u8(&mut out, VERSION);
        put_u32(&mut out, self.code.cast_unsigned());
        put_bytes(&mut out, &self.output);
        put_bytes(&mut out, &self.errors);
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Finished, codec::Error> {
        let mut input = Reader::new(bytes);
        version(&mut input)?;
        let code = input.u32()?.cast_signed();
        let (output, errors) = (input.bytes()?.to_vec(), input.bytes()?.to_vec());
        input.finish()?;
        Ok(Finished { code, output, errors })
    }
}

fn version(input: &mut Reader<'_>) -> Result<(), codec::Error> {
    match input.u8()? {
        VERSION => Ok(()),
        _ => Err(codec::Error::Bad { at: 0, what: "version of a command" }),
    }
}

/// A run in hand: what its standard streams are made of.
#[derive(Debug)]
pub struct Running {
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What is left of its input.
    pub input: Read,
    /// What it wrote so far.
    pub output: Written,
    /// And to its standard error.
    pub errors: Written,
}

impl Running {
    /// Begins; each output may have `limit` bytes.
    pub fn new(command: Command, limit: u64, budget: &Budget) -> Running {
        let written = || Writing::new(Of::Output, limit, None, budget.charge());
        Running {
            arguments: command.arguments,
            input: Reading::whole(command.input, None),
            output: written(),
            errors: written(),
        }
    }

    /// Ends.
    pub fn finish(self, code: i32) -> Finished {
        let whole = |written: &Mutex<Writing>| {
            let mut writing = written.lock();
            let finished = writing.finish(None).and_then(|()| writing.whole());
            finished.map(|(bytes, _)| bytes).unwrap_or_default()
        };
        Finished { code, output: whole(&self.output), errors: whole(&self.errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_back_and_no_cut_one_does() {
        let command = Command { arguments: vec!["a".into(), "b c".into()], input: b"in".to_vec() };
        let bytes = command.encode();
        assert_eq!(
            bytes,
            [&[1u8, 2, 0, 0, 0, 1, 0, 0, 0][..], b"a", &[3, 0, 0, 0], b"b c", &[2, 0, 0, 0], b"in"].concat()
        );
        assert_eq!(Command::decode(&bytes).unwrap(), command);
        let finished = Finished { code: -1, output: b"out".to_vec(), errors: Vec::new() };
        let answer = finished.encode();
        assert_eq!(answer, [&[1u8, 255, 255, 255, 255, 3, 0, 0, 0][..], b"out", &[0, 0, 0, 0]].concat());
        assert_eq!(Finished::decode(&answer).unwrap(), finished);
        assert!((0..bytes.len()).all(|cut| Command::decode(&bytes[..cut]).is_err()));
        assert!((0..answer.len()).all(|cut| Finished::decode(&answer[..cut]).is_err()));
        assert!(Command::decode(&[1, 255, 255, 255, 255]).is_err(), "a count reserves nothing");
    }
}
