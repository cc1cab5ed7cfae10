--- Samples and errors of the comparisons (eq, ne, lt, le, gt, ge), which differ in name only.
local assert = require "luassert"
local S = require "spec.support.sample"

---@param name string the op
---@return table as a file of spec/ops returns it
return function(name)
  return {
    samples = {
      { args = { S.randn{3, 4}, S.randn{3, 4} }, grad = false },
      { args = { S.randn{3, 4}, S.randn{4} }, grad = false },
      { args = { S.randn{4}, S.randn{3, 4} }, grad = false },
      { args = { S.randn{3, 1}, S.randn{1, 4} }, grad = false },
      { args = { S.randn{}, S.randn{2, 3} }, grad = false },
      { args = { S.randn{2, 3}, S.randn{} }, grad = false },
      { args = { S.randn{0, 3}, S.randn{1, 3} }, grad = false },
      { args = { S.randn{2, 3, 4, 5}, S.randn{3, 1, 1} }, grad = false },
      { args = { S.randn{2, 3, 4, 5}, S.randn{2, 3, 4, 5} }, grad = false },
      { args = { S.randn{2, 3, 4, 5}, S.randn{5} }, grad = false },
      { args = { S.randn{1, 3, 1, 5}, S.randn{2, 1, 4, 1} }, grad = false },
      { args = { S.randn{2, 1, 3, 2, 2}, S.randn{3, 1, 2} }, grad = false },
      { args = { S.randn{5, 20, 33, 21}, S.randn{20, 1, 1} }, grad = false },
      { args = { S.randn{5, 20, 33, 21}, S.randn{5, 20, 33, 21} }, grad = false },
      { args = { S.randn{2, 3} }, options = { other = 2.5 }, grad = false },
      { args = { S.randn{2, 3, 4, 5} }, options = { other = 2.5 }, grad = false },
      { args = { S.randn{} }, options = { other = 2.5 }, grad = false },
      { args = { S.randn{0, 2} }, options = { other = 2.5 }, grad = false },
      { args = { S.randn{3, 4} }, options = { other = 2.5, swap = true }, grad = false },
      { args = { S.int({3}, -5, 5, "int64"), S.int({3}, 1, 5, "int64") }, grad = false },
      { args = { S.int({2, 3}, 1, 5, "int32"), S.int({3}, 1, 5, "int64") }, grad = false },
      { args = { S.int({3}, 1, 5, "uint8"), S.int({2, 1}, 1, 5, "int32") }, grad = false },
      { args = { S.int({4}, 1, 5, "int64"), S.randn{3, 4} }, grad = { false, false } },
      { args = { S.int({4}, 1, 5, "int64") }, options = { other = 2 }, grad = false },
      { args = { S.int({4}, 1, 5, "int32") }, options = { other = 2.5 }, grad = false },
      { args = { S.int({40}, 1, 3, "int64"), S.int({40}, 1, 3, "int64") }, grad = false },
      { args = { S.int({40}, 1, 3, "int64") }, options = { other = 2 }, grad = false },
      { args = { S.bool{7}, S.bool{7} }, grad = false },
    },
    errors = {
      { call = function(m) return m[name](m.zeros{2, 3}, m.zeros{4, 3}) end,
        message = name .. ": shapes {2, 3} and {4, 3} do not broadcast; dimension 1 is 2 against 4" },
      { call = function(m) return m[name](m.zeros{2}) end,
        message = name .. ": argument 2 (y) is missing" },
      { call = function(m) return m[name](m.zeros{2}, m.zeros{2}, { other = 1 }) end,
        message = name .. ": both y and the number other = 1 are given; expected one of them" },
    },
    check = function(m)
      local x = m.tensor { 0.1, 0.2 }
      local y = x[name](x, 0.1)
      assert.equal("bool", y.dtype)
      assert.same(x[name](x, m.tensor { 0.1, 0.1 }):totable(), y:totable()) -- 0.1 as float32
    end,
  }
end
