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
  io.stderr:write "usage: scripts/bench_op OP [--threads N] [--rounds N] [--seconds S] [--only TEXT] [--table]\n"
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

--- The samples of an operation, made larger, forward only.
local function samples()
  local S = require "spec.support.sample"
  local op = require "mascon.op"
  local spec = assert(loadfile("spec/ops/" .. name .. ".lua"))()
  local run = op.find(name) or function(...) return op.run(name, name, false, ...) end
  print(("%-40s %12s %12s %10s %9s"):format(name, "best us", "median us", "reference", "error"))
  for index, sample in ipairs(spec.samples) do
    local function make(dtype)
      local list = {}
      for i, a in ipairs(sample.args or sample.list or {}) do
        if S.is(a) and a.shape and sample.args and #sample.args == 1 then
          local shape = { unpack(a.shape) }
          for d = 1, #shape do
            shape[d] = shape[d] * math.floor((2 ^ 20) ^ (1 / #shape) / math.max(shape[d], 1) + 1)
          end
          a = setmetatable({ shape = shape }, { __index = a })
        end
        list[i] = S.is(a) and S.make(mascon, a, dtype, index * 31 + i) or a
      end
      local n = #list
      if sample.list then
        list, n = { list }, 1
      end
      for _, v in ipairs(sample.positional or {}) do
        n = n + 1
        list[n] = v
      end
      list[n + 1] = sample.options
      n = sample.options and n + 1 or n
      return function()
        return (run(unpack(list, 1, n)))
      end
    end
    local fn = make "float32"
    local t = M.alternate { fn, function() return M.on_reference(fn) end }
    local oracle = make "float64"
    print(("%-40s %12.1f %12.1f %9.1fx %9.1e"):format(("%d %s"):format(index, sample.name or ""),
      t[1].best * 1e3, t[1].median * 1e3, t[2].median / t[1].median,
      M.error(fn(), M.on_reference(oracle))))
  end
end

if name == "conv2d" then
  require "convolutions"(M)
else
  samples()
end
