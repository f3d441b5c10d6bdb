/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=mmap */

/* Random operations on a buf and views, each held against flat arrays of bytes, with memory of several providers and blocks that are much too
 * small. Every fourth operation meets a failure, and must then have changed nothing. */
#include <math.h>

#include "lending_testing.h"

#include "failing_memory.h"
#include "handle_cache.h"

static void assert_buf_shows(const sb_buf *buf, const void *bytes, size_t size) {
  sb_view *view = NULL;
  assert_ok(sb_buf_peek(buf, &view));
  assert_int_equal(sb_buf_size(buf), size);
  assert_view_shows(view, bytes, size);
  sb_view_close(view);
}

enum {
  MODEL_BYTES_MAX = 600,
  MODEL_VIEWS = 5,
  MODEL_STEPS = 1500
};

typedef struct flat {
  uint8_t bytes[MODEL_BYTES_MAX];
  size_t size;
} flat;

/* One buf and some views, and what each must show. */
typedef struct model {
  random_source random;
  sb_memory *memory; /* tracing */
  sb_memory *other_memory;
  sb_memory *called_memory; /* of functions below, in blocks of odd sizes */
  sb_memory *shared_memory;
  sb_buf *buf;
  flat buf_flat;
  size_t room;
  sb_view *views[MODEL_VIEWS];
  flat view_flats[MODEL_VIEWS];
  size_t failures;
} model;

static void flat_add(flat *to, const uint8_t *bytes, size_t size) {
  assert_true(size <= MODEL_BYTES_MAX - to->size);
  memmove(to->bytes + to->size, bytes, size);
  to->size += size;
}

static void flat_skip(flat *from, size_t size) {
  assert_true(size <= from->size);
  memmove(from->bytes, from->bytes + size, from->size - size);
  from->size -= size;
}

static void model_check(const model *it) {
  assert_buf_shows(it->buf, it->buf_flat.bytes, it->buf_flat.size);
  assert_int_equal(sb_buf_room(it->buf), it->room);
  for (int i = 0; i < MODEL_VIEWS; i++) assert_view_shows(it->views[i], it->view_flats[i].bytes, it->view_flats[i].size);
}

static void model_set_view(model *it, size_t index, sb_view *view, const flat *shown) {
  sb_view_close(it->views[index]);
  it->views[index] = view;
  if (shown != &it->view_flats[index]) it->view_flats[index] = *shown;
}

static size_t random_bytes(model *it, uint8_t *bytes, size_t size_max) {
  const size_t size = random_below(&it->random, size_max);
  for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)random_next(&it->random);
  return size;
}

/* ---- what is done to the buf ---- */

static size_t buf_left(const model *it) { return MODEL_BYTES_MAX - it->buf_flat.size; }

static void buf_added(model *it, const uint8_t *bytes, size_t size) {
  flat_add(&it->buf_flat, bytes, size);
  it->room -= size;
}

static sb_status reserve_step(model *it) {
  const size_t size = random_below(&it->random, 100);
  const sb_status status = sb_buf_reserve(it->buf, size);
  if (status != SB_OK) return status;
  assert_true(sb_buf_room(it->buf) >= size && sb_buf_room(it->buf) >= it->room);
  it->room = sb_buf_room(it->buf);
  return SB_OK;
}

static sb_status put_step(model *it) {
  uint8_t bytes[100];
  const size_t size = random_bytes(it, bytes, sizeof bytes);
  if (size > buf_left(it)) return SB_OK;
  const sb_status status = sb_buf_put(it->buf, bytes, size);
  assert_int_equal(status, size <= it->room ? SB_OK : SB_OUT_OF_RANGE);
  if (status == SB_OK) buf_added(it, bytes, size);
  return status;
}

static sb_status put_repeated_step(model *it) {
  uint8_t bytes[100];
  const size_t size = random_below(&it->random, 4) == 0 ? 1 : random_below(&it->random, sizeof bytes);
  const uint8_t byte = (uint8_t)random_next(&it->random);
  memset(bytes, byte, sizeof bytes);
  if (size > buf_left(it)) return SB_OK;
  const sb_status status = size == 1 ? sb_buf_put_byte(it->buf, byte) : sb_buf_put_repeated(it->buf, byte, size);
  assert_int_equal(status, size <= it->room ? SB_OK : SB_OUT_OF_RANGE);
  if (status == SB_OK) buf_added(it, bytes, size);
  return status;
}

