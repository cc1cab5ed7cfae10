-- uniform.lua: samples and errors of uniform.

-- Mean, spread and range; the values depend on the seed and the logical index alone.
local function check(m)
  m.manual_seed(3)
  local x = m.zeros { 2, 50, 20, 10 }:uniform_(0, 2)
  local v, sum, squares = x:flatten():totable(), 0, 0
  for _, e in ipairs(v) do
    sum, squares = sum + e, squares + e * e
    assert(e >= 0 and e < 2, "outside of [0, 2)")
  end
  local mean = sum / #v
  local deviation = math.sqrt(squares / #v - mean * mean)
  assert(math.abs(mean - 1) < 0.05, ("mean %g"):format(mean))
  assert(math.abs(deviation - 2 / math.sqrt(12)) < 0.03, ("deviation %g"):format(deviation))
  m.manual_seed(3)
  local other = m.zeros { 2, 20, 10, 50 }:permute(1, 4, 2, 3):uniform_(0, 2):flatten():totable()
  for i = 1, #v do
    assert(v[i] == other[i], "the layout changes the values")
  end
end

return {
  samples = {},
  errors = {
    { call = function(m) return m.zeros{2}:uniform_(2, 1) end,
      message = "uniform_: from is 2 and to is 1; from must not be larger" },
  },
  check = check,
}
