--- What a training step costs the host on the fake device, whose kernels compute nothing here, and which
-- calls of the CUDA libraries it makes:
--   MASCON_BACKEND_PATH=build/cuda-fake MASCON_FAKE_SKIP=1 MASCON_FAKE_GUARD=0 \
--     build/mascon scripts/benchmarks/host.lua w1 2
-- The names are those of workloads.lua that train (w1, w2, w1_bf16, w2_bf16, each also with _compiled), then
-- seconds. A step waits once, for its loss, so calls are counted by waits. MASCON_FAKE_MEMORY=150000000000 is
-- a device as large as a GPU for servers, on which the collector has less to do.

local layer = require "mascon.ffi"

local name, seconds = ...
local folder = os.getenv "MASCON_BACKEND_PATH"
if not folder or os.getenv "MASCON_FAKE_SKIP" ~= "1" then
  io.stderr:write "host.lua needs the fake device: MASCON_BACKEND_PATH=build/cuda-fake MASCON_FAKE_SKIP=1\n"
  os.exit(2)
end
local fake = layer.library(folder .. "/libmascon_cuda.so", [[
  const char *masconF_name(int32_t i);
  int64_t masconF_calls(const char *call);
]])

local chunk = assert(loadfile "scripts/benchmarks/workloads.lua")

local function calls()
  local counts, i = {}, 0
  while fake.masconF_name(i) ~= nil do
    local text = layer.string(fake.masconF_name(i))
    counts[text] = tonumber(fake.masconF_calls(text))
    i = i + 1
  end
  return counts
end

-- The first steps make plans and take memory: a short run before the one that counts.
local told
local function quiet(...)
  told = table.concat({ ... }, " ")
end
local env = setmetatable({ print = quiet }, { __index = _G })
setfenv(chunk, env)
chunk(name, 0.2, 1, "cuda:0")
collectgarbage()
local before = calls()
chunk(name, tonumber(seconds) or 2, 1, "cuda:0")
local after = calls()

local steps = after.stream_synchronize - before.stream_synchronize
local best, median = told:match "ms (%S+) (%S+)"
print(("%s: %.1f us of the host a step at best, %.1f in the middle (no driver under it)"):format(name,
  best * 1e3, median * 1e3))
local rows = {}
for call, n in pairs(after) do
  local each = (n - (before[call] or 0)) / steps
  if each > 0.005 then
    rows[#rows + 1] = { call, each }
  end
end
table.sort(rows, function(a, b)
  return a[2] > b[2] or a[2] == b[2] and a[1] < b[1]
end)
for _, row in ipairs(rows) do
  print(("  %-34s %8.2f"):format(row[1], row[2]))
end