/* The bytes that a number must become, worked out byte by byte. */
static void number_bytes(uint64_t bits, uint32_t size, int32_t order, uint8_t *bytes) {
  for (uint32_t i = 0; i < size; i++) bytes[order == SB_ORDER_LITTLE ? i : size - 1 - i] = (uint8_t)(bits >> (8 * i));
}

static sb_status put_number_step(model *it) {
  const bool is_float = random_below(&it->random, 3) == 0;
  const uint32_t size = is_float ? 4u << random_below(&it->random, 2) : 1u << random_below(&it->random, 4);
  const int32_t order = (int32_t)random_below(&it->random, 2);
  int64_t value = (int64_t)random_next(&it->random) >> (64 - 8 * size);
  uint8_t bytes[8];
  if (size > buf_left(it)) return SB_OK;
  sb_status status;
  if (is_float) {
    const double real = (double)(value >> 8) / 16.0;
    const float narrow = (float)real;
    uint64_t bits = 0;
    if (size == 4)
      memcpy(&bits, &narrow, 4);
    else
      memcpy(&bits, &real, 8);
    if (size == 4 && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) bits >>= 32;
    number_bytes(bits, size, order, bytes);
    status = sb_buf_put_float(it->buf, real, size, order);
  } else {
    number_bytes((uint64_t)value, size, order, bytes);
    status = sb_buf_put_int(it->buf, value, size, order);
  }
  assert_int_equal(status, size <= it->room ? SB_OK : SB_OUT_OF_RANGE);
  if (status == SB_OK) buf_added(it, bytes, size);
  return status;
}

static sb_status put_view_step(model *it) {
  const size_t index = random_below(&it->random, MODEL_VIEWS);
  if (it->view_flats[index].size > buf_left(it)) return SB_OK;
  const sb_status status = sb_buf_put_view(it->buf, it->views[index]);
  if (status == SB_OK) flat_add(&it->buf_flat, it->view_flats[index].bytes, it->view_flats[index].size);
  return status;
}

static sb_status take_step(model *it) {
  const size_t size = random_below(&it->random, 3) == 0 ? it->buf_flat.size : random_below(&it->random, 100);
  sb_view *view = NULL;
  const sb_status status = sb_buf_take(it->buf, size, &view);
  if (size > it->buf_flat.size) assert_int_equal(status, SB_OUT_OF_RANGE);
  if (status != SB_OK) return status;
  flat taken = it->buf_flat;
  taken.size = size;
  flat_skip(&it->buf_flat, size);
  model_set_view(it, random_below(&it->random, MODEL_VIEWS), view, &taken);
  return SB_OK;
}

static sb_status peek_step(model *it) {
  sb_view *view = NULL;
  const sb_status status = sb_buf_peek(it->buf, &view);
  if (status == SB_OK) model_set_view(it, random_below(&it->random, MODEL_VIEWS), view, &it->buf_flat);
  if (random_below(&it->random, 4) == 0) {
    sb_buf_clear(it->buf);
    it->buf_flat.size = 0;
  }
  return status;
}

static sb_status begin_step(model *it) {
  uint8_t bytes[100];
  void *data = NULL;
  size_t size = random_bytes(it, bytes, sizeof bytes), piece = 0;
  const sb_status status = sb_buf_begin(it->buf, &data, &piece);
  assert_int_equal(status, it->room > 0 ? SB_OK : SB_OUT_OF_RANGE);
  if (status != SB_OK) return status;
  if (size > piece) size = piece;
  if (size > buf_left(it)) size = buf_left(it);
  memcpy(data, bytes, size);
  if (random_below(&it->random, 4) == 0) {
    sb_buf_abort(it->buf);
    assert_int_equal(sb_buf_commit(it->buf, 1), SB_OUT_OF_RANGE);
    return SB_OK;
  }
  assert_ok(sb_buf_commit(it->buf, size));
  buf_added(it, bytes, size);
  return SB_OK;
}

