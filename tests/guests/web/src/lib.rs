//! A component of the ordinary `wasi:http/proxy` world, made with the `wasi` crate and nothing of ours: what the path says is
//! what it does. It counts its requests, so that a test sees whether its memory stays.

use std::cell::Cell;

use wasi::exports::http::incoming_handler::Guest;
use wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
};
use wasi::io::streams::StreamError;

struct Web;
wasi::http::proxy::export!(Web);

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

impl Guest for Web {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let count = COUNT.get() + 1;
        COUNT.set(count);
        let path = request.path_with_query().unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        match path.rsplit('/').next().unwrap_or_default() {
            "count" => answer(outparam, 200, &[], format!("{count}").as_bytes()),
            "echo" => {
                let (body, trailers) = read(&request);
                let said = request.headers().get("x-said").pop().unwrap_or_default();
                let told = [("x-method", format!("{:?}", request.method()).into_bytes()), ("X-Said", said)];
                answer_with(outparam, 200, &told, &body, trailers);
            }
            "where" => {
                let host = request.headers().get("host").pop().unwrap_or_default();
                let authority = request.authority().unwrap_or_default();
                let said = format!("{:?} {authority} {}", request.scheme(), String::from_utf8_lossy(&host));
                answer(outparam, 200, &[], said.as_bytes());
            }
            "unused" => {
                // Looked at, and dropped before another is given.
                let fields = Fields::new();
                fields.append("x-one", b"1").unwrap();
                let response = OutgoingResponse::new(fields);
                assert_eq!(response.status_code(), 200);
                response.set_status_code(204).unwrap();
                assert_eq!(response.status_code(), 204);
                for wrong in [99, 199, 600] {
                    assert!(response.set_status_code(wrong).is_err() && response.status_code() == 204);
                }
                let headers = response.headers();
                assert_eq!(headers.get("X-One"), [b"1".to_vec()]);
                assert!(headers.append("x-two", b"2").is_err(), "they cannot be changed any more");
                drop(headers);
                drop(response);
                answer(outparam, 200, &[], b"another");
            }
            "status" => answer(outparam, query.parse().unwrap_or(500), &[], b""),
            "status-and-body" => answer(outparam, query.parse().unwrap_or(500), &[], b"a body"),
            "bodiless" => {
                let response = OutgoingResponse::new(Fields::new());
                response.set_status_code(202).unwrap();
                ResponseOutparam::set(outparam, Ok(response));
            }
            "nothing" => drop(outparam),
            "error" => {
                let error = wasi::http::types::ErrorCode::InternalError(Some("on purpose".into()));
                ResponseOutparam::set(outparam, Err(error));
            }
            "half" => {
                let response = OutgoingResponse::new(Fields::new());
                let body = response.body().unwrap();
                ResponseOutparam::set(outparam, Ok(response));
                body.write().unwrap().blocking_write_and_flush(b"half").unwrap();
                // Dropped without its end.
            }
            "trap" => panic!("on purpose"),
            "large" => {
                let bytes = vec![b'x'; query.parse().unwrap_or(0)];
                answer(outparam, 200, &[], &bytes);
            }
            "pass" => {
                // From stream to stream, without looking.
                let response = OutgoingResponse::new(Fields::new());
                let out = response.body().unwrap();
                ResponseOutparam::set(outparam, Ok(response));
                let body = request.consume().unwrap();
                {
                    let (from, to) = (body.stream().unwrap(), out.write().unwrap());
                    while to.blocking_splice(&from, 1000).is_ok() {}
                }
                OutgoingBody::finish(out, None).unwrap();
            }
            "meet" => {
                // Asks the host of the query, and answers when it is answered.
                let told = ask(query);
                answer(outparam, 200, &[], format!("{count} {told}").as_bytes());
            }
            "stream" => {
                // A part before it asks, one behind, and trailers.
                let response =
                    OutgoingResponse::new(Fields::from_list(&[("trailer".to_owned(), b"x-parts".to_vec())]).unwrap());
                let out = response.body().unwrap();
                ResponseOutparam::set(outparam, Ok(response));
                {
                    let to = out.write().unwrap();
                    to.blocking_write_and_flush(b"first ").unwrap();
                    let told = ask(query);
                    to.blocking_write_and_flush(told.as_bytes()).unwrap();
                }
                let trailers = Fields::from_list(&[("x-parts".to_owned(), b"2".to_vec())]).unwrap();
                OutgoingBody::finish(out, Some(trailers)).unwrap();
            }
            "stream-broken" => {
                let response = OutgoingResponse::new(Fields::new());
                let out = response.body().unwrap();
                ResponseOutparam::set(outparam, Ok(response));
                out.write().unwrap().blocking_write_and_flush(b"first ").unwrap();
                ask(query);
                panic!("on purpose");
            }
            "flood" => {
                // As many pieces of 4 KiB as the query says, or until nobody takes them.
                let response = OutgoingResponse::new(Fields::new());
                let out = response.body().unwrap();
                ResponseOutparam::set(outparam, Ok(response));
                {
                    let to = out.write().unwrap();
                    for _ in 0..query.parse().unwrap_or(0) {
                        if to.blocking_write_and_flush(&[b'x'; 4096]).is_err() {
                            break;
                        }
                    }
                }
                let _ = OutgoingBody::finish(out, None);
            }
            "upload" => {
                // Asks the host of the query once the first bytes are there, then reads the rest.
                let body = request.consume().unwrap();
                let mut size = 0;
                let mut failed = String::new();
                {
                    let from = body.stream().unwrap();
                    let mut told = None;
                    loop {
                        match from.blocking_read(1 << 20) {
                            Ok(bytes) => {
                                size += bytes.len();
                                if told.is_none() && !query.is_empty() {
                                    told = Some(ask(query));
                                }
                            }
                            Err(StreamError::Closed) => break,
                            Err(StreamError::LastOperationFailed(error)) => {
                                failed = format!(" {}", error.to_debug_string());
                                break;
                            }
                        }
                    }
                }
                answer(outparam, 200, &[], format!("{size}{failed}").as_bytes());
            }
            _ => answer(outparam, 404, &[], b"nothing here"),
        }
    }
}

