/*
 * Runs a user-mode program on this machine's CPU to its first exception, and writes what it found. From standard input
 * comes what ./program.ts (`serialize`) makes: regions to map, then bytes to put into them. The program begins at CODE,
 * its stack pointer is STACK_TOP, all other registers are 0.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

typedef uint64_t u64;
enum { XSAVE_SIZE = 832, XSTATE_BV = 512, SECONDS = 2 };

static const int order[16] = {
  REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};
static struct { u64 vector, rip, gpr[16]; uint8_t xsave[XSAVE_SIZE]; } result;

static void stopped(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  const mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
  result.vector = m->gregs[REG_TRAPNO];
  result.rip = m->gregs[REG_RIP];
  for (int i = 0; i < 16; i++) result.gpr[i] = m->gregs[order[i]];
  memcpy(result.xsave, m->fpregs, XSAVE_SIZE);
  /* What is in its initial state is not saved. */
  if (!(result.xsave[XSTATE_BV] & 4)) memset(result.xsave + 576, 0, 256);
  syscall(SYS_write, 1, &result, sizeof result);
  syscall(SYS_exit_group, 0);
}

static u64 number(void) {
  u64 n;
  if (fread(&n, sizeof n, 1, stdin) != 1) _exit(9);
  return n;
}

int main(void) {
  u64 code = number(), stack = number();
  for (u64 n = number(); n; n--) {
    u64 at = number(), length = number();
    if (mmap((void *)at, length, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) return 8;
  }
  for (u64 n = number(); n; n--) {
    u64 at = number(), length = number();
    if (fread((void *)at, 1, length, stdin) != length) return 9;
  }
  static uint8_t alternate[1 << 16];
  stack_t handlers = { .ss_sp = alternate, .ss_size = sizeof alternate };
  sigaltstack(&handlers, 0);
  struct sigaction action = { .sa_sigaction = stopped, .sa_flags = SA_SIGINFO | SA_ONSTACK };
  const int signals[] = { SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP };
  for (int i = 0; i < 5; i++) sigaction(signals[i], &action, 0);
  /* Its own time: Linux lets a program that splits locks across lines sleep. */
  const struct itimerval limit = { .it_value = { .tv_sec = SECONDS } };
  setitimer(ITIMER_VIRTUAL, &limit, 0);
  static uint8_t xsave[4096] __attribute__((aligned(64)));
  xsave[0] = 0x7f, xsave[1] = 3, xsave[24] = 0x80, xsave[25] = 0x1f, xsave[XSTATE_BV] = 7;
  syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
  syscall(SYS_arch_prctl, ARCH_SET_FS, 0);
  *(u64 *)(stack - 8) = code;
  __asm__ volatile(
    "mov $7, %%eax; xor %%edx, %%edx; xrstor64 (%0); lea -8(%1), %%rsp\n"
    "xor %%eax, %%eax; xor %%ecx, %%ecx; xor %%edx, %%edx; xor %%ebx, %%ebx; xor %%ebp, %%ebp; xor %%esi, %%esi\n"
    "xor %%edi, %%edi; xor %%r8d, %%r8d; xor %%r9d, %%r9d; xor %%r10d, %%r10d; xor %%r11d, %%r11d; xor %%r12d, %%r12d\n"
    "xor %%r13d, %%r13d; xor %%r14d, %%r14d; xor %%r15d, %%r15d; pushq $0x202; popfq; ret"
    :: "D"(xsave), "S"(stack) : "memory", "rax", "rdx");
}
