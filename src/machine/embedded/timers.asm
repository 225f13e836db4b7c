; What the clocks do, measured against the ACPI power management timer: the frequency of the TSC and of the local
; APIC's timer, then how many interrupts the local APIC, the HPET and the PIT make in 200 ms at 100 Hz. Only one source
; runs at a time. Nothing here is known in advance but the timer's own frequency and the PIT's.

PM_HZ           equ 3579545             ; ACPI 6.5, 4.8.3.3: counts up at this rate, in 24 bits or in 32
PM_MASK         equ 0xffffff            ; so only 24 are used: times up to 4.6 s can be told
PIT_HZ          equ 1193182
RATE            equ 100                 ; interrupts a second to ask for
WINDOW          equ PM_HZ / 5           ; 200 ms
HALF_PERIOD     equ PM_HZ / RATE / 2
CALIBRATION     equ PM_HZ / 20          ; 50 ms

FADT_PM_TMR     equ 76                  ; ACPI 6.5, table 5.9
PM_DEFAULT      equ 0x608               ; where Tabhyve and the 440FX machines of QEMU have it

LAPIC_INITIAL   equ 0x380               ; SDM 11.5.4
LAPIC_CURRENT   equ 0x390
LAPIC_DIVIDE    equ 0x3e0
DIVIDE_BY_16    equ 0x3
LVT_PERIODIC    equ 1 << 17

PIT_CHANNEL_0   equ 0x40                ; 8254 datasheet: channel 0 is wired to ISA interrupt 0 ...
PIT_CONTROL     equ 0x43
PIT_RATE        equ 0x34                ; channel 0, both bytes, mode 2 (rate generator)
PIT_QUIET       equ 0x30                ; the same in mode 0: without a count the output stays low
PIT_INPUT       equ 2                   ; ... which comes to input 2 of the IOAPIC on PCs (MPS 1.4, 5.1)

HPET_ADDRESS    equ 44                  ; in its ACPI table (IA-PC HPET 1.0a, 3.2.4)
HPET_PERIOD     equ 0x004               ; registers (2.3): length of a count in femtoseconds
HPET_CONFIG     equ 0x010
HPET_COUNTER    equ 0x0f0
HPET_T0_CONFIG  equ 0x100
HPET_T0_ROUTES  equ 0x104               ; inputs of the IOAPIC that timer 0 can be routed to, as a mask
HPET_T0_VALUE   equ 0x108
HPET_ENABLE     equ 1 << 0
HPET_T0_ENABLE  equ 1 << 2              ; edge-triggered while bit 1 is clear
HPET_T0_PERIODIC equ 1 << 3
HPET_T0_CAN_PERIODIC equ 1 << 4
HPET_T0_SET     equ 1 << 6
HPET_T0_32      equ 1 << 8              ; the upper half of the comparator does not count: reset leaves ones in it
FEMTOSECONDS    equ 1000000000000000    ; in a second

pm_port         equ VARIABLES + 0x50    ; dword
lapic_hz        equ VARIABLES + 0x54    ; dword: of its timer, behind the divider

report_clocks:  call say
                db `Clocks\n`, 0
                mov al, PIT_QUIET       ; whatever firmware left running
                out PIT_CONTROL, al
                call pm_init
                jc .no_reference
                call calibrate
                call report_lapic
                call report_hpet
                jmp report_pit
.no_reference:  call say
                db `  no measurements: the ACPI PM timer does not count\n`, 0
                ret

; ---- The reference -------------------------------------------------------------------------------------------------

; Finds the PM timer through the FADT. Carry flag set: it stands still.

pm_init:        mov edx, PM_DEFAULT
                mov edi, "FACP"
                push rdx
                call acpi_find
                pop rdx
                test eax, eax
                jz .found
                mov ecx, [rax + FADT_PM_TMR]
                test ecx, ecx
                cmovnz edx, ecx
.found:         mov [pm_port], edx
                call pm_read
                mov r8d, eax
                mov ecx, 100000         ; far longer than one count takes
