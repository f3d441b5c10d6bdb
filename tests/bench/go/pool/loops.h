#ifndef LOOPS_H
#define LOOPS_H

#include <stddef.h>

void *list_get(size_t size);
void list_put(void *data);
int loop_straight(void *context, size_t size, int times);
int loop_callback(void *context, size_t size, int times);

#endif
