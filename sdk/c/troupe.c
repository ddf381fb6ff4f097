/* What troupe.h promises. The bindings own what they are given back; what they give to an export belongs to the export. */

#include "troupe.h"

#include <stdlib.h>
#include <string.h>

static void reserve(troupe_text_t *text, size_t more) {
  if (text->capacity - text->len >= more) return;
  size_t capacity = text->capacity ? text->capacity : 64;
  while (capacity - text->len < more) {
    if (capacity > SIZE_MAX / 2) __builtin_trap();
    capacity *= 2;
  }
  text->ptr = realloc(text->ptr, capacity);
  if (!text->ptr) __builtin_trap();
  text->capacity = capacity;
}

void troupe_put_bytes(troupe_text_t *text, troupe_bytes_t bytes) {
  if (!bytes.len) return;
  reserve(text, bytes.len);
  memcpy(text->ptr + text->len, bytes.ptr, bytes.len);
  text->len += bytes.len;
}

void troupe_put(troupe_text_t *text, const char *words) { troupe_put_bytes(text, troupe_words(words)); }

void troupe_put_uint(troupe_text_t *text, uint64_t value) {
  if (value >= 10) troupe_put_uint(text, value / 10);
  uint8_t digit = (uint8_t)('0' + value % 10);
  troupe_put_bytes(text, (troupe_bytes_t){&digit, 1});
}

