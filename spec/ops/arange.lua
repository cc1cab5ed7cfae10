-- arange.lua: samples and errors of arange.

local function values(t, expected)
  local got = t:totable()
  assert(#got == #expected, "number of values")
  for i = 1, #expected do
    assert(math.abs(got[i] - expected[i]) < 1e-6, ("value %d is %g"):format(i, got[i]))
  end
end

local function check(m)
  values(m.arange(0, 3), { 0, 1, 2 })
  values(m.arange(1, 2.25, 0.5), { 1, 1.5, 2 })
  values(m.range(1, 3), { 1, 2, 3 })
  values(m.range(3, 1), {})
end

return {
  samples = {
    { args = {  }, options = { start = 0, ["end"] = 5 } },
    { args = {  }, options = { start = 5, ["end"] = 0, step = -2 } },
    { args = {  }, options = { start = 0, ["end"] = 1, step = 0.1, dtype = "float64" } },
    { args = {  }, options = { start = 1, ["end"] = 5, inclusive = true, dtype = "int64" } },
    { args = {  }, options = { start = 1, ["end"] = 0, inclusive = true } },
  },
  errors = {
    { call = function(m) return m.arange(0, 5, 0) end,
      message = "arange: step is 0; must not be 0" },
    { call = function(m) return m.arange(0, 5, -1) end,
      message = "arange: from 0 to 5 does not go in steps of -1" },
    { call = function(m) return m.arange(0, 5, 0.5, { dtype = "int64" }) end,
      message = "arange: step is 0.5; int64 takes whole numbers" },
    { call = function(m) return m.arange(0, 300, { dtype = "uint8" }) end,
      message = "arange: the last value is 299; uint8 holds 0..255" },
  },
  check = check,
}
