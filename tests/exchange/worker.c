/* One end of an exchange, in C: worker ROLE DESCRIPTOR. What the roles do is in test_exchange.py; "ok" at the end means that all was as it
 * should be. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <samebytes/samebytes.h>

enum {
  WHOLE = 1 << 20,
  BLOCK = 1 << 16,
  WAIT_MS = 20000
};

static sb_error error;

#define NEED(condition) \
  do { \
    if (!(condition)) { \
      (void)fprintf(stderr, "worker.c:%d: %s: %s\n", __LINE__, #condition, error.message); \
      exit(1); \
    } \
  } while (0)
#define OK(call) NEED((call) == SB_OK)

static uint8_t pattern(size_t i) { return (uint8_t)(i * 7 + i / 251); }

static sb_view *text_view(sb_memory *memory, const char *text) {
  sb_view *view = NULL;
  OK(sb_view_open(text, strlen(text), memory, &view));
  return view;
}

static void expect_text(sb_channel *channel, uint64_t wanted_tag, const char *text) {
  int32_t kind;
  uint64_t tag;
  sb_view *view = NULL;
  char found[32] = "";
  OK(sb_channel_next(channel, WAIT_MS, &kind, &tag, &error));
  NEED(kind == SB_ARRIVAL_VIEW && tag == wanted_tag);
  OK(sb_channel_receive_view(channel, 0, &view, &error));
  NEED(sb_view_size(view) == strlen(text) && sb_view_copy_bytes(view, 0, found, strlen(text)) == SB_OK && strcmp(found, text) == 0);
  sb_view_close(view);
}

static sb_view *pattern_view(sb_memory *memory) {
  uint8_t *bytes = malloc(WHOLE);
  NEED(bytes != NULL);
  for (size_t i = 0; i < WHOLE; i++) bytes[i] = pattern(i);
  sb_view *view = NULL;
  OK(sb_view_open(bytes, WHOLE, memory, &view));
  free(bytes);
  return view;
}

static void send_all(sb_channel *channel, sb_memory *memory) {
  sb_view *view = pattern_view(memory), *head = text_view(memory, "head:");
  OK(sb_view_append(head, view));
  OK(sb_channel_send_view(channel, head, 1, WAIT_MS, &error));
  sb_view_close(view);
  sb_view_close(head);

  sb_block *block = NULL;
  OK(sb_memory_get_block(memory, BLOCK, &block));
  char *bytes = sb_block_data(block);
  memset(bytes, 'S', BLOCK);
  OK(sb_channel_send_block(channel, block, BLOCK, 2, WAIT_MS, &error));
  expect_text(channel, 3, "written");
  for (size_t i = 0; i < BLOCK; i++) NEED(bytes[i] == 'R');
  memcpy(bytes, "again", 5);
  sb_view *said = text_view(memory, "look");
  OK(sb_channel_send_view(channel, said, 4, WAIT_MS, &error));
  sb_view_close(said);
  OK(sb_channel_wait_done(channel, WAIT_MS, &error));
  NEED(memcmp(bytes, "last", 4) == 0);
  sb_block_close(block);
}

static void receive_all(sb_channel *channel, sb_memory *memory) {
  sb_view *view = NULL;
  uint8_t *bytes = malloc(WHOLE + 5);
  NEED(bytes != NULL);
  OK(sb_channel_receive_view(channel, WAIT_MS, &view, &error));
  NEED(sb_view_size(view) == WHOLE + 5 && sb_view_read_bytes(view, bytes, WHOLE + 5) == SB_OK && memcmp(bytes, "head:", 5) == 0);
  for (size_t i = 0; i < WHOLE; i++) NEED(bytes[i + 5] == pattern(i));
  free(bytes);
  sb_view_close(view);

  sb_block *block = NULL;
  OK(sb_channel_receive_block(channel, WAIT_MS, &block, &error));
  char *theirs = sb_block_data(block);
  NEED(sb_block_size(block) == BLOCK && theirs[0] == 'S' && theirs[BLOCK - 1] == 'S');
  memset(theirs, 'R', BLOCK);
  sb_view *said = text_view(memory, "written");
  OK(sb_channel_send_view(channel, said, 3, WAIT_MS, &error));
  sb_view_close(said);
  expect_text(channel, 4, "look");
  NEED(memcmp(theirs, "again", 5) == 0);
  memcpy(theirs, "last", 4);
  sb_block_close(block);
  OK(sb_channel_wait_done(channel, WAIT_MS, &error));
}

/* The peer dies with what it received. */
static void lose(sb_channel *channel, sb_memory *memory) {
  sb_view *view = pattern_view(memory);
  OK(sb_channel_send_view(channel, view, 1, WAIT_MS, &error));
  sb_view_close(view);
  NEED(sb_channel_wait_done(channel, WAIT_MS, &error) == SB_UNAVAILABLE);
  sb_memory_stats stats = {.struct_size = sizeof stats};
  OK(sb_memory_get_stats(memory, &stats));
  NEED(stats.live_bytes == 0 && sb_channel_pin_count(channel) == 0);
}

static void die(sb_channel *channel) {
  sb_view *view = NULL;
  OK(sb_channel_receive_view(channel, WAIT_MS, &view, &error));
  (void)raise(SIGKILL);
}

int main(int count, char **arguments) {
  NEED(count == 3);
  const int file = atoi(arguments[2]);
  sb_channel *channel = NULL;
  sb_memory *memory = NULL;
  OK(sb_channel_open(file, NULL, &channel, &error));
  (void)close(file);
  OK(sb_memory_open_shared(0, 0, &memory));
  if (strcmp(arguments[1], "send") == 0) send_all(channel, memory);
  if (strcmp(arguments[1], "receive") == 0) receive_all(channel, memory);
  if (strcmp(arguments[1], "lose") == 0) lose(channel, memory);
  if (strcmp(arguments[1], "die") == 0) die(channel);
  sb_channel_close(channel);
  sb_memory_close(memory);
  NEED(sb_memory_live_blocks() == 0);
  (void)puts("ok");
  return 0;
}
