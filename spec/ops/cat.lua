-- cat.lua: samples and errors of cat.
local S = require "spec.support.sample"

local function many(n, shape, dtype)
  local list = {}
  for i = 1, n do
    local own = { unpack(shape) }
    own[1] = i % 4
    list[i] = dtype and S.int(own, 1, 9, dtype) or S.randn(own)
  end
  return list
end

return {
  samples = {
    { list = { S.randn{2, 3}, S.randn{4, 3} } },
    { list = { S.randn{2, 3}, S.randn{2, 5}, S.randn{2, 1} }, options = { dim = 2 } },
    { list = { S.randn{2, 3, 4, 5}, S.randn{2, 1, 4, 5} }, options = { dim = 2 } },
    { list = { S.randn{2, 3, 4} }, options = { dim = -1 } },
    { list = { S.randn{0, 3}, S.randn{2, 3} } },
    { list = { S.int({2}, 1, 9, "int64"), S.int({3}, 1, 9, "int64") } },
    { list = { S.randn{2, 8, 3, 2}, S.randn{2, 4, 3, 2}, S.randn{2, 0, 3, 2} }, options = { dim = 2 } },
    { list = { S.randn{2, 4, 1, 2}, S.randn{2, 4, 3, 2} }, options = { dim = 3 } },
    { list = { S.randn{2, 4, 3, 2}, S.randn{2, 4, 3, 4} }, options = { dim = 4 } },
    { list = many(150, { 1, 3 }), grad = false },
    { list = many(30, { 1, 5 }, "uint8") },
  },
  errors = {
    { call = function(m) return m.cat{m.zeros{4, 5}, m.zeros{3, 6}} end,
      message = "cat: tensor 2 is {3, 6}, tensor 1 is {4, 5}; dimension 2 is 6 against 5" },
    { call = function(m) return m.cat{m.zeros{4, 5}, m.zeros{4}} end,
      message = "cat: tensor 2 is {4}, tensor 1 is {4, 5}" },
    { call = function(m) return m.cat{m.zeros{2}, m.zeros({2}, { dtype = "int64" })} end,
      message = "cat: dtypes float32 and int64 (tensor 2)",
      hint = 'x:to("float32")' },
    { call = function(m) return m.cat{m.zeros{}, m.zeros{}} end,
      message = "cat: tensor 1 is 0-dimensional" },
    { call = function(m) return m.cat{m.zeros{2}, dim = 2} end,
      message = "cat: dimension 2 of a 1-dimensional tensor" },
  },
}
