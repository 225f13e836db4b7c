; The prompt and its commands.

ACPI_PM1_CNT    equ 0x604               ; where Tabhyve and the 440FX machines of QEMU have PM1a control
SLP_EN_S5       equ 1 << 13             ; SLP_EN with SLP_TYP 0, which means S5 there (ACPI 6.5, 4.8.3.2.1)
RESET_CONTROL   equ 0xcf9
RESET_HARD      equ 1 << 1              ; SYS_RST: a hard reset ...
RESET_NOW       equ 1 << 2              ; ... when RST_CPU goes from 0 to 1

; Exceptions come back here too, with an empty stack.

prompt:         call say
                db "tabhyve> ", 0
                call read_line
                mov esi, line
.blank:         lodsb
                cmp al, " "
                je .blank
                test al, al
                jz prompt
                dec esi
                mov ebx, esi            ; the word that was typed

; Compares it with each command's name. What follows a command on the line is not looked at.

                mov edi, commands
.command:       mov ebp, [rdi]
                test ebp, ebp
                jz .unknown
                add edi, 4
                mov esi, ebx
.character:     mov al, [rsi]
                cmp al, " "
                ja .compare
                mov al, 0               ; a blank ends the word like the end of the line
.compare:       cmp al, [rdi]
                jne .skip
                inc esi
                inc edi
                test al, al
                jnz .character
                call rbp
                jmp prompt
.skip:          call skip_text          ; the rest of the name
                call skip_text          ; what it does
                jmp .command

.unknown:       mov esi, ebx
                call print
                call say
                db `: no such command; "help" lists them\n`, 0
                jmp prompt

; Moves EDI behind the next zero.

skip_text:      inc edi
                cmp byte [rdi - 1], 0
                jne skip_text
                ret

; Address, name, what it does.

commands:       dd help
                db "help", 0, "this list", 0
                dd machine
                db "machine", 0, "what the machine is", 0
                dd report_clocks
                db "ticks", 0, "measure the clocks again", 0
                dd registers
                db "regs", 0, "control and system registers", 0
                dd divide
                db "divide", 0, "divide by zero (#DE)", 0
                dd page_fault
                db "pagefault", 0, "read where no page is (#PF)", 0
                dd undefined
                db "ud", 0, "execute an undefined instruction (#UD)", 0
                dd fault
                db "fault", 0, "triple fault, which resets the processor", 0
                dd halt
                db "halt", 0, "stop the processor for good", 0
                dd reboot
                db "reboot", 0, "reset the machine", 0
                dd power_off
                db "poweroff", 0, "switch the machine off", 0
                dd 0

help:           push rbx
                mov ebx, commands
.command:       cmp dword [rbx], 0
                je .end
                lea esi, [rbx + 4]
                call indent
                call print
                mov ecx, ebx
                sub ecx, esi
                add ecx, 16             ; 11 columns for the name, after 4 of address and 1 of zero
.pad:           mov al, " "
                call putc
                loop .pad
                call print
                call new_line
                mov ebx, esi
                jmp .command
.end:           pop rbx
                ret

; ---- Registers -----------------------------------------------------------------------------------------------------

registers:      mov rax, cr0
                call register
                db "CR0 ", 0
                mov rax, cr2
                call register
                db "CR2 ", 0
                mov rax, cr3
                call register
                db "CR3 ", 0
                mov rax, cr4
                call register
                db "CR4 ", 0
                mov rax, cr8
                call register
                db "CR8 ", 0
                mov ecx, EFER
                call read_msr
                call register
                db "EFER", 0
                mov ecx, 0x1b           ; IA32_APIC_BASE (SDM vol. 4)
                call read_msr
                call register
                db "APIC_BASE", 0
                pushfq
                pop rax
                call register
                db "RFLAGS", 0
                mov rax, rsp
                call register
                db "RSP", 0
                sub rsp, 16             ; SGDT and SIDT store a limit of 2 bytes, then a base of 8
                sgdt [rsp]
                mov rax, [rsp + 2]
                call register
                db "GDT", 0
                sidt [rsp]
                mov rax, [rsp + 2]
                add rsp, 16
                call register
                db "IDT", 0
                str eax
                call register
                db "TR", 0
                mov eax, cs
                call register
                db "CS", 0
                ret

; Prints a line with the name that follows the call and RAX; returns behind the name, as `say` does.

register:       pop rsi
                push rax
                call indent
                mov edi, esi
                call print
                mov ecx, edi
                sub ecx, esi
                add ecx, 12             ; 10 columns for the name, one for the blank after it
.pad:           mov al, " "
                call putc
                loop .pad
                pop rax
                push rsi
                call print_hex64
                jmp new_line

read_msr:       rdmsr
                shl rdx, 32
                or rax, rdx
                ret

; ---- Exceptions on purpose -----------------------------------------------------------------------------------------

divide:         xor ecx, ecx
                div ecx
                ret

page_fault:     mov rax, 0x123456789000 ; canonical, and far above the 4 GiB that are mapped
                mov al, [rax]
                ret

undefined:      ud2
                ret

; With an empty IDT no exception can be delivered: the breakpoint becomes #GP, that a double fault, and that a
; shutdown (SDM 6.15, interrupt 8), which a PC answers with a reset.

fault:          call say
                db `Triple fault: a breakpoint, with an empty IDT.\n`, 0
                lidt [empty_idt]
                int3
empty_idt:      dw 0
                dq 0

; ---- Endings -------------------------------------------------------------------------------------------------------

; HLT with interrupts off ends at an NMI or SMI all the same, hence the loop.

halt:           call say
                db `Halted.\n`, 0
.stop:          cli
                hlt
                jmp .stop

reboot:         call say
                db `Resetting.\n`, 0
                mov edx, RESET_CONTROL
                mov al, RESET_HARD
                out dx, al
                mov al, RESET_HARD | RESET_NOW
                out dx, al
                jmp still_here

power_off:      call say
                db `Switching off.\n`, 0
                mov edx, ACPI_PM1_CNT
                mov eax, SLP_EN_S5
                out dx, ax

; A machine may take a moment to do it.

still_here:     mov ecx, 1000000
.wait:          pause
                loop .wait
                call say
                db `This machine does not do that.\n`, 0
                ret

image_end:
