--- Figures drawn with plain characters.

local numbers = require "mascon.plot.range"

local is_finite = numbers.is_finite
local M = {}

local marks = { "*", "o", "+", "x", "#", "@", "%", "&" }
local LABEL = 9 -- characters left of a panel, for the numbers of the y axis

--- The range of an axis; never empty.
local function axis(series, key)
  local low, high = numbers.range(series, key)
  if not low then
    return 0, 1
  elseif low == high then
    return low - 0.5, high + 0.5
  end
  return low, high
end

local function new_canvas(width, height)
  local rows = {}
  for r = 1, height do
    rows[r] = {}
    for c = 1, width do
      rows[r][c] = " "
    end
  end
  return rows
end

--- Draws one series: a mark in each column between its first and last value, lines between values.
local function draw_series(canvas, s, mark, xr, yr, width, height)
  local function column(x)
    return 1 + (x - xr[1]) / (xr[2] - xr[1]) * (width - 1)
  end
  local function put(c, y)
    local r = height - math.floor((y - yr[1]) / (yr[2] - yr[1]) * (height - 1) + 0.5)
    canvas[math.max(1, math.min(height, r))][math.floor(c + 0.5)] = mark
  end
  local last_c, last_y
  for i = 1, #s.y do
    local x, y = s.x[i], s.y[i]
    if is_finite(x) and is_finite(y) then
      local c = column(x)
      if last_c then
        for k = math.floor(last_c + 0.5) + 1, math.floor(c + 0.5) - 1 do
          put(k, last_y + (y - last_y) * (k - last_c) / (c - last_c))
        end
      end
      put(c, y)
      last_c, last_y = c, y
    else
      last_c, last_y = nil, nil -- a gap
    end
  end
end

local function centred(s, width)
  return (" "):rep(math.max(0, math.floor((width - #s) / 2))) .. s
end

local function short(v)
  return ("%.4g"):format(v)
end

local panels = {}

function panels.lines(f, width, height)
  local inner = width - LABEL - 2
  local xr, yr = { axis(f.series, "x") }, { axis(f.series, "y") }
  local canvas = new_canvas(inner, height)
  local legend = {}
  for i, s in ipairs(f.series) do
    local mark = marks[(i - 1) % #marks + 1]
    draw_series(canvas, s, mark, xr, yr, inner, height)
    if s.name then
      legend[#legend + 1] = mark .. " " .. s.name
    end
  end
  local lines = {}
  if f.title then
    lines[1] = centred(f.title, width)
  end
  for r = 1, height do
    local label = ""
    if r == 1 or r == height or r == math.ceil(height / 2) then
      label = short(yr[1] + (height - r) / (height - 1) * (yr[2] - yr[1]))
    end
    lines[#lines + 1] = (("%" .. LABEL .. "s |"):format(label) .. table.concat(canvas[r]))
      :gsub("%s+$", "")
  end
  local indent = (" "):rep(LABEL + 1)
  lines[#lines + 1] = indent .. "+" .. ("-"):rep(inner)
  local first, last = short(xr[1]), short(xr[2])
  local middle = f.xlabel or ""
  local room = inner - #first - #last
  lines[#lines + 1] = indent .. " " .. first .. (" "):rep(math.max(1, math.floor((room - #middle) / 2)))
    .. middle .. (" "):rep(math.max(1, room - #middle - math.floor((room - #middle) / 2))) .. last
  if #legend > 0 or f.ylabel then
    lines[#lines + 1] = indent .. " " .. table.concat(legend, "   ")
      .. (f.ylabel and (#legend > 0 and "   " or "") .. "(" .. f.ylabel .. ")" or "")
  end
  return table.concat(lines, "\n")
end

--- The text of a figure; the panels of a grid stand below one another.
---@param f mascon.plot.Figure
---@param width integer
---@param height integer
---@return string
function M.draw(f, width, height)
  if f.kind ~= "grid" then
    return panels[f.kind](f, width, height)
  end
  local parts = {}
  if f.title then
    parts[1] = centred(f.title, width)
  end
  for _, panel in ipairs(f.panels) do
    parts[#parts + 1] = panels[panel.kind](panel, width, height)
  end
  return table.concat(parts, "\n\n")
end

return M
