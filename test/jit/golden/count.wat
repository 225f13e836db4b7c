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
       (i64.const 2)
      )
     )
     (br_if $block
      (i64.lt_s
       (local.get $1)
       (i64.const 2)
      )
     )
     (local.set $8
      (i64.load offset=2097272 align=1
       (i32.const 0)
      )
     )
     (br_if $block
      (i64.ne
       (i64.load offset=2162688 align=1
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
          (i64.const 3)
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
       (i32.load offset=2162696 align=1
        (local.get $12)
       )
      )
     )
     (local.set $8
      (i64.load32_u align=1
       (local.get $16)
      )
     )
     (local.set $16
      (i64.eq
       (local.get $8)
       (i64.const 0)
      )
     )
     (local.set $9
      (select
       (i64.const 32)
       (i64.ctz
        (local.get $8)
       )
       (local.get $16)
      )
     )
     (local.set $8
      (i64.or
       (i64.shl
        (i64.extend_i32_u
         (i64.eq
          (local.get $9)
          (i64.const 0)
         )
        )
        (i64.const 6)
       )
       (i64.extend_i32_u
        (local.get $16)
       )
      )
     )
     (local.set $11
      (i64.ne
       (i64.and
        (local.get $8)
        (i64.const 64)
       )
       (i64.const 0)
      )
     )
     (i64.store offset=2097224 align=1
      (i32.const 0)
      (i64.extend_i32_u
       (i32.wrap_i64
        (local.get $9)
       )
      )
     )
     (i32.store offset=2097184 align=1
      (i32.const 0)
      (i32.const 11)
     )
     (i64.store offset=2097200 align=1
      (i32.const 0)
      (local.get $8)
     )
     (if
      (local.get $11)
      (then
       (local.set $5
        (i64.add
         (local.get $4)
         (i64.const 9)
        )
       )
       (return_call $fimport$30
        (local.get $0)
        (local.get $1)
        (local.get $3)
        (local.get $5)
       )
      )
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
   (local.set $1
    (i64.sub
     (local.get $1)
     (i64.const 2)
    )
   )
   (local.set $8
    (i64.load offset=2097224 align=1
     (i32.const 0)
    )
   )
   (local.set $9
    (i64.add
     (local.get $8)
     (i64.const 1)
    )
   )
   (i64.store offset=2097224 align=1
    (i32.const 0)
    (i64.extend_i32_u
     (i32.wrap_i64
      (local.get $9)
     )
    )
   )
   (i32.store offset=2097184 align=1
    (i32.const 0)
    (i32.const 1)
   )
   (i64.store offset=2097192 align=1
    (i32.const 0)
    (i64.extend_i32_s
     (i32.wrap_i64
      (local.get $9)
     )
    )
   )
   (i64.store offset=2097200 align=1
    (i32.const 0)
    (i64.extend_i32_s
     (i32.wrap_i64
      (local.get $8)
     )
    )
   )
   (i64.store offset=2097208 align=1
    (i32.const 0)
    (i64.const 1)
   )
   (return_call $fimport$28
    (local.get $0)
    (local.get $1)
    (local.get $3)
    (local.get $4)
    (i64.const 1407379178520585)
   )
  )
  (unreachable)
 )
)
