//go:build !samebytes_shared

/* Finding records where nothing says where they begin: behind a bad one, and in a file without a header.
 *
 * A record may begin at any multiple of 8, and its head may claim any length, so trying each by computing its checksum would cost the
 * square of the size. But a CRC is linear: from the registers at two places of one pass over the bytes follows that of the bytes between
 * them, in as many steps as the distance has bits. So the bytes are read once for the registers, and once for the heads, whatever they
 * claim. And as the seed is only the register at the beginning, it can be computed back from a record that is whole.
 *
 * Invariant: registers[i] is the register after the bytes up to first + 8 * i, if it was 0 at some place before; count is 0 or what lies
 * between first and the furthest end that a head has claimed. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "visit_private.h"

#define PIECE (256u << 10)
#define ONE 0x80000000u              /* the polynomial 1; the lowest bit is that of the highest power */
#define X 0x40000000u                /* the polynomial x */
#define X_INVERSE 0x05ec76f1u        /* x times this is 1 */
#define POLYNOMIAL 0x82f63b78u       /* CRC-32C */
#define VOTES 32u                    /* seeds that are counted at a time */
#define PAIRS_ENOUGH 16u             /* neighbours that agree, after which nobody else is asked */
#define TRIED_MAX(size) (4 * (size)) /* bytes of records that are looked into for the seed of the only one */

/* ---- the algebra of a CRC ---- */

/* The product of two polynomials. */
static uint32_t times(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = ONE; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b >> 1) ^ (POLYNOMIAL & (0u - (b & 1u)));
  }
  return product;
}

/* `base` to the power 8 * bytes, times the register. With X that is what as many zero bytes make of it, with X_INVERSE the way back. */
static uint32_t moved_by(uint32_t base, uint32_t value, uint64_t bytes) {
  for (int i = 0; i < 3; i++) base = times(base, base);
  for (; bytes > 0; bytes >>= 1, base = times(base, base))
    if ((bytes & 1) != 0) value = times(base, value);
  return value;
}

static uint32_t register_after(uint32_t before, const uint8_t *data, size_t size) { return ~sb_crc32c(~before, data, size); }

uint32_t sb_priv_visit_scan_seed_of(uint32_t first, uint32_t last, const uint8_t *head, uint64_t padded) {
  const uint32_t wanted = ~visit_load32(head + 4);
  const uint32_t after_length = moved_by(X_INVERSE, wanted ^ last, padded - 8) ^ first;
  return ~moved_by(X_INVERSE, after_length ^ register_after(0, head, 4), 4);
}

/* The checksum of a record leaves out its own four bytes. `first` and `last` are the registers at its byte 8 and at its end. */
static bool checksum_fits(uint32_t seed, uint32_t first, uint32_t last, const uint8_t *head, uint64_t padded) {
  const uint32_t after_length = register_after(~seed, head, 4);
  return ~visit_load32(head + 4) == (last ^ moved_by(X, after_length ^ first, padded - 8));
}

/* ---- the pass ---- */

void sb_priv_visit_scan_begin(visit_scan *scan, int file, uint64_t from, uint64_t size, bool moved) {
  assert(from % 8 == 0);
  *scan = (visit_scan){.offset = from, .size = size};
  scan->heads = scan->bytes = (visit_reader){.file = file, .chunk = PIECE, .moved = moved};
}

void sb_priv_visit_scan_end(visit_scan *scan) {
  sb_priv_visit_bytes_free(&scan->heads.bytes);
  sb_priv_visit_bytes_free(&scan->bytes.bytes);
  free(scan->registers);
  scan->registers = NULL;
  scan->count = scan->capacity = 0;
}

static void scan_check(const visit_scan *scan) {
  assert(scan->count <= scan->capacity && scan->first % 8 == 0 && scan->offset % 8 == 0);
  assert(scan->count == 0 || scan->first + 8 * (scan->count - 1) <= scan->size);
  (void)scan;
}

static sb_status register_add(visit_scan *scan, uint32_t value) {
  if (scan->count == scan->capacity) {
    const size_t capacity = scan->capacity == 0 ? 1024 : scan->capacity + scan->capacity / 2;
    uint32_t *registers = realloc(scan->registers, capacity * sizeof *registers);
    if (registers == NULL) return SB_NO_MEMORY;
    scan->registers = registers;
    scan->capacity = capacity;
  }
  scan->registers[scan->count++] = value;
  return SB_OK;
}

