//! `channels`: queues and topics.

use crate::Grasp;
use crate::troupe::actor::channels::*;

fn options() -> SendOptions {
    SendOptions { delay: None, ttl: None, headers: Vec::new() }
}

pub const GRASPS: &[Grasp] = &[
    ("channels.send-to-queue", |queue| send_to_queue(queue, "grasp", b"").map(drop)),
    ("channels.send-to-queue-with", |queue| send_to_queue_with(queue, "grasp", b"", &options()).map(drop)),
    ("channels.send-many", |queue| {
        let one = Outgoing { message_type: "grasp".to_string(), payload: Vec::new(), options: options() };
        send_many(queue, &[one]).map(drop)
    }),
    ("channels.receive-from-queue", |queue| receive_from_queue(queue, Some(0)).map(drop)),
    ("channels.receive-many", |queue| receive_many(queue, 1, Some(0)).map(drop)),
    ("channels.ack", |queue| ack(queue, "receipt")),
    ("channels.nack", |queue| nack(queue, "receipt", OnNack::Requeue)),
    ("channels.extend", |queue| extend(queue, "receipt", 1)),
    ("channels.queue-depth", |queue| queue_depth(queue).map(drop)),
    ("channels.publish-to-topic", |topic| publish_to_topic(topic, "grasp", b"").map(drop)),
    ("channels.subscribe", |pattern| subscribe(pattern).map(drop)),
];
