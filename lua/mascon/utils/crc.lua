--- CRC-32C of Lua strings, by table: the check sum of event files.

local bit = require "bit"

local band, bxor, rshift = bit.band, bit.bxor, bit.rshift

local entries = {}
for i = 0, 255 do
  local v = i
  for _ = 1, 8 do
    v = band(v, 1) == 1 and bxor(rshift(v, 1), 0x82f63b78) or rshift(v, 1)
  end
  entries[i] = v
end

--- The check sum, 0 .. 2^32 - 1.
---@param s string
---@return number
local function crc32c(s)
  local sum = -1
  for i = 1, #s do
    sum = bxor(rshift(sum, 8), entries[band(bxor(sum, s:byte(i)), 255)])
  end
  return bxor(sum, -1) % 2 ^ 32
end

return { crc32c = crc32c }
