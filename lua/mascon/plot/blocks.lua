--- Heat maps and pictures in a terminal, drawn with block characters.
-- Without colour a value is one of five blocks, from empty to full. With colour (24-bit escape
-- sequences) a cell has its true colour; a character holds two pixels of a picture, one over the other.

local colour = require "mascon.plot.colour"
local numbers = require "mascon.plot.range"
local text = require "mascon.text"

local M = {}

local shades = { " ", "░", "▒", "▓", "█" }
local RESET = "\27[0m"

local function shade(t)
  return shades[math.floor(math.max(0, math.min(1, t)) * 4 + 0.5) + 1]
end

local function background(r, g, b)
  return ("\27[48;2;%d;%d;%dm"):format(r, g, b)
end

local function foreground(r, g, b)
  return ("\27[38;2;%d;%d;%dm"):format(r, g, b)
end

-- Heat map ------------------------------------------------------------------------------------------------

--- One cell: the number, if there is room for it, and how much it is.
local function heat_cell(f, v, wide, with_color)
  local finite = numbers.is_finite(v)
  local t = finite and f.high > f.low and math.max(0, math.min(1, (v - f.low) / (f.high - f.low)))
    or finite and 0.5 or 0
  local number = f.annot and wide > 2 and (finite and f.fmt:format(v) or "nan") or nil
  if with_color and finite then
    local r, g, b = colour.map(t)
    local light = colour.text_on(t) == 0xffffff
    return background(r, g, b) .. foreground(light and 255 or 26, light and 255 or 26, light and 255 or 26)
      .. (number and text.pad(number, 1 - wide) .. " " or (" "):rep(wide)) .. RESET
  elseif number then
    return text.pad(number, 1 - wide) .. shade(t)
  end
  return finite and shade(t):rep(wide) or text.pad("?", wide)
end

--- Rows of cells with their names; `width` characters where they suffice.
---@return string
function M.heatmap(f, width, with_color)
  local name_room, names = 0, {}
  for i = 1, f.rows do
    names[i] = text.shorten(f.yticks and f.yticks[i] or tostring(i), 12)
    name_room = math.max(name_room, text.width(names[i]))
  end
  local wide = 2
  if f.annot then
    local longest = 0
    for _, row in ipairs(f.values) do
      for _, v in ipairs(row) do
        longest = math.max(longest, numbers.is_finite(v) and text.width(f.fmt:format(v)) or 3)
      end
    end
    wide = longest + 2
    if wide * f.columns + name_room + 1 > math.max(width, 100) then
      wide = 2 -- no room for the numbers
    end
  end
  local lines = {}
  if f.title then
    lines[1] = text.centre(f.title, name_room + 1 + wide * f.columns)
  end
  if f.ylabel or f.xlabel then
    lines[#lines + 1] = ("rows: %s   columns: %s"):format(f.ylabel or "1..", f.xlabel or "1..")
  end
  local head = {}
  for j = 1, f.columns do
    local name = f.xticks and f.xticks[j] or tostring(j)
    if wide > 2 then
      head[j] = text.pad(text.first(name, wide - 1), 1 - wide) .. " "
    elseif (j - 1) % 5 == 0 then -- only every fifth has room for its name
      head[#head + 1] = text.pad(text.first(name, 9), 10)
    end
  end
  lines[#lines + 1] = ((" "):rep(name_room + 1) .. table.concat(head)):gsub("%s+$", "")
  for i, row in ipairs(f.values) do
    local cells = {}
    for j, v in ipairs(row) do
      cells[j] = heat_cell(f, v, wide, with_color)
    end
    lines[#lines + 1] = text.pad(names[i], -name_room) .. " " .. table.concat(cells)
  end
  if wide == 2 then
    lines[#lines + 1] = ("%s %s = %.4g .. %.4g"):format((" "):rep(name_room),
      with_color and "dark .. bright" or "empty .. full", f.low, f.high)
  end
  return table.concat(lines, "\n")
end

-- Pictures --------------------------------------------------------------------------------------------------

--- The mean colour of a part of a picture, u and v in 0..1.
local function mean_color(p, u0, u1, v0, v1)
  local x0, y0 = math.floor(u0 * p.width), math.floor(v0 * p.height)
  local x1 = math.max(x0, math.ceil(u1 * p.width) - 1)
  local y1 = math.max(y0, math.ceil(v1 * p.height) - 1)
  local r, g, b, n = 0, 0, 0, 0
  for y = y0, y1 do
    for x = x0, x1 do
      local at = (y * p.width + x) * 3
      r, g, b, n = r + p.rgb[at], g + p.rgb[at + 1], b + p.rgb[at + 2], n + 1
    end
  end
  return r / n, g / n, b / n
end

--- A picture as lines of `wide` characters; a character is about twice as high as wide.
local function picture_lines(p, wide, with_color)
  local high = math.max(1, math.floor(wide * p.height / p.width / 2 + 0.5))
  local lines = {}
  for row = 0, high - 1 do
    local cells = {}
    for column = 0, wide - 1 do
      local u0, u1 = column / wide, (column + 1) / wide
      local v0, v1 = row / high, (row + 1) / high
      if with_color then
        local middle = (v0 + v1) / 2
        cells[#cells + 1] = foreground(mean_color(p, u0, u1, v0, middle))
          .. background(mean_color(p, u0, u1, middle, v1)) .. "▀"
      else
        local r, g, b = mean_color(p, u0, u1, v0, v1)
        cells[#cells + 1] = shade((0.299 * r + 0.587 * g + 0.114 * b) / 255)
      end
    end
    lines[row + 1] = table.concat(cells) .. (with_color and RESET or "")
  end
  return lines
end

--- Pictures side by side with their titles.
---@return string
function M.images(f, width, with_color)
  local wide = math.max(4, math.floor((width + 2) / f.columns) - 2)
  wide = math.min(wide, 40)
  local lines = {}
  if f.title then
    lines[1] = text.centre(f.title, f.columns * (wide + 2) - 2)
  end
  for first = 1, #f.pictures, f.columns do
    local last = math.min(first + f.columns - 1, #f.pictures)
    local blocks, high, titles = {}, 0, {}
    for k = first, last do
      blocks[#blocks + 1] = picture_lines(f.pictures[k], wide, with_color)
      high = math.max(high, #blocks[#blocks])
      titles[#titles + 1] = text.pad(text.shorten(f.titles and f.titles[k] or "", wide), wide)
    end
    if f.titles then
      lines[#lines + 1] = (table.concat(titles, "  "):gsub("%s+$", ""))
    end
    for i = 1, high do
      local parts = {}
      for k, block in ipairs(blocks) do
        parts[k] = block[i] or (" "):rep(wide)
      end
      lines[#lines + 1] = table.concat(parts, "  ")
    end
    if last < #f.pictures then
      lines[#lines + 1] = ""
    end
  end
  return table.concat(lines, "\n")
end

return M
