/*
 * The real CPU as an engine of `tabhyve fuzz`: reads cases from standard input (./case.ts has the layouts), runs each
 * one in ring 3 of a Linux process, freely, to its first exception, and writes what became of it to standard output.
 *
 * The process's memory is one memfd, mapped where the vectors' process has its pages (../vectorMemory.ts), and once
 * more, writable, as an alias that only this program uses. A child does the running; what it has found lies in memory
 * that it shares with its parent, so that a case that kills the child costs only itself. A seccomp filter turns every
 * system call that guest code makes into SIGSYS.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* FXSAVE area, XSAVE header, upper halves of the YMM registers (SDM vol. 1, 13.4). */
enum { XSAVE_SIZE = 832, XSTATE_BV = 512, YMM_HI = 576 };

struct in { /* followed by `patches` times {u32 address, u32 length, bytes} */
  u32 size, mode, patches, unused;
  u64 rip, rflags, gpr[16];
  u8 xsave[XSAVE_SIZE];
};
struct out { /* followed by `differences` of the same kind */
  u32 size, status, vector, error;
  u64 cr2, rip, rflags, gpr[16];
  u8 xsave[XSAVE_SIZE];
  u32 differences, unused;
};
enum { DONE = 0, CRASHED = 1, HUNG = 2, SYSTEM_CALL = 3 };

/* ---- memory ---- */
enum { PAGE = 4096, PROCESS_PAGES = 8, PROCESS_SIZE = PROCESS_PAGES * PAGE };
static const struct region { u32 linear, pages, prot; } regions[] = {
  { 0x008000, 1, PROT_READ | PROT_WRITE },
  { 0x101000, 2, PROT_READ | PROT_EXEC },
  { 0x104000, 2, PROT_READ | PROT_WRITE },
  { 0x107000, 1, PROT_READ },
  { 0x109000, 2, PROT_READ | PROT_WRITE },
};
enum { REGIONS = sizeof regions / sizeof *regions, CODE_REGION = 1, BASE16 = 0x100000 };
static u8 *alias, pristine[PROCESS_SIZE], before[PROCESS_SIZE];

static int place(u32 linear) {
  u32 at = 0;
  for (int i = 0; i < REGIONS; i++) {
    if (linear - regions[i].linear < regions[i].pages * PAGE) return at + linear - regions[i].linear;
    at += regions[i].pages * PAGE;
  }
  return -1;
}

static u32 linear_of(u32 offset) {
  for (int i = 0;; i++) {
    if (offset < regions[i].pages * PAGE) return regions[i].linear + offset;
    offset -= regions[i].pages * PAGE;
  }
}

/* ---- into the guest's state and out of it ---- */
struct context {
  u64 gpr[16];
  u16 ds, es, fs, gs;
  u32 mode;
  u64 frame;
  u8 unused[40], xsave[XSAVE_SIZE];
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct context, xsave) == 192, "the assembly below knows the offsets");
static struct context context __attribute__((used));
static u64 host_rsp __attribute__((used));
void enter_guest(struct context *);
void leave_guest(void) __attribute__((noreturn));
void signal_entry(int, siginfo_t *, void *);
__asm__(
  ".text\n"
  ".globl text_start, enter_guest, leave_guest, signal_entry\n"
  "enter_guest:\n"
  "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
  "  mov %rsp, host_rsp(%rip)\n"
  "  mov $7, %eax; xor %edx, %edx; xrstor64 192(%rdi)\n"
  "  mov 128(%rdi), %ax; mov %ax, %ds\n"
  "  mov 130(%rdi), %ax; mov %ax, %es\n"
  "  cmpl $64, 136(%rdi); je 1f\n"
  "  mov 132(%rdi), %ax; mov %ax, %fs\n"
  "  mov 134(%rdi), %ax; mov %ax, %gs\n"
  "1:mov 144(%rdi), %rsp\n"
  "  mov 0(%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx\n"
  "  mov 40(%rdi), %rbp; mov 48(%rdi), %rsi\n"
  "  mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10; mov 88(%rdi), %r11\n"
  "  mov 96(%rdi), %r12; mov 104(%rdi), %r13; mov 112(%rdi), %r14; mov 120(%rdi), %r15\n"
  "  mov 56(%rdi), %rdi\n"
  "  iretq\n"
  /* The guest's AC, NT, DF and TF must not stay on in a handler. */
  "signal_entry:\n"
  "  pushfq; andl $~0x44500, (%rsp); popfq\n"
  "  jmp on_signal\n"
  "leave_guest:\n"
  "  mov host_rsp(%rip), %rsp\n"
  "  xor %eax, %eax; mov %ax, %ds; mov %ax, %es; mov %ax, %fs; mov %ax, %gs\n"
  "  fninit; push $0x1f80; ldmxcsr (%rsp); pop %rax\n"
  "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
  "  ret\n");

