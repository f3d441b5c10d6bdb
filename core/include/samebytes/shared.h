#ifndef SAMEBYTES_SHARED_H
#define SAMEBYTES_SHARED_H

#include <samebytes/view.h>

SB_BEGIN_DECLS

/** # Shared: memory that several processes see
 *
 *  sb_memory_open_shared opens a provider whose blocks lie in memory that can be given to other processes. An sb_channel gives them: over
 *  a Unix socket travels where the bytes are, never the bytes.
 *
 *      sb_memory *memory = NULL;
 *      sb_channel *channel = NULL;
 *      sb_block *block = NULL;
 *      if (sb_memory_open_shared(0, 0, &memory) != SB_OK || sb_channel_open(socket, NULL, &channel, NULL) != SB_OK) return 1;
 *      if (sb_memory_get_block(memory, 1 << 20, &block) == SB_OK) {
 *        memset(sb_block_data(block), 7, 1 << 20);
 *        if (sb_channel_send_block(channel, block, 1 << 20, 0, -1, NULL) == SB_OK)  // the other process: sb_channel_receive_block
 *          (void)!sb_channel_wait_done(channel, -1, NULL);                          // it has closed its block
 *        sb_block_close(block);
 *      }
 *      sb_channel_close(channel);
 *      sb_memory_close(memory);
 *
 *  A view is sent to be read: nobody writes to its bytes any more, in either process. A block is sent to be written: from then on both
 *  processes have it, and each sees at once what the other writes, as two threads do. What was written before sending is there when it is
 *  received; what the receiver wrote before closing its block is there when sb_channel_wait_done returns. Who writes when in between is up
 *  to the two.
 *
 *  ## Ownership
 *  The sender's memory stays the sender's, pinned: it is not used for anything else until the receiver has closed all that it made of it,
 *  or the socket has ended, as it does when the receiver dies. The receiver owns what it received, and may keep it after it has closed the
 *  channel, or an error has ended that; the socket then stays open until the last of it is closed. A sender that closes its channel while
 *  memory is pinned leaves that memory to the receiver, and never uses it again.
 *
 *  ## Threads and fork
 *  Everything may be called from any thread, close aside. Several threads may wait at one channel. A thread that is cancelled
 *  (pthread_cancel) ends where it waits and nowhere else, and leaves nothing locked. After a fork the channels are the
 *  parent's: in the child every call is SB_CLOSED. Shared blocks that were out at the fork stay one memory for parent and child, which the
 *  child may read but must not count on; new blocks are the child's own.
 *
 *  ## Errors
 *  SB_UNAVAILABLE when the peer has ended the socket or its channel; SB_TIMEOUT. Whatever the peer says is checked before it is used:
 *  descriptor, seals, size, offset and length of memory, and numbers of pins. What is wrong is SB_CORRUPT, with the wrong thing as `field`,
 *  and ends the channel. The bytes themselves are the peer's: check them like any input, and do not give memory to a process that may not
 *  see all of its segment (see sb_memory_open_shared).
 *
 *  What this process lacks to take in what the peer sent is an error of that call alone: SB_IO with the errno of the refusal as `system_error`
 *  (EMFILE where it can have no more descriptors), or SB_NO_MEMORY. Nothing is lost; a later call tries again.
 *
 *  ## Limits
 *  A view of at most SB_CHANNEL_SPANS_MAX spans, all in shared memory. A channel knows SB_CHANNEL_SEGMENTS_MAX segments at one time in
 *  each direction, and maps options.bytes_max of the peer's at most. Timeouts are in milliseconds: 0 does not wait, -1 waits for ever.
 *
 *  Waking a process takes many times what an exchange does. So sb_channel_next, sb_channel_receive_view, sb_channel_receive_block and
 *  sb_channel_wait_done look again and again for 50 us, letting others run, before they sleep; no longer at every wait when that was in vain
 *  16 times in a row, and never in a process that may run on one processor only. */