/* Makes registers begin at `offset`, or before it. What is dropped is more than what has to be moved for it. */
static sb_status registers_from(visit_scan *scan, uint64_t offset) {
  if (scan->count == 0 || offset > scan->first + 8 * (scan->count - 1)) {
    scan->first = offset;
    scan->count = 0;
    return register_add(scan, 0);
  }
  const size_t drop = (size_t)((offset - scan->first) / 8);
  if (drop > scan->count / 2 && drop > 0) {
    memmove(scan->registers, scan->registers + drop, (scan->count - drop) * sizeof *scan->registers);
    scan->count -= drop;
    scan->first = offset;
  }
  return SB_OK;
}

/* Makes registers end at `end`, or behind it. */
static sb_status registers_until(visit_scan *scan, uint64_t end) {
  sb_status status = SB_OK;
  for (uint64_t at = scan->first + 8 * (scan->count - 1); at < end && status == SB_OK;) {
    const uint64_t piece = end - at < PIECE ? end - at : PIECE;
    const uint8_t *data;
    status = sb_priv_visit_reader_fetch(&scan->bytes, at, (size_t)piece, scan->size, &data);
    uint32_t value = scan->registers[scan->count - 1];
    for (uint64_t i = 0; i < piece && status == SB_OK; i += 8) {
      value = register_after(value, data + i, 8);
      status = register_add(scan, value);
    }
    at += piece;
  }
  return status;
}

static uint32_t register_at(const visit_scan *scan, uint64_t offset) { return scan->registers[(offset - scan->first) / 8]; }

/* The head at `offset`, and the registers from its record's byte 8 to its end. SB_NOT_FOUND: there can be none. */
static sb_status head_at(visit_scan *scan, visit_reader *reader, uint64_t offset, visit_record *record, const uint8_t **head) {
  if (offset > scan->size || scan->size - offset < VISIT_HEAD) return SB_NOT_FOUND;
  const sb_status status = sb_priv_visit_reader_fetch(reader, offset, VISIT_HEAD, scan->size, head);
  if (status != SB_OK) return status;
  const bool fits = reader->moved ? sb_priv_visit_head_decode_moved(*head, offset, record)
                                  : sb_priv_visit_head_decode(*head, offset, record);
  if (!fits || record->sequence <= scan->sequence || visit_padded(record->length) > scan->size - offset) return SB_NOT_FOUND;
  return registers_until(scan, offset + visit_padded(record->length));
}

/* Takes the next multiple of 8 where a head may be. SB_NOT_FOUND at the end. */
static sb_status head_next(visit_scan *scan, visit_record *record, const uint8_t **head) {
  for (; scan->offset <= scan->size && scan->size - scan->offset >= VISIT_HEAD; scan->offset += 8) {
    sb_status status = sb_priv_visit_reader_fetch(&scan->heads, scan->offset, VISIT_HEAD, scan->size, head);
    if (status == SB_CORRUPT) return SB_NOT_FOUND; /* the file has become shorter */
    if (status == SB_OK && visit_load32(*head) < VISIT_HEAD) continue;
    if (status == SB_OK) status = registers_from(scan, scan->offset);
    if (status == SB_OK) status = head_at(scan, &scan->heads, scan->offset, record, head);
    scan_check(scan);
    if (status == SB_CORRUPT) return SB_NOT_FOUND;
    if (status != SB_NOT_FOUND) return status;
  }
  return SB_NOT_FOUND;
}

sb_status sb_priv_visit_scan_next(visit_scan *scan, uint32_t seed, visit_record *record) {
  for (;;) {
    const uint8_t *head;
    const sb_status status = head_next(scan, record, &head);
    if (status != SB_OK) return status;
    const uint64_t padded = visit_padded(record->length), offset = scan->offset;
    if (checksum_fits(seed, register_at(scan, offset + 8), register_at(scan, offset + padded), head, padded)) {
      scan->offset += padded;
      return SB_OK;
    }
    scan->offset += 8;
  }
}

/* ---- the seed ---- */

/* Which seeds were met most often. Where there are more than there is room for, all lose a vote, so one that has the most of them stays. */
typedef struct votes {
  struct {
    uint32_t seed;
    uint64_t count, sequence;
  } seeds[VOTES];
} votes;

/* Counts a seed once per sequence, and in ascending order, as only a log has it: what merely repeats itself says nothing. */
static uint64_t vote(votes *all, uint32_t seed, uint64_t sequence) {
  size_t room = VOTES;
  for (size_t i = 0; i < VOTES; i++) {
    if (all->seeds[i].count == 0) {
      room = i;
    } else if (all->seeds[i].seed == seed) {
      if (sequence > all->seeds[i].sequence) all->seeds[i].count++, all->seeds[i].sequence = sequence;
      return all->seeds[i].count;
    }
  }
  if (room == VOTES) {
    for (size_t i = 0; i < VOTES; i++) all->seeds[i].count--;
    return 0;
  }
  all->seeds[room].seed = seed;
  all->seeds[room].count = 1;
  all->seeds[room].sequence = sequence;
  return 1;
}