void troupe_put_int(troupe_text_t *text, int64_t value) {
  if (value < 0) troupe_put(text, "-");
  troupe_put_uint(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void troupe_clear(troupe_text_t *text) { text->len = 0; }

void troupe_drop(troupe_text_t *text) {
  free(text->ptr);
  *text = (troupe_text_t){0};
}

troupe_bytes_t troupe_words(const char *words) { return (troupe_bytes_t){(const uint8_t *)words, strlen(words)}; }

troupe_bytes_t troupe_of(const troupe_text_t *text) { return (troupe_bytes_t){text->ptr, text->len}; }

bool troupe_is(troupe_bytes_t bytes, const char *words) {
  return bytes.len == strlen(words) && memcmp(bytes.ptr, words, bytes.len) == 0;
}

static bool is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

bool troupe_number(troupe_bytes_t bytes, int64_t *value, troupe_text_t *why) {
  size_t at = 0, end = bytes.len;
  while (at < end && is_space(bytes.ptr[at])) at++;
  while (end > at && is_space(bytes.ptr[end - 1])) end--;
  bool negative = at < end && bytes.ptr[at] == '-';
  if (negative || (at < end && bytes.ptr[at] == '+')) at++;
  bool good = at < end;
  int64_t result = 0;
  for (; good && at < end; at++) {
    int digit = bytes.ptr[at] - '0';
    good = digit >= 0 && digit <= 9 && !__builtin_mul_overflow(result, 10, &result) &&
           !(negative ? __builtin_sub_overflow(result, digit, &result) : __builtin_add_overflow(result, digit, &result));
  }
  *value = result;
  return good || troupe_fail(why, "not a number: ", bytes);
}

bool troupe_fail(troupe_text_t *why, const char *words, troupe_bytes_t more) {
  troupe_clear(why);
  troupe_put(why, words);
  for (size_t i = 0; i < more.len; i++) {
    uint8_t byte = more.ptr[i] < 0x80 ? more.ptr[i] : '?';
    troupe_put_bytes(why, (troupe_bytes_t){&byte, 1});
  }
  return false;
}

bool troupe_unknown(const troupe_message_t *message, troupe_text_t *why) {
  return troupe_fail(why, "unknown message type: ", message->type);
}

static troupe_bytes_t bytes_of(const actor_string_t *string) { return (troupe_bytes_t){string->ptr, string->len}; }

/* The runtime's texts are UTF-8 and are kept as they are. */
static void tell(troupe_text_t *why, const char *words, const actor_string_t *more) {
  troupe_put(why, words);
  troupe_put_bytes(why, bytes_of(more));
}

bool troupe_error(troupe_text_t *why, troupe_actor_types_error_t *error) {
  troupe_clear(why);
  switch (error->tag) {
    case TROUPE_ACTOR_TYPES_ERROR_NOT_PERMITTED: tell(why, "not permitted: ", &error->val.not_permitted); break;
    case TROUPE_ACTOR_TYPES_ERROR_NOT_FOUND: tell(why, "not found: ", &error->val.not_found); break;
    case TROUPE_ACTOR_TYPES_ERROR_ALREADY_EXISTS: tell(why, "already exists: ", &error->val.already_exists); break;
    case TROUPE_ACTOR_TYPES_ERROR_TIMEOUT: troupe_put(why, "timeout"); break;
    case TROUPE_ACTOR_TYPES_ERROR_MAILBOX_FULL: troupe_put(why, "mailbox full"); break;
    case TROUPE_ACTOR_TYPES_ERROR_RESOURCE_EXHAUSTED: tell(why, "limit reached: ", &error->val.resource_exhausted); break;
    case TROUPE_ACTOR_TYPES_ERROR_INVALID_ARGUMENT: tell(why, "invalid argument: ", &error->val.invalid_argument); break;
    case TROUPE_ACTOR_TYPES_ERROR_TOO_LARGE:
      troupe_put(why, "too large: ");
      troupe_put_uint(why, error->val.too_large);
      troupe_put(why, " bytes are allowed");
      break;
    case TROUPE_ACTOR_TYPES_ERROR_CONFLICT: troupe_put(why, "conflict"); break;
    case TROUPE_ACTOR_TYPES_ERROR_CYCLE:
      troupe_put(why, "a circle of requests: ");
      for (size_t i = 0; i < error->val.cycle.len; i++) tell(why, i ? ", " : "", &error->val.cycle.ptr[i]);
      break;
    case TROUPE_ACTOR_TYPES_ERROR_REFUSED: tell(why, "", &error->val.refused); break;
    case TROUPE_ACTOR_TYPES_ERROR_FAULTED: tell(why, "the other actor faulted: ", &error->val.faulted.cause); break;
    case TROUPE_ACTOR_TYPES_ERROR_UNAVAILABLE: tell(why, "unavailable: ", &error->val.unavailable); break;
    case TROUPE_ACTOR_TYPES_ERROR_INTERNAL: tell(why, "internal: ", &error->val.internal); break;
    default:
      tell(why, "", &error->val.other.f0);
      tell(why, ": ", &error->val.other.f1);
  }
  troupe_actor_types_error_free(error);
  return false;
}

/* What is lent to the bindings. They do not write to it. */
static actor_string_t lend(troupe_bytes_t bytes) { return (actor_string_t){(uint8_t *)bytes.ptr, bytes.len}; }
static actor_string_t name(const char *words) { return lend(troupe_words(words)); }
static troupe_actor_types_payload_t payload_of(troupe_bytes_t bytes) {
  return (troupe_actor_types_payload_t){(uint8_t *)bytes.ptr, bytes.len};
}
static uint64_t *time_of(uint64_t *timeout) { return *timeout == TROUPE_NO_TIMEOUT ? NULL : timeout; }

void troupe_log(troupe_bytes_t line) {
  actor_string_t lent = lend(line);
  troupe_actor_host_log(TROUPE_ACTOR_HOST_LEVEL_INFO, &lent);
}

uint64_t troupe_now(void) { return troupe_actor_host_now_millis(); }

bool troupe_sleep(uint64_t millis, troupe_text_t *why) {
  troupe_actor_types_error_t error;
  return troupe_actor_host_sleep_millis(millis, &error) || troupe_error(why, &error);
}

bool troupe_cast(const char *to, const char *type, troupe_bytes_t payload, troupe_text_t *why) {
  actor_string_t to_ = name(to), type_ = name(type), id;
  troupe_actor_types_payload_t payload_ = payload_of(payload);
  troupe_actor_types_error_t error;
  if (!troupe_actor_messaging_send_message(&to_, &type_, &payload_, &id, &error)) return troupe_error(why, &error);
  actor_string_free(&id);
  return true;
}

bool troupe_call(const char *to, const char *type, troupe_bytes_t payload, uint64_t timeout, troupe_text_t *reply,
                 troupe_text_t *why) {
  actor_string_t to_ = name(to), type_ = name(type);
  troupe_actor_types_payload_t payload_ = payload_of(payload), answer;
  troupe_actor_types_error_t error;
  if (!troupe_actor_messaging_request(&to_, &type_, &payload_, time_of(&timeout), &answer, &error)) {
    return troupe_error(why, &error);
  }
  troupe_put_bytes(reply, (troupe_bytes_t){answer.ptr, answer.len});
  troupe_actor_types_payload_free(&answer);
  return true;
}

bool troupe_defer(troupe_text_t *token, troupe_text_t *why) {
  actor_string_t made;
  troupe_actor_types_error_t error;
  if (!troupe_actor_messaging_defer_reply(&made, &error)) return troupe_error(why, &error);
  troupe_put_bytes(token, bytes_of(&made));
  actor_string_free(&made);
  return true;
}

bool troupe_reply(troupe_bytes_t token, bool good, troupe_bytes_t answer, troupe_text_t *why) {
  actor_string_t token_ = lend(token);
  troupe_actor_messaging_result_payload_string_t result = {.is_err = !good};
  if (good) {
    result.val.ok = payload_of(answer);
  } else {
    result.val.err = lend(answer);
  }
  troupe_actor_types_error_t error;
  return troupe_actor_messaging_reply(&token_, &result, &error) || troupe_error(why, &error);
}

bool troupe_forward(const char *to, troupe_text_t *why) {
  actor_string_t to_ = name(to);
  troupe_actor_types_error_t error;
  return troupe_actor_messaging_forward(&to_, &error) || troupe_error(why, &error);
}

bool troupe_after(uint64_t delay, const char *to, const char *type, troupe_bytes_t payload, uint64_t *timer,
                  troupe_text_t *why) {
  actor_string_t to_ = name(to), type_ = name(type);
  troupe_actor_types_payload_t payload_ = payload_of(payload);
  troupe_actor_types_error_t error;
  return troupe_actor_messaging_send_after(delay, &to_, &type_, &payload_, timer, &error) || troupe_error(why, &error);
}

bool troupe_every(uint64_t period, const char *to, const char *type, troupe_bytes_t payload, uint64_t *timer,
                  troupe_text_t *why) {
  actor_string_t to_ = name(to), type_ = name(type);
  troupe_actor_types_payload_t payload_ = payload_of(payload);
  troupe_actor_types_error_t error;
  return troupe_actor_messaging_send_every(period, &to_, &type_, &payload_, timer, &error) || troupe_error(why, &error);
}

bool troupe_cancel(uint64_t timer, bool *was_set, troupe_text_t *why) {
  troupe_actor_types_error_t error;
  return troupe_actor_messaging_cancel_timer(timer, was_set, &error) || troupe_error(why, &error);
}

bool troupe_queue_send(const char *queue, const char *type, troupe_bytes_t payload, troupe_text_t *why) {
  actor_string_t queue_ = name(queue), type_ = name(type), id;
  troupe_actor_types_payload_t payload_ = payload_of(payload);
  troupe_actor_types_error_t error;
  if (!troupe_actor_channels_send_to_queue(&queue_, &type_, &payload_, &id, &error)) return troupe_error(why, &error);
  actor_string_free(&id);
  return true;
}

bool troupe_queue_receive(const char *queue, uint64_t timeout, troupe_delivery_t *delivery, bool *found,
                          troupe_text_t *why) {
  actor_string_t queue_ = name(queue);
  troupe_actor_channels_option_delivery_t got;
  troupe_actor_types_error_t error;
  if (!troupe_actor_channels_receive_from_queue(&queue_, time_of(&timeout), &got, &error)) return troupe_error(why, &error);
  *found = got.is_some;
  if (got.is_some) *delivery = got.val;
  return true;
}

bool troupe_queue_ack(const char *queue, const troupe_delivery_t *delivery, troupe_text_t *why) {
  actor_string_t queue_ = name(queue), receipt = delivery->receipt;
  troupe_actor_types_error_t error;
  return troupe_actor_channels_ack(&queue_, &receipt, &error) || troupe_error(why, &error);
}

static bool nack(const char *queue, const troupe_delivery_t *delivery, troupe_actor_channels_on_nack_t then,
                 troupe_text_t *why) {
  actor_string_t queue_ = name(queue), receipt = delivery->receipt;
  troupe_actor_types_error_t error;
  return troupe_actor_channels_nack(&queue_, &receipt, then, &error) || troupe_error(why, &error);
}

bool troupe_queue_requeue(const char *queue, const troupe_delivery_t *delivery, troupe_text_t *why) {
  return nack(queue, delivery, TROUPE_ACTOR_CHANNELS_ON_NACK_REQUEUE, why);
}

bool troupe_queue_dead_letter(const char *queue, const troupe_delivery_t *delivery, troupe_text_t *why) {
  return nack(queue, delivery, TROUPE_ACTOR_CHANNELS_ON_NACK_DEAD_LETTER, why);
}

bool troupe_queue_depth(const char *queue, uint64_t *depth, troupe_text_t *why) {
  actor_string_t queue_ = name(queue);
  troupe_actor_types_error_t error;
  return troupe_actor_channels_queue_depth(&queue_, depth, &error) || troupe_error(why, &error);
}

troupe_message_t troupe_delivery_message(const troupe_delivery_t *delivery) {
  return (troupe_message_t){{0}, bytes_of(&delivery->message_type), {delivery->payload.ptr, delivery->payload.len}};
}

void troupe_delivery_drop(troupe_delivery_t *delivery) { troupe_actor_channels_delivery_free(delivery); }

bool troupe_publish(const char *topic, const char *type, troupe_bytes_t payload, troupe_text_t *why) {
  actor_string_t topic_ = name(topic), type_ = name(type), id;
  troupe_actor_types_payload_t payload_ = payload_of(payload);
  troupe_actor_types_error_t error;
  if (!troupe_actor_channels_publish_to_topic(&topic_, &type_, &payload_, &id, &error)) return troupe_error(why, &error);
  actor_string_free(&id);
  return true;
}

bool troupe_subscribe(const char *pattern, uint64_t *subscription, troupe_text_t *why) {
  actor_string_t pattern_ = name(pattern);
  troupe_actor_types_error_t error;
  return troupe_actor_channels_subscribe(&pattern_, subscription, &error) || troupe_error(why, &error);
}

bool troupe_unsubscribe(uint64_t subscription, troupe_text_t *why) {
  troupe_actor_types_error_t error;
  return troupe_actor_channels_unsubscribe(subscription, &error) || troupe_error(why, &error);
}

bool troupe_group_join(const char *group, troupe_text_t *why) {
  actor_string_t group_ = name(group);
  troupe_actor_types_error_t error;
  return troupe_actor_groups_join(&group_, &error) || troupe_error(why, &error);
}

bool troupe_group_leave(const char *group, troupe_text_t *why) {
  actor_string_t group_ = name(group);
  troupe_actor_types_error_t error;
  return troupe_actor_groups_leave(&group_, &error) || troupe_error(why, &error);
}

bool troupe_group_publish(const char *group, const char *type, troupe_bytes_t payload, uint32_t *reached,
                          troupe_text_t *why) {
  actor_string_t group_ = name(group), type_ = name(type);
  troupe_actor_types_payload_t payload_ = payload_of(payload);
  troupe_actor_types_error_t error;
  return troupe_actor_groups_publish(&group_, &type_, &payload_, reached, &error) || troupe_error(why, &error);
}

bool troupe_lock(const char *lock, uint64_t lease, uint64_t timeout, uint64_t *token, bool *held, troupe_text_t *why) {
  actor_string_t lock_ = name(lock);
  actor_option_u64_t got;
  troupe_actor_types_error_t error;
  if (!troupe_actor_locks_acquire(&lock_, lease, time_of(&timeout), &got, &error)) return troupe_error(why, &error);
  *held = got.is_some;
  *token = got.is_some ? got.val : 0;
  return true;
}

bool troupe_lock_renew(const char *lock, uint64_t token, uint64_t lease, troupe_text_t *why) {
  actor_string_t lock_ = name(lock);
  troupe_actor_types_error_t error;
  return troupe_actor_locks_renew(&lock_, token, lease, &error) || troupe_error(why, &error);
}

bool troupe_unlock(const char *lock, uint64_t token, troupe_text_t *why) {
  actor_string_t lock_ = name(lock);
  troupe_actor_types_error_t error;
  return troupe_actor_locks_release(&lock_, token, &error) || troupe_error(why, &error);
}

static troupe_bytes_t given(const actor_string_t *string) { return string ? bytes_of(string) : (troupe_bytes_t){0}; }

static void release(actor_string_t *string) {
  if (string) actor_string_free(string);
}

bool troupe_run(troupe_handler_t *handler, actor_string_t *from, actor_string_t *type, troupe_owned_t payload,
                troupe_owned_t *ret, actor_string_t *err) {
  troupe_message_t message = {given(from), given(type), {payload.ptr, payload.len}};
  troupe_text_t answer = {0};
  bool good = handler(&message, &answer);
  if (!good) {
    *err = (actor_string_t){answer.ptr, answer.len};
  } else if (ret) {
    *ret = (troupe_owned_t){answer.ptr, answer.len};
  } else {
    troupe_drop(&answer);
  }
  release(from);
  release(type);
  if (payload.len) free(payload.ptr);
  return good;
}

bool troupe_run_transition(troupe_transition_t *handler, actor_string_t *from, actor_string_t *state, actor_string_t *type,
                           troupe_owned_t payload, actor_string_t *ret, actor_string_t *err) {
  troupe_message_t message = {given(from), given(type), {payload.ptr, payload.len}};
  troupe_text_t answer = {0};
  bool good = handler(bytes_of(state), &message, &answer);
  *(good ? ret : err) = (actor_string_t){answer.ptr, answer.len};
  release(from);
  release(state);
  release(type);
  if (payload.len) free(payload.ptr);
  return good;
}
