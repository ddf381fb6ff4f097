// A worker on the queue `jobs`: a job is a message `square` N. Calls:
//
// `put` N puts a job in; `next` waits for one and does it; `work` N does up to N that are there; `return` gives one back undone,
// and says which attempt it was; `state`. What is no such job goes to the dead letters.

import { ack, nack, queueDepth, receiveFromQueue, sendToQueue } from "troupe:actor/channels@0.1.0";

import { fail, number } from "./troupe.js";

const JOBS = "jobs";

export class Worker {
  done = 0;
  refused = 0;
  sum = 0n;

  request(call) {
    switch (call.type) {
      case "put":
        sendToQueue(JOBS, "square", call.payload);
        return queueDepth(JOBS);
      case "next":
        this.job(receive(undefined));
        break;
      case "work":
        for (let left = call.number(); left > 0n; left--) {
          const job = receiveFromQueue(JOBS, 0n);
          if (job === undefined) break;
          this.job(job);
        }
        break;
      case "return": {
        const job = receive(0n);
        nack(JOBS, job.receipt, "requeue");
        return job.attempt;
      }
      case "state":
        break;
      default:
        call.unknown();
    }
    return `done=${this.done} refused=${this.refused} sum=${this.sum}`;
  }

  job(job) {
    let value;
    try {
      if (job.messageType !== "square") throw fail("no such job");
      value = number(job.payload);
    } catch {
      this.refused += 1;
      nack(JOBS, job.receipt, "dead-letter");
      return;
    }
    this.sum += value * value;
    this.done += 1;
    ack(JOBS, job.receipt);
  }
}

function receive(timeout) {
  const job = receiveFromQueue(JOBS, timeout);
  if (job === undefined) throw fail("no job");
  return job;
}
