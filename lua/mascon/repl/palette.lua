--- At most 256 colours for a picture, by median cut (Heckbert, "Color image quantization for frame buffer
-- display", 1982). A picture that has no more keeps its own.

local layer = require "mascon.ffi"

local M = {}

local BINS = 32 * 32 * 32 -- five bits of each part of a colour

local function bin_of(rgb, at)
  return math.floor(rgb[at] / 8) * 1024 + math.floor(rgb[at + 1] / 8) * 32 + math.floor(rgb[at + 2] / 8)
end

--- The picture in its own colours; nil where there are more than `most`.
local function exact(rgb, pixels, most)
  local known, colours, index = {}, {}, layer.new("uint8_t[?]", math.max(1, pixels))
  for i = 0, pixels - 1 do
    local r, g, b = rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]
    local key = r * 65536 + g * 256 + b
    local c = known[key]
    if not c then
      if #colours == most then
        return nil
      end
      colours[#colours + 1] = { r, g, b }
      c = #colours - 1
      known[key] = c
    end
    index[i] = c
  end
  return { colours = colours, index = index }
end

--- {key, count, sums of r, g, b} of each colour of five bits that occurs.
local function histogram(rgb, pixels)
  local count, sums = layer.new("double[?]", BINS), layer.new("double[?]", 3 * BINS)
  for i = 0, pixels - 1 do
    local key = bin_of(rgb, 3 * i)
    count[key] = count[key] + 1
    for c = 0, 2 do
      sums[3 * key + c] = sums[3 * key + c] + rgb[3 * i + c]
    end
  end
  local list = {}
  for key = 0, BINS - 1 do
    local n = count[key]
    if n > 0 then
      list[#list + 1] = { key = key, n = n, sums[3 * key] / n, sums[3 * key + 1] / n, sums[3 * key + 2] / n }
    end
  end
  return list
end

--- A part of the histogram with its longest side, and how much is gained by cutting it.
local function box_of(list)
  local box = { list = list, n = 0, side = 1, gain = 0 }
  local longest = -1
  for c = 1, 3 do
    local low, high = math.huge, -math.huge
    for _, item in ipairs(list) do
      low, high = math.min(low, item[c]), math.max(high, item[c])
    end
    if high - low > longest then
      longest, box.side = high - low, c
    end
  end
  for _, item in ipairs(list) do
    box.n = box.n + item.n
  end
  box.gain = #list > 1 and longest * longest * box.n or 0
  return box
end

--- Two boxes with about half of the pixels each.
local function cut(box)
  local side = box.side
  table.sort(box.list, function(a, b)
    if a[side] ~= b[side] then
      return a[side] < b[side]
    end
    return a.key < b.key
  end)
  local first, second, n = {}, {}, 0
  for i, item in ipairs(box.list) do
    local in_first = i == 1 or (n + item.n / 2 < box.n / 2 and i < #box.list)
    table.insert(in_first and first or second, item)
    n = n + item.n
  end
  return box_of(first), box_of(second)
end

local function mean(box)
  local sums = { 0, 0, 0 }
  for _, item in ipairs(box.list) do
    for c = 1, 3 do
      sums[c] = sums[c] + item[c] * item.n
    end
  end
  for c = 1, 3 do
    sums[c] = math.floor(sums[c] / box.n + 0.5)
  end
  return sums
end

--- The colours of a picture and each pixel's number among them, from 0.
---@param rgb any bytes from 0: r, g, b of each pixel
---@param pixels integer
---@param most? integer colours, 256 at most
---@return table {colours = {{r, g, b}, ...}, index = bytes from 0}
function M.reduce(rgb, pixels, most)
  most = most or 256
  local own = exact(rgb, pixels, most)
  if own then
    return own
  end
  local boxes = { box_of(histogram(rgb, pixels)) }
  while #boxes < most do
    local best = 1
    for i, box in ipairs(boxes) do
      if box.gain > boxes[best].gain then
        best = i
      end
    end
    if boxes[best].gain == 0 then
      break
    end
    boxes[best], boxes[#boxes + 1] = cut(boxes[best])
  end
  local colours, colour_of = {}, layer.new("uint8_t[?]", BINS)
  for i, box in ipairs(boxes) do
    colours[i] = mean(box)
    for _, item in ipairs(box.list) do
      colour_of[item.key] = i - 1
    end
  end
  local index = layer.new("uint8_t[?]", pixels)
  for i = 0, pixels - 1 do
    index[i] = colour_of[bin_of(rgb, 3 * i)]
  end
  return { colours = colours, index = index }
end

return M