/* Writes to all pieces as readv would, and fills some of it. */
static sb_status begin_iovec_step(model *it) {
  uint8_t bytes[100];
  sb_iovec iovec[8];
  size_t count = 0, total = 0, size = random_bytes(it, bytes, sizeof bytes);
  const size_t most = random_below(&it->random, 9);
  const sb_status status = sb_buf_begin_iovec(it->buf, iovec, most, &count);
  assert_int_equal(status, it->room > 0 && most > 0 ? SB_OK : SB_OUT_OF_RANGE);
  if (status != SB_OK) return status;
  assert_true(count > 0 && count <= most);
  if (size > buf_left(it)) size = buf_left(it);
  for (size_t i = 0; i < count; i++) {
    const size_t piece = total >= size ? 0 : iovec[i].size < size - total ? iovec[i].size : size - total;
    if (piece > 0) memcpy(iovec[i].data, bytes + total, piece);
    total += iovec[i].size;
  }
  assert_int_equal(sb_buf_commit(it->buf, total + 1), SB_OUT_OF_RANGE);
  if (size > total) size = total;
  assert_ok(sb_buf_commit(it->buf, size));
  buf_added(it, bytes, size);
  return SB_OK;
}

/* Takes room away, fills it apart, and makes a view of that. */
static sb_status split_room_step(model *it) {
  uint8_t bytes[MODEL_BYTES_MAX];
  const size_t size = random_below(&it->random, it->room + 2);
  sb_buf *other = NULL;
  sb_status status = sb_buf_split_room(it->buf, size, &other);
  if (size > it->room) assert_int_equal(status, SB_OUT_OF_RANGE);
  if (status != SB_OK) return status;
  it->room -= size;
  assert_int_equal(sb_buf_room(other), size);
  flat shown = {.size = size < MODEL_BYTES_MAX ? size : MODEL_BYTES_MAX};
  for (size_t i = 0; i < shown.size; i++) bytes[i] = shown.bytes[i] = (uint8_t)random_next(&it->random);
  assert_ok(sb_buf_put(other, bytes, shown.size));
  sb_view *view = NULL;
  status = sb_buf_take(other, shown.size, &view);
  if (status == SB_OK) model_set_view(it, random_below(&it->random, MODEL_VIEWS), view, &shown);
  sb_buf_close(other);
  return status;
}

/* ---- what is done to views ---- */

static sb_status range_step(model *it) {
  const size_t index = random_below(&it->random, MODEL_VIEWS);
  const flat *shown = &it->view_flats[index];
  const size_t size = random_below(&it->random, shown->size + 2), offset = random_below(&it->random, shown->size + 2);
  const bool inside = offset <= shown->size && size <= shown->size - offset;
  sb_view *view = NULL;
  flat part = {.size = 0};
  if (inside) flat_add(&part, shown->bytes + offset, size);
  const sb_status status = sb_view_range(it->views[index], offset, size, &view);
  if (!inside) assert_int_equal(status, SB_OUT_OF_RANGE);
  if (status == SB_OK) model_set_view(it, random_below(&it->random, MODEL_VIEWS), view, &part);
  return status;
}

static sb_status append_step(model *it) {
  const size_t index = random_below(&it->random, MODEL_VIEWS), other = random_below(&it->random, MODEL_VIEWS);
  const flat shown = it->view_flats[other]; /* a copy: both may be one */
  if (shown.size > MODEL_BYTES_MAX - it->view_flats[index].size) return SB_OK;
  const sb_status status = sb_view_append(it->views[index], it->views[other]);
  if (status == SB_OK) flat_add(&it->view_flats[index], shown.bytes, shown.size);
  return status;
}

static sb_status concat_step(model *it) {
  sb_view *views[3], *view = NULL;
  flat all = {.size = 0};
  const size_t count = random_below(&it->random, 4);
  for (size_t i = 0; i < count; i++) {
    const size_t index = random_below(&it->random, MODEL_VIEWS);
    views[i] = it->views[index];
    if (it->view_flats[index].size > MODEL_BYTES_MAX - all.size) return SB_OK;
    flat_add(&all, it->view_flats[index].bytes, it->view_flats[index].size);
  }
  const sb_status status = sb_view_open_concat(views, count, &view);
  if (status == SB_OK) model_set_view(it, random_below(&it->random, MODEL_VIEWS), view, &all);
  return status;
}

static sb_status read_step(model *it) {
  uint8_t bytes[MODEL_BYTES_MAX + 1];
  const size_t index = random_below(&it->random, MODEL_VIEWS);
  flat *shown = &it->view_flats[index];
  const size_t size = random_below(&it->random, shown->size + 2);
  const sb_status status = sb_view_read_bytes(it->views[index], bytes, size);
  assert_int_equal(status, size <= shown->size ? SB_OK : SB_OUT_OF_RANGE);
  if (status != SB_OK) return status;
  assert_memory_equal(bytes, shown->bytes, size);
  flat_skip(shown, size);
  return SB_OK;
}

