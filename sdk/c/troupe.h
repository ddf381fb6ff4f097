/* Actors for Troupe in C: handlers that read a message and write an answer.
 *
 *   #include "troupe.h"
 *
 *   static int64_t total;
 *
 *   static bool on_call(const troupe_message_t *call, troupe_text_t *answer) {
 *     int64_t number;
 *     if (!troupe_is(call->type, "add")) return troupe_unknown(call, answer);
 *     if (!troupe_number(call->payload, &number, answer)) return false;
 *     total += number;
 *     troupe_put_int(answer, total);
 *     return true;
 *   }
 *
 *   TROUPE_SERVER(on_call)
 *
 * The state is what lies in static variables. The world in wit/ is named `actor`, includes troupe:actor/imports, and exports the
 * behaviours that are given with the macros at the end. What is not called is not imported. The functions that are not here (the
 * tuple space, snapshots of others) are in actor.h, which the build makes of the world.
 *
 * A handler that gives false has written an error in words: an ordinary end of the turn, which undoes nothing. A trap is a fault
 * and undoes the turn. Every function below that gives false has written why into its last argument, so it can be handed on. */

#ifndef TROUPE_H
#define TROUPE_H

#include "actor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that belong to somebody else. Not ended by a zero. */
typedef struct {
  const uint8_t *ptr;
  size_t len;
} troupe_bytes_t;

/* Bytes that grow as they are written. Begins as {0}; an answer is freed by the runtime's side, all else by troupe_drop. */
typedef struct {
  uint8_t *ptr;
  size_t len, capacity;
} troupe_text_t;

/* A message as a handler gets it; it lives as long as the handler runs. */
typedef struct {
  troupe_bytes_t from, type, payload;
} troupe_message_t;

/* Writing. Memory that cannot be had is a trap. */
void troupe_put(troupe_text_t *text, const char *words);
void troupe_put_bytes(troupe_text_t *text, troupe_bytes_t bytes);
void troupe_put_int(troupe_text_t *text, int64_t value);
void troupe_put_uint(troupe_text_t *text, uint64_t value);
void troupe_clear(troupe_text_t *text);
void troupe_drop(troupe_text_t *text);

/* Reading. */
troupe_bytes_t troupe_words(const char *words);
troupe_bytes_t troupe_of(const troupe_text_t *text);
bool troupe_is(troupe_bytes_t bytes, const char *words);
bool troupe_number(troupe_bytes_t bytes, int64_t *value, troupe_text_t *why);

/* Errors. `more` is put behind the words; what is not ASCII in it becomes `?`, since an error must be UTF-8. Both give false. */
bool troupe_fail(troupe_text_t *why, const char *words, troupe_bytes_t more);
bool troupe_unknown(const troupe_message_t *message, troupe_text_t *why);
/* The runtime's error in words; frees it. For calls of functions in actor.h. */
bool troupe_error(troupe_text_t *why, troupe_actor_types_error_t *error);

/* The node: what needs no grant. Times are in milliseconds. */
void troupe_log(troupe_bytes_t line);
uint64_t troupe_now(void);
bool troupe_sleep(uint64_t millis, troupe_text_t *why);

/* No time: what the turn has left. */
#define TROUPE_NO_TIMEOUT UINT64_MAX

/* Messages. A call's reply is put behind what `reply` has. */
bool troupe_cast(const char *to, const char *type, troupe_bytes_t payload, troupe_text_t *why);
bool troupe_call(const char *to, const char *type, troupe_bytes_t payload, uint64_t timeout, troupe_text_t *reply,
                 troupe_text_t *why);
/* Puts the answer off: `token` gets what troupe_reply needs, in any later turn. */
bool troupe_defer(troupe_text_t *token, troupe_text_t *why);
bool troupe_reply(troupe_bytes_t token, bool good, troupe_bytes_t answer, troupe_text_t *why);
bool troupe_forward(const char *to, troupe_text_t *why);