#define SB_CHANNEL_SPANS_MAX 16
#define SB_CHANNEL_SEGMENTS_MAX 64

typedef struct sb_channel sb_channel;

/** What arrives at a channel. */
enum {
  SB_ARRIVAL_VIEW = 1, /**< bytes to be read: sb_channel_receive_view */
  SB_ARRIVAL_BLOCK = 2 /**< a block to be written: sb_channel_receive_block */
};

/** How a channel works. 0 in every field is the default. */
typedef struct sb_channel_options {
  uint32_t struct_size; /**< bytes; sb_channel_options_init sets it */
  uint32_t pins_max;    /**< spans and blocks that may be pinned by the peer at one time; 0: 1024 */
  uint64_t bytes_max;   /**< bytes of the peer's segments that may be mapped at one time; 0: 4 GiB */
} sb_channel_options;

/** Opens a provider of memory that can be sent to other processes. Blocks lie in segments, each an anonymous file of its own (memfd),
 *  sealed against growing and shrinking. Whoever receives one block of a segment can read, and when it may write the block can also
 *  write, all of that segment: use one provider per group of peers that trust each other, or `segment_size` 1, which gives each block a
 *  segment of its own. A segment keeps a file descriptor open.
 *
 *  Ownership: the caller closes `*memory`.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `segment_size` is above 1 GiB, or `bytes_max` smaller than a segment; SB_NO_MEMORY. Segments are made
 *  when blocks are asked for, so it is then that the system may refuse them: SB_IO, and sb_memory_get_failure says what.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_memory_open_shared(uint32_t segment_size /* bytes, rounded up to a power of two; 0: 2 MiB */,
                                                      uint64_t bytes_max /* of all segments; 0: no limit */,
                                                      SB_OUT SB_OWNED sb_memory **memory);

/** Fills `options` with the defaults, never writing past `struct_size` bytes.
 *
 *  Ownership: `options` is the caller's.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_INIT void sb_channel_options_init(SB_OUT sb_channel_options *options, size_t struct_size);

/** Makes one end of a channel of `socket`, a connected Unix stream socket whose other end becomes a channel too. Nothing else may use the
 *  socket from then on.
 *
 *  Ownership: the caller closes `*channel`, and keeps `socket`, of which the channel has a duplicate; it may close it at once.
 *  Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `socket` is no such socket; SB_IO when there are too many descriptors; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_channel_open(int32_t socket, SB_IN SB_NULLABLE const sb_channel_options *options,
                                                SB_OUT SB_OWNED sb_channel **channel, SB_OUT SB_NULLABLE sb_error *error);

/** Sends `view` to be read by the peer, and pins its blocks. Where the peer has as many pins as it may have, or does not read the socket,
 *  it waits.
 *
 *  Ownership: `view` is borrowed for the call; its bytes are pinned.      Threads: any; one user of `view` at a time.
 *  Errors: SB_UNSUPPORTED when a span is not in memory of a shared provider of this process; SB_TOO_LARGE above SB_CHANNEL_SPANS_MAX
 *  spans; SB_OUT_OF_RANGE when it is empty; SB_TIMEOUT; SB_UNAVAILABLE; SB_CLOSED; SB_CORRUPT; SB_NO_MEMORY; SB_IO when the system refuses
 *  to send, or to take in what the peer says about the pins that are waited for. Nothing was sent then.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_send_view(sb_channel *channel, const sb_view *view,
                                                            uint64_t tag /* the receiver gets it, too */, int64_t timeout_ms,
                                                            SB_OUT SB_NULLABLE sb_error *error);

