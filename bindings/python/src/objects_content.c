/* The content of a parse is what its rows and the Batch own together. While the Batch still has it, it lies in the Batch's own sb_batch;
 * before the Batch changes, the content moves to a spare sb_batch if rows are left, which is an exchange of pointers: what rows point at
 * stays where it is. The spare one is used again when its last row goes, so that its memory need not be made for every parse.
 *
 * Invariant: content.owners is the number of rows that point to it, and one more while a Batch has it (moved is false). */

#include "objects_content.h"

#include "objects_row.h"

enum {
  SPARES_KEPT_MAX = 4,    /* batches without content */
  SPARE_ROWS_MAX = 16384, /* rows of the largest batch that is kept as a spare one */
};

struct BatchContent {
  Content content;
  sb_batch *batch; /* whose memory is shown */
  bool moved;      /* the batch belongs to the content alone */
};

/* Under the GIL, as all of this file. */
static sb_batch *spares[SPARES_KEPT_MAX];
static int spare_count;

static sb_batch *spare_get(void) {
  if (spare_count > 0) return spares[--spare_count];
  sb_batch *batch = NULL;
  return sb_batch_open(&batch) == SB_OK ? batch : NULL;
}

static void spare_put(sb_batch *batch) {
  if (spare_count == SPARES_KEPT_MAX || sb_batch_row_count(batch) > SPARE_ROWS_MAX) {
    sb_batch_close(batch);
    return;
  }
  sb_batch_clear(batch);
  spares[spare_count++] = batch;
}

static void batch_content_end(Content *content) {
  BatchContent *self = (BatchContent *)content;
  if (self->moved) spare_put(self->batch);
  PyMem_Free(self);
}

int batch_keep_rows(Batch *batch) {
  BatchContent *content = batch->content;
  if (content == NULL) return 0;
  if (content->content.owners > 1) {
    sb_batch *spare = spare_get();
    if (spare == NULL) {
      PyErr_NoMemory();
      return -1;
    }
    sb_batch_swap(batch->exporter.address, spare);
    content->batch = spare;
    content->moved = true;
  }
  batch->content = NULL;
  content_release(&content->content, 1);
  return 0;
}

void batch_end(Batch *batch) {
  BatchContent *content = batch->content;
  sb_batch *address = batch->exporter.address;
  batch->exporter.address = NULL;
  batch->content = NULL;
  if (content != NULL && content->content.owners > 1) { /* it lies in this very batch, which is the rows' from now on */
    content->moved = true;
    address = NULL;
  }
  if (content != NULL) content_release(&content->content, 1);
  sb_batch_close(address);
}

static int check_shapes(PyObject *shapes) {
  for (Py_ssize_t i = 0; i < PyTuple_Size(shapes); i++)
    if (shape_check(PyTuple_GetItem(shapes, i)) != 0) return -1;
  return 0;
}

/* The content of a batch; NULL is an exception. */
static BatchContent *batch_content(Batch *batch, PyObject *shapes) {
  if (batch->exporter.address == NULL) {
    raise_error("ClosedError", "this Batch has been closed");
    return NULL;
  }
  if (batch->content != NULL) return batch->content;
  if (check_shapes(shapes) != 0) return NULL;
  BatchContent *content = content_new(sizeof *content, shapes, batch_content_end);
  if (content != NULL) content->batch = batch->exporter.address;
  return batch->content = content;
}

static int wrong_schemas(void) {
  PyErr_SetString(PyExc_ValueError, "the batch was not filled by a parser of these schemas");
  return -1;
}

/* Rows in a list of as many; `values` are those of row 0, then those of row 1, and so on. */
static int fill_rows(PyObject *list, Content *content, const sb_row *heads, size_t count, const sb_value *values, size_t value_count) {
  Shape *shape = NULL;
  for (size_t i = 0; i < count; i++) {
    if (shape == NULL || heads[i].schema_index != heads[i - 1].schema_index)
      shape = (Shape *)PyTuple_GetItem(content->shapes, heads[i].schema_index);
    if (shape == NULL) return -1;
    if ((size_t)shape->count > value_count) return wrong_schemas();
    PyObject *row = row_make(content, shape, &heads[i], values);
    if (row == NULL || PyList_SetItem(list, (Py_ssize_t)i, row) != 0) return -1;
    values += shape->count;
    value_count -= (size_t)shape->count;
  }
  return value_count == 0 ? 0 : wrong_schemas();
}

PyObject *batch_rows(PyObject *object, PyObject *shapes) {
  Batch *self = (Batch *)object;
  if (!PyTuple_Check(shapes)) return PyErr_Format(PyExc_TypeError, "shapes: a tuple is needed");
  BatchContent *content = batch_content(self, shapes);
  if (content == NULL) return NULL;
  const sb_row *heads = NULL;
  const sb_value *values = NULL;
  size_t count = 0, value_count = 0;
  if (sb_batch_get_rows(content->batch, &heads, &count) != SB_OK) return PyErr_NoMemory();
  const sb_status status = sb_batch_get_all_values(content->batch, &values, &value_count);
  if (status == SB_CORRUPT)
    raise_error("CorruptError", "the frames of the batch have been changed since the parse");
  else if (status != SB_OK)
    (void)PyErr_NoMemory();
  if (status != SB_OK) return NULL;
  PyObject *list = PyList_New((Py_ssize_t)count);
  if (list != NULL && fill_rows(list, &content->content, heads, count, values, value_count) != 0) Py_CLEAR(list);
  return list;
}

PyObject *batch_keep(PyObject *object, PyObject *unused) {
  (void)unused;
  if (batch_keep_rows((Batch *)object) != 0) return NULL;
  Py_RETURN_NONE;
}

/* What a parser that hands out rows only does after each parse, in one call: how many bytes are missing, and the batch is empty. */
PyObject *batch_settle(PyObject *object, PyObject *unused) {
  (void)unused;
  Batch *self = (Batch *)object;
  sb_batch *batch = self->exporter.address;
  if (batch == NULL || self->exporter.exports > 0 || sb_batch_error_count(batch) > 0) Py_RETURN_NONE;
  const size_t need = sb_batch_need(batch);
  if (batch_keep_rows(self) != 0) return NULL;
  sb_batch_clear(batch);
  return PyLong_FromSize_t(need);
}
