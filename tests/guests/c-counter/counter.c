/* The counter in C. The same behaviour as counter-rust, counter-python and counter-js: see ../README.md.
 *
 * No stdio: the component imports its world and nothing more. What a function below is given belongs to it and is freed by
 * it; what it gives back is allocated here and freed by the bindings. */

#include "counter.h"

#include <stdlib.h>
#include <string.h>

typedef exports_troupe_actor_gen_server_payload_t payload_t;

/* A text that grows as it is written. */
typedef struct {
  uint8_t *ptr;
  size_t len, capacity;
} text_t;

static int64_t total = 0;
static uint64_t adds = 0;
static uint64_t last_dice = 0;

static void put_byte(text_t *text, uint8_t byte) {
  if (text->len == text->capacity) {
    text->capacity = text->capacity ? text->capacity * 2 : 64;
    text->ptr = realloc(text->ptr, text->capacity);
    if (!text->ptr) __builtin_trap();
  }
  text->ptr[text->len++] = byte;
}

static void put(text_t *text, const char *words) {
  while (*words) put_byte(text, (uint8_t)*words++);
}

/* A string must be UTF-8; of bytes from outside only ASCII is kept, the rest becomes `?`. */
static void put_bytes(text_t *text, const uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) put_byte(text, bytes[i] < 0x80 ? bytes[i] : '?');
}

static void put_unsigned(text_t *text, uint64_t value) {
  if (value >= 10) put_unsigned(text, value / 10);
  put_byte(text, (uint8_t)('0' + value % 10));
}

static void put_signed(text_t *text, int64_t value) {
  if (value < 0) put_byte(text, '-');
  put_unsigned(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static counter_string_t string(text_t text) { return (counter_string_t){text.ptr, text.len}; }

static bool equals(const counter_string_t *string, const char *words) {
  return string->len == strlen(words) && memcmp(string->ptr, words, string->len) == 0;
}

static void log_info(text_t text) {
  counter_string_t message = string(text);
  troupe_actor_host_log(TROUPE_ACTOR_HOST_LEVEL_INFO, &message);
  free(text.ptr);
}

static bool fail(counter_string_t *err, const char *words, const uint8_t *bytes, size_t len) {
  text_t text = {0};
  put(&text, words);
  put_bytes(&text, bytes, len);
  *err = string(text);
  return false;
}

static bool is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

static bool number(const uint8_t *bytes, size_t len, int64_t *value, counter_string_t *err) {
  size_t at = 0, end = len;
  while (at < end && is_space(bytes[at])) at++;
  while (end > at && is_space(bytes[end - 1])) end--;
  bool negative = at < end && bytes[at] == '-';
  if (negative || (at < end && bytes[at] == '+')) at++;
  bool good = at < end;
  int64_t result = 0;
  for (; good && at < end; at++) {
    int digit = bytes[at] - '0';
    good = digit >= 0 && digit <= 9 && !__builtin_mul_overflow(result, 10, &result) &&
           !(negative ? __builtin_sub_overflow(result, digit, &result) : __builtin_add_overflow(result, digit, &result));
  }
  *value = result;
  return good || fail(err, "not a number: ", bytes, len);
}

static bool add(const payload_t *payload, counter_string_t *err) {
  int64_t value, sum;
  if (!number(payload->ptr, payload->len, &value, err)) return false;
  if (__builtin_add_overflow(total, value, &sum)) return fail(err, "the total would overflow", NULL, 0);
  total = sum;
  adds++;
  return true;
}

static bool pause_for(const payload_t *payload, counter_string_t *err) {
  int64_t millis;
  if (!number(payload->ptr, payload->len, &millis, err)) return false;
  if (millis < 0) return fail(err, "not a time: ", payload->ptr, payload->len);
  troupe_actor_host_error_t error;
  if (troupe_actor_host_sleep_millis((uint64_t)millis, &error)) return true;
  bool is_timeout = error.tag == TROUPE_ACTOR_TYPES_ERROR_TIMEOUT;
  troupe_actor_host_error_free(&error);
  return fail(err, is_timeout ? "sleep: timeout" : "sleep: error", NULL, 0);
}

static uint64_t now_millis(void) {
  wasi_clocks_wall_clock_datetime_t now;
  wasi_clocks_wall_clock_now(&now);
  return now.seconds * 1000 + now.nanoseconds / 1000000;
}

/* Everything but echo, whose answer is the payload itself. */
static bool request(const counter_string_t *type, const payload_t *payload, text_t *answer, counter_string_t *err) {
  if (equals(type, "add")) {
    if (!add(payload, err)) return false;
    put_signed(answer, total);
  } else if (equals(type, "get")) {
    put_signed(answer, total);
  } else if (equals(type, "now")) {
    put_unsigned(answer, now_millis());
  } else if (equals(type, "dice")) {
    last_dice = wasi_random_random_get_random_u64() % 6 + 1;
    put_unsigned(answer, last_dice);
  } else if (equals(type, "state")) {
    put(answer, "total=");
    put_signed(answer, total);
    put(answer, " adds=");
    put_unsigned(answer, adds);
    put(answer, " last-dice=");
    put_unsigned(answer, last_dice);
  } else if (equals(type, "sleep")) {
    if (!pause_for(payload, err)) return false;
    put(answer, "slept");
  } else if (equals(type, "log")) {
    text_t line = {0};
    put_bytes(&line, payload->ptr, payload->len);
    log_info(line);
    put(answer, "logged");
  } else if (equals(type, "trap")) {
    total += 1000;
    __builtin_trap();
  } else if (equals(type, "loop")) {
    for (;;) __asm__ volatile("");
  } else {
    return fail(err, "unknown message type: ", type->ptr, type->len);
  }
  return true;
}

bool exports_troupe_actor_gen_server_handle_request(counter_string_t *from, counter_string_t *message_type,
                                                    payload_t *payload, payload_t *ret, counter_string_t *err) {
  counter_string_free(from);
  bool good = true;
  if (equals(message_type, "echo")) {
    *ret = *payload;
  } else {
    text_t answer = {0};
    good = request(message_type, payload, &answer, err);
    *ret = (payload_t){answer.ptr, answer.len};
    exports_troupe_actor_gen_server_payload_free(payload);
  }
  counter_string_free(message_type);
  return good;
}

bool exports_troupe_actor_gen_event_handle_event(counter_string_t *from, counter_string_t *message_type,
                                                 payload_t *payload, counter_string_t *err) {
  counter_string_free(from);
  bool good = equals(message_type, "add")
                  ? add(payload, err)
                  : fail(err, "unknown message type: ", message_type->ptr, message_type->len);
  counter_string_free(message_type);
  exports_troupe_actor_gen_event_payload_free(payload);
  return good;
}

bool exports_troupe_actor_lifecycle_init(payload_t *initial_state, counter_string_t *err) {
  bool good = initial_state->len == 0 || number(initial_state->ptr, initial_state->len, &total, err);
  exports_troupe_actor_lifecycle_payload_free(initial_state);
  return good;
}

void exports_troupe_actor_lifecycle_terminate(counter_string_t *reason) {
  text_t line = {0};
  put(&line, "terminated: ");
  put_bytes(&line, reason->ptr, reason->len);
  log_info(line);
  counter_string_free(reason);
}
