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
  (local $18 f64)
  (local $19 f64)
  (local $20 f64)
  (local $21 f64)
  (local $22 f64)
  (local $23 f64)
  (local $24 f64)
  (local $25 f64)
  (local $26 f64)
  (local $27 f64)
  (local $28 f64)
  (local $29 f64)
  (local $30 f64)
  (local $31 f64)
  (local $32 f64)
  (local $33 f64)
  (local $34 f64)
  (local $35 f64)
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
      (i64.const 4)
     )
    )
    (br_if $block
     (i64.lt_s
      (local.get $1)
      (i64.const 0)
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
       (local.tee $13
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
    (local.set $17
     (i32.add
      (i32.wrap_i64
       (local.get $8)
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
    (i64.store offset=2100896 align=1
     (i32.const 0)
     (local.get $8)
    )
    (local.set $18
     (f64.reinterpret_i64
      (local.get $8)
     )
    )
    (i64.store offset=2100904 align=1
     (i32.const 0)
     (i64.const 0)
    )
    (local.set $35
     (local.get $18)
    )
    (local.set $8
     (i64.shl
      (i64.reinterpret_f64
       (local.get $35)
      )
      (i64.const 1)
     )
    )
    (local.set $19
     (f64.load offset=2100928 align=1
      (i32.const 0)
     )
    )
    (local.set $34
     (local.get $19)
    )
    (local.set $9
     (i64.shl
      (i64.reinterpret_f64
       (local.get $34)
      )
      (i64.const 1)
     )
    )
    (local.set $35
     (f64.mul
      (local.get $35)
      (local.get $34)
     )
    )
    (local.set $10
     (i64.shl
      (i64.reinterpret_f64
       (local.get $35)
      )
      (i64.const 1)
     )
    )
    (block $block3
     (block $block2
      (block $block1
       (local.set $16
        (i32.eq
         (i32.and
          (i32.load offset=2100892 align=1
           (i32.const 0)
          )
          (i32.const 32672)
         )
         (i32.const 8096)
        )
       )
       (br_if $block1
        (i32.eqz
         (local.get $16)
        )
       )
       (br_if $block1
        (i64.lt_u
         (i64.sub
          (local.get $8)
          (i64.const 1)
         )
         (i64.const 9007199254740991)
        )
       )
       (br_if $block1
        (i64.lt_u
         (i64.sub
          (local.get $9)
          (i64.const 1)
         )
         (i64.const 9007199254740991)
        )
       )
       (br_if $block2
        (i64.ge_u
         (i64.sub
          (local.get $10)
          (i64.const 18014398509481984)
         )
         (i64.const -27021597764222976)
        )
       )
       (local.set $18
        (local.get $35)
       )
       (f64.store offset=2100896 align=1
        (i32.const 0)
        (local.get $18)
       )
       (br $block3)
      )
      (if
       (i32.eqz
        (call $fimport$17
         (local.get $0)
         (i32.const 3736096)
        )
       )
       (then
        (return_call $fimport$28
         (local.get $0)
         (local.get $1)
         (local.get $3)
         (local.get $4)
         (i64.const 12884901892)
        )
       )
      )
      (local.set $18
       (f64.load offset=2100896 align=1
        (i32.const 0)
       )
      )
      (br $block3)
     )
     (if
      (i32.and
       (i64.eqz
        (local.get $10)
       )
       (i32.or
        (i64.eqz
         (local.get $9)
        )
        (i64.eqz
         (local.get $8)
        )
       )
      )
      (then
       (local.set $18
        (local.get $35)
       )
       (f64.store offset=2100896 align=1
        (i32.const 0)
        (local.get $18)
       )
      )
      (else
       (if
        (i32.eqz
         (call $fimport$17
          (local.get $0)
          (i32.const 3736096)
         )
        )
        (then
         (return_call $fimport$28
          (local.get $0)
          (local.get $1)
          (local.get $3)
          (local.get $4)
          (i64.const 12884901892)
         )
        )
       )
       (local.set $18
        (f64.load offset=2100896 align=1
         (i32.const 0)
        )
       )
      )
     )
    )
    (local.set $35
     (local.get $18)
    )
    (local.set $8
     (i64.shl
      (i64.reinterpret_f64
       (local.get $35)
      )
      (i64.const 1)
     )
    )
    (local.set $34
     (f64.load offset=8 align=1
      (local.get $17)
     )
    )
    (local.set $9
     (i64.shl
      (i64.reinterpret_f64
       (local.get $34)
      )
      (i64.const 1)
     )
    )
    (local.set $35
     (f64.add
      (local.get $35)
      (local.get $34)
     )
    )
    (local.set $10
     (i64.shl
      (i64.reinterpret_f64
       (local.get $35)
      )
      (i64.const 1)
     )
    )
    (block $block6
     (block $block5
      (block $block4
       (br_if $block4
        (i32.eqz
         (local.get $16)
        )
       )
       (br_if $block4
        (i64.lt_u
         (i64.sub
          (local.get $8)
          (i64.const 1)
         )
         (i64.const 9007199254740991)
        )
       )
       (br_if $block4
        (i64.lt_u
         (i64.sub
          (local.get $9)
          (i64.const 1)
         )
         (i64.const 9007199254740991)
        )
       )
       (br_if $block5
        (i64.ge_u
         (i64.sub
          (local.get $10)
          (i64.const 18014398509481984)
         )
         (i64.const -27021597764222976)
        )
       )
       (local.set $18
        (local.get $35)
       )
       (f64.store offset=2100896 align=1
        (i32.const 0)
        (local.get $18)
       )
       (br $block6)
      )
      (if
       (i32.eqz
        (call $fimport$17
         (local.get $0)
         (i32.const 3736128)
        )
       )
       (then
        (return_call $fimport$28
         (local.get $0)
         (local.get $1)
         (local.get $3)
         (local.get $4)
         (i64.const 8589934600)
        )
       )
      )
      (local.set $18
       (f64.load offset=2100896 align=1
        (i32.const 0)
       )
      )
      (br $block6)
     )
     (if
      (i64.eqz
       (local.get $10)
      )
      (then
       (local.set $18
        (local.get $35)
       )
       (f64.store offset=2100896 align=1
        (i32.const 0)
        (local.get $18)
       )
      )
      (else
       (if
        (i32.eqz
         (call $fimport$17
          (local.get $0)
          (i32.const 3736128)
         )
        )
        (then
         (return_call $fimport$28
          (local.get $0)
          (local.get $1)
          (local.get $3)
          (local.get $4)
          (i64.const 8589934600)
         )
        )
       )
       (local.set $18
        (f64.load offset=2100896 align=1
         (i32.const 0)
        )
       )
      )
     )
    )
    (return_call $fimport$28
     (local.get $0)
     (local.get $1)
     (local.get $3)
     (local.get $4)
     (i64.const 1407379178520589)
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
