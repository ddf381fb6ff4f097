//! wasi:sockets against peers on this machine: live, over a power cut, in replay where no peer is left; and its grant.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use troupe_log::{Kind, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::manifest::{ActorSpec, AddressRange, NamePattern, OnFault, Sockets};
use troupe_runtime::node::{Node, NodeOptions, Outgoing};

use crate::support::{ask, count, id, node_on, options, power_cut, replay, spec};

fn ranges(list: &[&str]) -> Vec<AddressRange> {
    list.iter().map(|text| AddressRange::parse(text).unwrap()).collect()
}

/// All of this machine.
pub fn network() -> ActorSpec {
    let mut network = spec("network", "network");
    network.grants.sockets = Some(Sockets {
        connect: ranges(&["127.0.0.1:*", "[::1]:*"]),
        listen: ranges(&["127.0.0.1:*"]),
        udp: ranges(&["127.0.0.1:*"]),
        udp_bind: ranges(&["127.0.0.1:*"]),
        lookup: vec![NamePattern::parse("localhost").unwrap()],
    });
    network.supervision.on_fault = OnFault::Skip;
    network
}

async fn answers(node: &Node, message_type: &str, payload: &str) -> String {
    ask(node, "network", message_type, payload).await.unwrap()
}

/// A peer that says back what it hears, a connection after the other, until it ends.
pub async fn echoing() -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let echoes = tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = peer.split();
                // A peer that resets is gone.
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    (at, echoes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_connections_out_and_in_work_live_and_after_a_power_cut_and_replay_without_a_peer() {
    let (peer, echoes) = echoing().await;
    let mut disk = SimDisk::new();
    let mut node = node_on(&disk).await;
    node.start(network()).await.unwrap();
    for when in ["live", "after a power cut"] {
        assert_eq!(answers(&node, "echo", &format!("{peer} hello")).await, "hello", "{when}");
        assert_eq!(answers(&node, "tcp-options", "").await, "ok", "{when}");
        assert_eq!(answers(&node, "tcp-states", "127.0.0.1:0").await, "ok", "{when}");
        let at = answers(&node, "listen", "127.0.0.1:0").await;
        let serving = tokio::spawn({
            let node = node.clone();
            async move { ask(&node, "network", "serve", "").await }
        });
        let mut client = tokio::net::TcpStream::connect(&at).await.unwrap();
        client.write_all(b"knock").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "knock", "{when}");
        assert_eq!(serving.await.unwrap().unwrap(), "knock", "{when}");
        if when == "live" {
            node.sync().await.unwrap();
            let after = power_cut(node, &disk);
            disk = after;
            node = node_on(&disk).await;
            assert!(node.start(network()).await.unwrap().resumed);
        }
    }
    echoes.abort();
    let summary = replay(&node, "network", "network").await.unwrap();
    assert_eq!(summary.records, node.actor(&id("network")).await.unwrap().next.0);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_go_and_come_live_and_after_a_power_cut_and_replay_without_a_peer() {
    let peer = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = peer.local_addr().unwrap();
    let echoes = tokio::spawn(async move {
        let mut buffer = [0; 64];
        while let Ok((len, from)) = peer.recv_from(&mut buffer).await {
            peer.send_to(&buffer[..len], from).await.unwrap();
        }
    });
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(network()).await.unwrap();
    assert_eq!(answers(&node, "datagram", &format!("127.0.0.1:0 {at} hello")).await, "hello");
    assert_eq!(answers(&node, "udp-options", "").await, "ok");
    assert_eq!(answers(&node, "udp-states", "").await, "ok");
    node.sync().await.unwrap();
    let after = power_cut(node, &disk);
    let node = node_on(&after).await;
    assert!(node.start(network()).await.unwrap().resumed);
    assert_eq!(answers(&node, "datagram", &format!("127.0.0.1:0 {at} again")).await, "again");
    echoes.abort();
    replay(&node, "network", "network").await.unwrap();
    node.close().await.unwrap();
}

/// "Live (sockets ..): dead, each function answers with its interface's error for a lost peer, pollables are ready."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_held_is_a_lost_peer_after_a_power_cut_and_each_function_says_so() {
    let (peer, _echoes) = echoing().await;
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(network()).await.unwrap();
    answers(&node, "listen", "127.0.0.1:0").await;
    assert_eq!(answers(&node, "hold", &peer.to_string()).await, "held");
    assert_eq!(answers(&node, "say", "hello").await, "said");
    assert_eq!(answers(&node, "read", "").await, "hello");
    answers(&node, "udp-hold", &format!("127.0.0.1:0 {}", datagrams.local_addr().unwrap())).await;
    node.sync().await.unwrap();

    let after = power_cut(node, &disk);
    let node = node_on(&after).await;
    let tcp = answers(&node, "tcp-lost", "").await;
    for line in tcp.lines() {
        let (function, said) = line.split_once(' ').unwrap();
        match function {
            "is-listening" => assert_eq!(said, "false"),
            "read" | "blocking-read" | "skip" | "check-write" | "write" | "blocking-flush" => {
                assert!(said.contains("did not survive"), "{line}");
            }
            _ => assert_eq!(said, "connection-reset", "{line}"),
        }
    }
    assert_eq!(tcp.lines().count(), 20);
    let udp = answers(&node, "udp-lost", "").await;
    assert!(udp.lines().all(|line| line.ends_with(" connection-reset")), "{udp}");
    assert_eq!(udp.lines().count(), 12);
    // It goes on by connecting again.
    assert_eq!(answers(&node, "hold", &peer.to_string()).await, "held");
    assert_eq!(answers(&node, "say", "again").await, "said");
    assert_eq!(answers(&node, "read", "").await, "again");
    replay(&node, "network", "network").await.unwrap();
    node.close().await.unwrap();
}

/// "Nothing leaves the node before it is durable": each byte that a peer gets stands behind an intent that a power cut keeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_at_each_operation_of_the_disk_a_peer_hears_nothing_that_the_journal_does_not_know() {
    let mut answered = std::collections::BTreeSet::new();
    for operations in 0.. {
        assert!(operations < 200, "the call never ends");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let peer = tokio::spawn(async move {
            let mut heard = Vec::new();
            loop {
                let Ok((mut peer, _)) = listener.accept().await else { break heard };
                let mut text = String::new();
                if peer.read_to_string(&mut text).await.is_ok() && text == "done" {
                    break heard;
                }
                let _ = peer.write_all(text.as_bytes()).await;
                heard.push(text);
            }
        });
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        node.start(network()).await.unwrap();
        let call = Outgoing::new("echo", format!("{at} hello").into_bytes()).key("once");
        disk.cut_after(operations);
        let whole = node.call(&id("network"), call.clone()).await.is_ok();
        drop(node);
        disk.crash();

        let node = node_on(&disk).await;
        // What the peer may have heard before is what the journal that is left says was meant to be sent.
        let intents = match node.actor(&id("network")).await {
            Ok(_) => count(&node, "network", Kind::Intent).await,
            Err(_) => 0,
        };
        let answer = node.call(&id("network"), call).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        replay(&node, "network", "network").await.unwrap();
        node.close().await.unwrap();

        let mut done = tokio::net::TcpStream::connect(at).await.unwrap();
        done.write_all(b"done").await.unwrap();
        done.shutdown().await.unwrap();
        let heard = peer.await.unwrap();
        let said = heard.iter().filter(|text| *text == "hello").count();
        assert!(heard.len() <= 2, "{operations}: {heard:?}");
        match answer.as_str() {
            "hello" => assert_eq!(said, 1, "{operations}: heard {heard:?}"),
            lost => assert!(
                lost.contains("connection-reset") || lost.contains("did not survive") || lost.contains("unknown"),
                "{operations}: {lost}"
            ),
        }
        if heard.len() == 2 {
            assert!(intents > 0, "{operations}: a connection before its intent");
        }
        answered.insert(answer);
        if whole {
            break;
        }
    }
    assert!(answered.len() >= 2 && answered.contains("hello"), "{answered:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_looked_up_and_a_lookup_of_which_nothing_was_taken_is_made_again() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(network()).await.unwrap();
    let local = |text: &str| {
        text.split(' ').all(|ip| ip.parse::<std::net::IpAddr>().unwrap_or_else(|_| panic!("{text}")).is_loopback())
    };
    assert!(local(&answers(&node, "lookup", "localhost").await));
    assert!(local(&answers(&node, "lookup", "LOCALHOST").await));
    assert_eq!(answers(&node, "lookup", "192.0.2.1").await, "192.0.2.1", "written out, it needs no grant");
    assert_eq!(answers(&node, "lookup", "[2001:db8::1]").await, "2001:db8::1");
    assert_eq!(answers(&node, "lookup", "a/b").await, "err: invalid-argument");
    assert_eq!(answers(&node, "lookup-hold", "localhost").await, "held");
    node.sync().await.unwrap();

    let after = power_cut(node, &disk);
    let node = node_on(&after).await;
    assert!(local(&answers(&node, "lookup-next", "").await));
    node.sync().await.unwrap();
    let again = power_cut(node, &after);
    let node = node_on(&again).await;
    assert_eq!(answers(&node, "lookup-next", "").await, "err: temporary-resolver-failure", "what it had taken is gone");
    assert_eq!(count(&node, "network", Kind::Denial).await, 0);
    replay(&node, "network", "network").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_granted_is_access_denied_before_anything_leaves_and_a_denial() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams.set_nonblocking(true).unwrap();
    let (granted, denied) = (listener.local_addr().unwrap(), other.local_addr().unwrap());
    let peer = datagrams.local_addr().unwrap();
    let mut network = network();
    network.grants.sockets = Some(Sockets {
        connect: ranges(&["*:*", &granted.to_string()]),
        listen: ranges(&["*:*"]),
        udp: ranges(&["*:*"]),
        udp_bind: ranges(&["*:*", "127.0.0.1:*", "0.0.0.0:0"]),
        lookup: vec![NamePattern::parse("*.example.com").unwrap()],
    });
    let node = node_on(&SimDisk::new()).await;
    node.start(network).await.unwrap();
    assert_eq!(answers(&node, "connect", &granted.to_string()).await, "connected");
    let denials = [
        ("connect", denied.to_string()),
        ("connect", "169.254.169.254:80".to_owned()),
        ("connect", "10.0.0.1:80".to_owned()),
        ("connect", "[fd00::1]:80".to_owned()),
        ("connect", "0.0.0.1:80".to_owned()),
        ("listen", "127.0.0.1:0".to_owned()),
        // Bound, as before a connect; but not to listen at.
        ("listen", "0.0.0.0:0".to_owned()),
        ("datagram", format!("127.0.0.1:0 {peer} hello")),
        ("udp-hold", format!("127.0.0.1:0 {peer}")),
        ("lookup", "localhost".to_owned()),
        ("lookup", "example.com".to_owned()),
        ("lookup", "db.example.com.evil.net".to_owned()),
    ];
    for (call, what) in &denials {
        assert_eq!(answers(&node, call, what).await, "err: access-denied", "{call} {what}");
    }
    assert_eq!(count(&node, "network", Kind::Denial).await, denials.len());
    assert!(listener.accept().is_ok());
    assert!(other.accept().is_err(), "somebody connected");
    assert!(datagrams.recv_from(&mut [0; 8]).is_err(), "somebody sent");
    replay(&node, "network", "network").await.unwrap();
    node.close().await.unwrap();
}

