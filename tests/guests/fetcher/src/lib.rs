//! Makes requests over HTTP: the message type says how, the payload is `URL` or `URL|BODY`. The answer is the status, the header
//! `x-told`, and the body; what the interface reports as an error comes as `err: CODE`.

wit_bindgen::generate!({
    inline: "
        package guest:fetcher;
        world fetcher {
            import troupe:actor/host@0.1.0;
            import wasi:http/types@0.2.12;
            import wasi:http/outgoing-handler@0.2.12;
            export troupe:actor/gen-server@0.1.0;
        }
    ",
    path: [
        "../../../wit/deps/io.wit",
        "../../../wit/deps/clocks.wit",
        "../../../wit/deps/random.wit",
        "../../../wit/deps/filesystem.wit",
        "../../../wit/deps/sockets.wit",
        "../../../wit/deps/cli.wit",
        "../../../wit/deps/http.wit",
        "../../../wit/troupe-actor",
    ],
    world: "guest:fetcher/fetcher",
    generate_all,
});

use exports::troupe::actor::gen_server;
use troupe::actor::host;
use wasi::http::outgoing_handler::handle;
use wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, HeaderError, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use wasi::io::streams::{InputStream, StreamError};

struct Guest;
export!(Guest);

impl gen_server::Guest for Guest {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let text = String::from_utf8(payload).map_err(|error| error.to_string())?;
        let (url, body) = text.split_once('|').unwrap_or((&text, ""));
        let said = match message_type.as_str() {
            "get" => send(Method::Get, url, None, Order::HandleFirst, &[]).and_then(whole),
            "post" => send(Method::Post, url, Some(body), Order::HandleFirst, &[]).and_then(whole),
            "post-finished" => send(Method::Post, url, Some(body), Order::FinishFirst, &[]).and_then(whole),
            "delete" => send(Method::Delete, url, None, Order::HandleFirst, &[]).and_then(whole),
            "slow-head" => send(Method::Get, url, None, Order::HandleFirst, &[]).and_then(slow_head),
            "slow-body" => send(Method::Get, url, None, Order::HandleFirst, &[]).and_then(slow_body),
            "trailers" => send(Method::Post, url, Some(body), Order::HandleFirst, &[("x-sum", "7")]).and_then(trailers),
            "hurried" => send(Method::Get, url, None, Order::Hurried, &[]).and_then(whole),
            "patient" => send(Method::Get, url, None, Order::Patient, &[]).and_then(whole),
            "keyed" => keyed(url),
            "bare" => bare(url, body),
            "two" => two(url),
            "late-write" => late_write(url),
            "dropped" => dropped(url),
            "kept-clones" => kept_clones(body.parse().unwrap_or(0)),
            "wrong-length" => wrong_length(url),
            "as-it-comes" => as_it_comes(url, body, true),
            "given-up" => as_it_comes(url, body, false),
            "fields" => Ok(fields()),
            "many-fields" => Ok(many_fields()),
            "large-body" => large_body(url, body.parse().unwrap_or(0)),
            other => return Err(format!("unknown message type: {other}")),
        };
        Ok(said.unwrap_or_else(|error| format!("err: {error:?}")).into_bytes())
    }
}

#[derive(PartialEq)]
enum Order {
    HandleFirst,
    FinishFirst,
    Hurried,
    Patient,
}

fn request(method: &Method, url: &str, headers: Fields) -> OutgoingRequest {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let at = rest.find('/').unwrap_or(rest.len());
    let request = OutgoingRequest::new(headers);
    request.set_method(method).unwrap();
    request.set_scheme(Some(&if scheme == "https" { Scheme::Https } else { Scheme::Http })).unwrap();
    request.set_authority(Some(&rest[..at])).unwrap();
    request.set_path_with_query(Some(if at == rest.len() { "/" } else { &rest[at..] })).unwrap();
    request
}

