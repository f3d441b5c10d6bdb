//go:build !samebytes_shared

/* Copying what is live into a new file: for compaction, for the upgrade of an old file, for salvage. Users are copied in ascending order,
 * so
 * that one number says which of them are in the copy already: their later changes have to go to both files. */

#include <errno.h>
#include <stdlib.h>

#include "visit_private.h"

#define STEP_USERS_MAX 64 /* a user who is not in memory costs reads */
#define FLUSH_AT (256u << 10)

static uint64_t *runs_of(const visit_copy *copy) { return (uint64_t *)(void *)copy->runs.data; }

static sb_status no_memory(sb_error *error) { return sb_priv_error(error, SB_NO_MEMORY, NULL, "no memory to write a new file"); }

static sb_status flush(visit_writer *writer, sb_error *error) {
  const int problem = sb_priv_visit_writer_flush(writer);
  return problem == 0 ? SB_OK : sb_priv_visit_io(error, problem, "writing a new file");
}

sb_status sb_priv_visit_copy_begin(visit_copy *copy, visit_log *log, int file, sb_error *error) {
  *copy = (visit_copy){.writer = {.file = file, .end = VISIT_LOG_START, .durable = VISIT_LOG_START}};
  const int problem = sb_priv_random(copy->uuid, sizeof copy->uuid);
  if (problem != 0) return sb_priv_visit_io(error, problem, "getting random bytes");
  copy->writer.seed = sb_priv_visit_seed(copy->uuid);
  sb_priv_visit_header_fields(copy->header, copy->uuid);
  copy->writer.header = copy->header;
  const uint64_t users_max = log->base.users + log->table.used;
  copy->users = malloc((users_max + 1) * sizeof *copy->users);
  copy->run_ends = malloc((users_max + 1) * sizeof *copy->run_ends);
  visit_walk walk = {0};
  sb_status status = copy->users == NULL || copy->run_ends == NULL ? SB_NO_MEMORY : sb_priv_visit_walk_begin(&walk, log, 0);
  if (status == SB_OK) status = sb_priv_visit_writer_limit(&copy->writer, log->table.max_visits);
  if (status != SB_OK) status = no_memory(error);
  while (status == SB_OK) {
    uint64_t user;
    status = sb_priv_visit_walk_next(&walk, &user, error);
    if (status != SB_OK || user >> 32 != 0) break;
    assert(copy->user_count < users_max);
    copy->users[copy->user_count++] = (uint32_t)user;
  }
  if (status != SB_OK) sb_priv_visit_copy_free(copy);
  return status;
}

/* Writes a decoded user's visits as few records, and notes where they are. */
static sb_status copy_user(visit_copy *copy, const visit_user *user) {
  visit_writer *writer = &copy->writer;
  if (user->count == 0) return SB_OK; /* and perhaps no arena */
  const uint8_t *data = user->arena + user->start;
  for (uint32_t i = 0; i < user->count;) {
    uint32_t count = 0;
    size_t bytes = 0, start;
    while (i + count < user->count && count < VISIT_ITEMS_MAX && (count == 0 || bytes < VISIT_RECORD_GOAL))
      bytes += user->entries[user->first + i + count++].size + VISIT_ITEM_HEAD - 1;
    const uint64_t offset = writer->end;
    sb_status status = sb_priv_visit_bytes_reserve(&copy->runs, 8);
    if (status == SB_OK) status = sb_priv_visit_writer_begin(writer, VISIT_VISITS, user->user, bytes, &start);
    if (status != SB_OK) return status;
    for (const uint32_t end = i + count; i < end; i++) {
      const visit_entry *entry = &user->entries[user->first + i];
      const uint32_t url_size = visit_url_size(data, entry->size);
      sb_priv_visit_writer_item(writer, entry->time_ns, entry->visit_id, data, url_size, data + url_size + 1, entry->size - 1 - url_size);
      data += entry->size;
    }
    sb_priv_visit_writer_end(writer, start, count);
    runs_of(copy)[copy->runs.size / 8] = visit_run(offset, 0, count);
    copy->runs.size += 8;
  }
  return SB_OK;
}

/* Gives a user in memory its places in the copy, where it is the user `at`. */
static void place(const visit_copy *copy, visit_user *user, size_t at) {
  uint32_t entry = user->first;
  for (uint64_t i = at == 0 ? 0 : copy->run_ends[at - 1]; i < copy->run_ends[at]; i++) {
    const uint64_t run = runs_of(copy)[i];
    for (uint32_t item = 0; item < visit_run_count(run); item++)
      user->entries[entry++].run = visit_run(visit_run_offset(run), visit_run_first(run) + item, 1);
  }
  assert(entry == user->first + user->count);
}

sb_status sb_priv_visit_copy_step(visit_copy *copy, visit_log *log, uint64_t bytes, sb_error *error) {
  const uint64_t before = copy->writer.end;
  for (unsigned users = 0; copy->next < copy->user_count && users < STEP_USERS_MAX && copy->writer.end - before < bytes; users++) {
    visit_user *found = sb_priv_visit_table_find(&log->table, copy->users[copy->next]);
    const bool in_memory = found != NULL && found->decoded;
    const visit_user *peeked = NULL;
    sb_status status = SB_OK;
    if (!in_memory) status = sb_priv_visit_log_peek(log, copy->users[copy->next], &peeked, error);
    if (status != SB_OK) return status;
    status = copy_user(copy, in_memory ? found : peeked);
    if (status != SB_OK)
      return status == SB_NO_MEMORY ? no_memory(error) : sb_priv_error(error, status, NULL, "the new file would be too large");
    copy->run_ends[copy->next++] = copy->runs.size / 8;
    if (in_memory)
      place(copy, found, copy->next - 1);
    else
      copy->live_unread += sb_priv_visit_user_live(peeked);
    if (copy->writer.bytes.size >= FLUSH_AT && flush(&copy->writer, error) != SB_OK) return SB_IO;
  }
  return flush(&copy->writer, error);
}

