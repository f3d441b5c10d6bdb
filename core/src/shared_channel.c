//go:build !samebytes_shared

/* One end of a channel. docs/exchange.md has the records that travel, byte by byte.
 *
 * The sender names a segment once: it puts it into one of SLOTS slots, of which the receiver has the same number, and sends its descriptor
 * along; later messages say slot, offset and length. Which segment a slot holds is the sender's to decide, and it may put another one there
 * when nothing of the old one is pinned; so both tables are bounded, and agree without a conversation.
 *
 * The channel is the provider of the blocks that it receives: each keeps it, and with it the socket, until it is closed and the peer was told
 * so. Only then may the socket end, because its end tells the peer that all its memory is free again. So a channel has three ends, one after
 * the other. It has `ended` when no message comes or goes any more, for a reason that every call tells: the peer is told (the record END), and
 * each says on when it is done with memory. After a lie even that is not believed. The peer is `gone` when its socket has ended: it shows
 * nothing any more, and only now all pins end. Last, when nothing shows what was received here, this side's socket ends.
 *
 * Linux drops descriptors for which the receiver has no room (MSG_CTRUNC), and delivers those of a message with its first byte, in whatever call
 * reads that. So that nothing is lost, bytes that bring descriptors are looked at (MSG_PEEK) before they are taken, and taken when all are
 * there. To know when, at no cost to all other messages, the sender announces them: FILES_AHEAD + 1 records, each with the number of those that
 * follow, before the first byte that brings descriptors. They are longer than one read, so no read reaches that byte without knowing.
 *
 * What this process lacks (descriptors, memory, room for mappings) is no end: the record that needs it stays at the head of `input`, the call
 * says what was `refused`, and the next one tries again.
 *
 * Whatever waits takes from the socket what is there, also what others wait for. Arrivals stay in a queue, and `wake` is set while there are
 * some and the lock is free, so nobody who polls misses them; it is set as well while the channel has ended or something is refused. Who waits for pins looks again after WAIT_NS at the latest; it does not wait
 * at the socket while the queue is full, because what is left in there would not let it sleep.
 *
 * To wake a process that sleeps takes many times what an exchange does, so who waits looks again and again for SPIN_NS before it sleeps. After
 * SPINS_VAIN waits in a row for which that was in vain it does so for SPINS_VAIN of each SPINS_ROUND waits only: enough to notice, on both sides
 * at once, that answers are quick again, and no load where they are not. Between two looks it gives way to others: when that takes longer than
 * SPIN_STEP_NS, somebody needs the processor, and sleeping is better, because who is woken runs before those who compute. That is in vain as well.
 *
 * Blocks are given back, which may enter a provider, without the lock. Who holds the lock is not cancelled. The invariants are code:
 * channel_check. */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "error_private.h"
#include "options.h"
#include "shared_private.h"
#include "spans.h"
#include "view_private.h"

enum {
  SLOTS = SB_CHANNEL_SEGMENTS_MAX,
  RECORD = 64, /* bytes */
  RECORDS_MAX = 2 * SB_CHANNEL_SPANS_MAX,
  MESSAGE_MAX = RECORD * RECORDS_MAX, /* below 2240, which the smallest buffer of a socket takes as one piece */
  ARRIVALS_MAX = 64,                  /* in the queue before the rest is left in the socket */
  PINS_DEFAULT = 1024,
  PINS_LIMIT = 1 << 24,
  DONES_MAX = 1 << 14, /* blocks that were closed, and of which the peer could not be told, before the rest is left in the socket */
  READS_MAX = 64,      /* of the socket in one call: a peer that never stops does not keep it */
  WAIT_NS = 20000000,
  SPIN_NS = 50000,
  SPIN_STEP_NS = 10000,
  SPINS_VAIN = 16,
  SPINS_ROUND = 256,
  MAGIC = 0x31584253, /* "SBX1" */
  KIND_SEGMENT = 1,
  KIND_SPAN = 2,
  KIND_DONE = 3,
  KIND_END = 4,
  KIND_FILES = 5,
  FILES_AHEAD = MESSAGE_MAX / RECORD,
  NO_PIN = UINT32_MAX
};
static_assert(SB_PRIV_FILES_MAX >= SB_CHANNEL_SPANS_MAX, "a message has room for the descriptors of all its spans");
static_assert((FILES_AHEAD + 1) * RECORD <= 2240, "the smallest buffer of a socket takes an announcement as one piece");

/* What a record says; all of it is there in every kind, and 0 where it means nothing. */
typedef struct wire_record {
  uint8_t kind;
  uint8_t mode; /* SB_ARRIVAL_... */
  uint8_t more; /* 1: the next span belongs to the same view */
  uint32_t slot;
  uint64_t pin;
  uint64_t size;
  uint64_t offset;
  uint64_t tag;
  uint64_t key;
} wire_record;

/* A segment that the peer knows. */
typedef struct sent_slot {
  sb_priv_segment *segment;
  uint8_t mode;
  uint32_t pins;
} sent_slot;

typedef struct pin {
  sb_block *block; /* NULL: free */
  uint32_t slot;
  uint32_t turn; /* grows with each use, so that a number that was used before is wrong */
  uint32_t next; /* free one */
} pin;

/* A segment of the peer's. */
typedef struct mapping {
  size_t blocks; /* that are out */
  uint8_t *data;
  size_t size;
  uint8_t mode;
  bool in_slot;
} mapping;

typedef struct received_block {
  sb_block block; /* first */
  mapping *from;
  uint64_t pin;
  struct received_block *next;
} received_block;

typedef struct arrival {
  struct arrival *next;
  uint64_t tag;
  uint8_t mode;
  uint32_t count;
  received_block *blocks[SB_CHANNEL_SPANS_MAX];
} arrival;

struct sb_channel {
  sb_memory base; /* of what is received */
  sb_priv_fork_entry fork;
  int socket, wake, group;
  uint32_t pins_max;
  uint64_t bytes_max;
  bool spins;                          /* the peer may run at the same time */
  _Atomic uint32_t receives_in_vain;   /* waits in a row in which spinning was in vain, for arrivals */
  _Atomic uint32_t wait_dones_in_vain; /* the same, for the peer to be done */

  pthread_mutex_t lock; /* of what follows */
  int cancel;           /* of the thread that holds the lock: whether it could be cancelled before */
  bool forked, stopped, woken;
  bool watched_to_read, watched_to_write; /* what `group` waits for at the socket */
  bool ended;       /* nothing comes any more, and nothing can be sent, but what says that somebody is done with memory */
  sb_error end;     /* why */
  bool distrusted;  /* it ended because the peer lied */
  bool end_untold;  /* it ended, and the peer does not know it */
  bool mute;        /* the peer takes nothing any more; what it sent before can still be read */
  bool gone;        /* the peer's socket has ended */
  bool unsaid;      /* it did so before the peer said that it is done with all */
  sb_error refused; /* what kept the first record of `input`, or the bytes that come next, from being taken in; SB_OK: nothing */
  sent_slot sent[SLOTS];
  uint32_t next_slot;   /* to be replaced */
  bool files_announced; /* what is sent next may have descriptors */
  pin *pins;
  uint32_t pin_room, pin_count;
  uint32_t pin_free, pin_over; /* lists of pins: without a block, and with one that is to be given back */
  mapping *slots[SLOTS];
  uint64_t mapped;
  uint8_t input[MESSAGE_MAX];
  size_t input_size;
  bool files_due;               /* descriptors were announced: */
  uint32_t files_ahead;         /* they come after so many more records of the announcement */
  bool files_dropped;           /* some came with the last bytes of `input`, and were not announced */
  int files[SB_PRIV_FILES_MAX]; /* that came, and no record has taken */
  size_t file_count;
  arrival *first, **last; /* whole ones */
  uint32_t arrival_count;
  arrival *partial;     /* a view of which spans are missing */
  received_block *done; /* blocks that were closed, and the peer does not know it */
  uint32_t done_count;
};

