/* An event collector as gen-event: keeps the last hundred casts and infos, whatever they are. Calls: `count`, `list`, `clear`. */

#include "troupe.h"

/* How many are kept. */
#define KEPT 100

static troupe_text_t lines[KEPT];
static size_t first, count;

static bool on_event(const troupe_message_t *event, troupe_text_t *why) {
  troupe_text_t *line = &lines[(first + count) % KEPT];
  if (count == KEPT) {
    first = (first + 1) % KEPT;
  } else {
    count++;
  }
  troupe_clear(line);
  troupe_put_bytes(line, event->type);
  troupe_put(line, ": ");
  troupe_put_bytes(line, event->payload);
  return true;
}

static bool on_call(const troupe_message_t *call, troupe_text_t *answer) {
  if (troupe_is(call->type, "count")) {
    troupe_put_uint(answer, count);
  } else if (troupe_is(call->type, "list")) {
    for (size_t i = 0; i < count; i++) {
      troupe_put_bytes(answer, troupe_of(&lines[(first + i) % KEPT]));
      troupe_put(answer, "\n");
    }
  } else if (troupe_is(call->type, "clear")) {
    troupe_put_uint(answer, count);
    for (size_t i = 0; i < KEPT; i++) troupe_drop(&lines[i]);
    count = 0;
  } else {
    return troupe_unknown(call, answer);
  }
  return true;
}

TROUPE_SERVER(on_call)
TROUPE_EVENTS(on_event)
