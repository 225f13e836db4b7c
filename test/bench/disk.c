/*
 * Disk benchmarks that run inside a guest: disk PATH NAME [SCALE_PERCENT]
 *
 * PATH is a block device, or a file in a shared folder. They go past the page cache (O_DIRECT), read in the first half and
 * write in the second. Each prints "@@S name" and "@@E name nanoseconds checksum" as bench.c's do; the checksum is of what
 * was read, or of what was written and is read back after the time was taken, so that it depends on the image and the scale
 * alone.
 *
 *   seqread    64 MiB in pieces of 1 MiB, as dd bs=1M iflag=direct
 *   seqwrite   the same, written, and made safe at the end
 *   randread   4,000 times 4 KiB at random places
 *   randwrite  the same, written, and made safe at the end
 *
 * A number behind the name, as in randread4, is of processes that share the work: so many commands are under way at once.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 20, BLOCK = 4096 };

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint32_t random_state = 12345;

static uint32_t rnd(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

static uint32_t sum(uint32_t s, const char *data, size_t length) {
  for (size_t at = 0; at < length; at += 512) {
    uint32_t word;
    memcpy(&word, data + at, 4);
    s = (s ^ word) * 16777619u;
  }
  return s;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static const char *path;
static int writes;
static size_t size;
static off_t *places;

/* Moves the pieces from `first` on that are numbered alike modulo `step`; the checksum is of what was read. */
static uint32_t move(int fd, char *data, long first, long n, long step) {
  uint32_t s = 2166136261u;
  for (long i = first; i < n; i += step) {
    if (writes) {
      memcpy(data, &i, sizeof i);
      if (pwrite(fd, data, size, places[i]) != (ssize_t)size) fail("write");
    } else {
      if (pread(fd, data, size, places[i]) != (ssize_t)size) fail("read");
      s = sum(s, data, size);
    }
  }
  return s;
}

static int opened(void) {
  const int fd = open(path, O_DIRECT | O_RDWR);
  if (fd < 0) fail(path);
  return fd;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  path = argv[1];
  const double scale = argc > 3 ? atof(argv[3]) / 100.0 : 1.0;
  const int random = strncmp(argv[2], "rand", 4) == 0;
  const char *number = argv[2] + strcspn(argv[2], "0123456789");
  const long processes = *number ? atol(number) : 1;
  writes = strstr(argv[2], "write") != NULL;
  const int fd = opened();
  const off_t half = lseek(fd, 0, SEEK_END) / 2;
  size = random ? BLOCK : PIECE;
  long n = (long)((random ? 4000 : 64) * scale);
  if (n < 1) n = 1;
  if (half < (off_t)size) return 2;
  places = malloc(n * sizeof *places);
  for (long i = 0; i < n; i++) {
    const off_t slots = half / size;
    places[i] = (random ? rnd() % slots : i % slots) * size + (writes ? half - half % size : 0);
  }
  char *data;
  if (posix_memalign((void **)&data, BLOCK, size)) fail("memory");
  for (size_t i = 0; i < size; i += 4) {
    const uint32_t word = rnd();
    memcpy(data + i, &word, 4);
  }
  uint32_t *sums = mmap(NULL, processes * sizeof *sums, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (sums == MAP_FAILED) fail("memory");
  printf("@@S %s\n", argv[2]);
  fflush(stdout);
  const uint64_t start = now();
  for (long p = 1; p < processes; p++) {
    const pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) {
      sums[p] = move(opened(), data, p, n, processes);
      _exit(0);
    }
  }
  sums[0] = move(fd, data, 0, n, processes);
  for (long p = 1; p < processes; p++) {
    int status;
    if (wait(&status) < 0 || status) fail("a process");
  }
  if (writes && fsync(fd)) fail("fsync");
  const uint64_t taken = now() - start;
  uint32_t s = sums[0];
  for (long p = 1; p < processes; p++) s = (s ^ sums[p]) * 16777619u;
  if (writes) {
    for (long i = 0; i < n; i += 1 + n / 16) {
      if (pread(fd, data, size, places[i]) != (ssize_t)size) fail("read");
      s = sum(s, data, size);
    }
  }
  printf("@@E %s %llu %08x\n", argv[2], (unsigned long long)taken, s);
  return 0;
}
