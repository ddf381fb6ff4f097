/* The actor `{name}`: a counter. Its state is what lies in static variables; Troupe keeps it over crashes by recording every call
 * that crosses the actor's boundary, and replaying them.
 *
 * `wit/world.wit` exports the behaviours. A handler that gives false has written an error into its answer; a trap is a fault, and
 * undoes the turn. What is not called is not imported; stdio and time come from WASI if they are used. */

#include "troupe.h"

static int64_t total;

static bool add(const troupe_message_t *message, troupe_text_t *why) {
  int64_t number, sum;
  if (!troupe_number(message->payload, &number, why)) return false;
  if (__builtin_add_overflow(total, number, &sum)) return troupe_fail(why, "the total would overflow", troupe_words(""));
  total = sum;
  return true;
}

/* Calls: whoever sent one waits for the answer. */
static bool on_call(const troupe_message_t *call, troupe_text_t *answer) {
  if (troupe_is(call->type, "add")) {
    if (!add(call, answer)) return false;
  } else if (!troupe_is(call->type, "get")) {
    return troupe_unknown(call, answer);
  }
  troupe_put_int(answer, total);
  return true;
}

/* Casts: nobody waits. */
static bool on_event(const troupe_message_t *event, troupe_text_t *why) {
  return troupe_is(event->type, "add") ? add(event, why) : troupe_unknown(event, why);
}

/* Once in the actor's life: the number to start from, or nothing. */
static bool on_init(const troupe_message_t *life, troupe_text_t *why) {
  return life->payload.len == 0 || troupe_number(life->payload, &total, why);
}

static bool on_end(const troupe_message_t *life, troupe_text_t *why) {
  troupe_text_t line = {0};
  troupe_put(&line, "stopped at ");
  troupe_put_int(&line, total);
  troupe_put(&line, ": ");
  troupe_put_bytes(&line, life->payload);
  troupe_log(troupe_of(&line));
  troupe_drop(&line);
  return true;
}

TROUPE_SERVER(on_call)
TROUPE_EVENTS(on_event)
TROUPE_LIFECYCLE(on_init, on_end)
