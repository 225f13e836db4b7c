; Finds ACPI tables (ACPI 6.5, 5.2). They lie in RAM below 4 GiB on PCs; what lies above is out of reach here.

TABLE_LENGTH    equ 4                   ; offsets in a table's header (5.2.6)
TABLE_ENTRIES   equ 36

acpi_root       equ VARIABLES + 0x30    ; dword: address of the XSDT or RSDT, 0 if there is none
acpi_step       equ VARIABLES + 0x34    ; dword: size of its entries

; Looks for the RSDP: "RSD PTR " on 16 bytes, in the first KiB of the extended BIOS data area, then between 0xe0000
; and 0xfffff (5.2.5.1), with a checksum over 20 bytes.

acpi_init:      movzx edi, word [0x40e]         ; segment of the EBDA; 0 where no firmware has run
                shl edi, 4
                lea r8d, [rdi + 1024]
                call .search
                mov edi, 0xe0000
                mov r8d, 0x100000

; Between EDI and R8D. Leaves the root table in acpi_root: the XSDT's 64-bit entries where there is one, as the
; specification wants (5.2.8), else the RSDT's of 32 bits.
.search:        mov rax, "RSD PTR "
.next:          cmp edi, r8d
                jae .end
                cmp [rdi], rax
                je .check
.skip:          add edi, 16
                jmp .next
.check:         xor ecx, ecx
                xor edx, edx
.sum:           add dl, [rdi + rcx]
                inc ecx
                cmp ecx, 20
                jb .sum
                test dl, dl
                jnz .skip
                mov ecx, 4
                mov eax, [rdi + 16]             ; RSDT
                cmp byte [rdi + 15], 2          ; revision
                jb .found
                mov rdx, [rdi + 24]             ; XSDT
                test rdx, rdx
                jz .found
                mov rsi, rdx
                shr rsi, 32
                jnz .found
                mov eax, edx
                mov ecx, 8
.found:         mov [acpi_root], eax
                mov [acpi_step], ecx
.end:           ret

; The table that follows the one with number ECX in the root table, from 0 on: its address in RAX, 0 at the end.
; Advances ECX. Changes RDX and RSI too.

acpi_next:      mov esi, [acpi_root]
                xor eax, eax
                test esi, esi
                jz .end
                mov edx, [acpi_step]
                imul edx, ecx
                add edx, TABLE_ENTRIES
                cmp edx, [rsi + TABLE_LENGTH]
                jae .end
                inc ecx
                mov eax, [rsi + rdx]
                cmp dword [acpi_step], 8
                jne .end
                cmp dword [rsi + rdx + 4], 0
                jne acpi_next                   ; above 4 GiB
.end:           ret

; The table with the signature EDI: address in RAX, 0 if it is not there.

acpi_find:      xor ecx, ecx
.next:          call acpi_next
                test eax, eax
                jz .end
                cmp [rax], edi
                jne .next
.end:           ret