/* Timers. */
bool troupe_after(uint64_t delay, const char *to, const char *type, troupe_bytes_t payload, uint64_t *timer,
                  troupe_text_t *why);
bool troupe_every(uint64_t period, const char *to, const char *type, troupe_bytes_t payload, uint64_t *timer,
                  troupe_text_t *why);
bool troupe_cancel(uint64_t timer, bool *was_set, troupe_text_t *why);

/* Queues. A delivery is ended by ack, requeue or dead_letter, then freed by troupe_delivery_drop. */
typedef troupe_actor_channels_delivery_t troupe_delivery_t;
bool troupe_queue_send(const char *queue, const char *type, troupe_bytes_t payload, troupe_text_t *why);
/* Waits; `found` is false when the time is over. */
bool troupe_queue_receive(const char *queue, uint64_t timeout, troupe_delivery_t *delivery, bool *found,
                          troupe_text_t *why);
bool troupe_queue_ack(const char *queue, const troupe_delivery_t *delivery, troupe_text_t *why);
bool troupe_queue_requeue(const char *queue, const troupe_delivery_t *delivery, troupe_text_t *why);
bool troupe_queue_dead_letter(const char *queue, const troupe_delivery_t *delivery, troupe_text_t *why);
bool troupe_queue_depth(const char *queue, uint64_t *depth, troupe_text_t *why);
troupe_message_t troupe_delivery_message(const troupe_delivery_t *delivery);
void troupe_delivery_drop(troupe_delivery_t *delivery);

/* Topics and groups. */
bool troupe_publish(const char *topic, const char *type, troupe_bytes_t payload, troupe_text_t *why);
bool troupe_subscribe(const char *pattern, uint64_t *subscription, troupe_text_t *why);
bool troupe_unsubscribe(uint64_t subscription, troupe_text_t *why);
bool troupe_group_join(const char *group, troupe_text_t *why);
bool troupe_group_leave(const char *group, troupe_text_t *why);
bool troupe_group_publish(const char *group, const char *type, troupe_bytes_t payload, uint32_t *reached,
                          troupe_text_t *why);

/* Locks. `held` is false when the time is over; the token only ever grows. */
bool troupe_lock(const char *name, uint64_t lease, uint64_t timeout, uint64_t *token, bool *held, troupe_text_t *why);
bool troupe_lock_renew(const char *name, uint64_t token, uint64_t lease, troupe_text_t *why);
bool troupe_unlock(const char *name, uint64_t token, troupe_text_t *why);

/* The handlers of an actor. An event's and a life's `answer` counts only as an error. */
typedef bool troupe_handler_t(const troupe_message_t *message, troupe_text_t *answer);
/* `next`: the state to go to; nothing: no transition. */
typedef bool troupe_transition_t(troupe_bytes_t state, const troupe_message_t *message, troupe_text_t *next);

/* What the macros below are made of. */
typedef struct {
  uint8_t *ptr;
  size_t len;
} troupe_owned_t;
bool troupe_run(troupe_handler_t *handler, actor_string_t *from, actor_string_t *type, troupe_owned_t payload,
                troupe_owned_t *ret, actor_string_t *err);

/* gen-server: takes calls; the answer is the reply. */
#define TROUPE_SERVER(handler)                                                                                              \
  bool exports_troupe_actor_gen_server_handle_request(                                                                      \
      exports_troupe_actor_gen_server_actor_id_t *from, actor_string_t *type,                                               \
      exports_troupe_actor_gen_server_payload_t *payload, exports_troupe_actor_gen_server_payload_t *ret,                   \
      actor_string_t *err) {                                                                                                \
    troupe_owned_t owned = {payload->ptr, payload->len}, answer = {0};                                                      \
    bool good = troupe_run(handler, from, type, owned, &answer, err);                                                       \
    *ret = (exports_troupe_actor_gen_server_payload_t){answer.ptr, answer.len};                                             \
    return good;                                                                                                            \
  }

