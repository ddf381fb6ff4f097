//! Timers that send a message.

use std::sync::Arc;
use std::time::Duration;

use troupe_log::{Table, WallTime};

use super::super::common::{check_message, room};
use super::super::types::Error;
use super::receiver;
use crate::boundary::{Guest, Staged, TimerChange};
use crate::service::timers::{Disarmed, Name, Sending, Timer, due_after};

/// Delay or period in milliseconds, receiver, type, payload.
pub(super) type Params = (u64, String, String, Vec<u8>);

pub(super) fn send(
    guest: &mut Guest,
    millis: u64,
    again: bool,
    to: &str,
    message_type: String,
    payload: Vec<u8>,
) -> Result<u64, Error> {
    check_message(&message_type, &[])?;
    if again && millis == 0 {
        return Err(Error::InvalidArgument("a period of 0 ms".to_owned()));
    }
    let to = receiver(guest, to)?;
    let (size, most) = (payload.len() as u64, guest.about.limits.payload.0);
    if size > most {
        return Err(Error::TooLarge(most));
    }
    let own = guest.about.id.clone();
    let staged = guest.turn.staged.iter().filter(|effect| sends(effect)).count();
    let limit = guest.about.limits.max_timers;
    if guest.node.timers().count(&own) as usize + staged >= limit as usize {
        return Err(Error::ResourceExhausted(format!("max-timers = {limit}")));
    }
    room(guest, payload.len())?;
    let number = guest.own_number();
    let delay = Duration::from_millis(millis);
    let sends =
        Sending { to, message_type: message_type.into(), payload: payload.into(), period: again.then_some(delay) };
    let due: WallTime = due_after(guest.node.wall_time(), delay);
    let timer = Timer {
        name: Name::Send(own, number),
        due,
        durable: true,
        sends: Some(Box::new(sends)),
        seen: Default::default(),
    };
    guest.put(Table::TIMERS, &timer.name.key(), &timer.encode());
    guest.stage(Staged::Timer(TimerChange::Arm(timer)));
    Ok(number)
}

fn sends(effect: &Staged) -> bool {
    matches!(effect, Staged::Timer(TimerChange::Arm(Timer { sends: Some(_), .. })))
}

pub(super) fn cancel(guest: &mut Guest, number: u64) -> bool {
    let name = Name::Send(guest.about.id.clone(), number);
    let staged = guest
        .turn
        .staged
        .iter()
        .position(|effect| matches!(effect, Staged::Timer(TimerChange::Arm(timer)) if timer.name == name));
    if let Some(at) = staged {
        guest.turn.staged.remove(at);
        guest.delete(Table::TIMERS, &name.key());
        return true;
    }
    let Some(timer) = guest.node.timers().take(&name) else { return false };
    guest.delete(Table::TIMERS, &name.key());
    let node = Arc::clone(&guest.node);
    guest.stage_service(Disarmed { node, timer: Some(timer) });
    true
}