.again:         call pm_read
                cmp eax, r8d
                jne .counts
                loop .again
                stc
                ret
.counts:        clc
                ret

; EAX: the PM timer. Changes RDX too.

pm_read:        mov edx, [pm_port]
                in eax, dx
                ret

; Waits for EAX counts of the PM timer. EAX: how many it really were.

pm_wait:        mov r8d, eax
                call pm_read
                mov r9d, eax
.again:         pause
                call pm_read
                sub eax, r9d
                and eax, PM_MASK
                cmp eax, r8d
                jb .again
                ret

; RAX = frequency in Hz of what counted RAX during RCX counts of the PM timer.

to_hz:          mov edx, PM_HZ
                mul rdx
                div rcx
                ret

; ---- TSC and local APIC timer --------------------------------------------------------------------------------------

; Runs the local APIC timer once through 50 ms, its interrupt masked, and reads the TSC at both ends.

calibrate:      push rbx
                mov edi, LAPIC
                mov dword [rdi + LAPIC_DIVIDE], DIVIDE_BY_16
                mov dword [rdi + LAPIC_LVT_TIMER], LVT_MASKED
                mov dword [rdi + LAPIC_INITIAL], 0xffffffff
                call read_tsc
                mov rbx, rax
                mov eax, CALIBRATION
                call pm_wait
                mov ecx, eax
                call read_tsc
                sub rax, rbx
                mov ebx, [rdi + LAPIC_CURRENT]
                mov dword [rdi + LAPIC_INITIAL], 0      ; stops it
                not ebx                                 ; counts down: this is what has passed
                xchg rax, rbx
                call to_hz
                mov [lapic_hz], eax
                call say
                db "  tsc: ", 0
                mov rax, rbx
                call to_hz
                call print_mhz
                call say
                db " measured", 0

; What the processor itself says. Leaf 15H: the TSC runs at EBX / EAX of a crystal of ECX Hz, each of which may be 0
; for "not known". Leaf 16H: base frequency in MHz, which is the TSC's where leaf 15H knows no crystal (SDM vol. 3B,
; 18.7.3).

                mov eax, 0x15
                call cpuid_leaf
                mov eax, [cpuid_result + 4]
                mov edx, [cpuid_result + 8]
                mov ecx, [cpuid_result]
                jecxz .base
                mul rdx
                div rcx
                test rax, rax
                jz .base
                call say
                db ", CPUID 15H says ", 0
                call print_mhz
                jmp .end
.base:          mov eax, 0x16
                call cpuid_leaf
                movzx eax, word [cpuid_result]
                test eax, eax
                jz .end
                call say
                db ", CPUID 16H says ", 0
                imul rax, rax, 1000000
                call print_mhz
.end:           pop rbx
                jmp new_line

; RAX: the TSC, once all before it is done (SDM vol. 2B, RDTSC). Changes RDX too.

read_tsc:       lfence
                rdtsc
                shl rdx, 32
                or rax, rdx
                ret

; ---- Interrupts counted --------------------------------------------------------------------------------------------

; Prints "NAME 100 Hz: 20 ticks in 200 ms (". The source is running and counts in the dword at RBX. The window opens
; half a period after the start: then a tick that is a little late or early does not fall out of it or into it.

count_ticks:    push r12
                mov eax, HALF_PERIOD
                call pm_wait
                mov r12d, [rbx]
                mov eax, WINDOW
                call pm_wait
                neg r12d
                add r12d, [rbx]
                mov ecx, eax
                call say
                db " ", 0
                mov eax, RATE
                push rcx
                call print_decimal
                call say
                db " Hz: ", 0
                mov eax, r12d
                call print_decimal
                call say
                db " ticks in ", 0
                pop rax
                imul rax, rax, 1000
                add rax, PM_HZ / 2
                xor edx, edx
                mov ecx, PM_HZ
                div rcx
                call print_decimal
                call say
                db " ms (", 0
                pop r12
                ret

; Local APIC timer, periodic.

