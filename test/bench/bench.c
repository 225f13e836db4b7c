/*
 * CPU benchmarks that run inside a guest: bench NAME|all [SCALE_PERCENT]
 *
 * Each prints "@@S name" when it starts and "@@E name nanoseconds checksum" when it ends, by the guest's clock; whoever
 * watches the serial line can take its own time between the two. The checksum depends on the scale alone (syscall's also
 * on the parent's process id, which is 1 in our guests).
 *
 *   intmix     lists, CRC-16, small integer matrices and a state machine, in CoreMark's manner
 *   sha256     32-bit rotates and adds in long straight-line code
 *   memcpy     bulk copies and fills of 1 MiB through the C library
 *   smallcpy   copies of 8 to 127 bytes at odd addresses, and strlen
 *   interp     a byte-code interpreter: one indirect jump per operation
 *   nbody      double precision: multiply, add, divide, square root
 *   int64      64-bit multiply, divide, shift and exclusive or
 *   calls      recursion (fib) and calls through a table of pointers
 *   chase      dependent loads at random over 8 MiB: TLB misses
 *   syscall    entry to and return from the kernel (getppid)
 *   pagefault  first touches of fresh pages, and unmapping them
 *   ctxsw      two processes that wake each other through pipes
 *   forkexec   making, loading and reaping processes
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Keeps the compiler from moving or merging what stands on either side. */
#define BARRIER() __asm__ volatile("" ::: "memory")

static double scale = 1.0;

