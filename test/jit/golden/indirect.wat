 (export "0" (func $0))
 (func $0 (param $0 i32) (param $1 i64) (param $2 i32) (result i64)
  (local $3 i64)
  (local $4 i64)
  (local $5 i64)
  (local $6 i64)
  (local $7 i64)
  (local $8 i64)
  (local $9 i64)
  (local $10 i64)
  (local $11 i32)
  (local $12 i32)
  (local $13 i32)
  (local $14 i32)
  (local $15 i32)
  (local $16 i32)
  (local $17 i32)
  (local.set $4
   (i64.load offset=2097168 align=1
    (i32.const 0)
   )
  )
  (local.set $3
   (i64.load offset=2097256 align=1
    (i32.const 0)
   )
  )
  (loop
   (block $block
    (local.set $1
     (i64.sub
      (local.get $1)
      (i64.const 1)
     )
    )
    (br_if $block
     (i64.lt_s
      (local.get $1)
      (i64.const 0)
     )
    )
    (local.set $8
     (i64.load offset=2097248 align=1
      (i32.const 0)
     )
    )
    (local.set $9
     (i64.load offset=2097224 align=1
      (i32.const 0)
     )
    )
    (local.set $10
     (i64.add
      (local.get $8)
      (i64.shl
       (local.get $9)
       (i64.const 3)
      )
     )
    )
    (br_if $block
     (i64.ne
      (i64.load offset=2162688 align=1
       (local.tee $13
        (i32.and
         (i32.shr_u
          (i32.wrap_i64
           (local.get $10)
          )
          (i32.const 8)
         )
         (i32.const 65520)
        )
       )
      )
      (i64.or
       (i64.and
        (i64.add
         (local.get $10)
         (i64.const 7)
        )
        (i64.const -4096)
       )
       (i64.load offset=2097216 align=1
        (i32.const 0)
       )
      )
     )
    )
    (local.set $17
     (i32.add
      (i32.wrap_i64
       (local.get $10)
      )
      (i32.load offset=2162696 align=1
       (local.get $13)
      )
     )
    )
    (local.set $8
     (i64.load align=1
      (local.get $17)
     )
    )
    (br_if $block
     (i64.ne
      (i64.shr_s
       (i64.shl
        (local.get $8)
        (i64.const 16)
       )
       (i64.const 16)
      )
      (local.get $8)
     )
    )
    (local.set $5
     (local.get $8)
    )
    (return_call $fimport$30
     (local.get $0)
     (local.get $1)
     (local.get $3)
     (local.get $5)
    )
   )
   (return_call $fimport$29
    (local.get $0)
    (local.get $1)
    (local.get $3)
    (local.get $4)
    (i32.const 1638912)
   )
  )
  (unreachable)
 )
)
