 (export "0" (func $0))
 (func $0 (param $0 i32) (param $1 i64) (param $2 i32) (result i64)
  (local $3 i64)
  (local $4 i64)
  (local $5 i64)
  (local $6 i64)
  (local $7 i64)
  (local $8 i64)
  (local $9 i32)
  (local $10 i32)
  (local $11 i32)
  (local $12 i32)
  (local $13 i32)
  (local $14 i32)
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
    (block $block2
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
       (i64.load offset=2097224 align=1
        (i32.const 0)
       )
      )
      (local.set $10
       (i32.lt_u
        (i32.wrap_i64
         (local.get $8)
        )
        (i32.const 5)
       )
      )
      (i32.store offset=2097184 align=1
       (i32.const 0)
       (i32.const 0)
      )
      (i64.store offset=2097192 align=1
       (i32.const 0)
       (i64.extend_i32_s
        (i32.add
         (i32.wrap_i64
          (local.get $8)
         )
         (i32.const -5)
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
       (i64.const 5)
      )
      (if
       (local.get $10)
       (then
        (br $block1)
       )
      )
      (br $block2)
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
    (i64.store offset=2097232 align=1
     (i32.const 0)
     (i64.const 1)
    )
    (return_call $fimport$28
     (local.get $0)
     (local.get $1)
     (local.get $3)
     (local.get $4)
     (i64.const 1407379178520586)
    )
   )
   (local.set $1
    (i64.sub
     (local.get $1)
     (i64.const 2)
    )
   )
   (i64.store offset=2097232 align=1
    (i32.const 0)
    (i64.const 2)
   )
   (return_call $fimport$28
    (local.get $0)
    (local.get $1)
    (local.get $3)
    (local.get $4)
    (i64.const 1407379178520592)
   )
  )
  (unreachable)
 )
)