static long iterations(double base) {
  long n = (long)(base * scale);
  return n < 1 ? 1 : n;
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static const uint32_t SEED = 12345;
static uint32_t random_state;

static uint32_t rnd(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

/* ---- intmix ---- */

typedef struct node {
  struct node *next;
  int16_t index, value;
} node;

static uint16_t crc16(uint16_t crc, uint8_t data) {
  for (int i = 0; i < 8; i++) {
    int bit = (crc ^ data) & 1;
    crc >>= 1;
    data >>= 1;
    if (bit) crc ^= 0xA001;
  }
  return crc;
}

static node *merge(node *a, node *b) {
  node head, *tail = &head;
  while (a && b) {
    if (a->value <= b->value) {
      tail->next = a;
      a = a->next;
    } else {
      tail->next = b;
      b = b->next;
    }
    tail = tail->next;
  }
  tail->next = a ? a : b;
  return head.next;
}

static node *merge_sort(node *list) {
  if (!list || !list->next) return list;
  node *slow = list, *fast = list->next;
  while (fast && fast->next) {
    slow = slow->next;
    fast = fast->next->next;
  }
  node *rest = slow->next;
  slow->next = 0;
  return merge(merge_sort(list), merge_sort(rest));
}

static int is_digit(char c) { return c >= '0' && c <= '9'; }

/* Classifies comma-separated numbers; the result depends on how often each state was seen. */
static uint32_t scan_numbers(const char *s) {
  int state = 0;
  uint32_t count[8] = {0};
  for (; *s; s++) {
    char c = *s;
    switch (state) {
    case 0:
      if (is_digit(c)) state = 1;
      else if (c == '+' || c == '-') state = 2;
      else if (c == '.') state = 3;
      else state = 7;
      break;
    case 1:
      if (c == '.') state = 3;
      else if (c == ',') state = 0;
      else if (!is_digit(c)) state = 7;
      break;
    case 2:
      state = is_digit(c) ? 1 : c == '.' ? 3 : 7;
      break;
    case 3:
      if (c == 'e' || c == 'E') state = 4;
      else if (c == ',') state = 0;
      else if (!is_digit(c)) state = 7;
      break;
    case 4:
      state = c == '+' || c == '-' ? 5 : 7;
      break;
    case 5:
      state = is_digit(c) ? 6 : 7;
      break;
    case 6:
      if (c == ',') state = 0;
      else if (!is_digit(c)) state = 7;
      break;
    default:
      if (c == ',') state = 0;
    }
    count[state]++;
  }
  uint32_t result = 0;
  for (int i = 0; i < 8; i++) result = result * 31 + count[i];
  return result;
}

static uint32_t intmix(void) {
  enum { NODES = 200, SIDE = 12 };
  static node pool[NODES];
  static int16_t a[SIDE * SIDE], b[SIDE * SIDE];
  static int32_t c[SIDE * SIDE];
  static const char numbers[] =
      "5012,8.25,-874,+122,35.54e+02,.1234e-5,-.9,zzz,T0.3e-1F,+T.T++Tq,1T3.4e4z,34.0e-T^,5012,.99e+7,-1,0,12,1.5";
  uint32_t sum = 0;
  for (long k = 0, n = iterations(6000); k < n; k++) {
    for (int i = 0; i < NODES; i++) {
      pool[i].value = (int16_t)rnd();
      pool[i].index = i;
      pool[i].next = i < NODES - 1 ? &pool[i + 1] : 0;
    }
    uint16_t crc = 0;
    for (node *p = merge_sort(pool); p; p = p->next) crc = crc16(crc, (uint8_t)p->value);
    for (int i = 0; i < SIDE * SIDE; i++) {
      a[i] = (int16_t)(i + k);
      b[i] = (int16_t)(i * 3 - k);
    }
    for (int i = 0; i < SIDE; i++) {
      for (int j = 0; j < SIDE; j++) {
        int32_t s = 0;
        for (int m = 0; m < SIDE; m++) s += a[i * SIDE + m] * b[m * SIDE + j];
        c[i * SIDE + j] = s;
      }
    }
    for (int i = 0; i < SIDE * SIDE; i++) crc = crc16(crc, (uint8_t)(c[i] >> 3));
    sum = sum * 33 + crc + scan_numbers(numbers);
  }
  return sum;
}

/* ---- sha256 ---- */

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void sha256_block(uint32_t *state, const uint8_t *p) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++) {
    w[i] = (uint32_t)p[i * 4] << 24 | p[i * 4 + 1] << 16 | p[i * 4 + 2] << 8 | p[i * 4 + 3];
  }
  for (int i = 16; i < 64; i++) {
    uint32_t x = w[i - 15], y = w[i - 2];
    w[i] = w[i - 16] + w[i - 7] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; i++) {
    uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i];
    uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

static uint32_t sha256(void) {
  static uint8_t data[65536];
  for (unsigned i = 0; i < sizeof data; i++) data[i] = rnd();
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  for (long k = 0, n = iterations(600); k < n; k++) {
    for (unsigned at = 0; at < sizeof data; at += 64) sha256_block(state, data + at);
  }
  return state[0];
}

/* ---- memory ---- */

static uint32_t bulk_copy(void) {
  enum { SIZE = 1 << 20 };
  char *a = malloc(SIZE), *b = malloc(SIZE);
  memset(a, 1, SIZE);
  for (long k = 0, n = iterations(2000); k < n; k++) {
    memcpy(b, a, SIZE);
    b[k & (SIZE - 1)] ^= k;
    BARRIER();
    memset(a, (int)k, SIZE / 2);
    memcpy(a + 4096, b + 17, 1000);
    BARRIER();
  }
  uint32_t result = b[77] + a[3];
  free(a);
  free(b);
  return result;
}

static uint32_t small_copy(void) {
  static char a[4096], b[4096];
  volatile size_t length = 0;
  for (long k = 0, n = iterations(8e6); k < n; k++) {
    length = 8 + (k * 7) % 120;
    memcpy(b + (k & 63), a + (k & 31), length);
    BARRIER();
    a[k & 4095]++;
    if ((k & 7) == 0) a[1] += strlen(b);
  }
  return b[5];
}

static uint32_t chase(void) {
  const int n = 2 << 20;
  uint32_t *next = malloc(n * sizeof *next);
  for (int i = 0; i < n; i++) next[i] = i;
  for (int i = n - 1; i > 0; i--) {
    int j = rnd() % i;
    uint32_t t = next[i];
    next[i] = next[j];
    next[j] = t;
  }
  uint32_t at = 0;
  for (long k = 0, steps = iterations(4e6); k < steps; k++) at = next[at];
  free(next);
  return at;
}

/* ---- interp ---- */

enum { LDI, ADD, SUB, MUL, LD, ST, JNZ, JLT, MOV, AND, SHR, XOR, HALT };

static uint32_t interp(void) {
  static int32_t memory[1024];
  /* Three words per operation; jumps go to word numbers. Runs 200 times over the memory. */
  static const int32_t program[] = {
      LDI, 0, 0,    /*  0 */
      LDI, 1, 1,    /*  3 */
      LDI, 2, 1000, /*  6: limit of JLT */
      LDI, 3, 7,    /*  9 */
      LDI, 7, 0,    /* 12 */
      LDI, 8, 200,  /* 15 */
      LDI, 0, 0,    /* 18: outer loop */
      LD,  4, 0,    /* 21: inner loop */
      MUL, 4, 3,    ADD, 4, 0, XOR, 4, 7, ST, 4, 0, AND, 5, 4, SHR, 5, 1, ADD, 6, 5, ADD, 0, 1,
      JLT, 0, 21,   ADD, 7, 1, SUB, 8, 1, JNZ, 8, 18, HALT, 0, 0,
  };
  uint32_t sum = 0;
  for (long k = 0, n = iterations(60); k < n; k++) {
    int32_t r[16] = {0};
    int pc = 0, running = 1;
    r[2] = 1000;
    while (running) {
      const int32_t *op = program + pc;
      int a = op[1];
      int32_t b = op[2];
      pc += 3;
      switch (op[0]) {
      case LDI: r[a] = b; break;
      case ADD: r[a] = (uint32_t)r[a] + r[b & 15]; break;
      case SUB: r[a] -= r[b & 15]; break;
      case MUL: r[a] = (uint32_t)r[a] * (uint32_t)r[b & 15]; break;
      case LD: r[a] = memory[r[b & 15] & 1023]; break;
      case ST: memory[r[b & 15] & 1023] = r[a]; break;
      case JNZ: if (r[a]) pc = b; break;
      case JLT: if (r[a] < r[2]) pc = b; break;
      case MOV: r[a] = r[b & 15]; break;
      case AND: r[a] &= r[b & 15] | 0xff; break;
      case SHR: r[a] = (uint32_t)r[a] >> (r[b & 15] & 31); break;
      case XOR: r[a] ^= r[b & 15]; break;
      case HALT: running = 0; break;
      }
    }
    sum = sum * 31 + r[6];
  }
  return sum;
}

/* ---- arithmetic ---- */

static uint32_t nbody(void) {
  enum { BODIES = 5 };
  double x[BODIES] = {0, 4.84, 8.34, 12.89, 15.37}, y[BODIES] = {0, -1.16, 4.12, -15.11, -25.9};
  double z[BODIES] = {0, -.10, -.4, -.22, .179};
  double vx[BODIES] = {0, .606, -1.01, 1.08, .979}, vy[BODIES] = {0, 2.81, 1.82, .868, .594};
  double vz[BODIES] = {0, -.02, .008, -.01, -.034}, mass[BODIES] = {39.47, .037, .011, .0017, .002};
  for (long k = 0, n = iterations(1000000); k < n; k++) {
    for (int i = 0; i < BODIES; i++) {
      for (int j = i + 1; j < BODIES; j++) {
        double dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
        double square = dx * dx + dy * dy + dz * dz, pull = 0.001 / (square * sqrt(square));
        vx[i] -= dx * mass[j] * pull;
        vy[i] -= dy * mass[j] * pull;
        vz[i] -= dz * mass[j] * pull;
        vx[j] += dx * mass[i] * pull;
        vy[j] += dy * mass[i] * pull;
        vz[j] += dz * mass[i] * pull;
      }
    }
    for (int i = 0; i < BODIES; i++) {
      x[i] += .001 * vx[i];
      y[i] += .001 * vy[i];
      z[i] += .001 * vz[i];
    }
  }
  return (uint32_t)(int32_t)(x[0] * 1000);
}

static uint32_t int64(void) {
  uint64_t x = 88172645463325252ull, s = 0;
  for (long k = 0, n = iterations(20e6); k < n; k++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    s += x * 0x9E3779B97F4A7C15ull;
    s ^= s >> 29;
    if ((k & 15) == 0) s += x / (uint64_t)((k & 1023) + 12345);
  }
  return (uint32_t)(s ^ s >> 32);
}

/* ---- calls ---- */

static uint32_t __attribute__((noinline)) fib(uint32_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static uint32_t f0(uint32_t x) { return x + 1; }
static uint32_t f1(uint32_t x) { return x * 3; }
static uint32_t f2(uint32_t x) { return x ^ 0x55; }
static uint32_t f3(uint32_t x) { return x >> 1; }
static uint32_t (*volatile functions[4])(uint32_t) = {f0, f1, f2, f3};

static uint32_t calls(void) {
  uint32_t r = 0;
  for (long k = 0, n = iterations(60); k < n; k++) {
    r += fib(27);
    for (int i = 0; i < 300000; i++) r = functions[(r ^ i) & 3](r);
  }
  return r;
}

/* ---- the kernel ---- */

static uint32_t system_call(void) {
  uint32_t r = 0;
  for (long k = 0, n = iterations(1000000); k < n; k++) r += syscall(SYS_getppid);
  return r;
}

static uint32_t page_fault(void) {
  const long size = 16 << 20;
  uint32_t r = 0;
  for (long k = 0, n = iterations(20); k < n; k++) {
    char *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(p, size, MADV_NOHUGEPAGE);
    for (long i = 0; i < size; i += 4096) p[i] = k;
    r += p[8192];
    munmap(p, size);
  }
  return r;
}

static uint32_t context_switch(void) {
  long n = iterations(50000);
  int there[2], back[2];
  char c = 1;
  if (pipe(there) || pipe(back)) return 1;
  pid_t child = fork();
  if (!child) {
    for (long k = 0; k < n; k++) {
      if (read(there[0], &c, 1) != 1 || write(back[1], &c, 1) != 1) _exit(1);
    }
    _exit(0);
  }
  for (long k = 0; k < n; k++) {
    if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1) return 2;
  }
  waitpid(child, 0, 0);
  return c;
}

static uint32_t fork_exec(void) {
  uint32_t r = 0;
  for (long k = 0, n = iterations(200); k < n; k++) {
    pid_t child = fork();
    if (!child) {
      execl("/proc/self/exe", "bench", "nop", (char *)0);
      _exit(9);
    }
    int status;
    waitpid(child, &status, 0);
    r += WEXITSTATUS(status);
  }
  return r;
}

static const struct {
  const char *name;
  uint32_t (*run)(void);
} benchmarks[] = {
    {"intmix", intmix}, {"sha256", sha256}, {"memcpy", bulk_copy},     {"smallcpy", small_copy},
    {"interp", interp}, {"nbody", nbody},   {"int64", int64},          {"calls", calls},
    {"chase", chase},   {"syscall", system_call}, {"pagefault", page_fault}, {"ctxsw", context_switch},
    {"forkexec", fork_exec},
};

int main(int argc, char **argv) {
  const char *wanted = argc > 1 ? argv[1] : "all";
  if (!strcmp(wanted, "nop")) return 3; /* what forkexec runs */
  if (argc > 2) scale = atof(argv[2]) / 100.0;
  setvbuf(stdout, 0, _IONBF, 0);
  for (unsigned i = 0; i < sizeof benchmarks / sizeof *benchmarks; i++) {
    const char *name = benchmarks[i].name;
    if (strcmp(wanted, "all") && !strstr(wanted, name)) continue;
    random_state = SEED;
    printf("@@S %s\n", name);
    uint64_t start = now();
    uint32_t checksum = benchmarks[i].run();
    printf("@@E %s %llu %08x\n", name, (unsigned long long)(now() - start), checksum);
  }
  return 0;
}