/// A socket that the system has bound to any port, as before a connect, listens only where the grant has that port, or leaves the
/// choice to the system.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_listens_only_at_a_port_that_is_granted() {
    for (listen, said) in [("0.0.0.0:1", "err: access-denied"), ("0.0.0.0:0", "0.0.0.0:")] {
        let mut network = network();
        let granted = network.grants.sockets.as_mut().unwrap();
        granted.listen = ranges(&[listen]);
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        node.start(network).await.unwrap();
        let answer = answers(&node, "listen", "0.0.0.0:0").await;
        assert!(answer.starts_with(said), "{listen}: {answer}");
        let denials = usize::from(said.contains("denied"));
        assert_eq!(count(&node, "network", Kind::Denial).await, denials, "{listen}");
        let node = node_on(&power_cut(node, &disk)).await;
        assert!(answers(&node, "listen", "0.0.0.0:0").await.starts_with(said), "{listen}, after a power cut");
        replay(&node, "network", "network").await.unwrap();
        node.close().await.unwrap();
    }
}

/// To bind needs a grant of its own, before there is a word of listening or sending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_is_bound_only_where_it_is_granted() {
    let mut network = network();
    network.grants.sockets.as_mut().unwrap().connect = Vec::new();
    let node = node_on(&SimDisk::new()).await;
    node.start(network).await.unwrap();
    assert!(answers(&node, "listen", "127.0.0.1:0").await.starts_with("127.0.0.1:"));
    assert_eq!(answers(&node, "udp-bind", "127.0.0.1:0").await, "bound");
    let denials = [
        ("tcp-states", "127.0.0.2:0"),
        // By the system's choice, for who may connect.
        ("tcp-states", "0.0.0.0:0"),
        ("udp-bind", "127.0.0.2:0"),
    ];
    for (call, at) in denials {
        assert_eq!(answers(&node, call, at).await, "err: access-denied", "{call} {at}");
    }
    assert_eq!(count(&node, "network", Kind::Denial).await, denials.len());
    replay(&node, "network", "network").await.unwrap();
    node.close().await.unwrap();
}