static struct out result;
static volatile int active, ticks;
static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

__attribute__((used)) void on_signal(int signal, siginfo_t *info, ucontext_t *uc) {
  (void)info;
  greg_t *g = uc->uc_mcontext.gregs;
  if (signal == SIGPROF && (!active || ++ticks < 4)) return;
  if (!active) _exit(99);
  result.status = signal == SIGPROF ? HUNG : signal == SIGSYS ? SYSTEM_CALL : DONE;
  result.vector = g[REG_TRAPNO];
  result.error = g[REG_ERR];
  result.cr2 = g[REG_CR2];
  result.rip = g[REG_RIP];
  result.rflags = g[REG_EFL];
  for (int i = 0; i < 16; i++) result.gpr[i] = g[order[i]];
  memcpy(result.xsave, uc->uc_mcontext.fpregs, XSAVE_SIZE);
  if (!(result.xsave[XSTATE_BV] & 4)) memset(result.xsave + YMM_HI, 0, 256);
  active = 0;
  leave_guest();
}

static void set_base(int what, u64 base) {
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "0"(SYS_arch_prctl), "D"(what), "S"(base) : "rcx", "r11", "memory");
}

/* Selectors of the process's LDT, as the vectors' process has them (../vectorMachine.ts). */
enum { CS32 = 0x07, SS32 = 0x0f, CS16 = 0x17, SS16 = 0x1f, FS = 0x27, GS = 0x2f };
enum { FS_BASE = 0x104000, GS_BASE = 0x104800 };
static void set_ldt(int selector, u32 base, u32 limit, int code, int big, int pages) {
  struct user_desc d = { .entry_number = selector >> 3, .base_addr = base, .limit = limit, .seg_32bit = big,
    .contents = code ? 2 : 0, .limit_in_pages = pages, .useable = 1 };
  if (syscall(SYS_modify_ldt, 1, &d, sizeof d)) perror("modify_ldt"), exit(1);
}

extern char __executable_start, etext;
/* Only this program's own text may make system calls, and only those of 64-bit mode. */
static void filter_calls(void) {
  u64 low = (u64)&__executable_start, high = (u64)&etext;
  struct sock_filter f[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 6),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)(low >> 32), 0, 4),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (u32)low, 0, 2),
    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (u32)high, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  struct sock_fprog p = { sizeof f / sizeof *f, f };
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) {
    perror("seccomp"), exit(1);
  }
}

static u64 tls_base, *iret_page;

