/* Grows a table, for the limit on table elements; in C because no stable Rust can. `grow` N answers `ok FROM` with the elements
 * that there were before, or `refused`. */

#include "tables.h"

#include <stdlib.h>
#include <string.h>

int grow_table(uint32_t elements);

__asm__(".tabletype spare, funcref\n"
        "spare:\n"
        ".globl grow_table\n"
        ".type grow_table,@function\n"
        "grow_table:\n"
        "  .functype grow_table (i32) -> (i32)\n"
        "  ref.null_func\n"
        "  local.get 0\n"
        "  table.grow spare\n"
        "  end_function\n");

static void put_number(char *to, uint32_t value) {
  char digits[10];
  int count = 0;
  do digits[count++] = (char)('0' + value % 10);
  while (value /= 10);
  while (count) *to++ = digits[--count];
  *to = 0;
}

bool exports_troupe_actor_gen_server_handle_request(tables_string_t *from, tables_string_t *message_type,
                                                    exports_troupe_actor_gen_server_payload_t *payload,
                                                    exports_troupe_actor_gen_server_payload_t *ret,
                                                    tables_string_t *err) {
  bool is_grow = message_type->len == 4 && memcmp(message_type->ptr, "grow", 4) == 0;
  uint32_t elements = 0;
  for (size_t i = 0; i < payload->len; i++) elements = elements * 10 + (payload->ptr[i] - '0');
  tables_string_free(from);
  tables_string_free(message_type);
  exports_troupe_actor_gen_server_payload_free(payload);
  if (!is_grow) {
    tables_string_dup(err, "unknown message type");
    return false;
  }

  int before = grow_table(elements);
  char answer[16] = "refused";
  if (before >= 0) {
    memcpy(answer, "ok ", 3);
    put_number(answer + 3, (uint32_t)before);
  }
  tables_string_t text;
  tables_string_dup(&text, answer);
  *ret = (exports_troupe_actor_gen_server_payload_t){text.ptr, text.len};
  return true;
}