/// Of datagrams that are sent at once none leaves if one may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_datagram_that_is_not_granted_keeps_the_others() {
    let (peer, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (peer_at, other_at) = (peer.local_addr().unwrap(), other.local_addr().unwrap());
    let mut network = network();
    network.grants.sockets.as_mut().unwrap().udp = ranges(&[&peer_at.to_string()]);
    let node = node_on(&SimDisk::new()).await;
    node.start(network).await.unwrap();
    assert_eq!(answers(&node, "datagrams", &format!("{peer_at} {other_at}")).await, "err: access-denied");
    assert_eq!(answers(&node, "datagrams", &format!("{peer_at} {peer_at}")).await, "2");
    assert_eq!(count(&node, "network", Kind::Denial).await, 1);
    peer.set_nonblocking(true).unwrap();
    let heard = std::iter::from_fn(|| peer.recv_from(&mut [0; 8]).ok()).count();
    assert_eq!(heard, 2, "those of the second time");
    replay(&node, "network", "network").await.unwrap();
    node.close().await.unwrap();
}

/// "Nothing reaches a peer before its intent is durable": the power goes at each operation of the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_at_each_operation_of_the_disk_a_datagram_is_one_that_the_journal_knows() {
    let (mut heard_some, mut heard_none) = (false, false);
    for operations in 0.. {
        assert!(operations < 200, "the call never ends");
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_nonblocking(true).unwrap();
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        node.start(network()).await.unwrap();
        node.sync().await.unwrap();
        let before = count(&node, "network", Kind::Intent).await;
        let call = Outgoing::new("send-to", peer.local_addr().unwrap().to_string().into_bytes()).key("once");
        disk.cut_after(operations);
        let whole = node.call(&id("network"), call).await.is_ok();
        drop(node);
        disk.crash();
        let heard = std::iter::from_fn(|| peer.recv_from(&mut [0; 8]).ok()).count();
        let node = node_on(&disk).await;
        // Of its two intents the second is the datagram's: the first binds.
        let intents = count(&node, "network", Kind::Intent).await - before;
        assert!(heard == 0 || intents >= 2, "{operations}: heard {heard}, {intents} intents");
        heard_some |= heard > 0;
        heard_none |= heard == 0;
        node.close().await.unwrap();
        if whole {
            break;
        }
    }
    assert!(heard_some && heard_none);
}

/// Datagrams of peers that are not granted never reach the guest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_of_a_peer_that_is_not_granted_is_dropped() {
    let (peer, stranger) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let at = peer.local_addr().unwrap();
    let mut network = network();
    network.grants.sockets.as_mut().unwrap().udp = ranges(&[&at.to_string()]);
    let node = node_on(&SimDisk::new()).await;
    node.start(network).await.unwrap();
    let bound: SocketAddr = answers(&node, "udp-hold", &format!("127.0.0.1:0 {at}")).await.parse().unwrap();
    assert_eq!(peer.recv_from(&mut [0; 8]).unwrap().1, bound);
    stranger.send_to(b"psst", bound).unwrap();
    peer.send_to(b"hello", bound).unwrap();
    assert_eq!(answers(&node, "receive", "").await, "hello");
    replay(&node, "network", "network").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_has_at_most_so_many_sockets() {
    let node = node_on(&SimDisk::new()).await;
    node.start(network()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(answers(&node, "fill", "").await, "256 new-socket-limit", "those of the turn before are given back");
        assert_eq!(answers(&node, "udp-fill", "").await, "256 new-socket-limit", "of both kinds together");
    }
    // What comes in counts as what is made.
    let at = answers(&node, "listen", "127.0.0.1:0").await;
    let _client = tokio::net::TcpStream::connect(&at).await.unwrap();
    assert_eq!(answers(&node, "accept-full", "").await, "new-socket-limit, then 0 more");
    replay(&node, "network", "network").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_journal_sockets_work_too() {
    let (peer, _echoes) = echoing().await;
    let mut network = network();
    network.journal = troupe_runtime::manifest::Mode::Off;
    let node = node_on(&SimDisk::new()).await;
    node.start(network).await.unwrap();
    assert_eq!(answers(&node, "echo", &format!("{peer} hello")).await, "hello");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_holds_a_socket_is_not_evicted() {
    let (peer, _echoes) = echoing().await;
    let node = Node::open(NodeOptions { live: 1, ..options(&SimDisk::new()) }).await.unwrap();
    node.start(network()).await.unwrap();
    answers(&node, "hold", &peer.to_string()).await;
    let other = node.start(spec("other", "counter-rust")).await;
    assert!(matches!(other, Err(Error::AllBusy { live: 1 })), "{other:?}");
    answers(&node, "say", "hello").await;
    assert_eq!(answers(&node, "read", "").await, "hello");
    answers(&node, "let-go", "").await;
    node.start(spec("other", "counter-rust")).await.unwrap();
    assert_eq!(ask(&node, "other", "get", "").await.unwrap(), "0");
    node.close().await.unwrap();
}