fn send(
    method: Method,
    url: &str,
    body: Option<&str>,
    order: Order,
    trailers: &[(&str, &str)],
) -> Result<FutureIncomingResponse, ErrorCode> {
    let headers = Fields::from_list(&[("X-Asked".to_owned(), b"by a fetcher".to_vec())]).unwrap();
    let request = request(&method, url, headers);
    let time = match order {
        Order::Hurried => Some(50_000_000),
        Order::Patient => Some(3_600_000_000_000),
        _ => None,
    };
    let options = time.map(|time| {
        let options = RequestOptions::new();
        options.set_first_byte_timeout(Some(time)).unwrap();
        options
    });
    let Some(text) = body else { return handle(request, options) };
    let out = request.body().unwrap();
    let fill = |out: OutgoingBody| {
        {
            let stream = out.write().unwrap();
            assert!(out.write().is_err(), "a body has one stream");
            for piece in text.as_bytes().chunks(3) {
                stream.blocking_write_and_flush(piece).unwrap();
            }
        }
        let trailers: Vec<_> =
            trailers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
        OutgoingBody::finish(out, (!trailers.is_empty()).then(|| Fields::from_list(&trailers).unwrap()))
    };
    if order == Order::FinishFirst {
        fill(out)?;
        return handle(request, options);
    }
    let future = handle(request, options)?;
    fill(out)?;
    Ok(future)
}

fn head(future: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    future.subscribe().block();
    let response = future.get().expect("ready").expect("first")?;
    assert!(future.get().expect("there").is_err(), "given twice");
    Ok(response)
}

fn told(response: &IncomingResponse) -> String {
    let told = response.headers().get("X-Told").pop().unwrap_or_default();
    format!("{} {}", response.status(), String::from_utf8_lossy(&told))
}

fn rest(stream: &InputStream) -> Result<String, ErrorCode> {
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(1000) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&all).into_owned()),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(http_error_code(&error)
                    .unwrap_or_else(|| ErrorCode::InternalError(Some(format!("io: {}", error.to_debug_string())))));
            }
        }
    }
}

fn whole(future: FutureIncomingResponse) -> Result<String, ErrorCode> {
    let response = head(&future)?;
    let body = response.consume().unwrap();
    let stream = body.stream().unwrap();
    assert!(response.consume().is_err() && body.stream().is_err(), "given twice");
    Ok(format!("{} {}", told(&response), rest(&stream)?))
}

/// With a key of its own.
fn keyed(url: &str) -> Result<String, ErrorCode> {
    let headers = Fields::from_list(&[("Idempotency-Key".to_owned(), b"mine".to_vec())]).unwrap();
    whole(handle(request(&Method::Post, url, headers), None)?)
}

