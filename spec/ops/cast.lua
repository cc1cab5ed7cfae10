-- cast.lua: samples and errors of cast.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { dtype = "float64" } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dtype = "float32" }, grad = false },
    { args = { S.randn{2, 3, 4} }, options = { dtype = "int64" }, grad = false },
    { args = { S.randn{2, 3, 4} }, options = { dtype = "bool" }, grad = false },
    { args = { S.int({3, 4}, 0, 200, "uint8") }, options = { dtype = "float32" } },
    { args = { S.int({3, 4}, -9, 9, "int64") }, options = { dtype = "int32" } },
    { args = { S.bool{2, 5} }, options = { dtype = "float32" } },
    { args = { S.randn{0, 2} }, options = { dtype = "float64" } },
  },
  errors = {
    { call = function(m) return m.zeros{2}:cast("float31") end,
      message = "cast: unknown dtype \"float31\"",
      hint = "float64 float32 bfloat16 float16 int64 int32 uint8 bool" },
  },
}
