--- How fast mascon.image decodes a JPEG file on one core: build/mascon scripts/benchmarks/jpeg.lua FILE
-- SECONDS; prints "ms BEST MEDIAN COUNT". scripts/benchmarks/jpeg.c does the same without mascon.

local mascon = require "mascon"
local now = require "mascon.ffi".now

local path, seconds = ...
local file = assert(io.open(path, "rb"))
local bytes = file:read "*a"
file:close()
mascon.set_num_threads(1)
mascon.image.decode(bytes):release()
local times, stop = {}, now() + tonumber(seconds)
repeat
  local begun = now()
  mascon.image.decode(bytes):release()
  times[#times + 1] = (now() - begun) * 1e3
until now() > stop
table.sort(times)
print(("ms %.6f %.6f %d"):format(times[1], times[math.ceil(#times / 2)], #times))
