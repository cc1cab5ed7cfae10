--- The gnuplot commands of one panel, by the kind of its figure.
-- panels.<kind>(f, out, name) appends commands to the list `out`; name begins the names of its data.
-- All positions of pictures and heat maps are counted from the upper left.

local colour = require "mascon.plot.colour"
local numbers = require "mascon.plot.range"

local text = require "mascon.text"

local is_finite, range = numbers.is_finite, numbers.range
local M = { panels = {} }
local panels = M.panels

-- Text --------------------------------------------------------------------------------------------------

--- A text for gnuplot; line breaks become spaces.
local function quote(s)
  return "'" .. s:gsub("[%c]", " "):gsub("'", "''") .. "'"
end
M.quote = quote

--- A text inside a data block.
local function quote_data(s)
  return '"' .. s:gsub("[%c]", " "):gsub('[\\"]', "\\%0") .. '"'
end

local function number(v)
  return is_finite(v) and ("%.9g"):format(v) or "NaN"
end

-- Axes --------------------------------------------------------------------------------------------------

--- "set xrange" where gnuplot's own choice would fail: a single value, or none.
local function set_range(out, axis, low, high)
  if not low then
    low, high = 0, 1
  elseif low == high then
    local margin = low ~= 0 and math.abs(low) * 0.1 or 1
    low, high = low - margin, high + margin
  else
    return
  end
  out[#out + 1] = ("set %srange [%s:%s]"):format(axis, number(low), number(high))
end

local function whole_steps(series)
  local low, high = range(series, "x")
  for _, s in ipairs(series) do
    for _, v in ipairs(s.x) do
      if v ~= math.floor(v) then
        return false
      end
    end
  end
  return low ~= nil and high - low <= 15
end

local function has_point(s)
  for j = 1, #s.y do
    if is_finite(s.x[j]) and is_finite(s.y[j]) then
      return true
    end
  end
  return false
end

--- The corner in which the names of the series hide the least of their lines or points.
local function key_corner(series, steps)
  local x_low, x_high = range(series, "x")
  local y_low, y_high = range(series, "y")
  if not y_low or x_low == x_high or y_low == y_high then
    return "top right"
  end
  local hits = { 0, 0, 0, 0 } -- top right, bottom right, top left, bottom left
  local function count(x, y)
    local u, v = (x - x_low) / (x_high - x_low), (y - y_low) / (y_high - y_low)
    if v > 0.7 or v < 0.3 then
      local corner = (u > 0.5 and 1 or 3) + (v > 0.7 and 0 or 1)
      hits[corner] = hits[corner] + 1
    end
  end
  for _, s in ipairs(series) do
    count(s.x[1], s.y[1])
    for j = 2, #s.y do
      for k = 0, steps - 1 do -- places along the line between two values
        local part = (k + 1) / steps
        count(s.x[j - 1] + (s.x[j] - s.x[j - 1]) * part, s.y[j - 1] + (s.y[j] - s.y[j - 1]) * part)
      end
    end
  end
  local best = 1
  for corner = 2, 4 do
    best = hits[corner] < hits[best] and corner or best
  end
  return ({ "top right", "bottom right", "top left", "bottom left" })[best]
end

local function set_key(out, series, steps)
  if #series > 5 then
    out[#out + 1] = "set key outside right top Left reverse"
  else
    out[#out + 1] = "set key " .. key_corner(series, steps) .. " Left reverse"
  end
end

local function color_of(i)
  return colour.series[(i - 1) % #colour.series + 1]
end

local function title_of(s)
  return s.name and "title " .. quote(s.name) or "notitle"
end

local function plot(out, parts)
  out[#out + 1] = "plot " .. table.concat(parts, ", \\\n  ")
end

-- Series: lines, scatter, hist ----------------------------------------------------------------------------

local function draw_series(f, out, name, style_of, steps)
  local parts = {}
  for i, s in ipairs(f.series) do
    out[#out + 1] = ("$%s_%d << EOD"):format(name, i)
    for j = 1, #s.y do
      out[#out + 1] = number(s.x[j]) .. " " .. number(s.y[j])
    end
    out[#out + 1] = "EOD"
    -- a series without a single point cannot be read from data; it only has a name
    local data = has_point(s) and ("$%s_%d using 1:2"):format(name, i) or "NaN"
    parts[i] = ("%s with %s lc rgb '%s' %s"):format(data, style_of(s), color_of(i), title_of(s))
  end
  set_range(out, "x", range(f.series, "x"))
  set_range(out, "y", range(f.series, "y"))
  set_key(out, f.series, steps)
  plot(out, parts)
end

--- Lines with a mark at each value where there are few.
function panels.lines(f, out, name)
  if whole_steps(f.series) then
    out[#out + 1] = "set xtics 1"
  end
  draw_series(f, out, name, function(s)
    return #s.y <= 60 and "linespoints pt 7 ps 0.5 lw 2" or "lines lw 2"
  end, 9)
end

function panels.scatter(f, out, name)
  out[#out + 1] = "set offsets graph 0.03, 0.03, 0.03, 0.03"
  local count = 0
  for _, s in ipairs(f.series) do
    count = count + #s.y
  end
  local size = count <= 200 and 0.9 or count <= 2000 and 0.6 or 0.3
  draw_series(f, out, name, function()
    return ("points pt 7 ps %g"):format(size)
  end, 1)
end

--- Bars over the bins; several series lie over one another and are seen through.
function panels.hist(f, out, name)
  local parts, width = {}, (f.high - f.low) / f.bins
  for i, s in ipairs(f.series) do
    out[#out + 1] = ("$%s_%d << EOD"):format(name, i)
    for j, count in ipairs(s.counts) do
      out[#out + 1] = number(f.low + (j - 0.5) * width) .. " " .. number(count)
    end
    out[#out + 1] = "EOD"
    parts[i] = ("$%s_%d using 1:2:(%s) with boxes fs %s border lc rgb '#ffffff' fc rgb '%s' %s"):format(
      name, i, number(width), #f.series > 1 and "transparent solid 0.55" or "solid 0.9", color_of(i),
      title_of(s))
  end
  out[#out + 1] = ("set xrange [%s:%s]"):format(number(f.low), number(f.high))
  out[#out + 1] = "set yrange [0:*]"
  out[#out + 1] = "unset grid"
  out[#out + 1] = "set grid ytics lc rgb '#dddddd' lt 1 lw 1"
  out[#out + 1] = #f.series > 5 and "set key outside right top Left reverse" or "set key top right Left reverse"
  plot(out, parts)
end

-- Heat map ------------------------------------------------------------------------------------------------

--- "set xtics" with names at 1, 2, …; n names with numbers where there are none.
local function name_ticks(out, axis, names, n, room)
  local list, longest = {}, 0
  local step = math.max(1, math.ceil(n / 40)) -- more would run into one another
  for i = 1, n, step do
    local label = names and names[i] or tostring(i)
    longest = math.max(longest, text.width(label))
    list[#list + 1] = ("%s %d"):format(quote(text.shorten(label, 24)), i)
  end
  local turned = axis == "x" and longest * 7.5 > room / math.ceil(n / step)
  out[#out + 1] = ("set %stics scale 0 nomirror %s (%s)"):format(axis,
    turned and "rotate by 45 right" or "norotate", table.concat(list, ", "))
end

function panels.heatmap(f, out, name)
  local low, high = f.low, f.high
  local labels = {}
  out[#out + 1] = ("$%s_cells << EOD"):format(name)
  for i, row in ipairs(f.values) do
    for j, v in ipairs(row) do
      out[#out + 1] = ("%d %d %s"):format(j, i, number(math.max(low, math.min(high, v))))
      if f.annot and is_finite(v) then
        local t = high > low and math.max(0, math.min(1, (v - low) / (high - low))) or 0.5
        labels[#labels + 1] = ("%d %d %s %d"):format(j, i, quote_data(f.fmt:format(v)),
          colour.text_on(t))
      end
    end
    out[#out + 1] = ""
  end
  out[#out + 1] = "EOD"
  local stops = {}
  for i = 0, 32 do
    stops[#stops + 1] = ("%.5f '%s'"):format(i / 32, colour.hex(i / 32))
  end
  out[#out + 1] = "set palette defined (" .. table.concat(stops, ", ") .. ")"
  if low == high then -- a range of its own around a single value
    low, high = low - 0.5, high + 0.5
  end
  out[#out + 1] = ("set cbrange [%s:%s]"):format(number(low), number(high))
  out[#out + 1] = ("set xrange [0.5:%g]"):format(f.columns + 0.5)
  out[#out + 1] = ("set yrange [%g:0.5]"):format(f.rows + 0.5)
  out[#out + 1] = "unset grid"
  out[#out + 1] = "set border 0"
  out[#out + 1] = "set colorbox"
  out[#out + 1] = "unset key"
  name_ticks(out, "x", f.xticks, f.columns, f.width - 200)
  name_ticks(out, "y", f.yticks, f.rows, f.height)
  local parts = {}
  if f.rows * f.columns <= 2500 then
    parts[1] = ("$%s_cells using 1:2:($1-0.5):($1+0.5):($2-0.5):($2+0.5):3 with boxxyerror "
      .. "fs solid 1 border lc rgb '#ffffff' fc palette notitle"):format(name)
  else
    parts[1] = ("$%s_cells using 1:2:3 with image notitle"):format(name)
  end
  if #labels > 0 then
    out[#out + 1] = ("$%s_labels << EOD"):format(name)
    out[#out + 1] = table.concat(labels, "\n")
    out[#out + 1] = "EOD"
    parts[2] = ("$%s_labels using 1:2:3:4 with labels center tc rgb variable notitle"):format(name)
  end
  plot(out, parts)
end

-- Pictures --------------------------------------------------------------------------------------------------

--- Pictures side by side. One unit is the width of a cell; a picture keeps its proportions.
function panels.images(f, out, name)
  local gap, parts = f.gap, {}
  local head = f.titles and f.head or 0
  local step_x, step_y = 1 + gap, f.cell + head + gap
  for k, p in ipairs(f.pictures) do
    local column, row = (k - 1) % f.columns, math.floor((k - 1) / f.columns)
    local scale = math.min(1 / p.width, f.cell / p.height) -- of one pixel
    local x0 = column * step_x + (1 - scale * p.width) / 2
    local y0 = row * step_y + head + (f.cell - scale * p.height) / 2
    out[#out + 1] = ("$%s_%d << EOD"):format(name, k)
    -- gnuplot draws pictures of 2 x 2 pixels and more
    local wide, high = p.width < 2 and 2 or 1, p.height < 2 and 2 or 1
    local rgb = p.rgb
    for y = 0, p.height * high - 1 do
      for x = 0, p.width * wide - 1 do
        local at = (math.floor(y / high) * p.width + math.floor(x / wide)) * 3
        out[#out + 1] = ("%.6g %.6g %d %d %d"):format(x0 + (x + 0.5) * scale / wide,
          y0 + (y + 0.5) * scale / high, rgb[at], rgb[at + 1], rgb[at + 2])
      end
    end
    out[#out + 1] = "EOD"
    parts[k] = ("$%s_%d using 1:2:3:4:5 with rgbimage notitle"):format(name, k)
    local title = f.titles and f.titles[k]
    if title then
      out[#out + 1] = ("set label %d %s at %.6g,%.6g center"):format(k,
        quote(text.shorten(title, math.floor(f.unit * (1 + gap) / 7.5))), column * step_x + 0.5,
        row * step_y + head * 0.5)
    end
  end
  local rows = math.ceil(#f.pictures / f.columns)
  out[#out + 1] = ("set xrange [%g:%g]"):format(-gap, f.columns * step_x)
  out[#out + 1] = ("set yrange [%g:%g]"):format(rows * step_y, -gap)
  out[#out + 1] = "set size ratio -1"
  out[#out + 1] = "unset grid"
  out[#out + 1] = "unset border"
  out[#out + 1] = "unset xtics"
  out[#out + 1] = "unset ytics"
  out[#out + 1] = "unset key"
  plot(out, parts)
end

-- Any panel ---------------------------------------------------------------------------------------------------

--- Appends the commands of a figure that is no grid.
---@param f mascon.plot.Figure
---@param out string[]
---@param name string
---@param size number of the font
function M.draw(f, out, name, size)
  local begin = {
    "unset label", "unset offsets", "set border 3 lc rgb '#555555'", "set size noratio",
    "set grid lc rgb '#dddddd' lt 1 lw 1", "unset colorbox",
    "set title " .. (f.title and ("%s font ',%g'"):format(quote(f.title), size + 1) or ""),
  }
  for _, line in ipairs(begin) do
    out[#out + 1] = line
  end
  for _, axis in ipairs { "x", "y" } do
    local label = f[axis .. "label"]
    out[#out + 1] = ("set %slabel %s"):format(axis, label and quote(label) or "")
    out[#out + 1] = ("set %srange [*:*] noreverse"):format(axis)
    out[#out + 1] = ("set %stics scale 1 norotate autofreq nomirror"):format(axis)
  end
  panels[f.kind](f, out, name)
end

return M
