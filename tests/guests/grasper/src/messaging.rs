//! `messaging`: what reaches another actor.

use crate::Grasp;
use crate::troupe::actor::messaging::{
    RequestOptions, forward, request, request_with, send_after, send_every, send_message, send_with,
};

pub const GRASPS: &[Grasp] = &[
    ("messaging.send-message", |to| send_message(to, "grasp", b"").map(drop)),
    ("messaging.send-with", |to| send_with(to, "grasp", b"", &[]).map(drop)),
    ("messaging.request", |to| request(to, "grasp", b"", Some(1)).map(drop)),
    ("messaging.request-with", |to| {
        let options = RequestOptions { timeout: Some(1), headers: Vec::new(), idempotency_key: None };
        request_with(to, "grasp", b"", &options).map(drop)
    }),
    ("messaging.forward", |to| forward(to)),
    ("messaging.send-after", |to| send_after(1, to, "grasp", b"").map(drop)),
    ("messaging.send-every", |to| send_every(60_000, to, "grasp", b"").map(drop)),
];
