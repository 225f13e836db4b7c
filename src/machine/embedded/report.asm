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
.named:         mov esi, memory_types           ; names in the order of the types, from 1 on
                lea ecx, [rax - 1]
                cmp ecx, MEMORY_TYPES           ; unsigned: a type of 0 is too large as well
                jae .other
                jecxz .name
.skip:          lodsb
                test al, al
                jnz .skip
                loop .skip
.name:          call print
                jmp .next
.other:         call say
                db "type ", 0
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

; The processor: name, family, brand string, features.

report_processor:
                push rbx
                call say
                db `Processor\n  `, 0
                xor eax, eax
                call cpuid_leaf
                mov eax, [cpuid_result + 12]    ; the vendor is in EBX, EDX, ECX, in this order
                xchg eax, [cpuid_result + 8]
                mov [cpuid_result + 12], eax
                call print_name

; Family, model and stepping, CPUID.1:EAX (SDM vol. 2A, CPUID, "INPUT EAX = 01H"):
;
;       31:28     27:20      19:16    15:14  13:12  11:8     7:4    3:0
;       -      ext. family  ext. model  -    type  family   model  stepping
;
; The extended family counts for family 15 only, the extended model for families 6 and 15.

                mov eax, 1
                call cpuid_leaf
                mov eax, [cpuid_result]
                mov ebx, eax
                mov ecx, eax
                mov edx, eax
                shr eax, 8
                and eax, 15             ; family
                shr ebx, 4
                and ebx, 15             ; model
                shr ecx, 12
                and ecx, 0xf0           ; extended model, in its place
                shr edx, 20
                movzx edx, dl           ; extended family
                cmp eax, 15
                je .extended_family
                cmp eax, 6
                je .extended_model
                jmp .family
.extended_family:
                add eax, edx
.extended_model:
                or ebx, ecx
.family:        call say
                db " family ", 0
                call print_decimal
                call say
                db " model ", 0
                mov eax, ebx
                call print_decimal
                call say
                db " stepping ", 0
                mov eax, [cpuid_result]
                and eax, 15
                call print_decimal

                bt dword [cpuid_result + 8], 31 ; no processor sets this bit: a hypervisor does
                jnc .brand
                call say
                db ", hypervisor ", 0
                mov eax, 0x40000000
                call cpuid_leaf
                call print_name
.brand:         call new_line
                pop rbx
                call report_brand
                jmp report_features

; The name of 12 characters that CPUID left in EBX, ECX, EDX.

print_name:     mov esi, cpuid_result + 4
                mov ecx, 12

; ECX characters at RSI, up to a zero.

print_bytes:    lodsb
                test al, al
                jz .end
                call putc
                loop print_bytes
.end:           ret

; The brand string: 48 characters in three leaves, with blanks in front on some processors.

report_brand:   push rbx
                mov ebx, 0x80000002
                xor r10d, r10d          ; not zero once something is printed
.part:          mov eax, ebx
                call cpuid_leaf
                mov esi, cpuid_result
                mov ecx, 16
.character:     lodsb
                test al, al
                jz .next
                test r10d, r10d
                jnz .put
                cmp al, " "
                je .next
                inc r10d
                call indent
.put:           call putc
.next:          loop .character
                inc ebx
                cmp ebx, 0x80000004
                jbe .part
                pop rbx
                test r10d, r10d
                jnz new_line
                ret

; The features, by the names below, in lines of at most 78 columns.

report_features:
                push rbx
                push r12
                mov r12d, 1             ; column
                mov al, " "
                call putc
                mov ebx, feature_names
.register:      mov eax, [rbx]
                test eax, eax
                jz .end
                call cpuid_leaf
                movzx eax, byte [rbx + 4]
                mov r10d, [cpuid_result + rax * 4]
                add ebx, 5
.bit:           mov esi, ebx
.length:        inc ebx
                cmp byte [rbx], " "
                ja .length
                mov ecx, ebx
                sub ecx, esi
                shr r10d, 1             ; this name's bit goes into the carry flag
                jnc .next
                cmp byte [rsi], "-"
                je .next
                lea r12d, [r12 + rcx + 1]
                cmp r12d, 78
                jbe .print
                call say
                db `\n `, 0
                lea r12d, [rcx + 2]
.print:         mov al, " "
                call putc
                call print_bytes
.next:          inc ebx
                cmp byte [rbx - 1], 0
                jne .bit
                jmp .register
.end:           call new_line
                pop r12
                pop rbx
                ret

; Names by leaf and register (0 EAX, 1 EBX, 2 ECX, 3 EDX), from bit 0 on, as short as Linux has them in
; /proc/cpuinfo; "-" is a bit without a name.

feature_names:  dd 1
                db 3, "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts "
                db "acpi mmx fxsr sse sse2 ss ht tm - pbe", 0
                dd 1
                db 2, "sse3 pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - "
                db "pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline aes xsave osxsave avx f16c rdrand "
                db "hypervisor", 0
                dd 7
                db 1, "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm - - mpx - avx512f "
                db "avx512dq rdseed adx smap avx512ifma - clflushopt clwb - - - - sha_ni avx512bw avx512vl", 0
                dd 0x80000001
                db 3, "- - - - - - - - - - - syscall - - - - - - - - nx - mmxext - - fxsr_opt pdpe1gb rdtscp "
                db "- lm 3dnowext 3dnow", 0
                dd 0x80000001
                db 2, "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs", 0
                dd 0x80000007
                db 3, "- - - - - - - - constant_tsc", 0
                dd 0

; The tables of the root table, by signature.

report_acpi:    call say
                db "ACPI", 0
                xor ecx, ecx
                call acpi_next
                test eax, eax
                jnz .table
                call say
                db " none", 0
                jmp .end
.table:         mov r10, rax
                call say
                db " ", 0
                mov esi, eax
                mov r11d, ecx
                mov ecx, 4
                call print_bytes
                mov ecx, r11d
                call say
                db " at ", 0
                mov rax, r10
                push r11
                mov ecx, 8
                call print_hex
                pop rcx
                call acpi_next
                test eax, eax
                jnz .table
.end:           jmp new_line
