//go:build !samebytes_shared

/* Bytes of the file, one function per row of the tables in docs/file-format.md. Nothing here touches a file but the writer's flush. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "error_private.h"
#include "visit_private.h"

static const uint8_t magic[8] = {0x89, 'S', 'B', 'V', 'I', 'S', '\r', '\n'};

sb_status sb_priv_visit_bytes_reserve(visit_bytes *bytes, size_t more) {
  if (bytes->capacity - bytes->size >= more) return SB_OK;
  size_t capacity = bytes->capacity + bytes->capacity / 2;
  if (capacity < bytes->size + more) capacity = bytes->size + more;
  if (capacity < 256) capacity = 256;
  uint8_t *data = realloc(bytes->data, capacity);
  if (data == NULL) return SB_NO_MEMORY;
  bytes->data = data;
  bytes->capacity = capacity;
  return SB_OK;
}

void sb_priv_visit_bytes_free(visit_bytes *bytes) {
  free(bytes->data);
  *bytes = (visit_bytes){0};
}

/* ---- header page ---- */

void sb_priv_visit_slot_encode(uint8_t *data, const uint8_t uuid[16], const visit_slot *slot) {
  memset(data, 0, VISIT_SLOT_SIZE);
  visit_store64(data, slot->generation);
  visit_store32(data + 8, slot->state);
  visit_store32(data + 12, slot->replaces);
  visit_store64(data + 16, slot->length);
  visit_store64(data + 24, slot->index);
  memcpy(data + 32, uuid, 16);
  visit_store64(data + 48, sb_priv_boot());
  visit_store32(data + 60, sb_crc32c(0, data, 60));
}

bool sb_priv_visit_slot_index_holds(const visit_slot *slot) {
  return slot->index != 0 && (slot->index < slot->length || (slot->boot != 0 && slot->boot == sb_priv_boot()));
}

void sb_priv_visit_mark_encode(uint8_t *page, const uint8_t uuid[16], uint32_t mark) {
  const visit_slot slot = {.state = VISIT_SLOT_OPEN, .length = VISIT_LOG_START, .replaces = mark};
  sb_priv_visit_slot_encode(page + VISIT_SECTOR, uuid, &slot);
}

bool sb_priv_visit_slot_decode(const uint8_t *data, visit_slot *slot, uint8_t uuid[16]) {
  if (visit_load32(data + 60) != sb_crc32c(0, data, 60)) return false;
  slot->generation = visit_load64(data);
  slot->state = visit_load32(data + 8);
  slot->replaces = visit_load32(data + 12);
  slot->length = visit_load64(data + 16);
  slot->index = visit_load64(data + 24);
  slot->boot = visit_load64(data + 48);
  memcpy(uuid, data + 32, 16);
  if (slot->state != VISIT_SLOT_OPEN && slot->state != VISIT_SLOT_CLOSED) return false;
  if (slot->length < VISIT_LOG_START || slot->length > VISIT_FILE_MAX || slot->length % 8 != 0) return false;
  return slot->index % 8 == 0 && (slot->index == 0 || (slot->index >= VISIT_LOG_START && slot->index < VISIT_FILE_MAX));
}

void sb_priv_visit_header_fields(uint8_t *data, const uint8_t uuid[16]) {
  memset(data, 0, VISIT_HEADER_SIZE);
  memcpy(data, magic, sizeof magic);
  visit_store16(data + 8, 1);
  visit_store32(data + 12, VISIT_LOG_START);
  visit_store64(data + 16, VISIT_FEATURE_COPIES);
  memcpy(data + 32, uuid, 16);
  visit_store32(data + 60, sb_crc32c(0, data, 60));
}

void sb_priv_visit_header_encode(uint8_t *page, const uint8_t uuid[16], const visit_slot *slot) {
  memset(page, 0, VISIT_LOG_START);
  sb_priv_visit_header_fields(page, uuid);
  sb_priv_visit_slot_encode(page + VISIT_SECTOR * (1 + slot->generation % 2), uuid, slot);
}

