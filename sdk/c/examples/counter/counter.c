/* A counter as gen-server: calls `add` N and `get`, and the cast `add` N. It saves its total itself. */

#include "troupe.h"

static int64_t total;

static bool add(const troupe_message_t *message, troupe_text_t *why) {
  int64_t number, sum;
  if (!troupe_number(message->payload, &number, why)) return false;
  if (__builtin_add_overflow(total, number, &sum)) return troupe_fail(why, "the total would overflow", troupe_words(""));
  total = sum;
  return true;
}

static bool on_call(const troupe_message_t *call, troupe_text_t *answer) {
  if (troupe_is(call->type, "add")) {
    if (!add(call, answer)) return false;
  } else if (!troupe_is(call->type, "get")) {
    return troupe_unknown(call, answer);
  }
  troupe_put_int(answer, total);
  return true;
}

static bool on_event(const troupe_message_t *event, troupe_text_t *why) {
  return troupe_is(event->type, "add") ? add(event, why) : troupe_unknown(event, why);
}

static bool on_init(const troupe_message_t *life, troupe_text_t *why) {
  return life->payload.len == 0 || troupe_number(life->payload, &total, why);
}

static bool on_end(const troupe_message_t *life, troupe_text_t *why) { return true; }

static bool on_save(const troupe_message_t *nothing, troupe_text_t *state) {
  troupe_put_int(state, total);
  return true;
}

static bool on_load(const troupe_message_t *state, troupe_text_t *why) {
  return troupe_number(state->payload, &total, why);
}

TROUPE_SERVER(on_call)
TROUPE_EVENTS(on_event)
TROUPE_LIFECYCLE(on_init, on_end)
TROUPE_SNAPSHOT(on_save, on_load)
