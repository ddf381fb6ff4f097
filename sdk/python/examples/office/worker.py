"""A worker on the queue `jobs`: a job is a message `square` N. Calls:

`put` N puts a job in; `next` waits for one and does it; `work` N does up to N that are there; `return` gives one back undone,
and says which attempt it was; `state`. What is no such job goes to the dead letters.
"""

import troupe
from troupe import channels

JOBS = "jobs"


class Worker(troupe.Actor):
    done = 0
    refused = 0
    sum = 0

    def request(self, call):
        match call.type:
            case "put":
                channels.send_to_queue(JOBS, "square", call.payload)
                return channels.queue_depth(JOBS)
            case "next":
                self.job(self.receive(None))
            case "work":
                for _ in range(call.number()):
                    job = channels.receive_from_queue(JOBS, 0)
                    if job is None:
                        break
                    self.job(job)
            case "return":
                job = self.receive(0)
                channels.nack(JOBS, job.receipt, channels.OnNack.REQUEUE)
                return job.attempt
            case "state":
                pass
            case _:
                call.unknown()
        return f"done={self.done} refused={self.refused} sum={self.sum}"

    def receive(self, timeout):
        job = channels.receive_from_queue(JOBS, timeout)
        if job is None:
            raise troupe.Err("no job")
        return job

    def job(self, job):
        try:
            if job.message_type != "square":
                raise troupe.Err("no such job")
            value = troupe.number(job.payload)
        except troupe.Err:
            self.refused += 1
            channels.nack(JOBS, job.receipt, channels.OnNack.DEAD_LETTER)
            return
        self.sum += value * value
        self.done += 1
        channels.ack(JOBS, job.receipt)
