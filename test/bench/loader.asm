; Boots a Linux that lies on the disk as it is, so that every machine with a PC's firmware boots the same image. What lies
; where stands at `table`, filled in by scripts/bench/bootDisk.mjs; the kernel is entered by its 16-bit protocol
; (Documentation/x86/boot.rst).

SETUP           equ 0x9000              ; segment of the kernel's setup code
COMMAND_LINE    equ 0x9900              ; segment
BUFFER          equ 0x1000              ; segment: 32 KiB on their way up
PIECE           equ 64                  ; sectors of a piece
INITRD          equ 0x0800              ; its address, in units of 64 KiB: 128 MiB

                org 0x7c00
                bits 16

start:          jmp 0:main
main:           xor ax, ax
                mov ds, ax
                mov es, ax
                mov ss, ax
                mov sp, 0x7c00
                mov [drive], dl
                cld
                ; The setup code and the command line go where they are used.
                mov eax, [table.setup]
                mov cx, [table.setup_sectors]
                mov bx, SETUP
                call read
                mov eax, [table.line]
                mov cx, 1
                mov bx, COMMAND_LINE
                call read
                ; The kernel goes to 1 MiB, the initial RAM disk to 128 MiB.
                mov eax, [table.kernel]
                mov edx, [table.kernel_sectors]
                mov word [to], 0x0010
                call up
                mov eax, [table.initrd]
                mov edx, [table.initrd_sectors]
                mov word [to], INITRD
                call up
                mov ax, SETUP
                mov es, ax
                mov byte [es:0x210], 0xff       ; type_of_loader: none that has a number
                or byte [es:0x211], 0x80        ; loadflags: CAN_USE_HEAP
                mov word [es:0x224], 0x8e00     ; heap_end_ptr
                mov dword [es:0x228], 0x99000   ; cmd_line_ptr
                mov dword [es:0x218], 0x8000000 ; ramdisk_image
                mov eax, [table.initrd_bytes]
                mov [es:0x21c], eax             ; ramdisk_size
                cli
                mov ax, SETUP
                mov ds, ax
                mov fs, ax
                mov gs, ax
                mov ss, ax
                mov sp, 0x8e00
                jmp 0x9020:0

; Reads CX sectors (127 at most) from EAX on to BX:0.
read:           pushad
                mov [packet.lba], eax
                mov [packet.count], cx
                mov [packet.segment], bx
                mov si, packet
                mov ah, 0x42
                mov dl, [drive]
                int 0x13
                jc broken
                popad
                ret

; Moves EDX sectors from EAX on to [to] * 64 KiB and on.
up:             mov word [low], 0
.next:          mov cx, PIECE
                mov bx, BUFFER
                call read
                pushad
                mov ax, [low]
                mov [gdt.to], ax
                mov al, [to]
                mov [gdt.to + 2], al
                mov al, [to + 1]
                mov [gdt.to + 5], al
                mov cx, PIECE * 256             ; words
                mov si, gdt
                mov ah, 0x87
                int 0x15
                jc broken
                popad
                add word [low], PIECE * 512
                adc word [to], 0
                add eax, PIECE
                sub edx, PIECE
                ja .next
                ret

broken:         mov si, .text
.next:          lodsb
                test al, al
                jz .end
                mov ah, 0x0e
                xor bx, bx
                int 0x10
                jmp .next
.end:           hlt
                jmp .end
.text:          db "the loader cannot read the disk", 0

drive:          db 0
low:            dw 0
to:             dw 0
packet:         db 16, 0
.count:         dw 0
                dw 0
.segment:       dw 0
.lba:           dq 0
; Descriptors as INT 15h AH=87h wants them: two for itself, source, destination, two for itself.
gdt:            times 16 db 0
                dw 0xffff, 0x0000
                db 0x01, 0x93, 0, 0
                dw 0xffff
.to:            dw 0
                db 0, 0x93, 0, 0
                times 16 db 0

                times 440 - ($ - $$) db 0
table:
.setup:         dd 0
.setup_sectors: dd 0
.line:          dd 0
.kernel:        dd 0
.kernel_sectors: dd 0
.initrd:        dd 0
.initrd_sectors: dd 0
.initrd_bytes:  dd 0
                times 510 - ($ - $$) db 0
                dw 0xaa55