/* ---- invariants ---- */

#ifdef NDEBUG
static void channel_check(const sb_channel *channel) { (void)channel; }
#else
static void pins_check(const sb_channel *channel) {
  uint32_t live = 0, in_slots = 0, in_lists = 0;
  for (uint32_t i = 0; i < channel->pin_room; i++) {
    const pin *one = &channel->pins[i];
    if (one->turn % 2 == 0) continue;
    assert(one->block != NULL && one->slot < SLOTS && channel->sent[one->slot].pins > 0);
    live++;
  }
  for (uint32_t i = channel->pin_free; i != NO_PIN; i = channel->pins[i].next, in_lists++)
    assert(i < channel->pin_room && channel->pins[i].block == NULL && channel->pins[i].turn % 2 == 0);
  for (uint32_t i = channel->pin_over; i != NO_PIN; i = channel->pins[i].next, in_lists++)
    assert(i < channel->pin_room && channel->pins[i].block != NULL && channel->pins[i].turn % 2 == 0);
  for (uint32_t slot = 0; slot < SLOTS; slot++) {
    assert(channel->sent[slot].segment != NULL || channel->sent[slot].pins == 0);
    in_slots += channel->sent[slot].pins;
  }
  assert(live == channel->pin_count && in_slots == live && live + in_lists == channel->pin_room);
}

static void arrivals_check(const sb_channel *channel) {
  uint32_t count = 0;
  arrival *const *last = &channel->first;
  for (; *last != NULL; last = &(*last)->next, count++) assert((*last)->count > 0 && (*last)->count <= SB_CHANNEL_SPANS_MAX);
  assert(count == channel->arrival_count && last == channel->last);
  assert(channel->partial == NULL || (channel->partial->count > 0 && channel->partial->count < SB_CHANNEL_SPANS_MAX));
}

/* What holds whenever somebody enters or leaves. What takes long is looked at while there is little of it. */
static void channel_check(const sb_channel *channel) {
  uint64_t mapped = 0;
  for (uint32_t slot = 0; slot < SLOTS; slot++)
    if (channel->slots[slot] != NULL) mapped += channel->slots[slot]->size;
  assert(mapped == channel->mapped && mapped <= channel->bytes_max); /* blocks of a slot keep it from being replaced */
  assert(channel->pin_count <= channel->pins_max && channel->pin_count <= channel->pin_room);
  assert(channel->ended ? channel->end.status != SB_OK : !channel->gone && !channel->distrusted && !channel->end_untold);
  assert(!channel->gone || (channel->pin_count == 0 && channel->mute));
  assert(!channel->distrusted || channel->input_size == 0);
  assert(channel->input_size < RECORD || channel->refused.status != SB_OK || channel->stopped);
  assert(channel->file_count <= SB_PRIV_FILES_MAX && (!channel->ended || channel->file_count == 0));
  assert(channel->files_due || channel->files_ahead == 0);
  assert((channel->done == NULL) == (channel->done_count == 0));
  if (channel->pin_room <= 64) pins_check(channel);
  arrivals_check(channel);
}
#endif

/* ---- records ---- */

