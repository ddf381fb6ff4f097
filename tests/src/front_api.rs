//! The management API as any program sees it: HTTP on loopback, a token, JSON.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::front_support::{Folder, http};
use crate::support::guest;

/// A request with the token; the body of the answer as JSON.
fn ask(endpoint: &Value, request: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
    let (status, body) = raw(endpoint, request, headers, body);
    (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}

fn raw(endpoint: &Value, request: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
    let token = format!("Bearer {}", endpoint["token"].as_str().unwrap());
    http(endpoint, request, &[headers, &[("authorization", &token)]].concat(), body)
}

#[test]
fn only_who_may_read_the_folder_is_let_in() {
    let here = Folder::with("counter-rust");
    let _node = here.node(&[]);
    let file = here.path().join(".troupe/api.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let endpoint = here.endpoint();
    let (status, body) = http(&endpoint, "GET /v1/actors", &[], b"");
    let failure: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &failure["code"]), (401, &json!("unauthorized")));
    assert!(failure["help"].as_str().unwrap().contains("api.json"));
    assert_eq!(http(&endpoint, "GET /v1/actors", &[("authorization", "Bearer 0")], b"").0, 401);
    assert_eq!(raw(&endpoint, "GET /v1/actors", &[], b"").0, 200);
    assert!(endpoint["address"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn an_actor_is_uploaded_started_called_and_stopped() {
    let here = Folder::with("generic");
    let _node = here.node(&[]);
    let api = here.endpoint();
    let component = fs::read(guest("counter-rust")).unwrap();
    let (status, info) = ask(&api, "POST /v1/components?name=counter&version=1.0.0", &[], &component);
    assert_eq!(status, 200, "{info}");
    assert_eq!(info["size"], component.len());
    let digest = info["digest"].as_str().unwrap();
    for (id, component) in [("one", digest), ("two", "counter@1.0.0")] {
        let manifest = format!("[actor]\nname = \"{id}\"\ncomponent = \"{component}\"\ninit = {{ text = \"7\" }}\n");
        let (status, started) =
            ask(&api, "POST /v1/actors", &[], json!({ "manifest": manifest }).to_string().as_bytes());
        assert_eq!((status, &started["actors"][0]["id"]), (200, &json!(format!("default/{id}"))), "{started}");
    }
    let call = json!({ "type": "add", "text": "1" }).to_string();
    assert_eq!(ask(&api, "POST /v1/actors/one/call", &[], call.as_bytes()), (200, json!({ "text": "8" })));
    let (status, body) = raw(&api, "POST /v1/actors/default%2Fone/call", &[("troupe-type", "echo")], &[0, 255]);
    assert_eq!((status, body.as_slice()), (200, &[0, 255][..]), "raw in, raw out");
    let base64 = json!({ "type": "echo", "base64": "AP8=" }).to_string();
    assert_eq!(ask(&api, "POST /v1/actors/one/call", &[], base64.as_bytes()), (200, json!({ "base64": "AP8=" })));
    let (status, accepted) = ask(&api, "POST /v1/actors/two/send", &[("troupe-type", "add")], b"3");
    assert_eq!((status, accepted["id"].as_str().unwrap().len()), (200, 32));
    let keyed = [("troupe-type", "add"), ("troupe-key", "k")];
    let (status, refused) = ask(&api, "POST /v1/actors/two/send", &keyed, b"3");
    assert_eq!((status, &refused["code"]), (400, &json!("invalid-argument")), "no promise that is not kept");
    let (_, actors) = ask(&api, "GET /v1/actors", &[], b"");
    let ids: Vec<&str> = actors.as_array().unwrap().iter().map(|a| a["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["default/actor", "default/one", "default/two"]);
    let (status, refused) = ask(&api, "POST /v1/actors/one/call", &[("troupe-type", "add")], b"x");
    assert_eq!((status, &refused["code"]), (422, &json!("refused")));
    assert_eq!(raw(&api, "DELETE /v1/actors/one", &[], b"").0, 204);
    assert_ne!(raw(&api, "POST /v1/actors/one/call", &[("troupe-type", "get")], b"").0, 200);
    let (status, taken) =
        ask(&api, "POST /v1/components?name=counter&version=1.0.0", &[], &fs::read(guest("faulty")).unwrap());
    assert_eq!((status, &taken["code"]), (409, &json!("already-exists")), "a name never changes its bytes");
}

#[test]
fn a_journal_is_read_over_the_api() {
    let here = Folder::with("counter-rust");
    let _node = here.node(&[]);
    let api = here.endpoint();
    raw(&api, "POST /v1/actors/actor/call", &[("troupe-type", "add")], b"5");
    let (status, lines) = raw(&api, "GET /v1/actors/actor/journal?from=5", &[], b"");
    let records: Vec<Value> =
        lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
    assert_eq!(status, 200);
    assert_eq!((&records[0]["seq"], &records[0]["kind"]), (&json!(5), &json!("turn-begin")));
    let (status, verified) = ask(&api, "GET /v1/actors/actor/journal/verify", &[], b"");
    assert_eq!((status, &verified["good"]), (200, &json!(true)));
    assert_eq!(verified["head"], records.last().unwrap()["head"], "the head that it ends with");
    let (status, file) = raw(&api, "GET /v1/actors/actor/journal/export", &[], b"");
    let export = troupe_log::export::read(&file).unwrap();
    assert_eq!((status, export.end.next.0), (200, verified["records"].as_u64().unwrap()));
    assert_eq!(ask(&api, "GET /v1/actors/nobody/journal", &[], b"").0, 404);
    assert_eq!(ask(&api, "GET /v1/actors/actor/journal?form=5", &[], b"").0, 400);
}

#[test]
fn a_typed_call_over_the_api() {
    let here = Folder::new();
    let _node = here.node(&[guest("typed").to_str().unwrap()]);
    let api = here.endpoint();
    let body = json!({ "function": "bank:ledger/account#deposit", "arguments": "(42)" }).to_string();
    assert_eq!(ask(&api, "POST /v1/actors/typed/typed", &[], body.as_bytes()), (200, json!({ "result": "ok(42)" })));
}
