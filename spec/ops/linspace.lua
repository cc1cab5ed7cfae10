-- linspace.lua: samples and errors of linspace.

local function values(t, expected)
  local got = t:totable()
  assert(#got == #expected, "number of values")
  for i = 1, #expected do
    assert(math.abs(got[i] - expected[i]) < 1e-6, ("value %d is %g"):format(i, got[i]))
  end
end

local function check(m)
  values(m.linspace(0, 1, 5), { 0, 0.25, 0.5, 0.75, 1 })
  values(m.linspace(2, 2, 1), { 2 })
end

return {
  samples = {
    { args = {  }, options = { start = -1, ["end"] = 3, steps = 0 } },
    { args = {  }, options = { start = -1, ["end"] = 3, steps = 1 } },
    { args = {  }, options = { start = -1, ["end"] = 3, steps = 2 } },
    { args = {  }, options = { start = -1, ["end"] = 3, steps = 5 } },
    { args = {  }, options = { start = 0, ["end"] = 1, steps = 11, dtype = "float64" } },
  },
  errors = {
    { call = function(m) return m.linspace(0, 1, -2) end,
      message = "linspace: steps is -2; must be 0 or more" },
  },
  check = check,
}
