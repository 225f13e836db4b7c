; Lesson 1: a boot sector. What follows a semicolon is a comment.
        bits 16                 ; the CPU begins in 16-bit mode

start:
        hlt                     ; stop
