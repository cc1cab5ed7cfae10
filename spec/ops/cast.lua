-- cast.lua: samples and errors of cast.
local assert = require "luassert"
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
  -- whole numbers wrap around within a narrower type
  check = function(m)
    local x = m.tensor({ 256, -1, 2 ^ 32 + 5, -2 ^ 31 - 1 }, { dtype = "int64" })
    assert.same({ 0, 255, 5, 255 }, x:cast("uint8"):totable())
    assert.same({ 256, -1, 5, 2 ^ 31 - 1 }, x:cast("int32"):totable())
    local y = m.zeros({ 2 }, { dtype = "uint8" })
    y:add_(m.tensor({ -1, 300 }, { dtype = "int64" }))
    assert.same({ 255, 44 }, y:totable())
    assert.same({ 0, 43 }, (y + m.tensor(1, { dtype = "int64" }) - m.tensor(2, { dtype = "int64" }) + 1)
      :sub(m.tensor({ 255, 1 }, { dtype = "uint8" })):totable())
  end,
  errors = {
    { call = function(m) return m.zeros{2}:cast("float31") end,
      message = "cast: unknown dtype \"float31\"",
      hint = "float64 float32 bfloat16 float16 int64 int32 uint8 bool" },
  },
}
