-- logical_not.lua: samples and errors of logical_not.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{3, 5} }, grad = false },
    { args = { S.randn{2, 3, 4, 5} }, grad = false },
    { args = { S.randn{} }, grad = false },
    { args = { S.randn{0, 3} }, grad = false },
    { args = { S.int({4}, -1, 1, "int64") }, grad = false },
    { args = { S.bool{5} }, grad = false },
  },
  errors = {
    { call = function(m) return m.logical_not(2) end,
      message = "logical_not: argument 1 is missing" },
  },
  check = function(m)
    local x = m.tensor { 1, 0 / 0, math.huge, -math.huge }
    local want = { false, false, false, false }
    local y = m.logical_not(x)
    assert.equal("bool", y.dtype)
    for i = 1, 4 do
      local v = y[i]:item()
      assert.equal(want[i], v == true or v == 1)
    end
  end,
}