static uint64_t most_votes(const votes *all, uint32_t *seed) {
  uint64_t most = 0;
  for (size_t i = 0; i < VOTES; i++)
    if (all->seeds[i].count > most) {
      most = all->seeds[i].count;
      *seed = all->seeds[i].seed;
    }
  return most;
}

static uint32_t seed_at(const visit_scan *scan, const visit_record *record, const uint8_t *head) {
  const uint64_t padded = visit_padded(record->length);
  return sb_priv_visit_scan_seed_of(register_at(scan, record->offset + 8), register_at(scan, record->offset + padded), head, padded);
}

static sb_status ask_everybody(visit_scan *scan, votes *pairs, votes *singles) {
  visit_reader neighbours = {.file = scan->heads.file, .chunk = VISIT_HEAD, .moved = true}; /* apart, as they lie anywhere ahead */
  visit_record record, next;
  const uint8_t *head;
  sb_status status = SB_OK;
  uint64_t agreed = 0;
  while (agreed < PAIRS_ENOUGH && (status = head_next(scan, &record, &head)) == SB_OK) {
    const uint32_t seed = seed_at(scan, &record, head);
    const uint64_t end = record.offset + visit_padded(record.length);
    (void)vote(singles, seed, record.sequence);
    status = head_at(scan, &neighbours, end, &next, &head);
    if (status != SB_OK && status != SB_NOT_FOUND && status != SB_CORRUPT) break;
    const bool pair = status == SB_OK && next.sequence == record.sequence + 1 && seed_at(scan, &next, head) == seed;
    if (pair) agreed = vote(pairs, seed, record.sequence);
    scan->offset = pair ? end : record.offset + 8;
    status = SB_OK;
  }
  sb_priv_visit_bytes_free(&neighbours.bytes);
  return agreed >= PAIRS_ENOUGH || status == SB_NOT_FOUND ? SB_OK : status;
}

/* Any head has a seed that makes it valid; but hardly one that is none has a content that fits. */
static sb_status ask_contents(visit_scan *scan, uint32_t *seed) {
  visit_reader whole = {.file = scan->heads.file, .chunk = VISIT_HEAD, .moved = true};
  visit_record record;
  const uint8_t *head;
  sb_status status = SB_NOT_FOUND;
  uint64_t tried = 0;
  while (tried <= TRIED_MAX(scan->size) && (status = head_next(scan, &record, &head)) == SB_OK) {
    const uint64_t offset = record.offset;
    if (record.type == VISIT_VISITS) {
      tried += visit_padded(record.length);
      *seed = seed_at(scan, &record, head);
      status = sb_priv_visit_reader_get(&whole, *seed, offset, scan->size, &record);
      if (status == SB_OK || status == SB_IO || status == SB_NO_MEMORY) break;
    }
    scan->offset = offset + 8;
    status = SB_NOT_FOUND;
  }
  sb_priv_visit_bytes_free(&whole.bytes);
  return status;
}

sb_status sb_priv_visit_scan_seed(int file, uint64_t size, uint32_t *seed) {
  visit_scan scan;
  votes pairs = {0}, singles = {0};
  sb_priv_visit_scan_begin(&scan, file, 0, size, true);
  sb_status status = ask_everybody(&scan, &pairs, &singles);
  if (status == SB_OK && most_votes(&pairs, seed) == 0 && most_votes(&singles, seed) < 2) {
    sb_priv_visit_scan_end(&scan);
    sb_priv_visit_scan_begin(&scan, file, 0, size, true);
    status = ask_contents(&scan, seed);
  }
  sb_priv_visit_scan_end(&scan);
  return status;
}

/* ---- copies of the header ---- */

sb_status sb_priv_visit_scan_header(int file, uint64_t size, uint8_t header[VISIT_HEADER_SIZE]) {
  visit_reader reader = {.file = file, .chunk = PIECE};
  sb_status status = SB_NOT_FOUND;
  for (uint64_t offset = 0; offset + VISIT_HEADER_SIZE <= size && status == SB_NOT_FOUND; offset += 8) {
    const uint8_t *data;
    status = sb_priv_visit_reader_fetch(&reader, offset, VISIT_HEADER_SIZE, size, &data);
    if (status == SB_CORRUPT) status = SB_NOT_FOUND; /* the file has become shorter */
    if (status != SB_OK) continue;
    if (sb_priv_visit_header_whole(data))
      memcpy(header, data, VISIT_HEADER_SIZE);
    else
      status = SB_NOT_FOUND;
  }
  sb_priv_visit_bytes_free(&reader.bytes);
  return status;
}
