//go:build !samebytes_shared

/* The instance id lies in a static variable, so each image of the library in a process has its own, and a forked child keeps it. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr */
#endif

#include <dlfcn.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <samebytes/library.h>

#include "abi_digest.h"
#include "error_private.h"
#include "library_private.h"

uint32_t sb_version(void) { return (uint32_t)SB_VERSION_MAJOR << 16 | (uint32_t)SB_VERSION_MINOR << 8 | (uint32_t)SB_VERSION_PATCH; }

uint64_t sb_abi_digest(void) { return SB_ABI_DIGEST; }

/* Spreads each bit of `value` over all bits (the finaliser of splitmix64). */
static uint64_t mix(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
  value = (value ^ value >> 27) * 0x94d049bb133111ebu;
  return value ^ value >> 31;
}

static uint64_t instance_id_new(const void *image) {
  uint64_t id = 0;
  if (getrandom(&id, sizeof id, GRND_NONBLOCK) != (ssize_t)sizeof id) {
    /* Early at boot, or forbidden: the address tells copies in one process apart, time and process id tell processes apart. */
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    id = mix((uint64_t)(uintptr_t)image) ^ mix((uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec) ^ (uint64_t)getpid() << 32;
  }
  return id != 0 ? id : 1; /* 0 stands for "not made yet" */
}

uint64_t sb_instance_id(void) {
  static _Atomic uint64_t instance_id;
  uint64_t id = atomic_load(&instance_id);
  if (id != 0) return id;
  const uint64_t made = instance_id_new(&instance_id);
  return atomic_compare_exchange_strong(&instance_id, &id, made) ? made : id;
}

/* The file that `address` lies in, and where it is loaded; neither in a program that was linked statically, which has no second image. */
static const void *image_of(const void *address, const char **path) {
  Dl_info info;
  const bool found = dladdr(address, &info) != 0;
  *path = found && info.dli_fname != NULL && info.dli_fname[0] != 0 ? info.dli_fname : "this program";
  return found ? info.dli_fbase : NULL;
}

/* The end of a path, which tells more than its beginning where both do not fit a message. */
static const char *path_end(const char *path) {
  const size_t size = strlen(path);
  return size > 70 ? path + size - 70 : path;
}

static const char here;

sb_status sb_check_instance(uint64_t instance_id, sb_error *error) {
  const uint64_t ours = sb_instance_id();
  if (instance_id == ours) return SB_OK;
  const char *path;
  (void)image_of(&here, &path);
  return sb_priv_error(error, SB_UNSUPPORTED, NULL,
                       "a second image of libsamebytes: instance %016" PRIx64 ", while this one, in %.120s, is %016" PRIx64
                       "; load one file only (Go: build tag samebytes_shared)",
                       instance_id, path, ours);
}

sb_status sb_priv_check_image(const void *made, const char *what, sb_error *error) {
  const char *path, *other_path;
  if (image_of(&here, &path) == image_of(made, &other_path)) return SB_OK;
  return sb_priv_error(
      error, SB_UNSUPPORTED, NULL,
      "a second image of libsamebytes: this %s was made by ...%s, while this image is ...%s; load one file only (Go: build tag "
      "samebytes_shared)",
      what, path_end(other_path), path_end(path));
}