bool sb_priv_visit_header_is_ours(const uint8_t *page, size_t size) {
  return size >= sizeof magic && memcmp(page, magic, sizeof magic) == 0;
}

bool sb_priv_visit_header_whole(const uint8_t *data) {
  return sb_priv_visit_header_is_ours(data, VISIT_HEADER_SIZE) && visit_load32(data + 60) == sb_crc32c(0, data, 60);
}

sb_status sb_priv_visit_header_usable(const uint8_t *header, bool read_only, sb_error *error) {
  if (visit_load16(header + 8) != 1 || visit_load32(header + 12) != VISIT_LOG_START)
    return sb_priv_error(error, SB_UNSUPPORTED, NULL, "the file has version %u, this library knows version 1; use a newer library",
                         (unsigned)visit_load16(header + 8));
  const bool readable = (visit_load64(header + 16) & ~(uint64_t)VISIT_FEATURE_COPIES) == 0;
  if (!readable || (!read_only && visit_load64(header + 24) != 0))
    return sb_priv_error(error, SB_UNSUPPORTED, NULL, "the file uses features that this library does not know; use a newer library%s",
                         readable ? ", or open it read_only" : "");
  return SB_OK;
}

bool sb_priv_visit_header_slot(const uint8_t *page, unsigned i, visit_slot *slot) {
  uint8_t owner[16];
  return sb_priv_visit_slot_decode(page + VISIT_SECTOR * (1 + (size_t)i), slot, owner) && memcmp(owner, page + 32, 16) == 0 &&
         slot->generation % 2 == i;
}

bool sb_priv_visit_header_zeros(const uint8_t *page, uint64_t *offset) {
  static const uint16_t ranges[][2] = {{10, 12}, {48, 60}, {64, 512}, {576, 1024}, {1088, VISIT_LOG_START}};
  for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
    for (*offset = ranges[i][0]; *offset < ranges[i][1]; ++*offset)
      if (page[*offset] != 0) return false;
  for (unsigned i = 0; i < 2; i++) {
    visit_slot slot;
    const size_t start = VISIT_SECTOR * (1 + (size_t)i);
    if (!sb_priv_visit_header_slot(page, i, &slot)) continue;
    *offset = start + (slot.replaces != 0 ? 12 : 56);
    if ((slot.replaces != 0 && slot.generation > 1) || visit_load32(page + start + 56) != 0) return false; /* a file is built once */
  }
  return true;
}

sb_status sb_priv_visit_header_decode(const uint8_t *page, bool read_only, uint8_t uuid[16], visit_slot *slot, sb_error *error) {
  if (visit_load32(page + 60) != sb_crc32c(0, page, 60)) return sb_priv_visit_corrupt(error, 0, "the header's checksum is wrong");
  const sb_status status = sb_priv_visit_header_usable(page, read_only, error);
  if (status != SB_OK) return status;
  memcpy(uuid, page + 32, 16);
  bool valid = false;
  for (unsigned i = 0; i < 2; i++) {
    visit_slot found;
    if (!sb_priv_visit_header_slot(page, i, &found) || (valid && found.generation < slot->generation)) continue;
    *slot = found;
    valid = true;
  }
  return valid ? SB_OK : sb_priv_visit_corrupt(error, VISIT_SECTOR, "neither slot of the header is valid");
}

uint32_t sb_priv_visit_seed(const uint8_t uuid[16]) { return sb_crc32c(0, uuid, 16); }

/* ---- records ---- */

bool sb_priv_visit_head_decode_moved(const uint8_t *data, uint64_t offset, visit_record *record) {
  record->offset = offset;
  record->length = visit_load32(data);
  record->sequence = visit_load64(data + 8);
  record->durable = visit_load64(data + 16);
  record->type = data[24];
  record->count = visit_load16(data + 26);
  record->user = visit_load32(data + 28);
  record->payload = NULL;
  return record->length >= VISIT_HEAD && record->length <= VISIT_RECORD_MAX && record->sequence > 0 &&
         record->sequence <= VISIT_FILE_MAX / VISIT_HEAD && record->durable <= VISIT_FILE_MAX && data[25] == 0 &&
         record->type >= VISIT_VISITS && record->type <= VISIT_INDEX && record->count <= VISIT_ITEMS_MAX;
}

