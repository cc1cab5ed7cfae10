--- Times the resize of small pictures to 224 x 224, bilinear, one thread.
-- build/mascon scripts/benchmarks/resize.lua [SIDE] [SECONDS]; prints microseconds for a picture (best of the rounds,
-- median). scripts/benchmarks/resize.py times Pillow on the same size.
local mascon = require "mascon"
local now = require "mascon.ffi".now

local side, seconds = ...
side, seconds = tonumber(side) or 32, tonumber(seconds) or 3
mascon.set_num_threads(1)
mascon.manual_seed(0)
local pictures = {}
for i = 1, 100 do
  pictures[i] = mascon.randint(0, 255, { 3, side, side }, { dtype = "uint8" })
end
local times, stop = {}, now() + seconds
repeat
  local begun = now()
  for _, picture in ipairs(pictures) do
    mascon.image.resize(picture, { 224, 224 }):release()
  end
  times[#times + 1] = (now() - begun) / #pictures * 1e6
until now() > stop
table.sort(times)
print(("us %.2f %.2f %d"):format(times[1], times[math.ceil(#times / 2)], #times))
