//! A request and a response as bytes: the payload of the message that a request is, and its answer.
//!
//! docs/journal-format.md has the layout. The type of such a message is the method and the path, `GET /items?all`.

use troupe_log::codec::{self, Reader, put_bytes, put_str, put_u8, put_u16, put_u32, put_u64};

use super::fields::Entries;

const VERSION: u8 = 1;
/// What only streamed messages have stands behind it.
const STREAMED: u8 = 2;

/// A request, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// As it stands in the request: `GET`.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// The host that it is for.
    pub authority: Option<String>,
    /// Path and query.
    pub path: String,
    /// Names and values.
    pub headers: Entries,
    /// All of it.
    pub body: Vec<u8>,
    /// Behind the body.
    pub trailers: Option<Entries>,
    /// Its body and its trailers come beside the message, while the client sends them, and the response may be longer than a message.
    pub streamed: bool,
}

/// A response, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 100 to 599.
    pub status: u16,
    /// Names and values.
    pub headers: Entries,
    /// All of it.
    pub body: Vec<u8>,
    /// Behind the body.
    pub trailers: Option<Entries>,
    /// The size of a body that is not here: it was longer than a message, and left while it was written.
    pub streamed: Option<u64>,
}

impl Request {
    /// The message's type: without the query it would hide what is asked, so it is there.
    pub fn message_type(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len() + 512);
        put_u8(&mut out, if self.streamed { STREAMED } else { VERSION });
        put_str(&mut out, &self.method);
        put_str(&mut out, &self.scheme);
        match &self.authority {
            None => put_u8(&mut out, 0),
            Some(authority) => {
                put_u8(&mut out, 1);
                put_str(&mut out, authority);
            }
        }
        put_str(&mut out, &self.path);
        put_rest(&mut out, &self.headers, &self.body, self.trailers.as_ref());
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Request, codec::Error> {
        let mut input = Reader::new(bytes);
        let streamed = version(&mut input)? == STREAMED;
        let method = input.str()?.to_owned();
        let scheme = input.str()?.to_owned();
        let authority = match input.case(2)? {
            0 => None,
            _ => Some(input.str()?.to_owned()),
        };
        let path = input.str()?.to_owned();
        let (headers, body, trailers) = rest(&mut input)?;
        Ok(Request { method, scheme, authority, path, headers, body, trailers, streamed })
    }
}

impl Response {
    /// Whether an encoded one has its body with it, long or none.
    pub fn is_kept(bytes: &[u8]) -> bool {
        bytes.first() != Some(&STREAMED)
    }

    /// One of a status and a text.
    pub fn text(status: u16, text: &str) -> Response {
        let headers = vec![("content-type".to_owned(), b"text/plain; charset=utf-8".to_vec())];
        Response { status, headers, body: text.as_bytes().to_vec(), trailers: None, streamed: None }
    }

    /// The answer.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len() + 512);
        match self.streamed {
            None => put_u8(&mut out, VERSION),
            Some(size) => {
                put_u8(&mut out, STREAMED);
                put_u64(&mut out, size);
            }
        }
        put_u16(&mut out, self.status);
        put_rest(&mut out, &self.headers, &self.body, self.trailers.as_ref());
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Response, codec::Error> {
        let mut input = Reader::new(bytes);
        let streamed = match version(&mut input)? {
            STREAMED => Some(input.u64()?),
            _ => None,
        };
        let status = input.u16()?;
        let (headers, body, trailers) = rest(&mut input)?;
        Ok(Response { status, headers, body, trailers, streamed })
    }
}

fn version(input: &mut Reader<'_>) -> Result<u8, codec::Error> {
    match input.u8()? {
        version @ (VERSION | STREAMED) => Ok(version),
        _ => Err(codec::Error::Bad { at: 0, what: "version of an HTTP message" }),
    }
}

fn put_rest(out: &mut Vec<u8>, headers: &Entries, body: &[u8], trailers: Option<&Entries>) {
    put_entries(out, headers);
    put_bytes(out, body);
    match trailers {
        None => put_u8(out, 0),
        Some(trailers) => {
            put_u8(out, 1);
            put_entries(out, trailers);
        }
    }
}

fn put_entries(out: &mut Vec<u8>, entries: &Entries) {
    put_u32(out, entries.len() as u32);
    for (name, value) in entries {
        put_str(out, name);
        put_bytes(out, value);
    }
}

fn rest(input: &mut Reader<'_>) -> Result<(Entries, Vec<u8>, Option<Entries>), codec::Error> {
    let headers = entries(input)?;
    let body = input.bytes()?.to_vec();
    let trailers = match input.case(2)? {
        0 => None,
        _ => Some(entries(input)?),
    };
    input.finish()?;
    Ok((headers, body, trailers))
}

fn entries(input: &mut Reader<'_>) -> Result<Entries, codec::Error> {
    // Each takes eight bytes at least, so that a count alone reserves nothing.
    let count = input.len(8)?;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let name = input.str()?.to_owned();
        all.push((name, input.bytes()?.to_vec()));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            method: "POST".into(),
            scheme: "http".into(),
            authority: Some("example.com".into()),
            path: "/a?b=c".into(),
            headers: vec![("X".into(), b"\xff".to_vec())],
            body: b"body".to_vec(),
            trailers: Some(vec![("t".into(), b"1".to_vec())]),
            streamed: false,
        }
    }

    #[test]
    fn messages_come_back_and_no_cut_one_does() {
        let request = request();
        let bytes = request.encode();
        assert_eq!(Request::decode(&bytes).unwrap(), request);
        assert_eq!(request.message_type(), "POST /a?b=c");
        let response = Response::text(404, "not here");
        let answer = response.encode();
        assert_eq!(Response::decode(&answer).unwrap(), response);
        for cut in 0..bytes.len() {
            assert!(Request::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        for cut in 0..answer.len() {
            assert!(Response::decode(&answer[..cut]).is_err(), "{cut}");
        }
        assert!(Request::decode(&[&bytes[..], b"x"].concat()).is_err());
        for other in [0, 3] {
            assert!(Request::decode(&[&[other], &bytes[1..]].concat()).is_err(), "version {other}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let response = Response {
            status: 201,
            headers: vec![("a".into(), b"b".to_vec())],
            body: b"c".to_vec(),
            trailers: None,
            streamed: None,
        };
        let expected =
            [&[1u8][..], &[201, 0], &[1, 0, 0, 0], &[1, 0, 0, 0], b"a", &[1, 0, 0, 0], b"b", &[1, 0, 0, 0], b"c", &[0]];
        assert_eq!(response.encode(), expected.concat());
        let left = Response { streamed: Some(258), ..response };
        let expected = [&[2u8, 2, 1, 0, 0, 0, 0, 0, 0][..], &expected.concat()[1..]].concat();
        assert_eq!(left.encode(), expected);
        assert_eq!(Response::decode(&expected).unwrap(), left);
        let coming = Request { streamed: true, ..request() };
        let bytes = coming.encode();
        assert_eq!((bytes[0], &bytes[1..]), (2, &request().encode()[1..]));
        assert_eq!(Request::decode(&bytes).unwrap(), coming);
    }

    #[test]
    fn a_count_that_the_bytes_cannot_hold_reserves_nothing() {
        let mut bytes = vec![VERSION, 200, 0];
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(Response::decode(&bytes).is_err());
    }
}