bool sb_priv_visit_head_decode(const uint8_t *data, uint64_t offset, visit_record *record) {
  return sb_priv_visit_head_decode_moved(data, offset, record) && offset >= VISIT_LOG_START && record->durable <= offset &&
         record->sequence <= (offset - VISIT_LOG_START) / VISIT_HEAD + 1;
}

uint32_t sb_priv_visit_record_checksum(uint32_t seed, const uint8_t *data, size_t padded) {
  return sb_crc32c(sb_crc32c(seed, data, 4), data + 8, padded - 8);
}

static bool visits_fit(const visit_record *record, uint32_t size) {
  const uint8_t *data = record->payload;
  for (uint32_t i = 0; i < record->count; i++) {
    if (size < VISIT_ITEM_HEAD) return false;
    const uint32_t url_size = visit_load32(data + 12), text_size = visit_load32(data + 16);
    if (url_size > SB_VISIT_TEXT_MAX || text_size > SB_VISIT_TEXT_MAX) return false;
    const uint32_t whole = VISIT_ITEM_HEAD + url_size + text_size;
    if (size < whole || memchr(data + VISIT_ITEM_HEAD, 0, url_size + text_size) != NULL) return false;
    data += whole;
    size -= whole;
  }
  return record->count > 0 && size == 0;
}

static bool page_fits(const visit_record *record, uint32_t size) {
  if (record->count == 0 || size < record->count * 8u) return false;
  uint64_t runs = 0;
  uint32_t last = 0;
  for (uint32_t i = 0; i < record->count; i++) {
    const uint32_t user = visit_load32(record->payload + 8 * i), count = visit_load32(record->payload + 8 * i + 4);
    if (count == 0 || (i > 0 && user <= last) || (i == 0 && user != record->user)) return false;
    last = user;
    runs += count;
  }
  return runs * 8 == size - record->count * 8u;
}

/* Where a record of this type and size has its copy of the header; `size` where it has none. */
static uint32_t header_place(const visit_record *record, uint32_t size) {
  const uint64_t before = record->type == VISIT_LIMIT ? 0 : 32 + UINT64_C(24) * visit_load32(record->payload);
  return before + VISIT_HEADER_SIZE == size ? (uint32_t)before : size;
}

const uint8_t *sb_priv_visit_payload_header(const visit_record *record) {
  const uint32_t size = record->length - VISIT_HEAD, place = header_place(record, size);
  return place < size ? record->payload + place : NULL;
}

static bool limit_fits(const visit_record *record, uint32_t size) {
  const uint32_t place = header_place(record, size);
  return record->count == 0 && record->user > 0 && place == 0 && (size == 0 || sb_priv_visit_header_whole(record->payload));
}

static bool index_fits(const visit_record *record, uint32_t size) {
  if (record->count != 0 || record->user != 0 || size < 32) return false;
  const uint32_t place = header_place(record, size);
  return place - 32 == UINT64_C(24) * visit_load32(record->payload) &&
         (place == size || sb_priv_visit_header_whole(record->payload + place));
}

bool sb_priv_visit_payload_fits(const visit_record *record) {
  static const uint8_t zeros[8];
  const uint32_t size = record->length - VISIT_HEAD;
  if (memcmp(record->payload + size, zeros, visit_padded(size) - size) != 0) return false;
  switch (record->type) {
  case VISIT_VISITS: return visits_fit(record, size);
  case VISIT_DELETE: return record->count > 0 && size == record->count * 4u;
  case VISIT_CLEAR: return record->count == 0 && size == 0;
  case VISIT_LIMIT: return limit_fits(record, size);
  case VISIT_PAGE: return page_fits(record, size);
  case VISIT_INDEX: return index_fits(record, size);
  default: return false;
  }
}

