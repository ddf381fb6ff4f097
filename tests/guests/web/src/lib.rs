//! A component of the ordinary `wasi:http/proxy` world, made with the `wasi` crate and nothing of ours: what the path says is
//! what it does. It counts its requests, so that a test sees whether its memory stays.

use std::cell::Cell;

use wasi::exports::http::incoming_handler::Guest;
use wasi::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
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
            "status" => answer(outparam, query.parse().unwrap_or(500), &[], b""),
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
            _ => answer(outparam, 404, &[], b"nothing here"),
        }
    }
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