/// With nothing said that need not be: `path` is without one, `scheme` with none, `other` with another, `length` says that a body
/// comes that never does.
fn bare(url: &str, lacks: &str) -> Result<String, ErrorCode> {
    let headers = Fields::new();
    if lacks == "length" {
        headers.append("content-length", b"5").unwrap();
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(headers);
    request.set_authority(Some(authority)).unwrap();
    request.set_path_with_query((lacks != "path").then_some(path)).unwrap();
    let (http, other) = (Scheme::Http, Scheme::Other("gopher".to_owned()));
    let scheme = match lacks {
        "scheme" => None,
        "other" => Some(&other),
        _ => Some(&http),
    };
    request.set_scheme(scheme).unwrap();
    whole(handle(request, None)?)
}

/// Two requests at once.
fn two(url: &str) -> Result<String, ErrorCode> {
    let futures = [(), ()].map(|()| handle(request(&Method::Get, url, Fields::new()), None));
    let said = futures.map(|future| future.and_then(whole).unwrap_or_else(|error| format!("err: {error:?}")));
    Ok(said.join(", "))
}

/// Writes the parts, between commas, each once the one before it has come back; then finishes, or gives up.
fn as_it_comes(url: &str, parts: &str, finish: bool) -> Result<String, ErrorCode> {
    let request = request(&Method::Post, url, Fields::new());
    let out = request.body().unwrap();
    let future = handle(request, None)?;
    let (mut said, mut written) = (String::new(), 0);
    let mut back = None;
    {
        let stream = out.write().unwrap();
        for part in parts.split(',') {
            stream.blocking_write_and_flush(part.as_bytes()).unwrap();
            written += part.len();
            if back.is_none() {
                let response = head(&future)?;
                let body = response.consume().unwrap();
                back = Some((body.stream().unwrap(), body, response));
            }
            let (input, ..) = back.as_ref().unwrap();
            while said.len() < written {
                said.push_str(&String::from_utf8_lossy(&input.blocking_read(1000).unwrap()));
            }
        }
    }
    match finish {
        true => OutgoingBody::finish(out, None)?,
        false => drop(out),
    }
    let (input, ..) = back.as_ref().unwrap();
    Ok(format!("{said} {}", rest(input)?))
}

/// Writes to a body that is finished.
fn late_write(url: &str) -> Result<String, ErrorCode> {
    let request = request(&Method::Post, url, Fields::new());
    let out = request.body().unwrap();
    let stream = out.write().unwrap();
    stream.blocking_write_and_flush(b"in time").unwrap();
    let future = handle(request, None)?;
    OutgoingBody::finish(out, None)?;
    assert!(matches!(stream.write(b"late"), Err(StreamError::Closed)));
    assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
    whole(future)
}

/// Lets go of a body that is not finished.
fn dropped(url: &str) -> Result<String, ErrorCode> {
    let request = request(&Method::Post, url, Fields::new());
    let out = request.body().unwrap();
    let future = handle(request, None)?;
    out.write().unwrap().blocking_write_and_flush(b"half").unwrap();
    drop(out);
    whole(future)
}

/// So many copies of a set of about 100 KiB, all kept.
fn kept_clones(count: usize) -> Result<String, ErrorCode> {
    let fields = Fields::new();
    for _ in 0..100 {
        fields.append("a", &[b'x'; 1000]).unwrap();
    }
    let copies: Vec<Fields> = (0..count).map(|_| fields.clone()).collect();
    Ok(copies.len().to_string())
}

/// Sleeps before it looks at the head that it has.
fn slow_head(future: FutureIncomingResponse) -> Result<String, ErrorCode> {
    let response = head(&future)?;
    host::sleep_millis(300).unwrap();
    assert!(future.get().expect("there").is_err(), "given twice");
    Ok(told(&response))
}

/// Sleeps in the middle of the body.
fn slow_body(future: FutureIncomingResponse) -> Result<String, ErrorCode> {
    let response = head(&future)?;
    let body = response.consume().unwrap();
    let stream = body.stream().unwrap();
    let first = stream.blocking_read(2).expect("two bytes");
    host::sleep_millis(300).unwrap();
    Ok(format!("{}+{}", String::from_utf8_lossy(&first), rest(&stream)?))
}

fn trailers(future: FutureIncomingResponse) -> Result<String, ErrorCode> {
    let response = head(&future)?;
    let body = response.consume().unwrap();
    {
        let stream = body.stream().unwrap();
        rest(&stream)?;
    }
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    let first = trailers.get().expect("ready").expect("first")?;
    assert!(trailers.get().expect("there").is_err(), "given twice");
    host::sleep_millis(300).unwrap();
    assert!(trailers.get().expect("there").is_err(), "given twice");
    let told = first.map(|trailers| trailers.entries()).unwrap_or_default();
    Ok(told
        .iter()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
        .collect::<Vec<_>>()
        .join(","))
}

fn wrong_length(url: &str) -> Result<String, ErrorCode> {
    let headers = Fields::from_list(&[("content-length".to_owned(), b"5".to_vec())]).unwrap();
    let request = request(&Method::Post, url, headers);
    let out = request.body().unwrap();
    let future = handle(request, None)?;
    out.write().unwrap().blocking_write_and_flush(b"abc").unwrap();
    let finished = OutgoingBody::finish(out, None);
    Ok(format!("{finished:?} {:?}", whole(future)))
}

fn large_body(url: &str, size: usize) -> Result<String, ErrorCode> {
    let request = request(&Method::Post, url, Fields::new());
    let out = request.body().unwrap();
    let future = handle(request, None)?;
    {
        let stream = out.write().unwrap();
        for piece in vec![b'x'; size].chunks(4096) {
            if let Err(StreamError::LastOperationFailed(error)) = stream.blocking_write_and_flush(piece) {
                return Err(http_error_code(&error).expect("an error of http"));
            }
        }
    }
    OutgoingBody::finish(out, None)?;
    whole(future)
}

/// Each rule of fields, as far as no request is needed.
fn fields() -> String {
    let fields = Fields::new();
    fields.append("X-One", b"1").unwrap();
    fields.append("x-one", b"2").unwrap();
    assert_eq!(fields.get("X-ONE"), [b"1".to_vec(), b"2".to_vec()]);
    assert!(fields.has("x-One") && !fields.has("x-two") && fields.get("x-two").is_empty());
    assert_eq!(fields.entries()[0].0, "X-One");
    fields.set("x-one", &[b"3".to_vec()]).unwrap();
    assert_eq!(fields.entries(), [("x-one".to_owned(), b"3".to_vec())]);
    let copy = fields.clone();
    fields.delete("X-one").unwrap();
    assert!(fields.entries().is_empty() && copy.has("x-one"));
    assert!(matches!(fields.append("a b", b""), Err(HeaderError::InvalidSyntax)));
    assert!(matches!(fields.append("a", b"x\ny"), Err(HeaderError::InvalidSyntax)));
    assert!(matches!(fields.append("Host", b"x"), Err(HeaderError::Forbidden)));
    assert!(matches!(fields.set("transfer-encoding", &[]), Err(HeaderError::Forbidden)));
    assert!(matches!(Fields::from_list(&[("te".to_owned(), vec![])]).err(), Some(HeaderError::Forbidden)));
    let request = OutgoingRequest::new(copy);
    assert!(matches!(request.headers().append("a", b""), Err(HeaderError::Immutable)));
    assert!(matches!(request.headers().delete("x-one"), Err(HeaderError::Immutable)));
    request.headers().clone().append("a", b"").unwrap();
    assert!(request.set_method(&Method::Other("G E T".to_owned())).is_err());
    assert!(request.set_path_with_query(Some("/a b")).is_err());
    for (more, right) in [(0, true), (1, false)] {
        assert_eq!(request.set_path_with_query(Some(&format!("/{}", "x".repeat(8191 + more)))).is_ok(), right);
        assert_eq!(request.set_authority(Some(&"x".repeat(8192 + more))).is_ok(), right);
    }
    request.set_path_with_query(None).unwrap();
    request.set_authority(None).unwrap();
    assert!(request.set_authority(Some("user@host")).is_err());
    assert!(request.set_scheme(Some(&Scheme::Other("1".to_owned()))).is_err());
    assert!(matches!(request.method(), Method::Get));
    assert!(request.scheme().is_none() && request.authority().is_none() && request.path_with_query().is_none());
    assert!(request.body().is_ok() && request.body().is_err());
    let options = RequestOptions::new();
    assert_eq!(options.connect_timeout(), None);
    options.set_connect_timeout(Some(5)).unwrap();
    options.set_between_bytes_timeout(Some(7)).unwrap();
    let times = (options.connect_timeout(), options.first_byte_timeout(), options.between_bytes_timeout());
    assert_eq!(times, (Some(5), None, Some(7)));
    "all".to_owned()
}

/// Never comes to its end.
fn many_fields() -> String {
    let fields = Fields::new();
    for number in 0.. {
        fields.append("a", &vec![b'x'; 1000]).unwrap();
        assert!(number < 10_000);
    }
    String::new()
}