const uint8_t *sb_priv_visit_item_next(const uint8_t *data, visit_item *item) {
  item->time_ns = (int64_t)visit_load64(data);
  item->visit_id = visit_load32(data + 8);
  item->url_size = visit_load32(data + 12);
  item->text_size = visit_load32(data + 16);
  item->bytes = data + VISIT_ITEM_HEAD;
  return item->bytes + item->url_size + item->text_size;
}

/* ---- writer ---- */

sb_status sb_priv_visit_writer_begin(visit_writer *writer, uint8_t type, uint32_t user, size_t payload_max, size_t *start) {
  if (writer->end + payload_max + VISIT_HEAD + 8 > VISIT_FILE_MAX) return SB_TOO_LARGE;
  const sb_status status = sb_priv_visit_bytes_reserve(&writer->bytes, VISIT_HEAD + payload_max + 8);
  if (status != SB_OK) return status;
  uint8_t *data = writer->bytes.data + writer->bytes.size;
  memset(data, 0, VISIT_HEAD);
  data[24] = type;
  visit_store32(data + 28, user);
  *start = writer->bytes.size;
  writer->bytes.size += VISIT_HEAD;
  return SB_OK;
}

void sb_priv_visit_writer_item(visit_writer *writer, int64_t time_ns, uint32_t visit_id, const void *url, uint32_t url_size,
                               const void *text, uint32_t text_size) {
  uint8_t *data = writer->bytes.data + writer->bytes.size;
  visit_store64(data, (uint64_t)time_ns);
  visit_store32(data + 8, visit_id);
  visit_store32(data + 12, url_size);
  visit_store32(data + 16, text_size);
  if (url_size > 0) memcpy(data + VISIT_ITEM_HEAD, url, url_size);
  if (text_size > 0) memcpy(data + VISIT_ITEM_HEAD + url_size, text, text_size);
  writer->bytes.size += VISIT_ITEM_HEAD + url_size + text_size;
  assert(writer->bytes.size <= writer->bytes.capacity);
}

void sb_priv_visit_writer_end(visit_writer *writer, size_t start, uint32_t count) {
  uint8_t *data = writer->bytes.data + start;
  const size_t length = writer->bytes.size - start, padded = visit_padded(length);
  assert(start + padded <= writer->bytes.capacity && count <= VISIT_ITEMS_MAX);
  memset(data + length, 0, padded - length);
  visit_store32(data, (uint32_t)length);
  visit_store64(data + 8, ++writer->sequence);
  visit_store64(data + 16, writer->durable);
  visit_store16(data + 26, (uint16_t)count);
  visit_store32(data + 4, sb_priv_visit_record_checksum(writer->seed, data, padded));
  writer->bytes.size = start + padded;
  writer->end += padded;
}

sb_status sb_priv_visit_writer_limit(visit_writer *writer, uint32_t max_visits) {
  size_t start;
  const sb_status status = sb_priv_visit_writer_begin(writer, VISIT_LIMIT, max_visits, VISIT_HEADER_SIZE, &start);
  if (status != SB_OK) return status;
  sb_priv_visit_writer_header(writer);
  sb_priv_visit_writer_end(writer, start, 0);
  return SB_OK;
}

void sb_priv_visit_writer_header(visit_writer *writer) {
  if (writer->header == NULL) return;
  memcpy(writer->bytes.data + writer->bytes.size, writer->header, VISIT_HEADER_SIZE);
  writer->bytes.size += VISIT_HEADER_SIZE;
  assert(writer->bytes.size <= writer->bytes.capacity);
}

int sb_priv_visit_writer_flush(visit_writer *writer) {
  if (writer->bytes.size == 0) return 0;
  VISIT_STEPS(writer->bytes.size / 64);
  const int problem = sb_priv_file_write(writer->file, writer->bytes.data, writer->bytes.size, writer->end - writer->bytes.size);
  if (problem == 0) writer->bytes.size = 0;
  return problem;
}
