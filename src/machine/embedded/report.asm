; What the machine is: memory, processor, ACPI tables.

MBI_CMDLINE     equ 16                  ; Multiboot information (3.3): offsets, and the flag bits that go with them
MBI_MMAP_LENGTH equ 44
MBI_MMAP_ADDR   equ 48
MBI_LOADER      equ 64
HAS_CMDLINE     equ 1 << 2
HAS_MMAP        equ 1 << 6
HAS_LOADER      equ 1 << 9

MMAP_SIZE       equ 0                   ; entry of the memory map; its size field does not count itself
MMAP_BASE       equ 4
MMAP_LENGTH     equ 12
MMAP_TYPE       equ 20
MMAP_RAM        equ 1

cpuid_result    equ VARIABLES + 0x40    ; dwords: EAX, EBX, ECX, EDX

; The first line. The version is what the command line says it is: version=1.2.3

banner:         call say
                db "Tabhyve", 0
                mov edi, [info]
                test dword [rdi], HAS_CMDLINE
                jz .end
                mov esi, [rdi + MBI_CMDLINE]
                mov rax, "version="
.search:        cmp byte [rsi], 0
                je .end
                cmp [rsi], rax
                je .found
                inc rsi
                jmp .search
.found:         add rsi, 7              ; the character before the version, to be printed as a space
                mov al, " "
.character:     call putc
                inc rsi
                mov al, [rsi]
                cmp al, " "
                ja .character
.end:           call say
                db `, embedded guest\n`, 0
                ret

; The whole report.

machine:        mov edi, [info]
                test dword [rdi], HAS_LOADER
                jz .command_line
                call say
                db "Loader: ", 0
                mov esi, [rdi + MBI_LOADER]
                call print
                call new_line
.command_line:  test dword [rdi], HAS_CMDLINE
                jz .reports
                call say
                db "Command line: ", 0
                mov esi, [rdi + MBI_CMDLINE]
                call print
                call new_line
.reports:       call report_memory
                call report_processor
                call report_acpi
                jmp report_clocks

new_line:       mov al, `\n`
                jmp putc

; The loader's memory map, one line for each range, and how much of it is RAM.

report_memory:  push rbx
                push r12
                push r13
                call say
                db `Memory map\n`, 0
                mov ebx, [info]
                test dword [rbx], HAS_MMAP
                jz .end
                mov r12d, [rbx + MBI_MMAP_LENGTH]
                mov ebx, [rbx + MBI_MMAP_ADDR]
                add r12, rbx            ; end
                xor r13d, r13d          ; bytes of RAM
.range:         cmp rbx, r12
                jae .total
                call indent
                mov rax, [rbx + MMAP_BASE]
                call print_hex64
                mov al, "-"
                call putc
                mov rax, [rbx + MMAP_BASE]
                add rax, [rbx + MMAP_LENGTH]
                dec rax
                call print_hex64
                mov rax, [rbx + MMAP_LENGTH]
                shr rax, 10
                mov ecx, 10
                mov dil, " "
                call print_aligned
                call say
                db " KiB ", 0
                mov eax, [rbx + MMAP_TYPE]
                cmp eax, MMAP_RAM
                jne .named
                add r13, [rbx + MMAP_LENGTH]
.named:         mov esi, memory_types
                cmp eax, MEMORY_TYPES
                ja .other
.skip:          dec eax                 ; names are in the order of the types, from 1 on
                jz .name
                js .other
.character:     cmp byte [rsi], 0
                lea rsi, [rsi + 1]
                jne .character
                jmp .skip
.name:          call print
                jmp .next
.other:         call say
                db "type ", 0
                mov eax, [rbx + MMAP_TYPE]
                call print_decimal
.next:          call new_line
                mov eax, [rbx + MMAP_SIZE]
                lea rbx, [rbx + rax + 4]
                jmp .range
.total:         call indent
                mov rax, r13
                shr rax, 10
                call print_decimal
                call say
                db ` KiB of RAM\n`, 0
.end:           pop r13
                pop r12
                pop rbx
                ret

memory_types    db "RAM", 0, "reserved", 0, "ACPI tables", 0, "ACPI NVS", 0, "bad", 0   ; ACPI 6.5, table 15.5
MEMORY_TYPES    equ 5

indent:         call say
                db "  ", 0
                ret

; CPUID leaf EAX, subleaf 0, into cpuid_result. Zeros where the processor does not have the leaf: it would answer
; with another one's data (SDM vol. 2A, CPUID). Each range of leaves starts with its highest one.

