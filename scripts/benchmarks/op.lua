--- scripts/bench_op: times one operation, kernel against kernel, with its error against the reference.

package.path = "scripts/benchmarks/?.lua;" .. package.path

local mascon = require "mascon"
local layer = require "mascon.ffi"
local now = layer.now

local args = { threads = 2, rounds = 5, seconds = 0.05, only = "", batch = 0 }
local flags = { table = false, ["no-avx512"] = false }
local name
do
  local i = 1
  while arg[i] do
    local option = arg[i]:match "^%-%-([%w-]+)$"
    if option and flags[option] ~= nil then
      flags[option] = true
    elseif option and args[option] ~= nil and arg[i + 1] then
      i = i + 1
      args[option] = type(args[option]) == "number" and tonumber(arg[i]) or arg[i]
    elseif option or name then
      io.stderr:write("bench_op: unknown option ", arg[i], "\n")
      os.exit(2)
    else
      name = arg[i]
    end
    i = i + 1
  end
end
if not name then
  io.stderr:write "usage: scripts/bench_op OP [--threads N] [--rounds N] [--seconds S] [--batch N] [--only TEXT] [--no-avx512] [--table]\n"
  os.exit(2)
end
mascon.set_num_threads(args.threads)

local M = { args = args, flags = flags, name = name }

--- Times several functions in turn, round by round, so that all of them meet the same machine.
---@param list table of functions
---@return table per function { best = milliseconds, median = milliseconds }
function M.alternate(list)
  local calls, times = {}, {}
  for i, fn in ipairs(list) do
    fn() -- plans and caches
    local begun = now()
    fn()
    calls[i] = math.max(1, math.ceil(args.seconds / math.max(now() - begun, 1e-7)))
    times[i] = {}
  end
  for _ = 1, args.rounds do
    for i, fn in ipairs(list) do
      -- each finds its own data in the caches and the cores idle: threads of the one before spin a while
      local turn = now()
      repeat
        fn()
      until now() - turn > 0.005
      for _ = 1, calls[i] do
        local begun = now()
        fn()
        times[i][#times[i] + 1] = (now() - begun) * 1e3
      end
    end
  end
  local results = {}
  for i, t in ipairs(times) do
    table.sort(t)
    results[i] = { best = t[1], median = t[math.ceil(#t / 2)] }
  end
  return results
end

--- Runs fn on the reference kernels.
function M.on_reference(fn)
  layer.C.mascon_testing_reference(1)
  local good, result = pcall(fn)
  layer.C.mascon_testing_reference(0)
  assert(good, result)
  return result
end

--- The largest difference of a from b relative to the largest magnitude of b.
function M.error(a, b)
  local want = b:to "float64"
  local scale = want:abs():max():item()
  return (a:to "float64" - want):abs():max():item() / math.max(scale, 1e-300)
end

local S = require "spec.support.sample"
local op = require "mascon.op"

--- A shape of about a million elements in the proportions of the given one.
local function enlarged(shape)
  local factor, large = (2 ^ 20) ^ (1 / #shape), {}
  for d, n in ipairs(shape) do
    large[d] = n * math.ceil(factor / n)
  end
  return large
end

--- Whether all tensors of a sample have one shape: then they may all grow alike.
local function can_grow(list)
  local first
  for _, a in ipairs(list) do
    if S.is(a) then
      local shape = a.shape and table.concat(a.shape, "x")
      if not shape or (first or shape) ~= shape or shape:find "^0" or shape:find "x0" then
        return false
      end
      first = shape
    end
  end
  return first ~= nil and first ~= ""
end

--- A function that calls the operation on a sample, forward.
local function caller(index, sample, dtype)
  local run = op.find(name) or function(...) return op.run(name, name, false, ...) end
  local list, given = {}, sample.args or sample.list or {}
  local grow = can_grow(given)
  for i, a in ipairs(given) do
    if S.is(a) then
      if grow then
        a = setmetatable({ shape = enlarged(a.shape) }, { __index = a })
      end
      a = S.make(mascon, a, dtype, index * 31 + i)
    end
    list[i] = a
  end
  local n = #given
  if sample.list then
    list, n = { list }, 1
  end
  for _, v in ipairs(sample.positional or {}) do
    n = n + 1
    list[n] = v
  end
  if sample.options then
    n = n + 1
    list[n] = sample.options
  end
  return function()
    return (run(unpack(list, 1, n)))
  end
end

--- The samples of spec/ops/NAME.lua, larger where that is possible.
local function samples()
  local chunk = loadfile("spec/ops/" .. name .. ".lua")
  if not chunk then
    io.stderr:write("bench_op: no operation ", name, " has samples in spec/ops\n")
    os.exit(2)
  end
  print(("%-44s %-22s %10s %10s %10s %8s"):format(name, "shape of the result", "best us", "median us",
    "reference", "error"))
  for index, sample in ipairs(chunk().samples or {}) do
    local title = ("%d %s"):format(index, sample.name or "")
    local fn = caller(index, sample, "float32")
    local good, y = pcall(fn)
    if good and mascon.is_tensor(y) and y:numel() > 0 and title:find(args.only, 1, true) then
      local t = M.alternate { fn, function() return M.on_reference(fn) end }
      local compared, off = pcall(function()
        return M.error(fn(), M.on_reference(caller(index, sample, "float64")))
      end)
      print(("%-44s %-22s %10.1f %10.1f %9.1fx %8s"):format(title, table.concat(y.shape, "x"),
        t[1].best * 1e3, t[1].median * 1e3, t[2].median / t[1].median,
        compared and ("%.1e"):format(off) or "-"))
    end
  end
end

if name == "conv2d" then
  require "convolutions"(M)
else
  samples()
end
