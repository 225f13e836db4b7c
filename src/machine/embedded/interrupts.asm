; Interrupts: the IDT, exceptions, and the APICs instead of the 8259s.

LAPIC           equ 0xfee00000          ; SDM 11.4.1, where reset puts it; registers by offset, table 11-1
LAPIC_ID        equ 0x20
LAPIC_TPR       equ 0x80
LAPIC_EOI       equ 0xb0
LAPIC_SVR       equ 0xf0
LAPIC_LVT_TIMER equ 0x320
LAPIC_LVT_LINT0 equ 0x350
LAPIC_LVT_LINT1 equ 0x360
LVT_MASKED      equ 1 << 16
SVR_ENABLE      equ 1 << 8

IOAPIC          equ 0xfec00000          ; 82093AA datasheet, 3.1: an index register and a window
IOAPIC_SELECT   equ 0x00
IOAPIC_WINDOW   equ 0x10
IOAPIC_REDTBL   equ 0x10                ; entry n is the registers 0x10 + 2n (low) and 0x11 + 2n (high)
REDTBL_MASKED   equ 1 << 16

VECTOR_LAPIC    equ 0x20                ; 0-31 are the processor's (SDM 6.2)
VECTOR_PIT      equ 0x21
VECTOR_HPET     equ 0x22
VECTOR_COM1     equ 0x23
VECTOR_SPURIOUS equ 0x2f                ; older processors want the low four bits set (SDM 11.9)
VECTORS         equ 0x30

lapic_ticks     equ VARIABLES + 0x10    ; dwords: interrupts taken, by source
pit_ticks       equ VARIABLES + 0x14
hpet_ticks      equ VARIABLES + 0x18

; Sets up everything but the sources themselves, each of which is routed by its user. Interrupts stay off.

interrupts_init:
                mov edi, IDT
                mov eax, exception_stubs
.exception:     call set_gate
                add eax, STUB_SIZE
                cmp edi, IDT + 32 * 16
                jb .exception
                mov eax, lapic_interrupt
                call set_gate
                mov eax, pit_interrupt
                call set_gate
                mov eax, hpet_interrupt
                call set_gate
                mov eax, com1_interrupt
                call set_gate
                mov edi, IDT + VECTOR_SPURIOUS * 16
                mov eax, spurious_interrupt
                call set_gate
                mov byte [IDT + 8 * 16 + 4], 1          ; #DF on the stack IST1 (SDM 6.14.5)
                lidt [idt_pointer]

                ; The 8259s take no part. Their OCW1 masks all inputs.
                mov al, 0xff
                out 0x21, al
                out 0xa1, al

                ; Software-enable the local APIC (SDM 11.4.7.2); it needs a spurious vector. LINT0 is where the
                ; 8259s come in, LINT1 an NMI: both masked. Priority 0 lets everything through.
                mov edi, LAPIC
                mov dword [rdi + LAPIC_SVR], SVR_ENABLE | VECTOR_SPURIOUS
                mov dword [rdi + LAPIC_LVT_TIMER], LVT_MASKED
                mov dword [rdi + LAPIC_LVT_LINT0], LVT_MASKED
                mov dword [rdi + LAPIC_LVT_LINT1], LVT_MASKED
                mov dword [rdi + LAPIC_TPR], 0
                ret

; Makes the gate at EDI an interrupt gate to EAX, and moves EDI to the next (SDM 6.14.1):
;
;       15:0 offset 15:0 | 31:16 selector | 34:32 IST | 43:40 type 14 | 47 P | 95:48 offset 63:16

set_gate:       mov edx, eax
                mov [rdi], dx
                mov word [rdi + 2], CODE
                mov word [rdi + 4], 1 << 15 | 14 << 8
                shr edx, 16
                mov [rdi + 6], dx
                add edi, 16
                ret

; Routes IOAPIC input EAX to vector EDX on this processor: edge-triggered, active high (bits 15 and 13 clear), fixed
; delivery, physical destination (82093AA, 3.2.4). The half that unmasks is written last.

ioapic_route:   mov edi, LAPIC
                mov ecx, [rdi + LAPIC_ID]               ; in bits 31:24, where the entry's upper half has it too
                mov edi, IOAPIC
                lea eax, [rax * 2 + IOAPIC_REDTBL + 1]
                mov [rdi + IOAPIC_SELECT], eax
                mov [rdi + IOAPIC_WINDOW], ecx
                dec eax
                mov [rdi + IOAPIC_SELECT], eax
                mov [rdi + IOAPIC_WINDOW], edx
                ret

; Masks IOAPIC input EAX.

ioapic_mask:    mov edi, IOAPIC
                lea eax, [rax * 2 + IOAPIC_REDTBL]
                mov [rdi + IOAPIC_SELECT], eax
                mov dword [rdi + IOAPIC_WINDOW], REDTBL_MASKED
                ret

; ---- Interrupt handlers --------------------------------------------------------------------------------------------

lapic_interrupt:
                inc dword [lapic_ticks]
                jmp end_of_interrupt
pit_interrupt:  inc dword [pit_ticks]
                jmp end_of_interrupt
hpet_interrupt: inc dword [hpet_ticks]

; The address needs a register: as a 32-bit displacement it would be sign-extended (SDM vol. 1, 3.7.5.1).

end_of_interrupt:
                push rax
                mov eax, LAPIC
                mov dword [rax + LAPIC_EOI], 0
                pop rax
spurious_interrupt:                     ; has no in-service bit to clear, so no EOI (SDM 11.9)
                iretq

; ---- Exceptions (SDM 6.15) -----------------------------------------------------------------------------------------
; 32 calls of 5 bytes. The return address that a call leaves tells the vector, so a stub needs no number in it.

STUB_SIZE       equ 5
exception_stubs:
                times 32 call exception

; The stack: the return address of the stub, the error code where there is one, RIP, CS, RFLAGS, RSP, SS. What was
; running does not go on: everything is said, then the prompt starts anew. So no register needs saving.

exception:      pop rax
                sub eax, exception_stubs + STUB_SIZE
                xor edx, edx
                mov ecx, STUB_SIZE
                div ecx
                mov ebx, eax                            ; vector
                mov ecx, HAS_ERROR_CODE
                bt ecx, ebx
                jnc .coded
                pop rbp                                 ; error code
.coded:         mov r12, [rsp]                          ; RIP

                cmp ebx, NAMED_EXCEPTIONS
                jae .unnamed
                lea esi, [exception_names + rbx * 4]
                mov ecx, 4
                call print_bytes
.unnamed:       call say
                db "exception, vector ", 0
                mov eax, ebx
                call print_decimal
                call say
                db ", error code ", 0
                mov ecx, HAS_ERROR_CODE
                bt ecx, ebx
                jc .error
                call say
                db "none", 0
                jmp .where
.error:         mov rax, rbp
                mov ecx, 4
                call print_hex
.where:         call say
                db `\n  RIP `, 0
                mov rax, r12
                call print_hex64
                call say
                db ", CR2 ", 0
                mov rax, cr2
                call print_hex64
                call new_line
                mov esp, STACK_TOP
                sti
                jmp prompt

; Vectors that push an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP (SDM table 6-1).

HAS_ERROR_CODE  equ 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21

exception_names db "#DE #DB NMI #BP #OF #BR #UD #NM #DF     #TS #NP #SS #GP #PF     #MF #AC #MC #XM #VE #CP "
NAMED_EXCEPTIONS equ ($ - exception_names) / 4

                align 8, db 0
idt_pointer:    dw VECTORS * 16 - 1
                dq IDT
