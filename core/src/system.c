//go:build !samebytes_shared

/* The one file that knows Linux: everything here is what a port to another system writes anew. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "system.h"

#define NS_PER_S 1000000000

static int64_t clock_read(clockid_t which) {
  struct timespec now;
  (void)clock_gettime(which, &now);
  return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t sb_priv_clock_ns(void) { return clock_read(CLOCK_REALTIME); }
int64_t sb_priv_monotonic_ns(void) { return clock_read(CLOCK_MONOTONIC); }
int64_t sb_priv_coarse_ns(void) { return clock_read(CLOCK_MONOTONIC_COARSE); }

void sb_priv_sleep_ns(int64_t time_ns) {
  struct timespec left = {.tv_sec = time_ns / NS_PER_S, .tv_nsec = time_ns % NS_PER_S};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

int sb_priv_random(void *data, size_t size) {
  uint8_t *bytes = data;
  while (size > 0) {
    const ssize_t got = getrandom(bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return errno;
    bytes += got;
    size -= (size_t)got;
  }
  return 0;
}

void sb_priv_problem_text(int problem, char *text, size_t size) {
  char found[128] = "";
#if defined(__GLIBC__)
  const char *message = strerror_r(problem, found, sizeof found); /* GNU's, because of _GNU_SOURCE */
#else
  const char *message = strerror_r(problem, found, sizeof found) == 0 ? found : "unknown error";
#endif
  (void)snprintf(text, size, "%s (errno %d)", message, problem);
}

static pthread_once_t boot_once = PTHREAD_ONCE_INIT;
static uint64_t boot_number;

uint64_t sb_priv_boot_number(const char *text, size_t size) {
  static const char shape[] = "00000000-0000-0000-0000-000000000000";
  if (size < sizeof shape - 1 || memcmp(text, shape, sizeof shape - 1) == 0) return 0;
  uint64_t number = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
  for (size_t i = 0; i < sizeof shape - 1; i++) {
    const bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
    if (shape[i] == '-' ? text[i] != '-' : !digit) return 0;
    number = (number ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
  }
  return number;
}

static void boot_read(void) {
  char text[64] = "";
  const int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  const ssize_t size = read(file, text, sizeof text);
  (void)close(file);
  boot_number = size < 0 ? 0 : sb_priv_boot_number(text, (size_t)size);
}

uint64_t sb_priv_boot(void) {
  (void)pthread_once(&boot_once, boot_read);
  return boot_number;
}

char *sb_priv_path_resolve(const char *path) { return realpath(path, NULL); }

static bool starts_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

char *sb_priv_path_absolute(const char *path) {
  if (path[0] == '/') return starts_with(path, "/proc/") || starts_with(path, "/dev/fd/") ? NULL : strdup(path);
  char *folder = getcwd(NULL, 0);
  if (folder == NULL) return NULL;
  const size_t size = strlen(folder) + strlen(path) + 2;
  char *whole = folder[0] == '/' ? malloc(size) : NULL; /* "(unreachable)": the folder is outside of the root */
  if (whole != NULL) (void)snprintf(whole, size, "%s/%s", folder, path);
  free(folder);
  return whole;
}

int sb_priv_folder_open(const char *path, int *folder, const char **name) {
  const char *slash = strrchr(path, '/');
  *name = slash == NULL ? path : slash + 1;
  char *parent = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
  if (parent == NULL) return ENOMEM;
  do {
    *folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  } while (*folder < 0 && errno == EINTR);
  const int problem = *folder < 0 ? errno : 0;
  free(parent);
  return problem;
}

int sb_priv_folder_sync(int folder) {
  while (fsync(folder) != 0) {
    /* Some file systems cannot sync a folder, and need not. */
    if (errno == EINVAL || errno == EROFS) return 0;
    if (errno != EINTR) return errno;
  }
  return 0;
}

int sb_priv_file_open(int folder, const char *name, int how, int *file) {
  static const int flags[] = {
      [SB_PRIV_READ] = O_RDONLY,
      [SB_PRIV_WRITE] = O_RDWR,
      [SB_PRIV_CREATE] = O_RDWR | O_CREAT | O_EXCL,
      [SB_PRIV_CREATE_SHARED] = O_RDWR | O_CREAT | O_EXCL,
  };
  do {
    /* What copies a file gives the new one that file's mode; until then nobody else may open it, who could read what comes later.
     * O_NONBLOCK: a pipe or device under this name must not make the open wait. It means nothing for a file. */
    *file = openat(folder, name, flags[how] | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, how == SB_PRIV_CREATE_SHARED ? 0666 : 0600);
  } while (*file < 0 && errno == EINTR);
  return *file < 0 ? errno : 0;
}

int sb_priv_file_duplicate(int file, int *copy) {
  *copy = fcntl(file, F_DUPFD_CLOEXEC, 3);
  return *copy < 0 ? errno : 0;
}

void sb_priv_file_close(int file) {
  if (file >= 0) (void)close(file);
}

static void facts_fill(const struct stat *status, sb_priv_file_facts *facts) {
  facts->size = (uint64_t)status->st_size;
  facts->links = (uint64_t)status->st_nlink;
  facts->device = (uint64_t)status->st_dev;
  facts->inode = (uint64_t)status->st_ino;
  facts->mode = (uint32_t)status->st_mode & 07777u;
  facts->owner = status->st_uid;
  facts->group = status->st_gid;
  facts->regular = S_ISREG(status->st_mode);
}

int sb_priv_file_look(int file, sb_priv_file_facts *facts) {
  struct stat status;
  if (fstat(file, &status) != 0) return errno;
  facts_fill(&status, facts);
  return 0;
}

static int look_at(int folder, const char *name, int flags, sb_priv_file_facts *facts) {
  struct stat status;
  if (fstatat(folder, name, &status, flags) != 0) return errno;
  facts_fill(&status, facts);
  return 0;
}

int sb_priv_file_look_at(int folder, const char *name, sb_priv_file_facts *facts) { return look_at(folder, name, 0, facts); }

int sb_priv_name_look(int folder, const char *name, sb_priv_file_facts *facts) { return look_at(folder, name, AT_SYMLINK_NOFOLLOW, facts); }

int sb_priv_path_look(const char *path, sb_priv_file_facts *facts) { return look_at(AT_FDCWD, path, 0, facts); }

bool sb_priv_file_is_link(int folder, const char *name) {
  struct stat status;
  return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode);
}

/* The number of the mount that a name leads into; 0 where the system does not tell, as before Linux 5.8. */
static uint64_t mount_of(int folder, const char *name, int flags) {
#ifdef SYS_statx
  enum {
    STATX_MOUNT = 0x1000, /* its name and its place are younger than what the headers of this system may know */
    MOUNT_AT = 0x90
  };
  union {
    uint8_t bytes[256];
    uint64_t aligned;
  } found = {{0}};
  uint32_t mask;
  uint64_t mount;
  if (syscall(SYS_statx, folder, name, flags, STATX_MOUNT, &found) != 0) return 0;
  memcpy(&mask, found.bytes, sizeof mask);
  memcpy(&mount, found.bytes + MOUNT_AT, sizeof mount);
  return (mask & STATX_MOUNT) != 0 ? mount : 0;
#else
  (void)folder, (void)name, (void)flags;
  return 0;
#endif
}

bool sb_priv_file_is_mounted(int folder, const char *name) {
  const uint64_t file = mount_of(folder, name, AT_SYMLINK_NOFOLLOW), around = mount_of(folder, "", AT_EMPTY_PATH);
  return file != 0 && around != 0 && file != around;
}

int sb_priv_file_read(int file, void *data, size_t size, uint64_t offset, size_t *got) {
  uint8_t *bytes = data;
  *got = 0;
  while (*got < size) {
    const ssize_t count = pread(file, bytes + *got, size - *got, (off_t)(offset + *got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) break;
    *got += (size_t)count;
  }
  return 0;
}

int sb_priv_file_write(int file, const void *data, size_t size, uint64_t offset) {
  const uint8_t *bytes = data;
  while (size > 0) {
    const ssize_t count = pwrite(file, bytes, size, (off_t)offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) return EIO;
    bytes += count;
    offset += (uint64_t)count;
    size -= (size_t)count;
  }
  return 0;
}

int sb_priv_file_resize(int file, uint64_t size) {
  while (ftruncate(file, (off_t)size) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

int sb_priv_file_sync(int file) {
  while (fdatasync(file) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

void sb_priv_file_sync_begin(int file, uint64_t offset, uint64_t size) {
  (void)sync_file_range(file, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

/* Only where they differ: mostly they do not, and then nobody need be allowed to change them. */
static bool set_group(int file, const struct stat *now, uint32_t group) {
  return now->st_gid == group || fchown(file, (uid_t)-1, group) == 0;
}

static void set_owner(int file, const struct stat *now, uint32_t owner) {
  if (now->st_uid != owner) (void)!fchown(file, owner, (gid_t)-1); /* or it stays ours */
}

int sb_priv_file_make_like(int file, const sb_priv_file_facts *other) {
  struct stat now;
  uint32_t mode = other->mode;
  if (fstat(file, &now) != 0) return errno;
  /* Another group gets what everybody has: what its members may do here, nobody has said. */
  if (!set_group(file, &now, other->group)) mode &= ~070u | (mode & 07u) << 3;
  if (fchmod(file, (mode_t)mode) != 0) return errno;
  set_owner(file, &now, other->owner); /* last: who is not the owner any more may not change the mode */
  return 0;
}

int sb_priv_file_rename(int folder, const char *from, const char *to) { return renameat(folder, from, folder, to) != 0 ? errno : 0; }

int sb_priv_file_move(int folder, const char *from, const char *to, int how) {
#if defined(SYS_renameat2)
  /* By its number, because not every C library has it; `how` is RENAME_NOREPLACE or RENAME_EXCHANGE. */
  if (syscall(SYS_renameat2, folder, from, folder, to, how) == 0) return 0;
  return errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM ? EINVAL : errno; /* EPERM: a filter of system calls */
#else
  (void)folder, (void)from, (void)to, (void)how;
  return EINVAL;
#endif
}

int sb_priv_file_link(int folder, const char *from, const char *to) { return linkat(folder, from, folder, to, 0) != 0 ? errno : 0; }

int sb_priv_file_remove(int folder, const char *name) { return unlinkat(folder, name, 0) != 0 ? errno : 0; }

/* A lock belongs to the open file description, not to the process: two handles in one process exclude each other, too, and closing some other
 * descriptor of the file does not end it. */
static int lock_set(int file, struct flock *lock) {
  int result;
  do {
    result = fcntl(file, F_OFD_SETLK, lock);
  } while (result != 0 && errno == EINTR); /* a network's file system may wait */
  if (result == 0) return 0;
  return errno == EACCES || errno == EAGAIN ? EWOULDBLOCK : errno;
}

static struct flock far_byte(short type) {
  return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)(INT64_C(1) << 62), .l_len = 1};
}

int sb_priv_file_lock(int file) {
  struct flock lock = far_byte(F_WRLCK);
  return lock_set(file, &lock);
}

int sb_priv_file_locked(int file, bool *locked) {
  struct flock lock = far_byte(F_WRLCK);
  while (fcntl(file, F_OFD_GETLK, &lock) != 0)
    if (errno != EINTR) return errno;
  *locked = lock.l_type != F_UNLCK;
  return 0;
}

void sb_priv_file_unlock(int file) {
  struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
  (void)lock_set(file, &whole);
}

void sb_priv_lock_close(int file) {
  if (file < 0) return;
  sb_priv_file_unlock(file);
  (void)close(file);
}

bool sb_priv_lock_missing(int problem) { return problem == EINVAL || problem == ENOLCK || problem == ENOSYS || problem == EOPNOTSUPP; }

int sb_priv_lock_open(int folder, const char *name, const sb_priv_file_facts *guarded, int *lock) {
  static const int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW;
  int file;
  bool made;
  do {
    made = false;
    file = openat(folder, name, flags);
    if (file >= 0 || errno != ENOENT) continue;
    file = openat(folder, name, flags | O_CREAT | O_EXCL, 0666);
    made = file >= 0;
  } while (file < 0 && (errno == EINTR || errno == EEXIST));
  if (file < 0) return errno;
  struct stat now;
  if (made && guarded != NULL && fstat(file, &now) == 0) { /* or else only this user could write the file from now on */
    (void)set_group(file, &now, guarded->group);
    set_owner(file, &now, guarded->owner);
  }
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  const int problem = lock_set(file, &whole);
  if (problem == 0)
    *lock = file;
  else
    (void)close(file);
  return problem;
}

/* ---- memory that other processes can map ---- */

enum {
  SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
  TMPFS = 0x01021994, /* what memfd_create makes, unless it is of huge pages: those can fail when they are touched */
};

int sb_priv_segment_create(size_t size, int *file, uint8_t **data, const char **refused) {
  *refused = "memfd_create";
  const int made = memfd_create("samebytes", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (made < 0) return errno;
  *refused = "ftruncate";
  int problem = ftruncate(made, (off_t)size) != 0 ? errno : 0;
  if (problem == 0) {
    *refused = "sealing";
    problem = fcntl(made, F_ADD_SEALS, SEALS) != 0 ? errno : 0;
  }
  if (problem == 0) {
    *refused = "mmap";
    problem = sb_priv_segment_map(made, size, true, data);
  }
  if (problem != 0) {
    (void)close(made);
    return problem;
  }
  *file = made;
  return 0;
}

int sb_priv_segment_look(int file, sb_priv_segment_facts *facts) {
  struct stat status;
  struct statfs system;
  *facts = (sb_priv_segment_facts){.size = 0};
  /* First, and of anything else nothing more: only memory has seals, and to look at a file of FUSE or of a network could take for ever. */
  const int seals = fcntl(file, F_GET_SEALS);
  if (seals < 0) return 0;
  if (fstat(file, &status) != 0 || fstatfs(file, &system) != 0) return errno;
  facts->size = status.st_size < 0 ? 0 : (uint64_t)status.st_size;
  facts->memory = S_ISREG(status.st_mode) && system.f_type == TMPFS;
  facts->sealed = (seals & SEALS) == SEALS;
  return 0;
}

int sb_priv_segment_map(int file, size_t size, bool writable, uint8_t **data) {
  void *mapped = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) return errno;
  *data = mapped;
  return 0;
}

void sb_priv_segment_unmap(uint8_t *data, size_t size) { (void)munmap(data, size); }

/* ---- Unix sockets ---- */

bool sb_priv_socket_fits(int socket) {
  struct sockaddr_un address = {0};
  socklen_t size = sizeof address;
  int type = 0;
  socklen_t type_size = sizeof type;
  return getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == SOCK_STREAM &&
         getpeername(socket, (struct sockaddr *)&address, &size) == 0 && address.sun_family == AF_UNIX;
}

void sb_priv_socket_prepare(int socket) {
  const int none = 0, off = -1;
  (void)setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &none, sizeof none);
  (void)setsockopt(socket, SOL_SOCKET, SO_PASSSEC, &none, sizeof none);
#ifdef SO_PASSPIDFD
  (void)setsockopt(socket, SOL_SOCKET, SO_PASSPIDFD, &none, sizeof none);
#endif
  (void)setsockopt(socket, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof off);
}

/* Room for descriptors beside a message. */
typedef union file_room {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int) * SB_PRIV_FILES_MAX)];
} file_room;

int sb_priv_socket_send(int socket, const void *data, size_t size, const int *files, size_t file_count) {
  struct iovec bytes = {(void *)(uintptr_t)data, size};
  file_room room = {.bytes = {0}};
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
  if (file_count > 0) {
    const size_t file_bytes = sizeof(int) * file_count;
    message.msg_control = room.bytes;
    message.msg_controllen = CMSG_SPACE(file_bytes);
    room.header.cmsg_level = SOL_SOCKET;
    room.header.cmsg_type = SCM_RIGHTS;
    room.header.cmsg_len = CMSG_LEN(file_bytes);
    memcpy(CMSG_DATA(&room.header), files, file_bytes);
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return errno == EWOULDBLOCK ? EAGAIN : errno;
  return (size_t)sent == size ? 0 : EMSGSIZE; /* messages are smaller than what Linux takes as one piece */
}

static int message_receive(int socket, struct msghdr *message, int flags, size_t *got) {
  ssize_t received;
  do {
    received = recvmsg(socket, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | flags);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return errno == EWOULDBLOCK ? EAGAIN : errno;
  *got = (size_t)received;
  return 0;
}

int sb_priv_socket_receive(int socket, void *data, size_t size, size_t *got) {
  struct iovec bytes = {data, size};
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
  const int problem = message_receive(socket, &message, 0, got);
  return problem == 0 && (message.msg_flags & MSG_CTRUNC) != 0 ? EBADMSG : problem;
}

static void files_close(const int *files, size_t *count) {
  for (size_t i = 0; i < *count; i++) (void)close(files[i]);
  *count = 0;
}

/* Looks at the bytes that come next, and gets the descriptors that they bring: MSG_PEEK gives copies, and leaves everything where it is. */
static int files_look(int socket, void *data, size_t size, size_t *got, int *files, size_t *file_count) {
  struct iovec bytes = {data, size};
  file_room room;
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof room.bytes};
  *file_count = 0;
  int problem = message_receive(socket, &message, MSG_PEEK, got);
  if (problem != 0) return problem;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(files + *file_count, CMSG_DATA(header), count * sizeof(int)); /* the room limits all of them together */
    *file_count += count;
  }
  if ((message.msg_flags & MSG_CTRUNC) == 0) return 0;
  problem = EMSGSIZE;
  if (*file_count < SB_PRIV_FILES_MAX) { /* Linux does not say why there are no more: ask for one more */
    const int one_more = fcntl(socket, F_DUPFD_CLOEXEC, 3);
    problem = one_more < 0 ? errno : EACCES; /* there was room, so a security module keeps them, or there was none a moment ago */
    sb_priv_file_close(one_more);
  }
  files_close(files, file_count);
  return problem;
}

int sb_priv_socket_receive_files(int socket, void *data, size_t size, size_t *got, int *files, size_t *file_count) {
  int problem = EACCES;
  for (int i = 0; i < 3 && problem == EACCES; i++) problem = files_look(socket, data, size, got, files, file_count);
  if (problem != 0) return problem;
  bool theirs = false; /* Linux also shows the descriptors of a message that begins where the bytes looked at end */
  for (size_t taken = 0, some = 0; taken < *got; taken += some) {
    problem = sb_priv_socket_receive(socket, (uint8_t *)data + taken, *got - taken, &some);
    if (problem == EBADMSG)
      theirs = true; /* they are dropped here, and the copies stay */
    else if (problem != 0 || some == 0) {
      files_close(files, file_count);
      return problem == 0 ? ECONNRESET : problem; /* somebody else reads the socket */
    }
  }
  if (!theirs) files_close(files, file_count);
  return 0;
}

void sb_priv_socket_end(int socket) { (void)shutdown(socket, SHUT_RDWR); }

/* ---- waiting ---- */

int sb_priv_signal_open(int *signal) {
  *signal = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return *signal < 0 ? errno : 0;
}

void sb_priv_signal_set(int signal) {
  const uint64_t one = 1;
  (void)!write(signal, &one, sizeof one);
}

void sb_priv_signal_clear(int signal) {
  uint64_t count;
  (void)!read(signal, &count, sizeof count);
}

int sb_priv_group_open(int first, int second, int *group) {
  *group = epoll_create1(EPOLL_CLOEXEC);
  if (*group < 0) return errno;
  struct epoll_event event = {.events = EPOLLIN};
  if (epoll_ctl(*group, EPOLL_CTL_ADD, first, &event) == 0 && epoll_ctl(*group, EPOLL_CTL_ADD, second, &event) == 0) return 0;
  const int problem = errno;
  (void)close(*group);
  *group = -1;
  return problem;
}

void sb_priv_group_watch(int group, int descriptor, bool to_read, bool to_write) {
  struct epoll_event event = {.events = (to_read ? (uint32_t)EPOLLIN : 0) | (to_write ? (uint32_t)EPOLLOUT : 0)};
  (void)epoll_ctl(group, EPOLL_CTL_MOD, descriptor, &event);
}

uint32_t sb_priv_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return (uint32_t)CPU_COUNT(&set);
  return 2; /* more than the set has room for */
}