/* gen-event: takes casts and infos. */
#define TROUPE_EVENTS(handler)                                                                                              \
  bool exports_troupe_actor_gen_event_handle_event(exports_troupe_actor_gen_event_actor_id_t *from, actor_string_t *type,   \
                                                   exports_troupe_actor_gen_event_payload_t *payload,                       \
                                                   actor_string_t *err) {                                                   \
    troupe_owned_t owned = {payload->ptr, payload->len};                                                                    \
    return troupe_run(handler, from, type, owned, NULL, err);                                                               \
  }

/* handler: takes what nothing else takes. */
#define TROUPE_HANDLER(handler)                                                                                             \
  bool exports_troupe_actor_handler_handle_message(                                                                         \
      exports_troupe_actor_handler_actor_id_t *from, actor_string_t *type,                                                  \
      exports_troupe_actor_handler_payload_t *payload, exports_troupe_actor_handler_payload_t *ret, actor_string_t *err) {  \
    troupe_owned_t owned = {payload->ptr, payload->len}, answer = {0};                                                      \
    bool good = troupe_run(handler, from, type, owned, &answer, err);                                                       \
    *ret = (exports_troupe_actor_handler_payload_t){answer.ptr, answer.len};                                                \
    return good;                                                                                                            \
  }

bool troupe_run_transition(troupe_transition_t *handler, actor_string_t *from, actor_string_t *state, actor_string_t *type,
                           troupe_owned_t payload, actor_string_t *ret, actor_string_t *err);

/* gen-fsm: the first state is `start`. */
#define TROUPE_FSM(handler)                                                                                                 \
  bool exports_troupe_actor_gen_fsm_handle_transition(                                                                      \
      exports_troupe_actor_gen_fsm_actor_id_t *from, actor_string_t *state, actor_string_t *type,                           \
      exports_troupe_actor_gen_fsm_payload_t *payload, actor_string_t *ret, actor_string_t *err) {                          \
    troupe_owned_t owned = {payload->ptr, payload->len};                                                                    \
    return troupe_run_transition(handler, from, state, type, owned, ret, err);                                              \
  }

/* lifecycle: `begin` gets the manifest's init as payload, `end` the reason as payload. */
#define TROUPE_LIFECYCLE(begin, end)                                                                                        \
  bool exports_troupe_actor_lifecycle_init(exports_troupe_actor_lifecycle_payload_t *initial_state, actor_string_t *err) {  \
    troupe_owned_t owned = {initial_state->ptr, initial_state->len};                                                        \
    return troupe_run(begin, NULL, NULL, owned, NULL, err);                                                                 \
  }                                                                                                                         \
  void exports_troupe_actor_lifecycle_terminate(actor_string_t *reason) {                                                   \
    actor_string_t ignored = {0};                                                                                           \
    troupe_owned_t owned = {reason->ptr, reason->len};                                                                      \
    if (!troupe_run(end, NULL, NULL, owned, NULL, &ignored)) actor_string_free(&ignored);                                   \
  }

/* snapshot: `save` writes the whole state, `load` gets it as payload, and the digest of who saved it as type. Both may only log. */
#define TROUPE_SNAPSHOT(save, load)                                                                                         \
  bool exports_troupe_actor_snapshot_save(actor_list_u8_t *ret, actor_string_t *err) {                                      \
    troupe_owned_t none = {0}, answer = {0};                                                                                \
    bool good = troupe_run(save, NULL, NULL, none, &answer, err);                                                           \
    *ret = (actor_list_u8_t){answer.ptr, answer.len};                                                                       \
    return good;                                                                                                            \
  }                                                                                                                         \
  bool exports_troupe_actor_snapshot_load(actor_list_u8_t *state, actor_string_t *saved_by, actor_string_t *err) {          \
    troupe_owned_t owned = {state->ptr, state->len};                                                                        \
    return troupe_run(load, NULL, saved_by, owned, NULL, err);                                                              \
  }

#endif
