; Lesson 1. What follows a semicolon is a comment.
        bits 16                 ; the CPU begins in 16-bit mode

start:
        hlt                     ; stop; replace this by your program
