//! A worker on the queue `jobs`: a job is a message `square` N. Calls:
//!
//! `put` N puts a job in; `next` waits for one and does it; `work` N does up to N that are there; `return` gives one back undone,
//! and says which attempt it was; `state`. What is no such job goes to the dead letters.

use std::time::Duration;

use troupe_sdk::prelude::*;
use troupe_sdk::queues::Delivery;

const JOBS: &str = "jobs";

#[derive(Default)]
struct Worker {
    done: u64,
    refused: u64,
    sum: i64,
}

impl Worker {
    fn job(&mut self, delivery: Delivery) -> Result<(), String> {
        let message = &delivery.message;
        let number = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse::<i64>().ok());
        match number {
            Some(number) if message.message_type == "square" => {
                self.sum = self.sum.wrapping_add(number.wrapping_mul(number));
                self.done += 1;
                delivery.ack()?;
            }
            _ => {
                self.refused += 1;
                delivery.dead_letter()?;
            }
        }
        Ok(())
    }

    fn state(&self) -> Answer {
        text(format!("done={} refused={} sum={}", self.done, self.refused, self.sum))
    }
}

impl Server for Worker {
    fn request(&mut self, call: Message) -> Answer {
        match call.kind() {
            "put" => {
                queues::send(JOBS, "square", &call.payload)?;
                text(queues::depth(JOBS)?)
            }
            "next" => {
                let job = queues::receive(JOBS, None)?.ok_or("no job")?;
                self.job(job)?;
                self.state()
            }
            "work" => {
                for _ in 0..call.number::<u32>()? {
                    let Some(job) = queues::receive(JOBS, Some(Duration::ZERO))? else { break };
                    self.job(job)?;
                }
                self.state()
            }
            "return" => {
                let job = queues::receive(JOBS, Some(Duration::ZERO))?.ok_or("no job")?;
                let attempt = job.message.attempt;
                job.requeue()?;
                text(attempt)
            }
            "state" => self.state(),
            _ => call.unknown(),
        }
    }
}

actor!(Worker: Server);
