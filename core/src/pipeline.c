//go:build !samebytes_shared

/* A table of all 256 sequences: nothing is searched, and a sequence is in flight at most once. */

#include <stdlib.h>

#include <samebytes/pipeline.h>

struct sb_pipeline {
  uint64_t tags[SB_PIPELINE_MAX]; /* by sequence, reinterpreted as uint8 */
  bool waiting[SB_PIPELINE_MAX];
  size_t in_flight;
  uint8_t next; /* where the search for a free sequence begins */
};

sb_status sb_pipeline_open(sb_pipeline **pipeline) {
  if (pipeline == NULL) return SB_INVALID_ARGUMENT;
  sb_pipeline *made = calloc(1, sizeof *made);
  if (made == NULL) return SB_NO_MEMORY;
  *pipeline = made;
  return SB_OK;
}

sb_status sb_pipeline_begin(sb_pipeline *pipeline, uint64_t tag, int8_t *sequence) {
  if (pipeline == NULL || sequence == NULL) return SB_INVALID_ARGUMENT;
  if (pipeline->in_flight == SB_PIPELINE_MAX) return SB_BUSY;
  while (pipeline->waiting[pipeline->next]) pipeline->next++;
  uint8_t slot = pipeline->next++;
  pipeline->waiting[slot] = true;
  pipeline->tags[slot] = tag;
  pipeline->in_flight++;
  *sequence = (int8_t)slot;
  return SB_OK;
}

sb_status sb_pipeline_finish(sb_pipeline *pipeline, int8_t sequence, uint64_t *tag) {
  if (pipeline == NULL || tag == NULL) return SB_INVALID_ARGUMENT;
  uint8_t slot = (uint8_t)sequence;
  if (!pipeline->waiting[slot]) return SB_NOT_FOUND;
  pipeline->waiting[slot] = false;
  pipeline->in_flight--;
  *tag = pipeline->tags[slot];
  return SB_OK;
}

size_t sb_pipeline_in_flight(const sb_pipeline *pipeline) { return pipeline != NULL ? pipeline->in_flight : 0; }

void sb_pipeline_close(sb_pipeline *pipeline) { free(pipeline); }
