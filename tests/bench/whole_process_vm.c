// Looks like a VM manager and does nothing: the bench copies it to the name qemu-system-x86_64 and
// starts it with a VM manager's arguments. HVGUARD_BENCH_THREADS says how many threads it has.

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static void* sleep_until_killed(void* unused) {
  while (pause() < 0)
    continue;
  return unused;
}

int main(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  const char* wanted = getenv("HVGUARD_BENCH_THREADS");
  int threads = wanted != NULL ? atoi(wanted) : 1;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 16 * 1024);
  for (int i = 1; i < threads; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, sleep_until_killed, NULL) != 0)
      return 1;
  }
  if (write(STDOUT_FILENO, "r", 1) != 1)
    return 1;
  sleep_until_killed(NULL);
}
