; The embedded guest: a few KB that report on the machine they run on and then take commands on the serial line.
; It is what Tabhyve boots when it is given no kernel. Any Multiboot 1 loader can start it, QEMU's -kernel too.
;
; The files are one source, joined in this order (index.ts); all of it is 64-bit code but for the start:
;
;     entry.asm        Multiboot header, the way into long mode, GDT and TSS         <- you are here
;     interrupts.asm   IDT, exceptions, local APIC and IOAPIC
;     console.asm      COM1: polled output, interrupt-driven input, the line editor
;     format.asm       numbers as text
;     acpi.asm         finds ACPI tables
;     report.asm       what the machine is
;     timers.asm       what its clocks do
;     commands.asm     the prompt
;
; Conventions: a routine's comment says where its arguments and results are. Routines may change RAX, RCX, RDX,
; RSI, RDI and R8-R11; RBX, RBP and R12-R15 come back as they were. All addresses are below 4 GiB, so a label fits a
; 32-bit immediate, and writing a 32-bit register clears the upper half of the 64-bit one.
;
; "SDM" is Intel's Software Developer's Manual, volume 3A unless another is named.
;
; Where things are. Only the image is in the file; the loader clears the rest, up to BSS_END (Multiboot 3.1.3).
;
;     0x100000  image, at most 8 KiB
;     0x102000  PML4, page-directory-pointer table, four page directories
;     0x108000  IDT (48 gates), then the TSS
;     0x109000  variables
;     0x10a000  stack, growing down from 0x10c000
;     0x10c000  stack for double faults, growing down from 0x10d000

LOAD            equ 0x100000
PML4            equ LOAD + 0x2000
PDPT            equ LOAD + 0x3000
PD              equ LOAD + 0x4000
IDT             equ LOAD + 0x8000
TSS             equ LOAD + 0x8800
VARIABLES       equ LOAD + 0x9000
STACK_TOP       equ LOAD + 0xc000
FAULT_STACK_TOP equ LOAD + 0xd000
BSS_END         equ FAULT_STACK_TOP

CODE            equ 0x08                ; selectors, in the order of the GDT below
DATA            equ 0x10
TASK            equ 0x18

info            equ VARIABLES           ; dword: address of the Multiboot information

                org LOAD
                bits 32

; ---- Multiboot header (Multiboot 0.6.96, 3.1) ----------------------------------------------------------------------
; Bit 1 asks for the memory sizes and map. Bit 16 says that the address fields are valid: this file is no ELF, and
; they are all a loader needs to know (the "a.out kludge").

HEADER_MAGIC    equ 0x1badb002
HEADER_FLAGS    equ (1 << 16) | (1 << 1)
LOADER_MAGIC    equ 0x2badb002

header:         dd HEADER_MAGIC
                dd HEADER_FLAGS
                dd -(HEADER_MAGIC + HEADER_FLAGS)
                dd header, LOAD, image_end, BSS_END, start

; ---- 32-bit entry (Multiboot 3.2) ----------------------------------------------------------------------------------
; Flat 4 GiB segments, paging off, interrupts off, A20 open, EAX the loader's magic, EBX the information structure.
; The stack and the descriptor tables are ours to make.

start:          cld
                mov esp, STACK_TOP
                mov [info], ebx
                mov ebx, eax            ; CPUID below takes EAX
                call serial_init        ; first, so that whatever goes wrong next can be said

                mov esi, not_multiboot
                cmp ebx, LOADER_MAGIC
                jne give_up

                ; CPUID.80000001H:EDX.LM[29]: long mode is there (SDM vol. 2A, CPUID).
                mov esi, not_long
                mov eax, 0x80000000
                cpuid
                cmp eax, 0x80000001
                jb give_up
                mov eax, 0x80000001
                cpuid
                bt edx, 29
                jnc give_up

; Page tables (SDM 4.5.4, 4-level paging): the first 4 GiB at their own addresses, in 2048 pages of 2 MiB.
; The tables' pages are zero but for what is put here. Low bits of an entry:
;
;       7    4   3   2   1   0
;       PS  PCD PWT U/S R/W  P

                mov dword [PML4], PDPT | 3
                mov edi, PDPT
                mov eax, PD | 3
.directory:     mov [edi], eax          ; the upper half of each entry stays zero
                add edi, 8
                add eax, 0x1000
                cmp eax, PD + 0x4000
                jb .directory

                mov edi, PD
                mov eax, 1 << 7 | 3
.page:          cmp eax, 0xc0000000     ; the last GiB holds device registers: not to be cached
                jb .put
                or al, 1 << 4 | 1 << 3
.put:           mov [edi], eax
                add edi, 8
                add eax, 0x200000       ; carries out of 32 bits after the last page
                jnc .page

; The order is that of SDM 10.8.5 (Initializing IA-32e Mode): CR4.PAE, CR3, EFER.LME, then CR0.PG. The processor
; sets EFER.LMA itself. It is now in compatibility mode: only the far jump into a segment with L set makes it 64-bit.

CR4_PAE         equ 1 << 5
EFER            equ 0xc0000080          ; IA32_EFER (SDM vol. 4)
EFER_LME        equ 1 << 8
CR0_WP_PG       equ 1 << 31 | 1 << 16

                mov eax, cr4
                or eax, CR4_PAE
                mov cr4, eax
                mov eax, PML4
                mov cr3, eax
                mov ecx, EFER
                rdmsr
                or eax, EFER_LME
                wrmsr
                mov eax, cr0
                or eax, CR0_WP_PG
                mov cr0, eax
                lgdt [gdt_pointer]
                jmp CODE:long_mode

; Says the line at ESI and stops. The 64-bit console cannot run here.

give_up:        mov dx, COM1 + LSR
.wait:          in al, dx
                test al, LSR_THRE
                jz .wait
                lodsb
                mov dx, COM1
                out dx, al
                cmp al, `\n`
                jne give_up
.stop:          cli
                hlt
                jmp .stop

not_multiboot   db `Tabhyve embedded guest: needs a Multiboot loader (EAX is not 2badb002)\r\n`
not_long        db `Tabhyve embedded guest: this processor has no 64-bit mode\r\n`

; Global descriptor table (SDM 3.4.5; 5.2.1 for the L bit). In 64-bit mode base and limit of code and data do not
; count; present, type, DPL 0 and L do. A TSS descriptor has 16 bytes there (SDM 8.2.3).

                align 8, db 0
gdt:            dq 0
                dq 0x00209a0000000000   ; CODE: present, execute/read, L
                dq 0x0000920000000000   ; DATA: present, read/write
                dq 0x0000890000000067 | (TSS & 0xffffff) << 16 | (TSS >> 24) << 56, 0
gdt_pointer:    dw gdt_pointer - gdt - 1
                dq gdt

; ---- 64-bit from here on -------------------------------------------------------------------------------------------

                bits 64

long_mode:      mov eax, DATA
                mov ds, eax
                mov es, eax
                mov ss, eax
                xor eax, eax            ; null selectors are allowed here, and nothing uses these two
                mov fs, eax
                mov gs, eax
                mov esp, STACK_TOP

                ; The 64-bit TSS (SDM 8.7) only names stacks. A double fault gets one of its own (IST1): the usual
                ; reason for it is a stack that cannot be used. No I/O permission map: its offset is the limit.
                mov dword [TSS + 0x24], FAULT_STACK_TOP
                mov word [TSS + 0x66], 0x68
                mov eax, TASK
                ltr ax

                call interrupts_init
                call input_init
                sti
                call acpi_init
                call banner
                call machine
                call say
                db `\nType "help" for the commands.\n`, 0
                jmp prompt
