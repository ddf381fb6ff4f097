//! The bytes of queues in the log: docs/journal-format.md, "Tables of services".

use troupe_log::codec::{self, Reader, put_bytes, put_str, put_u8, put_u32, put_u64};
use troupe_log::{ActorId, Batch, NodeTime, Table};

use super::QueueMessage;
use super::queue::{Order, Standing};
use crate::actor::message::MessageId;
use crate::service::Which;

/// The row of a message as it was sent.
pub const MESSAGE: u8 = 0;
/// The row of what changes from delivery to delivery.
const STANDING: u8 = 1;
const VERSION: u8 = 1;

/// A row of the table, read back.
pub enum Row {
    /// A message as it was sent.
    Message(QueueMessage, Order),
    /// How it stands.
    Standing(u128, Standing),
}

/// Appends a key: rows of one message lie together, the message first.
pub fn put_key(out: &mut Vec<u8>, queue: &ActorId, id: u128, row: u8) {
    out.extend_from_slice(queue.as_str().as_bytes());
    out.push(0);
    out.extend_from_slice(&id.to_be_bytes());
    out.push(row);
}

/// Appends a message's value.
pub fn put_message(out: &mut Vec<u8>, message: &QueueMessage, order: Order) {
    put_u8(out, VERSION);
    put_order(out, order);
    put_u8(out, u8::from(message.expires.is_some()));
    put_u64(out, message.expires.map_or(0, |at| at.0));
    put_str(out, &message.from);
    put_str(out, &message.message_type);
    put_bytes(out, &message.payload);
    put_u32(out, message.headers.len() as u32);
    for (name, value) in &message.headers {
        put_str(out, name);
        put_str(out, value);
    }
}

/// Sets how a message stands.
pub fn put_standing(batch: &mut Batch, queue: &ActorId, id: u128, standing: &Standing) {
    let value = |out: &mut Vec<u8>| {
        put_u8(out, VERSION);
        put_order(out, standing.order);
        put_u32(out, standing.attempt);
        put_u8(out, u8::from(standing.delivery.is_some()));
        out.extend_from_slice(&standing.delivery.unwrap_or(0).to_le_bytes());
    };
    batch.put_with(Table::QUEUES, |out| put_key(out, queue, id, STANDING), value);
}

/// Removes a message.
pub fn delete(batch: &mut Batch, queue: &ActorId, id: u128) {
    for row in [MESSAGE, STANDING] {
        batch.delete_with(Table::QUEUES, |out| put_key(out, queue, id, row));
    }
}

/// Reads a row.
pub fn read(key: &[u8], value: &[u8]) -> Option<(ActorId, Row)> {
    let (queue, id, row) = read_key(key)?;
    let mut input = Reader::new(value);
    let row = match row {
        MESSAGE => read_message(MessageId(id), &mut input).ok()?,
        STANDING => Row::Standing(id, read_standing(&mut input).ok()?),
        _ => return None,
    };
    input.finish().ok()?;
    Some((queue, row))
}

fn read_key(key: &[u8]) -> Option<(ActorId, u128, u8)> {
    let (row, rest) = key.split_last()?;
    let (name, id) = rest.split_last_chunk::<16>()?;
    let queue = ActorId::parse(std::str::from_utf8(name.strip_suffix(&[0])?).ok()?).ok()?;
    Some((queue, u128::from_be_bytes(*id), *row))
}

fn read_message(id: MessageId, input: &mut Reader<'_>) -> Result<Row, codec::Error> {
    version(input)?;
    let order = read_order(input)?;
    let expires = input.bool()?;
    let at = NodeTime(input.u64()?);
    let from = input.str()?.into();
    let message_type = input.str()?.into();
    let payload = input.bytes()?.into();
    let count = input.u32()? as usize;
    let mut headers = Vec::with_capacity(count.min(input.rest().len() / 8));
    for _ in 0..count {
        headers.push((input.str()?.to_owned(), input.str()?.to_owned()));
    }
    let expires = expires.then_some(at);
    Ok(Row::Message(QueueMessage { id, from, message_type, payload, headers, expires }, order))
}

fn read_standing(input: &mut Reader<'_>) -> Result<Standing, codec::Error> {
    version(input)?;
    let order = read_order(input)?;
    let attempt = input.u32()?;
    let delivered = input.bool()?;
    let delivery = number(input)?;
    Ok(Standing { order, attempt, delivery: delivered.then_some(delivery) })
}

/// The completion of a wait: which messages are its, and how they stood.
pub fn completion(queue: &ActorId, items: &[(u128, Order)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + 32 * items.len());
    put_u8(&mut out, Which::Queues as u8);
    put_u8(&mut out, VERSION);
    put_str(&mut out, queue.as_str());
    put_u32(&mut out, items.len() as u32);
    for (id, order) in items {
        out.extend_from_slice(&id.to_le_bytes());
        put_order(&mut out, *order);
    }
    out
}

/// Reads what [`completion`] wrote.
pub fn read_completion(bytes: &[u8]) -> Option<(ActorId, Vec<(u128, Order)>)> {
    let mut input = Reader::new(bytes);
    if input.u8().ok()? != Which::Queues as u8 {
        return None;
    }
    version(&mut input).ok()?;
    let queue = ActorId::parse(input.str().ok()?).ok()?;
    let count = input.u32().ok()? as usize;
    let mut items = Vec::with_capacity(count.min(input.rest().len() / 32));
    for _ in 0..count {
        items.push((number(&mut input).ok()?, read_order(&mut input).ok()?));
    }
    input.finish().ok()?;
    Some((queue, items))
}

fn version(input: &mut Reader<'_>) -> Result<(), codec::Error> {
    let at = input.at();
    match input.u8()? {
        VERSION => Ok(()),
        _ => Err(codec::Error::Bad { at, what: "version" }),
    }
}

fn put_order(out: &mut Vec<u8>, order: Order) {
    put_u64(out, order.at.0);
    put_u64(out, order.number);
}

fn read_order(input: &mut Reader<'_>) -> Result<Order, codec::Error> {
    Ok(Order { at: NodeTime(input.u64()?), number: input.u64()? })
}

fn number(input: &mut Reader<'_>) -> Result<u128, codec::Error> {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(input.take(16)?);
    Ok(u128::from_le_bytes(bytes))
}
