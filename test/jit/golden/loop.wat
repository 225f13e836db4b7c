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
  (local $16 i64)
  (local $17 i64)
  (local $18 i32)
  (local $19 i32)
  (local $20 i32)
  (local $21 i32)
  (local $22 i32)
  (local $23 i32)
  (local $24 i32)
  (local $25 i32)
  (local $scratch i64)
  (local $scratch_27 i64)
  (local $scratch_28 i32)
  (local $scratch_29 i64)
  (local $scratch_30 i64)
  (local $scratch_31 i64)
  (local.set $11
   (i64.load offset=2097168 align=1
    (i32.const 0)
   )
  )
  (local.set $6
   (i64.load offset=2097256 align=1
    (i32.const 0)
   )
  )
  (local.set $3
   (i64.load offset=2097224 align=1
    (i32.const 0)
   )
  )
  (local.set $4
   (i64.load offset=2097232 align=1
    (i32.const 0)
   )
  )
  (local.set $5
   (i64.load offset=2097240 align=1
    (i32.const 0)
   )
  )
  (local.set $7
   (i64.load offset=2097272 align=1
    (i32.const 0)
   )
  )
  (local.set $18
   (i32.load offset=2097184 align=1
    (i32.const 0)
   )
  )
  (local.set $8
   (i64.load offset=2097192 align=1
    (i32.const 0)
   )
  )
  (local.set $9
   (i64.load offset=2097200 align=1
    (i32.const 0)
   )
  )
  (local.set $10
   (i64.load offset=2097208 align=1
    (i32.const 0)
   )
  )
  (local.set $15
   (i64.const 2048)
  )
  (loop
   (block $block
    (loop $label
     (if
      (i64.lt_s
       (local.get $1)
       (i64.const 5)
      )
      (then
       (local.set $13
        (i64.const 281474976710656)
       )
       (br $block)
      )
     )
     (local.set $1
      (i64.sub
       (local.get $1)
       (i64.const 5)
      )
     )
     (if
      (i64.ne
       (i64.and
        (local.get $7)
        (i64.const -4096)
       )
       (local.get $15)
      )
      (then
       (if
        (i64.eq
         (i64.load offset=2162688 align=1
          (local.tee $20
           (i32.and
            (i32.shr_u
             (i32.wrap_i64
              (local.get $7)
             )
             (i32.const 8)
            )
            (i32.const 65520)
           )
          )
         )
         (i64.or
          (i64.and
           (local.get $7)
           (i64.const -4096)
          )
          (i64.load offset=2097216 align=1
           (i32.const 0)
          )
         )
        )
        (then
         (local.set $24
          (i32.load offset=2162696 align=1
           (local.get $20)
          )
         )
         (local.set $15
          (i64.and
           (local.get $7)
           (i64.const -4096)
          )
         )
        )
        (else
         (if
          (i32.eqz
           (local.tee $24
            (call $fimport$0
             (local.get $0)
             (local.get $7)
             (i32.const 1)
            )
           )
          )
          (then
           (i32.store offset=2097372 align=1
            (i32.const 0)
            (i32.const 3736064)
           )
           (local.set $13
            (i64.const 2251821288521728)
           )
           (br $block)
          )
         )
         (local.set $24
          (i32.sub
           (local.get $24)
           (i32.wrap_i64
            (local.get $7)
           )
          )
         )
         (local.set $15
          (i64.const 2048)
         )
        )
       )
      )
     )
     (local.set $25
      (i32.add
       (i32.wrap_i64
        (local.get $7)
       )
       (local.get $24)
      )
     )
     (local.set $16
      (i64.load8_s
       (local.get $25)
      )
     )
     (local.set $17
      (i64.and
       (local.get $16)
       (i64.const 255)
      )
     )
     (local.set $16
      (i64.add
       (local.get $7)
       (i64.const 1)
      )
     )
     (local.set $19
      (i64.ne
       (local.get $16)
       (local.get $5)
      )
     )
     (local.set $3
      (block (result i64)
       (local.set $scratch_31
        (i64.extend_i32_u
         (i32.xor
          (i32.wrap_i64
           (local.get $3)
          )
          (i32.wrap_i64
           (local.get $17)
          )
         )
        )
       )
       (local.set $4
        (block (result i64)
         (local.set $scratch_30
          (local.get $17)
         )
         (local.set $7
          (block (result i64)
           (local.set $scratch_29
            (local.get $16)
           )
           (local.set $18
            (block (result i32)
             (local.set $scratch_28
              (i32.const 0)
             )
             (local.set $8
              (block (result i64)
               (local.set $scratch_27
                (i64.sub
                 (local.get $16)
                 (local.get $5)
                )
               )
               (local.set $9
                (block (result i64)
                 (local.set $scratch
                  (local.get $16)
                 )
                 (local.set $10
                  (local.get $5)
                 )
                 (local.get $scratch)
                )
               )
               (local.get $scratch_27)
              )
             )
             (local.get $scratch_28)
            )
           )
           (local.get $scratch_29)
          )
         )
         (local.get $scratch_30)
        )
       )
       (local.get $scratch_31)
      )
     )
     (if
      (local.get $19)
      (then
       (br $label)
      )
     )
     (local.set $12
      (i64.add
       (local.get $11)
       (i64.const 14)
      )
     )
     (local.set $13
      (i64.const 0)
     )
     (br $block)
    )
   )
   (i64.store offset=2097224 align=1
    (i32.const 0)
    (local.get $3)
   )
   (i64.store offset=2097232 align=1
    (i32.const 0)
    (local.get $4)
   )
   (i64.store offset=2097272 align=1
    (i32.const 0)
    (local.get $7)
   )
   (i32.store offset=2097184 align=1
    (i32.const 0)
    (local.get $18)
   )
   (i64.store offset=2097192 align=1
    (i32.const 0)
    (local.get $8)
   )
   (i64.store offset=2097200 align=1
    (i32.const 0)
    (local.get $9)
   )
   (i64.store offset=2097208 align=1
    (i32.const 0)
    (local.get $10)
   )
   (if
    (i64.ne
     (local.get $13)
     (i64.const 0)
    )
    (then
     (return_call $fimport$28
      (local.get $0)
      (local.get $1)
      (local.get $6)
      (local.get $11)
      (local.get $13)
     )
    )
   )
   (return_call $fimport$30
    (local.get $0)
    (local.get $1)
    (local.get $6)
    (local.get $12)
   )
  )
  (unreachable)
 )
)
