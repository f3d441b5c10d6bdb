//go:build !samebytes_shared

/* The index: where the visits of each user lie, so that open need not read what is before it. Pages are ordinary records, read and checked
 * when a user of theirs is asked for; only the list of pages is read at open. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "error_private.h"
#include "visit_private.h"

#define PAGE_GOAL (32u << 10) /* bytes of a page */
#define PAGE_USERS_MAX VISIT_ITEMS_MAX
#define PAGE_ROW 24u
#define FLUSH_AT (256u << 10)

/* ---- reading ---- */

/* Pages lie one after the other and are as large as their users need at least: so what the index claims is bounded by the file. */
static bool pages_fit(const visit_base *base) {
  uint64_t free_from = VISIT_LOG_START, users = 0;
  for (uint32_t i = 0; i < base->page_count; i++) {
    const visit_page *page = &base->pages[i];
    if (page->first > page->last || (i > 0 && page->first <= page[-1].last)) return false;
    if (page->offset < free_from || page->offset % 8 != 0 || page->offset > base->offset) return false;
    if (page->users == 0 || page->users > PAGE_USERS_MAX || page->length < VISIT_HEAD + 16 * (uint64_t)page->users) return false;
    free_from = page->offset + visit_padded(page->length);
    if (free_from > base->offset) return false;
    users += page->users;
  }
  return base->max_visits > 0 && users == base->users && base->visits >= base->users;
}

static uint64_t bytes_between(const visit_base *base) {
  const uint64_t begin = base->page_count > 0 ? base->pages[0].offset : base->offset;
  return base->end - begin - base->size;
}

sb_status sb_priv_visit_index_load(visit_log *log, uint64_t offset, uint64_t limit, sb_error *error) {
  visit_record record;
  sb_status status = sb_priv_visit_reader_get(&log->random, log->seed, offset, limit, &record);
  if (status == SB_IO) return sb_priv_visit_io(error, log->random.problem, "reading the index");
  if (status == SB_NO_MEMORY) return sb_priv_error(error, status, NULL, "no memory to read the index");
  if (status != SB_OK || record.type != VISIT_INDEX) return sb_priv_visit_corrupt(error, offset, "the index is not valid");
  if (!sb_priv_visit_log_owns(log, &record))
    return sb_priv_visit_corrupt(error, offset, "the index is that of another file, or of no version that can be read");
  visit_base base = {.page_count = visit_load32(record.payload),
                     .max_visits = visit_load32(record.payload + 4),
                     .users = visit_load64(record.payload + 8),
                     .visits = visit_load64(record.payload + 16),
                     .live_bytes = visit_load64(record.payload + 24),
                     .offset = offset,
                     .end = offset + visit_padded(record.length),
                     .sequence = record.sequence};
  base.pages = malloc((base.page_count + 1) * sizeof *base.pages);
  if (base.pages == NULL) return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory to read the index");
  base.size = base.end - base.offset;
  for (uint32_t i = 0; i < base.page_count; i++) {
    const uint8_t *row = record.payload + 32 + PAGE_ROW * (size_t)i;
    base.pages[i] = (visit_page){visit_load32(row), visit_load32(row + 4), visit_load32(row + 16), visit_load32(row + 20),
                                 visit_load64(row + 8)};
    base.size += visit_padded(base.pages[i].length);
  }
  if (!pages_fit(&base)) {
    free(base.pages);
    return sb_priv_visit_corrupt(error, offset, "the index contradicts itself");
  }
  base.between = bytes_between(&base);
  free(log->base.pages);
  log->base = base;
  log->base_put = ++log->puts;
  log->page_index = base.page_count;
  log->table.max_visits = base.max_visits;
  log->table.live_bytes = base.live_bytes;
  log->sequence = record.sequence;
  log->end = base.end;
  visit_log_remember(log, &record);
  return SB_OK;
}

void sb_priv_visit_index_take(visit_log *log, visit_base base, uint32_t put) {
  free(log->base.pages);
  log->base_put = put;
  free(log->limits);
  log->limits = NULL;
  log->limit_count = log->limit_capacity = 0;
  log->base = base;
  log->page_index = base.page_count;
}

