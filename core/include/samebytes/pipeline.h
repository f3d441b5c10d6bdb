#ifndef SAMEBYTES_PIPELINE_H
#define SAMEBYTES_PIPELINE_H

#include <samebytes/status.h>

SB_BEGIN_DECLS

/** # Pipeline: which response belongs to which request
 *
 *  A client that sends requests without waiting gives each a sequence, an int8, and finds the request by the sequence of its response.
 *
 *      int8_t sequence;
 *      if (sb_pipeline_begin(pipeline, request_number, &sequence) == SB_OK) send_request(sequence);
 *      // later, with the sequence of a response
 *      uint64_t request_number;
 *      if (sb_pipeline_finish(pipeline, sequence, &request_number) != SB_OK) fail("a response that nobody waits for");
 *
 *  ## Ownership
 *  A tag is any number of the caller's; the pipeline only keeps it.
 *
 *  ## Threads and fork
 *  One user of a pipeline at a time.
 *
 *  ## Errors
 *  SB_BUSY when all sequences are in flight, SB_NOT_FOUND for a response that is unknown or was repeated.
 *
 *  ## Limits
 *  At most SB_PIPELINE_MAX requests in flight. */

#define SB_PIPELINE_MAX 256

typedef struct sb_pipeline sb_pipeline;

/** Makes a pipeline with nothing in flight. The first sequence is 0, 127 is followed by -128, and sequences in flight are skipped.
 *
 *  Ownership: the caller closes `*pipeline`.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_pipeline_open(SB_OUT SB_OWNED sb_pipeline **pipeline);

/** Assigns the next free sequence to a request, and remembers `tag` for it.
 *
 *  Ownership: none.      Threads: one user of `pipeline` at a time.
 *  Errors: SB_BUSY when SB_PIPELINE_MAX requests are in flight.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pipeline_begin(sb_pipeline *pipeline, uint64_t tag, SB_OUT int8_t *sequence);

/** Finds the request that a response with `sequence` answers, and frees the sequence.
 *
 *  Ownership: none.      Threads: one user of `pipeline` at a time.
 *  Errors: SB_NOT_FOUND when no request with that sequence is in flight.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_pipeline_finish(sb_pipeline *pipeline, int8_t sequence, SB_OUT uint64_t *tag);

/** Returns the number of requests in flight.
 *
 *  Ownership: none.      Threads: one user of `pipeline` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_pipeline_in_flight(const sb_pipeline *pipeline);

/** Closes the pipeline. NULL is allowed.
 *
 *  Ownership: takes `pipeline`.      Threads: one user of `pipeline` at a time.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_pipeline_close(SB_TAKES SB_NULLABLE sb_pipeline *pipeline);

SB_END_DECLS

#endif
