/* A worker on the queue `jobs`: a job is a message `square` N. Calls:
 *
 * `put` N puts a job in; `next` waits for one and does it; `work` N does up to N that are there; `return` gives one back undone,
 * and says which attempt it was; `state`. What is no such job goes to the dead letters. */

#include "troupe.h"

static const char *JOBS = "jobs";

static uint64_t done, refused;
static int64_t sum;

static bool do_job(const troupe_delivery_t *delivery, troupe_text_t *why) {
  troupe_message_t job = troupe_delivery_message(delivery);
  int64_t number;
  if (!troupe_is(job.type, "square") || !troupe_number(job.payload, &number, why)) {
    troupe_clear(why);
    refused++;
    return troupe_queue_dead_letter(JOBS, delivery, why);
  }
  sum = (int64_t)((uint64_t)sum + (uint64_t)number * (uint64_t)number);
  done++;
  return troupe_queue_ack(JOBS, delivery, why);
}

/* Receives one and does it; `found` tells whether there was one. */
static bool receive_and_do(uint64_t timeout, bool *found, troupe_text_t *why) {
  troupe_delivery_t delivery;
  if (!troupe_queue_receive(JOBS, timeout, &delivery, found, why)) return false;
  if (!*found) return true;
  bool good = do_job(&delivery, why);
  troupe_delivery_drop(&delivery);
  return good;
}

static bool give_back(troupe_text_t *answer) {
  troupe_delivery_t delivery;
  bool found;
  if (!troupe_queue_receive(JOBS, 0, &delivery, &found, answer)) return false;
  if (!found) return troupe_fail(answer, "no job", troupe_words(""));
  uint32_t attempt = delivery.attempt;
  bool good = troupe_queue_requeue(JOBS, &delivery, answer);
  troupe_delivery_drop(&delivery);
  if (good) troupe_put_uint(answer, attempt);
  return good;
}

static bool on_call(const troupe_message_t *call, troupe_text_t *answer) {
  bool found = true;
  if (troupe_is(call->type, "put")) {
    uint64_t depth;
    if (!troupe_queue_send(JOBS, "square", call->payload, answer)) return false;
    if (!troupe_queue_depth(JOBS, &depth, answer)) return false;
    troupe_put_uint(answer, depth);
    return true;
  }
  if (troupe_is(call->type, "return")) return give_back(answer);
  if (troupe_is(call->type, "next")) {
    if (!receive_and_do(TROUPE_NO_TIMEOUT, &found, answer)) return false;
    if (!found) return troupe_fail(answer, "no job", troupe_words(""));
  } else if (troupe_is(call->type, "work")) {
    int64_t most;
    if (!troupe_number(call->payload, &most, answer)) return false;
    for (; found && most > 0; most--) {
      if (!receive_and_do(0, &found, answer)) return false;
    }
  } else if (!troupe_is(call->type, "state")) {
    return troupe_unknown(call, answer);
  }
  troupe_put(answer, "done=");
  troupe_put_uint(answer, done);
  troupe_put(answer, " refused=");
  troupe_put_uint(answer, refused);
  troupe_put(answer, " sum=");
  troupe_put_int(answer, sum);
  return true;
}

TROUPE_SERVER(on_call)
