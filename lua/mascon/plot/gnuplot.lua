--- Figures through gnuplot, an outside program that is looked for at first use.
-- gnuplot reads a script from a temporary file. Texts stand in single quotes, where it interprets nothing.

local options = require "mascon.options"
local numbers = require "mascon.plot.range"

local is_finite, range = numbers.is_finite, numbers.range
local M = {}

local colours = { "#2f6db5", "#d9772b", "#3a923a", "#b03a3a", "#7b62a8", "#7f5f3f", "#c774ab", "#6f6f6f" }

-- The program -----------------------------------------------------------------------------------------

local function shell_quote(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end

local function succeeded(a, _, c)
  return a == 0 or a == true and (c == nil or c == 0)
end

local found

--- Raises unless gnuplot can be run.
local function need_gnuplot(prefix)
  found = found or succeeded(os.execute "command -v gnuplot >/dev/null 2>&1")
  if not found then
    options.fail(prefix, "gnuplot was not found; figures are drawn by it",
      "apt-get install gnuplot-nox (or fig:text() for the terminal)")
  end
end

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then
    return ""
  end
  local s = file:read "*a"
  file:close()
  return s
end

--- Runs a script; returns nil, or what gnuplot complained about.
local function run(prefix, script, flags)
  local path = os.tmpname()
  local file, why = io.open(path, "wb")
  if not file then
    options.fail(prefix, ("no temporary file could be made: %s"):format(why))
  end
  file:write(script)
  file:close()
  local errors = path .. ".err"
  local good = succeeded(os.execute(("gnuplot %s %s >%s 2>&1"):format(flags, shell_quote(path),
    shell_quote(errors))))
  local said = read_file(errors)
  os.remove(path)
  os.remove(errors)
  if not good then
    -- the lines that only show the place in the script start with its name or a caret
    local line = said:match "line %d+: ([^\n]+)" or said:match "([^\n]+)%s*$" or "it ended with an error"
    return line
  end
end

-- The script --------------------------------------------------------------------------------------------

--- A text for gnuplot; line breaks become spaces.
local function quote(s)
  return "'" .. s:gsub("[%c]", " "):gsub("'", "''") .. "'"
end

local function number(v)
  return is_finite(v) and ("%.9g"):format(v) or "?"
end

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

--- The corner in which the names of the series hide the least of their lines.
local function key_corner(series)
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
    for j = 2, #s.y do
      for k = 0, 8 do -- places along the line between two values
        count(s.x[j - 1] + (s.x[j] - s.x[j - 1]) * k / 8, s.y[j - 1] + (s.y[j] - s.y[j - 1]) * k / 8)
      end
    end
  end
  local best = 1
  for corner = 2, 4 do
    best = hits[corner] < hits[best] and corner or best
  end
  return ({ "top right", "bottom right", "top left", "bottom left" })[best]
end

local panels = {}

--- Lines with a mark at each value where there are few.
function panels.lines(f, out, name)
  local parts = {}
  for i, s in ipairs(f.series) do
    out[#out + 1] = ("$%s_%d << EOD"):format(name, i)
    for j = 1, #s.y do
      out[#out + 1] = number(s.x[j]) .. " " .. number(s.y[j])
    end
    out[#out + 1] = "EOD"
    local style = #s.y <= 60 and "linespoints pt 7 ps 0.5" or "lines"
    -- a series without a single point cannot be read from data; it only has a name
    local data = has_point(s) and ("$%s_%d using 1:2"):format(name, i) or "NaN"
    parts[i] = ("%s with %s lw 2 lc rgb '%s' %s"):format(data, style,
      colours[(i - 1) % #colours + 1], s.name and "title " .. quote(s.name) or "notitle")
  end
  set_range(out, "x", range(f.series, "x"))
  set_range(out, "y", range(f.series, "y"))
  if whole_steps(f.series) then
    out[#out + 1] = "set xtics 1"
  end
  out[#out + 1] = "set key " .. key_corner(f.series)
  out[#out + 1] = "plot " .. table.concat(parts, ", \\\n  ")
end

local function draw_panel(f, out, name)
  out[#out + 1] = "set title " .. (f.title and quote(f.title) or "")
  for _, axis in ipairs { "x", "y" } do
    local label = f[axis .. "label"]
    out[#out + 1] = ("set %slabel %s"):format(axis, label and quote(label) or "")
    out[#out + 1] = ("set autoscale %s"):format(axis)
    out[#out + 1] = ("set %stics autofreq nomirror"):format(axis)
  end
  panels[f.kind](f, out, name)
end

--- The commands that draw a figure, after a terminal has been set.
---@param f mascon.plot.Figure
---@return string
function M.script(f)
  local out = {
    "set termoption noenhanced",
    "set encoding utf8",
    "set datafile missing '?'",
    "set border 3 lc rgb '#555555'",
    "set grid lc rgb '#dddddd' lt 1 lw 1",
  }
  if f.kind == "grid" then
    out[#out + 1] = ("set multiplot layout %d,%d %s"):format(f.rows, f.columns,
      f.title and "title " .. quote(f.title) or "")
    for i, panel in ipairs(f.panels) do
      draw_panel(panel, out, "panel" .. i)
    end
    out[#out + 1] = "unset multiplot"
  else
    draw_panel(f, out, "panel1")
  end
  return table.concat(out, "\n") .. "\n"
end

-- Files -------------------------------------------------------------------------------------------------

local terminals = {
  svg = "svg size %d,%d dynamic background '#ffffff' font 'Helvetica,13'",
  png = "pngcairo size %d,%d background '#ffffff' font 'Sans,11'",
  pdf = "pdfcairo size %.3fin,%.3fin background '#ffffff' font 'Sans,9'",
}

local function check_writable(path)
  local before = io.open(path, "rb")
  if before then
    before:close()
  end
  local file, why = io.open(path, "ab")
  if not file then
    local folder = path:match "^(.*/)"
    local there = folder and io.open(folder)
    if folder and not there then
      options.fail("save", ("directory %s does not exist"):format(folder))
    elseif there then
      there:close()
    end
    options.fail("save", (why:gsub("^" .. path:gsub("%p", "%%%0") .. ": ", path .. ": ")))
  end
  file:close()
  return before ~= nil
end

--- Writes a figure to a file.
---@param f mascon.plot.Figure
---@param path string
function M.save(f, path)
  local ending = path:match "%.(%w+)$"
  local terminal = ending and terminals[ending:lower()]
  if not terminal then
    options.fail("save", ("%s does not end in .svg, .png or .pdf"):format(options.show(path)))
  elseif path:find "%c" then
    options.fail("save", ("%q holds control characters"):format(path))
  end
  need_gnuplot "save"
  local existed = check_writable(path)
  local width, height = f.width, f.height
  if ending:lower() == "pdf" then
    width, height = width / 96, height / 96
  end
  local failure = run("save", ("set terminal %s\nset output %s\n%sset output\n"):format(
    terminal:format(width, height), quote(path), M.script(f)), "")
  if failure then
    if not existed then
      os.remove(path)
    end
    options.fail("save", ("gnuplot could not draw %s: %s"):format(path, failure))
  end
end

--- Opens a window that stays.
---@param f mascon.plot.Figure
function M.show(f)
  local function set(name)
    return (os.getenv(name) or "") ~= ""
  end
  if not set "DISPLAY" and not set "WAYLAND_DISPLAY" then
    options.fail("show", "there is no display", 'fig:save "figure.png", or print(fig:text())')
  end
  need_gnuplot "show"
  local failure = run("show", M.script(f), "-persist")
  if failure then
    options.fail("show", ("gnuplot opened no window: %s"):format(failure),
      "gnuplot-nox has none; gnuplot-qt or gnuplot-x11 do")
  end
end

return M
