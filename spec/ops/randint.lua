-- randint.lua: samples and errors of randint: both ends are drawn.

-- Both ends occur, each value about equally often, and the seed decides all.
local function check(m)
  m.manual_seed(1)
  local x = m.randint(3, 8, { 6000 })
  assert(x.dtype == "int64", x.dtype)
  local count = {}
  for _, v in ipairs(x:totable()) do
    count[v] = (count[v] or 0) + 1
  end
  for v = 3, 8 do
    assert(count[v] and math.abs(count[v] - 1000) < 150, ("%d was drawn %s times"):format(v,
      tostring(count[v])))
    count[v] = nil
  end
  assert(next(count) == nil, "a value outside of 3..8")
  m.manual_seed(1)
  local again = m.randint(3, 8, { 6000 }):totable()
  for i, v in ipairs(x:totable()) do
    assert(v == again[i], "the seed does not decide the values")
  end
end

return {
  samples = {},
  errors = {
    { call = function(m) return m.randint(5, 3, {2}) end,
      message = "randint: low is 5 and high is 3; low must not be larger" },
    { call = function(m) return m.randint(-1, 3, { 2, dtype = "uint8" }) end,
      message = "randint: low is -1; uint8 holds 0..255" },
  },
  check = check,
}