static void put_integer(uint8_t *data, uint64_t value, size_t size) {
  for (size_t i = 0; i < size; i++) data[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_integer(const uint8_t *data, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | data[i];
  return value;
}

static void record_write(uint8_t *data, const wire_record *record) {
  put_integer(data, MAGIC, 4);
  data[4] = record->kind;
  data[5] = record->mode;
  data[6] = record->more;
  data[7] = 0;
  put_integer(data + 8, record->slot, 8);
  put_integer(data + 16, record->pin, 8);
  put_integer(data + 24, record->size, 8);
  put_integer(data + 32, record->offset, 8);
  put_integer(data + 40, record->tag, 8);
  put_integer(data + 48, record->key, 8);
  put_integer(data + 56, 0, 8);
}

/* False for what this version does not write. */
static bool record_read(const uint8_t *data, wire_record *record) {
  const uint64_t slot = get_integer(data + 8, 8);
  *record = (wire_record){
      .kind = data[4],
      .mode = data[5],
      .more = data[6],
      .slot = slot > UINT32_MAX ? UINT32_MAX : (uint32_t)slot,
      .pin = get_integer(data + 16, 8),
      .size = get_integer(data + 24, 8),
      .offset = get_integer(data + 32, 8),
      .tag = get_integer(data + 40, 8),
      .key = get_integer(data + 48, 8),
  };
  return get_integer(data, 4) == MAGIC && data[7] == 0 && get_integer(data + 56, 8) == 0;
}

/* ---- pins ---- */

static void pin_end(sb_channel *channel, uint32_t index) {
  pin *ended = &channel->pins[index];
  channel->sent[ended->slot].pins--;
  ended->turn++;
  ended->next = channel->pin_over;
  channel->pin_over = index;
  channel->pin_count--;
}

/* Ends all pins. With `left` their memory is never given again, because the peer may still look at it. */
static void pins_end(sb_channel *channel, bool left) {
  for (uint32_t slot = 0; slot < SLOTS; slot++)
    if (left && channel->sent[slot].pins > 0) atomic_store(&channel->sent[slot].segment->left, true);
  for (uint32_t i = 0; i < channel->pin_room && channel->pin_count > 0; i++)
    if (channel->pins[i].turn % 2 == 1) pin_end(channel, i);
}

/* Makes room for `more` pins. */
static sb_status pins_reserve(sb_channel *channel, uint32_t more) {
  uint32_t room = channel->pin_room == 0 ? 16 : channel->pin_room;
  /* Pins that are over are not free yet, but will be soon. */
  uint32_t free_pins = 0;
  for (uint32_t i = channel->pin_free; i != NO_PIN && free_pins < more; i = channel->pins[i].next) free_pins++;
  if (free_pins == more) return SB_OK;
  while (room < channel->pin_room + more) room *= 2;
  pin *pins = realloc(channel->pins, room * sizeof *pins);
  if (pins == NULL) return SB_NO_MEMORY;
  for (uint32_t i = room; i-- > channel->pin_room;) {
    pins[i] = (pin){.next = channel->pin_free};
    channel->pin_free = i;
  }
  channel->pins = pins;
  channel->pin_room = room;
  return SB_OK;
}

/* ---- entering, leaving, ending ---- */

static void lock(sb_channel *channel) {
  const int before = sb_priv_cancel_hold();
  (void)pthread_mutex_lock(&channel->lock);
  channel->cancel = before;
}

static void unlock(sb_channel *channel) {
  const int before = channel->cancel;
  (void)pthread_mutex_unlock(&channel->lock);
  sb_priv_cancel_release(before);
}

/* Who sleeps must wake when the socket takes again what the peer could not be told: the peer may wait for just that. While too much is untold,
 * nothing is read, so only that wakes it. */
static void watch_socket(sb_channel *channel) {
  const bool untold = channel->done != NULL || channel->end_untold, to_read = channel->done_count < DONES_MAX;
  if (channel->forked || (untold == channel->watched_to_write && to_read == channel->watched_to_read)) return;
  channel->watched_to_write = untold;
  channel->watched_to_read = to_read;
  sb_priv_group_watch(channel->group, channel->socket, to_read, untold);
}

/* Leaves the channel, and gives back what the peer is done with. */
static void leave(sb_channel *channel) {
  const int before = channel->cancel; /* others may enter meanwhile */
  while (channel->pin_over != NO_PIN) {
    sb_block *blocks[16];
    uint32_t count = 0;
    while (channel->pin_over != NO_PIN && count < 16) {
      const uint32_t index = channel->pin_over;
      pin *over = &channel->pins[index];
      blocks[count++] = over->block;
      channel->pin_over = over->next;
      over->block = NULL;
      over->next = channel->pin_free;
      channel->pin_free = index;
    }
    channel_check(channel);
    (void)pthread_mutex_unlock(&channel->lock);
    for (uint32_t i = 0; i < count; i++) sb_priv_block_release(blocks[i]);
    (void)pthread_mutex_lock(&channel->lock);
  }
  const bool wanted = channel->arrival_count > 0 || channel->stopped || channel->ended || channel->refused.status != SB_OK;
  if (wanted != channel->woken) {
    if (wanted)
      sb_priv_signal_set(channel->wake);
    else
      sb_priv_signal_clear(channel->wake);
    channel->woken = wanted;
  }
  watch_socket(channel);
  channel_check(channel);
  channel->cancel = before;
  unlock(channel);
}

/* Enters the channel, unless nothing can be done there any more. */
static sb_status enter(sb_channel *channel, sb_error *error) {
  if (channel == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "channel is NULL");
  lock(channel);
  if (!channel->forked && !channel->stopped) {
    channel_check(channel);
    return SB_OK;
  }
  const bool forked = channel->forked;
  unlock(channel);
  return sb_priv_error(error, SB_CLOSED, NULL, forked ? "the channel is that of the process that forked" : "the channel was stopped");
}

/* The error that ended the channel. */
static sb_status ended(const sb_channel *channel, sb_error *error) {
  if (error != NULL) *error = channel->end;
  return channel->end.status;
}

static void files_close(sb_channel *channel) {
  for (size_t i = 0; i < channel->file_count; i++) sb_priv_file_close(channel->files[i]);
  channel->file_count = 0;
}

/* Ends the channel; what came before stays, and so does the peer's memory. The message comes from sb_priv_error(&channel->end, ...). */
static void end(sb_channel *channel, sb_status status) {
  assert(!channel->ended);
  channel->ended = channel->end_untold = true;
  channel->distrusted = status == SB_CORRUPT;
  channel->refused.status = SB_OK;
  channel->files_due = false;
  channel->files_ahead = 0;
  files_close(channel);
}

#define END(channel, status, field, ...) end(channel, sb_priv_error(&(channel)->end, status, field, __VA_ARGS__))

/* Notes that the peer's socket has ended. */
static void end_of_socket(sb_channel *channel) {
  if (!channel->ended) END(channel, SB_UNAVAILABLE, NULL, "the peer has ended the socket");
  channel->gone = channel->mute = true;
  channel->end_untold = false;
  channel->unsaid = channel->pin_count > 0;
  channel->input_size = 0;
  pins_end(channel, false);
}

/* Notes what this process, not the peer, does not have for what the peer sent. */
#define REFUSE(channel, problem, ...) \
  (void)sb_priv_system_error(&(channel)->refused, (problem) == ENOMEM ? SB_NO_MEMORY : SB_IO, problem, __VA_ARGS__)

static sb_status refused(const sb_channel *channel, sb_error *error) {
  if (error != NULL) *error = channel->refused;
  return channel->refused.status;
}

/* ---- what the peer says ---- */

static void mapping_release(sb_channel *channel, mapping *from) {
  if (from->in_slot || from->blocks > 0) return;
  sb_priv_segment_unmap(from->data, from->size);
  channel->mapped -= from->size;
  free(from);
}

/* Checks the file of a segment that is to take the place of `old_size` mapped bytes, and maps it. */
static bool segment_map(sb_channel *channel, const wire_record *said, int file, uint64_t old_size, mapping *made) {
  sb_priv_segment_facts facts;
  const uint64_t mapped = channel->mapped - old_size;
  int problem = sb_priv_segment_look(file, &facts);
  if (problem != 0)
    REFUSE(channel, problem, "looking at the peer's segment");
  else if (!facts.memory)
    END(channel, SB_CORRUPT, "fd", "the descriptor of the peer's segment is no anonymous memory");
  else if (!facts.sealed)
    END(channel, SB_CORRUPT, "seals", "the peer's segment is not sealed against growing, shrinking and other seals");
  else if (facts.size != said->size || said->size == 0)
    END(channel, SB_CORRUPT, "size", "the peer's segment has %" PRIu64 " bytes, the peer says %" PRIu64, facts.size, said->size);
  else if (said->size > channel->bytes_max - mapped)
    END(channel, SB_TOO_LARGE, "size", "a segment of %" PRIu64 " bytes, with %" PRIu64 " mapped of %" PRIu64 " at most: bytes_max says so",
        said->size, mapped, channel->bytes_max);
  else {
    problem = sb_priv_segment_map(file, (size_t)said->size, said->mode == SB_ARRIVAL_BLOCK, &made->data);
    if (problem == EACCES || problem == EPERM || problem == ENODEV) /* what the peer opened it for, and other seals */
      END(channel, SB_CORRUPT, "fd", "the peer's segment cannot be mapped for %s", said->mode == SB_ARRIVAL_BLOCK ? "writing" : "reading");
    else if (problem != 0)
      REFUSE(channel, problem, "mmap of the peer's segment of %" PRIu64 " bytes", said->size);
    return problem == 0;
  }
  return false;
}

static void segment_said(sb_channel *channel, const wire_record *said) {
  if (channel->file_count == 0) {
    END(channel, SB_CORRUPT, "fd",
        channel->files_dropped ? "the peer sends a descriptor that it did not announce"
                               : "the peer names a segment, and sent no descriptor for it");
    return;
  }
  if (said->slot >= SLOTS || (channel->slots[said->slot] != NULL && channel->slots[said->slot]->blocks > 0)) {
    END(channel, SB_CORRUPT, "slot", "the peer puts a segment into slot %" PRIu32 ", which %s", said->slot,
        said->slot >= SLOTS ? "does not exist" : "is in use");
    return;
  }
  mapping *old = channel->slots[said->slot];
  mapping *made = calloc(1, sizeof *made);
  if (made == NULL) {
    REFUSE(channel, ENOMEM, "memory for a segment");
    return;
  }
  const int file = channel->files[0];
  if (!segment_map(channel, said, file, old == NULL ? 0 : old->size, made)) {
    free(made);
    return; /* the descriptor was closed when the channel ended, or waits for the next try */
  }
  memmove(channel->files, channel->files + 1, --channel->file_count * sizeof *channel->files);
  sb_priv_file_close(file); /* the mapping is enough */
  if (old != NULL) {
    old->in_slot = false;
    mapping_release(channel, old);
  }
  made->size = (size_t)said->size;
  made->mode = said->mode;
  made->in_slot = true;
  channel->mapped += made->size;
  channel->slots[said->slot] = made;
}

/* Checks a span; false when it ended the channel. */
static bool span_check(sb_channel *channel, const wire_record *said) {
  const mapping *from = said->slot < SLOTS ? channel->slots[said->slot] : NULL;
  const arrival *partial = channel->partial;
  if (from == NULL)
    END(channel, SB_CORRUPT, "slot", "the peer sends bytes of slot %" PRIu32 ", which holds no segment", said->slot);
  else if (from->mode != said->mode || (partial != NULL && said->mode != SB_ARRIVAL_VIEW))
    END(channel, SB_CORRUPT, "mode", "the peer sends a %s, and the segment is mapped for the other",
        said->mode == SB_ARRIVAL_BLOCK ? "block" : "view");
  else if (said->offset > from->size || (said->mode == SB_ARRIVAL_BLOCK && said->offset % 64 != 0))
    END(channel, SB_CORRUPT, "offset", "the peer sends bytes at %" PRIu64 " of a segment of %zu bytes", said->offset, from->size);
  else if (said->size == 0 || said->size > from->size - said->offset || said->size > SB_BLOCK_SIZE_MAX)
    END(channel, SB_CORRUPT, "length", "the peer sends %" PRIu64 " bytes at %" PRIu64 " of a segment of %zu bytes", said->size,
        said->offset, from->size);
  else if (said->more > 1 || (said->more == 1 && said->mode == SB_ARRIVAL_BLOCK) ||
           (said->more == 1 && partial != NULL && partial->count + 1 >= SB_CHANNEL_SPANS_MAX))
    END(channel, SB_CORRUPT, "more", "the peer sends more spans than a message can have");
  else
    return true;
  return false;
}

static void span_said(sb_channel *channel, const wire_record *said) {
  if (!span_check(channel, said)) return;
  received_block *block = malloc(sizeof *block);
  arrival *whole = channel->partial != NULL ? channel->partial : calloc(1, sizeof *whole);
  if (block == NULL || whole == NULL) {
    free(block);
    if (whole != channel->partial) free(whole);
    REFUSE(channel, ENOMEM, "memory for what the peer sends");
    return;
  }
  mapping *from = channel->slots[said->slot];
  *block = (received_block){.from = from, .pin = said->pin};
  atomic_init(&block->block.owners, 1);
  block->block.size = (uint32_t)said->size;
  block->block.data = from->data + said->offset;
  block->block.memory = &channel->base;
  block->block.key = said->key;
  from->blocks++;
  sb_priv_block_count(&block->block);
  sb_priv_live_blocks_add(1);
  whole->tag = said->tag;
  whole->mode = said->mode;
  whole->blocks[whole->count++] = block;
  channel->partial = said->more == 1 ? whole : NULL;
  if (said->more == 1) return;
  *channel->last = whole;
  channel->last = &whole->next;
  channel->arrival_count++;
}

static void done_said(sb_channel *channel, const wire_record *said) {
  const uint64_t index = said->pin >> 32;
  if (index < channel->pin_room && channel->pins[index].turn % 2 == 1 && channel->pins[index].turn == (uint32_t)said->pin)
    pin_end(channel, (uint32_t)index);
  else if (!channel->ended)
    END(channel, SB_CORRUPT, "pin", "the peer is done with pin %" PRIx64 ", which it does not have", said->pin);
}

/* One record of an announcement. */
static void files_said(sb_channel *channel, const wire_record *said) {
  const uint32_t wanted = channel->files_due ? channel->files_ahead - 1 : FILES_AHEAD;
  if (said->size != wanted || (channel->files_due && channel->files_ahead == 0)) {
    END(channel, SB_CORRUPT, "record", "the peer announces descriptors after %" PRIu64 " records, not after %" PRIu32, said->size, wanted);
    return;
  }
  channel->files_due = true;
  channel->files_ahead = wanted;
}

/* Takes a record, or refuses it, or ends the channel. */
static void record_take(sb_channel *channel, const uint8_t *data) {
  wire_record said;
  const bool readable = record_read(data, &said);
  const bool sends = said.kind == KIND_SEGMENT || said.kind == KIND_SPAN;
  if (channel->ended) { /* what came on the way is not wanted any more */
    if (readable && said.kind == KIND_DONE) done_said(channel, &said);
  } else if (!readable || said.kind < KIND_SEGMENT || said.kind > KIND_FILES || (channel->files_ahead > 0 && said.kind != KIND_FILES))
    END(channel, SB_CORRUPT, "record", "the peer sends what is no record of this version");
  else if (channel->file_count > 0 && said.kind != KIND_SEGMENT)
    END(channel, SB_CORRUPT, "fd", "the peer sent a descriptor that no record names");
  else if (sends && said.mode != SB_ARRIVAL_VIEW && said.mode != SB_ARRIVAL_BLOCK)
    END(channel, SB_CORRUPT, "mode", "the peer sends mode %u, which does not exist", said.mode);
  else if (said.kind == KIND_SEGMENT)
    segment_said(channel, &said);
  else if (said.kind == KIND_SPAN)
    span_said(channel, &said);
  else if (said.kind == KIND_DONE)
    done_said(channel, &said);
  else if (said.kind == KIND_FILES)
    files_said(channel, &said);
  else {
    END(channel, SB_UNAVAILABLE, NULL, "the peer has ended the channel");
    channel->end_untold = false;
  }
}

/* Takes the records that are complete, up to one that is refused. */
static void input_take(sb_channel *channel) {
  size_t at = 0;
  while (channel->input_size - at >= RECORD && !channel->distrusted) {
    record_take(channel, channel->input + at);
    if (channel->refused.status != SB_OK) break;
    at += RECORD;
  }
  if (channel->files_dropped && channel->refused.status == SB_OK && !channel->ended)
    END(channel, SB_CORRUPT, "fd", "the peer sends a descriptor that it did not announce");
  if (channel->distrusted) at = channel->input_size;
  channel->input_size -= at;
  memmove(channel->input, channel->input + at, channel->input_size);
}

/* Reads what comes next in the socket; false when there is nothing. `*last`: that was all. */
static bool input_read(sb_channel *channel, bool *last) {
  uint8_t *to = channel->input + channel->input_size;
  size_t room = sizeof channel->input - channel->input_size, got = 0;
  const bool due = channel->files_due && channel->files_ahead == 0;
  if (channel->files_ahead > 0) room = channel->files_ahead * (size_t)RECORD - channel->input_size;
  assert(room > 0 && room <= sizeof channel->input - channel->input_size && (!due || channel->input_size == 0));
  int problem = due ? sb_priv_socket_receive_files(channel->socket, to, room, &got, channel->files, &channel->file_count)
                    : sb_priv_socket_receive(channel->socket, to, room, &got);
  if (problem == EAGAIN) return false;
  *last = got < room && !channel->files_due;
  if (problem == ECONNRESET || (problem == 0 && got == 0)) {
    end_of_socket(channel);
    return false;
  }
  if (problem == 0 || problem == EBADMSG) channel->input_size += got;
  if (problem == EBADMSG)
    channel->files_dropped = true; /* a lie, but what came before it is taken */
  else if (problem == EMSGSIZE)
    END(channel, SB_CORRUPT, "fd", "the peer sends more descriptors than a message can have");
  else if (problem != 0)
    REFUSE(channel, problem, due ? "descriptors that the peer sent" : "reading the socket");
  else if (due)
    channel->files_due = false;
  return true;
}

/* Whether more may be taken out of the socket. */
static bool takes(const sb_channel *channel) {
  if (channel->gone || channel->refused.status != SB_OK || channel->done_count >= DONES_MAX) return false;
  return channel->ended || channel->arrival_count < ARRIVALS_MAX;
}

/* Takes what is in the socket, and notices its end; with `messages_only` only when nothing came before, which spares a call. */
static void pump_some(sb_channel *channel, bool messages_only) {
  channel->refused.status = SB_OK; /* perhaps it goes now */
  if (channel->input_size >= RECORD) input_take(channel);
  bool last = false;
  for (uint32_t reads = 0; reads < READS_MAX && takes(channel) && !(last && messages_only); reads++) {
    if (!input_read(channel, &last)) return;
    input_take(channel);
  }
}

static void pump(sb_channel *channel) { pump_some(channel, false); }

/* ---- saying ---- */

/* A message that is put together. */
typedef struct wire_message {
  uint8_t bytes[MESSAGE_MAX + RECORD]; /* of which only an announcement uses all */
  size_t size;
  int files[SB_CHANNEL_SPANS_MAX];
  size_t file_count;
} wire_message;

static void message_add(wire_message *message, const wire_record *record) {
  assert(message->size + RECORD <= sizeof message->bytes);
  record_write(message->bytes + message->size, record);
  message->size += RECORD;
}

/* Sends it: 0, EPIPE when the peer takes nothing any more, or why it cannot be sent now. */
static int message_send(sb_channel *channel, const wire_message *message) {
  if (channel->mute) return EPIPE;
  const int problem = sb_priv_socket_send(channel->socket, message->bytes, message->size, message->files, message->file_count);
  if (problem == 0) channel->files_announced = false;
  if (problem != EPIPE && problem != ECONNRESET && problem != ENOTCONN) return problem;
  channel->mute = true; /* the end of what it sent before is found when all of that was read */
  return EPIPE;
}

/* Says that descriptors come next. */
static int files_announce(sb_channel *channel) {
  wire_message said;
  static_assert(sizeof said.bytes >= (FILES_AHEAD + 1) * RECORD, "a message has room for an announcement");
  said.size = said.file_count = 0;
  for (uint32_t ahead = FILES_AHEAD + 1; ahead-- > 0;) {
    const wire_record one = {.kind = KIND_FILES, .size = ahead};
    message_add(&said, &one);
  }
  const int problem = message_send(channel, &said);
  channel->files_announced = problem == 0;
  return problem;
}

/* Tells the peer which blocks were closed. False when the socket does not take them now: they are told later. */
static bool dones_tell(sb_channel *channel) {
  while (channel->done != NULL) {
    wire_message told;
    told.size = told.file_count = 0;
    received_block *next = channel->done;
    for (; next != NULL && told.size < MESSAGE_MAX; next = next->next) {
      const wire_record said = {.kind = KIND_DONE, .pin = next->pin};
      message_add(&told, &said);
    }
    const int problem = message_send(channel, &told);
    if (problem != 0 && problem != EPIPE) return false;
    while (channel->done != next) {
      received_block *block = channel->done;
      channel->done = block->next;
      channel->done_count--;
      free(block);
    }
  }
  return true;
}

/* Tells the peer what it does not know: which blocks were closed, and that the channel has ended. */
static void tell(sb_channel *channel) {
  if (!dones_tell(channel) || !channel->end_untold) return;
  wire_message told;
  told.size = told.file_count = 0;
  const wire_record said = {.kind = KIND_END};
  message_add(&told, &said);
  const int problem = message_send(channel, &told);
  channel->end_untold = problem != 0 && problem != EPIPE;
}

/* ---- the provider of what is received ---- */

static sb_status received_get(sb_memory *memory, size_t size, sb_block **block) {
  (void)memory;
  (void)size;
  (void)block;
  return SB_UNSUPPORTED;
}

static void received_put(sb_block *block) {
  sb_channel *channel = (sb_channel *)block->memory;
  received_block *received = (received_block *)block;
  sb_priv_live_blocks_add(-1);
  lock(channel);
  if (channel->forked) { /* the mapping may be in any state; the parent will say that it is done */
    unlock(channel);
    free(received);
    return;
  }
  channel_check(channel);
  received->from->blocks--;
  mapping_release(channel, received->from); /* before the peer may know it: it could use the slot again at once */
  received->next = channel->done;
  channel->done = received;
  channel->done_count++;
  tell(channel);
  leave(channel);
}

static void channel_free(sb_channel *channel) {
  for (uint32_t i = 0; i < SLOTS; i++) {
    if (channel->sent[i].segment != NULL) sb_priv_segment_release(channel->sent[i].segment);
    if (channel->slots[i] == NULL) continue;
    channel->slots[i]->in_slot = false;
    mapping_release(channel, channel->slots[i]);
  }
  files_close(channel);
  free(channel->pins);
  while (channel->done != NULL) {
    received_block *block = channel->done;
    channel->done = block->next;
    free(block);
  }
}

static void descriptors_close(sb_channel *channel) {
  sb_priv_file_close(channel->group);
  sb_priv_file_close(channel->wake);
  sb_priv_file_close(channel->socket);
  channel->group = channel->wake = channel->socket = -1;
}

static void received_retire(sb_memory *memory) {
  sb_channel *channel = (sb_channel *)memory;
  sb_priv_fork_hold();
  sb_priv_fork_remove(&channel->fork);
  if (!channel->forked) {
    tell(channel);
    channel_free(channel);
    if (channel->socket >= 0) sb_priv_socket_end(channel->socket);
    descriptors_close(channel);
  }
  sb_priv_fork_release();
  (void)pthread_mutex_destroy(&channel->lock);
  free(channel);
}

static const sb_priv_provider received_provider = {.get = received_get, .put = received_put, .retire = received_retire};

/* ---- open and close ---- */

/* The parent's threads may have been anywhere in the channel: nothing but the descriptors is touched in the child any more. */
static void channel_in_child(sb_priv_fork_entry *entry) {
  sb_channel *channel = (sb_channel *)((char *)entry - offsetof(sb_channel, fork));
  (void)pthread_mutex_init(&channel->lock, NULL);
  channel->forked = true;
  descriptors_close(channel);
}

void sb_channel_options_init(sb_channel_options *options, size_t struct_size) { sb_priv_options_init(options, struct_size); }

static sb_status descriptors_open(sb_channel *channel, int socket, sb_error *error) {
  int problem = sb_priv_file_duplicate(socket, &channel->socket);
  if (problem == 0) sb_priv_socket_prepare(channel->socket);
  if (problem == 0) problem = sb_priv_signal_open(&channel->wake);
  if (problem == 0) problem = sb_priv_group_open(channel->socket, channel->wake, &channel->group);
  channel->watched_to_read = true;
  if (problem == 0) return SB_OK;
  descriptors_close(channel);
  return sb_priv_system_error(error, SB_IO, problem, "descriptors for a channel");
}

sb_status sb_channel_open(int32_t socket, const sb_channel_options *options, sb_channel **channel, sb_error *error) {
  sb_channel_options all;
  if (channel == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, "channel", "channel is NULL");
  const sb_status readable = sb_priv_options_read(&all, sizeof all, options, SB_PRIV_OPTIONS_1_0(sb_channel_options, bytes_max));
  if (readable != SB_OK) return sb_priv_error(error, readable, NULL, "the options are not filled, or those of a newer version");
  if (all.pins_max > PINS_LIMIT)
    return sb_priv_error(error, SB_INVALID_ARGUMENT, "pins_max", "pins_max is %" PRIu32 ", and %d at most", all.pins_max, PINS_LIMIT);
  if (!sb_priv_socket_fits(socket))
    return sb_priv_error(error, SB_INVALID_ARGUMENT, "socket", "descriptor %" PRId32 " is no connected Unix stream socket", socket);
  sb_channel *made = calloc(1, sizeof *made);
  if (made == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for a channel");
  sb_priv_memory_init(&made->base, &received_provider);
  (void)pthread_mutex_init(&made->lock, NULL);
  made->pins_max = all.pins_max == 0 ? PINS_DEFAULT : all.pins_max;
  made->bytes_max = all.bytes_max == 0 ? (uint64_t)4 << 30 : all.bytes_max;
  made->pin_free = made->pin_over = NO_PIN;
  made->last = &made->first;
  made->fork.in_child = channel_in_child;
  made->socket = made->wake = made->group = -1;
  made->spins = sb_priv_processors() > 1;
  sb_priv_fork_hold(); /* no child keeps the descriptors: its copy of the socket would hide that this process has ended */
  const sb_status status = descriptors_open(made, socket, error);
  if (status == SB_OK) sb_priv_fork_add(&made->fork);
  sb_priv_fork_release();
  if (status != SB_OK) {
    (void)pthread_mutex_destroy(&made->lock);
    free(made);
    return status;
  }
  *channel = made;
  return SB_OK;
}

int32_t sb_channel_descriptor(const sb_channel *channel) { return channel == NULL ? -1 : channel->group; }

void sb_channel_stop(sb_channel *channel) {
  if (enter(channel, NULL) != SB_OK) return;
  channel->stopped = true;
  leave(channel);
}

/* Ends all that a close ends; returns what was not received. */
static arrival *channel_end(sb_channel *channel) {
  const bool told = channel->ended;
  if (!told) END(channel, SB_CLOSED, NULL, "the channel was closed");
  channel->end_untold = channel->end_untold && told; /* the end of the socket says it, which comes at once when nothing is shown any more */
  channel->stopped = true;
  if (channel->pin_count > 0) pump(channel); /* the last that the peer is done with */
  pins_end(channel, true);
  arrival *left = channel->first;
  if (channel->partial != NULL) channel->partial->next = left, left = channel->partial;
  channel->first = channel->partial = NULL;
  channel->last = &channel->first;
  channel->arrival_count = 0;
  return left;
}

void sb_channel_close(sb_channel *channel) {
  if (channel == NULL) return;
  lock(channel);
  if (channel->forked) {
    unlock(channel);
    sb_memory_close(&channel->base);
    return;
  }
  channel_check(channel);
  arrival *left = channel_end(channel);
  leave(channel);
  while (left != NULL) {
    arrival *next = left->next;
    for (uint32_t i = 0; i < left->count; i++) sb_priv_block_release(&left->blocks[i]->block);
    free(left);
    left = next;
  }
  lock(channel);
  if (atomic_load(&channel->base.owners) > 1) { /* something is shown that was received: the socket stays */
    channel->end_untold = !channel->mute;
    tell(channel);
  }
  leave(channel);
  sb_memory_close(&channel->base);
}

/* ---- waiting ---- */

/* When a call gives up. */
static int64_t deadline_of(int64_t timeout_ms) {
  const int64_t now = sb_priv_monotonic_ns();
  if (timeout_ms < 0 || timeout_ms > (INT64_MAX - now) / 1000000) return INT64_MAX;
  return now + timeout_ms * 1000000;
}

/* Nanoseconds until then, `most` at most, -1 for never. */
static int64_t time_left(int64_t deadline, int64_t most) {
  if (deadline == INT64_MAX) return most;
  const int64_t left = deadline - sb_priv_monotonic_ns();
  if (left <= 0) return 0;
  return most >= 0 && left > most ? most : left;
}

/* Spinning of one call. All zeros, and who counts, before it waits. */
typedef struct spinning {
  _Atomic uint32_t *in_vain;
  bool begun, over;
  int64_t end, step_end;
} spinning;

static void spin_over(spinning *it, bool in_vain) {
  const uint32_t before = atomic_load_explicit(it->in_vain, memory_order_relaxed);
  atomic_store_explicit(it->in_vain, in_vain ? before + 1 : 0, memory_order_relaxed);
  it->over = true;
}

/* Whether a call that has to wait shall look again at once. */
static bool spin(const sb_channel *channel, spinning *it) {
  if (it->over || !channel->spins) return false;
  const int64_t now = sb_priv_monotonic_ns();
  if (!it->begun) {
    const bool worth = atomic_load_explicit(it->in_vain, memory_order_relaxed) % SPINS_ROUND < SPINS_VAIN;
    it->begun = true;
    it->end = it->step_end = worth ? now + SPIN_NS : now;
  }
  if (now >= it->end || now >= it->step_end) {
    spin_over(it, true);
    return false;
  }
  it->step_end = now + SPIN_STEP_NS;
  sb_priv_processor_yield();
  return true;
}

/* Notes what became of it when the call need not wait any more. */
static void spin_end(spinning *it) {
  if (it->begun && !it->over) spin_over(it, sb_priv_monotonic_ns() >= it->step_end);
}

/* ---- sending ---- */

/* What a message is to say. */
typedef struct sent_parcel {
  uint8_t mode;
  uint32_t count;
  uint64_t tag;
  sb_priv_span spans[SB_CHANNEL_SPANS_MAX];
  sb_priv_segment *segments[SB_CHANNEL_SPANS_MAX];
  uint32_t slots[SB_CHANNEL_SPANS_MAX];
  int problem; /* why it could not be sent: EAGAIN, or a refusal of the system; 0: too much is pinned */
  bool shared; /* it is a block that has other owners */
} sent_parcel;

/* Chooses a slot for each span, and says to the message which segments are new to the peer. SB_BUSY when too many are pinned. */
static sb_status slots_choose(sb_channel *channel, sent_parcel *parcel, wire_message *message, sb_priv_segment *fresh[SLOTS]) {
  uint64_t used = 0;
  for (uint32_t i = 0; i < parcel->count; i++) {
    sb_priv_segment *segment = parcel->segments[i];
    uint32_t slot = 0, idle = SLOTS;
    for (; slot < SLOTS; slot++) {
      const sb_priv_segment *there = fresh[slot] != NULL ? fresh[slot] : channel->sent[slot].segment;
      if (there == segment && (fresh[slot] != NULL || channel->sent[slot].mode == parcel->mode)) break;
    }
    for (uint32_t j = 0; slot == SLOTS && idle == SLOTS && j < SLOTS; j++) {
      const uint32_t next = (channel->next_slot + j) % SLOTS;
      if (channel->sent[next].pins == 0 && (used >> next & 1) == 0) idle = next;
    }
    if (slot == SLOTS && idle == SLOTS) return SB_BUSY;
    if (slot == SLOTS) {
      slot = idle;
      channel->next_slot = (idle + 1) % SLOTS;
      fresh[slot] = segment;
      message->files[message->file_count++] = segment->file;
      const wire_record said = {.kind = KIND_SEGMENT, .mode = parcel->mode, .slot = slot, .size = segment->size};
      message_add(message, &said);
    }
    used |= (uint64_t)1 << slot;
    parcel->slots[i] = slot;
  }
  return SB_OK;
}

/* Notes what the peer knows and pins now. There is room for the pins. */
static void sent_note(sb_channel *channel, const sent_parcel *parcel, sb_priv_segment *const fresh[SLOTS], const uint32_t *pins) {
  for (uint32_t slot = 0; slot < SLOTS; slot++) {
    if (fresh[slot] == NULL) continue;
    if (channel->sent[slot].segment != NULL) sb_priv_segment_release(channel->sent[slot].segment);
    channel->sent[slot] = (sent_slot){.segment = sb_priv_segment_retain(fresh[slot]), .mode = parcel->mode};
  }
  for (uint32_t i = 0; i < parcel->count; i++) {
    pin *made = &channel->pins[pins[i]];
    channel->pin_free = made->next;
    made->block = sb_priv_block_retain(parcel->spans[i].block);
    made->slot = parcel->slots[i];
    made->turn++;
    channel->sent[made->slot].pins++;
    channel->pin_count++;
  }
}

/* Says which bytes they are that the parcel shows, and chooses their pins. */
static void spans_add(const sb_channel *channel, const sent_parcel *parcel, wire_message *message, uint32_t *pins) {
  for (uint32_t i = 0, next = channel->pin_free; i < parcel->count; i++, next = channel->pins[next].next) {
    pins[i] = next;
    const sb_priv_span *span = &parcel->spans[i];
    const wire_record said = {.kind = KIND_SPAN,
                              .mode = parcel->mode,
                              .more = i + 1 < parcel->count,
                              .slot = parcel->slots[i],
                              .pin = (uint64_t)next << 32 | (channel->pins[next].turn + 1),
                              .size = span->size,
                              .offset = (uint64_t)(span->data - parcel->segments[i]->data),
                              .tag = parcel->tag,
                              .key = span->block->key};
    message_add(message, &said);
  }
}

/* Sends it if that can be done now; otherwise SB_BUSY, or why it never can. The channel is entered. */
static sb_status parcel_send(sb_channel *channel, sent_parcel *parcel, sb_error *error) {
  parcel->problem = 0;
  if (channel->pin_count > 0) pump(channel);
  if (channel->ended) return ended(channel, error);
  if (channel->pin_count + parcel->count > channel->pins_max) return SB_BUSY;
  wire_message message;
  message.size = message.file_count = 0;
  sb_priv_segment *fresh[SLOTS] = {NULL};
  if (pins_reserve(channel, parcel->count) != SB_OK) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory for pins");
  const sb_status status = slots_choose(channel, parcel, &message, fresh);
  if (status != SB_OK) return status;
  uint32_t pins[SB_CHANNEL_SPANS_MAX];
  spans_add(channel, parcel, &message, pins);
  if (message.file_count > 0 && !channel->files_announced) parcel->problem = files_announce(channel);
  if (parcel->problem == 0) parcel->problem = message_send(channel, &message);
  if (parcel->problem == 0) {
    sent_note(channel, parcel, fresh, pins);
    return SB_OK;
  }
  if (parcel->problem == EAGAIN || parcel->problem == ENOBUFS || parcel->problem == ETOOMANYREFS) return SB_BUSY;
  if (parcel->problem != EPIPE)
    return sb_priv_system_error(error, parcel->problem == ENOMEM ? SB_NO_MEMORY : SB_IO, parcel->problem, "sending to the peer");
  pump(channel); /* what the peer said before it ended */
  return channel->ended ? ended(channel, error) : sb_priv_error(error, SB_UNAVAILABLE, NULL, "the peer has ended the socket");
}

static sb_status block_shared(sb_error *error) {
  return sb_priv_error(error, SB_BUSY, "block", "the block has other owners, who could write");
}

/* A block is looked at each time, because another channel may have sent it while this one waited; and held meanwhile, so that no other one
 * sends it in the same moment. */
static sb_status block_send(sb_channel *channel, sent_parcel *parcel, sb_error *error) {
  sb_block *block = parcel->spans[0].block;
  parcel->shared = !sb_priv_owners_join_one(&block->owners);
  if (parcel->shared) return block_shared(error);
  const sb_status status = parcel_send(channel, parcel, error);
  sb_priv_block_release(block);
  return status;
}

static sb_status parcel_late(const sent_parcel *parcel, uint32_t pin_count, sb_error *error) {
  if (parcel->problem == 0 || parcel->problem == EAGAIN)
    return sb_priv_error(error, SB_TIMEOUT, NULL, "the peer took nothing in time; it pins %" PRIu32, pin_count);
  return sb_priv_system_error(error, SB_TIMEOUT, parcel->problem, "nothing could be sent in time");
}

static sb_status parcel_send_until(sb_channel *channel, sent_parcel *parcel, int64_t timeout_ms, sb_error *error) {
  if (parcel->count > channel->pins_max)
    return sb_priv_error(error, SB_TOO_LARGE, NULL, "%" PRIu32 " spans, and %" PRIu32 " pins at most", parcel->count, channel->pins_max);
  const int64_t deadline = deadline_of(timeout_ms);
  for (;;) {
    sb_status status = enter(channel, error);
    if (status != SB_OK) return status;
    tell(channel);
    status = parcel->mode == SB_ARRIVAL_BLOCK ? block_send(channel, parcel, error) : parcel_send(channel, parcel, error);
    tell(channel); /* that it has ended, when the peer lied */
    /* That the peer is done with something may lie behind what is refused. */
    const bool full = status == SB_BUSY && !parcel->shared;
    if (full && parcel->problem == 0 && channel->refused.status != SB_OK) status = refused(channel, error);
    const uint32_t pin_count = channel->pin_count;
    const bool room_comes = parcel->problem == EAGAIN, pins_come = parcel->problem == 0 && takes(channel);
    const int socket = room_comes || pins_come ? channel->socket : -1; /* otherwise only time tells */
    leave(channel);
    if (status != SB_BUSY || parcel->shared) return status;
    const int64_t left = time_left(deadline, WAIT_NS);
    if (left == 0) return parcel_late(parcel, pin_count, error);
    sb_priv_descriptors_wait(socket, room_comes, -1, left);
  }
}

/* Finds the segments of the spans. */
static sb_status segments_find(sent_parcel *parcel, sb_error *error) {
  for (uint32_t i = 0; i < parcel->count; i++) {
    parcel->segments[i] = sb_priv_segment_of(parcel->spans[i].block);
    if (parcel->segments[i] == NULL)
      return sb_priv_error(error, SB_UNSUPPORTED, NULL, "span %" PRIu32 " is not in memory of a shared provider of this process", i);
  }
  return SB_OK;
}

sb_status sb_channel_send_view(sb_channel *channel, const sb_view *view, uint64_t tag, int64_t timeout_ms, sb_error *error) {
  if (channel == NULL || view == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "channel or view is NULL");
  const sb_priv_spans *spans = sb_priv_view_spans(view);
  if (spans->count == 0) return sb_priv_error(error, SB_OUT_OF_RANGE, "view", "the view is empty");
  if (spans->count > SB_CHANNEL_SPANS_MAX)
    return sb_priv_error(error, SB_TOO_LARGE, "view", "the view has %zu spans, and %d can be sent; flatten it", spans->count,
                         SB_CHANNEL_SPANS_MAX);
  sent_parcel parcel = {.mode = SB_ARRIVAL_VIEW, .count = (uint32_t)spans->count, .tag = tag};
  for (uint32_t i = 0; i < parcel.count; i++) parcel.spans[i] = *sb_priv_spans_at(spans, i);
  const sb_status status = segments_find(&parcel, error);
  return status == SB_OK ? parcel_send_until(channel, &parcel, timeout_ms, error) : status;
}

sb_status sb_channel_send_block(sb_channel *channel, sb_block *block, size_t size, uint64_t tag, int64_t timeout_ms, sb_error *error) {
  if (channel == NULL || block == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "channel or block is NULL");
  if (size == 0 || size > block->size)
    return sb_priv_error(error, SB_OUT_OF_RANGE, "size", "%zu bytes of a block of %" PRIu32, size, block->size);
  if (!sb_priv_block_exclusive(block)) return block_shared(error); /* whatever else is wrong with it */
  sent_parcel parcel = {.mode = SB_ARRIVAL_BLOCK, .count = 1, .tag = tag, .spans = {{block->data, size, block}}};
  const sb_status status = segments_find(&parcel, error);
  return status == SB_OK ? parcel_send_until(channel, &parcel, timeout_ms, error) : status;
}

size_t sb_channel_pin_count(sb_channel *channel) {
  if (channel == NULL) return 0;
  lock(channel);
  if (channel->forked) {
    unlock(channel);
    return 0;
  }
  channel_check(channel);
  if (!channel->stopped) pump(channel);
  tell(channel);
  const size_t count = channel->pin_count;
  leave(channel);
  return count;
}

/* Whether what the peer still pins can end, and why it cannot. The channel is entered. */
static sb_status pins_hope(const sb_channel *channel, sb_error *error) {
  if (channel->unsaid || (channel->distrusted && channel->pin_count > 0)) return ended(channel, error);
  return channel->pin_count > 0 && channel->refused.status != SB_OK ? refused(channel, error) : SB_OK;
}

sb_status sb_channel_wait_done(sb_channel *channel, int64_t timeout_ms, sb_error *error) {
  const int64_t deadline = deadline_of(timeout_ms);
  for (spinning spins = {.begun = false};;) {
    sb_status status = enter(channel, error);
    if (status != SB_OK) return status;
    spins.in_vain = &channel->wait_dones_in_vain;
    tell(channel);
    pump_some(channel, true);
    tell(channel);
    const uint32_t count = channel->pin_count;
    const int socket = takes(channel) ? channel->socket : -1;
    status = pins_hope(channel, error);
    if (count == 0) spin_end(&spins);
    leave(channel);
    if (status != SB_OK || count == 0) return status;
    const int64_t left = time_left(deadline, WAIT_NS);
    if (left == 0) return sb_priv_error(error, SB_TIMEOUT, NULL, "the peer still pins %" PRIu32, count);
    if (!spin(channel, &spins)) sb_priv_descriptors_wait(socket, false, -1, left);
  }
}

/* ---- receiving ---- */

/* Enters the channel when there is an arrival; otherwise the status says why not. */
static sb_status arrival_wait(sb_channel *channel, int64_t timeout_ms, sb_error *error) {
  const int64_t deadline = deadline_of(timeout_ms);
  for (spinning spins = {.begun = false};;) {
    sb_status status = enter(channel, error);
    if (status != SB_OK) return status;
    spins.in_vain = &channel->receives_in_vain;
    if (channel->first == NULL) pump_some(channel, true);
    if (channel->done != NULL || channel->end_untold) tell(channel);
    if (channel->first != NULL) {
      spin_end(&spins);
      return SB_OK;
    }
    if (channel->ended)
      status = ended(channel, error);
    else if (channel->refused.status != SB_OK)
      status = refused(channel, error);
    const bool full = channel->done_count >= DONES_MAX; /* the peer does not read, and gets no more until it does */
    leave(channel);
    if (status != SB_OK) return status;
    const int64_t left = time_left(deadline, full ? WAIT_NS : -1);
    if (left == 0) return sb_priv_error(error, SB_TIMEOUT, NULL, "the peer sent nothing in time");
    if (!spin(channel, &spins)) sb_priv_descriptors_wait(channel->group, false, -1, left);
  }
}

/* Takes the first arrival, when it is of that mode. */
static sb_status arrival_take(sb_channel *channel, uint8_t mode, int64_t timeout_ms, arrival **taken, sb_error *error) {
  const sb_status status = arrival_wait(channel, timeout_ms, error);
  if (status != SB_OK) return status;
  arrival *first = channel->first;
  if (first->mode != mode) {
    leave(channel);
    return sb_priv_error(error, SB_UNSUPPORTED, NULL, "a %s comes next, not a %s", mode == SB_ARRIVAL_VIEW ? "block" : "view",
                         mode == SB_ARRIVAL_VIEW ? "view" : "block");
  }
  channel->first = first->next;
  if (channel->first == NULL) channel->last = &channel->first;
  channel->arrival_count--;
  leave(channel);
  *taken = first;
  return SB_OK;
}

/* Puts an arrival back for which there was no memory. */
static void arrival_return(sb_channel *channel, arrival *taken) {
  lock(channel);
  taken->next = channel->first;
  channel->first = taken;
  if (taken->next == NULL) channel->last = &taken->next;
  channel->arrival_count++;
  leave(channel);
}

sb_status sb_channel_next(sb_channel *channel, int64_t timeout_ms, int32_t *kind, uint64_t *tag, sb_error *error) {
  if (kind == NULL || tag == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, NULL, "kind or tag is NULL");
  const sb_status status = arrival_wait(channel, timeout_ms, error);
  if (status != SB_OK) return status;
  *kind = channel->first->mode;
  *tag = channel->first->tag;
  leave(channel);
  return SB_OK;
}

sb_status sb_channel_receive_view(sb_channel *channel, int64_t timeout_ms, sb_view **view, sb_error *error) {
  if (view == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, "view", "view is NULL");
  arrival *taken = NULL;
  sb_status status = arrival_take(channel, SB_ARRIVAL_VIEW, timeout_ms, &taken, error);
  if (status != SB_OK) return status;
  sb_priv_spans spans = {.count = 0};
  status = sb_priv_spans_reserve(&spans, taken->count);
  sb_view *made = NULL;
  if (status == SB_OK) {
    for (uint32_t i = 0; i < taken->count; i++) {
      sb_block *block = &taken->blocks[i]->block;
      sb_priv_spans_push(&spans, sb_priv_block_retain(block), block->data, block->size);
    }
    status = sb_priv_view_open_range(&spans, 0, spans.bytes, &made);
    sb_priv_spans_clear(&spans);
  }
  if (status != SB_OK) {
    arrival_return(channel, taken);
    return sb_priv_error(error, status, NULL, "no memory for a view");
  }
  for (uint32_t i = 0; i < taken->count; i++) sb_priv_block_release(&taken->blocks[i]->block); /* the view has its own owners */
  free(taken);
  *view = made;
  return SB_OK;
}

sb_status sb_channel_receive_block(sb_channel *channel, int64_t timeout_ms, sb_block **block, sb_error *error) {
  if (block == NULL) return sb_priv_error(error, SB_INVALID_ARGUMENT, "block", "block is NULL");
  arrival *taken = NULL;
  const sb_status status = arrival_take(channel, SB_ARRIVAL_BLOCK, timeout_ms, &taken, error);
  if (status != SB_OK) return status;
  *block = &taken->blocks[0]->block;
  free(taken);
  return SB_OK;
}
