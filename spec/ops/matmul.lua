-- Samples of matmul.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 2, 3 }, S.randn { 3, 5 } }, name = "matrices" },
    { args = { S.randn { 7 }, S.randn { 7 } }, name = "vectors" },
    { args = { S.randn { 3 }, S.randn { 3, 4 } }, name = "vector and matrix" },
    { args = { S.randn { 2, 3 }, S.randn { 3 } }, name = "matrix and vector" },
    { args = { S.randn { 5, 2, 3 }, S.randn { 5, 3, 4 } }, name = "batches" },
    { args = { S.randn { 5, 2, 3 }, S.randn { 3, 4 } }, name = "batch and matrix" },
    { args = { S.randn { 2, 3 }, S.randn { 5, 3, 4 } }, name = "matrix and batch" },
    { args = { S.randn { 5, 2, 3 }, S.randn { 3 } }, name = "batch and vector" },
    { args = { S.randn { 3 }, S.randn { 5, 3, 4 } }, name = "vector and batch" },
    { args = { S.randn { 5, 1, 2, 3 }, S.randn { 6, 3, 4 } }, name = "broadcast batches" },
    { args = { S.randn { 1, 1 }, S.randn { 1, 1 } }, name = "sizes of 1" },
    { args = { S.randn { 0, 3 }, S.randn { 3, 4 } }, name = "no rows" },
    { args = { S.randn { 2, 0 }, S.randn { 0, 4 } }, name = "an empty sum" },
    { args = { S.int({ 3, 4 }, -9, 9), S.int({ 4, 5 }, -9, 9) }, name = "whole numbers" },
    { args = { S.randn { 33, 65 }, S.randn { 65, 17 } }, grad = { false, false }, name = "odd sizes" },
  },
  errors = {
    { call = function(m) m.matmul(m.zeros { 2, 3 }, m.zeros { 2, 3 }) end,
      message = "matmul: inner sizes differ, 3 against 2 ({2, 3} x {2, 3})" },
    { call = function(m) m.matmul(m.zeros { 2, 3 }, m.zeros({ 3 }, { dtype = "int64" })) end,
      message = "matmul: dtypes float32 and int64", hint = 'b:to("float32")' },
    { call = function(m) m.matmul(m.zeros {}, m.zeros { 3 }) end,
      message = "matmul: both inputs need 1 dimension or more ({} x {3})" },
    { call = function(m) m.matmul(m.zeros { 2, 3, 4 }, m.zeros { 3, 4, 5 }) end,
      message = "matmul: batches {2} and {3} do not broadcast ({2, 3, 4} x {3, 4, 5})" },
  },
  tolerance = { float32 = 1e-5 },
}
