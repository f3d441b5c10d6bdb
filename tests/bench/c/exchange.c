/* The C end of `make bench PART=exchange`: exchange TRANSPORT DESCRIPTOR. For each byte that comes it has one buffer of 1 MiB ready for the
 * other process, of which it wrote the first and the last byte; at the end of the socket it ends. exchange.py is the other end.
 *
 * samebytes: a block of a shared provider, sent through a channel. socket: all bytes through the socket. pipe: the same with the size in
 * front, as multiprocessing.Connection has it. */

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <samebytes/samebytes.h>

enum {
  SIZE = 1 << 20
};

static void touch(uint8_t *data, uint8_t round) { data[0] = data[SIZE - 1] = round; }

static int write_all(int file, const uint8_t *data, size_t size) {
  while (size > 0) {
    const ssize_t written = write(file, data, size);
    if (written <= 0) return -1;
    data += written;
    size -= (size_t)written;
  }
  return 0;
}

static int by_socket(int file, int with_size) {
  uint8_t *data = calloc(1, SIZE + 4), asked;
  if (data == NULL) return 1;
  const uint32_t size = htonl(SIZE);
  memcpy(data, &size, 4);
  int failed = 0;
  while (failed == 0 && read(file, &asked, 1) == 1) {
    touch(data + 4, asked);
    failed = write_all(file, with_size ? data : data + 4, with_size ? SIZE + 4 : SIZE);
  }
  free(data);
  return failed;
}

/* The peer asks by being done with what it got before. */
static int by_channel(int file) {
  sb_channel *channel = NULL;
  sb_memory *memory = NULL;
  sb_block *block = NULL;
  if (sb_channel_open(file, NULL, &channel, NULL) != SB_OK || sb_memory_open_shared(0, 0, &memory) != SB_OK) return 1;
  (void)close(file);
  if (sb_memory_get_block(memory, SIZE, &block) != SB_OK) return 1;
  for (uint8_t round = 1;; round++) {
    touch(sb_block_data(block), round);
    if (sb_channel_send_block(channel, block, SIZE, 0, -1, NULL) != SB_OK) break;
    if (sb_channel_wait_done(channel, -1, NULL) != SB_OK) break;
  }
  sb_block_close(block);
  sb_memory_close(memory);
  sb_channel_close(channel);
  return 0;
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  const int file = atoi(arguments[2]);
  if (strcmp(arguments[1], "samebytes") == 0) return by_channel(file);
  return by_socket(file, strcmp(arguments[1], "pipe") == 0);
}
