 (export "0" (func $0))
 (func $0 (param $0 i32) (param $1 i64) (param $2 i32) (result i64)
  (local $3 i64)
  (local $4 i64)
  (local $5 i64)
  (local $6 i64)
  (local $7 i64)
  (local $8 i64)
  (local $9 i64)
  (local $10 i32)
  (local $11 i32)
  (local $12 i32)
  (local $13 i32)
  (local $14 i32)
  (local $15 i32)
  (local $16 i32)
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
   (block $block1
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
       (i64.const 3)
      )
     )
     (local.set $8
      (i64.add
       (local.get $3)
       (i64.const -8)
      )
     )
     (br_if $block
      (i64.ne
       (i64.load offset=2228224 align=1
        (local.tee $12
         (i32.and
          (i32.shr_u
           (i32.wrap_i64
            (local.get $8)
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
          (local.get $8)
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
     (local.set $16
      (i32.add
       (i32.wrap_i64
        (local.get $8)
       )
       (i32.load offset=2228232 align=1
        (local.get $12)
       )
      )
     )
     (i64.store align=1
      (local.get $16)
      (i64.add
       (local.get $4)
       (i64.const 5)
      )
     )
     (local.set $3
      (local.get $8)
     )
     (br $block1)
    )
    (return_call $fimport$29
     (local.get $0)
     (local.get $1)
     (local.get $3)
     (local.get $4)
     (i32.const 1638912)
    )
   )
   (block $block3
    (block $block2
     (local.set $1
      (i64.sub
       (local.get $1)
       (i64.const 3)
      )
     )
     (local.set $8
      (i64.load offset=2097248 align=1
       (i32.const 0)
      )
     )
     (local.set $9
      (i64.add
       (local.get $3)
       (i64.const -8)
      )
     )
     (br_if $block2
      (i64.ne
       (i64.load offset=2228224 align=1
        (local.tee $12
         (i32.and
          (i32.shr_u
           (i32.wrap_i64
            (local.get $9)
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
          (local.get $9)
          (i64.const 15)
         )
         (i64.const -4096)
        )
        (i64.load offset=2097216 align=1
         (i32.const 0)
        )
       )
      )
     )
     (local.set $16
      (i32.add
       (i32.wrap_i64
        (local.get $9)
       )
       (i32.load offset=2228232 align=1
        (local.get $12)
       )
      )
     )
     (i64.store align=1
      (local.get $16)
      (local.get $8)
     )
     (local.set $8
      (i64.load align=1
       (local.get $16)
      )
     )
     (local.set $9
      (i64.load offset=8 align=1
       (local.get $16)
      )
     )
     (br_if $block3
      (i64.ne
       (i64.shr_s
        (i64.shl
         (local.get $9)
         (i64.const 16)
        )
        (i64.const 16)
       )
       (local.get $9)
      )
     )
     (local.set $5
      (local.get $9)
     )
     (i64.store offset=2097248 align=1
      (i32.const 0)
      (local.get $8)
     )
     (local.set $3
      (i64.add
       (local.get $3)
       (i64.const 8)
      )
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
     (i32.const 1639088)
    )
   )
   (i64.store offset=2097248 align=1
    (i32.const 0)
    (local.get $8)
   )
   (local.set $3
    (local.get $3)
   )
   (return_call $fimport$28
    (local.get $0)
    (local.get $1)
    (local.get $3)
    (local.get $4)
    (i64.const 844429225099272)
   )
  )
  (unreachable)
 )
)