cpuid_leaf:     push rbx
                mov r8d, eax
                and eax, 0xffff0000
                cpuid
                mov r9d, eax
                xor eax, eax
                xor ebx, ebx
                xor ecx, ecx
                xor edx, edx
                cmp r8d, r9d
                ja .store
                mov eax, r8d
                cpuid
.store:         mov [cpuid_result], eax
                mov [cpuid_result + 4], ebx
                mov [cpuid_result + 8], ecx
                mov [cpuid_result + 12], edx
                pop rbx
                ret

; Prints ECX bytes at RSI, up to a zero. (CPUID's strings need not end with one.)

print_bytes:    mov al, [rsi]
                test al, al
                jz .end
                call putc
                inc rsi
                loop print_bytes
.end:           ret

report_processor:
                push rbx
                push r12
                push r13
                call say
                db `Processor\n  `, 0
                xor eax, eax
                call cpuid_leaf
                mov eax, [cpuid_result + 12]    ; the vendor is in EBX, EDX, ECX, in this order
                xchg eax, [cpuid_result + 8]
                mov [cpuid_result + 12], eax
                mov esi, cpuid_result + 4
                mov ecx, 12
                call print_bytes

; Family, model and stepping, CPUID.1:EAX (SDM vol. 2A, CPUID, "INPUT EAX = 01H"):
;
;       31:28     27:20      19:16    15:14  13:12  11:8     7:4    3:0
;       -      ext. family  ext. model  -    type  family   model  stepping
;
; The extended family counts for family 15 only, the extended model for families 6 and 15.

                mov eax, 1
                call cpuid_leaf
                mov ebx, [cpuid_result]
                mov eax, ebx
                shr eax, 8
                and eax, 15
                mov r12d, ebx
                shr r12d, 4
                and r12d, 15                    ; model
                mov r13d, ebx
                shr r13d, 12
                and r13d, 0xf0                  ; extended model, in its place
                cmp eax, 6
                je .extended
                cmp eax, 15
                jne .family
                mov edx, ebx
                shr edx, 20
                movzx edx, dl
                add eax, edx
.extended:      or r12d, r13d
.family:        call say_keeping
                db " family ", 0
                call print_decimal
                call say
                db " model ", 0
                mov eax, r12d
                call print_decimal
                call say
                db " stepping ", 0
                mov eax, ebx
                and eax, 15
                call print_decimal

                bt dword [cpuid_result + 8], 31 ; a hypervisor's bit; its name is in EBX, ECX, EDX of its leaf
                jnc .brand
                call say
                db ", hypervisor ", 0
                mov eax, 0x40000000
                call cpuid_leaf
                mov esi, cpuid_result + 4
                mov ecx, 12
                call print_bytes

; The brand string: 48 bytes in three leaves, with blanks in front on some processors.

.brand:         call new_line
                mov ebx, 0x80000002
                xor r12d, r12d                  ; anything printed yet
.part:          mov eax, ebx
                call cpuid_leaf
                mov esi, cpuid_result
                mov ecx, 16
.character:     lodsb
                test al, al
                jz .next
                test r12d, r12d
                jnz .put
                cmp al, " "
                je .next
                mov r12d, eax
                call indent_keeping
.put:           call putc
.next:          loop .character
                inc ebx
                cmp ebx, 0x80000004
                jbe .part
                test r12d, r12d
                jz .features
                call new_line

; The features, by the names below, in lines of at most 78 columns.

.features:      mov ebx, feature_names
                mov r12d, 100                   ; column: too far, so the first name starts a line
.register:      mov eax, [rbx]
                test eax, eax
                jz .end
                call cpuid_leaf
                movzx eax, byte [rbx + 4]
                mov r13d, [cpuid_result + rax]
                add ebx, 5
.bit:           mov rsi, rbx                    ; the name, to its blank or zero
.length:        inc ebx
                cmp byte [rbx], " "
                ja .length
                shr r13d, 1
                jnc .after
                mov ecx, ebx
                sub ecx, esi
                cmp byte [rsi], "-"             ; a bit without a name
                je .after
                lea r12d, [r12 + rcx + 1]
                cmp r12d, 78
                jb .same_line
                call new_line_once
                lea r12d, [rcx + 2]
.same_line:     mov al, " "
                call putc
                call print_bytes
.after:         inc ebx
                cmp byte [rbx - 1], 0
                jne .bit
                jmp .register
.end:           call new_line
                pop r13
                pop r12
                pop rbx
                ret