void sb_priv_processor_yield(void) { (void)sched_yield(); }

void sb_priv_descriptors_wait(int first, bool to_write, int second, int64_t timeout_ns) {
  struct pollfd wanted[] = {{first, to_write ? POLLOUT : POLLIN, 0}, {second, POLLIN, 0}};
  const struct timespec time = {timeout_ns / NS_PER_S, timeout_ns % NS_PER_S};
  (void)ppoll(wanted, second < 0 ? 1 : 2, timeout_ns < 0 ? NULL : &time, NULL);
}

/* ---- cancelling, fork ---- */

int sb_priv_cancel_hold(void) {
  int before;
  (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  return before;
}

void sb_priv_cancel_release(int before) { (void)pthread_setcancelstate(before, &before); }

static pthread_mutex_t fork_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static _Atomic uint32_t generation = 1;
static sb_priv_fork_entry fork_list = {.next = &fork_list, .before = &fork_list};

static int list_cancel; /* of the thread that holds the list */

static void list_lock(void) {
  const int before = sb_priv_cancel_hold();
  (void)pthread_mutex_lock(&fork_mutex);
  list_cancel = before;
}

static void list_unlock(void) {
  const int before = list_cancel;
  (void)pthread_mutex_unlock(&fork_mutex);
  sb_priv_cancel_release(before);
}

static void fork_before(void) {
  list_lock();
  for (sb_priv_fork_entry *entry = fork_list.next; entry != &fork_list; entry = entry->next)
    if (entry->hold != NULL) entry->hold(entry);
}

static void fork_in_parent(void) {
  for (sb_priv_fork_entry *entry = fork_list.next; entry != &fork_list; entry = entry->next)
    if (entry->release != NULL) entry->release(entry);
  list_unlock();
}

static void fork_in_child(void) {
  (void)atomic_fetch_add(&generation, 1);
  for (sb_priv_fork_entry *entry = fork_list.next; entry != &fork_list; entry = entry->next) {
    if (entry->release != NULL) entry->release(entry);
    if (entry->in_child != NULL) entry->in_child(entry);
  }
  list_unlock();
}

static void fork_watch(void) { (void)pthread_atfork(fork_before, fork_in_parent, fork_in_child); }

void sb_priv_fork_hold(void) {
  (void)pthread_once(&fork_once, fork_watch);
  list_lock();
}

void sb_priv_fork_release(void) { list_unlock(); }

uint32_t sb_priv_fork_generation(void) { return atomic_load_explicit(&generation, memory_order_relaxed); }

void sb_priv_fork_add(sb_priv_fork_entry *entry) {
  entry->next = fork_list.next;
  entry->before = &fork_list;
  fork_list.next->before = entry;
  fork_list.next = entry;
}

void sb_priv_fork_remove(sb_priv_fork_entry *entry) {
  entry->before->next = entry->next;
  entry->next->before = entry->before;
}

/* ---- streams ---- */

int sb_priv_stream_check(int socket) {
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return errno;
  return type == SOCK_STREAM ? 0 : EPROTOTYPE;
}

int sb_priv_stream_send(int socket, const void *data, size_t size, size_t *sent) {
  ssize_t done;
  do done = send(socket, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (done < 0 && errno == EINTR);
  if (done < 0) return errno;
  *sent = (size_t)done;
  return 0;
}

int sb_priv_stream_receive(int socket, void *data, size_t size, size_t *got) {
  ssize_t done;
  do done = recv(socket, data, size, MSG_DONTWAIT);
  while (done < 0 && errno == EINTR);
  if (done < 0) return errno;
  *got = (size_t)done;
  return 0;
}

void sb_priv_stream_end(int socket) { (void)shutdown(socket, SHUT_WR); }

int sb_priv_stream_wait(int socket, bool to_send, int64_t until_ns) {
  struct pollfd watched = {.fd = socket, .events = (short)(POLLIN | (to_send ? POLLOUT : 0))};
  for (;;) {
    const int64_t left_ns = until_ns == INT64_MAX ? INT64_MAX : until_ns - sb_priv_monotonic_ns();
    if (left_ns <= 0) return ETIMEDOUT;
    const int64_t left_ms = (left_ns - 1) / 1000000 + 1;
    const int ready = poll(&watched, 1, until_ns == INT64_MAX ? -1 : left_ms > INT_MAX ? INT_MAX : (int)left_ms);
    if (ready > 0) return 0;
    if (ready < 0 && errno != EINTR) return errno;
  }
}
