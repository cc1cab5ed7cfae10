--- Figures drawn with plain characters; heat maps and pictures with blocks.

local blocks = require "mascon.plot.blocks"
local numbers = require "mascon.plot.range"
local strings = require "mascon.text"

local is_finite = numbers.is_finite
local M = {}

local marks = { "*", "o", "+", "x", "#", "@", "%", "&", "=", "~" }
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

--- Draws one series: a mark at each value and, for joined ones, in each column between them.
local function draw_series(canvas, s, mark, xr, yr, width, height, joined)
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
      if last_c and joined then
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

local function short(v)
  return ("%.4g"):format(v)
end

--- The parts of a legend in lines of at most `width` characters.
local function wrap(parts, indent, width)
  local lines = {}
  for _, part in ipairs(parts) do
    local now = lines[#lines]
    if now and strings.width(now) + 3 + strings.width(part) <= width then
      lines[#lines] = now .. "   " .. part
    else
      lines[#lines + 1] = indent .. part
    end
  end
  return table.concat(lines, "\n")
end

local panels = {}

--- Lines and points: axes with numbers at their ends, and what the marks mean.
local function draw_axes(f, width, height, joined)
  local inner = width - LABEL - 2
  local xr, yr = { axis(f.series, "x") }, { axis(f.series, "y") }
  local canvas = new_canvas(inner, height)
  local legend = {}
  for i, s in ipairs(f.series) do
    local mark = marks[(i - 1) % #marks + 1]
    draw_series(canvas, s, mark, xr, yr, inner, height, joined)
    if s.name then
      legend[#legend + 1] = mark .. " " .. s.name
    end
  end
  local lines = {}
  if f.title then
    lines[1] = strings.centre(f.title, width)
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
  if f.ylabel then
    legend[#legend + 1] = "(" .. f.ylabel .. ")"
  end
  if #legend > 0 then
    lines[#lines + 1] = wrap(legend, indent .. " ", width)
  end
  return table.concat(lines, "\n")
end

function panels.lines(f, width, height)
  return draw_axes(f, width, height, true)
end

function panels.scatter(f, width, height)
  return draw_axes(f, width, height, false)
end

--- A line for each bin, with its first value and its count; neighbours are joined where the bins are
--- more than the lines.
function panels.hist(f, width, height)
  local per_line = math.ceil(f.bins / math.max(height, 10))
  local rows, most = {}, 0
  for first = 1, f.bins, per_line do
    local row = { from = f.low + (first - 1) * (f.high - f.low) / f.bins }
    for i, s in ipairs(f.series) do
      row[i] = 0
      for bin = first, math.min(first + per_line - 1, f.bins) do
        row[i] = row[i] + s.counts[bin]
      end
      most = math.max(most, row[i])
    end
    rows[#rows + 1] = row
  end
  local lines, legend = {}, {}
  if f.title then
    lines[1] = strings.centre(f.title, width)
  end
  local room = width - LABEL - 2 - 9
  for _, row in ipairs(rows) do
    for i in ipairs(f.series) do
      local mark = #f.series > 1 and marks[(i - 1) % #marks + 1] or "#"
      local bar = mark:rep(most > 0 and math.floor(row[i] / most * room + 0.5) or 0)
      lines[#lines + 1] = ("%" .. LABEL .. "s |%s %s"):format(i == 1 and short(row.from) or "", bar,
        short(row[i]))
    end
  end
  for i, s in ipairs(f.series) do
    if s.name then
      legend[#legend + 1] = (#f.series > 1 and marks[(i - 1) % #marks + 1] or "#") .. " " .. s.name
    end
  end
  if f.xlabel then
    legend[#legend + 1] = "(" .. f.xlabel .. ")"
  end
  if #legend > 0 then
    lines[#lines + 1] = wrap(legend, (" "):rep(LABEL + 2), width)
  end
  return table.concat(lines, "\n")
end

function panels.heatmap(f, width, _, with_color)
  return blocks.heatmap(f, width, with_color)
end

function panels.images(f, width, _, with_color)
  return blocks.images(f, width, with_color)
end

--- The text of a figure; the panels of a grid stand below one another.
---@param f mascon.plot.Figure
---@param width integer
---@param height integer
---@param with_color boolean whether escape sequences for colours may be used
---@return string
function M.draw(f, width, height, with_color)
  if f.kind ~= "grid" then
    return panels[f.kind](f, width, height, with_color)
  end
  local parts = {}
  if f.title then
    parts[1] = strings.centre(f.title, width)
  end
  for _, panel in ipairs(f.panels) do
    parts[#parts + 1] = panels[panel.kind](panel, width, height, with_color)
  end
  return table.concat(parts, "\n\n")
end

return M
