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
  (local $13 i32)
  (local $14 i32)
  (local $15 i32)
  (local $16 i32)
  (local $17 i32)
  (local $18 i32)
  (local $19 i32)
  (local $20 i32)
  (local.set $4
   (i64.load offset=16 align=1
    (local.get $0)
   )
  )
  (local.set $3
   (i64.load offset=104 align=1
    (local.get $0)
   )
  )
  (loop
   (if
    (i64.lt_s
     (local.get $1)
     (i64.const 4)
    )
    (then
     (return_call $fimport$28
      (local.get $0)
      (local.get $1)
      (local.get $3)
      (local.get $4)
      (i64.const 281474976710656)
     )
    )
   )
   (local.set $1
    (i64.sub
     (local.get $1)
     (i64.const 4)
    )
   )
   (block $block1
    (block $block
     (local.set $8
      (i64.load offset=72 align=1
       (local.get $0)
      )
     )
     (i64.store offset=72 align=1
      (local.get $0)
      (i64.extend_i32_u
       (i32.wrap_i64
        (i64.shr_u
         (call $fimport$16
          (i64.extend_i32_s
           (i32.wrap_i64
            (local.get $8)
           )
          )
         )
         (i64.const 32)
        )
       )
      )
     )
     (local.set $19
      (call $fimport$17
       (local.get $0)
       (i32.add
        (local.get $0)
        (i32.const 1638944)
       )
      )
     )
     (local.set $8
      (i64.load offset=72 align=1
       (local.get $0)
      )
     )
     (local.set $20
      (i32.load offset=32 align=1
       (local.get $0)
      )
     )
     (local.set $8
      (i64.load offset=40 align=1
       (local.get $0)
      )
     )
     (local.set $9
      (i64.load offset=48 align=1
       (local.get $0)
      )
     )
     (local.set $10
      (i64.load offset=56 align=1
       (local.get $0)
      )
     )
     (br_if $block
      (i32.eqz
       (local.get $19)
      )
     )
     (local.set $19
      (call $fimport$17
       (local.get $0)
       (i32.add
        (local.get $0)
        (i32.const 1638976)
       )
      )
     )
     (local.set $11
      (i64.load offset=72 align=1
       (local.get $0)
      )
     )
     (local.set $12
      (i64.load offset=88 align=1
       (local.get $0)
      )
     )
     (br_if $block1
      (i32.eqz
       (local.get $19)
      )
     )
     (return_call $fimport$28
      (local.get $0)
      (local.get $1)
      (local.get $3)
      (local.get $4)
      (i64.const 1407379178520585)
     )
    )
    (return_call $fimport$28
     (local.get $0)
     (local.get $1)
     (local.get $3)
     (local.get $4)
     (i64.const 12884901890)
    )
   )
   (return_call $fimport$28
    (local.get $0)
    (local.get $1)
    (local.get $3)
    (local.get $4)
    (i64.const 8589934599)
   )
  )
  (unreachable)
 )
)
