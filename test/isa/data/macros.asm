; The preprocessor: what OS teaching code uses of it.
bits 32
org 0x1000
%define PORT 0x3f8
%define pair(a, b) ((a) << 8 | (b))
%define TWICE(x) (x) + (x)
%idefine Loud 7
%xdefine FIXED PORT
%define PORT 0x2f8
%assign count 3
%strlen length 'hello'
%define JOINED lab %+ el

%macro outb 2
        mov dx, %1
        mov al, %2
        out dx, al
%endmacro
%macro wait_for 1-2 0x20
%%again: in al, %1
        test al, %2
        jz %%again
%endmacro
%macro pushes 1-*
  %rep %0
        push %1
    %rotate 1
  %endrep
%endmacro
%macro text 1+
        db %1
%endmacro
%macro gate 2
  %ifidn %2, trap
        dw %1, 8, 0x8f00, 0
  %elifidni %2, INT
        dw %1, 8, 0x8e00, 0
  %else
    %error no such gate
  %endif
%endmacro
%imacro isr 1
isr%1:  push dword %1
        jmp short shared
%endmacro
%macro push 2
        push %1
        push %2
%endmacro
%macro named 1
%1_start: nop
        %{1}_end equ $
        dd %1_start, %1_end
%endmacro

JOINED: outb PORT, 'x'
        outb FIXED, LOUD
start:  wait_for 0x64
        wait_for 0x64, 2
        pushes eax, ebx, ecx
        push eax, edx
        push esi
        text "Hi, there", 13, 10, 0
        dw pair(1, 2), TWICE(3), length
        gate 0x10, trap
        gate 0x20, int
shared: nop
%assign n 0
%rep 4
        isr n
  %assign n n+1
  %if n == 3
    %exitrep
  %endif
%endrep
%ifdef PORT
        db 1
%else
        db 2
%endif
%ifndef NOTHING
        db 3
%elif 1
        db 4
%endif
%if count > 2 && count != 4 || 0
        db 5
  %if count = 9
        db 6
  %elif count <= 3
        db 7
  %else
        db 8
  %endif
%else
  %if 1
        db 9
  %endif
%endif
%undef PORT
%ifdef PORT
        db 10
%endif
%ifnum 5
        db 11
%endif
%ifid eax
        db 12
%endif
%ifstr "x"
        db 13
%endif
%ifempty
        db 14
%endif
%ifmacro outb
        db 15
%endif
%if 0
  %macro hidden 0
        db 16
  %endmacro
%endif
        named thing
here:   outb 0x80, 1
        db (5 > 3) + (2 == 2), -7 %% 4, -7 % 4
; A comment that goes on \
        db 17
        times 3 db \
          18
MODE equ 5
%if MODE == 5
        db 19
%endif
        finit
        fstcw [ebx]
        fstsw ax
