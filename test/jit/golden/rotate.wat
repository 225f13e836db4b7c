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
  (local $11 i64)
  (local $12 i64)
  (local $13 i64)
  (local $14 i64)
  (local $15 i64)
  (local $16 i32)
  (local $17 i32)
  (local $18 i32)
  (local $19 i32)
  (local $20 i32)
  (local $21 i32)
  (local $22 i32)
  (local $23 i32)
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
      (i64.const 3)
     )
    )
    (br_if $block
     (i64.lt_s
      (local.get $1)
      (i64.const 0)
     )
    )
    (local.set $8
     (i64.load offset=2097224 align=1
      (i32.const 0)
     )
    )
    (local.set $9
     (i64.extend_i32_u
      (i32.wrap_i64
       (local.get $8)
      )
     )
    )
    (local.set $8
     (i64.or
      (i64.shl
       (local.get $9)
       (i64.const 5)
      )
      (i64.shr_u
       (local.get $9)
       (i64.const 27)
      )
     )
    )
    (local.set $22
     (i32.load offset=2097184 align=1
      (i32.const 0)
     )
    )
    (local.set $9
     (i64.load offset=2097192 align=1
      (i32.const 0)
     )
    )
    (local.set $10
     (i64.load offset=2097200 align=1
      (i32.const 0)
     )
    )
    (local.set $11
     (i64.load offset=2097208 align=1
      (i32.const 0)
     )
    )
    (local.set $12
     (i64.load offset=2097232 align=1
      (i32.const 0)
     )
    )
    (local.set $13
     (i64.and
      (local.get $12)
      (i64.const 31)
     )
    )
    (local.set $12
     (i64.load offset=2097248 align=1
      (i32.const 0)
     )
    )
    (local.set $14
     (i64.extend_i32_u
      (i32.wrap_i64
       (local.get $12)
      )
     )
    )
    (local.set $15
     (i64.shr_u
      (local.get $14)
      (local.get $13)
     )
    )
    (local.set $23
     (i64.ne
      (local.get $13)
      (i64.const 0)
     )
    )
    (i64.store offset=2097224 align=1
     (i32.const 0)
     (i64.extend_i32_u
      (i32.wrap_i64
       (local.get $8)
      )
     )
    )
    (i64.store offset=2097248 align=1
     (i32.const 0)
     (i64.extend_i32_u
      (i32.wrap_i64
       (local.get $15)
      )
     )
    )
    (i32.store offset=2097184 align=1
     (i32.const 0)
     (i32.wrap_i64
      (select
       (i64.const 3)
       (i64.const 11)
       (local.get $23)
      )
     )
    )
    (i64.store offset=2097192 align=1
     (i32.const 0)
     (select
      (i64.extend_i32_s
       (i32.wrap_i64
        (local.get $15)
       )
      )
      (local.get $9)
      (local.get $23)
     )
    )
    (i64.store offset=2097200 align=1
     (i32.const 0)
     (select
      (i64.shr_u
       (local.get $14)
       (i64.add
        (local.get $13)
        (i64.const -1)
       )
      )
      (i64.or
       (i64.and
        (call $fimport$4
         (local.get $22)
         (local.get $9)
         (local.get $10)
         (local.get $11)
        )
        (i64.const -2)
       )
       (i64.and
        (i64.extend_i32_s
         (i32.wrap_i64
          (local.get $8)
         )
        )
        (i64.const 1)
       )
      )
      (local.get $23)
     )
    )
    (i64.store offset=2097208 align=1
     (i32.const 0)
     (select
      (i64.extend_i32_s
       (i32.wrap_i64
        (local.get $12)
       )
      )
      (local.get $11)
      (local.get $23)
     )
    )
    (return_call $fimport$28
     (local.get $0)
     (local.get $1)
     (local.get $3)
     (local.get $4)
     (i64.const 1407379178520581)
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
