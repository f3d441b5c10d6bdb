#ifndef SB_BUF_PRIVATE_H
#define SB_BUF_PRIVATE_H

/* What a builder does with a buf that it fills. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Drops what was filled behind the first `size` bytes, which no view shows: where room follows it, it becomes room again. */
struct sb_buf;
void sb_priv_buf_cut(struct sb_buf *buf, size_t size);
/* Copies all filled bytes. */
void sb_priv_buf_copy_out(const struct sb_buf *buf, uint8_t *target);
/* Whether the buf's first piece of room, and nothing else, is begun, and is this one. */
bool sb_priv_buf_begun(const struct sb_buf *buf, const void *data, size_t size);

#endif