report_lapic:   push rbx
                call say
                db "  lapic", 0
                mov eax, [lapic_hz]
                xor edx, edx
                mov ecx, RATE
                div ecx
                mov edi, LAPIC
                mov dword [rdi + LAPIC_LVT_TIMER], LVT_PERIODIC | VECTOR_LAPIC
                mov [rdi + LAPIC_INITIAL], eax
                mov ebx, lapic_ticks
                call count_ticks
                mov edi, LAPIC
                mov dword [rdi + LAPIC_INITIAL], 0
                mov dword [rdi + LAPIC_LVT_TIMER], LVT_MASKED
                mov eax, [lapic_hz]
                shl rax, 4                      ; before the divider
                call print_mhz
                call say
                db `)\n`, 0
                pop rbx
                ret

; HPET timer 0, periodic, to the highest input of the IOAPIC that it can be routed to: the low ones belong to ISA.

report_hpet:    push rbx
                push r12
                push r13
                call say
                db "  hpet", 0
                mov edi, "HPET"
                call acpi_find
                test eax, eax
                jz .none
                mov r12, [rax + HPET_ADDRESS]
                mov rax, r12
                shr rax, 32                     ; nothing above 4 GiB is mapped
                jnz .none
                test dword [r12 + HPET_T0_CONFIG], HPET_T0_CAN_PERIODIC
                jz .none
                bsr r13d, [r12 + HPET_T0_ROUTES]
                jz .none

                mov ecx, [r12 + HPET_PERIOD]
                mov rax, FEMTOSECONDS
                xor edx, edx
                div rcx
                mov ebx, eax                    ; Hz
                xor edx, edx
                mov ecx, RATE
                div ecx
                mov esi, eax                    ; counts between two ticks
                mov eax, r13d
                mov edx, VECTOR_HPET
                push rax
                call ioapic_route
                pop rax

                mov dword [r12 + HPET_CONFIG], 0        ; the counter stands, and no legacy replacement
                mov dword [r12 + HPET_COUNTER], 0
                mov dword [r12 + HPET_COUNTER + 4], 0
                shl eax, 9                              ; route, 13:9
                or eax, HPET_T0_ENABLE | HPET_T0_PERIODIC | HPET_T0_SET | HPET_T0_32
                mov [r12 + HPET_T0_CONFIG], eax
                mov [r12 + HPET_T0_VALUE], esi          ; the first match, by HPET_T0_SET,
                mov [r12 + HPET_T0_VALUE], esi          ; then the period (2.3.9.2.2)
                mov dword [r12 + HPET_CONFIG], HPET_ENABLE

                push rbx
                mov ebx, hpet_ticks
                call count_ticks
                pop rax
                call print_mhz
                mov dword [r12 + HPET_CONFIG], 0
                mov dword [r12 + HPET_T0_CONFIG], 0
                mov eax, r13d
                call ioapic_mask
                mov eax, r13d
                call close_with_input
                jmp .end
.none:          call say
                db `: none that can be used\n`, 0
.end:           pop r13
                pop r12
                pop rbx
                ret

; Ends a line with the IOAPIC input EAX.

close_with_input:
                call say
                db ", IOAPIC input ", 0
                call print_decimal
                call say
                db `)\n`, 0
                ret

; PIT channel 0.

report_pit:     push rbx
                call say
                db "  pit", 0
                mov eax, PIT_INPUT
                mov edx, VECTOR_PIT
                call ioapic_route
                mov al, PIT_RATE
                out PIT_CONTROL, al
                mov eax, (PIT_HZ + RATE / 2) / RATE
                out PIT_CHANNEL_0, al
                mov al, ah
                out PIT_CHANNEL_0, al
                mov ebx, pit_ticks
                call count_ticks
                mov al, PIT_QUIET
                out PIT_CONTROL, al
                mov eax, PIT_INPUT
                call ioapic_mask
                mov eax, PIT_HZ
                call print_mhz
                mov eax, PIT_INPUT
                pop rbx
                jmp close_with_input
