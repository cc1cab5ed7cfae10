-- Samples of embedding. Rows count from 1.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.labels({ 5 }, 7), S.randn { 7, 3 } } },
    { args = { S.labels({ 2, 3, 4 }, 4), S.randn { 4, 5 } }, name = "three dimensions" },
    { args = { S.labels({}, 4), S.randn { 4, 5 } }, name = "a single number" },
    { args = { S.int({ 6 }, 1, 3, "int32"), S.randn { 3, 1 } }, name = "int32, size 1" },
    { args = { S.labels({ 0 }, 4), S.randn { 4, 5 } }, name = "no numbers" },
    { args = { S.labels({ 9 }, 4), S.randn { 4, 5 } }, options = { padding_idx = 2 }, grad = false,
      name = "a row without a gradient" },
  },
  errors = {
    { call = function(m) m.embedding(m.tensor({ 1, 0 }, { dtype = "int64" }), m.zeros { 4, 2 }) end,
      message = "embedding: index 2 of 2 is 0; rows of weight run 1..4",
      hint = "positions counted from 0? add 1" },
    { call = function(m) m.embedding(m.tensor({ 1, 5 }, { dtype = "int64" }), m.zeros { 4, 2 }) end,
      message = "embedding: index 2 of 2 is 5; rows of weight run 1..4" },
    { call = function(m) m.embedding(m.zeros { 2 }, m.zeros { 4, 2 }) end,
      message = "embedding: index is float32; expected one of int64 int32" },
    { call = function(m) m.embedding(m.tensor({ 1 }, { dtype = "int64" }), m.zeros { 4 }) end,
      message = "embedding: weight has 1 dimension {4}; expected {rows, size}" },
    { call = function(m) m.embedding(m.tensor({ 1 }, { dtype = "int64" }), m.zeros { 4, 2 }, { padding_idx = 5 }) end,
      message = "embedding: padding_idx is 5; weight has 4 rows" },
  },
  tolerance = { float32 = 1e-6 },
}
