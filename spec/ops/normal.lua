-- normal.lua: samples and errors of normal.

-- Mean and spread; the values depend on the seed and the logical index alone.
local function check(m)
  m.manual_seed(4)
  local x = m.zeros { 2, 50, 20, 10 }:normal_(1, 0.5)
  local v, sum, squares = x:flatten():totable(), 0, 0
  for _, e in ipairs(v) do
    sum, squares = sum + e, squares + e * e
  end
  local mean = sum / #v
  local deviation = math.sqrt(squares / #v - mean * mean)
  assert(math.abs(mean - 1) < 0.05, ("mean %g"):format(mean))
  assert(math.abs(deviation - 0.5) < 0.03, ("deviation %g"):format(deviation))
  m.manual_seed(4)
  local other = m.zeros { 2, 20, 10, 50 }:permute(1, 4, 2, 3):normal_(1, 0.5):flatten():totable()
  for i = 1, #v do
    assert(v[i] == other[i], "the layout changes the values")
  end
end

return {
  samples = {},
  errors = {
    { call = function(m) return m.zeros{2}:normal_(0, -1) end,
      message = "normal_: std is -1; must be 0 or more" },
  },
  check = check,
}