/** Sends the first `size` bytes of `block` to be written by the peer, too, and pins it. The caller keeps the block, and may read and write
 *  it. Otherwise as sb_channel_send_view.
 *
 *  Ownership: `block` stays the caller's, with the channel as another owner until the peer is done.      Threads: any.
 *  Errors: SB_BUSY when the block has other owners, such as a channel that has sent it; SB_OUT_OF_RANGE when `size` is 0 or larger than
 *  the block; otherwise as sb_channel_send_view.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_send_block(sb_channel *channel, SB_IN sb_block *block, size_t size, uint64_t tag,
                                                             int64_t timeout_ms, SB_OUT SB_NULLABLE sb_error *error);

/** Waits for what the peer sends next, and tells its kind, SB_ARRIVAL_..., and tag. It stays there until it is received.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: SB_TIMEOUT; SB_UNAVAILABLE when the peer has ended the socket or its channel, and all that came before was received; SB_CLOSED;
 *  SB_CORRUPT, and SB_TOO_LARGE at options.bytes_max: the channel has ended. SB_IO and SB_NO_MEMORY when this process has no descriptor or
 *  memory for what comes next, which stays there: a later call gets it.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_next(sb_channel *channel, int64_t timeout_ms, SB_OUT int32_t *kind, SB_OUT uint64_t *tag,
                                                       SB_OUT SB_NULLABLE sb_error *error);

/** Receives a view. Its memory is mapped for reading only, and its blocks have the metadata key that they had with the sender.
 *
 *  Ownership: the caller closes `*view`; the peer's pins end with the last share of its bytes.      Threads: any.
 *  Errors: SB_UNSUPPORTED when a block comes next; otherwise as sb_channel_next.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_receive_view(sb_channel *channel, int64_t timeout_ms, SB_OUT SB_OWNED sb_view **view,
                                                               SB_OUT SB_NULLABLE sb_error *error);

/** Receives a block that both processes may write.
 *
 *  Ownership: the caller closes `*block`; the peer's pin ends with its last owner.      Threads: any.
 *  Errors: SB_UNSUPPORTED when a view comes next; otherwise as sb_channel_next.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_receive_block(sb_channel *channel, int64_t timeout_ms, SB_OUT SB_OWNED sb_block **block,
                                                                SB_OUT SB_NULLABLE sb_error *error);

/** Looks what the peer is done with, and returns how many spans and blocks it still pins.
 *
 *  Ownership: blocks that the peer is done with, and nobody else owns, go back to their provider.      Threads: any.
 *  Errors: none; 0 in a forked child. After sb_channel_stop nothing is heard any more, and the number stays.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_channel_pin_count(sb_channel *channel);

/** Waits until the peer pins nothing any more. What it says, also that it is done, is heard in its order: behind 64 arrivals that nobody has
 *  received only when one of them is.
 *
 *  Ownership: as sb_channel_pin_count.      Threads: any.
 *  Errors: SB_TIMEOUT; SB_UNAVAILABLE when the peer ended the socket instead of saying that it is done; SB_CLOSED; SB_CORRUPT; SB_IO and
 *  SB_NO_MEMORY as for sb_channel_next. A channel that has ended still hears that the peer is done, unless the peer lied.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_wait_done(sb_channel *channel, int64_t timeout_ms, SB_OUT SB_NULLABLE sb_error *error);

/** Returns a file descriptor that polls as readable when a call may have something to receive or to tell, for event loops.
 *
 *  Ownership: the descriptor is the channel's; it is not read from.      Threads: any.
 *  Errors: none; -1 in a forked child.
 *  Since: 1.0 */
SB_API SB_METHOD int32_t sb_channel_descriptor(const sb_channel *channel);

/** Ends the channel beside other threads: calls that wait return SB_CLOSED, as do all later ones. What was received stays.
 *
 *  Ownership: none; the peer sees the end of the socket when all that was received is closed, and the channel is.
 *  Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_METHOD void sb_channel_stop(sb_channel *channel);

/** Closes the channel. NULL is allowed. What was received stays valid; what was not yet received is gone. The peer is told: its sends fail from
 *  then on, and its pins stay until what was received is closed.
 *
 *  Ownership: takes `channel`.      Threads: nobody may use `channel` during or after the call.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_channel_close(SB_TAKES SB_NULLABLE sb_channel *channel);

SB_END_DECLS

#endif
