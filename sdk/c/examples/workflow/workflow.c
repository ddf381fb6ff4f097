/* An order as gen-fsm: `submit` PRICE, `pay` SUM, `ship`, `cancel`; `where` stays. A call is answered with the state after it.
 *
 * start -submit-> submitted -pay-> paid -ship-> shipped; cancel: submitted -> cancelled, paid -> refunded. */

#include "troupe.h"

static int64_t price;

static bool go(troupe_text_t *next, const char *state) {
  troupe_put(next, state);
  return true;
}

static bool on_message(troupe_bytes_t state, const troupe_message_t *message, troupe_text_t *next) {
  troupe_bytes_t type = message->type;
  int64_t number;
  if (troupe_is(type, "where")) return true;
  if (troupe_is(state, "start") && troupe_is(type, "submit")) {
    if (!troupe_number(message->payload, &number, next)) return false;
    price = number;
    return go(next, "submitted");
  }
  if (troupe_is(state, "submitted") && troupe_is(type, "pay")) {
    if (!troupe_number(message->payload, &number, next)) return false;
    if (number >= price) return go(next, "paid");
    troupe_put_int(next, number);
    troupe_put(next, " is too little, the price is ");
    troupe_put_int(next, price);
    return false;
  }
  if (troupe_is(state, "submitted") && troupe_is(type, "cancel")) return go(next, "cancelled");
  if (troupe_is(state, "paid") && troupe_is(type, "ship")) return go(next, "shipped");
  if (troupe_is(state, "paid") && troupe_is(type, "cancel")) return go(next, "refunded");
  troupe_put(next, "no ");
  troupe_put_bytes(next, type);
  troupe_put(next, " in state ");
  troupe_put_bytes(next, state);
  return false;
}

TROUPE_FSM(on_message)
