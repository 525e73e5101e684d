// What this machine's memory costs whoever works once a second: CPU time for the first touch of a
// page after a second of rest, and for the next one. Elsewhere both are a fraction of a
// microsecond. In a virtual machine whose host takes idle pages away, or samples which are in use,
// the first one is a fault in the host, and every figure of a process that mostly sleeps is made of
// them. Prints both, in microseconds per page, once a second. Ends by SIGTERM.

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { kPages = 2000, kPageBytes = 4096 };

static double cpu_microseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static double touch_all(volatile char* memory) {
  double begin = cpu_microseconds();
  for (long page = 0; page < kPages; page++)
    memory[page * kPageBytes]++;
  return (cpu_microseconds() - begin) / kPages;
}

int main(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setvbuf(stdout, NULL, _IOLBF, 0);
  char* memory = mmap(NULL,
                      (size_t)kPages * kPageBytes,
                      PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                      -1,
                      0);
  if (memory == MAP_FAILED)
    return 1;
  madvise(memory, (size_t)kPages * kPageBytes, MADV_NOHUGEPAGE);
  touch_all(memory);
  for (;;) {
    sleep(1);
    double first = touch_all(memory);
    printf("%.3f %.3f\n", first, touch_all(memory));
  }
}