static sb_status number_step(model *it) {
  const size_t index = random_below(&it->random, MODEL_VIEWS);
  flat *shown = &it->view_flats[index];
  const size_t offset = random_below(&it->random, shown->size + 2);
  const uint32_t size = 1u << random_below(&it->random, 4);
  const int32_t order = (int32_t)random_below(&it->random, 2);
  int64_t value = 0;
  double real = 0;
  uint8_t bytes[8];
  const bool inside = offset <= shown->size && size <= shown->size - offset;
  assert_int_equal(sb_view_peek_int(it->views[index], offset, size, order, &value), inside ? SB_OK : SB_OUT_OF_RANGE);
  if (!inside) return SB_OUT_OF_RANGE;
  number_bytes((uint64_t)value, size, order, bytes);
  assert_memory_equal(bytes, shown->bytes + offset, size);
  if (size >= 4) {
    assert_ok(sb_view_peek_float(it->views[index], offset, size, order, &real));
    const float narrow = (float)real;
    uint32_t half = 0;
    if (size == 8)
      assert_memory_equal(&real, &value, 8);
    else if (memcpy(&half, &narrow, 4), isfinite(real)) /* NaNs may come back quiet */
      assert_int_equal(half, (uint32_t)value);
  }
  if (offset > 0) return SB_OK;
  int64_t again = 0;
  assert_ok(sb_view_read_int(it->views[index], size, order, &again));
  assert_int_equal(again, value);
  flat_skip(shown, size);
  return SB_OK;
}

static sb_status iovec_step(model *it) {
  sb_iovec iovec[8];
  const size_t index = random_below(&it->random, MODEL_VIEWS), most = random_below(&it->random, 9);
  const flat *shown = &it->view_flats[index];
  const size_t offset = random_below(&it->random, shown->size + 2);
  size_t count = 99, at = offset;
  const sb_status status = sb_view_get_iovec(it->views[index], offset, iovec, most, &count);
  assert_int_equal(status, offset <= shown->size ? SB_OK : SB_OUT_OF_RANGE);
  if (status != SB_OK) return status;
  assert_true(count <= most);
  for (size_t i = 0; i < count; i++) {
    assert_true(iovec[i].size > 0 && iovec[i].size <= shown->size - at);
    assert_memory_equal(iovec[i].data, shown->bytes + at, iovec[i].size);
    at += iovec[i].size;
  }
  if (count < most) assert_int_equal(at, shown->size);
  return SB_OK;
}

/* A pin keeps bytes where they are although the view is emptied. */
static sb_status pin_step(model *it) {
  const size_t index = random_below(&it->random, MODEL_VIEWS), count = sb_view_span_count(it->views[index]);
  const size_t which = random_below(&it->random, count + 1);
  const void *data = NULL;
  size_t size = 0, offset = 0;
  sb_pin *pin = NULL;
  const sb_status status = sb_view_pin(it->views[index], which, &pin);
  assert_int_equal(status, which < count ? SB_OK : SB_OUT_OF_RANGE);
  if (status != SB_OK) return status;
  for (size_t i = 0; i <= which; i++) {
    offset += size;
    assert_ok(sb_view_span(it->views[index], i, &data, &size));
  }
  assert_ok(sb_view_skip(it->views[index], it->view_flats[index].size));
  assert_memory_equal(data, it->view_flats[index].bytes + offset, size);
  it->view_flats[index].size = 0;
  sb_pin_close(pin);
  return SB_OK;
}

/* Looks the same in one piece as in many. */
static sb_status flatten_step(model *it) {
  const size_t index = random_below(&it->random, MODEL_VIEWS), other = random_below(&it->random, MODEL_VIEWS);
  const flat *shown = &it->view_flats[index], *against = &it->view_flats[other];
  sb_view *view = NULL;
  const sb_status status = sb_view_flatten(it->views[index], NULL, &view);
  if (status != SB_OK) return status;
  assert_true(sb_view_span_count(view) <= 1);
  assert_true(sb_view_equals(view, it->views[index]));
  const uint64_t seed = random_next(&it->random);
  assert_true(sb_view_hash(view, seed) == sb_view_hash(it->views[index], seed));
  int wanted = memcmp(shown->bytes, against->bytes, shown->size < against->size ? shown->size : against->size);
  if (wanted == 0) wanted = (shown->size > against->size) - (shown->size < against->size);
  assert_int_equal(sb_view_compare(view, it->views[other]), (wanted > 0) - (wanted < 0));
  assert_int_equal(sb_view_compare(it->views[other], it->views[index]), (wanted < 0) - (wanted > 0));
  model_set_view(it, random_below(&it->random, MODEL_VIEWS), view, &it->view_flats[index]);
  return SB_OK;
}

