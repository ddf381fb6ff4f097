//! Typed calls: functions of an actor's own interface, called by name, with WAVE in and out.

use std::time::Duration;

use troupe_log::SimDisk;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{id, node_on, power_cut, replay, spec};

async fn typed(node: &Node, function: &str, arguments: &str) -> Result<String, CallError> {
    node.call_typed(&id("account"), &format!("bank:ledger/account#{function}"), arguments).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_of_an_interface_are_called_by_name_recorded_and_replayed() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("account", "typed")).await.unwrap();
    assert_eq!(typed(&node, "balance", "()").await.unwrap(), "0");
    assert_eq!(typed(&node, "deposit", "(1000)").await.unwrap(), "ok(1000)");
    assert_eq!(typed(&node, "withdraw", "(1)").await.unwrap(), "ok(999)");
    let refused = "err(\"insufficient funds: 999 < 1000\")";
    assert_eq!(typed(&node, "withdraw", "(1000)").await.unwrap(), refused, "the interface's own error is its answer");
    let versioned = "bank:ledger/account@0.1.0#deposit";
    assert_eq!(node.call_typed(&id("account"), versioned, "(1)").await.unwrap(), "ok(1000)");
    let about = "{owner: \"Zoë\", initial: 'Ω', tier: gold, rights: {deposit, close}, contact: phone((49, 301234567)), \
                 history: [{amount: 1000, note: some(\"deposit\")}, {amount: -1}, {amount: 1, note: some(\"deposit\")}], \
                 limits: (255, -128, 65535, -32768, 4294967295, -2147483648), rate: -0.125, factor: 1.5, closed: false, \
                 last: some(ok(1))}";
    let told = typed(&node, "describe", "()").await.unwrap();
    assert_eq!(told, about);
    // What it says of itself can be said to it.
    let echoed = typed(&node, "echo", &format!("({told}, [0, 1, 255])")).await.unwrap();
    assert_eq!(echoed, format!("({told}, [0, 1, 255])"));

    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(typed(&node, "balance", "()").await.unwrap(), "1000");
    assert_eq!(typed(&node, "describe", "()").await.unwrap(), told);
    let summary = replay(&node, "account", "typed").await.unwrap();
    assert_eq!(summary.records, node.actor(&id("account")).await.unwrap().next.0);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typed_call_has_a_key_and_a_timeout_like_any_other() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("account", "typed")).await.unwrap();
    let deposit = |amount: u64| {
        let (node, call) = (node.clone(), Outgoing::new("bank:ledger/account#deposit", []).key("d"));
        async move { node.call_typed_with(&id("account"), call, &format!("({amount})")).await }
    };
    assert_eq!(deposit(5).await.unwrap(), "ok(5)");
    assert_eq!(deposit(5).await.unwrap(), "ok(5)", "the first answer");
    assert!(matches!(deposit(6).await.unwrap_err(), CallError::Invalid(_)), "other arguments");
    let call = || Outgoing::new("bank:ledger/account#balance", []).timeout(Duration::from_micros(0));
    let late = node.call_typed_with(&id("account"), call(), "()").await;
    assert_eq!(late.unwrap_err(), CallError::Timeout);
    let node = node_on(&power_cut(node, &disk)).await;
    let again = Outgoing::new("bank:ledger/account#deposit", []).key("d");
    assert_eq!(node.call_typed_with(&id("account"), again, "(5)").await.unwrap(), "ok(5)");
    assert_eq!(typed(&node, "balance", "()").await.unwrap(), "5");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_arguments_and_unknown_functions_are_refused_before_they_are_messages() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("account", "typed")).await.unwrap();
    let records = node.actor(&id("account")).await.unwrap().next;
    for arguments in ["", "()", "(-1)", "(18446744073709551616)", "(\"1\")", "(1, 2)", "(1", "1)", "(amount)"] {
        let error = typed(&node, "deposit", arguments).await.unwrap_err();
        assert!(matches!(&error, CallError::Invalid(_)), "{arguments}: {error}");
    }
    for info in ["({}, [])", "({owner: 1}, [])", "([], {})"] {
        let error = typed(&node, "echo", info).await.unwrap_err();
        assert!(matches!(&error, CallError::Invalid(_)), "{info}: {error}");
    }
    for function in ["rob", "", "account#deposit"] {
        let error = typed(&node, function, "(1)").await.unwrap_err();
        let CallError::Invalid(text) = &error else { panic!("{error}") };
        assert!(text.contains(&format!("exports no function `bank:ledger/account#{function}`")), "{text}");
        assert!(text.contains("bank:ledger/account#deposit"), "what there is: {text}");
    }
    let error = node.call_typed(&id("nobody"), "bank:ledger/account#balance", "()").await.unwrap_err();
    assert_eq!(error, CallError::NotFound("default/nobody".to_owned()));
    assert_eq!(node.actor(&id("account")).await.unwrap().next, records, "nothing of it is recorded");
    assert_eq!(typed(&node, "balance", "()").await.unwrap(), "0");
    node.close().await.unwrap();
}

/// The same functions are message types: whoever sends other bytes than arguments gets an error, and the actor no fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_arguments_are_refused_and_a_trap_is_a_fault() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("account", "typed")).await.unwrap();
    typed(&node, "deposit", "(5)").await.unwrap();
    for bytes in [&b""[..], b"\x01\0\0\0\0\0\0", b"\x01\0\0\0\0\0\0\0\0", &[0xff; 100]] {
        let message = Outgoing::new("bank:ledger/account#deposit", bytes);
        let error = node.call(&id("account"), message).await.unwrap_err();
        assert!(matches!(&error, CallError::Refused(text) if text.starts_with("argument")), "{bytes:?}: {error}");
    }
    let whole = Outgoing::new("bank:ledger/account#deposit", &1_u64.to_le_bytes()[..]);
    node.call(&id("account"), whole).await.unwrap();
    assert_eq!(typed(&node, "balance", "()").await.unwrap(), "6");
    assert_eq!(node.actor(&id("account")).await.unwrap().faults, 0);
    let error = typed(&node, "close", "()").await.unwrap_err();
    assert!(matches!(&error, CallError::Faulted { cause, committed: false } if cause.starts_with("trap: ")), "{error}");
    assert_eq!(typed(&node, "balance", "()").await.unwrap(), "6");
    replay(&node, "account", "typed").await.unwrap();
    node.close().await.unwrap();
}
