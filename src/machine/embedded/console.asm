; The console: the 16550 at COM1 (PC16550D datasheet), 115200 baud, 8 data bits, no parity, one stop bit. Output waits
; for room in the transmitter; input comes by interrupt into a ring, so that the processor can sleep in between.

COM1            equ 0x3f8
IER             equ 1                   ; interrupt enable
FCR             equ 2                   ; FIFO control
LCR             equ 3                   ; line control; bit 7 (DLAB) puts the divisor at offsets 0 and 1
MCR             equ 4                   ; modem control
LSR             equ 5                   ; line status
MCR_LOOP        equ 1 << 4              ; what is sent is received, and the line is not heard
IER_RECEIVED    equ 1 << 0              ; interrupt when data is there
LSR_DR          equ 1 << 0              ; data ready
LSR_THRE        equ 1 << 5              ; transmitter holding register (with FIFOs: transmit FIFO) empty
COM1_INPUT      equ 4                   ; of the IOAPIC: ISA interrupt 4

BELL            equ 7
BACKSPACE       equ 8
CTRL_C          equ 3
ESCAPE          equ 27
DELETE          equ 127

; The ring has 256 bytes, so that its byte indices wrap by themselves. Empty: head = tail.
ring            equ VARIABLES + 0x100
ring_head       equ VARIABLES + 0x20    ; byte: where the interrupt puts the next one
ring_tail       equ VARIABLES + 0x21    ; byte: where getc takes it
after_return    equ VARIABLES + 0x22    ; byte: the last key was CR, so an LF now belongs to it

line            equ VARIABLES + 0x200   ; what was typed, with a zero at the end
LINE_MAX        equ 120

; Output works after this. Called from 32-bit mode, before anything else. What was typed before is not to be lost:
; turning the FIFOs on empties the receiver (datasheet, 8.4), so what is there goes into the ring first, and nothing may come
; in between: in loopback the receiver hears no line (8.6).

                bits 32

serial_init:    mov edx, COM1 + MCR
                mov al, MCR_LOOP
                out dx, al
                xor ecx, ecx
.early:         mov edx, COM1 + LSR
                in al, dx
                test al, LSR_DR
                jz .set_up
                mov edx, COM1
                in al, dx
                mov [ring + ecx], al
                inc ecx
                cmp cl, 255             ; as many as the ring holds
                jb .early
.set_up:        mov [ring_head], cl
                mov esi, .settings
                mov ecx, (.end - .settings) / 2
.next:          lodsw                   ; AL the register, AH its value
                movzx edx, al
                add edx, COM1
                mov al, ah
                out dx, al
                loop .next
                ret

; MCR: DTR, RTS, and OUT2, which on a PC lets the interrupt through to the interrupt controllers.
.settings:      db IER, 0               ; no interrupts yet
                db LCR, 0x80            ; DLAB
                db 0, 1                 ; divisor 1: 1.8432 MHz / 16 / 1 = 115200 baud
                db 1, 0
                db LCR, 0x03            ; 8n1
                db FCR, 0x01            ; FIFOs on, interrupt at the first byte
                db MCR, 0x0b
.end:

                bits 64

; Input works after this. The order matters: with a byte waiting, the UART raises its interrupt as soon as it may, and
; an IOAPIC input that is still masked does not keep an edge for later (82093AA, 3.2.4, bit 16).

input_init:     mov eax, COM1_INPUT
                mov edx, VECTOR_COM1
                call ioapic_route
                mov edx, COM1 + IER
                mov al, IER_RECEIVED
                out dx, al
                ret

; ---- Output --------------------------------------------------------------------------------------------------------

; Prints the text that follows the call, up to a zero, and returns behind it: the text stands where it is used.
; Changes no register. The first exchange puts the return address into RSI and the caller's RSI on the stack.

say:            xchg rsi, [rsp]
                push rax
                push rdx
                call print
                pop rdx
                pop rax
                xchg rsi, [rsp]
                ret

; Prints the text at RSI up to a zero; RSI is then behind the zero. Changes RAX and RDX too.

print:          lodsb
                test al, al
                jz .end
                call putc
                jmp print
.end:           ret

; Ends the line, or starts one. Neither changes a register.

new_line:       call say
                db `\n`, 0
                ret
indent:         call say
                db "  ", 0
                ret

; Prints AL; a line feed becomes CR LF. Changes RAX and RDX only.

putc:           cmp al, `\n`
                jne .raw
                mov al, `\r`
                call .raw
                mov al, `\n`
.raw:           mov ah, al
                mov edx, COM1 + LSR
.wait:          in al, dx
                test al, LSR_THRE
                jz .wait
                mov al, ah
                mov edx, COM1
                out dx, al
                ret

; ---- Input ---------------------------------------------------------------------------------------------------------

; Empties the receiver: the IOAPIC input is edge-triggered, and the UART makes no new edge while data is left. When
; the ring is full, what comes is lost.

com1_interrupt: push rax
                push rcx
                push rdx
.next:          mov edx, COM1 + LSR
                in al, dx
                test al, LSR_DR
                jz .done
                mov edx, COM1
                in al, dx
                movzx ecx, byte [ring_head]
                mov [ring + rcx], al
                inc cl
                cmp cl, [ring_tail]
                je .next
                mov [ring_head], cl
                jmp .next
.done:          pop rdx
                pop rcx
                pop rax
                jmp end_of_interrupt

; Waits for a byte and returns it in AL. Interrupts must be off between looking and sleeping, or a byte could come
; right then and nobody would wake up. STI opens them only after the instruction that follows it, so HLT is reached
; first (SDM vol. 2B, STI).

getc:           cli
                movzx ecx, byte [ring_tail]
                cmp cl, [ring_head]
                jne .take
                sti
                hlt
                jmp getc
.take:          mov al, [ring + rcx]
                inc byte [ring_tail]
                sti
                ret

; Reads a line into `line`. Backspace and delete take the last character back, Ctrl-C drops the line (it is then
; empty). Escape sequences of cursor and function keys are swallowed; so is all that is not printable ASCII.

read_line:      push r12
                push r13
                xor r12d, r12d          ; length
.key:           call getc
                mov r13d, eax
                mov al, [after_return]
                mov byte [after_return], 0
                cmp r13b, `\n`
                je .line_feed
                cmp r13b, `\r`
                je .return
                cmp r13b, CTRL_C
                je .cancel
                cmp r13b, BACKSPACE
                je .rub_out
                cmp r13b, DELETE
                je .rub_out
                cmp r13b, ESCAPE
                je .sequence
                cmp r13b, " "
                jb .key
                cmp r13b, DELETE
                ja .key
                cmp r12d, LINE_MAX
                jae .full
                mov [line + r12], r13b
                inc r12d
                mov al, r13b
                jmp .echo
.full:          mov al, BELL
.echo:          call putc
                jmp .key

.rub_out:       test r12d, r12d
                jz .key
                dec r12d
                call say
                db `\b \b`, 0
                jmp .key

.sequence:      call getc               ; ESC O x, or ESC [ parameters x with x from 40H to 7EH (ECMA-48, 5.4)
                cmp al, "O"
                je .last
                cmp al, "["
                jne .key
.parameter:     call getc
                cmp al, 0x40
                jb .parameter
                jmp .key
.last:          call getc
                jmp .key

.cancel:        call say
                db "^C", 0
                xor r12d, r12d
                jmp .end
.line_feed:     cmp al, `\r`
                je .key
.return:        mov [after_return], r13b
.end:           mov byte [line + r12], 0
                call new_line
                pop r13
                pop r12
                ret
