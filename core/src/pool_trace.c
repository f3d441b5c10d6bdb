//go:build !samebytes_shared

/* Where the blocks of a pool that traces were taken. Blocks taken at one place, which is a chain of return addresses and a tag, share one
 * note of it, so that the memory this needs grows with the program and not with the blocks.
 *
 * Invariant: the blocks of a place are those whose record points to it. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/auxv.h>

#include "pool_private.h"

#define PLACES_MAX 4096u
#define BUCKETS 1024u

typedef struct sb_priv_place {
  struct sb_priv_place *next; /* in its bucket */
  uint64_t hash;
  uint64_t blocks;
  uint64_t bytes;
  uint64_t taken;
  sb_priv_frames frames;
  char tag[sizeof((sb_pool_place *)NULL)->tag];
} place;

struct sb_priv_tracing {
  size_t count;
  place *places[PLACES_MAX];
  place *buckets[BUCKETS];
  place other; /* all that is beyond the limit, or for which there was no memory */
};

/* ---- where we are ---- */

/* glibc has it; where nothing does, a place is the caller alone. */
extern int backtrace(void **addresses, int count) __attribute__((weak));

void sb_priv_frames_take(sb_priv_frames *frames, const void *caller) {
  void *found[SB_PRIV_FRAMES_MAX + 8]; /* some are our own */
  const int count = backtrace == NULL ? 0 : backtrace(found, (int)(sizeof found / sizeof found[0]));
  int first = 0;
  while (caller != NULL && first < count && found[first] != caller) first++;
  memset(frames, 0, sizeof *frames);
  for (int i = first; i < count && frames->count < SB_PRIV_FRAMES_MAX; i++) frames->addresses[frames->count++] = found[i];
  if (frames->count == 0 && caller != NULL) frames->addresses[frames->count++] = caller;
}

/* The start of the file of the program that an address lies in. */
static const void *module_of(const void *address) {
  Dl_info info;
  return dladdr(address, &info) != 0 ? info.dli_fbase : NULL;
}

/* How many frames belong to this library, before those of whoever called it. */
static uint32_t own_frames(const sb_priv_frames *frames) {
  const void *own = module_of((const void *)(uintptr_t)&sb_priv_frames_take);
  if (own == module_of((const void *)getauxval(AT_ENTRY))) return 0; /* compiled into the program: nothing tells it apart */
  uint32_t count = 0;
  while (count < frames->count && module_of(frames->addresses[count]) == own) count++;
  return count < frames->count ? count : 0;
}

void sb_priv_frames_name(const sb_priv_frames *frames, char *text, size_t size) {
  size_t length = 0;
  text[0] = '\0';
  for (uint32_t i = own_frames(frames); i < frames->count && length < size; i++) {
    Dl_info info = {.dli_fname = NULL};
    const char *before = length == 0 ? "" : " < ";
    const uintptr_t address = (uintptr_t)frames->addresses[i];
    if (dladdr(frames->addresses[i], &info) == 0) {
      length += (size_t)snprintf(text + length, size - length, "%s%#zx", before, (size_t)address);
    } else if (info.dli_sname != NULL) {
      length += (size_t)snprintf(text + length, size - length, "%s%s+%#zx", before, info.dli_sname,
                                 (size_t)(address - (uintptr_t)info.dli_saddr));
    } else {
      const char *slash = strrchr(info.dli_fname, '/'); /* addr2line -e FILE OFFSET says more */
      length += (size_t)snprintf(text + length, size - length, "%s%s+%#zx", before, slash != NULL ? slash + 1 : info.dli_fname,
                                 (size_t)(address - (uintptr_t)info.dli_fbase));
    }
  }
}

/* ---- places ---- */

struct sb_priv_tracing *sb_priv_tracing_open(void) {
  sb_priv_frames frames;
  sb_priv_frames_take(&frames, NULL); /* the first use of it may load a library, which is better done now */
  struct sb_priv_tracing *tracing = calloc(1, sizeof *tracing);
  if (tracing != NULL) (void)snprintf(tracing->other.tag, sizeof tracing->other.tag, "(other places)");
  return tracing;
}

void sb_priv_tracing_close(struct sb_priv_tracing *tracing) {
  for (size_t i = 0; tracing != NULL && i < tracing->count; i++) free(tracing->places[i]);
  free(tracing);
}

static uint64_t hash_of(const sb_priv_frames *frames, const char *tag) {
  uint64_t hash = 14695981039346656037u;
  for (uint32_t i = 0; i < frames->count; i++) hash = (hash ^ (uintptr_t)frames->addresses[i]) * 1099511628211u;
  for (; *tag != '\0'; tag++) hash = (hash ^ (uint8_t)*tag) * 1099511628211u;
  return hash ^ hash >> 29;
}

static bool is_place(const place *it, uint64_t hash, const sb_priv_frames *frames, const char *tag) {
  return it->hash == hash && it->frames.count == frames->count &&
         memcmp(it->frames.addresses, frames->addresses, frames->count * sizeof frames->addresses[0]) == 0 && strcmp(it->tag, tag) == 0;
}

/* The note of a place, which is made if need be; NULL when there is no memory. */
static place *place_of(struct sb_priv_tracing *tracing, const sb_priv_frames *frames, const char *tag) {
  const uint64_t hash = hash_of(frames, tag);
  place **bucket = &tracing->buckets[hash % BUCKETS];
  for (place *it = *bucket; it != NULL; it = it->next)
    if (is_place(it, hash, frames, tag)) return it;
  if (tracing->count == PLACES_MAX) return &tracing->other;
  place *made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  made->hash = hash;
  made->frames = *frames;
  (void)snprintf(made->tag, sizeof made->tag, "%s", tag);
  made->next = *bucket;
  *bucket = made;
  tracing->places[tracing->count++] = made;
  return made;
}

static void place_add(place *it, sb_priv_record *record) {
  it->blocks++;
  it->bytes += record->block.size;
  it->taken++;
  record->place = it;
}

void sb_priv_trace_note(struct sb_priv_tracing *tracing, sb_priv_record *record, const sb_priv_frames *frames) {
  place *it = place_of(tracing, frames, "");
  place_add(it != NULL ? it : &tracing->other, record);
}

void sb_priv_trace_forget(sb_priv_record *record) {
  record->place->blocks--;
  record->place->bytes -= record->block.size;
  record->place = NULL;
}

sb_status sb_priv_trace_tag(struct sb_priv_tracing *tracing, sb_priv_record *record, const char *tag) {
  const size_t size = strlen(tag), room = sizeof record->place->tag - 1;
  const sb_priv_frames frames = record->place->frames; /* without those of `other`, which has none */
  place *it = place_of(tracing, &frames, size > room ? tag + size - room : tag);
  if (it == NULL) return SB_NO_MEMORY;
  record->place->taken--;
  sb_priv_trace_forget(record);
  place_add(it, record);
  return SB_OK;
}

bool sb_priv_trace_get(const struct sb_priv_tracing *tracing, size_t index, sb_pool_place *out, sb_priv_frames *frames) {
  if (index > tracing->count || (index == tracing->count && tracing->other.taken == 0)) return false;
  const place *it = index < tracing->count ? tracing->places[index] : &tracing->other;
  *out = (sb_pool_place){.blocks = it->blocks, .bytes = it->bytes, .taken = it->taken};
  memcpy(out->tag, it->tag, sizeof out->tag);
  *frames = it->frames;
  return true;
}