/* The page that holds `user`, or else the one after the place where it would be. */
static uint32_t page_of(const visit_base *base, uint64_t user) {
  uint32_t low = 0, high = base->page_count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (base->pages[middle].last < user)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

uint64_t sb_priv_visit_index_since(const visit_base *base, uint32_t user) {
  const uint32_t index = page_of(base, user);
  return index < base->page_count ? base->pages[index].offset : base->offset;
}

sb_status sb_priv_visit_index_between(visit_log *log, sb_error *error) {
  const visit_base *base = &log->base;
  visit_reader *reader = &log->sequential;
  const uint64_t end = log->end, sequence = log->sequence;
  uint64_t last = 0; /* sequence of the record before */
  for (uint32_t i = 0; i < base->page_count; i++) {
    const uint64_t next = i + 1 < base->page_count ? base->pages[i + 1].offset : base->offset;
    for (uint64_t offset = base->pages[i].offset + visit_padded(base->pages[i].length); offset < next;) {
      visit_record record;
      sb_status status = sb_priv_visit_reader_get(reader, log->seed, offset, next, &record);
      if (status == SB_IO) return sb_priv_visit_io(error, reader->problem, "reading the file");
      if (status == SB_NO_MEMORY) return sb_priv_error(error, status, NULL, "no memory to read the file");
      if (status != SB_OK || record.type == VISIT_LIMIT || record.sequence <= last || record.sequence >= sequence)
        return sb_priv_visit_corrupt(error, offset, "no valid record between the pages of the index");
      last = record.sequence;
      offset += visit_padded(record.length);
      if (record.type > VISIT_LIMIT || record.offset < sb_priv_visit_index_since(base, record.user)) continue;
      status = sb_priv_visit_log_take(log, &record, error);
      if (status != SB_OK) return status;
    }
  }
  log->end = end;
  log->sequence = sequence;
  return SB_OK;
}

static uint32_t page_user(const visit_record *page, uint32_t row) { return visit_load32(page->payload + 8 * (size_t)row); }

/* Whether a page is the one that the list means. Sequences ascend with offsets, so each leaves room for those of the pages behind it: a page
 * that was written after the index, in another state of the file, has none. */
static bool page_is(const visit_base *base, uint32_t index, const visit_record *found) {
  const visit_page *page = &base->pages[index];
  return found->user == page->first && found->count == page->users && found->length == page->length &&
         page_user(found, found->count - 1u) == page->last && found->sequence + (base->page_count - index) <= base->sequence;
}

/* Makes log->page the page at `index`. */
static sb_status page_load(visit_log *log, uint32_t index, sb_error *error) {
  if (log->page_index == index) return SB_OK;
  const visit_page *page = &log->base.pages[index];
  log->page_index = log->base.page_count;
  log->pages.chunk = page->length < PAGE_GOAL * 2 ? visit_padded(page->length) : PAGE_GOAL * 2;
  const sb_status status = sb_priv_visit_reader_get(&log->pages, log->seed, page->offset, log->base.offset, &log->page);
  if (status == SB_IO) return sb_priv_visit_io(error, log->pages.problem, "reading the index");
  if (status == SB_NO_MEMORY) return sb_priv_error(error, status, NULL, "no memory to read the index");
  if (status != SB_OK || log->page.type != VISIT_PAGE || !page_is(&log->base, index, &log->page))
    return sb_priv_visit_corrupt(error, page->offset, "a page of the index is not valid; salvage finds all visits without it");
  log->page_index = index;
  log->row = 0;
  log->row_runs = 0;
  return SB_OK;
}

/* The first row of a page whose user is at least `user`. */
static uint32_t page_row(const visit_record *page, uint64_t user) {
  uint32_t low = 0, high = page->count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (page_user(page, middle) < user)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

sb_status sb_priv_visit_index_find(visit_log *log, uint32_t user, const uint8_t **runs, uint32_t *count, sb_error *error) {
  *runs = NULL;
  *count = 0;
  const uint32_t index = page_of(&log->base, user);
  if (index == log->base.page_count || log->base.pages[index].first > user) return SB_OK;
  const sb_status status = page_load(log, index, error);
  if (status != SB_OK) return status;
  const visit_record *page = &log->page;
  const uint32_t row = page_row(page, user);
  if (row == page->count || page_user(page, row) != user) return SB_OK;
  if (row < log->row) log->row = 0, log->row_runs = 0;
  VISIT_STEPS(row - log->row);
  for (; log->row < row; log->row++)
    log->row_runs += visit_load32(page->payload + 8 * (size_t)log->row + 4); /* a walk goes on from there */
  *count = visit_load32(page->payload + 8 * (size_t)row + 4);
  *runs = page->payload + 8 * (size_t)page->count + 8 * log->row_runs;
  return SB_OK;
}

sb_status sb_priv_visit_index_next(visit_log *log, uint64_t from, uint64_t *user, sb_error *error) {
  *user = UINT64_C(1) << 32;
  const uint32_t index = page_of(&log->base, from);
  if (index == log->base.page_count) return SB_OK;
  const sb_status status = page_load(log, index, error);
  if (status != SB_OK) return status;
  const uint32_t row = page_row(&log->page, from);
  if (row == log->page.count)
    return sb_priv_visit_corrupt(error, log->page.offset,
                                 "a page of the index contradicts the list of pages; salvage finds all visits without it");
  *user = page_user(&log->page, row);
  return SB_OK;
}

/* ---- walking ---- */

void sb_priv_visit_walk_begin(visit_walk *walk, visit_log *log, uint64_t from) {
  *walk = (visit_walk){.log = log, .from = from};
  sb_priv_visit_order_seek(&walk->users, &log->table, from);
}

sb_status sb_priv_visit_walk_next(visit_walk *walk, uint64_t *user, sb_error *error) {
  uint64_t next;
  const sb_status status = sb_priv_visit_index_next(walk->log, walk->from, &next, error);
  if (status != SB_OK) return status;
  const visit_user *in_table = sb_priv_visit_order_next(&walk->users);
  if (in_table != NULL && in_table->user <= next) {
    next = in_table->user;
    walk->users.place++;
  }
  walk->from = next + 1;
  *user = next;
  return SB_OK;
}

/* ---- writing ---- */

void sb_priv_visit_index_begin(visit_index_writer *index, visit_writer *writer) { *index = (visit_index_writer){.writer = writer}; }

void sb_priv_visit_index_abandon(visit_index_writer *index) {
  sb_priv_visit_bytes_free(&index->heads);
  sb_priv_visit_bytes_free(&index->runs);
  free(index->pages);
  index->pages = NULL;
}

sb_status sb_priv_visit_index_page(visit_index_writer *index) {
  if (index->users == 0) return SB_OK;
  if (index->page_count == index->page_capacity) {
    const size_t capacity = index->page_capacity == 0 ? 64 : index->page_capacity * 2;
    visit_page *pages = realloc(index->pages, capacity * sizeof *pages);
    if (pages == NULL) return SB_NO_MEMORY;
    index->pages = pages;
    index->page_capacity = capacity;
  }
  visit_writer *writer = index->writer;
  const size_t size = index->heads.size + index->runs.size;
  const uint64_t offset = writer->end;
  size_t start;
  sb_status status = sb_priv_visit_writer_begin(writer, VISIT_PAGE, index->first, size, &start);
  if (status != SB_OK) return status;
  memcpy(writer->bytes.data + writer->bytes.size, index->heads.data, index->heads.size);
  memcpy(writer->bytes.data + writer->bytes.size + index->heads.size, index->runs.data, index->runs.size);
  writer->bytes.size += size;
  sb_priv_visit_writer_end(writer, start, index->users);
  index->pages[index->page_count++] = (visit_page){index->first, index->last, (uint32_t)(VISIT_HEAD + size), index->users, offset};
  index->heads.size = index->runs.size = 0;
  index->users = 0;
  if (writer->bytes.size >= FLUSH_AT && sb_priv_visit_writer_flush(writer) != 0) status = SB_IO;
  return status;
}

sb_status sb_priv_visit_index_put(visit_index_writer *index, uint32_t user, const uint64_t *runs, size_t count) {
  if (count == 0) return SB_OK;
  sb_status status = SB_OK;
  if (index->users == PAGE_USERS_MAX || index->heads.size + index->runs.size >= PAGE_GOAL) status = sb_priv_visit_index_page(index);
  if (status == SB_OK) status = sb_priv_visit_bytes_reserve(&index->heads, 8);
  if (status == SB_OK) status = sb_priv_visit_bytes_reserve(&index->runs, count * 8);
  if (status != SB_OK) return status;
  if (index->users++ == 0) index->first = user;
  index->last = user;
  visit_store32(index->heads.data + index->heads.size, user);
  visit_store32(index->heads.data + index->heads.size + 4, (uint32_t)count);
  index->heads.size += 8;
  for (size_t i = 0; i < count; i++) {
    visit_store64(index->runs.data + index->runs.size, runs[i]);
    index->runs.size += 8;
    index->visit_count += visit_run_count(runs[i]);
  }
  index->user_count++;
  return SB_OK;
}

sb_status sb_priv_visit_index_end(visit_index_writer *index, uint32_t max_visits, uint64_t live_bytes, visit_base *base) {
  visit_writer *writer = index->writer;
  sb_status status = sb_priv_visit_index_page(index);
  if (status == SB_OK && index->pages == NULL) { /* an index without users is one, too */
    index->pages = malloc(sizeof *index->pages);
    if (index->pages == NULL) status = SB_NO_MEMORY;
  }
  size_t start;
  const uint64_t offset = writer->end;
  if (status == SB_OK)
    status = sb_priv_visit_writer_begin(writer, VISIT_INDEX, 0, 32 + PAGE_ROW * index->page_count + VISIT_HEADER_SIZE, &start);
  if (status != SB_OK) {
    sb_priv_visit_index_abandon(index);
    return status;
  }
  uint8_t *data = writer->bytes.data + writer->bytes.size;
  visit_store32(data, (uint32_t)index->page_count);
  visit_store32(data + 4, max_visits);
  visit_store64(data + 8, index->user_count);
  visit_store64(data + 16, index->visit_count);
  visit_store64(data + 24, live_bytes);
  for (size_t i = 0; i < index->page_count; i++) {
    uint8_t *row = data + 32 + PAGE_ROW * i;
    const visit_page *page = &index->pages[i];
    visit_store32(row, page->first);
    visit_store32(row + 4, page->last);
    visit_store64(row + 8, page->offset);
    visit_store32(row + 16, page->length);
    visit_store32(row + 20, page->users);
  }
  writer->bytes.size += 32 + PAGE_ROW * index->page_count;
  sb_priv_visit_writer_header(writer);
  sb_priv_visit_writer_end(writer, start, 0);
  *base = (visit_base){.pages = index->pages,
                       .page_count = (uint32_t)index->page_count,
                       .max_visits = max_visits,
                       .users = index->user_count,
                       .visits = index->visit_count,
                       .live_bytes = live_bytes,
                       .offset = offset,
                       .end = writer->end,
                       .size = writer->end - offset,
                       .sequence = writer->sequence};
  for (uint32_t i = 0; i < base->page_count; i++) base->size += visit_padded(base->pages[i].length);
  base->between = bytes_between(base);
  index->pages = NULL;
  sb_priv_visit_index_abandon(index);
  return SB_OK;
}

sb_status sb_priv_visit_user_runs(const visit_user *user, visit_bytes *runs, size_t *count) {
  runs->size = 0;
  const sb_status status = sb_priv_visit_bytes_reserve(runs, ((size_t)user->count + 1) * 8);
  if (status != SB_OK) return status;
  uint64_t *list = (uint64_t *)(void *)runs->data; /* malloc aligned it */
  size_t made = 0;
  visit_cursor cursor;
  for (bool more = sb_priv_visit_cursor_oldest(&cursor, user); more; more = sb_priv_visit_cursor_later(&cursor)) {
    const uint64_t run = cursor.entry->run;
    uint64_t *last = made > 0 ? &list[made - 1] : NULL;
    if (last != NULL && visit_run_offset(*last) == visit_run_offset(run) &&
        visit_run_first(*last) + visit_run_count(*last) == visit_run_first(run))
      (*last)++; /* one visit more */
    else
      list[made++] = run;
  }
  *count = made;
  return SB_OK;
}

/* ---- writing in steps ---- */

#define STEP_USERS_MAX 1024u /* looked at in one step; */
#define STEP_READS_MAX 64u   /* a user who has to be read costs more */

void sb_priv_visit_pass_begin(visit_pass *pass, visit_log *log, visit_writer *writer) {
  *pass = (visit_pass){.active = true, .put = ++log->puts};
  sb_priv_visit_index_begin(&pass->index, writer);
}

void sb_priv_visit_pass_end(visit_pass *pass) {
  sb_priv_visit_index_abandon(&pass->index);
  sb_priv_visit_bytes_free(&pass->runs);
  free(pass->base.pages);
  *pass = (visit_pass){0};
}

/* What the last index has of a user, whom nobody touched since. */
static sb_status stored_runs(visit_log *log, uint32_t user, visit_bytes *runs, sb_error *error) {
  const uint8_t *stored;
  uint32_t count;
  sb_status status = sb_priv_visit_index_find(log, user, &stored, &count, error);
  runs->size = 0;
  if (status == SB_OK) status = sb_priv_visit_bytes_reserve(runs, ((size_t)count + 1) * 8);
  for (uint32_t i = 0; i < count && status == SB_OK; i++) ((uint64_t *)(void *)runs->data)[i] = visit_load64(stored + 8 * (size_t)i);
  runs->size = (size_t)count * 8;
  return status;
}

/* Reads a user about whom there are records since the base, or of whom max_visits has left less than the base has. */
static sb_status weighed_runs(visit_log *log, uint32_t user, visit_bytes *runs, sb_error *error) {
  const visit_user *read;
  size_t count;
  sb_status status = sb_priv_visit_log_weigh(log, user, &read, error);
  if (status == SB_CORRUPT) return sb_priv_visit_log_damaged_runs(log, user, runs, error);
  if (status == SB_OK) status = sb_priv_visit_user_runs(read, runs, &count);
  if (status == SB_OK) runs->size = count * 8;
  return status;
}

/* Puts a user of the walk: from memory, or, where nobody touched it since, as the last index had it. */
static sb_status put_user(visit_pass *pass, visit_log *log, uint32_t user, bool limited, unsigned *reads, sb_error *error) {
  visit_user *found = sb_priv_visit_table_find(&log->table, user);
  size_t count;
  sb_status status;
  const bool decoded = found != NULL && found->decoded;
  if (decoded) {
    status = sb_priv_visit_user_runs(found, &pass->runs, &count);
    if (status == SB_OK) pass->runs.size = count * 8;
  } else if (limited || (found != NULL && found->count > 0 && !visit_in_base(log, found))) {
    ++*reads;
    status = weighed_runs(log, user, &pass->runs, error);
    found = sb_priv_visit_table_find(&log->table, user); /* it may have come there */
  } else {
    status = stored_runs(log, user, &pass->runs, error);
  }
  if (status == SB_OK)
    status = sb_priv_visit_index_put(&pass->index, user, (const uint64_t *)(const void *)pass->runs.data, pass->runs.size / 8);
  if (status == SB_OK && found != NULL) found->put = pass->put;
  return status;
}

uint64_t sb_priv_visit_index_bytes(const visit_index_writer *index) { return index->writer->end + index->heads.size + index->runs.size; }

sb_status sb_priv_visit_pass_step(visit_pass *pass, visit_log *log, uint64_t bytes, sb_error *error) {
  assert(pass->active && !pass->done);
  const uint64_t before = pass->index.writer->end; /* no page is open */
  const bool limited = sb_priv_visit_log_limited(log);
  sb_status status = SB_OK;
  unsigned reads = 0;
  visit_walk walk;
  sb_priv_visit_walk_begin(&walk, log, pass->from);
  for (unsigned users = 0; users < STEP_USERS_MAX && reads < STEP_READS_MAX; users++) {
    uint64_t user;
    if (sb_priv_visit_index_bytes(&pass->index) - before >= bytes) break;
    status = sb_priv_visit_walk_next(&walk, &user, error);
    if (status != SB_OK) break;
    pass->from = walk.from;
    if (user >> 32 != 0) break;
    const size_t known = log->table.used;
    status = put_user(pass, log, (uint32_t)user, limited, &reads, error);
    if (status != SB_OK) break;
    if (log->table.used != known) sb_priv_visit_walk_begin(&walk, log, pass->from);
  }
  if (status == SB_OK) status = sb_priv_visit_index_page(&pass->index);
  if (status != SB_OK || pass->from <= UINT32_MAX) return status;
  status = sb_priv_visit_index_end(&pass->index, log->table.max_visits, log->table.live_bytes - pass->live_after, &pass->base);
  pass->done = status == SB_OK;
  return status;
}
