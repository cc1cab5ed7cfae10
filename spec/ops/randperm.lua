-- randperm.lua: samples and errors of randperm.

-- Every position once; all orders of three about equally often.
local function check(m)
  m.manual_seed(2)
  local seen = {}
  for _, v in ipairs(m.randperm(1000):totable()) do
    assert(v >= 1 and v <= 1000 and not seen[v], "not a permutation")
    seen[v] = true
  end
  local count = {}
  for _ = 1, 1200 do
    local order = table.concat(m.randperm(3):totable(), " ")
    count[order] = (count[order] or 0) + 1
  end
  local orders = 0
  for order, n in pairs(count) do
    orders = orders + 1
    assert(math.abs(n - 200) < 70, ("%s was drawn %d times"):format(order, n))
  end
  assert(orders == 6, "orders of three")
  assert(m.randperm(0):numel() == 0)
end

return {
  samples = {},
  errors = {
    { call = function(m) return m.randperm(-1) end,
      message = "randperm: n is -1; must be 0 or more" },
  },
  check = check,
}
