// Makes tasks that are stuck inside the kernel, for the guest tests. Nothing here needs a reboot to
// undo: killing the server frees all others.
//
//   stuck_task serve DIRECTORY       mounts a FUSE file system there with one file, "file", and
//                                    never answers its READ and FLUSH. Says "mounted".
//   stuck_task mmap FILE …           sleeps in mmap() with mmap_lock held for write: a page of FILE
//                                    is being read, and mapping it uncached waits for that page
//                                    (fs/fuse/file.c, fuse_file_mmap)
//   stuck_task exec FILE …           waits for a byte on stdin, then executes itself again and
//                                    sleeps in that with exec_update_lock held, closing FILE
//                                    (fs/exec.c, begin_new_exec; in kernels that close under it)
//   stuck_task read FILE             sleeps killably, waiting for a page of FILE
//   stuck_task vfork                 sleeps killably, as parent of a vfork child that does nothing
//
// Further arguments are ignored: they make it look like a VM manager when it runs under the name of
// one.

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { kRoot = FUSE_ROOT_ID, kFile = 2, kFileSize = 4096 };

static void die(const char* what) {
  perror(what);
  exit(1);
}

static struct fuse_attr attributes(uint64_t node) {
  struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096};
  attr.mode = node == kRoot ? S_IFDIR | 0755 : S_IFREG | 0644;
  attr.size = node == kRoot ? 0 : kFileSize;
  return attr;
}

static void answer(int fuse, uint64_t unique, int error, const void* data, size_t size) {
  struct fuse_out_header header = {sizeof(header) + size, error, unique};
  struct iovec parts[] = {{&header, sizeof(header)}, {(void*)data, size}};
  // ENOENT: whoever asked was killed meanwhile.
  if (writev(fuse, parts, 2) < 0 && errno != ENOENT)
    die("answer");
}

static void serve_request(int fuse, const struct fuse_in_header* in) {
  static int open_count;
  switch (in->opcode) {
    case FUSE_INIT: {
      struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096};
      answer(fuse, in->unique, 0, &out, sizeof(out));
      return;
    }
    case FUSE_LOOKUP: {
      struct fuse_entry_out out = {.nodeid = kFile, .attr_valid = 3600, .entry_valid = 3600};
      out.attr = attributes(kFile);
      answer(fuse, in->unique, 0, &out, sizeof(out));
      return;
    }
    case FUSE_GETATTR: {
      struct fuse_attr_out out = {.attr_valid = 3600};
      out.attr = attributes(in->nodeid);
      answer(fuse, in->unique, 0, &out, sizeof(out));
      return;
    }
    case FUSE_OPEN: {
      struct fuse_open_out out = {.fh = 1};
      // The second one is uncached: only so does mmap wait for the page that the first one reads.
      if (++open_count == 2)
        out.open_flags = FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE;
      answer(fuse, in->unique, 0, &out, sizeof(out));
      return;
    }
    case FUSE_READ:
      printf("reading\n");
      return;
    case FUSE_FLUSH:
      printf("flushing\n");
      return;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      return;  // want no answer
    default:
      answer(fuse, in->unique, -ENOSYS, NULL, 0);
  }
}

static void serve(const char* directory) {
  int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fuse < 0)
    die("/dev/fuse");
  char options[100];
  snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
  if (mount("hvguard-stuck", directory, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
    die("mount");
  printf("mounted\n");
  static char buffer[1 << 17] __attribute__((aligned(8)));
  for (;;) {
    if (read(fuse, buffer, sizeof(buffer)) >= 0) {
      serve_request(fuse, (const struct fuse_in_header*)buffer);
    } else if (errno == ENODEV) {
      exit(0);  // unmounted
    } else if (errno != ENOENT && errno != EINTR) {
      die("/dev/fuse");
    }
  }
}

static int open_file(const char* path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    die(path);
  return fd;
}

static void* read_page(void* fd) {
  char page[kFileSize];
  if (pread(*(int*)fd, page, sizeof(page), 0) < 0)
    perror("pread");
  return NULL;
}

// A thread of ours reads a page and gets no answer. It sleeps interruptibly itself; others that
// want that page do not. The test checks that they got stuck, so the pause need not be exact.
static void begin_read(int* fd) {
  pthread_t reader;
  if (pthread_create(&reader, NULL, read_page, fd) != 0)
    die("pthread_create");
  usleep(200 * 1000);
}

static void sleep_in_mmap(const char* path) {
  int reading = open_file(path);
  begin_read(&reading);
  int mapping = open_file(path);
  mmap(NULL, kFileSize, PROT_READ, MAP_PRIVATE, mapping, 0);
  printf("mmap returned\n");
}

static void sleep_in_read(const char* path) {
  int fd = open_file(path);
  begin_read(&fd);
  read_page(&fd);
}

static void sleep_in_exec(const char* path, char** words) {
  char byte;
  open_file(path);
  printf("waiting\n");
  if (read(STDIN_FILENO, &byte, 1) != 1)
    die("stdin");
  words[1] = "stop";  // never reached: the exec does not end before the server does
  execv(words[0], words);
  die(words[0]);
}

static void sleep_in_vfork(void) {
  pid_t child = vfork();
  if (child < 0)
    die("vfork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    pause();
    _exit(0);
  }
}

int main(int count, char** words) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  const char* what = count > 1 ? words[1] : "";
  if (count > 2 && strcmp(what, "serve") == 0)
    serve(words[2]);
  if (count > 2 && strcmp(what, "mmap") == 0)
    sleep_in_mmap(words[2]);
  if (count > 2 && strcmp(what, "exec") == 0)
    sleep_in_exec(words[2], words);
  if (count > 2 && strcmp(what, "read") == 0)
    sleep_in_read(words[2]);
  if (strcmp(what, "vfork") == 0)
    sleep_in_vfork();
  return 1;
}