static sb_status copy_step(model *it) {
  const size_t index = random_below(&it->random, MODEL_VIEWS);
  sb_view *view = NULL;
  const sb_status status = sb_view_copy(it->views[index], &view);
  if (status == SB_OK) model_set_view(it, random_below(&it->random, MODEL_VIEWS), view, &it->view_flats[index]);
  return status;
}

static lender called = {.size_first = 1, .factor = 1, .step = 0, .modulo = 5, .size_min = 2};

static sb_status open_step(model *it) {
  const flat *shown = &it->view_flats[random_below(&it->random, MODEL_VIEWS)];
  sb_memory *memories[] = {it->memory, it->other_memory, it->called_memory, it->shared_memory, NULL};
  sb_view *view = NULL;
  const sb_status status = sb_view_open(shown->bytes, shown->size, memories[random_below(&it->random, 5)], &view);
  if (status == SB_OK) model_set_view(it, random_below(&it->random, MODEL_VIEWS), view, shown);
  return status;
}

typedef sb_status (*model_step)(model *it);

static const model_step steps[] = {
    reserve_step, reserve_step, put_step,         put_repeated_step, put_number_step, put_view_step, take_step,
    peek_step,    begin_step,   begin_iovec_step, split_room_step,   range_step,      append_step,   concat_step,
    read_step,    number_step,  iovec_step,       pin_step,          flatten_step,    copy_step,     open_step,
};

static void model_run(uint32_t block_size, uint32_t other_block_size, uint64_t seed) {
  static model it; /* large */
  memset(&it, 0, sizeof it);
  it.random.state = seed;
  it.memory = open_tracing_over(open_fixed(block_size));
  it.other_memory = open_fixed(other_block_size);
  it.called_memory = open_called(&called);
  assert_ok(sb_memory_open_shared(0, 0, &it.shared_memory));
  assert_ok(sb_buf_open(it.memory, &it.buf));
  for (int i = 0; i < MODEL_VIEWS; i++) assert_ok(sb_view_open(NULL, 0, NULL, &it.views[i]));
  for (int step = 0; step < MODEL_STEPS; step++) {
    const model_step next = steps[random_below(&it.random, sizeof steps / sizeof steps[0])];
    const size_t fault = random_below(&it.random, 8);
    sb_priv_handle_flush(); /* what the thread has kept would spare the step an allocation */
    if (fault == 0) allocations_until_failure = 1 + (long)random_below(&it.random, 4);
    if (fault == 1) assert_ok(sb_memory_fail_reserve(it.memory, 1 + random_below(&it.random, 4)));
    const sb_status status = next(&it);
    allocations_until_failure = 0;
    assert_ok(sb_memory_fail_reserve(it.memory, 0));
    if (fault > 1) assert_true(status == SB_OK || status == SB_OUT_OF_RANGE);
    it.failures += status == SB_NO_MEMORY;
    model_check(&it);
  }
  assert_true(it.failures > 20); /* or the faults do not reach the code */
  const sb_memory_stats stats = stats_of(it.memory);
  for (int i = 0; i < MODEL_VIEWS; i++) sb_view_close(it.views[i]);
  sb_buf_close(it.buf);
  assert_int_equal(stats.reserves, stats_of(it.memory).releases);
  sb_memory_close(it.memory);
  sb_memory_close(it.other_memory);
  sb_memory_close(it.called_memory);
  sb_memory_close(it.shared_memory);
  assert_int_equal(called.blocks_lent, 0);
  assert_no_live_blocks();
}

static void random_operations_agree_with_flat_arrays(void **state) {
  (void)state;
  const char *wanted = getenv("SAMEBYTES_SEEDS"); /* make nightly wants more */
  const unsigned long seeds = wanted != NULL ? strtoul(wanted, NULL, 10) : 1;
  const uint32_t block_sizes[] = {1, 2, 3, 7, 64};
  for (unsigned long seed = 0; seed < seeds; seed++)
    for (size_t i = 0; i < 5; i++)
      for (size_t j = 0; j < 5; j++) model_run(block_sizes[i], block_sizes[j], 1000 + seed * 25 + i * 5 + j);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations_agree_with_flat_arrays)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