static void set_up(void) {
  int fd = memfd_create("guest", 0);
  if (fd < 0 || ftruncate(fd, PROCESS_SIZE)) perror("memfd"), exit(1);
  alias = mmap(0, PROCESS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  u32 at = 0;
  for (int i = 0; i < REGIONS; i++) {
    const struct region *r = &regions[i];
    void *want = (void *)(u64)r->linear;
    if (mmap(want, r->pages * PAGE, r->prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, at) != want) {
      perror("mapping the guest's pages (vm.mmap_min_addr above 0x8000?)"), exit(1);
    }
    for (u32 k = 0; k < r->pages * PAGE; k++) {
      pristine[at + k] = i == CODE_REGION ? 0xcc : ((r->linear + k) * 0x9e3779b1u) >> 24;
    }
    at += r->pages * PAGE;
  }
  /* IRET to a 16-bit stack leaves RSP[31:16] as it is: here, zero. */
  iret_page = mmap((void *)0x700000008000, PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  set_ldt(CS32, 0, 0xfffff, 1, 1, 1);
  set_ldt(SS32, 0, 0xfffff, 0, 1, 1);
  set_ldt(CS16, BASE16, 0xffff, 1, 0, 0);
  set_ldt(SS16, BASE16, 0xffff, 0, 0, 0);
  set_ldt(FS, FS_BASE, 0x1fff, 0, 1, 0);
  set_ldt(GS, GS_BASE, 0xfffff, 0, 1, 1);
  syscall(SYS_arch_prctl, ARCH_GET_FS, &tls_base);
  static u8 stack[1 << 16] __attribute__((aligned(64)));
  stack_t ss = { .ss_sp = stack, .ss_size = sizeof stack };
  sigaltstack(&ss, 0);
  struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
  sa.sa_sigaction = signal_entry;
  const int signals[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGPROF, SIGSYS };
  for (u32 i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &sa, 0);
  struct itimerval every = { { 0, 10000 }, { 0, 10000 } };
  setitimer(ITIMER_PROF, &every, 0);
  filter_calls();
}

static void execute(const struct in *c) {
  memcpy(before, pristine, PROCESS_SIZE);
  const u8 *p = (const u8 *)(c + 1);
  for (u32 i = 0; i < c->patches; i++) {
    u32 address, length;
    memcpy(&address, p, 4);
    memcpy(&length, p + 4, 4);
    for (u32 k = 0; k < length; k++) {
      int at = place(address + k);
      if (at >= 0) before[at] = p[8 + k];
    }
    p += 8 + length;
  }
  memcpy(alias, before, PROCESS_SIZE);
  memset(&result, 0, sizeof result);
  memcpy(context.gpr, c->gpr, sizeof context.gpr);
  memcpy(context.xsave, c->xsave, XSAVE_SIZE);
  u64 header[8] = { 7 };
  memcpy(context.xsave + XSTATE_BV, header, sizeof header);
  u16 cs = c->mode == 64 ? 0x33 : c->mode == 32 ? CS32 : CS16;
  u16 ds = c->mode == 64 ? 0 : c->mode == 32 ? SS32 : SS16;
  context.ds = context.es = ds;
  context.fs = FS;
  context.gs = GS;
  context.mode = c->mode;
  u64 *f = iret_page + 256;
  context.frame = (u64)f;
  f[0] = c->rip;
  f[1] = cs;
  f[2] = c->rflags | 0x202;
  f[3] = c->gpr[4];
  f[4] = c->mode == 64 ? 0x2b : ds;
  set_base(ARCH_SET_GS, GS_BASE);
  set_base(ARCH_SET_FS, FS_BASE); /* no thread-local storage from here on */
  ticks = 0;
  active = 1;
  enter_guest(&context);
  set_base(ARCH_SET_FS, tls_base);
}

/* ---- results ---- */
enum { ROOM = 64 << 20, MOST = sizeof(struct out) + PROCESS_SIZE * 9 };
struct shared { volatile u32 done, length; u8 bytes[]; };

static void append(struct shared *s) {
  u8 *start = s->bytes + s->length, *p = start + sizeof result;
  for (u32 at = 0; at < PROCESS_SIZE && result.status == DONE; at += PAGE) {
    if (!memcmp(alias + at, before + at, PAGE)) continue;
    for (u32 k = at; k < at + PAGE; k++) {
      if (alias[k] == before[k]) continue;
      u32 from = k, address = linear_of(k);
      while (k < at + PAGE && alias[k] != before[k]) k++;
      u32 length = k - from;
      memcpy(p, &address, 4);
      memcpy(p + 4, &length, 4);
      memcpy(p + 8, alias + from, length);
      p += 8 + length;
      result.differences++;
    }
  }
  result.size = p - start;
  memcpy(start, &result, sizeof result);
  s->length += result.size;
}

static const struct in *next(const struct in *c) { return (const void *)((const u8 *)c + c->size); }

static void child(const struct in *c, const struct in *end, struct shared *s) {
  set_up();
  for (; c < end && s->length < ROOM - MOST; c = next(c)) {
    execute(c);
    append(s);
    s->done++;
  }
  _exit(0);
}

static void write_all(const void *from, size_t length) {
  for (ssize_t n; length; from = (const u8 *)from + n, length -= n) {
    n = write(1, from, length);
    if (n <= 0) perror("native: write"), exit(1);
  }
}

/* EAX, EBX, ECX, EDX of the leaves that name features, as decimal text. */
static int print_cpuid(void) {
  const u32 leaves[][2] = { { 1, 0 }, { 7, 0 }, { 0xd, 1 }, { 0x80000001, 0 } };
  for (u32 i = 0; i < sizeof leaves / sizeof *leaves; i++) {
    u32 a = 0, b = 0, c = 0, d = 0;
    __get_cpuid_count(leaves[i][0], leaves[i][1], &a, &b, &c, &d);
    printf("%u %u %u %u %u\n", leaves[i][0], a, b, c, d);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "cpuid")) return print_cpuid();
  /* The filter compares halves of addresses: this program must not lie across 4 GiB. Once more, elsewhere, then. */
  if ((u64)&__executable_start >> 32 != (u64)&etext >> 32) execv("/proc/self/exe", argv);
  size_t length = 0, room = 1 << 20;
  u8 *data = malloc(room);
  for (ssize_t n; (n = read(0, data + length, room - length)) > 0;) {
    length += n;
    if (length == room) data = realloc(data, room *= 2);
    if (!data) return 1;
  }
  struct shared *s = mmap(0, sizeof *s + ROOM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (s == MAP_FAILED) perror("native: results"), exit(1);
  const struct in *c = (const void *)data, *end = (const void *)(data + length);
  while (c < end) {
    s->done = s->length = 0;
    pid_t pid = fork();
    if (!pid) child(c, end, s);
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) perror("native: fork"), exit(1);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1) return 1; /* set_up has said why */
    write_all(s->bytes, s->length);
    for (u32 n = s->done; n; n--) c = next(c);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    memset(&result, 0, sizeof result);
    result.status = CRASHED;
    result.size = sizeof result;
    write_all(&result, sizeof result);
    c = next(c);
  }
  return 0;
}
