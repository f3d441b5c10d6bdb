//go:build !samebytes_shared

/* The layout of every public structure, once more, so that a change of a field that would break programs built earlier does not compile.
 * A structure that is not frozen may grow at its end: then its lines here are for the fields that it had, and for its new size. */

#include <assert.h>

#include <samebytes/samebytes.h>

#define SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type " has changed its size")
#define FIELD(type, field, offset, bytes) \
  static_assert(offsetof(type, field) == (offset) && sizeof(((type *)0)->field) == (bytes), \
                #type "." #field " has moved or changed its size")

/* The fields follow each other without gaps, so a new one in between moves the next. */

FIELD(sb_error, status, 0, 4);
FIELD(sb_error, system_error, 4, 4);
FIELD(sb_error, stream_offset, 8, 8);
FIELD(sb_error, frame_offset, 16, 8);
FIELD(sb_error, frame, 24, 8);
FIELD(sb_error, field, 32, 64);
FIELD(sb_error, message, 96, 256);
SIZE(sb_error, 352);

FIELD(sb_memory_stats, struct_size, 0, 4);
FIELD(sb_memory_stats, reserved, 4, 4);
FIELD(sb_memory_stats, reserves, 8, 8);
FIELD(sb_memory_stats, releases, 16, 8);
FIELD(sb_memory_stats, live_bytes, 24, 8);
FIELD(sb_memory_stats, failures, 32, 8);
SIZE(sb_memory_stats, 40);

FIELD(sb_pool_class, block_size, 0, 4);
FIELD(sb_pool_class, kept_max, 4, 4);
SIZE(sb_pool_class, 8);

FIELD(sb_pool_options, struct_size, 0, 4);
FIELD(sb_pool_options, class_count, 4, 4);
FIELD(sb_pool_options, classes, 8, 8);
FIELD(sb_pool_options, bytes_max, 16, 8);
FIELD(sb_pool_options, alignment, 24, 4);
FIELD(sb_pool_options, zero_on_get, 28, 1);
FIELD(sb_pool_options, poison_on_put, 29, 1);
FIELD(sb_pool_options, guard_pages, 30, 1);
FIELD(sb_pool_options, trace, 31, 1);
FIELD(sb_pool_options, name, 32, 8);
FIELD(sb_pool_options, thread_bytes_max, 40, 8);
SIZE(sb_pool_options, 48);

FIELD(sb_pool_place, struct_size, 0, 4);
FIELD(sb_pool_place, reserved, 4, 4);
FIELD(sb_pool_place, blocks, 8, 8);
FIELD(sb_pool_place, bytes, 16, 8);
FIELD(sb_pool_place, taken, 24, 8);
FIELD(sb_pool_place, tag, 32, 128);
FIELD(sb_pool_place, calls, 160, 384);
SIZE(sb_pool_place, 544);

FIELD(sb_pool_class_stats, struct_size, 0, 4);
FIELD(sb_pool_class_stats, block_size, 4, 4);
FIELD(sb_pool_class_stats, hits, 8, 8);
FIELD(sb_pool_class_stats, misses, 16, 8);
FIELD(sb_pool_class_stats, outstanding, 24, 8);
FIELD(sb_pool_class_stats, kept, 32, 8);
FIELD(sb_pool_class_stats, outstanding_max, 40, 8);
SIZE(sb_pool_class_stats, 48);

FIELD(sb_pool_stats, struct_size, 0, 4);
FIELD(sb_pool_stats, class_count, 4, 4);
FIELD(sb_pool_stats, bytes_in_use, 8, 8);
FIELD(sb_pool_stats, bytes_kept, 16, 8);
FIELD(sb_pool_stats, outstanding, 24, 8);
FIELD(sb_pool_stats, failures, 32, 8);
FIELD(sb_pool_stats, refused_puts, 40, 8);
SIZE(sb_pool_stats, 48);

FIELD(sb_memory_functions, struct_size, 0, 4);
FIELD(sb_memory_functions, defer, 4, 1);
FIELD(sb_memory_functions, context, 8, 8);
FIELD(sb_memory_functions, reserve, 16, 8);
FIELD(sb_memory_functions, release, 24, 8);
FIELD(sb_memory_functions, retire, 32, 8);
SIZE(sb_memory_functions, 40);

FIELD(sb_channel_options, struct_size, 0, 4);
FIELD(sb_channel_options, pins_max, 4, 4);
FIELD(sb_channel_options, bytes_max, 8, 8);
SIZE(sb_channel_options, 16);

FIELD(sb_schema_field, name, 0, 8);
FIELD(sb_schema_field, type, 8, 4);
FIELD(sb_schema_field, reserved, 12, 4);
SIZE(sb_schema_field, 16);

FIELD(sb_bytes, data, 0, 8);
FIELD(sb_bytes, size, 8, 8);
SIZE(sb_bytes, 16);

FIELD(sb_value, number, 0, 8);
FIELD(sb_value, data, 8, 8);
FIELD(sb_value, size, 16, 8);
SIZE(sb_value, 24);

FIELD(sb_parser_options, struct_size, 0, 4);
FIELD(sb_parser_options, max_frame_size, 4, 4);
FIELD(sb_parser_options, memory, 8, 8);
FIELD(sb_parser_options, receive_position, 16, 8);
FIELD(sb_parser_options, accept_extra, 24, 1);
FIELD(sb_parser_options, reserved, 25, 7);
SIZE(sb_parser_options, 32);

FIELD(sb_row, stream_offset, 0, 8);
FIELD(sb_row, frame_size, 8, 4);
FIELD(sb_row, schema_index, 12, 2);
FIELD(sb_row, api_key, 14, 1);
FIELD(sb_row, sequence, 15, 1);
SIZE(sb_row, 16);

FIELD(sb_echo_request, timestamp, 0, 8);
FIELD(sb_echo_request, subject, 8, 8);
FIELD(sb_echo_request, subject_size, 16, 8);
FIELD(sb_echo_request, metadata, 24, 8);
FIELD(sb_echo_request, metadata_count, 32, 8);
FIELD(sb_echo_request, body, 40, 8);
FIELD(sb_echo_request, body_size, 48, 8);
FIELD(sb_echo_request, sequence, 56, 1);
FIELD(sb_echo_request, reserved, 57, 7);
SIZE(sb_echo_request, 64);

FIELD(sb_echo_response, timestamp, 0, 8);
FIELD(sb_echo_response, subject, 8, 8);
FIELD(sb_echo_response, subject_size, 16, 8);
FIELD(sb_echo_response, body, 24, 8);
FIELD(sb_echo_response, body_size, 32, 8);
FIELD(sb_echo_response, id, 40, 4);
FIELD(sb_echo_response, sequence, 44, 1);
FIELD(sb_echo_response, reserved, 45, 3);
SIZE(sb_echo_response, 48);

/* Statuses are never renumbered. */
static_assert(SB_OK == 0 && SB_NO_MEMORY == 1 && SB_INVALID_ARGUMENT == 2 && SB_OUT_OF_RANGE == 3 && SB_NEED_MORE == 4 &&
                  SB_TOO_LARGE == 5 && SB_CORRUPT == 6 && SB_UNKNOWN_API_KEY == 7 && SB_NOT_FOUND == 8 && SB_BUSY == 9 && SB_LOCKED == 10 &&
                  SB_CLOSED == 11 && SB_IO == 12 && SB_UNSUPPORTED == 13 && SB_PROVIDER == 14 && SB_UNAVAILABLE == 15 && SB_TIMEOUT == 16 &&
                  SB_STATUS_COUNT == 17,
              "a status has changed its number");

FIELD(sb_column, values, 0, 8);
FIELD(sb_column, size, 8, 8);
FIELD(sb_column, offsets, 16, 8);
FIELD(sb_column, offset_count, 24, 8);
FIELD(sb_column, lengths, 32, 8);
FIELD(sb_column, length_count, 40, 8);
FIELD(sb_column, item_offsets, 48, 8);
FIELD(sb_column, item_offset_count, 56, 8);
FIELD(sb_column, item_lengths, 64, 8);
FIELD(sb_column, item_length_count, 72, 8);
SIZE(sb_column, 80);