/* The place of `user` in the list; user_count when it is not there. */
static size_t listed(const visit_copy *copy, uint32_t user) {
  size_t low = 0, high = copy->user_count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (copy->users[middle] < user)
      low = middle + 1;
    else
      high = middle;
  }
  return low < copy->user_count && copy->users[low] == user ? low : copy->user_count;
}

bool sb_priv_visit_copy_mirrors(const visit_copy *copy, uint32_t user) {
  const size_t place = listed(copy, user);
  return place == copy->user_count || place < copy->next;
}

void sb_priv_visit_copy_loaded(visit_copy *copy, visit_user *user) {
  const size_t at = listed(copy, user->user);
  if (at >= copy->next) return;
  copy->live_unread -= sb_priv_visit_user_live(user);
  place(copy, user, at);
}

sb_status sb_priv_visit_copy_index(visit_copy *copy, visit_log *log, visit_base *base, sb_error *error) {
  assert(copy->next == copy->user_count);
  visit_user **users = NULL;
  visit_bytes runs = {0};
  visit_index_writer index;
  sb_priv_visit_index_begin(&index, &copy->writer);
  sb_status status = sb_priv_visit_table_sorted(&log->table, &users);
  const size_t table_count = log->table.used;
  size_t in_list = 0, in_table = 0;
  uint64_t live = copy->live_unread;
  while (status == SB_OK && (in_list < copy->user_count || in_table < table_count)) {
    visit_user *found = in_table < table_count ? users[in_table] : NULL;
    if (found != NULL && (in_list == copy->user_count || found->user <= copy->users[in_list])) {
      if (in_list < copy->user_count && found->user == copy->users[in_list] && !found->decoded)
        found = NULL; /* as it was copied */
      else if (in_list < copy->user_count && found->user == copy->users[in_list])
        in_list++;
      in_table++;
    } else {
      found = NULL;
    }
    if (found != NULL) {
      size_t count;
      live += sb_priv_visit_user_live(found);
      status = sb_priv_visit_user_runs(found, &runs, &count);
      if (status == SB_OK) status = sb_priv_visit_index_put(&index, found->user, (uint64_t *)(void *)runs.data, count);
    } else if (in_list < copy->user_count) {
      const uint64_t first = in_list == 0 ? 0 : copy->run_ends[in_list - 1];
      status = sb_priv_visit_index_put(&index, copy->users[in_list], runs_of(copy) + first, copy->run_ends[in_list] - first);
      in_list++;
    }
  }
  sb_priv_visit_bytes_free(&runs);
  if (status == SB_OK)
    status = sb_priv_visit_index_end(&index, log->table.max_visits, live, base);
  else
    sb_priv_visit_index_abandon(&index);
  if (status == SB_OK) return SB_OK;
  return status == SB_IO ? sb_priv_visit_io(error, EIO, "writing a new file") : no_memory(error);
}

void sb_priv_visit_copy_free(visit_copy *copy) {
  sb_priv_visit_bytes_free(&copy->writer.bytes);
  sb_priv_visit_bytes_free(&copy->runs);
  free(copy->users);
  free(copy->run_ends);
  *copy = (visit_copy){0};
}

int sb_priv_visit_header_write(int file, const uint8_t uuid[16], const visit_slot *slot) {
  uint8_t page[VISIT_LOG_START];
  sb_priv_visit_header_encode(page, uuid, slot);
  /* First the slot, so that a file that is being built has one that says so at every moment, wherever the writing is cut. */
  const uint64_t at = VISIT_SECTOR * (1 + slot->generation % 2);
  const int problem = sb_priv_file_write(file, page + at, VISIT_SLOT_SIZE, at);
  return problem == 0 ? sb_priv_file_write(file, page, sizeof page, 0) : problem;
}

sb_status sb_priv_visit_write_closed(visit_log *log, int file, uint32_t replaces, sb_error *error) {
  visit_copy copy;
  visit_base base = {0};
  sb_status status = sb_priv_visit_copy_begin(&copy, log, file, error);
  if (status != SB_OK) return status;
  do {
    status = sb_priv_visit_copy_step(&copy, log, UINT64_MAX, error);
  } while (status == SB_OK && copy.next < copy.user_count);
  if (status == SB_OK && copy.writer.end - VISIT_LOG_START > sb_priv_visit_tuning.index_at_close)
    status = sb_priv_visit_copy_index(&copy, log, &base, error);
  if (status == SB_OK) status = flush(&copy.writer, error);
  if (status == SB_OK) {
    const visit_slot slot = {
        .generation = 1, .state = VISIT_SLOT_CLOSED, .length = copy.writer.end, .index = base.offset, .replaces = replaces};
    int problem = sb_priv_visit_header_write(file, copy.uuid, &slot);
    if (problem == 0) problem = sb_priv_file_sync(file);
    if (problem != 0) status = sb_priv_visit_io(error, problem, "writing a new file");
  }
  free(base.pages);
  sb_priv_visit_copy_free(&copy);
  return status;
}
