--- Pictures in the terminal as sixels (DEC, "VT330/VT340 Programmer Reference Manual", volume 2, chapter
-- 14): bands of six rows; in a band, for each colour, one character for each column of six dots.

local bit = require "bit"
local layer = require "mascon.ffi"
local palette = require "mascon.repl.palette"

local M = {}

local characters = {}
for dots = 0, 63 do
  characters[dots] = string.char(63 + dots)
end

--- A run of n equal characters: "!n" from four on, where that is shorter.
local function add_run(out, n, dots)
  local c = characters[dots]
  out[#out + 1] = n > 3 and "!" .. n .. c or c:rep(n)
end

--- The dots of one colour in a band; what is empty at its end is left out.
local function add_colour(out, dots, from, width)
  local last = width - 1
  while dots[from + last] == 0 do
    last = last - 1
  end
  local run, n = dots[from], 0
  for x = 0, last do
    local now = dots[from + x]
    if now ~= run then
      add_run(out, n, run)
      run, n = now, 0
    end
    n = n + 1
  end
  add_run(out, n, run)
end

--- A band: the rows from `top` on. `dots` holds a row for each colour, all empty before and after.
local function add_band(out, index, dots, width, top, rows)
  local used, is_used = {}, {}
  for dy = 0, rows - 1 do
    local value = bit.lshift(1, dy)
    for x = 0, width - 1 do
      local c = index[(top + dy) * width + x]
      if not is_used[c] then
        is_used[c] = true
        used[#used + 1] = c
      end
      local at = c * width + x
      dots[at] = dots[at] + value
    end
  end
  for i, c in ipairs(used) do
    out[#out + 1] = (i > 1 and "$#" or "#") .. c
    add_colour(out, dots, c * width, width)
    for x = c * width, (c + 1) * width - 1 do
      dots[x] = 0
    end
  end
end

--- The sequence that shows a picture at the cursor.
---@param rgb any bytes from 0: r, g, b of each pixel, row after row
---@param width integer
---@param height integer
---@return string
function M.sequence(rgb, width, height)
  local p = palette.reduce(rgb, width * height)
  -- 0;1: dots of no colour stay as they are; "1;1: a pixel is as wide as it is high
  local out = { ('\27P0;1;0q"1;1;%d;%d'):format(width, height) }
  for i, c in ipairs(p.colours) do
    out[#out + 1] = ("#%d;2;%d;%d;%d"):format(i - 1, math.floor(c[1] / 2.55 + 0.5),
      math.floor(c[2] / 2.55 + 0.5), math.floor(c[3] / 2.55 + 0.5))
  end
  local dots = layer.new("uint8_t[?]", #p.colours * width)
  for top = 0, height - 1, 6 do
    add_band(out, p.index, dots, width, top, math.min(6, height - top))
    out[#out + 1] = top + 6 < height and "-" or ""
  end
  out[#out + 1] = "\27\\"
  return table.concat(out)
end

return M
