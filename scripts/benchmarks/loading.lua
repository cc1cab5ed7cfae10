--- Times mascon.load of a checkpoint, check sums verified, against the least that reading can cost: pread of the
-- file into newly allocated memory, in plain pages and in huge ones. All from a warm cache, in turn.
-- build/mascon scripts/benchmarks/loading.lua FILE [ROUNDS]; prints milliseconds (best, median), the ratios and the
-- most memory that a load had resident beyond what was before, by the size of the file.
local mascon = require "mascon"
local layer = require "mascon.ffi"

local now = layer.now
local libc = layer.library(nil, [[
  int open(const char *path, int flags, ...);
  int close(int fd);
  ssize_t pread(int fd, void *buffer, size_t bytes, long offset);
  int posix_memalign(void **block, size_t alignment, size_t bytes);
  int madvise(void *block, size_t bytes, int advice);
  void free(void *block);
]])

local PLAIN, HUGE = 15, 14 -- MADV_NOHUGEPAGE, MADV_HUGEPAGE

local path, rounds = ...
rounds = tonumber(rounds) or 15
local file = assert(io.open(path, "rb"))
local size = file:seek "end"
file:close()

local function pread(advice)
  local fd, box = libc.open(path, 0), layer.new "void *[1]"
  assert(fd >= 0 and libc.posix_memalign(box, 2 ^ 21, size) == 0)
  local block = box[0]
  libc.madvise(block, size, advice)
  local at = 0
  while at < size do
    local n = tonumber(libc.pread(fd, layer.cast("char *", block) + at, size - at, at))
    assert(n > 0)
    at = at + n
  end
  libc.close(fd)
  return function() libc.free(block) end
end

local function load()
  local value = mascon.load(path)
  return function()
    value = nil
    return value
  end
end

--- Milliseconds of fn. What it returns gives its memory back, which is not timed.
local function time(fn, ...)
  local begun = now()
  local drop = fn(...)
  local ms = (now() - begun) * 1e3
  drop()
  drop = nil -- luacheck: ignore
  collectgarbage()
  collectgarbage()
  mascon.empty_cache()
  return ms
end

--- Bytes of a line of /proc/self/status.
local function status(name)
  local text = assert(io.open "/proc/self/status"):read "*a"
  return tonumber(text:match(name .. ":%s*(%d+)")) * 1024
end

local function best_and_median(times)
  table.sort(times)
  return times[1], times[math.ceil(#times / 2)]
end

local kinds = { { "load", load }, { "pread", pread, PLAIN }, { "pread into huge pages", pread, HUGE } }
local times = {}
for round = 0, rounds do
  for k, kind in ipairs(kinds) do
    times[k] = times[k] or {}
    times[k][round] = time(kind[2], kind[3])
  end
end
print(("%.1f MB"):format(size / 1e6))
local best, median -- of load
for k, kind in ipairs(kinds) do
  local a, b = best_and_median(times[k])
  best, median = best or a, median or b
  print(("%s %.1f / %.1f ms, load in %.2f / %.2f of it"):format(kind[1], a, b, best / a, median / b))
end

local clear = io.open("/proc/self/clear_refs", "w")
if clear then
  clear:write "5" -- the high-water mark begins anew
  clear:close()
  local before = status "VmRSS"
  local drop = load()
  print(("most memory: %.3f of the file's size"):format((status "VmHWM" - before) / size))
  drop()
end