/// GET of `/held` there.
fn ask(authority: &str) -> String {
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    request.set_path_with_query(Some("/held")).unwrap();
    let coming = wasi::http::outgoing_handler::handle(request, None).unwrap();
    coming.subscribe().block();
    let response = match coming.get().expect("ready").expect("first") {
        Ok(response) => response,
        Err(error) => return format!("{error:?}"),
    };
    let body = response.consume().unwrap();
    let stream = body.stream().unwrap();
    let mut all = Vec::new();
    while let Ok(bytes) = stream.blocking_read(1000) {
        all.extend(bytes);
    }
    String::from_utf8(all).unwrap()
}

fn read(request: &IncomingRequest) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let body = request.consume().expect("once");
    assert!(request.consume().is_err());
    let mut all = Vec::new();
    {
        let stream = body.stream().expect("once");
        loop {
            match stream.blocking_read(1000) {
                Ok(bytes) => all.extend(bytes),
                Err(StreamError::Closed) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    let trailers = wasi::http::types::IncomingBody::finish(body);
    trailers.subscribe().block();
    let trailers = trailers.get().expect("ready").expect("first").expect("whole");
    (all, trailers.map(|trailers| trailers.entries()).unwrap_or_default())
}

fn answer(outparam: ResponseOutparam, status: u16, headers: &[(&str, Vec<u8>)], body: &[u8]) {
    answer_with(outparam, status, headers, body, Vec::new());
}

fn answer_with(
    outparam: ResponseOutparam,
    status: u16,
    headers: &[(&str, Vec<u8>)],
    body: &[u8],
    trailers: Vec<(String, Vec<u8>)>,
) {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value).unwrap();
    }
    let response = OutgoingResponse::new(fields);
    let right = response.set_status_code(status).is_ok();
    if !right {
        response.set_status_code(500).unwrap();
    }
    let out = response.body().expect("once");
    ResponseOutparam::set(outparam, Ok(response));
    {
        let stream = out.write().expect("once");
        for piece in body.chunks(4096) {
            stream.blocking_write_and_flush(piece).unwrap();
        }
    }
    let trailers = (!trailers.is_empty()).then(|| Fields::from_list(&trailers).unwrap());
    OutgoingBody::finish(out, trailers).unwrap();
}
